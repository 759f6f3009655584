"""What the reading of pages shares: the journal's own classes, read-only, and what to say where that fails.

A page is read in parts. What cannot be read is one sentence, and the other parts are shown all the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from simulator.errors import TwinstepError
from twinstep.dashboard.reading.reader import Reader

if TYPE_CHECKING:
    from journal.database import Database

__all__ = ["SOURCES", "first_source", "opened", "part"]

SECONDS: Final = 10.0
"""Longest that one look may take: a report over 200,000 trades takes about two on a busy machine."""

SOURCES: Final = ("live", "paper", "backtest")

_Found = TypeVar("_Found")


def part(problems: list[str], what: str, read: Callable[[], _Found]) -> _Found | None:
    """Return what is read; where that fails, None, and a sentence about it among the problems."""
    try:
        return read()
    except TwinstepError as error:
        why = str(error.args[0])
    except (sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
    problems.append(f"{what} cannot be read: {why}")
    return None


@contextmanager
def opened(reader: Reader) -> Iterator[Database]:
    """Open the journal for reading; a question that takes too long ends in JOURNAL_TIME."""
    from journal.database import Database

    with Database(reader.journal, read_only=True, statement_seconds=SECONDS) as database:
        yield database


def first_source(found: dict[str, int], *, real: bool) -> str:
    """Return whose figures are shown where nobody says: real money first, where it is behind the switch."""
    order = SOURCES if real else ("paper", "live", "backtest")
    return next((name for name in order if found.get(name)), order[0])
