"""What a guard reads of a request: whole, bounded, in time, and the same for whoever answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from live import reading_requests
from live.reading_requests import DRAIN_TIMES, body_of, headers_of, replayed

LIMIT = 1000


class Sender:
    """Sends its parts, then nothing more; it says what was taken of them."""

    def __init__(self, *parts: bytes, ends: bool = True, disconnects: bool = False) -> None:
        self.parts, self.ends, self.disconnects, self.taken = list(parts), ends, disconnects, 0

    async def receive(self) -> dict[str, Any]:
        if not self.parts:
            if self.disconnects:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        part = self.parts.pop(0)
        self.taken += len(part)
        return {"type": "http.request", "body": part, "more_body": bool(self.parts) or not self.ends}


def read(sender: Sender, length: str | None = None, seconds: float = 5.0) -> tuple[bytes, int]:
    headers = {} if length is None else {"content-length": length}
    return asyncio.run(body_of(headers, sender.receive, limit=LIMIT, seconds=seconds))


def test_a_body_is_put_together_up_to_its_largest_size() -> None:
    assert read(Sender(b"a" * 400, b"b" * 600), "1000") == (b"a" * 400 + b"b" * 600, 0)
    assert read(Sender(b"")) == (b"", 0)


@pytest.mark.parametrize("length", ["1001", "-1", "ten", "\0"])
def test_a_length_that_is_refused_is_still_taken(length: str) -> None:
    """Whoever sends it would see a broken connection otherwise, and never the answer."""
    sender = Sender(b"a" * 600, b"b" * 401)
    assert read(sender, length) == (b"", 413)
    assert sender.taken == 1001


def test_a_body_without_a_length_is_counted_and_what_follows_thrown_away() -> None:
    sender = Sender(*[b"a" * 600] * 3)
    assert read(sender) == (b"", 413)
    assert sender.taken == 1800
    endless = Sender(*[b"a" * LIMIT] * 50)
    assert read(endless) == (b"", 413)
    assert endless.taken <= (DRAIN_TIMES + 2) * LIMIT


def test_what_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(Sender(b"a", ends=False), seconds=0.05) == (b"", 408)
    assert read(Sender(b"a", ends=False, disconnects=True)) == (b"", 400)
    monkeypatch.setattr(reading_requests, "DRAIN_SECONDS", 0.05)
    assert read(Sender(b"a", ends=False), "5000") == (b"", 413)
    assert read(Sender(b"a", ends=False, disconnects=True), "5000") == (b"", 413)


def test_a_header_given_twice_is_neither() -> None:
    given = [(b"Host", b"here"), (b"X-One", b"1"), (b"host", b"there")]
    assert headers_of({"headers": given}) == {"host": "\0", "x-one": "1"}


def test_who_answers_reads_what_was_read_and_then_what_follows() -> None:
    async def both() -> list[dict[str, Any]]:
        again = replayed(b"whole", Sender(disconnects=True).receive)
        return [await again(), await again()]

    assert asyncio.run(both()) == [
        {"type": "http.request", "body": b"whole", "more_body": False},
        {"type": "http.disconnect"},
    ]
