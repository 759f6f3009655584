"""A stream of alpaca-py, run so that it can be trusted: it ends when told to, and is not mute for long.

The library's stream connects again by itself after an error. It does not notice a connection that is open and
silent (alpaca-py #740); here one that says nothing for `silence` seconds, while something ought to be said,
is ended, and the library opens another. Whoever listens hears of each connection and of each end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ["StreamRunner"]

LOOK_SECONDS: Final = 0.1
STOP_SECONDS: Final = 5.0
_OPEN_SECONDS: Final = 10.0
_PING_SECONDS: Final = 10.0

# what its loggers say, a traceback with each attempt, is for programs that ask for it: `StreamRunner.problem`
# has it in a word, and the feed says what is missing
logging.getLogger("alpaca").addHandler(logging.NullHandler())

_quiet = logging.getLogger("twinstep.alpaca.wire")
_quiet.setLevel(logging.WARNING)  # at DEBUG the socket would write down the message with the secret in it


class StreamRunner:
    """One stream in a thread of its own.

    Parameters
    ----------
    make
        Makes the library's stream of the class that it is given, with the arguments that it is given.
    kind
        Class of the library.
    connected
        Told of a connection that stands (True), and of one that has ended.
    due
        Whether something ought to be said now; a silent night is no fault.
    silence
        Seconds without a message, while something is due, after which a connection is ended.
    pause
        Seconds before a second attempt to connect; longer each time.

    Attributes
    ----------
    connections, silences : int
        Connections that stood, and those that were ended because they said nothing.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        kind: type[Any],
        *,
        name: str,
        connected: Callable[[bool], object],
        due: Callable[[], bool],
        silence: float,
        pause: float = 1.0,
    ) -> None:
        self._make, self._kind, self._name = make, kind, name
        self._connected, self._due, self._silence, self._pause = connected, due, silence, pause
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._heard = 0.0
        self._stands = False
        self.connections = self.silences = 0
        self.problem = ""

    def start(self) -> None:
        """Begin, once."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the stream and its thread."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_SECONDS)

    def heard(self) -> None:
        """Take in that something was said."""
        self._heard = time.monotonic()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._converse())
            except Exception as error:  # whatever it was, the bars come from the other service
                self.problem = type(error).__name__
            self._say(stands=False)
            self._stopping.wait(self._pause)

    async def _converse(self) -> None:
        stream = self._stream()
        work = asyncio.ensure_future(stream._run_forever())
        try:
            while not self._stopping.is_set() and not work.done():
                await asyncio.sleep(LOOK_SECONDS)
                if self._stands and self._due() and time.monotonic() - self._heard > self._silence:
                    self.silences += 1
                    self.heard()
                    await stream.close()
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work
            with contextlib.suppress(Exception):
                await stream.close()

    def _stream(self) -> Any:
        runner = self

        class Told(self._kind):  # type: ignore[misc, name-defined]
            """Says when it is connected and when no longer."""

            async def _start_ws(self) -> None:
                await asyncio.wait_for(super()._start_ws(), _OPEN_SECONDS)
                runner.heard()
                runner._say(stands=True)

            async def close(self) -> None:
                runner._say(stands=False)
                await super().close()

        params = {
            "ping_interval": _PING_SECONDS, "ping_timeout": 2 * _PING_SECONDS, "close_timeout": 1.0,
            "max_queue": 1024, "logger": _quiet,
        }  # fmt: skip
        stream = self._make(Told, websocket_params=params)
        stream._reconnect_min_backoff = self._pause
        return stream

    def _say(self, *, stands: bool) -> None:
        if stands != self._stands:
            self._stands = stands
            self.connections += stands
            self._connected(stands)
