"""What a session did, laid over other bars: its signals and commands by row, its trades and verdicts.

A bar of the session belongs to the bar of the other market in which it closes, because that is where what it
told is known. The session's own prices are put together over those bars, so that a difference of the prices
themselves can be told from one of their fineness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from live.sessions.account import Account, Rules
from live.sessions.frames import decode_frame
from live.sessions.recording import Piece, decode_piece, one_set, unpack
from live.sessions.store import SessionStore, StoredSession
from simulator.bars.arrays import stamp
from simulator.bars.clock import session_times
from simulator.commands import Command
from simulator.errors import ConfigError, DataError
from simulator.kernel.dtypes import TRADE, VERDICT
from simulator.kernel.state import from_bytes, joined
from simulator.signals import Signals

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from simulator.bars import Bars

__all__ = ["Recorded", "read_session", "recorded_signals"]

Records = npt.NDArray[np.void]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass
class Recorded:
    """A session over the rows of other bars.

    Attributes
    ----------
    bars
        The other bars, as far as the session went.
    like
        What the session's bars share.
    rules
        Those that it was left with.
    ts, row
        Label of each bar of the session, and the row in which it closes; (B,).
    signals, signal_bar
        Everything that was judged, in its order, and the bar of each.
    commands
        By time of the row to which they belong.
    trades, verdicts
        What the step answered; positions still open are trades at their mark, exit reason "end of data".
    prices
        The session's own prices over the rows, shape (T, S, 4), NaN where it had no bar; symbols of `like`.
    counts
        Bars of the session in each row, (T,).
    noted
        By row: "late", "revised", "gap".
    segments
        How often rules or symbols were changed on the way.
    """

    bars: Bars
    like: Bars
    rules: Rules
    ts: Ints
    row: Ints
    signals: Signals
    signal_bar: Ints
    commands: list[Command]
    trades: Records
    verdicts: Records
    prices: Floats
    counts: Ints
    noted: dict[int, set[str]] = field(default_factory=dict)
    segments: int = 1

    def row_of(self, ts: int) -> int:
        """Return the row of a bar of the session."""
        return int(self.row[np.searchsorted(self.ts, ts)])


def read_session(store: SessionStore, connection: Connection, bars: Bars) -> Recorded:
    """Read a session from the journal and lay it over `bars`.

    Raises
    ------
    ConfigError
        LIVE_COMPARE for a session without bars, or bars that are finer than its own.
    DataError
        LIVE_COMPARE for bars that do not reach over the session.
    """
    session = store.get(connection)
    segments = session.segments()
    frames = [(one.first, decode_frame(one.frame)) for one in segments]
    like = frames[-1][1]
    if like.daily and not bars.daily:
        raise ConfigError(
            f"session {session.name!r} was stepped by {_kind(like)} bars, and {bars.name} has {_kind(bars)} "
            "ones; compare it with bars that are as coarse or coarser",
            code="LIVE_COMPARE",
        )
    ts, sessions, closes, panels = [], [], [], []
    pieces: list[Piece] = []  # without their bars, once these are read
    given: list[tuple[int, Command]] = []
    trades, verdicts, signal_bar = [], [], []
    for step in store.steps(connection, session.id):
        shared = next(frame for first, frame in reversed(frames) if first <= step.bar)
        piece = decode_piece(step.data, shared)
        ts.append(piece.ts)
        sessions.append(int(piece.bars.session[0]))
        closes.append(0 if like.daily else int(piece.bars.close_ts[0]))
        panel = np.full((len(like.symbols), 4), np.nan)
        panel[: len(shared.symbols)] = piece.bars.panel[0, :, :4]
        panels.append(panel)
        if len(piece.signals):
            pieces.append(piece)
            signal_bar += [len(ts) - 1] * len(piece.signals)
        given += [(len(ts) - 1, command) for command in piece.given_commands()]
        logs, _ = unpack(step.logs)
        trades += [logs["trades"]] if "trades" in logs else []
        verdicts += [logs["verdicts"]] if "verdicts" in logs else []
    if not ts:
        raise ConfigError(f"session {session.name!r} has no bars yet", code="LIVE_COMPARE")
    ends = np.array(closes, np.int64)
    if like.daily:
        ends = session_times(like.calendar, np.array(sessions, np.int64))[1]
    row = np.searchsorted(bars.close_ts, ends)
    if row[0] >= len(bars) or (row[0] == 0 and bars.open_ts[0] >= ends[0]):
        raise DataError(
            f"{bars!r} does not reach over session {session.name!r}, which begins at {stamp(ts[0])}",
            code="LIVE_COMPARE",
        )
    inside = int(np.searchsorted(row, len(bars)))
    last = int(row[inside - 1]) + 1
    first = int(row[0])
    seen = bars[first:last]
    found = Recorded(
        bars=seen, like=like, rules=Rules.of(segments[-1].configuration), ts=np.array(ts[:inside], np.int64),
        row=row[:inside] - first, signals=_signals(pieces, like), signal_bar=np.array(signal_bar, np.int64),
        commands=[
            Command(_time(int(seen.ts[row[bar] - first])), one.kind, one.symbol, one.value)
            for bar, one in given
            if bar < inside
        ],
        trades=_and_open(store, connection, session, like, trades),
        verdicts=joined(verdicts) if verdicts else np.zeros(0, VERDICT),
        prices=_put_together(np.array(panels[:inside]), row[:inside] - first, len(seen)),
        counts=np.bincount(row[:inside] - first, minlength=len(seen)), segments=len(segments),
    )  # fmt: skip
    for kind in ("late", "revised", "gap"):
        for _, when, _ in store.noted(connection, session.id, kind):
            at = min(int(np.searchsorted(found.ts, when)), inside - 1)
            found.noted.setdefault(int(found.row[at]), set()).add(kind)
    return found


def recorded_signals(found: Recorded) -> tuple[Signals, Ints]:
    """Return the session's signals on the other bars, tagged by their number; and numbers that have no place.

    A signal for a symbol that the bars lack, or of a bar after their end, has no place.
    """
    signals, bars = found.signals, found.bars
    columns = {symbol: column for column, symbol in enumerate(bars.symbols)}
    place = np.array([columns.get(symbol, -1) for symbol in signals.symbols], np.int64)
    records = signals.records.copy()
    numbers = np.arange(len(records))
    fits = np.ones(len(records), bool)
    if len(records):
        records["sym"] = place[records["sym"]]
        fits = (records["sym"] >= 0) & (found.signal_bar < len(found.row))
        bar = np.minimum(found.signal_bar, len(found.row) - 1)
        records["row"] = found.row[bar]
        records["ts"] = bars.ts[found.row[bar]]
        records["tag"] = numbers + 1
    made = Signals(
        records[fits], bars.symbols, tags=("", *map(str, numbers)), strategies=signals.strategies,
        sectors=found.like.sector_names, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip
    return made, numbers[~fits]


def _signals(pieces: Sequence[Piece], like: Bars) -> Signals:
    if not pieces:
        return Signals.empty(like)
    signals, _ = one_set(
        [Piece(like, piece.signals, piece.commands[:0]) for piece in pieces]  # the bars are not needed
    )
    names = [""] * (1 + int(signals.records["strategy"].max(initial=0)))
    for piece in pieces:
        for code, name in enumerate(piece.signals.strategies):
            names[code] = name or names[code]
    records = signals.records.copy()
    records["tag"] = 0  # nothing hangs on it
    return Signals(
        records, like.symbols, strategies=tuple(names), sectors=like.sector_names, packages=signals.packages,
        legs=signals.legs,
    )  # fmt: skip


def _and_open(
    store: SessionStore, connection: Connection, session: StoredSession, like: Bars, trades: list[Records]
) -> Records:
    state = from_bytes(store.snapshot(connection, session.id).state)
    account = Account(like, Rules.of(session.segments()[-1].configuration), state=state)
    _, still_open = account.books.close()
    parts = [*trades, still_open] if len(still_open) else trades
    return joined(parts) if parts else np.zeros(0, TRADE)


def _put_together(panel: Floats, row: Ints, rows: int) -> Floats:
    """Return open, high, low and close over the rows, of bars that belong to them."""
    prices = np.full((rows, panel.shape[1], 4), np.nan)
    for bar, at in zip(panel, row, strict=True):
        known = ~np.isnan(bar[:, 3])
        fresh = known & np.isnan(prices[at, :, 3])
        prices[at, fresh] = bar[fresh]
        prices[at, known, 1] = np.maximum(prices[at, known, 1], bar[known, 1])
        prices[at, known, 2] = np.minimum(prices[at, known, 2], bar[known, 2])
        prices[at, known, 3] = bar[known, 3]
    return prices


def _kind(bars: Bars) -> str:
    return "daily" if bars.daily else "intraday"


def _time(ts: int) -> Any:
    import pandas as pd

    return pd.Timestamp(ts, unit="ns", tz="UTC")
