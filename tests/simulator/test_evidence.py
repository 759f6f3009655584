"""Intervals of means that cluster: they hold the truth as often as they say, and say when they cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from simulator.evidence import LEAST_BLOCKS, Evidence, blocks_of, clustered_mean

TRUE_MEAN = 0.1


def drawn(random: np.random.Generator, days: int, held: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes that share the shocks of the days they are held, arriving in clusters."""
    shocks = random.standard_normal(days + held)
    count = random.poisson(rate * random.gamma(0.5, 2.0, days))
    day = np.repeat(np.arange(days), count)
    common = sum(shocks[day + k] for k in range(held)) / math.sqrt(held)
    return TRUE_MEAN + 0.7 * common + 0.7 * random.standard_normal(len(day)), day


def coverage(days: int, held: int, rate: float, runs: int) -> float:
    random = np.random.default_rng(7)
    hits = known = 0
    for _ in range(runs):
        values, day = drawn(random, days, held, rate)
        found = clustered_mean(values, day, length=held)
        if found.blocks >= LEAST_BLOCKS:
            known += 1
            hits += found.low <= TRUE_MEAN <= found.high
    return hits / known


@pytest.mark.parametrize(("days", "held", "rate"), [(250, 1, 0.3), (250, 10, 1.0), (120, 10, 0.5)])
def test_intervals_hold_the_true_mean(days: int, held: int, rate: float) -> None:
    # 95 % less four standard errors of 400 draws
    assert coverage(days, held, rate, 400) > 0.905


@pytest.mark.slow
@pytest.mark.parametrize(
    ("days", "held", "rate"),
    [(250, 1, 0.3), (250, 5, 0.3), (250, 10, 1.0), (120, 10, 0.5), (500, 20, 0.5), (60, 5, 1.0)],
)
def test_intervals_hold_the_true_mean_closely(days: int, held: int, rate: float) -> None:
    assert 0.935 < coverage(days, held, rate, 5_000) < 0.97


def test_outcomes_counted_as_independent_would_claim_too_much() -> None:
    random = np.random.default_rng(7)
    hits = 0
    for _ in range(400):
        values, _ = drawn(random, 250, 10, 1.0)
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        hits += abs(values.mean() - TRUE_MEAN) <= half
    assert hits / 400 < 0.6


def test_one_outcome_per_block_is_the_ordinary_t_interval() -> None:
    values = np.random.default_rng(3).normal(0.5, 1.0, 12)
    # alternating signs of neighbours, so that the larger variance is the usual one
    values = np.sort(values)[np.array([0, 11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6])]
    found = clustered_mean(values, 10 * np.arange(12), length=5.0)
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.n, found.blocks) == (12, 12)


def test_degrees_of_freedom_against_the_matrices_they_come_from() -> None:
    sizes = np.array([9, 1, 4, 2, 7])
    block = np.repeat(np.arange(5), sizes)
    random = np.random.default_rng(5)
    values = random.normal(size=len(block))
    found = clustered_mean(values, 10 * block, length=5.0)
    n = len(block)
    centre = np.eye(n) - 1.0 / n
    rows = [centre[:, block == g].sum(axis=1) / math.sqrt(1.0 - sizes[g] / n) / n for g in range(5)]
    product = np.array(rows) @ np.array(rows).T
    freedom = np.trace(product) ** 2 / (product**2).sum()
    sums = np.array([row @ values for row in rows])
    alone = float((sums**2).sum())
    variance = max(alone, alone + 2.0 * float((sums[1:] * sums[:-1]).sum()))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert found.high - found.mean == pytest.approx(half)


def test_weights_count_as_parts_of_outcomes() -> None:
    days = np.array([0, 20, 40, 60, 80, 100])
    values = np.array([1.0, -1.0, 0.5, 2.0, -0.5, 1.0])
    weights = np.array([1.0, 0.5, 0.25, 1.0, 0.5, 1.0])
    found = clustered_mean(values, days, length=5.0, weights=weights)
    assert found.mean == pytest.approx(np.average(values, weights=weights))
    assert found.total == pytest.approx(float(values @ weights))
    assert found.weight == weights.sum()
    same = clustered_mean(values, days, length=5.0, weights=np.ones(6))
    assert same == clustered_mean(values, days, length=5.0)


def test_few_blocks_decide_nothing() -> None:
    many = clustered_mean(np.full(100, 2.0) + np.linspace(0, 0.1, 100), np.zeros(100, np.int64), length=1.0)
    assert math.isnan(many.low)
    assert many.more is None
    assert not many.decided
    four = clustered_mean(np.array([2.0, 2.1, 1.9, 2.0]), np.array([0, 10, 20, 30]), length=1.0)
    assert four.low > 0
    assert not four.decided
    assert four.more == 1
    five = clustered_mean(np.array([2.0, 2.1, 1.9, 2.0, 2.0]), np.array([0, 10, 20, 30, 40]), length=1.0)
    assert five.decided
    assert five.more == 0


def test_how_many_more_shrinks_the_interval_to_the_mean() -> None:
    values = np.tile([1.0, -0.7], 20)
    found = clustered_mean(values, 10 * np.arange(40), length=1.0)
    assert not found.decided
    assert found.more is not None
    half = found.high - found.mean
    needed = 40 + found.more
    assert half * math.sqrt(40 / needed) <= found.mean < half * math.sqrt(40 / (needed - 1))


def test_nothing_known() -> None:
    empty = clustered_mean(np.array([math.nan]), np.array([3]))
    assert empty == clustered_mean(np.zeros(0), np.zeros(0, np.int64)) or empty.n == 0
    assert isinstance(empty, Evidence)
    assert empty.more is None
    assert empty.total == 0.0
    assert blocks_of(np.array([5, 6, 9]), 2.0).tolist() == [0, 0, 1]
