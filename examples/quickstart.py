"""A bracket strategy on bundled prices, in a dozen lines.

The rule: after a close above the highest close of the last 20 bars, enter at the next open with a stop 5 %
below the fill and a target three times as far above it. The risk manager decides the size.
"""

from __future__ import annotations

import numpy as np

from simulator import Bars, RiskLimits, Signals, backtest, load_bars
from strategies.indicators import lag, rolling_high

COLUMNS = [
    "symbol",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "exit_reason",
    "pnl",
    "r_multiple",
]


def breakouts(bars: Bars) -> Signals:
    """Return a bracket for every 20-bar breakout."""
    row, symbol = np.nonzero(bars.close > lag(rolling_high(bars.close, 20)))
    return Signals.from_arrays(bars, row, symbol, 1, stop_percent=5.0, target_r=3.0, tag="breakout")


def main() -> None:
    """Run it and print what came of it."""
    result = backtest(load_bars("sample:stocks"), breakouts, cash=100_000, risk=RiskLimits(), costs="alpaca")
    print(result.summary())
    print(result.trades[COLUMNS].tail(5).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
