"""Black-Scholes-Merton prices and Greeks of one contract, for compiled callers.

A contract is `(sign, spot, strike, years, rate, volatility, dividend_yield)`, all floats: sign is `CALL` or
`PUT`; rates and yields are continuous. Greeks here are plain derivatives: per year, per 1.00 of volatility or
rate (`simulator.options.pricing` turns them into the units that traders read).

The price is that of the out-of-the-money side plus the discounted forward's distance to the strike, so that
neither side loses digits to a subtraction. What does not make sense (a spot of zero, NaN) gives NaN; nothing
raises. Sources: Merton 1973; for the out-of-the-money price in scaled form, Jäckel 2015.
"""

from __future__ import annotations

import math
from typing import Final

from simulator.kernel._jit import kernel_jit

__all__ = [
    "CALL",
    "PUT",
    "black_scholes_delta",
    "black_scholes_gamma",
    "black_scholes_price",
    "black_scholes_rho",
    "black_scholes_theta",
    "black_scholes_vega",
    "carried",
    "d_one",
    "discount",
    "exercise_value",
    "forward_gap",
    "log_moneyness",
    "normal_cdf",
    "normal_pdf",
    "out_of_the_money",
]

CALL: Final = 1.0
PUT: Final = -1.0

_ROOT_TWO: Final = math.sqrt(2.0)
_ROOT_HALF_PI: Final = math.sqrt(0.5 * math.pi)
_ONE_OVER_ROOT_TWO_PI: Final = 1.0 / math.sqrt(2.0 * math.pi)
_FAR: Final = 100.0  # deviations beyond which a normal tail is zero in float64
_EXPONENT_MAX: Final = 700.0  # exp overflows at 709
_RATIO_MIN: Final = 1e-300  # of spot to strike, so that none is 0 or infinite
_RATIO_MAX: Final = 1e300
_SERIES_BELOW: Final = 0.1  # half of the total volatility up to which the price is a series in it
_SERIES_TERMS: Final = 6  # the seventh is below 1e-17 of the sum
_TAIL_BEYOND: Final = 4.0  # deviations where 1 - z Y(z) has lost a digit and the fraction converges fast
_FRACTION_TERMS: Final = 20  # of the continued fraction, by twos; full precision at _TAIL_BEYOND


