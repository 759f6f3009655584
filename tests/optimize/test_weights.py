"""Weights against closed forms and brute force, and what they answer where nothing can be estimated."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from optimize.weights import METHODS, Method, portfolio_weights
from simulator.errors import ConfigError, MissingExtraError

Floats = npt.NDArray[np.float64]
FITTED: tuple[Method, ...] = ("inverse_volatility", "minimum_variance", "risk_parity")


def returns(sleeves: int = 4, rows: int = 400, seed: int = 0) -> Floats:
    """Correlated returns of very different size, with fat tails."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(sleeves, sleeves)) + 2.0 * np.eye(sleeves)
    return np.asarray(random.standard_t(5, (rows, sleeves)) @ mix * np.geomspace(0.001, 0.02, sleeves))


def found(matrix: Floats, method: Method, **given: Any) -> Floats:
    weights = portfolio_weights(matrix, method, covariance=given.pop("covariance", "sample"), **given).weights
    return np.array(list(weights.values()))


# Against something independent


@pytest.mark.parametrize("covariance", ["sample", "shrunk"])
def test_inverse_volatility_is_its_closed_form(covariance: str) -> None:
    matrix = returns()
    inverse = 1.0 / matrix.std(axis=0)
    np.testing.assert_allclose(
        found(matrix, "inverse_volatility", covariance=covariance), inverse / inverse.sum(), rtol=1e-9
    )


