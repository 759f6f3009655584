"""The benchmark: it notices trades that differ, says so, and gives no times then."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import measure, scenarios, workloads
from benchmarks.__main__ import main
from benchmarks.agreement import COLUMNS, Agreement, compare, trade_table
from benchmarks.report import Check, Section


def table(**changes: object) -> pd.DataFrame:
    rows: dict[str, object] = {name: [1, 2] for name in COLUMNS}
    return trade_table({**rows, **changes})


def test_equal_trades_agree_in_any_order() -> None:
    turned = {name: [2, 1] for name in COLUMNS}
    assert compare(table(), trade_table(turned), ("ours", "peer")) == Agreement(2)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_difference_in_any_column_is_found(name: str) -> None:
    other = [1, 2.000001] if name in COLUMNS[4:] else [1, 3]
    found = compare(table(), table(**{name: other}), ("ours", "peer"))
    assert not found.holds
    assert name in found.difference


def test_a_missing_trade_is_found() -> None:
    found = compare(table(), table().iloc[:1], ("ours", "peer"))
    assert found.difference == "ours has 2 trades, peer 1"


def test_nan_is_a_difference() -> None:
    assert not compare(table(), table(exit_price=[1.0, np.nan]), ("ours", "peer")).holds


def test_a_target_is_met_from_its_own_side() -> None:
    assert Check("faster", 60.0, 60.0).met
    assert not Check("faster", 59.0, 60.0).met
    assert Check("memory", 0.09, 0.1, at_least=False).met
    assert not Check("memory", 0.11, 0.1, at_least=False).met


def test_where_trades_differ_there_are_no_times_and_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def disagrees(*, quick: bool) -> Section:
        section = Section("long", "quick" if quick else "whole")
        section.agreements["a peer"] = Agreement(3, "exit_price of trade 2")
        return section

    monkeypatch.setattr(scenarios, "long_section", disagrees)
    assert main(["--quick", "--only", "long", "--json"]) == 1
    (section,) = json.loads(capsys.readouterr().out)["sections"]
    assert section["agrees"] is False
    assert section["rows"] == []
    assert section["agreements"]["a peer"]["difference"] == "exit_price of trade 2"


@pytest.mark.slow
def test_a_real_section_agrees_and_measures(tmp_path: Path) -> None:
    pytest.importorskip("vectorbt")
    out = tmp_path / "found.json"
    assert main(["--quick", "--only", "long", "--json", str(out)]) == 0
    (section,) = json.loads(out.read_text(encoding="utf-8"))["sections"]
    assert section["agreements"]["vectorbt numba"]["trades"] > 1000
    engines = [row["engine"] for row in section["rows"]]
    assert engines == ["Twinstep", "Twinstep, logs off", "vectorbt numba", "vectorbt rust"]
    assert all(row["median ms"] > 0.0 for row in section["rows"])


def test_the_sweep_work_is_the_same_every_time() -> None:
    first, again = workloads.sweep_work(5, 200, 0.1), workloads.sweep_work(5, 200, 0.1)
    np.testing.assert_array_equal(first.market.close, again.market.close)
    for one, other in zip(first.row, again.row, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.lanes == 5


def test_without_validation_data_the_portfolio_is_synthetic_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TWINSTEP_VALIDATION_DATA", str(tmp_path))
    market = workloads.portfolio_market.__wrapped__(12, 50)
    assert market.shape == (50, 12)
    assert "synthetic" in market.origin


def test_no_signal_of_the_portfolio_opens_beyond_its_own_stop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TWINSTEP_VALIDATION_DATA", str(tmp_path))
    market = workloads.portfolio_market.__wrapped__(40, 400)
    plan = workloads.portfolio_plan(market, density=0.3)
    stop = market.close[plan.row, plan.symbol] * (1.0 - plan.side * plan.stop)
    assert ((market.open[plan.row + 1, plan.symbol] - stop) * plan.side > 0.0).all()


def test_memory_growth_sees_what_a_run_takes() -> None:
    size = 64 * 1024 * 1024
    grown = measure.peak_growth(lambda: np.ones(size // 8).sum())
    assert 0.7 * size < grown < 3 * size


def test_alternating_runs_take_turns_each_right_after_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "WARM_SECONDS", 0.0)
    # the garbage of a whole test run takes seconds
    monkeypatch.setattr("benchmarks.measure.gc.collect", lambda: 0)
    calls: list[str] = []
    runs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = measure.alternating(runs, 2)
    assert calls == ["a", "a", "b", "b", "a", "a", "b", "b"]
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_a_short_run_is_measured_after_a_tenth_of_a_second_of_its_own() -> None:
    begun: list[float] = []
    took = measure.timed(lambda: begun.append(time.perf_counter()), warm=True)
    assert begun[-1] - begun[0] > 0.9 * measure.WARM_SECONDS
    assert took < measure.WARM_SECONDS
