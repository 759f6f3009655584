"""When a session is open, and when it has ended: what day orders and quotes outside of it depend on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np

from simulator.bars.clock import calendar_sessions, check_calendar, session_times

__all__ = ["Hours", "nanoseconds", "time_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REACH: Final = 21  # days within which there is a session, whatever the holidays

_Session = tuple[date, datetime, datetime]


class Hours:
    """Sessions of one calendar, looked up once each.

    Parameters
    ----------
    calendar
        As "XNYS" or "24/7". Raises `DataError` DATA_CALENDAR for an unknown one.
    """

    def __init__(self, calendar: str) -> None:
        self.calendar = check_calendar(calendar)
        self._known: tuple[_Session, _Session] | None = None

    def after(self, time: datetime) -> tuple[date, datetime, datetime]:
        """Return date, opening and close of the first session that closes after a time."""
        return self._around(time)[1]

    def ended(self, time: datetime) -> tuple[date, datetime]:
        """Return date and close of the last session that closed by a time."""
        day, _, closes = self._around(time)[0]
        return day, closes

    def is_open(self, time: datetime) -> bool:
        """Whether a session is on."""
        return self.after(time)[1] <= time

    def _around(self, time: datetime) -> tuple[_Session, _Session]:
        if self._known is None or not self._known[0][2] <= time < self._known[1][2]:
            day = (time - _EPOCH).days
            sessions = calendar_sessions(self.calendar, day - _REACH, day + _REACH)
            opens, closes = session_times(self.calendar, sessions)
            row = int(np.searchsorted(closes, nanoseconds(time), side="right"))
            before, after = (
                (
                    date(1970, 1, 1) + timedelta(days=int(sessions[one])), time_of(int(opens[one])),
                    time_of(int(closes[one])),
                )
                for one in (row - 1, row)
            )  # fmt: skip
            self._known = before, after
        return self._known


def nanoseconds(time: datetime) -> int:
    """Return an aware time as nanoseconds since 1970."""
    since = time - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def time_of(ts: int) -> datetime:
    """Return the aware time of nanoseconds since 1970."""
    return _EPOCH + timedelta(microseconds=ts // 1_000)
