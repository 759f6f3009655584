"""`twinstep parity` works on an automation: its account is a session, in every mode and across restarts."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from typer.testing import CliRunner

from journal import schema
from journal.database import Database
from live.automation.config import AutomationMode, ExecutionMode
from live.clock import FakeClock
from live.parity import verify_parity
from live.trading_automation import TradingAutomation
from tests.live.automations import START, aapl, automation_in, entered, pattern
from twinstep.cli import app

SYMBOLS = ("AAPL", "MSFT", "XOM", "KO", "CAT", "JPM")
MODES: dict[str, dict[str, Any]] = {
    "MANUAL": {"automation_mode": AutomationMode.MANUAL},
    "SEMI_AUTO": {"automation_mode": AutomationMode.SEMI_AUTO},
    "FULL_AUTO": {"automation_mode": AutomationMode.FULL_AUTO, "kill_switch_enabled": False},
    "MANUAL_REVIEW": {"execution_mode": ExecutionMode.MANUAL_REVIEW, "scale_out_enabled": True},
}


def act(machine: TradingAutomation, draw: random.Random, clock: FakeClock) -> None:
    """Do something that a user does."""
    symbol, price = draw.choice(SYMBOLS), round(draw.uniform(90.0, 110.0), 2)
    held = [position.symbol for position in machine.portfolio_risk().positions]
    doing = draw.random()
    if doing < 0.45 and symbol not in held:
        levels = {"stop": round(price * 0.95, 2), "target": round(price * 1.15, 2), "entry": price}
        if machine.config.automation_mode is AutomationMode.MANUAL:
            signal = aapl(
                ticker=symbol, entry_price=price, stop_loss=levels["stop"], target_price=levels["target"],
                sector=symbol, created_at=clock(),
            )  # fmt: skip
            found = [machine.process_signal(signal)]
        else:
            found = list(
                machine.process_pattern_scans([pattern(symbol=symbol, time=clock(), sector=symbol, **levels)])
            )
        for bracket in found:
            if bracket is not None and not machine.bracket(bracket.signal_id).entry.is_open:
                continue  # executed at once
            if bracket is not None and draw.random() < 0.9:
                machine.execute_signal(bracket.signal_id)
    elif doing < 0.55 and held:
        machine.close_position(draw.choice(held), exit_price=price, reason="by hand")
    elif doing < 0.58:
        machine.emergency_close_all("enough")
    else:
        machine.update_positions({name: round(draw.uniform(90.0, 110.0), 2) for name in {symbol, *held[:2]}})
    for request in machine.broker_manager.get_pending_requests():
        if draw.random() < 0.6:
            machine.broker_manager.approve_request(request.request_id, approved_by="ada")
        elif draw.random() < 0.5:
            machine.broker_manager.reject_request(request.request_id, reason="no")


@pytest.mark.parametrize("mode", MODES)
def test_no_byte_differs_in_any_mode_across_restarts(mode: str, tmp_path: Path) -> None:
    draw, clock = random.Random(mode), FakeClock(START)  # noqa: S311 - a script, not a secret
    for _ in range(5):
        with automation_in(tmp_path, clock, **MODES[mode]) as machine:
            for _ in range(draw.randint(3, 14)):
                act(machine, draw, clock)
                clock.advance(timedelta(hours=draw.choice([0, 1, 7, 30])))
    receipt = verify_parity(tmp_path / "trades.db", "automation")
    assert receipt.ok, str(receipt)
    with automation_in(tmp_path, clock, **MODES[mode]) as machine:
        assert receipt.bars == machine.session.bars > 10
        assert machine.journal.trades("closed", source="paper")
        kernel = [
            (position.symbol, position.side * position.quantity) for position in machine.session.positions()
        ]
        open_trades = machine.journal.trades("open", source="paper")
        assert sorted((t.symbol, t.side * t.open_quantity) for t in open_trades) == sorted(kernel)


def test_the_command_finds_an_automation_and_a_changed_price(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with automation_in(tmp_path, clock) as machine:
        entered(machine, aapl())
        machine.update_positions({"AAPL": 152.0})
    given = ["parity", "automation", "--journal", str(tmp_path / "trades.db")]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    with Database(tmp_path / "trades.db") as database, database.write() as connection:
        data = connection.execute(text("SELECT data FROM inputs WHERE kind = 'bar' AND bar = 1")).scalar_one()
        table = schema.inputs
        connection.execute(
            update(table)
            .where(table.c.kind == "bar", table.c.bar == 1)
            .values(data=data[:-8] + bytes([data[-8] ^ 1]) + data[-7:])
        )
    assert not verify_parity(tmp_path / "trades.db", "automation").ok
    assert CliRunner().invoke(app, given).exit_code != 0
