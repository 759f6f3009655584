"""Signals: what a strategy or a user wants to trade, one record per intention.

A signal is known at the close of its bar. The risk manager judges it there; what it admits becomes a working
order for the next bar, or fills at this close where `entry="close"`. Signals are sparse: a record per
intention, sorted by time, then priority (high first), then the order in which they were given.

Columns (absent values NaN or missing): `time`, `symbol`, `side` (+1 long, -1 short, 0 closes); `entry`
("open", "close", "limit", "stop", "stop_limit", "moc"), `entry_price`, `limit_price`, `valid_bars`, `tif`
("GTC", "DAY", "GTD" with `valid_until`); stops as a price (`stop`) or relative to the fill (`stop_percent`,
`stop_atr`); up to three targets (`target`, `target_percent` or `target_r`, with `target_fraction`, then
`target2...`, `target3...`); `trail_percent`, `trail_amount` or `trail_atr` with optional `trail_activate_r`;
`breakeven_r`; scale-in (`add_r`, `add_fraction`, `add2_r`, `add2_fraction`); scale-out (`scale_out_r`,
`scale_out_fraction`); time exits `max_bars`, `max_days`, filled at the next open or, with `exit="close"`, at
the close; `qty` (absent: sized by risk); `atr`, `score` (0 to 100), `strength`, `priority`, `oco` (a group
number: the first to fill cancels the others), `strategy`, `sector`, `tag`.

>>> import pandas as pd
>>> frame = pd.DataFrame({"time": ["2020-01-03"], "symbol": ["AAPL"], "side": [1], "stop": [290.0]})
>>> len(Signals.from_frame(frame))
1
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import stamp
from simulator.errors import SignalError, UnknownNameError, did_you_mean, warn
from simulator.kernel import codes
from simulator.kernel.dtypes import LEG, PACKAGE, SIGNAL
from simulator.kernel.state import Lane
from simulator.types import Entry, SignalStrength, TimeInForce

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars

__all__ = ["Signals"]

Records = npt.NDArray[np.void]
Ready = tuple[Records, int]

_FLOATS: Final = tuple(name for name in SIGNAL.names or () if SIGNAL[name] == np.dtype("<f8"))
_COUNTS: Final = ("valid_bars", "max_bars", "max_days", "oco")
_WORDS: Final = ("entry", "tif", "exit", "strength")
_NAMES: Final = ("tag", "strategy", "sector")
_PRICES: Final = ("entry_price", "limit_price", "stop", "target", "target2", "target3")
_POSITIVE: Final = (
    *_PRICES,
    *("stop_percent", "stop_atr", "target_percent", "target2_percent", "target3_percent"),
    *("target_r", "target2_r", "target3_r", "trail_percent", "trail_amount", "trail_atr"),
    *("breakeven_r", "atr", "add_r", "add2_r", "scale_out_r"),
)
_FRACTIONS: Final = (
    *("target_fraction", "target2_fraction", "target3_fraction"),
    *("add_fraction", "add2_fraction", "scale_out_fraction"),
)
_STOPS: Final = ("stop", "stop_percent", "stop_atr", "trail_percent", "trail_amount", "trail_atr")
_ALTERNATIVES: Final = {
    "trail": ("trail_percent", "trail_amount", "trail_atr"),
    "stop": ("stop", "stop_percent", "stop_atr"),
    **{name: (name, f"{name}_percent", f"{name}_r") for name in ("target", "target2", "target3")},
}
_MULTIPLES: Final = (
    *("target_r", "target2_r", "target3_r", "breakeven_r"),
    *("add_r", "add2_r", "scale_out_r"),
)
_INTERNAL: Final = (
    "forced_ts",
    "forced_phase",
    "forced_reason",
    "forced_price",
    "group",
    "extras",
    "package",
)
COLUMNS: Final = frozenset(
    {"time", "symbol", "side", "valid_until", *_FLOATS, *_COUNTS, *_WORDS, *_NAMES} - {"forced_price"}
)
_ENTRIES: Final = {entry.label: int(entry) for entry in Entry if int(entry) <= codes.ENTRY_MOC}
_TIFS: Final = {tif.name: int(tif) for tif in TimeInForce}


class Signals:
    """An immutable, sorted set of signals.

    `records` is a structured array of dtype `SIGNAL`; its `sym`, `tag`, `strategy` and `sector` fields index
    `symbols`, `tags`, `strategies` and `sectors`.
    """

    __slots__ = (
        "__weakref__",
        "_home",
        "_ready",
        "checked_stops",
        "legs",
        "packages",
        "records",
        "sectors",
        "strategies",
        "symbols",
        "tags",
    )

    def __init__(
        self,
        records: Records,
        symbols: tuple[str, ...],
        *,
        tags: tuple[str, ...] = ("",),
        strategies: tuple[str, ...] = ("",),
        sectors: tuple[str, ...] = (),
        checked_stops: bool = False,
        packages: Records | None = None,
        legs: Records | None = None,
    ) -> None:
        self.records = records
        self.symbols = symbols
        self.tags = tags
        self.strategies = strategies
        self.sectors = sectors
        self.checked_stops = checked_stops
        self.packages = np.zeros(0, PACKAGE) if packages is None else packages
        self.legs = np.zeros((0, 4), LEG) if legs is None else legs
        self._home: weakref.ref[Bars] | None = None  # the bars that the rows refer to
        self._ready: tuple[weakref.ref[Bars], Ready] | None = None

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Signals:
        """Build signals from a table with the columns of the module's docstring.

        Raises `SignalError` for unknown or missing columns, naive or unreadable times, unknown words,
        prices and quantities that are not positive, targets on the wrong side of the stop, and multiples of R
        without a stop or trail to measure them by. A stop on the wrong side of the market is found when the
        signals meet their bars.
        """
        import pandas as pd

        if not isinstance(frame, pd.DataFrame):
            raise SignalError(
                f"signals come from a DataFrame, not {type(frame).__name__}; on rows of bars, "
                "Signals.from_arrays builds them",
                code="SIGNAL_TYPE",
            )
        _check_columns(frame.columns)
        ts = _times(frame["time"], "time")
        if frame["symbol"].isna().any():
            raise SignalError(
                f"symbol is missing in row {int(np.argmax(frame['symbol'].isna()))}", code="SIGNAL_SYMBOL"
            )
        symbols, sym = _factorise(frame["symbol"].astype(str).tolist(), ())
        columns: dict[str, Any] = {}
        for name in frame.columns:
            if name in ("time", "symbol", "side"):
                continue
            values = frame[name]
            if name == "valid_until":
                present = values.notna().to_numpy()
                until = np.zeros(len(frame), np.int64)
                if present.any():
                    until[present] = _times(values[present], name)
                columns[name] = until
            elif name in _WORDS or name in _NAMES:
                columns[name] = [None if pd.isna(value) else value for value in values]
            else:
                columns[name] = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
                _check_numeric(values, columns[name], name)
        side = pd.to_numeric(frame["side"], errors="coerce").to_numpy(np.float64)
        _check_numeric(frame["side"], side, "side", hint=": 1 is long, -1 short, 0 closes")
        signals = _build(ts, np.full(len(ts), -1, np.int64), sym, side, tuple(symbols), columns)
        _check_multiples(signals.records, signals.symbols)
        signals.checked_stops = True
        return signals

    @classmethod
    def from_arrays(
        cls,
        bars: Bars,
        row: npt.ArrayLike,
        symbol: npt.ArrayLike | Sequence[str],
        side: npt.ArrayLike,
        **columns: Any,
    ) -> Signals:
        """Build signals on rows of `bars`: the fast way for strategies.

        Parameters
        ----------
        bars
            The bars that `row` and `symbol` refer to.
        row
            Bar rows, shape (n,), 0 to len(bars) - 1.
        symbol
            Column indices or names, shape (n,) or one for all.
        side
            +1, -1 or 0, shape (n,) or one for all.
        **columns
            Any column of the module's docstring, arrays of shape (n,) or scalars.
        """
        if not hasattr(bars, "panel"):
            raise SignalError(
                f"rows belong to Bars, not to {type(bars).__name__}; Bars.from_frames makes them of tables",
                code="SIGNAL_TYPE",
            )
        rows = _indices(row, len(bars), "row", f"the {len(bars)} bars; a signal must name a bar that exists")
        n = len(rows)
        names = [name for name in columns if name not in COLUMNS and name not in _INTERNAL]
        if names:
            raise SignalError(
                f"unknown column {names[0]!r}.{did_you_mean(names[0], COLUMNS)}", code="SIGNAL_COLUMN"
            )
        given = np.asarray(symbol)
        if given.dtype.kind in "OUS":
            lookup = {name: index for index, name in enumerate(bars.symbols)}
            try:
                codes_ = np.array([lookup[str(name)] for name in given.reshape(-1)], np.int64)
            except KeyError as error:
                raise _unknown_symbol(str(error.args[0]), bars.symbols) from None
        else:
            count = len(bars.symbols)
            codes_ = _indices(given, count, "symbol", f"the {count} columns of the bars; names work too")
        sym = np.ascontiguousarray(np.broadcast_to(_fitting("symbol", codes_, n), (n,)))
        sides = np.broadcast_to(_numbers("side", side, n).reshape(-1), (n,)).copy()
        signals = _build(bars.ts[rows], rows, sym, sides, bars.symbols, columns)
        if not signals.sectors:
            signals._home = weakref.ref(bars)
        return signals

    @classmethod
    def empty(cls, bars: Bars) -> Signals:
        """Return no signals at all."""
        return cls(np.zeros(0, SIGNAL), bars.symbols)

    @classmethod
    def concat(cls, parts: Sequence[Signals]) -> Signals:
        """Merge several sets into one, sorted anew; on ties the earlier part goes first."""
        symbols, tags, strategies, sectors = (_Table() for _ in range(4))
        tags.add("")
        strategies.add("")
        merged, packages = [], 0
        for part in parts:
            records = part.records.copy()
            records["package"] += np.where(records["package"] > 0, packages, 0)
            packages += len(part.packages)
            records["row"] = -1
            for field, table, names in (
                ("sym", symbols, part.symbols),
                ("tag", tags, part.tags),
                ("strategy", strategies, part.strategies),
            ):
                records[field] = np.array([table.add(name) for name in names] or [0], np.int64)[
                    records[field]
                ]
            given = records["sector"] >= 0
            if given.any():
                lookup = np.array([sectors.add(name) for name in part.sectors], np.int64)
                records["sector"][given] = lookup[records["sector"][given]]
            merged.append(records)
        records = np.concatenate(merged) if merged else np.zeros(0, SIGNAL)
        return cls(
            records[_order(records)],
            tuple(symbols.names),
            tags=tuple(tags.names),
            strategies=tuple(strategies.names),
            sectors=tuple(sectors.names),
            checked_stops=any(part.checked_stops for part in parts),
            packages=np.concatenate([part.packages for part in parts]) if packages else None,
            legs=np.concatenate([part.legs for part in parts]) if packages else None,
        )

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        """Name the count and the symbols."""
        return f"Signals({len(self)} on {len(self.symbols)} symbols)"

    def frame(self) -> pd.DataFrame:
        """Return the signals as a table with words for codes; absent columns are left out."""
        import pandas as pd

        records = self.records
        frame = pd.DataFrame(
            {
                "time": pd.to_datetime(records["ts"], unit="ns", utc=True),
                "symbol": np.array(self.symbols, dtype=object)[records["sym"]],
                "side": records["side"],
                "entry": [Entry(int(code)).label for code in records["entry"]],
            }
        )
        for name in _FLOATS:
            if name != "forced_price" and np.isfinite(records[name]).any():
                frame[name] = records[name]
        for name in _COUNTS:
            if records[name].any():
                frame[name] = records[name]
        if records["strength"].any():
            frame["strength"] = records["strength"]
        for name, names in (("tag", self.tags), ("strategy", self.strategies)):
            if records[name].any():
                frame[name] = np.array(names, dtype=object)[records[name]]
        return frame

    def aligned(self, bars: Bars) -> Records:
        """Return the records with rows and columns of `bars`, sorted by row.

        Raises `SignalError` for a time that is no bar's label and `UnknownNameError` for a symbol that the
        bars lack.
        """
        if self._home is not None and self._home() is bars:
            return self.records
        return self._align(bars)

    def lane(self, records: Records) -> Lane:
        """Return what the kernel reads of these signals; `records` are they, aligned with bars."""
        return Lane(records, self.packages, self.legs)

    def ready_for(self, bars: Bars) -> Ready | None:
        """Return what `keep_ready` kept for these bars, if they are the ones."""
        return self._ready[1] if self._ready is not None and self._ready[0]() is bars else None

    def keep_ready(self, bars: Bars, records: Records, lacking: int) -> Ready:
        """Keep records aligned with `bars` for the next run, and the first signal without a size."""
        ready = (records, lacking)
        self._ready = (weakref.ref(bars), ready)
        return ready

    def _align(self, bars: Bars) -> Records:
        records = self.records.copy()
        if not len(records):
            return records
        row = np.searchsorted(bars.ts, records["ts"])
        known = (row < len(bars)) & (bars.ts[np.minimum(row, len(bars) - 1)] == records["ts"])
        if not known.all():
            raise self._unknown_time(int(np.flatnonzero(~known)[0]), bars)
        records["row"] = row
        lookup = {name: index for index, name in enumerate(bars.symbols)}
        used = np.unique(records["sym"])
        table = np.zeros(len(self.symbols), np.int64)
        for code in used:
            name = self.symbols[code]
            if name not in lookup:
                raise _unknown_symbol(name, bars.symbols)
            table[code] = lookup[name]
        records["sym"] = table[records["sym"]]
        given = records["sector"] >= 0
        if given.any():
            sectors = {name: index for index, name in enumerate(bars.sector_names)}
            # a sector that no instrument has shares the capped bucket of the unknown ones
            remap = np.array([sectors.get(name, 0) for name in self.sectors], np.int64)
            records["sector"][given] = remap[records["sector"][given]]
        if self.checked_stops:
            _check_stop_side(records, bars)
        return records

    def _unknown_time(self, index: int, bars: Bars) -> SignalError:
        ts = int(self.records["ts"][index])
        who = f"signal {index} ({self.symbols[self.records['sym'][index]]}) is at {stamp(ts)}"
        if not len(bars):
            return SignalError(f"{who}, and there are no bars", code="SIGNAL_TIME")
        near = int(np.clip(np.searchsorted(bars.ts, ts), 0, len(bars) - 1))
        return SignalError(
            f"{who}, which is no bar's time; the nearest bar is {stamp(bars.ts[near])} and the bars run from "
            f"{stamp(bars.ts[0])} to {stamp(bars.ts[-1])}. Daily bars are stamped with their session date at "
            "midnight UTC.",
            code="SIGNAL_TIME",
        )


class _Table:
    """Names by code, in order of first appearance."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}

    def add(self, name: str) -> int:
        if name not in self._codes:
            self._codes[name] = len(self.names)
            self.names.append(name)
        return self._codes[name]


