"""An automation whose process is killed at random points: nothing is lost, and nothing comes twice.

The child trades as fast as it can; the parent kills it without warning, opens the account again, and compares
the kernel's fills with those of the journal, and the account with a backtest over all of its ticks.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from live.automation_account import to_time
from live.automation_config import AutomationConfig
from live.clock import FakeClock
from live.trading_automation import TradingAutomation
from simulator.kernel.state import to_bytes
from strategies import create_manual_signal

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT", "XOM", "KO")
ROOT = Path(__file__).resolve().parents[2]
KILLS = 4
CHILD = """
import pathlib, sys
from tests.live.test_automation_kill import trade
trade(pathlib.Path(sys.argv[1]))
"""


def opened(folder: Path) -> tuple[TradingAutomation, FakeClock]:
    """Open the account, at the time of its last tick."""
    clock = FakeClock(START + timedelta(days=3650))
    config = AutomationConfig(kill_switch_enabled=False, scale_out_enabled=True)
    machine = TradingAutomation(config, journal=folder / "trades.db", clock=clock)
    clock.set(to_time(machine.account.ticks[-1].ts) if machine.account.ticks else START)
    return machine, clock


def trade(folder: Path) -> None:
    """Trade until somebody ends the process."""
    machine, clock = opened(folder)
    print("ready", flush=True)
    draw = random.Random(len(machine.account.ticks))  # noqa: S311 - prices, not secrets
    while True:
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


def test_killed_at_random_points_the_journal_has_every_fill_once(tmp_path: Path) -> None:
    draw = random.Random(7)  # noqa: S311 - moments, not secrets
    seen = 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", CHILD, str(tmp_path)]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.3, 1.2))
        child.kill()
        child.wait()
        child.stdout.close()
        machine, _ = opened(tmp_path)
        with machine:
            assert len(machine.account.ticks) >= seen
            seen = len(machine.account.ticks)
            kernel = [(e.symbol, e.side, e.quantity, e.price, e.time) for e in machine.broker.executions()]
            stored = [
                (fill.symbol, fill.side, fill.quantity, fill.price, fill.time)
                for trade in machine.journal.trades(source="paper")
                for fill in machine.journal.fills(trade.id)
            ]
            assert sorted(stored) == sorted(kernel)
            held = {position.symbol for position in machine.portfolio_risk().positions}
            assert {trade.symbol for trade in machine.journal.trades("open", source="paper")} == held
            if seen:
                assert to_bytes(machine.account.replay().state) == to_bytes(machine.account.state)
    assert seen > 10
