"""Strategies that look at every bar: `on_bar(context)`, over the same step.

Where signals cannot be computed ahead because they depend on the strategy's own fills or positions, a
strategy implements `on_bar`. It is called at the close of each bar, sees the bars up to there and its
account, and places orders through the context; they are judged by the risk manager at this close, as signals
are. What it ordered is kept, so that the result can be replayed as signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, Run, prepare
from simulator.errors import StrategyError, UnknownNameError, did_you_mean
from simulator.kernel.dtypes import SIGNAL
from simulator.signals import Signals

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.commands import Command
    from simulator.kernel.state import State
    from simulator.results import Result
    from simulator.risk_limits import RiskLimits
    from simulator.types import OnBarStrategy

__all__ = ["Context", "run_on_bar"]


class HasState(Protocol):
    """Anything with an account: a `Run`, or a live session's copy of one."""

    @property
    def state(self) -> State:
        """The account's state."""
        ...


class Context:
    """What an `on_bar` strategy sees and does at the close of one bar.

    The account is as it was before this bar, plus everything that filled in it: the strategy is asked after
    the bar's matching and marking, at the moment at which signals are judged.
    """

    def __init__(self, bars: Bars, run: HasState) -> None:
        self._all = bars
        self._run = run
        self._orders: list[tuple[str, int, dict[str, Any]]] = []
        self.row = -1

    @property
    def bars(self) -> Bars:
        """The bars up to and including this one."""
        return self._all[: self.row + 1]

    @property
    def time(self) -> np.datetime64:
        """Label of this bar, UTC."""
        return np.datetime64(int(self._all.ts[self.row]), "ns")

    @property
    def equity(self) -> float:
        """Equity at the last mark, in currency."""
        return float(self._run.state.account["equity"][0])

    @property
    def cash(self) -> float:
        """Cash, in currency."""
        return float(self._run.state.account["cash"][0])

    def value(self, symbol: str, field: str = "close", back: int = 0) -> float:
        """One value of a symbol, `back` bars ago; NaN where the bar is missing or before the data."""
        fields = ("open", "high", "low", "close", "volume")
        if field not in fields:
            raise UnknownNameError(f"no field {field!r}.{did_you_mean(field, fields)}", code="NAME_FIELD")
        if back < 0:
            raise StrategyError(f"back is {back}: a strategy cannot look ahead", code="STRATEGY_LOOKAHEAD")
        row = self.row - back
        if row < 0:
            return float("nan")
        return float(self._all.panel[row, self._all.column(symbol), fields.index(field)])

    def position(self, symbol: str) -> float:
        """Signed quantity held in a symbol; 0 where nothing is."""
        positions = self._run.state.positions
        mine = (positions["live"] == 1) & (positions["sym"] == self._all.column(symbol))
        return float((positions["qty"][mine] * positions["side"][mine]).sum())

    def buy(self, symbol: str, **order: Any) -> None:
        """Ask for a long position; keywords are the columns of `Signals` (stop, target, qty, entry, ...)."""
        self._orders.append((symbol, 1, order))

    def sell(self, symbol: str, **order: Any) -> None:
        """Ask for a short position; keywords are the columns of `Signals`."""
        self._orders.append((symbol, -1, order))

    def close(self, symbol: str, **order: Any) -> None:
        """Close what is held in a symbol and cancel what works there."""
        self._orders.append((symbol, 0, order))

    def signals(self, strategy: str = "") -> Signals:
        """Return what was ordered at this bar as signals of a strategy, and forget it."""
        orders, self._orders = self._orders, []
        if not orders:
            return Signals.empty(self._all)
        named = {"strategy": strategy} if strategy else {}
        return Signals.concat(
            [
                Signals.from_arrays(self._all, [self.row], name, side, **{**named, **order})
                for name, side, order in orders
            ]
        )


def run_on_bar(
    bars: Bars,
    strategy: OnBarStrategy,
    *,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: str | Conventions = "realistic",
    commands: Sequence[Command] | None = None,
    capacity: int | None = None,
) -> Result:
    """Run an `on_bar` strategy: its orders of each bar become the signals of that bar.

    A first pass steps bar by bar and asks the strategy; the orders it placed, taken as signals, give the same
    account, so the result is the ordinary result of those signals.
    """
    rules: dict[str, Any] = {
        "cash": cash, "risk": risk, "costs": costs, "conventions": conventions, "commands": commands,
        "capacity": capacity,
    }  # fmt: skip
    run = Run(bars, Signals.empty(bars), **rules)
    context = Context(bars, run)
    parts: list[Signals] = []
    nothing = np.zeros(0, SIGNAL)
    for t in range(len(bars)):
        context.row = run.at = t
        before = run.books.snapshot()
        run.step_with(nothing)
        if t + 1 < strategy.warmup:
            continue
        # the strategy is asked with this bar matched and marked; what it orders is judged at this close, so
        # the bar is stepped once more with its orders
        strategy.on_bar(context)
        signals = context.signals()
        if len(signals):
            parts.append(signals)
            run.books.restore(before)
            run.step_with(prepare(signals, bars, risk))
    final = Run(bars, Signals.concat(parts) if parts else Signals.empty(bars), **rules)
    final.advance()
    if final.state.account.tobytes() != run.state.account.tobytes():
        raise StrategyError(
            f"{strategy.name!r}: replaying its orders gave another account than it saw; "
            "on_bar must not change the bars or the account",
            code="STRATEGY_REPLAY",
        )
    return final.result()
