"""The modelled option surface, one number at a time: what the step asks for each open leg on each bar.

A surface is one flat float64 record (`SURFACE_FIELDS`, in this order), so it travels with the other
parameters. At-the-money variance follows a mean-reverting forward variance that is anchored to the IV index;
the smile is the surface of Gatheral and Jacquier ("Arbitrage-free SVI volatility surfaces", Quantitative
Finance 14, 2014) in normalised moneyness, with a correlation that grows with the term (Hendriks and Martini,
"The extended SSVI volatility surface", Journal of Computational Finance 22, 2019).

Everything here is a plain formula of scalars: `simulator.options.surface` runs the same functions over
arrays, so both faces give the same bits. Where an input is not positive or not a number, the answer is NaN.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.kernel._jit import kernel_jit

__all__ = [
    "SURFACE_FIELDS",
    "ask_of",
    "atm_variance",
    "bid_of",
    "correlation_at",
    "forward_price",
    "smile_variance",
    "spreads_over",
    "strike_at_d1",
    "strikes_over",
    "surface_volatility",
    "volatilities_over",
]

SURFACE_FIELDS: Final = (
    "atm_share",
    "long_run",
    "reversion",
    "index_years",
    "curvature",
    "correlation_short",
    "correlation_long",
    "correlation_years",
    "index_floor",
    "index_cap",
    "spread_root",
    "spread_cap",
    "spread_factor",
    "tick_below",
    "tick_above",
    "tick_level",
)
"""The record's fields in order; meanings and units are those of `simulator.options.Surface`."""

_ATM_SHARE: Final = 0
_LONG_RUN: Final = 1
_REVERSION: Final = 2
_INDEX_YEARS: Final = 3
_CURVATURE: Final = 4
_CORRELATION_SHORT: Final = 5
_CORRELATION_LONG: Final = 6
_CORRELATION_YEARS: Final = 7
_INDEX_FLOOR: Final = 8
_INDEX_CAP: Final = 9
_SPREAD_ROOT: Final = 10
_SPREAD_CAP: Final = 11
_SPREAD_FACTOR: Final = 12
_TICK_BELOW: Final = 13
_TICK_ABOVE: Final = 14
_TICK_LEVEL: Final = 15

Floats = npt.NDArray[np.float64]

# Half a minute: below it a smile in normalised moneyness has no meaning, and an option is its payoff.
SHORTEST_YEARS: Final = 1e-6
# Today's forward variance stays above this share of the index squared, so that a quiet index under a high
# long-run mean cannot make it negative.
LEAST_SHARE: Final = 0.25
# Halvings of a bracket of +-64 standard deviations: below the spacing of floats at any strike.
HALVINGS: Final = 70


@kernel_jit
def _average(rate: float, years: float) -> float:
    """Mean of exp(-rate * t) over t from 0 to `years`."""
    product = rate * years
    if product < 1e-9:
        return 1.0
    return -math.expm1(-product) / product


@kernel_jit
def atm_variance(surface: Floats, index: float, years: float) -> float:
    """Total variance at the forward over `years`, from an index in fractions (0.2 is 20 %)."""
    level = min(max(index, surface[_INDEX_FLOOR]), surface[_INDEX_CAP])
    squared = level * level
    mean = surface[_LONG_RUN] * surface[_LONG_RUN]
    rate = surface[_REVERSION]
    now = mean + (squared - mean) / _average(rate, surface[_INDEX_YEARS])
    now = max(now, LEAST_SHARE * squared)
    average = mean + (now - mean) * _average(rate, years)
    return surface[_ATM_SHARE] * surface[_ATM_SHARE] * average * years


@kernel_jit
def correlation_at(surface: Floats, index: float, variance: float) -> float:
    """Correlation of the smile, its tilt, at the term whose variance at the forward is `variance`.

    The term counts in years of variance at the index's level: on that clock a bound on the parameters alone
    rules out calendar arbitrage, in a panic as well, where variance beyond the front hardly grows.
    """
    level = surface[_ATM_SHARE] * min(max(index, surface[_INDEX_FLOOR]), surface[_INDEX_CAP])
    clock = variance / (level * level)
    change = surface[_CORRELATION_LONG] - surface[_CORRELATION_SHORT]
    return surface[_CORRELATION_SHORT] + change * clock / (clock + surface[_CORRELATION_YEARS])


@kernel_jit
def smile_variance(variance: float, correlation: float, curvature: float, moneyness: float) -> float:
    """Total variance at log-moneyness log(strike / forward), from the total variance at the forward."""
    x = curvature * moneyness / math.sqrt(variance)
    tilted = x + correlation
    return (
        0.5
        * variance
        * (1.0 + correlation * x + math.sqrt(tilted * tilted + 1.0 - correlation * correlation))
    )


