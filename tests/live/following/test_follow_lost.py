"""An exit or a stop that got lost on its way: it goes again once it is proven to be lost, at every broker.

The same session plays at a broker in memory and at the fakes of the three brokers, of which only Alpaca
refuses an id that it has. The position is behind its stop all the while, no order arrives twice, and never
more leaves than is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from live.brokers.interface import OrderRequest, Submitted, denied
from live.clock import FakeClock
from live.following import BrokerSession, followed
from live.review_queue import ReviewRequest
from tests.live.brokers.alpaca_rig import AlpacaRig
from tests.live.brokers.ib_rig import TwsRig
from tests.live.brokers.rig import BrokerRig
from tests.live.brokers.tastytrade_rig import TastytradeRig
from tests.live.following.rig import FREE, Rig, made_bars, signal
from tests.live.memory_broker import MemoryBroker

FLAT = [100.0] * 14


class Losing(MemoryBroker):
    """Loses the first order of a kind that leaves, and counts what arrives."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.lost: list[OrderRequest] = []
        self.arrived: list[str] = []

    def submit_order(self, request: OrderRequest) -> Submitted:
        if request.kind == self.kind and request.purpose != "entry" and not self.lost:
            self.lost.append(request)
            raise TimeoutError("no answer")
        return self.take(request)

    def take(self, request: OrderRequest) -> Submitted:
        self.arrived.append(request.client_order_id)
        return super().submit_order(request)


def opened(folder: Path, memory: Losing, **columns: Any) -> Rig:
    bars = made_bars(FLAT, wide=0.5)
    return Rig(folder, bars, signal(bars, 1, qty=10.0, stop=95.0, **columns), memory=memory)


def until_lost(r: Rig, memory: Losing) -> None:
    row = 0
    while not memory.lost:
        r.bar(row)
        row += 1


def later(r: Rig, seconds: float) -> None:
    r.memory.now += timedelta(seconds=seconds)
    r.clock.set(r.memory.now)
    r.session.poll()


def cover(r: Rig) -> list[float]:
    return [-order.legs[0].quantity for order in r.working("stop")]


def test_an_exit_that_never_arrived_goes_again_and_the_stop_stays_until_then(tmp_path: Path) -> None:
    memory = Losing("market")
    r = opened(tmp_path, memory, max_bars=3)
    until_lost(r, memory)
    later(r, 3.0)
    later(r, 6.0)  # given up
    cancels = r.faulty.calls.count("cancel_order")
    for _ in range(11):
        assert cover(r) == [10.0]
        later(r, 5.0)
    assert (r.held(), r.faulty.calls.count("cancel_order")) == (10.0, cancels)
    (problem,) = r.session.status().problems
    assert "got lost" in problem
    later(r, 6.0)
    assert (r.held(), r.working(), r.session.status().problems) == (0.0, [], ())
    for _ in range(4):
        later(r, 70.0)
    assert memory.arrived.count(memory.lost[0].client_order_id) == 1
    assert [one.client_order_id for one in r.records("close")] == [memory.lost[0].client_order_id]
    assert r.held() == 0.0
    assert r.session.status().differences == ()


@pytest.mark.parametrize("waited", [1, 3, 12])
def test_an_exit_that_arrives_late_is_never_sent_a_second_time(tmp_path: Path, waited: int) -> None:
    memory = Losing("market")
    r = opened(tmp_path, memory, max_bars=3)
    until_lost(r, memory)
    for _ in range(waited):
        later(r, 5.0)
    memory.take(memory.lost[0])
    for _ in range(30):
        later(r, 5.0)
    assert (r.held(), r.working()) == (0.0, [])
    assert memory.arrived.count(memory.lost[0].client_order_id) == 1


def test_a_stop_that_never_arrived_goes_again(tmp_path: Path) -> None:
    memory = Losing("stop")
    r = opened(tmp_path, memory)
    r.play(0, 3)
    memory.cancel_order(r.working("stop")[0].order_id)
    later(r, 5.0)
    for _ in range(14):
        later(r, 5.0)
    assert memory.lost
    assert cover(r) == [10.0]
    for _ in range(4):
        later(r, 70.0)
    assert memory.arrived.count(memory.lost[0].client_order_id) == 1
    assert cover(r) == [10.0]


