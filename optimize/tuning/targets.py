"""Would an earlier profit target have paid? Outcomes of the same trades, compared with themselves.

A trade whose open profit once reached the target would have been closed there; every other trade ends as it
did. The comparison is in pairs, so what moved all trades falls out of it. Both sides are before fees, because
a trade pays its fees either way, and of the same days: where profits are equal, the difference is 0. Two
limits keep it honest. A trade that was closed at the target in force does not show how far it would have run,
so no higher target is ever proposed from it. And the days that an earlier exit saves are not counted, because
the journal does not say when the profit was first reached: a lower target has to pay by the losses it avoids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from optimize.tuning.cases import Cases
from optimize.tuning.settings import values_of_space

__all__ = ["PROFIT_TARGET", "SIGN_DRAWS", "paired_differences", "signs_for", "targets_of"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

PROFIT_TARGET: Final = "profit_target"
"""The setting: the share of the maximum profit at which a trade is closed."""

SIGN_DRAWS: Final = 499
"""Journals in which the blocks of differences have changed signs."""

_STEP: Final = 0.05
_FURTHEST: Final = 0.25


def targets_of(
    cases: Cases, in_force: Mapping[str, Any], *, space: Any = None, step: float | None = None
) -> list[float]:
    """Return targets below the one in force, or below the best that was seen where none is in force."""
    now = in_force.get(PROFIT_TARGET)
    seen = cases.mfe_fraction[~np.isnan(cases.mfe_fraction)]
    if not len(seen):
        return []
    start = float(now) if now is not None else float(min(seen.max(), 1.0))
    grid: Sequence[float]
    if space is None:
        grid = [round(index * _STEP, 12) for index in range(1, round(1.0 / _STEP) + 1)]
    else:
        grid = values_of_space(PROFIT_TARGET, space)
    reach = (_FURTHEST if step is None else step) * (1.0 + 1e-9)
    return [value for value in grid if 0.0 < value < start and start - value <= reach]


def paired_differences(cases: Cases, targets: Sequence[float]) -> Floats:
    """Return what each target would have changed, (targets, cases); 0 where it was not reached or unknown."""
    level = np.asarray(targets, np.float64)[:, None]
    came_to = np.where(np.isnan(cases.gross), cases.outcome, cases.gross)
    with np.errstate(invalid="ignore"):
        reached = (cases.mfe_fraction >= level) & ~np.isnan(cases.best)
    return np.where(reached, level * np.nan_to_num(cases.best) - came_to, 0.0)


def signs_for(blocks: Indices, *, seed: int, draws: int = SIGN_DRAWS) -> Floats:
    """Return signs, (cases, 1 + draws): the journal as it is, then blocks turned by chance."""
    count = int(blocks[-1]) + 1
    drawn = np.random.default_rng(seed).choice((-1.0, 1.0), (count, draws))
    return np.asarray(np.concatenate([np.ones((count, 1)), drawn], axis=1)[blocks], np.float64)
