from __future__ import annotations

import math
import time
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest

from simulator.kernel.dtypes import ACCOUNT, METRICS
from simulator.results import METRIC_DEFINITIONS, Result, metrics_from_accumulators
from simulator.results.metrics import benchmark_metrics, format_metric


def brute_force(result: Result) -> dict[str, float]:
    """Every metric again, from equity, trades, fills and verdicts, one value at a time."""
    cash, per_year = result.raw.cash, result.raw.bars.sessions_per_year
    session = result.raw.bars.session_no.tolist()
    equity = result.equity.tolist()
    last = dict(zip(session, equity, strict=True))
    returns, before = [], cash
    for value in last.values():
        returns.append(value / before - 1.0)
        before = value
    n = len(returns)
    peak, depth, longest, peak_session = cash, 0.0, 0, session[0] - 1
    for number, value in zip(session, equity, strict=True):
        if value >= peak:
            peak, peak_session = value, number
        else:
            depth = max(depth, 1.0 - value / peak)
            longest = max(longest, number - peak_session)
    pnl = result.trades["pnl"].tolist()
    r = [value for value in result.trades["r_multiple"].tolist() if not math.isnan(value)]
    total = equity[-1] / cash - 1.0
    cagr = (1.0 + total) ** (per_year / n) - 1.0
    wins, losses = [p for p in pnl if p > 0], [p for p in pnl if p < 0]
    best = worst = streak = 0
    for p in pnl:
        streak = (max(streak, 0) + 1) if p > 0 else (min(streak, 0) - 1) if p < 0 else 0
        best, worst = max(best, streak), max(worst, -streak)
    fills = result.fills
    traded = float((fills["qty"] * fills["price"]).sum())
    gross = result.exposure["gross"] / result.exposure["equity"]
    outcomes = result.verdicts["outcome"].value_counts()
    return {
        "total_return": total,
        "cagr": cagr,
        "volatility": stdev(returns) * math.sqrt(per_year),
        "sharpe": mean(returns) / stdev(returns) * math.sqrt(per_year),
        "sortino": mean(returns)
        / math.sqrt(sum(min(x, 0.0) ** 2 for x in returns) / n)
        * math.sqrt(per_year),
        "calmar": cagr / depth,
        "max_drawdown": -depth,
        "max_drawdown_sessions": longest,
        "exposure": float((gross > 0).mean()),
        "mean_gross_exposure": float(gross.mean()),
        "turnover": traded / ((cash + equity[-1]) / 2.0) / (n / per_year),
        "trades": len(pnl),
        "win_rate": len(wins) / len(pnl),
        "profit_factor": sum(wins) / -sum(losses),
        "expectancy": mean(pnl),
        "average_r": mean(r),
        "expectancy_r": mean(pnl) / -mean(losses),
        "sqn": math.sqrt(len(r)) * mean(r) / stdev(r),
        "average_mae": mean(result.trades["mae"].tolist()),
        "average_mfe": mean(result.trades["mfe"].tolist()),
        "longest_winning_streak": best,
        "longest_losing_streak": worst,
        "average_bars_held": mean(result.trades["bars_held"].tolist()),
        "fees": float(fills["fee"].sum()),
        "final_equity": equity[-1],
        "sessions": n,
        "signals": len(result.verdicts),
        "admitted": int(outcomes.get("admitted", 0) + outcomes.get("shrunk", 0)),
        "shrunk": int(outcomes.get("shrunk", 0)),
        "rejected": int(outcomes.get("rejected", 0)),
        "sessions_halted": int((result.events["reason"] == "daily_loss_halt").sum()),
    }


