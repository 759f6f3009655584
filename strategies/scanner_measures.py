"""What a package can bring, lose and tie up: payoff, margin, probability, expected value, Greeks.

Packages of two expiries have no common payoff: `scanner_calendars` values them at the front one. `books` are
the strips that the legs come from, one per leg.

`worth` is the kernel's word: what the package is worth to its holder per unit of the underlying, negative for
a credit, shares included. Everything at expiry is piecewise linear in the price of the underlying, so its
extremes lie at a strike, at zero or at infinity. The margin rules repeat those of the simulator's packages
(`simulator/kernel/collateral.py`) on plain numbers; a test opens the same packages there and compares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from simulator.opportunity import OptionLeg
from strategies.scanner_strip import Strip

__all__ = [
    "Extremes",
    "break_evens",
    "expected_value",
    "extremes",
    "margin_of",
    "package_greeks",
    "probability_of_profit",
    "probability_within",
    "stress_loss",
]

NAKED_SHARE: Final = 0.20
"""Of the underlying, that the exchange asks for a sold option, less what it is out of the money."""
NAKED_FLOOR: Final = 0.10
"""The least it asks: of the underlying for calls, of the strike for puts."""
STRESS_DEVIATIONS: Final = 2.0
STRESS_SESSIONS: Final = 5
SESSIONS_A_YEAR: Final = 252.0

Legs = Sequence[OptionLeg]
Books = Sequence[Strip]


@dataclass(frozen=True, slots=True)
class Extremes:
    """Lowest and highest value of a package at expiry, per unit of the underlying, and whether bounded.

    `lowest` is over prices from zero to the highest strike; beyond it a falling value has no bound.
    """

    lowest: float
    highest: float
    bounded_below: bool
    bounded_above: bool


def extremes(legs: Legs) -> Extremes:
    """Return the extremes of a package's value at expiry."""
    knots = [0.0, *(leg.strike for leg in legs)]
    values = [_value(legs, spot) for spot in knots]
    slope = _slope(legs)
    return Extremes(min(values), max(values), slope >= 0, slope <= 0)


def break_evens(legs: Legs, worth: float) -> tuple[float, ...]:
    """Return the prices at expiry where profit changes sign, ascending."""
    knots = sorted({0.0, *(leg.strike for leg in legs)})
    tiny = 1e-12 * max(1.0, knots[-1])  # a profit that is zero but for rounding is zero
    profits = [_value(legs, spot) - worth for spot in knots]
    profits = [0.0 if abs(profit) < tiny else profit for profit in profits]
    roots = [knot for knot, profit in zip(knots, profits, strict=True) if profit == 0.0 and knot > 0]
    for (left, right), (low, high) in zip(pairwise(knots), pairwise(profits), strict=True):
        if low * high < 0:
            roots.append(left + (right - left) * low / (low - high))
    slope = _slope(legs)
    if slope * profits[-1] < 0:
        roots.append(knots[-1] - profits[-1] / slope)
    edges = [0.0, *sorted(roots), math.inf]
    # between two roots the sign is one and the same; a root where it stays is a touch, not a crossing
    signs = [_sign(_value(legs, _between(low, high)) - worth, tiny) for low, high in pairwise(edges)]
    return tuple(
        edge for edge, (left, right) in zip(edges[1:-1], pairwise(signs), strict=True) if left != right
    )


def probability_of_profit(legs: Legs, worth: float, strip: Strip) -> float:
    """Return the risk-neutral probability of a profit at expiry, from the strip's smile."""
    return probability_within(break_evens(legs, worth), lambda spot: _value(legs, spot) > worth, strip)


def probability_within(edges: Sequence[float], gains: Callable[[float], bool], strip: Strip) -> float:
    """Return the probability of ending where something is gained, which changes at the edges only."""
    bounds = [0.0, *(edge for edge in edges if edge > 0), math.inf]
    below = strip.below(np.array(bounds))
    total = 0.0
    for (left, right), (low, high) in zip(pairwise(bounds), pairwise(below.tolist()), strict=True):
        if gains(_between(left, right)):
            total += high - low
    return min(1.0, max(0.0, total))


