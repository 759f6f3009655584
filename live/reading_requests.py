"""Headers and body of a request, read as a guard has to: whole, bounded, and the same for whoever answers.

A header given twice counts as neither, since whoever reads the other one would see something else. A body is
read before anything is answered, has a largest size whatever its header says, and a time in which to arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["Receive", "body_of", "headers_of", "replayed"]

DRAIN_SECONDS: Final = 0.5
"""How long what is refused as too large is still taken, and thrown away."""
DRAIN_TIMES: Final = 4
"""How many times the limit of that is taken at most."""

Receive = Callable[[], Any]


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by their names in small letters; one that was given twice is a NUL."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        found[key] = "\0" if key in found else value.decode("latin-1")
    return found


async def body_of(
    headers: Mapping[str, str], receive: Receive, *, limit: int, seconds: float
) -> tuple[bytes, int]:
    """Return the whole body and 0, or nothing and the status of the refusal.

    That is 413 for more than `limit` bytes, 408 for more than `seconds`, 400 where it ended before its time.
    """
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limit:
        await _drain(receive, limit)
        return b"", 413
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return b"", 400
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = message.get("more_body", False)
                if size > limit:
                    if more:
                        await _drain(receive, limit)
                    return b"", 413
    except TimeoutError:
        return b"", 408
    return b"".join(parts), 0


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, and then what follows it."""
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _drain(receive: Receive, limit: int) -> None:
    """Take what is on its way: who is hung up on while he sends sees a broken connection, and not why."""
    size = 0
    with contextlib.suppress(TimeoutError):  # the rest is not coming, or not soon
        async with asyncio.timeout(DRAIN_SECONDS):
            more = True
            while more and size < DRAIN_TIMES * limit:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)  # a client that has gone sends no more
