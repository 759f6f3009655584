"""Causal indicators: a value at a bar uses that bar and earlier ones, and has the same bits whatever follows.

Arrays are float64, (T,) for one symbol or (T, S) for a panel's columns, oldest first. NaN is a missing bar:
it is skipped, and the indicator keeps its last value there. Before an indicator is defined it is NaN.
Names come in lazily, because the compiled ones import numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.indicators.channels import donchian, rolling_high, rolling_low
    from strategies.indicators.momentum import rate_of_change, rsi
    from strategies.indicators.tools import carry, crossed_above, crossed_below, first_after, lag
    from strategies.indicators.trend import adx, ema, macd, sma, wilder
    from strategies.indicators.volatility import (
        atr,
        bollinger,
        realised_volatility,
        rolling_std,
        true_range,
    )

__all__ = [
    "adx",
    "atr",
    "bollinger",
    "carry",
    "crossed_above",
    "crossed_below",
    "donchian",
    "ema",
    "first_after",
    "lag",
    "macd",
    "rate_of_change",
    "realised_volatility",
    "rolling_high",
    "rolling_low",
    "rolling_std",
    "rsi",
    "sma",
    "true_range",
    "wilder",
]

_HOMES = {
    "channels": ("donchian", "rolling_high", "rolling_low"),
    "momentum": ("rate_of_change", "rsi"),
    "tools": ("carry", "crossed_above", "crossed_below", "first_after", "lag"),
    "trend": ("adx", "ema", "macd", "sma", "wilder"),
    "volatility": ("atr", "bollinger", "realised_volatility", "rolling_std", "true_range"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
