"""Portfolio weights over strategies and symbols: how much of the risk each may have.

A sleeve is a stream of returns that could be held alone: one strategy, one symbol, or one strategy on one
symbol (`optimize.portfolio.sleeves`). Three methods weigh sleeves by their risk alone, because returns are
hardly known:

- inverse volatility: each weight is in proportion to 1 / volatility; correlations are not looked at;
- minimum variance: the mixture with the lowest variance; it trusts the covariances most;
- risk parity: each sleeve contributes the same share of the variance.

They are fitted by skfolio. Whether any of them beats equal weights is not to be seen in the sample they were
fitted to: `optimize.portfolio.forward` asks that of data they have not seen, and
`optimize.portfolio.risk_budget` makes risk per trade of them.

>>> import numpy as np
>>> returns = np.random.default_rng(1).normal(0, [0.01, 0.02], (500, 2))
>>> portfolio_weights(returns, "inverse_volatility", names=["calm", "wild"]).weights["calm"] > 0.6
True
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
import numpy.typing as npt

from optimize.portfolio.fitting import Covariance, Method, fit_weights
from optimize.statistics.returns import column_sharpes, known_rows, matrix_of
from simulator.errors import ConfigError, did_you_mean

__all__ = ["METHODS", "Covariance", "Method", "PortfolioWeights", "portfolio_weights", "words"]

Floats = npt.NDArray[np.float64]

METHODS: Final[tuple[Method, ...]] = get_args(Method)
LEAST: Final = 20
"""Observations below which no covariance is estimated: weights are equal then."""
_SMALL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class PortfolioWeights:
    """Weights of sleeves, and what they mean in the sample they were fitted to.

    Attributes
    ----------
    method
        How they were found.
    weights
        Share of each sleeve by name, in the order given; 0 or more, together 1.
    volatility
        Standard deviation of the mixture's returns per observation, in the sample; NaN where not known.
    contributions
        Share of each sleeve in the mixture's variance, together 1; NaN where not known.
    observations
        Rows they were fitted to.
    left_out
        Sleeves that did not vary (they never traded) and so have no weight.
    why
        Why the weights are equal although another method was asked for; "" where they are not.
    """

    method: Method
    weights: Mapping[str, float]
    volatility: float
    contributions: Mapping[str, float]
    observations: int
    left_out: tuple[str, ...] = ()
    why: str = ""

    @property
    def effective(self) -> float:
        """Number of equal sleeves that would be as concentrated: 1 / sum of squared weights."""
        return 1.0 / sum(weight * weight for weight in self.weights.values())

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {weight:.1%}" for name, weight in self.weights.items())
        because = f" ({self.why})" if self.why else ""
        return f"{words(self.method)}{because}: {shown}"


def portfolio_weights(
    returns: Any,
    method: Method = "risk_parity",
    *,
    names: Sequence[str] | None = None,
    covariance: Covariance = "shrunk",
    max_weight: float = 1.0,
) -> PortfolioWeights:
    """Return the weights of sleeves from their returns.

    Parameters
    ----------
    returns : (observations, sleeves)
        Simple returns, a DataFrame or a matrix; rows with NaN are left out.
    method
        "equal", "inverse_volatility", "minimum_variance" or "risk_parity".
    names
        Of the sleeves; by default the columns of a DataFrame, else their numbers.
    covariance
        "shrunk" (correlations, towards 0, by as much as Ledoit and Wolf 2004 find) or "sample" (ddof 1).
    max_weight
        Most that one sleeve may have; what is cut off goes to the others by the same rule.

    Returns
    -------
    PortfolioWeights
        Equal weights, with `why`, below 20 observations or where no sleeve varies. A sleeve that does not
        vary gets 0: its risk is not known.

    Raises
    ------
    ConfigError
        OPTIMIZE_WEIGHTS for an unknown method or covariance, names that do not fit, a `max_weight` that
        cannot be kept; OPTIMIZE_RETURNS for something else than a matrix.
    MissingExtraError
        OPTIMIZE_EXTRA_WEIGHTS where skfolio is not installed.
    EngineError
        OPTIMIZE_WEIGHTS_SOLVER where the solver finds no answer.

    References
    ----------
    Markowitz (1952), Portfolio selection; Maillard, Roncalli and Teiletche (2010), The properties of equally
    weighted risk contribution portfolios, Journal of Portfolio Management 36(4).
    """
    _check(method, covariance)
    columns = [str(name) for name in getattr(returns, "columns", ())]
    matrix, _ = known_rows(matrix_of(returns))
    rows, count = matrix.shape
    known = list(names) if names is not None else columns or [str(number) for number in range(count)]
    if len(known) != count or len(set(known)) != count:
        raise _wrong(f"{len(set(known))} different names for {count} sleeves; each has one")
    varies = ~np.isnan(column_sharpes(matrix))
    live = int(varies.sum())
    why = _why_equal(rows, live)
    equal = method == "equal" or bool(why)
    _check_most(max_weight, count if equal else live)
    if equal:
        weights = np.full(count, 1.0 / count)
    else:
        weights = np.zeros(count)
        weights[varies] = fit_weights(matrix[:, varies], method, covariance, max_weight)
    variance, shares = _variance(matrix, weights)
    return PortfolioWeights(
        method=method,
        weights=dict(zip(known, weights.tolist(), strict=True)),
        volatility=math.sqrt(variance),
        contributions=dict(zip(known, shares.tolist(), strict=True)),
        observations=rows,
        left_out=() if equal else tuple(name for name, one in zip(known, varies, strict=True) if not one),
        why="" if method == "equal" else why,
    )


def words(method: str) -> str:
    """Return a method's name as it stands in a sentence."""
    return {"equal": "equal weights"}.get(method, method.replace("_", " "))


# Parts


def _variance(matrix: Floats, weights: Floats) -> tuple[float, Floats]:
    """Variance of the mixture (ddof 1) and each sleeve's share in it."""
    if len(matrix) < 2:
        return math.nan, np.full(len(weights), np.nan)
    mixture = matrix @ weights
    variance = float(mixture.var(ddof=1))
    if not variance > 0.0:
        return variance, np.full(len(weights), np.nan)
    off = matrix - matrix.mean(axis=0)
    shares = weights * (off.T @ (mixture - mixture.mean())) / (len(matrix) - 1) / variance
    return variance, np.asarray(shares)


def _why_equal(rows: int, live: int) -> str:
    if rows < LEAST:
        return f"{rows} observations are too few, {LEAST} are the least"
    return "" if live else "no sleeve varies"


def _check(method: str, covariance: str) -> None:
    for what, given, known in (("method", method, METHODS), ("covariance", covariance, get_args(Covariance))):
        if given not in known:
            raise _wrong(f"there is no {what} {given!r}.{did_you_mean(str(given), known)}")


def _check_most(max_weight: float, sleeves: int) -> None:
    if isinstance(max_weight, bool) or not isinstance(max_weight, (int, float)) or not max_weight <= 1.0:
        raise _wrong(f"max_weight is {max_weight!r}; it is a share of at most 1")
    if sleeves * max_weight < 1.0 - _SMALL:
        raise _wrong(
            f"{sleeves} sleeves of at most {max_weight:g} make no whole, and those that do not vary get "
            f"nothing; max_weight is {1.0 / sleeves:.3g} at least"
        )


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, code="OPTIMIZE_WEIGHTS")
