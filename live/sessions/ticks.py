"""A tick as a bar: one price is open, high, low and close, at one instant, for the symbols that have one.

There is no bar but this one: everything that counts bars (bars held, bars of a cooldown, the life of an order
in bars) counts ticks, every tick may carry signals, and what counts days counts sessions. Between ticks
nothing is missing, so a session of ticks notes no holes.

>>> tick_frame(["A", "B"])
Bars(ticks: 2 symbols, 0 intraday bars)
>>> tick_bar(tick_frame(["A", "B"]), 1_700_000_000_000_000_000, {"B": 20.5}).close
array([[ nan, 20.5]])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from live.sessions.frames import decode_frame, encode_frame
from simulator.bars.clock import session_of

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["tick_bar", "tick_frame"]

_INSTANT: Final = 1  # nanoseconds that a tick lasts: a bar closes after it opens


def tick_frame(
    symbols: Sequence[str],
    *,
    sectors: Mapping[str, str] | None = None,
    calendar: str = "XNYS",
    name: str = "ticks",
) -> Bars:
    """Return what all ticks of a session share: bars without a row.

    Parameters
    ----------
    symbols
        In their order; those that join later come at the end. There may be none yet.
    sectors
        Sector by symbol; a symbol without one counts as unknown.
    calendar
        Whose sessions count.

    Raises
    ------
    DataError
        DATA_SYMBOLS, DATA_CALENDAR.
    """
    from simulator.bars import Bars

    nothing = np.full((1, max(1, len(symbols)), 5), np.nan)
    like = Bars.from_arrays(
        symbols or ("-",), [1], nothing, sectors=dict(sectors or {}), calendar=calendar, daily=False,
        name=name,
    )  # fmt: skip
    if not symbols:
        # arrays without a symbol are refused as a mistake; a session that waits for its first is none
        like = like.replaced(symbols=(), sectors=(), instruments=like.instruments[:0])
    return decode_frame(encode_frame(like))


def tick_bar(like: Bars, ts: int, prices: Mapping[str, float]) -> Bars:
    """Return one tick.

    Parameters
    ----------
    like
        Bars of the symbols that there are: `tick_frame`, or those of the session.
    ts
        Its time, UTC nanoseconds.
    prices
        By symbol, in currency; a symbol without one has no bar. Checked by nobody here: to the step a price
        that is not finite and above 0 is a bad bar, which counts as missing.

    Raises
    ------
    UnknownNameError
        NAME_SYMBOL for a symbol that `like` has not.
    """
    panel = np.full((1, len(like.symbols), 5), np.nan)
    for symbol, price in prices.items():
        panel[0, like.column(symbol)] = (price, price, price, price, 0.0)
    time = np.array([ts], np.int64)
    return like.replaced(
        panel=panel,
        ts=time,
        session=session_of(like.calendar, time),
        session_no=np.zeros(1, np.int64),
        open_ts=time,
        close_ts=time + _INSTANT,
    )
