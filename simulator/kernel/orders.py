"""Working entries: submitted, expired, cancelled.

An order that ends here stays in its slot, not live, until `slots.compact` takes it off the list.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.logbook import log_event
from simulator.kernel.views import (
    account_of,
    add_at,
    open_at,
    order_at,
    plan_at,
    position_at,
    symbol_at,
    working_at,
)

__all__ = [
    "cancel_entries",
    "cancel_order",
    "cancel_reversal",
    "expire_day_orders",
    "expire_orders",
    "submit",
]


@kernel_jit
def submit(logs: Any, account: Any, order: Any) -> None:
    """Send a pending entry on the first bar that could fill it."""
    order["state"] = codes.ORDER_SUBMITTED
    order["session"] = account["session"]
    log_event(
        logs,
        account,
        order["id"],
        codes.NONE,
        order["sym"],
        codes.KIND_ENTRY,
        codes.ORDER_SUBMITTED,
        codes.REASON_NONE,
        order["reference"],
        order["qty"],
    )


@kernel_jit
def expire_orders(state: Any, logs: Any) -> None:
    """Expire entries that have worked for as many bars as they may."""
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        valid = plan_at(state, slot)["valid_bars"]
        late = 1 if order["entry"] == codes.ENTRY_MOC else 0  # its close is still to come
        if order["live"] == 1 and valid > 0 and order["bars_worked"] >= valid + late:
            cancel_order(state, logs, slot, codes.ORDER_EXPIRED, codes.REASON_TIF_EXPIRED)


@kernel_jit
def expire_day_orders(state: Any, logs: Any) -> None:
    """Expire DAY orders that have worked in the session that is over."""
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and order["tif"] == codes.TIF_DAY and order["session"] >= 0:
            cancel_order(state, logs, slot, codes.ORDER_EXPIRED, codes.REASON_TIF_EXPIRED)


@kernel_jit
def cancel_order(state: Any, logs: Any, slot: int, order_state: int, reason: int) -> None:
    """End a working entry."""
    order = order_at(state, slot)
    order["live"] = 0
    order["state"] = order_state
    account_of(state)["closed"] = 1
    symbol_at(state, order["sym"])["n_orders"] -= 1
    log_event(
        logs,
        account_of(state),
        order["id"],
        codes.NONE,
        order["sym"],
        codes.KIND_ENTRY,
        order_state,
        reason,
        order["reference"],
        order["qty"] - order["filled"],
    )


@kernel_jit
def cancel_entries(state: Any, logs: Any, reason: int) -> None:
    """Cancel all working entries and planned adds."""
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        if order_at(state, slot)["live"] == 1:
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, reason)
    for k in range(account_of(state)["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["next_add"] < np.inf:
            for j in range(2):
                add_at(state, slot, j)["state"] = 0
            position["next_add"] = np.inf


@kernel_jit
def cancel_reversal(state: Any, logs: Any, sym: int) -> None:
    """Cancel the entries that were to reverse a position which its stop has closed instead."""
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and order["sym"] == sym and order["reversal"] == 1:
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_STOP_EXIT_TOOK_PRECEDENCE)
