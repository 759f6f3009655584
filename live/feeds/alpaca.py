"""Bars of Alpaca as they are completed: told by its stream of bars, asked for where that does not tell.

The stream brings the bar of each minute when it is over, and bars of longer intervals are put together from
them. Not of trades: the service's bars leave out trades that make no price, such as odd lots and late ones.
What the stream cannot know is asked of the service, as `YahooFeed` does, whose rules for gaps, doubts, holds
and staleness all hold here: history, a session's first bar with its splits and dividends, bars that began
before the connection stood, minutes in which a symbol had no bar.

A stream that is connected and says nothing is ended after a while (`alpaca_stream`); until it speaks again
bars are asked for. If they do not come either, the feed goes stale by the calendar.

>>> feed = alpaca_feed_of("alpaca:AAPL,MSFT?interval=5m")                     # doctest: +SKIP
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import numpy as np

from live.brokers.alpaca.line import Line, NoAnswer
from live.brokers.errors import AccessRefused, BrokerError, RateLimited
from live.feeds.alpaca_bars import bars_of
from live.feeds.alpaca_stream import StreamRunner
from live.feeds.assembly import Assembly
from live.feeds.band import BAND
from live.feeds.grid import Slots
from live.feeds.yahoo import REACH, YahooFeed
from simulator.bars.arrays import DAY, MINUTE, Floats
from simulator.errors import ConfigError, FetchError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.bars.yahoo import Quoted

__all__ = ["AlpacaFeed", "alpaca_feed_of"]

SCHEME: Final = "alpaca:"
GRACE_SECONDS: Final = 3.0
"""How long after its end the stream's bar may arrive."""
SILENCE_SECONDS: Final = 60.0
KEPT_MINUTES: Final = 2_000
"""Minutes of the stream that are remembered, a session of extended hours and more."""

_SETTINGS: Final[dict[str, Callable[[str], Any]]] = {
    "interval": str, "calendar": str, "feed": str, "warm": int, "grace": float, "patience": float,
    "delay": float, "band": float, "stale_bars": int, "give_up": float, "silence": float,
}  # fmt: skip
_YES: Final = {"yes": True, "no": False}


