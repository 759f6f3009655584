"""Implied volatility of one American option, for compiled callers.

An American price is flat in the volatility up to the one at which holding on begins to pay; below that the
price determines nothing. From the European answer, which is an upper bound, the root is bracketed and found
by inverse quadratic steps (Chandrupatla 1997), since the approximation has no cheap exact vega.
"""

from __future__ import annotations

import math
from typing import Final

from simulator.kernel._jit import kernel_jit
from simulator.kernel.black_scholes_american import (
    american_lower_bound,
    american_price,
    american_upper_bound,
    american_vega,
)
from simulator.kernel.black_scholes_implied import (
    IV_ABOVE_BOUND,
    IV_BELOW_INTRINSIC,
    IV_INDETERMINATE,
    IV_INVALID,
    IV_OK,
    black_scholes_implied_volatility,
    determines,
)

__all__ = ["american_implied_volatility"]

_START: Final = 0.5
_MAX: Final = 1e3
_STEPS_MAX: Final = 64
_CLOSE: Final = 1e-12


@kernel_jit
def american_implied_volatility(
    sign: float,
    price: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    dividend_yield: float,
) -> tuple[float, int]:
    """Volatility at which an American option is worth `price`, and a status; NaN unless that is `IV_OK`."""
    known = spot > 0.0 and strike > 0.0 and years >= 0.0
    if not known or math.isnan(price + rate + dividend_yield):
        return math.nan, IV_INVALID
    least, _ = american_lower_bound(sign, spot, strike, years, rate, dividend_yield)
    if price < least:
        return math.nan, IV_BELOW_INTRINSIC
    if price == least:
        return math.nan, IV_INDETERMINATE
    if years <= 0.0 or price >= american_upper_bound(sign, spot, strike, years, rate, dividend_yield):
        return math.nan, IV_ABOVE_BOUND
    high, status = black_scholes_implied_volatility(sign, price, spot, strike, years, rate, dividend_yield)
    if status != IV_OK:
        high = _START
    excess = american_price(sign, spot, strike, years, rate, high, dividend_yield) - price
    low = 0.0
    shortfall = least - price
    while excess < 0.0:
        if high > _MAX:
            return math.nan, IV_ABOVE_BOUND
        low, shortfall = high, excess
        high *= 2.0
        excess = american_price(sign, spot, strike, years, rate, high, dividend_yield) - price
    volatility = _bracketed(
        sign, price, spot, strike, years, rate, dividend_yield, low, shortfall, high, excess
    )
    vega = american_vega(sign, spot, strike, years, rate, volatility, dividend_yield)
    if not determines(vega, price):
        return math.nan, IV_INDETERMINATE
    return volatility, IV_OK


@kernel_jit
def _bracketed(
    sign: float,
    price: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    dividend_yield: float,
    low: float,
    shortfall: float,
    high: float,
    excess: float,
) -> float:
    # Chandrupatla: inverse quadratic steps where the three last points allow them, halving where not.
    here, at_here = high, excess
    there, at_there = low, shortfall
    share = 0.5
    for _ in range(_STEPS_MAX):
        if at_here == 0.0:
            break
        after = here + share * (there - here)
        at_after = american_price(sign, spot, strike, years, rate, after, dividend_yield) - price
        if (at_after > 0.0) == (at_here > 0.0):
            past, at_past = here, at_here
        else:
            past, at_past = there, at_there
            there, at_there = here, at_here
        here, at_here = after, at_after
        width = abs(there - here)
        margin = _CLOSE * here / max(width, _CLOSE * here)
        if margin > 0.5:
            break
        share = 0.5
        position = (here - there) / (past - there)
        fall = (at_here - at_there) / (at_past - at_there)
        if fall * fall < position and (1.0 - fall) * (1.0 - fall) < 1.0 - position:
            share = at_here / (at_there - at_here) * at_past / (at_there - at_past)
            share += (
                (past - here)
                / (there - here)
                * at_here
                / (at_past - at_here)
                * at_there
                / (at_past - at_there)
            )
        share = min(max(share, margin), 1.0 - margin)
    return here
