"""A world in which Yahoo answers from a table: a chart service behind `requests`, and clocks that are moved.

Prices are a fixed function of symbol and time, so that every test can say what a bar must hold without asking
the code under test. The service answers as the real one does: the running bar is among the rows, the close is
printed as one more bar, rows without a trade are null.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import exchange_calendars
import numpy as np
import pandas as pd
import requests
from requests.adapters import BaseAdapter

from live.feeds.backoff import Backoff
from live.feeds.yahoo import YahooFeed
from simulator.bars import Bars
from simulator.bars.yahoo import Yahoo

SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "1d": 86_400}


def price_of(symbol: str, second: int) -> float:
    """The price of a symbol at a time, with two digits."""
    noise = zlib.crc32(f"{symbol}{second // 60}".encode()) % 200
    return 100.0 + len(symbol) + noise / 100.0


def row_of(symbol: str, start: int, end: int) -> tuple[float, float, float, float, float]:
    """The bar of a symbol from `start` to `end`, seconds."""
    prices = [price_of(symbol, second) for second in range(start, end, 60)]
    return prices[0], max(prices), min(prices), prices[-1], 100.0 * len(prices)


@dataclass
class World(BaseAdapter):
    """Clocks and a chart service.

    `now` and `steady` are seconds; `wall_shift` is by how much the wall clock is wrong. `edit` changes the
    rows of a symbol before they are sent: it is given and returns a dict of start second to row or None.
    """

    start: str
    calendar: str = "XNYS"
    zone: str = "America/New_York"
    now: float = 0.0
    steady_from: float = 1_000.0
    wall_shift: float = 0.0
    mode: str = "well"
    refusals: int = 0
    lag: dict[str, float] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    edit: Callable[[str, dict[int, Any]], dict[int, Any]] | None = None
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    at: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    asked: list[tuple[str, float]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.now = datetime.fromisoformat(self.start).astimezone(UTC).timestamp()
        self.began = self.now
        self.exchange = exchange_calendars.get_calendar(self.calendar, start="2019-01-01", end="2026-12-31")

    # clocks

    def clock(self) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=self.now + self.wall_shift)

    def steady(self) -> float:
        return self.steady_from + self.now - self.began

    def sleep(self, seconds: float) -> None:
        # a step of at least a second keeps long waits short to run
        self.now += max(seconds, 1.0)
        while self.at and self.at[0][0] <= self.now:
            self.at.pop(0)[1]()

    def plan(self, time: str, action: Callable[[], None]) -> None:
        self.at.append((datetime.fromisoformat(time).astimezone(UTC).timestamp(), action))
        self.at.sort(key=lambda one: one[0])

    def until(self, time: str) -> Callable[[], bool]:
        end = datetime.fromisoformat(time).astimezone(UTC).timestamp()
        return lambda: self.now >= end

    # the feed

    def feed(self, symbols: str, folder: Path, kind: type[YahooFeed] = YahooFeed, **more: Any) -> YahooFeed:
        session = requests.Session()
        session.mount("https://", self)
        session.mount("http://", self)
        settings: dict[str, Any] = {
            "calendar": self.calendar, "cache_dir": folder, "clock": self.clock, "steady": self.steady,
            "sleep": self.sleep, "yahoo": Yahoo(session=session), "backoff": Backoff(random=lambda: 0.5),
        }  # fmt: skip
        return kind(symbols.split(","), **(settings | more))

    def take(
        self, feed: YahooFeed, until: str, *, after: int | None = None, rows: int = 1
    ) -> Iterator[tuple[Bars, tuple[Any, ...]]]:
        """Take bars until a time; yields each with its holds."""
        for bars in feed.bars(after=after, rows=rows, stopped=self.until(until)):
            yield bars, feed.holds(bars)

    # the chart service

    def close(self) -> None:
        """Nothing is open."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url = urlparse(str(request.url))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.mode == "offline":
            raise requests.exceptions.ConnectionError("no route to host")
        if "/chart/" not in url.path:
            return _response(request, 200, "crumb")
        symbol = url.path.rsplit("/", 1)[1]
        since = float(query.get("period1", self.now - 86_400))
        if "period1" in query:
            self.asked.append((symbol, self.now))
        if self.refusals and "period1" in query:
            self.refusals -= 1
            return _response(request, 429, "Too Many Requests")
        if symbol in self.unknown:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return _response(request, 404, json.dumps({"chart": {"result": None, "error": error}}))
        if self.mode == "garbage":
            return _response(request, 200, "<html>maintenance</html>")
        return _response(request, 200, json.dumps(self._chart(symbol, query.get("interval", "1d"), since)))

    def _chart(self, symbol: str, interval: str, since: float) -> dict[str, Any]:
        rows = {} if self.mode == "empty" else self._rows(symbol, interval, since)
        if self.edit is not None:
            rows = self.edit(symbol, rows)
        stamps = sorted(rows)
        columns = ("open", "high", "low", "close", "volume")
        quote = {
            name: [None if rows[at] is None else rows[at][place] for at in stamps]
            for place, name in enumerate(columns)
        }
        zone = {"exchangeTimezoneName": self.zone, "gmtoffset": 0, "timezone": "X"}
        meta = {
            **zone, "currency": "USD", "instrumentType": "EQUITY", "validRanges": ["1d", "max"],
            "symbol": symbol, "dataGranularity": interval, "range": "", "priceHint": 2,
            "regularMarketTime": int(self.now - self.lag.get(symbol, 0.0)),
            "tradingPeriods": [[period] for period in self._periods(since)],
        }  # fmt: skip
        result: dict[str, Any] = {
            "meta": meta,
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]},
            "timestamp": stamps,
        }
        if self.events.get(symbol):
            result["events"] = self.events[symbol]
        return {"chart": {"result": [result], "error": None}}

    def _periods(self, since: float) -> list[dict[str, Any]]:
        return [
            {"timezone": "X", "gmtoffset": 0, "start": start, "end": end}
            for start, end in self._sessions(since)
        ]

    def _sessions(self, since: float) -> list[tuple[int, int]]:
        first, last = (pd.Timestamp(second, unit="s").normalize() for second in (since, self.now))
        one = pd.Timedelta(days=1)
        hours = self.exchange.schedule.loc[first - one : last + one, ["open", "close"]]
        return [(int(a.timestamp()), int(b.timestamp())) for a, b in hours.itertuples(index=False)]

    def _rows(self, symbol: str, interval: str, since: float) -> dict[int, Any]:
        now = self.now - self.lag.get(symbol, 0.0)
        span = SECONDS[interval]
        rows: dict[int, Any] = {}
        for start, end in self._sessions(since):
            if interval == "1d":
                if since <= start <= now:
                    rows[start] = row_of(symbol, start, end if now >= end else int(now))
                continue
            for at in range(start, end, span):
                if since <= at < now - 1:
                    rows[at] = row_of(symbol, at, min(at + span, end, int(now)))
            if since <= start and interval != "1d" and start + 90 < now < end and int(now) % span:
                rows[int(now)] = (*row_of(symbol, int(now), int(now) + 60)[:4], 0.0)
            if since <= start and now >= end:
                rows[end] = (*row_of(symbol, end - 60, end)[:4], 0.0)
        return rows


def _response(request: requests.PreparedRequest, status: int, text: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    response.url = str(request.url)
    response.request = request
    return response


def nanoseconds(time: str) -> int:
    """UTC nanoseconds of a time with its offset."""
    return int(
        np.datetime64(datetime.fromisoformat(time).astimezone(UTC).replace(tzinfo=None), "ns").astype(int)
    )
