"""What Interactive Brokers says about orders and executions, and how far it is to be believed.

Three things are not as they look. An order is listed as open, or as completed, or for a moment in neither
list and only in its executions, so all three are asked. Only the gateway's own words count, as they
stand on the `Tape`, and not what the library makes of them. A completed order has lost the quantity that it
was placed with. And a number is durable only as permId: order ids belong to one client, and are issued again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from live.brokers.interactive_brokers.contracts import Contracts, multiplier_of
from live.brokers.interactive_brokers.door import library
from live.brokers.interactive_brokers.gateway import Gateway
from live.brokers.interactive_brokers.orders import STOP, TARGET
from live.brokers.interactive_brokers.tape import ENDED, Line, key_of
from live.brokers.interface import BrokerOrder, Leg, OrderKind
from simulator.brokerage import Execution
from simulator.types import OrderState

__all__ = ["Readings", "first_id", "given", "number"]

UNSET: Final = 1e300
"""What is larger was not set: the library's sentinel is the largest double."""

FEES_WAIT: Final = 0.5
FEES_RECENT: Final = 60.0
"""Seconds to wait for the fees of executions that are younger than so many."""

_KINDS: Final[dict[str, OrderKind]] = {
    "MKT": "market", "LMT": "limit", "STP": "stop", "STP LMT": "stop_limit", "TRAIL": "trailing",
    "TRAIL LIMIT": "trailing",
}  # fmt: skip


