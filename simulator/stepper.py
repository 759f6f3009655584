"""Step by step: one bar in, one call of the step, as a live session does it.

`Stepper` knows no future: it is given each bar as it completes, keeps the halo of session closes that the
correlation gate needs, and hands the kernel a market of one bar. `backtest_stream` does the same with chunks.

>>> from simulator import load_bars
>>> bars = load_bars("synthetic:2x30?seed=1")
>>> stepper = Stepper(bars)
>>> stepper.push(bars[0:1])
0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulator.commands import Command, align_commands
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, prepare
from simulator.errors import EngineError
from simulator.halo import Halo
from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit, self_healing
from simulator.kernel.loops import run_lanes
from simulator.kernel.state import LOG_NAMES, Logs, Market, State, allocate_logs, fingerprint
from simulator.kernel.step import start, step_once
from simulator.kernel.views import lanes_of, view_of
from simulator.setup import build_market, params_of, room_for, state_of
from simulator.signals import Signals

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.risk_limits import RiskLimits

__all__ = ["Stepper"]


class Stepper:
    """An account that is fed bars as they come.

    Parameters
    ----------
    like
        Bars whose symbols, instruments and rules the coming bars share; none of its rows are read.
    cash, risk, costs, conventions, capacity
        As in `backtest`.
    log
        Whether to keep fills, trades, verdicts, events and equity; `drain` takes them.
    """

    def __init__(
        self,
        like: Bars,
        *,
        cash: float = 100_000.0,
        risk: RiskLimits | None = DEFAULT_RISK,
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
        capacity: int | None = None,
        log: bool = True,
        state: State | None = None,
    ) -> None:
        self.symbols = like.symbols
        self.risk = risk
        self.params = params_of(cash, risk, Costs.of(costs), Conventions.of(conventions), raw=like.raw)
        window = 60 if risk is None else risk.correlation_window
        self._halo = Halo(len(like.symbols), window, daily=like.daily)
        fresh = state is None
        self.state = state or state_of(capacity or room_for(risk, len(like.symbols)), len(like.symbols))
        self._view = view_of(self.state)
        if fresh:
            start(self._view, float(cash))
        self._log = log
        self._set_logs(256)

    def push(
        self,
        bars: Bars,
        signals: Signals | None = None,
        commands: Sequence[Command] | None = None,
    ) -> int:
        """Advance by the rows of `bars`, each by one call of the step; returns the last step's code."""
        market, records, command_records, starts = self._piece(bars, signals, commands)
        offsets = np.searchsorted(records["row"], np.arange(len(bars) + 1))
        view, lanes = view_of(market), lanes_of([records])
        code = codes.STEP_OK
        for t in range(len(bars)):
            code = codes.STEP_LOG_FULL
            while code == codes.STEP_LOG_FULL:
                code = step_once(
                    self._view, self._logs_view, view, self.params, lanes[0], offsets[t], offsets[t + 1],
                    command_records, starts[t], starts[t + 1], t,
                )  # fmt: skip
                self._answer(code)
        return int(code)

    def run(
        self,
        bars: Bars,
        signals: Signals | None = None,
        commands: Sequence[Command] | None = None,
    ) -> int:
        """Advance by the rows of `bars` in the compiled loop: a chunk of a longer history."""
        market, records, command_records, starts = self._piece(bars, signals, commands)
        view, lanes = view_of(market), lanes_of([records])
        out = (np.zeros(0, self.state.metrics.dtype), np.zeros(0, self.state.account.dtype))
        at, code = 0, codes.STEP_OK
        while at < len(bars):

            def call(begin: int = at) -> tuple[int, int]:
                return run_lanes(
                    self._view, self._logs_view, view, self.params, lanes, command_records, starts,
                    *out, 0, 1, begin, len(bars), 1,
                )  # fmt: skip

            code, at = self_healing(kernel_jit, call)
            self._answer(code)
        return int(code)

    def drain(self) -> dict[str, npt.NDArray[np.void]]:
        """Return what was logged since the last call, by log, and forget it."""
        self._collect()
        taken = {
            name: np.concatenate(parts) if parts else np.zeros(0, getattr(self.logs, name).dtype)
            for name, parts in self._parts.items()
        }
        self._parts = {name: [] for name in LOG_NAMES}
        return taken

    def fingerprint(self) -> str:
        """SHA-256 of the state."""
        return fingerprint(self.state)

    def _piece(
        self, bars: Bars, signals: Signals | None, commands: Sequence[Command] | None
    ) -> tuple[Market, npt.NDArray[np.void], npt.NDArray[np.void], npt.NDArray[np.int64]]:
        if bars.symbols != self.symbols:
            raise EngineError(
                f"these bars have {', '.join(bars.symbols[:5])}..., the account was opened for "
                f"{', '.join(self.symbols[:5])}...",
                code="ENGINE_SYMBOLS",
            )
        closes, complete = self._halo.extend(bars.session, bars.close)
        market = build_market(bars, closes, complete)
        records = prepare(signals if signals is not None else Signals.empty(bars), bars, self.risk)[0]
        command_records, starts = align_commands(commands, bars)
        return market, records, command_records, starts

    def _set_logs(self, rows: int) -> None:
        rows = rows if self._log else 0
        self.logs: Logs = allocate_logs(rows, rows, rows, rows, rows)
        self._logs_view = view_of(self.logs)
        if not hasattr(self, "_parts"):
            self._parts: dict[str, list[npt.NDArray[np.void]]] = {name: [] for name in LOG_NAMES}

    def _answer(self, code: int) -> None:
        if code == codes.STEP_TIME_WENT_BACK:
            at = np.datetime64(int(self.state.account["ts"][0]), "ns")
            raise EngineError(
                f"a bar is not after the last one, {at}; times must rise, and a bar comes once",
                code="ENGINE_TIME",
            )
        if code == codes.STEP_LOG_FULL:
            if not any(self.logs.counts[0]):
                self._set_logs(4 * len(self.logs.fills))
            else:
                self._collect()

    def _collect(self) -> None:
        for name in LOG_NAMES:
            count = int(self.logs.counts[name][0])
            if count:
                self._parts[name].append(getattr(self.logs, name)[:count].copy())
        self.logs.counts[0] = 0
