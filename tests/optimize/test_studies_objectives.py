"""Objectives and constraints: against figures made from the run's own returns and trades, NaN, names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.evaluator import evaluate
from optimize.objectives import OBJECTIVES, Objective, check_limits, constraints_of, objective, objectives
from simulator import Result, backtest, load_bars
from simulator.errors import TwinstepError
from strategies import strategy_class

KIND: Any = strategy_class("donchian-breakout")


@pytest.fixture(scope="module")
def run() -> tuple[pd.DataFrame, Result]:
    bars = load_bars("synthetic:2x700?seed=4")
    return evaluate(bars, KIND, [{}]), backtest(bars, KIND())


def test_each_objective_is_what_it_says(run: tuple[pd.DataFrame, Result]) -> None:
    table, result = run
    returns, trades = result.returns.to_numpy(), result.trades
    equity = np.concatenate([[100_000.0], result.equity.to_numpy()])
    fall = float((1 - equity / np.maximum.accumulate(equity)).max())
    growth = (equity[-1] / equity[0]) ** (252 / len(returns)) - 1
    downside = math.sqrt(np.square(np.minimum(returns, 0)).mean())
    r = trades["r_multiple"].dropna().to_numpy()
    pnl = trades["pnl"].to_numpy()
    held = result.exposure["gross"].to_numpy() if "gross" in result.exposure else None
    expected = {
        "sharpe": returns.mean() / returns.std(ddof=1) * math.sqrt(252),
        "sortino": returns.mean() / downside * math.sqrt(252),
        "calmar": growth / fall,
        "average_r": r.mean(),
        "expectancy_r": pnl.mean() / -pnl[pnl < 0].mean(),
        "sqn": math.sqrt(len(r)) * r.mean() / r.std(ddof=1),
        "tail_penalised": growth - 0.5 * fall * max(1.0, math.sqrt(2) * downside / returns.std(ddof=1)),
    }
    for name, value in expected.items():
        assert OBJECTIVES[name].of(table)[0] == pytest.approx(value, rel=1e-6), name
    assert held is not None
    share = float(np.mean(held / result.equity.to_numpy())) if held.max() > 10 else float(np.mean(held))
    per_day = (equity[-1] / equity[0] - 1) / (share * len(returns))
    assert OBJECTIVES["profit_per_margin_day"].of(table)[0] == pytest.approx(per_day, rel=1e-6)
    assert set(OBJECTIVES) == {*expected, "profit_per_margin_day"}


def test_what_never_traded_has_no_figure() -> None:
    bars = load_bars("synthetic:1x50?seed=1")
    table = evaluate(bars, KIND, [{"length": 100}])
    assert table["trades"][0] == 0
    for one in OBJECTIVES.values():
        assert np.isnan(one.of(table)).all(), one.name


def test_infinite_is_not_defined_and_the_tail_needs_no_losing_session() -> None:
    table = pd.DataFrame(
        {"sharpe": [1.0, 1.0], "sortino": [np.nan, 1.0], "cagr": [0.1, 0.1], "max_drawdown": [0.0, -0.2]}
    )
    tail = OBJECTIVES["tail_penalised"].of(table)
    assert tail.tolist() == pytest.approx([0.1, 0.1 - 0.5 * 0.2 * math.sqrt(2)])
    endless = Objective("endless", "", "", lambda table: np.full(len(table), np.inf))
    assert np.isnan(endless.of(table)).all()


def test_a_heavier_loss_side_costs() -> None:
    alike = {"sharpe": 1.0, "sortino": math.sqrt(2), "cagr": 0.1, "max_drawdown": -0.2}
    worse = {**alike, "sortino": 1.1}
    deeper = {**alike, "max_drawdown": -0.3}
    figures = OBJECTIVES["tail_penalised"].of(pd.DataFrame([alike, worse, deeper]))
    assert figures[0] == pytest.approx(0.0)
    assert figures[1] < figures[0]
    assert figures[2] < figures[0]


def test_names_and_wrong_objectives() -> None:
    assert [one.name for one in objectives(["sharpe", "calmar"])] == ["sharpe", "calmar"]
    assert objective(OBJECTIVES["sqn"]) is OBJECTIVES["sqn"]
    flat = Objective("flat", "", "", lambda table: 1.0)
    for call, code, words in (
        (lambda: objective("sharp"), "OPTIMIZE_OBJECTIVE_NAME", "Did you mean 'sharpe'"),
        (lambda: objectives([]), "OPTIMIZE_OBJECTIVE", "one or more"),
        (lambda: objectives(["sqn", "sqn"]), "OPTIMIZE_OBJECTIVE", "each once"),
        (lambda: flat.of(pd.DataFrame({"a": [1, 2]})), "OPTIMIZE_OBJECTIVE", "one number each"),
        (lambda: check_limits(min_trades=-1, max_drawdown_pct=None), "OPTIMIZE_CONSTRAINT", "min_trades"),
        (lambda: check_limits(min_trades=None, max_drawdown_pct=0), "OPTIMIZE_CONSTRAINT", "percent"),
        (lambda: check_limits(min_trades=None, max_drawdown_pct=120), "OPTIMIZE_CONSTRAINT", "100"),
    ):
        with pytest.raises(TwinstepError, match=words) as caught:
            call()
        assert caught.value.code == code


def test_constraints_count_what_is_beyond() -> None:
    table = pd.DataFrame({"trades": [10, 30], "max_drawdown": [-0.25, -0.1]})
    assert constraints_of(table) == {}
    found = constraints_of(table, **check_limits(min_trades=20, max_drawdown_pct=20))
    assert found["min_trades"].tolist() == [10.0, -10.0]
    assert found["max_drawdown_pct"].tolist() == pytest.approx([5.0, -10.0])
