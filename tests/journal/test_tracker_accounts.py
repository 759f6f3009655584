"""Several accounts, sources and brokers in one journal, and statements beside syncs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from journal import PositionTracker, SyncReport, TradeJournal
from journal.statements import import_statement
from simulator.errors import DataError
from simulator.paper_positions import PaperPositions
from tests.journal.making import START, Clock
from tests.journal.tracked import Desk, desk

__all__ = ["desk"]  # a fixture


def test_accounts_are_kept_apart(desk: Desk) -> None:
    first, second = PaperPositions("one"), PaperPositions("two")
    first.trade([("AAPL", 100, 50.0)], time=START)
    second.trade([("AAPL", 30, 50.0)], time=START)
    trackers = [PositionTracker(desk.journal, account) for account in (first, second)]
    assert [tracker.sync().status for tracker in trackers] == ["ok", "ok"]
    second.trade([("AAPL", -30, 60.0)], time=START + timedelta(hours=1))
    assert [tracker.sync().exits for tracker in trackers] == [(), (2,)]
    assert [(trade.account, trade.open_quantity) for trade in desk.journal.trades()] == [
        ("one", 100.0), ("two", 0.0)
    ]  # fmt: skip


def test_a_trade_without_an_account_is_not_compared_where_there_are_several(desk: Desk) -> None:
    first, second = PaperPositions("one"), PaperPositions("two")
    for account in (first, second):
        account.trade([("AAPL", 100, 50.0)], time=START)
        PositionTracker(desk.journal, account).sync()
    desk.journal.log_trade_entry(symbol="MSFT", side=1, quantity=5, entry_price=300.0)
    report = PositionTracker(desk.journal, first).sync()
    assert report.status == "ok"
    assert "1 open trades name no account" in report.message


def test_sources_are_kept_apart(tmp_path: Path) -> None:
    clock = Clock()
    with TradeJournal(tmp_path / "journal.db", clock=clock, source="live") as journal:
        paper, real = PaperPositions("A"), PaperPositions("A", broker="tastytrade")
        for account in (paper, real):
            account.trade([("AAPL", 100, 50.0)], time=START)
        reports = [PositionTracker(journal, account).sync() for account in (paper, real)]
        assert [(one.source, one.status) for one in reports] == [("paper", "ok"), ("live", "ok")]
        assert [trade.source for trade in journal.trades(source="all")] == ["paper", "live"]
        assert PositionTracker(journal, paper, source="backtest").source == "backtest"
        with pytest.raises(DataError):
            PositionTracker(journal, paper, source="demo")


def test_a_tracker_opens_a_journal_by_its_path(tmp_path: Path) -> None:
    account = PaperPositions()
    account.trade([("AAPL", 10, 50.0)], time=START)
    with PositionTracker(tmp_path / "journal.db", account, clock=Clock()) as tracker:
        report = tracker.sync()
        assert isinstance(report, SyncReport)
        assert report.status == "ok"
    with TradeJournal(tmp_path / "journal.db", source="paper") as journal:
        assert len(journal.trades()) == 1


ALPACA = """[
 {"activity_type": "FILL", "id": "20260105150000000::a", "order_id": "o1", "price": "50", "qty": "10",
  "side": "buy", "symbol": "AAPL", "transaction_time": "2026-01-05T15:00:00Z", "type": "fill",
  "cum_qty": "10", "leaves_qty": "0"}
]"""


def test_a_statement_does_not_double_what_was_synced(desk: Desk, tmp_path: Path) -> None:
    account = PaperPositions("A1", broker="alpaca")
    account.trade([("AAPL", 10, 50.0)], time=START)
    account._executions = [replace(account._executions[0], execution_id="20260105150000000::a")]
    tracker = PositionTracker(desk.journal, account)
    tracker.sync()
    file = tmp_path / "alpaca.json"
    file.write_text(ALPACA)
    result = import_statement(desk.journal, file, account="A1", source="paper")
    assert (result.rows_read, result.rows_new) == (1, 0)
    assert len(desk.journal.trades()) == 1
    assert tracker.sync().status == "ok"


CSV_HEADER = (
    "Date,Type,Sub Type,Action,Symbol,Instrument Type,Description,Value,Quantity,Average Price,"
    "Commissions,Fees,Multiplier,Root Symbol,Underlying Symbol,Expiration Date,"
    "Strike Price,Call or Put,Order #,Currency\n"
)


def csv_rows(count: int) -> str:
    line = (
        "2026-01-05T10:00:00-0500,Trade,Buy to Open,BUY_TO_OPEN,AAPL,Equity,Bought,-500.00,10,-50.00,0.00,"
        "0.00,1,,AAPL,,,,77,USD\n"
    )
    return CSV_HEADER + line * count


@pytest.mark.parametrize("first", ["sync", "statement"])
def test_a_statement_without_ids_and_a_sync_meet(desk: Desk, tmp_path: Path, first: str) -> None:
    account = PaperPositions("T1", broker="tastytrade")
    for _ in range(3):  # three fills that look alike
        account.trade([("AAPL", 10, 50.0)], time=START)
    tracker = PositionTracker(desk.journal, account, source="paper")
    file = tmp_path / "activity.csv"
    file.write_text(csv_rows(3 if first == "sync" else 2))
    if first == "sync":
        assert tracker.sync().executions == 3
        with pytest.raises(DataError) as caught:
            import_statement(desk.journal, file, source="paper")
        assert caught.value.code == "JOURNAL_STATEMENT_ACCOUNT"
        assert import_statement(desk.journal, file, source="paper", account="T1").rows_new == 0
    else:
        assert import_statement(desk.journal, file, source="paper", account="T1").rows_new == 2
        assert tracker.sync().executions == 1
    assert tracker.sync().executions == 0
    assert sum(trade.quantity for trade in desk.journal.trades()) == 30.0
    assert tracker.sync().status == "ok"


def test_a_report_reads_well(desk: Desk) -> None:
    desk.recommend(hours=1)
    desk.open_spread()
    report = desk.tracker.sync()
    assert str(report) == (
        "paper paper: 2 new executions: 1 entry (1 linked), 0 exits; journal and broker agree"
    )
    assert str(desk.tracker.sync()).endswith("0 new executions: 0 entries (0 linked), 0 exits; "
                                             "journal and broker agree")  # fmt: skip
    assert UTC is START.tzinfo


def test_brokers_with_accounts_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "journal.db", clock=Clock()) as journal:
        accounts = [PaperPositions("A", broker=broker) for broker in ("alpaca", "ib")]
        for count, account in enumerate(accounts, 1):
            account.trade([("AAPL", count * 10, 50.0)], time=START)
        for account in accounts * 2:
            assert PositionTracker(journal, account).sync().status == "ok"
        assert [trade.quantity for trade in journal.trades()] == [10.0, 20.0]
