"""A stream of DXLink, run so that it can be trusted: it comes back, is not mute for long, and ends when told.

The library's streamer ends with the first error, and neither notices a connection that is open and silent nor
one whose keepalives have stopped. Here two clocks watch it: no message at all for `keepalive` seconds ends a
connection at any hour, no price for `silence` seconds ends it while prices are due. Each attempt takes a new
quote token, so one that has expired is only a broken connection; pauses between attempts grow. Subscriptions
are made anew on each connection by whoever owns the runner, who hears of each and of its end.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, Final

from live.brokers.secrets import scrub
from live.brokers.tastytrade.dxlink import Stream, cause, open_stream
from live.brokers.tastytrade.line import Line, TastytradeDown
from live.feeds.backoff import Backoff

__all__ = ["DxlinkRunner"]

LOOK_SECONDS: Final = 0.05
STOP_SECONDS: Final = 5.0
KEEPALIVE_SECONDS: Final = 75.0
"""Seconds without any message: the service has promised one a minute."""
AS_LONG_AS_IT_LASTS: Final = 1e9


class DxlinkRunner:
    """One stream in a thread of its own.

    Parameters
    ----------
    line
        The login; its thread calls `hear`.
    subscribe
        Subscribes, on each new connection.
    hear
        What is told of events, by their kind ("Quote").
    connected
        Told of a connection that stands (True), after subscribing, and of one that has ended.
    due
        Whether prices ought to come now; a silent night is no fault.
    silence
        Seconds without an event, while they are due, after which a connection is ended.
    keepalive
        Seconds without any message after which it is ended.
    backoff
        Pauses between attempts.

    Attributes
    ----------
    connections, silences : int
        Connections that stood, and those that were ended because they said nothing.
    problem : Exception or None
        Why there is no connection.
    """

    def __init__(
        self,
        line: Line,
        *,
        name: str,
        subscribe: Callable[[Stream], Awaitable[None]],
        hear: Mapping[str, Callable[[Any], object]],
        connected: Callable[[bool], object],
        due: Callable[[], bool],
        silence: float,
        keepalive: float = KEEPALIVE_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        self._line, self._name, self._subscribe, self._hear = line, name, subscribe, dict(hear)
        self._connected, self._due = connected, due
        self._silence, self._keepalive = silence, keepalive
        self._backoff = backoff or Backoff(first=1.0, longest=60.0)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._open: tuple[asyncio.AbstractEventLoop, Stream] | None = None
        self._message = self._event = 0.0
        self.connections = self.silences = 0
        self.problem: Exception | None = None
        self.level = ""
        self.is_delayed = False

    @property
    def stands(self) -> bool:
        """Whether there is a connection with all its subscriptions."""
        return self._open is not None

    @property
    def stopping(self) -> bool:
        """Whether it was told to end."""
        return self._stopping.is_set()

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

    def ask(self, work: Callable[[Stream], Awaitable[None]], *, timeout: float) -> bool:
        """Do something with the stream, from any thread but the line's; returns whether it was done."""
        with self._guard:
            now = self._open
        if now is None:
            return False
        loop, stream = now

        async def done() -> None:
            async with asyncio.timeout(timeout):
                await work(stream)

        try:
            asyncio.run_coroutine_threadsafe(done(), loop).result(timeout + 1.0)
        except Exception as error:  # whatever it was, the connection shows soon whether it lives
            self.problem = error
            return False
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait = 0.0
            try:
                self._line.call(self._converse, self._name, timeout=AS_LONG_AS_IT_LASTS)
            except Exception as error:  # whatever it was, another attempt follows
                self.problem = error
                wait = getattr(error, "retry_after", None) or 0.0
            self._over()
            if not self._stopping.is_set():
                self._stopping.wait(max(self._backoff.next(), wait))

    async def _converse(self, session: Any) -> None:
        try:
            async with open_stream(session, heard=self._any, timeout=self._line.timeout) as stream:
                self.level, self.is_delayed = stream.level, stream.is_delayed
                self._event = time.monotonic()
                async with asyncio.TaskGroup() as group:
                    for kind, callback in self._hear.items():
                        group.create_task(self._listen(stream, kind, callback))
                    group.create_task(self._stand(stream))
        except BaseExceptionGroup as errors:
            error = cause(errors)
            if not isinstance(error, _Stopped):
                raise error from None

    async def _listen(self, stream: Stream, kind: str, callback: Callable[[Any], object]) -> None:
        async for event in stream.streamer.listen(getattr(import_module("tastytrade.dxfeed"), kind)):
            self._event = time.monotonic()
            callback(event)

    async def _stand(self, stream: Stream) -> None:
        """Subscribe, and look after the connection until it has to end."""
        try:
            async with asyncio.timeout(self._line.timeout):
                await self._subscribe(stream)
        except TimeoutError:
            raise TastytradeDown(f"no channel was opened within {self._line.timeout:g} s") from None
        with self._guard:
            self._open = (asyncio.get_running_loop(), stream)
        self.connections += 1
        self.problem = None
        self._backoff.reset()
        self._connected(True)
        while not self._stopping.is_set():
            now = time.monotonic()
            if now - self._message > self._keepalive:
                self.silences += 1
                raise ConnectionError(f"no message for {self._keepalive:g} seconds, not even a keepalive")
            if now - self._event > self._silence and self._due():
                self.silences += 1
                raise ConnectionError(f"no price for {self._silence:g} seconds")
            await asyncio.sleep(LOOK_SECONDS)
        raise _Stopped

    def _any(self) -> None:
        self._message = time.monotonic()

    def _over(self) -> None:
        with self._guard:
            stood, self._open = self._open is not None, None
        if stood:
            self._connected(False)

    def words(self) -> str:
        """Say why there is no connection."""
        return scrub(str(self.problem.args[0] if self.problem and self.problem.args else self.problem))


class _Stopped(Exception):
    """The runner was told to end."""
