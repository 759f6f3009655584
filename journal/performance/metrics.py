"""Figures of a set of closed trades, each with its definition.

A trade won if its profit after fees is above 0, lost if below; exactly 0 is a scratch, which counts as a
trade and as neither. So the win rate is wins over all closed trades, and wins and losses need not add up to
them. A figure that cannot be known is None: the profit factor without losses, an average over nothing.
Figures that need a field (R, days, captured percent) are over the trades that have it, and a count beside
them says how many.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar

from journal.performance.readable import Readable
from journal.performance.statistics import Interval, mean_interval, profit_factor_interval, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from journal.performance.closed import Closed

__all__ = ["LEVEL", "SQN_LIMIT", "PerformanceMetrics", "measure"]

LEVEL = 0.95
"""Level of the intervals."""

SQN_LIMIT = 100
"""Trades that the system quality number counts at most, so that it does not grow with the journal alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PerformanceMetrics(Readable):
    """What a set of closed trades came to; amounts in currency, rates in percent, None is unknown.

    Attributes
    ----------
    trades, wins, losses, scratches
        Counts; a scratch has a profit of exactly 0.
    win_rate
        Wins over closed trades, percent.
    gross_profit, gross_loss
        Sums of the winners' and the losers' profits after fees; the loss is 0 or negative.
    total_pnl, total_fees
        Profit after fees, and the fees in it.
    profit_factor
        Gross profit over gross loss; None without a loss.
    expectancy
        Mean profit per trade.
    average_win, average_loss, largest_win, largest_loss
        Of winners and of losers; losses are negative.
    payoff_ratio
        Average win over average loss, as a positive ratio.
    r_count, mean_r, sum_r
        Trades with a known R-multiple, and their mean and sum.
    sqn
        System quality number (Tharp): mean over standard deviation of R, times the root of the count, which
        is capped at `SQN_LIMIT`; None for fewer than two trades or R-multiples that do not vary.
    streak
        Wins in a row at the end (positive) or losses (negative); a scratch neither counts nor interrupts.
    longest_win_streak, longest_loss_streak
        Longest such runs, both as positive counts.
    max_drawdown
        Deepest fall of the running profit below its highest point, or below the 0 it starts from; 0 or
        negative.
    days_count, average_days
        Trades with known calendar days in trade, and their mean.
    capture_count, average_capture
        Trades with a known captured percent of the credit or largest profit, and its mean.
    slippage_count, total_slippage
        Trades with a known slippage at entry against the midpoint, and its sum; lost is positive.
    buying_power_days, profit_per_buying_power_day_pct
        Sum of buying power times days over the trades that know both (a trade of one day counts a day), and
        the profit of those trades per such day, percent.
    """

    names: ClassVar[tuple[str, ...]]

    trades: int
    wins: int
    losses: int
    scratches: int
    win_rate: float | None
    gross_profit: float
    gross_loss: float
    total_pnl: float
    total_fees: float
    profit_factor: float | None
    expectancy: float | None
    average_win: float | None
    average_loss: float | None
    largest_win: float | None
    largest_loss: float | None
    payoff_ratio: float | None
    r_count: int
    mean_r: float | None
    sum_r: float
    sqn: float | None
    streak: int
    longest_win_streak: int
    longest_loss_streak: int
    max_drawdown: float
    days_count: int
    average_days: float | None
    capture_count: int
    average_capture: float | None
    slippage_count: int
    total_slippage: float
    buying_power_days: float
    profit_per_buying_power_day_pct: float | None
    pnl: NDArray[np.float64] = field(repr=False)
    r_multiples: NDArray[np.float64] = field(repr=False)

    @functools.cached_property
    def win_rate_interval(self) -> Interval | None:
        """Wilson interval of the win rate, percent."""
        interval = wilson(self.wins, self.trades, LEVEL)
        return interval.scaled(100.0) if interval else None

    @functools.cached_property
    def expectancy_interval(self) -> Interval | None:
        """Interval of the expectancy, currency."""
        return mean_interval(self.pnl, LEVEL)  # type: ignore[arg-type]

    @functools.cached_property
    def mean_r_interval(self) -> Interval | None:
        """Interval of the mean R-multiple."""
        return mean_interval(self.r_multiples, LEVEL)  # type: ignore[arg-type]

    @functools.cached_property
    def profit_factor_interval(self) -> Interval | None:
        """Interval of the profit factor; its upper end may be infinite."""
        return profit_factor_interval(self.pnl, LEVEL)  # type: ignore[arg-type]


