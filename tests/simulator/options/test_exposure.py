"""Greeks of an account: sums of what each contract has by itself."""

from __future__ import annotations

import numpy as np
import pytest

from simulator import Bars
from simulator.engine import Run
from simulator.errors import DataError, UnknownNameError
from simulator.options import (
    OptionMarket,
    Surface,
    greeks,
    make_legs,
    make_rules,
    package_signals,
    portfolio_greeks,
)
from simulator.options.exposure import beta
from simulator.signals import Signals

DAY = 86_400_000_000_000
MONDAY = int(np.datetime64("2020-01-06", "ns").astype(np.int64))


@pytest.fixture(scope="module")
def bars() -> Bars:
    """A benchmark, and a stock that moves twice as much in logs."""
    random = np.random.default_rng(8)
    level = np.cumsum(random.normal(0.0, 0.01, 120))
    closes = np.stack([400.0 * np.exp(level), 50.0 * np.exp(2.0 * level)], axis=1)
    panel = np.repeat(closes[:, :, None], 5, axis=2)
    panel[:, :, 4] = 1e6
    made = Bars.from_arrays(("IDX", "STK"), MONDAY + np.arange(120) * DAY, panel, calendar="24/7")
    return made.with_options(
        OptionMarket.modelled(
            made, {"IDX": 0.2, "STK": 0.4}, surface={"IDX": "index", "STK": "single-name"}, rate=0.02
        )
    )


def standing(bars: Bars, signals: Signals, row: int) -> Run:
    run = Run(bars, signals, cash=1e6, risk=None)
    run.advance(row + 1)
    return run


def test_shares_have_delta_alone_and_weigh_by_beta_and_price(bars: Bars) -> None:
    run = standing(bars, Signals.from_arrays(bars, [60], ["STK"], 1, qty=100.0), 80)
    found = portfolio_greeks(run, bars, row=80, benchmark="IDX")
    assert (found.delta, found.gamma, found.theta, found.vega, found.grade) == (100.0, 0.0, 0.0, 0.0, "")
    assert beta(bars, "STK", "IDX", row=80) == pytest.approx(2.0, rel=1e-9)
    ratio = bars.close[80, 1] / bars.close[80, 0]
    assert found.beta_delta == pytest.approx(100 * 2.0 * ratio)
    assert np.isnan(portfolio_greeks(run, bars, row=80).beta_delta)


@pytest.mark.parametrize("american", [0, 1])
def test_a_package_is_the_sum_of_its_legs(bars: Bars, american: int) -> None:
    spot = float(bars.close[60, 0])
    strikes = [round(spot * share) for share in (0.95, 0.9, 1.05, 1.1)]
    condor = [
        (-1, "put", strikes[0]),
        (1, "put", strikes[1]),
        (-1, "call", strikes[2]),
        (1, "call", strikes[3]),
    ]
    legs = make_legs([condor], expiry=int(bars.session[60]) + 45)
    signals = package_signals(bars, [60], ["IDX"], -1, legs, make_rules(1, american=american), qty=3.0)
    found = portfolio_greeks(standing(bars, signals, 70), bars, row=70)
    close, years = float(bars.close[70, 0]), 35 / 365
    total = np.zeros(4)
    for side, kind, strike in condor:
        volatility = Surface.preset("index").volatility(strike, spot=close, index=0.2, years=years, rate=0.02)
        one = greeks(
            kind, close, strike, years, 0.02, volatility, style="american" if american else "european"
        )
        total += 300 * side * np.array([one.delta, one.gamma, one.theta, one.vega], float)
    assert [found.delta, found.gamma, found.theta, found.vega] == pytest.approx(total.tolist(), rel=1e-9)
    assert found.theta > 0 > found.vega
    assert found.grade == "modelled"


def test_bars_without_options_or_benchmark_are_refused(bars: Bars) -> None:
    spot = float(bars.close[60, 0])
    legs = make_legs([[(-1, "put", round(spot))]], expiry=int(bars.session[60]) + 45)
    run = standing(bars, package_signals(bars, [60], ["IDX"], -1, legs, make_rules(1), qty=1.0), 70)
    with pytest.raises(DataError, match="know no options"):
        portfolio_greeks(run, bars.replaced(options=None), row=70)
    with pytest.raises(UnknownNameError, match="IDX"):
        portfolio_greeks(run, bars, row=70, benchmark="IDXX")
