"""The orders of an automation, which outlive its process.

What is open can be read from the account's state at any time; what an order was before it ended cannot. So a
bracket is written down whenever something happened to it, beside the recommendation that it carries out, and
a restart takes it back. Levels that move with the price are read from the state again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np

from simulator.kernel.state import LOG_NAMES
from simulator.order_manager import OrderManager
from simulator.order_reader import HasState
from simulator.orders import Order, OrderEvent, TrailingStop
from simulator.types import FillKind, OrderState, Reason

__all__ = ["KeptOrders"]


class KeptOrders(OrderManager):
    """An order manager whose brackets can be written down and taken back."""

    def __init__(self, account: HasState) -> None:
        super().__init__(account)
        self._families: dict[str, list[str]] = {}  # ids of orders by that of their entry
        self._counted = 0  # orders that are in it

    def plain(self, entry: str) -> dict[str, Any]:
        """Return an entry order and what belongs to it as values that JSON can hold."""
        mine = [self._orders[key] for key in self._family(entry)]
        trail = self._trails.get(entry)
        return {
            "orders": [_plain_order(order) for order in mine],
            "trail": None if trail is None else asdict(trail),
        }

    def held(self, symbol: str) -> str:
        """Return the entry order of the position that is open in a symbol, of which there is one."""
        entries = [order for order in self.get_orders(symbol) if order.kind == FillKind.ENTRY]
        # the newest first, because all the others have ended
        return next(
            entry.order_id
            for entry in reversed(entries)
            if not entry.is_open and self.get_bracket(entry.order_id).is_open
        )

    def take_back(self, plain: Mapping[str, Any]) -> None:
        """Take a bracket that was written down."""
        for given in plain["orders"]:
            order = _order(given)
            self._orders[order.order_id] = order
        if plain["trail"] is not None:
            self._trails[plain["orders"][0]["order_id"]] = TrailingStop(**plain["trail"])

    def read_levels(self) -> None:
        """Read what is open from the state, as after a step that logged nothing."""
        self.update(dict.fromkeys(LOG_NAMES, np.zeros(0, np.void)))

    def forget(self) -> None:
        """Begin anew, as before anything was taken back."""
        self._orders.clear()
        self._of_position.clear()
        self._trails.clear()
        self._families.clear()
        self._counted = 0

    def _family(self, entry: str) -> list[str]:
        """Return the ids of an entry order and of what belongs to it, oldest first."""
        # ids are added at the end and never taken away, so only those that came since are looked at
        new = list(islice(reversed(self._orders), len(self._orders) - self._counted))
        for key in reversed(new):
            self._families.setdefault(key.split("-")[0], []).append(key)
        self._counted = len(self._orders)
        return self._families.get(entry, [])


def _plain_order(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "symbol": order.symbol,
        "side": order.side,
        "kind": int(order.kind),
        "order_type": order.order_type,
        "quantity": order.quantity,
        "price": _known(order.price),
        "state": int(order.state),
        "filled_quantity": order.filled_quantity,
        "average_price": _known(order.average_price),
        "fees": order.fees,
        "reason": int(order.reason),
        "history": [
            [
                event.time.isoformat(),
                int(event.state),
                int(event.reason),
                _known(event.price),
                _known(event.quantity),
            ]
            for event in order.history
        ],
    }


def _order(plain: Mapping[str, Any]) -> Order:
    history = tuple(
        OrderEvent(
            datetime.fromisoformat(when), OrderState(state), Reason(reason), _number(price), _number(quantity)
        )
        for when, state, reason, price, quantity in plain["history"]
    )
    return Order(
        **{
            **plain,
            "kind": FillKind(plain["kind"]),
            "state": OrderState(plain["state"]),
            "reason": Reason(plain["reason"]),
            "price": _number(plain["price"]),
            "average_price": _number(plain["average_price"]),
            "history": history,
        }
    )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
