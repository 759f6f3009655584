"""The life of a position: opened, grown, reduced, closed.

`open_position`, `grow` and `leave` are the functions that change a position's quantity and the cash, for
simulated, manual and broker fills alike; packages of options leave by `leave` too. Prices here are real
prices; the levels that they lead to are mirrored (see `levels`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.levels import next_levels, set_adds, set_targets, size_targets, whole_lots
from simulator.kernel.logbook import log_event, log_fill, write_trade
from simulator.kernel.metrics import count_trade
from simulator.kernel.money import commission, package_fee
from simulator.kernel.slots import free_position
from simulator.kernel.stops import TRAIL_NONE, set_stop_now, trail_from
from simulator.kernel.views import (
    account_of,
    add_at,
    clear_record,
    has_options,
    instrument_at,
    metrics_of,
    open_at,
    order_at,
    plan_at,
    position_at,
    symbol_at,
    working_at,
)

__all__ = ["grow", "leave", "new_position", "open_position", "shorter_days"]

# A remainder below this share of the entered quantity is rounding, not a position.
DUST = 1e-9


@kernel_jit
def open_position(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    order: Any,
    order_slot: int,
    qty: float,
    price: float,
    phase: int,
    rule: int,
    slippage: float,
    stop: float,
    distance: float,
    mode: int,
) -> int:
    """Open a position with an entry fill at a real `price`; returns its slot.

    The caller has made sure of a free slot, of the cash, and that the fill lies on the right side of the
    stop.
    """
    account = account_of(state)
    plan = plan_at(state, order_slot)
    instrument = instrument_at(market, order["sym"])
    slot = new_position(state, order, phase)
    position = position_at(state, slot)
    side = float(order["side"])
    entry = price * side

    position["exit_close"] = plan["exit_close"]
    position["max_bars"] = plan["max_bars"]
    position["max_days"] = shorter_days(params, plan["max_days"])
    position["forced_ts"] = plan["forced_ts"]
    position["forced_phase"] = plan["forced_phase"]
    position["forced_reason"] = plan["forced_reason"]
    position["forced_price"] = plan["forced_price"]
    position["group"] = plan["group"]
    position["extras"] = plan["extras"]

    position["entry"] = entry
    position["peak"] = entry
    position["worst"] = entry
    position["best"] = entry
    position["mark"] = price
    position["stop"] = stop
    position["stop_initial"] = stop
    position["stop_reason"] = codes.EXIT_STOP
    position["r_unit"] = entry - stop if stop > -np.inf else np.nan
    _set_trail(position, plan, mode, distance)
    set_stop_now(position, params["stop_and_trail"])
    position["breakeven_at"] = np.inf
    if plan["breakeven_r"] == plan["breakeven_r"] and position["r_unit"] == position["r_unit"]:
        position["breakeven_at"] = entry + plan["breakeven_r"] * position["r_unit"]

    position["multiplier"] = instrument["multiplier"]
    position["first_qty"] = qty

    set_targets(state, position, slot, plan)
    position["next_add"] = np.inf
    if plan["extras"] & codes.EXTRA_ADDS != 0:
        set_adds(state, position, slot, plan)

    open_at(state, account["n_positions"])["slot"] = slot
    account["n_positions"] += 1
    symbol_at(state, order["sym"])["n_positions"] += 1
    log_event(
        logs,
        account,
        order["id"],
        position["id"],
        order["sym"],
        codes.KIND_STOP,
        codes.ORDER_SUBMITTED,
        codes.REASON_NONE,
        abs(position["stop_now"]),
        qty,
    )
    grow(state, logs, market, params, slot, qty, price, codes.KIND_ENTRY, rule, slippage)
    return slot


@kernel_jit
def new_position(state: Any, order: Any, phase: int) -> int:
    """Begin the record of a position that an order's fill in `phase` opens; returns its slot."""
    account = account_of(state)
    slot = free_position(state)
    position = position_at(state, slot)
    clear_record(position)
    position["id"] = account["next_position"]
    account["next_position"] += 1
    position["sym"] = order["sym"]
    position["side"] = order["side"]
    position["live"] = 1
    position["listed"] = 1
    position["order"] = order["id"]
    position["signal"] = order["signal"]
    position["strategy"] = order["strategy"]
    position["tag"] = order["tag"]
    position["sector"] = order["sector"]
    position["entry_row"] = account["row"]
    position["entry_ts"] = account["ts"]
    position["entry_day"] = account["session"]
    position["entry_phase"] = phase
    position["tradable"] = 1
    return slot


