"""The same trailing stop under every convention: the choice that moves results most.

A bar does not say whether its high came before its low. So an engine must decide whether a trailing stop is
first tested and then raised, the other way round, or raised on closes only; each line below is the same
strategy on the same prices under one such decision.
"""

from __future__ import annotations

from simulator import RiskLimits, backtest, load_bars
from simulator.conventions import PROFILES
from strategies import load_strategy


def main() -> None:
    """Print one line per convention profile, and how far apart they are."""
    bars = load_bars("sample:stocks", start="2005-01-01")
    strategy = load_strategy("donchian-breakout", trail_atr=1.0)
    print(f"{'profile':<16}{'trades':>8}{'return':>10}{'average R':>12}")
    for profile in PROFILES:
        result = backtest(bars, strategy, risk=RiskLimits(), conventions=profile)
        metrics = result.metrics
        print(
            f"{profile:<16}{metrics['trades']:>8.0f}{metrics['total_return']:>10.1%}{metrics['average_r']:>12.3f}"
        )
    print()
    print(backtest(bars, strategy, risk=RiskLimits()).interval())


if __name__ == "__main__":
    main()
