"""Greeks through time: the state's at every bar, a plain loop's, and what they say where nothing is known."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator import Bars, Conventions, Signals, backtest, load_bars
from simulator.engine import Run
from simulator.errors import EngineError
from simulator.kernel.dtypes import EQUITY, QUOTE
from simulator.options import (
    OptionMarket,
    Surface,
    greeks,
    make_legs,
    make_rules,
    package_signals,
    portfolio_greeks,
    price,
)
from simulator.options.exposure import beta, rolling_beta
from simulator.options.packages import LegSpec
from simulator.results import Result
from simulator.results.greeks import GREEK_UNITS

DAY = 86_400_000_000_000
MONDAY = int(np.datetime64("2020-01-06", "ns").astype(np.int64))
GREEKS = ["delta", "gamma", "theta", "vega"]
LEVEL = {"IDX": 0.2, "STK": 0.4}
RATE = 0.02
# what is opened stands beside what is there
RULES: dict[str, Any] = {"cash": 1e7, "risk": None, "conventions": Conventions(same_side="add")}


def panel_of(closes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    panel = np.repeat(closes[:, :, None], 5, axis=2)
    panel[:, :, 4] = 1e6
    return panel


def modelled(bars: Bars, **options: Any) -> Bars:
    surfaces = {"IDX": "index", "STK": "single-name"}
    return bars.with_options(OptionMarket.modelled(bars, LEVEL, surface=surfaces, rate=RATE, **options))


@pytest.fixture(scope="module")
def bars() -> Bars:
    """An index, and a stock that moves about as it does and on its own."""
    random = np.random.default_rng(8)
    moves = random.normal(0.0, 0.01, (160, 2))
    moves[:, 1] += 1.5 * moves[:, 0]
    closes = np.array([400.0, 50.0]) * np.exp(np.cumsum(moves, axis=0))
    return modelled(
        Bars.from_arrays(("IDX", "STK"), MONDAY + np.arange(160) * DAY, panel_of(closes), calendar="24/7")
    )


def book(bars: Bars, american: int) -> Signals:
    """Condors on the index, covered calls and a calendar on the stock, and shares bought and sold."""
    rows = [40, 75, 140]
    packages = []
    for row in rows:
        spot = float(bars.close[row, 0])
        strikes = [round(spot * share) for share in (0.96, 0.93, 1.03, 1.06)]
        # more calls than are sold: a leg of two
        condor: list[LegSpec] = [
            (-1, "put", strikes[0]),
            (1, "put", strikes[1]),
            (-1, "call", strikes[2]),
            (1, "call", strikes[3], 2),
        ]
        legs = make_legs([condor], expiry=int(bars.session[row]) + 30)
        rules = make_rules(1, american=american, physical=0, naked=1)
        packages.append(package_signals(bars, [row], ["IDX"], -1, legs, rules, qty=3.0))
    spot = float(bars.close[60, 1])
    legs = make_legs(
        [
            [(1, "shares", 0.0), (-1, "call", round(spot * 1.05))],
            [(-1, "put", round(spot)), (1, "put", round(spot))],
        ],
        expiry=int(bars.session[60]) + np.array([[25, 25, 25, 25], [20, 60, 60, 60]]),
    )
    rules = make_rules(2, american=american, dte_exit=2)
    packages.append(package_signals(bars, [60, 60], ["STK", "STK"], 1, legs, rules, qty=2.0))
    shares = Signals.from_arrays(
        bars, [45, 50, 130], ["STK", "IDX", "STK"], [1, -1, 1], qty=[100.0, 30.0, 70.0], max_bars=[30, 40, 90]
    )
    return Signals.concat([*packages, shares])


def run_of(bars: Bars, signals: Signals) -> Run:
    return Run(bars, signals, **RULES)


def same_at_every_bar(bars: Bars, signals: Signals, benchmark: str) -> Result:
    """Compare with the account's state after every bar, and return the result."""
    result = Result(run_of_all(bars, signals).result().raw, benchmark=benchmark)
    table = result.greeks
    run = run_of(bars, signals)
    close = bars.close[:, bars.column(benchmark)]
    for row in range(len(bars)):
        run.advance(row + 1)
        want = portfolio_greeks(run, bars, row=row, benchmark=benchmark)
        found = table.iloc[row]
        expected = [getattr(want, name) for name in GREEKS]
        assert found[GREEKS].astype(float).to_numpy() == pytest.approx(
            expected, rel=1e-9, abs=1e-9, nan_ok=True
        ), row
        dollars = want.beta_delta * close[row]
        assert found["beta_dollar_delta"] == pytest.approx(dollars, rel=1e-7, abs=1e-6, nan_ok=True), row
        assert found["grade"] == want.grade, row
    return result


