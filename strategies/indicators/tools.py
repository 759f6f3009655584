"""Small causal tools: look back, carry forward, find crossings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.indicators._gaps import check_length
from strategies.indicators._jit import Array

__all__ = ["carry", "crossed_above", "crossed_below", "first_after", "lag"]

Mask = npt.NDArray[np.bool_]


def lag(values: npt.ArrayLike, rows: int = 1) -> Array:
    """Return the values of `rows` rows earlier, NaN at the start; never wraps around, never looks ahead.

    On an indicator, which keeps its last value over missing bars, one row back is the last bar there was.
    """
    rows = check_length("lag", rows)
    given = np.asarray(values, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    if len(given) > rows:
        out[rows:] = given[:-rows]
    return out


def carry(values: npt.ArrayLike) -> Array:
    """Fill missing bars with the last value before them; NaN stays where nothing came before."""
    given = np.asarray(values, dtype=np.float64)
    shape = (-1,) + (1,) * (given.ndim - 1)
    source = np.where(np.isnan(given), 0, np.arange(len(given)).reshape(shape))
    source = np.maximum.accumulate(source, axis=0)
    return np.take_along_axis(given, source, axis=0)


def crossed_above(first: npt.ArrayLike, second: npt.ArrayLike) -> Mask:
    """Where `first` is above `second` and was not one row before; False where either row has NaN."""
    one, two = np.broadcast_arrays(np.asarray(first, np.float64), np.asarray(second, np.float64))
    before, level = lag(one), lag(two)
    return (one > two) & (before <= level)


def crossed_below(first: npt.ArrayLike, second: npt.ArrayLike) -> Mask:
    """Where `first` is below `second` and was not one row before; False where either row has NaN."""
    return crossed_above(second, first)


def first_after(event: npt.ArrayLike, since: npt.ArrayLike) -> Mask:
    """Keep an event only if `since` was true since the event before: the first exit after an entry.

    Boolean arrays of one shape, (T,) or (T, S). A strategy that closes what it may hold uses this to say so
    once, instead of on every bar that would justify it. The first event of all is kept: what it closes may
    have been opened before the data begins.
    """
    events, starts = np.asarray(event, bool), np.asarray(since, bool)
    count = 1 + np.cumsum(starts, axis=0)
    counted = np.maximum.accumulate(np.where(events, count, 0), axis=0)
    before = np.zeros_like(counted)
    before[1:] = counted[:-1]
    return np.asarray(events & (count > before))
