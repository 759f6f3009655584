"""What the pages show, read without writing: the journal through a read-only connection, the switch's files.

The dashboard is never in the way of whoever trades. Every look opens the journal anew, reads at one moment
and closes it again, so that no reader keeps the log from being folded in. What cannot be read is shown as
unknown, with the reason; the kill switch is shown whatever has become of the journal.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from live.kill_files import MARK, RECORD, TOKEN, switch_folder
from simulator.errors import TwinstepError
from twinstep import switches
from twinstep.account_lines import AccountLines, stored_lines, stored_sessions
from twinstep.commands.desk import request_lines
from twinstep.paper_view import DeskView, RequestLine
from twinstep.stored import open_stored

__all__ = ["Now", "Reader"]

SECONDS: Final = 2.0
"""Longest that one question to the journal may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The account, its switch and what waits, at one moment.

    Attributes
    ----------
    view
        As the terminal shows it.
    sessions
        Names of the journal's sessions, the one that was stepped last first.
    problems
        What could not be read, in words.
    """

    view: DeskView
    sessions: tuple[str, ...] = ()
    switch: dict[str, Any]
    problems: tuple[str, ...] = ()
    looked: datetime

    @property
    def real(self) -> bool:
        """Whether real money is behind it."""
        return bool(self.switch["scope"] == "live")


class Reader:
    """Looks into one journal and the folder of its switch.

    Parameters
    ----------
    journal, folder
        Paths; the folder lies beside the journal by default.
    session
        Which to show; None: the one that was stepped last.
    clock
        Aware.
    """

    def __init__(
        self,
        journal: Path,
        folder: Path | None = None,
        session: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.journal = journal.expanduser().absolute()
        self.folder = switch_folder(self.journal) if folder is None else folder.expanduser().absolute()
        self.session = session
        self._clock = clock

    @property
    def reviews(self) -> Path:
        """Folder of the review queue."""
        return self.folder / "reviews"

    def now(self) -> Now:
        """Return how things stand."""
        switch = switches.look(self.folder)
        problems = [str(one) for one in switch["problems"]]
        account: AccountLines | None = None
        sessions: tuple[str, ...] = ()
        try:
            account, sessions = self._account()
        except (sqlite3.Error, OSError, ValueError, KeyError, TwinstepError) as error:
            why = error if self.journal.exists() else "it is not there yet"
            problems.append(f"The journal {self.journal.name} cannot be read: {why}")
        view = DeskView(
            account=account,
            switch=str(switch["state"]),
            why=str(switch["why"]),
            mode="LIVE" if switch["scope"] == "live" else "PAPER",
            requests=self.requests(),
        )
        return Now(
            view=view, sessions=sessions, switch=switch, problems=tuple(problems), looked=self._clock()
        )

    def requests(self) -> tuple[RequestLine, ...]:
        """Return what waits for a person, oldest first."""
        return request_lines(self.reviews)

    def version(self) -> tuple[object, ...]:
        """Return something that changes when a page would: cheap, for whoever asks twice a second."""
        found: list[object] = [_mark(self.folder / name) for name in (RECORD, TOKEN, MARK)]
        found.append(tuple((one.name, _mark(one)) for one in sorted(self.reviews.glob("*.json"))))
        # the log changes with every commit; the file itself when the log is folded in
        found.extend(_mark(self.journal.with_name(self.journal.name + end)) for end in ("", "-wal"))
        return tuple(found)

    def ask(self, question: str, values: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        """Return rows of the journal as dictionaries; a question that takes too long ends in an error.

        Raises
        ------
        sqlite3.Error, OSError
            Where it cannot be read.
        """
        with closing(open_stored(self.journal)) as connection:
            connection.execute("PRAGMA query_only = 1")
            end = time.monotonic() + SECONDS
            connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(question, values)]

    def _account(self) -> tuple[AccountLines | None, tuple[str, ...]]:
        names = tuple(stored_sessions(self.journal))
        chosen = self.session if self.session is not None else (names[0] if names else None)
        if chosen is None:
            return None, names
        found = stored_lines(self.journal, chosen)
        if found is not None:
            return found, names
        raise ValueError(f"it has no session {chosen!r}")


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
