"""A shadow run is the backtest of one signal, byte for byte, and more bars change nothing that has ended."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator import Bars, RiskLimits, Signals, backtest, load_bars
from simulator.engine import DEFAULT_RISK, prepare
from simulator.errors import ConfigError
from simulator.shadow import RISK_UNIT, SHADOW_CASH, Outcome, shadow
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.test_package_drivers import with_packages


def few(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def alone(c: Configuration, number: int, qty: float) -> Signals:
    """One signal for a quantity, and the next signal that closes its symbol for its strategy."""
    records = prepare(c.signals, c.bars, DEFAULT_RISK)
    mine = records[number]
    later = [
        k
        for k in range(number + 1, len(records))
        if records["side"][k] == 0
        and records["sym"][k] == mine["sym"]
        and records["strategy"][k] in (0, mine["strategy"])
    ]
    chosen = records[[number, *later[:1]]].copy()
    chosen["qty"][0], chosen["oco"] = qty, 0
    return Signals(
        chosen, c.bars.symbols, tags=c.signals.tags, strategies=c.signals.strategies,
        sectors=c.bars.sector_names, packages=c.signals.packages, legs=c.signals.legs,
    )  # fmt: skip


def check_all(c: Configuration) -> int:
    filled = 0
    for outcome in shadow(c.bars, c.signals, costs=c.costs, conventions=c.conventions):
        run = backtest(
            c.bars, alone(c, outcome.signal, outcome.qty), cash=SHADOW_CASH, risk=None, costs=c.costs,
            conventions=c.conventions,
        )  # fmt: skip
        assert outcome.trades.tobytes() == run.raw.trades.tobytes()
        ended = len(run.raw.closed_trades) > 0 and len(run.raw.open_trades) == 0
        if len(run.raw.trades):
            filled += 1
            assert (outcome.state == "closed") == (ended and int(run.raw.account["n_orders"][0]) == 0)
            assert outcome.pnl == pytest.approx(run.trades["pnl"].sum())
        else:
            assert outcome.state in ("never_filled", "waiting")
            assert (outcome.state == "waiting") == bool(run.raw.account["n_orders"][0])
            assert bool(outcome.why) == (outcome.state == "never_filled")
    return filled


@few(8)
@given(configurations())
def test_it_is_the_backtest_of_that_signal_byte_for_byte(c: Configuration) -> None:
    check_all(c)


@few(4)
@given(configurations(), st.integers(0, 2**32 - 1))
def test_packages_of_options_too(c: Configuration, seed: int) -> None:
    if c.bars.detail is not None:
        c = dataclasses.replace(c, bars=c.bars.replaced(detail=None, detail_start=None))
    check_all(with_packages(c, seed, 10))


@few(25)
@given(configurations(), st.floats(0.2, 0.9))
def test_more_bars_change_nothing_that_has_ended(c: Configuration, share: float) -> None:
    cut = max(2, int(len(c.bars) * share))
    records = prepare(c.signals, c.bars, DEFAULT_RISK)
    first = int(np.searchsorted(records["row"], cut))
    early = Signals(
        records[:first], c.bars.symbols, tags=c.signals.tags, strategies=c.signals.strategies,
        sectors=c.bars.sector_names,
    )  # fmt: skip
    rules = {"costs": c.costs, "conventions": c.conventions}
    before = shadow(c.bars[:cut], early, **rules)  # type: ignore[arg-type]
    after = {one.signal: one for one in shadow(c.bars, c.signals, **rules)}  # type: ignore[arg-type]
    for one in before:
        if one.final:
            same_but_trades(one, after[one.signal])


def same_but_trades(one: Outcome, other: Outcome) -> None:
    assert one.trades.tobytes() == other.trades.tobytes()
    for field in dataclasses.fields(Outcome):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name != "trades":
            assert mine == theirs or (mine != mine and theirs != theirs)


def rising(length: int = 40) -> Bars:
    close = np.linspace(100.0, 139.0, length)
    panel = np.stack([close - 0.5, close + 1.0, close - 1.0, close, np.full(length, 1e6)], axis=-1)
    days = (18_000 + np.arange(length)) * 86_400_000_000_000
    return Bars.from_arrays(["UP"], days, panel[:, None, :], daily=True, calendar="24/7")


def test_what_was_refused_is_what_is_run() -> None:
    bars = rising()
    signals = Signals.from_arrays(bars, [5, 5], "UP", 1, stop=95.0, max_bars=3, qty=[10.0, 300.0])
    risk = RiskLimits(
        max_correlation=None, risk_per_trade_pct=1.0, max_sector_exposure_pct=1e6, min_risk_reward_ratio=0
    )
    result = backtest(bars, signals, conventions="realistic", risk=risk)
    # the first is taken, the second meets an order of the same side
    assert result.verdicts["reason"].tolist() == ["admitted", "same_side_open"]
    (outcome,) = shadow(bars, signals, result.raw.verdicts)
    assert outcome.qty == 300.0
    assert outcome.weight == 1.0
    assert outcome.signal == 1

    big = Signals.from_arrays(bars, [5], "UP", 1, stop=95.0, max_bars=3, qty=900.0)
    result = backtest(bars, big, risk=risk)
    verdict = result.raw.verdicts[0]
    (outcome,) = shadow(bars, big, result.raw.verdicts)
    assert verdict["granted"] > 0
    assert outcome.qty == verdict["asked"] - verdict["granted"]
    assert outcome.weight == pytest.approx(outcome.qty / 900.0)
    # R is that of one unit, whatever the quantity
    assert outcome.r == pytest.approx(result.trades["r_multiple"][0])


def test_a_signal_without_a_quantity_risks_one_unit() -> None:
    bars = rising()
    close = bars.close[5, 0]
    signals = Signals.from_arrays(bars, [5], "UP", 1, stop=close - 4.0, max_bars=3)
    (outcome,) = shadow(bars, signals)
    assert outcome.qty == RISK_UNIT / 4.0
    (outcome,) = shadow(bars, signals, risk_unit=4_001.0)
    assert outcome.qty == 1_000.0


def test_a_closing_signal_ends_what_it_would_have_closed() -> None:
    bars = rising()
    signals = Signals.from_arrays(
        bars,
        [5, 8, 12, 20],
        "UP",
        [1, 1, 0, 0],
        stop=[90.0, 90.0, np.nan, np.nan],
        qty=[1, 1, np.nan, np.nan],
    )
    outcomes = shadow(bars, signals)
    assert [one.exit_reason for one in outcomes] == ["signal", "signal"]
    assert {one.exit_ts for one in outcomes} == {int(bars.ts[13])}


def test_the_risk_managers_time_exit_is_kept() -> None:
    bars = rising()
    signals = Signals.from_arrays(bars, [5], "UP", 1, stop=90.0, qty=1.0)
    assert shadow(bars, signals)[0].state == "open"
    (outcome,) = shadow(bars, signals, max_days=7)
    assert outcome.exit_reason == "time"


def test_an_entry_that_works_waits_and_one_that_died_says_why() -> None:
    bars = rising()
    limit = Signals.from_arrays(bars, [5], "UP", 1, entry="limit", limit_price=50.0, stop=40.0, qty=1.0)
    assert shadow(bars, limit)[0].state == "waiting"
    day = Signals.from_arrays(
        bars, [5], "UP", 1, entry="limit", limit_price=50.0, stop=40.0, qty=1.0, tif="DAY"
    )
    assert (shadow(bars, day)[0].state, shadow(bars, day)[0].why) == ("never_filled", "tif_expired")
    wrong = Signals.from_arrays(bars, [5], "UP", 1, stop=200.0, qty=1.0)
    assert (shadow(bars, wrong)[0].state, shadow(bars, wrong)[0].why) == ("never_filled", "invalid_stop")


def test_numbers_that_are_no_signals_are_refused() -> None:
    bars = rising()
    signals = Signals.from_arrays(bars, [5], "UP", 1, stop=90.0, qty=1.0)
    with pytest.raises(ConfigError) as caught:
        shadow(bars, signals, [1])
    assert caught.value.code == "CONFIG_SHADOW"
    with pytest.raises(ConfigError) as caught:
        shadow(bars, signals, risk_unit=0.0)
    assert caught.value.code == "CONFIG_SHADOW"
    assert shadow(bars, signals, []) == []


def test_a_run_prices_its_rules() -> None:
    bars = load_bars("synthetic:6x500?seed=4")
    rows = np.arange(30, 480, 3)
    random = np.random.default_rng(0)
    signals = Signals.from_arrays(
        bars, rows, random.integers(0, 6, len(rows)), 1, stop_percent=4.0, target_r=2.0, max_bars=15,
        strategy="drift",
    )  # fmt: skip
    result = backtest(bars, signals)
    found = result.counterfactuals()
    verdicts = result.verdicts
    refused = verdicts[verdicts["outcome"] != "admitted"]
    assert len(found.cases) == len(refused) > 20
    table = found.by_rule()
    shrunk = refused["outcome"] == "shrunk"
    rules = refused["reason"].where(~shrunk, refused["rule"])
    assert table["n"].to_dict() == rules.value_counts().to_dict()
    frame = found.frame
    for rule, row in table.iterrows():
        mine = frame[(frame["rule"] == rule) & (frame["state"] == "closed")]
        total = (mine["r"] * mine["weight"]).sum()
        assert row["sum_r"] == pytest.approx(total)
        assert row["saved_r"] == pytest.approx(-total)
        assert row["mean_r"] == pytest.approx(np.average(mine["r"], weights=mine["weight"]))
        assert row["saved_pnl"] == pytest.approx(-mine["pnl"].sum())
    assert str(table.index[0]) in str(found)
    assert found is result.counterfactuals()


def test_a_run_without_refusals_has_an_empty_ledger() -> None:
    bars = rising()
    found = backtest(bars, Signals.empty(bars)).counterfactuals()
    assert not found.cases
    assert not len(found.by_rule())
    assert not len(found.frame)
