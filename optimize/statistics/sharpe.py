"""How far a Sharpe ratio can be believed: its sampling error, and how many were tried before it was shown.

A Sharpe ratio is an estimate. Short records, negative skewness and fat tails make it uncertain; the best of
many trials is high by luck alone. The probabilistic Sharpe ratio answers the first, the deflated one both.

Everything is per observation inside: a session's return gives a Sharpe ratio per session. Functions take
annualised ones with `periods` (observations per year, such as 252): Sharpe ratios are divided by
sqrt(periods), variances of Sharpe ratios by periods. **Kurtosis is not excess**: 3 is the normal
distribution's. What is not known is NaN, and so is every answer that needs it; nothing is guessed.

>>> round(deflated_sharpe(2.5, 1250, trials=100, variance=0.5, skewness=-3, kurtosis=10, periods=250), 4)
0.9004
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from optimize.statistics.returns import column_sharpes, effective_trials, matrix_of, sample_variance
from simulator.errors import ConfigError

__all__ = [
    "SharpeSample",
    "deflated_sharpe",
    "expected_max_sharpe",
    "min_backtest_length",
    "min_track_record_length",
    "probabilistic_sharpe",
    "sharpe_sample",
]

Floats = npt.NDArray[np.float64]

EULER: Final = 0.5772156649015329
NORMAL_KURTOSIS: Final = 3.0


@dataclass(frozen=True, slots=True)
class SharpeSample:
    """What a series of returns says about its Sharpe ratio, per observation.

    Attributes
    ----------
    sharpe
        Mean / sample standard deviation (ddof 1) per observation; NaN below two returns or where they do not
        vary.
    observations
        Returns that are known.
    skewness, kurtosis
        Third and fourth standardised moments of the sample (kurtosis 3 for the normal distribution); NaN
        where the Sharpe ratio is.
    """

    sharpe: float
    observations: int
    skewness: float
    kurtosis: float

    def probabilistic(self, benchmark: float = 0.0) -> float:
        """Return `probabilistic_sharpe` of this sample against a Sharpe ratio per observation."""
        return probabilistic_sharpe(
            self.sharpe,
            self.observations,
            benchmark=benchmark,
            skewness=self.skewness,
            kurtosis=self.kurtosis,
        )


def probabilistic_sharpe(
    sharpe: float,
    observations: float,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = NORMAL_KURTOSIS,
    periods: float = 1.0,
) -> float:
    """Return the probability that the true Sharpe ratio is above a benchmark (PSR).

    Parameters
    ----------
    sharpe, benchmark
        Observed Sharpe ratio and the one to be beaten, per observation, or annualised with `periods`.
    observations
        Number of returns behind it.
    skewness, kurtosis
        Of the returns; kurtosis is not excess.
    periods
        Observations per year where the Sharpe ratios are annualised, else 1.

    Returns
    -------
    float
        0 to 1; NaN where an input is NaN or there are fewer than two observations.

    Raises
    ------
    ConfigError
        OPTIMIZE_SHARPE for values that no sample can have: kurtosis below 1 + skewness squared, periods not
        above 0, infinite values.

    References
    ----------
    Bailey and López de Prado (2012), The Sharpe ratio efficient frontier, Journal of Risk 15(2), eq. 9:
    Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skewness SR + (kurtosis - 1) / 4 SR^2)).
    """
    from scipy.special import ndtr

    year = _root(periods)
    _finite(sharpe=sharpe, benchmark=benchmark, observations=observations)
    ratio, least = sharpe / year, benchmark / year
    spread = _spread(ratio, skewness, kurtosis)
    if math.isnan(ratio + least + spread + observations) or observations < 2:
        return math.nan
    if spread == 0.0:  # a sample of two points whose Sharpe ratio has no first-order error
        return 1.0 if ratio > least else 0.0 if ratio < least else 0.5
    return float(ndtr((ratio - least) * math.sqrt(observations - 1.0) / spread))


def expected_max_sharpe(trials: float, variance: float, *, periods: float = 1.0) -> float:
    """Return the Sharpe ratio that the best of many trials without an edge is expected to show.

    Parameters
    ----------
    trials
        Number of independent trials, at least 1; it may be a fraction (`effective_trials`).
    variance
        Variance of the trials' Sharpe ratios, of annualised ones with `periods`.
    periods
        Observations per year where variance and answer are annualised; it cancels, and is taken so that all
        functions here read alike.

    Returns
    -------
    float
        0 for one trial, whatever the variance; NaN where an input is NaN. Between one and two trials, where
        the approximation would fall below 0, it is 0.

    Raises
    ------
    ConfigError
        OPTIMIZE_TRIALS below one trial; OPTIMIZE_SHARPE for a negative variance.

    References
    ----------
    Bailey and López de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5), eq. 1:
    sqrt(V) ((1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))), g the Euler-Mascheroni constant.
    """
    _root(periods)
    _finite(variance=variance)
    if variance < 0.0:
        raise ConfigError(
            f"the variance of Sharpe ratios is {variance:g}; it cannot be below 0", code="OPTIMIZE_SHARPE"
        )
    largest = _largest_normal(trials)
    return 0.0 if trials == 1.0 else math.sqrt(variance) * largest


def deflated_sharpe(
    sharpe: float,
    observations: float,
    *,
    trials: float | npt.ArrayLike,
    variance: float = math.nan,
    skewness: float = 0.0,
    kurtosis: float = NORMAL_KURTOSIS,
    periods: float = 1.0,
) -> float:
    """Return the probability that the best of many trials has an edge at all (DSR).

    It is `probabilistic_sharpe` against `expected_max_sharpe`.

    Parameters
    ----------
    sharpe
        Sharpe ratio of the best trial, per observation, or annualised with `periods`.
    observations
        Returns behind it.
    trials
        Number of independent trials, or the trials' returns of shape (observations, trials), from which
        `effective_trials` and the variance are taken.
    variance
        Variance of the trials' Sharpe ratios (annualised ones with `periods`). Not needed for one trial, nor
        with a matrix of returns.
    skewness, kurtosis, periods
        As in `probabilistic_sharpe`.

    Returns
    -------
    float
        0 to 1. One trial is not deflated. NaN where an input that is needed is NaN.

    Raises
    ------
    ConfigError
        OPTIMIZE_SHARPE, OPTIMIZE_TRIALS, OPTIMIZE_RETURNS.

    References
    ----------
    Bailey and López de Prado (2014), The deflated Sharpe ratio, eq. 2.
    """
    if np.ndim(trials) > 0:
        returns = matrix_of(trials)
        number = effective_trials(returns)
        if math.isnan(variance):
            variance = sample_variance(column_sharpes(returns)) * periods
    else:
        number = float(trials)  # type: ignore[arg-type]  # zero dimensions: a number
    luck = expected_max_sharpe(number, variance, periods=periods)
    return probabilistic_sharpe(
        sharpe, observations, benchmark=luck, skewness=skewness, kurtosis=kurtosis, periods=periods
    )


def min_track_record_length(
    sharpe: float,
    *,
    benchmark: float = 0.0,
    confidence: float = 0.95,
    skewness: float = 0.0,
    kurtosis: float = NORMAL_KURTOSIS,
    periods: float = 1.0,
) -> float:
    """Return how many observations make a Sharpe ratio significantly higher than a benchmark (MinTRL).

    Parameters
    ----------
    sharpe, benchmark, skewness, kurtosis, periods
        As in `probabilistic_sharpe`.
    confidence
        Above 0 and below 1.

    Returns
    -------
    float
        Observations (not years), with which the PSR is exactly `confidence`; infinite where the Sharpe ratio
        is not above the benchmark; NaN where an input is.

    Raises
    ------
    ConfigError
        OPTIMIZE_SHARPE, OPTIMIZE_CONFIDENCE.

    References
    ----------
    Bailey and López de Prado (2012), eq. 11:
    1 + (1 - skewness SR + (kurtosis - 1) / 4 SR^2) (Phi^-1(confidence) / (SR - SR*))^2.
    """
    from scipy.special import ndtri

    if not 0.0 < confidence < 1.0:
        raise ConfigError(
            f"confidence is {confidence:g}; it lies between 0 and 1, such as 0.95", code="OPTIMIZE_CONFIDENCE"
        )
    year = _root(periods)
    _finite(sharpe=sharpe, benchmark=benchmark)
    ratio, least = sharpe / year, benchmark / year
    spread = _spread(ratio, skewness, kurtosis)
    if math.isnan(ratio + least + spread):
        return math.nan
    if ratio <= least:
        return math.inf
    return 1.0 + (spread * max(float(ndtri(confidence)), 0.0) / (ratio - least)) ** 2


def min_backtest_length(trials: float, *, sharpe: float = 1.0, periods: float = 1.0) -> float:
    """Return how many observations keep the best of many lucky trials below a Sharpe ratio (MinBTL).

    A backtest shorter than this is expected to show `sharpe` in sample by luck alone.

    Parameters
    ----------
    trials
        Independent trials, at least 1.
    sharpe
        The Sharpe ratio not to be reached by luck, above 0; per observation, or annualised with `periods`.
        With an annual Sharpe ratio and periods 1 the answer is in years, as in the paper.

    Returns
    -------
    float
        Observations; 0 for one trial, NaN where an input is NaN.

    Raises
    ------
    ConfigError
        OPTIMIZE_TRIALS, OPTIMIZE_SHARPE.

    References
    ----------
    Bailey, Borwein, López de Prado and Zhu (2014), Pseudo-mathematics and financial charlatanism, Notices of
    the AMS 61(5), theorem 1: (E[max of N] / SR)^2 < 2 ln N / SR^2.
    """
    year = _root(periods)
    _finite(sharpe=sharpe)
    if sharpe <= 0.0:
        raise ConfigError(
            f"the Sharpe ratio not to be reached is {sharpe:g}; it has to be above 0", code="OPTIMIZE_SHARPE"
        )
    return (_largest_normal(trials) * year / sharpe) ** 2


def sharpe_sample(returns: npt.ArrayLike) -> SharpeSample:
    """Return Sharpe ratio, length, skewness and kurtosis of one series of returns, per observation.

    Parameters
    ----------
    returns : (observations,)
        Simple returns above a risk-free rate of 0; NaN is left out.

    Raises
    ------
    ConfigError
        OPTIMIZE_RETURNS for something else than one series.
    """
    series = np.asarray(returns, np.float64)
    if series.ndim != 1:
        raise ConfigError(
            f"returns have shape {series.shape}; one series is (observations,)", code="OPTIMIZE_RETURNS"
        )
    series = series[np.isfinite(series)]
    ratio = float(column_sharpes(series[:, None])[0])
    if math.isnan(ratio):
        return SharpeSample(math.nan, len(series), math.nan, math.nan)
    off = series - series.mean()
    second = float((off * off).mean())
    skewness = float((off**3).mean()) / second**1.5
    kurtosis = float((off**4).mean()) / second**2
    return SharpeSample(ratio, len(series), skewness, kurtosis)


# Parts


def _largest_normal(trials: float) -> float:
    """Return the expected largest of so many standard normal values, 0 at least."""
    from scipy.special import ndtri

    _finite(trials=trials)
    if trials < 1.0:
        raise ConfigError(f"there were {trials:g} trials; at least 1 was made", code="OPTIMIZE_TRIALS")
    if math.isnan(trials):
        return math.nan
    if trials == 1.0:
        return 0.0
    # upper tails by symmetry, exact for very many trials
    found = -(1.0 - EULER) * ndtri(1.0 / trials) - EULER * ndtri(1.0 / (trials * math.e))
    return max(float(found), 0.0)


def _spread(ratio: float, skewness: float, kurtosis: float) -> float:
    """Return the standard deviation of the estimate times sqrt(n - 1)."""
    _finite(skewness=skewness, kurtosis=kurtosis)
    # no distribution has less; rounding of a sample of two points may
    if kurtosis < 1.0 + skewness * skewness - 1e-9 * (1.0 + skewness * skewness):
        raise ConfigError(
            f"kurtosis {kurtosis:g} with skewness {skewness:g} is not possible: it is at least "
            f"1 + skewness^2 = {1.0 + skewness * skewness:g}. The likely cause is excess kurtosis; add 3",
            code="OPTIMIZE_SHARPE",
        )
    return math.sqrt(max(1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio * ratio, 0.0))


def _root(periods: float) -> float:
    if not 0.0 < periods < math.inf:
        raise ConfigError(
            f"periods is {periods:g}; it is the number of observations in a year, above 0, or 1 where "
            "nothing is annualised",
            code="OPTIMIZE_SHARPE",
        )
    return math.sqrt(periods)


def _finite(**values: float) -> None:
    for name, value in values.items():
        if math.isinf(value):
            raise ConfigError(f"{name} is {value:g}; it has to be finite", code="OPTIMIZE_SHARPE")
