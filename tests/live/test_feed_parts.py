"""The parts of a feed, each against something that knows better: calendars, clocks, prices, names."""

from __future__ import annotations

import threading
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.clock import FakeClock
from live.feeds import Hold, ReplayFeed, StaleWatch, YahooFeed, feed_of, without_entries
from live.feeds.backoff import Backoff
from live.feeds.band import PriceBand
from live.feeds.events import Events, FeedEvent
from live.feeds.grid import Grid
from live.feeds.timekeeper import Timekeeper, steady_clock
from live.kill_switch import KillSwitch
from simulator import Signals, load_bars
from simulator.errors import ConfigError, TwinstepError

DAY = 86_400 * 10**9
few = settings(max_examples=40, derandomize=True, database=None, deadline=None)


def instant(text: str) -> int:
    return int(pd.Timestamp(text).value)


# The grid


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XTKS", "XHKG", "XETR", "24/7"])
@pytest.mark.parametrize("interval", ["1m", "30m", "1h"])
def test_the_grid_is_that_of_the_exchange(calendar: str, interval: str) -> None:
    name = "24/7" if calendar == "24/7" else calendar
    known = exchange_calendars.get_calendar(name, start="2024-01-02", end="2024-12-30")
    length = pd.Timedelta(interval.replace("m", "min"))
    grid = Grid(calendar, interval)
    for first, last in (
        ("2024-03-06", "2024-03-15"),
        ("2024-10-24", "2024-11-06"),
        ("2024-12-23", "2024-12-27"),
    ):
        slots = grid.between(instant(first), instant(last) + DAY - 1)
        minutes = known.minutes_in_range(
            pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC") + length * 0 + pd.Timedelta("1D")
        )
        # every minute of trading lies in exactly one bar, and every bar holds minutes of trading
        at = minutes.as_unit("ns").asi8
        at = at[(at >= slots.open[0]) & (at < slots.close[-1])]
        place = np.searchsorted(slots.open, at, side="right") - 1
        assert (at < slots.close[place]).all()
        assert np.unique(place).size == len(slots)
        assert (slots.close - slots.open <= length.value).all()
        assert (slots.open[1:] >= slots.close[:-1]).all()


@few
@given(st.integers(0, 3 * 365 * 24 * 60), st.sampled_from(["1m", "5m", "1h", "1d"]))
def test_following_and_between_agree(minute: int, interval: str) -> None:
    grid = Grid("XNYS", interval)
    now = instant("2023-01-03") + minute * 60 * 10**9
    following = grid.following(now)
    assert following.close[0] > now
    assert len(grid.between(now, int(following.close[0]) - 1)) == 0
    assert grid.between(now, int(following.close[0])).ts.tolist() == following.ts.tolist()
    label = int(following.ts[0])
    assert grid.close_of(label) == following.close[0]
    assert grid.session_of(label) == following.session[0]
    held = grid.at(now)
    assert held == (label if following.open[0] <= now else None)
    last = grid.last(5, now)
    assert len(last) == 5
    assert last.close[-1] <= now < following.close[0]


def test_a_calendar_ends_some_day() -> None:
    assert len(Grid("XNYS", "1d").following(instant("2200-01-01"))) == 0


# The clocks


class Clocks:
    def __init__(self) -> None:
        self.wall = FakeClock(datetime(2024, 3, 8, 15, tzinfo=UTC))
        self.steady = 50.0
        self.true = instant("2024-03-08T15:00")

    def go(self, seconds: float, wall: float | None = None) -> None:
        self.steady += seconds
        self.true += int(seconds * 1e9)
        self.wall.advance(timedelta(seconds=seconds if wall is None else wall))


def test_a_quiet_clock_is_exact() -> None:
    clocks = Clocks()
    times = Timekeeper(clocks.wall, lambda: clocks.steady)
    for _ in range(50):
        clocks.go(0.1)
        assert times.early == times.late == clocks.true
    assert not times.doubtful


