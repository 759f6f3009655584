"""What the best trial of a hypothesis is worth, read from the ledger's rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from optimize.counting.tables import trials_table
from optimize.statistics.returns import mean_correlation_trials, sample_variance
from optimize.statistics.sharpe import expected_max_sharpe, probabilistic_sharpe

__all__ = ["HypothesisRecord", "summarise"]

Floats = npt.NDArray[np.float64]

_READ_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class HypothesisRecord:
    """What the ledger knows about one hypothesis.

    Attributes
    ----------
    hypothesis, trials
        Its name, and how many trials it has cost.
    measured
        Trials with a Sharpe ratio; the others made no trade and cannot be the best by luck.
    effective
        Independent trials that the measured ones amount to, by the correlation of those of which the returns
        were recorded; the others count in full. 0 without measured trials.
    best_id, best_parameters, best_sharpe, best_sessions
        The trial with the highest Sharpe ratio per session; "" and NaN without one.
    variance
        Of the Sharpe ratios per session (ddof 1); NaN below two.
    expected_max
        Sharpe ratio per session that luck alone would show as the best.
    deflated
        Deflated Sharpe ratio of the best, 0 to 1; NaN where it is not defined.
    assumed_normal
        Whether skewness and kurtosis of the best are not known and were taken as 0 and 3.
    """

    hypothesis: str
    trials: int
    measured: int
    effective: float
    best_id: str
    best_parameters: Mapping[str, Any]
    best_sharpe: float
    best_sessions: int
    variance: float
    expected_max: float
    deflated: float
    assumed_normal: bool

    def __str__(self) -> str:
        counted = f"{self.hypothesis}: {self.trials} trial{'s' if self.trials != 1 else ''}"
        if not self.measured:
            return f"{counted}, none with a Sharpe ratio."
        counted += f" (about {self.effective:.1f} independent)"
        best = f"the best Sharpe ratio is {self.best_sharpe:.4f} per session"
        if math.isnan(self.deflated):
            return f"{counted}, {best}; how much of it is luck is not known."
        return (
            f"{counted}, {best} where luck alone would show {self.expected_max:.4f}: real with probability "
            f"{self.deflated:.3f}."
        )


def summarise(connection: Connection | None, hypothesis: str) -> HypothesisRecord:
    """Return what is known about a hypothesis; without a connection there are no trials."""
    nan = math.nan
    t = trials_table.c
    mine = t.hypothesis == hypothesis
    total, sharpes = 0, np.zeros(0)
    if connection is not None:
        found = connection.execute(select(t.sharpe).where(mine).order_by(t.id)).scalars().all()
        total = len(found)
        sharpes = np.array([value for value in found if value is not None], np.float64)
    if connection is None or not sharpes.size:
        return HypothesisRecord(hypothesis, total, 0, 0.0, "", {}, nan, 0, nan, nan, nan, False)
    question = select(t.id, t.parameters, t.sharpe, t.sessions, t.skewness, t.kurtosis)
    best = connection.execute(
        question.where(mine, t.sharpe.is_not(None)).order_by(t.sharpe.desc(), t.id).limit(1)
    ).one()
    effective = _effective(connection, hypothesis, sharpes.size)
    variance = sample_variance(sharpes)
    luck = expected_max_sharpe(effective, variance)
    normal = best.skewness is None or best.kurtosis is None
    skewness, kurtosis = (0.0, 3.0) if normal else (best.skewness, best.kurtosis)
    deflated = probabilistic_sharpe(
        best.sharpe, best.sessions, benchmark=luck, skewness=skewness, kurtosis=kurtosis
    )
    return HypothesisRecord(
        hypothesis=hypothesis,
        trials=total,
        measured=int(sharpes.size),
        effective=effective,
        best_id=best.id,
        best_parameters=json.loads(best.parameters),
        best_sharpe=best.sharpe,
        best_sessions=best.sessions,
        variance=variance,
        expected_max=luck,
        deflated=deflated,
        assumed_normal=normal,
    )


def _effective(connection: Connection, hypothesis: str, measured: int) -> float:
    """Independent trials: those over the same sessions by their mean correlation, all others in full.

    The mean correlation of n series is known from the sum of the series at length one, so that no two of
    them have to be compared.
    """
    t = trials_table.c
    question = select(t.data, t.first_ts, t.last_ts, t.returns).where(
        t.hypothesis == hypothesis, t.sharpe.is_not(None), t.returns.is_not(None)
    )
    sums: dict[tuple[Any, ...], Floats] = {}
    counts: dict[tuple[Any, ...], int] = {}
    streamed = connection.execution_options(yield_per=_READ_AT_ONCE).execute(question.order_by(t.id))
    for row in streamed:
        series = np.frombuffer(row.returns, "<f4").astype(np.float64)
        off = series - series.mean() if series.size else series
        length = math.sqrt(float((off * off).sum()))
        if not 0.0 < length < math.inf:
            continue
        key = (row.data, row.first_ts, row.last_ts, series.size)
        counts[key] = counts.get(key, 0) + 1
        sums[key] = sums.get(key, 0.0) + off / length
    alone = measured - sum(counts.values())
    together = 0.0
    for key, n in counts.items():
        mean = (float(sums[key] @ sums[key]) - n) / (n * (n - 1.0)) if n > 1 else 0.0
        together += mean_correlation_trials(n, mean)
    return alone + together
