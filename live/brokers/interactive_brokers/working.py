"""Orders on their way: placing, changing and cancelling them, and finding out what became of that.

An order is looked for by its reference before it is placed, and its parts are placed together. Then the
gateway's words decide: all parts told, or one refused, and then the others are taken back, so that no entry
stays without its stop. What is asked to change or to end is told afterwards as the broker has it, and not as
it was wanted.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from live.brokers.errors import AccessRefused, BrokerError, DuplicateOrder
from live.brokers.interactive_brokers.contracts import Contracts
from live.brokers.interactive_brokers.gateway import Gateway
from live.brokers.interactive_brokers.orders import contract_for, orders_for, orders_of
from live.brokers.interactive_brokers.readings import Readings, number
from live.brokers.interactive_brokers.replies import Replies
from live.brokers.interactive_brokers.tape import ENDED, Line, key_of
from live.brokers.interface import BrokerOrder, OrderRequest, Outcome, Submitted, unresolved
from live.brokers.ticks import net_priced, priced, steps_of
from simulator.errors import ConfigError, UnknownNameError

__all__ = ["Sending", "Working", "rejected"]

CANCEL_WAIT: Final = 2.0
"""Seconds to wait for the end of an order that was asked to end; then it is told as it stands."""

DUPLICATE_ID: Final = 103


class Working:
    """The orders of one client of a gateway.

    Parameters
    ----------
    gateway, contracts, readings
        The parts of the broker.
    """

    def __init__(self, gateway: Gateway, contracts: Contracts, readings: Readings) -> None:
        self._gateway = gateway
        self._contracts = contracts
        self._readings = readings
        self._tried: set[str] = set()  # references that were placed and not refused

    async def submit(self, ib: Any, request: OrderRequest, sending: Sending) -> Submitted:
        """Look for an order by its reference; where there is none, place it and wait until it is told."""
        key = request.client_order_id
        contracts = await self._contracts.find(ib, [leg.symbol for leg in request.legs])
        there = await self.find(ib, key)
        if there is not None:
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=there)
        if key in self._tried:
            words = "it was sent before, and the broker has not shown it yet; it is not sent again"
            return unresolved(request, code="LIVE_NO_ANSWER", message=words)
        ids = [self._gateway.order_id(ib) for _ in range(orders_of(request))]
        orders = orders_for(request, self._gateway.account, ids)
        contract = contract_for(request, contracts)
        with Replies(self._gateway, ids) as replies:
            if not sending.begin():
                raise TimeoutError(f"order {key}: given up before it was sent")
            self._tried.add(key)
            tape = self._gateway.tape
            assert tape is not None  # noqa: S101 - there is one as soon as there is a connection
            for order in orders:
                ib.placeOrder(contract, order)

            def answered() -> bool:
                return bool(replies.refused()) or all(tape.sent(order) for order in orders)

            if not await self._gateway.until(ib, answered, self._gateway.timeout):
                raise TimeoutError(f"order {key}: the gateway has not acknowledged it")
            refusal = replies.refused()
            if refusal is not None:
                others = {order.orderId for order in orders} - {refusal.order_id}
                await self._take_back(ib, others, replies)
        line = next((tape.sent(order) for order in orders if order.orderRef == key), None)
        if refusal is None and line is not None:
            done = await self._readings.open_order(ib, line)
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=done)
        there = await self.find(ib, key)
        if there is not None and (there.filled > 0.0 or there.is_open):
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=there)
        if refusal is None or refusal.code == DUPLICATE_ID:
            raise DuplicateOrder(f"order {key}: {refusal}")
        self._tried.discard(key)
        if refusal.is_access:
            raise AccessRefused(f"Interactive Brokers: {refusal}")
        return rejected(request, code="LIVE_BROKER_REJECTED", message=str(refusal))

    def forget(self, client_order_id: str) -> None:
        """Let a reference be placed again that was tried."""
        self._tried.discard(client_order_id)

    async def _take_back(self, ib: Any, numbers: set[int], replies: Replies) -> None:
        """Cancel the other parts of an order of which one was refused: no entry without its stop."""
        for one in numbers:
            ib.client.cancelOrder(one)
        # each is either cancelled (202) or was never there (10147)
        await self._gateway.until(
            ib, lambda: numbers <= replies.told(), min(CANCEL_WAIT, self._gateway.timeout / 2.0)
        )

    async def find(self, ib: Any, client_order_id: str) -> BrokerOrder | None:
        """Return the order with a reference, None where orders and executions were told and lack it."""
        orders = await self._readings.orders(ib, everything=True)
        mine = [order for order in orders if order.client_order_id == client_order_id]
        # of two with one reference the one that works, or that came last
        return max(mine, key=lambda order: (order.is_open, order.order_id), default=None)

    async def _open_line(self, ib: Any, order_id: str) -> Line | None:
        """Return an open order of this client, None where it is not open."""
        for line in await self._readings.open_lines(ib):
            if key_of(line.order) == order_id:
                if line.order.clientId != self._gateway.client_id:
                    raise BrokerError(
                        f"order {order_id} was placed by client {line.order.clientId}, and this is client "
                        f"{self._gateway.client_id}: only that one, or a person, can change or cancel it",
                        code="LIVE_OTHER_CLIENT",
                    )
                return line
        return None

    async def _by_id(self, ib: Any, order_id: str) -> BrokerOrder:
        for order in await self._readings.orders(ib, everything=True):
            if order.order_id == order_id:
                return order
        raise UnknownNameError(f"Interactive Brokers has no order {order_id!r}", code="NAME_ORDER")

    async def cancel(self, ib: Any, order_id: str) -> BrokerOrder:
        """Ask to cancel an order that is open, and return it as it stands then."""
        line = await self._open_line(ib, order_id)
        if line is not None:
            tape = self._gateway.tape
            with Replies(self._gateway, [line.order.orderId]) as replies:
                ib.client.cancelOrder(line.order.orderId)

                def ended() -> bool:
                    now = line if tape is None else tape.lines.get(order_id, line)
                    return now.status in ENDED or bool(replies.told())

                await self._gateway.until(ib, ended, min(CANCEL_WAIT, self._gateway.timeout / 2.0))
        return await self._by_id(ib, order_id)

    async def replace(self, ib: Any, order_id: str, wanted: Mapping[str, float]) -> BrokerOrder:
        """Change an order that is open, and return it as the broker has it then."""
        line = await self._open_line(ib, order_id)
        if line is None or line.status in ENDED:
            order = await self._by_id(ib, order_id)
            raise ConfigError(
                f"order {order_id} no longer works: it is {order.state.label}", code="LIVE_ORDER_FINAL"
            )
        before = await self._readings.open_order(ib, line)
        changed = _changed(line, before, wanted)
        tape = self._gateway.tape
        # what it has already, on the tick; it may be refused all the same, or not be told anew
        as_it_is = _agree(line.order, changed)
        seconds = min(CANCEL_WAIT, self._gateway.timeout / 2.0) if as_it_is else self._gateway.timeout
        with Replies(self._gateway, [line.order.orderId]) as replies:
            ib.client.placeOrder(line.order.orderId, line.contract, changed)

            def answered() -> bool:
                now = line if tape is None else tape.lines.get(order_id, line)
                told = not as_it_is or now is not line
                return bool(replies.refused()) or (told and _agree(now.order, changed))

            if not await self._gateway.until(ib, answered, seconds) and not as_it_is:
                raise TimeoutError(f"order {order_id}: the gateway has not acknowledged the change")
            refusal = replies.refused()
        after = await self._by_id(ib, order_id)
        if refusal is not None:
            if not after.is_open:
                raise ConfigError(f"order {order_id}: {refusal}", code="LIVE_ORDER_FINAL")
            raise BrokerError(f"order {order_id}: {refusal}", code="LIVE_BROKER_REJECTED")
        return after


class Sending:
    """Whether an order was sent, decided once: between two threads, of which one may give up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False
        self._given_up = False

    def begin(self) -> bool:
        """Say that it is sent now; False where it was given up."""
        with self._lock:
            self._begun = not self._given_up
            return self._begun

    def give_up(self) -> bool:
        """Give it up; False where it was sent."""
        with self._lock:
            self._given_up = True
            return not self._begun


