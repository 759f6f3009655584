"""An automation at its edges: what is unknown, late, changed or no price, and what it does nevertheless."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from live.automation.config import AutomationMode, ExecutionMode
from live.brokers.interface import Leg, OrderRequest, Outcome
from live.clock import FakeClock
from live.desk import ask
from live.sessions.commands import queue_command
from simulator.errors import ConfigError, EngineError, SignalError, UnknownNameError
from simulator.order_manager import OrderManager
from simulator.types import Reason
from strategies import create_manual_signal
from tests.live.automations import START, Open, aapl, entered, openings, roomy, wide
from twinstep.account_lines import stored_lines


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def automation(clock: FakeClock) -> Iterator[Open]:
    yield from openings(clock)


def test_unknown_signal(automation: Open) -> None:
    machine = automation()
    with pytest.raises(UnknownNameError) as failure:
        machine.execute_signal("AAPL-1")
    assert failure.value.code == "LIVE_SIGNAL_UNKNOWN"
    signal = aapl()
    entered(machine, signal)
    with pytest.raises(UnknownNameError, match="executed already"):
        machine.execute_signal(signal.signal_id)
    with pytest.raises(SignalError) as done:
        machine.process_signal(signal)
    assert done.value.code == "LIVE_SIGNAL_DONE"


@pytest.mark.parametrize("prices", [{}, {"AAPL": 0.0}, {"AAPL": math.nan}, {"AAPL": "150"}, [150.0]])
def test_prices_that_are_none(automation: Open, prices: Any) -> None:
    with pytest.raises(SignalError) as failure:
        automation().update_positions(prices)
    assert failure.value.code == "LIVE_PRICE"


def test_limits_cannot_be_changed_under_an_open_account(automation: Open) -> None:
    machine = automation()
    machine.config.risk_per_trade_pct = 5.0
    with pytest.raises(ConfigError) as failure:
        machine.process_signal(aapl())
    assert failure.value.code == "LIVE_CONFIG_CHANGED"
    machine.config.risk_per_trade_pct = 2.0
    machine.config.automation_mode = AutomationMode.FULL_AUTO
    assert machine.process_signal(aapl()) is not None


def test_exits_work_whatever_was_changed(automation: Open) -> None:
    machine = automation()
    for ticker in ("A", "B", "C"):
        entered(machine, wide(ticker))
    machine.config.risk_per_trade_pct = 5.0
    machine.config.execution_mode = ExecutionMode.LIVE
    (trade,) = machine.update_positions({"A": 80.0})
    assert trade.symbol == "A"
    machine.close_position("B", exit_price=99.0)
    assert machine.emergency_close_all() == 1


def test_a_person_who_arms_on_the_same_day_is_not_overruled_by_the_switch(automation: Open) -> None:
    machine = automation(**roomy())
    entered(machine, aapl())
    machine.update_positions({"AAPL": 144.0})
    machine.broker_manager.kill_switch.arm("ada", "I know")
    machine.update_positions({"AAPL": 143.0})
    assert machine.broker_manager.kill_switch.status["engaged"] is False
    refused = wide("MSFT")
    assert machine.process_signal(refused) is None  # the account's own halt lasts for the session
    assert machine.verdict(refused.signal_id).reason is Reason.DAILY_LOSS_HALT


def test_symbols_without_a_sector_share_one(automation: Open) -> None:
    machine = automation()
    entered(machine, aapl())
    signal = create_manual_signal("MSFT", 100.0, 80.0, 140.0, 100_000)
    bracket = machine.process_signal(signal)
    assert bracket is not None
    assert bracket.quantity == 1


def test_the_broker_closes_a_whole_position_and_refuses_the_rest(automation: Open) -> None:
    machine = automation(**roomy())
    entered(machine, aapl())
    part = OrderRequest(client_order_id="a", legs=(Leg("AAPL", -100.0),), purpose="exit")
    assert machine.broker.submit_order(part).outcome is Outcome.REJECTED
    own = OrderRequest(client_order_id="b", legs=(Leg("AAPL", 100.0),))
    assert machine.broker.submit_order(own).code == "LIVE_ORDER_KIND"
    whole = OrderRequest(client_order_id="c", legs=(Leg("AAPL", -400.0),), purpose="exit")
    assert machine.broker.submit_order(whole).outcome is Outcome.CONFIRMED
    assert machine.broker.submit_order(whole).outcome is Outcome.CONFIRMED  # and not a second time
    assert machine.broker.get_positions() == []


def test_filters_hold_without_bracket_orders_too(automation: Open) -> None:
    machine = automation(use_bracket_orders=False)
    assert machine.process_signal(aapl(target_price=159.0)) is None
    bracket = entered(machine, aapl())
    assert bracket.take_profit is None
    assert machine.update_positions({"AAPL": 170.0}) == []


def test_a_signal_is_valid_for_five_days(automation: Open, clock: FakeClock) -> None:
    machine = automation()
    signal = aapl()
    machine.process_signal(signal)
    clock.advance(timedelta(days=5, seconds=1))
    assert machine.execute_signal(signal.signal_id) is None
    assert "valid until" in (machine.refusal(signal.signal_id) or "")


def test_get_order_says_what_it_does_not_know(automation: Open) -> None:
    orders = automation().order_manager
    assert isinstance(orders, OrderManager)
    with pytest.raises(UnknownNameError) as failure:
        orders.get_order("7")
    assert failure.value.code == "NAME_ORDER"


def test_a_kill_between_processing_and_executing_is_seen(automation: Open) -> None:
    machine = automation()
    signal = aapl()
    assert machine.process_signal(signal) is not None
    machine.broker_manager.engage_kill_switch("crash", "ada")
    assert machine.execute_signal(signal.signal_id) is None
    assert "LIVE_HALTED" in (machine.refusal(signal.signal_id) or "")
    assert machine.session.bars == 0


def test_a_signal_that_ran_out_while_nobody_was_there(
    automation: Open, clock: FakeClock, tmp_path: Path
) -> None:
    machine = automation(journal=tmp_path / "trades.db")
    signal = aapl()
    machine.process_signal(signal)
    machine.close()
    clock.advance(timedelta(days=6))
    again = automation(journal=tmp_path / "trades.db")
    assert again.pending_signals() == []
    assert "valid until 2026-03-07" in (again.refusal(signal.signal_id) or "")
    with pytest.raises(UnknownNameError, match="valid until"):
        again.execute_signal(signal.signal_id)


def test_a_closed_automation_does_nothing_more(automation: Open) -> None:
    machine = automation()
    machine.close()
    with pytest.raises(EngineError) as failure:
        machine.update_positions({"AAPL": 150.0})
    assert failure.value.code == "LIVE_STOPPED"


def test_a_close_from_another_process_happens_at_the_next_price(
    automation: Open, clock: FakeClock, tmp_path: Path
) -> None:
    machine = automation(journal=tmp_path / "trades.db")
    entered(machine, aapl())
    entered(machine, wide("MSFT"))
    queue_command(tmp_path / "trades.db", "automation", "close", "AAPL")
    (trade,) = machine.update_positions({"AAPL": 151.0, "MSFT": 101.0})
    assert (trade.symbol, trade.exit_price, trade.close_code) == ("AAPL", 151.0, "manual")
    assert [position["symbol"] for position in machine.get_portfolio_status()["positions"]] == ["MSFT"]


def test_status_and_close_of_a_second_terminal_know_symbols_that_joined(
    automation: Open, tmp_path: Path
) -> None:
    machine = automation(journal=tmp_path / "trades.db")
    entered(machine, aapl())
    machine.close()
    lines = stored_lines(tmp_path / "trades.db", "automation")
    assert lines is not None
    assert [position.symbol for position in lines.positions] == ["AAPL"]
    assert ask(tmp_path / "trades.db", "automation", "close", "AAPL").where == "session"
    again = automation(journal=tmp_path / "trades.db")
    (trade,) = again.update_positions({"AAPL": 151.0})
    assert trade.exit_price == 151.0


def test_the_orders_of_the_broker_survive_a_restart(
    automation: Open, clock: FakeClock, tmp_path: Path
) -> None:
    machine = automation(journal=tmp_path / "trades.db")
    entered(machine, aapl())
    leave = OrderRequest(client_order_id="mine", legs=(Leg("AAPL", -166.0),), purpose="exit")
    assert machine.broker_manager.submit_order(leave).outcome is Outcome.CONFIRMED
    before = machine.broker.get_orders(open_only=False)
    machine.close()
    again = automation(journal=tmp_path / "trades.db")
    assert again.broker.get_orders(open_only=False) == before
    assert again.broker.submit_order(leave).outcome is Outcome.CONFIRMED  # and not a second time
    assert again.session.bars == machine.session.bars
