"""Entries that must not be: after a halt, beside the plan's own end, and a shadow's under a real account."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from live.automation.config import ExecutionMode
from live.brokers.shadow import ShadowBroker
from live.clock import FakeClock
from live.decisions import leave_decision
from live.following import BrokerSession
from live.following.explain import explain
from simulator.bars.panel import Bars
from simulator.conventions import Conventions
from simulator.errors import ConfigError
from simulator.signals import Signals
from tests.live.faulty_broker import LostBefore
from tests.live.following.rig import FREE, Rig, made_bars, signal
from tests.live.memory_broker import MemoryBroker

FLAT = [100.0] * 12
RISING = [100.0, 100.0, 103.0, 106.0, 107.0, 107.0, 107.0, 107.0, 107.0]


def rig(folder: Path, closes: list[float] | None = None, **columns: Any) -> Rig:
    options = columns.pop("options", {})
    bars = made_bars(FLAT if closes is None else closes, wide=0.5)
    return Rig(folder, bars, signal(bars, 1, **{"qty": 10.0, "stop": 95.0, **columns}), options=options)


def adding(folder: Path) -> Rig:
    return rig(folder, RISING, add_r=1.0, add_fraction=0.5)


def unreached(r: Rig, row: int) -> None:
    """Step a bar while the broker is out of reach."""
    r.market(row, poll=False)
    r.faulty.every("get_orders", LostBefore())
    r.push(row)
    r.faulty.clear()


# Adds


def test_an_add_is_sent_on_the_bar_that_made_it(tmp_path: Path) -> None:
    r = adding(tmp_path)
    r.play(0, 3)
    unreached(r, 3)
    assert (r.planned(), r.held()) == (15.0, 10.0)
    r.session.poll()  # the same bar still
    assert r.held() == 15.0
    assert r.parted("not_added") == []


def test_an_add_of_before_a_halt_is_given_up(tmp_path: Path) -> None:
    r = adding(tmp_path)
    r.play(0, 3)
    unreached(r, 3)
    r.session.desk.manager.engage_kill_switch("a test", "ada")
    r.session.kill_switch.arm("ada", "looked at it")
    r.session.poll()
    assert r.held() == 10.0
    r.play(4, 7)
    assert (r.planned(), r.held()) == (15.0, 10.0)
    assert len(r.faulty.received) == 1
    (given_up,) = r.parted("not_added")
    assert (given_up.quantity, given_up.symbol) == (5.0, "AAA")
    assert sum(one.quantity for one in r.working("stop")) == 10.0


@pytest.mark.parametrize("restarts", [False, True])
def test_an_add_that_was_not_sent_on_its_bar_is_given_up_once(tmp_path: Path, restarts: bool) -> None:
    r = adding(tmp_path)
    r.play(0, 3)
    unreached(r, 3)
    r.market(4, poll=False)
    unreached(r, 4)
    if restarts:
        r.restart()
    r.session.poll()
    r.session.poll()
    r.play(5, 7)
    assert (r.planned(), r.held()) == (15.0, 10.0)
    assert len(r.parted("not_added")) == 1


def test_an_add_goes_on_after_a_restart_on_its_bar(tmp_path: Path) -> None:
    r = adding(tmp_path)
    r.play(0, 3)
    unreached(r, 3)
    r.restart()
    assert r.held() == 15.0
    assert len(r.records("entry")) == 2


# Halted and reduced


@pytest.mark.parametrize("how", ["reduce", "engage"])
def test_what_works_is_taken_back_in_every_state_but_active(tmp_path: Path, how: str) -> None:
    r = rig(tmp_path, entry="limit", entry_price=98.0, valid_bars=8)
    r.play(0, 3)
    assert [one.kind for one in r.working()] == ["limit"]
    getattr(r.session.kill_switch, how)("less", "ada")  # the files alone, as another process does
    r.session.poll()
    assert r.working() == []
    r.move({"AAA": 97.9})
    r.session.poll()
    assert r.held() == 0.0
    r.play(3, 6)
    assert (r.planned(), r.held()) == (0.0, 0.0)


def test_what_has_filled_in_part_keeps_its_stop_while_reduced(tmp_path: Path) -> None:
    r = rig(tmp_path, entry="limit", entry_price=98.0, valid_bars=8)
    r.play(0, 3)
    (entry,) = r.working("limit")
    r.memory.part(entry.order_id, 4.0, 98.0)
    r.session.kill_switch.reduce("less", "ada")
    r.session.poll()
    assert r.working("limit") == []
    assert r.held() in (0.0, 4.0)
    assert sum(one.quantity for one in r.working("stop")) == r.held()


# The plan's own end


def partly(folder: Path) -> Rig:
    """The plan's limit of 10 gets 4 on bar 2, from its volume, and its rest expires."""
    rows = [(100.0, 100.5, 99.5, 100.0, 1e6)] * 2 + [(100.0, 100.2, 97.9, 99.0, 40.0)]
    rows += [(100.0, 100.5, 99.5, 100.0, 1e6)] * 9
    days = pd.bdate_range("2024-01-02", periods=len(rows))
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close", "volume"], index=days)
    bars = Bars.from_frames({"AAA": frame})
    rule = signal(bars, 1, qty=10.0, stop=90.0, entry="limit", entry_price=98.0, valid_bars=2)
    r = Rig(folder, bars, rule, options={"conventions": Conventions(volume_cap=0.1)})
    r.play(0, 2)
    r.moved = 3
    return r


