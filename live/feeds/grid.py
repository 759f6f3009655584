"""The grid of bars that an exchange's calendar allows: where each opens, and when it is complete.

A live feed asks the grid, not the data, when a bar is over: a bar is complete when its closing instant has
passed, on a half day at one o'clock, in the week in which only one side of the Atlantic has changed its
clocks at the other hour. The last bar of a session ends with it, however short that makes it. Lunch breaks
of exchanges that have them hold no bars.

>>> grid = Grid("XNYS", "30m")
>>> slots = grid.between(*day_bounds("2024-07-03"))
>>> len(slots.ts), str(np.datetime64(int(slots.close[-1]), "ns"))[11:16]
(7, '17:00')
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from simulator.bars.arrays import DAY, Ints
from simulator.bars.clock import ALWAYS, NEW_YORK, calendar_sessions, check_calendar, session_times
from simulator.bars.yahoo import INTERVALS
from simulator.errors import FetchError, did_you_mean

__all__ = ["Grid", "Slots", "day_bounds"]

_BLOCK: Final = 16  # days that are worked out at once
_LONGEST: Final = 40  # blocks that are looked through for the next bar


@dataclass(frozen=True, slots=True)
class Slots:
    """Bars of the grid, one entry each: label, opening, closing (UTC ns) and session (days since 1970)."""

    ts: Ints
    open: Ints
    close: Ints
    session: Ints

    def __len__(self) -> int:
        return int(self.ts.size)

    def __getitem__(self, rows: slice | Any) -> Slots:
        return Slots(self.ts[rows], self.open[rows], self.close[rows], self.session[rows])


class Grid:
    """The bars of a calendar and an interval.

    Parameters
    ----------
    calendar
        As in `load_bars`.
    interval
        "1d", "1h", "30m", "15m", "5m" or "1m".

    Raises
    ------
    FetchError
        FETCH_INTERVAL.
    DataError
        DATA_CALENDAR.
    """

    def __init__(self, calendar: str, interval: str) -> None:
        if interval not in INTERVALS:
            raise FetchError(
                f"there are no live bars of {interval!r}.{did_you_mean(str(interval), INTERVALS)}",
                code="FETCH_INTERVAL",
            )
        self.calendar = check_calendar(calendar)
        self.interval = interval
        self.length = INTERVALS[interval]
        self.daily = interval == "1d"

    def between(self, first: int, last: int) -> Slots:
        """Return the bars that close after `first` and not after `last` (UTC ns)."""
        # a block more at both ends: a session's hours may lie on the days beside its date
        blocks = range(first // DAY // _BLOCK - 1, last // DAY // _BLOCK + 2)
        parts = [_block(self.calendar, self.interval, number) for number in blocks]
        slots = parts[0] if len(parts) == 1 else _joined(parts)
        begin, end = np.searchsorted(slots.close, [first, last], side="right")
        return slots[begin:end]

    def last(self, count: int, until: int) -> Slots:
        """Return the last `count` bars that close at or before `until`."""
        days = 7
        while True:
            slots = self.between(until - days * DAY, until)
            if len(slots) >= count or days > 366 * 60:
                return slots[max(0, len(slots) - count) :]
            days *= 2

    def following(self, instant: int) -> Slots:
        """Return the first bar that closes after an instant, as slots of one bar; of none at the end."""
        first = instant // DAY // _BLOCK - 1
        for number in range(first, first + _LONGEST):
            slots = _block(self.calendar, self.interval, number)
            at = int(np.searchsorted(slots.close, instant, side="right"))
            if at < len(slots):
                return slots[at : at + 1]
        return slots[:0]

    def at(self, instant: int) -> int | None:
        """Return the label of the bar that holds an instant, None where no bar does."""
        slots = self.following(instant)
        return int(slots.ts[0]) if len(slots) and slots.open[0] <= instant else None

    def close_of(self, ts: int) -> int:
        """Return when the bar with this label closes; where the grid has none, one length later."""
        found = self._labelled(ts)
        return int(found.close[0]) if len(found) else ts + self.length

    def session_of(self, ts: int) -> int:
        """Return the session (days since 1970) of the bar with this label; the UTC day of any other."""
        found = self._labelled(ts)
        return int(found.session[0]) if len(found) else ts // DAY

    def _labelled(self, ts: int) -> Slots:
        slots = self.between((ts // DAY - 2) * DAY, ts + 3 * DAY)
        at = int(np.searchsorted(slots.ts, ts))
        return slots[at : at + 1] if at < len(slots) and slots.ts[at] == ts else slots[:0]


def day_bounds(day: str) -> tuple[int, int]:
    """Return the first and last instant of a UTC day."""
    start = int(np.datetime64(day, "ns").astype(np.int64))
    return start, start + DAY - 1


@lru_cache(maxsize=256)
def _block(calendar: str, interval: str, number: int) -> Slots:
    days = calendar_sessions(calendar, number * _BLOCK, (number + 1) * _BLOCK - 1)
    opens, closes = session_times(calendar, days)
    if interval == "1d":
        return Slots(days * DAY, opens, closes, days)
    length = INTERVALS[interval]
    counts = -(-(closes - opens) // length)
    session = np.repeat(np.arange(days.size), counts)
    place = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = opens[session] + place * length
    slots = Slots(starts, starts, np.minimum(starts + length, closes[session]), days[session])
    return slots if calendar in (NEW_YORK, ALWAYS) else slots[~_at_lunch(calendar, slots)]


def _at_lunch(calendar: str, slots: Slots) -> Any:
    import exchange_calendars
    import pandas as pd

    schedule = exchange_calendars.get_calendar(calendar).schedule
    known = pd.DatetimeIndex(schedule.index).as_unit("ns").asi8 // DAY
    if not known.size or not slots.ts.size or schedule["break_start"].isna().all():
        return np.zeros(slots.ts.size, np.bool_)
    at = np.minimum(np.searchsorted(known, slots.session), known.size - 1)
    start, end = (
        pd.DatetimeIndex(schedule[name]).as_unit("ns").asi8[at] for name in ("break_start", "break_end")
    )
    # a missing break is NaT, and no bar closes before that
    return (known[at] == slots.session) & (slots.open >= start) & (slots.close <= end)


def _joined(parts: list[Slots]) -> Slots:
    return Slots(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("ts", "open", "close", "session")
        )
    )