@kernel_jit
def _set_trail(position: Any, plan: Any, mode: int, distance: float) -> None:
    entry = position["entry"]
    position["trail_mode"] = mode
    position["trail_distance"] = distance
    position["trail_level"] = -np.inf
    position["trail_activate"] = -np.inf
    if mode == TRAIL_NONE:
        return
    if plan["trail_activate_r"] == plan["trail_activate_r"]:
        position["trail_activate"] = entry + plan["trail_activate_r"] * position["r_unit"]
    elif not (
        plan["stop"] == plan["stop"]
        or plan["stop_percent"] == plan["stop_percent"]
        or plan["stop_atr"] == plan["stop_atr"]
    ):
        position["stop_reason"] = codes.EXIT_TRAIL
    if position["trail_activate"] <= entry:
        position["trail_on"] = 1
        position["trail_level"] = trail_from(position, entry)


@kernel_jit
def shorter_days(params: Any, days: int) -> int:
    """Return the shorter of a signal's own limit in days and the account's; 0 is none."""
    if params["max_days"] > 0 and (days == 0 or params["max_days"] < days):
        return params["max_days"]
    return days


@kernel_jit
def grow(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    qty: float,
    price: float,
    kind: int,
    rule: int,
    slippage: float,
) -> None:
    """Add an entry or scale-in fill to a position."""
    account = account_of(state)
    position = position_at(state, slot)
    instrument = instrument_at(market, position["sym"])
    side = float(position["side"])
    multiplier = position["multiplier"]
    fee = commission(params, instrument, side, qty, price)
    notional = qty * price * multiplier
    account["cash"] -= side * notional + fee
    account["fees"] += fee
    metrics_of(state)["turnover"] += notional
    total = position["qty"] + qty
    if position["entry_qty"] == 0.0:
        position["entry_price"] = price
    else:
        position["entry_price"] = (position["entry_price"] * position["entry_qty"] + price * qty) / (
            position["entry_qty"] + qty
        )
    # what is held is valued at the mark, so the new units are too
    held = total * position["mark"] * multiplier - position["qty"] * position["mark"] * multiplier
    if side > 0.0:
        account["long_value"] += held
    else:
        account["short_value"] += held
    position["qty"] = total
    position["entry_qty"] += qty
    position["fees"] += fee
    if kind == codes.KIND_ENTRY:
        position["first_qty"] = position["entry_qty"]
        if position["r_unit"] == position["r_unit"]:
            position["initial_risk"] = position["r_unit"] * position["entry_qty"] * multiplier
        if position["extras"] & codes.EXTRA_ADDS != 0:
            for k in range(2):
                add = add_at(state, slot, k)
                add["qty"] = whole_lots(params, add["fraction"] * position["first_qty"], instrument["lot"])
                if add["state"] == 1 and add["qty"] <= 0.0:
                    add["state"] = 0
    if position["extras"] != 0:
        size_targets(state, params, position, slot, instrument["lot"])
        next_levels(state, position, slot)
    log_fill(
        logs,
        account,
        position,
        kind,
        codes.EXIT_NONE,
        rule,
        codes.SOURCE_SIMULATED,
        side,
        qty,
        price,
        fee,
        slippage,
    )


