"""Yahoo's bars as they are completed, by asking again and again.

The calendar says when a bar is over; a grace later Yahoo is asked for everything since the last bar that was
handed over, so a restart, a gap and an ordinary minute are the same case. Only bars that are complete and on
the grid come out: Yahoo appends the running price as a row of its own, and prints the close as one more bar.
A symbol that lags behind the others is waited for, for a while; then the bar goes out without it.

Bars are raw, as they are quoted, with splits and dividends beside them: what a session has recorded cannot be
adjusted later. A bar that came too late for its entry to be filled honestly, that belongs to the warm-up, or
whose price nobody confirms, is marked with a hold (`live.feeds.holds`).

Yahoo keeps one-minute bars for seven days, five minutes to half an hour for two months, an hour for two
years; a gap that is longer stays one. Each symbol is one request per bar.

>>> feed = YahooFeed(["AAPL", "MSFT"], interval="5m")
>>> feed.like
Bars(yfinance:AAPL,MSFT: 2 symbols, 0 intraday bars)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from live.clock import Clock, system_clock
from live.feeds.assembly import Assembly
from live.feeds.backoff import Backoff
from live.feeds.band import BAND
from live.feeds.events import EventKind, Events, FeedEvent
from live.feeds.grid import Grid, Slots
from live.feeds.holds import Hold
from live.feeds.stale import STALE_BARS, StaleWatch
from live.feeds.timekeeper import Timekeeper, steady_clock
from simulator.bars.arrays import DAY, MINUTE, SECOND, stamp
from simulator.bars.yahoo import Quoted, Yahoo, fetch_recent
from simulator.errors import ConfigError, FetchError, UnknownNameError

if TYPE_CHECKING:
    from live.kill_switch import KillSwitch
    from simulator.bars import Bars

__all__ = ["YahooFeed"]

WARM_BARS: Final = 300
GRACE_SECONDS: Final = {True: 900.0, False: 10.0}
"""How long after its end a bar is asked for, daily or not: Yahoo corrects a day's last price for a while."""
MOST_GRACE_SECONDS: Final = 60.0  # of the grace that counts where a bar's entry would be filled late
SLACK: Final = 10 * SECOND  # and for the asking itself
PATIENCE_SECONDS: Final = 20.0  # how long a symbol that lags behind is waited for
POLL_SECONDS: Final = 3.0  # between two looks for it
GIVE_UP_SECONDS: Final = 1800.0
START_SECONDS: Final = 60.0  # the same before the first answer: a misspelt symbol is not waited for
LOOK_SECONDS: Final = 0.2  # between two looks whether the run was stopped
REACH: Final = {
    "1m": 7 * DAY, "5m": 59 * DAY, "15m": 59 * DAY, "30m": 59 * DAY, "1h": 729 * DAY, "1d": 366 * 60 * DAY,
}  # fmt: skip


