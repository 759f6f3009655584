"""Alpaca's data service on this machine: snapshots and bars over HTTP, trades and quotes over websockets.

The streams speak msgpack as the real ones: connected, authenticated, subscription, then lists of messages. A
test says what happens by `say`; nothing is made up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import msgpack  # type: ignore[import-untyped]

from live.exchange.guard import Keys

__all__ = ["DataService"]

PAGE: Final = 1000


class DataService:
    """The service, as an ASGI application.

    Attributes
    ----------
    snapshots
        By symbol, as they go over the wire.
    bars
        By symbol, rows as they go over the wire ("t", "o", "h", "l", "c", "v").
    actions
        Corporate actions as they go over the wire, by type.
    page
        Rows of one answer.
    subscribed
        Channels and symbols that somebody listens to.
    refused
        Feeds that are not subscribed: "sip", "opra".
    mute
        Whether the streams say nothing any more, though they stay open.
    most
        Symbols that a stream may listen to; one that asks for more is told 405, and stays open and mute.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.bars: dict[str, list[dict[str, Any]]] = {}
        self.actions: dict[str, list[dict[str, Any]]] = {}
        self.page = PAGE
        self.subscribed: set[tuple[str, str]] = set()
        self.refused: set[str] = set()
        self.mute = False
        self.most = 10_000
        self.connections = 0
        self.queries: list[tuple[str, dict[str, str]]] = []
        self._streams: set[asyncio.Queue[bytes]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def quote(
        self,
        symbol: str,
        bid: float,
        ask: float,
        *,
        last: float = 0.0,
        at: datetime | None = None,
        **more: Any,
    ) -> None:
        """Quote a symbol; `more` is iv and greeks."""
        stamp = (at or datetime.now(UTC)).isoformat().replace("+00:00", "Z")
        found: dict[str, Any] = {"latestQuote": {"t": stamp, "bp": bid, "ap": ask, "bs": 1, "as": 1}}
        if last:
            found["latestTrade"] = {"t": stamp, "p": last, "s": 1}
        if "iv" in more:
            found["impliedVolatility"] = more.pop("iv")
        if more:
            found["greeks"] = more
        self.snapshots[symbol] = found

    def say(self, *messages: dict[str, Any]) -> None:
        """Send messages to all streams."""
        loop = self._loop
        if loop is not None and not self.mute:
            packed = msgpack.packb(list(messages), datetime=True)
            for queue in tuple(self._streams):
                loop.call_soon_threadsafe(queue.put_nowait, packed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._loop = asyncio.get_running_loop()
        if scope["type"] == "websocket":
            await self._stream(receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        known = self.keys.match(headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", ""))
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        self.queries.append((scope["path"], query))
        content = self._found(scope["path"], query) if known else {"message": "forbidden."}
        if query.get("feed") in self.refused:
            known, content = False, {"message": "subscription does not permit querying recent SIP data"}
        body = json.dumps(content).encode()
        await send({"type": "http.response.start", "status": 200 if known else 403, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def _found(self, path: str, query: dict[str, str]) -> Any:
        names = query.get("symbols", "").split(",")
        if path == "/v2/stocks/snapshots":
            return {name: self.snapshots[name] for name in names if name in self.snapshots}
        if path == "/v1beta1/options/snapshots":
            return {"snapshots": {name: self.snapshots[name] for name in names if name in self.snapshots}}
        if path.startswith("/v1beta1/options/snapshots/"):
            return self._chain(path.rpartition("/")[2], query)
        if path == "/v2/stocks/bars":
            return self._bars(names, query)
        if path == "/v1/corporate-actions":
            wanted = {
                kind: [row for row in rows if row["symbol"] in names] for kind, rows in self.actions.items()
            }
            return {"corporate_actions": wanted, "next_page_token": None}
        return {"message": "endpoint not found."}

    def _chain(self, underlying: str, query: dict[str, str]) -> dict[str, Any]:
        first, last = query.get("expiration_date_gte", "0"), query.get("expiration_date_lte", "9")
        low, high = float(query.get("strike_price_gte", 0)), float(query.get("strike_price_lte", 1e9))
        fits = [
            name
            for name in sorted(self.snapshots)
            if name.startswith(underlying) and len(name) > len(underlying) + 10
            and first <= f"20{name[-15:-13]}-{name[-13:-11]}-{name[-11:-9]}" <= last
            and low <= int(name[-8:]) / 1000 <= high
            and name > query.get("page_token", "")
        ]  # fmt: skip
        page = fits[: self.page]
        more = page[-1] if len(fits) > self.page else None
        return {"snapshots": {name: self.snapshots[name] for name in page}, "next_page_token": more}

    def _bars(self, names: Sequence[str], query: dict[str, str]) -> dict[str, Any]:
        first, last = query.get("start", "0"), query.get("end", "9")
        rows = [
            (name, row)
            for name in names
            for row in self.bars.get(name, [])
            if _whole(first) <= _whole(row["t"]) <= _whole(last)
        ]
        begin = int(query.get("page_token", 0))
        page = rows[begin : begin + self.page]
        found: dict[str, list[Any]] = {}
        for name, row in page:
            found.setdefault(name, []).append(row)
        more = str(begin + self.page) if begin + self.page < len(rows) else None
        return {"bars": found, "next_page_token": more}

    async def _stream(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.connections += 1
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queue.put_nowait(msgpack.packb([{"T": "success", "msg": "connected"}]))
        teller = asyncio.ensure_future(_tell(queue, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                self._hear(msgpack.unpackb(message.get("bytes") or b""), queue)
        finally:
            self._streams.discard(queue)
            teller.cancel()

    def _hear(self, message: dict[str, Any], queue: asyncio.Queue[bytes]) -> None:
        if message.get("action") == "auth":
            known = self.keys.match(message.get("key"), message.get("secret"))
            answer = {"T": "success", "msg": "authenticated"} if known else {"T": "error", "code": 402,
                                                                            "msg": "auth failed"}  # fmt: skip
            queue.put_nowait(msgpack.packb([answer]))
        elif message.get("action") == "subscribe":
            channels = {name: list(symbols) for name, symbols in message.items() if name != "action"}
            if any(len(symbols) > self.most for symbols in channels.values()):
                answer = {"T": "error", "code": 405, "msg": "symbol limit exceeded"}
                queue.put_nowait(msgpack.packb([answer]))
                return
            self._streams.add(queue)
            self.subscribed |= {(name, one) for name, symbols in channels.items() for one in symbols}
            queue.put_nowait(msgpack.packb([{"T": "subscription", **channels}]))


async def _tell(queue: asyncio.Queue[bytes], send: Any) -> None:
    while True:
        await send({"type": "websocket.send", "bytes": await queue.get()})


def _whole(text: str) -> str:
    """Return a time in a form that sorts."""
    return text.replace("+00:00", "").rstrip("Z")
