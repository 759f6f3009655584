"""A tastytrade that streams prices on a port of this machine, a clock that only a test moves, and a feed."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from live.feeds.backoff import Backoff
from live.feeds.dxlink import DxlinkFeed
from simulator.bars import Bars
from tests.fakes.tastytrade.server import REFRESH, SECRET, TastytradeServer
from tests.fakes.tastytrade.serving import served

KEYS: Final = {"secret": SECRET, "refresh": REFRESH}
MINUTE: Final = timedelta(minutes=1)
OPEN: Final = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


class World:
    """A market, and a clock that only the test moves."""

    def __init__(self, server: TastytradeServer, url: str) -> None:
        self.server, self.market, self.url = server, server.dxlink, url
        self.now = OPEN
        self.feeds: list[DxlinkFeed] = []

    def feed(self, symbols: str = "AAPL,MSFT", **more: Any) -> DxlinkFeed:
        settings: dict[str, Any] = {
            "credentials": KEYS, "url": self.url, "warm": 3, "patience": 0.0, "silence": 30.0,
            "reconnect": Backoff(first=0.02, longest=0.1, random=lambda: 0.5), "timeout": 5.0,
            "clock": lambda: self.now, "steady": lambda: (self.now - OPEN).total_seconds() + 1000.0,
            "sleep": self.sleep, "backoff": Backoff(random=lambda: 0.5),
        }  # fmt: skip
        self.feeds.append(DxlinkFeed(symbols.split(","), **(settings | more)))
        return self.feeds[-1]

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=max(seconds, 1.0))

    def candle(self, symbol: str, start: datetime, price: float, *, period: str = "m", **more: Any) -> None:
        """A candle: a dollar up, a dollar down, half a dollar more at the end."""
        row = {"open": price, "high": price + 1.0, "low": price - 1.0, "close": price + 0.5,
               "volume": 100.0, "count": 5}  # fmt: skip
        self.market.candle(symbol, milliseconds(start), row | more, period=period)

    def store(
        self, symbol: str, count: int, *, start: datetime = OPEN, price: float = 100.0,
        step: timedelta = MINUTE, period: str = "m",
    ) -> None:  # fmt: skip
        for n in range(count):
            self.candle(symbol, start + n * step, price + n, period=period)

    def trade(self, symbol: str, when: datetime, price: float = 100.0, **more: Any) -> None:
        values = {"time": milliseconds(when), "price": price, "size": 10, "dayVolume": 1000.0,
                  "extendedTradingHours": False}  # fmt: skip
        self.market.say("Trade", symbol, **(values | more))

    def quote(self, symbol: str, bid: float, ask: float, when: datetime | None = None) -> None:
        stamp = 0 if when is None else milliseconds(when)
        self.market.say("Quote", symbol, bidPrice=bid, askPrice=ask, bidTime=stamp, askTime=stamp)

    def pulse(self, *symbols: str, at: datetime | None = None) -> None:
        """Let symbols trade twice, so that it is known when the stream is."""
        when = self.now if at is None else at
        for symbol in symbols:
            for ago in (1, 0):
                self.trade(symbol, when - timedelta(milliseconds=ago))


class Taking:
    """Bars taken in a thread, while the test lets things happen."""

    def __init__(self, world: World, feed: DxlinkFeed, *, after: int | None = None) -> None:
        self.found: list[Bars] = []
        self.holds: list[set[tuple[str | None, str]]] = []
        self.allowed: list[datetime] = [world.now]
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._world, self._feed = world, feed
        self._thread = threading.Thread(target=self._run, args=(after,), daemon=True)

    def __enter__(self) -> Taking:
        self._feed._sleep = self._sleep
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def go(self, until_time: datetime) -> None:
        """Let the clock run up to a time."""
        self.allowed[0] = until_time
        until(lambda: self._world.now >= until_time or self._stop.is_set())

    def closes(self) -> list[list[float]]:
        return [part.close[-1].tolist() for part in self.found]

    def _sleep(self, seconds: float) -> None:
        if self._world.now < self.allowed[0]:
            self._world.now = min(self.allowed[0], self._world.now + timedelta(seconds=max(1.0, seconds)))
        else:
            self._stop.wait(0.005)

    def _run(self, after: int | None) -> None:
        try:
            for part in self._feed.bars(after=after, rows=1, stopped=self._stop.is_set):
                self.holds.append({(hold.symbol, hold.code) for hold in self._feed.holds(part)})
                self.found.append(part)
        except Exception as error:
            self.error = error


class _Door:
    """One port for all worlds, one after the other: to open and close a server takes longer than a test."""

    def __init__(self) -> None:
        self.server = TastytradeServer()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.server.app(scope, receive, send)


@cache
def _open_door() -> tuple[_Door, str]:
    door, stack = _Door(), ExitStack()
    atexit.register(stack.close)
    return door, stack.enter_context(served(door))


@contextmanager
def a_world() -> Iterator[World]:
    """Open a market of its own."""
    door, url = _open_door()
    door.server = TastytradeServer()
    made = World(door.server, url)
    try:
        yield made
    finally:
        for feed in made.feeds:
            feed.close()


def take(
    world: World, feed: DxlinkFeed, bars: int, *, after: int | None = None, seconds: float = 600.0
) -> list[Bars]:
    """Take so many bars, or those of some time."""
    ends = world.now + timedelta(seconds=seconds)
    found: list[Bars] = []
    for part in feed.bars(after=after, rows=1, stopped=lambda: len(found) >= bars or world.now > ends):
        found.append(part)  # noqa: PERF402 - `stopped` counts them while they come
    return found


def reached(feed: DxlinkFeed, when: datetime, *symbols: str) -> None:
    """Wait until the stream has shown that it has come to a time."""
    ts = milliseconds(when) * 1_000_000
    until(lambda: all(feed._pulse.until(symbol) >= ts for symbol in symbols))


def known(feed: DxlinkFeed, symbol: str, start: datetime, close: float) -> None:
    """Wait until a candle has arrived with a close."""
    ts = milliseconds(start) * 1_000_000

    def is_there() -> bool:
        times, values = feed._book.rows(symbol, ts)
        return bool(times.size and times[0] == ts and values[0, 3] == close)

    until(is_there)


def until(is_so: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something that happens on another thread."""
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.005)


def milliseconds(when: datetime) -> int:
    return round(when.timestamp() * 1000)
