"""The ledger of sessions: vetoes as recorded, the same as those of a backtest, across restarts and growth."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import TradeJournal
from journal.counterfactual.rows import Entry
from live.automation.config import AutomationMode, ExecutionMode
from live.clock import FakeClock
from live.counterfactuals import SessionLedger, recorded_session
from live.session import Session
from simulator import RiskLimits, Signals, backtest, load_bars
from simulator.errors import UnknownNameError
from simulator.results.counterfactuals import Case
from tests.live.automations import START, aapl, automation_in
from tests.live.sessions import few, opened, push_all, scratch
from tests.simulator.kernel.generate import Configuration, configurations


def plain(case: Case) -> tuple[Any, ...]:
    """A case as it is stored, NaN and infinite as None; without names, which are the session's own."""
    values = [getattr(case, name) for name in Case.__slots__ if name not in ("strategy", "tag")]
    return tuple(None if value != value or value in (math.inf, -math.inf) else value for value in values)


def vetoes(path: Path, name: str = "paper", **options: Any) -> list[Entry]:
    with TradeJournal(path, source="paper") as journal:
        ledger = SessionLedger(journal)
        ledger.update(name, **options)
        return ledger.entries(origin="rule")


@few(8)
@given(configurations(), st.integers(0, 2**32 - 1))
def test_a_sessions_vetoes_are_those_of_the_backtest(c: Configuration, seed: int) -> None:
    random = np.random.default_rng(seed)
    with scratch() as folder:
        path = Path(folder) / "journal.db"
        cut = int(random.integers(1, len(c.bars)))
        for first, last in ((0, cut), (cut, len(c.bars))):
            session = opened(path, c, group=9)
            push_all(session, c, [first, last])
            session.close()
        found = vetoes(path)
    expected = backtest(c.bars, c.signals, commands=c.commands, **c.rules).counterfactuals().cases
    assert [plain(entry.case) for entry in found] == [plain(case) for case in expected]


def market() -> tuple[Any, Signals]:
    bars = load_bars("synthetic:4x260?seed=3")
    rows = np.arange(20, 240, 2)
    signals = Signals.from_arrays(
        bars, rows, rows % 4, 1, stop_percent=5.0, target_r=2.5, max_bars=12, tag="dip", strategy="drift"
    )
    return bars, signals


def test_open_cases_are_brought_forward_and_nothing_is_stored_twice(tmp_path: Path) -> None:
    bars, signals = market()
    path = tmp_path / "j.db"
    session = Session(path, like=bars, strategies=signals, group=50)
    session.push(bars[:120])
    session.close()
    before = vetoes(path)
    waiting = {entry.key for entry in before if entry.case.state in ("open", "waiting")}
    assert waiting
    session = Session(path, like=bars, strategies=signals, group=50)
    session.push(bars[120:])
    session.close()
    after = {entry.key: entry.case for entry in vetoes(path)}
    assert all(plain(after[one.key]) == plain(one.case) for one in before if one.key not in waiting)
    assert all(after[key].state == "closed" for key in waiting)
    assert len(after) > len(before)
    with TradeJournal(path, source="paper") as journal:
        stored = SessionLedger(journal).update("paper").stored
        assert stored is not None
        assert (stored.new, stored.forward) == (0, 0)
        cases = SessionLedger(journal).entries()
    assert {entry.case.strategy for entry in cases} == {"drift"}
    assert {entry.case.tag for entry in cases} == {"dip"}
    assert {entry.session for entry in cases} == {"paper"}
    assert {entry.source for entry in cases} == {"paper"}