def _build(
    ts: npt.NDArray[np.int64],
    row: npt.NDArray[np.int64],
    sym: npt.NDArray[np.int64],
    side: npt.NDArray[np.float64],
    symbols: tuple[str, ...],
    columns: Mapping[str, Any],
) -> Signals:
    n = len(ts)
    records = np.zeros(n, SIGNAL)
    for name in _FLOATS:
        records[name] = np.nan
    records["ts"], records["row"], records["sym"] = ts, row, sym
    _check(
        np.isin(side, (-1, 0, 1)), side, "side", "must be 1 (long), -1 (short) or 0 (close)", records, symbols
    )
    records["side"] = side
    records["sector"] = -1
    records["priority"] = 0.0
    for name, values in columns.items():
        if name in _NAMES or values is None:
            continue
        if name in _WORDS:
            _set_words(records, name, values)
        elif name == "valid_until":
            records[name] = _fitting(name, np.asarray(values, np.int64), n)
            records["tif"][records["valid_until"] > 0] = codes.TIF_GTD
        elif name in _COUNTS or name in ("forced_ts", "forced_phase", "forced_reason", "group"):
            if name == "forced_ts":
                records[name] = values
                continue
            numbers = np.nan_to_num(np.broadcast_to(_numbers(name, values, n), (n,)), nan=0.0)
            whole = (numbers >= 0) & (numbers == np.floor(numbers))
            _check(whole, numbers, name, "must be a whole number, 0 or more", records, symbols)
            records[name] = numbers.astype(np.int64)
        else:
            records[name] = _numbers(name, values, n)
    records["priority"] = np.nan_to_num(records["priority"], nan=0.0)
    _validate(records, symbols)
    _set_extras(records)
    order = _order(records)
    if not np.array_equal(order, np.arange(n)):
        records = records[order]
    tables = {}
    for name in _NAMES:
        tables[name] = _set_names(records, order, name, columns.get(name))
    return Signals(
        records, symbols, tags=tables["tag"], strategies=tables["strategy"], sectors=tables["sector"]
    )


