"""Exits: what is held at the broker and not (or no longer) by the plan goes out at the market.

That is all of it where the plan has left or is about to (time, signal, a stop that only its bars have met),
and a part where the plan has taken one off. What rests holds the shares, so it is cancelled first; if it
fills meanwhile, the next look sees less to sell. A package that has reached its profit goes at the plan's net
price and, where that is not met within a bar, at the market like all others.

An exit that the broker has said not to have may still arrive: it goes again, under its own id, once it is
proven that it does not (`live.brokers.lost`), and until then the stop stays. One that waited for a person in
vain is laid anew: at once where nobody has decided, with the next bar where one did.
While a split is at the broker and not yet in the plan, quantities mean different things, and nothing leaves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from live.automation.config import ExecutionMode
from live.brokers.interface import is_option
from live.exchange.calendar import SessionCalendar
from live.following.cases import Case, Facts, Order
from live.following.decisions import Decision, Purpose, close_of, goes_again, purpose_of, said_of
from live.reconciling.fill_ledger import DUST
from live.submit_gate import may_pass
from simulator.errors import TwinstepError
from simulator.types import ExitReason

if TYPE_CHECKING:
    from live.following.hands import Hands

__all__ = ["Leaving", "is_beyond", "is_past"]

_UNDECIDED: Final = frozenset({"expired", "void"})
"""How a request ends that no person has said no to."""


class Leaving:
    """Sends what leaves.

    Parameters
    ----------
    hands
        Record and manager.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def leave(self, case: Case, facts: Facts) -> bool:
        """Take out what is held and not wanted; returns whether the broker has to be asked again."""
        hands, ts = self._hands, self._hands.ts
        earlier = case.of("close")
        if case.packaged and self._is_settled_by_expiry(case):
            return False
        late = [
            one for one in earlier
            if one.standing == "open" and one.record.decided_ts < ts
            and one.sent is not None and one.sent.request.kind != "market"
        ]  # fmt: skip
        if case.packaged and late:
            return hands.cancel(case, [one.sent.order for one in late if one.sent and one.sent.order])
        over = case.held - case.leaving - self._most(case, facts)
        if over <= DUST or case.is_doubtful or (case.entries and over >= case.held - DUST):
            return False
        about = f"close {case.number}"
        if self._waits_for_split(case, facts):
            return False
        last = earlier[-1] if earlier else None
        # before anything is taken back for the exit: the stop stays where it is until that may go
        if last is not None and self._is_pending(last):
            return False
        ended = None if last is None else hands.ended_review(last)
        if ended is not None and ended.state not in _UNDECIDED and last is not None:
            if last.record.decided_ts >= ts:
                hands.problems[about] = said_of(last.record, ended)
                return False
        reason, purpose = self._why(case, facts, last)
        if not may_pass(hands.switch.state, purpose):
            hands.problems[about] = f"{case.symbol}: the exit waits until somebody arms"
            return False
        reviewed = purpose == "exit" and hands.manager.mode is ExecutionMode.MANUAL_REVIEW
        if not reviewed and last is not None and hands.was_kept_back(last):
            return False
        if not reviewed and hands.cancel(case, [*case.stops, *case.targets, *case.asleep]):
            return True  # one of them may have filled
        again = last is not None and not reviewed and goes_again(last)
        if last is not None and again and _is_same(last, over, purpose):
            assert last.sent is not None  # noqa: S101 - what got lost was sent
            same = Decision(last.sent.request, last.record, last.record.expected_price)
            return hands.send(same, again=True)
        unsent = last is not None and last.standing == "unsent" and last.record.quantity == over
        if last is not None and ended is None and (again or unsent):
            identity, ts = last.record.client_order_id, last.record.decided_ts
        else:
            identity = hands.namer.other(case, "close", ts, len(earlier))
        if case.wanted is None:
            self._note_cancelled(case, over)
        # a package that must go does not wait for a price
        hurried = case.packaged and (earlier or reason != ExitReason.PROFIT_TARGET.label)
        net = None if hurried else self._mark(case, facts)
        return hands.send(
            close_of(case, identity, ts, over, net, reason, purpose, ended=self._ended_legs(case)),
            again=again,
        )

    def _is_pending(self, last: Order) -> bool:
        """Whether the exit before waits for a person, for its next try, or for proof that it got lost."""
        hands = self._hands
        if last.standing == "review" or (last.standing == "rejected" and not hands.may_retry(last)):
            return True
        return hands.may_arrive(last)

    def _waits_for_split(self, case: Case, facts: Facts) -> bool:
        about = f"split {case.number}"
        if case.packaged or not self._hands.in_split(case.symbol, facts):
            self._hands.problems.pop(about, None)
            return False
        self._hands.problems[about] = (
            f"{case.symbol}: the exit waits until the plan has a bar after the split"
        )
        return True

    def _most(self, case: Case, facts: Facts) -> float:
        """Return the most that may be held; nothing once the price is past the stop in force."""
        if case.wanted is None or is_past(case, facts):
            return 0.0
        return case.wanted.most

    def _why(self, case: Case, facts: Facts, last: Order | None) -> tuple[str, Purpose]:
        holding = None if case.wanted is None else case.wanted.holding
        if holding is not None and holding.leaving is not None:
            return holding.leaving.label, purpose_of(holding.leaving)
        if is_past(case, facts):
            return "stop passed", "protect"
        if holding is not None:
            return "part", "protect"
        if last is not None and last.record.reason == ExitReason.SIGNAL.label:
            return last.record.reason, "exit"
        trade = self._hands.trade_of(case.number)
        if trade < 0:
            return ("excess" if case.wanted is not None else "entry cancelled in the plan"), "protect"
        ended = self._hands.ends.get(trade)
        return ("plan closed" if ended is None else ended.label), purpose_of(ended)

    def _note_cancelled(self, case: Case, quantity: float) -> None:
        hands = self._hands
        if hands.trade_of(case.number) >= 0 or hands.has_parted(case.number, "filled_after_cancel"):
            return
        try:
            hands.part(
                "filled_after_cancel", case.symbol, case.number,
                "the plan has cancelled the entry, and the broker had filled it",
                quantity=case.side * quantity,
            )  # fmt: skip
        except (TwinstepError, OSError) as error:  # the exit does not wait for it
            hands.problems["journal"] = str(error)

    def _mark(self, case: Case, facts: Facts) -> float | None:
        """Return the price that is expected; of a package what leaving brings, received is positive."""
        holding = None if case.wanted is None else case.wanted.holding
        if holding is not None:
            return holding.package.mark if holding.package is not None else holding.mark
        if case.packaged:
            return None
        there = facts.positions.get(case.symbol)
        return None if there is None else there.mark

    def _is_settled_by_expiry(self, case: Case) -> bool:
        """Whether all its contracts have ended, so that the broker settles what is left of them."""
        ends = [day for one in case.orders for day in one.record.expiries]
        return bool(ends) and all(self._has_ended(day) for day in ends)

    def _ended_legs(self, case: Case) -> frozenset[str]:
        ends: dict[str, int] = {}
        for one in case.orders:
            contracts = [leg.symbol for leg in one.record.legs if is_option(leg.symbol)]
            ends |= zip(contracts, one.record.expiries, strict=True)
        return frozenset(symbol for symbol, day in ends.items() if self._has_ended(day))

    def _has_ended(self, day: int) -> bool:
        """Whether the plan's last bar reaches to the close of a session, or is of a later one."""
        session = self._hands.session
        now = int(session.state.account["session"][0])
        if day != now:
            return day < now
        like, seen = session.like, session.seen()
        if like.daily or not len(seen):
            return True
        return int(seen.close_ts[-1]) >= SessionCalendar(like.calendar, daily=False).hours(day)[1]


