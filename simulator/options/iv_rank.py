"""IV rank and IV percentile: how high implied volatility stands among its own last year, 0 to 100.

Rank is the place between the window's lowest and highest value; one spike a year ago holds it down for a
year. Percentile counts days. They correlate (0.85 on the VIX since 1990) and mean different things: the VIX
stands above rank 50 on 18 % of days, above percentile 50 on 46 %. Both take a window of 252 sessions that
includes today, and are NaN, "unknown", before there is one: never 0 and never 50. The input should have a
constant maturity; the IV of the nearest expiry jumps at every expiry and ranks its own jumps.

>>> import numpy as np
>>> iv_rank(np.array([0.2, 0.1, 0.3, 0.15]), window=3)
array([ nan,  nan, 100.,  25.])
>>> iv_percentile(np.array([0.2, 0.1, 0.3, 0.15]), window=3)
array([ nan,  nan, 100.,  50.])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Floats
from simulator.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WINDOW", "iv_percentile", "iv_rank"]

WINDOW: Final = 252
"""Sessions in a year."""
LEAST_WINDOW: Final = 2
MISSING_SHARE: Final = 0.05  # of a window that may be missing days
ROUNDING: Final = 1e-9  # of the highest value: a range below it is what rounding left of equal values


@overload
def iv_rank(iv: pd.Series[Any], window: int = ...) -> pd.Series[Any]: ...
@overload
def iv_rank(iv: npt.ArrayLike, window: int = ...) -> Floats: ...
def iv_rank(iv: Any, window: int = WINDOW) -> Any:
    """Return 100 * (iv - min) / (max - min) over the last `window` sessions, today included.

    Parameters
    ----------
    iv
        Implied volatility per session, in any unit: array of shape (n,) or Series.
    window
        Sessions in the window, at least 2.

    Returns
    -------
    Array or Series as given, 0 to 100, NaN for unknown: on the first `window - 1` sessions, on a day without
    IV, and in a window of equal values, which says nothing. Missing days (NaN, infinite, or not above 0,
    which no volatility is) are not counted as sessions: the window is the last `window` known values, as long
    as at most 5 % of the sessions it reaches over are missing; beyond that the answer is NaN.

    Raises
    ------
    ConfigError
        CONFIG_WINDOW for a window below 2.
    DataError
        DATA_SHAPE for anything but one dimension, DATA_TYPE for anything but numbers.

    Notes
    -----
    Time is O(n). tastytrade and others publish the same measure; check whether theirs includes today.
    """
    return _rolling(iv, window, _rank)


@overload
def iv_percentile(iv: pd.Series[Any], window: int = ...) -> pd.Series[Any]: ...
@overload
def iv_percentile(iv: npt.ArrayLike, window: int = ...) -> Floats: ...
def iv_percentile(iv: Any, window: int = WINDOW) -> Any:
    """Return the percentage of the window's other sessions on which IV was below today's.

    Today belongs to the window and does not count itself: with a window of 252 it is compared with the 251
    sessions before, so that the highest value of the window gives 100 and the lowest 0. Equal values do not
    count as below. Parameters, NaN policy and errors are those of `iv_rank`. Time is O(n log window).
    """
    return _rolling(iv, window, _percentile)


def _rolling(iv: Any, window: int, measure: Any) -> Any:
    import pandas as pd

    if not isinstance(window, (int, np.integer)) or window < LEAST_WINDOW:
        raise ConfigError(
            f"a window of {window!r} sessions has no range; give at least {LEAST_WINDOW}",
            code="CONFIG_WINDOW",
        )
    try:
        values = np.asarray(iv, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"implied volatility must be numbers: {error}", code="DATA_TYPE") from error
    if values.ndim != 1:
        raise DataError(f"implied volatility has shape {values.shape}, must be (n,)", code="DATA_SHAPE")
    known = np.flatnonzero(np.isfinite(values) & (values > 0))
    answer = np.full(values.size, np.nan)
    if known.size >= window:
        found = measure(pd.Series(values[known]).rolling(int(window)), values[known], int(window))
        reach = known[window - 1 :] - known[: known.size - window + 1] + 1
        found[window - 1 :][reach * (1 - MISSING_SHARE) > window] = np.nan
        answer[known] = found
    if isinstance(iv, pd.Series):
        return pd.Series(answer, index=iv.index, name=iv.name).__finalize__(iv)
    return answer


def _rank(rolling: Any, values: Floats, window: int) -> Floats:
    low, high = rolling.min().to_numpy(), rolling.max().to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        place = (values - low) / (high - low)  # first, so that the highest is 1 and its rank 100 exactly
    return np.where(_ranges(low, high), 100 * place, np.nan)


def _percentile(rolling: Any, values: Floats, window: int) -> Floats:
    below = rolling.rank(method="min").to_numpy() - 1
    ranges = _ranges(rolling.min().to_numpy(), rolling.max().to_numpy())
    return np.where(ranges, 100 * below / (window - 1), np.nan)


def _ranges(low: Floats, high: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(high - low > ROUNDING * high)
