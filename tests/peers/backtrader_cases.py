"""Random cases for backtrader 1.9.78, and backtrader itself run on them.

Two recipes, each the one its documentation gives. A bracket is `buy_bracket` or `sell_bracket` with a market
entry and absolute stop and limit prices, fixed at the signal's close. A trailing stop is a `StopTrail` order
submitted when the entry's fill is reported, with the fill as its price, and where there is a target, a limit
order with it in one OCO group: a `StopTrail` inside a bracket would start from the close before the entry
instead (see `docs/peers.md`).

The strategy trades a signal only when flat, as our profile does (`same_side` and `opposite_side` ignore).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator import Costs

from .cases import CASH, PeerTrade, Prices, days, our_trades, random_walk

BARS = 100
COUNT = 100
KINDS = ("bracket", "trail_percent", "trail_amount")


@dataclass(frozen=True)
class BacktraderCase:
    """One symbol, signals by bar (+1, -1, 0), and one kind of exit.

    `stop` and `target` have shape (T,): absolute prices for signals of that bar, NaN where absent. `trail` is
    a fraction for "trail_percent" and a price distance for "trail_amount".
    """

    index: int
    prices: Prices
    signal: npt.NDArray[np.int64]
    kind: str
    stop: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    trail: float
    size: float
    commission: float


def random_cases(count: int = COUNT, bars: int = BARS, seed: int = 19780123) -> list[BacktraderCase]:
    """Return seeded cases, the kinds in turn."""
    return [
        case_on(
            index,
            random_walk(np.random.default_rng([seed, index]), bars),
            np.random.default_rng([seed, index, 1]),
        )
        for index in range(count)
    ]


def case_on(index: int, prices: Prices, rng: np.random.Generator) -> BacktraderCase:
    """Return a random case on given prices.

    Signals whose entry would gap beyond its own stop are left out: backtrader fills such an entry and stops
    it out one bar later, Twinstep cancels it (`docs/peers.md` lists it, and a test of its own pins it).
    """
    kind = KINDS[index % len(KINDS)]
    draw = rng.random(len(prices))
    side = np.where(rng.random(len(prices)) < 0.5, 1, -1)
    signal = np.where(draw < rng.choice([0.1, 0.3]), side, 0)
    width = rng.uniform(0.005, 0.06)
    reach = rng.uniform(0.005, 0.1)
    stop = np.full(len(prices), np.nan)
    if kind == "bracket":
        stop = prices.close * (1.0 - signal * width)
        signal = np.where(gaps_beyond_stop(prices, signal, stop), 0, signal)
    target = prices.close * (1.0 + signal * reach)
    if kind != "bracket" and rng.random() < 0.5:
        target = np.full(len(prices), np.nan)
    trail = width if kind == "trail_percent" else width * float(prices.close.mean())
    return BacktraderCase(
        index=index,
        prices=prices,
        signal=signal.astype(np.int64),
        kind=kind,
        stop=np.where(signal != 0, stop, np.nan),
        target=np.where(signal != 0, target, np.nan),
        trail=float(trail),
        size=float(rng.uniform(0.5, 300.0)),
        commission=float(rng.choice([0.0, 0.0005, 0.003])),
    )


def gaps_beyond_stop(
    prices: Prices, signal: npt.NDArray[np.int64], stop: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Whether the open after each signal lies beyond the signal's own stop."""
    beyond = np.zeros(len(prices), bool)
    beyond[:-1] = ((prices.open[1:] - stop[:-1]) * signal[:-1] <= 0.0) & (signal[:-1] != 0)
    return beyond


def backtrader_trades(case: BacktraderCase) -> list[PeerTrade]:
    """Run one case through backtrader; returns its trades in order of entry."""
    import backtrader as bt

    desk = _Desk(case, bt.Order)

    class Trader(bt.Strategy):  # type: ignore[misc]  # backtrader has no types
        def notify_order(self, order: Any) -> None:
            desk.hear(self, order)

        def next(self) -> None:
            desk.trade(self)

    prices = case.prices
    cerebro = bt.Cerebro(stdstats=False)
    frame = pd.DataFrame(
        {**prices._asdict(), "volume": np.full(len(prices), 1e9)}, index=pd.DatetimeIndex(days(len(prices)))
    )
    cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Trader)
    cerebro.broker.setcash(CASH)
    cerebro.broker.setcommission(commission=case.commission)
    cerebro.run()
    return desk.all_trades()


class _Desk:
    """What the strategy does and keeps: one position at a time, its fills paired into trades."""

    def __init__(self, case: BacktraderCase, kinds: Any) -> None:
        self.case = case
        self.kinds = kinds
        self.trades: list[PeerTrade] = []
        self.filled: tuple[int, int, float, float] | None = None

    def hear(self, strategy: Any, order: Any) -> None:
        if order.status in (order.Margin, order.Rejected):
            raise AssertionError(f"case {self.case.index}: backtrader refused an order")
        if order.status != order.Completed:
            return
        bar, done = len(strategy) - 1, order.executed
        if self.filled is None:
            self.filled = (1 if order.isbuy() else -1, bar, done.price, done.comm)
            if self.case.kind != "bracket":
                self._protect(strategy, order)
            return
        side, entry_bar, price, paid = self.filled
        self.filled = None
        self.trades.append(
            PeerTrade(side, entry_bar, bar, price, done.price, abs(done.size), paid + done.comm, False)
        )

    def _protect(self, strategy: Any, entry: Any) -> None:
        case = self.case
        leave = strategy.sell if entry.isbuy() else strategy.buy
        trail = {"trailpercent" if case.kind == "trail_percent" else "trailamount": case.trail}
        first = leave(size=case.size, exectype=self.kinds.StopTrail, price=entry.executed.price, **trail)
        target = case.target[len(strategy) - 2]
        if target == target:
            leave(size=case.size, exectype=self.kinds.Limit, price=target, oco=first)

    def trade(self, strategy: Any) -> None:
        case, bar = self.case, len(strategy) - 1
        side = case.signal[bar]
        if side == 0 or self.filled is not None:
            return
        if case.kind != "bracket":
            enter = strategy.buy if side > 0 else strategy.sell
            enter(size=case.size)
            return
        enter = strategy.buy_bracket if side > 0 else strategy.sell_bracket
        enter(
            size=case.size,
            exectype=self.kinds.Market,
            stopprice=case.stop[bar],
            limitprice=case.target[bar],
        )

    def all_trades(self) -> list[PeerTrade]:
        """Trades in order of entry, a position still open at the last close."""
        if self.filled is None:
            return self.trades
        side, entry_bar, price, paid = self.filled
        close = self.case.prices.close
        last = PeerTrade(side, entry_bar, len(close) - 1, price, float(close[-1]), self.case.size, paid, True)
        return [*self.trades, last]


def twinstep_trades(case: BacktraderCase) -> list[PeerTrade]:
    """Run one case through Twinstep under the profile `backtrader`."""
    rows = np.flatnonzero(case.signal)
    columns: dict[str, Any] = {"row": rows, "side": case.signal[rows], "qty": case.size}
    if case.kind == "bracket":
        columns["stop"] = case.stop[rows]
    elif case.kind == "trail_percent":
        columns["trail_percent"] = 100.0 * case.trail
    else:
        columns["trail_amount"] = case.trail
    if not np.isnan(case.target[rows]).all():
        columns["target"] = case.target[rows]
    costs = Costs(commission_pct=100.0 * case.commission)
    return our_trades(case.prices, columns, conventions="backtrader", costs=costs)
