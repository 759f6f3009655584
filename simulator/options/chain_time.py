"""Times as callers write them: UTC nanoseconds, aware datetimes, dates, and texts of either.

A date is a session and means all of it; a time is an instant. A time of day without a zone is an error,
because the same text means another instant in New York and in UTC. Whole numbers are nanoseconds where an
instant is asked for, and days since 1970-01-01 where a session is.
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from simulator.bars.clock import session_times
from simulator.errors import DataError

__all__ = ["Instant", "given_time", "instant_of", "session_number"]

Instant = int | str | dt.date | dt.datetime


def session_number(value: Instant) -> int:
    """Return a date in days since 1970-01-01; `DataError` DATA_TIME where it is none."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    try:
        text = value.isoformat()[:10] if isinstance(value, dt.date) else str(value)
        return dt.date.fromisoformat(text).toordinal() - dt.date(1970, 1, 1).toordinal()
    except ValueError:
        raise DataError(f"{value!r} is no date; write 2020-01-31", code="DATA_TIME") from None


def instant_of(value: Instant) -> int | None:
    """Return UTC nanoseconds, or None for a date without a time of day."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, str):
        if len(value) <= len("2020-01-02"):
            return None
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise DataError(
                f"{value!r} is no time; write 2020-01-31T15:45:00-05:00", code="DATA_TIME"
            ) from None
    if not isinstance(value, dt.datetime):
        return None
    if value.tzinfo is None:
        raise DataError(f"{value} has no time zone; localise it, or give a date", code="DATA_NAIVE")
    nanosecond = getattr(value, "nanosecond", 0)
    since = value.astimezone(dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000 + int(nanosecond)


def given_time(time: Instant, calendar: str) -> int:
    """Return UTC nanoseconds; a date without a time of day means the session's close."""
    instant = instant_of(time)
    if instant is not None:
        return instant
    return int(session_times(calendar, np.array([session_number(time)]))[1][0])
