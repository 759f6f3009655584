"""Signals as a table: what is given comes back, and the table makes the same signals again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator import Signals
from simulator.bars import Bars
from tests.simulator.kernel.market import bars_of, flat


@pytest.fixture
def bars() -> Bars:
    return bars_of({name: flat(100, 6) for name in "AB"}, sectors={"A": "Tech", "B": "Energy"})


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"sector": ["Tech", None, "Energy"]},
        {"tif": ["DAY", "GTC", "DAY"]},
        {"valid_until": [0, 20_000 * 86_400_000_000_000, 0]},
        {"exit": ["close", "open", "close"], "max_bars": 2},
        {"entry": ["limit", "open", "stop"], "entry_price": [99.0, np.nan, 101.0], "valid_bars": 3},
        {"strength": ["WEAK", None, "STRONG"], "score": 70.0, "tag": ["x", "", "y"], "strategy": "mine"},
        {"target_r": 2.0, "target_fraction": 0.5, "target2_r": 3.0, "trail_percent": 5.0, "oco": [1, 1, 0]},
    ],
)
def test_the_table_makes_the_same_signals(bars: Bars, columns: dict[str, Any]) -> None:
    signals = Signals.from_arrays(bars, [0, 1, 2], ["A", "B", "A"], 1, stop=90.0, **columns)
    again = Signals.from_frame(signals.frame())
    assert again.aligned(bars).tobytes() == signals.aligned(bars).tobytes()
    assert (again.tags, again.strategies) == (signals.tags, signals.strategies)
