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
from typing import Any

import numpy as np

from simulator.kernel.state import LOG_NAMES
from simulator.order_manager import OrderManager
from simulator.orders import Order, OrderEvent, TrailingStop
from simulator.types import FillKind, OrderState, Reason

__all__ = ["KeptOrders"]


class KeptOrders(OrderManager):
    """An order manager whose brackets can be written down and taken back."""

    def plain(self, entry: str) -> dict[str, Any]:
        """Return an entry order and what belongs to it as values that JSON can hold."""
        mine = [order for key, order in self._orders.items() if key.split("-")[0] == entry]
        trail = self._trails.get(entry)
        return {
            "orders": [_plain_order(order) for order in mine],
            "trail": None if trail is None else asdict(trail),
        }

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
