"""An automation goes on after a restart where it was: account, orders, journal, halts; whatever ended it.

Every tick is on the disk before it is stepped. So a process may end after any write: what the journal lacks
then is written by the next start, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journal import TradeJournal
from live.automation_config import AutomationConfig
from live.automation_ticks import NAME, TickFile
from live.clock import FakeClock
from live.trading_automation import TradingAutomation
from simulator.errors import ConfigError, JournalError, TwinstepError
from simulator.kernel.state import to_bytes
from strategies import create_manual_signal

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT", "XOM")


class Crash(Exception):
    """The process ends here."""


def opened(folder: Path, clock: FakeClock, **settings: Any) -> TradingAutomation:
    return TradingAutomation(AutomationConfig(**settings), journal=folder / "trades.db", clock=clock)


def acts() -> list[Callable[[TradingAutomation], object]]:
    """Three trades in three sectors: one stopped, one closed by hand, one scaled out and open."""

    def enter(symbol: str) -> Callable[[TradingAutomation], object]:
        def act(machine: TradingAutomation) -> None:
            idea = create_manual_signal(symbol, 100.0, 95.0, 115.0, 100_000, sector=symbol, created_at=START)
            assert machine.process_signal(idea) is not None
            assert machine.execute_signal(idea.signal_id) is not None

        return act

    return [
        *(enter(symbol) for symbol in SYMBOLS),
        lambda machine: machine.update_positions({"AAPL": 101.0, "XOM": 106.0}),
        lambda machine: machine.update_positions({"AAPL": 94.0}),
        lambda machine: machine.close_position("MSFT", exit_price=103.0, reason="enough"),
        lambda machine: machine.update_positions({"XOM": 107.0}),
    ]


def picture(machine: TradingAutomation) -> tuple[Any, ...]:
    trades = [
        (t.symbol, t.status, t.quantity, t.open_quantity, t.pnl, t.close_reason, t.r_multiple, t.entry_ts)
        for t in machine.journal.trades(source="paper")
    ]
    fills = [
        (f.symbol, f.side, f.quantity, f.price, f.ts)
        for t in machine.journal.trades(source="paper")
        for f in machine.journal.fills(t.id)
    ]
    orders = [(o.order_id, o.state, o.filled_quantity, o.price) for o in machine.order_manager.get_orders()]
    return to_bytes(machine.account.state), trades, fills, orders, machine.broker.executions()


def test_a_restart_after_every_act_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    clock = FakeClock(START)
    with opened(tmp_path / "a", clock, scale_out_enabled=True) as machine:
        for act in acts():
            act(machine)
        expected = picture(machine)
    clock = FakeClock(START)
    for act in acts():
        with opened(tmp_path / "b", clock, scale_out_enabled=True) as machine:
            act(machine)
    with opened(tmp_path / "b", clock, scale_out_enabled=True) as machine:
        assert picture(machine) == expected
        assert [position["symbol"] for position in machine.get_portfolio_status()["positions"]] == ["XOM"]


@pytest.mark.parametrize("at", range(1, 7))  # three entries, a scale-out and two exits
def test_a_crash_before_any_write_of_the_journal_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    clock = FakeClock(START)
    with opened(tmp_path / "a", clock, scale_out_enabled=True) as machine:
        for act in acts():
            act(machine)
        expected = picture(machine)
    clock, left = FakeClock(START), at

    def counted(original: Any) -> Any:
        def call(*args: Any, **given: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crash
            return original(*args, **given)

        return call

    with monkeypatch.context() as patch:
        for name in ("log_trade_entry", "log_trade_exit", "log_trade_add"):
            patch.setattr(TradeJournal, name, counted(getattr(TradeJournal, name)))
        for act in acts():
            machine = opened(tmp_path / "b", clock, scale_out_enabled=True)
            try:
                act(machine)
            except (Crash, AssertionError):
                assert left == 0  # a broker manager makes an unresolved order of it, and the act sees None
                with pytest.raises(JournalError) as failure:
                    machine.update_positions({"AAPL": 1.0})
                assert failure.value.code == "LIVE_UNWRITTEN"
            finally:
                machine.close()
    assert left <= 0
    with opened(tmp_path / "b", clock, scale_out_enabled=True) as machine:
        assert picture(machine) == expected


def test_a_torn_last_line_was_never_stepped(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with opened(tmp_path, clock) as machine:
        machine.update_positions({"AAPL": 100.0})
        before = to_bytes(machine.account.state)
        file = machine.safety.folder / NAME
    whole = file.read_bytes()
    file.write_bytes(whole + whole.splitlines(keepends=True)[-1][:-5])
    with opened(tmp_path, clock) as machine:
        assert to_bytes(machine.account.state) == before
    assert file.read_bytes() == whole


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with opened(tmp_path, clock) as machine:
        machine.update_positions({"AAPL": 100.0})
        file = machine.safety.folder / NAME
    file.write_bytes(file.read_bytes().replace(b"100.0", b"900.0", 1))
    with pytest.raises(JournalError) as failure:
        opened(tmp_path, clock)
    assert failure.value.code == "LIVE_TICK_FILE"


def test_other_limits_are_refused(tmp_path: Path) -> None:
    clock = FakeClock(START)
    opened(tmp_path, clock).close()
    with pytest.raises(ConfigError, match="risk") as failure:
        opened(tmp_path, clock, risk_per_trade_pct=1.0)
    assert failure.value.code == "LIVE_ACCOUNT_CHANGED"
    opened(tmp_path, clock, trailing_stop_percent=3.0).close()  # how signals become orders may change


def test_an_account_has_one_automation(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with TradeJournal(tmp_path / "trades.db", source="paper", clock=clock) as journal:
        first = TradingAutomation(journal=journal, clock=clock)
        with pytest.raises(ConfigError) as failure:
            TradingAutomation(journal=journal, clock=clock)
        assert failure.value.code == "LIVE_ACCOUNT_BUSY"
        first.close()
        TradingAutomation(journal=journal, clock=clock).close()


def test_a_tick_that_cannot_be_written_is_not_stepped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(START)
    with opened(tmp_path, clock) as machine:
        machine.update_positions({"AAPL": 100.0})
        before = to_bytes(machine.account.state)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", _no_room)
            with pytest.raises(TwinstepError) as failure:
                machine.update_positions({"AAPL": 101.0})
        assert failure.value.code == "LIVE_TICK_FILE"
        assert to_bytes(machine.account.state) == before
        machine.update_positions({"AAPL": 102.0})  # there is room again
        after = to_bytes(machine.account.state)
    with opened(tmp_path, clock) as machine:
        assert to_bytes(machine.account.state) == after


def test_an_entry_that_is_not_written_is_refused_and_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(START)
    with opened(tmp_path, clock) as machine:
        idea = create_manual_signal("AAPL", 100.0, 95.0, 115.0, 100_000, created_at=START)
        machine.process_signal(idea)
        with monkeypatch.context() as patch:
            patch.setattr(TickFile, "append", _full)
            assert machine.execute_signal(idea.signal_id) is None
        assert "LIVE_TICK_FILE" in (machine.refusal(idea.signal_id) or "")
        assert machine.account.ticks == []
        machine.process_signal(idea)
        assert machine.execute_signal(idea.signal_id) is not None


def _full(*_: object) -> None:
    raise JournalError("no room", code="LIVE_TICK_FILE")


def _no_room(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_clock_that_went_back_takes_nothing_from_the_file(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with opened(tmp_path, clock) as machine:
        machine.update_positions({"AAPL": 100.0})
        size = (machine.safety.folder / NAME).stat().st_size
        clock.advance(timedelta(days=-1))
        with pytest.raises(TwinstepError):
            machine.update_positions({"AAPL": 101.0})
        assert (machine.safety.folder / NAME).stat().st_size == size


def test_a_daily_loss_that_a_person_has_ended_is_not_told_again(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with opened(tmp_path, clock, max_sector_exposure_pct=100.0) as machine:
        idea = create_manual_signal("AAPL", 150.0, 145.0, 160.0, 100_000, created_at=START)
        machine.process_signal(idea)
        machine.execute_signal(idea.signal_id)
        machine.update_positions({"AAPL": 143.0})
        assert machine.broker_manager.kill_switch.status["engaged"]
    with opened(tmp_path, clock, max_sector_exposure_pct=100.0) as machine:
        assert machine.broker_manager.kill_switch.status["engaged"]
        machine.broker_manager.kill_switch.arm("ada", "seen")
        machine.update_positions({"AAPL": 143.0})
        assert not machine.broker_manager.kill_switch.status["engaged"]
