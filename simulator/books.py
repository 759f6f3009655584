"""The books of one account: its state and its logs, and the calls into compiled code that change them.

`Run` (all bars at hand) and `Stepper` (bars as they come) both keep their account here, so that there is one
place that advances a state, makes room when a log is full, and closes the books.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import stamp
from simulator.errors import EngineError
from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit, self_healing
from simulator.kernel.dtypes import ACCOUNT, COMMAND, LEG, METRICS, PACKAGE, SIGNAL
from simulator.kernel.loops import CLOSE, GO_ON, OPEN, run_lanes
from simulator.kernel.state import LOG_NAMES, Lane, Logs, State, allocate_logs, each_bar, fingerprint, joined
from simulator.kernel.views import lanes_of, view_of

__all__ = ["Books"]

Records = npt.NDArray[np.void]
Ints = npt.NDArray[np.int64]


class Books:
    """State and logs of one account.

    Parameters
    ----------
    state
        A zeroed state to open the account in, or with `fresh=False` one to go on from.
    params
        One PARAMS record, shape (1,).
    market
        View of any market of the account's symbols; opening looks at no bar of it.
    rows
        Rows to make room for, by log; a log that fills up is emptied or grows. None: keep no logs.
    """

    def __init__(
        self,
        state: State,
        params: Records,
        market: Any,
        rows: Mapping[str, int] | None,
        *,
        fresh: bool = True,
    ) -> None:
        self.state = state
        self.params = params
        self.keeps_logs = rows is not None
        self._market = market  # for calls that look at no bar
        self._view = view_of(state)
        self._rows = [rows[name] if rows else 0 for name in LOG_NAMES]
        self._parts: dict[str, list[Records]] = {name: [] for name in LOG_NAMES}
        self._handed_over: list[str] = []
        self._set_logs(allocate_logs(*self._rows))
        if fresh:
            self._call(self._view, self._logs_view, market, _NO_LANES, _NO_COMMANDS, _NO_STARTS, 0, 0, OPEN)

    def loop(
        self, market: Any, lanes: Any, commands: Records, command_start: Ints, begin: int, end: int
    ) -> int:
        """Advance over bars `begin` to `end` of a market's view in the compiled loop; returns a step code."""
        at, code = begin, codes.STEP_OK
        while at < end:
            self._renew()
            code, at = self._call(
                self._view, self._logs_view, market, lanes, commands, command_start, at, end, GO_ON
            )
            self._make_room(code)
        return int(code)

    def step(self, market: Any, lanes: Any, commands: Records, command_start: Ints, t: int) -> int:
        """Advance by bar t alone, as a live session does; returns the step's code."""
        return self.loop(market, lanes, commands, command_start, t, t + 1)

    def close(self) -> tuple[Records, Records]:
        """Return the METRICS record of books closed now, and the trades still open, at their marks.

        The books stay open: closing writes to metrics alone, which are put back.
        """
        open_books = self.state.metrics.copy()
        logs = allocate_logs(0, len(self.state.positions), 0, 0, 0)
        try:
            self._call(
                self._view, view_of(logs), self._market, _NO_LANES, _NO_COMMANDS, _NO_STARTS, 0, 0, CLOSE
            )
            closed = self.state.metrics.copy()
        finally:
            self.state.metrics[...] = open_books
        return closed, logs.trades[: int(logs.counts["trades"][0])]

    def log(self, name: str) -> Records:
        """Return everything that a log has recorded so far; of the equity, one row per bar."""
        return each_bar(self.written(name)) if name == "equity" else self.written(name)

    def written(self, name: str) -> Records:
        """Return a log as it was written; a row of the equity stands for its number of bars."""
        self._empty()
        parts = self._parts[name]
        if len(parts) > 1:
            parts[:] = [joined(parts)]
        return parts[0] if parts else np.zeros(0, getattr(self.logs, name).dtype)

    def take(self) -> dict[str, Records]:
        """Return what was logged since the last call, by log, and forget it."""
        taken = {name: self.log(name) for name in LOG_NAMES}
        self._parts = {name: [] for name in LOG_NAMES}
        return taken

    def snapshot(self) -> tuple[list[npt.NDArray[Any]], Records]:
        """Copy the state, for `restore`; what the logs hold is put aside first."""
        self._empty()
        return [array.copy() for array in self.state], self.logs.counts.copy()

    def restore(self, saved: tuple[list[npt.NDArray[Any]], Records]) -> None:
        """Go back to a snapshot taken at most one step ago."""
        for array, copy in zip(self.state, saved[0], strict=True):
            array[...] = copy
        self.logs.counts[...] = saved[1]

    def fingerprint(self) -> str:
        """SHA-256 of the state."""
        return fingerprint(self.state)

    def _call(self, state: Any, logs: Any, market: Any, *rest: Any) -> tuple[int, int]:
        lanes, commands, command_start, begin, end, mode = rest
        return self_healing(
            kernel_jit,
            lambda: run_lanes(
                state, logs, market, self.params, lanes, commands, command_start, _NO_METRICS, _NO_ACCOUNTS,
                0, 1, begin, end, mode,
            ),
        )  # fmt: skip

    def _set_logs(self, logs: Logs) -> None:
        self.logs = logs
        self._logs_view = view_of(logs)

    def _make_room(self, code: int) -> None:
        if code == codes.STEP_TIME_WENT_BACK:
            last = stamp(int(self.state.account["ts"][0]))
            raise EngineError(
                f"a bar is not after the last one, {last}; times must rise, and a bar comes once",
                code="ENGINE_TIME",
            )
        if code == codes.STEP_LOG_FULL:
            if any(self.logs.counts[0]):
                self._empty()
            else:
                self._rows = [4 * rows for rows in self._rows]
                self._set_logs(allocate_logs(*self._rows))

    def _empty(self) -> None:
        # A large log is handed over as it is, a small one is copied.
        for name in LOG_NAMES:
            count, log = int(self.logs.counts[name][0]), getattr(self.logs, name)
            if count > _COPIED_ROWS:
                self._parts[name].append(log[:count])
                self._handed_over.append(name)
            elif count:
                self._parts[name].append(log[:count].copy())
        self.logs.counts[0] = 0

    def _renew(self) -> None:
        # Logs that were handed over get successors when something is to be written, which may be never.
        if self._handed_over:
            old = {name: getattr(self.logs, name) for name in self._handed_over}
            self._set_logs(
                self.logs._replace(**{name: np.empty(len(log), log.dtype) for name, log in old.items()})
            )
            self._handed_over.clear()


_COPIED_ROWS = 512
_NO_SIGNALS = np.zeros(0, SIGNAL)
_NO_LANES = lanes_of([Lane(_NO_SIGNALS, np.zeros(0, PACKAGE), np.zeros((0, 4), LEG))])
_NO_COMMANDS = np.zeros(0, COMMAND)
_NO_STARTS = np.zeros(1, np.int64)
_NO_METRICS = np.zeros(0, METRICS)
_NO_ACCOUNTS = np.zeros(0, ACCOUNT)
