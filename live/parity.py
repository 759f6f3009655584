"""The receipt: a session's recorded inputs, replayed through the backtest driver, byte for byte.

`verify_parity` reads what a session recorded, runs it as a backtest, and compares: the state after every bar,
every row of every log. It says where the first difference is and what it is: which bar, which log, which row,
which field, what was recorded and what the replay gave. Inputs are checked against their own check sums, so
that a bar that was changed afterwards is named as such; limits and engine are compared with those that the
session was left with. Bars are read a few thousand at a time, so that memory does not grow with the session.

A session that went on under other rules (`accept_change`), or with more symbols (`grow`), is replayed piece
by piece: the first under the rules it was opened with, each further one from the state before it. What an
engine that is gone has done cannot be done again; where its bytes differ, the receipt says so.

>>> receipt = verify_parity("paper.db", "paper")   # doctest: +SKIP
>>> receipt.ok   # doctest: +SKIP
True
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from journal.database import Database
from live.comparing.replay import Difference, Replay, bars_missing, snapshot_difference
from live.session import HasDatabase
from live.sessions.frames import decode_frame
from live.sessions.store import SessionStore, Snapshot, StoredSession
from simulator.errors import EngineError
from simulator.kernel._jit import ENGINE_HASH
from simulator.kernel.state import from_bytes

__all__ = ["Difference", "Receipt", "verify_parity"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a replay of a session came to.

    Attributes
    ----------
    session, journal
        Which session of which journal.
    bars
        Bars replayed.
    rows
        Rows of logs compared.
    engine, configuration, data, result
        SHA-256 of the kernel's source that replayed, of cash, limits, costs and conventions, of the recorded
        inputs, and of the logs and the last state.
    difference
        The first one, or None.
    notes
        What else has to be known: another engine, changes of rules on the way, bars refused.
    """

    session: str
    journal: str
    bars: int
    rows: int
    engine: str
    configuration: str
    data: str
    result: str
    difference: Difference | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether not a byte differs."""
        return self.difference is None

    def __str__(self) -> str:
        """Return the receipt in a few lines."""
        head = "equal in every byte" if self.ok else "DIFFERENT"
        lines = [
            f"session {self.session} in {self.journal}: {head}",
            f"  bars           {self.bars:,}",
            f"  rows of logs   {self.rows:,}",
            f"  engine         {self.engine[:16]}",
            f"  configuration  {self.configuration[:16]}",
            f"  data           {self.data[:16]}",
            f"  result         {self.result[:16]}",
        ]
        if self.difference is not None:
            lines.append(f"  first difference: {self.difference}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def plain(self) -> dict[str, Any]:
        """Return the receipt as values that JSON can hold."""
        found = self.difference
        return {
            "ok": self.ok,
            **{name: getattr(self, name) for name in self.__slots__ if name not in ("difference", "notes")},
            "difference": None if found is None else {name: getattr(found, name) for name in found.__slots__},
            "notes": list(self.notes),
        }


def verify_parity(where: str | os.PathLike[str] | Database | HasDatabase, session: str = "paper") -> Receipt:
    """Replay a session through the backtest driver and compare every byte.

    Parameters
    ----------
    where
        Path or URL of the journal, an open `Database`, or a `TradeJournal`; it is only read.
    session
        The session's name.

    Raises
    ------
    UnknownNameError
        LIVE_SESSION.
    JournalError
        As opening a journal raises.
    """
    if isinstance(where, (str, os.PathLike)):
        with Database(where, read_only=True) as database:
            return _verify(database, session)
    return _verify(where if isinstance(where, Database) else where.database, session)


def _verify(database: Database, name: str) -> Receipt:
    store = SessionStore(database, name)
    with database.read() as connection:
        session = store.get(connection)
        snapshot = store.snapshot(connection, session.id)
        beside = store.beside(connection, session.id)
        replay = Replay(store, connection, session)
        bars = store.bars_in(connection, session.id, snapshot)
        difference = replay.run()
    difference = difference or bars_missing(replay.last, bars, _newest(snapshot))
    if difference is None and replay.last is not None:
        difference = snapshot_difference(replay.last, snapshot.bars, snapshot.state)
    return Receipt(
        session=name,
        journal=database.name,
        bars=replay.bars,
        rows=replay.rows,
        engine=ENGINE_HASH,
        configuration=hashlib.sha256(json.dumps(session.configuration, sort_keys=True).encode()).hexdigest(),
        data=replay.data.hexdigest(),
        result=replay.result.hexdigest(),
        difference=difference,
        notes=tuple(_told(session, beside)),
    )


def _newest(snapshot: Snapshot) -> int:
    """Return the label of the newest bar by the snapshot; 0 where it cannot be read."""
    try:
        return int(from_bytes(snapshot.state).account["ts"][0]) if snapshot.bars else 0
    except EngineError:
        return 0


def _told(session: StoredSession, beside: Mapping[str, int]) -> Iterator[str]:
    engines = [session.engine, *(change["engine"] for change in session.changes)]
    if any(engine != ENGINE_HASH for engine in engines):
        names = ", ".join(dict.fromkeys(engine[:16] for engine in engines))
        yield f"recorded by engine {names}, replayed by {ENGINE_HASH[:16]}"
    for change in session.changes:
        what = "; ".join(change["changed"])
        yield f"from bar {change['bar']} on under other rules ({change['reason']}): {what}"
    for bar, frame in session.frames:
        yield f"from bar {bar} on with {len(decode_frame(frame).symbols)} symbols"
    for kind in ("duplicate", "revised", "late", "gap"):
        count = beside.get(kind, 0)
        if count:
            yield f"{count} {kind} bar{'s' if count > 1 else ''}" if kind != "gap" else f"{count} gaps"
