"""What the best trial of a hypothesis is worth, read from the ledger's rows.

Sharpe ratios over windows of different length do not compare: short ones scatter more, so the best of all
would come from the shortest. So each window (data, first and last bar, sessions) has its own best, judged
against all trials of the hypothesis; the longest window speaks for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from optimize.counting.tables import stopped_early, trials_table
from optimize.statistics.returns import mean_correlation_trials, sample_variance
from optimize.statistics.sharpe import expected_max_sharpe, probabilistic_sharpe

__all__ = ["HypothesisRecord", "WindowRecord", "summarise", "usual_sessions"]

Floats = npt.NDArray[np.float64]

_READ_AT_ONCE: Final = 1000
_YEAR_NS: Final = 365.25 * 86_400e9
_USUAL: Final = (252.0, 365.0)
"""Sessions per year in New York, and around the clock."""
_NEAR: Final = 0.03
_SHORT: Final = 200  # sessions: a window is no measure of a year


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """The best trial over one window, given all trials of the hypothesis.

    Attributes
    ----------
    data, first_ts, last_ts, sessions
        The window: fingerprint of the bars, labels of the first and the last in UTC ns, its sessions.
    measured
        Trials over it with a Sharpe ratio.
    best_id, best_parameters, best_sharpe
        The one with the highest Sharpe ratio per session.
    variance
        Of their Sharpe ratios per session (ddof 1), but not less than what the deviations within all windows
        come to at this length; NaN where no two trials can be compared.
    expected_max, deflated, assumed_normal
        As in `HypothesisRecord`.
    """

    data: str
    first_ts: int
    last_ts: int
    sessions: int
    measured: int
    best_id: str
    best_parameters: Mapping[str, Any]
    best_sharpe: float
    variance: float
    expected_max: float
    deflated: float
    assumed_normal: bool


@dataclass(frozen=True, slots=True)
class HypothesisRecord:
    """What the ledger knows about one hypothesis.

    Attributes
    ----------
    hypothesis, trials
        Its name, and how many trials it has cost.
    measured
        Trials with a Sharpe ratio. The others made no trade, and cannot be the best by luck; or they were
        stopped early, in which case they count in `effective`.
    effective
        Independent trials that all amount to: the measured ones by the correlation of those of which the
        returns were recorded, others and those stopped early in full. 0 without measured trials.
    best_id, best_parameters, best_sharpe, best_sessions
        Over the longest window, the trial with the highest Sharpe ratio per session; "" and NaN without one.
    variance
        Of the Sharpe ratios per session over that window; see `WindowRecord`.
    expected_max
        Sharpe ratio per session that luck alone would show as the best there of `effective` trials.
    deflated
        Deflated Sharpe ratio of the best, 0 to 1; NaN where it is not defined.
    assumed_normal
        Whether skewness and kurtosis of the best are not known and were taken as 0 and 3.
    windows
        The best of each window, the longest first.
    stopped
        Trials that were stopped early.
    walk_forward
        Trials that were run within the windows of walk-forwards.
    per_year
        Sessions per year over the longest window, for annual figures; see `usual_sessions`.
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
    windows: tuple[WindowRecord, ...] = ()
    stopped: int = 0
    walk_forward: int = 0
    per_year: float = _USUAL[0]

    def __str__(self) -> str:
        counted = f"{self.hypothesis}: {self.trials:,} trial{'s' if self.trials != 1 else ''}"
        if self.walk_forward:
            counted += f", of which {self.walk_forward:,} in walk-forward windows"
        if not self.measured:
            return f"{counted}, none with a Sharpe ratio."
        counted += f" (about {self.effective:.1f} independent)"
        year = math.sqrt(self.per_year)
        best = f"the best annual Sharpe ratio is {self.best_sharpe * year:.2f}"
        if len(self.windows) > 1:
            best += f" over the longest of {len(self.windows)} windows ({self.best_sessions:,} sessions)"
        if math.isnan(self.deflated):
            return f"{counted}, {best}; how much of it is luck is not known."
        return (
            f"{counted}, {best} where luck alone would show {self.expected_max * year:.2f}: real with "
            f"probability {self.deflated:.3f}."
        )


class _Window(NamedTuple):
    data: str
    first_ts: int
    last_ts: int
    sessions: int


def usual_sessions(first_ts: int, last_ts: int, sessions: int) -> float:
    """Return the sessions in a year of a market, of which a window of so many is known (labels in UTC ns).

    The ledger knows no calendar. What is within 3 % of New York's 252 or the clock's 365 is taken as that, so
    that the figures are those of studies; a window too short to tell, as the nearer of the two.
    """
    years = (last_ts - first_ts) / _YEAR_NS
    if years <= 0.0:
        return _USUAL[0]
    found = sessions / years
    nearest = min(_USUAL, key=lambda usual: abs(found - usual))
    return nearest if sessions < _SHORT or abs(found / nearest - 1.0) <= _NEAR else found


