"""What the pages show, read without writing: the journal through a read-only connection, the switch's files.

The dashboard is never in the way of whoever trades. Every look opens the journal anew, reads at one moment
and closes it again, so that no reader keeps the log from being folded in. What cannot be read is shown as
unknown, with the reason; the kill switch is shown whatever has become of the journal.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from live.decisions import decisions_folder, waiting_decisions
from live.kill_files import MARK, RECORD, TOKEN, switch_folder
from simulator.errors import TwinstepError
from twinstep import switches
from twinstep.account_lines import AccountLines, stored_lines, stored_sessions
from twinstep.commands.desk import request_lines
from twinstep.paper_view import DeskView, RequestLine
from twinstep.stored import open_stored

if TYPE_CHECKING:
    from twinstep.dashboard.reading.desk import DeskReader

__all__ = ["KEPT_SECONDS", "Now", "Reader"]

SECONDS: Final = 2.0
"""Longest that one question to the journal may take."""
KEPT_SECONDS: Final = 1.0
"""How long a look is good for while nothing has changed: many pages that ask at once look once."""
MOST_KEPT: Final = 16
"""Looks that are kept, one a session; and sessions of which it is known when their last bar came."""
_NOTE: Final = (
    "SELECT i.data FROM inputs i JOIN sessions s ON s.id = i.session_id WHERE s.name = ? AND i.kind = 'note' "
    "AND i.kind <> 'bar' AND instr(i.data, CAST(? AS BLOB)) > 0 ORDER BY i.id DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The account, its switch and what waits, at one moment.

    Attributes
    ----------
    view
        As the terminal shows it.
    sessions
        Names of the journal's sessions, the one that was stepped last first.
    chosen
        Name of the session that was asked for, "" where none was.
    unknown
        Whether the journal can be read, and has no session of that name.
    decided
        Of the requests, those that somebody has approved and no session has taken up yet.
    problems
        What could not be read, in words.
    execution
        Where the session's orders go, a name of `ExecutionMode`; "" where that is not on record.
    automation
        Who decides about signals, a name of `AutomationMode`; "" where that is not on record.
    place
        Broker and account of the session, as it has them on record; "" where it fills its orders itself.
    came
        When the last bar was first seen here, aware: at a first look the journal's last writing. None
        without a bar, and at the first look at a session that was not the last to be stepped.
    written
        When anything was last stored in the journal, by whatever process: how old the news are. None where
        it is not there.
    """

    view: DeskView
    sessions: tuple[str, ...] = ()
    chosen: str = ""
    unknown: bool = False
    decided: frozenset[str] = frozenset()
    switch: dict[str, Any]
    problems: tuple[str, ...] = ()
    execution: str = ""
    automation: str = ""
    place: str = ""
    came: datetime | None = None
    written: datetime | None = None
    looked: datetime

    @property
    def real(self) -> bool:
        """Whether real money is behind it."""
        return bool(self.switch["scope"] == "live")

    @property
    def waiting(self) -> int:
        """How many orders wait for a person; one that was approved waits for its session."""
        return sum(one.request_id not in self.decided for one in self.view.requests)

    @property
    def state(self) -> str:
        """What the head of every page shows, in three words: mode, switch, and how many orders wait."""
        return f"{self.view.mode} {self.view.switch} {self.waiting}"


