"""Until when a bar's entries may be sent, and what a live feed's poll does between bars."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from live.clock import FakeClock
from live.following import BrokerSession
from live.following.lateness import is_over, next_end
from simulator.bars import load_bars
from simulator.bars.panel import Bars
from tests.live.following.rig import made_bars, signal
from tests.live.memory_broker import MemoryBroker


def at(ts: int) -> datetime:
    return datetime.fromtimestamp(ts / 1e9, UTC)


def test_a_daily_bar_is_over_with_the_next_sessions_close() -> None:
    bars = made_bars([100.0] * 5)  # Tuesday to Monday
    for row in range(4):
        assert next_end(bars[row : row + 1]) == int(bars.close_ts[row + 1])
    assert not is_over(bars[:1], at(int(bars.close_ts[1]) - 10**9))
    assert is_over(bars[:1], at(int(bars.close_ts[1])))
    assert not is_over(bars[:0], at(int(bars.close_ts[1])))


def test_an_intraday_bar_with_the_next_bars_end_over_night_too() -> None:
    bars = load_bars("synthetic:1x160?interval=5min&seed=1")
    for row in range(len(bars) - 1):
        assert next_end(bars[row : row + 1]) == int(bars.close_ts[row + 1])


class Live:
    """A feed whose bars happen now: the test hands them over."""

    live = True

    def __init__(self, bars: Bars) -> None:
        self.like = bars
        self.ready: list[Bars] = []
        self.looked = threading.Event()

    def bars(self, *, after: int | None, rows: int, stopped: Callable[[], bool]) -> Iterator[Bars]:
        while self.ready:
            yield self.ready.pop(0)
        self.looked.wait(5.0)


@pytest.mark.parametrize("late", [False, True])
def test_entries_of_a_bar_that_is_over_are_not_sent(tmp_path: Path, late: bool) -> None:
    bars = made_bars([100.0] * 6)
    memory = MemoryBroker()
    memory.prices["AAA"] = 100.0
    clock = FakeClock(at(int(bars.close_ts[2 if late else 1]) + 10**9))
    feed = Live(bars)
    feed.ready = [bars[0:1], bars[1:2]]
    with BrokerSession(tmp_path / "j.db", memory, feed=feed, strategies=[signal(bars, 1, qty=5.0, stop=95.0)],
                       name="desk", clock=clock, poll_seconds=0.02) as session:  # fmt: skip
        before = memory.calls.count("get_positions")
        waiter = threading.Timer(0.5, feed.looked.set)
        waiter.start()
        assert session.run() == 2
        assert memory.calls.count("get_positions") > before + 5  # it has looked between bars
        assert memory.calls.count("submit_order") == (0 if late else 1)
