"""The numbers that a report draws: thinned, packed and bounded, so that the file stays below a megabyte.

Curves keep the first, lowest, highest and last value of every bucket of bars, so that no drawdown is lost.
Prices become candles of `k` bars each, with integers for prices: the close as a step from the close before,
the open as a step from the close before, high and low as distances from the body. Sizes are bounded by the
constants below; what is left out is counted, and the report says so.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.types import ExitReason

if TYPE_CHECKING:
    from simulator.results.result import Result

__all__ = ["histogram_of", "page_data"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CURVE_POINTS: Final = 4_000
SYMBOLS: Final = 22
CANDLES: Final = 28_000  # of all symbols together; about 20 bytes each
CANDLES_PER_SYMBOL: Final = 6_000
TRADES: Final = 1_000
_SIGNIFICANT: Final = 5  # digits of a price that are kept


def page_data(result: Result) -> dict[str, Any]:
    """Return what the report's script reads, as plain values."""
    rows = result.raw.seen
    symbols, trades = _chosen(result)
    return {
        "rows": rows,
        "daily": result.raw.bars.daily,
        "currency_digits": 0 if abs(result.raw.cash) >= 10_000 else 2,
        "curves": _curves(result),
        "prices": _prices(result, symbols),
        "trades": [_trade(result, int(index), symbols) for index in trades],
        "reasons": ExitReason.labels(),
        "tags": list(result.raw.tags),
        "left_out": {
            "symbols": len(np.unique(result.raw.trades["sym"])) - len(symbols),
            "trades": len(result.raw.trades) - len(trades),
        },
    }