def test_a_restart_in_between_forgets_neither_the_exit_nor_the_minute(tmp_path: Path) -> None:
    memory = Losing("market")
    r = opened(tmp_path, memory, max_bars=3)
    until_lost(r, memory)
    for _ in range(3):
        later(r, 5.0)
    r.restart()
    assert (r.held(), cover(r)) == (10.0, [10.0])
    for _ in range(3):
        r.restart()
        later(r, 20.0)
    assert (r.held(), r.working()) == (0.0, [])
    assert memory.arrived.count(memory.lost[0].client_order_id) == 1


def test_what_was_sold_by_hand_meanwhile_is_not_sold_again(tmp_path: Path) -> None:
    memory = Losing("market")
    r = opened(tmp_path, memory, max_bars=3)
    until_lost(r, memory)
    for _ in range(3):
        later(r, 5.0)
    memory.book("AAA", -6.0, 100.0)
    for _ in range(30):
        later(r, 5.0)
    # nobody has said what that was: the exit may have filled in part
    assert r.held() == 4.0
    assert memory.arrived.count(memory.lost[0].client_order_id) == 0
    kept = r.session.desk.manager.differences
    assert kept is not None
    for one in kept.open():
        kept.accept(one.item_id, "ada", "sold by hand")
    for _ in range(6):
        later(r, 20.0)
    assert (r.held(), r.working()) == (0.0, [])
    assert memory.arrived.count(memory.lost[0].client_order_id) == 1


def test_an_exit_that_is_kept_back_does_not_take_the_stop_back_with_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Losing("nothing")
    r = opened(tmp_path, memory, max_bars=3)
    manager = r.session.desk.manager
    real, tries = manager.submit_order, []

    def keeping(request: OrderRequest, **named: Any) -> Submitted | ReviewRequest:
        if request.kind != "market" or request.purpose == "entry":
            return real(request, **named)
        tries.append(request.client_order_id)
        return denied(request, code="LIVE_GATE", message="a test says so")

    monkeypatch.setattr(manager, "submit_order", keeping)
    row = 0
    while not tries:
        r.bar(row)
        row += 1
    before = len(tries)
    for _ in range(10):
        later(r, 5.0)
        assert cover(r) == [10.0]
    assert len(tries) == before
    later(r, 15.0)
    assert len(tries) == before + 1
    monkeypatch.setattr(manager, "submit_order", real)
    later(r, 61.0)
    assert (r.held(), r.working()) == (0.0, [])


@pytest.fixture(
    params=[AlpacaRig, TwsRig, TastytradeRig], ids=["alpaca", "interactive_brokers", "tastytrade"]
)
def fake(request: pytest.FixtureRequest) -> Iterator[BrokerRig]:
    make: Callable[[], BrokerRig] = request.param
    rig = make()
    yield rig
    rig.close()


def test_at_every_broker_a_lost_exit_goes_again_once(fake: BrokerRig, tmp_path: Path) -> None:
    bars = made_bars(FLAT, wide=0.5)
    mine = signal(bars, 1, qty=10.0, stop=95.0, max_bars=3)
    fake.move({"AAA": 100.0})
    clock = FakeClock(fake.now)
    session = BrokerSession(
        tmp_path / "journal.db", fake.broker, like=bars, name="desk", clock=clock, sleep=lambda _: None,
        risk=FREE, costs=None, drive=False,
    )  # fmt: skip

    def look(seconds: float) -> None:
        fake.move({"AAA": 100.0}, minutes=seconds / 60.0)
        clock.set(fake.now)
        session.poll()

    for row in range(5):
        look(60.0)
        if row == 4:
            fake.lose("submit", done=False)
        part = bars[row : row + 1]
        session.push(part, None if row != 1 else mine)
    (close,) = [one for one in followed(session.session.database, "desk") if one.role == "close"]
    assert close.client_order_id not in fake.received()
    for _ in range(3):
        look(5.0)
    assert [(kind, left) for kind, left in fake.working().values()] == [("stop", 10.0)]
    for _ in range(6):
        look(20.0)
    assert (fake.held(), fake.working()) == ({}, {})
    assert fake.received().count(close.client_order_id) == 1
    assert session.status().problems == ()
    session.close()
