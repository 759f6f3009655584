"""Reconciliation: the books against what each broker says, at the start and again and again.

A run asks a broker for its orders, positions and executions. Where one of the three is not answered nothing
is known: nothing is concluded, and nothing is entered there until a run is complete. Executions are stored by
their ids; orders and positions follow from them. Then the books and the broker are compared over the union of
their symbols. A difference becomes an item that waits for a person (`live.reconciling.differences`), and its
symbols may only be left meanwhile. What is in motion (an order or a fill of the last seconds) is left alone
until it has come to rest.

What is never done here: making up a fill, closing a position, sending an order again. An order that a broker
does not list is asked for by its id before anything is made of it.

>>> report = Reconciler(manager, differences).run()               # doctest: +SKIP
>>> report.clean, report.differences                              # doctest: +SKIP
(True, ())
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from live.brokers.errors import AccessRefused
from live.brokers.interface import BrokerInterface, BrokerOrder, Submitted
from live.brokers.manager import BrokerManager
from live.reconciling.acceptance import carry_out
from live.reconciling.differences import Difference, Differences, Found
from live.reconciling.fill_ledger import FillLedger
from live.reconciling.orders import OrderRounds
from live.reconciling.positions import compare
from live.review.copies import ReviewCopies
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError, JournalError

__all__ = ["BrokerRun", "ReconcileReport", "Reconciler"]

WINDOW: Final = timedelta(seconds=10)
"""How long after an order or a fill its symbols are in motion."""

LOOK_BACK: Final = timedelta(days=3)
"""How far before the newest fill executions are asked for again: they may come late and out of order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerRun:
    """What a run made of one broker.

    Attributes
    ----------
    answered
        Whether it said everything; else nothing was concluded, and `problem` says why.
    fills
        Executions that were new.
    moving
        Symbols that differ and were left alone because they are in motion.
    """

    answered: bool
    problem: str = ""
    fills: int = 0
    moving: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What a run found.

    Attributes
    ----------
    resolved
        Orders that were in doubt and are no longer.
    differences
        All that is open now; `opened` is new among them.
    """

    at: datetime
    brokers: dict[str, BrokerRun]
    resolved: tuple[Submitted, ...]
    differences: tuple[Difference, ...]
    opened: tuple[Difference, ...]

    @property
    def complete(self) -> bool:
        """Whether every broker answered."""
        return all(one.answered for one in self.brokers.values())

    @property
    def clean(self) -> bool:
        """Whether every broker answered, and nothing differs or is in motion."""
        return self.complete and not self.differences and not any(one.moving for one in self.brokers.values())

    def __str__(self) -> str:
        silent = [f"{name} did not answer ({one.problem})" for name, one in self.brokers.items()
                  if not one.answered]  # fmt: skip
        count = len(self.differences)
        words = [f"{count} difference{'' if count == 1 else 's'}", *silent]
        return "; ".join(words if self.differences or silent else ["books and brokers agree"])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a broker said in one run."""

    orders: Sequence[BrokerOrder]
    positions: Sequence[Holding]
    executions: Sequence[Execution]


