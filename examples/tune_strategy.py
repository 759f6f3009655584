"""Tune a strategy on real prices, walk it forward, and print what that is worth.

A hundred parameter sets of a breakout are tried on five technology stocks. The best of them looks better than
the strategy as it was: it is the best of a hundred. So the strategy is walked forward: tuned on five years,
traded for the next, again and again, beside the strategy as it was. The last sentence is the verdict. What it
cannot know: these five companies are here because they survived.

    python examples/tune_strategy.py --out out
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from optimize import tune_strategy, walk_forward
from simulator import Bars, load_bars
from strategies import load_strategy

STRATEGY: Final = "donchian-breakout"
LEAST_TRADES: Final = 30
"""Sets with fewer trades are left out: a figure of three trades is an anecdote."""


def main() -> None:
    """Tune, walk forward, write both reports."""
    parser = argparse.ArgumentParser(description="Tune a strategy, and walk it forward.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the HTML reports")
    out: Path = parser.parse_args().out
    tune(load_bars("sample:stocks"), out)
    print(f"\nReports, to open in a browser: {out / 'study.html'}, {out / 'walk_forward.html'}")


def tune(bars: Bars, out: Path) -> None:
    """Print what a search finds, and what is left of it on data that the search has not seen."""
    strategy = load_strategy(STRATEGY)
    study = tune_strategy(bars, strategy, trials=100, min_trades=LEAST_TRADES)
    print("-- tuned on everything there is, judged by the same")
    print(study)
    study.report(out / "study.html")
    print()

    walk = walk_forward(bars, strategy, trials=40, min_trades=LEAST_TRADES // 3)
    print("-- tuned on the past, judged by what came next")
    print(walk)
    walk.report(out / "walk_forward.html")


if __name__ == "__main__":
    main()
