"""Starting is recovering: in one order, and whatever was left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.brokers.interface import Outcome, Submitted
from live.brokers.manager import BrokerManager
from live.clock import FakeClock
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.opening import open_desk
from live.reconcile import Reconciler
from simulator.errors import ConfigError, JournalError
from tests.live.desks import PRICES, order
from tests.live.faulty_broker import FaultyBroker, LostAfter
from tests.live.memory_broker import START, MemoryBroker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def memory() -> MemoryBroker:
    broker = MemoryBroker()
    broker.move(PRICES)
    return broker


def test_it_starts_in_one_order(
    tmp_path: Path, memory: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def watched(owner: type, name: str, what: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **named: Any) -> Any:
            steps.append(what)
            return real(*args, **named)

        monkeypatch.setattr(owner, name, call)

    Database(tmp_path / "journal.db").close()
    watched(Database, "__init__", "open")
    watched(Database, "lock", "lock")
    watched(Database, "check", "check")
    watched(KillSwitch, "__init__", "switch")
    watched(IntentLog, "__init__", "load")
    watched(BrokerManager, "__init__", "manager")
    watched(Reconciler, "start", "reconcile")
    watched(BrokerManager, "recover", "recover")
    desk = open_desk(tmp_path / "journal.db", {"main": memory})
    assert steps == ["open", "lock", "check", "switch", "load", "lock", "manager", "reconcile", "recover"]
    assert memory.calls == ["get_positions", "get_orders", "executions"]
    assert desk.report.clean
    desk.close()


def test_a_desk_trades_closes_and_goes_on(tmp_path: Path, memory: MemoryBroker) -> None:
    path = tmp_path / "journal.db"
    clock = FakeClock(memory.now)
    with open_desk(path, {"main": memory}, clock=clock) as desk:
        assert desk.manager.submit_order(order(1)).outcome is Outcome.CONFIRMED
    with open_desk(path, {"main": memory}, clock=clock) as desk:
        assert desk.report.complete
        assert desk.reconciler.ledger("main").positions() == {"AAPL": 10.0}
        again = desk.manager.submit_order(order(1))
        assert isinstance(again, Submitted)
        assert again.outcome is Outcome.CONFIRMED
        assert desk.poll().differences == ()
    assert memory.calls.count("submit_order") == 1
    assert (tmp_path / "journal.db.switch" / "ARMED").exists()


def test_a_second_one_is_refused_within_a_second_and_the_first_goes_on(
    tmp_path: Path, memory: MemoryBroker
) -> None:
    path = tmp_path / "journal.db"
    with open_desk(path, {"main": memory}) as desk:
        code = (
            "import sys\n"
            "from live.opening import open_desk\n"
            "from simulator.errors import JournalError\n"
            "from tests.live.memory_broker import MemoryBroker\n"
            "import time\n"
            "began = time.perf_counter()\n"
            "try:\n"
            "    open_desk(sys.argv[1], {'main': MemoryBroker()})\n"
            "except JournalError as error:\n"
            "    print(error.code, time.perf_counter() - began, error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        word, took, *message = done.stdout.split()
        assert word == "JOURNAL_LOCKED"
        assert float(took) < 1.0
        assert str(__import__("os").getpid()) in " ".join(message)
        assert desk.manager.submit_order(order(1)).outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("damage", [b"", b"garbage" * 1_000, None])
def test_a_damaged_journal_is_not_started_from_and_nothing_is_sent(
    tmp_path: Path, memory: MemoryBroker, damage: bytes | None
) -> None:
    path = tmp_path / "journal.db"
    with open_desk(path, {"main": memory}) as desk:
        desk.manager.submit_order(order(1))
    calls = len(memory.calls)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(JournalError) as caught:
        open_desk(path, {"main": memory})
    assert caught.value.code in ("JOURNAL_EMPTY", "JOURNAL_DAMAGED", "JOURNAL_FOREIGN")
    assert len(memory.calls) == calls
    path.write_bytes(content)  # and the lock was given back
    open_desk(path, {"main": memory}).close()


def test_what_differs_at_the_start_halts_and_waits_for_a_person(tmp_path: Path, memory: MemoryBroker) -> None:
    memory.hold("TSLA", 5.0)
    path = tmp_path / "journal.db"
    for _ in range(3):
        with open_desk(path, {"main": memory}) as desk:
            assert desk.kill_switch.state == "HALTED"
            assert [one.found.cause for one in desk.report.differences] == ["foreign_position"]
            assert desk.manager.submit_order(order(1)).code == "LIVE_HALTED"  # type: ignore[union-attr]  # kept back
    assert len(list((tmp_path / "journal.db.switch" / "reviews").glob("D-*"))) == 1


def test_from_a_kill_to_reconciled_takes_less_than_five_seconds(tmp_path: Path, memory: MemoryBroker) -> None:
    """With ten thousand orders in the log, and one that nobody knows of."""
    path = tmp_path / "journal.db"
    faulty = FaultyBroker(memory)
    with open_desk(path, {"main": faulty}) as desk:
        row = desk.manager.submit_order(order(0, 1.0))
        assert isinstance(row, Submitted)
        with desk.database.write() as connection:
            names = (
                "broker, symbol, order_class, purpose, request, outcome, state, quantity, sent_ts, updated_ts"
            )
            connection.exec_driver_sql(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "  # noqa: S608 - our own names
                f"INSERT INTO orders (account, client_order_id, broker_order, final, {names}) "
                f"SELECT account, 'x' || i, 'X' || i, 1, {names} FROM orders, n WHERE client_order_id = 'o0'"
            )
        faulty.at("submit_order", 1, LostAfter())
        desk.manager.submit_order(order(1))
    began = time.perf_counter()
    with open_desk(path, {"main": faulty}) as desk:
        took = time.perf_counter() - began
        assert [one.client_order_id for one in desk.report.resolved] == ["o1"]
        assert desk.report.complete
    assert took < 5.0
    print(f"recovered {took * 1_000:.0f} ms after a start with 10,000 orders")  # shown by pytest -s


def test_a_journal_on_a_server_needs_a_folder(tmp_path: Path, memory: MemoryBroker) -> None:
    from live.opening import _folder

    class Server:
        path, name = None, "postgresql://desk"

    with pytest.raises(ConfigError) as caught:
        _folder(Server(), None)  # type: ignore[arg-type]  # all that is looked at
    assert caught.value.code == "LIVE_STATE_FOLDER"
    assert _folder(Server(), tmp_path) == tmp_path  # type: ignore[arg-type]  # as above


def test_an_open_desk_shows_its_times(tmp_path: Path, memory: MemoryBroker) -> None:
    clock = FakeClock(START)
    with open_desk(tmp_path / "journal.db", {"main": memory}, clock=clock) as desk:
        assert desk.report.at == START
        desk.manager.submit_order(order(1))
        (intent, *_) = desk.manager.intents.events()
        assert intent.time == START
