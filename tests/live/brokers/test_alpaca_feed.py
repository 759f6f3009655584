"""Bars and quotes of Alpaca: over its real library, from a data service on this machine, by a moved clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from live.feeds.alpaca import AlpacaFeed, alpaca_feed_of
from live.feeds.alpaca_options import AlpacaOptionQuotes
from live.feeds.backoff import Backoff
from live.feeds.events import FeedEvent
from live.kill_switch import KillSwitch
from simulator.bars import Bars
from simulator.errors import ConfigError, FetchError, TwinstepError
from tests.fakes.alpaca.script import Refuse
from tests.fakes.alpaca.server import AlpacaServer
from tests.live.brokers.alpaca_desk import CREDENTIALS, until

MINUTE = timedelta(minutes=1)
OPEN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
PUT = "SPY261218P00500000"


class World:
    """A data service, and a clock that only the test moves."""

    def __init__(self, server: AlpacaServer) -> None:
        self.server, self.data = server, server.data
        self.now = OPEN
        self.feeds: list[AlpacaFeed] = []

    def feed(self, symbols: str = "AAPL,MSFT", **more: Any) -> AlpacaFeed:
        settings: dict[str, Any] = {
            "credentials": CREDENTIALS, "url": self.server.url, "warm": 3, "patience": 0.0, "silence": 30.0,
            "stream_url": self.server.url.replace("http", "ws") + "/v2/iex", "reconnect_pause": 0.02,
            "clock": lambda: self.now, "steady": lambda: (self.now - OPEN).total_seconds() + 1000.0,
            "sleep": self.sleep, "backoff": Backoff(random=lambda: 0.5), "timeout": 10.0,
        }  # fmt: skip
        self.feeds.append(AlpacaFeed(symbols.split(","), **(settings | more)))
        return self.feeds[-1]

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=max(seconds, 1.0))

    def row(self, symbol: str, start: datetime, price: float, volume: float = 100.0) -> dict[str, Any]:
        """A minute's bar: a dollar up, a dollar down, half a dollar more at the end."""
        return {
            "t": start.isoformat().replace("+00:00", "Z"), "o": price, "h": price + 1.0, "l": price - 1.0,
            "c": price + 0.5, "v": volume,
        }  # fmt: skip

    def store(self, symbol: str, minutes: int, *, start: datetime = OPEN, price: float = 100.0) -> None:
        rows = [self.row(symbol, start + n * MINUTE, price + n) for n in range(minutes)]
        self.data.bars.setdefault(symbol, []).extend(rows)

    def tell(self, symbol: str, start: datetime, price: float, kind: str = "b") -> None:
        self.data.say({"T": kind, "S": symbol, **self.row(symbol, start, price), "t": start})


@pytest.fixture
def world() -> Iterator[World]:
    with AlpacaServer() as server:
        made = World(server)
        yield made
        for feed in made.feeds:
            feed.close()


def take(
    world: World, feed: AlpacaFeed, bars: int, *, after: int | None = None, seconds: float = 600.0
) -> list[Bars]:
    """Take so many bars, or those of some time."""
    ends = world.now + timedelta(seconds=seconds)
    found: list[Bars] = []
    for part in feed.bars(after=after, rows=1, stopped=lambda: len(found) >= bars or world.now > ends):
        found.append(part)  # noqa: PERF402 - `stopped` counts them while they come
    return found


class Taking:
    """Bars taken in a thread, while the test lets things happen."""

    def __init__(self, world: World, feed: AlpacaFeed, *, after: int | None = None) -> None:
        self.found: list[Bars] = []
        self.allowed: list[datetime] = [world.now]
        self._stop = threading.Event()
        self._world, self._feed = world, feed
        self._thread = threading.Thread(target=self._run, args=(after,), daemon=True)

    def __enter__(self) -> Taking:
        self._feed._sleep = self._sleep
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def go(self, until_time: datetime) -> None:
        """Let the clock run up to a time."""
        self.allowed[0] = until_time
        until(lambda: self._world.now >= until_time or self._stop.is_set())

    def _sleep(self, seconds: float) -> None:
        if self._world.now < self.allowed[0]:
            self._world.now = min(self.allowed[0], self._world.now + timedelta(seconds=max(1.0, seconds)))
        else:
            self._stop.wait(0.005)

    def _run(self, after: int | None) -> None:
        for part in self._feed.bars(after=after, rows=1, stopped=self._stop.is_set):
            self.found.append(part)


