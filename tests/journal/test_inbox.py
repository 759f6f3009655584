"""Commands of other processes: in order, exactly once, and never in each other's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, insert, select

from journal.database import Database
from journal.inbox import LARGEST_BYTES, Command, Inbox
from journal.schema import commands, tags, trades
from simulator.errors import DataError, JournalError, TwinstepError
from tests.journal.test_database import a_trade


@pytest.fixture
def inbox(journal_path: Path) -> Inbox:
    Database(journal_path).close()
    return Inbox(journal_path)


def add_trade(connection: Connection, command: Command) -> None:
    connection.execute(insert(trades).values(**a_trade(**command.arguments)))


def symbols(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(trades.c.symbol).order_by(trades.c.id)).scalars())


def test_commands_are_applied_in_their_order_once(inbox: Inbox, journal_path: Path) -> None:
    sent = [inbox.drop("add", {"symbol": f"S{i}"}) for i in range(30)]
    with Database(journal_path) as database:
        assert inbox.outcome(database, sent[0]).state == "waiting"
        done = inbox.drain(database, add_trade)
        assert [(one.id, one.state) for one in done] == [(identity, "applied") for identity in sent]
        assert symbols(database) == [f"S{i}" for i in range(30)]
        assert inbox.drain(database, add_trade) == []
        assert inbox.outcome(database, sent[0]).state == "applied"
        assert inbox.outcome(database, "nobody").state == "unknown"
    assert inbox.waiting() == []


def test_a_command_seen_twice_happens_once(inbox: Inbox, journal_path: Path) -> None:
    inbox.drop("add", {"symbol": "ONCE"})
    [file] = inbox.waiting()
    content = file.read_bytes()
    with Database(journal_path) as database:
        inbox.drain(database, add_trade)
        file.write_bytes(content)  # as a holder would find it that was killed before it removed the file
        assert [one.state for one in inbox.drain(database, add_trade)] == ["applied"]
        assert symbols(database) == ["ONCE"]
    assert inbox.waiting() == []


def test_operations_that_write_by_themselves_share_the_commands_transaction(
    inbox: Inbox, journal_path: Path
) -> None:
    inbox.drop("add", {"symbol": "X"})
    with Database(journal_path) as database:

        def apply(_connection: Connection, command: Command) -> None:
            with database.write() as connection:
                connection.execute(insert(trades).values(**a_trade(**command.arguments)))
            raise ValueError("after the operation")

        [outcome] = inbox.drain(database, apply)
        assert outcome.state == "rejected"
        assert symbols(database) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 1}', b'{"format": 9, "id": "x"}',
        b'{"format":1,"id":"other","name":"add","arguments":{},"dropped_ts":1}',
        b"[" * 100_000, b" " * (LARGEST_BYTES + 2),
    ],
)  # fmt: skip
def test_what_is_no_command_is_put_aside_with_its_reason(
    inbox: Inbox, journal_path: Path, content: bytes
) -> None:
    inbox.drop("add", {"symbol": "A"})
    [first] = inbox.waiting()
    first.write_bytes(content)
    inbox.drop("add", {"symbol": "B"})
    with Database(journal_path) as database:
        assert [one.state for one in inbox.drain(database, add_trade)] == ["rejected", "applied"]
        assert symbols(database) == ["B"]
    assert (inbox.rejected / first.name).read_bytes() == content
    assert "JOURNAL_COMMAND" in (inbox.rejected / f"{first.stem}.reason.txt").read_text()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_are_read(inbox: Inbox, journal_path: Path, kind: str, tmp_path: Path) -> None:
    inbox.drop("add", {"symbol": "A"})
    [file] = inbox.waiting()
    content = file.read_bytes()
    file.unlink()
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    with Database(journal_path) as database:
        assert [one.state for one in inbox.drain(database, add_trade)] == ["rejected"]
        assert symbols(database) == []


@pytest.mark.parametrize(
    "error", [TypeError("no argument x"), DataError("a trade is closed", code="JOURNAL_VALUE"), KeyError("y")]
)
def test_a_command_that_fails_is_undone_and_put_aside(
    inbox: Inbox, journal_path: Path, error: Exception
) -> None:
    identity = inbox.drop("add", {"symbol": "BAD"})
    inbox.drop("add", {"symbol": "GOOD"})

    def apply(connection: Connection, command: Command) -> None:
        add_trade(connection, command)
        if command.arguments["symbol"] == "BAD":
            raise error

    with Database(journal_path) as database:
        assert [one.state for one in inbox.drain(database, apply)] == ["rejected", "applied"]
        assert symbols(database) == ["GOOD"]
        assert type(error).__name__ in inbox.outcome(database, identity).reason
    assert (inbox.rejected / f"{identity}.json").exists()


def test_a_row_against_the_rules_rejects_its_command_only(inbox: Inbox, journal_path: Path) -> None:
    inbox.drop("add", {"symbol": "BAD", "side": 5})
    inbox.drop("add", {"symbol": "GOOD"})
    with Database(journal_path) as database:
        assert [one.state for one in inbox.drain(database, add_trade)] == ["rejected", "applied"]
        assert symbols(database) == ["GOOD"]


@pytest.mark.parametrize("code", ["JOURNAL_FULL", "JOURNAL_BUSY", "JOURNAL_ACCESS"])
def test_a_fault_of_the_journal_leaves_the_commands_waiting(
    inbox: Inbox, journal_path: Path, code: str
) -> None:
    inbox.drop("add", {"symbol": "A"})

    def fail(_connection: Connection, _command: Command) -> None:
        raise JournalError("no room", code=code)

    with Database(journal_path) as database:
        with pytest.raises(JournalError):
            inbox.drain(database, fail)
        assert len(inbox.waiting()) == 1
        inbox.drain(database, add_trade)
        assert symbols(database) == ["A"]


def test_numbers_of_numpy_arrive_as_numbers_and_nan_is_refused(inbox: Inbox, journal_path: Path) -> None:
    inbox.drop("add", {"quantity": np.float64(3), "open_quantity": np.float32(3), "entry_ts": np.int64(7)})
    for bad in (float("nan"), np.float64("inf"), object()):
        with pytest.raises(DataError) as error:
            inbox.drop("add", {"quantity": bad})
        assert error.value.code == "JOURNAL_VALUE"
    with Database(journal_path) as database:
        inbox.drain(database, add_trade)
        with database.read() as connection:
            row = connection.execute(select(trades.c.quantity, trades.c.entry_ts)).one()
    assert tuple(row) == (3.0, 7)


@pytest.mark.parametrize(
    ("name", "arguments"), [("", {}), ("../x", {}), ("Add", {}), ("add", {"notes": "x" * LARGEST_BYTES})]
)
def test_what_could_not_be_taken_is_not_dropped(inbox: Inbox, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(DataError) as error:
        inbox.drop(name, arguments)
    assert error.value.code == "JOURNAL_COMMAND"
    assert inbox.waiting() == []


def test_half_written_files_are_not_seen(inbox: Inbox, journal_path: Path) -> None:
    inbox.drop("add", {"symbol": "A"})
    [file] = inbox.waiting()
    file.rename(file.with_name(f".{file.name}.1.tmp"))
    with Database(journal_path) as database:
        assert inbox.drain(database, add_trade) == []
        assert symbols(database) == []


def test_an_inbox_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="nowhere") as error:
        Inbox(tmp_path / "nowhere" / "journal.db").drop("add", {})
    assert error.value.code == "JOURNAL_ACCESS"


def test_a_server_has_no_inbox() -> None:
    with pytest.raises(TwinstepError) as error:
        Inbox("postgresql://user:geheim@host/journal")
    assert error.value.code == "JOURNAL_NO_INBOX"
    assert "geheim" not in str(error.value)


DRAIN = """
import os, signal, sys
from sqlalchemy import insert
from journal.database import Database
from journal.inbox import Inbox
from journal.schema import tags, trades

