"""A session's recorded bars, run again a few thousand at a time, and the first place where they part.

The first stretch goes through `Run`, the backtest driver, whose market holds all of its bars at once; the
state is handed on to the driver of chunks, and from there from stretch to stretch. The session itself stepped
markets of one bar: what is compared are different ways over the same step.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from live.sessions.account import Account, Rules, identity
from live.sessions.frames import decode_frame
from live.sessions.history import History
from live.sessions.recording import Piece, decode_piece, one_set, unpack
from live.sessions.segments import handed_on
from live.sessions.store import Segment, SessionStore, Step, StoredSession, sealed
from simulator.bars.arrays import stamp
from simulator.engine import Run
from simulator.errors import EngineError
from simulator.kernel.state import LOG_NAMES, State, from_bytes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from simulator.bars import Bars

__all__ = ["Difference", "Replay", "bars_missing", "snapshot_difference"]

Records = npt.NDArray[np.void]

_ROWS: Final = 4_096
_CELLS: Final = 400_000
"""Bars of a stretch at most, and bars times symbols."""

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


class Replay:
    """A session's bars, run again.

    Attributes
    ----------
    bars, rows
        Bars and rows of logs that were equal.
    data, result
        SHA-256 of all recorded inputs, and of the logs and states that were equal.
    last
        The last bar recorded.
    """

    def __init__(self, store: SessionStore, connection: Connection, session: StoredSession) -> None:
        self.bars = self.rows = 0
        self.data, self.result = hashlib.sha256(), hashlib.sha256()
        self.last: Step | None = None
        self._store, self._connection, self._session = store, connection, session
        self._account: Account | None = None
        self._broken: Difference | None = None  # the first input that is not the one that was stepped
        self._index = 0

    def run(self) -> Difference | None:
        """Replay until the first difference."""
        steps = self._steps()
        found = next(filter(None, self._stretches(steps)), None)
        for _ in steps:
            pass  # the rest counts for what the data was
        broken = self._broken
        if broken is not None and (found is None or found.bar >= broken.bar):
            return broken if found is None else replace(broken, replayed=f"{broken.replayed}; then {found}")
        return found

    def _steps(self) -> Iterator[Step]:
        for step in self._store.steps(self._connection, self._session.id):
            self.data.update(step.data)
            self.last = step
            yield step

    def _stretches(self, steps: Iterator[Step]) -> Iterator[Difference | None]:
        segments = self._session.segments()
        for segment, following in itertools.zip_longest(segments, segments[1:]):
            like = decode_frame(segment.frame)
            at, last = segment.first, None if following is None else following.first
            most = max(1, min(_ROWS, _CELLS // len(like.symbols)))
            while last is None or at < last:
                count = most if last is None else min(most, last - at)
                part = list(itertools.islice(steps, count))
                if not part:
                    return
                yield self._stretch(segment, like, part, at)
                at += count

    def _stretch(self, segment: Segment, like: Bars, steps: list[Step], first: int) -> Difference | None:
        """Step some bars of one segment and compare."""
        missing = next((index for index, step in enumerate(steps, first) if step.bar != index), None)
        if missing is not None:
            step = steps[missing - first]
            late = _plain(missing, step.ts, "bars", f"bar {missing}", f"only bar {step.bar}")
            steps = steps[: missing - first]
            return (self._stretch(segment, like, steps, first) if steps else None) or late
        self._check_seals(segment, steps)
        pieces: list[Piece] = []
        history = History(like)
        for step in steps:
            try:
                pieces.append(decode_piece(step.data, like))
            except EngineError as error:
                return _plain(step.bar, step.ts, "input", step.input[:16], str(error))
            history.extend(pieces[-1].bars)
        bars, rules = history.bars(), Rules.of(segment.configuration)
        if first:
            account = self._account
            assert account is not None  # noqa: S101 - a further stretch has one before it
            if first == segment.first:
                account = handed_on(self._store, self._connection, self._session, account, segment, like)
            self._account = account
            return self._follow(steps, _states(account, account.each(bars, pieces)))
        run = _whole(bars, pieces, rules)
        found = self._follow(steps, _runs(run, len(bars)))
        self._account = Account(like, rules, state=run.state)
        self._account.look_back(bars)
        return found

    def _check_seals(self, segment: Segment, steps: Sequence[Step]) -> None:
        """Note the first bar whose input, or whose rules, are not those that were stepped."""
        if self._broken is not None:
            return
        broken = [step for step in steps if sealed(segment.seal, step.data) != step.input]
        if broken:
            whole = len(broken) == len(steps) and broken[0].bar == segment.first
            now = sealed(segment.seal, broken[0].data)
            self._broken = _plain(
                broken[0].bar, broken[0].ts, "rules" if whole else "input", broken[0].input[:16], now[:16]
            )

    def _follow(
        self, steps: Sequence[Step], stepped: Iterator[tuple[dict[str, Records], State]]
    ) -> Difference | None:
        for step in steps:
            try:
                logs, state = next(stepped)
            except EngineError as error:
                return _plain(step.bar, step.ts, "replay", f"state {step.state[:16]}", str(error))
            recorded, _ = unpack(step.logs)
            for name in LOG_NAMES:
                rows = recorded.get(name, logs[name][:0])
                found = _rows_differ(step.bar, step.ts, name, rows, logs[name])
                if found is not None:
                    return found
                self.rows += len(rows)
                self.result.update(rows.tobytes())
            now = identity(state)
            if now != step.state:
                return _plain(step.bar, step.ts, "state", step.state[:16], now[:16])
            self.result.update(now.encode())
            self.bars += 1
        return None


def bars_missing(last: Step | None, bars: int, ts: int) -> Difference | None:
    """Compare how many bars the session has with the steps that were read, which have no hole.

    Parameters
    ----------
    last
        The last step; None where none could be read.
    bars
        Bars that the session has, by all of its tables.
    ts
        Label of its newest bar by the snapshot, for the message.
    """
    found = 0 if last is None else last.bar + 1
    if found >= bars:
        return None
    return _plain(found, ts if last is None else last.ts, "bars", f"{bars} bars", f"only {found} can be read")


def snapshot_difference(last: Step, bars: int, state: bytes) -> Difference | None:
    """Compare the newest snapshot with the last step."""
    if bars != last.bar + 1:
        return _plain(last.bar, last.ts, "snapshot", f"{bars} bars", f"{last.bar + 1} bars")
    try:
        found = identity(from_bytes(state))
    except EngineError as error:
        found = str(error)
    if found != last.state:
        return _plain(last.bar, last.ts, "snapshot", found[:16], last.state[:16])
    return None


def _whole(bars: Bars, pieces: Sequence[Piece], rules: Rules) -> Run:
    signals, commands = one_set(pieces)
    signals.keep_ready(bars, signals.records, -1)
    return Run(bars, signals, commands=commands, **rules.arguments())


def _runs(run: Run, bars: int) -> Iterator[tuple[dict[str, Records], State]]:
    for _ in range(bars):
        run.step()
        yield run.books.take(), run.state


def _states(
    account: Account, stepped: Iterator[tuple[int, dict[str, Records]]]
) -> Iterator[tuple[dict[str, Records], State]]:
    for _, logs in stepped:
        yield logs, account.state


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


def _plain(bar: int, ts: int, log: str, recorded: str, replayed: str) -> Difference:
    return Difference(bar, ts, log, -1, "", recorded, replayed)
