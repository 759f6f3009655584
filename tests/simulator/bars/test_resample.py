"""Higher timeframes: values, completion, and the prefix rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars import Bars, completed
from simulator.bars.arrays import DAY, MINUTE

from .conftest import walk

if TYPE_CHECKING:
    from .conftest import MakeBars


def _sessions(rows: int, start: str = "2019-11-01") -> Bars:
    """Return daily bars on real sessions, Thanksgiving, Christmas and Good Friday among them."""
    import exchange_calendars

    days = exchange_calendars.get_calendar("XNYS").sessions
    days = days[days >= start][:rows]
    return Bars.from_arrays(["A", "B"], days.as_unit("ns").asi8, walk(rows, 2))


@pytest.mark.parametrize(("rule", "frequency"), [("1W", "W-SUN"), ("1M", "ME"), ("1Q", "QE"), ("1Y", "YE")])
def test_values_equal_pandas(rule: str, frequency: str) -> None:
    bars = _sessions(300)
    higher = bars.resample(rule)
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    expected = bars.frame("B").resample(frequency).agg(how)
    np.testing.assert_allclose(higher.panel[:, 1], expected.to_numpy()[: len(higher)])
    assert len(higher) >= len(expected) - 1
    assert higher.daily


def test_weekly_bar_is_complete_at_the_close_of_the_week() -> None:
    bars = _sessions(25)  # 2019-11-01, a Friday, to 2019-12-06, a Friday
    weekly = bars.resample("1W")
    rows = completed(weekly, bars)
    weekday = pd.DatetimeIndex(bars.index).day_of_week
    assert rows[0] == 0
    assert (np.diff(rows)[weekday[1:] == 4] == 1).all()
    assert (np.diff(rows)[weekday[1:] != 4] == 0).all()


def test_week_before_good_friday_ends_on_thursday() -> None:
    bars = _sessions(8, start="2020-04-06")
    rows = completed(bars.resample("1W"), bars)
    assert rows.tolist() == [-1, -1, -1, 0, 0, 0, 0, 0]
    assert len(bars[:4].resample("1W")) == 1
    assert len(bars[:3].resample("1W")) == 0


def test_a_gap_at_the_end_of_a_week_delays_nothing_but_itself() -> None:
    bars = _sessions(12, start="2020-01-06")
    kept = np.delete(np.arange(12), 4)  # Friday is missing
    holed = Bars.from_arrays(bars.symbols, bars.ts[kept], bars.panel[kept])
    weekly = holed.resample("1W")
    rows = completed(weekly, holed)
    assert rows.tolist() == [-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1]
    assert weekly.close[0, 0] == bars.close[3, 0]


def test_hours_are_anchored_at_the_open(make_intraday: MakeBars) -> None:
    bars = make_intraday(sessions=2, minutes=30)
    hourly = bars.resample("1h")
    assert len(hourly) == 14
    assert ((hourly.close_ts - hourly.open_ts) // MINUTE).tolist() == [60] * 6 + [30] + [60] * 6 + [30]
    np.testing.assert_array_equal(hourly.close[6], bars.close[12])
    np.testing.assert_array_equal(hourly.open[7], bars.open[13])
    assert completed(hourly, bars).tolist()[:4] == [-1, 0, 0, 1]


def test_daily_from_intraday(make_intraday: MakeBars) -> None:
    bars = make_intraday(sessions=3, minutes=30)
    daily = bars.resample("1D")
    assert daily.daily
    assert (daily.ts % DAY == 0).all()
    assert completed(daily, bars)[[0, 11, 12, 13, 25, 38]].tolist() == [-1, -1, 0, 0, 1, 2]
    assert daily.session_no.tolist() == [0, 1, 2]


def test_missing_bars_and_missing_periods(make_bars: MakeBars) -> None:
    bars = make_bars(rows=12, missing=[[row, 1] for row in range(1, 7)])
    weekly = bars.resample("1W")
    assert not np.isnan(weekly.close[0]).any()
    assert weekly.close[0, 1] == bars.close[0, 1]
    assert np.isnan(weekly.panel[1:2, 1]).sum() in (0, 5)


def test_actions_move_to_their_period_and_raw_splits_are_rebased() -> None:
    bars = _sessions(10, start="2020-01-06")
    panel = bars.panel.copy()
    panel[2:, 0, :4] /= 2
    panel[2:, 0, 4] *= 2
    actions = [("A", "2020-01-08", "split", 2.0), ("B", "2020-01-14", "dividend", 1.0)]
    raw = Bars.from_arrays(bars.symbols, bars.ts, panel, raw=True, actions=actions)
    weekly, plain = raw.resample("1W"), bars.resample("1W")
    assert weekly.actions["row"].tolist() == [0, 1]
    np.testing.assert_allclose(weekly.panel[:, 0, :4], plain.panel[:, 0, :4] / 2)
    np.testing.assert_allclose(weekly.volume[:, 0], plain.volume[:, 0] * 2)


@pytest.mark.parametrize("rule", ["1W", "2W", "1M", "1Q"])
def test_prefix_rule_daily(rule: str) -> None:
    bars = _sessions(90)
    _assert_prefix_rule(bars, rule)


@pytest.mark.parametrize("rule", ["1h", "2h", "45min", "1D", "1W"])
def test_prefix_rule_intraday(make_intraday: MakeBars, rule: str) -> None:
    _assert_prefix_rule(make_intraday(sessions=6, minutes=15), rule)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=40),
    st.sampled_from(["30min", "1h", "1D", "1W", "1M"]),
    st.sampled_from(["XNYS", "24/7"]),
)
def test_prefix_rule_on_any_times(gaps: list[int], rule: str, calendar: str) -> None:
    ts = 18_260 * DAY + np.cumsum(gaps) * 30 * MINUTE * 7
    bars = Bars.from_arrays(["A", "B"], ts, walk(ts.size, 2), calendar=calendar, close_ts=ts + 5 * MINUTE)
    _assert_prefix_rule(bars, rule)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=40), st.sampled_from(["1W", "1M", "2W"]))
def test_prefix_rule_on_any_days(gaps: list[int], rule: str) -> None:
    ts = (18_260 + np.cumsum(gaps)) * DAY
    _assert_prefix_rule(Bars.from_arrays(["A", "B"], ts, walk(ts.size, 2)), rule)


def _assert_prefix_rule(bars: Bars, rule: str) -> None:
    whole = bars.resample(rule)
    visible = completed(whole, bars)
    for stop in range(1, len(bars) + 1):
        part = bars[:stop]
        higher = part.resample(rule)
        assert len(higher) <= len(whole)
        assert higher.panel.tobytes() == whole.panel[: len(higher)].tobytes()
        np.testing.assert_array_equal(higher.close_ts, whole.close_ts[: len(higher)])
        assert (higher.close_ts <= part.close_ts[-1]).all()
        np.testing.assert_array_equal(completed(higher, part), visible[:stop])