def _set_extras(records: Records) -> None:
    # Bits that let the kernel pass over what most signals lack.
    def given(*names: str) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = np.logical_or.reduce([~np.isnan(records[name]) for name in names])
        return found

    targets = given(
        *("target2", "target2_percent", "target2_r", "target3", "target3_percent", "target3_r"),
        *("target_fraction", "scale_out_r"),
    )
    records["extras"] = targets * codes.EXTRA_TARGETS | given("add_r", "add2_r") * codes.EXTRA_ADDS


def _order(records: Records) -> npt.NDArray[np.intp]:
    ts = records["ts"]
    if len(ts) > 1 and not records["priority"].any() and bool((ts[1:] >= ts[:-1]).all()):
        return np.arange(len(ts), dtype=np.intp)
    return np.lexsort((-records["priority"], ts))


def _set_words(records: Records, name: str, values: Any) -> None:
    table: Mapping[str, int]
    if name == "entry":
        table, field, default = _ENTRIES, "entry", codes.ENTRY_OPEN
    elif name == "tif":
        table, field, default = _TIFS, "tif", codes.TIF_GTC
    elif name == "exit":
        table, field, default = {"open": 0, "close": 1}, "exit_close", 0
    else:
        table, field, default = {strength.name: int(strength) for strength in SignalStrength}, "strength", 0
    if not isinstance(values, (list, tuple, np.ndarray)):
        records[field] = _word(values, table, name, default)
        return
    records[field] = _fitting(
        name, np.array([_word(value, table, name, default) for value in values], np.int64), len(records)
    )


