"""The stream: ticks over a real websocket in Yahoo's own encoding, bars by the clock."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.feeds.backoff import Backoff
from live.feeds.grid import Grid
from live.feeds.ticks import Tick, TickBars
from live.feeds.yahoo_stream import YahooStream
from tests.budget import cases
from tests.live.yahoo_world import World, nanoseconds, row_of

pytest.importorskip("yfinance")
from websockets.sync.server import Server, ServerConnection, serve
from yfinance.pricing_pb2 import PricingData

MINUTE = 60 * 10**9


class Streamer:
    """A websocket server that sends what it is told to, and keeps what clients subscribe to."""

    def __init__(self) -> None:
        self.subscriptions: list[list[str]] = []
        self.clients: list[ServerConnection] = []
        self.port = 0
        self._server: Server | None = None

    def start(self) -> None:
        self._server = serve(self._talk, "127.0.0.1", self.port)
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/?version=2"

    def _talk(self, client: ServerConnection) -> None:
        self.clients.append(client)
        try:
            for message in client:
                self.subscriptions.append(json.loads(message)["subscribe"])
        finally:
            self.clients.remove(client)

    def send(self, text: str) -> None:
        for client in list(self.clients):
            client.send(text)

    def tick(self, symbol: str, ts: int, price: float, volume: int = 0, **more: float) -> None:
        data = PricingData(
            id=symbol, price=price, time=ts // 10**6, day_volume=volume, market_hours=1, **more
        )
        self.send(
            json.dumps({"type": "pricing", "message": base64.b64encode(data.SerializeToString()).decode()})
        )

    def drop(self) -> None:
        for client in list(self.clients):
            # as a router that forgets: no closing handshake
            client.socket.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    server = Streamer()
    server.start()
    yield server
    server.stop()


def wait(ready: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.002)


def stream(world: World, streamer: Streamer, folder: Path, symbols: str = "AAPL", **more: Any) -> YahooStream:
    settings = {"interval": "1m", "warm": 2, "url": streamer.url, "silence": 1e9} | more
    settings["reconnect"] = Backoff(first=0.01, longest=0.02)
    made = world.feed(symbols, folder, YahooStream, **settings)
    assert isinstance(made, YahooStream)
    return made


def at(world: World, streamer: Streamer, feed: YahooStream, clock: str, *ticks: tuple[Any, ...]) -> None:
    """Have ticks sent at a time, and the world wait until they are in."""

    def send() -> None:
        wait(lambda: streamer.clients)
        before = seen(feed)
        for symbol, second, price, volume, *rest in ticks:
            moment = nanoseconds(f"2024-03-08T{second}-05:00")
            streamer.tick(symbol, moment, price, volume, **(rest[0] if rest else {}))
        wait(lambda: seen(feed) >= before + len(ticks))

    world.plan(f"2024-03-08T{clock}-05:00", send)


def seen(feed: YahooStream) -> int:
    ticks = feed.ticks
    refused = ticks.late + ticks.ahead + ticks.outside + ticks.bad + ticks.crossed + ticks.spikes
    return feed.garbled + refused + ticks.unknown + ticks.taken


def test_ticks_become_bars_closed_by_the_clock(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, streamer, tmp_path, "AAPL,MSFT")
    at(world, streamer, feed, "10:00:40", ("AAPL", "10:00:39", 105.0, 1000), ("MSFT", "10:00:39", 104.0, 50))
    at(world, streamer, feed, "10:01:05", ("AAPL", "10:01:04", 105.5, 1100), ("MSFT", "10:01:03", 104.5, 70))
    at(
        world,
        streamer,
        feed,
        "10:01:30",
        ("AAPL", "10:01:20", 106.5, 1200),
        ("AAPL", "10:01:28", 104.5, 1250),
    )
    # out of order on the way, and one after the end that belongs to the bar: within the grace
    at(
        world,
        streamer,
        feed,
        "10:02:01",
        ("AAPL", "10:01:55", 105.25, 1300),
        ("AAPL", "10:01:50", 105.0, 1290),
    )
    # nobody trades after that: the bar ends all the same
    taken = list(world.take(feed, "10:02:30-05:00".join(["2024-03-08T", ""])))
    last, holds = taken[-1]
    assert last.ts[0] == nanoseconds("2024-03-08T10:01:00-05:00")
    assert last.panel[0, 0].tolist() == [105.5, 106.5, 104.5, 105.25, 300.0]
    assert last.panel[0, 1].tolist() == [104.5, 104.5, 104.5, 104.5, 20.0]
    assert holds == ()
    assert streamer.subscriptions[0] == ["AAPL", "MSFT"]
    # the bar in which the connection was made is the chart's, whole
    before = taken[-2][0]
    start = int(before.ts[0]) // 10**9
    assert before.panel[0, 0].tolist() == list(row_of("AAPL", start, start + 60))
    assert feed.status()["connections"] == 1


def test_ticks_after_their_bar_are_late_and_counted(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, streamer, tmp_path)
    at(world, streamer, feed, "10:00:40", ("AAPL", "10:00:39", 105.0, 1000))
    at(world, streamer, feed, "10:01:05", ("AAPL", "10:01:04", 105.5, 1100))
    at(world, streamer, feed, "10:02:10", ("AAPL", "10:01:59", 99.0, 1150), ("AAPL", "10:02:09", 105.0, 1200))
    taken = list(world.take(feed, "2024-03-08T10:03:30-05:00"))
    closes = {str(bars.index[0])[11:16]: bars.panel[0, 0].tolist() for bars, _ in taken}
    assert closes["15:01"] == [105.5, 105.5, 105.5, 105.5, 100.0]
    # the volume of what was late is in the next difference
    assert closes["15:02"] == [105.0, 105.0, 105.0, 105.0, 100.0]
    assert feed.status()["late_ticks"] == 1


def test_bad_ticks_make_no_bar_and_hold_it(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, streamer, tmp_path, "AAPL,MSFT")
    at(world, streamer, feed, "10:00:40", ("AAPL", "10:00:39", 105.0, 10), ("MSFT", "10:00:39", 104.0, 10))
    at(
        world, streamer, feed, "10:01:30",
        ("AAPL", "10:01:04", 105.5, 20), ("MSFT", "10:01:04", 104.5, 20), ("AAPL", "10:01:05", 0.0, 20),
        ("AAPL", "10:01:06", 1055.0, 30), ("MSFT", "10:01:07", 104.0, 30, {"bid": 105.0, "ask": 104.0}),
        ("TSLA", "10:01:08", 200.0, 30), ("AAPL", "08:00:00", 105.0, 1), ("AAPL", "17:00:00", 105.0, 1),
    )  # fmt: skip
    world.plan("2024-03-08T10:01:31-05:00", lambda: streamer.send("{no json"))
    taken = list(world.take(feed, "2024-03-08T10:02:30-05:00"))
    bars, holds = taken[-1]
    assert bars.panel[0, :, :4].tolist() == [[105.5] * 4, [104.5] * 4]
    assert sorted((hold.code, hold.symbol) for hold in holds) == [
        ("PRICE_BAND", "AAPL"), ("STALE_QUOTE", "MSFT"),
    ]  # fmt: skip
    ticks = feed.ticks
    assert (ticks.bad, ticks.spikes, ticks.crossed, ticks.unknown) == (1, 1, 1, 1)
    assert ticks.late + ticks.ahead == 2
    wait(lambda: feed.garbled == 1)


def test_a_stamp_from_the_future_harms_nothing(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, streamer, tmp_path)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.kind))
    at(world, streamer, feed, "10:00:40", ("AAPL", "10:00:39", 105.0, 1000))
    at(
        world,
        streamer,
        feed,
        "10:01:05",
        ("AAPL", "10:01:04", 105.5, 1100),
        ("AAPL", "12:01:04", 105.5, 1100),
    )
    at(world, streamer, feed, "10:02:05", ("AAPL", "10:02:04", 105.7, 1200))
    at(world, streamer, feed, "10:03:05", ("AAPL", "10:03:04", 105.9, 1300))
    taken = list(world.take(feed, "2024-03-08T10:04:30-05:00"))
    assert [holds for _, holds in taken[1:]] == [()] * len(taken[1:])
    closes = [float(bars.close[0, 0]) for bars, _ in taken[-3:]]
    assert closes == [105.5, 105.7, 105.9]
    assert said == []
    assert feed.status()["ahead_ticks"] == 1
    assert not feed.stale
    # and a feed that has heard nothing since then is stale
    world.now += 200
    assert feed.stale


def test_a_clock_that_is_slow_is_found_out_by_ticks(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00", wall_shift=-1800.0)
    feed = stream(world, streamer, tmp_path)
    for minute in range(1, 7):
        ticks = [
            ("AAPL", f"10:{minute:02d}:{second:02d}", 105.0 + minute / 10, 1000 * minute + second)
            for second in (2, 3, 4)
        ]
        at(world, streamer, feed, f"10:{minute:02d}:05", *ticks)
    taken = list(world.take(feed, "2024-03-08T10:07:30-05:00"))
    assert feed.status()["clock"] == "ok"
    found = {str(bars.index[0])[11:16]: (bars, holds) for bars, holds in taken}
    bars, holds = found["15:06"]
    assert holds == ()
    assert float(bars.close[0, 0]) == pytest.approx(105.6)
    for label, (bars, _) in found.items():
        if label < "15:02":
            start = int(bars.ts[0]) // 10**9
            assert bars.panel[0, 0].tolist() == list(row_of("AAPL", start, start + 60))


def test_a_broken_connection_comes_back_and_the_chart_fills_in(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, streamer, tmp_path)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.kind))
    at(world, streamer, feed, "10:00:40", ("AAPL", "10:00:39", 105.0, 10))
    at(world, streamer, feed, "10:01:10", ("AAPL", "10:01:04", 105.5, 20))

    def break_off() -> None:
        streamer.drop()
        wait(lambda: feed.connections == 2 and streamer.clients)

    world.plan("2024-03-08T10:01:30-05:00", break_off)
    at(world, streamer, feed, "10:01:50", ("AAPL", "10:01:49", 105.7, 30))
    at(world, streamer, feed, "10:02:10", ("AAPL", "10:02:04", 105.9, 45))
    closes = {
        str(bars.index[0])[11:16]: bars.panel[0, 0].tolist()
        for bars, _ in world.take(feed, "2024-03-08T10:03:30-05:00")
    }
    start = nanoseconds("2024-03-08T10:01:00-05:00") // 10**9
    assert closes["15:01"] == list(row_of("AAPL", start, start + 60))
    assert closes["15:02"] == [105.9, 105.9, 105.9, 105.9, 15.0]
    assert said.count("reconnect") == 1
    assert feed._thread is None


def test_an_open_connection_that_says_nothing_is_broken(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, streamer, tmp_path, silence=60.0)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.text) if event.kind == "reconnect" else None)
    at(world, streamer, feed, "10:00:40", ("AAPL", "10:00:39", 105.0, 10))
    world.plan("2024-03-08T10:02:30-05:00", lambda: wait(lambda: said))
    # a frozen stream loses no bar: the chart has them
    found = [bars.ts[0] for bars, _ in world.take(feed, "2024-03-08T10:04:30-05:00")]
    assert np.diff(found).tolist() == [MINUTE] * (len(found) - 1)
    assert found[-1] == nanoseconds("2024-03-08T10:03:00-05:00")
    assert "nothing was heard" in said[0]
    assert len(streamer.subscriptions) >= 2


def test_a_server_that_is_away_is_tried_again_and_again(tmp_path: Path) -> None:
    server = Streamer()
    server.start()
    server.stop()
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, server, tmp_path)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.kind))
    world.plan("2024-03-08T10:01:30-05:00", lambda: wait(lambda: len(said) >= 3))
    assert len(list(world.take(feed, "2024-03-08T10:03:30-05:00"))) == 5
    assert set(said) == {"reconnect"}


def test_a_symbol_that_the_stream_forgets_is_the_charts(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = stream(world, streamer, tmp_path, "AAPL,MSFT")
    at(world, streamer, feed, "10:00:40", ("AAPL", "10:00:39", 105.0, 10), ("MSFT", "10:00:39", 104.0, 10))
    at(world, streamer, feed, "10:01:30", ("AAPL", "10:01:04", 105.5, 20))
    bars, holds = list(world.take(feed, "2024-03-08T10:02:50-05:00"))[-1]
    start = int(bars.ts[0]) // 10**9
    for column, symbol in enumerate(feed.symbols):
        assert bars.panel[0, column].tolist() == list(row_of(symbol, start, start + 60))
    assert holds == ()


def test_the_first_bar_of_a_session_is_the_charts(tmp_path: Path, streamer: Streamer) -> None:
    world = World("2024-03-08T09:29:00-05:00")
    feed = stream(world, streamer, tmp_path)
    at(world, streamer, feed, "09:29:30", ("AAPL", "09:29:10", 105.0, 10))
    at(world, streamer, feed, "09:30:30", ("AAPL", "09:30:10", 111.0, 500))
    at(world, streamer, feed, "09:31:30", ("AAPL", "09:31:10", 111.0, 900))
    taken = list(world.take(feed, "2024-03-08T09:32:30-05:00"))
    first, second = (bars.panel[0, 0] for bars, _ in taken[-2:])
    start = nanoseconds("2024-03-08T09:30:00-05:00") // 10**9
    assert first.tolist() == list(row_of("AAPL", start, start + 60))
    # and the volume of the second counts from what the first one's ticks said
    assert second.tolist() == [111.0, 111.0, 111.0, 111.0, 400.0]


@cases(many=60, few=12)
@given(
    st.lists(
        st.tuples(st.integers(0, 299), st.integers(85, 115), st.integers(0, 1000)), min_size=1, max_size=40
    )
)
def test_every_good_tick_is_in_one_bar_whatever_its_order(drawn: list[tuple[int, int, int]]) -> None:
    start = nanoseconds("2024-03-08T10:00:00-05:00")
    bars = TickBars(Grid("XNYS", "1m"), ("A",))
    for second, price, volume in drawn:
        assert bars.add(Tick("A", start + second * 10**9, float(price), float(volume)))
    for minute in range(5):
        mine = [one for one in drawn if one[0] // 60 == minute]
        values, holds = bars.close(start + minute * MINUTE, start + (minute + 1) * MINUTE)
        assert holds == ()
        if not mine:
            assert np.isnan(values).all()
            continue
        first, last = min(one[0] for one in mine), max(one[0] for one in mine)
        # among ticks of one second the order of arrival decides
        opened = next(price for second, price, _ in mine if second == first)
        closed = [price for second, price, _ in mine if second == last][-1]
        prices = [price for _, price, _ in mine]
        assert values[0, :4].tolist() == [opened, max(prices), min(prices), closed]
        assert values[0, 4] >= 0
    assert not bars.add(Tick("A", start, 100.0))
    assert bars.late == 1


def test_a_far_price_that_holds_is_believed() -> None:
    start = nanoseconds("2024-03-08T10:00:00-05:00")
    bars = TickBars(Grid("XNYS", "1m"), ("A",))
    counted = [
        bars.add(Tick("A", start + n, price)) for n, price in enumerate([10.0, 20.0, 10.1, 20, 20, 20, 20])
    ]
    assert counted == [True, False, True, False, False, True, True]
    assert bars.spikes == 3


def test_without_yfinance_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from simulator.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "yfinance.pricing_pb2", None)
    with pytest.raises(MissingExtraError, match=r"twinstep\[yahoo\]"):
        YahooStream(["AAPL"])