def test_history_comes_first_and_is_raw_and_on_the_grid(world: World) -> None:
    world.store("AAPL", 10)
    world.store("MSFT", 10, price=50.0)
    world.data.bars["AAPL"].insert(0, world.row("AAPL", OPEN - 5 * MINUTE, 1.0))  # before the session
    world.now = OPEN + 5 * MINUTE + timedelta(seconds=30)
    feed = world.feed(stream=False)
    found = take(world, feed, 3, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [102, 103, 104]
    assert found[-1].symbols == ("AAPL", "MSFT")
    assert all(part.raw for part in found)
    assert feed.status()["source"] == "alpaca:AAPL,MSFT"
    queries = [query for path, query in world.data.queries if path == "/v2/stocks/bars"]
    assert queries[-1]["adjustment"] == "raw"
    assert queries[-1]["feed"] == "iex"


def test_a_split_and_a_dividend_act_once_on_the_first_bar_of_their_day(world: World) -> None:
    world.store("AAPL", 5)
    world.data.actions = {
        "forward_splits": [{"symbol": "AAPL", "ex_date": "2026-03-02", "new_rate": 10, "old_rate": 1}],
        "cash_dividends": [{"symbol": "AAPL", "ex_date": "2026-03-02", "rate": 0.24}],
        "name_changes": [{"symbol": "AAPL", "ex_date": "2026-03-02"}],
    }
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=30)
    found = take(world, world.feed("AAPL", stream=False), 3, seconds=5.0)
    assert [len(part.actions) for part in found] == [2, 0, 0]
    assert sorted(float(one["value"]) for one in found[0].actions) == [0.24, 10.0]


@pytest.mark.parametrize(
    ("fault", "code"),
    [("cut", "FEED_OFFLINE"), ("504", "FEED_OFFLINE"), ("html", "FEED_OFFLINE"),
     (Refuse(429, {"message": "slow down"}), "FEED_RATE_LIMIT"),
     (Refuse(403, {"message": "no"}), "FEED_FAILED")],
)  # fmt: skip
def test_a_service_that_does_not_answer_is_given_up_by_name(world: World, fault: Any, code: str) -> None:
    world.server.script.every("data", fault)
    world.now = OPEN + 3 * MINUTE
    with pytest.raises(FetchError) as caught:
        take(world, world.feed(stream=False, give_up=30.0), 1)
    assert caught.value.code == code


def test_symbols_that_nobody_knows_are_no_quiet_market(world: World) -> None:
    world.now = OPEN + 3 * MINUTE
    with pytest.raises(FetchError) as caught:
        take(world, world.feed("ZZZZ", stream=False, give_up=30.0), 1)
    assert caught.value.code == "FEED_EMPTY"


def streaming(world: World, **more: Any) -> tuple[AlpacaFeed, Taking]:
    """Return a feed that has its history, and takes on."""
    world.store("AAPL", 3)
    world.store("MSFT", 3, price=50.0)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    feed = world.feed(**more)
    taking = Taking(world, feed)
    return feed, taking


def test_bars_of_the_stream_are_bars_of_the_feed(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3 and feed.status()["connected"])
        assert ("bars", "AAPL") in world.data.subscribed
        world.store("AAPL", 1, start=OPEN + 3 * MINUTE, price=103.0)
        world.store("MSFT", 1, start=OPEN + 3 * MINUTE, price=53.0)
        taking.go(OPEN + 5 * MINUTE)  # what began before the connection stood is asked for
        until(lambda: len(taking.found) == 4)
        asked = len(world.data.queries)
        for symbol, price in (("AAPL", 200.0), ("MSFT", 90.0)):
            world.tell(symbol, OPEN + 4 * MINUTE, price)
        until(lambda: feed.messages == 2)
        taking.go(OPEN + 5 * MINUTE + timedelta(seconds=10))
        until(lambda: len(taking.found) == 5)
    last = taking.found[-1]
    assert last.panel[0].tolist() == [[200.0, 201.0, 199.0, 200.5, 100.0], [90.0, 91.0, 89.0, 90.5, 100.0]]
    assert len(world.data.queries) == asked  # nobody was asked
    assert {hold.code for hold in feed.holds(last)} == {"PRICE_BAND"}  # twice the price: nothing confirms it


def test_a_symbol_that_the_stream_lacks_is_asked_for(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3 and feed.status()["connected"])
        for symbol, price in (("AAPL", 103.0), ("MSFT", 53.0)):
            world.store(symbol, 2, start=OPEN + 3 * MINUTE, price=price)
        taking.go(OPEN + 5 * MINUTE)
        until(lambda: len(taking.found) == 4)
        world.tell("AAPL", OPEN + 4 * MINUTE, 104.0)
        until(lambda: feed.messages == 1)
        taking.go(OPEN + 5 * MINUTE + timedelta(seconds=10))
        until(lambda: len(taking.found) == 5)
    assert taking.found[-1].close[0].tolist() == [104.5, 54.5]


