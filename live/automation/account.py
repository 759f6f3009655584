"""The account of an automation: a session that is fed prices as they come.

A price is pushed as a bar whose open, high, low and close are the same, at the clock's time, for the symbols
whose price came; all others have no bar. Times rise by at least a microsecond from bar to bar, whatever the
clock says. A symbol joins the session with its first price. Everything that comes in, and what it did, is in
the journal when a call returns; `verify_parity` replays it.

A rehearsal is the same step on a copy: what a signal would get, with its levels, and nothing changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from journal.database import Database
from live.clock import Clock
from live.session import Session
from live.sessions.frames import decode_frame
from live.sessions.outcome import Rehearsal, StepOutcome
from live.sessions.recording import decode_piece
from live.sessions.store import SessionStore
from live.sessions.ticks import tick_bar, tick_frame
from simulator.bars import Bars
from simulator.commands import Command
from simulator.errors import EngineError
from simulator.kernel.state import State
from simulator.portfolio_risk_manager import Verdict
from simulator.signals import Signals
from simulator.types import Reason, absent_inputs

if TYPE_CHECKING:
    from live.sessions.trades import TradeLog

__all__ = ["Asked", "PricedSession", "to_time", "verdict_of"]

Asked = tuple[str, str | None, float | None]
"""A command of now: kind, symbol, value."""

MICROSECOND: Final = 1_000
CLOCK_SLACK_NS: Final = 60_000_000_000
"""How far a clock may fall behind the last price, and be taken for a burst of prices, in nanoseconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PricedSession:
    """A session without a feed.

    Parameters
    ----------
    database
        The journal.
    rules
        Cash, risk, costs and conventions, as `Session` takes them.
    name
        Of the session.
    clock
        Gives the time, aware.
    calendar
        Whose sessions count.
    sectors
        Sector by symbol; a symbol without one counts as unknown. A symbol that has had a price keeps the
        sector that it had then.
    trade_log
        Writes what a price did, in the same transaction.
    accept_change
        As for `Session`.

    Raises
    ------
    EngineError, DataError, JournalError
        As `Session`; LIVE_CHANGED, LIVE_FRAME where the stored session cannot go on.
    """

    def __init__(
        self,
        database: Database,
        rules: Mapping[str, Any],
        *,
        name: str,
        clock: Clock,
        calendar: str,
        sectors: Mapping[str, str] | None,
        trade_log: TradeLog,
        accept_change: str | None = None,
    ) -> None:
        self._clock = clock
        self._calendar = calendar
        self.sectors = dict(sectors or {})
        self.session = Session(
            database, like=self._frame(()), name=name, clock=clock, accept_change=accept_change,
            trade_log=trade_log, **rules,
        )  # fmt: skip
        seen = self.session.seen()
        self._kept = self.session.bars - len(seen)  # number of the first bar that is in memory
        self._sought: dict[str, int] = {}  # bar from which on the journal was searched, by symbol
        self.sectors |= dict(zip(self.session.like.symbols, self.session.like.sectors, strict=True))
        self._last: dict[str, tuple[int, float]] = {}  # number of the bar, and the price
        for column, symbol in enumerate(seen.symbols):
            known = np.flatnonzero(~np.isnan(seen.close[:, column]))
            if known.size:
                row = int(known[-1])
                self._last[symbol] = (self.session.bars - len(seen) + row, float(seen.close[row, column]))

    @property
    def state(self) -> State:
        """The account's state."""
        return self.session.state

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names by column."""
        return self.session.symbols

    def last_price(self, symbol: str, *, since: int = 0) -> float | None:
        """Return the last price of a symbol among the bars from number `since` on; None for none."""
        if symbol not in self._last and symbol in self.symbols:
            self._seek(symbol, since)
        number, price = self._last.get(symbol, (-1, 0.0))
        return price if number >= since else None

    def next_time(self) -> int:
        """Return the time of the next price in UTC nanoseconds: now, or just after the last one.

        Raises
        ------
        EngineError
            LIVE_CLOCK for a clock without a time zone, or one that went back.
        """
        now = self._clock()
        if now.tzinfo is None:
            raise EngineError(
                f"the clock says {now}, without a time zone; give an aware one", code="LIVE_CLOCK"
            )
        ts = (now - _EPOCH) // timedelta(microseconds=1) * MICROSECOND
        last = self.session.last_ts
        if last is not None and ts < last - CLOCK_SLACK_NS:
            raise EngineError(
                f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC, and the last price came at "
                f"{to_time(last):%Y-%m-%d %H:%M:%S}; time does not run backwards here",
                code="LIVE_CLOCK",
            )
        return ts if last is None else max(ts, last + MICROSECOND)

    def push(
        self,
        prices: Mapping[str, float],
        signal: Mapping[str, Any] | None = None,
        commands: Sequence[Asked] = (),
        note: Mapping[str, Any] | None = None,
    ) -> StepOutcome:
        """Step by prices; when this returns, what they did is on the disk.

        Parameters
        ----------
        prices
            By symbol, in currency.
        signal
            "symbol", "side" and columns of a signal known at this price.
        commands
            What a person asks for.
        note
            Kept with the bar, and given to the trade log.
        """
        bars = self._bars(prices, self.next_time())
        if bars.symbols != self.symbols:
            self.session.grow(bars)
        now, number = to_time(int(bars.ts[0])), self.session.bars
        outcome = self.session.push(
            bars,
            _signals(bars, signal),
            [Command(now, kind, symbol, value) for kind, symbol, value in commands],
            note=None if note is None else dict(note),
        )
        self._last |= {symbol: (number, price) for symbol, price in prices.items()}
        return outcome

    def rehearse(self, prices: Mapping[str, float], signal: Mapping[str, Any]) -> Rehearsal:
        """Return what `push` would come to, and do nothing."""
        bars = self._bars(prices, self.next_time())
        return self.session.rehearse(bars, _signals(bars, signal))

    def _seek(self, symbol: str, since: int) -> None:
        """Look in the journal for the last price of a symbol from `since` on, before the bars in memory.

        A restart keeps so many bars; what a signal would fill at may not depend on how many.
        """
        if since >= min(self._kept, self._sought.get(symbol, self._kept)):
            return
        store = SessionStore(self.session.database, self.session.name)
        with self.session.database.read() as connection:
            stored = store.get(connection)
            frames = {segment.first: segment.frame for segment in stored.segments()}
            like = decode_frame(frames[max(first for first in frames if first <= since)])
            pieces = islice(store.pieces(connection, stored.id, since), self._kept - since)
            for number, data in enumerate(pieces, since):
                if number in frames:
                    like = decode_frame(frames[number])
                if symbol not in like.symbols:
                    continue
                price = float(decode_piece(data, like).bars.close[0, like.column(symbol)])
                if not math.isnan(price):
                    self._last[symbol] = (number, price)
        self._sought[symbol] = since

    def _bars(self, prices: Mapping[str, float], ts: int) -> Bars:
        like, joining = self.session.like, [symbol for symbol in prices if symbol not in self.symbols]
        if joining:
            like = self._frame((*like.symbols, *joining))
        return tick_bar(like, ts, prices)

    def _frame(self, symbols: Sequence[str]) -> Bars:
        return tick_frame(symbols, sectors=self.sectors, calendar=self._calendar, name="prices")


def verdict_of(row: np.void, symbols: tuple[str, ...]) -> Verdict:
    """Return a row of the kernel's verdicts as a value."""
    return Verdict(
        symbol=symbols[int(row["sym"])],
        side=int(row["side"]),
        reason=Reason(int(row["reason"])),
        rule=Reason(int(row["rule"])),
        value=float(row["value"]),
        limit=float(row["limit"]),
        asked=float(row["asked"]),
        granted=float(row["granted"]),
        absent=tuple(absent_inputs(int(row["absent"]))),
    )


def to_time(ns: int) -> datetime:
    """Return UTC nanoseconds as an aware time."""
    return _EPOCH + timedelta(microseconds=int(ns) // MICROSECOND)


def _signals(bars: Bars, signal: Mapping[str, Any] | None) -> Signals | None:
    if signal is None:
        return None
    columns = {name: value for name, value in signal.items() if name not in ("symbol", "side")}
    return Signals.from_arrays(bars, [0], signal["symbol"], signal["side"], **columns)
