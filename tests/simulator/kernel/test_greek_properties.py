"""The limits on Greeks by their promises, over random walks of shares and packages.

Greeks are worked out here a second time, from the state and the table of quotes, with
`simulator.options.pricing`; volatilities that were once known are remembered by the test itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Bars, Conventions
from simulator.engine import Run
from simulator.kernel import codes
from simulator.options.market import OptionMarket
from simulator.options.pricing import greeks, implied_volatility
from simulator.risk_limits import RiskLimits
from simulator.signals import Signals
from simulator.types import Reason
from tests.budget import many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.drivers import DRIVERS, by_backtest, by_stream, by_sweep, difference
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.package_walks import Records, Table, legs_of, live, packages, walk
from tests.simulator.kernel.test_greek_limits import AT_MID, ROOMY
from tests.simulator.kernel.test_package_drivers import with_packages

RATE: Final = 0.03
NAMES: Final = ("net_delta", "gamma", "theta", "vega")
RULES: Final = {
    "net_delta": codes.REASON_NET_DELTA,
    "gamma": codes.REASON_GAMMA,
    "theta": codes.REASON_THETA,
    "vega": codes.REASON_VEGA,
}
BOTH: Final = Conventions(same_side="add", opposite_side="ignore")

Greeks = dict[str, float]

LIMITS: Final = st.builds(
    ROOMY.replace,
    max_net_delta_pct=st.sampled_from([None, None, 10.0, 40.0]),
    max_gamma_pct=st.sampled_from([None, None, None, 0.1, 1.0]),
    max_theta_pct=st.sampled_from([None, None, 0.01, 0.1]),
    max_vega_pct=st.sampled_from([None, 0.01, 0.02]),
    on_greeks=st.sampled_from(["shrink", "shrink", "reject"]),
)


@dataclass
class Admission:
    """One verdict, with the Greeks before and after it, and those of one unit of what was asked."""

    verdict: Records
    equity: float
    before: Greeks
    after: Greeks
    unit: Greeks
    lot: float


class Measured:
    """Greeks of a run in currency, from its state and the quotes."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.table = Table(bars)
        self.volatilities: dict[tuple[int, int], float] = {}
        self.spots: dict[int, float] = {}
        self.held: list[tuple[int, Records]] = []

    def look(self, run: Run) -> None:
        """Remember which packages are open before a bar: what closes on it has been quoted too."""
        slots = [slot for slot in live(run) if run.state.positions["package"][slot] == 1]
        self.held = [(int(run.state.positions["sym"][slot]), legs_of(run, slot).copy()) for slot in slots]

    def note(self, run: Run, t: int) -> None:
        """Remember what the quotes of bar t say of every open package."""
        for sym, legs in self.held:
            if not self.table.of(t, sym, legs).bad:
                self.spots[sym] = float(self.bars.close[t, sym])
        for slot in live(run):
            position = run.state.positions[slot]
            sym, legs = int(position["sym"]), legs_of(run, slot)
            if position["package"] == 1 and not self.table.of(t, sym, legs).bad:
                self.spots[sym] = float(self.bars.close[t, sym])
                for k, found in enumerate(self.implied(t, sym, legs)):
                    if found > 0.0:
                        self.volatilities[int(position["id"]), k] = found

    def implied(self, t: int, sym: int, legs: Records) -> list[float]:
        """Volatility that the mid of each leg implies at bar t; NaN where none does."""
        found = []
        for leg in legs:
            days = int(leg["expiry"] - self.bars.session[t])
            if leg["right"] == 0 or days <= 0:
                found.append(math.nan)
                continue
            key = (t, sym, int(leg["expiry"]), int(leg["right"]), float(leg["strike"]))
            mid = sum(self.table.known[key]) / 2
            spot = float(self.bars.close[t, sym])
            found.append(
                implied_volatility(
                    float(leg["right"]), mid, spot, float(leg["strike"]), days / 365.0, RATE, style="american"
                )
            )
        return found

    def package(self, t: int, sym: int, legs: Records, volatilities: list[float]) -> Greeks:
        """Greeks of one package per share."""
        spot = float(self.bars.close[t, sym])
        if not math.isfinite(spot):
            spot = self.spots[sym]
        total = dict.fromkeys(NAMES, 0.0)
        for leg, volatility in zip(legs, volatilities, strict=True):
            units = float(leg["side"] * leg["ratio"])
            days = int(leg["expiry"] - self.bars.session[t])
            right, strike = float(leg["right"]), float(leg["strike"])
            if right == 0.0:
                total["net_delta"] += units * spot
            elif days > 0 and volatility > 0.0:
                one = greeks(right, spot, strike, days / 365.0, RATE, volatility, style="american")
                total["net_delta"] += units * one.delta * spot
                total["gamma"] += units * one.gamma * spot * spot / 100.0
                total["theta"] += units * one.theta
                total["vega"] += units * one.vega
            elif right * (spot - strike) > 0.0:
                total["net_delta"] += units * right * spot
        total["net_delta"] *= float(self.bars.instruments["beta"][sym])
        return total

    def of(self, run: Run, t: int) -> Greeks:
        """Greeks of what is open and what could still fill; packages have filled by now."""
        total = dict.fromkeys(NAMES, 0.0)
        state = run.state
        for slot in live(run):
            position = state.positions[slot]
            sym, units = int(position["sym"]), float(position["qty"] * position["multiplier"])
            if position["package"] == 1:
                legs = legs_of(run, slot)
                known = [self.volatilities.get((int(position["id"]), k), math.nan) for k in range(len(legs))]
                for name, value in self.package(t, sym, legs, known).items():
                    total[name] += units * value
            else:
                beta = float(self.bars.instruments["beta"][sym])
                total["net_delta"] += beta * units * float(position["side"] * position["mark"])
        for slot in state.order_slots["slot"][: int(state.account["n_orders"][0])]:
            order = state.orders[slot]
            beta = float(self.bars.instruments["beta"][order["sym"]])
            rest = float(order["side"] * (order["qty"] - order["filled"]))
            total["net_delta"] += beta * rest * float(order["reference"])
        return total

    def unit(self, record: Any, signals: Signals, t: int) -> Greeks:
        """Greeks of one unit of what a signal asks for."""
        sym = int(record["sym"])
        if record["package"] == 0:
            value = float(record["side"]) * float(self.bars.close[t, sym])
            if record["entry"] == codes.ENTRY_LIMIT:
                value = float(record["side"] * record["limit_price"])
            beta = float(self.bars.instruments["beta"][sym])
            return dict.fromkeys(NAMES, 0.0) | {"net_delta": beta * value}
        index = int(record["package"]) - 1
        rules = signals.packages[index]
        legs = signals.legs[index, : int(rules["legs"])]
        one = self.package(t, sym, legs, self.implied(t, sym, legs))
        return {name: value * float(rules["multiplier"]) for name, value in one.items()}


