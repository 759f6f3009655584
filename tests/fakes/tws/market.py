"""What a TWS knows: contracts, orders, executions and positions of one account, matched at given prices.

Words and rules are those of the gateway and not of an adapter: an order has an id of its client and a durable
permId, parts of a bracket are orders of their own, what `transmit` keeps back is not in the market, children
wait for their parent, and a cost includes the multiplier. Every change is told to `listeners`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 3, 2, 15, tzinfo=UTC)
CASH: Final = 100_000.0
BAG_ID: Final = 28812380
"""The contract id that every combination has."""

_OCC: Final = re.compile(r"([A-Z.]{1,6})(\d{6})([CP])(\d{8})")
WORKING: Final = ("PreSubmitted", "Submitted", "PendingSubmit")
ENDED: Final = ("Filled", "Cancelled", "Inactive")


@dataclass(frozen=True)
class Instrument:
    """A contract."""

    con_id: int
    symbol: str  # canonical
    root: str
    kind: str = "STK"
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: float = 1.0

    @property
    def local(self) -> str:
        """The symbol as TWS writes it: of an option padded to 21 characters."""
        if self.kind != "OPT":
            return self.root
        return f"{self.root:<6}{self.symbol[len(self.root) :]}"


@dataclass(eq=False)
class TwsOrder:
    """An order as TWS keeps it."""

    order_id: int
    client_id: int
    perm_id: int
    legs: tuple[tuple[Instrument, int, str], ...]  # contract, ratio, action; of a stock one leg
    bag: bool
    action: str
    quantity: float
    kind: str
    limit: float | None
    aux: float | None
    percent: float | None
    tif: str
    ref: str
    parent_id: int = 0
    oca_group: str = ""
    oca_type: int = 0
    transmit: bool = True
    account: str = ""
    status: str = "PendingSubmit"
    filled: float = 0.0
    value: float = 0.0  # sum of quantity times price
    last_price: float = 0.0
    stop: float | None = None  # where a trailing stop stands
    best: float | None = None
    triggered: bool = False
    parent: TwsOrder | None = None
    why: str = ""
    warnings: list[int] = field(default_factory=list)

    @property
    def side(self) -> int:
        """+1 bought, -1 sold."""
        return 1 if self.action == "BUY" else -1

    @property
    def average(self) -> float:
        """Price of what is filled, 0 for nothing."""
        return self.value / self.filled if self.filled else 0.0

    @property
    def remaining(self) -> float:
        """What may still come."""
        return self.quantity - self.filled

    @property
    def works(self) -> bool:
        """Whether more can come of it."""
        return self.status in WORKING


@dataclass(frozen=True)
class Done:
    """An execution; of a combination there is one for the whole, and one for each leg."""

    exec_id: str
    order: TwsOrder | None
    instrument: Instrument | None  # None for the whole of a combination
    time: datetime
    side: int
    quantity: float
    price: float
    cumulated: float
    fees: float
    kind: str = "trade"


class TwsMarket:
    """One account.

    Attributes
    ----------
    listeners
        Told of every change as ("order" | "execution" | "position", what).
    children_die
        Whether children end with a parent that is cancelled after it has filled in part.
    fee
        Commission per execution.
    """

    def __init__(self, account: str = "DU1234567") -> None:
        self.account = account
        self.now = START
        self.cash = CASH
        self.fee = 0.35
        self.children_die = False
        self.prices: dict[str, float] = {}
        self.quotes: dict[str, tuple[float, float]] = {}
        self.orders: list[TwsOrder] = []
        self.done: list[Done] = []
        self.done_before: list[Done] = []  # of sessions before, which are in statements only
        self.forgotten: set[int] = set()  # permIds of a session before this one
        self.listeners: list[Callable[[str, object], None]] = []
        self._instruments: dict[str, Instrument] = {}
        self._by_id: dict[int, Instrument] = {}
        self._held: dict[int, float] = {}
        self._cost: dict[int, float] = {}
        self._perm = 1_700_000_000
        self._execs = 0

    # What a test does

    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        """Set prices, some time later, and match what works."""
        self.now += timedelta(minutes=minutes)
        for symbol, price in prices.items():
            self.instrument_of(symbol)
            self.prices[symbol] = price
        for order in list(self.orders):
            if order.status == "Submitted":
                self._match(order)

    def part(self, ref: str, quantity: float, price: float | None = None) -> None:
        """Fill a part of a working order, or of one that was cancelled a moment ago."""
        self._fill(self.by_ref(ref), quantity, price)

    def book(self, symbol: str, quantity: float, price: float, *, ref: str = "", kind: str = "trade") -> Done:
        """Let something happen that no order of a client asked for: a trade by hand, an assignment."""
        order = self.by_ref(ref) if ref else None
        return self._execute(order, self.instrument_of(symbol), quantity, price, kind=kind)

    def hold(self, symbol: str, quantity: float, cost: float = 0.0) -> None:
        """Put a position there without any execution."""
        one = self.instrument_of(symbol)
        self._held[one.con_id], self._cost[one.con_id] = quantity, cost * one.multiplier
        self._tell("position", one)

    def split(self, symbol: str, ratio: float) -> None:
        """Split a stock; working orders stay as they are, and a fraction of a share is paid in cash."""
        one = self.instrument_of(symbol)
        held = self._held[one.con_id] * ratio
        whole = math.copysign(math.floor(abs(held) + 1e-9), held)
        self._held[one.con_id] = whole
        self._cost[one.con_id] /= ratio
        self.prices[symbol] /= ratio
        self.cash += (held - whole) * self.prices[symbol]
        self._tell("position", one)

    def next_session(self) -> None:
        """Begin another day: TWS forgets executions, and the orders that have ended."""
        self.forgotten |= {order.perm_id for order in self.orders if not order.works}
        self.done_before += self.done
        self.done = []

    # What a client asks

    def instrument_of(self, symbol: str) -> Instrument:
        """Return a contract, listed from now on."""
        if symbol not in self._instruments:
            number = 265_500 + len(self._instruments)
            option = _OCC.fullmatch(symbol)
            one = Instrument(number, symbol, symbol.replace(".", " "))
            if option:
                root, day, right, strike = option.groups()
                one = Instrument(number, symbol, root, "OPT", f"20{day}", int(strike) / 1000.0, right, 100.0)
            self._instruments[symbol], self._by_id[number] = one, one
        return self._instruments[symbol]

    def listed(self, symbol: str) -> Instrument | None:
        """Return a contract, None where there is none."""
        return self._instruments.get(symbol)

    def by_id(self, con_id: int) -> Instrument | None:
        """Return a contract, None where there is none."""
        return self._by_id.get(con_id)

    def instruments(self) -> list[Instrument]:
        """Return all contracts."""
        return list(self._instruments.values())

    def by_ref(self, ref: str) -> TwsOrder:
        """Return the newest order with a reference."""
        return next(order for order in reversed(self.orders) if order.ref == ref)

    def find(self, client_id: int, order_id: int) -> TwsOrder | None:
        """Return the newest order that a client knows by a number."""
        return next(
            (one for one in reversed(self.orders) if (one.client_id, one.order_id) == (client_id, order_id)),
            None,
        )

    def new_perm_id(self) -> int:
        """Return a number that no order had before."""
        self._perm += 1
        return self._perm

    def accept(self, order: TwsOrder) -> None:
        """Take a new order in; it waits while it, or its family, is not transmitted."""
        self.orders.append(order)
        if order.parent_id:
            order.parent = self.find(order.client_id, order.parent_id)
        if not order.transmit:
            return
        if order.parent is not None and not order.parent.transmit:
            for one in self._family(order.parent):
                one.transmit = True
            self._release(order.parent)
            return
        self._release(order)

    def cancel(self, order: TwsOrder) -> None:
        """Cancel what works, and the children with it."""
        self._end(order)
        for child in self._children(order):
            if not order.filled or self.children_die:
                self._end(child)

    def changed(self, order: TwsOrder) -> None:
        """Take in that a client has changed an order."""
        order.triggered = False
        self._tell("order", order)
        if order.remaining <= 0:
            self._set(order, "Filled")
        elif order.status == "Submitted":
            self._match(order)

    def positions(self) -> list[tuple[Instrument, float, float]]:
        """Return contract, quantity and cost, which includes the multiplier."""
        return [
            (self._by_id[key], held, self._cost.get(key, 0.0)) for key, held in self._held.items() if held
        ]

    def equity(self) -> float:
        """Return what the account is worth."""
        return self.cash + sum(
            held * one.multiplier * self.prices.get(one.symbol, cost / one.multiplier)
            for one, held, cost in self.positions()
        )

    def drop_untransmitted(self, client_id: int) -> None:
        """Forget what a client has not transmitted, as TWS does when it leaves."""
        self.orders = [one for one in self.orders if one.transmit or one.client_id != client_id]

    # Matching

    def _family(self, parent: TwsOrder) -> list[TwsOrder]:
        return [parent, *self._children(parent)]

    def _children(self, parent: TwsOrder) -> list[TwsOrder]:
        return [one for one in self.orders if one.parent is parent]

    def _release(self, order: TwsOrder) -> None:
        for one in self._family(order):
            waits = one.parent is not None and not one.parent.filled
            self._set(one, "PreSubmitted" if waits else "Submitted")
        if order.status == "Submitted":
            self._match(order)

    def net(self, order: TwsOrder) -> float:
        """Price of one unit now; of a combination what buying it costs."""
        if not order.bag:
            return self.prices[order.legs[0][0].symbol]
        return sum(
            ratio * (1 if action == "BUY" else -1) * self.prices[one.symbol]
            for one, ratio, action in order.legs
        )

    def _match(self, order: TwsOrder) -> None:
        price, side = self.net(order), order.side
        if order.kind == "TRAIL":
            best = order.best if order.best is not None else price
            order.best = max(best, price) if side < 0 else min(best, price)
            gap = order.aux if order.percent is None else order.best * order.percent / 100.0
            order.stop = order.best + side * (gap or 0.0)
            if (price - order.stop) * side < 0:
                return
        elif order.kind in ("STP", "STP LMT") and not order.triggered:
            if (price - (order.aux or 0.0)) * side < 0:
                return
            order.triggered = True
        if order.kind in ("LMT", "STP LMT") and order.limit is not None and (order.limit - price) * side < 0:
            return
        self._fill(order, order.remaining, price)

    def _fill(self, order: TwsOrder, quantity: float, price: float | None) -> None:
        price = self.net(order) if price is None else price
        order.filled += quantity
        order.value += quantity * price
        order.last_price = price
        if order.bag:
            self._execute(order, None, order.side * quantity, price)
            rest = price - self.net(order)
            for number, (one, ratio, action) in enumerate(order.legs):
                way = (1 if action == "BUY" else -1) * order.side
                # what the whole differs from the sum of its legs is in the first of them
                share = rest / ratio * (1 if action == "BUY" else -1) if number == 0 else 0.0
                self._execute(order, one, way * quantity * ratio, self.prices[one.symbol] + share)
        else:
            self._execute(order, order.legs[0][0], order.side * quantity, price)
        if order.remaining <= 1e-9:
            self._set(order, "Filled")
        elif order.works:
            self._set(order, "Submitted")
        else:
            self._tell("order", order)
        self._reduce_group(order, quantity)
        self._activate(order)

    def _reduce_group(self, order: TwsOrder, quantity: float) -> None:
        """One fills: the others of its group end, or shrink by as much."""
        family = [] if order.parent is None else self._children(order.parent)
        group = [one for one in self.orders if order.oca_group and one.oca_group == order.oca_group]
        for other in {id(one): one for one in (*family, *group)}.values():
            if other is order or not other.works:
                continue
            if order.remaining <= 1e-9 or order.oca_type == 1:
                self._end(other)
            else:
                other.quantity -= quantity
                self._tell("order", other)
        if order.parent is not None and order.parent.works:
            self._end(order.parent)

    def _activate(self, parent: TwsOrder) -> None:
        """Let children stand for what is filled of their parent."""
        for child in self._children(parent):
            if child.status in WORKING:
                child.quantity = parent.filled
                self._set(child, "Submitted")
        for child in self._children(parent):
            if child.status == "Submitted":
                self._match(child)

    def _end(self, order: TwsOrder) -> None:
        if order.works:
            self._set(order, "Cancelled")

    def _set(self, order: TwsOrder, status: str) -> None:
        order.status = status
        self._tell("order", order)

    def _execute(
        self,
        order: TwsOrder | None,
        one: Instrument | None,
        quantity: float,
        price: float,
        *,
        kind: str = "trade",
    ) -> Done:
        self._execs += 1
        fees = self.fee if one is not None and kind == "trade" else 0.0
        done = Done(
            f"0000e0d5.{self._execs:08x}.01.01", order, one, self.now, 1 if quantity > 0 else -1,
            abs(quantity), price, order.filled if order is not None else abs(quantity), fees, kind,
        )  # fmt: skip
        self.done.append(done)
        if one is not None:
            before = self._held.get(one.con_id, 0.0)
            after = before + quantity
            cost = price * one.multiplier + fees / abs(quantity) * done.side
            if before * quantity >= 0:
                cost = (self._cost.get(one.con_id, 0.0) * before + cost * quantity) / after
            elif before * after > 0:
                cost = self._cost[one.con_id]
            self._held[one.con_id], self._cost[one.con_id] = after, cost
            self.cash -= quantity * price * one.multiplier + fees
        self._tell("execution", done)
        if one is not None:
            self._tell("position", one)
        return done

    def _tell(self, kind: str, what: object) -> None:
        for listener in self.listeners:
            listener(kind, what)
