"""The journal's SQLite file: what it must look like before it is opened, how it is begun and connected to.

A file is looked at before SQLite sees it, because SQLite repairs, creates and accepts too much: it opens an
empty file as a new database, and a write-ahead log may be applied by merely opening. A new journal is built
under another name and appears whole, with its `.id` file, or not at all.

Connections that read are opened with `mode=ro`, so that only the writer ever checkpoints: SQLite before
3.51.3 can damage a file when two connections write and reset the log at the same moment.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journal.schema import APPLICATION_ID, SCHEMA_VERSION
from journal.storage.faults import translate
from journal.storage.files import beside, mark, mark_file, sync_folder, wal_file, way_back
from simulator.errors import JournalError

__all__ = [
    "CHECKED_BYTES",
    "LOG_LIMIT",
    "connect",
    "create",
    "has_reset_bug",
    "inspect",
    "limit",
    "newer",
    "quick_check",
]

CHECKED_BYTES = 8 << 20
"""A file up to this size gets SQLite's `quick_check` at every opening (about 25 ms at most); beyond it,
only its header, its length and its tables are looked at, and the whole check is a command."""

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
LOG_LIMIT = 16 << 20
_STEPS_BETWEEN = 10_000
_FIRST_SAFE = (3, 51, 3)


def has_reset_bug(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Return whether this SQLite can damage a log that two connections reset at once (before 3.51.3)."""
    return version < _FIRST_SAFE


