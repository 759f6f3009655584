"""What moves the venue's prices: bars of a feed, one after another, at the feed's speed or step by step.

A bar is one event, and the corporate actions before it are part of that: what was killed in between would
come twice. Then come quotes of the option contracts that anybody has an order or a position in, at its close.
After the last bar of a session the session ends:
DAY orders expire, options that end are settled. An order that comes between two bars works from the next on.
Of a live feed's bar an order sees only the close if the bar had begun when the order came: what the bar had
done by then is past.

The venue's clock is the replay's: it stands at the close of the last bar, and each look at it is a
microsecond later, so that no two orders have the same time and the same replay gives the same times. A live
feed has the clock of the machine.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from live.clock import Clock, system_clock
from live.exchange.calendar import SessionCalendar, nanoseconds
from live.exchange.contracts import Contract, Contracts
from simulator.bars.arrays import FIELDS
from simulator.errors import EngineError
from simulator.kernel import codes

if TYPE_CHECKING:
    from live.feeds import Feed
    from live.venue import Venue
    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs

__all__ = ["Market", "ReplayClock"]

KEPT_VALUES: Final = 100_000
"""Values of the account that are kept for its history."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STOP_SECONDS: Final = 5.0
_ACTIONS: Final = {
    codes.ACTION_SPLIT: "split",
    codes.ACTION_DIVIDEND: "dividend",
    codes.ACTION_DELIST: "delist",
}

_log = logging.getLogger("twinstep.exchange")


class ReplayClock:
    """Shows the time it was set to, a microsecond later at each look; never goes back."""

    def __init__(self, start: datetime) -> None:
        self._guard = threading.Lock()
        self._now = start

    def __call__(self) -> datetime:
        """Return the time."""
        with self._guard:
            self._now += _MICROSECOND
            return self._now

    def set(self, now: datetime) -> None:
        """Go to a time, unless it is past."""
        with self._guard:
            self._now = max(self._now, now)

    def look(self) -> datetime:
        """Return the time without moving it."""
        with self._guard:
            return self._now


