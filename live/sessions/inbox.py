"""Commands that reach a session: a person's, and those that other processes leave in the journal's inbox.

Each is stored before anything happens, with the snapshot, and waits for the next bar. Calls for the journal
itself come through the same inbox and are carried out at once. What is for another session of the journal
stays for that one, which may run later; what is for none is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from journal.inbox import Command as Queued
from journal.inbox import Inbox
from live.kill_files import switch_folder
from live.sessions.commands import check_queued, plain_command
from live.sessions.store import names_of
from simulator.bars.arrays import stamp
from simulator.commands import Command
from simulator.errors import DataError, JournalError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.sessions.core import Core
    from live.sessions.store import SessionStore

__all__ = ["Doorway"]


class Doorway:
    """Takes commands in for one session.

    Parameters
    ----------
    store, core, session_id
        The session's rows, what it has in memory, and its number in the journal.
    has_switch
        Whether it was given a kill switch: then nobody arms it through the inbox.
    """

    def __init__(self, store: SessionStore, core: Core, session_id: int, *, has_switch: bool) -> None:
        path = store.database.path
        self._inbox = None if path is None else Inbox(path)
        self._switch_folder: Path | None = None if path is None else switch_folder(path)
        self._has_switch = has_switch
        self._store, self._core, self._session_id = store, core, session_id
        self._others: set[str] = set()
        self._last: tuple[str, dict[str, Any]] | None = None

    def command(self, kind: str, symbol: str | None, value: float | None) -> None:
        """Store a command for the next bar."""
        entry = self._entry(kind, symbol, value)
        try:
            with self._store.database.write() as connection:
                self._keep(connection, entry)
        except BaseException:
            self._core.memory.forget([entry])  # the commit itself may be what failed
            raise

    def take(self) -> None:
        """Take what other processes have left, each exactly once."""
        if self._inbox is None:
            return
        self._last = None
        try:
            self._inbox.drain(self._store.database, self._obey, leave_command=self._is_for_another)
        except BaseException:
            # those before the last are stored; the last is, unless its commit is what failed
            if self._last is not None and not self._is_stored(self._last[0]):
                self._core.memory.forget([self._last[1]])
            raise

    def _obey(self, connection: Connection, queued: Queued) -> None:
        kind = queued.name.removeprefix("session_")
        if kind == queued.name:
            from journal.trade_journal import TradeJournal

            TradeJournal(self._store.database, source="paper").apply(queued.name, queued.arguments)
            return
        given = dict(queued.arguments)
        session = given.pop("session", self._store.name)
        if session != self._store.name:
            raise DataError(
                f"this is session {self._store.name!r}, and the journal has none called {session!r}",
                code="LIVE_SESSION",
            )
        check_queued(kind, self._switch_folder, has_switch=self._has_switch)
        entry = self._entry(kind, given.get("symbol"), given.get("value"))
        self._last = queued.id, entry
        self._keep(connection, entry)

    def _is_for_another(self, queued: Queued) -> bool:
        """Whether a command waits for another session, one that is there."""
        session = queued.arguments.get("session", self._store.name)
        if not queued.name.startswith("session_") or session == self._store.name:
            return False
        if isinstance(session, str) and session not in self._others:
            with self._store.database.read() as connection:
                self._others = set(names_of(connection)) - {self._store.name}
        return isinstance(session, str) and session in self._others

    def _is_stored(self, identity: str) -> bool:
        try:
            return (
                self._inbox is not None
                and self._inbox.outcome(self._store.database, identity).state == "applied"
            )
        except JournalError:
            return False

    def _entry(self, kind: str, symbol: str | None, value: float | None) -> dict[str, Any]:
        entry = plain_command(Command(stamp(0), kind, symbol, value))
        if symbol is not None:
            self._core.like.column(symbol)
        return entry

    def _keep(self, connection: Connection, entry: dict[str, Any]) -> None:
        self._core.memory.wait([entry])
        try:
            self._store.remember(connection, self._session_id, self._core.packed())
        except BaseException:
            self._core.memory.forget([entry])
            raise
