"""Pauses between attempts: each about twice the last, none longer than a limit, no two alike.

Without the jitter everybody who was refused at the same time comes back at the same time.

>>> pauses = Backoff(first=2.0, longest=60.0, random=lambda: 0.5)
>>> [pauses.next() for _ in range(7)]
[2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Growing pauses.

    Parameters
    ----------
    first, longest
        Seconds, before jitter; jitter makes a pause half as long to half as long again.
    random
        Returns a number from 0 to 1.
    """

    def __init__(
        self, *, first: float = 2.0, longest: float = 120.0, random: Callable[[], float] = _random.random
    ) -> None:
        self.first, self.longest = first, longest
        self._random = random
        self.attempts = 0

    def next(self) -> float:
        """Return the seconds to wait now."""
        # the exponent is bounded so that a failure of weeks stays a number
        pause = min(self.first * 2.0 ** min(self.attempts, 32), self.longest)
        self.attempts += 1
        return pause * (0.5 + self._random())

    def reset(self) -> None:
        """Begin anew after a success."""
        self.attempts = 0
