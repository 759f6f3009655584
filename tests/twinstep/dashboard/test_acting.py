"""What a person does from a page happens once, is confirmed by a word, and is judged where it has to be."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from journal.inbox import Inbox
from live.brokers.interface import Leg, OrderRequest
from live.decisions import waiting_decisions
from live.kill_files import read_record
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard
from twinstep.dashboard.doing.acting import UNNAMED, Acting
from twinstep.dashboard.doing.forms import Form
from twinstep.dashboard.reading.reader import Reader


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
    assert "none runs on this journal" in found["says"]
    assert waiting_decisions(reviews) == [number]
    page = client.ask("/queue").body
    assert f"/do/requests/{number}/approve" not in page  # it has been
    assert f"/do/requests/{number}/reject" in page
    # it is the session that judges and sends
    assert queue.get(number).state == "pending"
    again = client.do(f"requests/{number}/approve", by="ada", typed="aapl", key="approve-right").json
    assert again == found
    other = client.do(f"requests/{number}/approve", by="bob", typed="aapl", key="approve-right").json
    assert (other["done"], other["code"]) == (False, "DASHBOARD_KEY")


def test_an_approval_that_is_taken_back_is_no_longer_waiting_and_stays_on_record(
    client: Client, queue: ReviewQueue
) -> None:
    for one in queue.pending():
        queue.reject(one.request_id, "of another test", rejected_by="bob")
    number, second = laid(queue, "back"), laid(queue, "waits")
    assert client.ask("/state").headers["x-state"] == "PAPER ACTIVE 2"
    assert client.do(f"requests/{number}/approve", by="ada", typed="AAPL").json["done"]
    page = client.ask("/queue").body
    # the badge counts what the page does
    assert "1 waiting, 1 approved and not taken up yet" in page
    assert "data-waiting>1</span>" in page
    assert client.ask("/queue/live").headers["x-state"] == "PAPER ACTIVE 1"
    assert "Approved by ada, and not taken up yet" in page
    assert (page.count(">Take back<"), page.count(">Reject<"), page.count(">Approve<")) == (1, 1, 1)
    found = client.do(f"requests/{number}/reject", by="bob", reason="earnings").json
    assert found == {"done": True, "says": "Taken back: the order is rejected.", "code": ""}
    assert (queue.get(number).decided_by, queue.get(number).note) == (
        "bob", "earnings (before, ada had approved it)",
    )  # fmt: skip
    page = client.ask("/queue").body
    assert "rejected by bob: earnings (before, ada had approved it)" in page
    assert "1 waiting · " in page
    queue.reject(second, "the test is over", rejected_by="ada")


def test_who_gives_no_name_is_nobody_that_approves_and_never_the_machines_user(
    client: Client, queue: ReviewQueue
) -> None:
    number = laid(queue, "nameless")
    found = client.do(f"requests/{number}/approve", typed="AAPL").json
    assert (found["done"], found["code"]) == (False, "LIVE_REVIEW_NAME")
    assert client.do(f"requests/{number}/reject", by="  ", reason="no").json["done"]
    assert queue.get(number).decided_by == UNNAMED
    # a kill waits for nobody's name, and says that it has none
    assert f"On record is {UNNAMED}" in client.do("kill").json["says"]
    found = client.do("arm", reason="the test is over", typed="paper").json
    assert (found["done"], found["code"]) == (False, "LIVE_ARM_NAME")
    assert UNNAMED in client.ask("/system").body
    assert client.do("arm", by="ada", reason="the test is over", typed="paper").json["done"]
    # every form of a page in which a person is on record has a place for the name
    laid(queue, "forms")
    page = client.ask("/queue").body
    assert page.count('name="by" required') == page.count("data-send=") - 1  # but the kill's, which is hidden
    assert page.count('type="hidden" name="by"') == 1


def test_a_name_is_asked_for_once_in_a_browser(
    page: Any, dashboard: Dashboard, queue: ReviewQueue, journal: Path
) -> None:
    first, second = laid(queue, "named"), laid(queue, "named-2")
    page.goto(f"{dashboard.url}/queue")
    card = page.locator("section.request", has=page.locator(f"#{first}"))
    card.get_by_label("Your name").fill("Ada")
    card.get_by_label("Type AAPL to confirm").fill("aapl")
    card.get_by_role("button", name="Approve").click()
    card.get_by_role("button", name="Take back").wait_for()
    other = page.locator("section.request", has=page.locator(f"#{second}"))
    other.get_by_label("Why not").fill("earnings")
    other.get_by_role("button", name="Reject").click()
    other.wait_for(state="detached")
    assert queue.get(second).decided_by == "Ada"
    waiting = page.locator(".sub").first.inner_text().split()[0]
    assert page.locator("[data-waiting]").text_content() == waiting
    page.goto(dashboard.url)  # what is remembered is there on every page, also for what asks nothing
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("heading", name="HALTED").wait_for()
    assert page.get_by_label("Your name").input_value() == "Ada"
    assert read_record(switch_folder(journal))[-1]["by"] == "Ada"
    page.get_by_label("Your name").fill("Bob")
    page.get_by_label("Why trading may go on").fill("the test is over")
    page.get_by_label("Type PAPER to confirm").fill("paper")
    page.get_by_role("button", name="Arm").click()
    page.get_by_role("button", name="Kill").wait_for()
    assert page.locator("[name=by]").first.input_value() == "Bob"


def test_a_key_is_good_for_one_form(client: Client, queue: ReviewQueue) -> None:
    number, second = laid(queue, "bound"), laid(queue, "bound-2")
    assert client.do(f"requests/{number}/reject", reason="no", key="used-once").json["done"]
    for path in (f"requests/{second}/reject", "kill"):
        answer = client.do(path, reason="no", key="used-once").json
        assert answer["done"] == (path == "kill"), answer
    assert queue.get(second).state == "pending"
    KillSwitch(queue.switch.folder, arm_fresh=False).arm("ada", "the test is over")


def test_a_kill_is_carried_out_whenever_it_is_asked_for(client: Client, journal: Path) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    for _ in range(2):
        assert client.do("kill", key="cron-job-1").json["done"]
        assert switch.state == "HALTED"
        switch.arm("ada", "the test is over")


def test_half_a_character_stops_no_kill(client: Client, journal: Path) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    found = client.do("kill", reason="\ud800 gap", by="ada\udfff", key="half-of-one")
    try:
        assert (found.status, switch.state) == (200, "HALTED")
    finally:
        switch.arm("ada", "the test is over")
    for body in ('{"\\ud800": 1}', '"\\ud800"', '{"key": "\\ud800"}'):
        assert client.ask("/do/kill", "POST", body).status == 422


def test_what_is_sent_at_the_same_moment_happens_once(tmp_path: Path) -> None:
    acting, done = Acting(Reader(tmp_path / "none.db")), []
    together = threading.Barrier(8)

    def act() -> str:
        done.append(1)
        time.sleep(0.05)
        return "done"

    def send(_: int) -> dict[str, Any]:
        together.wait(10)
        return acting.once(Form(key="the-same-key"), act)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert done == [1]
    assert answers == [{"done": True, "says": "done"}] * 8


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
