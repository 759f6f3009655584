"""Charts of kept runs: growth, drawdown, and the growth of two runs over the time that they share or not.

All are in percent, so that runs of different size compare; money that was paid in is no growth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from twinstep.dashboard.charts.axes import (
    HEIGHT,
    WIDTH,
    Chart,
    dates,
    drawing,
    grid,
    height,
    labels,
    number,
    points,
    round_range,
    steps,
)
from twinstep.dashboard.charts.figures import curve
from twinstep.dashboard.words import percent, signed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.results.kept import WholeRun

__all__ = ["both", "drawdown", "growth"]

_NAMES: Final = ("A", "B")
_CLASSES: Final = ("first", "second")


def growth(run: WholeRun) -> Chart | None:
    """Return the total return by session, in percent; None where the run kept no curve."""
    return curve(run.ts, 100.0 * run.growth, "Total return in percent") if len(run.ts) else None


def drawdown(run: WholeRun) -> Chart | None:
    """Return how far equity was below its highest so far, in percent; None where there is no curve."""
    if not len(run.ts):
        return None
    below = np.concatenate(([0.0], 100.0 * run.drawdown))
    low, high, step = round_range(float(below.min()), 0.0, parts=2)
    x, y = points(run.ts, below)
    path = steps(x, height(y, low, high))
    words = f"Drawdown: {percent(float(below[-1]))} at the end, {percent(float(below.min()))} at its deepest"
    inside = (
        f'{grid(low, high, step)}<path class="area down" d="{path}V0H0Z"/>'
        f'<path class="line down" d="{path}"/>'
    )
    return Chart(drawing(inside, words, HEIGHT / 2), labels(low, high, step), dates(run.ts))


def both(a: WholeRun, b: WholeRun) -> Chart | None:
    """Return the growth of two runs, each at its own time; None where one kept no curve."""
    if not len(a.ts) or not len(b.ts):
        return None
    totals = [np.concatenate(([0.0], 100.0 * run.growth)) for run in (a, b)]
    ends = np.array([min(a.ts[0], b.ts[0]), max(a.ts[-1], b.ts[-1])], np.int64)
    low, high, step = round_range(
        min(float(one.min()) for one in totals), max(float(one.max()) for one in totals)
    )
    zero = number(float(height(np.zeros(1), low, high)[0]))
    parts = [grid(low, high, step), f'<line class="zero" x1="0" x2="{WIDTH:g}" y1="{zero}" y2="{zero}"/>']
    words = []
    for run, total, name, kind in zip((a, b), totals, _NAMES, _CLASSES, strict=True):
        x, y = _placed(run.ts, total, ends)
        parts.append(f'<path class="line {kind}" d="{steps(x, height(y, low, high))}"/>')
        words.append(f"{name} ends at {signed(float(total[-1]))}, lowest {signed(float(total.min()))}")
    along = dates(ends)
    text = f"Total return in percent from {along[0]} to {along[-1]}: {'; '.join(words)}"
    return Chart(drawing("".join(parts), text, HEIGHT), labels(low, high, step), along)


def _placed(
    ts: NDArray[np.int64], total: NDArray[np.float64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places on the time of both runs, and values."""
    x, y = points(ts, total)
    long = float(ends[1] - ends[0]) or 1.0
    left, right = (WIDTH * float(end - ends[0]) / long for end in (ts[0], ts[-1]))
    return left + x * (right - left) / WIDTH, y
