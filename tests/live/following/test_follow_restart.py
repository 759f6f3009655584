"""Killed between any two writes and calls to the broker, and started again: the same orders, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.brokers.interface import BrokerOrder, OrderRequest, Submitted
from live.parity import verify_parity
from simulator.signals import Signals
from tests.live.faulty_broker import FaultyBroker
from tests.live.following.rig import Rig, made_bars, signal
from tests.live.memory_broker import MemoryBroker

CLOSES = [100.0, 100.0, 103.0, 106.0, 106.0, 104.0, 104.0, 97.0, 99.0, 99.0]
LOOKS = 3
"""Of a session that is back, a minute apart: it looks every few seconds, and the bars are of a day."""


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Burns at the n-th point: they are before and after every write and every change at the broker."""

    def __init__(self) -> None:
        self.passed = 0
        self.at: int | None = None

    def __call__(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            raise Killed


class Mortal(FaultyBroker):
    def __init__(self, inner: MemoryBroker, fuse: Fuse) -> None:
        super().__init__(inner)
        self.fuse = fuse

    def around(self, do: Callable[[], Any]) -> Any:
        self.fuse()
        answer = do()
        self.fuse()
        return answer

    def submit_order(self, request: OrderRequest) -> Submitted:
        return self.around(lambda: FaultyBroker.submit_order(self, request))  # type: ignore[no-any-return]

    def replace_order(self, order_id: str, **change: Any) -> BrokerOrder:
        return self.around(lambda: FaultyBroker.replace_order(self, order_id, **change))  # type: ignore[no-any-return]

    def cancel_order(self, order_id: str) -> BrokerOrder:
        return self.around(lambda: FaultyBroker.cancel_order(self, order_id))  # type: ignore[no-any-return]


class MortalRig(Rig):
    fuse: Fuse

    def __post_init__(self) -> None:
        self.fuse = Fuse()
        super().__post_init__()

    def opened(self) -> Any:
        if not isinstance(self.faulty, Mortal):
            self.faulty = Mortal(self.memory, self.fuse)
        return super().opened()


@contextmanager
def mortal(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = Database.write

    @contextmanager
    def write(self: Database) -> Iterator[Any]:
        outer = not self.writing
        if outer:
            fuse()
        with real(self) as connection:
            yield connection
        if outer:
            fuse()

    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", write)
        yield


def played(folder: Path, monkeypatch: pytest.MonkeyPatch, at: int | None) -> tuple[MortalRig, bool]:
    """Play all bars, killed at a point or not; returns whether it was."""
    bars = made_bars(CLOSES, wide=0.4)
    signals = Signals.concat(
        [
            signal(bars, 1, qty=10.0, stop=95.0, scale_out_r=1.0, scale_out_fraction=0.5, trail_amount=9.0),
            signal(bars, 4, 0),
            signal(bars, 5, entry="limit", entry_price=98.0, qty=8.0, stop=92.0, valid_bars=3, max_bars=1),
        ]
    )
    r = MortalRig(folder, bars, signals)
    killed = False
    r.fuse.passed, r.fuse.at = 0, at
    with mortal(r.fuse, monkeypatch):
        row = 0
        while row < len(bars):
            try:
                r.bar(row)
            except Killed:
                killed = True
                r.session.close()
                r.session = r.opened()
                for _ in range(LOOKS):
                    r.move({})
                    r.session.poll()
            row = r.session.bars
    return r, killed


def told(r: MortalRig) -> list[tuple[str, float, str]]:
    """What reached the broker, in its order; stops aside, which come once more where an exit got lost."""
    by_id = {one.client_order_id: one for one in r.records()}
    sent = [by_id[name] for name in r.faulty.received]
    return [(one.role, one.quantity, one.reason) for one in sent if one.role != "stop"]


def same_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch, first: int, step: int) -> int:
    begin = folder / "whole"
    begin.mkdir()
    whole, _ = played(begin, monkeypatch, None)
    points, expected = whole.fuse.passed, told(whole)
    assert [role for role, *_ in expected] == ["entry", "close", "close", "entry", "close"]
    assert whole.held() == whole.planned() == 0.0
    whole.close()
    lost = 0
    for at in range(first, points + 1, step):
        place = folder / f"at{at}"
        place.mkdir()
        r, killed = played(place, monkeypatch, at)
        assert killed, at
        assert len(set(r.faulty.received)) == len(r.faulty.received), f"twice after a kill at {at}"
        if told(r) != expected:
            # an entry was on its way when the process ended: it may have arrived, so it is never sent again
            assert told(r) in (expected[3:], expected[:3]), f"killed at {at}"
            # the plan is told, unless it has left by itself meanwhile
            assert [one.kind for one in r.parted()] in (["not_entered"], [])
            lost += 1
        assert r.held() == r.planned() == 0.0
        assert r.working() == []
        r.close()
        assert verify_parity(r.path, "desk").ok
    assert lost <= 4, "two entries, each between its record and its call"
    return points


class Deadly(MemoryBroker):
    """The process ends in the call that sends its first exit, before anything has left."""

    is_deadly = True

    def submit_order(self, request: OrderRequest) -> Submitted:
        if self.is_deadly and request.reason == "part":
            self.is_deadly = False
            raise Killed
        return super().submit_order(request)


def test_an_exit_that_a_kill_has_kept_back_leaves_after_the_start(tmp_path: Path) -> None:
    bars = made_bars([100.0, 100.0, 103.0, 106.0, 106.0], wide=0.4)
    rule = signal(bars, 1, qty=10.0, stop=95.0, scale_out_r=1.0, scale_out_fraction=0.5)
    r = Rig(tmp_path, bars, rule, memory=Deadly())
    r.play(0, 3)
    with pytest.raises(Killed):
        r.bar(3)
    r.restart()
    for _ in range(LOOKS):
        r.move({})
        r.session.poll()
        assert sum(one.quantity for one in r.working("stop")) == r.held(), "bare, or sold twice"
    assert (r.planned(), r.held()) == (5.0, 5.0)
    (close,) = r.records("close")
    orders = r.memory.get_orders(open_only=False)
    assert [one.client_order_id for one in orders].count(close.client_order_id) == 1
    assert sum(one.kind == "stop" for one in orders) <= 4, "the stop is taken back for nothing"
    r.close()
    assert verify_parity(r.path, "desk").ok


def test_a_kill_here_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert same_everywhere(tmp_path, monkeypatch, 5, 41) > 100


@pytest.mark.slow
def test_a_kill_at_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same_everywhere(tmp_path, monkeypatch, 1, 1)