def expected_value(legs: Legs, worth: float, books: Books) -> float:
    """Return the present value of the payoff less what the package costs, per unit of the underlying.

    Each option counts at its European value under its strip's smile, shares at their price: dividends that
    lower it are paid to whoever holds them. What outlives the front expiry counts at that value too: what it
    is expected to be worth then, discounted, is what it is worth now.
    """
    from simulator.options.pricing import price

    total = 0.0
    for leg, strip in zip(legs, books, strict=True):
        if leg.kind == "shares":
            fair = strip.spot
        else:
            volatility = float(strip.smile(np.array([leg.strike]))[0])
            fair = price(
                leg.kind, strip.spot, leg.strike, strip.years, strip.rate, volatility, strip.dividend_yield
            )
        total += leg.side * leg.ratio * fair
    return total - worth


def margin_of(legs: Legs, worth: float, spot: float, *, naked: bool) -> float:
    """Return what a package holds back, per unit of the underlying: the rules of the simulator's packages.

    Defined risk: the most that it can cost at expiry, infinite where nothing bounds it. Naked: 20 % of the
    underlying less what the sold option is out of the money, at least 10 %, for the dearer side, plus the
    package's present worth; sold calls that a bought one or shares cover are not counted.
    """
    ends = extremes(legs)
    if not naked:
        return max(0.0, -ends.lowest) if ends.bounded_below else math.inf
    calls = puts = 0.0
    for leg in legs:
        if leg.side > 0 or leg.kind == "shares":
            continue
        if leg.kind == "call":
            out = max(0.0, leg.strike - spot)
            calls += leg.ratio * max(NAKED_SHARE * spot - out, NAKED_FLOOR * spot)
        else:
            out = max(0.0, spot - leg.strike)
            puts += leg.ratio * max(NAKED_SHARE * spot - out, NAKED_FLOOR * leg.strike)
    if ends.bounded_below:
        calls = 0.0
    return max(calls, puts) + max(0.0, -worth)


def stress_loss(legs: Legs, worth: float, books: Books) -> float:
    """Return the loss at two deviations over five sessions, per unit of the underlying; 0 or more.

    The underlying jumps at once by exp(±2 · ATM IV · √(min(DTE, 5) / 252)); volatilities and time to expiry
    stay, which is the dear reading of "over five sessions".
    """
    from simulator.options.pricing import price

    front = min(books, key=lambda strip: strip.expiry)
    reach = STRESS_DEVIATIONS * front.atm_iv * math.sqrt(min(front.dte, STRESS_SESSIONS) / SESSIONS_A_YEAR)
    losses = [0.0]
    for sign in (-1.0, 1.0):
        spot = front.spot * math.exp(sign * reach)
        value = 0.0
        for leg, strip in zip(legs, books, strict=True):
            fair = (
                spot
                if leg.kind == "shares"
                else price(
                    leg.kind, spot, leg.strike, strip.years, strip.rate, leg.iv, strip.dividend_yield,
                    strip.style,
                )
            )  # fmt: skip
            value += leg.side * leg.ratio * fair
        losses.append(worth - value)
    return max(losses)


def package_greeks(legs: Legs, books: Books) -> tuple[float, float, float]:
    """Return delta, theta per day and vega per point of a package, per unit of the underlying."""
    from simulator.options.pricing import greeks

    delta = theta = vega = 0.0
    for leg, strip in zip(legs, books, strict=True):
        units = leg.side * leg.ratio
        if leg.kind == "shares":
            delta += units
            continue
        each = greeks(
            leg.kind,
            strip.spot,
            leg.strike,
            strip.years,
            strip.rate,
            leg.iv,
            strip.dividend_yield,
            strip.style,
        )
        delta += units * each.delta
        theta += units * each.theta
        vega += units * each.vega
    return delta, theta, vega


def _value(legs: Legs, spot: float) -> float:
    return sum(leg.value_at(spot) for leg in legs)


def _between(low: float, high: float) -> float:
    return low + max(1.0, low) if math.isinf(high) else (low + high) / 2


def _sign(value: float, tiny: float) -> int:
    return 0 if abs(value) < tiny else int(math.copysign(1, value))


def _slope(legs: Legs) -> int:
    """Return how fast the value grows beyond the highest strike."""
    return sum(leg.side * leg.ratio for leg in legs if leg.kind != "put")
