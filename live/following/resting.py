"""What rests behind a position: one stop at the plan's level over all of it, and a target where there is one.

A bracket's children are used as long as they stand for what is held; whatever they do not cover gets a stop
of its own, and what they cover too much is cancelled, since it would open a position the other way. Where
children sleep until their entry has filled as a whole, one that stands filled in part is cut short after a
moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from live.brokers.interface import BrokerOrder
from live.brokers.partial_entries import PATIENCE
from live.following.cases import Case
from live.following.decisions import rest_of
from live.following.leaving import is_past
from live.reconciling.fill_ledger import DUST

if TYPE_CHECKING:
    from live.following.hands import Hands
    from live.following.record import Role

__all__ = ["Resting"]

_SAME: Final = 0.4
"""Share of a tick below which two levels are the same."""


class Resting:
    """Keeps stops and targets.

    Parameters
    ----------
    hands
        Record and manager.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def guard(self, case: Case) -> bool:
        """Keep what is held behind a stop, and nothing beyond it; returns whether to ask again."""
        if case.packaged:
            return False
        if case.held <= DUST:
            if case.entries or case.may_enter:
                return False  # they wait for their entry
            return self._hands.cancel(case, [*case.stops, *case.targets, *case.asleep])
        need = case.unguarded_by_exits
        if self._trimmed(case, need):
            return True
        stop, target = self._levels(case)
        for order in case.stops:
            self._move(case, order, "stop_price", stop)
        for order in case.targets:
            self._move(case, order, "limit_price", target)
        missing = need - sum(order.quantity - order.filled for order in case.stops)
        if stop is not None and missing > DUST and case.entries:
            return self._cut_short(case)
        if stop is not None and missing > DUST:
            return self._rest(case, "stop", missing, stop)
        if stop is None and target is not None and not case.targets and need > DUST:
            return self._rest(case, "target", need, target)
        return False

    def _cut_short(self, case: Case) -> bool:
        """Take back the rest of an entry whose stop sleeps until all has filled, after a while.

        A stop of our own beside it would sell twice once the other one wakes.
        """
        now = self._hands.manager.clock()
        working = {order.order_id for order in case.entries}
        stood = [
            one.sent.updated or one.sent.at
            for one in case.of("entry")
            if one.sent is not None and one.sent.order is not None and one.sent.order.order_id in working
        ]
        if any(now - since < PATIENCE for since in stood):
            return False
        return self._hands.cancel(case, case.entries)

    def _levels(self, case: Case) -> tuple[float | None, float | None]:
        want = case.wanted
        if want is None or is_past(case):
            return None, None
        if want.holding is not None:
            return want.holding.stop, want.holding.target
        return (None, None) if want.entry is None else (want.entry.stop_loss, want.entry.take_profit)

    def _trimmed(self, case: Case, need: float) -> bool:
        """Cancel stops and targets beyond what is held, our own first; returns whether there were any."""
        own = {one.record.client_order_id for one in case.of("stop", "target")}
        gone: list[BrokerOrder] = []
        for resting in (case.stops, case.targets):
            over = sum(order.quantity - order.filled for order in resting) - need
            for order in sorted(resting, key=lambda order: order.client_order_id not in own):
                if over > DUST:
                    over -= order.quantity - order.filled
                    gone.append(order)
        return self._hands.cancel(case, gone)

    def _move(self, case: Case, order: BrokerOrder, name: str, level: float | None) -> None:
        """Move what rests to where the plan has it."""
        there: float | None = getattr(order, name)
        like = self._hands.session.like
        tick = float(like.instruments["tick"][like.column(case.symbol)]) or 0.01
        if level is None or there is None or abs(there - level) < tick * _SAME:
            return
        about = f"move {case.number}"
        try:
            self._hands.manager.replace_order(self._hands.broker, order.order_id, **{name: level})
            self._hands.problems.pop(about, None)
        except Exception as error:  # it may have filled, or nobody has answered: the next look says
            self._hands.problems[about] = f"{case.symbol}: {order.order_id} stays at {there:g}: {error}"

    def _rest(self, case: Case, role: Role, quantity: float, price: float) -> bool:
        hands, earlier = self._hands, case.of(role)
        last = earlier[-1] if earlier else None
        if last is not None and last.standing == "unresolved":
            return False
        if last is not None and last.standing == "rejected" and not hands.may_retry(last):
            return False
        ts = hands.ts
        if last is not None and last.standing == "unsent" and last.record.quantity == quantity:
            identity, ts = last.record.client_order_id, last.record.decided_ts
        else:
            identity = hands.namer.other(case, role, ts, len(earlier))
        hands.send(rest_of(case, identity, ts, quantity, price, role))
        return False
