"""Opening-gap fade: bet that a large gap against the previous close is filled within a few bars.

The gap is seen at the open, but a signal is known only at the close of its bar. So the strategy judges the
whole bar: the gap was at least `gap_atr` average true ranges, and the close has not filled it. It then
enters at that same close (`entry="close"`, a market-on-close order decided on the last price before the
auction), or, with `entry="open"`, at the next open. It never pretends to have traded at the open that it is
looking at.

Target: the previous close, where the gap is filled. Stop: beyond the bar's extreme by `stop_atr`. The trade
is taken only where the way to the target is at least `min_reward_risk` times the way to the stop, which is
when the bar closed near its extreme. What has not worked after `max_bars` leaves at that bar's close.

On intraday bars only the first bar of a session can gap; the previous close is the symbol's last close
before.
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

__all__ = ["GapFade"]


class GapFade(Strategy):
    """Fade opening gaps that the bar itself has not filled."""

    name = "gap-fade"

    @dataclass(frozen=True)
    class Params:
        """Distances in average true ranges of the bars before the gap."""

        gap_atr: float = param(1.0, Float(0.5, 3.0, 0.5), minimum=0.1, help="least gap, in ATR")
        stop_atr: float = param(
            0.25, Float(0.0, 1.0, 0.25), minimum=0.0, help="stop beyond the bar's extreme"
        )
        min_reward_risk: float = param(2.0, Float(1.5, 3.0, 0.5), minimum=0.1, help="least reward per risk")
        max_bars: int = param(5, Int(1, 10, 1), minimum=1, help="time exit, in bars")
        atr_length: int = param(14, minimum=1, help="bars of the average true range")
        entry: str = param("close", Choice(("close", "open")), help="this bar's close, or the next open")
        direction: str = param("both", Choice(("long", "short", "both")), help="gaps to fade: down, up, both")

    params: Params

    @property
    def warmup(self) -> int:
        """Bars until the ATR has settled."""
        return 3 * self.params.atr_length + 3

    def values(self, bars: Bars) -> Mapping[str, Array]:
        """Gap at the open in ATR of the bars before (NaN inside a session), and the close before it."""
        from strategies.indicators import atr, carry, lag

        before = lag(carry(bars.close))
        reach = lag(atr(bars.high, bars.low, bars.close, self.params.atr_length))
        reach = np.where(reach > 0, reach, np.nan)
        first = np.ones(len(bars), bool)
        first[1:] = bars.session[1:] != bars.session[:-1]
        gap = np.where(first[:, None], (bars.open - before) / reach, np.nan)
        return {"gap": gap, "previous_close": before, "atr": reach}

    def signals(self, bars: Bars) -> Signals:
        """One signal per gap that is worth fading, the largest first."""
        series, params = self.values(bars), self.params
        gap, target = series["gap"], series["previous_close"]
        beyond = params.stop_atr * series["atr"]
        side = np.where(gap < 0, 1, -1)
        stop = np.where(gap < 0, bars.low - beyond, bars.high + beyond)
        reward = (target - bars.close) * side
        risk = (bars.close - stop) * side
        # a hair above the limit, so that rounding to the tick does not take the ratio below it
        worth = (reward >= params.min_reward_risk * risk * (1.0 + 1e-9)) & (risk > 0) & (stop > 0)
        allowed = (side > 0) if params.direction == "long" else (side < 0)
        if params.direction == "both":
            allowed = np.ones_like(worth)
        return self.emit(
            bars,
            (np.abs(gap) >= params.gap_atr) & worth & allowed,
            side,
            entry=params.entry,
            stop=stop,
            target=target,
            max_bars=params.max_bars,
            exit="close",
            priority=np.abs(gap),
            tag="gap-fade",
        )
