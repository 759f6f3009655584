"""kill -9 at random points of a writing process: nothing acknowledged is lost, and nothing is half there.

A forked child opens the journal, as every start does, and writes transactions of several rows in several
tables; after each it sends the number to the parent through a pipe, which outlives it. The parent kills it
after a random time, looks at the file, and starts the next one on it, so that recovery is killed too: every
fifth child from its start, the others from their first write. Half of the children fold the log into the file
after nearly every write, where most of the danger lies.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import insert

from journal.backup import backup, verify
from journal.database import Database
from journal.schema import trades
from tests.journal.test_database import a_trade

SEED: Final = 20_240_917
STAGES: Final = (".lock", ".new", ".new-wal", "", ".id")
OPEN: Final = b"open\n"
LONGEST_SECONDS: Final = 0.04


@pytest.mark.parametrize("kills", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_a_writer_killed_at_random_points_loses_nothing(journal_path: Path, kills: int) -> None:
    print(f"seed {SEED}, {kills} kills")
    drawn = random.Random(SEED)  # noqa: S311 - of a test
    acknowledged = written = in_mid_write = while_opening = 0
    Database(journal_path).close()
    for kill in range(kills):
        last, started = killed_writer(
            journal_path,
            first=written + 1,
            wait=drawn.uniform(0.0, LONGEST_SECONDS),
            opened=bool(kill % 5),
            folding=bool(kill % 2),
        )
        while_opening += not started
        acknowledged = max(acknowledged, last)
        # recovery is what the next opening does; this one only reads
        with Database(journal_path, read_only=True) as database, database.read() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            written = whole_transactions(driver)
        assert written >= acknowledged, f"kill {kill}: {acknowledged} was acknowledged, {written} is there"
        in_mid_write += written > acknowledged
        acknowledged = written  # seen by a reader is as good as acknowledged
    made = backup(journal_path)  # checks every page, index and reference
    assert made.rows["trades"] == written
    print(f"{written} transactions, {while_opening} killed while opening, {in_mid_write} before the answer")
    assert written > kills // 2  # a loaded machine writes less before it is killed
    assert while_opening > kills // 60
    assert in_mid_write > kills // 60


def test_a_process_killed_while_it_begins_a_journal_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    drawn = random.Random(SEED)  # noqa: S311 - of a test
    begun = 0
    for kill in range(15):
        path = tmp_path / f"{kill}" / "journal.db"
        path.parent.mkdir()
        child = os.fork()
        if not child:
            try:
                Database(path).close()
                time.sleep(1.0)
            finally:
                os._exit(0)
        stage = path.with_name(path.name + STAGES[kill % len(STAGES)])
        until = time.monotonic() + 10.0
        while not stage.exists() and not path.exists() and time.monotonic() < until:
            time.sleep(0.0002)
        time.sleep(drawn.uniform(0.0, 0.004))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        begun += path.exists()
        if path.exists():
            assert verify(path).rows["schema_history"] == 1
        with Database(path) as database, database.write() as connection:
            connection.execute(insert(trades).values(**a_trade()))
        verify(path)
    print(f"{begun} of 15 were begun before the kill")
    assert 1 < begun < 15


def killed_writer(path: Path, *, first: int, wait: float, opened: bool, folding: bool) -> tuple[int, bool]:
    """Run a writer that is killed `wait` seconds after its start, or after it has opened the journal.

    Returns the last number it had acknowledged (0: none), and whether it had opened the journal.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reading)
            write_on(path, first, writing, folding=folding)
        except BaseException as error:
            os.write(2, f"the writer failed: {error}\n".encode())
            status = 2
        finally:
            os._exit(status)
    os.close(writing)
    said = os.read(reading, len(OPEN)) if opened else b""
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reading, "rb") as pipe:
        said += pipe.read()
    assert status == -signal.SIGKILL
    lines = said.decode().split("\n")[:-1]  # what follows the last newline was cut off
    numbers = [int(line) for line in lines if line != "open"]
    return (numbers[-1] if numbers else 0), "open" in lines


def write_on(path: Path, number: int, pipe: int, *, folding: bool) -> None:
    """Write transaction after transaction; say so after each."""
    with Database(path) as database:
        if folding:
            with database.write() as connection:
                connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 8")
        os.write(pipe, OPEN)
        while True:
            with database.write() as connection:
                for statement, values in rows(number):
                    connection.exec_driver_sql(statement, values)
            os.write(pipe, f"{number}\n".encode())
            number += 1


def rows(number: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Inserts of one transaction, as plain SQL: compiling them would take longer than a child lives."""
    trade = a_trade(id=number, entry_notes="x" * (number % 3000))
    fill = {
        "trade_id": number, "source": "live", "ts": number, "kind": "trade", "effect": "open",
        "symbol": "AAPL", "underlying": "AAPL", "side": 1, "quantity": 5.0, "price": 2.5,
    }  # fmt: skip
    yield _insert("trades", trade)
    for half in (1, 2):
        yield _insert("fills", {"execution_key": f"{number}-{half}", **fill})
    yield _insert("tags", {"trade_id": number, "tag": "whole"})
    yield _insert("insights", {"trade_id": number, "ts": number, "code": "c", "direction": 0, "text": "t"})


def _insert(table: str, row: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    marks = ", ".join("?" for _ in row)
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())  # noqa: S608


def whole_transactions(connection: sqlite3.Connection) -> int:
    """Check structure and rows of the journal; return how many transactions it holds."""
    assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    [(rows, highest)] = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM trades").fetchall()
    assert rows == highest
    for table, each in (("fills", 2), ("tags", 1), ("insights", 1)):
        counts = connection.execute(
            f"SELECT count(*), count(DISTINCT trade_id), coalesce(max(trade_id), 0) FROM {table}"  # noqa: S608
        ).fetchone()
        assert counts == (each * rows, rows, highest), table
    return int(rows)


def test_the_check_itself_notices_a_lost_row(journal_path: Path) -> None:
    killed_writer(journal_path, first=1, wait=0.3, opened=True, folding=False)
    with closing(sqlite3.connect(journal_path)) as connection:
        rows = whole_transactions(connection)
        assert rows > 3
        connection.execute("DELETE FROM tags WHERE trade_id = 2")
        with pytest.raises(AssertionError):
            whole_transactions(connection)
