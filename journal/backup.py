"""Verified copies of the journal, and the way back from them.

A copy is taken by SQLite's backup call inside one read transaction, so writers go on meanwhile and the copy
is one moment of the journal; copying the file by hand would miss what is still in its log. A copy gets its
name only after it was read from end to end and every table has as many rows as that moment had. A restore
checks the copy in the same way, refuses while anyone writes, and keeps what it replaces.

>>> made = backup("trade_journal.db")   # doctest: +SKIP
>>> restore("trade_journal.db", made.path)   # doctest: +SKIP
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from journal.database import Database
from journal.schema import SCHEMA_VERSION
from journal.storage import sqlite
from journal.storage.faults import translate
from journal.storage.files import (
    backups_folder,
    beside,
    located,
    mark,
    stored_backups,
    sync_file,
    sync_folder,
    wal_file,
    way_back,
)
from journal.storage.lock import Lock
from journal.values import from_nanoseconds
from simulator.errors import JournalError

__all__ = ["Backup", "backup", "backups", "restore", "verify"]

_BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Backup:
    """A verified copy of a journal."""

    path: Path
    schema_version: int
    size: int
    """In bytes."""
    rows: dict[str, int]
    """Rows per table."""
    replaced: Path | None = None
    """After a restore: the folder that keeps what was replaced."""


def backup(where: Database | str | os.PathLike[str], to: str | os.PathLike[str] | None = None) -> Backup:
    """Copy a journal, also while it is written to.

    Parameters
    ----------
    where
        An open journal, or the path of one.
    to
        File to write, which must not exist; by default one named by the time, in `<journal>.backups/`.

    Returns
    -------
    Backup
        The copy, verified.

    Raises
    ------
    JournalError
        JOURNAL_BACKUP for a journal on a server, a file that exists, or a copy that failed its check;
        JOURNAL_MISSING, JOURNAL_EMPTY, JOURNAL_DAMAGED, ... for a journal that cannot be read; JOURNAL_FULL.
    """
    path, now = _source(where)
    if not sqlite.inspect(path):
        raise JournalError(f"there is no journal at {path} to back up", code="JOURNAL_MISSING")
    target = _target(path, now) if to is None else located(to)
    if target.exists():
        raise JournalError(
            f"{target} exists already; a backup never replaces a file. Give another name",
            code="JOURNAL_BACKUP",
        )
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = _copied(path, draft)
        found = verify(draft)
        if found.rows != rows:
            raise JournalError(
                f"the copy of {path} has other numbers of rows than the journal; the disk of {target.parent} "
                "may be failing",
                code="JOURNAL_BACKUP",
            )
        sync_file(draft)
        draft.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        _remove(draft)
    return Backup(target, found.schema_version, found.size, found.rows)


def backups(where: str | os.PathLike[str]) -> list[Path]:
    """Return the backups in `<journal>.backups/`, oldest first; each was verified when it was made."""
    return stored_backups(located(where))


def verify(path: str | os.PathLike[str]) -> Backup:
    """Read a copy from end to end.

    Raises
    ------
    JournalError
        JOURNAL_MISSING, JOURNAL_EMPTY, JOURNAL_FOREIGN, JOURNAL_DAMAGED or JOURNAL_NEWER.
    """
    file = located(path)
    if not sqlite.inspect(file):
        raise JournalError(f"there is no backup at {file}", code="JOURNAL_MISSING")
    try:
        # immutable: nothing may appear beside a copy, and nobody writes to it
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            sqlite.quick_check(file, connection, full=True)
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            rows = _counted(connection)
    except sqlite3.Error as error:
        raise translate(error, str(file)) or error from error
    if version > SCHEMA_VERSION:
        raise sqlite.newer(str(file), version)
    return Backup(file, version, file.stat().st_size, rows)


def restore(
    where: str | os.PathLike[str],
    copy: str | os.PathLike[str] | None = None,
    *,
    clock: Callable[[], datetime] | None = None,
) -> Backup:
    """Put a verified copy in the place of a journal, and keep what was there.

    Parameters
    ----------
    where
        Path of the journal; it may be damaged, empty or gone.
    copy
        The backup; by default the newest in `<journal>.backups/`.
    clock
        Returns the time, aware, that names the folder of what is replaced.

    Returns
    -------
    Backup
        The journal as restored, with the folder that keeps what it replaced.

    Raises
    ------
    JournalError
        JOURNAL_LOCKED while a process writes to the journal; JOURNAL_BACKUP without a backup or for a journal
        on a server; the errors of `verify` for a copy that is not whole: then nothing was changed.
    """
    if "://" in os.fspath(where):
        raise _on_a_server("pg_restore")
    path = located(where)
    chosen = located(copy) if copy is not None else None
    if chosen is None:
        stored = stored_backups(path)
        if not stored:
            raise JournalError(way_back(path), code="JOURNAL_BACKUP")
        chosen = stored[-1]
    with Lock(path):
        found = verify(chosen)
        draft = beside(path, ".restoring")
        try:
            shutil.copyfile(chosen, draft)
            sync_file(draft)
            if verify(draft).rows != found.rows:
                raise JournalError(f"{chosen} changed while it was copied", code="JOURNAL_BACKUP")
            # first the mark: a crash between the two renames must not look like a journal that never was
            mark(path)
            kept = _set_aside(path, (clock or _system_time)())
            draft.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise _unwritable(path, error) from error
        finally:
            _remove(draft)
    return Backup(path, found.schema_version, found.size, found.rows, kept)


def _source(where: Database | str | os.PathLike[str]) -> tuple[Path, datetime]:
    if isinstance(where, Database):
        if where.path is None:
            raise _on_a_server("pg_dump")
        return where.path, from_nanoseconds(where.now())
    if "://" in os.fspath(where):
        raise _on_a_server("pg_dump")
    return located(where), _system_time()


def _target(path: Path, now: datetime) -> Path:
    stem = f"{path.name}-{now.astimezone(UTC):%Y%m%dT%H%M%S}"
    folder, number = backups_folder(path), 0
    while (target := folder / f"{stem}Z{number:03d}.db").exists():
        number += 1
    return target


def _copied(path: Path, draft: Path) -> dict[str, int]:
    """Copy the journal into `draft`; return the rows per table at the moment that was copied."""
    _remove(draft)
    try:
        with (
            closing(sqlite.connect(path, write=False, busy_seconds=_BUSY_SECONDS)) as source,
            closing(sqlite3.connect(draft, isolation_level=None)) as copy,
        ):
            source.execute("BEGIN")
            rows = _counted(source)
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise translate(error, str(path), hint=way_back(path)) or error from error
    return rows


def _counted(connection: sqlite3.Connection) -> dict[str, int]:
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    )
    return {
        name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608 - own names
        for (name,) in names.fetchall()
    }


def _set_aside(path: Path, now: datetime) -> Path | None:
    """Move the journal and its log into a folder of their own; they are one database."""
    there = [file for file in (path, wal_file(path), beside(path, "-shm")) if file.exists()]
    if not there:
        return None
    stem, number = f".replaced-{now.astimezone(UTC):%Y%m%dT%H%M%S}", 0
    while (folder := beside(path, f"{stem}Z{number:03d}")).exists():
        number += 1
    folder.mkdir()
    for file in there:  # the journal first: without its log it would open, and lack its last rows
        file.replace(folder / file.name)
    sync_folder(folder)
    sync_folder(path.parent)
    return folder


def _remove(draft: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        beside(draft, ending).unlink(missing_ok=True)


def _on_a_server(tool: str) -> JournalError:
    return JournalError(
        f"a journal on a server is backed up and restored with the server's own tools; use {tool}",
        code="JOURNAL_BACKUP",
    )


def _unwritable(target: Path, error: OSError) -> JournalError:
    full = error.errno == 28
    return JournalError(
        f"{target} cannot be written ({error.strerror})", code="JOURNAL_FULL" if full else "JOURNAL_ACCESS"
    )


def _system_time() -> datetime:
    return datetime.now(UTC)
