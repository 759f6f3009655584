"""Ending a run after the bar that is being stepped, when the process is told to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heeding"]


@contextmanager
def heeding(stop: threading.Event, *, signals: bool) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C set `stop`; a second Ctrl-C interrupts as usual. In the main thread only."""
    if not signals or threading.current_thread() is not threading.main_thread():
        yield
        return

    def heed(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        stop.set()

    before = {number: signal.signal(number, heed) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
