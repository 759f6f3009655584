"""Volatility: true range, ATR, deviation, Bollinger bands, realised volatility."""

from __future__ import annotations

import numpy.typing as npt

from strategies.indicators import _kernels
from strategies.indicators._gaps import apply, check_length
from strategies.indicators._jit import Array

__all__ = ["atr", "bollinger", "realised_volatility", "rolling_std", "true_range"]


def true_range(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike) -> Array:
    """Greatest of high - low and the distances of high and low to the previous close, in currency.

    Shapes (T,) or (T, S). NaN on the first bar, which has no previous close; a bar with NaN in any input is
    skipped, and the next one measures from the last close there was.
    """
    return apply(_kernels.true_range, [high, low, close])[0]


def atr(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, length: int = 14) -> Array:
    """Wilder's average true range, in currency: how far a typical bar travels.

    Defined from bar `length` on (the first true range needs a previous close); the last value on missing
    bars. Source: Wilder 1978.
    """
    return apply(_atr, [high, low, close], check_length("atr", length))[0]


def rolling_std(values: npt.ArrayLike, length: int, *, ddof: int = 0) -> Array:
    """Root mean square deviation of the last `length` bars; `ddof` 0 for the population, 1 for a sample."""
    length = check_length("rolling_std", length, minimum=ddof + 1)
    return apply(_kernels.rolling_std, [values], length, ddof)[0]


def bollinger(values: npt.ArrayLike, length: int = 20, width: float = 2.0) -> tuple[Array, Array, Array]:
    """Bollinger bands: (middle, upper, lower), the average and `width` population deviations around it."""
    middle = apply(_kernels.rolling_mean, [values], check_length("bollinger", length))[0]
    spread = width * rolling_std(values, length)
    return middle, middle + spread, middle - spread


def realised_volatility(close: npt.ArrayLike, length: int = 20, periods_per_year: float = 252.0) -> Array:
    """Annualised volatility of the last `length` log returns, as a fraction (0.2 is 20 % a year).

    Sample deviation times the root of `periods_per_year` (252 for exchange sessions, 365 for markets that
    never close). NaN for the first `length` bars; closes must be positive.
    """
    length = check_length("realised_volatility", length, minimum=2)
    return apply(_kernels.volatility, [close], length, float(periods_per_year))[0]


def _atr(high: Array, low: Array, close: Array, length: int) -> Array:
    ranges: Array = _kernels.true_range(high, low, close)
    return _kernels.wilder(ranges, length)
