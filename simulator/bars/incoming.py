"""What comes in as bars, checked: symbols, times, the panel, spreads, closing instants and the origin.

Each returns the value in the form that `Bars` keeps, or raises with what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import FIELDS, Floats, Ints, stamp
from simulator.errors import DataError, UnknownNameError, did_you_mean

__all__ = [
    "check_closes", "check_origin", "check_panel", "check_spread", "check_symbols", "check_times",
    "unknown_symbol",
]  # fmt: skip


def check_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """Return symbols as a tuple; raises `DataError` DATA_EMPTY without any, DATA_SYMBOLS for bad ones."""
    names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    if not names:
        raise DataError("no symbols: bars need at least one", code="DATA_EMPTY")
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"symbol {name!r} is not a non-empty text", code="DATA_SYMBOLS")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"symbols occur more than once: {', '.join(twice[:5])}", code="DATA_SYMBOLS")
    return names


def check_times(ts: npt.ArrayLike, name: str) -> Ints:
    """Return labels as strictly increasing int64 UTC ns, shape (T,).

    Raises `DataError` DATA_TIME, DATA_EMPTY, DATA_DUPLICATE, DATA_UNSORTED; `name` is that of the bars.
    """
    times = np.asarray(ts)
    if times.dtype.kind == "M":
        times = times.astype("datetime64[ns]").astype(np.int64)
    if times.ndim != 1 or times.dtype.kind not in "iu":
        raise DataError(
            f"{name}: ts must be one row of int64 UTC nanoseconds or datetime64, not {times.dtype} of shape "
            f"{times.shape}",
            code="DATA_TIME",
        )
    if not times.size:
        raise DataError(f"{name}: no bars", code="DATA_EMPTY")
    times = np.ascontiguousarray(times, np.int64)
    steps = np.diff(times)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0]) + 1
        code, what = ("DATA_DUPLICATE", "equals") if steps[at - 1] == 0 else ("DATA_UNSORTED", "is before")
        raise DataError(
            f"{name}: the time of row {at}, {stamp(times[at])}, {what} the one before, "
            f"{stamp(times[at - 1])}; times must increase strictly",
            code=code,
        )
    return times


def check_panel(panel: npt.ArrayLike, rows: int, columns: int, name: str) -> Floats:
    """Return a C-contiguous float64 panel of shape (rows, columns, 5).

    Raises `DataError` DATA_SHAPE, DATA_TYPE; a panel that fits is not copied.
    """
    block = np.asarray(panel)
    if block.shape != (rows, columns, len(FIELDS)):
        raise DataError(
            f"{name}: the panel has shape {block.shape}, expected {(rows, columns, len(FIELDS))} = (times, "
            f"symbols, [open, high, low, close, volume])",
            code="DATA_SHAPE",
        )
    if block.dtype.kind not in "fiu":
        raise DataError(f"{name}: the panel holds {block.dtype}, expected numbers", code="DATA_TYPE")
    return np.ascontiguousarray(block, np.float64)


def check_spread(spread: npt.ArrayLike | None, shape: tuple[int, ...]) -> Floats:
    """Return spreads of shape (T, S), or (0, 0) where none are known.

    Raises `DataError` DATA_SHAPE, DATA_SPREAD for a negative one.
    """
    if spread is None:
        return np.zeros((0, 0))
    block = np.ascontiguousarray(spread, np.float64)
    if not block.size:
        return np.zeros((0, 0))
    if block.shape != shape:
        raise DataError(f"spread has shape {block.shape}, expected {shape}", code="DATA_SHAPE")
    if (block < 0).any():
        row, column = np.argwhere(block < 0)[0]
        raise DataError(
            f"spread {block[row, column]} at row {row}, column {column} is negative: bid above ask?",
            code="DATA_SPREAD",
        )
    return block


def check_closes(close_ts: npt.ArrayLike, times: Ints) -> Ints:
    """Return closing instants, shape (T,); raises `DataError` DATA_TIME unless each is after its opening."""
    closes = np.ascontiguousarray(close_ts, np.int64)
    if closes.shape != times.shape or (closes <= times).any() or (np.diff(closes) <= 0).any():
        raise DataError(
            "close_ts must hold one increasing instant per bar, each after the bar's opening",
            code="DATA_TIME",
        )
    return closes


def check_origin(origin: str) -> str:
    """Return an origin; raises `DataError` DATA_ORIGIN for a word that is none."""
    if origin not in ("real", "synthetic", "user"):
        raise DataError(f"origin {origin!r} is not one of real, synthetic, user", code="DATA_ORIGIN")
    return origin


def unknown_symbol(symbol: object, symbols: tuple[str, ...], name: str) -> UnknownNameError:
    """Return the error for a symbol that the bars called `name` do not have."""
    near = did_you_mean(str(symbol), symbols)
    if not near.startswith(" Did") and len(symbols) > 20:
        near = f" It has {len(symbols)} symbols, {symbols[0]} to {symbols[-1]}."
    return UnknownNameError(f"{name} has no symbol {symbol!r}.{near}", code="NAME_SYMBOL")
