# mypy: ignore-errors
# ruff: noqa
"""The moving-average cross in backtrader, as it was: a bracket at the next open, closed by the cross back."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import pandas as pd


class SmaCross(bt.Strategy):
    """Buys 100 when the 20-day average crosses above the 50-day one."""

    def __init__(self) -> None:
        fast, slow = bt.ind.SMA(period=20), bt.ind.SMA(period=50)
        self.cross = bt.ind.CrossOver(fast, slow)
        self.bracket: list[Any] = []
        self.done: list[dict[str, Any]] = []

    def next(self) -> None:
        close = self.data.close[0]
        if self.cross > 0 and not self.position:
            self.bracket = self.buy_bracket(
                size=100, exectype=bt.Order.Market, stopprice=0.95 * close, limitprice=1.10 * close
            )
        elif self.cross < 0 and self.position:
            self.cancel(self.bracket[1])  # cancels the target too
            self.close()

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            when, price = self.data.datetime.date(0), order.executed.price
            if order.isbuy():
                self.done.append({"entry_time": when, "entry_price": price})
            else:
                self.done[-1] |= {"exit_time": when, "exit_price": price}


def trades(frame: pd.DataFrame) -> pd.DataFrame:
    """Run it over one symbol's bars and return its trades."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame.dropna().tz_localize(None)))
    cerebro.addstrategy(SmaCross)
    cerebro.broker.setcash(1_000_000)
    return pd.DataFrame(cerebro.run()[0].done)


if __name__ == "__main__":
    from simulator import load_bars

    print(trades(load_bars("sample:stocks").frame("IBM")).tail())
