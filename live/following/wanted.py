"""What has to be at the broker, worked out from the plan's state alone: nobody is asked, nothing remembered.

One `Wanted` per entry order of the plan that works or has opened a position which is still held; its number
is the key of everything that follows from it. Prices come out real and on the tick: the kernel keeps levels
mirrored (times the side), brokers know nothing of that.

What a broker rests: the entry, one stop at the level in force, one target where it is for all of the
position. The rest the plan works itself (several targets, scale-outs, adds, time and signal exits), and the
follower sends what the plan has done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from live.brokers.interface import Leg
from simulator.kernel import codes
from simulator.types import ExitReason

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.kernel.state import State

__all__ = ["Entry", "Holding", "Package", "Wanted", "wanted"]

EntryKind = Literal["market", "limit", "stop", "stop_limit"]

_RESTING: Final[dict[int, EntryKind]] = {
    codes.ENTRY_OPEN: "market",
    codes.ENTRY_LIMIT: "limit",
    codes.ENTRY_STOP: "stop",
    codes.ENTRY_STOP_LIMIT: "stop_limit",
}
"""Entries that are sent while the plan waits for them; those at a close are sent when the plan has them."""

_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry that the plan has working.

    Attributes
    ----------
    quantity
        As granted, what has filled in the plan included; not signed.
    stop_loss, take_profit
        Where its bracket would rest, measured from `expected`; None for none, or for more than one target.
    expected
        Price that the plan counts with.
    """

    kind: EntryKind
    quantity: float
    limit_price: float | None
    stop_price: float | None
    stop_loss: float | None
    take_profit: float | None
    tif: Literal["day", "gtc"]
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An option package: contracts of one package, signed as the plan holds them, and what one brings.

    Attributes
    ----------
    legs
        Bought above 0.
    net
        At its entry, per unit of the underlying; received is positive.
    mark
        What leaving would bring now, received is positive.
    expires
        Session of the first leg that ends, days since 1970.
    """

    legs: tuple[Leg, ...]
    net: float
    mark: float
    expires: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position that the plan holds.

    Attributes
    ----------
    trade
        Its number.
    quantity
        Now; not signed.
    entered, added, left
        Quantity that the entry order has brought, that adds have, and that has left.
    entry_price
        Of the plan.
    stop, target
        Levels in force; None for none. A target only where it is for all of the position.
    leaving
        Why all of it leaves at the next chance, None where it does not.
    just_entered
        Whether the plan has entered on the last bar, at its close.
    mark
        Last price.
    """

    trade: int
    quantity: float
    entered: float
    added: float
    left: float
    entry_price: float
    stop: float | None
    target: float | None
    leaving: ExitReason | None
    just_entered: bool
    entered_ts: int
    mark: float
    package: Package | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the plan wants of one entry order.

    Attributes
    ----------
    order, signal
        Numbers of the plan's order and signal.
    side
        +1 or -1.
    entry
        What works, None where it has filled or ended.
    holding
        What is held of it, None for nothing.
    """

    order: int
    signal: int
    symbol: str
    strategy: str
    side: int
    entry: Entry | None
    holding: Holding | None

    @property
    def stop(self) -> float | None:
        """The stop's level in force: before the plan has entered, that of the bracket; None for none."""
        if self.holding is not None:
            return self.holding.stop
        return None if self.entry is None else self.entry.stop_loss

    @property
    def most(self) -> float:
        """The most that may be held at the broker for it."""
        if self.holding is None:
            return 0.0 if self.entry is None else self.entry.quantity
        if self.holding.leaving is not None:
            return 0.0
        waiting = 0.0 if self.entry is None else max(0.0, self.entry.quantity - self.holding.entered)
        return self.holding.quantity + waiting


def wanted(state: State, like: Bars, strategies: Sequence[str] = ("",)) -> tuple[Wanted, ...]:
    """Return what has to be at the broker, oldest order first.

    Parameters
    ----------
    state
        The plan's account, after a bar.
    like
        Names and instruments by column.
    strategies
        Names by code.
    """
    row = int(state.account["row"][0])
    entries: dict[int, tuple[Any, Entry | None]] = {}
    for slot in state.order_slots["slot"][: int(state.account["n_orders"][0])].tolist():
        order = state.orders[slot]
        if order["live"] and not order["package"]:
            entries[int(order["id"])] = (order, _entry(order, state.plans[slot], like))
    holdings: dict[int, tuple[Any, Holding]] = {}
    for slot in state.open_slots["slot"][: int(state.account["n_positions"][0])].tolist():
        position = state.positions[slot]
        if position["live"]:
            holdings[int(position["order"])] = (position, _holding(state, slot, like, row))
    found = []
    for number in sorted({*entries, *holdings}):
        record = entries[number][0] if number in entries else holdings[number][0]
        code = int(record["strategy"])
        found.append(
            Wanted(
                order=number,
                signal=int(record["signal"]),
                symbol=like.symbols[int(record["sym"])],
                strategy=strategies[code] if code < len(strategies) else "",
                side=int(record["side"]),
                entry=entries[number][1] if number in entries else None,
                holding=holdings[number][1] if number in holdings else None,
            )
        )
    return tuple(found)


