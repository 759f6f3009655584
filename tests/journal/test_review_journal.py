"""What a trader's slip of the pen, a foreign alphabet or a far time makes of a journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from journal import PerformanceTracker, TradeJournal
from journal.values import nanoseconds
from simulator.errors import DataError
from tests.journal.making import START, Clock, signal

LEGS = [{"side": -1, "kind": "put", "strike": 95.0}, {"side": 1, "kind": "put", "strike": 90.0}]
EXPIRY = "2026-02-20"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "trades.db", clock=clock) as opened:
        yield opened


def shares(journal: TradeJournal, **details: Any) -> int:
    return journal.log_trade_entry(**{"symbol": "XYZ", "quantity": 100, "entry_price": 50.0, **details})


def spread(journal: TradeJournal, **details: Any) -> int:
    given = {"symbol": "SPY", "actual_contracts": 2, "entry_credit": 1.90, "legs": LEGS, "expiry": EXPIRY}
    return journal.log_trade_entry(**{**given, **details})


def code_of(error: pytest.ExceptionInfo[DataError]) -> str:
    return error.value.code


# Entries


def test_one_tag_instead_of_a_list_is_refused_and_not_spelled_out(journal: TradeJournal) -> None:
    with pytest.raises(DataError) as error:
        shares(journal, tags="earnings")
    assert code_of(error) == "JOURNAL_VALUE"
    assert journal.trades() == []
    assert journal.tags(shares(journal, tags=["earnings", "gap"])) == ["earnings", "gap"]


def test_none_for_legs_and_tags_is_not_said(journal: TradeJournal) -> None:
    details: dict[str, Any] = {"legs": None, "tags": None, "expiry": None}
    trade = journal.trade(spread(journal, **details))
    assert (trade.legs, journal.tags(trade.id)) == ((), [])


@pytest.mark.parametrize(
    "leg",
    [
        {"side": "sell", "kind": "put", "strike": 95.0},
        {"side": -1, "kind": "P", "strike": 95.0},
        {"side": -1, "kind": "put", "strike": "95"},
        {"side": -1, "kind": "put", "strike": -95.0},
        {"side": -1, "kind": "put", "strike": 95.0, "ratio": 0},
    ],
)
def test_a_leg_that_is_none_is_refused_by_name(journal: TradeJournal, leg: dict[str, Any]) -> None:
    with pytest.raises(DataError) as error:
        spread(journal, legs=[leg])
    assert code_of(error) in ("JOURNAL_LEGS", "JOURNAL_VALUE")
    assert journal.trades() == []


def test_a_name_is_found_as_it_was_typed(journal: TradeJournal) -> None:
    trade_id = shares(journal, name=" gap and go ")
    assert journal.trade(" gap and go ").id == journal.trade("gap and go").id == trade_id


def test_a_fill_beyond_the_stop_risks_what_was_planned(journal: TradeJournal) -> None:
    # planned: 100 at 50, stop 48; the market gaps to 47.50, below the stop
    rec_id = journal.log_recommendation(signal())
    trade = journal.trade(journal.log_trade_entry(rec_id, entry_price=47.50))
    assert trade.initial_risk == pytest.approx(200.0)


@pytest.mark.parametrize(("side", "target"), [(1, 49.0), (-1, 51.0)])
def test_a_target_on_the_wrong_side_is_refused(journal: TradeJournal, side: int, target: float) -> None:
    with pytest.raises(DataError) as error:
        shares(journal, side=side, target_price=target)
    assert code_of(error) == "JOURNAL_TARGET"
    assert journal.trade(shares(journal, side=-side, target_price=target)).target_price == target


def test_an_addition_without_a_mid_price_leaves_slippage_unknown(journal: TradeJournal) -> None:
    trade_id = shares(journal, mid_price=49.99)
    assert journal.trade(trade_id).slippage == pytest.approx(1.0)
    # bought higher because the price rose, which is no slippage
    assert journal.log_trade_add(trade_id, 50, entry_price=53.0).slippage is None


# What becomes of a position


def test_nothing_expires_before_its_day(journal: TradeJournal, clock: Clock) -> None:
    trade_id = spread(journal)
    with pytest.raises(DataError) as error:
        journal.log_expiry(trade_id)
    assert code_of(error) == "JOURNAL_EXPIRY"
    clock.now = datetime(2026, 2, 20, 21, 30, tzinfo=UTC)
    assert journal.log_expiry(trade_id).pnl == pytest.approx(380.0)


def test_a_roll_of_a_package_without_legs_keeps_its_width(journal: TradeJournal) -> None:
    trade_id = spread(journal, legs=(), width=5.0)
    assert journal.trade(trade_id).max_loss == pytest.approx(2 * (500 - 190))
    _, following = journal.log_roll(trade_id, exit_debit=2.40, entry_credit=2.60, expiry="2026-03-20")
    trade = journal.trade(following)
    assert trade.width == 5.0
    assert trade.max_loss == pytest.approx(2 * (500 - 260))


def test_a_roll_to_other_legs_has_the_width_of_these(journal: TradeJournal) -> None:
    wider = [{"side": -1, "kind": "put", "strike": 95.0}, {"side": 1, "kind": "put", "strike": 85.0}]
    _, following = journal.log_roll(spread(journal), 2.40, 2.60, legs=wider, expiry="2026-03-20")
    assert journal.trade(following).width == 10.0


def test_a_part_of_a_package_in_pieces_is_refused(journal: TradeJournal) -> None:
    trade_id = spread(journal)
    journal.log_leg_exit(trade_id, "-95P", 1.00, quantity=1)
    with pytest.raises(DataError, match=r"1 of -95P, 2 of \+90P open") as error:
        journal.log_trade_exit(trade_id, exit_debit=0.50, quantity=1)
    assert code_of(error) == "JOURNAL_LEGS"
    assert [leg.open_quantity for leg in journal.trade(trade_id).legs] == [1.0, 2.0]
    # 2 x 190 received, 100 for the one put, nothing for the rest
    assert journal.log_trade_exit(trade_id, exit_debit=0.0).pnl == pytest.approx(280.0)


def test_a_part_of_what_is_left_of_a_condor_may_be_closed(journal: TradeJournal) -> None:
    calls = [{"side": -1, "kind": "call", "strike": 110.0}, {"side": 1, "kind": "call", "strike": 115.0}]
    trade_id = spread(journal, legs=LEGS + calls)
    for leg in ("-110C", "+115C"):
        journal.log_leg_exit(trade_id, leg, 0.0)
    journal.log_trade_exit(trade_id, exit_debit=0.50, quantity=1)
    assert [leg.open_quantity for leg in journal.trade(trade_id).legs] == [1.0, 1.0, 0.0, 0.0]


# Times


@pytest.mark.parametrize(
    "when",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
        datetime(1600, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
)
def test_a_time_that_cannot_be_stored_is_refused_wherever_it_is_said(
    journal: TradeJournal, when: datetime
) -> None:
    for call in (
        lambda: nanoseconds(when),
        lambda: journal.trades(since=when),
        lambda: journal.trades(until=when),
        lambda: shares(journal, when=when),
        lambda: PerformanceTracker(journal).metrics(since=when),
    ):
        with pytest.raises(DataError) as error:
            call()
        assert code_of(error) in ("JOURNAL_VALUE", "JOURNAL_FUTURE")


@pytest.mark.parametrize("year", [1678, 1900, 2261])
def test_old_and_late_times_are_exact(year: int) -> None:
    when = datetime(year, 3, 4, 5, 6, 7, 8, tzinfo=UTC)
    days = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert nanoseconds(when) == days * 1_000


# Reading


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        ("Überkauft nach Zahlen", "Überkauft"),
        ("Überkauft nach Zahlen", "überkauft"),
        ("überkauft", "ÜBERKAUFT"),
        ("ПРОБОЙ вверх", "пробой"),
        ("日本株", "日本"),
        ("Gap AND go", "gap and"),
        (r"see C:\notes", r"c:\n"),
        ("half_full", "f_f"),
        ("filled 100%", "100%"),
    ],
)
def test_search_finds_text_in_any_case_and_alphabet(journal: TradeJournal, noted: str, words: str) -> None:
    found = shares(journal, notes=noted)
    shares(journal, notes="halfXfull 1000 and nothing else")
    assert [trade.id for trade in journal.search(words)] == [found]


def test_search_does_not_take_a_backslash_for_a_command(journal: TradeJournal) -> None:
    shares(journal, notes="up 100%")
    assert journal.search("\\") == []


@pytest.mark.parametrize("limit", [-1, 1.5, "5"])
def test_a_limit_that_is_none_is_refused(journal: TradeJournal, limit: Any) -> None:
    shares(journal)
    for read in (
        lambda: journal.trades(limit=limit),
        lambda: journal.search("x", limit=limit),
        lambda: journal.recommendations(limit=limit),
    ):
        with pytest.raises(DataError):
            read()
    assert journal.trades(limit=0) == []


def test_no_source_at_all_is_refused(journal: TradeJournal) -> None:
    with pytest.raises(DataError) as error:
        journal.trades(source=[])
    assert code_of(error) == "JOURNAL_CHOICE"


def test_a_wrong_word_is_answered_with_the_choices_once(journal: TradeJournal) -> None:
    with pytest.raises(DataError, match=r"^\S+ kind is 'future'; it must be one of stock, option\.$"):
        shares(journal, kind="future")
    with pytest.raises(DataError, match="Did you mean 'premature_exit'"):
        PerformanceTracker(journal).add_mistake(shares(journal), "PREMATURE_EXIT", "sold too soon")


# The tracker


def test_an_empty_lesson_is_none(journal: TradeJournal) -> None:
    tracker, trade_id = PerformanceTracker(journal), shares(journal)
    with pytest.raises(DataError):
        tracker.add_lesson(trade_id, "  ")
    assert tracker.record(trade_id).lessons == ()


@pytest.mark.parametrize("days", [200_000, 1e9, 1e300])
def test_very_many_days_are_all_days(journal: TradeJournal, days: float) -> None:
    trade_id = shares(journal, when=datetime(1900, 1, 1, tzinfo=UTC))
    journal.log_trade_exit(trade_id, exit_price=51.0, when=datetime(1900, 1, 2, tzinfo=UTC))
    assert PerformanceTracker(journal).generate_report(days=days).metrics.trades == 1


def test_days_count_back_from_now_to_the_moment(journal: TradeJournal, clock: Clock) -> None:
    for back in (timedelta(days=7), timedelta(days=7, seconds=1)):
        trade_id = shares(journal, when=START - timedelta(days=30))
        journal.log_trade_exit(trade_id, exit_price=51.0, when=clock.now - back)
    assert PerformanceTracker(journal).generate_report(days=7).metrics.trades == 1


def test_an_export_that_cannot_be_written_says_so(journal: TradeJournal, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        PerformanceTracker(journal).export_json(tmp_path / "missing" / "performance.json")
    assert code_of(error) == "JOURNAL_EXPORT"
    assert not [path for path in tmp_path.rglob("*") if "performance" in path.name]


def test_running_figures_of_several_sources_are_refused_in_words(journal: TradeJournal) -> None:
    with pytest.raises(DataError, match="backtest, paper, live together"):
        PerformanceTracker(journal, source="all").history()


def test_a_date_is_no_time(journal: TradeJournal) -> None:
    day: Any = date(2026, 1, 1)
    with pytest.raises(DataError) as error:
        journal.trades(since=day)
    assert code_of(error) == "JOURNAL_VALUE"
