"""Orders of an account, read from the kernel's state and logs, step by step.

Entries come from the event log. Stops, targets, trails and adds are levels of positions: what the state holds
is open, what a fill took is filled, and what is left when a position ends is cancelled. `OrderManager` is the
way to use this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from simulator.kernel import codes
from simulator.kernel.state import State
from simulator.orders import Order, OrderEvent, TrailingStop
from simulator.types import Entry, ExitReason, FillKind, OrderState, Reason

__all__ = ["STOPS", "HasState", "OrderReader"]

Records = npt.NDArray[np.void]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: Final = {
    Entry.OPEN: "market",
    Entry.FIXED_OPEN: "market",
    Entry.FIXED_BAR: "market",
    Entry.FIXED_CLOSE: "close",
}
_CHILD_TYPES: Final = {
    FillKind.ADD: "stop",
    FillKind.STOP: "stop",
    FillKind.TRAIL: "trailing_stop",
    FillKind.TARGET: "limit",
    FillKind.EXIT: "market",
}
_DUST: Final = 1e-9
"""Share of an order that is rounding, as in the kernel."""
STOPS: Final = (FillKind.STOP, FillKind.TRAIL)


class HasState(Protocol):
    """Anything with an account: a `Run`, a `Stepper` or a live session."""

    @property
    def state(self) -> State:
        """The account's state."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names by column."""
        ...


