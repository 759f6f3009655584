"""The four brokers of the tests as one thing: what a configuration says of each, and a market to be moved.

A session finds its broker by the text of `configure` and knows nothing else of it. The market behind it is
led along the bars of the session: before a bar is handed over, every price on its way was traded at.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from live.brokers.paper import PaperBroker
from live.feeds import ReplayFeed
from live.venue import Venue
from simulator import Bars
from tests.fakes.alpaca.server import KEY, AlpacaServer
from tests.fakes.alpaca.server import SECRET as ALPACA_SECRET
from tests.fakes.tastytrade.server import REFRESH, TastytradeServer
from tests.fakes.tastytrade.server import SECRET as TASTYTRADE_SECRET
from tests.fakes.tastytrade.serving import served
from tests.fakes.tws.server import TwsServer

__all__ = ["BROKERS", "DrivenFeed", "FakeMarket", "market_of"]

BROKERS: Final = ("paper", "alpaca", "interactive_brokers", "tastytrade")

STEP: Final = 0.25
"""How far a price moves at once, in currency: what a stop at a fake can be filled beyond its level."""


class FakeMarket(ABC):
    """A broker of the tests, with one account of 100,000.

    Attributes
    ----------
    name
        As section [broker] has it.
    lines
        Of that section, beside the name.
    credentials
        Of the file of credentials, by name.
    """

    name: str

    def __init__(self, lines: Mapping[str, object], credentials: Mapping[str, str]) -> None:
        self.lines = lines
        self.credentials = credentials

    def configure(self, folder: Path) -> Path:
        """Write a configuration, and the credentials beside it; return its path."""
        path = folder / "twinstep.toml"
        path.write_text(_section("broker", {"name": self.name, **self.lines}), encoding="utf-8")
        if self.credentials:
            secrets = folder / "credentials.toml"
            secrets.write_text(_section(self.name, self.credentials), encoding="utf-8")
            os.chmod(secrets, 0o600)
        return path

    def opened(self, broker: Any) -> None:
        """Take in the adapter that a session has opened; only a broker in this process needs it."""
        assert broker is not None

    @property
    @abstractmethod
    def now(self) -> datetime:
        """Time at the broker."""

    @abstractmethod
    def trade(self, prices: Mapping[str, float], minutes: float) -> None:
        """Let the market trade at prices, so many minutes later."""

    @abstractmethod
    def held(self) -> dict[str, float]:
        """Return what the account holds, by symbol; what is flat is not in it."""

    @abstractmethod
    def working(self) -> list[str]:
        """Return the orders that work."""

    @abstractmethod
    def received(self) -> list[str]:
        """Return the client order id of every order that was accepted, as often as it was."""

    def reach(self, time: datetime, prices: Mapping[str, float]) -> None:
        """Trade at prices at a time that has not passed."""
        self.trade(prices, max(0.0, (time - self.now).total_seconds() / 60.0))


class PaperMarket(FakeMarket):
    """The paper broker, which lives in the session's own process."""

    name = "paper"

    def __init__(self) -> None:
        super().__init__({}, {})
        self._venue: Venue | None = None
        self._now = datetime(2026, 3, 2, 14, 59, tzinfo=UTC)
        self._last: dict[str, float] = {}

    def opened(self, broker: Any) -> None:
        inner = getattr(broker, "inner", broker)
        assert isinstance(inner, PaperBroker)
        self._venue = inner.venue
        if self._last:
            self._venue.tick(self._now, self._last)

    @property
    def now(self) -> datetime:
        return self._now

    def trade(self, prices: Mapping[str, float], minutes: float) -> None:
        self._now = datetime.fromtimestamp(self._now.timestamp() + 60.0 * minutes, UTC)
        self._last = dict(prices)
        if self._venue is not None:
            self._venue.tick(self._now, self._last)

    def held(self) -> dict[str, float]:
        assert self._venue is not None
        return {one.symbol: one.qty for one in self._venue.positions()}

    def working(self) -> list[str]:
        assert self._venue is not None
        return [one.client_order_id for one in self._venue.orders("open")]

    def received(self) -> list[str]:
        assert self._venue is not None
        every = self._venue.orders("all", direction="asc")
        return [one.client_order_id for one in every if not one.parent_id and not one.replaces]


