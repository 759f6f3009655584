"""The market's clock and calendar, as of the venue's time.

Times of the clock carry New York's offset, days of the calendar have New York's opening and closing times as
Alpaca writes them, "09:30". A replay of daily bars stands at the close of a session until the next bar comes,
and orders sent meanwhile work in that next session: so `is_open` is true then, or no client that looks at it
would ever trade.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from simulator.bars.arrays import DAY, MINUTE, Ints
from simulator.bars.clock import ALWAYS, calendar_sessions, session_times

__all__ = ["SessionCalendar", "nanoseconds"]

_NEW_YORK: Final = ZoneInfo("America/New_York")
_AHEAD: Final = 21  # days within which there are two sessions, whatever the holidays
_EPOCH: Final = date(1970, 1, 1)
_WEEKDAYS: Final = 5


class SessionCalendar:
    """Sessions of one exchange calendar.

    Parameters
    ----------
    calendar
        As `Bars.calendar`.
    daily
        Whether the market is moved by daily bars.
    """

    def __init__(self, calendar: str, *, daily: bool) -> None:
        self.calendar = calendar
        self.daily = daily
        self._zone: tzinfo = UTC if calendar == ALWAYS else _NEW_YORK

    def clock(self, now: datetime) -> dict[str, Any]:
        """Return whether the market is open at `now` (aware), and when it next opens and closes."""
        day = (now.astimezone(self._zone).date() - _EPOCH).days
        opens, closes = session_times(self.calendar, self._sessions(day - 1, day + _AHEAD))
        ts = nanoseconds(now)
        is_open = self.daily or bool(((opens <= ts) & (ts < closes)).any())
        next_open, next_close = opens[opens > ts], closes[closes > ts]
        if self.daily and next_close.size:
            # the session that the next bar is of counts as begun
            next_open = next_open[next_open > next_close[0]]
        return {
            "timestamp": self._local(ts).isoformat(),
            "is_open": is_open,
            "next_open": self._local(int(next_open[0])).isoformat(),
            "next_close": self._local(int(next_close[0])).isoformat(),
        }

    def days(self, first: date, last: date) -> list[dict[str, str]]:
        """Return the sessions from `first` to `last`, both included."""
        sessions = self._sessions((first - _EPOCH).days, (last - _EPOCH).days)
        opens, closes = session_times(self.calendar, sessions)
        return [
            {
                "date": (_EPOCH + timedelta(days=int(day))).isoformat(),
                "open": f"{self._local(int(begin)):%H:%M}",
                # round the clock a session ends when the next one begins, which would read as its own start
                "close": f"{self._local(int(end) - (MINUTE if end - begin >= DAY else 0)):%H:%M}",
                "session_open": "0400",
                "session_close": "2000",
            }
            for day, begin, end in zip(sessions, opens, closes, strict=True)
        ]

    def hours(self, session: int) -> tuple[int, int]:
        """Return when a session (days since 1970) opens and closes, in nanoseconds."""
        opens, closes = session_times(self.calendar, np.array([session], np.int64))
        return int(opens[0]), int(closes[0])

    def _local(self, ts: int) -> datetime:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts // 1_000)).astimezone(self._zone)

    def _sessions(self, first: int, last: int) -> Ints:
        known = calendar_sessions(self.calendar, first, last)
        if known.size:
            return known
        # before the calendar's beginning: the weekdays, which is what daily bars of then have
        days = np.arange(first, last + 1, dtype=np.int64)
        return days[(days + 3) % 7 < _WEEKDAYS]


def nanoseconds(time: datetime) -> int:
    """Return an aware time in nanoseconds since 1970 in UTC."""
    since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
