"""Premium on the S&P 500, 2014 to 2018: a put spread and an iron condor on real closes and the real VIX.

No option was quoted here: every premium is modelled from the index's close, the VIX and the surface preset
"index", and the two tables say so. Real are the underlying and the level of volatility; what the surface
gets wrong (`docs/surface.md`) these results get wrong too. Five years hold few trades: about one a month.

    python examples/premium.py
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from simulator import Bars, Result, RiskLimits, backtest, load_bars
from simulator.options import OptionMarket
from strategies.base import Strategy
from strategies.premium import IronCondor, ShortPutSpread

CASH: Final = 1_000_000.0
RATE: Final = 0.01  # roughly the bill rate of these years, as a fraction
DIVIDEND_YIELD: Final = 0.02
# One trade at a time on one underlying: the sector cap would only repeat the limit on risk.
RISK: Final = RiskLimits(risk_per_trade_pct=2.0, max_sector_exposure_pct=100.0)
STRATEGIES: Final[tuple[Strategy, ...]] = (ShortPutSpread(min_iv_rank=20.0), IronCondor(min_iv_rank=20.0))


def main() -> None:
    """Run both strategies and print what they did."""
    bars = load_market()
    print(f"Real closes of {bars.symbols[0]} and the real VIX, {len(bars):,} days; option prices modelled.")
    for strategy in STRATEGIES:
        show(strategy, backtest(bars, strategy, cash=CASH, risk=RISK))


def load_market() -> Bars:
    """Return the index with options on it, over the sessions for which the sample of the VIX has values."""
    vix = load_bars("sample:vix")
    bars = load_bars("sample:spx", start=vix.index[0].date())
    level = pd.Series(vix.close[:, 0] / 100.0, vix.index)
    market = OptionMarket.modelled(
        bars, {bars.symbols[0]: level}, surface="index", rate=RATE, dividend_yield=DIVIDEND_YIELD
    )
    return bars.with_options(market)


def show(strategy: Strategy, result: Result) -> None:
    """Print the summary of a run, its exits, and its trades by IV rank at the entry."""
    print(f"\n{strategy.name} (modelled)\n{'=' * (len(strategy.name) + 11)}")
    print(result.summary())
    trades = result.trades
    exits = ", ".join(f"{reason} {count}" for reason, count in trades["exit_reason"].value_counts().items())
    print(f"\nmodelled exits: {exits}")
    table = trades.groupby("tag")["pnl"].agg(trades="count", won=_won, mean_pnl="mean")
    print(f"modelled trades by IV rank at the entry:\n{table.round(2).to_string()}")


def _won(pnl: pd.Series[float]) -> float:
    return float(np.mean(pnl > 0))


if __name__ == "__main__":
    main()