@kernel_jit
def leave(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    qty: float,
    price: float,
    kind: int,
    reason: int,
    rule: int,
    source: int,
    slippage: float,
) -> None:
    """Apply an exit fill at a real `price`; the last one closes the trade."""
    account = account_of(state)
    position = position_at(state, slot)
    instrument = instrument_at(market, position["sym"])
    side = float(position["side"])
    multiplier = position["multiplier"]
    if reason == codes.EXIT_ASSIGNMENT and rule == codes.PRICE_GIVEN:
        fee = 0.0  # shares delivered against a sold option
    elif has_options(state) and position["package"] == 1:
        # in an expiry session that still goes on, legs that end with it are traded like the others
        ended = account["session"] - 1 if position["forced_price"] > 0.0 else account["session"]
        fee = package_fee(state, params, slot, qty, ended)
    else:
        fee = commission(params, instrument, -side, qty, price)
    notional = qty * price * multiplier
    account["cash"] += side * notional - fee
    account["fees"] += fee
    metrics_of(state)["turnover"] += abs(notional)
    position["realized"] += (price - position["entry_price"]) * side * qty * multiplier
    position["fees"] += fee
    position["exit_qty"] += qty
    position["exit_value"] += qty * price
    rest = position["qty"] - qty
    if rest <= DUST * position["entry_qty"]:
        rest = 0.0
    released = (position["qty"] - rest) * position["mark"] * multiplier
    if side > 0.0:
        account["long_value"] -= released
    else:
        account["short_value"] -= released
    position["qty"] = rest
    mirrored = price * side
    if mirrored < position["worst"]:
        position["worst"] = mirrored
    if mirrored > position["best"]:
        position["best"] = mirrored
    if kind == codes.KIND_STOP or kind == codes.KIND_TRAIL or kind == codes.KIND_TARGET:
        symbol_at(state, position["sym"])["exit_row"] = account["row"] + 1
    log_fill(logs, account, position, kind, reason, rule, source, -side, qty, price, fee, slippage)
    _cancel_rest_of_entry(state, logs, position)
    if position["next_add"] < np.inf:
        for k in range(2):
            add_at(state, slot, k)["state"] = 0
        position["next_add"] = np.inf
    if rest == 0.0:
        _close_trade(state, logs, params, position, reason)


@kernel_jit
def _cancel_rest_of_entry(state: Any, logs: Any, position: Any) -> None:
    account = account_of(state)
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if order["live"] == 1 and order["id"] == position["order"]:
            order["live"] = 0
            account["closed"] = 1
            order["state"] = codes.ORDER_CANCELLED
            symbol_at(state, order["sym"])["n_orders"] -= 1
            log_event(
                logs,
                account,
                order["id"],
                position["id"],
                order["sym"],
                codes.KIND_ENTRY,
                codes.ORDER_CANCELLED,
                codes.REASON_SIBLING_FILLED,
                abs(order["trigger"]),
                order["qty"] - order["filled"],
            )


@kernel_jit
def _close_trade(state: Any, logs: Any, params: Any, position: Any, reason: int) -> None:
    account = account_of(state)
    position["live"] = 0
    account["closed"] = 1
    account["n_packages"] -= position["package"]
    symbol_at(state, position["sym"])["n_positions"] -= 1
    pnl = position["realized"] - position["fees"] + position["dividends"]
    account["realized"] += pnl
    if pnl < 0.0:
        account["loss_streak"] += 1
        if params["cooldown_losses"] > 0 and account["loss_streak"] >= params["cooldown_losses"]:
            account["loss_streak"] = 0
            account["cooldown_until"] = account["row"] + params["cooldown_bars"]
    elif pnl > 0.0:
        account["loss_streak"] = 0
    count_trade(metrics_of(state), position, pnl)
    write_trade(
        logs, account, position, reason, position["exit_value"] / position["exit_qty"], pnl, account["row"]
    )
