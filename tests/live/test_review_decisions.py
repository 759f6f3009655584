"""Decisions that another process has left: each is taken until its request has ended, and none is lost."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from live.brokers.interface import Leg, OrderRequest
from live.clock import FakeClock
from live.decisions import leave_decision, take_decisions, waiting_decisions
from live.kill_switch import KillSwitch
from live.review import files
from live.review_queue import LIFETIME, ReviewQueue
from tests.live.memory_broker import START

Prices = dict[str, float]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def prices() -> Prices:
    return {"AAPL": 100.0}


@pytest.fixture
def queue(tmp_path: Path, clock: FakeClock, prices: Prices) -> ReviewQueue:
    switch = KillSwitch(tmp_path / "switch", clock=clock)
    return ReviewQueue(
        tmp_path / "reviews", switch, clock=clock, price=lambda order: prices.get(order.symbol)
    )


@pytest.fixture
def left(tmp_path: Path, queue: ReviewQueue) -> str:
    """A request that somebody has approved in another process."""
    order = OrderRequest(client_order_id="o1", legs=(Leg("AAPL", 10.0),))
    name = queue.add(order, broker="paper", price=100.0).request_id
    leave_decision(tmp_path / "reviews", name, "ada")
    return name


def test_an_approval_outlasts_a_locked_folder(
    tmp_path: Path, queue: ReviewQueue, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_WAIT_SECONDS", 0.02)
    handle = os.open(tmp_path / "reviews" / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    (taken,) = take_decisions(tmp_path / "reviews", queue.approve)
    os.close(handle)
    assert (taken.answer, taken.waits, taken.by) == (None, True, "ada")
    assert "another process holds it" in taken.problem
    assert waiting_decisions(tmp_path / "reviews") == [left]
    (taken,) = take_decisions(tmp_path / "reviews", queue.approve)
    assert (taken.waits, taken.problem) == (False, "")
    assert queue.get(left).state == "approved"
    assert waiting_decisions(tmp_path / "reviews") == []


def test_an_approval_waits_for_a_price_and_ends_with_its_request(
    tmp_path: Path, queue: ReviewQueue, left: str, prices: Prices, clock: FakeClock
) -> None:
    prices.clear()
    (taken,) = take_decisions(tmp_path / "reviews", queue.approve)
    assert taken.answer is not None
    assert (taken.answer.code, taken.waits) == ("LIVE_REVIEW_PRICE", True)
    assert "is unknown" in taken.problem
    assert waiting_decisions(tmp_path / "reviews") == [left]
    clock.advance(LIFETIME)
    (taken,) = take_decisions(tmp_path / "reviews", queue.approve)
    assert taken.answer is not None
    assert (taken.answer.code, taken.waits) == ("LIVE_REVIEW_EXPIRED", False)
    assert waiting_decisions(tmp_path / "reviews") == []


def test_an_approval_of_a_damaged_request_stays_and_one_of_none_goes(
    tmp_path: Path, queue: ReviewQueue, left: str
) -> None:
    file = tmp_path / "reviews" / f"{left}.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:40])
    (taken,) = take_decisions(tmp_path / "reviews", queue.approve)
    assert taken.waits
    assert "damaged" in taken.problem
    file.unlink()
    (taken,) = take_decisions(tmp_path / "reviews", queue.approve)
    assert not taken.waits
    assert "no review request" in taken.problem
    assert waiting_decisions(tmp_path / "reviews") == []