def run_of_all(bars: Bars, signals: Signals) -> Run:
    run = run_of(bars, signals)
    run.advance()
    return run


@pytest.mark.parametrize("american", [0, 1])
def test_every_bar_has_the_greeks_of_its_state(bars: Bars, american: int) -> None:
    result = same_at_every_bar(bars, book(bars, american), "IDX")
    assert len(result.packages) == 5
    last = result.greeks.iloc[-1]
    open_ = result.trades[result.trades["exit_reason"] == "end_of_data"]
    # the last bar holds a condor and shares of the other symbol
    assert set(open_["symbol"]) == {"IDX", "STK"}
    assert (last[GREEKS].astype(float).abs() > 0.1).all()
    assert last["grade"] == "modelled"
    assert result.greeks.index.equals(result.equity.index)


def test_a_plain_loop_gives_the_same_sums(bars: Bars) -> None:
    result = backtest(bars, book(bars, 1), **RULES)
    kinds = {1: "call", -1: "put"}
    surface = {"IDX": Surface.preset("index"), "STK": Surface.preset("single-name")}
    want = np.zeros((len(bars), 4))
    times = list(result.equity.index)
    for (_, trade), record in zip(result.trades.iterrows(), result.raw.trades, strict=True):
        first = times.index(trade["entry_time"].normalize())
        held = trade["exit_reason"] == "end_of_data"
        last = len(bars) if held else times.index(trade["exit_time"].normalize())
        column = bars.column(trade["symbol"])
        package = int(result.raw.signals.records["package"][record["signal"]]) - 1
        for row in range(first, last):
            if package < 0:
                want[row, 0] += trade["side"] * trade["qty"]
                continue
            spot = float(bars.close[row, column])
            for leg in result.raw.signals.legs[package]:
                units = float(leg["side"] * leg["ratio"] * trade["qty"] * 100)
                if leg["ratio"] > 0 and leg["right"] == 0:
                    want[row, 0] += units
                elif leg["ratio"] > 0:
                    years = float(leg["expiry"] - bars.session[row]) / 365.0
                    strike = float(leg["strike"])
                    volatility = surface[trade["symbol"]].volatility(
                        strike, spot=spot, index=LEVEL[trade["symbol"]], years=years, rate=RATE
                    )
                    one = greeks(
                        kinds[int(leg["right"])],
                        spot,
                        strike,
                        years,
                        RATE,
                        float(volatility),
                        style="american",
                    )
                    want[row] += units * np.array([one.delta, one.gamma, one.theta, one.vega])
    assert result.greeks[GREEKS].to_numpy() == pytest.approx(want, rel=1e-9, abs=1e-9)
    assert (np.abs(want).sum(axis=1) > 0).sum() > 90


def test_splits_of_raw_prices_keep_strikes_and_units_together() -> None:
    random = np.random.default_rng(4)
    closes = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, (90, 1)), axis=0))
    closes[50:] /= 4.0
    day = str(np.datetime64(MONDAY + 50 * DAY, "ns").astype("datetime64[D]"))
    made = Bars.from_arrays(
        ("IDX",), MONDAY + np.arange(90) * DAY, panel_of(closes), calendar="24/7", raw=True,
        actions=[{"date": day, "symbol": "IDX", "kind": "split", "value": 4.0}],
    )  # fmt: skip
    bars = made.with_options(OptionMarket.modelled(made, {"IDX": 0.2}, rate=RATE))
    spot = float(bars.close[40, 0])
    legs = make_legs(
        [[(-1, "put", round(spot * 0.95)), (1, "put", round(spot * 0.9))]], expiry=int(bars.session[40]) + 30
    )
    sold = package_signals(bars, [40], 0, -1, legs, make_rules(1, physical=0), qty=2.0)
    shares = Signals.from_arrays(bars, [30], 0, 1, qty=10.0, max_bars=50)
    result = same_at_every_bar(bars, Signals.concat([sold, shares]), "IDX")
    assert len(result.packages) == 1
    before, after = result.greeks["delta"].iloc[[49, 50]]
    assert after == pytest.approx(4 * before, rel=0.35)


def quoted(
    closes: list[float],
    *,
    expiry: int,
    volatility: float,
    gone: tuple[int, ...] = (),
    time_value: float = 0.0,
) -> Bars:
    """Bars with stored quotes of American options that a volatility priced; bars in `gone` have none."""
    n = len(closes)
    bars = Bars.from_arrays(
        ("IDX",), MONDAY + np.arange(n) * DAY, panel_of(np.array(closes)[:, None]), calendar="24/7"
    )
    rows = []
    for t in range(n):
        years = max(expiry - t, 0) / 365.0
        for right, kind in ((-1, "put"), (1, "call")):
            for strike in (80.0, 90.0, 95.0, 100.0, 105.0, 110.0):
                mid = float(price(kind, closes[t], strike, years, RATE, volatility, style="american"))
                mid += time_value
                if t not in gone:
                    rows.append(
                        (
                            t,
                            0,
                            int(bars.session[0]) + expiry,
                            right,
                            strike,
                            max(mid - 0.01, 0.0),
                            mid + 0.01,
                            0.2,
                            0.0,
                        )
                    )
    return bars.replaced(options=OptionMarket.from_quotes(np.array(rows, QUOTE), np.full(n, RATE)))


