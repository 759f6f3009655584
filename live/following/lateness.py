"""When a bar's decisions are over: at the end of the next bar, whose price they were meant for.

A session that was down, or a feed that stood still, comes back with bars that are over already. The plan
steps them all the same; at the broker nothing is entered that they have decided.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from live.exchange.calendar import SessionCalendar, nanoseconds
from simulator.bars.clock import calendar_sessions

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["is_over", "next_end"]

_AHEAD: Final = 21
"""Days within which there is another session, whatever the holidays."""


def is_over(bar: Bars, now: datetime) -> bool:
    """Whether the bar after the last row of `bar` has ended by `now`, aware."""
    return len(bar) > 0 and nanoseconds(now) >= next_end(bar)


def next_end(bar: Bars) -> int:
    """Return when the bar after the last row of `bar` ends, UTC nanoseconds."""
    begin, end, session = int(bar.open_ts[-1]), int(bar.close_ts[-1]), int(bar.session[-1])
    hours = SessionCalendar(bar.calendar, daily=bar.daily)
    if not bar.daily and end < hours.hours(session)[1]:
        return end + (end - begin)
    ahead = calendar_sessions(bar.calendar, session + 1, session + _AHEAD)
    opens, closes = hours.hours(int(ahead[0]) if ahead.size else session + 1)
    return closes if bar.daily else opens + (end - begin)
