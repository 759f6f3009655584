"""The close of a bar, phase 2c: market-on-close exits, then entries at the close.

Packages of options trade here alone, on the quotes of the close.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import BAR_OK, bar_state
from simulator.kernel.collateral import count_collateral
from simulator.kernel.entries import enter
from simulator.kernel.exit_fills import exit_fill
from simulator.kernel.exits import forced_at_close
from simulator.kernel.money import buying_power
from simulator.kernel.orders import cancel_order, submit
from simulator.kernel.package_opening import open_package
from simulator.kernel.packages import close_package
from simulator.kernel.quotes import package_quote
from simulator.kernel.views import account_of, bar_at, has_options, open_at, order_at, position_at, working_at

__all__ = ["at_close"]


@kernel_jit
def at_close(state: Any, logs: Any, market: Any, params: Any, t: int) -> bool:
    """Phase 2c; returns whether anything has changed that asks for a new mark."""
    account = account_of(state)
    changed = account["closed"] == 1
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 1 and position["tradable"] == 1:
            if position["forced_ts"] != 0 or position["pending_close"] != 0:
                changed = _leave(state, logs, market, params, slot, t) or changed
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and _wants_close(order, account):
            changed = _enter(state, logs, market, params, slot, t) or changed
    return changed


@kernel_jit
def _leave(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int) -> bool:
    position = position_at(state, slot)
    if has_options(state) and position["package"] == 1:
        _, worth, spread, _, _ = package_quote(state, market, t, position["sym"], slot, codes.NO)
        close_package(state, logs, market, params, slot, worth, spread, position["pending_close"])
        count_collateral(state)
        return True
    changed = False
    bar = bar_at(market, t, position["sym"])
    if position["forced_ts"] != 0:
        forced_at_close(state, logs, market, params, slot, t)
        changed = True
    if position["live"] == 1 and position["pending_close"] != 0:
        reason = position["pending_close"]
        position["pending_close"] = 0
        changed = True
        exit_fill(
            state,
            logs,
            market,
            params,
            slot,
            t,
            position["qty"],
            bar["close"] if position["side"] > 0 else -bar["close"],
            codes.KIND_EXIT,
            reason,
            codes.PRICE_CLOSE,
            codes.YES,
        )
    return changed


@kernel_jit
def _wants_close(order: Any, account: Any) -> bool:
    # Market-on-close waits for the close of the next bar, the others are for this one.
    kind = order["entry"]
    if order["born_row"] == account["row"]:
        return kind == codes.ENTRY_CLOSE or kind == codes.ENTRY_FIXED_CLOSE
    return kind == codes.ENTRY_MOC


@kernel_jit
def _enter(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int) -> bool:
    account = account_of(state)
    order = order_at(state, slot)
    bar = bar_at(market, t, order["sym"])
    if bar_state(bar) != BAR_OK:
        return False
    if order["state"] == codes.ORDER_PENDING:
        submit(logs, account, order)
    available = buying_power(params, account)
    if has_options(state) and order["package"] == 1:
        open_package(state, logs, market, params, slot, t, available)
        if order["live"] == 1:
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_FILL_BUYING_POWER)
        return True
    raw = bar["close"] if order["side"] > 0 else -bar["close"]
    rule = codes.PRICE_CLOSE
    if order["entry"] == codes.ENTRY_FIXED_CLOSE:
        raw = order["trigger"]
        rule = codes.PRICE_GIVEN
    enter(state, logs, market, params, slot, t, raw, codes.AT_CLOSE, rule, codes.YES, available)
    if order["position"] > 0:
        # what it cost above the close is a loss already
        position_at(state, order["position"] - 1)["mark"] = bar["close"]
    return True
