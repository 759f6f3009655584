"""How much our orders have filled: by their executions or by their own word, whichever says more.

A broker tells of one fill in three places (the order's state, the position, the execution), and none of the
three is always first. What counts only once its execution is known is sold twice in between; what counts
only by the order's state is lost when the order is no longer listed. Both only ever grow, so the larger one
counts. Executions that the ledger has not stored yet count too: the reconciler stores them with its next run.

The children of a bracket are found by their parent, by the ledger's memory of them, or by our id with an
ending. Those of a package are its legs and no exits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from live.brokers.interface import BrokerOrder
from live.reconciling.fill_ledger import DUST
from simulator.types import OrderState

if TYPE_CHECKING:
    from live.following.cases import Case, Facts

__all__ = ["Told", "bound", "claimed"]


class Told:
    """What was told of our orders in one look.

    Parameters
    ----------
    facts
        Of that look.
    ours
        Client order ids by the broker's id, as the book has them.
    names
        All of our client order ids.
    """

    def __init__(self, facts: Facts, ours: Mapping[str, str], names: Collection[str]) -> None:
        self._facts = facts
        self._ours = ours
        self._names = names
        self._own: dict[str, BrokerOrder] = {}
        self._children: dict[str, list[BrokerOrder]] = {}
        kin: dict[str, tuple[str, bool]] = {}
        # of what was replaced the one that works stands for both
        for order in (*facts.ended, *facts.orders):
            identity, child = kin[order.order_id] = self.kin(order)
            if identity and child:
                self._children.setdefault(identity, []).append(order)
            elif identity:
                self._own[identity] = order
        self._fresh: dict[tuple[str, bool, str], float] = {}
        self._new: dict[str, float] = {}
        for one in facts.fresh:
            if one.kind != "trade":
                continue
            identity, child = kin.get(one.order_id) or self._known(one.order_id)
            key = (identity, child, one.symbol)
            self._fresh[key] = self._fresh.get(key, 0.0) + one.quantity
            self._new[one.order_id] = self._new.get(one.order_id, 0.0) + one.quantity
        self._stored = self._executed()

    def kin(self, order: BrokerOrder) -> tuple[str, bool]:
        """Return our client order id of an order, of a child that of its parent, and whether it is one."""
        ledger = self._facts.ledger
        identity = ledger.owner(order.order_id) or self._ours.get(order.order_id, "")
        if not identity and order.client_order_id in self._names:
            identity = order.client_order_id
        if not identity:
            identity = self._ours.get(order.parent_id, "") or ledger.owner(order.parent_id)
            identity = identity or order.client_order_id.rpartition("-")[0]
        return identity, bool(order.parent_id) or order.client_order_id not in ("", identity)

    def order(self, identity: str) -> BrokerOrder | None:
        """Return an order of ours as it is listed, None where it is not."""
        return self._own.get(identity)

    def fresh(self, identity: str, symbol: str) -> float:
        """Return what an order has filled by executions that are not stored yet."""
        return self._fresh.get((identity, False, symbol), 0.0)

    def left_ahead(self, identity: str, symbol: str) -> float:
        """Return what the children of an order have filled beyond their stored executions."""
        ahead = self._fresh.get((identity, True, symbol), 0.0)
        for child in self._children.get(identity, ()):
            if [leg.symbol for leg in child.legs] == [symbol]:
                known = self._stored.get(child.order_id, 0.0) + self._new.get(child.order_id, 0.0)
                ahead += max(0.0, claimed(child) - known)
        return ahead

    def _known(self, order_id: str) -> tuple[str, bool]:
        """Return whose an order is that is not listed."""
        identity = self._facts.ledger.owner(order_id) or self._ours.get(order_id, "")
        return identity, bool(identity) and order_id not in self._ours

    def _executed(self) -> dict[str, float]:
        """Return the stored executions of the children that say they have filled."""
        asked = {one.order_id for mine in self._children.values() for one in mine if claimed(one) > DUST}
        found: dict[str, float] = {}
        for one in self._facts.ledger.fills.values() if asked else ():
            if one.order_id in asked and one.kind == "trade":
                found[one.order_id] = found.get(one.order_id, 0.0) + one.quantity
        return found


def claimed(order: BrokerOrder) -> float:
    """Return how much an order says it has filled."""
    return max(order.filled, order.quantity) if order.state == OrderState.FILLED else order.filled


def bound(cases: Sequence[Case], facts: Facts) -> None:
    """Let no case hold more than there is; the oldest is served first.

    A broker nets what several cases have of one contract. So there is of one side what the broker holds and
    what the other side has counted against it.
    """
    shapes = [(case, shape) for case in cases if (shape := _shape(case))]
    counted: dict[tuple[str, int], float] = {}
    for case, shape in shapes:
        for symbol, unit in shape:
            key = (symbol, 1 if unit > 0.0 else -1)
            counted[key] = counted.get(key, 0.0) + case.held * abs(unit)
    left: dict[tuple[str, int], float] = {}
    for symbol, side in counted:
        there = facts.positions.get(symbol)
        net = 0.0 if there is None else there.quantity * side
        left[symbol, side] = max(0.0, net + counted.get((symbol, -side), 0.0))
    for case, shape in shapes:
        keys = [((symbol, 1 if unit > 0.0 else -1), abs(unit)) for symbol, unit in shape]
        case.held = min([case.held, *(left[key] / unit for key, unit in keys)])
        for key, unit in keys:
            left[key] -= case.held * unit


def _shape(case: Case) -> list[tuple[str, float]]:
    """Return the signed quantity per share or package of each leg."""
    entry = next((one.record for one in case.orders if one.record.role == "entry"), None)
    return [] if entry is None else [(leg.symbol, leg.quantity / entry.quantity) for leg in entry.legs]
