"""Stored bars, played as if they happened now, at any speed.

>>> feed = ReplayFeed("synthetic:2x30?seed=1", end="2024-12-02")
>>> sum(len(bars) for bars in feed.bars(after=None, rows=4))
10
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.bars import load_bars
from simulator.errors import ConfigError
from simulator.setup import check_bars

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["ReplayFeed"]

_LOOK_SECONDS: Final = 0.05  # between looks at whether the run was stopped


class ReplayFeed:
    """A feed of stored bars.

    Parameters
    ----------
    source
        Bars, or the name of a source for `load_bars`.
    speed
        Bars per second; None is as fast as they are taken.
    start, end
        First and last session, as dates; both included.
    sleep, monotonic
        Wait, and measure waiting; those of the system by default.

    Raises
    ------
    ConfigError
        LIVE_SPEED for a speed that is not above 0, LIVE_RANGE where no bar is left.
    """

    live: Final = False

    def __init__(
        self,
        source: Bars | str,
        *,
        speed: float | None = None,
        start: str | date | None = None,
        end: str | date | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if speed is not None and not 0 < speed < float("inf"):
            raise ConfigError(f"speed is {speed!r}; it is bars per second, above 0", code="LIVE_SPEED")
        self.speed = speed
        self._sleep, self._monotonic = sleep, monotonic
        whole = load_bars(source) if isinstance(source, str) else check_bars(source)
        first = 0 if start is None else int(np.searchsorted(whole.session, _day(start, "start")))
        last = len(whole) if end is None else int(np.searchsorted(whole.session, _day(end, "end"), "right"))
        if first >= last:
            raise ConfigError(
                f"no bar of {whole!r} lies between {start or 'its start'} and {end or 'its end'}",
                code="LIVE_RANGE",
            )
        self._bars = whole[first:last]

    @property
    def like(self) -> Bars:
        """The bars that are played."""
        return self._bars

    def bars(
        self, *, after: int | None, rows: int = 1, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Bars]:
        """Yield the bars later than `after`, at most `rows` at once, at the feed's speed."""
        bars = self._bars
        at = 0 if after is None else int(np.searchsorted(bars.ts, after, side="right"))
        begin, played = self._monotonic(), 0
        while at < len(bars) and not stopped():
            part = bars[at : at + rows]
            yield part
            at += len(part)
            played += len(part)
            if self.speed is not None:
                self._wait(begin + played / self.speed, stopped)

    def _wait(self, until: float, stopped: Callable[[], bool]) -> None:
        while not stopped() and (left := until - self._monotonic()) > 0:
            self._sleep(min(left, _LOOK_SECONDS))


def _day(given: str | date, name: str) -> int:
    if isinstance(given, datetime):
        given = given.date()
    try:
        return int(np.datetime64(given, "D").astype(np.int64))
    except ValueError as error:
        raise ConfigError(f"{name} is {given!r}; write a date as 2024-01-31", code="LIVE_RANGE") from error
