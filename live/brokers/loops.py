"""An event loop on a thread of its own, for brokers with asynchronous libraries and callers that are not.

It starts with the first question and ends with `close`; what still runs then is cancelled. A question from
the loop's own thread would wait for itself, so it is refused.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from simulator.errors import ConfigError

__all__ = ["LoopThread"]


class LoopThread:
    """One loop.

    Parameters
    ----------
    name
        Of the thread.
    closed
        Makes the error for who asks after `close`.
    """

    def __init__(self, name: str, closed: Callable[[], Exception]) -> None:
        self._name = name
        self._closed_error = closed
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def running(self) -> asyncio.AbstractEventLoop:
        """Return the loop, started where it is not; raises what `closed` makes after `close`."""
        with self._starting:
            if self._closed:
                raise self._closed_error()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    def for_question(self, what: str) -> asyncio.AbstractEventLoop:
        """Return the loop for a question from outside.

        Raises
        ------
        ConfigError
            LIVE_INSIDE_UPDATE on the loop's own thread.
        """
        loop = self.running()
        if threading.current_thread() is self._thread:
            raise ConfigError(
                f"{what}: a broker cannot be asked from inside an update; hand it to another thread",
                code="LIVE_INSIDE_UPDATE",
            )
        return loop

    def close(self, seconds: float, last: Callable[[asyncio.AbstractEventLoop], object]) -> None:
        """End the loop and its thread, and wait `seconds` for that; safe to call twice.

        Parameters
        ----------
        last
            Told the loop, from the thread of the caller, while it still runs; has to see to it that it stops.
        """
        with self._starting:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        last(loop)
        self._thread.join(seconds)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
