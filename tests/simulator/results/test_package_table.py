"""The table of packages, where prices alone do not tell what was kept."""

from __future__ import annotations

import numpy as np
import pytest

from simulator import Bars, backtest
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.options.pricing import price
from simulator.options.surface import Surface
from simulator.results import Result
from tests.simulator.kernel.test_packages import AT_MID, DAY, MONDAY

BUTTERFLY: list[LegSpec] = [(1, "call", 95.0), (-1, "call", 100.0, 2), (1, "call", 105.0)]


def bought(dividend: float, *, split: float = 1.0) -> Result:
    """Four butterflies on a share that stands still at 102 and has its ex-date on bar 10."""
    count = 20
    close = np.full(count, 102.0)
    close[5:] /= split
    panel = np.repeat(close[:, None, None], 5, axis=2)
    actions = [{"date": "2020-01-16", "symbol": "A", "kind": "dividend", "value": dividend}]
    if split != 1.0:
        actions.append({"date": "2020-01-11", "symbol": "A", "kind": "split", "value": split})
    bars = Bars.from_arrays(
        ("A",), MONDAY + np.arange(count) * DAY, panel, calendar="24/7", actions=actions, raw=True
    )
    surface = Surface.preset("flat").replace(ticks="none")
    bars = bars.with_options(OptionMarket.modelled(bars, {"A": 0.2}, surface=surface))
    legs = make_legs([BUTTERFLY], expiry=int(bars.session[0]) + 40)
    signals = package_signals(bars, [2], 0, 1, legs, make_rules(1), qty=4.0)
    return backtest(bars, signals, risk=None, costs=AT_MID)


@pytest.mark.parametrize("split", [1.0, 2.0])
def test_an_early_assignment_is_part_of_what_was_captured(split: float) -> None:
    result = bought(3.0 / split, split=split)
    row = result.packages.iloc[0]
    # the sold calls are exercised for the dividend: 800 shares at 100 between the two prices
    assert row["exit_reason"] == "assignment"
    assert row["dividends"] == pytest.approx(-2400.0)
    # at the close of the ex-date, prices being those before the split: two calls, and two shares sold at 100
    # that stand at 102
    left = sum(price("call", 102.0, strike, 30 / 365, 0.0, 0.2, style="american") for strike in (95.0, 105.0))
    cost = row["entry_price"] * split
    assert row["captured"] == pytest.approx((left - 2 * 2.0 - cost) / cost, abs=1e-9)
    assert row["captured"] * cost * 400.0 + row["dividends"] == pytest.approx(row["pnl"])


def test_without_an_assignment_it_is_the_difference_of_the_prices() -> None:
    row = bought(0.01).packages.iloc[0]
    assert row["exit_reason"] == "end_of_data"
    assert row["captured"] == pytest.approx(row["exit_price"] / row["entry_price"] - 1.0)
