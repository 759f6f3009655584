"""Session times agree with exchange_calendars."""

from __future__ import annotations

from itertools import pairwise

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from simulator.bars import Bars
from simulator.bars.arrays import DAY, HOUR
from simulator.bars.clock import (
    calendar_sessions,
    check_calendar,
    session_of,
    session_times,
    sessions_per_year,
)
from simulator.errors import DataError


def test_new_york_hours_equal_the_package_since_1993() -> None:
    source = exchange_calendars.get_calendar("XNYS", start="1993-01-01", end="2027-12-31")
    schedule = source.schedule
    days = schedule.index.as_unit("ns").asi8 // DAY
    opens, closes = session_times("XNYS", days)
    np.testing.assert_array_equal(opens, pd.DatetimeIndex(schedule["open"]).as_unit("ns").asi8)
    np.testing.assert_array_equal(closes, pd.DatetimeIndex(schedule["close"]).as_unit("ns").asi8)


@pytest.mark.parametrize("name", ["XLON", "XTKS", "XHKG"])
def test_other_exchanges_come_from_the_package(name: str) -> None:
    days = calendar_sessions(name, 18_262, 18_300)
    opens, closes = session_times(name, days)
    schedule = exchange_calendars.get_calendar(name, start="2020-01-01", end="2020-12-31").schedule
    assert pd.Timestamp(opens[0], tz="UTC") == schedule["open"].iloc[0]
    assert pd.Timestamp(closes[-1], tz="UTC") == schedule.loc[str(np.datetime64(int(days[-1]), "D")), "close"]
    np.testing.assert_array_equal(session_of(name, opens), days)
    assert 235 < sessions_per_year(name) < 260


def test_sessions_at_the_edge_of_a_decade() -> None:
    days = calendar_sessions("XNYS", 18_259, 18_270)  # 2019-12-29 to 2020-01-09
    assert [str(day) for day in days.astype("datetime64[D]")][:3] == [
        "2019-12-30",
        "2019-12-31",
        "2020-01-02",
    ]
    for first, last in pairwise([-3000, 0, 9000, 18_000]):
        assert calendar_sessions("XNYS", first, last).size > 1500


def test_round_the_clock() -> None:
    opens, closes = session_times("24/7", np.array([5]))
    assert (opens[0], closes[0]) == (5 * DAY, 6 * DAY)
    assert session_of("24/7", np.array([5 * DAY - 1, 5 * DAY])).tolist() == [4, 5]
    assert sessions_per_year("24/7") == 365
    assert calendar_sessions("24/7", 3, 5).tolist() == [3, 4, 5]


def test_local_dates_of_new_york_across_clock_changes() -> None:
    hours = np.arange(20_000) * HOUR + 17_000 * DAY
    expected = pd.DatetimeIndex(hours.view("M8[ns]")).tz_localize("UTC").tz_convert("America/New_York")
    days = expected.tz_localize(None).normalize().as_unit("ns").asi8 // DAY
    np.testing.assert_array_equal(session_of("XNYS", hours), days)


def test_names() -> None:
    assert check_calendar("NYSE") == "XNYS"
    assert check_calendar("XLON") == "XLON"
    with pytest.raises(DataError, match=r"DATA_CALENDAR.*Did you mean 'XLON'"):
        check_calendar("XLOND")


def test_dates_that_a_calendar_does_not_know_are_an_error() -> None:
    far = Bars.from_arrays(["A"], np.arange(50_000, 50_030) * DAY, np.ones((30, 1, 5)))
    with pytest.raises(DataError, match=r"DATA_CALENDAR.*XNYS knows none"):
        far.resample("1W")
    evening = np.arange(50_000, 50_003) * DAY + HOUR
    with pytest.raises(DataError, match=r"DATA_CALENDAR.*XLON"):
        Bars.from_arrays(["A"], evening, np.ones((3, 1, 5)), calendar="XLON")
    assert len(Bars.from_arrays(["A"], far.ts, far.panel, calendar="24/7").resample("1W")) == 4


def test_evening_bars_of_a_futures_session_belong_to_the_next_date() -> None:
    start = pd.Timestamp("2020-01-06 22:00", tz="America/Chicago")
    ts = np.array([start.value, start.value + HOUR])
    bars = Bars.from_arrays(["ES"], ts, np.ones((2, 1, 5)), calendar="CMES")
    assert str(bars.session.astype("datetime64[D]")[0]) == "2020-01-07"
