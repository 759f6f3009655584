"""Reconciliation: nothing is made up, sent again or closed, whatever is out of reach or crashes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.brokers.interface import Outcome
from live.brokers.manager import BrokerManager
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.reconcile import Reconciler
from live.reconciling.differences import Differences
from simulator.errors import ConfigError, JournalError, UnknownNameError
from tests.live.desks import Desk, bracket, order
from tests.live.faulty_broker import Limited, Raises, Unauthorized
from tests.live.reconciled import books, started, state_of

PUT = "SPY261218P00500000"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from started(tmp_path)


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
