"""Is the best of many trials any good where it was not chosen? PBO by cross-validation.

`probability_of_backtest_overfitting` splits the history into blocks, chooses the best trial on half of the
blocks and looks where it ranks on the other half, for every choice of halves (CSCV).

The trials' returns are a matrix (observations, trials), in order of time, the same observations for all. Rows
in which a return is not known (NaN, infinite) are left out for all trials and counted. With too few of them,
or one trial where a choice among several is asked about, the answer is NaN and says so; wrong shapes and
settings are errors.

>>> import numpy as np
>>> noise = np.random.default_rng(0).normal(0, 0.01, (400, 20))
>>> found = probability_of_backtest_overfitting(noise, blocks=8)
>>> found.combinations, 0.3 < found.probability < 0.7
(70, True)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from optimize.statistics.returns import known_rows, matrix_of
from simulator.errors import ConfigError

__all__ = [
    "BacktestOverfitting",
    "probability_of_backtest_overfitting",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Metric = Literal["sharpe", "mean"] | Callable[[Floats], Floats]

MOST_BLOCKS: Final = 20
"""184,756 combinations; two more would be 705,432."""
LEAST_ROWS: Final = 2
"""Observations in a block below which nothing is computed."""
_CELLS: Final = 2_000_000  # combinations times trials that are held at once
_NOISE: Final = 1e-12
_TIE: Final = 1e-10  # figures closer than this share are the same trial twice, up to rounding


@dataclass(frozen=True, slots=True, eq=False)
class BacktestOverfitting:
    """What combinatorially symmetric cross-validation found.

    Attributes
    ----------
    probability
        Share of combinations in which the best trial in sample ranks in the lower half out of sample, its
        median included; NaN where it is not defined.
    probability_of_loss
        Share of combinations in which the best trial in sample has a figure below 0 out of sample.
    slope, intercept, r_squared
        Of the line through the best trial's figures, out of sample against in sample: performance
        degradation. NaN where the figures in sample do not vary.
    trials, observations, left_out, blocks, combinations
        Columns, rows used, rows left out, and how the rows were split.
    logits, in_sample, out_of_sample : (combinations,)
        ln(w / (1 - w)) of the relative rank w of the best trial out of sample, and its figures.
    why
        Why there is no answer; "" where there is one.
    """

    probability: float
    probability_of_loss: float
    slope: float
    intercept: float
    r_squared: float
    trials: int
    observations: int
    left_out: int
    blocks: int
    combinations: int
    logits: Floats
    in_sample: Floats
    out_of_sample: Floats
    why: str = ""

    def __str__(self) -> str:
        if self.why:
            return f"The probability of overfitting is not known: {self.why}."
        return (
            f"The best of {self.trials} trials in one half of the data is below the median in the other with "
            f"probability {self.probability:.2f}, and loses with probability {self.probability_of_loss:.2f} "
            f"({self.combinations} splits of {self.blocks} blocks)."
        )


def probability_of_backtest_overfitting(
    returns: npt.ArrayLike, *, blocks: int = 16, metric: Metric = "sharpe"
) -> BacktestOverfitting:
    """Return the probability that choosing the best trial chose an overfitted one (PBO by CSCV).

    Parameters
    ----------
    returns : (observations, trials)
        Simple returns in order of time, all trials that were tried and not the good ones alone.
    blocks
        Even, 2 to 20. Blocks follow each other in time; their lengths differ by one observation at most.
    metric
        "sharpe" per observation, "mean", or a function from returns (observations, trials) to a figure per
        trial, higher is better. A trial without variation has a Sharpe ratio of 0 here: it does nothing, and
        may still be better than the others. NaN of a function is worse than any number.

    Returns
    -------
    BacktestOverfitting
        All NaN with one trial, or fewer than two observations per block.

    Raises
    ------
    ConfigError
        OPTIMIZE_RETURNS, OPTIMIZE_BLOCKS, OPTIMIZE_METHOD.

    References
    ----------
    Bailey, Borwein, López de Prado and Zhu (2017), The probability of backtest overfitting, Journal of
    Computational Finance 20(4).
    """
    if blocks not in range(2, MOST_BLOCKS + 1, 2):
        raise ConfigError(
            f"blocks is {blocks!r}; it is an even number from 2 to {MOST_BLOCKS}", code="OPTIMIZE_BLOCKS"
        )
    if metric not in ("sharpe", "mean") and not callable(metric):
        raise ConfigError(
            f"there is no metric {metric!r}; it is 'sharpe', 'mean' or a function of returns",
            code="OPTIMIZE_METHOD",
        )
    matrix, left_out = known_rows(matrix_of(returns))
    rows, trials = matrix.shape
    why = ""
    if trials < 2:
        why = "there is one trial, and nothing was chosen"
    elif rows < LEAST_ROWS * blocks:
        why = f"{rows} observations are too few for {blocks} blocks of {LEAST_ROWS}"
    if why:
        nothing = np.zeros(0)
        nan = math.nan
        return BacktestOverfitting(
            nan, nan, nan, nan, nan, trials, rows, left_out, blocks, 0, nothing, nothing, nothing, why
        )
    bounds = [rows * place // blocks for place in range(blocks + 1)]
    halves = _halves(blocks)
    figures = (
        _by_sums(matrix, bounds, halves, metric)
        if isinstance(metric, str)
        else _by_call(matrix, bounds, halves, metric)
    )
    parts = [_chosen(inside, outside) for inside, outside in figures]
    inside, outside, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
    slope, intercept, fit = _line(inside, outside)
    return BacktestOverfitting(
        probability=float((logits <= 0.0).mean()),
        probability_of_loss=float((outside < 0.0).mean()),
        slope=slope,
        intercept=intercept,
        r_squared=fit,
        trials=trials,
        observations=rows,
        left_out=left_out,
        blocks=blocks,
        combinations=len(logits),
        logits=logits,
        in_sample=inside,
        out_of_sample=outside,
    )


# Cross-validation


def _halves(blocks: int) -> npt.NDArray[np.bool_]:
    """Every choice of half of the blocks, shape (combinations, blocks)."""
    chosen = list(itertools.combinations(range(blocks), blocks // 2))
    inside = np.zeros((len(chosen), blocks), np.bool_)
    np.put_along_axis(inside, np.array(chosen, np.int64), True, axis=1)
    return inside


def _by_sums(
    matrix: Floats, bounds: list[int], halves: npt.NDArray[np.bool_], metric: str
) -> Iterator[tuple[Floats, Floats]]:
    """Figures in and out of sample, from sums per block: a combination costs no pass over the returns."""
    level = matrix.mean(axis=0)
    off = matrix - level  # around the mean, so that squares do not cancel
    sums = np.add.reduceat(off, bounds[:-1], axis=0)
    squares = np.add.reduceat(off * off, bounds[:-1], axis=0)
    raw = np.add.reduceat(matrix * matrix, bounds[:-1], axis=0)
    sizes = np.diff(bounds).astype(np.float64)

    def figure(half: npt.NDArray[np.bool_]) -> Floats:
        weight = half.astype(np.float64)
        n = (weight @ sizes)[:, None]
        total = weight @ sums
        mean = level + total / n
        if metric == "mean":
            return np.asarray(mean)
        variance = (weight @ squares - total * total / n) / (n - 1.0)
        varies = variance > _NOISE * (weight @ raw) / n
        return np.asarray(np.where(varies, mean / np.sqrt(np.where(varies, variance, 1.0)), 0.0))

    step = max(1, _CELLS // matrix.shape[1])
    for first in range(0, len(halves), step):
        part = halves[first : first + step]
        yield figure(part), figure(~part)


def _by_call(
    matrix: Floats,
    bounds: list[int],
    halves: npt.NDArray[np.bool_],
    metric: Callable[[Floats], Floats],
) -> Iterator[tuple[Floats, Floats]]:
    block_of = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))

    def figure(rows: npt.NDArray[np.bool_]) -> Floats:
        found = np.asarray(metric(matrix[rows]), np.float64)
        if found.shape != matrix.shape[1:]:
            raise ConfigError(
                f"the metric gave shape {found.shape} for {matrix.shape[1]} trials; it gives one figure each",
                code="OPTIMIZE_METHOD",
            )
        return np.where(np.isnan(found), -np.inf, found)

    for half in halves:
        rows = half[block_of]
        yield figure(rows)[None, :], figure(~rows)[None, :]


def _chosen(inside: Floats, outside: Floats) -> tuple[Floats, Floats, Floats]:
    """Figures of the best trial in sample, and the logit of its rank out of sample; ties share a rank."""
    best = inside.argmax(axis=1)[:, None]
    mine = np.take_along_axis(outside, best, axis=1)
    with np.errstate(invalid="ignore"):
        same = (np.abs(outside - mine) <= _TIE * (np.abs(mine) + np.abs(outside))) | (outside == mine)
    lower = ((outside < mine) & ~same).sum(axis=1)
    rank = lower + (same.sum(axis=1) + 1.0) / 2.0
    share = rank / (outside.shape[1] + 1.0)
    return np.take_along_axis(inside, best, axis=1)[:, 0], mine[:, 0], np.log(share / (1.0 - share))


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if x.size < 2:
        return math.nan, math.nan, math.nan
    dx, dy = x - x.mean(), y - y.mean()
    spread, other = float((dx * dx).sum()), float((dy * dy).sum())
    if spread <= _NOISE * float((x * x).sum()):
        return math.nan, math.nan, math.nan
    shared = float((dx * dy).sum())
    slope = shared / spread
    fit = shared * shared / (spread * other) if other > 0.0 else math.nan
    return slope, float(y.mean() - slope * x.mean()), fit
