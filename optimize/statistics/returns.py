"""Returns of many trials as a matrix, how alike they are, and how many they amount to.

A matrix of trials has the shape (observations, trials): the same observations for all, in order of time, one
column per parameter set. Trials of one search are alike, so a hundred of them offer luck fewer chances than a
hundred independent ones; `effective_trials` says how many.

>>> import numpy as np
>>> one = np.random.default_rng(1).normal(size=(500, 1))
>>> round(effective_trials(np.repeat(one, 30, axis=1)), 6)
1.0
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError

__all__ = [
    "column_sharpes",
    "effective_trials",
    "known_rows",
    "matrix_of",
    "mean_correlation_trials",
    "sample_variance",
]

Floats = npt.NDArray[np.float64]

# A variance below this share of the mean square is rounding, not variation.
_NOISE: Final = 1e-12


def effective_trials(returns: npt.ArrayLike, *, method: Literal["average", "spectral"] = "average") -> float:
    """Return how many independent trials correlated ones amount to.

    Parameters
    ----------
    returns : (observations, trials)
        Returns of the same observations. Rows in which a trial that varies is not known are left out. Trials
        that do not vary cannot be the best by luck and do not count.
    method
        "average": r + (1 - r) N with r the mean correlation of pairs, at least 0 (Bailey and López de Prado
        2014, appendix 3); careful, since some trials alike leave it high. "spectral": the participation
        ratio of the correlation's eigenvalues, (sum of them)^2 / sum of their squares; lower.

    Returns
    -------
    float
        1 to the number of trials. With fewer than three rows in common the correlation is not known, and
        every trial counts as independent.

    Raises
    ------
    ConfigError
        OPTIMIZE_RETURNS for something else than a matrix; OPTIMIZE_METHOD.
    """
    if method not in ("average", "spectral"):
        raise ConfigError(
            f"there is no method {method!r}; it is 'average' or 'spectral'", code="OPTIMIZE_METHOD"
        )
    matrix = matrix_of(returns)
    matrix = matrix[:, ~np.isnan(column_sharpes(matrix))]
    matrix = matrix[np.isfinite(matrix).all(axis=1)]
    rows, count = matrix.shape
    if count < 2 or rows < 3:
        return float(max(count, 1))
    unit = matrix - matrix.mean(axis=0)
    length = np.sqrt((unit * unit).sum(axis=0))
    unit = unit[:, length > 0.0] / length[length > 0.0]
    count = unit.shape[1]
    if count < 2:
        return 1.0
    if method == "spectral":
        # the squared Frobenius norm of the correlation, from the smaller of the two Gram matrices
        gram = unit.T @ unit if count <= rows else unit @ unit.T
        return float(np.clip(count * count / (gram * gram).sum(), 1.0, count))
    total = unit.sum(axis=1)
    mean = (float(total @ total) - count) / (count * (count - 1.0))
    return mean_correlation_trials(count, mean)


def mean_correlation_trials(count: float, mean: float) -> float:
    """Return r + (1 - r) N for the mean correlation r of N trials, which counts from 0 upwards."""
    r = min(max(mean, 0.0), 1.0)
    return max(1.0, r + (1.0 - r) * count)


def matrix_of(returns: npt.ArrayLike) -> Floats:
    """Return a matrix of trials as floats; `ConfigError` OPTIMIZE_RETURNS for another shape."""
    matrix = np.asarray(returns, np.float64)
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise ConfigError(
            f"returns have shape {matrix.shape}; a matrix of trials is (observations, trials)",
            code="OPTIMIZE_RETURNS",
        )
    return matrix


def known_rows(matrix: Floats) -> tuple[Floats, int]:
    """Return the rows in which every trial is known, and how many were left out."""
    known = np.isfinite(matrix).all(axis=1)
    return np.ascontiguousarray(matrix[known]), int((~known).sum())


def column_sharpes(returns: Floats) -> Floats:
    """Return each column's Sharpe ratio per observation, NaN below two returns or without variation."""
    known = np.isfinite(returns)
    n = known.sum(axis=0)
    filled = np.where(known, returns, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = filled.sum(axis=0) / n
        off = np.where(known, returns - mean, 0.0)
        variance = (off * off).sum(axis=0) / (n - 1.0)
        varies = (n > 1) & (variance > _NOISE * (filled * filled).sum(axis=0) / n)
        return np.asarray(np.where(varies, mean / np.sqrt(variance), np.nan))


def sample_variance(sharpes: Floats) -> float:
    """Return the variance (ddof 1) of those that are known, NaN below two."""
    known = sharpes[np.isfinite(sharpes)]
    return float(known.var(ddof=1)) if known.size > 1 else math.nan
