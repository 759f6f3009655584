"""The best of many trials, judged by the returns of all.

`deflate` takes a matrix of returns, one column per trial, and finds the best, how many independent trials
there were, how much their Sharpe ratios vary, and the deflated Sharpe ratio of the best.

>>> import numpy as np
>>> found = deflate(np.random.default_rng(3).normal(0, 0.01, (500, 20)))
>>> found.trials, found.probability < 0.95
(20, True)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimize.statistics.returns import column_sharpes, effective_trials, matrix_of, sample_variance
from optimize.statistics.sharpe import SharpeSample, expected_max_sharpe, sharpe_sample

__all__ = ["DeflatedSharpe", "deflate"]


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """The best of many trials, and how likely its Sharpe ratio is above what luck alone would show.

    Attributes
    ----------
    probability
        The deflated Sharpe ratio, 0 to 1; NaN where it is not defined.
    best
        Column of the best trial, -1 where no trial has a Sharpe ratio.
    sample
        Its returns in four figures, per observation.
    trials
        Trials tried, those without a Sharpe ratio included.
    effective
        Independent trials that they amount to.
    variance
        Variance (ddof 1) of the trials' Sharpe ratios per observation; NaN below two.
    expected_max
        Sharpe ratio per observation that the best of so many trials without an edge would show.
    periods
        Observations per year, for the sentence.
    """

    probability: float
    best: int
    sample: SharpeSample
    trials: int
    effective: float
    variance: float
    expected_max: float
    periods: float

    def __str__(self) -> str:
        if self.best < 0:
            return f"None of {self.trials} trials has a Sharpe ratio: too few returns, or none that vary."
        year = math.sqrt(self.periods)
        shown = f"the best Sharpe ratio of {self.trials} trials is {self.sample.sharpe * year:.2f}"
        if math.isnan(self.probability):
            return f"{shown[0].upper()}{shown[1:]}; how much of it is luck is not known."
        return (
            f"{shown[0].upper()}{shown[1:]}; luck alone would show {self.expected_max * year:.2f} (about "
            f"{self.effective:.1f} independent trials), so it is real with probability "
            f"{self.probability:.3f}."
        )


def deflate(returns: npt.ArrayLike, *, trials: float | None = None, periods: float = 252.0) -> DeflatedSharpe:
    """Judge the best of a matrix of trials, with everything taken from their returns.

    Parameters
    ----------
    returns : (observations, trials)
        Simple returns; NaN is unknown and left out, trial by trial.
    trials
        Number of independent trials where it is known better, as where more were tried than are shown; by
        default `effective_trials(returns)`.
    periods
        Observations per year, for the sentence alone.

    Raises
    ------
    ConfigError
        OPTIMIZE_RETURNS for something else than a matrix, OPTIMIZE_TRIALS below one trial.
    """
    matrix = matrix_of(returns)
    count = matrix.shape[1]
    sharpes = column_sharpes(matrix)
    variance = sample_variance(sharpes)
    number = effective_trials(matrix) if trials is None else float(trials)
    if np.isnan(sharpes).all():
        nothing = SharpeSample(math.nan, 0, math.nan, math.nan)
        return DeflatedSharpe(math.nan, -1, nothing, count, number, variance, math.nan, periods)
    best = int(np.nanargmax(sharpes))
    sample = sharpe_sample(matrix[:, best])
    luck = expected_max_sharpe(number, variance)
    return DeflatedSharpe(sample.probabilistic(luck), best, sample, count, number, variance, luck, periods)
