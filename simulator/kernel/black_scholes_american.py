"""American options on one underlying with a continuous yield, for compiled callers.

Barone-Adesi and Whaley's quadratic approximation with the second-order term of Ju and Zhong (1999): the value
of early exercise is `premium * (S / S*)^lambda / (1 - chi)`, where S* is the spot at which one exercises. The
extra term costs little once S* is known and halves the error; that of Bjerksund and Stensland's 2002 bound is
ten times as large. Prices never fall below the European one, nor below exercising now or at any fixed later
date, and never rise above the spot or strike.

Where holding on costs nothing (a call without a yield, a put without interest) the European price is exact.
With a negative rate *and* a yield between it and zero there are two exercise boundaries; the approximation
knows one, so the lower bounds alone are given.
"""

from __future__ import annotations

import math
from typing import Final

from simulator.kernel._jit import kernel_jit
from simulator.kernel.black_scholes import (
    black_scholes_delta,
    black_scholes_gamma,
    black_scholes_price,
    carried,
    d_one,
    discount,
    exercise_value,
    forward_gap,
    log_moneyness,
    normal_cdf,
    normal_pdf,
)

__all__ = [
    "american_delta",
    "american_exercise_spot",
    "american_lower_bound",
    "american_price",
    "american_price_delta_gamma",
    "american_rho",
    "american_theta",
    "american_upper_bound",
    "american_vega",
]

_CERTAIN: Final = 1e-7  # total volatility below which the spot is taken to follow its forward
_NO_CARRY: Final = 0.0
_STEPS_MAX: Final = 64
_CLOSE: Final = 1e-9  # relative Newton step whose square, the error after it, is below rounding
_POLE_SHARE: Final = 0.7  # of 0.2, 0.35, 0.5, 0.7 and 0.85 the one with the least error
_BUMP: Final = 1e-4  # relative step of a numerical derivative
_RATE_BUMP: Final = 1e-5