class Market:
    """Plays a feed into a venue; one that has been at the market before goes on with the feed's next bar.

    Parameters
    ----------
    venue
        Whose prices move.
    feed
        Where bars come from.
    clock
        The venue's clock; a `ReplayClock` is set by the bars.
    manual
        Whether bars come only when `step` is called.

    Attributes
    ----------
    still : RLock
        While it is held, no bar is played. A bar is several events for the venue, its session's end among
        them: an order that came in between would expire before it had seen a price.
    """

    def __init__(self, venue: Venue, feed: Feed, *, clock: Clock, manual: bool = False) -> None:
        self.venue = venue
        self.feed = feed
        self.clock = clock
        self.manual = manual
        self.played = 0
        self.last: datetime | None = None
        self.ended = False
        self.error: BaseException | None = None
        self.values: deque[tuple[int, float]] = deque(maxlen=KEPT_VALUES)
        self.prices: dict[str, float] = {}
        like = feed.like
        self.sessions = SessionCalendar(like.calendar, daily=like.daily)
        self._stopping = threading.Event()
        self.still = threading.RLock()
        self._thread: threading.Thread | None = None
        self._contracts: Contracts | None = None
        self._session: int | None = None
        self._session_over = True
        self._bars = self._source(self._resumed())

    @classmethod
    def open(
        cls,
        feed: Feed,
        *,
        cash: float = 100_000.0,
        costs: Costs | None = None,
        conventions: Conventions | str = "realistic",
        path: str | Path | None = None,
        manual: bool = False,
    ) -> Market:
        """Build a venue for a feed, and the market that moves it; a file at `path` goes on where it was."""
        from live.venue import Venue

        like = feed.like
        clock: Clock = system_clock if feed.live else ReplayClock(_time(int(like.open_ts[0])))
        venue = Venue(
            cash=cash, costs=costs, conventions=conventions, clock=clock, instruments=like.symbols, path=path
        )
        return cls(venue, feed, clock=clock, manual=manual)

    @property
    def like(self) -> Bars:
        """Bars that say what there is to trade."""
        return self.feed.like

    @property
    def now(self) -> datetime:
        """The market's time, unmoved by looking at it."""
        return self.clock.look() if isinstance(self.clock, ReplayClock) else self.clock()

    def start(self) -> None:
        """Play the first bar, so that there are prices, and the others by and by."""
        if self._thread is not None or self.manual:
            return
        if not self.feed.live:
            self._advance(1)
        self._thread = threading.Thread(target=self._run, name="twinstep-market", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Play no further bar; one that is being played is finished."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def step(self, bars: int = 1) -> int:
        """Play the next bars, and return how many there were.

        Raises `EngineError` EXCHANGE_RUNNING where they come by themselves.
        """
        if not self.manual:
            raise EngineError(
                "the market runs by itself; start it with manual=True to step", code="EXCHANGE_RUNNING"
            )
        return self._advance(bars)

    def tick(self, prices: dict[str, float | tuple[float, float]]) -> None:
        """Move prices by hand: a price each, or a bid and an ask; only where `step` may be used, too.

        Raises `EngineError` EXCHANGE_RUNNING otherwise.
        """
        if not self.manual:
            raise EngineError(
                "the market runs by itself; start it with manual=True to tick", code="EXCHANGE_RUNNING"
            )
        with self.still:
            self.venue.tick(self._at(self.clock()), prices)
            for symbol, price in prices.items():
                self.prices[symbol] = sum(price) / 2 if isinstance(price, tuple) else price

    def quote_contracts(self, symbols: Iterable[str]) -> None:
        """Give the venue today's quotes of option contracts that it may not have been asked about before."""
        with self.still:
            if self._contracts is None or self._contracts.bar.options is None:
                return
            found = {
                symbol: quote
                for symbol in symbols
                if symbol not in self.prices
                and Contract.parse(symbol) is not None
                and (quote := self._contracts.quote(symbol)) is not None
            }
            self._tell_quotes(found)

    def contracts(self) -> list[Contract]:
        """Return the option contracts that are listed at the last bar."""
        with self.still:
            return [] if self._contracts is None else self._contracts.listed()

    def _resumed(self) -> int | None:
        """Take up where the venue's market was left; returns the label of the last bar that it has seen."""
        time = self.venue.market_time
        if time is None:
            return None
        self.last = time
        if isinstance(self.clock, ReplayClock):
            self.clock.set(time)
        like = self.like
        if self.feed.live:
            # labelled with its opening, the next bar may begin just when the last one ended
            return nanoseconds(time) - 1
        row = int(np.searchsorted(like.close_ts, nanoseconds(time), side="right")) - 1
        if row < 0:
            return None
        self._session, self._session_over = int(like.session[row]), not self.venue.in_session
        self._contracts = Contracts(like[row : row + 1])
        self.prices.update(
            {symbol: price for symbol in self.venue.symbols if (price := self.venue.price(symbol)[2]) > 0.0}
        )
        return int(like.ts[row])

    def _at(self, time: datetime) -> datetime:
        """Return the time, or that of the venue's market where an order of just now has moved it on."""
        return max(time, self.venue.market_time or time)

    def _source(self, after: int | None) -> Iterator[Bars]:
        for part in self.feed.bars(after=after, rows=1, stopped=self._stopping.is_set):
            for row in range(len(part)):
                yield part[row : row + 1]

    def _run(self) -> None:
        try:
            for bar in self._bars:
                with self.still:
                    self._play(bar)
                if self._stopping.is_set():
                    return
            self.ended = not self._stopping.is_set()
        except BaseException as error:
            # there is nobody to raise to: whoever waits for the exchange looks at `error`
            _log.exception("the market stands still")
            self.error = error

    def _advance(self, bars: int) -> int:
        with self.still:
            for count in range(bars):
                bar = next(self._bars, None)
                if bar is None:
                    self.ended = True
                    return count
                self._play(bar)
        return bars

    def _play(self, bar: Bars) -> None:
        session, time = int(bar.session[0]), _time(int(bar.close_ts[0]))
        if self._session is not None and session != self._session and not self._session_over:
            self._end_session(self.last or time)
        self._session, self._session_over = session, False
        if isinstance(self.clock, ReplayClock):
            self.clock.set(time)
        self.last = time
        rows: dict[str, tuple[float, ...]] = {
            symbol: tuple(float(value) for value in bar.panel[0, column])
            for column, symbol in enumerate(bar.symbols)
            if not np.isnan(bar.panel[0, column]).any()
        }
        self.venue.bar(
            self._at(time),
            rows,  # type: ignore[arg-type]
            actions=_actions(bar),
            began=_time(int(bar.open_ts[0])),
            watched=self.feed.live,
        )
        self.prices.update({symbol: row[FIELDS.index("close")] for symbol, row in rows.items()})
        self._quote(bar)
        _, closes = self.sessions.hours(session)
        if bar.daily or nanoseconds(time) >= closes:
            self._end_session(time)
        self.played += 1
        self.values.append((nanoseconds(time), self.venue.account().equity))

    def _quote(self, bar: Bars) -> None:
        self._contracts = Contracts(bar)
        if bar.options is None:
            return
        wanted = [held.symbol for held in self.venue.positions()]
        for order in self.venue.orders("open"):
            wanted += [order.symbol, *(leg.symbol for leg in order.legs)]
        for symbol in [name for name in self.prices if Contract.parse(name) is not None]:
            del self.prices[symbol]  # a price of yesterday is none
        self.quote_contracts(dict.fromkeys(wanted))

    def _tell_quotes(self, found: dict[str, tuple[float, float]]) -> None:
        if found:
            self.venue.quote(self._at(self.clock()), found)
            self.prices.update({symbol: (bid + ask) / 2 for symbol, (bid, ask) in found.items()})

    def _end_session(self, time: datetime) -> None:
        day = date(1970, 1, 1) + timedelta(days=int(self._session or 0))
        self.venue.expire_day(self._at(time), day)
        self._session_over = True

    def status(self) -> dict[str, Any]:
        """Return where the market stands, in terms of JSON."""
        return {
            "time": self.now.isoformat(),
            "last_bar": None if self.last is None else self.last.isoformat(),
            "bars_played": self.played,
            "manual": self.manual,
            "live": self.feed.live,
            "ended": self.ended,
            "prices": dict(self.prices),
        }


def _actions(bar: Bars) -> list[tuple[str, str, float | None]]:
    # What happens to shares before the bar; adjusted prices contain splits and dividends.
    found: list[tuple[str, str, float | None]] = []
    for action in bar.actions[bar.actions["row"] == 0]:
        kind, value = _ACTIONS.get(int(action["kind"])), float(action["value"])
        if kind is not None and (bar.raw or kind == "delist"):
            # of a delisting NaN is the last price, 0 worthless
            found.append((kind, bar.symbols[int(action["sym"])], None if np.isnan(value) else value))
    return found


def _time(ts: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts // 1_000)