def _word(value: Any, table: Mapping[str, int], name: str, default: int) -> int:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return default
    if isinstance(value, str):
        for spelled in (value, value.lower(), value.upper().replace(" ", "_")):
            if spelled in table:
                return table[spelled]
        raise SignalError(
            f"{name} {value!r} is unknown.{did_you_mean(value, table)}", code=f"SIGNAL_{name.upper()}"
        )
    if isinstance(value, (int, float, np.integer, np.floating)) and (
        name == "strength" or int(value) >= codes.ENTRY_OPEN
    ):
        limit = 4 if name == "strength" else codes.ENTRY_FIXED_CLOSE
        if int(value) == value and 0 <= value <= limit:
            return int(value)
    raise SignalError(
        f"{name} {value!r} is no {name}; expected one of {', '.join(table)}", code=f"SIGNAL_{name.upper()}"
    )


def _set_names(records: Records, order: npt.NDArray[np.intp], name: str, values: Any) -> tuple[str, ...]:
    first = () if name == "sector" else ("",)
    if values is None:
        return first
    if isinstance(values, str):
        names, _ = _factorise([values], first)
        records[name] = len(names) - 1
        return tuple(names)
    _fitting(name, np.zeros(len(values)), len(records), one_for_all=False)
    texts = [values[index] for index in order]
    given = np.array([text is not None and text == text for text in texts], bool)
    names, table = _factorise([str(text) for text, ok in zip(texts, given, strict=True) if ok], first)
    records[name][given] = table
    return tuple(names)