class AlpacaMarket(FakeMarket):
    """Alpaca's service on this machine."""

    name = "alpaca"

    def __init__(self, server: AlpacaServer) -> None:
        lines = {"url": server.url, "data_url": server.url, "per_minute": 1e6}
        super().__init__(lines, {"key": KEY, "secret": ALPACA_SECRET})
        self._server = server

    @property
    def now(self) -> datetime:
        return self._server.now

    def trade(self, prices: Mapping[str, float], minutes: float) -> None:
        self._server.move(prices, minutes=minutes)

    def held(self) -> dict[str, float]:
        return self._server.held()

    def working(self) -> list[str]:
        return list(self._server.orders())

    def received(self) -> list[str]:
        return list(self._server.script.accepted)


class TwsMarketOfTests(FakeMarket):
    """A gateway on a local socket."""

    name = "interactive_brokers"

    def __init__(self, server: TwsServer) -> None:
        super().__init__({"port": server.port, "per_minute": 1e6}, {})
        self._server = server

    @property
    def now(self) -> datetime:
        return self._server.market.now

    def trade(self, prices: Mapping[str, float], minutes: float) -> None:
        self._server.move(prices, minutes=minutes)

    def held(self) -> dict[str, float]:
        return self._server.do(lambda: {one.symbol: held for one, held, _ in self._server.market.positions()})

    def working(self) -> list[str]:
        return self._server.do(lambda: [one.ref for one in self._server.market.orders if one.works])

    def received(self) -> list[str]:
        placed = self._server.do(lambda: list(self._server.placed))
        return [ref for _, _, ref in placed]


class TastytradeMarket(FakeMarket):
    """tastytrade's service on this machine."""

    name = "tastytrade"

    def __init__(self, server: TastytradeServer, url: str) -> None:
        super().__init__({"url": url, "per_minute": 1e6}, {"secret": TASTYTRADE_SECRET, "refresh": REFRESH})
        self._server = server

    @property
    def now(self) -> datetime:
        return self._server.books.now

    def trade(self, prices: Mapping[str, float], minutes: float) -> None:
        self._server.move(prices, minutes=minutes)

    def held(self) -> dict[str, float]:
        return {symbol: held for symbol, held in self._server.books.held.items() if held}

    def working(self) -> list[str]:
        return [one.external for one in self._server.books.orders if one.works]

    def received(self) -> list[str]:
        return list(self._server.received)


@contextmanager
def market_of(name: str) -> Iterator[FakeMarket]:
    """Open a broker of the tests."""
    with ExitStack() as ending:
        if name == "paper":
            yield PaperMarket()
        elif name == "alpaca":
            yield AlpacaMarket(ending.enter_context(AlpacaServer()))
        elif name == "interactive_brokers":
            yield TwsMarketOfTests(ending.enter_context(TwsServer()))
        else:
            server = TastytradeServer()
            yield TastytradeMarket(server, ending.enter_context(served(server)))


class DrivenFeed(ReplayFeed):
    """Stored bars, along which a market is led before each of them is handed over."""

    def __init__(self, bars: Bars, market: FakeMarket, **options: Any) -> None:
        super().__init__(bars, **options)
        self._market = market

    def bars(
        self, *, after: int | None, rows: int = 1, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Bars]:
        """Yield the bars one by one, each when its prices were traded at."""
        for bar in super().bars(after=after, rows=1, stopped=stopped):
            lead(self._market, bar)
            yield bar


def lead(market: FakeMarket, bar: Bars) -> None:
    """Trade along one bar: from the open by the nearer of its ends to the other, and to the close."""
    corners = [_corners(*bar.panel[0, column, :4]) for column in range(len(bar.symbols))]
    begin = int(bar.ts[0]) / 1e9
    length = int(bar.close_ts[0]) / 1e9 - begin
    path = np.array(corners)  # symbol, corner
    market.reach(datetime.fromtimestamp(begin, UTC), dict(zip(bar.symbols, path[:, 0].tolist(), strict=True)))
    for number, (one, other) in enumerate(pairwise(path.T)):
        steps = max(1, int(np.ceil(np.abs(other - one).max() / STEP)))
        for step in range(1, steps + 1):
            prices = one + (other - one) * step / steps
            at = begin + length * (number + step / steps) / 3.0
            named = dict(zip(bar.symbols, np.round(prices, 4).tolist(), strict=True))
            market.reach(datetime.fromtimestamp(at, UTC), named)


def _corners(first: float, high: float, low: float, last: float) -> tuple[float, float, float, float]:
    return (first, low, high, last) if last >= first else (first, high, low, last)


def _section(name: str, values: Mapping[str, object]) -> str:
    lines = [f'{key} = "{one}"' if isinstance(one, str) else f"{key} = {one}" for key, one in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])
