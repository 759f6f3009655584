"""Sharpe statistics: the published example, independent computations, simulation, answers at the edges."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from optimize.statistics.deflation import deflate
from optimize.statistics.returns import effective_trials
from optimize.statistics.sharpe import (
    deflated_sharpe,
    expected_max_sharpe,
    min_backtest_length,
    min_track_record_length,
    probabilistic_sharpe,
    sharpe_sample,
)
from simulator.errors import ConfigError
from tests.budget import many_or_few

NORMAL = NormalDist()
PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=60)
ratios = st.floats(-0.5, 0.5)
skews = st.floats(-3.0, 3.0)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "expected"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_example_of_bailey_and_lopez_de_prado(
    trials: int, skewness: float, kurtosis: float, expected: float
) -> None:
    # annual Sharpe ratio 2.5 over five years of 250 days; variance of the annual Sharpe ratios 1/2
    found = deflated_sharpe(
        2.5, 1250, trials=trials, variance=0.5, skewness=skewness, kurtosis=kurtosis, periods=250
    )
    assert round(found, 4) == expected


def test_the_luck_of_that_example_and_its_benchmark() -> None:
    assert round(expected_max_sharpe(100, 0.5 / 250), 4) == 0.1132
    luck = expected_max_sharpe(100, 0.5, periods=250)
    assert luck == pytest.approx(0.1132 * math.sqrt(250), abs=1e-3)


def test_psr_by_hand() -> None:
    z = (0.1 - 0.02) * math.sqrt(499) / math.sqrt(1 + 0.5 * 0.1 + (6 - 1) / 4 * 0.01)
    found = probabilistic_sharpe(0.1, 500, benchmark=0.02, skewness=-0.5, kurtosis=6)
    assert found == pytest.approx(NORMAL.cdf(z), rel=1e-13)


@pytest.mark.thorough
def test_psr_is_the_share_of_samples_below_what_was_seen() -> None:
    # by brute force: records of a skewed strategy whose true Sharpe ratio is the benchmark
    random = np.random.default_rng(11)
    n, runs, true = 500, many_or_few(20_000, 5_000), 0.1
    law = stats.pearson3(-1.0)
    draws = law.rvs((runs, n), random_state=random)
    returns = draws + true  # standard deviation 1, skewness -1, kurtosis 4.5
    seen = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    for ratio in (0.05, 0.1, 0.15, 0.2):
        below = float((seen < ratio).mean())
        said = probabilistic_sharpe(ratio, n, benchmark=true, skewness=-1.0, kurtosis=4.5)
        assert said == pytest.approx(below, abs=0.02)
    # and skewness matters: the normal formula is further off at the 5 % level
    low = float(np.quantile(seen, 0.05))
    with_moments = probabilistic_sharpe(low, n, benchmark=true, skewness=-1.0, kurtosis=4.5)
    assert abs(with_moments - 0.05) < abs(probabilistic_sharpe(low, n, benchmark=true) - 0.05)


@pytest.mark.parametrize("trials", [5, 30, 1000])
def test_the_expected_maximum_against_the_integral_and_against_draws(trials: int) -> None:
    exact, _ = integrate.quad(
        lambda x: x * trials * stats.norm.pdf(x) * stats.norm.cdf(x) ** (trials - 1), -10, 10, limit=200
    )
    assert expected_max_sharpe(trials, 1.0) == pytest.approx(exact, rel=0.03)
    draws = np.random.default_rng(trials).normal(size=(4000, trials)).max(axis=1)
    assert expected_max_sharpe(trials, 1.0) == pytest.approx(float(draws.mean()), rel=0.04)


def test_the_expected_maximum_by_another_normal_quantile() -> None:
    for trials in (2.0, 7.5, 46.0, 1e6):
        weight = 0.5772156649015329
        by_hand = (1 - weight) * NORMAL.inv_cdf(1 - 1 / trials) + weight * NORMAL.inv_cdf(
            1 - 1 / (trials * math.e)
        )
        assert expected_max_sharpe(trials, 0.04) == pytest.approx(0.2 * by_hand, rel=1e-7)


def test_min_track_record_length_is_where_psr_reaches_the_confidence() -> None:
    shape = {"skewness": -0.72, "kurtosis": 5.78}
    n = min_track_record_length(2.0, benchmark=1.0, confidence=0.95, periods=252, **shape)
    assert probabilistic_sharpe(2.0, n, benchmark=1.0, periods=252, **shape) == pytest.approx(0.95, rel=1e-12)
    # Bailey and López de Prado (2012): an annual Sharpe ratio of 2 against 1, daily and normal: 2.73 years
    assert min_track_record_length(2.0, benchmark=1.0, periods=250) / 250 == pytest.approx(2.73, abs=0.01)


def test_min_backtest_length_of_the_paper() -> None:
    # five years of daily data allow no more than 45 configurations for an annual Sharpe ratio of 1
    assert min_backtest_length(45) < 5.0 < min_backtest_length(46)
    assert min_backtest_length(45) < 2 * math.log(45)
    assert min_backtest_length(45, sharpe=1.0, periods=252) == pytest.approx(252 * min_backtest_length(45))


def test_min_backtest_length_by_simulation() -> None:
    # trials without an edge, as long as it says: the best shows the Sharpe ratio on average
    trials, n = 50, round(min_backtest_length(50, sharpe=0.15))
    random = np.random.default_rng(4)
    best = []
    for _ in range(200):
        returns = random.normal(size=(n, trials))
        best.append((returns.mean(axis=0) / returns.std(axis=0, ddof=1)).max())
    assert float(np.mean(best)) == pytest.approx(0.15, rel=0.04)


@PROPERTY
@given(ratios, st.integers(2, 5000), ratios, skews, st.floats(0.0, 5.0))
def test_psr_is_a_probability_and_annualising_changes_nothing(
    ratio: float, n: int, benchmark: float, skewness: float, above: float
) -> None:
    shape = {"skewness": skewness, "kurtosis": 1.0 + skewness * skewness + above}
    found = probabilistic_sharpe(ratio, n, benchmark=benchmark, **shape)
    assert 0.0 <= found <= 1.0
    year = math.sqrt(252)
    annual = probabilistic_sharpe(ratio * year, n, benchmark=benchmark * year, periods=252, **shape)
    assert annual == pytest.approx(found, abs=1e-9)


@PROPERTY
@given(st.floats(1.0, 1e6), st.floats(1.0, 1e6), st.floats(0.0, 1.0))
def test_more_trials_expect_more_and_deflate_more(one: float, other: float, variance: float) -> None:
    few, many = sorted((one, other))
    assert 0.0 <= expected_max_sharpe(few, variance) <= expected_max_sharpe(many, variance)
    assert deflated_sharpe(0.1, 500, trials=few, variance=variance) >= deflated_sharpe(
        0.1, 500, trials=many, variance=variance
    )


def test_deflation_falls_strictly_with_every_trial_at_fixed_variance() -> None:
    shown = [deflated_sharpe(0.1, 1000, trials=n, variance=0.001) for n in (2, 3, 10, 100, 10_000)]
    assert all(left > right for left, right in pairwise(shown))


def test_the_sample_against_scipy() -> None:
    returns = np.random.default_rng(2).standard_t(5, 800) * 0.01 + 0.0005
    sample = sharpe_sample(np.append(returns, [np.nan, np.inf]))
    assert sample.observations == 800
    assert sample.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-12)
    assert sample.skewness == pytest.approx(float(stats.skew(returns)), rel=1e-10)
    assert sample.kurtosis == pytest.approx(float(stats.kurtosis(returns, fisher=False)), rel=1e-10)


@pytest.mark.parametrize("method", ["average", "spectral"])
def test_effective_trials_lie_between_one_and_all(method: str) -> None:
    random = np.random.default_rng(3)
    shared, own = random.normal(size=(2000, 1)), random.normal(size=(2000, 12))
    apart = effective_trials(own, method=method)  # type: ignore[arg-type]
    close = effective_trials(shared + 0.1 * own, method=method)  # type: ignore[arg-type]
    assert apart == pytest.approx(12.0, abs=0.3)
    assert 1.0 <= close < 1.2
    assert effective_trials(np.repeat(shared, 12, axis=1), method=method) == pytest.approx(1.0)  # type: ignore[arg-type]


def test_effective_trials_against_the_correlation_matrix() -> None:
    random = np.random.default_rng(9)
    returns = random.normal(size=(300, 7)) + 0.8 * random.normal(size=(300, 1))
    correlation = np.corrcoef(returns, rowvar=False)
    mean = np.asarray(correlation)[np.triu_indices(7, 1)].mean()
    assert effective_trials(returns) == pytest.approx(mean + (1 - mean) * 7)
    values = np.linalg.eigvalsh(correlation)
    assert effective_trials(returns, method="spectral") == pytest.approx(
        values.sum() ** 2 / (values**2).sum()
    )
    # more trials than rows take the other Gram matrix
    wide = random.normal(size=(5, 40))
    values = np.linalg.eigvalsh(np.corrcoef(wide, rowvar=False))
    assert effective_trials(wide, method="spectral") == pytest.approx(40**2 / (values**2).sum())


def test_trials_that_go_opposite_ways_are_two_and_not_one() -> None:
    one = np.random.default_rng(5).normal(size=200)
    assert effective_trials(np.column_stack([one, -one])) == 2.0
    assert effective_trials(np.column_stack([one, -one]), method="spectral") == pytest.approx(1.0)


def test_deflate_puts_it_together() -> None:
    returns = np.random.default_rng(8).normal(0, 0.01, (750, 30))
    returns[:, 4] += 0.002
    found = deflate(returns)
    sharpes = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    assert (found.best, found.trials) == (4, 30)
    assert found.variance == pytest.approx(sharpes.var(ddof=1))
    best = sharpe_sample(returns[:, 4])
    by_parts = deflated_sharpe(
        best.sharpe, best.observations, trials=effective_trials(returns), variance=float(sharpes.var(ddof=1)),
        skewness=best.skewness, kurtosis=best.kurtosis,
    )  # fmt: skip
    assert found.probability == pytest.approx(by_parts)
    by_matrix = deflated_sharpe(
        best.sharpe * math.sqrt(252), best.observations, trials=returns, skewness=best.skewness,
        kurtosis=best.kurtosis, periods=252,
    )  # fmt: skip
    assert found.probability == pytest.approx(by_matrix)
    assert deflate(returns, trials=10_000).probability < found.probability
    assert "30 trials" in str(found)
    assert "real with probability" in str(found)


def test_without_an_edge_the_best_of_many_is_rarely_called_real() -> None:
    random = np.random.default_rng(21)
    called = [deflate(random.normal(0, 0.01, (500, 40))).probability > 0.95 for _ in range(200)]
    undeflated = [
        max(sharpe_sample(column).probabilistic() for column in random.normal(0, 0.01, (500, 40)).T) > 0.95
        for _ in range(50)
    ]
    assert np.mean(called) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)
    assert np.mean(undeflated) > 0.7


# Edges


def test_one_trial_is_not_deflated() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.01, (400, 1))
    found = deflate(returns)
    assert found.probability == sharpe_sample(returns[:, 0]).probabilistic()
    assert (found.effective, found.expected_max) == (1.0, 0.0)
    assert math.isnan(found.variance)
    assert deflated_sharpe(0.1, 400, trials=1) == probabilistic_sharpe(0.1, 400)


@pytest.mark.parametrize("returns", [np.zeros(50), np.full(50, 0.01), np.full(50, np.nan), [0.1], []])
def test_what_does_not_vary_has_no_sharpe_ratio(returns: list[float]) -> None:
    sample = sharpe_sample(returns)
    assert math.isnan(sample.sharpe)
    assert math.isnan(sample.probabilistic())


def test_trials_that_do_not_vary_are_counted_and_never_the_best() -> None:
    returns = np.random.default_rng(6).normal(0, 0.01, (300, 4))
    with_idle = np.column_stack([np.full(300, 0.01), returns, np.full(300, np.nan)])
    found, without = deflate(with_idle), deflate(returns)
    assert found.trials == 6
    assert found.best == without.best + 1
    assert found.probability == pytest.approx(without.probability)
    nothing = deflate(np.zeros((50, 3)))
    assert (nothing.best, nothing.trials) == (-1, 3)
    assert math.isnan(nothing.probability)
    assert str(nothing).startswith("None of 3 trials")


def test_unknown_stays_unknown() -> None:
    nan = math.nan
    assert math.isnan(probabilistic_sharpe(nan, 100))
    assert math.isnan(probabilistic_sharpe(0.1, 1))
    assert math.isnan(probabilistic_sharpe(0.1, 100, skewness=nan))
    assert math.isnan(deflated_sharpe(0.1, 100, trials=5))
    assert math.isnan(expected_max_sharpe(nan, 1.0))
    assert math.isnan(min_track_record_length(nan))
    assert math.isnan(min_backtest_length(nan))
    assert min_track_record_length(0.1, benchmark=0.1) == math.inf
    assert min_backtest_length(1) == 0.0
    assert expected_max_sharpe(1, nan) == 0.0
    assert effective_trials(np.full((3, 4), np.nan)) == 1.0


def test_a_coin_that_falls_once_each_way_is_no_error() -> None:
    sample = sharpe_sample([0.02, -0.01])
    assert sample.kurtosis == pytest.approx(1.0)
    assert 0.0 <= sample.probabilistic() <= 1.0


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: probabilistic_sharpe(0.1, 100, skewness=-3.0, kurtosis=7.0), "OPTIMIZE_SHARPE"),
        (lambda: probabilistic_sharpe(0.1, 100, kurtosis=0.0), "OPTIMIZE_SHARPE"),
        (lambda: probabilistic_sharpe(math.inf, 100), "OPTIMIZE_SHARPE"),
        (lambda: probabilistic_sharpe(0.1, 100, periods=0.0), "OPTIMIZE_SHARPE"),
        (lambda: expected_max_sharpe(10, -1.0), "OPTIMIZE_SHARPE"),
        (lambda: expected_max_sharpe(0.5, 1.0), "OPTIMIZE_TRIALS"),
        (lambda: deflated_sharpe(0.1, 100, trials=0, variance=1.0), "OPTIMIZE_TRIALS"),
        (lambda: deflated_sharpe(0.1, 100, trials=[1.0, 2.0]), "OPTIMIZE_RETURNS"),
        (lambda: deflate(np.zeros(5)), "OPTIMIZE_RETURNS"),
        (lambda: sharpe_sample(np.zeros((2, 2))), "OPTIMIZE_RETURNS"),
        (lambda: effective_trials(np.zeros((5, 2)), method="best"), "OPTIMIZE_METHOD"),  # type: ignore[arg-type]
        (lambda: min_track_record_length(0.1, confidence=95.0), "OPTIMIZE_CONFIDENCE"),
        (lambda: min_backtest_length(10, sharpe=0.0), "OPTIMIZE_SHARPE"),
    ],
)
def test_what_cannot_be_is_an_error_with_a_code(call: object, code: str) -> None:
    assert callable(call)
    with pytest.raises(ConfigError) as caught:
        call()
    assert caught.value.code == code
