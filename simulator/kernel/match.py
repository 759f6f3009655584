"""Matching: which orders a bar fills, at which price, in which order.

A bar is matched in three parts. At the open: market exits, stops and targets that gapped, then entries.
Inside the bar: stops, targets, adds and resting entries, by the conventions. At the close: market-on-close.
All levels are mirrored (price times side), so that the code reads as it does for a long; `open_`, `high`,
`low` and `close` of a position's bar are mirrored by `mirror`. Triggers are written as positive comparisons,
so that an absent level (infinite) never fires.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.money import buying_power, log_event, slipped, unit_cost
from simulator.kernel.positions import (
    TRAIL_NONE,
    grow,
    initial_levels,
    leave,
    next_levels,
    open_position,
    set_stop_now,
    trail_from,
)
from simulator.kernel.views import (
    account_of,
    add_at,
    bar_at,
    clock_at,
    instrument_at,
    order_at,
    part_at,
    plan_at,
    position_at,
    spread_at,
    spread_room,
    symbol_at,
    target_at,
    working_at,
)

__all__ = ["bar_state", "cancel_order", "enter_at_open", "enter_inside", "exit_at_open", "exit_inside"]

BAR_OK = 0
BAR_MISSING = 1
BAR_BAD = 2


@kernel_jit.inlined
def bar_state(bar: Any) -> int:
    """Whether a row of open, high, low, close, volume can be traded on; comparisons fail on NaN."""
    high = bar["high"]
    low = bar["low"]
    if (
        low > 0.0
        and low <= bar["open"]
        and low <= bar["close"]
        and bar["open"] <= high
        and bar["close"] <= high
        and high < np.inf
    ):
        return BAR_OK
    if bar["close"] != bar["close"] and bar["open"] != bar["open"] and high != high and low != low:
        return BAR_MISSING
    return BAR_BAD


@kernel_jit
def tradable(market: Any, t: int, d: int, sym: int) -> bool:
    """Whether part d of bar t has a price; a part trades only where its bar does."""
    return bar_state(bar_at(market, t, sym)) == BAR_OK and bar_state(part_at(market, d, sym)) == BAR_OK


@kernel_jit
def _spread(market: Any, t: int, sym: int) -> float:
    if spread_room(market) > 0:
        return spread_at(market, t, sym)["value"]
    return instrument_at(market, sym)["spread"]


@kernel_jit
def _allowed(state: Any, market: Any, params: Any, t: int, sym: int, qty: float) -> float:
    # Quantity that the volume cap leaves for this symbol in this bar.
    if params["volume_cap"] <= 0.0:
        return qty
    symbol = symbol_at(state, sym)
    row = account_of(state)["row"] + 1
    if symbol["used_row"] != row:
        symbol["used_row"] = row
        symbol["used_volume"] = 0.0
    volume = bar_at(market, t, sym)["volume"]
    left = 0.0
    if volume > 0.0:
        cap = params["volume_cap"] * volume
        left = cap - symbol["used_volume"]
        if left < 1e-9 * cap:  # what rounding leaves is no volume
            left = 0.0
    lot = instrument_at(market, sym)["lot"]
    if left < qty:
        if params["risk_on"] == 1 and lot > 0.0:
            left = np.floor(left / lot + 1e-9) * lot
        return max(left, 0.0)
    return qty


@kernel_jit
def _use_volume(state: Any, params: Any, sym: int, qty: float) -> None:
    if params["volume_cap"] > 0.0:
        symbol_at(state, sym)["used_volume"] += qty


@kernel_jit
def exit_fill(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    t: int,
    qty: float,
    raw: float,
    kind: int,
    reason: int,
    rule: int,
    slips: int,
) -> float:
    """Fill an exit at the mirrored price `raw` as far as the volume allows; returns the quantity filled.

    What a stop or market exit cannot fill becomes a market exit at the next open.
    """
    position = position_at(state, slot)
    sym = position["sym"]
    side = float(position["side"])
    wanted = min(qty, position["qty"])
    filled = _allowed(state, market, params, t, sym, wanted)
    if filled < wanted and kind != codes.KIND_TARGET:
        position["pending"] = reason
        position["pending_kind"] = kind
    if filled <= 0.0:
        return 0.0
    _use_volume(state, params, sym, filled)
    price = raw * side
    base = price
    if slips == 1:
        bar = bar_at(market, t, sym)
        price = slipped(
            params,
            instrument_at(market, sym),
            price,
            -side,
            _spread(market, t, sym),
            bar["high"] - bar["low"],
        )
    leave(
        state,
        logs,
        market,
        params,
        slot,
        filled,
        price,
        kind,
        reason,
        rule,
        codes.SOURCE_SIMULATED,
        (base - price) * side,
    )
    return filled


@kernel_jit
def _stop_slips(params: Any) -> int:
    return params["slip_stops"]


@kernel_jit
def _stop_kind(position: Any, level: float) -> int:
    if position["trail_on"] == 1 and level == position["trail_level"] and level != position["stop"]:
        return codes.KIND_TRAIL
    if position["stop_reason"] == codes.EXIT_TRAIL:
        return codes.KIND_TRAIL
    return codes.KIND_STOP


@kernel_jit
def _stop_out(
    state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, raw: float, level: float, rule: int
) -> None:
    position = position_at(state, slot)
    kind = _stop_kind(position, level)
    reason = codes.EXIT_TRAIL if kind == codes.KIND_TRAIL else position["stop_reason"]
    exit_fill(
        state, logs, market, params, slot, t, position["qty"], raw, kind, reason, rule, _stop_slips(params)
    )


@kernel_jit
def _add_fill(
    state: Any, logs: Any, market: Any, params: Any, slot: int, k: int, t: int, raw: float, available: float
) -> float:
    # Scale in; returns the buying power spent.
    position = position_at(state, slot)
    add = add_at(state, slot, k)
    sym = position["sym"]
    side = float(position["side"])
    instrument = instrument_at(market, sym)
    bar = bar_at(market, t, sym)
    price = slipped(params, instrument, raw * side, side, _spread(market, t, sym), bar["high"] - bar["low"])
    qty = _affordable(params, instrument, add["qty"], price, available)
    qty = _allowed(state, market, params, t, sym, qty)
    add["state"] = 0
    if qty <= 0.0:
        log_event(
            logs,
            account_of(state),
            position["order"],
            position["id"],
            sym,
            codes.KIND_ADD,
            codes.ORDER_CANCELLED,
            codes.REASON_FILL_BUYING_POWER,
            price,
            add["qty"],
        )
        next_levels(state, position, slot)
        return 0.0
    _use_volume(state, params, sym, qty)
    grow(
        state,
        logs,
        market,
        params,
        slot,
        qty,
        price,
        codes.KIND_ADD,
        codes.PRICE_STOP if raw == add["price"] else codes.PRICE_OPEN_GAP,
        abs(price - raw * side),
    )
    return qty * unit_cost(params, instrument, price)


@kernel_jit
def _affordable(params: Any, instrument: Any, qty: float, price: float, available: float) -> float:
    # Largest quantity up to `qty` that the buying power covers, fees included.
    fixed = max(params["per_order"], params["commission_min"])
    unit = unit_cost(params, instrument, price)
    if qty * unit + fixed <= available:
        return qty
    most = (available - params["per_order"]) / unit
    if params["commission_min"] > 0.0:
        most = min(most, (available - fixed) / unit)
    if most >= qty:
        return qty
    lot = instrument["lot"]
    if params["risk_on"] == 1 and lot > 0.0:
        most = np.floor(most / lot) * lot
    return max(most, 0.0)


@kernel_jit
def _take_targets_and_adds(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    t: int,
    reach: float,
    open_: float,
    low: float,
    gapped: int,
    available: float,
) -> float:
    # Fill, nearest first, every target and add that a rise to `reach` passes. At the open (`gapped`) they
    # fill at the open. Returns the buying power spent on adds.
    position = position_at(state, slot)
    spent = 0.0
    for _ in range(6):
        if position["live"] == 0 or position["pending"] != 0:
            break
        if reach >= position["next_add"] and position["next_add"] <= position["next_target"]:
            for k in range(2):
                add = add_at(state, slot, k)
                if add["state"] == 1 and add["price"] == position["next_add"]:
                    raw = max(add["price"], open_)
                    spent += _add_fill(state, logs, market, params, slot, k, t, raw, available - spent)
                    break
        elif reach >= position["next_target"]:
            for k in range(4):
                target = target_at(state, slot, k)
                if (
                    target["reason"] != 0
                    and target["qty"] > 0.0
                    and target["price"] == position["next_target"]
                ):
                    break
            raw = target["price"]
            rule = codes.PRICE_LIMIT
            if open_ >= raw:
                # a gap: at the open, or at the limit as far as the bar reaches it
                if params["limit_gap"] == codes.LIMIT_GAP_OPEN or low > raw:
                    rule = codes.PRICE_OPEN_GAP if gapped == 1 else codes.PRICE_OPEN
                    raw = open_ if params["limit_gap"] == codes.LIMIT_GAP_OPEN else low
            want = min(target["qty"], position["qty"])
            filled = exit_fill(
                state,
                logs,
                market,
                params,
                slot,
                t,
                want,
                raw,
                codes.KIND_TARGET,
                target["reason"],
                rule,
                codes.NO,
            )
            if position["live"] == 0:
                break
            if filled >= want:
                target["qty"] = 0.0
            else:
                if target["qty"] < np.inf:
                    target["qty"] -= filled
                next_levels(state, position, slot)
                break
            next_levels(state, position, slot)
        else:
            break
    return spent


@kernel_jit
def would_exit(position: Any, low: float, high: float) -> bool:
    """Whether the bar reaches the stop in force or the nearest target."""
    return low <= position["stop_now"] or high >= position["next_target"]


@kernel_jit
def exit_at_open(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, d: int) -> float:
    """Phase 2a for one open position, on part d of bar t; returns what a gapped add spent."""
    position = position_at(state, slot)
    if position["live"] == 0 or not tradable(market, t, d, position["sym"]):
        return 0.0
    if position["package"] == 1:
        return 0.0  # its prices are not the bar's
    if (
        params["entry_bar"] == codes.ENTRY_BAR_NOT_ALLOWED
        and position["entry_row"] == account_of(state)["row"]
    ):
        return 0.0
    bar = part_at(market, d, position["sym"])
    if position["side"] > 0:
        open_, high, low = bar["open"], bar["high"], bar["low"]
    else:
        open_, high, low = -bar["open"], -bar["low"], -bar["high"]
    if (
        position["forced_phase"] == codes.ENTRY_FIXED_OPEN
        and position["forced_ts"] == clock_at(market, t)["ts"]
    ):
        _forced(state, logs, market, params, slot)
        return 0.0
    if position["pending"] != 0:
        if (
            position["pending"] == codes.EXIT_SIGNAL
            and params["exit_bar"] == codes.EXIT_BAR_IGNORED
            and would_exit(position, low, high)
        ):
            # the engine that this convention copies looks at the whole bar before it hears the signal
            position["pending"] = 0
            position["pending_kind"] = 0
            _cancel_reversal(state, logs, position["sym"])
        else:
            reason = position["pending"]
            kind = position["pending_kind"]
            position["pending"] = 0
            exit_fill(
                state,
                logs,
                market,
                params,
                slot,
                t,
                position["qty"],
                open_,
                kind,
                reason,
                codes.PRICE_OPEN,
                codes.YES,
            )
            return 0.0
    if open_ <= position["stop_now"]:
        raw = open_
        rule = codes.PRICE_OPEN_GAP
        if params["stop_gap"] == codes.STOP_GAP_STOP_PRICE and high >= position["stop_now"]:
            raw = position["stop_now"]
            rule = codes.PRICE_STOP
        _stop_out(state, logs, market, params, slot, t, raw, position["stop_now"], rule)
        return 0.0
    if open_ >= position["next_target"] or open_ >= position["next_add"]:
        if params["target_gap"] == codes.TARGET_GAP_TARGET or not low <= position["stop_now"]:
            available = buying_power(params, account_of(state))
            return _take_targets_and_adds(
                state, logs, market, params, slot, t, open_, open_, low, codes.YES, available
            )
    return 0.0


@kernel_jit
def _forced(state: Any, logs: Any, market: Any, params: Any, slot: int) -> None:
    position = position_at(state, slot)
    leave(
        state,
        logs,
        market,
        params,
        slot,
        position["qty"],
        position["forced_price"],
        codes.KIND_EXIT,
        position["forced_reason"],
        codes.PRICE_GIVEN,
        codes.SOURCE_SIMULATED,
        0.0,
    )


@kernel_jit
def forced_at_close(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int) -> None:
    """Leave at the price and time that the plan holds fixed, where that is this bar's close."""
    position = position_at(state, slot)
    if (
        position["forced_phase"] == codes.ENTRY_FIXED_CLOSE
        and position["forced_ts"] == clock_at(market, t)["ts"]
    ):
        _forced(state, logs, market, params, slot)


