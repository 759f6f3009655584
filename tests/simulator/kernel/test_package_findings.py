"""Packages beside other things: which way they lean, what has no bound, what an assignment leaves behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from simulator import Bars, RiskLimits, Signals, backtest
from simulator.engine import Run
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.options.pricing import price
from tests.simulator.kernel.test_packages import DAY, MONDAY, market, opened, traded

WIDE = RiskLimits(
    risk_per_trade_pct=100.0,
    max_portfolio_heat_pct=100.0,
    max_sector_exposure_pct=1000.0,
    max_days_in_trade=None,
    correlation_window=40,
    correlation_min_observations=20,
)


def test_a_delta_exit_needs_no_quoted_delta() -> None:
    bars = market([105, 104, 101, 97, 90, 85, 85, 85], last=7, time_value=3.0)
    assert bars.options is not None
    quotes = bars.options.quotes.copy()
    quotes["delta"] = np.nan
    bare = bars.replaced(options=OptionMarket.from_quotes(quotes, np.zeros(8)))
    trade = traded(bare, opened(bare, 7, [(-1, "put", 100.0)], delta_exit=0.6)).trades.iloc[0]
    assert trade["exit_reason"] == "delta"


@pytest.mark.parametrize("level", [0.3, 1.4])
def test_the_margin_is_no_cap_on_what_has_no_bound(level: float) -> None:
    panel = np.full((40, 1, 5), 100.0)
    bars = Bars.from_arrays(("A",), MONDAY + np.arange(40) * DAY, panel, calendar="24/7")
    bars = bars.with_options(OptionMarket.modelled(bars, {"A": level}, surface="flat"))
    legs = make_legs([[(-1, "call", 105.0)]], expiry=int(bars.session[1]) + 30)
    run = Run(bars, package_signals(bars, [1], 0, -1, legs, make_rules(1, naked=1), qty=1.0), risk=WIDE)
    run.advance(4)
    moved = 100.0 * math.exp(2.0 * level * math.sqrt(5 / 252))
    now, then = (
        price("call", spot, 105.0, 28 / 365, 0.0, level, style="american") for spot in (100.0, moved)
    )
    assert run.state.positions[0]["unit_loss"] == pytest.approx(100.0 * (then - now), abs=10.0)


@pytest.mark.parametrize(
    ("held", "legs", "side", "refused"),
    [
        (1, [(-1, "put", 97.0), (1, "put", 92.0)], -1, True),
        (-1, [(-1, "put", 97.0), (1, "put", 92.0)], -1, False),
        (1, [(-1, "call", 103.0), (1, "call", 108.0)], -1, False),
        (-1, [(-1, "call", 103.0), (1, "call", 108.0)], -1, True),
        (1, [(1, "put", 97.0)], 1, False),
        (-1, [(1, "put", 97.0)], 1, True),
    ],
)
def test_correlation_asks_which_way_a_package_leans(
    held: int, legs: Sequence[LegSpec], side: int, refused: bool
) -> None:
    rng = np.random.default_rng(3)
    steps = rng.normal(0.0, 0.005, 59)
    close = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(np.append(steps[:49], 0.0 * steps[49:]))]))
    close *= 100.0 / close[50]
    panel = np.repeat(np.stack([close, close], axis=1)[:, :, None], 5, axis=2)
    bars = Bars.from_arrays(("A", "B"), MONDAY + np.arange(60) * DAY, panel, calendar="24/7")
    bars = bars.with_options(OptionMarket.modelled(bars, {"A": 0.25, "B": 0.25}, surface="single-name"))
    stop = close[45] * (1.0 - 0.2 * held)
    shares = Signals.from_arrays(bars, [45], [1], [held], stop=[stop], qty=[10.0])
    made = make_legs([list(legs)], expiry=int(bars.session[50]) + 30)
    options = package_signals(bars, [50], 0, side, made, make_rules(1), qty=1.0)
    verdicts = backtest(bars, Signals.concat([shares, options]), risk=WIDE).verdicts
    assert (verdicts["reason"].iloc[-1] == "correlation") == refused


def test_the_extremes_of_a_trade_survive_an_early_assignment() -> None:
    bars = market([97, 97, 90, 84, 84, 84], last=5, time_value=[2.0, 1.5, 1.0, 0.0, 0.0, 0.0], rate=0.05)
    trade = traded(bars, opened(bars, 5, [(-1, "put", 100.0), (1, "put", 80.0)])).trades.iloc[0]
    assert (trade["exit_reason"], trade["entry_price"]) == ("assignment", pytest.approx(3.0))
    # it never earned: 3.00 in, 16 and a little against it at the worst
    assert trade["mfe"] == 0.0
    assert trade["mae"] == pytest.approx(trade["pnl"] / 300.0, abs=0.05)
