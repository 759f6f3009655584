"""Resampled histories: blocks of the asked length, statistics that stay, bars that can be true."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import optimal_block_length as of_arch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.statistics.bootstrap import (
    block_indices,
    bootstrap_bars,
    bootstrap_returns,
    optimal_block_length,
)
from simulator import Bars, load_bars
from simulator.bars.arrays import DAY
from simulator.errors import ConfigError

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=40)


@PROPERTY
@given(
    st.integers(1, 60),
    st.floats(1.0, 40.0),
    st.sampled_from(["stationary", "circular"]),
    st.integers(0, 80),
    st.integers(0, 2**32),
)
def test_indices_are_rows_in_runs_around_the_end(
    n: int, length: float, kind: str, size: int, seed: int
) -> None:
    rows = block_indices(n, length=length, kind=kind, size=size, seed=seed)  # type: ignore[arg-type]
    again = block_indices(n, length=length, kind=kind, size=size, seed=seed)  # type: ignore[arg-type]
    assert rows.shape == (size,)
    assert ((rows >= 0) & (rows < n)).all()
    np.testing.assert_array_equal(rows, again)
    if kind == "circular":
        breaks = np.flatnonzero((np.diff(rows) - 1) % n) + 1
        assert (breaks % np.ceil(length) == 0).all()


def test_blocks_have_the_mean_length_and_every_row_the_same_chance() -> None:
    rows = block_indices(500, length=8, size=400_000, seed=1)
    breaks = ((np.diff(rows) - 1) % 500 != 0).sum()
    assert 400_000 / breaks == pytest.approx(8.0, rel=0.03)
    counts = np.bincount(rows, minlength=500)
    assert counts.min() > 500  # 800 on average
    assert counts.max() < 1150


def test_the_length_is_that_of_arch() -> None:
    random = np.random.default_rng(5)
    shocks = random.normal(size=600)
    series = np.zeros(600)
    for row in range(1, 600):
        series[row] = 0.6 * series[row - 1] + shocks[row]
    expected = of_arch(series)
    assert optimal_block_length(series) == pytest.approx(float(expected["stationary"].iloc[0]))
    assert optimal_block_length(series, kind="circular") == pytest.approx(float(expected["circular"].iloc[0]))
    both = np.column_stack([series, shocks, np.zeros(600)])
    assert optimal_block_length(both) == pytest.approx(optimal_block_length(series))
    assert optimal_block_length(np.zeros(100)) == 1.0
    assert optimal_block_length([0.1, 0.2, np.nan]) == 1.0


def test_returns_are_drawn_together_and_their_mean_stays() -> None:
    returns = np.random.default_rng(7).normal(0.001, 0.01, (300, 2))
    drawn = bootstrap_returns(returns, samples=400, length=5, seed=3)
    assert drawn.shape == (400, 300, 2)
    pairs = {tuple(row) for row in returns}
    assert all(tuple(row) in pairs for row in drawn[17])
    means = drawn.mean(axis=1)
    np.testing.assert_allclose(means.mean(axis=0), returns.mean(axis=0), atol=2e-4)
    assert bootstrap_returns(returns[:, 0], samples=3, length=5).shape == (3, 300)
    np.testing.assert_array_equal(drawn, bootstrap_returns(returns, samples=400, length=5, seed=3))


def test_blocks_keep_autocorrelation_that_single_draws_lose() -> None:
    random = np.random.default_rng(8)
    series = np.zeros(2000)
    for row in range(1, 2000):
        series[row] = 0.7 * series[row - 1] + random.normal()

    def memory(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        return float(np.mean([np.corrcoef(one[:-1], one[1:])[0, 1] for one in values]))

    assert memory(bootstrap_returns(series, samples=20, length=30)) > 0.6
    assert abs(memory(bootstrap_returns(series, samples=20, length=1))) < 0.1


@PROPERTY
@given(st.integers(0, 1000), st.sampled_from(["stationary", "circular"]), st.sampled_from([0, 20]))
def test_bars_of_another_history_can_be_true(seed: int, kind: str, missing: int) -> None:
    bars = load_bars(f"synthetic:3x80?seed={seed}&missing_pct={missing}")
    other = bootstrap_bars(bars, length=4, kind=kind, seed=seed)  # type: ignore[arg-type]
    # the guard raises for bars that cannot be
    Bars.from_arrays(other.symbols, other.ts, other.panel, calendar=other.calendar, guard="raise")
    np.testing.assert_array_equal(other.ts, bars.ts)
    assert other.fingerprint == bootstrap_bars(bars, length=4, kind=kind, seed=seed).fingerprint  # type: ignore[arg-type]
    assert other.fingerprint != bars.fingerprint


def test_every_bar_has_the_moves_of_one_row_for_all_symbols() -> None:
    bars = load_bars("synthetic:4x60?seed=3")
    other = bootstrap_bars(bars, length=3, seed=5)

    def moves(some: Bars) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray(some.panel[1:, :, :4] / some.close[:-1, :, None])

    true, drawn = moves(bars), moves(other)
    sources = []
    for row in range(len(drawn)):
        distance = np.abs(true - drawn[row]).max(axis=(1, 2))
        assert distance.min() < 1e-12
        sources.append(int(distance.argmin()))
    np.testing.assert_array_equal(other.volume[1:], bars.volume[1:][sources])
    np.testing.assert_array_equal(other.panel[0], bars.panel[0])
    assert np.mean(np.diff(sources) == 1) > 0.4  # two of three draws go on in the same block


def test_correlation_between_symbols_stays() -> None:
    bars = load_bars("synthetic:2x1500?seed=4&sectors=1")
    other = bootstrap_bars(bars, seed=2)

    def together(some: Bars) -> float:
        return float(np.corrcoef(np.diff(np.log(some.close), axis=0), rowvar=False)[0, 1])

    assert together(other) == pytest.approx(together(bars), abs=0.06)


def test_intraday_sessions_are_drawn_whole() -> None:
    bars = load_bars("synthetic:2x400?seed=6&interval=30min")
    other = bootstrap_bars(bars, length=2, seed=1)
    Bars.from_arrays(other.symbols, other.ts, other.panel, calendar=other.calendar, guard="raise")
    starts = np.flatnonzero(np.diff(bars.session_no, prepend=-1))
    # the overnight gaps of the new history are gaps of the old one
    first = starts[1:]
    true = bars.open[first, 0] / bars.close[first - 1, 0]
    drawn = other.open[first, 0] / other.close[first - 1, 0]
    assert all(np.abs(true - one).min() < 1e-12 for one in drawn)


def test_spreads_move_with_prices_and_dates_of_the_true_history_go() -> None:
    bars = load_bars("synthetic:1x50?seed=2")
    frame = bars.frame("TEC1").assign(spread=bars.close[:, 0] * 0.001)
    quoted = Bars.from_frames({"TEC1": frame}).with_earnings({"TEC1": [("2024-12-20", "2024-12-01")]})
    assert quoted.actions.size
    other = bootstrap_bars(quoted, length=3, seed=1)
    np.testing.assert_allclose(other.spread / other.close, 0.001)
    assert other.actions.size == 0
    assert (other.origin, other.options, other.detail) == ("synthetic", None, None)
    assert "seed 1" in other.name


def test_a_symbol_that_begins_later_keeps_its_first_price_as_start() -> None:
    bars = load_bars("synthetic:2x100?seed=9")
    panel = bars.panel.copy()
    panel[:40, 1] = np.nan
    late = bars.replaced(panel=panel)
    other = bootstrap_bars(late, length=5, seed=3)
    Bars.from_arrays(other.symbols, other.ts, other.panel, calendar=other.calendar, guard="raise")
    known = ~np.isnan(other.close[:, 1])
    assert 20 < known.sum() < 90
    first = int(np.argmax(known))
    assert other.close[first, 1] == pytest.approx(panel[40, 1, 3], rel=0.3)


def test_bars_that_cannot_be_resampled_are_refused() -> None:
    bars = load_bars("synthetic:1x30?seed=1")
    with pytest.raises(ConfigError, match="raw"):
        bootstrap_bars(bars.replaced(raw=True))
    with pytest.raises(ConfigError, match="OPTIMIZE_BARS"):
        bootstrap_bars(bars[:1])
    with pytest.raises(ConfigError, match="OPTIMIZE_BARS"):
        bootstrap_bars(bars[:0])
    with pytest.raises(ConfigError, match="OPTIMIZE_BLOCKS"):
        bootstrap_bars(bars, length=0.5)
    with pytest.raises(ConfigError, match="OPTIMIZE_METHOD"):
        block_indices(5, length=1, kind="moving")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="OPTIMIZE_RETURNS"):
        optimal_block_length(np.zeros((2, 2, 2)))


def test_a_weekly_history_is_resampled_too() -> None:
    weekly = load_bars("synthetic:2x200?seed=1").resample("1W")
    other = bootstrap_bars(weekly, length=2)
    assert len(other) == len(weekly)
    assert (np.diff(other.ts) >= 4 * DAY).all()
    assert isinstance(other.index, pd.DatetimeIndex)
