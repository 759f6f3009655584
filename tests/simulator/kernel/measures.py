"""The measures of the risk manager written a second time, and configurations close to its limits."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from simulator.engine import Run
from simulator.kernel import codes
from simulator.kernel.state import State
from simulator.risk_limits import RiskLimits
from tests.simulator.kernel.generate import Configuration, Shape, build

Record = Any


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
