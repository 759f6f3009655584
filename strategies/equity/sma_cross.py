"""Moving-average cross: follow the trend when a fast average crosses a slow one.

Enters at the next open after the cross, with a stop in average true ranges and, optionally, a trailing stop;
leaves on the opposite cross, at the next open.

>>> SmaCross(fast=10, slow=30).warmup
45
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import StrategyError
from strategies.base import Array, Choice, Float, Int, Strategy, param

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["SmaCross"]


class SmaCross(Strategy):
    """Long when the fast average crosses above the slow one; out, or short, when it crosses below."""

    name = "sma-cross"

    @dataclass(frozen=True)
    class Params:
        """Lengths in bars, distances in average true ranges."""

        fast: int = param(20, Int(5, 60, 5), minimum=1, help="bars of the fast average")
        slow: int = param(50, Int(20, 200, 10), minimum=2, help="bars of the slow average")
        atr_length: int = param(14, minimum=1, help="bars of the average true range")
        stop_atr: float = param(
            2.5, Float(1.0, 5.0, 0.5), minimum=0.1, help="initial stop, ATR from the fill"
        )
        trail_atr: float = param(
            0.0, Float(0.0, 6.0, 1.0), minimum=0.0, help="trailing stop in ATR, 0 for none"
        )
        direction: str = param(
            "long", Choice(("long", "short", "both")), help="'both' wants the convention opposite='reverse'"
        )

        def __post_init__(self) -> None:
            if self.fast >= self.slow:
                raise StrategyError(
                    f"sma-cross: fast is {self.fast}, slow is {self.slow}; the fast average must be shorter",
                    code="STRATEGY_PARAM_VALUE",
                )

    params: Params

    @property
    def warmup(self) -> int:
        """Bars until both averages and a settled ATR exist."""
        return max(self.params.slow + 1, 3 * self.params.atr_length + 3)

    def values(self, bars: Bars) -> Mapping[str, Array]:
        """Both averages and the ATR, in currency."""
        from strategies.indicators import atr, sma

        return {
            "fast": sma(bars.close, self.params.fast),
            "slow": sma(bars.close, self.params.slow),
            "atr": atr(bars.high, bars.low, bars.close, self.params.atr_length),
        }

    def signals(self, bars: Bars) -> Signals:
        """One signal per cross."""
        from strategies.indicators import crossed_above, crossed_below

        series = self.values(bars)
        up = crossed_above(series["fast"], series["slow"])
        down = crossed_below(series["fast"], series["slow"])
        known = series["atr"] > 0
        direction = self.params.direction
        above = 1 if direction in ("long", "both") else 0
        below = -1 if direction in ("short", "both") else 0
        side = np.where(up, above, below)
        opens = side != 0
        trail = self.params.trail_atr
        return self.emit(
            bars,
            (up | down) & (known | ~opens),
            side,
            stop_atr=np.where(opens, self.params.stop_atr, np.nan),
            trail_atr=np.where(opens & (trail > 0), trail, np.nan),
            atr=np.where(opens, series["atr"], np.nan),
            tag="sma-cross",
        )