def _factorise(values: Sequence[str], first: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    table = _Table()
    for name in first:
        table.add(name)
    return table.names, np.array([table.add(value) for value in values], np.int64)


def _numbers(name: str, values: Any, n: int) -> npt.NDArray[np.float64]:
    # A column as floats: one value for all signals, or one each.
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise SignalError(f"{name} is {values!r}, not a number: {error}", code="SIGNAL_NUMBER") from error
    return _fitting(name, numbers, n)


def _fitting(name: str, values: npt.NDArray[Any], n: int, *, one_for_all: bool = True) -> npt.NDArray[Any]:
    if values.shape == (n,) or (one_for_all and values.shape in ((), (1,))):
        return values
    raise SignalError(
        f"{name} has shape {values.shape} for {n} signals; give one value each, or one for all",
        code="SIGNAL_SHAPE",
    )


def _indices(values: Any, size: int, name: str, what: str) -> npt.NDArray[np.int64]:
    # Whole numbers from 0 to size - 1; a negative one would count from the end, silently.
    try:
        given = np.asarray(values).reshape(-1)
        numbers = given.astype(np.int64)
    except (TypeError, ValueError) as error:
        raise SignalError(
            f"{name} is {values!r}, not a whole number", code=f"SIGNAL_{name.upper()}"
        ) from error
    good = (numbers == given) & (numbers >= 0) & (numbers < size)
    if not good.all():
        raise SignalError(
            f"{name} {given[np.argmin(good)]} is outside {what}"
            if numbers[np.argmin(good)] == given[np.argmin(good)]
            else f"{name} {given[np.argmin(good)]} is no whole number",
            code=f"SIGNAL_{name.upper()}",
        )
    return numbers


def _times(values: pd.Series[Any], name: str) -> npt.NDArray[np.int64]:
    import pandas as pd

    try:
        stamps = pd.to_datetime(values, utc=False)
    except (ValueError, TypeError) as error:
        raise SignalError(f"{name}: {error}", code="SIGNAL_TIME") from error
    if stamps.isna().any():
        raise SignalError(f"{name} is missing in row {int(np.argmax(stamps.isna()))}", code="SIGNAL_TIME")
    if stamps.dtype == object:
        stamps = pd.to_datetime(values, utc=True)
    if getattr(stamps.dt, "tz", None) is None:
        intraday = stamps.dt.normalize() != stamps
        if intraday.any():
            raise SignalError(
                f"{name} {stamps[intraday].iloc[0]} has no time zone; a session date may be naive, an "
                "intraday time may not. Localise it, for example with .dt.tz_localize('America/New_York').",
                code="SIGNAL_NAIVE_TIME",
            )
        stamps = stamps.dt.tz_localize("UTC")
    return np.asarray(
        stamps.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)
    )