@few
@given(st.lists(st.tuples(st.floats(0.1, 600), st.floats(-7200, 7200)), max_size=12))
def test_a_bar_is_never_early_and_never_younger_than_it_is(moves: list[tuple[float, float]]) -> None:
    # whatever the wall clock does, one of both readings was right from the start
    clocks = Clocks()
    times = Timekeeper(clocks.wall, lambda: clocks.steady)
    for seconds, jump in moves:
        clocks.go(seconds, seconds + jump)
        early, late = times.early, times.late
        assert early <= clocks.true + 6 * 10**9 * len(moves)
        assert late >= clocks.true - 6 * 10**9 * len(moves)
        assert early <= late
        times.shown(clocks.true - 10**9)
        assert times.early <= times.late


def test_a_slewed_clock_is_followed_and_a_moved_one_is_told() -> None:
    clocks = Clocks()
    said: list[str] = []
    times = Timekeeper(clocks.wall, lambda: clocks.steady, said.append)
    for _ in range(20):
        clocks.go(60, 61)
        assert not times.doubtful
    assert said == []
    clocks.go(60, 3660)
    assert times.doubtful
    assert said == ["the clock was moved by +3600 seconds"]
    assert times.late - times.early == pytest.approx(3600e9, abs=1)
    clocks.go(60, -3540)  # and back
    assert not times.doubtful


def test_prices_from_the_future_correct_a_slow_clock() -> None:
    clocks = Clocks()
    said: list[str] = []
    times = Timekeeper(clocks.wall, lambda: clocks.steady, said.append)
    for _ in range(12):
        # the old time stays possible until prices have been ahead of it for a while
        clocks.go(5)
        times.shown(clocks.true + 3600 * 10**9)
        assert times.early == clocks.true
    assert times.doubtful
    assert times.late == clocks.true + 3600 * 10**9
    for _ in range(6):
        clocks.go(5)
        times.shown(clocks.true + 3600 * 10**9)
    assert times.early == times.late == clocks.true + 3600 * 10**9
    assert not times.doubtful
    assert len(said) == 2
    assert steady_clock() <= steady_clock()


@pytest.mark.parametrize("between", [0, 1, 2])
def test_single_stamps_from_the_future_move_no_clock(between: int) -> None:
    clocks = Clocks()
    said: list[str] = []
    times = Timekeeper(clocks.wall, lambda: clocks.steady, said.append)
    for number in range(300):
        clocks.go(1)
        ahead = number % (between + 2) == 0
        times.shown(clocks.true + (7200 if ahead else -1) * 10**9)
        assert times.early == times.late == clocks.true
    assert said == []


def test_wrong_stamps_in_a_row_are_a_doubt_that_good_ones_end() -> None:
    clocks = Clocks()
    said: list[str] = []
    times = Timekeeper(clocks.wall, lambda: clocks.steady, said.append)
    for _ in range(5):
        times.shown(clocks.true + 7200 * 10**9)
    assert times.doubtful
    assert times.early == clocks.true
    for _ in range(3):
        clocks.go(60)
        assert times.doubtful
        times.shown(clocks.true)
    assert times.early == times.late == clocks.true
    assert len(said) == 1


def test_a_price_that_agrees_with_one_of_two_clocks_is_believed_alone() -> None:
    clocks = Clocks()
    times = Timekeeper(clocks.wall, lambda: clocks.steady)
    clocks.go(60, 60 - 3600)
    assert times.doubtful
    times.shown(clocks.true - 1800 * 10**9)  # from between both: it may as well be a wrong stamp
    assert times.early == clocks.true - 3600 * 10**9
    times.shown(clocks.true - 10**9)
    assert times.early == times.late == clocks.true


# Pauses, prices, callbacks


def test_pauses_grow_to_a_limit_and_are_never_equal() -> None:
    pauses = Backoff(first=1.0, longest=8.0)
    for base in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
        assert 0.5 * base <= pauses.next() <= 1.5 * base
    pauses.reset()
    assert pauses.next() <= 1.5
    assert len({Backoff().next() for _ in range(20)}) > 15


