"""What rests behind a position: one stop at the plan's level over all of it, and a target where there is one.

A bracket's children are used as long as they stand for what is held; whatever they do not cover gets a stop
of its own, and what they cover too much is cancelled, since it would open a position the other way. Where
children sleep until their entry has filled as a whole, one that stands filled in part is cut short after a
moment. Where an exit was taken for sent and the broker has refused it, the stop that made room for it is put
back until the exit is tried again.

A stop is neither sent nor moved to where the broker's price is already, since it would sell at once: what is
bare there leaves at the market (`live.following.leaving`). Between a split at the broker and the plan's first
bar after it nothing is moved, since the plan's levels are those of another share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from live.brokers.guarded import whole_first
from live.brokers.interface import BrokerOrder
from live.brokers.partial_entries import PATIENCE, family_of
from live.following.cases import Case, Facts, explained_exits
from live.following.decisions import goes_again, rest_of
from live.following.leaving import is_beyond, is_past
from live.reconciling.fill_ledger import DUST

if TYPE_CHECKING:
    from datetime import datetime

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
        self._levels_before: dict[int, float] = {}
        self._parts: dict[str, tuple[datetime, datetime]] = {}

    def guard(self, case: Case, facts: Facts) -> bool:
        """Keep what is held behind a stop, and nothing beyond it; returns whether to ask again."""
        if case.packaged:
            return False
        if case.held <= DUST:
            return self._hands.cancel(case, self._left_over(case, facts))
        if self._hands.in_split(case.symbol, facts):
            return False
        need = case.unguarded_by_exits
        if self._trimmed(case, need):
            return True
        stop, target = self._levels(case, facts)
        for order in case.stops:
            self._move(case, order, "stop_price", stop, facts)
        for order in case.targets:
            self._move(case, order, "limit_price", target, facts)
        missing = need - sum(order.quantity - order.filled for order in case.stops)
        if stop is not None and missing > DUST and case.entries:
            return self._cut_short(case, facts, stop)
        if stop is not None and missing > DUST:
            return self._rest(case, "stop", whole_first(missing), stop, facts)
        if stop is None and target is not None and not case.targets and need > DUST:
            return self._rest(case, "target", need, target, facts)
        return False

    def _left_over(self, case: Case, facts: Facts) -> list[BrokerOrder]:
        """Return what still rests where nothing is held: all but what an entry may yet need.

        Only where the executions say that it has left: a position that is missing from an answer is not flat.
        """
        if case.entered > DUST and case.counted > DUST:
            left, _, _ = explained_exits(case, facts)
            if left < case.entered - DUST:
                return []
        coming = {order.order_id for order in case.entries}
        unknown = {one.record.client_order_id for one in case.of("entry") if one.standing == "unresolved"}
        resting = [
            order for order in (*case.stops, *case.targets)
            if order.parent_id not in coming and family_of(order) not in unknown
        ]  # fmt: skip
        return resting if case.entries or case.may_enter else [*resting, *case.asleep]

    def _cut_short(self, case: Case, facts: Facts, stop: float) -> bool:
        """Take back the rest of an entry whose stop sleeps until all has filled, after a while.

        A stop of our own beside it would sell twice once the other one wakes. The while begins with the first
        part that has filled, and goes on where the clock is put back.
        """
        now, working = self._hands.manager.clock(), {order.order_id for order in case.entries}
        stood = []
        for order_id in working:
            since, last = self._parts.get(order_id, (now, now))
            since = since if now >= last else now - (last - since)
            self._parts[order_id] = since, now
            stood.append(now - since)
        if not is_beyond(case, facts, stop) and max(stood) < PATIENCE:
            return False
        for order_id in working:
            self._parts.pop(order_id, None)
        return self._hands.cancel(case, case.entries)

    def _levels(self, case: Case, facts: Facts) -> tuple[float | None, float | None]:
        want = case.wanted
        if want is None:
            return self._level_before(case), None
        if is_past(case, facts):
            return None, None
        if want.holding is not None:
            if want.holding.stop is not None:
                self._levels_before[case.number] = want.holding.stop
            return want.holding.stop, want.holding.target
        return (None, None) if want.entry is None else (want.entry.stop_loss, want.entry.take_profit)

    def _level_before(self, case: Case) -> float | None:
        """Return where the stop was last, for what the plan has left and the broker does not let go.

        None while an exit may still be on its way.
        """
        closes = case.of("close")
        if (
            case.is_doubtful
            or case.entries
            or not closes
            or closes[-1].standing not in ("rejected", "unsent")
        ):
            return None
        if case.number in self._levels_before:
            return self._levels_before[case.number]
        own = [one.record.expected_price for one in case.of("stop")]
        entries = [one.sent.request.stop_loss for one in case.of("entry") if one.sent is not None]
        return next((level for level in (*reversed(own), *entries) if level is not None), None)

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

    def _move(self, case: Case, order: BrokerOrder, name: str, level: float | None, facts: Facts) -> None:
        """Move what rests to where the plan has it."""
        there: float | None = getattr(order, name)
        like = self._hands.session.like
        tick = float(like.instruments["tick"][like.column(case.symbol)]) or 0.01
        if level is None or there is None or abs(there - level) < tick * _SAME:
            return
        about = f"move {case.number}"
        if name == "stop_price" and is_beyond(case, facts, level):
            self._hands.problems[about] = (
                f"{case.symbol}: the stop stays at {there:g}: the broker's price is beyond {level:g} already"
            )
            return
        try:
            self._hands.manager.replace_order(self._hands.broker, order.order_id, **{name: level})
            self._hands.problems.pop(about, None)
        except Exception as error:  # it may have filled, or nobody has answered: the next look says
            self._hands.problems[about] = f"{case.symbol}: {order.order_id} stays at {there:g}: {error}"

    def _rest(self, case: Case, role: Role, quantity: float, price: float, facts: Facts) -> bool:
        hands, earlier = self._hands, case.of(role)
        last = earlier[-1] if earlier else None
        if last is not None and last.standing == "unresolved":
            return False
        if last is not None and last.standing == "rejected" and not hands.may_retry(last):
            return False
        if last is not None and hands.may_arrive(last):
            return False
        if role == "stop" and is_beyond(case, facts, price):
            words = f"{case.symbol}: no stop rests: the broker's price is beyond {price:g} already"
            hands.problems[f"stop {case.number}"] = words
            return False
        ts = hands.ts
        unsent = last is not None and last.standing == "unsent" and last.record.quantity == quantity
        again = last is not None and goes_again(last)
        if last is not None and (unsent or again):
            identity, ts = last.record.client_order_id, last.record.decided_ts
        else:
            identity = hands.namer.other(case, role, ts, len(earlier))
        hands.send(rest_of(case, identity, ts, quantity, price, role), again=again)
        return False
