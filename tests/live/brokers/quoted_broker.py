"""A real broker for shadows in memory: quotes that a test sets, and a list of all that would write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from live.brokers.interface import Account, Leg, OrderRequest
from live.brokers.shadow import ShadowBroker
from live.brokers.told import Quote
from simulator.errors import UnknownNameError
from tests.live.memory_broker import MemoryBroker

OPEN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
"""When New York opens on a Monday."""


class QuotedBroker(MemoryBroker):
    """An account with quotes; `prices` of it are those at which it would trade itself."""

    def __init__(self, *, paper: bool = True, account: str = "R-1", equity: float = 100_000.0) -> None:
        super().__init__(paper=paper)
        self.number = account
        self.worth = Account(cash=equity, equity=equity, buying_power=equity)
        self.quoted: dict[str, Quote] = {}
        self.asked: list[tuple[str, ...]] = []
        self.broken: Exception | None = None

    @property
    def account(self) -> str:
        return self.number

    def get_account(self) -> Account:
        self._answer()
        return self.worth

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return quotes by symbol."""
        self._answer()
        self.asked.append(tuple(symbols))
        lacking = [symbol for symbol in symbols if symbol not in self.quoted]
        if lacking:
            raise UnknownNameError(f"no quote of {lacking[0]}", code="NAME_CONTRACT")
        return {symbol: self.quoted[symbol] for symbol in symbols}

    def _answer(self) -> None:
        if self.broken is not None:
            raise self.broken


class Shade:
    """A shadow of a broker in memory, and the time of both."""

    def __init__(self, path: Path | None = None, **options: Any) -> None:
        self.real = QuotedBroker()
        self.now = OPEN + timedelta(hours=1)
        self.path = path
        self.options = options
        self.shadow = self.open()
        self._number = 0

    def open(self) -> ShadowBroker:
        """Open the shadow, as a new process would."""
        return ShadowBroker(self.real, path=self.path, clock=lambda: self.now, **self.options)

    def restart(self) -> None:
        """Lose everything in memory."""
        self.shadow.close()
        self.shadow = self.open()

    def quote(self, symbol: str, bid: float, ask: float, *, minutes: float = 1.0, **fields: Any) -> None:
        """A minute later, this quote, and a look at it."""
        self.now += timedelta(minutes=minutes)
        self.real.quoted[symbol] = Quote(symbol=symbol, time=self.now, bid=bid, ask=ask, **fields)
        self.shadow.look()

    def send(self, quantity: float, symbol: str = "AAPL", *legs: Leg, **fields: Any) -> Any:
        """Submit an order; returns the answer."""
        self._number += 1
        return self.shadow.submit_order(
            OrderRequest(
                client_order_id=f"shade-{self._number}", legs=legs or (Leg(symbol, quantity),), **fields
            )
        )

    def state(self, answer: Any) -> str:
        """Return how an order stands."""
        order = self.shadow.find_order(answer.client_order_id)
        assert order is not None
        return order.state.label

    def fills(self) -> list[tuple[int, float, float]]:
        """Return side, quantity and price of all fills."""
        return [(one.side, one.quantity, one.price) for one in self.shadow.executions()]

    def held(self) -> dict[str, float]:
        """Return quantities by symbol."""
        return {held.symbol: held.quantity for held in self.shadow.get_positions()}
