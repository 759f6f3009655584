"""From tables to one aligned panel: column names, times, and the union of all time axes.

Column names are matched without regard to case, spaces and underscores. Times come from the index or from a
column `date`, `time`, `datetime` or `timestamp` (`date` and `time` together are joined). What a time means:

- Naive dates, and aware times that are midnights of their own zone, are session dates: daily bars.
- Aware times at least 20 hours apart are daily bars, dated by the exchange's calendar.
- Other aware times are openings of intraday bars. Naive times of day are refused, because nothing says
  which clock they were read from.
- Whole numbers are dates where they look like 20200131, else seconds, milliseconds, microseconds or
  nanoseconds since 1970 by their size.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import DAY, FIELDS, HOUR, SECOND, Bools, Floats, Ints, stamp
from simulator.bars.clock import session_of
from simulator.bars.guard import Finding, GuardReport, check_policy, note_lines, raise_first
from simulator.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars.panel import GuardPolicy

__all__ = [
    "ADJUSTED",
    "SYMBOL_COLUMNS",
    "TIME_COLUMNS",
    "Aligned",
    "align",
    "column_names",
    "time_index",
    "times_of",
]

TIME_COLUMNS: Final = ("datetime", "timestamp", "date", "time")
SYMBOL_COLUMNS: Final = ("symbol", "ticker")
ADJUSTED: Final = "adjclose"
_ALIASES: Final = {
    "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "vol": "volume", "last": "close",
    "adjustedclose": ADJUSTED, "closeadj": ADJUSTED, "closeadjusted": ADJUSTED, "name": "symbol",
}  # fmt: skip
_DAILY_STEP: Final = 20 * HOUR  # a day whose clocks change, and then some
_NAN: Final = float("nan")


@dataclass(frozen=True)
class Aligned:
    """Tables brought onto one time axis; see `simulator.bars.panel` for the fields."""

    symbols: tuple[str, ...]
    ts: Ints
    panel: Floats
    spread: Floats | None
    daily: bool
    notes: tuple[str, ...]
    report: GuardReport


@dataclass
class _Series:
    """One symbol's rows, in increasing time."""

    ts: Ints
    values: Floats
    spread: Floats | None
    daily: bool
    report: GuardReport = field(default_factory=GuardReport)


def align(frames: Mapping[str, pd.DataFrame], *, calendar: str, guard: GuardPolicy) -> Aligned:
    """Bring one table per symbol onto the union of their times.

    Raises `DataError` as `Bars.from_frames` lists; `guard` decides about duplicate and unsorted times here.
    """
    check_policy(guard)
    if not isinstance(frames, Mapping):
        raise DataError(
            f"frames must map symbols to tables, not {type(frames).__name__}; for one table write "
            f'{{"AAPL": frame}}',
            code="DATA_TYPE",
        )
    if not frames:
        raise DataError("no symbols: frames is empty", code="DATA_EMPTY")
    series = {str(symbol): _read(str(symbol), frame, calendar, guard) for symbol, frame in frames.items()}
    kinds = {one.daily for one in series.values()}
    if len(kinds) > 1:
        days = next(symbol for symbol, one in series.items() if one.daily)
        times = next(symbol for symbol, one in series.items() if not one.daily)
        raise DataError(
            f"{days} has daily bars and {times} intraday bars; attach finer bars with bars.with_detail(...)",
            code="DATA_MIXED",
        )
    ts = np.unique(np.concatenate([one.ts for one in series.values()]))
    panel = np.full((ts.size, len(series), len(FIELDS)), np.nan)
    spreads = any(one.spread is not None for one in series.values())
    spread = np.full(panel.shape[:2], np.nan) if spreads else None
    report = GuardReport()
    for column, one in enumerate(series.values()):
        rows = np.searchsorted(ts, one.ts)
        panel[rows, column] = one.values
        if spread is not None and one.spread is not None:
            spread[rows, column] = one.spread
        report = report.joined(one.report)
    notes = note_lines(report, dropped=guard == "drop")
    return Aligned(tuple(series), ts, panel, spread, kinds.pop(), notes, report)


def column_names(frame: pd.DataFrame) -> dict[str, Any]:
    """Return canonical column names (open, adjclose, symbol, date, ...) and the labels they stand for."""
    names: dict[str, Any] = {}
    for label in frame.columns:
        plain = str(label).strip().lower().replace("_", "").replace(" ", "").replace(".", "")
        plain = plain.strip("<>")
        names.setdefault(_ALIASES.get(plain, plain), label)
    return names


