"""How far to trust a figure: intervals beside rates and means, and a test that counts its looks.

Pure functions over plain sequences of numbers; NumPy is imported where resampling pays. Every random draw
comes from a fixed seed, so the same trades give the same interval. What cannot be known is None: the interval
of a mean of fewer than two values, or of values that do not vary.

Traps. An interval describes trades like those in the sample: ten winners of a strategy that loses rarely and
then much say nothing about the loss. Trades that overlap in time move together, and then every interval here
is too narrow. Intervals are for one figure looked at alone; whoever picks the best of thirty groups needs
`largest_difference`.

>>> wilson(7, 10)
Interval(low=0.3967..., high=0.8922..., level=0.95, method='wilson')
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "RESAMPLES",
    "RESAMPLING_LIMIT",
    "SEED",
    "Interval",
    "largest_difference",
    "mean_interval",
    "profit_factor_interval",
    "student_quantile",
    "wilson",
]

RESAMPLES = 2_000
"""Bootstrap samples per interval."""

RESAMPLING_LIMIT = 2_000
"""Sample size above which a mean gets the closed form instead of resampling; they agree by then."""

SEED = 20_200_102
"""Seed of every draw."""

_NORMAL = NormalDist()
_DRAWS_AT_ONCE = 1_000_000


class Interval(NamedTuple):
    """Where a figure probably lies.

    Attributes
    ----------
    low, high
        Ends, in the unit of the figure; infinite where nothing bounds them.
    level
        Share of such intervals that hold the true figure, as a fraction.
    method
        "wilson", "bootstrap", or for large samples "skew-corrected" (means) and "delta" (ratios).
    """

    low: float
    high: float
    level: float
    method: str

    def scaled(self, factor: float) -> Interval:
        """Return the interval in another unit."""
        return self._replace(low=self.low * factor, high=self.high * factor)


def wilson(wins: int, trials: int, level: float = 0.95) -> Interval | None:
    """Return the score interval of a share (Wilson 1927), None without trials.

    It keeps its level better than the textbook interval for small samples and shares near 0 and 1, and never
    leaves 0 to 1.

    Parameters
    ----------
    wins, trials
        Counts, `0 <= wins <= trials`.
    level
        Fraction.
    """
    if trials <= 0:
        return None
    z = _NORMAL.inv_cdf(0.5 + level / 2)
    share = wins / trials
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if wins == 0 else max(0.0, middle - half)
    high = 1.0 if wins == trials else min(1.0, middle + half)
    return Interval(low, high, level, "wilson")


def mean_interval(
    values: Sequence[float], level: float = 0.95, *, resample: bool = True, seed: int = SEED
) -> Interval | None:
    """Return an interval for the mean of independent values that may be skewed.

    Up to `RESAMPLING_LIMIT` values a bias-corrected and accelerated bootstrap (Efron 1987), with Student's
    quantile and the factor n / (n - 1) for small samples (Hesterberg 2015); above, Hall's skewness-corrected
    transformation of the studentised mean (Hall 1992), which has the same order of accuracy.

    Parameters
    ----------
    values
        Finite numbers, in any unit.
    level
        Fraction.
    resample
        False takes Hall's form for small samples too, with Student's quantile. It is wider and the choice for
        levels near 1, where resamples are few in the tails.
    seed
        Of the resampling.

    Returns
    -------
    Interval in the unit of `values`; None for fewer than two values and for values that are all the same.
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    count = sample.size
    if count < 2:
        return None
    scale = float(np.max(np.abs(sample)))
    away = sample / scale - np.mean(sample / scale) if scale > 0 else sample
    if float(np.max(np.abs(away))) <= 1e-12:
        return None
    mean, spread = float(np.mean(sample)), scale * float(np.std(away, ddof=1))
    if count > RESAMPLING_LIMIT or not resample:
        skew = float(np.mean(away**3) / np.mean(away * away) ** 1.5)
        z = student_quantile(0.5 + level / 2, count - 1)
        error = spread / math.sqrt(count)
        low = mean - error * _unskewed(z, skew, count)
        high = mean - error * _unskewed(-z, skew, count)
        return Interval(low, high, level, "skew-corrected")
    means = np.concatenate([np.mean(sample[at], axis=1) for at in _resamples(count, seed)])
    acceleration = float(np.sum(away**3) / (6 * np.sum(away * away) ** 1.5))
    low, high = _bca(means, mean, acceleration, level, count)
    return Interval(low, high, level, "bootstrap")


