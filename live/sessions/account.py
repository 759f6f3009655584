"""The account of a session: a `Stepper` that can be put down and taken up again.

It steps recorded pieces and says what came of each. Put down are the state, and the session closes
that the correlation gate looks back on; closes are marked now and then and the bars since are read again,
because writing them with every bar would cost more than the bar.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from live.sessions.recording import Piece, one_set
from simulator.commands import align_commands
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.kernel.state import State, to_bytes
from simulator.kernel.views import lanes_of, view_of
from simulator.risk_limits import RiskLimits
from simulator.setup import build_market, slots_of
from simulator.stepper import Stepper
from simulator.types import SignalStrength

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Account", "Rules", "identity"]

Logs = dict[str, npt.NDArray[np.void]]


class Rules:
    """Cash, limits, costs and conventions of a session, and their plain form."""

    def __init__(
        self,
        *,
        cash: float,
        risk: RiskLimits | None,
        costs: Costs | str | None,
        conventions: str | Conventions,
        capacity: int | None,
    ) -> None:
        self.cash = cash
        self.risk = risk
        self.costs = Costs.of(costs)
        self.conventions = Conventions.of(conventions)
        self.capacity = capacity

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Rules:
        """Rebuild rules from their plain form."""
        risk = plain["risk"]
        if risk is not None:
            risk = RiskLimits(**{**risk, "min_signal_strength": SignalStrength(risk["min_signal_strength"])})
        return cls(
            cash=plain["cash"], risk=risk, costs=Costs(**plain["costs"]),
            conventions=Conventions(**plain["conventions"]), capacity=plain["capacity"],
        )  # fmt: skip

    def plain(self) -> dict[str, Any]:
        """Return the rules as values that JSON can hold."""
        return {
            "cash": float(self.cash),
            "risk": None if self.risk is None else asdict(self.risk),
            "costs": asdict(self.costs),
            "conventions": asdict(self.conventions),
            "capacity": self.capacity,
        }

    def arguments(self) -> dict[str, Any]:
        """Return the rules as `Run` and `Stepper` take them."""
        return {
            "cash": self.cash, "risk": self.risk, "costs": self.costs, "conventions": self.conventions,
            "capacity": self.capacity,
        }  # fmt: skip


class Account(Stepper):
    """A stepper that is fed pieces.

    Parameters
    ----------
    like
        What all bars share.
    rules
        By which it trades.
    state
        From which it goes on; None opens the account. It may know fewer symbols than there are by now.
    closes
        Session closes before what is fed next, shape (n, symbols at most); with a state only.
    """

    def __init__(
        self,
        like: Bars,
        rules: Rules,
        *,
        state: State | None = None,
        closes: npt.NDArray[np.float64] | None = None,
    ) -> None:
        history = None
        if closes is not None and len(closes):
            more = len(like.symbols) - closes.shape[1]
            history = _closes_as_bars(like, np.pad(closes, ((0, 0), (0, more)), constant_values=np.nan))
        if state is not None:
            state = _for_symbols(state, like, rules)
        super().__init__(like, **rules.arguments(), state=state, history=history)
        self.rules = rules

    def grown(self, like: Bars) -> Account:
        """Return a copy that goes on with more symbols: as if they had been there without a bar so far."""
        made = Account(like, self.rules, state=State(*(array.copy() for array in self.state)))
        made._halo = self._halo.copy(len(like.symbols))
        return made

    @property
    def closes(self) -> npt.NDArray[np.float64]:
        """Closes of the sessions that are complete, shape (n, symbols)."""
        return self._halo.complete

    def look_back(self, bars: Bars) -> None:
        """Take in bars that the state has seen already, for their closes alone."""
        self._halo.extend(bars.session, bars.close)

    def each(self, bars: Bars, pieces: Sequence[Piece]) -> Iterator[tuple[int, Logs]]:
        """Step the rows of `bars`, with what came with each; yields the step's code and what it logged."""
        signals, commands = one_set(pieces)
        # as they were recorded: what is absent stays absent
        signals.keep_ready(bars, signals.records, -1)
        closes, complete = self._halo.extend(bars.session, bars.close)
        if not len(signals):
            # what correlates is looked at for a signal only, and working it out costs more than the step
            closes, complete = closes[:0], np.zeros_like(complete)
        records, starts = align_commands(commands, bars)
        # views point into these arrays, and do not keep them
        market, lane = build_market(bars, closes, complete), signals.lane(signals.records)
        view, lanes = view_of(market), lanes_of([lane])
        for t in range(len(bars)):
            code = self.books.step(view, lanes, records, starts, t)
            yield code, self.drain()


def identity(state: State, data: bytes | None = None) -> str:
    """SHA-256 of a state; where a package stands in its table of signals is no part of it.

    `data` is what `to_bytes` made of the state, where somebody has it already.
    """
    if len(state.packages):
        plans = state.plans.copy()
        plans["package"] = np.minimum(plans["package"], 1)
        return hashlib.sha256(to_bytes(state._replace(plans=plans))).hexdigest()
    return hashlib.sha256(to_bytes(state) if data is None else data).hexdigest()


_BY_SYMBOL: Final = {"account", "metrics", "symbols"}
_WITH_OPTIONS: Final = {"packages", "legs", "plan_packages", "plan_legs"}


def _for_symbols(state: State, like: Bars, rules: Rules) -> State:
    # What a symbol without a bar looks like is zeros; so is a slot that was never used.
    symbols = len(like.symbols)
    if len(state.symbols) == symbols:
        return state
    room = max(len(state.positions), slots_of(rules.capacity, rules.risk, symbols))
    parts = {"symbols": _lengthened(state.symbols, symbols)}
    for name in set(State._fields) - _BY_SYMBOL:
        array = getattr(state, name)
        if len(array) or name not in _WITH_OPTIONS:
            parts[name] = _lengthened(array, room)
    return state._replace(**parts)


def _lengthened(records: npt.NDArray[np.void], length: int) -> npt.NDArray[np.void]:
    longer = np.zeros((length, *records.shape[1:]), records.dtype)
    longer[: len(records)] = records
    return longer


def _closes_as_bars(like: Bars, closes: npt.NDArray[np.float64]) -> Bars:
    # Sessions with numbers of their own, before all that will come: what they held is all that matters.
    count = len(closes)
    panel = np.full((count, len(like.symbols), 5), np.nan)
    panel[:, :, 3] = closes
    days = np.arange(count, dtype=np.int64) - 1_000_000
    return like.replaced(panel=panel, ts=days, session=days, session_no=days, options=None, detail=None)
