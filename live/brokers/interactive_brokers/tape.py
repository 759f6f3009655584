"""What a gateway says about orders, word for word, by their durable ids.

The library keeps one object per client and order number, and changes it by itself: an order that was given a
number of before is merged into the old one, contract and all, and any error that names an order, a notice
too, makes it "Cancelled". So the two messages that speak of orders are read here before the library has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Final

__all__ = ["ENDED", "Line", "Tape", "key_of"]

ENDED: Final = frozenset({"Cancelled", "ApiCancelled", "Filled"})


@dataclass(slots=True)
class Line:
    """An order, as it was told last."""

    contract: Any
    order: Any
    status: str
    filled: float = 0.0
    average: float = 0.0


class Tape:
    """The orders of one connection.

    Parameters
    ----------
    ib
        The library's object, which hears everything after this.
    """

    def __init__(self, ib: Any) -> None:
        self.lines: dict[str, Line] = {}
        self._listed: dict[str, None] | None = None
        self._open_order = ib.wrapper.openOrder
        self._order_status = ib.wrapper.orderStatus
        ib.wrapper.openOrder = self._opened
        ib.wrapper.orderStatus = self._said

    @contextmanager
    def listing(self) -> Iterator[dict[str, None]]:
        """Collect the ids of the orders that are told meanwhile."""
        self._listed = {}
        try:
            yield self._listed
        finally:
            self._listed = None

    def sent(self, order: Any) -> Line | None:
        """Return the order that was placed under a number and a reference, None while it is not told."""
        for line in reversed(self.lines.values()):
            if (line.order.orderId, line.order.orderRef) == (order.orderId, order.orderRef):
                return line if line.order.permId else None
        return None

    def _opened(self, number: int, contract: Any, order: Any, state: Any) -> None:
        if not order.whatIf:
            # "?" is how the gateway writes what it does not say
            known = {one.name: getattr(order, one.name) for one in fields(order)}
            plain = replace(order, **{name: "" for name, value in known.items() if value == "?"})
            key = key_of(plain)
            before = self.lines.pop(key, None)
            line = Line(contract, plain, state.status)
            if before is not None:
                line.filled, line.average = before.filled, before.average
            self.lines[key] = line
            if self._listed is not None:
                self._listed[key] = None
        self._open_order(number, contract, order, state)

    def _said(
        self,
        number: int,
        status: str,
        filled: float,
        remaining: float,
        average: float,
        perm_id: int,
        *rest: Any,
    ) -> None:
        line = self.lines.get(str(perm_id))
        if line is not None:
            line.status, line.filled, line.average = status, filled, average
        self._order_status(number, status, filled, remaining, average, perm_id, *rest)


def key_of(order: Any) -> str:
    """Return the durable id of an order; what is not transmitted has none yet, and is named by its client."""
    return str(order.permId) if order.permId else f"{order.clientId}.{order.orderId}"
