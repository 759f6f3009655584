"""Holds: bars that are stepped, but on which no new position is decided.

A gap that was filled in later, a price that nobody confirms, a clock that jumped: the account must see such
bars, because stops, targets and time exits act on them, and must not enter on what they say. So a feed marks
them, and the session drops the entries that were decided there before they are recorded. Nothing has to be
released afterwards, no person's halt is undone, and a replay of what was recorded does the same.

| code | why |
|---|---|
| `WARM` | history for the strategies, from before the session was opened |
| `GAP` | the bar came so late that the next one has opened: its entry would be filled in the past |
| `STALE_QUOTE` | the symbol has no bar here while others have, or its quotes were crossed |
| `PRICE_BAND` | the price is far from the last one and nothing has confirmed it yet |
| `CLOCK_JUMP` | the machine's clock was moved, and nobody knows yet which time is right |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.bars.arrays import stamp

if TYPE_CHECKING:
    from simulator.signals import Signals

__all__ = ["Hold", "HoldCode", "without_entries"]

HoldCode = Literal["WARM", "GAP", "STALE_QUOTE", "PRICE_BAND", "CLOCK_JUMP"]


@dataclass(frozen=True, slots=True)
class Hold:
    """No new entry is decided at the bar labelled `ts` (UTC ns), in one symbol or, for None, in any."""

    ts: int
    symbol: str | None
    code: HoldCode
    text: str

    def __str__(self) -> str:
        """Say what is held and why."""
        return f"no entries in {self.symbol or 'any symbol'} at {stamp(self.ts)}: {self.code}, {self.text}"


def without_entries(signals: Signals, holds: Sequence[Hold]) -> Signals:
    """Return the signals without those that open, or turn round, a position where a hold forbids it.

    Signals that close (side 0) stay. Options packages are entries; those of dropped signals are kept in the
    tables, where nothing refers to them.
    """
    if not holds or not len(signals):
        return signals
    from simulator.signals import Signals

    records = signals.records
    dropped = np.zeros(len(records), np.bool_)
    for hold in holds:
        here = records["ts"] == hold.ts
        if hold.symbol is not None:
            if hold.symbol not in signals.symbols:
                continue
            here = here & (records["sym"] == signals.symbols.index(hold.symbol))
        dropped |= here
    dropped &= records["side"] != 0
    if not dropped.any():
        return signals
    return Signals(
        records[~dropped],
        signals.symbols,
        tags=signals.tags,
        strategies=signals.strategies,
        sectors=signals.sectors,
        checked_stops=signals.checked_stops,
        packages=signals.packages,
        legs=signals.legs,
    )
