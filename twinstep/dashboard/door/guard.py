"""Who may speak to the dashboard at all, looked at before any path is.

Any page that its user visits can make a browser send requests here, and a foreign name may resolve to this
machine. So every request, whatever its path: the Host header names us; what writes comes from a page of ours
(`Sec-Fetch-Site`, or the exact Origin where a browser sends none of it), is JSON, and is not too large, too
slow or too often; and whoever asks has the cookie of a session, or the token for programs and no cookie.
There is no CORS and no websocket. Every answer carries the headers that keep a browser from running, framing
or keeping anything that is not ours.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from live.reading_requests import Receive, body_of, headers_of, replayed
from live.serving import is_loopback
from twinstep.dashboard.door.login import Doorman

__all__ = ["BODY_LIMIT", "OPEN_PATHS", "Guard"]

BODY_LIMIT: Final = 64 * 1024
"""Most bytes of a request's body."""
BODY_SECONDS: Final = 10.0
WRITES_PER_SECOND: Final = 10
MOST_STREAMS: Final = 24
"""Pages that may wait for news at a time."""
OPEN_PATHS: Final = frozenset({"/login", "/static/dashboard.css", "/static/theme.js", "/static/icon.svg"})
"""What is answered to whoever is not logged in: nothing of it says anything about an account."""
STREAM_PATH: Final = "/events"

_READS: Final = frozenset({"GET", "HEAD"})
_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    (b"cache-control", b"no-store"),
)

_NO_BODY: Final = {
    400: "the request ended before its body did",
    408: "the request's body did not arrive in time",
    413: f"a request's body has {BODY_LIMIT:,} bytes at most",
}

_log = logging.getLogger("twinstep.dashboard")

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class _No:
    """An answer that is none."""

    status: int
    why: str
    wait: int | None = None


