"""Faults 28 to 30 of bars and quotes, for tastytrade's feed, and a session that meets them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live.feeds.dxlink import DxlinkFeed
from live.feeds.events import FeedEvent
from live.kill_switch import KillSwitch
from live.parity import verify_parity
from live.session import Session
from simulator import Signals
from simulator.bars import Bars
from tests.live.brokers.dxlink_world import (
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


def started(world: World, symbols: str = "AAPL,MSFT", **more: Any) -> tuple[DxlinkFeed, Taking]:
    """Return a feed with three minutes behind it, and what takes from it."""
    for symbol in symbols.split(","):
        world.store(symbol, 3)
    world.now = OPEN + 3 * MINUTE + timedelta(seconds=5)
    for symbol in symbols.split(","):
        world.pulse(symbol)
    feed = world.feed(symbols, **more)
    return feed, Taking(world, feed)


def minute(world: World, feed: DxlinkFeed, taking: Taking, number: int, *symbols: str, **row: Any) -> None:
    """Let a minute pass with a candle for some symbols, up to its bar."""
    start, before = OPEN + number * MINUTE, len(taking.found)
    taking.go(start + MINUTE + timedelta(seconds=1))
    for symbol in symbols:
        world.candle(symbol, start, 100.0 + number, **row)
    for symbol in symbols:
        known(feed, symbol, start, row.get("close", 100.5 + number))
    world.pulse(*symbols)
    reached(feed, start + MINUTE, *symbols)
    taking.go(start + MINUTE + timedelta(seconds=5))
    until(lambda: len(taking.found) > before)


def heard(feed: DxlinkFeed) -> int:
    count: int = feed.status()["messages"]
    return count


# 28: duplicates, order, gaps, bars that still run, revisions, symbols apart


def test_28_a_candle_told_twice_late_or_in_the_wrong_order_is_one_bar(world: World) -> None:
    feed, taking = started(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        for at, price in ((3, 103.0), (3, 103.0), (2, 102.0), (3, 103.0), (1, 101.0)):
            world.candle("AAPL", OPEN + at * MINUTE, price)
        minute(world, feed, taking, 3, "MSFT", "AAPL")
        minute(world, feed, taking, 4, "AAPL", "MSFT")
    times = [int(part.ts[0]) for part in taking.found]
    assert times == sorted(set(times))
    assert taking.closes() == [[100.5 + n, 100.5 + n] for n in range(5)]
    assert taking.holds[3:] == [set(), set()]


def test_28_a_candle_that_still_runs_is_not_handed_over(world: World) -> None:
    world.store("AAPL", 6)
    world.now = OPEN + 5 * MINUTE + timedelta(seconds=20)  # the sixth minute has a candle already
    found = take(world, world.feed("AAPL"), 3, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [102, 103, 104]


def test_28_a_candle_whose_end_has_not_come_yet_is_waited_for_and_then_held(world: World) -> None:
    feed, taking = started(world, "AAPL", patience=10.0)
    with taking:
        until(lambda: len(taking.found) == 3)
        taking.go(OPEN + 3 * MINUTE + timedelta(seconds=30))
        world.candle("AAPL", OPEN + 3 * MINUTE, 103.0)
        world.pulse("AAPL")  # the last that is heard is of half a minute before the end
        reached(feed, OPEN + 3 * MINUTE + timedelta(seconds=30), "AAPL")
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=9))
        assert len(taking.found) == 3
        world.candle("AAPL", OPEN + 3 * MINUTE, 103.0, close=103.9)
        known(feed, "AAPL", OPEN + 3 * MINUTE, 103.9)
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=15))
        until(lambda: len(taking.found) == 4)
    assert taking.closes()[-1] == [103.9]
    assert taking.holds[-1] == {("AAPL", "STALE_QUOTE")}


def test_28_a_gap_is_filled_in_order_and_held(world: World) -> None:
    feed, taking = started(world, "AAPL", timeout=0.3)
    with taking:
        until(lambda: len(taking.found) == 3)
        world.market.mute = True
        world.store("AAPL", 4, start=OPEN + 3 * MINUTE, price=103.0)
        taking.go(OPEN + 7 * MINUTE + timedelta(seconds=4))
        world.market.mute = False
        world.market.drop()
        until(lambda: feed.status()["connections"] == 2)
        world.pulse("AAPL")
        taking.go(OPEN + 7 * MINUTE + timedelta(seconds=40))
        until(lambda: len(taking.found) == 7)
    assert taking.closes() == [[100.5 + n] for n in range(7)]
    assert [any(code == "GAP" for _, code in held) for held in taking.holds[3:6]] == [True] * 3


def test_28_a_revised_bar_comes_again_and_is_told_as_what_it_is(world: World) -> None:
    feed, taking = started(world, "AAPL")
    with taking:
        until(lambda: len(taking.found) == 3)
        world.candle("AAPL", OPEN + 2 * MINUTE, 102.0, close=102.25)
        known(feed, "AAPL", OPEN + 2 * MINUTE, 102.25)
        minute(world, feed, taking, 3, "AAPL")
        until(lambda: len(taking.found) == 5)
    assert [int(part.ts[0]) for part in taking.found[3:]] == [
        int((OPEN + n * MINUTE).timestamp()) * 10**9 for n in (2, 3)
    ]
    assert taking.closes()[3:] == [[102.25], [103.5]]


def test_28_a_candle_that_is_removed_again_is_no_bar(world: World) -> None:
    feed, taking = started(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=1))
        world.candle("AAPL", OPEN + 3 * MINUTE, 103.0)
        before = heard(feed)
        stamp = int((OPEN + 3 * MINUTE).timestamp() * 1000)
        del world.market.candles["AAPL", "m"][stamp]
        world.market.tell_candle("AAPL", {"time": stamp, "eventFlags": 2})
        until(lambda: feed._book.removed == 1)
        minute(world, feed, taking, 3, "MSFT")
    assert heard(feed) > before
    assert np.isnan(taking.closes()[-1][0])
    assert ("AAPL", "STALE_QUOTE") in taking.holds[-1]


def test_28_symbols_with_different_last_times_go_out_together_and_one_is_held(world: World) -> None:
    feed, taking = started(world, patience=5.0)
    with taking:
        until(lambda: len(taking.found) == 3)
        taking.go(OPEN + 3 * MINUTE + timedelta(seconds=20))
        world.candle("MSFT", OPEN + 3 * MINUTE, 103.0)
        world.pulse("MSFT")  # and nothing of it after that
        known(feed, "MSFT", OPEN + 3 * MINUTE, 103.5)
        reached(feed, OPEN + 3 * MINUTE + timedelta(seconds=20), "MSFT")
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=1))
        world.candle("AAPL", OPEN + 3 * MINUTE, 103.0)
        world.pulse("AAPL")
        known(feed, "AAPL", OPEN + 3 * MINUTE, 103.5)
        reached(feed, OPEN + 4 * MINUTE, "AAPL")
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=12))
        until(lambda: len(taking.found) == 4)
    assert taking.closes()[-1] == [103.5, 103.5]
    assert taking.holds[-1] == {("MSFT", "STALE_QUOTE")}


def test_28_a_symbol_that_trades_and_has_no_candle_is_asked_for_once_more(world: World) -> None:
    feed, taking = started(world, patience=5.0)
    with taking:
        until(lambda: len(taking.found) == 3)
        asked = len(world.market.asked)
        taking.go(OPEN + 3 * MINUTE + timedelta(seconds=40))
        stamp = int((OPEN + 3 * MINUTE).timestamp() * 1000)
        # its candle is there, and was told to nobody
        world.market.candles["MSFT", "m"][stamp] = {
            "time": stamp, "open": 7.0, "high": 8.0, "low": 6.0, "close": 7.5, "volume": 1.0, "count": 1,
        }  # fmt: skip
        world.pulse("MSFT")
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=1))
        world.candle("AAPL", OPEN + 3 * MINUTE, 103.0)
        world.pulse("AAPL", "MSFT")
        known(feed, "AAPL", OPEN + 3 * MINUTE, 103.5)
        reached(feed, OPEN + 4 * MINUTE, "AAPL", "MSFT")
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=6))
        until(lambda: len(taking.found) == 4)
    assert taking.closes()[-1] == [103.5, 7.5]
    again = [one[1] for one in world.market.asked[asked:]]
    assert again == ["MSFT{=1m,tho=true}"]
    assert world.market.removed == [("Candle", "MSFT{=1m,tho=true}")]


def test_28_a_restart_goes_on_after_its_last_bar_and_makes_no_price_trusted(world: World) -> None:
    world.store("AAPL", 8)
    for number in (3, 4):
        world.candle("AAPL", OPEN + number * MINUTE, 400.0)  # nothing of it is near what was before
    world.now = OPEN + 8 * MINUTE + timedelta(seconds=5)
    world.pulse("AAPL")
    feed = world.feed("AAPL")
    events: list[FeedEvent] = []
    feed.on_event(events.append)
    taking = Taking(world, feed, after=int((OPEN + 2 * MINUTE).timestamp()) * 10**9)
    with taking:
        until(lambda: len(taking.found) == 5)
    assert taking.closes() == [[400.5], [400.5], [105.5], [106.5], [107.5]]
    assert [{code for _, code in held} for held in taking.holds] == [
        {"GAP", "PRICE_BAND"}, {"GAP", "PRICE_BAND"}, {"GAP"}, {"GAP"}, set(),
    ]  # fmt: skip
    feed.close()
    assert "reconnect" not in [event.kind for event in events]  # it was ended, and did not break


# 29: clocks


def test_29_after_the_clocks_have_changed_the_session_begins_an_hour_earlier_in_utc(world: World) -> None:
    monday = datetime(2026, 3, 9, 13, 30, tzinfo=UTC)
    world.store("AAPL", 4, start=monday)
    world.store("AAPL", 3, start=monday - timedelta(hours=1), price=7.0)
    world.now = monday + 4 * MINUTE + timedelta(seconds=20)
    found = take(world, world.feed("AAPL", warm=4), 4, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [100, 101, 102, 103]


def test_29_a_half_day_ends_at_one_and_its_feed_is_not_stale_after_it(world: World) -> None:
    last = datetime(2026, 11, 27, 17, 57, tzinfo=UTC)  # the day after Thanksgiving
    world.store("AAPL", 3, start=last)
    world.store("AAPL", 3, start=last + 3 * MINUTE, price=7.0)  # after the close
    world.now = datetime(2026, 11, 27, 18, 30, tzinfo=UTC)
    feed = world.feed("AAPL")
    found = take(world, feed, 3, seconds=5.0)
    assert [int(part.close[0, 0]) for part in found] == [100, 101, 102]
    world.now += timedelta(hours=3)
    assert not feed.stale


def test_29_a_clock_that_jumps_serves_nothing_early_and_holds(world: World) -> None:
    jump = [timedelta()]
    feed, taking = started(world, "AAPL", clock=lambda: world.now + jump[0])
    with taking:
        until(lambda: len(taking.found) == 3)
        jump[0] = timedelta(hours=1)
        until(lambda: feed.status()["clock"] == "jumped")
        assert len(taking.found) == 3
        world.pulse("AAPL")  # the market's time is that of the steady clock
        minute(world, feed, taking, 3, "AAPL")
        assert {code for _, code in taking.holds[-1]} >= {"CLOCK_JUMP"}
        jump[0] = timedelta()
        until(lambda: feed.status()["clock"] == "ok")
        minute(world, feed, taking, 4, "AAPL")
    assert taking.holds[-1] == set()
    times = [int(part.ts[0]) for part in taking.found]
    assert times == sorted(set(times))


# 30: prices


@pytest.mark.parametrize(
    "row",
    [{"open": 0.0, "high": 0.0, "low": 0.0, "close": 0.0}, {"low": 0.0}, {"close": -5.0},
     {"high": 90.0}, {"close": "NaN"}, {"high": "Infinity"}, {"open": "-Infinity"},
     {"open": "NaN", "high": "NaN", "low": "NaN", "close": "NaN", "volume": "NaN", "count": 0}],
)  # fmt: skip
def test_30_what_cannot_be_a_price_is_a_missing_bar(world: World, row: dict[str, Any]) -> None:
    feed, taking = started(world)
    with taking:
        until(lambda: len(taking.found) == 3)
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=1))
        world.candle("AAPL", OPEN + 3 * MINUTE, 103.0, **row)
        minute(world, feed, taking, 3, "MSFT")
        minute(world, feed, taking, 4, "AAPL", "MSFT")
    assert np.isnan(taking.found[3].panel[0, 0, :4]).all()
    assert ("AAPL", "STALE_QUOTE") in taking.holds[3]
    assert taking.closes()[4] == [104.5, 104.5]


def test_30_a_price_ten_times_the_last_is_held_until_it_is_confirmed(world: World) -> None:
    feed, taking = started(world, "AAPL")
    with taking:
        until(lambda: len(taking.found) == 3)
        for number in range(3, 7):
            spike = (
                {"high": 1030.0}
                if number == 3
                else {"open": 1000.0, "high": 1000.0, "low": 990.0, "close": 995.0}
            )
            minute(world, feed, taking, number, "AAPL", **spike)
    assert [held for held in taking.holds[3:]] == [
        {("AAPL", "PRICE_BAND")}, {("AAPL", "PRICE_BAND")}, {("AAPL", "PRICE_BAND")}, set(),
    ]  # fmt: skip


def test_30_a_quote_without_a_side_is_no_quote_and_an_old_one_decides_nothing(world: World) -> None:
    feed, taking = started(world, "AAPL")
    with taking:
        until(lambda: len(taking.found) == 3)
        world.market.say("Quote", "AAPL", bidPrice="NaN", askPrice=104.0)
        world.quote("AAPL", 0.0, 104.0)
        minute(world, feed, taking, 3, "AAPL")
    assert taking.holds[-1] == set()


def test_30_a_feed_that_is_frozen_while_its_connection_lives_is_stale_in_two_bars(
    world: World, tmp_path: Path
) -> None:
    switch = KillSwitch(tmp_path / "switch", clock=lambda: world.now)
    feed, taking = started(world, give_up=3600.0, timeout=0.2)
    feed.watch(switch, every=0.01)
    world.market.keepalive = 0.05
    with taking:
        until(lambda: len(taking.found) == 3)
        world.market.mute = True
        taking.go(OPEN + 4 * MINUTE + timedelta(seconds=50))
        assert switch.state == "ACTIVE"
        assert feed.status()["connected"]
        taking.go(OPEN + 5 * MINUTE + timedelta(seconds=10))
        until(lambda: switch.state == "REDUCING")


def test_30_candles_that_freeze_while_trades_go_on_are_stale_too(world: World) -> None:
    feed, taking = started(world, "AAPL", timeout=0.2)
    with taking:
        until(lambda: len(taking.found) == 3)
        for number in range(3, 8):
            taking.go(OPEN + number * MINUTE + timedelta(seconds=30))
            world.pulse("AAPL")
            seen = heard(feed)
            until(lambda seen=seen: heard(feed) >= seen)  # type: ignore[misc]
        until(lambda: feed._pulse.traded("AAPL") > int((OPEN + 7 * MINUTE).timestamp()) * 10**9)
        assert feed.stale
        assert len(taking.found) == 3


def test_30_quotes_of_a_quiet_symbol_keep_its_feed_fresh(world: World) -> None:
    feed, taking = started(world, "AAPL")
    with taking:
        until(lambda: len(taking.found) == 3)
        minute(world, feed, taking, 3, "AAPL")
        for number in range(4, 9):
            taking.go(OPEN + number * MINUTE + timedelta(seconds=30))
            seen = heard(feed)
            world.quote("AAPL", 103.4, 103.6)
            until(lambda seen=seen: heard(feed) > seen)  # type: ignore[misc]
            assert not feed.stale


# A session that meets them


class Eager:
    """Enters whatever bar it sees, and leaves what it has after two."""

    def signals(self, bars: Bars) -> Signals:
        rows = np.arange(len(bars))
        return Signals.from_arrays(
            bars, rows, np.zeros(len(bars), int), 1, qty=1.0, stop_percent=50.0, max_bars=2
        )

    def __repr__(self) -> str:
        return "Eager()"


def test_a_session_enters_on_no_bar_that_is_held_and_its_receipt_agrees(world: World, tmp_path: Path) -> None:
    world.store("AAPL", 12)
    spike = int((OPEN + 8 * MINUTE).timestamp() * 1000)
    world.market.candles["AAPL", "m"][spike] |= {"high": 1000.0}
    world.now = OPEN + 6 * MINUTE + timedelta(seconds=5)
    world.pulse("AAPL")
    ends, outcomes = OPEN + 11 * MINUTE + timedelta(seconds=10), list[Any]()

    def sleep(seconds: float) -> None:
        """Let the clock run; at each full minute the market shows where it is."""
        before = world.now
        world.sleep(seconds)
        if world.now.minute != before.minute:
            seen = heard(feed)
            world.pulse("AAPL")
            if feed.status()["connected"]:
                until(lambda: heard(feed) >= seen + 2)

    feed = world.feed("AAPL", warm=5, sleep=sleep)
    real = feed.bars
    feed.bars = lambda **more: real(  # type: ignore[method-assign]
        **more | {"stopped": lambda: world.now > ends or more["stopped"]()}
    )
    with Session(tmp_path / "one.db", feed=feed, strategies=Eager(), risk=None) as session:
        session.run(tell=lambda session, outcome: outcomes.append(outcome), signals=False)
        codes = [[hold.code for hold in one.holds] for one in outcomes]
        filled = [len(one.logs["fills"][one.logs["fills"]["kind"] == 0]) for one in outcomes]
        assert session.bars == len(outcomes) == 10
    assert codes == [["WARM"]] * 4 + [[], [], [], ["PRICE_BAND"], [], []]
    # the bar after a held one opens without an entry
    assert [filled[n + 1] for n in range(9) if codes[n]] == [0] * 5
    assert sum(filled) > 0
    assert verify_parity(tmp_path / "one.db", "paper").ok
