"""Bars of tastytrade as they are completed, by its stream of market data (DXLink).

The service builds candles itself and tells each change of the one that runs, so a bar is the candle of its
time once it is over: by the calendar, and by the stream, which must have passed its end. What came before the
connection, a gap and a session's first bar are the same subscription with an earlier beginning, answered with
a snapshot; until that has ended, nothing of it counts. The rules for doubts, holds, revisions and staleness
are those of `YahooFeed`. Quotes and halts make holds: a crossed quote, a price far from its quote, a halt.

tastytrade tells dividends, and tells splits to nobody before they show in the account: a split is a price
outside the band, and nothing is entered on it until it has held. Its sandbox has no market data to speak of,
so by default the login is that of real money, which is only read with.

>>> feed = dxlink_feed_of("tastytrade:AAPL,MSFT?interval=5m")                 # doctest: +SKIP
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import numpy as np

from live.brokers.errors import BrokerError, RateLimited
from live.brokers.tastytrade.dxlink import Stream, from_streamer, number
from live.brokers.tastytrade.line import Line, TastytradeDown
from live.brokers.tastytrade.symbols import streamer
from live.feeds.assembly import Assembly
from live.feeds.backoff import Backoff
from live.feeds.band import BAND
from live.feeds.dxlink_actions import Dividends
from live.feeds.dxlink_candles import MILLISECOND, CandleBook
from live.feeds.dxlink_pulse import Pulse
from live.feeds.dxlink_rows import quoted_of
from live.feeds.dxlink_stream import DxlinkRunner
from live.feeds.grid import Slots
from live.feeds.holds import Hold
from live.feeds.yahoo import REACH, YahooFeed
from simulator.bars.arrays import DAY, MINUTE
from simulator.errors import ConfigError, FetchError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from simulator.bars.yahoo import Quoted

__all__ = ["DxlinkFeed", "dxlink_feed_of"]

SCHEME: Final = "tastytrade:"
GRACE_SECONDS: Final = 3.0
"""How long after its end the last change of a candle may arrive."""
SILENCE_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 3.0  # how long one look waits for a connection
LONGEST_PAUSE: Final = 15.0  # between looks at a stream that does not stand, which are no requests
EARLY: Final = 2 * MINUTE  # before a session in which a silent stream is made anew
PERIODS: Final = {"1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "30m", "1d": "1d"}
"""Candles that bars are made of: those of an hour begin on the hour, and a session does not."""

_SETTINGS: Final[dict[str, Callable[[str], Any]]] = {
    "interval": str, "calendar": str, "keys": str, "warm": int, "grace": float, "patience": float,
    "delay": float, "band": float, "stale_bars": int, "give_up": float, "silence": float,
}  # fmt: skip


class DxlinkFeed(YahooFeed):
    """A feed; beside its own settings it takes those of `YahooFeed`, of which Yahoo's client is not used.

    Parameters
    ----------
    symbols
        Tickers, "BRK.B" for a class of shares.
    credentials
        "secret" and "refresh" of an OAuth application.
    keys
        "live" or "sandbox": of which environment the credentials are.
    interval
        "1d", "1h", "30m", "15m", "5m" or "1m".
    silence
        Seconds without a price, within a session, after which a connection counts as broken.
    reconnect
        Pauses between attempts to connect.
    url, transport
        In place of tastytrade's, of this machine only.
    timeout
        Seconds that a request, and a snapshot, may take.

    Raises
    ------
    UnknownNameError
        NAME_SYMBOL where there is no symbol.
    ConfigError
        FEED_SETTING, FEED_BAND, LIVE_BROKER_CONFIG, LIVE_CREDENTIALS.
    MissingExtraError
        LIVE_EXTRA_TASTYTRADE, when it is run.
    """

    kind = "stream"

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        credentials: Mapping[str, str],
        keys: str = "live",
        interval: str = "1m",
        silence: float = SILENCE_SECONDS,
        reconnect: Backoff | None = None,
        grace: float | None = None,
        band: float = BAND,
        sectors: Mapping[str, str] | None = None,
        url: str | None = None,
        transport: Any = None,
        timeout: float = 10.0,
        **more: Any,
    ) -> None:
        if not [symbol for symbol in symbols if symbol.strip()]:
            raise UnknownNameError("a feed needs symbols: tastytrade:AAPL,MSFT", code="NAME_SYMBOL")
        if keys not in ("live", "sandbox"):
            raise ConfigError(f"keys is {keys!r}; there are live and sandbox", code="FEED_SETTING")
        for name, value in (("silence", silence), ("timeout", timeout)):
            if not 0.0 < value < float("inf"):
                raise ConfigError(
                    f"{name} of a feed is {value!r}; it is a number above 0", code="FEED_SETTING"
                )
        missing = [name for name in ("secret", "refresh") if not credentials.get(name)]
        if missing:
            raise ConfigError(
                f"tastytrade: no {' and no '.join(missing)} among the credentials", code="LIVE_CREDENTIALS"
            )
        grace = GRACE_SECONDS if grace is None and interval != "1d" else grace
        more.setdefault("backoff", Backoff(first=1.0, longest=LONGEST_PAUSE))
        super().__init__(symbols, interval=interval, grace=grace, band=band, sectors=sectors, **more)
        self.name = f"{SCHEME}{','.join(self.symbols)}"
        self._assembly = Assembly(self.symbols, self.grid, sectors=sectors, name=self.name, band=band)
        self._wide = band
        self._names = {symbol: streamer(symbol) for symbol in self.symbols}
        self._line = Line(
            credentials["secret"], credentials["refresh"], sandbox=keys == "sandbox", timeout=timeout,
            url=url, transport=transport,
        )  # fmt: skip
        self._book, self._pulse = CandleBook(self.symbols), Pulse(self.symbols)
        self._up = threading.Event()
        self._begins: dict[str, int] = {}  # from when on candles are subscribed to
        self._again: dict[str, int] = {}  # bars for which candles were asked for once more
        self._dividends = Dividends(self._line, lambda text: self.say("retry", text), seconds=self._steady)
        self._runner = DxlinkRunner(
            self._line, name="tastytrade-data", subscribe=self._subscribe, connected=self._stands,
            hear={"Candle": self._hear_candle, "Quote": self._hear_quote, "Trade": self._hear_trade,
                  "Profile": self._hear_profile},
            due=self._prices_are_due, silence=silence, backoff=reconnect,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        """Return where the feed stands, as plain values."""
        runner, pulse = self._runner, self._pulse
        return super().status() | {
            "connected": runner.stands, "connections": runner.connections, "silences": runner.silences,
            "level": runner.level, "delayed": self.is_delayed, "lag": pulse.lag(), "messages": pulse.events,
            "crossed_quotes": pulse.crossed, "halted": list(pulse.halted()),
        }  # fmt: skip

    @property
    def is_delayed(self) -> bool:
        """Whether prices come late: by the entitlement of the login, or by what trades show."""
        return self._runner.is_delayed or self._pulse.late

    # The bars

    def _ask(self, due: Slots, answers: dict[str, Quoted], newest: Slots) -> FetchError | None:
        """Answer with the candles that are known, after subscribing where they are not; or the failure."""
        lacking = [symbol for symbol in self.symbols if not self._has(answers.get(symbol), newest)]
        if not lacking:
            return None
        begins = self._wanted(due, lacking)
        self._begins |= begins
        failed = self._cover(begins, newest)
        for symbol in lacking:
            if self._book.covers(symbol, begins[symbol]):
                found = quoted_of(
                    *self._book.rows(symbol, begins[symbol]), grid=self.grid,
                    actions=self._dividends.of(symbol, int(newest.session[0])),
                    until=self._pulse.until(symbol),
                )  # fmt: skip
                if found is not None:
                    answers[symbol] = found
        if failed is None and not answers:
            failed = FetchError(f"{self.name}: no candles, of no symbol", code="FETCH_EMPTY")
        if failed is not None:
            self.failures += 1
            self.say("retry", str(failed.args[0]))
            return failed
        self._backoff.reset()
        self._answered = True
        return None

    def _wanted(self, due: Slots, symbols: Sequence[str]) -> dict[str, int]:
        """Return from when on (UTC ns) candles of some symbols are needed."""
        first = int(due.session[0])
        reachable = (self.times.early - REACH[self.interval]) // DAY + 1
        found = {}
        for symbol in symbols:
            session = min(first, max(self._assembly.wanted(symbol, first), reachable))
            slots = self.grid.between((session - 2) * DAY, (session + 4) * DAY)
            slots = slots[slots.session >= session]
            found[symbol] = (
                session * DAY if self.grid.daily or not len(slots) else min(int(slots.open[0]), session * DAY)
            )
        return found

    def _cover(self, begins: Mapping[str, int], newest: Slots) -> FetchError | None:
        """See to it that candles are known from some times on; returns the failure."""
        ends = time.monotonic() + min(CONNECT_SECONDS, self._line.timeout)
        while not self._up.wait(0.02) and self._runner.problem is None and time.monotonic() < ends:
            pass
        if not self._runner.stands:
            return _failure(self._runner.problem or TastytradeDown("there is no connection yet"))
        lost = [symbol for symbol in begins if self._is_lost(symbol, newest)]
        need = [
            symbol
            for symbol, begin in begins.items()
            if symbol in lost or not self._book.covers(symbol, begin)
        ]
        fresh = {}
        for symbol in need:
            asked = self._book.asked(symbol)
            if symbol in lost or asked is None or asked > begins[symbol]:
                fresh[symbol] = begins[symbol]
        timeout = self._line.timeout
        if fresh and not self._runner.ask(
            lambda stream: self._subscribe_candles(stream, fresh), timeout=timeout
        ):
            return _failure(self._runner.problem or TastytradeDown("the connection has ended"))
        if need and not self._book.wait(need, timeout):
            self._book.give_up(need)
            return FetchError(
                f"the candles of {', '.join(need)} did not come within {timeout:g} s", code="FETCH_OFFLINE"
            )
        return None

    def _is_lost(self, symbol: str, newest: Slots) -> bool:
        """Whether a symbol was traded in the newest bar and has no candle for it, which is found once."""
        begin, end, ts = int(newest.open[0]), int(newest.close[0]), int(newest.ts[0])
        if self.grid.daily or self._again.get(symbol) == ts or not self._pulse.traded_in(symbol, begin, end):
            return False
        times, _ = self._book.rows(symbol, begin)
        if (times < end).any():
            return False
        self._again[symbol] = ts
        return True

    def _unfinished(self, newest: Slots, answers: Mapping[str, Quoted]) -> tuple[Hold, ...]:
        """Add what quotes and halts say against entering on the newest bar."""
        found = list(super()._unfinished(newest, answers))
        ts, halted = int(newest.ts[0]), self._pulse.halted()
        for symbol in self.symbols:
            if symbol in halted:
                found.append(Hold(ts, symbol, "STALE_QUOTE", "its trading is halted"))
            quote = self._pulse.sides(symbol, self.times.late)
            if quote is None:
                continue
            answer = answers.get(symbol)
            if quote.crossed:
                found.append(Hold(ts, symbol, "STALE_QUOTE", "its bid is above its ask"))
            elif answer is not None and ts in answer.ts and 0.0 < quote.bid <= quote.ask:
                close = float(answer.values[np.searchsorted(answer.ts, ts), 3])
                middle = (quote.bid + quote.ask) / 2.0
                if close > 0.0 and abs(close / middle - 1.0) > self._wide:
                    text = f"{close:g} where it is quoted {quote.bid:g} to {quote.ask:g}"
                    found.append(Hold(ts, symbol, "PRICE_BAND", text))
        return tuple(found)

    def _data_until(self) -> int:
        handed = super()._data_until()
        candles = [at for at in map(self._book.newest, self.symbols) if at is not None]
        if self.grid.daily or not candles:
            return max(handed, self._pulse.newest())
        told = max(candles) + self.grid.length
        traded = max(map(self._pulse.traded, self.symbols))
        # where trades go on and candles do not, it is the candles that are frozen
        return max(handed, told if traded > told + self.grid.length else self._pulse.newest())

    def _pause(self, seconds: float, stopped: Callable[[], bool]) -> None:
        """Wait, and no longer than until there is a new connection."""
        seen = self._runner.connections
        super()._pause(seconds, lambda: stopped() or self._runner.connections != seen)

    # The stream

    def _start(self) -> None:
        self._runner.start()

    def _end(self) -> None:
        super()._end()
        self._runner.stop()

    def close(self) -> None:
        """End the threads and the connections."""
        super().close()
        self._line.close()

    async def _subscribe(self, stream: Stream) -> None:
        self._book.lost()
        self._pulse.connected()
        for kind in ("Quote", "Trade", "Profile"):
            await stream.subscribe(kind, self._names.values())
        if self._begins:
            await self._subscribe_candles(stream, dict(self._begins))

    async def _subscribe_candles(self, stream: Stream, begins: Mapping[str, int]) -> None:
        period, whole_day = PERIODS[self.interval], self.grid.calendar == "24/7"
        for symbol, begin in begins.items():
            name = self._names[symbol]
            if self._book.is_subscribed(symbol):
                await stream.streamer.unsubscribe_candle(name, period, whole_day)
            self._book.subscribed(symbol, begin)
            since = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=begin // MILLISECOND)
            await stream.streamer.subscribe_candle([name], period, since, whole_day)

    def _stands(self, stands: bool) -> None:
        if stands:
            self._up.set()
            if self._runner.is_delayed and not self.delay:
                self.say("retry", f"the prices of this login are late ({self._runner.level}): delay=900")
        else:
            self._up.clear()
            self._book.lost()
            if self._runner.stopping:
                return
            self.say("reconnect", f"the stream broke ({self._runner.words()}); it is made anew")

    def _prices_are_due(self) -> bool:
        now = self.times.early - int(self.delay * 1e9)
        return self.grid.at(now) is not None or self.grid.at(now + EARLY) is not None

    def _hear_candle(self, event: Any) -> None:
        at = self._book.take(event)
        if at is not None:
            self._pulse.candle(from_streamer(event.event_symbol), at, self.times.early)

    def _hear_trade(self, event: Any) -> None:
        when = int(event.time) * MILLISECOND
        self._pulse.trade(
            from_streamer(event.event_symbol), when, self.times.early,
            regular=not event.extended_trading_hours,
        )  # fmt: skip
        self.times.shown(when)

    def _hear_quote(self, event: Any) -> None:
        self._pulse.quote(
            from_streamer(event.event_symbol), number(event.bid_price), number(event.ask_price),
            max(int(event.bid_time), int(event.ask_time)) * MILLISECOND, self.times.early,
        )  # fmt: skip

    def _hear_profile(self, event: Any) -> None:
        self._pulse.halt(from_streamer(event.event_symbol), halted=event.trading_status == "HALTED")


def dxlink_feed_of(spec: str, *, credentials: Mapping[str, str] | None = None, **common: Any) -> DxlinkFeed:
    """Return the feed that a text names: `tastytrade:AAPL,MSFT?interval=5m&keys=live`.

    Parameters
    ----------
    credentials
        None looks them up as `load_credentials` does, those of `keys`.
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
        if name not in _SETTINGS:
            raise ConfigError(
                f"{spec}: a live feed has no setting {name!r}.{did_you_mean(name, _SETTINGS)}",
                code="FEED_SPEC",
            )
        try:
            settings[name] = _SETTINGS[name](text)
        except ValueError as error:
            raise ConfigError(f"{spec}: {name} is {text!r}, which is no number", code="FEED_SPEC") from error
    if credentials is None:
        from live.brokers.credentials import load_credentials

        paper = settings.get("keys", "live") == "sandbox"
        credentials = load_credentials("tastytrade", ["secret", "refresh"], paper=paper)
    return DxlinkFeed(names.split(","), credentials=credentials, **settings)


def _failure(error: Exception) -> FetchError:
    """Return a failure under the name that the feed's rules know."""
    code = "FETCH_OFFLINE"
    if isinstance(error, RateLimited):
        code = "FETCH_RATE_LIMIT"
    elif isinstance(error, BrokerError):
        code = "FETCH_FAILED"
    words = str(error.args[0]) if error.args else type(error).__name__
    hint = "; check the keys, and whether the account is open" if code == "FETCH_FAILED" else ""
    return FetchError(f"{words}{hint}", code=code)
