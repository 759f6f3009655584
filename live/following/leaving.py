"""Exits: what is held at the broker and not (or no longer) by the plan goes out at the market.

That is all of it where the plan has left or is about to (time, signal, a stop that only its bars have met),
and a part where the plan has taken one off. What rests holds the shares, so it is cancelled first; if it
fills meanwhile, the next look sees less to sell. A package that has reached its profit goes at the plan's net
price and, where that is not met within a bar, at the market like all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from live.automation.config import ExecutionMode
from live.following.cases import Case, Facts, Order
from live.following.decisions import Purpose, close_of, purpose_of
from live.reconciling.fill_ledger import DUST
from live.submit_gate import may_pass
from simulator.types import ExitReason

if TYPE_CHECKING:
    from live.following.hands import Hands

__all__ = ["Leaving"]


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
        late = [one for one in earlier if one.standing == "open" and one.record.decided_ts < ts]
        if case.packaged and late:
            return hands.cancel(case, [one.sent.order for one in late if one.sent and one.sent.order])
        over = case.held - case.leaving - self._most(case)
        if over <= DUST or case.is_doubtful or (case.entries and over >= case.held - DUST):
            return False
        last = earlier[-1] if earlier else None
        if last is not None and last.standing == "review":
            return False
        if last is not None and last.standing == "rejected" and not hands.may_retry(last):
            return False
        reason, purpose = self._why(case, last)
        if not may_pass(hands.switch.state, purpose):
            hands.problems[f"close {case.number}"] = f"{case.symbol}: the exit waits until somebody arms"
            return False
        reviewed = purpose == "exit" and hands.manager.mode is ExecutionMode.MANUAL_REVIEW
        if not reviewed and hands.cancel(case, [*case.stops, *case.targets, *case.asleep]):
            return True  # one of them may have filled
        if last is not None and last.standing == "unsent" and last.record.quantity == over:
            identity, ts = last.record.client_order_id, last.record.decided_ts
        else:
            identity = hands.namer.other(case, "close", ts, len(earlier))
        if case.wanted is None:
            self._note_cancelled(case, over)
        # a package that must go does not wait for a price
        hurried = case.packaged and (earlier or reason != ExitReason.PROFIT_TARGET.label)
        net = None if hurried else self._mark(case, facts)
        return hands.send(close_of(case, identity, ts, over, net, reason, purpose))

    def _most(self, case: Case) -> float:
        """Return the most that may be held; nothing once the price is past the stop in force."""
        if case.wanted is None or is_past(case):
            return 0.0
        return case.wanted.most

    def _why(self, case: Case, last: Order | None) -> tuple[str, Purpose]:
        holding = None if case.wanted is None else case.wanted.holding
        if holding is not None and holding.leaving is not None:
            return holding.leaving.label, purpose_of(holding.leaving)
        if holding is not None:
            return ("stop passed" if is_past(case) else "part"), "protect"
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
        hands.part(
            "filled_after_cancel", case.symbol, case.number,
            "the plan has cancelled the entry, and the broker had filled it", quantity=case.side * quantity,
        )  # fmt: skip

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
        """Whether its contracts have ended, so that the broker settles what is left of them."""
        ends = [day for one in case.orders for day in one.record.expiries]
        return bool(ends) and min(ends) <= int(self._hands.session.state.account["session"][0])


def is_past(case: Case) -> bool:
    """Whether the last price is beyond the stop in force, so that a stop there would sell at once."""
    holding = None if case.wanted is None else case.wanted.holding
    if holding is None or holding.stop is None:
        return False
    return (holding.mark - holding.stop) * case.side <= 0.0
