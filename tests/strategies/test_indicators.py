"""Indicators against independent references, with gaps, and bit for bit on every prefix."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from simulator.errors import StrategyError
from strategies import indicators as ind

Array = npt.NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[2]


def walk(rows: int = 300, seed: int = 7) -> tuple[Array, Array, Array, Array]:
    """Open, high, low, close of a random walk."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.015, rows)))
    open_ = np.concatenate(([100.0], close[:-1])) * (1 + rng.normal(0, 0.004, rows))
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.005, rows)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.005, rows)))
    return open_, high, low, close


Indicator = Callable[[Array, Array, Array, Array], tuple[Array, ...]]

ALL: dict[str, Indicator] = {
    "sma": lambda o, h, lo, c: (ind.sma(c, 20),),
    "ema": lambda o, h, lo, c: (ind.ema(c, 20),),
    "wilder": lambda o, h, lo, c: (ind.wilder(c, 14),),
    "macd": lambda o, h, lo, c: ind.macd(c),
    "adx": lambda o, h, lo, c: ind.adx(h, lo, c, 14),
    "rsi": lambda o, h, lo, c: (ind.rsi(c, 14),),
    "rate_of_change": lambda o, h, lo, c: (ind.rate_of_change(c, 10),),
    "true_range": lambda o, h, lo, c: (ind.true_range(h, lo, c),),
    "atr": lambda o, h, lo, c: (ind.atr(h, lo, c, 14),),
    "rolling_std": lambda o, h, lo, c: (ind.rolling_std(c, 20),),
    "bollinger": lambda o, h, lo, c: ind.bollinger(c),
    "realised_volatility": lambda o, h, lo, c: (ind.realised_volatility(c),),
    "rolling_high": lambda o, h, lo, c: (ind.rolling_high(h, 20),),
    "rolling_low": lambda o, h, lo, c: (ind.rolling_low(lo, 20),),
    "donchian": lambda o, h, lo, c: ind.donchian(h, lo, 20),
    "lag": lambda o, h, lo, c: (ind.lag(c, 3),),
    "carry": lambda o, h, lo, c: (ind.carry(c),),
    "first_after": lambda o, h, lo, c: (
        ind.first_after(c < ind.sma(c, 5), c > ind.sma(c, 20)).astype(float),
    ),
    "crossed_above": lambda o, h, lo, c: (ind.crossed_above(c, ind.sma(c, 5)).astype(np.float64),),
}


def same_bits(one: Array, two: Array) -> bool:
    """Equal as bytes, any NaN being as good as another."""
    return one.shape == two.shape and bool(
        (np.isnan(one) & np.isnan(two) | (one.copy().view("i8") == two.copy().view("i8"))).all()
    )


def test_every_exported_indicator_is_under_these_tests() -> None:
    assert set(ind.__all__) - {"crossed_below"} == set(ALL)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_prefix_gives_the_same_bits(name: str, gaps: bool) -> None:
    prices = [array.copy() for array in walk(140)]
    if gaps:
        holes = np.random.default_rng(3).random(140) < 0.2
        for array in prices:
            array[holes] = np.nan
    full = ALL[name](*prices)
    for rows in range(1, 141):
        part = ALL[name](*[array[:rows] for array in prices])
        for whole, piece in zip(full, part, strict=True):
            assert same_bits(np.ascontiguousarray(whole[:rows]), np.ascontiguousarray(piece)), rows


@pytest.mark.parametrize("name", ALL)
def test_panel_columns_equal_single_columns(name: str) -> None:
    first, second = walk(90, 1), walk(90, 2)
    panel = [np.column_stack(pair) for pair in zip(first, second, strict=True)]
    both = ALL[name](*panel)
    for column, prices in enumerate((first, second)):
        for whole, alone in zip(both, ALL[name](*prices), strict=True):
            assert whole.shape == (90, 2)
            assert same_bits(np.ascontiguousarray(whole[:, column]), alone)


@pytest.mark.parametrize(
    "name", sorted(set(ALL) - {"lag", "carry", "crossed_above", "first_after", "true_range"})
)
def test_missing_bars_are_skipped_and_keep_the_last_value(name: str) -> None:
    prices = walk(120)
    holes = np.zeros(150, bool)
    holes[np.random.default_rng(5).choice(150, 30, replace=False)] = True
    holed = []
    for array in prices:
        wide = np.full(150, np.nan)
        wide[~holes] = array
        holed.append(wide)
    for compact, wide in zip(ALL[name](*prices), ALL[name](*holed), strict=True):
        assert same_bits(np.ascontiguousarray(wide[~holes]), compact)
        for row in np.flatnonzero(holes):
            before = wide[row - 1] if row else np.nan
            assert wide[row] == before or (np.isnan(wide[row]) and np.isnan(before))