@kernel_jit
def _cancel_reversal(state: Any, logs: Any, sym: int) -> None:
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and order["sym"] == sym and order["reversal"] == 1:
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_STOP_EXIT_TOOK_PRECEDENCE)


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
def _raised(position: Any, params: Any, extreme: float) -> float:
    # Stop that would be in force once the price has been at `extreme`.
    peak = max(position["peak"], extreme)
    if position["trail_mode"] == TRAIL_NONE or not peak >= position["trail_activate"]:
        return position["stop_now"]
    level = trail_from(position, peak)
    if position["trail_on"] == 1:
        level = max(level, position["trail_level"])
    if params["stop_and_trail"] == codes.BOTH_TRAIL_REPLACES:
        return level
    return max(level, position["stop"])


@kernel_jit.inlined
def _adopt(position: Any, params: Any, extreme: float) -> None:
    # Raise the trail as if the price had been at `extreme`; without branches on the price.
    if position["trail_mode"] == TRAIL_NONE:
        return
    peak = max(position["peak"], extreme)
    position["peak"] = peak
    if position["trail_on"] == 0:
        if not peak >= position["trail_activate"]:
            return
        position["trail_on"] = 1
    position["trail_level"] = max(trail_from(position, peak), position["trail_level"])
    set_stop_now(position, params["stop_and_trail"])


