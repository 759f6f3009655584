"""The week, in the design of all reports: sizes and prices are written, however large or small they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from journal import TradeJournal, TradeLearningSystem

NOW = datetime(2026, 1, 9, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("held", "words"),
    [(1_234_567.0, "1,234,567"), (123_456.78, "123,456.78"), (0.00025, "0.00025"), (10.0, "10")],
)
def test_a_size_is_written_whole(tmp_path: Path, held: float, words: str) -> None:
    with TradeJournal(tmp_path / "desk.db", source="paper", clock=lambda: NOW) as journal:
        for symbol in ("AAPL", "MSFT"):
            number = journal.log_trade_entry(
                symbol=symbol, strategy="s", side=1, quantity=held, entry_price=2.0,
                when=NOW - timedelta(days=2),
            )  # fmt: skip
        journal.log_trade_exit(number, exit_price=3.0, when=NOW - timedelta(days=1))
        report = TradeLearningSystem(journal, source="paper").weekly_report()
    cells = re.findall(r'<td class="num">([^<]*)</td>', report.html())
    assert cells.count(words) == 2
    assert f"bought {words} at 2.00" in report.text()


@pytest.mark.parametrize(
    ("paid", "words"), [(0.0000123, "0.0000123"), (0.65, "0.65"), (1234.5, "1,234.50"), (0.0, "0.00")]
)
def test_a_price_is_not_rounded_to_nothing(tmp_path: Path, paid: float, words: str) -> None:
    with TradeJournal(tmp_path / "desk.db", source="paper", clock=lambda: NOW) as journal:
        journal.log_trade_entry(symbol="PEPE", strategy="s", side=1, quantity=100.0, entry_price=paid)
        report = TradeLearningSystem(journal, source="paper").weekly_report()
    assert f'<td class="num">{words}</td>' in report.html()
    assert f"bought 100 at {words} on" in report.text()
