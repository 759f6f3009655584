"""When an exchange's sessions open and close.

A session is a date, counted in days since 1970-01-01; an instant is a UTC nanosecond. New York (`XNYS`, the
default) and round-the-clock markets (`24/7`) are computed here, because importing exchange_calendars costs
about half a second; every other calendar, and the list of holidays, comes from that package when it is
needed. New York's regular session is 09:30 to 16:00 local time; the half days that end at 13:00 follow the
exchange's rules since 1993 and agree with exchange_calendars on every session from 1993 to 2027 (tested).
Earlier half days count as full.

A date that is no session of the calendar (a bar on a Saturday) gets the hours a session would have had.

>>> import numpy as np
>>> opens, closes = session_times("XNYS", np.array([18264]))  # 2020-01-03
>>> str(np.datetime64(int(closes[0]), "ns"))
'2020-01-03T21:00:00.000000000'
"""

from __future__ import annotations

import calendar as months
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from simulator.bars.arrays import DAY, HOUR, MINUTE, SECOND, Ints
from simulator.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALWAYS",
    "NEW_YORK",
    "calendar_sessions",
    "check_calendar",
    "check_reach",
    "local_days",
    "session_of",
    "session_times",
    "sessions_per_year",
]

NEW_YORK: Final = "XNYS"
ALWAYS: Final = "24/7"
_ALIASES: Final = {"NYSE": NEW_YORK, "NASDAQ": NEW_YORK, "XNAS": NEW_YORK, "US": NEW_YORK, "crypto": ALWAYS}
_NEW_YORK_ZONE: Final = "America/New_York"
_LONGEST_CLOSURE: Final = 14  # days without a session that are still a holiday
# Half days outside the rules, by announcement of the exchange.
_EXTRA_HALF_DAYS: Final = frozenset({date(1997, 12, 26), date(1999, 12, 31), date(2003, 12, 26)})


def check_calendar(name: str) -> str:
    """Return the calendar's canonical name; `DataError` DATA_CALENDAR with a near-miss for an unknown one."""
    name = _ALIASES.get(name, name)
    if name in (NEW_YORK, ALWAYS):
        return name
    import exchange_calendars

    known = exchange_calendars.get_calendar_names(include_aliases=True)
    if name not in known:
        near = did_you_mean(str(name), known)
        hint = (
            near
            if near.startswith(" Did")
            else " Names are ISO 10383 codes such as XNYS, XLON, XTKS, or 24/7."
        )
        raise DataError(f"calendar {name!r} is not an exchange calendar.{hint}", code="DATA_CALENDAR")
    return str(exchange_calendars.resolve_alias(name))


def session_times(calendar: str, sessions: Ints) -> tuple[Ints, Ints]:
    """Return the opening and closing instants (UTC ns) of each session date."""
    days = np.asarray(sessions, np.int64)
    if calendar == ALWAYS:
        return days * DAY, (days + 1) * DAY
    if not days.size:
        return days.copy(), days.copy()
    if calendar == NEW_YORK:
        return _by_year(days)
    return _from_schedule(calendar, days)


def session_of(calendar: str, ts: Ints) -> Ints:
    """Return the session date that each instant (UTC ns) belongs to.

    In New York and around the clock that is the local date; elsewhere an instant after a session's close
    belongs to the next session, which is how overnight futures sessions count.
    """
    instants = np.asarray(ts, np.int64)
    if calendar == ALWAYS or not instants.size:
        return instants // DAY
    if calendar == NEW_YORK:
        return local_days(_NEW_YORK_ZONE, instants)
    days = instants // DAY
    known = calendar_sessions(calendar, int(days.min()) - 7, int(days.max()) + 14)
    check_reach(calendar, known, int(days.min()), int(days.max()))
    _, closes = session_times(calendar, known)
    return known[np.minimum(np.searchsorted(closes, instants, side="right"), known.size - 1)]


def local_days(zone: str, ts: Ints) -> Ints:
    """Return the local date of each instant, in days since 1970-01-01."""
    instants = np.asarray(ts, np.int64)
    days = instants // DAY
    # One offset per UTC hour would be exact; sessions never touch the hour in which clocks change, so
    # the offset at the UTC day's start and end are compared and only the days of a change looked at closer.
    first = days.min() if days.size else 0
    table = _offsets(zone, int(first), int(days.max()) + 1 if days.size else 0)
    before, after = table[days - first], table[days - first + 1]
    local = (instants + before) // DAY
    for index in np.flatnonzero(before != after):
        local[index] = (int(instants[index]) + _offset(ZoneInfo(zone), int(instants[index]))) // DAY
    return local


def calendar_sessions(calendar: str, first: int, last: int) -> Ints:
    """Return the calendar's session dates from `first` to `last`, both included."""
    if calendar == ALWAYS:
        return np.arange(first, last + 1, dtype=np.int64)
    sessions = _exchange(calendar, _decade(first), _decade(last) + 10).sessions
    days = sessions.as_unit("ns").asi8 // DAY
    return np.asarray(days[(days >= first) & (days <= last)], np.int64)


