"""What an option package can still lose, and what it moves like: its part in heat and in exposure.

Where every sold option is covered by a bought one of its kind that lives as long, the loss is defined: all
that the package can cost below what it brought. Everything else (cash-secured, covered, naked) counts the
loss at two deviations of the underlying over five sessions, or over what is left of the front expiry: all
legs are priced anew with the underlying moved by exp(±2 · ATM IV · sqrt(min(DTE, 5) / 252)), volatilities and
time unchanged. What the package can lose at most is the cap. An order to close it at some multiple of the
credit is no reason to count less: packages gap through stops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel._jit import kernel_jit
from simulator.kernel.black_scholes import black_scholes_price
from simulator.kernel.black_scholes_american import american_price_delta_gamma
from simulator.kernel.greeks import leg_delta
from simulator.kernel.quotes import has_expired, intrinsic, is_modelled, years_left
from simulator.kernel.surface import forward_price, surface_volatility
from simulator.kernel.views import (
    bar_at,
    clock_at,
    leg_at,
    package_at,
    plan_leg_at,
    plan_package_at,
    rate_at,
    surface_of,
    volatility_at,
    volatility_room,
    yield_at,
    yields_room,
)

__all__ = ["capped_loss", "is_defined", "net_delta", "sold_delta", "stressed_loss"]

SESSIONS_PER_YEAR = 252.0
STRESS_DEVIATIONS = 2.0
STRESS_SESSIONS = 5.0


@kernel_jit
def is_defined(state: Any, slot: int, working: int) -> bool:
    """Whether bought options of the same kind, which live as long, cover all sold ones.

    `working` 1 reads the package of the order in that slot, 0 the position's.
    """
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    n = package["legs"]
    for k in range(n):
        sold = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        if sold["side"] > 0:
            continue
        if sold["right"] == 0:
            return False
        left = 0
        for j in range(n):
            other = plan_leg_at(state, slot, j) if working == 1 else leg_at(state, slot, j)
            if other["right"] == sold["right"] and (other["side"] < 0 or other["expiry"] >= sold["expiry"]):
                left += other["side"] * other["ratio"]
        if left < 0:
            return False
    return True


@kernel_jit
def capped_loss(
    state: Any,
    market: Any,
    t: int,
    sym: int,
    slot: int,
    working: int,
    most: float,
    bounded: bool,
    multiplier: float,
) -> float:
    """Stressed loss in currency, at most `most` where the loss is bounded; `most` without a volatility.

    Where nothing bounds the loss, `most` is the margin, which is no cap.
    """
    stressed = stressed_loss(state, market, t, sym, slot, working) * multiplier
    if not stressed == stressed:
        return most
    return min(stressed, most) if bounded else stressed


@kernel_jit
def stressed_loss(state: Any, market: Any, t: int, sym: int, slot: int, working: int) -> float:
    """Loss of one package per unit of its multiplier at two deviations, 0 or more; NaN without a volatility.

    The legs hold the marks of bar t and their volatilities; a leg that never had one keeps its intrinsic
    value. Volatility at the money is the surface's, or that of the stored quotes' 30 days, or where neither
    is known the highest of the legs.
    """
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    n = package["legs"]
    spot = bar_at(market, t, sym)["close"]
    rate = rate_at(market, t)["value"]
    carry = _carry(market, sym)
    session = clock_at(market, t)["session"]
    worth = 0.0
    highest = 0.0
    for k in range(n):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        worth += float(leg["side"] * leg["ratio"]) * leg["mark"]
        highest = max(highest, leg["volatility"])
    days = float(package["expiry"] - session)
    if package["expiry"] == session and not has_expired(market, t, session):
        days = 1.0  # a session that has begun counts whole
    years = years_left(market, t, package["expiry"])
    at_money = np.nan
    if is_modelled(market):
        at_money = surface_volatility(
            surface_of(market, sym),
            volatility_at(market, t, sym)["value"],
            forward_price(spot, rate, carry, years),
            forward_price(spot, rate, carry, years),
            years,
        )
    elif volatility_room(market) > 0:
        at_money = volatility_at(market, t, sym)["value"]
    if not at_money > 0.0:
        at_money = highest
    if not at_money > 0.0:
        return np.nan
    reach = STRESS_DEVIATIONS * at_money * np.sqrt(min(days, STRESS_SESSIONS) / SESSIONS_PER_YEAR)
    loss = 0.0
    for way in range(2):
        moved = spot * np.exp(reach if way == 0 else -reach)
        value = 0.0
        for k in range(n):
            leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
            value += float(leg["side"] * leg["ratio"]) * _price(
                leg, package["american"], moved, years_left(market, t, leg["expiry"]), rate, carry
            )
        loss = max(loss, worth - value)
    return loss


@kernel_jit
def _carry(market: Any, sym: int) -> float:
    return yield_at(market, sym)["value"] if yields_room(market) > 0 else 0.0


@kernel_jit
def _price(leg: Any, american: int, spot: float, years: float, rate: float, carry: float) -> float:
    volatility = leg["volatility"]
    if leg["right"] == 0 or not (volatility > 0.0 and years > 0.0):
        return intrinsic(leg, spot)
    sign = float(leg["right"])
    if american == 1:
        price, _, _ = american_price_delta_gamma(sign, spot, leg["strike"], years, rate, volatility, carry)
        return price
    return black_scholes_price(sign, spot, leg["strike"], years, rate, volatility, carry)


@kernel_jit
def net_delta(state: Any, market: Any, t: int, sym: int, slot: int, working: int) -> float:
    """Delta of one package per unit of its multiplier; a leg whose quote gave none has its volatility's."""
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    spot = bar_at(market, t, sym)["close"]
    total = 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        delta = leg["delta"]
        if not delta == delta:
            years = years_left(market, t, leg["expiry"])
            delta = leg_delta(
                leg, package["american"], spot, years, rate_at(market, t)["value"], _carry(market, sym)
            )
            leg["delta"] = delta
        total += float(leg["side"] * leg["ratio"]) * delta
    return total


@kernel_jit
def sold_delta(state: Any, slot: int) -> float:
    """Largest absolute delta of a sold option of a position's package, once its legs have theirs."""
    largest = 0.0
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        if leg["side"] < 0 and leg["right"] != 0:
            largest = max(largest, abs(leg["delta"]))
    return largest
