"""What tastytrade keeps of one account: orders, complex orders, positions and transactions, at given prices.

Words and rules are the broker's own, and not an adapter's: orders of a complex one are "Contingent" until its
entry has filled completely, a replacement is another order with another number and the rest of the quantity,
the ledger of positions may lag behind the fills, and a closing order without a position becomes an opening
one unless strict validation is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

START: Final = datetime(2026, 3, 2, 15, tzinfo=UTC)
CASH: Final = 100_000.0
WORKING: Final = ("Received", "Live", "Contingent", "Cancel Requested", "Replace Requested")
_OCC: Final = re.compile(r"([A-Z]{1,6})\d{6}[CP](\d{8})")


class Refused(Exception):
    """A preflight check that failed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Fill:
    """A fill of a leg."""

    number: int
    quantity: float
    price: float
    time: datetime


@dataclass
class Part:
    """A leg."""

    symbol: str  # canonical
    action: str
    quantity: float
    fills: list[Fill] = field(default_factory=list)

    @property
    def side(self) -> int:
        return -1 if self.action.startswith("Sell") else 1

    @property
    def filled(self) -> float:
        return sum(one.quantity for one in self.fills)


@dataclass(eq=False)
class Placed:
    """An order."""

    number: int
    kind: str
    legs: list[Part]
    price: float | None  # received is positive
    stop: float | None
    tif: str
    external: str
    strict: bool
    status: str = "Live"
    complex_id: int = 0
    tag: str = ""
    replaces: int = 0
    replaced_by: int = 0
    triggered: bool = False
    why: str = ""
    at: datetime = START
    updated: datetime = START

    @property
    def works(self) -> bool:
        return self.status in WORKING

    @property
    def remaining(self) -> float:
        return self.legs[0].quantity - self.legs[0].filled


@dataclass
class Group:
    """A complex order."""

    number: int
    kind: str
    trigger: Placed | None
    orders: list[Placed]


@dataclass
class Row:
    """A transaction."""

    number: int
    kind: str
    sub: str
    symbol: str
    action: str | None
    quantity: float
    price: float
    value: float
    fees: float
    time: datetime
    order: int = 0
    reverses: int = 0


def check_tick(price: float | None) -> None:
    """Raise `Refused` for a price that is not on the penny or, below a dollar, on a hundredth of one."""
    steps = 0.0 if price is None else price * (100.0 if abs(price) >= 1.0 else 10_000.0)
    if abs(steps - round(steps)) > 1e-6:
        raise Refused("invalid_price_increment", f"The price {price:g} is not in a valid increment.")