def _check_columns(columns: pd.Index[Any]) -> None:
    names = [str(name) for name in columns]
    for name in ("time", "symbol", "side"):
        if name not in names:
            raise SignalError(
                f"column {name!r} is missing; the table has {', '.join(names) or 'none'}",
                code="SIGNAL_COLUMN",
            )
    for name in names:
        if name not in COLUMNS:
            raise SignalError(f"unknown column {name!r}.{did_you_mean(name, COLUMNS)}", code="SIGNAL_COLUMN")


def _check_numeric(
    given: pd.Series[Any], numbers: npt.NDArray[np.float64], name: str, *, hint: str = ""
) -> None:
    bad = np.isnan(numbers) & given.notna().to_numpy()
    if bad.any():
        index = int(np.argmax(bad))
        raise SignalError(
            f"{name} in row {index} is {given.iloc[index]!r}, not a number{hint}", code="SIGNAL_NUMBER"
        )


def _validate(records: Records, symbols: tuple[str, ...]) -> None:
    # column by column, and only where something is given: most columns are absent in most tables
    if not len(records):
        return
    for name in _POSITIVE:
        values = records[name]
        present = ~np.isnan(values)
        if present.any():
            good = ~present | ((values > 0) & np.isfinite(values))
            _check(good, values, name, "must be a positive, finite number", records, symbols)
    for name in _FRACTIONS:
        values = records[name]
        good = np.isnan(values) | ((values > 0) & (values <= 1))
        _check(good, values, name, "must be a fraction above 0 and at most 1", records, symbols)
    activate = records["trail_activate_r"]
    _check(
        np.isnan(activate) | (activate >= 0),
        activate,
        "trail_activate_r",
        "must be 0 or more",
        records,
        symbols,
    )
    qty = records["qty"]
    _check(
        np.isnan(qty) | (qty > 0),
        qty,
        "qty",
        "must be above 0 (leave it out to size by risk)",
        records,
        symbols,
    )
    score = records["score"]
    _check(
        np.isnan(score) | ((score >= 0) & (score <= 100)),
        score,
        "score",
        "must be 0 to 100",
        records,
        symbols,
    )
    for name in ("stop_percent", "target_percent", "trail_percent"):
        small = (records[name] > 0) & (records[name] < 0.1)
        if small.any():
            value = float(records[name][np.argmax(small)])
            warn(
                f"{name} {value:g} is {value:g} %, a {value / 100:g} part of the price; "
                f"was {value * 100:g} % meant?",
                code="SIGNAL_PERCENT_LOOKS_LIKE_FRACTION",
                stacklevel=6,
            )
    for what, names in _ALTERNATIVES.items():
        ways = sum((~np.isnan(records[name])).astype(int) for name in names)
        _check(ways <= 1, None, what, f"is given twice; choose one of {', '.join(names)}", records, symbols)
    for name in ("stop_percent", "trail_percent"):
        values = np.where(records["side"] > 0, records[name], np.nan)
        _check(
            np.isnan(values) | (values < 100), values, name, "must be below 100 for a long", records, symbols
        )
    fractions = np.nansum([records[f"target{k}_fraction"] for k in ("", "2", "3")], axis=0)
    fractions = fractions + np.nan_to_num(records["scale_out_fraction"], nan=0.0)
    whole = "is the sum of the targets' and the scale-out's fractions; it may be at most 1"
    _check(fractions <= 1 + 1e-12, fractions, "target_fraction", whole, records, symbols)
    entry = records["entry"]
    resting = (entry == codes.ENTRY_STOP) | (entry == codes.ENTRY_STOP_LIMIT)
    price = records["entry_price"]
    _check(~resting | ~np.isnan(price), None, "entry_price", "is needed for a stop entry", records, symbols)
    limits = np.where(np.isnan(records["limit_price"]), price, records["limit_price"])
    wants = (entry == codes.ENTRY_LIMIT) | (entry == codes.ENTRY_STOP_LIMIT)
    _check(~wants | ~np.isnan(limits), None, "limit_price", "is needed for a limit entry", records, symbols)
    until, dated = records["valid_until"], records["tif"] == codes.TIF_GTD
    _check(~dated | (until > 0), None, "valid_until", "is needed for GTD", records, symbols)
    late = until >= records["ts"]
    _check(~dated | late, None, "valid_until", "is before the signal itself", records, symbols)
    _check_sides(records, symbols)