@kernel_jit.inlined
def raise_trail(position: Any, params: Any, extreme: float) -> None:
    """Raise the trailing stop with a mirrored extreme."""
    _adopt(position, params, extreme)


@kernel_jit
def exit_inside(
    state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, d: int, available: float
) -> float:
    """Phase 2b for a position that was open at the open of part d; returns what adds spent."""
    position = position_at(state, slot)
    if position["live"] == 0 or position["pending"] != 0:
        return 0.0
    if (
        params["entry_bar"] == codes.ENTRY_BAR_NOT_ALLOWED
        and position["entry_row"] == account_of(state)["row"]
    ):
        return 0.0
    if not tradable(market, t, d, position["sym"]):
        return 0.0
    bar = part_at(market, d, position["sym"])
    # The path goes to the nearer extreme first; a tie goes to the low.
    up_first = bar["high"] - bar["open"] < bar["open"] - bar["low"]
    if position["side"] > 0:
        open_, high, low, close = bar["open"], bar["high"], bar["low"], bar["close"]
    else:
        open_, high, low, close = -bar["open"], -bar["low"], -bar["high"], -bar["close"]
        up_first = not up_first
    rule = params["trail_rule"]
    trails = position["trail_mode"] != TRAIL_NONE and (
        rule == codes.TRAIL_RAISE_FIRST or rule == codes.TRAIL_PATH
    )
    rises = high >= position["next_target"] or high >= position["next_add"]
    if not trails and not low <= position["stop_now"] and not rises:
        return 0.0

    level = position["stop_now"]
    hit = False
    after_rise = False  # the stop is reached after the high, not before
    extreme = position["peak"]
    if rule == codes.TRAIL_PATH and trails:
        if up_first:
            extreme = high
            level = _raised(position, params, high)
            hit = low <= level
            after_rise = True
        else:
            extreme = open_
            level = _raised(position, params, open_)
            hit = low <= level
            if not hit:
                extreme = high
                level = _raised(position, params, high)
                hit = close <= level
                after_rise = True
    elif low <= level:
        hit = True
        after_rise = params["collision"] == codes.COLLISION_PATH and up_first
    elif trails:
        extreme = high
        level = _raised(position, params, high)
        hit = low <= level
        after_rise = True

    stop_first = params["collision"] == codes.COLLISION_STOP_FIRST or (
        params["collision"] == codes.COLLISION_PATH and not after_rise
    )
    if params["target_gap"] == codes.TARGET_GAP_STOP and open_ >= position["next_target"]:
        stop_first = True
    spent = 0.0
    if not hit or not stop_first:
        spent = _take_targets_and_adds(
            state, logs, market, params, slot, t, high, open_, low, codes.NO, available
        )
    if hit and position["live"] == 1 and position["pending"] == 0:
        raw = level
        if rule == codes.TRAIL_RAISE_FIRST and level > position["stop_now"]:
            if position["entry_row"] == account_of(state)["row"]:
                # raised and hit on the bar of the entry: assume the rise was a tick, and the fall came first
                raw = max(low, position["stop_now"])
        if position["entry_row"] == account_of(state)["row"]:
            # a stop nearer to the fill than the slippage was already passed when the entry filled
            raw = min(raw, open_)
        _adopt_level(position, params, extreme, level)
        _stop_out(state, logs, market, params, slot, t, raw, level, codes.PRICE_STOP)
    return spent


