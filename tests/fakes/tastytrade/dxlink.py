"""The market data of a tastytrade of the tests: a DXLink service over a websocket.

It speaks the protocol as it is documented and not as a client wants it: SETUP first, AUTH with a token that
is valid, a channel that is opened and set up before anything is subscribed to, compact data in the order of
the fields that the client has asked for, candles under their normalised symbol ("AAPL{=m,tho=true}" for
"AAPL{=1m,tho=true}"), snapshots newest first with their flags. What a client does wrong is kept in
`complaints`. What goes wrong here is switched on by the attributes of `Market`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TX_PENDING, REMOVE, BEGIN, END, SNIP = 0x1, 0x2, 0x4, 0x8, 0x10
_WHOLE: Final = frozenset(
    "eventTime eventFlags index time sequence count timeNanoPart bidTime askTime dayId size haltStartTime "
    "haltEndTime exDividendDayId openInterest prevDayId".split()
)
_WORDS: Final = frozenset(
    "bidExchangeCode askExchangeCode exchangeCode tickDirection description shortSaleRestriction "
    "tradingStatus statusReason".split()
)
_KINDS: Final = ("Candle", "Greeks", "Profile", "Quote", "Summary", "TheoPrice", "TimeAndSale", "Trade",
                 "Underlying")  # fmt: skip


@dataclass
class Market:
    """What there is to be told, and what goes wrong.

    Attributes
    ----------
    candles
        Rows by symbol and period ("AAPL", "m") and by time in milliseconds.
    last
        The newest event of another kind, by kind and symbol of the stream.
    dividends
        (date, amount) by symbol.
    level, url
        Of the quote token; "demo" and "delayed" are entitlements without real time.
    mute
        Whether no data are sent, while the connection lives.
    dead
        Whether nothing at all is sent, not even a keepalive.
    deaf
        Whether nobody is let in beyond the login.
    keepalive
        Seconds between those of the service.
    stall
        Candles of a snapshot after which it stops; None: it is complete.
    ends
        How a snapshot ends: "row" flags its last row, "removed" sends a removed row behind it, "snip" says
        that there may be more, "never" flags nothing.
    chunk
        Rows of a message.
    tokens, valid
        Quote tokens that were given out, and those that are taken.
    asked, removed
        Subscriptions, as (kind, symbol, from when on), and those that were ended.
    complaints
        What clients have done wrong.
    """

    level: str = "api"
    url: str = "wss://dxlink.test/realtime"
    mute: bool = False
    dead: bool = False
    deaf: bool = False
    keepalive: float = 30.0
    stall: int | None = None
    ends: str = "row"
    chunk: int = 100
    tokens: int = 0
    valid: set[str] = field(default_factory=set)
    candles: dict[tuple[str, str], dict[int, dict[str, Any]]] = field(default_factory=dict)
    last: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    dividends: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    keepalives: int = 0
    connections: list[Connection] = field(default_factory=list)

    def token_json(self) -> dict[str, Any]:
        """Return a new quote token."""
        self.tokens += 1
        token = f"canary-quote-token-{self.tokens}"
        self.valid.add(token)
        return {"token": token, "dxlink-url": self.url, "level": self.level}

    def expire(self) -> None:
        """Let all quote tokens end, and say so to who is connected."""
        self.valid.clear()
        for one in list(self.connections):
            one.put({"type": "AUTH_STATE", "channel": 0, "state": "UNAUTHORIZED"})

    def drop(self) -> None:
        """End all connections."""
        for one in list(self.connections):
            one.put(None)

    def fail(self, error: str = "TIMEOUT", message: str = "keepalive timeout") -> None:
        """Tell every client of a fatal error."""
        for one in list(self.connections):
            one.put({"type": "ERROR", "channel": 0, "error": error, "message": message})

    def raw(self, message: Message) -> None:
        """Send a message as it is."""
        for one in list(self.connections):
            one.put(message)

    def candle(self, symbol: str, time: int, row: dict[str, Any], *, period: str = "m", **more: Any) -> None:
        """Keep a candle, and tell of it; `time` in milliseconds."""
        full = {"time": time, "index": time << 32, "sequence": 0, **row}
        self.candles.setdefault((symbol, period), {})[time] = full
        self.tell_candle(symbol, full | more, period=period)

    def tell_candle(self, symbol: str, row: dict[str, Any], *, period: str = "m") -> None:
        """Tell of a candle that nobody keeps."""
        for one in list(self.connections):
            for (kind, name), _ in list(one.subscribed.items()):
                if kind == "Candle" and _split(name)[:2] == (symbol, period):
                    one.data(kind, [{"eventSymbol": name} | row])

    def say(self, kind: str, symbol: str, **values: Any) -> None:
        """Keep an event of another kind as the newest, and tell of it."""
        row = {"eventSymbol": symbol, **values}
        self.last[kind, symbol] = row
        for one in list(self.connections):
            if (kind, symbol) in one.subscribed:
                one.data(kind, [row])

    def listeners(self, kind: str, symbol: str) -> int:
        """Return how many connections have subscribed to something."""
        return sum(
            any(one_kind == kind and _split(name)[0] == symbol for one_kind, name in one.subscribed)
            for one in list(self.connections)
        )

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await receive()
        await send({"type": "websocket.accept"})
        one = Connection(self, send)
        self.connections.append(one)
        work = [asyncio.create_task(one.tell()), asyncio.create_task(one.stay_alive())]
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                one.hear(json.loads(message["text"]))
        finally:
            for task in work:
                task.cancel()
            self.connections.remove(one)


class Connection:
    """One client."""

    def __init__(self, market: Market, send: Send) -> None:
        self._market, self._send = market, send
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._state = "new"
        self._channels: dict[int, dict[str, list[str]]] = {}
        self._homes: dict[str, int] = {}
        self.subscribed: dict[tuple[str, str], int] = {}

    def put(self, message: Message | None) -> None:
        """Send a message from any thread; None ends the connection."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, message)

    async def tell(self) -> None:
        while True:
            message = await self._queue.get()
            if message is None:
                await self._send({"type": "websocket.close", "code": 1001, "reason": "going away"})
                return
            if not self._market.dead:
                await self._send({"type": "websocket.send", "text": json.dumps(message)})

    async def stay_alive(self) -> None:
        while True:
            await asyncio.sleep(self._market.keepalive)
            self.put({"type": "KEEPALIVE", "channel": 0})

    def hear(self, message: Message) -> None:
        """Take in what a client says."""
        kind, channel = message["type"], message["channel"]
        if self._market.deaf and kind not in ("SETUP", "AUTH"):
            return
        if kind == "SETUP":
            self._state = "set up"
            self.put({"type": "SETUP", "channel": 0, "keepaliveTimeout": 60, "acceptKeepaliveTimeout": 60,
                      "version": "1.0-test"})  # fmt: skip
            self.put({"type": "AUTH_STATE", "channel": 0, "state": "UNAUTHORIZED"})
        elif kind == "KEEPALIVE":
            self._market.keepalives += 1
        elif self._state == "new":
            self._complain("INVALID_MESSAGE", f"{kind} before SETUP")
        elif kind == "AUTH":
            if message["token"] in self._market.valid:
                self._state = "authorized"
                self.put({"type": "AUTH_STATE", "channel": 0, "state": "AUTHORIZED", "userId": "1"})
            else:
                self._fatal("UNAUTHORIZED", "the token is not valid")
        elif self._state != "authorized":
            self._complain("UNAUTHORIZED", f"{kind} before AUTH")
        elif kind == "CHANNEL_REQUEST":
            self._channels[channel] = {}
            self.put({"type": "CHANNEL_OPENED", "channel": channel, "service": message["service"],
                      "parameters": message["parameters"]})  # fmt: skip
        elif channel not in self._channels:
            self._complain("INVALID_MESSAGE", f"{kind} on a channel that is not open")
        elif kind == "FEED_SETUP":
            self._channels[channel] = dict(message["acceptEventFields"])
            self._homes |= dict.fromkeys(message["acceptEventFields"], channel)
            self.put({"type": "FEED_CONFIG", "channel": channel, "dataFormat": message["acceptDataFormat"],
                      "aggregationPeriod": 0, "eventFields": message["acceptEventFields"]})  # fmt: skip
        elif kind == "FEED_SUBSCRIPTION":
            self._subscription(message)
        elif kind == "CHANNEL_CANCEL":
            del self._channels[channel]
            self.put({"type": "CHANNEL_CLOSED", "channel": channel})
        else:
            self._complain("INVALID_MESSAGE", f"{kind} is no message of a client")

    def data(self, kind: str, rows: list[dict[str, Any]]) -> None:
        """Send events of a kind, in the order of fields that was asked for."""
        if self._market.mute or kind not in self._homes or not rows:
            return
        channel = self._homes[kind]
        fields = self._channels[channel][kind]
        values = [row.get(name, _absent(name)) for row in rows for name in fields]
        self.put({"type": "FEED_DATA", "channel": channel, "data": [kind, values]})

    def _subscription(self, message: Message) -> None:
        for one in message.get("remove", ()):
            self._market.removed.append((one["type"], one["symbol"]))
            self.subscribed.pop((one["type"], normal(one["symbol"])), None)
        for one in message.get("add", ()):
            kind, symbol = one["type"], normal(one["symbol"])
            if kind not in _KINDS or kind not in self._homes:
                self._complain("INVALID_MESSAGE", f"{kind} was not set up")
                continue
            start = int(one.get("fromTime", 0))
            self._market.asked.append((kind, one["symbol"], start))
            self.subscribed[kind, symbol] = start
            if kind == "Candle":
                self._snapshot(symbol, start)
            elif (kind, symbol) in self._market.last:
                self.data(kind, [self._market.last[kind, symbol]])

    def _snapshot(self, name: str, start: int) -> None:
        """Send what there is since a time, newest first."""
        symbol, period, _ = _split(name)
        market = self._market
        kept = market.candles.get((symbol, period), {})
        rows = [dict(kept[time]) for time in sorted(kept, reverse=True) if time >= start]
        if market.ends == "removed" or not rows:
            rows.append({"time": start, "index": start << 32, "sequence": 0, "eventFlags": REMOVE})
        for number, row in enumerate(rows):
            flags = int(row.get("eventFlags", 0)) | (TX_PENDING if number < len(rows) - 1 else 0)
            row["eventFlags"] = flags | (BEGIN if number == 0 else 0)
            row["eventSymbol"] = name
        if market.ends != "never":
            rows[-1]["eventFlags"] |= SNIP if market.ends == "snip" else END
        else:
            rows[-1]["eventFlags"] |= TX_PENDING
        if market.stall is not None:
            rows = rows[: market.stall]
        for first in range(0, len(rows), market.chunk):
            self.data("Candle", rows[first : first + market.chunk])

    def _complain(self, error: str, words: str) -> None:
        self._market.complaints.append(words)
        self.put({"type": "ERROR", "channel": 0, "error": error, "message": words})

    def _fatal(self, error: str, words: str) -> None:
        self.put({"type": "ERROR", "channel": 0, "error": error, "message": words})
        self.put(None)


def normal(symbol: str) -> str:
    """Return a symbol as the service writes it: a period of one has no number."""
    return re.sub(r"\{=1([a-z])", r"{=\1", symbol)


def _split(symbol: str) -> tuple[str, str, str]:
    """Return ticker, period and the rest of a symbol of candles."""
    found = re.fullmatch(r"([^{]+)\{=(\w+)(.*)\}", symbol)
    return (symbol, "", "") if found is None else (found[1], found[2], found[3])


def _absent(name: str) -> Any:
    """Return what the service writes where it has nothing."""
    return 0 if name in _WHOLE else "" if name in _WORDS else "NaN"