def _check_sides(records: Records, symbols: tuple[str, ...]) -> None:
    side = records["side"]
    for name in ("target", "target2", "target3"):
        gap = (records[name] - records["stop"]) * side
        _check(
            np.isnan(gap) | (gap > 0) | (side == 0),
            records[name],
            name,
            "is not beyond the stop on the profitable side (target inside the stop, or sides mixed up)",
            records,
            symbols,
            code="SIGNAL_TARGET_SIDE",
        )
    entry = records["entry"]
    resting = (entry == codes.ENTRY_LIMIT) | (entry == codes.ENTRY_STOP) | (entry == codes.ENTRY_STOP_LIMIT)
    price = np.where(
        (entry == codes.ENTRY_LIMIT) & ~np.isnan(records["limit_price"]),
        records["limit_price"],
        records["entry_price"],
    )
    gap = (price - records["stop"]) * side
    _check(
        ~resting | np.isnan(gap) | (gap > 0),
        records["stop"],
        "stop",
        "is on the wrong side of the entry price",
        records,
        symbols,
        code="SIGNAL_STOP_SIDE",
    )
    gap = (records["target"] - price) * side
    _check(
        ~resting | np.isnan(gap) | (gap > 0),
        records["target"],
        "target",
        "is on the wrong side of the entry price",
        records,
        symbols,
        code="SIGNAL_TARGET_SIDE",
    )


