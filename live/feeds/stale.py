"""The staleness watch: a feed that says nothing for two bars of session time is not trusted.

A frozen feed looks like a quiet market, and the connection under it may be alive. So the watch does not ask
the connection: it counts the bars that the calendar says should have been complete since the newest data, and
nights, weekends, holidays and the afternoon of a half day count for nothing. It runs in a thread of its own,
because the feed's may be the one that hangs.

With a kill switch the watch reduces (entries stop, exits go on) when the feed goes stale. It never arms: that
is a person's, and a person may have halted for a reason of their own in between.

A look that fails, as on a switch that cannot be read or written, is counted and said once until one succeeds,
and the next look tries again.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final, Protocol

from simulator.errors import TwinstepWarning, warn

if TYPE_CHECKING:
    from live.kill_switch import KillSwitch

__all__ = ["STALE_BARS", "StaleWatch", "Watched"]

STALE_BARS: Final = 2
"""Bars that should have come since the newest data, after which a feed is stale."""
WATCH_SECONDS: Final = 1.0


class Watched(Protocol):
    """A feed that can be watched."""

    name: str

    def look(self) -> bool:
        """Work out whether the feed is stale, tell of a change, and return it."""
        ...


class StaleWatch:
    """A thread that looks at a feed.

    Parameters
    ----------
    feed
        What is looked at.
    kill_switch
        Reduced when the feed goes stale.
    every
        Seconds between looks.

    Attributes
    ----------
    failures
        Looks of the thread that raised.
    """

    def __init__(
        self, feed: Watched, *, kill_switch: KillSwitch | None = None, every: float = WATCH_SECONDS
    ) -> None:
        self.feed, self.kill_switch, self.every = feed, kill_switch, every
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._was = self._said = False
        self.failures = 0

    def look(self) -> bool:
        """Look once, act on a change, and return whether the feed is stale."""
        stale = self.feed.look()
        if stale and not self._was and self.kill_switch is not None and self.kill_switch.state == "ACTIVE":
            self.kill_switch.reduce(f"the feed {self.feed.name} is stale", engaged_by="the feed's watch")
        self._was = stale
        return stale

    def start(self) -> None:
        """Begin to look, or go on; once is enough."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="feed-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.wait(self.every):
            try:
                self.look()
                self._said = False
            except Exception as error:
                self.failures += 1
                self._say(error)

    def _say(self, error: Exception) -> None:
        if self._said:
            return
        self._said = True
        # where warnings are made errors the thread goes on all the same
        with contextlib.suppress(TwinstepWarning):
            warn(
                f"the watch of the feed {self.feed.name} could not look ({type(error).__name__}: {error}); "
                "it tries again, and until it succeeds nothing is reduced when the feed goes stale",
                code="FEED_WATCH",
            )
