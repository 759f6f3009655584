"""Streams: history of any length in bounded memory.

A chunk of bars and its signals at a time, the state carried across; logs are handed to a sink or dropped.

>>> from simulator import Signals, load_bars
>>> bars = load_bars("synthetic:2x60?seed=1")
>>> chunks = ((part, Signals.empty(part)) for part in (bars[:30], bars[30:]))
>>> int(backtest_stream(chunks).account["row"][0])
59
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK
from simulator.errors import EngineError
from simulator.stepper import Stepper

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.risk_limits import RiskLimits
    from simulator.signals import Signals

__all__ = ["StreamResult", "backtest_stream"]

Sink = Callable[[dict[str, npt.NDArray[np.void]]], None]


@dataclass(frozen=True)
class StreamResult:
    """What is left of a stream: the final records, the state's fingerprint, and metrics on demand."""

    metrics_record: npt.NDArray[np.void]
    account: npt.NDArray[np.void]
    fingerprint: str
    sessions_per_year: float

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by name, as in a `Result`."""
        from simulator.results.metrics import metrics_from_accumulators

        table = metrics_from_accumulators(self.metrics_record, self.account, self.sessions_per_year)
        return {name: float(values[0]) for name, values in table.items()}


def backtest_stream(
    chunks: Iterable[tuple[Bars, Signals]],
    *,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: str | Conventions = "realistic",
    capacity: int | None = None,
    sink: Sink | None = None,
) -> StreamResult:
    """Run chunks of bars with their signals, one after another.

    Chunks share symbols and instruments and follow each other in time; session numbers go on where the chunk
    before ended, as they do in slices of one `Bars`. `sink` receives each chunk's logs.
    """
    stepper: Stepper | None = None
    per_year = 252.0
    for chunk in chunks:
        if not isinstance(chunk, tuple) or len(chunk) != 2:
            raise EngineError(
                f"a chunk is a pair (bars, signals), not {type(chunk).__name__}", code="ENGINE_STREAM"
            )
        bars, signals = chunk
        if stepper is None:
            per_year = bars.sessions_per_year
            stepper = Stepper(
                bars, cash=cash, risk=risk, costs=costs, conventions=conventions, capacity=capacity,
                log=sink is not None,
            )  # fmt: skip
        stepper.run(bars, signals)
        if sink is not None:
            sink(stepper.drain())
    if stepper is None:
        raise EngineError("the stream has no chunks, so there is nothing to run", code="ENGINE_EMPTY_STREAM")
    metrics, open_trades = stepper.books.close()
    if sink is not None and len(open_trades):
        sink({"trades": open_trades})
    return StreamResult(metrics, stepper.state.account.copy(), stepper.fingerprint(), per_year)
