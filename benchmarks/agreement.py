"""Trades of two engines side by side: nothing is timed before they agree.

A trade table has one row per round trip: symbol column, side, bars and prices of entry and exit, quantity,
fees. An open position is listed at the last close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from simulator.results import Result

COLUMNS = ("symbol", "side", "entry_bar", "exit_bar", "entry_price", "exit_price", "qty", "fees")
EXACT = COLUMNS[:4]
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Agreement:
    """Result of a comparison: trades compared, and the first difference in words where there is one."""

    trades: int
    difference: str = ""

    @property
    def holds(self) -> bool:
        """Whether every trade is the same."""
        return not self.difference


def trade_table(rows: dict[str, Any]) -> pd.DataFrame:
    """Return a trade table in its canonical order."""
    table = pd.DataFrame({name: rows[name] for name in COLUMNS})
    return table.sort_values(["symbol", "entry_bar", "exit_bar"], kind="stable").reset_index(drop=True)


def compare(ours: pd.DataFrame, peer: pd.DataFrame, names: tuple[str, str]) -> Agreement:
    """Compare two trade tables: integers exactly, numbers relative to 1e-9."""
    if len(ours) != len(peer):
        return Agreement(len(peer), f"{names[0]} has {len(ours)} trades, {names[1]} {len(peer)}")
    for name in COLUMNS:
        mine, theirs = ours[name].to_numpy(), peer[name].to_numpy()
        if name in EXACT:
            wrong = mine != theirs
        else:
            wrong = ~(np.abs(mine - theirs) <= TOLERANCE * np.maximum(1.0, np.abs(theirs)))
        if wrong.any():
            index = int(np.argmax(wrong))
            return Agreement(
                len(peer),
                f"{int(wrong.sum())} trades differ in {name}, first: {names[0]} {ours.loc[index].to_dict()}, "
                f"{names[1]} {peer.loc[index].to_dict()}",
            )
    return Agreement(len(peer))


def from_result(result: Result, ts: npt.NDArray[np.int64], symbols: tuple[str, ...]) -> pd.DataFrame:
    """Return the trade table of a Twinstep result on bars with labels `ts`."""
    trades = result.trades
    columns = {name: index for index, name in enumerate(symbols)}
    return trade_table(
        {
            "symbol": [columns[str(name)] for name in trades["symbol"]],
            "side": trades["side"].to_numpy(np.int64),
            "entry_bar": np.searchsorted(ts, _nanoseconds(trades["entry_time"])),
            "exit_bar": np.searchsorted(ts, _nanoseconds(trades["exit_time"])),
            "entry_price": trades["entry_price"].to_numpy(),
            "exit_price": trades["exit_price"].to_numpy(),
            "qty": trades["qty"].to_numpy(),
            "fees": trades["fees"].to_numpy(),
        }
    )


def _nanoseconds(times: pd.Series[Any]) -> npt.NDArray[np.int64]:
    stamps = pd.DatetimeIndex(times)
    if stamps.tz is not None:
        stamps = stamps.tz_convert("UTC").tz_localize(None)
    return stamps.to_numpy("datetime64[ns]").astype(np.int64)
