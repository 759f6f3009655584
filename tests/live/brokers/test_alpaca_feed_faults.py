"""Faults 28 to 30 at Alpaca's feed: bars twice, late, revised, missing; clocks; prices that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from simulator.bars import Bars
from tests.live.brokers.alpaca_desk import until
from tests.live.brokers.alpaca_world import MINUTE, OPEN, World, held_while, opened, streaming, take


@pytest.fixture
def world() -> Iterator[World]:
    yield from opened()


def minute(n: int) -> datetime:
    """Return the beginning of the n-th minute of the session."""
    return OPEN + n * MINUTE


def opens(parts: list[Bars]) -> list[int]:
    """Return the first symbol's opens, which count the minutes from 100."""
    return [int(np.nan_to_num(part.open[0, 0])) for part in parts]


# 28: bars


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


def test_28_a_gap_of_bars_is_stepped_through_in_order_and_nothing_is_entered_in_it(world: World) -> None:
    world.store("AAPL", 12)
    world.now = minute(3) + timedelta(seconds=20)
    feed = world.feed("AAPL", stream=False)
    first = take(world, feed, 3, seconds=5.0)
    after = int(first[-1].ts[0])
    world.now = minute(10) + timedelta(seconds=20)  # the process was away for seven minutes
    found, holds = held_while(world, world.feed("AAPL", stream=False), 7, after=after)
    assert opens(found) == [103, 104, 105, 106, 107, 108, 109]
    assert [codes == ["GAP"] for codes in holds] == [True] * 6 + [False]


def test_28_a_revised_last_bar_comes_once_more_and_no_other_does(world: World) -> None:
    world.store("AAPL", 6)
    world.now = minute(3) + timedelta(seconds=20)
    feed = world.feed("AAPL", stream=False)
    found: list[Bars] = []
    for part in feed.bars(after=None, rows=1, stopped=lambda: len(found) >= 5 or world.now > minute(6)):
        found.append(part)
        if len(found) == 3:
            world.data.bars["AAPL"][2] = world.row("AAPL", minute(2), 102.25)
    assert opens(found) == [100, 101, 102, 102, 103]
    assert found[3].ts[0] == found[2].ts[0]
    assert found[3].open[0, 0] == 102.25


def test_28_a_symbol_whose_last_bar_is_older_is_waited_for_and_then_held(world: World) -> None:
    world.store("AAPL", 8)
    world.store("MSFT", 4, price=50.0)
    world.now = minute(4) + timedelta(seconds=20)
    found, holds = held_while(world, world.feed(stream=False, patience=10.0), 4)
    assert opens(found) == [101, 102, 103, 104]
    assert np.isnan(found[-1].close[0, 1])
    assert (holds[2], holds[3]) == ([], ["STALE_QUOTE"])


# 29: clocks


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


def test_29_in_autumn_the_session_begins_an_hour_later_in_utc(world: World) -> None:
    monday = datetime(2026, 11, 2, 14, 30, tzinfo=UTC)
    world.store("AAPL", 60, start=monday - timedelta(hours=1), price=7.0)  # before the session
    world.store("AAPL", 4, start=monday)
    world.now = monday + 4 * MINUTE + timedelta(seconds=20)
    assert opens(take(world, world.feed("AAPL", stream=False, warm=4), 4, seconds=5.0)) == [
        100, 101, 102, 103,
    ]  # fmt: skip


def test_29_in_the_week_in_which_europe_has_changed_its_clocks_alone_new_york_counts(world: World) -> None:
    monday = datetime(2026, 10, 26, 13, 30, tzinfo=UTC)
    world.store("AAPL", 4, start=monday)
    world.now = monday + 4 * MINUTE + timedelta(seconds=20)
    assert opens(take(world, world.feed("AAPL", stream=False, warm=4), 4, seconds=5.0)) == [
        100, 101, 102, 103,
    ]  # fmt: skip


def test_29_a_half_day_ends_at_one_and_the_day_before_it_had_no_session(world: World) -> None:
    thanksgiving = datetime(2026, 11, 26, 14, 30, tzinfo=UTC)
    close = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    world.store("AAPL", 390, start=thanksgiving, price=7.0)
    world.store("AAPL", 60, start=close - 3 * MINUTE)  # trades after the close are no session either
    world.now = close + 30 * MINUTE
    feed = world.feed("AAPL", stream=False)
    assert opens(take(world, feed, 4, seconds=120.0)) == [100, 101, 102]
    assert not feed.stale  # nobody waits for a bar


