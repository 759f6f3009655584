"""What a page shows of a screen, outside of its commands, is what that screen shows."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from twinstep.account_lines import stored_lines
from twinstep.cli import run
from twinstep.paper_view import DeskView

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


def shown(page: str) -> list[str]:
    """Return the lines of the first block of text on a page."""
    found = re.search(
        r"^```text\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return [line.rstrip() for line in found[1].splitlines()]


def test_the_desk_is_as_its_page_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["paper", "--strategy", "donchian-breakout", "--end", "2001-06-29", "--group", "100"]) == 0
    account = stored_lines(tmp_path / "trade_journal.db", "paper")
    screen = io.StringIO()
    Console(file=screen, width=80).print(DeskView(account=account, switch="ACTIVE"))
    assert [line.rstrip() for line in screen.getvalue().splitlines()] == shown("desk.md")
