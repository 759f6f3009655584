"""Messages per second: what the gateway allows, with a share that only cancels and protective orders may use.

A gateway takes 50 messages a second; a client that sends more gets error 100, and after three of those is cut
off. ib_async keeps what is too much waiting in one queue, where a cancel stands behind whatever came before.
So questions are held back here a little earlier, and the queue stays empty for what is urgent.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Pace"]

RESERVE: Final = 0.2
"""Share of the messages of a second that only what is urgent may use."""


class Pace:
    """A budget of messages.

    Parameters
    ----------
    per_second
        0 for no limit.
    clock
        Seconds that only rise.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._usual = max(1, int(per_second * (1.0 - RESERVE)))
        self._clock = clock
        self._sent: deque[float] = deque()

    def take(self, *, urgent: bool, messages: int = 4) -> float:
        """Count a call of so many messages; returns the seconds to wait before it, 0 for what is urgent."""
        if not self.per_second:
            return 0.0
        now = self._clock()
        while self._sent and now - self._sent[0] >= 1.0:
            self._sent.popleft()
        over = len(self._sent) + messages - self._usual
        wait = 0.0
        if over > 0 and not urgent:
            wait = max(0.0, self._sent[min(over, len(self._sent)) - 1] + 1.0 - now) if self._sent else 0.0
        self._sent.extend([now + wait] * messages)
        return wait