@few
@given(st.lists(st.floats(0.5, 500.0), min_size=1, max_size=30), st.floats(0.05, 0.9))
def test_the_band_never_trusts_a_far_price_before_it_held(prices: list[float], fraction: float) -> None:
    band = PriceBand(1, fraction=fraction, settle=3)
    trusted, held = prices[0], 0
    band.judge(np.array([[prices[0]] * 4]))
    for price in prices[1:]:
        outside = bool(band.judge(np.array([[price] * 4]))[0])
        if abs(price / trusted - 1) <= fraction:
            assert not outside
            held = 0
        else:
            held += 1
            assert outside or held >= 3
        if not outside:
            trusted, held = price, 0
        assert band.reference[0] == trusted


def test_a_callback_that_raises_harms_nobody() -> None:
    events = Events()
    heard: list[FeedEvent] = []
    events.add(lambda event: 1 / 0)
    events.add(heard.append)
    events.say(FeedEvent("stale", instant("2024-03-08T15:00"), "no data"))
    assert [str(event) for event in heard] == ["2024-03-08 15:00:00Z stale: no data"]
    assert events.failed == 1


# The watch


class Frozen:
    name = "frozen"

    def __init__(self) -> None:
        self.stale = False

    def look(self) -> bool:
        return self.stale


def test_the_watch_is_a_thread_and_begins_again(tmp_path: Path) -> None:
    feed, switch = Frozen(), KillSwitch(tmp_path / "switch")
    watch = StaleWatch(feed, kill_switch=switch, every=0.005)
    watch.start()
    watch.start()
    assert sum(thread.name == "feed-watch" for thread in threading.enumerate()) >= 1
    time.sleep(0.05)
    assert switch.state == "ACTIVE"
    watch.stop()
    feed.stale = True
    time.sleep(0.05)
    assert switch.status["state"] == "ACTIVE"
    watch.start()
    end = time.monotonic() + 5
    while switch.status["state"] == "ACTIVE" and time.monotonic() < end:
        time.sleep(0.005)
    watch.stop()
    assert switch.status["state"] == "REDUCING"


def test_a_look_that_fails_does_not_end_the_watch() -> None:
    class Failing(Frozen):
        looks = 0

        def look(self) -> bool:
            self.looks += 1
            if self.looks % 5:
                raise OSError("the disk is full")
            return False

    feed = Failing()
    watch = StaleWatch(feed, every=0.002)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watch.start()
        end = time.monotonic() + 5
        while feed.looks < 11 and time.monotonic() < end:
            time.sleep(0.002)
        watch.stop()
    said = [str(one.message) for one in caught if "[FEED_WATCH]" in str(one.message)]
    assert feed.looks >= 11
    assert watch.failures == feed.looks - feed.looks // 5
    # once until a look succeeds, and once more after that
    assert len(said) == feed.looks // 5 + (feed.looks % 5 > 0)
    assert "the disk is full" in said[0]


def test_the_watch_goes_on_where_warnings_are_errors() -> None:
    class Broken(Frozen):
        looks = 0

        def look(self) -> bool:
            self.looks += 1
            raise OSError("the disk is full")

    feed = Broken()
    watch = StaleWatch(feed, every=0.002)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.start()
        end = time.monotonic() + 5
        while feed.looks < 3 and time.monotonic() < end:
            time.sleep(0.002)
        watch.stop()
    assert watch.failures == feed.looks >= 3


def test_the_watch_leaves_a_halt_alone(tmp_path: Path) -> None:
    feed, switch = Frozen(), KillSwitch(tmp_path / "switch")
    switch.engage("a crash", "ada")
    watch = StaleWatch(feed, kill_switch=switch)
    feed.stale = True
    watch.look()
    feed.stale = False
    watch.look()
    assert switch.state == "HALTED"
    assert switch.status["engaged_by"] == "ada"


# Holds


