"""Backups are one moment and verified; a restore refuses, checks, and keeps what it replaces."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from journal.backup import backup, backups, restore, verify
from journal.database import Database
from journal.schema import SCHEMA_VERSION, tags, trades
from simulator.errors import JournalError
from tests.journal.test_database import a_trade, add, symbols


@pytest.fixture
def filled(journal_path: Path) -> Path:
    with Database(journal_path) as database:
        for symbol in ("AAPL", "MSFT", "SPY"):
            add(database, symbol=symbol)
    return journal_path


def refused(code: str) -> pytest.RaisesExc[JournalError]:
    return pytest.RaisesExc(JournalError, check=lambda error: error.code == code)


def test_a_backup_holds_what_the_journal_held_also_what_is_only_in_its_log(filled: Path) -> None:
    with Database(filled) as database:
        add(database, symbol="NVDA")
        made = backup(database)
        add(database, symbol="LATER")
        assert filled.with_name("trade_journal.db-wal").stat().st_size > 0
    assert made.path.parent == filled.with_name("trade_journal.db.backups")
    assert (made.schema_version, made.rows["trades"], made.rows["schema_history"]) == (SCHEMA_VERSION, 4, 1)
    assert made.size == made.path.stat().st_size
    assert list(made.path.parent.iterdir()) == [made.path]  # one file, nothing beside it
    assert backups(filled) == [made.path]
    with Database(made.path, read_only=True) as copy:
        assert symbols(copy) == ["AAPL", "MSFT", "SPY", "NVDA"]


def test_a_backup_is_one_moment_while_another_thread_writes(filled: Path) -> None:
    going = threading.Event()
    going.set()
    pairs = [0]

    def write(database: Database) -> None:
        while going.is_set():
            with database.write() as connection:
                for _ in range(2):
                    connection.execute(insert(trades).values(**a_trade(symbol="PAIR")))
            pairs[0] += 1

    with Database(filled) as database:
        writer = threading.Thread(target=write, args=(database,))
        writer.start()
        try:
            copies = [backup(database) for _ in range(10)]
        finally:
            going.clear()
            writer.join()
    assert pairs[0] > 10
    counts = []
    for made in copies:
        with Database(made.path, read_only=True) as copy, copy.read() as connection:
            query = select(func.count()).select_from(trades).where(trades.c.symbol == "PAIR")
            counts.append(connection.execute(query).scalar_one())
    assert all(count % 2 == 0 for count in counts)
    assert counts == sorted(counts)


def test_a_backup_replaces_no_file(filled: Path, tmp_path: Path) -> None:
    made = backup(filled, tmp_path / "mine.db")
    assert made.path == tmp_path / "mine.db"
    with refused("JOURNAL_BACKUP"):
        backup(filled, tmp_path / "mine.db")


def test_backups_of_the_same_second_have_names_in_their_order(filled: Path) -> None:
    made = [backup(filled).path for _ in range(5)]
    assert backups(filled) == made == sorted(set(made))


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "gone"])
def test_a_damaged_journal_is_not_backed_up_as_if_it_were_whole(filled: Path, damage: str) -> None:
    hurt(filled, damage)
    with pytest.raises(JournalError):
        backup(filled)
    assert backups(filled) == []


def test_a_backup_brings_everything_back(filled: Path) -> None:
    made = backup(filled)
    with Database(filled) as database:
        add(database, symbol="LATER")
    restored = restore(filled, made.path)
    assert restored.rows == made.rows
    with Database(filled) as database:
        assert symbols(database) == ["AAPL", "MSFT", "SPY"]
        add(database, symbol="NEXT")
    assert restored.replaced is not None
    with Database(restored.replaced / filled.name, read_only=True) as old:
        assert symbols(old) == ["AAPL", "MSFT", "SPY", "LATER"]
    assert made.path.exists()


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "gone", "log"])
def test_the_newest_backup_repairs_every_damage(filled: Path, damage: str) -> None:
    backup(filled)
    with Database(filled) as database:
        add(database, symbol="NVDA")
        newest = backup(database)
    hurt(filled, damage)
    if damage != "log":
        with pytest.raises(JournalError, match=newest.path.name):
            Database(filled)
    restore(filled)
    with Database(filled) as database:
        assert symbols(database) == ["AAPL", "MSFT", "SPY", "NVDA"]
        database.check(full=True)


def test_nothing_is_restored_while_a_process_writes(filled: Path) -> None:
    made = backup(filled)
    with Database(filled) as database:
        add(database, symbol="NVDA")
        with refused("JOURNAL_LOCKED"):
            restore(filled, made.path)
        assert symbols(database)[-1] == "NVDA"


def test_a_damaged_copy_changes_nothing(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no backup"):
        restore(filled)
    made = backup(filled)
    before = filled.read_bytes()
    for damage in ("cut", "garbage", "empty", "gone"):
        copy = tmp_path / f"{damage}.db"
        shutil.copyfile(made.path, copy)
        hurt(copy, damage)
        with pytest.raises(JournalError):
            restore(filled, copy)
    assert filled.read_bytes() == before


def test_damage_deep_in_a_copy_is_found(filled: Path) -> None:
    with Database(filled) as database, database.write() as connection:
        connection.execute(insert(trades), [a_trade(symbol=f"S{i}") for i in range(500)])
        connection.execute(insert(tags), [{"trade_id": i, "tag": "x"} for i in range(1, 500)])
    made = backup(filled)
    with closing(sqlite3.connect(made.path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'ix_tags_tag'").fetchone()[
            0
        ]
    content = bytearray(made.path.read_bytes())
    page = slice((root - 1) * 4096 + 2048, root * 4096)
    content[page] = bytes(len(content[page]))
    made.path.write_bytes(content)
    with refused("JOURNAL_DAMAGED"):
        verify(made.path)


def test_a_restore_killed_between_its_steps_can_be_repeated(filled: Path) -> None:
    with Database(filled) as database:
        add(database, symbol="NVDA")
        backup(database)
        shutil.copyfile(filled.with_name("trade_journal.db-wal"), filled.with_name("log"))
    kill_after = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom journal import backup\n"
        "real, left = Path.replace, [int(sys.argv[2])]\n"
        "def replace(self, target):\n"
        "    if not left[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left[0] -= 1\n"
        "    return real(self, target)\n"
        "Path.replace = replace\nbackup.restore(sys.argv[1])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = 0
    for renames in range(10):
        command = [sys.executable, "-c", kill_after, str(filled), str(renames)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if not done.returncode:
            break
        assert done.returncode == -9, done.stderr
        killed += 1
        # whatever stage it was: the journal is whole, or known to be gone
        if filled.exists():
            with Database(filled, read_only=True) as database:
                assert symbols(database) == ["AAPL", "MSFT", "SPY", "NVDA"]
        else:
            with refused("JOURNAL_MISSING"):
                Database(filled)
    assert killed >= 2
    with Database(filled) as database:
        assert symbols(database) == ["AAPL", "MSFT", "SPY", "NVDA"]


def test_a_server_is_backed_up_with_its_own_tools(postgres_url: str) -> None:
    with Database(postgres_url) as database, pytest.raises(JournalError, match="pg_dump"):
        backup(database)
    for call in (backup, restore):
        with refused("JOURNAL_BACKUP"):
            call(postgres_url)


def hurt(path: Path, how: str) -> None:
    """Damage a journal in one of the usual ways."""
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "garbage":
        path.write_bytes(b"\x5a" * 4096 + content[4096:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    else:  # a log that belongs to nothing
        path.with_name(path.name + "-wal").write_bytes(os.urandom(10_000))
