"""Reconciliation of orders and fills: each counts once, in whatever way and order the broker tells them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from live.brokers.interface import Leg, OrderRequest, Outcome
from simulator.types import OrderState
from tests.live.desks import Desk, bracket, order
from tests.live.faulty_broker import LostBefore
from tests.live.reconciled import books, started, state_of, writes

PUT = "SPY261218P00500000"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from started(tmp_path)


# What agrees


def test_an_order_and_its_fills_agree_and_come_to_their_end(desk: Desk) -> None:
    desk.submit(order(1, kind="limit", limit_price=99.0))
    assert desk.run().clean
    assert state_of(desk, "o1") == ("submitted", 0.0)
    desk.move({"AAPL": 98.0})
    assert desk.run().brokers["main"].fills == 1
    assert state_of(desk, "o1") == ("filled", 10.0)
    assert books(desk) == {"AAPL": 10.0}
    assert [sent.identity for sent in desk.log.open()] == ["o1"]  # one look is not enough
    assert desk.settled().clean
    assert desk.log.open() == []
    assert desk.restart().clean
    assert books(desk) == {"AAPL": 10.0}


def test_a_round_trip_with_packages_and_brackets_agrees(desk: Desk) -> None:
    legs = (Leg(PUT, -2.0), Leg("SPY261218P00490000", 2.0))
    desk.move({PUT: 4.0, "SPY261218P00490000": 2.5})
    desk.submit(OrderRequest(client_order_id="s1", legs=legs, order_class="multi_leg"))
    desk.submit(bracket(1))
    desk.submit(order(2, -5.0, "MSFT"))
    assert desk.settled().clean
    assert books(desk) == {"AAPL": 10.0, "MSFT": -5.0, PUT: -2.0, "SPY261218P00490000": 2.0}
    desk.move({"AAPL": 111.0})
    desk.submit(order(3, 5.0, "MSFT", purpose="exit"))
    assert desk.settled().clean
    assert sorted(books(desk)) == ["SPY261218P00490000", PUT]
    assert desk.restart().clean


def test_the_expiry_of_what_we_hold_is_ours(desk: Desk) -> None:
    desk.move({PUT: 4.0})
    desk.submit(order(1, -2.0, PUT))
    desk.settled()
    desk.memory.book(PUT, 2.0, 0.0, kind="expiry")
    assert desk.settled().clean
    assert books(desk) == {}


# Fault 21: fills twice, before the answer, out of order, late


@pytest.mark.parametrize("trouble", ["repeated", "shuffled", "late", "all"])
def test_fills_are_counted_once_in_whatever_way_they_are_told(desk: Desk, trouble: str) -> None:
    desk.faulty.repeat_executions = trouble in ("repeated", "all")
    desk.faulty.shuffle = trouble in ("shuffled", "all")
    desk.faulty.delay_executions = 2 if trouble in ("late", "all") else 0
    for number in range(1, 6):
        desk.submit(order(number, 1.0 + number))
        desk.run()
    desk.submit(order(6, -20.0, purpose="exit"))
    for _ in range(4):
        desk.run()
    assert desk.settled().clean
    assert books(desk) == {}
    with desk.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT count(*) FROM events WHERE kind = 'fill'").scalar_one()
    assert stored == 6
    assert all(state_of(desk, f"o{number}")[0] == "filled" for number in range(1, 7))


def test_a_fill_that_comes_before_the_answer_is_ours_as_soon_as_the_order_is(desk: Desk) -> None:
    desk.faulty.at("submit_order", 1, LostBefore())
    desk.submit(order())
    desk.memory.submit_order(order())  # it arrives late, and fills
    desk.faulty.at("find_order", 1, LostBefore())  # and is found only by the list
    assert desk.run().differences == ()
    assert books(desk) == {"AAPL": 10.0}
    assert desk.settled().clean


def test_more_than_was_asked_for_is_for_a_person_and_the_symbol_may_only_be_left(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    desk.memory.book("AAPL", 3.0, 100.0, order_id="B1")
    desk.settled()
    assert desk.causes() == ["overfill"]
    assert books(desk) == {"AAPL": 13.0}  # from the fills, whatever was asked for
    denied = desk.submit(order(2))
    assert (denied.outcome, denied.code) == (Outcome.DENIED, "LIVE_SYMBOL_REDUCING")
    assert desk.submit(order(3, 1.0, "MSFT")).outcome is Outcome.CONFIRMED  # the others go on
    assert desk.submit(order(4, -20.0, purpose="exit")).code == "LIVE_NOT_REDUCING"
    assert desk.submit(order(5, -13.0, purpose="exit")).outcome is Outcome.CONFIRMED
    desk.settled()
    assert desk.causes() == ["overfill"]  # it has happened: no run clears it
    desk.accept_all()
    assert desk.settled().differences == ()
    assert desk.submit(order(6)).outcome is Outcome.CONFIRMED
    assert desk.settled().differences == ()  # and it does not come back


# Fault 22: partial fills


def test_of_a_partly_filled_bracket_every_share_has_a_stop_at_every_moment(desk: Desk) -> None:
    def guarded() -> float:
        return sum(one.quantity for one in desk.memory.get_orders() if one.kind == "stop" and one.is_open)

    desk.memory.move({"AAPL": 101.0})
    desk.submit(bracket(1))
    for quantity in (3.0, 2.0):
        desk.memory.part("B1", quantity, 100.0)
        assert desk.run().differences == ()
        assert guarded() == books(desk)["AAPL"]
    desk.wait()
    assert desk.run().clean
    desk.manager.cancel_order("main", "B1")
    assert desk.settled().clean
    assert state_of(desk, "o1") == ("cancelled", 5.0)
    assert guarded() == books(desk)["AAPL"] == 5.0
    desk.move({"AAPL": 94.0})
    assert desk.settled().clean
    assert books(desk) == {}


@pytest.mark.parametrize("lack", ["no stop", "a stop for less"])
def test_shares_of_a_bracket_without_a_stop_are_found(desk: Desk, lack: str) -> None:
    desk.submit(bracket(1))
    assert desk.settled().clean
    if lack == "no stop":
        desk.memory.cancel_order("B2")
    else:
        desk.memory.replace_order("B2", quantity=4.0)
    before = writes(desk)
    desk.settled()
    (one,) = desk.found()
    assert (one.cause, one.data["needed"], one.data["guarded"]) == (
        "unprotected", 10.0, 0.0 if lack == "no stop" else 4.0,
    )  # fmt: skip
    assert writes(desk) == before  # it is said, not done
    assert desk.restart().differences[0].found.cause == "unprotected"
    missing = 10.0 if lack == "no stop" else 6.0
    stop = order(2, -missing, kind="stop", stop_price=95.0, purpose="protect")
    desk.switch.arm("ada", "I guard it")
    assert desk.submit(stop).outcome is Outcome.CONFIRMED
    assert desk.settled().differences == ()  # it is gone, so it is cleared


@pytest.mark.parametrize("seconds", [3.0, 9.0, 11.0, 30.0])
def test_a_bracket_that_is_done_at_the_first_look_still_needs_its_stop(desk: Desk, seconds: float) -> None:
    desk.submit(bracket(1))
    desk.wait(seconds)
    desk.run()
    assert desk.settled().clean
    desk.memory.cancel_order("B2")
    desk.settled()
    assert desk.causes() == ["unprotected"]


# Fault 23: stop and target both fill


def test_where_stop_and_target_both_fill_the_position_is_what_the_fills_say(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.move({"AAPL": 111.0})  # the target, and the broker cancels the stop
    desk.memory.book("AAPL", -10.0, 95.0, order_id="B2")  # too late
    before = writes(desk)
    desk.settled()
    assert books(desk) == {"AAPL": -10.0}
    (one,) = desk.found()
    assert (one.cause, one.data["quantity"]) == ("double_exit", 10.0)
    assert writes(desk) == before
    assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
    # a person ends it, and it is never ended by itself
    assert desk.submit(order(3, 10.0, purpose="protect")).outcome is Outcome.CONFIRMED
    assert books(desk) == {"AAPL": -10.0}
    desk.settled()
    assert books(desk) == {}
    assert desk.causes() == ["double_exit"]


def test_a_sibling_that_has_filled_is_not_cancelled_and_no_error(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.move({"AAPL": 111.0})
    assert desk.manager.cancel_order("main", "B3").state == OrderState.FILLED
    assert desk.settled().clean


# Fault 24: filled after it was cancelled


def test_a_fill_after_a_cancel_wins(desk: Desk) -> None:
    desk.submit(order(kind="limit", limit_price=90.0))
    desk.run()
    desk.manager.cancel_order("main", "B1")
    desk.run()
    assert state_of(desk, "o1") == ("cancelled", 0.0)
    assert [sent.identity for sent in desk.log.open()] == ["o1"]  # not final yet
    desk.memory.book("AAPL", 10.0, 90.0, order_id="B1")
    desk.run()
    assert state_of(desk, "o1") == ("filled", 10.0)
    assert books(desk) == {"AAPL": 10.0}
    assert "late_fill" in desk.events()
    assert desk.settled().clean


def test_a_fill_long_after_the_end_still_counts(desk: Desk) -> None:
    desk.submit(order(kind="limit", limit_price=90.0))
    desk.manager.cancel_order("main", "B1")
    desk.settled()
    desk.settled()
    assert desk.log.open() == []
    desk.memory.book("AAPL", 10.0, 90.0, order_id="B1")
    desk.settled()
    assert state_of(desk, "o1") == ("filled", 10.0)
    assert books(desk) == {"AAPL": 10.0}
    assert desk.settled().clean


# What is in motion


def test_what_is_in_motion_is_left_alone_until_it_rests(desk: Desk) -> None:
    desk.faulty.delay_executions = 1
    desk.submit(order())
    report = desk.run()
    assert (report.differences, report.brokers["main"].moving) == ((), ("AAPL",))
    assert not report.clean
    assert desk.run().clean


def test_fills_that_never_come_are_missed(desk: Desk) -> None:
    desk.faulty.delay_executions = 1_000
    desk.submit(order())
    desk.run()
    desk.wait()
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.data) == ("fills_missing", {"books": 0.0, "broker": 10.0})
    assert state_of(desk, "o1") == ("filled", 10.0)
    desk.faulty.delay_executions = 0
    assert desk.settled().clean
