"""Payoff diagrams, and IV rank over days to expiry, as SVG whose colours are classes.

They keep their proportions and are never stretched, so labels may be inside: prices of the underlying above,
strikes below, amounts at the left. Labels that would lie over one another go to the next line. Everything
that is drawn stands beside it in words, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup, escape

from twinstep.dashboard.reading.options.payoff import Diagram
from twinstep.dashboard.reading.options.position import OptionPosition
from twinstep.dashboard.reading.options.scan import Candidate
from twinstep.dashboard.words import price, signed

__all__ = ["payoff_chart", "rank_chart"]

Scale = Callable[[float], float]

WIDTH: Final = 400
HEIGHT: Final = 270
_LEFT: Final = 56
_RIGHT: Final = 10
_TOP: Final = 50
_BOTTOM: Final = 40
_LINE: Final = 15
_LETTER: Final = 7.8
"""Width of a letter, about."""
_ROWS: Final = 3


@dataclass(frozen=True, slots=True)
class _Label:
    x: float
    kind: str
    text: str


def payoff_chart(one: OptionPosition) -> Markup:
    """Return the picture of a position; nothing where its payoff is unknown."""
    if one.diagram is None:
        return Markup()
    lines = one.diagram
    levels = [
        (kind, level) for kind, level in (("target", one.target), ("stop", one.stop)) if level is not None
    ]
    low, high = _range(lines, [level for _, level in levels])
    left, right = float(lines.spots[0]), float(lines.spots[-1])

    def across(spot: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (spot - left) / ((right - left) or 1.0), 1)

    def up(value: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / ((high - low) or 1.0), 1)

    zero, floor = up(0.0), HEIGHT - _BOTTOM
    corners = np.unique([*lines.corners, *(at for at in lines.break_evens if left < at < right)])
    expiry = np.interp(corners, lines.corners, lines.expiry)
    places = [(across(float(x)), float(y)) for x, y in zip(corners, expiry, strict=True)]
    parts = []
    for tone, chosen in (("up", np.maximum), ("down", np.minimum)):
        edge = " ".join(f"{x},{up(float(chosen(y, 0.0)))}" for x, y in places)
        parts.append(
            f'<polygon class="area {tone}" points="{places[0][0]},{zero} {edge} {places[-1][0]},{zero}"/>'
        )
    parts.append(f'<line class="zero" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{zero}" y2="{zero}"/>')
    for kind, level in levels:
        if low <= level <= high:
            parts.append(
                f'<line class="{kind}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{up(level)}" y2="{up(level)}"/>'
            )
    marks = [_Label(across(at), "even", price(at)) for at in lines.break_evens if left <= at <= right]
    if one.spot is not None:
        marks.insert(0, _Label(across(one.spot), "spot", f"now {price(one.spot)}"))
    elif one.entry_spot is not None:
        marks.insert(0, _Label(across(one.entry_spot), "entry", f"entry {price(one.entry_spot)}"))
    parts += [
        f'<line class="{mark.kind}" x1="{mark.x}" x2="{mark.x}" y1="{_TOP}" y2="{floor}"/>' for mark in marks
    ]
    strikes = [
        _Label(across(leg.strike), "strike", _short(leg.quantity, leg.strike, leg.kind))
        for leg in one.legs
        if leg.strike is not None
    ]
    parts += [
        f'<line class="tick" x1="{label.x}" x2="{label.x}" y1="{floor - 5}" y2="{floor}"/>'
        for label in strikes
    ]
    parts.append(f'<polyline class="expiry" points="{" ".join(f"{x},{up(y)}" for x, y in places)}"/>')
    if np.isfinite(lines.today).all():
        points = " ".join(
            f"{across(float(x))},{up(float(y))}" for x, y in zip(lines.spots, lines.today, strict=True)
        )
        parts.append(f'<polyline class="today" points="{points}"/>')
    parts += [
        f'<circle class="even" cx="{mark.x}" cy="{zero}" r="3.5"/>' for mark in marks if mark.kind == "even"
    ]
    if one.spot is not None and np.isfinite(lines.today).all():
        here = float(np.interp(one.spot, lines.spots, lines.today))
        parts.append(f'<circle class="here" cx="{across(one.spot)}" cy="{up(here)}" r="4"/>')
    parts += _levels_said(levels, low, high, up, (places[0][1], places[-1][1]))
    parts += _amounts(sorted({float(lines.expiry.max()), 0.0, float(lines.expiry.min())}, key=abs), up)
    parts += _labels(marks, [_TOP - 6 - _LINE * row for row in range(_ROWS)])
    parts += _labels(sorted(strikes, key=lambda label: label.x), [floor + _LINE, floor + 2 * _LINE])
    return _drawing("payoff", parts, HEIGHT, _said(one, lines))


def rank_chart(positions: Sequence[OptionPosition], candidates: Sequence[Candidate]) -> Markup:
    """Return IV rank over days to expiry, of positions at their entry and of what a scan found.

    Nothing where neither of both is known of any.
    """
    held = [(one.dte, one.iv_rank, one.symbol, one.strategy) for one in positions]
    seen = [(one.dte, one.iv_rank, one.symbol, one.strategy, one.refused) for one in candidates]
    points = [("held", *one) for one in held]
    points += [("refused" if refused else "found", *rest) for *rest, refused in seen]  # type: ignore[misc]
    known = [
        (kind, float(dte), float(rank), symbol, strategy)
        for kind, dte, rank, symbol, strategy in points
        if dte is not None and rank is not None and dte >= 0
    ]
    if not known:
        return Markup()
    most = max(60.0, 15.0 * math.ceil(max(dte for _, dte, *_ in known) / 15.0))
    tall, top, floor = 230, 14, 186

    def across(dte: float) -> float:
        return round(40 + (WIDTH - 40 - 14) * dte / most, 1)

    def up(rank: float) -> float:
        return round(floor - (floor - top) * rank / 100.0, 1)

    parts = []
    for rank in (0.0, 25.0, 50.0, 75.0, 100.0):
        parts.append(f'<line class="grid" x1="40" x2="{WIDTH - 14}" y1="{up(rank)}" y2="{up(rank)}"/>')
        parts.append(f'<text class="end" x="34" y="{up(rank) + 4}">{rank:g}</text>')
    step = max(15.0, 15.0 * math.ceil(most / 90.0))
    parts += [
        f'<text class="middle" x="{across(days)}" y="{floor + 18}">{days:g}</text>'
        for days in np.arange(0.0, most + 1.0, step).tolist()
    ]
    parts.append(f'<text class="middle" x="{(40 + WIDTH) / 2:g}" y="{tall - 7}">days to expiry</text>')
    order = {"refused": 0, "found": 1, "held": 2}
    for kind, dte, rank, symbol, strategy in sorted(known, key=lambda one: order[one[0]]):
        title = escape(f"{symbol} {strategy}: IV rank {rank:.0f}, {dte:g} days, {_KINDS[kind]}")
        parts.append(
            f'<circle class="{kind}" cx="{across(dte)}" cy="{up(rank)}" r="{3 if kind == "refused" else 5}">'
            f"<title>{title}</title></circle>"
        )
    counts = {kind: sum(one[0] == kind for one in known) for kind in _KINDS}
    words = ", ".join(f"{count} {_KINDS[kind]}" for kind, count in counts.items() if count)
    return _drawing("ranks", parts, tall, f"IV rank over days to expiry: {words}")


_KINDS: Final = {"held": "open", "found": "recommended", "refused": "refused"}


def _range(lines: Diagram, levels: Sequence[float]) -> tuple[float, float]:
    drawn = [0.0, *lines.expiry.tolist(), *(one for one in lines.today.tolist() if np.isfinite(one))]
    low, high = min(drawn), max(drawn)
    room = 0.5 * (high - low)
    # what lies far beyond would press all else flat
    near = [level for level in levels if low - room <= level <= high + room]
    low, high = min([low, *near]), max([high, *near])
    edge = 0.06 * ((high - low) or 1.0)
    return low - edge, high + edge


def _levels_said(
    levels: Sequence[tuple[str, float]], low: float, high: float, up: Scale, edges: tuple[float, float]
) -> list[str]:
    """Return names of the lines across, at the right, or at the left where the payoff leaves more room."""
    parts = []
    for kind, level in levels:
        if not low <= level <= high:
            continue
        y = up(level) - 4
        left, right = (abs(up(edge) - (y - _LINE / 2)) for edge in edges)
        at, anchor = (WIDTH - _RIGHT - 2, "end ") if right >= min(left, 1.5 * _LINE) else (_LEFT + 3, "")
        parts.append(f'<text class="{anchor}said {kind}" x="{at}" y="{y}">{kind} {signed(level, 0)}</text>')
    return parts


def _amounts(values: Sequence[float], up: Scale) -> list[str]:
    parts: list[str] = []
    taken: list[float] = []
    for value in values:
        y = up(value)
        if all(abs(y - one) >= _LINE - 2 for one in taken):
            taken.append(y)
            parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4}">{_amount(value)}</text>')
    return parts


def _amount(value: float) -> str:
    if abs(value) < 99_950:
        return signed(value, 0)
    return f"{signed(value / 1000.0, 0)}k"


def _labels(labels: Sequence[_Label], rows: Sequence[float]) -> list[str]:
    """Return texts, each on the first row where it is free; the last row takes what no row has room for."""
    ends: list[list[tuple[float, float]]] = [[] for _ in rows]
    parts = []
    for label in labels:
        half = _LETTER * len(label.text) / 2
        x = min(max(label.x, _LEFT + half - 20), WIDTH - half - 2)
        span = (x - half, x + half)
        free = [all(span[1] + 3 <= a or b + 3 <= span[0] for a, b in row) for row in ends]
        if not any(free):
            continue  # the same figure stands in the table beside it
        at = free.index(True)
        ends[at].append(span)
        parts.append(
            f'<text class="middle said {label.kind}" x="{round(x, 1)}" y="{rows[at]}">'
            f"{escape(label.text)}</text>"
        )
    return parts


def _short(quantity: float, strike: float, kind: str) -> str:
    return f"{'+' if quantity > 0 else '−'}{strike:g}{kind[0].upper()}"


def _said(one: OptionPosition, lines: Diagram) -> str:
    left, right = float(lines.spots[0]), float(lines.spots[-1])
    words = [
        f"{one.symbol} {one.strategy}, result at expiry with the underlying from {price(left)} to "
        f"{price(right)}: lowest {signed(float(lines.expiry.min()))}, "
        f"highest {signed(float(lines.expiry.max()))}"
    ]
    if lines.break_evens:
        words.append("break-even at " + " and ".join(price(at) for at in lines.break_evens))
    if one.spot is not None:
        words.append(f"the underlying is at {price(one.spot)}")
        if np.isfinite(lines.today).all():
            now = float(np.interp(one.spot, lines.spots, lines.today))
            words.append(f"where the model says {signed(now)} today")
    words += [
        f"{name} at {signed(level)}"
        for name, level in (("target", one.target), ("stop", one.stop))
        if level is not None
    ]
    return "; ".join(words)


def _drawing(kind: str, parts: Sequence[str], tall: int, words: str) -> Markup:
    return Markup(  # noqa: S704 - numbers and our own words; what others wrote is escaped
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {tall}" width="{WIDTH}" height="{tall}" role="img" '
        f'aria-label="{escape(words)}">{"".join(parts)}</svg>'
    )
