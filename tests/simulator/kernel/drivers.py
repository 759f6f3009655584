"""The four drivers as functions from a configuration to everything that they answer with, as bytes.

An answer holds the logs, the final state, and the books where the driver closes them ("trades" then ends
with what was open at the end; "closed" never does). Answers are equal or a driver is wrong; `difference` says
where two part.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars import Bars
from simulator.commands import Command, align_commands
from simulator.engine import Run, backtest
from simulator.kernel import codes
from simulator.kernel.dtypes import ACCOUNT, METRICS
from simulator.kernel.loops import run_lanes
from simulator.kernel.state import LOG_NAMES, State, allocate_logs, each_bar, to_bytes
from simulator.kernel.views import lanes_of, view_of
from simulator.results.raw import RawRun
from simulator.setup import market_of, params_of, room_for, state_of
from simulator.signals import Signals
from simulator.stepper import Stepper
from simulator.stream import backtest_stream
from simulator.sweeps import run_lanes_over
from tests.simulator.kernel.generate import Configuration

__all__ = [
    "DRIVERS",
    "Answer",
    "by_backtest",
    "by_chunks",
    "by_lane",
    "by_pieces",
    "by_pushes",
    "by_steps",
    "by_stream",
    "by_sweep",
    "difference",
    "pieces",
]

Answer = dict[str, npt.NDArray[np.void] | bytes]


def by_backtest(c: Configuration) -> Answer:
    """The loop over history, through `backtest`; the state comes from the same loop in `Run`."""
    run = Run(c.bars, c.signals, commands=c.commands, **c.rules)
    run.advance()
    return _of_raw(backtest(c.bars, c.signals, commands=c.commands, **c.rules).raw, run)


def by_steps(c: Configuration) -> Answer:
    """One call of the step per bar, over the whole market."""
    run = Run(c.bars, c.signals, commands=c.commands, **c.rules)
    for _ in range(len(c.bars)):
        run.step()
    return _of_raw(run.result().raw, run)


def by_pieces(c: Configuration) -> Answer:
    """The loop in pieces, over the whole market."""
    run = Run(c.bars, c.signals, commands=c.commands, **c.rules)
    for cut in c.cuts[1:]:
        run.advance(cut)
    return _of_raw(run.result().raw, run)


def by_pushes(c: Configuration) -> Answer:
    """A live session: markets of one bar, one call of the step each."""
    return _stepped(c, list(range(len(c.bars) + 1)), Stepper.push)


def by_chunks(c: Configuration) -> Answer:
    """A chunked run: markets of a few bars, the state carried across."""
    return _stepped(c, c.cuts, Stepper.run)


def by_stream(c: Configuration) -> Answer:
    """A stream of chunks; it takes no commands."""
    logs: dict[str, list[npt.NDArray[np.void]]] = {name: [] for name in LOG_NAMES}

    def keep(part: dict[str, npt.NDArray[np.void]]) -> None:
        for name, rows in part.items():
            logs[name].append(rows.copy())

    chunks = ((bars, signals) for bars, signals, _ in pieces(c, c.cuts))
    result = backtest_stream(chunks, sink=keep, **c.rules)
    return {
        **{name: np.concatenate(parts) for name, parts in logs.items()},
        "metrics": result.metrics_record,
        "account": result.account,
    }


def by_lane(c: Configuration) -> Answer:
    """A lane of a sweep with its logs switched on."""
    records = Run(c.bars, c.signals, **c.rules).records
    state = state_of(room_for(c.risk, len(c.bars.symbols)), c.bars)
    rows = 20_000
    logs = allocate_logs(rows, rows, rows, rows, len(c.bars) + 1)
    commands, starts = align_commands(c.commands, c.bars)
    metrics, account = np.zeros(1, METRICS), np.zeros(1, ACCOUNT)
    params = params_of(c.cash, c.risk, c.costs, c.conventions, raw=c.bars.raw)
    lanes = lanes_of([c.signals.lane(records)])
    code, at = run_lanes(
        view_of(state), view_of(logs), view_of(market_of(c.bars)), params, lanes, commands,
        starts, metrics, account, 0, 1, 0, len(c.bars), 0,
    )  # fmt: skip
    assert code in (codes.STEP_OK, codes.STEP_BAD_BAR)
    assert at == len(c.bars)
    logged = {name: getattr(logs, name)[: int(logs.counts[name][0])] for name in LOG_NAMES}
    logged["equity"] = each_bar(logged["equity"])
    return {
        **logged,
        "closed": _closed(logged["trades"]),
        "metrics": metrics,
        "account": account,
        "body": _body(state),
    }


def by_sweep(configurations: list[Configuration], *, threads: int = 1) -> list[Answer]:
    """Lanes of one sweep: the configurations share bars and cash."""
    first = configurations[0]
    lanes = run_lanes_over(
        first.bars,
        [c.signals for c in configurations],
        cash=first.cash,
        risks=[c.risk for c in configurations],
        costs=[c.costs for c in configurations],
        conventions=[c.conventions for c in configurations],
        threads=threads,
    )
    return [
        {"metrics": lanes.metrics[i : i + 1], "account": lanes.account[i : i + 1]}
        for i in range(len(configurations))
    ]


DRIVERS: Final[dict[str, Callable[[Configuration], Answer]]] = {
    "backtest": by_backtest,
    "Run.step": by_steps,
    "Run.advance in pieces": by_pieces,
    "Stepper.push": by_pushes,
    "Stepper.run": by_chunks,
    "lane": by_lane,
}


def _of_raw(raw: RawRun, run: Run) -> Answer:
    return {
        **{name: getattr(raw, name) for name in LOG_NAMES},
        "closed": _closed(raw.trades),
        "metrics": raw.metrics,
        "account": raw.account,
        "state": to_bytes(run.state),
        "body": _body(run.state),
    }


def _body(state: State) -> bytes:
    # Without the metrics, because a lane closes its books in its state.
    return to_bytes(state._replace(metrics=np.zeros(1, METRICS)))


def _closed(trades: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    closed: npt.NDArray[np.void] = trades[trades["exit_reason"] != codes.EXIT_END_OF_DATA]
    return closed


def pieces(c: Configuration, cuts: list[int]) -> list[tuple[Bars, Signals, list[Command]]]:
    """The bars between the cuts, with the signals and commands that belong to them."""
    records = Run(c.bars, c.signals, **c.rules).records
    _, starts = align_commands(c.commands, c.bars)
    rows = records["row"]
    made = []
    for begin, end in itertools.pairwise(cuts):
        mine = records[np.searchsorted(rows, begin) : np.searchsorted(rows, end)]
        part = Signals(
            mine,
            c.signals.symbols,
            tags=c.signals.tags,
            strategies=c.signals.strategies,
            sectors=c.bars.sector_names,
            packages=c.signals.packages,
            legs=c.signals.legs,
        )
        made.append((c.bars[begin:end], part, c.commands[int(starts[begin]) : int(starts[end])]))
    return made


def _stepped(c: Configuration, cuts: list[int], advance: Callable[..., int]) -> Answer:
    stepper = Stepper(c.bars, **c.rules)
    for bars, signals, commands in pieces(c, cuts):
        advance(stepper, bars, signals, commands)
    logs = stepper.drain()
    closed = logs.pop("trades")
    return {
        **logs,
        "closed": closed,
        "account": stepper.state.account.copy(),
        "state": to_bytes(stepper.state),
        "body": _body(stepper.state),
    }


def difference(expected: Answer, found: Answer) -> str:
    """Say where two answers part, in the fields that both have; empty where they are equal, byte by byte."""
    for name in [*LOG_NAMES, "closed", "metrics", "account", "state", "body"]:
        if name not in expected or name not in found:
            continue
        a, b = expected[name], found[name]
        if isinstance(a, bytes) or isinstance(b, bytes):
            if a != b:
                return f"{name}: bytes differ"
            continue
        if len(a) != len(b):
            row = next((i for i in range(min(len(a), len(b))) if a[i].tobytes() != b[i].tobytes()), None)
            return f"{name}: {len(a)} rows against {len(b)}{_at(a, b, row)}"
        for row in range(len(a)):
            if a[row].tobytes() != b[row].tobytes():
                return f"{name}: the first difference is in row {row}{_at(a, b, row)}"
    return ""


def _at(a: Any, b: Any, row: int | None) -> str:
    if row is None:
        return ""
    differing = [
        f"{field} {a[field][row]} against {b[field][row]}"
        for field in a.dtype.names
        if a[field][row].tobytes() != b[field][row].tobytes()
    ]
    return f", row {row}: {'; '.join(differing)}"
