"""The pictures of `docs/conventions.md` as drawings: the same examples that the engine runs, in SVG.

A drawing shows the bars, the levels in force at the entry, and an arrow for every fill: up is bought, down is
sold, at its tip the price. Beside it stand the values of the choice under which it happens, "always" where
that is all of them; what happens in words is the table below the picture. Colours stand on light and on dark
ground alike, and no meaning hangs on them: they only tell neighbours apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Final

from simulator.conventions import CHOICES
from twinstep.reference_conventions import EXAMPLES, Example, run_example, story
from twinstep.reference_tables import Prices, table

__all__ = ["alternative", "drawing", "drawings", "example_of"]

INK: Final = "#7a7f87"  # 4 to 1 against white and against the dark ground of the site
COLOURS: Final = ("#2f81d6", "#c9630a", "#8e5bd0", "#1a8f62")
ALWAYS: Final = "always"
WIDTH_OF_BAR: Final = 150
LEFT, TOP, HEIGHT, LINE = 84, 34, 220, 15
NEAR: Final = 12  # two arrows that are closer would cover each other
RIGHT: Final = 60  # for the words beside the last bar


def example_of(name: str) -> str:
    """Return the pictures of a choice in Markdown, each with what happens under every value."""
    parts = []
    for file, example in _files(name):
        rows = [(f"`{value}`", story(run_example(name, value, example))) for value in _values(name, example)]
        parts.append(f"![{alternative(name, example)}](pictures/{file})")
        parts.append(table((f"`{name}`", "what happens"), rows))
    return "\n\n".join(parts)


def drawings() -> dict[str, str]:
    """Return every picture by its file name in `docs/pictures`."""
    return {file: drawing(name, example) for name in EXAMPLES for file, example in _files(name)}


def alternative(name: str, example: Example) -> str:
    """Return what the picture shows in words."""
    told = [f"{value}: {story(run_example(name, value, example))}" for value in _values(name, example)]
    return f"{name} on {len(example.bars)} bars. {'. '.join(told)}."


def drawing(name: str, example: Example) -> str:
    """Return the picture of one example: bars, levels, and the fills under every value of the choice."""
    prices = [*(price for bar in example.bars for price in bar[1:3]), *example.levels.values()]
    top, bottom = max(prices), min(prices)

    def at(price: float) -> float:
        return round(TOP + (top - price) / (top - bottom) * HEIGHT, 1)

    width, height = LEFT + WIDTH_OF_BAR * len(example.bars) + RIGHT, TOP + HEIGHT + 36
    body = [_level(label, price, at(price), width) for label, price in example.levels.items()]
    body += [_bar(number, bar, at) for number, bar in enumerate(example.bars)]
    body += [_mark(fill, at(fill.price)) for fill in _fills(name, example, NEAR / HEIGHT * (top - bottom))]
    title = escape(alternative(name, example))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" font-size="13">\n'
        f"<title>{title}</title>\n" + "\n".join(body) + "\n</svg>\n"
    )


@dataclass(frozen=True)
class _Fill:
    """Purchases or sales of one bar at one price, and under which values they happen."""

    bar: int
    price: float
    bought: bool
    words: tuple[str, ...]
    colour: str
    beside: bool = False
    """Stands on the other side of its bar, since another is so near."""


def _fills(name: str, example: Example, near: float) -> list[_Fill]:
    values = [str(value) for value in _values(name, example)]
    found = _found(name, example)
    sizes = {qty for under in found.values() for qty in under.values()}
    drawn: list[_Fill] = []
    for (bar, price, bought), under in found.items():
        always = list(under) == values and len(set(under.values())) == 1
        beside = any(one.bar == bar and abs(one.price - price) < near for one in drawn)
        # the quantity, or the price, is said where the picture alone does not show the difference
        words = [f"{value}: {qty:g}" if len(sizes) > 1 else value for value, qty in under.items()]
        if any(one != (bar, price, bought) and one[0] == bar and abs(one[1] - price) < near for one in found):
            words = [f"{word}: {price:g}" for word in words]
        colour = INK if always else COLOURS[values.index(next(iter(under)))]
        drawn.append(_Fill(bar, price, bought, (ALWAYS,) if always else tuple(words), colour, beside))
    return drawn


def _found(name: str, example: Example) -> dict[tuple[int, float, bool], dict[str, float]]:
    # what was bought or sold under which value, by bar, price and whether it was bought
    found: dict[tuple[int, float, bool], dict[str, float]] = {}
    for value in _values(name, example):
        result: Any = run_example(name, value, example)
        rows = {time: row for row, time in enumerate(result.raw.bars.index)}
        for fill in result.fills.itertuples():
            here = found.setdefault((rows[fill.time] - 1, fill.price, fill.side > 0), {})
            here[str(value)] = here.get(str(value), 0.0) + fill.qty
    return found


def _files(name: str) -> list[tuple[str, Example]]:
    return [
        (f"convention_{name}{f'_{number}' if number else ''}.svg", example)
        for number, example in enumerate(EXAMPLES[name])
    ]


def _values(name: str, example: Example) -> tuple[Any, ...]:
    return example.values or tuple(CHOICES[name])


def _centre(number: int) -> float:
    return LEFT + WIDTH_OF_BAR * (number + 0.5)


def _bar(number: int, bar: Prices, at: Any) -> str:
    open_, high, low, close = bar
    x = _centre(number)
    return (
        f'<path d="M{x} {at(high)}V{at(low)}M{x - 14} {at(open_)}H{x}M{x} {at(close)}H{x + 14}" '
        f'stroke="{INK}" stroke-width="3" fill="none"/>\n'
        f'<text x="{x}" y="{TOP + HEIGHT + 22}" text-anchor="middle" fill="{INK}">bar {number + 1}</text>'
    )


def _level(label: str, price: float, y: float, width: float) -> str:
    return (
        f'<path d="M{LEFT} {y}H{width - 8}" stroke="{INK}" stroke-dasharray="3 5"/>\n'
        f'<text x="4" y="{y + 4}" fill="{INK}">{escape(label)} {price:g}</text>'
    )


def _mark(fill: _Fill, y: float) -> str:
    side, anchor = (-1, "end") if fill.beside else (1, "start")
    x = _centre(fill.bar) + 24 * side
    down = 1 if fill.bought else -1  # the words run away from the tip, as the arrow does
    first = y + 13 if fill.bought else y - 4 - LINE * (len(fill.words) - 1)
    lines = "".join(
        f'<tspan x="{x + 11 * side}" y="{round(first + LINE * row, 1)}">{escape(word)}</tspan>'
        for row, word in enumerate(fill.words)
    )
    return (
        f'<path d="M{x} {y}l-6 {10 * down}h12z" fill="{fill.colour}"/>'
        f'<text font-size="12" text-anchor="{anchor}" fill="{fill.colour}">{lines}</text>'
    )
