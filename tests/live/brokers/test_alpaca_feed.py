"""Bars and quotes of Alpaca: over its real library, from a data service on this machine, by a moved clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from live.feeds.alpaca import alpaca_feed_of
from live.feeds.alpaca_options import AlpacaOptionQuotes
from live.feeds.events import FeedEvent
from live.kill_switch import KillSwitch
from simulator.bars import Bars
from simulator.errors import ConfigError, FetchError, TwinstepError
from tests.fakes.alpaca.script import Refuse
from tests.live.brokers.alpaca_desk import CREDENTIALS, until
from tests.live.brokers.alpaca_world import MINUTE, OPEN, World, opened, streaming, take

PUT = "SPY261218P00500000"


@pytest.fixture
def world() -> Iterator[World]:
    yield from opened()


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


def test_bars_of_the_stream_are_bars_of_the_feed(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3 and feed.status()["connected"])
        until(lambda: ("bars", "AAPL") in world.data.subscribed)
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


def test_more_symbols_than_a_stream_may_have_are_asked_for(world: World) -> None:
    """Without a subscription a stream has 30 symbols; beyond that it is told so once, and hears nothing."""
    world.data.most = 1
    feed, taking = streaming(world, silence=0.3)
    with taking:
        until(lambda: len(taking.found) == 3)
        for symbol, price in (("AAPL", 103.0), ("MSFT", 53.0)):
            world.store(symbol, 2, start=OPEN + 3 * MINUTE, price=price)
        taking.go(OPEN + 5 * MINUTE + timedelta(seconds=10))
        until(lambda: len(taking.found) == 5)
    assert feed.messages == 0
    assert [part.close[0].tolist() for part in taking.found][-2:] == [[103.5, 53.5], [104.5, 54.5]]


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
