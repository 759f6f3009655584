"""Implied volatility of one European contract, for compiled callers.

The price is brought to its out-of-the-money side and scaled, then one increasing function of the total
volatility is inverted by Halley's method inside a bracket. Three forms of that function keep it nearly
straight: below the point where the price turns from convex to concave, `(-log price)^(-1/2)`, which tends to
a line through the origin in the far wing; above it the price itself; near its upper bound the logarithm of
what is missing. Source of the split: Jäckel 2015.
"""

from __future__ import annotations

import math
from typing import Final

from simulator.kernel._jit import kernel_jit
from simulator.kernel.black_scholes import (
    discount,
    forward_gap,
    log_moneyness,
    normal_pdf,
    out_of_the_money,
)

__all__ = [
    "IV_ABOVE_BOUND",
    "IV_BELOW_INTRINSIC",
    "IV_INDETERMINATE",
    "IV_INVALID",
    "IV_OK",
    "black_scholes_implied_volatility",
    "determines",
]

IV_OK: Final = 0
IV_INDETERMINATE: Final = 1
IV_BELOW_INTRINSIC: Final = 2
IV_ABOVE_BOUND: Final = 3
IV_INVALID: Final = 4

_RESOLUTION: Final = 1e-8  # volatility that must move the price by more than its rounding
_ROUNDING_ULPS: Final = 4.0
_ROOT_TWO: Final = math.sqrt(2.0)
_ROOT_TWO_PI: Final = math.sqrt(2.0 * math.pi)
_CLOSE: Final = 1e-6  # relative step whose cube, the error after it, is below rounding
_STEPS_MAX: Final = 64
_LOWER: Final = 0
_MIDDLE: Final = 1
_UPPER: Final = 2


@kernel_jit
def black_scholes_implied_volatility(
    sign: float,
    price: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    dividend_yield: float,
) -> tuple[float, int]:
    """Volatility at which a European option is worth `price`, and a status; NaN unless the status is `IV_OK`.

    `IV_INDETERMINATE` where 1e-8 of volatility moves the price by no more than 4 units in its last place.
    """
    known = spot > 0.0 and strike > 0.0 and years >= 0.0
    if not known or math.isnan(price + rate + dividend_yield):
        return math.nan, IV_INVALID
    spot_part = spot * discount(dividend_yield, years)
    strike_part = strike * discount(rate, years)
    least = max(sign * forward_gap(spot, strike, years, rate, dividend_yield), 0.0)
    if price < least:
        return math.nan, IV_BELOW_INTRINSIC
    if price > least and price >= (spot_part if sign > 0.0 else strike_part):
        return math.nan, IV_ABOVE_BOUND
    scale = math.sqrt(spot_part) * math.sqrt(strike_part)
    x = -abs(log_moneyness(spot, strike, years, rate, dividend_yield))
    bound = math.exp(0.5 * x)
    target = (price - least) / scale
    if target <= 0.0:
        return math.nan, IV_INDETERMINATE
    if years <= 0.0 or target >= bound:
        return math.nan, IV_ABOVE_BOUND
    total = _total_volatility(target, x, bound)
    root = math.sqrt(years)
    if not determines(scale * _slope(x, total) * root, price):
        return math.nan, IV_INDETERMINATE
    return total / root, IV_OK


@kernel_jit
def determines(vega: float, price: float) -> bool:
    """Whether `price`, rounded as floats are, tells volatilities apart that differ by 1e-8."""
    _, exponent = math.frexp(price)
    return vega * _RESOLUTION > _ROUNDING_ULPS * math.ldexp(1.0, exponent - 53)


@kernel_jit
def _total_volatility(target: float, x: float, bound: float) -> float:
    turn = math.sqrt(-2.0 * x)
    at_turn = out_of_the_money(x, turn)
    low, high = turn, math.inf
    if target < at_turn:
        form = _LOWER
        goal = 1.0 / math.sqrt(-math.log(target))
        low, high = 0.0, turn
        total = turn * goal * math.sqrt(-math.log(at_turn))
    elif target <= 0.5 * bound:
        form = _MIDDLE
        goal = target
        # the tangent at the turn lies above a concave curve, so it leads to the left of the root
        total = turn + (target - at_turn) * _ROOT_TWO_PI / bound
    else:
        form = _UPPER
        goal = -math.log(bound - target)
        total = max(turn, _ROOT_TWO * 2.0 * math.sqrt(-math.log((bound - target) / bound)))
    for _ in range(_STEPS_MAX):
        value, slope, curve = _form(form, x, total, bound)
        if value < goal:
            low = total
        else:
            high = total
        after = math.nan
        if slope > 0.0:
            step = (goal - value) / slope
            after = total + step / max(1.0 + 0.5 * step * curve, 0.5)
        if not (after > 0.0 and low <= after <= high):
            after = 0.5 * (low + high) if high < math.inf else 2.0 * total
        moved = abs(after - total)
        total = after
        if moved <= _CLOSE * total:
            break
    return total


@kernel_jit
def _form(form: int, x: float, total: float, bound: float) -> tuple[float, float, float]:
    # Value of the increasing function, its slope, and its second derivative over its first.
    slope = _slope(x, total)
    h = x / total
    curve = h * h / total - 0.25 * total
    if form == _UPPER:
        t = 0.5 * total
        missing = 0.5 * (bound * math.erfc((h + t) / _ROOT_TWO) + math.erfc((t - h) / _ROOT_TWO) / bound)
        if missing <= 0.0:
            return math.inf, 0.0, 0.0
        return -math.log(missing), slope / missing, curve + slope / missing
    price = out_of_the_money(x, total)
    if form == _MIDDLE:
        return price, slope, curve
    if price <= 0.0:
        return 0.0, 0.0, 0.0
    relative = slope / price
    depth = -math.log(price)
    value = 1.0 / math.sqrt(depth)
    return value, 0.5 * relative * value / depth, curve - relative + 1.5 * relative / depth


@kernel_jit
def _slope(x: float, total: float) -> float:
    # Derivative of the scaled price by the total volatility, the same for calls and puts.
    h = x / total
    return normal_pdf(h) * math.exp(-0.125 * total * total)