class Readings:
    """The orders and executions of one account, as they were read last."""

    def __init__(self, gateway: Gateway, contracts: Contracts) -> None:
        self._gateway = gateway
        self._contracts = contracts
        self._known: dict[str, BrokerOrder] = {}
        self._seen: dict[str, Execution] = {}

    async def orders(self, ib: Any, *, everything: bool) -> list[BrokerOrder]:
        """Ask for orders: those that work, of all clients, and with `everything` those that ended."""
        found: dict[str, BrokerOrder] = {}
        for line in await self.open_lines(ib):
            order = await self.open_order(ib, line)
            found[order.order_id] = order
        # a child names its parent, which may have ended long ago
        if everything or self._orphans(found.values()):
            completed = await ib.reqCompletedOrdersAsync(False)
            fills = await self.fills(ib)
            for trade in completed:
                if self._ours(trade.order.account):
                    order = await self._completed(ib, trade)
                    # asked later, so it is the newer word
                    found[order.order_id] = order
            await self._take_in(ib, found, fills)
        both = [*self._known.values(), *found.values()]
        parents = {order.client_order_id: order.order_id for order in both if order.client_order_id}
        linked = [_linked(order, parents) for order in found.values()]
        self._known.update({order.order_id: order for order in linked})
        return sorted(linked, key=lambda order: (len(order.order_id), order.order_id))

    async def executions(self, ib: Any) -> list[Execution]:
        """Ask for the executions of the session; those that were read before and are gone are kept."""
        for fill in await self.fills(ib):
            if fill.contract.secType != "BAG":
                one = self._execution(fill)
                self._seen[one.execution_id] = one
        return sorted(self._seen.values(), key=lambda one: (one.time, one.execution_id))

    async def fills(self, ib: Any) -> list[Any]:
        """Ask for the fills of the session: of each its newest correction, with fees where known."""
        lib = library()
        answer = await ib.reqExecutionsAsync(lib.ExecutionFilter(acctCode=self._gateway.account))
        newest: dict[str, Any] = {}
        for fill in answer:
            if not self._ours(fill.execution.acctNumber):
                continue
            if fill.execution.clientId == self._gateway.client_id:
                self._gateway.note_used(fill.execution.orderId)
            base, revision = _revision(fill.execution.execId)
            before = newest.get(base)
            if before is None or revision >= _revision(before.execution.execId)[1]:
                newest[base] = fill
        recent = {
            fill.execution.execId
            for fill in newest.values()
            if fill.contract.secType != "BAG" and time.time() - fill.execution.time.timestamp() < FEES_RECENT
        }

        def reported() -> bool:
            known = {fill.execution.execId: fill for fill in ib.fills()}
            return all(key in known and known[key].commissionReport.execId for key in recent)

        await self._gateway.until(ib, reported, FEES_WAIT)
        # fees come in messages of their own, which the library adds to its own list only
        known = {fill.execution.execId: fill for fill in ib.fills()}
        return [known.get(fill.execution.execId, fill) for fill in newest.values()]

    def order_id_of(self, ref: str) -> str:
        """Return the permId of the order with a reference, "" where it was never read."""
        found = (order.order_id for order in list(self._known.values()) if order.client_order_id == ref)
        return next(found, "")

    async def open_lines(self, ib: Any) -> list[Line]:
        """Ask for the open orders of all clients, word for word."""
        tape = self._gateway.tape
        assert tape is not None  # noqa: S101 - there is one as soon as there is a connection
        with tape.listing() as listed:
            await ib.reqAllOpenOrdersAsync()
        return [tape.lines[key] for key in listed if self._ours(tape.lines[key].order.account)]

    async def open_order(self, ib: Any, line: Line) -> BrokerOrder:
        """Return an order that is listed as open."""
        filled, wanted = line.filled, number(line.order.totalQuantity) or 0.0
        state = OrderState.PARTIALLY_FILLED if filled > 0.0 else OrderState.SUBMITTED
        if line.status == "Filled":
            state, filled = OrderState.FILLED, max(filled, wanted)
        elif line.status in ENDED:
            state = OrderState.CANCELLED
        order = await self._order(ib, line, wanted, filled, state)
        average = number(line.average)
        if filled > 0.0 and average is not None:
            order = replace(order, average_price=_net(line, average))
        self._known[order.order_id] = order
        return order

    async def _completed(self, ib: Any, trade: Any) -> BrokerOrder:
        said_so = trade.orderStatus.status
        filled = number(trade.order.filledQuantity) or 0.0
        state = OrderState.FILLED
        if said_so == "Inactive":
            state = OrderState.REJECTED
        elif said_so != "Filled":
            state = OrderState.CANCELLED
        before = self._known.get(key_of(trade.order))
        units = 1.0 if before is None else _units(before)
        wanted = number(trade.order.totalQuantity) or 0.0
        if before is not None and not wanted:
            wanted = before.quantity / units
        elif not wanted:
            # it does not say any more how much was asked for: of what was cancelled, more than it got
            wanted = filled if state is OrderState.FILLED else filled + 1.0
        return await self._order(ib, trade, wanted, filled, state)

    async def _order(
        self, ib: Any, trade: Any, wanted: float, filled: float, state: OrderState
    ) -> BrokerOrder:
        """Return an order of so many units, of which so many are filled."""
        order, contract = trade.order, trade.contract
        side = 1.0 if order.action == "BUY" else -1.0
        if contract.secType == "BAG":
            legs = []
            for leg in contract.comboLegs or []:
                way = side if leg.action == "BUY" else -side
                legs.append(Leg(await self._contracts.name(ib, leg.conId), way * leg.ratio * wanted))
            first = float(contract.comboLegs[0].ratio) if contract.comboLegs else 1.0
        else:
            legs = [Leg(self._contracts.learn(contract), side * wanted)]
            first = 1.0
        kind = _KINDS.get(order.orderType)
        limit = given(order.lmtPrice) if order.orderType in ("LMT", "STP LMT") or kind is None else None
        if contract.secType == "BAG" and order.orderType == "LMT":
            limit = number(order.lmtPrice)  # a package may cost nothing
        stop = given(order.auxPrice) if kind in ("stop", "stop_limit") else None
        if kind == "trailing":
            stop = given(order.trailStopPrice)
        return BrokerOrder(
            order_id=key_of(order),
            client_order_id=order.orderRef,
            legs=tuple(legs),
            kind=kind or ("market" if limit is None else "limit"),
            state=state,
            quantity=wanted * first,
            filled=filled * first,
            limit_price=None if limit is None else _net(trade, limit),
            stop_price=stop,
        )

    async def _take_in(self, ib: Any, found: dict[str, BrokerOrder], fills: Sequence[Any]) -> None:
        """Let executions count before everything else that is said about an order."""
        by_order: dict[str, list[Any]] = {}
        for fill in fills:
            if fill.execution.permId:
                by_order.setdefault(str(fill.execution.permId), []).append(fill)
        for order_id, mine in by_order.items():
            order = found.get(order_id) or self._vanished(order_id, mine)
            found[order_id] = _filled(order, mine, self._contracts)

    def _vanished(self, order_id: str, fills: Sequence[Any]) -> BrokerOrder:
        """Return an order that is in neither list any more, as far as its fills tell."""
        before = self._known.get(order_id)
        if before is not None:
            return replace(before, state=OrderState.CANCELLED, filled=0.0, average_price=None)
        parts = [fill for fill in fills if fill.contract.secType != "BAG"]
        legs: dict[str, float] = {}
        for fill in parts:
            symbol = self._contracts.learn(fill.contract)
            legs[symbol] = legs.get(symbol, 0.0) + _side(fill) * fill.execution.shares
        first = abs(next(iter(legs.values()), 0.0))
        return BrokerOrder(
            order_id=order_id,
            client_order_id=fills[0].execution.orderRef,
            legs=tuple(Leg(symbol, quantity) for symbol, quantity in legs.items()),
            kind="market",
            state=OrderState.CANCELLED,
            quantity=first,
        )

    def _orphans(self, orders: Iterable[BrokerOrder]) -> bool:
        known = {order.client_order_id for order in (*self._known.values(), *orders)}
        return any(_parent_ref(order.client_order_id) not in known for order in orders)

    def _execution(self, fill: Any) -> Execution:
        done, contract = fill.execution, fill.contract
        fees = number(fill.commissionReport.commission) or 0.0
        base, _ = _revision(done.execId)
        before = self._seen.get(base)
        return Execution(
            execution_id=base,
            order_id=str(done.permId) if done.permId else "",
            time=done.time,
            symbol=self._contracts.learn(contract),
            side=int(_side(fill)),
            quantity=float(done.shares),
            price=float(done.price),
            multiplier=multiplier_of(contract),
            fees=fees if fees or before is None else before.fees,
        )

    def _ours(self, account: str) -> bool:
        return account in ("", self._gateway.account)


