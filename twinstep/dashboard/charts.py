"""Charts of figures, as SVG whose colours are classes: a page of ours has no inline style.

A drawing is stretched to the width that there is, so no text is inside: what is written at the axes stands
beside it in the page, at even distances, and strokes keep their width. Each chart says in words what it
shows; small ones, whose figures stand beside them in their row, say nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from twinstep.dashboard.words import signed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from journal.performance.statistics import Interval

__all__ = ["Chart", "curve", "distribution", "fall", "span"]

WIDTH: Final = 720.0
HEIGHT: Final = 200.0
COLUMNS: Final = 360
"""Columns into which many points are gathered; each keeps its lowest and its highest."""
BIN: Final = 0.5
"""Width of a bar of the distribution, in R; half of it where few R lie between the ends."""
_SPAN_WIDTH: Final = 120.0
_SPAN_HEIGHT: Final = 14.0
_LEFTMOST, _RIGHTMOST = -6, 10  # in R: what is beyond is counted at the end


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing and what stands at its axes.

    Attributes
    ----------
    up
        At the left, from the top down, at even distances.
    along
        Below, from the left, at even distances.
    """

    drawing: Markup
    up: tuple[str, ...]
    along: tuple[str, ...]


def curve(ts: NDArray[np.int64], values: NDArray[np.float64], name: str) -> Chart:
    """Return a line that begins at 0 and steps to each value at its time (UTC ns, ascending, not empty)."""
    total = np.concatenate(([0.0], values))
    low, high, step = _range(float(total.min()), float(total.max()))
    x, y = _points(ts, total)
    path = _steps(x, _height(y, low, high))
    zero = _number(float(_height(np.zeros(1), low, high)[0]))
    words = (
        f"{name} from {_day(int(ts[0]))} to {_day(int(ts[-1]))}: ends at {signed(float(total[-1]))}, "
        f"highest {signed(float(total.max()))}, lowest {signed(float(total.min()))}"
    )
    tone = "up" if total[-1] >= 0 else "down"
    inside = (
        f'{_grid(low, high, step)}<path class="area {tone}" d="{path}V{zero}H0Z"/>'
        f'<line class="zero" x1="0" x2="{WIDTH:g}" y1="{zero}" y2="{zero}"/>'
        f'<path class="line {tone}" d="{path}"/>'
    )
    return Chart(_drawing(inside, words, HEIGHT), _labels(low, high, step), _dates(ts))


def fall(ts: NDArray[np.int64], values: NDArray[np.float64], name: str) -> Chart:
    """Return how far a sum was below its highest, or below the 0 it began at; never above 0."""
    total = np.concatenate(([0.0], values))
    below = np.minimum(0.0, total - np.maximum.accumulate(total))
    low, high, step = _range(float(below.min()), 0.0, parts=2)
    x, y = _points(ts, below)
    path = _steps(x, _height(y, low, high))
    words = f"{name}: {signed(float(below[-1]))} at the end, {signed(float(below.min()))} at its deepest"
    inside = (
        f'{_grid(low, high, step)}<path class="area down" d="{path}V0H0Z"/>'
        f'<path class="line down" d="{path}"/>'
    )
    return Chart(_drawing(inside, words, HEIGHT / 2), _labels(low, high, step), _dates(ts))


def distribution(values: NDArray[np.float64], mean: float | None, interval: Interval | None) -> Chart:
    """Return bars of how many trades made how many R, with their mean and its interval (not empty)."""
    left = int(max(_LEFTMOST, min(-1, math.floor(float(values.min())))))
    right = int(min(_RIGHTMOST, max(1, math.ceil(float(values.max())))))
    step = next(one for one in (1, 2, 4) if (right - left) / one <= 8)
    right += -(right - left) % step
    narrow = BIN / 2 if right - left <= 4 else BIN
    edges = np.arange(left, right + narrow / 2, narrow)
    counts, _ = np.histogram(np.clip(values, left, right), bins=edges)
    _, top, each = _range(0.0, float(counts.max()), whole=True)
    wide = WIDTH / len(counts)

    def place(r: float) -> float:
        return WIDTH * (min(max(r, left), right) - left) / (right - left)

    parts = [_grid(0.0, top, each)]
    if interval is not None:
        low, high = place(interval.low), place(interval.high)
        parts.append(
            f'<rect class="band" x="{_number(low)}" y="0" width="{_number(high - low)}" height="{HEIGHT:g}"/>'
        )
    for at, (edge, count) in enumerate(zip(edges.tolist(), counts.tolist(), strict=False)):
        tall = HEIGHT * count / top
        several = "trade" if count == 1 else "trades"
        parts.append(
            f'<rect class="bar {"up" if edge >= 0 else "down"}" x="{_number(at * wide)}" '
            f'y="{_number(HEIGHT - tall)}" width="{_number(wide * 0.92)}" height="{_number(tall)}">'
            f"<title>{signed(edge)} to {signed(edge + narrow)} R: {count} {several}</title></rect>"
        )
    zero = _number(place(0.0))
    parts.append(f'<line class="zero" x1="{zero}" x2="{zero}" y1="0" y2="{HEIGHT:g}"/>')
    words = f"{len(values)} trades by R, from {signed(float(values.min()))} to {signed(float(values.max()))}"
    if mean is not None:
        at_mean = _number(place(mean))
        parts.append(f'<line class="mean" x1="{at_mean}" x2="{at_mean}" y1="0" y2="{HEIGHT:g}"/>')
        words += f", mean {signed(mean)}"
    along = [signed(float(r), 0) for r in range(left, right + 1, step)]
    if values.min() < left:
        along[0] = f"≤ {along[0]}"
    if values.max() > right:
        along[-1] = f"≥ {along[-1]}"
    ticks = tuple(f"{one:g}" for one in np.arange(top, -each / 2, -each).tolist())
    return Chart(_drawing("".join(parts), words, HEIGHT), ticks, tuple(along))


