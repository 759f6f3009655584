"""Reading cells: numbers, dates, times, kinds; and what is known about index options by their root.

Vendors repeat the same few dates and words millions of times, so each distinct text is read once. A cell
that should hold a number and does not is an error that names file, row and column; an empty cell is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.arrays import Floats, Ints
from simulator.bars.clock import NEW_YORK, calendar_sessions, session_times
from simulator.errors import DataError, did_you_mean
from simulator.options.chain_columns import KINDS, SETTLEMENTS, STYLES, Column, Draft, Origin, complete

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Layout",
    "Source",
    "Table",
    "at_close",
    "sides",
    "terms_by_root",
    "terms_by_symbol",
    "ticker",
    "whole_sessions",
]

# Cash-settled European index classes and when they settle; stock and fund options are American, at the close.
INDEX_ROOTS: Final = {
    "SPX": "am", "SPXW": "pm", "SPXPM": "pm", "SPXQ": "pm", "XSP": "pm", "NDX": "am", "NDXP": "pm",
    "XND": "pm", "RUT": "am", "RUTW": "pm", "MRUT": "pm", "VIX": "am", "VIXW": "am", "DJX": "am", "XEO": "pm",
}  # fmt: skip
_BLANK: Final = ("", "NA", "N/A", "nan", "NaN", "null", "None", "-", ".")
_SATURDAY: Final = 2  # 1970-01-01 was a Thursday
_LONGEST_CLOSURE: Final = 7


@dataclass(frozen=True)
class Source:
    """What the caller knows beside the table."""

    name: str
    symbol: str | None = None
    calendar: str = NEW_YORK
    time: int | None = None
    underlying: float | None = None
    origin: str | None = None


@dataclass(frozen=True)
class Layout:
    """A vendor's layout: its name, the columns that give it away, and the function that reads it."""

    name: str
    vendor: str
    columns: frozenset[str]
    read: Callable[[Table], list[Draft]]


class Table:
    """A vendor's table with plain column names (lower case, no brackets, no spaces around)."""

    def __init__(self, frame: pd.DataFrame, source: Source) -> None:
        self.source = source
        self.names = {plain(label): label for label in frame.columns}
        self.frame = frame
        self.size = len(frame)

    def __len__(self) -> int:
        return self.size

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def series(self, name: str) -> pd.Series[Any]:
        """Return a column; `DataError` DATA_COLUMNS where it is absent."""
        if name not in self.names:
            raise DataError(
                f"{self.source.name}: column {name!r} is missing.{did_you_mean(name, self.names)}",
                code="DATA_COLUMNS",
            )
        return self.frame[self.names[name]]

    def numbers(self, name: str) -> Floats:
        """Return a column of numbers; all NaN where the vendor left it out, DATA_TYPE for other texts."""
        import pandas as pd

        if name not in self:
            return np.full(len(self), np.nan)
        series = self.series(name)
        if series.dtype.kind in "iufb":
            return series.to_numpy(np.float64)
        texts = series.astype("str").str.strip()
        texts = texts.where(~texts.isin(_BLANK))
        values = pd.to_numeric(texts, errors="coerce")
        bad = (values.isna() & texts.notna()).to_numpy()
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{self.source.name}: row {row + 1} has {texts.iloc[row]!r} in the column {name}, "
                f"where a number belongs",
                code="DATA_TYPE",
            )
        return values.to_numpy(np.float64)

    def mapped(self, name: str, function: Callable[[Any], Any], dtype: Any) -> Column:
        """Return a column with `function` applied to each distinct value, once."""
        import pandas as pd

        codes, values = pd.factorize(self.series(name), use_na_sentinel=True)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0)) + 1
            raise DataError(f"{self.source.name}: row {row} has no {name}", code="DATA_TYPE")
        return np.array([function(value) for value in values], dtype)[codes]

    def days(self, name: str, *formats: str) -> Ints:
        """Return a column of dates in days since 1970-01-01; `formats` are tried in turn, ISO first."""

        def read(value: Any) -> int:
            return _day(value, formats, f"{self.source.name}, column {name}")

        return np.asarray(self.mapped(name, read, np.int64), np.int64)

    def kinds(self, name: str) -> Column:
        """Return a column of call and put as 1 and -1."""

        def read(value: Any) -> int:
            text = str(value).strip().lower()
            if text in KINDS:
                return KINDS[text]
            if text in ("1", "-1"):
                return int(text)
            raise DataError(f"{self.source.name}: {value!r} is neither call nor put", code="DATA_TYPE")

        return self.mapped(name, read, np.int8)

    def coded(
        self, name: str, function: Callable[[str], str] = str.strip, *, empty: bool = False
    ) -> tuple[tuple[str, ...], Column]:
        """Return a column's distinct texts, sorted, and the position of each row's text among them.

        Absent texts are an error (DATA_TYPE), or "" where `empty` allows it.
        """
        import pandas as pd

        series = self.series(name)
        if empty:
            series = series.astype("str").fillna("")
        codes, values = pd.factorize(series)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0)) + 1
            raise DataError(f"{self.source.name}: row {row} has no {name}", code="DATA_TYPE")
        texts = [function(str(value)) for value in values]
        names = tuple(sorted(set(texts)))
        table = np.array([names.index(text) for text in texts], np.int16)
        return names, table[codes]

    def by_symbol(
        self,
        owner: tuple[tuple[str, ...], Column] | None,
        *,
        root: tuple[tuple[str, ...], Column] | None = None,
        origin: Origin = "real",
        twice: bool = False,
        **columns: Any,
    ) -> list[Draft]:
        """Return one draft per underlying.

        `owner` and `root` are what `coded` returns; `twice` says that every row of the table gave two quotes,
        first all calls, then all puts.
        """
        rows = np.arange(1, len(self) + 1)
        repeat = 2 if twice else 1
        rows = np.tile(rows, repeat)
        names = ("",) if root is None else root[0]
        if root is not None:
            columns["root"] = np.tile(root[1], repeat)
        made = complete(columns, what=self.source.name)
        if owner is None:
            if self.source.symbol is None:
                raise DataError(
                    f"{self.source.name} does not name its underlying; give symbol=...",
                    code="DATA_UNDERLYING",
                )
            owner = ((self.source.symbol,), np.zeros(len(self), np.int16))
        codes = np.tile(owner[1], repeat)
        whole = Draft("", made, names, (self.source.name,), np.zeros_like(rows), rows, origin)
        if len(owner[0]) == 1:
            return [replace(whole, symbol=owner[0][0])]
        return [replace(whole.taken(codes == code), symbol=name) for code, name in enumerate(owner[0])]