def number(value: Any) -> float | None:
    """Return a number, None for what was not set."""
    if value is None or value == "":
        return None
    found = float(value)
    return found if math.isfinite(found) and abs(found) < UNSET else None


def given(value: Any) -> float | None:
    """Return a price of an order; 0 is how the gateway writes that there is none."""
    return number(value) or None


def _net(trade: Any, price: float) -> float:
    """Return a price in our sign: of a combination what is received."""
    if trade.contract.secType != "BAG":
        return price
    return -price if trade.order.action == "BUY" else price


def _parent_ref(ref: str) -> str:
    """Return the reference of the order that this one belongs to; its own where it is no child."""
    for ending in (STOP, TARGET):
        if ref.endswith(ending):
            return ref.removesuffix(ending)
    return ref


def _linked(order: BrokerOrder, parents: Mapping[str, str]) -> BrokerOrder:
    """Name the parent of a child by our own reference: ids of parents are issued again."""
    ref = _parent_ref(order.client_order_id)
    return order if ref == order.client_order_id else replace(order, parent_id=parents.get(ref, ""))


def _filled(order: BrokerOrder, fills: Sequence[Any], contracts: Contracts) -> BrokerOrder:
    """Return an order with what its executions say is filled, where they say more."""
    by_leg: dict[str, list[tuple[float, float]]] = {}
    for fill in fills:
        if fill.contract.secType != "BAG":
            symbol = contracts.learn(fill.contract)
            by_leg.setdefault(symbol, []).append((float(fill.execution.shares), float(fill.execution.price)))
    first = order.legs[0].symbol if order.legs else next(iter(by_leg), "")
    filled = sum(shares for shares, _ in by_leg.get(first, ()))
    if filled < order.filled:
        return order
    prices = {symbol: _average(parts) for symbol, parts in by_leg.items()}
    average: float | None = prices.get(first)
    if len(order.legs) > 1:
        whole = all(leg.symbol in prices for leg in order.legs)
        each = order.quantity / _units(order) if order.quantity else 1.0
        average = (
            -sum(leg.quantity / each * prices[leg.symbol] for leg in order.legs)
            if whole
            else order.average_price
        )
    state = order.state
    if filled >= order.quantity - 1e-9:
        state = OrderState.FILLED
    elif state is OrderState.SUBMITTED and filled > 0.0:
        state = OrderState.PARTIALLY_FILLED
    return replace(order, filled=filled, average_price=average, state=state)


def _units(order: BrokerOrder) -> float:
    """Return how much of the first leg is in one unit of a package; 1 for what is none."""
    if len(order.legs) < 2:
        return 1.0
    return abs(order.legs[0].quantity) / math.gcd(*(max(1, abs(int(leg.quantity))) for leg in order.legs))


def _average(parts: Iterable[tuple[float, float]]) -> float:
    quantity = value = 0.0
    for shares, price in parts:
        quantity += shares
        value += shares * price
    return value / quantity if quantity else math.nan


def _side(fill: Any) -> float:
    return 1.0 if fill.execution.side == "BOT" else -1.0


def first_id(execution_id: str) -> str:
    """Return the id that an execution had before it was corrected: by this one it is known for ever."""
    return _revision(execution_id)[0]


def _revision(execution_id: str) -> tuple[str, int]:
    """Return the id that an execution had first, and how often it was corrected since.

    >>> _revision("0000e0d5.6163c7ca.01.03")
    ('0000e0d5.6163c7ca.01.01', 3)
    """
    base, _, last = execution_id.rpartition(".")
    if not base or not last.isdigit():
        return execution_id, 0
    return f"{base}.{1:0{len(last)}d}", int(last)
