"""A trade drawn over its bars, as SVG whose colours are classes.

Shares are drawn with their entries, exits, stop and target. A package's prices are not those of what it is
written on: over the bars of the underlying only the times of its fills and its strikes are drawn. Without
bars the fills themselves are the line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

from twinstep.dashboard.reading.trade import Bar, TradeView
from twinstep.dashboard.words import price, stamp

__all__ = ["NARROW", "WIDTH", "trade_chart"]

WIDTH: Final = 760
NARROW: Final = 350
"""Width of the picture for a phone: scaled down, the other one could not be read."""
HEIGHT: Final = 300
_LEFT: Final = 12
_RIGHT: Final = 120
"""Room for labels, at least."""
_TOP: Final = 14
_BOTTOM: Final = 30
_LINE: Final = 14
"""Least distance of two labels."""
_LETTER: Final = 6.9
"""Width of a letter, about."""


@dataclass(frozen=True, slots=True)
class _Fill:
    ts: int
    price: float
    enters: bool


def trade_chart(view: TradeView, width: int = WIDTH) -> Markup:
    """Return the picture of a trade; nothing where it has neither bars nor fills of its own."""
    fills = _fills(view)
    times = [bar.ts for bar in view.bars] or sorted({one.ts for one in fills})
    if not times:
        return Markup()
    levels = _levels(view)
    drawn = [level for _, _, level in levels] + [one.price for one in fills]
    drawn += [edge for bar in view.bars for edge in (bar.low, bar.high)]
    low, high = min(drawn), max(drawn)
    span = (high - low) or abs(high) or 1.0
    labels = [(kind, f"{name} {price(level)}", level) for kind, name, level in levels]
    edge = width - max(_RIGHT, 6 + round(_LETTER * max((len(text) for _, text, _ in labels), default=0)))
    apart = (edge - _LEFT) / max(len(times), 2)

    def across(ts: int) -> float:
        return round(_LEFT + apart * (max(bisect_right(times, ts) - 1, 0) + 0.5), 1)

    def up(level: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (level - low) / span, 1)

    parts = _level_parts(labels, up, edge)
    if view.bars:
        parts += _bar_parts(view.bars, across, up, apart)
    else:
        points = " ".join(f"{across(one.ts)},{up(one.price)}" for one in fills)
        parts.append(f'<polyline class="way" points="{points}"/>')
    parts += [_fill_part(one, across(one.ts), up(one.price)) for one in fills]
    parts += [
        f'<text class="axis" x="{_LEFT}" y="{HEIGHT - 8}">{_time(times[0], width)}</text>',
        f'<text class="axis end" x="{edge}" y="{HEIGHT - 8}">{_time(times[-1], width)}</text>',
    ]
    kind = "chart" if width == WIDTH else "chart narrow"
    return Markup(  # noqa: S704 - numbers and our own words; what others wrote is escaped
        f'<svg class="{kind}" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(_said(view, fills, levels))}">{"".join(parts)}</svg>'
    )


def _fills(view: TradeView) -> list[_Fill]:
    """Return the fills of the whole trade; over bars of an underlying, at the bar's close."""
    found = []
    for row in view.fills:
        if row["leg"] is not None or row["effect"] == "none":
            continue
        level = row["price"]
        if view.trade["kind"] == "option" and view.bars:
            place = max(bisect_right([bar.ts for bar in view.bars], row["ts"]) - 1, 0)
            level = view.bars[place].close
        found.append(_Fill(row["ts"], level, row["effect"] == "open"))
    return found


def _levels(view: TradeView) -> list[tuple[str, str, float]]:
    """Return class, name and height of each line across."""
    trade = view.trade
    if trade["kind"] == "option" and view.bars:
        strikes = sorted({leg["strike"] for leg in view.legs if leg["strike"] is not None})
        return [("strike", "strike", strike) for strike in strikes]
    found = [("entry", "entry", trade["entry_price"])]
    planned, moved = trade["stop_price"], trade["current_stop_price"]
    if planned is not None:
        found.append(("stop", "stop", planned))
    if moved is not None and moved != planned:
        found.append(("stop moved", "stop, moved", moved))
    if trade["target_price"] is not None:
        found.append(("target", "target", trade["target_price"]))
    return found


def _time(ts: int, width: int) -> str:
    # two times do not stand beside each other on a phone, two days do
    return stamp(ts) if width == WIDTH else stamp(ts)[:10]


def _level_parts(labels: Sequence[tuple[str, str, float]], up: Any, edge: int) -> list[str]:
    """Return a line with its label for each level; `edge` is where lines end and labels begin."""
    parts = []
    ranked = sorted(labels, key=lambda one: one[2])
    for (kind, text, level), place in zip(ranked, _apart([up(one[2]) + 4 for one in ranked]), strict=True):
        height = up(level)
        parts.append(
            f'<line class="{kind}" x1="{_LEFT}" x2="{edge}" y1="{height}" y2="{height}"/>'
            f'<text class="label" x="{edge + 6}" y="{place}">{text}</text>'
        )
    return parts


def _apart(heights: Sequence[float]) -> list[float]:
    """Return heights that fall, pushed apart: upwards, and down again from the top of the picture."""
    places, last = list[float](), float("inf")
    for height in heights:
        last = min(height, last - _LINE)
        places.append(last)
    least = float(_TOP - 2)
    for at in range(len(places) - 1, -1, -1):
        places[at] = round(max(places[at], least), 1)
        least = places[at] + _LINE
    return places


def _bar_parts(bars: Sequence[Bar], across: Any, up: Any, apart: float) -> list[str]:
    thick = round(max(min(apart * 0.65, 9.0), 0.8), 1)
    parts = []
    for tone, chosen in (
        ("up", [bar for bar in bars if bar.close >= bar.open]),
        ("down", [bar for bar in bars if bar.close < bar.open]),
    ):
        wicks = "".join(f"M{across(bar.ts)} {up(bar.low)}V{up(bar.high)}" for bar in chosen)
        # a body without height would not be seen
        bodies = "".join(
            f"M{across(bar.ts)} {up(bar.open)}V{up(bar.close) + (0.8 if bar.open == bar.close else 0.0)}"
            for bar in chosen
        )
        parts.append(f'<path class="wick {tone}" d="{wicks}"/>')
        parts.append(f'<path class="body {tone}" stroke-width="{thick}" d="{bodies}"/>')
    return parts


def _fill_part(one: _Fill, x: float, y: float) -> str:
    said = f"<title>{'entry' if one.enters else 'exit'} {price(one.price)}, {stamp(one.ts)}</title>"
    if one.enters:
        return f'<path class="fill in" d="M{x - 6} {y}L{x} {y - 6}L{x + 6} {y}L{x} {y + 6}Z">{said}</path>'
    return f'<circle class="fill out" cx="{x}" cy="{y}" r="5.5">{said}</circle>'


def _said(view: TradeView, fills: Sequence[_Fill], levels: Sequence[tuple[str, str, float]]) -> str:
    words = [
        f"{view.trade['symbol']}, {len(view.bars)} bars"
        if view.bars
        else f"{view.trade['symbol']}, fills only"
    ]
    words += [f"{name} {price(level)}" for _, name, level in levels]
    words += [f"{'in' if one.enters else 'out'} at {price(one.price)} on {stamp(one.ts)}" for one in fills]
    return "; ".join(words)