@kernel_jit
def _adopt_level(position: Any, params: Any, extreme: float, level: float) -> None:
    # Make the trail that stopped the trade out the one on record, so that the reason is right.
    if level != position["stop_now"]:
        _adopt(position, params, extreme)


@kernel_jit
def exit_after_entry(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    t: int,
    by_limit: bool,
    met: float,
    low: float,
    close: float,
    up_first: bool,
) -> None:
    """Stop side of the bar in which a resting entry filled.

    A limit entry is filled on the way down, so a low beyond the stop came after it. A stop entry is filled on
    the way up, and the low may have come before: the collision convention decides, and a close beyond the
    stop settles it.
    """
    position = position_at(state, slot)
    level = position["stop_now"]
    if not low <= level:
        return
    if not by_limit and not close <= level:
        if params["collision"] == codes.COLLISION_TARGET_FIRST:
            return
        if params["collision"] == codes.COLLISION_PATH and not up_first:
            return
    _stop_out(state, logs, market, params, slot, t, min(level, met), level, codes.PRICE_STOP)


@kernel_jit
def enter(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    order_slot: int,
    t: int,
    raw: float,
    phase: int,
    rule: int,
    slips: int,
    available: float,
) -> float:
    """Fill a working entry at the mirrored price `raw`; returns the buying power spent.

    The stop is checked against the fill, and the buying power once more. What neither volume nor cash allows
    stays working or is cancelled; both are order events, the verdict stays.
    """
    account = account_of(state)
    order = order_at(state, order_slot)
    plan = plan_at(state, order_slot)
    sym = order["sym"]
    side = float(order["side"])
    instrument = instrument_at(market, sym)
    fixed = order["entry"] >= codes.ENTRY_FIXED_OPEN
    price = raw * side
    if slips == 1 and not fixed:
        bar = bar_at(market, t, sym)
        price = slipped(params, instrument, price, side, _spread(market, t, sym), bar["high"] - bar["low"])
    stop, distance, mode = initial_levels(plan, price, side)
    if order["position"] == 0:
        if price * side <= stop:
            cancel_order(state, logs, order_slot, codes.ORDER_CANCELLED, codes.REASON_GAPPED_STOP)
            return 0.0
    wanted = order["qty"] - order["filled"]
    if not fixed and not _allowed(state, market, params, t, sym, wanted) > 0.0:
        return 0.0
    qty = wanted
    if not fixed:
        if wanted == np.inf:
            unit = unit_cost(params, instrument, price)
            qty = (available - max(params["per_order"], params["commission_min"])) / unit
        else:
            qty = _affordable(params, instrument, wanted, price, available)
        if not qty > 0.0:
            cancel_order(state, logs, order_slot, codes.ORDER_CANCELLED, codes.REASON_FILL_BUYING_POWER)
            return 0.0
        if qty < wanted:
            if wanted < np.inf:
                log_event(
                    logs,
                    account,
                    order["id"],
                    codes.NONE,
                    sym,
                    codes.KIND_ENTRY,
                    order["state"],
                    codes.REASON_FILL_BUYING_POWER,
                    price,
                    qty,
                )
            order["qty"] = order["filled"] + qty
        allowed = _allowed(state, market, params, t, sym, qty)
        if allowed <= 0.0:
            return 0.0
        qty = allowed
        _use_volume(state, params, sym, qty)
    slippage = abs(price - raw * side)
    done = order["filled"] + qty >= order["qty"]
    order["filled"] += qty
    order["state"] = codes.ORDER_FILLED if done else codes.ORDER_PARTIALLY_FILLED
    if order["position"] == 0:
        slot = open_position(
            state,
            logs,
            market,
            params,
            order,
            order_slot,
            t,
            qty,
            price,
            phase,
            rule,
            slippage,
            stop,
            distance,
            mode,
        )
        order["position"] = slot + 1
    else:
        slot = order["position"] - 1
        grow(state, logs, market, params, slot, qty, price, codes.KIND_ENTRY, rule, slippage)
    log_event(
        logs,
        account,
        order["id"],
        position_at(state, slot)["id"],
        sym,
        codes.KIND_ENTRY,
        order["state"],
        codes.REASON_NONE if done else codes.REASON_VOLUME_CAP,
        price,
        qty,
    )
    if done:
        order["live"] = 0
        account["closed"] = 1
        symbol_at(state, sym)["n_orders"] -= 1
    if order["oco"] != 0:
        for k in range(account["n_orders"]):
            other_slot = working_at(state, k)["slot"]
            other = order_at(state, other_slot)
            if other_slot != order_slot and other["live"] == 1 and other["oco"] == order["oco"]:
                cancel_order(state, logs, other_slot, codes.ORDER_CANCELLED, codes.REASON_OCO)
    return qty * unit_cost(params, instrument, price)


