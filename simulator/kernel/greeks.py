"""Greeks of an account in currency, for the limits on them: what is held and what could still fill.

Everything is measured as money, so that symbols add up: dollar delta (shares times price, and once more with
betas), its change for a move of 1 %, theta per calendar day, vega per percentage point. Shares have a delta
alone. An option is priced at the volatility of its last good quote, at this close and this date: where a leg
has no quote today, or one whose price implies nothing, the last known volatility stands in. An option that
never had one moves with the underlying or not at all.

The volatilities are kept with the legs at entry, and on every bar while a limit on Greeks is set or the loss
of the package has no bound but a move of the market.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import BAR_OK, bar_state
from simulator.kernel.black_scholes import (
    black_scholes_delta,
    black_scholes_gamma,
    black_scholes_theta,
    black_scholes_vega,
)
from simulator.kernel.black_scholes_american import (
    american_price_delta_gamma,
    american_theta,
    american_vega,
)
from simulator.kernel.black_scholes_american_implied import american_implied_volatility
from simulator.kernel.black_scholes_implied import black_scholes_implied_volatility
from simulator.kernel.quotes import intrinsic, is_modelled, years_left
from simulator.kernel.surface import forward_price, surface_volatility
from simulator.kernel.views import (
    account_of,
    add_at,
    bar_at,
    has_options,
    instrument_at,
    leg_at,
    open_at,
    order_at,
    package_at,
    plan_leg_at,
    plan_package_at,
    position_at,
    rate_at,
    rates_room,
    surface_of,
    symbol_at,
    volatility_at,
    working_at,
    yield_at,
    yields_room,
)

__all__ = ["account_greeks", "leg_delta", "note_known_volatilities", "note_volatilities", "package_greeks"]

DAYS_PER_YEAR = 365.0
ONE_PERCENT = 0.01


@kernel_jit
def account_greeks(
    state: Any, market: Any, t: int, skip_sym: int, skip_side: int
) -> tuple[float, float, float, float, float]:
    """Dollar delta, the same beta-weighted, gamma, theta and vega at the close of bar t, in currency.

    Shares of `skip_sym` on side `skip_side` are about to be closed by a reversal and do not count.
    """
    account = account_of(state)
    delta = 0.0
    weighted = 0.0
    gamma = 0.0
    theta = 0.0
    vega = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        sym = position["sym"]
        if position["live"] == 0:
            continue
        if has_options(state) and position["package"] == 1:
            d, g, h, v = package_greeks(state, market, t, sym, slot, codes.NO)
            units = position["qty"] * position["multiplier"]
            delta += units * d
            weighted += units * d * instrument_at(market, sym)["beta"]
            gamma += units * g
            theta += units * h
            vega += units * v
            continue
        if sym == skip_sym and position["side"] == skip_side:
            continue
        value = position["qty"] * position["mark"]
        if position["next_add"] < np.inf:
            for j in range(2):
                add = add_at(state, slot, j)
                if add["state"] == 1:
                    value += add["qty"] * abs(add["price"])
        value *= position["multiplier"] * float(position["side"])
        delta += value
        weighted += value * instrument_at(market, sym)["beta"]
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        rest = order["qty"] - order["filled"]
        if order["live"] == 0 or rest == np.inf:
            continue
        sym = order["sym"]
        if has_options(state) and order["package"] == 1:
            d, g, h, v = package_greeks(state, market, t, sym, slot, codes.YES)
            units = rest * plan_package_at(state, slot)["multiplier"]
            delta += units * d
            weighted += units * d * instrument_at(market, sym)["beta"]
            gamma += units * g
            theta += units * h
            vega += units * v
            continue
        value = rest * order["unit_gross"] * float(order["side"])
        delta += value
        weighted += value * instrument_at(market, sym)["beta"]
    return delta, weighted, gamma, theta, vega


@kernel_jit
def package_greeks(
    state: Any, market: Any, t: int, sym: int, slot: int, working: int
) -> tuple[float, float, float, float]:
    """Dollar delta, gamma, theta and vega of one package per unit of its multiplier.

    Legs carry their own sides. `working` 1 reads the package of the order in that slot, 0 the position's.
    """
    bar = bar_at(market, t, sym)
    spot = bar["close"] if bar_state(bar) == BAR_OK else symbol_at(state, sym)["last"]
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    rate = rate_at(market, t)["value"] if rates_room(market) > 0 else 0.0
    carry = yield_at(market, sym)["value"] if yields_room(market) > 0 else 0.0
    delta = 0.0
    gamma = 0.0
    theta = 0.0
    vega = 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        years = years_left(market, t, leg["expiry"])
        d, g, h, v = _leg_greeks(leg, package["american"], spot, years, rate, carry)
        units = float(leg["side"] * leg["ratio"])
        delta += units * d
        gamma += units * g
        theta += units * h
        vega += units * v
    return (
        delta * spot,
        gamma * spot * spot * ONE_PERCENT,
        theta / DAYS_PER_YEAR,
        vega * ONE_PERCENT,
    )


@kernel_jit
def _leg_greeks(
    leg: Any, american: int, spot: float, years: float, rate: float, carry: float
) -> tuple[float, float, float, float]:
    # Plain derivatives of one bought option, or of a share.
    if leg["right"] == 0:
        return 1.0, 0.0, 0.0, 0.0
    sign = float(leg["right"])
    strike = leg["strike"]
    volatility = leg["volatility"]
    if not (volatility > 0.0 and years > 0.0 and spot > 0.0):
        return sign if intrinsic(leg, spot) > 0.0 else 0.0, 0.0, 0.0, 0.0
    if american == 1:
        _, delta, gamma = american_price_delta_gamma(sign, spot, strike, years, rate, volatility, carry)
        return (
            delta,
            gamma,
            american_theta(sign, spot, strike, years, rate, volatility, carry),
            american_vega(sign, spot, strike, years, rate, volatility, carry),
        )
    return (
        black_scholes_delta(sign, spot, strike, years, rate, volatility, carry),
        black_scholes_gamma(sign, spot, strike, years, rate, volatility, carry),
        black_scholes_theta(sign, spot, strike, years, rate, volatility, carry),
        black_scholes_vega(sign, spot, strike, years, rate, volatility, carry),
    )


@kernel_jit
def leg_delta(leg: Any, american: int, spot: float, years: float, rate: float, carry: float) -> float:
    """Delta of one bought option at the volatility of its last good quote; 1 for a share."""
    delta, _, _, _ = _leg_greeks(leg, american, spot, years, rate, carry)
    return delta


@kernel_jit
def note_volatilities(state: Any, market: Any, t: int, sym: int, slot: int, working: int) -> None:
    """Keep the volatility of each leg of a package that has just been quoted; needs the legs' marks of bar t.

    A price that implies no volatility leaves the one that was known.
    """
    spot = bar_at(market, t, sym)["close"]
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    rate = rate_at(market, t)["value"]
    carry = yield_at(market, sym)["value"] if yields_room(market) > 0 else 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        years = years_left(market, t, leg["expiry"])
        if leg["right"] == 0 or not years > 0.0:
            continue
        found = np.nan
        if is_modelled(market):
            found = surface_volatility(
                surface_of(market, sym),
                volatility_at(market, t, sym)["value"],
                forward_price(spot, rate, carry, years),
                leg["strike"],
                years,
            )
        elif package["american"] == 1:
            found, _ = american_implied_volatility(
                float(leg["right"]), leg["mark"], spot, leg["strike"], years, rate, carry
            )
        else:
            found, _ = black_scholes_implied_volatility(
                float(leg["right"]), leg["mark"], spot, leg["strike"], years, rate, carry
            )
        if found > 0.0:
            leg["volatility"] = found


@kernel_jit
def note_known_volatilities(state: Any, market: Any, t: int) -> None:
    """Keep the volatilities of all open packages that were quoted at bar t, the last one of the state."""
    for k in range(account_of(state)["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if has_options(state) and position["package"] == 1 and position["tradable"] == 1:
            note_volatilities(state, market, t, position["sym"], slot, codes.NO)
