"""Signals, second processes, readers that die, halts over restarts, bars that cannot be."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from journal.database import Database
from live import ReplayFeed, Session, verify_parity
from live.desk import ask
from live.kill_switch import KillSwitch
from simulator import Signals, load_bars
from simulator.errors import DataError, JournalError, TwinstepError
from simulator.kernel.state import to_bytes
from tests.faults.invariants import Evidence, broken
from tests.live.sessions import answer_of, scratch

SEED: Final = 20_261_121
SOURCE: Final = "synthetic:3x200?seed=3"
BARS: Final = load_bars(SOURCE)
FIVE_SECONDS: Final = 5.0


def signals() -> Signals:
    rows = np.arange(5, 190, 7)
    names = [BARS.symbols[k % 3] for k in range(len(rows))]
    sides = [1 if k % 2 else -1 for k in range(len(rows))]
    return Signals.from_arrays(
        BARS, rows, names, sides, stop_percent=3.0, target_percent=4.0, qty=25.0, max_bars=20
    )


def session_of(path: Path, **more: Any) -> Session:
    feed = ReplayFeed(BARS, speed=more.pop("speed", None))
    return Session(path, feed=feed, strategies=signals(), risk=None, **more)


def until_held(session: Session) -> None:
    """Run until something is open."""
    while not session.positions():
        assert session.run(1)


def forked(do: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        status = 1
        try:
            do()
            status = 0
        finally:
            os._exit(status)
    return child


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    with scratch() as folder, session_of(Path(folder) / "whole.db") as session:
        session.run(signals=False)
        return answer_of(session)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "ctrl-c"])
def test_a_signal_at_any_moment_ends_a_run_within_five_seconds_between_two_bars(
    expected: dict[str, Any], number: signal.Signals
) -> None:
    drawn = random.Random(f"{SEED}/{number}")  # noqa: S311 - of a test
    with scratch() as folder:
        path, ended_by_itself = Path(folder) / "journal.db", 0
        for attempt in range(6):
            reader, writer = os.pipe()

            def run(writer: int = writer) -> None:
                with session_of(path, speed=400.0) as session:
                    session.run(tell=lambda *_: os.write(writer, b"."))

            child = forked(run)
            os.close(writer)
            if attempt % 3:  # else while it starts
                os.read(reader, 1)
            time.sleep(drawn.uniform(0.0, 0.03))
            began = time.monotonic()
            os.kill(child, number)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os.close(reader)
            assert time.monotonic() - began < FIVE_SECONDS
            # before the run heeds signals they end the process at once; a KeyboardInterrupt there is an error
            assert status in (0, -number, 1)
            ended_by_itself += status == 0
            if path.exists():
                with session_of(path) as session:
                    bars = session.bars
                assert broken(Evidence(path, expected=expected, acknowledged=bars, complete=False)) == []
        assert ended_by_itself >= 4
        with session_of(path) as session:
            session.run()
        assert broken(Evidence(path, expected=expected)) == []


def test_after_a_signal_stops_are_still_in_the_account_and_are_listed(tmp_path: Path) -> None:
    from twinstep.account_lines import stored_lines

    path = tmp_path / "journal.db"
    with session_of(path) as session:
        until_held(session)
        open_stops = {held.symbol: held.stop for held in session.positions()}
    assert open_stops
    account = stored_lines(path, "paper")
    assert account is not None
    assert {line.symbol: line.stop for line in account.positions} == open_stops


def test_a_second_process_is_refused_within_a_second_and_the_first_goes_on(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    path = tmp_path / "journal.db"
    with session_of(path) as session:
        session.run(20)
        code = (
            "import sys, time\nfrom live import Session, ReplayFeed\n"
            "from simulator.errors import JournalError\n"
            "feed = ReplayFeed(sys.argv[2])\nbegan = time.monotonic()\n"
            "try:\n    Session(sys.argv[1], feed=feed, name='other')\n"
            "except JournalError as error:\n    print(error.code, time.monotonic() - began, error)\n"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, str(path), SOURCE], capture_output=True, text=True, check=True,
            cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
        session.run(20)
    word, took, said = second.stdout.split(" ", 2)
    assert word == "JOURNAL_LOCKED"
    assert float(took) < 1.0
    assert f"process {os.getpid()}" in said
    assert broken(Evidence(path, expected=expected, acknowledged=40, complete=False)) == []


def test_a_lock_of_another_program_is_waited_for_then_named_and_the_bar_comes_again(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    path = tmp_path / "journal.db"
    with Database(path, busy_seconds=0.4) as database:
        session = Session(database, feed=ReplayFeed(BARS), strategies=signals(), risk=None)
        session.run(30)
        before = to_bytes(session.state)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            with pytest.raises(JournalError) as error:
                session.run()
            assert 0.3 < time.monotonic() - began < 3.0
            assert error.value.code == "JOURNAL_BUSY"
            other.execute("ROLLBACK")
        assert (session.bars, to_bytes(session.state)) == (30, before)
        session.run()
    assert broken(Evidence(path, expected=expected)) == []


def test_a_reader_killed_inside_its_read_leaves_the_writer_alone(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    path = tmp_path / "journal.db"
    with session_of(path) as session:
        session.run(10)

        def look() -> None:
            with Database(path, read_only=True) as database, database.read() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM steps").scalar_one()
                (tmp_path / "reading").touch()
                time.sleep(60)

        child = forked(look)
        until = time.monotonic() + 10
        while not (tmp_path / "reading").exists() and time.monotonic() < until:
            time.sleep(0.005)
        session.run(60)
        while_read = path.with_name("journal.db-wal").stat().st_size
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        session.run()
    log = path.with_name("journal.db-wal")
    assert while_read > 0
    assert not log.exists() or log.stat().st_size <= max(while_read, 1 << 22)
    assert broken(Evidence(path, expected=expected)) == []


def test_a_halt_outlives_restarts_and_only_a_person_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    switch = KillSwitch(tmp_path / "switch")
    feed = ReplayFeed(BARS)
    with Session(path, feed=feed, strategies=signals(), risk=None, kill_switch=switch) as session:
        session.run(40)
        switch.engage("quotes are frozen", "ada")
        session.run(1)
        peak = float(session.state.account["peak_equity"][0])
        held = len(session.positions())
    for _ in range(3):
        again = KillSwitch(tmp_path / "switch")
        assert (again.state, again.status["engaged_by"], again.status["reason"]) == (
            "HALTED", "ada", "quotes are frozen",
        )  # fmt: skip
        with Session(path, feed=feed, strategies=signals(), risk=None, kill_switch=again) as session:
            session.run(15)
            assert int(session.state.account["killed"][0]) == 1
            assert len(session.positions()) <= held
            assert int(session.state.account["n_orders"][0]) == 0
    again.arm("ada", "the feed is back")
    with Session(path, feed=feed, strategies=signals(), risk=None, kill_switch=again) as session:
        session.run(1)
        assert int(session.state.account["killed"][0]) == 0
        assert float(session.state.account["peak_equity"][0]) == max(peak, session.equity)
    assert verify_parity(path).ok


def test_everything_is_closed_while_halted_also_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    switch = KillSwitch(tmp_path / "switch")
    with Session(path, feed=ReplayFeed(BARS), strategies=signals(), risk=None, kill_switch=switch) as session:
        until_held(session)
        switch.engage("crash", "ada")
        session.run(1)
    assert ask(path, "paper", "close_all").where == "session"
    with Session(path, feed=ReplayFeed(BARS), strategies=signals(), risk=None, kill_switch=switch) as session:
        session.run(1)
        assert session.positions() == ()


# Bars that cannot be


def bad(row: int, change: Callable[[np.ndarray[Any, Any]], None]) -> Any:
    bars = BARS[row : row + 1]
    panel = np.array(bars.panel)
    change(panel[0, 0])
    return bars.replaced(panel=panel)


def put(place: int, value: float) -> Callable[[np.ndarray[Any, Any]], None]:
    def change(row: np.ndarray[Any, Any]) -> None:
        row[place] = value

    return change


def holding(path: Path) -> Session:
    """A session that holds the first symbol, with a stop that its next bars do not reach."""
    signal = Signals.from_arrays(BARS, [20], [BARS.symbols[0]], 1, stop_percent=60.0, qty=25.0)
    session = Session(path, feed=ReplayFeed(BARS), strategies=signal, risk=None)
    session.run(30)
    assert [held.symbol for held in session.positions()] == [BARS.symbols[0]]
    return session


def state_after(change: Callable[[np.ndarray[Any, Any]], None]) -> tuple[int, bytes]:
    """Step a bar that cannot be; the step's code, and the state after it."""
    with scratch() as folder:
        path = Path(folder) / "journal.db"
        with holding(path) as session:
            outcome = session.push(bad(30, change))
            assert not len(outcome.logs["fills"])
            session.state.symbols["bad_bars"] = 0  # the one thing that tells a bad bar from a missing one
            code, state = outcome.code, to_bytes(session.state)
        assert verify_parity(path).ok
    return code, hashlib.sha256(state).digest()