@kernel_jit
def american_price(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Price of an American option in the currency of `spot`; the exercise value if `years` is 0 or less."""
    price, _, _ = american_price_delta_gamma(sign, spot, strike, years, rate, volatility, dividend_yield)
    return price


@kernel_jit
def american_delta(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the American price per unit of spot; 1 for a call that one would exercise, -1 for a put."""
    _, delta, _ = american_price_delta_gamma(sign, spot, strike, years, rate, volatility, dividend_yield)
    return delta


@kernel_jit
def american_price_delta_gamma(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> tuple[float, float, float]:
    """Price and its first two derivatives by the spot, exact ones of the approximation."""
    european = black_scholes_price(sign, spot, strike, years, rate, volatility, dividend_yield)
    delta = black_scholes_delta(sign, spot, strike, years, rate, volatility, dividend_yield)
    gamma = black_scholes_gamma(sign, spot, strike, years, rate, volatility, dividend_yield)
    if not years > 0.0 or math.isnan(european):
        return european, delta, gamma
    price = european
    gain = dividend_yield if sign > 0.0 else rate
    if gain > 0.0 and volatility * math.sqrt(years) > _CERTAIN:
        root, spread = _exponent(sign, years, rate, volatility, dividend_yield)
        best = _exercise_spot(sign, strike, years, rate, volatility, dividend_yield, root)
        if sign * (spot - best) >= 0.0:
            return exercise_value(sign, spot, strike), sign, 0.0
        premium = _premium(sign, best, strike, years, rate, volatility, dividend_yield)
        away = log_moneyness(spot, best, years, _NO_CARRY, _NO_CARRY)
        second, first = _curvature(
            sign, best, strike, years, rate, volatility, dividend_yield, premium, spread
        )
        divisor = 1.0 - away * (second * away + first)
        if premium > 0.0 and divisor > 0.0:
            extra = premium * math.exp(root * away) / divisor
            tilt = (2.0 * second * away + first) / divisor
            slope = root + tilt
            bend = 2.0 * second / divisor + tilt * tilt
            price += extra
            delta += extra * slope / spot
            gamma += extra * (slope * slope - slope + bend) / (spot * spot)
    least, least_delta = american_lower_bound(sign, spot, strike, years, rate, dividend_yield)
    if price <= least:
        return least, least_delta, 0.0
    most = american_upper_bound(sign, spot, strike, years, rate, dividend_yield)
    if price > most:
        return most, (delta if sign < 0.0 else most / spot), 0.0
    return price, delta, gamma


@kernel_jit
def american_exercise_spot(
    sign: float, strike: float, years: float, rate: float, volatility: float, dividend_yield: float
) -> float:
    """Spot from which one exercises at once, above for a call, below for a put; NaN where one never does."""
    gain = dividend_yield if sign > 0.0 else rate
    if not (strike > 0.0 and years > 0.0 and gain > 0.0 and volatility * math.sqrt(years) > _CERTAIN):
        return math.nan
    root, _ = _exponent(sign, years, rate, volatility, dividend_yield)
    return _exercise_spot(sign, strike, years, rate, volatility, dividend_yield, root)


@kernel_jit
def american_vega(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the American price per 1.00 of volatility, by central differences."""
    bump = _BUMP * volatility
    if not bump > 0.0:
        return 0.0 * volatility
    up = american_price(sign, spot, strike, years, rate, volatility + bump, dividend_yield)
    down = american_price(sign, spot, strike, years, rate, volatility - bump, dividend_yield)
    return (up - down) / (2.0 * bump)


@kernel_jit
def american_theta(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the American price per year that passes, by central differences; 0 at expiry."""
    bump = _BUMP * years
    if not bump > 0.0:
        return 0.0 * years
    longer = american_price(sign, spot, strike, years + bump, rate, volatility, dividend_yield)
    shorter = american_price(sign, spot, strike, years - bump, rate, volatility, dividend_yield)
    return (shorter - longer) / (2.0 * bump)


@kernel_jit
def american_rho(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the American price per 1.00 of the interest rate, by central differences."""
    up = american_price(sign, spot, strike, years, rate + _RATE_BUMP, volatility, dividend_yield)
    down = american_price(sign, spot, strike, years, rate - _RATE_BUMP, volatility, dividend_yield)
    return (up - down) / (2.0 * _RATE_BUMP)


@kernel_jit
def _exponent(
    sign: float, years: float, rate: float, volatility: float, dividend_yield: float
) -> tuple[float, float]:
    # lambda, the power of the spot with which the premium grows, and the root that it comes from. alpha / h
    # of the paper is written so that it stays finite without interest.
    variance = volatility * volatility
    earned = rate * years
    slack = 1.0 if earned == 0.0 else earned / -carried(rate, years)
    alpha_over_h = 2.0 * slack / (variance * years)
    drift = 2.0 * (rate - dividend_yield) / variance - 1.0
    spread = math.sqrt(drift * drift + 4.0 * alpha_over_h)
    if sign * drift > 0.0:  # the two terms would cancel
        return 2.0 * sign * alpha_over_h / (sign * drift + spread), spread
    return 0.5 * (sign * spread - drift), spread


@kernel_jit
def _premium(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    # Exercise value less European price at a spot in the money, by parity, so that no digits are lost.
    parity = sign * (strike * carried(rate, years) - spot * carried(dividend_yield, years))
    return parity - black_scholes_price(-sign, spot, strike, years, rate, volatility, dividend_yield)


@kernel_jit
def _exercise_spot(
    sign: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
    root: float,
) -> float:
    # Where the value meets exercising smoothly. The equation rises from the strike into the money, so Newton
    # steps are kept between the strike's side and the other, which is unknown until it is met.
    total = volatility * math.sqrt(years)
    dividends = discount(dividend_yield, years)
    out, far = strike, 0.0
    forever = strike / (1.0 - 1.0 / root)
    reach = (sign * (dividend_yield - rate) * years - 2.0 * total) * strike / abs(forever - strike)
    best = strike + (forever - strike) * -math.expm1(min(reach, -_CERTAIN))
    for _ in range(_STEPS_MAX):
        d1 = d_one(best, strike, years, rate, volatility, dividend_yield)
        held = 1.0 - dividends * normal_cdf(sign * d1)
        premium = _premium(sign, best, strike, years, rate, volatility, dividend_yield)
        value = premium - sign * held * best / root
        slope = sign * held * (1.0 - 1.0 / root) + dividends * normal_pdf(d1) / (root * total)
        if value < 0.0:
            out = best
        else:
            far = best
        after = best - value / slope if slope != 0.0 else math.nan
        if far > 0.0:
            inside = min(out, far) <= after <= max(out, far)
        else:
            inside = sign * (after - out) >= 0.0 and after > 0.0
        if not inside:
            after = math.sqrt(out * far) if far > 0.0 else best * (2.0 if sign > 0.0 else 0.5)
        moved = abs(after - best)
        best = after
        if moved <= _CLOSE * best:
            break
    return best


@kernel_jit
def _curvature(
    sign: float,
    best: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
    premium: float,
    spread: float,
) -> tuple[float, float]:
    # Ju and Zhong's b and c, the coefficients of log(S / S*)^2 and log(S / S*) in chi. Where S* is more than
    # two deviations away (low rates, short lives) their 1 - chi has a zero among the spots at which one holds
    # on, and the price a pole; so c is kept below _POLE_SHARE of the value at which the zero appears.
    variance = volatility * volatility
    drift = 2.0 * (rate - dividend_yield) / variance - 1.0
    alpha_over_h = 0.25 * (spread * spread - drift * drift)
    ratio = alpha_over_h / spread
    strike_part = discount(rate, years)
    d1 = d_one(best, strike, years, rate, volatility, dividend_yield)
    carried_spot = best * discount(dividend_yield, years)
    root_years = math.sqrt(years)
    ageing = (
        0.5 * carried_spot * normal_pdf(d1) * volatility / root_years
        - sign * dividend_yield * carried_spot * normal_cdf(sign * d1)
        + sign * rate * strike * strike_part * normal_cdf(sign * (d1 - volatility * root_years))
    )
    second = -0.5 * strike_part * ratio * ratio
    steepness = 2.0 * ageing / (variance * premium) + strike_part * (alpha_over_h - ratio * ratio)
    pole = 2.0 * math.sqrt(-second)
    return second, -sign * min(steepness / spread, _POLE_SHARE * pole)


@kernel_jit
def american_lower_bound(
    sign: float, spot: float, strike: float, years: float, rate: float, dividend_yield: float
) -> tuple[float, float]:
    """Worth without volatility, and its delta: exercising now, at expiry, or at the turn between."""
    value = exercise_value(sign, spot, strike)
    delta = sign if value > 0.0 else 0.0
    if not years > 0.0:
        return value, delta
    at_expiry = sign * forward_gap(spot, strike, years, rate, dividend_yield)
    if at_expiry > value:
        value, delta = at_expiry, sign * discount(dividend_yield, years)
    if rate * dividend_yield > 0.0 and rate != dividend_yield:
        away = log_moneyness(spot, strike, years, _NO_CARRY, _NO_CARRY)
        when = (away + math.log(dividend_yield / rate)) / (dividend_yield - rate)
        if 0.0 < when < years:
            later = sign * forward_gap(spot, strike, when, rate, dividend_yield)
            if later > value:
                value, delta = later, sign * discount(dividend_yield, when)
    return value, delta


@kernel_jit
def american_upper_bound(
    sign: float, spot: float, strike: float, years: float, rate: float, dividend_yield: float
) -> float:
    """Worth at infinite volatility, which no American price exceeds."""
    if sign > 0.0:
        return spot * max(1.0, discount(dividend_yield, years))
    return strike * max(1.0, discount(rate, years))
