"""Trials: an identity made of what was run, and trials read off results and tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.statistics.sharpe import sharpe_sample
from optimize.trials import Trial, hypothesis_of, trial_of_result, trials_of_table
from simulator import backtest, load_bars, sweep
from simulator.errors import ConfigError
from strategies import SmaCross

values = st.one_of(st.integers(-50, 50), st.floats(-5, 5), st.booleans(), st.text(max_size=4), st.none())


def make(**changes: Any) -> Trial:
    given: dict[str, Any] = {
        "strategy": "s",
        "data": "d",
        "parameters": {"n": 1},
        "source": "sweep",
        **changes,
    }
    return Trial(**given)


@settings(derandomize=True, database=None, deadline=None, max_examples=80)
@given(st.dictionaries(st.text(max_size=5), values, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_parameters_does_not_matter(parameters: dict[str, Any], random: Any) -> None:
    items = list(parameters.items())
    random.shuffle(items)
    assert make(parameters=parameters).id == make(parameters=dict(items)).id
    assert make(parameters={**parameters, "a new name": 1}).id != make(parameters=parameters).id


def test_equal_values_of_other_types_are_the_same_run() -> None:
    ids = {make(parameters={"n": value}).id for value in (10, 10.0, np.int64(10), np.float64(10.0))}
    assert len(ids) == 1
    assert make(parameters={"n": True}).id != make(parameters={"n": 1}).id
    assert make(parameters={"n": "1"}).id != make(parameters={"n": 1}).id
    assert make(parameters={"n": math.nan}).id == make(parameters={"n": None}).id


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "t"}, {"data": "e"}, {"parameters": {"n": 2}}, {"hypothesis": "h"}, {"last_ts": 5},
        {"rules": "r"}, {"version": "v"},
    ],
)  # fmt: skip
def test_what_decides_the_outcome_makes_another_trial(changes: dict[str, Any]) -> None:
    assert make(**changes).id != make().id


@pytest.mark.parametrize(
    "changes",
    [{"source": "study"}, {"run": "x"}, {"sharpe": 1.0}, {"metrics": {"trades": 3.0}}, {"sessions": 9}],
)
def test_who_reported_it_and_what_came_of_it_do_not(changes: dict[str, Any]) -> None:
    assert make(**changes).id == make().id


def test_a_table_of_a_sweep_becomes_trials() -> None:
    bars = load_bars("synthetic:2x250?seed=4")
    table = sweep(bars, SmaCross(), {"fast": [5, 10], "slow": [20, 30]})
    trials = trials_of_table(table, bars, strategy="sma-cross", parameters=["fast", "slow"], run="r1")
    ran = [{name: one.parameters[name] for name in ("fast", "slow")} for one in trials]
    assert ran == table[["fast", "slow"]].to_dict("records")
    assert trials[0].hypothesis == hypothesis_of("sma-cross", bars.fingerprint)
    year = math.sqrt(bars.sessions_per_year)
    np.testing.assert_allclose([one.sharpe * year for one in trials], table["sharpe"])
    assert {one.sessions for one in trials} == {250}
    assert (trials[0].first_ts, trials[0].last_ts) == (bars.ts[0], bars.ts[-1])
    assert trials[0].metrics["trades"] == table["trades"].iloc[0]
    with pytest.raises(ConfigError, match="Did you mean 'fast'"):
        trials_of_table(table, bars, strategy="s", parameters=["fat"])


def test_a_backtest_and_the_lane_of_a_sweep_are_one_trial() -> None:
    bars = load_bars("synthetic:2x250?seed=4")
    result = backtest(bars, SmaCross(fast=5, slow=20))
    single = trial_of_result(result, strategy="sma-cross", parameters={"fast": 5, "slow": 20})
    table = sweep(bars, SmaCross(), {"fast": [5], "slow": [20]})
    (lane,) = trials_of_table(table, bars, strategy="sma-cross", parameters=["fast", "slow"])
    assert single.id == lane.id
    assert single.sharpe == pytest.approx(lane.sharpe)
    assert single.sessions == lane.sessions
    sample = sharpe_sample(result.returns.to_numpy())
    assert (single.skewness, single.kurtosis) == (sample.skewness, sample.kurtosis)
    assert single.run == result.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "guess"}, {"strategy": ""}, {"sharpe": math.inf}, {"kurtosis": -math.inf},
        {"sessions": -1}, {"first_ts": 5, "last_ts": 1}, {"returns": np.zeros((2, 2))},
    ],
)  # fmt: skip
def test_trials_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="OPTIMIZE_TRIAL"):
        make(**changes)
