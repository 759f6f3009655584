"""A rig of Alpaca for the shared faults: the adapter at a paper exchange behind a script of faults."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from live.brokers.alpaca import AlpacaBroker
from live.brokers.interface import BrokerInterface
from tests.fakes.alpaca.script import KINDS, Fault, Refuse
from tests.fakes.alpaca.server import AlpacaServer
from tests.live.brokers.alpaca_desk import broker_at
from tests.live.brokers.rig import BrokerRig, Call

TOO_MANY: Final = Refuse(429, {"code": 42910000, "message": "rate limit exceeded"}, (("retry-after", "1"),))
LOCKED: Final = Refuse(403, {"code": 40310000, "message": "account is blocked from trading"})


class AlpacaRig(BrokerRig):
    """One account; a new process opens connections of its own."""

    def __init__(self, *, done: Fault = "504_after", undone: Fault = "cut", **options: Any) -> None:
        self.alpaca = AlpacaServer(cash=1_000_000.0).start()
        self._done, self._undone = done, undone
        self._options = options
        self.left: set[tuple[str, int]] = set()
        """Faults that nothing has met, of all that were cleared."""
        self._opened: list[AlpacaBroker] = []
        self.broker = self.open()

    def open(self) -> BrokerInterface:
        self._opened.append(broker_at(self.alpaca, **self._options))
        return self._opened[-1]

    def close(self) -> None:
        for broker in self._opened:
            broker.close()
        self.alpaca.stop()

    @property
    def now(self) -> datetime:
        return self.alpaca.now

    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        self.alpaca.move(prices, minutes=minutes)

    def lose(self, call: Call, *, done: bool) -> None:
        self.alpaca.script.at(call, 1, self._done if done else self._undone)

    def fail(self, call: Call) -> None:
        self.alpaca.script.every(call, "half")

    def down(self) -> None:
        for kind in (*KINDS, "stream"):
            self.alpaca.script.every(kind, "cut")
        self.alpaca.script.drop_streams()

    def limit(self) -> None:
        for kind in KINDS:
            self.alpaca.script.every(kind, TOO_MANY)

    def lock(self) -> None:
        for kind in KINDS:
            self.alpaca.script.every(kind, LOCKED)

    def clear(self) -> None:
        self.left |= self.alpaca.script.pending()
        self.alpaca.script.clear()

    def repeat_fills(self) -> None:
        self.alpaca.script.repeat = True

    def part(self, identity: str, quantity: float, price: float) -> None:
        self.alpaca.part(identity, quantity, price)

    def trade(self, symbol: str, quantity: float, price: float) -> None:
        self.alpaca.trade(symbol, quantity, price)

    def hide_position(self, symbol: str) -> None:
        self.alpaca.script.hidden.add(symbol)

    def split(self, symbol: str, ratio: float) -> None:
        self.alpaca.split(symbol, ratio)

    def lose_children(self) -> None:
        """They always do at Alpaca."""

    def night(self) -> None:
        self.alpaca.move(minutes=24 * 60)
        self.alpaca.venue.expire_day(self.now)
        self.alpaca.script.drop_streams()

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        self.alpaca.data.quote(symbol, bid, ask, at=self.now)

    def no_quotes(self) -> None:
        self.alpaca.script.every("data", "504")

    def assign(self, symbol: str, quantity: float) -> None:
        self.alpaca.assign(symbol, quantity)

    def held(self) -> dict[str, float]:
        return self.alpaca.held()

    def working(self) -> dict[str, tuple[str, float]]:
        return {
            name: ("trailing" if one.kind == "trailing_stop" else one.kind, one.left)
            for name, one in self.alpaca.orders().items()
            if one.status != "held"
        }

    def received(self) -> list[str]:
        return list(self.alpaca.script.accepted)