def span(value: float | None, low: float | None, high: float | None, ends: tuple[float, float]) -> Markup:
    """Return a figure within its interval, beside 0, on a range that the rows of a table share."""
    least, most = ends
    wide = (most - least) or 1.0

    def place(r: float) -> float:
        return 4 + (_SPAN_WIDTH - 8) * (min(max(r, least), most) - least) / wide

    middle, zero = _SPAN_HEIGHT / 2, _number(place(0.0))
    parts = [f'<line class="zero" x1="{zero}" x2="{zero}" y1="0" y2="{_SPAN_HEIGHT:g}"/>']
    known = [one for one in (low, high) if one is not None and math.isfinite(one)]
    tone = "open"
    if len(known) == 2:
        tone = "up" if known[0] > 0 else "down" if known[1] < 0 else "open"
        parts.append(
            f'<line class="way {tone}" x1="{_number(place(known[0]))}" x2="{_number(place(known[1]))}" '
            f'y1="{middle:g}" y2="{middle:g}"/>'
        )
    if value is not None and math.isfinite(value):
        parts.append(f'<circle class="mark {tone}" cx="{_number(place(value))}" cy="{middle:g}" r="3.5"/>')
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="span" viewBox="0 0 {_SPAN_WIDTH:g} {_SPAN_HEIGHT:g}" width="{_SPAN_WIDTH:g}" '
        f'height="{_SPAN_HEIGHT:g}" aria-hidden="true">{"".join(parts)}</svg>'
    )


def _drawing(inside: str, words: str, tall: float) -> Markup:
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg viewBox="0 0 {WIDTH:g} {tall:g}" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'<g transform="scale(1 {tall / HEIGHT:g})">{inside}</g></svg>'
    )


def _points(
    ts: NDArray[np.int64], total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places from the left and values; of many, the lowest, the highest and the last per column."""
    long = float(ts[-1] - ts[0]) or 1.0
    x = np.concatenate(([0.0], WIDTH * (ts - ts[0]).astype(np.float64) / long))
    if ts[-1] == ts[0]:
        x[1:] = WIDTH
    if len(x) <= 3 * COLUMNS:
        return x, total
    column = np.minimum((x * COLUMNS / WIDTH).astype(np.int64), COLUMNS - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    kept = {0}
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(x)], strict=True):
        part = total[start:end]
        kept |= {start + int(part.argmin()), start + int(part.argmax()), end - 1}
    places = np.asarray(sorted(kept))
    return x[places], total[places]


def _steps(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    first = f"M{_number(float(x[0]))} {_number(float(y[0]))}"
    return first + "".join(
        f"H{_number(a)}V{_number(b)}" for a, b in zip(x[1:].tolist(), y[1:].tolist(), strict=True)
    )


def _height(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return HEIGHT * (high - values) / (high - low)


def _range(low: float, high: float, *, parts: int = 4, whole: bool = False) -> tuple[float, float, float]:
    """Return ends that hold a range and a step between them, all round numbers."""
    wide = (high - low) or max(abs(high), 1.0)
    power = 10.0 ** math.floor(math.log10(wide / parts))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one * parts >= wide * (1 - 1e-9))
    if whole:
        step = max(1.0, math.ceil(step))
    bottom = step * math.floor(low / step + 1e-9)
    top = step * math.ceil(high / step - 1e-9)
    return bottom, top if top > bottom else bottom + step, step


def _grid(low: float, high: float, step: float) -> str:
    many = round((high - low) / step)
    heights = (HEIGHT * one / many for one in range(many + 1))
    return "".join(
        f'<line class="grid" x1="0" x2="{WIDTH:g}" y1="{_number(y)}" y2="{_number(y)}"/>' for y in heights
    )


def _labels(low: float, high: float, step: float) -> tuple[str, ...]:
    many = round((high - low) / step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if f"{step:e}".startswith("2.5") else 0))
    return tuple(signed(high - one * step, digits) for one in range(many + 1))


def _dates(ts: NDArray[np.int64]) -> tuple[str, ...]:
    first, last = int(ts[0]), int(ts[-1])
    if _day(first) == _day(last):
        return (_day(first),)
    return tuple(dict.fromkeys(_day(first + (last - first) * part // 3) for part in range(4)))


def _day(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1_000_000_000, UTC):%Y-%m-%d}"


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
