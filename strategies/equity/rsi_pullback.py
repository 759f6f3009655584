"""RSI pullback in a trend: a bracket (entry, stop and target) after a short fall in a rising market.

Set-up: the close is above its long average and the short RSI falls below a threshold. Entry: a buy stop at
the high of that bar, working for a few bars, so that the pullback must turn before money is at risk. Stop:
average true ranges below the entry price. Target: `reward_risk` times that distance above it. A trade that
goes nowhere leaves after `max_bars`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategies.base import Array, Float, Int, Strategy, param

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["RsiPullback"]


class RsiPullback(Strategy):
    """Buy the turn of a pullback with a bracket order."""

    name = "rsi-pullback"

    @dataclass(frozen=True)
    class Params:
        """Lengths in bars, distances in average true ranges."""

        trend: int = param(100, Int(50, 200, 50), minimum=2, help="bars of the trend average")
        rsi_length: int = param(4, Int(2, 14, 1), minimum=1, help="bars of the RSI")
        oversold: float = param(
            30.0, Float(10.0, 40.0, 5.0), minimum=1.0, maximum=99.0, help="RSI of a pullback"
        )
        atr_length: int = param(14, minimum=1, help="bars of the average true range")
        stop_atr: float = param(
            1.5, Float(1.0, 3.0, 0.5), minimum=0.1, help="stop, ATR below the entry price"
        )
        reward_risk: float = param(2.5, Float(2.0, 4.0, 0.5), minimum=0.1, help="target per unit of risk")
        valid_bars: int = param(3, minimum=1, help="bars for which the entry works")
        max_bars: int = param(20, Int(5, 40, 5), minimum=1, help="time exit, in bars")
        weekly_average: int = param(
            0, Int(0, 40, 10), minimum=0, help="weeks of the weekly trend filter, 0 for no filter"
        )

    params: Params

    @property
    def warmup(self) -> int:
        """Bars until the averages exist and Wilder's have settled."""
        weekly = 5 * (self.params.weekly_average + 1) if self.params.weekly_average else 0
        settled = 5 * self.params.rsi_length, 3 * self.params.atr_length + 3
        return max(self.params.trend + 1, weekly, *settled)

    def values(self, bars: Bars) -> Mapping[str, Array]:
        """Trend average and ATR in currency, RSI from 0 to 100, the weekly trend as +1, -1 or NaN."""
        from strategies.indicators import atr, rsi, sma
        from strategies.timeframes import higher_trend

        series = {
            "trend": sma(bars.close, self.params.trend),
            "rsi": rsi(bars.close, self.params.rsi_length),
            "atr": atr(bars.high, bars.low, bars.close, self.params.atr_length),
        }
        if self.params.weekly_average:
            series["weekly_trend"] = higher_trend(bars, "1W", self.params.weekly_average)
        return series

    def signals(self, bars: Bars) -> Signals:
        """One bracket per pullback, the deepest first."""
        from strategies.indicators import crossed_below

        series = self.values(bars)
        reach = self.params.stop_atr * series["atr"]
        entry = bars.high
        setup = crossed_below(series["rsi"], self.params.oversold) & (bars.close > series["trend"])
        setup &= (reach > 0) & (entry - reach > 0)
        if "weekly_trend" in series:
            setup &= series["weekly_trend"] > 0
        return self.emit(
            bars,
            setup,
            1,
            entry="stop",
            entry_price=entry,
            valid_bars=self.params.valid_bars,
            stop=entry - reach,
            target=entry + self.params.reward_risk * reach,
            max_bars=self.params.max_bars,
            priority=100.0 - np.nan_to_num(series["rsi"], nan=100.0),
            tag="rsi-pullback",
        )
