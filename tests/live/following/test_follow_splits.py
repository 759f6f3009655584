"""Splits that a person has accepted: what has left is counted in shares of now, as what has entered is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.live.following.rig import Rig, made_bars, signal


def later(r: Rig, seconds: float) -> None:
    r.memory.now += timedelta(seconds=seconds)
    r.clock.set(r.memory.now)
    r.session.poll()


def split(r: Rig, ratio: float) -> None:
    """Let a split happen at the broker, and a person accept it."""
    r.memory.split("AAA", ratio)
    later(r, 43_200.0)
    kept = r.session.desk.manager.differences
    assert kept is not None
    for one in kept.open():
        kept.accept(one.item_id, "ada", "a split")
    later(r, 60.0)
    assert r.session.status().differences == ()


@pytest.mark.parametrize("ratio", [0.1, 2.0])
def test_what_has_left_after_a_split_has_left_and_the_plan_is_told(tmp_path: Path, ratio: float) -> None:
    bars = made_bars([100.0] * 14, wide=0.5)
    r = Rig(tmp_path, bars, signal(bars, 1, qty=10.0))
    r.play(0, 5)
    split(r, ratio)
    r.memory.book("AAA", -10.0 * ratio, 100.0)
    later(r, 60.0)
    assert r.held() == 0.0
    r.play(5, 8)
    assert r.planned() == 0.0
    (told,) = r.parted()
    assert (told.kind, told.quantity, told.price) == ("closed_elsewhere", 10.0 * ratio, 100.0)


def test_half_of_what_is_there_after_a_split_is_not_all_of_it(tmp_path: Path) -> None:
    bars = made_bars([100.0] * 14, wide=0.5)
    r = Rig(tmp_path, bars, signal(bars, 1, qty=10.0))
    r.play(0, 5)
    split(r, 2.0)
    r.faulty.hide_position = {"AAA"}
    r.memory.book("AAA", -10.0, 100.0)  # of twenty; the position is merely missing from the list
    r.play(5, 8)
    assert r.planned() == 10.0
    assert r.parted("closed_elsewhere", "left_at_broker") == []
