"""The follower: compares what the plan wants with what the broker has, and sends the difference.

One look asks the broker, sorts what it says by the plan's orders, and then, in this order: takes back entries
that are no longer wanted, takes out what is held and not wanted, keeps a stop behind the rest, and enters. A
look that has sent or cancelled something is followed by another one, since what was to be cancelled may have
filled instead, and what was sent may have filled at once. Nothing is concluded from a question that was not
answered: that look does nothing. Of a case whose stop has vanished, and nobody says how, nothing is sent or
cancelled until somebody does.

It goes by states. What has to be at the broker follows from the plan's state, what is there from the broker's
answers and the record of what was sent; so there is nothing to lose between two looks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

from live.brokers.interface import OrderRequest, is_option
from live.following.cases import Case, Facts, cases_of
from live.following.entering import Entering
from live.following.hands import Hands
from live.following.leaving import Leaving
from live.following.resting import Resting
from live.following.telling import Telling
from live.following.vanishing import Vanishing
from live.following.wanted import Wanted, wanted
from live.reconcile import LOOK_BACK
from live.reconciling.fill_ledger import DUST
from live.review_queue import MAX_DRIFT_PCT
from simulator.errors import TwinstepError

if TYPE_CHECKING:
    from live.brokers.interface import Account, BrokerInterface, BrokerOrder
    from live.following.record import Followed
    from live.opening import Desk
    from live.review_queue import ReviewRequest
    from live.session import Session
    from live.sessions.outcome import StepOutcome
    from simulator.brokerage import Execution

__all__ = ["Follower"]

LOOKS: Final = 8
"""Looks of one poll at most: an add is withdrawn, a stop taken back, a part sold, the rest guarded again."""


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
        self._vanishing = Vanishing(self._hands)
        self._done: dict[int, frozenset[tuple[str, float]]] = {}
        self._stored = 0  # executions of the ledger that were looked through

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
        with contextlib.suppress(TwinstepError, OSError):  # said in `problems`, and tried again
            self._hands.flush()
        facts = self._looked(self._reconciled(), enter=enter)
        self._tell(facts)
        if facts is not None:
            self._hands.write_gaps(facts)

    def again(self, *, enter: bool = True) -> None:
        """Look once more right after a poll, when somebody has decided something.

        Not reconciled: what an exit has made room for, or was to, is no difference yet.
        """
        self._tell(self._looked("", enter=enter))

    def follow(self, outcome: StepOutcome | None = None, *, enter: bool = True) -> None:
        """Poll after a bar, with what came of it in the plan."""
        if outcome is not None:
            self._hands.learn(outcome.logs)
        self.poll(enter=enter)

    def objection(self, request: OrderRequest) -> str | None:
        """Return why an order that a person approves is not wanted any more; None where it is.

        Of an exit that is, the stop behind it is taken back, since both would sell the same shares. The
        broker is asked before that and after: a stop that has filled, or fills instead, leaves less to sell.
        """
        record = self._hands.record_of(request.client_order_id)
        if record is None:
            return None
        if record.role == "entry":
            want = next((one for one in self._wants() if one.order == record.order), None)
            if want is None or (want.holding is not None and want.holding.leaving is not None):
                return "the plan no longer wants it"
            return self._drifted(record)
        if record.role != "close":
            return None
        short = self._short(record)
        case = next((one for one in self.cases if one.number == record.order), None)
        if short is not None or case is None:
            return short
        if self._hands.cancel(case, [*case.stops, *case.targets, *case.asleep]):
            short = self._short(record)
        return short

    def _short(self, record: Followed) -> str | None:
        """Ask the broker, and say why an exit would sell more than there is; None where it would not."""
        # whoever approves has the queue's lock, so what waits there is not asked for
        if self._ask("", waiting={} if self.last is None else self.last.reviews) is None:
            return f"nobody can say what is held: {self.problems['broker']}"
        case = next((one for one in self.cases if one.number == record.order), None)
        if case is not None and case.is_waiting:
            return f"nobody has said yet how an order behind {record.symbol} has ended"
        free = 0.0 if case is None else case.held - case.leaving
        if free >= record.quantity - DUST:
            return None
        return f"{record.quantity:g} of {record.symbol} were to leave, and {max(0.0, free):g} is held of it"

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
        facts = self._ask(problem, worth=True)
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

    def _tell(self, facts: Facts | None) -> None:
        if facts is None:
            return
        for case in self.cases:
            self._telling.tell(case, self.cases, facts)

    def _ask(
        self, problem: str, *, worth: bool = False, waiting: Mapping[str, ReviewRequest] | None = None
    ) -> Facts | None:
        """Ask for what the reconciler does not keep; None where it was not answered.

        Parameters
        ----------
        worth
            Whether the account is asked too; else what it said at the last look stands.
        waiting
            What waits for a person, by client order id; None asks the queue.
        """
        manager = self.desk.manager
        broker = manager.known(self.broker)
        if not problem:
            try:
                ledger = self.desk.reconciler.ledger(self.broker)
                # executions last: what fills while we ask has left, and is not sold once more
                listed = tuple(broker.get_orders(open_only=False))
                positions = {one.symbol: one for one in broker.get_positions()}
                newest = max((one.time for one in ledger.fills.values()), default=None)
                told = broker.executions(None if newest is None else newest - LOOK_BACK)
                if waiting is None:
                    waiting = {one.order.client_order_id: one for one in manager.get_pending_requests()}
            except Exception as error:  # whatever an adapter's library raises, the question was not answered
                problem = f"{type(error).__name__}: {error}"
        if problem:
            self.facts = None
            self.problems["broker"] = f"{broker.broker} did not answer: {problem}"
            return None
        assert waiting is not None  # noqa: S101 - it was answered
        self.problems.pop("broker", None)
        # one that is told twice in an answer counts once
        new = {one.execution_id: one for one in told if one.execution_id not in ledger.fills}
        fresh = tuple(new.values())
        beside, missing = self._vanishing.look(listed, fresh, ledger, manager.clock())
        facts = Facts(
            at=manager.clock(), positions=positions, orders=tuple(one for one in listed if one.is_open),
            account=self._worth(broker) if worth else (None if self.last is None else self.last.account),
            ledger=ledger, reviews=waiting, ended=(*(one for one in listed if not one.is_open), *beside),
            fresh=fresh, missing=missing,
        )  # fmt: skip
        self.facts = self.last = facts
        self._reopen(facts)
        self.cases = self._sorted(facts)
        return facts

    def _worth(self, broker: BrokerInterface) -> Account | None:
        """Return what the account is worth; where that is not answered, what is held is still known."""
        try:
            account = broker.get_account()
        except Exception as error:  # as above
            self.problems["account"] = (
                f"{broker.broker} did not say what the account is worth: {type(error).__name__}: {error}"
            )
            return None
        self.problems.pop("account", None)
        return account

    def _reopen(self, facts: Facts) -> None:
        """Look again at what was over, where one of its orders works or has filled since."""
        new: list[Execution] = [*islice(facts.ledger.fills.values(), self._stored, None), *facts.fresh]
        self._stored = len(facts.ledger.fills)
        if not self._done:
            return
        for one in new:
            self._reopen_of(facts.ledger.owner(one.order_id))
        shown: dict[int, set[tuple[str, float]]] = {}
        for order in (*facts.orders, *facts.ended):
            record = self._record_of(order, facts)
            if record is not None and (order.is_open or order.filled > DUST):
                shown.setdefault(record.order, set()).add((order.order_id, order.filled))
        for number in [number for number, before in self._done.items() if shown.get(number, set()) - before]:
            del self._done[number]

    def _reopen_of(self, identity: str) -> None:
        record = self._hands.record_of(identity)
        if record is not None:
            self._done.pop(record.order, None)

    def _record_of(self, order: BrokerOrder, facts: Facts) -> Followed | None:
        """Return what was decided with an order, or with the parent of a child."""
        ledger, hands = facts.ledger, self._hands
        names = (
            ledger.owner(order.order_id), order.client_order_id, ledger.owner(order.parent_id),
            order.client_order_id.rpartition("-")[0],
        )  # fmt: skip
        return next((found for name in names if name and (found := hands.record_of(name))), None)

    def _sorted(self, facts: Facts) -> list[Case]:
        """Return what is followed; what is over is left out from then on."""
        wants, hands = self._wants(), self._hands
        for want in wants:
            self._done.pop(want.order, None)
        records = {number: mine for number, mine in hands.records.items() if number not in self._done}
        elsewhere = [one for one in hands.parted if one.kind in ("closed_elsewhere", "settled")]
        cases = cases_of(wants, records, elsewhere, facts, self.desk.manager)
        for case in cases:
            case.opened = hands.trades.get(case.number, -1)
        over = {one.number for one in cases if one.is_done and self._telling.settle(one, facts)}
        if over:
            self._settle(over, facts)
        hands.forget_problems(over)
        self._vanishing.remember([one for one in cases if one.number not in over], over)
        return [one for one in cases if one.number not in over]

    def _settle(self, over: set[int], facts: Facts) -> None:
        """Leave out what is over from now on, with what its orders show by now."""
        shown: dict[int, set[tuple[str, float]]] = {number: set() for number in over}
        for order in (*facts.orders, *facts.ended):
            record = self._record_of(order, facts)
            if record is not None and record.order in over:
                shown[record.order].add((order.order_id, order.filled))
        self._done.update({number: frozenset(mine) for number, mine in shown.items()})

    def _wants(self) -> tuple[Wanted, ...]:
        return wanted(self.session.state, self.session.like, self.session.strategy_names)

    def _act(self, facts: Facts, *, enter: bool) -> bool:
        """Send what is missing; returns whether the broker has to be asked again."""
        again = False
        for case in self.cases:
            moved = self._entering.withdraw(case, facts)
            if not self._holds_back(case):
                moved = moved or self._leaving.leave(case, facts)
                moved = moved or self._resting.guard(case, facts)
            again = moved or again
        if again or not enter:
            return again
        sent = [self._entering.enter(case, self.cases) for case in self.cases]
        return any(sent)

    def _holds_back(self, case: Case) -> bool:
        """Whether nothing may be sent that leaves or rests, and say so."""
        about = f"missing {case.number}"
        self.problems.pop(about, None)
        if not case.is_waiting:
            return False
        names = ", ".join(one.order_id for one in case.missing)
        self.problems[about] = (
            f"{case.symbol}: {names} no longer works by the broker's list, and nobody has said how it ended; "
            "nothing is sent for it until somebody does"
        )
        return True
