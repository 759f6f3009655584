"""Is the mean of what was earned out of sample above zero? A test that holds with few and lopsided outcomes.

Session returns of a strategy are mostly zeros, vary as it is in and out of the market, and are lopsided where
it takes small profits and large losses. A t-test or a bootstrap then finds edges that are not there, above
all where the rare large loss has not happened yet. So the sessions are cut into at most 100 stretches of
equal length, and one outcome is added that was not seen: a loss of the size that has to be reckoned with.
With that loss known, the test of Gaffke is exact where it matters most, for outcomes of two values.

The test: with weights that are uniform over all ways to weigh the n outcomes and the loss (Dirichlet with
parameters 1), the p-value is the probability that the weighted mean is not above the bound. It is computed by
inverting a characteristic function, so it has no noise of its own.

>>> round(mean_p_value([1.0] * 4, floor=-1.0), 6)  # four wins of four, even money: a half to the fourth
0.0625
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError

__all__ = ["MeanTest", "mean_p_value", "mean_test", "stretches"]

Floats = npt.NDArray[np.float64]

MOST_STRETCHES: Final = 100
"""More would be cut inside a trade; fewer lose power."""

# The trapezoidal rule over log t misses the integral by about exp(-10 / step), its ends by exp(-32).
_STEP: Final = 0.1
_EXACT: Final = 1e-6  # of a bound, as a share of the range of outcomes
_TIMES: Final = np.exp(np.arange(-32.0, 32.0, _STEP))


@dataclass(frozen=True, slots=True)
class MeanTest:
    """What is known of a mean; all figures in the unit of the outcomes.

    Attributes
    ----------
    p_value
        Of "the mean is not above 0", one-sided; NaN where there is nothing to test, or no loss to reckon
        with.
    estimate
        The mean of the outcomes themselves, the added loss not among them.
    lower, upper
        Bounds, each with the confidence asked for by itself.
    floor
        The loss that was added.
    outcomes
        How many were tested.
    """

    p_value: float
    estimate: float
    lower: float
    upper: float
    floor: float
    outcomes: int


def mean_p_value(outcomes: npt.ArrayLike, *, floor: float, bound: float = 0.0) -> float:
    """Return the p-value of "the mean of the outcomes is at most `bound`".

    Parameters
    ----------
    outcomes : (n,)
        Independent, or at least without drift given what came before; finite.
    floor
        The worst outcome to be reckoned with, below `bound`.
    bound
        The mean under the null hypothesis.

    Returns
    -------
    float
        0 to 1.

    Notes
    -----
    That the level holds for every distribution above the floor is conjectured for general n, and proven for
    special cases. The tests measure it.

    References
    ----------
    Gaffke (2005), Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
    variable, Mathematical Methods of Statistics 14. Gil-Pelaez (1951), Note on the inversion theorem,
    Biometrika 38: P(S <= 0) for the sum S of the outcomes times independent exponential variables.
    """
    values = np.append(np.asarray(outcomes, np.float64), floor) - bound
    if values.max() <= 0.0:
        return 1.0
    if values.min() >= 0.0:
        return 0.0
    scaled = values / math.sqrt(float((values * values).sum()))
    product = np.multiply.outer(_TIMES, scaled)
    angle = np.arctan(product).sum(axis=1)
    # log of the modulus: the product of many factors would overflow
    decay = np.exp(-0.5 * np.log1p(product * product).sum(axis=1))
    # the integral over t of sin(angle) / (t modulus) is one over log t
    integral = float((np.sin(angle) * decay).sum()) * _STEP
    return min(max(0.5 - integral / math.pi, 0.0), 1.0)


def mean_test(outcomes: npt.ArrayLike, *, floor: float, confidence: float = 0.95) -> MeanTest:
    """Test "the mean is not above 0", and bound it from both sides.

    Parameters
    ----------
    outcomes : (n,)
        See `mean_p_value`; without any, or where all are 0, nothing is known.
    floor
        The worst outcome to be reckoned with, 0 or below; what was seen to be worse counts instead. For the
        upper bound a gain of the same size is added.
    confidence
        Of each bound, above 0.5 and below 1.

    Raises
    ------
    ConfigError
        OPTIMIZE_CONFIDENCE.
    """
    if not 0.5 < confidence < 1.0:
        raise ConfigError(
            f"confidence is {confidence:g}; it lies between 0.5 and 1, such as 0.95",
            code="OPTIMIZE_CONFIDENCE",
        )
    values = np.asarray(outcomes, np.float64)
    if not len(values) or not values.any():
        return MeanTest(math.nan, 0.0 if len(values) else math.nan, math.nan, math.nan, floor, len(values))
    worst = min(floor, float(values.min()), 0.0)
    best = max(-floor, float(values.max()), 0.0)
    found = mean_p_value(values, floor=worst) if worst < 0.0 else math.nan
    lower = _bound(values, worst, 1.0 - confidence)
    upper = -_bound(-values, -best, 1.0 - confidence)
    return MeanTest(found, float(values.mean()), lower, upper, worst, len(values))


def stretches(returns: npt.ArrayLike, count: int) -> Floats:
    """Return the sums of returns over `count` stretches of equal length, up to one session.

    Parameters
    ----------
    returns : (sessions,)
        Finite. Sums, not compounded: a mean of products of lopsided returns is not the mean that is tested.
    count
        1 or more; at most one per session.
    """
    values = np.asarray(returns, np.float64)
    return np.array([part.sum() for part in np.array_split(values, max(1, min(count, len(values))))])


def _bound(values: Floats, floor: float, level: float) -> float:
    """Return the largest mean that is refused at this level."""
    from scipy.optimize import brentq

    low, high = min(floor, float(values.min())), float(values.max())
    if not low < high:
        return low
    # at `low` nothing speaks for a mean that low, at `high` nothing against it
    exact = _EXACT * (high - low)
    return float(
        brentq(lambda mean: mean_p_value(values, floor=floor, bound=mean) - level, low, high, xtol=exact)
    )