def histogram_of(values: Floats, *, most: int = 41) -> list[dict[str, float]]:
    """Return bins of width 0.5, or twice that and so on, around 0; the outermost bins take what lies beyond.

    Bins are centred on multiples of their width, because outcomes gather at -1 R: an edge there would split
    the stops by their slippage.

    Each bin has `low`, `high` and `count`; values that are not finite are left out.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    low, high = np.quantile(known, [0.002, 0.998])
    width = 0.5
    while math.floor(high / width + 0.5) - math.floor(low / width + 0.5) >= most:
        width *= 2
    first, last = math.floor(low / width + 0.5), math.floor(high / width + 0.5)
    place = np.clip(np.floor(known / width + 0.5), first, last).astype(np.int64)
    counts = np.bincount(place - first, minlength=last - first + 1)
    return [
        {"low": (first + i - 0.5) * width, "high": (first + i + 0.5) * width, "count": int(count)}
        for i, count in enumerate(counts)
    ]


def _chosen(result: Result) -> tuple[Ints, Ints]:
    # the symbols with most trades, and of all trades those with the largest profits and losses
    log = result.raw.trades
    symbols, counts = np.unique(log["sym"], return_counts=True)
    symbols = symbols[np.argsort(-counts, kind="stable")][:SYMBOLS]
    trades = np.arange(len(log))
    if len(trades) > TRADES:
        trades = np.sort(np.argsort(-np.abs(log["pnl"]), kind="stable")[:TRADES])
    return symbols, trades


def _trade(result: Result, index: int, symbols: Ints) -> list[Any]:
    trade = result.raw.trades[index]
    at = np.flatnonzero(symbols == trade["sym"])
    return [
        int(trade["id"]),
        int(at[0]) if len(at) else -1,
        result.raw.bars.symbols[int(trade["sym"])],
        int(trade["side"]),
        int(trade["entry_row"]),
        int(trade["exit_row"]),
        _short(trade["entry_price"]),
        _short(trade["exit_price"]),
        _short(trade["stop"]),
        _short(trade["qty"], 9),
        round(float(trade["pnl"]), 2),
        _short(trade["r_multiple"], 4),
        _short(trade["mae"], 4),
        _short(trade["mfe"], 4),
        int(trade["bars_held"]),
        int(trade["exit_reason"]),
        int(trade["tag"]),
        _unix(trade["entry_ts"]),
        _unix(trade["exit_ts"]),
        *(_short(level) for level in _levels(result, trade)),
    ]


def _levels(result: Result, trade: np.void) -> tuple[float, float]:
    # Where a trade stands on its chart: at its prices, a package of options at closes of the underlying.
    if int(trade["id"]) not in result.package_ids:
        return float(trade["entry_price"]), float(trade["exit_price"])
    close = result.raw.bars.close[:, int(trade["sym"])]
    return float(close[trade["entry_row"]]), float(close[trade["exit_row"]])


def _curves(result: Result) -> dict[str, Any]:
    equity = result.raw.equity["equity"]
    drawdown = np.asarray(result.drawdown, np.float64)
    kept = _thinned(equity, drawdown)
    return {
        "row": _steps(kept),
        "time": _steps(result.raw.bars.ts[kept] // 1_000_000_000),
        "equity": [_short(value, 7) for value in equity[kept]],
        "benchmark": [_short(value, 7) for value in result.benchmark.to_numpy()[kept]],
        "drawdown": [round(float(value), 5) for value in drawdown[kept]],
        "name": result.benchmark_name,
    }


def _thinned(equity: Floats, drawdown: Floats) -> Ints:
    """Return rows that keep the extremes of both curves, at most about `CURVE_POINTS`."""
    n = len(equity)
    if n <= CURVE_POINTS:
        return np.arange(n)
    edges = np.linspace(0, n, CURVE_POINTS // 4 + 1).astype(np.int64)
    kept = {0, n - 1, int(np.argmin(drawdown))}
    for first, end in pairwise(edges.tolist()):
        part = equity[first:end]
        kept.update((first, first + int(np.argmin(part)), first + int(np.argmax(part))))
    return np.array(sorted(kept), np.int64)


def _prices(result: Result, symbols: Ints) -> dict[str, Any]:
    bars = result.raw.bars
    rows = result.raw.seen
    cap = max(min(CANDLES_PER_SYMBOL, CANDLES // max(len(symbols), 1)), 1)
    k = max(-(-rows // cap), 1)
    starts = np.arange(0, rows, k)
    return {
        "k": k,
        "time": _steps(bars.ts[starts] // 1_000_000_000),
        "symbols": [
            {"name": bars.symbols[int(sym)], **_candles(bars.panel[:rows, int(sym), :4], starts, k)}
            for sym in symbols
        ],
    }


def _candles(prices: Floats, starts: Ints, k: int) -> dict[str, Any]:
    padded = np.full((len(starts) * k, 4), np.nan)
    padded[: len(prices)] = prices
    block = padded.reshape(len(starts), k, 4)
    known = np.isfinite(block[:, :, 3])
    present = np.flatnonzero(known.any(axis=1))
    block, known = block[present], known[present]
    each = np.arange(len(present))
    opened = block[each, np.argmax(known, axis=1), 0]
    closed = block[each, k - 1 - np.argmax(known[:, ::-1], axis=1), 3]
    high, low = np.nanmax(block[:, :, 1], axis=1), np.nanmin(block[:, :, 2], axis=1)
    # ticks: enough digits for the smallest typical price
    digits = _SIGNIFICANT - 1 - math.floor(math.log10(float(np.median(closed))))
    digits = min(max(digits, 0), 10)
    o, h, lo, c = (np.rint(values * 10.0**digits).astype(np.int64) for values in (opened, high, low, closed))
    before = np.concatenate([[0], c[:-1]])
    return {
        "digits": digits,
        "at": None if len(present) == len(starts) else _steps(present),
        "close": (c - before).tolist(),
        "open": (o - before).tolist(),
        "high": (h - np.maximum(o, c)).tolist(),
        "low": (np.minimum(o, c) - lo).tolist(),
    }


def _steps(values: Ints) -> list[int]:
    return [int(value) for value in np.diff(values, prepend=0)]


def _short(value: float, digits: int = 6) -> float | None:
    number = float(value)
    if not math.isfinite(number):
        return None
    rounded = float(f"{number:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded


def _unix(ts: int) -> int:
    return int(ts) // 1_000_000_000
