"""What time it is, for somebody who does not trust the clock.

A wall clock is moved: by a time server, by a person, by a virtual machine that woke up. A steady clock (one
that counts suspended time too, where the machine has it) shows by how much. After a jump nobody knows which
time was right, so there are two: `early`, by which it is decided that a bar is complete, and `late`, by which
it is decided that a bar is too old to enter on. Both errors then cost a delay, never a bar that was not over.
The doubt ends when the clock comes back, or when the market shows a price from after the early time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulator.bars.arrays import SECOND

if TYPE_CHECKING:
    from live.clock import Clock

__all__ = ["Timekeeper", "steady_clock"]

TOLERANCE: Final = 5 * SECOND
"""Differences up to this are a clock being adjusted, not moved."""


def steady_clock() -> float:
    """Return seconds that nobody can set; suspended time is counted where the system can."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Timekeeper:
    """Two readings of the time, in UTC nanoseconds.

    Parameters
    ----------
    clock
        The wall clock, aware.
    steady
        Seconds from anywhere, that only grow.
    tell
        Called with words when a jump was noticed.
    """

    def __init__(
        self,
        clock: Clock,
        steady: Callable[[], float] = steady_clock,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._clock, self._steady, self._tell = clock, steady, tell
        self._guard = threading.Lock()
        self._seen = self._home = self._offset()
        self._believed = [self._seen]  # offsets from steady to wall time, one of which is right
        self.jumps = 0

    @property
    def doubtful(self) -> bool:
        """Whether the clock was moved and nothing has shown yet which time is right."""
        low, high = self._bounds()
        return high - low > TOLERANCE

    @property
    def early(self) -> int:
        """The earliest time that it may be."""
        return self._bounds()[0] + self._since()

    @property
    def late(self) -> int:
        """The latest time that it may be."""
        return self._bounds()[1] + self._since()

    def shown(self, ts: int) -> None:
        """Take note that something has happened at `ts`, so that it is not earlier than that."""
        self._bounds()
        with self._guard:
            offset = ts - self._since()
            left = [one for one in self._believed if one + TOLERANCE >= offset]
            ahead = not left  # the market is ahead of every clock that was believed
            self._believed = left or [offset]
            if self._home not in self._believed:
                self._home = min(self._believed)
        if ahead:
            self._jumped("the clock is behind the market's prices")

    def _bounds(self) -> tuple[int, int]:
        """Look at the clocks; returns the offsets of the earliest and the latest time."""
        with self._guard:
            offset = self._offset()
            moved = offset - self._seen
            self._seen = offset
            jumped = False
            if abs(moved) <= TOLERANCE:
                self._believed = [one + moved for one in self._believed]
                self._home += moved
            elif abs(offset - self._home) <= TOLERANCE:
                self._home = offset
                self._believed = [offset]
            else:
                self._believed.append(offset)
                jumped = True
            bounds = min(self._believed), max(self._believed)
        if jumped:
            self._jumped(f"the clock was moved by {moved / SECOND:+.0f} seconds")
        return bounds

    def _jumped(self, text: str) -> None:
        self.jumps += 1
        self._tell(text)

    def _since(self) -> int:
        return int(self._steady() * SECOND)

    def _offset(self) -> int:
        now = self._clock()
        whole = int(now.timestamp()) if not now.microsecond else int(now.replace(microsecond=0).timestamp())
        return whole * SECOND + now.microsecond * 1_000 - self._since()