def test_rules_are_those_in_force_at_the_bar(tmp_path: Path) -> None:
    bars, signals = market()
    path = tmp_path / "j.db"
    for part, days in ((bars[:120], 5), (bars[120:], 30)):
        session = Session(
            path, like=bars, strategies=signals, group=50, risk=RiskLimits(max_days_in_trade=days),
            accept_change="longer",
        )  # fmt: skip
        session.push(part)
        session.close()
    recorded = [entry.case for entry in vetoes(path)]
    short, long = (
        backtest(bars, signals, risk=RiskLimits(max_days_in_trade=days)).counterfactuals().cases
        for days in (5, 30)
    )
    early = [plain(case) for case in short if case.ts < bars.ts[120]]
    assert [plain(case) for case in recorded[: len(early)]] == early
    assert {case.exit_reason for case in recorded[: len(early)]} == {"time", "stop"}
    # of the later ones sizes are another account's; when they end is not
    ends = {(case.ts, case.symbol): case.exit_ts for case in long}
    late = [case for case in recorded[len(early) :] if (case.ts, case.symbol) in ends]
    assert len(late) > 10
    assert all(case.exit_ts == ends[case.ts, case.symbol] for case in late)
    assert any(case.exit_ts - case.entry_ts > 5 * 86_400_000_000_000 for case in late)


def test_a_session_that_grew(tmp_path: Path) -> None:
    bars, signals = market()
    narrow = bars.select(bars.symbols[:2])
    path = tmp_path / "j.db"
    session = Session(path, like=narrow, group=50)
    records = signals.records
    few_symbols = Signals(
        records[records["sym"] < 2], bars.symbols, tags=signals.tags, strategies=signals.strategies
    )
    session.push(narrow[:100], at(few_symbols, narrow[:100]))
    session.grow(bars)
    session.push(bars[100:], at(signals, bars[100:]))
    session.close()
    with TradeJournal(path, source="paper") as journal:
        recorded = recorded_session(journal.database, "paper")
    assert recorded.bars.symbols == bars.symbols
    assert np.isnan(recorded.bars.close[:100, 2:]).all()
    both = Signals.concat([at(few_symbols, narrow[:100]), at(signals, bars[100:])])
    expected = backtest(recorded.bars, both).counterfactuals().cases
    assert [plain(entry.case) for entry in vetoes(path)] == [plain(case) for case in expected]


def at(signals: Signals, bars: Any) -> Signals:
    return Signals(
        signals.records[np.isin(signals.records["ts"], bars.ts)], signals.symbols, tags=signals.tags,
        strategies=signals.strategies, sectors=signals.sectors,
    )  # fmt: skip


def test_a_session_that_is_not_there(tmp_path: Path) -> None:
    bars, _ = market()
    path = tmp_path / "j.db"
    Session(path, like=bars).close()
    with TradeJournal(path, source="paper") as journal:
        with pytest.raises(UnknownNameError) as caught:
            SessionLedger(journal).update("papr")
        assert caught.value.code == "LIVE_SESSION"
        assert SessionLedger(journal).update("paper").entries == []


def test_what_a_person_rejected_in_an_automation(tmp_path: Path) -> None:
    clock = FakeClock(START)
    automation = automation_in(
        tmp_path, clock, automation_mode=AutomationMode.SEMI_AUTO, execution_mode=ExecutionMode.MANUAL_REVIEW
    )
    wanted, unwanted = aapl(), aapl(ticker="MSFT", sector="Software")
    refused = aapl(ticker="XOM", target_price=151.0, sector="Energy")  # reward to risk below 2
    for idea in (wanted, unwanted):
        assert automation.process_signal(idea) is not None
        assert automation.execute_signal(idea.signal_id) is not None
    assert automation.process_signal(refused) is None
    manager = automation.broker_manager
    for request in manager.get_pending_requests():
        if request.order.symbol == "MSFT":
            manager.reject_request(request.request_id, "no")
        else:
            manager.approve_request(request.request_id, "ada")
    for price in (149.0, 147.0, 144.0, 143.0):
        clock.advance(timedelta(hours=1))
        automation.update_positions({"AAPL": price, "MSFT": price, "XOM": price})
    name = automation.session.name
    automation.close()
    with TradeJournal(tmp_path / "trades.db", source="paper") as journal:
        ledger = SessionLedger(journal)
        found = ledger.update(name)
        names = {entry.case.symbol: (entry.origin, entry.case.rule) for entry in ledger.entries()}
    assert names.get("MSFT") == ("decision", "review rejected"), (found.notes, names)
    assert names["XOM"] == ("rule", "min_reward_risk")
    assert "AAPL" not in names