def summarise(connection: Connection | None, hypothesis: str) -> HypothesisRecord:
    """Return what is known about a hypothesis; without a connection there are no trials."""
    nan = math.nan
    t = trials_table.c
    mine = t.hypothesis == hypothesis
    total = stopped = forward = 0
    sharpes: dict[_Window, list[float]] = {}
    best: dict[_Window, tuple[float, str]] = {}
    if connection is not None:
        total = connection.execute(select(func.count()).where(mine)).scalar_one()
        stopped = connection.execute(select(func.count()).where(mine, stopped_early())).scalar_one()
        within = t.source == "walk_forward"
        forward = connection.execute(select(func.count()).where(mine, within)).scalar_one()
        question = select(t.id, t.sharpe, t.data, t.first_ts, t.last_ts, t.sessions)
        for row in connection.execute(question.where(mine, t.sharpe.is_not(None)).order_by(t.id)):
            window = _Window(row.data, row.first_ts, row.last_ts, row.sessions)
            sharpes.setdefault(window, []).append(row.sharpe)
            if window not in best or row.sharpe > best[window][0]:
                best[window] = row.sharpe, row.id
    if connection is None or not sharpes:
        return HypothesisRecord(
            hypothesis, total, 0, 0.0, "", {}, nan, 0, nan, nan, nan, False, stopped=stopped,
            walk_forward=forward,
        )  # fmt: skip
    measured = sum(map(len, sharpes.values()))
    effective = _effective(connection, hypothesis, measured) + stopped
    spread = _spread(sharpes)
    order = sorted(sharpes, key=lambda one: (-one.sessions, -len(sharpes[one]), -one.last_ts, *one))
    windows = tuple(_judged(connection, one, best[one][1], sharpes[one], effective, spread) for one in order)
    longest = windows[0]
    return HypothesisRecord(
        hypothesis=hypothesis,
        trials=total,
        measured=measured,
        effective=effective,
        best_id=longest.best_id,
        best_parameters=longest.best_parameters,
        best_sharpe=longest.best_sharpe,
        best_sessions=longest.sessions,
        variance=longest.variance,
        expected_max=longest.expected_max,
        deflated=longest.deflated,
        assumed_normal=longest.assumed_normal,
        windows=windows,
        stopped=stopped,
        walk_forward=forward,
        per_year=usual_sessions(longest.first_ts, longest.last_ts, longest.sessions),
    )


def _judged(
    connection: Connection,
    window: _Window,
    best_id: str,
    sharpes: Sequence[float],
    effective: float,
    spread: float,
) -> WindowRecord:
    """Return the best of a window; `spread` is the variance of a Sharpe ratio times its sessions."""
    t = trials_table.c
    question = select(t.parameters, t.sharpe, t.skewness, t.kurtosis).where(t.id == best_id)
    best = connection.execute(question).one()
    # few trials over a window may be alike by choice, and would make it look as if luck were small
    known = [sample_variance(np.array(sharpes)), spread / window.sessions if window.sessions else math.nan]
    variance = float(np.fmax.reduce(known))
    luck = expected_max_sharpe(effective, variance)
    normal = best.skewness is None or best.kurtosis is None
    skewness, kurtosis = (0.0, 3.0) if normal else (best.skewness, best.kurtosis)
    deflated = probabilistic_sharpe(
        best.sharpe, window.sessions, benchmark=luck, skewness=skewness, kurtosis=kurtosis
    )
    return WindowRecord(
        *window, measured=len(sharpes), best_id=best_id, best_parameters=json.loads(best.parameters),
        best_sharpe=best.sharpe, variance=variance, expected_max=luck, deflated=deflated,
        assumed_normal=normal,
    )  # fmt: skip


def _spread(sharpes: Mapping[_Window, Sequence[float]]) -> float:
    """Return the variance of Sharpe ratios within their windows, each times its sessions.

    The variance of an estimate falls with the length of its window; times the length, windows compare. Where
    every window has one trial only, they are compared with each other.
    """
    scaled = [np.sqrt(one.sessions) * np.array(found, np.float64) for one, found in sharpes.items()]
    free = sum(found.size - 1 for found in scaled)
    if not free:
        return sample_variance(np.concatenate(scaled))
    return float(sum(((found - found.mean()) ** 2).sum() for found in scaled) / free)


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