class AlpacaFeed(YahooFeed):
    """A feed; beside its own settings it takes those of `YahooFeed`, of which Yahoo's client is not used.

    Parameters
    ----------
    symbols
        Tickers.
    credentials
        "key" and "secret".
    interval
        "1d", "1h", "30m", "15m", "5m" or "1m".
    feed
        "iex", or "sip" with a subscription.
    stream
        Whether the stream is listened to; otherwise, and for daily bars, the service is asked.
    silence
        Seconds without a message, within a session, after which a connection counts as broken.
    url, stream_url
        Of the services.
    timeout
        Seconds that a request may take.

    Raises
    ------
    UnknownNameError
        NAME_SYMBOL where there is no symbol.
    ConfigError
        FEED_SETTING, FEED_BAND, LIVE_BROKER_CONFIG.
    MissingExtraError
        LIVE_EXTRA_ALPACA.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        credentials: Mapping[str, str],
        interval: str = "1m",
        feed: str = "iex",
        stream: bool = True,
        silence: float = SILENCE_SECONDS,
        reconnect_pause: float = 1.0,
        grace: float | None = None,
        band: float = BAND,
        sectors: Mapping[str, str] | None = None,
        url: str | None = None,
        stream_url: str | None = None,
        timeout: float = 10.0,
        **more: Any,
    ) -> None:
        if not [symbol for symbol in symbols if symbol.strip()]:
            raise UnknownNameError("a feed needs symbols: alpaca:AAPL,MSFT", code="NAME_SYMBOL")
        if feed not in ("iex", "sip"):
            raise ConfigError(f"feed is {feed!r}; there are iex and sip", code="FEED_SETTING")
        streams = stream and interval != "1d"
        grace = GRACE_SECONDS if grace is None and streams else grace
        super().__init__(symbols, interval=interval, grace=grace, band=band, sectors=sectors, **more)
        self.kind = "stream" if streams else "polling"
        self.name = f"{SCHEME}{','.join(self.symbols)}"
        self._assembly = Assembly(self.symbols, self.grid, sectors=sectors, name=self.name, band=band)
        self._line = Line(credentials, paper=True, url=None, data_url=url, timeout=timeout, limiter=None)
        self._source = feed
        self._minutes: dict[int, dict[int, tuple[float, ...]]] = {}
        self._minute_guard = threading.Lock()
        self._since: int | None = None  # since when the connection stands
        self._told_until = 0
        self.messages = 0
        self._runner = self._make_runner(stream_url, silence, reconnect_pause) if streams else None

    def status(self) -> dict[str, Any]:
        """Return where the feed stands, as plain values."""
        runner = self._runner
        return super().status() | {
            "connected": self._since is not None, "messages": self.messages, "data": self._source,
            "connections": 0 if runner is None else runner.connections,
            "silences": 0 if runner is None else runner.silences,
        }  # fmt: skip

    # The bars

    def _collect(self, due: Slots, stopped: Callable[[], bool]) -> tuple[list[Bars], Bars | None]:
        if len(due) == 1 and self._covers(due):
            values = self._told(due)
            here = {symbol for symbol, row in zip(self.symbols, values, strict=True) if not np.isnan(row[3])}
            if self._expected <= here:
                return [], self._expecting(self._assembly.single(due, values))
        return super()._collect(due, stopped)

    def _covers(self, due: Slots) -> bool:
        """Whether the stream has told of the whole bar, and what only the service knows is known."""
        if self._since is None or self._since > due.open[0] or self._assembly.unseeded:
            return False
        before = self._handed
        return before is not None and self.grid.session_of(before) == int(due.session[0])

    def _told(self, due: Slots) -> Floats:
        """Return the bar that the stream's minutes make, shape (S, 5), NaN where there was none."""
        values = np.full((len(self.symbols), 5), np.nan)
        with self._minute_guard:
            for minute in range(int(due.open[0]), int(due.close[0]), MINUTE):
                for column, row in self._minutes.get(minute, {}).items():
                    _, high, low, close, volume = row
                    old = values[column]
                    if np.isnan(old[3]):
                        values[column] = row
                    else:
                        values[column] = old[0], max(old[1], high), min(old[2], low), close, old[4] + volume
        return values

    def _ask(self, due: Slots, answers: dict[str, Quoted], newest: Slots) -> FetchError | None:
        """Ask for the symbols that are still lacking; returns the failure."""
        lacking = [symbol for symbol in self.symbols if not self._has(answers.get(symbol), newest)]
        if not lacking:
            return None
        first = int(due.session[0])
        reachable = (self.times.early - REACH[self.interval]) // DAY + 1
        since = min(first, *(max(self._assembly.wanted(symbol, first), reachable) for symbol in lacking))
        try:
            found = bars_of(
                self._line, lacking, since=since * DAY, now=self.times.early, grid=self.grid,
                feed=self._source,
            )  # fmt: skip
            if not found and not answers:
                raise FetchError(f"{self.name}: no bars since session {since}", code="FETCH_EMPTY")
        except (FetchError, BrokerError, NoAnswer) as error:
            self.failures += 1
            self.say("retry", str(error.args[0]))
            return _failure(error)
        answers.update(found)
        for quoted in found.values():
            if not self.grid.daily:
                self.times.shown(quoted.until)
        self._backoff.reset()
        self._answered = True
        return None

    def _data_until(self) -> int:
        return max(super()._data_until(), self._told_until)

    # The stream

    def _start(self) -> None:
        if self._runner is not None:
            self._runner.start()

    def _end(self) -> None:
        super()._end()
        if self._runner is not None:
            self._runner.stop()

    def close(self) -> None:
        """End the threads and the connections."""
        super().close()
        self._line.close()

    def _make_runner(self, url: str | None, silence: float, pause: float) -> StreamRunner:
        from alpaca.data.enums import DataFeed
        from alpaca.data.live.stock import StockDataStream

        from live.brokers.alpaca.line import trusted_address

        address = None if url is None else trusted_address(url)
        where = DataFeed.SIP if self._source == "sip" else DataFeed.IEX

        def make(kind: type[Any], **named: Any) -> Any:
            stream = kind(*self._line.keys, raw_data=True, feed=where, url_override=address, **named)
            stream.subscribe_bars(self._hear_bar, *self.symbols)
            stream.subscribe_updated_bars(self._hear_bar, *self.symbols)
            stream.subscribe_trades(self._hear_trade, *self.symbols)
            return stream

        return StreamRunner(
            make, StockDataStream, name="alpaca-data", connected=self._stands,
            due=lambda: self.grid.at(self.times.early) is not None, silence=silence, pause=pause,
        )  # fmt: skip

    def _stands(self, stands: bool) -> None:
        self._since = self.times.late if stands else None
        if not stands:
            self.say("reconnect", "the stream broke; bars are asked for until it is back")

    async def _hear_trade(self, message: Mapping[str, Any]) -> None:
        self._spoke(message, 0)

    async def _hear_bar(self, message: Mapping[str, Any]) -> None:
        when = self._spoke(message, MINUTE)
        symbol = message.get("S")
        if when is None or symbol not in self.symbols:
            return
        told = [message.get(name) for name in ("o", "h", "l", "c", "v")]
        if not all(isinstance(one, (int, float)) for one in told):
            return  # a bar without all of its numbers is asked for
        row = tuple(float(one) for one in told)  # type: ignore[arg-type]
        with self._minute_guard:
            self._minutes.setdefault(when // MINUTE * MINUTE, {})[self.symbols.index(symbol)] = row
            while len(self._minutes) > KEPT_MINUTES:
                del self._minutes[min(self._minutes)]

    def _spoke(self, message: Mapping[str, Any], length: int) -> int | None:
        """Take in that something was said, and of when; None where that cannot be."""
        self.messages += 1
        if self._runner is not None:
            self._runner.heard()
        when = _nanoseconds(message.get("t"))
        if when is not None and when <= self.times.late + MINUTE:
            self._told_until = max(self._told_until, when + length)
            self.times.shown(when + length)
        return when


def alpaca_feed_of(spec: str, *, credentials: Mapping[str, str] | None = None, **common: Any) -> AlpacaFeed:
    """Return the feed that a text names: `alpaca:AAPL,MSFT?interval=5m&feed=sip&stream=no`.

    Parameters
    ----------
    credentials
        None looks them up as `load_credentials` does.
    common
        Settings that the text may override.

    Raises
    ------
    ConfigError
        FEED_SPEC for a setting that does not exist or cannot be read; and what the feed raises.
    """
    names, _, query = spec.removeprefix(SCHEME).partition("?")
    settings = {name: value for name, value in common.items() if value is not None}
    for name, text in parse_qsl(query, keep_blank_values=True):
        settings[name] = _value(name, text, spec)
    if credentials is None:
        from live.brokers.credentials import load_credentials

        credentials = load_credentials("alpaca", ["key", "secret"])
    return AlpacaFeed(names.split(","), credentials=credentials, **settings)


def _value(name: str, text: str, spec: str) -> Any:
    if name == "stream":
        if text not in _YES:
            raise ConfigError(f"{spec}: stream is {text!r}; write stream=no or yes", code="FEED_SPEC")
        return _YES[text]
    if name not in _SETTINGS:
        raise ConfigError(
            f"{spec}: a live feed has no setting {name!r}.{did_you_mean(name, [*_SETTINGS, 'stream'])}",
            code="FEED_SPEC",
        )
    try:
        return _SETTINGS[name](text)
    except ValueError as error:
        raise ConfigError(f"{spec}: {name} is {text!r}, which is no number", code="FEED_SPEC") from error


def _failure(error: Exception) -> FetchError:
    """Return a failure under the name that the feed's rules know."""
    if isinstance(error, FetchError):
        return error
    code = "FETCH_FAILED"
    if isinstance(error, RateLimited):
        code = "FETCH_RATE_LIMIT"
    elif isinstance(error, NoAnswer):
        code = "FETCH_OFFLINE"
    words = str(error.args[0])
    hint = "; check the keys and the subscription" if isinstance(error, AccessRefused) else ""
    return FetchError(f"{words}{hint}", code=code)


def _nanoseconds(when: Any) -> int | None:
    """Return a time of the stream, in nanoseconds; None for what is none."""
    if hasattr(when, "to_unix_nano"):
        return int(when.to_unix_nano())
    if isinstance(when, datetime):
        since = when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return None
