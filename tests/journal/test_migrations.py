"""Older journals are brought up to date whole or not at all; newer ones are left alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Engine, event, insert, inspect, select, text

from journal.backup import backups, verify
from journal.database import Database
from journal.learning_system import TradeLearningSystem
from journal.migrations import STEPS, Step
from journal.performance_tracker import PerformanceTracker
from journal.schema import SCHEMA_VERSION, metadata, schema_history, trades
from journal.trade_journal import TradeJournal
from simulator.errors import JournalError
from tests.journal.databases.make import ROWS
from tests.journal.test_database import a_trade, add, symbols

DATABASES: Final = Path(__file__).parent / "databases"
STORED: Final = sorted(DATABASES.glob("version_*.db"))


def schema_of(path: Path) -> dict[str, str]:
    """Text of every table and index, by name, without the spaces that make no difference."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"\s+", " ", sql).replace('"', "") for name, sql in found}


def test_every_version_has_its_stored_journal() -> None:
    assert [file.name for file in STORED] == [f"version_{n}.db" for n in range(1, SCHEMA_VERSION + 1)]
    assert sorted(STEPS) == list(range(2, SCHEMA_VERSION + 1))
    # a table without a row would not show that its rows survive
    assert set(ROWS) | {"schema_history"} == set(metadata.tables)


