"""Reviews that are damaged, locked or late: no price, close or kill is kept from what it does by them."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from live.automation.config import ExecutionMode
from live.clock import FakeClock
from live.decisions import leave_decision, waiting_decisions
from live.review import files
from live.review_queue import LIFETIME
from live.trading_automation import TradingAutomation
from simulator.errors import EngineError, TwinstepWarning
from tests.live.automations import START, automation_in, wide
from tests.live.test_automation_review import asked, kept

REVIEW: dict[str, Any] = {"execution_mode": ExecutionMode.MANUAL_REVIEW}
Held = tuple[TradingAutomation, str, str]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def desk(tmp_path: Path, clock: FakeClock) -> Iterator[Held]:
    """An automation that holds AAPL, and its requests for MSFT and XOM, which wait."""
    with automation_in(tmp_path, clock, **REVIEW) as machine:
        machine.broker_manager.approve_request(asked(machine, wide("AAPL")), approved_by="ada")
        yield machine, asked(machine, wide("MSFT")), asked(machine, wide("XOM"))


def damage(machine: TradingAutomation, request: str) -> bytes:
    """Leave half of a request's file; returns what there is then."""
    file = machine.safety.folder / "reviews" / f"{request}.json"
    file.write_bytes(file.read_bytes()[:50])
    return file.read_bytes()


@contextmanager
def locked(machine: TradingAutomation) -> Iterator[None]:
    """Hold the folder of the reviews, as another process."""
    handle = os.open(machine.safety.folder / "reviews" / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def held(machine: TradingAutomation) -> list[str]:
    return [position.symbol for position in machine.portfolio_risk().positions]


def test_closing_everything_carries_no_left_approval_out(desk: Held) -> None:
    machine, msft, xom = desk
    assert machine.broker_manager.reject_request(xom, reason="no").accepted
    reviews = machine.safety.folder / "reviews"
    leave_decision(reviews, msft, "bob")
    assert machine.emergency_close_all("market crash") == 1
    assert held(machine) == []
    assert machine.pending_signals() == []
    queue = machine.broker_manager.review_queue
    assert queue is not None
    assert queue.get(msft).state == "void"
    given_up, rejected = kept(machine, "MSFT"), kept(machine, "XOM")
    assert (given_up["ended_by"], given_up["review"]["state"]) == ("person", "void")
    assert given_up["decision"] == "market crash"
    assert (rejected["ended_by"], rejected["review"]["state"]) == ("review", "rejected")
    machine.update_positions({"MSFT": 100.0})
    assert held(machine) == []
    assert waiting_decisions(reviews) == []


def test_closing_everything_says_when_something_is_open_all_the_same(
    desk: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, _, _ = desk
    push = machine.desk.push

    def deaf(prices: Any, *_: Any, note: Any = None, **__: Any) -> Any:
        return push(prices, note=note)

    monkeypatch.setattr(machine.desk, "push", deaf)
    with pytest.raises(EngineError, match="AAPL") as caught:
        machine.emergency_close_all()
    assert caught.value.code == "LIVE_NOT_FLAT"
    assert machine.pending_signals() == []


def test_a_damaged_request_stops_no_price_no_close_and_no_restart(
    desk: Held, clock: FakeClock, tmp_path: Path
) -> None:
    machine, msft, xom = desk
    broken = damage(machine, msft)
    with pytest.warns(TwinstepWarning, match=msft) as told:
        (trade,) = machine.update_positions({"AAPL": 94.9})
    assert len(told) == 1
    assert (trade.symbol, trade.status) == ("AAPL", "closed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        machine.update_positions({"AAPL": 94.9})
        (problem,) = machine.get_portfolio_status()["review_problems"]
        assert msft in problem
        assert machine.broker_manager.engage_kill_switch("crash", "ada").voided == 1
    machine.close()
    with pytest.warns(TwinstepWarning, match=msft):
        again = automation_in(tmp_path, clock, **REVIEW)
    with again:
        assert [bracket.request_id for bracket in again.pending_signals()] == [msft]
        assert kept(again, "XOM")["review"]["request_id"] == xom
        assert (again.safety.folder / "reviews" / f"{msft}.json").read_bytes() == broken
        clock.advance(LIFETIME - timedelta(seconds=1))
        assert len(again.pending_signals()) == 1
        clock.advance(timedelta(seconds=1))
        assert again.pending_signals() == []
        ended = kept(again, "MSFT")
        assert (ended["ended_by"], ended["review"]["state"]) == ("review", "expired")


def test_a_request_whose_file_was_moved_away_may_be_made_again(desk: Held) -> None:
    machine, msft, _ = desk
    (machine.safety.folder / "reviews" / f"{msft}.json").unlink()
    signals = [bracket.signal_id for bracket in machine.pending_signals()]
    assert len(signals) == 2
    again = machine.execute_signal(str(signals[0]))
    assert again is not None
    assert again.request_id == msft
    assert machine.broker_manager.approve_request(msft, approved_by="ada").accepted
    assert held(machine) == ["AAPL", "MSFT"]


def test_an_approval_left_while_the_folder_is_locked_is_taken_up_later(
    desk: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, msft, _ = desk
    monkeypatch.setattr(files, "_WAIT_SECONDS", 0.02)
    leave_decision(machine.safety.folder / "reviews", msft, "bob")
    with locked(machine):
        with pytest.warns(TwinstepWarning, match=rf"LIVE_REVIEW_TROUBLE.*{msft} by bob.*next look"):
            machine.update_positions({"KO": 10.0})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            machine.update_positions({"KO": 10.0})  # named once
        assert len(machine.safety.problems) == 1
    machine.update_positions({"KO": 10.0})
    assert held(machine) == ["AAPL", "MSFT"]
    assert machine.safety.problems == []


@pytest.mark.parametrize("spoil", ["lock", "damage"])
def test_closing_everything_needs_no_reviews(desk: Held, monkeypatch: pytest.MonkeyPatch, spoil: str) -> None:
    machine, msft, xom = desk
    monkeypatch.setattr(files, "_WAIT_SECONDS", 0.02)
    close: Callable[[], int] = machine.emergency_close_all
    if spoil == "lock":
        with locked(machine), pytest.warns(TwinstepWarning, match="made void"):
            assert close() == 1
    else:
        damage(machine, msft)
        with pytest.warns(TwinstepWarning, match=msft):
            assert close() == 1
    assert held(machine) == []
    assert machine.pending_signals() == []
    answer = machine.broker_manager.approve_request(xom, approved_by="ada")
    assert answer.submitted is None or answer.submitted.outcome.value == "rejected"
    assert held(machine) == []
