"""An automation goes on after a restart where it was: account, orders, ideas, halts; whatever ended it.

What a price did is in the journal in the transaction of its step. So a process may end after any write, and
a write that fails leaves everything as it was: nothing is half done, and nothing is made good later.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from journal import TradeJournal
from journal.database import Database
from live.automation.config import ExecutionMode
from live.clock import FakeClock
from live.trading_automation import TradingAutomation
from simulator.errors import ConfigError, DataError, EngineError, JournalError
from simulator.kernel.state import to_bytes
from tests.live.automations import START, aapl, acts, automation_in, entered, picture, roomy


class Crash(BaseException):
    """The process ends here."""


def run_through(folder: Path) -> dict[str, Any]:
    """Do all acts in one process."""
    folder.mkdir()
    clock = FakeClock(START)
    with automation_in(folder, clock, scale_out_enabled=True) as machine:
        for act in acts(clock):
            act(machine)
        return picture(machine)


def test_a_restart_after_every_act_changes_nothing(tmp_path: Path) -> None:
    expected = run_through(tmp_path / "a")
    (tmp_path / "b").mkdir()
    clock = FakeClock(START)
    for act in acts(clock):
        with automation_in(tmp_path / "b", clock, scale_out_enabled=True) as machine:
            act(machine)
    with automation_in(tmp_path / "b", clock, scale_out_enabled=True) as machine:
        assert picture(machine) == expected
        assert [position["symbol"] for position in machine.get_portfolio_status()["positions"]] == ["XOM"]


def failing(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> list[int]:
    """Let the `at`-th transaction from now on fail when it is to be stored; returns the count so far."""
    count = [0]
    original = Database.write

    def write(self: Database) -> Any:
        return _Failing(original(self), count, at, error)

    monkeypatch.setattr(Database, "write", write)
    return count


class _Failing:
    """A write whose commit fails."""

    depth = 0

    def __init__(self, inner: Any, count: list[int], at: int, error: BaseException) -> None:
        self._inner, self._count, self._at, self._error = inner, count, at, error

    def __enter__(self) -> Any:
        _Failing.depth += 1
        return self._inner.__enter__()

    def __exit__(self, *given: Any) -> Any:
        _Failing.depth -= 1
        if _Failing.depth == 0 and given[0] is None:
            self._count[0] += 1
            if self._count[0] == self._at:
                with suppress(type(self._error)):
                    self._inner.__exit__(type(self._error), self._error, None)
                raise self._error
        return self._inner.__exit__(*given)


def test_a_crash_at_any_write_is_made_good_by_doing_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = without_ideas(run_through(tmp_path / "a"))
    at = 0
    while True:
        at += 1
        clock, crashed = FakeClock(START), False
        folder = tmp_path / f"crash-{at}"
        folder.mkdir()
        machine = automation_in(folder, clock, scale_out_enabled=True)
        with monkeypatch.context() as patch:
            failing(patch, at, Crash())
            for act in acts(clock):
                try:
                    act(machine)
                except Crash:
                    crashed = True
                    machine.close()
                    machine = automation_in(folder, clock, scale_out_enabled=True)
                    if not _done(machine, act):
                        act(machine)  # whoever was interrupted does it again
        with machine:
            assert without_ideas(picture(machine)) == expected, at
        if not crashed:
            break
    assert at > 10


def _done(machine: TradingAutomation, act: Any) -> bool:
    """Whether an act that was interrupted had its effect: an entry that is in the account."""
    held = {position.symbol for position in machine.portfolio_risk().positions}
    names = [cell.cell_contents for cell in act.__closure__ or ()]
    return any(name in held for name in names if isinstance(name, str))


def without_ideas(found: dict[str, Any]) -> dict[str, Any]:
    # an act that is done again proposes its idea again; the account does not care
    return {name: found[name] for name in ("state", "trades", "fills", "orders", "executions")}


def test_a_write_that_fails_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(START)
    with automation_in(tmp_path, clock, scale_out_enabled=True) as machine:
        entered(machine, aapl(target_price=170.0))
        full = JournalError("no room", code="JOURNAL_FULL")
        for call in (
            lambda: machine.update_positions({"AAPL": 155.5}),
            lambda: machine.close_position("AAPL"),
            lambda: machine.emergency_close_all(),
            lambda: machine.process_signal(aapl(ticker="MSFT")),
        ):
            before = picture(machine)
            with monkeypatch.context() as patch:
                failing(patch, 1, full)
                with pytest.raises(JournalError) as failure:
                    call()
            assert failure.value.code == "JOURNAL_FULL"
            assert picture(machine) == before
        machine.update_positions({"AAPL": 155.5})  # there is room again
        (position,) = machine.get_portfolio_status()["positions"]
        assert position["quantity"] == 83.0


def test_an_entry_that_is_not_written_is_refused_and_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(START)
    with automation_in(tmp_path, clock) as machine:
        signal = aapl()
        machine.process_signal(signal)
        push = machine.session.push

        def full(*_: object, **__: object) -> None:
            raise JournalError("no room", code="JOURNAL_FULL")

        monkeypatch.setattr(machine.session, "push", full)
        assert machine.execute_signal(signal.signal_id) is None
        assert "JOURNAL_FULL" in (machine.refusal(signal.signal_id) or "")
        assert machine.session.bars == 0
        monkeypatch.setattr(machine.session, "push", push)
        machine.process_signal(signal)
        assert machine.execute_signal(signal.signal_id) is not None
        assert machine.journal.trades("open", source="paper")[0].recommendation_id == 2


def test_signals_that_wait_and_refusals_survive(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with automation_in(tmp_path, clock) as machine:
        first, second = aapl(), aapl(ticker="MSFT", target_price=151.0)
        expected = machine.process_signal(first)
        machine.process_signal(second)
        refusal, verdict = machine.refusal(second.signal_id), machine.verdict(second.signal_id)
    with automation_in(tmp_path, clock) as machine:
        assert machine.pending_signals() == [expected]
        assert machine.refusal(second.signal_id) == refusal
        assert machine.verdict(second.signal_id) == verdict
        filled = machine.execute_signal(first.signal_id)
        assert filled is not None
        assert filled.entry.filled_quantity == 166.0
    with automation_in(tmp_path, clock) as machine:
        assert machine.bracket(first.signal_id) == filled
        assert machine.pending_signals() == []


def test_a_request_that_waits_for_a_person_survives(tmp_path: Path) -> None:
    clock = FakeClock(START)
    review: dict[str, Any] = {"execution_mode": ExecutionMode.MANUAL_REVIEW}
    with automation_in(tmp_path, clock, **review) as machine:
        signal = aapl()
        machine.process_signal(signal)
        waiting = machine.execute_signal(signal.signal_id)
        assert waiting is not None
    with automation_in(tmp_path, clock, **review) as machine:
        (request,) = machine.broker_manager.get_pending_requests()
        assert request.request_id == waiting.request_id
        clock.advance(timedelta(minutes=3))
        answer = machine.broker_manager.approve_request(request.request_id, approved_by="ada")
        assert answer.accepted
        assert machine.bracket(signal.signal_id).entry.filled_quantity == 166.0


def test_other_limits_are_refused_unless_a_reason_is_given(tmp_path: Path) -> None:
    clock = FakeClock(START)
    automation_in(tmp_path, clock).close()
    with pytest.raises(EngineError, match="risk") as failure:
        automation_in(tmp_path, clock, risk_per_trade_pct=1.0)
    assert failure.value.code == "LIVE_CHANGED"
    automation_in(tmp_path, clock, trailing_stop_percent=3.0).close()  # how signals become orders may change
    with pytest.raises(DataError) as calendar:
        automation_in(tmp_path, clock, calendar="XLON")
    assert calendar.value.code == "LIVE_FRAME"


def test_an_account_has_one_automation(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with TradeJournal(tmp_path / "trades.db", source="paper", clock=clock) as journal:
        first = TradingAutomation(journal=journal, clock=clock)
        with pytest.raises(ConfigError) as failure:
            TradingAutomation(journal=journal, clock=clock)
        assert failure.value.code == "LIVE_ACCOUNT_BUSY"
        with TradingAutomation(journal=journal, clock=clock, name="second") as second:
            entered(second, aapl())
        first.close()
        with TradingAutomation(journal=journal, clock=clock) as again:
            assert again.portfolio_risk().open_positions == 0


def test_a_clock_that_went_back_changes_nothing(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with automation_in(tmp_path, clock) as machine:
        machine.update_positions({"AAPL": 100.0})
        before = to_bytes(machine.account.state)
        clock.advance(timedelta(days=-1))
        with pytest.raises(EngineError) as failure:
            machine.update_positions({"AAPL": 101.0})
        assert failure.value.code == "LIVE_CLOCK"
        assert to_bytes(machine.account.state) == before


def lose_a_day(machine: TradingAutomation) -> None:
    """400 shares through the stop at 143: 2.8 % of the account."""
    entered(machine, aapl())
    machine.update_positions({"AAPL": 143.0})


def test_a_daily_loss_that_a_person_has_ended_is_not_told_again(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with automation_in(tmp_path, clock, **roomy()) as machine:
        lose_a_day(machine)
        assert machine.broker_manager.kill_switch.status["engaged"]
    with automation_in(tmp_path, clock, **roomy()) as machine:
        assert machine.broker_manager.kill_switch.status["engaged"]
        machine.broker_manager.kill_switch.arm("ada", "seen")
        machine.update_positions({"AAPL": 143.0})
        assert not machine.broker_manager.kill_switch.status["engaged"]
    with automation_in(tmp_path, clock, **roomy()) as machine:
        assert not machine.broker_manager.kill_switch.status["engaged"]


def test_a_daily_loss_that_a_crash_kept_from_the_switch_engages_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(START)
    with automation_in(tmp_path, clock, **roomy()) as machine:
        entered(machine, aapl())
        monkeypatch.setattr(machine.broker_manager, "engage_kill_switch", _crash)
        with pytest.raises(Crash):
            machine.update_positions({"AAPL": 143.0})
        assert not machine.broker_manager.kill_switch.status["engaged"]
    with automation_in(tmp_path, clock, **roomy()) as machine:
        assert machine.broker_manager.kill_switch.status["engaged"]
        assert "2.80 %" in machine.broker_manager.kill_switch.status["reason"]


def _crash(*_: object, **__: object) -> None:
    raise Crash


def test_what_a_signal_would_fill_at_does_not_depend_on_the_bars_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live.sessions.opening.HISTORY_ROWS", 3)
    clock = FakeClock(START)
    old, fresh = aapl(ticker="XOM"), aapl(ticker="MSFT")
    with automation_in(tmp_path, clock) as machine:
        machine.update_positions({"MSFT": 70.0})
        for one in (old, fresh):
            machine.process_signal(one)
        machine.update_positions({"KO": 10.0})
        machine.update_positions({"XOM": 149.0})
        machine.update_positions({"XOM": 151.0})
        for _ in range(20):
            machine.update_positions({"AAPL": 150.0})
        assert [machine.desk.price_for(machine.desk.get(one.signal_id)) for one in (old, fresh)] == [
            151.0,
            150.0,
        ]
    with automation_in(tmp_path, clock) as machine:
        assert len(machine.session.seen()) < 20
        for _ in range(2):
            prices = [machine.desk.price_for(machine.desk.get(one.signal_id)) for one in (fresh, old)]
            assert prices == [150.0, 151.0]
        assert machine.account.last_price("XOM", since=4) is None
        assert machine.account.last_price("MSFT", since=0) == 70.0
        machine.update_positions({"XOM": 150.5})
        assert machine.desk.price_for(machine.desk.get(old.signal_id)) == 150.5


def test_what_waits_and_what_was_carried_out_is_found_as_by_asking_all(tmp_path: Path) -> None:
    clock = FakeClock(START)

    def compare(machine: TradingAutomation) -> None:
        ideas = [*machine._book.ideas.values()]
        assert machine.desk.waiting == [idea for idea in ideas if idea.waits]
        for idea in ideas:
            done = idea.order is not None and idea.refusal is None
            found = machine.desk.executed_as(str(idea.client_order_id))
            assert found is (idea if done else None)
            if done:
                assert machine._book.of_order(str(idea.order)) is idea

    for act in acts(clock):
        with automation_in(tmp_path, clock, scale_out_enabled=True) as machine:
            compare(machine)
            act(machine)
            compare(machine)
    with automation_in(tmp_path, clock, scale_out_enabled=True) as machine:
        first, second = aapl(ticker="PG"), aapl(ticker="GE")
        for one in (first, second, first):
            machine.process_signal(one)
            compare(machine)
        machine.discard_signal(second.signal_id)
        compare(machine)
        assert [bracket.signal_id for bracket in machine.pending_signals()] == [first.signal_id]
