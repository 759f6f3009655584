"""The orders of a venue: those that work as objects, the rest packed.

An order that is final never changes again, so it is kept as a few hundred bytes and unpacked when somebody
asks. Its number is its place in the order of creation, and is part of its id.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from live.venue.symbols import contract_of
from live.venue.types import FINAL, VenueOrder

__all__ = ["EPOCH", "PLAIN", "Group", "Order", "Orders", "time_of"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

PLAIN: Final = 2
"""Version of `marshal` without references, whose bytes follow from the values alone."""

_MICROSECOND: Final = timedelta(microseconds=1)

_KEPT: Final = (
    "number",
    "client_id",
    "symbol",
    "side",
    "kind",
    "order_class",
    "tif",
    "qty",
    "notional",
    "filled",
    "value",
    "limit",
    "stop",
    "trail_price",
    "trail_percent",
    "hwm",
    "extended",
    "intent",
    "ratio",
    "status",
    "parent",
    "legs",
    "replaces",
    "replaced_by",
    "created",
    "updated",
    "filled_at",
    "canceled_at",
    "expired_at",
    "replaced_at",
    "reason",
)


class Group:
    """Orders that belong together: what entered, and the children that leave it, of which one ends the other.

    Attributes
    ----------
    entered, left
        Units that the entries have filled (of an oco what there is to close), and that the children have.
    entries, children
        Those that work.
    """

    __slots__ = ("children", "entered", "entries", "left")

    def __init__(self) -> None:
        self.entered = 0.0
        self.left = 0.0
        self.entries: list[Order] = []
        self.children: list[Order] = []


class Order:
    """An order that works. Times are microseconds since 1970, 0 for never; numbers of others, -1 for none.

    Attributes
    ----------
    side
        +1 or -1; 0 of a package.
    value
        Price times quantity of what has filled.
    row
        Where its symbol's book has it, -1 for nowhere.
    unit, reserve
        Buying power that one more unit takes, and what all that is left takes of it now.
    """

    __slots__ = (*_KEPT, "closes", "group", "parts", "reserve", "row", "unit")

    def __init__(self, number: int, client_id: str, symbol: str, side: int, now: int) -> None:
        self.number = number
        self.client_id = client_id
        self.symbol = symbol
        self.side = side
        self.kind = "market"
        self.order_class = "simple"
        self.tif = "day"
        self.qty: float | None = None
        self.notional: float | None = None
        self.filled = 0.0
        self.value = 0.0
        self.limit: float | None = None
        self.stop: float | None = None
        self.trail_price: float | None = None
        self.trail_percent: float | None = None
        self.hwm: float | None = None
        self.extended = False
        self.intent: str | None = None
        self.ratio: int | None = None
        self.status = "new"
        self.parent = -1
        self.legs: tuple[int, ...] = ()
        self.replaces = -1
        self.replaced_by = -1
        self.created = now
        self.updated = now
        self.filled_at = 0
        self.canceled_at = 0
        self.expired_at = 0
        self.replaced_at = 0
        self.reason = ""
        self.row = -1
        self.group: Group | None = None
        self.parts: list[Order] = []  # legs of a package
        self.unit = 0.0
        self.reserve = 0.0
        self.closes = False  # whether it was let in to close a position

    @property
    def left(self) -> float:
        """Quantity that has not filled."""
        return 0.0 if self.qty is None else self.qty - self.filled

    @property
    def working(self) -> bool:
        """Whether more can come of it."""
        return self.status not in FINAL

    def pack(self) -> bytes:
        """Return everything that a final order still says."""
        return marshal.dumps([getattr(self, name) for name in _KEPT], PLAIN)


class Orders:
    """Every order that there ever was, by number and by client order id."""

    def __init__(self, salt: str) -> None:
        self.salt = salt
        self.working: dict[int, Order] = {}
        self.packed: dict[int, bytes] = {}
        self.numbers: dict[str, int] = {}
        self.count = 0

    def new(self, client_id: str, symbol: str, side: int, now: int) -> Order:
        """Return a new order under the next number; "" lets its id be its client order id."""
        number = self.count
        self.count += 1
        order = Order(number, client_id or self.id_of(number), symbol, side, now)
        self.working[number] = order
        self.numbers[order.client_id] = number
        return order

    def close(self, order: Order) -> None:
        """Pack an order that has become final."""
        del self.working[order.number]
        self.packed[order.number] = order.pack()

    def id_of(self, number: int) -> str:
        """Return the id of an order: a UUID whose last part is its number."""
        return f"{self.salt}-{number:012x}" if number >= 0 else ""

    def number_of(self, order_id: str) -> int:
        """Return the number in an id, -1 where no order has it."""
        head, _, tail = order_id.rpartition("-")
        if head != self.salt or len(tail) != 12:
            return -1
        try:
            number = int(tail, 16)
        except ValueError:
            return -1
        return number if number < self.count else -1

    def get(self, number: int) -> Order:
        """Return an order; changing one that is final changes nothing."""
        order = self.working.get(number)
        return order if order is not None else self._unpacked(number)

    def newest_first(self) -> Iterator[Order]:
        """Return all of them, the newest first."""
        for number in range(self.count - 1, -1, -1):
            yield self.get(number)

    def view(self, order: Order, *, nested: bool = True) -> VenueOrder:
        """Return an order as others see it, its children inside where that is asked for."""
        number = self.id_of
        legs = tuple(self.view(self._newest(leg)) for leg in order.legs) if nested else ()
        side: Any = "buy" if order.side > 0 else "sell"
        fields: dict[str, Any] = {
            "kind": order.kind,
            "order_class": order.order_class,
            "tif": order.tif,
            "status": order.status,
            "position_intent": order.intent,
        }
        return VenueOrder(
            id=number(order.number),
            client_order_id=order.client_id,
            symbol=order.symbol,
            side=side,
            qty=order.qty if order.notional is None else None,
            notional=order.notional,
            filled_qty=order.filled,
            filled_avg_price=order.value / order.filled if order.filled > 0.0 else None,
            limit_price=order.limit,
            stop_price=order.stop,
            trail_price=order.trail_price,
            trail_percent=order.trail_percent,
            hwm=order.hwm,
            extended_hours=order.extended,
            ratio_qty=order.ratio,
            legs=legs,
            parent_id=number(order.parent),
            replaces=number(order.replaces),
            replaced_by=number(order.replaced_by),
            asset_class=(
                "" if not order.symbol else "us_option" if contract_of(order.symbol) else "us_equity"
            ),
            created_at=time_of(order.created),
            updated_at=time_of(order.updated),
            submitted_at=time_of(order.created),
            filled_at=_or_none(order.filled_at),
            canceled_at=_or_none(order.canceled_at),
            expired_at=_or_none(order.expired_at),
            replaced_at=_or_none(order.replaced_at),
            reject_reason=order.reason,
            **fields,
        )

    def _newest(self, number: int) -> Order:
        order = self.get(number)
        while order.replaced_by >= 0:
            order = self.get(order.replaced_by)
        return order

    def _unpacked(self, number: int) -> Order:
        order = Order.__new__(Order)
        for name, value in zip(_KEPT, marshal.loads(self.packed[number]), strict=True):  # noqa: S302 - ours
            setattr(order, name, value)
        order.row, order.group, order.parts = -1, None, []
        order.unit = order.reserve = 0.0
        order.closes = False
        return order


def time_of(microseconds: int) -> datetime:
    """Return a time that is kept as microseconds since 1970."""
    return EPOCH + microseconds * _MICROSECOND


def _or_none(microseconds: int) -> datetime | None:
    return time_of(microseconds) if microseconds else None
