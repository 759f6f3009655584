"""Underlyings with a modelled option market: sessions of New York, a volatility that comes and goes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from simulator.bars import Bars
from simulator.bars.clock import calendar_sessions
from simulator.options.market import OptionMarket

DAY = 86_400_000_000_000
MakeOptions = Callable[..., Bars]


def _make(
    rows: int = 300,
    symbols: int = 1,
    seed: int = 3,
    *,
    spot: float = 100.0,
    surface: str = "single-name",
    index: bool = False,
    gaps: float = 0.0,
    actions: list[tuple[str, str, str, float]] | None = None,
) -> Bars:
    rng = np.random.default_rng(seed)
    sessions = calendar_sessions("XNYS", 16_437, 16_437 + 2 * rows + 10)[:rows]  # from 2015-01-02
    names = [f"U{column}" for column in range(symbols)]
    shock = rng.normal(0.0, 1.0, (rows, symbols))
    level = np.zeros((rows, symbols))
    for t in range(1, rows):
        level[t] = 0.95 * level[t - 1] + 0.12 * rng.normal(0.0, 1.0, symbols)
    volatility = 0.22 * np.exp(level)
    close = spot * np.exp(np.cumsum(0.8 * volatility / 16.0 * shock, axis=0))
    panel = np.stack([close, close * 1.004, close * 0.996, close, np.full_like(close, 1e6)], axis=-1)
    panel[rng.random((rows, symbols)) < gaps] = np.nan
    volatility[rng.random((rows, symbols)) < gaps] = np.nan
    bars = Bars.from_arrays(
        names,
        sessions * DAY,
        panel,
        origin="synthetic",
        actions=actions,
        instruments={name: {"kind": "index"} for name in names} if index else None,
    )
    levels = {name: volatility[:, column] for column, name in enumerate(names)}
    return bars.with_options(OptionMarket.modelled(bars, levels, surface=surface, rate=0.02))


@pytest.fixture(scope="session")
def make_options() -> MakeOptions:
    return _make
