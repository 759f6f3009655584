"""What a person asks of a session from a second terminal: close a position, close everything.

A session that runs holds the journal, so the command goes into its inbox and is carried out before the next
bar. Where nobody holds the journal the command is stored in the session itself, at once: it waits there, with
what else the session goes on with, and is carried out at the next bar, whenever somebody starts it again.
Both ways a command happens once, in the order in which it was given.

>>> ask("trade_journal.db", "paper", "close", "AAPL").where           # doctest: +SKIP
'session'
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from journal.database import Database
from journal.inbox import Command as Queued
from journal.inbox import Inbox, Outcome
from live.kill_files import switch_folder
from live.sessions.commands import check_queued, plain_command, queue_command
from live.sessions.recording import pack, unpack
from live.sessions.store import SessionStore
from simulator.bars.arrays import stamp
from simulator.commands import Command
from simulator.errors import JournalError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Asked", "ask", "outcome_of", "store_command"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a command went.

    Attributes
    ----------
    id
        In the journal's inbox.
    where
        "inbox": another process has the journal and takes it before its next bar; "session": it is stored
        in the session, which carries it out when it next runs; "rejected": it cannot be done.
    reason
        Why it was rejected, or who has the journal.
    """

    id: str
    session: str
    where: Literal["inbox", "session", "rejected"]
    reason: str = ""


def ask(
    journal: str | os.PathLike[str],
    session: str,
    kind: str,
    symbol: str | None = None,
    value: float | None = None,
) -> Asked:
    """Have a session carry out a command before its next bar.

    Raises
    ------
    UnknownNameError, ConfigError
        As `queue_command`.
    JournalError
        JOURNAL_FULL or JOURNAL_ACCESS where nothing can be written: then nobody was told.
    """
    identity = queue_command(journal, session, kind, symbol, value)
    try:
        with Database(journal) as database:
            database.lock()
            outcomes = Inbox(journal).drain(database, lambda held, one: store_command(database, held, one))
    except JournalError as error:
        # whatever keeps this process from the journal, the command lies safely in the inbox
        return Asked(identity, session, "inbox", str(error.args[0]))
    mine = [one for one in outcomes if one.id == identity]
    if mine and mine[0].state == "rejected":
        return Asked(identity, session, "rejected", mine[0].reason)
    return Asked(identity, session, "session")


def outcome_of(journal: str | os.PathLike[str], identity: str) -> Outcome:
    """Return what became of a command: waiting, applied or rejected, or unknown where nobody can say."""
    try:
        with Database(journal, read_only=True) as database:
            return Inbox(journal).outcome(database, identity)
    except JournalError as error:
        return Outcome(identity, "unknown", str(error.args[0]))


def store_command(database: Database, connection: Connection, queued: Queued) -> None:
    """Do what an inbox holds while no session runs: what a session is told becomes a part of its memory.

    Everything else is a call for the journal itself.
    """
    kind = queued.name.removeprefix("session_")
    if kind == queued.name:
        from journal.trade_journal import TradeJournal

        TradeJournal(database, source="paper").apply(queued.name, queued.arguments)
        return
    check_queued(kind, None if database.path is None else switch_folder(database.path))
    given: dict[str, Any] = dict(queued.arguments)
    store = SessionStore(database, str(given.get("session")))
    found = store.get(connection)
    symbol = given.get("symbol")
    known = unpack(found.newest_frame)[1]["symbols"]
    if symbol is not None and symbol not in known:
        raise UnknownNameError(
            f"session {found.name!r} has no symbol {symbol!r}.{did_you_mean(str(symbol), known)}",
            code="NAME_SYMBOL",
        )
    arrays, values = unpack(store.snapshot(connection, found.id).memory)
    command = Command(stamp(0), kind, symbol, given.get("value"))
    values["pending"] = [*values["pending"], plain_command(command)]
    store.remember(connection, found.id, pack(arrays, values))
