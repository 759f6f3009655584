"""Charts of figures, as SVG whose colours are classes: a page of ours has no inline style.

A drawing is stretched to the width that there is, so no text is inside: what is written at the axes stands
beside it in the page, at even distances, and strokes keep their width. Each chart says in words what it
shows; small ones, whose figures stand beside them in their row, say nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

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
    trades,
)
from twinstep.dashboard.words import signed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from journal.performance.statistics import Interval

__all__ = ["curve", "distribution", "fall", "span"]

BIN: Final = 0.5
"""Width of a bar of the distribution, in R; half of it where few R lie between the ends."""
_SPAN_WIDTH: Final = 120.0
_SPAN_HEIGHT: Final = 14.0
_LEFTMOST, _RIGHTMOST = -6, 10  # in R: what is beyond is counted at the end


def curve(ts: NDArray[np.int64], values: NDArray[np.float64], name: str, *, by_trade: bool = False) -> Chart:
    """Return a line that begins at 0 and steps to each value at its time (UTC ns, ascending, not empty).

    With `by_trade` each step is as wide as any other, however long it was until the next.
    """
    at, along = _places(ts, by_trade)
    total = np.concatenate(([0.0], values))
    low, high, step = round_range(float(total.min()), float(total.max()))
    x, y = points(at, total)
    path = steps(x, height(y, low, high))
    zero = number(float(height(np.zeros(1), low, high)[0]))
    words = (
        f"{name} from {along[0]} to {along[-1]}: ends at {signed(float(total[-1]))}, "
        f"highest {signed(float(total.max()))}, lowest {signed(float(total.min()))}"
    )
    tone = "up" if total[-1] >= 0 else "down"
    inside = (
        f'{grid(low, high, step)}<path class="area {tone}" d="{path}V{zero}H0Z"/>'
        f'<line class="zero" x1="0" x2="{WIDTH:g}" y1="{zero}" y2="{zero}"/>'
        f'<path class="line {tone}" d="{path}"/>'
    )
    return Chart(drawing(inside, words, HEIGHT), labels(low, high, step), along)


def fall(ts: NDArray[np.int64], values: NDArray[np.float64], name: str, *, by_trade: bool = False) -> Chart:
    """Return how far a sum was below its highest, or below the 0 it began at; never above 0."""
    at, along = _places(ts, by_trade)
    total = np.concatenate(([0.0], values))
    below = np.minimum(0.0, total - np.maximum.accumulate(total))
    low, high, step = round_range(float(below.min()), 0.0, parts=2)
    x, y = points(at, below)
    path = steps(x, height(y, low, high))
    words = f"{name}: {signed(float(below[-1]))} at the end, {signed(float(below.min()))} at its deepest"
    inside = (
        f'{grid(low, high, step)}<path class="area down" d="{path}V0H0Z"/>'
        f'<path class="line down" d="{path}"/>'
    )
    return Chart(drawing(inside, words, HEIGHT / 2), labels(low, high, step), along)


def _places(ts: NDArray[np.int64], by_trade: bool) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return where the steps are, and the words below them."""
    return (np.arange(len(ts)), trades(len(ts))) if by_trade else (ts, dates(ts))


def distribution(values: NDArray[np.float64], mean: float | None, interval: Interval | None) -> Chart:
    """Return bars of how many trades made how many R, with their mean and its interval (not empty)."""
    left = int(max(_LEFTMOST, min(-1, math.floor(float(values.min())))))
    right = int(min(_RIGHTMOST, max(1, math.ceil(float(values.max())))))
    step = next(one for one in (1, 2, 4) if (right - left) / one <= 8)
    right += -(right - left) % step
    narrow = BIN / 2 if right - left <= 4 else BIN
    edges = np.arange(left, right + narrow / 2, narrow)
    counts, _ = np.histogram(np.clip(values, left, right), bins=edges)
    _, top, each = round_range(0.0, float(counts.max()), whole=True)
    wide = WIDTH / len(counts)

    def place(r: float) -> float:
        return WIDTH * (min(max(r, left), right) - left) / (right - left)

    parts = [grid(0.0, top, each)]
    if interval is not None:
        low, high = place(interval.low), place(interval.high)
        parts.append(
            f'<rect class="band" x="{number(low)}" y="0" width="{number(high - low)}" height="{HEIGHT:g}"/>'
        )
    for at, (edge, count) in enumerate(zip(edges.tolist(), counts.tolist(), strict=False)):
        tall = HEIGHT * count / top
        several = "trade" if count == 1 else "trades"
        parts.append(
            f'<rect class="bar {"up" if edge >= 0 else "down"}" x="{number(at * wide)}" '
            f'y="{number(HEIGHT - tall)}" width="{number(wide * 0.92)}" height="{number(tall)}">'
            f"<title>{signed(edge)} to {signed(edge + narrow)} R: {count} {several}</title></rect>"
        )
    zero = number(place(0.0))
    parts.append(f'<line class="zero" x1="{zero}" x2="{zero}" y1="0" y2="{HEIGHT:g}"/>')
    words = f"{len(values)} trades by R, from {signed(float(values.min()))} to {signed(float(values.max()))}"
    if mean is not None:
        at_mean = number(place(mean))
        parts.append(f'<line class="mean" x1="{at_mean}" x2="{at_mean}" y1="0" y2="{HEIGHT:g}"/>')
        words += f", mean {signed(mean)}"
    along = [signed(float(r), 0) for r in range(left, right + 1, step)]
    if values.min() < left:
        along[0] = f"≤ {along[0]}"
    if values.max() > right:
        along[-1] = f"≥ {along[-1]}"
    ticks = tuple(f"{one:g}" for one in np.arange(top, -each / 2, -each).tolist())
    return Chart(drawing("".join(parts), words, HEIGHT), ticks, tuple(along))


def span(value: float | None, low: float | None, high: float | None, ends: tuple[float, float]) -> Markup:
    """Return a figure within its interval, beside 0, on a range that the rows of a table share."""
    least, most = ends
    wide = (most - least) or 1.0

    def place(r: float) -> float:
        return 4 + (_SPAN_WIDTH - 8) * (min(max(r, least), most) - least) / wide

    middle, zero = _SPAN_HEIGHT / 2, number(place(0.0))
    parts = [f'<line class="zero" x1="{zero}" x2="{zero}" y1="0" y2="{_SPAN_HEIGHT:g}"/>']
    known = [one for one in (low, high) if one is not None and math.isfinite(one)]
    tone = "open"
    if len(known) == 2:
        tone = "up" if known[0] > 0 else "down" if known[1] < 0 else "open"
        parts.append(
            f'<line class="way {tone}" x1="{number(place(known[0]))}" x2="{number(place(known[1]))}" '
            f'y1="{middle:g}" y2="{middle:g}"/>'
        )
    if value is not None and math.isfinite(value):
        parts.append(f'<circle class="mark {tone}" cx="{number(place(value))}" cy="{middle:g}" r="3.5"/>')
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="span" viewBox="0 0 {_SPAN_WIDTH:g} {_SPAN_HEIGHT:g}" width="{_SPAN_WIDTH:g}" '
        f'height="{_SPAN_HEIGHT:g}" aria-hidden="true">{"".join(parts)}</svg>'
    )
