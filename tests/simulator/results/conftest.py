"""One daily and one intraday run, made once, with wins, losses, shrunk and rejected signals."""

from __future__ import annotations

import numpy as np
import pytest

from simulator import Bars, RiskLimits, Signals, backtest, load_bars
from simulator.results import Result

RISK = RiskLimits(max_sector_exposure_pct=45.0, daily_loss_limit=1.0, max_open_positions=4)


def breakouts(bars: Bars) -> Signals:
    """Brackets both ways on every 15th bar, small ones on the first symbol, sized by risk elsewhere."""
    rows, symbols = np.meshgrid(np.arange(20, len(bars) - 1, 15), np.arange(len(bars.symbols)), indexing="ij")
    row, sym = rows.ravel(), symbols.ravel()
    known = np.isfinite(bars.close[row, sym])
    row, sym = row[known], sym[known]
    return Signals.from_arrays(
        bars, row, sym, np.where((row // 15 + sym) % 3 == 0, -1, 1), stop_percent=4.0, target_r=2.5,
        tag=np.where(row % 2 == 0, "even", "odd"), max_bars=40, qty=np.where(sym == 0, 20.0, np.nan),
    )  # fmt: skip


@pytest.fixture(scope="session")
def daily() -> Result:
    bars = load_bars("synthetic:4x500?seed=3&sectors=2&missing_pct=2")
    return backtest(bars, breakouts, cash=50_000, risk=RISK, costs="ibkr-fixed")


@pytest.fixture(scope="session")
def intraday() -> Result:
    bars = load_bars("synthetic:3x900?seed=5&interval=1h")
    return backtest(bars, breakouts, cash=50_000, risk=RISK, costs="alpaca")
