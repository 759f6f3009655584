"""The Python and console blocks of README and `docs/`, and what their pages say about those that are not run.

A block that cannot run here says why in a comment right above it, which a reader of the source sees as well:
`<!-- not run: needs an account -->`. Where only some lines of it cannot, the comment names what they contain:
<!-- not run: needs the network; lines with `yfinance:` -->. A block may be indented, as in a numbered list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Final

__all__ = ["ROOT", "Block", "Marker", "blocks_of", "inline", "pages"]

ROOT: Final = Path(__file__).resolve().parents[2]
_FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<kind>python|console|sh|bash|toml)\b[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
_ANY: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_MARKERS: Final = re.compile(r"((?: *<!-- not run: [^\n]+ -->\n+)+)\Z")


@dataclass(frozen=True)
class Marker:
    """Why something is not run: the whole block, or the lines that contain one of `fragments`."""

    reason: str
    fragments: tuple[str, ...] = ()

    def covers(self, line: str) -> bool:
        return not self.fragments or any(fragment in line for fragment in self.fragments)


@dataclass(frozen=True)
class Block:
    """A block of a page; `line` is where its fence stands."""

    page: str
    line: int
    kind: str
    text: str
    markers: tuple[Marker, ...]

    @property
    def skipped(self) -> bool:
        return any(not marker.fragments for marker in self.markers)

    @property
    def commands(self) -> list[str]:
        """What is typed at the prompts, without comments, continued lines joined."""
        text = self.text.replace("\\\n", " ")
        return [command for command in re.findall(r"^\w*\$ +(.+)$", text, re.MULTILINE) if command]

    def why_not(self, command: str) -> str:
        """Return the reason why a command is not run, empty where it is."""
        return next((marker.reason for marker in self.markers if marker.covers(command)), "")


def pages() -> list[Path]:
    """Return the README and every page of `docs/`."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks_of(page: Path, *kinds: str) -> list[Block]:
    """Return the blocks of some kinds on a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        if fence["kind"] in kinds:
            above = _MARKERS.search(text, 0, fence.start())
            markers = re.findall(r"<!-- not run: (.+) -->", above[1]) if above else []
            line = text.count("\n", 0, fence.start()) + 1
            marked = tuple(_marker(one) for one in markers)
            found.append(Block(page.name, line, fence["kind"], dedent(fence["text"]), marked))
    return found


def inline(page: Path) -> list[str]:
    """Return what stands in backquotes in the sentences and tables of a page, each on one line."""
    text = _ANY.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"(?<!`)`([^`]+)`(?!`)", text)
    return [re.sub(r"\s+", " ", one).replace("\\|", "|") for one in found]


def _marker(text: str) -> Marker:
    reason, _, lines = text.partition("; lines with ")
    return Marker(reason, tuple(re.findall(r"`([^`]+)`", lines)))
