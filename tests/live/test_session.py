"""What a session promises beside its bytes: recovery, what it refuses, commands, trades in the journal."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from journal.database import Database
from journal.trade_journal import TradeJournal
from live import FakeClock, KillSwitch, ReplayFeed, Session, queue_command, verify_parity
from live.feeds.holds import Hold
from live.sessions.account import identity
from simulator import Bars, Command, RiskLimits, Run, Signals, backtest, load_bars
from simulator.engine import signals_of
from simulator.errors import ConfigError, DataError, EngineError, JournalError, SignalError, StrategyError
from strategies.registry import strategy_class
from tests.live.sessions import answer_of

SOURCE = "synthetic:4x160?seed=11"


def breakout(**parameters: Any) -> Any:
    return strategy_class("donchian-breakout")(**parameters)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars(SOURCE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def one_by_one(session: Session, bars: Bars) -> None:
    for row in range(len(bars)):
        session.push(bars[row : row + 1])


def test_strategies_trade_what_a_backtest_trades(bars: Bars, path: Path) -> None:
    chosen = [breakout(), strategy_class("sma-cross")(fast=5, slow=20)]
    run = Run(bars, signals_of(chosen[0], bars))
    run.advance()
    with Session(path, like=bars, strategies=chosen[0], name="one") as session:
        one_by_one(session, bars)
        assert identity(session.state) == identity(run.state)
    both = Run(bars, signals_of(chosen, bars))
    both.advance()
    assert len(both.books.log("trades")) > 5
    with Session(path, like=bars, strategies=chosen, name="two", group=40) as session:
        session.push(bars)
        closed = both.books.log("trades")
        with session.database.read() as connection:
            pnl = connection.exec_driver_sql(
                "SELECT pnl FROM trades WHERE account = 'two' ORDER BY id"
            ).scalars()
            assert list(pnl) == closed["pnl"].tolist()
    assert verify_parity(path, "one").ok
    assert verify_parity(path, "two").ok


def test_a_session_goes_on_where_it_was(bars: Bars, path: Path) -> None:
    with Session(path, like=bars, strategies=breakout()) as session:
        one_by_one(session, bars[:70])
    with Session(path, like=bars, strategies=breakout()) as session:
        assert (session.bars, session.last_ts) == (70, int(bars.ts[69]))
        session.push(bars[70:])
        answer = answer_of(session)
    with Session(path, like=bars, strategies=breakout(), name="whole") as session:
        session.push(bars)
        assert answer_of(session) == answer
    receipt = verify_parity(path)
    assert receipt.ok
    assert receipt.bars == len(bars)
    assert "equal in every byte" in str(receipt)


def test_what_the_account_was_worth_can_be_asked_for(bars: Bars, path: Path) -> None:
    expected = backtest(bars, breakout())
    for name, group in (("one", 1), ("two", 40)):
        with Session(path, like=bars, strategies=breakout(), name=name, group=group) as session:
            session.push(bars[:30])
            session.push(bars[29:])  # one bar twice
        with Database(path, read_only=True) as database, database.read() as connection:
            found = connection.exec_driver_sql(
                "SELECT ts, equity.equity, cash, gross, heat, equity.state FROM equity "
                "JOIN sessions USING (run_id) WHERE name = ? ORDER BY ts",
                (name,),
            ).all()
        assert [row[0] for row in found] == bars.ts.tolist()
        assert [row[1] for row in found] == expected.equity.tolist()
        for place, column in enumerate(("cash", "gross", "heat", "state"), start=2):
            assert [row[place] for row in found] == expected.exposure[column].tolist(), column


def test_bars_twice_late_or_revised_are_recorded_and_ignored(bars: Bars, path: Path) -> None:
    with Session(path, like=bars) as session:
        session.push(bars[:5])
        before = identity(session.state)
        assert [one.kind for one in session.push(bars[4:5]).refused] == ["duplicate"]
        panel = bars.panel[3:5].copy()
        panel[1] *= 1.01
        revised = bars[3:5].replaced(panel=panel)
        assert [one.kind for one in session.push(revised).refused] == ["duplicate", "revised"]
        between = bars[4:5].replaced(ts=bars.ts[4:5] - 1)
        assert [one.kind for one in session.push(between).refused] == ["late"]
        assert identity(session.state) == before
        outcome = session.push(bars[4:7])
        assert (outcome.bars, len(outcome.refused)) == (2, 1)
    receipt = verify_parity(path)
    assert receipt.ok
    assert receipt.notes == ("3 duplicate bars", "1 revised bar", "1 late bar")
    with Session(path, like=bars, name="clean") as session, Database(path, read_only=True) as database:
        session.push(bars[:7])
        with database.read() as connection:
            kinds = (
                connection.exec_driver_sql("SELECT kind FROM inputs WHERE kind <> 'bar' ORDER BY id")
                .scalars()
                .all()
            )
    assert kinds == ["duplicate", "duplicate", "revised", "late", "duplicate"]


def test_missing_sessions_are_told(path: Path) -> None:
    spx = load_bars("sample:spx")
    with Session(path, like=spx) as session:
        whole = session.push(spx[:300])
        assert whole.gaps == ()
        outcome = session.push(spx[303:304])
        assert [gap.sessions for gap in outcome.gaps] == [3]
        assert "3 sessions are missing" in str(outcome.gaps[0])


def test_commands_of_this_and_other_processes(bars: Bars, path: Path) -> None:
    with Session(path, like=bars, strategies=breakout()) as session:
        session.push(bars[:60])
        held = session.positions()
        assert held
        session.command("close", held[0].symbol)
        queue_command(path, "paper", "deposit", value=500.0)
        queue_command(path, "another", "kill")
        cash = float(session.state.account["deposits"][0])
    # what waited survived the restart
    with Session(path, like=bars, strategies=breakout()) as session:
        outcome = session.push(bars[60:61])
        assert float(session.state.account["deposits"][0]) == cash + 500.0
        closed = outcome.logs["trades"]
        assert held[0].symbol in [session.symbols[sym] for sym in closed["sym"]]
        assert int(session.state.account["killed"][0]) == 0
        session.push(bars[61:62], commands=[Command(bars.index[61].to_pydatetime(), "kill")])
        assert int(session.state.account["killed"][0]) == 1
        session.push(bars[62:])
    assert len(list((path.with_name(f"{path.name}.inbox") / "rejected").glob("*.json"))) == 1
    assert verify_parity(path).ok


def test_the_kill_switch_becomes_a_recorded_command(bars: Bars, path: Path, tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "switch", clock=FakeClock(datetime(2024, 1, 2, tzinfo=UTC)))
    with Session(path, like=bars, strategies=breakout(), kill_switch=switch) as session:
        session.push(bars[:40])
        assert int(session.state.account["killed"][0]) == 0
        switch.engage("test", "ada")
        session.push(bars[40:50])
        assert int(session.state.account["killed"][0]) == 1
    with Session(path, like=bars, strategies=breakout(), kill_switch=switch) as session:
        session.push(bars[50:60])
        assert int(session.state.account["killed"][0]) == 1
        switch.arm("ada", "test is over")
        session.push(bars[60:100])
        assert int(session.state.account["killed"][0]) == 0
        switch.reduce("test", "ada")
        session.push(bars[100:101])
        assert int(session.state.account["reducing"][0]) == 1
    assert verify_parity(path).ok


def test_what_a_hold_dropped_is_noted_signal_by_signal(bars: Bars, path: Path) -> None:
    first, second = bars.symbols[:2]
    at = int(bars.ts[0])
    both = Signals.from_arrays(bars, [0, 0, 0], [first, second, second], [1, -1, 0], stop_percent=5.0)
    with Session(path, like=bars) as session:
        outcome = session.push(bars[0:1], both, holds=[Hold(at, second, "STALE_QUOTE", "old")])
        assert outcome.signals == 2  # a close passes
        assert len(outcome.logs["verdicts"]) == 2
        [note] = session.notes()
    assert note.value["signals"] == [{"ts": at, "symbol": second, "side": -1, "strategy": ""}]
    assert note.value["entries"] == 1
    assert "STALE_QUOTE" in note.value["held"][0]


def test_closed_trades_are_in_the_journal_with_what_they_taught(bars: Bars, path: Path) -> None:
    run = Run(bars, signals_of(breakout(), bars))
    run.advance()
    result = run.result()
    closed = result.trades[result.trades["exit_reason"] != "end_of_data"]
    with Session(path, like=bars, strategies=breakout(), group=25) as session:
        session.push(bars)
    backtested = path.with_name("backtest.db")
    with TradeJournal(backtested, source="backtest") as journal:
        result.to_journal(journal, source="backtest")
    with TradeJournal(path, source="paper", read_only=True) as journal, journal.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM trades ORDER BY id").mappings().all()
        fills = connection.exec_driver_sql("SELECT count(*) FROM fills").scalar_one()
        figures = connection.exec_driver_sql("SELECT max(trades) FROM performance_metrics").scalar_one()
    with Database(backtested, read_only=True) as database, database.read() as connection:
        expected = connection.exec_driver_sql(
            "SELECT * FROM trades WHERE close_code <> 'end_of_data' ORDER BY id"
        ).mappings().all()  # fmt: skip
    assert len(rows) == len(expected) == len(closed) > 3
    own = {"id", "run_id", "source", "account"}
    for mine, theirs in zip(rows, expected, strict=True):
        assert {key: mine[key] for key in mine if key not in own} == {
            key: theirs[key] for key in theirs if key not in own
        }
        assert (mine["source"], mine["account"]) == ("paper", "paper")
    assert fills >= 2 * len(rows)
    assert figures == len(rows)


def test_a_changed_configuration_is_refused_or_recorded(bars: Bars, path: Path) -> None:
    with Session(path, like=bars, strategies=breakout()) as session:
        session.push(bars[:50])
    tighter = RiskLimits(max_open_positions=1, max_portfolio_heat_pct=1.0)
    with pytest.raises(EngineError, match=r"risk\.max_open_positions was 5 and is 1") as caught:
        Session(path, like=bars, strategies=breakout(), risk=tighter)
    assert caught.value.code == "LIVE_CHANGED"
    with Session(path, like=bars, strategies=breakout(), risk=tighter, accept_change="less risk") as session:
        session.push(bars[50:])
    with Session(path, like=bars, strategies=breakout(), risk=tighter) as session:
        assert session.bars == len(bars)
    receipt = verify_parity(path)
    assert receipt.ok, str(receipt)
    assert "less risk" in receipt.notes[0]


def test_another_engine_is_refused(bars: Bars, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Session(path, like=bars) as session:
        session.push(bars[:5])
    monkeypatch.setattr("live.sessions.opening.ENGINE_HASH", "f" * 64)
    with pytest.raises(EngineError, match="the engine was"):
        Session(path, like=bars)


def test_what_cannot_be_is_refused(bars: Bars, path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Session(path)
    assert caught.value.code == "LIVE_LIKE"
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"group": 0}, "LIVE_GROUP"),
        ({"history": 1}, "LIVE_HISTORY"),
    ]
    for wrong, code in refusals:
        with pytest.raises(ConfigError) as caught:
            Session(path, like=bars, **wrong)
        assert caught.value.code == code
    with pytest.raises(StrategyError) as refused:
        Session(path, like=bars, strategies=type("OnBar", (), {"on_bar": None})())
    assert refused.value.code == "LIVE_ON_BAR"
    session = Session(path, like=bars)
    with pytest.raises(DataError) as other:
        session.push(bars.select(bars.symbols[:2])[:1])
    assert other.value.code == "LIVE_FRAME"
    with pytest.raises(ConfigError) as fed:
        session.run()
    assert fed.value.code == "LIVE_FEED"
    session.close()
    with pytest.raises(EngineError) as closed:
        session.push(bars[:1])
    assert closed.value.code == "LIVE_STOPPED"


def test_a_strategy_that_fails_leaves_the_session_as_it_was(bars: Bars, path: Path) -> None:
    healthy = False

    def fragile(seen: Bars) -> Signals:
        if len(seen) == 4 and not healthy:
            raise ValueError("no idea")
        return Signals.empty(seen)

    with Session(path, like=bars, strategies=fragile) as session:
        session.push(bars[:3])
        with pytest.raises(ValueError, match="no idea"):
            session.push(bars[3:4], commands=[Command("2000-01-01", "deposit", value=1.0)])
        healthy = True
        assert session.push(bars[3:4]).bars == 1
        assert float(session.state.account["deposits"][0]) == 0.0  # it went with its bar
        wrong = Signals.from_arrays(bars[5:6], [0], [0], [1], qty=1.0)
        with pytest.raises(SignalError):
            session.push(bars[4:5], wrong)
        session.push(bars[4:9])
    assert verify_parity(path).bars == 9


def test_a_full_disk_stores_nothing_and_the_session_goes_on(bars: Bars, path: Path) -> None:
    with Session(path, like=bars, strategies=breakout(), name="whole") as session:
        session.push(bars[:80])
        expected = answer_of(session)
    with Session(path, like=bars, strategies=breakout()) as session:
        refused = row = room = 0
        codes = set()
        while row < 80:
            with session.database.write() as connection:
                pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + room}")
            try:
                session.push(bars[row : row + 1])
            except JournalError as error:
                codes.add(error.code)
                refused += 1
                room += 3
            else:
                row, room = row + 1, 0
            assert session.bars == row
        answer = answer_of(session)
    assert refused > 5
    assert codes == {"JOURNAL_FULL"}
    assert answer == expected
    assert verify_parity(path).ok


def test_memory_does_not_grow(path: Path) -> None:
    import gc
    import tracemalloc

    many = load_bars("synthetic:3x3600?seed=2")
    with Session(path, like=many, group=200, history=50) as session:
        session.push(many[:1_200])
        tracemalloc.start()
        try:
            session.push(many[1_200:1_800])
            gc.collect()  # what nobody holds is no growth
            early = tracemalloc.get_traced_memory()[0]
            session.push(many[1_800:])
            gc.collect()
            late = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert len(session.seen()) <= 500
        assert session.bars == 3_600
    assert late - early < 300_000  # of 1,800 bars, which hold more than three times that


def test_run_stops_after_the_bar(bars: Bars, path: Path) -> None:
    with Session(path, feed=ReplayFeed(bars), strategies=breakout()) as session:
        assert session.run(7) == 7
        assert session.run(tell=lambda it, _: it.stop() if it.bars == 20 else None) == 13
        assert session.stopped
        assert session.run() == len(bars) - 20
        assert session.run() == 0
    assert verify_parity(path).ok


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_after_the_bar(path: Path, number: signal.Signals) -> None:
    code = textwrap.dedent(
        f"""
        from live import ReplayFeed, Session
        with Session({str(path)!r}, feed=ReplayFeed({SOURCE!r}, speed=200.0)) as session:
            session.run(tell=lambda it, _: print(it.bars, flush=True))
            print("stopped", session.stopped, flush=True)
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}
    )
    assert child.stdout is not None
    while int(child.stdout.readline()) < 5:
        pass
    begin = time.monotonic()
    child.send_signal(number)
    rest = child.stdout.read().splitlines()
    assert child.wait(timeout=5) == 0
    assert time.monotonic() - begin < 5
    assert rest[-1] == "stopped True"
    receipt = verify_parity(path)
    assert receipt.ok
    assert receipt.bars == (int(rest[-2]) if len(rest) > 1 else 5)


