"""The numbers that a report draws: thinned, packed and bounded, so that the file stays below a megabyte.

Curves keep the first, lowest, highest and last value of every bucket of bars, so that no drawdown is lost.
Prices become candles of `k` bars each, with integers for prices: the close as a step from the close before,
the open as a step from the close before, high and low as distances from the body. Sizes are bounded by the
constants below; what is left out is counted, and the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.kernel import codes
from simulator.results.greeks import GREEK_UNITS
from simulator.results.payoff import Payoff, payoffs
from simulator.types import ExitReason

if TYPE_CHECKING:
    from simulator.results.result import Result

__all__ = ["page_data"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CURVE_POINTS: Final = 4_000
SYMBOLS: Final = 22
CANDLES: Final = 28_000  # of all symbols together; about 20 bytes each
CANDLES_PER_SYMBOL: Final = 6_000
TRADES: Final = 1_000
PACKAGES: Final = 250  # with a payoff diagram; about 450 bytes each
_SIGNIFICANT: Final = 5  # digits of a price that are kept


def page_data(result: Result) -> dict[str, Any]:
    """Return what the report's script reads, as plain values."""
    rows = result.raw.seen
    symbols, trades = _chosen(result)
    packages = _packages_of(result, trades)
    return {
        "rows": rows,
        "daily": result.raw.bars.daily,
        "currency_digits": 0 if abs(result.raw.cash) >= 10_000 else 2,
        "curves": _curves(result),
        "exposure": _exposure(result),
        "prices": _prices(result, symbols),
        "trades": [_trade(result, int(index), symbols) for index in trades],
        "packages": [_package(one) for one in payoffs(result.raw, result.raw.trades["id"][packages])],
        "package_shown": _shown_first(result, packages),
        "reasons": ExitReason.labels(),
        "tags": list(result.raw.tags),
        "left_out": {
            "symbols": len(np.unique(result.raw.trades["sym"])) - len(symbols),
            "trades": len(result.raw.trades) - len(trades),
            "packages": len(result.package_ids) - len(packages),
        },
    }


def _chosen(result: Result) -> tuple[Ints, Ints]:
    # the symbols with most trades, and of all trades those with the largest profits and losses
    log = result.raw.trades
    symbols, counts = np.unique(log["sym"], return_counts=True)
    symbols = symbols[np.argsort(-counts, kind="stable")][:SYMBOLS]
    trades = np.arange(len(log))
    if len(trades) > TRADES:
        trades = np.sort(np.argsort(-np.abs(log["pnl"]), kind="stable")[:TRADES])
    return symbols, trades


def _packages_of(result: Result, trades: Ints) -> Ints:
    # among the trades that the page lists: open ones, then those with the largest profits and losses
    log = result.raw.trades
    mine = trades[np.isin(log["id"][trades], list(result.package_ids))]
    ended = log["exit_reason"][mine] != codes.EXIT_END_OF_DATA
    order = np.lexsort((-np.abs(log["pnl"][mine]), ended))
    return np.sort(mine[order[:PACKAGES]])


def _shown_first(result: Result, packages: Ints) -> int:
    """Return the place of the diagram to begin with, what went worst; -1 where there is none."""
    return int(np.argmin(result.raw.trades["pnl"][packages])) if len(packages) else -1


def _package(one: Payoff) -> list[Any]:
    return [
        one.trade,
        [[units, right, _short(strike, 9), days] for units, right, strike, days in one.legs],
        _short(one.entry_spot, 7),
        _short(one.exit_spot, 7),
        _short(one.realised),
        _short(one.spots[0], 9),
        _short(one.spots[-1], 9),
        [_short(value, 5) for value in one.now] if np.isfinite(one.now).all() else None,
        [
            [_short(price, 7), _short(profit)]
            for price, profit in zip(one.corners, one.expiry, strict=True)
            if math.isfinite(profit)
        ],
        [_short(price) for price in one.break_evens],
    ]


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
    kept = _thinned([equity], {int(np.argmin(drawdown))} if len(drawdown) else set())
    return {
        "row": _steps(kept),
        "time": _steps(result.raw.bars.ts[kept] // 1_000_000_000),
        "equity": [_short(value, 7) for value in equity[kept]],
        "benchmark": [_short(value, 7) for value in result.benchmark.to_numpy()[kept]],
        "drawdown": [round(float(value), 5) for value in drawdown[kept]],
        "name": result.benchmark_name,
    }


def _exposure(result: Result) -> dict[str, Any]:
    # heat, and Greeks where packages were traded; without `row` and `time` those of the curves hold
    heat = result.raw.equity["heat"]
    greeks = result.greeks if result.package_ids else None
    columns = [] if greeks is None else [greeks[name].to_numpy(np.float64) for name in GREEK_UNITS]
    limit = result.raw.risk.max_portfolio_heat_pct / 100.0 if result.raw.risk is not None else None
    kept = _thinned([heat, *columns])
    thin = len(kept) < len(heat)
    return {
        "row": _steps(kept) if thin else None,
        "time": _steps(result.raw.bars.ts[kept] // 1_000_000_000) if thin else None,
        "heat": [_short(round(float(value), 5)) for value in heat[kept]],
        "limit": limit,
        "greeks": None
        if greeks is None
        else {
            name: [_short(value, 4) for value in column[kept]]
            for name, column in zip(GREEK_UNITS, columns, strict=True)
        },
    }


def _thinned(columns: Sequence[Floats], also: Set[int] = frozenset()) -> Ints:
    """Return rows that keep the extremes of some curves, at most about `CURVE_POINTS`."""
    n = len(columns[0])
    if n <= CURVE_POINTS:
        return np.arange(n)
    per_bucket = 2 + 2 * len(columns)
    edges = np.linspace(0, n, CURVE_POINTS // per_bucket + 1).astype(np.int64)
    kept = {0, n - 1, *also}
    for first, end in pairwise(edges.tolist()):
        kept.add(first)
        for column in columns:
            kept.update(first + at for at in _extremes(column[first:end]))
    return np.array(sorted(kept), np.int64)


def _extremes(part: Floats) -> set[int]:
    known = np.isfinite(part)
    if known.all():
        return {int(np.argmin(part)), int(np.argmax(part))}
    # a gap is kept as one: its bars are unknown, not between their neighbours
    gap = {int(np.argmin(known))}
    return gap | {int(np.nanargmin(part)), int(np.nanargmax(part))} if known.any() else gap


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
