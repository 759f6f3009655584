"""The workflow as it was asked for: the examples run, and each promise made of the journal is kept.

One test per promise, named after it: first the parts of the system, then its benefits, then what the scanner
does with it.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journal import ParameterStore, PerformanceTracker, PositionTracker, TradeJournal, TradeLearningSystem
from journal.backup import backup, restore
from journal.export import export_trades
from simulator.errors import DataError, JournalError
from simulator.opportunity import Opportunity
from simulator.paper_positions import PaperPositions
from strategies import OptionsScanner, PositionSizer
from strategies.scanner_market import ScanMarket
from strategies.signal_generator import SignalGenerator
from tests.journal.making import START, Clock, put_spread, signal, sizing

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PUT, WING = "SPY260220P00095000", "SPY260220P00090000"

CLOSED = (
    # symbol, IV rank, days to expiry, profit, why: seven winners, three losers
    ("SPY", 68.5, 45, 665.0, "50% profit rule"),
    ("SPY", 72.0, 45, 850.0, "21 DTE"),
    ("SPY", 61.0, 46, 845.0, "21 DTE"),
    ("SPY", 45.0, 35, -280.0, "Stop loss"),
    ("QQQ", 64.0, 44, 700.0, "50% profit rule"),
    ("QQQ", 59.0, 47, 735.0, "50% profit rule"),
    ("QQQ", 40.3, 34, -280.0, "Stop loss"),
    ("NVDA", 70.0, 43, 520.0, "50% profit rule"),
    ("NVDA", 41.0, 36, -280.0, "Stop loss"),
    ("IWM", 62.6, 45, 275.0, "50% profit rule"),
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "trade_journal.db", clock=clock) as opened:
        yield opened


@pytest.fixture(scope="module")
def market() -> ScanMarket:
    return ScanMarket.sample()


def scan(market: ScanMarket, **options: Any) -> tuple[OptionsScanner, list[Opportunity]]:
    scanner = OptionsScanner(market, strategies=("short-put-spread", "iron-condor"), **options)
    return scanner, scanner.scan_for_opportunities()


def enter(journal: TradeJournal) -> int:
    rec_id = journal.log_recommendation(put_spread(), sizing(7), reason="Scanner auto-generated")
    return journal.log_trade_entry(
        rec_id=rec_id, actual_contracts=7, entry_credit=1.90, iv_rank=68.5,
        notes="Entered at better price than expected",
    )  # fmt: skip


def leave(journal: TradeJournal, trade_id: int, clock: Clock) -> Any:
    clock.forward(days=12)
    return journal.log_trade_exit(
        trade_id=trade_id, exit_debit=0.95, close_reason="50% profit rule", notes="Closed in 12 days"
    )


def trade(journal: TradeJournal, rows: Any, *, clock: Clock, times: int = 1) -> None:
    """Log closed put spreads at 3.00 credit, four contracts, one a day."""
    with journal.database.write():
        for _ in range(times):
            for symbol, rank, dte, profit, why in rows:
                number = journal.log_trade_entry(
                    symbol=symbol, strategy="short-put-spread", actual_contracts=4, entry_credit=3.0,
                    iv_rank=rank, dte=dte, max_loss=1200.0, max_profit=1200.0,
                )  # fmt: skip
                clock.forward(hours=3)
                journal.log_trade_exit(number, exit_debit=3.0 - profit / 400, close_reason=why)
                clock.forward(hours=21)


def analysis(journal: TradeJournal) -> Any:
    return TradeLearningSystem(journal, out=lambda _: None).analyze_what_works()


def setting(found: Any, name: str) -> Any:
    return next(one for one in found.recommendations if one.setting == name)


def sql(journal: TradeJournal, question: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{journal.database.path}?mode=ro", uri=True) as connection:
        return connection.execute(question).fetchall()


def example(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(folder), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# The examples


def test_the_whole_workflow_runs_and_ends_with_the_report(tmp_path: Path) -> None:
    began = time.monotonic()
    out = example(str(EXAMPLES / "trade_memory.py"), str(tmp_path / "kept"), folder=tmp_path)
    assert time.monotonic() - began < 90  # some seconds on an idle machine
    wanted = (
        "trade 1 closed: P&L +665.00", "High IV rank (68%) contributed to success",
        "Followed 50% rule: closed at 50% of max profit", "LEARNING ANALYSIS: What Works?",
        "IV RANK ANALYSIS:", "  Winners avg IV:  65.3%", "  Losers avg IV:   42.1%",
        "INSIGHT: Higher IV rank (65.3%) correlates with wins", "DTE ANALYSIS:",
        "  Winners avg DTE: 45 days", "  Losers avg DTE:  35 days", "SYMBOL PERFORMANCE (2+ trades):",
        "  SPY    - 4 trades, 75% win rate, Avg P&L: $520.00",
        "  QQQ    - 3 trades, 67% win rate, Avg P&L: $385.00",
        "  NVDA   - 2 trades, 50% win rate, Avg P&L: $120.00", "CLOSE REASONS:",
        "  50% profit rule: 5 trades", "  Stop loss: 3 trades, Avg P&L: -$280.00",
        "PARAMETER RECOMMENDATIONS", "Excellent win rate (70%) - Consider:", "not significant",
        "WEEKLY REPORT", "by hand: min_iv_rank=60, target_dte=45",
    )  # fmt: skip
    position = 0
    for line in wanted:
        assert line in out[position:], f"{line!r} is missing, or out of order"
        position = out.index(line, position)
    assert {file.name for file in (tmp_path / "kept").glob("*.*")} >= {
        "trade_journal.db", "backup.db", "trades.csv", "trades.json"
    }  # fmt: skip


def test_generate_recommendations_logs_by_itself(tmp_path: Path) -> None:
    out = example(str(EXAMPLES / "generate_recommendations.py"), folder=tmp_path)
    count = int(re.findall(r"^(\d+) recommendations", out, re.MULTILINE)[-1])
    with TradeJournal(tmp_path / "trade_journal.db", source="paper", read_only=True) as journal:
        assert len(journal.recommendations("recommended")) == count > 0


def test_the_learning_system_runs_as_a_module(tmp_path: Path, clock: Clock) -> None:
    with TradeJournal(tmp_path / "trade_journal.db", clock=clock) as journal:
        trade(journal, CLOSED, clock=clock)
    out = example("-m", "journal.learning_system", folder=tmp_path)
    assert "LEARNING ANALYSIS: What Works?" in out
    assert "WEEKLY REPORT" in out


# Parts: recommendations


def test_every_scanner_recommendation_is_logged(journal: TradeJournal, market: ScanMarket) -> None:
    _, found = scan(market)
    sizer = PositionSizer(account_size=46000)
    for opp in found:
        journal.log_recommendation(
            opp, sizer.calculate_position_details(opp), reason="Scanner auto-generated"
        )
    stored = journal.recommendations()
    assert [(one.symbol, one.strategy) for one in stored] == [(opp.symbol, opp.strategy) for opp in found]
    assert len(found) > 1


def test_a_recommendation_includes_what_was_expected(journal: TradeJournal) -> None:
    stored = journal.recommendation(journal.log_recommendation(put_spread(), sizing(7)))
    assert (stored.symbol, stored.strategy) == ("SPY", "short-put-spread")
    assert [leg.strike for leg in stored.legs] == [95.0, 90.0]
    assert (stored.max_profit, stored.max_loss, stored.probability) == (185.0, 315.0, 0.71)
    assert (stored.iv_rank, stored.quantity) == (62.0, 7.0)


def test_a_recommendation_becomes_executed_or_ignored(journal: TradeJournal) -> None:
    first, second = (journal.log_recommendation(put_spread(), sizing(7)) for _ in range(2))
    assert journal.recommendation(first).status == "recommended"
    journal.log_trade_entry(rec_id=first, actual_contracts=7, entry_credit=1.90)
    journal.ignore_recommendation(second, reason="earnings")
    assert [one.status for one in journal.recommendations()] == ["executed", "ignored"]


# Parts: trades


def test_a_trade_links_to_the_recommendation_that_triggered_it(journal: TradeJournal) -> None:
    trade_id = enter(journal)
    assert journal.trade(trade_id).recommendation_id == 1


def test_a_trade_tracks_entry_exit_and_profit(journal: TradeJournal, clock: Clock) -> None:
    trade_id = enter(journal)
    leave(journal, trade_id, clock)
    stored = journal.trade(trade_id)
    assert stored.entry_time == START
    assert (stored.quantity, stored.entry_credit) == (7.0, 1.90)
    assert (stored.exit_time, stored.exit_price) == (START + timedelta(days=12), 0.95)
    assert (stored.close_reason, stored.close_code) == ("50% profit rule", "profit_target")
    assert stored.pnl == pytest.approx((1.90 - 0.95) * 7 * 100)


def test_a_trade_is_open_and_then_closed(journal: TradeJournal, clock: Clock) -> None:
    trade_id = enter(journal)
    assert [one.id for one in journal.trades("open")] == [trade_id]
    leave(journal, trade_id, clock)
    assert ([], [trade_id]) == (journal.trades("open"), [one.id for one in journal.trades("closed")])


# Parts: performance metrics


def test_win_rate_profit_factor_and_averages_are_calculated(journal: TradeJournal, clock: Clock) -> None:
    trade(journal, CLOSED, clock=clock)
    metrics = PerformanceTracker(journal).metrics()
    profits = [row[3] for row in CLOSED]
    won, lost = [p for p in profits if p > 0], [p for p in profits if p < 0]
    assert metrics.win_rate == pytest.approx(100 * len(won) / len(profits))
    assert metrics.profit_factor == pytest.approx(sum(won) / -sum(lost))
    assert metrics.average_win == pytest.approx(sum(won) / len(won))
    assert metrics.average_loss == pytest.approx(sum(lost) / len(lost))


def test_metrics_are_updated_after_each_trade_closes(journal: TradeJournal, clock: Clock) -> None:
    for count in range(1, 4):
        trade(journal, CLOSED[count - 1 : count], clock=clock)
        assert sql(journal, "SELECT max(trades) FROM performance_metrics WHERE scope = 'all'") == [(count,)]


def test_metrics_are_a_time_series(journal: TradeJournal, clock: Clock) -> None:
    trade(journal, CLOSED, clock=clock)
    history = PerformanceTracker(journal).history()
    assert [row["trades"] for row in history] == list(range(1, 11))
    times = [row["time"] for row in history]
    assert times == sorted(set(times))


# Parts: insights


def test_insights_are_generated_by_themselves(journal: TradeJournal, clock: Clock) -> None:
    found = leave(journal, enter(journal), clock).insights
    assert "High IV rank (68%) contributed to success" in found
    assert "Followed 50% rule: closed at 50% of max profit" in found
    assert [one.text for one in journal.insights(1)] == list(found)


def test_a_low_iv_rank_is_named_where_it_may_have_caused_a_failure(journal: TradeJournal) -> None:
    number = journal.log_trade_entry(
        symbol="SPY", strategy="short-put-spread", actual_contracts=1, entry_credit=1.0, iv_rank=35.0
    )
    outcome = journal.log_trade_exit(number, exit_debit=2.0, close_reason="Stop loss")
    assert "Low IV rank (35%) may have caused failure" in outcome.insights


# Parts: position tracker


def synced(journal: TradeJournal, clock: Clock) -> tuple[PaperPositions, PositionTracker]:
    account = PaperPositions()
    account.trade([(PUT, -2, 2.90), (WING, 2, 1.00)], time=clock.now, multiplier=100, fees=2.60)
    return account, PositionTracker(journal, account)


def test_positions_are_fetched_and_compared_with_open_entries(journal: TradeJournal, clock: Clock) -> None:
    _, tracker = synced(journal, clock)
    clock.forward(hours=1)
    assert tracker.sync().status == "ok"
    journal.log_trade_entry(symbol="AAPL", side=1, quantity=100, entry_price=50.0, source="paper")
    report = tracker.sync()
    assert report.status == "differences"
    assert [(one.symbol, one.journal, one.broker) for one in report.differences] == [("AAPL", 100.0, 0.0)]


def test_closed_positions_are_detected_and_exits_logged(journal: TradeJournal, clock: Clock) -> None:
    account, tracker = synced(journal, clock)
    clock.forward(days=12)
    tracker.sync()
    account.trade([(PUT, 2, 1.30), (WING, -2, 0.40)], time=clock.now, multiplier=100, fees=2.60)
    clock.forward(hours=1)
    (trade_id,) = tracker.sync().exits
    assert journal.trade(trade_id).status == "closed"


def test_never_forget_to_log_a_trade(journal: TradeJournal, clock: Clock) -> None:
    _, tracker = synced(journal, clock)
    clock.forward(hours=1)
    assert journal.trades("open", source="paper") == []
    tracker.sync()
    (found,) = journal.trades("open", source="paper")
    assert (found.symbol, found.quantity) == ("SPY", 2.0)
    assert found.entry_credit == pytest.approx(1.90)


def test_pnl_is_tracked_automatically_and_closing_triggers_analysis(
    journal: TradeJournal, clock: Clock
) -> None:
    account, tracker = synced(journal, clock)
    clock.forward(days=12)
    account.trade([(PUT, 2, 1.30), (WING, -2, 0.40)], time=clock.now, multiplier=100, fees=2.60)
    clock.forward(hours=1)
    (trade_id,) = tracker.sync().exits
    assert journal.trade(trade_id).pnl == pytest.approx((1.90 - 0.90) * 2 * 100 - 2 * 2.60)
    assert journal.insights(trade_id)
    assert sql(journal, "SELECT count(*) FROM performance_metrics WHERE source = 'paper'")[0][0] > 0


def test_an_unanswered_query_closes_nothing(journal: TradeJournal, clock: Clock) -> None:
    account, tracker = synced(journal, clock)
    clock.forward(hours=1)
    tracker.sync()
    account.holdings = _no_answer  # type: ignore[method-assign]
    assert tracker.sync().status == "unknown"
    assert len(journal.trades("open", source="paper")) == 1


def _no_answer() -> Any:
    raise TimeoutError("no answer")


# Parts: learning


def test_it_learns_iv_rank_dte_symbols_close_reasons_and_strategies(
    journal: TradeJournal, clock: Clock
) -> None:
    trade(journal, CLOSED, clock=clock)
    found = analysis(journal)
    text = found.text()
    assert found.examination.comparisons["iv_rank"].winners_average == pytest.approx(65.3, abs=0.05)
    assert found.examination.comparisons["iv_rank"].losers_average == pytest.approx(42.1, abs=0.05)
    assert setting(found, "target_dte").proposed == 45
    for section in ("SYMBOL PERFORMANCE", "CLOSE REASONS:", "WIN RATE BY STRATEGY:"):
        assert section in text


def test_a_win_rate_under_50_raises_the_iv_rank_threshold(journal: TradeJournal, clock: Clock) -> None:
    rows = [("SPY", 55.0, 45, 100.0, "21 DTE"), ("SPY", 55.0, 45, -300.0, "Stop loss"),
            ("QQQ", 55.0, 45, -300.0, "Stop loss")]  # fmt: skip
    trade(journal, rows, clock=clock, times=5)
    one = setting(analysis(journal), "min_iv_rank")
    assert one.proposed > one.current == 50.0


def test_a_win_rate_over_70_lowers_the_iv_rank_threshold(journal: TradeJournal, clock: Clock) -> None:
    rows = [("SPY", 55.0, 45, 400.0, "21 DTE")] * 4 + [("SPY", 55.0, 45, -300.0, "Stop loss")]
    trade(journal, rows, clock=clock, times=4)
    one = setting(analysis(journal), "min_iv_rank")
    assert one.proposed < one.current == 50.0


def test_losing_symbols_are_blacklisted_and_proven_ones_favoured(
    journal: TradeJournal, clock: Clock, market: ScanMarket
) -> None:
    rows = [("SPX", 60.0, 45, -600.0, "Stop loss")] * 12 + [("QQQ", 60.0, 45, 700.0, "21 DTE")] * 12
    trade(journal, rows, clock=clock)
    found = analysis(journal)
    proposed = found.proposals(significant_only=False)["options_scanner"]
    assert (proposed["blacklist"], proposed["favourites"]) == (["SPX"], ["QQQ"])
    store = ParameterStore(journal)
    store.approve(store.propose("options_scanner", {"blacklist": ["SPX"]}).id, by="Ada")
    assert scan(market)[1]
    assert scan(market, parameters=journal)[1] == []


# Parts: weekly reports


def test_the_weekly_report_sums_the_week_up(journal: TradeJournal, clock: Clock) -> None:
    trade(journal, CLOSED[:3], clock=clock)  # Monday to Wednesday
    report = TradeLearningSystem(journal, out=lambda _: None).generate_weekly_report(START.date())
    text = report.text()
    assert len(report.closed) == 3
    assert report.total_pnl == pytest.approx(sum(row[3] for row in CLOSED[:3]))
    for part in ("Trades closed this week: 3", "Total P&L: +$2,360.00", "KEY INSIGHTS:",
                 "PARAMETER RECOMMENDATIONS"):  # fmt: skip
        assert part in text


# Parts: persistence


def test_it_is_one_file_that_sql_can_ask(journal: TradeJournal, clock: Clock) -> None:
    leave(journal, enter(journal), clock)
    tables = {name for (name,) in sql(journal, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {"recommendations", "trades", "performance_metrics", "insights"} <= tables
    assert sql(journal, "SELECT symbol, round(pnl, 2) FROM trades") == [("SPY", 665.0)]


def test_it_exports_to_excel_and_csv(journal: TradeJournal, clock: Clock, tmp_path: Path) -> None:
    leave(journal, enter(journal), clock)
    for name in ("trades.csv", "trades.xlsx"):
        assert export_trades(journal, tmp_path / name).stat().st_size > 100


def test_it_backs_up_and_comes_back(journal: TradeJournal, clock: Clock, tmp_path: Path) -> None:
    enter(journal)
    copy = backup(journal.database)
    where = Path(str(journal.database.path))
    journal.close()
    where.write_bytes(b"")
    restore(where, copy.path)
    with TradeJournal(where, read_only=True) as again:
        assert len(again.trades("open")) == 1


def test_learning_is_carried_over(tmp_path: Path, clock: Clock, market: ScanMarket) -> None:
    where = tmp_path / "kept.db"
    with TradeJournal(where, clock=clock) as first:
        trade(first, CLOSED, clock=clock)
        store = ParameterStore(first)
        store.approve(store.propose("options_scanner", {"min_iv_rank": 60.0}).id, by="Ada")
    with TradeJournal(where, read_only=True) as later:
        assert OptionsScanner(market, parameters=later).min_iv_rank == 60.0
        assert analysis(later).examination.records["all"].trades == 10


# Benefits


def test_never_lose_track(tmp_path: Path, clock: Clock) -> None:
    """What a call acknowledged is there after the process has died without closing anything."""
    where = tmp_path / "trade_journal.db"
    code = (
        "import os\nfrom journal import TradeJournal\n"
        f"journal = TradeJournal({str(where)!r})\n"
        "journal.log_trade_entry(symbol='SPY', actual_contracts=7, entry_credit=1.90)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -9
    with TradeJournal(where, read_only=True) as journal:
        assert [one.quantity for one in journal.trades("open")] == [7.0]


def test_objective_analysis(journal: TradeJournal, clock: Clock) -> None:
    """Ten trades look splendid; the report says what they prove: nothing."""
    trade(journal, CLOSED, clock=clock)
    found = analysis(journal)
    assert found.significant == ()
    assert all("not significant" in one.mark for one in found.recommendations)
    assert "95%" in found.text()


def test_continuous_improvement(journal: TradeJournal, clock: Clock, market: ScanMarket) -> None:
    """More evidence changes what is advised; what a person approves changes what the scanner does."""
    rows = [("SPX", 60.0, 45, -600.0, "Stop loss"), ("SPX", 60.0, 45, -700.0, "Stop loss"),
            ("QQQ", 60.0, 45, 700.0, "21 DTE")]  # fmt: skip
    learner = TradeLearningSystem(journal, out=lambda _: None)
    trade(journal, rows, clock=clock)
    assert learner.propose() == [], "three trades are no evidence"
    trade(journal, rows, clock=clock, times=79)
    proposed = learner.propose()
    before = OptionsScanner(market, parameters=journal)
    store = ParameterStore(journal)
    for one in proposed:
        store.approve(one.id, by="Ada")
    after = OptionsScanner(market, parameters=journal)
    assert (before.learned, before.blacklist) == ({}, frozenset())
    assert after.blacklist == {"SPX"}


def test_pattern_recognition(journal: TradeJournal, clock: Clock) -> None:
    """A pattern in one's own trades, that a high IV rank wins, is found, and significant once it is."""
    trade(journal, CLOSED, clock=clock, times=30)
    evidence = {one.question: one for one in analysis(journal).examination.evidence}
    assert evidence["iv_rank:+"].significant
    assert not evidence["iv_rank:-"].significant


