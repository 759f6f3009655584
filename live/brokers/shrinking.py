"""Whether an order only makes a position smaller, asked of the broker and not of the order.

What rests (stop, limit) is not counted as already leaving, since it guards the same shares that a market
order closes; what works at the market, or may, is. Unknown holdings are unknown: never flat, never enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from live.brokers.book import Sent
from live.brokers.interface import BrokerInterface, BrokerOrder, Leg, OrderPurpose, OrderRequest

__all__ = ["keeper", "shrinks"]

_DUST: Final = 1e-9
"""Shares below which two quantities are the same."""


def shrinks(broker: BrokerInterface, request: OrderRequest, doubtful: Sequence[Sent]) -> bool | None:
    """Whether every leg is smaller than what is held on the other side; None where that is unknown."""
    try:
        held = {holding.symbol: holding.quantity for holding in broker.get_positions()}
        working = list(broker.get_orders())
    except Exception:  # adapters raise whatever their libraries raise; each of it means: unknown
        return None
    leaving: dict[str, float] = {}
    for order in working:
        if order.kind == "market" and order.is_open and order.quantity > 0:
            _count(leaving, order.legs, 1.0 - order.filled / order.quantity)
    listed = {order.client_order_id for order in working}
    for sent in doubtful:
        if sent.request.client_order_id not in listed and sent.request.kind == "market":
            _count(leaving, sent.request.legs, 1.0)
    return _smaller(request.legs, held, leaving)


def keeper(broker: BrokerInterface, purposes: Mapping[str, OrderPurpose]) -> Callable[[BrokerOrder], bool]:
    """Return who says of a working order whether it only leaves a position.

    Our own orders say themselves, a bracket's children leave; a foreign one is measured by what is held, and
    counts as an entry where that is unknown.
    """
    held: dict[str, float] | None
    try:
        held = {holding.symbol: holding.quantity for holding in broker.get_positions()}
    except Exception:  # as above: unknown, and then a foreign order counts as an entry
        held = None

    def keep(order: BrokerOrder) -> bool:
        if order.parent_id:
            return True
        purpose = purposes.get(order.client_order_id)
        if purpose is not None:
            return purpose != "entry"
        return held is not None and _smaller(order.legs, held, {})

    return keep


def _count(leaving: dict[str, float], legs: Sequence[Leg], share: float) -> None:
    for leg in legs:
        leaving[leg.symbol] = leaving.get(leg.symbol, 0.0) + leg.quantity * share


def _smaller(legs: Sequence[Leg], held: Mapping[str, float], leaving: Mapping[str, float]) -> bool:
    for leg in legs:
        has = held.get(leg.symbol, 0.0)
        going = leaving.get(leg.symbol, 0.0)
        # an order on the same side as the position may be cancelled or fail, so it frees nothing
        against = abs(going) if going * has < 0 else 0.0
        if leg.quantity * has >= 0 or abs(leg.quantity) + against > abs(has) + _DUST:
            return False
    return True