path, steps = sys.argv[1], int(sys.argv[2])
done = 0

def count(*_):
    global done
    done += 1
    if done == steps:
        os.kill(os.getpid(), signal.SIGKILL)

def apply(connection, command):
    connection.execute(insert(tags).values(trade_id=1, tag=command.arguments["tag"]))

sys.addaudithook(lambda event, arguments: count() if armed and event in EVENTS else None)
EVENTS = {"sqlite3.connect", "open", "os.remove", "os.rename", "os.listdir", "os.scandir", "sqlite3.enable"}
armed = False
database = Database(path)
armed = True
import sqlalchemy.event
sqlalchemy.event.listen(database._acquired()._engine, "before_cursor_execute", count)
sqlalchemy.event.listen(database._acquired()._engine, "commit", count)
Inbox(path).drain(database, apply)
"""


def test_a_holder_killed_at_any_step_applies_each_command_once(inbox: Inbox, journal_path: Path) -> None:
    with Database(journal_path) as database, database.write() as connection:
        connection.execute(insert(trades).values(**a_trade()))
    for number in range(3):
        inbox.drop("tag", {"tag": f"t{number}"})
    steps = 1
    while True:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run(
            [sys.executable, "-c", DRAIN, str(journal_path), str(steps)],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        if not run.returncode:
            break
        assert run.returncode == -signal.SIGKILL, run.stderr
        steps += 2
    assert steps > 5  # it was killed several times before it came through
    with Database(journal_path, read_only=True) as database, database.read() as connection:
        stored = list(connection.execute(select(tags.c.tag).order_by(tags.c.tag)).scalars())
        assert stored == ["t0", "t1", "t2"]
        assert len(connection.execute(select(commands)).all()) == 3
    assert inbox.waiting() == []


def test_two_senders_keep_their_own_order(inbox: Inbox, journal_path: Path) -> None:
    send = (
        "import sys\nfrom journal.inbox import Inbox\n"
        "for n in range(20): Inbox(sys.argv[1]).drop('add', {'symbol': f'{sys.argv[2]}{n:02d}'})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    senders = [
        subprocess.Popen([sys.executable, "-c", send, str(journal_path), name], env=environment)
        for name in "AB"
    ]
    assert [sender.wait() for sender in senders] == [0, 0]
    with Database(journal_path) as database:
        inbox.drain(database, add_trade)
        found = symbols(database)
    for name in "AB":
        own = [symbol for symbol in found if symbol.startswith(name)]
        assert own == [f"{name}{n:02d}" for n in range(20)]
