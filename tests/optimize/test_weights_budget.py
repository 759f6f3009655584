"""Risk budgets: each sleeve risks its share of every trade, sized by the kernel, and no limit moves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.portfolio.risk_budget import RiskBudget
from optimize.portfolio.sleeves import sleeve_names, sleeve_returns, sleeve_signals
from optimize.weights import portfolio_weights
from simulator import Bars, RiskLimits, Signals, backtest, load_bars
from simulator.errors import ConfigError
from strategies import DonchianBreakout, RsiPullback, SmaCross

WIDE = RiskLimits(
    max_portfolio_heat_pct=1000.0, max_sector_exposure_pct=1e6, max_open_positions=50, max_correlation=None,
    daily_loss_limit=100.0, leverage=50.0, max_positions_per_symbol=9,
)  # fmt: skip
SHARES = {"sma-cross": 0.5, "donchian-breakout": 0.3, "rsi-pullback": 0.2}


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:4x500?seed=9")


@pytest.fixture(scope="module")
def strategies() -> list[Any]:
    return [SmaCross(fast=5, slow=20), DonchianBreakout(), RsiPullback()]


class Fixed:
    """Signals that are given."""

    def __init__(self, name: str, **columns: Any) -> None:
        self.name, self.columns = name, columns

    def signals(self, bars: Bars) -> Signals:
        rows = np.arange(20, len(bars) - 20, self.columns.get("every", 15))
        rest = {key: value for key, value in self.columns.items() if key not in ("every", "column")}
        return Signals.from_arrays(bars, rows, bars.symbols[self.columns["column"]], 1, max_bars=4, **rest)


# Sleeves


def test_sleeves_are_accounts_of_their_own(bars: Bars, strategies: list[Any]) -> None:
    table = sleeve_returns(bars, strategies)
    assert list(table.columns) == list(SHARES)
    for strategy in strategies:
        pd.testing.assert_series_equal(
            table[strategy.name], backtest(bars, strategy).returns, check_names=False
        )
    by_symbol = sleeve_returns(bars, strategies, by="symbol")
    assert list(by_symbol.columns) == list(bars.symbols)
    both = sleeve_signals(bars, strategies, by="both")
    assert len(both) == 3 * 4
    assert sum(map(len, both.values())) == sum(len(strategy.signals(bars)) for strategy in strategies)
    only = both[f"rsi-pullback/{bars.symbols[2]}"].frame()
    assert {*only["symbol"]} <= {bars.symbols[2]}
    assert {*only["strategy"]} <= {"rsi-pullback"}


def test_strategies_of_one_name_get_numbers() -> None:
    assert list(sleeve_names([SmaCross(), SmaCross(fast=5), DonchianBreakout()])) == [
        "sma-cross", "sma-cross 2", "donchian-breakout",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no strategy"):
        sleeve_names([])
    with pytest.raises(ConfigError, match="Did you mean 'symbol'"):
        sleeve_signals(load_bars("synthetic:1x30?seed=1"), SmaCross(), by="symbols")  # type: ignore[arg-type]


# Budgets


def test_each_trade_risks_the_share_of_its_sleeve(bars: Bars) -> None:
    sleeves = [Fixed("a", column=0, stop_percent=5.0), Fixed("b", column=1, stop_percent=3.0, every=11)]
    budget = RiskBudget({"a": 0.25, "b": 0.75})
    result = budget.backtest(bars, sleeves, risk=WIDE)
    verdicts = result.verdicts
    # brute force: equity at the signal's close, over what one share loses at its stop
    equity = result.equity
    close = {symbol: bars.frame(symbol)["close"] for symbol in bars.symbols}
    scale = {"a": 1.0 / 3.0, "b": 1.0}
    stop = {"a": 0.05, "b": 0.03}
    assert len(verdicts) > 60
    for row in verdicts.to_dict("records"):
        risk = scale[row["strategy"]] * WIDE.risk_per_trade_pct / 100.0 * equity[row["time"]]
        unit = close[row["symbol"]][row["time"]] * stop[row["strategy"]]
        assert row["asked"] == pytest.approx(np.floor(risk / unit), abs=1)
        assert row["asked"] * unit <= risk * (1.0 + 1e-3)
    assert (verdicts["granted"] == verdicts["asked"]).all()


@pytest.mark.parametrize("by", ["strategy", "symbol", "both"])
def test_equal_weights_are_the_account_as_it_was(bars: Bars, strategies: list[Any], by: Any) -> None:
    names = list(sleeve_signals(bars, strategies, by=by))
    budget = RiskBudget(dict.fromkeys(names, 1.0 / len(names)), by=by)
    plain, budgeted = backtest(bars, strategies), budget.backtest(bars, strategies)
    assert set(budget.scales.values()) == {1.0}
    assert budget.account_limits() == RiskLimits()
    pd.testing.assert_series_equal(budgeted.equity, plain.equity)
    assert len(plain.trades) > 10


@pytest.mark.parametrize("keep", ["limit", "total"])
def test_the_quantities_replay_to_the_same_account(bars: Bars, strategies: list[Any], keep: Any) -> None:
    budget = RiskBudget(SHARES, keep=keep)
    signals = budget.signals(bars, strategies)
    one = budget.backtest(bars, strategies)
    two = backtest(bars, signals, risk=budget.account_limits(), chunk=7)
    assert one.fingerprint == two.fingerprint
    highest = max(budget.scales.values())
    assert budget.account_limits().risk_per_trade_pct == pytest.approx(2.0 * highest)
    # sized again at every bar from the equity of that bar: the replay asks for what the account then has
    sized = one.verdicts.dropna(subset=["asked"])
    assert len(sized) > 20
    shares = one.trades.assign(risk=lambda t: t["initial_risk"] / one.raw.cash)
    for name, scale in budget.scales.items():
        mine = shares[shares["strategy"] == name]
        assert (mine["risk"] <= 0.02 * scale * 1.5).all()  # of cash, while equity has moved


def test_what_is_not_funded_does_not_trade(bars: Bars, strategies: list[Any]) -> None:
    budget = RiskBudget({"sma-cross": 1.0, "donchian-breakout": 0.0, "rsi-pullback": 0.0})
    alone = backtest(bars, strategies[0])
    pd.testing.assert_series_equal(budget.backtest(bars, strategies).equity, alone.equity)
    one = bars.symbols[1]
    by_symbol = RiskBudget({symbol: float(symbol == one) for symbol in bars.symbols}, by="symbol")
    assert {*by_symbol.backtest(bars, strategies).trades["symbol"]} == {one}


def test_signals_that_name_a_quantity_keep_it(bars: Bars) -> None:
    sleeves = [Fixed("a", column=0, qty=7.0, stop_percent=5.0), Fixed("b", column=1, stop_percent=5.0)]
    verdicts = RiskBudget({"a": 0.1, "b": 0.9}).backtest(bars, sleeves).verdicts
    assert {*verdicts[verdicts["strategy"] == "a"]["asked"]} == {7.0}


def test_a_symbol_that_is_closed_and_entered_again_at_one_bar_is_sized_by_its_budget(bars: Bars) -> None:
    class Flips(Fixed):
        def signals(self, bars: Bars) -> Signals:
            enters = super().signals(bars)
            rows = np.arange(20, len(bars) - 20, 15)
            closes = Signals.from_arrays(bars, rows, bars.symbols[0], 0, priority=1.0)
            return Signals.concat([closes, enters])

    sleeves = [Flips("a", column=0, stop_percent=5.0), Fixed("b", column=1, stop_percent=5.0)]
    result = RiskBudget({"a": 0.2, "b": 0.8}).backtest(
        bars, sleeves, risk=WIDE.replace(max_days_in_trade=None)
    )
    asked = result.verdicts.query("strategy == 'a' and side == 1")["asked"]
    unit = bars.frame(bars.symbols[0])["close"] * 0.05
    for time, quantity in zip(
        result.verdicts.query("strategy == 'a' and side == 1")["time"], asked, strict=True
    ):
        assert quantity * unit[time] <= 0.25 * 0.02 * result.equity[time] * (1.0 + 1e-3)


def test_limits_of_a_sleeve_for_a_session_of_its_own() -> None:
    budget = RiskBudget(SHARES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        limits = budget.limits_of("rsi-pullback", RiskLimits(risk_per_trade_pct=0.2))
    assert limits.risk_per_trade_pct == pytest.approx(0.2 * 0.4)
    assert limits.max_portfolio_heat_pct == pytest.approx(6.0 * 0.2)
    heats = [budget.limits_of(name).max_portfolio_heat_pct for name in SHARES]
    assert sum(heats) == pytest.approx(RiskLimits().max_portfolio_heat_pct)
    with pytest.raises(ConfigError, match="Did you mean 'sma-cross'"):
        budget.limits_of("sma-crss")


def test_weights_found_from_sleeves_become_a_budget(bars: Bars, strategies: list[Any]) -> None:
    weights = portfolio_weights(sleeve_returns(bars, strategies), "inverse_volatility")
    budget = RiskBudget(weights)
    assert max(budget.scales.values()) == 1.0
    total = RiskBudget(weights, keep="total")
    assert sum(total.scales.values()) == pytest.approx(3.0)
    assert len(budget.backtest(bars, strategies).trades) > 10


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weights": {"a": 0.5, "b": 0.6}}, "1.1 together"),
        ({"weights": {"a": 1.5, "b": -0.5}}, "a share from 0 to 1"),
        ({"weights": {}}, "a share from 0 to 1"),
        ({"weights": {"a": 1.0}, "keep": "all"}, "'limit' or 'total'"),
        ({"weights": {"a": 1.0}, "by": "sector"}, "no sleeves by 'sector'"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        RiskBudget(**given)
    assert caught.value.code == "OPTIMIZE_WEIGHTS"


def test_a_sleeve_without_a_weight_is_an_error(bars: Bars, strategies: list[Any]) -> None:
    with pytest.raises(ConfigError, match="sleeve 'rsi-pullback' has no weight"):
        RiskBudget({"sma-cross": 0.5, "donchian-breakout": 0.5}).signals(bars, strategies)
