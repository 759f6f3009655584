"""Does the best of many trials beat a benchmark by more than luck? Reality check and SPA.

Both ask how large the best trial's mean return above a benchmark would be if none had any, by resampling the
trials' returns in blocks; they run the bootstrap of `arch`. Returns are a matrix (observations, trials), in
order of time. Rows in which a return is not known (NaN, infinite) are left out for all trials and counted,
and so are trials that do not differ from the benchmark by anything that varies.

>>> import numpy as np
>>> returns = np.random.default_rng(0).normal(0, 0.01, (400, 5))
>>> returns[:, 2] += 0.002
>>> spa(returns, reps=200).p_value < 0.05
True
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from optimize.statistics.bootstrap import optimal_block_length
from optimize.statistics.returns import known_rows, matrix_of
from simulator.errors import ConfigError

__all__ = ["SuperiorityTest", "reality_check", "spa"]

Floats = npt.NDArray[np.float64]

_NOISE: Final = 1e-12
_LEAST_ROWS: Final = 10
_LEAST_REPS: Final = 100


@dataclass(frozen=True, slots=True)
class SuperiorityTest:
    """Whether the best trial beats a benchmark by more than luck among so many explains.

    Attributes
    ----------
    name
        "reality check" or "SPA".
    p_value
        Of "no trial beats the benchmark": `upper` of the reality check, `consistent` of SPA; NaN where it
        is not defined. 0 stands for less than 1 / reps.
    lower, consistent, upper
        Hansen's three p-values of the statistic.
    best
        Column of the trial with the largest statistic, -1 where there is none.
    advantage
        Its mean return above the benchmark, per observation.
    trials, left_out_trials
        Columns, and those among them that do not differ from the benchmark by anything that varies.
    observations, left_out
        Rows used and left out.
    block, reps
        Mean length of a block, and resamples.
    why
        Why there is no answer; "" where there is one.
    """

    name: str
    p_value: float
    lower: float
    consistent: float
    upper: float
    best: int
    advantage: float
    trials: int
    left_out_trials: int
    observations: int
    left_out: int
    block: int
    reps: int
    why: str = ""

    def __str__(self) -> str:
        if self.why:
            return f"The {self.name} has no answer: {self.why}."
        shown = f"= {self.p_value:.3f}" if self.p_value > 0 else f"< {1 / self.reps:.3g}"
        return (
            f"The {self.name} gives p {shown} that none of {self.trials} trials beats the benchmark "
            f"(the best is column {self.best}; {self.reps} resamples in blocks of about {self.block})."
        )


def reality_check(
    returns: npt.ArrayLike,
    benchmark: npt.ArrayLike = 0.0,
    *,
    reps: int = 1000,
    block: int | None = None,
    kind: Literal["stationary", "circular"] = "stationary",
    seed: int = 0,
) -> SuperiorityTest:
    """Test whether the best trial's mean return beats a benchmark's, given how many were tried.

    White's reality check: mean differences as they are, recentred all. One bad or wild trial more makes it
    less powerful; `spa` mends that.

    Parameters
    ----------
    returns : (observations, trials)
        Simple returns of all trials.
    benchmark : (observations,) or a number
        Returns of what is to be beaten; 0 is cash.
    reps
        Resamples, at least 100.
    block
        Mean length of the bootstrap's blocks; by default the largest of `optimal_block_length` over the
        trials, at most a tenth of the observations.
    kind
        "stationary" (blocks of geometric length) or "circular" (of fixed length).
    seed
        Same seed, same answer.

    Raises
    ------
    ConfigError
        OPTIMIZE_RETURNS, OPTIMIZE_BLOCKS, OPTIMIZE_METHOD.

    References
    ----------
    White (2000), A reality check for data snooping, Econometrica 68(5).
    """
    return _superiority(
        "reality check", returns, benchmark, reps=reps, block=block, kind=kind, seed=seed, studentise=False
    )


def spa(
    returns: npt.ArrayLike,
    benchmark: npt.ArrayLike = 0.0,
    *,
    reps: int = 1000,
    block: int | None = None,
    kind: Literal["stationary", "circular"] = "stationary",
    seed: int = 0,
) -> SuperiorityTest:
    """Test superior predictive ability: the reality check with trials on one scale and bad ones left aside.

    Differences are divided by their long-run standard deviation first (arch's own `studentize` does not
    reach the p-values of its SPA), and the p-value is Hansen's consistent one. Parameters, policy and errors
    are those of `reality_check`.

    References
    ----------
    Hansen (2005), A test for superior predictive ability, Journal of Business & Economic Statistics 23(4).
    """
    return _superiority(
        "SPA", returns, benchmark, reps=reps, block=block, kind=kind, seed=seed, studentise=True
    )


# Parts


def _superiority(
    name: str,
    returns: npt.ArrayLike,
    benchmark: npt.ArrayLike,
    *,
    reps: int,
    block: int | None,
    kind: Literal["stationary", "circular"],
    seed: int,
    studentise: bool,
) -> SuperiorityTest:
    from arch.bootstrap import SPA

    matrix = matrix_of(returns)
    other = np.asarray(benchmark, np.float64)
    if other.shape not in ((), matrix.shape[:1]):
        raise ConfigError(
            f"the benchmark has shape {other.shape}; it is a number, or one return for each of the "
            f"{matrix.shape[0]} observations",
            code="OPTIMIZE_RETURNS",
        )
    if kind not in ("stationary", "circular"):
        raise ConfigError(
            f"there is no bootstrap {kind!r}; it is 'stationary' or 'circular'", code="OPTIMIZE_METHOD"
        )
    if reps < _LEAST_REPS:
        raise ConfigError(
            f"reps is {reps}; with fewer than {_LEAST_REPS} the p-value is noise", code="OPTIMIZE_METHOD"
        )
    above, left_out = known_rows(matrix - other.reshape(-1, 1))
    rows, trials = above.shape
    spread = above.var(axis=0) if rows else np.zeros(trials)
    varies = spread > _NOISE * (above * above).mean(axis=0) if rows else spread > 0.0
    places = np.flatnonzero(varies)
    why = ""
    if rows < _LEAST_ROWS:
        why = f"{rows} observations are too few"
    elif not places.size:
        why = "no trial differs from the benchmark by anything that varies"
    if block is None:
        block = 1 if why else max(1, min(rows // 10, math.ceil(optimal_block_length(above, kind=kind))))
    if not 1 <= block <= max(rows, 1):
        raise ConfigError(
            f"block is {block}; it is a length from 1 to the {rows} observations", code="OPTIMIZE_BLOCKS"
        )
    dropped = trials - len(places)
    if why:
        nan = math.nan
        return SuperiorityTest(
            name, nan, nan, nan, nan, -1, nan, trials, dropped, rows, left_out, block, reps, why
        )
    scaled = above[:, places]
    if studentise:
        scaled = scaled / np.sqrt(_long_run_variance(scaled, block))
    test = SPA(np.zeros(rows), -scaled, block_size=block, reps=reps, bootstrap=kind, seed=seed)
    test.compute()
    lower, consistent, upper = (float(test.pvalues[key]) for key in ("lower", "consistent", "upper"))
    best = int(places[np.argmax(scaled.mean(axis=0))])
    return SuperiorityTest(
        name=name,
        p_value=consistent if studentise else upper,
        lower=lower,
        consistent=consistent,
        upper=upper,
        best=best,
        advantage=float(above[:, best].mean()),
        trials=trials,
        left_out_trials=dropped,
        observations=rows,
        left_out=left_out,
        block=block,
        reps=reps,
    )


def _long_run_variance(values: Floats, block: int) -> Floats:
    """Variance of sqrt(n) times the mean under the stationary bootstrap (Politis and Romano 1994)."""
    n = len(values)
    off = values - values.mean(axis=0)
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(off, size, axis=0)) ** 2
    shared = np.fft.irfft(power, size, axis=0)[:n] / n
    lag = np.arange(1, n)
    keep = 1.0 - 1.0 / block
    weight = (1.0 - lag / n) * keep**lag + lag / n * keep ** (n - lag)
    found = shared[0] + 2.0 * (weight[:, None] * shared[1:]).sum(axis=0)
    # a series that swings back at once may leave nothing: its plain variance is a safe scale
    return np.asarray(np.where(found > _NOISE * shared[0], found, shared[0]))
