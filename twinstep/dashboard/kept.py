"""Fragments that are drawn once, however many pages ask for them.

When something changes, every open page asks for its fragment anew, all in the same moment. Here the first who
asks has it drawn, whoever comes meanwhile waits for that, and all get the same text, each with keys of its
own in its forms: by its key a form happens once, and two people must not share one.

A fragment is kept for a second at most, and only while nothing has changed. Of kill switch and queue that is
looked at for every answer; of the journal, which changes with every bar, the watcher of the news says it: a
page that is told of a change never gets what was drawn before.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from twinstep.dashboard.news import News
from twinstep.dashboard.reading.reader import KEPT_SECONDS, Reader
from twinstep.dashboard.words import new_key

__all__ = ["Kept", "form_key"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

MOST: Final = 32
"""Fragments that are kept; each view of a page is one, and each session on it."""
STATE_HEADER: Final = b"x-state"
"""Says with each fragment what the head of the page should show, so that it is asked for when it changes."""
_PATHS: Final = re.compile(r"/now|/state|/learning/parameters|(/[a-z0-9/-]+)?/live")
_PLACE: Final = secrets.token_urlsafe(16).encode()
"""Where a key will be; nobody outside knows it, so no text that is shown can have it."""
_shared: Final[ContextVar[bool]] = ContextVar("shared", default=False)


def form_key() -> str:
    """Return the key of a form; in a fragment that is kept, the place of one."""
    return _PLACE.decode() if _shared.get() else new_key()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An answer, its body cut where keys belong, and when it was good."""

    start: dict[str, Any]
    parts: tuple[bytes, ...]
    version: object
    until: float

    def body(self) -> bytes:
        """Return it with keys that nobody else has."""
        parts = [self.parts[0]]
        for part in self.parts[1:]:
            parts += [new_key().encode(), part]
        return b"".join(parts)


class Kept:
    """ASGI middleware, behind the guard: what it answers depends on the address alone.

    Parameters
    ----------
    app
        What draws.
    reader
        Knows when something has changed.
    news
        Says whether the journal has.
    monotonic
        Injected for tests.

    Attributes
    ----------
    drawn
        How many fragments were drawn.
    """

    def __init__(
        self, app: Any, reader: Reader, news: News, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.drawn = self._done = 0
        self._app, self._reader, self._news, self._monotonic = app, reader, news, monotonic
        self._found: OrderedDict[str, _Drawn] = OrderedDict()
        self._busy: dict[str, asyncio.Lock] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what was drawn, or have it drawn."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _PATHS.fullmatch(scope["path"]):
            try:
                await self._app(scope, receive, send)
            finally:
                # who has done something sees what came of it
                self._done += scope["type"] == "http" and scope["method"] == "POST"
            return
        address = f"{scope['path']}?{scope.get('query_string', b'').decode('latin-1')}"
        busy = self._busy.setdefault(address, asyncio.Lock())
        async with busy:
            found = await self._take(address, scope, receive)
        # newer fragments may have pushed it out while others waited for it
        if not busy.locked() and address not in self._found:
            self._busy.pop(address, None)
        body = found.body()
        length = (b"content-length", str(len(body)).encode())
        await send({**found.start, "headers": [*found.start["headers"], length]})
        await send({"type": "http.response.body", "body": body})

    async def _take(self, address: str, scope: Scope, receive: Receive) -> _Drawn:
        version = await run_in_threadpool(self._version)
        found = self._found.get(address)
        if found is not None and found.version == version and self._monotonic() < found.until:
            return found
        found = await self._draw(scope, receive, version)
        self._found.pop(address, None)
        if found.start["status"] == 200:
            self._found[address] = found
            while len(self._found) > MOST:
                gone, _ = self._found.popitem(last=False)
                self._busy.pop(gone, None)
        return found

    async def _draw(self, scope: Scope, receive: Receive, version: object) -> _Drawn:
        self.drawn += 1
        start: dict[str, Any] = {}
        parts: list[bytes] = []

        async def take(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        # before the drawing: of a state that is newer than what it gets, a page would never ask again
        state = await run_in_threadpool(self._reader.state)
        before = _shared.set(True)
        try:
            await self._app(scope, receive, take)
        finally:
            _shared.reset(before)
        start["headers"] = [
            *(one for one in start["headers"] if one[0].lower() != b"content-length"),
            (STATE_HEADER, state.encode()),
        ]
        cut = tuple(b"".join(parts).split(_PLACE))
        return _Drawn(start, cut, version, self._monotonic() + KEPT_SECONDS)

    def _version(self) -> object:
        found = self._reader.version()
        # while somebody watches the journal, its changes count when they are told
        seen = (found[:-2], self._news.told) if self._news.watching else found
        return self._done, seen
