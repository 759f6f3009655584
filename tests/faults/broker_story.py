"""A day at a broker in which everything happens once, under faults of calls, writes and the process.

Entries as bracket and as limit, a partial exit, a cancel, a kill and an arming. Every order has the id that
follows from what it is, so whoever dies and begins anew asks for the same orders again, as a strategy does
that is asked about the same bar; a broker must get none of them twice.

The process dies inside the test: from the fault on every call and every write raises `Killed`, which nothing
catches, and the next life knows only the journal, the files and the broker.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Protocol, TypeVar

from journal.database import Database
from live.brokers.errors import AccessRefused, RateLimited
from live.brokers.interface import BrokerInterface, BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from live.brokers.manager import BrokerManager
from live.brokers.paper import PaperBroker
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.reconcile import Reconciler, ReconcileReport
from live.reconciling.differences import Differences
from live.review_queue import ReviewQueue
from live.venue.venue import Venue
from simulator.brokerage import Holding
from simulator.errors import TwinstepError
from tests.faults.invariants import Evidence
from tests.faults.sweep import FULL, Fault, counted_writes
from tests.live.faulty_broker import FaultyBroker
from tests.live.memory_broker import START, MemoryBroker

__all__ = ["Day", "Desk", "Killed", "Kind", "PointBroker", "Points", "play_day"]

T = TypeVar("T")

Kind = Literal[
    "kill before", "kill after", "full", "lost before", "lost after", "limited", "refused", "garbage"
]  # fmt: skip
LIVES: Final = 6
ROUNDS: Final = 8


class Killed(BaseException):
    """The process is dead."""


@dataclass
class Points(Fault):
    """Counts writes, or calls of the broker, or both, and lets the n-th go wrong.

    Attributes
    ----------
    kind
        What goes wrong. A kill meets writes and calls, a full disk writes, all else calls.
    """

    kind: Kind = "kill before"
    dead: bool = False
    life: int = 0
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.after = self.kind == "kill after"
        self.error = FULL if self.kind == "full" else None

    def die(self) -> NoReturn:
        self.dead = True
        raise Killed(self.where)

    def revive(self) -> None:
        """Begin the next life."""
        self.dead, self.life = False, self.life + 1

    def meet(self, what: str, do: Callable[[], Any]) -> Any:
        if self.dead:
            raise Killed(what)
        if self.kind in ("kill before", "kill after", "full"):
            if self.fired and self.error is None:
                return do()  # one death is enough
            return super().meet(what, do)
        return do()

    def call(self, what: str, do: Callable[[], T], life: int) -> T:
        """Count a call of the broker, and fail it where it is to fail."""
        if self.dead or life != self.life:
            raise Killed(what)  # also a thread that a former life has left
        if not self.at:
            self.calls.append(what)
        if self.kind == "full" or self.fired or self.repaired:
            return do()
        self.seen += 1
        if self.seen != self.at:
            return do()
        self.fired, self.where = True, what
        if self.kind in ("lost after", "kill after"):
            do()
        if self.kind in ("kill before", "kill after"):
            self.die()
        raise _ERRORS[self.kind]()


_ERRORS: Final[dict[str, Callable[[], Exception]]] = {
    "lost before": lambda: TimeoutError("not sent"),
    "lost after": lambda: TimeoutError("no answer"),
    "limited": lambda: RateLimited("too many requests", retry_after=0.01),
    "refused": lambda: AccessRefused("the token has expired (401)"),
    "garbage": lambda: ValueError("no JSON"),
}


class World(Protocol):
    """A broker's side, with a clock and prices that the story sets."""

    now: datetime

    def move(self, prices: Mapping[str, float]) -> None:
        """Set prices, one moment later, and match what works."""
        ...

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return its orders."""
        ...

    def get_positions(self) -> Sequence[Holding]:
        """Return what is held."""
        ...


class PaperWorld(PaperBroker):
    """The shipped paper broker, with the kernel's matching."""

    def __init__(self) -> None:
        self.now = START
        super().__init__(Venue(clock=lambda: self.now))

    def move(self, prices: Mapping[str, float]) -> None:
        """Set prices, one moment later, and match what works."""
        self.now += timedelta(minutes=1)
        self.venue.tick(self.now, prices)


