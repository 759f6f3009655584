"""Random cases for vectorbt 1.2, and vectorbt itself run on them.

A case is one symbol with signals known at the close of a bar. They execute at that close, or at the next
open; for vectorbt the latter is the signal shifted by one bar with `price=open`. All cases of one length run
as columns of a single portfolio. Trades are rebuilt from the order records, because vectorbt's own trade
records spread the fees of a reversal by size, which is what is done here as well, but in view. vectorbt takes
its engine in Rust where it is installed: the other one compiles for seconds in every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator import Costs

from .cases import CASH, Bools, PeerTrade, Prices, our_trades, random_walk

BARS = 100
COUNT = 500


@dataclass(frozen=True)
class VectorbtCase:
    """One symbol, its signals by bar of knowledge, and one set of exits and costs.

    `stop` and `target` are fractions of the fill, NaN where absent; `trails` makes the stop a trailing one.
    At most one of `long`, `short` and `close` is set on a bar.
    """

    index: int
    prices: Prices
    long: Bools
    short: Bools
    close: Bools
    at_open: bool
    size: float
    stop: float
    trails: bool
    target: float
    fees: float
    slippage: float


def random_cases(count: int = COUNT, bars: int = BARS, seed: int = 20260731) -> list[VectorbtCase]:
    """Return seeded cases: every mixture of stop, trail and target, both entry times, both sides."""
    return [_random_case(index, np.random.default_rng([seed, index]), bars) for index in range(count)]


def _random_case(index: int, rng: np.random.Generator, bars: int) -> VectorbtCase:
    return case_on(index, random_walk(rng, bars), rng)


def case_on(index: int, prices: Prices, rng: np.random.Generator) -> VectorbtCase:
    """Return a random case on given prices."""
    density = rng.choice([0.05, 0.15, 0.4])
    draw = rng.random(len(prices))
    sides = rng.integers(0, 3)  # long only, short only, both
    opening = draw < density
    goes_long = rng.random(len(prices)) < (1.0, 0.0, 0.5)[sides]
    close = (draw > 1.0 - density / 4) & bool(rng.random() < 0.4)
    exits = rng.integers(0, 8)
    has_stop = exits not in (0, 1)
    return VectorbtCase(
        index=index,
        prices=prices,
        long=opening & goes_long,
        short=opening & ~goes_long,
        close=close & ~opening,
        at_open=bool(rng.random() < 0.5),
        size=float(rng.uniform(0.5, 300.0)),
        stop=float(rng.uniform(0.004, 0.08)) if has_stop else np.nan,
        trails=bool(has_stop and exits >= 5),
        target=float(rng.uniform(0.004, 0.12)) if exits in (1, 3, 4, 6, 7) else np.nan,
        fees=float(rng.choice([0.0, 0.0005, 0.003])),
        slippage=float(rng.choice([0.0, 0.0004, 0.002])),
    )


def vectorbt_trades(cases: Sequence[VectorbtCase], engine: str = "auto") -> list[list[PeerTrade]]:
    """Run cases of one length through vectorbt; returns the trades of each case in order of entry."""
    orders = vectorbt_orders(cases, engine)
    bounds = np.searchsorted(orders["col"], np.arange(len(cases) + 1))
    return [_round_trips(orders[bounds[k] : bounds[k + 1]], case) for k, case in enumerate(cases)]


def vectorbt_orders(cases: Sequence[VectorbtCase], engine: str = "auto") -> npt.NDArray[np.void]:
    """Return vectorbt's order records for all cases, sorted by column (case) and time."""
    import vectorbt as vbt

    def panel(name: str) -> npt.NDArray[np.float64]:
        return np.column_stack([getattr(case.prices, name) for case in cases])

    def shifted(name: str) -> Bools:
        return np.column_stack([_when_executed(getattr(case, name), case.at_open) for case in cases])

    def row(values: Sequence[Any]) -> npt.NDArray[Any]:
        return np.array([values])

    open_, close = panel("open"), panel("close")
    at_open = row([case.at_open for case in cases])
    portfolio = vbt.Portfolio.from_signals(
        close,
        entries=shifted("long"),
        exits=shifted("close"),
        short_entries=shifted("short"),
        short_exits=shifted("close"),
        open=open_,
        high=panel("high"),
        low=panel("low"),
        price=np.where(at_open, open_, close),
        size=row([case.size for case in cases]),
        sl_stop=row([case.stop for case in cases]),
        sl_trail=row([case.trails for case in cases]),
        tp_stop=row([case.target for case in cases]),
        fees=row([case.fees for case in cases]),
        slippage=row([case.slippage for case in cases]),
        stop_entry_price="fillprice",
        init_cash=CASH,
        freq="1D",
        engine=engine,
    )
    records: npt.NDArray[np.void] = portfolio.order_records
    return records


def _when_executed(signal: Bools, at_open: bool) -> Bools:
    if not at_open:
        return signal
    return np.concatenate([[False], signal[:-1]])


def _round_trips(orders: npt.NDArray[np.void], case: VectorbtCase) -> list[PeerTrade]:
    # An order closes what is open, and what is left of it opens the other side.
    trades = []
    side, entry_bar, entry_price, held, paid = 0, 0, 0.0, 0.0, 0.0
    for order in orders:
        bar, size, price, fees = (
            int(order["idx"]),
            float(order["size"]),
            float(order["price"]),
            float(order["fees"]),
        )
        direction = 1 if order["side"] == 0 else -1
        left = size
        if held > 0.0:
            if direction == side:
                raise AssertionError(f"case {case.index}: vectorbt added to a position on bar {bar}")
            trades.append(
                PeerTrade(side, entry_bar, bar, entry_price, price, held, paid + fees * held / size, False)
            )
            left = size - held if size - held > 1e-9 * size else 0.0
            held = 0.0
        if left > 0.0:
            side, entry_bar, entry_price, held, paid = direction, bar, price, left, fees * left / size
    if held > 0.0:
        last = len(case.prices) - 1
        trades.append(
            PeerTrade(side, entry_bar, last, entry_price, float(case.prices.close[-1]), held, paid, True)
        )
    return trades


def twinstep_trades(case: VectorbtCase) -> list[PeerTrade]:
    """Run one case through Twinstep under the profile `vectorbt`."""
    rows = np.flatnonzero(case.long | case.short | case.close)
    side = np.where(case.long[rows], 1, np.where(case.short[rows], -1, 0))
    columns: dict[str, Any] = {
        "row": rows,
        "side": side,
        "entry": "open" if case.at_open else "close",
        "qty": case.size,
    }
    if case.stop == case.stop:
        columns["trail_percent" if case.trails else "stop_percent"] = 100.0 * case.stop
    if case.target == case.target:
        columns["target_percent"] = 100.0 * case.target
    costs = Costs(commission_pct=100.0 * case.fees, slippage_bps=1e4 * case.slippage)
    return our_trades(case.prices, columns, conventions="vectorbt", costs=costs)
