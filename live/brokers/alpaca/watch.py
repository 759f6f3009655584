"""The stream of trade updates, and the questions that check it.

alpaca-py's stream says what happens as it happens, and is not the truth: the cancel of a stop whose target
has filled never came over it (alpaca-py #198), a connection may be open and say nothing, and what happened
between two connections is not told later. So the broker is asked again and again, at once after a connection
has come back, and a difference from what was known is told as the stream would have told it.

The account has one stream. A second program that listens with the same keys may end the first one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from live.brokers.interface import BrokerOrder
from live.brokers.told import BrokerUpdate
from simulator.errors import TwinstepWarning, warn

if TYPE_CHECKING:
    from live.brokers.alpaca.broker import AlpacaBroker

__all__ = ["Watch"]

EVERY: Final = 30.0
"""Seconds between two looks at the broker while nothing is heard."""

_AFTER_NEWS: Final = 0.2  # seconds in which more news of the same event may come
_STOP_SECONDS: Final = 5.0
_OPEN_SECONDS: Final = 10.0
_PING_SECONDS: Final = 10.0

_quiet = logging.getLogger("twinstep.alpaca.wire")
_quiet.setLevel(logging.WARNING)  # at DEBUG the socket would write down the message with the secret in it


class Watch:
    """Listens to a stream, asks the broker, and tells both.

    Parameters
    ----------
    broker
        Who is asked.
    keys, url
        Of the stream; no url lets it be questions alone.
    every
        Seconds between two looks.
    pause
        Seconds before a second attempt to connect; longer each time.

    Attributes
    ----------
    heard, found : int
        Updates that the stream brought, and differences that only a question has shown.
    problem : str
        Why the last look had no answer, "" where it had one.
    """

    def __init__(
        self,
        broker: AlpacaBroker,
        *,
        keys: tuple[str, str],
        url: str | None,
        every: float = EVERY,
        pause: float = 1.0,
    ) -> None:
        self._broker, self._keys, self._url = broker, keys, url
        self._every, self._pause = every, pause
        self._listeners: list[Callable[[BrokerUpdate], None]] = []
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stream: Any = None
        self._orders: dict[str, BrokerOrder] | None = None
        self._held: dict[str, float] | None = None
        self._lock = threading.Lock()
        self.heard = self.found = 0
        self.problem = ""
        self.connected = False

    def listen(self, listener: Callable[[BrokerUpdate], None]) -> Callable[[], None]:
        """Tell `listener`, and start where nobody has listened before; returns what ends it."""
        self._listeners.append(listener)
        if not self._threads:
            self._start()

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return end

    def stop(self) -> None:
        """End the stream and the questions."""
        self._stopping.set()
        self._wake.set()
        stream = self._stream
        loop = getattr(stream, "_loop", None)
        if loop is not None and loop.is_running():
            with contextlib.suppress(RuntimeError, TimeoutError):
                asyncio.run_coroutine_threadsafe(_ended(stream), loop).result(_STOP_SECONDS)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_STOP_SECONDS)
        self._threads.clear()

    def look(self) -> int:
        """Ask the broker once, tell what has changed unheard, and return how many changes that were.

        Raises what the questions raise; then nothing is taken for changed.
        """
        with self._lock:
            orders = {order.order_id: order for order in self._broker.get_orders(open_only=True)}
            held = {one.symbol: one.quantity for one in self._broker.get_positions()}
            before, before_held = self._orders, self._held
            news: list[BrokerUpdate] = []
            if before is not None and before_held is not None:
                for name, old in before.items():
                    if name not in orders:
                        orders_now = self._broker.order(name)
                        news.append(_about(orders_now, f"it is {orders_now.state.label}"))
                    elif orders[name] != old:
                        news.append(_about(orders[name], "it has changed"))
                news += [_about(order, "it is new") for name, order in orders.items() if name not in before]
                news += [
                    BrokerUpdate(
                        kind="position",
                        symbol=symbol,
                        text=f"{held.get(symbol, 0.0):g} are held, found by asking",
                    )
                    for symbol in sorted(held.keys() | before_held.keys())
                    if held.get(symbol, 0.0) != before_held.get(symbol, 0.0)
                ]
            self._orders, self._held = orders, held
        self.found += len(news)
        for one in news:
            self.tell(one)
        return len(news)

    def tell(self, update: BrokerUpdate) -> None:
        """Tell all listeners; one that raises is warned about, and told the next."""
        for listener in list(self._listeners):
            try:
                listener(update)
            except Exception as error:
                with contextlib.suppress(TwinstepWarning):
                    warn(f"a listener failed on {update}: {error!r}", code="LIVE_LISTENER")

    def _start(self) -> None:
        self._stopping.clear()
        work: list[tuple[str, Callable[[], None]]] = [("alpaca-watch", self._ask_on)]
        if self._url is not None:
            work.append(("alpaca-stream", self._listen_on))
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in work]
        for thread in self._threads:
            thread.start()

    def _ask_on(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
                self._broker.end_day_entries()
                self.problem = ""
            except Exception as error:  # the next look may have an answer
                self.problem = f"{type(error).__name__}: {error}"
            if self._wake.wait(self._every) and not self._stopping.wait(_AFTER_NEWS):
                self._wake.clear()

    def _listen_on(self) -> None:
        try:
            self._stream = _stream_of(self)
            asyncio.run(self._stream._run_forever())
        except Exception as error:
            # the questions go on without it
            self.problem = f"the stream ended: {type(error).__name__}"
        finally:
            self.say_connected(connected=False)

    def say_connected(self, *, connected: bool) -> None:
        """Take in that the stream stands, or has broken."""
        if connected != self.connected:
            self.connected = connected
            self.tell(BrokerUpdate(kind="connected" if connected else "lost", text="the stream of updates"))
        self._wake.set()

    async def hear(self, message: Any) -> None:
        """Take in a message of the stream."""
        self.heard += 1
        data = message.get("data") or {}
        raw, event = data.get("order") or {}, str(data.get("event"))
        self.tell(
            BrokerUpdate(
                kind="fill" if event in ("fill", "partial_fill") else "order",
                symbol=str(raw.get("symbol") or ""),
                order_id=str(raw.get("id") or ""),
                client_order_id=str(raw.get("client_order_id") or ""),
                text=event,
            )
        )
        self._wake.set()

    @property
    def terms(self) -> tuple[tuple[str, str], str, float]:
        """Keys, address and first pause of the stream."""
        return self._keys, self._url or "", self._pause


def _stream_of(watch: Watch) -> Any:
    from alpaca.trading.stream import TradingStream

    class Updates(TradingStream):
        """Says when it is connected, and ends its connection for good when it is told to."""

        async def _start_ws(self) -> None:
            await asyncio.wait_for(super()._start_ws(), _OPEN_SECONDS)  # type: ignore[no-untyped-call]
            watch.say_connected(connected=True)

        async def close(self) -> None:
            watch.say_connected(connected=False)
            await super().close()

    keys, url, pause = watch.terms
    stream = Updates(
        *keys,
        raw_data=True,
        url_override=url,
        websocket_params={
            "ping_interval": _PING_SECONDS, "ping_timeout": 2 * _PING_SECONDS, "close_timeout": 1.0,
            "logger": _quiet,
        },
    )  # fmt: skip
    stream._reconnect_min_backoff = pause
    listen: Callable[[Any], Coroutine[Any, Any, None]] = watch.hear
    stream.subscribe_trade_updates(listen)
    return stream


async def _ended(stream: Any) -> None:
    await stream.stop_ws()
    await stream.close()


def _about(order: BrokerOrder, words: str) -> BrokerUpdate:
    return BrokerUpdate(
        kind="order",
        symbol=order.legs[0].symbol if len(order.legs) == 1 else "",
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        text=f"{words}, found by asking",
    )
