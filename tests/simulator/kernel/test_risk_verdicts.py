"""Verdicts of the risk manager, and sizes worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from simulator.conventions import Conventions
from simulator.engine import Run
from simulator.kernel import codes
from simulator.risk_limits import RiskLimits
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.market import (
    LOOSE,
    bars_of,
    flat,
    made,
    run,
    verdicts,
)

# Verdicts


@pytest.mark.thorough
def test_every_signal_ends_in_exactly_one_verdict_in_order() -> None:
    @drawn(80, 12)
    @given(configurations(most_bars=80))
    def hold(c: Configuration) -> None:
        done = Run(c.bars, c.signals, commands=c.commands, **c.rules)
        done.advance()
        log = done.result().raw.verdicts
        assert list(log["signal"]) == list(range(len(done.records)))
        for name in ("row", "sym", "side", "tag", "strategy"):
            assert list(log[name]) == list(done.records[name])
        admitted = log[log["order"] >= 0]
        assert list(admitted["order"]) == list(range(len(admitted)))
        assert done.state.metrics["admitted"][0] == len(admitted)

    hold()


def test_a_signal_says_which_of_its_inputs_were_absent() -> None:
    bars = bars_of(flat(100, 3))
    done = run(bars, {"stop": 95.0}, risk=RiskLimits())
    assert done.result().verdicts["absent"].iloc[0] == ["strength", "score", "target"]
    done = run(
        bars, {"stop": 95.0, "target": 110.0, "score": 60.0, "strength": "MODERATE"}, risk=RiskLimits()
    )
    assert done.result().verdicts["absent"].iloc[0] == []


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        ({}, "no_stop"),
        ({"stop": 100.0}, "invalid_stop"),
        ({"stop": 101.0}, "invalid_stop"),
        ({"stop": 95.0, "target": 99.0}, "invalid_target"),
        ({"stop": 95.0, "target": 109.0}, "min_reward_risk"),
        ({"stop": 95.0, "score": 59.9}, "min_score"),
        ({"stop": 95.0, "strength": "WEAK"}, "min_strength"),
        ({"stop_atr": 2.0}, "invalid_stop"),
        ({"stop": 10.0, "qty": 0.5}, "min_quantity"),
        ({"stop": 95.0, "target": 110.0, "score": 60.0, "strength": "MODERATE"}, "shrunk"),
    ],
)
def test_what_a_signal_is_rejected_for(signal: dict[str, Any], reason: str) -> None:
    assert verdicts(run(bars_of(flat(100, 3)), signal, risk=RiskLimits()))[0][1] == reason


def test_a_reward_of_exactly_twice_the_risk_passes() -> None:
    # prices in cents, whose differences are not exact in binary
    random = np.random.default_rng(3)
    limits = LOOSE.replace(min_risk_reward_ratio=2.0)
    for _ in range(60):
        cents = int(random.integers(500, 20_000))
        risk = int(random.integers(1, cents // 4))
        side = int(random.choice([1, -1]))
        bars = bars_of(flat(cents / 100, 2), instruments={"A": {"tick": 0.01}})
        stop = {"side": side, "qty": 1.0, "stop": (cents - side * risk) / 100}
        exact = run(bars, {**stop, "target": (cents + 2 * side * risk) / 100}, risk=limits)
        assert verdicts(exact)[0][1] == "admitted", (cents, risk, side)
        less = run(bars, {**stop, "target": (cents + side * (2 * risk - 1)) / 100}, risk=limits)
        assert verdicts(less)[0][1] == "min_reward_risk"
        in_r = run(bars, {**stop, "target_r": 2.0}, risk=limits)
        assert verdicts(in_r)[0][1] == "admitted"


# Sizing by hand


def test_the_default_size_risks_two_percent() -> None:
    bars = bars_of(flat(20, 3))
    done = run(bars, {"stop": 18.0}, risk=RiskLimits())
    # 2 % of 100,000 over 2 of risk is 1,000 shares, 20,000 of notional, within 25 % of the sector
    assert verdicts(done) == [(0, "admitted", 1_000)]
    tight = run(bars, {"stop": 19.5}, risk=RiskLimits())
    # 4,000 shares would be 80,000: the sector takes 25,000
    assert verdicts(tight) == [(0, "shrunk", 1_250)]
    assert tight.result().raw.verdicts["rule"][0] == codes.REASON_SECTOR


def test_heat_counts_what_rests_and_what_may_be_added() -> None:
    names = "ABCDE"
    bars = bars_of({name: flat(100, 4) for name in names}, sectors={name: name for name in names})
    limits = RiskLimits(max_sector_exposure_pct=500.0, max_correlation=None)
    low = {"entry": "limit", "limit_price": 90.0, "stop": 80.0}
    done = run(bars, *({**low, "symbol": name} for name in names), risk=limits)
    # 2 % each: three make 6 %, the fourth finds no room
    assert [reason for _, reason, _ in verdicts(done)] == ["admitted"] * 3 + ["heat", "heat"]
    adds = {**low, "add_r": 1.0}
    done = run(bars, {**adds, "symbol": "A", "qty": 100.0}, {**low, "symbol": "B"}, risk=limits)
    # 100 · 10 and as much again from 10 higher: 3,000 of heat needs 200 less
    assert verdicts(done)[0] == (0, "shrunk", 66)


@pytest.mark.parametrize("policy", ["shrink", "reject"])
@pytest.mark.parametrize(
    ("close", "stop", "size"),
    # 0.40, 0.20 and 3.20 of risk; the differences are a little more in binary
    [(10.0, 9.6, 5_000), (10.74, 10.54, 10_000), (11.48, 8.28, 625), (150.3, 145.3, 400)],
)
def test_a_size_that_is_the_limit_passes_whatever_binary_prices_do(
    close: float, stop: float, size: int, policy: str
) -> None:
    names = "ABCD"
    bars = bars_of({name: flat(close, 3) for name in names})
    limits = RiskLimits(max_sector_exposure_pct=1e6, max_correlation=None, leverage=100.0)
    limits = limits.replace(on_risk=policy, on_heat=policy)
    done = run(bars, *({"symbol": name, "stop": stop} for name in names), risk=limits)
    # 2 % each, and three make the 6 % of heat
    assert verdicts(done) == [(0, "admitted", size)] * 3 + [(0, "heat", 0)]
    more = run(bars, {"symbol": "A", "stop": stop, "qty": size + 1.0}, risk=limits)
    assert verdicts(more)[0][1:] == (("shrunk", size) if policy == "shrink" else ("risk_per_trade", 0))
    full = limits.replace(risk_per_trade_pct=50.0, max_portfolio_heat_pct=2.0)
    asked = run(bars, {"symbol": "A", "stop": stop, "qty": size + 1.0}, risk=full)
    assert verdicts(asked)[0][1:] == (("shrunk", size) if policy == "shrink" else ("heat", 0))


def test_a_stop_beyond_the_entry_carries_no_heat() -> None:
    bars = bars_of(
        {"A": made(100, 100, (100, 130, 100, 130), 130, 130), "B": flat(100, 5)}, sectors={"A": "x", "B": "y"}
    )
    limits = RiskLimits(
        max_portfolio_heat_pct=2.0,
        max_sector_exposure_pct=500.0,
        max_correlation=None,
        max_days_in_trade=None,
    )
    trailing = {"symbol": "A", "qty": 100.0, "trail_amount": 20.0}
    late = {"symbol": "B", "row": 3, "stop": 90.0}
    # the trail is at 110: nothing can be lost of the entry at 100
    assert verdicts(run(bars, trailing, late, risk=limits))[1] == (3, "admitted", 206)
    # from the mark of 130 it still can: 20 · 100 of 103,000 leave 60, six shares
    marked = limits.replace(heat_basis="mark")
    assert verdicts(run(bars, trailing, late, risk=marked))[1] == (3, "shrunk", 6)


def test_unknown_sectors_share_one_bucket_and_a_signal_may_name_its_own() -> None:
    bars = bars_of({name: flat(10, 3) for name in "ABC"}, sectors={"C": "Energy"})
    limits = RiskLimits(max_correlation=None)
    stop = {"stop": 9.5}
    done = run(bars, {**stop, "symbol": "A"}, {**stop, "symbol": "B"}, {**stop, "symbol": "C"}, risk=limits)
    assert [(v[1], v[2]) for v in verdicts(done)] == [("shrunk", 2_500), ("sector", 0), ("shrunk", 2_500)]
    own = run(bars, {**stop, "symbol": "A"}, {**stop, "symbol": "B", "sector": "Energy"}, risk=limits)
    assert verdicts(own)[1] == (0, "shrunk", 2_500)


def test_net_exposure_lets_the_other_side_in() -> None:
    bars = bars_of({name: flat(10, 3) for name in "ABC"})
    limits = LOOSE.replace(max_net_exposure_pct=30.0)
    big = {"qty": 5_000.0}
    done = run(
        bars,
        {**big, "symbol": "A", "stop": 5.0},
        {**big, "symbol": "B", "stop": 5.0},
        {**big, "symbol": "C", "stop": 15.0, "side": -1},
        risk=limits,
    )
    # 30,000 long, then none, then short from +30,000 to -20,000
    assert [(v[1], v[2]) for v in verdicts(done)] == [
        ("shrunk", 3_000),
        ("net_exposure", 0),
        ("admitted", 5_000),
    ]


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"max_open_positions": 2}, ["admitted", "admitted", "max_positions"]),
        ({"max_positions_per_strategy": 1}, ["admitted", "strategy_cap", "admitted"]),
        ({"max_positions_per_symbol": 1}, ["admitted", "admitted", "admitted"]),
    ],
)
def test_caps_on_counts_include_what_rests(changes: dict[str, Any], reasons: list[str]) -> None:
    bars = bars_of({name: flat(100, 3) for name in "ABC"})
    low = {"qty": 1.0, "entry": "limit", "limit_price": 90.0, "stop": 80.0}
    done = run(
        bars,
        {**low, "symbol": "A", "strategy": "one"},
        {**low, "symbol": "B", "strategy": "one"},
        {**low, "symbol": "C", "strategy": "two"},
        risk=LOOSE.replace(**changes),
    )
    assert [reason for _, reason, _ in verdicts(done)] == reasons


def test_a_symbol_cap_counts_positions_and_orders() -> None:
    bars = bars_of(flat(100, 6))
    one = {"qty": 1.0, "stop": 90.0}
    add = Conventions(same_side="add")
    done = run(
        bars,
        one,
        {**one, "row": 2},
        {**one, "row": 4},
        conventions=add,
        risk=LOOSE.replace(max_positions_per_symbol=2),
    )
    assert [reason for _, reason, _ in verdicts(done)] == ["admitted", "admitted", "symbol_cap"]
