"""What a symbol holds already when a signal comes: signals that close, and sides that meet.

Shares and packages of options do not stand in each other's way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.logbook import log_verdict
from simulator.kernel.orders import cancel_order
from simulator.kernel.slots import is_own
from simulator.kernel.views import account_of, open_at, order_at, position_at, working_at

__all__ = ["close_signal", "conflict"]


@kernel_jit
def close_signal(state: Any, logs: Any, signal: Any) -> int:
    """Close what a signal of side 0 names: what is held in the symbol and what works there."""
    account = account_of(state)
    found = 0.0
    sym = signal["sym"]
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["live"] == 1 and position["sym"] == sym and is_own(position, signal["strategy"]):
            found += position["qty"]
            _ask_to_close(position, signal["entry"] == codes.ENTRY_CLOSE)
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and order["sym"] == sym and is_own(order, signal["strategy"]):
            found += order["qty"] - order["filled"]
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_CLOSE_ACCEPTED)
    reason = codes.REASON_CLOSE_ACCEPTED if found > 0.0 else codes.REASON_NOTHING_TO_CLOSE
    return log_verdict(
        logs, account, signal, reason, reason, np.nan, np.nan, found, found, codes.NO, codes.NONE, np.nan
    )


@kernel_jit
def conflict(state: Any, logs: Any, params: Any, signal: Any) -> int:
    """Decide by what the same symbol already holds or works.

    Returns a reason, or REASON_NONE to go on, REASON_REVERSED to go on after the other side has been asked to
    close.
    """
    account = account_of(state)
    sym = signal["sym"]
    side = signal["side"]
    package = 1 if signal["package"] > 0 else 0  # shares and packages do not stand in each other's way
    same = False
    opposite = False
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["live"] == 1 and position["sym"] == sym and position["package"] == package:
            if position["side"] == side:
                same = True
            else:
                opposite = True
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if (
            order["live"] == 1
            and order["sym"] == sym
            and order["package"] == package
            and (order["oco"] == 0 or order["oco"] != signal["oco"])
        ):
            if order["side"] == side:
                same = True
            else:
                opposite = True
    if opposite:
        if params["opposite_side"] == codes.OPPOSITE_IGNORE:
            return codes.REASON_OPPOSITE_SIDE_OPEN
        at_close = signal["entry"] == codes.ENTRY_CLOSE
        for k in range(account["n_positions"]):
            position = position_at(state, open_at(state, k)["slot"])
            if (
                position["live"] == 1
                and position["sym"] == sym
                and position["side"] != side
                and position["package"] == package
            ):
                _ask_to_close(position, at_close)
        for k in range(account["n_orders"]):
            slot = working_at(state, k)["slot"]
            order = order_at(state, slot)
            if (
                order["live"] == 1
                and order["sym"] == sym
                and order["side"] != side
                and order["package"] == package
            ):
                cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_REVERSED)
        if params["opposite_side"] == codes.OPPOSITE_CLOSE:
            return codes.REASON_CLOSE_ACCEPTED
        if not same:
            return codes.REASON_REVERSED
    if same and params["same_side"] == codes.SAME_SIDE_IGNORE:
        return codes.REASON_SAME_SIDE_OPEN
    return codes.REASON_NONE


@kernel_jit
def _ask_to_close(position: Any, at_close: bool) -> None:
    # Mark a position for a market exit by signal, at this close or at the next open.
    if at_close:
        position["pending_close"] = codes.EXIT_SIGNAL
    elif position["pending"] == 0:
        position["pending"] = codes.EXIT_SIGNAL
        position["pending_kind"] = codes.KIND_EXIT
