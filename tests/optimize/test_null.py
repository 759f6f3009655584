"""Random entries: what stays the same, what is random, and what the p-value says about planted edges."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.statistics.null import random_entries, random_entry_null
from simulator import Bars, Signals, load_bars
from simulator.errors import ConfigError
from strategies import SmaCross

BARS = load_bars("synthetic:3x400?seed=3")


def held(signals: Signals, bars: Bars) -> list[tuple[str, int, int]]:
    """Symbol, side and distance to the next closing signal of every entry, in the symbol's own bars."""
    found = []
    records = signals.aligned(bars)
    for sym in np.unique(records["sym"]):
        known = np.flatnonzero(~np.isnan(bars.close[:, sym]))
        mine = records[records["sym"] == sym]
        place = np.searchsorted(known, mine["row"])
        for index in np.flatnonzero(mine["side"]):
            after = [
                int(place[later] - place[index])
                for later in range(index + 1, len(mine))
                if mine["side"][later] == 0
            ]
            found.append((bars.symbols[sym], int(mine["side"][index]), after[0] if after else -1))
    return sorted(found)


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(st.data())
def test_number_sides_and_holding_stay_and_episodes_do_not_overlap(data: st.DataObject) -> None:
    bars = load_bars(f"synthetic:2x60?seed={data.draw(st.integers(0, 50))}&missing_pct=10")
    rows, symbols, sides = [], [], []
    for sym in range(2):
        known = np.flatnonzero(~np.isnan(bars.close[:, sym]))
        cuts = data.draw(st.lists(st.integers(0, known.size - 1), max_size=10, unique=True).map(sorted))
        for index, cut in enumerate(cuts):
            rows.append(int(known[cut]))
            symbols.append(sym)
            sides.append(data.draw(st.sampled_from([1, -1])) if index % 2 == 0 else 0)
    signals = Signals.from_arrays(
        bars, np.array(rows, np.int64), np.array(symbols, np.int64), np.array(sides)
    )
    (moved,) = random_entries(bars, signals, samples=1, seed=data.draw(st.integers(0, 99)))
    if not any(sides):
        return
    before, after = held(signals, bars), held(moved, bars)
    assert [one[:2] for one in after] == [one[:2] for one in before]
    closed = [one for one in before if one[2] >= 0]
    assert sorted(one[2] for one in after if one in closed) == sorted(one[2] for one in closed)
    records = moved.aligned(bars)
    assert not np.isnan(bars.close[records["row"], records["sym"]]).any()


def test_times_are_random_uniform_and_seeded() -> None:
    signals = Signals.from_arrays(BARS, [50], [0], [1], stop_percent=5.0)
    moved = random_entries(BARS, signals, samples=2000, start=20, seed=1)
    rows = np.array([int(one.records["row"][0]) for one in moved])
    assert rows.min() == 20
    assert rows.max() == 399
    counts, _ = np.histogram(rows, bins=10, range=(20, 400))
    assert (np.abs(counts - 200) < 60).all()
    again = random_entries(BARS, signals, samples=3, start=20, seed=1)
    assert [int(one.records["row"][0]) for one in again] == rows[:3].tolist()


def test_a_full_calendar_leaves_only_the_order_to_chance() -> None:
    # an entry on every bar: nothing to move
    signals = Signals.from_arrays(BARS, np.arange(400), 0, 1)
    (moved,) = random_entries(BARS, signals, samples=1)
    np.testing.assert_array_equal(np.sort(moved.records["row"]), np.arange(400))


def test_prices_move_with_the_market_and_ranges_are_taken_anew() -> None:
    close = float(BARS.close[100, 1])
    signals = Signals.from_arrays(
        BARS, [100], [1], [1], stop=close * 0.9, target=close * 1.2, limit_price=close * 0.99,
        entry="limit", trail_amount=close * 0.05, atr=1.0, target_fraction=0.5, qty=10.0, tag="x",
    )  # fmt: skip
    (moved,) = random_entries(BARS, signals, samples=1, seed=4)
    record = moved.records[0]
    now = BARS.close[record["row"], 1]
    assert record["row"] != 100
    for name, share in (("stop", 0.9), ("target", 1.2), ("limit_price", 0.99), ("trail_amount", 0.05)):
        assert record[name] == pytest.approx(now * share)
    assert math.isnan(record["atr"])
    assert (record["qty"], record["target_fraction"]) == (10.0, 0.5)
    assert moved.tags == signals.tags
    assert record["ts"] == BARS.ts[record["row"]]


