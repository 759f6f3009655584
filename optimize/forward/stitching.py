"""What was earned out of sample: tested windows put together to whole histories.

Where each test follows its training, tests follow each other, and one account trades through all of them:
parameters change at the borders, positions stay open, as for who tunes again every quarter. Where training
lies on both sides, a position that stayed open would earn in sessions that its parameters were tuned on; so
each tested window is an account of its own, which begins flat and is marked at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optimize.evaluator import Evaluator
from optimize.forward.windows import Fold
from optimize.splits import combinatorial_paths
from simulator.results.curves import buy_and_hold, session_ends

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.results import Result
    from simulator.results.raw import RawRun

__all__ = ["History", "carried", "market_returns", "paths_of", "sessions_between", "windowed"]

Floats = npt.NDArray[np.float64]
Rows = tuple[int, int]
Part = tuple[Mapping[str, Any], int, int]


@dataclass(frozen=True, eq=False)
class History:
    """Returns of tested windows one after another, and the backtests behind them.

    Attributes
    ----------
    returns : (sessions,) float64
    results
        One, or one per window.
    """

    returns: Floats
    results: tuple[Result, ...]

    @property
    def trades(self) -> int:
        """Positions that were opened."""
        return sum(len(result.raw.trades) for result in self.results)

    @property
    def risk(self) -> float:
        """Largest share of equity at risk at once; 0 where a trade has no known risk, or none was made."""
        runs = [result.raw for result in self.results if len(result.raw.trades)]
        if not all((run.trades["initial_risk"] > 0.0).all() for run in runs):
            return 0.0
        return max((_at_risk(run) for run in runs), default=0.0)


def carried(evaluator: Evaluator, parts: Sequence[Part]) -> History:
    """Trade through windows that follow each other, with one account."""
    result = evaluator.result(parts)
    before = sessions_between(evaluator.bars, (0, parts[0][1]))
    return History(np.asarray(result.returns.to_numpy(), np.float64)[before:], (result,))


def windowed(evaluator: Evaluator, parts: Sequence[Part]) -> History:
    """Trade each window from cash, and put the returns behind each other."""
    histories = [carried(evaluator, [part]) for part in parts]
    return History(
        np.concatenate([one.returns for one in histories]), tuple(one.results[0] for one in histories)
    )


def paths_of(folds: Sequence[Fold]) -> list[list[tuple[int, Rows]]]:
    """Return the whole histories that tests make: for each the windows in order, with their fold's place."""
    if len(folds[0].test) == 1:
        return [[(place, fold.test[0]) for place, fold in enumerate(folds)]]
    groups = 1 + max(max(fold.groups) for fold in folds)
    found = []
    for path in combinatorial_paths(groups, len(folds[0].groups)).tolist():
        steps = [
            (place, folds[place].test[folds[place].groups.index(group)]) for group, place in enumerate(path)
        ]
        found.append(steps)
    return found


def sessions_between(bars: Bars, rows: Rows) -> int:
    """Return how many sessions begin in a stretch of rows that begins with a session."""
    first, last = rows
    return len(np.unique(bars.session_no[first:last]))


def market_returns(bars: Bars, windows: Sequence[Rows]) -> Floats:
    """Return session returns of all symbols held in equal parts, over windows, shape (sessions,)."""
    ends = session_ends(bars, len(bars))
    worth = buy_and_hold(bars)[ends]
    moves = np.diff(worth, prepend=worth[:1]) / np.concatenate([worth[:1], worth[:-1]])
    kept = np.zeros(len(ends), bool)
    for first, last in windows:
        kept |= (ends >= first) & (ends < last)
    return np.asarray(moves[kept], np.float64)


def _at_risk(run: RawRun) -> float:
    """Return the largest share of equity that all open positions of a bar could lose together.

    The larger of two counts: initial risks of the trades that were open in some moment of a bar, which stops
    that were raised later do not lessen; and heat at its close, in which are planned adds, entries that still
    wait, and what a package can lose in spite of its stop.
    """
    log = run.trades
    shares = log["initial_risk"] / run.equity_at(np.maximum(log["entry_row"] - 1, 0))
    left = np.where(log["exit_row"] >= log["entry_row"], log["exit_row"], run.seen - 1)
    change = np.zeros(run.seen + 1)
    np.add.at(change, log["entry_row"], shares)
    np.add.at(change, left + 1, -shares)
    heat = run.equity_runs["heat"]
    # a lost account has no share of it at risk
    return max(float(np.cumsum(change).max()), float(heat[np.isfinite(heat)].max(initial=0.0)))