def test_holds_drop_entries_and_leave_closes() -> None:
    bars = load_bars("synthetic:3x20?seed=1")
    first, second = bars.symbols[:2]
    signals = Signals.concat([
        Signals.from_arrays(bars, [4, 4, 5], [first, second, first], 1, stop_percent=5.0, tag="in"),
        Signals.from_arrays(bars, [4, 5], [second, first], 0, tag="out"),
    ])  # fmt: skip
    four = int(bars.ts[4])

    def left(*holds: Hold) -> list[tuple[int, str, int]]:
        found = without_entries(signals, holds).records
        return [(int(r["ts"] == four), bars.symbols[r["sym"]], int(r["side"])) for r in found]

    assert len(left()) == 5
    assert without_entries(signals, [Hold(0, None, "GAP", "")]) is signals
    assert sorted(left(Hold(four, None, "GAP", ""))) == [(0, first, 0), (0, first, 1), (1, second, 0)]
    assert set(left()) - set(left(Hold(four, second, "PRICE_BAND", ""))) == {(1, second, 1)}
    assert len(left(Hold(four, "NOBODY", "PRICE_BAND", ""))) == 5
    assert "no entries in any symbol" in str(Hold(four, None, "GAP", "late"))


# From a line of text


def test_a_line_of_text_is_a_feed(tmp_path: Path) -> None:
    feed = feed_of("yfinance:aapl, MSFT?interval=5m&warm=50&delay=900&calendar=XLON&stale_bars=3")
    assert isinstance(feed, YahooFeed)
    assert (feed.symbols, feed.interval, feed.warm) == (("AAPL", "MSFT"), "5m", 50)
    assert (feed.delay, feed.grid.calendar, feed.stale_bars, feed.kind) == (900.0, "XLON", 3, "polling")
    assert feed_of("yfinance:AAPL", warm=7, calendar="XTKS").status()["calendar"] == "XTKS"  # type: ignore[attr-defined]
    assert feed_of("yfinance:AAPL?interval=1m&stream=yes").kind == "stream"  # type: ignore[attr-defined]
    replay = feed_of("synthetic:2x30?seed=1", end="2024-12-15", speed=5.0)
    assert isinstance(replay, ReplayFeed)
    assert replay.speed == 5.0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_are_replayed(tmp_path: Path, kind: str) -> None:
    bars = load_bars("synthetic:2x40?seed=3")
    for symbol in bars.symbols:
        frame = bars.frame(symbol).rename_axis("date").reset_index()
        frame["date"] = frame["date"].dt.tz_localize(None)
        path = tmp_path / f"{symbol}.{kind}"
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    feed = feed_of(str(tmp_path))
    seen = [int(ts) for part in feed.bars(after=None, rows=7, stopped=lambda: False) for ts in part.ts]
    assert seen == bars.ts.tolist()
    np.testing.assert_allclose(feed.like.select(bars.symbols).panel, bars.panel)


@pytest.mark.parametrize(
    ("spec", "given", "code"),
    [
        ("yfinance:AAPL?intervall=1m", {}, "FEED_SPEC"),
        ("yfinance:AAPL?warm=many", {}, "FEED_SPEC"),
        ("yfinance:AAPL?stream=perhaps", {}, "FEED_SPEC"),
        ("yfinance:AAPL", {"end": "2024-01-31"}, "FEED_SPEC"),
        ("yfinance:AAPL", {"speed": 5.0}, "FEED_SPEC"),
        ("yfinance:?interval=1m", {}, "NAME_SYMBOL"),
        ("yfinance:AAPL?calendar=XNYSE", {}, "DATA_CALENDAR"),
    ],
)
def test_what_cannot_be_read_is_refused(spec: str, given: dict[str, Any], code: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        feed_of(spec, **given)
    assert caught.value.code == code


def test_a_misspelt_setting_has_a_near_miss() -> None:
    with pytest.raises(ConfigError, match="interval"):
        feed_of("yfinance:AAPL?intervall=1m")
