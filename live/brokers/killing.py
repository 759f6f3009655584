"""The kill of a manager, from the halt to the last cancel that a broker confirms.

It halts first and never raises. Then, whatever is broken: what waits for review becomes void, what enters is
cancelled, what only shrinks a position is left working. The journal is written beside it, so that a database
that hangs delays no cancel; the kill is on record before what it brought about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from live.brokers.interface import BrokerInterface, BrokerOrder
from live.brokers.shrinking import keeper
from live.brokers.stopping import CancelReport, KillReport, cancel_working
from live.kill_switch import Halt

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager

__all__ = ["KillPath"]

FOLLOW_AFTER: Final = timedelta(seconds=1)
FOLLOW_AT_MOST: Final = timedelta(minutes=1)
"""First and longest pause between attempts to cancel what a kill has left working."""


class KillPath:
    """What a manager does when somebody kills.

    Attributes
    ----------
    report
        What the last kill achieved, and what was achieved since; None while nobody has killed.
    """

    def __init__(self, manager: BrokerManager, sleep: Callable[[float], None]) -> None:
        self.report: KillReport | None = None
        self._manager = manager
        self._sleep = sleep
        self._followed = manager.clock()
        self._pause = FOLLOW_AFTER

    def engage(self, reason: str, by: str) -> KillReport:
        """Halt, and carry it out."""
        manager = self._manager
        report = self._carry_out(manager.kill_switch.engage(reason, by))
        # last, since whoever is told may take his time
        manager.tell("kill_switch", "Kill switch engaged", manager.kill_switch.status["why"])
        return report

    def follow(self) -> KillReport | None:
        """Carry out a halt of somebody else, or what an earlier attempt has left; None for nothing to do."""
        manager = self._manager
        if manager.kill_switch.state != "HALTED":
            self.report, self._pause = None, FOLLOW_AFTER
            return None
        report, now = self.report, manager.clock()
        if report is not None:
            if not report.not_confirmed and not report.cancels.unknown and not self._enters():
                return None
            if now - self._followed < self._pause:
                return report
            self._pause = min(self._pause * 2, FOLLOW_AT_MOST)
        self._followed = now
        return self._carry_out(Halt("HALTED", True, True))

    def cancel_all(self, *, protective: bool = False) -> CancelReport:
        """Cancel what works, and with `protective` also what only shrinks a position."""
        purposes = self._manager.book.purposes()

        def keep(name: str, broker: BrokerInterface) -> Callable[[BrokerOrder], bool]:
            return (lambda order: False) if protective else keeper(broker, purposes)

        return cancel_working(self._manager.brokers, keep, sleep=self._sleep)

    def end(self, name: str, identity: str, order_ids: Sequence[str] = ()) -> None:
        """Cancel an order that a kill overtook on its way, by our id and by the broker's."""
        manager = self._manager

        def ends(order: BrokerOrder) -> bool:
            return order.order_id in order_ids or (identity != "" and order.client_order_id == identity)

        noted = manager.diary.killed(manager.kill_switch.status["why"])
        report = cancel_working(
            {name: manager.brokers[name]},
            lambda _, __: lambda order: not ends(order),
            sleep=self._sleep,
        )
        noted.join()
        manager.diary.note("cancel", order=identity, cancelled=report.cancelled, open=report.not_confirmed)

    def _enters(self) -> bool:
        """Whether an entry works, as one that turns up after the kill does."""
        return any(
            sent.request.purpose == "entry" and sent.order is not None and sent.order.is_open
            for sent in self._manager.book.live()
        )

    def _carry_out(self, halt: Halt) -> KillReport:
        manager = self._manager
        problems = list(halt.problems)
        voided: int | None = 0
        why = manager.kill_switch.status["why"]
        noted = manager.diary.killed(why)
        if manager.review_queue is not None:
            try:
                voided = manager.review_queue.void_all(why)
            except Exception as error:  # nothing that a full or broken disk does may keep the cancels back
                voided = None
                problems.append(f"the review queue: {type(error).__name__}: {error}")
        cancels = self.cancel_all()
        problems += [f"{name}: {text}" for name, stop in cancels.brokers.items() for text in stop.problems]
        lost = tuple(sent.identity for sent in manager.book.unresolved(in_flight=True))
        report = self.report = KillReport(halt, cancels, voided, lost, tuple(problems))
        noted.join()
        manager.diary.note("cancel", report=str(report), why=why)
        return report