@pytest.mark.parametrize("kind", ["daily", "intraday"])
def test_accumulators_and_logs_agree_on_every_metric(kind: str, request: pytest.FixtureRequest) -> None:
    result: Result = request.getfixturevalue(kind)
    expected = brute_force(result)
    assert expected["trades"] > 20
    assert expected["rejected"] > 0
    assert expected["shrunk"] > 0
    for name, value in expected.items():
        assert result.metrics[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_every_metric_is_defined_and_every_definition_is_a_metric(daily: Result) -> None:
    assert list(daily.metrics) == list(METRIC_DEFINITIONS)
    assert all(metric.definition.endswith(".") and metric.label for metric in METRIC_DEFINITIONS.values())


def test_a_sweep_of_a_thousand_lanes_is_one_vectorised_call(daily: Result) -> None:
    metrics, account = np.repeat(daily.raw.metrics, 1000), np.repeat(daily.raw.account, 1000)
    metrics["sessions"][500] = 0
    began = time.perf_counter()
    table = metrics_from_accumulators(metrics, account, 252.0)
    assert time.perf_counter() - began < 0.1
    assert all(values.shape == (1000,) for values in table.values())
    assert table["sharpe"][0] == table["sharpe"][999] == pytest.approx(daily.metrics["sharpe"])
    assert math.isnan(table["sharpe"][500])


def test_nothing_traded_is_flat_and_undefined_not_wrong() -> None:
    metrics, account = np.zeros(1, METRICS), np.zeros(1, ACCOUNT)
    metrics["sessions"], metrics["bars"] = 100, 100
    account["initial_cash"] = account["equity"] = 1000.0
    found = {
        name: values[0].item() for name, values in metrics_from_accumulators(metrics, account, 252.0).items()
    }
    assert found["total_return"] == found["cagr"] == found["exposure"] == found["turnover"] == 0.0
    assert math.copysign(1.0, found["max_drawdown"]) == 1.0
    for name in (
        "sharpe",
        "sortino",
        "calmar",
        "volatility",
        "win_rate",
        "profit_factor",
        "average_r",
        "sqn",
    ):
        assert math.isnan(found[name]), name


def test_a_constant_return_has_no_sharpe_ratio() -> None:
    metrics, account = np.zeros(1, METRICS), np.ones(1, ACCOUNT)
    rate = 0.0001
    metrics["sessions"], metrics["sum_return"], metrics["sum_square"] = 2500, 2500 * rate, 2500 * rate * rate
    assert math.isnan(metrics_from_accumulators(metrics, account, 252.0)["sharpe"][0])


def test_only_winners_have_an_infinite_profit_factor() -> None:
    metrics, account = np.zeros(1, METRICS), np.ones(1, ACCOUNT)
    metrics["trades"], metrics["wins"], metrics["gross_profit"], metrics["sum_pnl"] = 2, 2, 10.0, 10.0
    table = metrics_from_accumulators(metrics, account, 252.0)
    assert table["profit_factor"][0] == math.inf
    assert math.isnan(table["expectancy_r"][0])


def test_a_total_loss_compounds_to_minus_one() -> None:
    metrics, account = np.zeros(1, METRICS), np.zeros(1, ACCOUNT)
    metrics["sessions"], account["initial_cash"], account["equity"] = 10, 100.0, -20.0
    table = metrics_from_accumulators(metrics, account, 252.0)
    assert table["total_return"][0] == pytest.approx(-1.2)
    assert table["cagr"][0] == -1.0


def test_a_deposit_is_no_profit() -> None:
    metrics, account = np.zeros(1, METRICS), np.zeros(1, ACCOUNT)
    metrics["sessions"], account["initial_cash"], account["deposits"], account["equity"] = (
        252,
        100.0,
        100.0,
        210.0,
    )
    table = metrics_from_accumulators(metrics, account, 252.0)
    assert table["total_return"][0] == table["cagr"][0] == pytest.approx(0.05)


def test_a_scaled_benchmark_gives_its_scale_back() -> None:
    theirs = np.array([0.01, -0.02, 0.015, 0.0, -0.005])
    found = benchmark_metrics(2.0 * theirs + 0.001, theirs, 250.0)
    assert found["beta"] == pytest.approx(2.0)
    assert found["alpha"] == pytest.approx(0.25)
    assert found["correlation"] == pytest.approx(1.0)
    assert found["up_capture"] == pytest.approx((2 * 0.0125 + 0.001) / 0.0125)
    assert found["down_capture"] == pytest.approx((2 * -0.0125 + 0.001) / -0.0125)


def test_benchmark_metrics_agree_with_numpy(daily: Result) -> None:
    mine, theirs = daily.returns.to_numpy(), daily.benchmark_returns.to_numpy()
    covariance = np.cov(mine, theirs, ddof=1)
    assert daily.metrics["beta"] == pytest.approx(covariance[0, 1] / covariance[1, 1])
    assert daily.metrics["correlation"] == pytest.approx(np.corrcoef(mine, theirs)[0, 1])


def test_a_benchmark_that_never_moves_leaves_beta_undefined() -> None:
    found = benchmark_metrics(np.array([0.1, 0.2]), np.array([0.0, np.nan]), 252.0)
    assert all(math.isnan(value) for name, value in found.items() if name != "benchmark_return")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("total_return", -0.1234, "-12.34%"),
        ("final_equity", 1234567.891, "1,234,567.89"),
        ("trades", 1200, "1,200"),
        ("average_r", 0.25, "0.250 R"),
        ("sharpe", math.nan, "n/a"),
        ("profit_factor", math.inf, "inf"),
    ],
)
def test_metrics_are_shown_in_their_units(name: str, value: float, shown: str) -> None:
    assert format_metric(name, value) == shown


def test_sessions_are_the_unit_of_returns(intraday: Result) -> None:
    assert len(intraday.returns) == intraday.metrics["sessions"] < len(intraday.equity)
    grown = (1.0 + intraday.returns).prod()
    assert grown == pytest.approx(1.0 + intraday.metrics["total_return"])
    assert isinstance(intraday.returns.index, pd.DatetimeIndex)
