"""Weights fitted by skfolio: the estimators, and what is done around them so that they are exact.

Covariances are estimated from standardised returns and put back to size, so that shrinking pulls correlations
towards 0 and leaves each sleeve its own volatility. Solvers get numbers of size 1: their tolerances are
absolute, and the variance of a day's return is not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import EngineError, MissingExtraError

__all__ = ["Covariance", "Method", "check_skfolio", "fit_weights"]

Floats = npt.NDArray[np.float64]
Method = Literal["equal", "inverse_volatility", "minimum_variance", "risk_parity"]
Covariance = Literal["shrunk", "sample"]


def fit_weights(matrix: Floats, method: Method, covariance: Covariance, max_weight: float) -> Floats:
    """Return the weights of sleeves by a method.

    Parameters
    ----------
    matrix : (observations, sleeves)
        Returns without NaN; every sleeve varies.

    Returns
    -------
    (sleeves,) float64
        0 to `max_weight`, together 1.

    Raises
    ------
    MissingExtraError
        OPTIMIZE_EXTRA_WEIGHTS.
    EngineError
        OPTIMIZE_WEIGHTS_SOLVER where the solver finds no answer.
    """
    count = matrix.shape[1]
    check_skfolio()
    if count == 1 or method == "equal":
        return np.full(count, 1.0 / count)
    spread = matrix.std(axis=0, ddof=1)
    if method == "inverse_volatility":
        return _capped(_solved(_estimator(method, covariance, 1.0), matrix / spread.mean()), max_weight)
    if method == "risk_parity" and max_weight >= 1.0:
        # it does not depend on the size of a sleeve: with all of size 1 the solver is at its best
        weights = _solved(_estimator(method, covariance, 1.0), matrix / spread) / spread
        return np.asarray(weights / weights.sum())
    return _solved(_estimator(method, covariance, max_weight), matrix / spread.mean())


def check_skfolio() -> None:
    """Raise `MissingExtraError` OPTIMIZE_EXTRA_WEIGHTS where skfolio is not installed."""
    try:
        import skfolio.optimization  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "portfolio weights need skfolio, cvxpy-base and clarabel; install them with: "
            "pip install 'twinstep[weights]'",
            code="OPTIMIZE_EXTRA_WEIGHTS",
        ) from error


# Parts


def _estimator(method: Method, covariance: Covariance, max_weight: float) -> Any:
    from skfolio.moments import EmpiricalCovariance
    from skfolio.optimization import InverseVolatility, MeanRisk, RiskBudgeting
    from skfolio.prior import EmpiricalPrior

    estimated = _shrunk() if covariance == "shrunk" else EmpiricalCovariance()
    prior = EmpiricalPrior(covariance_estimator=estimated)
    if method == "inverse_volatility":
        return InverseVolatility(prior_estimator=prior)
    kind = MeanRisk if method == "minimum_variance" else RiskBudgeting
    return kind(prior_estimator=prior, max_weights=max_weight)


def _solved(estimator: Any, matrix: Floats) -> Floats:
    try:
        weights = np.asarray(estimator.fit(matrix).weights_, np.float64)
    except Exception as error:  # of the solver's own kinds
        raise EngineError(
            f"no weights were found for {matrix.shape[1]} sleeves over {matrix.shape[0]} observations: "
            f"{' '.join(str(error).split())}. Are two sleeves the same?",
            code="OPTIMIZE_WEIGHTS_SOLVER",
        ) from error
    weights = np.clip(weights, 0.0, None)
    return np.asarray(weights / weights.sum())


def _capped(weights: Floats, most: float) -> Floats:
    """Cut weights off at `most`; what is cut off goes to the others in proportion."""
    cut = np.zeros(len(weights), bool)
    for _ in weights:
        over = ~cut & (weights > most)
        if not over.any():
            break
        cut |= over
        weights = np.where(cut, most, weights)
        free = weights[~cut].sum()
        if free > 0.0:
            weights[~cut] *= (1.0 - most * cut.sum()) / free
    return weights


@lru_cache(maxsize=1)
def _shrunk_kind() -> type[Any]:
    from skfolio.moments import BaseCovariance, LedoitWolf

    class ShrunkCorrelation(BaseCovariance):  # type: ignore[misc]
        """Covariance whose correlations are shrunk towards 0."""

        def fit(self, X: Any, y: None = None, **fit_params: Any) -> Any:
            values = np.asarray(X, np.float64)
            spread = values.std(axis=0, ddof=1)
            correlation = LedoitWolf().fit(values / spread).covariance_
            size = np.sqrt(np.diag(correlation))
            scale = spread / size
            self._set_covariance(correlation * np.outer(scale, scale))
            return self

    return ShrunkCorrelation


def _shrunk() -> Any:
    return _shrunk_kind()()
