"""What a person does from a page happens once, is confirmed by a word, and is judged where it has to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journal.inbox import Inbox
from live.brokers.interface import Leg, OrderRequest
from live.decisions import waiting_decisions
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue
from tests.twinstep.dashboard.conftest import Client


@pytest.fixture
def queue(journal: Path) -> ReviewQueue:
    folder = switch_folder(journal)
    return ReviewQueue(folder / "reviews", KillSwitch(folder))


def laid(queue: ReviewQueue, name: str) -> str:
    order = OrderRequest(
        client_order_id=f"tw-{name}",
        legs=(Leg("AAPL", 10.0),),
        kind="limit",
        limit_price=150.0,
        reason="a test",
    )
    return queue.add(order, broker="paper", price=150.0).request_id


def test_an_approval_is_left_for_the_session_once(client: Client, queue: ReviewQueue, journal: Path) -> None:
    reviews = switch_folder(journal) / "reviews"
    number = laid(queue, "approve")
    assert "AAPL" in client.ask("/queue").body
    wrong = client.do(f"requests/{number}/approve", by="ada", typed="MSFT", key="approve-wrong").json
    assert (wrong["done"], wrong["code"]) == (False, "CLI_CONFIRM")
    assert waiting_decisions(reviews) == []
    found = client.do(f"requests/{number}/approve", by="ada", typed="aapl", key="approve-right").json
    assert found["done"], found
    assert waiting_decisions(reviews) == [number]
    # it is the session that judges and sends
    assert queue.get(number).state == "pending"
    again = client.do(f"requests/{number}/approve", by="bob", typed="aapl", key="approve-right").json
    assert again == found


def test_a_rejection_ends_it_and_a_second_one_says_so(client: Client, queue: ReviewQueue) -> None:
    number = laid(queue, "reject")
    assert client.do(f"requests/{number}/reject", reason="earnings", by="ada", key="reject-1").json["done"]
    assert (queue.get(number).state, queue.get(number).note) == ("rejected", "earnings")
    late = client.do(f"requests/{number}/approve", by="ada", typed="AAPL", key="approve-late").json
    assert "had ended before" in late["says"]
    assert queue.get(number).state == "rejected"


def test_nothing_that_enters_is_approved_during_a_halt(client: Client, queue: ReviewQueue) -> None:
    number = laid(queue, "halt")
    queue.switch.engage("a test", "ada")
    try:
        found = client.do(f"requests/{number}/approve", by="ada", typed="AAPL", key="approve-halt").json
        assert (found["done"], found["code"]) == (False, "LIVE_HALTED")
    finally:
        queue.switch.arm("ada", "the test is over")


def test_a_request_that_is_none_is_an_answer_and_no_fault(client: Client) -> None:
    found = client.do("requests/R-0123456789abcdef/reject", reason="no", key="reject-none")
    assert (found.status, found.json["done"]) == (200, False)
    assert client.do("requests/../../etc/reject", reason="no", key="reject-path").status in (404, 405, 422)


def test_a_close_goes_to_the_session_and_its_symbol_is_typed(client: Client, journal: Path) -> None:
    wrong = client.do("close", session="paper", symbol="AAPL", typed="yes", key="close-wrong").json
    assert wrong["code"] == "CLI_CONFIRM"
    unknown = client.do("close", session="nobody", symbol="AAPL", typed="AAPL", key="close-nobody").json
    assert not unknown["done"]
    good = client.do("close", session="paper", symbol="AAPL", typed="AAPL", key="close-right").json
    assert good["done"], good
    assert Inbox(journal).waiting() == []  # nobody holds the journal: it waits in the session
    assert client.ask("/now").status == 200


@pytest.mark.parametrize(
    "form",
    [
        {}, {"key": "short"}, {"key": "x" * 65}, {"key": "key with spaces"}, {"key": "key-extra", "more": 1},
        {"key": "key-reason", "reason": "x" * 2001}, {"key": 12345678},
        {"key": "key-by-long", "by": "x" * 81},
    ],
)  # fmt: skip
def test_forms_that_are_none_do_nothing(client: Client, journal: Path, form: dict[str, object]) -> None:
    assert client.ask("/do/kill", "POST", json.dumps(form)).status == 422
    assert KillSwitch(switch_folder(journal), arm_fresh=False).state == "ACTIVE"
