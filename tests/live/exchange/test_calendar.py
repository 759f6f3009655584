"""Clock and calendar agree with the exchange's published hours, and with what a replay needs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest

from live.exchange.calendar import SessionCalendar

NEW_YORK = ZoneInfo("America/New_York")


def test_the_calendar_is_that_of_the_exchange() -> None:
    schedule = exchange_calendars.get_calendar("XNYS").schedule.loc["2023-01-01":"2024-12-31"]
    expected = [
        (
            str(day.date()),
            row["open"].tz_convert(NEW_YORK).strftime("%H:%M"),
            row["close"].tz_convert(NEW_YORK).strftime("%H:%M"),
        )
        for day, row in schedule.iterrows()
    ]
    found = SessionCalendar("XNYS", daily=False).days(date(2023, 1, 1), date(2024, 12, 31))
    assert [(day["date"], day["open"], day["close"]) for day in found] == expected


@pytest.mark.parametrize(
    ("now", "is_open", "next_open", "next_close"),
    [
        ("2024-11-29T10:00", True, "2024-12-02T09:30", "2024-11-29T13:00"),  # a half day
        ("2024-11-29T13:00", False, "2024-12-02T09:30", "2024-12-02T16:00"),
        ("2024-11-28T11:00", False, "2024-11-29T09:30", "2024-11-29T13:00"),  # Thanksgiving
        ("2024-03-08T09:29", False, "2024-03-08T09:30", "2024-03-08T16:00"),
        ("2024-03-08T09:30", True, "2024-03-11T09:30", "2024-03-08T16:00"),  # clocks change on the 10th
        ("2024-12-24T23:59", False, "2024-12-26T09:30", "2024-12-26T16:00"),
    ],
)
def test_the_clock_of_intraday_bars(now: str, is_open: bool, next_open: str, next_close: str) -> None:
    time = datetime.fromisoformat(now).replace(tzinfo=NEW_YORK)
    clock = SessionCalendar("XNYS", daily=False).clock(time.astimezone(UTC))
    assert clock["is_open"] is is_open
    for name, expected in (("timestamp", now), ("next_open", next_open), ("next_close", next_close)):
        shown = datetime.fromisoformat(clock[name])
        assert shown == datetime.fromisoformat(expected).replace(tzinfo=NEW_YORK)
        assert shown.utcoffset() in (timedelta(hours=-5), timedelta(hours=-4))


def test_a_replay_of_daily_bars_is_open_between_two_of_them() -> None:
    close = datetime(2024, 11, 27, 21, tzinfo=UTC)
    clock = SessionCalendar("XNYS", daily=True).clock(close)
    assert clock["is_open"] is True
    assert clock["next_close"] == "2024-11-29T13:00:00-05:00"
    assert clock["next_open"] == "2024-12-02T09:30:00-05:00"


def test_round_the_clock_days_have_a_beginning_and_an_end() -> None:
    around = SessionCalendar("24/7", daily=False)
    assert around.days(date(2024, 1, 6), date(2024, 1, 6)) == [
        {
            "date": "2024-01-06",
            "open": "00:00",
            "close": "23:59",
            "session_open": "0400",
            "session_close": "2000",
        }
    ]
    assert around.clock(datetime(2024, 1, 6, 3, tzinfo=UTC))["is_open"] is True


def test_before_the_calendar_begins_weekdays_count() -> None:
    days = SessionCalendar("XNYS", daily=False).days(date(1890, 1, 1), date(1890, 1, 7))
    assert [day["date"][-2:] for day in days] == ["01", "02", "03", "06", "07"]
