"""Momentum: relative strength and rate of change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.indicators import _kernels
from strategies.indicators._gaps import apply, check_length
from strategies.indicators._jit import Array

__all__ = ["rate_of_change", "rsi"]


def rsi(values: npt.ArrayLike, length: int = 14) -> Array:
    """Wilder's relative strength index, 0 to 100; 50 where prices have not moved at all.

    Parameters
    ----------
    values
        Closes, shape (T,) or (T, S); NaN is a missing bar and is skipped.
    length
        Bars of the average gain and loss, at least 1.

    Returns
    -------
    Array
        NaN for the first `length` bars, the last value on missing bars. Source: Wilder 1978.
    """
    return apply(_kernels.rsi, [values], check_length("rsi", length))[0]


def rate_of_change(values: npt.ArrayLike, length: int) -> Array:
    """Change over `length` existing bars, as a fraction of the older value; NaN for the first `length`."""
    length = check_length("rate_of_change", length)
    return apply(_change, [values], length)[0]


def _change(values: Array, length: int) -> Array:
    out = np.full(values.size, np.nan)
    if values.size > length:
        out[length:] = values[length:] / values[:-length] - 1.0
    return out
