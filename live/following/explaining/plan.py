"""What the plan of a session did, trade by trade: its fills in their order, read from the recorded logs.

Nothing is stepped again, the receipt does that: what is read here is what was recorded. Fills of before a
split are counted in shares of after it, so that what went in and what went out of a position can be compared;
their value is the same. A position that is still open ends with its mark.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import fsum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from live.following.explaining.values import DUST, MARK, Case, Course, Piece, Written
from live.sessions.frames import decode_frame
from live.sessions.recording import decode_piece, unpack
from live.sessions.store import SessionStore
from simulator.bars.arrays import stamp
from simulator.bars.clock import session_times
from simulator.kernel import codes
from simulator.kernel.state import State, from_bytes
from simulator.types import ExitReason, Reason

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.sessions.recording import Piece as Recorded
    from simulator.bars import Bars

__all__ = ["Plan", "Timeline", "read_plan"]

Records = npt.NDArray[np.void]

_ENDS: Final = {
    codes.ORDER_CANCELLED: "cancelled",
    codes.ORDER_EXPIRED: "expired",
    codes.ORDER_REJECTED: "rejected",
    codes.ORDER_FILLED: "filled",
}
_SHRINKING: Final = (codes.REASON_FILL_BUYING_POWER, codes.REASON_VOLUME_CAP)
_REASONS: Final = Reason.labels()
_EXITS: Final = ExitReason.labels()


@dataclass(slots=True)
class Timeline:
    """The bars of a session, to say in which one something happened.

    Attributes
    ----------
    ts, closes
        Label and end of each bar, UTC nanoseconds.
    ranges
        By symbol and bar: low and high; only for the symbols that were followed.
    """

    ts: list[int] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)
    ranges: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    daily: bool = True

    def row_of(self, ts: int, symbol: str, price: float) -> int:
        """Return the bar of a fill, as many as there are bars for what came after them.

        The instant in which one bar ends and the next begins is of the first that has known the price: what
        rested through a bar can fill at its very end only at prices of that bar.
        """
        row = bisect_left(self.closes, ts)
        ends = row + 1 < len(self.ts) and self.closes[row] == ts
        later = ends and self.outside(symbol, row, price) and not self.outside(symbol, row + 1, price)
        return row + 1 if later else row

    def row_of_label(self, ts: int) -> int:
        """Return the bar with a label, -1 for one of before the session."""
        return bisect_right(self.ts, ts) - 1

    def label(self, row: int) -> str:
        """Return a bar's label in words."""
        if not 0 <= row < len(self.ts):
            return "the bar that is not complete yet"
        return stamp(self.ts[row])

    def outside(self, symbol: str, row: int, price: float) -> str:
        """Return in words what a bar knows of prices where this one is none of them, "" where it is."""
        low, high = self.ranges.get((symbol, row), (-np.inf, np.inf))
        if low - DUST <= price <= high + DUST:
            return ""
        return f"the bar knows {low:g} to {high:g}"


@dataclass(slots=True)
class Plan:
    """What a session planned.

    Attributes
    ----------
    cases
        Trades and open positions in the order of their entries; without anything of the broker yet.
    written
        How each entry order stands, by its number.
    sides, strategies, signals
        By number of the order.
    marks
        Last known price by symbol, for what is open at the broker only.
    """

    bars: Timeline
    cases: list[Case]
    written: dict[int, Written]
    sides: dict[int, int]
    strategies: dict[int, str]
    signals: dict[int, int]
    marks: dict[str, float]


def read_plan(store: SessionStore, connection: Connection, symbols: Iterable[str]) -> Plan:
    """Read what a session's plan traded.

    Parameters
    ----------
    symbols
        Those of which the prices of bars are wanted.

    Raises
    ------
    UnknownNameError
        LIVE_SESSION.
    EngineError
        LIVE_RECORDING for a damaged recording.
    """
    session = store.get(connection)
    frames = [(one.first, decode_frame(one.frame)) for one in session.segments()]
    reading = _Reading(frames[-1][1], set(symbols))
    for step in store.steps(connection, session.id):
        shared = next(frame for first, frame in reversed(frames) if first <= step.bar)
        reading.take(step.bar, decode_piece(step.data, shared), unpack(step.logs)[0])
    return reading.plan(from_bytes(store.snapshot(connection, session.id).state))