def inspect(path: Path) -> bool:
    """Look at the file without opening it as a database; False where there is none and none ever was.

    Raises
    ------
    JournalError
        JOURNAL_MISSING, JOURNAL_EMPTY, JOURNAL_FOREIGN, JOURNAL_DAMAGED, JOURNAL_NEWER, JOURNAL_ACCESS.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return _absent(path)
    except OSError as error:
        raise JournalError(
            f"the journal {path} cannot be read ({error.strerror})", code="JOURNAL_ACCESS"
        ) from error
    if not size:
        raise JournalError(
            f"{path} has length zero, so it is no journal; none is ever begun over it. {way_back(path)} "
            f"Where none ever held anything, remove {path}"
            + (f" and {mark_file(path)}" if mark_file(path).exists() else ""),
            code="JOURNAL_EMPTY",
        )
    _check_header(path, header, size)
    return True


def newer(name: str, version: int) -> JournalError:
    """Return the refusal of a journal that a later release has written."""
    return JournalError(
        f"the journal {name} has schema version {version}; this release knows versions up to "
        f"{SCHEMA_VERSION}. It was written by a newer release: use that one. Nothing was changed",
        code="JOURNAL_NEWER",
    )


def create(path: Path, build: Callable[[Callable[[], sqlite3.Connection]], None]) -> None:
    """Begin a journal at `path`; the caller holds its lock.

    Parameters
    ----------
    path
        Where it will lie.
    build
        Makes the tables; it gets a function that connects to the draft.
    """
    draft = beside(path, ".new")
    try:
        for file in (draft, wal_file(draft), beside(draft, "-shm")):
            file.unlink(missing_ok=True)
        build(lambda: _new_connection(draft))
        # the log was folded in and removed when the last connection closed
        draft.replace(path)
        sync_folder(path.parent)
        mark(path)
    except sqlite3.Error as error:
        raise translate(error, str(path)) or error from error
    except OSError as error:
        raise JournalError(
            f"the journal {path} cannot be begun ({error.strerror}); check that its folder exists, can be "
            "written and has room",
            code="JOURNAL_FULL" if error.errno == 28 else "JOURNAL_ACCESS",
        ) from error


def connect(path: Path, *, write: bool, busy_seconds: float) -> sqlite3.Connection:
    """Return a connection that is set up as every connection to a journal has to be."""
    mode = "rw" if write else "ro"
    try:
        return _connect(f"{path.as_uri()}?mode={mode}", write=write, busy_seconds=busy_seconds)
    except sqlite3.OperationalError as error:
        log = wal_file(path)
        unwritable = not os.access(path.parent, os.W_OK) or _on_read_only(path)
        if write or not unwritable or (log.exists() and log.stat().st_size):
            raise translate(error, str(path), hint=way_back(path)) or error from error
    # Nobody can write here and no log is pending: the file alone is the whole database.
    return _connect(f"{path.as_uri()}?mode=ro&immutable=1", write=False, busy_seconds=busy_seconds)


def limit(connection: Any, seconds: float) -> None:
    """Stop what a connection does from now on after so many seconds."""
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN)


def quick_check(path: Path, connection: sqlite3.Connection, *, full: bool = False) -> None:
    """Raise JOURNAL_DAMAGED where SQLite finds damage in the structure of the file.

    Parameters
    ----------
    path
        The file, for the message.
    connection
        A connection to it.
    full
        Also compare indices with tables, and follow references.
    """
    try:
        check = "integrity_check" if full else "quick_check"
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(3)")]
        if full and found == ["ok"]:
            lost = connection.execute("PRAGMA foreign_key_check").fetchall()
            found = [f"a row of {row[0]} refers to a missing row of {row[2]}" for row in lost[:3]] or ["ok"]
    except sqlite3.Error as error:
        raise translate(error, str(path), hint=way_back(path)) or error from error
    if found != ["ok"]:
        said = " ".join("; ".join(found).split())
        raise JournalError(
            f"the journal {path} is damaged: {said}. Nothing was written. {way_back(path)}",
            code="JOURNAL_DAMAGED",
        )


def _absent(path: Path) -> bool:
    if mark_file(path).exists():
        raise JournalError(
            f"the journal {path} is gone, though {mark_file(path)} says that there was one. {way_back(path)} "
            f"To begin a new one on purpose, remove {mark_file(path)}",
            code="JOURNAL_MISSING",
        )
    log = wal_file(path)
    if log.exists() and log.stat().st_size:
        raise JournalError(
            f"the journal {path} is gone, but its log {log} is there, and the two belong together. "
            f"{way_back(path)} To begin a new one on purpose, remove {log}",
            code="JOURNAL_MISSING",
        )
    return False


def _check_header(path: Path, header: bytes, size: int) -> None:
    known = mark_file(path).exists()
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise (
            _damaged(path, "it does not begin as an SQLite file does")
            if known
            else _foreign(path, "it is no SQLite file")
        )
    page_size, changed, pages = struct.unpack(">H", header[16:18])[0], header[24:28], header[28:32]
    version, application = struct.unpack(">i4xI", header[60:72])
    if application != APPLICATION_ID:
        raise (
            _damaged(path, "its header is not that of a journal")
            if known
            else _foreign(path, f"it is an SQLite file of another program (application id {application:#x})")
        )
    if version > SCHEMA_VERSION:
        raise newer(str(path), version)
    log = wal_file(path)
    pending = log.exists() and log.stat().st_size > 0
    page_bytes = 65_536 if page_size == 1 else page_size
    expected = struct.unpack(">I", pages)[0] * page_bytes
    # the page count holds only if written with the latest change; a pending log may still complete the file
    if not pending and changed == header[92:96] and size < expected:
        raise _damaged(path, f"it has {size:,} bytes where {expected:,} were written, so it was cut off")


def _damaged(path: Path, what: str) -> JournalError:
    return JournalError(
        f"the journal {path} is damaged: {what}. Nothing was written. {way_back(path)}",
        code="JOURNAL_DAMAGED",
    )


def _foreign(path: Path, what: str) -> JournalError:
    return JournalError(
        f"{path} is not a journal: {what}. Nothing was written; give another path", code="JOURNAL_FOREIGN"
    )


def _connect(uri: str, *, write: bool, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        # SQLite's own knows no letters beyond ASCII
        connection.create_function("lower", 1, _lower, deterministic=True)
        execute: Any = connection.execute
        execute("PRAGMA foreign_keys = ON")
        if write:
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = FULL")
            execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
        else:
            execute("PRAGMA query_only = ON")
            execute(
                "SELECT 1 FROM sqlite_schema"
            ).fetchone()  # opens file and log now, not at the first question
    except BaseException:
        connection.close()
        raise
    return connection


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _new_connection(draft: Path) -> sqlite3.Connection:
    connection = _connect(f"{draft.as_uri()}?mode=rwc", write=True, busy_seconds=1.0)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return connection


def _on_read_only(path: Path) -> bool:
    return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
