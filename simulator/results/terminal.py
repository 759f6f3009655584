"""Terminal text: rich tables rendered to a string, at most 100 columns wide.

Names come from users and from data, so neither markup nor emoji codes in them are read.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
from typing import Any, Final

__all__ = ["WIDEST", "Canvas", "fitted", "printable", "terminal_width", "wants_color"]

WIDEST: Final = 100


class Canvas:
    """A console that writes into a string."""

    def __init__(self, *, width: int | None = None, color: bool | None = None) -> None:
        from rich.console import Console

        self._file = io.StringIO()
        colored = wants_color() if color is None else color
        self.width = min(width or shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
        self.console = Console(
            file=self._file,
            width=self.width,
            force_terminal=colored,
            color_system="standard" if colored else None,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def print(self, *parts: Any, **options: Any) -> None:
        """Print as `rich.console.Console.print` does."""
        self.console.print(*parts, **options)

    def text(self) -> str:
        """Everything printed so far, without trailing blanks."""
        return "\n".join(line.rstrip() for line in self._file.getvalue().splitlines())


def fitted(text: str, width: int) -> str:
    """Return text in lines of at most `width` columns: longer ones go on, indented, rulers are cut.

    A word that is longer than a line is broken.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        if len(line) <= width:
            lines.append(line)
        elif set(line) <= {"=", "-"}:
            lines.append(line[:width])
        else:
            own = line[: len(line) - len(line.lstrip())]
            indent = own + "  " if len(own) < width // 2 else ""
            lines += textwrap.wrap(
                line, width, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False
            )
    return "\n".join(lines)


def printable(line: str) -> str:
    """Return a line that stays one and moves no cursor, whatever a note or a name has in it."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "?" for sign in line)


def terminal_width() -> int | None:
    """Return the columns of the terminal that is written to, at least 20; None for a pipe or a file."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return None
    return max(shutil.get_terminal_size((WIDEST, 24)).columns, 20)


def wants_color() -> bool:
    """Whether standard output is a terminal and nobody objects (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
