"""Slots of positions and orders: which are free, which are listed, and whose they are.

Positions and orders keep their slots while they live. The lists of slots in use stay in the order of entry; a
slot is free again once `compact` has taken it off its list, so that a loop over a list meets no stranger.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel._jit import kernel_jit
from simulator.kernel.views import (
    account_of,
    open_at,
    order_at,
    orders_room,
    position_at,
    positions_room,
    working_at,
)

__all__ = ["compact", "free_order", "free_position", "is_own"]


@kernel_jit
def free_position(state: Any) -> int:
    """Return the first slot without a position, or -1."""
    for i in range(positions_room(state)):
        if position_at(state, i)["listed"] == 0:
            return i
    return -1


@kernel_jit
def free_order(state: Any) -> int:
    """Return the first slot without an order, or -1."""
    for i in range(orders_room(state)):
        if order_at(state, i)["listed"] == 0:
            return i
    return -1


@kernel_jit
def compact(state: Any) -> None:
    """Take closed positions and finished orders off the lists of slots in use, keeping their order."""
    account = account_of(state)
    kept = 0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 1:
            open_at(state, kept)["slot"] = slot
            kept += 1
        else:
            position["listed"] = 0
    for k in range(kept, account["n_positions"]):
        open_at(state, k)["slot"] = 0
    account["n_positions"] = kept
    kept = 0
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1:
            working_at(state, kept)["slot"] = slot
            kept += 1
        else:
            order["listed"] = 0
    for k in range(kept, account["n_orders"]):
        working_at(state, k)["slot"] = 0
    account["n_orders"] = kept
    account["closed"] = 0


@kernel_jit
def is_own(record: Any, strategy: int) -> bool:
    """Whether a position or order goes with a strategy; 0, which names none, goes with all."""
    return strategy == 0 or record["strategy"] == strategy
