"""The work: prices and signals as plain arrays, the same for every engine, seeded.

Signals are known at the close of a bar and execute at the next open. Stops, trails and targets are fractions
of a reference price: of the fill where an engine can do that, of the signal's close otherwise.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_NS = 86_400_000_000_000
MINUTE_NS = 60_000_000_000
FIRST_DAY = int(np.datetime64("2001-01-01", "ns").astype(np.int64))
PORTFOLIO_FILE = "sp500_505stocks_2013_2018.csv.gz"
SECTOR_FILE = "sp500_constituents_gics.csv"
PORTFOLIO_SYMBOLS = 500
PORTFOLIO_BARS = 1259


@dataclass(frozen=True)
class Market:
    """Prices of shape (T, S), labels of shape (T,) in UTC ns, and where they come from."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    ts: Ints
    symbols: tuple[str, ...]
    sectors: dict[str, str]
    origin: str

    @property
    def shape(self) -> tuple[int, int]:
        """Bars and symbols."""
        return self.close.shape[0], self.close.shape[1]


@dataclass(frozen=True)
class Plan:
    """Signals of one account, sorted by row: bar of knowledge, symbol column, side, quantity."""

    row: Ints
    symbol: Ints
    side: Ints
    qty: Floats
    stop: float
    target: float


@dataclass(frozen=True)
class SweepWork:
    """One symbol and many lanes: each with its own signals, trail and target."""

    market: Market
    row: list[Ints]
    side: list[Ints]
    trail: Floats
    target: Floats
    qty: float
    fees: float
    slippage: float

    @property
    def lanes(self) -> int:
        """Number of parameter sets."""
        return len(self.row)


def random_walk(bars: int, symbols: int, seed: int, volatility: float = 0.016) -> tuple[Floats, ...]:
    """Return open, high, low and close of shape (bars, symbols): a random walk with overnight gaps."""
    rng = np.random.default_rng(seed)
    shape = (bars, symbols)
    gap = rng.normal(0.0, 0.4 * volatility, shape)
    body = rng.normal(0.0, volatility, shape)
    log_close = np.log(100.0) + np.cumsum(gap + body, axis=0)
    close = np.exp(log_close)
    open_ = np.exp(log_close - body)
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.5 * volatility, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.5 * volatility, shape)))
    return open_, high, low, close


def sweep_work(lanes: int, bars: int, density: float, seed: int = 11) -> SweepWork:
    """Return lanes over one random walk; `density` is the share of bars with a signal, half of them short."""
    market = _walk_market(bars, 1, seed)
    rng = np.random.default_rng(seed + 1)
    draw = rng.random((lanes, bars))
    rows, sides = [], []
    for lane in range(lanes):
        row = np.flatnonzero(draw[lane] < density)
        rows.append(row.astype(np.int64))
        sides.append(np.where(draw[lane, row] < density / 2, 1, -1).astype(np.int64))
    return SweepWork(
        market=market,
        row=rows,
        side=sides,
        trail=rng.uniform(0.02, 0.08, lanes),
        target=rng.uniform(0.03, 0.15, lanes),
        qty=100.0,
        fees=0.0005,
        slippage=0.0002,
    )


def _walk_market(bars: int, symbols: int, seed: int, volatility: float = 0.016, step: int = DAY_NS) -> Market:
    open_, high, low, close = random_walk(bars, symbols, seed, volatility)
    return Market(
        open=open_,
        high=high,
        low=low,
        close=close,
        ts=FIRST_DAY + np.arange(bars, dtype=np.int64) * step,
        symbols=tuple(f"S{index:03d}" for index in range(symbols)),
        sectors={},
        origin="synthetic (seeded random walk)",
    )


def long_work(bars: int, seed: int = 23, density: float = 0.02) -> tuple[Market, Plan]:
    """Return minute bars of one symbol, and brackets that win and lose little: the account stays solvent.

    The log price is pulled back to its start, so that a million bars end where they began.
    """
    rng = np.random.default_rng(seed)
    volatility = 0.001
    shocks = rng.normal(0.0, volatility, bars)
    log_close = np.log(100.0) + _pulled_back(shocks, 2e-5)
    close = np.exp(log_close)
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.1 * volatility, bars))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.5 * volatility, bars)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.5 * volatility, bars)))
    market = Market(
        open=open_[:, None],
        high=high[:, None],
        low=low[:, None],
        close=close[:, None],
        ts=FIRST_DAY + np.arange(bars, dtype=np.int64) * MINUTE_NS,
        symbols=("MIN",),
        sectors={},
        origin="synthetic (seeded, mean reverting)",
    )
    draw = rng.random(bars)
    row = np.flatnonzero(draw < density).astype(np.int64)
    side = np.where(draw[row] < density / 2, 1, -1).astype(np.int64)
    return market, _plan(row, np.zeros(len(row), np.int64), side, np.full(len(row), 10.0), 0.003, 0.006)