def _check_multiples(records: Records, symbols: tuple[str, ...]) -> None:
    # R is the distance to the initial stop, or to the trail; without either a multiple of it means nothing.
    measured = np.logical_or.reduce([~np.isnan(records[name]) for name in _STOPS])
    for name in _MULTIPLES:
        values = records[name]
        rule = "counts in R, the distance to the stop, and there is neither a stop nor a trail"
        _check(measured | np.isnan(values), values, name, rule, records, symbols)
    activate = records["trail_activate_r"]
    trails = np.logical_or.reduce([~np.isnan(records[name]) for name in _ALTERNATIVES["trail"]])
    rule = "says when a trail begins, and there is no trail"
    _check(trails | np.isnan(activate), activate, "trail_activate_r", rule, records, symbols)


def _check_stop_side(records: Records, bars: Bars) -> None:
    market = np.isin(records["entry"], (codes.ENTRY_OPEN, codes.ENTRY_CLOSE, codes.ENTRY_MOC))
    close = bars.panel[records["row"], records["sym"], 3]
    gap = (close - records["stop"]) * records["side"]
    wrong = market & (records["side"] != 0) & (gap <= 0)
    if wrong.any():
        index = int(np.argmax(wrong))
        record = records[index]
        word, where = ("long", "at or above") if record["side"] > 0 else ("short", "at or below")
        raise SignalError(
            f"{bars.symbols[record['sym']]} {stamp(record['ts'])}: the stop "
            f"{record['stop']:g} of a {word} is {where} the close {close[index]:g} of the signal's bar, so "
            "it would be hit at once. Is the side right, and is the stop on the bars' price scale?",
            code="SIGNAL_STOP_SIDE",
        )


def _check(
    good: npt.NDArray[np.bool_],
    values: npt.NDArray[Any] | None,
    name: str,
    rule: str,
    records: Records,
    symbols: tuple[str, ...],
    *,
    code: str | None = None,
) -> None:
    if good.all():
        return
    index = int(np.argmin(good))
    record = records[index]
    symbol = symbols[record["sym"]] if 0 <= record["sym"] < len(symbols) else f"symbol {record['sym']}"
    value = "" if values is None else f" {values[index]:g}"
    raise SignalError(
        f"signal {index} ({symbol} at {stamp(record['ts'])}): {name}{value} {rule}",
        code=code or f"SIGNAL_{name.upper()}",
    )


def _unknown_symbol(name: str, symbols: Sequence[str]) -> UnknownNameError:
    return UnknownNameError(
        f"the bars have no symbol {name!r}.{did_you_mean(name, symbols)}", code="NAME_SYMBOL"
    )
