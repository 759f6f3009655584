"""Bars of tastytrade: over its real library, from a DXLink service on this machine, by a moved clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from live.feeds import feed_of
from live.feeds.dxlink import DxlinkFeed, dxlink_feed_of
from live.feeds.dxlink_rows import quoted_of
from live.feeds.events import FeedEvent
from live.feeds.grid import Grid
from live.kill_switch import KillSwitch
from simulator.bars import Bars
from simulator.bars.arrays import MINUTE as MINUTE_NS
from simulator.errors import FetchError, TwinstepError
from tests.fakes.tastytrade.server import Answer
from tests.live.brokers.dxlink_world import (
    KEYS,
    MINUTE,
    OPEN,
    Taking,
    World,
    a_world,
    known,
    reached,
    take,
    until,
)

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as made:
        yield made


def streaming(world: World, **more: Any) -> tuple[DxlinkFeed, Taking]:
    """Return a feed of two symbols that has its history, and what takes on."""
    world.store("AAPL", 3)
    world.store("MSFT", 3, price=50.0)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    world.pulse("AAPL", "MSFT")
    feed = world.feed(**more)
    return feed, Taking(world, feed)


def pass_minute(
    world: World, feed: DxlinkFeed, taking: Taking, minute: int, *prices: tuple[str, float]
) -> None:
    """Let a minute of the session happen: candles, trades just after its end, and its bar."""
    start, before = OPEN + minute * MINUTE, len(taking.found)
    taking.go(start + MINUTE + timedelta(seconds=1))
    for symbol, price in prices:
        world.candle(symbol, start, price)
        world.pulse(symbol)
        known(feed, symbol, start, price + 0.5)
        reached(feed, start + MINUTE, symbol)
    taking.go(start + MINUTE + timedelta(seconds=5))
    until(lambda: len(taking.found) > before)


def test_history_comes_first_and_is_raw_and_on_the_grid(world: World) -> None:
    world.store("AAPL", 10)
    world.store("MSFT", 10, price=50.0)
    world.candle("AAPL", OPEN - 5 * MINUTE, 1.0)  # before the session
    world.now = OPEN + 5 * MINUTE + timedelta(seconds=30)
    feed = world.feed()
    found = take(world, feed, 3, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [102, 103, 104]
    assert found[-1].symbols == ("AAPL", "MSFT")
    assert all(part.raw and part.origin == "real" for part in found)
    status = feed.status()
    assert (status["source"], status["level"], status["delayed"]) == ("tastytrade:AAPL,MSFT", "api", False)
    assert (
        "Candle",
        "AAPL{=1m,tho=true}",
        int(OPEN.timestamp()) // 86400 * 86400 * 1000,
    ) in world.market.asked
    assert world.market.complaints == []


def test_a_dividend_acts_once_on_the_first_bar_of_its_day(world: World) -> None:
    world.store("AAPL", 5)
    world.market.dividends["AAPL"] = [("2025-12-01", 0.23), ("2026-03-02", 0.24)]
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=30)
    found = take(world, world.feed("AAPL"), 5, seconds=200.0)
    assert [[float(one["value"]) for one in part.actions] for part in found] == [[0.24], [], [], [], []]
    assert world.server.requests.count("dividends") == 1


def test_dividends_that_cannot_be_asked_for_keep_no_bar_back(world: World) -> None:
    world.store("AAPL", 5)
    world.server.every("dividends", Answer(503))
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=30)
    events: list[FeedEvent] = []
    feed = world.feed("AAPL")
    feed.on_event(events.append)
    assert len(take(world, feed, 3, seconds=5.0)) == 3
    assert any("dividends" in event.text for event in events)


def test_bars_of_the_stream_are_bars_of_the_feed(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        asked = len(world.market.asked)
        pass_minute(world, feed, taking, 3, ("AAPL", 103.0), ("MSFT", 53.0))
        pass_minute(world, feed, taking, 4, ("AAPL", 208.0), ("MSFT", 54.0))
    last = taking.found[-1]
    assert last.panel[0].tolist() == [[208.0, 209.0, 207.0, 208.5, 100.0], [54.0, 55.0, 53.0, 54.5, 100.0]]
    assert len(world.market.asked) == asked  # nothing was asked for again
    assert taking.holds[3:] == [set(), {("AAPL", "PRICE_BAND")}]  # twice the price: nothing confirms it yet


@pytest.mark.parametrize(
    ("interval", "period", "step"), [("5m", "5m", 5), ("15m", "15m", 15), ("30m", "30m", 30)]
)
def test_longer_bars_are_candles_of_their_length(world: World, interval: str, period: str, step: int) -> None:
    world.store("AAPL", 4, step=step * MINUTE, period=period)
    world.now = OPEN + 3 * step * MINUTE + timedelta(seconds=5)
    world.pulse("AAPL")
    found = take(world, world.feed("AAPL", interval=interval), 3, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [100, 101, 102]


def test_an_hour_is_made_of_half_hours_because_its_candles_begin_on_the_hour(world: World) -> None:
    world.store("AAPL", 13, step=30 * MINUTE, period="30m")
    world.now = datetime(2026, 3, 2, 21, 1, tzinfo=UTC)
    found = take(world, world.feed("AAPL", interval="1h", warm=7), 7, seconds=5.0)
    assert [part.panel[0, 0].tolist() for part in (found[0], found[-1])] == [
        [100.0, 102.0, 99.0, 101.5, 200.0], [112.0, 113.0, 111.0, 112.5, 100.0],
    ]  # fmt: skip


@pytest.mark.parametrize("hours", [0, 5])
def test_a_daily_candle_is_a_session_whichever_midnight_it_has(world: World, hours: int) -> None:
    for day, price in ((26, 10.0), (27, 11.0)):
        world.candle("AAPL", datetime(2026, 2, day, hours, tzinfo=UTC), price, period="d")
    world.candle("AAPL", datetime(2026, 3, 2, hours, tzinfo=UTC), 12.0, period="d")
    world.now = datetime(2026, 3, 2, 21, 20, tzinfo=UTC)
    found = take(world, world.feed("AAPL", interval="1d"), 3, seconds=5.0)
    assert [str(part.ts.astype("datetime64[ns]")[0])[:10] for part in found] == [
        "2026-02-26", "2026-02-27", "2026-03-02",
    ]  # fmt: skip


def test_a_class_of_shares_is_known_by_both_its_names(world: World) -> None:
    world.store("BRK/B", 4)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    world.pulse("BRK/B")
    found = take(world, world.feed("BRK.B"), 3, seconds=5.0)
    assert found[-1].symbols == ("BRK.B",)
    assert int(found[-1].close[0, 0]) == 102


def test_rows_of_hours_keep_what_is_beside_the_grid_apart() -> None:
    grid = Grid("XNYS", "1h")
    first = int(OPEN.timestamp()) * 10**9
    times = np.array(
        [first - 30 * MINUTE_NS, first, first + 30 * MINUTE_NS, first + 60 * MINUTE_NS], np.int64
    )
    values = np.array([[9.0, 9, 9, 9, 1], [1, 2, 1, 2, 1], [2, 5, 2, 3, 1], [3, 3, 3, 3, 1.0]])
    made = quoted_of(times, values, grid=grid, actions=[], until=7)
    assert made is not None
    assert made.ts.tolist() == [first - 30 * MINUTE_NS, first, first + 60 * MINUTE_NS]
    assert made.values.tolist() == [[9, 9, 9, 9, 1], [1, 5, 1, 3, 2], [3, 3, 3, 3, 1]]
    assert quoted_of(times[:0], values[:0], grid=grid, actions=[], until=7) is None


# Holds that quotes make


def test_a_crossed_quote_holds_its_symbol_and_no_other(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.quote("AAPL", 103.6, 103.4)
        world.quote("MSFT", 53.4, 53.6)
        until(lambda: feed.status()["crossed_quotes"] == 1)
        pass_minute(world, feed, taking, 3, ("AAPL", 103.0), ("MSFT", 53.0))
    assert taking.holds[-1] == {("AAPL", "STALE_QUOTE")}


def test_a_close_that_nobody_quotes_is_held_and_an_old_quote_says_nothing(world: World) -> None:
    feed, taking = streaming(world, band=0.2)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.quote("MSFT", 20.0, 20.2, OPEN)  # of minutes ago
        world.quote("AAPL", 80.0, 80.2)
        until(lambda: feed._pulse.sides("AAPL", 0) is not None)
        pass_minute(world, feed, taking, 3, ("AAPL", 103.0), ("MSFT", 53.0))
    assert taking.holds[-1] == {("AAPL", "PRICE_BAND")}


def test_a_halted_symbol_is_held_until_it_trades_again(world: World) -> None:
    feed, taking = streaming(world)
    halt = {"description": "Apple", "shortSaleRestriction": "INACTIVE"}
    with taking:
        until(lambda: len(taking.found) == 3)
        world.market.say("Profile", "AAPL", tradingStatus="HALTED", statusReason="T1", **halt)
        until(lambda: feed.status()["halted"] == ["AAPL"])
        pass_minute(world, feed, taking, 3, ("AAPL", 103.0), ("MSFT", 53.0))
        world.market.say("Profile", "AAPL", tradingStatus="ACTIVE", **halt)
        until(lambda: not feed.status()["halted"])
        pass_minute(world, feed, taking, 4, ("AAPL", 104.0), ("MSFT", 54.0))
    assert taking.holds[3:] == [{("AAPL", "STALE_QUOTE")}, set()]


# Late prices


@pytest.mark.parametrize("level", ["demo", "delayed"])
def test_an_entitlement_without_real_time_is_told(world: World, level: str) -> None:
    world.market.level = level
    world.store("AAPL", 3)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    feed, events = world.feed("AAPL"), list[FeedEvent]()
    feed.on_event(events.append)
    take(world, feed, 3, seconds=5.0)
    assert feed.is_delayed
    assert any("delay=900" in event.text for event in events)


def test_prices_that_come_late_make_no_bar_that_is_whole(world: World) -> None:
    feed, taking = streaming(world, patience=4.0)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.quote("AAPL", 103.4, 103.6)  # the first quote of a connection shows nothing
        # everything is 40 seconds behind, and nobody has said so
        for second in (30, 40, 50):
            at = OPEN + 3 * MINUTE + timedelta(seconds=second)
            taking.go(at)
            for symbol, price in (("AAPL", 103.0), ("MSFT", 53.0)):
                world.trade(symbol, at - timedelta(seconds=40), price)
                world.candle(symbol, OPEN + 3 * MINUTE, price)
        until(lambda: feed.status()["lag"] > 39.0)
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=4))
        world.quote("AAPL", 103.4, 103.6)  # it has come now, and is of 40 seconds ago
        seen = feed.status()["messages"]
        world.quote("AAPL", 103.4, 103.7)
        until(lambda: feed.status()["messages"] > seen)
        assert len(taking.found) == 3
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=10))
        until(lambda: len(taking.found) == 4)
    assert ("AAPL", "STALE_QUOTE") in taking.holds[-1]
    assert ("MSFT", "STALE_QUOTE") in taking.holds[-1]


def test_trades_that_are_all_late_show_that_prices_are(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        assert not feed.is_delayed
        for _ in range(50):
            world.pulse("AAPL", "MSFT", at=OPEN - 12 * MINUTE)
        until(lambda: feed.status()["messages"] > 200)
        assert feed.is_delayed


# Refusals


@pytest.mark.parametrize(
    ("kind", "fault", "code"),
    [("quote_token", Answer(503), "FEED_OFFLINE"), ("quote_token", "cut", "FEED_OFFLINE"),
     ("token", Answer(429), "FEED_RATE_LIMIT"),
     ("quote_token", Answer(404, "quote_streamer.customer_not_found_error", "You must be a customer"),
      "FEED_FAILED"),
     ("token", Answer(401, "invalid_grant", "Grant revoked"), "FEED_FAILED")],
)  # fmt: skip
def test_a_service_that_does_not_let_in_is_given_up_by_name(
    world: World, kind: str, fault: Any, code: str
) -> None:
    world.server.every(kind, fault)
    world.now = OPEN + 3 * MINUTE
    with pytest.raises(FetchError) as caught:
        take(world, world.feed(give_up=30.0), 1)
    assert caught.value.code == code
    assert "canary" not in str(caught.value)


def test_symbols_that_nobody_knows_are_no_quiet_market(world: World) -> None:
    world.now = OPEN + 3 * MINUTE
    with pytest.raises(FetchError) as caught:
        take(world, world.feed("NVIDIAA", give_up=30.0), 1)
    assert caught.value.code == "FEED_EMPTY"


def test_the_secrets_are_in_no_line_of_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.market.expire()
        until(lambda: feed.status()["connections"] == 2)
    assert "canary" not in caplog.text
    assert "canary" not in repr(feed) + str(feed.status())


# A session


def test_a_session_runs_on_it_and_a_frozen_feed_reduces_its_switch(world: World, tmp_path: Any) -> None:
    switch = KillSwitch(tmp_path / "switch", clock=lambda: world.now)
    feed, taking = streaming(world, give_up=3600.0, timeout=0.3)
    events: list[FeedEvent] = []
    feed.on_event(events.append)
    feed.watch(switch, every=0.01)
    with taking:
        until(lambda: len(taking.found) == 3)
        assert not feed.stale
        world.market.mute = True
        taking.go(OPEN + 7 * MINUTE)
        until(lambda: switch.state == "REDUCING")
    assert feed.status()["connected"] is False or feed.status()["stale"]
    assert "stale" in [event.kind for event in events]


# A line of text


def test_a_feed_from_a_line_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = dxlink_feed_of("tastytrade:aapl, msft?interval=5m&warm=7&keys=sandbox", credentials=KEYS)
    assert (feed.symbols, feed.interval, feed.warm, feed.kind) == (("AAPL", "MSFT"), "5m", 7, "stream")
    assert feed._line.sandbox
    assert isinstance(feed.like, Bars)
    monkeypatch.setenv("TWINSTEP_TASTYTRADE_LIVE_SECRET", KEYS["secret"])
    monkeypatch.setenv("TWINSTEP_TASTYTRADE_LIVE_REFRESH", KEYS["refresh"])
    found = feed_of("tastytrade:AAPL?interval=1d", calendar="XNYS")
    assert isinstance(found, DxlinkFeed)
    assert not found._line.sandbox
    assert found.live


@pytest.mark.parametrize(
    ("text", "code"),
    [("tastytrade:AAPL?intervall=5m", "FEED_SPEC"), ("tastytrade:AAPL?warm=x", "FEED_SPEC"),
     ("tastytrade:", "NAME_SYMBOL"), ("tastytrade:AAPL?keys=paper", "FEED_SETTING"),
     ("tastytrade:AAPL?silence=0", "FEED_SETTING"), ("tastytrade:AAPL?interval=7m", "FETCH_INTERVAL")],
)  # fmt: skip
def test_a_line_that_cannot_be_is_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        dxlink_feed_of(text, credentials=KEYS)
    assert caught.value.code == code


def test_without_both_secrets_nothing_is_opened() -> None:
    with pytest.raises(TwinstepError) as caught:
        dxlink_feed_of("tastytrade:AAPL", credentials={"secret": "x"})
    assert caught.value.code == "LIVE_CREDENTIALS"
