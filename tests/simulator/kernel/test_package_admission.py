"""Admission of option packages: good quotes, one verdict a signal, no collateral left, heat below its cap."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import RiskLimits
from simulator.engine import Run
from simulator.kernel import codes
from simulator.options.packages import LegSpec
from simulator.signals import Signals
from simulator.types import Reason
from tests.budget import many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.package_walks import (
    CASH,
    COSTS,
    Records,
    Table,
    first_price,
    legs_of,
    live,
    one,
    packages,
    share_of,
    stocks,
    walk,
)
from tests.simulator.kernel.test_package_drivers import SHAPES
from tests.simulator.kernel.test_packages import AT_MID


@pytest.mark.thorough
def test_nothing_fills_on_a_bad_quote_and_every_signal_has_one_verdict() -> None:
    counted: Counter[str] = Counter()

    @drawn(200, 40)
    @given(st.integers(0, 2**31), st.sampled_from([None, RiskLimits(max_open_positions=50)]))
    def hold(seed: int, limits: RiskLimits | None) -> None:
        bars = walk(seed, missing=0.05)
        signals = packages(bars, seed, 14)
        run = Run(bars, signals, cash=CASH, risk=limits, costs=COSTS)
        table = Table(bars)
        judged: Counter[int] = Counter()
        open_before: dict[int, tuple[int, Records]] = {}
        for t in range(len(bars)):
            run.step()
            logs = run.books.take()
            now = {
                int(run.state.positions[s]["id"]): (
                    int(run.state.positions[s]["sym"]),
                    legs_of(run, s).copy(),
                )
                for s in live(run)
                if run.state.positions[s]["package"] == 1
            }
            for verdict in logs["verdicts"]:
                judged[int(verdict["signal"])] += 1
                counted[Reason(int(verdict["reason"])).label] += 1
            for fill in logs["fills"]:
                position = int(fill["position"])
                entry = fill["kind"] == codes.KIND_ENTRY
                if position not in (now if entry else open_before):
                    continue  # shares that a package became
                sym, legs = (now if entry else open_before)[position]
                told = table.of(t, sym, legs)
                assert not told.bad
                if entry:
                    assert not told.zero_bid
                    share = share_of(COSTS, len(legs)) * told.spread
                    assert math.isclose(-fill["side"] * fill["price"], -told.worth - share, abs_tol=1e-9)
                    counted["entries"] += 1
                else:
                    counted["exits"] += 1
                    if fill["reason"] not in (codes.EXIT_EXPIRY, codes.EXIT_ASSIGNMENT):
                        share = share_of(COSTS, len(legs)) * told.spread
                        got = float(-fill["side"] * fill["price"])
                        assert math.isclose(got, told.worth - share, abs_tol=1e-9)
                        counted["exits at quotes"] += 1
            open_before = now
        assert sorted(judged) == list(range(len(signals)))
        assert set(judged.values()) <= {1}

    hold()
    print(counted)
    assert counted["entries"] > many_or_few(200, 80)
    assert counted["exits"] > many_or_few(200, 80)
    assert counted["exits at quotes"] > many_or_few(200, 40)
    assert counted["no_quote"] > many_or_few(100, 10)


@pytest.mark.thorough
def test_a_refusal_for_quotes_is_never_wrong() -> None:
    counted: Counter[bool] = Counter()

    @drawn(300, 100)
    @given(st.integers(0, 2**31), st.sampled_from(list(SHAPES)), st.integers(0, 15))
    def hold(seed: int, name: str, row: int) -> None:
        bars = walk(seed, symbols=1, missing=0.0)
        side, parts = SHAPES[name]
        legs: list[LegSpec] = [(s, kind, round(first_price(bars, 0) * at, 2)) for s, kind, at in parts]
        signals = one(bars, legs, row=row, last=20, side=side, qty=1.0)
        run = Run(bars, signals, cash=1e7, risk=None, costs=AT_MID)
        run.advance()
        told = Table(bars).of(row, 0, signals.legs[0, : len(legs)])
        refused = int(run.result().raw.verdicts["reason"][0]) == codes.REASON_NO_QUOTE
        assert refused == (told.bad or told.zero_bid)
        counted[refused] += 1

    hold()
    assert min(counted[True], counted[False]) >= many_or_few(15, 3)


@pytest.mark.thorough
def test_nothing_is_tied_up_without_packages_and_heat_is_one_number_below_its_cap() -> None:
    counted: Counter[str] = Counter()

    @drawn(150, 25)
    @given(st.integers(0, 2**31), st.sampled_from([4.0, 10.0, 40.0]), st.booleans())
    def hold(seed: int, cap: float, shrink: bool) -> None:
        bars = walk(seed, missing=0.03)
        signals = Signals.concat([packages(bars, seed, 12), stocks(bars, seed, 10)])
        limits = RiskLimits(
            max_open_positions=50, max_portfolio_heat_pct=cap, risk_per_trade_pct=cap / 2,
            max_sector_exposure_pct=1000.0, max_position_size_pct=1000.0,
            on_heat="shrink" if shrink else "reject",
        )  # fmt: skip
        run = Run(bars, signals, cash=CASH, risk=limits, costs=AT_MID)
        for _ in range(len(bars)):
            run.step()
            logs, state, account = run.books.take(), run.state, run.state.account[0]
            kinds, heat = set(), 0.0
            for slot in live(run):
                position = state.positions[slot]
                units = float(position["qty"])
                if position["package"] == 1:
                    heat += units * float(position["unit_loss"])
                elif math.isinf(position["stop_now"]):
                    heat += units * float(position["mark"])  # shares that were assigned have no stop
                else:
                    heat += units * max(0.0, float(position["entry_price"] - position["stop_now"]))
                kinds.add(int(position["package"]))
            told = float(logs["equity"]["heat"][0] * account["equity"])
            assert math.isclose(told, heat, rel_tol=1e-9, abs_tol=1e-6)
            if 1 not in kinds:
                assert account["collateral"] == 0.0
                assert account["n_packages"] == 0
                counted["bars without packages"] += 1
            admitted = np.isin(logs["verdicts"]["reason"], (codes.REASON_ADMITTED, codes.REASON_SHRUNK))
            if admitted.any():
                assert heat <= cap / 100.0 * account["equity"] * (1 + 1e-9) + 1e-6
                counted["admissions"] += 1
                counted["admissions beside both kinds"] += kinds == {0, 1}
            for verdict in logs["verdicts"]:
                counted[Reason(int(verdict["reason"])).label] += 1

    hold()
    print(counted)
    for name in ("bars without packages", "admissions", "admissions beside both kinds", "heat"):
        assert counted[name] > many_or_few(50, 15), name
