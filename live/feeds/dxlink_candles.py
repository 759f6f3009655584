"""Candles of DXLink as they are now: snapshots and what is told after them, of each symbol.

A subscription from some time on is answered with a snapshot, newest first, whose events count only when it is
over: half a snapshot has a hole between it and what was known. Flags say where one begins and ends, that a
transaction is not complete yet, and that a candle has been removed. After it each trade changes the candle
that runs, and a correction one that is over; the last that was told is the one that holds.

The library makes 0 of a price that is no number and drops an event whose count is none, so a candle without
prices is no candle, and the end of a snapshot may never be heard. A snapshot that stops twice at the same
candle is believed to be all there is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from live.brokers.tastytrade.dxlink import from_streamer, number
from simulator.bars.arrays import Floats, Ints

__all__ = ["CandleBook"]

MILLISECOND: Final = 1_000_000  # nanoseconds
STALLED_SECONDS: Final = 2.0
"""How long a snapshot may pause before it counts as one that has stopped."""
KEPT: Final = 20_000  # candles of a symbol


class _Candles:
    """The candles of one symbol."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[float, ...]] = {}
        self.asked: int | None = None  # from when on they were subscribed to, on this connection
        self.since: int | None = None  # from when on they are known without a hole
        self.pending: list[tuple[int, tuple[float, ...] | None]] = []
        self.snapshot = self.subscribed = False
        self.heard = 0.0
        self.stopped: tuple[int, int] | None = None  # where a snapshot has stopped before its end


class CandleBook:
    """The candles of some symbols; safe between threads.

    Parameters
    ----------
    symbols
        Canonical.
    seconds
        A clock that only rises.

    Attributes
    ----------
    removed, empty, unknown : int
        Candles that were taken back, that had no price, and that were of a symbol nobody asked for.
    """

    def __init__(self, symbols: tuple[str, ...], *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._all = {symbol: _Candles() for symbol in symbols}
        self._change = threading.Condition()
        self.removed = self.empty = self.unknown = 0

    def subscribed(self, symbol: str, since: int) -> None:
        """Take note that a symbol was subscribed to from `since` on (UTC ns), and a snapshot is due."""
        with self._change:
            one = self._all[symbol]
            one.asked, one.since, one.snapshot, one.subscribed = since, None, False, True
            one.pending.clear()
            one.heard = self._seconds()

    def lost(self) -> None:
        """Take note that the connection has ended: what is told next has a hole before it."""
        with self._change:
            for one in self._all.values():
                one.asked = one.since = None
                one.snapshot = one.subscribed = False
                one.pending.clear()
            self._change.notify_all()

    def covers(self, symbol: str, since: int) -> bool:
        """Whether everything from `since` on is known."""
        with self._change:
            known = self._all[symbol].since
            return known is not None and known <= since

    def is_subscribed(self, symbol: str) -> bool:
        """Whether a symbol was subscribed to on this connection."""
        with self._change:
            return self._all[symbol].subscribed

    def asked(self, symbol: str) -> int | None:
        """Return from when on a snapshot was asked for that has not ended, None without one."""
        with self._change:
            one = self._all[symbol]
            return one.asked if one.since is None else None

    def give_up(self, symbols: list[str]) -> None:
        """Wait no more for the snapshots of some symbols; they have to be asked for anew."""
        with self._change:
            for symbol in symbols:
                if self._all[symbol].since is None:
                    self._all[symbol].asked = None

    def wait(self, symbols: list[str], seconds: float) -> bool:
        """Wait until the snapshots of some symbols are over; returns whether they are."""
        ends = time.monotonic() + seconds
        with self._change:
            while True:
                self._look(symbols)
                if all(self._all[symbol].since is not None for symbol in symbols):
                    return True
                left = ends - time.monotonic()
                if left <= 0.0 or all(self._all[symbol].asked is None for symbol in symbols):
                    return False
                self._change.wait(min(left, 0.05))

    def take(self, event: Any) -> int | None:
        """Take in an event of the library; returns the candle's time (UTC ns), None where none counts."""
        symbol = from_streamer(event.event_symbol)
        with self._change:
            one = self._all.get(symbol)
            if one is None:
                self.unknown += 1
                return None
            at = int(event.time) * MILLISECOND
            row = self._row(event)
            one.heard = self._seconds()
            if event.snapshot_begin:
                one.snapshot = True
                one.pending.clear()
            one.pending.append((at, row))
            if one.snapshot and (event.snapshot_end or event.snapshot_snip):
                self._end(one, whole=event.snapshot_end)
            elif not one.snapshot and not event.pending:
                self._apply(one)
            return at if row is not None else None

    def rows(self, symbol: str, since: int) -> tuple[Ints, Floats]:
        """Return times (n,) and open, high, low, close, volume (n, 5) of what is known from `since` on."""
        with self._change:
            found = sorted((at, row) for at, row in self._all[symbol].rows.items() if at >= since)
        times = np.array([at for at, _ in found], np.int64)
        return times, np.array([row for _, row in found], np.float64).reshape(len(found), 5)

    def newest(self, symbol: str) -> int | None:
        """Return the time of a symbol's newest candle (UTC ns)."""
        with self._change:
            return max(self._all[symbol].rows, default=None)

    def _row(self, event: Any) -> tuple[float, ...] | None:
        if event.remove:
            self.removed += 1
            return None
        prices = tuple(number(getattr(event, name)) for name in ("open", "high", "low", "close"))
        volume = number(event.volume)
        # what is no number became 0; a price of 0 with trades behind it is told on, and judged elsewhere
        if not any(prices) and not (event.count or volume > 0.0):
            self.empty += 1
            return None
        return (*prices, volume if volume >= 0.0 else 0.0)

    def _end(self, one: _Candles, *, whole: bool) -> None:
        """Take a snapshot for all there is from its beginning on; what is older is kept where it has less."""
        asked = 0 if one.asked is None else one.asked
        begins = asked if whole or not one.pending else min(at for at, _ in one.pending)
        one.rows = {at: row for at, row in one.rows.items() if at < begins}
        one.snapshot, one.stopped = False, None
        self._apply(one)
        one.since = asked
        self._change.notify_all()

    def _apply(self, one: _Candles) -> None:
        for at, row in one.pending:
            if row is None:
                one.rows.pop(at, None)
            else:
                one.rows[at] = row
        one.pending.clear()
        while len(one.rows) > KEPT:
            del one.rows[min(one.rows)]

    def _look(self, symbols: list[str]) -> None:
        """End snapshots that have stopped twice at the same candle."""
        for symbol in symbols:
            one = self._all[symbol]
            if not one.snapshot or one.asked is None or self._seconds() - one.heard < STALLED_SECONDS:
                continue
            place = (one.asked, min(at for at, _ in one.pending))
            if one.stopped == place:
                self._end(one, whole=False)
            else:
                # asked for again by whoever waits; until then it is no snapshot
                one.stopped, one.asked, one.snapshot = place, None, False
                one.pending.clear()
