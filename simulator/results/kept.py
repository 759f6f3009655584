"""Kept runs: what came of a backtest, in one small file each, so that it can be found and compared later.

These are the values; `simulator.results.kept_folder` reads the files, `simulator.results.keeping` writes
them, and `Result.keep` is how to ask for it. Names and notes are as somebody gave them, in files that may
come from anywhere: text to be shown, never markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.results.curves import drawdown_of

__all__ = ["MOST_TRADES", "KeptRun", "KeptRuns", "KeptTrade", "Scalar", "WholeRun"]

MOST_TRADES: Final = 20_000
"""Trades of a run that are kept, the last; what is left out is counted."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """What a list shows of a run.

    Attributes
    ----------
    id, fingerprint
        The first 16 hex digits of the fingerprint, and all of it.
    created, updated
        When it was first and last kept, UTC.
    version, engine
        Of Twinstep, and the hash of the engine.
    strategy, parameters, note
        Names and words as somebody gave them: not to be trusted.
    data
        Of the bars: `name`, `label` (REAL, SYNTHETIC, USER, ... MODELLED), `symbols`, `first` and `last`
        (dates), `bars`, `fingerprint`, `calendar`, `benchmark`.
    conventions, costs
        Names of the profile and the preset, "changed" behind them where single values differ.
    risk
        Whether the risk manager was on.
    metrics
        As `Result.metrics`, NaN where one is not defined.
    sharpe_interval
        Of the annual Sharpe ratio at 95 %, from length, skewness and kurtosis of the session returns; None
        where it is not known.
    scripts
        SHA-256 of the report's own scripts, base64; empty where no report was kept.
    """

    id: str
    fingerprint: str
    created: datetime
    updated: datetime
    version: str
    engine: str
    strategy: str
    parameters: Mapping[str, Scalar]
    note: str
    data: Mapping[str, Scalar]
    conventions: str
    costs: str
    risk: bool
    metrics: Mapping[str, float]
    sharpe_interval: tuple[float, float] | None
    scripts: tuple[str, ...]

    def metric(self, name: str) -> float:
        """Return a metric, NaN where it is not known."""
        return self.metrics.get(name, math.nan)

    def text(self, name: str) -> str:
        """Return a word about the data, "" where it is not known."""
        value = self.data.get(name)
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """The runs of a folder, last kept first, and what could not be read, a sentence each."""

    runs: tuple[KeptRun, ...] = ()
    problems: tuple[str, ...] = ()


class KeptTrade(NamedTuple):
    """A position: times UTC ns, prices and money in currency, `r` NaN without a stop."""

    symbol: str
    side: int
    qty: float
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    exit_reason: str
    fees: float
    pnl: float
    r: float
    bars: float
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WholeRun:
    """Everything that is kept of a run but its report.

    Attributes
    ----------
    head
        What the list shows.
    settings
        By section ("Strategy", "Account", "Limits", "Costs", "Conventions", "Data"), then by name.
    ts, equity, paid : (sessions,)
        Begin of each session's date in UTC ns, equity at its last mark, what was paid in during it.
    every
        Sessions per row: more than 1 where a run was too long to keep each.
    trades
        In the order in which they ended; at most `MOST_TRADES`, the others are `left_out`.
    interval
        Metrics under "worst" and "best" conventions, where they were run; else empty.
    """

    head: KeptRun
    settings: Mapping[str, Mapping[str, Scalar]]
    cash: float
    ts: Ints
    equity: Floats
    paid: Floats
    every: int
    trades: tuple[KeptTrade, ...]
    left_out: int
    interval: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def returns(self) -> Floats:
        """Simple returns (sessions,); 0 where nothing was left at a session's start."""
        base = np.concatenate(([self.cash], self.equity[:-1])) + self.paid if len(self.equity) else self.paid
        return np.where(base > 0, self.equity / np.where(base > 0, base, 1.0) - 1.0, 0.0)

    @property
    def growth(self) -> Floats:
        """Total return up to each session (sessions,), money paid in left out."""
        return np.asarray(np.cumprod(1.0 + self.returns) - 1.0)

    @property
    def drawdown(self) -> Floats:
        """Equity over its highest so far, less 1 (sessions,), at the marks of sessions alone."""
        if not len(self.equity):
            return self.equity
        return drawdown_of(self.equity, self.cash, np.asarray(self.paid) if self.paid.any() else None)
