"""The mean of something measured on trades that overlap, and a bound that it lies above.

Trades that are open at the same time share what the market did, so a hundred of them are fewer than a hundred
observations. Two cases are taken as correlated by the share of days that they have in common,
`|A and B| / sqrt(|A| |B|)`, which is a covariance that can exist (an inner product of the days), so the
variance below is never negative. It is never taken as less than that of independent cases either.

How many independent cases there are if overlapping ones agree wholly, `n^2 / sum of the shares`, gives the
degrees of freedom of Student's t. What is measured is skewed where wins are small and losses large, which
makes a plain t bound too high on one side; Johnson's correction (1978) moves it by the third moment, here
only ever down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from optimize.quality_model.folds import DAY

__all__ = ["Bound", "effective_cases", "mean_above"]

Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]

_FEWEST: Final = 3.0


@dataclass(frozen=True, slots=True)
class Bound:
    """A mean, and what it lies above with the confidence asked for.

    Attributes
    ----------
    mean, deviation
        Estimate and its standard error.
    lower
        One-sided bound; minus infinity where too few independent cases say anything.
    effective
        Independent cases.
    """

    mean: float
    deviation: float
    lower: float
    effective: float


def mean_above(values: Floats, entry_ts: Stamps, exit_ts: Stamps, confidence: float) -> Bound:
    """Return the mean of `values`, shape (n,), and its lower bound at a confidence such as 0.975."""
    from scipy.stats import t

    cases = len(values)
    mean = float(values.mean())
    effective = effective_cases(entry_ts, exit_ts)
    if effective < _FEWEST:
        return Bound(mean, math.nan, -math.inf, effective)
    away = values - mean
    single = float(away @ away)
    if single == 0.0:
        return Bound(mean, 0.0, mean, effective)
    together = max(single, _shared(away, entry_ts, exit_ts)) * effective / (effective - 1.0)
    deviation = math.sqrt(together) / cases
    skewness = float((away**3).mean()) / (single / cases) ** 1.5
    correction = min(0.0, skewness) * deviation / (6.0 * math.sqrt(effective))
    quantile = float(t.ppf(confidence, effective - 1.0))
    lower = mean - quantile * deviation + correction * (1.0 + 2.0 * quantile * quantile)
    return Bound(mean, deviation, lower, effective)


def effective_cases(entry_ts: Stamps, exit_ts: Stamps) -> float:
    """Return how many independent cases there are, 0 to n, if those open on the same days agree."""
    if not len(entry_ts):
        return 0.0
    return len(entry_ts) ** 2 / _shared(np.ones(len(entry_ts)), entry_ts, exit_ts)


def _shared(weights: Floats, entry_ts: Stamps, exit_ts: Stamps) -> float:
    """Return the sum over pairs of w_i w_j |A_i and A_j| / sqrt(|A_i| |A_j|), in whole days.

    It is the integral over days of the square of `sum of w_i / sqrt(|A_i|)` over the cases open on that day.
    """
    first, last = entry_ts // DAY, exit_ts // DAY + 1
    height = weights / np.sqrt((last - first).astype(np.float64))
    days = np.concatenate([first, last])
    steps = np.concatenate([height, -height])
    order = np.argsort(days, kind="stable")
    level = np.cumsum(steps[order])[:-1]
    return float((level * level) @ np.diff(days[order]).astype(np.float64))