def profit_factor_interval(
    values: Sequence[float], level: float = 0.95, *, seed: int = SEED
) -> Interval | None:
    """Return an interval for gross profit over gross loss.

    Up to `RESAMPLING_LIMIT` values a percentile bootstrap; resamples without losses count as infinite, so the
    upper end may be infinite. Above, the delta method on the logarithm.

    Parameters
    ----------
    values
        Profits and losses in currency.
    level
        Fraction.
    seed
        Of the resampling.

    Returns
    -------
    Interval as a ratio; None without a loss, without a win, or with fewer than two values.
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    count = sample.size
    gains, losses = np.maximum(sample, 0.0), np.maximum(-sample, 0.0)
    if count < 2 or not gains.any() or not losses.any():
        return None
    if count > RESAMPLING_LIMIT:
        ratio = float(np.sum(gains) / np.sum(losses))
        influence = gains / np.mean(gains) - losses / np.mean(losses)
        half = _NORMAL.inv_cdf(0.5 + level / 2) * float(np.std(influence, ddof=1)) / math.sqrt(count)
        return Interval(ratio * math.exp(-half), ratio * math.exp(half), level, "delta")
    ratios = []
    for at in _resamples(count, seed):
        up, down = np.sum(gains[at], axis=1), np.sum(losses[at], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio_each = np.where(down > 0, up / down, np.where(up > 0, np.inf, 1.0))
        ratios.append(ratio_each)
    ordered = np.sort(np.concatenate(ratios))
    tail = (1 - level) / 2
    return Interval(_at_share(ordered, tail), _at_share(ordered, 1 - tail), level, "bootstrap")


class Difference(NamedTuple):
    """How a group differs from all other trades.

    Attributes
    ----------
    group
        Its label.
    size
        Trades in it.
    difference
        Mean in the group less the mean outside it, among trades of the same stratum.
    p_value
        Chance of a difference as striking in any of the groups, if none of them mattered; 0 to 1.
    """

    group: str
    size: int
    difference: float
    p_value: float


def largest_difference(
    values: Sequence[float],
    groupings: Sequence[Sequence[str | None]],
    *,
    strata: Sequence[Any] | None = None,
    least: int = 10,
    resamples: int = 1_000,
    seed: int = SEED,
) -> list[Difference]:
    """Compare every group with the rest and correct for the number of groups (Westfall and Young 1993).

    The values are shuffled over the trades; the largest difference over all groups of all groupings in each
    shuffle, in standard errors, is what a group has to beat. So the chance that any group at all gets a
    p-value below 0.05 in a journal where nothing matters is at most 5 %, however many groups there are and
    however skewed the values. Groups that differ in spread but not in mean can raise it a little.

    Parameters
    ----------
    values
        One per trade.
    groupings
        One label per trade, for each way to group them; None belongs to no group.
    strata
        One label per trade: values are compared with the mean of their label and shuffled within it. For
        what makes outcomes of another kind (shares and options, bought and sold) and is not what is asked.
    least
        Groups with fewer trades inside or outside are not looked at.
    resamples
        Shuffles; the smallest possible p-value is 1 / (resamples + 1).
    seed
        Of the shuffles.

    Returns
    -------
    One entry per group looked at, most striking first.
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    total = sample.size
    kinds = [0] * total if strata is None else list(strata)
    layers = [np.flatnonzero([each == kind for each in kinds]) for kind in sorted(set(kinds))]
    centred = sample.copy()
    for places in layers:
        centred[places] -= np.mean(sample[places])
    names, inside = _members(groupings, least, total)
    if not names or float(np.sum(centred * centred)) <= 1e-24 * float(np.sum(sample * sample)):
        return []
    # A group's sum under shuffling within layers has this variance (sampling without replacement).
    weights, variance = np.zeros(len(names)), np.zeros(len(names))
    for places in layers:
        held = inside[places].sum(axis=0)
        weight = held * (len(places) - held) / len(places)
        weights += weight
        variance += weight * float(np.sum(centred[places] ** 2)) / max(len(places) - 1, 1)
    looked = (weights >= least / 2) & (variance > 0)
    if not looked.any():
        return []
    inside, weights, spread = inside[:, looked], weights[looked], np.sqrt(variance[looked])
    names = [name for name, each in zip(names, looked, strict=True) if each]
    sums = centred @ inside
    seen = np.abs(sums) / spread
    random = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // total)
    beaten = np.zeros(len(names))
    for start in range(0, resamples, rows):
        shuffled = np.tile(centred, (min(rows, resamples - start), 1))
        for places in layers:
            shuffled[:, places] = random.permuted(shuffled[:, places], axis=1)
        best = np.max(np.abs(shuffled @ inside) / spread, axis=1)
        beaten += np.sum(best[:, None] >= seen * (1 - 1e-9), axis=0)
    differences = [
        Difference(name, int(size), float(gap), float((1 + more) / (resamples + 1)))
        for name, size, gap, more in zip(names, inside.sum(axis=0), sums / weights, beaten, strict=True)
    ]
    return sorted(differences, key=lambda one: (one.p_value, one.group))