def test_accountability(journal: TradeJournal, clock: Clock) -> None:
    """From the recommendation to the exit everything can be followed, deviations included."""
    journal.log_recommendation(put_spread(), sizing(5), reason="Scanner auto-generated")
    journal.log_trade_entry(rec_id=1, actual_contracts=7, entry_credit=1.90, notes="too many")
    leave(journal, 1, clock)
    record = PerformanceTracker(journal).record(1)
    assert dict(record.mistakes)["oversized"] == "Traded 7 where the verdict granted 5"
    stored = journal.recommendation(1)
    assert (stored.reason, stored.status, stored.quantity) == ("Scanner auto-generated", "executed", 5.0)
    assert [(fill.effect, fill.price) for fill in journal.fills(1)] == [("open", 1.90), ("close", 0.95)]
    with pytest.raises(DataError):
        journal.log_trade_exit(1, exit_debit=0.10)  # history is not rewritten
    assert journal.trade(1).exit_price == 0.95


def test_performance_tracking(journal: TradeJournal, clock: Clock) -> None:
    """Figures are there as soon as the exit is logged."""
    leave(journal, enter(journal), clock)
    metrics = PerformanceTracker(journal).metrics()
    assert (metrics.trades, metrics.win_rate) == (1, 100.0)
    assert metrics.total_pnl == pytest.approx(665.0)


