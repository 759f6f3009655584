"""What a page is made of: sections of blocks, each a small value that the template knows how to draw.

Tables, bars, maps, spans and timelines are plain HTML with shares in percent; only curves and points are
drawn by the script, from `Chart.data`. Every text may hold anything: the template escapes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = [
    "NONE",
    "Bars",
    "Block",
    "Cell",
    "Chart",
    "Facts",
    "Heat",
    "Key",
    "Maps",
    "Page",
    "Section",
    "Span",
    "Spans",
    "Table",
    "Tile",
    "Timeline",
    "Words",
    "figure",
    "percent",
    "share",
    "signed",
    "spoken",
    "tone",
    "typeset",
    "value_word",
]

Tone = Literal["", "up", "down"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of the page, with what it means."""

    label: str
    value: str
    definition: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    text: str
    tone: Tone = ""
    numeric: bool = True
    title: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: a class of the style sheet and a word."""

    mark: str
    word: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Something that the script draws; `label` says in words what is seen."""

    name: str
    label: str
    data: Mapping[str, Any]
    height: int = 300
    kind: str = field(default="chart", init=False)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; the first cell of a row is its name. `marked` rows stand out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    marked: frozenset[int] = frozenset()
    kind: str = field(default="table", init=False)

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold figures."""
        return [
            bool(self.rows) and all(row[at].numeric for row in self.rows) for at in range(len(self.columns))
        ]


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar per name: (name, share in percent, text)."""

    rows: Sequence[tuple[str, float, str]]
    kind: str = field(default="bars", init=False)


@dataclass(frozen=True, slots=True)
class Heat:
    """A map over two parameters; `rows` go from the top, cells are (text, heat, tone, title, peak)."""

    figure: str
    across: str
    up: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[str, int, str, str, bool]]]]


@dataclass(frozen=True, slots=True)
class Maps:
    """Maps side by side."""

    maps: Sequence[Heat]
    kind: str = field(default="maps", init=False)


@dataclass(frozen=True, slots=True)
class Span:
    """A figure with its interval on a scale: places in percent, words beside them."""

    label: str
    low: str
    here: str
    high: str
    at: tuple[float, float, float]
    zero: float | None
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Spans:
    """Intervals on one common scale."""

    rows: Sequence[Span]
    kind: str = field(default="spans", init=False)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Windows of time per row: (name, [(class, begin, width, title)]), places in percent."""

    rows: Sequence[tuple[str, Sequence[tuple[str, float, float, str]]]]
    ends: tuple[str, str]
    kind: str = field(default="timeline", init=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with values."""

    rows: Sequence[tuple[str, str]]
    kind: str = field(default="facts", init=False)


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; `style` is "lead", "hint", "empty" or "banner"."""

    text: str
    style: str = "lead"
    kind: str = field(default="words", init=False)


Block = Chart | Table | Bars | Maps | Spans | Timeline | Facts | Words


@dataclass(frozen=True, slots=True)
class Section:
    """A card of the page, and a line of its menu; `pointer` is a hint that paper does not need."""

    name: str
    title: str
    blocks: Sequence[Block]
    menu: str = ""
    legend: Sequence[Key] = ()
    note: str = ""
    hint: str = ""
    pointer: str = ""
    chip: str = ""
    half: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the template shows.

    Attributes
    ----------
    verdict, verdict_word, tone
        The sentence on top, a few words above it, and whether it says yes ("good"), no ("bad"), stay as it is
        ("calm"), or that nothing can be said yet ("open").
    origin
        What the figures were measured on: "real", "synthetic", "modelled", or in words.
    rows
        Length of the axis that charts over time share.
    daily
        Whether times are days.
    """

    title: str
    eyebrow: str
    origin: str
    subtitles: Sequence[str]
    verdict: str
    verdict_word: str
    tone: Literal["good", "bad", "open", "calm"]
    tiles: Sequence[Tile]
    sections: Sequence[Section]
    rows: int = 1
    daily: bool = True

    @property
    def data(self) -> dict[str, Any]:
        """What the script reads."""
        charts = [
            {"name": block.name, **block.data}
            for section in self.sections
            for block in section.blocks
            if isinstance(block, Chart)
        ]
        return {"rows": self.rows, "daily": self.daily, "currency_digits": 0, "charts": charts}


MINUS: Final = "\N{MINUS SIGN}"
NONE: Final = "\N{EN DASH}"


def typeset(text: str) -> str:
    """Return a figure with a minus sign, and a dash for what is not known."""
    return text.replace("-", MINUS).replace("n/a", NONE).replace("nan", NONE)


def spoken(text: str) -> str:
    """Return a sentence whose figures have minus signs; words and dates keep their hyphens."""
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, text)


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number with a fixed count of digits; a dash where it is not known."""
    return NONE if value is None or math.isnan(value) else typeset(f"{value:,.{digits}f}")


def signed(value: float | None, digits: int = 2) -> str:
    """Return a number with its sign."""
    return NONE if value is None or math.isnan(value) else typeset(f"{value:+,.{digits}f}")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction as percent."""
    return NONE if value is None or math.isnan(value) else typeset(f"{100 * value:,.{digits}f} %")


def value_word(value: Any) -> str:
    """Return a setting in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(value_word(one) for one in value) or "none"
    if hasattr(value, "item"):
        value = value.item()
    return typeset(f"{value:.4g}") if isinstance(value, float) else str(value)


def tone(value: float | None) -> Tone:
    """Return the colour of a gain or a loss."""
    if value is None or math.isnan(value) or value == 0:
        return ""
    return "up" if value > 0 else "down"


def share(value: float, low: float, high: float) -> float:
    """Return where a value lies between two others, in percent, at an end if beyond."""
    if not high > low or math.isnan(value):
        return 50.0
    return round(100.0 * min(max((value - low) / (high - low), 0.0), 1.0), 2)
