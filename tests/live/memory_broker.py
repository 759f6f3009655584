"""A broker in memory for tests: matches at prices that the test sets, and fails where the test says so."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar, cast

from live.brokers.interface import (
    Account,
    BrokerInterface,
    BrokerOrder,
    Leg,
    OrderKind,
    OrderRequest,
    Outcome,
    Submitted,
    is_option,
)
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError, UnknownNameError
from simulator.types import OrderState

T = TypeVar("T")
Kind = Literal["trade", "exercise", "assignment", "expiry"]

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
CASH = 100_000.0


@dataclass
class Resting:
    """An order that works, and what it does when it fills or ends."""

    order: BrokerOrder
    trail: tuple[float | None, float | None] = (None, None)
    best: float = 0.0
    triggered: bool = False
    oco: str = ""  # orders of one group cancel each other
    children: list[OrderRequest] = field(default_factory=list)


class MemoryBroker(BrokerInterface):
    """One paper account.

    `faults` maps the name of a call to what is raised before it (a class), or to a function that is called
    with the real call and decides.
    """

    def __init__(self, name: str = "memory", *, paper: bool = True) -> None:
        self._name = name
        self._paper = paper
        self.now = START
        self.prices: dict[str, float] = {}
        self.calls: list[str] = []
        self.faults: dict[str, Callable[[Callable[[], object]], object] | type[Exception]] = {}
        self._cash = CASH
        self._held: dict[str, float] = {}
        self._cost: dict[str, float] = {}
        self._resting: dict[str, Resting] = {}
        self._orders: dict[str, BrokerOrder] = {}
        self._executions: list[Execution] = []
        self._lock = threading.RLock()

    @property
    def broker(self) -> str:
        return self._name

    @property
    def account(self) -> str:
        return "test"

    @property
    def is_paper(self) -> bool:
        return self._paper

    def hold(self, symbol: str, quantity: float) -> None:
        """Put a position into the account as if it had always been there."""
        self._held[symbol] = quantity

    def move(self, prices: Mapping[str, float]) -> None:
        """Set prices, one moment later, and match what works."""
        self.now += timedelta(minutes=1)
        self.prices.update(prices)
        for name in list(self._resting):
            if name in self._resting:
                self._match(name)

    def part(self, order_id: str, quantity: float, price: float | None = None) -> None:
        """Fill a part of a working order, or all that is left of it."""
        resting = self._resting[order_id]
        order = resting.order
        price = self._net(order) if price is None else price
        filled = order.filled + quantity
        if filled >= order.quantity:
            self._fill(order_id, price)
            return
        average = ((order.average_price or 0.0) * order.filled + price * quantity) / filled
        resting.order = self._orders[order_id] = replace(
            order, state=OrderState.PARTIALLY_FILLED, filled=filled, average_price=average
        )
        self._book(resting.order, quantity)
        for other in [one for one in self._resting.values() if resting.oco and one.oco == resting.oco]:
            if other is not resting:
                self._size(other, other.order.quantity - quantity)
        self._guard(resting)

    def book(self, symbol: str, quantity: float, price: float, *, order_id: str = "", kind: Kind = "trade",
             execution_id: str = "", time: datetime | None = None) -> Execution:  # fmt: skip
        """Let an execution happen that no order of the test asked for: a foreign trade, an assignment."""
        self._held[symbol] = self._held.get(symbol, 0.0) + quantity
        done = Execution(
            execution_id=execution_id or f"E{len(self._executions) + 1}",
            order_id=order_id, time=time or self.now, symbol=symbol, side=1 if quantity > 0 else -1,
            quantity=abs(quantity), price=price, multiplier=unit(symbol), kind=kind,
        )  # fmt: skip
        self._executions.append(done)
        return done

    def split(self, symbol: str, ratio: float) -> None:
        """Split a stock: more shares at a lower cost; working orders stay as they are."""
        self._held[symbol] *= ratio
        self._cost[symbol] /= ratio
        self.prices[symbol] /= ratio

    def submit_order(self, request: OrderRequest) -> Submitted:
        def do() -> Submitted:
            there = self._find(request.client_order_id)
            if there is not None:
                return Submitted(
                    outcome=Outcome.CONFIRMED, client_order_id=request.client_order_id, order=there
                )
            strange = [leg.symbol for leg in request.legs if leg.symbol not in self.prices]
            if strange:
                return Submitted(
                    outcome=Outcome.REJECTED,
                    client_order_id=request.client_order_id,
                    code="LIVE_BROKER_REJECTED",
                    message=f"no such symbol: {strange[0]}",
                )
            order = self._place(request)
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=request.client_order_id, order=order)

        return self._call("submit_order", do)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        def do() -> BrokerOrder:
            self._known(order_id)
            if order_id not in self._resting:
                raise ConfigError(f"order {order_id} no longer works", code="LIVE_ORDER_FINAL")
            resting = self._resting[order_id]
            order = resting.order
            if quantity is not None:
                self._size(resting, quantity)
            order = replace(
                resting.order,
                limit_price=order.limit_price if limit_price is None else limit_price,
                stop_price=order.stop_price if stop_price is None else stop_price,
            )
            resting.order = self._orders[order_id] = order
            self._match(order_id)
            return self._orders[order_id]

        return self._call("replace_order", do)

    def cancel_order(self, order_id: str) -> BrokerOrder:
        def do() -> BrokerOrder:
            self._known(order_id)
            self._end(order_id, OrderState.CANCELLED)
            return self._orders[order_id]

        return self._call("cancel_order", do)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        return self._call("find_order", lambda: self._find(client_order_id))

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        return self._call(
            "get_orders",
            lambda: [order for order in self._orders.values() if order.is_open or not open_only],
        )

    def get_positions(self) -> Sequence[Holding]:
        return self._call(
            "get_positions",
            lambda: [
                Holding(
                    symbol=symbol,
                    quantity=held,
                    multiplier=unit(symbol),
                    mark=self.prices.get(symbol),
                    average_price=self._cost.get(symbol),
                )
                for symbol, held in sorted(self._held.items())
                if held
            ],
        )

    def get_account(self) -> Account:
        def do() -> Account:
            worth = sum(held * unit(symbol) * self.prices[symbol] for symbol, held in self._held.items())
            return Account(cash=self._cash, equity=self._cash + worth, buying_power=max(self._cash, 0.0))

        return self._call("get_account", do)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        return self._call(
            "executions",
            lambda: [done for done in self._executions if since is None or done.time >= since],
        )

    def _call(self, name: str, do: Callable[[], T]) -> T:
        def locked() -> T:
            with self._lock:
                return do()

        self.calls.append(name)
        fault = self.faults.get(name)
        if fault is None:
            return locked()
        if isinstance(fault, type):
            raise fault(f"{name} failed")
        return cast(T, fault(locked))

    def _find(self, client_order_id: str) -> BrokerOrder | None:
        found = [order for order in self._orders.values() if order.client_order_id == client_order_id]
        return found[0] if found else None

    def _known(self, order_id: str) -> BrokerOrder:
        if order_id not in self._orders:
            raise UnknownNameError(f"no order {order_id!r}", code="NAME_ORDER")
        return self._orders[order_id]

    def _place(self, request: OrderRequest, *, parent: str = "", oco: str = "") -> BrokerOrder:
        name = f"B{len(self._orders) + 1}"
        order = BrokerOrder(
            order_id=name,
            client_order_id=request.client_order_id,
            legs=request.legs,
            kind=request.kind,
            state=OrderState.SUBMITTED,
            quantity=abs(request.legs[0].quantity),
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            parent_id=parent,
        )
        resting = Resting(order, (request.trail_amount, request.trail_percent), self._net(order), oco=oco)
        self._orders[name], self._resting[name] = order, resting
        if request.order_class == "bracket":
            resting.children = children(request)
        if request.order_class == "oco":
            resting.oco = name
            self._place(children(request)[0], oco=name)
        self._match(name)
        return self._orders[name]

    def _net(self, order: BrokerOrder) -> float:
        """Price now: of one leg as it is, of a package what it brings."""
        if len(order.legs) == 1:
            return self.prices[order.legs[0].symbol]
        return -sum(leg.quantity / order.quantity * self.prices[leg.symbol] for leg in order.legs)

    def _match(self, name: str) -> None:
        resting = self._resting[name]
        order, price = resting.order, self._net(resting.order)
        package = len(order.legs) > 1
        side = 1.0 if order.legs[0].quantity > 0 and not package else -1.0
        if order.kind == "trailing":
            resting.best = min(resting.best, price) if side > 0 else max(resting.best, price)
            amount, percent = resting.trail
            gap = amount if amount is not None else resting.best * (percent or 0.0) / 100.0
            stop = resting.best + side * gap
            if (price - stop) * side < 0:
                return
        if order.kind in ("stop", "stop_limit") and not resting.triggered:
            assert order.stop_price is not None
            if (price - order.stop_price) * side < 0:
                return
            resting.triggered = True
        if order.limit_price is not None and (order.limit_price - price) * side < 0:
            return
        self._fill(name, price)

    def _fill(self, name: str, price: float) -> None:
        resting = self._resting.pop(name)
        order = resting.order
        rest = order.quantity - order.filled
        resting.order = self._orders[name] = replace(
            order, state=OrderState.FILLED, filled=order.quantity, average_price=price
        )
        self._book(order, rest)
        if resting.oco:
            for other in [key for key, held in self._resting.items() if held.oco == resting.oco]:
                self._end(other, OrderState.CANCELLED)
        self._guard(resting)

    def _book(self, order: BrokerOrder, filled: float) -> None:
        for leg in order.legs:
            # in this order: whole shares stay whole
            cost, quantity = self.prices[leg.symbol], leg.quantity * filled / order.quantity
            self._cash -= quantity * cost * unit(leg.symbol)
            self._cost[leg.symbol] = cost
            self.book(leg.symbol, quantity, cost, order_id=order.order_id)

    def _guard(self, resting: Resting) -> None:
        """Let the children of a bracket stand for what is filled of it, and has not left by one of them."""
        parent = resting.order
        gone = sum(one.filled for one in self._orders.values() if one.parent_id == parent.order_id)
        standing = [one for one in self._resting.values() if one.order.parent_id == parent.order_id]
        for one in standing:
            self._size(one, parent.filled - gone + one.order.filled)
        for number, child in enumerate([] if standing else resting.children):
            name = f"{parent.order_id}-oco"
            if number and name not in {held.oco for held in self._resting.values()}:
                continue  # the first child has filled at once
            leg = child.legs[0]
            legs = (Leg(leg.symbol, math.copysign(parent.filled - gone, leg.quantity)),)
            self._place(replace(child, legs=legs), parent=parent.order_id, oco=name)

    def _size(self, resting: Resting, quantity: float) -> None:
        """Let an order be for another quantity, what has filled of it included."""
        order = resting.order
        legs = tuple(Leg(leg.symbol, leg.quantity * quantity / order.quantity) for leg in order.legs)
        resting.order = self._orders[order.order_id] = replace(order, quantity=quantity, legs=legs)

    def _end(self, name: str, state: OrderState) -> None:
        resting = self._resting.pop(name, None)
        if resting is None:
            return
        self._orders[name] = replace(resting.order, state=state)
        for other in [key for key, held in self._resting.items() if resting.oco and held.oco == resting.oco]:
            self._end(other, state)


def unit(symbol: str) -> float:
    """Units of the underlying per share or contract."""
    return 100.0 if is_option(symbol) else 1.0


def children(request: OrderRequest) -> list[OrderRequest]:
    """Return what leaves the position of a bracket, or the other half of an oco: the stop first."""
    (leg,) = request.legs
    back = request.order_class == "bracket"
    legs = (Leg(leg.symbol, -leg.quantity if back else leg.quantity),)
    kinds: list[tuple[str, OrderKind, float | None]] = [("stop", "stop", request.stop_loss)]
    if back and request.take_profit is not None:
        kinds.append(("target", "limit", request.take_profit))
    return [
        OrderRequest(
            client_order_id=f"{request.client_order_id}-{ending}",
            legs=legs,
            kind=kind,
            stop_price=price if kind == "stop" else None,
            limit_price=price if kind == "limit" else None,
            tif="gtc",
            purpose="protect",
        )
        for ending, kind, price in kinds
    ]
