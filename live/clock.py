"""The time, as everything in live trading is told it.

A clock is a call that returns an aware time: `system_clock` by default, a `FakeClock` in tests and replays,
where an hour passes because somebody says so. Nothing in `live` looks at the time in another way, so that a
session of last year can be replayed today.

>>> clock = FakeClock(datetime(2024, 1, 2, 15, tzinfo=UTC))
>>> clock.advance(timedelta(minutes=5)).isoformat()
'2024-01-02T15:05:00+00:00'
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from simulator.errors import ConfigError

__all__ = ["Clock", "FakeClock", "system_clock"]

Clock = Callable[[], datetime]
"""Returns the time, aware."""


def system_clock() -> datetime:
    """Return the time of the machine, in UTC."""
    return datetime.now(UTC)


class FakeClock:
    """A clock that stands still until it is moved; safe between threads.

    Parameters
    ----------
    start
        The time it shows first, aware.

    Raises
    ------
    ConfigError
        LIVE_NAIVE_TIME for a time without a zone.
    """

    def __init__(self, start: datetime) -> None:
        self._guard = threading.Lock()
        self._now = _aware(start)

    def __call__(self) -> datetime:
        """Return the time it shows."""
        with self._guard:
            return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move by a span, which may be negative as a corrected clock is, and return the new time."""
        with self._guard:
            self._now += by
            return self._now

    def set(self, now: datetime) -> None:
        """Show this time from now on."""
        with self._guard:
            self._now = _aware(now)


def _aware(time: datetime) -> datetime:
    if time.utcoffset() is None:
        raise ConfigError(
            f"{time.isoformat()} has no zone; write datetime(..., tzinfo=UTC)", code="LIVE_NAIVE_TIME"
        )
    return time.astimezone(UTC)
