"""Scoring parameter sets: the figures of a sweep, windows that see nothing after them, work done once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.evaluating.sharing import SignalCache
from optimize.evaluator import Evaluator, Rules, evaluate
from simulator import Bars, Signals, backtest, load_bars, sweep
from simulator.errors import ConfigError, StrategyError
from simulator.options import OptionMarket
from strategies import strategy_class
from strategies.base import Array, Float, Int, Strategy, param
from strategies.registry import EQUITY

SMA: Any = strategy_class("sma-cross")
SETS: list[dict[str, Any]] = [
    {"fast": f, "slow": s, "stop_atr": a} for f in (5, 8) for s in (20, 30) for a in (1, 2.5)
]


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:3x400?seed=5")


def some_sets(name: str, count: int = 12) -> list[dict[str, Any]]:
    kind: Any = strategy_class(name)
    rng = np.random.default_rng(7)
    found: list[dict[str, Any]] = []
    while len(found) < count:
        drawn = {
            key: (values := space.grid())[rng.integers(len(values))] for key, space in kind.space().items()
        }
        try:
            kind(**drawn)
        except StrategyError:
            continue
        found.append(drawn)
    return found


@pytest.mark.parametrize("name", sorted(EQUITY))
def test_the_whole_history_gives_the_rows_of_a_sweep(name: str, bars: Bars) -> None:
    sets = some_sets(name)
    pd.testing.assert_frame_equal(
        evaluate(bars, strategy_class(name), sets), sweep(bars, strategy_class(name), sets)
    )


def test_rules_reach_the_lanes(bars: Bars) -> None:
    rules: dict[str, Any] = {"cash": 20_000.0, "costs": "ibkr-fixed", "conventions": "worst"}
    ours = evaluate(bars, SMA, SETS, threads=1, **rules)
    pd.testing.assert_frame_equal(ours, sweep(bars, SMA, SETS, **rules))
    assert not np.allclose(ours["final_equity"] / 20_000, evaluate(bars, SMA, SETS)["final_equity"] / 100_000)


def test_what_a_set_does_not_name_keeps_the_values_of_the_instance(bars: Bars) -> None:
    ours = evaluate(bars, SMA(stop_atr=4.0, trail_atr=2.0), [{"fast": 5, "slow": 20}])
    theirs = sweep(bars, SMA, [{"fast": 5, "slow": 20, "stop_atr": 4.0, "trail_atr": 2.0}])
    assert ours["final_equity"].tolist() == theirs["final_equity"].tolist()


@pytest.mark.parametrize(("first", "last"), [(100, 250), (0, 250), (399, 400), (180, None)])
def test_a_window_is_a_backtest_that_starts_there(bars: Bars, first: int, last: int | None) -> None:
    table = evaluate(bars, SMA, SETS, first=first, last=last)
    part = bars[:last]
    for index, parameters in enumerate(SETS):
        frame = SMA(**parameters).signals(part).frame()
        inside = frame[frame["time"] >= part.index[first]]
        result = backtest(part, Signals.from_frame(inside) if len(inside) else Signals.empty(part))
        returns = result.returns.to_numpy()[first:]
        assert table["sessions"][index] == len(returns) == len(part) - first
        assert table["trades"][index] == result.metrics["trades"]
        assert table["final_equity"][index] == pytest.approx(result.metrics["final_equity"], rel=1e-12)
        if len(returns) > 1 and returns.std() > 0:
            expected = returns.mean() / returns.std(ddof=1) * np.sqrt(252)
            assert table["sharpe"][index] == pytest.approx(expected, rel=1e-9)
        mine = Evaluator(bars, SMA(), Rules()).returns(parameters, first=first, last=last)
        np.testing.assert_allclose(mine, returns, rtol=1e-12, atol=1e-15)


class Peeks(Strategy):
    """Breaks the prefix rule: it knows the last close that it is shown."""

    @dataclass(frozen=True)
    class Params:
        qty: float = param(10.0, Float(1.0, 50.0))

    params: Params

    def signals(self, bars: Bars) -> Signals:
        rows = np.arange(0, len(bars), 10)
        side = np.sign(bars.close[-1, 0] - bars.close[rows, 0]) + 0.0
        return Signals.from_arrays(bars, rows, 0, side, stop_percent=10.0, qty=self.params.qty)


def test_nothing_after_a_window_reaches_it(bars: Bars) -> None:
    # even for a strategy that would look
    whole = evaluate(bars, Peeks, [{"qty": 5.0}], first=50, last=200)
    pd.testing.assert_frame_equal(whole, evaluate(bars[:200], Peeks, [{"qty": 5.0}], first=50))
    longer = evaluate(bars, Peeks, [{"qty": 5.0}], first=50, last=300)
    assert longer["final_equity"][0] != whole["final_equity"][0]


@pytest.mark.parametrize(
    ("first", "last"), [(-1, 10), (10, 10), (10, 5), (0, 401), (400, None), (True, 10), (0.0, 10)]
)
def test_an_impossible_window_is_an_error(bars: Bars, first: Any, last: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(bars, SMA, SETS, first=first, last=last)
    assert caught.value.code == "OPTIMIZE_WINDOW"


def test_equal_sets_are_run_once_and_remembered(bars: Bars) -> None:
    evaluator = Evaluator(bars, SMA(), Rules())
    twice = [*SETS, *SETS, {"fast": 5.0, "slow": 20, "stop_atr": 1.0}]
    table = evaluator.table(twice)
    assert evaluator.lanes_run == len(SETS)
    assert table["final_equity"].tolist()[: len(SETS)] == table["final_equity"].tolist()[len(SETS) : -1]
    assert table["final_equity"].iloc[-1] == table["final_equity"].iloc[0]
    evaluator.metrics(SETS[:2])
    assert evaluator.lanes_run == len(SETS)
    evaluator.metrics(SETS[:2], first=10)
    assert evaluator.lanes_run == len(SETS) + 2


@settings(derandomize=True, database=None, deadline=None, max_examples=15)
@given(st.lists(st.sampled_from(range(len(SETS))), min_size=1, max_size=20))
def test_a_row_depends_on_its_set_alone(order: list[int]) -> None:
    market = load_bars("synthetic:1x150?seed=5")
    alone = evaluate(market, SMA, SETS)
    together = evaluate(market, SMA, [SETS[index] for index in order])
    expected = alone.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(together, expected, check_dtype=False)


def test_no_sets_give_no_rows_and_all_columns(bars: Bars) -> None:
    table = evaluate(bars, SMA, [])
    assert len(table) == 0
    assert {"sharpe", "trades", "max_drawdown"} <= set(table.columns)


def test_functions_are_scored_and_strangers_refused(bars: Bars) -> None:
    def every(bars: Bars, step: int = 5) -> Signals:
        return Signals.from_arrays(bars, np.arange(0, len(bars), step), 0, 1, stop_percent=5.0)

    ours = evaluate(bars, every, [{"step": 5}, {"step": 9}])
    pd.testing.assert_frame_equal(ours, sweep(bars, every, [{"step": 5}, {"step": 9}]))
    for strategy, sets, code in (
        (every, [{"stepp": 3}], "STRATEGY_PARAM_UNKNOWN"),
        (SMA, [{"fsat": 3}], "STRATEGY_PARAM_UNKNOWN"),
        (SMA, [{"fast": 300}], "STRATEGY_PARAM_VALUE"),
        (42, [{}], "CONFIG_SWEEP"),
    ):
        with pytest.raises((ConfigError, StrategyError)) as caught:
            evaluate(bars, strategy, sets)
        assert caught.value.code == code
    with pytest.raises(ConfigError, match="threads"):
        evaluate(bars, SMA, SETS, threads=0)


# Sharing


def same(a: Signals, b: Signals) -> bool:
    return a.records.tobytes() == b.records.tobytes() and a.tags == b.tags and a.strategies == b.strategies


@pytest.mark.parametrize("name", sorted(EQUITY))
def test_shared_signals_are_the_plain_ones(name: str, bars: Bars) -> None:
    cache, kind = SignalCache(bars), strategy_class(name)
    for parameters in [*some_sets(name, 20), {}]:
        strategy: Any = kind(**parameters)
        assert same(cache.signals(strategy), strategy.signals(bars)), parameters
    assert type(strategy) not in cache._plain


def test_what_does_not_matter_is_not_computed_again(bars: Bars) -> None:
    cache = SignalCache(bars)
    kind: Any = strategy_class("donchian-breakout")
    for stop in (1.0, 1.5, 2.0):
        for direction in ("long", "short", "both"):
            cache.signals(kind(stop_atr=stop, direction=direction))
    assert cache.computed == {"values": 1, "signals": 9}
    cache.signals(kind(stop_atr=1.0, direction="long"))
    assert cache.computed == {"values": 1, "signals": 9}
    # read only where it is above 0, and then it matters
    cache.signals(kind(weekly_average=4))
    cache.signals(kind(weekly_average=8))
    assert cache.computed["values"] == 3


class Conditional(Strategy):
    """Which parameter it reads depends on another."""

    @dataclass(frozen=True)
    class Params:
        mode: int = param(0, Int(0, 1))
        a: int = param(5, Int(2, 9))
        b: int = param(5, Int(2, 9))

    params: Params

    def signals(self, bars: Bars) -> Signals:
        step = self.params.a if self.params.mode == 0 else self.params.b
        return Signals.from_arrays(bars, np.arange(0, len(bars), step), 0, 1, stop_percent=5.0)


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(2, 4), st.integers(2, 4)), min_size=1, max_size=30))
def test_reads_that_depend_on_values_share_only_what_is_equal(points: list[tuple[int, int, int]]) -> None:
    market = load_bars("synthetic:1x60?seed=1")
    cache = SignalCache(market)
    for mode, a, b in points:
        strategy = Conditional(mode=mode, a=a, b=b)
        assert same(cache.signals(strategy), strategy.signals(market))
    different = {(mode, a if mode == 0 else b) for mode, a, b in points}
    assert cache.computed["signals"] == len(different)


class Scribbles(Conditional):
    """Writes into its own series."""

    def values(self, bars: Bars) -> Mapping[str, Array]:
        return {"close": bars.close.copy()}

    def signals(self, bars: Bars) -> Signals:
        close = self.values(bars)["close"]
        close[close > np.median(close)] = np.nan
        rows = np.flatnonzero(np.isnan(close[:, 0]))
        return Signals.from_arrays(bars, rows[:: self.params.a], 0, 1, stop_percent=5.0)


class Remembers(Conditional):
    """Keeps something of its own beside its parameters."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.step = self.params.a + self.params.b

    def signals(self, bars: Bars) -> Signals:
        return Signals.from_arrays(bars, np.arange(0, len(bars), self.step), 0, 1, stop_percent=5.0)


