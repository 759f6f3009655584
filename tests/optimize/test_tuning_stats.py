"""The rule of adoption: error rates in short, and what must hold of every answer."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimize.tuning import adoption
from optimize.tuning.adoption import propose
from optimize.tuning.cases import DAY, Cases
from optimize.tuning.proposal import Proposal
from optimize.tuning.settings import admits
from simulator.errors import ConfigError
from strategies.space import Float, Int
from tests.optimize.tuning_families import (
    ASKED,
    NO_EDGE,
    Journal,
    cases_of,
    fair_game,
    fees_of_5_percent,
    planted,
    planted_among_refused,
    planted_premium,
    premium_payoffs,
    refused_managed_otherwise,
)

STEADY = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow],
)


def drawn(seed: int, **how: Any) -> Journal:
    return planted(np.random.default_rng(seed), **how)


def ask(journal: Journal, **how: Any) -> Proposal:
    return propose(journal.cases, in_force=journal.in_force, prior=journal.in_force, **how)


def changed(cases: Cases, **columns: Any) -> Cases:
    given = {spec.name: getattr(cases, spec.name) for spec in dataclasses.fields(cases)}
    return Cases(**given | columns)


# Error rates, in short; test_tuning_stats_acceptance.py has them at full length


def test_journals_without_an_edge_are_left_alone() -> None:
    found = 0
    for number in range(60):
        random = np.random.default_rng([number, 1])
        found += ask(ASKED[number % len(ASKED)](random)).adopted
    assert found <= 8  # 3 are expected at 5 %; 9 or more in less than 3 of 1,000


def test_no_family_without_an_edge_is_adopted_again_and_again() -> None:
    for family in NO_EDGE:
        found = sum(ask(family(np.random.default_rng([number, 2]))).adopted for number in range(3))
        assert found <= 1, family.__name__


def test_a_planted_edge_is_found() -> None:
    found = [ask(drawn(number)) for number in range(12)]
    levels = [one.settings["min_iv_rank"] for one in found if one.adopted]
    assert len(levels) >= 9
    assert abs(float(np.median(levels)) - 50.0) <= 5.0


def test_a_planted_edge_of_premium_payoffs_is_found() -> None:
    found = [ask(planted_premium(np.random.default_rng([number, 3]))) for number in range(8)]
    assert sum(one.adopted for one in found) >= 5


# The three answers


def test_adopt_says_what_and_by_how_much() -> None:
    answer = ask(drawn(1))
    assert answer.answer == "adopt"
    assert answer.settings == {"min_iv_rank": 50.0}
    assert answer.changes == {"min_iv_rank": 50.0}
    assert answer.needed_trades is None
    assert 0.0 < answer.lower < answer.estimate
    assert answer.sentence.startswith("Adopt min_iv_rank 50 instead of 0:")
    assert str(answer) == answer.sentence


def test_too_few_trades_are_named() -> None:
    answer = ask(drawn(1, count=20))
    assert answer.answer == "not enough evidence"
    assert answer.settings == {"min_iv_rank": 0.0}
    assert answer.needed_trades is not None
    assert answer.needed_trades >= 25
    assert answer.sentence.startswith(f"Not enough evidence: about {answer.needed_trades} more trades.")


def test_the_number_of_trades_that_are_needed_is_about_right() -> None:
    """A weak edge on 200 trades asks for some hundreds more; with these it is mostly adopted."""
    asked = []
    for number in range(6):
        answer = ask(drawn(number, count=150, effect=0.2))
        if answer.answer == "not enough evidence":
            asked.append(150 + (answer.needed_trades or 0))
    assert asked
    count = int(np.median(asked))
    assert 200 <= count <= 1_500
    later = [ask(drawn(100 + number, count=count, effect=0.2)).adopted for number in range(6)]
    assert sum(later) >= 3


def test_chance_on_many_trades_means_keep() -> None:
    answers = [ask(premium_payoffs(np.random.default_rng([number, 4]), 600)).answer for number in range(6)]
    assert answers.count("keep") >= 4


def test_an_empty_journal_has_not_enough_evidence() -> None:
    never = np.zeros(0, np.int64)
    empty = Cases(outcome=np.zeros(0), entry_ts=never, exit_ts=never)
    answer = propose(empty, in_force={"min_iv_rank": 50.0})
    assert (answer.answer, answer.n, answer.needed_trades) == ("not enough evidence", 0, 45)


def test_equal_outcomes_mean_keep() -> None:
    cases, in_force = drawn(1)
    answer = propose(changed(cases, outcome=np.full(len(cases), 0.1)), in_force=in_force)
    assert answer.answer == "keep"
    assert "same number" in answer.sentence


@pytest.mark.parametrize(("sign", "word"), [(1.0, "no loss"), (-1.0, "no gain")])
def test_a_single_class_is_not_enough(sign: float, word: str) -> None:
    cases, in_force = drawn(1)
    answer = propose(changed(cases, outcome=sign * (np.abs(cases.outcome) + 0.01)), in_force=in_force)
    assert answer.answer == "not enough evidence"
    assert answer.needed_trades == len(cases)
    assert word in answer.sentence


def test_losses_that_only_the_rest_has_seen_prove_nothing() -> None:
    """Above 50 nothing was lost yet, in a hundred trades: how much it will be nobody knows."""
    random = np.random.default_rng(5)
    rank = random.uniform(0, 100, 200)
    outcome = np.where((random.random(200) < 0.3) & (rank < 50), -0.7, 0.3) * random.uniform(0.9, 1.1, 200)
    journal = Journal(cases_of(outcome, np.arange(200), np.full(200, 5), rank), {"min_iv_rank": 0.0})
    assert ask(journal).settings["min_iv_rank"] < 50.0


def test_all_trades_of_one_week_are_one_observation() -> None:
    cases, in_force = drawn(1)
    week = np.sort(np.random.default_rng(1).integers(0, 5, len(cases))) * DAY
    answer = propose(changed(cases, entry_ts=week, exit_ts=week + 30 * DAY), in_force=in_force)
    assert answer.answer == "not enough evidence"
    assert "5 days" in answer.sentence


def test_copies_of_trades_are_no_further_evidence() -> None:
    """Ten contracts in ten tickets on one day are one decision."""
    random = np.random.default_rng(6)
    rank = random.uniform(0, 100, 40)
    outcome = random.normal(np.where(rank >= 50, 0.5, -0.5), 1.0)
    ten = np.repeat(np.arange(40), 10)
    journal = Journal(cases_of(outcome[ten], ten * 3, np.full(400, 2), rank[ten]), {"min_iv_rank": 0.0})
    answer = ask(journal)
    assert answer.n_effective < 60
    assert not answer.adopted


# What is never proposed


@given(st.integers(0, 10_000), st.floats(0.0, 60.0), st.floats(10.0, 40.0))
@STEADY
def test_no_proposal_leaves_what_was_observed_or_the_step(seed: int, low: float, step: float) -> None:
    cases, _ = drawn(seed, count=200, ranks=(low, low + 40.0), at=low + 20.0, effect=0.8)
    now = low + 5.0
    answer = propose(cases, in_force={"min_iv_rank": now}, max_step={"min_iv_rank": step})
    rank = cases.features["iv_rank"]
    for row in answer.evidence["candidates"]:
        level = row["settings"]["min_iv_rank"]
        assert rank.min() <= level <= rank.max()
        assert abs(level - now) <= step + 1e-9
        assert row["trades"] >= adoption.MIN_TRADES


def test_nothing_is_learned_about_what_nobody_saw() -> None:
    """Without cases below 50 no lower threshold is looked at; with counterfactual ones it is."""
    random = np.random.default_rng(7)
    rank = random.uniform(20, 100, 500)
    outcome = random.normal(np.where(rank < 50, 0.9, 0.0), 1.0)
    day = np.arange(500)
    seen = (rank >= 50) & (random.random(500) < 0.7)  # three in ten were left above 50 too
    in_force = {"min_iv_rank": 50.0}
    taken = cases_of(outcome[seen], day[seen], np.full(int(seen.sum()), 10), rank[seen])
    without = propose(taken, in_force=in_force)
    assert all(row["settings"]["min_iv_rank"] > 50.0 for row in without.evidence["candidates"])
    both = propose(cases_of(outcome, day, np.full(500, 10), rank, taken=seen), in_force=in_force)
    assert both.answer == "adopt"
    assert both.settings["min_iv_rank"] < 50.0
    assert both.evidence["counterfactual"] == int((~seen).sum())
    assert "were never taken" in both.evidence["notes"][-1]


@pytest.mark.parametrize("least", [30, 60, 90])
def test_a_set_needs_trades_on_both_sides(least: int) -> None:
    random = np.random.default_rng(12)
    rank = random.uniform(0, 100, 200)
    apart = np.arange(200) * 10  # no two trades overlap
    journal = Journal(cases_of(random.normal(size=200), apart, np.full(200, 5), rank), {"min_iv_rank": 0.0})
    rows = ask(journal, min_trades=least, max_step={"min_iv_rank": 100.0}).evidence["candidates"]
    assert rows
    for row in rows:
        assert row["trades"] >= least
        assert row["changed"] >= least / 2
    refused = {int((rank < level).sum()) for level in range(5, 100, 5)}
    expected = {gone for gone in refused if gone >= least / 2 and 200 - gone >= max(least, 200 / 3)}
    assert {row["changed"] for row in rows} == expected


def test_what_is_only_a_link_of_two_trends_is_not_adopted() -> None:
    """Over all years high ranks did better, and within no year."""
    random = np.random.default_rng(13)
    year = np.repeat(np.arange(8), 60)
    rank = year * 8.0 + 20.0 + random.uniform(-15, 15, 480)
    outcome = random.normal(size=480) + 0.25 * (year - 3.5)
    journal = Journal(cases_of(outcome, np.arange(480), np.full(480, 5), rank), {"min_iv_rank": 10.0})
    assert not ask(journal).adopted


def test_what_is_only_seen_within_periods_is_not_adopted_yet() -> None:
    """A link of 1 that the years drown: true or not, over the whole journal it has not paid yet."""
    random = np.random.default_rng(14)
    year = np.repeat(np.arange(8), 50)
    rank = random.uniform(0, 100, 400)
    outcome = random.normal(size=400) + np.where(rank >= 50, 0.5, -0.5) + (random.normal(size=8) * 5.0)[year]
    journal = Journal(cases_of(outcome, np.arange(400) * 3, np.full(400, 2), rank), {"min_iv_rank": 10.0})
    assert not ask(journal).adopted
    steady = outcome - (outcome.reshape(8, 50).mean(axis=1))[year]
    assert ask(Journal(changed(journal.cases, outcome=steady), journal.in_force)).adopted


def test_a_setting_that_nothing_speaks_for_does_not_ride_along() -> None:
    random = np.random.default_rng(8)
    cases, _ = drawn(8)
    score = random.uniform(0, 1, len(cases))
    cases = changed(cases, features={**cases.features, "score": score})
    answer = propose(cases, in_force={"min_iv_rank": 0.0, "min_score": 0.0})
    assert answer.answer == "adopt"
    assert set(answer.changes) == {"min_iv_rank"}


def test_two_edges_are_found_one_after_the_other() -> None:
    random = np.random.default_rng(9)
    rank, days = random.uniform(0, 100, 900), random.integers(20, 75, 900).astype(float)
    outcome = random.normal(np.where(rank >= 40, 0.4, -0.4) + np.where(days <= 60, 0.4, -0.4), 1.0)
    cases = cases_of(outcome, np.arange(900), np.full(900, 10), rank, features={"dte": days})
    answer = propose(cases, in_force={"min_iv_rank": 0.0, "min_dte": 20, "max_dte": 75})
    assert answer.answer == "adopt"
    assert set(answer.changes) == {"min_iv_rank", "max_dte"}
    assert abs(answer.settings["min_iv_rank"] - 40.0) <= 5.0
    assert abs(answer.settings["max_dte"] - 60) <= 5
    assert isinstance(answer.settings["max_dte"], int)
    assert len(answer.evidence["steps"]) == 2


def test_a_losing_symbol_goes_on_the_list() -> None:
    random = np.random.default_rng(10)
    of_symbol = random.integers(0, 5, 500)
    outcome = random.normal(np.where(of_symbol == 2, -1.0, 0.2), 1.0)
    symbol = np.array([f"S{one}" for one in of_symbol])
    cases = cases_of(outcome, np.arange(500), np.full(500, 10), random.uniform(0, 100, 500), symbol=symbol)
    answer = propose(cases, in_force={"blacklist": ()})
    assert answer.settings["blacklist"] == ("S2",)


# What every answer keeps to


@given(st.integers(0, 10_000), st.floats(0.01, 100.0))
@STEADY
def test_units_do_not_matter(seed: int, unit: float) -> None:
    cases, in_force = drawn(seed, count=150)
    plain = propose(cases, in_force=in_force)
    scaled = propose(changed(cases, outcome=cases.outcome * unit), in_force=in_force)
    assert scaled.answer == plain.answer
    assert scaled.settings == plain.settings
    assert scaled.lower == pytest.approx(plain.lower * unit, rel=1e-6, nan_ok=True)


@given(st.integers(0, 10_000))
@settings(STEADY, max_examples=5)
def test_the_order_in_which_cases_are_given_does_not_matter(seed: int) -> None:
    cases, in_force = drawn(seed, count=150, per_day=0.2)
    order = np.random.default_rng(seed).permutation(len(cases))
    assert (
        propose(cases.take(order), in_force=in_force).sentence == propose(cases, in_force=in_force).sentence
    )


def test_the_same_seed_gives_the_same_answer() -> None:
    first, second = (ask(drawn(3), seed=5) for _ in range(2))
    assert first.as_dict() == second.as_dict()


def test_an_answer_can_be_kept_as_json() -> None:
    for answer in (ask(drawn(3)), ask(drawn(3, count=20)), ask(drawn(4, effect=0.0))):
        kept = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
        assert kept["answer"] == answer.answer
        assert kept["evidence"]["candidates"] == answer.evidence["candidates"]


def test_unknown_ranks_are_left_out_of_the_question_about_ranks() -> None:
    cases, in_force = drawn(1)
    rank = cases.features["iv_rank"].copy()
    rank[::4] = np.nan
    answer = propose(changed(cases, features={"iv_rank": rank}), in_force=in_force)
    assert answer.answer == "adopt"
    assert abs(answer.settings["min_iv_rank"] - 50.0) <= 5.0
    assert max(row["trades"] for row in answer.evidence["candidates"]) <= 300


def test_without_a_single_known_rank_there_is_nothing_to_try() -> None:
    cases, in_force = drawn(1)
    answer = propose(changed(cases, features={"iv_rank": np.full(len(cases), np.nan)}), in_force=in_force)
    assert answer.answer in ("keep", "not enough evidence")
    assert answer.evidence["candidates"] == []
    assert "no case has a known iv_rank" in answer.evidence["notes"][0]


def test_unknown_outcomes_are_left_out() -> None:
    cases, in_force = drawn(1)
    outcome = cases.outcome.copy()
    outcome[:50] = np.nan
    answer = propose(changed(cases, outcome=outcome), in_force=in_force)
    assert (answer.n, answer.evidence["cases"]) == (350, 400)
    assert answer.evidence["notes"][0].startswith("50 cases without a known outcome")


def test_a_prior_that_thinks_less_of_it_makes_it_harder() -> None:
    """Estimates are pulled towards what the prior set does."""
    journal = drawn(2, count=150)
    plain = ask(journal)
    doubted = propose(journal.cases, in_force=journal.in_force, prior={"max_iv_rank": 40.0})
    by_level = {row["settings"]["min_iv_rank"]: row for row in plain.evidence["candidates"]}
    for row in doubted.evidence["candidates"]:
        assert row["lower"] <= by_level[row["settings"]["min_iv_rank"]]["lower"] + 1e-12


def test_a_space_is_searched_as_given() -> None:
    cases, in_force = drawn(1)
    for space in (Int(20, 60, 20), Float(20.0, 60.0, 20.0), [20, 40, 60]):
        answer = propose(
            cases, in_force=in_force, space={"min_iv_rank": space}, max_step={"min_iv_rank": 100}
        )
        assert [row["settings"]["min_iv_rank"] for row in answer.evidence["candidates"]] == [20.0, 40.0, 60.0]


def test_the_study_holds_every_candidate() -> None:
    answer = ask(drawn(1))
    study = answer.study()
    assert len(study.trials) == answer.evidence["tried"]
    assert {trial.params["min_iv_rank"] for trial in study.trials} == {
        row["settings"]["min_iv_rank"] for row in answer.evidence["candidates"]
    }


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"confidence": 1.0}, "OPTIMIZE_CONFIDENCE"),
        ({"confidence": 0.2}, "OPTIMIZE_CONFIDENCE"),
        ({"min_trades": 0}, "OPTIMIZE_COUNT"),
        ({"trials": 2.5}, "OPTIMIZE_COUNT"),
        ({"space": {"min_colour": None}}, "TUNING_SETTING"),
        ({"space": {"min_iv_rank": "high"}}, "TUNING_SETTING"),
    ],
)
def test_what_cannot_be_asked(how: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as error:
        ask(drawn(1), **how)
    assert error.value.code == code


# Profit targets


def test_a_target_in_a_fair_game_is_left_alone() -> None:
    assert sum(ask(fair_game(np.random.default_rng(number))).adopted for number in range(10)) <= 1


def test_an_earlier_target_is_found_where_profits_are_given_back() -> None:
    """Half of the trades that reach 60 % of the credit fall back to a loss."""
    random = np.random.default_rng(11)
    ran = random.uniform(0.0, 1.0, 400)
    outcome = np.where((ran > 0.6) & (random.random(400) < 0.5), -1.0, ran * 0.8) * 0.02
    cases = cases_of(
        outcome, np.arange(400), np.full(400, 10), random.uniform(0, 100, 400),
        best=np.full(400, 0.02), mfe_fraction=ran,
    )  # fmt: skip
    answer = propose(cases, in_force={"profit_target": 0.8}, space={"profit_target": None})
    assert answer.answer == "adopt"
    assert 0.55 <= answer.settings["profit_target"] < 0.8
    higher = propose(cases, in_force={"profit_target": 0.2}, space={"profit_target": [0.3, 0.6]})
    assert higher.settings == {"profit_target": 0.2}


def test_fees_are_no_reason_for_an_earlier_target() -> None:
    assert sum(ask(fees_of_5_percent(np.random.default_rng(number))).adopted for number in range(10)) <= 1


# Taken and refused


def test_other_management_of_what_was_refused_moves_no_threshold() -> None:
    drawn_ones = [refused_managed_otherwise(np.random.default_rng(1_000 + number)) for number in range(10)]
    assert sum(ask(one).adopted for one in drawn_ones) <= 1


def test_an_edge_is_found_among_the_refused_where_some_were_refused_on_both_sides() -> None:
    found = [ask(planted_among_refused(np.random.default_rng(number))) for number in range(8)]
    assert sum(one.adopted for one in found) >= 5


# Steps, ties, levels


def test_steps_together_refuse_two_thirds_at_most() -> None:
    random = np.random.default_rng(3)
    features = {name: random.uniform(0, 100, 1_500) for name in ("iv_rank", "score", "probability")}
    outcome = random.normal(0.0, 0.5, 1_500)
    for level in features.values():
        outcome += np.where(level >= 50, 0.4, -0.4)
    day = np.arange(1_500) * DAY
    cases = Cases(outcome=outcome, entry_ts=day, exit_ts=day + DAY, features=features)
    answer = propose(cases, in_force={"min_iv_rank": 0.0, "min_score": 0.0, "min_probability": 0.0})
    assert len(answer.changes) > 1
    assert admits(cases, answer.settings).sum() >= 500
    assert answer.lower == min(step["lower"] for step in answer.evidence["steps"])
    assert f"each of {len(answer.changes)} steps by" in answer.sentence


def test_of_values_that_admit_the_same_the_nearest_is_judged() -> None:
    random = np.random.default_rng(5)
    rank = random.choice([20.0, 60.0, 80.0], 300)
    cases = cases_of(random.normal(size=300), np.arange(300), np.full(300, 1), rank)
    answer = propose(cases, in_force={"min_iv_rank": 30.0})
    assert [row["settings"]["min_iv_rank"] for row in answer.evidence["candidates"]] == [20.0, 65.0]


def test_a_level_has_the_turns_that_it_needs_or_says_what_is_missing() -> None:
    journal = drawn(1, count=1_200, effect=0.5, per_day=0.5)
    assert ask(journal, confidence=0.998).adopted
    few = ask(drawn(1, effect=0.5), confidence=0.999)
    assert few.answer == "not enough evidence"
    assert "1,000 are needed for 99.9 % confidence" in few.sentence
    with pytest.raises(ConfigError, match=r"up to 0\.9996") as error:
        ask(journal, confidence=0.9999)
    assert error.value.code == "OPTIMIZE_CONFIDENCE"
