"""An adapter at its fake, a whole desk in front of it, and the invariants that hold after any fault.

Faults are made at the fake and not around the adapter, so that what is tested is what the adapter makes of
them. `check` is what holds in the end: books and broker agree or a person is told, no order arrived twice,
the journal is sound, and what is unknown was never taken for flat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from live.brokers.interface import BrokerInterface
from live.brokers.told import Quote
from live.reconcile import ReconcileReport
from simulator.types import OrderState
from tests.live.desks import PRICES, Desk
from tests.live.faulty_broker import FaultyBroker

Call = Literal["submit", "replace", "cancel", "positions", "orders", "executions"]
PUT = "SPY261218P00500000"


class BrokerRig(ABC):
    """An account at a fake, and the adapter that is tested.

    Times, quantities and prices are the fake's truth; the adapter is asked for nothing here.
    """

    broker: BrokerInterface
    """The adapter."""

    @abstractmethod
    def open(self) -> BrokerInterface:
        """Return another adapter at the same account, as a new process has it."""

    @abstractmethod
    def close(self) -> None:
        """End everything."""

    left: Collection[object]
    """Faults that nothing has met, of all that were cleared: for sweeps, which end there."""

    @property
    @abstractmethod
    def now(self) -> datetime:
        """Time at the broker."""

    @abstractmethod
    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        """Let time pass, and the market trade."""

    @abstractmethod
    def lose(self, call: Call, *, done: bool) -> None:
        """Let the next call of a kind go unanswered; `done` says whether the broker does it."""

    @abstractmethod
    def fail(self, call: Call) -> None:
        """Let all calls of a kind break off in the middle of their answer, until `clear`."""

    @abstractmethod
    def down(self) -> None:
        """Be out of reach, until `clear`."""

    @abstractmethod
    def limit(self) -> None:
        """Refuse questions as too many, until `clear`."""

    @abstractmethod
    def lock(self) -> None:
        """Refuse access, until `clear`."""

    @abstractmethod
    def clear(self) -> None:
        """End all faults."""

    @abstractmethod
    def repeat_fills(self) -> None:
        """Tell every fill twice, until `clear`."""

    @abstractmethod
    def part(self, identity: str, quantity: float, price: float) -> None:
        """Fill a part of an order, whatever its status; `identity` may be a child's."""

    @abstractmethod
    def trade(self, symbol: str, quantity: float, price: float) -> None:
        """Trade by hand."""

    @abstractmethod
    def hide_position(self, symbol: str) -> None:
        """Leave a position out of the list, until `clear`."""

    @abstractmethod
    def split(self, symbol: str, ratio: float) -> None:
        """Split a stock; working orders stay as they are."""

    @abstractmethod
    def lose_children(self) -> None:
        """Let stop and target of a bracket end with an entry that is cancelled after a fill in part."""

    @abstractmethod
    def night(self) -> None:
        """Let a night pass, with whatever the broker resets in it."""

    @abstractmethod
    def quote(self, symbol: str, bid: float, ask: float) -> None:
        """Quote a symbol; 0 is a side of nobody."""

    @abstractmethod
    def no_quotes(self) -> None:
        """Give no prices, until `clear`."""

    @abstractmethod
    def assign(self, symbol: str, quantity: float) -> None:
        """Assign so many contracts of a put that is held short; shares come at its strike."""

    @abstractmethod
    def held(self) -> dict[str, float]:
        """Return what is held."""

    @abstractmethod
    def working(self) -> dict[str, tuple[str, float]]:
        """Return kind and remaining quantity of what works, by client order id; children by their own."""

    @abstractmethod
    def received(self) -> list[str]:
        """Return the client order ids of all orders that arrived, without children, in their order."""

    def numbers(self) -> list[Any]:
        """Return the numbers that orders were placed under: none may be there twice."""
        return list(self.received())


class QuotedBroker(FaultyBroker):
    """A wrapper that gives the prices of the adapter behind it, too."""

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        inner: Any = self.inner
        found: Mapping[str, Quote] = inner.quotes(symbols)
        return found


class RigDesk(Desk):
    """A desk in front of a rig; a restart is a new process with a new adapter."""

    def __init__(self, folder: Path, rig: BrokerRig) -> None:
        self.rig = rig
        super().__init__(folder, rig.broker)
        rig.move({**PRICES, PUT: 4.0})
        self.clock.set(rig.now)

    def move(self, prices: Mapping[str, float] = {}, *, minutes: float = 1.0) -> None:
        self.rig.move(prices, minutes=minutes)
        self.clock.set(self.rig.now)

    def wait(self, seconds: float = 30.0) -> None:
        self.move({}, minutes=seconds / 60.0)

    def restart(self) -> ReconcileReport:
        self.faulty = QuotedBroker(self.rig.open())
        return super().restart()

    def _open(self) -> None:
        if not isinstance(self.faulty, QuotedBroker):
            self.faulty = QuotedBroker(self.faulty.inner)
        super()._open()

    def books(self) -> dict[str, float]:
        """Return what the books hold."""
        return self.reconciler.ledger("main").positions()

    def state(self, identity: str) -> tuple[OrderState, float]:
        """Return how an order stands in the books."""
        sent = self.manager.book.get(identity)
        assert sent is not None
        assert sent.order is not None
        return sent.order.state, sent.order.filled


def check(desk: RigDesk, report: ReconcileReport) -> None:
    """The invariants, after faults have ended."""
    rig = desk.rig
    assert report.complete
    assert desk.books() == rig.held() or report.differences
    received = rig.received()
    assert len(received) == len(set(received)), f"an order arrived twice: {received}"
    assert desk.manager.book.unresolved() == []
    known = {sent.identity for sent in desk.log.open()}
    families = {name.removesuffix("-stop").removesuffix("-target") for name in rig.working()}
    assert (
        all(name in known or desk.manager.book.get(name) is not None for name in families)
        or report.differences
    )
    desk.database.check()
