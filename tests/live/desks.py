"""A desk for tests: journal, kill switch, review queue, manager and reconciler in one folder.

`Desk.restart()` is what a crash leaves behind: everything in memory is gone, the journal, the switch and the
broker stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from journal.database import Database
from live.brokers.interface import BrokerInterface, Leg, OrderRequest, Submitted
from live.brokers.manager import BrokerManager
from live.clock import FakeClock
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.reconcile import Reconciler, ReconcileReport
from live.reconciling.differences import Differences, Found
from live.review_queue import ReviewQueue
from tests.live.faulty_broker import FaultyBroker
from tests.live.memory_broker import START, MemoryBroker

PRICES = {"AAPL": 100.0, "MSFT": 200.0, "SPY": 500.0}


class Desk:
    """A desk with one broker, "main", behind a wrapper that fails where a test says so."""

    def __init__(self, folder: Path, inner: BrokerInterface | None = None, **options: Any) -> None:
        self.folder = folder
        self.memory = MemoryBroker()
        self.faulty = FaultyBroker(self.memory if inner is None else inner)
        self.clock = FakeClock(START)
        self.told: list[tuple[str, str]] = []
        self._options = options
        self.memory.move(PRICES)
        self.clock.set(self.memory.now)
        self._open()

    def _open(self) -> None:
        self.database = Database(self.folder / "journal.db", clock=self.clock)
        self.log = IntentLog(self.database, "desk")
        self.switch = KillSwitch(self.folder / "switch", clock=self.clock)
        self.queue = ReviewQueue(self.folder / "reviews", self.switch, clock=self.clock)
        self.differences = Differences(self.folder / "reviews", clock=self.clock)
        self.manager = BrokerManager(
            {"main": self.faulty}, self.switch, self.queue, intents=self.log, differences=self.differences,
            clock=self.clock, sleep=lambda _: None,
            notify=lambda kind, title, text: self.told.append((kind, text)), **self._options,
        )  # fmt: skip
        self.reconciler = Reconciler(self.manager)

    def restart(self) -> ReconcileReport:
        """Lose everything in memory, and start again."""
        self.database.close()
        self._open()
        return self.reconciler.start()

    def move(self, prices: Mapping[str, float] = {}) -> None:
        """A minute passes, and prices change."""
        self.memory.move(prices)
        self.clock.set(self.memory.now)

    def wait(self, seconds: float = 30.0) -> None:
        """Let time pass."""
        self.memory.now += timedelta(seconds=seconds)
        self.clock.advance(timedelta(seconds=seconds))

    def run(self) -> ReconcileReport:
        """Reconcile."""
        return self.reconciler.run()

    def settled(self) -> ReconcileReport:
        """Let everything come to rest, and reconcile."""
        self.run()
        self.wait()
        return self.run()

    def submit(self, request: OrderRequest) -> Submitted:
        """Send."""
        answer = self.manager.submit_order(request)
        assert isinstance(answer, Submitted)
        return answer

    def found(self) -> list[Found]:
        """What differs."""
        return [one.found for one in self.differences.open()]

    def causes(self) -> list[str]:
        """What differs, by name."""
        return sorted(one.cause for one in self.found())

    def accept_all(self) -> None:
        """A person believes the broker."""
        for one in self.differences.open():
            self.differences.accept(one.item_id, "ada", "looked at it")

    def events(self, *kinds: str) -> list[str]:
        """Kinds of events in their order."""
        return [event.kind for event in self.log.events(*kinds)]


def order(number: int = 1, quantity: float = 10.0, symbol: str = "AAPL", **fields: Any) -> OrderRequest:
    """Return an order under an id of its own."""
    return OrderRequest(client_order_id=f"o{number}", legs=(Leg(symbol, quantity),), **fields)


def bracket(number: int = 1, quantity: float = 10.0, **fields: Any) -> OrderRequest:
    """Return an entry at 100 with a stop at 95 and a target at 110."""
    return order(
        number, quantity, kind="limit", limit_price=100.0, order_class="bracket", stop_loss=95.0,
        take_profit=110.0, **fields,
    )  # fmt: skip
