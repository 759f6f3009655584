"""Trade updates over a websocket: authenticate, listen, then every change of every order, in order.

As Alpaca's: a client says `{"action": "authenticate", "data": {"key_id": ..., "secret_key": ...}}` (or
`{"action": "auth", "key": ..., "secret": ...}`), is answered on the stream `authorization`, says
`{"action": "listen", "data": {"streams": ["trade_updates"]}}`, is answered on `listening`, and gets messages
of the stream `trade_updates` from then on. All frames of the server are binary, as the real server's are.

Nothing is sent again: who was not listening asks the orders themselves. A connection that does not read is
closed when 65,536 messages wait for it, rather than that some of them are left out.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from live.exchange.guard import Keys

__all__ = ["MOST_CONNECTIONS", "MOST_WAITING", "Hub"]

MOST_CONNECTIONS: Final = 16
MOST_WAITING: Final = 65_536
"""Messages that may wait for one connection."""
LOGIN_SECONDS: Final = 10.0
UPDATES: Final = "trade_updates"

_POLICY: Final = 1008
_TRY_LATER: Final = 1013


class _Listener:
    """What waits to be sent on one connection; touched by the event loop's thread alone."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.wake = asyncio.Event()
        self.overrun = False
        self.listening = False

    def put(self, payload: bytes) -> None:
        # nothing after the first that did not fit: a gap would look like nothing had happened
        self.overrun = self.overrun or len(self.waiting) >= MOST_WAITING
        if not self.overrun:
            self.waiting.append(payload)
        self.wake.set()


class Hub:
    """Fans trade updates out to all connections that listen.

    `publish` may be called by any thread and does not wait; updates arrive in the order of the calls.

    Attributes
    ----------
    published, sent : int
        Updates that came in, and messages handed to connections.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.published = 0
        self.sent = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._listeners: set[_Listener] = set()
        self._open = 0
        self._count = threading.Lock()

    def bind(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Take the loop in which connections are served, called in its thread; or none any more."""
        self._loop, self._thread = loop, threading.get_ident()

    @property
    def listening(self) -> int:
        """Connections that get updates."""
        return sum(listener.listening for listener in list(self._listeners))

    def publish(self, make: Callable[[], dict[str, Any]]) -> None:
        """Send an update to all who listen; `make` is called at once, and only where anybody does."""
        with self._count:
            self.published += 1
        loop = self._loop
        if loop is None or not self._listeners:
            return
        payload = json.dumps({"stream": UPDATES, "data": make()}).encode()
        # also from the loop's own thread: going through the loop keeps the order of all threads
        later = loop.call_soon if threading.get_ident() == self._thread else loop.call_soon_threadsafe
        try:
            later(self._fan_out, payload)
        except RuntimeError:
            return  # the loop has just been closed, and all connections with it

    def _fan_out(self, payload: bytes) -> None:
        for listener in self._listeners:
            if listener.listening:
                listener.put(payload)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until either side ends it."""
        await socket.accept()
        if self._open >= MOST_CONNECTIONS:
            await socket.close(_TRY_LATER, "too many connections")
            return
        self._open += 1
        listener = _Listener()
        sender: asyncio.Task[None] | None = None
        try:
            if not await self._login(socket):
                return
            self._listeners.add(listener)
            sender = asyncio.create_task(self._send(socket, listener))
            while True:
                self._hear(_parsed(await socket.receive()), listener)
        except (WebSocketDisconnect, _Ended):
            return
        finally:
            self._open -= 1
            self._listeners.discard(listener)
            if sender is not None:
                sender.cancel()

    async def _login(self, socket: WebSocket) -> bool:
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                while True:
                    message = _parsed(await socket.receive())
                    action = message.get("action")
                    if self._known(message):
                        await _say(socket, _authorization("authorized", action))
                        return True
                    await _say(socket, _authorization("unauthorized", action))
                    if action in ("authenticate", "auth"):
                        await socket.close(_POLICY, "unauthorized")
                        return False
        except TimeoutError:
            await socket.close(_POLICY, "no authentication")
            return False

    def _known(self, message: dict[str, Any]) -> bool:
        data = message.get("data")
        if message.get("action") == "authenticate" and isinstance(data, dict):
            return self.keys.match(data.get("key_id"), data.get("secret_key"))
        if message.get("action") == "auth":
            return self.keys.match(message.get("key"), message.get("secret"))
        return False

    def _hear(self, message: dict[str, Any], listener: _Listener) -> None:
        action, data = message.get("action"), message.get("data")
        if action == "listen" and isinstance(data, dict) and isinstance(data.get("streams"), list):
            streams = [UPDATES] if UPDATES in data["streams"] else []
            listener.listening = bool(streams)
            listener.put(json.dumps({"stream": "listening", "data": {"streams": streams}}).encode())
        elif action in ("authenticate", "auth"):
            status = "authorized" if self._known(message) else "unauthorized"
            listener.put(json.dumps(_authorization(status, action)).encode())
        else:
            listener.put(json.dumps({"stream": "error", "data": {"error": "invalid message"}}).encode())

    async def _send(self, socket: WebSocket, listener: _Listener) -> None:
        try:
            while True:
                await listener.wake.wait()
                listener.wake.clear()
                while listener.waiting:
                    await socket.send_bytes(listener.waiting.popleft())
                    self.sent += 1
                if listener.overrun:
                    await socket.close(_POLICY, "too slow: messages would have been lost")
                    return
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # it went away while something was on its way; the reader notices too


class _Ended(Exception):
    """The client has gone."""


def _parsed(event: Any) -> dict[str, Any]:
    """Return a received frame as JSON; {} for what is none, so that it is answered and not fatal."""
    if event["type"] == "websocket.disconnect":
        raise _Ended
    try:
        message = json.loads(event.get("text") or event.get("bytes") or "")
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _authorization(status: str, action: object) -> dict[str, Any]:
    return {"stream": "authorization", "data": {"status": status, "action": str(action)}}


async def _say(socket: WebSocket, message: dict[str, Any]) -> None:
    await socket.send_bytes(json.dumps(message).encode())
