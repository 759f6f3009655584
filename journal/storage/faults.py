"""What a database complains about, said as one of the journal's own errors.

SQLite and PostgreSQL report by numbers and in words of their own; a caller gets a `JournalError` whose code
says what to do: wait, make room, restore, correct the row. The message names the journal, the value where a
row was refused, and the likely cause. The error of the database stays attached as `__cause__`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.errors import JournalError

__all__ = ["translate"]

_BUSY, _LOCKED, _READONLY, _INTERRUPT, _IOERR = 5, 6, 8, 9, 10
_CORRUPT, _FULL, _CANTOPEN, _TOOBIG, _CONSTRAINT, _MISMATCH, _NOTADB = 11, 13, 14, 18, 19, 20, 26
_PERM, _AUTH = 3, 23

_SHOWN = 80
"""Characters of a refused value that a message shows."""


def translate(
    error: BaseException, name: str, *, parameters: Sequence[Mapping[str, Any]] = (), hint: str = ""
) -> JournalError | None:
    """Return the journal's error for one of a database driver, or None for anything else.

    Parameters
    ----------
    error
        What the driver raised.
    name
        What the journal is called in messages: its path, or its address without a password.
    parameters
        Values of the statement that failed, one mapping per row; a refused one is shown.
    hint
        Sentences on how to get a damaged journal back.
    """
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, name, parameters, hint)
    if type(error).__module__.partition(".")[0] == "psycopg":
        return _of_postgres(error, name, parameters)
    return None


def _of_sqlite(
    error: sqlite3.Error, name: str, parameters: Sequence[Mapping[str, Any]], hint: str
) -> JournalError:
    said = _one_line(error)
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    symbol = getattr(error, "sqlite_errorname", "")
    if code in (_BUSY, _LOCKED):
        return _busy(name, said)
    if code == _READONLY:
        return _read_only(name, said)
    if code == _FULL:
        return _full(name, said)
    if code in (_CORRUPT, _NOTADB) or said.startswith("Could not decode to UTF-8"):
        message = f"the journal {name} is damaged: {said}. Nothing was written. {hint}".rstrip()
        return JournalError(message, code="JOURNAL_DAMAGED")
    if code in (_CANTOPEN, _PERM, _AUTH, _IOERR):
        return JournalError(
            f"the journal {name} cannot be read or written ({symbol}: {said}). The likely cause is a missing "
            "right, a quota or limit on file size, too many open files, or a failing disk",
            code="JOURNAL_ACCESS",
        )
    if code in (_CONSTRAINT, _MISMATCH, _TOOBIG):
        return _rule(name, said, parameters)
    if code == _INTERRUPT:
        return _stopped(name)
    if (
        isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError | sqlite3.DataError)
        and parameters
    ):
        return _rule(name, said, parameters)  # a value of a type that cannot be bound
    return _sql(name, said)


def _of_postgres(error: BaseException, name: str, parameters: Sequence[Mapping[str, Any]]) -> JournalError:
    said = _one_line(error)
    state: str = getattr(error, "sqlstate", None) or ""
    if state[:2] in ("22", "23"):
        return _rule(name, said, parameters)
    if state in ("53100", "53200"):
        return _full(name, said)
    if state in ("55P03", "40001", "40P01"):
        return _busy(name, said)
    if state == "25006":
        return _read_only(name, said)
    if state == "57014":
        return _stopped(name)
    if state[:2] == "XX":
        return JournalError(
            f"the server reports damage in the journal {name}: {said}", code="JOURNAL_DAMAGED"
        )
    if type(error).__name__ == "OperationalError" or state[:2] in ("08", "28", "3D", "53", "57"):
        return JournalError(
            f"the server of the journal {name} does not answer as it should: {said}. If this came at the end "
            "of a write, look whether it was stored before repeating it",
            code="JOURNAL_SERVER",
        )
    if type(error).__name__ in ("ProgrammingError", "DataError", "NotSupportedError") and not state:
        return _rule(name, said, parameters)  # a value of a type that cannot be sent
    return _sql(name, said)


def _busy(name: str, said: str) -> JournalError:
    return JournalError(
        f"the journal {name} stayed busy for longer than the time allowed ({said}). The likely cause is "
        "another program, such as a database browser, with a write left open; nothing was written",
        code="JOURNAL_BUSY",
    )


def _read_only(name: str, said: str) -> JournalError:
    return JournalError(
        f"the journal {name} cannot be written here ({said}): it was opened for reading, or its file, its "
        "folder or the whole file system is read-only",
        code="JOURNAL_READ_ONLY",
    )


def _full(name: str, said: str) -> JournalError:
    return JournalError(
        f"there is no room left for the journal {name} ({said}). Nothing of this write was stored, and what "
        "was stored before is safe; make room and repeat it",
        code="JOURNAL_FULL",
    )


def _stopped(name: str) -> JournalError:
    return JournalError(
        f"a question to the journal {name} was stopped, for it took longer than the time allowed",
        code="JOURNAL_TIME",
    )


def _sql(name: str, said: str) -> JournalError:
    return JournalError(f"the journal {name} does not understand a statement: {said}", code="JOURNAL_SQL")


def _rule(name: str, said: str, parameters: Sequence[Mapping[str, Any]]) -> JournalError:
    values = _values_named(said, parameters)
    shown = f"; the row has {values}" if values else ""
    return JournalError(
        f"the journal {name} refuses a row: {said}{shown}. The likely cause is a value outside what the "
        "column may hold, a name that exists already, or a reference to nothing. The write was undone",
        code="JOURNAL_RULE",
    )


def _values_named(said: str, parameters: Sequence[Mapping[str, Any]]) -> str:
    """Values of the columns that a refusal names: trades.fees, or ck_trades_fees_finite."""
    if not parameters or len(parameters) > 1:
        return ""
    row = parameters[0]
    words = set(re.findall(r"\w+", said))
    found = [key for key in row if key in words]
    if "FOREIGN" in words:  # SQLite does not say which
        found = [key for key in row if key.endswith("_id") and row[key] is not None]
    if not found:
        found = [key for key in row if any(f"_{key}_" in f"{word}_" for word in words)]
    shown = []
    for key in found[:3]:
        value = repr(row[key])
        shown.append(f"{key} = {value if len(value) <= _SHOWN else value[:_SHOWN] + '...'}")
    return ", ".join(shown)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
