"""Yahoo's prices through yfinance, kept on disk in a form that does not change any more.

What Yahoo calls a close changes with every later split, and its adjusted close with every dividend. So the
cache holds what was quoted on the day: prices and volume with the splits taken out again, and dividends and
splits beside them. That past is immutable; a later call fetches only from a few bars before its end, compares
the overlap, and appends. If the overlap differs, Yahoo has restated its history: everything is fetched anew
and a note says so. Adjusted prices are computed from the cache at loading (`simulator.bars.adjust`).

Bars that are not complete yet are neither returned nor stored. A call whose end date lies inside the cache,
or after which no session has closed, touches no network. An empty answer is an error, never "no data":
yfinance by itself logs and goes on. Rate limits are waited out with growing pauses, but not for ever.

>>> bars = load_bars("yfinance:AAPL,MSFT", end="2024-06-28")    # doctest: +SKIP
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np

from simulator.bars.adjust import Adjust, Event, adjusted, check_adjust
from simulator.bars.arrays import DAY, FIELDS, HOUR, MINUTE, SECOND, Floats, Ints, stamp
from simulator.bars.clock import calendar_sessions, check_calendar, session_of, session_times
from simulator.bars.panel import Bars, GuardPolicy
from simulator.errors import DataError, FetchError, MissingExtraError, TwinstepError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Quoted", "Yahoo", "fetch_recent", "load_yahoo"]

INTERVALS: Final = {
    "1d": DAY, "1h": HOUR, "30m": 30 * MINUTE, "15m": 15 * MINUTE, "5m": 5 * MINUTE, "1m": MINUTE,
}  # fmt: skip
OVERLAP: Final = 7 * DAY  # fetched again to see whether the past is still the same
SAME: Final = 1e-3  # relative: closes of the overlap that differ by more are a restatement
DIGITS: Final = 7  # significant digits of a price stored as float32, which is what Yahoo sends
FIRST_PAUSE: Final = 2.0  # seconds, doubled after every refusal
CACHE_VERSION: Final = b"1"
_TRADED: Final = "twinstep_traded"  # attribute of a table: when the last trade was, UTC ns
_COLUMNS: Final = ("ts", *FIELDS, "dividend", "split")


def _now() -> int:
    return time.time_ns()


@dataclass(frozen=True)
class Yahoo:
    """How Yahoo is spoken to: everything that a test or an unusual network replaces.

    Attributes
    ----------
    session : requests.Session or curl_cffi session, optional
        Passed to yfinance.
    sleep : callable
        Waits for a number of seconds.
    now : callable
        Returns the present in UTC ns.
    retries : int
        How often a rate limit is waited out before giving up.
    """

    session: Any = None
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], int] = _now
    retries: int = 5


@dataclass(frozen=True)
class Quoted:
    """One symbol's bars as they were quoted on their day, the one that still runs included.

    Attributes
    ----------
    ts : (n,) int64
        Labels, increasing; see `Bars`.
    values : (n, 5) float64
        Open, high, low, close, volume.
    actions : list of (date, kind, value)
        Splits and dividends of those days.
    until : int
        Up to when there are prices for sure, UTC ns: the last trade, or the last row's label.
    """

    ts: Ints
    values: Floats
    actions: list[Event]
    until: int


@dataclass
class _History:
    """One symbol as it was quoted; all arrays have one entry per bar, in increasing time."""

    ts: Ints
    values: Floats
    dividend: Floats
    split: Floats
    restated: bool = False


def load_yahoo(
    symbols: tuple[str, ...],
    *,
    end: int | None = None,
    calendar: str = "XNYS",
    guard: GuardPolicy = "raise",
    cache_dir: str | os.PathLike[str] | None = None,
    sectors: Mapping[str, str] | None = None,
    interval: str = "1d",
    adjust: Adjust = "all",
    yahoo: Yahoo | None = None,
) -> Bars:
    """Return Yahoo's bars of some symbols, from the cache as far as it reaches.

    Parameters
    ----------
    end : int, optional
        Last session date wanted, in days since 1970-01-01; default: the present.
    adjust, guard, calendar, interval, cache_dir, sectors, yahoo
        As in `load_bars`.

    Raises
    ------
    FetchError
        FETCH_OFFLINE: nobody answered. FETCH_EMPTY: an answer without bars (unknown or delisted symbol).
        FETCH_RATE_LIMIT: still refused after all pauses. FETCH_FAILED: an answer that cannot be understood.
        FETCH_CACHE: the cache cannot be written or read. FETCH_INTERVAL: an interval that is not offered.
    MissingExtraError
        FETCH_EXTRA: yfinance is not installed.
    """
    check_adjust(adjust)
    calendar = check_calendar(calendar)
    if interval not in INTERVALS:
        raise FetchError(
            f"Yahoo offers no interval {interval!r}.{did_you_mean(interval, INTERVALS)}",
            code="FETCH_INTERVAL",
        )
    client = yahoo or Yahoo()
    folder = _cache_folder(cache_dir)
    daily = interval == "1d"
    symbols = tuple(dict.fromkeys(symbol.upper() for symbol in symbols))
    histories = {symbol: _history(symbol, folder, interval, calendar, end, client) for symbol in symbols}
    if end is not None:
        # Cut before adjusting: anchored at the last wanted bar, the same call gives the same prices for ever.
        histories = {
            symbol: _until(symbol, history, end, calendar, daily=daily)
            for symbol, history in histories.items()
        }
    ts = np.unique(np.concatenate([history.ts for history in histories.values()]))
    panel = np.full((ts.size, len(symbols), len(FIELDS)), np.nan)
    actions = []
    for column, (symbol, history) in enumerate(histories.items()):
        events = _events(history, calendar, daily=daily)
        days = _days(history.ts, calendar, daily=daily)
        panel[np.searchsorted(ts, history.ts), column] = adjusted(days, history.values, events, adjust)
        actions += [(symbol, when, kind, value) for when, kind, value in events]
    return Bars.from_arrays(
        symbols,
        ts,
        panel,
        sectors={symbol.upper(): sector for symbol, sector in (sectors or {}).items()},
        actions=actions,
        calendar=calendar,
        raw=adjust == "none",
        name=f"yfinance:{','.join(symbols)}",
        origin="real",
        guard=guard,
        daily=daily,
        notes=[
            f"{symbol}: Yahoo has restated its history; it was fetched anew"
            for symbol, history in histories.items()
            if history.restated
        ],
        jumps=True,
    )


def fetch_recent(
    symbol: str,
    *,
    since: int,
    interval: str = "1d",
    calendar: str = "XNYS",
    cache_dir: str | os.PathLike[str] | None = None,
    yahoo: Yahoo | None = None,
) -> Quoted:
    """Return what Yahoo has of one symbol from the day of `since` (UTC ns) on; past the cache.

    The last row may be a bar that is not over. Raises what `load_yahoo` raises, except FETCH_CACHE.
    """
    table = _patiently(symbol, interval, since, yahoo or Yahoo(), _cache_folder(cache_dir))
    history = _as_quoted(symbol, table, calendar, interval)
    events = _events(history, calendar, daily=interval == "1d")
    return Quoted(history.ts, history.values, events, max(int(history.ts[-1]), table.attrs.get(_TRADED, 0)))


def _until(symbol: str, history: _History, end: int, calendar: str, *, daily: bool) -> _History:
    stop = int(np.searchsorted(_days(history.ts, calendar, daily=daily), end, side="right"))
    if not stop:
        raise DataError(
            f"{symbol} has no bars up to {np.datetime64(end, 'D')}; Yahoo's begin on {stamp(history.ts[0])}",
            code="DATA_RANGE",
        )
    return _History(
        history.ts[:stop],
        history.values[:stop],
        history.dividend[:stop],
        history.split[:stop],
        history.restated,
    )


def _history(
    symbol: str, folder: Path, interval: str, calendar: str, end: int | None, client: Yahoo
) -> _History:
    """Return a symbol's bars from the cache, after bringing it up to date where that is needed."""
    path = folder / f"{quote(symbol, safe='^=.-')}-{interval}.parquet"
    known = _read_cache(path)
    if known is not None and _reaches(known, interval, calendar, end, client.now()):
        return known
    _check_writable(folder)
    if known is None:
        fresh = _fetch(symbol, interval, calendar, None, client, folder)
    else:
        tail = _fetch(symbol, interval, calendar, int(known.ts[-1]) - OVERLAP, client, folder)
        fresh = _appended(known, tail)
        if fresh.restated:
            fresh = _fetch(symbol, interval, calendar, None, client, folder)
            fresh.restated = True
    _write_cache(path, fresh)
    return fresh


