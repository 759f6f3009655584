"""Real prices that come with packages this project depends on, read as files.

The packages are not imported: importing `arch` takes seconds, reading its file takes milliseconds.

| name | daily prices of | span | from |
|---|---|---|---|
| `sample:stocks` | AAPL, FB, GOOG, IBM, MSFT (Technology) | 2000-03-01 to 2013-03-01 | bokeh_sampledata |
| `sample:spx` | the S&P 500 index | 1999-01-04 to 2018-12-31 | arch (Yahoo) |
| `sample:nasdaq` | the NASDAQ Composite index | 1999-01-04 to 2018-12-31 | arch (Yahoo) |
| `sample:vix` | the CBOE VIX, closes only | 2014-01-03 to 2019-01-03 | arch (FRED) |

Open, high and low of `sample:vix` equal the close. The stocks come from Quandl WIKI, which gave them into
the public domain; their prices are raw quotations beside a fully adjusted close. The default
`adjust="all"` gives adjusted prices anchored at each symbol's last bar; with `adjust="none"` they stay raw
and the events that the adjustment implies become actions: the splits AAPL 2000-06-21 and 2005-02-28 and
MSFT 2003-02-18, all two for one, and 92 dividends (AAPL, IBM, MSFT). The adjusted close of GOOG differs by
a constant factor only (a later split), that of FB not at all.
Earlier releases of bokeh_sampledata hold one file per stock, adjusted by Yahoo's rule; both are read.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import numpy as np

from simulator.bars.adjust import Adjust, Quoted, check_adjust, from_adjusted_close
from simulator.bars.arrays import DAY, Floats, Ints
from simulator.bars.panel import Bars, GuardPolicy
from simulator.errors import MissingExtraError, UnknownNameError, did_you_mean

__all__ = ["SAMPLES", "load_sample"]

STOCKS: Final = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
STOCK_SECTOR: Final = "Technology"

Basis = Literal["previous_close", "ex_close"]
_Table = dict[str, list[str]]


def load_sample(name: str, *, adjust: Adjust = "all", guard: GuardPolicy = "raise") -> Bars:
    """Return a bundled sample by its name without the prefix, for example "stocks".

    Raises `UnknownNameError` NAME_SAMPLE with a near-miss, `MissingExtraError` DATA_SAMPLE where the package
    that holds it is not installed.
    """
    check_adjust(adjust)
    if name not in SAMPLES:
        raise UnknownNameError(
            f"there is no sample {name!r}.{did_you_mean(name, SAMPLES)}", code="NAME_SAMPLE"
        )
    return SAMPLES[name](adjust, guard)


def _stocks(adjust: Adjust, guard: GuardPolicy) -> Bars:
    folder = _package_folder("bokeh_sampledata") / "_data"
    basis: Basis = "ex_close"
    if (folder / "stocks.csv.gz").exists():
        tables = _by_symbol(_read(folder / "stocks.csv.gz"))
    else:
        basis = "previous_close"
        tables = {symbol: _read(folder / f"{symbol}.csv") for symbol in STOCKS}
    columns = {symbol: _columns(tables[symbol]) for symbol in STOCKS}
    days = np.unique(np.concatenate([day for day, _, _ in columns.values()]))
    panel = np.full((days.size, len(STOCKS), 5), np.nan)
    actions = []
    for column, (symbol, (own, values, adjusted_close)) in enumerate(columns.items()):
        quoted: Quoted = from_adjusted_close(own, values, adjusted_close, adjust, basis=basis)
        panel[np.searchsorted(days, own), column] = quoted.values
        actions += [(symbol, when, kind, value) for when, kind, value in quoted.events]
    return Bars.from_arrays(
        STOCKS,
        days * DAY,
        panel,
        sectors=[STOCK_SECTOR] * len(STOCKS),
        actions=actions,
        raw=adjust == "none",
        name="sample:stocks",
        origin="real",
        guard=guard,
    )


def _index(folder: str, symbol: str, name: str, guard: GuardPolicy) -> Bars:
    table = _read(_package_folder("arch") / "data" / folder / f"{folder}.csv.gz")
    notes = []
    if "Open" in table:
        days, values, _ = _columns(table)
    else:
        # The publisher lists holidays too, with a dot for the value.
        kept = [row for row, text in enumerate(table[folder]) if text != "."]
        days = _days([table["Date"][row] for row in kept])
        close = np.array([table[folder][row] for row in kept], np.float64)
        values = np.stack([close, close, close, close, np.zeros(close.size)], axis=1)
        notes.append(f"{symbol}: the sample holds closes only; open, high and low equal the close")
    return Bars.from_arrays(
        (symbol,),
        days * DAY,
        values[:, None, :],
        sectors=["Index"],
        instruments={symbol: {"kind": "index"}},
        name=name,
        origin="real",
        guard=guard,
        notes=notes,
    )


SAMPLES: Final[dict[str, Callable[[Adjust, GuardPolicy], Bars]]] = {
    "stocks": _stocks,
    "spx": lambda _, guard: _index("sp500", "SPX", "sample:spx", guard),
    "nasdaq": lambda _, guard: _index("nasdaq", "NASDAQ", "sample:nasdaq", guard),
    "vix": lambda _, guard: _index("vix", "VIX", "sample:vix", guard),
}


@lru_cache(maxsize=4)
def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"the sample lies in the package {package!r}, which is not installed: pip install {package}",
            code="DATA_SAMPLE",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _read(path: Path) -> _Table:
    """Return a small, known CSV file by columns: a second's worth of pandas import is not needed for that."""
    if not path.exists():
        raise MissingExtraError(
            f"the sample file {path.name} is not in the installed package ({path.parent}): is it complete?",
            code="DATA_SAMPLE",
        )
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("ascii")
    rows = [line.split(",") for line in text.splitlines()]
    return {name: list(values) for name, *values in zip(*rows, strict=True)}


def _by_symbol(table: _Table) -> dict[str, _Table]:
    owner = np.array(table["Ticker"])
    columns = {name: np.array(values) for name, values in table.items()}
    return {
        symbol: {name: values[owner == symbol].tolist() for name, values in columns.items()}
        for symbol in STOCKS
    }


def _columns(table: _Table) -> tuple[Ints, Floats, Floats]:
    """Return days since 1970, (T, 5) prices and volume, and adjusted closes."""
    names = ("Open", "High", "Low", "Close", "Volume")
    values = np.stack([np.array(table[name], np.float64) for name in names], axis=1)
    return _days(table["Date"]), values, np.array(table["Adj Close"], np.float64)


def _days(texts: list[str]) -> Ints:
    """Return days since 1970 of ISO dates or of month/day/year."""
    if "/" in texts[0]:
        parts = [text.split("/") for text in texts]
        texts = [f"{year}-{month:0>2}-{day:0>2}" for month, day, year in parts]
    return np.array(texts, "datetime64[D]").astype(np.int64)
