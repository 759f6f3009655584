"""Raw and adjusted prices: from one to the other, for every source that delivers both or the events between.

`adjust` says what the prices of the loaded bars contain:

- `"all"` (default): splits and dividends are inside the prices, anchored at the last bar, which keeps the
  price it was quoted at. Returns of adjusted prices are total returns. Volume is on the last share basis.
- `"splits"`: splits only; prices are comparable over time, dividends are missing from them.
- `"none"`: prices as they were quoted, `raw=True`: splits and dividends act on positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from simulator.bars.actions import infer_actions
from simulator.bars.arrays import Floats, Ints
from simulator.errors import ConfigError, did_you_mean

__all__ = ["ADJUSTMENTS", "Adjust", "Event", "Quoted", "adjusted", "check_adjust", "from_adjusted_close"]

Adjust = Literal["all", "splits", "none"]
ADJUSTMENTS: Final = ("all", "splits", "none")

Event = tuple[np.datetime64, str, float]
"""Ex-date, kind, value; values on the share basis of their date."""


@dataclass(frozen=True)
class Quoted:
    """One symbol's prices (T, 5) and the events that lie between them, on one of the three bases."""

    values: Floats
    events: list[Event]


def check_adjust(adjust: str) -> None:
    """Raise `ConfigError` CONFIG_ADJUST where the value is not one of all, splits, none."""
    if adjust not in ADJUSTMENTS:
        raise ConfigError(
            f"adjust {adjust!r} is unknown.{did_you_mean(str(adjust), ADJUSTMENTS)}", code="CONFIG_ADJUST"
        )


def adjusted(days: Ints, raw: Floats, events: Sequence[Event], adjust: Adjust) -> Floats:
    """Return (T, 5) bars on the wanted basis from raw ones and their events.

    A dividend D lowers all earlier prices by 1 - D / the raw close before the ex-date (CRSP's rule).
    `days` are days since 1970-01-01, non-decreasing.
    """
    if adjust == "none":
        return raw
    shares = np.ones(days.size)
    payout = np.ones(days.size)
    for when, kind, value in events:
        row = int(np.searchsorted(days, int(when.astype("datetime64[D]").astype(np.int64))))
        if kind == "split":
            shares[:row] *= value
        elif kind == "dividend" and adjust == "all":
            before = raw[:row, 3][~np.isnan(raw[:row, 3])]
            if before.size and value < before[-1]:
                payout[:row] *= 1 - value / before[-1]
    made = raw.copy()
    made[:, :4] *= (payout / shares)[:, None]
    made[:, 4] *= shares
    return made


def from_adjusted_close(
    days: Ints,
    values: Floats,
    adjusted_close: Floats,
    adjust: Adjust,
    *,
    basis: Literal["previous_close", "ex_close"] = "previous_close",
) -> Quoted:
    """Return one symbol's bars on the wanted basis from a table with closes and adjusted closes.

    Events are read out of the factor between the two. Rows whose factor is unknown (a NaN in either) take
    the factor of the row before.
    """
    known = ~(np.isnan(adjusted_close) | np.isnan(values[:, 3])) & (values[:, 3] > 0) & (adjusted_close > 0)
    if not known.any():
        return Quoted(values, [])
    events = infer_actions(days[known], values[known, 3], adjusted_close[known], basis=basis)
    if adjust != "all":
        return Quoted(adjusted(days, values, events, adjust), events)
    rows = np.flatnonzero(known)
    factor = adjusted_close[rows] / values[rows, 3]
    spread_out = np.maximum(np.searchsorted(rows, np.arange(days.size), side="right") - 1, 0)
    # Anchored at the last bar: adjustments for events after the data would only move all prices alike.
    made = adjusted(days, values, [event for event in events if event[1] == "split"], "splits")
    made[:, :4] = values[:, :4] * (factor / factor[-1])[spread_out][:, None]
    return Quoted(made, events)
