"""What pages wait for: one watcher looks at the files, and tells every stream that something has changed.

However many pages are open, the files are looked at twice a second by one task, and only while somebody
waits: seven of them, by their times and sizes; none is opened. A stream says "changed" and nothing more, once
a second at most, and the page asks for what it shows, as whoever is logged in. Not all in one moment: streams
are told one after the other, so that twenty pages are no burst of work beside a session.

Each stream begins with a "changed", once the files have been looked at: what changed after a page was drawn
and before that look would be told by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable
from typing import Final

from starlette.concurrency import run_in_threadpool

__all__ = ["ALIVE_SECONDS", "LOOK_SECONDS", "News"]

LOOK_SECONDS: Final = 0.5
"""How often the files are looked at for news."""
PAUSE_SECONDS: Final = 1.0
"""How long nothing is told after something was: bars may come faster than anybody reads."""
SPREAD_SECONDS: Final = 0.25
"""Within which all streams are told."""
ALIVE_SECONDS: Final = 15.0
"""How often an idle stream says that it lives."""
RETRY_MS: Final = 2000
"""After which a browser whose stream has ended asks again."""


class News:
    """Tells all streams of one dashboard; belongs to the event loop in which they are read.

    Parameters
    ----------
    version
        Returns something that differs when a page would; called in a thread.
    look_seconds, pause_seconds, spread_seconds, alive_seconds
        See the constants; injected for tests.

    Attributes
    ----------
    looks
        How often `version` was called.
    told
        How often a change was seen and told.
    """

    def __init__(
        self,
        version: Callable[[], object],
        *,
        look_seconds: float = LOOK_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        spread_seconds: float = SPREAD_SECONDS,
        alive_seconds: float = ALIVE_SECONDS,
    ) -> None:
        self.looks = self.told = 0
        self._version = version
        self._look_seconds, self._alive_seconds = look_seconds, alive_seconds
        self._pause_seconds, self._spread_seconds = pause_seconds, spread_seconds
        self._waiting: set[asyncio.Event] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._found: object = None  # by the last look of this watcher
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False

    @property
    def watching(self) -> bool:
        """Whether somebody waits, and so the files are looked at."""
        return self._watcher is not None and not self._watcher.done()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Say "changed" first and whenever something has, and now and then that the stream lives."""
        told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._waiting.add(told)
        if self._watcher is None or self._watcher.done():
            self._found = None
            self._watcher = asyncio.create_task(self._watch())
        if self._found is not None:
            told.set()
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while not self._ended:
                try:
                    await asyncio.wait_for(told.wait(), self._alive_seconds)
                except TimeoutError:
                    yield b": alive\n\n"
                    continue
                if not self._ended:
                    await asyncio.sleep(random.uniform(0.0, self._spread_seconds))  # noqa: S311 - no secret
                    told.clear()
                    yield b"event: changed\ndata: {}\n\n"
        finally:
            self._waiting.discard(told)
            if not self._waiting and self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None

    def end(self) -> None:
        """End all streams, so that a server can stop without hanging up on them; from any thread."""
        self._ended = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server's loop has ended already
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for told in self._waiting:
            told.set()

    async def _watch(self) -> None:
        while True:
            # whatever keeps one look from its answer, the next is made: pages would stand still unseen
            with contextlib.suppress(Exception):
                last, found = self._found, await self._look()
                self._found = found
                if found != last:
                    self.told += 1
                    self._wake()
                    # the first look is no news of anything that may come faster than anybody reads
                    await asyncio.sleep(self._look_seconds if last is None else self._pause_seconds)
                    continue
            await asyncio.sleep(self._look_seconds)

    async def _look(self) -> object:
        self.looks += 1
        return await run_in_threadpool(self._version)
