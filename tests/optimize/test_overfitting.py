"""CSCV against a brute force written differently, reality check and SPA against arch itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from arch.bootstrap import SPA, RealityCheck
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optimize.statistics.overfitting import probability_of_backtest_overfitting
from optimize.statistics.superiority import reality_check, spa
from simulator.errors import ConfigError

Floats = npt.NDArray[np.float64]


def noise(seed: int, rows: int = 240, trials: int = 8) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.01, (rows, trials))


def brute_force(returns: Floats, blocks: int) -> tuple[float, float, float, list[float]]:
    """CSCV by plain lists: concatenate the blocks, measure, rank, one combination after the other."""
    rows = len(returns)
    parts = [returns[rows * b // blocks : rows * (b + 1) // blocks] for b in range(blocks)]
    logits, seen, came = [], [], []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[b] for b in chosen])
        outside = np.concatenate([parts[b] for b in range(blocks) if b not in chosen])
        first = [float(np.mean(column) / np.std(column, ddof=1)) for column in inside.T]
        second = [float(np.mean(column) / np.std(column, ddof=1)) for column in outside.T]
        best = first.index(max(first))
        share = float(stats.rankdata(second)[best]) / (len(second) + 1)
        logits.append(math.log(share / (1 - share)))
        seen.append(first[best])
        came.append(second[best])
    pbo = sum(value <= 0 for value in logits) / len(logits)
    slope = float(stats.linregress(seen, came).slope)
    return pbo, sum(value < 0 for value in came) / len(came), slope, logits


@pytest.mark.parametrize(
    ("seed", "rows", "trials", "blocks"), [(1, 240, 8, 6), (2, 101, 5, 8), (3, 64, 2, 4), (4, 200, 31, 10)]
)
def test_cscv_is_the_brute_force(seed: int, rows: int, trials: int, blocks: int) -> None:
    returns = noise(seed, rows, trials)
    pbo, loss, slope, logits = brute_force(returns, blocks)
    found = probability_of_backtest_overfitting(returns, blocks=blocks)
    assert found.combinations == math.comb(blocks, blocks // 2)
    assert found.probability == pytest.approx(pbo)
    assert found.probability_of_loss == pytest.approx(loss)
    assert found.slope == pytest.approx(slope, rel=1e-9)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-12)


@settings(derandomize=True, database=None, deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([2, 4, 6]), st.integers(2, 6), st.integers(12, 60))
def test_any_matrix_gives_what_the_brute_force_gives(seed: int, blocks: int, trials: int, rows: int) -> None:
    returns = noise(seed, rows, trials)
    found = probability_of_backtest_overfitting(returns, blocks=blocks)
    assert found.probability == pytest.approx(brute_force(returns, blocks)[0])
    assert 0.0 <= found.probability <= 1.0


def test_a_function_as_metric_gives_what_the_sums_give() -> None:
    returns = noise(7)
    by_name = probability_of_backtest_overfitting(returns, blocks=6, metric="mean")
    by_call = probability_of_backtest_overfitting(returns, blocks=6, metric=lambda part: part.mean(axis=0))
    np.testing.assert_allclose(by_name.logits, by_call.logits)
    np.testing.assert_allclose(by_name.out_of_sample, by_call.out_of_sample)
    assert by_name.probability == by_call.probability


def test_many_trials_are_computed_in_parts_that_fit() -> None:
    returns = noise(5, 120, 3000)
    found = probability_of_backtest_overfitting(returns, blocks=12)
    few = probability_of_backtest_overfitting(returns, blocks=12, metric=sharpe)
    np.testing.assert_allclose(found.logits, few.logits, rtol=1e-9)


def sharpe(part: Floats) -> Floats:
    return np.asarray(part.mean(axis=0) / part.std(axis=0, ddof=1))


def test_an_edge_is_not_called_overfitted_and_noise_is_a_coin() -> None:
    returns = noise(10, 1000, 20)
    returns[:, 3] += 0.002
    edge = probability_of_backtest_overfitting(returns, blocks=10)
    assert edge.probability < 0.01
    assert edge.probability_of_loss < 0.05
    found = [probability_of_backtest_overfitting(noise(s, 400, 20), blocks=8).probability for s in range(60)]
    assert float(np.mean(found)) == pytest.approx(0.5, abs=0.1)


def test_trials_that_trade_places_are_always_overfitted() -> None:
    # each trial earns in one block only, so the best in sample has nothing left for the rest
    rows, blocks = 160, 8
    returns = noise(12, rows, blocks) * 0.1 - 0.001
    for block in range(blocks):
        returns[rows * block // blocks : rows * (block + 1) // blocks, block] += 0.05
    found = probability_of_backtest_overfitting(returns, blocks=blocks)
    assert found.probability == 1.0
    assert found.probability_of_loss == 1.0


def test_the_same_trial_twice_shares_a_rank() -> None:
    one = noise(13, 200, 1)
    found = probability_of_backtest_overfitting(np.repeat(one, 5, axis=1), blocks=6)
    np.testing.assert_allclose(found.logits, 0.0, atol=1e-12)
    assert found.probability == 1.0


def test_idle_trials_have_a_sharpe_ratio_of_zero() -> None:
    returns = noise(14, 200, 4) - 0.01
    found = probability_of_backtest_overfitting(np.column_stack([returns, np.zeros(200)]), blocks=6)
    assert (found.in_sample == 0.0).all()
    assert found.probability == 0.0
    assert math.isnan(found.slope)


def test_too_little_gives_no_answer_and_says_why() -> None:
    one = probability_of_backtest_overfitting(noise(1, 100, 1))
    assert math.isnan(one.probability)
    assert "one trial" in str(one)
    short = probability_of_backtest_overfitting(noise(1, 31, 3))
    assert math.isnan(short.probability)
    assert "31 observations" in str(short)


def test_rows_that_are_not_known_are_left_out_for_all() -> None:
    returns = noise(15, 120, 5)
    holes = np.insert(returns, [10, 50], np.nan, axis=0)
    holes[10, 1:] = 0.0
    found = probability_of_backtest_overfitting(holes, blocks=6)
    assert (found.left_out, found.observations) == (2, 120)
    assert found.probability == probability_of_backtest_overfitting(returns, blocks=6).probability
    assert "20 splits" in str(found)


@pytest.mark.parametrize("blocks", [0, 3, 22, -2])
def test_blocks_are_even_and_bounded(blocks: int) -> None:
    with pytest.raises(ConfigError, match="OPTIMIZE_BLOCKS"):
        probability_of_backtest_overfitting(noise(1), blocks=blocks)


def test_other_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match="OPTIMIZE_RETURNS"):
        probability_of_backtest_overfitting(np.zeros(10))
    with pytest.raises(ConfigError, match="OPTIMIZE_METHOD"):
        probability_of_backtest_overfitting(noise(1), metric="sortino")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="one figure each"):
        probability_of_backtest_overfitting(noise(1), blocks=2, metric=lambda part: part[:, 0])
    with pytest.raises(ConfigError, match="benchmark has shape"):
        spa(noise(1), np.zeros(3))
    with pytest.raises(ConfigError, match="OPTIMIZE_METHOD"):
        spa(noise(1), reps=10)
    with pytest.raises(ConfigError, match="OPTIMIZE_METHOD"):
        spa(noise(1), kind="moving")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="OPTIMIZE_BLOCKS"):
        spa(noise(1), block=0)


# Against arch


@pytest.mark.parametrize("kind", ["stationary", "circular"])
def test_the_reality_check_is_that_of_arch(kind: str) -> None:
    returns, market = noise(20), noise(21)[:, 0]
    theirs = RealityCheck(-market, -returns, block_size=7, reps=400, bootstrap=kind, seed=3)  # type: ignore[arg-type]
    theirs.compute()
    ours = reality_check(returns, market, block=7, reps=400, kind=kind, seed=3)  # type: ignore[arg-type]
    assert ours.p_value == ours.upper == theirs.pvalues["upper"]
    assert (ours.lower, ours.consistent) == (theirs.pvalues["lower"], theirs.pvalues["consistent"])
    assert ours.best == int((returns - market[:, None]).mean(axis=0).argmax())


def test_spa_is_that_of_arch_on_differences_of_one_scale() -> None:
    returns = noise(22) * np.linspace(0.5, 4.0, 8) + 0.0004
    # arch's own long-run variance, from the private part of the object
    inner = SPA(np.zeros(len(returns)), -returns, block_size=5, reps=100, seed=0)
    inner._compute_variance()
    scale = np.sqrt(inner._loss_diff_var)
    theirs = SPA(np.zeros(len(returns)), -returns / scale, block_size=5, reps=500, seed=9)
    theirs.compute()
    ours = spa(returns, block=5, reps=500, seed=9)
    assert ours.p_value == ours.consistent
    for name in ("lower", "consistent", "upper"):
        assert getattr(ours, name) == theirs.pvalues[name]
    assert ours.best == int((returns / scale).mean(axis=0).argmax())


def test_spa_does_not_change_with_the_size_that_a_trial_was_traded_at() -> None:
    returns = noise(23) + 0.0005
    sizes = np.array([1.0, 50.0, 0.02, 3.0, 7.0, 1.0, 9.0, 0.1])
    assert spa(returns, block=5).p_value == spa(returns * sizes, block=5).p_value
    assert reality_check(returns, block=5).p_value != reality_check(returns * sizes, block=5).p_value


def test_an_edge_is_found_and_noise_is_not() -> None:
    returns = noise(24, 500, 20)
    assert spa(returns).p_value > 0.1
    returns[:, 7] += 0.002
    found = spa(returns)
    assert found.p_value < 0.02
    assert found.best == 7
    assert found.advantage == pytest.approx(returns[:, 7].mean())
    assert "none of 20 trials" in str(found)


def test_without_an_edge_spa_rejects_about_as_often_as_it_says() -> None:
    rejected = [spa(noise(1000 + s, 200, 5), reps=200, block=2).p_value < 0.1 for s in range(120)]
    assert np.mean(rejected) <= 0.1 + 2.5 * math.sqrt(0.1 * 0.9 / 120)


def test_constant_and_missing_outcomes_have_documented_answers() -> None:
    returns = noise(25)
    with_idle = np.column_stack([returns, np.zeros(240)])
    assert spa(with_idle, block=4).p_value == spa(returns, block=4).p_value
    assert spa(with_idle, block=4).left_out_trials == 1
    nothing = spa(np.zeros((100, 3)))
    assert math.isnan(nothing.p_value)
    assert "no trial differs" in str(nothing)
    short = reality_check(noise(1, 5, 2))
    assert math.isnan(short.p_value)
    assert "5 observations" in str(short)
    returns[3, 2] = np.nan
    assert spa(returns).left_out == 1
    market = noise(26)[:, 0]
    assert math.isnan(spa(market[:, None], market).p_value)
