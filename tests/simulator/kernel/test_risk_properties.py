"""The risk manager by its promises; measures are recomputed here, in plain Python, from the state."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import Run
from simulator.kernel import codes
from simulator.kernel.inspect import correlations
from simulator.kernel.state import State
from simulator.kernel.views import view_of
from simulator.risk_limits import RiskLimits
from simulator.setup import market_of
from simulator.types import Reason
from tests.simulator.kernel.generate import Configuration, Shape, build, configurations, shapes
from tests.simulator.kernel.market import (
    LOOSE,
    bars_of,
    events,
    fills,
    flat,
    made,
    run,
    states,
    trades,
    verdicts,
)

Record = Any

EXAMPLES = 120


def many(count: int = EXAMPLES) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# Measures, written a second time


@dataclass
class Measures:
    """What the limits are about, in currency."""

    equity: float
    heat: float
    gross: float
    net: float
    sectors: Counter[int]
    room: float  # buying power less what working orders and planned adds hold


def measured(state: State, c: Configuration, risk: RiskLimits) -> Measures:
    """Sum up what is open and what could still fill."""
    account = state.account[0]
    heat = gross = net = held = 0.0
    sectors: Counter[int] = Counter()
    for slot in state.open_slots["slot"][: account["n_positions"]]:
        position = state.positions[slot]
        side, multiplier = float(position["side"]), position["multiplier"]
        stop, qty = position["stop_now"] * side, position["qty"]  # a real price again
        value = qty * position["mark"] * multiplier
        adds = (
            [add for add in state.adds[slot] if add["state"] == 1]
            if math.isfinite(position["next_add"])
            else []
        )
        if math.isinf(stop):
            heat += value
        else:
            base = position["mark"] if risk.heat_basis == "mark" else position["entry_price"]
            heat += max(0.0, (base - stop) * side) * qty * multiplier
            heat += sum(
                max(0.0, (add["price"] * side - stop) * side) * add["qty"] * multiplier for add in adds
            )
        planned = sum(add["qty"] * abs(add["price"]) * multiplier for add in adds)
        held += planned
        gross += value + planned
        net += side * (value + planned)
        sectors[int(position["sector"])] += value + planned
    for slot in state.order_slots["slot"][: account["n_orders"]]:
        order, plan = state.orders[slot], state.plans[slot]
        rest = order["qty"] - order["filled"]
        risk_of_one, gross_of_one = unit(plan, order, c)
        heat += rest * risk_of_one
        gross += rest * gross_of_one
        net += order["side"] * rest * gross_of_one
        held += rest * gross_of_one
        sectors[int(order["sector"])] += rest * gross_of_one
    equity = float(account["equity"])
    power = risk.leverage * equity - account["long_value"] - account["short_value"]
    return Measures(equity, heat, gross, net, sectors, power - held)


def unit(plan: Record, order: Record, c: Configuration) -> tuple[float, float]:
    """Risk and notional of one unit of a working order, its planned adds included."""
    side, price = float(order["side"]), float(order["reference"])
    multiplier = float(c.bars.instruments["multiplier"][order["sym"]])
    distance = initial_distance(plan, side, price)
    if distance is None:
        return price * multiplier, price * multiplier
    risk, gross = distance, price
    for at, share in ((plan["add_r"], plan["add_fraction"]), (plan["add2_r"], plan["add2_fraction"])):
        if at > 0:
            part = 1.0 if math.isnan(share) else share
            risk += part * (at + 1) * distance
            gross += part * abs(price + side * at * distance)
    return risk * multiplier, gross * multiplier


def initial_distance(plan: Record, side: float, price: float) -> float | None:
    """Distance from entry to initial stop, None without one."""
    if not math.isnan(plan["stop"]):
        return float((price - plan["stop"]) * side)
    if not math.isnan(plan["stop_percent"]):
        return float(price * plan["stop_percent"] / 100)
    if not math.isnan(plan["stop_atr"]):
        return float(plan["stop_atr"] * plan["atr"])
    if not math.isnan(plan["trail_percent"]):
        return float(price * plan["trail_percent"] / 100)
    if not math.isnan(plan["trail_amount"]):
        return float(plan["trail_amount"])
    if plan["trail_atr"] * plan["atr"] > 0:
        return float(plan["trail_atr"] * plan["atr"])
    return None


@dataclass
class Admission:
    """One verdict, with the account before and after it."""

    verdict: Record
    record: Record
    before: Measures
    after: Measures


def admissions(c: Configuration, risk: RiskLimits) -> Iterator[Admission]:
    """Judge the signals of each bar one by one: a bar is stepped again with one signal more each time."""
    done = Run(c.bars, c.signals, commands=c.commands, **{**c.rules, "risk": risk})
    for t in range(len(c.bars)):
        mine = done.records[int(done.offsets[t]) : int(done.offsets[t + 1])]
        saved = done.books.snapshot()
        around = []
        for count in range(len(mine) + 1):
            done.books.restore(saved)
            done.step_with(mine[:count])
            around.append(measured(done.state, c, risk))
        done.at += 1
        judged = done.books.take()["verdicts"]
        assert len(judged) == len(mine)
        for k, verdict in enumerate(judged):
            yield Admission(verdict, mine[k], around[k], around[k + 1])


def resting(shape: Shape) -> Configuration:
    """A configuration whose signals all rest or wait for the next open, so that a close only judges.

    Nothing fills after the verdicts, and a position on the other side is never about to be closed.
    """
    busy = dataclasses.replace(
        shape,
        fixed=False,
        missing=min(shape.missing, 0.05),
        bad=0.0,
        symbols=max(3, shape.symbols),
        signals=60 + shape.signals,
        cash=max(20_000.0, shape.cash),
        volume=max(1_000.0, shape.volume),
    )
    made_ = build(busy)
    conventions = made_.conventions.replace(
        opposite_side="ignore"
        if made_.conventions.opposite_side == "reverse"
        else made_.conventions.opposite_side
    )
    records = made_.signals.records
    records["entry"][np.isin(records["entry"], (codes.ENTRY_CLOSE, codes.ENTRY_MOC))] = codes.ENTRY_OPEN
    records["exit_close"] = 0
    return Configuration(
        made_.shape, made_.bars, made_.signals, made_.commands, conventions, made_.costs, made_.risk
    )


TIGHT = st.builds(
    RiskLimits,
    risk_per_trade_pct=st.sampled_from([0.5, 2.0, 30.0, 30.0]),
    max_portfolio_heat_pct=st.sampled_from([0.5, 2.0, 6.0, 60.0]),
    max_sector_exposure_pct=st.sampled_from([5.0, 25.0, 300.0, 300.0]),
    max_correlation=st.none(),
    daily_loss_limit=st.just(90.0),
    max_open_positions=st.sampled_from([3, 10]),
    min_risk_reward_ratio=st.just(0.0),
    min_signal_strength=st.just(1),
    min_pattern_score=st.just(0.0),
    # often none, so that buying power behind them decides too
    max_position_size_pct=st.sampled_from([None, None, 8.0, 60.0]),
    max_gross_exposure_pct=st.sampled_from([None, None, 20.0, 90.0]),
    max_net_exposure_pct=st.sampled_from([None, None, 15.0, 60.0]),
    max_positions_per_symbol=st.sampled_from([None, 2]),
    leverage=st.sampled_from([1.0, 2.0]),
    heat_basis=st.sampled_from(["entry", "mark"]),
    on_risk=st.sampled_from(["shrink", "reject"]),
    on_heat=st.sampled_from(["shrink", "reject"]),
    on_sector=st.sampled_from(["shrink", "reject"]),
    on_exposure=st.sampled_from(["shrink", "reject"]),
)


def test_no_admission_takes_a_measure_into_breach_or_raises_one_in_breach() -> None:
    seen: Counter[str] = Counter()

    @many()
    @given(shapes(most_bars=60).map(resting), TIGHT)
    def hold(c: Configuration, risk: RiskLimits) -> None:
        for a in admissions(c, risk):
            seen["verdicts"] += 1
            if not a.verdict["granted"] > 0 or a.verdict["side"] == 0:
                continue
            reason = Reason(int(a.verdict["reason"])).label
            seen[reason] += 1
            seen[f"by {Reason(int(a.verdict['rule'])).label}"] += 1
            _within(a, c, risk)
            seen["beside something"] += a.before.gross > 0
            seen["next to a breach"] += _breached(a.before, risk)

    hold()
    print(seen)
    assert seen["admitted"] > 300
    assert seen["shrunk"] > 500
    assert seen["beside something"] > 500
    assert seen["next to a breach"] > 8
    for rule in (
        "risk_per_trade",
        "heat",
        "sector",
        "position_size",
        "gross_exposure",
        "net_exposure",
        "buying_power",
    ):
        assert seen[f"by {rule}"] > 2, rule


def _breached(before: Measures, risk: RiskLimits) -> bool:
    sector = max(before.sectors.values(), default=0.0) > risk.max_sector_exposure_pct / 100 * before.equity
    return sector or before.heat > risk.max_portfolio_heat_pct / 100 * before.equity


def _within(a: Admission, c: Configuration, risk: RiskLimits) -> None:
    equity = a.before.equity
    assert a.after.equity == equity
    tolerance = 1e-9 * max(equity, a.before.gross)

    def cap(percent: float | None) -> float:
        return math.inf if percent is None else percent / 100 * equity

    assert a.after.heat <= max(a.before.heat, cap(risk.max_portfolio_heat_pct)) + tolerance
    assert a.after.gross <= max(a.before.gross, cap(risk.max_gross_exposure_pct)) + tolerance
    assert abs(a.after.net) <= max(abs(a.before.net), cap(risk.max_net_exposure_pct)) + tolerance
    for sector in a.after.sectors:
        most = max(a.before.sectors[sector], cap(risk.max_sector_exposure_pct))
        assert a.after.sectors[sector] <= most + tolerance
    # fees come on top, so that the room left is above zero by them
    assert a.after.room >= min(a.before.room, 0.0) - tolerance
    added = a.after.gross - a.before.gross
    assert added <= cap(risk.max_position_size_pct) + tolerance
    if initial_distance(a.record, float(a.record["side"]), 1.0) is not None:
        assert a.after.heat - a.before.heat <= cap(risk.risk_per_trade_pct) + tolerance


def test_every_admission_is_counted_in_heat_and_exposure() -> None:
    # the other side of the test above: what is granted does raise the measures, so that nothing rests unseen
    @many(30)
    @given(shapes(most_bars=60).map(resting), TIGHT)
    def hold(c: Configuration, risk: RiskLimits) -> None:
        for a in admissions(c, risk):
            if a.verdict["granted"] > 0 and a.verdict["side"] != 0:
                multiplier = c.bars.instruments["multiplier"][a.verdict["sym"]]
                least = a.verdict["granted"] * a.verdict["price"] * multiplier
                assert a.after.gross - a.before.gross >= least * (1 - 1e-9)
                assert a.after.heat > a.before.heat

    hold()


def test_shrinking_never_rounds_up_and_keeps_whole_lots() -> None:
    counted: Counter[str] = Counter()

    @many()
    @given(configurations(most_bars=80))
    def hold(c: Configuration) -> None:
        if c.risk is None:
            return
        log = Run(c.bars, c.signals, commands=c.commands, **c.rules)
        log.advance()
        for v in log.result().raw.verdicts:
            if v["side"] == 0 or math.isnan(v["asked"]):
                continue
            lot = float(c.bars.instruments["lot"][v["sym"]])
            assert v["granted"] <= v["asked"] * (1 + 1e-9)
            assert v["granted"] / lot == pytest.approx(round(v["granted"] / lot), abs=1e-6)
            reason = Reason(int(v["reason"])).label
            counted[reason] += 1
            if reason == "shrunk":
                assert 0 < v["granted"] < v["asked"] or v["granted"] == pytest.approx(v["asked"])
            elif reason == "admitted":
                assert v["asked"] - v["granted"] < lot
            else:
                assert v["granted"] == 0

    hold()
    assert counted["shrunk"] > 100


@pytest.mark.parametrize("lots", [0.29, 0.57, 1.13, 2.3, 1000.01])
def test_a_quantity_in_whole_lots_is_granted_whole(lots: float) -> None:
    bars = bars_of(flat(1, 3), instruments={"A": {"tick": 0.0, "lot": 0.01}})
    (verdict,) = verdicts(run(bars, {"qty": lots, "stop": 0.9}, risk=LOOSE))
    assert verdict[1:] == ("admitted", pytest.approx(lots))


# Verdicts


def test_every_signal_ends_in_exactly_one_verdict_in_order() -> None:
    @many(80)
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


# Correlation


@pytest.mark.parametrize("window", [20, 60])
def test_the_correlation_is_that_of_the_last_common_log_returns(window: int) -> None:
    random = np.random.default_rng(window)
    rows = 150
    moves = random.normal(0, 0.02, (rows, 3)) + random.normal(0, 0.02, (rows, 1))
    close = 50 * np.exp(moves.cumsum(axis=0))
    close[random.random(close.shape) < 0.15] = np.nan
    days = {
        name: [() if math.isnan(price) else (price,) * 4 for price in close[:, column]]
        for column, name in enumerate("ABC")
    }
    bars = bars_of(days)
    for t in (1, 30, 75, 149):
        rho, count = np.zeros((3, 3)), np.zeros((3, 3), np.int64)
        correlations(view_of(market_of(bars)), t, window, rho, count)
        returns = np.diff(np.log(close[: t + 1]), axis=0)[-2 * window :]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            common = returns[~np.isnan(returns[:, a]) & ~np.isnan(returns[:, b])][-window:]
            assert count[a, b] == len(common) or len(common) < 2
            if len(common) > 2:
                assert rho[a, b] == pytest.approx(np.corrcoef(common[:, a], common[:, b])[0, 1], abs=1e-12)


def twins(rho_sign: float = 1.0, rows: int = 80) -> Any:
    random = np.random.default_rng(5)
    moves = random.normal(0, 0.01, rows)
    own = random.normal(0, 0.01, rows)

    def prices(returns: Any) -> list[tuple[float, ...]]:
        return [(price,) * 4 for price in 100 * np.exp(np.cumsum(returns))]

    return bars_of({"A": prices(moves), "B": prices(rho_sign * moves + 0.1 * own), "C": prices(own)})


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_gate_rejects_what_moves_with_an_open_position_on_the_same_side(sign: float) -> None:
    limits = LOOSE.replace(max_correlation=0.8)
    bars = twins(sign)
    first = {"row": 70, "symbol": "A", "qty": 1.0, "stop": 1.0}
    plan = {"row": 75, "qty": 1.0, "stop": 1.0}
    done = run(bars, first, {**plan, "symbol": "B"}, {**plan, "symbol": "C"}, risk=limits)
    assert [reason for _, reason, _ in verdicts(done)] == ["admitted", "correlation", "admitted"]
    assert done.result().raw.verdicts["value"][1] > 0.9
    other = run(bars, first, {**plan, "symbol": "B", "side": -1, "stop": 999.0}, risk=limits)
    assert verdicts(other)[1][1] == "admitted"
    resting = {**first, "entry": "limit", "limit_price": 2.0}
    assert verdicts(run(bars, resting, {**plan, "symbol": "B"}, risk=limits))[1][1] == "correlation"


def test_too_few_returns_are_unknown_and_policy_says_what_that_means() -> None:
    bars = twins(rows=40)
    limits = LOOSE.replace(max_correlation=0.8)
    both = (
        {"row": 30, "symbol": "A", "qty": 1.0, "stop": 1.0},
        {"row": 35, "symbol": "B", "qty": 1.0, "stop": 1.0},
    )
    done = run(bars, *both, risk=limits)
    assert verdicts(done)[1][1] == "admitted"
    assert "correlation" in done.result().verdicts["absent"].iloc[1]
    strict = run(bars, *both, risk=limits.replace(unknown_correlation="reject"))
    assert verdicts(strict)[1][1] == "correlation_unknown"
    known = run(bars, *both, risk=limits.replace(correlation_min_observations=35))
    assert verdicts(known)[1][1] == "correlation"


# Halts

DROP = made(100, 100, (100, 100, 97, 97), 97, 97, 97)


def losing(**changes: Any) -> Run:
    """In at 100 with 1,000 shares of 100,000; the close of row 2 is 3 % down. A signal a day."""
    signals = [{"row": row, "symbol": "B", "qty": 1.0, "stop": 1.0} for row in range(6)]
    bars = bars_of({"A": DROP, "B": flat(10, 6)})
    commands = changes.pop("commands", ())
    limits = LOOSE.replace(daily_loss_limit=2.0, max_positions_per_symbol=None, **changes)
    return run(
        bars,
        {"qty": 1_000.0, "stop": 50.0},
        *signals,
        risk=limits,
        commands=commands,
        conventions=Conventions(same_side="add"),
        cash=120_000.0,
    )


def test_a_daily_loss_halts_on_the_bar_it_happens_and_the_next_session_releases_it() -> None:
    done = losing()
    assert states(done) == ["active", "active", "halted", "active", "active", "active"]
    outcome = {row: reason for row, reason, _ in verdicts(done)[1:]}
    assert outcome == {
        0: "admitted",
        1: "admitted",
        2: "daily_loss_halt",
        3: "admitted",
        4: "admitted",
        5: "admitted",
    }
    assert done.state.account["halted_sessions"][0] == 1


def test_a_manual_release_waits_for_a_person() -> None:
    done = losing(halt_release="manual")
    assert states(done) == ["active", "active", "halted", "halted", "halted", "halted"]
    armed = losing(halt_release="manual", commands=[(4, "arm")])
    assert states(armed) == ["active", "active", "halted", "halted", "active", "active"]
    assert [reason for row, reason, _ in verdicts(armed)[1:]] == [
        "admitted",
        "admitted",
        "daily_loss_halt",
        "daily_loss_halt",
        "admitted",
        "admitted",
    ]


def test_a_halt_cancels_working_entries_and_planned_adds() -> None:
    bars = bars_of({"A": DROP, "B": flat(10, 6)})
    done = run(
        bars,
        {"qty": 1_000.0, "stop": 50.0, "add_r": 0.02, "add_fraction": 0.1},
        {"symbol": "B", "qty": 1.0, "entry": "limit", "limit_price": 5.0, "stop": 1.0},
        risk=LOOSE.replace(daily_loss_limit=2.0, leverage=2.0),
    )
    assert events(done)[-1] == (2, "cancelled", "halt")
    assert len(fills(done)) == 1
    assert not math.isfinite(done.state.positions["next_add"][0])


def test_a_halt_flattens_at_the_next_open_where_it_should() -> None:
    done = losing(daily_loss_action="flatten")
    assert (1, 3, "daily_loss", 97) in trades(done)
    deep = losing(max_drawdown_pct=2.2, drawdown_action="flatten")
    assert states(deep)[2:] == ["halted"] * 4
    assert (1, 3, "drawdown", 97) in trades(deep)


def test_a_drawdown_halt_stays_until_a_person_arms() -> None:
    done = losing(max_drawdown_pct=2.2)
    assert states(done) == ["active", "active", "halted", "halted", "halted", "halted"]
    assert [reason for _, reason, _ in verdicts(done)][-1] == "drawdown_halt"
    armed = losing(max_drawdown_pct=2.2, commands=[(4, "arm")])
    assert states(armed)[4:] == ["active", "active"]


def test_the_loss_of_a_session_is_measured_from_the_last_mark_of_the_one_before() -> None:
    # three sessions of three bars; 1.5 % down in each, never 2 % within one, then 2 % in one
    ts = np.array(
        [(18_000 + t // 3) * 86_400_000_000_000 + (14 + t % 3) * 3_600_000_000_000 for t in range(9)]
    )
    prices = made(100, 100, 100, 99.3, 98.6, 98.6, 98.0, 97.4, 96.3)
    done = run(
        bars_of(prices, ts=ts), {"qty": 1_000.0, "stop": 50.0}, risk=LOOSE.replace(daily_loss_limit=2.0)
    )
    # 98,600 at the end of the second session; 96,300 is 2.33 % less, 97,400 is 1.22 %
    assert states(done) == ["active"] * 8 + ["halted"]


def test_halts_follow_from_the_equity_alone() -> None:
    # whatever the run: halted from the bar whose mark is so far below the last one of the session before
    counted: Counter[str] = Counter()

    @many(100)
    @given(
        shapes(most_bars=80).map(resting),
        st.sampled_from([0.2, 0.5, 1.0]),
        st.sampled_from(["next_session", "manual"]),
    )
    def hold(c: Configuration, limit: float, release: str) -> None:
        limits = LOOSE.replace(daily_loss_limit=limit, halt_release=release, risk_per_trade_pct=5.0)
        rules = {**c.rules, "risk": limits, "costs": Costs(commission_per_share=0.01)}
        done = Run(c.bars, c.signals, **rules)
        done.advance()
        log = done.result().raw.equity
        baseline, halted, session = c.cash, False, c.bars.session_no[0]
        for row in range(len(c.bars)):
            if c.bars.session_no[row] != session:
                session, baseline = c.bars.session_no[row], float(log["equity"][row - 1])
                halted = halted and release == "manual"
            if 1 - log["equity"][row] / baseline >= limit / 100:
                counted["starts"] += not halted
                halted = True
            expected = codes.STATE_HALTED if halted else codes.STATE_ACTIVE
            assert log["state"][row] == expected
        assert not halted or log["state"][-1] == codes.STATE_HALTED

    hold()
    print(counted)
    assert counted["starts"] > 50


@pytest.mark.parametrize("release", ["next_session", "manual"])
def test_a_persons_kill_latches_until_armed(release: str) -> None:
    done = losing(halt_release=release, commands=[(1, "kill")])
    assert states(done) == ["active"] + ["halted"] * 5
    assert [reason for _, reason, _ in verdicts(done)][2:] == ["killed"] * 5
    armed = losing(halt_release=release, commands=[(1, "kill"), (3, "reduce"), (4, "arm")])
    assert states(armed) == ["active", "halted", "halted", "halted", "active", "active"]
    assert [reason for row, reason, _ in verdicts(armed) if row >= 4] == ["admitted", "admitted"]


@pytest.mark.parametrize("row", [2, 3])
def test_a_persons_reduce_outlives_a_daily_loss_halt(row: int) -> None:
    done = losing(commands=[(row, "reduce")])
    assert states(done) == ["active", "active", "halted", "reducing", "reducing", "reducing"]
    assert verdicts(done)[-1][1] == "reducing"
    assert states(losing(commands=[(row, "reduce"), (5, "arm")]))[5] == "active"


def test_killed_or_reducing_the_account_cancels_what_works_and_admits_nothing() -> None:
    @many(60)
    @given(configurations(most_bars=60), st.sampled_from(["kill", "reduce"]), st.floats(0, 0.9))
    def hold(c: Configuration, kind: str, share: float) -> None:
        from simulator.commands import Command

        row = int(share * len(c.bars))
        command = Command(c.bars.index[row], kind)
        done = Run(c.bars, c.signals, commands=[command], **c.rules)
        done.advance()
        raw = done.result().raw
        later = raw.verdicts[raw.verdicts["row"] >= row]
        assert not np.isin(later["reason"], (codes.REASON_ADMITTED, codes.REASON_SHRUNK)).any()
        assert not np.isin(
            raw.fills["kind"][raw.fills["row"] >= row], (codes.KIND_ENTRY, codes.KIND_ADD)
        ).any()
        assert (raw.equity["state"][row:] != codes.STATE_ACTIVE).all()
        assert done.state.account["n_orders"][0] == 0
        if kind == "kill":
            assert (raw.equity["state"][row:] == codes.STATE_HALTED).all()

    hold()


@pytest.mark.parametrize("kind", ["kill", "reduce", "daily_loss", "drawdown"])
@pytest.mark.parametrize(
    "way", ["stop", "target", "trail", "breakeven", "time", "close", "close_at", "close_all", "signal"]
)
def test_exits_work_in_every_state(kind: str, way: str) -> None:
    # A position of A; on row 3 the account is halted, by B's loss or by a person; on row 4 A leaves.
    a = made(100, 100, (100, 106, 100, 104), 104, (104, 104, 104, 104), 104)
    plans: dict[str, dict[str, Any]] = {
        "stop": {"stop": 95.0},
        "target": {"stop": 50.0, "target": 110.0},
        "trail": {"trail_amount": 6.0},
        "breakeven": {"stop": 95.0, "breakeven_r": 1.0},
        "time": {"stop": 50.0, "max_bars": 3},
    }
    moves = {
        "stop": (104, 104, 94, 96),
        "target": (104, 111, 104, 111),
        "trail": (104, 104, 99, 99),
        "breakeven": (104, 104, 99, 99),
    }
    a[4] = moves.get(way, a[4])
    b = made(100, 100, 100, 90 if kind in ("daily_loss", "drawdown") else 100, 90, 90)
    limits = LOOSE.replace(
        daily_loss_limit=2.0 if kind == "daily_loss" else 90.0,
        halt_release="manual",
        max_drawdown_pct=2.0 if kind == "drawdown" else None,
    )
    commands: list[tuple[Any, ...]] = [(3, kind)] if kind in ("kill", "reduce") else []
    if way == "close_all":
        commands.append((4, "close_all"))
    elif way == "close":
        commands.append((4, "close", "A"))
    elif way == "close_at":
        commands.append((4, "close", "A", 103.5))
    rows: list[dict[str, Any]] = [
        {"symbol": "A", "qty": 10.0, **plans.get(way, {"stop": 50.0})},
        {"symbol": "B", "qty": 400.0, "stop": 1.0},
    ]
    if way == "signal":
        rows.append({"symbol": "A", "row": 3, "side": 0})
    done = run(bars_of({"A": a, "B": b}), *rows, risk=limits, commands=commands)
    assert states(done)[3] == ("reducing" if kind == "reduce" else "halted")
    reason, price = {
        "stop": ("stop", 95),
        "target": ("target", 110),
        "trail": ("trail", 100),
        "breakeven": ("breakeven", 100),
        "time": ("time", 104),
        "signal": ("signal", 104),
        "close": ("manual", 104),
        "close_at": ("manual", 103.5),
        "close_all": ("manual", 104),
    }[way]
    assert (1, 4, reason, price) in trades(done)


# Cooldown

FALLS = made(100, 100, (100, 100, 94, 95), 95, 95, 95, 95, 95, 95, 95)


def test_a_cooldown_starts_with_the_loss_and_lasts_its_bars() -> None:
    bars = bars_of({"A": FALLS, "B": flat(100, 10)})
    rows = [{"row": row, "symbol": "B", "qty": 1.0, "stop": 1.0} for row in range(2, 9)]
    done = run(
        bars,
        {"qty": 1.0, "stop": 95.0},
        *rows,
        risk=LOOSE.replace(cooldown_losses=1, cooldown_bars=3),
        conventions=Conventions(same_side="add"),
    )
    assert [reason for _, reason, _ in verdicts(done)[1:]] == ["cooldown"] * 3 + ["admitted"] * 4


def test_a_cooldown_counts_losses_in_a_row() -> None:
    bars = bars_of({"A": FALLS, "B": FALLS, "C": flat(100, 10)})
    one = {"qty": 1.0, "stop": 95.0}
    late = {"row": 3, "symbol": "C", "qty": 1.0, "stop": 1.0}
    limits = LOOSE.replace(cooldown_losses=2, cooldown_bars=5)
    assert verdicts(run(bars, one, late, risk=limits))[-1][1] == "admitted"
    assert verdicts(run(bars, one, {**one, "symbol": "B"}, late, risk=limits))[-1][1] == "cooldown"


def test_a_loss_at_a_close_starts_its_cooldown_there_though_the_account_is_idle_after() -> None:
    bars = bars_of(made(100, 100, 95, 95, 95, 95, 95, 95, 95, 95))
    limits = LOOSE.replace(cooldown_losses=1, cooldown_bars=3)
    plan = {"qty": 1.0, "stop": 50.0}
    for row, reason in ((4, "cooldown"), (5, "admitted"), (8, "admitted")):
        done = run(bars, {**plan, "max_bars": 2, "exit": "close"}, {**plan, "row": row}, risk=limits)
        assert trades(done)[0] == (1, 2, "time", 95)
        assert verdicts(done)[1] == (row, reason, 1.0 if reason == "admitted" else 0.0)
