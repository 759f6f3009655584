"""What the generated parts of `docs/` are made of: bars of a few sessions, and Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from simulator import Bars

__all__ = ["Columns", "Prices", "number", "table", "tiny"]

Prices = tuple[float, float, float, float]
"""Open, high, low, close."""
Columns = dict[str, Any]
"""Columns of signals, or options of a run, by name."""


def tiny(prices: dict[str, Sequence[Prices]], sectors: dict[str, str] | None = None) -> Bars:
    """Bars of a few sessions from 2020-01-02, volume 1,000, prices to the cent."""
    rows = len(next(iter(prices.values())))
    panel = np.array([[[*bar, 1000.0] for bar in symbol] for symbol in prices.values()]).swapaxes(0, 1)
    days = pd.bdate_range("2020-01-02", periods=rows).as_unit("ns").asi8
    return Bars.from_arrays(list(prices), days, np.ascontiguousarray(panel), sectors=sectors)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Return a number as a cell: four digits, whole from 1,000 on, empty where it is NaN."""
    return "" if value != value else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