def close_to(one: Array, two: npt.ArrayLike, start: int = 0) -> None:
    np.testing.assert_allclose(one[start:], np.asarray(two)[start:], rtol=1e-11, atol=1e-11)


def test_moving_averages_against_pandas() -> None:
    close = walk()[3]
    series = pd.Series(close)
    close_to(ind.sma(close, 20), series.rolling(20).mean())
    close_to(ind.ema(close, 20), series.ewm(span=20, adjust=False, min_periods=20).mean())
    close_to(ind.rolling_std(close, 20), series.rolling(20).std(ddof=0))
    close_to(ind.rolling_std(close, 20, ddof=1), series.rolling(20).std(ddof=1))
    close_to(ind.rate_of_change(close, 10), series.pct_change(10))
    middle, upper, lower = ind.bollinger(close, 20, 2.5)
    close_to(middle, series.rolling(20).mean())
    close_to(upper, series.rolling(20).mean() + 2.5 * series.rolling(20).std(ddof=0))
    close_to(upper + lower, 2 * middle)


def test_extremes_against_pandas() -> None:
    _, high, low, _ = walk()
    upper, lower, middle = ind.donchian(high, low, 15)
    assert same_bits(upper, pd.Series(high).rolling(15).max().to_numpy())
    assert same_bits(lower, pd.Series(low).rolling(15).min().to_numpy())
    close_to(middle, (upper + lower) / 2)
    steps = np.round(high)  # ties
    assert same_bits(ind.rolling_high(steps, 7), pd.Series(steps).rolling(7).max().to_numpy())


def wilder_by_hand(values: list[float], length: int) -> list[float]:
    out = [float("nan")] * len(values)
    average = sum(values[:length]) / length
    out[length - 1] = average
    for index in range(length, len(values)):
        average += (values[index] - average) / length
        out[index] = average
    return out


def test_wilder_family_against_definitions() -> None:
    _, high, low, close = walk()
    frame = pd.DataFrame({"h": high, "l": low, "p": pd.Series(close).shift()})
    spans = pd.concat([frame.h - frame.l, (frame.h - frame.p).abs(), (frame.l - frame.p).abs()], axis=1)
    ranges = spans.max(axis=1)
    ranges.iloc[0] = np.nan
    close_to(ind.true_range(high, low, close), ranges)
    close_to(ind.atr(high, low, close, 14), [np.nan, *wilder_by_hand(ranges[1:].tolist(), 14)])
    change = np.diff(close)
    gain = np.array(wilder_by_hand(np.clip(change, 0, None).tolist(), 14))
    loss = np.array(wilder_by_hand(np.clip(-change, 0, None).tolist(), 14))
    close_to(ind.rsi(close, 14), [np.nan, *(100 - 100 / (1 + gain / loss))])
    # the same tail from pandas' exponential average with alpha = 1/n: the start fades
    late = pd.Series(np.clip(change, 0, None)).ewm(alpha=1 / 14, adjust=False).mean().to_numpy()
    np.testing.assert_allclose(gain[-1], late[-1], rtol=1e-6)


def test_adx_against_its_definition() -> None:
    _, high, low, close = walk()
    n = 14
    up = np.diff(high)
    down = -np.diff(low)
    plus = np.where((up > down) & (up > 0), up, 0.0)
    minus = np.where((down > up) & (down > 0), down, 0.0)
    ranges = ind.true_range(high, low, close)[1:]

    def smooth(values: Array) -> Array:
        return np.array(wilder_by_hand(values.tolist(), n))

    di_plus = 100 * smooth(plus) / smooth(ranges)
    di_minus = 100 * smooth(minus) / smooth(ranges)
    dx = 100 * abs(di_plus - di_minus) / (di_plus + di_minus)
    average = wilder_by_hand(dx[n - 1 :].tolist(), n)
    strength, one, two = ind.adx(high, low, close, n)
    close_to(one, [np.nan, *di_plus])
    close_to(two, [np.nan, *di_minus])
    close_to(strength, [np.nan] * n + average)


