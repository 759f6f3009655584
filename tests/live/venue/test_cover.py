"""A cash account has no naked position: what covers a sold call, and what an exercise takes."""

from __future__ import annotations

from typing import Any

import pytest

from live.venue import VenueLeg, VenueRejected, VenueRequest
from tests.live.venue.desk import Desk

CALL, CALL2 = "A261218C00105000", "A261218C00110000"
PUT = "A261218P00105000"


def desk(**options: Any) -> Desk:
    d = Desk(**{"cash": 20_000.0, **options})
    d.tick(A=100.0, **{CALL: (2.0, 2.1), CALL2: (1.0, 1.1), PUT: (5.0, 5.1)})
    return d


def refused(code: str, call: Any, *args: Any, **fields: Any) -> None:
    with pytest.raises(VenueRejected) as caught:
        call(*args, **fields)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "exit_",
    [
        {"kind": "stop", "stop_price": 97.0},
        {"kind": "limit", "limit_price": 120.0},
        {"kind": "trailing_stop", "trail_percent": 5.0},
        {"order_class": "oco", "kind": "limit", "limit_price": 120.0, "stop_loss": 97.0},
        {
            "qty": None,
            "notional": 12_000.0,
            "side": "sell",
            "kind": "limit",
            "limit_price": 120.0,
            "tif": "day",
        },
    ],
)
def test_shares_that_an_order_will_sell_cover_no_call(exit_: dict[str, Any]) -> None:
    d = desk()
    d.ask(100)
    sell = d.ask(**{"qty": -100, "tif": "gtc", **exit_})
    refused("VENUE_BUYING_POWER", d.ask, -1, CALL)
    d.venue.cancel(sell.id)
    assert d.ask(-1, CALL).status == "filled"


def test_two_sell_orders_do_not_both_leave_the_cover_to_the_other() -> None:
    d = desk()
    d.ask(150)
    d.ask(-1, CALL)
    stop = d.ask(-50, kind="stop", stop_price=97.0, tif="gtc")
    refused("VENUE_BUYING_POWER", d.ask, -50, kind="stop", stop_price=96.0, tif="gtc")
    # it may be changed: it does not stand in its own way
    assert d.venue.replace(stop.id, stop_price=96.0).status == "new"
    d.tick(A=90.0)
    assert d.held() == {"A": 100, CALL: -1}


def test_a_call_that_waits_finds_its_cover_gone() -> None:
    d = desk()
    d.ask(100)
    call = d.ask(-1, CALL, kind="limit", limit_price=3.0, tif="day")
    d.ask(-100, kind="stop", stop_price=97.0, tif="gtc")
    d.tick(**{CALL: (3.5, 3.6)})
    assert d.status(call) == "canceled"
    assert d.held() == {"A": 100}


def test_a_covered_call_is_closed_as_one_and_brings_its_own_shares() -> None:
    d = desk(cash=30_000.0)
    d.ask(100)
    d.ask(-100, kind="stop", stop_price=97.0, tif="gtc")
    both = (VenueLeg(symbol="A", side="buy", ratio_qty=100), VenueLeg(symbol=CALL, side="sell"))
    back = (VenueLeg(symbol="A", side="sell", ratio_qty=100), VenueLeg(symbol=CALL, side="buy"))
    assert d.venue.submit(VenueRequest(order_class="mleg", legs=both, qty=1)).status == "filled"
    assert d.held() == {"A": 200, CALL: -1}
    assert d.venue.submit(VenueRequest(order_class="mleg", legs=back, qty=1)).status == "filled"
    assert d.held() == {"A": 100}


def test_with_leverage_the_call_is_margined_as_a_naked_one() -> None:
    d = desk(leverage=2.0)
    d.ask(100)
    before = d.venue.account().buying_power
    d.ask(-100, kind="stop", stop_price=97.0, tif="gtc")
    assert d.ask(-1, CALL).status == "filled"
    # as long as the shares are there they cover it
    assert d.venue.account().buying_power >= before


def test_a_call_is_exercised_by_who_can_pay_for_the_shares() -> None:
    d = desk(cash=300.0)
    d.ask(1, CALL)
    refused("VENUE_BUYING_POWER", d.venue.exercise, CALL)
    assert d.held() == {CALL: 1}
    d.venue.deposit(10_500.0)
    d.venue.exercise(CALL)
    assert d.held() == {"A": 100}
    assert d.venue.account().cash >= 0.0


def test_a_put_is_exercised_with_shares_that_are_free_or_as_a_short_sale() -> None:
    d = desk(cash=1_000.0)
    d.ask(1, PUT)
    refused("VENUE_BUYING_POWER", d.venue.exercise, PUT)
    d.venue.deposit(10_000.0)
    d.ask(100)
    stop = d.ask(-100, kind="stop", stop_price=97.0, tif="gtc")
    refused("VENUE_HELD", d.venue.exercise, PUT)
    d.venue.cancel(stop.id)
    d.venue.exercise(PUT)
    assert d.held() == {}
    rich = desk(cash=20_000.0)
    rich.ask(1, PUT)
    rich.venue.exercise(PUT)
    assert rich.held() == {"A": -100}
    assert rich.venue.account().buying_power == pytest.approx(20_000.0 - 507.5 + 10_500.0 - 20_000.0)


def test_the_exercised_leg_of_a_spread_covers_with_its_shares() -> None:
    d = desk(cash=10_700.0)
    legs = (VenueLeg(symbol=CALL, side="buy"), VenueLeg(symbol=CALL2, side="sell"))
    d.venue.submit(VenueRequest(order_class="mleg", legs=legs, qty=1))
    d.venue.exercise(CALL)
    assert d.held() == {"A": 100, CALL2: -1}


def test_the_put_of_a_spread_is_not_exercised_without_what_secures_the_other() -> None:
    low = "A261218P00100000"
    d = desk(cash=11_000.0)
    d.tick(**{low: (3.0, 3.1)})
    legs = (VenueLeg(symbol=PUT, side="buy"), VenueLeg(symbol=low, side="sell"))
    d.venue.submit(VenueRequest(order_class="mleg", legs=legs, qty=1))
    refused("VENUE_BUYING_POWER", d.venue.exercise, PUT)
    refused("VENUE_ACTION", d.venue.exercise, low)
