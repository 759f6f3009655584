"""A tastytrade of the tests: its open API, its account stream and its market data as an ASGI application.

`transport` carries requests of the unmodified library to it within this process. What goes wrong is said by
kind of request: `at(kind, n, fault)` for the n-th from now on, `every(kind, fault)` for all until `clear()`.
Kinds are token, account, balances, positions, live, history, order, transactions, submit, dry_run, replace,
cancel, market, metrics, chain, status, quote_token, dividends; faults are

    "before"       the connection ends before anything was done
    "after"        it was done, and the answer is lost
    "hang", "mute" nothing is answered; done before, or not
    "cut"          done, and the answer breaks off in its middle
    Answer(...)    refused with a status, words and headers
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import httpx2
from httpx2.websockets._transport import ASGIWebSocketAsyncNetworkStream

from tests.fakes.tastytrade import wire
from tests.fakes.tastytrade.books import Books, Group, Placed, Refused, padded, unpadded
from tests.fakes.tastytrade.dxlink import Market

SECRET: Final = "canary-client-secret"  # noqa: S105 - of nobody
REFRESH: Final = "canary-refresh-token"
Message = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer that refuses."""

    status: int
    code: str = "error"
    message: str = "refused"
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""  # in place of JSON
    done: bool = False  # whether it was done nevertheless


Fault = str | Answer


