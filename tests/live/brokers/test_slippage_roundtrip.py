"""From a broker whose true slippage is known, through manager, journal and costs.toml, into a backtest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted
from live.brokers.manager import BrokerManager
from live.brokers.told import Quote
from live.clock import FakeClock
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.reconcile import Reconciler
from live.reconciling.differences import Differences
from live.slippage import Calibration, Sample, calibrate, samples
from live.slippage.calibrating import QUANTILES, SLIPPING, costs_section
from simulator import Signals, backtest, load_bars
from simulator.costs import Costs
from tests.live.memory_broker import START, MemoryBroker
from twinstep.config import load_settings

CALL, PUT = "SPY261218C00600000", "SPY261218P00500000"

MARKET = stats.gamma(1.5, loc=-0.5, scale=2.0)
"""True slippage of market orders, basis points of the mid: mean 2.5, skewed, at times better than the mid."""

STOP = stats.lognorm(0.8, scale=4.0)
"""That of stop orders, basis points of the stop: heavy in its upper tail."""

SHARE = stats.beta(2.0, 5.0)
"""What packages give up, as a share of the quoted spread."""


class Planted(MemoryBroker):
    """A broker that quotes around 100, and fills as far off as the distributions say."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.planted: dict[str, list[float]] = {"market": [], "stop": [], "package": []}
        self.half = 0.02

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        middles = {"AAPL": 100.0, CALL: 2.0, PUT: 3.0}
        return {
            one: Quote(symbol=one, time=self.now, bid=middles[one] - self.half, ask=middles[one] + self.half)
            for one in symbols
        }

    def submit_order(self, request: OrderRequest) -> Submitted:
        if len(request.legs) > 1:
            return self._package(request)
        side = math.copysign(1.0, request.legs[0].quantity)
        kind, middle = request.kind, 100.0 if request.kind == "market" else float(request.stop_price or 0.0)
        true = MARKET if kind == "market" else STOP
        slip = float(true.rvs(random_state=self.rng))
        self.planted[kind].append(slip)
        self.prices["AAPL"] = middle * (1.0 + 1e-4 * side * slip)
        answer = super().submit_order(request)
        assert answer.order is not None
        assert answer.order.filled, "a stop that is beyond the price fills at once"
        return answer

    def _package(self, request: OrderRequest) -> Submitted:
        share = float(SHARE.rvs(random_state=self.rng))
        self.planted["package"].append(share)
        for leg in request.legs:
            middle = 2.0 if leg.symbol == CALL else 3.0
            self.prices[leg.symbol] = middle + math.copysign(2.0 * self.half * share, leg.quantity)
        answer = super().submit_order(request)
        assert answer.outcome is Outcome.CONFIRMED
        return answer


def traded(
    folder: Path, seed: int, *, market: int = 0, stop: int = 0, package: int = 0
) -> tuple[Planted, list[Sample]]:
    """Let a manager send orders to such a broker; returns it, and what the record says that they cost."""
    broker, clock = Planted(seed), FakeClock(START)
    broker.prices = {"AAPL": 100.0, CALL: 2.0, PUT: 3.0}
    manager = BrokerManager(
        {"alpaca": broker}, KillSwitch(folder / "switch", clock=clock), intents=IntentLog.in_memory(),
        differences=Differences(folder / "reviews", clock=clock), clock=clock,
    )  # fmt: skip
    reconciler = Reconciler(manager)
    reconciler.start()
    orders: list[tuple[Leg, ...] | str] = []
    orders += ["market"] * market + ["stop"] * stop + ["package"] * package
    broker.rng.shuffle(orders)
    for number, kind in enumerate(orders):
        side = 1.0 if number % 2 else -1.0
        legs = (Leg(PUT, -side), Leg(CALL, side)) if kind == "package" else (Leg("AAPL", side),)
        answer = manager.submit_order(
            OrderRequest(
                client_order_id=f"o{number}", legs=legs, kind="stop" if kind == "stop" else "market",
                order_class="multi_leg" if kind == "package" else "simple",
                stop_price=100.0 if kind == "stop" else None,
            )
        )  # fmt: skip
        assert isinstance(answer, Submitted)
        assert answer.outcome is Outcome.CONFIRMED, answer
        broker.now += timedelta(seconds=20)
        clock.advance(timedelta(seconds=20))
    reconciler.run()
    return broker, samples(manager.intents)


