"""Reports on journals that are small, empty or odd: no sentence says more, or other, than the figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from journal import ParameterStore, TradeJournal, TradeLearningSystem
from journal.learning.rules import Recommendation
from journal.learning_system import LearningAnalysis
from simulator.errors import DataError
from tests.journal.making import Clock

SCANNER = "options_scanner"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "trades.db", clock=Clock()) as opened:
        yield opened


def close(journal: TradeJournal, pnl: float, symbol: str = "SPY", **details: Any) -> None:
    """Log a closed spread with 1,200 at risk that made `pnl`."""
    now = journal._clock()
    trade_id = journal.log_trade_entry(
        symbol=symbol, strategy="short-put-spread", actual_contracts=4, entry_credit=3.0, max_loss=1200.0,
        when=now - timedelta(days=3), **details,
    )  # fmt: skip
    journal.log_trade_exit(trade_id, exit_debit=3.0 - pnl / 400, when=now - timedelta(days=1))


def analysed(journal: TradeJournal) -> LearningAnalysis:
    return learner(journal).analysis()


def learner(journal: TradeJournal) -> TradeLearningSystem:
    return TradeLearningSystem(journal, out=lambda text: None)


def advice(analysis: LearningAnalysis, kind: str) -> Recommendation:
    return next(one for one in analysis.recommendations if one.kind == kind)


def test_what_cannot_be_tested_yet_is_not_said_to_rest_on_no_trades(journal: TradeJournal) -> None:
    for rank, pnl in ((68.0, 100.0), (71.0, 120.0), (62.0, 90.0), (30.0, -200.0), (35.0, -150.0)):
        close(journal, pnl, iv_rank=rank)
    found = analysed(journal)
    assert advice(found, "min_iv_rank").mark == "not significant: too few to test, 5 trades"
    assert "0 trades" not in found.text()


def test_a_test_on_some_of_the_trades_says_of_how_many(journal: TradeJournal) -> None:
    for i in range(20):
        close(journal, 100.0 if i % 2 else -100.0, iv_rank=40.0 + i if i < 14 else None)
    found = analysed(journal)
    one = advice(found, "min_iv_rank")
    assert one.evidence is not None
    assert 0 < one.evidence.trades < one.trades == 20
    assert f"over {one.evidence.trades} of 20 trades" in one.mark


def test_an_empty_journal_claims_no_correction_for_questions(journal: TradeJournal) -> None:
    text = learner(journal).weekly_report().text()
    assert "No closed trades yet." in text
    assert "significant" not in text
    assert "too few closed trades" not in text


def test_a_low_win_rate_that_pays_is_no_warning(journal: TradeJournal) -> None:
    for pnl in (600.0, 500.0, -100.0, -100.0, -100.0):
        close(journal, pnl)
    # average win 550, average loss 100: break-even at 100 / 650
    assert "• Win rate 40% is above its break-even of 15% - Consider:" in analysed(journal).text()


def test_scratches_do_not_turn_the_headline(journal: TradeJournal) -> None:
    for pnl in (100.0, 100.0, -100.0, 0.0, 0.0, 0.0):
        close(journal, pnl)
    # 33 % with the scratches, break-even at 50 %, and still a profit: neither sentence about the break-even
    assert "⚠ Low win rate (33%) - Consider:" in analysed(journal).text()


def test_a_high_win_rate_that_loses_is_a_warning(journal: TradeJournal) -> None:
    for pnl in (50.0, 50.0, 50.0, 50.0, -800.0):
        close(journal, pnl)
    assert "⚠ Win rate 80% is below its break-even of 94% - Consider:" in analysed(journal).text()


def test_a_favourite_that_began_to_lose_is_a_favourite_no_more(journal: TradeJournal) -> None:
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"favourites": ["QQQ", "SPY"]}).id, by="Ada")
    for pnl in (-100.0, -150.0):
        close(journal, pnl)
    settings = analysed(journal).proposals(significant_only=False)[SCANNER]
    assert (settings["blacklist"], settings["favourites"]) == (["SPY"], ["QQQ"])


def test_a_symbol_that_earns_again_leaves_the_blacklist(journal: TradeJournal) -> None:
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"blacklist": ["SPY"]}).id, by="Ada")
    for pnl in (100.0, 150.0):
        close(journal, pnl)
    settings = analysed(journal).proposals(significant_only=False)[SCANNER]
    assert (settings["blacklist"], settings["favourites"]) == ([], ["SPY"])


@pytest.mark.parametrize("week", ["2026-01-05", 5, date(1, 1, 1), date(1600, 1, 1), date(9999, 12, 31)])
def test_a_week_that_is_none_is_refused(journal: TradeJournal, week: Any) -> None:
    with pytest.raises(DataError, match="week"):
        learner(journal).weekly_report(week)