class TakesAll(Conditional):
    """Reads its parameters in ways of its own."""

    def signals(self, bars: Bars) -> Signals:
        step = sum(vars(self.params).values()) + sum(self.parameters().values())
        return Signals.from_arrays(bars, np.arange(0, len(bars), step), 0, 1, stop_percent=5.0)


@pytest.mark.parametrize("kind", [Scribbles, Remembers, TakesAll])
def test_sharing_never_changes_an_answer(kind: type[Conditional], bars: Bars) -> None:
    cache = SignalCache(bars)
    for a in (2, 3, 4):
        for b in (2, 5):
            for _ in range(2):
                strategy = kind(a=a, b=b)
                assert same(cache.signals(strategy), strategy.signals(bars))


def test_an_error_of_a_strategy_is_its_own(bars: Bars) -> None:
    class Fails(Conditional):
        def signals(self, bars: Bars) -> Signals:
            raise ValueError(f"a is {self.params.a}")

    with pytest.raises(ValueError, match="a is 3"):
        SignalCache(bars).signals(Fails(a=3))


def test_option_packages_are_shared_and_windowed_too() -> None:
    bars = load_bars("synthetic:1x520?seed=1")
    level = 0.2 + 0.05 * np.sin(np.arange(len(bars)) / 9.0)
    bars = bars.with_options(OptionMarket.modelled(bars, {bars.symbols[0]: level}, rate=0.02))
    kind: Any = strategy_class("short-put-spread")
    sets = [{"min_iv_rank": rank, "target_dte": dte} for rank in (0, 30) for dte in (30, 45)]
    whole = evaluate(bars, kind, sets, cash=500_000.0)
    pd.testing.assert_frame_equal(whole, sweep(bars, kind, sets, cash=500_000.0))
    assert whole["trades"].min() > 0
    part = evaluate(bars, kind, sets, cash=500_000.0, first=300, last=420)
    pd.testing.assert_frame_equal(part, evaluate(bars[:420], kind, sets, cash=500_000.0, first=300))
    assert part["trades"].min() > 0
    for index, parameters in enumerate(sets):
        returns = Evaluator(bars, kind(), Rules(cash=500_000.0)).returns(parameters, first=300, last=420)
        assert len(returns) == 120
        assert np.prod(1 + returns) - 1 == pytest.approx(part["total_return"][index], abs=1e-12)
    cache = SignalCache(bars)
    for parameters in [*sets, *sets]:
        shared, plain = cache.signals(kind(**parameters)), kind(**parameters).signals(bars)
        assert same(shared, plain)
        assert shared.legs.tobytes() == plain.legs.tobytes()
        assert shared.packages.tobytes() == plain.packages.tobytes()
    assert cache.computed["signals"] == len(sets)