@kernel_jit
def forward_price(spot: float, rate: float, dividend_yield: float, years: float) -> float:
    """Price for delivery in `years`, at continuous rates per year."""
    return spot * math.exp((rate - dividend_yield) * years)


@kernel_jit
def surface_volatility(surface: Floats, index: float, forward: float, strike: float, years: float) -> float:
    """Implied volatility of a strike, as a fraction per year."""
    if not (index > 0.0 and forward > 0.0 and strike > 0.0 and years >= 0.0):
        return math.nan
    span = max(years, SHORTEST_YEARS)
    variance = atm_variance(surface, index, span)
    correlation = correlation_at(surface, index, variance)
    total = smile_variance(variance, correlation, surface[_CURVATURE], math.log(strike / forward))
    return math.sqrt(total / span)


@kernel_jit
def strike_at_d1(surface: Floats, index: float, forward: float, years: float, d1: float) -> float:
    """Strike whose d1 on the surface is `d1`.

    On a surface free of arbitrage d1 falls as the strike rises (Fukasawa, "The normalizing transformation of
    the implied volatility smile", Mathematical Finance 22, 2012), so halving finds the only answer.
    """
    if not (index > 0.0 and forward > 0.0 and years >= 0.0 and abs(d1) < math.inf):
        return math.nan
    span = max(years, SHORTEST_YEARS)
    variance = atm_variance(surface, index, span)
    correlation = correlation_at(surface, index, variance)
    low = -64.0 * math.sqrt(variance)
    high = -low
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        total = smile_variance(variance, correlation, surface[_CURVATURE], middle)
        if 0.5 * total - middle > d1 * math.sqrt(total):
            low = middle
        else:
            high = middle
    return forward * math.exp(0.5 * (low + high))


@kernel_jit
def _half_spread(surface: Floats, price: float) -> float:
    return 0.5 * surface[_SPREAD_FACTOR] * min(surface[_SPREAD_ROOT] * math.sqrt(price), surface[_SPREAD_CAP])


@kernel_jit
def _tick(surface: Floats, price: float) -> float:
    return surface[_TICK_BELOW] if price < surface[_TICK_LEVEL] else surface[_TICK_ABOVE]


@kernel_jit
def _cents(price: float) -> float:
    """Price without the rounding of a product with the tick: 3 * 0.05 is not 0.15."""
    return math.floor(price * 100.0 + 0.5) / 100.0


@kernel_jit
def bid_of(surface: Floats, price: float) -> float:
    """Bid around a model price, on the tick grid; 0 where nobody bids."""
    if not price >= 0.0:
        return math.nan
    raw = price - _half_spread(surface, price)
    tick = _tick(surface, raw)
    if tick <= 0.0:
        return max(raw, 0.0)
    # so much of a tick is rounding of the division
    return _cents(max(math.floor(raw / tick + 1e-9), 0.0) * tick)


@kernel_jit
def ask_of(surface: Floats, price: float) -> float:
    """Ask around a model price, on the tick grid, above the bid."""
    if not price >= 0.0:
        return math.nan
    raw = price + _half_spread(surface, price)
    tick = _tick(surface, raw)
    if tick <= 0.0:
        return raw
    ask = _cents(max(math.ceil(raw / tick - 1e-9), 1.0) * tick)
    if ask <= bid_of(surface, price):
        return _cents(ask + tick)
    return ask


@kernel_jit.entry
def volatilities_over(
    surface: Floats,
    index: Floats,
    spot: Floats,
    rate: Floats,
    dividend_yield: Floats,
    strike: Floats,
    years: Floats,
    out: Floats,
) -> None:
    """Fill `out` with the implied volatility of each row; all arrays are flat and of one length."""
    for row in range(out.size):
        forward = forward_price(spot[row], rate[row], dividend_yield[row], years[row])
        out[row] = surface_volatility(surface, index[row], forward, strike[row], years[row])


@kernel_jit.entry
def strikes_over(
    surface: Floats, index: Floats, forward: Floats, years: Floats, d1: Floats, out: Floats
) -> None:
    """Fill `out` with the strike of each row's d1."""
    for row in range(out.size):
        out[row] = strike_at_d1(surface, index[row], forward[row], years[row], d1[row])


@kernel_jit.entry
def spreads_over(surface: Floats, price: Floats, bid: Floats, ask: Floats) -> None:
    """Fill `bid` and `ask` around each model price."""
    for row in range(price.size):
        bid[row] = bid_of(surface, price[row])
        ask[row] = ask_of(surface, price[row])
