"""Signals before a person: judged again at the approval, and every decision kept with its signal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from live.automation.config import ExecutionMode
from live.clock import FakeClock
from live.decisions import leave_decision
from live.trading_automation import TradingAutomation
from simulator.errors import JournalError
from simulator.types import TradingSignal
from strategies import create_manual_signal
from tests.live.automations import START, Open, aapl, openings


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def automation(clock: FakeClock) -> Iterator[Open]:
    yield from openings(clock)


def test_approval_asks_the_risk_manager_again(automation: Open) -> None:
    machine = automation(execution_mode=ExecutionMode.MANUAL_REVIEW)
    signals = [aapl(), create_manual_signal("MSFT", 150.0, 145.0, 160.0, 100_000)]
    requests = []
    for signal in signals:
        machine.process_signal(signal)
        bracket = machine.execute_signal(signal.signal_id)
        assert bracket is not None
        assert bracket.request_id is not None
        requests.append(bracket.request_id)
    assert machine.broker_manager.approve_request(requests[0], approved_by="ada").accepted
    answer = machine.broker_manager.approve_request(requests[1], approved_by="ada")
    assert (answer.accepted, answer.code) == (False, "LIVE_REVIEW_RISK")
    assert machine.get_portfolio_status()["open_positions"] == 1


def test_approval_checks_how_far_the_price_has_gone(automation: Open) -> None:
    machine = automation(execution_mode=ExecutionMode.MANUAL_REVIEW)
    signal = aapl()
    machine.process_signal(signal)
    bracket = machine.execute_signal(signal.signal_id)
    assert bracket is not None
    machine.update_positions({"AAPL": 153.0})
    answer = machine.broker_manager.approve_request(str(bracket.request_id), approved_by="ada")
    assert (answer.accepted, answer.code) == (False, "LIVE_REVIEW_DRIFT")


def test_a_request_expires(automation: Open, clock: FakeClock) -> None:
    machine = automation(execution_mode=ExecutionMode.MANUAL_REVIEW)
    signal = aapl()
    machine.process_signal(signal)
    machine.execute_signal(signal.signal_id)
    clock.advance(timedelta(hours=1))
    assert machine.pending_signals() == []
    assert "expired" in (machine.refusal(signal.signal_id) or "")


def asked(machine: TradingAutomation, signal: TradingSignal) -> str:
    """Lay a signal before a person; returns the request."""
    assert machine.process_signal(signal) is not None
    bracket = machine.execute_signal(signal.signal_id)
    assert bracket is not None
    assert bracket.request_id is not None
    return bracket.request_id


def kept(machine: TradingAutomation, symbol: str) -> dict[str, Any]:
    """Return what the journal keeps of a signal's life."""
    (found,) = machine.journal.recommendations(symbol=symbol, source="paper")
    details: dict[str, Any] = json.loads(found.details or "{}")
    return {"status": found.status, "decision": found.decision, **details}


def test_what_people_decide_and_let_expire_is_kept_with_the_signal(
    automation: Open, clock: FakeClock
) -> None:
    machine = automation(execution_mode=ExecutionMode.MANUAL_REVIEW, max_sector_exposure_pct=100.0)
    manager = machine.broker_manager
    names = ("AAPL", "MSFT", "XOM")
    requests = [asked(machine, aapl(ticker=name, risk_per_trade_pct=0.5)) for name in names]
    clock.advance(timedelta(minutes=4))
    assert manager.approve_request(requests[0], approved_by="ada").accepted
    manager.reject_request(requests[1], reason="High volatility")
    clock.advance(timedelta(minutes=12))
    machine.update_positions({"AAPL": 150.0})
    refused = aapl(ticker="KO", target_price=151.0)
    assert machine.process_signal(refused) is None

    approved = kept(machine, "AAPL")
    assert (approved["status"], approved["ended_by"], approved["order"]) == ("executed", None, "0")
    assert (approved["review"]["state"], approved["review"]["decided_by"]) == ("approved", "ada")
    assert approved["review"]["created_at"] == START.isoformat()
    assert approved["review"]["decided_at"] == (START + timedelta(minutes=4)).isoformat()
    rejected = kept(machine, "MSFT")
    assert (rejected["status"], rejected["ended_by"]) == ("ignored", "review")
    assert (rejected["review"]["state"], rejected["review"]["note"]) == ("rejected", "High volatility")
    assert (rejected["signal"]["entry_price"], rejected["review"]["quantity"]) == (150.0, 100.0)
    expired = kept(machine, "XOM")
    assert (expired["ended_by"], expired["review"]["state"]) == ("review", "expired")
    vetoed = kept(machine, "KO")
    assert (vetoed["ended_by"], vetoed["review"]) == ("risk", None)
    with machine.journal.database.read() as connection:
        query = "SELECT symbol, rule, granted, recommendation_id FROM verdicts ORDER BY id"
        rows = [tuple(row) for row in connection.exec_driver_sql(query)]
    assert rows == [("AAPL", "admitted", 100.0, 1), ("KO", "min_reward_risk", 0.0, 4)]


def test_an_approval_left_by_another_process_is_taken_up(automation: Open) -> None:
    machine = automation(execution_mode=ExecutionMode.MANUAL_REVIEW)
    signal = aapl()
    leave_decision(machine.safety.folder / "reviews", asked(machine, signal), "ada")
    machine.update_positions({"MSFT": 90.0})
    assert machine.bracket(signal.signal_id).entry.filled_quantity == 166.0


def test_an_approved_order_that_cannot_be_written_is_told_and_ended(
    automation: Open, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = automation(execution_mode=ExecutionMode.MANUAL_REVIEW)
    signal = aapl()
    request = asked(machine, signal)

    def full(*_: object, **__: object) -> None:
        raise JournalError("no room", code="JOURNAL_FULL")

    with monkeypatch.context() as patch:
        patch.setattr(machine.session, "push", full)
        answer = machine.broker_manager.approve_request(request, approved_by="ada")
    assert answer.submitted is not None
    assert (answer.submitted.outcome.value, answer.submitted.code) == ("rejected", "JOURNAL_FULL")
    assert machine.pending_signals() == []
    assert kept(machine, "AAPL")["ended_by"] == "review"
    assert machine.session.bars == 0
