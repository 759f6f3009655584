"""The time that passes while a request waits for a person: only while the market trades, or in working hours.

A clock is a list of spans of UTC nanoseconds in which it runs; between them it stands still. So "two hours"
asked at Friday's close end on Monday two hours after the open. It knows nothing of prices, and of bars only
the spans of those that are there: what would end after the last of them has not happened yet.

>>> import numpy as np
>>> clock = Clock(np.array([0, 100]), np.array([10, 110]))
>>> clock.after(np.array([10, 5]), np.array([3, 3])).tolist()
[103, 8]
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from simulator.bars.arrays import DAY, SECOND, Ints
from simulator.bars.clock import session_times
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["NEVER", "Clock", "WorkingHours", "trading_clock", "trading_day"]

NEVER: Final = np.iinfo(np.int64).max
"""An instant that the clock does not reach."""
_WEEK: Final = np.arange(-3, 4)
_MARGIN: Final = 400  # days behind the last bar that working hours reach


@dataclass(frozen=True)
class Clock:
    """A clock that runs only within its spans; `starts` and `ends` are UTC ns, shape (n,), ascending."""

    starts: Ints
    ends: Ints

    def elapsed(self, at: Ints) -> Ints:
        """Return how long the clock had run at some instants, ns."""
        span = np.searchsorted(self.starts, at, side="right") - 1
        inside = np.minimum(at, self.ends[np.maximum(span, 0)]) - self.starts[np.maximum(span, 0)]
        ran: Ints = np.where(span >= 0, self._before[np.maximum(span, 0)] + inside, 0)
        return ran

    def after(self, at: Ints, lengths: Ints) -> Ints:
        """Return the instants at which lengths (ns) that began at some instants are over, else NEVER."""
        begun = self.elapsed(at)
        lengths = np.minimum(lengths, NEVER - begun)
        goal = begun + lengths
        totals = self._before + (self.ends - self.starts)
        span = np.searchsorted(totals, goal, side="left")
        known = span < len(totals)
        place = np.minimum(span, max(len(totals) - 1, 0))
        found = self.starts[place] + (goal - self._before[place])
        return np.where(known, np.maximum(found, at), NEVER)

    @property
    def _before(self) -> Ints:
        lengths = self.ends - self.starts
        before: Ints = np.cumsum(lengths) - lengths
        return before


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """When a person answers.

    Parameters
    ----------
    start, end
        Local times of a day; the end is after the start.
    zone
        An IANA time zone.
    days
        Days of the week, Monday is 0.

    Raises
    ------
    ConfigError
        CONFIG_APPROVAL for hours that are none, or an unknown zone.
    """

    start: time
    end: time
    zone: str = "America/New_York"
    days: tuple[int, ...] = (0, 1, 2, 3, 4)

    def __post_init__(self) -> None:
        if not self.start < self.end or not self.days or not set(self.days) <= set(range(7)):
            raise ConfigError(
                f"working hours are {self.start} to {self.end} on days {self.days}; the end is after the "
                "start, and days are 0 (Monday) to 6",
                code="CONFIG_APPROVAL",
            )
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(f"working hours: no time zone {self.zone!r}", code="CONFIG_APPROVAL") from error

    @property
    def day(self) -> int:
        """Length of a working day, ns."""
        start, end = (
            timedelta(hours=at.hour, minutes=at.minute, seconds=at.second) for at in (self.start, self.end)
        )
        return round((end - start).total_seconds()) * SECOND

    def clock(self, first_ts: int, last_ts: int) -> Clock:
        """Return the clock of these hours from before one instant to long after another."""
        zone = ZoneInfo(self.zone)
        day = datetime.fromtimestamp(first_ts // SECOND, UTC).date() - timedelta(days=2)
        count = (last_ts - first_ts) // DAY + _MARGIN
        spans = []
        for _ in range(int(count)):
            if day.weekday() in self.days:
                spans.append(
                    [
                        round(datetime.combine(day, moment, zone).timestamp()) * SECOND
                        for moment in (self.start, self.end)
                    ]
                )
            day += timedelta(days=1)
        table = np.array(spans, np.int64).reshape(-1, 2)
        return Clock(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))


def trading_clock(bars: Bars) -> Clock:
    """Return the clock that runs while bars trade: from the opening of each to its close."""
    return Clock(bars.open_ts, bars.close_ts)


def trading_day(bars: Bars) -> int:
    """Return the length of a full session of the bars' calendar, ns; it depends on no price and no row."""
    if not len(bars):
        return DAY
    opens, closes = session_times(bars.calendar, bars.session[0] + _WEEK)
    return int((closes - opens).max())