def test_macd_and_realised_volatility_against_pandas() -> None:
    close = walk()[3]
    series = pd.Series(close)
    fast = series.ewm(span=12, adjust=False, min_periods=12).mean()
    slow = series.ewm(span=26, adjust=False, min_periods=26).mean()
    line, signal, histogram = ind.macd(close)
    close_to(line, fast - slow)
    close_to(signal, (fast - slow).ewm(span=9, adjust=False, min_periods=9).mean())
    close_to(histogram, line - signal)
    returns = pd.Series(np.log(close)).diff()
    close_to(ind.realised_volatility(close, 20), returns.rolling(20).std() * np.sqrt(252))


def test_agrees_with_vectorbt_where_it_defines_the_same() -> None:
    # vectorbt's RSI and ATR use other averages than Wilder's; these four are defined equally.
    # Its engine in Rust has them too, without seconds of importing and compiling.
    generic = pytest.importorskip("vectorbt_rust.indicators")
    close = walk()[3]
    table = close.reshape(-1, 1)
    close_to(ind.sma(close, 20), generic.ma_rs(table, 20, False)[:, 0])
    close_to(ind.ema(close, 20), generic.ma_rs(table, 20, True)[:, 0])
    close_to(ind.rolling_std(close, 20), generic.mstd_rs(table, 20, False, ddof=0)[:, 0])


def test_a_large_value_leaves_no_trace_behind() -> None:
    close = np.ones(60)
    close[10] = 1e16
    assert same_bits(ind.sma(close, 5)[15:], np.ones(45))
    assert same_bits(ind.rolling_std(close, 5)[15:], np.zeros(45))


def test_windowed_indicators_do_not_depend_on_older_history() -> None:
    _, high, _, close = walk()
    assert same_bits(ind.sma(close, 20)[-50:], ind.sma(close[-69:], 20)[-50:])
    assert same_bits(ind.realised_volatility(close, 20)[-50:], ind.realised_volatility(close[-70:], 20)[-50:])
    assert same_bits(ind.rolling_high(high, 20)[-50:], ind.rolling_high(high[-69:], 20)[-50:])


def test_flat_prices_are_defined() -> None:
    flat = np.full(60, 10.0)
    assert ind.rsi(flat, 14)[-1] == 50.0
    assert ind.atr(flat, flat, flat, 14)[-1] == 0.0
    assert ind.adx(flat, flat, flat, 14)[0][-1] == 0.0


def test_too_short_is_all_nan_and_empty_is_empty() -> None:
    for make in ALL.values():
        one = np.array([10.0])
        nothing = np.zeros(0)
        for array in make(one, one, one, one):
            assert array.shape == (1,)
        for array in make(nothing, nothing, nothing, nothing):
            assert array.shape == (0,)
    assert np.isnan(ind.sma([1.0, 2.0], 3)).all()


def test_tools() -> None:
    values = [np.nan, 1.0, np.nan, 3.0]
    assert same_bits(ind.carry(values), np.array([np.nan, 1.0, 1.0, 3.0]))
    assert same_bits(ind.lag(values), np.array([np.nan, np.nan, 1.0, np.nan]))
    assert ind.crossed_above([1, 2, 3], [2, 2, 2]).tolist() == [False, False, True]
    assert ind.crossed_below([3, 2, 1], [2, 2, 2]).tolist() == [False, False, True]
    assert not ind.crossed_above([np.nan, 3], [2, 2]).any()
    events, starts = [1, 0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 0, 1, 0]
    assert ind.first_after(events, starts).astype(int).tolist() == [1, 0, 1, 0, 0, 1, 0]


@pytest.mark.parametrize("length", [0, -1, 2.5, True])
def test_a_senseless_length_is_refused(length: int) -> None:
    with pytest.raises(StrategyError) as caught:
        ind.sma([1.0, 2.0], length)
    assert caught.value.code == "STRATEGY_INDICATOR_LENGTH"


def test_different_shapes_are_refused() -> None:
    with pytest.raises(StrategyError) as caught:
        ind.atr([1.0, 2.0], [1.0], [1.0, 2.0], 1)
    assert caught.value.code == "STRATEGY_INDICATOR_SHAPE"


def test_plain_python_gives_the_same_bits() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import hashlib, importlib.util as u\n"
        "spec = u.spec_from_file_location('t', sys.argv[2]); t = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(t)\n"
        "d = hashlib.sha256()\n"
        "for name in sorted(t.ALL):\n"
        "    for a in t.ALL[name](*t.walk(200)): d.update((a + 0.0).tobytes())\n"
        "print(d.hexdigest())\n"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", script, str(ROOT), __file__],
            env={**os.environ, "NUMBA_DISABLE_JIT": flag},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in ("0", "1")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 64
