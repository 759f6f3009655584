"""The account of an automation: ticks, symbols that join, and the replay of everything through a backtest.

Whatever the order in which symbols join, the state is that of an account that knew them from the start, and
that of the backtest driver over all ticks, byte by byte.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.automation_account import TickAccount
from live.automation_config import AutomationConfig
from live.clock import FakeClock
from live.parity import verify_parity
from live.trading_automation import TradingAutomation
from simulator.commands import Command
from simulator.errors import ConfigError, EngineError
from simulator.kernel.state import to_bytes
from strategies import create_manual_signal

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT", "XOM", "KO")

prices = st.integers(80, 120).map(float)
moves = st.tuples(
    st.dictionaries(st.sampled_from(SYMBOLS), prices, min_size=1, max_size=3),
    st.booleans(),  # whether the first of them comes with a signal
    st.sampled_from([None, "close", "close_all", "kill", "arm", "reduce"]),
    st.sampled_from([0, 0, 1, 26, 26 * 24]),  # hours to the next tick
)


def account(clock: FakeClock, symbols: tuple[str, ...] = ()) -> TickAccount:
    rules = AutomationConfig(max_sector_exposure_pct=50.0, max_days_in_trade=20).rules()
    return TickAccount(rules, clock=clock, sectors={"AAPL": "Technology"}, symbols=symbols)


def signal(symbol: str, price: float) -> dict[str, Any]:
    return {
        "symbol": symbol, "side": 1, "qty": 300.0, "stop": price * 0.95, "target": price * 1.2,
        "trail_percent": 4.0, "entry": "close", "exit": "close", "strength": 2,
    }  # fmt: skip


def drive(found: TickAccount, clock: FakeClock, script: list[Any]) -> None:
    priced: set[str] = set()
    for ticks, with_signal, command, hours in script:
        symbol, price = next(iter(ticks.items()))
        asked = []
        if command == "close":
            asked = [Command(_now(found), "close", symbol, 97.0)] if symbol in priced else []
        elif command is not None:
            asked = [Command(_now(found), command)]
        found.tick(ticks, signal(symbol, price) if with_signal else None, asked)
        priced.update(ticks)
        clock.advance(timedelta(hours=hours))


def _now(found: TickAccount) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=found.next_time() // 1000)


@given(st.lists(moves, min_size=1, max_size=25))
@settings(max_examples=40, derandomize=True, database=None, deadline=None)
def test_growing_and_replaying_give_the_same_bytes(script: list[Any]) -> None:
    clock = FakeClock(START)
    grown = account(clock)
    drive(grown, clock, script)
    clock = FakeClock(START)
    whole = account(clock, grown.symbols)
    drive(whole, clock, script)
    assert to_bytes(grown.state) == to_bytes(whole.state)
    assert to_bytes(grown.replay().state) == to_bytes(grown.state)


def test_a_rehearsal_says_what_the_tick_will_do_and_changes_nothing() -> None:
    clock = FakeClock(START)
    found = account(clock)
    for day in range(80):
        found.tick({"AAPL": 100.0 + day % 7, "MSFT": 50.0 + day % 7})
        clock.advance(timedelta(days=1))
    found.tick({"AAPL": 100.0}, signal("AAPL", 100.0))
    before = to_bytes(found.state)
    for symbol, price in (("MSFT", 50.0), ("XOM", 90.0)):
        copy, expected = found.rehearse({symbol: price}, signal(symbol, price))
        assert to_bytes(found.state) == before
        assert symbol in copy.symbols
        logs = found.tick({symbol: price}, signal(symbol, price))
        for name in ("verdicts", "fills", "trades"):
            columns = [c for c in logs[name].dtype.names or () if c != "ts"]
            assert logs[name][columns].tobytes() == expected[name][columns].tobytes(), name
        before = to_bytes(found.state)


def test_ticks_of_one_instant_are_a_microsecond_apart() -> None:
    found = account(FakeClock(START))
    for _ in range(3):
        found.tick({"AAPL": 100.0})
    assert [tick.ts - found.ticks[0].ts for tick in found.ticks] == [0, 1_000, 2_000]


def test_a_clock_that_goes_back_is_refused() -> None:
    clock = FakeClock(START)
    found = account(clock)
    found.tick({"AAPL": 100.0})
    clock.advance(timedelta(seconds=-59))
    found.tick({"AAPL": 100.0})  # a corrected clock
    clock.advance(timedelta(minutes=-5))
    with pytest.raises(EngineError) as failure:
        found.tick({"AAPL": 100.0})
    assert failure.value.code == "LIVE_CLOCK"
    assert len(found.ticks) == 2


def test_a_clock_without_a_zone_is_refused() -> None:
    found = TickAccount(AutomationConfig().rules(), clock=lambda: datetime(2026, 3, 2))  # noqa: DTZ001 - the point
    with pytest.raises(EngineError) as failure:
        found.tick({"AAPL": 100.0})
    assert failure.value.code == "LIVE_CLOCK"


def traded(clock: FakeClock) -> TradingAutomation:
    """A week of signals, stops, trails and a person's close, over three symbols that join one by one."""
    machine = TradingAutomation(AutomationConfig(), clock=clock)
    for index, symbol in enumerate(SYMBOLS[:3]):
        idea = create_manual_signal(symbol, 100.0, 95.0, 110.0, 100_000, sector=symbol, created_at=clock())
        machine.process_signal(idea)
        machine.execute_signal(idea.signal_id)
        clock.advance(timedelta(hours=25))
        machine.update_positions({name: 101.0 + index for name in SYMBOLS[: index + 1]})
    machine.update_positions({"AAPL": 94.0, "MSFT": 108.0})
    machine.update_positions({"MSFT": 102.0})
    machine.close_position("XOM", exit_price=104.0, reason="enough")
    assert len(machine.journal.trades("closed", source="paper")) == 3
    return machine


def test_a_saved_session_passes_the_parity_receipt(tmp_path: Path) -> None:
    with traded(FakeClock(START)) as machine:
        assert machine.save_session(tmp_path / "session.db", "week") == len(machine.account.ticks)
        receipt = verify_parity(tmp_path / "session.db", "week")
        assert receipt.ok, str(receipt)
        assert receipt.bars == len(machine.account.ticks)
        with pytest.raises(ConfigError) as failure:
            machine.save_session(tmp_path / "session.db", "week")
        assert failure.value.code == "LIVE_SESSION_EXISTS"


def test_a_session_is_not_saved_into_the_automations_own_journal(tmp_path: Path) -> None:
    with TradingAutomation(journal=tmp_path / "trades.db", clock=FakeClock(START)) as machine:
        with pytest.raises(ConfigError) as own:
            machine.save_session(tmp_path / "trades.db")
        assert own.value.code == "LIVE_SESSION_FILE"
        with pytest.raises(ConfigError) as empty:
            machine.save_session(tmp_path / "session.db")
        assert empty.value.code == "LIVE_NO_TICKS"
