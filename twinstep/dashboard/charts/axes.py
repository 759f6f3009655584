"""What charts of figures share: their size, places of points, round ends of a range, words at the axes."""

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

__all__ = [
    "HEIGHT",
    "WIDTH",
    "Chart",
    "dates",
    "day",
    "drawing",
    "grid",
    "height",
    "labels",
    "number",
    "points",
    "round_range",
    "steps",
    "trades",
]

WIDTH: Final = 720.0
HEIGHT: Final = 200.0
COLUMNS: Final = 360
"""Columns into which many points are gathered; each keeps its lowest and its highest."""


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


def drawing(inside: str, words: str, tall: float) -> Markup:
    """Return a drawing of that height, and what it shows in words."""
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg viewBox="0 0 {WIDTH:g} {tall:g}" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'<g transform="scale(1 {tall / HEIGHT:g})">{inside}</g></svg>'
    )


def points(
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


def steps(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Return a path that holds each value until the next place."""
    first = f"M{number(float(x[0]))} {number(float(y[0]))}"
    return first + "".join(
        f"H{number(a)}V{number(b)}" for a, b in zip(x[1:].tolist(), y[1:].tolist(), strict=True)
    )


def height(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return places from the top; the ends of the range are the ends of the drawing."""
    return HEIGHT * (high - values) / (high - low)


def round_range(
    low: float, high: float, *, parts: int = 4, whole: bool = False
) -> tuple[float, float, float]:
    """Return ends that hold a range and a step between them, all round numbers."""
    wide = (high - low) or max(abs(high), 1.0)
    power = 10.0 ** math.floor(math.log10(wide / parts))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one * parts >= wide * (1 - 1e-9))
    if whole:
        step = max(1.0, math.ceil(step))
    bottom = step * math.floor(low / step + 1e-9)
    top = step * math.ceil(high / step - 1e-9)
    return bottom, top if top > bottom else bottom + step, step


def grid(low: float, high: float, step: float) -> str:
    """Return a line across at each step."""
    many = round((high - low) / step)
    heights = (HEIGHT * one / many for one in range(many + 1))
    return "".join(
        f'<line class="grid" x1="0" x2="{WIDTH:g}" y1="{number(y)}" y2="{number(y)}"/>' for y in heights
    )


def labels(low: float, high: float, step: float) -> tuple[str, ...]:
    """Return what stands at the lines of the grid, from the top down."""
    many = round((high - low) / step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if f"{step:e}".startswith("2.5") else 0))
    return tuple(signed(high - one * step, digits) for one in range(many + 1))


def dates(ts: NDArray[np.int64]) -> tuple[str, ...]:
    """Return up to four days, evenly spread over the time."""
    first, last = int(ts[0]), int(ts[-1])
    if day(first) == day(last):
        return (day(first),)
    return tuple(dict.fromkeys(day(first + (last - first) * part // 3) for part in range(4)))


def trades(many: int) -> tuple[str, ...]:
    """Return up to four trades by their number, evenly spread."""
    return tuple(dict.fromkeys(f"trade {1 + (many - 1) * part // 3:,}" for part in range(4)))


def day(ts: int) -> str:
    """Return a time as its day."""
    return f"{datetime.fromtimestamp(ts / 1_000_000_000, UTC):%Y-%m-%d}"


def number(value: float) -> str:
    """Return a place as short as it can be written."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