def test_five_minutes_are_put_together_from_the_streams_minutes(world: World) -> None:
    feed = world.feed("AAPL", interval="5m")
    for n in range(5):
        feed._minutes[int((OPEN + n * MINUTE).timestamp()) * 10**9] = {
            0: (100.0 + n, 110.0 - n, 90.0 + n, 105.0 + n, 10.0)
        }
    slots = feed.grid.following(int(OPEN.timestamp()) * 10**9)
    assert feed._told(slots).tolist() == [[100.0, 110.0, 90.0, 109.0, 50.0]]


def test_a_mute_data_stream_is_noticed_and_bars_are_asked_for(world: World) -> None:
    feed, taking = streaming(world, silence=0.3)
    with taking:
        until(lambda: len(taking.found) == 3 and feed.status()["connected"])
        world.data.mute = True
        until(lambda: feed.status()["silences"] >= 1 and feed.status()["connections"] >= 2)
        for symbol, price in (("AAPL", 103.0), ("MSFT", 53.0)):
            world.store(symbol, 2, start=OPEN + 3 * MINUTE, price=price)
        taking.go(OPEN + 5 * MINUTE + timedelta(seconds=10))
        until(lambda: len(taking.found) == 5)
    assert taking.found[-1].close[0].tolist() == [104.5, 54.5]


def test_a_frozen_feed_goes_stale_and_reduces_the_kill_switch(world: World, tmp_path: Any) -> None:
    switch = KillSwitch(tmp_path / "switch", clock=lambda: world.now)
    feed, taking = streaming(world, give_up=3600.0)
    events: list[FeedEvent] = []
    feed.on_event(events.append)
    feed.watch(switch, every=0.01)
    with taking:
        until(lambda: len(taking.found) == 3)
        assert not feed.stale
        world.server.script.every("data", "504")
        world.data.mute = True
        taking.go(OPEN + 7 * MINUTE)
        until(lambda: switch.state == "REDUCING")
    assert "stale" in [event.kind for event in events]


def test_a_broken_stream_is_told_and_comes_back(world: World) -> None:
    feed, taking = streaming(world)
    events: list[FeedEvent] = []
    feed.on_event(events.append)
    with taking:
        until(lambda: feed.status()["connected"])
        world.server.script.drop_streams()
        until(lambda: feed.status()["connections"] == 2)
    assert "reconnect" in [event.kind for event in events]


def test_the_secret_is_in_no_line_of_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    feed, taking = streaming(world)
    with taking:
        until(lambda: feed.status()["connected"])
    ending = CREDENTIALS["secret"][-4:]  # frames are written down in part, and in hexadecimal
    assert ending not in caplog.text
    assert ending.encode().hex(" ") not in caplog.text
    assert CREDENTIALS["secret"] not in repr(feed) + str(feed.status())


# Faults 28 to 30: bars twice, late, of another zone; the rest is that of every feed (test_feed_*.py)


def test_28_a_bar_that_is_told_twice_or_late_or_in_the_wrong_order_is_one_bar(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3 and feed.status()["connected"])
        for symbol, price in (("AAPL", 103.0), ("MSFT", 53.0)):
            world.store(symbol, 1, start=OPEN + 3 * MINUTE, price=price)
        taking.go(OPEN + 5 * MINUTE)
        until(lambda: len(taking.found) == 4)
        for symbol, price in (("MSFT", 54.0), ("AAPL", 105.0), ("AAPL", 104.0), ("MSFT", 54.0)):
            world.tell(symbol, OPEN + 4 * MINUTE, price)  # the service corrects a bar by telling it again
        until(lambda: feed.messages == 4)
        taking.go(OPEN + 5 * MINUTE + timedelta(seconds=10))
        until(lambda: len(taking.found) == 5)
        world.tell("AAPL", OPEN + 4 * MINUTE, 104.0, kind="u")
        until(lambda: feed.messages == 5)
    times = [int(part.ts[0]) for part in taking.found]
    assert times == sorted(set(times))
    assert taking.found[-1].close[0].tolist() == [104.5, 54.5]


