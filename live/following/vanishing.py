"""Orders that vanish: they were there, and the broker's list of what works has them no more.

Such an order may have filled, and the position and its execution may be told later than that. So it is
explained first: by the list of what has ended, by the answer to its cancel, by executions for all of it, or
by asking for it by its id. What none of these explains is `Missing`, and nothing is sent for its case.

Of a child, which a broker need not know by an id of ours, that ends after a while, since a stop that is
simply gone leaves its position bare: then the broker's own positions decide. An order that the broker has
confirmed under our id waits for a person, who decides on the reconciler's difference about it: stops that
work and are not listed would pile up otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from live.brokers.interface import BrokerOrder, Outcome
from live.following.cases import Case, Missing
from live.following.counting import claimed
from live.reconciling.fill_ledger import DUST

if TYPE_CHECKING:
    from live.following.hands import Hands
    from live.following.record import Role
    from live.reconciling.fill_ledger import FillLedger
    from simulator.brokerage import Execution

__all__ = ["Vanishing"]

PATIENCE: Final = timedelta(seconds=60)
"""How long a child that vanishes is waited for."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """An order that was there: whose, as what, and how it was last; None where only its id is on record."""

    number: int
    role: Role | Literal["child"]
    order: BrokerOrder | None
    since: datetime | None = None


class Vanishing:
    """Remembers what rests and leaves at one broker, and says which of it is missing.

    Parameters
    ----------
    hands
        Record and manager.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._seen: dict[str, _Seen] = {}
        self._filled: dict[str, tuple[int, BrokerOrder]] = {}
        for event in hands.manager.intents.events("alias"):
            record = hands.record_of(event.order)
            if record is not None and event.data["broker"] == hands.broker and event.data["role"] == "child":
                self._seen[event.data["broker_order"]] = _Seen(record.order, "child", None)

    def look(
        self,
        listed: Sequence[BrokerOrder],
        fresh: Iterable[Execution],
        ledger: FillLedger,
        now: datetime,
    ) -> tuple[list[BrokerOrder], dict[int, list[Missing]]]:
        """Return what has ended beside the list, and by the plan's order what is missing.

        Parameters
        ----------
        listed
            All that the broker lists, what has ended too.
        fresh
            Executions that the ledger does not have yet.
        """
        self._take_book()
        there = {order.order_id for order in listed if order.is_open}
        names = {order.client_order_id for order in listed if order.is_open} - {""}
        over = {order.order_id for order in listed} - there
        missing: dict[int, list[Missing]] = {}
        for order in listed:
            if order.order_id in over & self._seen.keys():
                self._take(order, self._seen[order.order_id].number)
        executed = self._executed((self._seen.keys() - there - over) | self._filled.keys(), fresh, ledger)
        for order_id, seen in list(self._seen.items()):
            if order_id in over:
                del self._seen[order_id]
            elif order_id in there or (seen.order is not None and seen.order.client_order_id in names):
                self._seen[order_id] = replace(seen, since=None)
            else:
                found = self._asked(order_id, seen)
                if found is not None and not found.is_open:
                    self._take(found, seen.number)
                if _is_explained(seen, found, executed.get(order_id, 0.0)):
                    del self._seen[order_id]
                    continue
                since = seen.since or now
                self._seen[order_id] = replace(seen, since=since)
                hidden = found is not None and found.is_open
                due = not hidden and self._is_due(seen, now - since)
                one = Missing(order_id, seen.role, since, is_hidden=hidden, is_due=due)
                missing.setdefault(seen.number, []).append(one)
        for order_id, (_, order) in list(self._filled.items()):
            if executed.get(order_id, 0.0) >= claimed(order) - DUST:
                del self._filled[order_id]
        return [order for order_id, (_, order) in self._filled.items() if order_id not in over], missing

    def remember(self, cases: Iterable[Case], done: Collection[int]) -> None:
        """Take in what works now, and forget what belongs to cases that are done."""
        for order_id, seen in list(self._seen.items()):
            if seen.number in done:
                del self._seen[order_id]
        self._filled = {name: one for name, one in self._filled.items() if one[0] not in done}
        for case in cases:
            for order in (*case.stops, *case.targets, *case.asleep):
                record = self._hands.record_of(order.client_order_id)
                role: Role | Literal["child"] = "child" if record is None else record.role
                self._seen[order.order_id] = _Seen(case.number, role, order)

    def _take(self, order: BrokerOrder, number: int) -> None:
        """Keep the word of what says it has filled, until executions say the same."""
        if claimed(order) > DUST:
            self._filled[order.order_id] = (number, order)

    def _take_book(self) -> None:
        """Remember what was confirmed, from the moment in which it was."""
        hands = self._hands
        for sent in hands.manager.book.live():
            record, order = hands.record_of(sent.identity), sent.order
            if record is None or record.role == "entry" or order is None or sent.broker != hands.broker:
                continue
            if sent.submitted.outcome is Outcome.CONFIRMED and order.is_open:
                self._seen.setdefault(order.order_id, _Seen(record.order, record.role, order))

    def _asked(self, order_id: str, seen: _Seen) -> BrokerOrder | None:
        """Return an order by the answer to its cancel, or by its id; None where nobody knows it."""
        hands = self._hands
        answer = hands.answers.get(order_id)
        if answer is not None and not answer.is_open:
            return answer
        if seen.order is None or not seen.order.client_order_id:
            return None
        try:
            return hands.manager.known(hands.broker).find_order(seen.order.client_order_id)
        except Exception:  # whatever an adapter's library raises: it stays unknown
            return None

    def _executed(
        self, asked: Collection[str], fresh: Iterable[Execution], ledger: FillLedger
    ) -> dict[str, float]:
        found: dict[str, float] = {}
        for one in (*ledger.fills.values(), *fresh) if asked else ():
            if one.order_id in asked and one.kind == "trade":
                found[one.order_id] = found.get(one.order_id, 0.0) + one.quantity
        return found

    def _is_due(self, seen: _Seen, waited: timedelta) -> bool:
        """Whether it was waited for long enough, or a person has given it up."""
        if seen.role == "child":
            return waited >= PATIENCE
        name = "" if seen.order is None else seen.order.client_order_id
        sent = self._hands.manager.book.get(name) if name else None
        return sent is None or sent.final


def _is_explained(seen: _Seen, found: BrokerOrder | None, executed: float) -> bool:
    """Whether the end of an order is known: by the broker's word, or by executions for all of it."""
    if found is not None:
        return not found.is_open and (found.state.label != "filled" or claimed(found) > DUST)
    return executed > DUST and (seen.order is None or executed >= seen.order.quantity - DUST)