def mixed(bars: Bars, seed: int) -> Signals:
    """Packages, and shares that are bought or sold short at the close, at the next open or by a limit."""
    random = np.random.default_rng([seed, 3])
    count = 12
    row, sym = random.integers(0, 20, count), random.integers(0, len(bars.symbols), count)
    keep = np.isfinite(bars.close[row, sym])
    row, sym = row[keep], sym[keep]
    side = random.choice([1, -1], row.size)
    close = bars.close[row, sym]
    entry = random.choice(["close", "open", "limit"], row.size)
    limit = np.where(entry == "limit", (close * (1.0 - side * 0.03)).round(2), np.nan)
    shares = Signals.from_arrays(
        bars, row, sym, side, entry=entry.tolist(), limit_price=limit, stop_percent=50.0,
        qty=random.choice([20.0, 100.0, 400.0], row.size),
    )  # fmt: skip
    return Signals.concat([packages(bars, seed, 14, covered=0), shares])


def admissions(bars: Bars, signals: Signals, limits: RiskLimits) -> Iterator[Admission]:
    """Judge the signals of each bar one by one: a bar is stepped again with one signal more each time."""
    run = Run(bars, signals, risk=limits, cash=200_000.0, costs=AT_MID, conventions=BOTH)
    measured = Measured(bars)
    for t in range(len(bars)):
        mine = run.records[int(run.offsets[t]) : int(run.offsets[t + 1])]
        saved = run.books.snapshot()
        measured.look(run)
        around, equity = [], math.nan
        for count in range(len(mine) + 1):
            run.books.restore(saved)
            run.step_with(mine[:count])
            if not count:
                equity = float(run.state.account["equity"][0])
            measured.note(run, t)
            around.append(measured.of(run, t))
        run.at += 1
        judged = run.books.take()["verdicts"]
        for k, verdict in enumerate(judged):
            if verdict["reason"] in (codes.REASON_ADMITTED, codes.REASON_SHRUNK, *RULES.values()):
                yield Admission(
                    verdict, equity, around[k], around[k + 1], measured.unit(mine[k], signals, t), 1.0
                )


def size(name: str, value: float) -> float:
    """What a limit measures: theta that is received, and the others on either side."""
    return max(0.0, value) if name == "theta" else abs(value)


