"""Trend: moving averages, MACD and directional movement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.indicators import _kernels
from strategies.indicators._gaps import apply, check_length
from strategies.indicators._jit import Array

__all__ = ["adx", "ema", "macd", "sma", "wilder"]


def sma(values: npt.ArrayLike, length: int) -> Array:
    """Arithmetic mean of the last `length` bars.

    Parameters
    ----------
    values
        Shape (T,) or (T, S), float64; NaN is a missing bar and is skipped.
    length
        Bars in the window, at least 1.

    Returns
    -------
    Array
        Shape of `values`; NaN for the first `length` - 1 bars, the last value on missing bars.
    """
    return apply(_kernels.rolling_mean, [values], check_length("sma", length))[0]


def ema(values: npt.ArrayLike, length: int) -> Array:
    """Exponential moving average with weight 2 / (length + 1), started at the first value.

    Equals pandas' `ewm(span=length, adjust=False, min_periods=length).mean()` on data without gaps. NaN for
    the first `length` - 1 bars, the last value on missing bars. The start fades by a factor of about
    exp(-2 / length) per bar: after 5 lengths of history its weight is below 0.01 %.
    """
    length = check_length("ema", length)
    return apply(_kernels.ema, [values], 2.0 / (length + 1.0), length)[0]


def wilder(values: npt.ArrayLike, length: int) -> Array:
    """Wilder's smoothed average: the mean of the first `length` values, then weight 1 / `length`.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    return apply(_kernels.wilder, [values], check_length("wilder", length))[0]


def macd(
    values: npt.ArrayLike, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[Array, Array, Array]:
    """MACD, how far two averages are apart: (line, signal line, histogram), in units of `values`.

    The line is `ema(values, fast) - ema(values, slow)`; the signal line is the `signal`-bar exponential
    average of the line, started where the line starts.
    """
    line = ema(values, fast) - ema(values, slow)
    # on a missing bar the line repeats its last value, which must not move the average a second time
    missing = np.isnan(np.asarray(values, dtype=np.float64))
    average = ema(np.where(missing, np.nan, line), signal)
    return line, average, line - average


def adx(
    high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, length: int = 14
) -> tuple[Array, Array, Array]:
    """Wilder's average directional index: (ADX, +DI, -DI), each 0 to 100.

    The directional indicators are defined from bar `length` on, the ADX from bar 2 `length` - 1 on. A bar
    with NaN in any input is skipped. Source: Wilder 1978.
    """
    length = check_length("adx", length)
    strength, plus, minus = apply(_kernels.adx, [high, low, close], length, outputs=3)
    return strength, plus, minus
