"""The price band: a price far from the last one is not entered on until it has held.

A bar whose open, high, low or close lies further from the last trusted close than the band is kept, because a
real crash looks the same and stops have to act on it, but no entry is decided there. The level is trusted
again when a bar comes back into the band, or when it has held for `settle` bars. A split moves the reference
with the price. What cannot be a price at all, zero, negative, a high below its low, never gets here: the
guard of the bars makes it a missing bar.

>>> band = PriceBand(1, fraction=0.4, settle=3)
>>> [band.judge(np.array([[price] * 4])).tolist() for price in (10.0, 10.5, 105.0, 10.4, 20.0, 20.1, 20.2)]
[[False], [False], [True], [False], [True], [True], [False]]
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.bars.arrays import Bools, Floats
from simulator.errors import ConfigError

__all__ = ["BAND", "SETTLE", "PriceBand"]

BAND: Final = 0.4
"""Largest move that needs no confirmation, as a fraction of the last trusted close."""
SETTLE: Final = 3
"""Bars within a band of each other that make a new level the price."""


class PriceBand:
    """One reference price per symbol.

    Parameters
    ----------
    symbols
        Number of symbols.
    fraction
        Half width of the band, above 0 and below 1: 0.4 lets 6 to 14 pass after 10.
    settle
        Bars after which a level that holds is the price.

    Raises
    ------
    ConfigError
        FEED_BAND.
    """

    def __init__(self, symbols: int, *, fraction: float = BAND, settle: int = SETTLE) -> None:
        if not 0 < fraction < 1 or settle < 1:
            raise ConfigError(
                f"the price band is {fraction!r} and settles in {settle!r} bars; give a fraction between 0 "
                "and 1, and at least one bar",
                code="FEED_BAND",
            )
        self.fraction, self.settle = fraction, settle
        self.reference = np.full(symbols, np.nan)
        self._level = np.full(symbols, np.nan)
        self._held = np.zeros(symbols, np.int64)

    def split(self, column: int, ratio: float) -> None:
        """Move the reference of a symbol whose shares became `ratio` shares each."""
        self.reference[column] /= ratio
        self._level[column] /= ratio

    def judge(self, prices: Floats) -> Bools:
        """Return where one bar, (S, 4) prices with NaN for none, is outside the band; and remember it."""
        outside = np.zeros(len(prices), np.bool_)
        for column in np.flatnonzero(~np.isnan(prices[:, 3])):
            outside[column] = self._outside(int(column), prices[column])
        return outside

    def _outside(self, column: int, prices: Floats) -> bool:
        close = float(prices[3])
        reference = self.reference[column]
        if np.isnan(reference) or self._near(prices, reference):
            self.reference[column], self._held[column] = close, 0
            return False
        if self._held[column] and self._near(prices[3:], self._level[column]):
            self._held[column] += 1
        else:
            self._held[column] = 1
        self._level[column] = close
        if self._held[column] < self.settle:
            return True
        self.reference[column], self._held[column] = close, 0
        return False

    def _near(self, prices: Floats, reference: float) -> bool:
        return bool((abs(prices / reference - 1.0) <= self.fraction).all())
