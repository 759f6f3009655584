"""Entries: sent once per decision, between the bar that decided and the next one, and taken back when over.

What is not sent in time is not sent at all, since a price that was decided on a bar is none two bars later;
the plan is told that it was never in. Two waits are exceptions: an entry that turns a position round waits
until the other side is flat at the broker, and one that a doubt keeps out waits as long as the plan's own
works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from live.following.cases import Case, Facts
from live.following.decisions import Decision, add_of, entry_of, package_entry_of
from live.reconciling.fill_ledger import DUST

if TYPE_CHECKING:
    from live.following.hands import Hands
    from live.following.record import Followed
    from live.following.wanted import Wanted

__all__ = ["Entering"]

_TURNING = "reverse"
"""Reason of an entry that waits for the other side."""


class Entering:
    """Sends entries and adds.

    Parameters
    ----------
    hands
        Record and manager.
    prepare
        Called with the symbols of a package before it is sent.
    """

    def __init__(self, hands: Hands, prepare: Callable[[Iterable[str]], object] | None) -> None:
        self._hands = hands
        self._prepare = prepare

    def withdraw(self, case: Case, facts: Facts) -> bool:
        """Take back entries that the plan does not want; returns whether the broker has to be asked again."""
        want = case.wanted
        holding = None if want is None else want.holding
        if want is not None and (holding is None or (holding.leaving is None and holding.left <= DUST)):
            return False
        for one in case.of("entry"):
            request = facts.reviews.get(one.record.client_order_id)
            if request is not None:
                self._hands.manager.reject_request(request.request_id, "the plan no longer wants it")
        return self._hands.cancel(case, case.entries)

    def enter(self, case: Case, cases: Sequence[Case]) -> bool:
        """Send the entry or the add of a case that is due; returns whether the broker may have it now."""
        want = case.wanted
        if want is None or not self._is_open():
            return False
        first = [one for one in case.of("entry") if one.record.reason != "add"]
        if not first or all(one.standing == "unsent" for one in first):
            decision = self._first(case, want, first[0].record if first else None)
            if decision is None:
                return False
            if self._turns(case, cases):
                self._hands.decide(replace(decision.record, reason=_TURNING))
                return False
            return self._hands.send(decision)
        if want.holding is not None and want.holding.leaving is None and not case.packaged:
            return self._add(case)
        return False

    def _is_open(self) -> bool:
        """Whether nobody has halted, now or at any time since the bar."""
        switch = self._hands.switch
        if switch.state != "ACTIVE":
            return False
        arming = self._hands.session.arming
        return arming is None or switch.arming == arming

    def _turns(self, case: Case, cases: Sequence[Case]) -> bool:
        """Whether the other side of the symbol is still held, or may come to be."""
        return any(
            one is not case
            and one.symbol == case.symbol
            and one.side != case.side
            and not one.packaged
            and (one.held > DUST or one.may_enter)
            for one in cases
        )

    def _first(self, case: Case, want: Wanted, before: Followed | None) -> Decision | None:
        """Return the entry where it is due."""
        holding, ts = want.holding, self._hands.ts
        if holding is None:
            due = want.entry is not None
        else:
            waited = before is not None and before.reason == _TURNING and holding.entered_ts == ts
            due = (holding.just_entered or waited) and holding.leaving is None and want.entry is None
        if not due:
            return None
        decided = ts if before is None else before.decided_ts
        identity = self._hands.namer.entry(want, decided) if before is None else before.client_order_id
        if holding is not None and holding.package is not None:
            if self._prepare is not None:
                self._prepare([leg.symbol for leg in holding.package.legs])
            return package_entry_of(want, identity, decided)
        return entry_of(want, identity, decided)

    def _add(self, case: Case) -> bool:
        holding = None if case.wanted is None else case.wanted.holding
        adds = [one for one in case.of("entry") if one.record.reason == "add"]
        ts = self._hands.ts
        if adds and adds[-1].standing == "unsent" and adds[-1].record.decided_ts == ts:
            one = adds[-1].record
            return self._hands.send(add_of(case, one.client_order_id, ts, one.quantity))
        missing = (0.0 if holding is None else holding.added) - sum(one.record.quantity for one in adds)
        if missing <= DUST or case.held <= DUST:
            return False
        identity = self._hands.namer.other(case, "add", ts, len(adds))
        return self._hands.send(add_of(case, identity, ts, missing))
