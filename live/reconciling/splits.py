"""Which working orders a split has left as they were, and what they have to become.

Brokers differ: some rescale prices and quantities themselves, some leave every order alone, some do a part.
An order that is taken for old and is new is scaled twice, which halves a stop or lifts it above the market,
so each is judged by what is known of it, best first: what was asked for when it was sent; whether it could
rest at its price beside the mark; and last whether that price is nearer to the mark of before or to that of
now. What may be old after a reverse split, and nothing says so, is left alone: its stop is low, not wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from live.brokers.interface import BrokerOrder
from live.reconciling.fill_ledger import DUST
from simulator.brokerage import Holding

__all__ = ["Asked", "Split", "rescaled"]

_SAME: Final = 1e-6
"""How far two prices or quantities may be apart, as a share, and be the same."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for when an order was sent; the quantity is that of its parent for a child."""

    quantity: float
    limit_price: float | None
    stop_price: float | None


@dataclass(frozen=True, slots=True)
class Split:
    """A split: `ratio` shares became of one, `here` of the books `there` at the broker, both signed."""

    symbol: str
    ratio: float
    here: float
    there: float
    holding: Holding | None

    @property
    def mark(self) -> float | None:
        """What a share is worth now, or has cost; None where nobody says."""
        known = () if self.holding is None else (self.holding.mark, self.holding.average_price)
        return next((price for price in known if price is not None and price > 0), None)


def rescaled(
    split: Split, orders: Sequence[BrokerOrder], asked: Callable[[BrokerOrder], Asked | None]
) -> list[dict[str, Any]]:
    """Return what working orders have to become after a split: values that can be set more than once.

    Each has the order's id, its `quantity`, the prices that change, and `before`: quantity, limit and stop as
    they are. An order that has them no longer was brought in line by somebody else meanwhile.
    """
    todo = []
    for order in orders:
        if not order.is_open or [leg.symbol for leg in order.legs] != [split.symbol]:
            continue
        wanted = asked(order)
        prices: dict[str, float] = {}
        if _is_old(order, split, wanted):
            known = (("limit_price", order.limit_price), ("stop_price", order.stop_price))
            prices = {name: price / split.ratio for name, price in known if price is not None}
            quantity = _quantity(order, split, wanted)
        elif _is_too_large(order, split):
            quantity = _quantity(order, split, wanted)
        else:
            continue
        if prices or quantity != order.quantity:
            before = [order.quantity, order.limit_price, order.stop_price]
            todo.append({"order": order.order_id, "quantity": quantity, **prices, "before": before})
    return todo


def _quantity(order: BrokerOrder, split: Split, wanted: Asked | None) -> float:
    """Return the quantity of an order that has its old price: it may be new already."""
    if wanted is not None and _same(order.quantity, wanted.quantity * split.ratio):
        return order.quantity
    scaled = order.quantity * split.ratio
    if split.ratio < 1 and _leaves(order, split) and abs(split.there) % 1.0 == 0.0:
        # fractions of shares were paid in cash
        return float(math.floor(scaled + DUST))
    leaving = (order.quantity - order.filled) * split.ratio
    if _leaves(order, split) and split.ratio > 1 and leaving > abs(split.there) + DUST:
        return order.quantity  # it would leave more than there is
    return scaled


def _is_old(order: BrokerOrder, split: Split, wanted: Asked | None) -> bool:
    """Whether an order is as it was before the split."""
    if wanted is not None:
        for price, before in (
            (order.stop_price, wanted.stop_price),
            (order.limit_price, wanted.limit_price),
        ):
            if price is not None and before is not None:
                if _same(price, before):
                    return True
                if _same(price, before / split.ratio):
                    return False
    # the limit of a stop-limit order rests nowhere before its stop is reached
    price, stops = (order.limit_price, False) if order.stop_price is None else (order.stop_price, True)
    if price is None:
        return wanted is not None and _same(order.quantity, wanted.quantity)
    if _leaves(order, split) and split.ratio > 1 and _rest(order) > abs(split.here) + DUST:
        return False  # more than there was
    mark = split.mark
    if mark is None:
        return split.ratio > 1
    below = stops == (order.legs[0].quantity < 0)  # stops that sell and limits that buy rest below the mark
    now, then = (below == (rests < mark) for rests in (price, price / split.ratio))
    return then if now != then else _was_nearer(price, split.ratio, mark)


def _is_too_large(order: BrokerOrder, split: Split) -> bool:
    """Whether an order leaves more than a reverse split has left."""
    return split.ratio < 1 and _leaves(order, split) and _rest(order) > abs(split.there) + DUST


def _was_nearer(price: float, ratio: float, mark: float) -> bool:
    """Whether a price is nearer to what the mark was than to what it is."""
    if price <= 0:
        return False
    now, then = price / mark, price / (mark * ratio)
    return max(then, 1 / then) < max(now, 1 / now)


def _leaves(order: BrokerOrder, split: Split) -> bool:
    return order.legs[0].quantity * split.there < 0


def _rest(order: BrokerOrder) -> float:
    return order.quantity - order.filled


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME)
