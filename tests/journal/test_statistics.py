"""Intervals and tests against SciPy, against their definitions, and against their promise of coverage."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy import stats

from journal.performance.statistics import (
    RESAMPLING_LIMIT,
    largest_difference,
    mean_interval,
    profit_factor_interval,
    student_quantile,
    wilson,
)
from tests.budget import cases, many_or_few

Floats = NDArray[np.float64]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(level: float) -> None:
    for trials in (1, 2, 3, 10, 47, 1000):
        for wins in {0, 1, trials // 3, trials - 1, trials}:
            interval = wilson(wins, trials, level)
            assert interval is not None
            wanted = stats.binomtest(wins, trials).proportion_ci(level, method="wilson")
            assert interval.low == pytest.approx(wanted.low, abs=1e-12)
            assert interval.high == pytest.approx(wanted.high, abs=1e-12)


def test_wilson_of_nothing_is_unknown() -> None:
    assert wilson(0, 0) is None


def test_wilson_keeps_its_level() -> None:
    # exact coverage: the probability of all counts whose interval holds the true share
    for trials, share in itertools.product((10, 30, 100), (0.1, 0.35, 0.5, 0.8)):
        covered = 0.0
        for wins in range(trials + 1):
            interval = wilson(wins, trials)
            assert interval is not None
            if interval.low <= share <= interval.high:
                covered += float(stats.binom.pmf(wins, trials, share))
        assert 0.92 < covered < 0.99


@pytest.mark.parametrize("share", [0.6, 0.9, 0.975, 0.9975])
def test_student_quantiles_agree_with_scipy(share: float) -> None:
    for freedom in (1, 2, 3, 4, 9, 10, 99, 400, 401, 5_000):
        assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-8)


def winners_and_rare_losses(random: np.random.Generator, count: int) -> Floats:
    won = random.random(count) < 0.85
    size = random.uniform(0.6, 1.4, count)
    return np.where(won, 0.5, -0.5 * 0.85 / 0.15) * size


def few_large_winners(random: np.random.Generator, count: int) -> Floats:
    won = random.random(count) < 0.35
    return np.where(won, random.exponential(0.65 / 0.35, count), -random.uniform(0.6, 1.4, count))


def even(random: np.random.Generator, count: int) -> Floats:
    return random.normal(0.0, 1.0, count)


@pytest.mark.thorough
@pytest.mark.parametrize("draw", [winners_and_rare_losses, few_large_winners, even])
@pytest.mark.parametrize(("count", "resample"), [(30, True), (30, False), (150, True)])
def test_intervals_of_a_mean_cover_it_as_often_as_they_say(draw: Any, count: int, resample: bool) -> None:
    random = np.random.default_rng(7)
    runs, hits = many_or_few(500, 100 if resample else 500), 0
    for _ in range(runs):
        interval = mean_interval(draw(random, count), 0.9, resample=resample)
        assert interval is not None
        hits += interval.low <= 0.0 <= interval.high
    # 90 % less four standard errors and two points for what thirty skewed values cannot know; not far above
    error = 4 * math.sqrt(0.9 * 0.1 / runs)
    assert 0.88 - error < hits / runs < min(0.916 + error, 0.995)


def test_the_bootstrap_agrees_with_that_of_scipy() -> None:
    values = few_large_winners(np.random.default_rng(3), 400)
    interval = mean_interval(values.tolist())
    wanted = stats.bootstrap((values,), np.mean, n_resamples=5_000, rng=np.random.default_rng(1))
    assert interval is not None
    low, high = wanted.confidence_interval
    width = high - low
    assert interval.low == pytest.approx(low, abs=0.06 * width)
    assert interval.high == pytest.approx(high, abs=0.06 * width)


def test_resampling_and_the_closed_form_meet_where_one_takes_over() -> None:
    values = few_large_winners(np.random.default_rng(5), RESAMPLING_LIMIT)
    sampled, closed = mean_interval(values.tolist()), mean_interval(values.tolist(), resample=False)
    assert sampled is not None
    assert closed is not None
    assert (sampled.method, closed.method) == ("bootstrap", "skew-corrected")
    width = closed.high - closed.low
    assert sampled.low == pytest.approx(closed.low, abs=0.06 * width)
    assert sampled.high == pytest.approx(closed.high, abs=0.06 * width)
    larger = np.append(values, values[:1]).tolist()
    assert getattr(mean_interval(larger), "method", "") == "skew-corrected"
    small, large = profit_factor_interval(values.tolist()), profit_factor_interval(larger)
    assert small is not None
    assert large is not None
    assert (small.method, large.method) == ("bootstrap", "delta")
    assert small.low == pytest.approx(large.low, rel=0.03)
    assert small.high == pytest.approx(large.high, rel=0.03)


@pytest.mark.thorough
def test_the_profit_factor_of_a_fair_game_covers_one() -> None:
    random = np.random.default_rng(11)
    runs, hits = many_or_few(400, 100), 0
    for _ in range(runs):
        interval = profit_factor_interval(few_large_winners(random, 80).tolist(), 0.9)
        assert interval is not None
        hits += interval.low <= 1.0 <= interval.high
    error = 4 * math.sqrt(0.9 * 0.1 / runs)
    assert 0.89 - error < hits / runs < 0.9 + error


def test_the_profit_factor_may_be_unbounded_and_is_unknown_without_losses() -> None:
    interval = profit_factor_interval([1.0, 2.0, 3.0, 4.0, -1.0])
    assert interval is not None
    assert math.isinf(interval.high)
    assert profit_factor_interval([1.0, 2.0]) is None
    assert profit_factor_interval([-1.0, -2.0]) is None
    assert profit_factor_interval([5.0]) is None


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [0.0, 0.0], [0.1] * 30])
def test_what_does_not_vary_has_no_interval(values: list[float]) -> None:
    assert mean_interval(values) is None


@cases(many=60, few=15)
@given(
    some.lists(some.floats(-1e6, 1e6, allow_nan=False), min_size=2, max_size=60),
    some.floats(0.01, 100.0),
    some.floats(-1e5, 1e5),
)
def test_an_interval_of_a_mean_moves_and_scales_with_the_values(
    values: list[float], factor: float, shift: float
) -> None:
    interval = mean_interval(values)
    if interval is None or np.ptp(values) < 1e-3:
        return
    assert min(values) - 1e-6 <= interval.low <= interval.high <= max(values) + 1e-6
    moved = mean_interval([factor * value + shift for value in values])
    assert moved is not None
    size = factor * max(abs(value) for value in values) + abs(shift)
    assert moved.low == pytest.approx(factor * interval.low + shift, abs=1e-6 * size + 1e-6)
    assert moved.high == pytest.approx(factor * interval.high + shift, abs=1e-6 * size + 1e-6)


def test_the_same_values_give_the_same_interval() -> None:
    values = even(np.random.default_rng(2), 50).tolist()
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)


def groupings_of(random: np.random.Generator, count: int) -> list[list[str | None]]:
    return [[f"{letter}{number}" for number in random.integers(0, 5, count)] for letter in "abcd"]


def test_groups_that_do_not_matter_are_found_different_once_in_twenty_times() -> None:
    random = np.random.default_rng(4)
    runs, alarms = 300, 0
    for _ in range(runs):
        values = winners_and_rare_losses(random, 80)
        found = largest_difference(values.tolist(), groupings_of(random, 80), resamples=199)
        alarms += found[0].p_value <= 0.05
    assert alarms / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_group_that_matters_is_found_and_named() -> None:
    random = np.random.default_rng(6)
    values, groupings = even(random, 200), groupings_of(random, 200)
    inside = np.asarray([label == "b3" for label in groupings[1]])
    values[inside] -= 1.5
    best = largest_difference(values.tolist(), groupings)[0]
    assert (best.group, best.size) == ("b3", int(inside.sum()))
    assert best.p_value < 0.01
    assert best.difference == pytest.approx(values[inside].mean() - values[~inside].mean())


def test_strata_explain_what_lies_between_them() -> None:
    random = np.random.default_rng(8)
    kind = np.repeat([0, 1], 100)
    values = even(random, 200) + 3.0 * kind
    # a label that occurs in one kind only
    labels = [
        f"x{number}" if each else "y" for number, each in zip(random.integers(0, 3, 200), kind, strict=True)
    ]
    plain = largest_difference(values.tolist(), [labels])
    layered = largest_difference(values.tolist(), [labels], strata=kind.tolist())
    assert min(one.p_value for one in plain) < 0.01
    assert min(one.p_value for one in layered) > 0.05


def test_nothing_to_compare_gives_nothing() -> None:
    assert largest_difference([], [[]]) == []
    assert largest_difference([1.0, 2.0], [["a", "b"]]) == []
    assert largest_difference([1.0] * 40, [["a"] * 20 + ["b"] * 20]) == []