def _entry(order: Any, plan: Any, like: Bars) -> Entry | None:
    kind = _RESTING.get(int(order["entry"]))
    if kind is None:
        return None
    side, expected = float(order["side"]), float(order["reference"])
    tick = float(like.instruments["tick"][int(order["sym"])])
    limit = stop = None
    if kind in ("limit", "stop_limit"):
        limit = _on_tick(float(order["limit"]) * side, tick)
    if kind in ("stop", "stop_limit"):
        stop = _on_tick(float(order["trigger"]) * side, tick)
    level = _first_stop(plan, expected * side, side)
    profit = None
    if not int(plan["extras"]) & codes.EXTRA_TARGETS:
        profit = _on_tick(_first_target(plan, expected * side, side, level) * side, tick)
    return Entry(
        kind=kind, quantity=float(order["qty"]), limit_price=limit, stop_price=stop,
        stop_loss=_on_tick(level * side, tick),
        take_profit=profit, tif="day" if kind == "market" or int(order["tif"]) == codes.TIF_DAY else "gtc",
        expected=expected,
    )  # fmt: skip


def _first_stop(plan: Any, entry: float, side: float) -> float:
    """Return the mirrored stop of a fill at the mirrored `entry`, NaN for none, as the kernel has it."""
    level = _picked(plan["stop"] * side, -plan["stop_percent"], -plan["stop_atr"] * plan["atr"], entry)
    if math.isnan(level):
        distances = (
            abs(entry) * plan["trail_percent"] / 100.0, plan["trail_amount"],
            plan["trail_atr"] * plan["atr"],
        )  # fmt: skip
        level = entry - next((float(one) for one in distances if not math.isnan(one)), math.nan)
    return level


def _first_target(plan: Any, entry: float, side: float, stop: float) -> float:
    return _picked(plan["target"] * side, plan["target_percent"], plan["target_r"] * (entry - stop), entry)


def _picked(price: float, percent: float, distance: float, entry: float) -> float:
    if not math.isnan(price):
        return float(price)
    if not math.isnan(percent):
        return float(entry + abs(entry) * percent / 100.0)
    return float(entry + distance)


def _holding(state: State, slot: int, like: Bars, row: int) -> Holding:
    position = state.positions[slot]
    side = float(position["side"])
    tick = float(like.instruments["tick"][int(position["sym"])])
    pending = int(position["pending"]) or int(position["pending_close"])
    target = None
    only = state.targets[slot][0]
    if not int(position["extras"]) & codes.EXTRA_TARGETS and int(only["reason"]):
        target = _on_tick(float(only["price"]) * side, tick)
    packaged = bool(position["package"])
    entered = float(position["first_qty"])
    return Holding(
        trade=int(position["id"]),
        quantity=float(position["qty"]),
        entered=entered,
        added=max(0.0, float(position["entry_qty"]) - entered),
        left=float(position["exit_qty"]),
        entry_price=float(position["entry_price"]),
        stop=None if packaged else _on_tick(float(position["stop_now"]) * side, tick),
        target=None if packaged else target,
        leaving=ExitReason(pending) if pending else None,
        just_entered=int(position["entry_row"]) == row and int(position["entry_phase"]) == codes.AT_CLOSE,
        entered_ts=int(position["entry_ts"]),
        mark=float(position["mark"]),
        package=_package(state, slot, like) if packaged else None,
    )


def _package(state: State, slot: int, like: Bars) -> Package:
    position, rules = state.positions[slot], state.packages[slot]
    underlying, side = like.symbols[int(position["sym"])], float(position["side"])
    legs, first = [], 2**31
    for leg in state.legs[slot][: int(rules["legs"])]:
        count = float(leg["side"]) * float(leg["ratio"])
        if int(leg["right"]) == 0:
            legs.append(Leg(underlying, count * float(rules["multiplier"])))
            continue
        legs.append(Leg(_occ(underlying, leg), count))
        first = min(first, int(leg["expiry"]))
    return Package(
        legs=tuple(legs), net=-side * float(position["entry_price"]), mark=side * float(position["mark"]),
        expires=first,
    )  # fmt: skip


def _occ(underlying: str, leg: Any) -> str:
    day = _EPOCH + timedelta(days=int(leg["expiry"]))
    right = "C" if int(leg["right"]) > 0 else "P"
    return f"{underlying}{day:%y%m%d}{right}{round(float(leg['strike']) * 1_000):08d}"


def _on_tick(price: float, tick: float) -> float | None:
    """Return a price as brokers take it; None for one that is absent."""
    if not math.isfinite(price):
        return None
    if tick > 0.0:
        price = float(np.round(price / tick)) * tick
    # 0.1 + 0.2 is no price; brokers count in hundredths of a cent at most
    return round(price, 6)
