"""Purged folds of trades: no case that is trained on shares a day with one that it is tested on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from optimize.splits import purged_k_fold

__all__ = ["DAY", "folds_of"]

Stamps = NDArray[np.int64]

DAY: Final = 86_400 * 1_000_000_000
"""Nanoseconds of a day."""


def folds_of(entry_ts: Stamps, exit_ts: Stamps, count: int) -> list[tuple[Stamps, Stamps]]:
    """Return training and test cases of each fold, in order of time.

    Purged are cases that overlap the tested ones, from entry to exit. The embargo after a test is the median
    time that a case lasts, at least a day: what is entered then was chosen in the same market.
    """
    if len(entry_ts) < count:
        return []
    embargo = max(DAY, int(np.median(exit_ts - entry_ts)))
    splits = purged_k_fold(entry_ts, exit_ts, folds=count, embargo=embargo)
    return [(split.train, split.test) for split in splits]