def test_together_keeps_what_is_entered_on_one_day() -> None:
    rows = np.array([100, 100, 100, 140, 140, 140])
    signals = Signals.from_arrays(BARS, rows, [0, 1, 2, 0, 1, 2], [1, 1, 1, 0, 0, 0])
    shifted = random_entries(BARS, signals, samples=30, together=True, seed=2)
    assert len({int(one.records["row"][0]) for one in shifted}) > 15
    for moved in shifted:
        found = moved.records["row"]
        assert len(np.unique(found)) == 2
        assert int(np.diff(np.unique(found))[0]) in (40, 400 - 40)
    apart = random_entries(BARS, signals, samples=30, seed=2)
    assert any(len(np.unique(one.records["row"])) > 2 for one in apart)


def future(bars: Bars, days: int = 5) -> Signals:
    """An oracle: buys what will rise most over the next days."""
    close = bars.close
    gain = np.full(close.shape, np.nan)
    gain[:-days] = close[days:] / close[:-days]
    rows, symbols = np.nonzero(gain > np.nanquantile(gain, 0.9))
    keep: list[int] = []
    last: dict[int, int] = {}
    for index, (row, sym) in enumerate(zip(rows, symbols, strict=True)):
        if row - last.get(int(sym), -100) > days:
            keep.append(index)
            last[int(sym)] = int(row)
    return Signals.from_arrays(BARS, rows[keep], symbols[keep], 1, stop_percent=20.0, max_bars=days)


def test_an_oracle_beats_random_entries_and_an_average_rule_does_not() -> None:
    oracle = random_entry_null(BARS, future(BARS), samples=99)
    assert oracle.p_value == 0.01
    assert oracle.trades == pytest.approx(oracle.null_trades, rel=0.1)
    assert "(p = 0.010)" in str(oracle)
    rule = random_entry_null(BARS, SmaCross(fast=5, slow=20), samples=99)
    assert rule.p_value > 0.05


def test_p_values_of_random_rules_are_uniform() -> None:
    random = np.random.default_rng(3)
    found = []
    for seed in range(40):
        rows = np.zeros(12, np.int64)
        while np.diff(rows).min() < 8:  # by rejection, not by the arithmetic of the null
            rows = np.sort(random.choice(393, 12, replace=False))
        signals = Signals.from_arrays(BARS, rows, 1, 1, stop_percent=10.0, max_bars=8)
        found.append(random_entry_null(BARS, signals, samples=49, seed=seed).p_value)
    p: npt.NDArray[np.float64] = np.sort(found)
    # Kolmogorov-Smirnov at about 1 %
    assert np.abs(p - (np.arange(40) + 0.5) / 40).max() < 1.63 / math.sqrt(40)


def test_metric_rules_and_seed_are_passed_on() -> None:
    one = random_entry_null(
        BARS, future(BARS), metric="total_return", samples=20, costs="alpaca", cash=50_000.0
    )
    two = random_entry_null(
        BARS, future(BARS), metric="total_return", samples=20, costs="alpaca", cash=50_000.0
    )
    np.testing.assert_array_equal(one.values, two.values)
    assert one.metric == "total_return"


def test_random_runs_that_are_as_good_count_against() -> None:
    assert random_entry_null(BARS, future(BARS), metric="sessions", samples=9).p_value == 1.0


def test_no_entries_no_answer() -> None:
    nothing = random_entry_null(BARS, Signals.empty(BARS), samples=5)
    assert math.isnan(nothing.p_value)
    assert nothing.entries == 0
    assert str(nothing).startswith("Random entries say nothing: 0 entries")


def test_what_cannot_be_moved_is_refused() -> None:
    tied = Signals.from_arrays(BARS, [10, 10], [0, 1], 1, oco=1)
    with pytest.raises(ConfigError, match="oco"):
        random_entries(BARS, tied, samples=1)
    with pytest.raises(ConfigError, match="OPTIMIZE_NULL"):
        random_entry_null(BARS, future(BARS), samples=0)
    with pytest.raises(ConfigError, match="Did you mean 'sharpe'"):
        random_entry_null(BARS, future(BARS), samples=1, metric="sharp")
