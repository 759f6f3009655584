"""The one writing session that a process has with a journal.

All `Database` objects of a process that write to the same journal share it: its lock, its connection, and a
mutex between threads. A transaction inside a transaction of the same thread is a savepoint of it, whichever
object it was asked of.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import PendingRollbackError

from journal.storage.lock import Lock
from simulator.errors import JournalError

__all__ = ["Writer"]

_shared: dict[str, Writer] = {}
_abandoned: list[Writer] = []
_guard = threading.Lock()


class Writer:
    """The writing session; `share` returns it, and each `share` is paid back by a `release`.

    Parameters
    ----------
    name
        What the journal is called in messages.
    engine
        Connects for writing.
    lock
        Held while the session lasts; None where the session itself is the lock.
    prepare
        Called with each new connection, before its first use.
    """

    def __init__(
        self, name: str, engine: Engine, lock: Lock | None, prepare: Callable[[Connection], None]
    ) -> None:
        self.name = name
        self._engine = engine
        self._lock = lock
        self._prepare = prepare
        self._connection: Connection | None = None
        self._mutex = threading.RLock()
        self._owner: int | None = None
        self._users = 1

    @classmethod
    def share(cls, key: str, make: Callable[[], Writer]) -> Writer:
        """Return the session of this process with the journal `key`, made where there is none."""
        with _guard:
            found = _shared.get(key)
            if found is not None:
                found._users += 1
                return found
            made = _shared[key] = make()
            return made

    @property
    def current(self) -> Connection | None:
        """The connection, where this thread is inside a transaction of it."""
        return self._connection if self._owner == threading.get_ident() else None

    @contextmanager
    def transaction(self, wait: float) -> Iterator[Connection]:
        """Give the connection inside a transaction, or inside a savepoint of the one this thread is in.

        Raises
        ------
        JournalError
            JOURNAL_BUSY where another thread keeps writing for `wait` seconds; JOURNAL_UNDONE where the block
            went on after an error that had undone the whole transaction.
        """
        current = self.current
        if current is not None:
            with current.begin_nested():
                yield current
            return
        if not self._mutex.acquire(timeout=wait):
            raise JournalError(
                f"another thread of this process has been writing to the journal {self.name} for longer than "
                f"{wait:g} s; keep writes short",
                code="JOURNAL_BUSY",
            )
        try:
            connection = self.connect()
            try:
                with connection.begin():
                    self._owner = threading.get_ident()
                    try:
                        yield connection
                    finally:
                        self._owner = None
            except PendingRollbackError as error:
                raise JournalError(
                    f"the database undid a write to the journal {self.name} after an error inside it, and "
                    "the caller went on; nothing of it was stored, so repeat it",
                    code="JOURNAL_UNDONE",
                ) from error
            finally:
                if connection.invalidated or connection.in_transaction() or _left_open(connection):
                    self._disconnect()
        finally:
            self._mutex.release()

    def connect(self) -> Connection:
        """Return the connection, made and prepared where there is none."""
        with self._mutex:
            if self._connection is None:
                connection = self._engine.connect()
                try:
                    self._prepare(connection)
                except BaseException:
                    connection.invalidate()
                    connection.close()
                    raise
                self._connection = connection
            return self._connection

    def release(self) -> None:
        """Give one `share` back; the last one closes the connection and frees the lock."""
        with _guard:
            self._users -= 1
            if self._users:
                return
            for key in [key for key, writer in _shared.items() if writer is self]:
                del _shared[key]
        with self._mutex:
            self._disconnect()
        self._engine.dispose()
        if self._lock:
            self._lock.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # closed for good: kept in a pool, the session would keep the lock of the server
            if not connection.invalidated:
                connection.invalidate()
            connection.close()


def _left_open(connection: Connection) -> bool:
    """Whether SQLite is still inside a transaction that is over here: a commit that failed leaves it so."""
    return bool(getattr(connection.connection.driver_connection, "in_transaction", False))


def _in_child() -> None:
    # A forked child must not use, nor even close, what the parent has open
    global _guard
    _abandoned.extend(_shared.values())
    _shared.clear()
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_in_child)
