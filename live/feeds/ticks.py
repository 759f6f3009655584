"""Bars out of ticks: a tick belongs to the bar in which it was traded, and a bar ends by the clock.

A bar that waits for the next tick to be closed is closed when somebody trades, which is too late where nobody
does. Here the feed closes bars when the calendar says so, and what still arrives for them is late: counted
and left out, because the decision has been taken.

Yahoo sends the volume of the day so far, so a bar's volume is the difference between the last figure in it
and the last before it. Ticks that cannot be prices, quotes whose bid is above their ask, single prices
far from the last one, and stamps from the future are left out and counted; a level that three ticks in a row
agree on is believed.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

from live.feeds.band import BAND
from live.feeds.grid import Grid
from live.feeds.holds import Hold, HoldCode
from simulator.bars.arrays import DAY, Floats

__all__ = ["Tick", "TickBars"]

CONFIRMED: Final = 3
"""Ticks in a row near each other that make a far price the price."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A price; `ts` is when it was traded (UTC ns), volume that of the day so far, absent values 0."""

    symbol: str
    ts: int
    price: float
    day_volume: float = 0.0
    bid: float = 0.0
    ask: float = 0.0


class _Running:
    """A bar of one symbol that is being built."""

    __slots__ = ("base", "close", "first", "high", "last", "low", "open", "volume")

    def __init__(self, tick: Tick, base: float) -> None:
        self.open = self.high = self.low = self.close = tick.price
        self.first = self.last = tick.ts
        self.base, self.volume = base, tick.day_volume
        self.add(tick)

    def add(self, tick: Tick) -> None:
        self.high, self.low = max(self.high, tick.price), min(self.low, tick.price)
        # ticks may overtake each other on their way
        if tick.ts >= self.last:
            self.close, self.last = tick.price, tick.ts
        elif tick.ts < self.first:
            self.open, self.first = tick.price, tick.ts
        self.volume = max(self.volume, tick.day_volume)

    def row(self) -> tuple[float, float, float, float, float]:
        return self.open, self.high, self.low, self.close, max(0.0, self.volume - self.base)


class TickBars:
    """The bars that are being built, of all symbols; safe between threads.

    Attributes
    ----------
    taken, late, ahead, outside, bad, crossed, spikes, unknown
        Ticks that count; for a bar that was closed, from the future, outside the session, without a price, of
        crossed quotes, far from the last price, of a symbol that was not asked for.
    newest
        When the newest good tick was traded, UTC ns; 0 before any.
    """

    def __init__(self, grid: Grid, symbols: tuple[str, ...], *, band: float = BAND) -> None:
        self.grid, self.symbols, self._band = grid, symbols, band
        self._columns = {symbol: column for column, symbol in enumerate(symbols)}
        self._guard = threading.Lock()
        self._running: dict[int, dict[int, _Running]] = {}
        self._closed_until = 0
        self._day_volume: dict[int, tuple[int, float]] = {}
        self._price: dict[int, float] = {}
        self._far: dict[int, list[float]] = {}
        self._doubts: dict[int, dict[int, HoldCode]] = {}
        self.taken = self.late = self.ahead = self.outside = 0
        self.bad = self.crossed = self.spikes = self.unknown = 0
        self.newest = 0

    def add(self, tick: Tick, until: int | None = None) -> bool:
        """Take a tick in, if it is not from after `until` (UTC ns); returns whether it counts."""
        column = self._columns.get(tick.symbol)
        with self._guard:
            if column is None:
                self.unknown += 1
                return False
            if tick.ts < self._closed_until:
                self.late += 1
                return False
            if until is not None and tick.ts > until:
                self.ahead += 1
                return False
            slot = self.grid.at(tick.ts)
            if slot is None:
                self.outside += 1
                return False
            if not (math.isfinite(tick.price) and tick.price > 0):
                self.bad += 1
                return False
            if tick.bid > 0 and tick.ask > 0 and tick.bid > tick.ask:
                self.crossed += 1
                self._doubts.setdefault(slot, {})[column] = "STALE_QUOTE"
                return False
            if self._is_far(column, tick.price):
                self.spikes += 1
                self._doubts.setdefault(slot, {}).setdefault(column, "PRICE_BAND")
                return False
            self._take(column, slot, tick)
        return True

    def close(self, slot: int, until: int) -> tuple[Floats, tuple[Hold, ...]]:
        """Return the bar with this label, (S, 5) with NaN where no tick came, and what to hold of it.

        Ticks from before `until` (UTC ns), the bar's end, are late from now on.
        """
        values = np.full((len(self.symbols), 5), np.nan)
        with self._guard:
            self._closed_until = max(self._closed_until, until)
            for column, running in self._running.get(slot, {}).items():
                values[column] = running.row()
            doubts = self._doubts.get(slot, {})
            for kept in (self._running, self._doubts):
                for old in [ts for ts in kept if ts <= slot]:
                    del kept[old]
        said = {"STALE_QUOTE": "its bid was above its ask", "PRICE_BAND": "a tick far from the last price"}
        return values, tuple(
            Hold(slot, self.symbols[column], code, said[code]) for column, code in sorted(doubts.items())
        )

    def heard(self, slot: int) -> frozenset[str]:
        """Return the symbols that have ticks in the bar with this label so far."""
        with self._guard:
            return frozenset(self.symbols[column] for column in self._running.get(slot, ()))

    def expect(self, prices: Floats) -> None:
        """Take closes, (S,) with NaN for unknown, for the last prices that ticks are compared with."""
        with self._guard:
            for column in np.flatnonzero(~np.isnan(prices)):
                self._price[int(column)] = float(prices[column])

    def _take(self, column: int, slot: int, tick: Tick) -> None:
        running = self._running.setdefault(slot, {})
        session, before = self._day_volume.get(column, (0, 0.0))
        today = slot - slot % DAY
        if column in running:
            running[column].add(tick)
        else:
            running[column] = _Running(tick, before if session == today else tick.day_volume)
        if tick.day_volume > 0:
            known = before if session == today else 0.0
            self._day_volume[column] = (today, max(known, tick.day_volume))
        self._price[column] = tick.price
        self.taken += 1
        self.newest = max(self.newest, tick.ts)

    def _is_far(self, column: int, price: float) -> bool:
        last = self._price.get(column)
        if last is None or abs(price / last - 1.0) <= self._band:
            self._far.pop(column, None)
            return False
        level = self._far.setdefault(column, [])
        if level and abs(price / level[-1] - 1.0) > self._band:
            level.clear()
        level.append(price)
        if len(level) < CONFIRMED:
            return True
        del self._far[column]
        return False
