"""A note is a line more among what was noted: at entry while a trade is open, else at exit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from journal.trade_journal import TradeJournal
from simulator.errors import DataError, UnknownNameError


def test_notes_are_lines_at_entry_and_then_at_exit(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "desk.db", source="paper") as journal:
        number = journal.log_trade_entry(
            symbol="AAPL", strategy="breakout", actual_contracts=10, entry_credit=-100.0, notes="a gap",
            kind="stock", when=datetime(2026, 1, 5, 15, tzinfo=UTC),
        )  # fmt: skip
        assert journal.add_note(number, "  thin volume ") == "a gap\nthin volume"
        assert journal.trade(number).entry_notes == "a gap\nthin volume"
        journal.log_trade_exit(number, -110.0, "target", when=datetime(2026, 1, 9, 15, tzinfo=UTC))
        figures = journal.trade(number).pnl
        journal.apply("add_note", {"trade_id": number, "note": "too early"})
        found = journal.trade(number)
        assert (found.entry_notes, found.exit_notes) == ("a gap\nthin volume", "too early")
        assert found.pnl == figures
        assert [one.id for one in journal.search("too early", source="paper")] == [number]


def test_an_empty_note_and_a_trade_that_is_not_there_are_errors(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "desk.db") as journal:
        with pytest.raises(UnknownNameError):
            journal.add_note(1, "words")
        with pytest.raises(DataError) as caught:
            journal.add_note(1, " ")
        assert caught.value.code == "JOURNAL_VALUE"
