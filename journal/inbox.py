"""Commands of other processes for the one that writes.

A second terminal, or the dashboard, may not write to a journal that another process holds. It drops what it
wants done as a small JSON file into `<journal>.inbox/`, and the holder takes the files in their order.

Each command happens exactly once: its id is stored in the same transaction as its effect, so that a holder
killed before it removed the file finds the id and does nothing more. What cannot be done never stands in the
way of the next: it goes to `rejected/` with its reason beside it. A fault of the journal itself (full, busy,
read-only) is no fault of the command: it stays, and the error is raised.

>>> inbox = Inbox("trade_journal.db")   # doctest: +SKIP
>>> identity = inbox.drop("log_trade_exit", {"trade_id": 1, "exit_debit": 0.65, "close_reason": "stop"})
>>> inbox.drain(database, apply)   # doctest: +SKIP
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, insert, select

from journal.database import Database
from journal.schema import commands
from journal.storage.files import inbox_folder, located, sync_folder, write_whole
from journal.values import as_json
from simulator.errors import DataError, JournalError

__all__ = ["LARGEST_BYTES", "Command", "Inbox", "Outcome"]

LARGEST_BYTES = 1 << 20
"""Size of a command's file beyond which it is refused."""

_FORMAT = 1
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FILE = re.compile(r"[0-9]{20}-[0-9]{6}-[0-9a-f]{16}\.json")
_FAULTS = frozenset(
    {
        "JOURNAL_ACCESS", "JOURNAL_BUSY", "JOURNAL_CLOSED", "JOURNAL_DAMAGED", "JOURNAL_FULL",
        "JOURNAL_LOCKED", "JOURNAL_READ_ONLY", "JOURNAL_SERVER",
    }
)  # fmt: skip
"""Codes that speak of the journal, not of the command."""

