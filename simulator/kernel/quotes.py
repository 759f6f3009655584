"""Quotes of option packages at the close of a bar.

Where the market stores quotes, a leg without one has no price: nothing is made up between two strikes. Where
it stores none, a leg is priced by the modelled surface. A package is worth the sum of its legs at their mids,
from the point of view of whoever holds it: negative for a package that was sold for a credit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import BAR_OK, bar_state
from simulator.kernel.black_scholes import black_scholes_delta, black_scholes_price
from simulator.kernel.black_scholes_american import american_price_delta_gamma
from simulator.kernel.surface import ask_of, bid_of, forward_price, surface_volatility
from simulator.kernel.views import (
    bar_at,
    clock_at,
    leg_at,
    package_at,
    plan_leg_at,
    plan_package_at,
    quote_at,
    quote_start_at,
    quotes_room,
    rate_at,
    surface_of,
    surfaces_room,
    volatility_at,
    yield_at,
)

__all__ = [
    "QUOTE_NONE",
    "QUOTE_OK",
    "QUOTE_ZERO_BID",
    "has_expired",
    "intrinsic",
    "is_modelled",
    "package_quote",
    "price_rule",
    "quote_quality",
    "share_of",
    "worst_payoff",
    "years_left",
]

DAYS_PER_YEAR = 365.0
NANOSECONDS_PER_YEAR = 365.0 * 86_400_000_000_000.0

QUOTE_OK = 0
QUOTE_NONE = 1  # missing or crossed, on some leg
QUOTE_ZERO_BID = 2  # complete, but some leg can not be sold


@kernel_jit
def package_quote(
    state: Any, market: Any, t: int, sym: int, slot: int, working: int
) -> tuple[int, float, float, float, float]:
    """Quality, worth and quoted spread of a package per share, largest delta of a sold leg, and net delta.

    `working` 1 reads the package of the order in that slot, 0 that of the position. Writes `mark` and `delta`
    of the legs.
    """
    bar = bar_at(market, t, sym)
    if bar_state(bar) != BAR_OK:
        return QUOTE_NONE, np.nan, np.nan, 0.0, 0.0
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    quality = QUOTE_OK
    worth = 0.0
    spread = 0.0
    sold = 0.0
    net = 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        found, bid, ask, delta = _leg_quote(market, t, sym, leg, package["american"], bar["close"])
        if found == QUOTE_NONE:
            return QUOTE_NONE, np.nan, np.nan, 0.0, 0.0
        if found == QUOTE_ZERO_BID:
            quality = QUOTE_ZERO_BID
        leg["mark"] = 0.5 * (bid + ask)
        leg["delta"] = delta
        units = float(leg["side"] * leg["ratio"])
        worth += units * leg["mark"]
        spread += abs(units) * (ask - bid)
        net += units * delta
        if leg["side"] < 0 and leg["right"] != 0:
            sold = max(sold, abs(delta))
    return quality, worth, spread, sold, net


@kernel_jit
def _leg_quote(
    market: Any, t: int, sym: int, leg: Any, american: int, spot: float
) -> tuple[int, float, float, float]:
    if leg["right"] == 0:
        return QUOTE_OK, spot, spot, 1.0
    if has_expired(market, t, leg["expiry"]):
        value = intrinsic(leg, spot)
        return QUOTE_OK, value, value, float(leg["right"]) if value > 0.0 else 0.0
    if is_modelled(market):
        return _modelled(market, t, sym, leg, american, spot)
    return _stored(market, t, sym, leg)


@kernel_jit
def _modelled(
    market: Any, t: int, sym: int, leg: Any, american: int, spot: float
) -> tuple[int, float, float, float]:
    index = volatility_at(market, t, sym)["value"]
    if not index > 0.0:
        return QUOTE_NONE, np.nan, np.nan, 0.0
    surface = surface_of(market, sym)
    years = years_left(market, t, leg["expiry"])
    rate = rate_at(market, t)["value"]
    carry = yield_at(market, sym)["value"]
    strike = leg["strike"]
    sign = float(leg["right"])
    volatility = surface_volatility(surface, index, forward_price(spot, rate, carry, years), strike, years)
    if american == 1:
        price, delta, _ = american_price_delta_gamma(sign, spot, strike, years, rate, volatility, carry)
    else:
        price = black_scholes_price(sign, spot, strike, years, rate, volatility, carry)
        delta = black_scholes_delta(sign, spot, strike, years, rate, volatility, carry)
    if not price >= 0.0:
        return QUOTE_NONE, np.nan, np.nan, 0.0
    bid = bid_of(surface, price)
    return QUOTE_OK if bid > 0.0 else QUOTE_ZERO_BID, bid, ask_of(surface, price), delta


@kernel_jit
def _stored(market: Any, t: int, sym: int, leg: Any) -> tuple[int, float, float, float]:
    if quotes_room(market) == 0:
        return QUOTE_NONE, np.nan, np.nan, 0.0
    # Bisection over the quotes of bar t, which are sorted by symbol, expiry, right and strike.
    low = quote_start_at(market, t)["slot"]
    high = quote_start_at(market, t + 1)["slot"]
    end = high
    while low < high:
        middle = (low + high) // 2
        if _before(quote_at(market, middle), sym, leg):
            low = middle + 1
        else:
            high = middle
    if low == end:
        return QUOTE_NONE, np.nan, np.nan, 0.0
    quote = quote_at(market, low)
    if (
        quote["sym"] != sym
        or quote["expiry"] != leg["expiry"]
        or quote["right"] != leg["right"]
        or quote["strike"] != leg["strike"]
    ):
        return QUOTE_NONE, np.nan, np.nan, 0.0
    quality = quote_quality(quote["bid"], quote["ask"])
    if quality == QUOTE_NONE:
        return QUOTE_NONE, np.nan, np.nan, 0.0
    return quality, quote["bid"], quote["ask"], quote["delta"]


@kernel_jit
def quote_quality(bid: float, ask: float) -> int:
    """Whether a quote is there and not crossed, and whether something can be sold at it."""
    if not (bid >= 0.0 and ask > 0.0 and ask >= bid):
        return QUOTE_NONE
    return QUOTE_OK if bid > 0.0 else QUOTE_ZERO_BID


@kernel_jit
def _before(quote: Any, sym: int, leg: Any) -> bool:
    if quote["sym"] != sym:
        return quote["sym"] < sym
    if quote["expiry"] != leg["expiry"]:
        return quote["expiry"] < leg["expiry"]
    if quote["right"] != leg["right"]:
        return quote["right"] < leg["right"]
    return quote["strike"] < leg["strike"]


@kernel_jit
def intrinsic(leg: Any, spot: float) -> float:
    """Return what a leg is worth when it is exercised at `spot`, per share; a leg of shares, the share."""
    if leg["right"] == 0:
        return spot
    return max(0.0, float(leg["right"]) * (spot - leg["strike"]))


@kernel_jit
def worst_payoff(state: Any, slot: int, working: int) -> tuple[float, bool]:
    """Lowest worth of a package at expiry, per share, and whether it is bounded for a rising underlying.

    Legs that live longer count at their intrinsic value, which is never too much. The payoff is linear
    between strikes, so its lowest point is at a strike, at zero, or at infinity.
    """
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    n = package["legs"]
    slope = 0.0
    for k in range(n):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        if leg["right"] >= 0:
            slope += float(leg["side"] * leg["ratio"])
    lowest = np.inf
    for at in range(n + 1):
        spot = 0.0
        if at < n:
            strike = (plan_leg_at(state, slot, at) if working == 1 else leg_at(state, slot, at))["strike"]
            if not strike == strike:
                continue
            spot = strike
        worth = 0.0
        for k in range(n):
            leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
            worth += float(leg["side"] * leg["ratio"]) * intrinsic(leg, spot)
        lowest = min(lowest, worth)
    return lowest, slope >= 0.0


@kernel_jit
def share_of(params: Any, legs: int) -> float:
    """Share of the quoted spread that a package of so many legs gives away against its mid."""
    if legs <= 1:
        return params["share1"]
    if legs == 2:
        return params["share2"]
    return params["share3"] if legs == 3 else params["share4"]


@kernel_jit
def price_rule(market: Any) -> int:
    """How this market's option prices come about, for the log: quoted, or from the surface."""
    return codes.PRICE_MODEL if is_modelled(market) else codes.PRICE_QUOTE


@kernel_jit
def is_modelled(market: Any) -> bool:
    """Whether a surface makes the quotes; whether any quote falls on these bars says nothing about that."""
    return surfaces_room(market) > 0


@kernel_jit
def has_expired(market: Any, t: int, expiry: int) -> bool:
    """Whether options of that expiry have ended by the close of bar t: they live as long as their session."""
    clock = clock_at(market, t)
    return expiry < clock["session"] or (expiry == clock["session"] and clock["left"] == 0)


@kernel_jit
def years_left(market: Any, t: int, expiry: int) -> float:
    """Time from the close of bar t to an expiry: whole days, and in its own session what is left of that."""
    clock = clock_at(market, t)
    days = expiry - clock["session"]
    if days == 0:
        return float(clock["left"]) / NANOSECONDS_PER_YEAR
    return float(days) / DAYS_PER_YEAR