@pytest.mark.parametrize("stored", STORED, ids=lambda file: file.stem)
def test_a_stored_journal_opens_and_becomes_what_a_new_one_is(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copyfile(stored, path)
    before = verify(path)
    with Database(path) as database:
        database.check(full=True)
        add(database, symbol="NEW")
    after = verify(path)
    assert after.schema_version == SCHEMA_VERSION
    for table, rows in before.rows.items():
        more = {"trades": 1, "schema_history": SCHEMA_VERSION - before.schema_version}.get(table, 0)
        assert after.rows[table] == rows + more, table
    assert len(backups(path)) == (before.schema_version < SCHEMA_VERSION)
    Database(tmp_path / "new.db").close()
    # Where this fails the tables were changed without a step. A version that no release had yet may be stored
    # anew by `python -m tests.journal.databases.make`; every other one needs the next version and its step.
    assert schema_of(path) == schema_of(tmp_path / "new.db")


def test_values_of_the_first_version_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copyfile(DATABASES / "version_1.db", path)
    with Database(path) as database, database.read() as connection:
        for name in ("trades", "recommendations", "legs", "fills", "lessons"):
            table = metadata.tables[name]
            stored = [row._asdict() for row in connection.execute(select(table).order_by(table.c.id))]
            for expected, found in zip(ROWS[name], stored, strict=True):
                assert found == {**found, **expected}, name


@pytest.mark.parametrize("stored", STORED, ids=lambda file: file.stem)
def test_a_stored_journal_may_be_read_as_it_is(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copyfile(stored, path)
    before = path.read_bytes()
    with TradeJournal(path, read_only=True) as journal:
        assert [trade.pnl for trade in journal.trades(source="live")] == [127.4]
    TradeLearningSystem(path).analysis()
    assert path.read_bytes() == before
    with PerformanceTracker(path) as tracker:
        assert tracker.metrics().trades == 1


# The machinery, with two versions that do not exist


NEXT, LATER = SCHEMA_VERSION + 1, SCHEMA_VERSION + 2


def to_next(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE trades ADD COLUMN mood TEXT"))
    connection.execute(text("UPDATE trades SET mood = 'calm'"))


def to_later(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE moods (mood TEXT PRIMARY KEY)"))
    connection.execute(text("INSERT INTO moods SELECT DISTINCT mood FROM trades"))


def adopt(monkeypatch: pytest.MonkeyPatch, steps: Mapping[int, Step]) -> None:
    """Let the code know later versions."""
    version = max(steps)
    for module in ("database", "storage.sqlite", "backup"):
        monkeypatch.setattr(f"journal.{module}.SCHEMA_VERSION", version)
    monkeypatch.setattr("journal.database.READABLE_FROM", version)
    monkeypatch.setattr("journal.database.STEPS", steps)


def state_of(where: str) -> tuple[int, bool, bool]:
    """Version that the journal records, and whether the two versions' changes are there."""
    connection: Any
    if "://" in where:
        import psycopg

        connection = psycopg.connect(where)
    else:
        connection = sqlite3.connect(f"{Path(where).as_uri()}?mode=ro", uri=True)
    with closing(connection):
        recorded = connection.execute("SELECT max(version) FROM schema_history").fetchone()[0]
        if "://" not in where:
            assert connection.execute("PRAGMA user_version").fetchone()[0] == recorded
        columns = [column[0] for column in connection.execute("SELECT * FROM trades LIMIT 1").description]
        catalogue = "sqlite_schema" if "://" not in where else "pg_tables"
        name = "name" if "://" not in where else "tablename"
        moods = connection.execute(f"SELECT count(*) FROM {catalogue} WHERE {name} = 'moods'").fetchone()[0]  # noqa: S608
        return recorded, "mood" in columns, bool(moods)


def test_steps_are_taken_in_order_and_recorded(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(where) as database:
        add(database)
    adopt(monkeypatch, {NEXT: to_next, LATER: to_later})
    with pytest.raises(JournalError) as error:
        Database(where, read_only=True)
    assert error.value.code == "JOURNAL_OLDER"
    with Database(where) as database:
        assert symbols(database) == ["AAPL"]
        with database.read() as connection:
            assert connection.execute(text("SELECT mood FROM moods")).scalars().all() == ["calm"]
            versions = connection.execute(select(schema_history.c.version)).scalars().all()
        assert sorted(versions) == [SCHEMA_VERSION, NEXT, LATER]
    assert state_of(where) == (LATER, True, True)
    if "://" not in where:
        [kept] = backups(where)
        assert state_of(str(kept)) == (SCHEMA_VERSION, False, False)
    Database(where, read_only=True).close()


def test_a_step_that_fails_leaves_the_version_before(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: Connection) -> None:
        to_later(connection)
        connection.execute(insert(trades).values(**a_trade(side=9)))

    with Database(where) as database:
        add(database)
    adopt(monkeypatch, {NEXT: to_next, LATER: fails})
    with pytest.raises(JournalError) as error:
        Database(where)
    assert error.value.code == "JOURNAL_RULE"
    assert state_of(where) == (NEXT, True, False)
    adopt(monkeypatch, {NEXT: to_next, LATER: to_later})
    Database(where).close()
    assert state_of(where) == (LATER, True, True)


def test_a_process_killed_at_any_statement_leaves_a_whole_version(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(where) as database:
        add(database)
    adopt(monkeypatch, {NEXT: to_next, LATER: to_later})
    seen = set()
    for statements in range(1, 100):
        if not opened_in_a_child_that_dies(where, statements):
            break
        version, second, third = state_of(where)
        assert (second, third) == (version >= NEXT, version >= LATER)
        seen.add(version)
        if "://" not in where:  # from the start again, with a journal of this version
            for file in Path(where).parent.glob(Path(where).name + "*"):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
            adopt(monkeypatch, {SCHEMA_VERSION: to_next})
            with Database(where) as database:
                add(database)
            adopt(monkeypatch, {NEXT: to_next, LATER: to_later})
    # on the server each new process goes on where the last one was killed
    assert seen == {SCHEMA_VERSION, NEXT}
    assert state_of(where) == (LATER, True, True)
    with Database(where) as database:
        assert symbols(database) == ["AAPL"]


def opened_in_a_child_that_dies(where: str, statements: int) -> bool:
    """Open the journal in a child killed at its n-th statement or commit; False where it came through."""
    child = os.fork()
    if not child:
        left = [statements]

        def count(*_: object, **__: object) -> None:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            event.listen(Engine, "before_cursor_execute", count)
            event.listen(Engine, "after_cursor_execute", count)
            event.listen(Engine, "commit", count)
            Database(where)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


# Newer journals


@pytest.fixture
def newer(journal_path: Path) -> Path:
    with Database(journal_path) as database:
        add(database)
    with closing(sqlite3.connect(journal_path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    return journal_path


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_file_is_refused_without_a_write(newer: Path, read_only: bool) -> None:
    before = contents(newer)
    with pytest.raises(JournalError, match=f"version {SCHEMA_VERSION + 1}") as error:
        Database(newer, read_only=read_only)
    assert error.value.code == "JOURNAL_NEWER"
    assert contents(newer) == before


def test_a_version_that_is_newer_only_in_the_log_is_refused(journal_path: Path, tmp_path: Path) -> None:
    with Database(journal_path) as database:
        add(database)
        with database.write() as connection:
            connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION + 1}"))
        copy = tmp_path / "copy" / "journal.db"
        copy.parent.mkdir()
        for ending in ("", "-wal"):
            shutil.copyfile(f"{journal_path}{ending}", f"{copy}{ending}")
    before = {ending: Path(f"{copy}{ending}").read_bytes() for ending in ("", "-wal")}
    with pytest.raises(JournalError) as error:
        Database(copy)
    assert error.value.code == "JOURNAL_NEWER"
    assert {ending: Path(f"{copy}{ending}").read_bytes() for ending in ("", "-wal")} == before


def test_a_newer_server_is_refused(postgres_url: str) -> None:
    with Database(postgres_url) as database, database.write() as connection:
        connection.execute(
            insert(schema_history).values(version=SCHEMA_VERSION + 1, applied_ts=1, program="later")
        )
    with pytest.raises(JournalError) as error:
        Database(postgres_url)
    assert error.value.code == "JOURNAL_NEWER"


def test_a_database_of_something_else_is_refused(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE accounts (id int)")
    with pytest.raises(JournalError) as error:
        Database(postgres_url)
    assert error.value.code == "JOURNAL_FOREIGN"


def test_server_and_file_have_the_same_columns(postgres_url: str, journal_path: Path) -> None:
    columns = []
    for place in (postgres_url, str(journal_path)):
        with Database(place) as database, database.read() as connection:
            looked = inspect(connection)
            columns.append(
                {
                    table: [(column["name"], column["nullable"]) for column in looked.get_columns(table)]
                    for table in sorted(looked.get_table_names())
                }
            )
    assert columns[0] == columns[1]