class Reconciler:
    """Compares the books of a manager with its brokers.

    Parameters
    ----------
    manager
        Its gate keeps differing symbols to exits, through the same `differences`.
    differences
        Where they are kept; that of the manager by default.
    window
        How long after an order or a fill its symbols are in motion.

    Raises
    ------
    ConfigError
        LIVE_NO_DIFFERENCES where the manager has none: then nothing would keep a differing symbol back.
    """

    def __init__(
        self, manager: BrokerManager, differences: Differences | None = None, *, window: timedelta = WINDOW
    ) -> None:
        kept = differences if differences is not None else manager.differences
        if kept is None or (manager.differences is not None and manager.differences is not kept):
            raise ConfigError(
                "a reconciler and its manager need the same differences: BrokerManager(differences=...)",
                code="LIVE_NO_DIFFERENCES",
            )
        manager.differences = kept
        self.manager = manager
        self.differences = kept
        self.window = window
        self._clock = manager.clock
        self._lock = threading.Lock()
        self._copies = ReviewCopies(manager.intents, kept, manager.review_queue)
        self._ledgers: dict[str, FillLedger] = {}
        self._rounds: dict[str, OrderRounds] = {}
        for name in manager.brokers:
            manager.unreconciled.setdefault(name, "it was not asked yet")

    def start(self) -> ReconcileReport:
        """Recover and run once, as a start does; differences halt trading until a person arms."""
        recovered = self.manager.recover()
        report = self.run()
        if report.differences:
            self.manager.halt(self._halted(report.differences), "reconcile")
        return ReconcileReport(
            at=report.at, brokers=report.brokers, resolved=(*recovered, *report.resolved),
            differences=report.differences, opened=report.opened,
        )  # fmt: skip

    def run(self) -> ReconcileReport:
        """Compare once; to be called every few seconds, and after a broker was out of reach.

        Never raises for what a broker or the journal does: a broker that does not answer is not reconciled,
        and a journal that cannot be written halts trading.
        """
        with self._lock:
            return self._run()

    def _run(self) -> ReconcileReport:
        manager = self.manager
        resolved = manager.resolve()
        opened: list[Difference] = []
        runs = {name: self._one(name, broker, opened) for name, broker in manager.brokers.items()}
        for one in opened:
            manager.tell("reconcile_difference", f"Differs: {', '.join(one.found.symbols)}", one.message)
        manager.follow_kill()
        differences: tuple[Difference, ...] = ()
        try:
            differences = tuple(self.differences.open())
            self._copies.update()
        except JournalError as error:
            manager.halt(f"reconciliation cannot be recorded: {error}", "reconcile")
        return ReconcileReport(
            at=self._clock(), brokers=runs, resolved=tuple(resolved), differences=differences,
            opened=tuple(opened),
        )  # fmt: skip

    def _halted(self, differences: tuple[Difference, ...]) -> str:
        """Return why trading is halted, and what a person types to look and to decide."""
        count = len(differences)
        words = "; ".join(one.message for one in differences[:3])
        folder = shlex.quote(str(self.manager.kill_switch.folder))
        # a stop that is missing is found again however often it is accepted
        first = next((one.item_id for one in differences if one.found.cause != "unprotected"), None)
        accept = (
            "twinstep broker protect puts the stop there"
            if first is None
            else f"twinstep broker accept {first} --folder {folder} --by NAME --reason TEXT takes the "
            "broker's word"
        )
        return (
            f"reconciliation: {count} difference{'' if count == 1 else 's'} ({words}). {accept}; twinstep "
            f"requests --folder {folder} lists what waits"
        )

    def ledger(self, name: str) -> FillLedger:
        """Return the fills at a broker."""
        if name not in self._ledgers:
            broker = self.manager.brokers[name]
            self._ledgers[name] = FillLedger(self.manager.intents, name, broker.account)
        return self._ledgers[name]

    def _one(self, name: str, broker: BrokerInterface, opened: list[Difference]) -> BrokerRun:
        manager = self.manager
        unnamed = self._unnamed(name, broker)
        if unnamed:
            manager.unreconciled[name] = unnamed
            return BrokerRun(answered=False, problem=unnamed)
        try:
            ledger = self.ledger(name)
            # before the broker is asked, so that what it says is what an acceptance has brought about
            opened += carry_out(manager, name, ledger, self.differences)
            said = self._asked(name, broker, ledger)
            if isinstance(said, str):
                manager.unreconciled[name] = said
                return BrokerRun(answered=False, problem=said)
            fills, moving, waiting, found = self._compared(name, ledger, said)
            opened += self.differences.settle(
                name, found, keep=lambda one: bool(set(one.found.symbols) & moving)
            )
        except JournalError as error:
            # what was not stored must not be taken for known: the next run begins with what the log has
            self._ledgers.pop(name, None)
            self._rounds.pop(name, None)
            manager.unreconciled[name] = str(error)
            manager.halt(f"reconciliation cannot be recorded: {error}", "reconcile")
            return BrokerRun(answered=False, problem=str(error))
        manager.access_granted(name)
        manager.unreconciled.pop(name, None)
        return BrokerRun(answered=True, fills=fills, moving=tuple(sorted(waiting)))

    def _unnamed(self, name: str, broker: BrokerInterface) -> str:
        """Return in words why a broker does not say which account it is, "" where it does."""
        if name in self._ledgers:
            return ""
        try:
            _ = broker.account  # adapters may have to ask the broker for it
        except Exception as error:  # as in `_asked`
            return self._unanswered(name, error)
        return ""

    def _asked(self, name: str, broker: BrokerInterface, ledger: FillLedger) -> Snapshot | str:
        """Return what a broker says, or in words why it does not."""
        newest = max((one.time for one in ledger.fills.values()), default=None)
        try:
            # positions first: what fills while we ask is then a recent fill, and its symbol in motion
            positions = list(broker.get_positions())
            orders = list(broker.get_orders(open_only=False))
            executions = list(broker.executions(None if newest is None else newest - LOOK_BACK))
        except Exception as error:  # whatever an adapter's library raises, the question was not answered
            return self._unanswered(name, error)
        return Snapshot(orders, positions, executions)

    def _unanswered(self, name: str, error: Exception) -> str:
        if isinstance(error, AccessRefused):
            self.manager.access_refused(name, error)
        return f"{type(error).__name__}: {error}"

    def _compared(
        self, name: str, ledger: FillLedger, said: Snapshot
    ) -> tuple[int, set[str], set[str], list[Found]]:
        now = self._clock()
        rounds = self._rounds.setdefault(name, OrderRounds(self.manager, name, ledger, self.window))
        with self.manager.intents.together():
            rounds.adopt(said.orders, now)
            new = ledger.take(said.executions, now)
        found = rounds.update(said.orders, new, now)
        moving = rounds.moving(now)
        differ, waiting = compare(
            name, ledger, said.positions, said.orders, rounds.claimed(), moving, rounds.asked
        )
        found += differ
        found += rounds.unprotected(said.positions, said.orders, moving)
        found += rounds.overdone(moving, {one.symbol for one in new})
        return len(new), moving, waiting, found
