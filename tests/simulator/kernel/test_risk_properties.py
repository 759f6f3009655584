"""The risk manager by its promises; measures are recomputed in plain Python, from the state."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from simulator.engine import Run
from simulator.kernel.inspect import correlations
from simulator.kernel.views import view_of
from simulator.risk_limits import RiskLimits
from simulator.setup import market_of
from simulator.types import Reason
from tests.budget import many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.generate import Configuration, configurations, shapes
from tests.simulator.kernel.market import (
    LOOSE,
    bars_of,
    flat,
    run,
    verdicts,
)
from tests.simulator.kernel.measures import (
    TIGHT,
    Admission,
    Measures,
    admissions,
    initial_distance,
    resting,
)


@pytest.mark.thorough
def test_no_admission_takes_a_measure_into_breach_or_raises_one_in_breach() -> None:
    seen: Counter[str] = Counter()

    @drawn(120, 40)
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
    assert seen["admitted"] > many_or_few(300, 80)
    assert seen["shrunk"] > many_or_few(500, 150)
    assert seen["beside something"] > many_or_few(500, 150)
    assert seen["next to a breach"] > many_or_few(8, 2)
    for rule in (
        "risk_per_trade",
        "heat",
        "sector",
        "position_size",
        "gross_exposure",
        "net_exposure",
        "buying_power",
    ):
        assert seen[f"by {rule}"] > many_or_few(2, 0), rule


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


@pytest.mark.thorough
def test_every_admission_is_counted_in_heat_and_exposure() -> None:
    # the other side of the test above: what is granted does raise the measures, so that nothing rests unseen
    @drawn(30, 8)
    @given(shapes(most_bars=60).map(resting), TIGHT)
    def hold(c: Configuration, risk: RiskLimits) -> None:
        for a in admissions(c, risk):
            if a.verdict["granted"] > 0 and a.verdict["side"] != 0:
                multiplier = c.bars.instruments["multiplier"][a.verdict["sym"]]
                least = a.verdict["granted"] * a.verdict["price"] * multiplier
                assert a.after.gross - a.before.gross >= least * (1 - 1e-9)
                assert a.after.heat > a.before.heat

    hold()


@pytest.mark.thorough
def test_shrinking_never_rounds_up_and_keeps_whole_lots() -> None:
    counted: Counter[str] = Counter()

    @drawn(120, 25)
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
    assert counted["shrunk"] > many_or_few(100, 30)


@pytest.mark.parametrize("lots", [0.29, 0.57, 1.13, 2.3, 1000.01])
def test_a_quantity_in_whole_lots_is_granted_whole(lots: float) -> None:
    bars = bars_of(flat(1, 3), instruments={"A": {"tick": 0.0, "lot": 0.01}})
    (verdict,) = verdicts(run(bars, {"qty": lots, "stop": 0.9}, risk=LOOSE))
    assert verdict[1:] == ("admitted", pytest.approx(lots))


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
