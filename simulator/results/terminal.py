"""Terminal text: rich tables rendered to a string, at most 100 columns wide.

Names come from users and from data, so neither markup nor emoji codes in them are read.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from typing import Any, Final

__all__ = ["WIDEST", "Canvas", "wants_color"]

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


def wants_color() -> bool:
    """Whether standard output is a terminal and nobody objects (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
