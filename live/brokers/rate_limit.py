"""A budget of requests to one broker, of which a share is kept for cancels.

A program that has used up its budget with questions cannot cancel when it has to. So the last tenth, or what
`reserve` says, is given to cancels only. Whoever comes when there is nothing left waits, those who cancel
before all others; whoever would wait too long is told so, and then nothing was sent.

The budget fills continuously, and is full at the start: a minute never sees more than twice `per_minute`, and
no minute after the first more than `per_minute` and what was saved up. Where a broker counts whole minutes,
give `burst`.

>>> limit = RateLimit(200)
>>> limit.wait("read")
>>> round(limit.left)
199
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from live.brokers.errors import RateLimited
from simulator.errors import ConfigError

__all__ = ["CallKind", "RateLimit"]

CallKind = Literal["read", "submit", "cancel"]

RESERVE: Final = 0.1
"""Share of the budget that only cancels may use."""


class RateLimit:
    """A budget that several threads share.

    Parameters
    ----------
    per_minute
        Requests that the broker allows in a minute.
    reserve
        Share that only cancels may use, from 0 to below 1; at least one request where it is above 0.
    burst
        Requests that may go at once; all of a minute by default.
    clock, sleep
        Injected for tests: seconds that only rise, and waiting.

    Raises
    ------
    ConfigError
        LIVE_PACE for a budget that leaves nothing for questions, or a reserve outside its range.
    """

    def __init__(
        self,
        per_minute: float,
        reserve: float = RESERVE,
        *,
        burst: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        most = per_minute if burst is None else burst
        kept = max(1.0, most * reserve) if reserve > 0.0 else 0.0
        if not 0.0 < per_minute < float("inf") or not 0.0 <= reserve < 1.0 or not most - kept >= 1.0:
            raise ConfigError(
                f"a budget of {per_minute:g} requests per minute, {most:g} of them at once, with a reserve "
                f"of {reserve:g} for cancels leaves {most - kept:g} for everything else; at least 1 is "
                "needed, and a reserve from 0 to below 1",
                code="LIVE_PACE",
            )
        self.per_minute = float(per_minute)
        self._most = float(most)
        self._kept = kept
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._budget = self._most
        self._counted = clock()
        self._closed_until = self._counted

    @property
    def left(self) -> float:
        """Requests that could go now if all of them were cancels; 0 while the broker has told us to wait."""
        with self._lock:
            self._fill()
            return 0.0 if self._closed_until > self._counted else max(0.0, self._budget)

    def wait(self, kind: CallKind = "read", timeout: float = 10.0) -> None:
        """Take one request, and wait for it where there is none.

        Parameters
        ----------
        kind
            "cancel" may use the reserve.
        timeout
            Seconds to wait at most; 0 takes one now or fails. Nothing is waited for that cannot come in time.

        Raises
        ------
        RateLimited
            LIVE_RATE_LIMITED, with `retry_after`: nothing was sent.
        """
        end = self._clock() + timeout
        while True:
            lacking = self._take(urgent=kind == "cancel")
            if lacking <= 0.0:
                return
            if self._clock() + lacking > end:
                raise RateLimited(
                    f"the budget of {self.per_minute:g} requests per minute is used up, and the next {kind} "
                    f"may go in {lacking:.1f} s; nothing was sent",
                    retry_after=lacking,
                )
            self._sleep(lacking)

    def penalise(self, seconds: float) -> None:
        """Let nothing go for so long, cancels neither: the broker has said so ("too many requests")."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _take(self, *, urgent: bool) -> float:
        """Take one; returns 0, or the seconds until there may be one."""
        with self._lock:
            self._fill()
            if self._closed_until > self._counted:
                return self._closed_until - self._counted
            lacking = 1.0 + (0.0 if urgent else self._kept) - self._budget
            # rounding may leave a hair, for which nobody should wait another round
            if lacking > 1e-9:
                return lacking * 60.0 / self.per_minute
            self._budget -= 1.0
            return 0.0

    def _fill(self) -> None:
        now = self._clock()
        self._budget = min(self._most, self._budget + (now - self._counted) * self.per_minute / 60.0)
        self._counted = now