class Guard:
    """ASGI middleware that lets through what may be answered, with the whole body already read.

    Parameters
    ----------
    app
        What answers.
    doorman
        Knows who is in.
    hosts
        Values of the Host header that name us; filled in when the port is known.
    cookie
        Gives the name of the cookie, which has the port in it.
    monotonic
        Injected for tests.
    """

    def __init__(
        self,
        app: Any,
        doorman: Doorman,
        *,
        hosts: set[str],
        cookie: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.doorman, self.hosts = app, doorman, hosts
        self._cookie, self._monotonic = cookie, monotonic
        self._writes: deque[float] = deque(maxlen=WRITES_PER_SECOND)
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = headers_of(scope)
        sealed = _sealed(send)
        no = self._foreign(scope, headers) or self._stranger(scope, headers) or self._too_often(scope)
        body = b""
        if no is None:
            body, no = await _body(scope, headers, receive)
        if no is not None:
            _log.info("%s %s refused: %d %s", scope["method"], scope["path"], no.status, no.why)
            await _refuse(no, scope, headers, sealed)
            return
        if scope["path"] != STREAM_PATH:
            await self.app(scope, replayed(body, receive), sealed)
            return
        self._streams += 1
        try:
            await self.app(scope, replayed(body, receive), sealed)
        finally:
            self._streams -= 1

    def _foreign(self, scope: Scope, headers: Mapping[str, str]) -> _No | None:
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return _No(403, "this host is not served here")
        if headers.get("upgrade", "").lower() == "websocket":
            return _No(403, "no websocket is served here")
        site = headers.get("sec-fetch-site")
        if scope["path"] == "/login" and scope.get("query_string") and site in ("cross-site", "same-site"):
            # another page would use up wrong tokens, until nobody is let in
            return _No(403, "a link logs in from the address bar, and from no other page: paste it there")
        if scope["method"] in _READS and scope["path"] != STREAM_PATH:
            return None
        # a browser says from where a request was made; one that does not must give the exact origin
        origin = headers.get("origin")
        # what encrypts in front of another name speaks https to browsers and plainly to us
        schemes = {scope["scheme"]} if _is_here(host) else {scope["scheme"], "https"}
        own = origin is not None and origin.lower() in {f"{scheme}://{host}" for scheme in schemes}
        if site is not None and site not in ("same-origin", "none"):
            return _No(403, "this did not come from a page of the dashboard")
        if origin is not None and not own:
            return _No(403, "this did not come from a page of the dashboard")
        if scope["method"] in _READS:
            return None  # news: no other page may hold one of the few places
        if site is None and not own and not self._is_program(headers):
            return _No(403, "this did not come from a page of the dashboard")
        return None

    def _stranger(self, scope: Scope, headers: Mapping[str, str]) -> _No | None:
        if scope["path"] in OPEN_PATHS:
            return None
        secret = cookie_of(headers, self._cookie())
        if secret is not None and self.doorman.knows(secret):
            scope.setdefault("state", {})["session"] = secret
            return None
        if self._is_program(headers):
            if self.doorman.admits(headers["authorization"].removeprefix("Bearer ").strip()):
                return None
            if self.doorman.locked:
                return _No(429, "too many wrong tokens", round(self.doorman.locked) + 1)
        return _No(401, "nobody is logged in; the terminal that started the dashboard has the link")

    def _too_often(self, scope: Scope) -> _No | None:
        if scope["path"] == STREAM_PATH and self._streams >= MOST_STREAMS:
            return _No(503, "too many pages wait for news", 10)
        if scope["method"] in _READS:
            return None
        now = self._monotonic()
        if len(self._writes) == WRITES_PER_SECOND and now - self._writes[0] < 1.0:
            return _No(429, "too many writes in a second", 1)
        self._writes.append(now)
        return None

    def _is_program(self, headers: Mapping[str, str]) -> bool:
        """Whether a program asks: it has a token, and no cookie that a browser would add by itself."""
        return headers.get("authorization", "").startswith("Bearer ") and "cookie" not in headers


def _is_here(host: str) -> bool:
    """Whether a Host header names this machine, with a port or without."""
    name = host.rpartition(":")[0] or host
    return is_loopback(name.strip("[]"))


def cookie_of(headers: Mapping[str, str], name: str) -> str | None:
    """Return the value of a cookie; None where it is absent or there twice."""
    found = [
        value.strip()
        for part in headers.get("cookie", "").split(";")
        for key, equals, value in [part.partition("=")]
        if equals and key.strip() == name
    ]
    return found[0] if len(found) == 1 else None


async def _body(scope: Scope, headers: Mapping[str, str], receive: Receive) -> tuple[bytes, _No | None]:
    """Return the whole body, or why it is not taken."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope["method"] not in _READS and kind != "application/json":
        return b"", _No(415, "what writes is JSON: content-type application/json")
    body, status = await body_of(headers, receive, limit=BODY_LIMIT, seconds=BODY_SECONDS)
    return body, _No(status, _NO_BODY[status]) if status else None


def _sealed(send: Send) -> Send:
    """Return a `send` that adds the headers of every answer; one that the page set itself stays."""

    async def sealed(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message = {**message, "headers": [*given, *(one for one in _HEADERS if one[0] not in names)]}
        await send(message)

    return sealed


async def _refuse(no: _No, scope: Scope, headers: Mapping[str, str], send: Send) -> None:
    wants_page = scope["method"] in _READS and "text/html" in headers.get("accept", "")
    if no.status == 401 and wants_page:
        await _say(303, [(b"location", b"/login")], b"", send)
        return
    extra = [(b"content-type", b"application/json; charset=utf-8")]
    if no.wait is not None:
        extra.append((b"retry-after", str(no.wait).encode()))
    if no.status in (408, 413):
        extra.append((b"connection", b"close"))  # the rest of the body is still on its way
    await _say(no.status, extra, json.dumps({"detail": no.why}).encode(), send)


async def _say(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