@pytest.mark.parametrize("filled", [0.0, 2.0, 4.0])
def test_the_rest_ends_with_the_plans(tmp_path: Path, filled: float) -> None:
    r = partly(tmp_path)
    (entry,) = r.working("limit")
    if filled:
        r.memory.part(entry.order_id, filled, 98.0)
    r.move({"AAA": 99.0})
    r.session.poll()
    r.push(2)
    assert r.planned() == 4.0
    r.play(3, 7)
    assert r.working("limit") == []
    r.move({"AAA": 97.9})
    r.session.poll()
    assert r.held() == filled
    assert sum(one.quantity for one in r.working("stop")) == filled
    assert r.planned() == (4.0 if filled else 0.0)


def begun(folder: Path, **columns: Any) -> Rig:
    """The broker has 4 of 10 at a buy stop, and the plan's bars have not met it yet."""
    later = [100.0, 100.0, 100.0, 100.0, 103.0, 103.0, 103.0, 103.0]
    r = rig(folder, later, entry="stop", entry_price=102.0, valid_bars=6, **columns)
    r.play(0, 2)
    (entry,) = r.working("stop")
    r.memory.part(entry.order_id, 4.0, 102.0)
    r.session.poll()
    assert (r.planned(), r.held()) == (0.0, 4.0)
    return r


@pytest.mark.parametrize("sold", [4.0, 1.0])
def test_the_rest_ends_once_the_stop_has_taken_what_had_filled(tmp_path: Path, sold: float) -> None:
    r = begun(tmp_path)
    (stop,) = [one for one in r.working("stop") if one.parent_id]
    r.memory.part(stop.order_id, sold, 95.0)
    r.session.poll()
    assert r.held() == 4.0 - sold
    assert sum(one.quantity - one.filled for one in r.working()) == r.held()
    r.move({"AAA": 103.0})
    r.session.poll()
    assert r.held() == 4.0 - sold, "entered after its stop"
    r.play(2, 7)
    assert len(r.records("entry")) == 1
    if sold == 4.0:
        assert (r.planned(), r.held()) == (0.0, 0.0)
        assert [one.kind for one in r.parted()] == ["left_at_broker"]


def test_the_rest_ends_once_the_target_has_taken_what_had_filled(tmp_path: Path) -> None:
    r = begun(tmp_path, target=120.0)
    (target,) = r.working("limit")
    r.memory.part(target.order_id, 4.0, 120.0)
    r.session.poll()
    assert r.held() == 0.0
    assert r.working() == []


def test_nothing_is_added_to_what_a_stop_has_taken_a_part_of(tmp_path: Path) -> None:
    r = adding(tmp_path)
    r.play(0, 3)
    (stop,) = r.working("stop")
    r.memory.part(stop.order_id, 3.0, 103.0)
    r.session.poll()
    r.play(3, 6)
    assert (r.planned(), r.held()) == (15.0, 7.0)
    assert sum(one.quantity - one.filled for one in r.working("stop")) == 7.0
    assert [one.kind for one in r.parted("not_added")] == ["not_added"]