def test_an_atr_is_that_of_the_bars_before(bars: Bars, path: Path) -> None:
    rows = np.arange(20, 150, 10)
    signals = Signals.from_arrays(bars, rows, rows % 4, np.ones(len(rows)), stop_atr=2.0, target_r=2.0)
    run = Run(bars, signals)
    run.advance()
    with Session(path, like=bars, strategies=[signals]) as session:
        one_by_one(session, bars)
        assert identity(session.state) == identity(run.state)
    with Session(path, like=bars, name="given") as session:
        for row in range(len(bars)):
            records = signals.records[signals.records["ts"] == bars.ts[row]]
            session.push(bars[row : row + 1], Signals(records, bars.symbols))
        assert identity(session.state) == identity(run.state)


def test_a_short_history_is_the_same_after_restarts_and_in_groups(bars: Bars, path: Path) -> None:
    answers = []
    for name, group, cuts in (("one", 1, ()), ("cut", 1, (33, 34, 90, 131)), ("grouped", 13, (57,))):
        edges = [0, *cuts, len(bars)]
        for first, last in itertools.pairwise(edges):
            with Session(
                path, like=bars, strategies=breakout(), history=60, group=group, name=name
            ) as session:
                session.push(bars[first:last])
                if last == len(bars):
                    answers.append(answer_of(session))
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]["trades"]) > 0


def test_announced_earnings_are_known_once(bars: Bars, path: Path) -> None:
    days = [str(bars.index[row].date()) for row in (10, 40, 60, 90, 120)]
    symbol, other = bars.symbols[:2]
    known = bars.with_earnings(
        {symbol: [(days[2], days[0]), (days[4], days[2])], other: [(days[3], days[1])]}
    )
    with Session(path, like=known, history=500) as session:
        one_by_one(session, known[:50])
    with Session(path, like=known, history=500) as session:
        one_by_one(session, known[50:])
        assert session.seen().actions.tobytes() == known.actions.tobytes()
    assert verify_parity(path).ok


def test_a_second_process_is_refused_and_told_who_has_the_journal(bars: Bars, path: Path) -> None:
    code = "import sys\nfrom live import Session\nSession(sys.argv[1])"
    with Session(path, like=bars) as session:
        session.push(bars[:3])
        child = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True, text=True, env=os.environ | {"PYTHONPATH": "."}, timeout=30, check=False,
        )  # fmt: skip
        assert child.returncode != 0
        assert "JOURNAL_LOCKED" in child.stderr
        assert str(os.getpid()) in child.stderr
        session.push(bars[3:5])
    assert verify_parity(path).bars == 5
