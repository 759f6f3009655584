"""What a command writes: results and JSON to standard output, everything else to standard error.

So `twinstep ... --json | jq` always works. Tables and bars use rich, imported when the first one is drawn;
progress shows only on a terminal.
"""

from __future__ import annotations

import json
import math
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TextIO

from simulator.errors import TwinstepWarning

__all__ = [
    "EXIT_FOUND",
    "EXIT_INPUT",
    "EXIT_INTERRUPTED",
    "EXIT_UNFORESEEN",
    "emit",
    "emit_json",
    "note",
    "one_line_warnings",
    "plain",
    "plain_times",
    "price_text",
    "print_table",
    "progress_bar",
    "show_progress",
    "table",
    "working",
]

EXIT_UNFORESEEN: Final = 1
EXIT_INPUT: Final = 2
EXIT_FOUND: Final = 3
EXIT_INTERRUPTED: Final = 130

_PIPE_WIDTH: Final = 200
"""Columns assumed where the output is no terminal, so that a pipe loses nothing."""
_ISO: Final = re.compile(r"\b20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6})?\+00:00(?!\d)")


class Drawn(Protocol):
    """Draws a bar of what is done out of all, with the best figure so far where there is one."""

    def __call__(self, done: int, total: int, best: float = math.nan) -> None:
        """Draw it anew."""
        ...


def emit(text: str = "") -> None:
    """Write a line of the result; signs that the terminal does not know become question marks."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "replace").decode(encoding))


def emit_json(value: object) -> None:
    """Write the result as one JSON document; not-a-number becomes null, times ISO 8601."""
    json.dump(plain(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def note(text: str) -> None:
    """Write a line that is no part of the result."""
    print(text, file=sys.stderr)


def plain(value: Any) -> Any:
    """Return the value in terms of JSON: dicts, lists, texts, numbers, booleans and None."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()
    if hasattr(value, "tolist"):
        return plain(value.tolist())  # a NumPy scalar or array
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value)


def plain_times(text: str) -> str:
    """Return words in which every time that a program wrote in full is short, and in UTC."""
    return _ISO.sub(lambda found: _moment(found[0]), text)


def price_text(value: float | None) -> str:
    """Return a price: two decimals, below 1 as many as show four digits of it; "-" is unknown."""
    if value is None or math.isnan(value):
        return "-"
    if value == 0.0 or abs(value) >= 1.0:
        return f"{value:,.2f}"
    whole, _, decimals = f"{value:.{3 - math.floor(math.log10(abs(value)))}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Write a table; columns whose every cell is a number stand to the right.

    Where the terminal is too narrow to show every word and number whole, the columns follow in several
    tables, each with the first column, which says what a row is.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    held = [[_cell(value) for value in row] for row in rows]
    least = [_least_width([name, *(row[index] for row in held)]) for index, name in enumerate(columns)]
    for part, chosen in enumerate(_parts(least, _width())):
        grid = Table(title=title if not part else None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for index in chosen:
            numeric = bool(held) and all(_is_number(row[index]) for row in held)
            grid.add_column(
                columns[index], justify="right" if numeric else "left", overflow="fold",
                min_width=min(least[index], _width()),
            )  # fmt: skip
        for row in held:
            # Text: a bracket in a cell is no markup
            grid.add_row(*(Text(row[index]) for index in chosen))
        print_table(grid)


def print_table(grid: object) -> None:
    """Write a table that something else has made, for `rich` to print."""
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(grid)


def _width() -> int:
    """Return the columns of the terminal, or those that a pipe gets."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else _PIPE_WIDTH


_LONG_WORD: Final = 24
"""A word that is longer, such as a path, may be broken."""

_GAP: Final = 3
"""Between columns."""


def _least_width(cells: Sequence[str]) -> int:
    """Return the width in which no number and no word of a column is broken."""
    return max((min(len(word), _LONG_WORD) for cell in cells for word in cell.split()), default=1)


def _parts(least: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns of each table, by their numbers; each begins with the first."""
    parts: list[list[int]] = [list(range(min(1, len(least))))]
    for index in range(1, len(least)):
        chosen = parts[-1]
        if len(chosen) > 1 and sum(least[one] + _GAP for one in (*chosen, index)) > width:
            parts.append([0])
        parts[-1].append(index)
    return parts


def show_progress() -> bool:
    """Whether somebody is watching standard error."""
    return sys.stderr.isatty()


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something of unknown length is going on, on a terminal."""
    if not show_progress():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


@contextmanager
def progress_bar(text: str) -> Iterator[Drawn | None]:
    """Give a function that draws a bar; None where nobody is watching."""
    if not show_progress():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)

        def draw(done: int, total: int, best: float = math.nan) -> None:
            words = text if math.isnan(best) else f"{text}, best so far {best:.4g}"
            bar.update(task, completed=done, total=total, description=words)

        yield draw


@contextmanager
def one_line_warnings(*, everything: bool = False) -> Iterator[None]:
    """Show each of this project's warnings once, on one line; those of libraries only with `everything`."""
    seen: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message)
        if text not in seen and (everything or issubclass(category, TwinstepWarning)):
            seen.add(text)
            code, bracket, rest = text.partition("] ")
            note(f"warning {code}]: {rest}" if bracket else f"warning: {category.__name__}: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


_UNITS: Final = (" R", " sessions", " session", " points")


def _is_number(cell: str) -> bool:
    for unit in _UNITS:
        cell = cell.removesuffix(unit)
    return (
        cell in ("-", "n/a", "inf", "-inf")
        or cell.replace(",", "").rstrip("%").lstrip("+-").replace(".", "", 1).isdigit()
    )


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:  # a day that no month has
        return text
