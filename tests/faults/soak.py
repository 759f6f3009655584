"""Thirty days in a minute: hourly bars on a clock that runs ahead, and every few bars something goes wrong.

What a person decides, kills, armings, closes, is fixed and happens in the undisturbed run too; what goes
wrong is drawn from the seed and happens in the disturbed one alone. The two must end with the same bytes, and
after every fault the invariants are looked at.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from journal.backup import backup, verify
from journal.database import Database
from journal.inbox import Inbox
from live import verify_parity
from live.clock import FakeClock
from live.kill_switch import KillSwitch
from live.session import Session
from live.sessions.commands import queue_command
from simulator.bars import Bars
from simulator.errors import JournalError
from simulator.kernel.state import to_bytes
from simulator.signals import Signals
from tests.faults.invariants import Evidence, broken
from tests.faults.sweep import BUSY, FULL, IOERR, Fault, counted_writes
from tests.faults.test_process import forked
from tests.live.sessions import answer_of

__all__ = ["Soak", "soak"]

HOURS: Final = 7
NAMES: Final = ("AAA", "BBB", "CCC")


@dataclass
class Soak:
    """What came of it: bars, faults by kind, and what did not hold."""

    bars: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def soak(folder: Path, seed: int, *, days: int = 30, often: float = 0.5) -> Soak:
    """Play so many days twice, undisturbed and disturbed, and compare.

    Parameters
    ----------
    often
        Share of bars at which something goes wrong.
    """
    bars = _bars(days, seed)
    quiet = _World(folder / "quiet.db", bars)
    for row in range(len(bars)):
        quiet.step(row)
    quiet.close()
    with quiet.opened() as session:
        expected = answer_of(session)
    done = Soak(bars=len(bars))
    drawn = random.Random(seed)  # noqa: S311 - of a test
    world = _World(folder / "soak.db", bars)
    faults = _Faults(world, drawn, done, expected)
    for row in range(len(bars)):
        if drawn.random() < often:
            faults.at(row)
        if world.session is None or world.session.bars <= row:
            world.step(row)
    world.close()
    done.problems += broken(Evidence(world.path, expected=expected, acknowledged=len(bars)))
    receipt = verify_parity(world.path)
    if not receipt.ok:
        done.problems.append(str(receipt))
    return done


class _World:
    """A session, its clock, its switch, and what a person does at which bar."""

    def __init__(self, path: Path, bars: Bars) -> None:
        self.path, self.bars = path, bars
        self.clock = FakeClock(datetime(2026, 1, 5, tzinfo=UTC))
        self.switch = KillSwitch(f"{path}.switch", clock=self.clock)
        self.signals = _signals(bars)
        self.session: Session | None = self.opened()

    def opened(self) -> Session:
        return Session(self.path, like=self.bars, risk=None, kill_switch=self.switch, clock=self.clock)

    def reopen(self) -> Session:
        self.close()
        self.session = self.opened()
        return self.session

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    def step(self, row: int) -> None:
        """What a person does, and the bar."""
        session = self.session or self.reopen()
        self.person(row)
        self.push(session, row)

    def person(self, row: int) -> None:
        """Every decision once, also where its bar is tried again."""
        at = self.bars.ts[row] // 10**9
        self.clock.set(max(self.clock(), datetime.fromtimestamp(int(at), UTC) + timedelta(minutes=1)))
        halted = row % 61 in (40, 41, 42)
        if halted and self.switch.state == "ACTIVE":
            self.switch.engage("a bad day", "ada")
        if not halted and self.switch.state != "ACTIVE":
            self.switch.arm("ada", "a better one")
        mark = self.path.with_name(f"{self.path.name}.closed-{row}")
        if row % 29 == 17 and not mark.exists():
            mark.touch()
            queue_command(self.path, "paper", "close", NAMES[row % 3])

    def push(self, session: Session, row: int) -> None:
        session.push(self.bars[row : row + 1], self.given(row))

    def given(self, row: int) -> Signals:
        records = self.signals.records
        mine = records[records["ts"] == self.bars.ts[row]]
        return Signals(
            mine, self.signals.symbols, tags=self.signals.tags, strategies=self.signals.strategies,
            sectors=self.signals.sectors,
        )  # fmt: skip


class _Faults:
    """What goes wrong at a bar; afterwards the bar is stepped, by the fault or by the caller."""

    def __init__(self, world: _World, drawn: random.Random, done: Soak, expected: dict[str, Any]) -> None:
        self._world, self._drawn, self._done, self._expected = world, drawn, done, expected
        self._kinds: dict[str, Callable[[int], None]] = {
            "disk full": lambda row: self._refused(row, FULL),
            "busy": lambda row: self._refused(row, BUSY),
            "bad sector": lambda row: self._refused(row, IOERR),
            "kill -9": self._killed,
            "restart": lambda row: self._restarted(),
            "duplicate": lambda row: self._ignored(row, "duplicate"),
            "revised": lambda row: self._ignored(row, "revised"),
            "late": lambda row: self._ignored(row, "late"),
            "clock jump": lambda row: self._jumped(),
            "second process": lambda row: self._second(),
            "reader killed": lambda row: self._reader(),
            "backup": lambda row: self._backup(),
            "junk in the inbox": lambda row: self._junk(),
        }

    def at(self, row: int) -> None:
        """Let something go wrong before a bar."""
        kind = self._drawn.choice(list(self._kinds))
        if row < 2 and kind in ("duplicate", "revised", "late"):
            return
        self._done.faults[kind] += 1
        try:
            self._kinds[kind](row)
        except AssertionError as error:
            self._done.problems.append(f"bar {row}, {kind}: {error}")
        stored = 0 if self._world.session is None else self._world.session.bars
        evidence = Evidence(self._world.path, expected=self._expected, acknowledged=stored, complete=False)
        self._done.problems += [f"bar {row}, {kind}: {problem}" for problem in broken(evidence)]

    def _session(self) -> Session:
        return self._world.session or self._world.reopen()

    def _refused(self, row: int, error: tuple[int, str]) -> None:
        world = self._world
        fault = Fault(self._drawn.randint(1, 16), error=error, once=self._drawn.random() < 0.3)
        with counted_writes(fault):
            try:
                session = world.reopen()
            except JournalError:
                fault.repair()
                session = world.reopen()
            world.person(row)
            before = to_bytes(session.state)
            with contextlib.suppress(JournalError):
                world.push(session, row)
            if fault.fired and session.bars == row:
                assert to_bytes(session.state) == before, "a refused bar changed the state"
            fault.repair()
            if session.bars == row:
                world.push(session, row)
            world.close()
        world.reopen()

    def _killed(self, row: int) -> None:
        world, at = self._world, self._drawn.randint(1, 40)
        after = self._drawn.random() < 0.5
        world.close()
        world.person(row)

        def run() -> None:
            with counted_writes(Fault(at, after=after)):
                session = world.reopen()
                for bar in range(row, min(row + 3, len(world.bars))):
                    if bar > row and (bar % 29 == 17 or bar % 61 in (40, 43)):
                        break  # somebody decides here, and would not in a process that dies
                    world.push(session, bar)
                world.close()

        child = forked(run)
        os.waitpid(child, 0)
        world.reopen()

    def _restarted(self) -> None:
        before = to_bytes(self._session().state)
        assert to_bytes(self._world.reopen().state) == before, "a restart changed the state"

    def _ignored(self, row: int, kind: str) -> None:
        session = self._session()
        before = to_bytes(session.state)
        bars = self._world.bars
        if kind == "late":
            one = bars[row - 1 : row].replaced(ts=bars.ts[row - 1 : row] - 1_000_000_000)
        else:
            one = bars[row - 1 : row]
        if kind == "revised":
            panel = np.array(one.panel)
            panel[0, 0, 3] *= 1.0001
            panel[0, 0, 1] = max(panel[0, 0, 1], panel[0, 0, 3])
            one = one.replaced(panel=panel)
        outcome = session.push(one)
        assert [note.kind for note in outcome.refused] == [kind], f"{outcome.refused}"
        assert to_bytes(session.state) == before, f"a {kind} bar changed the state"

    def _jumped(self) -> None:
        hours = self._drawn.choice([-1, 1])
        self._world.clock.advance(timedelta(hours=hours))

    def _second(self) -> None:
        self._session()

        def run() -> None:
            try:
                Session(self._world.path, like=self._world.bars, name="other")
            except JournalError as error:
                os._exit(0 if error.code == "JOURNAL_LOCKED" else 2)
            os._exit(3)

        status = os.waitstatus_to_exitcode(os.waitpid(forked(run), 0)[1])
        assert status == 0, f"a second process was not refused ({status})"

    def _reader(self) -> None:
        def run() -> None:
            with Database(self._world.path, read_only=True) as database, database.read() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM inputs").scalar_one()
                time.sleep(60)

        child = forked(run)
        time.sleep(0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def _backup(self) -> None:
        session = self._session()
        made = backup(session.database)
        assert verify(made.path).rows["steps"] == session.bars
        made.path.unlink()

    def _junk(self) -> None:
        folder = Inbox(self._world.path).folder
        folder.mkdir(exist_ok=True)
        number = self._drawn.randrange(10**6)
        (folder / f"{number:020d}-000000-{number:016x}.json").write_bytes(b'{"format": 1')


def _bars(days: int, seed: int) -> Bars:
    drawn = np.random.default_rng(seed)
    sessions = pd.bdate_range("2026-01-05", periods=days, tz="America/New_York")
    index = pd.DatetimeIndex(
        [day + pd.Timedelta(hours=10 + hour) for day in sessions for hour in range(HOURS - 1)]
    )
    tables = {}
    for number, name in enumerate(NAMES):
        close = (50.0 + 40.0 * number) * np.exp(np.cumsum(drawn.normal(0.0, 0.006, len(index))))
        begin = np.concatenate([close[:1], close[:-1]]) * np.exp(drawn.normal(0.0, 0.001, len(index)))
        high = np.maximum(begin, close) * (1.0 + np.abs(drawn.normal(0.0, 0.002, len(index))))
        low = np.minimum(begin, close) * (1.0 - np.abs(drawn.normal(0.0, 0.002, len(index))))
        tables[name] = pd.DataFrame(
            {"open": begin, "high": high, "low": low, "close": close, "volume": 1e6}, index=index
        )
    return Bars.from_frames(tables, calendar="24/7")


def _signals(bars: Bars) -> Signals:
    rows = np.arange(3, len(bars) - 1, 5)
    names = [NAMES[k % 3] for k in range(len(rows))]
    sides = [(1, -1, 0, 1)[k % 4] for k in range(len(rows))]
    return Signals.from_arrays(
        bars, rows, names, sides, stop_percent=1.5, target_percent=2.0, qty=10.0, max_bars=25
    )
