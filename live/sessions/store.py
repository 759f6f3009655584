"""Sessions in the journal: inputs, steps and the newest snapshot, in the caller's transaction.

A bar is whole or not there: what came in, what the step answered, and the state after it are written by one
transaction, so that whatever kills the process leaves the last whole bar behind. Several bars may share one
transaction where a replay is in a hurry.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, text, update
from sqlalchemy.dialects import sqlite

from journal import schema
from journal.database import Database
from journal.values import as_json
from simulator.errors import UnknownNameError, did_you_mean

__all__ = [
    "Note",
    "Segment",
    "SessionStore",
    "Snapshot",
    "Step",
    "StoredSession",
    "names_of",
    "note_data",
    "sealed",
]

_ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Segment:
    """Bars from `first` on that were stepped under the same rules and for the same symbols.

    `seal` is what the check sums of their inputs begin with.
    """

    first: int
    configuration: dict[str, Any]
    frame: bytes
    seal: bytes


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it was opened, and what was changed since, oldest first.

    `changes` are those of engine and configuration, `frames` the bars from which on it has more symbols, with
    their frames.
    """

    id: int
    name: str
    run_id: int
    created_ts: int
    engine: str
    configuration: dict[str, Any]
    changes: list[dict[str, Any]]
    frame: bytes
    frames: list[tuple[int, bytes]]

    @property
    def newest_frame(self) -> bytes:
        """The frame of the next bar."""
        return self.frames[-1][1] if self.frames else self.frame

    def segments(self) -> list[Segment]:
        """Return the parts of the session that have rules and symbols of their own, in their order."""
        rules = {0: self.configuration} | {int(one["bar"]): one["configuration"] for one in self.changes}
        frames = {0: self.frame} | dict(self.frames)
        segments, configuration, frame = [], self.configuration, self.frame
        for first in sorted({*rules, *frames}):
            configuration, frame = rules.get(first, configuration), frames.get(first, frame)
            said = json.dumps(configuration, sort_keys=True).encode() + b"\0" + frame
            segments.append(Segment(first, configuration, frame, hashlib.sha256(said).digest()))
        return segments


@dataclass(frozen=True, slots=True)
class Note:
    """What a caller stored beside a bar, to find it again.

    Attributes
    ----------
    bar, ts
        The last bar stepped when it was stored, its label in UTC nanoseconds; -1 and 0 before any.
    value
        Bytes, or values of JSON.
    """

    bar: int
    ts: int
    value: Any


@dataclass(frozen=True, slots=True)
class Step:
    """What was recorded of one bar."""

    bar: int
    ts: int
    code: int
    data: bytes
    """The piece: bars, signals, commands."""
    input: str
    state: str
    """SHA-256 of the piece under its rules (`sealed`), and of the state after the bar."""
    logs: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """From where a session goes on: bars seen, state, memory, and the closes before bar `closes_bars`."""

    bars: int
    state: bytes
    memory: bytes
    closes: bytes
    closes_bars: int


