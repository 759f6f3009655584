"""Curves over time for the script: times as steps, values with the digits that are seen.

Long curves keep first, lowest, highest and last value of every stretch, so that no drawdown is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["curve_of", "session_times"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POINTS: Final = 3_000
_SECOND: Final = 1_000_000_000


def session_times(bars: Bars, first: int, last: int) -> tuple[Ints, Ints]:
    """Return the last row of each session in a window, and its label in seconds since 1970."""
    ends = np.flatnonzero(np.diff(bars.session_no[first:last], append=bars.session_no[last - 1] + 1))
    rows = np.asarray(first + ends, np.int64)
    return rows, np.asarray(bars.ts[rows] // _SECOND, np.int64)


def curve_of(
    rows: Ints,
    times: Ints,
    curves: Sequence[tuple[str, Floats]],
    *,
    unit: str = "currency",
    folds: Sequence[int] = (),
    level: float | None = None,
) -> dict[str, Any]:
    """Return what the script draws as lines.

    Parameters
    ----------
    rows, times : (n,)
        Place of each point on the axis of all charts of the page, and its time in seconds.
    curves
        Name and values, shape (n,), of one or two lines; NaN is a gap.
    unit
        "currency", or "percent" for fractions.
    folds
        Places at which a new fold begins.
    level
        A value with a line of its own, as 0.
    """
    kept = _thinned([values for _, values in curves])
    found: dict[str, Any] = {
        "draw": "lines",
        "unit": unit,
        "row": np.diff(rows[kept], prepend=0).tolist(),
        "time": np.diff(times[kept], prepend=0).tolist(),
        "lines": [{"name": name, "values": _short(values[kept])} for name, values in curves],
        "folds": [int(place) for place in folds],
    }
    return found if level is None else found | {"level": level}


def _thinned(curves: Sequence[Floats]) -> Ints:
    count = len(curves[0])
    if count <= POINTS:
        return np.arange(count)
    kept = {0, count - 1}
    for begin, end in pairwise(
        np.linspace(0, count, POINTS // (2 + 2 * len(curves)) + 1).astype(int).tolist()
    ):
        kept.add(begin)
        for values in curves:
            part = values[begin:end]
            if np.isfinite(part).any():
                kept |= {begin + int(np.nanargmin(part)), begin + int(np.nanargmax(part))}
    return np.array(sorted(kept), np.int64)


def _short(values: Floats) -> list[float | None]:
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values.tolist()]
