"""The strategy base class: parameters, spaces, emitting signals."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import strategies
from simulator import types
from simulator.bars import Bars
from simulator.errors import StrategyError, UnknownNameError
from simulator.signals import Signals
from strategies import (
    Choice,
    Float,
    Int,
    OnBarStrategy,
    SmaCross,
    Strategy,
    param,
    strategy_class,
)
from strategies.registry import EQUITY

MakeMarket = Callable[..., Bars]


class Mine(Strategy):
    @dataclass(frozen=True)
    class Params:
        length: int = param(10, Int(5, 20, 5), minimum=2, maximum=100, help="bars")
        share: float = param(0.5, Float(0.0, 1.0), minimum=0.0)
        mode: str = param("fast", Choice(("fast", "slow")))
        strict: bool = param(True)

    params: Params

    def signals(self, bars: Bars) -> Signals:
        return self.emit(bars, bars.close > 0, 1, stop_percent=5.0)


class PlainNAMEs(Mine):
    pass


def test_parameters_have_defaults_and_are_converted() -> None:
    assert Mine().parameters() == {"length": 10, "share": 0.5, "mode": "fast", "strict": True}
    strategy = Mine(length=np.int64(7), share=1, mode="slow", strict=False)
    assert repr(strategy) == "Mine(length=7, share=1.0, mode='slow', strict=False)"
    assert isinstance(strategy.params.length, int)
    assert Mine(length=8.0).params.length == 8
    assert type(strategy)(**strategy.parameters()) == strategy
    assert hash(strategy) == hash(Mine(length=7, share=1, mode="slow", strict=False))
    assert strategy.replace(length=9).params.length == 9
    assert strategy != Mine()
    assert pickle.loads(pickle.dumps(SmaCross(fast=3))) == SmaCross(fast=3)  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"lenght": 5}, "STRATEGY_PARAM_UNKNOWN", "Did you mean 'length'"),
        ({"length": 2.5}, "STRATEGY_PARAM_VALUE", "a whole number"),
        ({"length": True}, "STRATEGY_PARAM_VALUE", "a whole number"),
        ({"length": "ten"}, "STRATEGY_PARAM_VALUE", "a whole number"),
        ({"length": 1}, "STRATEGY_PARAM_VALUE", "at least 2"),
        ({"length": 101}, "STRATEGY_PARAM_VALUE", "at most 100"),
        ({"share": float("nan")}, "STRATEGY_PARAM_VALUE", "finite"),
        ({"share": None}, "STRATEGY_PARAM_VALUE", "a number"),
        ({"share": -0.1}, "STRATEGY_PARAM_VALUE", "at least 0"),
        ({"mode": "fats"}, "STRATEGY_PARAM_VALUE", "Did you mean 'fast'"),
        ({"strict": 1}, "STRATEGY_PARAM_VALUE", "true or false"),
    ],
)
def test_wrong_parameters_are_refused(changes: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(StrategyError, match=words) as caught:
        Mine(**changes)
    assert caught.value.code == code


def test_names() -> None:
    assert Mine.name == "mine"
    assert PlainNAMEs.name == "plain-nam-es"
    assert SmaCross().name == "sma-cross"


def test_params_must_be_frozen() -> None:
    with pytest.raises(StrategyError) as caught:

        class Loose(Strategy):
            class Params:
                length = 5

            def signals(self, bars: Bars) -> Signals:
                return Signals.empty(bars)

    assert caught.value.code == "STRATEGY_PARAMS_CLASS"


def test_spaces() -> None:
    assert Mine.space() == {
        "length": Int(5, 20, 5),
        "share": Float(0.0, 1.0),
        "mode": Choice(("fast", "slow")),
    }
    assert [row["name"] for row in Mine.describe()] == ["length", "share", "mode", "strict"]
    assert Int(5, 20, 5).grid() == [5, 10, 15, 20]
    assert Int(1, 100).grid(3) == [1, 50, 100] or Int(1, 100).grid(3) == [1, 51, 100]
    assert Int(1, 9).grid(1) == [1]
    assert Float(0.1, 0.5, 0.1).grid() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert Float(0.1, 0.5, 0.1).grid(2) == [0.1, 0.5]
    assert Float(0.0, 1.0).grid(5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert Float(0.0, 1.0).grid(1) == [0.0]
    assert Float(1.0, 100.0, log=True).grid(3) == pytest.approx([1, 10, 100])
    assert Choice(("a", "b", "c")).grid(2) == ["a", "b"]
    assert Int(5, 20, 5).contains(10)
    assert not Int(5, 20, 5).contains(11)
    assert Float(0.1, 0.5, 0.1).contains(0.30000000000000004)
    assert not Float(0.1, 0.5, 0.1).contains(0.25)
    assert Float(0.1, 0.5).contains(0.25)
    assert not Float(0.1, 0.5).contains(0.6)
    assert Choice(("a",)).contains("a")
    makers: list[Callable[[], object]] = [
        lambda: Int(5, 1),
        lambda: Int(1, 5, 0),
        lambda: Int(0, 5, log=True),
        lambda: Float(1, 0),
        lambda: Float(0, 1, -0.1),
        lambda: Float(0, 1, log=True),
        lambda: Choice(()),
    ]
    for make in makers:
        with pytest.raises(StrategyError) as caught:
            make()
        assert caught.value.code == "STRATEGY_SPACE"


@pytest.mark.parametrize("name", EQUITY)
def test_every_shipped_strategy_keeps_the_contract(name: str, market: Bars) -> None:
    kind = strategy_class(name)
    strategy = kind()
    assert strategy.name == name
    assert strategy.warmup > 0
    assert isinstance(strategy, types.Strategy)
    for key, space in kind.space().items():
        assert space.contains(strategy.parameters()[key]), key
        for value in space.grid(3):
            if name == "sma-cross" and key in ("fast", "slow"):
                continue  # the pair has to fit, tested below
            assert strategy.replace(**{key: value}).signals(market[:120]) is not None
    assert all(row["help"] for row in kind.describe())
    signals = strategy.signals(market)
    opening = signals.frame()[lambda frame: frame.side != 0]
    assert (opening["strategy"] == name).all()
    assert (opening["tag"] != "").all()
    assert set(opening["side"]) <= {1, -1}
    stops = [column for column in ("stop", "stop_atr") if column in opening]
    assert opening[stops].notna().to_numpy().any(axis=1).all()
    if "target" in opening and name != "rsi-pullback":
        close = market.close[signals.records["row"], signals.records["sym"]]
        ratio = (opening["target"] - close) / (close - opening["stop"])
        assert (ratio.dropna() >= 2.0).all()


def test_the_fast_average_must_be_shorter() -> None:
    with pytest.raises(StrategyError, match="must be shorter"):
        SmaCross(fast=50, slow=50)


def test_rsi_pullback_is_a_full_bracket(market: Bars) -> None:
    frame = strategy_class("rsi-pullback")().signals(market).frame()
    assert len(frame) > 0
    assert (frame["entry"] == "stop").all()
    ratio = (frame["target"] - frame["entry_price"]) / (frame["entry_price"] - frame["stop"])
    assert ratio.to_numpy() == pytest.approx(2.5)
    assert (frame["max_bars"] == 20).all()
    assert (frame["valid_bars"] == 3).all()


def test_gap_fade_enters_at_the_close_of_the_gap_bar_and_targets_the_previous_close(market: Bars) -> None:
    signals = strategy_class("gap-fade")(gap_atr=0.5).signals(market)
    frame, records = signals.frame(), signals.records
    assert len(frame) > 0
    assert (frame["entry"] == "close").all()
    assert records["exit_close"].all()
    for record in records:
        row, column = int(record["row"]), int(record["sym"])
        before = market.close[:row, column]
        previous = before[~np.isnan(before)][-1]
        assert record["target"] == previous
        gap = market.open[row, column] - previous
        assert np.sign(gap) == -record["side"]


def test_gap_fade_only_looks_at_the_first_bar_of_a_session() -> None:
    hour = 3_600_000_000_000
    rng = np.random.default_rng(4)
    days = [day for day in range(18_267, 18_330) if (day + 3) % 7 < 5]
    ts = np.array([day * 24 * hour + (14 + k) * hour + hour // 2 for day in days for k in range(6)])
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, ts.size)))
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, 0.03, ts.size))
    high, low = np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999
    panel = np.stack([open_, high, low, close, np.ones(ts.size)], axis=1)[:, None, :]
    bars = Bars.from_arrays(["AAA"], ts, panel)
    records = strategy_class("gap-fade")(gap_atr=0.5, min_reward_risk=0.5).signals(bars).records
    assert len(records)
    assert (records["row"] % 6 == 0).all()


def test_both_ways_and_short_only(market: Bars) -> None:
    for name in ("sma-cross", "donchian-breakout", "atr-channel"):
        sides = {
            direction: set(strategy_class(name)(direction=direction).signals(market).records["side"].tolist())
            for direction in ("long", "short", "both")
        }
        assert sides == {"long": {0, 1}, "short": {0, -1}, "both": {1, -1}}, name


def test_emit_takes_scalars_vectors_and_matrices(market: Bars) -> None:
    strategy = Mine()
    rows, columns = market.close.shape
    where = np.zeros(rows, bool)
    where[[10, 20]] = True
    by_row = np.arange(rows) + 1.0
    signals = strategy.emit(market, where, np.where(by_row > 15, -1, 1), stop_percent=by_row, tag="x")
    present = ~np.isnan(market.close[[10, 20]])
    assert len(signals) == present.sum()
    assert set(signals.records["stop_percent"]) == {11.0, 21.0}
    assert signals.strategies[signals.records["strategy"][0]] == "mine"
    for record in signals.records:
        assert record["side"] == (1 if record["row"] == 10 else -1)
    with pytest.raises(StrategyError) as caught:
        strategy.emit(market, where, 1, stop_percent=np.ones((columns, rows)))
    assert caught.value.code == "STRATEGY_SIGNAL_SHAPE"
    missing = np.isnan(market.close)
    assert missing.any()
    assert len(strategy.emit(market, missing, 1, stop_percent=5.0)) == 0


def test_unknown_names_have_near_misses() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'sma-cross'") as caught:
        strategy_class("sma-crosss")
    assert caught.value.code == "NAME_STRATEGY"


def test_on_bar_base() -> None:
    class Watcher(OnBarStrategy):
        @dataclass(frozen=True)
        class Params:
            level: float = param(10.0)

        params: Params

        def on_bar(self, context: Any) -> None:
            context.buy("AAA", stop=self.params.level)

    calls: list[tuple[str, float]] = []

    class Context:
        def buy(self, symbol: str, *, stop: float) -> None:
            calls.append((symbol, stop))

    watcher = Watcher(level=12)
    assert isinstance(watcher, types.OnBarStrategy)
    watcher.on_bar(Context())
    assert calls == [("AAA", 12.0)]
    assert (watcher.name, watcher.warmup) == ("watcher", 0)


def test_every_public_name_can_be_imported() -> None:
    for name in strategies.__all__:
        assert getattr(strategies, name) is not None
    assert set(strategies.__all__) <= set(dir(strategies))
    with pytest.raises(AttributeError):
        strategies.nothing_like_this  # noqa: B018 - reading it is the test