@kernel_jit
def enter_at_open(
    state: Any, logs: Any, market: Any, params: Any, order_slot: int, t: int, d: int, phase: int
) -> float:
    """Phase 2a for one working entry, on part d of bar t; returns the buying power spent."""
    order = order_at(state, order_slot)
    if order["live"] == 0 or not tradable(market, t, d, order["sym"]):
        return 0.0
    available = buying_power(params, account_of(state))
    bar = part_at(market, d, order["sym"])
    if order["side"] > 0:
        open_, high, low = bar["open"], bar["high"], bar["low"]
    else:
        open_, high, low = -bar["open"], -bar["low"], -bar["high"]
    kind = order["entry"]
    if kind == codes.ENTRY_OPEN or kind == codes.ENTRY_CLOSE:
        return enter(
            state, logs, market, params, order_slot, t, open_, phase, codes.PRICE_OPEN, codes.YES, available
        )
    if kind == codes.ENTRY_FIXED_OPEN:
        return enter(
            state,
            logs,
            market,
            params,
            order_slot,
            t,
            order["trigger"],
            phase,
            codes.PRICE_GIVEN,
            codes.NO,
            available,
        )
    if kind == codes.ENTRY_LIMIT or (kind == codes.ENTRY_STOP_LIMIT and order["triggered"] == 1):
        if open_ <= order["limit"]:
            raw = open_ if params["limit_gap"] == codes.LIMIT_GAP_OPEN else min(order["limit"], high)
            return enter(
                state,
                logs,
                market,
                params,
                order_slot,
                t,
                raw,
                phase,
                codes.PRICE_OPEN_GAP,
                codes.NO,
                available,
            )
    elif kind == codes.ENTRY_STOP:
        if open_ >= order["trigger"]:
            raw = open_
            if params["stop_gap"] == codes.STOP_GAP_STOP_PRICE and low <= order["trigger"]:
                raw = order["trigger"]
            return enter(
                state,
                logs,
                market,
                params,
                order_slot,
                t,
                raw,
                phase,
                codes.PRICE_OPEN_GAP,
                _stop_slips(params),
                available,
            )
    elif kind == codes.ENTRY_STOP_LIMIT and open_ >= order["trigger"]:
        order["triggered"] = 1
        log_event(
            logs,
            account_of(state),
            order["id"],
            codes.NONE,
            order["sym"],
            codes.KIND_ENTRY,
            codes.ORDER_SUBMITTED,
            codes.REASON_TRIGGERED,
            abs(order["trigger"]),
            order["qty"],
        )
        if open_ <= order["limit"]:
            return enter(
                state,
                logs,
                market,
                params,
                order_slot,
                t,
                open_,
                phase,
                codes.PRICE_OPEN_GAP,
                codes.NO,
                available,
            )
    return 0.0