class TastytradeServer:
    """One login with one account.

    Attributes
    ----------
    books
        The account.
    dxlink
        What the stream of market data tells.
    rank, row
        Fields of the market metrics, and of the market data, by symbol that are not those of everybody.
    unquoted
        Symbols of which there are no market data.
    status
        Fields of the trading status that are not those of everybody.
    skew
        Seconds that the clock of its answers is ahead of the market's; None for answers without a time.
    bodies
        What clients sent, as (kind, body) in its order.
    received
        External identifiers of the orders that were accepted, entries for complex ones.
    hidden
        Symbols that are left out of the positions.
    repeat
        Whether every transaction and fill is told twice.
    mute_stream
        Whether the stream says nothing of what happens.
    """

    def __init__(self, books: Books | None = None) -> None:
        self.books = Books() if books is None else books
        self.dxlink = Market()
        self.rank: dict[str, dict[str, Any]] = {}
        self.row: dict[str, dict[str, Any]] = {}
        self.unquoted: set[str] = set()
        self.status: dict[str, Any] = {}
        self.skew: float | None = None
        self.lock = threading.RLock()
        self.bodies: list[tuple[str, Any]] = []
        self.requests: list[str] = []
        self.received: list[str] = []
        self.hidden: set[str] = set()
        self.repeat = False
        self.mute_stream = False
        self.tokens = 0
        self.subscribed: list[Any] = []
        self.agents: set[str] = set()
        self._once: dict[tuple[str, int], Fault] = {}
        self._every: dict[str, Fault] = {}
        self._counts: dict[str, int] = {}
        self._streams: list[tuple[asyncio.AbstractEventLoop, asyncio.Queue[Message | None]]] = []
        self.books.listeners.append(self._changed)

    def transport(self) -> Transport:
        """Return what carries requests here."""
        return Transport(self)

    def at(self, kind: str, n: int, fault: Fault) -> None:
        """Let the n-th request of a kind from now on go wrong."""
        self._once[kind, self._counts.get(kind, 0) + n] = fault

    def every(self, kind: str, fault: Fault) -> None:
        """Let all requests of a kind go wrong."""
        self._every[kind] = fault

    def pending(self) -> dict[tuple[str, int], Fault]:
        """Return faults that nothing has met."""
        return dict(self._once)

    def clear(self) -> None:
        """End all faults."""
        self._once.clear()
        self._every.clear()
        self.hidden.clear()
        self.repeat = False

    def drop_streams(self) -> None:
        """End all streams."""
        for loop, queue in self._streams:
            loop.call_soon_threadsafe(queue.put_nowait, None)

    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        """Let the market trade."""
        with self.lock:
            self.books.move(prices, minutes=minutes)

    async def app(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a request, or serve the stream of the account."""
        if scope["type"] == "websocket":
            serve = self.dxlink.serve if scope["path"] == "/realtime" else self._stream
            await serve(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        status, extra, text = await self._answer(
            scope["method"], unquote(scope["path"]), parse_qs(scope["query_string"].decode()), headers,
            body.decode(),
        )  # fmt: skip
        head = [(b"content-type", b"application/json")]
        if self.skew is not None:
            told = self.books.now + timedelta(seconds=self.skew)
            head.append((b"date", format_datetime(told, usegmt=True).encode()))
        head += [(name.encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": text.encode()})

    async def _answer(
        self, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str], body: str
    ) -> tuple[int, Mapping[str, str], str]:
        kind = _kind(method, path)
        self.requests.append(kind)
        self.agents.add(headers.get("user-agent", ""))
        self._counts[kind] = self._counts.get(kind, 0) + 1
        fault = self._once.pop((kind, self._counts[kind]), self._every.get(kind))
        if fault == "before":
            raise httpx2.ConnectError("connection refused")
        if fault == "mute":
            await asyncio.sleep(3600)
        if isinstance(fault, Answer):
            if fault.done:
                with self.lock:
                    self._done(kind, path, query, headers, body)
            return fault.status, fault.headers, fault.text or _error(fault.code, fault.message)
        with self.lock:
            status, found = self._done(kind, path, query, headers, body)
        text = json.dumps(found)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "after":
            raise httpx2.ReadTimeout("no answer")
        if fault == "cut":
            text = text[: len(text) // 2]
        return status, {}, text

    def _done(
        self, kind: str, path: str, query: dict[str, list[str]], headers: dict[str, str], body: str
    ) -> tuple[int, Any]:
        sent = json.loads(body) if body else {}
        if kind == "token":
            if (sent.get("client_secret"), sent.get("refresh_token")) != (SECRET, REFRESH):
                return 400, {"error_code": "invalid_grant", "error_description": "Grant revoked"}
            self.tokens += 1
            return 200, {"access_token": f"canary-token-{self.tokens}", "expires_in": 900}
        if headers.get("authorization") != f"Bearer canary-token-{self.tokens}":
            return 401, json.loads(_error("token_invalid", "This token is invalid or has expired"))
        if sent:
            self.bodies.append((kind, sent))
        try:
            return self._carried_out(kind, path, query, sent)
        except Refused as error:
            inner = [{"code": error.code, "message": str(error)}]
            return 422, {
                "error": {
                    "code": "preflight_check_failure",
                    "message": "One or more preflight checks failed",
                    "errors": inner,
                }
            }

    def _carried_out(
        self, kind: str, path: str, query: dict[str, list[str]], sent: dict[str, Any]
    ) -> tuple[int, Any]:
        books = self.books
        number = int(path.rsplit("/", 1)[-1]) if path.rsplit("/", 1)[-1].isdigit() else 0
        twice = 2 if self.repeat else 1
        if kind == "account":
            one = wire.account_json(books)
            if path.endswith("/accounts"):
                return 200, _data({"items": [{"account": one, "authority-level": "owner"}]})
            return (200, _data(one)) if path.endswith(books.account) else _missing()
        if kind == "balances":
            return 200, _data(wire.balances_json(books))
        if kind == "positions":
            shown = [
                wire.position_json(books, symbol, held)
                for symbol, held in books.shown().items()
                if symbol not in self.hidden
            ]
            return 200, _data({"items": shown})
        if kind == "live":
            today = [one for one in books.orders if one.works or one.updated.date() == books.now.date()]
            return 200, _data({"items": [wire.order_json(books, one) for one in today]})
        if kind == "history":
            since = query.get("start-date", ["0"])[0]
            old = [one for one in books.orders if one.at.date().isoformat() >= since]
            return 200, _page([wire.order_json(books, one) for one in reversed(old)], query)
        if kind == "transactions":
            since = query.get("start-date", ["0"])[0]
            only = query.get("symbol", [""])[0]
            rows = [
                row
                for row in books.rows
                if row.time.date().isoformat() >= since and only in ("", padded(row.symbol))
            ]
            return 200, _page([wire.row_json(books, row) for row in rows for _ in range(twice)], query)
        if kind == "market":
            names = [*query.get("equity", []), *query.get("equity-option", [])]
            known = [one for one in map(unpadded, names) if one in books.prices and one not in self.unquoted]
            rows_now = [wire.market_json(books, one) | self.row.get(one, {}) for one in known]
            return 200, _data({"items": rows_now})
        if kind == "metrics":
            names = query["symbols"][0].split(",")
            items = [
                {
                    "symbol": one, "implied-volatility-index": "0.245",
                    "implied-volatility-index-rank": "0.3125", "implied-volatility-percentile": "0.415",
                    "updated-at": wire.stamp(books.now), "market-cap": "1000", **self.rank.get(one, {}),
                }
                for one in names
            ]  # fmt: skip
            return 200, _data({"items": items})
        if kind == "quote_token":
            return 200, _data(self.dxlink.token_json())
        if kind == "dividends":
            paid = self.dxlink.dividends.get(path.rsplit("/", 1)[-1], [])
            rows_paid = [{"occurred-date": day, "amount": str(amount)} for day, amount in paid]
            return 200, _data({"items": rows_paid})
        if kind == "chain":
            return 200, _data({"items": wire.chain_json(books, path.split("/")[-2])})
        if kind == "status":
            return 200, _data({**wire.status_json(books), **self.status})
        return self._traded(kind, path, number, sent)

    def _traded(self, kind: str, path: str, number: int, sent: dict[str, Any]) -> tuple[int, Any]:
        books = self.books
        if kind in ("submit", "dry_run"):
            dry = kind == "dry_run"
            if "complex-orders" in path:
                return 201, _data(self._complex(sent, dry=dry))
            order = wire.order_of(sent)
            books.check(order)
            if not dry:
                self.received.append(order.external)
                books.accept(order)
            return 201, _data({"order": wire.order_json(books, order, dry=dry), **wire.effects_json()})
        if "complex-orders" in path:
            group = books.group(number)
            if group is None:
                return _missing()
            for one in (group.trigger, *group.orders):
                if one is not None and one.works:
                    books.cancel(one)
            return 200, _data(wire.group_json(books, group))
        found = books.order(number)
        if found is None:
            return _missing()
        if kind == "order":
            return 200, _data(wire.order_json(books, found))
        if kind == "cancel":
            books.cancel(found)
            return 200, _data(wire.order_json(books, found))
        new = wire.order_of({**sent, "legs": []})
        return 200, _data(
            wire.order_json(books, books.replace(found, new.kind, new.price, new.stop, new.tif))
        )

    def _complex(self, sent: dict[str, Any], *, dry: bool) -> dict[str, Any]:
        books = self.books
        trigger = wire.order_of(sent["trigger-order"]) if "trigger-order" in sent else None
        orders = [wire.order_of(one) for one in sent["orders"]]
        if sent["type"] != "OTO" and sorted(one.kind == "Limit" for one in orders) != [False, True]:
            raise Refused(
                "invalid_oco_order_type_combo",
                "OCO Orders must have one Limit order and one Stop or Stop Limit order.",
            )
        for one in (trigger, *orders):
            if one is not None:
                books.check(one, child=one is not trigger and trigger is not None)
        if dry:
            group = Group(0, sent["type"], trigger, orders)
        else:
            first: Placed = trigger if trigger is not None else orders[0]
            self.received.append(first.external)
            group = books.accept_group(sent["type"], trigger, orders)
        return {"complex-order": wire.group_json(books, group, dry=dry), **wire.effects_json()}

    def _changed(self, kind: str, what: Any) -> None:
        if self.mute_stream:
            return
        books = self.books
        data = (
            wire.order_json(books, what)
            if kind == "Order"
            else wire.position_json(books, what, books.held.get(what, 0.0))
        )
        message = {"type": kind, "data": data, "timestamp": int(books.now.timestamp() * 1000)}
        for loop, queue in self._streams:
            loop.call_soon_threadsafe(queue.put_nowait, message)

    async def _stream(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        await receive()
        await send({"type": "websocket.accept"})
        entry = (asyncio.get_running_loop(), queue)

        async def tell() -> None:
            while True:
                message = await queue.get()
                if message is None:
                    await send({"type": "websocket.close", "code": 1001, "reason": "going away"})
                    return
                await send({"type": "websocket.send", "text": json.dumps(message)})

        telling = asyncio.create_task(tell())
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                asked = json.loads(message["text"])
                good = asked.get("auth-token") == f"Bearer canary-token-{self.tokens}"
                answer: Message = {
                    "status": "ok" if good else "error", "action": asked["action"],
                    "web-socket-session-id": "1", "value": asked.get("value"),
                    "request-id": asked["request-id"],
                }  # fmt: skip
                if not good:
                    answer["message"] = "not-authorized"
                queue.put_nowait(answer)
                if good and asked["action"] == "connect":
                    self.subscribed.append(asked.get("value"))
                    self._streams.append(entry)
        finally:
            telling.cancel()
            if entry in self._streams:
                self._streams.remove(entry)


class Transport(httpx2.AsyncBaseTransport):
    """Carries requests to a server in this process; safe to be closed by whoever was given it."""

    def __init__(self, server: TastytradeServer) -> None:
        self._plain = httpx2.ASGITransport(app=server.app)  # type: ignore[arg-type]
        self._server = server
        self._tasks: set[asyncio.Future[None]] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme not in ("ws", "wss"):
            return await self._plain.handle_async_request(request)
        scope = {
            "type": "websocket", "path": request.url.path, "headers": [
                (name.lower(), value) for name, value in request.headers.raw
            ],
        }  # fmt: skip
        stream = ASGIWebSocketAsyncNetworkStream(
            self._server.app, scope, self  # type: ignore[arg-type]
        )  # fmt: skip
        _, accepted = await stream.__aenter__()
        lines = accepted.decode().splitlines()[1:]
        headers = dict(line.split(": ", 1) for line in lines if line.strip())
        return httpx2.Response(101, headers=headers, extensions={"network_stream": stream})

    def start_soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run what a stream needs beside it."""
        task = asyncio.ensure_future(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_KINDS: Final = (
    ("POST", r"/oauth/token", "token"),
    ("GET", r"/customers/me/accounts.*", "account"),
    ("GET", r"/accounts/\w+/balances/\w+", "balances"),
    ("GET", r"/accounts/\w+/positions", "positions"),
    ("GET", r"/accounts/\w+/trading-status", "status"),
    ("GET", r"/accounts/\w+/orders/live", "live"),
    ("GET", r"/accounts/\w+/orders", "history"),
    ("GET", r"/accounts/\w+/orders/\d+", "order"),
    ("GET", r"/accounts/\w+/transactions", "transactions"),
    ("POST", r"/accounts/\w+/(complex-)?orders/dry-run", "dry_run"),
    ("POST", r"/accounts/\w+/(complex-)?orders", "submit"),
    ("PUT", r"/accounts/\w+/orders/\d+", "replace"),
    ("DELETE", r"/accounts/\w+/(complex-)?orders/\d+", "cancel"),
    ("GET", r"/market-data/by-type", "market"),
    ("GET", r"/market-metrics", "metrics"),
    ("GET", r"/option-chains/[^/]+/nested", "chain"),
    ("GET", r"/api-quote-tokens", "quote_token"),
    ("GET", r"/market-metrics/historic-corporate-events/dividends/.+", "dividends"),
)


def _kind(method: str, path: str) -> str:
    return next(
        (kind for verb, pattern, kind in _KINDS if verb == method and re.fullmatch(pattern, path)),
        f"{method} {path}",
    )


def _data(content: Any) -> dict[str, Any]:
    return {"data": content, "context": "/"}


def _page(items: list[Any], query: dict[str, list[str]]) -> dict[str, Any]:
    size, number = int(query.get("per-page", ["10"])[0]), int(query.get("page-offset", ["0"])[0])
    pages = max(1, -(-len(items) // size))
    part = items[number * size : (number + 1) * size]
    head = {
        "per-page": size, "page-offset": number, "item-offset": number * size, "total-items": len(items),
        "total-pages": pages, "current-item-count": len(part),
    }  # fmt: skip
    return {"data": {"items": part}, "pagination": head}


def _missing() -> tuple[int, Any]:
    return 404, json.loads(_error("record_not_found", "Couldn't find the record"))


def _error(code: str, message: str) -> str:
    return json.dumps({"error": {"code": code, "message": message}})
