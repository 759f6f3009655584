"""Many orders: none is lost, each takes little room, and a hundred thousand are soon done."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from live.venue import Venue, VenueRequest
from tests.live.venue.desk import START


def soak(count: int) -> Venue:
    """Market orders that fill at once, limits that rest and fill, brackets that leave, cancels."""
    venue = Venue(cash=1e9)
    venue.tick(START, {"A": 100.0})
    for number in range(count // 10):
        for side in ("buy", "sell", "buy"):
            venue.submit(
                VenueRequest(symbol="A", qty=2, side=side, client_order_id=f"{side}-{venue_id(venue)}")
            )
        for price in (99.0, 99.5, 90.0):
            venue.submit(VenueRequest(symbol="A", qty=1, kind="limit", limit_price=price))
        venue.submit(
            VenueRequest(
                symbol="A", qty=1, kind="limit", limit_price=99.0, order_class="bracket", take_profit=101.0,
                stop_loss=98.0,
            )
        )  # fmt: skip
        venue.submit(VenueRequest(symbol="A", qty=1, kind="stop", stop_price=150.0))
        for moment, price in enumerate((98.5, 101.5, 100.0)):
            venue.tick(START + timedelta(seconds=3 * number + moment + 1), {"A": price})
        venue.cancel_all()
    return venue


def venue_id(venue: Venue) -> int:
    """A number that is used once."""
    return venue._state.orders.count


def check(venue: Venue, count: int) -> None:
    rounds = count // 10
    orders = venue._state.orders
    assert orders.count == rounds * 10
    assert orders.working == {}
    # two bought and two more, one sold pair; two limits and the bracket's entry fill, its target leaves
    assert venue.position("A").qty == rounds * 4
    assert len(venue.activities(["FILL"])) == rounds * 7
    assert sum(map(len, orders.packed.values())) / orders.count < 400
    book = venue._state.books["A"]
    assert len(book.rows) < 20  # rows are used again


def test_orders_are_not_lost_and_take_little_room() -> None:
    check(soak(2_000), 2_000)


@pytest.mark.slow
def test_a_hundred_thousand_orders_take_well_under_a_minute() -> None:
    soak(100)  # compiled
    began = time.process_time()
    venue = soak(100_000)
    took = time.process_time() - began
    print(f"\n100,000 orders in {took:.1f} s of processor time: {100_000 / took:,.0f} orders/s")
    check(venue, 100_000)
    assert took < 60.0
