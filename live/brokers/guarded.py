"""What guards a position while this process does nothing: stops that work at the broker, read off its orders.

A stop counts only while it works: where a broker lets a bracket's children wait until their entry has filled
completely, the part that has filled is unprotected until then. A stop that several orders share counts once.
Options are shown as naked: a leg's price jumps with its spread, and a stop in one leg of a package opens the
others. What they can lose is bounded by their package, or by nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from live.brokers.interface import BrokerOrder
from live.brokers.partial_entries import family_of, is_stop, live_stop
from simulator.brokerage import Holding

__all__ = [
    "DUST",
    "Protection",
    "entering",
    "is_at_work",
    "leaving",
    "lonely_targets",
    "protections",
    "rest",
    "whole_first",
]

DUST: Final = 1e-9
"""Quantity that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """One position, and what guards it without this process.

    Attributes
    ----------
    quantity
        Signed.
    guarded
        Of it, not signed, behind a stop that works at the broker.
    mark
        Price now, the average price where none is known; None for neither.
    loss_at_stops
        Currency from `mark` to the stops of the guarded part, a gap beyond them not included; None where a
        price is unknown.
    open_loss
        Currency that the rest can lose: its whole value where it is long, infinite where it is short; None
        where its price is unknown.
    """

    symbol: str
    quantity: float
    guarded: float
    mark: float | None
    loss_at_stops: float | None
    open_loss: float | None

    @property
    def naked(self) -> float:
        """Quantity without a stop, not signed."""
        return max(0.0, abs(self.quantity) - self.guarded)

    @property
    def is_guarded(self) -> bool:
        """Whether all of it is behind a stop."""
        return self.naked <= DUST


def protections(positions: Sequence[Holding], orders: Sequence[BrokerOrder]) -> list[Protection]:
    """Return what each position would be left with, by symbol.

    Parameters
    ----------
    positions, orders
        As the broker has them now; unknown is neither: ask again where one question failed.
    """
    found = []
    for held in sorted(positions, key=lambda one: one.symbol):
        stops = [
            (rest(order), order.stop_price)
            for order in orders
            if _guards(order, held) and live_stop(order, orders)
        ]
        found.append(_protection(held, stops))
    return found


def is_at_work(order: BrokerOrder, working: Sequence[BrokerOrder]) -> bool:
    """Whether a stop is listed and live, so that what it guards counts as guarded."""
    return any(
        family_of(one) == order.client_order_id and is_stop(one) and live_stop(one, working)
        for one in working
    )


def entering(one: Protection, orders: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """Return what works to make a position larger."""
    return [
        order
        for order in orders
        if order.is_open
        and any(leg.symbol == one.symbol and leg.quantity * one.quantity > 0.0 for leg in order.legs)
    ]


def leaving(one: Protection, orders: Sequence[BrokerOrder]) -> float:
    """Return how much of a position other orders are closing, at the market or at a limit.

    A target that a stop stands beside closes what that stop guards, and nothing besides.
    """
    guarded = {family_of(order) for order in orders if is_stop(order) and live_stop(order, orders)}
    return math.fsum(
        rest(order)
        for order in orders
        for leg in order.legs
        if order.is_open
        and not is_stop(order)
        and (family_of(order) not in guarded or not order.client_order_id)
        and leg.symbol == one.symbol
        and leg.quantity * one.quantity < 0.0
    )


def lonely_targets(one: Protection, orders: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """Return the limits behind a position that have a family, and no stop of it that works beside them."""
    guarded = {family_of(order) for order in orders if is_stop(order) and live_stop(order, orders)}
    return [
        order
        for order in orders
        if order.is_open
        and order.kind == "limit"
        and order.client_order_id
        and family_of(order) not in guarded
        and len(order.legs) == 1
        and order.legs[0].symbol == one.symbol
        and order.legs[0].quantity * one.quantity < 0.0
    ]


def whole_first(quantity: float) -> float:
    """Return how much of it one stop takes: the whole shares, and what is less than one in another stop.

    Some brokers (Alpaca) have a stop for a fraction rest for the day only.
    """
    whole = math.floor(quantity + DUST)
    return float(whole) if whole else quantity


def rest(order: BrokerOrder) -> float:
    """Return what has not filled, not signed."""
    return max(0.0, order.quantity - order.filled)


def _guards(order: BrokerOrder, held: Holding) -> bool:
    return (
        order.is_open
        and is_stop(order)
        and len(order.legs) == 1
        and order.legs[0].symbol == held.symbol
        and order.legs[0].quantity * held.quantity < 0.0
    )


def _protection(held: Holding, stops: Sequence[tuple[float, float | None]]) -> Protection:
    mark = held.mark if held.mark is not None else held.average_price
    side = math.copysign(1.0, held.quantity)
    left = abs(held.quantity)
    guarded = 0.0
    loss: float | None = 0.0
    # the nearest stop goes first; a trailing one whose level is not told guards, at an unknown price
    order = sorted(stops, key=lambda stop: -side * (stop[1] if stop[1] is not None else -side * math.inf))
    for quantity, price in order:
        part = min(left - guarded, quantity)
        if part <= 0.0:
            continue
        guarded += part
        if price is None or mark is None or loss is None:
            loss = None
        else:
            loss += max(0.0, side * (mark - price)) * part * held.multiplier
    naked = max(0.0, left - guarded)
    open_loss: float | None = 0.0
    if naked > DUST:
        open_loss = math.inf if side < 0 else None if mark is None else mark * naked * held.multiplier
    return Protection(
        symbol=held.symbol, quantity=held.quantity, guarded=guarded, mark=mark, loss_at_stops=loss,
        open_loss=open_loss,
    )  # fmt: skip
