"""What got lost on its way goes again only where it is proven that it never arrived, and then once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from live.automation.config import ExecutionMode
from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted
from live.review_queue import ReviewRequest
from tests.live.desks import Desk, order
from tests.live.faulty_broker import LostAfter, LostBefore

EXIT = order(2, -10.0, purpose="exit")
STOP = order(3, -10.0, purpose="protect", kind="stop", stop_price=95.0)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    assert desk.reconciler.start().clean
    assert desk.submit(order(1)).outcome is Outcome.CONFIRMED
    assert desk.settled().clean
    yield desk
    desk.database.close()


def lose(desk: Desk, request: OrderRequest) -> None:
    """Send an order that never arrives, until it is given up."""
    desk.faulty.at("submit_order", 1, LostBefore())
    assert desk.submit(request).outcome is Outcome.UNRESOLVED
    for _ in range(2):
        desk.run()
        desk.wait(6.0)
    assert stands(desk, request).code == "LIVE_NOT_SENT"


def stands(desk: Desk, request: OrderRequest) -> Submitted:
    sent = desk.manager.book.get(request.client_order_id)
    assert sent is not None
    return sent.submitted


def again(desk: Desk, request: OrderRequest) -> Submitted | ReviewRequest:
    return desk.manager.submit_order(request, again=True)


def sent(desk: Desk, request: OrderRequest) -> Outcome:
    """Try once more, and return what came of it."""
    answer = again(desk, request)
    assert isinstance(answer, Submitted)
    return answer.outcome


def arrived(desk: Desk, request: OrderRequest) -> int:
    return desk.faulty.received.count(request.client_order_id)


def late(desk: Desk) -> None:
    """Let the time go by after which proof is asked for."""
    desk.wait(61.0)
    desk.run()


@pytest.mark.parametrize("request_", [EXIT, STOP], ids=["exit", "stop"])
def test_what_never_arrived_goes_once_more_after_a_minute(desk: Desk, request_: OrderRequest) -> None:
    lose(desk, request_)
    desk.wait(45.0)
    desk.run()
    assert "may still arrive" in desk.manager.why_not_again(request_.client_order_id)
    assert sent(desk, request_) is Outcome.DENIED
    assert arrived(desk, request_) == 0
    late(desk)
    assert desk.manager.why_not_again(request_.client_order_id) == ""
    # nobody who does not ask for it sends it again
    assert desk.submit(request_).code == "LIVE_NOT_SENT"
    for _ in range(3):
        assert sent(desk, request_) is Outcome.CONFIRMED
    assert arrived(desk, request_) == 1
    assert desk.settled().clean
    assert desk.memory.get_positions() == [] or request_ is STOP


def test_an_entry_never_goes_again(desk: Desk) -> None:
    entry = order(4)
    lose(desk, entry)
    late(desk)
    assert "over" in desk.manager.why_not_again("o4")
    assert sent(desk, entry) is Outcome.DENIED
    assert arrived(desk, entry) == 0


def test_what_was_never_lost_does_not_go_again(desk: Desk) -> None:
    assert sent(desk, STOP) is Outcome.CONFIRMED
    late(desk)
    assert desk.manager.why_not_again("o3") == "it was not given up"
    assert sent(desk, STOP) is Outcome.CONFIRMED
    assert arrived(desk, STOP) == 1
    assert desk.manager.why_not_again("o9") == "it was not given up"


def does_not_answer(desk: Desk) -> None:
    desk.faulty.every("find_order", LostBefore())


def says_no_positions(desk: Desk) -> None:
    desk.faulty.every("get_positions", LostBefore())


def holds_less(desk: Desk) -> None:
    desk.memory.hold("AAPL", 5.0)


def has_sold(desk: Desk) -> None:
    """The order has filled, and is no longer among those that are listed."""
    desk.memory.book("AAPL", -10.0, 100.0, order_id="B77")


def has_sold_and_bought_back(desk: Desk) -> None:
    """What is held is what our fills say, by accident: the order has filled, and somebody bought as much."""
    has_sold(desk)
    desk.memory.book("AAPL", 10.0, 100.0, order_id="B78")


def lists_it_and_does_not_find_it(desk: Desk) -> None:
    """Its two ways of asking disagree: one index is behind the other."""
    desk.memory.submit_order(replace(EXIT, kind="limit", limit_price=500.0))
    desk.memory.find_order = lambda client_order_id: None  # type: ignore[method-assign]


def is_out_of_reach(desk: Desk) -> None:
    desk.faulty.every("get_orders", LostBefore())
    desk.run()
    desk.faulty.clear()


@pytest.mark.parametrize(
    "arises",
    [
        does_not_answer, says_no_positions, holds_less, has_sold, has_sold_and_bought_back,
        lists_it_and_does_not_find_it, is_out_of_reach,
    ],
)  # fmt: skip
def test_without_proof_it_stays_given_up(desk: Desk, arises: Callable[[Desk], None]) -> None:
    lose(desk, EXIT)
    late(desk)
    assert desk.manager.why_not_again("o2") == ""
    arises(desk)
    assert desk.manager.why_not_again("o2") != ""
    assert sent(desk, EXIT) is Outcome.DENIED
    assert arrived(desk, EXIT) == 0
    assert stands(desk, EXIT).code == "LIVE_NOT_SENT"


def test_a_difference_in_its_symbol_is_no_proof_and_one_elsewhere_is_none_against_it(desk: Desk) -> None:
    lose(desk, EXIT)
    desk.memory.hold("MSFT", 3.0)
    late(desk)
    late(desk)
    assert desk.causes() == ["foreign_position"]
    assert desk.manager.why_not_again("o2") == ""
    desk.memory.hold("AAPL", 4.0)
    late(desk)
    late(desk)
    desk.memory.hold("AAPL", 10.0)  # the next look would close the difference
    assert "D-" in desk.manager.why_not_again("o2")


def test_what_arrives_late_is_adopted_and_not_sent_again(desk: Desk) -> None:
    lose(desk, EXIT)
    desk.memory.submit_order(EXIT)
    assert desk.memory.get_positions() == []
    late(desk)
    assert sent(desk, EXIT) is Outcome.CONFIRMED
    assert arrived(desk, EXIT) == 0
    assert desk.memory.get_positions() == []


def test_a_repeat_without_an_answer_is_looked_up_and_not_repeated(desk: Desk) -> None:
    lose(desk, EXIT)
    late(desk)
    desk.faulty.at("submit_order", 1, LostAfter())
    assert sent(desk, EXIT) is Outcome.UNRESOLVED
    assert sent(desk, EXIT) is Outcome.UNRESOLVED
    desk.restart()
    assert sent(desk, EXIT) is Outcome.CONFIRMED
    assert arrived(desk, EXIT) == 1
    assert desk.settled().clean
    assert desk.memory.get_positions() == []


def test_a_repeat_that_gets_lost_too_waits_another_minute(desk: Desk) -> None:
    lose(desk, EXIT)
    late(desk)
    desk.faulty.at("submit_order", 1, LostBefore())
    assert sent(desk, EXIT) is Outcome.UNRESOLVED
    for _ in range(2):
        desk.run()
        desk.wait(6.0)
    assert "may still arrive" in desk.manager.why_not_again("o2")
    late(desk)
    assert sent(desk, EXIT) is Outcome.CONFIRMED
    assert arrived(desk, EXIT) == 1


def test_a_restart_in_between_changes_nothing(desk: Desk) -> None:
    lose(desk, EXIT)
    desk.restart()
    assert "may still arrive" in desk.manager.why_not_again("o2")
    late(desk)
    desk.restart()
    assert sent(desk, EXIT) is Outcome.CONFIRMED
    assert arrived(desk, EXIT) == 1


def test_what_is_kept_back_stays_given_up(desk: Desk) -> None:
    """A denial must not make it an order that was never sent: its id would be free without any proof."""
    lose(desk, EXIT)
    late(desk)
    desk.switch.engage("a look", "ada")
    assert sent(desk, EXIT) is Outcome.DENIED
    assert stands(desk, EXIT).code == "LIVE_NOT_SENT"
    desk.switch.arm("ada", "looked")
    desk.restart()
    assert stands(desk, EXIT).code == "LIVE_NOT_SENT"
    assert sent(desk, EXIT) is Outcome.CONFIRMED
    assert arrived(desk, EXIT) == 1


def test_more_than_is_held_does_not_go_again(desk: Desk) -> None:
    """Its intent is written down when it is measured: the record says afterwards that it got lost."""
    lose(desk, STOP)
    late(desk)
    assert again(desk, replace(STOP, legs=(Leg("AAPL", -20.0),))) == Submitted(
        outcome=Outcome.DENIED, client_order_id="o3", code="LIVE_NOT_REDUCING",
        message="it got lost, and goes again only where it is known to shrink what is held",
    )  # fmt: skip
    desk.restart()
    assert stands(desk, STOP).code == "LIVE_NOT_SENT"
    assert sent(desk, STOP) is Outcome.CONFIRMED
    assert arrived(desk, STOP) == 1


def test_under_the_same_id_nothing_else_goes(desk: Desk) -> None:
    lose(desk, EXIT)
    late(desk)
    other = [replace(EXIT, legs=(Leg("AAPL", 10.0),)), replace(EXIT, legs=(Leg("MSFT", -10.0),))]
    assert [sent(desk, one) for one in other] == [Outcome.DENIED] * 2
    assert sent(desk, replace(EXIT, purpose="entry")) is Outcome.DENIED
    assert arrived(desk, EXIT) == 0


def test_what_is_held_may_have_become_less(desk: Desk) -> None:
    lose(desk, EXIT)
    assert desk.submit(order(5, -4.0, purpose="exit")).outcome is Outcome.CONFIRMED
    late(desk)
    assert sent(desk, EXIT) is Outcome.DENIED
    assert sent(desk, replace(EXIT, legs=(Leg("AAPL", -6.0),))) is Outcome.CONFIRMED
    assert desk.settled().clean
    assert desk.memory.get_positions() == []


def test_in_review_a_lost_stop_that_protects_needs_nobody(desk: Desk) -> None:
    lose(desk, STOP)
    late(desk)
    desk.manager.mode = ExecutionMode.MANUAL_REVIEW
    assert sent(desk, STOP) is Outcome.CONFIRMED
