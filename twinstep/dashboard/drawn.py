"""Templates, drawn with everything escaped; the words and pictures that they may use.

A name can hold signs that turn around what follows them on its line, figures too: none of them gets through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from twinstep.dashboard import words
from twinstep.dashboard.charts.ladder import ladder
from twinstep.dashboard.kept import form_key
from twinstep.dashboard.reading.feed import since, span

__all__ = ["PAGES", "Draw", "drawing"]

Draw = Callable[[str, dict[str, Any]], str]
"""From a template's name and its values to a page."""

PAGES: Final = (
    ("/", "Now"),
    ("/queue", "Review queue"),
    ("/journal", "Journal"),
    ("/performance", "Performance"),
    ("/runs", "Backtests"),
    ("/learning", "Learning"),
    ("/options", "Options"),
    ("/system", "System"),
)
"""Address and name of each page, in the order of the menu."""


_TURNING: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}")


def drawing() -> Draw:
    """Return what draws a template; a name that it does not know is an error, and no empty place."""
    environment = Environment(
        loader=PackageLoader("twinstep.dashboard", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_straight,
    )  # fmt: skip
    environment.filters |= words.FILTERS
    environment.globals |= {
        "pages": PAGES,
        "new_key": form_key,
        "ladder": ladder,
        "since": since,
        "span": span,
    }

    def draw(name: str, values: dict[str, Any]) -> str:
        return environment.get_template(name).render(values)

    return draw


def _straight(value: Any) -> Any:
    # what is markup has been made here
    return value.translate(_TURNING) if type(value) is str else value
