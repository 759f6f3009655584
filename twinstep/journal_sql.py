"""One question in SQL to a journal, which cannot change anything.

The connection is read-only twice over: the file is opened so, and the database refuses to write. What may be
asked is one SELECT (or WITH, VALUES, EXPLAIN); PRAGMA and ATTACH reach beyond the journal and are refused
before they get there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from simulator.errors import ConfigError

if TYPE_CHECKING:
    from twinstep.journals import Place

__all__ = ["ask"]

_FIRST: Final = ("select", "with", "values", "explain")
_COMMENTS: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TIME: Final = re.compile(r"(?:^|_)ts$")


def ask(
    chosen: Place, question: str, *, limit: int, seconds: float, times: bool
) -> tuple[list[str], list[tuple[Any, ...]], bool]:
    """Return names, rows, and whether there were more rows than `limit`.

    Parameters
    ----------
    times
        Show columns named `ts` or `..._ts` as times in UTC, not as nanoseconds.

    Raises
    ------
    ConfigError
        CLI_SQL for what is no question.
    JournalError
        JOURNAL_SQL for what the database does not understand, JOURNAL_TIME beyond `seconds`.
    """
    from journal.database import Database

    bare = _COMMENTS.sub(" ", question).strip()
    word = bare.split(maxsplit=1)[0].lower() if bare else ""
    if word not in _FIRST:
        raise ConfigError(
            f"{bare[:60]!r} is no question; one SELECT is answered, and nothing is changed", code="CLI_SQL"
        )
    if ";" in _outside_quotes(bare.rstrip("; \n")):
        raise ConfigError("that is more than one statement; ask one SELECT at a time", code="CLI_SQL")
    with (
        Database(chosen.where, read_only=True, statement_seconds=seconds) as database,
        database.read() as connection,
    ):
        # the driver of a server looks for placeholders behind every %
        asked = bare.replace("%", "%%") if "format" in connection.dialect.paramstyle else bare
        answer = connection.exec_driver_sql(asked)
        names = [str(name) for name in answer.keys()]
        rows = [tuple(row) for row in answer.fetchmany(limit + 1)]
    if times:
        which = [index for index, name in enumerate(names) if _TIME.search(name)]
        rows = [
            tuple(_moment(value) if index in which else value for index, value in enumerate(row))
            for row in rows
        ]
    return names, rows[:limit], len(rows) > limit


def _moment(value: Any) -> Any:
    from journal.export import iso_time

    return iso_time(value) if isinstance(value, int) else value


def _outside_quotes(text: str) -> str:
    return re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", "", text)
