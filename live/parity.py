"""The receipt: a session's recorded inputs, replayed through the backtest driver, byte for byte.

`verify_parity` reads what a session recorded, runs it as one backtest over all bars, and compares: the state
after every bar, every row of every log. It says where the first difference is and what it is: which bar,
which log, which row, which field, what was recorded and what the replay gave. Inputs are checked against
their own check sums, so that a bar that was changed afterwards is named as such; limits and engine are
compared with those that the session was left with.

A session that went on under other rules (`accept_change`) is replayed piece by piece: the first under the
rules it was opened with, each further one from the state before it. What an engine that is gone has done
cannot be done again; where its bytes differ, the receipt says so.

>>> receipt = verify_parity("paper.db", "paper")   # doctest: +SKIP
>>> receipt.ok   # doctest: +SKIP
True
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from journal.database import Database
from live.account import Account, Rules, identity
from live.history import History
from live.recording import Piece, decode_frame, decode_piece, one_set, unpack
from live.session import HasDatabase
from live.store import SessionStore, Step, StoredSession, sealed
from simulator.bars.arrays import stamp
from simulator.engine import Run
from simulator.errors import EngineError
from simulator.kernel._jit import ENGINE_HASH
from simulator.kernel.state import LOG_NAMES, State

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Difference", "Receipt", "verify_parity"]

Records = npt.NDArray[np.void]

_WHAT: Final = {
    "rules": "limits, costs, conventions or instruments are not those that were stepped under",
    "input": "an input is not the one that was stepped",
    "fills": "a fill differs",
    "trades": "a closed trade differs",
    "verdicts": "a verdict differs",
    "events": "an event differs",
    "equity": "the equity differs",
    "state": "the state differs",
    "snapshot": "the newest snapshot is not the state after the last bar",
    "bars": "bars are missing",
    "replay": "the replay stopped",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where recording and replay part.

    Attributes
    ----------
    bar, ts
        Number and label of the bar.
    log
        "fills", "trades", "verdicts", "events", "equity", "state", "snapshot", "rules", "input",
        "bars" or "replay".
    row
        Row of the log within the bar; -1 where it is no row.
    field
        Field of the row; empty where a row is missing on one side.
    recorded, replayed
        What each side says.
    """

    bar: int
    ts: int
    log: str
    row: int
    field: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        """One sentence."""
        place = f"bar {self.bar} ({stamp(self.ts)}): {_WHAT[self.log]}"
        if self.row >= 0:
            place += f", row {self.row}"
        if self.field:
            place += f", {self.field}"
        return f"{place}: recorded {self.recorded}, replayed {self.replayed}"


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
        steps = list(store.steps(connection, session.id))
        snapshot = store.snapshot(connection, session.id)
        notes = store.notes(connection, session.id)
    replay = _Replay(session, steps)
    difference = replay.run()
    if difference is None and steps:
        difference = _snapshot_difference(steps[-1], snapshot.bars, snapshot.state)
    return Receipt(
        session=name,
        journal=database.name,
        bars=replay.bars,
        rows=replay.rows,
        engine=ENGINE_HASH,
        configuration=_digest([json.dumps(session.configuration, sort_keys=True).encode()]),
        data=_digest(step.data for step in steps),
        result=replay.result.hexdigest(),
        difference=difference,
        notes=tuple(_told(session, notes)),
    )


class _Replay:
    """A session's bars, run again."""

    def __init__(self, session: StoredSession, steps: Sequence[Step]) -> None:
        self.session = session
        self.steps = steps
        self.bars = self.rows = 0
        self.result = hashlib.sha256()
        self._like = decode_frame(session.frame)

    def run(self) -> Difference | None:
        """Replay until the first difference."""
        for index, step in enumerate(self.steps):
            if step.bar != index:
                return _plain(index, step.ts, "bars", f"bar {index}", f"only bar {step.bar}")
        pieces: list[Piece] = []
        for step in self.steps:
            try:
                pieces.append(decode_piece(step.data, self._like))
            except EngineError as error:
                return _plain(step.bar, step.ts, "input", step.input[:16], str(error))
        found = self._compare(pieces)
        broken = self._broken_seal()
        if broken is not None and (found is None or found.bar >= broken.bar):
            return broken if found is None else replace(broken, replayed=f"{broken.replayed}; then {found}")
        return found

    def _compare(self, pieces: Sequence[Piece]) -> Difference | None:
        changes = self.session.changes
        edges = [0, *(int(change["bar"]) for change in changes), len(pieces)]
        rules = [self.session.configuration, *(change["configuration"] for change in changes)]
        history = History(self._like)
        for piece in pieces:
            history.extend(piece.bars)
        bars = history.bars()
        state: State | None = None
        for part, plain in enumerate(rules):
            first, last = edges[part], edges[part + 1]
            if first == last:
                continue
            if first == 0:
                driver: _Driver = _Whole(bars[:last], pieces[:last], Rules.of(plain))
            else:
                driver = _Further(bars[:first], pieces[first:last], Rules.of(plain), state)
            found = self._follow(driver, first, last)
            if found is not None:
                return found
            state = driver.state
        return None

    def _broken_seal(self) -> Difference | None:
        """Return the first bar whose input, or whose rules, are not those that were stepped."""
        seals = self.session.seals()
        edges = [0, *(int(change["bar"]) for change in self.session.changes), len(self.steps)]
        for part, seal in enumerate(seals):
            steps = self.steps[edges[part] : edges[part + 1]]
            broken = [step for step in steps if sealed(seal, step.data) != step.input]
            if broken:
                what = "rules" if len(broken) == len(steps) else "input"
                now = sealed(seal, broken[0].data)
                return _plain(broken[0].bar, broken[0].ts, what, broken[0].input[:16], now[:16])
        return None

    def _follow(self, driver: _Driver, first: int, last: int) -> Difference | None:
        for bar in range(first, last):
            step = self.steps[bar]
            try:
                logs = driver.step()
            except EngineError as error:
                return _plain(bar, step.ts, "replay", f"state {step.state[:16]}", str(error))
            recorded, _ = unpack(step.logs)
            for name in LOG_NAMES:
                rows = recorded.get(name, logs[name][:0])
                found = _rows_differ(bar, step.ts, name, rows, logs[name])
                if found is not None:
                    return found
                self.rows += len(rows)
                self.result.update(rows.tobytes())
            state = identity(driver.state)
            if state != step.state:
                return _plain(bar, step.ts, "state", step.state[:16], state[:16])
            self.result.update(state.encode())
            self.bars += 1
        return None


