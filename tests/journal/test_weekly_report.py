"""The weekly report: three renderings of one week, and which week is meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from journal.learning_system import TradeLearningSystem
from journal.trade_journal import TradeJournal
from journal.weekly_report import WeeklyReport
from simulator.errors import DataError

NOW = datetime(2020, 3, 12, 15, tzinfo=UTC)  # a Thursday
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def journal(where: str) -> Iterator[TradeJournal]:
    with TradeJournal(where, clock=lambda: NOW) as opened:
        for days_ago, symbol, debit in ((9, "QQQ", 0.5), (3, "SPY", 0.95), (1, "SPY", 3.9), (0, NASTY, 1.0)):
            number = opened.log_trade_entry(
                symbol=symbol, strategy="short-put-spread", actual_contracts=7, entry_credit=1.90,
                iv_rank=68.5, dte=45, max_loss=2170.0, when=NOW - timedelta(days=days_ago + 12),
            )  # fmt: skip
            why = NASTY if symbol == NASTY else "50% profit rule"
            opened.log_trade_exit(
                number, exit_debit=debit, close_reason=why, when=NOW - timedelta(days=days_ago)
            )
        opened.log_trade_entry(
            symbol="NVDA", strategy="short-put", actual_contracts=2, entry_credit=3.0, iv_rank=40.0,
            expiry=date(2020, 4, 17),
        )  # fmt: skip
        yield opened


@pytest.fixture
def report(journal: TradeJournal) -> WeeklyReport:
    return TradeLearningSystem(journal, out=lambda text: None).generate_weekly_report()


def test_the_week_runs_from_monday_to_sunday_and_counts_what_closed_in_it(report: WeeklyReport) -> None:
    assert (report.monday, report.sunday) == (date(2020, 3, 9), date(2020, 3, 15))
    assert [trade.pnl for trade in report.closed] == pytest.approx([665.0, -1400.0, 630.0])
    assert (report.wins, report.losses) == (2, 1)
    assert report.total_pnl == pytest.approx(-105.0)
    assert report.interval is not None
    assert report.interval.low == pytest.approx(20.77, abs=0.01)
    assert report.weeks[-2].pnl == pytest.approx(980.0)
    assert [position.symbol for position in report.open_positions] == ["NVDA"]
    assert report.open_positions[0].days_left == 36


def test_the_text_has_its_sections(report: WeeklyReport) -> None:
    text = report.text()
    at = -1
    for part in (
        "WEEKLY REPORT: 2020-03-09 to 2020-03-15", "Trades closed this week: 3", "Total P&L: -$105.00",
        "Win rate: 67% (2 won, 1 lost; 95%: 21-94%)", "Week before: 1 trade, +$980.00", "KEY INSIGHTS:",
        "MISTAKES:", "OPEN POSITIONS (1, as of 2020-03-12):", "NVDA short-put: sold 2 at 3.00",
        "PARAMETER RECOMMENDATIONS",
    ):  # fmt: skip
        assert part in text
        assert text.index(part) > at
        at = text.index(part)
    assert "High IV rank" in text


def test_an_earlier_week_is_told_by_any_of_its_days_and_learns_from_nothing_later(
    journal: TradeJournal,
) -> None:
    learner = TradeLearningSystem(journal, out=lambda text: None)
    before = learner.weekly_report(date(2020, 3, 8))
    assert (before.monday, len(before.closed)) == (date(2020, 3, 2), 1)
    assert before.analysis.examination.records["all"].trades == 1
    assert learner.weekly_report(datetime(2020, 3, 2, tzinfo=UTC)).monday == date(2020, 3, 2)
    with pytest.raises(DataError, match="without a zone"):
        learner.weekly_report(datetime(2020, 3, 2))  # noqa: DTZ001 - a naive time is what is tested
    empty = learner.weekly_report(date(2019, 1, 1))
    assert empty.win_rate is None
    assert "Trades closed this week: 0" in empty.text()
    assert "No trade was closed this week" in empty.html()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_escapes_everything_and_has_no_script(report: WeeklyReport) -> None:
    html = report.html()
    page = _Page()
    page.feed(html)
    assert page.open == []
    assert "script" not in page.tags
    assert page.addresses == []
    assert not re.search(r"https?://|url\(|@import", html)
    assert html.lower().count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2  # a symbol is upper-case
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert "−$105.00" in html
    assert "NVDA" in html


def test_json_has_the_same_figures(report: WeeklyReport) -> None:
    packed = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert packed["monday"] == "2020-03-09"
    assert packed["total_pnl"] == pytest.approx(report.total_pnl)
    assert [one["pnl"] for one in packed["closed"]] == [one.pnl for one in report.closed]
    assert len(packed["weeks"]) == 12


def test_writing_makes_the_folder_and_says_why_it_cannot(report: WeeklyReport, tmp_path: Path) -> None:
    made = report.write(tmp_path / "new" / "week.html")
    assert made.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(DataError) as caught:
        report.write(made / "below-a-file.html")
    assert caught.value.code == "JOURNAL_EXPORT"
