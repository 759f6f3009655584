"""How old the news of the market are: the last bar against the time at which the next should have ended.

A bar that came when the next one had already ended is history: a replay of stored days, or a session that
catches up. Its age says nothing of the feed, only when it came does. Otherwise the feed is late as soon as
the next bar is overdue by the exchange's calendar, nights, weekends and holidays left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Feed", "feed_of", "since", "span"]

LEAST_GRACE: Final = 30.0
"""Seconds that a bar may take from its end to here, at least."""
GRACE_SHARE: Final = 0.1
"""Of a bar's length: feeds of longer bars take longer."""
_UNITS: Final = (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The feed of a session.

    Attributes
    ----------
    every
        How long a bar is, in words.
    ended
        When the last one ended, UTC nanoseconds.
    came
        When it was first seen in the journal, aware; None: not known.
    due
        When the next should have ended, UTC nanoseconds.
    state
        "current", "late", "past" where it was over when it came, or "silent" where the next has not come and
        nobody knows whether it was over.
    late
        Seconds since the next was due; 0 unless late.
    quotes
        How many options it quotes; None where options are not part of it.
    """

    every: str
    ended: int
    came: datetime | None
    due: int
    state: Literal["current", "late", "past", "silent"]
    late: float
    quotes: int | None


def feed_of(bar: Bars, came: datetime | None, now: datetime) -> Feed:
    """Judge a bar, one row, by the time of now.

    Raises
    ------
    DataError
        Where the calendar does not reach so far.
    """
    from live.following.lateness import next_end

    ended, due = int(bar.close_ts[-1]), next_end(bar)
    length = (ended - int(bar.open_ts[-1])) / 1e9
    grace = max(LEAST_GRACE, GRACE_SHARE * length)
    over = came is not None and came.timestamp() >= due / 1e9 + grace
    late = now.timestamp() - due / 1e9
    overdue = late > grace and not over
    options = bar.options
    return Feed(
        every="a day" if bar.daily else _length(length),
        ended=ended,
        came=came,
        due=due,
        state="past" if over else "current" if not overdue else "late" if came is not None else "silent",
        late=max(0.0, late) if overdue else 0.0,
        quotes=None if options is None or options.grade != "quoted" else len(options.quotes),
    )


def _length(seconds: float) -> str:
    """Return the length of a bar in the largest unit of which it is whole: an hour and a half is no two."""
    whole = round(seconds)
    unit, length = next((one for one in _UNITS if whole and whole % one[1] == 0), ("second", 1.0))
    count = round(whole / length)
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """Return a time in the largest unit that fits, in words."""
    for unit, length in _UNITS:
        if seconds >= length:
            count = round(seconds / length)
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    if seconds < 1.0:
        return "a moment"
    return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"


def since(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, in words."""
    return span(max(timedelta(0), now - moment).total_seconds())
