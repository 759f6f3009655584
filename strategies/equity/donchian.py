"""Donchian breakout with a trailing stop: buy strength, let the trail decide when it is over.

Enters at the next open after a close beyond the channel of the bars before. The initial stop and the trailing
stop are average true ranges; a close beyond the opposite, shorter channel also ends the trade. Entries may be
filtered by the weekly trend: the last completed weekly close above its own average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategies.base import Array, Choice, Float, Int, Strategy, param

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["DonchianBreakout"]


class DonchianBreakout(Strategy):
    """Trend following on channel breakouts, several ways out."""

    name = "donchian-breakout"

    @dataclass(frozen=True)
    class Params:
        """Lengths in bars, distances in average true ranges."""

        length: int = param(20, Int(10, 100, 10), minimum=2, help="bars of the entry channel")
        exit_length: int = param(10, Int(5, 50, 5), minimum=2, help="bars of the exit channel")
        atr_length: int = param(14, minimum=1, help="bars of the average true range")
        stop_atr: float = param(
            2.0, Float(1.0, 4.0, 0.5), minimum=0.1, help="initial stop, ATR from the fill"
        )
        trail_atr: float = param(
            3.0, Float(1.5, 6.0, 0.5), minimum=0.1, help="trailing stop, ATR from the peak"
        )
        direction: str = param(
            "long", Choice(("long", "short", "both")), help="'both' wants the convention opposite='reverse'"
        )
        weekly_average: int = param(
            0, Int(0, 40, 10), minimum=0, help="weeks of the weekly trend filter, 0 for no filter"
        )

    params: Params

    @property
    def warmup(self) -> int:
        """Bars until the channels, a settled ATR and, if used, the weekly average exist."""
        weekly = 5 * (self.params.weekly_average + 1) if self.params.weekly_average else 0
        return max(
            self.params.length + 2, self.params.exit_length + 2, 3 * self.params.atr_length + 3, weekly
        )

    def values(self, bars: Bars) -> Mapping[str, Array]:
        """Channels of the bars before, and the ATR, in currency; the weekly trend as +1, -1 or NaN."""
        from strategies.indicators import atr, lag, rolling_high, rolling_low
        from strategies.timeframes import higher_trend

        series = {
            "upper": lag(rolling_high(bars.high, self.params.length)),
            "lower": lag(rolling_low(bars.low, self.params.length)),
            "exit_upper": lag(rolling_high(bars.high, self.params.exit_length)),
            "exit_lower": lag(rolling_low(bars.low, self.params.exit_length)),
            "atr": atr(bars.high, bars.low, bars.close, self.params.atr_length),
        }
        if self.params.weekly_average:
            series["weekly_trend"] = higher_trend(bars, "1W", self.params.weekly_average)
        return series

    def signals(self, bars: Bars) -> Signals:
        """One signal per breakout, stronger breakouts first; one closing signal per exit."""
        from strategies.indicators import carry, crossed_above, crossed_below, first_after

        series = self.values(bars)
        close, reach = carry(bars.close), series["atr"]
        rise = crossed_above(close, series["upper"]) & (reach > 0)
        fall = crossed_below(close, series["lower"]) & (reach > 0)
        if "weekly_trend" in series:
            rise &= series["weekly_trend"] > 0
            fall &= series["weekly_trend"] < 0
        longs = rise & (self.params.direction != "short")
        shorts = fall & (self.params.direction != "long")
        leave = np.zeros_like(longs)
        if self.params.direction == "long":
            leave = crossed_below(close, series["exit_lower"])
        elif self.params.direction == "short":
            leave = crossed_above(close, series["exit_upper"])
        opens = longs | shorts
        leave = first_after(leave & ~opens, opens)
        with np.errstate(invalid="ignore", divide="ignore"):
            strength = np.where(longs, close - series["upper"], series["lower"] - close) / reach
        return self.emit(
            bars,
            opens | leave,
            np.where(longs, 1, np.where(shorts, -1, 0)),
            stop_atr=np.where(opens, self.params.stop_atr, np.nan),
            trail_atr=np.where(opens, self.params.trail_atr, np.nan),
            atr=np.where(opens, reach, np.nan),
            # a close first frees its slot for the entries of the same bar
            priority=np.where(opens, strength, 1e6),
            tag="donchian",
        )
