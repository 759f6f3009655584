"""The door to the journal: transactions, snapshots, refusals; on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text

from journal.database import Database
from journal.schema import APPLICATION_ID, SCHEMA_VERSION, metadata, schema_history, trades
from journal.storage import sqlite as _sqlite
from simulator.errors import ConfigError, JournalError


def a_trade(**changed: Any) -> dict[str, Any]:
    return {
        "source": "live", "status": "open", "kind": "stock", "symbol": "AAPL", "strategy": "breakout",
        "side": 1, "quantity": 10.0, "open_quantity": 10.0, "entry_ts": 1, "entry_price": 2.5, **changed,
    }  # fmt: skip


def add(database: Database, **changed: Any) -> None:
    with database.write() as connection:
        connection.execute(insert(trades).values(**a_trade(**changed)))


def symbols(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(trades.c.symbol).order_by(trades.c.id)).scalars())


@contextmanager
def undone(database: Database) -> Iterator[Connection]:
    """A write that ends with an error of the caller."""
    with pytest.raises(KeyError), database.write() as connection:  # noqa: PT012 - the block is the caller's
        yield connection
        raise KeyError("of the caller")


def code_of(error: pytest.ExceptionInfo[JournalError]) -> str:
    return error.value.code


# On both databases


def test_what_was_written_is_there_after_reopening(where: str) -> None:
    with Database(where) as database:
        add(database, symbol="AAPL")
        add(database, symbol="MSFT")
    with Database(where) as database:
        assert symbols(database) == ["AAPL", "MSFT"]


def test_an_error_undoes_the_whole_write(where: str) -> None:
    with Database(where) as database:
        with undone(database) as connection:
            connection.execute(insert(trades).values(**a_trade()))
        assert symbols(database) == []
        add(database)
        assert symbols(database) == ["AAPL"]


def test_a_write_inside_a_write_is_a_part_of_it(where: str) -> None:
    with Database(where) as database:
        with database.write() as connection:
            connection.execute(insert(trades).values(**a_trade(symbol="OUTER")))
            add(database, symbol="INNER")
            with undone(database) as inner:
                inner.execute(insert(trades).values(**a_trade(symbol="UNDONE")))
            assert symbols(database) == ["OUTER", "INNER"]  # a read in a write sees it
        assert symbols(database) == ["OUTER", "INNER"]
        with undone(database):
            add(database, symbol="LOST")
        assert symbols(database) == ["OUTER", "INNER"]


def test_two_objects_of_one_process_share_writer_and_transaction(where: str) -> None:
    with Database(where) as first, Database(where) as second:
        add(first, symbol="A")
        add(second, symbol="B")
        with undone(first):
            add(second, symbol="C")
        assert symbols(first) == symbols(second) == ["A", "B"]
        first.close()
        add(second, symbol="D")
        assert symbols(second) == ["A", "B", "D"]


def test_a_read_is_one_snapshot(where: str) -> None:
    count = select(func.count()).select_from(trades)
    with Database(where) as database:
        add(database)
        with database.read() as connection:
            assert connection.execute(count).scalar_one() == 1
            writer = threading.Thread(target=add, args=(database,))
            writer.start()
            writer.join()
            assert connection.execute(count).scalar_one() == 1
        assert len(symbols(database)) == 2


def test_a_read_cannot_write(where: str) -> None:
    with Database(where) as database:
        with pytest.raises(JournalError) as error, database.read() as connection:
            connection.execute(insert(trades).values(**a_trade()))
        assert code_of(error) == "JOURNAL_READ_ONLY"
        assert symbols(database) == []


def test_a_database_opened_for_reading_refuses_to_write(where: str) -> None:
    with pytest.raises(JournalError) as error:
        Database(where, read_only=True)
    assert code_of(error) == "JOURNAL_MISSING"
    with Database(where) as database:
        add(database)
        with Database(where, read_only=True) as reader:
            assert symbols(reader) == ["AAPL"]
            with pytest.raises(JournalError) as error, reader.write():
                pass
            assert code_of(error) == "JOURNAL_READ_ONLY"
            add(database)
            assert len(symbols(reader)) == 2


def test_threads_write_in_turn(where: str) -> None:
    failures: list[BaseException] = []

    def many(database: Database, name: str) -> None:
        try:
            for _ in range(20):
                with database.write() as connection:
                    total = connection.execute(select(func.count()).select_from(trades)).scalar_one()
                    connection.execute(insert(trades).values(**a_trade(symbol=name, entry_ts=total)))
        except BaseException as error:
            failures.append(error)

    with Database(where) as database:
        threads = [threading.Thread(target=many, args=(database, f"T{i}")) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with database.read() as connection:
            stamps = sorted(connection.execute(select(trades.c.entry_ts)).scalars())
    assert stamps == list(range(80))  # no two writes saw the same state


def test_a_thread_waits_no_longer_than_allowed_for_another(where: str) -> None:
    with Database(where, busy_seconds=0.2) as database:
        codes: list[str] = []

        def second() -> None:
            try:
                add(database)
            except JournalError as error:
                codes.append(error.code)

        with database.write():
            thread = threading.Thread(target=second)
            thread.start()
            thread.join(timeout=5)
        assert codes == ["JOURNAL_BUSY"]


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"side": 3}, "side"),
        ({"symbol": None}, "symbol"),
        ({"status": "asleep"}, "status"),
        ({"recommendation_id": 77}, "recommendation_id"),
        ({"open_quantity": 11.0}, "open_quantity"),
    ],
)
def test_a_row_against_the_rules_is_refused_with_its_value(
    where: str, changed: dict[str, Any], shown: str
) -> None:
    with Database(where) as database:
        with pytest.raises(JournalError, match=shown) as error:
            add(database, **changed)
        assert code_of(error) == "JOURNAL_RULE"
        assert repr(next(iter(changed.values()))) in str(error.value)
        assert symbols(database) == []


def test_a_name_is_given_once(where: str) -> None:
    with Database(where) as database:
        add(database, name="TRADE_001")
        with pytest.raises(JournalError, match="TRADE_001") as error:
            add(database, name="TRADE_001")
        assert code_of(error) == "JOURNAL_RULE"


def test_a_wrong_statement_is_named(where: str) -> None:
    with Database(where) as database, pytest.raises(JournalError, match="nowhere") as error:
        with database.read() as connection:
            connection.execute(text("SELECT * FROM nowhere"))
    assert code_of(error) == "JOURNAL_SQL"


def test_a_question_may_take_only_so_long(where: str) -> None:
    Database(where).close()
    endless = (
        "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a WHERE x < 1000000000) "
        "SELECT max(x) FROM a"
    )
    with Database(where, read_only=True, statement_seconds=0.2) as database:
        began = time.monotonic()
        with pytest.raises(JournalError) as error, database.read() as connection:
            connection.execute(text(endless))
        assert code_of(error) == "JOURNAL_TIME"
        assert time.monotonic() - began < 5.0
        assert symbols(database) == []


def test_closing_twice_is_nothing_and_a_closed_journal_says_so(where: str) -> None:
    database = Database(where)
    with pytest.raises(JournalError) as error, database.write():
        database.close()
    assert code_of(error) == "JOURNAL_CLOSED"
    database.close()
    database.close()
    for use in (database.read, database.write):
        with pytest.raises(JournalError) as error, use():
            pass
        assert code_of(error) == "JOURNAL_CLOSED"


def test_the_schema_version_is_recorded_by_the_clock(where: str) -> None:
    moment = datetime(2024, 3, 1, 12, tzinfo=UTC)
    with Database(where, clock=lambda: moment) as database, database.read() as connection:
        row = connection.execute(select(schema_history)).one()
        assert row.version == SCHEMA_VERSION
        assert row.applied_ts == int(moment.timestamp()) * 1_000_000_000
        assert row.program


def test_two_processes_may_begin_the_same_journal_at_once(where: str) -> None:
    Database(where).close() if "://" in where else None  # imports and drivers are loaded before the fork
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            status = 1
            try:
                with Database(where) as database:
                    symbols(database)
                    status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4


def test_a_forked_child_leaves_the_parents_session_alone(where: str) -> None:
    with Database(where) as database:
        add(database, symbol="BEFORE")
        child = os.fork()
        if not child:
            status = 1
            try:
                add(database, symbol="CHILD")
            except JournalError as error:
                status = 0 if error.code == "JOURNAL_LOCKED" and symbols(database) == ["BEFORE"] else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        add(database, symbol="AFTER")
        assert symbols(database) == ["BEFORE", "AFTER"]


# Files


def test_a_new_file_is_marked_as_ours_and_set_up_for_durability(journal_path: Path) -> None:
    with Database(journal_path) as database:
        assert database.path == journal_path
        assert database.dialect == "sqlite"
        with database.write() as connection:
            asked = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "application_id", "user_version")
            }
            strict = connection.execute(text("SELECT name, strict FROM pragma_table_list")).all()
        assert asked == {
            "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "application_id": APPLICATION_ID,
            "user_version": SCHEMA_VERSION,
        }  # fmt: skip
        ours = {name: flag for name, flag in strict if not name.startswith("sqlite_")}
        assert ours == dict.fromkeys(metadata.tables, 1)
    assert sorted(file.name for file in journal_path.parent.iterdir()) == [
        "trade_journal.db", "trade_journal.db.id", "trade_journal.db.lock",
    ]  # fmt: skip


def test_a_path_with_odd_characters_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "what? 100% #1 & more.db"
    with Database(path) as database:
        add(database)
    assert path.exists()
    with Database(path, read_only=True) as database:
        assert symbols(database) == ["AAPL"]


@pytest.mark.parametrize("given", ["", ":memory:", "file:journal.db", "mysql://host/db", "postgresql://host"])
def test_what_is_no_place_is_refused(given: str) -> None:
    with pytest.raises(ConfigError) as error:
        Database(given)
    assert error.value.code == "JOURNAL_WHERE"


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        Database(tmp_path)
    assert error.value.code == "JOURNAL_WHERE"


def test_nothing_is_left_of_a_journal_that_could_not_be_begun(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as error:
        Database(tmp_path / "nowhere" / "journal.db")
    assert code_of(error) in ("JOURNAL_ACCESS", "JOURNAL_READ_ONLY")
    assert list(tmp_path.iterdir()) == []


def test_a_journal_brought_from_elsewhere_gets_its_mark(journal_path: Path) -> None:
    Database(journal_path).close()
    mark = journal_path.with_name("trade_journal.db.id")
    mark.unlink()
    Database(journal_path, read_only=True).close()
    assert not mark.exists()
    Database(journal_path).close()
    assert journal_path.name in mark.read_text()


def test_the_log_shrinks_after_a_long_reader_has_gone(journal_path: Path) -> None:
    log = journal_path.with_name("trade_journal.db-wal")
    with Database(journal_path) as database, Database(journal_path, read_only=True) as reader:
        with reader.read() as connection:
            connection.execute(select(trades)).all()
            for _ in range(40):
                with database.write() as writing:
                    rows = [a_trade(entry_notes="x" * 4000) for _ in range(250)]
                    writing.execute(insert(trades), rows)
            grown = log.stat().st_size
        add(database)
        add(database)
        assert log.stat().st_size <= _sqlite.LOG_LIMIT < grown


def test_a_full_check_finds_a_reference_to_nothing(journal_path: Path) -> None:
    with Database(journal_path) as database:
        add(database)
        database.check()
        database.check(full=True)
    other = sqlite3.connect(journal_path)
    other.execute("INSERT INTO lessons (trade_id, ts, lesson) VALUES (99, 1, 'from nowhere')")
    other.commit()
    other.close()
    with Database(journal_path) as database:
        database.check()
        with pytest.raises(JournalError, match="lessons") as error:
            database.check(full=True)
    assert code_of(error) == "JOURNAL_DAMAGED"


@pytest.mark.parametrize(
    ("version", "bug"), [((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((4, 0, 0), False)]
)
def test_versions_with_the_log_reset_bug_are_known(version: tuple[int, int, int], bug: bool) -> None:
    assert _sqlite.has_reset_bug(version) is bug
