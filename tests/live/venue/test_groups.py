"""Brackets, one-cancels-other and one-triggers-other: who arms, resizes and ends whom."""

from __future__ import annotations

from typing import Any

import pytest

from live.venue import VenueOrder, VenueRejected
from simulator.conventions import Conventions
from tests.live.venue.desk import Desk

CAPPED = Conventions(volume_cap=0.1)


def bracket(d: Desk, qty: float = 10, **fields: Any) -> VenueOrder:
    sign = 1 if qty > 0 else -1
    given = {
        "order_class": "bracket",
        "kind": "limit",
        "limit_price": 100.0,
        "take_profit": 100.0 + 10 * sign,
        "stop_loss": 100.0 - 5 * sign,
        "tif": "gtc",
        "client_order_id": "b",
    }
    return d.ask(qty, **{**given, **fields})


def test_children_are_held_until_the_entry_fills() -> None:
    d = Desk()
    d.tick(A=105.0)
    entry = bracket(d)
    assert [(leg.status, leg.qty, leg.client_order_id) for leg in entry.legs] == [
        ("held", 10, "b-target"),
        ("held", 10, "b-stop"),
    ]
    assert all(leg.parent_id == entry.id for leg in entry.legs)
    d.tick(A=111.0)  # beyond the target, and nothing is held yet
    assert [leg.status for leg in d.now_is(entry).legs] == ["held", "held"]
    d.tick(A=99.0)
    assert [leg.status for leg in d.now_is(entry).legs] == ["new", "new"]
    assert d.events() == ["new", "fill", "new", "new"]


@pytest.mark.parametrize("qty", [10, -10])
@pytest.mark.parametrize(("move", "fills", "ends"), [(10.5, "limit", "stop"), (-5.5, "stop", "limit")])
def test_one_child_ends_the_other(qty: int, move: float, fills: str, ends: str) -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = bracket(d, qty)
    d.tick(A=100.0 + move * (1 if qty > 0 else -1))
    assert d.status(d.child(entry, fills)) == "filled"
    assert d.status(d.child(entry, ends)) == "canceled"
    assert d.held() == {}
    assert d.venue.orders() == []


def test_a_cancelled_entry_takes_its_children_along() -> None:
    d = Desk()
    d.tick(A=105.0)
    entry = bracket(d)
    d.venue.cancel(entry.id)
    assert [leg.status for leg in d.now_is(entry).legs] == ["canceled", "canceled"]
    assert d.venue.orders() == []
    other = bracket(d, client_order_id="c", tif="day")
    d.end_day()
    assert d.status(other) == "expired"
    assert [leg.status for leg in d.now_is(other).legs] == ["expired", "expired"]


def test_a_cancelled_child_takes_its_pair_along_and_leaves_the_position() -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = bracket(d)
    d.venue.cancel(d.child(entry, "stop").id)
    assert d.status(d.child(entry, "limit")) == "canceled"
    assert d.held() == {"A": 10}


def test_children_grow_with_the_entry_and_shrink_with_each_other() -> None:
    d = Desk(conventions=CAPPED)
    d.tick({"A": 40.0}, A=100.0)
    entry = bracket(d)
    assert d.now_is(entry).filled_qty == 4
    assert [leg.qty for leg in d.now_is(entry).legs] == [4, 4]
    d.tick({"A": 30.0}, A=99.0)
    assert [leg.qty for leg in d.now_is(entry).legs] == [7, 7]
    d.tick({"A": 20.0}, A=111.0)  # two at the target: the entry has nothing more to do
    assert (d.status(entry), d.now_is(entry).filled_qty) == ("canceled", 7)
    target, stop = d.child(entry, "limit"), d.child(entry, "stop")
    assert (target.status, target.filled_qty) == ("partially_filled", 2)
    assert (stop.status, stop.qty) == ("new", 5)
    d.tick({"A": 1000.0}, A=94.0)
    assert (d.status(target), d.status(stop), d.held()) == ("canceled", "filled", {})


def test_a_stop_that_begins_to_fill_goes_on_at_the_market() -> None:
    d = Desk(conventions=CAPPED)
    d.tick({"A": 1000.0}, A=100.0)
    entry = bracket(d)
    d.tick({"A": 30.0}, A=94.0)
    assert d.status(d.child(entry, "limit")) == "canceled"
    assert d.child(entry, "stop").filled_qty == 3
    d.tick({"A": 1000.0}, A=112.0)
    assert d.child(entry, "stop").filled_avg_price == pytest.approx((3 * 94 + 7 * 112) / 10)


def test_a_partly_filled_entry_that_is_cancelled_stays_protected() -> None:
    d = Desk(conventions=CAPPED)
    d.tick({"A": 40.0}, A=100.0)
    entry = bracket(d)
    d.venue.cancel(entry.id)
    assert [(leg.status, leg.qty) for leg in d.now_is(entry).legs] == [("new", 4), ("new", 4)]
    d.tick({"A": 1000.0}, A=94.0)
    assert d.held() == {}