def rejected(request: OrderRequest, *, code: str, message: str) -> Submitted:
    """Return the answer to an order that the broker refuses."""
    return Submitted(
        outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code=code, message=message
    )


def _changed(line: Line, before: BrokerOrder, wanted: Mapping[str, float]) -> Any:
    """Return a copy of an order with what is to change; the original stays what the broker has said."""
    order = replace(line.order)
    package = line.contract.secType == "BAG"
    if "quantity" in wanted:
        units = before.quantity / float(line.order.totalQuantity)
        order.totalQuantity = wanted["quantity"] / units
    if "limit_price" in wanted:
        side, limit = (1 if order.action == "BUY" else -1), wanted["limit_price"]
        order.lmtPrice = 0.0 - side * net_priced(limit) if package else priced(limit, side=side)
    if "stop_price" in wanted:
        stop = steps_of(wanted["stop_price"])
        if order.orderType.startswith("TRAIL"):
            order.trailStopPrice = stop
        else:
            order.auxPrice = stop
    order.transmit = True
    return order


def _agree(now: Any, wanted: Any) -> bool:
    names = ("totalQuantity", "lmtPrice", "auxPrice")
    return all(
        abs((number(getattr(now, name)) or 0.0) - (number(getattr(wanted, name)) or 0.0)) < 1e-9
        for name in names
    )
