"""What `make demo` runs: two strategies on real prices under the full risk manager, then tuned.

A bracket (a pullback with a stop and a target) and a trailing stop (a breakout without a target), on the five
technology stocks of `sample:stocks`. Each prints its summary with the interval over the conventions and
leaves an HTML report, and its trades in a journal. Then the breakout runs again without the sector cap,
because five stocks of one sector are what that cap is for. Last come `tune_strategy.py` and
`tune_journal.py`: what a search finds, and what that is worth.
"""

from __future__ import annotations

import argparse
import runpy
import time
from pathlib import Path
from typing import Any, Final

from journal import TradeJournal
from simulator import Bars, Result, RiskLimits, backtest, load_bars
from strategies import load_strategy

BRACKET: Final = "rsi-pullback"
TRAILING: Final = "donchian-breakout"
RISK: Final = RiskLimits()
NO_SECTOR_CAP: Final = RISK.replace(max_sector_exposure_pct=1000.0)


def main() -> None:
    """Run the demonstration; `--out` names the folder for reports."""
    parser = argparse.ArgumentParser(description="Two strategies on real bundled prices, with reports.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the HTML reports")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    bars = load_bars("sample:stocks")
    print(f"Real prices: {', '.join(bars.symbols)}, {len(bars):,} days, all of one sector.\n")
    began = time.perf_counter()
    results = {name: run(bars, name, RISK, out) for name in (BRACKET, TRAILING)}
    show_sector_cap(
        results[TRAILING], backtest(bars, load_strategy(TRAILING), risk=NO_SECTOR_CAP, costs="alpaca")
    )
    print(f"\n== What a search finds, and what that is worth: {TRAILING}")
    neighbour("tune_strategy")["tune"](bars, out)
    neighbour("tune_journal")["tune"](out)
    print(f"\nAll of it took {time.perf_counter() - began:.1f} s. Reports, to open in a browser:")
    for name in (*results, "study", "walk_forward", "tuning", "tuning_planted"):
        print(f"  {out / f'{name}.html'}")
    with TradeJournal(out / "demo.db", source="backtest") as journal:
        for name, result in results.items():
            result.to_journal(journal, label=name)
    print(f"What the trades teach: twinstep learn --source backtest --journal {out / 'demo.db'}")


def neighbour(name: str) -> dict[str, Any]:
    """Return what another example defines; they are scripts, and no modules that could be imported."""
    return runpy.run_path(str(Path(__file__).with_name(f"{name}.py")))


def run(bars: Bars, name: str, risk: RiskLimits, out: Path) -> Result:
    """Backtest one strategy, print its summary with the interval, write its report."""
    result = backtest(bars, load_strategy(name), risk=risk, costs="alpaca")
    result.interval()  # summary and report show it once it is made
    print(f"== {name}")
    print(result.summary())
    result.report(out / f"{name}.html")
    print()
    return result


def show_sector_cap(capped: Result, free: Result) -> None:
    """Print what the sector cap did, side by side."""
    cap = RISK.max_sector_exposure_pct
    print(f"== The sector cap: {TRAILING} with at most {cap:g} % of equity in one sector, and without")
    print(f"{'':<34}{f'cap {cap:g} %':>12}{'no cap':>12}")
    for label, one, two in (
        ("signals shrunk by the sector rule", *(sector_verdicts(r, "shrunk") for r in (capped, free))),
        ("signals rejected by it", *(sector_verdicts(r, "rejected") for r in (capped, free))),
        ("trades", *(len(r.trades) for r in (capped, free))),
    ):
        print(f"{label:<34}{one:>12,}{two:>12,}")
    for label, metric in (("total return", "total_return"), ("largest drawdown", "max_drawdown")):
        print(f"{label:<34}{capped.metrics[metric]:>12.1%}{free.metrics[metric]:>12.1%}")


def sector_verdicts(result: Result, outcome: str) -> int:
    """Return how many signals the sector rule shrank or rejected."""
    verdicts = result.verdicts
    return int(((verdicts["rule"] == "sector") & (verdicts["outcome"] == outcome)).sum())


if __name__ == "__main__":
    main()
