"""Sessions from generated configurations: the same inputs, pushed live, and answers to compare."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings

from live.session import Session
from live.sessions.account import identity
from live.sessions.recording import unpack
from live.sessions.store import SessionStore
from simulator.commands import Command
from simulator.engine import Run, prepare
from simulator.kernel.state import LOG_NAMES
from simulator.signals import Signals
from tests.simulator.kernel.generate import Configuration

__all__ = ["answer_of", "backtest_of", "few", "opened", "push_all", "scratch", "signals_at", "time_of"]


PHASES = (Phase.explicit, Phase.generate)
"""Examples are not made smaller: each plays whole sessions, and their seed is printed with them."""


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is one: what is tested is bytes, not the disk."""
    memory = Path("/dev/shm")  # noqa: S108
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


def few(count: int) -> settings:
    """As many examples, the same ones every time."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=PHASES,
    )


def opened(path: Path, c: Configuration, **more: Any) -> Session:
    """Open the session of a configuration, new or once more."""
    return Session(path, like=c.bars, **{**c.rules, **more})


def signals_at(c: Configuration, first: int, last: int) -> Signals:
    """The signals of some rows, as a person would hand them over: by time, without what was worked out."""
    records = c.signals.records
    mine = np.isin(records["ts"], c.bars.ts[first:last])
    return Signals(
        records[mine],
        c.signals.symbols,
        tags=c.signals.tags,
        strategies=c.signals.strategies,
        sectors=c.signals.sectors,
        packages=c.signals.packages,
        legs=c.signals.legs,
    )


def time_of(command: Command) -> int:
    """Time of a command, UTC nanoseconds."""
    time: Any = command.time
    return int(time.value)


def push_all(session: Session, c: Configuration, edges: Sequence[int]) -> None:
    """Push the rows between the edges, each with its signals and the commands of its time."""
    for first, last in itertools.pairwise(edges):
        before = -(2**62) if first == 0 else int(c.bars.ts[first - 1])
        commands = [
            command for command in c.commands if before < time_of(command) <= int(c.bars.ts[last - 1])
        ]
        session.push(c.bars[first:last], signals_at(c, first, last), commands)


def answer_of(session: Session) -> dict[str, Any]:
    """Everything a session has stored of its steps: states by bar, and its logs, names for codes."""
    store = SessionStore(session.database, session.name)
    with session.database.read() as connection:
        steps = list(store.steps(connection, store.get(connection).id))
    logs: dict[str, list[bytes]] = {name: [] for name in LOG_NAMES}
    for step in steps:
        for name, rows in unpack(step.logs)[0].items():
            logs[name].append(rows.tobytes())
    return {
        **{name: b"".join(parts) for name, parts in logs.items()},
        "states": [step.state for step in steps],
        "codes": [step.code for step in steps],
    }


def backtest_of(c: Configuration) -> dict[str, Any]:
    """The same of one run over all bars; codes of tags and strategies in the order of first use."""
    records = prepare(c.signals, c.bars, c.risk).copy()
    for name in ("tag", "strategy"):
        places: dict[int, int] = {0: 0}
        records[name] = [places.setdefault(int(code), len(places)) for code in records[name]]
    signals = Signals(
        records, c.signals.symbols, sectors=c.bars.sector_names, packages=c.signals.packages,
        legs=c.signals.legs,
    )  # fmt: skip
    signals.keep_ready(c.bars, records, -1)
    run = Run(c.bars, signals, commands=c.commands, **c.rules)
    logs: dict[str, list[bytes]] = {name: [] for name in LOG_NAMES}
    states, codes = [], []
    for _ in range(len(c.bars)):
        codes.append(run.step())
        states.append(identity(run.state))
        for name, rows in run.books.take().items():
            logs[name].append(rows.tobytes())
    return {**{name: b"".join(parts) for name, parts in logs.items()}, "states": states, "codes": codes}
