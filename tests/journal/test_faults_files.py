"""Damaged, foreign, empty, vanished, locked and read-only files: the answer, and that nothing was changed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import insert

from journal.backup import backup
from journal.database import Database
from journal.schema import metadata, trades
from simulator.errors import JournalError
from tests.journal.test_database import a_trade, add, symbols

NOBODY: Final = 65_534


@pytest.fixture
def filled(journal_path: Path) -> Path:
    with Database(journal_path) as database, database.write() as connection:
        connection.execute(insert(trades), [a_trade(entry_notes="n" * 200) for _ in range(300)])
    return journal_path


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photographs (name TEXT)")


def other_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 77")


def no_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DROP TABLE fills")


def half_garbage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + random.Random(7).randbytes(len(content) - 4096))  # noqa: S311


DAMAGES: Final[dict[str, tuple[Callable[[Path], object], str, str]]] = {
    "length zero": (lambda path: path.write_bytes(b""), "JOURNAL_EMPTY", "JOURNAL_EMPTY"),
    "vanished": (lambda path: path.unlink(), "JOURNAL_MISSING", ""),
    "cut to a page": (lambda path: os.truncate(path, 4096), "JOURNAL_DAMAGED", "JOURNAL_DAMAGED"),
    "cut within a page": (lambda path: os.truncate(path, 10_001), "JOURNAL_DAMAGED", "JOURNAL_DAMAGED"),
    "cut within the header": (lambda path: os.truncate(path, 50), "JOURNAL_DAMAGED", "JOURNAL_FOREIGN"),
    "text": (lambda path: path.write_text("my trades\n" * 500), "JOURNAL_DAMAGED", "JOURNAL_FOREIGN"),
    "another database": (foreign, "JOURNAL_DAMAGED", "JOURNAL_FOREIGN"),
    "another application": (other_application, "JOURNAL_DAMAGED", "JOURNAL_FOREIGN"),
    "garbage after the header": (half_garbage, "JOURNAL_DAMAGED", "JOURNAL_DAMAGED"),
    "a table missing": (no_table, "JOURNAL_DAMAGED", "JOURNAL_DAMAGED"),
}


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_and_left_as_it_is(filled: Path, damage: str, marked: bool) -> None:
    made = backup(filled)
    if not marked:
        filled.with_name(filled.name + ".id").unlink()
    hurt, with_mark, without = DAMAGES[damage]
    hurt(filled)
    code = with_mark if marked else without
    before = contents(filled.parent)
    for read_only in (False, True):
        if not code and not read_only:
            continue  # no file and no mark: a new journal may be begun
        with pytest.raises(JournalError) as error:
            Database(filled, read_only=read_only)
        assert error.value.code == (code or "JOURNAL_MISSING")
        assert str(filled) in str(error.value)
        if code in ("JOURNAL_DAMAGED", "JOURNAL_EMPTY") or (code == "JOURNAL_MISSING" and marked):
            assert f"twinstep journal restore '{made.path}'" in str(error.value)
    after = contents(filled.parent)
    leftovers = {name for name in after if name.endswith(("-wal", "-shm"))} - set(before)
    assert {name: after[name] for name in before} == before
    assert set(after) - leftovers == set(before)
    assert all(not after[name] for name in leftovers if name.endswith("-wal"))


def test_a_vanished_journal_says_how_to_begin_a_new_one(filled: Path) -> None:
    filled.unlink()
    mark = filled.with_name(filled.name + ".id")
    with pytest.raises(JournalError, match="remove") as error:
        Database(filled)
    assert str(mark) in str(error.value)
    mark.unlink()
    with Database(filled) as database:
        assert symbols(database) == []


def test_a_log_without_its_journal_is_not_taken_for_nothing(filled: Path) -> None:
    filled.unlink()
    filled.with_name(filled.name + ".id").unlink()
    filled.with_name(filled.name + "-wal").write_bytes(b"x" * 5000)
    with pytest.raises(JournalError, match="-wal") as error:
        Database(filled)
    assert error.value.code == "JOURNAL_MISSING"


def test_every_cut_is_noticed(filled: Path, tmp_path: Path) -> None:
    whole = filled.read_bytes()
    copy = tmp_path / "copy.db"
    for length in range(1, len(whole), len(whole) // 60 + 1):
        copy.write_bytes(whole[:length])
        with pytest.raises(JournalError):
            Database(copy)


def test_scribbled_bytes_are_answered_with_the_journals_own_error_or_not_met(
    filled: Path, tmp_path: Path
) -> None:
    seed = 4_711
    drawn = random.Random(seed)  # noqa: S311 - of a test
    whole = filled.read_bytes()
    noticed = 0
    for number in range(80):
        path = tmp_path / f"{number}.db"
        content = bytearray(whole)
        at = drawn.randrange(100, len(whole) - 64)
        content[at : at + 64] = drawn.randbytes(64)
        path.write_bytes(content)
        try:
            with Database(path) as database, database.read() as connection:
                for table in metadata.sorted_tables:
                    connection.execute(table.select()).all()
        except JournalError as error:
            noticed += 1
            assert error.code in ("JOURNAL_DAMAGED", "JOURNAL_FOREIGN"), f"seed {seed}, {number}: {error}"  # noqa: PT017
        except UnicodeDecodeError:
            noticed += 1  # scribbled over the text of a note, which no structure shows
    assert noticed > 20


# Locked


def test_a_write_lock_of_another_program_is_waited_for_and_then_named(filled: Path) -> None:
    with Database(filled, busy_seconds=0.4) as database, closing(sqlite3.connect(filled)) as other:
        add(database, symbol="BEFORE")
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(JournalError) as error:
            add(database, symbol="LOST")
        waited = time.monotonic() - began
        assert error.value.code == "JOURNAL_BUSY"
        assert 0.3 < waited < 2.0
        assert symbols(database)[-1] == "BEFORE"  # reading goes on
        other.execute("ROLLBACK")
        add(database, symbol="AFTER")
        assert symbols(database)[-2:] == ["BEFORE", "AFTER"]


def test_a_reader_that_stays_does_not_hinder_the_writer(filled: Path) -> None:
    with Database(filled) as database, Database(filled, read_only=True) as reader:
        with reader.read() as connection:
            rows = connection.execute(trades.select()).all()
            for _ in range(50):
                add(database)
            assert len(connection.execute(trades.select()).all()) == len(rows)
        assert len(symbols(reader)) == len(rows) + 50


# Read-only


@pytest.fixture
def shared(filled: Path) -> Iterator[Path]:
    """The journal in a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="journal"))
    for file in filled.parent.glob(filled.name + "*"):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    folder.chmod(0o755)
    yield folder / filled.name
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(act: Callable[[], str]) -> str:
    """Result of `act` in a process without rights over what this one owns."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writing, act().encode())
        except BaseException as error:
            os.write(writing, f"{type(error).__name__} {getattr(error, 'code', error)}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def restrict(path: Path) -> None:
    """Take the right to write from file and folder, also where the owner asks."""
    for file in path.parent.iterdir():
        file.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    path.parent.chmod(0o555)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_read_only_folder_can_be_read(shared: Path, read_only: bool) -> None:
    restrict(shared)

    def act() -> str:
        with Database(shared, read_only=read_only) as database:
            return str(len(symbols(database)))

    assert as_nobody(act) == "300"


def test_a_read_only_folder_is_named_by_the_first_write(shared: Path) -> None:
    restrict(shared)

    def act() -> str:
        with Database(shared) as database:
            add(database)
        return "written"

    assert as_nobody(act) == "JournalError JOURNAL_READ_ONLY"


def test_a_read_only_file_in_a_writable_folder_is_named_by_the_first_write(shared: Path) -> None:
    shared.chmod(0o444)
    shared.parent.chmod(0o777)
    for file in shared.parent.iterdir():
        if file != shared:
            file.chmod(0o666)

    def act() -> str:
        with Database(shared) as database:
            add(database)
        return "written"

    assert as_nobody(act) == "JournalError JOURNAL_READ_ONLY"


def test_a_folder_without_a_journal_and_without_rights_is_named(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="journal"))
    folder.chmod(0o555)

    def act() -> str:
        Database(folder / "journal.db")
        return "begun"

    try:
        assert as_nobody(act) == "JournalError JOURNAL_READ_ONLY"
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_another_user_reads_what_the_writer_has_only_in_its_log(shared: Path) -> None:
    with Database(shared) as database:
        add(database, symbol="INLOG")
        for file in shared.parent.iterdir():
            file.chmod(0o644)
        shared.parent.chmod(0o755)

        def act() -> str:
            with Database(shared, read_only=True) as reader:
                return symbols(reader)[-1]

        assert as_nobody(act) == "INLOG"


def test_a_log_left_by_a_killed_writer_is_read_without_rights(shared: Path) -> None:
    child = os.fork()
    if not child:
        try:
            add(Database(shared), symbol="KILLED")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert shared.with_name(shared.name + "-wal").stat().st_size > 0
    restrict(shared)

    def act() -> str:
        with Database(shared, read_only=True) as reader:
            return symbols(reader)[-1]

    assert as_nobody(act) == "KILLED"


def test_a_file_that_may_not_be_read_is_named(shared: Path) -> None:
    shared.chmod(0o000)

    def act() -> str:
        Database(shared)
        return "opened"

    assert as_nobody(act) == "JournalError JOURNAL_ACCESS"
