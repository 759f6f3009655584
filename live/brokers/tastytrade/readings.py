"""What is told of orders and positions: the library's values in ours.

A replaced order is another order there, with a new number and the old name, and the old one is "Cancelled".
Here both are one order under the first number, as long as it lives: fills belong to it whichever number they
came under. Two orders that carry one name and do not follow from each other stay two, so that an order that
was sent twice is seen.

Fills count and not words: what is called cancelled and is filled is FILLED. The library's own average price
has the opposite sign of its prices, so it is worked out here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from live.brokers.interface import BrokerOrder, Leg, OrderKind
from live.brokers.tastytrade.orders import Name, read_name
from live.brokers.tastytrade.symbols import canonical
from simulator.brokerage import Holding
from simulator.errors import FetchError
from simulator.types import OrderState

__all__ = ["Story", "holdings_of", "orders_of", "stories"]

_KINDS: Final[dict[str, OrderKind]] = {
    "Market": "market", "Marketable Limit": "limit", "Limit": "limit", "Stop": "stop",
    "Stop Limit": "stop_limit", "Notional Market": "market",
}  # fmt: skip
_ENDED: Final = {
    "Filled": OrderState.FILLED,
    "Cancelled": OrderState.CANCELLED,
    "Removed": OrderState.CANCELLED,
    "Partially Removed": OrderState.CANCELLED,
    "Expired": OrderState.EXPIRED,
    "Rejected": OrderState.REJECTED,
}
_SIDES: Final = {"Long": 1.0, "Short": -1.0, "Zero": 0.0}
DUST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Story:
    """All orders at tastytrade that are one order here, oldest first."""

    placed: tuple[Any, ...]

    @property
    def newest(self) -> Any:
        """The one that works, or worked last."""
        return self.placed[-1]

    @property
    def order_id(self) -> str:
        """Number of the first."""
        return str(self.placed[0].id)

    @property
    def name(self) -> Name:
        """Name of the newest in its parts."""
        return read_name(self.newest.external_identifier)

    @property
    def complex_id(self) -> str:
        """Number of the complex order that it belongs to, "" for none."""
        found = [one.complex_order_id for one in self.placed if one.complex_order_id]
        return str(found[0]) if found else ""

    @property
    def is_trigger(self) -> bool:
        """Whether it is the entry of a complex order."""
        return any(str(one.complex_order_tag or "").endswith("trigger-order") for one in self.placed)

    def fills(self, number: int) -> list[Any]:
        """Return the fills of a leg, each once, though a replacement may repeat those before it."""
        found = {fill.fill_id: fill for one in self.placed for fill in one.legs[number].fills or ()}
        return list(found.values())

    def filled(self, number: int) -> float:
        """Return how much of a leg is filled."""
        return float(sum(fill.quantity for fill in self.fills(number)))

    def order(self, parent_id: str = "") -> BrokerOrder:
        """Return it as an order."""
        newest = self.newest
        legs = []
        for number, leg in enumerate(newest.legs):
            own = sum(float(fill.quantity) for fill in leg.fills or ())
            total = float(leg.quantity or 0.0) + self.filled(number) - own
            legs.append(Leg(canonical(leg.symbol), leg.action.multiplier * total))
        filled, quantity = self.filled(0), abs(legs[0].quantity)
        state = _ENDED.get(newest.status.value)
        if filled >= quantity - DUST and filled > 0.0:
            state = OrderState.FILLED
        elif state in (None, OrderState.FILLED):
            state = OrderState.PARTIALLY_FILLED if filled > DUST else OrderState.SUBMITTED
        package = len(legs) > 1
        price = None if newest.price is None else float(newest.price)
        return BrokerOrder(
            order_id=self.order_id,
            client_order_id=self.name.identity,
            legs=tuple(legs),
            kind="trailing" if self.name.unit else _KINDS[newest.order_type.value],
            state=state,
            quantity=quantity,
            filled=filled,
            average_price=self._average(legs),
            limit_price=price if package or price is None else abs(price),
            stop_price=None if newest.stop_trigger is None else float(newest.stop_trigger),
            parent_id=parent_id,
        )

    def _average(self, legs: Sequence[Leg]) -> float | None:
        filled = self.filled(0)
        if filled <= DUST:
            return None
        paid: float = sum(
            leg.action.multiplier * float(fill.quantity) * float(fill.fill_price)
            for number, leg in enumerate(self.newest.legs)
            for fill in self.fills(number)
        )
        if len(legs) == 1:
            return abs(paid) / filled
        units = math.gcd(*(round(abs(leg.quantity)) for leg in legs)) or 1
        return -paid / (filled / (abs(legs[0].quantity) / units))


def stories(placed: Iterable[Any]) -> list[Story]:
    """Return orders as they belong together, oldest first."""
    by_id = {one.id: one for one in placed}
    anew = {
        (name.identity, name.again): one.id
        for one in by_id.values()
        for name in [read_name(one.external_identifier)]
        if name.identity
    }
    roots: dict[int, int] = {}
    chains: dict[int, list[Any]] = {}
    for number in sorted(by_id):
        one = by_id[number]
        name = read_name(one.external_identifier)
        before = one.replaces_order_id
        if before not in by_id and name.again:
            before = anew.get((name.identity, name.again - 1))
        roots[number] = roots.get(before, number) if before is not None else number
        chains.setdefault(roots[number], []).append(one)
    return [Story(tuple(chain)) for chain in chains.values()]


def orders_of(found: Sequence[Story]) -> list[BrokerOrder]:
    """Return stories as orders, the children of a complex order with the number of its entry."""
    triggers = {story.complex_id: story.order_id for story in found if story.complex_id and story.is_trigger}
    return [story.order("" if story.is_trigger else triggers.get(story.complex_id, "")) for story in found]


def holdings_of(positions: Iterable[Any]) -> list[Holding]:
    """Return positions, of which tastytrade says the quantity without a sign.

    Raises
    ------
    FetchError
        LIVE_POSITION for a direction that is not known: a guess could be twice as wrong as nothing.
    """
    held: dict[str, Holding] = {}
    for one in positions:
        side = _SIDES.get(one.quantity_direction)
        if side is None:
            raise FetchError(
                f"{one.symbol}: tastytrade says that its direction is {one.quantity_direction!r}, which is "
                f"none of {', '.join(_SIDES)}",
                code="LIVE_POSITION",
            )
        quantity = side * abs(float(one.quantity))
        symbol = canonical(one.symbol)
        if quantity == 0.0:
            continue
        now = Holding(
            symbol=symbol,
            quantity=quantity,
            average_price=float(one.average_open_price),
            multiplier=float(one.multiplier),
            mark=None if one.mark_price is None else float(one.mark_price),
        )
        before = held.get(symbol)
        if before is not None:
            # a position may be told in parts; what counts is their sum
            total = before.quantity + quantity
            cost = before.quantity * (before.average_price or 0.0) + quantity * (now.average_price or 0.0)
            now = replace(now, quantity=total, average_price=abs(cost / total) if total else None)
        held[symbol] = now
    return [one for one in held.values() if one.quantity]
