"""The life of a position: opened, grown, marked, reduced, closed.

`open_position`, `grow` and `leave` are the only functions that change a position's quantity or the cash.
Levels (stop, trail, targets, adds) are kept mirrored, that is multiplied by the side, so that every rule
below reads as it does for a long: a stop lies below, a target above.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.money import commission, log_event, log_fill, package_fee
from simulator.kernel.views import (
    account_of,
    add_at,
    clear_record,
    counts_of,
    has_options,
    instrument_at,
    metrics_of,
    open_at,
    order_at,
    orders_room,
    plan_at,
    position_at,
    positions_room,
    symbol_at,
    target_at,
    trade_at,
    trades_room,
    working_at,
)

__all__ = [
    "compact",
    "free_order",
    "free_position",
    "grow",
    "leave",
    "open_position",
    "set_stop_now",
    "trail_from",
]

# A remainder below this share of the entered quantity is rounding, not a position.
DUST = 1e-9

TRAIL_NONE = 0
TRAIL_PERCENT = 1
TRAIL_DISTANCE = 2


@kernel_jit
def shorter_days(params: Any, days: int) -> int:
    """Return the shorter of a signal's own limit in days and the account's; 0 is none."""
    if params["max_days"] > 0 and (days == 0 or params["max_days"] < days):
        return params["max_days"]
    return days


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


@kernel_jit.inlined
def trail_from(position: Any, peak: float) -> float:
    """Mirrored trail level below a mirrored peak."""
    if position["trail_mode"] == TRAIL_PERCENT:
        return peak - abs(peak) * position["trail_distance"]
    return peak - position["trail_distance"]


@kernel_jit.inlined
def set_stop_now(position: Any, stop_and_trail: int) -> None:
    """Work out which of the fixed stop and the trail is in force."""
    stop = position["stop"]
    if position["trail_on"] == 1:
        level = position["trail_level"]
        position["stop_now"] = level if stop_and_trail == codes.BOTH_TRAIL_REPLACES else max(level, stop)
    else:
        position["stop_now"] = stop


@kernel_jit
def _pick(price: float, percent: float, multiple: float, entry: float, side: float, unit: float) -> float:
    # A level as a price, else percent of the fill, else a multiple of `unit`; mirrored; NaN where absent.
    if price == price:
        return price * side
    if percent == percent:
        return entry + abs(entry) * percent / 100.0
    if multiple == multiple:
        return entry + multiple * unit
    return np.nan


@kernel_jit
def initial_levels(plan: Any, price: float, side: float) -> tuple[float, float, int]:
    """Mirrored initial stop (-inf: none), trail distance, and trail mode for an entry at `price`."""
    entry = price * side
    stop = _pick(plan["stop"], -plan["stop_percent"], -plan["stop_atr"], entry, side, plan["atr"])
    mode = TRAIL_NONE
    distance = 0.0
    if plan["trail_percent"] == plan["trail_percent"]:
        mode = TRAIL_PERCENT
        distance = plan["trail_percent"] / 100.0
    elif plan["trail_amount"] == plan["trail_amount"]:
        mode = TRAIL_DISTANCE
        distance = plan["trail_amount"]
    elif plan["trail_atr"] * plan["atr"] > 0.0:
        mode = TRAIL_DISTANCE
        distance = plan["trail_atr"] * plan["atr"]
    if not stop == stop:
        if mode == TRAIL_PERCENT:
            stop = entry - abs(entry) * distance
        elif mode == TRAIL_DISTANCE:
            stop = entry - distance
        else:
            stop = -np.inf
    return stop, distance, mode


@kernel_jit
def target_level(plan: Any, k: int, entry: float, side: float, unit: float) -> float:
    """Mirrored price of target k (0 to 2, 3 is the scale-out), NaN where absent."""
    if k == 0:
        return _pick(plan["target"], plan["target_percent"], plan["target_r"], entry, side, unit)
    if k == 1:
        return _pick(plan["target2"], plan["target2_percent"], plan["target2_r"], entry, side, unit)
    if k == 2:
        return _pick(plan["target3"], plan["target3_percent"], plan["target3_r"], entry, side, unit)
    return entry + plan["scale_out_r"] * unit


@kernel_jit
def target_share(plan: Any, k: int) -> float:
    """Fraction of the position that target k takes as given, NaN where not given."""
    if k == 0:
        return plan["target_fraction"]
    if k == 1:
        return plan["target2_fraction"]
    if k == 2:
        return plan["target3_fraction"]
    share = plan["scale_out_fraction"]
    if share == share:
        return share
    return 0.5


@kernel_jit
def _set_targets(state: Any, params: Any, position: Any, slot: int, plan: Any) -> None:
    side = float(position["side"])
    entry = position["entry"]
    position["next_target"] = np.inf
    if plan["extras"] & codes.EXTRA_TARGETS == 0:
        # one target for all of it, or none: no need to sort and share
        for k in range(1, 4):
            target_at(state, slot, k)["reason"] = 0
        only = target_at(state, slot, 0)
        only["price"] = target_level(plan, 0, entry, side, position["r_unit"])
        only["reason"] = codes.EXIT_TARGET if only["price"] == only["price"] else 0
        only["fraction"] = np.inf
        only["qty"] = np.inf
        if only["reason"] != 0:
            position["next_target"] = only["price"]
        return
    given = 0.0
    missing = 0
    last = -1
    for k in range(4):
        target = target_at(state, slot, k)
        target["price"] = np.inf
        target["qty"] = 0.0
        target["fraction"] = 0.0
        target["reason"] = 0
        level = target_level(plan, k, entry, side, position["r_unit"])
        if level == level:
            share = target_share(plan, k)
            if share == share:
                given += share
            else:
                missing += 1
            target["price"] = level
            target["fraction"] = share
            target["reason"] = codes.EXIT_SCALE_OUT if k == 3 else codes.EXIT_TARGET + k
            if k < 3:
                last = k
    total = 0.0
    for k in range(4):
        target = target_at(state, slot, k)
        if target["reason"] != 0:
            if not target["fraction"] == target["fraction"]:
                target["fraction"] = max(0.0, (1.0 - given) / missing)
            total += target["fraction"]
    # insertion sort by price: the nearest target first
    for i in range(1, 4):
        k = i
        while k > 0 and target_at(state, slot, k)["price"] < target_at(state, slot, k - 1)["price"]:
            _swap(target_at(state, slot, k), target_at(state, slot, k - 1))
            k -= 1
    if last >= 0 and total > 1.0 - 1e-9:
        # fractions that add up to one leave nothing over: the farthest target takes the rest
        for k in range(3, -1, -1):
            if target_at(state, slot, k)["reason"] != 0:
                target_at(state, slot, k)["fraction"] = np.inf
                break


@kernel_jit
def _swap(a: Any, b: Any) -> None:
    reason = a["reason"]
    price = a["price"]
    fraction = a["fraction"]
    a["reason"] = b["reason"]
    a["price"] = b["price"]
    a["fraction"] = b["fraction"]
    b["reason"] = reason
    b["price"] = price
    b["fraction"] = fraction


@kernel_jit
def _whole(params: Any, qty: float, lot: float) -> float:
    # The risk manager trades whole lots; without it quantities are taken as given.
    if params["risk_on"] == 1 and lot > 0.0:
        return np.floor(qty / lot + 1e-9) * lot
    return qty


@kernel_jit
def _size_targets(state: Any, params: Any, position: Any, slot: int, lot: float) -> None:
    if position["extras"] & codes.EXTRA_TARGETS == 0:
        return
    position["next_target"] = np.inf
    for k in range(4):
        target = target_at(state, slot, k)
        if target["reason"] != 0:
            if target["fraction"] == np.inf:
                target["qty"] = np.inf
            else:
                target["qty"] = _whole(params, target["fraction"] * position["entry_qty"], lot)
            if target["qty"] > 0.0 and target["price"] < position["next_target"]:
                position["next_target"] = target["price"]


@kernel_jit
def next_levels(state: Any, position: Any, slot: int) -> None:
    """Refresh the nearest open target and add."""
    position["next_target"] = np.inf
    for k in range(4):
        target = target_at(state, slot, k)
        if target["reason"] != 0 and target["qty"] > 0.0 and target["price"] < position["next_target"]:
            position["next_target"] = target["price"]
    position["next_add"] = np.inf
    for k in range(2):
        add = add_at(state, slot, k)
        if add["state"] == 1 and add["price"] < position["next_add"]:
            position["next_add"] = add["price"]


@kernel_jit
def _set_adds(state: Any, position: Any, slot: int, plan: Any) -> None:
    for k in range(2):
        add = add_at(state, slot, k)
        at = plan["add_r"] if k == 0 else plan["add2_r"]
        share = plan["add_fraction"] if k == 0 else plan["add2_fraction"]
        add["state"] = 0
        add["price"] = np.inf
        add["qty"] = 0.0
        add["fraction"] = 0.0
        if at * position["r_unit"] > 0.0:
            add["state"] = 1
            add["price"] = position["entry"] + at * position["r_unit"]
            add["fraction"] = share if share == share else 1.0


@kernel_jit
def open_position(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    order: Any,
    order_slot: int,
    t: int,
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
    slot = free_position(state)
    position = position_at(state, slot)
    side = float(order["side"])
    entry = price * side

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
    position["exit_close"] = plan["exit_close"]
    position["max_bars"] = plan["max_bars"]
    position["max_days"] = shorter_days(params, plan["max_days"])
    position["forced_ts"] = plan["forced_ts"]
    position["forced_phase"] = plan["forced_phase"]
    position["forced_reason"] = plan["forced_reason"]
    position["forced_price"] = plan["forced_price"]
    position["group"] = plan["group"]
    position["tradable"] = 1
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
    position["trail_mode"] = mode
    position["trail_distance"] = distance
    position["trail_level"] = -np.inf
    position["trail_activate"] = -np.inf
    if mode != TRAIL_NONE:
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
    set_stop_now(position, params["stop_and_trail"])
    position["breakeven_at"] = np.inf
    if plan["breakeven_r"] == plan["breakeven_r"] and position["r_unit"] == position["r_unit"]:
        position["breakeven_at"] = entry + plan["breakeven_r"] * position["r_unit"]

    position["multiplier"] = instrument["multiplier"]
    position["first_qty"] = qty

    _set_targets(state, params, position, slot, plan)
    position["next_add"] = np.inf
    if plan["extras"] & codes.EXTRA_ADDS != 0:
        _set_adds(state, position, slot, plan)

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
                add["qty"] = _whole(params, add["fraction"] * position["first_qty"], instrument["lot"])
                if add["state"] == 1 and add["qty"] <= 0.0:
                    add["state"] = 0
    if position["extras"] != 0:
        _size_targets(state, params, position, slot, instrument["lot"])
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
        fee = package_fee(state, params, slot, qty, account["session"])
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


@kernel_jit
def count_trade(metrics: Any, position: Any, pnl: float) -> None:
    """Add a finished (or, at the end of the data, a marked) trade to the statistics."""
    metrics["trades"] += 1
    metrics["sum_pnl"] += pnl
    if pnl > 0.0:
        metrics["wins"] += 1
        metrics["gross_profit"] += pnl
        metrics["streak"] = metrics["streak"] + 1 if metrics["streak"] > 0 else 1
        if metrics["streak"] > metrics["longest_win"]:
            metrics["longest_win"] = metrics["streak"]
    elif pnl < 0.0:
        metrics["losses"] += 1
        metrics["gross_loss"] -= pnl
        metrics["streak"] = metrics["streak"] - 1 if metrics["streak"] < 0 else -1
        if -metrics["streak"] > metrics["longest_loss"]:
            metrics["longest_loss"] = -metrics["streak"]
    else:
        metrics["streak"] = 0
    if position["initial_risk"] > 0.0:
        r = pnl / position["initial_risk"]
        metrics["n_r"] += 1
        metrics["sum_r"] += r
        metrics["sum_r_square"] += r * r
    scale = abs(position["entry"])
    metrics["sum_mae"] += (position["worst"] - position["entry"]) / scale
    metrics["sum_mfe"] += (position["best"] - position["entry"]) / scale
    metrics["sum_bars_held"] += float(position["bars_held"])


@kernel_jit
def write_trade(
    logs: Any, account: Any, position: Any, reason: int, price: float, pnl: float, row: int
) -> None:
    """Append a trade."""
    n = counts_of(logs)["trades"]
    if n >= trades_room(logs):
        return
    trade = trade_at(logs, n)
    trade["id"] = position["id"]
    trade["sym"] = position["sym"]
    trade["side"] = position["side"]
    trade["entry_row"] = position["entry_row"]
    trade["entry_ts"] = position["entry_ts"]
    trade["exit_row"] = row
    trade["exit_ts"] = account["ts"]
    trade["exit_reason"] = reason
    trade["bars_held"] = position["bars_held"]
    trade["tag"] = position["tag"]
    trade["strategy"] = position["strategy"]
    trade["signal"] = position["signal"]
    trade["sector"] = position["sector"]
    trade["entry_phase"] = position["entry_phase"]
    trade["qty"] = position["entry_qty"]
    trade["entry_price"] = position["entry_price"]
    trade["exit_price"] = price
    trade["fees"] = position["fees"]
    trade["pnl"] = pnl
    trade["r_multiple"] = pnl / position["initial_risk"] if position["initial_risk"] > 0.0 else np.nan
    scale = abs(position["entry"])
    trade["mae"] = (position["worst"] - position["entry"]) / scale
    trade["mfe"] = (position["best"] - position["entry"]) / scale
    trade["initial_risk"] = position["initial_risk"]
    trade["stop"] = position["stop_initial"] * float(position["side"])
    trade["dividends"] = position["dividends"]
    counts_of(logs)["trades"] = n + 1


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
