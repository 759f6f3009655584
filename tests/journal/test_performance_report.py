"""The report as text: every breakdown, nothing cut silently, nothing said of nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journal import TradeJournal
from journal.performance.breakdowns import UNKNOWN
from journal.performance.report import _money, _within
from journal.performance.statistics import Interval
from journal.performance_tracker import PerformanceReport, PerformanceTracker
from tests.journal.making import Clock

NOW = datetime(2024, 6, 3, 15, 0, tzinfo=UTC)


@pytest.fixture
def journal(journal_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(journal_path, clock=Clock(NOW)) as made:
        yield made


def log(journal: TradeJournal, days: int, exit_debit: float, **details: Any) -> None:
    when = NOW - timedelta(days=days)
    given = {"symbol": "SPY", "entry_credit": 1.0, "actual_contracts": 1, "when": when, **details}
    number = journal.log_trade_entry(**given)
    journal.log_trade_exit(number, exit_debit, when=when + timedelta(hours=1))


def report_of(journal: TradeJournal) -> PerformanceReport:
    return PerformanceTracker(journal).generate_report()


def section(text: str, title: str) -> list[str]:
    """Lines below a heading, up to the next blank one."""
    return text.split(f"\n{title}\n")[1].split("\n\n")[0].splitlines()


def test_all_breakdowns_are_printed_with_intervals_and_the_unknown_bucket(journal: TradeJournal) -> None:
    for days, rank, dte in ((100, 10.0, 45), (60, 85.0, 45), (59, 85.0, 10), (5, None, None)):
        log(journal, days, 0.5, iv_rank=rank, dte=dte)
    report = report_of(journal)
    text = str(report)
    for title, by in (
        ("By IV rank at entry", "iv_rank"),
        ("By DTE at entry", "dte"),
        ("By weekday of entry (UTC)", "weekday"),
        ("By month of exit (UTC)", "month"),
    ):
        lines = section(text, title)
        assert [line.split()[0] for line in lines] == list(report.by(by))
        assert all(re.search(r"win rate 100\.0% \(\d+% to 100%\), average \$50\.00", line) for line in lines)
    ranks = section(text, "By IV rank at entry")
    assert [line.split()[:3] for line in ranks] == [
        ["0-20", "1", "trade,"], ["80-100", "2", "trades,"], [UNKNOWN, "1", "trade,"],
    ]  # fmt: skip
    assert section(text, "By sector") == ["  unknown for all trades"]
    assert "1 trades" not in text


def test_what_is_cut_is_counted(journal: TradeJournal) -> None:
    for number in range(15):
        log(journal, 31 * (15 - number), 0.5, symbol=f"S{number:02d}")
    text = str(report_of(journal))
    symbols = section(text, "By symbol")
    assert [line.split()[0] for line in symbols[:-1]] == [f"S{number:02d}" for number in range(10)]
    assert symbols[-1] == "  ... and 5 more"
    months = section(text, "By month of exit (UTC)")
    assert len(months) == 11
    assert months[0] == f"  ... and {len(report_of(journal).by('month')) - 10} earlier"
    assert months[-1].split()[0] == "2024-05"


def test_the_eleventh_is_shown_and_not_counted(journal: TradeJournal) -> None:
    for number in range(11):
        log(journal, 1, 0.5, symbol=f"S{number:02d}")
    symbols = section(str(report_of(journal)), "By symbol")
    assert symbols[-1].split()[0] == "S10"


def test_an_empty_report_is_one_sentence(journal: TradeJournal) -> None:
    lines = str(report_of(journal)).splitlines()
    assert lines[0] == "PERFORMANCE REPORT"
    assert lines[2:] == [
        "No closed trades of source live, from the beginning to 2024-06-03: nothing to report."
    ]


def test_no_amount_has_a_sign_that_it_does_not_show() -> None:
    assert [_money(value) for value in (-0.001, 0.0, -0.0, -0.004)] == ["$0.00"] * 4
    assert [_money(value) for value in (-0.006, -1234.5, 2.0, None)] == [
        "-$0.01", "-$1,234.50", "$2.00", "unknown",
    ]  # fmt: skip
    assert _within(Interval(-0.001, 0.001, 0.95, ""), "${:z,.2f}") == " ($0.00 to $0.00)"
    assert _within(Interval(-2.0, 0.001, 0.95, ""), "${:z,.2f}") == " (-$2.00 to $0.00)"


def test_a_scratch_in_parts_prints_as_nothing(journal: TradeJournal) -> None:
    number = journal.log_trade_entry(symbol="SPY", actual_contracts=3, entry_credit=0.30)
    for price in (0.10, 0.20, 0.60):
        journal.log_trade_exit(number, price, quantity=1)
    figures = report_of(journal).metrics
    assert (figures.scratches, figures.losses, figures.total_pnl) == (1, 0, 0.0)
    assert "-$0.00" not in str(report_of(journal))
