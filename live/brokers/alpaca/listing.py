"""Lists of orders, whole: with the stop that Alpaca does not list, and with what belongs together.

The broker's list of open orders leaves out a stop that is `held`, and once the entry of a bracket has filled
it names no parent any more. So the open list is completed from the list of all orders since the oldest open
one, where children stand inside their parents. What a child belongs to never changes, and is remembered.

A list comes in pages. One that grows while it is read gives an order twice, which is one; an order that is
missing in between cannot be, since pages go on from a time and not from a place.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from live.brokers.alpaca.line import Line, Refused
from live.brokers.alpaca.readings import Family, Raw, identity_of, moment, number, order_of, rows_of
from live.brokers.interface import BrokerOrder
from simulator.errors import UnknownNameError

__all__ = ["Listing"]

PAGE: Final = 500
"""Orders of a page, the most that the broker gives."""

_GROUPED: Final = frozenset({"bracket", "oco", "oto"})
_NOT_FOUND: Final = 404
_MARGIN: Final = timedelta(seconds=1)
_LONGEST_CHAIN: Final = 100  # changes of one order that are followed


class Listing:
    """The orders of one account."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._families: dict[str, Family] = {}
        self._plain: set[str] = set()  # orders that are no leg of a package
        self._first: dict[str, datetime] = {}

    def every(self) -> list[BrokerOrder]:
        """Return all orders there ever were, oldest first, children behind their parents."""
        return self._flat(self._pages(status="all", nested=True))

    def working(self) -> list[BrokerOrder]:
        """Return all orders of which something may still come, oldest first."""
        listed = list(self._pages(status="open", nested=False))
        found = [one for one in listed if not _is_leg(one)]
        grouped = [self._began(one) for one in found if one.get("order_class") in _GROUPED]
        if grouped:
            found += self._pages(status="all", nested=True, after=min(grouped) - _MARGIN)
        return [order for order in self._flat(found) if order.is_open]

    def find(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id, or what replaced it; None where the broker says that it has none."""
        try:
            answer = self._line.ask(
                lambda: self._line.trading.get_order_by_client_id(client_order_id), f"order {client_order_id}"
            )
            (raw,) = rows_of([answer], f"order {client_order_id}")
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        for _ in range(_LONGEST_CHAIN):
            if not raw.get("replaced_by"):
                break
            raw = self._raw(str(raw["replaced_by"]))
        return self.read(raw)

    def by_id(self, order_id: str) -> BrokerOrder:
        """Return an order. Raises `UnknownNameError` NAME_ORDER."""
        return self.read(self._raw(order_id))

    def raw(self, order_id: str) -> dict[str, Any]:
        """Return an order as the broker tells it. Raises `UnknownNameError` NAME_ORDER."""
        return self._raw(order_id)

    def read(self, raw: Raw) -> BrokerOrder:
        """Return an order that was asked for alone."""
        self._learn(raw)
        family = self._family(raw)
        if family is not None and not family.parent_filled and raw.get("status") == "held":
            self._learn(self._raw(family.parent_id))  # it may have filled since
            family = self._families[str(raw["id"])]
        return order_of(raw, family)

    def began(self, order_id: str) -> datetime:
        """Return when an order was made, or the first of those that it replaces; raises as `by_id`."""
        return self._began(self._raw(order_id))

    def owner(self, order_id: str) -> str:
        """Return the id of the package of which an order is a leg, or the id itself."""
        family = self._families.get(order_id)
        return family.parent_id if family is not None and family.order_class == "mleg" else order_id

    def meet(self, order_id: str) -> None:
        """Find out whether an order is the leg of a package, where that is not known yet."""
        if order_id in self._families or order_id in self._plain:
            return
        raw = self._raw(order_id)
        if _is_leg(raw):
            self._learn_since(moment(raw["created_at"]))
        if order_id not in self._families:
            self._plain.add(order_id)

    def _learn_since(self, since: datetime) -> None:
        for raw in self._pages(status="all", nested=True, after=since - _MARGIN):
            self._learn(raw)

    def _began(self, raw: Raw) -> datetime:
        """Return when the first of the orders was made that this one replaces, one after the other."""
        name = str(raw["id"])
        if name not in self._first:
            before = raw.get("replaces")
            self._first[name] = self._began(self._raw(str(before))) if before else moment(raw["created_at"])
        return self._first[name]

    def _raw(self, order_id: str) -> dict[str, Any]:
        from alpaca.trading.requests import GetOrderByIdRequest

        def call() -> Any:
            return self._line.trading.get_order_by_id(order_id, GetOrderByIdRequest(nested=True))

        unknown = UnknownNameError(f"Alpaca has no order {order_id!r}", code="NAME_ORDER")
        if not _is_uuid(order_id):
            raise unknown
        try:
            answer = self._line.ask(call, f"order {order_id}")
        except Refused as error:
            if error.status == _NOT_FOUND:
                raise unknown from None
            raise
        (raw,) = rows_of([answer], f"order {order_id}")
        return raw

    def _pages(self, *, status: str, nested: bool, after: datetime | None = None) -> Iterator[dict[str, Any]]:
        from alpaca.trading.requests import GetOrdersRequest

        seen: set[str] = set()
        while True:
            query = GetOrdersRequest(status=status, nested=nested, after=after, limit=PAGE, direction="asc")  # type: ignore[arg-type]
            page = rows_of(self._line.ask(lambda: self._line.trading.get_orders(query), "orders"), "orders")  # noqa: B023
            new = [one for one in page if one["id"] not in seen]
            seen.update(str(one["id"]) for one in new)
            yield from new
            if len(page) < PAGE or not new:
                return
            # a moment before the last one: several orders may have one time
            after = moment(page[-1]["submitted_at"]) - timedelta(microseconds=1)

    def _flat(self, rows: Any) -> list[BrokerOrder]:
        found: dict[str, BrokerOrder] = {}
        for raw in rows:
            self._learn(raw)
            parts = [] if raw.get("order_class") == "mleg" else list(raw.get("legs") or ())
            for one in (raw, *parts):
                if not _is_leg(one):
                    found[str(one["id"])] = order_of(one, self._family(one))
        return list(found.values())

    def _learn(self, raw: Raw) -> None:
        """Remember whose children the legs of an order are."""
        if not raw.get("legs"):
            return
        order_class = str(raw.get("order_class"))
        identity = identity_of(raw, None)
        # the limit of an oco is the parent of its stop, and the stop protects from the beginning
        filled = order_class == "oco" or (number(raw.get("filled_qty")) or 0.0) >= (
            number(raw.get("qty")) or 0.0
        )
        for leg in raw["legs"]:
            self._families[str(leg["id"])] = Family(str(raw["id"]), identity, order_class, filled)

    def _family(self, raw: Raw) -> Family | None:
        """Return whose child an order is; asks where it is one, and its parent was never seen."""
        name = str(raw["id"])
        family = self._families.get(name)
        if family is not None or raw.get("order_class") not in _GROUPED or raw.get("legs"):
            return family
        before = str(raw.get("replaces") or "")
        if before not in self._families:
            self._learn_since(self._began(raw))
        family = self._families.get(name) or self._families.get(before)
        if family is not None:
            self._families[name] = family
        return family


def _is_leg(raw: Raw) -> bool:
    """Whether an order is the leg of a package, which stands beside it in some lists."""
    return raw.get("order_class") == "mleg" and not raw.get("legs")


def _is_uuid(text: str) -> bool:
    from uuid import UUID

    try:
        UUID(text)
    except ValueError:
        return False
    return True
