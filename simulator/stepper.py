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

from simulator.books import Books
from simulator.commands import Command, align_commands
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, prepare
from simulator.errors import EngineError
from simulator.halo import Halo
from simulator.kernel import codes
from simulator.kernel.state import LOG_NAMES, Lane, Market, State
from simulator.kernel.views import lanes_of, view_of
from simulator.setup import build_market, check_bars, params_of, slots_of, state_of
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
    state, history
        A saved state to go on from, and the bars before it, which the correlation gate looks back on.
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
        history: Bars | None = None,
    ) -> None:
        self.symbols = check_bars(like).symbols
        self.risk = risk
        self.params = params_of(cash, risk, Costs.of(costs), Conventions.of(conventions), raw=like.raw)
        window = 60 if risk is None else risk.correlation_window
        self._halo = Halo(len(like.symbols), window, daily=like.daily)
        if history is not None:
            self._halo.extend(check_bars(history).session, history.close)
        slots = slots_of(capacity, risk, len(like.symbols))
        rows = dict.fromkeys(LOG_NAMES, 256) if log else None
        nothing = view_of(build_market(like[0:0], np.zeros((0, len(like.symbols))), np.zeros(0, np.int64)))
        self.books = Books(state or state_of(slots, like), self.params, nothing, rows, fresh=state is None)

    @property
    def state(self) -> State:
        """The account's state."""
        return self.books.state

    def push(
        self,
        bars: Bars,
        signals: Signals | None = None,
        commands: Sequence[Command] | None = None,
    ) -> int:
        """Advance by the rows of `bars`, each by one call of the step; returns the last step's code."""
        market, lane, command_records, starts = self._piece(bars, signals, commands)
        view, lanes = view_of(market), lanes_of([lane])
        code = codes.STEP_OK
        for t in range(len(bars)):
            code = self.books.step(view, lanes, command_records, starts, t)
        return code

    def run(
        self,
        bars: Bars,
        signals: Signals | None = None,
        commands: Sequence[Command] | None = None,
    ) -> int:
        """Advance by the rows of `bars` in the compiled loop: a chunk of a longer history."""
        market, lane, command_records, starts = self._piece(bars, signals, commands)
        return self.books.loop(view_of(market), lanes_of([lane]), command_records, starts, 0, len(bars))

    def drain(self) -> dict[str, npt.NDArray[np.void]]:
        """Return what was logged since the last call, by log, and forget it."""
        return self.books.take()

    def fingerprint(self) -> str:
        """SHA-256 of the state."""
        return self.books.fingerprint()

    def _piece(
        self, bars: Bars, signals: Signals | None, commands: Sequence[Command] | None
    ) -> tuple[Market, Lane, npt.NDArray[np.void], npt.NDArray[np.int64]]:
        if check_bars(bars).symbols != self.symbols:
            raise EngineError(
                f"these bars have {', '.join(bars.symbols[:5])}..., the account was opened for "
                f"{', '.join(self.symbols[:5])}...",
                code="ENGINE_SYMBOLS",
            )
        closes, complete = self._halo.extend(bars.session, bars.close)
        market = build_market(bars, closes, complete)
        given = signals if signals is not None else Signals.empty(bars)
        lane = given.lane(prepare(given, bars, self.risk))
        command_records, starts = align_commands(commands, bars)
        return market, lane, command_records, starts