def sold_strangle(bars: Bars, expiry: int, row: int = 0) -> Signals:
    legs = make_legs([[(-1, "put", 95.0), (-1, "call", 105.0)]], expiry=int(bars.session[0]) + expiry)
    return package_signals(bars, [row], 0, -1, legs, make_rules(1, naked=1, physical=0), qty=1.0)


def test_quoted_options_have_the_volatility_that_their_quotes_imply() -> None:
    closes = [100.0, 101.0, 99.5, 98.0, 100.5, 102.0]
    bars = quoted(closes, expiry=40, volatility=0.25, gone=(3,))
    result = same_at_every_bar(bars, sold_strangle(bars, 40), "IDX")
    table = result.greeks
    # nothing is known of the package on the bar without a quote, and that is not 0
    assert table[[*GREEK_UNITS]].isna().all(axis=1).tolist() == [t == 3 for t in range(6)]
    assert set(table["grade"]) == {"quoted"}
    for t in (0, 2, 5):
        want = np.zeros(4)
        for kind, strike in (("put", 95.0), ("call", 105.0)):
            one = greeks(kind, closes[t], strike, (40 - t) / 365.0, RATE, 0.25, style="american")
            want -= 100 * np.array([one.delta, one.gamma, one.theta, one.vega])
        assert table[GREEKS].iloc[t].astype(float).to_numpy() == pytest.approx(want, rel=1e-6)


def test_an_option_whose_quote_implies_no_volatility_moves_with_the_underlying() -> None:
    # deep in the money an American put is worth its exercise at any volatility
    bars = quoted([100.0, 99.0, 60.0, 60.0], expiry=40, volatility=0.2)
    legs = make_legs([[(1, "put", 110.0)]], expiry=int(bars.session[0]) + 40)
    signals = package_signals(bars, [0], 0, 1, legs, make_rules(1, physical=0), qty=1.0)
    table = same_at_every_bar(bars, signals, "IDX").greeks
    assert table["delta"].iloc[2] == -100.0
    assert table[["gamma", "theta", "vega"]].iloc[2].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("other", [("put", 90.0), ("call", 110.0)])
def test_a_leg_that_was_assigned_early_counts_as_shares(other: tuple[str, float]) -> None:
    closes = [95.0, 94.0, 86.0, 85.0, 86.0]
    n = len(closes)
    made = Bars.from_arrays(
        ("IDX",), MONDAY + np.arange(n) * DAY, panel_of(np.array(closes)[:, None]), calendar="24/7"
    )
    rows = []
    for t in range(n):
        for right in (-1, 1):
            for strike in (90.0, 110.0):
                mid = max(0.0, right * (closes[t] - strike)) + [1.0, 0.5, 0.005, 0.5, 0.5][t]
                rows.append(
                    (
                        t,
                        0,
                        int(made.session[0]) + 40,
                        right,
                        strike,
                        max(mid - 0.05, 0.0),
                        mid + 0.05,
                        0.2,
                        0.0,
                    )
                )
    # no quotes on the bar after the assignment: the package is held over it
    quotes = np.array([row for row in rows if row[0] != 3], QUOTE)
    bars = made.replaced(options=OptionMarket.from_quotes(quotes, np.full(n, 0.05)))
    legs = make_legs([[(-1, "put", 110.0), (1, *other)]], expiry=int(bars.session[0]) + 40)
    signals = package_signals(bars, [0], 0, -1, legs, make_rules(1, naked=1), qty=1.0)
    result = same_at_every_bar(bars, signals, "IDX")
    assert "assigned" in set(result.events["reason"])
    trade = result.trades.iloc[0]
    assert (trade["exit_reason"], trade["bars_held"]) == ("assignment", 4)
    # 100 shares were put to us, and the bought option still has its own delta
    delta = result.greeks["delta"].iloc[2]
    assert 0.0 <= delta < 100.0 if other[0] == "put" else 100.0 <= delta < 200.0
    assert result.greeks["delta"].iloc[-1] == 0.0


def test_a_day_without_volatility_is_unknown(bars: Bars) -> None:
    level = np.full(len(bars), 0.2)
    level[50] = np.nan
    gappy = bars.replaced(options=OptionMarket.modelled(bars, {"IDX": level, "STK": 0.4}, rate=RATE))
    table = same_at_every_bar(gappy, book(bars, 0), "IDX").greeks
    assert table.loc[table["delta"].isna()].index.tolist() == [table.index[50]]


