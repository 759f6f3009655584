"""A rig of tastytrade for the shared faults: the adapter and its library at a server in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from live.brokers.interface import BrokerInterface
from live.brokers.tastytrade import TastytradeBroker
from live.brokers.tastytrade.orders import read_name
from tests.fakes.tastytrade import wire
from tests.fakes.tastytrade.books import Books
from tests.fakes.tastytrade.server import REFRESH, SECRET, Answer, TastytradeServer
from tests.live.brokers.rig import BrokerRig, Call

KEYS: Final = {"secret": SECRET, "refresh": REFRESH}
_REQUESTS: Final[dict[Call, str]] = {
    "submit": "submit",
    "replace": "replace",
    "cancel": "cancel",
    "positions": "positions",
    "orders": "live",
    "executions": "transactions",
}
_KINDS: Final = {"Market": "market", "Limit": "limit", "Stop": "stop", "Stop Limit": "stop_limit"}
ALL: Final = (
    "account", "balances", "positions", "live", "history", "order", "transactions", "submit", "replace",
    "cancel", "market",
)  # fmt: skip


def broker_at(server: TastytradeServer, **options: Any) -> TastytradeBroker:
    """Return a broker at a server, without a limit of requests."""
    options = {"timeout": 3.0, "per_minute": 0.0, "ledger_wait": 0.0, **options}
    return TastytradeBroker(
        KEYS, transport=server.transport(), clock=lambda: server.books.now, account=Books().account, **options
    )


@contextmanager
def at_tastytrade(**options: Any) -> Iterator[tuple[TastytradeServer, TastytradeBroker]]:
    """Open a server and a broker at it; prices are those of the contract."""
    server = TastytradeServer()
    server.move({"AAPL": 100.0, "SPY261218P00500000": 4.0, "SPY261218P00490000": 2.5})
    broker = broker_at(server, **options)
    try:
        yield server, broker
    finally:
        broker.close()


class TastytradeRig(BrokerRig):
    """One account; a new process has a session of its own."""

    def __init__(self, **options: Any) -> None:
        self.server = TastytradeServer()
        self.left: dict[tuple[str, int], object] = {}
        """Faults that nothing has met, of all that were cleared."""
        self._options = options
        self._opened: list[TastytradeBroker] = []
        self.broker = self.open()

    def open(self) -> BrokerInterface:
        self._opened.append(broker_at(self.server, **self._options))
        return self._opened[-1]

    def close(self) -> None:
        for broker in self._opened:
            broker.close()

    @property
    def now(self) -> datetime:
        return self.server.books.now

    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        self.server.move(prices, minutes=minutes)

    def lose(self, call: Call, *, done: bool) -> None:
        self.server.at(_REQUESTS[call], 1, "after" if done else "before")

    def fail(self, call: Call) -> None:
        self.server.every(_REQUESTS[call], "cut")

    def down(self) -> None:
        for kind in ("token", *ALL):
            self.server.every(kind, "before")

    def limit(self) -> None:
        for kind in ALL:
            self.server.every(kind, Answer(429, "too_many_requests", "Too many requests"))

    def lock(self) -> None:
        for kind in ALL:
            self.server.every(kind, Answer(403, "not_permitted", "User not permitted access"))

    def clear(self) -> None:
        self.left.update(self.server.pending())
        self.server.clear()

    def repeat_fills(self) -> None:
        self.server.repeat = True

    def part(self, identity: str, quantity: float, price: float) -> None:
        with self.server.lock:
            self.server.books.part(identity, quantity, price)

    def trade(self, symbol: str, quantity: float, price: float) -> None:
        with self.server.lock:
            self.server.books.trade(symbol, quantity, price)

    def hide_position(self, symbol: str) -> None:
        self.server.hidden.add(symbol)

    def split(self, symbol: str, ratio: float) -> None:
        with self.server.lock:
            self.server.books.split(symbol, ratio)

    def lose_children(self) -> None:
        """They always do at tastytrade."""

    def night(self) -> None:
        self.move({}, minutes=24 * 60)
        self.server.tokens += 1  # the token of yesterday is not taken any more

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        row = {**wire.market_json(self.server.books, symbol), "bid": str(bid), "ask": str(ask)}
        self.server.every("market", Answer(200, text=json.dumps({"data": {"items": [row]}})))

    def no_quotes(self) -> None:
        self.server.every("market", "before")

    def assign(self, symbol: str, quantity: float) -> None:
        root, strike = symbol[:-15], int(symbol[-8:]) / 1000.0
        with self.server.lock:
            self.server.books.deliver(symbol, quantity, 0.0, "Assignment", action=None)
            self.server.books.deliver(root, 100.0 * quantity, strike, "Buy to Open", action="Buy to Open")

    def held(self) -> dict[str, float]:
        return dict(self.server.books.held)

    def working(self) -> dict[str, tuple[str, float]]:
        return {
            read_name(one.external).identity: (_KINDS[one.kind], one.remaining)
            for one in self.server.books.orders
            if one.works and one.status != "Contingent"
        }

    def received(self) -> list[str]:
        return [name for name in self.server.received if not name.endswith(("-stop", "-target"))]
