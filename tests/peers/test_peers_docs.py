"""`docs/peers.md` shows the conventions and both tables as the code and the tests have them.

`python -m tests.peers.test_peers_docs` rewrites the tables in place.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.conventions import CHOICES, PROFILES

from .test_trailing_conventions import ENGINES, SEQUENCES
from .test_truth_table import PROFILES as COLUMNS
from .test_truth_table import TABLE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "peers.md"
ORDER = ("realistic", "worst", "best", "vectorbt", "backtrader", "backtesting.py", "freqtrade")


def choices() -> str:
    lines = [
        "| choice | " + " | ".join(f"`{name}`" for name in ORDER) + " |",
        "|---" * (1 + len(ORDER)) + "|",
    ]
    for choice in CHOICES:
        values = [getattr(PROFILES[name], choice) for name in ORDER]
        default = values[0]
        # what differs from the default stands out
        cells = [value if value == default else f"**{value}**" for value in values]
        lines.append(f"| {choice} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def truth() -> str:
    lines = ["| bar | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for name, row in TABLE.items():
        cells = [row.cells[column] for column in COLUMNS]
        texts = ["no exit" if cell is None else f"{cell[1]:g}" for cell in cells]
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def trailing() -> str:
    lines = ["| engine or profile | " + " | ".join(SEQUENCES) + " |", "|---" * (1 + len(SEQUENCES)) + "|"]
    for engine in ENGINES:
        cells = [sequence.cells.get(engine) for sequence in SEQUENCES.values()]
        texts = ["–" if cell is None else f"bar {cell[0]}, {cell[1]:g}" for cell in cells]
        lines.append(f"| {engine} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


BLOCKS = {"choices": choices, "truth": truth, "trailing": trailing}


def block(page: str, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    assert found, f"docs/peers.md has no block {name}"
    return found.group(1)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_page_shows_what_the_code_has(name: str) -> None:
    assert block(PAGE.read_text(encoding="utf-8"), name) == BLOCKS[name]()


def rewrite() -> None:
    """Put the tables of today between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    for name, make in BLOCKS.items():
        page = re.sub(
            rf"<!-- {name} -->\n.*?<!-- end -->",
            lambda _, name=name, make=make: f"<!-- {name} -->\n{make()}\n<!-- end -->",  # type: ignore[misc]
            page,
            flags=re.DOTALL,
        )
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
