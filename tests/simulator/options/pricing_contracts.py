"""Random contracts for the tests of pricing: from a day to five years, 3 to 200 %, six deviations wide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "RandomContracts", "random_contracts"]

Array = npt.NDArray[np.float64]


class RandomContracts(NamedTuple):
    """Arrays of one length, in the order of the arguments of `price`."""

    sign: Array
    spot: Array
    strike: Array
    years: Array
    rate: Array
    volatility: Array
    dividend_yield: Array

    @property
    def forward(self) -> Array:
        """Forward of the underlying."""
        forward: Array = self.spot * np.exp((self.rate - self.dividend_yield) * self.years)
        return forward

    @property
    def discount(self) -> Array:
        """Today's value of 1 at expiry."""
        discount: Array = np.exp(-self.rate * self.years)
        return discount

    @property
    def flags(self) -> list[str]:
        """The letters by which vollib knows calls and puts."""
        return np.where(self.sign > 0, "c", "p").tolist()  # type: ignore[no-any-return]  # of strings

    def lists(self) -> list[list[float]]:
        """The arrays as lists, faster to walk through."""
        return [column.tolist() for column in self]


def random_contracts(count: int, seed: int, *, deviations: float = 6.0) -> RandomContracts:
    """Draw contracts; strikes lie within so many deviations of the forward."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([1.0, -1.0], count)
    spot = np.exp(rng.uniform(np.log(1.0), np.log(5000.0), count))
    years = np.exp(rng.uniform(np.log(1 / 365), np.log(5.0), count))
    volatility = np.exp(rng.uniform(np.log(0.03), np.log(2.0), count))
    rate = rng.uniform(-0.02, 0.10, count)
    dividend_yield = rng.uniform(0.0, 0.08, count)
    away = rng.uniform(-deviations, deviations, count) * volatility * np.sqrt(years)
    strike = spot * np.exp((rate - dividend_yield) * years + away)
    return RandomContracts(sign, spot, strike, years, rate, volatility, dividend_yield)
