"""backtrader's side: one feed per symbol, `buy_bracket` and `sell_bracket` on the same signals.

The strategy looks only at the signals of its bar, feeds are preloaded and indicators off: nothing of what is
timed is ours but a few lines per signal.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.agreement import trade_table
from benchmarks.workloads import Market, Plan

CASH = 1e12


def plan_run(market: Market, plan: Plan) -> tuple[float, pd.DataFrame]:
    """Run a plan's brackets; returns the seconds of `cerebro.run()` and the trade table."""
    import backtrader as bt

    bars, symbols = market.shape
    first = np.searchsorted(plan.row, np.arange(bars + 1))
    fills: list[tuple[int, int, float, float, float]] = []

    class Brackets(bt.Strategy):  # type: ignore[misc]  # backtrader has no types
        def __init__(self) -> None:
            self.columns = {data: index for index, data in enumerate(self.datas)}

        def next(self) -> None:
            bar = len(self) - 1
            for index in range(first[bar], first[bar + 1]):
                data = self.datas[plan.symbol[index]]
                if self.getposition(data).size:
                    continue
                side, close = int(plan.side[index]), data.close[0]
                enter = self.buy_bracket if side > 0 else self.sell_bracket
                enter(
                    data=data, size=plan.qty[index], exectype=bt.Order.Market,
                    stopprice=close * (1.0 - side * plan.stop), limitprice=close * (1.0 + side * plan.target),
                )  # fmt: skip

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                done = order.executed
                fills.append((self.columns[order.data], len(self) - 1, done.size, done.price, done.comm))

    cerebro = bt.Cerebro(stdstats=False)
    index = pd.DatetimeIndex(market.ts.astype("datetime64[ns]"))
    for column in range(symbols):
        frame = pd.DataFrame(
            {
                "open": market.open[:, column], "high": market.high[:, column], "low": market.low[:, column],
                "close": market.close[:, column], "volume": 1e9,
            },
            index=index,
        )  # fmt: skip
        cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Brackets)
    cerebro.broker.setcash(CASH)
    begin = time.perf_counter()
    cerebro.run()
    seconds = time.perf_counter() - begin
    return seconds, _round_trips(fills, market)


def _round_trips(fills: list[tuple[int, int, float, float, float]], market: Market) -> pd.DataFrame:
    rows: dict[str, list[float]] = {
        name: []
        for name in ("symbol", "side", "entry_bar", "exit_bar", "entry_price", "exit_price", "qty", "fees")
    }
    entries: dict[int, tuple[int, float, float, float]] = {}

    def add(symbol: int, exit_bar: int, exit_price: float, fee: float) -> None:
        bar, size, price, paid = entries.pop(symbol)
        values = (symbol, np.sign(size), bar, exit_bar, price, exit_price, abs(size), paid + fee)
        for name, value in zip(rows, values, strict=True):
            rows[name].append(float(value))

    for symbol, bar, size, price, fee in fills:
        if symbol in entries:
            add(symbol, bar, price, fee)
        else:
            entries[symbol] = (bar, size, price, fee)
    last = market.shape[0] - 1
    for symbol in list(entries):
        add(symbol, last, float(market.close[last, symbol]), 0.0)
    table = trade_table(rows)
    return table.astype({name: np.int64 for name in ("symbol", "side", "entry_bar", "exit_bar")})
