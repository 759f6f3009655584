"""When the session ends that an order for the day belongs to, by the broker's own calendar.

An order that comes while the market is closed is for the next session: in the evening, over a weekend. So
whether the market is open now says nothing about an order; what counts is the first close after it was made.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from live.brokers.alpaca.line import Line, NoAnswer
from live.brokers.alpaca.readings import NEW_YORK, rows_of

__all__ = ["session_end"]

_AHEAD: Final = timedelta(days=14)
"""Within which there is another session, whatever the holidays."""


def session_end(line: Line, made: datetime) -> datetime:
    """Return the first close of a session after `made`, both aware.

    Raises
    ------
    NoAnswer
        LIVE_NO_ANSWER where the calendar does not say it.
    """
    from alpaca.trading.requests import GetCalendarRequest

    first = made.astimezone(NEW_YORK).date()
    query = GetCalendarRequest(start=first, end=first + _AHEAD)
    rows = rows_of(line.ask(lambda: line.trading.get_calendar(query), "calendar"), "calendar")
    try:
        closes = [datetime.fromisoformat(f"{row['date']}T{row['close']}") for row in rows]
    except (KeyError, ValueError):
        raise NoAnswer("calendar: a session without its close") from None
    ends = sorted(one.replace(tzinfo=NEW_YORK).astimezone(UTC) for one in closes)
    found = next((one for one in ends if one > made), None)
    if found is None:
        raise NoAnswer(f"calendar: no session within {_AHEAD.days} days of {first}")
    return found
