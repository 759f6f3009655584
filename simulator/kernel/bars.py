"""Bars: which of them can be traded on.

A bar without prices is missing, one whose prices cannot be is bad; neither trades. Comparisons are written so
that they fail on NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel._jit import kernel_jit
from simulator.kernel.views import bar_at, part_at

__all__ = ["BAR_BAD", "BAR_MISSING", "BAR_OK", "bar_state", "tradable"]

BAR_OK = 0
BAR_MISSING = 1
BAR_BAD = 2


@kernel_jit.inlined
def bar_state(bar: Any) -> int:
    """Whether a row of open, high, low, close, volume can be traded on; comparisons fail on NaN."""
    high = bar["high"]
    low = bar["low"]
    if (
        low > 0.0
        and low <= bar["open"]
        and low <= bar["close"]
        and bar["open"] <= high
        and bar["close"] <= high
        and high < np.inf
    ):
        return BAR_OK
    if bar["close"] != bar["close"] and bar["open"] != bar["open"] and high != high and low != low:
        return BAR_MISSING
    return BAR_BAD


@kernel_jit
def tradable(market: Any, t: int, d: int, sym: int) -> bool:
    """Whether part d of bar t has a price; a part trades only where its bar does."""
    return bar_state(bar_at(market, t, sym)) == BAR_OK and bar_state(part_at(market, d, sym)) == BAR_OK
