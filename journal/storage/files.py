"""Where the files of a journal lie, and how a file is written so that a crash cannot halve it.

Everything of a journal `trade_journal.db` lies beside it and begins with its name: `.id` says that there is a
journal here, `.lock` belongs to the writing process, `.inbox/` takes the commands of other processes,
`.backups/` holds verified copies, `.replaced-<time>/` holds what a restore has replaced. SQLite keeps `-wal`
and `-shm` there while the journal is open; the three are one database and only move together.

The `.id` file is the memory that a file system lacks: SQLite opens a file of length zero as a healthy, empty
database, and a vanished one as a new one. Where the `.id` file is, nothing new is ever begun.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "backups_folder",
    "beside",
    "inbox_folder",
    "located",
    "lock_file",
    "mark",
    "mark_file",
    "newest_backup",
    "stored_backups",
    "sync_file",
    "sync_folder",
    "wal_file",
    "way_back",
    "write_whole",
]

_MARK = """\
This file says that the trade journal {name} lies beside it.
As long as it is here, a missing or empty {name} is an accident, and no new journal is begun in its place.
Whoever wants a new journal moves {name} away and removes this file.
"""


def beside(path: Path, ending: str) -> Path:
    """Return the path whose name is that of the journal with an ending."""
    return path.with_name(path.name + ending)


def located(where: str | os.PathLike[str]) -> Path:
    """Return the path of a file itself, whatever link leads to it: what belongs to it lies beside it."""
    return Path(os.path.realpath(Path(where).expanduser()))


def mark_file(path: Path) -> Path:
    """Return the file that says that there is a journal here."""
    return beside(path, ".id")


def lock_file(path: Path) -> Path:
    """Return the file that the writing process holds locked."""
    return beside(path, ".lock")


def inbox_folder(path: Path) -> Path:
    """Return the folder for the commands of other processes."""
    return beside(path, ".inbox")


def backups_folder(path: Path) -> Path:
    """Return the folder where backups go by default."""
    return beside(path, ".backups")


def wal_file(path: Path) -> Path:
    """Return SQLite's write-ahead log."""
    return beside(path, "-wal")


def mark(path: Path) -> None:
    """Write the file that says that there is a journal here."""
    write_whole(mark_file(path), _MARK.format(name=path.name).encode())


def stored_backups(path: Path) -> list[Path]:
    """Return the backups of a journal, oldest first; a copy gets its name only after it was verified."""
    folder = backups_folder(path)
    return sorted(folder.glob(f"{path.name}-*.db")) if folder.is_dir() else []


def newest_backup(path: Path) -> Path | None:
    """Return the newest verified backup."""
    found = stored_backups(path)
    return found[-1] if found else None


def way_back(path: Path) -> str:
    """Return the sentences that say how to get a lost or damaged journal back."""
    newest = newest_backup(path)
    if newest is None:
        return f"There is no backup in {backups_folder(path)}."
    return (
        f"The newest verified backup is {newest}; restore it with: "
        f"twinstep journal restore '{newest}' --journal '{path}'"
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that exists with all of its content or not at all, also after a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make the content of a file survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    sync_file(path)