_order = threading.Lock()
_last = (0, 0)


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it was dropped."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    dropped_ts: int
    """When it was dropped, UTC nanoseconds by the sender's clock."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    id: str
    state: Literal["waiting", "applied", "rejected", "unknown"]
    reason: str = ""


class Inbox:
    """The inbox of the journal file at `where`."""

    def __init__(self, where: str | os.PathLike[str]) -> None:
        if "://" in os.fspath(where):
            raise JournalError(
                "a journal on a server has no inbox; open it for writing, or for reading beside a writer",
                code="JOURNAL_NO_INBOX",
            )
        self.folder = inbox_folder(located(where))
        self.rejected = self.folder / "rejected"

    def drop(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Leave a command for the writing process; when this returns, it survives a power cut.

        Parameters
        ----------
        name
            What to do: lower-case letters, digits and underscores.
        arguments
            Values that JSON can hold; NumPy scalars become numbers, times become text, NaN is refused.

        Returns
        -------
        str
            The command's id, for `outcome`.

        Raises
        ------
        DataError
            JOURNAL_COMMAND for a name or size that cannot be, JOURNAL_VALUE for arguments beyond JSON.
        JournalError
            JOURNAL_FULL or JOURNAL_ACCESS where the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise DataError(
                f"{name!r} is no name of a command: lower-case letters, digits and underscores, at most 64",
                code="JOURNAL_COMMAND",
            )
        dropped, number = _stamp()
        identity = f"{dropped:020d}-{number:06d}-{secrets.token_hex(8)}"
        content = as_json(
            f"the command {name}",
            {
                "format": _FORMAT, "id": identity, "name": name, "arguments": dict(arguments),
                "dropped_ts": dropped,
            },
        ).encode()  # fmt: skip
        if len(content) > LARGEST_BYTES:
            raise DataError(
                f"the command {name} has {len(content):,} bytes; at most {LARGEST_BYTES:,} are taken",
                code="JOURNAL_COMMAND",
            )
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            write_whole(self.folder / f"{identity}.json", content)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return identity

    def waiting(self) -> list[Path]:
        """Return the files that wait, in the order in which they will be taken."""
        try:
            return sorted(file for file in self.folder.iterdir() if _FILE.fullmatch(file.name))
        except FileNotFoundError:
            return []

    def drain(
        self,
        database: Database,
        apply: Callable[[Connection, Command], None],
        *,
        leave: Callable[[str], bool] = lambda name: False,
        leave_command: Callable[[Command], bool] = lambda command: False,
    ) -> list[Outcome]:
        """Apply all commands that wait, in their order, each exactly once.

        Parameters
        ----------
        database
            The journal, open for writing. Writes that `apply` starts on it become part of the command's
            transaction.
        apply
            Does what a command says. Whatever it raises, other than a fault of the journal itself, undoes and
            rejects the command.
        leave
            Says by its name whether a command is for somebody else, and goes on waiting.
        leave_command
            Says so by the whole command, where the name is not enough.

        Returns
        -------
        list of Outcome
            One per file that was not left, "applied" or "rejected"; for a command that had been taken
            before, what it was then.

        Raises
        ------
        JournalError
            A fault of the journal; the command and those behind it still wait.
        """
        taken = (
            self._take(file, database, apply, lambda one: leave(one.name) or leave_command(one))
            for file in self.waiting()
        )
        return [outcome for outcome in taken if outcome is not None]

    def outcome(self, database: Database, identity: str) -> Outcome:
        """Return what became of the command with this id."""
        with database.read() as connection:
            row = connection.execute(
                select(commands.c.outcome, commands.c.reason).where(commands.c.id == identity)
            ).first()
        if row is not None:
            return Outcome(identity, row.outcome, row.reason)
        waits = (self.folder / f"{identity}.json").exists()
        return Outcome(identity, "waiting" if waits else "unknown")

    def _take(
        self,
        file: Path,
        database: Database,
        apply: Callable[[Connection, Command], None],
        leave: Callable[[Command], bool],
    ) -> Outcome | None:
        try:
            command = _parsed(file)
        except DataError as error:
            self._reject(file, str(error))
            return Outcome(file.stem, "rejected", str(error))
        if leave(command):
            return None
        try:
            with database.write() as connection:
                known = connection.execute(select(commands).where(commands.c.id == command.id)).first()
                if known is None:
                    _record(connection, command, database.now(), "applied", "")
                    apply(connection, command)
        except Exception as error:
            if isinstance(error, JournalError) and error.code in _FAULTS:
                raise
            reason = f"{type(error).__name__}: {error}"
            with database.write() as connection:
                _record(connection, command, database.now(), "rejected", reason)
            self._reject(file, reason)
            return Outcome(command.id, "rejected", reason)
        if known is not None and known.outcome == "rejected":
            self._reject(file, known.reason)
            return Outcome(command.id, "rejected", known.reason)
        file.unlink(missing_ok=True)
        return Outcome(command.id, "applied")

    def _reject(self, file: Path, reason: str) -> None:
        try:
            self.rejected.mkdir(mode=0o700, exist_ok=True)
            write_whole(self.rejected / f"{file.stem}.reason.txt", f"{reason}\n".encode())
            file.replace(self.rejected / file.name)
            sync_folder(self.rejected)
            sync_folder(self.folder)
        except OSError as error:
            raise _unwritable(self.rejected, error) from error


def _stamp() -> tuple[int, int]:
    """Return time and number of a new command; within a process both only grow."""
    global _last
    with _order:
        now = time.time_ns()
        _last = (now, 0) if now > _last[0] else (_last[0], _last[1] + 1)
        return _last


def _parsed(file: Path) -> Command:
    try:
        content = _content(file)
        found = json.loads(content, parse_constant=_no_constant)
        if found["format"] != _FORMAT:
            raise DataError(
                f"it has format {found['format']!r}; this release reads {_FORMAT}", code="JOURNAL_COMMAND"
            )
        command = Command(found["id"], found["name"], found["arguments"], found["dropped_ts"])
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"it is no command: {type(error).__name__} {error}", code="JOURNAL_COMMAND"
        ) from error
    typed = isinstance(command.name, str) and isinstance(command.dropped_ts, int)
    if command.id != file.stem or not typed or not isinstance(command.arguments, dict):
        raise DataError("its id, name, time or arguments are not what they must be", code="JOURNAL_COMMAND")
    return command


def _content(file: Path) -> bytes:
    # a link or a pipe in the inbox must not be followed or waited for
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise ValueError("no regular file")
        content = opened.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"more than {LARGEST_BYTES:,} bytes")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON knows")


def _record(connection: Connection, command: Command, now: int, outcome: str, reason: str) -> None:
    connection.execute(
        insert(commands).values(
            id=command.id, name=command.name, dropped_ts=command.dropped_ts, decided_ts=now, outcome=outcome,
            reason=reason.replace("\x00", ""),
        )
    )  # fmt: skip


def _unwritable(folder: Path, error: OSError) -> JournalError:
    full = error.errno == 28
    return JournalError(
        f"the inbox {folder} cannot be written ({error.strerror}); "
        + ("make room" if full else "check that the folder of the journal exists and can be written"),
        code="JOURNAL_FULL" if full else "JOURNAL_ACCESS",
    )