class Reader:
    """Looks into one journal and the folder of its switch.

    Parameters
    ----------
    journal, folder
        Paths; the folder lies beside the journal by default.
    session
        Which to show unless a page asks for another; None: the one that was stepped last.
    clock
        Aware.

    Attributes
    ----------
    desks
        What `reading.desk` reads, once it has.
    loaded
        Raised by one when something is there that pages had to be shown without; part of the version.
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
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[object, ...], float, Now]] = OrderedDict()
        self._last: OrderedDict[str, tuple[int, datetime | None]] = OrderedDict()  # bars, when they came
        self.loaded = 0
        self.desks: DeskReader | None = None

    @property
    def reviews(self) -> Path:
        """Folder of the review queue."""
        return self.folder / "reviews"

    def now(self, session: str = "") -> Now:
        """Return how things stand; within a second, and where nothing has changed, as it was seen before.

        Parameters
        ----------
        session
            Whose account; "" is that of the reader.
        """
        with self._lock:
            version = self.version()
            kept = self._fresh(version, session)
            if kept is not None:
                return replace(kept, looked=self._clock())
            found = self._look(session)
            ended = any(one.expires <= found.looked for one in found.view.requests)
            if found.problems or found.unknown or ended:
                self._kept.pop(session, None)
            else:
                _keep(self._kept, session, (version, time.monotonic() + KEPT_SECONDS, found))
            return found

    def state(self) -> str:
        """Return what the head of every page shows, whichever session was looked at."""
        with self._lock:
            version = self.version()
            looks = (self._fresh(version, session) for session in reversed(self._kept))
            kept = next((one for one in looks if one is not None), None)
        return self.now().state if kept is None else kept.state

    def _fresh(self, version: tuple[object, ...], session: str) -> Now | None:
        found = self._kept.get(session)
        if found is None:
            return None
        seen, until, kept = found
        return kept if seen == version and time.monotonic() < until else None

    def _look(self, chosen: str) -> Now:
        switch = switches.look(self.folder)
        problems = [str(one) for one in switch["problems"]]
        account: AccountLines | None = None
        sessions: tuple[str, ...] = ()
        unknown = False
        try:
            sessions = tuple(stored_sessions(self.journal))
            unknown = bool(chosen) and chosen not in sessions
            account = None if unknown else self._account(chosen or self.session, sessions)
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
            view=view, sessions=sessions, switch=switch, problems=tuple(problems), looked=self._clock(),
            chosen=chosen, unknown=unknown, decided=self._decided(view),
            execution=self._noted(account, "execution_mode"), written=self._written(),
            automation=self._noted(account, "automation_mode"), came=self._came(account, sessions),
            place=self._place(account),
        )  # fmt: skip

    def requests(self) -> tuple[RequestLine, ...]:
        """Return what waits for a person, oldest first."""
        return request_lines(self.reviews)

    def version(self) -> tuple[object, ...]:
        """Return something that changes when a page would: the times and sizes of seven files and folders.

        The journal's two come last: they change with every bar.
        """
        found: list[object] = [self.loaded]
        found += [_mark(self.folder / name) for name in (RECORD, TOKEN, MARK)]
        # requests and decisions are replaced as whole files, which the folders' own times tell
        found.extend(_mark(one) for one in (self.reviews, decisions_folder(self.reviews)))
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

    def _written(self) -> datetime | None:
        files = (self.journal.with_name(self.journal.name + end) for end in ("", "-wal"))
        last = max((mark[0] for mark in map(_mark, files) if mark is not None), default=None)
        return None if last is None else datetime.fromtimestamp(last / 1e9, UTC).replace(microsecond=0)

    def _decided(self, view: DeskView) -> frozenset[str]:
        waiting = {one.request_id for one in view.requests}
        try:
            # a decision on what has ended lies there until a session looks
            return frozenset(waiting.intersection(waiting_decisions(self.reviews)) if waiting else ())
        except OSError:
            return frozenset()

    def _came(self, account: AccountLines | None, sessions: tuple[str, ...]) -> datetime | None:
        if account is None or not account.bars:
            return None
        bars, came = self._last.get(account.session, (0, None))
        if bars != account.bars:
            # what was written last was another session's bar, unless this one was seen with fewer
            came = self._written() if bars or account.session == sessions[0] else None
            _keep(self._last, account.session, (account.bars, came))
        return came

    def _noted(self, account: AccountLines | None, key: str) -> str:
        return str(self._note(account, key)).upper()

    def _place(self, account: AccountLines | None) -> str:
        told = self._note(account, "broker_account")
        if not isinstance(told, dict):
            return ""
        return f"{told.get('broker', '')} {told.get('account', '')}".strip()

    def _note(self, account: AccountLines | None, key: str) -> Any:
        """Return the last value of a key among the session's notes; "" where it has none."""
        if account is None:
            return ""
        try:
            rows = self.ask(_NOTE, (account.session, f'"{key}"'))
            return json.loads(bytes(rows[0]["data"])[1:])[key] if rows else ""
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError):
            return ""

    def _account(self, wanted: str | None, sessions: tuple[str, ...]) -> AccountLines | None:
        chosen = wanted if wanted is not None else next(iter(sessions), None)
        if chosen is None:
            return None
        found = stored_lines(self.journal, chosen)
        if found is not None:
            return found
        raise ValueError(f"it has no session {chosen!r}")


_Value = TypeVar("_Value")


def _keep(kept: OrderedDict[str, _Value], name: str, value: _Value) -> None:
    """Keep the newest of a few."""
    kept.pop(name, None)
    kept[name] = value
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