class OrderReader:
    """Orders by id, kept up to date by `update`.

    Parameters
    ----------
    account
        Whose orders.
    """

    def __init__(self, account: HasState) -> None:
        self._account = account
        self._orders: dict[str, Order] = {}
        self._of_position: dict[int, str] = {}  # position id -> entry order
        self._trails: dict[str, TrailingStop] = {}

    def update(self, logs: Mapping[str, Records]) -> tuple[Order, ...]:
        """Take in what a step logged; return the orders that it changed, in the order of their ids."""
        before = dict(self._orders)
        for event in logs["events"]:
            if int(event["kind"]) == codes.KIND_ENTRY:
                self._entry_event(event)
            elif int(event["kind"]) == codes.KIND_ADD:
                self._add_cancelled(event)
        hits: dict[str, list[OrderEvent]] = {}  # fills of what belongs to positions
        last: dict[int, str] = {}
        for fill in logs["fills"]:
            position = int(fill["position"])
            self._of_position.setdefault(position, str(int(fill["order"])))
            key = self._paid(fill)
            if "-" in key:
                hits.setdefault(key, []).append(_hit(fill))
                last[position] = key
        waits = self._read_state()
        ended = {int(trade["id"]): last.get(int(trade["id"])) for trade in logs["trades"]}
        for key, events in hits.items():
            self._settle(key, events, whole=key in ended.values(), waits=key in waits)
        for trade in logs["trades"]:
            self._closed(trade)
        return tuple(order for key, order in self._orders.items() if before.get(key) is not order)

    def _entry_event(self, event: np.void) -> None:
        key = str(int(event["order"]))
        known = self._orders.get(key)
        state = OrderState(int(event["state"]))
        price, quantity = float(event["price"]), float(event["qty"])
        change = OrderEvent(_time(event["ts"]), state, Reason(int(event["reason"])), price, quantity)
        if known is None:
            known = self._new_entry(key, int(event["sym"]), price, quantity)
        changes: dict[str, float] = {}
        if int(event["position"]) >= 0:
            self._of_position[int(event["position"])] = key
        if change.reason == Reason.FILL_BUYING_POWER and known.is_open and state == known.state:
            changes["quantity"] = known.filled_quantity + quantity
        self._orders[key] = known.moved(change, **changes)

    def _new_entry(self, key: str, column: int, price: float, quantity: float) -> Order:
        record = self._order_record(int(key))
        kind = Entry.OPEN if record is None else Entry(int(record["entry"]))
        return Order(
            order_id=key,
            symbol=self._account.symbols[column],
            side=1 if record is None else int(record["side"]),
            kind=FillKind.ENTRY,
            order_type=_TYPES.get(kind, kind.label),
            quantity=quantity,
            price=price,
        )

    def _order_record(self, number: int) -> np.void | None:
        # A slot keeps its record until another order takes it; a slot never used has no quantity.
        orders = self._account.state.orders
        found: npt.NDArray[np.intp] = np.flatnonzero((orders["id"] == number) & (orders["qty"] > 0.0))
        return orders[int(found[0])] if len(found) else None

    def _add_cancelled(self, event: np.void) -> None:
        key = self._child_of(int(event["position"]), "add")
        if key in self._orders and not self._orders[key].is_open:
            key = f"{key}2"
        if key in self._orders:
            change = OrderEvent(
                _time(event["ts"]), OrderState.CANCELLED, Reason(int(event["reason"])),
                float(event["price"]), float(event["qty"]),
            )  # fmt: skip
            self._orders[key] = self._orders[key].moved(change)

    def _paid(self, fill: np.void) -> str:
        # Count a fill in its order, made if it is not known; returns the order's id.
        kind = FillKind(int(fill["kind"]))
        quantity, price = float(fill["qty"]), float(fill["price"])
        key = str(int(fill["order"]))
        if kind != FillKind.ENTRY:
            key = self._child_of(int(fill["position"]), _role(kind, ExitReason(int(fill["reason"]))))
            if kind == FillKind.ADD and key in self._orders and not self._orders[key].is_open:
                key = f"{key}2"
        order = self._orders.get(key)
        if order is None:
            order = Order(
                order_id=key,
                symbol=self._account.symbols[int(fill["sym"])],
                side=int(fill["side"]),
                kind=kind,
                order_type=_CHILD_TYPES[kind],
                quantity=0.0,
                price=price,
                state=OrderState.SUBMITTED,
            )
        total = order.filled_quantity + quantity
        before = 0.0 if order.filled_quantity == 0.0 else order.average_price * order.filled_quantity
        self._orders[key] = replace(
            order,
            kind=kind,
            side=int(fill["side"]),
            quantity=max(order.quantity, total) if kind != FillKind.ENTRY else order.quantity,
            filled_quantity=total,
            average_price=price if before == 0.0 else (before + price * quantity) / total,
            fees=order.fees + float(fill["fee"]),
        )
        return key

    def _settle(self, key: str, events: list[OrderEvent], *, whole: bool, waits: bool) -> None:
        # `whole`: it ended its position; `waits`: the state still holds the rest of it.
        order = self._orders[key]
        done = whole or (not waits and order.filled_quantity >= order.quantity * (1.0 - _DUST))
        for index, event in enumerate(events):
            final = done and index == len(events) - 1
            state = OrderState.FILLED if final else OrderState.PARTIALLY_FILLED
            if not order.is_open:
                state = order.state  # a position of several exits of one kind
            order = order.moved(replace(event, state=state))
        if whole:
            order = replace(order, quantity=order.filled_quantity)
        self._orders[key] = order

    def _closed(self, trade: np.void) -> None:
        # One exit cancels what else belonged to the position.
        entry = self._of_position.pop(int(trade["id"]), None)
        for key, order in list(self._orders.items()):
            if entry is not None and key.startswith(f"{entry}-") and order.is_open:
                change = OrderEvent(
                    _time(trade["exit_ts"]), OrderState.CANCELLED, Reason.SIBLING_FILLED, order.price, 0.0
                )
                self._orders[key] = order.moved(change)
        if entry in self._trails:
            self._trails[entry] = replace(self._trails[entry], active=False)

    def _read_state(self) -> set[str]:
        # Levels of what is open, as they stand; returns the orders that wait there.
        state = self._account.state
        account = state.account[0]
        waits: set[str] = set()
        for slot in state.open_slots["slot"][: int(account["n_positions"])]:
            waits |= self._read_position(state, int(slot), int(account["ts"]))
        return waits

    def _read_position(self, state: State, slot: int, ts: int) -> set[str]:
        record = state.positions[slot]
        entry = str(int(record["order"]))
        self._of_position[int(record["id"])] = entry
        waits = {f"{entry}-exit"} if int(record["pending"]) != 0 else set()
        if int(record["package"]) == 1:
            return waits
        side, held = int(record["side"]), float(record["qty"])
        if entry not in self._orders:
            self._orders[entry] = Order(
                order_id=entry, symbol=self._account.symbols[int(record["sym"])], side=side,
                kind=FillKind.ENTRY, order_type="market", quantity=float(record["first_qty"]),
                price=float(record["entry_price"]), state=OrderState.FILLED,
                filled_quantity=float(record["first_qty"]), average_price=float(record["entry_price"]),
            )  # fmt: skip
        trailing = int(record["trail_mode"]) != 0
        stop = float(record["stop_now"])
        if stop > -math.inf:
            trails = int(record["trail_on"]) == 1 and float(record["trail_level"]) >= float(record["stop"])
            kind = FillKind.TRAIL if trails else FillKind.STOP
            word = "trailing_stop" if trails else "stop"
            waits.add(self._level(f"{entry}-stop", entry, kind, word, held, stop * side, ts))
        for target in state.targets[slot]:
            reason = int(target["reason"])
            if reason != 0 and float(target["qty"]) > 0.0:
                role = _role(FillKind.TARGET, ExitReason(reason))
                size = min(float(target["qty"]), held)
                price = float(target["price"]) * side
                waits.add(self._level(f"{entry}-{role}", entry, FillKind.TARGET, "limit", size, price, ts))
        for number, add in enumerate(state.adds[slot]):
            if int(add["state"]) == 1:
                role = "add" if number == 0 else "add2"
                price = float(add["price"]) * side
                size = float(add["qty"])
                waits.add(self._level(f"{entry}-{role}", entry, FillKind.ADD, "stop", size, price, ts))
        if trailing:
            self._trails[entry] = _trail(record, self._account.symbols[int(record["sym"])])
        return waits

    def _level(
        self, key: str, entry: str, kind: FillKind, order_type: str, quantity: float, price: float, ts: int
    ) -> str:
        parent = self._orders[entry]
        known = self._orders.get(key)
        size = quantity if known is None else known.filled_quantity + quantity
        if known is None:
            side = parent.side if kind == FillKind.ADD else -parent.side
            fresh = Order(
                order_id=key, symbol=parent.symbol, side=side, kind=kind, order_type=order_type,
                quantity=size, price=price,
            )  # fmt: skip
            change = OrderEvent(_time(ts), OrderState.SUBMITTED, Reason.NONE, price, quantity)
            self._orders[key] = fresh.moved(change)
        elif known.is_open and (known.price, known.quantity, known.kind) != (price, size, kind):
            self._orders[key] = replace(known, price=price, quantity=size, kind=kind, order_type=order_type)
        return key

    def _child_of(self, position: int, role: str) -> str:
        return f"{self._of_position.get(position, position)}-{role}"


def _role(kind: FillKind, reason: ExitReason) -> str:
    if kind in STOPS:
        return "stop"
    if kind == FillKind.TARGET:
        return reason.label
    return kind.label


def _hit(fill: np.void) -> OrderEvent:
    return OrderEvent(
        _time(fill["ts"]), OrderState.FILLED, Reason.NONE, float(fill["price"]), float(fill["qty"])
    )


def _trail(record: np.void, symbol: str) -> TrailingStop:
    side = int(record["side"])
    by_percent = int(record["trail_mode"]) == 1
    distance = float(record["trail_distance"])
    level = float(record["trail_level"])
    return TrailingStop(
        percent=100.0 * distance if by_percent else None,
        amount=None if by_percent else distance,
        symbol=symbol,
        side=side,
        peak=float(record["peak"]) * side,
        level=level * side if level > -math.inf else None,
        active=int(record["trail_on"]) == 1,
    )


def _time(ns: np.int64 | int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(ns) // 1000)
