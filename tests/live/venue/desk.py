"""What the tests of the venue share: a venue whose time is counted in minutes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from live.venue import Venue, VenueOrder, VenueRequest, VenueUpdate

START = datetime(2026, 3, 2, 15, tzinfo=UTC)

Prices = float | tuple[float, float]


class Desk:
    """A venue, a clock of minutes, and every update that it told."""

    def __init__(self, **options: Any) -> None:
        self.venue = Venue(**options)
        self.now = START
        self.updates: list[VenueUpdate] = []
        self.venue.subscribe(self.updates.append)

    def tick(self, volumes: Mapping[str, float] | None = None, /, **prices: Prices) -> None:
        """One minute later, these prices."""
        self.now += timedelta(minutes=1)
        self.venue.tick(self.now, prices, volumes)

    def bar(
        self, open_: float, high: float, low: float, close: float, volume: float = 1e6, symbol: str = "A"
    ) -> None:
        """One minute later, a bar of one symbol."""
        self.now += timedelta(minutes=1)
        self.venue.bar(self.now, {symbol: (open_, high, low, close, volume)})

    def ask(self, qty: float | None = 10, symbol: str = "A", **fields: Any) -> VenueOrder:
        """Submit an order; a negative quantity sells."""
        side = "sell" if qty is not None and qty < 0 else "buy"
        amount = None if qty is None else abs(qty)
        return self.venue.submit(VenueRequest(symbol=symbol, **{"side": side, "qty": amount, **fields}))

    def end_day(self) -> None:
        """One minute later, the end of the session."""
        self.now += timedelta(minutes=1)
        self.venue.expire_day(self.now)

    def now_is(self, order: VenueOrder) -> VenueOrder:
        """How an order stands."""
        return self.venue.order(order.id)

    def status(self, order: VenueOrder) -> str:
        """Status of an order."""
        return self.now_is(order).status

    def child(self, order: VenueOrder, kind: str) -> VenueOrder:
        """The child of a kind."""
        return next(leg for leg in self.now_is(order).legs if leg.kind == kind)

    def held(self) -> dict[str, float]:
        """Quantities by symbol."""
        return {held.symbol: held.qty for held in self.venue.positions()}

    def events(self) -> list[str]:
        """The updates' events."""
        return [update.event for update in self.updates]
