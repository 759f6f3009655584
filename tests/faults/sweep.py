"""The sweep: something fails at the n-th write, n = 1, 2, 3 ... until the run passes clean.

A write is a statement of a writing connection to a journal, or its commit. It fails as the database would
fail it, with the error of a full disk, a busy file or a bad sector, and goes on failing until somebody makes
room; or the process dies there and then, before the statement, or right after the commit. Nothing of the
project is replaced: the connections that it opens only count.

>>> sweep(lambda fault: run_under(fault))                     # doctest: +SKIP
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, NoReturn

from journal.storage import sqlite

__all__ = ["BUSY", "FULL", "IOERR", "Fault", "counted_writes", "in_a_child", "sweep"]

FULL: Final = (13, "database or disk is full")
BUSY: Final = (5, "database is locked")
IOERR: Final = (10, "disk I/O error")

_LONGEST: Final = 100_000


@dataclass
class Fault:
    """What goes wrong at the n-th write.

    Attributes
    ----------
    at
        Number of the write, from 1; 0: nothing goes wrong.
    error
        Code and words of the database; None: the process is killed.
    after
        A kill comes after the write, not before.
    once
        Whether later writes succeed again without `repair`.
    """

    at: int
    error: tuple[int, str] | None = None
    after: bool = False
    once: bool = False
    seen: int = 0
    fired: bool = False
    repaired: bool = False
    where: str = ""
    writes: list[str] = field(default_factory=list)

    def repair(self) -> None:
        """Make room again."""
        self.repaired = True

    def die(self) -> NoReturn:
        """End the process, as kill -9 does."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a process outlived SIGKILL")

    def meet(self, what: str, do: Callable[[], Any]) -> Any:
        """Count a write, fail it where it is to fail, else do it."""
        self.seen += 1
        self.writes.append(what)
        broken = self.at and not self.repaired and (self.seen == self.at or (self.fired and not self.once))
        if not broken:
            return do()
        self.fired, self.where = True, self.where or what
        if self.error is None:
            if self.after:
                do()
            self.die()
        code, words = self.error or FULL
        error = sqlite3.OperationalError(words)
        error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_INJECTED"
        raise error


def sweep(run: Callable[[int], Fault], *, stride: int = 1, first: int = 1) -> int:
    """Run with a fault at the first, second, third ... point until none is met; returns the points met.

    Parameters
    ----------
    run
        Runs the whole story with a fault at the n-th point, asserts what must hold, and returns the fault.
    stride, first
        Every how many points, for a short form; from which one.
    """
    met = 0
    for at in range(first, _LONGEST, stride):
        if not run(at).fired:
            return met
        met += 1
    raise AssertionError(f"still no clean run after {met} points")


@contextmanager
def counted_writes(fault: Fault) -> Iterator[None]:
    """Let every writing connection that is opened meanwhile meet the fault."""

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, *parameters: Any) -> Any:
            return _met(self.connection, sql, lambda: super(Cursor, self).execute(sql, *parameters))

        def executemany(self, sql: str, *parameters: Any) -> Any:
            return _met(self.connection, sql, lambda: super(Cursor, self).executemany(sql, *parameters))

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def commit(self) -> None:
            if self.in_transaction and _writes(self):
                fault.meet("COMMIT", super().commit)
            else:
                super().commit()

    def _met(connection: Any, sql: str, do: Callable[[], Any]) -> Any:
        word = sql.split(None, 1)[0].upper() if sql.strip() else ""
        if word in ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE") or sql == "BEGIN IMMEDIATE":
            return fault.meet(" ".join(sql.split()[:3]), do)
        return do()

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, **options, factory=Connection)

    storage: Any = sqlite
    before = storage.sqlite3
    storage.sqlite3 = SimpleNamespace(**{**vars(sqlite3), "connect": connect})
    try:
        yield
    finally:
        storage.sqlite3 = before


def _writes(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA query_only").fetchone() == (0,))


def in_a_child(do: Callable[[], None]) -> bytes:
    """Do something in a child that may be killed; returns what it wrote to descriptor `SAID`.

    Raises
    ------
    AssertionError
        Where it neither ended by itself nor was killed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reader)
            os.dup2(writer, SAID)
            do()
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    said = b""
    while part := os.read(reader, 1 << 16):
        said += part
    os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), f"the child ended with {status}"
    return said


SAID: Final = 77
"""Descriptor that a child says things on: they outlive it."""