def _reaches(known: _History, interval: str, calendar: str, end: int | None, now: int) -> bool:
    """Say whether the cache holds every bar that is complete by now and wanted."""
    today = now // DAY
    last = today + 1 if end is None else min(end, today + 1)
    sessions = calendar_sessions(calendar, min(last - 30, int(known.ts[-1] // DAY)), last)
    opens, closes = session_times(calendar, sessions)
    if interval == "1d":
        over = sessions[closes <= now]
        return bool(not over.size or known.ts[-1] // DAY >= over[-1])
    begun = closes[opens < now]
    return bool(not begun.size or known.ts[-1] + INTERVALS[interval] >= min(int(begun[-1]), now))


def _appended(known: _History, tail: _History) -> _History:
    """Return the known bars and those of the tail after them; `restated` where the overlap disagrees."""
    common, old, new = np.intersect1d(known.ts, tail.ts, assume_unique=True, return_indices=True)
    before, after = known.values[old, 3], tail.values[new, 3]
    differs = abs(after / before - 1) > SAME
    restated = not common.size or bool(differs[~np.isnan(before * after)].any())
    later = tail.ts > known.ts[-1]
    return _History(
        np.concatenate([known.ts, tail.ts[later]]),
        np.concatenate([known.values, tail.values[later]]),
        np.concatenate([known.dividend, tail.dividend[later]]),
        np.concatenate([known.split, tail.split[later]]),
        restated,
    )


def _events(history: _History, calendar: str, *, daily: bool) -> list[Event]:
    days = _days(history.ts, calendar, daily=daily).astype("datetime64[D]")
    found: list[Event] = [
        (days[row], "split", float(history.split[row])) for row in np.flatnonzero(history.split)
    ]
    found += [
        (days[row], "dividend", float(history.dividend[row])) for row in np.flatnonzero(history.dividend > 0)
    ]
    return sorted(found, key=lambda event: (event[0], event[1] == "dividend"))


def _days(ts: Ints, calendar: str, *, daily: bool) -> Ints:
    return ts // DAY if daily else session_of(calendar, ts)


# Fetching


def _fetch(
    symbol: str, interval: str, calendar: str, since: int | None, client: Yahoo, folder: Path
) -> _History:
    """Return a symbol's complete bars from Yahoo, as quoted; `since` in UTC ns, None for all there is."""
    table = _patiently(symbol, interval, since, client, folder)
    history = _as_quoted(symbol, table, calendar, interval)
    _, closes = session_times(calendar, _days(history.ts, calendar, daily=interval == "1d"))
    ends = closes if interval == "1d" else np.minimum(history.ts + INTERVALS[interval], closes)
    complete = ends <= client.now()
    if not complete.any():
        raise _empty(symbol, "no bar of it is complete yet")
    return _History(
        history.ts[complete],
        history.values[complete],
        history.dividend[complete],
        history.split[complete],
    )


def _patiently(symbol: str, interval: str, since: int | None, client: Yahoo, folder: Path) -> pd.DataFrame:
    """Return yfinance's table, waiting out rate limits with growing pauses."""
    for attempt in range(client.retries):
        try:
            return _ask(symbol, interval, since, client, folder)
        except _Refused:
            client.sleep(FIRST_PAUSE * 2.0**attempt)
    try:
        return _ask(symbol, interval, since, client, folder)
    except _Refused:
        raise FetchError(
            f"Yahoo refuses {symbol}: too many requests, even after {client.retries} pauses; try again in "
            f"some minutes",
            code="FETCH_RATE_LIMIT",
        ) from None


class _Refused(Exception):
    """Yahoo answered with "too many requests"."""


def _ask(symbol: str, interval: str, since: int | None, client: Yahoo, folder: Path) -> pd.DataFrame:
    """Return yfinance's table, with every way in which it fails told apart."""
    yfinance = _import_yfinance()
    wanted: dict[str, Any] = {"period": "max"} if since is None else {"start": stamp(since // DAY * DAY)}
    try:
        with _strict(yfinance, folder):
            ticker = yfinance.Ticker(symbol, session=client.session)
            table: pd.DataFrame = ticker.history(interval=interval, auto_adjust=False, actions=True, **wanted)
    except yfinance.exceptions.YFRateLimitError:
        raise _Refused from None
    except yfinance.exceptions.YFTickerMissingError as error:
        raise _empty(symbol, str(error)) from error
    except Exception as error:
        # A reply that is no JSON is an OSError too in requests; only what is not a reply means offline.
        if isinstance(error, OSError) and not isinstance(error, ValueError) and not _has_reply(error):
            raise FetchError(
                f"Yahoo did not answer for {symbol} ({type(error).__name__}): is this machine offline? "
                f"Bars in the cache can still be loaded with an end date inside it",
                code="FETCH_OFFLINE",
            ) from error
        raise FetchError(
            f"Yahoo's answer for {symbol} cannot be understood: {type(error).__name__}: {error}",
            code="FETCH_FAILED",
        ) from error
    if not len(table):
        raise _empty(symbol, "the table has no rows")
    if interval != "1d":
        # of daily bars the package would ask once more for it
        traded = ticker.history_metadata.get("regularMarketTime")
        table.attrs[_TRADED] = int(getattr(traded, "timestamp", lambda: 0)()) * SECOND
    return table


def _has_reply(error: BaseException) -> bool:
    return getattr(error, "response", None) is not None and type(error).__name__ == "HTTPError"


def _empty(symbol: str, reason: str) -> FetchError:
    return FetchError(
        f"Yahoo answered for {symbol} without any bars ({reason}): is the symbol spelled right and still "
        f"listed?",
        code="FETCH_EMPTY",
    )


def _import_yfinance() -> Any:
    try:
        import yfinance
        import yfinance.exceptions
    except ImportError:
        raise MissingExtraError(
            "prices from Yahoo need yfinance, which is not installed: pip install 'twinstep[yahoo]'",
            code="FETCH_EXTRA",
        ) from None
    return yfinance


@contextmanager
def _strict(yfinance: Any, folder: Path) -> Iterator[None]:
    """Make yfinance raise instead of log, keep its own files beside ours, and silence its warnings."""
    logger = logging.getLogger("yfinance")
    level, hidden = logger.level, yfinance.config.debug.hide_exceptions
    yfinance.set_tz_cache_location(str(folder))
    yfinance.config.debug.hide_exceptions = False
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        yfinance.config.debug.hide_exceptions = hidden


def _as_quoted(symbol: str, table: pd.DataFrame, calendar: str, interval: str) -> _History:
    """Return bars with Yahoo's splits taken out again, and dividends on the share basis of their day."""
    from simulator.bars.frames import column_names, times_of

    names = column_names(table)
    absent = [name for name in FIELDS if name not in names]
    if absent:
        raise FetchError(
            f"Yahoo's answer for {symbol} lacks {', '.join(absent)}; it has "
            f"{', '.join(map(str, table.columns))}",
            code="FETCH_FAILED",
        )
    try:
        ts, daily = times_of(symbol, table, calendar)
    except TwinstepError as error:
        raise FetchError(
            f"Yahoo's answer for {symbol} has unreadable times: {error}", code="FETCH_FAILED"
        ) from error
    if interval == "1d" and not daily:
        ts = session_of(calendar, ts) * DAY
    values = table[[names[name] for name in FIELDS]].to_numpy(np.float64)
    zeros = np.zeros(ts.size)
    dividend = table[names["dividends"]].to_numpy(np.float64) if "dividends" in names else zeros
    split = table[names["stocksplits"]].to_numpy(np.float64) if "stocksplits" in names else zeros
    # Yahoo appends the running price as a second row of the same day: the first occurrence is the bar.
    _, first = np.unique(ts, return_index=True)
    first = first[~np.isnan(values[first, :4]).all(axis=1)]
    if not first.size:
        raise _empty(symbol, "all its rows are blank")
    ts, values, dividend, split = ts[first], values[first], dividend[first], split[first]
    ratio = np.where(split > 0, split, 1.0)
    later = np.append(np.cumprod(ratio[::-1])[::-1][1:], 1.0)
    quoted = np.empty_like(values)
    quoted[:, :4] = _significant(values[:, :4] * later[:, None])
    quoted[:, 4] = np.round(values[:, 4] / later)
    return _History(ts, quoted, _significant(dividend * later), np.where(split > 0, split, 0.0))


def _significant(values: Floats) -> Floats:
    """Round to the digits that float32 holds; monotone, so highs stay highest."""
    size = np.where((values != 0) & np.isfinite(values), abs(values), 1.0)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(size)))
    return np.asarray(np.round(values * scale) / scale)


# The cache


def _cache_folder(given: str | os.PathLike[str] | None) -> Path:
    if given is not None:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("twinstep")) / "yfinance"


def _check_writable(folder: Path) -> None:
    """Fail before fetching, not after: an answer that cannot be kept would be asked for again and again."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FetchError(
            f"the cache folder {folder} cannot be written ({error.strerror}); give another cache_dir",
            code="FETCH_CACHE",
        ) from error


def _read_cache(path: Path) -> _History | None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    if not path.exists():
        return None
    try:
        # One file read whole: no data set, no partition columns out of the path.
        table = parquet.ParquetFile(path).read()
        columns = {name: table.column(name).to_numpy() for name in _COLUMNS}
    except (OSError, KeyError, pa.ArrowException) as error:
        raise FetchError(
            f"the cache file {path} cannot be read ({type(error).__name__}); delete it and load again",
            code="FETCH_CACHE",
        ) from error
    if (table.schema.metadata or {}).get(b"twinstep_cache") != CACHE_VERSION or not len(table):
        raise FetchError(
            f"the cache file {path} is of another version; delete it and load again", code="FETCH_CACHE"
        )
    return _History(
        np.ascontiguousarray(columns["ts"], np.int64),
        np.stack([columns[name] for name in FIELDS], axis=1),
        np.asarray(columns["dividend"]),
        np.asarray(columns["split"]),
    )


def _write_cache(path: Path, history: _History) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns = {
        "ts": history.ts,
        **{name: history.values[:, place] for place, name in enumerate(FIELDS)},
        "dividend": history.dividend,
        "split": history.split,
    }
    table = pa.table(columns).replace_schema_metadata({"twinstep_cache": CACHE_VERSION})
    # Written beside and moved into place: a reader sees the old file or the new one.
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        parquet.write_table(table, beside)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FetchError(
            f"the cache file {path} cannot be written ({error.strerror}); give another cache_dir",
            code="FETCH_CACHE",
        ) from error
