"""What both sides of a comparison share: prices, the plain trade, our own run, and the comparison.

A trade here is what every engine can tell: side, bar and price of entry and exit, quantity, fees. Bars are
counted from 0; `open` marks a position that the data end before its exit, marked at the last close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator import Bars, Costs, Signals, backtest
from simulator.conventions import Conventions

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FIRST_DAY = np.datetime64("2001-01-01", "ns")
DAY = np.timedelta64(1, "D")
CASH = 1e12
"""Ample: no engine ever shrinks an order for want of it."""
TOLERANCE = 1e-9


class PeerTrade(NamedTuple):
    """One round trip of one symbol, as any engine reports it."""

    side: int
    entry_bar: int
    exit_bar: int
    entry_price: float
    exit_price: float
    qty: float
    fees: float
    open: bool


class Prices(NamedTuple):
    """Open, high, low and close of one symbol, each of shape (T,)."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats

    def __len__(self) -> int:
        return len(self.open)


def random_walk(rng: np.random.Generator, bars: int) -> Prices:
    """Return a random walk with gaps, wicks and the odd bar without any range.

    Volatility is drawn per walk, 0.4 to 4 % a bar; one bar in twenty opens with a gap of several times that.
    """
    volatility = rng.uniform(0.004, 0.04)
    gap = rng.normal(0.0, 0.4 * volatility, bars)
    gap[rng.random(bars) < 0.05] *= rng.uniform(4.0, 10.0)
    body = rng.normal(0.0, volatility, bars)
    wick = np.abs(rng.normal(0.0, 0.6 * volatility, (2, bars)))
    still = rng.random(bars) < 0.03
    body[still] = 0.0
    wick[:, still] = 0.0
    wick[0, rng.random(bars) < 0.1] = 0.0
    wick[1, rng.random(bars) < 0.1] = 0.0
    log_close = np.log(rng.uniform(20.0, 200.0)) + np.cumsum(gap + body)
    close = np.exp(log_close)
    open_ = np.exp(log_close - body)
    open_[still] = close[still]
    high = np.maximum(open_, close) * np.exp(wick[0])
    low = np.minimum(open_, close) * np.exp(-wick[1])
    return Prices(open_, high, low, close)


def days(count: int) -> npt.NDArray[np.datetime64]:
    """Return consecutive midnights; a calendar without holidays makes bar numbers and days the same."""
    return FIRST_DAY + np.arange(count) * DAY


def bars_of(prices: Prices, name: str = "X") -> Bars:
    """Return one symbol's prices as `Bars` without a tick, so that no order price is rounded."""
    panel = np.stack([*prices, np.full(len(prices), 1e9)], axis=-1)[:, None, :]
    return Bars.from_arrays(
        [name], days(len(prices)), panel, calendar="24/7", instruments={name: {"tick": 0.0}}, guard="note"
    )


def our_trades(
    prices: Prices,
    signals: pd.DataFrame | Mapping[str, Any],
    *,
    conventions: str | Conventions,
    costs: Costs | None = None,
) -> list[PeerTrade]:
    """Run Twinstep without its risk manager and return its trades in order of entry.

    `signals` has a column `row` (bar number) and `side`, and any other column of `Signals`, scalar or array.
    """
    bars = bars_of(prices)
    columns = dict(signals)
    rows = np.asarray(columns.pop("row"), np.int64)
    side = columns.pop("side")
    given = Signals.from_arrays(bars, rows, np.zeros(len(rows), np.int64), side, **columns)
    result = backtest(bars, given, cash=CASH, risk=None, costs=costs, conventions=conventions)
    return plain(result.trades, len(prices))


def plain(trades: pd.DataFrame, bars: int) -> list[PeerTrade]:
    """Turn `result.trades` of a run on `bars_of` prices into plain trades, in order of entry."""
    stamps = days(bars).astype("datetime64[ns]").astype(np.int64)
    entry = np.searchsorted(stamps, _nanoseconds(trades["entry_time"]))
    exit_ = np.searchsorted(stamps, _nanoseconds(trades["exit_time"]))
    found = [
        PeerTrade(
            int(side), int(first), int(last), float(bought), float(sold), float(qty), float(fees),
            reason == "end_of_data",
        )
        for side, first, last, bought, sold, qty, fees, reason in zip(
            trades["side"], entry, exit_, trades["entry_price"], trades["exit_price"], trades["qty"],
            trades["fees"], trades["exit_reason"], strict=True,
        )
    ]  # fmt: skip
    return sorted(found, key=lambda trade: (trade.entry_bar, trade.exit_bar))


def _nanoseconds(times: pd.Series[Any]) -> npt.NDArray[np.int64]:
    stamps = pd.DatetimeIndex(times)
    if stamps.tz is not None:
        stamps = stamps.tz_convert("UTC").tz_localize(None)
    return stamps.to_numpy("datetime64[ns]").astype(np.int64)


def differences(
    ours: Sequence[PeerTrade], peers: Sequence[PeerTrade], tolerance: float = TOLERANCE
) -> list[str]:
    """Return one line per trade that differs; bars exactly, prices, quantities and fees to `tolerance`."""
    lines = []
    for index in range(max(len(ours), len(peers))):
        mine = ours[index] if index < len(ours) else None
        theirs = peers[index] if index < len(peers) else None
        if mine is None or theirs is None or not same_trade(mine, theirs, tolerance):
            lines.append(f"trade {index}: ours {mine} peer {theirs}")
    return lines


def same_trade(mine: PeerTrade, theirs: PeerTrade, tolerance: float = TOLERANCE) -> bool:
    """Whether two trades are the same one: bars, side and state exactly, numbers relative to `tolerance`."""
    if (mine.side, mine.entry_bar, mine.exit_bar, mine.open) != (
        theirs.side, theirs.entry_bar, theirs.exit_bar, theirs.open,
    ):  # fmt: skip
        return False
    numbers = (
        (mine.entry_price, theirs.entry_price),
        (mine.exit_price, theirs.exit_price),
        (mine.qty, theirs.qty),
    )
    fees = abs(mine.fees - theirs.fees) <= tolerance * max(1.0, abs(theirs.fees))
    return fees and all(abs(a - b) <= tolerance * max(1.0, abs(b)) for a, b in numbers)
