"""Market data for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.bars import Bars
from simulator.bars.arrays import HOUR, MINUTE, Floats

MakeBars = Callable[..., Bars]
MakeFrame = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def validation_data() -> Path:
    """Folder of the validation data; the test is skipped where it is absent."""
    here = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("TWINSTEP_VALIDATION_DATA", here))
    if not (folder / "sp500_505stocks_2013_2018.csv.gz").exists():
        pytest.skip(f"validation data not found in {folder}; set TWINSTEP_VALIDATION_DATA")
    return folder


def walk(rows: int, symbols: int, seed: int = 0) -> Floats:
    """Return a (rows, symbols, 5) panel of possible bars."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(random.normal(0, 0.01, (rows, symbols)).cumsum(axis=0))
    opens = close * np.exp(random.normal(0, 0.005, close.shape))
    high = np.maximum(opens, close) * (1 + random.uniform(0, 0.01, close.shape))
    low = np.minimum(opens, close) * (1 - random.uniform(0, 0.01, close.shape))
    return np.stack([opens, high, low, close, random.integers(100, 1000, close.shape) + 0.0], axis=2)


@pytest.fixture
def make_bars() -> MakeBars:
    def make(rows: int = 30, symbols: int = 3, seed: int = 0, **keywords: object) -> Bars:
        """Return daily bars on New York's sessions from 2020-01-02."""
        days = pd.bdate_range("2020-01-02", periods=rows).as_unit("ns").asi8
        names = [f"S{column}" for column in range(symbols)]
        panel = walk(rows, symbols, seed)
        missing = keywords.pop("missing", None)
        if missing is not None:
            panel[np.asarray(missing)[:, 0], np.asarray(missing)[:, 1]] = np.nan
        return Bars.from_arrays(names, days, panel, **keywords)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_intraday() -> MakeBars:
    def make(sessions: int = 3, minutes: int = 30, symbols: int = 2, **keywords: object) -> Bars:
        """Return regular-hours intraday bars of New York from 2020-01-02."""
        days = pd.bdate_range("2020-01-02", periods=sessions).as_unit("ns").asi8
        opens = days + 14 * HOUR + 30 * MINUTE  # 09:30 in winter
        parts = -(-390 // minutes)
        ts = (opens[:, None] + np.arange(parts) * minutes * MINUTE).ravel()
        names = [f"S{column}" for column in range(symbols)]
        return Bars.from_arrays(names, ts, walk(ts.size, symbols), **keywords)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_frame() -> MakeFrame:
    def make(rows: int = 10, seed: int = 0, start: str = "2020-01-02") -> pd.DataFrame:
        """Return one symbol's table with naive dates."""
        return pd.DataFrame(
            walk(rows, 1, seed)[:, 0],
            columns=["open", "high", "low", "close", "volume"],
            index=pd.bdate_range(start, periods=rows),
        )

    return make
