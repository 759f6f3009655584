"""A synthetic market for strategy tests: trends, gaps, volume bursts, missing bars; seeded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from simulator.bars import Bars
from simulator.bars.clock import calendar_sessions

DAY = 86_400_000_000_000
MakeMarket = Callable[..., Bars]


def _make(rows: int = 400, symbols: int = 3, seed: int = 11, missing: float = 0.02) -> Bars:
    rng = np.random.default_rng(seed)
    sessions = calendar_sessions("XNYS", 16_437, 16_437 + 2 * rows + 10)[:rows]  # from 2015-01-02
    panel = np.empty((rows, symbols, 5))
    for column in range(symbols):
        drift = np.repeat(rng.choice([-0.002, 0.0005, 0.003], rows // 40 + 1), 40)[:rows]
        returns = drift + rng.standard_t(4, rows) * 0.009
        close = 50.0 * np.exp(np.cumsum(returns))
        jumps = rng.normal(0, 0.004, rows) + (rng.random(rows) < 0.05) * rng.normal(0, 0.04, rows)
        before = np.concatenate(([50.0], close[:-1]))
        open_ = before * np.exp(jumps)
        high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.004, rows)))
        low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.004, rows)))
        volume = np.round(1e6 * np.exp(rng.normal(0, 0.35, rows) + 25 * np.abs(returns)))
        panel[:, column] = np.column_stack([open_, high, low, close, volume])
    panel[:, :, :4] = np.round(panel[:, :, :4], 4)
    panel[:, :, 1] = panel[:, :, :4].max(axis=2)
    panel[:, :, 2] = panel[:, :, :4].min(axis=2)
    panel[rng.random((rows, symbols)) < missing] = np.nan
    names = [f"SYN{column}" for column in range(symbols)]
    sectors = [("Energy", "Technology")[column % 2] for column in range(symbols)]
    return Bars.from_arrays(
        names, sessions * DAY, panel, sectors=sectors, origin="synthetic", name="test market"
    )


@pytest.fixture(scope="session")
def make_market() -> MakeMarket:
    return _make


@pytest.fixture(scope="session")
def market() -> Bars:
    return _make()
