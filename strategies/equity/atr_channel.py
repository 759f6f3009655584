"""ATR-channel trend: enter beyond a channel of average true ranges around an exponential average.

Enters at the next open after a close beyond the channel. The initial stop is in average true ranges; once the
trade is one R ahead its stop moves to break-even and a trailing stop starts. A close back across the middle
ends the trade at the next open.
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

__all__ = ["AtrChannel"]


class AtrChannel(Strategy):
    """Trend following on a volatility channel, with break-even and a trailing stop that starts late."""

    name = "atr-channel"

    @dataclass(frozen=True)
    class Params:
        """Lengths in bars, distances in average true ranges or in R, the initial risk."""

        length: int = param(50, Int(20, 100, 10), minimum=2, help="bars of the exponential average")
        width: float = param(2.0, Float(1.0, 4.0, 0.5), minimum=0.0, help="half the channel, in ATR")
        atr_length: int = param(20, minimum=1, help="bars of the average true range")
        stop_atr: float = param(
            2.0, Float(1.0, 4.0, 0.5), minimum=0.1, help="initial stop, ATR from the fill"
        )
        trail_atr: float = param(
            3.0, Float(1.5, 6.0, 0.5), minimum=0.1, help="trailing stop, ATR from the peak"
        )
        activate_r: float = param(
            1.0, Float(0.0, 2.0, 0.5), minimum=0.0, help="profit that starts the trail, in R"
        )
        breakeven_r: float = param(
            1.0, minimum=0.0, help="profit that moves the stop to break-even, 0 for never"
        )
        direction: str = param(
            "long", Choice(("long", "short", "both")), help="'both' wants the convention opposite='reverse'"
        )

    params: Params

    @property
    def warmup(self) -> int:
        """Bars until the start of the exponential averages has faded below half a percent."""
        return 3 * max(self.params.length, self.params.atr_length) + 1

    def values(self, bars: Bars) -> Mapping[str, Array]:
        """Middle and edges of the channel, and the ATR, in currency."""
        from strategies.indicators import atr, ema

        middle = ema(bars.close, self.params.length)
        reach = atr(bars.high, bars.low, bars.close, self.params.atr_length)
        return {
            "middle": middle,
            "upper": middle + self.params.width * reach,
            "lower": middle - self.params.width * reach,
            "atr": reach,
        }

    def signals(self, bars: Bars) -> Signals:
        """One signal per breakout; one closing signal per return across the middle."""
        from strategies.indicators import carry, crossed_above, crossed_below, first_after

        series, direction = self.values(bars), self.params.direction
        close, reach = carry(bars.close), series["atr"]
        longs = crossed_above(close, series["upper"]) & (reach > 0) & (direction != "short")
        shorts = crossed_below(close, series["lower"]) & (reach > 0) & (direction != "long")
        leave = np.zeros_like(longs)
        if direction == "long":
            leave = crossed_below(close, series["middle"])
        elif direction == "short":
            leave = crossed_above(close, series["middle"])
        opens = longs | shorts
        leave = first_after(leave & ~opens, opens)
        return self.emit(
            bars,
            opens | leave,
            np.where(longs, 1, np.where(shorts, -1, 0)),
            stop_atr=np.where(opens, self.params.stop_atr, np.nan),
            trail_atr=np.where(opens, self.params.trail_atr, np.nan),
            trail_activate_r=np.where(opens, self.params.activate_r, np.nan),
            breakeven_r=np.where(opens & (self.params.breakeven_r > 0), self.params.breakeven_r, np.nan),
            atr=np.where(opens, reach, np.nan),
            priority=np.where(opens, 0.0, 1e6),
            tag="atr-channel",
        )
