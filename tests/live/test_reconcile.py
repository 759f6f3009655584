"""Reconciliation: differences are found, named and kept; nothing is made up, sent again or closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.brokers.interface import BrokerOrder, Leg, OrderRequest, Outcome
from live.brokers.manager import BrokerManager
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.reconcile import Reconciler
from live.reconciling.differences import Differences
from live.reconciling.positions import split_ratio
from live.reconciling.splits import Asked, Split, rescaled
from simulator.brokerage import Holding
from simulator.errors import ConfigError, JournalError, UnknownNameError
from simulator.types import OrderState
from tests.live.desks import Desk, bracket, order
from tests.live.faulty_broker import Limited, LostBefore, Raises, Unauthorized

PUT = "SPY261218P00500000"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    report = desk.reconciler.start()
    assert report.clean
    yield desk
    desk.database.check(full=True)
    desk.database.close()


def state_of(desk: Desk, identity: str) -> tuple[str, float]:
    sent = desk.log.find(identity)
    assert sent is not None
    assert sent.order is not None
    return sent.order.state.label, sent.order.filled


def books(desk: Desk) -> dict[str, float]:
    return desk.reconciler.ledger("main").positions()


def writes(desk: Desk) -> int:
    """How often the desk has asked a broker to change something."""
    return sum(call in ("submit_order", "replace_order", "cancel_order") for call in desk.faulty.calls)


def resting(desk: Desk) -> dict[str, tuple[float, float | None, float | None]]:
    """Quantity, stop and limit of what works."""
    return {one.order_id: (one.quantity, one.stop_price, one.limit_price) for one in desk.memory.get_orders()}


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


# Fault 25, 26: out of reach


@pytest.mark.parametrize("call", ["get_positions", "get_orders", "executions"])
def test_a_question_without_an_answer_is_unknown_and_not_flat(desk: Desk, call: str) -> None:
    desk.submit(order())
    desk.settled()
    desk.faulty.every(call, Raises(RuntimeError("bad gateway")))
    report = desk.run()
    assert (report.complete, report.clean, report.differences) == (False, False, ())
    assert "bad gateway" in report.brokers["main"].problem
    assert books(desk) == {"AAPL": 10.0}
    denied = desk.submit(order(2))
    assert denied.code == "LIVE_UNRECONCILED"
    assert "bad gateway" in denied.message
    assert (
        desk.submit(order(3, -10.0, purpose="exit")).outcome is Outcome.CONFIRMED
    )  # leaving is always possible
    desk.faulty.clear()
    assert desk.run().complete
    assert desk.submit(order(2)).outcome is Outcome.CONFIRMED


def test_after_an_outage_it_pauses_reconciles_and_goes_on(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.faulty.disconnect(30)
    for _ in range(10):
        desk.run()
        desk.wait(60)
    assert desk.submit(order(2)).code == "LIVE_UNRECONCILED"
    desk.move({"AAPL": 94.0})  # the stop fills while nobody looks
    desk.faulty.disconnect(0)
    assert desk.run().complete
    assert books(desk) == {}
    assert desk.settled().clean
    assert desk.submit(order(2)).outcome is Outcome.CONFIRMED


def test_nothing_is_entered_before_the_first_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.submit(order()).code == "LIVE_UNRECONCILED"
    desk.run()
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    desk.database.close()


def test_a_start_without_an_answer_enters_nothing_and_halts_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.faulty.disconnect(100)
    assert not desk.reconciler.start().complete
    assert desk.submit(order()).code == "LIVE_UNRECONCILED"
    assert desk.switch.state == "ACTIVE"
    desk.faulty.disconnect(0)
    desk.run()
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    desk.database.close()


def test_a_start_where_the_broker_does_not_even_name_its_account_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)

    def nobody(_: object) -> str:
        raise ConnectionError("the gateway is down")

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.faulty), "account", property(nobody))
        report = desk.reconciler.start()
    assert not report.complete
    assert "gateway is down" in report.brokers["main"].problem
    assert desk.submit(order()).code == "LIVE_UNRECONCILED"
    assert desk.run().complete
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    desk.database.close()


def test_an_order_the_list_lacks_is_asked_for_before_it_is_missed(desk: Desk) -> None:
    desk.submit(order(kind="limit", limit_price=90.0))
    desk.run()
    desk.wait()
    real = desk.memory.get_orders
    desk.memory.get_orders = lambda **_: []  # type: ignore[method-assign]  # a list that is cut off
    assert desk.run().clean
    assert desk.faulty.calls[-1] == "find_order"
    desk.faulty.every("find_order", Limited(1.0))
    assert desk.run().differences == ()  # a failed question is no answer
    desk.faulty.clear()
    desk.memory.get_orders = real  # type: ignore[method-assign]
    desk.faulty.hide_order = {"B1"}
    assert desk.run().differences == ()  # once is not enough
    assert desk.run().differences == ()  # nor is twice in a moment
    desk.wait()
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.subject) == ("missing_order", "o1")
    assert [one.found.cause for one in desk.restart().differences] == ["missing_order"]
    desk.switch.arm("ada", "it is known")
    assert state_of(desk, "o1") == ("submitted", 0.0)  # nothing is made of it
    desk.faulty.hide_order = set()
    assert desk.run().clean  # it is back


def test_a_person_can_give_up_an_order_that_is_gone(desk: Desk) -> None:
    desk.submit(order(kind="limit", limit_price=90.0))
    desk.run()
    desk.wait()
    desk.faulty.hide_order = {"B1"}
    desk.run()
    desk.wait()
    desk.run()
    desk.accept_all()
    assert desk.run().clean
    assert desk.log.open() == []
    assert desk.restart().clean


# Fault 27: positions


def test_what_somebody_else_holds_or_trades_is_found_and_named(desk: Desk) -> None:
    desk.memory.hold("TSLA", 7.0)
    desk.memory.book("MSFT", 5.0, 200.0)
    desk.settled()
    assert [(one.cause, one.symbols) for one in desk.found()] in (
        [("foreign_position", ("TSLA",)), ("foreign_trade", ("MSFT",))],
        [("foreign_trade", ("MSFT",)), ("foreign_position", ("TSLA",))],
    )
    assert desk.told[-1][0] == "reconcile_difference"
    assert len(desk.told) == 2
    desk.settled()
    assert len(desk.told) == 2  # once each
    assert books(desk) == {}


def test_a_foreign_trade_in_our_own_symbol_is_not_taken_for_ours(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    desk.memory.book("AAPL", -4.0, 101.0)
    desk.settled()
    (one,) = desk.found()
    assert (one.cause, one.data["books"], one.data["broker"]) == ("foreign_trade", 10.0, 6.0)
    assert one.data["executions"] == ["E2"]
    desk.accept_all()
    assert desk.run().clean
    assert books(desk) == {"AAPL": 6.0}
    assert desk.restart().clean
    (adjusted,) = desk.log.events("adjusted")
    assert (adjusted.symbol, adjusted.data["quantity"], adjusted.data["by"]) == ("AAPL", -4.0, "ada")


def test_a_position_that_is_missing_from_the_list_is_found(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    desk.faulty.hide_position = {"AAPL"}
    before = writes(desk)
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.data) == ("missing_position", {"books": 10.0, "broker": 0.0})
    assert books(desk) == {"AAPL": 10.0}
    assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
    assert writes(desk) == before
    desk.faulty.hide_position = set()
    assert desk.run().clean
    assert [item.state for item in desk.differences.all()] == ["cleared"]
    desk.faulty.hide_position = {"AAPL"}
    desk.run()
    assert [item.state for item in desk.differences.all()] == [
        "cleared",
        "open",
    ]  # another time is another item


def test_an_assignment_is_named_in_both_symbols(desk: Desk) -> None:
    desk.move({PUT: 4.0})
    desk.submit(order(1, -2.0, PUT))
    desk.settled()
    desk.memory.book(PUT, 2.0, 0.0, kind="assignment")
    desk.memory.book("SPY", 200.0, 500.0, kind="assignment")
    desk.settled()
    assert sorted((one.cause, one.symbols[0]) for one in desk.found()) == [
        ("assignment", "SPY"), ("assignment", PUT),
    ]  # fmt: skip
    assert books(desk) == {PUT: -2.0}
    desk.accept_all()
    assert desk.run().clean
    assert books(desk) == {"SPY": 200.0}


def test_a_split_is_named_with_its_ratio_and_rescaled_when_a_person_says_so(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.submit(order(2, kind="limit", limit_price=80.0))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    before = writes(desk)
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.data["ratio"]) == ("split", [10, 1])
    assert "split 10:1" in one.message
    assert writes(desk) == before
    desk.accept_all()
    assert desk.run().differences == ()
    assert books(desk) == {"AAPL": 100.0}
    working = {order.kind: order for order in desk.memory.get_orders()}
    assert (working["stop"].stop_price, working["stop"].quantity) == (9.5, 100.0)
    assert (working["limit"].limit_price, working["limit"].quantity) == (11.0, 100.0)
    assert desk.run().clean
    assert state_of(desk, "o2")[0] == "cancelled"  # what enters is not carried over
    assert desk.settled().clean


def test_after_a_split_an_order_that_cannot_be_changed_is_cancelled(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    desk.faulty.every("replace_order", Raises())
    desk.run()
    assert list(desk.memory.get_orders()) == []
    desk.settled()
    assert desk.causes() == ["split_order", "split_order", "unprotected"]  # and that is said, for each
    assert sorted(one.subject for one in desk.found()) == ["", "B2", "B3"]


def test_that_a_stop_was_cancelled_after_a_split_is_known_after_a_crash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit(order(1))
    desk.submit(order(2, -10.0, kind="stop", stop_price=95.0, purpose="protect"))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    desk.faulty.every("replace_order", Raises())
    with monkeypatch.context() as patched:
        patched.setattr(desk.log, "together", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            desk.run()
    assert list(desk.memory.get_orders()) == []
    desk.restart()
    desk.settled()
    assert desk.causes() == ["split_order"]
    assert books(desk) == {"AAPL": 100.0}


def test_after_a_reverse_split_what_the_broker_has_brought_in_line_is_left_alone(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.submit(order(2, symbol="MSFT"))
    desk.submit(order(3, -4.0, "MSFT", kind="stop", stop_price=120.0, purpose="protect"))  # far, and a part
    desk.settled()
    for symbol in ("AAPL", "MSFT"):
        desk.memory.split(symbol, 0.5)
    for name, quantity, stop, limit in (("B2", 5.0, 190.0, None), ("B3", 5.0, None, 220.0),
                                        ("B5", 2.0, 240.0, None)):  # fmt: skip
        desk.memory.replace_order(name, quantity=quantity, stop_price=stop, limit_price=limit)
    before = writes(desk)
    desk.settled()
    assert [(one.cause, one.data["ratio"], one.data["orders"]) for one in desk.found()] == [
        ("split", [1, 2], []), ("split", [1, 2], []),
    ]  # fmt: skip
    desk.accept_all()
    assert desk.run().clean
    assert writes(desk) == before
    assert resting(desk) == {
        "B2": (5.0, 190.0, None), "B3": (5.0, None, 220.0), "B5": (2.0, 240.0, None),
    }  # fmt: skip


def test_after_a_reverse_split_what_the_broker_has_left_as_it_was_is_brought_in_line(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.submit(order(2, symbol="MSFT"))
    desk.submit(order(3, -4.0, "MSFT", kind="stop", stop_price=120.0, purpose="protect"))
    desk.settled()
    for symbol in ("AAPL", "MSFT"):
        desk.memory.split(symbol, 0.5)
    desk.settled()
    desk.accept_all()
    assert desk.run().clean
    assert resting(desk) == {
        "B2": (5.0, 190.0, None), "B3": (5.0, None, 220.0), "B5": (2.0, 240.0, None),
    }  # fmt: skip


def test_an_order_whose_price_is_new_and_that_cannot_be_changed_is_left_and_named(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 0.5)
    desk.memory.replace_order("B2", stop_price=190.0)  # the price alone: it would leave more than there is
    desk.memory.replace_order("B3", quantity=5.0, limit_price=220.0)
    desk.settled()
    desk.accept_all()
    desk.faulty.every("replace_order", Raises())
    desk.run()
    assert [(one.order_id, one.quantity) for one in desk.memory.get_orders()] == [("B2", 10.0), ("B3", 5.0)]
    assert [(one.cause, one.subject) for one in desk.found()] == [("split_order", "B2")]


def test_an_order_that_changes_before_a_split_is_carried_out_is_not_scaled(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    desk.memory.replace_order("B2", quantity=100.0, stop_price=9.6)  # by somebody else, after the decision
    desk.run()
    stop = next(one for one in desk.memory.get_orders() if one.kind == "stop")
    assert (stop.quantity, stop.stop_price) == (100.0, 9.6)


@pytest.mark.parametrize("ratio", [2.0, 0.5])
def test_after_a_split_a_bracket_needs_a_stop_for_as_many_shares_as_it_has_now(
    desk: Desk, ratio: float
) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", ratio)
    desk.settled()
    desk.accept_all()
    assert desk.run().clean
    for _ in range(2):  # also as it is read back from the journal
        desk.memory.replace_order("B2", quantity=4.0)
        desk.settled()
        (one,) = desk.found()
        assert (one.cause, one.data["needed"], one.data["guarded"]) == ("unprotected", 10.0 * ratio, 4.0)
        desk.restart()


# Orders judged one by one: ratio, mark of now, side, kind, price, quantity, what was asked for; new values

JUDGED: list[tuple[float, float, float, str, float, float, Asked | None, tuple[float, float] | None]] = [
    (0.5, 20.0, -1, "stop", 9.0, 100.0, None, (50.0, 18.0)),
    (0.5, 20.0, -1, "stop", 18.0, 50.0, None, None),
    (0.5, 20.0, -1, "stop", 12.0, 50.0, None, None),  # far below, and doubled it would sell at once
    (0.5, 20.0, -1, "limit", 15.0, 100.0, None, (50.0, 30.0)),  # could not rest below the mark
    (0.5, 20.0, -1, "limit", 60.0, 50.0, None, None),
    (0.5, 20.0, -1, "stop", 18.0, 100.0, None, (50.0, 18.0)),  # its price is new, its quantity is not
    (0.5, 20.0, -1, "stop", 8.0, 50.0, Asked(100.0, None, 4.0), None),
    (0.5, 20.0, -1, "stop", 4.0, 40.0, Asked(40.0, None, 4.0), (20.0, 8.0)),
    (0.5, 20.0, -1, "stop", 9.0, 50.0, Asked(100.0, None, 9.0), (50.0, 18.0)),  # the quantity alone is new
    (2.0, 5.0, -1, "stop", 9.0, 100.0, None, (200.0, 4.5)),
    (2.0, 5.0, -1, "stop", 5.5, 100.0, None, (200.0, 2.75)),  # could not rest above the mark
    (2.0, 5.0, -1, "stop", 4.5, 80.0, None, None),
    (2.0, 5.0, -1, "stop", 9.0, 200.0, Asked(100.0, None, 9.0), (200.0, 4.5)),
    (2.0, 5.0, 1, "limit", 9.0, 30.0, None, (60.0, 4.5)),
    (2.0, 5.0, 1, "limit", 4.5, 60.0, None, None),
]


@pytest.mark.parametrize(("ratio", "mark", "side", "kind", "price", "quantity", "asked", "wanted"), JUDGED)
def test_which_orders_a_split_has_left_as_they_were(
    ratio: float, mark: float, side: float, kind: str, price: float, quantity: float, asked: Asked | None,
    wanted: tuple[float, float] | None,
) -> None:  # fmt: skip
    holding = Holding(symbol="AAPL", quantity=100.0 * ratio, mark=mark, average_price=10.0 / ratio)
    one = BrokerOrder(
        order_id="B1", client_order_id="", legs=(Leg("AAPL", side * quantity),), quantity=quantity,
        kind="stop" if kind == "stop" else "limit", state=OrderState.SUBMITTED,
        stop_price=price if kind == "stop" else None, limit_price=None if kind == "stop" else price,
    )  # fmt: skip
    todo = rescaled(Split("AAPL", ratio, 100.0, 100.0 * ratio, holding), [one], lambda _: asked)
    name = f"{kind}_price"
    assert [(change["quantity"], change.get(name, price)) for change in todo] == ([wanted] if wanted else [])


def test_a_crash_while_a_split_is_carried_out_scales_nothing_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    with monkeypatch.context() as patched:
        patched.setattr(desk.log, "together", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            desk.run()
    desk.restart()
    desk.run()
    working = {order.kind: order for order in desk.memory.get_orders()}
    assert (working["stop"].stop_price, working["stop"].quantity) == (9.5, 100.0)
    assert books(desk) == {"AAPL": 100.0}


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [(10, 100, (10, 1)), (10, 20, (2, 1)), (-10, -30, (3, 1)), (300, 10, (1, 30)), (10, 15, (3, 2)),
     (10, 13, None), (10, -100, None), (0, 10, None), (10, 10, None), (10, 0, None)],
)  # fmt: skip
def test_ratios_of_splits(before: float, after: float, ratio: tuple[int, int] | None) -> None:
    found = split_ratio(before, after)
    assert (None if found is None else (found.numerator, found.denominator)) == ratio


def test_ten_times_as_many_at_the_same_cost_is_no_split(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    desk.memory.hold("AAPL", 100.0)
    desk.run()
    assert desk.causes() == ["position"]


def test_foreign_orders_are_found_once_and_can_be_accepted(desk: Desk) -> None:
    desk.memory.submit_order(
        OrderRequest(client_order_id="hand", legs=(Leg("MSFT", 1.0),), kind="limit", limit_price=90.0)
    )
    desk.run()
    desk.run()
    assert desk.causes() == ["foreign_order"]
    assert desk.submit(order(1, symbol="MSFT")).code == "LIVE_SYMBOL_REDUCING"
    desk.accept_all()
    assert desk.run().clean
    assert desk.restart().clean
    desk.memory.cancel_order("B1")
    assert desk.settled().clean


def test_an_id_that_two_of_our_orders_have_is_found(desk: Desk) -> None:
    desk.submit(order(1, kind="limit", limit_price=90.0))
    desk.submit(order(2, 10.0, "MSFT", kind="limit", limit_price=90.0))
    desk.run()
    one = desk.memory._orders.pop("B2")
    from dataclasses import replace

    desk.memory._orders["B1"] = replace(one, order_id="B1")
    desk.run()
    assert "order_id_reused" in desk.causes()
    (found,) = [found for found in desk.found() if found.cause == "order_id_reused"]
    assert found.symbols == ("AAPL", "MSFT")


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


# Fault 12: a crash during reconciliation


def test_three_crashes_at_every_write_leave_the_same_items_and_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.hold("TSLA", 7.0)
    desk.memory.book("MSFT", 5.0, 200.0)
    desk.memory.book("AAPL", 3.0, 100.0, order_id="B1")
    desk.wait()

    class Crash(BaseException):
        pass

    def crash_at(n: int) -> bool:
        """Start again, and end at the n-th write of either kind; returns whether there was one."""
        count = 0

        def counted(real: Any) -> Any:
            def call(*args: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == n:
                    raise Crash
                return real(*args, **named)

            return call

        with monkeypatch.context() as patched:
            patched.setattr(Database, "write", counted(Database.write))
            patched.setattr("live.review.files.RequestFiles.write", counted(
                __import__("live.review.files", fromlist=["RequestFiles"]).RequestFiles.write))  # fmt: skip
            try:
                desk.restart()
            except Crash:
                return True
        return False

    crashes = sum(crash_at(n) for n in (1, 2, 3, *range(2, 20)))
    assert crashes > 5
    desk.wait()
    report = desk.restart()
    names = [one.item_id for one in report.differences]
    assert sorted(one.found.cause for one in report.differences) == [
        "foreign_position", "foreign_trade", "overfill", "unprotected",
    ]  # fmt: skip
    assert len(list((desk.folder / "reviews").glob("D-*.json"))) == 4
    assert [one.item_id for one in desk.restart().differences] == names
    with desk.database.read() as connection:
        fills, copies = (
            connection.exec_driver_sql(sql).scalar_one()
            for sql in (
                "SELECT count(*) FROM events WHERE kind = 'fill'",
                "SELECT count(*) FROM reviews WHERE kind = 'difference'",
            )
        )
    assert (fills, copies) == (3, 4)


def test_the_id_of_a_difference_follows_from_what_it_is(tmp_path: Path) -> None:
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        desk = Desk(tmp_path / folder)
        desk.memory.hold("TSLA", 7.0 if folder == "a" else 8.0)
        desk.run()
        names += [one.item_id for one in desk.differences.open()]
        desk.database.close()
    assert names[0] == names[1]


def test_differences_at_a_start_halt_until_a_person_arms(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.memory.hold("TSLA", 7.0)
    report = desk.reconciler.start()
    assert [one.found.cause for one in report.differences] == ["foreign_position"]
    assert desk.switch.state == "HALTED"
    assert "TSLA" in desk.switch.status["reason"]
    desk.restart()
    assert len([one for one in desk.told if one[0] == "kill_switch"]) == 1  # not at every start
    desk.accept_all()
    assert desk.restart().clean
    assert desk.switch.state == "HALTED"
    desk.switch.arm("ada", "it is my own")
    assert desk.submit(order(1, symbol="MSFT")).outcome is Outcome.CONFIRMED
    desk.database.close()


# The journal, access, and what is in the way


def test_a_journal_that_cannot_be_written_halts_and_the_run_returns(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit(order())

    def full() -> Any:
        raise JournalError("the disk is full", code="JOURNAL_FULL")

    with monkeypatch.context() as patched:
        patched.setattr(desk.database, "write", full)
        report = desk.run()
        assert not report.complete
        assert desk.switch.state == "HALTED"
    assert desk.run().complete
    assert desk.settled().clean
    assert desk.submit(order(2)).code == "LIVE_HALTED"


def test_whichever_write_of_a_run_fails_the_journal_has_every_fill_in_the_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1, 40):
        assert desk.submit(order(n, 1.0)).outcome is Outcome.CONFIRMED
        desk.memory.book("MSFT", 1.0, 200.0)
        count = 0

        def failing(n: int = n, real: Any = desk.database.write) -> Any:
            nonlocal count
            count += 1
            if count == n:
                raise JournalError("the disk is full", code="JOURNAL_FULL")
            return real()

        with monkeypatch.context() as patched:
            patched.setattr(desk.database, "write", failing)
            desk.run()
        desk.run()
        with desk.database.read() as connection:
            stored = connection.exec_driver_sql(
                "SELECT count(*) FROM events WHERE kind = 'fill'"
            ).scalar_one()
        assert stored == 2 * n
        assert books(desk)["AAPL"] == n
        desk.settled()
        desk.accept_all()
        if count < n:
            break
        assert desk.restart().differences == ()
        if desk.switch.state == "HALTED":
            desk.switch.arm("ada", "there is room again")
    else:
        pytest.fail("it never passed clean")


def test_a_refused_access_halts_once_and_is_told_once(desk: Desk) -> None:
    desk.faulty.every("get_positions", Unauthorized())
    for _ in range(5):
        desk.run()
    assert desk.switch.state == "HALTED"
    assert [kind for kind, _ in desk.told] == ["kill_switch"]
    assert "401" in desk.switch.status["reason"]
    desk.faulty.clear()
    assert desk.run().complete
    assert desk.switch.state == "HALTED"


def test_a_reconciler_and_its_manager_share_what_differs(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with pytest.raises(ConfigError) as caught:
        Reconciler(desk.manager, Differences(tmp_path / "others"))
    assert caught.value.code == "LIVE_NO_DIFFERENCES"
    desk.database.close()
    bare = BrokerManager({"main": desk.memory}, KillSwitch(tmp_path / "s"), intents=IntentLog.in_memory())
    with pytest.raises(ConfigError):
        Reconciler(bare)


def test_it_works_without_a_journal(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    manager = BrokerManager(
        {"main": desk.faulty}, desk.switch, intents=IntentLog.in_memory(), differences=desk.differences,
        clock=desk.clock,
    )  # fmt: skip
    reconciler = Reconciler(manager, window=timedelta(seconds=1))
    assert reconciler.start().clean
    manager.submit_order(order())
    desk.wait()
    assert reconciler.run().clean
    assert reconciler.ledger("main").positions() == {"AAPL": 10.0}
    desk.database.close()


# Differences


def test_an_acceptance_needs_a_name_and_a_reason_and_an_item(desk: Desk) -> None:
    desk.memory.hold("TSLA", 7.0)
    desk.run()
    (one,) = desk.differences.open()
    for by, note in (("", "x"), ("ada", " ")):
        with pytest.raises(ConfigError) as caught:
            desk.differences.accept(one.item_id, by, note)
        assert caught.value.code == "LIVE_REVIEW_NAME"
    with pytest.raises(UnknownNameError):
        desk.differences.accept("D-0000000000000000", "ada", "x")
    assert desk.differences.accept(one.item_id, "ada", "mine").state == "accepted"
    assert desk.differences.accept(one.item_id, "bob", "mine too").decided_by == "ada"
    assert desk.manager.get_differences() == []


def test_another_process_accepts_and_the_next_run_carries_it_out(desk: Desk) -> None:
    desk.memory.hold("TSLA", 7.0)
    desk.run()
    other = Differences(desk.folder / "reviews")
    other.accept(other.open()[0].item_id, "ada", "mine")
    assert desk.run().clean
    assert books(desk) == {"TSLA": 7.0}
    assert desk.run().clean
    assert [event.data["quantity"] for event in desk.log.events("adjusted")] == [7.0]


def test_a_damaged_difference_keeps_everything_to_exits_and_is_named(desk: Desk) -> None:
    desk.memory.hold("TSLA", 7.0)
    desk.run()
    (path,) = (desk.folder / "reviews").glob("D-*.json")
    path.write_bytes(b"{")
    assert desk.submit(order()).code == "LIVE_SYMBOL_REDUCING"
    with pytest.raises(JournalError, match=path.stem):
        desk.differences.open()
    desk.run()
    assert desk.switch.state == "HALTED"
    path.unlink()
