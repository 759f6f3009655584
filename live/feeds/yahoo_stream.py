"""Yahoo's stream of prices over a websocket, as bars.

Ticks build the running bar (`live.feeds.ticks`), and the calendar closes it. What ticks cannot know is asked
of the chart service, as `YahooFeed` does: history, gaps, a session's first bar with its splits and dividends,
bars that began before the connection stood or during which it broke, and bars without any tick.

The package that knows Yahoo's messages brings clients too, but one stops listening at the first error without
a word, and neither notices a connection that is open and silent. So this one speaks the protocol itself: it
subscribes again every 15 seconds, as Yahoo wants, takes a long silence within the session for a broken
connection, and comes back with growing pauses.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from live.feeds.backoff import Backoff
from live.feeds.grid import Slots
from live.feeds.ticks import Tick, TickBars
from live.feeds.timekeeper import TOLERANCE
from live.feeds.yahoo import YahooFeed
from simulator.bars.yahoo import DIGITS
from simulator.errors import MissingExtraError

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["STREAM_URL", "YahooStream"]

MILLISECOND: Final = 1_000_000  # nanoseconds
STREAM_URL: Final = "wss://streamer.finance.yahoo.com/?version=2"
SUBSCRIBE_SECONDS: Final = 15.0
SILENCE_SECONDS: Final = 60.0
OPEN_SECONDS: Final = 10.0
TICK_GRACE_SECONDS: Final = 2.0
"""How long after a bar's end its last ticks may arrive."""


class YahooStream(YahooFeed):
    """A streaming feed; it takes what `YahooFeed` takes, and a little more.

    Parameters
    ----------
    url
        Where the stream is.
    silence
        Seconds without a message, within a session, after which the connection counts as broken.
    reconnect
        Pauses between attempts to connect.

    Raises
    ------
    MissingExtraError
        FETCH_EXTRA where yfinance is not installed.
    """

    kind = "stream"

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        interval: str = "1m",
        url: str = STREAM_URL,
        silence: float = SILENCE_SECONDS,
        reconnect: Backoff | None = None,
        grace: float | None = None,
        **more: Any,
    ) -> None:
        grace = TICK_GRACE_SECONDS if grace is None and interval != "1d" else grace
        super().__init__(symbols, interval=interval, grace=grace, **more)
        self.url, self.silence = url, silence
        self._reconnect = reconnect or Backoff(first=1.0, longest=60.0)
        self._message, self._connect = _protocol()
        self.ticks = TickBars(self.grid, self.symbols)
        self._connected_since: int | None = None
        self._stream_stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.connections = self.garbled = 0

    def status(self) -> dict[str, Any]:
        """Return where the feed stands, as plain values."""
        ticks = self.ticks
        return super().status() | {
            "connected": self._connected_since is not None, "connections": self.connections,
            "garbled": self.garbled, "late_ticks": ticks.late, "ahead_ticks": ticks.ahead,
            "bad_ticks": ticks.bad, "crossed_ticks": ticks.crossed, "spikes": ticks.spikes,
        }  # fmt: skip

    # The bars

    def _collect(self, due: Slots, stopped: Callable[[], bool]) -> tuple[list[Bars], Bars | None]:
        if len(due) == 1 and self._covers(due):
            values, self._doubts = self.ticks.close(int(due.ts[0]), int(due.close[0]))
            return [], self._expecting(self._assembly.single(due, values))
        changed, made = super()._collect(due, stopped)
        if made is not None:
            self.ticks.close(int(made.ts[-1]), self.grid.close_of(int(made.ts[-1])))
            self.ticks.expect(made.panel[-1, :, 3])
        return changed, made

    def _covers(self, due: Slots) -> bool:
        """Say whether ticks tell the whole bar.

        The connection stood all the time, every symbol that had the bar before was heard, the splits and
        dividends of the session are known from its first bar, and after a restart the last prices are known.
        """
        since, ts = self._connected_since, int(due.ts[0])
        if since is None or since > due.open[0] or not self._expected <= self.ticks.heard(ts):
            return False
        if self._assembly.unseeded:
            return False
        before = self._handed
        return before is not None and self.grid.session_of(before) == int(due.session[0])

    def _data_until(self) -> int:
        return max(super()._data_until(), self.ticks.newest)

    # The connection

    def _start(self) -> None:
        if self._thread is None:
            self._stream_stop.clear()
            self._thread = threading.Thread(target=self._listen, name="yahoo-stream", daemon=True)
            self._thread.start()

    def _end(self) -> None:
        super()._end()
        self._stream_stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(OPEN_SECONDS)
        self._connected_since = None

    def _listen(self) -> None:
        while not self._stream_stop.is_set():
            try:
                self._converse()
                why = "it was closed"
            except Exception as error:
                # whatever it was, bars of the time without ticks come from the chart service
                why = f"{type(error).__name__}: {error}"
            self._connected_since = None
            if self._stream_stop.is_set():
                return
            pause = self._reconnect.next()
            self.say("reconnect", f"the stream broke ({why}); next attempt in {pause:.1f} seconds")
            self._stream_stop.wait(pause)

    def _converse(self) -> None:
        """Listen on one connection until it breaks."""
        with self._connect(self.url, open_timeout=OPEN_SECONDS, close_timeout=1.0) as socket:
            self.connections += 1
            subscription = json.dumps({"subscribe": list(self.symbols)})
            socket.send(subscription)
            subscribed = heard = self._steady()
            while not self._stream_stop.is_set():
                try:
                    self._hear(socket.recv(timeout=0.2))
                except TimeoutError:
                    pass
                else:
                    heard = self._steady()
                    if self._connected_since is None:
                        self._connected_since = self.times.late
                        self._reconnect.reset()
                now = self._steady()
                if now - subscribed >= SUBSCRIBE_SECONDS:
                    socket.send(subscription)
                    subscribed = now
                if now - heard >= self.silence and self.grid.at(self.times.early) is not None:
                    raise ConnectionError(f"nothing was heard for {now - heard:.0f} seconds")

    def _hear(self, message: str | bytes) -> None:
        try:
            said = self._message()
            said.ParseFromString(base64.b64decode(json.loads(message)["message"]))
            price = float(f"{said.price:.{DIGITS}g}")  # what float32 holds of it
            when = int(said.time) * MILLISECOND
            tick = Tick(said.id, when, price, float(said.day_volume), float(said.bid), float(said.ask))
        except Exception:
            # one message that cannot be read is no reason to lose the others
            self.garbled += 1
            return
        latest = self.times.late + TOLERANCE
        if self.ticks.add(tick, latest):
            self.times.shown(tick.ts)
        elif tick.ts > latest and tick.symbol in self.symbols:
            self.times.shown(tick.ts)
            if self.times.late + TOLERANCE > latest and self._connected_since is not None:
                # it was the clock, so what was left out belongs to a bar, which only the chart service has
                self._connected_since = self.times.late


def _protocol() -> tuple[Callable[[], Any], Callable[..., Any]]:
    try:
        from websockets.sync.client import connect
        from yfinance.pricing_pb2 import PricingData
    except ImportError:
        raise MissingExtraError(
            "the stream from Yahoo needs yfinance, which is not installed: pip install 'twinstep[yahoo]'",
            code="FETCH_EXTRA",
        ) from None
    return PricingData, connect
