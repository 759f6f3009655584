"""The way from a kill to the last confirmed cancel, with whatever is broken on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from journal.storage import lock
from live.brokers import stopping
from live.brokers.interface import Outcome, Submitted
from live.brokers.stopping import cancel_working
from live.kill_switch import KillSwitch
from live.opening import open_desk
from tests.live.desks import Desk, bracket, order
from tests.live.faulty_broker import FaultyBroker, Hangs, Limited, LostAfter, LostBefore, Raises
from tests.live.memory_broker import MemoryBroker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.reconciler.start()
    yield desk
    desk.faulty.release()
    desk.database.close()


def entries(desk: Desk, count: int = 3) -> None:
    for number in range(100, 100 + count):
        answer = desk.submit(order(number, kind="limit", limit_price=50.0))
        assert answer.outcome is Outcome.CONFIRMED


def working(desk: Desk) -> list[str]:
    return [one.client_order_id for one in desk.memory.get_orders()]


# Fault 13: while an order is on its way


def test_what_is_on_its_way_is_followed_to_its_end_and_the_kill_is_on_record_first(desk: Desk) -> None:
    desk.faulty.at("submit_order", 1, Hangs())
    answers: list[object] = []
    sending = threading.Thread(
        target=lambda: answers.append(desk.submit(order(1, kind="limit", limit_price=50.0)))
    )
    sending.start()
    while "submit_order" not in desk.faulty.calls:
        time.sleep(0.001)
    report = desk.manager.engage_kill_switch("mid-bar", "ada")
    assert report.unresolved == ("o1",)
    assert desk.submit(order(2)).code == "LIVE_HALTED"
    desk.faulty.release()
    sending.join(10)
    (answer,) = answers
    assert isinstance(answer, Submitted)
    assert working(desk) == []
    assert [one.client_order_id for one in desk.memory.get_orders(open_only=False)] == ["o1"]
    kinds = desk.events("intent", "kill", "cancel")
    assert kinds[0] == "intent"
    assert kinds.count("kill") == 1
    assert kinds.index("kill") < kinds.index("cancel")
    assert desk.run().clean


def test_a_kill_that_meets_an_order_whose_answer_is_lost_cancels_it_once_it_is_found(desk: Desk) -> None:
    desk.faulty.at("submit_order", 1, LostAfter()).every("find_order", Raises())
    real = desk.memory.submit_order

    def kills(request: Any) -> Submitted:
        desk.switch.engage("mid-bar", "ada")
        return real(request)

    desk.memory.submit_order = kills  # type: ignore[method-assign]  # the kill comes while the broker works
    assert desk.submit(order(1, kind="limit", limit_price=50.0)).outcome is Outcome.UNRESOLVED
    desk.memory.submit_order = real  # type: ignore[method-assign]
    assert working(desk) == ["o1"]
    desk.faulty.clear()
    desk.run()
    assert working(desk) == []


# Fault 15: errors on the way


def test_a_cancel_that_hangs_keeps_no_other_one_waiting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "CALL_SECONDS", 0.2)
    entries(desk, 5)
    desk.faulty.every("cancel_order", Hangs())
    real, hung = desk.faulty.cancel_order, "B2"

    def one_hangs(order_id: str) -> Any:
        return real(order_id) if order_id == hung else desk.memory.cancel_order(order_id)

    desk.faulty.cancel_order = one_hangs  # type: ignore[method-assign]
    began = time.monotonic()
    report = desk.manager.engage_kill_switch("x", "ada")
    assert time.monotonic() - began < 5.0
    assert desk.switch.state == "HALTED"
    assert working(desk) == ["o101"]
    assert (report.cancels.cancelled, report.not_confirmed) == (4, 1)
    assert str(report) == "HALTED, 4 orders cancelled, 1 not confirmed cancelled"
    assert any("B2: no answer to the cancel" in problem for problem in report.problems)
    desk.faulty.release()


@pytest.mark.parametrize("fault", [Raises(AttributeError("NoneType has no attribute x")), Limited(1.0)])
def test_cancels_that_fail_are_repeated_with_growing_pauses_until_they_hold(desk: Desk, fault: Any) -> None:
    entries(desk)
    desk.faulty.every("cancel_order", fault)
    report = desk.manager.engage_kill_switch("x", "ada")
    assert desk.switch.state == "HALTED"
    assert report.not_confirmed == 3
    attempts = []
    for _ in range(60):  # a minute of looking every second
        before = desk.faulty.calls.count("cancel_order")
        desk.run()
        attempts.append(desk.faulty.calls.count("cancel_order") > before)
        desk.wait(1.0)
    assert 4 <= sum(attempts) <= 8
    first = [number for number, tried in enumerate(attempts) if tried]
    gaps = [after - before for before, after in pairwise(first)]
    assert gaps == sorted(gaps)
    assert desk.manager.kill_report is not None
    assert str(desk.manager.kill_report) == "HALTED, 0 orders cancelled, 3 not confirmed cancelled"
    desk.faulty.clear()
    desk.wait(60.0)
    desk.run()
    assert working(desk) == []
    assert desk.manager.kill_report.not_confirmed == 0
    desk.run()  # the books know it too
    calls = len(desk.faulty.calls)
    assert desk.manager.follow_kill() is None  # and then there is peace
    assert len(desk.faulty.calls) == calls


def test_a_kill_from_another_process_is_carried_out_at_the_next_look(desk: Desk) -> None:
    entries(desk)
    desk.submit(bracket(1))
    code = (
        f"from live.kill_switch import KillSwitch; KillSwitch({str(desk.switch.folder)!r}).engage('x', 'ada')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    desk.run()
    assert sorted(working(desk)) == ["o1-stop", "o1-target"]  # what guards the position stays
    assert "kill" in desk.events()
    desk.switch.arm("ada", "over")
    assert desk.manager.follow_kill() is None
    assert desk.manager.kill_report is None


def test_a_halt_from_before_a_restart_is_carried_out_after_it(desk: Desk) -> None:
    entries(desk)
    desk.switch.engage("and then it crashed", "ada")
    desk.restart()
    assert working(desk) == []
    assert desk.submit(order(1)).code == "LIVE_HALTED"


def test_an_entry_that_turns_up_while_halted_is_cancelled(desk: Desk) -> None:
    desk.faulty.at("submit_order", 1, LostBefore())
    desk.submit(order(1, kind="limit", limit_price=50.0))
    desk.run()
    desk.wait()
    desk.run()  # given up as never sent
    assert desk.manager.engage_kill_switch("x", "ada").not_confirmed == 0
    assert desk.manager.follow_kill() is None
    desk.memory.submit_order(order(1, kind="limit", limit_price=50.0))  # it arrives after all
    desk.wait()
    desk.run()
    assert working(desk) == []
    assert desk.causes() == ["late_order"]


@pytest.mark.parametrize("broken", ["write", "read"])
def test_a_database_that_hangs_delays_no_cancel(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    entries(desk)
    hanging = threading.Event()

    def hangs(*_: Any, **__: Any) -> Any:
        hanging.wait(20)
        raise OSError("gone")

    cancelled: list[float] = []
    real = desk.memory.cancel_order

    def timed(order_id: str) -> Any:
        cancelled.append(time.monotonic())
        return real(order_id)

    desk.memory.cancel_order = timed  # type: ignore[method-assign]
    monkeypatch.setattr(desk.database, broken, hangs)
    began = time.monotonic()
    threading.Timer(1.5, hanging.set).start()
    report = desk.manager.engage_kill_switch("x", "ada")
    assert report.cancels.cancelled == 3
    assert max(cancelled) - began < 1.0


def test_with_the_journal_deleted_under_it_it_halts_and_cancels(desk: Desk) -> None:
    entries(desk)
    for path in desk.folder.glob("journal.db*"):
        if path.is_file():
            path.unlink()
    report = desk.manager.engage_kill_switch("x", "ada")
    assert (report.halt.state, report.halt.complete, report.not_confirmed) == ("HALTED", True, 0)
    assert working(desk) == []
    assert KillSwitch(desk.switch.folder).state == "HALTED"


def test_killing_inside_a_write_of_the_journal_waits_for_nobody(desk: Desk) -> None:
    entries(desk)
    began = time.monotonic()
    with desk.database.write():
        report = desk.manager.engage_kill_switch("daily loss", "risk manager")
    assert time.monotonic() - began < 2.0
    assert report.not_confirmed == 0
    assert desk.events("kill", "cancel") == ["kill", "cancel"]


def test_hanging_threads_of_one_broker_leave_another_alone() -> None:
    hanging, free = FaultyBroker(MemoryBroker("hanging")), MemoryBroker("free")
    for broker in (hanging, free):
        inner = broker.inner if isinstance(broker, FaultyBroker) else broker
        assert isinstance(inner, MemoryBroker)
        inner.move({"AAPL": 100.0})
        broker.submit_order(order(1, kind="limit", limit_price=50.0))
    hanging.every("cancel_order", Hangs())
    report = cancel_working(
        {"hanging": hanging, "free": free},
        lambda _, __: lambda order: False,
        patience=0.6,
        sleep=lambda _: None,
    )
    hanging.release()
    assert report.brokers["free"].cancelled == ["B1"]
    assert report.brokers["hanging"].unconfirmed == ["B1"]


# Fault 14: restarted, rebooted


def test_a_kill_outlives_a_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryBroker()
    memory.move({"AAPL": 100.0})
    path = tmp_path / "journal.db"
    with open_desk(path, {"main": memory}) as desk:
        desk.manager.engage_kill_switch("storm", "ada")
        engaged_at = desk.kill_switch.status["engaged_at"]
    # another boot: another boot id, another process, and the lock file of a process that is no more
    monkeypatch.setattr(lock, "_boot", lambda: "00000000-0000-0000-0000-000000000001")
    left = {"pid": 1, "host": os.uname().nodename, "boot": "before"}
    (tmp_path / "journal.db.lock").write_text(json.dumps(left))
    with open_desk(path, {"main": memory}) as desk:
        status = desk.kill_switch.status
        assert (status["engaged"], status["engaged_by"], status["reason"]) == (True, "ada", "storm")
        assert status["engaged_at"] == engaged_at
        answer = desk.manager.submit_order(order(1))
        assert isinstance(answer, Submitted)
        assert answer.code == "LIVE_HALTED"
        assert "storm" in answer.message
        desk.kill_switch.arm("ada", "the storm is over")
        again = desk.manager.submit_order(order(1))
        assert isinstance(again, Submitted)
        assert again.outcome is Outcome.CONFIRMED


def test_two_who_arm_at_once_arm_once_and_both_are_on_record(desk: Desk) -> None:
    desk.manager.engage_kill_switch("x", "ada")
    answers: list[str] = []

    def arm(name: str) -> None:
        try:
            KillSwitch(desk.switch.folder).arm(name, "go")
            answers.append("armed")
        except Exception as error:
            answers.append(getattr(error, "code", repr(error)))

    threads = [threading.Thread(target=arm, args=(name,)) for name in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["LIVE_ARMED", "armed"]


def test_from_a_kill_to_the_last_submit_is_measured_with_a_journal_behind(desk: Desk) -> None:
    times: list[float] = []
    stop = threading.Event()
    real = desk.memory.submit_order

    def timed(request: Any) -> Submitted:
        times.append(time.perf_counter())
        return real(request)

    desk.memory.submit_order = timed  # type: ignore[method-assign]

    def trade(first: int) -> None:
        number = first
        while not stop.is_set():
            desk.manager.submit_order(order(number, 1.0))
            number += 1

    threads = [threading.Thread(target=trade, args=(start,)) for start in (1_000, 1_000_000)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    killed = time.perf_counter()
    desk.switch.engage("x", "ada")
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(times) > 5
    assert max(times) - killed < 0.1
    print(f"last submit {max(0.0, max(times) - killed) * 1_000:.2f} ms after the kill")  # shown by pytest -s
