"""What a driver hands over when a run ends: inputs, logs and final records, nothing computed.

`RawRun` is the whole of what a `Result` knows. The logs are the kernel's own records, in the order in which
they were written; times are UTC nanoseconds, rows are rows of `bars`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulator.kernel.state import each_bar, joined

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.results.interval import IntervalReport
    from simulator.risk_limits import RiskLimits
    from simulator.signals import Signals

__all__ = ["RawRun"]

Records = npt.NDArray[np.void]


@dataclass(frozen=True)
class RawRun:
    """Inputs, logs and final records of one run.

    Parameters
    ----------
    bars, signals
        The market, and what was to be traded in it.
    cash
        Money at the start, in currency.
    risk
        Limits of the risk manager; None where it was off.
    costs, conventions
        By which rules orders filled.
    fills, closed_trades, verdicts, events
        Records of the dtypes `FILL`, `TRADE`, `VERDICT`, `EVENT`.
    open_trades
        `TRADE` records of the positions that were open when the data ended, at their last mark
        (`EXIT_END_OF_DATA`); empty where the run kept no log.
    equity_runs
        `EQUITY` records in the order of the bars, each for as many bars as its `bars` says; they end where
        the run stopped. None where it kept no log.
    metrics, account
        `METRICS` accumulators and the final `ACCOUNT`, both of length 1.
    tags, strategies
        Names by code; code 0 is "".
    engine_hash
        Hash of the kernel that ran.
    interval_runner
        Makes the interval over the conventions when it is asked for; None where it cannot be made.
    """

    bars: Bars
    signals: Signals
    cash: float
    risk: RiskLimits | None
    costs: Costs
    conventions: Conventions
    fills: Records
    closed_trades: Records
    open_trades: Records
    verdicts: Records
    events: Records
    equity_runs: Records
    metrics: Records
    account: Records
    tags: tuple[str, ...]
    strategies: tuple[str, ...]
    engine_hash: str
    interval_runner: Callable[[], IntervalReport] | None = None

    @cached_property
    def trades(self) -> Records:
        """`TRADE` records: the closed trades, then the open ones."""
        return joined([self.closed_trades, self.open_trades])

    @cached_property
    def seen(self) -> int:
        """Number of bars that the equity log covers."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        # bars up to the end of each row of the equity log
        return np.cumsum(self.equity_runs["bars"])

    @cached_property
    def equity(self) -> Records:
        """`EQUITY` records, one per bar."""
        return each_bar(self.equity_runs)

    def equity_at(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the equity at the close of some bars."""
        run = np.searchsorted(self._ends, rows, side="right")
        return np.asarray(self.equity_runs["equity"][run])
