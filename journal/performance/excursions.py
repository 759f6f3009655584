"""How far trades went against and for the trader before they ended, and what another target had kept.

MAE is the worst open loss of a trade and MFE its best open profit, both in currency for the whole trade; in R
they are divided by the initial risk. Only trades that know what a figure needs take part, and the counts say
how many. The expected return of a target assumes that a trade which reached it would have been closed exactly
there, and that all others end as they did.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from journal.performance.metrics import LEVEL
from journal.performance.readable import Readable
from journal.performance.statistics import Interval, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from journal.performance.closed import Closed

__all__ = ["TARGETS", "ExcursionMetrics", "TargetReturn", "excursions"]

TARGETS: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Targets in R whose expected return is computed."""


class TargetReturn(NamedTuple):
    """What a target would have returned.

    Attributes
    ----------
    target
        In R.
    reached
        Trades whose best open profit reached it, percent.
    reached_interval
        Wilson interval of that share, percent.
    expected_r
        Mean R-multiple with that target.
    """

    target: float
    reached: float
    reached_interval: Interval
    expected_r: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ExcursionMetrics(Readable):
    """Excursions of a set of closed trades.

    Attributes
    ----------
    mae_count, average_mae, average_mae_r
        Trades with a known MAE, its mean in currency (0 or negative), and its mean in R over those that know
        their risk.
    mfe_count, average_mfe, average_mfe_r
        The same for the MFE.
    winners_mae_r, losers_mfe_r
        Mean MAE of winners: the pain that a winner costs; mean MFE of losers: the profit that was there.
    exit_efficiency
        Sum of profits over sum of best open profits, percent, over trades with a known MFE above 0.
    targets_count
        Trades behind `targets`: MFE, risk and R-multiple known.
    targets
        Expected return by target; empty without such trades.
    """

    names: ClassVar[tuple[str, ...]]

    mae_count: int
    average_mae: float | None
    average_mae_r: float | None
    mfe_count: int
    average_mfe: float | None
    average_mfe_r: float | None
    winners_mae_r: float | None
    losers_mfe_r: float | None
    exit_efficiency: float | None
    targets_count: int
    targets: tuple[TargetReturn, ...]


ExcursionMetrics.names = tuple(each.name for each in fields(ExcursionMetrics))


def excursions(closed: Closed, targets: tuple[float, ...] = TARGETS) -> ExcursionMetrics:
    """Compute the excursion figures of some closed trades."""
    import numpy as np

    pnl, mae, mfe = (closed.numbers[name] for name in ("pnl", "mae", "mfe"))
    risk = np.where(closed.numbers["initial_risk"] > 0, closed.numbers["initial_risk"], np.nan)
    mae_r, mfe_r, r_multiple = mae / risk, mfe / risk, closed.numbers["r_multiple"]
    ran = mfe > 0  # NaN is not
    best = float(np.sum(mfe[ran]))
    known = ~np.isnan(mfe_r) & ~np.isnan(r_multiple)
    return ExcursionMetrics(
        mae_count=int(np.sum(~np.isnan(mae))),
        average_mae=_mean(mae),
        average_mae_r=_mean(mae_r),
        mfe_count=int(np.sum(~np.isnan(mfe))),
        average_mfe=_mean(mfe),
        average_mfe_r=_mean(mfe_r),
        winners_mae_r=_mean(mae_r[pnl > 0]),
        losers_mfe_r=_mean(mfe_r[pnl < 0]),
        exit_efficiency=100.0 * float(np.sum(pnl[ran])) / best if best > 0 else None,
        targets_count=int(np.sum(known)),
        targets=tuple(
            one for target in targets if (one := _target(target, mfe_r[known], r_multiple[known])) is not None
        ),
    )


def _target(
    target: float, mfe_r: NDArray[np.float64], r_multiple: NDArray[np.float64]
) -> TargetReturn | None:
    import numpy as np

    reached = mfe_r >= target
    interval = wilson(int(np.sum(reached)), len(reached), LEVEL)
    if interval is None:
        return None
    share = 100.0 * float(np.mean(reached))
    expected = float(np.mean(np.where(reached, target, r_multiple)))
    return TargetReturn(target, share, interval.scaled(100.0), expected)


def _mean(values: NDArray[np.float64]) -> float | None:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else None
