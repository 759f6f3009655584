"""What a feed has to say beside its bars, and who wants to hear it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simulator.bars.arrays import stamp

__all__ = ["EventKind", "Events", "FeedEvent"]

EventKind = Literal["stale", "fresh", "clock_jump", "retry", "reconnect", "price_band"]


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """Something that happened to a feed at `ts`, UTC nanoseconds.

    `kind` is "stale" (no data for too long), "fresh" (data again), "clock_jump", "retry" (an attempt failed
    and is made again), "reconnect" or "price_band" (a price outside the band).
    """

    kind: EventKind
    ts: int
    text: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{stamp(self.ts)} {self.kind}: {self.text}"


class Events:
    """Callbacks, called in the thread in which something happens; one that raises is counted, no more."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[FeedEvent], object]] = []
        self._guard = threading.Lock()
        self.failed = 0

    def add(self, callback: Callable[[FeedEvent], object]) -> None:
        """Have a callback told of every event from now on."""
        with self._guard:
            self._callbacks.append(callback)

    def say(self, event: FeedEvent) -> None:
        """Tell everybody."""
        with self._guard:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback(event)
            except Exception:
                # whoever listens never harms the feed; the count is in its status
                self.failed += 1
