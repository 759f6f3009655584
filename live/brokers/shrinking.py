"""Whether an order only makes a position smaller, asked of the broker and not of the order.

`shrinks` is what the gate asks outside ACTIVE, of exits and of what protects. What rests (stop, limit) is not
counted as already leaving, since it guards the same shares that a market order closes; what works at the
market, or may, is. `excess` is asked for every exit in every state and counts more: all that works to close
the same, at a limit too, since two of them that both fill would open a position the other way. What protects
is not counted: the stop or target of a bracket, what we sent to protect, both halves of an oco by another
hand, a stop by another hand. The limit of an oco that is an exit counts, its stop does not, as one cancels
the other. Nor is an entry the other way that rests: what it opens is meant.

Unknown holdings are unknown: never flat, never enough. Whoever asks is told so and decides: the gate denies,
the sender lets an exit pass on our own record or denies it, so that it may be tried again with the same id.
What protects does not wait for this question. Orders are asked for before positions, since what fills in
between is then counted twice for a moment, and the other way round not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from live.brokers.book import Sent
from live.brokers.interface import BrokerInterface, BrokerOrder, Leg, OrderPurpose, OrderRequest

__all__ = ["Excess", "excess", "keeper", "shrinks"]

_DUST: Final = 1e-9
"""Shares below which two quantities are the same."""

_GUARDS: Final = frozenset({"stop", "stop_limit", "trailing"})


class Excess(NamedTuple):
    """Why an exit may not be sent, by code and in words; both "" where it only makes a position smaller.

    Attributes
    ----------
    error
        What the broker raised when it was asked, None where it answered.
    """

    code: str = ""
    why: str = ""
    error: Exception | None = None

    @property
    def shrinks(self) -> bool | None:
        """Whether the exit only makes a position smaller; None where that is unknown."""
        return None if self.code == "LIVE_POSITION_UNKNOWN" else not self.code


class _Closing(NamedTuple):
    """An order on its way to close: what to call it, and its signed quantity."""

    name: str
    symbol: str
    quantity: float


def shrinks(broker: BrokerInterface, request: OrderRequest, doubtful: Sequence[Sent]) -> bool | None:
    """Whether every leg is smaller than what is held on the other side; None where that is unknown."""
    try:
        working, held = _asked(broker)
    except Exception:  # adapters raise whatever their libraries raise; each of it means: unknown
        return None
    going: list[_Closing] = []
    for order in working:
        if order.kind == "market":
            going += _rest(order)
    going += _pending(working, [sent.request for sent in doubtful if sent.request.kind == "market"])
    return _smaller(request.legs, held, going)


def excess(
    broker: BrokerInterface,
    request: OrderRequest,
    purposes: Mapping[str, OrderPurpose],
    pending: Sequence[OrderRequest],
    *,
    instead_of: str = "",
) -> Excess:
    """Return why an exit would open or flip a position; asks the broker for its orders and positions, once.

    Parameters
    ----------
    purposes
        What our own orders are for, by client order id.
    pending
        What was sent, or is being sent, and may not be in the broker's list yet; taken before this call.
    instead_of
        The broker's id of a working order in whose place it comes, and which does not count beside it.

    Returns
    -------
    Excess
        LIVE_EXIT_EXCESS, or LIVE_POSITION_UNKNOWN where the broker does not answer; never raises.
    """
    try:
        working, held = _asked(broker)
    except Exception as error:  # as above
        why = (
            f"the broker did not say what is held and what works ({type(error).__name__}: {error}), and an"
            f" exit of what nobody knows of may open a position; nothing was sent, ask again when it answers"
        )
        return Excess(code="LIVE_POSITION_UNKNOWN", why=why, error=error)
    going: list[_Closing] = []
    for order in working:
        if order.order_id != instead_of and _leaves(order, working, purposes):
            going += _rest(order)
    counted = [one for one in pending if one.kind == "market" or one.purpose == "exit"]
    going += _pending(working, counted)
    for leg in request.legs:
        if why := _too_much(leg, held, going):
            return Excess(code="LIVE_EXIT_EXCESS", why=why)
    return Excess()


def keeper(broker: BrokerInterface, purposes: Mapping[str, OrderPurpose]) -> Callable[[BrokerOrder], bool]:
    """Return who says of a working order whether it only leaves a position.

    Our own orders say themselves, a bracket's children leave; a foreign one is measured by what is held, and
    counts as an entry where that is unknown.
    """
    held: dict[str, float] | None
    try:
        held = _by_symbol(broker)
    except Exception:  # as above: unknown, and then a foreign order counts as an entry
        held = None

    def keep(order: BrokerOrder) -> bool:
        if order.parent_id:
            return True
        purpose = purposes.get(order.client_order_id)
        if purpose is not None:
            return purpose != "entry"
        return held is not None and _smaller(order.legs, held, [])

    return keep


def _asked(broker: BrokerInterface) -> tuple[list[BrokerOrder], dict[str, float]]:
    working = [order for order in broker.get_orders() if order.is_open]
    return working, _by_symbol(broker)


def _by_symbol(broker: BrokerInterface) -> dict[str, float]:
    return {holding.symbol: holding.quantity for holding in broker.get_positions()}


def _leaves(order: BrokerOrder, working: Sequence[BrokerOrder], purposes: Mapping[str, OrderPurpose]) -> bool:
    """Whether a working order closes a position on its own account, and does not only guard it."""
    if order.kind == "market":
        return True
    if order.parent_id:
        return False
    purpose = purposes.get(order.client_order_id)
    if purpose is not None:
        return purpose == "exit"
    family = order.client_order_id.removesuffix("-stop").removesuffix("-target")
    if family in purposes or order.kind in _GUARDS:
        return False
    return not any(other.parent_id == order.order_id for other in working)


def _rest(order: BrokerOrder) -> list[_Closing]:
    """Return what of an order is still to come, leg by leg; all there may be where nobody says how much."""
    name = order.client_order_id or order.order_id
    if not order.quantity > 0.0:
        return [_Closing(name, leg.symbol, math.nan) for leg in order.legs]
    share = max(0.0, 1.0 - order.filled / order.quantity)
    return [_Closing(name, leg.symbol, leg.quantity * share) for leg in order.legs]


def _pending(working: Sequence[BrokerOrder], requests: Sequence[OrderRequest]) -> list[_Closing]:
    """Return what was sent and is not in the list: it may have been overlooked there, or be on its way."""
    listed = {order.client_order_id for order in working}
    return [
        _Closing(f"{one.client_order_id} (not confirmed)", leg.symbol, leg.quantity)
        for one in requests
        if one.client_order_id not in listed
        for leg in one.legs
    ]


def _against(leg: Leg, going: Sequence[_Closing]) -> list[_Closing]:
    """Return what goes the same way as a leg; an order the other way may fail, so it frees nothing."""
    return [one for one in going if one.symbol == leg.symbol and not one.quantity * leg.quantity <= 0.0]


def _smaller(legs: Sequence[Leg], held: Mapping[str, float], going: Sequence[_Closing]) -> bool:
    return not any(_too_much(leg, held, going) for leg in legs)


def _too_much(leg: Leg, held: Mapping[str, float], going: Sequence[_Closing]) -> str:
    """Return in words what speaks against a leg, "" where it only takes from what is held."""
    there = held.get(leg.symbol, 0.0)
    ahead = _against(leg, going)
    # an order by an amount of money has no quantity, and may close all of it
    leaving = math.fsum(abs(there if math.isnan(one.quantity) else one.quantity) for one in ahead)
    if leg.quantity * there < 0.0 and abs(leg.quantity) + leaving <= abs(there) + _DUST:
        return ""
    free = max(0.0, abs(there) - leaving) if leg.quantity * there < 0.0 else 0.0
    names = f" by {', '.join(one.name for one in ahead)}" if ahead else ""
    remedy = f"exit {free:g} at most" if free > _DUST else "nothing is left to exit"
    if ahead:
        remedy += ", or cancel what works first"
    return (
        f"{leg.symbol}: held {there:+g}, {leaving:g} working to close it{names}, asked {leg.quantity:+g}: it"
        f" would open or turn a position; {remedy}. What opens one is an order of purpose entry"
    )