class YahooFeed:
    """A polling feed.

    Parameters
    ----------
    symbols
        As Yahoo writes them.
    interval
        "1d", "1h", "30m", "15m", "5m" or "1m".
    calendar, sectors, cache_dir
        As in `load_bars`; the folder holds yfinance's own files only.
    warm
        Bars before the present that a new session is given, without entries, so that strategies can answer.
    grace
        Seconds after a bar's end at which it is asked for; None: 10, and 900 for daily bars.
    patience
        Seconds that a symbol that lags behind the others is waited for.
    delay
        Seconds by which the exchange's prices reach Yahoo later, 900 where they are delayed.
    band
        See `PriceBand`.
    stale_bars
        Bars that should have come since the newest data, after which the feed is stale.
    give_up
        Seconds without any usable answer after which `bars` raises.
    clock, steady, sleep
        The wall clock, a clock that cannot be set, and how to wait; the system's by default.
    yahoo
        As in `load_bars`; its patience is not used.
    backoff
        Pauses after failures.

    Raises
    ------
    UnknownNameError
        NAME_SYMBOL where there is no symbol.
    ConfigError
        FEED_SETTING for a number that cannot be; FEED_BAND.
    FetchError
        FETCH_INTERVAL.
    DataError
        DATA_CALENDAR.
    """

    live: Final = True
    kind: str = "polling"

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        interval: str = "1d",
        calendar: str = "XNYS",
        sectors: Mapping[str, str] | None = None,
        warm: int = WARM_BARS,
        grace: float | None = None,
        patience: float = PATIENCE_SECONDS,
        delay: float = 0.0,
        band: float = BAND,
        stale_bars: int = STALE_BARS,
        give_up: float = GIVE_UP_SECONDS,
        cache_dir: str | os.PathLike[str] | None = None,
        clock: Clock = system_clock,
        steady: Callable[[], float] = steady_clock,
        sleep: Callable[[float], None] = time.sleep,
        yahoo: Yahoo | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.symbols = tuple(dict.fromkeys(symbol.strip().upper() for symbol in symbols if symbol.strip()))
        if not self.symbols:
            raise UnknownNameError("a feed needs symbols: yfinance:AAPL,MSFT", code="NAME_SYMBOL")
        self.grid = Grid(calendar, interval)
        self.interval, self.warm, self.stale_bars = interval, warm, stale_bars
        self.grace = GRACE_SECONDS[self.grid.daily] if grace is None else grace
        self.patience, self.delay, self.give_up = patience, delay, give_up
        self._check_numbers()
        self.name = f"yfinance:{','.join(self.symbols)}"
        self.events = Events()
        self.times = Timekeeper(
            clock, steady, lambda text: self.say("clock_jump", text), behind=int(delay * SECOND)
        )
        self._steady, self._sleep = steady, sleep
        self._assembly = Assembly(self.symbols, self.grid, sectors=sectors, name=self.name, band=band)
        self._client = Yahoo(session=yahoo.session, retries=0) if yahoo else Yahoo(retries=0)
        self._cache_dir = cache_dir
        self._backoff = backoff or Backoff()
        self._guard = threading.Lock()
        self._watch: StaleWatch | None = None
        self._newest = 0  # the instant up to which data have come
        self._stale = False
        self._handed: int | None = None  # label of the last bar handed over
        self._expected: frozenset[str] = frozenset(self.symbols)  # which had the bar before
        self._doubts: tuple[Hold, ...] = ()  # about the bars that are handed over next
        self._failing_since: float | None = None
        self._answered = False
        self.failures = 0

    @property
    def like(self) -> Bars:
        """Bars without a row that share symbols and rules with all that will come."""
        return self._assembly.like

    # The bars

    def bars(
        self, *, after: int | None, rows: int = 1, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Bars]:
        """Yield complete bars later than `after`, and wait for the next, until `stopped`.

        Where `after` is None the last `warm` bars come first. Bars that were missed come one after the other,
        held; a bar that Yahoo has changed since it was handed over comes again.

        Raises
        ------
        FetchError
            FEED_EMPTY, FEED_OFFLINE, FEED_RATE_LIMIT, FEED_FAILED: no usable answer for `give_up` seconds.
        MissingExtraError
            FETCH_EXTRA.
        """
        self._handed, warming = after, after is None
        self._assembly.resume(after)
        self._newest = self.times.late  # a feed is not stale because nobody ran it
        if self._watch is not None:
            self._watch.start()
        self._start()
        try:
            while not stopped():
                due = self._due()
                changed, made = self._collect(due, stopped) if len(due) else ([], None)
                for old in changed:
                    self._assembly.forget_holds()
                    yield old
                if made is None:
                    self._find_the_time()
                    self._wait(self._next_look(due), stopped)
                    continue
                for part in self._handed_over(made, rows, warming=warming):
                    yield part
                    if stopped():
                        return
                warming = False
        finally:
            self._end()

    def holds(self, bars: Bars) -> tuple[Hold, ...]:
        """Return why no entry is decided on some bars that were yielded last."""
        return self._assembly.holds(bars)

    def _due(self) -> Slots:
        """Return the bars that should be complete and were not handed over, oldest first."""
        until = self.times.early - int((self.grace + self.delay) * SECOND)
        oldest = until - REACH[self.interval]
        if self._handed is None:
            slots = self.grid.last(self.warm, until)
        else:
            slots = self.grid.between(self.grid.close_of(self._handed), until)
        return slots[slots.open >= oldest]

    def _next_look(self, due: Slots) -> int:
        """Return when to look again: after the next bar, or sooner where one is overdue."""
        now = self.times.early
        pause = int((self.grace + self.delay) * SECOND)
        following = self.grid.following(now - pause)
        after = int(following.close[0]) + pause if len(following) else now + self.grid.length
        if not len(due) and not self.times.doubtful:
            return after
        # the longer a bar is overdue the less often it is asked for: it may not exist
        overdue = now - int(due.close[-1]) if len(due) else 0
        return min(after, now + max(min(self.grid.length, MINUTE), overdue // 4))

    def _find_the_time(self) -> None:
        """Where the clock was moved, ask for what there would be if the later time were right."""
        if not self.times.doubtful or self._handed is None:
            return
        slots = self.grid.between(self.grid.close_of(self._handed), self.times.late)
        if len(slots):
            self._ask(slots, {}, slots[-1:])

    def _collect(self, due: Slots, stopped: Callable[[], bool]) -> tuple[list[Bars], Bars | None]:
        """Return bars that have changed, and the due ones that Yahoo has; None where it has none yet."""
        answers: dict[str, Quoted] = {}
        newest = due[-1:]
        deadline = int(due.close[-1]) + int((self.grace + self.delay + self.patience) * SECOND)
        while not stopped():
            failed = self._ask(due, answers, newest)
            lacking = [symbol for symbol in self._expected if not self._has(answers.get(symbol), newest)]
            late = self.times.early >= deadline
            if answers and (late or not lacking) and (failed is None or self._answered):
                break
            self._check_patience(failed)
            self._pause(self._backoff.next() if failed else POLL_SECONDS, stopped)
        if not answers:
            return [], None
        self._failing_since = None
        changed, made = self._assembly.bars(due, answers)
        self._doubts = self._unfinished(newest, answers)
        return changed, None if made is None else self._expecting(made)

    def _expecting(self, made: Bars) -> Bars:
        """Return the bars; the symbols of the last one are those that the next is waited for."""
        here = ~np.isnan(made.panel[-1, :, 3])
        self._expected = frozenset(symbol for symbol, has in zip(self.symbols, here, strict=True) if has)
        return made

    def _unfinished(self, newest: Slots, answers: Mapping[str, Quoted]) -> tuple[Hold, ...]:
        """Return holds of symbols whose newest bar may not be all of it: nothing shows that it was over."""
        ts = int(newest.ts[0])
        return tuple(
            Hold(ts, symbol, "STALE_QUOTE", "its last price is from before the bar's end")
            for symbol, answer in answers.items()
            if ts in answer.ts and not self._has(answer, newest)
        )

    def _has(self, answer: Quoted | None, newest: Slots) -> bool:
        """Say whether an answer holds the newest bar, and was given after it was over."""
        if answer is None or newest.ts[0] not in answer.ts:
            return False
        # a bar without a trade after it may be one that runs still, where prices arrive late
        return self.grid.daily or bool(answer.until >= newest.close[0])

    def _ask(self, due: Slots, answers: dict[str, Quoted], newest: Slots) -> FetchError | None:
        """Ask for the symbols that are still lacking; returns the last failure."""
        failed: FetchError | None = None
        first = int(due.session[0])
        reachable = (self.times.early - REACH[self.interval]) // DAY + 1
        for symbol in self.symbols:
            if self._has(answers.get(symbol), newest):
                continue
            try:
                answers[symbol] = fetch_recent(
                    symbol,
                    since=min(first, max(self._assembly.wanted(symbol, first), reachable)) * DAY,
                    interval=self.interval,
                    calendar=self.grid.calendar,
                    cache_dir=self._cache_dir,
                    yahoo=self._client,
                )
            except FetchError as error:
                failed = error
                self.failures += 1
                self.say("retry", str(error.args[0]))
                if error.code in ("FETCH_RATE_LIMIT", "FETCH_OFFLINE"):
                    break  # the others would fare no better, and asking them makes it worse
            else:
                if not self.grid.daily:
                    self.times.shown(answers[symbol].until)
        if failed is None:
            self._backoff.reset()
            self._answered = True
        return failed

    def _check_patience(self, failed: FetchError | None) -> None:
        """Raise where there was no usable answer for too long."""
        if failed is None:
            self._failing_since = None
            return
        if self._failing_since is None:
            self._failing_since = self._steady()
        failing = self._steady() - self._failing_since
        if failing >= (self.give_up if self._answered else min(START_SECONDS, self.give_up)):
            code = {
                "FETCH_EMPTY": "FEED_EMPTY", "FETCH_OFFLINE": "FEED_OFFLINE",
                "FETCH_RATE_LIMIT": "FEED_RATE_LIMIT",
            }.get(failed.code, "FEED_FAILED")  # fmt: skip
            raise FetchError(
                f"{self.name} had no usable answer for {failing:.0f} seconds: {failed.args[0]}",
                code=code,
            ) from failed

    def _handed_over(self, made: Bars, rows: int, *, warming: bool) -> Iterator[Bars]:
        first, more = 0, self._doubts
        while first < len(made):
            part = made[first : first + rows]
            self._took(part)
            self._assembly.judge(
                part,
                late=self.times.late,
                tolerance=self._tolerance,
                warming=warming,
                doubtful=self.times.doubtful,
                tell=lambda text: self.say("price_band", text),
                more=more,
            )
            yield part
            first += len(part)

    @property
    def _tolerance(self) -> int:
        """How far the next bar may have run before a bar is too old to enter on, nanoseconds."""
        return int((min(self.grace, MOST_GRACE_SECONDS) + self.patience + self.delay) * SECOND) + SLACK

    def _took(self, part: Bars) -> None:
        newest = int(part.ts[-1])
        if self._handed is None or newest > self._handed:
            self._handed = newest
        with self._guard:
            self._newest = max(self._newest, self.grid.close_of(newest))
        self.look()

    # Looking after it

    @property
    def stale(self) -> bool:
        """Whether no data have come for `stale_bars` bars of session time."""
        return self.look()

    def look(self) -> bool:
        """Work out whether the feed is stale; a change is an event."""
        newest, missing = self._data_until(), self._missing()
        with self._guard:
            was, self._stale = self._stale, missing >= self.stale_bars
            stale = self._stale
        if stale != was:
            self.say(
                "stale" if stale else "fresh",
                f"no data since {stamp(newest)}, {missing} bars are overdue" if stale else "data again",
            )
        return stale

    def _missing(self) -> int:
        newest = self._data_until()
        until = self.times.late - int((self.grace + self.delay) * SECOND)
        return len(self.grid.between(newest, until)) if newest and until > newest else 0

    def _data_until(self) -> int:
        with self._guard:
            return self._newest

    def watch(self, kill_switch: KillSwitch | None = None, *, every: float = 1.0) -> StaleWatch:
        """Have a thread look after the feed while bars are taken from it; see `StaleWatch`."""
        self._watch = StaleWatch(self, kill_switch=kill_switch, every=every)
        return self._watch

    def on_event(self, callback: Callable[[FeedEvent], object]) -> None:
        """Have a callback told of every event, in the thread in which it happens."""
        self.events.add(callback)

    def say(self, kind: EventKind, text: str) -> None:
        """Tell whoever listens."""
        self.events.say(FeedEvent(kind, self.times.late if kind != "clock_jump" else self._newest, text))

    def status(self) -> dict[str, Any]:
        """Return where the feed stands, as plain values."""
        following = self.grid.following(self.times.early)
        missing = self._missing()
        return {
            "source": self.name, "kind": self.kind, "interval": self.interval, "calendar": self.grid.calendar,
            "last_bar": None if self._handed is None else stamp(self._handed),
            "next_bar": stamp(int(following.close[0])) if len(following) else None,
            "stale": missing >= self.stale_bars, "overdue_bars": missing, "failures": self.failures,
            "off_grid": self._assembly.off_grid, "bad_prices": self._assembly.bad_prices,
            "clock": "jumped" if self.times.doubtful else "ok",
        }  # fmt: skip

    def close(self) -> None:
        """End the threads."""
        self._end()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.interval}, {self.grid.calendar})"

    # Waiting

    def _wait(self, until: int, stopped: Callable[[], bool]) -> None:
        jumps = self.times.jumps  # after one the time to wait for is another
        while not stopped() and self.times.jumps == jumps and (left := until - self.times.early) > 0:
            self._sleep(min(left / SECOND, LOOK_SECONDS))

    def _pause(self, seconds: float, stopped: Callable[[], bool]) -> None:
        end = self._steady() + seconds
        while not stopped() and (left := end - self._steady()) > 0:
            self._sleep(min(left, LOOK_SECONDS))

    def _start(self) -> None:
        """Begin whatever runs beside the polling."""

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def _check_numbers(self) -> None:
        for name, least in (
            ("warm", 1), ("grace", 0), ("patience", 0), ("delay", 0), ("stale_bars", 1), ("give_up", 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value < float("inf"):
                raise ConfigError(
                    f"{name} of a feed is {value!r}; it is a number from {least}", code="FEED_SETTING"
                )
