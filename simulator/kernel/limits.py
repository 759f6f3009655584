"""Limits on size: how much of an order each of them leaves.

A limit shrinks an order to what is left of it, or rejects it, by policy. Shrinking rounds down to whole lots,
so that no admission takes a measure into breach, nor raises one that is in breach already.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.greeks import account_greeks, package_greeks
from simulator.kernel.measures import measures, released
from simulator.kernel.money import buying_power
from simulator.kernel.views import account_of, has_options, instrument_at, plan_package_at

__all__ = ["floor_lot", "grant"]

# 0.29 / 0.01 is 28.999...96: so much of a lot is rounding, not a fraction.
WHOLE = 1e-9
# 5,000 times 10 - 9.6 is 2000.000...02: so much of a limit on risk or exposure is rounding, not a breach.
ROUNDING = 1e-9


@kernel_jit
def grant(
    state: Any,
    market: Any,
    params: Any,
    signal: Any,
    slot: int,
    t: int,
    skip_side: int,
    without_stop: bool,
    unit_risk: float,
    unit_gross: float,
    unit_net: float,
    cost: float,
    asked: float,
    lot: float,
) -> tuple[float, int, float, float]:
    """Return what the limits leave of an order, and the last rule that shrank it: reason, value and limit.

    Risk, exposure and cost are per unit, in currency. The reason is REASON_ADMITTED where nothing shrank it.
    """
    granted = floor_lot(asked, lot)
    if not granted > 0.0:
        return granted, codes.REASON_MIN_QUANTITY, asked, lot
    granted, rule, value, limit = _within_sizes(
        state,
        market,
        params,
        signal,
        skip_side,
        without_stop,
        unit_risk,
        unit_gross,
        unit_net,
        cost,
        asked,
        granted,
        lot,
    )
    if granted > 0.0 and params["greeks_on"] == 1:
        granted, by_greeks, now, cap = _within_greeks(
            state, market, params, signal, slot, t, skip_side, unit_gross, asked, granted, lot
        )
        if by_greeks != codes.REASON_ADMITTED:
            return granted, by_greeks, now, cap
    return granted, rule, value, limit


@kernel_jit
def _within_sizes(
    state: Any,
    market: Any,
    params: Any,
    signal: Any,
    skip_side: int,
    without_stop: bool,
    unit_risk: float,
    unit_gross: float,
    unit_net: float,
    cost: float,
    asked: float,
    granted: float,
    lot: float,
) -> tuple[float, int, float, float]:
    # What the limits on risk, exposure and buying power leave of an order.
    account = account_of(state)
    sym = signal["sym"]
    equity = account["equity"]
    sector = signal["sector"]
    if sector < 0:
        sector = instrument_at(market, sym)["sector"]
    heat, gross, net, in_sector, held = measures(state, params, sector, sym, skip_side)
    room = buying_power(params, account) - held
    if skip_side != 0:
        room += released(state, sym, skip_side)
    room -= max(params["per_order"], params["commission_min"])
    net_now = net if unit_net > 0.0 else -net
    rule = codes.REASON_ADMITTED
    value = np.nan
    limit = np.nan
    for k in range(7):
        if k == 0:
            this, now, per, cap = codes.REASON_RISK_PER_TRADE, 0.0, unit_risk, params["risk_per_trade"]
            policy = params["policy_risk"]
            if without_stop:
                cap = np.inf
        elif k == 1:
            this, now, per, cap = codes.REASON_HEAT, heat, unit_risk, params["heat"]
            policy = params["policy_heat"]
        elif k == 2:
            this, now, per, cap = codes.REASON_SECTOR, in_sector, unit_gross, params["sector"]
            policy = params["policy_sector"]
        elif k == 3:
            this, now, per, cap = codes.REASON_POSITION_SIZE, 0.0, unit_gross, params["position_size"]
            policy = params["policy_exposure"]
        elif k == 4:
            this, now, per, cap = codes.REASON_GROSS_EXPOSURE, gross, unit_gross, params["gross"]
            policy = params["policy_exposure"]
        elif k == 5:
            this, now, per, cap = codes.REASON_NET_EXPOSURE, net_now, unit_gross, params["net"]
            policy = params["policy_exposure"]
        else:
            this, now, per, cap = codes.REASON_BUYING_POWER, equity - room, cost, 1.0
            policy = codes.POLICY_SHRINK
        left = cap * equity - now
        # money is counted to the last digit; what is left of a limit may have been rounded
        if k < 6 and left > ROUNDING * cap * equity:
            left += ROUNDING * cap * equity
        # what raises no measure may pass, whatever is left of it
        if per > 0.0 and granted * per > left:
            rule = this
            value = (now + asked * per) / equity
            limit = cap
            granted = 0.0 if policy == codes.POLICY_REJECT else _shrunk(left, per, lot)
            if not granted > 0.0:
                break
    return granted, rule, value, limit


@kernel_jit
def _within_greeks(
    state: Any,
    market: Any,
    params: Any,
    signal: Any,
    slot: int,
    t: int,
    skip_side: int,
    unit_gross: float,
    asked: float,
    granted: float,
    lot: float,
) -> tuple[float, int, float, float]:
    # What the limits on Greeks leave of an order, and the last rule that shrank it: reason, value and limit.
    # Delta, gamma and vega may not grow away from zero on either side; of theta only what is received counts.
    account = account_of(state)
    sym = signal["sym"]
    equity = account["equity"]
    _, delta, gamma, theta, vega = account_greeks(state, market, t, sym, skip_side)
    unit_delta = unit_gross * float(signal["side"])
    unit_gamma = 0.0
    unit_theta = 0.0
    unit_vega = 0.0
    if has_options(state) and signal["package"] > 0:
        multiplier = plan_package_at(state, slot)["multiplier"]
        unit_delta, unit_gamma, unit_theta, unit_vega = package_greeks(state, market, t, sym, slot, codes.YES)
        unit_delta *= multiplier
        unit_gamma *= multiplier
        unit_theta *= multiplier
        unit_vega *= multiplier
    rule = codes.REASON_ADMITTED
    value = np.nan
    limit = np.nan
    for k in range(4):
        if k == 0:
            this, now, cap = codes.REASON_NET_DELTA, delta, params["net_delta"]
            per = unit_delta * instrument_at(market, sym)["beta"]
        elif k == 1:
            this, now, per, cap = codes.REASON_GAMMA, gamma, unit_gamma, params["gamma"]
        elif k == 2:
            this, now, per, cap = codes.REASON_THETA, theta, max(0.0, unit_theta), params["theta"]
        else:
            this, now, per, cap = codes.REASON_VEGA, vega, unit_vega, params["vega"]
        if per < 0.0:
            now = -now
            per = -per
        left = cap * equity - now
        # an order without the Greek raises nothing, whatever is left
        if per > 0.0 and granted * per > left:
            rule = this
            value = (now + asked * per) / equity
            limit = cap
            granted = 0.0 if params["policy_greeks"] == codes.POLICY_REJECT else _shrunk(left, per, lot)
            if not granted > 0.0:
                break
    return granted, rule, value, limit


@kernel_jit
def _shrunk(left: float, per: float, lot: float) -> float:
    # Largest quantity whose measure stays within what is left; rounding never goes up.
    if not left > 0.0:
        return 0.0
    granted = floor_lot(left / per, lot)
    if granted * per > left:
        granted = granted - lot if lot > 0.0 else granted * (1.0 - 1e-15)
    return max(granted, 0.0)


@kernel_jit
def floor_lot(qty: float, lot: float) -> float:
    """Round a quantity down to whole lots."""
    if lot > 0.0 and qty < np.inf:
        return np.floor(qty / lot + WHOLE) * lot
    return qty