@pytest.fixture(scope="module")
def missing() -> tuple[int, bytes]:
    """The same after a bar that is not there."""
    return state_after(lambda row: row.fill(np.nan))


@pytest.mark.parametrize("place", [0, 1, 2, 3], ids=["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_price_that_cannot_be_is_missing_and_moves_no_order(
    missing: tuple[int, bytes], place: int, value: float
) -> None:
    assert state_after(put(place, value)) == (2, missing[1])
    assert missing[0] == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_volume_that_cannot_be_leaves_the_account_finite(value: float) -> None:
    with scratch() as folder, holding(Path(folder) / "journal.db") as session:
        session.push(bad(30, put(4, value)))
        session.run()
        for name in ("equity", "cash", "gross"):
            assert np.isfinite(session.state.account[name][0])


def test_a_high_below_its_low_is_missing_too(missing: tuple[int, bytes]) -> None:
    def crossed(row: np.ndarray[Any, Any]) -> None:
        row[1], row[2] = row[2], row[1]

    assert state_after(crossed) == (2, missing[1])


def test_what_is_no_bar_or_no_signal_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with session_of(tmp_path / "journal.db") as session:
        session.run(30)
        before = to_bytes(session.state)
        strange: Any = BARS[31:32].close
        with pytest.raises((DataError, TypeError, AttributeError)):
            session.push(strange)
        with pytest.raises(TwinstepError):
            session.push(BARS[31:32], signals=Signals.from_arrays(BARS[31:32], [0.5], [0], [1]))
        with pytest.raises(TwinstepError):
            session.push(load_bars("synthetic:2x60?seed=1")[40:41])
        assert (to_bytes(session.state), session.bars) == (before, 30)
        session.run()
    assert verify_parity(tmp_path / "journal.db").ok
