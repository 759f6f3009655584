"""From an acceptable signal to a working order: its risk per unit, its size, its record.

Shares are sized by the distance to their stop, packages of options by what they can lose and what they tie
up. Either ends in one verdict.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.collateral import free_cover, package_cost
from simulator.kernel.levels import initial_levels
from simulator.kernel.limits import WHOLE, floor_lot, grant
from simulator.kernel.logbook import log_event, log_verdict, reject
from simulator.kernel.measures import highest_correlation
from simulator.kernel.money import unit_cost
from simulator.kernel.package_opening import package_terms
from simulator.kernel.plans import reference_price, reward_of, round_plan
from simulator.kernel.views import (
    account_of,
    bar_at,
    clear_record,
    copy_record,
    instrument_at,
    leg_at,
    metrics_of,
    order_at,
    package_at,
    plan_at,
    plan_leg_at,
    plan_package_at,
    symbol_at,
    working_at,
)

__all__ = ["place_package", "place_shares"]


@kernel_jit
def place_shares(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    signal: Any,
    slot: int,
    t: int,
    skip_side: int,
    absent: int,
) -> int:
    """Size a signal for shares and place its order; returns the reason of its verdict."""
    account = account_of(state)
    plan = plan_at(state, slot)
    sym = signal["sym"]
    side = float(signal["side"])
    instrument = instrument_at(market, sym)
    nan = np.nan
    lot = instrument["lot"]
    multiplier = instrument["multiplier"]
    round_plan(plan, instrument["tick"])
    ref = reference_price(plan, bar_at(market, t, sym)["close"])
    if not ref > 0.0 or ref == np.inf:
        return reject(logs, account, signal, codes.REASON_INVALID_PRICE, ref, 0.0, nan, absent, ref)
    asked = signal["qty"]
    if asked == asked and not asked > 0.0:
        return reject(logs, account, signal, codes.REASON_INVALID_QUANTITY, asked, 0.0, asked, absent, ref)

    entry = ref * side
    stop, _, _ = initial_levels(plan, ref, side)
    wants_atr = plan["stop_atr"] == plan["stop_atr"] or plan["trail_atr"] == plan["trail_atr"]
    if (wants_atr and not plan["atr"] > 0.0) or (stop > -np.inf and not stop < entry):
        return reject(logs, account, signal, codes.REASON_INVALID_STOP, stop * side, ref, asked, absent, ref)
    unit = nan
    if stop == -np.inf:
        absent |= codes.ABSENT_STOP
        if not asked == asked:
            return reject(logs, account, signal, codes.REASON_NO_STOP, nan, nan, asked, absent, ref)
        unit_risk = ref * multiplier
    else:
        unit = entry - stop
        unit_risk = unit * multiplier
    reward, wrong = reward_of(plan, ref, side, unit)
    if wrong:
        return reject(
            logs, account, signal, codes.REASON_INVALID_TARGET, plan["target"], ref, asked, absent, ref
        )
    unit_gross = ref * multiplier
    if unit == unit and plan["extras"] & codes.EXTRA_ADDS != 0:
        for k in range(2):
            at = plan["add_r"] if k == 0 else plan["add2_r"]
            share = plan["add_fraction"] if k == 0 else plan["add2_fraction"]
            if at > 0.0:
                if not share == share:
                    share = 1.0
                unit_risk += share * (at * unit + unit) * multiplier
                unit_gross += share * abs(entry + at * unit) * multiplier

    return _grant_and_place(
        state,
        logs,
        market,
        params,
        signal,
        slot,
        t,
        skip_side,
        absent,
        ref,
        unit,
        reward,
        unit_risk,
        unit_gross,
        unit_gross * side,
        unit_cost(params, instrument, ref) + (unit_gross - ref * multiplier),
        lot,
        asked,
    )


@kernel_jit
def place_package(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    lane: Any,
    signal: Any,
    slot: int,
    t: int,
    absent: int,
) -> int:
    """Size a signal for a package of options and place its order; returns the reason of its verdict."""
    account = account_of(state)
    nan = np.nan
    index = signal["package"] - 1
    package = plan_package_at(state, slot)
    copy_record(package, package_at(lane, index))
    for k in range(4):
        copy_record(plan_leg_at(state, slot, k), leg_at(lane, index, k))
    asked = signal["qty"]
    if asked == asked and not asked > 0.0:
        return reject(logs, account, signal, codes.REASON_INVALID_QUANTITY, asked, 0.0, asked, absent, nan)
    quality, price, loss, margin, premium, exposure = package_terms(
        state, market, params, t, signal["sym"], slot, signal["side"]
    )
    if quality != 0:
        return reject(logs, account, signal, codes.REASON_NO_QUOTE, float(quality), 0.0, asked, absent, price)
    if not price > 0.0:
        return reject(logs, account, signal, codes.REASON_MIN_CREDIT, price, 0.0, asked, absent, price)
    if package["covered"] == 1:
        free = np.floor(free_cover(state, signal["sym"], signal["strategy"], package["multiplier"]) + WHOLE)
        if free < 1.0:
            return reject(logs, account, signal, codes.REASON_NOT_COVERED, free, 1.0, asked, absent, price)
        asked = min(asked, free) if asked == asked else free
    # the least credit is a share of what is tied up, for a spread: of its width
    base = margin / package["multiplier"] if signal["side"] < 0 else premium + loss / package["multiplier"]
    if premium < package["min_credit"] * base:
        return reject(
            logs,
            account,
            signal,
            codes.REASON_MIN_CREDIT,
            premium,
            package["min_credit"] * base,
            asked,
            absent,
            price,
        )
    return _grant_and_place(
        state,
        logs,
        market,
        params,
        signal,
        slot,
        t,
        codes.NO,
        absent | codes.ABSENT_TARGET,
        price,
        nan,
        nan,
        loss,
        # a call on shares that are held takes from what they move
        0.0 if package["covered"] == 1 else abs(exposure),
        exposure,
        package_cost(state, params, slot, price, margin, signal["side"]),
        1.0,
        asked,
    )


@kernel_jit
def _grant_and_place(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    signal: Any,
    slot: int,
    t: int,
    skip_side: int,
    absent: int,
    ref: float,
    unit: float,
    reward: float,
    unit_risk: float,
    unit_gross: float,
    unit_net: float,
    cost: float,
    lot: float,
    asked: float,
) -> int:
    # Ask every rule how much it leaves, and place what is granted. Risk, exposure and cost are per unit, in
    # currency; `unit` is the distance to the stop, NaN without one.
    account = account_of(state)
    granted = asked
    rule = codes.REASON_ADMITTED
    value = np.nan
    limit = np.nan
    if params["risk_on"] == 1:
        if not reward == reward or not unit == unit:
            absent |= codes.ABSENT_TARGET
        elif reward / unit < params["min_reward_risk"] - 1e-9:
            least = params["min_reward_risk"]
            return reject(
                logs,
                account,
                signal,
                codes.REASON_MIN_REWARD_RISK,
                reward / unit,
                least,
                asked,
                absent,
                ref,
            )
        equity = account["equity"]
        if not equity > 0.0:
            return reject(logs, account, signal, codes.REASON_NO_EQUITY, equity, 0.0, asked, absent, ref)
        if not asked == asked:
            asked = floor_lot(params["risk_per_trade"] * equity / unit_risk, lot)
        elif asked == np.inf:
            paid = cost if signal["package"] > 0 else unit_gross
            asked = floor_lot(equity * params["leverage"] / paid, lot)
        granted, rule, value, limit = grant(
            state,
            market,
            params,
            signal,
            slot,
            t,
            skip_side,
            absent & codes.ABSENT_STOP != 0,
            unit_risk,
            unit_gross,
            unit_net,
            cost,
            asked,
            lot,
        )
        if not granted > 0.0:
            return reject(logs, account, signal, rule, value, limit, asked, absent, ref)
        # last, because it looks at sixty returns of every pair
        if params["correlation"] < np.inf:
            most = params["correlation"]
            highest, unknown = highest_correlation(state, market, params, signal, t, unit_net)
            if highest > most:
                return reject(
                    logs, account, signal, codes.REASON_CORRELATION, highest, most, asked, absent, ref
                )
            if unknown > 0:
                absent |= codes.ABSENT_CORRELATION
                if params["correlation_unknown"] == codes.UNKNOWN_REJECT:
                    return reject(
                        logs,
                        account,
                        signal,
                        codes.REASON_CORRELATION_UNKNOWN,
                        float(unknown),
                        0.0,
                        asked,
                        absent,
                        ref,
                    )
    elif not asked == asked:
        return reject(logs, account, signal, codes.REASON_INVALID_QUANTITY, asked, 0.0, asked, absent, ref)
    unit_cash = cost if signal["package"] > 0 else unit_gross
    order = _place(
        state,
        logs,
        market,
        signal,
        slot,
        skip_side,
        granted,
        ref,
        unit_risk,
        unit_gross,
        unit_net,
        unit_cash,
    )
    outcome = codes.REASON_ADMITTED if rule == codes.REASON_ADMITTED else codes.REASON_SHRUNK
    return log_verdict(logs, account, signal, outcome, rule, value, limit, asked, granted, absent, order, ref)


@kernel_jit
def _place(
    state: Any,
    logs: Any,
    market: Any,
    signal: Any,
    slot: int,
    skip_side: int,
    qty: float,
    ref: float,
    unit_risk: float,
    unit_gross: float,
    unit_net: float,
    unit_cash: float,
) -> int:
    # Write the order into its slot and list it; returns its number.
    account = account_of(state)
    plan = plan_at(state, slot)
    sym = signal["sym"]
    side = float(signal["side"])
    order = order_at(state, slot)
    clear_record(order)
    order["id"] = account["next_order"]
    account["next_order"] += 1
    order["sym"] = sym
    order["side"] = signal["side"]
    order["live"] = 1
    order["listed"] = 1
    order["entry"] = signal["entry"]
    order["tif"] = signal["tif"]
    order["state"] = codes.ORDER_PENDING
    order["session"] = -1
    order["oco"] = signal["oco"]
    order["strategy"] = signal["strategy"]
    order["tag"] = signal["tag"]
    order["sector"] = signal["sector"] if signal["sector"] >= 0 else instrument_at(market, sym)["sector"]
    order["signal"] = account["seq"]
    order["reversal"] = 1 if skip_side != 0 else 0
    order["born_row"] = account["row"]
    order["package"] = 1 if signal["package"] > 0 else 0
    order["qty"] = qty
    order["trigger"] = plan["entry_price"] * side
    limit_price = plan["limit_price"]
    if not limit_price == limit_price and signal["entry"] < codes.ENTRY_FIXED_OPEN:
        limit_price = plan["entry_price"]
    order["limit"] = limit_price * side
    order["reference"] = ref
    order["unit_risk"] = unit_risk
    order["unit_gross"] = unit_gross
    order["unit_net"] = unit_net
    order["unit_cash"] = unit_cash
    working_at(state, account["n_orders"])["slot"] = slot
    account["n_orders"] += 1
    symbol_at(state, sym)["n_orders"] += 1
    metrics_of(state)["admitted"] += 1
    log_event(
        logs,
        account,
        order["id"],
        codes.NONE,
        sym,
        codes.KIND_ENTRY,
        codes.ORDER_PENDING,
        codes.REASON_ADMITTED,
        ref,
        qty,
    )
    return order["id"]