def test_28_a_bar_that_still_runs_is_not_handed_over(world: World) -> None:
    world.store("AAPL", 6)
    world.now = OPEN + 5 * MINUTE + timedelta(seconds=20)  # the row of the sixth minute is there already
    found = take(world, world.feed("AAPL", stream=False), 3, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [102, 103, 104]


def test_29_after_the_clocks_have_changed_the_session_begins_an_hour_earlier_in_utc(world: World) -> None:
    monday = datetime(2026, 3, 9, 13, 30, tzinfo=UTC)
    world.store("AAPL", 4, start=monday)
    world.store("AAPL", 3, start=monday - timedelta(hours=1), price=7.0)
    world.now = monday + 4 * MINUTE + timedelta(seconds=20)
    found = take(world, world.feed("AAPL", stream=False, warm=4), 4, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [100, 101, 102, 103]


def test_29_a_daily_row_is_stamped_with_midnight_in_new_york_and_is_a_session(world: World) -> None:
    for day, hour, price in ((5, 5, 10.0), (6, 5, 11.0), (9, 4, 12.0)):
        world.store("AAPL", 1, start=datetime(2026, 3, day, hour, tzinfo=UTC), price=price)
    world.now = datetime(2026, 3, 9, 21, 0, tzinfo=UTC)
    found = take(world, world.feed("AAPL", interval="1d"), 3, seconds=5.0)
    assert [str(part.ts.astype("datetime64[ns]")[0])[:10] for part in found] == [
        "2026-03-05", "2026-03-06", "2026-03-09",
    ]  # fmt: skip


# A line of text


def test_a_feed_from_a_line_of_text() -> None:
    feed = alpaca_feed_of(
        "alpaca:aapl, msft?interval=5m&warm=7&stream=no", credentials=CREDENTIALS, calendar="XNYS"
    )
    assert (feed.symbols, feed.interval, feed.warm, feed.kind) == (("AAPL", "MSFT"), "5m", 7, "polling")
    assert alpaca_feed_of("alpaca:AAPL", credentials=CREDENTIALS).kind == "stream"
    assert alpaca_feed_of("alpaca:AAPL?interval=1d", credentials=CREDENTIALS).kind == "polling"
    assert isinstance(feed.like, Bars)


@pytest.mark.parametrize(
    ("text", "code"),
    [("alpaca:AAPL?intervall=5m", "FEED_SPEC"), ("alpaca:AAPL?warm=x", "FEED_SPEC"),
     ("alpaca:", "NAME_SYMBOL"),
     ("alpaca:AAPL?stream=perhaps", "FEED_SPEC"), ("alpaca:AAPL?feed=nyse", "FEED_SETTING"),
     ("alpaca:AAPL?interval=7m", "FETCH_INTERVAL")],
)  # fmt: skip
def test_a_line_that_cannot_be_is_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        alpaca_feed_of(text, credentials=CREDENTIALS)
    assert caught.value.code == code


# Options


def test_quotes_of_options_count_while_they_are_young(world: World) -> None:
    now = OPEN + timedelta(hours=1)
    seen: list[float] = []
    url = world.server.url.replace("http", "ws") + "/v1beta1/indicative"
    stream = AlpacaOptionQuotes([PUT], credentials=CREDENTIALS, stream_url=url, clock=lambda: now).start()
    stream.on_quote(lambda quote: seen.append(quote.bid))
    try:
        until(lambda: ("quotes", PUT) in world.data.subscribed)
        assert stream.usable(PUT) is None

        def tell(bid: float, ask: float, ago: float) -> None:
            before = stream.messages
            world.data.say({"T": "q", "S": PUT, "bp": bid, "ap": ask, "t": now - timedelta(seconds=ago)})
            until(lambda: stream.messages > before)

        tell(3.9, 4.1, 20.0)
        assert stream.usable(PUT) is None  # too old
        assert stream.usable(PUT, within=30.0) is not None
        tell(4.0, 4.2, 1.0)
        tell(1.0, 1.1, 5.0)  # overtaken
        quote = stream.usable(PUT)
        assert quote is not None
        assert (quote.bid, quote.ask, quote.is_delayed) == (4.0, 4.2, True)
        tell(4.3, 4.2, 0.5)
        assert stream.usable(PUT) is None  # crossed
        tell(0.0, 4.2, 0.2)
        assert stream.usable(PUT) is None  # nobody bids
        assert seen[:2] == [3.9, 4.0]
        assert stream.status()["quoted"] == 1
        with pytest.raises(TwinstepError):
            stream.usable("SPY261218P00490000")
    finally:
        stream.close()


def test_what_is_no_option_is_not_listened_to() -> None:
    make: Callable[..., AlpacaOptionQuotes] = AlpacaOptionQuotes
    for symbols in ([], ["SPY"]):
        with pytest.raises(TwinstepError) as caught:
            make(symbols, credentials=CREDENTIALS)
        assert caught.value.code == "NAME_CONTRACT"
    with pytest.raises(ConfigError):
        make([PUT], credentials=CREDENTIALS, feed="sip")