class SessionStore:
    """The rows of one session.

    Parameters
    ----------
    database
        The journal.
    name
        The session's name.
    """

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name

    def find(self, connection: Connection) -> StoredSession | None:
        """Return the session, or None where it was never opened."""
        row = connection.execute(_SESSION, {"key": self.name}).first()
        if row is None:
            return None
        frames = [(bar, data) for bar, _, data in self.noted(connection, row.id, "frame")]
        return StoredSession(
            row.id, row.name, row.run_id, row.created_ts, row.engine, json.loads(row.configuration),
            json.loads(row.changes), row.frame, frames,
        )  # fmt: skip

    def get(self, connection: Connection) -> StoredSession:
        """Return the session; `UnknownNameError` LIVE_SESSION with a near miss where there is none."""
        found = self.find(connection)
        if found is None:
            near = did_you_mean(self.name, names_of(connection)) or " It holds no session at all."
            raise UnknownNameError(
                f"the journal {self.database.name} has no session {self.name!r}.{near}", code="LIVE_SESSION"
            )
        return found

    def create(
        self,
        connection: Connection,
        *,
        engine: str,
        configuration: dict[str, Any],
        frame: bytes,
        first: Snapshot,
    ) -> StoredSession:
        """Open a session: its row, the run that its trades name, and the snapshot before the first bar."""
        now, plain = self.database.now(), as_json("the configuration", configuration)
        run_id = _added(
            connection,
            insert(schema.runs),
            {"created_ts": now, "source": "paper", "label": self.name, "config": plain},
        )
        values = {
            "name": self.name, "run_id": run_id, "created_ts": now, "engine": engine, "configuration": plain,
            "frame": frame,
        }  # fmt: skip
        session_id = _added(connection, insert(schema.sessions), values)
        connection.execute(insert(schema.snapshots), {"session_id": session_id, **_row_of(first)})
        return StoredSession(session_id, self.name, run_id, now, engine, configuration, [], frame, [])

    def change(self, connection: Connection, session: StoredSession, entry: dict[str, Any], ts: int) -> None:
        """Record that a session goes on under another engine or configuration."""
        session.changes.append(entry)
        connection.execute(
            update(schema.sessions)
            .where(schema.sessions.c.id == session.id)
            .values(changes=as_json("the changes", session.changes))
        )
        self.note(
            connection, session.id, int(entry["bar"]), "change", ts, as_json("a change", entry).encode()
        )

    def grow(self, connection: Connection, session: StoredSession, bar: int, ts: int, frame: bytes) -> None:
        """Record that a session has more symbols from a bar on."""
        self.note(connection, session.id, bar, "frame", ts, frame)

    def kept_notes(self, connection: Connection, session_id: int, after: int) -> list[Note]:
        """Return the notes of the bars after `after`, in their order."""
        return [
            Note(bar, ts, data[1:] if data[:1] == b"b" else json.loads(data[1:]))
            for bar, ts, data in self.noted(connection, session_id, "note", after)
        ]

    def note(
        self, connection: Connection, session_id: int, bar: int, kind: str, ts: int, data: bytes
    ) -> None:
        """Record what came in and was not stepped."""
        connection.execute(
            _INPUT, {"session_id": session_id, "bar": bar, "kind": kind, "ts": ts, "data": data}
        )

    def append(self, connection: Connection, session_id: int, steps: Sequence[Step]) -> None:
        """Store bars with their inputs and outputs."""
        _run(
            connection,
            _INPUT,
            [
                {"session_id": session_id, "bar": step.bar, "kind": "bar", "ts": step.ts, "data": step.data}
                for step in steps
            ],
        )
        _run(
            connection,
            _STEP,
            [
                {
                    "session_id": session_id, "bar": step.bar, "ts": step.ts, "code": step.code,
                    "input": step.input, "state": step.state, "logs": step.logs,
                }
                for step in steps
            ],
        )  # fmt: skip

    def log_equity(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Store what the account was worth at each bar, for SQL to ask for; replays read the steps."""
        if rows:
            _run(connection, _EQUITY, rows)

    def save(self, connection: Connection, session_id: int, snapshot: Snapshot, *, closes: bool) -> None:
        """Replace the snapshot; its closes only if they changed."""
        values = _row_of(snapshot)
        if not closes:
            del values["closes"], values["closes_bars"]
        statement = _SNAPSHOT_WITH_CLOSES if closes else _SNAPSHOT
        _run(
            connection,
            statement,
            [{"key": session_id, **{f"new_{name}": value for name, value in values.items()}}],
        )

    def remember(self, connection: Connection, session_id: int, memory: bytes) -> None:
        """Replace the memory of the snapshot alone."""
        connection.execute(
            update(schema.snapshots).where(schema.snapshots.c.session_id == session_id).values(memory=memory)
        )

    def snapshot(self, connection: Connection, session_id: int) -> Snapshot:
        """Return the newest snapshot."""
        table = schema.snapshots
        row = connection.execute(select(table).where(table.c.session_id == session_id)).one()
        return Snapshot(row.bars, row.state, row.memory, row.closes, row.closes_bars)

    def pieces(self, connection: Connection, session_id: int, first: int = 0) -> Iterator[bytes]:
        """Yield the inputs of the bars from `first` on."""
        table = schema.inputs
        query = (
            select(table.c.data)
            .where(table.c.session_id == session_id, table.c.kind == "bar", table.c.bar >= first)
            .order_by(table.c.bar)
        )
        for row in connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)):
            yield row.data

    def at(self, connection: Connection, session_id: int, ts: int) -> tuple[int, bytes] | None:
        """Return number and input of the bar with this label."""
        table, steps = schema.inputs, schema.steps
        bar = connection.execute(
            select(steps.c.bar).where(steps.c.session_id == session_id, steps.c.ts == ts)
        ).scalar()
        if bar is None:
            return None
        data = connection.execute(
            select(table.c.data).where(
                table.c.session_id == session_id, table.c.kind == "bar", table.c.bar == bar
            )
        ).scalar()
        return None if data is None else (bar, data)

    def steps(self, connection: Connection, session_id: int) -> Iterator[Step]:
        """Yield what was recorded of each bar, in their order."""
        inputs, steps = schema.inputs, schema.steps
        both = (
            (inputs.c.session_id == steps.c.session_id) & (inputs.c.bar == steps.c.bar)
            & (inputs.c.kind == "bar")
        )  # fmt: skip
        query = (
            select(steps, inputs.c.data)
            .select_from(steps.join(inputs, both))
            .where(steps.c.session_id == session_id)
            .order_by(steps.c.bar)
        )
        for row in connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)):
            yield Step(row.bar, row.ts, row.code, row.data, row.input, row.state, row.logs)

    def bars_in(self, connection: Connection, session_id: int, snapshot: Snapshot) -> int:
        """Return how many bars the session has by whichever of its tables says most."""
        inputs, steps = schema.inputs, schema.steps
        last = [
            connection.execute(query).scalar()
            for query in (
                select(func.max(inputs.c.bar)).where(
                    inputs.c.session_id == session_id, inputs.c.kind == "bar"
                ),
                select(func.max(steps.c.bar)).where(steps.c.session_id == session_id),
            )
        ]
        return max(snapshot.bars, *(0 if bar is None else int(bar) + 1 for bar in last))

    def beside(self, connection: Connection, session_id: int) -> dict[str, int]:
        """Return how much there is beside the bars, by kind: what was refused, gaps, changes."""
        table = schema.inputs
        query = (
            select(table.c.kind, func.count())
            .where(table.c.session_id == session_id, _BESIDE)
            .group_by(table.c.kind)
        )
        return {kind: count for kind, count in connection.execute(query)}

    def noted(
        self, connection: Connection, session_id: int, kind: str, after: int = -2
    ) -> list[tuple[int, int, bytes]]:
        """Return what there is of a kind, of bars after `after`, as (bar, time, data), oldest first."""
        table = schema.inputs
        query = (
            select(table.c.bar, table.c.ts, table.c.data)
            .where(table.c.session_id == session_id, _BESIDE, table.c.kind == kind, table.c.bar > after)
            .order_by(table.c.id)
        )
        return [(row.bar, row.ts, row.data) for row in connection.execute(query)]


def sealed(seal: bytes, data: bytes) -> str:
    """SHA-256 of a piece under its rules: a changed bar shows, and so does a changed limit."""
    return hashlib.sha256(seal + data).hexdigest()


def note_data(value: Any) -> bytes:
    """Return a note as it is stored; `DataError` JOURNAL_VALUE for what is neither bytes nor JSON."""
    return b"b" + value if isinstance(value, bytes) else b"j" + as_json("a note", value).encode()


def names_of(connection: Connection) -> list[str]:
    """Return the names of all sessions, oldest first."""
    return list(connection.execute(select(schema.sessions.c.name).order_by(schema.sessions.c.id)).scalars())


_BESIDE: Final = text("inputs.kind <> 'bar'")  # in these words, which the index has
_SESSION: Final = select(schema.sessions).where(schema.sessions.c.name == bindparam("key"))
# Written once, because making a statement costs more than running it.
_INPUT: Final = insert(schema.inputs)
_STEP: Final = insert(schema.steps)
_EQUITY: Final = insert(schema.equity)
_CHANGING: Final[dict[str, Any]] = {name: bindparam(f"new_{name}") for name in ("bars", "state", "memory")}
_SNAPSHOT: Final = (
    update(schema.snapshots).where(schema.snapshots.c.session_id == bindparam("key")).values(_CHANGING)
)
_SNAPSHOT_WITH_CLOSES: Final = _SNAPSHOT.values(
    {name: bindparam(f"new_{name}") for name in ("closes", "closes_bars")}
)


def _run(connection: Connection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Execute a statement for rows with the same keys, past what SQLAlchemy does anew every time."""
    if connection.dialect.name != "sqlite":
        connection.execute(statement, rows)
        return
    words, order = _in_words(statement, tuple(rows[0]))
    given = [tuple(row[name] for name in order) for row in rows]
    connection.exec_driver_sql(words, given if len(given) > 1 else given[0])


@functools.lru_cache(maxsize=16)
def _in_words(statement: Any, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return a statement as SQLite reads it, and the names of its places in their order."""
    compiled: Any = statement.compile(dialect=sqlite.dialect(), column_keys=list(names))
    return str(compiled), tuple(compiled.positiontup)


def _row_of(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "bars": snapshot.bars, "state": snapshot.state, "memory": snapshot.memory, "closes": snapshot.closes,
        "closes_bars": snapshot.closes_bars,
    }  # fmt: skip


def _added(connection: Connection, statement: Any, values: dict[str, Any]) -> int:
    key: Any = connection.execute(statement, values).inserted_primary_key
    return int(key[0])
