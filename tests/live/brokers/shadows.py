"""Shadows of the three brokers of the tests: each at its server, which counts what would write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from live.brokers.shadow import ShadowBroker
from tests.fakes.alpaca.script import KINDS
from tests.fakes.alpaca.server import AlpacaServer
from tests.fakes.tastytrade.server import TastytradeServer
from tests.fakes.tws.server import TwsServer
from tests.live.brokers import alpaca_desk, ib_desk, tastytrade_rig

BROKERS: Final = ("alpaca", "interactive_brokers", "tastytrade")

_WRITES: Final = frozenset({"submit", "replace", "cancel", "dry_run", "place", "cancel_all", "global_cancel"})


class Shadowed:
    """A broker of the tests and its server, which is there to be shadowed.

    Attributes
    ----------
    real
        The adapter.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._closings: list[Any] = []
        self._server: Any
        if name == "alpaca":
            self._server = AlpacaServer().start()
            self.real: Any = alpaca_desk.broker_at(self._server)
        elif name == "interactive_brokers":
            self._server = TwsServer().start()
            self.real = ib_desk.broker_at(self._server)
        else:
            self._server = TastytradeServer()
            self.real = tastytrade_rig.broker_at(self._server)
        self._closings.append(self.real.close)
        self._written = 0

    def now(self) -> datetime:
        """Time at the broker."""
        if self.name == "alpaca":
            return self._server.now  # type: ignore[no-any-return]
        books = self._server.market if self.name == "interactive_brokers" else self._server.books
        return books.now  # type: ignore[no-any-return]

    def shadow(self, **options: Any) -> ShadowBroker:
        """Open a shadow by the broker's clock, for which late quotes are good enough."""
        made = ShadowBroker(self.real, clock=self.now, **{"late_quotes": True, **options})
        self._closings.append(made.close)
        return made

    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        """A minute later, these prices."""
        self._server.move(prices, minutes=minutes)
        if self.name == "alpaca":
            for symbol, price in prices.items():
                self._server.data.quote(symbol, price, price + 0.01, last=price, at=self.now())

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        """Quote a symbol, without time passing; not at tastytrade."""
        if self.name == "alpaca":
            self._server.data.quote(symbol, bid, ask, at=self.now())
        else:
            self._server.do(lambda: self._server.market.quotes.__setitem__(symbol, (bid, ask)))

    def trade(self, symbol: str, quantity: float, price: float) -> None:
        """Somebody trades by hand in the real account."""
        if self.name == "alpaca":
            self._server.trade(symbol, quantity, price)
        elif self.name == "interactive_brokers":
            self._server.do(lambda: self._server.market.book(symbol, quantity, price))
        else:
            with self._server.lock:
                self._server.books.trade(symbol, quantity, price)

    def asked(self) -> list[str]:
        """Kinds of all requests that came to the server."""
        if self.name == "alpaca":
            return [kind for kind, _, _ in self._server.script.requests]
        return list(self._server.received if self.name == "interactive_brokers" else self._server.requests)

    def writes(self) -> list[str]:
        """Kinds of the requests that would have changed something."""
        return [kind for kind in self.asked() if kind in _WRITES]

    def orders(self) -> int:
        """Number of orders that the server has ever had."""
        return len(self.real.get_orders(open_only=False))

    def down(self) -> None:
        """The broker is out of reach."""
        if self.name == "alpaca":
            for kind in KINDS:
                self._server.script.every(kind, "cut")
        elif self.name == "interactive_brokers":
            self._server.refuse = True
            self._server.restart()
        else:
            for kind in ("token", "market", "account", "balances", "transactions"):
                self._server.every(kind, "before")

    def close(self) -> None:
        """End all of it."""
        for close in reversed(self._closings):
            close()
        if self.name != "tastytrade":
            self._server.stop()


@contextmanager
def shadowed(name: str) -> Iterator[Shadowed]:
    """Open a broker of the tests that has prices."""
    found = Shadowed(name)
    try:
        found.move({"AAPL": 100.0})
        yield found
    finally:
        found.close()
