"""The tracker on a real journal: what it writes, what it reads, and that it says what it mixes."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from journal import TradeJournal, schema
from journal.performance_tracker import MistakeCategory, PerformanceTracker, TradeRecord
from simulator.errors import DataError, JournalError, UnknownNameError
from tests.journal.generate import generate, store
from tests.journal.making import Clock

NOW = datetime(2024, 6, 3, 15, 0, tzinfo=UTC)


def trade(journal: TradeJournal, pnl: float, *, ago: float, source: str | None = None, **details: Any) -> int:
    """Log a spread that made `pnl` and closed some days ago."""
    closed = NOW - timedelta(days=ago)
    details = {"symbol": "SPY", "strategy": "short-put-spread", "max_loss": 310.0, **details}
    number = journal.log_trade_entry(
        actual_contracts=1, entry_credit=1.90, when=closed - timedelta(days=10), source=source, **details
    )
    journal.log_trade_exit(number, exit_debit=1.90 - pnl / 100, when=closed, close_reason="21 DTE")
    return number


@pytest.fixture
def journal(journal_path: Path) -> Any:
    with TradeJournal(journal_path, clock=Clock(NOW)) as journal:
        yield journal


def test_figures_by_hand(journal: TradeJournal) -> None:
    for ago, pnl in ((50, 100.0), (40, -62.0), (20, 0.0), (10, 95.0), (5, 62.0)):
        trade(journal, pnl, ago=ago)
    figures = PerformanceTracker(journal).metrics()
    assert (figures.trades, figures.wins, figures.losses, figures.scratches) == (5, 3, 1, 1)
    assert figures.win_rate == 60.0  # wins over all closed trades, the scratch among them
    assert figures.total_pnl == pytest.approx(195.0)
    assert figures.expectancy == pytest.approx(39.0)
    assert figures.profit_factor == pytest.approx(257.0 / 62.0)
    assert figures.mean_r == pytest.approx(39.0 / 310.0)
    assert figures.max_drawdown == pytest.approx(-62.0)
    assert (figures.streak, figures.longest_win_streak, figures.longest_loss_streak) == (2, 2, 1)
    assert figures.average_days == 10.0
    assert figures["win_rate"] == figures.win_rate
    assert figures.win_rate_interval is not None
    assert figures.win_rate_interval.low == pytest.approx(23.07, abs=0.01)


def test_a_report_of_the_last_days_reads_as_a_mapping(journal: TradeJournal) -> None:
    numbers = [trade(journal, pnl, ago=ago) for ago, pnl in ((50, 100.0), (20, -62.0), (10, 95.0))]
    tracker = PerformanceTracker(journal)
    tracker.add_mistake(numbers[0], MistakeCategory.NO_STOP)
    tracker.add_mistake(
        trade_id=f"TRADE_{numbers[1]:03d}",
        mistake_category=MistakeCategory.PREMATURE_EXIT,
        description="Sold at first resistance instead of target",
    )
    tracker.add_lesson(trade_id=numbers[1], lesson="Wait for target or stop, don't exit early on noise")
    report = tracker.generate_report(days=30)
    assert report["metrics"]["trades"] == 2
    assert [f"{mistake}: {count} times" for mistake, count in report["common_mistakes"].items()] == [
        "premature_exit: 1 times"
    ]
    assert all(str(advice) for advice in report["recommendations"])
    assert report["lessons"] == ("Wait for target or stop, don't exit early on noise",)
    assert set(report["by_symbol"]) == {"SPY"}
    assert report.by_close_code["dte"].trades == 2
    assert set(report) == set(report.keys())
    with pytest.raises(KeyError):
        report["nothing"]
    shown = str(report)
    for words in ("Source: live", "Win rate", "premature_exit: in 1 trade, -$62.00", "Wait for target"):
        assert words in shown


def test_sources_are_never_mixed_unasked(journal: TradeJournal) -> None:
    trade(journal, 100.0, ago=5)
    trade(journal, -100.0, ago=4, source="paper")
    tracker = PerformanceTracker(journal)
    assert tracker.metrics().total_pnl == pytest.approx(100.0)
    assert PerformanceTracker(journal, source="paper").metrics().total_pnl == pytest.approx(-100.0)
    assert tracker.generate_report().source == "live"
    mixed = tracker.generate_report(source="all")
    assert mixed.metrics.trades == 2
    assert "mixed" in mixed.source
    assert "(mixed)" in str(mixed)
    assert "mixed" in tracker.generate_report(source=["live", "paper"]).source
    with pytest.raises(DataError) as caught:
        tracker.metrics("lives")
    assert caught.value.code == "JOURNAL_CHOICE"
    with pytest.raises(DataError):
        tracker.history(source="all")


def test_filters(journal: TradeJournal) -> None:
    first = trade(journal, 100.0, ago=5)
    trade(journal, 50.0, ago=4, symbol="QQQ", strategy="iron-condor", account="A")
    journal.add_tag(first, "earnings")
    tracker = PerformanceTracker(journal)
    assert tracker.metrics(symbol="QQQ").total_pnl == pytest.approx(50.0)
    assert tracker.metrics(strategy="short-put-spread").total_pnl == pytest.approx(100.0)
    assert tracker.metrics(tag="earnings").trades == 1
    assert tracker.metrics(account="A").trades == 1
    assert tracker.metrics(since=NOW - timedelta(days=4, hours=1)).trades == 1
    end = NOW - timedelta(days=4)
    assert tracker.metrics(until=end).trades == len(journal.trades(until=end)) == 2
    assert tracker.metrics(since=end).trades == len(journal.trades(since=end)) == 1
    before = end - timedelta(microseconds=1)
    assert tracker.metrics(until=before).trades == len(journal.trades(until=before)) == 1
    assert tracker.metrics(kind="option").trades == 2
    assert tracker.metrics(kind="stock").trades == 0
    with pytest.raises(DataError, match=r"kind is 'stocks'.*Did you mean 'stock'") as caught:
        tracker.metrics(kind="stocks")
    assert caught.value.code == "JOURNAL_CHOICE"
    assert tracker.metrics(kind="stock").trades == 0
    assert set(tracker.breakdown("strategy")) == {"short-put-spread", "iron-condor"}
    with pytest.raises(DataError):
        tracker.breakdown("colour")


def test_what_is_written_is_checked(journal: TradeJournal) -> None:
    number = trade(journal, 100.0, ago=5)
    tracker = PerformanceTracker(journal)
    with pytest.raises(UnknownNameError) as unknown:
        tracker.add_lesson("TRADE_999", "x")
    assert unknown.value.code == "JOURNAL_TRADE"
    with pytest.raises(DataError) as wrong:
        tracker.add_mistake(number, "premature_exits")
    assert wrong.value.code == "JOURNAL_CHOICE"
    assert "premature_exit" in str(wrong.value)
    with pytest.raises(DataError):
        tracker.add_lesson(number, "a\x00b")
    with pytest.raises(DataError):
        tracker.generate_report(days=0)
    tracker.add_mistake(number, "oversized")
    assert tracker.remove_mistake(number, MistakeCategory.OVERSIZED) == 1
    with journal.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(schema.mistakes)).scalar() == 0


def test_records_carry_what_was_learned(journal: TradeJournal) -> None:
    number = trade(journal, 95.0, ago=5, iv_rank=70.0)
    tracker = PerformanceTracker(journal)
    tracker.add_mistake(number, MistakeCategory.CHASED_ENTRY, "too eager")
    tracker.add_lesson(number, "patience")
    journal.add_tag(number, "index")
    (record,) = tracker.records()
    assert isinstance(record, TradeRecord)
    assert (record.trade_id, record.outcome) == (number, "win")
    assert record.pnl == pytest.approx(95.0)
    assert record.mistakes == (("chased_entry", "too eager"),)
    assert (record.lessons, record.tags) == (("patience",), ("index",))
    assert "High IV rank (70%) contributed to success" in record.insights
    assert tracker.record(number) == record
    still_open = journal.log_trade_entry(symbol="SPY", strategy="x", actual_contracts=1, entry_credit=1.0)
    assert tracker.record(still_open).outcome == "open"


def test_the_json_file_holds_the_report_and_its_trades(journal: TradeJournal, tmp_path: Path) -> None:
    for ago, pnl in ((50, 100.0), (20, 40.0), (10, 95.0)):
        trade(journal, pnl, ago=ago)
    path = PerformanceTracker(journal).export_json(tmp_path / "out.json", days=30)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["report"]["metrics"]["trades"] == 2
    assert content["report"]["metrics"]["profit_factor"] is None
    assert content["report"]["source"] == "live"
    assert [row["outcome"] for row in content["trades"]] == ["win", "win"]
    assert content["trades"][0]["exit_time"] == "2024-05-14T15:00:00+00:00"
    assert sorted(os.listdir(tmp_path)).count("out.json.part") == 0


def test_the_history_is_one_row_per_close(journal: TradeJournal) -> None:
    for ago, pnl in ((50, 100.0), (20, -62.0), (10, 95.0)):
        trade(journal, pnl, ago=ago)
    rows = PerformanceTracker(journal).history("symbol:SPY")
    assert [row["win_rate"] for row in rows] == pytest.approx([100.0, 50.0, 200.0 / 3])
    assert rows[0]["time"] == NOW - timedelta(days=50)


def test_a_tracker_of_a_path_closes_what_it_opened(journal_path: Path) -> None:
    TradeJournal(journal_path).log_trade_entry(symbol="SPY", quantity=1, entry_price=1.0)
    with PerformanceTracker(journal_path) as tracker:
        assert tracker.add_lesson(1, "patience") == 1
        assert tracker.generate_report(days=30).recommendations[0].code == "no_trades"
        assert tracker.metrics().win_rate is None
    with TradeJournal(journal_path) as journal:
        journal.add_tag(1, "nobody holds it any more")


def test_a_tracker_begins_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given, name in ((["typo.db"], "typo.db"), ([], "trade_journal.db")):
        with pytest.raises(JournalError, match=name) as caught:
            PerformanceTracker(*given)
        assert caught.value.code == "JOURNAL_MISSING"
    assert list(tmp_path.iterdir()) == []
    TradeJournal().log_trade_entry(symbol="SPY", quantity=1, entry_price=1.0)
    with PerformanceTracker() as tracker:
        assert tracker.metrics().trades == 0


def test_both_databases_give_the_same_report(where: str) -> None:
    with TradeJournal(where, clock=Clock(NOW)) as journal:
        drawn = generate(12, 60, sources=("live",))
        with journal.database.write() as connection:
            store(connection, drawn)
        report = PerformanceTracker(journal).generate_report()
        rows = drawn.closed()
        assert report.metrics.trades == len(rows)
        assert report.metrics.total_pnl == pytest.approx(sum(row["pnl"] for row in rows))
        for name in ("sector", "close_reason", "signal_type"):
            labels = {row[name] or "unknown" for row in rows}
            assert set(report.by(name)) == labels
        unknown = sum(1 for row in rows if row["r_multiple"] is None)
        assert report.metrics.r_count == len(rows) - unknown
        marked = {row["trade_id"] for row in drawn.mistakes} & {row["id"] for row in rows}
        assert sum(report.common_mistakes.values()) >= len(marked) > 0
        assert len(report.lessons) > 0
        assert str(report)
