"""One's own history of chains: a Parquet file per underlying and day, and the implied volatility made of it.

No free source sells years of option quotes, but anyone can keep today's. `save_snapshot` stores a chain as
`<folder>/<underlying>/<session>.parquet`; a file appears whole or not at all, and a day that is there is kept
unless `replace=True`. `load_snapshots` reads the days back as one chain; `iv_history` turns them into one
constant-maturity IV per session, which is what IV rank wants.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np

from simulator.bars.arrays import DAY
from simulator.errors import DataError, UnknownNameError, did_you_mean
from simulator.options.chain import Chain, load_chain
from simulator.options.chain_time import Instant, session_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["iv_history", "load_snapshots", "save_snapshot", "snapshot_days"]


def save_snapshot(chain: Chain, folder: str | Path, *, replace: bool = False) -> Path:
    """Store the chain of one session and return its file.

    Raises
    ------
    DataError
        DATA_EMPTY for a chain without quotes, DATA_SNAPSHOT where it spans several sessions or the day is
        stored already and `replace` is False, DATA_FILE where the folder cannot be written.
    """
    days = np.unique(chain.session)
    if not days.size:
        raise DataError(f"the chain of {chain.symbol} has no quotes to store", code="DATA_EMPTY")
    if days.size > 1:
        raise DataError(f"{chain!r} spans {days.size} sessions; a snapshot has one", code="DATA_SNAPSHOT")
    place = Path(folder) / _folder_name(chain.symbol)
    target = place / f"{np.datetime64(int(days[0]), 'D')}.parquet"
    try:
        place.mkdir(parents=True, exist_ok=True)
        beside = chain.to_parquet(place / f".{target.name}.{os.getpid()}")
        if replace:
            os.replace(beside, target)
            return target
        _place_new(beside, target)
    except FileExistsError:
        raise DataError(
            f"{target} is stored already; replace=True overwrites it", code="DATA_SNAPSHOT"
        ) from None
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error}", code="DATA_FILE") from error
    return target


def snapshot_days(folder: str | Path, symbol: str) -> list[int]:
    """Return the stored sessions of an underlying, ascending, in days since 1970-01-01.

    Raises `UnknownNameError` NAME_SYMBOL where nothing is stored of it.
    """
    place = Path(folder) / _folder_name(symbol)
    files = sorted(place.glob("[0-9]*.parquet")) if place.is_dir() else []
    if not files:
        stored = [unquote(other.name) for other in Path(folder).glob("*") if other.is_dir()]
        raise UnknownNameError(
            f"{folder} has no snapshots of {symbol!r}.{did_you_mean(symbol, stored)}", code="NAME_SYMBOL"
        )
    return [session_number(file.stem) for file in files]


def load_snapshots(
    folder: str | Path,
    symbol: str,
    *,
    start: Instant | None = None,
    end: Instant | None = None,
    calendar: str = "XNYS",
) -> Chain:
    """Return the stored sessions from `start` to `end` (dates, both included) as one chain.

    Raises `UnknownNameError` NAME_SYMBOL where nothing is stored of the underlying, `DataError` DATA_EMPTY
    where nothing lies between the dates, DATA_FILE for a file that cannot be read.
    """
    first = -np.inf if start is None else session_number(start)
    last = np.inf if end is None else session_number(end)
    days = [day for day in snapshot_days(folder, symbol) if first <= day <= last]
    if not days:
        raise DataError(f"{folder} has no snapshot of {symbol} between these dates", code="DATA_EMPTY")
    place = Path(folder) / _folder_name(symbol)
    files = [place / f"{np.datetime64(day, 'D')}.parquet" for day in days]
    return Chain.join([load_chain(file, symbol=symbol, calendar=calendar, guard="note") for file in files])


def iv_history(
    folder: str | Path,
    symbol: str,
    *,
    days: float = 30.0,
    rate: float = 0.0,
    start: Instant | None = None,
    end: Instant | None = None,
    calendar: str = "XNYS",
) -> pd.Series[Any]:
    """Return the constant-maturity ATM IV of each stored session, from its last snapshot.

    Parameters
    ----------
    folder, symbol
        Where `save_snapshot` stored them.
    days
        Maturity in calendar days.
    rate
        Interest rate, continuous, as a fraction.
    start, end
        First and last session, both included.
    calendar
        Exchange calendar.

    Returns
    -------
    Series of fractions by session date (UTC midnight), NaN where it cannot be had; `attrs` carry the grade
    and the definition. A day's value depends on that day's file only.
    """
    import pandas as pd

    from simulator.options.iv_index import constant_maturity_iv

    parts: list[float] = []
    sessions: list[int] = []
    attrs: dict[Any, Any] = {"grade": "real"}
    for day in snapshot_days(folder, symbol):
        if (start is not None and day < session_number(start)) or (
            end is not None and day > session_number(end)
        ):
            continue
        chain = load_snapshots(folder, symbol, start=day, end=day, calendar=calendar)
        found = constant_maturity_iv(chain.at(int(chain.times[-1])), days=days, rate=rate)
        grade = "modelled" if "modelled" in (attrs["grade"], chain.origin) else "real"
        attrs = {**found.attrs, "grade": grade}
        parts.append(float(found.iloc[-1]))
        sessions.append(day)
    index = pd.DatetimeIndex(np.array(sessions, np.int64) * DAY, tz="UTC", name="session")
    series = pd.Series(parts, index=index, name=f"iv{days:g}", dtype=np.float64)
    series.attrs.update(attrs)
    return series


def _place_new(beside: Path, target: Path) -> None:
    """Move a finished file to its place; `FileExistsError` where there is one already."""
    try:
        os.link(beside, target)  # unlike a rename, this fails where another process was first
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if target.exists():
            raise FileExistsError(target) from None
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def _folder_name(symbol: str) -> str:
    # Symbols hold slashes, dots and carets; a file system should see none of it as a path.
    name = quote(symbol, safe="")
    return name.replace(".", "%2E") if name.strip(".") == "" else name