def times_of(symbol: str, frame: pd.DataFrame, calendar: str) -> tuple[Ints, bool]:
    """Return a table's bar labels (UTC ns, in the table's order) and whether its bars are daily.

    Raises `DataError` DATA_TIME for unreadable times, DATA_NAIVE for times of day without a zone.
    """
    import pandas as pd

    index = time_index(symbol, frame)
    if index.hasnans:
        at = int(np.flatnonzero(index.isna())[0])
        raise DataError(f"{symbol}: row {at} has no time", code="DATA_TIME")
    wall = index.tz_localize(None) if index.tz is not None else index
    local = _nanoseconds(wall)
    if (local % DAY == 0).all():
        return local, True
    if index.tz is None:
        at = int(np.flatnonzero(local % DAY)[0])
        raise DataError(
            f"{symbol}: {stamp(local[at])[:-1]} is a time of day without a time zone; localise the index, "
            f'for example frame.tz_localize("America/New_York")',
            code="DATA_NAIVE",
        )
    instants = _nanoseconds(pd.DatetimeIndex(index))
    if instants.size > 1 and np.diff(np.sort(np.unique(instants))).min(initial=DAY) >= _DAILY_STEP:
        return session_of(calendar, instants) * DAY, True
    return instants, False


def time_index(symbol: str, frame: pd.DataFrame) -> pd.DatetimeIndex:
    """Return a table's times as they are written; `DataError` DATA_TIME where there are none to read."""
    import pandas as pd

    if isinstance(frame.index, pd.DatetimeIndex):
        return frame.index
    names = column_names(frame)
    found = [name for name in TIME_COLUMNS if name in names]
    values: Any
    if "date" in found and "time" in found and "datetime" not in found and "timestamp" not in found:
        values = frame[names["date"]].astype(str) + " " + frame[names["time"]].astype(str)
    elif found:
        values = frame[names[found[0]]]
    elif isinstance(frame.index, pd.RangeIndex) or frame.index.dtype.kind in "iuf":
        raise DataError(
            f"{symbol}: no times; the index must hold dates or times, or a column must be named "
            f"{', '.join(TIME_COLUMNS)}. The table has {', '.join(map(str, frame.columns))}",
            code="DATA_TIME",
        )
    else:
        values = frame.index
    return _parse_times(symbol, values)


def _read(symbol: str, frame: pd.DataFrame, calendar: str, guard: GuardPolicy) -> _Series:
    if not (hasattr(frame, "columns") and hasattr(frame, "index")):
        raise DataError(f"{symbol}: expected a DataFrame, got {type(frame).__name__}", code="DATA_TYPE")
    if not len(frame):
        raise DataError(f"{symbol}: the table has no rows", code="DATA_EMPTY")
    names = column_names(frame)
    absent = [name for name in FIELDS[:4] if name not in names]
    if absent:
        near = did_you_mean(absent[0], [name for name in names if name not in FIELDS])
        raise DataError(
            f"{symbol}: missing column(s) {', '.join(absent)}; the table has "
            f"{', '.join(map(str, frame.columns)) or 'none'}.{near if near.startswith(' Did') else ''}",
            code="DATA_COLUMNS",
        )
    ts, daily = times_of(symbol, frame, calendar)
    values = np.zeros((ts.size, len(FIELDS)))
    for position, name in enumerate(FIELDS):
        if name in names:
            values[:, position] = _numbers(symbol, name, frame[names[name]], ts)
    if np.isnan(values[:, 4]).all():
        values[:, 4] = np.where(np.isnan(values[:, :4]).all(axis=1), np.nan, 0.0)
    spread, report = _spread(symbol, frame, names, ts, values, guard)
    series = _Series(ts, values, spread, daily, report)
    return _ordered(symbol, series, guard)


