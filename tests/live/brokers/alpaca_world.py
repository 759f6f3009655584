"""Alpaca's data service on this machine, a feed at it, and clocks that only the test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from live.feeds.alpaca import AlpacaFeed
from live.feeds.backoff import Backoff
from live.feeds.holds import Hold
from simulator.bars import Bars
from tests.fakes.alpaca.server import AlpacaServer
from tests.live.brokers.alpaca_desk import CREDENTIALS, until

MINUTE = timedelta(minutes=1)
OPEN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


class World:
    """A data service, and a clock that only the test moves."""

    def __init__(self, server: AlpacaServer) -> None:
        self.server, self.data = server, server.data
        self.now = OPEN
        self.shift = timedelta(0)  # by which the wall clock is wrong
        self.feeds: list[AlpacaFeed] = []

    def feed(self, symbols: str = "AAPL,MSFT", **more: Any) -> AlpacaFeed:
        settings: dict[str, Any] = {
            "credentials": CREDENTIALS, "url": self.server.url, "warm": 3, "patience": 0.0, "silence": 30.0,
            "stream_url": self.server.url.replace("http", "ws") + "/v2/iex", "reconnect_pause": 0.02,
            "clock": lambda: self.now + self.shift,
            "steady": lambda: (self.now - OPEN).total_seconds() + 1000.0,
            "sleep": self.sleep, "backoff": Backoff(random=lambda: 0.5), "timeout": 10.0,
        }  # fmt: skip
        self.feeds.append(AlpacaFeed(symbols.split(","), **(settings | more)))
        return self.feeds[-1]

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=max(seconds, 1.0))

    def row(self, symbol: str, start: datetime, price: float, volume: float = 100.0) -> dict[str, Any]:
        """A minute's bar: a dollar up, a dollar down, half a dollar more at the end."""
        return {
            "t": start.isoformat().replace("+00:00", "Z"), "o": price, "h": price + 1.0, "l": price - 1.0,
            "c": price + 0.5, "v": volume,
        }  # fmt: skip

    def store(self, symbol: str, minutes: int, *, start: datetime = OPEN, price: float = 100.0) -> None:
        rows = [self.row(symbol, start + n * MINUTE, price + n) for n in range(minutes)]
        self.data.bars.setdefault(symbol, []).extend(rows)

    def tell(self, symbol: str, start: datetime, price: float, kind: str = "b") -> None:
        self.data.say({"T": kind, "S": symbol, **self.row(symbol, start, price), "t": start})


def opened() -> Iterator[World]:
    """Yield a world; the feeds of it end with it."""
    with AlpacaServer() as server:
        made = World(server)
        yield made
        for feed in made.feeds:
            feed.close()


def take(
    world: World, feed: AlpacaFeed, bars: int, *, after: int | None = None, seconds: float = 600.0
) -> list[Bars]:
    """Take so many bars, or those of some time."""
    ends = world.now + timedelta(seconds=seconds)
    found: list[Bars] = []
    for part in feed.bars(after=after, rows=1, stopped=lambda: len(found) >= bars or world.now > ends):
        found.append(part)  # noqa: PERF402 - `stopped` counts them while they come
    return found


class Taking:
    """Bars taken in a thread, while the test lets things happen."""

    def __init__(self, world: World, feed: AlpacaFeed, *, after: int | None = None) -> None:
        self.found: list[Bars] = []
        self.allowed: list[datetime] = [world.now]
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

    def _sleep(self, seconds: float) -> None:
        if self._world.now < self.allowed[0]:
            self._world.now = min(self.allowed[0], self._world.now + timedelta(seconds=max(1.0, seconds)))
        else:
            self._stop.wait(0.005)

    def _run(self, after: int | None) -> None:
        for part in self._feed.bars(after=after, rows=1, stopped=self._stop.is_set):
            self.found.append(part)


def streaming(world: World, **more: Any) -> tuple[AlpacaFeed, Taking]:
    """Return a feed that has its history, and takes on."""
    world.store("AAPL", 3)
    world.store("MSFT", 3, price=50.0)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    feed = world.feed(**more)
    taking = Taking(world, feed)
    return feed, taking


def held_while(
    world: World, feed: AlpacaFeed, bars: int, *, after: int | None = None
) -> tuple[list[Bars], list[list[str]]]:
    """Take so many bars, and with each the codes of what it holds back."""
    ends = world.now + timedelta(minutes=10)
    found: list[Bars] = []
    codes: list[list[str]] = []
    for part in feed.bars(after=after, rows=1, stopped=lambda: len(found) >= bars or world.now > ends):
        found.append(part)
        holds: tuple[Hold, ...] = feed.holds(part)
        codes.append([hold.code for hold in holds])
    return found, codes