def _pulled_back(shocks: Floats, strength: float) -> Floats:
    # level[t] = (1 - strength) * level[t - 1] + shocks[t]
    level = 0.0
    out = []
    for shock in shocks.tolist():
        level += shock - strength * level
        out.append(level)
    return np.array(out)


def _plan(row: Ints, symbol: Ints, side: Ints, qty: Floats, stop: float, target: float) -> Plan:
    return Plan(row, symbol, side, qty, stop, target)


def data_folder() -> Path | None:
    """Return the folder of validation data, or None: `TWINSTEP_VALIDATION_DATA`, else `../shared/data`."""
    given = os.environ.get("TWINSTEP_VALIDATION_DATA")
    places = [Path(given)] if given else [Path(__file__).resolve().parents[1].parent / "shared" / "data"]
    for place in places:
        if (place / PORTFOLIO_FILE).is_file():
            return place
    return None


@functools.cache
def portfolio_market(symbols: int = PORTFOLIO_SYMBOLS, bars: int = PORTFOLIO_BARS) -> Market:
    """Return 500 US stocks, daily, 2013 to 2018; a synthetic market of that size where the data are absent.

    backtrader starts only when every feed has begun, so gaps are filled: a missing bar stands still at the
    last close, or at the first open before a listing. No engine sees anything else.
    """
    folder = data_folder()
    if folder is None:
        return _walk_market(bars, symbols, 5)
    import pandas as pd

    table = pd.read_csv(folder / PORTFOLIO_FILE, parse_dates=["date"])
    counts = table["symbol"].value_counts()
    # most bars first, then by name: the 500 best covered of 505
    order = sorted(counts.index, key=lambda name: (-int(counts[name]), str(name)))
    keep = tuple(sorted(order[:symbols]))
    fields = {
        name: table.pivot(index="date", columns="symbol", values=name).reindex(columns=list(keep))
        for name in ("open", "high", "low", "close")
    }
    close = fields["close"].ffill()
    close = close.fillna(fields["open"].bfill().iloc[0]).iloc[-bars:]
    arrays = {}
    for name in ("open", "high", "low", "close"):
        arrays[name] = fields[name].iloc[-bars:].fillna(close).to_numpy(np.float64)
    # the file has a dozen bars with an open or close outside their range
    high = np.maximum.reduce([arrays["high"], arrays["open"], arrays["close"]])
    low = np.minimum.reduce([arrays["low"], arrays["open"], arrays["close"]])
    return Market(
        open=arrays["open"],
        high=high,
        low=low,
        close=arrays["close"],
        ts=close.index.to_numpy("datetime64[ns]").astype(np.int64),
        symbols=keep,
        sectors=_sectors(folder, keep),
        origin="S&P 500 stocks 2013-2018 (validation data)",
    )


def _sectors(folder: Path, symbols: tuple[str, ...]) -> dict[str, str]:
    import pandas as pd

    table = pd.read_csv(folder / SECTOR_FILE)
    name = next(column for column in table.columns if column.lower() in ("symbol", "ticker"))
    sector = next(column for column in table.columns if "sector" in column.lower())
    known = dict(zip(table[name], table[sector], strict=True))
    return {symbol: str(known[symbol]) for symbol in symbols if symbol in known}


def portfolio_plan(market: Market, density: float = 0.02, seed: int = 17) -> Plan:
    """Return brackets on a share of all bars: stop 4 %, target 10 %, long and short, about 10,000 a position.

    The fractions are a little off round numbers, so that no level falls exactly on a quoted price: there the
    last bit of a product decides in any engine, 74 * (1 - 0.04) being 71.03999999999999 (`docs/peers.md`).

    A signal whose next open lies beyond its own stop is left out: backtrader fills such an entry, Twinstep
    cancels it (`docs/peers.md`).
    """
    bars, symbols = market.shape
    rng = np.random.default_rng(seed)
    draw = rng.random((bars, symbols))
    side = np.where(draw < density / 2, 1, np.where(draw < density, -1, 0))
    side[-1] = 0
    stop, target = 0.0400123, 0.1000457
    gap = market.open[1:] / market.close[:-1] - 1.0
    side[:-1][gap * side[:-1] <= -stop] = 0
    row, symbol = np.nonzero(side)
    qty = np.floor(10_000.0 / market.close[row, symbol]) + 1.0
    return _plan(
        row.astype(np.int64), symbol.astype(np.int64), side[row, symbol].astype(np.int64), qty, stop, target
    )
