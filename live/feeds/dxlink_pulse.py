"""How far a stream of prices has come, symbol by symbol, and whether its prices are late.

That a bar is over is not known from the clock alone where prices may be on their way: the stream has to have
passed its end. Trades say when they were made; quotes mostly do not (the service writes 0), so a quote proves
that the stream has come up to now less the delay that trades have shown. The first event of a symbol on a
connection is the last one there was, however old, and shows no delay.

The library drops a quote of which one side is no number, so a side that has gone is not told of: a quote that
is not young says nothing.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Final, NamedTuple

from simulator.bars.arrays import MINUTE, SECOND

__all__ = ["Pulse", "Sides"]

LATE: Final = 60 * SECOND
"""Delay of every trade from which on prices are late."""
ENOUGH: Final = 3  # trades that have to show it
SAMPLES: Final = 32
MINUTES: Final = 128
YOUNG: Final = 60 * SECOND
"""How old a quote may be that says something about a price."""


class Sides(NamedTuple):
    """A quote: prices, when it was made or else came, and when it came (UTC ns)."""

    bid: float
    ask: float
    ts: int
    came: int

    @property
    def crossed(self) -> bool:
        """Whether the bid is above the ask."""
        return self.bid > self.ask > 0.0


class _Symbol:
    """What is known of one symbol."""

    def __init__(self) -> None:
        self.until = self.traded = 0
        self.lags: deque[int] = deque(maxlen=SAMPLES)
        self.minutes: deque[int] = deque(maxlen=MINUTES)  # in which it was traded
        self.quote: Sides | None = None
        self.halted = False
        self.seen: set[str] = set()  # kinds of events on this connection


class Pulse:
    """All symbols of a stream; safe between threads. Times are UTC nanoseconds."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._all = {symbol: _Symbol() for symbol in symbols}
        self._guard = threading.Lock()
        self.events = self.crossed = self.overtaken = 0

    def connected(self) -> None:
        """Begin a connection: the next event of each symbol is the last one there was."""
        with self._guard:
            for one in self._all.values():
                one.seen.clear()
                one.lags.clear()

    def trade(self, symbol: str, ts: int, now: int, *, regular: bool = True) -> None:
        """Take in that a trade of `ts` was told at `now`."""
        with self._guard:
            one = self._all.get(symbol)
            if one is None:
                return
            self._told(one, "Trade", ts, now)
            if regular and ts <= now + MINUTE:
                one.traded = max(one.traded, ts)
                minute = ts // MINUTE * MINUTE
                if minute not in one.minutes:
                    one.minutes.append(minute)

    def quote(self, symbol: str, bid: float, ask: float, ts: int, now: int) -> None:
        """Take in a quote that was told at `now`; `ts` is when it was made, 0 where that is not said."""
        with self._guard:
            one = self._all.get(symbol)
            if one is None:
                return
            self._told(one, "Quote", ts, now)
            quote = Sides(bid, ask, ts or now, now)
            if one.quote is not None and quote.ts < one.quote.ts:
                self.overtaken += 1
                return
            one.quote = quote
            self.crossed += quote.crossed

    def candle(self, symbol: str, ts: int, now: int) -> None:
        """Take in that a candle that begins at `ts` has changed."""
        with self._guard:
            one = self._all.get(symbol)
            # its beginning is no time of a trade, so it shows no delay
            if one is not None and ts <= now + MINUTE:
                self.events += 1
                one.until = max(one.until, ts)
                one.seen.add("Candle")

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Take in whether trading in a symbol is halted."""
        with self._guard:
            if symbol in self._all:
                self._all[symbol].halted = halted

    def until(self, symbol: str) -> int:
        """Return up to when everything of a symbol has been told, as far as anything shows it."""
        with self._guard:
            return self._all[symbol].until

    def newest(self) -> int:
        """Return the same of the symbol that is farthest."""
        with self._guard:
            return max(one.until for one in self._all.values())

    def traded(self, symbol: str) -> int:
        """Return when a symbol was traded last."""
        with self._guard:
            return self._all[symbol].traded

    def traded_in(self, symbol: str, begin: int, end: int) -> bool:
        """Whether a symbol was traded in the minutes from `begin` to `end`, as far as that is remembered."""
        with self._guard:
            return any(begin <= minute < end for minute in self._all[symbol].minutes)

    def sides(self, symbol: str, now: int) -> Sides | None:
        """Return the newest quote of a symbol if it is young, else None."""
        with self._guard:
            quote = self._all[symbol].quote
        return quote if quote is not None and now - quote.ts <= YOUNG else None

    def halted(self) -> tuple[str, ...]:
        """Return the symbols whose trading is halted."""
        with self._guard:
            return tuple(symbol for symbol, one in self._all.items() if one.halted)

    def lag(self) -> float:
        """Return by how many seconds prices come late at least, NaN while nothing shows it."""
        with self._guard:
            lags = [min(one.lags) for one in self._all.values() if one.lags]
        return min(lags) / SECOND if lags else math.nan

    @property
    def late(self) -> bool:
        """Whether every trade of late came late."""
        with self._guard:
            lags = [lag for one in self._all.values() for lag in one.lags]
        return len(lags) >= ENOUGH and min(lags) > LATE

    def _told(self, one: _Symbol, kind: str, ts: int, now: int) -> None:
        self.events += 1
        first = kind not in one.seen
        one.seen.add(kind)
        if ts > now + MINUTE:
            return
        if ts:
            one.until = max(one.until, ts)
        if first:
            return
        if ts:
            one.lags.append(max(0, now - ts))
        if one.lags:
            one.until = max(one.until, now - min(one.lags))