@pytest.mark.parametrize("hours", [-1.0, 1.0])
def test_29_a_clock_that_jumps_serves_no_bar_early_and_none_twice(world: World, hours: float) -> None:
    world.store("AAPL", 12)
    world.now = minute(3) + timedelta(seconds=20)
    feed = world.feed("AAPL", stream=False, give_up=1e6)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.kind))
    found: list[Bars] = []
    for part in feed.bars(after=None, rows=1, stopped=lambda: world.now > minute(9)):
        assert world.now >= OPEN + (len(found) + 1) * MINUTE
        found.append(part)
        if len(found) == 4:
            world.shift = timedelta(hours=hours)
    assert opens(found) == list(range(100, 100 + len(found)))
    assert said.count("clock_jump") == 1
    # set back it cannot know that a bar is over, and says that it is stale
    assert len(found) >= 5 or (hours < 0.0 and feed.stale)


def test_29_a_suspended_machine_is_a_gap_and_no_jump(world: World) -> None:
    world.store("AAPL", 60)
    world.now = minute(3) + timedelta(seconds=20)
    feed = world.feed("AAPL", stream=False, give_up=1e6)
    found: list[Bars] = []
    holds: list[list[str]] = []
    for part in feed.bars(after=None, rows=1, stopped=lambda: len(found) >= 24):
        found.append(part)
        holds.append([hold.code for hold in feed.holds(part)])
        if len(found) == 4:
            world.now += 20 * MINUTE
    assert opens(found) == list(range(100, 124))
    assert holds[5] == ["GAP"]
    assert feed.times.jumps == 0


# 30: prices


def test_30_a_price_ten_times_as_high_is_held_and_kept_for_the_stops_to_see(world: World) -> None:
    world.store("AAPL", 5)
    world.data.bars["AAPL"][3] = world.row("AAPL", minute(3), 1030.0)
    world.now = minute(3) + timedelta(seconds=20)
    found, holds = held_while(world, world.feed("AAPL", stream=False), 5)
    assert opens(found) == [100, 101, 102, 1030, 104]
    assert (holds[3], holds[4]) == (["PRICE_BAND"], [])


@pytest.mark.parametrize(
    "wrong",
    [{"o": 0.0, "l": 0.0, "c": 0.0}, {"l": -5.0}, {"h": 90.0}, {"o": None}, {"c": 1e300}],
    ids=["zero", "negative", "high below low", "none", "too large"],
)
def test_30_a_price_that_cannot_be_is_missing_and_not_zero(
    world: World, wrong: dict[str, float | None]
) -> None:
    world.store("AAPL", 5)
    world.store("MSFT", 5, price=50.0)
    world.data.bars["AAPL"][3] |= wrong
    world.now = minute(3) + timedelta(seconds=20)
    found, holds = held_while(world, world.feed(stream=False), 5)
    bad = found[3].panel[0, 0]
    assert np.isnan(bad[:4]).all() or "PRICE_BAND" in holds[3]
    assert "STALE_QUOTE" in holds[3] or "PRICE_BAND" in holds[3]
    assert opens(found)[4] == 104
    assert (found[3].panel[0, 1] > 0.0).all()  # the other symbol is as it was


def test_30_pennies_are_prices(world: World) -> None:
    world.data.bars["AAPL"] = [
        {"t": minute(n).isoformat().replace("+00:00", "Z"), "o": 0.0123, "h": 0.0125, "l": 0.012, "c": 0.0124,
         "v": 1e6} for n in range(4)
    ]  # fmt: skip
    world.now = minute(4) + timedelta(seconds=20)
    found = take(world, world.feed("AAPL", stream=False), 3, seconds=5.0)
    assert [part.close[0, 0] for part in found] == [0.0124] * 3


def test_30_a_bar_of_the_stream_that_lacks_a_number_is_asked_for_and_the_stream_goes_on(world: World) -> None:
    feed, taking = streaming(world)
    with taking:
        until(lambda: len(taking.found) == 3 and feed.status()["connected"])
        for symbol, price in (("AAPL", 103.0), ("MSFT", 53.0)):
            world.store(symbol, 2, start=minute(3), price=price)
        taking.go(minute(5))
        until(lambda: len(taking.found) == 4)
        world.data.say(
            {"T": "b", "S": "AAPL", **world.row("AAPL", minute(4), 104.0), "t": minute(4), "o": None}
        )
        world.tell("MSFT", minute(4), 54.0)
        until(lambda: feed.messages == 2)
        taking.go(minute(5) + timedelta(seconds=10))
        until(lambda: len(taking.found) == 5)
    assert taking.found[-1].close[0].tolist() == [104.5, 54.5]
    assert feed.status()["connections"] == 1