def _members(
    groupings: Sequence[Sequence[str | None]], least: int, total: int
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the labels of groups that are neither too small nor nearly all, and their members as 0 and 1."""
    import numpy as np

    names: list[str] = []
    members: list[NDArray[np.float64]] = []
    for labels in groupings:
        for label in sorted({label for label in labels if label is not None}):
            inside = np.asarray([each == label for each in labels], dtype=np.float64)
            if least <= inside.sum() <= total - least:
                names.append(label)
                members.append(inside)
    return names, np.stack(members, axis=1) if members else np.zeros((total, 0))


@functools.lru_cache(maxsize=4096)
def student_quantile(share: float, freedom: int) -> float:
    """Return the quantile of Student's t for a share above 0.5 and whole degrees of freedom.

    The distribution function in closed form (Abramowitz and Stegun 26.7.3 and 26.7.4) is inverted by
    bisection to 1e-12; above 400 degrees of freedom the Cornish-Fisher series, which agrees to 1e-9.
    """
    z = _NORMAL.inv_cdf(share)
    if freedom > 400:
        first = (z**3 + z) / 4
        second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
        third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
        return z + first / freedom + second / freedom**2 + third / freedom**3
    low, high = 0.0, 2.0
    while _student_share(high, freedom) < share:
        high *= 2
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _student_share(middle, freedom) < share else (low, middle)
    return (low + high) / 2


def _student_share(value: float, freedom: int) -> float:
    angle = math.atan(value / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    total, term = 0.0, (math.cos(angle) if freedom % 2 else 1.0)
    first = 1 if freedom % 2 else 0
    for power in range(first, freedom - 1, 2):
        total += term
        term *= square * (power + 1) / (power + 2)
    if freedom % 2 == 0:
        inside = math.sin(angle) * total
    else:
        inside = 2 / math.pi * (angle + (math.sin(angle) * total if freedom > 1 else 0.0))
    return 0.5 + inside / 2


def _resamples(count: int, seed: int) -> Any:
    """Yield blocks of resampled positions, `RESAMPLES` rows in all."""
    import numpy as np

    random = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // count)
    for start in range(0, RESAMPLES, rows):
        yield random.integers(0, count, size=(min(rows, RESAMPLES - start), count), dtype=np.int32)


def _bca(
    means: NDArray[np.float64], mean: float, acceleration: float, level: float, count: int
) -> tuple[float, float]:
    import numpy as np

    ordered = np.sort(means)
    tolerance = 1e-9 * float(ordered[-1] - ordered[0])
    below = float(np.mean(ordered < mean - tolerance) + np.mean(np.abs(ordered - mean) <= tolerance) / 2)
    limit = 0.5 / means.size
    bias = _NORMAL.inv_cdf(min(max(below, limit), 1 - limit))
    z = student_quantile(0.5 + level / 2, count - 1) * math.sqrt(count / (count - 1))
    ends = []
    for quantile in (-z, z):
        shift = 1 - acceleration * (bias + quantile)
        if shift <= 0:  # beyond the pole the adjusted share is at its end
            share = 1.0 if quantile > 0 else 0.0
        else:
            share = _NORMAL.cdf(bias + (bias + quantile) / shift)
        ends.append(_at_share(ordered, share))
    return ends[0], ends[1]


def _unskewed(value: float, skew: float, count: int) -> float:
    """Invert Hall's cubic transformation of the studentised mean."""
    step = skew / math.sqrt(count)
    if abs(step) < 1e-9:
        return value
    return 3 / step * (math.cbrt(1 + step * (value - step / 6)) - 1)


def _at_share(ordered: NDArray[np.float64], share: float) -> float:
    """Return the value at a share of sorted values, between two neighbours where it falls between."""
    place = min(max(share, 0.0), 1.0) * (ordered.size - 1)
    low = math.floor(place)
    high = min(low + 1, ordered.size - 1)
    left, right = float(ordered[low]), float(ordered[high])
    if left == right or place == low:
        return left
    return right if math.isinf(right) else left + (place - low) * (right - left)