def check_reach(calendar: str, known: Ints, first: int, last: int) -> None:
    """Raise `DataError` DATA_CALENDAR where days from `first` to `last` lie outside the known sessions."""
    if not known.size or last > known[-1] + _LONGEST_CLOSURE or first < known[0] - _LONGEST_CLOSURE:
        days = np.array([first, last, *known[[0, -1]]] if known.size else [first, last]).astype(
            "datetime64[D]"
        )
        reach = f"only {days[2]} to {days[3]}" if known.size else "none of them"
        raise DataError(
            f"bars run from {days[0]} to {days[1]}, of which the calendar {calendar} knows {reach}; "
            f'give another calendar, for example "24/7"',
            code="DATA_CALENDAR",
        )


def sessions_per_year(calendar: str) -> float:
    """Return the usual number of sessions in a year: 252 in New York, 365 around the clock."""
    if calendar == NEW_YORK:
        return 252.0
    if calendar == ALWAYS:
        return 365.0
    first, last = _day(date(2010, 1, 1)), _day(date(2019, 12, 31))
    return round(calendar_sessions(calendar, first, last).size / 10, 1)


def _by_year(days: Ints) -> tuple[Ints, Ints]:
    opens, closes = np.empty_like(days), np.empty_like(days)
    years = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    for year in np.unique(years):
        chosen = years == year
        start, table = _new_york_year(int(year))
        opens[chosen], closes[chosen] = table[:, days[chosen] - start]
    return opens, closes


@lru_cache(maxsize=512)
def _new_york_year(year: int) -> tuple[int, Ints]:
    """Return the year's first day and the (2, 366) opening and closing instants of all its days."""
    start = _day(date(year, 1, 1))
    days = np.arange(start, start + 366, dtype=np.int64)
    # New York's clocks change at night, so the offset at noon UTC holds for the whole session.
    offset = _offsets(_NEW_YORK_ZONE, start, start + 366, at=12 * HOUR)[:-1]
    close_hour = np.full(days.size, 16 * HOUR)
    for half in _half_days(year):
        close_hour[_day(half) - start] = 13 * HOUR
    table = np.stack([days * DAY + 9 * HOUR + 30 * MINUTE, days * DAY + close_hour]) - offset
    table.flags.writeable = False
    return start, table


def _half_days(year: int) -> list[date]:
    """Return the sessions that end at 13:00: New York Stock Exchange, rules of 1993 and after."""
    if year < 1993:
        return []
    thursdays = [week[months.THURSDAY] for week in months.monthcalendar(year, 11) if week[months.THURSDAY]]
    found = [date(year, 11, thursdays[3] + 1)]
    if date(year, 12, 24).weekday() < months.FRIDAY and year > 1993:
        found.append(date(year, 12, 24))
    if year >= 1995:
        eve = date(year, 7, 3).weekday()
        if eve in (months.MONDAY, months.TUESDAY, months.THURSDAY) or (
            eve == months.WEDNESDAY and year >= 2013
        ):
            found.append(date(year, 7, 3))
        elif eve == months.WEDNESDAY:
            found.append(date(year, 7, 5))
    return found + [day for day in _EXTRA_HALF_DAYS if day.year == year]


def _from_schedule(calendar: str, days: Ints) -> tuple[Ints, Ints]:
    import pandas as pd

    source = _exchange(calendar, _decade(int(days.min())), _decade(int(days.max())) + 10)
    schedule: pd.DataFrame = source.schedule
    known = pd.DatetimeIndex(schedule.index).as_unit("ns").asi8 // DAY
    opens = pd.DatetimeIndex(schedule["open"]).as_unit("ns").asi8
    closes = pd.DatetimeIndex(schedule["close"]).as_unit("ns").asi8
    at = np.minimum(np.searchsorted(known, days), known.size - 1)
    # A date without a session takes the hours of the next session, moved to that date.
    shift = (days - known[at]) * DAY
    return opens[at] + shift, closes[at] + shift


@lru_cache(maxsize=16)
def _exchange(calendar: str, first_year: int, end_year: int) -> Any:
    import exchange_calendars

    # The package publishes about a year ahead, and some calendars start late: no more is asked for.
    usual = exchange_calendars.get_calendar(calendar)
    earliest = usual.bound_min()
    end = min(date(end_year, 1, 1), usual.last_session.date())
    start = min(date(first_year, 1, 1), end.replace(day=1, month=1, year=end.year - 1))
    if earliest is not None:
        start = max(start, earliest.date())
    return exchange_calendars.get_calendar(calendar, start=str(start), end=str(end))


@lru_cache(maxsize=256)
def _offsets(zone: str, first: int, last: int, at: int = 0) -> Ints:
    """Return the zone's UTC offset (ns) on the days `first` to `last`, at `at` after midnight UTC."""
    tz = ZoneInfo(zone)
    return np.array([_offset(tz, day * DAY + at) for day in range(first, last + 1)], np.int64)


def _offset(tz: ZoneInfo, ts: int) -> int:
    shift = datetime.fromtimestamp(ts // SECOND, UTC).astimezone(tz).utcoffset()
    return int(shift.total_seconds()) * SECOND if shift else 0


def _decade(day: int) -> int:
    return (date(1970, 1, 1) + timedelta(days=day)).year // 10 * 10


def _day(value: date) -> int:
    return value.toordinal() - date(1970, 1, 1).toordinal()
