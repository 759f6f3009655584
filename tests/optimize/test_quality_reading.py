"""What is read of a journal: campaigns, snapshots, R, sources, and that a proposal looks like its trade."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from journal import TradeJournal, schema
from optimize import JournalQuality, trade_quality
from optimize.quality_model.overlap import effective_cases, mean_above
from optimize.quality_model.reading import History, read_history
from optimize.quality_model.snapshots import MEASURES, snapshot_of
from simulator.errors import DataError, JournalError
from tests.journal.making import START, Clock, put_spread, signal, sizing

DAY = 86_400_000_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    clock = Clock(START + timedelta(days=400))
    with TradeJournal(tmp_path / "t.db", clock=clock) as opened:
        yield opened


def read(journal: TradeJournal, kind: str = "option", *sources: str, **limits: Any) -> History:
    with journal.database.read() as connection:
        return read_history(connection, kind, sources or ("live",), **limits)


def spread(journal: TradeJournal, day: int, debit: float | None, **known: Any) -> int:
    """One five-wide put spread at 1.90, closed ten days later at a debit."""
    when = START + timedelta(days=day)
    given: dict[str, Any] = {
        "symbol": "SPY", "strategy": "short-put-spread", "actual_contracts": 2, "entry_credit": 1.90,
        "width": 5.0, "expiry": when.date() + timedelta(days=45), "iv_rank": 60.0, "when": when,
    }  # fmt: skip
    number = journal.log_trade_entry(**{**given, **known})
    if debit is not None:
        journal.log_trade_exit(number, debit, when=when + timedelta(days=10))
    return number


def test_a_trade_as_a_case(journal: TradeJournal) -> None:
    spread(journal, 0, 0.95)
    spread(journal, 5, 3.80, iv_rank=None)
    spread(journal, 9, None)
    found = read(journal)
    assert len(found) == 2
    row = dict(zip(MEASURES["option"], found.values[0], strict=True))
    assert (row["iv_rank"], row["dte"], row["credit_to_width"]) == (60.0, 45.0, pytest.approx(0.38))
    assert math.isnan(row["probability"])
    assert math.isnan(dict(zip(MEASURES["option"], found.values[1], strict=True))["iv_rank"])
    assert found.won.tolist() == [True, False]
    # 1.90 of 5: the risk is 3.10; kept 0.95, then lost 1.90
    assert found.r.tolist() == pytest.approx([0.95 / 3.10, -1.90 / 3.10])
    assert (found.exit_ts - found.entry_ts).tolist() == [10 * DAY, 10 * DAY]
    assert found.strategies == ("short-put-spread",) * 2


def test_an_assigned_put_is_one_case_with_its_shares(journal: TradeJournal) -> None:
    when = START
    put = journal.log_trade_entry(
        symbol="KO", strategy="cash-secured-put", actual_contracts=1, entry_credit=2.0, iv_rank=40.0,
        legs=[{"side": -1, "kind": "put", "strike": 50.0, "expiry": date(2026, 2, 20), "delta": -0.3}],
        when=when,
    )  # fmt: skip
    outcome, shares = journal.log_assignment(put, when=when + timedelta(days=40))
    assert outcome.pnl == 200.0
    assert shares is not None
    assert len(read(journal)) == 0  # the shares are still held
    journal.log_trade_exit(shares, exit_price=41.0, when=when + timedelta(days=90))
    found = read(journal)
    assert len(found) == 1
    assert len(read(journal, "stock")) == 0
    assert found.won.tolist() == [False]
    assert found.r[0] == pytest.approx((200.0 - 900.0) / 4_800.0)
    assert found.exit_ts[0] - found.entry_ts[0] == 90 * DAY
    assert dict(zip(MEASURES["option"], found.values[0], strict=True))["delta"] == 0.3


def test_a_roll_is_one_case(journal: TradeJournal) -> None:
    first = spread(journal, 0, None)
    when = START + timedelta(days=10)
    _, second = journal.log_roll(first, 3.0, 2.5, expiry=date(2026, 4, 17), when=when)
    assert len(read(journal)) == 0
    journal.log_trade_exit(second, 1.0, when=when + timedelta(days=10))
    found = read(journal)
    assert len(found) == 1
    assert found.r[0] == pytest.approx((1.90 - 3.0 + 2.5 - 1.0) / 3.10)


def test_r_is_bounded_and_unknown_without_a_risk(journal: TradeJournal) -> None:
    spread(journal, 0, 3.80, initial_risk=1.0)
    spread(journal, 1, 0.50, width=None)
    found = read(journal)
    assert found.r[0] == -5.0
    assert math.isnan(found.r[1])


def test_what_the_end_of_the_data_cut_off_is_left_out(journal: TradeJournal) -> None:
    for day in range(3):
        spread(journal, day, 0.95)
    with journal.database.write() as connection:
        cut = update(schema.trades).where(schema.trades.c.id == 2).values(close_code="end_of_data")
        connection.execute(cut)
    found = read(journal)
    assert len(found) == 2
    assert "1 trades that the end of the data cut off" in found.notes[0]


def test_mixed_sources_are_mixed_only_when_asked_for_and_say_so(journal: TradeJournal) -> None:
    for day, source in enumerate(("live", "live", "paper")):
        spread(journal, day, 0.95, source=source, iv_rank_definition=f"of {source}")
    alone = trade_quality(journal, cache=False)
    assert (alone.trades, alone.sources, alone.notes) == (2, ("live",), ())
    mixed = trade_quality(journal, source="all", cache=False)
    assert (mixed.trades, mixed.sources) == (3, ("backtest", "paper", "live"))
    assert mixed.notes == (
        "sources are mixed: live 2, paper 1", "IV rank is defined in 2 ways: of live 2, of paper 1",
    )  # fmt: skip
    assert "note: sources are mixed" in str(mixed)


def test_a_journal_on_a_server_is_read_the_same(journal: TradeJournal, postgres_url: str) -> None:
    with TradeJournal(postgres_url, clock=Clock(START + timedelta(days=400))) as server:
        for where in (journal, server):
            first = spread(where, 0, None)
            where.log_roll(first, 3.0, 2.5, expiry=date(2026, 4, 17), when=START + timedelta(days=10))
            spread(where, 3, 0.95, iv_rank=None, legs=put_spread().legs, width=None)
        assert read(server).digest() == read(journal).digest()
        assert len(read(server)) == 1


def test_modelled_prices_are_labelled_wherever_it_is_shown(journal: TradeJournal) -> None:
    for day, grade in enumerate(("modelled", "quoted", "modelled")):
        spread(journal, day, 0.95, grade=grade)
    found = trade_quality(journal, cache=False)
    assert found.modelled == 2
    assert "(live; 2 modelled)" in found.sentence()


def test_until_when(journal: TradeJournal) -> None:
    for day in (0, 20, 40):
        spread(journal, day, 0.95)
    assert trade_quality(journal, as_of=START + timedelta(days=31), cache=False).trades == 2
    with pytest.raises(DataError, match="JOURNAL_NAIVE_TIME"):
        trade_quality(journal, as_of=datetime(2026, 1, 1), cache=False)  # noqa: DTZ001


def test_what_is_no_journal_kind_or_source(journal: TradeJournal, tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        trade_quality(tmp_path / "nowhere.db")
    for wrong in ({"kind": "bond"}, {"source": "dream"}):
        with pytest.raises(DataError) as caught:
            trade_quality(journal, **wrong)  # type: ignore[arg-type]
        assert caught.value.code == "JOURNAL_CHOICE"


def test_a_proposal_looks_like_the_trade_that_comes_of_it(journal: TradeJournal) -> None:
    found = put_spread()
    number = journal.log_recommendation(found, sizing(), expires=timedelta(days=3))
    trade = journal.log_trade_entry(number, 5, found.credit)
    journal.log_trade_exit(trade, 0.5)
    measures, strategy = snapshot_of(found)
    history = read(journal)
    assert history.values[0].tolist() == measures
    assert history.strategies == (strategy,)
    assert snapshot_of(journal.recommendation(number)) == (measures, strategy)
    row = dict(zip(MEASURES["option"], measures, strict=True))
    assert [row["delta"], row["credit_to_width"], row["iv_rank"]] == pytest.approx([0.30, 0.37, 62.0])


def test_a_signal_looks_like_its_trade(journal: TradeJournal) -> None:
    found = signal()
    number = journal.log_recommendation(found, expires=timedelta(days=3))
    trade = journal.log_trade_entry(number, entry_price=found.entry_price)
    journal.log_trade_exit(trade, exit_price=56.0)
    measures, strategy = snapshot_of(found)
    assert measures == [81.0, 3.0, 3.0, 4.0, 1.0]
    assert snapshot_of(journal.recommendation(number)) == (measures, strategy)
    history = read(journal, "stock")
    assert history.values[0].tolist() == measures
    assert history.strategies == (strategy,)


def test_what_is_unknown_is_nan() -> None:
    measures, _ = snapshot_of(
        put_spread(iv_rank=None, width=None, probability_of_profit=math.nan, legs=(), iv=math.inf)
    )
    row = dict(zip(MEASURES["option"], measures, strict=True))
    assert [name for name, value in row.items() if math.isnan(value)] == [
        "iv_rank", "iv", "delta", "credit_to_width", "probability",
    ]  # fmt: skip
    calendar = replace(put_spread(), credit=-1.0)
    assert math.isnan(dict(zip(MEASURES["option"], snapshot_of(calendar)[0], strict=True))["credit_to_width"])


def test_a_journal_with_few_trades_asks_for_more(journal: TradeJournal) -> None:
    spread(journal, 0, 0.95)
    source = JournalQuality(journal, cache=False)
    assert source.quality_of(put_spread()) is None
    assert "about 59 more trades are needed" in source.quality_note("option")
    assert "by 0 closed ones" in source.quality_note("stock")


# Trades that overlap


def by_hand(entry: list[int], exit_: list[int]) -> float:
    """Sum over all pairs, day by day."""
    spans = [set(range(first // DAY, last // DAY + 1)) for first, last in zip(entry, exit_, strict=True)]
    return len(spans) ** 2 / sum(len(a & b) / math.sqrt(len(a) * len(b)) for a in spans for b in spans)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), min_size=1, max_size=25),
    st.integers(0, DAY - 1),
)
def test_effective_cases_by_brute_force(spans: list[tuple[int, int]], shift: int) -> None:
    import numpy as np

    entry = [first * DAY + shift for first, _ in spans]
    exit_ = [(first + length) * DAY + shift for first, length in spans]
    found = effective_cases(np.array(entry), np.array(exit_))
    assert found == pytest.approx(by_hand(entry, exit_))
    assert 1 - 1e-9 <= found <= len(spans) + 1e-9


def test_a_bound_of_independent_cases_is_that_of_student() -> None:
    import numpy as np
    from scipy import stats

    random = np.random.default_rng(1)
    values = random.standard_normal(50)
    values = np.concatenate([values, -values]) + 0.1  # no skewness
    entry = np.arange(100) * 2 * DAY
    found = mean_above(values, entry, entry, 0.975)
    low = stats.ttest_1samp(values, 0.0).confidence_interval(0.95).low
    assert found.effective == pytest.approx(100)
    assert found.lower == pytest.approx(low, rel=1e-6)
    together = mean_above(values, np.zeros(100, np.int64), np.full(100, DAY), 0.975)
    assert together.lower == -math.inf


def test_overlapping_cases_say_less_and_skewness_lowers_the_bound() -> None:
    import numpy as np

    random = np.random.default_rng(2)
    shared = np.repeat(random.standard_normal(60), 5) + 0.3
    apart, same = np.arange(300) * 3 * DAY, np.repeat(np.arange(60) * 30, 5) * DAY
    alone = mean_above(shared, apart, apart + DAY, 0.95)
    overlapping = mean_above(shared, same, same + 10 * DAY, 0.95)
    assert overlapping.effective == pytest.approx(60)
    assert overlapping.deviation == pytest.approx(alone.deviation * math.sqrt(5), rel=0.05)
    assert overlapping.lower < alone.lower
    tail = np.where(random.random(300) < 0.05, -3.0, 0.3)
    mirrored = 2 * tail.mean() - tail
    assert mean_above(tail, apart, apart, 0.95).lower < mean_above(mirrored, apart, apart, 0.95).lower
