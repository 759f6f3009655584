"""Packages of two expiries, valued at the front one: a modelled value, since no payoff says what is left.

At the front expiry the sold legs are worth their payoff, and each bought back leg its model price for the
time that is left, at the volatility that its own quote has today. So maximum profit and break-evens are
modelled: they move with the back volatility, which is the trade's main risk. The maximum loss is the debit as
long as no back leg is worth less than the front leg it answers; American options never are, European ones can
be, deep in the money (`lowest` says by how much).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.bars.arrays import Floats
from simulator.opportunity import OptionLeg
from strategies.scanner_measures import probability_within
from strategies.scanner_strip import Strip

__all__ = ["FrontValue", "front_value"]

DAYS_A_YEAR: Final = 365.0
_REACH: Final = 5.0
"""Multiples of the underlying, up and down, that are looked at."""
_POINTS: Final = 2001
_FINER: Final = 33
"""Points into which a stretch that holds a break-even is cut, again and again."""
_ROUNDS: Final = 9


@dataclass(frozen=True, slots=True)
class FrontValue:
    """What a package of two expiries can be worth at the front one, per unit of the underlying.

    Attributes
    ----------
    highest, lowest
        Over all prices of the underlying from almost nothing to five times today's.
    break_evens
        Prices of the underlying at which it is worth what it costs, ascending.
    probability
        Of being worth more than it costs, from the front strip's smile.
    """

    highest: float
    lowest: float
    break_evens: tuple[float, ...]
    probability: float


def front_value(legs: Sequence[OptionLeg], books: Sequence[Strip], worth: float) -> FrontValue:
    """Return what a package that costs `worth` can be worth at its front expiry.

    Parameters
    ----------
    legs, books
        Legs of two expiries, and the strip that each comes from.
    worth
        What is paid per unit of the underlying.
    """
    front = min(books, key=lambda strip: strip.expiry)
    reach = np.log(_REACH)
    grid = front.spot * np.exp(np.linspace(-reach, reach, _POINTS))
    strikes = [leg.strike for leg in legs]
    # between two sold strikes the value is convex, since all that is left is bought: the peaks are strikes
    grid = np.unique(np.concatenate((grid, strikes, [1e-6 * front.spot])))
    values = _values(legs, books, front, grid)
    edges = tuple(
        _root(legs, books, front, worth, float(grid[at]), float(grid[at + 1]))
        for at in np.flatnonzero((values[1:] > worth) != (values[:-1] > worth))
    )

    def gains(spot: float) -> bool:
        return bool(_values(legs, books, front, np.array([spot]))[0] > worth)

    return FrontValue(
        highest=float(values.max()),
        lowest=float(values.min()),
        break_evens=edges,
        probability=probability_within(edges, gains, front),
    )


def _values(legs: Sequence[OptionLeg], books: Sequence[Strip], front: Strip, spot: Floats) -> Floats:
    from simulator.options.pricing import price

    total = np.zeros(spot.size)
    for leg, strip in zip(legs, books, strict=True):
        years = (strip.expiry - front.expiry) / DAYS_A_YEAR
        if years > 0:
            each = price(
                leg.kind, spot, leg.strike, years, strip.rate, leg.iv, strip.dividend_yield, strip.style
            )
        else:
            each = np.maximum((spot - leg.strike) * (1.0 if leg.kind == "call" else -1.0), 0.0)
        total += leg.side * leg.ratio * np.asarray(each, np.float64)
    return total


def _root(
    legs: Sequence[OptionLeg], books: Sequence[Strip], front: Strip, worth: float, low: float, high: float
) -> float:
    for _ in range(_ROUNDS):
        grid = np.linspace(low, high, _FINER)
        above = _values(legs, books, front, grid) > worth
        at = int(np.argmax(above[1:] != above[:-1]))
        low, high = float(grid[at]), float(grid[at + 1])
    return (low + high) / 2
