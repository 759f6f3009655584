"""What is known at the close of a session's newest bars: signals, aligned, in the session's own names.

Strategies are asked about the bars seen so far, and only signals of the newest ones count. Names of tags and
strategies get the session's codes, which only grow, so that a restart or another order of asking changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.engine import prepare, signals_of
from simulator.signals import Signals

if TYPE_CHECKING:
    from live.sessions.history import History
    from live.sessions.trades import Names
    from simulator.bars import Bars
    from simulator.risk_limits import RiskLimits

__all__ = ["known_at"]


def known_at(
    history: History,
    rows: Sequence[Bars],
    given: Sequence[Signals],
    *,
    asked: Sequence[Any],
    names: Names,
    risk: RiskLimits | None,
    behind: int = 0,
) -> list[Signals]:
    """Return the signals of the newest rows of a history, row by row.

    Parameters
    ----------
    history
        All rows that are known, `rows` included.
    rows
        The rows that are asked about.
    given
        Signals beside those of strategies.
    asked
        Strategies.
    names
        The session's codes; new ones are added.
    risk
        Limits; None where every signal brings its quantity.
    behind
        Rows of the history that come after `rows`, and are not to be known yet.
    """
    if not rows or not (given or asked):
        return [Signals.empty(row) for row in rows]
    bars = history.until(len(history) - 1 - behind)
    times = np.array([row.ts[0] for row in rows], np.int64)
    parts = list(given)
    if asked:
        parts.append(signals_of(asked if len(asked) > 1 else asked[0], bars))
    chosen = [_at_times(part, times) for part in parts]
    signals = chosen[0] if len(chosen) == 1 else Signals.concat(chosen)
    if not len(signals):
        return [Signals.empty(row) for row in rows]
    records = prepare(signals, bars, risk)
    edges = np.searchsorted(records["row"], np.arange(len(bars) - len(rows), len(bars) + 1))
    return [
        _named(signals, records[edges[index] : edges[index + 1]], history.like, names)
        for index in range(len(rows))
    ]


def _at_times(signals: Signals, times: npt.NDArray[np.int64]) -> Signals:
    mine = np.isin(signals.records["ts"], times)
    if mine.all():
        return signals
    return Signals(
        signals.records[mine], signals.symbols, tags=signals.tags, strategies=signals.strategies,
        sectors=signals.sectors, checked_stops=signals.checked_stops, packages=signals.packages,
        legs=signals.legs,
    )  # fmt: skip


def _named(signals: Signals, records: npt.NDArray[np.void], like: Bars, names: Names) -> Signals:
    records = records.copy()
    records["row"] = 0
    for name, table in (("tag", signals.tags), ("strategy", signals.strategies)):
        records[name] = names.coded(records, name, table)
    packages = legs = None
    used = np.unique(records["package"][records["package"] > 0])
    if len(used):
        packages, legs = signals.packages[used - 1], signals.legs[used - 1]
        places = np.searchsorted(used, records["package"]) + 1
        records["package"] = np.where(records["package"] > 0, places, 0)
    return Signals(
        records, like.symbols, tags=tuple(names.tags), strategies=tuple(names.strategies),
        sectors=like.sector_names, packages=packages, legs=legs,
    )  # fmt: skip
