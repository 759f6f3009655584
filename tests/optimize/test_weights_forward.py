"""Weights walked forward: nothing of the future, an honest verdict, and a test that keeps its level."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.stats import norm

from optimize.portfolio.forward import walk_weights_forward
from optimize.statistics.sharpe_difference import sharpe_difference
from optimize.weights import portfolio_weights
from simulator.errors import ConfigError

Floats = npt.NDArray[np.float64]


def market(rows: int, seed: int, *, planted: bool = False) -> Floats:
    """Four sleeves of unequal size; planted: as good per unit of risk, so that equal weights waste risk."""
    random = np.random.default_rng(seed)
    size = np.array([0.002, 0.004, 0.02, 0.04])
    edge = 0.15 if planted else 0.0
    return np.asarray((random.standard_t(6, (rows, 4)) / np.sqrt(1.5) + edge) * size)


def forward(returns: Any, *methods: Any, **given: Any) -> Any:
    return walk_weights_forward(returns, methods or ("inverse_volatility",), **{"samples": 300, **given})


# The walk


@pytest.mark.parametrize("mode", ["rolling", "anchored"])
def test_weights_are_fitted_to_the_past_and_held_over_what_follows(mode: Any) -> None:
    index = pd.bdate_range("2020-01-01", periods=500, tz="UTC")
    table = pd.DataFrame(market(500, 1), index=index, columns=list("abcd"))
    found = forward(table, mode=mode, train=200, test=60)
    assert found.windows == 5
    assert found.returns.index.equals(index[200:])
    held = found.weights["inverse_volatility"]
    for number, first in enumerate(range(200, 500, 60)):
        past = table.iloc[first - 200 if mode == "rolling" else 0 : first]
        inverse = 1.0 / past.std()
        np.testing.assert_allclose(held.iloc[number], inverse / inverse.sum(), rtol=1e-9)
        assert held.index[number] == index[first]
        stretch = slice(first, first + 60)
        np.testing.assert_allclose(
            found.returns["inverse_volatility"].iloc[first - 200 : first - 140],
            table.iloc[stretch] @ held.iloc[number],
        )
    np.testing.assert_allclose(found.returns["equal"], table.iloc[200:].mean(axis=1))
    latest = found.latest["inverse_volatility"]
    assert (
        latest.weights
        == portfolio_weights(table.iloc[-200 if mode == "rolling" else 0 :], "inverse_volatility").weights
    )


def test_what_comes_later_changes_nothing_before() -> None:
    returns = market(500, 2)
    other = returns.copy()
    other[380:] = market(120, 99) * 7.0
    one, two = (forward(given, "risk_parity", train=200, test=60) for given in (returns, other))
    pd.testing.assert_frame_equal(one.returns.iloc[:180], two.returns.iloc[:180])
    pd.testing.assert_frame_equal(one.weights["risk_parity"].iloc[:4], two.weights["risk_parity"].iloc[:4])


def test_the_table_is_that_of_the_returns() -> None:
    found = forward(market(400, 3), "inverse_volatility", "minimum_variance", train=200, test=50)
    assert list(found.table.index) == ["equal", "inverse_volatility", "minimum_variance"]
    for method, row in found.table.iterrows():
        series = found.returns[method]
        assert row["sharpe"] == pytest.approx(series.mean() / series.std() * math.sqrt(252))
        assert row["volatility"] == pytest.approx(series.std() * math.sqrt(252))
        equity = np.append(1.0, (1.0 + series).cumprod())
        assert row["max_drawdown"] == pytest.approx((equity / np.maximum.accumulate(equity) - 1.0).min())
    moved = found.weights["minimum_variance"].diff().abs().sum(axis=1).iloc[1:] / 2.0
    assert found.table.loc["minimum_variance", "turnover"] == pytest.approx(moved.mean())
    assert found.table.loc["equal", "turnover"] == 0.0


# The verdict


def test_a_planted_advantage_is_found_and_none_is_not_made_up() -> None:
    real = forward(market(1500, 4, planted=True), "inverse_volatility", "risk_parity")
    assert real.claims_evidence
    assert real.needed is None
    assert real.sentence().endswith("evidence that it is better.")
    assert "after 2 methods" in real.sentence()
    none = forward(market(800, 5), "inverse_volatility")
    assert not none.claims_evidence
    assert "keep equal weights" in none.sentence()
    assert none.sentence() in str(none)


def test_several_methods_have_to_be_better_by_more() -> None:
    found = forward(
        market(700, 6, planted=True), "inverse_volatility", "minimum_variance", "risk_parity", test=100
    )
    raw = found.table["p_value"].dropna().sort_values()
    adjusted = found.table["adjusted"][raw.index]
    expected = np.maximum.accumulate(np.minimum(raw.to_numpy() * np.array([3, 2, 1]), 1.0))
    np.testing.assert_allclose(adjusted, expected)
    assert found.best == found.table["sharpe"].drop("equal").idxmax()


def test_how_much_more_it_would_take() -> None:
    for seed in range(20):
        found = forward(market(900, seed, planted=True) * [1, 3, 1, 1], train=252, test=63)
        row = found.table.loc["inverse_volatility"]
        if not found.claims_evidence and row["difference"] > 0.0:
            assert found.needed is not None
            assert found.needed >= len(found.returns)
            assert f"about {found.needed:,} observations" in found.sentence()
            return
    pytest.fail("no market without a verdict")


def test_what_cannot_be_said_is_not_said() -> None:
    short = forward(market(60, 1), train=30, test=30)
    assert not short.claims_evidence
    assert short.sentence().startswith("Nothing can be said: 30 observations out of sample")
    alone = forward(market(400, 1)[:, :1], train=200, test=50)
    assert alone.table.loc["inverse_volatility", "p_value"] == 1.0
    assert not alone.claims_evidence
    idle = forward(np.zeros((400, 2)), train=200, test=50)
    assert "Nothing can be said" in idle.sentence()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"train": 500}, "OPTIMIZE_SPLIT"),
        ({"methods": ["equal"]}, "OPTIMIZE_WEIGHTS"),
        ({"methods": ["best"]}, "OPTIMIZE_WEIGHTS"),
        ({"confidence": 1.0}, "OPTIMIZE_CONFIDENCE"),
        ({"returns": np.zeros(9)}, "OPTIMIZE_RETURNS"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        walk_weights_forward(
            **{"returns": market(400, 1), "methods": ["inverse_volatility"], "samples": 50, **given}
        )
    assert caught.value.code == code


# The difference of two Sharpe ratios


def test_the_standard_error_is_that_of_the_delta_method_for_normal_returns() -> None:
    # Jobson and Korkie (1981) with Memmel's (2003) correction, for returns without memory
    random = np.random.default_rng(7)
    n, rho = 20_000, 0.6
    noise = random.normal(size=(n, 2))
    noise[:, 1] = rho * noise[:, 0] + math.sqrt(1 - rho * rho) * noise[:, 1]
    pair = noise + np.array([0.12, 0.08])
    found = sharpe_difference(pair[:, 0], 5.0 * pair[:, 1], length=1, samples=400)
    a, b = (float(one.mean() / one.std()) for one in pair.T)
    r = float(np.corrcoef(pair[:, 0], pair[:, 1])[0, 1])
    variance = (2.0 - 2.0 * r + 0.5 * (a * a + b * b - 2.0 * a * b * r * r)) / n
    assert found.difference == pytest.approx(a - b)
    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=0.03)
    normal = 1.0 - norm.cdf(found.difference / found.standard_error)
    assert found.p_value == pytest.approx(normal, abs=0.02)
    assert found.lower == pytest.approx(found.difference - 1.645 * found.standard_error, rel=0.05)
    assert found.lower < found.difference < found.upper


def test_turned_round_it_is_the_opposite() -> None:
    pair = np.random.default_rng(8).normal(0.03, 1.0, (400, 2))
    one = sharpe_difference(pair[:, 0], pair[:, 1], samples=500)
    two = sharpe_difference(pair[:, 1], pair[:, 0], samples=500)
    assert one.difference == pytest.approx(-two.difference)
    assert one.standard_error == pytest.approx(two.standard_error)
    assert one.p_value + two.p_value == pytest.approx(1.0, abs=0.01)
    assert one.lower == pytest.approx(-two.upper)
    assert one.upper == pytest.approx(-two.lower)


def test_too_little_or_nothing_that_varies() -> None:
    series = np.random.default_rng(1).normal(size=100)
    assert math.isnan(sharpe_difference(series[:39], series[1:40]).p_value)
    assert math.isnan(sharpe_difference(series, np.ones(100)).p_value)
    same = sharpe_difference(series, 3.0 * series)
    assert same.difference == pytest.approx(0.0, abs=1e-12)
    assert same.p_value == 1.0
    gappy = np.where(np.arange(100) < 10, np.nan, series)
    assert sharpe_difference(gappy, series[::-1]).observations == 90
    for given in ({"other": series[1:]}, {"confidence": 0.0}, {"length": 51}, {"length": 0}):
        with pytest.raises(ConfigError):
            sharpe_difference(series, **{"other": series[::-1].copy(), **given})  # type: ignore[arg-type]


def _rejections(markets: int, rows: int, samples: int) -> int:
    found = 0
    for seed in range(markets):
        random = np.random.default_rng(seed)
        noise = random.standard_t(5, (rows, 2))
        noise[:, 1] = 0.8 * noise[:, 0] + 0.6 * noise[:, 1]
        # volatility that comes in clusters
        level = np.exp(0.5 * np.sin(np.arange(rows) / 20.0 + random.uniform(0, 6)))[:, None]
        pair = level * noise + 0.05
        found += sharpe_difference(pair[:, 0], pair[:, 1] * 2.0, samples=samples, seed=seed).p_value <= 0.05
    return found


def test_equal_streams_are_seldom_told_apart() -> None:
    assert _rejections(40, 300, 200) <= 7  # 5 % of 40 are 2; above 7 in one of a thousand cases


@pytest.mark.slow
def test_equal_streams_are_told_apart_in_one_of_twenty(capsys: Any) -> None:
    found = _rejections(500, 500, 500)
    with capsys.disabled():
        print(f"\nSharpe ratios that are equal were told apart in {found} of 500 (limit 34)")
    assert 10 <= found <= 34
