"""Intents in the journal: written before anything is sent, and known after whatever ends the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.automation.config import ExecutionMode
from live.brokers.book import OrderBook
from live.brokers.interface import BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from live.intents import IntentLog, Sent
from simulator.errors import JournalError
from simulator.types import OrderState
from tests.live.desks import Desk, order
from tests.live.faulty_broker import Duplicate, LostAfter, LostBefore, Raises
from tests.live.memory_broker import START

ROOT = Path(__file__).resolve().parents[2]
SPREAD = OrderRequest(
    client_order_id="s1", legs=(Leg("SPY261218P00500000", -2.0), Leg("SPY261218P00490000", 2.0)),
    kind="limit", limit_price=1.5, order_class="multi_leg", strategy="short-put-spread", reason="IV rank 62",
)  # fmt: skip


@pytest.fixture(params=["journal", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IntentLog]:
    if request.param == "memory":
        yield IntentLog.in_memory()
        return
    with closing(Database(tmp_path / "journal.db")) as database:
        yield IntentLog(database, "desk")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.reconciler.start()
    yield desk
    desk.database.close()


def sent(request: OrderRequest, **fields: Any) -> Sent:
    doubt = Submitted(outcome=Outcome.UNRESOLVED, client_order_id=request.client_order_id)
    return Sent(request=request, broker="main", at=START, submitted=doubt, **fields)


def confirmed(request: OrderRequest, order_id: str = "B1") -> Submitted:
    there = BrokerOrder(
        order_id=order_id, client_order_id=request.client_order_id, legs=request.legs, kind=request.kind,
        state=OrderState.PARTIALLY_FILLED, quantity=2.0, filled=1.0, average_price=1.55,
        limit_price=request.limit_price,
    )  # fmt: skip
    return Submitted(outcome=Outcome.CONFIRMED, client_order_id=request.client_order_id, order=there)


# The log


def test_an_order_comes_back_as_it_was_written(log: IntentLog) -> None:
    one = sent(SPREAD, review="R-1", bar_time=START, in_flight=False)
    one = replace(one, submitted=confirmed(SPREAD), updated=START + timedelta(seconds=1), absent=1)
    log.begin(one)
    assert log.find("s1") == one
    assert log.open() == [one]
    assert log.find("s2") is None


def test_what_was_being_sent_comes_back_as_unresolved(log: IntentLog) -> None:
    log.begin(sent(SPREAD))
    (found,) = log.open()
    assert found.submitted.outcome is Outcome.UNRESOLVED
    assert not found.in_flight
    assert found.order is None


def test_what_is_final_is_found_and_no_longer_open(log: IntentLog) -> None:
    log.begin(sent(SPREAD))
    log.store(replace(sent(SPREAD), in_flight=False, final=True), "final", START)
    assert log.open() == []
    assert log.find("s1") is not None
    assert [event.kind for event in log.events()] == ["intent", "final"]


def test_an_event_with_a_key_is_stored_once(log: IntentLog) -> None:
    assert log.note("fill", START, key="fill:1", symbol="AAPL", quantity=10.0)
    assert not log.note("fill", START, key="fill:1", symbol="AAPL", quantity=10.0)
    assert log.note("kill", START)
    assert log.note("kill", START)
    assert log.has("fill:1")
    assert not log.has("fill:2")
    assert [(event.kind, event.symbol) for event in log.events()] == [
        ("fill", "AAPL"),
        ("kill", ""),
        ("kill", ""),
    ]
    (fill,) = log.events("fill")
    assert (fill.data, fill.time) == ({"quantity": 10.0}, START)
    assert [event.kind for event in log.events(after=fill.number)] == ["kill", "kill"]


def test_orders_are_found_by_the_brokers_id(log: IntentLog) -> None:
    log.begin(replace(sent(SPREAD), submitted=confirmed(SPREAD, "B7"), in_flight=False))
    assert log.owner("main", "B7") == "s1"
    assert log.owner("other", "B7") == ""
    assert log.identities("main") == {"B7": ("s1", "entry")}
    assert [one.identity for one in log.orders(broker="main", symbols={"SPY261218P00500000"})] == ["s1"]
    assert log.orders(broker="main", symbols={"AAPL"}) == []


def test_copies_of_reviews_replace_each_other(log: IntentLog) -> None:
    row: dict[str, Any] = {
        "review": "R-1", "kind": "request", "broker": "main", "symbol": "AAPL", "created_ts": START,
        "data": {"a": 1},
    }  # fmt: skip
    log.copy_review(state="pending", **row)
    log.copy_review(state="approved", decided_ts=START + timedelta(minutes=2), **row)
    (found,) = log.reviews("request")
    assert (found["state"], found["data"]) == ("approved", {"a": 1})
    assert found["decided_ts"] - found["created_ts"] == timedelta(minutes=2)
    assert log.reviews("difference") == []


def test_events_are_never_changed(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "journal.db")) as database:
        IntentLog(database, "desk").note("kill", START)
        for statement in ("UPDATE events SET kind = 'arm'", "DELETE FROM events"):
            with pytest.raises(JournalError), database.write() as connection:
                connection.exec_driver_sql(statement)
        assert [event.kind for event in IntentLog(database, "desk").events()] == ["kill"]


def test_accounts_do_not_see_each_other(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "journal.db")) as database:
        one, other = IntentLog(database, "one"), IntentLog(database, "other")
        one.begin(sent(SPREAD))
        assert other.find("s1") is None
        assert list(other.events()) == []
        other.begin(sent(SPREAD))  # ids are unique within an account
        assert [len(log.open()) for log in (one, other)] == [1, 1]


def test_an_order_and_its_event_are_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Database(tmp_path / "journal.db")) as database:
        log = IntentLog(database, "desk")

        def full(row: object) -> bool:
            raise JournalError("the disk is full", code="JOURNAL_FULL")

        with monkeypatch.context() as patched:
            patched.setattr(log._rows, "add", full)
            with pytest.raises(JournalError):
                log.begin(sent(SPREAD))
        assert log.find("s1") is None
        assert list(log.events()) == []


# The book


def test_the_book_begins_with_what_is_open_and_asks_for_the_rest(log: IntentLog) -> None:
    log.begin(sent(order(1)))
    log.begin(replace(sent(order(2)), in_flight=False, final=True))
    book = OrderBook(log)
    assert [one.identity for one in book.live()] == ["o1"]
    assert book.begin(order(1), "main", START) is None
    assert book.begin(order(2), "main", START) is None
    assert book.begin(order(3), "main", START) is not None
    assert book.again(order(2, quantity=11.0)).code == "LIVE_ORDER_ID"


# Faults 2, 3, 4, 18, 19, 20


class Killed(BaseException):
    """Stands for the end of the process: no handler of the program sees it as an error."""


def test_killed_between_intent_and_submit_it_was_not_sent_and_is_not_sent_again(desk: Desk) -> None:
    def killed(request: OrderRequest) -> Submitted:
        raise Killed

    desk.faulty.submit_order = killed  # type: ignore[method-assign]  # before the broker gets anything
    with pytest.raises(Killed):
        desk.submit(order())
    del desk.faulty.submit_order
    desk.wait()
    report = desk.restart()  # asks when it recovers and when it compares: twice, and at once
    assert (report.resolved, report.differences) == ((), ())
    (doubt,) = desk.manager.book.unresolved()
    assert doubt.absent == 2
    assert doubt.identity == "o1"
    assert desk.submit(order(2)).code == "LIVE_UNRESOLVED"  # no new entries in the symbol meanwhile
    desk.wait()
    (gone,) = desk.run().resolved
    assert (gone.outcome, gone.code) == (Outcome.DENIED, "LIVE_NOT_SENT")
    assert desk.faulty.received == []
    again = desk.submit(order())  # the same bar decided again: told how it ended, and not sent
    assert again == gone
    assert desk.submit(order(2)).outcome is Outcome.CONFIRMED
    assert desk.faulty.received == ["o2"]
    assert desk.restart().differences == ()
    assert desk.submit(order()).code == "LIVE_NOT_SENT"


def test_killed_between_submit_and_answer_it_is_adopted_and_there_is_one_order(desk: Desk) -> None:
    real = desk.faulty.submit_order

    def killed(request: OrderRequest) -> Submitted:
        real(request)
        raise Killed

    desk.faulty.submit_order = killed  # type: ignore[method-assign]  # the broker has it, we do not know
    with pytest.raises(Killed):
        desk.submit(order())
    del desk.faulty.submit_order
    report = desk.restart()
    (found,) = report.resolved
    assert (found.outcome, found.client_order_id) == (Outcome.CONFIRMED, "o1")
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    assert desk.faulty.received == ["o1"]
    assert desk.settled().clean


def test_an_order_that_a_restart_finds_done_is_not_sent_again(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    assert desk.log.open() == []  # filled, and a second look has said so
    desk.restart()
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    assert desk.submit(order(quantity=11.0)).code == "LIVE_ORDER_ID"
    assert desk.faulty.received == ["o1"]


@pytest.mark.parametrize("fault", [LostAfter(), Duplicate()])
def test_an_order_that_arrived_without_an_answer_is_one_order(desk: Desk, fault: Any) -> None:
    desk.faulty.at("submit_order", 1, fault)
    answer = desk.submit(order())
    if isinstance(fault, Duplicate):  # evidence that it is there, so it is fetched at once
        assert answer.outcome is Outcome.CONFIRMED
    else:
        assert (answer.outcome, answer.code) == (Outcome.UNRESOLVED, "LIVE_NO_ANSWER")
        assert desk.submit(order(2)).code == "LIVE_UNRESOLVED"
        assert [one.client_order_id for one in desk.run().resolved] == ["o1"]
    assert desk.submit(order(3)).outcome is Outcome.CONFIRMED
    assert desk.faulty.received == ["o1", "o3"]
    assert desk.settled().clean


def test_a_duplicate_whose_order_cannot_be_fetched_stays_in_doubt(desk: Desk) -> None:
    desk.faulty.at("submit_order", 1, Duplicate()).at("find_order", 1, LostBefore())
    answer = desk.submit(order())
    assert (answer.outcome, answer.code) == (Outcome.UNRESOLVED, "LIVE_DUPLICATE_ID")
    assert [one.outcome for one in desk.run().resolved] == [Outcome.CONFIRMED]


def test_an_order_that_never_arrived_is_given_up_and_returns_only_by_itself(desk: Desk) -> None:
    desk.faulty.at("submit_order", 1, LostBefore())
    assert desk.submit(order()).outcome is Outcome.UNRESOLVED
    assert desk.run().resolved == ()
    desk.wait()
    assert [one.code for one in desk.run().resolved] == ["LIVE_NOT_SENT"]
    assert desk.submit(order()).code == "LIVE_NOT_SENT"
    assert desk.faulty.received == []
    # and where it arrives after all, it is adopted and a person is told
    desk.memory.submit_order(order(kind="limit", limit_price=90.0))
    desk.run()
    assert desk.causes() == ["late_order"]
    assert desk.submit(order()).outcome is Outcome.CONFIRMED


def test_an_approved_order_whose_answer_a_crash_hid_is_finished_in_the_queue(tmp_path: Path) -> None:
    desk = Desk(tmp_path, mode=ExecutionMode.MANUAL_REVIEW)
    desk.reconciler.start()
    request = desk.manager.submit_order(order())
    desk.faulty.at("submit_order", 1, LostAfter())
    desk.manager.approve_request(request.request_id, "ada")  # type: ignore[union-attr]  # it waits
    desk.restart()
    assert desk.queue.get(request.request_id).outcome == "confirmed"  # type: ignore[union-attr]
    assert desk.faulty.received == ["o1"]
    desk.database.close()


@pytest.mark.parametrize("write", range(1, 8))
def test_whichever_write_fails_nothing_is_sent_unrecorded_and_only_a_person_arms(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    """The disk is full at the n-th write and from then on; after that there is room again."""
    count = 0
    real = desk.database.write

    def writes() -> Any:
        nonlocal count
        count += 1
        if count >= write:
            raise JournalError("the disk is full", code="JOURNAL_FULL")
        return real()

    with monkeypatch.context() as patched:
        patched.setattr(desk.database, "write", writes)
        first, second = desk.submit(order(1)), desk.submit(order(2))
        if "o1" not in desk.faulty.received:
            assert first.code == "LIVE_NOT_RECORDED"
        assert second.code in ("LIVE_NOT_RECORDED", "LIVE_HALTED") or write > 3
        if count >= write:
            assert desk.submit(order(3)).code in ("LIVE_NOT_RECORDED", "LIVE_HALTED")
            assert desk.switch.state == "HALTED"
            assert desk.manager.engage_kill_switch("and a person too", "ada").halt.state == "HALTED"
    for identity in desk.faulty.received:
        assert desk.log.find(identity) is not None
    if desk.switch.state == "HALTED":
        assert desk.submit(order(4)).code == "LIVE_HALTED"
        desk.switch.arm("ada", "there is room again")
    assert desk.submit(order(5)).outcome is Outcome.CONFIRMED
    assert len(desk.faulty.received) == len(set(desk.faulty.received))
    assert desk.settled().differences == ()
    desk.database.check(full=True)


def test_an_answer_with_an_id_that_another_order_has_is_doubted(desk: Desk) -> None:
    desk.submit(order(1, kind="limit", limit_price=90.0))
    real = desk.memory.submit_order

    def rolled_back(request: OrderRequest) -> Submitted:
        answer = real(request)
        assert answer.order is not None
        return replace(answer, order=replace(answer.order, order_id="B1"))

    desk.memory.submit_order = rolled_back  # type: ignore[method-assign]
    answer = desk.submit(order(2, symbol="MSFT", kind="limit", limit_price=90.0))
    assert (answer.outcome, answer.code) == (Outcome.UNRESOLVED, "LIVE_BROKER_ID")
    assert "o1" in answer.message
    assert [one.outcome for one in desk.run().resolved] == [Outcome.CONFIRMED]  # by our own id
    sent = desk.log.find("o2")
    assert sent is not None
    assert sent.order is not None
    assert sent.order.order_id == "B2"


def test_a_gate_that_fails_sends_nothing(desk: Desk) -> None:
    desk.faulty.every("get_positions", Raises(ValueError("unreadable")))
    desk.switch.reduce("x", "ada")
    assert desk.submit(order(1, -1.0, purpose="exit")).code == "LIVE_POSITION_UNKNOWN"
    assert desk.faulty.received == []


KILLED_WHILE_SENDING = """
import os, sys
from pathlib import Path
from tests.live.desks import Desk, order
desk = Desk(Path(sys.argv[1]))
desk.reconciler.start()
real = desk.memory.submit_order
def killed(request):
    if sys.argv[2] == "after":
        real(request)
    os.kill(os.getpid(), 9)
desk.memory.submit_order = killed
desk.submit(order())
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_real_kill_leaves_the_intent_in_the_journal(tmp_path: Path, when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SENDING, str(tmp_path), when], cwd=ROOT, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    desk = Desk(tmp_path)
    (doubt,) = desk.manager.book.unresolved()
    assert (doubt.request, doubt.in_flight) == (order(), False)
    assert desk.manager.submit_order(order()) == doubt.submitted
    assert desk.faulty.received == []
    desk.database.check(full=True)
    desk.database.close()


def test_the_bar_and_the_strategy_are_on_record(desk: Desk) -> None:
    request = order(strategy="breakout")
    desk.manager.submit_order(request, bar_time=START)
    with desk.database.read() as connection:
        row = connection.exec_driver_sql("SELECT strategy, bar_ts, outcome, state FROM orders").one()
    assert tuple(row) == ("breakout", int(START.timestamp()) * 10**9, "confirmed", "filled")


def test_without_a_journal_it_works_where_that_is_asked_for(tmp_path: Path) -> None:
    log = IntentLog.in_memory()
    assert not log.waits
    answers: list[Callable[[], object]] = [lambda: log.find("o1"), log.open, lambda: list(log.events())]
    assert [answer() for answer in answers] == [None, [], []]
