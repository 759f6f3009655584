"""Entries: sent once per decision, between the bar that decided and the next one, and taken back when over.

What is not sent in time is not sent at all, since a price that was decided on a bar is none two bars later;
the plan is told that it was never in. Two waits are exceptions: an entry that turns a position round waits
until the other side is flat at the broker, and one that a doubt keeps out waits as long as the plan's own
works. An add has no such exception: it is of the bar that made it, or given up and on record.

What works at the broker ends with the plan's own: when its rest is cancelled or expires there, one bar after
all of it has filled there and not here, and at once while trading is halted or reduced. It ends too once a
stop or a target has taken out what had filled of it: the rest would be an entry after the exit, which no plan
has decided, and behind which nothing may rest any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from journal import schema
from live.following.cases import Case, Facts, Order
from live.following.decisions import Decision, add_of, entry_of, package_entry_of
from live.reconciling.fill_ledger import DUST
from live.sessions.recording import unpack
from live.sessions.store import SessionStore
from simulator.kernel import codes

if TYPE_CHECKING:
    from live.brokers.interface import BrokerOrder
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
        self._alone: dict[str, int] = {}  # bar at which an order was first seen to work on without the plan
        self._added: tuple[int, dict[int, float]] = (-1, {})

    def withdraw(self, case: Case, facts: Facts) -> bool:
        """Take back entries that the plan does not want; returns whether the broker has to be asked again."""
        self._give_up(case)
        return self._hands.cancel(case, self._unwanted(case, facts))

    def _unwanted(self, case: Case, facts: Facts) -> list[BrokerOrder]:
        """Return the entries at the broker that have to end; what waits for a person is taken back here."""
        want, entries = case.wanted, case.of("entry")
        holding = None if want is None else want.holding
        over = holding is not None and (holding.leaving is not None or holding.left > DUST)
        if want is None or over or case.taken > DUST:
            self._reject(entries, facts)
            return case.entries
        if self._hands.switch.state != "ACTIVE":
            return case.entries  # the plan's own are cancelled with its next bar
        if holding is None or want.entry is not None:
            return []
        first = [one for one in entries if one.record.reason != "add"]
        if first and holding.entered < first[0].record.quantity - DUST:
            self._reject(first, facts)
            return _orders_of(case, first)
        ts = self._hands.ts
        return [order for order in case.entries if self._alone.setdefault(order.order_id, ts) < ts]

    def _reject(self, entries: Iterable[Order], facts: Facts) -> None:
        for one in entries:
            request = facts.reviews.get(one.record.client_order_id)
            if request is not None:
                self._hands.manager.reject_request(request.request_id, "the plan no longer wants it")

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
        """Send what the plan has added on its last bar."""
        ts, adds = self._hands.ts, _adds(case)
        if adds and adds[-1].standing == "unsent" and adds[-1].record.decided_ts == ts:
            one = adds[-1].record
            return self._hands.send(add_of(case, one.client_order_id, ts, one.quantity))
        if case.held <= DUST or case.taken > DUST:
            return False
        missing = self._missing(case)
        due = 0.0 if missing <= DUST else min(missing, self._added_now(case.number))
        if due <= DUST:
            return False
        identity = self._hands.namer.other(case, "add", ts, len(adds))
        return self._hands.send(add_of(case, identity, ts, due))

    def _give_up(self, case: Case) -> None:
        """Put on record what the plan has added on earlier bars and nobody has sent."""
        missing = self._missing(case)
        late = 0.0 if missing <= DUST else missing - self._added_now(case.number)
        if late > DUST:
            self._hands.part(
                "not_added", case.symbol, case.number,
                f"the plan has added {late:g}, and it was not sent on the bar that made it",
                quantity=case.side * late,
            )  # fmt: skip

    def _missing(self, case: Case) -> float:
        """Return what the plan has added that is neither on record to be sent nor given up."""
        holding = None if case.wanted is None else case.wanted.holding
        if holding is None or case.packaged or holding.added <= DUST:
            return 0.0
        gone = sum(
            abs(one.quantity)
            for one in self._hands.parted
            if one.kind == "not_added" and one.order == case.number
        )
        return holding.added - gone - sum(one.record.quantity for one in _adds(case))

    def _added_now(self, number: int) -> float:
        """Return what the plan has added to an order's position on its last bar, as its log has it."""
        session, ts = self._hands.session, self._hands.ts
        if self._added[0] != ts:
            store, table = SessionStore(session.database, session.name), schema.steps
            found: dict[int, float] = {}
            with session.database.read() as connection:
                mine = table.c.session_id == store.get(connection).id
                rows = list(connection.execute(select(table.c.logs).where(mine, table.c.ts == ts)))
            for row in rows:
                for fill in unpack(row.logs)[0].get("fills", ()):
                    if int(fill["kind"]) == codes.KIND_ADD:
                        order = int(fill["order"])
                        found[order] = found.get(order, 0.0) + abs(float(fill["qty"]))
            self._added = (ts, found)
        return self._added[1].get(number, 0.0)


def _adds(case: Case) -> list[Order]:
    return [one for one in case.of("entry") if one.record.reason == "add"]


def _orders_of(case: Case, mine: Sequence[Order]) -> list[BrokerOrder]:
    """Return the entries that work at the broker and are those of these orders."""
    ids = {one.record.client_order_id for one in mine}
    ids |= {one.sent.order.order_id for one in mine if one.sent is not None and one.sent.order is not None}
    return [order for order in case.entries if order.client_order_id in ids or order.order_id in ids]
