"""Corporate actions and earnings dates: from tables to records, and out of adjusted closes.

| kind | value | when it acts |
|---|---|---|
| `split` | new shares for one old share (2.0 doubles, 0.1 merges ten into one) | raw: before its bar's open |
| `dividend` | cash per share, on the share basis of its date | raw: before its bar's open |
| `delisting` | the last price paid per share; NaN: the last close | always |
| `earnings` | none, or the announced day | never: information for strategies |

Earnings may carry `known_at`, the day on which their date was announced: the record then stands on that day
and its value is the earnings date in days since 1970-01-01, so that bars up to a day hold the announcements
up to that day. Without it, earnings are known on the day itself.

A date means the ex-date; it becomes the first bar of the first session on or after it. Actions before the
first session or after the last do not concern the bars and are left out.

>>> import numpy as np
>>> given = [("AAPL", "2005-02-28", "split", 2.0)]
>>> made = make_actions(given, symbols=("AAPL",), session=np.array([12841, 12842]))
>>> made["row"], made["value"]
(array([1]), array([2.]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Floats, Ints, Records
from simulator.errors import DataError, UnknownNameError, did_you_mean
from simulator.kernel import codes
from simulator.kernel.dtypes import ACTION

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "ActionRow", "infer_actions", "known_day", "make_actions", "make_earnings", "to_rows"]

ActionRow = tuple[str, Any, str, float] | tuple[str, Any, str, float, Any]
"""Symbol, date, kind, value; for announced earnings `known_at` as well."""

KINDS: Final = {
    "split": codes.ACTION_SPLIT,
    "dividend": codes.ACTION_DIVIDEND,
    "delisting": codes.ACTION_DELIST,
    "delist": codes.ACTION_DELIST,
    "earnings": codes.ACTION_EARNINGS,
}
_COLUMNS: Final = ("symbol", "date", "kind", "value")
_KNOWN_AT: Final = "known_at"

# A step of the adjustment factor within this relative distance of a ratio of small whole numbers is a split.
_SPLIT_TOLERANCE: Final = 2e-3
_SPLIT_RATIOS: Final = tuple(
    sorted({a / b for a in range(1, 31) for b in (1, 2, 3, 4, 5) if abs(a / b - 1) >= 0.2})
)
# Smaller steps are rounding of published adjusted closes, not dividends.
_LEAST_DIVIDEND: Final = 2e-4


def make_actions(source: Any, *, symbols: tuple[str, ...], session: Ints) -> Records:
    """Build `ACTION` records over the given sessions.

    Parameters
    ----------
    source : DataFrame, mapping, or iterable
        A table with columns symbol, date, kind, value; a list of such tuples or mappings; or a mapping of
        symbol to a table or list without the symbol. A further column `known_at` is the day on which an
        earnings date was announced; one with a time of day counts from the next day. Records of dtype
        `ACTION` pass through, checked.
    symbols : tuple of str
    session : (T,) int64
        Session date of each bar, non-decreasing.

    Returns
    -------
    ACTION records, sorted by row, symbol, kind.

    Raises
    ------
    DataError
        DATA_ACTION: a missing column, an unknown kind, an unreadable date, a value that is not possible.
    UnknownNameError
        NAME_SYMBOL: an action of a symbol that the bars do not have.
    """
    if isinstance(source, np.ndarray) and source.dtype == ACTION:
        return _checked_records(source, symbols, session)
    columns = {symbol: column for column, symbol in enumerate(symbols)}
    found = []
    announced = []
    for symbol, when, kind, value, *known in to_rows(source):
        if symbol not in columns:
            raise UnknownNameError(
                f"an action names {symbol!r}, which is not among the bars.{did_you_mean(symbol, symbols)}",
                code="NAME_SYMBOL",
            )
        code, number = _checked(symbol, when, kind, value)
        day = _day(when, symbol)
        if known:
            announced.append((known_day(known[0], symbol), columns[symbol], _announced(symbol, kind, day)))
            continue
        if session.size and session[0] <= day <= session[-1]:
            found.append((int(np.searchsorted(session, day)), columns[symbol], code, number))
    # in the order of knowing: of two announcements on one row the later replaces the other
    for since, column, value in sorted(announced, key=lambda entry: entry[0]):
        if session.size and since <= session[-1]:
            first = session[np.searchsorted(session, since)]
            row = 0 if since < session[0] else int(np.searchsorted(session, first, side="right")) - 1
            found.append((row, column, codes.ACTION_EARNINGS, value))
    return _sorted(np.array(found, ACTION) if found else np.zeros(0, ACTION))


def make_earnings(source: Any, *, symbols: tuple[str, ...], session: Ints) -> Records:
    """Build `ACTION` records of earnings dates.

    Parameters
    ----------
    source : DataFrame or mapping
        A table with columns symbol, date and known_at, or a mapping of symbol to dates or to pairs (date,
        known_at). Without `known_at` a date is known on the day itself.
    symbols, session
        As for `make_actions`, which says what is raised.
    """
    if hasattr(source, "columns") and hasattr(source, "assign"):
        return make_actions(source.assign(kind="earnings", value=np.nan), symbols=symbols, session=session)
    if not isinstance(source, Mapping):
        raise DataError(
            f"earnings of type {type(source).__name__} are not understood: give a table with symbol, date "
            f"and known_at, or a mapping of symbol to dates or pairs of date and known_at",
            code="DATA_ACTION",
        )
    rows = []
    for symbol, dates in source.items():
        for entry in (dates,) if isinstance(dates, str) else dates:
            when, *known = entry if isinstance(entry, (tuple, list)) else (entry,)
            rows.append((symbol, when, "earnings", np.nan, *known))
    return make_actions(rows, symbols=symbols, session=session)


def to_rows(source: Any) -> list[ActionRow]:
    """Return any accepted form of actions as (symbol, date, kind, value) tuples, values unchecked."""
    if hasattr(source, "columns") and hasattr(source, "itertuples"):
        return _table_rows(source)
    if isinstance(source, Mapping):
        rows: list[ActionRow] = []
        for symbol, given in source.items():
            if hasattr(given, "columns"):
                rows += _table_rows(given, str(symbol))
            else:
                rows += [_row((symbol, *_plain(entry, _COLUMNS[1:]))) for entry in given]
        return rows
    if isinstance(source, Iterable) and not isinstance(source, str):
        return [_row(_plain(entry, _COLUMNS)) for entry in source]
    raise DataError(
        f"actions of type {type(source).__name__} are not understood: give a table or a list of "
        f"(symbol, date, kind, value)",
        code="DATA_ACTION",
    )


def infer_actions(
    days: Ints,
    close: Floats,
    adjusted: Floats,
    *,
    basis: Literal["previous_close", "ex_close"] = "previous_close",
) -> list[tuple[np.datetime64, str, float]]:
    """Read splits and dividends out of raw and adjusted closes.

    The factor adjusted / close changes on ex-dates only. A change near a ratio of small whole numbers (at
    least 20 %) that the raw price shows too is a split, any other above 2 basis points a dividend.

    Parameters
    ----------
    days : (T,) int64
        Days since 1970-01-01.
    close, adjusted : (T,) float64
        Raw closes and fully adjusted closes, no NaN.
    basis : "previous_close" or "ex_close"
        How the publisher adjusts for a dividend D: by 1 - D / close before the ex-date (CRSP, Yahoo), or by
        1 / (1 + D / close of the ex-date) (Quandl WIKI).

    Returns
    -------
    list of (date, kind, value)
    """
    if close.size < 2:
        return []
    factor = adjusted / close
    step = factor[1:] / factor[:-1]
    found: list[tuple[np.datetime64, str, float]] = []
    for index in np.flatnonzero(abs(step - 1) > _LEAST_DIVIDEND):
        day = np.datetime64(int(days[index + 1]), "D")
        change = float(step[index])
        split = _split_ratio(change, float(close[index] / close[index + 1]))
        if split:
            found.append((day, "split", split))
        elif change > 1 and basis == "ex_close":
            found.append((day, "dividend", (change - 1) * float(close[index + 1])))
        elif change > 1:
            found.append((day, "dividend", (1 - 1 / change) * float(close[index])))
    return found


def _split_ratio(change: float, price_ratio: float) -> float:
    """Return the split that a step of the adjustment factor stands for, or 0."""
    near = min(_SPLIT_RATIOS, key=lambda ratio: abs(change / ratio - 1))
    near = near if change >= 1 else 1 / min(_SPLIT_RATIOS, key=lambda ratio: abs(change * ratio - 1))
    # The raw price of the day must have moved with it, give or take a stormy session.
    return near if abs(change / near - 1) < _SPLIT_TOLERANCE and 0.6 < price_ratio / near < 1.67 else 0.0


def _table_rows(table: pd.DataFrame, symbol: str | None = None) -> list[ActionRow]:
    names = {str(column).strip().lower(): column for column in table.columns}
    needed = _COLUMNS if symbol is None else _COLUMNS[1:]
    absent = [name for name in needed if name not in names and name != "value"]
    if absent:
        raise DataError(
            f"actions lack the column(s) {', '.join(absent)}; they have {', '.join(names) or 'none'} "
            f"and need {', '.join(needed)}",
            code="DATA_ACTION",
        )
    values = table[names["value"]] if "value" in names else [float("nan")] * len(table)
    owners = table[names["symbol"]] if symbol is None else [symbol] * len(table)
    known = table[names[_KNOWN_AT]] if _KNOWN_AT in names else [None] * len(table)
    columns = (owners, table[names["date"]], table[names["kind"]], values, known)
    return [_row(entry) for entry in zip(*columns, strict=True)]


def _plain(entry: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    if isinstance(entry, Mapping):
        unknown = [key for key in entry if key not in (*names, _KNOWN_AT)]
        if unknown:
            raise DataError(
                f"an action has the unknown field {unknown[0]!r}.{did_you_mean(str(unknown[0]), names)}",
                code="DATA_ACTION",
            )
        known = entry.get(_KNOWN_AT)
        entry = (*(entry.get(name, float("nan") if name == "value" else None) for name in names), known)
    values = tuple(entry)
    if len(values) == len(names) - 1:
        values = (*values, float("nan"))
    if len(values) not in (len(names), len(names) + 1):
        raise DataError(f"an action must be ({', '.join(names)}), not {entry!r}", code="DATA_ACTION")
    return values


def _row(entry: tuple[Any, ...]) -> ActionRow:
    symbol, when, kind, value, *rest = entry
    # empty cells of a table are NaN or NaT, and neither equals itself
    known = [each for each in rest if each is not None and each == each and each != ""]
    try:
        number = float("nan") if value is None else float(value)
        made: ActionRow = (str(symbol), when, str(kind).strip().lower(), number)
        return (*made, known[0]) if known else made
    except (TypeError, ValueError):
        raise DataError(
            f"action {kind!r} of {symbol} on {when}: value {value!r} is not a number", code="DATA_ACTION"
        ) from None


def _checked(symbol: str, when: Any, kind: str, value: float) -> tuple[int, float]:
    if kind not in KINDS:
        raise DataError(
            f"action of {symbol} on {when}: unknown kind {kind!r}.{did_you_mean(kind, KINDS)}",
            code="DATA_ACTION",
        )
    code = KINDS[kind]
    if code == codes.ACTION_EARNINGS:
        return code, 0.0
    possible = {
        codes.ACTION_SPLIT: 0 < value < np.inf,
        codes.ACTION_DIVIDEND: 0 < value < np.inf,
        codes.ACTION_DELIST: np.isnan(value) or 0 <= value < np.inf,
    }[code]
    if not possible:
        raise DataError(
            f"{kind} of {symbol} on {when}: value {value} is not possible (a split is new shares per old "
            f"share, a dividend cash per share, both above 0)",
            code="DATA_ACTION",
        )
    return code, value


def _announced(symbol: str, kind: str, day: int) -> float:
    if KINDS[kind] != codes.ACTION_EARNINGS:
        raise DataError(
            f"{kind} of {symbol} has known_at; only earnings dates are announced", code="DATA_ACTION"
        )
    if day < 1:
        raise DataError(f"earnings of {symbol} lie before 1970-01-02", code="DATA_ACTION")
    return float(day)


def known_day(when: Any, symbol: str) -> int:
    """Return the first day at whose close an announcement was known, in days since 1970-01-01.

    Raises `DataError` DATA_ACTION for what is no date.
    """
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when.strip())
        except ValueError:
            return _day(when, symbol)  # says what is wrong
    day = _day(when, symbol)
    if isinstance(when, np.datetime64):
        timed = bool(when != when.astype("datetime64[D]"))
    else:
        timed = isinstance(when, datetime) and when.time() != datetime.min.time()
    return day + timed  # the hour may be after the close, and what hour that is the date does not say


def _checked_records(records: Records, symbols: tuple[str, ...], session: Ints) -> Records:
    rows, columns = records["row"], records["sym"]
    if ((rows < 0) | (rows >= session.size) | (columns < 0) | (columns >= len(symbols))).any():
        raise DataError(
            f"action records point outside the {session.size} rows and {len(symbols)} symbols",
            code="DATA_ACTION",
        )
    names = {code: name for name, code in reversed(KINDS.items())}
    for record in records:
        _checked(
            symbols[record["sym"]],
            f"row {record['row']}",
            names.get(int(record["kind"]), ""),
            float(record["value"]),
        )
    return _sorted(records)


def _sorted(records: Records) -> Records:
    return records[np.lexsort((records["kind"], records["sym"], records["row"]))]


def _day(when: Any, symbol: str) -> int:
    """Return days since 1970-01-01 of a date in any usual form; a time zone's wall date counts."""
    try:
        if isinstance(when, datetime):
            when = when.date()
        value: npt.NDArray[np.datetime64] = np.asarray(
            when.isoformat() if isinstance(when, date) else when, "datetime64[D]"
        )
        if value.ndim == 0 and not np.isnat(value):
            return int(value.astype(np.int64))
    except (TypeError, ValueError):
        pass
    raise DataError(f"action of {symbol}: {when!r} is not a date", code="DATA_ACTION")
