"""Channels: rolling extremes and the Donchian channel."""

from __future__ import annotations

import numpy.typing as npt

from strategies.indicators import _kernels
from strategies.indicators._gaps import apply, check_length
from strategies.indicators._jit import Array

__all__ = ["donchian", "rolling_high", "rolling_low"]


def rolling_high(values: npt.ArrayLike, length: int) -> Array:
    """Highest of the last `length` bars, this one included; NaN for the first `length` - 1.

    Shape (T,) or (T, S); missing bars (NaN) are skipped and keep the last value.
    """
    return apply(_kernels.rolling_high, [values], check_length("rolling_high", length))[0]


def rolling_low(values: npt.ArrayLike, length: int) -> Array:
    """Lowest of the last `length` bars, this one included; NaN for the first `length` - 1."""
    return apply(_kernels.rolling_low, [values], check_length("rolling_low", length))[0]


def donchian(high: npt.ArrayLike, low: npt.ArrayLike, length: int = 20) -> tuple[Array, Array, Array]:
    """Donchian channel: (upper, lower, middle) of the last `length` bars, this one included.

    A breakout compares with the channel of the bars before: `lag(upper)`, or a close could never exceed it.
    """
    upper = rolling_high(high, length)
    lower = rolling_low(low, length)
    return upper, lower, (upper + lower) / 2.0
