"""What README and `docs/` show and nobody runs: it is listed, has a reason, and is the smaller part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.snippets.blocks import Block, Marker, blocks_of, pages

REASONS = ("needs ", "waits for ", "serves ", "blocks until ", "takes ", "shows ", "names ")
LEAST_RUN = 0.65
"""Share of what is shown that has to run: brokers, servers and what waits are about a quarter."""


def not_run() -> list[tuple[Block, str, str]]:
    """Return block, what is not run in it, and why."""
    found = []
    for page in pages():
        found += [(one, one.text, one.markers[0].reason) for one in blocks_of(page, "python") if one.skipped]
        for block in blocks_of(page, "console", "sh", "bash"):
            reasons = [(command, block.why_not(command)) for command in block.commands]
            found += [(block, command, reason) for command, reason in reasons if reason]
    return found


def shown() -> int:
    return sum(
        len(block.commands) if block.kind != "python" else 1
        for page in pages()
        for block in blocks_of(page, "python", "console", "sh", "bash")
    )


def test_what_is_not_run_has_a_reason_and_is_the_smaller_part() -> None:
    listed = not_run()
    for block, what, reason in listed:
        print(f"{block.page}:{block.line}: {what.splitlines()[0]}: {reason}")
        assert reason.startswith(REASONS), f"{block.page}:{block.line}: {reason!r} is no reason"
    assert len(listed) < (1 - LEAST_RUN) * shown(), f"{len(listed)} of {shown()} are not run"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_marker_stands_above_what_it_excuses(page: Path) -> None:
    blocks = blocks_of(page, "python", "console", "sh", "bash")
    written = page.read_text(encoding="utf-8").count("<!-- not run: ")
    assert sum(len(block.markers) for block in blocks) == written, "a marker without a block below it"
    for block in blocks:
        for marker in block.markers:
            assert not marker.fragments or any(map(marker.covers, block.commands)), (block.line, marker)


def test_a_marker_excuses_the_lines_that_it_names() -> None:
    some = Block("a.md", 1, "console", "$ one --x\n$ two\nseen\n", (Marker("needs a", ("--x",)),))
    assert [some.why_not(command) for command in some.commands] == ["needs a", ""]
    assert not some.skipped
    whole = Block("a.md", 1, "console", "$ one\n", (Marker("needs a"),))
    assert whole.skipped