PerformanceMetrics.names = (
    *(each.name for each in fields(PerformanceMetrics) if each.repr),
    "win_rate_interval",
    "expectancy_interval",
    "mean_r_interval",
    "profit_factor_interval",
)


def measure(closed: Closed) -> PerformanceMetrics:
    """Compute the figures of some closed trades, which stand in the order of their exits."""
    import numpy as np

    pnl = closed.numbers["pnl"]
    gains, losses = pnl[pnl > 0], pnl[pnl < 0]
    count, wins, lost = len(pnl), len(gains), len(losses)
    gross_profit, gross_loss = float(np.sum(gains)), float(np.sum(losses))
    r_multiples = _known(closed, "r_multiple")
    days, capture, slippage = (_known(closed, name) for name in ("days", "capture_percent", "slippage"))
    tied = closed.numbers["buying_power"] * np.maximum(closed.numbers["days"], 1.0)
    tied_known = tied > 0  # NaN is not
    tied_days = float(np.sum(tied[tied_known]))
    average_win, average_loss = _ratio(gross_profit, wins), _ratio(gross_loss, lost)
    streak, longest_wins, longest_losses = _streaks(pnl)
    return PerformanceMetrics(
        trades=count,
        wins=wins,
        losses=lost,
        scratches=count - wins - lost,
        win_rate=_ratio(100.0 * wins, count),
        gross_profit=gross_profit,
        gross_loss=gross_loss,
        total_pnl=float(np.sum(pnl)),
        total_fees=float(np.sum(closed.numbers["fees"])),
        profit_factor=_ratio(gross_profit, -gross_loss),
        expectancy=_ratio(float(np.sum(pnl)), count),
        average_win=average_win,
        average_loss=average_loss,
        largest_win=float(np.max(gains)) if wins else None,
        largest_loss=float(np.min(losses)) if lost else None,
        payoff_ratio=_ratio(average_win, -average_loss) if average_win and average_loss else None,
        r_count=len(r_multiples),
        mean_r=_ratio(float(np.sum(r_multiples)), len(r_multiples)),
        sum_r=float(np.sum(r_multiples)),
        sqn=_quality(r_multiples),
        streak=streak,
        longest_win_streak=longest_wins,
        longest_loss_streak=longest_losses,
        max_drawdown=_drawdown(pnl),
        days_count=len(days),
        average_days=_ratio(float(np.sum(days)), len(days)),
        capture_count=len(capture),
        average_capture=_ratio(float(np.sum(capture)), len(capture)),
        slippage_count=len(slippage),
        total_slippage=float(np.sum(slippage)),
        buying_power_days=tied_days,
        profit_per_buying_power_day_pct=_ratio(100.0 * float(np.sum(pnl[tied_known])), tied_days),
        pnl=pnl,
        r_multiples=r_multiples,
    )


def _known(closed: Closed, name: str) -> NDArray[np.float64]:
    import numpy as np

    values = closed.numbers[name]
    return values[~np.isnan(values)]


def _ratio(above: float, below: float) -> float | None:
    if below == 0:
        return None
    value = above / below
    return value if math.isfinite(value) else None


def _quality(r_multiples: NDArray[np.float64]) -> float | None:
    import numpy as np

    if len(r_multiples) < 2:
        return None
    spread = float(np.std(r_multiples, ddof=1))
    if spread <= 1e-12 * float(np.max(np.abs(r_multiples))):
        return None
    return _ratio(math.sqrt(min(len(r_multiples), SQN_LIMIT)) * float(np.mean(r_multiples)), spread)


def _streaks(pnl: NDArray[np.float64]) -> tuple[int, int, int]:
    """Return the run at the end with its sign, the longest run of wins and that of losses."""
    import numpy as np

    signs = np.sign(pnl[pnl != 0])
    if not len(signs):
        return 0, 0, 0
    starts = np.concatenate(([0], np.flatnonzero(signs[1:] != signs[:-1]) + 1))
    lengths = np.diff(np.concatenate((starts, [len(signs)])))
    won = signs[starts] > 0
    last = int(lengths[-1]) if won[-1] else -int(lengths[-1])
    longest_wins = int(np.max(lengths[won])) if won.any() else 0
    longest_losses = int(np.max(lengths[~won])) if not won.all() else 0
    return last, longest_wins, longest_losses


def _drawdown(pnl: NDArray[np.float64]) -> float:
    import numpy as np

    if not len(pnl):
        return 0.0
    curve = np.cumsum(pnl)
    peak = np.maximum(np.maximum.accumulate(curve), 0.0)
    return min(0.0, float(np.min(curve - peak)))
