"""What goes wrong between a client and Alpaca, as a script: an ASGI layer in front of the paper exchange.

Every request has a kind ("submit", "positions", ...). `at(kind, n, fault)` lets the n-th one go wrong from
now on, `every(kind, fault)` all of them. What comes back from the exchange is rewritten where Alpaca differs
from it: the stop of a bracket is `held` while its target works, and is missing from the list of open orders.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Literal, NamedTuple

__all__ = ["KINDS", "Fault", "Refuse", "Script"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

LONGEST_HANG: Final = 30.0

Word = Literal[
    "cut",  # nothing is done, and the connection breaks
    "cut_after",  # it is done, and the connection breaks
    "504",  # nothing is done, and the gateway has no answer
    "504_after",  # it is done, and the gateway has no answer
    "half",  # it is done, and the answer breaks off in its middle
    "hang",  # nothing is done, and no answer comes
    "hang_after",  # it is done, and no answer comes
    "trickle",  # it is done, and the answer comes a byte at a time, for ever
    "empty",  # it is done, and the answer has no body
    "html",  # it is done, and the answer is a page for a person
]


class Refuse(NamedTuple):
    """An answer that refuses, without anything done."""

    status: int
    body: dict[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


Fault = Word | Refuse

_PATHS: Final = (
    ("submit", "POST", r"/v2/orders"),
    ("replace", "PATCH", r"/v2/orders/[^/]+"),
    ("cancel", "DELETE", r"/v2/orders/[^/]+"),
    ("orders", "GET", r"/v2/orders"),
    ("find", "GET", r"/v2/orders:by_client_order_id"),
    ("order", "GET", r"/v2/orders/[^/]+"),
    ("positions", "GET", r"/v2/positions"),
    ("account", "GET", r"/v2/account"),
    ("executions", "GET", r"/v2/account/activities"),
    ("clock", "GET", r"/v2/clock"),
    ("data", "GET", r"/(v2/stocks|v1beta1/options|v1)/.*"),
)
KINDS: Final = tuple(kind for kind, _, _ in _PATHS)
_HELD_CLASSES: Final = ("bracket", "oco")


class Script:
    """The layer; `app` is the exchange with its guard, `data` answers for the data service.

    Attributes
    ----------
    requests
        Kind, path and query of everything that arrived.
    accepted
        Client order ids of the orders that the exchange has taken, in their order.
    hidden
        Symbols that are left out of the list of positions.
    repeat
        Whether every fill is told twice.
    refuses
        Says of the body of an order whether the broker refuses it, and how; by default of none.
    """

    def __init__(self, app: Any, data: Any) -> None:
        self.app, self.data = app, data
        self.requests: list[tuple[str, str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.accepted: list[str] = []
        self.hidden: set[str] = set()
        self.repeat = False
        self.mute = False  # streams stay open and say nothing
        self.refuses: Callable[[dict[str, Any]], Refuse | None] = lambda _: None
        self._at: dict[tuple[str, int], Fault] = {}
        self._every: dict[str, Fault] = {}
        self._counts: dict[str, int] = {}
        self._generation = 0
        self._drops: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def at(self, kind: str, number: int, fault: Fault) -> None:
        """Let the n-th request of a kind go wrong, counted from the next."""
        self._at[kind, self._counts.get(kind, 0) + number] = fault

    def every(self, kind: str, fault: Fault) -> None:
        """Let all requests of a kind go wrong."""
        self._every[kind] = fault

    def pending(self) -> set[tuple[str, int]]:
        """Return the faults that nothing has met yet."""
        return set(self._at)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._at.clear()
        self._every.clear()
        self.hidden.clear()
        self.repeat = self.mute = False
        self._generation += 1

    def drop_streams(self) -> None:
        """End all connections of streams, as a restart of the service does."""
        loop = self._loop
        if loop is not None:
            for event in tuple(self._drops):
                loop.call_soon_threadsafe(event.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        if scope["type"] == "websocket":
            await self._stream(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode()
        kind = _kind(method, path)
        self.requests.append((kind, path, query))
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        fault = self._at.pop((kind, count), None) or self._every.get(kind)
        if await self._spoiled(fault, send):
            return
        body = await _body(receive)
        refusal = self.refuses(json.loads(body)) if kind == "submit" else None
        if refusal is not None:
            await self._spoiled(refusal, send)
            return
        status, headers, content = await self._answer(scope, body, kind)
        content = self._rewritten(kind, query, status, body, content)
        await self._sent(fault, status, headers, content, send)

    async def _spoiled(self, fault: Fault | None, send: Send) -> bool:
        """Go wrong before anything is done; returns whether it did."""
        if isinstance(fault, Refuse):
            headers = [(name.encode(), value.encode()) for name, value in fault.headers]
            await _whole(send, fault.status, headers, json.dumps(fault.body).encode())
            return True
        if fault == "504":
            await _whole(send, 504, [], b"<html>504 Gateway Time-out</html>")
        elif fault == "cut":
            await _part(send, b"")
        elif fault == "hang":
            await self._hang()
            await _part(send, b"")
        return fault in ("504", "cut", "hang")

    async def _sent(
        self, fault: Fault | None, status: int, headers: list[tuple[bytes, bytes]], content: bytes, send: Send
    ) -> None:
        """Send what was answered, as far as the fault lets it."""
        if fault == "504_after":
            await _whole(send, 504, [], b"<html>504 Gateway Time-out</html>")
        elif fault == "cut_after":
            await _part(send, b"")
        elif fault == "half":
            await _part(send, content[: len(content) // 2] or b"[")
        elif fault == "hang_after":
            await self._hang()
            await _part(send, b"")
        elif fault == "trickle":
            await self._trickle(send)
        elif fault == "empty":
            await _whole(send, 200, [], b"")
        elif fault == "html":
            await _whole(send, 200, [(b"content-type", b"text/html")], b"<html>We are back soon</html>")
        else:
            kept = [(name, value) for name, value in headers if name != b"content-length"]
            await _whole(send, status, kept, content)

    async def _hang(self) -> None:
        generation, waited = self._generation, 0.0
        while self._generation == generation and waited < LONGEST_HANG:
            await asyncio.sleep(0.02)
            waited += 0.02

    async def _trickle(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9999")]})
        generation = self._generation
        for _ in range(int(LONGEST_HANG / 0.05)):
            if self._generation != generation:
                return
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.05)

    async def _answer(self, scope: Scope, body: bytes, kind: str) -> Answer:
        """Return what the exchange, or the data service, answers."""
        status, headers, parts = 500, [], []

        async def given() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def take(message: Any) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", []))
            else:
                parts.append(message.get("body", b""))

        app = self.data if kind == "data" else self.app
        await app(scope, given, take)
        return status, headers, b"".join(parts)

    def _rewritten(self, kind: str, query: str, status: int, body: bytes, content: bytes) -> bytes:
        if kind == "submit":
            self.bodies.append(json.loads(body))
        if status != 200 or not content:
            return content
        if kind == "submit":
            self.accepted.append(json.loads(content)["client_order_id"])
        if kind in ("submit", "replace", "find", "order"):
            return json.dumps(_as_alpaca(json.loads(content))).encode()
        if kind == "orders":
            found = [_as_alpaca(one) for one in json.loads(content)]
            if "status=all" not in query:
                found = [one for one in found if one["status"] != "held"]
            return json.dumps(found).encode()
        if kind == "positions":
            return json.dumps(
                [one for one in json.loads(content) if one["symbol"] not in self.hidden]
            ).encode()
        if kind == "executions" and self.repeat:
            return json.dumps([one for one in json.loads(content) for _ in range(2)]).encode()
        return content

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(("stream", scope["path"], ""))
        if self._every.get("stream") == "cut":
            await receive()
            await send({"type": "websocket.close", "code": 1013})
            return
        drop = asyncio.Event()
        self._drops.add(drop)

        async def hear() -> Any:
            next_one, dropped = asyncio.ensure_future(receive()), asyncio.ensure_future(drop.wait())
            done, waiting = await asyncio.wait({next_one, dropped}, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()
            if dropped in done:
                await send({"type": "websocket.close", "code": 1012})
                return {"type": "websocket.disconnect", "code": 1012}
            return next_one.result()

        async def say(message: Any) -> None:
            if not drop.is_set():
                await send(message)

        try:
            await (self.app if scope["path"] == "/stream" else self.data)(scope, hear, say)
        finally:
            self._drops.discard(drop)


def _kind(method: str, path: str) -> str:
    for kind, verb, pattern in _PATHS:
        if verb == method and re.fullmatch(pattern, path):
            return kind
    return "other"


def _as_alpaca(order: dict[str, Any]) -> dict[str, Any]:
    """Show a stop that waits beside its target as held."""
    if order.get("legs") and order["order_class"] != "mleg":
        order["legs"] = [_as_alpaca(leg) for leg in order["legs"]]
    child = order.get("order_class") in _HELD_CLASSES and not order.get("legs")
    if child and order["type"] in ("stop", "stop_limit") and order["status"] == "new":
        order["status"] = "held"
    return order


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _whole(send: Send, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": content})


async def _part(send: Send, content: bytes) -> None:
    """Promise more than is sent; the server then breaks the connection."""
    length = (b"content-length", str(len(content) + 1000).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": content, "more_body": True})