def test_children_for_the_day_expire_and_those_to_stay_do_not() -> None:
    d = Desk()
    d.tick(A=100.0)
    day = bracket(d, tif="day")
    d.end_day()
    assert [leg.status for leg in d.now_is(day).legs] == ["expired", "expired"]
    d.tick(A=100.0)
    kept = bracket(d, tif="day", children_tif="gtc", client_order_id="k")
    d.end_day()
    assert [leg.status for leg in d.now_is(kept).legs] == ["new", "new"]


def test_an_entry_that_gaps_beyond_its_stop_is_stopped_at_once() -> None:
    d = Desk()
    d.tick(A=105.0)
    entry = bracket(d)
    d.tick(A=90.0)
    assert (d.status(entry), d.status(d.child(entry, "stop")), d.held()) == ("filled", "filled", {})
    assert d.child(entry, "stop").filled_avg_price == 90.0


def test_a_child_is_replaced_and_stays_a_child() -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = bracket(d)
    old = d.child(entry, "stop")
    new = d.venue.replace(old.id, stop_price=97.0)
    assert new.parent_id == entry.id
    assert d.child(entry, "stop").id == new.id
    with pytest.raises(VenueRejected):
        d.venue.replace(new.id, qty=3)
    d.tick(A=96.5)
    assert (d.status(new), d.status(d.child(entry, "limit")), d.held()) == ("filled", "canceled", {})


def test_an_entry_is_replaced_and_keeps_its_children() -> None:
    d = Desk()
    d.tick(A=105.0)
    old = bracket(d)
    new = d.venue.replace(old.id, qty=6, limit_price=103.0)
    assert [(leg.status, leg.qty, leg.parent_id) for leg in new.legs] == [("held", 6, new.id)] * 2
    d.tick(A=102.0)
    d.tick(A=94.0)
    assert (d.held(), d.status(d.child(new, "stop"))) == ({}, "filled")


def test_a_held_stop_is_moved_before_the_entry_fills() -> None:
    d = Desk()
    d.tick(A=105.0)
    entry = bracket(d)
    d.venue.replace(d.child(entry, "stop").id, stop_price=98.0)
    d.tick(A=100.0)
    d.tick(A=97.5)
    assert d.held() == {}


def test_a_stop_limit_child_waits_within_its_limit() -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = bracket(d, stop_loss_limit=94.5)
    d.tick(A=93.0)
    assert d.status(d.child(entry, "stop_limit")) == "new"
    d.tick(A=94.8)
    assert d.child(entry, "stop_limit").filled_avg_price == 94.8


def test_oto_has_one_child() -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = d.ask(10, order_class="oto", stop_loss=95.0, tif="gtc")
    assert [leg.kind for leg in d.now_is(entry).legs] == ["stop"]
    d.tick(A=94.0)
    assert d.held() == {}


def test_oco_leaves_a_position_by_one_of_two_ways() -> None:
    d = Desk()
    d.tick(A=100.0)
    fields: dict[str, Any] = {
        "kind": "limit", "limit_price": 110.0, "stop_loss": 95.0, "order_class": "oco", "tif": "gtc",
    }  # fmt: skip
    with pytest.raises(VenueRejected) as caught:
        d.ask(-10, **fields)
    assert caught.value.code == "VENUE_HELD"
    d.ask(10)
    order = d.ask(-10, **fields)
    assert [leg.kind for leg in order.legs] == ["stop"]
    assert d.venue.position("A").qty_available == 0
    d.tick(A=111.0)
    assert (d.status(order), d.status(order.legs[0]), d.held()) == ("filled", "canceled", {})


def test_oco_is_cancelled_as_a_pair() -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(10)
    order = d.ask(
        -10, kind="limit", take_profit=110.0, limit_price=None, stop_loss=95.0, order_class="oco", tif="gtc"
    )
    assert order.limit_price == 110.0
    d.venue.cancel(order.legs[0].id)
    assert d.venue.orders() == []
    assert d.venue.position("A").qty_available == 10


def test_children_never_turn_a_position_around() -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = bracket(d)
    d.venue.action(d.now, "delist", "A", 0.0)
    assert d.venue.orders() == []
    assert d.held() == {}
    assert [leg.status for leg in d.now_is(entry).legs] == ["canceled", "canceled"]


def test_nested_lists_put_children_into_their_parents() -> None:
    d = Desk()
    d.tick(A=105.0)
    entry = bracket(d)
    assert [order.id for order in d.venue.orders(nested=True)] == [entry.id]
    assert len(d.venue.orders(nested=True)[0].legs) == 2
    assert len(d.venue.orders()) == 3
    assert all(order.legs == () for order in d.venue.orders())