# Integration with the scanner


def test_the_scanner_logs_every_recommendation_to_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from twinstep.cli import run

    monkeypatch.chdir(tmp_path)
    assert run(["scan", "--journal", "scans.db", "--source", "paper"]) == 0
    found = int(re.findall(r"(\d+) opportunities of", capsys.readouterr().out)[-1])
    with TradeJournal(tmp_path / "scans.db", source="paper", read_only=True) as journal:
        assert len(journal.recommendations("recommended")) == found > 0


def test_the_scanner_checks_historical_performance_before_suggesting_symbols(
    journal: TradeJournal, clock: Clock, market: ScanMarket
) -> None:
    asked: list[str] = []

    class Memory:
        def past_performance(self, symbol: str) -> Any:
            asked.append(symbol)
            return journal.past_performance(symbol)

    trade(journal, [("SPX", 60.0, 45, -600.0, "Stop loss")] * 3, clock=clock)
    _, found = scan(market, journal=Memory())
    assert asked == ["SPX"]
    assert {opp.past.standing() for opp in found if opp.past is not None} == {-1}


def test_the_scanner_adjusts_parameters_based_on_actual_results(
    journal: TradeJournal, clock: Clock, market: ScanMarket
) -> None:
    store = ParameterStore(journal)
    first = store.propose("options_scanner", {"min_iv_rank": 60.0, "target_dte": 45})
    assert OptionsScanner(market, parameters=journal).min_iv_rank == 50.0, "nobody has approved it yet"
    store.approve(first.id, by="Ada")
    scanner, found = scan(market, parameters=journal)
    assert (scanner.min_iv_rank, scanner.target_dte) == (60.0, 45)
    assert found == [], "the sample's IV rank is 58"
    assert OptionsScanner(market, min_iv_rank=60, target_dte=45).settings.min_iv_rank == 60.0
    store.roll_back("options_scanner", by="Ada")
    assert OptionsScanner(market, parameters=journal).min_iv_rank == 50.0
    signals = store.propose("signal_generator", {"min_pattern_score": 70.0})
    store.approve(signals.id, by="Ada")
    assert SignalGenerator(**journal.parameters_for("signal_generator")).min_pattern_score == 70.0


