"""Average true range from the bars, for signals that ask for ATR multiples without bringing their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import BAR_OK, bar_state

__all__ = ["average_true_range"]


@kernel_jit.entry
def average_true_range(bars: Any, sym: int, period: int) -> Any:
    """Return Wilder's ATR of one symbol, shape (T,): NaN until `period` bars, repeated on missing bars."""
    n = bars.shape[0]
    out = np.full(n, np.nan)
    close = np.nan
    total = 0.0
    seen = 0
    value = np.nan
    for t in range(n):
        bar = bars[t, sym]
        if bar_state(bar) == BAR_OK:
            span = bar["high"] - bar["low"]
            if close == close:
                span = max(span, max(abs(bar["high"] - close), abs(bar["low"] - close)))
            close = bar["close"]
            seen += 1
            if seen <= period:
                total += span
                if seen == period:
                    value = total / period
            else:
                value = (value * (period - 1) + span) / period
        out[t] = value
    return out
