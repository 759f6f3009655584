"""A rig of Interactive Brokers for the shared faults: the adapter at a TWS on a local socket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from live.brokers.interactive_brokers import FlexStatements, InteractiveBrokersBroker
from live.brokers.interface import BrokerInterface
from tests.fakes.tws.flex import FlexServer
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import broker_at
from tests.live.brokers.rig import BrokerRig, Call

_MESSAGES: Final[dict[Call, str]] = {
    "submit": "place",
    "replace": "place",
    "cancel": "cancel",
    "positions": "positions",
    "orders": "all_open_orders",
    "executions": "executions",
}
_KINDS: Final = {
    "MKT": "market", "LMT": "limit", "STP": "stop", "STP LMT": "stop_limit", "TRAIL": "trailing",
}  # fmt: skip


class TwsRig(BrokerRig):
    """One account at a TWS; a new process connects under the same client id once the old one has gone."""

    def __init__(self, **options: Any) -> None:
        self.tws = TwsServer().start()
        self.flex = FlexServer(self.tws.market)
        self._options = {"timeout": 5.0, "account": "DU1234567", **options}
        self.left: dict[tuple[str, int], object] = {}
        """Faults that nothing has met, of all that were cleared."""
        self._opened: list[InteractiveBrokersBroker] = []
        self.broker = self.open()

    def open(self) -> BrokerInterface:
        for before in self._opened:
            before.close()
        statements = FlexStatements("flex-token", "99", address=self.flex.address, lasts=0.0)
        self._opened.append(broker_at(self.tws, statements=statements, **self._options))
        return self._opened[-1]

    def close(self) -> None:
        for broker in self._opened:
            broker.close()
        self.tws.stop()
        self.flex.stop()

    @property
    def now(self) -> datetime:
        return self.tws.market.now

    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        self.tws.move(prices, minutes=minutes)

    def lose(self, call: Call, *, done: bool) -> None:
        whole = "sent" if call == "submit" else "cut_after"
        self.tws.at(_MESSAGES[call], 1, whole if done else "cut")

    def fail(self, call: Call) -> None:
        self.tws.half.add(_MESSAGES[call])

    def down(self) -> None:
        self.tws.refuse = True
        self.tws.restart()

    def limit(self) -> None:
        for message in ("positions", "all_open_orders", "executions", "completed", "place"):
            self.tws.every(message, (100, "Max rate of messages per second has been exceeded."))

    def lock(self) -> None:
        text = "Error validating request: The API interface is currently in Read-Only mode."
        self.tws.every("place", (321, text))

    def clear(self) -> None:
        self.left.update(self.tws.pending())
        self.tws.clear()

    def repeat_fills(self) -> None:
        self.tws.repeat = True

    def part(self, identity: str, quantity: float, price: float) -> None:
        self.tws.do(lambda: self.tws.market.part(identity, quantity, price))

    def trade(self, symbol: str, quantity: float, price: float) -> None:
        self.tws.do(lambda: self.tws.market.book(symbol, quantity, price))

    def hide_position(self, symbol: str) -> None:
        self.tws.hidden.add(symbol)

    def split(self, symbol: str, ratio: float) -> None:
        self.tws.do(lambda: self.tws.market.split(symbol, ratio))

    def lose_children(self) -> None:
        self.tws.market.children_die = True

    def night(self) -> None:
        self.tws.do(self.tws.market.next_session)
        self.tws.restart(next_id=1)
        self.move({}, minutes=24 * 60)

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        self.tws.market.quotes[symbol] = (bid, ask)

    def no_quotes(self) -> None:
        self.tws.every("quote", (10197, "No market data during competing live session"))

    def assign(self, symbol: str, quantity: float) -> None:
        one = self.tws.market.instrument_of(symbol)

        def work() -> None:
            self.tws.market.book(symbol, quantity, 0.0, kind="assignment")
            self.tws.market.book(one.root, quantity * one.multiplier, one.strike, kind="assignment")

        self.tws.do(work)

    def held(self) -> dict[str, float]:
        return self.tws.do(lambda: {one.symbol: held for one, held, _ in self.tws.market.positions()})

    def working(self) -> dict[str, tuple[str, float]]:
        return self.tws.do(
            lambda: {
                one.ref: (_KINDS[one.kind], one.remaining)
                for one in self.tws.market.orders
                if one.works and one.status != "PreSubmitted"
            }
        )

    def received(self) -> list[str]:
        placed = self.tws.do(lambda: list(self.tws.placed))
        return [ref for _, _, ref in placed if not ref.endswith(("-stop", "-target"))]

    def numbers(self) -> list[Any]:
        return [number for _, number, _ in self.tws.do(lambda: list(self.tws.placed))]
