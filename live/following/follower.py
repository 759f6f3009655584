"""The follower: compares what the plan wants with what the broker has, and sends the difference.

One look asks the broker, sorts what it says by the plan's orders, and then, in this order: takes back entries
that are no longer wanted, takes out what is held and not wanted, keeps a stop behind the rest, and enters. A
look that has sent or cancelled something is followed by another one, since what was to be cancelled may have
filled instead, and what was sent may have filled at once. Nothing is concluded from a question that was not
answered: that look does nothing.

It goes by states. What has to be at the broker follows from the plan's state, what is there from the broker's
answers and the record of what was sent; so there is nothing to lose between two looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from live.brokers.interface import OrderRequest, is_option
from live.following.cases import Case, Facts, cases_of
from live.following.entering import Entering
from live.following.hands import Hands
from live.following.leaving import Leaving
from live.following.resting import Resting
from live.following.telling import Telling
from live.following.wanted import Wanted, wanted
from live.review_queue import MAX_DRIFT_PCT

if TYPE_CHECKING:
    from live.following.record import Followed
    from live.opening import Desk
    from live.session import Session
    from live.sessions.outcome import StepOutcome

__all__ = ["Follower"]

LOOKS: Final = 5
"""Looks of one poll at most."""


class Follower:
    """Follows one session at one broker.

    Parameters
    ----------
    session
        The plan.
    desk
        Manager and reconciler over the plan's journal.
    broker
        Name of the broker, as the manager has it.
    prepare
        Called with the symbols of a package before it is sent; a paper account gets their quotes so.
    sleep
        Injected for tests.

    Attributes
    ----------
    facts
        What the broker said at the last look; None where it did not answer.
    last
        What it said when it answered last; None where it never did.
    cases
        What is followed, as of then.
    """

    def __init__(
        self,
        session: Session,
        desk: Desk,
        broker: str,
        *,
        prepare: Callable[[Iterable[str]], object] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.session = session
        self.desk = desk
        self.broker = broker
        self.facts: Facts | None = None
        self.last: Facts | None = None
        self.cases: list[Case] = []
        self._hands = Hands(session, desk, broker, sleep)
        self._entering = Entering(self._hands, prepare)
        self._leaving = Leaving(self._hands)
        self._resting = Resting(self._hands)
        self._telling = Telling(self._hands)
        self._done: set[int] = set()

    @property
    def asked_at(self) -> datetime | None:
        """When the broker answered last."""
        return None if self.last is None else self.last.at

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong now, in words, by what it is about."""
        return self._hands.problems

    def poll(self, *, enter: bool = True) -> None:
        """Ask the broker, send what is missing, and tell the plan what it has missed.

        To be called every few seconds, and before every bar: what the broker has done by then, the bar may do
        in the plan.

        Parameters
        ----------
        enter
            Whether entries may be sent: not when the bar after the one that decided them is over already.
        """
        facts = self._looked(self._reconciled(), enter=enter)
        if facts is not None:
            for case in self.cases:
                self._telling.tell(case, self.cases, facts)

    def follow(self, outcome: StepOutcome | None = None, *, enter: bool = True) -> None:
        """Poll after a bar, with what came of it in the plan."""
        if outcome is not None:
            self._hands.learn(outcome.logs)
        self.poll(enter=enter)

    def objection(self, request: OrderRequest) -> str | None:
        """Return why an order that a person approves is not wanted any more; None where it is.

        Of an exit that is, the stop behind it is taken back, since both would sell the same shares.
        """
        record = self._hands.record_of(request.client_order_id)
        if record is None:
            return None
        case = next((one for one in self.cases if one.number == record.order), None)
        if record.role == "entry":
            want = next((one for one in self._wants() if one.order == record.order), None)
            if want is None or (want.holding is not None and want.holding.leaving is not None):
                return "the plan no longer wants it"
            return self._drifted(record)
        elif record.role == "close" and case is not None:
            self._hands.cancel(case, [*case.stops, *case.targets, *case.asleep])
        return None

    def _drifted(self, record: Followed) -> str | None:
        """Say where the price has moved too far since an entry was decided."""
        seen, expected = self.session.seen(), record.expected_price
        if len(record.legs) > 1 or is_option(record.legs[0].symbol) or not expected or not len(seen):
            return None
        now = float(seen.close[-1, seen.column(record.symbol)])
        drift = abs(now / expected - 1.0) * 100.0
        if not drift > MAX_DRIFT_PCT:
            return None
        return f"{record.symbol} went from {expected:g} to {now:g}; the limit is {MAX_DRIFT_PCT:g} %"

    def protect(self) -> None:
        """Before anything is compared after a start: put back what a crash has left undone behind positions.

        Nothing enters. What is held is counted by the fills on record, and never above what is there.
        """
        self._looked("", enter=False)

    def _looked(self, problem: str, *, enter: bool) -> Facts | None:
        """Ask and act until nothing is left to do; returns the last answer, None where there was none."""
        facts = self._ask(problem)
        for _ in range(LOOKS - 1):
            if facts is None or not self._act(facts, enter=enter):
                break
            # not reconciled anew: between a stop that was taken back and the exit it made room for nothing
            # differs, and what was just sent is in motion
            facts = self._ask("")
        return facts

    def _reconciled(self) -> str:
        """Compare books and broker; returns in words why the broker did not answer."""
        run = self.desk.poll().brokers[self.broker]
        return "" if run.answered else run.problem or "no answer"

    def _ask(self, problem: str) -> Facts | None:
        """Ask for what the reconciler does not keep; None where it was not answered."""
        manager = self.desk.manager
        broker = manager.known(self.broker)
        if not problem:
            try:
                orders = tuple(broker.get_orders())
                positions = {one.symbol: one for one in broker.get_positions()}
                account = broker.get_account()
                reviews = {one.order.client_order_id: one for one in manager.get_pending_requests()}
                ledger = self.desk.reconciler.ledger(self.broker)
            except Exception as error:  # whatever an adapter's library raises, the question was not answered
                problem = f"{type(error).__name__}: {error}"
        if problem:
            self.facts = None
            self.problems["broker"] = f"{broker.broker} did not answer: {problem}"
            return None
        self.problems.pop("broker", None)
        facts = Facts(
            at=manager.clock(), positions=positions, orders=orders, account=account, ledger=ledger,
            reviews=reviews,
        )  # fmt: skip
        self.facts = self.last = facts
        self.cases = self._sorted(facts)
        return facts

    def _sorted(self, facts: Facts) -> list[Case]:
        """Return what is followed; what is over is left out from then on."""
        wants, hands = self._wants(), self._hands
        self._done -= {one.order for one in wants}
        records = {number: mine for number, mine in hands.records.items() if number not in self._done}
        elsewhere = [one for one in hands.parted if one.kind == "closed_elsewhere"]
        cases = cases_of(wants, records, elsewhere, facts, self.desk.manager)
        for case in cases:
            case.opened = hands.trades.get(case.number, -1)
        over = {one.number for one in cases if one.is_done and self._telling.settle(one, facts)}
        self._done |= over
        hands.forget_problems(over)
        return [one for one in cases if one.number not in over]

    def _wants(self) -> tuple[Wanted, ...]:
        return wanted(self.session.state, self.session.like, self.session.strategy_names)

    def _act(self, facts: Facts, *, enter: bool) -> bool:
        """Send what is missing; returns whether the broker has to be asked again."""
        again = False
        for case in self.cases:
            moved = self._entering.withdraw(case, facts) or self._leaving.leave(case, facts)
            again = moved or self._resting.guard(case) or again
        if again or not enter:
            return again
        sent = [self._entering.enter(case, self.cases) for case in self.cases]
        return any(sent)
