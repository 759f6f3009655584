"""Quotes and Greeks of options as they change, from tastytrade's stream: for packages whose exits need them.

A quote counts only while it is young: a contract that nobody quotes any more keeps its last price for ever,
and so does a stream that has gone mute; and of a quote that loses a side the library tells nothing at all.
`usable` is the only question that a decision should ask. Greeks come when they are computed, every few
seconds at best, and are put beside the quote for as long as they are young themselves.

>>> stream = DxlinkOptionQuotes(["SPY261218P00500000"], credentials=keys)      # doctest: +SKIP
>>> stream.usable("SPY261218P00500000", within=5.0)                           # doctest: +SKIP
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from live.brokers.interface import is_option
from live.brokers.tastytrade.dxlink import Greeks, Stream, from_streamer, greeks, number
from live.brokers.tastytrade.line import Line
from live.brokers.tastytrade.symbols import streamer
from live.brokers.told import Quote
from live.clock import Clock, system_clock
from live.feeds.backoff import Backoff
from live.feeds.dxlink_stream import DxlinkRunner
from live.feeds.grid import Grid
from simulator.bars.arrays import SECOND
from simulator.errors import ConfigError, UnknownNameError

__all__ = ["DxlinkOptionQuotes"]

SILENCE_SECONDS: Final = 60.0
YOUNG_SECONDS: Final = 15.0
GREEKS_SECONDS: Final = 300.0
"""How old Greeks may be that are put beside a quote."""


class DxlinkOptionQuotes:
    """The newest quotes of some contracts with their Greeks; safe between threads.

    Parameters
    ----------
    symbols
        OCC symbols without padding.
    credentials
        "secret" and "refresh".
    keys
        "live" or "sandbox": of which environment the credentials are.
    calendar
        Within whose sessions silence counts.
    silence
        Seconds without an event after which a connection counts as broken.
    url, transport
        In place of tastytrade's, of this machine only.

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
        keys: str = "live",
        calendar: str = "XNYS",
        silence: float = SILENCE_SECONDS,
        reconnect: Backoff | None = None,
        url: str | None = None,
        transport: Any = None,
        timeout: float = 10.0,
        clock: Clock = system_clock,
    ) -> None:
        strange = [symbol for symbol in symbols if not is_option(symbol)]
        if strange or not symbols:
            raise UnknownNameError(
                f"no option: {', '.join(strange) or 'nothing was named'}; write SPY261218P00500000",
                code="NAME_CONTRACT",
            )
        if keys not in ("live", "sandbox"):
            raise ConfigError(f"keys is {keys!r}; there are live and sandbox", code="FEED_SETTING")
        self.symbols = tuple(dict.fromkeys(symbols))
        self.messages = self.unknown = 0
        self._clock = clock
        self._grid = Grid(calendar, "1m")
        self._quotes: dict[str, Quote] = {}
        self._greeks: dict[str, tuple[datetime, Greeks]] = {}
        self._guard = threading.Lock()
        self._listeners: list[Callable[[Quote], object]] = []
        self._line = Line(
            credentials["secret"], credentials["refresh"], sandbox=keys == "sandbox", timeout=timeout,
            url=url, transport=transport,
        )  # fmt: skip
        self._runner = DxlinkRunner(
            self._line, name="tastytrade-options", subscribe=self._subscribe, connected=lambda stands: None,
            hear={"Quote": self._hear_quote, "Greeks": self._hear_greeks}, due=self._in_session,
            silence=silence, backoff=reconnect,
        )  # fmt: skip

    def start(self) -> DxlinkOptionQuotes:
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
        """Return the newest quotes, however old, with the Greeks that are known."""
        with self._guard:
            return {symbol: self._whole(quote) for symbol, quote in self._quotes.items()}

    def usable(self, symbol: str, *, within: float = YOUNG_SECONDS) -> Quote | None:
        """Return the quote of a contract if it has two sides, is not crossed nor late, and young; else None.

        Raises `UnknownNameError` NAME_CONTRACT for a contract that is not listened to.
        """
        if symbol not in self.symbols:
            raise UnknownNameError(f"{symbol} is not listened to", code="NAME_CONTRACT")
        with self._guard:
            quote = self._quotes.get(symbol)
            if quote is None or not quote.is_usable:
                return None
            age = self._clock() - quote.time
            return self._whole(quote) if abs(age) <= timedelta(seconds=within) else None

    def status(self) -> dict[str, Any]:
        """Return where the stream stands, as plain values."""
        runner = self._runner
        return {
            "connected": runner.stands, "messages": self.messages, "quoted": len(self.quotes()),
            "connections": runner.connections, "silences": runner.silences, "level": runner.level,
            "delayed": runner.is_delayed,
        }  # fmt: skip

    def _whole(self, quote: Quote) -> Quote:
        """Return a quote with the Greeks of its contract, where they are young."""
        when, known = self._greeks.get(quote.symbol, (quote.time, Greeks()))
        if self._clock() - when > timedelta(seconds=GREEKS_SECONDS):
            known = Greeks()
        return Quote(
            symbol=quote.symbol, time=quote.time, bid=quote.bid, ask=quote.ask, is_delayed=quote.is_delayed,
            **known._asdict(),
        )  # fmt: skip

    def _in_session(self) -> bool:
        return self._grid.at(int(self._clock().timestamp()) * SECOND) is not None

    async def _subscribe(self, stream: Stream) -> None:
        names = [streamer(symbol) for symbol in self.symbols]
        for kind in ("Quote", "Greeks"):
            await stream.subscribe(kind, names)

    def _hear_quote(self, event: Any) -> None:
        symbol = self._symbol(event)
        if symbol is None:
            return
        now, stamp = self._clock(), max(int(event.bid_time), int(event.ask_time))
        quote = Quote(
            symbol=symbol, time=now if stamp <= 0 else datetime.fromtimestamp(stamp / 1000.0, UTC),
            bid=number(event.bid_price), ask=number(event.ask_price), is_delayed=self._runner.is_delayed,
        )  # fmt: skip
        with self._guard:
            before = self._quotes.get(symbol)
            if before is not None and before.time > quote.time:
                return  # quotes may overtake each other on their way
            self._quotes[symbol] = quote
            whole = self._whole(quote)
        for callback in list(self._listeners):
            callback(whole)

    def _hear_greeks(self, event: Any) -> None:
        symbol = self._symbol(event)
        if symbol is None or event.remove:
            return
        now = self._clock()
        when = now if event.time <= 0 else datetime.fromtimestamp(event.time / 1000.0, UTC)
        with self._guard:
            before = self._greeks.get(symbol)
            if before is None or before[0] <= when:
                self._greeks[symbol] = (when, greeks(event))

    def _symbol(self, event: Any) -> str | None:
        self.messages += 1
        symbol = from_streamer(event.event_symbol)
        if symbol in self.symbols:
            return symbol
        self.unknown += 1
        return None
