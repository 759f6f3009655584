"""What holds for every option package: money adds up, defined risk is bounded, nothing is overdrawn."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator import Costs, RiskLimits
from simulator.engine import Run
from simulator.kernel import codes
from simulator.options.packages import LegSpec
from simulator.signals import Signals
from tests.budget import many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.package_walks import (
    CASH,
    COSTS,
    Records,
    Table,
    buying_power,
    first_price,
    legs_of,
    live,
    one,
    packages,
    stocks,
    strikes_of,
    walk,
)
from tests.simulator.kernel.test_package_drivers import SHAPES
from tests.simulator.kernel.test_packages import AT_MID


@pytest.mark.thorough
def test_cash_and_marks_are_equity_and_every_cash_flow_is_in_the_logs() -> None:
    counted: Counter[str] = Counter()

    @drawn(250, 40)
    @given(
        st.integers(0, 2**31),
        st.booleans(),
        st.sampled_from([0.03, 3.0]),  # at 300 % a year puts in the money are exercised for the interest
        st.sampled_from([Costs(), AT_MID, COSTS]),
    )
    def hold(seed: int, dividends: bool, rate: float, costs: Costs) -> None:
        bars = walk(seed, missing=0.03, dividends=dividends, rate=rate)
        signals = Signals.concat([packages(bars, seed, 12), stocks(bars, seed, 4)])
        limits = RiskLimits(max_open_positions=50, max_portfolio_heat_pct=100.0, risk_per_trade_pct=5.0)
        run = Run(bars, signals, cash=CASH, risk=limits, costs=costs)
        table = Table(bars)
        held: dict[int, tuple[float, float, Records]] = {}
        flows = fees = 0.0
        for t in range(len(bars)):
            run.step()
            logs, state, account = run.books.take(), run.state, run.state.account[0]
            now = {
                int(state.positions[s]["id"]): (
                    float(state.positions[s]["multiplier"]),
                    float(state.positions[s]["qty"]),
                    legs_of(run, s).copy(),
                )
                for s in live(run)
                if state.positions[s]["package"] == 1
            }
            for fill in logs["fills"]:
                known = now.get(int(fill["position"]), held.get(int(fill["position"])))
                multiplier = 1.0 if known is None else known[0]
                flows -= fill["side"] * fill["qty"] * fill["price"] * multiplier
                fees += fill["fee"]
                counted["package fills"] += multiplier == 100.0
            for event in logs["events"]:
                if event["reason"] == codes.REASON_ASSIGNED:
                    multiplier, qty, legs = held[int(event["position"])]
                    # before expiry and beside other options, the strike is paid or received at once
                    for leg in legs[(legs["side"] < 0) & (legs["right"] != 0)]:
                        if leg["strike"] == event["price"]:
                            shares = int(leg["side"]) * int(leg["right"]) * int(leg["ratio"])
                            flows -= shares * float(leg["strike"]) * multiplier * qty
                            counted["assigned early"] += 1
                    counted["assigned"] += 1
            scale = 1e-9 * (CASH + abs(flows) + abs(float(account["cash"])))
            assert math.isclose(account["fees"], fees, abs_tol=scale)
            expected = CASH + flows - fees + account["interest"] + account["dividends"]
            assert math.isclose(account["cash"], expected, abs_tol=scale)
            value = above = 0.0
            for slot in live(run):
                position = state.positions[slot]
                value += position["side"] * position["qty"] * position["mark"] * position["multiplier"]
                if position["package"] == 1:
                    # quotes may ask more for a package than it can ever pay
                    mark = float(position["mark"] * position["multiplier"])
                    above += (
                        (position["side"] < 0)
                        * float(position["qty"])
                        * max(0.0, mark - float(position["unit_margin"]))
                    )
                    told = table.of(t, int(position["sym"]), legs_of(run, slot))
                    if not told.bad:
                        mark = float(position["side"] * position["mark"])
                        assert math.isclose(mark, told.worth, abs_tol=1e-9 * (1 + abs(mark)))
                        counted["marks"] += 1
            assert math.isclose(account["equity"], account["cash"] + value, abs_tol=scale)
            # packages that are short of shares, after the assignment of one leg, are not judged here
            if not any(((legs["right"] == 0) & (legs["side"] < 0)).any() for _, _, legs in now.values()):
                assert buying_power(run) <= account["equity"] + above + 1e-6
                counted["buying power"] += bool(now)
            counted["dividends"] += bool(account["dividends"])
            held = now

    hold()
    print(counted)
    for name in ("package fills", "assigned", "assigned early", "marks", "dividends"):
        assert counted[name] > many_or_few(10, 2), name


@pytest.mark.thorough
def test_at_the_mid_and_without_costs_opening_and_closing_change_nothing() -> None:
    counted: Counter[str] = Counter()

    @drawn(100, 40)
    @given(st.integers(0, 2**31), st.sampled_from(list(SHAPES)), st.integers(0, 6), st.integers(2, 15))
    def hold(seed: int, name: str, row: int, days: int) -> None:
        bars = walk(seed, symbols=1)
        side, parts = SHAPES[name]
        legs: list[LegSpec] = [(s, kind, round(first_price(bars, 0) * at, 2)) for s, kind, at in parts]
        given_: dict[str, Any] = {"row": row, "last": 20, "side": side, "qty": 2.0, "american": 0}
        kept = Run(bars, one(bars, legs, **given_), cash=1e6, risk=None, costs=AT_MID)
        ended = Run(bars, one(bars, legs, dte_exit=days, **given_), cash=1e6, risk=None, costs=AT_MID)
        kept.advance()
        ended.advance()
        fills, result = kept.result().raw.fills, ended.result()
        if not len(fills):
            counted["not opened"] += 1
            return
        other, same = kept.result().equity.to_numpy(), result.equity.to_numpy()
        assert math.isclose(other[row], 1e6, rel_tol=1e-12)
        exits = result.raw.fills[result.raw.fills["reason"] == codes.EXIT_DTE]
        if len(exits):
            at = int(exits["row"][0])
            np.testing.assert_allclose(same[: at + 1], other[: at + 1], rtol=1e-12)
            np.testing.assert_allclose(same[at:], same[at], rtol=1e-12)
            counted["closed"] += 1

    hold()
    print(counted)
    assert counted["closed"] > many_or_few(30, 15)


@st.composite
def defined_risk(draw: st.DrawFn) -> tuple[list[tuple[int, str, int]], str]:
    """Vertical spreads, condors and iron butterflies sold: side, kind and the position of each strike."""
    at = sorted(draw(st.lists(st.integers(0, 6), min_size=3, max_size=3, unique=True)))
    low, middle, high = at
    shape = draw(st.sampled_from(["put spread", "call spread", "iron butterfly", "condor"]))
    puts = [(-1, "put", middle), (1, "put", low)]
    calls = [(-1, "call", middle), (1, "call", high)]
    if shape == "condor":
        assume(middle < 5)
        calls = [(-1, "call", 5), (1, "call", 6)]
    return {"put spread": puts, "call spread": calls}.get(shape, puts + calls), shape


@pytest.mark.thorough
def test_defined_risk_holds_its_width_less_the_credit_and_never_loses_more() -> None:
    counted: Counter[str] = Counter()

    @drawn(200, 60)
    @given(
        st.integers(0, 2**31),
        defined_risk(),
        st.integers(0, 6),
        st.sampled_from([1.0, 3.0]),
        st.sampled_from([Costs(), AT_MID, COSTS]),
    )
    def hold(
        seed: int, drawn: tuple[list[tuple[int, str, int]], str], row: int, qty: float, costs: Costs
    ) -> None:
        bars = walk(seed, symbols=1)
        strikes = strikes_of(bars, 0)
        legs: list[LegSpec] = [(side, kind, strikes[at]) for side, kind, at in drawn[0]]
        wings = zip(drawn[0][::2], drawn[0][1::2], strict=True)
        width = max(abs(strikes[sold[2]] - strikes[bought[2]]) for sold, bought in wings)
        signals = one(bars, legs, row=row, last=20, side=-1, qty=qty, american=0, physical=0)
        run = Run(bars, signals, cash=CASH, risk=None, costs=costs)
        run.advance(row)
        before = buying_power(run)
        run.step()
        if not live(run):
            counted["not opened"] += 1
            return
        fill = run.books.take()["fills"][0]
        credit, fee = float(fill["price"]), float(fill["fee"])
        tied = (width - credit) * 100.0 * float(fill["qty"])
        assert math.isclose(before - buying_power(run), tied + fee, abs_tol=1e-6)
        run.advance()
        raw = run.result().raw
        trade = raw.trades[0]
        assert trade["exit_reason"] == codes.EXIT_EXPIRY
        assert trade["pnl"] >= -tied - trade["fees"] - 1e-6
        assert math.isclose(buying_power(run), CASH + trade["pnl"], abs_tol=1e-6)
        counted[drawn[1]] += 1
        counted["full losses"] += bool(trade["pnl"] <= -tied + 1e-6)
        counted["full gains"] += bool(trade["exit_price"] == 0.0)

    hold()
    print(counted)
    for name in ("put spread", "call spread", "iron butterfly", "condor", "full losses", "full gains"):
        assert counted[name] >= many_or_few(5, 3), name


@pytest.mark.thorough
def test_opening_a_package_never_overdraws_the_account() -> None:
    counted: Counter[str] = Counter()

    @drawn(150, 60)
    @given(
        st.integers(0, 2**31),
        st.sampled_from(sorted(SHAPES)),
        st.integers(0, 10),
        st.floats(500.0, 50_000.0),
        st.sampled_from([AT_MID, Costs(), Costs(commission_per_contract=1.0)]),
        st.integers(0, 1),
    )
    def hold(seed: int, name: str, row: int, cash: float, costs: Costs, naked: int) -> None:
        bars = walk(seed, symbols=1)
        side, parts = SHAPES[name]
        legs: list[LegSpec] = [(s, kind, round(first_price(bars, 0) * at, 2)) for s, kind, at in parts]
        signals = one(bars, legs, row=row, last=20, side=side, qty=1000.0, naked=naked)
        run = Run(bars, signals, cash=cash, risk=None, costs=costs)
        run.advance(row + 1)
        assert buying_power(run) >= -1e-6
        if live(run):
            spent = cash - buying_power(run)
            qty = float(run.state.positions[live(run)[0]]["qty"])
            # nor does it stop short of one more
            assert cash - spent < spent / qty + 1e-6 or qty == 1000.0
            counted["opened"] += 1
            counted["several"] += qty > 1.0

    hold()
    print(counted)
    assert min(counted["opened"], counted["several"]) > many_or_few(30, 20)