class _Reading:
    def __init__(self, like: Bars, symbols: set[str]) -> None:
        self.like = like
        self.columns = [(column, name) for column, name in enumerate(like.symbols) if name in symbols]
        self.bars = Timeline(daily=like.daily)
        self.sessions: list[int] = []
        self.fills: dict[int, list[tuple[int, np.void]]] = {}
        self.closed: dict[int, np.void] = {}
        self.splits: dict[int, list[tuple[int, int, float]]] = {}
        self.written: dict[int, Written] = {}
        self.sides: dict[int, int] = {}
        self.strategies: dict[int, str] = {}
        self.signals: dict[int, int] = {}
        self.multipliers: dict[int, float] = {}  # of packages, by signal
        self.marks: dict[str, float] = {}
        self.seen = 0

    def take(self, bar: int, piece: Recorded, logs: dict[str, Records]) -> None:
        """Take in a bar."""
        self.bars.ts.append(piece.ts)
        self.bars.closes.append(0 if self.like.daily else int(piece.bars.close_ts[0]))
        self.sessions.append(int(piece.bars.session[0]))
        width = piece.bars.panel.shape[1]
        for column, name in self.columns:
            if column < width and not np.isnan(piece.bars.panel[0, column, 3]):
                _, high, low, close = piece.bars.panel[0, column, :4].tolist()
                self.bars.ranges[name, bar] = (low, high)
                self.marks[name] = close
        self._judged(piece, logs.get("verdicts", ()))
        for fill in logs.get("fills", ()):
            self.fills.setdefault(int(fill["position"]), []).append((bar, fill))
        for trade in logs.get("trades", ()):
            self.closed[int(trade["id"])] = trade
        for event in logs.get("events", ()):
            self._event(bar, event)

    def _judged(self, piece: Recorded, verdicts: Any) -> None:
        for number, record in enumerate(piece.signals.records, self.seen):
            package = int(record["package"]) - 1
            if package >= 0:
                self.multipliers[number] = float(piece.signals.packages[package]["multiplier"])
        names = piece.signals.strategies
        for verdict in verdicts:
            order, code = int(verdict["order"]), int(verdict["strategy"])
            if verdict["granted"] > 0 and verdict["side"]:
                self.sides[order] = int(verdict["side"])
                self.strategies[order] = names[code] if code < len(names) else ""
                self.signals[order] = int(verdict["signal"])
                self.written[order] = Written("working", asked=float(verdict["granted"]))
        self.seen += len(piece.signals.records)

    def _event(self, bar: int, event: np.void) -> None:
        order, reason = int(event["order"]), int(event["reason"])
        if reason == codes.REASON_SPLIT and event["position"] >= 0:
            split = (self.bars.ts[-1], bar, float(event["price"]))
            self.splits.setdefault(int(event["position"]), []).append(split)
            return
        known = self.written.get(order)
        if known is None or event["kind"] != codes.KIND_ENTRY:
            return
        label = _REASONS.get(reason, "")
        shrunk = label if reason in _SHRINKING else known.shrunk
        state = _ENDS.get(int(event["state"]), "working")
        self.written[order] = Written(state, "" if label == "none" else label, bar, known.asked, shrunk)

    def plan(self, state: State) -> Plan:
        """Return what was read, with what is open by the newest state."""
        if self.like.daily:
            ends = session_times(self.like.calendar, np.array(self.sessions, np.int64))[1]
            self.bars.closes = ends.tolist()
        held = {int(one["id"]): one for one in state.positions[state.positions["live"] == 1]}
        working = {int(one["id"]) for one in state.orders[state.orders["live"] == 1]}
        for order, one in self.written.items():
            if one.state == "working" and order not in working:
                self.written[order] = Written("filled", one.reason, one.row, one.asked, one.shrunk)
        cases = [self._case(position, held.get(position)) for position in sorted(self.fills)]
        return Plan(self.bars, cases, self.written, self.sides, self.strategies, self.signals, self.marks)

    def _case(self, position: int, held: np.void | None) -> Case:
        fills = self.fills[position]
        first = fills[0][1]
        symbol, order, signal = self.like.symbols[first["sym"]], int(first["order"]), int(first["signal"])
        assigned = first["reason"] == codes.EXIT_ASSIGNMENT
        package = signal in self.multipliers and not assigned
        multiplier = 1.0
        if package:
            multiplier = self.multipliers[signal]
        elif not assigned:
            multiplier = float(self.like.instruments["multiplier"][first["sym"]])
        splits = self.splits.get(position, [])
        entries = [self._piece(fill, bar, splits) for bar, fill in fills if _opens(fill)]
        exits = [self._piece(fill, bar, splits) for bar, fill in fills if not _opens(fill)]
        trade = self.closed.get(position)
        mark = self.marks.get(symbol)
        record = held if held is not None else trade
        if held is not None:
            mark = float(held["mark"])
            exits.append(Piece(float(held["qty"]), mark, self.bars.ts[-1], len(self.bars.ts) - 1, MARK))
        elif package and exits:
            mark = exits[-1].price
        course = Course(int(first["side"]), multiplier, tuple(entries), tuple(exits))
        if record is not None:
            course = _with_money(course, record)
        return Case(
            symbol, int(first["side"]), self.strategies.get(order, ""), multiplier, package,
            trade=position, order=order, signal=signal, begins=int(first["ts"]), plan=course, splits=splits,
            written=self.written.get(order), mark=mark,
        )  # fmt: skip

    def _piece(self, fill: np.void, bar: int, splits: list[tuple[int, int, float]]) -> Piece:
        ratio = 1.0
        for _, row, each in splits:
            ratio *= each if bar < row else 1.0
        what = _EXITS.get(int(fill["reason"]), "exit")
        if _opens(fill):
            what = "add" if fill["kind"] == codes.KIND_ADD else "entry"
            what = "assignment" if fill["reason"] == codes.EXIT_ASSIGNMENT else what
        late = (codes.PRICE_CLOSE, codes.PRICE_QUOTE, codes.PRICE_MODEL)
        return Piece(
            float(fill["qty"]) * ratio, float(fill["price"]) / ratio, int(fill["ts"]), bar, what,
            fee=float(fill["fee"]), at_close=int(fill["rule"]) in late,
        )  # fmt: skip


def _opens(fill: np.void) -> bool:
    return int(fill["kind"]) in (codes.KIND_ENTRY, codes.KIND_ADD)


def _with_money(course: Course, record: np.void) -> Course:
    """Return the course with what belongs to no fill: dividends, and shares that options became.

    `record` is that of the position or of the closed trade, whose profit has the last word.
    """
    dividends = float(record["dividends"])
    names = record.dtype.names or ()
    if "pnl" in names:
        profit = float(record["pnl"])
    else:
        gain = (float(record["mark"]) - float(record["entry_price"])) * course.side * float(record["qty"])
        profit = float(record["realized"]) + gain * course.multiplier - float(record["fees"]) + dividends
    course = Course(course.side, course.multiplier, course.entries, course.exits, dividends)
    other = fsum((profit, -course.profit))
    worth = max(1.0, abs(course.multiplier * fsum(one.quantity * one.price for one in course.entries)))
    if abs(other) <= 1e-9 * worth:
        return course  # rounding of sums
    return Course(course.side, course.multiplier, course.entries, course.exits, dividends, other)
