"""Means that are pulled towards the prior set, and charged with a loss that was not seen.

The prior counts as `PRIOR_TRADES` trades with the mean of what the prior set admits: a candidate of 30 trades
keeps 60 % of what sets it apart, one of 300 keeps 94 %. Shrinkage only ever takes away: where the prior set
does so well that the pull would flatter a candidate, the plain difference stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["PRIOR_TRADES", "Charged", "Shrunk", "charge", "shrink", "unseen_loss"]

Floats = npt.NDArray[np.float64]

PRIOR_TRADES: Final = 20.0
"""Trades that the prior set is worth."""

_RARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The part that is kept of a difference and of its standard error, and what is taken away beside it."""

    kept: Floats
    away: Floats


@dataclass(frozen=True, slots=True)
class Charged:
    """What a loss not yet seen takes from a mean, and what it adds to its squared standard error."""

    difference: Floats
    variance: Floats


def shrink(
    new_mean: Floats, new_count: Floats, old_mean: Floats, old_count: Floats, prior_mean: float
) -> Shrunk:
    """Return how a difference is pulled towards the prior.

    Parameters
    ----------
    new_mean, old_mean
        Means of outcomes of what a candidate and the set in force admit.
    new_count, old_count
        How many independent trades they rest on.
    prior_mean
        Mean of what the prior set admits.

    Notes
    -----
    With both means pulled, the difference is `kept * (new - old)` less what the set in force was shrunk less,
    `away`. That is negative where the prior does better than the set in force, and then not counted.
    """
    kept = new_count / (new_count + PRIOR_TRADES)
    of_old = 1.0 / (1.0 + PRIOR_TRADES / old_count)
    away = np.maximum((of_old - kept) * (old_mean - prior_mean), 0.0)
    return Shrunk(np.asarray(kept, np.float64), np.asarray(away, np.float64))


def charge(mean: Floats, count: Floats, worst: Floats) -> Charged:
    """Return what one more case at the worst outcome takes.

    Parameters
    ----------
    mean, count
        Mean of a candidate's outcomes, and how many.
    worst
        The worst that is known; above the mean it takes nothing.
    """
    away = np.maximum(mean - worst, 0.0) / (count + 1.0)
    return Charged(away, away**2)


def unseen_loss(
    outcome: Floats, possible: Floats, admitted: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_]
) -> Floats:
    """Return the loss to reckon with for each candidate: the mean of the worst tenth of what was seen.

    Parameters
    ----------
    outcome, possible : (cases,)
        What cases came to, and the least that they could have come to; the latter NaN where unknown.
    admitted, seen : (candidates, cases)
        What a candidate admits, and what it or the set in force admits.

    Returns
    -------
    (candidates,)
        Where less than a tenth of a candidate's own cases are losses, what these cases could have lost on
        average, where that is known and worse.
    """
    found = np.empty(len(admitted))
    for at, (own, both) in enumerate(zip(admitted, seen, strict=True)):
        values = np.sort(outcome[both])
        found[at] = values[: max(1, len(values) // 10)].mean()
        known = possible[own & ~np.isnan(possible)]
        if len(known) and float((outcome[own] < 0.0).mean()) < _RARE:
            found[at] = min(found[at], known.mean())
    return found