@kernel_jit
def black_scholes_price(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Price of a European option in the currency of `spot`; the exercise value where `years` is 0 or less."""
    if years <= 0.0:
        return exercise_value(sign, spot, strike)
    if not (spot > 0.0 and strike > 0.0 and volatility >= 0.0):
        return math.nan
    x = log_moneyness(spot, strike, years, rate, dividend_yield)
    scale = math.sqrt(spot * discount(dividend_yield, years)) * math.sqrt(strike * discount(rate, years))
    value = scale * out_of_the_money(-abs(x), volatility * math.sqrt(years))
    gap = sign * forward_gap(spot, strike, years, rate, dividend_yield)
    if gap > 0.0:
        value += gap
    return value


@kernel_jit
def black_scholes_delta(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the price per unit of spot; at expiry 1 or 0, and one half at the strike (times `sign`)."""
    d1 = d_one(spot, strike, years, rate, volatility, dividend_yield)
    return sign * discount(dividend_yield, years) * normal_cdf(sign * d1)


@kernel_jit
def black_scholes_gamma(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of delta per unit of spot; 0 where nothing is uncertain any more."""
    d1 = d_one(spot, strike, years, rate, volatility, dividend_yield)
    width = spot * volatility * math.sqrt(max(years, 0.0))
    if width <= 0.0:
        return 0.0 * d1
    return discount(dividend_yield, years) * normal_pdf(d1) / width


@kernel_jit
def black_scholes_vega(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the price per 1.00 of volatility."""
    d1 = d_one(spot, strike, years, rate, volatility, dividend_yield)
    return spot * discount(dividend_yield, years) * normal_pdf(d1) * math.sqrt(max(years, 0.0))


@kernel_jit
def black_scholes_theta(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the price per year that passes; 0 at expiry."""
    d1 = d_one(spot, strike, years, rate, volatility, dividend_yield)
    if years <= 0.0:
        return 0.0 * d1
    root = math.sqrt(years)
    carried_spot = spot * discount(dividend_yield, years)
    decay = -0.5 * carried_spot * normal_pdf(d1) * volatility / root
    dividends = dividend_yield * carried_spot * normal_cdf(sign * d1)
    interest = rate * strike * discount(rate, years) * normal_cdf(sign * (d1 - volatility * root))
    return decay + sign * (dividends - interest)


@kernel_jit
def black_scholes_rho(
    sign: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
) -> float:
    """Change of the price per 1.00 of the interest rate."""
    d1 = d_one(spot, strike, years, rate, volatility, dividend_yield)
    d2 = d1 - volatility * math.sqrt(max(years, 0.0))
    return sign * strike * max(years, 0.0) * discount(rate, years) * normal_cdf(sign * d2)


@kernel_jit
def exercise_value(sign: float, spot: float, strike: float) -> float:
    """Return what exercising at once brings."""
    value = sign * (spot - strike)
    if value < 0.0:
        return 0.0
    return value


@kernel_jit
def normal_cdf(z: float) -> float:
    """Return the standard normal distribution, exact in relative terms in the left tail."""
    return 0.5 * math.erfc(-z / _ROOT_TWO)


@kernel_jit
def normal_pdf(z: float) -> float:
    """Return the standard normal density."""
    return _ONE_OVER_ROOT_TWO_PI * math.exp(-0.5 * z * z)


@kernel_jit
def discount(rate: float, years: float) -> float:
    """Today's value of 1 paid in `years`; exponents stay within what a float holds."""
    return math.exp(min(max(-rate * years, -_EXPONENT_MAX), _EXPONENT_MAX))


@kernel_jit
def carried(rate: float, years: float) -> float:
    """`discount` less 1, without the loss of digits for a small exponent."""
    return math.expm1(min(max(-rate * years, -_EXPONENT_MAX), _EXPONENT_MAX))


@kernel_jit
def forward_gap(spot: float, strike: float, years: float, rate: float, dividend_yield: float) -> float:
    """Discounted forward less discounted strike, which is a call less a put.

    Written as a sum of small terms: near the money the two discounted values agree in most of their digits.
    """
    return (spot - strike) + (spot * carried(dividend_yield, years) - strike * carried(rate, years))


@kernel_jit
def log_moneyness(spot: float, strike: float, years: float, rate: float, dividend_yield: float) -> float:
    """Logarithm of the forward over the strike."""
    away = (spot - strike) / strike
    if abs(away) < 0.5:
        distance = math.log1p(away)
    else:
        distance = math.log(min(max(spot / strike, _RATIO_MIN), _RATIO_MAX))
    return distance + (rate - dividend_yield) * years


@kernel_jit
def d_one(
    spot: float, strike: float, years: float, rate: float, volatility: float, dividend_yield: float
) -> float:
    """Deviations between the forward and the strike, under the measure in which delta is a probability.

    Where nothing is uncertain any more it is 0 at the strike, and far away on either side.
    """
    if not (spot > 0.0 and strike > 0.0 and volatility >= 0.0):
        return math.nan
    left = max(years, 0.0)
    x = log_moneyness(spot, strike, left, rate, dividend_yield)
    total = volatility * math.sqrt(left)
    if total > 0.0:
        return min(max(x / total + 0.5 * total, -_FAR), _FAR + total)
    if x > 0.0:
        return _FAR
    if x < 0.0:
        return -_FAR
    return x + total


@kernel_jit
def out_of_the_money(x: float, total: float) -> float:
    """Undiscounted price of an option out of the money, over the root of forward times strike.

    `x` is minus the distance |log(forward / strike)|, `total` the volatility over the whole life. The price
    is a difference of two tails that agree in nearly all digits when `total` is small: there it is summed as
    a series in `total`, every term positive. Deep in the wing the two tails are scaled first.
    """
    if total <= 0.0:
        return 0.0 * (x + total)
    h = x / total
    t = 0.5 * total
    if t < _SERIES_BELOW:
        return _ONE_OVER_ROOT_TWO_PI * math.exp(-0.5 * (h * h + t * t)) * _difference(-h, t)
    if h + t < -_TAIL_BEYOND:
        scaled = _tail_ratio(-h - t) - _tail_ratio(t - h)
        return _ONE_OVER_ROOT_TWO_PI * math.exp(-0.5 * (h * h + t * t)) * scaled
    upper = math.exp(0.5 * x) * math.erfc(-(h + t) / _ROOT_TWO)
    lower = math.exp(min(-0.5 * x, _EXPONENT_MAX)) * math.erfc((t - h) / _ROOT_TWO)
    return 0.5 * (upper - lower)


@kernel_jit
def _tail_ratio(z: float) -> float:
    # Mills' ratio, tail over density, for z of at least _TAIL_BEYOND: Laplace's continued fraction.
    n = 2.0 * _FRACTION_TERMS
    below = _fraction_end(z, n + 1.0)
    while n > 0.0:
        below = n / (z + below)
        n -= 1.0
    return 1.0 / (z + below)


@kernel_jit
def _difference(a: float, t: float) -> float:
    # Y(a - t) - Y(a + t) of Mills' ratio Y, over its Taylor series: 2 sum t^(2k+1) / (2k+1)! |Y^(2k+1)(a)|.
    # The derivatives obey D(n+1) = n D(n-1) - a D(n). Forwards that loses digits for a large a; backwards the
    # ratios D(n) / D(n-1) form a continued fraction of positive terms.
    square = t * t
    if a < _TAIL_BEYOND:
        before = _ROOT_HALF_PI * math.exp(0.5 * a * a) * math.erfc(a / _ROOT_TWO)
        derivative = 1.0 - a * before
        weight = 1.0
        total = derivative
        n = 1.0
        for _ in range(_SERIES_TERMS):
            before, derivative = derivative, n * before - a * derivative
            before, derivative = derivative, (n + 1.0) * before - a * derivative
            n += 2.0
            weight *= square / (n * (n - 1.0))
            total += weight * derivative
        return 2.0 * t * total
    n = 2.0 * _FRACTION_TERMS
    ratio = _fraction_end(a, n + 2.0)
    total = 1.0
    while n > 0.0:
        odd = (n + 1.0) / (a + ratio)
        ratio = n / (a + odd)
        total = 1.0 + square / (n * (n + 1.0)) * odd * ratio * total
        n -= 2.0
    first = 1.0 / (a + ratio)
    return 2.0 * t * total * first / (a + first)


@kernel_jit
def _fraction_end(z: float, n: float) -> float:
    # What all further terms come to if they were alike: the positive root of r (z + r) = n.
    return 2.0 * n / (z + math.sqrt(z * z + 4.0 * n))