@settings(derandomize=True, database=None, deadline=None, max_examples=12)
@given(st.floats(0.002, 0.03), st.floats(0.002, 0.03), st.floats(-0.9, 0.9), st.integers(0, 1000))
def test_the_minimum_variance_of_two_is_its_closed_form(
    one: float, two: float, rho: float, seed: int
) -> None:
    random = np.random.default_rng(seed).normal(size=(300, 2))
    matrix = np.column_stack(
        [one * random[:, 0], two * (rho * random[:, 0] + np.sqrt(1.0 - rho * rho) * random[:, 1])]
    )
    (a, c), (_, b) = np.cov(matrix.T)
    share = float(np.clip((b - c) / (a + b - 2.0 * c), 0.0, 1.0))
    np.testing.assert_allclose(found(matrix, "minimum_variance"), [share, 1.0 - share], atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_mixture_has_less_variance(seed: int) -> None:
    matrix = returns(seed=seed)
    least = (matrix @ found(matrix, "minimum_variance")).var()
    tried = np.random.default_rng(seed).dirichlet(np.full(4, 0.3), 20_000)
    assert least <= (matrix @ tried.T).var(axis=0).min() * (1.0 + 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_risk_parity_gives_each_sleeve_the_same_share_as_brute_force_finds(seed: int) -> None:
    matrix = returns(seed=seed)
    covariance = np.cov((matrix / matrix.std(axis=0)).T)

    def unequal(logs: Floats) -> float:
        parts = np.exp(logs) * (covariance @ np.exp(logs))
        return float(((parts / parts.sum() - 0.25) ** 2).sum())

    brute = np.exp(
        minimize(
            unequal,
            np.zeros(4),
            method="Nelder-Mead",
            options={"fatol": 1e-16, "xatol": 1e-9, "maxiter": 8000},
        ).x
    )
    brute = brute / matrix.std(axis=0)
    weights = found(matrix, "risk_parity")
    np.testing.assert_allclose(weights, brute / brute.sum(), rtol=2e-4)
    whole = np.cov(matrix.T)
    np.testing.assert_allclose(weights * (whole @ weights) / (weights @ whole @ weights), 0.25, atol=1e-4)


def test_contributions_and_volatility_are_those_of_the_mixture() -> None:
    matrix = returns()
    whole = np.cov(matrix.T)
    for method in METHODS:
        held = portfolio_weights(matrix, method, covariance="sample")
        weights = np.array(list(held.weights.values()))
        variance = weights @ whole @ weights
        assert held.volatility == pytest.approx(np.sqrt(variance))
        np.testing.assert_allclose(list(held.contributions.values()), weights * (whole @ weights) / variance)
        assert held.effective == pytest.approx(1.0 / (weights @ weights))


def test_shrinking_pulls_correlations_towards_0_and_leaves_volatilities() -> None:
    random = np.random.default_rng(3)
    matrix = random.normal(size=(30, 6)) * np.geomspace(0.001, 0.05, 6)
    inverse = found(matrix, "inverse_volatility")
    sample, shrunk = found(matrix, "risk_parity"), found(matrix, "risk_parity", covariance="shrunk")
    # without correlations risk parity is inverse volatility
    assert np.abs(np.log(shrunk / inverse)).max() < 0.5 * np.abs(np.log(sample / inverse)).max()


@settings(derandomize=True, database=None, deadline=None, max_examples=8)
@given(st.sampled_from(FITTED), st.integers(0, 50), st.floats(0.01, 100.0), st.permutations(range(4)))
def test_weights_make_a_whole_and_do_not_depend_on_size_or_order(
    method: Method, seed: int, size: float, order: list[int]
) -> None:
    matrix = returns(rows=120, seed=seed)
    weights = found(matrix, method, covariance="shrunk")
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()
    np.testing.assert_allclose(found(matrix * size, method, covariance="shrunk"), weights, atol=2e-5)
    np.testing.assert_allclose(
        found(matrix[:, order], method, covariance="shrunk"), weights[order], atol=2e-5
    )


@pytest.mark.parametrize("method", FITTED)
def test_no_sleeve_has_more_than_the_most(method: Method) -> None:
    matrix = returns()
    free, capped = found(matrix, method), found(matrix, method, max_weight=0.35)
    assert free.max() > 0.35
    assert capped.max() <= 0.35 + 1e-6
    assert capped.sum() == pytest.approx(1.0)
    if method == "inverse_volatility":
        others = free[1:] / free[1:].sum() * 0.65
        assert others.max() > 0.35  # so a second one is cut off too
        np.testing.assert_allclose(capped[:2], 0.35)
        np.testing.assert_allclose(capped[2:], free[2:] / free[2:].sum() * 0.3)


# Too little


def test_what_cannot_be_estimated_is_equal_and_says_why() -> None:
    few = portfolio_weights(returns(rows=19), "minimum_variance")
    assert list(few.weights.values()) == [0.25] * 4
    assert few.why == "19 observations are too few, 20 are the least"
    assert "19 observations" in str(few)
    idle = portfolio_weights(np.zeros((100, 3)), "risk_parity")
    assert list(idle.weights.values()) == [1 / 3] * 3
    assert idle.why == "no sleeve varies"
    assert np.isnan(list(idle.contributions.values())).all()
    nothing = portfolio_weights(np.zeros((0, 2)), "risk_parity")
    assert np.isnan(nothing.volatility)


def test_a_sleeve_that_never_traded_has_no_weight() -> None:
    matrix = returns(3)
    matrix[:, 1] = 0.0
    for method in FITTED:
        held = portfolio_weights(matrix, method, names=["a", "b", "c"])
        assert held.weights["b"] == 0.0
        assert held.left_out == ("b",)
        assert held.weights["a"] + held.weights["c"] == pytest.approx(1.0)
    alone = portfolio_weights(matrix[:, :2], "risk_parity")
    assert list(alone.weights.values()) == [1.0, 0.0]


def test_rows_with_unknown_returns_are_left_out() -> None:
    matrix = returns()
    gappy = np.vstack([np.full((5, 4), np.nan), matrix])
    gappy[2, :3] = 0.01
    held = portfolio_weights(gappy, "risk_parity")
    assert held.observations == 400
    assert held.weights == portfolio_weights(matrix, "risk_parity").weights


def test_names_come_from_the_columns() -> None:
    table = pd.DataFrame(returns(2), columns=["trend", "fade"])
    assert list(portfolio_weights(table, "equal").weights) == ["trend", "fade"]
    assert str(portfolio_weights(table, "equal")) == "equal weights: trend 50.0%, fade 50.0%"


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"method": "risk-parity"}, "OPTIMIZE_WEIGHTS", "Did you mean 'risk_parity'"),
        ({"covariance": "shrink"}, "OPTIMIZE_WEIGHTS", "Did you mean 'shrunk'"),
        ({"names": ["a", "b"]}, "OPTIMIZE_WEIGHTS", "2 different names for 4"),
        ({"names": ["a", "a", "b", "c"]}, "OPTIMIZE_WEIGHTS", "3 different names for 4"),
        ({"max_weight": 0.2}, "OPTIMIZE_WEIGHTS", "0.25 at least"),
        ({"max_weight": 1.5}, "OPTIMIZE_WEIGHTS", "at most 1"),
        ({"returns": np.zeros(5)}, "OPTIMIZE_RETURNS", "matrix"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], code: str, said: str) -> None:
    given: dict[str, Any] = {"returns": returns(), "method": "equal", **changes}
    with pytest.raises(ConfigError, match=said) as caught:
        portfolio_weights(**given)
    assert caught.value.code == code


def test_without_the_extra_one_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("skfolio"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert portfolio_weights(returns(), "equal").weights  # needs nothing
    with pytest.raises(MissingExtraError, match=r"twinstep\[weights\]") as caught:
        portfolio_weights(returns(), "risk_parity")
    assert caught.value.code == "OPTIMIZE_EXTRA_WEIGHTS"
