"""How what is typed in is stored: symbols in one writing, IV ranks in percent, amounts that sums can hold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from journal import TradeJournal, schema
from journal.export import export_trades
from journal.performance_tracker import PerformanceTracker
from simulator.errors import DataError, TwinstepWarning
from tests.journal.making import START, Desk, put_spread, short_put, signal, sizing


@pytest.fixture
def desk(where: str) -> Iterator[Desk]:
    made = Desk(where)
    yield made
    made.journal.close()


WRITINGS = ("AAPL", "aapl", " AAPL ", "Aapl\t")


def test_a_symbol_is_one_symbol_however_it_is_written(desk: Desk) -> None:
    journal = desk.journal
    for name in WRITINGS:
        number = journal.log_trade_entry(symbol=name, quantity=1, entry_price=50.0)
        journal.log_trade_exit(number, exit_price=51.0)
    desk.clock.forward(minutes=1)
    assert {trade.symbol for trade in journal.trades()} == {"AAPL"}
    assert {fill.symbol for number in range(1, 5) for fill in journal.fills(number)} == {"AAPL"}
    tracker = PerformanceTracker(journal)
    for name in WRITINGS:
        assert len(journal.trades(symbol=name)) == 4
        assert (found := journal.past_performance(name)) is not None
        assert found.trades == 4
        assert tracker.metrics(symbol=name).trades == 4
        assert len(tracker.history(f"symbol:{name}")) == 4
    assert set(tracker.breakdown("symbol")) == {"AAPL"}


def test_recommendations_their_legs_and_their_trades_share_the_writing(desk: Desk) -> None:
    journal = desk.journal
    journal.log_recommendation(put_spread(symbol="spy "), sizing())
    journal.log_recommendation(replace(signal(), ticker=" aapl"))
    assert [one.symbol for one in journal.recommendations()] == ["SPY", "AAPL"]
    assert len(journal.recommendations(symbol=" spy")) == 1
    assert str(journal.recommendation(1).legs[0].symbol).startswith("SPY260220P")
    number = journal.log_trade_entry(1, 2, 1.9, symbol="Spy")
    assert journal.trade(number).legs[0].symbol == "SPY260220P00095000"
    with pytest.raises(DataError, match="is for AAPL, the entry for SPY") as caught:
        journal.log_trade_entry(2, symbol="spy", quantity=1, entry_price=50.0)
    assert caught.value.code == "JOURNAL_SYMBOL"


def test_an_export_takes_a_symbol_in_any_writing(desk: Desk, tmp_path: object) -> None:
    desk.journal.log_trade_entry(symbol="aapl", quantity=1, entry_price=50.0)
    written = export_trades(desk.journal, f"{tmp_path}/out.csv", symbol=" Aapl")
    assert "AAPL" in written.read_text()


@pytest.mark.parametrize("rank", [0.685, 0.01, 0.999])
def test_a_fraction_where_percent_is_meant_is_said_and_kept(desk: Desk, rank: float) -> None:
    said = rf"\[JOURNAL_PERCENT\] iv_rank is {rank:g}.*Write {100 * rank:g}"
    with pytest.warns(TwinstepWarning, match=said):
        number = desk.journal.log_trade_entry(
            symbol="SPY", actual_contracts=1, entry_credit=1.9, iv_rank=rank
        )
    assert desk.journal.trade(number).iv_rank == rank
    with pytest.warns(TwinstepWarning, match=said):
        desk.journal.log_recommendation(short_put(iv_rank=rank))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was said when it was recommended
        desk.journal.log_trade_entry(1, 1, 2.9)


@pytest.mark.parametrize("rank", [None, 0.0, 1.0, 68.5, 100.0])
def test_a_rank_in_percent_needs_no_word(desk: Desk, rank: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        desk.journal.log_trade_entry(symbol="SPY", actual_contracts=1, entry_credit=1.9, iv_rank=rank)


@pytest.mark.parametrize(
    ("quantity", "price", "multiplier"),
    [(1e150, 1e149, 100.0), (1e200, 1e200, 1.0), (1e100, 1e100, 1e101), (1e299, 20.0, None)],
)
def test_cash_that_no_sum_could_hold_is_refused_at_entry(
    desk: Desk, quantity: float, price: float, multiplier: float | None
) -> None:
    with pytest.raises(DataError, match="price x quantity x multiplier") as caught:
        desk.journal.log_trade_entry(
            symbol="X", quantity=quantity, entry_price=price, multiplier=multiplier, stop_price=price / 2
        )
    assert caught.value.code == "JOURNAL_VALUE"
    with desk.journal.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(schema.trades)).scalar_one() == 0


def test_cash_that_no_sum_could_hold_is_refused_at_exit_and_addition(desk: Desk) -> None:
    journal = desk.journal
    number = journal.log_trade_entry(symbol="X", quantity=1e150, entry_price=1.0)
    for call in (
        lambda: journal.log_trade_exit(number, exit_price=1e151),
        lambda: journal.log_trade_add(number, 1e200, entry_price=1e101),
    ):
        with pytest.raises(DataError, match="price x quantity x multiplier"):
            call()
    outcome = journal.log_trade_exit(number, exit_price=2.0)
    assert outcome.pnl == 1e150
    assert journal.trade(number).entry_time == START


def test_the_largest_cash_that_is_taken_can_be_closed(journal_path: object) -> None:
    with TradeJournal(str(journal_path)) as journal:
        number = journal.log_trade_entry(symbol="X", quantity=1e150, entry_price=1e149)
        assert journal.log_trade_exit(number, exit_price=1e149).pnl == 0.0
