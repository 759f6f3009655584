"""What limits are about: heat, exposure, correlation, in currency where they are amounts.

Measures count what is open and what could still fill: positions, working entries and planned adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.views import (
    account_of,
    add_at,
    clock_at,
    has_options,
    open_at,
    order_at,
    package_at,
    position_at,
    return_at,
    symbol_at,
    working_at,
)

__all__ = ["correlation", "highest_correlation", "measures", "position_heat", "released"]

# Share of the squares below which their sum about the mean is rounding.
NO_VARIATION = 1e-12


@kernel_jit
def measures(
    state: Any, params: Any, sector: int, skip_sym: int, skip_side: int
) -> tuple[float, float, float, float, float]:
    """Heat, gross, net, gross of `sector`, and buying power held by working entries, in currency.

    Shares of `skip_sym` on side `skip_side` are about to be closed by a reversal and do not count.
    """
    account = account_of(state)
    heat = 0.0
    gross = 0.0
    net = 0.0
    in_sector = 0.0
    held = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        leaving = position["sym"] == skip_sym and position["side"] == skip_side and position["package"] == 0
        if position["live"] == 0 or leaving:
            continue
        heat += position_heat(state, params, slot)
        value = position["qty"] * position["mark"] * position["multiplier"]
        side = float(position["side"])
        if has_options(state) and position["package"] == 1:
            value = position["qty"] * position["delta"] * position["multiplier"]
            value *= symbol_at(state, position["sym"])["last"]
            # a call on shares that are held takes from what they move
            net += value
            value = 0.0 if package_at(state, slot)["covered"] == 1 else abs(value)
            gross += value
            if position["sector"] == sector:
                in_sector += value
            continue
        if position["next_add"] < np.inf:
            for j in range(2):
                add = add_at(state, slot, j)
                if add["state"] == 1:
                    extra = add["qty"] * abs(add["price"]) * position["multiplier"]
                    value += extra
                    held += extra
        gross += value
        net += value * side
        if position["sector"] == sector:
            in_sector += value
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if order["live"] == 0:
            continue
        rest = order["qty"] - order["filled"]
        if rest == np.inf:
            continue
        heat += rest * order["unit_risk"]
        value = rest * order["unit_gross"]
        gross += value
        net += rest * order["unit_net"]
        held += rest * order["unit_cash"]
        if order["sector"] == sector:
            in_sector += value
    return heat, gross, net, in_sector, held


@kernel_jit
def position_heat(state: Any, params: Any, slot: int) -> float:
    """Open risk of a position in currency, planned adds included; without a stop, all of it."""
    position = position_at(state, slot)
    if position["package"] == 1:
        return position["qty"] * position["unit_loss"]
    stop = position["stop_now"]
    if stop == -np.inf:
        return position["qty"] * position["mark"] * position["multiplier"]
    base = position["entry_price"] * float(position["side"])
    if params["heat_basis"] == codes.HEAT_FROM_MARK:
        base = position["mark"] * float(position["side"])
    heat = max(0.0, base - stop) * position["qty"] * position["multiplier"]
    if position["next_add"] < np.inf:
        for k in range(2):
            add = add_at(state, slot, k)
            if add["state"] == 1:
                heat += max(0.0, add["price"] - stop) * add["qty"] * position["multiplier"]
    return heat


@kernel_jit
def released(state: Any, sym: int, side: int) -> float:
    """Buying power that closing the other side will give back at the mark."""
    account = account_of(state)
    value = 0.0
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if (
            position["live"] == 1
            and position["sym"] == sym
            and position["side"] == side
            and position["package"] == 0
        ):
            value += position["qty"] * position["mark"] * position["multiplier"]
    return value


@kernel_jit
def highest_correlation(
    state: Any, market: Any, params: Any, signal: Any, t: int, lean: float
) -> tuple[float, int]:
    """Largest absolute correlation with what is held or works on that side, and how many were unknown.

    A package is on the side of its delta, and `lean` is the signal's. Two packages that both brought a credit
    or were both paid for are on one side as well, since they bet on volatility alike.
    """
    account = account_of(state)
    highest = -1.0
    unknown = 0
    window = params["correlation_window"]
    package = 1 if signal["package"] > 0 else 0
    for k in range(account["n_positions"] + account["n_orders"]):
        if k < account["n_positions"]:
            position = position_at(state, open_at(state, k)["slot"])
            live, sym, side, kind = position["live"], position["sym"], position["side"], position["package"]
            other = position["delta"] if kind == 1 else float(side)
        else:
            order = order_at(state, working_at(state, k - account["n_positions"])["slot"])
            live, sym, side, kind = order["live"], order["sym"], order["side"], order["package"]
            other = order["unit_net"] if kind == 1 else float(side)
        if live == 0 or sym == signal["sym"]:
            continue
        alike = package == 1 and kind == 1 and side == signal["side"]
        if not (alike or other * lean > 0.0):
            continue
        rho, n = correlation(market, t, signal["sym"], sym, window)
        if n < params["correlation_minimum"] or not rho == rho:
            unknown += 1
        elif abs(rho) > highest:
            highest = abs(rho)
    return highest, unknown


@kernel_jit
def correlation(market: Any, t: int, a: int, b: int, window: int) -> tuple[float, int]:
    """Correlation of the last `window` common daily log returns of two symbols, and how many there were.

    Looks back at most twice the window in sessions, so that a chunk needs a halo of bounded length.
    """
    last = clock_at(market, t)["day_row"] - 1
    stop = max(0, last - 2 * window)
    # Sums of one pass: daily returns lie around zero, so that taking their means off loses no digits.
    n = 0
    sa = 0.0
    sb = 0.0
    saa = 0.0
    sbb = 0.0
    sab = 0.0
    day = last
    while day > stop and n < window:
        ra = return_at(market, a, day)["value"]
        rb = return_at(market, b, day)["value"]
        if ra == ra and rb == rb:
            sa += ra
            sb += rb
            saa += ra * ra
            sbb += rb * rb
            sab += ra * rb
            n += 1
        day -= 1
    if n < 2:
        return np.nan, n
    of_a = saa - sa * sa / n
    of_b = sbb - sb * sb / n
    # returns that are all alike leave only what rounding left
    if not of_a > NO_VARIATION * saa or not of_b > NO_VARIATION * sbb:
        return np.nan, 0
    return (sab - sa * sb / n) / np.sqrt(of_a * of_b), n
