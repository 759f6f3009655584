"""Higher timeframes without a look ahead.

A period (an hour of a session, a session, a week, a month) is over when its last session closes, and the
exchange's calendar says when that is; what the data holds does not matter. The higher bar carries that
instant as its `close_ts`. So two facts hold by construction, around holidays too:

- `bars.resample(rule)` contains a higher bar only if its period was over by the last bar's close.
- `bars[:t].resample(rule)` equals the first rows of `bars.resample(rule)`.

A bar belongs to the period in which it closes. A bar that closes after its session (extended hours, a
Saturday on a weekday calendar) therefore counts towards the next period, which is the first that may know it.

Rules: "5min", "1h" (anchored at the session's open; the session's last bar may be shorter), "1D", "1W"
(Monday to Sunday), "1M", "1Q", "1Y", and multiples such as "2W".

>>> import numpy as np
>>> from simulator.bars import Bars
>>> days = np.array([18267, 18268, 18269, 18270, 18271, 18274])  # Monday to Friday, and a Monday
>>> prices = np.repeat(np.arange(10.0, 16.0), 5).reshape(6, 1, 5)
>>> daily = Bars.from_arrays(["ABC"], days * 86_400_000_000_000, prices)
>>> weekly = daily.resample("1W")
>>> len(weekly), weekly.open[0, 0], weekly.close[0, 0]
(1, np.float64(10.0), np.float64(14.0))
>>> completed(weekly, daily)
array([-1, -1, -1, -1,  0,  0])
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.bars.arrays import DAY, HOUR, MINUTE, Floats, Ints
from simulator.bars.clock import calendar_sessions, check_reach, session_of, session_times
from simulator.errors import DataError

if TYPE_CHECKING:
    from simulator.bars.panel import Bars

__all__ = ["completed", "resample"]

_RULE: Final = re.compile(r"\s*(\d*)\s*([A-Za-z]+)\s*")
_UNITS: Final = {
    "min": "min", "t": "min", "minute": "min", "h": "h", "hour": "h", "d": "D", "day": "D", "b": "D",
    "w": "W", "wk": "W", "week": "W", "m": "M", "me": "M", "mo": "M", "ms": "M", "month": "M",
    "q": "Q", "qe": "Q", "y": "Y", "ye": "Y", "a": "Y", "year": "Y",
}  # fmt: skip
_MONTHS: Final = {"M": 1, "Q": 3, "Y": 12}
_LONGEST_PERIOD: Final = 400  # days that a calendar is read beyond the last bar: a year and holidays
_MONDAY: Final = 3  # 1970-01-01 was a Thursday: days + 3 counts from a Monday


def completed(higher: Bars, at: Bars) -> Ints:
    """Return, for each bar of `at`, the row of the last bar of `higher` that is complete at its close.

    Returns
    -------
    (T,) int64
        Rows of `higher`; -1 before the first is complete.
    """
    return np.searchsorted(higher.close_ts, at.close_ts, side="right").astype(np.int64) - 1


def resample(bars: Bars, rule: str) -> Bars:
    """Return completed higher bars: first open, highest high, lowest low, last close, summed volume.

    A symbol without any bar in a period has a missing bar; a period in which no symbol has a bar has no row.
    Spread is the last known; actions move to the row of their period, with the share basis brought to the
    period's end where prices are raw. Detail is not carried over.

    Raises
    ------
    DataError
        DATA_RESAMPLE: an unreadable rule, or periods shorter than the bars.
    """
    count, unit = _parse(rule)
    if bars.daily and unit in ("min", "h"):
        raise DataError(
            f"daily bars cannot become bars of {rule!r}: a higher timeframe is longer than the bars",
            code="DATA_RESAMPLE",
        )
    if not len(bars):
        return bars
    if unit in ("min", "h"):
        step = count * (MINUTE if unit == "min" else HOUR)
        shortest = int((bars.close_ts - bars.open_ts).max())
        if step < shortest:
            raise DataError(
                f"bars of {shortest // MINUTE} minutes cannot become bars of {rule!r}", code="DATA_RESAMPLE"
            )
        ends, starts = _intraday_periods(bars, step)
    else:
        ends, starts = _session_periods(bars, count, unit)
    period = np.searchsorted(ends, bars.close_ts)
    known = period < ends.size
    known &= ends[np.minimum(period, ends.size - 1)] <= bars.close_ts[-1]
    return _build(bars, period[known], starts, ends, daily=unit not in ("min", "h"), rule=rule)


def _parse(rule: str) -> tuple[int, str]:
    match = _RULE.fullmatch(rule) if isinstance(rule, str) else None
    unit = _UNITS.get(match[2].lower()) if match else None
    count = int(match[1] or 1) if match else 0
    if unit is None or count < 1 or (unit == "D" and count != 1):
        raise DataError(
            f"resample rule {rule!r} is not understood: use 5min, 1h, 1D, 1W, 1M, 1Q, 1Y, or "
            f"multiples of all but days",
            code="DATA_RESAMPLE",
        )
    return count, unit


def _session_periods(bars: Bars, count: int, unit: str) -> tuple[Ints, Ints]:
    """Return the closing instants of all periods that may hold a bar, and the session date of each."""
    # A multi-year period may end long after the data does; only its end has to be found then.
    reach = _LONGEST_PERIOD * max(1, count if unit == "Y" else -(-count // 12))
    first, final = int(bars.session[0]), int(bars.session[-1])
    sessions = calendar_sessions(bars.calendar, first - 7, final + reach)
    check_reach(bars.calendar, sessions, first, final)
    numbers = _period_numbers(sessions, count, unit)
    last = np.append(np.flatnonzero(np.diff(numbers)), sessions.size - 1)
    _, closes = session_times(bars.calendar, sessions[last])
    return closes, sessions[last]


def _period_numbers(sessions: Ints, count: int, unit: str) -> Ints:
    if unit == "D":
        return sessions
    if unit == "W":
        return (sessions + _MONDAY) // 7 // count
    months = sessions.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return months // (_MONTHS[unit] * count)


def _intraday_periods(bars: Bars, step: int) -> tuple[Ints, Ints]:
    """Return closing and opening instants of the parts of every session that may hold a bar."""
    last = int(bars.session[-1])
    sessions = calendar_sessions(bars.calendar, int(bars.session[0]) - 1, last + 14)
    sessions = np.union1d(sessions, bars.session)
    opens, closes = session_times(bars.calendar, sessions)
    parts = -(-(closes - opens) // step)
    first = np.repeat(np.cumsum(parts) - parts, parts)
    starts = np.repeat(opens, parts) + (np.arange(parts.sum()) - first) * step
    return np.minimum(starts + step, np.repeat(closes, parts)), starts


def _build(bars: Bars, period: Ints, labels: Ints, ends: Ints, *, daily: bool, rule: str) -> Bars:
    rows, start = np.unique(period, return_index=True)
    last = np.append(start, period.size)[1:] - 1
    block = bars.panel[: period.size]
    basis = _share_basis(bars)
    if basis is not None:
        owner = np.repeat(last, last - start + 1)
        block = _rebased(block, basis[: period.size] / basis[owner])
    ts = labels[rows] * DAY if daily else labels[rows]
    session = labels[rows] if daily else session_of(bars.calendar, ts)
    session_no = np.cumsum(np.diff(session, prepend=session[:1]) != 0).astype(np.int64)
    actions = bars.actions[bars.actions["row"] < period.size].copy()
    actions["row"] = np.searchsorted(rows, period[actions["row"]])
    return bars.replaced(
        panel=_merged(block, start),
        ts=ts,
        session=session,
        session_no=session_no,
        daily=daily,
        actions=actions,
        spread=_last_known(bars.spread[: period.size], start) if bars.spread.size else bars.spread,
        name=f"{bars.name} {rule}",
        open_ts=session_times(bars.calendar, bars.session[start])[0] if daily else ts,
        close_ts=ends[rows],
        detail=None,
        detail_start=None,
    )


def _merged(block: Floats, start: Ints) -> Floats:
    """Return (P, S, 5) bars out of (n, S, 5), period p being rows `start[p]` to the next start."""
    merged = np.full((start.size, *block.shape[1:]), np.nan)
    if not start.size:
        return merged
    known = ~np.isnan(block[:, :, 3])
    row = np.arange(block.shape[0])[:, None]
    first = np.minimum.reduceat(np.where(known, row, block.shape[0]), start, axis=0)
    some = first < block.shape[0]
    column = np.arange(block.shape[1])
    merged[:, :, 0] = block[np.where(some, first, 0), column, 0]
    merged[:, :, 1] = np.fmax.reduceat(block[:, :, 1], start, axis=0)
    merged[:, :, 2] = np.fmin.reduceat(block[:, :, 2], start, axis=0)
    merged[:, :, 3] = _last_known(block[:, :, 3], start)
    merged[:, :, 4] = np.add.reduceat(np.where(known, block[:, :, 4], 0.0), start, axis=0)
    merged[~some] = np.nan
    return merged


def _last_known(values: Floats, start: Ints) -> Floats:
    """Return the last value of each period that is not NaN, or NaN."""
    if not start.size:
        return np.full((0, values.shape[1]), np.nan)
    row = np.arange(values.shape[0])[:, None]
    last = np.maximum.reduceat(np.where(np.isnan(values), -1, row), start, axis=0)
    found = values[np.maximum(last, 0), np.arange(values.shape[1])]
    return np.where(last >= 0, found, np.nan)


def _share_basis(bars: Bars) -> Floats | None:
    """Return how many shares one first share has become, per bar and symbol; None where no raw split acts."""
    from simulator.bars.guard import split_basis

    return split_basis(bars.panel.shape, bars.actions) if bars.raw else None


def _rebased(block: Floats, shares: Floats) -> Floats:
    """Bring raw bars from before a split onto the share basis of the period's end."""
    scaled = block.copy()
    scaled[:, :, :4] *= shares[:, :, None]
    scaled[:, :, 4] /= shares
    return scaled
