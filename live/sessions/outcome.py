"""What came of a push, and how the logs of several bars are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from live.feeds.holds import Hold
from live.sessions.intake import Gap, Refused
from simulator.kernel.state import LOG_NAMES, State, allocate_logs, joined

__all__ = ["Logs", "Rehearsal", "StepOutcome", "joined_logs", "merged"]

Logs = dict[str, npt.NDArray[np.void]]


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What came of one push; all of it is on the disk.

    Attributes
    ----------
    bars
        Bars stepped.
    ts
        Label of the last one, UTC nanoseconds; 0 before any.
    code
        What the step answered last: 0, or 2 where a symbol's bar broke a rule and counted as missing.
    state
        SHA-256 of the state afterwards.
    logs
        Fills, trades, verdicts, events and equity, as the kernel's records.
    signals
        Signals that were judged.
    refused
        Bars that came twice, late or revised.
    gaps
        Where bars are missing.
    trades
        Numbers of the trades that closed, in the journal.
    holds
        Why no entry was let in at bars that were stepped.
    """

    bars: int
    ts: int
    code: int
    state: str
    logs: Logs
    signals: int = 0
    refused: tuple[Refused, ...] = ()
    gaps: tuple[Gap, ...] = ()
    trades: tuple[int, ...] = ()
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a push would come to; nothing of it has happened.

    Attributes
    ----------
    logs
        Fills, trades, verdicts, events and equity, as the kernel's records.
    state
        The account's state afterwards, a copy.
    symbols
        Names by column, those that would join included.
    bars
        Bars that would be stepped; those that came twice or late would not.
    """

    logs: Logs
    state: State
    symbols: tuple[str, ...]
    bars: int


def merged(outcomes: Sequence[StepOutcome]) -> StepOutcome:
    """Return several outcomes, in their order, as one."""
    last = outcomes[-1]
    return StepOutcome(
        bars=sum(one.bars for one in outcomes),
        ts=last.ts,
        code=max(one.code for one in outcomes),
        state=last.state,
        logs=joined_logs([one.logs for one in outcomes]),
        signals=sum(one.signals for one in outcomes),
        refused=tuple(refused for one in outcomes for refused in one.refused),
        gaps=tuple(gap for one in outcomes for gap in one.gaps),
        trades=tuple(number for one in outcomes for number in one.trades),
        holds=tuple(hold for one in outcomes for hold in one.holds),
    )


def joined_logs(logged: Sequence[Logs]) -> Logs:
    """Return the logs of several bars as one set."""
    if len(logged) == 1:
        return logged[0]
    return {
        name: joined(parts) if (parts := [logs[name] for logs in logged if len(logs[name])]) else _EMPTY[name]
        for name in LOG_NAMES
    }


_EMPTY: Final[Logs] = {name: getattr(allocate_logs(0, 0, 0, 0, 0), name) for name in LOG_NAMES}