def plain(label: object) -> str:
    """Return a column's name as layouts write it: lower case, without brackets and blanks around."""
    return str(label).strip().strip("[]").strip().lower()


def sides(call: Mapping[str, Any], put: Mapping[str, Any], **shared: Any) -> dict[str, Any]:
    """Return columns of a table that has call and put side by side, calls first, then puts."""
    size = len(next(iter(shared.values())))
    made = {name: np.concatenate([column, column]) for name, column in shared.items()}
    made |= {name: np.concatenate([call[name], put[name]]) for name in call}
    made["kind"] = np.repeat(np.array([KINDS["call"], KINDS["put"]], np.int8), size)
    return made


def at_close(calendar: str, days: Ints) -> Ints:
    """Return the close (UTC ns) of each session: when quotes that carry only a date are taken to stand."""
    distinct, at = np.unique(days, return_inverse=True)
    return session_times(calendar, distinct)[1][at]


def whole_sessions(calendar: str, days: Ints) -> Ints:
    """Return expiries with Saturdays moved to the session before.

    Until 2015 listed options expired on paper on the Saturday after the last day of trading, and several
    vendors keep that date; value and time are those of the last session.
    """
    saturday = days % 7 == _SATURDAY
    if calendar != NEW_YORK or not saturday.any():
        return days
    distinct = np.unique(days[saturday])
    known = calendar_sessions(calendar, int(distinct.min()) - _LONGEST_CLOSURE, int(distinct.max()))
    if not known.size or known[0] > distinct.min():
        before = distinct - 1
    else:
        before = known[np.searchsorted(known, distinct, side="right") - 1]
    return np.where(saturday, before[np.minimum(np.searchsorted(distinct, days), distinct.size - 1)], days)


def no_quote(bid: Floats, ask: Floats) -> tuple[Floats, Floats]:
    """Return bid and ask with NaN where both are 0: no one can sell at 0, so there was no quote."""
    absent = (bid == 0) & (ask == 0)
    return np.where(absent, np.nan, bid), np.where(absent, np.nan, ask)


def positive(values: Floats) -> Floats:
    """Return the values with NaN for what is not above 0, which vendors write for unknown."""
    with np.errstate(invalid="ignore"):
        return np.where(values > 0, values, np.nan)


def ticker(text: str) -> str:
    """Return an underlying's symbol without the caret that marks indices."""
    return text.strip().lstrip("^").upper()


def terms_by_root(roots: Iterable[str]) -> tuple[Column, Column]:
    """Return style and settlement codes of trading classes: "SPX" is the morning-settled one."""
    names = [ticker(root) for root in roots]
    style = [STYLES.index("european" if name in INDEX_ROOTS else "american") for name in names]
    settlement = [SETTLEMENTS.index(INDEX_ROOTS.get(name, "pm")) for name in names]
    return np.array(style, np.int8), np.array(settlement, np.int8)


def terms_by_symbol(symbols: Iterable[str]) -> tuple[Column, Column]:
    """Return the codes where only the underlying is known: the settlement of index options then is not."""
    style, settlement = terms_by_root(symbols)
    return style, np.where(style == STYLES.index("european"), np.int8(0), settlement)


def _day(value: Any, formats: tuple[str, ...], what: str) -> int:
    import datetime as dt

    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[D]").astype(np.int64))
    if isinstance(value, dt.date):
        return value.toordinal() - dt.date(1970, 1, 1).toordinal()
    text = str(int(value)) if isinstance(value, (int, float, np.number)) else str(value).strip()
    for form in ("%Y-%m-%d", *formats):
        part = text[: len("2020-01-02")] if form == "%Y-%m-%d" else text
        try:
            found = dt.datetime.strptime(part, form).replace(tzinfo=dt.UTC)
        except ValueError:
            continue
        return found.toordinal() - dt.date(1970, 1, 1).toordinal()
    raise DataError(f"{what}: {value!r} is no date", code="DATA_TIME")
