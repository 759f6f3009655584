"""How many trades a journal is worth: trades that were open together share what the market did.

Three things are read from the times of the trades. *Moments*: entries of one day are one moment, because
whoever enters five symbols on one morning has not decided five times. *Blocks*: stretches of time about as
long as a trade is held, so that what two blocks hold is nearly independent. *The effective number*: n divided
by how much the variance of a mean grows by the correlation of trades that overlap, which is measured and not
assumed; the upper end of what was measured counts.

Sources: Kish, "Survey Sampling" (1965), the design effect; López de Prado, "Advances in Financial Machine
Learning" (2018), chapter 4, for overlap as the cause.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from optimize.tuning.cases import DAY

__all__ = ["MOST_BLOCKS", "blocks_of", "effective_number", "moments_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

MOST_BLOCKS: Final = 100
"""Blocks that the variance is measured over at most; more would cost time and tell no more."""

_FEW_DAYS: Final = 40
"""Days of entry below which trades that last less than a day are told apart by their time of entry."""

_SECOND: Final = 1_000_000_000
_ROWS: Final = 512
_SURE: Final = 1.645
"""Standard errors that are added to a measured correlation: one side, 95 %."""


def moments_of(entry_ts: Ints, exit_ts: Ints) -> Indices:
    """Return the moment at which each trade was entered: 0, 1, ... in the order of time.

    A moment is a day in UTC. Trades that last less than a day, on few days, have a moment each.
    """
    days = entry_ts // DAY
    short = len(entry_ts) > 0 and float(np.median(exit_ts - entry_ts)) < DAY
    keys = entry_ts if short and len(np.unique(days)) < _FEW_DAYS else days
    return np.unique(keys, return_inverse=True)[1].astype(np.intp)


def blocks_of(entry_ts: Ints, exit_ts: Ints) -> Indices:
    """Return the block of each trade, 0, 1, ...; trades in the order of entry.

    A block ends where every trade of it is closed, or after the upper quartile of the holding times.
    """
    count = len(entry_ts)
    if not count:
        return np.zeros(0, np.intp)
    length = max(float(np.quantile(exit_ts - entry_ts, 0.75)), 1.0)
    block = np.zeros(count, np.intp)
    began, closed = entry_ts[0], exit_ts[0]
    for i in range(1, count):
        new = entry_ts[i] >= closed or entry_ts[i] - began >= length
        # trades of one instant are never parted
        block[i] = block[i - 1] + (1 if new and entry_ts[i] > entry_ts[i - 1] else 0)
        if block[i] != block[i - 1]:
            began, closed = entry_ts[i], exit_ts[i]
        closed = max(closed, exit_ts[i])
    found = int(block[-1]) + 1
    return block if found <= MOST_BLOCKS else block * MOST_BLOCKS // found


def effective_number(outcome: Floats, entry_ts: Ints, exit_ts: Ints) -> float:
    """Return how many independent trades tell as much about a mean as these do, 1 to n.

    Parameters
    ----------
    outcome : (n,)
        Without NaN.
    entry_ts, exit_ts : (n,)
        UTC nanoseconds, in the order of entry.

    Returns
    -------
    float
        n / (1 + c * r), where c is how many others a trade overlaps on average, each by the share of time
        that both were open, and r is the correlation of outcomes of trades that overlap: the upper end of
        its 95 % interval, 0 to 1. 0.0 for no trades.
    """
    count = len(outcome)
    if count < 2:
        return float(count)
    scale = float(outcome.std())
    away = (outcome - outcome.mean()) / scale if scale > 0.0 else np.zeros(count)
    # from the first entry on, because a float does not hold nanoseconds since 1970
    begin = (entry_ts - entry_ts.min()).astype(np.float64)
    end = begin + np.maximum(exit_ts - entry_ts, _SECOND)
    total = product = squares = 0.0
    for first in range(0, count, _ROWS):
        rows = slice(first, first + _ROWS)
        # whatever is entered after these rows have ended overlaps none of them
        last = int(np.searchsorted(begin, end[rows].max()))
        columns = slice(first, max(last, first + 1))
        shared = np.minimum(end[rows, None], end[columns]) - np.maximum(begin[rows, None], begin[columns])
        union = np.maximum(end[rows, None], end[columns]) - np.minimum(begin[rows, None], begin[columns])
        share = np.maximum(shared, 0.0) / union
        met = np.arange(share.shape[1])
        share[met[: len(share)], met[: len(share)]] = 0.0
        # pairs among these rows are met twice, others once
        twice = np.where(met < len(share), 1.0, 2.0)
        total += float((share @ twice).sum())
        squares += float((share**2 @ twice).sum())
        product += float((share * away[rows, None] * away[columns] @ twice).sum())
    if total <= 0.0:
        return float(count)
    # each pair was met twice, so the variance of the weighted mean product is twice that of single pairs
    error = float(np.sqrt(2.0 * squares)) / total
    correlation = min(1.0, max(0.0, product / total + _SURE * error)) if scale > 0.0 else 1.0
    return max(1.0, count / (1.0 + total / count * correlation))