def test_betas_are_those_of_one_bar_at_a_time(bars: Bars) -> None:
    closes = bars.close.copy()
    closes[[20, 21, 60], 1] = np.nan
    panel = panel_of(closes)
    panel[np.isnan(closes)] = np.nan
    gappy = Bars.from_arrays(bars.symbols, bars.ts, panel, calendar="24/7")
    for sessions in (40, 252):
        found = rolling_beta(closes[:, 1], closes[:, 0], sessions=sessions)
        want = [beta(gappy, "STK", "IDX", row=row, sessions=sessions) for row in range(len(bars))]
        assert found == pytest.approx(want, rel=1e-9, nan_ok=True)
        assert np.isnan(found[:31]).all()
        assert np.isfinite(found[-1])
    assert np.isnan(rolling_beta(closes[:, 1], np.full(len(bars), 7.0))).all()


def test_the_benchmark_of_the_result_is_what_dollar_delta_is_weighted_by(bars: Bars) -> None:
    result = backtest(bars, book(bars, 0), **RULES)
    own = result.with_benchmark("STK").greeks["beta_dollar_delta"]
    assert not np.allclose(
        own.iloc[130:], result.with_benchmark("IDX").greeks["beta_dollar_delta"].iloc[130:]
    )
    # a Series of the same prices is the same benchmark, but for the first sessions, whose betas are unknown
    series = pd.Series(bars.close[:, 0], bars.index)
    weighed = result.with_benchmark(series).greeks["beta_dollar_delta"]
    named = result.with_benchmark("IDX").greeks["beta_dollar_delta"]
    assert weighed.iloc[45:].to_numpy() == pytest.approx(named.iloc[45:].to_numpy(), rel=1e-9, abs=1e-6)
    assert result.greeks["beta_dollar_delta"].iloc[130:].notna().all()


def test_twenty_years_of_packages_take_less_than_two_seconds() -> None:
    n, every = 5040, 10
    made = load_bars(f"synthetic:1x{n}?seed=1")
    bars = made.with_options(OptionMarket.modelled(made, {made.symbols[0]: 0.4}, rate=0.02))
    rows = np.arange(20, n - 60, every)
    spot = bars.close[rows, 0]
    legs = make_legs(
        [
            [(-1, "put", 0.95 * s), (1, "put", 0.9 * s), (-1, "call", 1.05 * s), (1, "call", 1.1 * s)]
            for s in spot
        ],
        expiry=bars.session[rows] + 45,
    )
    signals = package_signals(
        bars, rows, 0, -1, legs, make_rules(len(rows), physical=0, dte_exit=21), qty=1.0
    )
    result = backtest(bars, signals, **RULES)
    assert len(result.packages) > 450
    Result(result.raw).greeks  # noqa: B018 - compiled code is loaded before the clock starts
    begin = time.perf_counter()
    table = Result(result.raw).greeks
    assert time.perf_counter() - begin < 2.0
    assert len(table) == n


def test_runs_without_packages_have_no_greeks(daily: Result) -> None:
    assert len(daily.greeks) == 0
    assert list(daily.greeks.columns) == [*GREEK_UNITS, "grade"]


def test_a_run_without_a_log_has_none_to_give(bars: Bars) -> None:
    raw = backtest(bars, book(bars, 0), **RULES).raw
    with pytest.raises(EngineError) as caught:
        Result(dataclasses.replace(raw, equity_runs=np.zeros(0, EQUITY))).greeks  # noqa: B018 - that is the test
    assert caught.value.code == "ENGINE_NO_LOG"


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_greeks_are_exported_with_their_grade(kind: str, bars: Bars, tmp_path: Path) -> None:
    result = backtest(bars, book(bars, 0), **RULES)
    written = result.export(tmp_path, format=kind)  # type: ignore[arg-type]  # parametrised text
    assert [path.name for path in written][-2:] == [f"greeks.{kind}", "run.json"]
    read: Any = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}[kind]
    table = read(tmp_path / f"greeks.{kind}")
    assert list(table.columns) == ["time", *GREEK_UNITS, "grade"]
    assert pd.to_datetime(table["time"], utc=True).tolist() == result.equity.index.tolist()
    for name in GREEK_UNITS:
        assert table[name].to_numpy(float) == pytest.approx(
            result.greeks[name].to_numpy(), rel=1e-12, abs=1e-9, nan_ok=True
        )
    assert table["grade"].fillna("").tolist() == result.greeks["grade"].tolist()
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["greeks"] == {"grade": "modelled", "units": GREEK_UNITS}