def test_the_scanner_shows_past_performance_with_each_symbol(
    journal: TradeJournal, clock: Clock, market: ScanMarket
) -> None:
    trade(journal, [("SPX", 60.0, 45, 700.0, "21 DTE")] * 3, clock=clock)
    _, found = scan(market, journal=journal)
    assert found
    for opp in found:
        assert "(past: 3 trades, 100% won, average +700.00)" in str(opp)


# Getting started


def test_an_entry_is_logged_from_one_line(tmp_path: Path) -> None:
    example(
        "-c",
        "from journal import TradeJournal; j = TradeJournal(); "
        "j.log_trade_entry(symbol='SPY', actual_contracts=7, entry_credit=1.90)",
        folder=tmp_path,
    )
    with TradeJournal(tmp_path / "trade_journal.db", read_only=True) as journal:
        assert journal.trade("TRADE_001").quantity == 7.0


def test_the_shell_does_the_same_in_a_file_and_on_a_server(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from twinstep.cli import run

    monkeypatch.chdir(tmp_path)

    def shell(*words: str) -> str:
        capsys.readouterr()
        assert run(["journal", *words, "--journal", where]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    shell("log", "--symbol", "SPY", "--strategy", "short-put-spread", "--legs", "-480P +475P",
          "--expiry", "2030-02-15", "--contracts", "7", "--credit", "1.90", "--iv-rank", "68.5")  # fmt: skip
    assert "P&L +665.00" in shell("close", "TRADE_001", "--debit", "0.95", "--reason", "50% profit rule")
    assert "50% profit rule" in shell("show", "--status", "closed")
    assert "1" in shell("sql", "SELECT count(*) FROM trades WHERE close_reason LIKE '50% %'")
    assert "+665.00" in shell("show", "1")
    assert "1 trade" in shell("search", "spy")
    shell("tag", "1", "shell")
    shell("lesson", "1", "wait")
    shell("export", "trades.csv")
    assert "good" in shell("check")
    assert "0 parameter sets" in shell("params", "history")
    assert "+665.00" in shell("tax")
    for words in (["learn"], ["report", "--weekly"], ["report", "--days", "3"]):
        assert run([*words, "--journal", where]) == 0
    assert run(["journal", "sql", "WITH a AS (SELECT 1) DELETE FROM trades", "--journal", where]) == 2
    assert "1 trade" in shell("search", "spy")


def test_signals_of_shares_are_remembered_like_options(journal: TradeJournal, clock: Clock) -> None:
    rec_id = journal.log_recommendation(signal(), reason="breakout")
    number = journal.log_trade_entry(rec_id=rec_id, quantity=100, entry_price=50.0)
    clock.forward(days=5)
    assert journal.log_trade_exit(number, exit_price=56.0, close_reason="target").pnl == 600.0


def test_a_live_journal_is_not_taught_by_backtests(journal: TradeJournal, clock: Clock) -> None:
    trade(journal, CLOSED, clock=clock)
    assert TradeLearningSystem(journal, source="backtest").analysis().examination.records["all"].trades == 0
    mixed = TradeLearningSystem(journal, source="all").analysis()
    assert any("Mixes" in note for note in mixed.notes)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as error:
        TradeLearningSystem(tmp_path / "nothing.db")
    assert error.value.code == "JOURNAL_MISSING"
    assert datetime.now(UTC) > START
