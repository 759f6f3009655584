"""Trades of option packages, with what a trader of premium asks first: legs, days, credit, how much was kept.

The rows are those of `trades` whose entry was priced by quotes of options; shares that came of an assignment
are no package. IV rank is that of the bars' volatility at the entry, 252 sessions long, unknown before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.kernel import codes
from simulator.options.iv_rank import iv_rank

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.raw import RawRun

__all__ = ["BUCKETS", "bucket_of", "opened_packages", "packages_frame"]

BUCKETS: Final = {
    # upper edges, the last one open
    "iv_rank": (25.0, 50.0, 75.0, 100.0),
    "dte": (14.0, 30.0, 45.0, 60.0, np.inf),
}
"""What packages are grouped by: IV rank at the entry, and calendar days to expiry at the entry."""

_RIGHTS: Final = {1: "C", -1: "P"}


def packages_frame(raw: RawRun, trades: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `trades` that were packages, with columns of their own.

    `legs` ("-1 95P +1 90P"), `expiry`, `dte` (calendar days to the nearest expiry at the entry), `captured`
    (share of the entry price that was kept, before fees and dividends; of a debit, earned), `iv_rank` (0 to
    100), `grade`.
    """
    import pandas as pd

    opened = opened_packages(raw)
    log = raw.trades
    mine = np.flatnonzero(np.isin(log["id"], opened["position"]))
    chosen = log[mine]
    package = raw.signals.records["package"][chosen["signal"]] - 1
    legs, expiry = raw.signals.legs[package], raw.signals.packages["expiry"][package]
    entry_session = raw.bars.session[chosen["entry_row"]]
    # not the difference of the prices: an early assignment pays between the two
    gain = chosen["pnl"] + chosen["fees"] - chosen["dividends"]
    paid = chosen["entry_price"] * chosen["qty"] * raw.signals.packages["multiplier"][package]
    rules = dict(zip(opened["position"].tolist(), opened["rule"].tolist(), strict=True))
    modelled = np.array([rules[int(id_)] == codes.PRICE_MODEL for id_ in chosen["id"]], bool)
    return trades.iloc[mine].assign(
        legs=np.array([_legs_text(row) for row in legs], dtype=object),
        expiry=pd.DatetimeIndex(expiry.astype("datetime64[D]").astype("datetime64[ns]")).tz_localize("UTC"),
        dte=expiry - entry_session,
        captured=np.divide(gain, paid, out=np.full(len(chosen), np.nan), where=paid > 0),
        iv_rank=_rank_at(raw, chosen["entry_row"], chosen["sym"]),
        grade=np.where(modelled, "modelled", "quoted"),
    )


def opened_packages(raw: RawRun) -> npt.NDArray[np.void]:
    """Return the fills that opened a package: entries that were priced by quotes of options."""
    fills = raw.fills
    quoted = (fills["rule"] == codes.PRICE_QUOTE) | (fills["rule"] == codes.PRICE_MODEL)
    return np.asarray(fills[(fills["kind"] == codes.KIND_ENTRY) & quoted])


def bucket_of(what: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the names of the buckets that values fall into: "25 to 50"; "unknown" for NaN."""
    numbers = np.asarray(values, np.float64)
    edges = np.array(BUCKETS[what])
    lower = np.concatenate([[0.0], edges[:-1]])
    spans = zip(lower, edges, strict=True)
    names = np.array(
        [f"above {low:g}" if np.isinf(high) else f"{low:g} to {high:g}" for low, high in spans], dtype=object
    )
    place = np.minimum(np.searchsorted(edges, np.nan_to_num(numbers, nan=0.0)), len(edges) - 1)
    return np.where(np.isnan(numbers), "unknown", names[place])


def _legs_text(legs: npt.NDArray[np.void]) -> str:
    parts = []
    for leg in legs[legs["ratio"] > 0]:
        what = f" {leg['strike']:g}{_RIGHTS[int(leg['right'])]}" if leg["right"] else " shares"
        parts.append(f"{int(leg['side'] * leg['ratio']):+d}{what}")
    return " ".join(parts)


def _rank_at(
    raw: RawRun, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    options = raw.bars.options
    if options is None or not options.volatility.size:
        return np.full(len(rows), np.nan)
    ranks = {int(column): np.asarray(iv_rank(options.volatility[:, column])) for column in np.unique(columns)}
    return np.array([ranks[int(column)][row] for row, column in zip(rows, columns, strict=True)], np.float64)
