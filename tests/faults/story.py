"""A short session in which everything happens once, and how it is played under faults.

Three symbols, bought and sold short, with stops, targets and a trail; a close by a person, a command of
another process, a kill and an arming by the switch, a bar that comes twice and one that is revised. The
signals are given, not asked for, so that a bar takes a few milliseconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from journal.inbox import Inbox
from live.kill_switch import KillSwitch
from live.session import Session
from live.sessions.commands import queue_command
from simulator.bars import Bars
from simulator.errors import JournalError
from simulator.signals import Signals
from tests.faults.sweep import SAID, Fault
from tests.live.sessions import answer_of

__all__ = ["BARS", "FIRST", "LAST", "Played", "fault_free", "play", "played_until_killed"]


def _bars() -> Bars:
    from simulator import load_bars

    return load_bars("synthetic:3x60?seed=7")


BARS: Final = _bars()
FIRST: Final = 20
LAST: Final = 32


def _signals() -> Signals:
    a, b, c = BARS.symbols
    return Signals.concat(
        [
            Signals.from_arrays(BARS, [21], [a], 1, stop_percent=4.0, target_percent=6.0, qty=50.0),
            Signals.from_arrays(BARS, [22], [b], -1, stop_percent=4.0, target_percent=6.0, qty=20.0),
            Signals.from_arrays(BARS, [23, 28], [c, c], 1, stop_percent=2.0, trail_percent=2.0, qty=30.0),
            Signals.from_arrays(BARS, [25, 30], [a, b], 0),
        ]
    )


SIGNALS: Final = _signals()


@dataclass
class Played:
    """What a run told: bars acknowledged, and the exposure around every fault that was noticed."""

    acknowledged: int
    refusals: list[str]
    exposure: list[tuple[float, float]]


def opened(path: Path, switch: KillSwitch | None) -> Session:
    return Session(path, like=BARS, risk=None, kill_switch=switch, cash=100_000.0)


def play(path: Path, fault: Fault, *, tell: bool = False) -> Played:
    """Play the story from wherever it stands to its end; a write that is refused is repeated after repair.

    Every refusal must leave the session as it was: bars, state, what waits.
    """
    played = Played(0, [], [])
    switch = KillSwitch(f"{path}.switch")
    session: Session | None = None
    try:
        while session is None:
            session = _tried(lambda: opened(path, switch), fault, played, None)
        while session.bars < LAST - FIRST:
            here: Session = session
            row = FIRST + here.bars
            _before(row, path, switch)
            _tried(lambda here=here, row=row: here.push(*_given(row)), fault, played, here)
            played.acknowledged = max(played.acknowledged, here.bars)
            if tell:
                os.write(SAID, here.bars.to_bytes(4, "little"))
    finally:
        if session is not None:
            session.close()
    return played


def _before(row: int, path: Path, switch: KillSwitch) -> None:
    """What others do before a bar; each thing once, however often the bar is tried, also after a restart."""
    if row == 26 and not _done(path, "queued"):
        queue_command(path, "paper", "close", BARS.symbols[1])
    wanted = "HALTED" if row in (27, 28) else "ACTIVE"
    if switch.state != wanted:
        if wanted == "HALTED":
            switch.engage("a test", "ada")
        else:
            switch.arm("ada", "the test goes on")


def _done(path: Path, name: str) -> bool:
    mark = path.with_name(f"{path.name}.{name}")
    if mark.exists() or Inbox(path).waiting():
        return True
    mark.touch()
    return False


def _given(row: int) -> tuple[Bars, Signals]:
    """A bar with its signals; at some rows with bars that are to be recorded and ignored."""
    bars = BARS[row : row + 1]
    records = SIGNALS.records
    mine = Signals(
        records[np.isin(records["ts"], bars.ts)], SIGNALS.symbols, tags=SIGNALS.tags,
        strategies=SIGNALS.strategies, sectors=SIGNALS.sectors,
    )  # fmt: skip
    return bars, mine


def _tried(do: Any, fault: Fault, played: Played, session: Session | None) -> Any:
    """Do something; where the journal refuses it, nothing may have changed, and there is room from now on."""
    before = None if session is None else (session.bars, _bytes(session))
    gross = 0.0 if session is None else float(session.state.account["gross"][0])
    try:
        return do()
    except JournalError as error:
        if not fault.fired:
            raise
        played.refusals.append(error.code)
        if session is not None:
            after = float(session.state.account["gross"][0])
            played.exposure.append((gross, after))
            if before != (session.bars, _bytes(session)):
                raise AssertionError(f"a refused bar changed the session: {error}") from error
        fault.repair()
        return None


def _bytes(session: Session) -> bytes:
    from simulator.kernel.state import to_bytes

    return to_bytes(session.state)


def played_until_killed(path: Path, fault: Fault) -> None:
    """Play, saying every acknowledged bar on a descriptor that outlives the process."""
    play(path, fault, tell=True)


def fault_free(path: Path) -> dict[str, Any]:
    """The answer of the story without a fault."""
    play(path, Fault(0))
    with opened(path, None) as session:
        return answer_of(session)