class PointBroker(FaultyBroker):
    """A broker whose calls are points; what reaches the broker behind it is noted."""

    def __init__(self, inner: BrokerInterface, points: Points, received: list[str]) -> None:
        super().__init__(inner)
        self.received = received
        self.points, self.life = points, points.life

    def _call(self, name: str, do: Callable[[], T]) -> T:
        return self.points.call(name, do, self.life)


@dataclass
class Day:
    """What is left at the end of a day."""

    points: Points
    evidence: Evidence
    report: ReconcileReport | None
    lives: int
    answers: dict[str, Submitted] = field(default_factory=dict)
    """What was answered to the last submit of each order."""
    final: dict[str, Submitted] = field(default_factory=dict)
    """How each order stood at the end."""


class Desk:
    """One life of the process."""

    def __init__(self, folder: Path, world: World, broker: PointBroker, journal: Path | None = None) -> None:
        self.world = world
        self.database = Database(journal or folder / "journal.db")
        try:
            self.switch = KillSwitch(folder / "switch", clock=self.clock)
            reviews = folder / "switch" / "reviews"
            self.manager = BrokerManager(
                {"memory": broker},
                self.switch,
                ReviewQueue(reviews, self.switch, clock=self.clock),
                intents=IntentLog(self.database),
                differences=Differences(reviews, clock=self.clock),
                clock=self.clock,
                sleep=lambda _: None,
            )
            self.reconciler = Reconciler(self.manager, window=timedelta(seconds=1))
        except BaseException:
            self.close()
            raise

    def clock(self) -> datetime:
        return self.world.now

    def close(self) -> None:
        with contextlib.suppress(TwinstepError, Killed):
            self.database.close()

    def settle(self) -> ReconcileReport:
        """Reconcile until everything is at rest, or nothing changes any more."""
        for _ in range(ROUNDS):
            self.world.now += timedelta(seconds=6)
            report = self.reconciler.run()
            if report.clean:
                break
        return report

    def ordered(self, name: str, symbol: str, quantity: float, **more: Any) -> Submitted:
        request = OrderRequest(client_order_id=f"day-{name}", legs=(Leg(symbol, quantity),), **more)
        answer = self.manager.submit_order(request)
        assert isinstance(answer, Submitted)
        return answer


def _bracket(desk: Desk, day: Day) -> None:
    day.answers["bracket"] = desk.ordered(
        "bracket", "AAPL", 100.0, order_class="bracket", stop_loss=90.0, take_profit=140.0
    )


def _limit(desk: Desk, day: Day) -> None:
    day.answers["limit"] = desk.ordered("limit", "MSFT", 20.0, kind="limit", limit_price=190.0)


def _move(desk: Desk, day: Day) -> None:
    desk.world.move({"AAPL": 104.0, "MSFT": 201.0, "IBM": 50.5})


def _short(desk: Desk, day: Day) -> None:
    day.answers["short"] = desk.ordered("short", "IBM", -40.0)


def _leave(desk: Desk, day: Day) -> None:
    day.answers["leave"] = desk.ordered("leave", "IBM", 15.0, purpose="exit")


def _cancel(desk: Desk, day: Day) -> None:
    sent = desk.manager.book.get("day-limit")
    if sent is not None and sent.order is not None and sent.order.is_open:
        with contextlib.suppress(TwinstepError, TimeoutError, ValueError, AccessRefused, RateLimited):
            desk.manager.cancel_order("memory", sent.order.order_id)


def _again(desk: Desk, day: Day) -> None:
    day.answers["again"] = desk.ordered("again", "MSFT", 10.0, kind="limit", limit_price=150.0)


