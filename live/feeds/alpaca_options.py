"""Quotes of options as they change, from Alpaca's stream: for packages whose exits depend on them.

Without a subscription the service quotes "indicative" prices, which are modified and late: good enough to
look at, not to trade on, and `is_delayed` says so. A quote counts only while it is young: a contract that
nobody quotes any more keeps its last price for ever, and so does a stream that has gone mute. `usable` is the
only question that a decision should ask.

>>> stream = AlpacaOptionQuotes(["SPY261218P00500000"], credentials=keys)      # doctest: +SKIP
>>> stream.usable("SPY261218P00500000", within=5.0)                           # doctest: +SKIP
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from live.brokers.alpaca.line import Line
from live.brokers.interface import is_option
from live.brokers.told import Quote
from live.clock import Clock, system_clock
from live.feeds.alpaca_stream import StreamRunner
from live.feeds.grid import Grid
from simulator.bars.arrays import SECOND
from simulator.errors import ConfigError, UnknownNameError

__all__ = ["AlpacaOptionQuotes"]

SILENCE_SECONDS: Final = 60.0
YOUNG_SECONDS: Final = 15.0


class AlpacaOptionQuotes:
    """The newest quotes of some contracts; safe between threads.

    Parameters
    ----------
    symbols
        OCC symbols without padding.
    credentials
        "key" and "secret".
    feed
        "indicative", or "opra" with a subscription.
    calendar
        Within whose sessions silence counts.
    silence
        Seconds without a message after which a connection counts as broken.
    stream_url
        Of the service.

    Raises
    ------
    UnknownNameError
        NAME_CONTRACT for a symbol that is none of an option, or for none.
    ConfigError
        FEED_SETTING, LIVE_BROKER_CONFIG.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        credentials: Mapping[str, str],
        feed: str = "indicative",
        calendar: str = "XNYS",
        silence: float = SILENCE_SECONDS,
        reconnect_pause: float = 1.0,
        stream_url: str | None = None,
        clock: Clock = system_clock,
    ) -> None:
        strange = [symbol for symbol in symbols if not is_option(symbol)]
        if strange or not symbols:
            raise UnknownNameError(
                f"no option: {', '.join(strange) or 'nothing was named'}; write SPY261218P00500000",
                code="NAME_CONTRACT",
            )
        if feed not in ("indicative", "opra"):
            raise ConfigError(f"feed is {feed!r}; there are indicative and opra", code="FEED_SETTING")
        self.symbols = tuple(dict.fromkeys(symbols))
        self.messages = 0
        self.connected = False
        self._delayed = feed != "opra"
        self._clock = clock
        self._grid = Grid(calendar, "1m")
        self._quotes: dict[str, Quote] = {}
        self._guard = threading.Lock()
        self._listeners: list[Callable[[Quote], object]] = []
        self._line = Line(credentials, paper=True, url=None, data_url=None, timeout=10.0, limiter=None)
        self._runner = self._make_runner(feed, stream_url, silence, reconnect_pause)

    def start(self) -> AlpacaOptionQuotes:
        """Begin to listen."""
        self._runner.start()
        return self

    def close(self) -> None:
        """End the stream."""
        self._runner.stop()
        self._line.close()

    def on_quote(self, callback: Callable[[Quote], object]) -> None:
        """Have a callback told of every quote, on the thread of the stream."""
        self._listeners.append(callback)

    def quotes(self) -> dict[str, Quote]:
        """Return the newest quotes, however old."""
        with self._guard:
            return dict(self._quotes)

    def usable(self, symbol: str, *, within: float = YOUNG_SECONDS) -> Quote | None:
        """Return the quote of a contract if it has two sides, is not crossed, and is young; else None.

        Raises `UnknownNameError` NAME_CONTRACT for a contract that is not listened to.
        """
        if symbol not in self.symbols:
            raise UnknownNameError(f"{symbol} is not listened to", code="NAME_CONTRACT")
        with self._guard:
            quote = self._quotes.get(symbol)
        if quote is None or not 0.0 < quote.bid <= quote.ask:
            return None
        age = self._clock() - quote.time
        return quote if abs(age) <= timedelta(seconds=within) else None

    def status(self) -> dict[str, Any]:
        """Return where the stream stands, as plain values."""
        return {
            "connected": self.connected, "messages": self.messages, "quoted": len(self.quotes()),
            "connections": self._runner.connections, "silences": self._runner.silences,
            "delayed": self._delayed,
        }  # fmt: skip

    def _make_runner(self, feed: str, url: str | None, silence: float, pause: float) -> StreamRunner:
        from alpaca.data.enums import OptionsFeed
        from alpaca.data.live.option import OptionDataStream

        from live.brokers.alpaca.line import trusted_address

        address = None if url is None else trusted_address(url)

        def make(kind: type[Any], **named: Any) -> Any:
            stream = kind(
                *self._line.keys, raw_data=True, feed=OptionsFeed(feed), url_override=address, **named
            )
            stream.subscribe_quotes(self._hear, *self.symbols)
            return stream

        def stands(connected: bool) -> None:
            self.connected = connected

        return StreamRunner(
            make, OptionDataStream, name="alpaca-options", connected=stands, due=self._in_session,
            silence=silence, pause=pause,
        )  # fmt: skip

    def _in_session(self) -> bool:
        return self._grid.at(int(self._clock().timestamp()) * SECOND) is not None

    async def _hear(self, message: Mapping[str, Any]) -> None:
        self.messages += 1
        self._runner.heard()
        when, symbol = message.get("t"), str(message.get("S"))
        # msgpack has a class of its own for times
        stamp: Any = getattr(when, "to_datetime", lambda: when)()
        if not isinstance(stamp, datetime) or symbol not in self.symbols:
            return
        quote = Quote(
            symbol=symbol, time=stamp.astimezone(UTC), bid=_side(message.get("bp")),
            ask=_side(message.get("ap")), is_delayed=self._delayed,
        )  # fmt: skip
        with self._guard:
            before = self._quotes.get(symbol)
            if before is not None and before.time > quote.time:
                return  # quotes may overtake each other on their way
            self._quotes[symbol] = quote
        for callback in list(self._listeners):
            callback(quote)


def _side(value: Any) -> float:
    """Return a price, NaN where nobody is there: the service writes 0."""
    price = float(value) if isinstance(value, (int, float)) else math.nan
    return price if price > 0.0 else math.nan