def _numbers(symbol: str, name: str, column: pd.Series[Any], ts: Ints) -> Floats:
    import pandas as pd

    try:
        return np.asarray(column.to_numpy(np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        numbers = pd.to_numeric(column, errors="coerce")
        at = int(np.flatnonzero((numbers.isna() & column.notna()).to_numpy())[0])
        raise DataError(
            f"{symbol} {stamp(ts[at])}: {name} {column.iloc[at]!r} is not a number", code="DATA_TYPE"
        ) from None


def _spread(
    symbol: str, frame: pd.DataFrame, names: dict[str, Any], ts: Ints, values: Floats, guard: GuardPolicy
) -> tuple[Floats | None, GuardReport]:
    """Return the quoted spread, if the table has one; a crossed quote is an error or becomes unknown."""
    if "spread" in names:
        spread = _numbers(symbol, "spread", frame[names["spread"]], ts)
    elif "bid" in names and "ask" in names:
        spread = _numbers(symbol, "ask", frame[names["ask"]], ts) - _numbers(
            symbol, "bid", frame[names["bid"]], ts
        )
    else:
        return None, GuardReport()
    crossed = spread < 0
    report = _row_report(symbol, "spread", crossed, ts, values, "bid is above ask")
    if guard == "raise":
        raise_first(report)
    return np.where(crossed, np.nan, spread), report


def _ordered(symbol: str, series: _Series, guard: GuardPolicy) -> _Series:
    """Return the rows in increasing time, each time once, as the policy decides."""
    steps = np.diff(series.ts)
    if (steps > 0).all():
        return series
    back = np.append(False, steps < 0)
    report = _row_report(symbol, "unsorted", back, series.ts, series.values, "the row before is later")
    order = np.argsort(series.ts, kind="stable")
    ts, values = series.ts[order], series.values[order]
    spread = None if series.spread is None else series.spread[order]
    twin = np.append(False, np.diff(ts) == 0)
    report = report.joined(
        _row_report(symbol, "duplicate", twin, ts, values, "the time occurs more than once")
    )
    if guard == "raise":
        raise_first(report)
    last = np.append(~twin[1:], True)
    if guard == "drop":
        first = np.flatnonzero(~twin)
        group = np.cumsum(~twin) - 1
        same = ((values == values[first[group]]) | np.isnan(values)).all(axis=1)
        last &= ~np.isin(group, group[~same])
    if not last.any():
        raise DataError(
            f"{symbol}: no row is left after dropping contradictory duplicates", code="DATA_EMPTY"
        )
    return _Series(
        ts[last],
        values[last],
        None if spread is None else spread[last],
        series.daily,
        series.report.joined(report),
    )


def _row_report(symbol: str, rule: str, mask: Bools, ts: Ints, values: Floats, text: str) -> GuardReport:
    rows = np.flatnonzero(mask)
    findings = []
    for row in rows[:100]:
        o, h, low, c, v = (float(value) for value in values[row])
        findings.append(Finding(symbol, int(ts[row]), rule, text, (o, h, low, c, v, _NAN)))
    return GuardReport(tuple(findings), {rule: rows.size} if rows.size else {})


def _parse_times(symbol: str, values: Any) -> pd.DatetimeIndex:
    import pandas as pd

    if isinstance(values, pd.Series) and isinstance(values.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(values)
    array = np.asarray(values)
    try:
        if array.dtype.kind in "iu":
            return _from_whole_numbers(array.astype(np.int64))
        try:
            return pd.DatetimeIndex(_to_datetime(array, utc=False))
        except ValueError:
            # Texts whose offsets differ, as local times around a change of clocks do, parse only into UTC.
            parsed = pd.DatetimeIndex(_to_datetime(array, utc=True))
            if not all(_has_offset(value) for value in array):
                raise
            return parsed
    except (ValueError, TypeError, OverflowError) as error:
        why = _two_forms(array) or str(error).splitlines()[0]
        raise DataError(f"{symbol}: times cannot be read: {why}", code="DATA_TIME") from None


def _two_forms(array: npt.NDArray[Any]) -> str:
    """Name the first row whose time is written in another form than the rows above it, if there is one.

    pandas then says which of its arguments to change, which is of no use to whoever has only a file.
    """
    import pandas as pd

    rows = [row for row, value in enumerate(array) if not pd.isna(value)]
    texts = {row: str(array[row]).strip() for row in rows}
    forms = {row: re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "0", text)) for row, text in texts.items()}
    other = next((row for row in rows if forms[row] != forms[rows[0]]), None)
    if other is None:
        return ""
    first = rows[0]
    return (
        f"row {first} has {texts[first]!r} and row {other} has {texts[other]!r}; dates and times of day, or "
        "two ways to write them, are mixed: were two sources joined, or cells rewritten by a spreadsheet?"
    )


def _to_datetime(array: npt.NDArray[Any], *, utc: bool) -> Any:
    import pandas as pd

    with warnings.catch_warnings():
        # pandas warns where it has to guess the format; what it cannot read becomes our error.
        warnings.simplefilter("ignore", UserWarning)
        return pd.to_datetime(array, utc=utc)


def _from_whole_numbers(array: Ints) -> pd.DatetimeIndex:
    import pandas as pd

    if ((array >= 19_000_101) & (array <= 21_991_231)).all():
        return pd.DatetimeIndex(pd.to_datetime(pd.Series(array).astype(str), format="%Y%m%d"))
    largest = int(abs(array).max(initial=0))
    unit = next((unit for unit, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if largest < limit), "ns")
    if largest < SECOND // 10:
        raise ValueError(f"{largest} is neither a date like 20200131 nor a number of seconds since 1970")
    return pd.DatetimeIndex(pd.to_datetime(array, unit=unit, utc=True))  # type: ignore[call-overload]


def _has_offset(value: Any) -> bool:
    if isinstance(value, str):
        tail = value.strip()[10:]
        return tail.endswith(("Z", "z")) or "+" in tail or "-" in tail
    return getattr(value, "tzinfo", None) is not None


def _nanoseconds(index: pd.DatetimeIndex) -> Ints:
    return np.asarray(index.as_unit("ns").asi8, np.int64)
