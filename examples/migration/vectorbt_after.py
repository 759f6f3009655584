"""The same cross in Twinstep, with the conventions of vectorbt."""

from __future__ import annotations

import numpy as np

from simulator import Bars, Result, Signals, backtest, load_bars
from strategies.indicators import crossed_above, crossed_below, sma


def sma_cross(bars: Bars) -> Signals:
    """Buys 100 when the 20-day average crosses above the 50-day one, and closes at the cross back."""
    fast, slow = sma(bars.close, 20), sma(bars.close, 50)
    up, down = crossed_above(fast, slow), crossed_below(fast, slow)
    row, symbol = np.nonzero(up | down)
    return Signals.from_arrays(
        bars, row, symbol, np.where(up[row, symbol], 1, 0), qty=100, stop_percent=5, target_percent=10
    )


def run(bars: Bars) -> Result:
    """Backtest it as vectorbt would: no risk manager, its conventions."""
    return backtest(bars, sma_cross, cash=1_000_000, risk=None, conventions="vectorbt")


if __name__ == "__main__":
    found = run(load_bars("sample:stocks", symbols=["IBM"])).trades
    columns = ["entry_time", "entry_price", "exit_time", "exit_price", "exit_reason"]
    print(found[columns].tail().to_string())
