"""One order on backtesting.py itself, with a stop and a target, or with a stop that trails.

Its `TrailingStrategy` raises the stop of every trade from the close of the bar, never lowers it, and the
broker tests it from the next bar on; its distance is a multiple of the average true range, here it is a share
of the price. The stop that holds before the first close is given with the order.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from .cases import CASH, PeerTrade, Prices, days


def backtesting_trades(
    prices: Prices, *, side: int = 1, stop: float, target: float | None = None, trail: float | None = None
) -> list[PeerTrade]:
    """Trade one share at the open of bar 1; `trail` (a fraction) raises a long's stop with each close."""
    from backtesting import Backtest, Strategy

    class Trader(Strategy):  # type: ignore[misc]  # backtesting has no types
        def init(self) -> None:
            """Nothing is computed beforehand."""

        def next(self) -> None:
            if len(self.data) == 2:
                (self.buy if side > 0 else self.sell)(size=1, sl=stop, tp=target)
            if trail is None:
                return
            for trade in self.trades:
                trade.sl = max(trade.sl, self.data.Close[-1] * (1.0 - trail))

    # it hands the first bar over only with the second: one more of the same in front
    columns = {name.title(): np.r_[values[:1], values] for name, values in prices._asdict().items()}
    frame = pd.DataFrame(columns, index=pd.DatetimeIndex(days(len(prices) + 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trades that are open at the end, and its own use of pandas
        table = Backtest(frame, Trader, cash=CASH, finalize_trades=True).run()["_trades"]
    return [
        PeerTrade(
            side, row.EntryBar - 1, row.ExitBar - 1, row.EntryPrice, row.ExitPrice, abs(row.Size), 0.0,
            row.ExitBar == len(prices),
        )
        for row in table.itertuples()
    ]  # fmt: skip
