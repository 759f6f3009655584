"""Whether one stream of returns has a higher Sharpe ratio than another over the same time.

The two are correlated, their returns have fat tails and clustered volatility, so the textbook test is wrong.
Here the difference is divided by a standard error that allows for all that, and judged against the same
ratio in block bootstraps of both streams together: Ledoit and Wolf (2008), Robust performance hypothesis
testing with the Sharpe ratio, Journal of Empirical Finance 15(5).

>>> import numpy as np
>>> one, two = np.random.default_rng(1).normal([0.1, 0.0], 1.0, (2000, 2)).T
>>> sharpe_difference(one, two).p_value < 0.05
True
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from optimize.statistics.bootstrap import optimal_block_length
from simulator.errors import ConfigError

__all__ = ["SharpeDifference", "sharpe_difference"]

Floats = npt.NDArray[np.float64]

LEAST: Final = 40
"""Observations below which nothing is said."""
_AT_ONCE: Final = 2_000_000
"""Numbers drawn at a time, 16 MB."""
_SAME: Final = 1e-10
"""Below this a standard error is rounding: the streams are the same."""


@dataclass(frozen=True, slots=True)
class SharpeDifference:
    """A difference of two Sharpe ratios, and how far it can be believed.

    Attributes
    ----------
    difference
        Sharpe ratio of the first less that of the second, per observation; NaN where one has none.
    standard_error
        Of the difference; NaN where nothing can be said, 0 where the streams are the same.
    p_value
        Probability of at least this difference where the first is no better: one-sided.
    lower, upper
        Each is not passed by the true difference with the confidence asked for.
    observations, length
        Returns in common, and the length of blocks.
    """

    difference: float
    standard_error: float
    p_value: float
    lower: float
    upper: float
    observations: int
    length: int


def sharpe_difference(
    mine: npt.ArrayLike,
    other: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    samples: int = 2000,
    length: int | None = None,
    seed: int = 0,
) -> SharpeDifference:
    """Return by how much a Sharpe ratio is higher than another, with its p-value and bounds.

    Parameters
    ----------
    mine, other : (observations,)
        Simple returns of the same observations; those that are NaN in one are left out.
    confidence
        Of each bound, between 0 and 1.
    samples
        Bootstraps to draw.
    length
        Of a block; by default that of Politis and White (2004) for the difference of the returns.
    seed
        Same seed, same answer.

    Returns
    -------
    SharpeDifference
        NaN below 40 observations or where one does not vary; p-value 1 where the two are the same.

    Raises
    ------
    ConfigError
        OPTIMIZE_RETURNS for series of different length; OPTIMIZE_CONFIDENCE; OPTIMIZE_BLOCKS for a length
        below 1 or above half of the observations.
    """
    pair = _pair(mine, other)
    if not 0.0 < confidence < 1.0:
        raise ConfigError(
            f"confidence is {confidence!r}; it lies between 0 and 1", code="OPTIMIZE_CONFIDENCE"
        )
    nan, n = math.nan, len(pair)
    spread = pair.std(axis=0) if n else np.zeros(2)
    if n < LEAST or not (spread > 1e-12 * np.abs(pair).max(axis=0)).all():
        return SharpeDifference(nan, nan, nan, nan, nan, n, 0)
    pair = pair / spread  # a Sharpe ratio does not depend on size
    if length is None:
        found = optimal_block_length(pair[:, 0] - pair[:, 1], kind="circular")
        length = max(1, min(math.ceil(found), n // 10))
    if not 1 <= length <= n // 2:
        raise ConfigError(
            f"blocks of {length} out of {n} observations; at least 1, at most half of them",
            code="OPTIMIZE_BLOCKS",
        )
    moments = _moments(pair[None])
    difference = float(_difference(moments)[0])
    off = _linear(pair[None], moments)[0]
    error = math.sqrt(_long_run_variance(off, length) / n)
    if error < _SAME:
        return SharpeDifference(difference, 0.0, 1.0, difference, difference, n, length)
    drawn = _bootstrap(pair, difference, length, samples, seed)
    above = int((drawn >= difference / error).sum())
    low, high = np.quantile(drawn, [1.0 - confidence, confidence])
    return SharpeDifference(
        difference=difference,
        standard_error=error,
        p_value=(1 + above) / (1 + samples),
        lower=difference - float(high) * error,
        upper=difference - float(low) * error,
        observations=n,
        length=length,
    )


# Parts


def _pair(mine: npt.ArrayLike, other: npt.ArrayLike) -> Floats:
    one, two = np.asarray(mine, np.float64), np.asarray(other, np.float64)
    if one.ndim != 1 or one.shape != two.shape:
        raise ConfigError(
            f"returns have shapes {one.shape} and {two.shape}; both are (observations,)",
            code="OPTIMIZE_RETURNS",
        )
    pair = np.column_stack([one, two])
    return pair[np.isfinite(pair).all(axis=1)]


def _bootstrap(pair: Floats, centre: float, length: int, samples: int, seed: int) -> Floats:
    """Studentised differences of bootstraps around the observed one, shape (samples,)."""
    n, random = len(pair), np.random.default_rng(seed)
    blocks = n // length
    step = max(1, _AT_ONCE // (4 * blocks * length))
    found = []
    for first in range(0, samples, step):
        count = min(step, samples - first)
        start = random.integers(0, n, (count, blocks, 1))
        rows = ((start + np.arange(length)) % n).reshape(count, blocks * length)
        drawn = pair[rows]
        moments = _moments(drawn)
        off = _linear(drawn, moments)
        # blocks are independent here, so their sums give the variance
        sums = off.reshape(count, blocks, length).sum(axis=2)
        error = np.sqrt((sums * sums).sum(axis=1)) / (blocks * length)
        found.append((_difference(moments) - centre) / np.maximum(error, _SAME))
    return np.concatenate(found)


def _moments(pairs: Floats) -> Floats:
    """First and second moments of pairs (samples, observations, 2): shape (samples, 2, 2)."""
    return np.stack([pairs.mean(axis=1), (pairs * pairs).mean(axis=1)], axis=1)


def _difference(moments: Floats) -> Floats:
    mean, square = moments[:, 0], moments[:, 1]
    ratio = mean / np.sqrt(np.maximum(square - mean * mean, _SAME))
    return np.asarray(ratio[:, 0] - ratio[:, 1])


def _linear(pairs: Floats, moments: Floats) -> Floats:
    """Return what each observation adds to the difference, to first order: (samples, observations)."""
    mean, square = moments[:, 0], moments[:, 1]
    variance = np.maximum(square - mean * mean, _SAME)
    root = variance * np.sqrt(variance)
    sign = np.array([1.0, -1.0])
    of_mean, of_square = sign * square / root, -0.5 * sign * mean / root
    first = (pairs - mean[:, None]) * of_mean[:, None]
    second = (pairs * pairs - square[:, None]) * of_square[:, None]
    return np.asarray((first + second).sum(axis=2))


def _long_run_variance(off: Floats, length: int) -> float:
    """Variance of a sum per observation, with the covariances of neighbours below `length` (Bartlett)."""
    n = len(off)
    total = float(off @ off) / n
    for lag in range(1, length):
        total += 2.0 * (1.0 - lag / length) * float(off[lag:] @ off[:-lag]) / n
    return max(total, 0.0)
