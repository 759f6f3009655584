"""One call for every source of bars.

| source | what |
|---|---|
| `sample:stocks`, `sample:spx`, `sample:nasdaq`, `sample:vix` | real prices, offline |
| `synthetic:8x750?seed=7` | a seeded synthetic market with sectors |
| `yfinance:AAPL,MSFT` | Yahoo, through a cache on disk; needs the extra `yahoo` |
| a path | a CSV or Parquet file, or a folder of them |

>>> bars = load_bars("sample:stocks", symbols=["AAPL", "MSFT"], start="2010-01-01", end="2012-12-31")
>>> bars
Bars(sample:stocks: 2 symbols, 754 daily bars, 2010-01-04 to 2012-12-31)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.adjust import Adjust, check_adjust
from simulator.bars.arrays import stamp
from simulator.bars.guard import check_policy
from simulator.bars.panel import Bars, GuardPolicy
from simulator.errors import DataError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from simulator.bars.yahoo import Yahoo

__all__ = ["load_bars"]

SCHEMES: Final = ("sample", "synthetic", "yfinance")
When = str | date | datetime | np.datetime64 | None


def load_bars(
    source: str | os.PathLike[str],
    *,
    symbols: Sequence[str] | None = None,
    start: When = None,
    end: When = None,
    calendar: str = "XNYS",
    guard: GuardPolicy = "raise",
    cache_dir: str | os.PathLike[str] | None = None,
    sectors: Mapping[str, str] | None = None,
    interval: str = "1d",
    adjust: Adjust = "all",
    yahoo: Yahoo | None = None,
) -> Bars:
    """Load bars from a sample, a file, a folder, Yahoo or the synthetic market.

    Parameters
    ----------
    source : str or path
        See the module's table.
    symbols : sequence of str, optional
        Only these, in this order.
    start, end : date or text, optional
        First and last session date, both included.
    calendar : str
        Exchange calendar of files, Yahoo and the synthetic market. Samples are New York's.
    guard : "raise", "drop" or "note"
        What happens to bars that cannot be true, see `simulator.bars.guard`.
    cache_dir : path, optional
        Where Yahoo's answers are kept; default: the user's cache folder.
    sectors : mapping of symbol to sector, optional
        Beside and before what the source says.
    interval : str
        Bar length to ask Yahoo for: "1d", "1h", "30m", "15m", "5m", "1m".
    adjust : "all", "splits" or "none"
        What prices contain, see `simulator.bars.adjust`; "none" makes raw bars whose actions act.
    yahoo : Yahoo, optional
        Session, clock and patience of the Yahoo client; for tests and special networks.

    Raises
    ------
    DataError
        DATA_FILE, DATA_EMPTY, DATA_RANGE, DATA_SYNTHETIC, and all of `Bars.from_frames`.
    UnknownNameError
        NAME_SOURCE, NAME_SAMPLE, NAME_SYMBOL.
    FetchError
        FETCH_OFFLINE, FETCH_EMPTY, FETCH_RATE_LIMIT, FETCH_FAILED, FETCH_CACHE, FETCH_INTERVAL.
    MissingExtraError
        FETCH_EXTRA (yfinance is not installed), DATA_SAMPLE.
    ConfigError
        CONFIG_GUARD, CONFIG_ADJUST.
    """
    check_policy(guard)
    check_adjust(adjust)
    wanted = _wanted(symbols)
    first, last = _day(start, "start"), _day(end, "end")
    if first is not None and last is not None and first > last:
        raise DataError(f"start {start} is after end {end}", code="DATA_RANGE")
    scheme, rest = _scheme(source)
    if scheme == "sample":
        from simulator.bars.samples import load_sample

        bars = _with_sectors(load_sample(rest, adjust=adjust, guard=guard), sectors)
    elif scheme == "synthetic":
        from simulator.bars.synthetic import make_synthetic

        bars = _with_sectors(make_synthetic(rest, calendar=calendar), sectors)
    elif scheme == "yfinance":
        from simulator.bars.yahoo import load_yahoo

        bars = load_yahoo(
            _tickers(rest, wanted),
            end=last,
            calendar=calendar,
            guard=guard,
            cache_dir=cache_dir,
            sectors=sectors,
            interval=interval,
            adjust=adjust,
            yahoo=yahoo,
        )
    else:
        from simulator.bars.files import load_files

        bars = load_files(
            Path(source).expanduser(),
            symbols=wanted,
            calendar=calendar,
            guard=guard,
            sectors=sectors,
            adjust=adjust,
        )
    if wanted is not None and bars.symbols != wanted:
        bars = bars.select(wanted)
    return _between(bars, first, last)


def _scheme(source: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the scheme and what follows it; an empty scheme for a path."""
    text = os.fspath(source)
    head, colon, rest = text.partition(":")
    if not isinstance(source, str) or not colon or len(head) < 2 or Path(text).exists():
        if not text.strip():
            raise UnknownNameError("the source of the bars is empty; try sample:stocks", code="NAME_SOURCE")
        if isinstance(source, str) and text in ("stocks", "spx", "nasdaq", "vix") and not Path(text).exists():
            raise UnknownNameError(
                f"there is no file {text!r}. Did you mean 'sample:{text}'?", code="NAME_SOURCE"
            )
        return "", text
    if head not in SCHEMES:
        raise UnknownNameError(
            f"{text!r} is neither a file nor a known source {head!r}.{did_you_mean(head, SCHEMES)}",
            code="NAME_SOURCE",
        )
    return head, rest.strip()


def _wanted(symbols: Sequence[str] | None) -> tuple[str, ...] | None:
    if symbols is None:
        return None
    names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    if not names:
        raise DataError("symbols is empty; leave it out to load all", code="DATA_EMPTY")
    return names


def _tickers(rest: str, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(name.strip() for name in rest.split(",") if name.strip()))
    if not named and wanted is None:
        raise DataError("yfinance: names no symbol; write yfinance:AAPL,MSFT", code="DATA_EMPTY")
    return named or wanted or ()


def _with_sectors(bars: Bars, sectors: Mapping[str, str] | None) -> Bars:
    return (
        bars.with_sectors({**dict(zip(bars.symbols, bars.sectors, strict=True)), **sectors})
        if sectors
        else bars
    )


def _between(bars: Bars, first: int | None, last: int | None) -> Bars:
    if first is None and last is None:
        return bars
    begin = 0 if first is None else int(np.searchsorted(bars.session, first))
    stop = len(bars) if last is None else int(np.searchsorted(bars.session, last, side="right"))
    if begin >= stop:
        raise DataError(
            f"{bars.name} has no bars between {_text(first, 'its start')} and {_text(last, 'its end')}; it "
            f"runs from {stamp(bars.ts[0])} to {stamp(bars.ts[-1])}",
            code="DATA_RANGE",
        )
    cut = bars[begin:stop]
    # A fresh start for what was loaded: nobody has seen the rows before.
    return cut.replaced(session_no=cut.session_no - cut.session_no[0])


def _day(when: Any, name: str) -> int | None:
    if when is None:
        return None
    try:
        if isinstance(when, datetime):
            when = when.date()
        value = np.datetime64(when.isoformat() if isinstance(when, date) else when, "D")
        if not np.isnat(value):
            return int(value.astype(np.int64))
    except (TypeError, ValueError):
        pass
    raise DataError(f"{name} {when!r} is not a date such as 2020-01-31", code="DATA_RANGE")


def _text(day: int | None, otherwise: str) -> str:
    return otherwise if day is None else str(np.datetime64(day, "D"))
