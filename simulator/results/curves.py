"""Curves: equity, drawdown and returns by session, of an account and of what it is compared with.

All are plain arrays over the bars that a run has seen; `Result` puts times on them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import DataError
from simulator.kernel import codes

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.results.raw import RawRun

__all__ = [
    "buy_and_hold",
    "deposits_of",
    "drawdown_of",
    "held_beside",
    "session_ends",
    "session_returns",
    "values_at",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE: Final = 3


def deposits_of(raw: RawRun) -> Floats | None:
    """Return what was paid in (negative: out) before each bar's orders, shape (n,) over the equity log.

    None where nothing was.
    """
    if raw.account["command_seq"][0] == 0:
        return None  # money moves on command alone
    events = raw.events
    chosen = (events["kind"] == codes.KIND_ACCOUNT) & (events["reason"] == codes.REASON_DEPOSIT)
    if not chosen.any():
        return None
    paid = np.zeros(raw.seen)
    np.add.at(paid, events["row"][chosen], events["price"][chosen])
    return paid


def drawdown_of(equity: Floats, cash: float, deposits: Floats | None) -> Floats:
    """Return equity / highest equity so far - 1 (n,); a deposit raises the peak by as much."""
    paid = 0.0 if deposits is None else np.cumsum(deposits)
    peak = np.maximum(np.maximum.accumulate(equity - paid), cash) + paid
    return np.asarray(equity / peak - 1.0)


_ENDS: weakref.WeakKeyDictionary[Bars, Ints] = weakref.WeakKeyDictionary()


def session_ends(bars: Bars, seen: int) -> Ints:
    """Return the last row of each session among the first `seen` bars, shape (sessions,)."""
    if bars not in _ENDS:
        # the same for every run over these bars: worth keeping
        _ENDS[bars] = np.flatnonzero(np.diff(bars.session_no))
    if not seen:
        return np.zeros(0, np.int64)
    complete = _ENDS[bars][: np.searchsorted(_ENDS[bars], seen - 1)]
    return np.append(complete, seen - 1)


def session_returns(last: Floats, cash: float, deposits: Floats | None, ends: Ints) -> Floats:
    """Return simple returns of sessions (sessions,) from their last equity and their last rows.

    0 where nothing was left at a session's start.
    """
    base = np.concatenate([[cash], last[:-1]])
    if deposits is not None:
        base += np.diff(np.cumsum(deposits)[ends], prepend=0.0)
    return np.where(base > 0, last / np.where(base > 0, base, 1.0) - 1.0, 0.0)


_HELD: weakref.WeakKeyDictionary[Bars, Floats] = weakref.WeakKeyDictionary()


def buy_and_hold(bars: Bars, symbols: Iterable[int] | None = None) -> Floats:
    """Return the worth of 1, spread equally over symbols at their first closes and left alone (T,).

    The share of a symbol that is not quoted yet waits as cash; one that is no longer quoted keeps its last
    close. A symbol without any close stays cash.
    """
    if symbols is None:
        # the default benchmark of every run over these bars: worth keeping
        if bars not in _HELD:
            _HELD[bars] = buy_and_hold(bars, range(len(bars.symbols)))
        return _HELD[bars]
    columns = list(symbols)
    total = np.zeros(len(bars))
    for column in columns:
        close = bars.panel[:, column, _CLOSE]
        known = close == close
        if not known.any():
            total += 1.0
            continue
        first = int(np.argmax(known))
        if not known[first:].all():
            at = np.maximum.accumulate(np.where(known, np.arange(len(close)), first))
            close = close[at]
        total[:first] += 1.0
        total[first:] += close[first:] / close[first]
    return total / max(len(columns), 1)


def held_beside(benchmark: Bars, bars: Bars) -> Floats:
    """Return `buy_and_hold` of other bars at the closes of `bars` (T,), relative to the first known value.

    Daily bars meet by session, intraday bars by the instant at which they are complete. NaN before the
    benchmark begins; raises `DataError` DATA_BENCHMARK where it begins after the last bar.
    """
    worth = buy_and_hold(benchmark)
    if benchmark.daily or bars.daily:
        at = np.searchsorted(benchmark.session, bars.session, side="right") - 1
    else:
        at = np.searchsorted(benchmark.close_ts, bars.close_ts, side="right") - 1
    if len(at) and at[-1] < 0:
        raise _too_late()
    return _relative(np.where(at >= 0, worth[np.maximum(at, 0)], np.nan))


def values_at(series: pd.Series[float], times: Ints) -> Floats:
    """Return the last value of a series at or before each time (UTC ns), relative to the first of them.

    Raises `DataError` DATA_BENCHMARK for one without times or numbers, or that starts after the last bar.
    """
    import pandas as pd

    if not isinstance(series, pd.Series):
        raise DataError(
            f"the benchmark is {type(series).__name__}; it may be a Series of prices, Bars or a symbol",
            code="DATA_BENCHMARK",
        )
    if not isinstance(series.index, pd.DatetimeIndex):
        raise DataError(
            f"the benchmark is indexed by {type(series.index).__name__}; a benchmark is a Series of prices "
            "with a DatetimeIndex",
            code="DATA_BENCHMARK",
        )
    clean = series.dropna().sort_index()
    values = clean.to_numpy(np.float64)
    index = pd.DatetimeIndex(clean.index)
    index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    known = index.as_unit("ns").asi8
    if not len(values) or (len(times) and known[0] > times[-1]):
        raise _too_late()
    if (values <= 0).any():
        raise DataError(
            f"the benchmark is {values[values <= 0][0]:g} at {clean.index[int(np.argmax(values <= 0))]}; it "
            "must be prices or an index above 0, not returns",
            code="DATA_BENCHMARK",
        )
    at = np.searchsorted(known, times, side="right") - 1
    return _relative(np.where(at >= 0, values[np.maximum(at, 0)], np.nan))


def _relative(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    return np.asarray(values / known[0]) if len(known) else values


def _too_late() -> DataError:
    return DataError(
        "the benchmark has no value up to the last bar; does it cover the same dates as the bars?",
        code="DATA_BENCHMARK",
    )