@pytest.mark.thorough
def test_no_admission_takes_a_greek_into_breach_or_raises_one_in_breach() -> None:
    seen: Counter[str] = Counter()

    @drawn(150, 40)
    @given(st.integers(0, 2**31), LIMITS, st.sampled_from([0.0, 0.1]))
    def hold(seed: int, limits: RiskLimits, missing: float) -> None:
        random = np.random.default_rng([seed, 4])
        bars = walk(seed, missing=missing, rate=RATE)
        bars = bars.with_betas({name: float(random.choice([1.0, 1.6, -0.4])) for name in bars.symbols})
        for a in admissions(bars, mixed(bars, seed), limits):
            rule = Reason(int(a.verdict["rule"])).label
            seen[f"{Reason(int(a.verdict['reason'])).label} by {rule}"] += 1
            granted = float(a.verdict["granted"])
            for name in NAMES:
                # what is granted is what the state shows
                moved = a.after[name] - a.before[name]
                assert moved == pytest.approx(granted * a.unit[name], rel=1e-6, abs=1e-4)
                percent = getattr(limits, f"max_{name}_pct")
                if percent is None:
                    continue
                cap = percent / 100.0 * a.equity
                before, after = size(name, a.before[name]), size(name, a.after[name])
                assert after <= max(before, cap) * (1 + 1e-9) + 1e-4
                seen[f"{name} lowered in breach"] += granted > 0 and before > cap and after < before
            if rule in NAMES:
                _largest(a, rule, limits)

    hold()
    print(sorted(seen.items()))
    for name in NAMES:
        assert seen[f"shrunk by {name}"] > many_or_few(10, 0), name
        assert seen[f"{name} by {name}"] > many_or_few(20, 3), name
    assert seen["admitted by admitted"] > many_or_few(300, 100)
    assert sum(seen[f"{name} lowered in breach"] for name in NAMES) > many_or_few(50, 5)


def _largest(a: Admission, name: str, limits: RiskLimits) -> None:
    # One lot more would break the rule that decided; where it rejects by policy, what was asked would.
    cap = getattr(limits, f"max_{name}_pct") / 100.0 * a.equity
    asked, granted = float(a.verdict["asked"]), float(a.verdict["granted"])
    more = asked if limits.on_greeks == "reject" else granted + a.lot
    assert granted < asked
    assert a.verdict["limit"] == getattr(limits, f"max_{name}_pct") / 100.0
    toward = math.copysign(1.0, a.unit[name])
    assert toward * (a.before[name] + more * a.unit[name]) > cap * (1 - 1e-9) - 1e-4
    told = toward * (a.before[name] + asked * a.unit[name]) / a.equity
    assert a.verdict["value"] == pytest.approx(told, rel=1e-6, abs=1e-9)


def modelled(bars: Bars, seed: int) -> OptionMarket:
    """A surface over an index that is missing on some days."""
    random = np.random.default_rng([seed, 5])
    levels = {}
    for name in bars.symbols:
        level = 0.3 * np.exp(random.normal(0.0, 0.05, len(bars)).cumsum())
        level[random.random(len(bars)) < 0.1] = np.nan
        levels[name] = level
    return OptionMarket.modelled(bars, levels, rate=RATE, dividend_yield=0.01)


@pytest.mark.thorough
def test_limits_on_greeks_decide_alike_in_every_driver() -> None:
    seen: Counter[str] = Counter()

    @drawn(80, 20)
    @given(configurations(most_bars=40), st.integers(0, 2**31), LIMITS, st.booleans())
    def agree(shape: Configuration, seed: int, limits: RiskLimits, surface: bool) -> None:
        if shape.bars.detail is not None:
            shape = dataclasses.replace(shape, bars=shape.bars.replaced(detail=None, detail_start=None))
        c = dataclasses.replace(with_packages(shape, seed, 25), risk=limits)
        if surface:
            c = dataclasses.replace(c, bars=c.bars.with_options(modelled(c.bars, seed)))
        expected = by_backtest(c)
        for name, driver in DRIVERS.items():
            found = difference(expected, driver(c))
            assert not found, f"{name} differs from backtest in {found}"
        plain = dataclasses.replace(c, commands=[])
        if c.commands:
            expected = by_backtest(plain)
        for name, answer in (("sweep", by_sweep([plain, plain])[1]), ("stream", by_stream(plain))):
            found = difference(expected, answer)
            assert not found, f"{name} differs from backtest in {found}"
        verdicts = expected["verdicts"]
        assert not isinstance(verdicts, bytes)
        for rule in verdicts["rule"]:
            seen[Reason(int(rule)).label] += 1

    agree()
    print(sorted(seen.items()))
    assert sum(seen[name] > many_or_few(2, 0) for name in NAMES) >= many_or_few(len(NAMES), 3)