def _is_same(lost: Order, quantity: float, purpose: Purpose) -> bool:
    """Whether an exit that got lost is what has to leave now; a package's price is of then."""
    sent = lost.sent
    if sent is None or sent.request.kind != "market":
        return False
    return lost.record.quantity == quantity and sent.request.purpose == purpose


def is_past(case: Case, facts: Facts) -> bool:
    """Whether the price is beyond the stop in force, so that a stop there would sell at once.

    By the plan's last price, or, where not all is behind a stop, by the broker's: some refuse a stop there.
    The broker's counts only where it holds what the books do, since after a split, say, it means another
    share. What the broker has entered and the plan has not yet has no price of the plan.
    """
    stop = None if case.wanted is None else case.wanted.stop
    if case.wanted is None or stop is None:
        return False
    holding = case.wanted.holding
    if holding is not None and (holding.mark - stop) * case.side <= 0.0:
        return True
    behind = sum(order.quantity - order.filled for order in case.stops)
    if case.packaged or case.unguarded_by_exits - behind <= DUST or case.entries or case.asleep:
        return False
    return is_beyond(case, facts, stop) and _is_agreed(case.symbol, facts)


def is_beyond(case: Case, facts: Facts, level: float) -> bool:
    """Whether the broker's price is at a stop's level or beyond it; not where the broker names none."""
    there = facts.positions.get(case.symbol)
    mark = None if there is None else there.mark
    return mark is not None and math.isfinite(mark) and (mark - level) * case.side <= 0.0


def _is_agreed(symbol: str, facts: Facts) -> bool:
    """Whether the broker holds of a symbol what our fills say."""
    there = facts.positions.get(symbol)
    held = 0.0 if there is None else there.quantity
    return abs(held - facts.ledger.positions().get(symbol, 0.0)) <= DUST
