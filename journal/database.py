"""One door to the journal's file or server: open, check, read, write.

Every write is one `BEGIN IMMEDIATE` transaction on a file in WAL mode with `synchronous=FULL`, so that what
was acknowledged survives a crash of the process and of the machine, and half a write is never seen. Every
read is one consistent snapshot. PostgreSQL is reached by its URL and gets the same tables.

One process writes: it takes the lock at its first write and keeps it until `close`. A write inside a write of
the same thread joins it as a savepoint, so that calls can be put together into one transaction; a read inside
a write sees what was written. Whatever the database complains about arrives as a `JournalError`.

>>> database = Database("trade_journal.db")   # doctest: +SKIP
>>> with database.write() as connection:   # doctest: +SKIP
...     connection.execute(insert(tags).values(trade_id=1, tag="earnings"))
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    QueuePool,
    StaticPool,
    create_engine,
    event,
    text,
)

from journal.migrations import STEPS, apply, record
from journal.schema import READABLE_FROM, SCHEMA_VERSION, metadata
from journal.storage import postgres, sqlite
from journal.storage.compiled import Compiled
from journal.storage.faults import translate
from journal.storage.files import located, mark, mark_file, way_back
from journal.storage.lock import WAIT_SECONDS, Lock
from journal.storage.sqlite import has_reset_bug
from journal.storage.writer import Writer
from journal.values import nanoseconds
from simulator.errors import ConfigError, JournalError, TwinstepError

__all__ = ["BUSY_SECONDS", "Database", "has_reset_bug"]

BUSY_SECONDS = 5.0
"""How long a write waits by default for another thread or program that is writing."""

_compiled = Compiled()


class Database:
    """An open journal database.

    Parameters
    ----------
    where
        Path of an SQLite file, which is begun where there is none, or a `postgresql://` address.
    read_only
        Open for reading only: nothing is begun, migrated, locked or written.
    clock
        Returns the time, aware, for what the database stamps itself; the system's clock by default.
    busy_seconds
        How long a write waits for another thread or program before JOURNAL_BUSY.
    lock_seconds
        How long the first write waits for another writing process before JOURNAL_LOCKED.
    statement_seconds
        How long one question of a read may take before JOURNAL_TIME; None is without limit.

    Raises
    ------
    JournalError
        JOURNAL_MISSING, JOURNAL_EMPTY, JOURNAL_DAMAGED, JOURNAL_FOREIGN, JOURNAL_NEWER, JOURNAL_OLDER,
        JOURNAL_LOCKED, JOURNAL_BUSY, JOURNAL_READ_ONLY, JOURNAL_FULL, JOURNAL_ACCESS, JOURNAL_SERVER.
    ConfigError
        JOURNAL_WHERE for an address that means no journal.
    MissingExtraError
        JOURNAL_EXTRA_POSTGRES for a PostgreSQL address without psycopg.
    """

    def __init__(
        self,
        where: str | os.PathLike[str],
        *,
        read_only: bool = False,
        clock: Callable[[], datetime] | None = None,
        busy_seconds: float = BUSY_SECONDS,
        lock_seconds: float = WAIT_SECONDS,
        statement_seconds: float | None = None,
    ) -> None:
        self.read_only = read_only
        self.path: Path | None = None
        self._clock = clock or _system_time
        self._busy_seconds = busy_seconds
        self._lock_seconds = lock_seconds
        self._statement_seconds = statement_seconds
        self._guard = threading.Lock()
        self._writer: Writer | None = None
        self._closed = False
        self._url: URL | None = None
        given = os.fspath(where)
        if "://" in given:
            self._url = postgres.address(given)
            self.name = postgres.shown(self._url)
        else:
            self.path = _path(given)
            self.name = str(self.path)
        self._read_engine = self._engine(write=False)
        _opened.add(self)
        try:
            if self.path:
                self._open_file(self.path)
            else:
                self._open_server()
            self._let_go()  # who only began a journal, or brought it up to date, does not write to it yet
        except BaseException:
            self.close()
            raise

    @property
    def dialect(self) -> str:
        """Either "sqlite" or "postgresql"."""
        return "sqlite" if self.path else "postgresql"

    @property
    def writing(self) -> bool:
        """Whether this thread is inside a write."""
        return self._writer is not None and self._writer.current is not None

    def now(self) -> int:
        """Return the clock's time as UTC nanoseconds."""
        return nanoseconds(self._clock(), "the time of the journal's clock")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection inside one write transaction: all of it is stored, or nothing.

        Leaving the block without an error means that the rows are on the disk. A write inside a write of the
        same thread is a part of it: an error that is caught in between undoes that part alone.

        Raises
        ------
        JournalError
            JOURNAL_READ_ONLY, JOURNAL_LOCKED, JOURNAL_BUSY, JOURNAL_FULL, JOURNAL_RULE, JOURNAL_ACCESS,
            JOURNAL_DAMAGED, JOURNAL_SERVER, JOURNAL_SQL, JOURNAL_CLOSED.
        """
        with self._acquired().transaction(self._busy_seconds) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot and cannot write.

        Inside a write of the same thread it is the connection of that write.
        """
        writing = self._writer.current if self._writer else None
        if writing is not None:
            yield writing
            return
        if self._closed:
            raise _closed(self.name)
        with self._read_engine.connect() as connection, connection.begin():
            yield connection

    def lock(self) -> None:
        """Take the right to write now, not at the first write.

        Raises
        ------
        JournalError
            JOURNAL_LOCKED where another process has it; the message names that process.
        """
        self._acquired()

    def check(self, *, full: bool = False) -> None:
        """Raise JOURNAL_DAMAGED where the database is damaged.

        Parameters
        ----------
        full
            Also compare every index with its table and follow every reference; reads the whole file twice.
        """
        with self.read() as connection:
            if self.path:
                driver: Any = connection.connection.driver_connection
                sqlite.quick_check(self.path, driver, full=full)

    def close(self) -> None:
        """Close all connections and give the lock back; closing twice is nothing."""
        writer = self._writer
        if writer is not None and writer.current is not None:
            raise JournalError(
                f"the journal {self.name} was closed inside one of its own writes; leave the block first",
                code="JOURNAL_CLOSED",
            )
        self._closed = True
        self._read_engine.dispose()
        self._let_go()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Database({self.name!r}{', read_only=True' if self.read_only else ''})"

    # Opening

    def _open_file(self, path: Path) -> None:
        if not sqlite.inspect(path):
            if self.read_only:
                raise _missing(self.name)
            self._begin_file(path)
        with self.read() as connection:
            version = int(connection.execute(text("PRAGMA user_version")).scalar_one())
            found = set(
                connection.execute(text("SELECT name FROM sqlite_schema WHERE type = 'table'")).scalars()
            )
            if path.stat().st_size <= sqlite.CHECKED_BYTES:
                driver: Any = connection.connection.driver_connection
                sqlite.quick_check(path, driver)
        self._bring_up_to_date(version)
        self._check_tables(found if version == SCHEMA_VERSION else None)
        if not self.read_only and not mark_file(path).exists():
            mark(path)

    def _begin_file(self, path: Path) -> None:
        try:
            self.lock()
        except JournalError as error:
            # another process may just be beginning the same journal
            if error.code != "JOURNAL_LOCKED" or not sqlite.inspect(path):
                raise
            return
        if not sqlite.inspect(path):
            sqlite.create(path, self._build)

    def _build(self, creator: Callable[[], Any]) -> None:
        engine = create_engine("sqlite://", creator=creator, poolclass=StaticPool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        event.listen(engine, "handle_error", self._translated, retval=True)
        try:
            with (
                engine.execution_options(compiled_cache=_compiled).connect() as connection,
                connection.begin(),
            ):
                metadata.create_all(connection)
                record(connection, SCHEMA_VERSION, self.now())
        finally:
            engine.dispose()

    def _open_server(self) -> None:
        with self.read() as connection:
            version = postgres.version(connection)
        if version is None and self.read_only:
            raise _missing(self.name)
        if version is None:
            with self.write() as connection:
                version = postgres.version(connection)
                if version is None:
                    metadata.create_all(connection)
                    record(connection, SCHEMA_VERSION, self.now())
                    version = SCHEMA_VERSION
        self._bring_up_to_date(version)

    def _bring_up_to_date(self, version: int) -> None:
        if version > SCHEMA_VERSION:
            raise sqlite.newer(self.name, version)
        if version == SCHEMA_VERSION or (self.read_only and version >= READABLE_FROM):
            return
        if self.read_only:
            raise JournalError(
                f"the journal {self.name} has schema version {version}, this release reads {SCHEMA_VERSION}; "
                "open it once for writing, which takes a backup and brings it up to date",
                code="JOURNAL_OLDER",
            )
        self.lock()
        if self.path:
            from journal.backup import backup

            backup(self)
        for number in range(version + 1, SCHEMA_VERSION + 1):
            with self.write() as connection:
                apply(connection, number, STEPS[number], self.now())

    def _check_tables(self, found: set[str] | None) -> None:
        lacking = sorted(set(metadata.tables) - found) if found is not None else []
        if lacking and self.path:
            raise JournalError(
                f"the journal {self.name} is damaged: it has no table {lacking[0]}. {way_back(self.path)}",
                code="JOURNAL_DAMAGED",
            )

    # Connections

    def _engine(self, *, write: bool) -> Engine:
        path, limit = self.path, self._statement_seconds

        def creator() -> Any:
            assert path is not None  # noqa: S101 - only files are connected to in this way
            return sqlite.connect(path, write=write, busy_seconds=self._busy_seconds)

        def begin(connection: Connection) -> None:
            if limit is not None and not write:
                sqlite.limit(connection.connection.driver_connection, limit)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

        if self._url is not None:
            engine = postgres.engine(
                self._url, write=write, busy_seconds=self._busy_seconds, statement_seconds=limit
            )
        else:
            engine = create_engine("sqlite://", creator=creator, poolclass=QueuePool)
            event.listen(engine, "begin", begin)
        event.listen(engine, "handle_error", self._translated, retval=True)
        return engine.execution_options(compiled_cache=_compiled)

    def _translated(self, context: ExceptionContext) -> BaseException | None:
        if context.is_pre_ping:
            return None  # the pool replaces the connection by itself
        if isinstance(context.original_exception, TwinstepError):
            return context.original_exception  # a column refused a value
        connection: Any = context.connection
        if (
            self.path
            and connection is not None
            and connection.in_transaction()
            and not connection.invalidated
        ):
            # After some errors SQLite has undone the whole transaction by itself. What follows in the same
            # write would be stored on its own, so the connection is given up with it.
            if not connection.connection.driver_connection.in_transaction:
                context.is_disconnect, context.invalidate_pool_on_disconnect = True, False
        execution: Any = context.execution_context
        parameters = getattr(execution, "compiled_parameters", None) or ()
        hint = way_back(self.path) if self.path else ""
        return translate(context.original_exception, self.name, parameters=parameters, hint=hint)

    def _acquired(self) -> Writer:
        if self._closed:
            raise _closed(self.name)
        if self.read_only:
            raise JournalError(
                f"the journal {self.name} was opened for reading; open it without read_only to write",
                code="JOURNAL_READ_ONLY",
            )
        if self._writer is None:
            with self._guard:
                if self._writer is None:
                    key = os.path.realpath(self.path) if self.path else str(self._url)
                    self._writer = Writer.share(key, self._new_writer)
        return self._writer

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.release()

    def _new_writer(self) -> Writer:
        if self.path:
            lock = Lock(self.path)
            lock.acquire(self._lock_seconds)
            return Writer(self.name, self._engine(write=True), lock, lambda connection: None)

        def prepare(connection: Connection) -> None:
            postgres.acquire(connection, self.name, self._lock_seconds)

        writer = Writer(self.name, self._engine(write=True), None, prepare)
        writer.connect()
        return writer

    def _after_fork(self) -> None:
        self._read_engine.dispose(close=False)
        self._writer = None
        self._guard = threading.Lock()


_opened: weakref.WeakSet[Database] = weakref.WeakSet()


def _in_child() -> None:
    for database in list(_opened):
        database._after_fork()


os.register_at_fork(after_in_child=_in_child)


def _system_time() -> datetime:
    return datetime.now(UTC)


def _path(given: str) -> Path:
    if not given or given == ":memory:" or given.startswith("file:"):
        raise ConfigError(
            f"{given!r} is no place for a journal: it has to outlive the process. Give the path of a file, "
            "or a postgresql:// address",
            code="JOURNAL_WHERE",
        )
    path = located(given)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; a journal is a file in it", code="JOURNAL_WHERE")
    return path


def _missing(name: str) -> JournalError:
    return JournalError(
        f"there is no journal at {name}; opening for reading does not begin one", code="JOURNAL_MISSING"
    )


def _closed(name: str) -> JournalError:
    return JournalError(f"the journal {name} is closed; open it again", code="JOURNAL_CLOSED")