@kernel_jit
def enter_inside(
    state: Any, logs: Any, market: Any, params: Any, order_slot: int, t: int, d: int, available: float
) -> float:
    """Phase 2b for one working entry, its own stop included; returns the buying power spent."""
    order = order_at(state, order_slot)
    if order["live"] == 0 or not tradable(market, t, d, order["sym"]):
        return 0.0
    bar = part_at(market, d, order["sym"])
    up_first = bar["high"] - bar["open"] < bar["open"] - bar["low"]
    if order["side"] > 0:
        high, low, close = bar["high"], bar["low"], bar["close"]
    else:
        high, low, close = -bar["low"], -bar["high"], -bar["close"]
        up_first = not up_first
    kind = order["entry"]
    spent = 0.0
    by_limit = False
    if kind == codes.ENTRY_LIMIT or (kind == codes.ENTRY_STOP_LIMIT and order["triggered"] == 1):
        if low <= order["limit"]:
            by_limit = True
            spent = enter(
                state,
                logs,
                market,
                params,
                order_slot,
                t,
                order["limit"],
                codes.INSIDE,
                codes.PRICE_LIMIT,
                codes.NO,
                available,
            )
    elif kind == codes.ENTRY_STOP:
        if high >= order["trigger"]:
            spent = enter(
                state,
                logs,
                market,
                params,
                order_slot,
                t,
                order["trigger"],
                codes.INSIDE,
                codes.PRICE_STOP,
                _stop_slips(params),
                available,
            )
    elif kind == codes.ENTRY_STOP_LIMIT:
        if high >= order["trigger"]:
            order["triggered"] = 1
            log_event(
                logs,
                account_of(state),
                order["id"],
                codes.NONE,
                order["sym"],
                codes.KIND_ENTRY,
                codes.ORDER_SUBMITTED,
                codes.REASON_TRIGGERED,
                abs(order["trigger"]),
                order["qty"],
            )
            if order["trigger"] <= order["limit"]:
                spent = enter(
                    state,
                    logs,
                    market,
                    params,
                    order_slot,
                    t,
                    order["trigger"],
                    codes.INSIDE,
                    codes.PRICE_STOP,
                    codes.NO,
                    available,
                )
    elif kind == codes.ENTRY_FIXED_BAR:
        spent = enter(
            state,
            logs,
            market,
            params,
            order_slot,
            t,
            order["trigger"],
            codes.INSIDE,
            codes.PRICE_GIVEN,
            codes.NO,
            available,
        )
        by_limit = order["limit"] == order["limit"]
    if spent > 0.0 and params["entry_bar"] == codes.ENTRY_BAR_ALLOWED:
        met = order["limit"] if by_limit else order["trigger"]
        exit_after_entry(
            state, logs, market, params, order["position"] - 1, t, by_limit, met, low, close, up_first
        )
    return spent