class _Driver(Protocol):
    """Something that steps the recorded bars, one after another."""

    @property
    def state(self) -> State: ...

    def step(self) -> dict[str, Records]:
        """Step the next bar and return what it logged."""
        ...


class _Whole:
    """The backtest driver: one `Run` over all bars."""

    def __init__(self, bars: Bars, pieces: Sequence[Piece], rules: Rules) -> None:
        signals, commands = one_set(pieces)
        signals.keep_ready(bars, signals.records, -1)
        self._run = Run(bars, signals, commands=commands, **rules.arguments())

    @property
    def state(self) -> State:
        return self._run.state

    def step(self) -> dict[str, Records]:
        self._run.step()
        return self._run.books.take()


class _Further:
    """The driver of chunks, from a state on."""

    def __init__(self, before: Bars, pieces: Sequence[Piece], rules: Rules, state: State | None) -> None:
        assert state is not None  # noqa: S101 - a further part has one before it
        self._account = Account(before[0:0], rules, state=State(*(array.copy() for array in state)))
        self._account.look_back(before)
        self._pieces = iter(pieces)

    @property
    def state(self) -> State:
        return self._account.state

    def step(self) -> dict[str, Records]:
        piece = next(self._pieces)
        return next(self._account.each(piece.bars, [piece]))[1]


def _rows_differ(bar: int, ts: int, name: str, recorded: Any, replayed: Any) -> Difference | None:
    if recorded.tobytes() == replayed.tobytes():
        return None
    for row in range(min(len(recorded), len(replayed))):
        for field in recorded.dtype.names:
            one, other = recorded[field][row], replayed[field][row]
            if one.tobytes() != other.tobytes():
                return Difference(bar, ts, name, row, field, repr(one.item()), repr(other.item()))
    row = min(len(recorded), len(replayed))
    return Difference(bar, ts, name, row, "", _row_text(recorded, row), _row_text(replayed, row))


def _row_text(rows: Any, row: int) -> str:
    if row >= len(rows):
        return "no such row"
    given = {name: rows[name][row].item() for name in rows.dtype.names}
    return ", ".join(f"{name} {value:g}" for name, value in given.items() if value == value and value != 0)


def _snapshot_difference(last: Step, bars: int, state: bytes) -> Difference | None:
    from simulator.kernel.state import from_bytes

    if bars != last.bar + 1:
        return _plain(last.bar, last.ts, "snapshot", f"{bars} bars", f"{last.bar + 1} bars")
    try:
        found = identity(from_bytes(state))
    except EngineError as error:
        found = str(error)
    if found != last.state:
        return _plain(last.bar, last.ts, "snapshot", found[:16], last.state[:16])
    return None


def _plain(bar: int, ts: int, log: str, recorded: str, replayed: str) -> Difference:
    return Difference(bar, ts, log, -1, "", recorded, replayed)


def _told(session: StoredSession, notes: Sequence[tuple[int, str, int, bytes]]) -> Iterator[str]:
    engines = [session.engine, *(change["engine"] for change in session.changes)]
    if any(engine != ENGINE_HASH for engine in engines):
        names = ", ".join(dict.fromkeys(engine[:16] for engine in engines))
        yield f"recorded by engine {names}, replayed by {ENGINE_HASH[:16]}"
    for change in session.changes:
        what = "; ".join(change["changed"])
        yield f"from bar {change['bar']} on under other rules ({change['reason']}): {what}"
    for kind in ("duplicate", "revised", "late", "gap"):
        count = sum(1 for _, found, _, _ in notes if found == kind)
        if count:
            yield f"{count} {kind} bar{'s' if count > 1 else ''}" if kind != "gap" else f"{count} gaps"


def _digest(parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
