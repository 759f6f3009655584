"""Stored bars as a feed: every bar once, from where it was left, at the speed asked for."""

from __future__ import annotations

import pytest

from live import ReplayFeed
from simulator import load_bars
from simulator.errors import ConfigError

SOURCE = "synthetic:2x40?seed=1"


def test_every_bar_comes_once_and_in_order() -> None:
    bars = load_bars(SOURCE)
    feed = ReplayFeed(SOURCE)
    assert not feed.live
    assert feed.like.symbols == bars.symbols
    seen = [int(ts) for part in feed.bars(after=None, rows=7) for ts in part.ts]
    assert seen == bars.ts.tolist()
    rest = [int(ts) for part in feed.bars(after=seen[24], rows=1) for ts in part.ts]
    assert rest == seen[25:]
    assert list(feed.bars(after=seen[-1], rows=1)) == []


def test_start_and_end_are_sessions_and_both_count() -> None:
    bars = load_bars(SOURCE)
    first, last = bars.index[3], bars.index[9]
    feed = ReplayFeed(bars, start=str(first.date()), end=last.date())
    assert feed.like.ts.tolist() == bars.ts[3:10].tolist()
    assert ReplayFeed(bars, start=first.to_pydatetime()).like.ts[0] == bars.ts[3]


def test_speed_is_bars_per_second() -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    feed = ReplayFeed(SOURCE, speed=4.0, sleep=sleep, monotonic=lambda: now)
    count = sum(len(part) for part in feed.bars(after=None, rows=1))
    assert now == pytest.approx(count / 4.0, rel=0.01)


def test_a_stop_ends_the_waiting() -> None:
    slept: list[float] = []
    feed = ReplayFeed(SOURCE, speed=0.001, sleep=slept.append, monotonic=lambda: 0.0)
    seen = list(feed.bars(after=None, rows=1, stopped=lambda: len(slept) > 3))
    assert len(seen) == 1
    assert max(slept) <= 0.05


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"speed": 0.0}, "LIVE_SPEED"),
        ({"speed": float("inf")}, "LIVE_SPEED"),
        ({"start": "2090-01-01"}, "LIVE_RANGE"),
        ({"end": "yesterday"}, "LIVE_RANGE"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ReplayFeed(SOURCE, **given)  # type: ignore[arg-type]
    assert caught.value.code == code
