"""Bars: prices of many symbols over one time axis, as one block of memory.

`panel` is a float64 array of shape (T, S, 5): time, symbol, [open, high, low, close, volume]. Prices are in
currency per unit, volume in units. A symbol without a bar at a time has NaN in all five fields; a bar is
never half missing. Times are UTC nanoseconds. `ts` labels a bar: the midnight of its session date for daily
(and longer) bars, the opening instant for intraday bars. What decides when a bar is known is `close_ts`.

Prices are either adjusted (`raw=False`: splits and dividends are already inside the prices, and such actions
are for information) or raw (`raw=True`: prices as they were quoted, and splits and dividends change
quantities, resting prices and cash). A delisting always acts.

Slicing `bars[a:b]` gives views without copying and keeps session numbers, so that a strategy can be asked
about any prefix. Bars are immutable by convention: nothing in this project writes into them.

>>> import pandas as pd
>>> frame = pd.DataFrame(
...     {"open": [10.0, 11.0], "high": [11.0, 12.0], "low": [9.0, 10.0], "close": [11.0, 11.5]},
...     index=pd.to_datetime(["2020-01-02", "2020-01-03"]),
... )
>>> bars = Bars.from_frames({"ABC": frame}, sectors={"ABC": "Technology"})
>>> bars
Bars(user: 1 symbol, 2 daily bars, 2020-01-02 to 2020-01-03)
>>> bars.close[:, 0]
array([11. , 11.5])
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import DAY, FIELDS, Floats, Ints, Records, stamp
from simulator.bars.clock import check_calendar, session_of, sessions_per_year
from simulator.bars.incoming import (
    check_closes,
    check_origin,
    check_panel,
    check_spread,
    check_symbols,
    check_times,
    unknown_symbol,
)
from simulator.bars.instruments import (
    UNKNOWN_SECTOR,
    action_records,
    fill_instrument,
    instruments_of,
    sectors_of,
)
from simulator.bars.moments import daily_closes, open_and_close, with_announced
from simulator.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from simulator.options.market import OptionMarket

__all__ = ["UNKNOWN_SECTOR", "Bars", "GuardPolicy"]

GuardPolicy = Literal["raise", "drop", "note"]


class Bars:
    """An immutable panel of bars with its times, instruments, sectors and corporate actions.

    Build one with `load_bars`, `from_frames` or `from_arrays`; the constructor takes parts that already fit.

    Attributes
    ----------
    symbols : tuple of str
        Names in the order of the panel's second axis.
    panel : (T, S, 5) float64, C-contiguous
        Open, high, low, close, volume; NaN in all five where a symbol has no bar.
    ts : (T,) int64
        Labels, strictly increasing UTC ns.
    session, session_no : (T,) int64
        Session date in days since 1970-01-01, and a consecutive session number; both non-decreasing.
    daily : bool
        At most one bar per session (weekly and monthly bars are daily in this sense).
    instruments : (S,) `INSTRUMENT`
    sectors, sector_names : tuple of str
        Sector of each symbol, and the distinct names that `instruments["sector"]` indexes; 0 is "Unknown".
    actions : `ACTION`, sorted by row
    raw : bool
    spread : (T, S) float64, or (0, 0) where no spread is known
        Quoted spread in currency.
    origin : "real", "synthetic" or "user"
    name, calendar : str
    notes : tuple of str
        What the guard found and kept.
    detail, detail_start : Bars or None, (T + 1,) int64
        Lower-timeframe bars; those of bar t are rows `detail_start[t]` to `detail_start[t + 1]`.
    options : OptionMarket or None
        Quotes of options on the symbols, stored or modelled.
    """

    __slots__ = (
        "__weakref__",
        "_close_ts",
        "_daily_closes",
        "_fingerprint",
        "_open_ts",
        "_sessions_per_year",
        "actions",
        "calendar",
        "daily",
        "detail",
        "detail_start",
        "instruments",
        "name",
        "notes",
        "options",
        "origin",
        "panel",
        "raw",
        "sector_names",
        "sectors",
        "session",
        "session_no",
        "spread",
        "symbols",
        "ts",
    )

    def __init__(
        self,
        *,
        symbols: tuple[str, ...],
        panel: Floats,
        ts: Ints,
        session: Ints,
        session_no: Ints,
        daily: bool,
        instruments: Records,
        sectors: tuple[str, ...],
        sector_names: tuple[str, ...],
        actions: Records,
        raw: bool,
        spread: Floats,
        origin: str,
        name: str,
        calendar: str,
        notes: tuple[str, ...] = (),
        open_ts: Ints | None = None,
        close_ts: Ints | None = None,
        detail: Bars | None = None,
        detail_start: Ints | None = None,
        options: OptionMarket | None = None,
    ) -> None:
        self.symbols = symbols
        self.panel = panel
        self.ts = ts
        self.session = session
        self.session_no = session_no
        self.daily = daily
        self.instruments = instruments
        self.sectors = sectors
        self.sector_names = sector_names
        self.actions = actions
        self.raw = raw
        self.spread = spread
        self.origin = origin
        self.name = name
        self.calendar = calendar
        self.notes = notes
        self.detail = detail
        self.options = options
        self.detail_start = np.zeros(ts.size + 1, np.int64) if detail_start is None else detail_start
        self._open_ts = open_ts
        self._close_ts = close_ts
        self._fingerprint: str | None = None
        self._daily_closes: tuple[Floats, Ints] | None = None
        self._sessions_per_year: float | None = None

    @classmethod
    def from_frames(
        cls,
        frames: Mapping[str, pd.DataFrame],
        *,
        sectors: Mapping[str, str] | Sequence[str] | None = None,
        actions: Any = None,
        calendar: str = "XNYS",
        instruments: Mapping[str, Mapping[str, Any]] | Records | None = None,
        raw: bool = False,
        name: str = "user",
        origin: str = "user",
        guard: GuardPolicy = "raise",
    ) -> Bars:
        """Build bars from one table per symbol.

        Parameters
        ----------
        frames : mapping of symbol to DataFrame
            Columns open, high, low, close and optionally volume (absent: 0), bid and ask or spread, in any
            case and order; further columns are ignored. The index, or a column `date`, `time`, `datetime` or
            `timestamp`, holds the times. Dates may be naive; intraday times must carry a time zone and mark
            the bar's opening.
        sectors : mapping of symbol to name, or one name per symbol
        actions : DataFrame, list of records or mapping
            Corporate actions, see `make_actions`.
        calendar : str
            Exchange calendar, ISO 10383 code or "24/7".
        instruments : mapping of symbol to fields
            kind, tick, lot, multiplier, spread, borrow_rate, strike, expiry, right, underlying, beta.
        raw : bool
            True where prices are unadjusted.
        guard : "raise", "drop" or "note"
            What happens to bars that cannot be true, see `simulator.bars.guard`.

        Returns
        -------
        Bars
            Over the union of all times; a symbol without a row at a time has a missing bar there. A row with
            no price at all is missing too.

        Raises
        ------
        DataError
            DATA_EMPTY, DATA_COLUMNS, DATA_TYPE, DATA_TIME, DATA_NAIVE, DATA_MIXED, DATA_DUPLICATE,
            DATA_UNSORTED, DATA_NAN, DATA_PRICE, DATA_OHLC, DATA_VOLUME, DATA_SYMBOLS, DATA_CALENDAR,
            DATA_ACTION, DATA_INSTRUMENT.
        """
        from simulator.bars.frames import align

        canonical = check_calendar(calendar)
        aligned = align(frames, calendar=canonical, guard=guard)
        return cls.from_arrays(
            aligned.symbols,
            aligned.ts,
            aligned.panel,
            sectors=sectors,
            actions=actions,
            calendar=canonical,
            instruments=instruments,
            raw=raw,
            name=name,
            origin=origin,
            guard=guard,
            spread=aligned.spread,
            notes=aligned.notes,
            daily=aligned.daily,
            jumps=True,
        )

    @classmethod
    def from_arrays(
        cls,
        symbols: Sequence[str],
        ts: npt.ArrayLike,
        panel: npt.ArrayLike,
        *,
        sectors: Mapping[str, str] | Sequence[str] | None = None,
        actions: Any = None,
        calendar: str = "XNYS",
        instruments: Mapping[str, Mapping[str, Any]] | Records | None = None,
        raw: bool = False,
        name: str = "user",
        origin: str = "user",
        guard: GuardPolicy = "raise",
        spread: npt.ArrayLike | None = None,
        notes: Sequence[str] = (),
        daily: bool | None = None,
        close_ts: npt.ArrayLike | None = None,
        jumps: bool = False,
    ) -> Bars:
        """Build bars from arrays that are already aligned; a fitting float64 panel is not copied.

        Parameters
        ----------
        symbols : sequence of str, length S
        ts : (T,) int64 UTC ns or datetime64
            Strictly increasing. Daily bars: midnight UTC of the session date; intraday: the opening instant.
        panel : (T, S, 5)
            Open, high, low, close, volume. NaN in all four prices means a missing bar.
        daily : bool, optional
            Default: true where every label is a midnight UTC.
        close_ts : (T,) int64 UTC ns, optional
            Closing instants of intraday bars. Default: the usual distance between bars after the opening, at
            most the next bar's opening, and at most the session's close for a bar that opens before it.
        jumps : bool
            Also look for price jumps, which become notes.

        Raises
        ------
        DataError
            DATA_EMPTY, DATA_SHAPE, DATA_TIME, DATA_UNSORTED, DATA_DUPLICATE and the guard's codes.
        """
        names = check_symbols(symbols)
        times = check_times(ts, name)
        block = check_panel(panel, times.size, len(names), name)
        canonical = check_calendar(calendar)
        if daily is None:
            daily = bool((times % DAY == 0).all())
        session = times // DAY if daily else session_of(canonical, times)
        session_no = np.cumsum(np.diff(session, prepend=session[0]) != 0).astype(np.int64)
        records = action_records(actions, names, session)

        from simulator.bars.guard import apply_guard

        block, found = apply_guard(names, times, block, policy=guard, jumps=jumps, actions=records, raw=raw)
        sector_of, sector_names = sectors_of(sectors, names)
        bars = cls(
            symbols=names,
            panel=block,
            ts=times,
            session=session,
            session_no=session_no,
            daily=daily,
            instruments=instruments_of(instruments, names, sector_of, sector_names),
            sectors=sector_of,
            sector_names=sector_names,
            actions=records,
            raw=raw,
            spread=check_spread(spread, block.shape[:2]),
            origin=check_origin(origin),
            name=name,
            calendar=canonical,
            notes=(*notes, *found),
        )
        if close_ts is not None:
            bars._open_ts, bars._close_ts = times, check_closes(close_ts, times)
        return bars

    # Reading

    def __len__(self) -> int:
        return int(self.ts.size)

    def __repr__(self) -> str:
        count = f"{len(self.symbols)} symbol{'s' if len(self.symbols) != 1 else ''}"
        label = "SYNTHETIC " if self.origin == "synthetic" else ""
        kind = "daily" if self.daily else "intraday"
        span = f", {stamp(self.ts[0])} to {stamp(self.ts[-1])}" if len(self) else ""
        return f"Bars({label}{self.name}: {count}, {len(self)} {kind} bars{span})"

    @property
    def open(self) -> Floats:
        """Opening prices, a (T, S) view."""
        return self.panel[:, :, 0]

    @property
    def high(self) -> Floats:
        """Highest prices, a (T, S) view."""
        return self.panel[:, :, 1]

    @property
    def low(self) -> Floats:
        """Lowest prices, a (T, S) view."""
        return self.panel[:, :, 2]

    @property
    def close(self) -> Floats:
        """Closing prices, a (T, S) view."""
        return self.panel[:, :, 3]

    @property
    def volume(self) -> Floats:
        """Volumes in units, a (T, S) view."""
        return self.panel[:, :, 4]

    @property
    def index(self) -> pd.DatetimeIndex:
        """Labels as a time-zone-aware (UTC) pandas index named "time"."""
        import pandas as pd

        return pd.DatetimeIndex(self.ts.view("datetime64[ns]"), name="time").tz_localize("UTC")

    @property
    def open_ts(self) -> Ints:
        """Instants (UTC ns) at which the bars open; computed on first use."""
        if self._open_ts is None:
            self._open_ts, self._close_ts = open_and_close(self)
        return self._open_ts

    @property
    def close_ts(self) -> Ints:
        """Instants (UTC ns) at which the bars are complete; computed on first use."""
        if self._close_ts is None:
            self._open_ts, self._close_ts = open_and_close(self)
        return self._close_ts

    @property
    def sessions_per_year(self) -> float:
        """Usual number of sessions in a year of this calendar, for annualising."""
        if self._sessions_per_year is None:
            self._sessions_per_year = sessions_per_year(self.calendar)
        return self._sessions_per_year

    @property
    def fingerprint(self) -> str:
        """SHA-256 over symbols, times, panel, actions, instruments, options and raw flag: 64 hex digits."""
        if self._fingerprint is None:
            digest = hashlib.sha256()
            digest.update("\0".join(self.symbols).encode())
            digest.update(b"raw" if self.raw else b"adjusted")
            for array in (self.ts, self.panel, self.actions, self.instruments):
                digest.update(f"|{array.shape}|".encode())
                digest.update(np.ascontiguousarray(array).view(np.uint8).data)
            if self.options is not None:
                digest.update(self.options.digest())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def column(self, symbol: str) -> int:
        """Return the panel column of a symbol; `UnknownNameError` NAME_SYMBOL with a near-miss otherwise."""
        try:
            return self.symbols.index(symbol)
        except ValueError:
            raise unknown_symbol(symbol, self.symbols, self.name) from None

    def frame(self, symbol: str) -> pd.DataFrame:
        """Return one symbol's bars as a table over `index`; NaN where the symbol has no bar."""
        import pandas as pd

        block = self.panel[:, self.column(symbol), :]
        return pd.DataFrame(block.copy(), index=self.index, columns=list(FIELDS))

    def daily_closes(self) -> tuple[Floats, Ints]:
        """Return the last close of each session, and how many of them are complete at each bar.

        Returns
        -------
        closes : (D, S) float64
            One row per session in these bars; NaN where a symbol had no bar all session.
        day_row : (T,) int64
            At the close of bar t, rows `closes[:day_row[t]]` are complete: for daily bars t + 1, for
            intraday bars the sessions strictly before the bar's own.
        """
        if self._daily_closes is None:
            self._daily_closes = daily_closes(self)
        return self._daily_closes

    # Deriving

    def __getitem__(self, rows: slice) -> Bars:
        """Return the bars of a slice of rows as views; only plain slices `bars[a:b]` are allowed."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise DataError(
                f"bars take slices of rows such as bars[:250], not {rows!r}; for symbols, bars.select([...])",
                code="DATA_INDEX",
            )
        start, stop, _ = rows.indices(len(self))
        stop = max(start, stop)
        first, last = np.searchsorted(self.actions["row"], [start, stop])
        actions = self.actions[first:last].copy()
        actions["row"] -= start
        if first and stop > start:
            actions = with_announced(self.actions[:first], actions, int(self.session[start]))
        detail, detail_start = self.detail, None
        if detail is not None:
            detail_start = self.detail_start[start : stop + 1] - self.detail_start[start]
            detail = detail[int(self.detail_start[start]) : int(self.detail_start[stop])]
        if not self.daily and self._close_ts is None:
            # An intraday bar's close may depend on the next bar: it has to be known before cutting there.
            self._open_ts, self._close_ts = open_and_close(self)
        return self.replaced(
            panel=self.panel[start:stop],
            ts=self.ts[start:stop],
            session=self.session[start:stop],
            session_no=self.session_no[start:stop],
            actions=actions,
            spread=self.spread[start:stop] if self.spread.size else self.spread,
            open_ts=None if self._open_ts is None else self._open_ts[start:stop],
            close_ts=None if self._close_ts is None else self._close_ts[start:stop],
            detail=detail,
            detail_start=detail_start,
            options=None if self.options is None else self.options.rows(start, stop),
        )

    def select(self, symbols: Sequence[str]) -> Bars:
        """Return the bars of some symbols, in the given order; the panel is copied.

        Raises `UnknownNameError` NAME_SYMBOL, and `DataError` DATA_SYMBOLS for an empty or repeated name.
        """
        names = check_symbols(symbols)
        columns = np.array([self.column(name) for name in names], np.int64)
        new_of = np.full(len(self.symbols), -1, np.int64)
        new_of[columns] = np.arange(columns.size)
        actions = self.actions[new_of[self.actions["sym"]] >= 0].copy()
        actions["sym"] = new_of[actions["sym"]]
        sectors, sector_names = sectors_of([self.sectors[column] for column in columns], names)
        instruments = self.instruments[columns].copy()
        underlying = instruments["underlying"]
        instruments["underlying"] = np.where(underlying >= 0, new_of[np.maximum(underlying, 0)], -1)
        instruments["sector"] = [sector_names.index(sector) for sector in sectors]
        return self.replaced(
            symbols=names,
            panel=np.ascontiguousarray(self.panel[:, columns, :]),
            instruments=instruments,
            sectors=sectors,
            sector_names=sector_names,
            actions=actions[np.lexsort((actions["kind"], actions["sym"], actions["row"]))],
            spread=np.ascontiguousarray(self.spread[:, columns]) if self.spread.size else self.spread,
            detail=None if self.detail is None else self.detail.select(names),
            options=None if self.options is None else self.options.columns(columns),
        )

    def with_options(self, options: OptionMarket) -> Bars:
        """Return bars that know options on their symbols; `DataError` DATA_SHAPE for those of other bars."""
        if len(options.rates) != len(self):
            raise DataError(
                f"the options were made for {len(options.rates)} bars, these are {len(self)}",
                code="DATA_SHAPE",
            )
        return self.replaced(options=options)

    def with_earnings(self, dates: Any) -> Bars:
        """Return bars that also know these earnings dates, each from the day on which it was announced.

        Parameters
        ----------
        dates : DataFrame or mapping
            A table with columns symbol, date and known_at, or a mapping of symbol to pairs (date, known_at).
            A revision is a further row. A date without `known_at` is known on the day itself.

        Raises
        ------
        DataError
            DATA_ACTION for a date that cannot be read.
        UnknownNameError
            NAME_SYMBOL.
        """
        from simulator.bars.actions import make_earnings

        added = make_earnings(dates, symbols=self.symbols, session=self.session)
        actions = np.concatenate([self.actions, added])
        return self.replaced(actions=actions[np.lexsort((actions["kind"], actions["sym"], actions["row"]))])

    def with_sectors(self, sectors: Mapping[str, str] | Sequence[str]) -> Bars:
        """Return the same bars with other sectors; symbols that a mapping leaves out become "Unknown"."""
        found, names = sectors_of(sectors, self.symbols)
        instruments = self.instruments.copy()
        instruments["sector"] = [names.index(sector) for sector in found]
        return self.replaced(sectors=found, sector_names=names, instruments=instruments)

    def with_betas(self, betas: Mapping[str, float]) -> Bars:
        """Return the same bars with other betas, which the limit on net delta weighs by; 1.0 without one.

        Raises `UnknownNameError` NAME_SYMBOL, and `DataError` DATA_INSTRUMENT for what is no finite number.
        """
        instruments = self.instruments.copy()
        for symbol, beta in betas.items():
            fill_instrument(instruments[self.column(symbol)], symbol, {"beta": beta}, self.symbols)
        return self.replaced(instruments=instruments)

    def resample(self, rule: str) -> Bars:
        """Return completed higher bars of "1h", "1D", "1W", "1M" and so on, see `simulator.bars.resample`."""
        from simulator.bars.resample import resample

        return resample(self, rule)

    def with_detail(self, finer: Bars) -> Bars:
        """Attach lower-timeframe bars, which replace the assumption about a bar's price path.

        `finer` needs all symbols of these bars (others are left out) and the same price basis; rows that lie
        outside every bar are left out.

        Raises
        ------
        DataError
            DATA_DETAIL: no row of `finer` falls inside a bar, a bar of `finer` is longer than the bars
            themselves, or its prices are on another scale (raw against adjusted).
        UnknownNameError
            NAME_SYMBOL: a symbol is absent from `finer`.
        """
        from simulator.bars.detail import attach

        return attach(self, finer)

    def rows(self, chosen: Ints) -> Bars:
        """Return the bars of some increasing rows, copied, without others' actions and without detail."""
        place = np.searchsorted(chosen, self.actions["row"])
        kept = place < chosen.size
        kept &= (
            chosen[np.minimum(place, max(chosen.size - 1, 0))] == self.actions["row"]
            if chosen.size
            else False
        )
        actions = self.actions[kept].copy()
        actions["row"] = place[kept]
        opens, closes = self.open_ts, self.close_ts
        return self.replaced(
            panel=self.panel[chosen],
            ts=self.ts[chosen],
            session=self.session[chosen],
            session_no=self.session_no[chosen],
            actions=actions,
            spread=self.spread[chosen] if self.spread.size else self.spread,
            open_ts=opens[chosen],
            close_ts=closes[chosen],
            detail=None,
            detail_start=None,
        )

    def replaced(self, **parts: Any) -> Bars:
        """Return bars with some parts exchanged, unchecked; derived values are computed anew."""
        values: dict[str, Any] = {
            name: getattr(self, name) for name in self.__slots__ if not name.startswith("_")
        }
        values.update(open_ts=self._open_ts, close_ts=self._close_ts)
        values.update(parts)
        made = Bars(**values)
        made._sessions_per_year = self._sessions_per_year
        return made