def _kill(desk: Desk, day: Day) -> None:
    desk.manager.engage_kill_switch("a test", "ada")
    before = len(day.evidence.sent)
    refused = desk.ordered("refused", "AAPL", 10.0)
    assert refused.outcome is Outcome.DENIED
    assert len(day.evidence.sent) == before, "an entry passed a halted switch"


STEPS: Final = (_bracket, _limit, _move, _short, _leave, _cancel, _again, _move, _kill)


def play_day(folder: Path, points: Points, *, paper: bool = False) -> Day:
    """Play the day, in as many lives as it takes; what a step did not finish the next life begins again.

    Parameters
    ----------
    paper
        At the shipped paper broker, else at the broker of the tests.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world: MemoryBroker | PaperWorld = PaperWorld() if paper else MemoryBroker()
    world.move({"AAPL": 100.0, "MSFT": 200.0, "IBM": 50.0})
    received: list[str] = []
    evidence = Evidence(folder / "journal.db", session="none", sent=received)
    day = Day(points, evidence, None, 0)
    at = 0
    Database(folder / "journal.db").close()
    with counted_writes(points), _silent_threads():
        while day.lives < LIVES:
            day.lives += 1
            points.revive()
            desk: Desk | None = None
            try:
                desk = Desk(folder, world, PointBroker(world, points, received))
                desk.reconciler.start()
                while at < len(STEPS):
                    _watched(STEPS[at], desk, day)
                    at += 1
                    desk.settle()
                _ended(desk, day)
                return day
            except Killed:
                continue
            except TwinstepError:
                if not points.fired or points.repaired:
                    raise
                points.repair()  # a start that is refused for want of room is tried again when there is some
            finally:
                points.dead = False
                if desk is not None:
                    desk.close()
    raise AssertionError(f"no end after {LIVES} lives: {points}")


@contextlib.contextmanager
def _silent_threads() -> Iterator[None]:
    """Let threads die without a word where their process has."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, Killed):
            before(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _watched(step: Callable[[Desk, Day], None], desk: Desk, day: Day) -> None:
    """Take a step; where the disk filled up in it nothing enters until somebody makes room and arms."""
    points = day.points
    step(desk, day)
    if points.kind != "full" or not points.fired or points.repaired:
        return
    sent = len(day.evidence.sent)
    probe = desk.ordered("while-full", "AAPL", 1.0)
    assert probe.outcome is Outcome.DENIED, f"{probe} while nothing can be written"
    day.evidence.exposure.append((float(sent), float(len(day.evidence.sent))))
    assert desk.switch.state != "ACTIVE", "the disk is full and trading goes on"
    points.repair()
    if step is not _kill:
        desk.switch.arm("ada", "there is room again")
    desk.settle()
    step(desk, day)


def _ended(desk: Desk, day: Day) -> None:
    """Ask both sides how everything stands, once there is room where there was none."""
    if day.points.fired:
        day.points.repair()
    day.report = desk.settle()
    held = {one.symbol: one.quantity for one in desk.world.get_positions()}
    working = frozenset(order.order_id for order in desk.world.get_orders() if order.is_open)
    mine = frozenset(
        sent.order.order_id
        for sent in desk.manager.book.live()
        if sent.order is not None and sent.order.is_open
    )
    children = frozenset(
        order.order_id for order in desk.world.get_orders() if order.is_open and order.parent_id
    )
    noted = {symbol for one in day.report.differences for symbol in one.found.symbols}
    listed = desk.world.get_orders(open_only=False)
    noted |= {order.order_id for order in listed if order.legs[0].symbol in noted}
    for name in day.answers:
        sent = desk.manager.book.get(f"day-{name}")
        if sent is not None:
            day.final[name] = sent.submitted
    evidence = day.evidence
    evidence.broker = (held, working)
    evidence.known = (desk.reconciler.ledger("memory").positions(), mine | children)
    evidence.noted = frozenset(noted)
    evidence.halted = desk.switch.state == "HALTED"
    evidence.to_review = bool(day.report.differences)