class Books:
    """One account.

    Attributes
    ----------
    listeners
        Told of every change as ("Order", order) or ("CurrentPosition", symbol).
    lag
        How many more times positions are shown as they were before the last fill.
    slow_cancel
        Whether a cancel is only requested, until `settle_cancels`.
    late_fill
        Called when a cancel or a replacement arrives, before it is carried out.
    """

    def __init__(self, account: str = "5WT00001") -> None:
        self.account = account
        self.now = START
        self.cash = CASH
        self.fee = 0.35
        self.prices: dict[str, float] = {}
        self.orders: list[Placed] = []
        self.groups: list[Group] = []
        self.rows: list[Row] = []
        self.held: dict[str, float] = {}
        self.cost: dict[str, float] = {}
        self.listeners: list[Callable[[str, Any], None]] = []
        self.lag = 0
        self.slow_cancel = False
        self.late_fill: Callable[[Placed], None] | None = None
        self._before: dict[str, float] = {}
        self._numbers = 4_000_000

    # What a test does

    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        """Set prices, some time later, and match what works."""
        self.now += timedelta(minutes=minutes)
        self.prices.update(prices)
        for order in list(self.orders):
            self._match(order)

    def part(self, external: str, quantity: float, price: float) -> None:
        """Fill a part of the newest order with a name, whatever its status."""
        self.fill(self.named(external), quantity, price)

    def trade(self, symbol: str, quantity: float, price: float) -> None:
        """Trade by hand: an order of another program."""
        held = self.held.get(symbol, 0.0)
        word = "Close" if held * quantity < 0 else "Open"
        leg = Part(symbol, f"{'Buy' if quantity > 0 else 'Sell'} to {word}", abs(quantity))
        order = Placed(self._next(), "Market", [leg], None, None, "Day", "", strict=False, at=self.now)
        self.orders.append(order)
        self.fill(order, abs(quantity), price)

    def deliver(self, symbol: str, quantity: float, price: float, sub: str, *, action: str | None) -> Row:
        """Book a delivery: an assignment, an expiry, shares that come with one."""
        self._hold(symbol, quantity, price)
        value = 0.0 if price == 0.0 else -quantity * price * multiplier(symbol)
        self.cash += value
        row = Row(
            self._next(), "Receive Deliver", sub, symbol, action, abs(quantity), price, value, 0.0, self.now
        )
        self.rows.append(row)
        return row

    def pay(self, sub: str, symbol: str, value: float) -> Row:
        """Book cash: a dividend, a fee."""
        self.cash += value
        row = Row(self._next(), "Money Movement", sub, symbol, None, 0.0, 0.0, value, 0.0, self.now)
        self.rows.append(row)
        return row

    def split(self, symbol: str, ratio: float) -> None:
        """Split a stock; working orders stay as they are."""
        held = self.held[symbol]
        for sub, action, quantity in (
            ("Forward Split", "Sell to Close", held), ("Forward Split", "Buy to Open", held * ratio),
        ):  # fmt: skip
            self.rows.append(
                Row(self._next(), "Receive Deliver", sub, symbol, action, quantity, 0.0, 0.0, 0.0, self.now)
            )
        self.held[symbol] = held * ratio
        self.cost[symbol] /= ratio
        self.prices[symbol] /= ratio

    def named(self, external: str) -> Placed:
        """Return the newest order with a name, or with one that begins so and says more."""
        return next(
            one
            for one in reversed(self.orders)
            if re.fullmatch(re.escape(external) + r"(-trail-.*)?(-again-\d+)?", one.external)
        )

    def settle_cancels(self) -> None:
        """End what was asked to end."""
        for order in self.orders:
            if order.status == "Cancel Requested":
                self._set(order, "Cancelled")

    # What a client asks

    def order(self, number: int) -> Placed | None:
        """Return an order."""
        return next((one for one in self.orders if one.number == number), None)

    def group(self, number: int) -> Group | None:
        """Return a complex order."""
        return next((one for one in self.groups if one.number == number), None)

    def check(self, order: Placed, *, child: bool = False) -> None:
        """Raise `Refused` for what a preflight check does not let through."""
        if not 1 <= len(order.legs) <= 4:
            raise Refused("invalid_legs", "An order has one to four legs.")
        for leg in order.legs:
            if leg.symbol not in self.prices:
                raise Refused("invalid_symbol", f"Symbol {leg.symbol} is not known.")
            if leg.quantity <= 0:
                raise Refused("invalid_quantity", "Quantity must be greater than 0.")
        check_tick(order.price)
        check_tick(order.stop)
        if not child:
            self._check_effects(order)

    def accept(self, order: Placed) -> Placed:
        """Take an order in."""
        order.number, order.at, order.updated = self._next(), self.now, self.now
        self.orders.append(order)
        self._tell("Order", order)
        self._match(order)
        return order

    def accept_group(self, kind: str, trigger: Placed | None, orders: list[Placed]) -> Group:
        """Take a complex order in."""
        group = Group(self._next(), kind, trigger, orders)
        self.groups.append(group)
        for one in orders if trigger is None else (trigger, *orders):
            one.complex_id = group.number
            one.tag = f"{kind}::trigger-order" if one is trigger else f"{kind}::oco-1-order"
            one.number, one.at, one.updated = self._next(), self.now, self.now
            one.status = "Live" if one is trigger or trigger is None else "Contingent"
            self.orders.append(one)
        for one in [trigger] if trigger is not None else orders:
            self._match(one)
        return group

    def cancel(self, order: Placed) -> None:
        """Ask an order to end; raises `Refused` where it has ended."""
        if self.late_fill is not None:
            self.late_fill(order)
        if not order.works:
            raise Refused("cannot_cancel_order", f"Order is {order.status} and cannot be cancelled.")
        self._set(order, "Cancel Requested" if self.slow_cancel else "Cancelled")
        for child in self._children(order):
            if child.status == "Contingent":
                self._set(child, "Cancelled")

    def replace(self, old: Placed, kind: str, price: float | None, stop: float | None, tif: str) -> Placed:
        """Put another order into the place of one that works."""
        if self.late_fill is not None:
            self.late_fill(old)
        if not old.works:
            raise Refused("cannot_replace_order", f"Order is {old.status} and cannot be replaced.")
        check_tick(price)
        check_tick(stop)
        legs = [Part(leg.symbol, leg.action, leg.quantity - leg.filled) for leg in old.legs]
        new = Placed(
            self._next(), kind, legs, price, stop, tif, old.external, strict=old.strict, status=old.status,
            complex_id=old.complex_id, tag=old.tag, replaces=old.number, at=self.now, updated=self.now,
        )  # fmt: skip
        old.replaced_by = new.number
        self._set(old, "Cancelled")
        self.orders.append(new)
        for group in self.groups:
            group.orders = [new if one is old else one for one in group.orders]
            group.trigger = new if group.trigger is old else group.trigger
        self._tell("Order", new)
        self._match(new)
        return new

    def shown(self) -> dict[str, float]:
        """Return positions as the ledger shows them, which may lag."""
        if self.lag > 0:
            self.lag -= 1
            return dict(self._before)
        return {symbol: held for symbol, held in self.held.items() if held}

    def equity(self) -> float:
        """Return what the account is worth."""
        return self.cash + sum(
            held * multiplier(symbol) * self.prices.get(symbol, self.cost.get(symbol, 0.0))
            for symbol, held in self.held.items()
        )

    # Matching

    def fill(self, order: Placed, quantity: float, price: float | None = None) -> None:
        """Fill a quantity of the first leg, and of the others as many."""
        share = quantity / order.legs[0].quantity
        # what the net price differs from the sum of its legs is in the first of them
        extra = 0.0 if price is None or len(order.legs) == 1 else price - self.net(order)
        units = self._units(order)
        self._before = dict(self.held)
        for number, leg in enumerate(order.legs):
            at = self.prices[leg.symbol] if price is None or len(order.legs) > 1 else price
            if number == 0 and extra:
                at -= extra * leg.side * units / leg.quantity
            amount = share * leg.quantity
            done = Fill(self._next(), amount, at, self.now)
            leg.fills.append(done)
            value = -leg.side * amount * at * multiplier(leg.symbol)
            self.cash += value - self.fee
            self._hold(leg.symbol, leg.side * amount, at)
            self.rows.append(
                Row(self._next(), "Trade", leg.action, leg.symbol, leg.action, amount, at, value, self.fee,
                    self.now, order.number)
            )  # fmt: skip
        if order.remaining <= 1e-9:
            self._set(order, "Filled")
            self._filled(order)
        else:
            self._set(order, order.status)

    def net(self, order: Placed) -> float:
        """Return what one unit of an order brings now."""
        units = self._units(order)
        return sum(-leg.side * leg.quantity / units * self.prices[leg.symbol] for leg in order.legs)

    def _units(self, order: Placed) -> float:
        whole = [round(leg.quantity) for leg in order.legs]
        if len(order.legs) == 1:
            return whole[0] or 1
        found = whole[0]
        for one in whole[1:]:
            while one:
                found, one = one, found % one
        return found or 1

    def _match(self, order: Placed) -> None:
        if order.status != "Live":
            return
        if len(order.legs) > 1:
            if order.kind == "Market" or (order.price is not None and self.net(order) >= order.price - 1e-9):
                self.fill(order, order.remaining, self.net(order))
            return
        leg, price = order.legs[0], self.prices[order.legs[0].symbol]
        if order.kind in ("Stop", "Stop Limit") and not order.triggered:
            if (price - (order.stop or 0.0)) * leg.side < 0:
                return
            order.triggered = True
        if order.kind in ("Limit", "Stop Limit") and (abs(order.price or 0.0) - price) * leg.side < 0:
            return
        if "Close" in leg.action and self.held.get(leg.symbol, 0.0) * leg.side >= 0.0:
            if order.strict:
                order.why = "There is no position to close."
                self._set(order, "Rejected")
                return
            leg.action = leg.action.replace("Close", "Open")
        self.fill(order, order.remaining, price)

    def _check_effects(self, order: Placed) -> None:
        ledger = dict(self._before) if self.lag > 0 else self.held
        for leg in order.legs:
            held = ledger.get(leg.symbol, 0.0)
            if "Close" in leg.action and held * leg.side >= 0.0:
                if order.strict:
                    raise Refused("position_not_open", f"There is no position in {leg.symbol} to close.")
                leg.action = leg.action.replace("Close", "Open")
            elif "Open" in leg.action and held * leg.side < 0.0:
                raise Refused(
                    "cannot_open_against_position", f"{leg.symbol} is held on the other side: close it first."
                )

    def _children(self, order: Placed) -> list[Placed]:
        group = self.group(order.complex_id)
        return group.orders if group is not None and group.trigger is order else []

    def _filled(self, order: Placed) -> None:
        """Release the children of an entry; end the sibling of a child."""
        for child in self._children(order):
            if child.status == "Contingent":
                self._set(child, "Live")
        group = self.group(order.complex_id)
        if group is not None and group.trigger is not order and group.kind != "OTO":
            for other in group.orders:
                if other is not order and other.works:
                    self._set(other, "Cancelled")
        for child in self._children(order):
            self._match(child)

    def _hold(self, symbol: str, quantity: float, price: float) -> None:
        before = self.held.get(symbol, 0.0)
        after = before + quantity
        if before * quantity >= 0.0 and after:
            cost = (before * self.cost.get(symbol, 0.0) + quantity * price) / after
        else:
            cost = self.cost.get(symbol, price) if before * after > 0 else price
        self.held[symbol], self.cost[symbol] = after, cost
        if abs(after) < 1e-9:
            del self.held[symbol]
        self._tell("CurrentPosition", symbol)

    def _set(self, order: Placed, status: str) -> None:
        order.status, order.updated = status, self.now
        self._tell("Order", order)

    def _tell(self, kind: str, what: Any) -> None:
        for listener in self.listeners:
            listener(kind, what)

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def multiplier(symbol: str) -> float:
    """Return units of the underlying per contract."""
    return 100.0 if _OCC.fullmatch(symbol) else 1.0


def padded(symbol: str) -> str:
    """Return a canonical symbol as the broker writes it."""
    found = _OCC.fullmatch(symbol)
    return symbol.replace(".", "/") if found is None else f"{found[1]:<6}{symbol[len(found[1]) :]}"


def unpadded(symbol: str) -> str:
    """Return the broker's symbol without its spaces."""
    return symbol.replace(" ", "").replace("/", ".")
