"""The connection to DXLink: what ends it, how it comes back, and what a snapshot is before it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from live.brokers.tastytrade.dxlink import cause, from_streamer
from live.brokers.tastytrade.symbols import streamer
from live.feeds import dxlink_candles
from live.feeds.dxlink import DxlinkFeed
from live.feeds.dxlink_candles import CandleBook
from live.feeds.dxlink_pulse import Pulse
from live.feeds.events import FeedEvent
from simulator.bars.arrays import SECOND
from tests.budget import cases
from tests.fakes.tastytrade.dxlink import BEGIN, END, REMOVE, SNIP, TX_PENDING
from tests.fakes.tastytrade.server import Answer
from tests.live.brokers.dxlink_world import MINUTE, OPEN, Taking, World, a_world, milliseconds, take, until

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
SAME = cases(many=150, few=30)


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as made:
        yield made


def running(world: World, symbols: str = "AAPL", **more: Any) -> tuple[DxlinkFeed, Taking, list[FeedEvent]]:
    """Return a feed with its history stored, what takes from it, and what it tells."""
    for symbol in symbols.split(","):
        world.store(symbol, 3)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    for symbol in symbols.split(","):
        world.pulse(symbol)
    feed, events = world.feed(symbols, **more), list[FeedEvent]()
    feed.on_event(events.append)
    return feed, Taking(world, feed), events


@pytest.mark.parametrize(
    "broken",
    [
        lambda world: world.market.drop(),
        lambda world: world.market.fail(),
        lambda world: world.market.raw({"type": "FEED_DATA", "channel": 15, "data": ["Trade", ["AAPL", 1]]}),
        lambda world: world.market.raw({"type": "FEED_DATA", "channel": 99, "data": ["Trade", []]}),
    ],
    ids=["dropped", "an error", "a row cut off", "a channel of nobody"],
)
def test_a_broken_stream_is_told_comes_back_and_fills_its_gap(
    world: World, broken: Callable[[World], None]
) -> None:
    feed, taking, events = running(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.market.valid.clear()  # while it is away nobody gets in
        world.server.every("quote_token", Answer(503))
        broken(world)
        until(lambda: not feed.status()["connected"])
        world.store("AAPL", 3, start=OPEN + 3 * MINUTE, price=103.0)
        taking.go(OPEN + 6 * MINUTE + timedelta(seconds=4))
        world.server.clear()
        until(lambda: feed.status()["connected"])
        world.pulse("AAPL")
        taking.go(OPEN + 6 * MINUTE + timedelta(seconds=30))
        until(lambda: len(taking.found) == 6)
    assert taking.closes() == [[100.5 + n] for n in range(6)]
    assert [("GAP" in {code for _, code in held}) for held in taking.holds[3:5]] == [True, True]
    assert "reconnect" in [event.kind for event in events]
    assert feed.status()["connections"] == 2
    assert world.market.listeners("Candle", "AAPL") <= 1


def test_a_token_that_ends_is_fetched_anew(world: World) -> None:
    feed, taking, _ = running(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.market.expire()
        until(lambda: feed.status()["connections"] == 2)
        assert world.market.tokens == 2
        until(lambda: [kind for kind, *_ in world.market.asked].count("Candle") == 2)
    assert world.market.complaints == []


def test_a_login_that_ends_is_made_anew(world: World) -> None:
    feed, taking, _ = running(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.server.tokens += 1  # the token of the session is of before
        world.market.drop()
        until(lambda: feed.status()["connections"] == 2)
    assert world.server.requests.count("token") == 2


def test_a_service_that_opens_no_channel_is_not_waited_for_for_ever(world: World) -> None:
    feed, taking, _ = running(world, timeout=0.3)
    world.market.deaf = True
    taking.allowed[0] = world.now + timedelta(seconds=50)
    with taking:
        until(lambda: "no channel" in feed._runner.words())
        assert not feed.status()["connected"]
        world.market.deaf = False
        until(lambda: len(taking.found) == 3)


def test_keepalives_that_stop_end_a_connection_at_night_too(world: World) -> None:
    feed, taking, events = running(world)
    feed._runner._keepalive, world.market.keepalive = 0.4, 0.05
    with taking:
        until(lambda: len(taking.found) == 3)
        world.now += timedelta(hours=8)
        taking.allowed[0] = world.now
        before = world.market.keepalives
        until(lambda: world.market.keepalives >= before)
        assert feed.status()["connections"] == 1  # nothing but keepalives is enough at night
        world.market.dead = True
        until(lambda: feed.status()["silences"] >= 1)
        world.market.dead = False
        until(lambda: feed.status()["connections"] >= 2)
    assert any("keepalive" in event.text for event in events)


def test_a_mute_stream_with_keepalives_is_made_anew_within_the_session_only(world: World) -> None:
    feed, taking, events = running(world, silence=0.3)
    world.market.keepalive = 0.05
    with taking:
        until(lambda: feed.status()["silences"] >= 1 and feed.status()["connections"] >= 2)
        world.now += timedelta(hours=8)
        taking.allowed[0] = world.now
        until(lambda: feed.status()["connected"])
        seen = feed.status()["silences"]
        taking._stop.wait(0.5)
        assert feed.status()["silences"] <= seen + 1
    assert any("no price" in event.text for event in events)


def test_the_protocol_is_spoken_as_it_is_documented(world: World) -> None:
    _, taking, _ = running(world, symbols="AAPL,MSFT")
    with taking:
        until(lambda: len(taking.found) == 3)
    assert world.market.complaints == []
    assert {kind for kind, *_ in world.market.asked} == {"Quote", "Trade", "Profile", "Candle"}


# Snapshots


@pytest.mark.parametrize("ends", ["row", "removed", "snip"])
@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_a_snapshot_ends_in_several_ways_and_comes_in_pieces(world: World, ends: str, chunk: int) -> None:
    world.market.ends, world.market.chunk = ends, chunk
    world.store("AAPL", 3)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    found = take(world, world.feed("AAPL"), 3, seconds=5.0)
    assert [part.close[0, 0] for part in found] == [100.5, 101.5, 102.5]


def test_half_a_snapshot_is_nothing_until_it_has_stopped_twice_alike(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dxlink_candles, "STALLED_SECONDS", 0.1)
    feed, taking, _ = running(world, timeout=0.5)
    world.market.stall = 2
    with taking:
        until(lambda: len([one for one in world.market.asked if one[0] == "Candle"]) >= 1)
        until(lambda: feed.failures >= 1)
        assert taking.found == []
        world.market.stall = None
        taking.allowed[0] = world.now + timedelta(seconds=40)
        until(lambda: len(taking.found) == 3)
    assert taking.closes() == [[100.5], [101.5], [102.5]]


def test_a_snapshot_whose_end_is_never_heard_is_believed_the_second_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dxlink_candles, "STALLED_SECONDS", 0.1)
    feed, taking, _ = running(world, timeout=0.5)
    world.market.ends = "never"
    taking.allowed[0] = world.now + timedelta(seconds=50)
    with taking:
        until(lambda: len(taking.found) == 3)
    assert feed.failures >= 1
    assert taking.closes() == [[100.5], [101.5], [102.5]]


def test_a_message_that_is_too_long_for_the_library_is_a_broken_connection(world: World) -> None:
    # the library takes 64 KB at once
    midnight = OPEN.replace(hour=0, minute=0)
    world.store("AAPL", 873, start=midnight)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    world.market.chunk = 5_000
    feed = world.feed("AAPL")
    taking = Taking(world, feed)
    taking.allowed[0] = world.now + timedelta(seconds=50)
    with taking:
        until(lambda: feed.status()["connections"] >= 2 and "too long" in feed._runner.words())
        assert taking.found == []
        world.market.chunk = 100
        until(lambda: len(taking.found) == 3)
    assert taking.closes()[-1] == [972.5]


class Said:
    """A candle as the library has it."""

    def __init__(self, at: int, price: float, flags: int = 0, *, volume: float | None = 1.0) -> None:
        self.event_symbol, self.time, self.count = "AAPL{=m,tho=true}", at, 0 if volume is None else 1
        self.open = self.high = self.low = self.close = price
        self.volume = volume
        self.pending, self.remove = bool(flags & TX_PENDING), bool(flags & REMOVE)
        self.snapshot_begin, self.snapshot_end = bool(flags & BEGIN), bool(flags & END)
        self.snapshot_snip = bool(flags & SNIP)


def prices(book: CandleBook) -> dict[int, float]:
    times, values = book.rows("AAPL", 0)
    return dict(zip((times // 10**6).tolist(), values[:, 3].tolist(), strict=True))


def test_a_snapshot_replaces_what_was_known_and_a_removal_removes() -> None:
    book = CandleBook(("AAPL",))
    book.subscribed("AAPL", 0)
    for said in (Said(2, 12.0, BEGIN | TX_PENDING), Said(1, 11.0, END)):
        book.take(said)
    assert prices(book) == {1: 11.0, 2: 12.0}
    book.take(Said(2, 0.0, REMOVE))
    book.take(Said(3, 0.0, volume=None))  # prices that are no numbers
    assert prices(book) == {1: 11.0}
    assert (book.removed, book.empty) == (1, 1)
    book.subscribed("AAPL", 0)
    book.take(Said(4, 14.0, BEGIN | TX_PENDING))
    assert prices(book) == {1: 11.0}  # half of it is nothing
    assert not book.covers("AAPL", 0)
    book.take(Said(0, 0.0, END | REMOVE))
    assert prices(book) == {4: 14.0}
    assert book.covers("AAPL", 0)


def test_a_transaction_counts_when_it_is_complete() -> None:
    book = CandleBook(("AAPL",))
    book.subscribed("AAPL", 0)
    book.take(Said(1, 11.0, BEGIN | END))
    book.take(Said(1, 99.0, TX_PENDING))
    assert prices(book) == {1: 11.0}
    book.take(Said(2, 12.0))
    assert prices(book) == {1: 99.0, 2: 12.0}


@SAME
@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(1.0, 9.0), st.booleans()), max_size=40),
    st.lists(st.integers(1, 9), unique=True, max_size=9),
)
def test_what_is_known_is_what_was_told_last(told: list[tuple[int, float, bool]], first: list[int]) -> None:
    book = CandleBook(("AAPL",))
    book.subscribed("AAPL", 0)
    order = sorted(first, reverse=True)
    for number, at in enumerate(order):
        flags = (BEGIN if number == 0 else 0) | (END if number == len(order) - 1 else TX_PENDING)
        book.take(Said(at, float(at), flags))
    expected = {at: float(at) for at in first}
    for at, price, removed in told:
        book.take(Said(at, price, REMOVE if removed else 0))
        if removed:
            expected.pop(at, None)
        else:
            expected[at] = price
    assert prices(book) == dict(sorted(expected.items()))


# How far the stream is


@SAME
@given(st.integers(0, 100), st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_a_stream_is_never_said_to_be_farther_than_it_is(lag: int, told: list[tuple[int, bool]]) -> None:
    pulse, now = Pulse(("AAPL",)), 10_000
    for step, is_quote in told:
        now += step
        if is_quote:
            pulse.quote("AAPL", 1.0, 2.0, 0, now * SECOND)
        else:
            pulse.trade("AAPL", (now - lag) * SECOND, now * SECOND)
        assert pulse.until("AAPL") <= (now - lag) * SECOND


def test_quotes_alone_show_nothing_and_the_first_trade_is_an_old_one() -> None:
    pulse = Pulse(("AAPL",))
    hour = 3600 * SECOND
    pulse.quote("AAPL", 1.0, 2.0, 0, hour)
    pulse.quote("AAPL", 1.0, 2.0, 0, hour)
    assert pulse.until("AAPL") == 0
    pulse.trade("AAPL", hour - 600 * SECOND, hour)
    assert (pulse.until("AAPL"), np.isnan(pulse.lag())) == (hour - 600 * SECOND, True)
    pulse.trade("AAPL", hour - SECOND, hour)
    assert pulse.lag() == 1.0
    pulse.quote("AAPL", 1.0, 2.0, 0, hour + 9 * SECOND)
    assert pulse.until("AAPL") == hour + 8 * SECOND
    pulse.trade("AAPL", 3 * hour, hour)  # from the future
    assert pulse.until("AAPL") == hour + 8 * SECOND
    pulse.connected()
    assert np.isnan(pulse.lag())


def test_a_quote_that_was_overtaken_is_left_out() -> None:
    pulse = Pulse(("AAPL",))
    pulse.quote("AAPL", 10.0, 10.1, 5 * SECOND, 6 * SECOND)
    pulse.quote("AAPL", 9.0, 9.1, 4 * SECOND, 7 * SECOND)
    sides = pulse.sides("AAPL", 8 * SECOND)
    assert sides is not None
    assert (sides.bid, pulse.overtaken) == (10.0, 1)
    assert pulse.sides("AAPL", 100 * SECOND) is None


# Symbols and errors


@SAME
@given(
    st.from_regex(r"[A-Z]{1,6}", fullmatch=True), st.dates(), st.sampled_from("CP"),
    st.integers(1, 99_999_999),
)  # fmt: skip
def test_options_there_and_back(root: str, day: Any, right: str, strike: int) -> None:
    symbol = f"{root}{day:%y%m%d}{right}{strike:08d}"
    assert from_streamer(streamer(symbol)) == symbol


@pytest.mark.parametrize(
    ("there", "here"),
    [(".AAPL261218C200", "AAPL261218C00200000"), (".F261218P12.5", "F261218P00012500"),
     (".AAPL1261218C200", "AAPL1261218C00200000"), (".SPXW261218P5000.25", "SPXW261218P05000250"),
     ("BRK/B", "BRK.B"), ("BRK/B{=m,tho=true}", "BRK.B"), ("/ESZ26:XCME", "/ESZ26:XCME"),
     ("./ESZ26P5000:XCME", "./ESZ26P5000:XCME")],
)  # fmt: skip
def test_symbols_of_the_stream(there: str, here: str) -> None:
    assert from_streamer(there) == here


def test_the_cause_is_found_in_groups_of_groups() -> None:
    import asyncio

    right = ValueError("this")
    group = BaseExceptionGroup("", [asyncio.CancelledError(), ExceptionGroup("", [right, KeyError()])])
    assert cause(group) is right
    assert cause(right) is right


def test_milliseconds_are_whole() -> None:
    assert milliseconds(OPEN) == 1_772_461_800_000
