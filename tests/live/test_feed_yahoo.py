"""The polling feed: complete bars, each once, on the grid, through everything that goes wrong on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live.feeds.yahoo import YahooFeed
from live.kill_switch import KillSwitch
from simulator.errors import ConfigError, FetchError, UnknownNameError
from simulator.kernel import codes
from tests.live.yahoo_world import SECONDS, World, nanoseconds, row_of

pytest.importorskip("yfinance")


def when(world: World) -> str:
    return datetime.fromtimestamp(world.now, UTC).isoformat(timespec="seconds")


def labels(world: World, feed: YahooFeed, until: str, **more: Any) -> list[str]:
    found = []
    for bars, _ in world.take(feed, until, **more):
        found += [str(stamp)[:16] for stamp in bars.ts.view("datetime64[ns]")]
    return found


@pytest.mark.parametrize(
    ("calendar", "start", "until", "expected"),
    [
        # the last hour before and the first after each change of the clocks, in UTC
        ("XNYS", "2024-03-08T19:59:00+00:00", "2024-03-11T14:01:00+00:00",
         ["2024-03-08T19:30", "2024-03-08T20:00", "2024-03-08T20:30", "2024-03-11T13:30"]),
        ("XNYS", "2024-11-01T19:29:00+00:00", "2024-11-04T15:01:00+00:00",
         ["2024-11-01T19:00", "2024-11-01T19:30", "2024-11-04T14:30"]),
        # between the two changes London is where it was, and New York is an hour nearer
        ("XLON", "2024-03-13T15:59:00+00:00", "2024-03-14T08:31:00+00:00",
         ["2024-03-13T15:30", "2024-03-13T16:00", "2024-03-14T08:00"]),
        # half a day, then a holiday
        ("XNYS", "2024-07-03T16:29:00+00:00", "2024-07-05T14:01:00+00:00",
         ["2024-07-03T16:00", "2024-07-03T16:30", "2024-07-05T13:30"]),
        ("XNYS", "2024-11-29T17:29:00+00:00", "2024-12-02T15:01:00+00:00",
         ["2024-11-29T17:00", "2024-11-29T17:30", "2024-12-02T14:30"]),
    ],
)  # fmt: skip
def test_the_calendar_says_when_bars_are_complete(
    tmp_path: Path, calendar: str, start: str, until: str, expected: list[str]
) -> None:
    zone = {"XNYS": "America/New_York", "XLON": "Europe/London"}[calendar]
    world = World(start, calendar=calendar, zone=zone)
    feed = world.feed("AAPL,MSFT", tmp_path, interval="30m", warm=1)
    found: list[str] = []
    for bars, holds in world.take(feed, until):
        label = str(bars.ts.view("datetime64[ns]")[0])[:16]
        second = int(bars.ts[0]) // 10**9
        end = int(bars.close_ts[0]) // 10**9
        for column, symbol in enumerate(bars.symbols):
            assert bars.panel[0, column].tolist() == list(row_of(symbol, second, end))
        if found:
            assert end + 10 <= world.now <= end + 13, label
            assert holds == ()
        found.append(label)
    assert found[1:] == expected
    assert feed.status()["failures"] == 0


def test_daily_bars_come_after_the_close_is_settled(tmp_path: Path) -> None:
    world = World("2024-07-02T12:00:00-04:00")
    feed = world.feed("AAPL", tmp_path, interval="1d", warm=3)
    seen = {}
    for bars, holds in world.take(feed, "2024-07-06T12:00:00-04:00"):
        seen[str(bars.index[0].date())] = (when(world)[:16], [hold.code for hold in holds])
    assert seen == {
        "2024-06-27": ("2024-07-02T16:00", ["WARM"]),
        "2024-06-28": ("2024-07-02T16:00", ["WARM"]),
        # its entries would have been filled at half past nine
        "2024-07-01": ("2024-07-02T16:00", ["WARM"]),
        "2024-07-02": ("2024-07-02T20:15", []),
        "2024-07-03": ("2024-07-03T17:15", []),
        "2024-07-05": ("2024-07-05T20:15", []),
    }


def test_a_new_session_is_warmed_up_and_a_restart_fills_the_gap(tmp_path: Path) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=20)
    taken = [
        (bars, [hold.code for hold in holds]) for bars, holds in world.take(feed, "2024-03-08T10:06:00-05:00")
    ]
    assert [held for _, held in taken] == [["WARM"]] * 19 + [[], []]
    last = int(taken[-1][0].ts[0])
    assert last == nanoseconds("2024-03-08T10:00:00-05:00")
    world.now += 24 * 60  # the laptop was closed for a while
    again = world.feed("AAPL", tmp_path, interval="5m")
    missed = list(world.take(again, "2024-03-08T10:36:00-05:00", after=last))
    assert [int(bars.ts[0]) for bars, _ in missed] == [last + n * 300 * 10**9 for n in range(1, 7)]
    assert [[hold.code for hold in holds] for _, holds in missed] == [["GAP"]] * 4 + [[], []]
    assert [(bars.daily, bars.raw, bars.origin) for bars, _ in missed] == [(False, True, "real")] * 6


def test_what_yahoo_has_no_more_stays_a_gap(tmp_path: Path) -> None:
    world = World("2024-03-18T10:00:30-04:00")
    feed = world.feed("AAPL", tmp_path, interval="1m")
    first = next(
        world.take(feed, "2024-03-18T10:10:00-04:00", after=nanoseconds("2024-02-01T10:00:00-05:00"))
    )
    assert first[0].ts[0] == nanoseconds("2024-03-11T10:01:00-04:00")


def test_a_symbol_that_lags_is_waited_for_and_then_left_out(tmp_path: Path) -> None:
    world = World("2024-03-08T10:04:00-05:00", lag={"SLOW": 8.0})
    feed = world.feed("AAPL,SLOW", tmp_path, interval="5m", warm=1, patience=20)
    taken = world.take(feed, "2024-03-08T10:31:00-05:00")
    next(taken)
    bars, holds = next(taken)
    assert not np.isnan(bars.panel).any()
    assert holds == ()
    world.lag["SLOW"] = 100.0
    bars, holds = next(taken)
    assert when(world)[11:] >= "15:10:30+00:00"
    # there is a row, and nothing shows that it is all of the bar
    assert not np.isnan(bars.panel[0, 1]).any()
    assert [(hold.code, hold.symbol) for hold in holds] == [("STALE_QUOTE", "SLOW")]
    world.lag.clear()
    # all of it has come: the bar once more, which a session records as revised
    again, none = next(taken)
    assert again.ts[0] == bars.ts[0]
    assert none == ()
    start = int(bars.ts[0]) // 10**9
    assert again.panel[0, 1].tolist() == list(row_of("SLOW", start, start + 300))
    world.lag["SLOW"] = 400.0
    bars, holds = next(taken)
    assert bars.ts[0] == again.ts[0] + 300 * 10**9
    assert holds == ()
    bars, holds = next(one for one in taken if one[0].ts[0] > bars.ts[0])
    assert np.isnan(bars.panel[0, 1]).all()
    assert [(hold.code, hold.symbol) for hold in holds] == [("STALE_QUOTE", "SLOW")]


def test_a_revised_price_comes_again_and_volume_does_not(tmp_path: Path) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1)
    wrong = int(datetime.fromisoformat("2024-03-08T10:00:00-05:00").timestamp())

    def edit(symbol: str, rows: dict[int, Any]) -> dict[int, Any]:
        for at in rows:
            bump = 0.5 if at == wrong and world.now > wrong + 400 else 0.0
            rows[at] = (*rows[at][:3], rows[at][3], rows[at][4] + world.now % 7)
            rows[at] = (rows[at][0], rows[at][1] + bump, *rows[at][2:])
        return rows

    world.edit = edit
    found = labels(world, feed, "2024-03-08T10:16:00-05:00")
    assert found[1:] == ["2024-03-08T15:00", "2024-03-08T15:00", "2024-03-08T15:05", "2024-03-08T15:10"]


def test_refusals_are_waited_out_with_growing_pauses(tmp_path: Path) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL,MSFT", tmp_path, interval="5m", warm=1)
    taken = world.take(feed, "2024-03-08T10:15:00-05:00")
    next(taken)
    world.refusals, world.asked = 8, []  # yfinance asks twice before it says that it was refused
    _, holds = next(taken)
    asked = np.unique([time for _, time in world.asked])
    assert np.diff(asked[:5]).tolist() == pytest.approx([2, 4, 8, 16], abs=1.0)
    assert [symbol for symbol, _ in world.asked][:8] == ["AAPL"] * 8  # one symbol a round while refused
    assert feed.failures == 4
    assert [hold.code for hold in holds] == []


@pytest.mark.parametrize(
    ("mode", "code"),
    [("empty", "FEED_EMPTY"), ("offline", "FEED_OFFLINE"), ("garbage", "FEED_FAILED")],
)
def test_what_stays_wrong_is_raised_at_last(tmp_path: Path, mode: str, code: str) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1, give_up=600)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.kind))
    taken = world.take(feed, "2024-03-08T11:30:00-05:00")
    next(taken)
    world.mode = mode
    with pytest.raises(FetchError) as caught:
        next(taken)
    assert caught.value.code == code
    assert 600 <= world.now - world.began < 1200
    assert {"retry"} <= set(said)
    assert len(world.asked) < 40


def test_a_misspelt_symbol_is_named_within_a_minute_or_two(tmp_path: Path) -> None:
    world = World("2024-03-08T12:00:00-05:00", unknown=frozenset({"APPL"}))
    feed = world.feed("MSFT,APPL", tmp_path, interval="5m")
    with pytest.raises(FetchError, match="APPL") as caught:
        next(world.take(feed, "2024-03-08T13:00:00-05:00"))
    assert caught.value.code == "FEED_EMPTY"
    assert world.now - world.began < 130


def test_one_symbol_that_vanishes_does_not_stop_the_others(tmp_path: Path) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL,GONE", tmp_path, interval="5m", warm=1)
    taken = world.take(feed, "2024-03-08T10:16:00-05:00")
    next(taken)
    world.unknown = frozenset({"GONE"})
    for _ in range(2):
        bars, holds = next(taken)
        assert [(hold.code, hold.symbol) for hold in holds] == [("STALE_QUOTE", "GONE")]
        assert np.isnan(bars.panel[0, 1, 3])


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_serves_no_bar_early_none_twice_and_no_entries(
    tmp_path: Path, jump: float
) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.kind))
    world.plan("2024-03-08T10:06:20-05:00", lambda: setattr(world, "wall_shift", jump))
    times, codes_of = [], []
    for bars, holds in world.take(feed, "2024-03-08T10:21:00-05:00"):
        start = int(bars.ts[0]) // 10**9
        assert world.now >= start + 300
        assert bars.panel[0, 0].tolist() == list(row_of("AAPL", start, start + 300))
        times.append(int(bars.ts[0]))
        codes_of.append([hold.code for hold in holds])
    assert np.diff(times).tolist() == [300 * 10**9] * (len(times) - 1)
    assert len(times) == 5
    assert said.count("clock_jump") == 1
    assert codes_of[1] == []
    if jump > 0:
        # nothing can show that the clock is wrong: entries stay held, and the watch says stale
        assert all("CLOCK_JUMP" in held and "GAP" in held for held in codes_of[2:])
        assert feed.stale
    else:
        # a price from after the wall clock's time shows it
        assert codes_of[2:] == [["GAP"], [], []]
        assert feed.status()["clock"] == "ok"


def test_a_suspended_machine_is_a_gap_and_no_jump(tmp_path: Path) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1)
    taken = world.take(feed, "2024-03-08T12:16:00-05:00")
    next(taken)
    next(taken)
    world.now += 3600
    held = [[hold.code for hold in next(taken)[1]] for _ in range(13)]
    assert held == [["GAP"]] * 11 + [[], []]
    assert feed.times.jumps == 0


def test_the_watch_reduces_when_a_feed_freezes_and_a_person_arms_again(tmp_path: Path) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1)
    switch = KillSwitch(tmp_path / "switch", clock=world.clock)
    watch = feed.watch(switch, every=3600)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.kind))
    frozen = datetime.fromisoformat("2024-03-08T10:10:00-05:00").timestamp()
    thawed: list[bool] = []
    world.edit = lambda symbol, rows: {at: row for at, row in rows.items() if at + 300 <= frozen or thawed}
    taken = world.take(feed, "2024-03-08T10:31:00-05:00")
    looks = {}

    def look(time: str) -> None:
        world.plan(time, lambda: looks.update({time[11:16]: (watch.look(), switch.state)}))

    for time in ("10:09:00", "10:15:30", "10:19:59", "10:20:11", "10:21:00"):
        look(f"2024-03-08T{time}-05:00")

    world.plan("2024-03-08T10:21:30-05:00", lambda: thawed.append(True))
    held = [([hold.code for hold in holds]) for _, holds in taken]
    assert looks == {
        "10:09": (False, "ACTIVE"), "10:15": (False, "ACTIVE"), "10:19": (False, "ACTIVE"),
        "10:20": (True, "REDUCING"), "10:21": (True, "REDUCING"),
    }  # fmt: skip
    # of the bars that were missed, those whose next bar was under way are stepped without entries
    assert held == [["WARM"], [], [], ["GAP"], ["GAP"], [], []]
    assert [kind for kind in said if kind in ("stale", "fresh")] == ["stale", "fresh"]
    assert switch.status["state"] == "REDUCING"
    assert "stale" in str(switch.status["reason"])
    switch.arm("ada", "the feed is back")
    assert watch.look() is False
    assert switch.status["state"] == "ACTIVE"


def test_a_quiet_night_is_not_stale(tmp_path: Path) -> None:
    world = World("2024-11-29T12:50:00-05:00")  # a half day, then a weekend
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1)
    looks = []
    for hour in range(1, 60):
        world.at.append((world.now + hour * 3600, lambda: looks.append(feed.look())))
    labels(world, feed, "2024-12-02T08:00:00-05:00")
    assert len(looks) == 59
    assert not any(looks)


def test_spikes_are_held_and_impossible_prices_are_missing(tmp_path: Path) -> None:
    world = World("2024-03-08T10:04:00-05:00")
    feed = world.feed("AAPL,MSFT", tmp_path, interval="5m", warm=1)
    said: list[str] = []
    feed.on_event(lambda event: said.append(event.text) if event.kind == "price_band" else None)
    spike, zero = (
        int(datetime.fromisoformat(f"2024-03-08T10:{minute}:00-05:00").timestamp()) for minute in ("05", "10")
    )

    def edit(symbol: str, rows: dict[int, Any]) -> dict[int, Any]:
        for at in rows:
            if symbol == "AAPL" and at == spike:
                rows[at] = (*(value * 10 for value in rows[at][:4]), rows[at][4])
            if symbol == "AAPL" and at == zero:
                rows[at] = (0.0, rows[at][1], 0.0, 0.0, rows[at][4])
        return rows

    world.edit = edit
    taken = list(world.take(feed, "2024-03-08T10:21:00-05:00"))
    held = {
        str(bars.index[0])[11:16]: [(hold.code, hold.symbol) for hold in holds] for bars, holds in taken[1:]
    }
    assert held == {
        "15:00": [], "15:05": [("PRICE_BAND", "AAPL")], "15:10": [("STALE_QUOTE", "AAPL")], "15:15": [],
    }  # fmt: skip
    # the spike is kept, because stops have to see a crash; the zero is no price
    assert taken[2][0].close[0, 0] > 1000
    assert np.isnan(taken[3][0].close[0, 0])
    assert feed.status()["bad_prices"] == 1
    assert len(said) == 1
    assert "AAPL" in said[0]


def test_a_split_acts_once_and_moves_the_band(tmp_path: Path) -> None:
    # Yahoo divides what was before; the feed hands over what was quoted
    world = World("2024-03-08T15:50:00-05:00")
    day = int(datetime.fromisoformat("2024-03-11T09:30:00-04:00").timestamp())

    def edit(symbol: str, rows: dict[int, Any]) -> dict[int, Any]:
        return {
            at: (*(value / 4 for value in row[:4]), row[4]) if world.now >= day or at >= day else row
            for at, row in rows.items()
        }

    world.edit = edit
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1)
    world.plan(
        "2024-03-11T09:00:00-04:00",
        lambda: world.events.update(
            AAPL={
                "splits": {str(day): {"date": day, "numerator": 4, "denominator": 1, "splitRatio": "4:1"}},
                "dividends": {str(day): {"date": day, "amount": 0.25}},
            }
        ),
    )
    taken = list(world.take(feed, "2024-03-11T09:46:00-04:00"))
    actions = [
        (str(bars.index[0])[:16], int(action["kind"]), float(action["value"]))
        for bars, _ in taken for action in bars.actions
    ]  # fmt: skip
    assert actions == [
        ("2024-03-11 13:30", codes.ACTION_DIVIDEND, 0.25), ("2024-03-11 13:30", codes.ACTION_SPLIT, 4.0),
    ] or actions == [
        ("2024-03-11 13:30", codes.ACTION_SPLIT, 4.0), ("2024-03-11 13:30", codes.ACTION_DIVIDEND, 0.25),
    ]  # fmt: skip
    closes = {str(bars.index[0])[:16]: float(bars.close[0, 0]) for bars, _ in taken}
    assert closes["2024-03-08 20:55"] > 100
    assert closes["2024-03-11 13:30"] < 27
    assert [holds for _, holds in taken[1:]] == [()] * len(taken[1:])
    # a restart in the same session does not split again
    after = int(taken[-1][0].ts[0])
    again = world.feed("AAPL", tmp_path, interval="5m")
    rest = list(world.take(again, "2024-03-11T10:01:00-04:00", after=after))
    assert rest
    assert all(not len(bars.actions) for bars, _ in rest)


@pytest.mark.parametrize("closed", ["2024-03-08T10:21:00-05:00", "2024-03-08T16:10:00-05:00"])
def test_a_restart_does_not_make_a_far_price_trusted(tmp_path: Path, closed: str) -> None:
    first = int(datetime.fromisoformat(closed).timestamp()) // 300 * 300

    def edit(symbol: str, rows: dict[int, Any]) -> dict[int, Any]:
        return {
            at: (*(value * 10 for value in row[:4]), row[4]) if at >= first and symbol == "AAPL" else row
            for at, row in rows.items()
        }

    after = nanoseconds("2024-03-08T10:15:00-05:00" if "10:21" in closed else "2024-03-08T15:55:00-05:00")
    world = World(closed, edit=edit)
    feed = world.feed("AAPL,MSFT", tmp_path, interval="5m")
    until = "2024-03-08T10:46:00-05:00" if "10:21" in closed else "2024-03-11T09:56:00-04:00"
    taken = list(world.take(feed, until, after=after))
    assert [int(bars.ts[0]) > after for bars, _ in taken] == [True] * len(taken)
    assert len(taken) == 5
    held = [[(hold.code, hold.symbol) for hold in holds] for _, holds in taken]
    # as without a restart: two bars wait, the third confirms
    assert held == [[("PRICE_BAND", "AAPL")]] * 2 + [[]] * 3


def test_a_spike_as_the_last_bar_before_a_restart_is_not_the_price(tmp_path: Path) -> None:
    spike = int(datetime.fromisoformat("2024-03-08T10:15:00-05:00").timestamp())
    world = World(
        "2024-03-08T10:21:00-05:00",
        edit=lambda symbol, rows: {
            at: (*(value * 10 for value in row[:4]), row[4]) if at == spike else row
            for at, row in rows.items()
        },
    )
    feed = world.feed("AAPL", tmp_path, interval="5m")
    taken = list(world.take(feed, "2024-03-08T10:31:00-05:00", after=spike * 10**9))
    assert [holds for _, holds in taken] == [()] * 2


def test_a_midnight_bar_of_a_market_without_nights_has_to_be_over(tmp_path: Path) -> None:
    # the prices of the hour end ten minutes in; the next answers have the rest
    midnight = int(datetime.fromisoformat("2024-03-06T00:00:00+00:00").timestamp())
    world = World("2024-03-05T22:30:00+00:00", calendar="24/7", zone="UTC")
    world.plan("2024-03-06T00:10:00+00:00", lambda: world.lag.update({"BTC-USD": 3000.0}))
    world.plan("2024-03-06T01:30:00+00:00", world.lag.clear)
    feed = world.feed("BTC-USD", tmp_path, interval="1h", warm=1, patience=20)
    held = {
        str(bars.index[0])[:16]: [hold.code for hold in holds]
        for bars, holds in world.take(feed, "2024-03-06T01:10:00+00:00")
    }
    assert midnight % 86_400 == 0
    assert held["2024-03-05 23:00"] == []
    assert held["2024-03-06 00:00"] == ["STALE_QUOTE"]


def test_a_bar_that_does_not_exist_is_asked_for_less_and_less(tmp_path: Path) -> None:
    world = World("2024-03-08T15:50:00-05:00")
    last = int(datetime.fromisoformat("2024-03-08T15:55:00-05:00").timestamp())
    world.edit = lambda symbol, rows: {at: row for at, row in rows.items() if at != last}
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=1)
    found = labels(world, feed, "2024-03-11T09:41:00-04:00")
    assert found[-3:] == ["2024-03-08T20:50", "2024-03-11T13:30", "2024-03-11T13:35"]
    asked = [time for _, time in world.asked if time < world.now - 900]
    assert len(asked) < 60  # over a weekend


def test_a_run_that_is_stopped_ends_at_once(tmp_path: Path) -> None:
    world = World("2024-03-08T20:00:00-05:00")  # nothing will come for a weekend
    feed = world.feed("AAPL", tmp_path, interval="5m", warm=2)
    assert len(labels(world, feed, "2024-03-08T20:01:00-05:00")) == 2
    assert world.now - world.began < 62


def test_the_frame_is_the_same_every_time_and_asks_nobody(tmp_path: Path) -> None:
    from live.sessions.frames import encode_frame

    world = World("2024-03-08T10:00:00-05:00")
    first = world.feed("AAPL,MSFT", tmp_path, interval="5m", sectors={"aapl": "Technology"})
    world.now += 86_400
    second = world.feed("aapl, msft", tmp_path, interval="5m", sectors={"AAPL": "Technology"})
    assert encode_frame(first.like) == encode_frame(second.like)
    assert first.like.sectors == ("Technology", "Unknown")
    assert world.asked == []


@pytest.mark.parametrize(
    ("symbols", "given", "error", "code"),
    [
        ("", {}, UnknownNameError, "NAME_SYMBOL"),
        ("AAPL", {"interval": "2m"}, FetchError, "FETCH_INTERVAL"),
        ("AAPL", {"warm": 0}, ConfigError, "FEED_SETTING"),
        ("AAPL", {"grace": -1.0}, ConfigError, "FEED_SETTING"),
        ("AAPL", {"stale_bars": float("nan")}, ConfigError, "FEED_SETTING"),
        ("AAPL", {"band": 1.5}, ConfigError, "FEED_BAND"),
    ],
)
def test_what_cannot_be_is_refused(
    symbols: str, given: dict[str, Any], error: type[Exception], code: str
) -> None:
    with pytest.raises(error) as caught:
        YahooFeed(symbols.split(","), **given)
    assert getattr(caught.value, "code", "") == code


def test_every_interval_has_its_reach() -> None:
    from live.feeds.yahoo import REACH
    from simulator.bars.yahoo import INTERVALS

    assert set(REACH) == set(INTERVALS) == set(SECONDS)
