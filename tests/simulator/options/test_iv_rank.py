"""IV rank and percentile: against a plain count, at the edges, and with missing days."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars.arrays import Floats
from simulator.errors import TwinstepError
from simulator.options.iv_rank import WINDOW, iv_percentile, iv_rank

QUIET = settings(derandomize=True, database=None, deadline=None, max_examples=150)
levels = st.lists(st.sampled_from([0.1, 0.15, 0.2, 0.2000001, 0.35, 0.8]), max_size=40)


def walk(size: int, seed: int = 0) -> Floats:
    return np.asarray(0.2 * np.exp(np.random.default_rng(seed).normal(0, 0.05, size).cumsum()))


def plain_rank(values: list[float]) -> float:
    low, high = min(values), max(values)
    return math.nan if high == low else 100 * (values[-1] - low) / (high - low)


def plain_percentile(values: list[float]) -> float:
    others = values[:-1]
    if max(values) == min(values):
        return math.nan
    return 100 * sum(value < values[-1] for value in others) / len(others)


@pytest.mark.parametrize(("measure", "plain"), [(iv_rank, plain_rank), (iv_percentile, plain_percentile)])
@given(values=levels, window=st.integers(2, 12))
@QUIET
def test_equals_a_plain_count(measure: Any, plain: Any, values: list[float], window: int) -> None:
    expected = [
        plain(values[at - window + 1 : at + 1]) if at >= window - 1 else math.nan for at in range(len(values))
    ]
    np.testing.assert_allclose(measure(np.array(values), window), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
@given(values=levels, window=st.integers(2, 12), cut=st.integers(0, 40))
@QUIET
def test_the_future_changes_nothing(measure: Any, values: list[float], window: int, cut: int) -> None:
    whole, part = measure(np.array(values), window), measure(np.array(values[:cut]), window)
    np.testing.assert_array_equal(whole[:cut], part)


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
def test_unknown_before_a_full_window_and_never_zero_or_fifty(measure: Any) -> None:
    answer = measure(walk(300))
    assert WINDOW == 252
    assert np.isnan(answer[:251]).all()
    assert not np.isnan(answer[251:]).any()
    assert np.isnan(measure(walk(251))).all()
    assert measure(np.array([])).size == 0


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
def test_the_highest_is_100_and_the_lowest_0(measure: Any) -> None:
    rising = np.linspace(0.1, 0.5, 300)
    assert (measure(rising)[251:] == 100).all()
    assert (measure(rising[::-1])[251:] == 0).all()


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
def test_no_rounding_leads_beyond_100(measure: Any) -> None:
    random = np.random.default_rng(1)
    rising = np.sort(random.uniform(0.1, 0.5, (300, 12)), axis=1)
    highest = [measure(values, window=12)[-1] for values in rising]
    assert highest == [100.0] * 300


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
def test_a_flat_window_says_nothing(measure: Any) -> None:
    assert np.isnan(measure(np.full(260, 0.2))).all()


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
def test_a_scale_changes_nothing(measure: Any) -> None:
    np.testing.assert_allclose(measure(walk(400)), measure(walk(400) * 100), rtol=1e-9)


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
def test_a_missing_day_is_no_session(measure: Any) -> None:
    values = walk(300)
    holes = np.insert(values, [100, 280], [np.nan, np.inf])
    answer = measure(holes)
    assert np.isnan(answer[[100, 281]]).all()
    np.testing.assert_array_equal(np.delete(answer, [100, 281]), measure(values))


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
@pytest.mark.parametrize(("missing", "known"), [(13, True), (14, False)])
def test_too_many_missing_days_are_unknown(measure: Any, missing: int, known: bool) -> None:
    values = np.insert(walk(252), 100, np.full(missing, np.nan))
    assert np.isnan(measure(values)[-1]) != known  # 13 of 265 are 4.9 %, 14 of 266 are 5.3 %


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
def test_a_series_comes_back_as_one(measure: Any) -> None:
    index = pd.date_range("2020-01-01", periods=300, tz="UTC")
    series = pd.Series(walk(300), index=index, name="iv30")
    series.attrs["grade"] = "modelled"
    answer = measure(series)
    assert isinstance(answer, pd.Series)
    assert answer.index.equals(index)
    assert answer.name == "iv30"
    assert answer.attrs["grade"] == "modelled"
    np.testing.assert_array_equal(answer.to_numpy(), measure(series.to_numpy()))


@pytest.mark.parametrize("measure", [iv_rank, iv_percentile])
@pytest.mark.parametrize(
    ("values", "window", "code"),
    [
        ([0.1, 0.2], 1, "CONFIG_WINDOW"),
        ([0.1, 0.2], 2.5, "CONFIG_WINDOW"),
        ([[0.1, 0.2]], 2, "DATA_SHAPE"),
        (0.2, 2, "DATA_SHAPE"),
        (["a", "b"], 2, "DATA_TYPE"),
    ],
)
def test_what_cannot_be_ranked(measure: Any, values: Any, window: Any, code: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        measure(values, window)
    assert caught.value.code == code


def test_what_is_not_above_zero_is_a_missing_day() -> None:
    known = np.linspace(0.1, 0.3, 300)
    holed = known.copy()
    holed[[270, 280]] = 0.0, -1.0
    for measure in (iv_rank, iv_percentile):
        found = measure(holed)
        assert np.isnan(found[[270, 280]]).all()
        # as if the quote had been missing: no year of ranks above a low of nothing
        missing = np.where(holed > 0, holed, np.nan)
        np.testing.assert_array_equal(found, measure(missing))


def test_a_range_of_rounding_is_no_range() -> None:
    alike = np.full(300, 0.3)
    alike[::3] = 0.1 + 0.2
    for measure in (iv_rank, iv_percentile):
        assert np.isnan(measure(alike)).all()
