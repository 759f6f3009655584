"""Entries of a bar: which working orders it fills, at which price.

Market entries and those that gapped fill at the open, resting ones inside the bar; their own stop may follow
on the same bar. Prices are mirrored (price times side). `enter` alone fills an order: it checks the stop
against the fill, and the buying power once more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import tradable
from simulator.kernel.exits import exit_after_entry
from simulator.kernel.levels import initial_levels
from simulator.kernel.liquidity import affordable, allowed_volume, spread_of, use_volume
from simulator.kernel.logbook import log_event
from simulator.kernel.matching import meets_inside, meets_open
from simulator.kernel.money import buying_power, slipped, unit_cost
from simulator.kernel.orders import cancel_order
from simulator.kernel.positions import grow, open_position
from simulator.kernel.views import (
    account_of,
    bar_at,
    instrument_at,
    order_at,
    part_at,
    plan_at,
    position_at,
    symbol_at,
    working_at,
)

__all__ = ["enter", "enter_at_open", "enter_inside"]


@kernel_jit
def enter_at_open(
    state: Any, logs: Any, market: Any, params: Any, order_slot: int, t: int, d: int, phase: int
) -> float:
    """Phase 2a for one working entry, on part d of bar t; returns the buying power spent."""
    order = order_at(state, order_slot)
    if order["live"] == 0 or not tradable(market, t, d, order["sym"]):
        return 0.0
    bar = part_at(market, d, order["sym"])
    if order["side"] > 0:
        open_, high, low = bar["open"], bar["high"], bar["low"]
    else:
        open_, high, low = -bar["open"], -bar["low"], -bar["high"]
    fills, reached, raw, rule, slips = meets_open(
        params, order["entry"], order["triggered"], order["trigger"], order["limit"], open_, high, low
    )
    if reached:
        _note_trigger(logs, account_of(state), order)
    if not fills:
        return 0.0
    available = buying_power(params, account_of(state))
    return enter(state, logs, market, params, order_slot, t, raw, phase, rule, slips, available)


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
    fills, reached, by_limit, raw, rule, slips = meets_inside(
        params, order["entry"], order["triggered"], order["trigger"], order["limit"], high, low
    )
    if reached:
        _note_trigger(logs, account_of(state), order)
    if not fills:
        return 0.0
    spent = enter(state, logs, market, params, order_slot, t, raw, codes.INSIDE, rule, slips, available)
    if spent > 0.0 and params["entry_bar"] == codes.ENTRY_BAR_ALLOWED:
        met = order["limit"] if by_limit else order["trigger"]
        exit_after_entry(
            state, logs, market, params, order["position"] - 1, t, by_limit, met, low, close, up_first
        )
    return spent


@kernel_jit
def _note_trigger(logs: Any, account: Any, order: Any) -> None:
    # A stop-limit entry whose stop has been reached works as a limit from then on.
    order["triggered"] = 1
    log_event(
        logs,
        account,
        order["id"],
        codes.NONE,
        order["sym"],
        codes.KIND_ENTRY,
        codes.ORDER_SUBMITTED,
        codes.REASON_TRIGGERED,
        abs(order["trigger"]),
        order["qty"],
    )


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
        price = slipped(params, instrument, price, side, spread_of(market, t, sym), bar["high"] - bar["low"])
    stop, distance, mode = initial_levels(plan, price, side)
    if order["position"] == 0:
        if price * side <= stop:
            cancel_order(state, logs, order_slot, codes.ORDER_CANCELLED, codes.REASON_GAPPED_STOP)
            return 0.0
    qty = order["qty"] - order["filled"]
    if not fixed:
        qty = _quantity(state, logs, market, params, order_slot, t, qty, price, available)
        if not qty > 0.0:
            return 0.0
        use_volume(state, params, sym, qty)
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
        _cancel_others(state, logs, order_slot)
    return qty * unit_cost(params, instrument, price)


@kernel_jit
def _quantity(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    order_slot: int,
    t: int,
    wanted: float,
    price: float,
    available: float,
) -> float:
    # What volume and cash allow of an order; 0 where it goes on waiting for volume, or is cancelled for cash.
    order = order_at(state, order_slot)
    sym = order["sym"]
    instrument = instrument_at(market, sym)
    if not allowed_volume(state, market, params, t, sym, wanted) > 0.0:
        return 0.0
    if wanted == np.inf:
        unit = unit_cost(params, instrument, price)
        qty = (available - max(params["per_order"], params["commission_min"])) / unit
    else:
        qty = affordable(params, instrument, wanted, price, available)
    if not qty > 0.0:
        cancel_order(state, logs, order_slot, codes.ORDER_CANCELLED, codes.REASON_FILL_BUYING_POWER)
        return 0.0
    if qty < wanted:
        if wanted < np.inf:
            log_event(
                logs,
                account_of(state),
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
    return allowed_volume(state, market, params, t, sym, qty)


@kernel_jit
def _cancel_others(state: Any, logs: Any, order_slot: int) -> None:
    # One order of a group has filled, and cancels the others.
    oco = order_at(state, order_slot)["oco"]
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if slot != order_slot and order["live"] == 1 and order["oco"] == oco:
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_OCO)
