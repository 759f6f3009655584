"""The kill of a manager: halts first, whatever breaks afterwards, and counts truthfully."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.brokers.interface import BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from live.brokers.manager import BrokerManager
from live.brokers.stopping import cancel_working
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.review_queue import ReviewQueue
from tests.live.memory_broker import MemoryBroker


@pytest.fixture
def switch(tmp_path: Path) -> KillSwitch:
    return KillSwitch(tmp_path / "switch")


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.move({"AAPL": 100.0, "MSFT": 200.0})
    return broker


def order(number: int, quantity: float = 10.0, **fields: Any) -> OrderRequest:
    return OrderRequest(client_order_id=f"o{number}", legs=(Leg("AAPL", quantity),), **fields)


def working(manager: BrokerManager, count: int, start: int = 100) -> list[str]:
    """Let so many entries work; returns their ids at the broker."""
    made = [manager.submit_order(order(start + n, kind="limit", limit_price=50.0 + n)) for n in range(count)]
    assert all(isinstance(one, Submitted) and one.order is not None for one in made)
    return [one.order.order_id for one in made]  # type: ignore[union-attr]  # just asserted


def manager_of(switch: KillSwitch, **brokers: MemoryBroker) -> BrokerManager:
    return BrokerManager(
        brokers,
        switch,
        intents=IntentLog.in_memory(),
        routes={"stock": next(iter(brokers))},
        sleep=lambda _: None,
    )


def test_a_kill_cancels_what_enters_and_keeps_what_leaves(switch: KillSwitch, broker: MemoryBroker) -> None:
    manager = manager_of(switch, memory=broker)
    manager.submit_order(order(1))
    stop = manager.submit_order(order(2, -10.0, kind="stop", stop_price=90.0, purpose="protect"))
    bracket = order(3, kind="limit", limit_price=100.0, order_class="bracket", stop_loss=95.0)
    manager.submit_order(bracket)
    entries = working(manager, 3)
    report = manager.engage_kill_switch(reason="Market crash detected", engaged_by="system")
    assert manager.kill_switch.status["engaged"] is True
    assert (report.halt.state, report.halt.complete) == ("HALTED", True)
    assert sorted(report.cancels.brokers["memory"].cancelled) == sorted(entries)
    assert (report.not_confirmed, report.cancels.unknown, report.problems) == (0, (), ())
    assert str(report) == "HALTED, 3 orders cancelled, 0 not confirmed cancelled"
    assert isinstance(stop, Submitted)
    assert stop.order is not None
    left = {one.order_id: one for one in broker.get_orders()}
    assert stop.order.order_id in left
    assert sorted(one.kind for one in left.values()) == ["stop", "stop"]  # ours, and the bracket's child
    assert sorted(report.cancels.brokers["memory"].kept) == sorted(left)
    everything = manager.cancel_all(protective=True)
    assert everything.cancelled == 2
    assert list(broker.get_orders()) == []


def test_foreign_orders_are_kept_where_they_leave_and_cancelled_where_that_is_unknown(
    switch: KillSwitch, broker: MemoryBroker
) -> None:
    broker.hold("AAPL", 10)
    enters = broker.submit_order(order(1, kind="limit", limit_price=50.0)).order
    leaves = broker.submit_order(order(2, -10.0, kind="limit", limit_price=150.0)).order
    assert enters is not None
    assert leaves is not None
    manager = manager_of(switch, memory=broker)
    assert manager.engage_kill_switch("x", "ada").cancels.brokers["memory"].cancelled == [enters.order_id]
    broker.faults["get_positions"] = ConnectionError
    assert manager.cancel_all().brokers["memory"].cancelled == [leaves.order_id]


def test_the_stop_of_a_bracket_is_kept_whatever_is_known_of_the_position(
    switch: KillSwitch, broker: MemoryBroker
) -> None:
    manager = manager_of(switch, memory=broker)
    manager.submit_order(order(1, order_class="bracket", stop_loss=95.0))
    broker.faults["get_positions"] = ConnectionError
    assert manager.engage_kill_switch("x", "ada").cancels.cancelled == 0
    assert [one.client_order_id for one in broker.get_orders()] == ["o1-stop"]


def test_a_broker_that_is_down_is_unknown_and_the_halt_holds(
    switch: KillSwitch, broker: MemoryBroker
) -> None:
    down = MemoryBroker("down")
    down.move({"AAPL": 100.0})
    manager = manager_of(switch, down=down, up=broker)
    working(manager, 2)
    up = broker.submit_order(order(1, kind="limit", limit_price=50.0))
    down.faults = dict.fromkeys(
        ("get_orders", "cancel_order", "get_positions", "find_order", "submit_order"), ConnectionError
    )
    report = manager.engage_kill_switch("x", "ada")
    assert switch.state == "HALTED"
    assert report.cancels.unknown == ("down",)
    assert up.order is not None
    assert report.cancels.brokers["up"].cancelled == [up.order.order_id]
    assert "unknown at down" in str(report)
    assert any("ConnectionError" in problem for problem in report.problems)


def test_a_cancel_that_fails_is_repeated_until_it_does_not(switch: KillSwitch, broker: MemoryBroker) -> None:
    manager = manager_of(switch, memory=broker)
    working(manager, 2)
    failures = itertools.count()

    def flaky(do: Callable[[], object]) -> object:
        if next(failures) < 5:
            raise TimeoutError("429")
        return do()

    broker.faults["cancel_order"] = flaky
    report = manager.engage_kill_switch("x", "ada")
    assert (report.cancels.cancelled, report.not_confirmed) == (2, 0)


def test_what_is_not_confirmed_cancelled_is_counted(switch: KillSwitch, broker: MemoryBroker) -> None:
    manager = manager_of(switch, memory=broker)
    names = working(manager, 3)

    def says_yes_and_does_nothing(do: Callable[[], object]) -> object:
        return broker.find_order("o100")

    broker.faults["cancel_order"] = says_yes_and_does_nothing
    report = manager.engage_kill_switch("x", "ada")
    assert switch.state == "HALTED"
    assert (report.cancels.cancelled, report.not_confirmed) == (0, 3)
    assert sorted(report.cancels.brokers["memory"].unconfirmed) == sorted(names)
    assert str(report) == "HALTED, 0 orders cancelled, 3 not confirmed cancelled"


def test_what_fills_before_its_cancel_arrives_is_no_cancel(switch: KillSwitch, broker: MemoryBroker) -> None:
    manager = manager_of(switch, memory=broker)
    (name,) = working(manager, 1)

    def too_late(do: Callable[[], object]) -> object:
        broker.faults.clear()
        broker.move({"AAPL": 40.0})
        return do()

    broker.faults["cancel_order"] = too_late
    stop = manager.engage_kill_switch("x", "ada").cancels.brokers["memory"]
    assert (stop.cancelled, stop.filled, stop.unconfirmed) == ([], [name], [])


def test_an_order_that_the_broker_no_longer_lists_is_not_confirmed(
    switch: KillSwitch, broker: MemoryBroker
) -> None:
    manager = manager_of(switch, memory=broker)
    (name,) = working(manager, 1)
    lists = itertools.count()
    broker.faults["get_orders"] = lambda do: do() if next(lists) == 0 else []
    assert manager.engage_kill_switch("x", "ada").cancels.brokers["memory"].unconfirmed == [name]


def test_an_unresolved_order_is_counted(switch: KillSwitch, broker: MemoryBroker) -> None:
    manager = manager_of(switch, memory=broker)
    broker.faults["submit_order"] = TimeoutError
    manager.submit_order(order(1))
    report = manager.engage_kill_switch("x", "ada")
    assert (report.unresolved, report.not_confirmed) == (("o1",), 1)


def test_an_order_that_is_still_being_sent_is_counted(switch: KillSwitch, broker: MemoryBroker) -> None:
    manager = manager_of(switch, memory=broker)
    sending, free = threading.Event(), threading.Event()

    def slow(do: Callable[[], object]) -> object:
        sending.set()
        free.wait(30)
        return do()

    broker.faults["submit_order"] = slow
    thread = threading.Thread(target=manager.submit_order, args=(order(1, kind="limit", limit_price=50.0),))
    thread.start()
    assert sending.wait(10)
    report = manager.engage_kill_switch("x", "ada")
    free.set()
    thread.join()
    assert (report.unresolved, report.not_confirmed) == (("o1",), 1)
    assert list(broker.get_orders()) == []  # its own thread has cancelled it


def test_any_reason_is_good_enough(switch: KillSwitch, broker: MemoryBroker) -> None:
    class Unsayable:
        def __str__(self) -> str:
            raise ValueError("no words")

    report = manager_of(switch, memory=broker).engage_kill_switch(Unsayable(), None)  # type: ignore[arg-type]
    assert (report.halt.state, report.halt.complete) == ("HALTED", True)


def test_a_broker_that_hangs_keeps_nobody_waiting(broker: MemoryBroker) -> None:
    free = threading.Event()
    hanging = MemoryBroker("hanging")
    hanging.faults["get_orders"] = lambda do: free.wait(30)
    broker.submit_order(order(1, kind="limit", limit_price=50.0))

    def keep_nothing(name: str, where: object) -> Callable[[BrokerOrder], bool]:
        return lambda _: False

    began = time.monotonic()
    report = cancel_working({"hanging": hanging, "memory": broker}, keep_nothing, patience=0.3)
    free.set()
    assert time.monotonic() - began < 5
    assert report.unknown == ("hanging",)
    assert report.brokers["memory"].cancelled == ["B1"]
    assert "no answer within 0.3 s" in report.brokers["hanging"].problems[0]


def test_with_the_journal_gone_and_the_queue_gone_and_the_broker_down_it_halts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise OSError("no database")

    switch = KillSwitch(tmp_path / "switch", tell=gone)
    queue = ReviewQueue(tmp_path / "reviews", switch)
    broken = MemoryBroker()
    broken.move({"AAPL": 100.0})
    journal = Database(tmp_path / "journal.db")
    manager = BrokerManager({"memory": broken}, switch, queue, intents=IntentLog(journal), sleep=gone)
    journal.close()
    monkeypatch.setattr(queue, "void_all", gone)
    broken.faults = dict.fromkeys(("get_orders", "cancel_order", "get_positions"), ValueError)
    report = manager.engage_kill_switch("x", "ada")
    assert (report.halt.state, report.halt.complete, report.voided) == ("HALTED", True, None)
    assert report.cancels.unknown == ("memory",)
    assert KillSwitch(tmp_path / "switch").state == "HALTED"
    denied = manager.submit_order(order(1))
    assert isinstance(denied, Submitted)
    assert (denied.outcome, denied.code) == (Outcome.DENIED, "LIVE_HALTED")


@pytest.mark.parametrize("call", ["get_orders", "cancel_order", "get_positions"])
def test_whichever_broker_call_fails_nothing_enters_and_nothing_is_called_cancelled_that_works(
    tmp_path: Path, call: str
) -> None:
    """Fail the n-th call, n = 1, 2, 3, ..., until the kill passes clean."""
    for n in range(20):
        switch = KillSwitch(tmp_path / str(n))
        broker = MemoryBroker()
        broker.move({"AAPL": 100.0})
        manager = manager_of(switch, memory=broker)
        working(manager, 3)
        count = itertools.count()

        def failing(do: Callable[[], object], n: int = n, count: Any = count) -> object:
            if next(count) == n:
                raise ConnectionError("gone")
            return do()

        broker.faults[call] = failing
        report = manager.engage_kill_switch("x", "ada")
        broker.faults.clear()
        assert switch.state == "HALTED"
        open_now = {one.order_id for one in broker.get_orders()}
        stop = report.cancels.brokers["memory"]
        assert not set(stop.cancelled) & open_now
        assert open_now <= set(stop.unconfirmed)
        assert isinstance(manager.submit_order(order(1)), Submitted)
        assert broker.find_order("o1") is None
        if next(count) <= n:
            assert (stop.unconfirmed, open_now) == ([], set())
            return
    pytest.fail("it never passed clean")


def test_from_a_kill_nothing_new_reaches_the_broker(switch: KillSwitch, broker: MemoryBroker) -> None:
    manager = manager_of(switch, memory=broker)
    times: list[float] = []
    stop = threading.Event()

    def timed(do: Callable[[], object]) -> object:
        times.append(time.perf_counter())
        return do()

    broker.faults["submit_order"] = timed
    numbers = itertools.count(1)

    def trade() -> None:
        while not stop.is_set():
            manager.submit_order(order(next(numbers), 1.0))

    threads = [threading.Thread(target=trade) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    killed = time.perf_counter()
    manager.kill_switch.engage("x", "ada")
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(times) > 5
    assert max(times) - killed < 0.1