def within_sampling_error(quantiles: Sequence[float], true: Any, n: int) -> None:
    """The true share of orders below each quantile is what it says, within four standard errors."""
    for probability, value in zip(QUANTILES, quantiles, strict=True):
        error = math.sqrt(probability * (1.0 - probability) / n)
        assert abs(float(true.cdf(value)) - probability) <= 4.0 * error + 1.0 / n, (probability, value)


@pytest.mark.parametrize("seed", [1, 2])
def test_quantiles_are_those_of_the_planted_distributions(tmp_path: Path, seed: int) -> None:
    broker, found = traded(tmp_path, seed, market=300, stop=200, package=100)
    assert len(found) == 600
    calibration = calibrate(found)
    for kind, planted, true in (("market", "market", MARKET), ("stop", "stop", STOP)):
        cell = calibration.cell("alpaca", kind)
        assert cell is not None
        values = broker.planted[planted]
        # measured to the last digit, so that only the draw is left of the error
        assert cell.count == len(values)
        assert cell.mean == pytest.approx(np.mean(values), abs=1e-6)
        within_sampling_error(cell.quantiles, true, cell.count)
        assert abs(cell.mean - true.mean()) <= 4.0 * true.std() / math.sqrt(cell.count)
    package = calibration.cell("alpaca", "package_2", asset="option")
    assert package is not None
    assert package.mean == pytest.approx(np.mean(broker.planted["package"]), abs=1e-9)
    within_sampling_error(package.quantiles, SHARE, package.count)
    costs = calibration.costs("alpaca", quantile="mean")
    assert costs.spread_share_2_legs == pytest.approx(np.mean(broker.planted["package"]))


def test_a_distribution_that_was_not_planted_is_not_found(tmp_path: Path) -> None:
    _, found = traded(tmp_path, 3, market=300)
    cell = calibrate(found).cell("alpaca", "market")
    assert cell is not None
    with pytest.raises(AssertionError):
        within_sampling_error(cell.quantiles, stats.gamma(1.5, loc=0.5, scale=2.0), cell.count)


def test_a_backtest_with_these_costs_pays_what_the_broker_takes(tmp_path: Path) -> None:
    broker, found = traded(tmp_path, 5, market=400, stop=200)
    calibrate(found).save(tmp_path / "slippage.json")
    costs = Calibration.load(tmp_path / "slippage.json").costs("alpaca", base="alpaca", quantile="mean")
    (tmp_path / "twinstep.toml").write_text(costs_section(costs), encoding="utf-8")
    loaded = load_settings(tmp_path / "twinstep.toml").costs
    assert loaded.replace(name="x") == costs.replace(name="x")

    bars = load_bars("synthetic:4x600?seed=9")
    rows = np.arange(5, 590, 5)
    signals = Signals.from_arrays(
        bars, np.tile(rows, 4), np.repeat(np.arange(4), len(rows)), 1, qty=20.0, stop_percent=3.0, max_bars=3
    )
    free = backtest(bars, signals, risk=None, cash=1e7).fills
    paid = backtest(bars, signals, risk=None, cash=1e7, costs=loaded).fills
    slipped = paid[paid["slippage"] > 0.0]
    assert len(slipped) == len(paid) > 600
    raw = slipped["price"] - slipped["side"] * slipped["slippage"]
    bps = 1e4 * slipped["slippage"] / raw
    pooled = np.array(broker.planted["market"] + broker.planted["stop"])
    assert float(bps.mean()) == pytest.approx(pooled.mean(), rel=1e-9)

    # the same orders sent to the broker cost as much, within what the draws of both leave open
    traded_for = (free["price"] * free["qty"]).to_numpy()
    mixed = np.random.default_rng(77)
    stops = mixed.random(len(traded_for)) < 200 / 600
    drawn = np.where(
        stops, STOP.rvs(len(stops), random_state=mixed), MARKET.rvs(len(stops), random_state=mixed)
    )
    broker_took = float(1e-4 * (traded_for * drawn).sum())
    backtest_paid = float((slipped["slippage"] * slipped["qty"]).sum())
    spread = float(pooled.std())
    error = (
        1e-4
        * spread
        * math.hypot(
            math.sqrt(float((traded_for**2).sum())), float(traded_for.sum()) / math.sqrt(len(pooled))
        )
    )
    assert abs(backtest_paid - broker_took) <= 4.0 * error
    assert error < 0.1 * broker_took
    # the median would have been too kind: these distributions are skewed
    usual = calibrate(found).cell("alpaca", SLIPPING)
    assert usual is not None
    assert usual.at(0.5) < 0.85 * pooled.mean()
    assert Costs.of("alpaca").slippage_bps < usual.at(0.5)
