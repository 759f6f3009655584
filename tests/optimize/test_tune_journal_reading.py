"""Reading a journal for tuning: outcomes by hand, assignments, refusals, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from journal import TradeJournal, schema
from optimize.tuning.outcomes import exchange_margin, margin_of_package, margin_of_shares, rates
from optimize.tuning.reading import Reading, read_cases
from simulator.errors import ConfigError, UnknownNameError
from tests.optimize.tuning_journals import (
    DAY_NS,
    START,
    START_NS,
    add_refused,
    add_run,
    add_trades,
    recommendation,
    refused,
    trade,
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "j.db", source="paper", clock=lambda: START + timedelta(days=900)) as opened:
        yield opened


def read(journal: TradeJournal, source: str = "paper", **options: Any) -> Reading:
    with journal.database.read() as connection:
        return read_cases(connection, source, **options)


# Outcomes


def test_one_spread_by_hand(journal: TradeJournal) -> None:
    add_trades(journal, [trade()])
    found = read(journal)
    cases = found.cases
    assert len(cases) == 1
    # 95 of 310 in 12 days
    assert cases.outcome[0] == pytest.approx(95 / 310 / 12)
    assert cases.r[0] == pytest.approx(95 / 310)
    assert (cases.worst[0], cases.best[0]) == pytest.approx((-1 / 12, 190 / 310 / 12))
    assert cases.mfe_fraction[0] == pytest.approx(0.5)
    assert {name: values[0] for name, values in cases.features.items() if name != "delta"} == {
        "iv_rank": 60.0, "dte": 45.0, "probability": 0.7, "score": 70.0,
    }  # fmt: skip
    assert np.isnan(cases.features["delta"][0])
    assert (cases.symbol[0], cases.source[0], bool(cases.taken[0])) == ("SPY", "paper", True)
    assert found.notes == ()  # a journal without deltas is no surprise


def test_a_group_earns_the_sum_of_its_profits_over_the_sum_of_its_days() -> None:
    r, days = np.array([0.3, -1.0, 0.2, 0.4]), np.array([20.0, 2.0, 30.0, 10.0])
    found = rates(r, days, least=np.full(4, -1.0), most=np.full(4, 0.5))
    assert found.outcome.mean() == pytest.approx(r.sum() / days.sum())
    assert found.rate == pytest.approx(-0.1 / 62)


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-1, 2), st.floats(1, 60)), min_size=1, max_size=30))
def test_the_mean_over_all_is_the_rate(pairs: list[tuple[float, float]]) -> None:
    r, days = (np.array(column) for column in zip(*pairs, strict=True))
    nothing = np.full(len(r), np.nan)
    found = rates(r, days, least=nothing, most=nothing)
    assert found.outcome.mean() == pytest.approx(r.sum() / days.sum(), abs=1e-12)


def test_hasty_losers_do_not_make_a_group_look_bad() -> None:
    # both groups earn 0.1 in 40 days; one loses fast and wins slowly, the other the other way round
    r, days = np.array([-0.4, 0.5, -0.4, 0.5]), np.array([2.0, 38.0, 38.0, 2.0])
    found = rates(r, days, least=np.full(4, -1.0), most=np.full(4, 0.5))
    assert found.outcome[:2].mean() == pytest.approx(found.outcome[2:].mean())
    assert (r / days)[:2].mean() < 0 < (r / days)[2:].mean()


def test_ten_contracts_count_as_much_as_one(journal: TradeJournal) -> None:
    ten = {name: 10 * trade()[name] for name in ("quantity", "pnl", "max_loss", "max_profit", "mfe")}
    add_trades(journal, [trade(), trade(**ten)])
    first, second = read(journal).cases.outcome
    assert first == pytest.approx(second)


def test_margin_is_the_least_of_what_is_known() -> None:
    # a spread; a naked put with the broker's word; a cash-secured one without
    assert margin_of_package(buying_power=311.0, max_loss=310.0) == 310.0
    assert margin_of_package(buying_power=1_800.0, max_loss=9_300.0) == 1_800.0
    assert margin_of_package(buying_power=None, max_loss=9_300.0) == 9_300.0
    assert margin_of_package(buying_power=None, max_loss=None, exchange=1_132.0, initial_risk=200.0) == 1_132
    assert margin_of_package(buying_power=None, max_loss=None, initial_risk=200.0) == 200.0
    assert np.isnan(margin_of_package(buying_power=0.0, max_loss=None))
    assert margin_of_shares(buying_power=None, cost=5_000.0) == 5_000.0
    assert margin_of_shares(buying_power=2_500.0, cost=5_000.0) == 2_500.0


def test_a_strangle_without_a_stated_margin_ties_up_what_the_exchange_asks(journal: TradeJournal) -> None:
    # 20 % of 100 less 10 out of the money, at least 10 (9 for the put), plus the credit of 1.32
    legs = [(-1, "put", 90.0, 1.0), (-1, "call", 110.0, 1.0)]
    assert exchange_margin(legs, spot=100.0, worth=-1.32, size=100.0) == pytest.approx(1_132.0)
    number = journal.log_trade_entry(
        symbol="SPY", strategy="short-strangle", actual_contracts=1, entry_credit=1.32, spot=100.0,
        when=START, expiry="2024-02-16",
        legs=[{"side": side, "kind": kind, "strike": strike} for side, kind, strike, _ in legs],
    )  # fmt: skip
    journal.log_trade_exit(number, exit_debit=0.66, when=START + timedelta(days=20))
    cases = read(journal).cases
    assert cases.outcome[0] == pytest.approx(66 / 1_132 / 20)
    assert np.isnan(cases.worst[0])
    assert cases.features["dte"][0] == 45  # from the expiry


def test_a_trade_that_nothing_measures_has_no_outcome_and_is_told(journal: TradeJournal) -> None:
    add_trades(journal, [trade(), trade(max_loss=None, initial_risk=None)])
    found = read(journal)
    assert np.isnan(found.cases.outcome).sum() == 1
    assert found.counts["unmeasured"] == 1
    assert any("without a known margin" in note for note in found.notes)


def test_delta_is_that_of_the_option_sold(journal: TradeJournal) -> None:
    number = journal.log_trade_entry(
        symbol="SPY", strategy="short-put-spread", actual_contracts=1, entry_credit=1.9, when=START,
        delta=12.0,
        legs=[
            {"side": -1, "kind": "put", "strike": 95.0, "expiry": "2024-02-16", "delta": -0.30},
            {"side": 1, "kind": "put", "strike": 90.0, "expiry": "2024-02-16", "delta": -0.18},
        ],
    )  # fmt: skip
    journal.log_trade_exit(number, exit_debit=0.95, when=START + timedelta(days=3))
    add_trades(
        journal,
        [trade(entry_ts=START_NS + DAY_NS, delta=-0.22), trade(entry_ts=START_NS + 2 * DAY_NS, delta=14.0)],
    )
    # of the legs; as logged, where it can be that of an option; unknown
    np.testing.assert_array_equal(read(journal).cases.features["delta"], [0.30, 0.22, np.nan])


# Assignment


def assigned(journal: TradeJournal) -> int:
    """A put at 95 for 2.00, assigned after 40 days; returns the trade in shares."""
    number = journal.log_trade_entry(
        symbol="SPY", strategy="cash-secured-put", actual_contracts=1, entry_credit=2.0, when=START,
        legs=[{"side": -1, "kind": "put", "strike": 95.0, "expiry": "2024-02-16"}], iv_rank=55.0,
    )  # fmt: skip
    outcome, shares = journal.log_assignment(number, when=START + timedelta(days=40))
    assert outcome.pnl == 200.0  # the trap: the option alone looks like a full win
    assert shares is not None
    return shares


def test_an_assigned_option_and_its_shares_are_one_case(journal: TradeJournal) -> None:
    shares = assigned(journal)
    journal.log_trade_exit(shares, exit_price=85.0, when=START + timedelta(days=60))
    cases = read(journal).cases
    assert len(cases) == 1
    # 200 of premium less 1,000 on the shares, of 9,300 tied up for 60 days
    assert cases.outcome[0] == pytest.approx(-800 / 9_300 / 60)
    assert cases.features["iv_rank"][0] == 55.0
    assert len(read(journal, kind="stock").cases) == 0


def test_while_the_shares_are_held_there_is_no_result(journal: TradeJournal) -> None:
    assigned(journal)
    found = read(journal)
    assert len(found.cases) == 0
    assert found.counts["held"] == 1


def test_shares_of_a_backtest_belong_to_the_option_that_ended_as_they_began(journal: TradeJournal) -> None:
    run = add_run(journal, "a")
    end = START_NS + 30 * DAY_NS
    option = trade(source="backtest", run_id=run, close_code="assignment", exit_ts=end, pnl=190.0)
    shares = trade(
        source="backtest", run_id=run, kind="stock", side=1, quantity=100.0, multiplier=1.0, entry_ts=end,
        entry_price=95.0, exit_ts=end + 10 * DAY_NS, pnl=-500.0, max_loss=None, initial_risk=None,
        close_code="time",
    )  # fmt: skip
    add_trades(journal, [option, shares])
    cases = read(journal, "backtest").cases
    assert len(cases) == 1
    assert cases.outcome[0] == pytest.approx((190 - 500) / 310 / 40)


# Refusals


def test_a_refused_recommendation_is_a_case_that_was_not_taken(journal: TradeJournal) -> None:
    add_trades(journal, [trade(entry_ts=START_NS + DAY_NS)])
    add_refused(journal, [(recommendation(), refused(None))])
    found = read(journal)
    cases = found.cases
    assert cases.taken.tolist() == [False, True]
    # two packages of 310 lose 62 in ten days
    r = np.array([-62 / 620, 95 / 310])
    rate = r.sum() / 22
    assert cases.outcome[0] == pytest.approx(rate + (r[0] - rate * 10) / 11)
    assert {name: values[0] for name, values in cases.features.items() if name != "delta"} == {
        "iv_rank": 40.0, "dte": 44.0, "probability": 0.68, "score": 61.0,
    }  # fmt: skip
    assert cases.mfe_fraction[0] == pytest.approx(0.25)
    assert (found.counts["closed"], found.counts["refused"]) == (1, 1)


def test_what_was_traded_after_all_is_counted_once(journal: TradeJournal) -> None:
    (number,) = add_refused(journal, [(recommendation(), refused(None))])
    add_trades(journal, [trade(recommendation_id=number)])
    cases = read(journal).cases
    assert cases.taken.tolist() == [True]


@pytest.mark.parametrize("state", ["open", "waiting", "never_filled"])
def test_only_refusals_that_have_ended_count(journal: TradeJournal, state: str) -> None:
    add_refused(journal, [(recommendation(), refused(None, state=state))])
    assert len(read(journal).cases) == 0


def test_a_refusal_without_a_recommendation_is_left_out_and_told(journal: TradeJournal) -> None:
    with journal.database.write() as connection:
        connection.execute(insert(schema.counterfactuals), refused(None, case_key="session:1:4"))
    found = read(journal)
    assert len(found.cases) == 0
    assert found.counts["unsnapped"] == 1
    assert any("without a recommendation" in note for note in found.notes)


def test_a_package_ties_up_the_same_taken_or_refused(journal: TradeJournal) -> None:
    legs = [{"side": -1, "kind": "put", "strike": 90.0}, {"side": -1, "kind": "call", "strike": 110.0}]
    number = journal.log_trade_entry(
        symbol="SPY", strategy="short-strangle", actual_contracts=1, entry_credit=1.32, spot=100.0,
        when=START, expiry="2024-02-16", legs=legs, delta=0.2,
    )  # fmt: skip
    journal.log_trade_exit(number, exit_debit=0.66, when=START + timedelta(days=20))
    advice = recommendation(
        strategy="short-strangle", entry_price=1.32, max_profit=132.0, max_loss=None, buying_power=None,
        risk=200.0, delta=0.2,
    )  # fmt: skip
    outcome = refused(
        None, strategy="short-strangle", quantity=1.0, entry_price=1.32, exit_price=0.66, pnl=66.0,
        exit_ts=START_NS + 20 * DAY_NS,
    )  # fmt: skip
    (advised,) = add_refused(journal, [(advice, outcome)])
    table = schema.legs
    with journal.database.write() as connection:
        for position, leg in enumerate(legs):
            connection.execute(
                insert(table),
                {"recommendation_id": advised, "position": position, "symbol": "SPY", **leg},
            )
    cases = read(journal).cases
    assert sorted(cases.taken.tolist()) == [False, True]
    assert cases.outcome == pytest.approx(np.full(2, 66 / 1_132 / 20))
    assert cases.features["delta"].tolist() == [0.2, 0.2]


# Sources, runs, unknowns


def test_sources_and_kinds_are_kept_apart(journal: TradeJournal) -> None:
    shares = {"kind": "stock", "side": 1, "max_loss": None, "max_profit": None, "mfe": None}
    add_trades(journal, [trade(), trade(source="live"), trade(source="live"), trade(**shares)])
    assert [len(read(journal, source).cases) for source in ("paper", "live", "backtest")] == [1, 2, 0]
    stock = read(journal, kind="stock").cases
    assert list(stock.features) == ["pattern_score"]
    # 95 of 190 that were paid, in 12 days
    assert stock.outcome[0] == pytest.approx(95 / 190 / 12)


def test_of_backtests_the_last_one_is_read_unless_others_are_named(journal: TradeJournal) -> None:
    first, second = add_run(journal, "a"), add_run(journal, "b")
    same = trade(source="backtest", run_id=first)
    add_trades(
        journal,
        [
            same,
            trade(source="backtest", run_id=first, entry_ts=START_NS + DAY_NS),
            same | {"run_id": second},
            trade(source="backtest", run_id=second, entry_ts=START_NS + 9 * DAY_NS, close_code="end_of_data"),
        ],
    )
    last = read(journal, "backtest")
    assert len(last.cases) == 1
    assert last.notes[0] == "backtest 2, the last of 2 that are stored"
    assert last.counts["marked"] == 1
    both = read(journal, "backtest", run=[first, second])
    assert (len(both.cases), both.counts["twice"]) == (2, 1)
    assert len(read(journal, "backtest", run=first).cases) == 2


def test_a_backtest_that_is_not_there_is_an_error_and_no_empty_journal(journal: TradeJournal) -> None:
    with pytest.raises(UnknownNameError, match="it has none"):
        read(journal, "backtest", run=1)
    add_run(journal, "a")
    with pytest.raises(UnknownNameError, match="no stored backtest 7; it has 1 to 1") as caught:
        read(journal, "backtest", run=[1, 7])
    assert caught.value.code == "NAME_RUN"
    with pytest.raises(ConfigError, match="'paper'") as other:
        read(journal, "paper", run=1)
    assert other.value.code == "OPTIMIZE_RUN"


def test_an_unknown_iv_rank_is_nan_and_told(journal: TradeJournal) -> None:
    add_trades(journal, [trade(), trade(iv_rank=None)])
    found = read(journal)
    assert np.isnan(found.cases.features["iv_rank"]).sum() == 1
    assert "iv_rank is unknown in 1 of 2 cases" in found.notes


def test_only_what_had_ended_by_then(journal: TradeJournal) -> None:
    add_trades(journal, [trade(), trade(entry_ts=START_NS + 30 * DAY_NS)])
    add_refused(journal, [(recommendation(), refused(None))])
    assert len(read(journal, until=START_NS + 11 * DAY_NS).cases) == 1
    assert len(read(journal, until=START_NS + 12 * DAY_NS).cases) == 2
    assert len(read(journal).cases) == 3


def test_an_empty_journal_has_no_cases(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "e.db", clock=lambda: datetime(2026, 1, 5, tzinfo=UTC)) as journal:
        found = read(journal, "live")
    assert len(found.cases) == 0
    assert np.isnan(found.rate)


def test_a_journal_on_a_server_is_read_alike(postgres_url: str, journal: TradeJournal) -> None:
    def fill(into: TradeJournal) -> Reading:
        add_trades(into, [trade(), trade(iv_rank=None, entry_ts=START_NS + DAY_NS)])
        (traded, _) = add_refused(
            into, [(recommendation(), refused(None)), (recommendation(iv_rank=45.0), refused(None))]
        )
        add_trades(into, [trade(recommendation_id=traded, entry_ts=START_NS + 2 * DAY_NS)])
        assigned(into)
        return read(into)

    with TradeJournal(postgres_url, source="paper", clock=lambda: START + timedelta(days=900)) as server:
        there, here = fill(server), fill(journal)
    assert len(there.cases) == len(here.cases) == 4
    assert (there.counts, there.notes) == (here.counts, here.notes)
    np.testing.assert_array_equal(there.cases.outcome, here.cases.outcome)
    for name, values in here.cases.features.items():
        np.testing.assert_array_equal(there.cases.features[name], values)
