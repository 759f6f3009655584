"""What came of a walk-forward: folds, stitched returns, the default beside them, and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optimize.forward.verdict import Verdict
from optimize.forward.windows import Fold, Mode
from optimize.objectives import Objective
from optimize.statistics.returns import column_sharpes

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.results import Result

__all__ = ["WalkForward"]


@dataclass(frozen=True, eq=False)
class WalkForward:
    """Result of `walk_forward`.

    Attributes
    ----------
    mode, objective, strategy
        How it was split, what was maximised, and the strategy as it was given.
    bars
        What it ran over.
    folds : DataFrame
        One row per fold: `fold`; `train_start`, `train_end`, `test_start`, `test_end` (UTC labels of the
        first and last bar; a training may have gaps); `train_sessions`, `test_sessions`; `tried`; the
        objective
        `in_sample` and `out_of_sample`, each also of the strategy as given (`..._default`), NaN where it is
        not defined; `default_better`, whether the strategy as given was better out of sample; `trades` and
        `total_return` out of sample, and those as given (`..._default`); then the tuned parameters. Figures
        out of sample are of the tested windows alone, from cash.
    returns, default_returns, market_returns : Series
        Session returns out of sample of the tuned strategy, of the strategy as given, and of all symbols held
        in equal parts; by session date, as fractions. With several paths, their mean.
    equity, default_equity : Series
        Cash grown by these returns, in currency.
    default_beats_tuned
        Share of the folds in which the strategy as given was better out of sample.
    verdict
        What it shows.
    paths : DataFrame
        One row per whole history that the tests make, with its `sharpe` (annual), `total_return` and
        `max_drawdown`; one row but for mode "combinatorial".
    windows
        The folds as rows of the bars, in the order of `folds`: each may be trained and tested in several
        stretches.
    results, default_results
        The backtests behind: one through all windows for "rolling" and "anchored", else one per tested window
        and path.
    tried
        Sets that were tried in all folds together.
    """

    mode: Mode
    objective: Objective
    strategy: Any
    bars: Bars = field(repr=False)
    folds: pd.DataFrame = field(repr=False)
    returns: pd.Series[float] = field(repr=False)
    default_returns: pd.Series[float] = field(repr=False)
    market_returns: pd.Series[float] = field(repr=False)
    equity: pd.Series[float] = field(repr=False)
    default_equity: pd.Series[float] = field(repr=False)
    default_beats_tuned: float
    verdict: Verdict
    paths: pd.DataFrame = field(repr=False)
    windows: tuple[Fold, ...] = field(repr=False)
    results: tuple[Result, ...] = field(repr=False)
    default_results: tuple[Result, ...] = field(repr=False)
    tried: int

    @property
    def sharpe(self) -> float:
        """Annual Sharpe ratio out of sample; NaN where nothing varied."""
        return self._sharpe(self.returns)

    @property
    def default_sharpe(self) -> float:
        """The same of the strategy as given."""
        return self._sharpe(self.default_returns)

    @property
    def name(self) -> str:
        """Name of the strategy."""
        return str(getattr(self.strategy, "name", getattr(self.strategy, "__name__", "strategy")))

    def tested(self, at: int) -> str:
        """Return the dates of the tested stretches of the fold in row `at` of `folds`."""
        labels, joined = self.bars.index, list[tuple[int, int]]()
        for first, last in self.windows[at].test:
            if joined and joined[-1][1] == first:
                first = joined.pop()[0]
            joined.append((first, last))
        return ", ".join(f"{labels[first]:%Y-%m-%d} to {labels[last - 1]:%Y-%m-%d}" for first, last in joined)

    def sentence(self) -> str:
        """Return the verdict in words."""
        return self.verdict.sentence

    def report(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write one self-contained HTML page and return where it is; see `optimize.report`."""
        from optimize.report import write_report

        return write_report(self, path, title=title)

    def __str__(self) -> str:
        """Return the outcome in a few lines, the verdict last."""
        count = len(self.folds)
        first, last = self.returns.index[0], self.returns.index[-1]
        lines = [
            f"{self.name}: {self.mode}, {count} folds, {self.tried:,} sets tried, objective "
            f"{self.objective.label}",
            f"out of sample: {len(self.returns):,} sessions from {first:%Y-%m-%d} to {last:%Y-%m-%d}",
        ]
        for word, one in (
            ("tuned", self.returns), ("as given", self.default_returns), ("holding", self.market_returns),
        ):  # fmt: skip
            sharpe = self._sharpe(one)
            shown = f"{sharpe:6.2f}" if math.isfinite(sharpe) else f"{'-':>6}"
            lines.append(f"  {word:8}  Sharpe ratio {shown}, total return {_total(one):8.1%}")
        if len(self.paths) > 1:
            low, high = self.paths["sharpe"].min(), self.paths["sharpe"].max()
            lines.append(f"  {len(self.paths)} paths with Sharpe ratios from {low:.2f} to {high:.2f}")
        return "\n".join([*lines, self.sentence()])

    def _sharpe(self, returns: pd.Series[float]) -> float:
        values = np.asarray(returns, np.float64)[:, None]
        return float(column_sharpes(values)[0] * np.sqrt(self.bars.sessions_per_year))


def _total(returns: pd.Series[float]) -> float:
    return float(np.prod(1.0 + returns.to_numpy(np.float64)) - 1.0)
