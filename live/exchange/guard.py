"""Who may speak to the exchange at all, looked at before any path is.

It listens on this machine, and any page that its user visits can make a browser send requests here. So every
request, of every path and for the stream too: the Host header must name us (else a foreign name that resolves
to 127.0.0.1 would do), an Origin header must be ours, both keys must be right and are compared in constant
time, what writes is JSON of at most 64 KiB. There is no CORS: a browser's page gets nothing.

The keys are made anew at each start unless the environment gives them, and are shown by nothing but the
command that started us.
"""

from __future__ import annotations

import json
import os
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from live.exchange.errors import Refusal, malformed, rate_limited, unauthorized
from live.reading_requests import Receive, body_of, headers_of, replayed
from simulator.errors import ConfigError

__all__ = ["BODY_LIMIT", "Allowance", "Guard", "Keys"]

BODY_LIMIT: Final = 64 * 1024
"""Most bytes of a request's body."""
BODY_SECONDS: Final = 10.0
"""Longest wait for a request's body."""
KEY_VARIABLE: Final = "TWINSTEP_EXCHANGE_KEY"
SECRET_VARIABLE: Final = "TWINSTEP_EXCHANGE_SECRET"  # noqa: S105 - the name of a variable
SHORTEST_SECRET: Final = 16

_WRITES: Final = frozenset({"POST", "PUT", "PATCH"})
_ALPHABET: Final = string.ascii_uppercase + string.digits

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Keys:
    """The pair of keys of one exchange; its text shows neither the secret nor a part of it."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> Keys:
        """Return a new pair; the secret has 256 random bits."""
        return cls("TW" + "".join(secrets.choice(_ALPHABET) for _ in range(18)), secrets.token_urlsafe(32))

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Keys:
        """Return the pair that TWINSTEP_EXCHANGE_KEY and TWINSTEP_EXCHANGE_SECRET give, else a new one.

        Raises `ConfigError` EXCHANGE_KEYS where only one is given, or a secret under 16 characters.
        """
        given = os.environ if environment is None else environment
        key_id, secret = given.get(KEY_VARIABLE, ""), given.get(SECRET_VARIABLE, "")
        if not key_id and not secret:
            return cls.generate()
        if not key_id or len(secret) < SHORTEST_SECRET:
            raise ConfigError(
                f"{KEY_VARIABLE} and {SECRET_VARIABLE} are given together, the secret with at least "
                f"{SHORTEST_SECRET} characters; or neither, and a pair is made",
                code="EXCHANGE_KEYS",
            )
        return cls(key_id, secret)

    def match(self, key_id: object, secret: object) -> bool:
        """Whether both are right; takes as long for a wrong one as for a right one."""
        first = secrets.compare_digest(str(key_id).encode(), self.key_id.encode())
        second = secrets.compare_digest(str(secret).encode(), self.secret.encode())
        return first and second


class Allowance:
    """So many requests in each minute; used by the server's thread alone."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._monotonic = monotonic
        self._begin, self._used = monotonic(), 0

    def take(self) -> tuple[bool, int]:
        """Take one request; returns whether it is granted, and seconds until the next minute."""
        now = self._monotonic()
        if now - self._begin >= 60.0:
            self._begin, self._used = now, 0
        self._used += 1
        return self._used <= self.per_minute, max(1, round(60.0 - (now - self._begin)))


class Guard:
    """ASGI middleware that lets through what may be answered, with the whole body already read.

    Parameters
    ----------
    app
        What answers.
    keys
        The only pair that opens anything.
    hosts
        Values of the Host header that name us; filled in when the port is known.
    allowance
        Requests per minute, None for as many as come.
    """

    def __init__(self, app: Any, *, keys: Keys, hosts: set[str], allowance: Allowance | None = None) -> None:
        self.app = app
        self.keys = keys
        self.hosts = hosts
        self.allowance = allowance
        self.requests = 0
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        kind = scope["type"]
        if kind == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = headers_of(scope)
        problem = self._foreign(headers)
        if kind == "websocket":
            if problem is not None:
                self.refused += 1
                await receive()
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        self.requests += 1
        body = b""
        if problem is None:
            problem = self._unknown(headers) or self._too_many()
        if problem is None:
            body, problem = await _body(scope, headers, receive)
        if problem is not None:
            self.refused += 1
            await _answer(problem, send)
            return
        await self.app(scope, replayed(body, receive), send)

    def _foreign(self, headers: Mapping[str, str]) -> Refusal | None:
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return Refusal(403, 40310000, "host is not served here")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return Refusal(403, 40310000, "origin is not served here")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return Refusal(403, 40310000, "origin is not served here")
        return None

    def _unknown(self, headers: Mapping[str, str]) -> Refusal | None:
        known = self.keys.match(headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", ""))
        return None if known else unauthorized()

    def _too_many(self) -> Refusal | None:
        if self.allowance is None:
            return None
        granted, wait = self.allowance.take()
        if granted:
            return None
        refusal = rate_limited()
        refusal.retry_after = wait
        return refusal


async def _body(scope: Scope, headers: Mapping[str, str], receive: Receive) -> tuple[bytes, Refusal | None]:
    """Return the whole body, or why it is not taken."""
    body, status = await body_of(headers, receive, limit=BODY_LIMIT, seconds=BODY_SECONDS)
    if status == 413:
        return b"", Refusal(413, 41310000, f"request body is larger than {BODY_LIMIT} bytes")
    if status == 408:
        return b"", Refusal(408, 40810000, "request body did not arrive in time")
    if status:
        return b"", malformed()
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and scope["method"] in _WRITES and kind != "application/json":
        return b"", Refusal(415, 41510000, "content type must be application/json")
    return body, None


async def _answer(refusal: Refusal, send: Send) -> None:
    body = json.dumps(refusal.body()).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    if refusal.status in (408, 413):
        headers.append((b"connection", b"close"))  # the rest of the body is still on its way
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
