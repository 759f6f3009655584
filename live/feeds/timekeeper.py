"""What time it is, for somebody who does not trust the clock.

A wall clock is moved: by a time server, by a person, by a virtual machine that woke up. A steady clock (one
that counts suspended time too, where the machine has it) shows by how much. After a jump nobody knows which
time was right, so there are two: `early`, by which it is decided that a bar is complete, and `late`, by which
it is decided that a bar is too old to enter on. Both errors then cost a delay, never a bar that was not over.
The doubt ends when the clock comes back, or when the market shows a price from the other of both times.

A price from after the late time may be a wrong stamp as well as a slow clock. One alone says nothing; several
in a row make their time one more that it may be, and the clock's stays one until they have gone on for a
while. Prices of the clock's own time end that.
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
AGREEING: Final = 3
"""Prices in a row that are believed where one alone is not."""
NEAR: Final = 60 * SECOND
"""By how much a market that trades is behind a clock that is right."""
PROVEN_SECONDS: Final = 60.0
"""How long the market stays ahead of every clock before it alone is believed."""


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
    behind
        By how much the prices that are shown are late, nanoseconds.
    """

    def __init__(
        self,
        clock: Clock,
        steady: Callable[[], float] = steady_clock,
        tell: Callable[[str], None] = lambda text: None,
        behind: int = 0,
    ) -> None:
        self._clock, self._steady, self._tell, self._near = clock, steady, tell, NEAR + behind
        self._guard = threading.Lock()
        self._seen = self._home = self._offset()
        self._believed = [self._seen]  # offsets from steady to wall time, one of which is right
        self._market: int | None = None  # one more, that no clock has shown
        self._market_since = 0.0
        self._ahead: list[int] = []  # what prices in a row have said that were ahead of the early time
        self._against = 0  # prices in a row that were not, while the market's time was believed
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
        """Take note of a price that is said to be from `ts`, so that it should not be earlier than that."""
        self._bounds()
        with self._guard:
            said = self._weigh(ts - self._since())
        if said:
            self._jumped(said)

    def _weigh(self, offset: int) -> str:
        """Take a price's offset into account; returns what is to be told of it."""
        low = min(self._believed)
        if offset <= low + TOLERANCE:
            if offset >= low - self._near:
                self._ahead.clear()
                self._against += 1
                if self._against >= AGREEING:
                    self._market = None
            return ""
        self._against = 0
        # a clock that shows this very time is the second witness
        if not any(one - self._near <= offset <= one + TOLERANCE for one in self._believed if one != low):
            self._ahead.append(offset)
            if len(self._ahead) < AGREEING:
                return ""
            offset = min(self._ahead)
        self._ahead.clear()
        left = [one for one in self._believed if one + TOLERANCE >= offset]
        if left:
            self._believed, self._market = left, None
        elif self._market is None or offset < self._market - self._near:
            self._market, self._market_since = offset, self._steady()
            return "the market's prices are ahead of the clock"
        else:
            self._market = max(self._market, offset)
            if self._steady() - self._market_since < PROVEN_SECONDS:
                return ""
            self._believed, self._market = [self._market], None
        if self._home not in self._believed:
            self._home = min(self._believed)
        return "" if left else "the clock is behind the market's prices"

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
                if self._market is not None:
                    self._market += moved
            elif abs(offset - self._home) <= TOLERANCE:
                self._home = offset
                self._believed = [offset]
            else:
                self._believed.append(offset)
                jumped = True
            known = self._believed if self._market is None else [*self._believed, self._market]
            bounds = min(known), max(known)
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
