"""What an open package earns at each price of its underlying: at its first expiry, and today.

The line at expiry has its kinks at the strikes, and is exact; where legs end at different dates it is drawn
at the first of them, and what lives longer is priced. The line of today is priced too, every leg at the
volatility that it is given, held wherever the underlying goes: a model, also where the volatility was quoted.
Without the volatility of some leg there is no such line. Amounts are in currency for the whole position, fees
aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Diagram", "Terms", "diagram", "worth"]

Floats = npt.NDArray[np.float64]

DAYS_PER_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Terms:
    """A package and what it was bought for.

    Attributes
    ----------
    legs : (N,) LEG
        Of which right (1 call, -1 put, 0 shares), strike (NaN of shares) and expiry (days since 1970) count.
    units : (N,) float64
        Contracts of each leg per package, below 0 for sold ones.
    volatility : (N,) float64
        Of each leg as a fraction, NaN: unknown, or shares.
    paid
        Per unit of the underlying, below 0 for a credit; shares among the legs are paid for in it.
    size
        Packages times multiplier.
    day
        Date of "today" in days since 1970.
    rate, carry
        Risk-free rate and dividend yield a year, as fractions.
    american
        Whether the options may be exercised early.
    """

    legs: npt.NDArray[np.void]
    units: Floats
    volatility: Floats
    paid: float
    size: float
    day: int
    rate: float = 0.0
    carry: float = 0.0
    american: bool = False

    @property
    def first(self) -> int:
        """First expiry, days since 1970."""
        return int(self.legs["expiry"][self.legs["right"] != 0].min())

    @property
    def alike(self) -> bool:
        """Whether all options end on one day."""
        return bool((self.legs["expiry"][self.legs["right"] != 0] == self.first).all())


@dataclass(frozen=True, slots=True, eq=False)
class Diagram:
    """Both lines.

    Attributes
    ----------
    spots, today : (P,) float64
        Prices of the underlying, and what is earned there today; NaN where a volatility is unknown.
    corners, expiry : (K,) float64
        The same at the first expiry, straight between its points.
    break_evens
        Prices at which nothing is earned at expiry, rising.
    priced
        Whether the line at expiry is priced, too.
    """

    spots: Floats
    today: Floats
    corners: Floats
    expiry: Floats
    break_evens: tuple[float, ...]
    priced: bool


def diagram(terms: Terms, *, entry_spot: float | None, spot: float | None) -> Diagram | None:
    """Return the lines of a package, over a range that holds strikes, break-evens and both prices.

    None where legs end at different dates and one that lives longer has no volatility.
    """
    from simulator.results.payoff import POINTS, price_span, value_at_expiry, zero_crossings

    strikes = terms.legs["strike"][terms.legs["right"] != 0]

    def at_expiry(prices: Floats) -> Floats:
        if terms.alike:
            return value_at_expiry(terms.legs, terms.units, prices) - terms.paid
        return worth(terms, prices, terms.first) - terms.paid

    known = [one for one in (entry_spot, spot) if one is not None]
    middle = known[0] if known else float(strikes.mean())
    # beyond the last strike the line is straight, and a break-even lies no further off than what was paid
    top = max(2.0 * max(middle, float(strikes.max())), 1.1 * (float(strikes.max()) + abs(terms.paid)))
    wide = np.unique([0.0, *strikes, top] if terms.alike else [*np.linspace(0.0, top, 4 * POINTS), *strikes])
    zeros = zero_crossings(wide, at_expiry(wide))
    spots = price_span(middle, known[-1] if known else np.nan, strikes, zeros)
    corners = np.unique([spots[0], spots[-1], *strikes] if terms.alike else [*spots, *strikes])
    expiry = at_expiry(corners)
    if not np.isfinite(expiry).all():
        return None
    if not terms.alike:
        zeros = zero_crossings(corners, expiry)
    today = np.full(len(spots), np.nan)
    if terms.day <= terms.first:
        today = worth(terms, spots, terms.day) - terms.paid
    return Diagram(
        spots, terms.size * today, corners, terms.size * expiry, tuple(zeros), priced=not terms.alike
    )


def worth(terms: Terms, spots: Floats, day: int) -> Floats:
    """Return what the legs are worth at the close of a day, per unit of the underlying; NaN: unknown."""
    from simulator.options.pricing import price
    from simulator.results.payoff import value_at_expiry

    total = np.zeros(len(spots))
    for leg, units, volatility in zip(terms.legs, terms.units, terms.volatility, strict=True):
        years = (int(leg["expiry"]) - day) / DAYS_PER_YEAR
        if leg["right"] == 0 or years <= 0.0:
            total += value_at_expiry(np.array([leg]), np.array([units]), spots)
        elif not volatility > 0.0:
            return np.full(len(spots), np.nan)
        else:
            # a model has no price at 0
            total += units * price(
                np.full(len(spots), float(leg["right"])), np.maximum(spots, 1e-9), float(leg["strike"]),
                years, terms.rate, float(volatility), terms.carry,
                "american" if terms.american else "european",
            )  # fmt: skip
    return total
