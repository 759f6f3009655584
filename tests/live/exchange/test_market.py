"""What moves the prices: sessions that end, actions, and live bars that no order sees too early."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live.clock import system_clock
from live.exchange import Market
from live.exchange.calendar import nanoseconds
from live.exchange.market import ReplayClock
from live.feeds import ReplayFeed
from live.venue import Venue, VenueRequest
from simulator import Bars
from simulator.errors import EngineError

MINUTE = 60_000_000_000


def minutes(rows: list[tuple[float, float, float, float]], begin: int) -> Bars:
    """Bars of one minute of one share, round the clock, the first beginning at `begin`."""
    panel = np.array([[[*row, 1000.0]] for row in rows])
    ts = begin + MINUTE * np.arange(len(rows))
    return Bars.from_arrays(
        ("AAPL",), ts, panel, calendar="24/7", daily=False, close_ts=ts + MINUTE, guard="note"
    )


class Happening:
    """A live feed whose bars come when the test lets them."""

    live = True

    def __init__(self, like: Bars) -> None:
        self.like = like[:0]
        self.after: int | None = None
        self._waiting: queue.SimpleQueue[Bars | None] = queue.SimpleQueue()

    def put(self, bar: Bars | None) -> None:
        self._waiting.put(bar)

    def bars(self, *, after: int | None, rows: int, stopped: Callable[[], bool]) -> Iterator[Bars]:
        self.after = after
        while not stopped():
            try:
                bar = self._waiting.get(timeout=0.02)
            except queue.Empty:
                continue
            if bar is None:
                raise EngineError("the source is gone", code="LIVE_STOPPED")
            yield bar


@pytest.fixture
def happening() -> Iterator[tuple[Market, Happening, Bars]]:
    now = nanoseconds(system_clock()) // MINUTE * MINUTE
    rows = [(100.0, 101.0, 99.0, 100.0), (100.0, 101.0, 90.0, 100.0), (100.0, 101.0, 90.0, 100.0)]
    # the second bar has begun by now, the third has not
    bars = minutes(rows, now - MINUTE)
    feed = Happening(bars)
    market = Market.open(feed, cash=100_000.0)
    market.start()
    yield market, feed, bars
    market.stop()


def played(market: Market, count: int) -> None:
    end = datetime.now(UTC) + timedelta(seconds=10)
    while market.played < count and market.error is None:
        assert datetime.now(UTC) < end


def test_an_order_never_sees_what_a_live_bar_had_done_before(
    happening: tuple[Market, Happening, Bars],
) -> None:
    market, feed, bars = happening
    feed.put(bars[:1])
    played(market, 1)
    order = market.venue.submit(VenueRequest(symbol="AAPL", qty=1, kind="limit", limit_price=95.0, tif="gtc"))
    feed.put(bars[1:2])
    played(market, 2)
    assert market.venue.order(order.id).status == "new"
    feed.put(bars[2:3])
    played(market, 3)
    assert market.venue.order(order.id).status == "filled"


def test_a_market_order_between_live_bars_fills_at_the_next_price(
    happening: tuple[Market, Happening, Bars],
) -> None:
    market, feed, bars = happening
    feed.put(bars[:1])
    played(market, 1)
    order = market.venue.submit(VenueRequest(symbol="AAPL", qty=1))
    assert order.status == "new"
    feed.put(minutes([(70.0, 101.0, 60.0, 98.0)], int(bars.ts[1])))
    played(market, 2)
    done = market.venue.order(order.id)
    assert done.status == "filled"
    assert done.filled_avg_price == pytest.approx(98.0, rel=2e-3)


def test_a_live_market_that_fails_says_why_and_stands_still(
    happening: tuple[Market, Happening, Bars],
) -> None:
    market, feed, bars = happening
    feed.put(bars[:1])
    feed.put(None)
    end = datetime.now(UTC) + timedelta(seconds=10)
    while market.error is None:
        assert datetime.now(UTC) < end
    assert isinstance(market.error, EngineError)
    assert not market.ended
    assert market.played == 1


def test_a_live_venue_goes_on_with_the_bar_that_began_when_the_last_one_ended() -> None:
    now = nanoseconds(system_clock()) // MINUTE * MINUTE
    bars = minutes([(100.0, 101.0, 99.0, 100.0)] * 2, now - 2 * MINUTE)
    venue = Venue(clock=system_clock, instruments=["AAPL"])
    venue.bar(
        datetime.fromtimestamp(int(bars.close_ts[0]) / 1e9, UTC), {"AAPL": (100.0, 101.0, 99.0, 100.0, 1.0)}
    )
    feed = Happening(bars)
    market = Market(venue, feed, clock=system_clock)
    market.start()
    feed.put(bars[1:2])
    played(market, 1)
    market.stop()
    assert feed.after is not None
    assert int(bars.ts[0]) < feed.after < int(bars.ts[1])


def test_a_session_ends_with_its_last_bar_or_before_the_next_ones_first() -> None:
    day = 86_400_000_000_000
    opening = nanoseconds(datetime(2024, 1, 2, 14, 30, tzinfo=UTC))
    hour = 60 * MINUTE
    # the second day lacks its last hours
    starts = [opening + hour * n for n in range(7)] + [opening + day + hour * n for n in range(3)]
    starts += [opening + 2 * day]
    panel = np.full((len(starts), 1, 5), 100.0)
    bars = Bars.from_arrays(("AAPL",), np.array(starts), panel, daily=False)
    market = Market.open(ReplayFeed(bars), manual=True)
    market.step()
    order = market.venue.submit(VenueRequest(symbol="AAPL", qty=1, kind="limit", limit_price=50.0))
    market.step(5)
    assert market.venue.order(order.id).status == "new"
    market.step()
    assert market.venue.order(order.id).status == "expired"
    late = market.venue.submit(VenueRequest(symbol="AAPL", qty=1, kind="limit", limit_price=50.0))
    market.step(3)
    assert market.venue.order(late.id).status == "new"
    market.step()
    assert market.venue.order(late.id).status == "expired"


def test_raw_bars_bring_their_splits_and_dividends_and_adjusted_ones_do_not() -> None:
    sessions = np.array(["2024-01-02", "2024-01-03", "2024-01-04"], "datetime64[ns]")
    prices = np.array([100.0, 50.0, 50.0])
    panel = np.repeat(prices[:, None, None], 5, axis=2)
    actions = [("AAPL", "2024-01-03", "split", 2.0), ("AAPL", "2024-01-04", "dividend", 0.5)]
    for raw, quantity, cash in ((True, 20.0, 99_010.0), (False, 10.0, 99_000.0)):
        bars = Bars.from_arrays(("AAPL",), sessions, panel, actions=actions, raw=raw, guard="note")
        market = Market.open(ReplayFeed(bars), manual=True)
        market.step()
        market.tick({"AAPL": 100.0})
        market.venue.submit(VenueRequest(symbol="AAPL", qty=10))
        market.step(2)
        (held,) = market.venue.positions()
        assert held.qty == quantity
        assert market.venue.account().cash == pytest.approx(cash)


@pytest.mark.parametrize(("value", "cash"), [(float("nan"), 100_000.0), (0.0, 99_000.0), (40.0, 99_400.0)])
def test_a_delisting_pays_its_price_or_the_last_one(value: float, cash: float) -> None:
    sessions = np.array(["2024-01-02", "2024-01-03"], "datetime64[ns]")
    panel = np.full((2, 1, 5), 100.0)
    bars = Bars.from_arrays(
        ("AAPL",), sessions, panel, actions=[("AAPL", "2024-01-03", "delist", value)], guard="note"
    )
    market = Market.open(ReplayFeed(bars), manual=True)
    market.step()
    market.tick({"AAPL": 100.0})
    market.venue.submit(VenueRequest(symbol="AAPL", qty=10))
    market.step()
    assert market.venue.positions() == []
    assert market.venue.account().cash == pytest.approx(cash)


def test_a_kill_between_two_events_repeats_no_split_and_no_dividend(tmp_path: Path) -> None:
    sessions = np.busday_offset(np.datetime64("2024-01-02"), np.arange(6)).astype("datetime64[ns]")
    prices = np.array([100.0, 100.0, 50.0, 50.0, 50.0, 50.0])
    panel = np.repeat(prices[:, None, None], 5, axis=2)
    actions = [("AAPL", "2024-01-04", "split", 2.0), ("AAPL", "2024-01-05", "dividend", 0.5)]
    bars = Bars.from_arrays(("AAPL",), sessions, panel, actions=actions, raw=True, guard="note")
    path = tmp_path / "exchange.state"
    market = Market.open(ReplayFeed(bars), path=path, manual=True)
    market.step()
    market.venue.submit(VenueRequest(symbol="AAPL", qty=10, tif="gtc"))
    begun = len(path.read_bytes().splitlines())
    market.step(6)
    market.venue.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > begun + 6
    for count in range(begun, len(lines) + 1):
        path.write_bytes(b"".join(lines[:count]))
        again = Market.open(ReplayFeed(bars), path=path, manual=True)
        again.step(10)
        (held,) = again.venue.positions()
        assert (held.qty, again.venue.account().cash) == (20.0, 100_000.0 - 1_000.0 + 10.0)
        assert len(again.venue.activities(["SPLIT", "DIV"])) == 2
        again.venue.close()


def test_a_stop_is_met_by_a_live_bar_though_another_order_is_younger() -> None:
    begin = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
    flat = (100.0, 101.0, 99.0, 100.0)
    bars = minutes([flat, flat, flat, (100.0, 100.5, 94.0, 99.8)], nanoseconds(begin))
    feed = Happening(bars)
    now = begin
    venue = Venue(clock=lambda: now, instruments=["AAPL"])
    market = Market(venue, feed, clock=lambda: now, manual=True)

    def at(seconds: int) -> None:
        nonlocal now
        now = begin + timedelta(seconds=seconds)

    def play(row: int) -> None:
        at(60 * row + 62)
        feed.put(bars[row : row + 1])
        market.step()

    play(0)
    venue.submit(VenueRequest(symbol="AAPL", qty=10, tif="gtc"))
    play(1)
    stop = venue.submit(
        VenueRequest(symbol="AAPL", side="sell", qty=10, kind="stop", stop_price=97.0, tif="gtc")
    )
    play(2)
    at(210)
    young = venue.submit(VenueRequest(symbol="AAPL", qty=1, kind="limit", limit_price=95.0, tif="gtc"))
    play(3)
    assert venue.order(stop.id).filled_avg_price == pytest.approx(97.0, rel=2e-3)
    assert venue.order(young.id).status == "new"


def test_the_clock_never_stands_and_never_goes_back() -> None:
    start = datetime(2024, 1, 2, tzinfo=UTC)
    clock = ReplayClock(start)
    first, second = clock(), clock()
    assert start < first < second == clock.look()
    clock.set(start)
    assert clock() > second
    later = start + timedelta(days=1)
    clock.set(later)
    assert clock.look() == later


def test_a_market_by_hand_is_moved_by_hand_alone() -> None:
    market = Market.open(ReplayFeed("synthetic:1x5?seed=1"), manual=True)
    market.start()
    assert market.played == 0
    assert (market.step(3), market.step(3), market.ended) == (3, 2, True)
    free = Market.open(ReplayFeed("synthetic:1x5?seed=1"))
    calls: list[Callable[[], Any]] = [free.step, lambda: free.tick({"TEC1": 1.0})]
    for call in calls:
        with pytest.raises(EngineError) as caught:
            call()
        assert caught.value.code == "EXCHANGE_RUNNING"
