"""Fills on the way out of a position, and the adds that stand between its targets.

Prices come in mirrored (price times side); slippage, volume and fees are counted here, and `positions.leave`
books the fill. What a stop or market exit cannot fill becomes a market exit at the next open.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.levels import next_levels
from simulator.kernel.liquidity import affordable, allowed_volume, spread_of, use_volume
from simulator.kernel.logbook import log_event
from simulator.kernel.money import slipped, unit_cost
from simulator.kernel.positions import grow, leave
from simulator.kernel.views import account_of, add_at, bar_at, instrument_at, position_at, target_at

__all__ = ["exit_fill", "leave_as_given", "stop_out", "take_targets_and_adds"]


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
    filled = allowed_volume(state, market, params, t, sym, wanted)
    if filled < wanted and kind != codes.KIND_TARGET:
        position["pending"] = reason
        position["pending_kind"] = kind
    if filled <= 0.0:
        return 0.0
    use_volume(state, params, sym, filled)
    price = raw * side
    base = price
    if slips == 1:
        bar = bar_at(market, t, sym)
        price = slipped(
            params,
            instrument_at(market, sym),
            price,
            -side,
            spread_of(market, t, sym),
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
def stop_out(
    state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, raw: float, level: float, rule: int
) -> None:
    """Fill a stop or trail at the mirrored price `raw`; `level` is the one that was hit."""
    position = position_at(state, slot)
    kind = _stop_kind(position, level)
    reason = codes.EXIT_TRAIL if kind == codes.KIND_TRAIL else position["stop_reason"]
    exit_fill(
        state, logs, market, params, slot, t, position["qty"], raw, kind, reason, rule, params["slip_stops"]
    )


@kernel_jit
def _stop_kind(position: Any, level: float) -> int:
    if position["trail_on"] == 1 and level == position["trail_level"] and level != position["stop"]:
        return codes.KIND_TRAIL
    if position["stop_reason"] == codes.EXIT_TRAIL:
        return codes.KIND_TRAIL
    return codes.KIND_STOP


@kernel_jit
def leave_as_given(state: Any, logs: Any, market: Any, params: Any, slot: int) -> None:
    """Leave at the price that the plan holds fixed."""
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
def take_targets_and_adds(
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
    """Fill, nearest first, every target and add that a rise to `reach` passes.

    At the open (`gapped`) they fill at the open. Returns the buying power spent on adds.
    """
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
            if not _target_fill(state, logs, market, params, slot, t, open_, low, gapped):
                break
        else:
            break
    return spent


@kernel_jit
def _target_fill(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    t: int,
    open_: float,
    low: float,
    gapped: int,
) -> bool:
    # Fill the nearest target; returns whether it is done and the position goes on.
    position = position_at(state, slot)
    for k in range(4):
        target = target_at(state, slot, k)
        if target["reason"] != 0 and target["qty"] > 0.0 and target["price"] == position["next_target"]:
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
        state, logs, market, params, slot, t, want, raw, codes.KIND_TARGET, target["reason"], rule, codes.NO
    )
    if position["live"] == 0:
        return False
    done = filled >= want
    if done:
        target["qty"] = 0.0
    elif target["qty"] < np.inf:
        target["qty"] -= filled
    next_levels(state, position, slot)
    return done


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
    price = slipped(params, instrument, raw * side, side, spread_of(market, t, sym), bar["high"] - bar["low"])
    qty = affordable(params, instrument, add["qty"], price, available)
    qty = allowed_volume(state, market, params, t, sym, qty)
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
    use_volume(state, params, sym, qty)
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