def test_what_only_the_plan_has_filled_has_one_bar_more(tmp_path: Path) -> None:
    closes = [100.0, 100.0, 97.0, 99.0, 99.0, 99.0, 99.0, 99.0]
    bars = made_bars(closes, opens=[100.0, 100.0, 100.0, *closes[3:]], wide=0.5)
    r = Rig(
        tmp_path, bars, signal(bars, 1, qty=10.0, stop=90.0, entry="limit", entry_price=98.0, valid_bars=8)
    )
    r.play(0, 2)
    r.moved = 3  # the broker never sees the low
    r.push(2)
    assert (r.planned(), r.held()) == (10.0, 0.0)
    assert len(r.working("limit")) == 1
    r.session.poll()
    assert len(r.working("limit")) == 1
    r.bar(3)
    assert r.working("limit") == []
    r.play(4, 7)
    assert (r.planned(), r.held()) == (0.0, 0.0)
    assert [one.kind for one in r.parted()] == ["not_entered"]


def test_an_approval_of_later_is_not_taken_back_at_once(tmp_path: Path) -> None:
    r = rig(tmp_path, options={"mode": ExecutionMode.MANUAL_REVIEW})
    r.play(0, 5)
    r.memory._match, match = (lambda name: None), r.memory._match  # type: ignore[method-assign]
    (request,) = r.session.desk.manager.get_pending_requests()
    leave_decision(tmp_path / "journal.db.switch" / "reviews", request.request_id, "ada")
    r.session.poll()
    r.session.poll()
    assert len(r.working("market")) == 1  # as overnight
    r.memory._match = match  # type: ignore[method-assign]
    r.bar(5)
    assert (r.planned(), r.held()) == (10.0, 10.0)


def test_an_approval_between_two_bars_fills_with_the_second(tmp_path: Path) -> None:
    bars = made_bars(FLAT, wide=0.5)
    rule = signal(bars, 1, qty=10.0, stop=95.0)
    with BrokerSession(
        tmp_path / "journal.db", like=bars, strategies=[rule], name="desk", risk=FREE,
        mode=ExecutionMode.MANUAL_REVIEW,
    ) as session:  # fmt: skip
        for row in range(5):
            session.push(bars[row : row + 1])
        (request,) = session.desk.manager.get_pending_requests()
        leave_decision(tmp_path / "journal.db.switch" / "reviews", request.request_id, "ada")
        session.push(bars[5:6])
        assert [one.quantity for one in session.broker.get_positions()] == [10.0]
        assert [one.quantity for one in session.status().positions] == [10.0]


# A shadow and a real account


def test_a_shadow_session_never_goes_on_as_a_real_one(tmp_path: Path) -> None:
    bars = made_bars(FLAT, wide=0.5)
    rule = signal(bars, 1, qty=10.0, stop=95.0, max_bars=8)
    real = MemoryBroker("alpaca")
    real.prices["AAA"] = 100.0
    real.hold("AAA", 10.0)  # bought by hand, long ago
    clock = FakeClock(at(bars, 0))
    given: dict[str, Any] = {"like": bars, "name": "desk", "costs": None, "risk": FREE, "clock": clock}
    shadow = ShadowBroker(real, path=tmp_path / "shadow.events", quotes=False, clock=clock)
    with shadow, BrokerSession(tmp_path / "j.db", shadow, sleep=lambda _: None, **given) as session:
        for row in range(5):
            clock.set(at(bars, row))
            real.now = at(bars, row)
            mine = rule.records[rule.records["ts"] == int(bars.ts[row])]
            session.push(bars[row : row + 1], Signals(mine, rule.symbols, strategies=rule.strategies))
        assert session.status().account == "shadow:test"
        assert shadow.get_positions()[0].quantity == 10.0
        (position,) = session.desk.reconciler.ledger("broker").positions().values()
        assert position == 10.0
    explanation = explain(tmp_path / "j.db", "desk")
    assert explanation.ok, str(explanation)
    for accepted in (None, "the trial is over"):
        with pytest.raises(ConfigError) as caught:
            BrokerSession(tmp_path / "j.db", real, accept_change=accepted, **given)
        assert caught.value.code == "LIVE_FOLLOW_SHADOW"
    assert real._held == {"AAA": 10.0}
    assert real.get_orders(open_only=False) == []


def test_a_real_session_never_goes_on_as_a_shadow(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 3)
    r.close()
    with pytest.raises(ConfigError) as caught:
        BrokerSession(
            r.path, ShadowBroker(r.memory, quotes=False, clock=r.clock), like=r.bars, name="desk", risk=FREE,
            clock=r.clock, accept_change="to look",
        )  # fmt: skip
    assert caught.value.code == "LIVE_FOLLOW_SHADOW"


def at(bars: Bars, row: int) -> datetime:
    return datetime.fromtimestamp(int(bars.close_ts[row]) / 1e9 + 1, UTC)
