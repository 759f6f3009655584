"""Recommendations: what each rule says, and that "significant" is rare where there is nothing to find."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, delete

from journal import schema
from journal.performance.advice import Advice
from journal.performance.closed import Scope
from journal.performance.report import PerformanceReport, read_report
from tests.budget import many_or_few
from tests.journal.generate import Generated, Row, generate, memory, store

ENGINE = memory()


def report_of(drawn: Generated, engine: Engine = ENGINE) -> PerformanceReport:
    with engine.begin() as connection:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(delete(table))
        store(connection, drawn)
        return read_report(connection, Scope.of("all"), 0)


def advice_of(drawn: Generated) -> dict[str, Advice]:
    return {one.code: one for one in report_of(drawn).recommendations}


def changed(drawn: Generated, change: Callable[[int, Row], dict[str, Any]]) -> Generated:
    for place, row in enumerate(drawn.trades):
        row |= change(place, row)
    drawn.mistakes.clear()
    return drawn


def closed(seed: int, count: int) -> Generated:
    return generate(seed, count, open_share=0.0, unknown=0.0, scratches=0.0, fees=False)


@pytest.mark.thorough
def test_journals_without_an_edge_get_nothing_significant_in_nineteen_of_twenty_reports() -> None:
    runs = many_or_few(400, 60)
    alarms = 0
    for seed in range(runs):
        drawn = generate(50_000 + seed, 40 + seed % 3 * 20, fees=False, scratches=0.02)
        alarms += any(one.significant for one in report_of(drawn).recommendations)
    assert alarms / runs < 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def test_a_strategy_that_loses_is_found_named_and_sized() -> None:
    found = 0
    for seed in range(8):
        drawn = generate(
            seed, 700, fees=False, chance=lambda row: -0.45 if row["strategy"] == "iron-condor" else 0.0
        )
        worse = [one for one in report_of(drawn).recommendations if one.code == "group_worse"]
        found += any("Strategy iron-condor" in one.text for one in worse)
        assert all(one.significant and one.sample >= 10 and "comparisons" in one.text for one in worse)
    assert found >= 7


def test_an_expectancy_is_significant_only_with_enough_trades_won_and_lost() -> None:
    def steady(place: int, row: Row) -> dict[str, Any]:
        return {"pnl": -30.0 if place % 5 == 0 else 50.0 + place % 3, "r_multiple": None}

    good = advice_of(changed(closed(1, 60), steady))
    assert good["expectancy_positive"].significant
    assert good["expectancy_positive"].sample == 60
    few = advice_of(changed(closed(1, 19), steady))
    assert few["expectancy_open"].significant is False
    only_wins = advice_of(changed(closed(1, 60), lambda place, row: {"pnl": 50.0 + place % 7}))
    assert "not significant" in only_wins["expectancy_open"].text
    bad = advice_of(changed(closed(1, 60), lambda place, row: {"pnl": -steady(place, row)["pnl"]}))
    assert bad["expectancy_negative"].significant


def test_few_trades_say_that_they_are_few() -> None:
    advice = report_of(closed(3, 9)).recommendations
    assert advice[0] == Advice(
        "too_few", "Only 9 trades closed: too few to conclude anything, keep logging", 9, False
    )
    assert not any(one.significant for one in advice)
    assert report_of(Generated()).recommendations[0].code == "no_trades"


def test_arithmetic_claims_nothing() -> None:
    def dear(place: int, row: Row) -> dict[str, Any]:
        return {"pnl": (-40.0, 60.0)[place % 2], "fees": 10.0}

    fees = advice_of(changed(closed(2, 30), dear))["fees"]
    assert (fees.significant, fees.sample) == (None, 30)
    assert fees.text == "Fees of $300.00 took 50% of the profit before fees"
    odds = advice_of(changed(closed(2, 30), lambda place, row: {"pnl": (-150.0, 50.0)[place % 2]}))
    assert "needs a win rate of 75%; it is 50% (33% to 67%) over 30 trades" in odds["break_even"].text


def test_losses_streaks_exits_and_missing_risks_are_named() -> None:
    def beyond(place: int, row: Row) -> dict[str, Any]:
        return {"pnl": -100.0, "r_multiple": -1.5 if place % 2 else -1.0}

    found = advice_of(changed(closed(4, 20), beyond))
    assert found["losses_beyond_plan"].text.startswith("10 of 20 losers lost more than 1.1R")
    assert found["losing_streak"].text == "20 losses in a row; the longest such run is 20"
    without = advice_of(changed(closed(4, 20), lambda place, row: {"r_multiple": None}))
    assert without["risk_unknown"].sample == 20
    none = "None of the 20 trades has an initial risk: there are no R-multiples"
    assert without["risk_unknown"].text == none
    one = advice_of(changed(closed(4, 1), lambda place, row: {"r_multiple": None}))
    assert one["risk_unknown"].text == "The trade has no initial risk: there are no R-multiples"
    some = changed(closed(4, 20), lambda place, row: {"r_multiple": 0.5 if place < 5 else None})
    assert advice_of(some)["risk_unknown"].text == (
        "15 of 20 trades have no initial risk: R-multiples speak for the others only"
    )

    def given_back(place: int, row: Row) -> dict[str, Any]:
        return {"pnl": 10.0, "initial_risk": 100.0, "r_multiple": 0.1, "mfe": 160.0}

    exits = advice_of(changed(closed(5, 25), given_back))["exits"]
    assert "1.5R did best with +1.50R per trade; this was not tested" in exits.text
    assert exits.significant is False


def test_what_mistakes_cost() -> None:
    drawn = changed(closed(6, 12), lambda place, row: {"pnl": -80.0 if place < 4 else 40.0})
    for place in (0, 1, 2, 2):
        values = {"ts": 1, "category": "moved_stop", "description": "", "automatic": 0}
        drawn.mistakes.append({"trade_id": drawn.trades[place]["id"], **values})
    mistake = advice_of(drawn)["mistake"]
    assert mistake.text == (
        "Mistake moved_stop: 3 trades that made -$240.00 together, -$80.00 on average against $26.67 without "
        "a mistake"
    )
    assert mistake.sample == 3
