"""An automation whose process is killed at random points: nothing is lost, and nothing comes twice.

The child trades as fast as it can; the parent kills it without warning, opens the account again, and compares
what the steps have recorded with the fills of the journal, and everything with a backtest over all prices.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from live.automation.account import to_time
from live.automation.config import AutomationConfig
from live.clock import FakeClock
from live.parity import verify_parity
from live.sessions.recording import unpack
from live.sessions.store import SessionStore
from live.trading_automation import TradingAutomation
from strategies import create_manual_signal
from tests.live.automations import START

SYMBOLS = ("AAPL", "MSFT", "XOM", "KO")
ROOT = Path(__file__).resolve().parents[2]
KILLS = 3
WARM = 5
"""Prices that a child has pushed before it may be killed."""
CHILD = """
import pathlib, sys
from tests.live.test_automation_kill import trade
trade(pathlib.Path(sys.argv[1]))
"""


def opened(folder: Path) -> tuple[TradingAutomation, FakeClock]:
    """Open the account, at the time of its last price."""
    clock = FakeClock(START + timedelta(days=3650))
    config = AutomationConfig(kill_switch_enabled=False, scale_out_enabled=True)
    machine = TradingAutomation(config, journal=folder / "trades.db", clock=clock)
    last = machine.session.last_ts
    clock.set(START if last is None else to_time(last))
    return machine, clock


def trade(folder: Path) -> None:
    """Trade until somebody ends the process."""
    machine, clock = opened(folder)
    first, told = machine.session.bars, False
    draw = random.Random(machine.session.bars)  # noqa: S311 - prices, not secrets
    while True:
        if not told and machine.session.bars >= first + WARM:
            told = True
            print("ready", flush=True)
        clock.advance(timedelta(minutes=10))
        held = {position["symbol"] for position in machine.get_portfolio_status()["positions"]}
        symbol = draw.choice(SYMBOLS)
        if symbol not in held:
            price = round(draw.uniform(90, 110), 2)
            idea = create_manual_signal(
                symbol, price, price * 0.97, price * 1.08, 100_000, sector=symbol, created_at=clock()
            )
            if machine.process_signal(idea) is not None:
                machine.execute_signal(idea.signal_id)
        elif draw.random() < 0.3:
            machine.close_position(symbol, reason="by hand")
        else:
            machine.update_positions({symbol: round(draw.uniform(90, 110), 2)})


def recorded_fills(machine: TradingAutomation) -> list[tuple[int, int, float, float]]:
    """Return time, side, quantity and price of every fill that the steps have recorded."""
    store, found = SessionStore(machine.journal.database, machine.session.name), []
    with machine.journal.database.read() as connection:
        for step in store.steps(connection, store.get(connection).id):
            found += [
                (int(fill["ts"]), int(fill["side"]), float(fill["qty"]), float(fill["price"]))
                for fill in unpack(step.logs)[0].get("fills", ())
            ]
    return found


def test_killed_at_random_points_the_journal_has_every_fill_once(tmp_path: Path) -> None:
    draw = random.Random(7)  # noqa: S311 - moments, not secrets
    seen = 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", CHILD, str(tmp_path)]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.0, 0.6))
        child.kill()
        child.wait()
        child.stdout.close()
        machine, _ = opened(tmp_path)
        with machine:
            assert machine.session.bars >= seen
            seen = machine.session.bars
            stored = [
                (fill.ts, fill.side, fill.quantity, fill.price)
                for trade in machine.journal.trades(source="paper")
                for fill in machine.journal.fills(trade.id)
            ]
            assert sorted(stored) == sorted(recorded_fills(machine))
            held = {position.symbol for position in machine.portfolio_risk().positions}
            assert {trade.symbol for trade in machine.journal.trades("open", source="paper")} == held
            for position in machine.get_portfolio_status()["positions"]:
                assert machine.bracket(position["signal_id"]).entry.symbol == position["symbol"]
        receipt = verify_parity(tmp_path / "trades.db", "automation")
        assert receipt.ok, str(receipt)
    assert seen >= KILLS * WARM
