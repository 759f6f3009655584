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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import stamp
from simulator.errors import SignalError, did_you_mean
from simulator.kernel import codes
from simulator.kernel.dtypes import LEG, PACKAGE, SIGNAL
from simulator.kernel.state import Lane
from simulator.signal_checks import (
    check,
    check_columns,
    check_multiples,
    check_numeric,
    check_stop_side,
    unknown_symbol,
    validate,
)
from simulator.signal_columns import COLUMNS, COUNTS, FLOATS, INTERNAL, NAMES, WORDS
from simulator.signal_input import (
    OWN_SECTOR,
    NameTable,
    factorise,
    fitting,
    indices_of,
    numbers_of,
    sector_code,
    set_names,
    set_words,
    times_of,
)
from simulator.types import Entry, TimeInForce

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars

__all__ = ["COLUMNS", "Signals"]

Records = npt.NDArray[np.void]
Ready = tuple[Records, int]


class Signals:
    """An immutable, sorted set of signals.

    `records` is a structured array of dtype `SIGNAL`; its `sym`, `tag`, `strategy` and `sector` fields index
    `symbols`, `tags`, `strategies` and `sectors`. A sector that no instrument has is a bucket of its own.
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
        check_columns(frame.columns)
        ts = times_of(frame["time"], "time")
        if frame["symbol"].isna().any():
            raise SignalError(
                f"symbol is missing in row {int(np.argmax(frame['symbol'].isna()))}", code="SIGNAL_SYMBOL"
            )
        symbols, sym = factorise(frame["symbol"].astype(str).tolist(), ())
        columns: dict[str, Any] = {}
        for name in frame.columns:
            if name in ("time", "symbol", "side"):
                continue
            values = frame[name]
            if name == "valid_until":
                present = values.notna().to_numpy()
                until = np.zeros(len(frame), np.int64)
                if present.any():
                    until[present] = times_of(values[present], name)
                columns[name] = until
            elif name in WORDS or name in NAMES:
                columns[name] = [None if pd.isna(value) else value for value in values]
            else:
                columns[name] = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
                check_numeric(values, columns[name], name)
        side = pd.to_numeric(frame["side"], errors="coerce").to_numpy(np.float64)
        check_numeric(frame["side"], side, "side", hint=": 1 is long, -1 short, 0 closes")
        signals = _build(ts, np.full(len(ts), -1, np.int64), sym, side, tuple(symbols), columns)
        check_multiples(signals.records, signals.symbols)
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
        rows = indices_of(
            row, len(bars), "row", f"the {len(bars)} bars; a signal must name a bar that exists"
        )
        n = len(rows)
        names = [name for name in columns if name not in COLUMNS and name not in INTERNAL]
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
                raise unknown_symbol(str(error.args[0]), bars.symbols) from None
        else:
            count = len(bars.symbols)
            codes_ = indices_of(given, count, "symbol", f"the {count} columns of the bars; names work too")
        sym = np.ascontiguousarray(np.broadcast_to(fitting("symbol", codes_, n), (n,)))
        sides = np.broadcast_to(numbers_of("side", side, n).reshape(-1), (n,)).copy()
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
        symbols, tags, strategies, sectors = (NameTable() for _ in range(4))
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
            lookup = np.array([sectors.add(name) for name in part.sectors], np.int64)
            given = (records["sector"] >= 0) & (records["sector"] < OWN_SECTOR)
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
        for name in FLOATS:
            if name != "forced_price" and np.isfinite(records[name]).any():
                frame[name] = records[name]
        for name in COUNTS:
            if records[name].any():
                frame[name] = records[name]
        if records["strength"].any():
            frame["strength"] = records["strength"]
        if records["tif"].any():
            frame["tif"] = [TimeInForce(int(code)).name for code in records["tif"]]
        if records["valid_until"].any():
            until = pd.to_datetime(pd.Series(records["valid_until"]), unit="ns", utc=True)
            frame["valid_until"] = until.where(records["valid_until"] > 0)
        if records["exit_close"].any():
            frame["exit"] = np.where(records["exit_close"] > 0, "close", "open")
        for name, names in (("tag", self.tags), ("strategy", self.strategies)):
            if records[name].any():
                frame[name] = np.array(names, dtype=object)[records[name]]
        if (records["sector"] >= 0).any():
            known = dict(enumerate(self.sectors)) | {sector_code(name): name for name in self.sectors}
            frame["sector"] = [known.get(int(code)) for code in records["sector"]]
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
                raise unknown_symbol(name, bars.symbols)
            table[code] = lookup[name]
        records["sym"] = table[records["sym"]]
        given = (records["sector"] >= 0) & (records["sector"] < OWN_SECTOR)
        if given.any():
            sectors = {"": 0} | {name: index for index, name in enumerate(bars.sector_names)}
            codes_ = [sectors[name] if name in sectors else sector_code(name) for name in self.sectors]
            records["sector"][given] = np.array(codes_, np.int64)[records["sector"][given]]
        if self.checked_stops:
            check_stop_side(records, bars)
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
    for name in FLOATS:
        records[name] = np.nan
    records["ts"], records["row"], records["sym"] = ts, row, sym
    check(
        np.isin(side, (-1, 0, 1)), side, "side", "must be 1 (long), -1 (short) or 0 (close)", records, symbols
    )
    records["side"] = side
    records["sector"] = -1
    records["priority"] = 0.0
    for name, values in columns.items():
        if name in NAMES or values is None:
            continue
        if name in WORDS:
            set_words(records, name, values)
        elif name == "valid_until":
            records[name] = fitting(name, np.asarray(values, np.int64), n)
            records["tif"][records["valid_until"] > 0] = codes.TIF_GTD
        elif name in COUNTS or name in ("forced_ts", "forced_phase", "forced_reason", "group"):
            if name == "forced_ts":
                records[name] = values
                continue
            numbers = np.nan_to_num(np.broadcast_to(numbers_of(name, values, n), (n,)), nan=0.0)
            whole = (numbers >= 0) & (numbers == np.floor(numbers))
            check(whole, numbers, name, "must be a whole number, 0 or more", records, symbols)
            records[name] = numbers.astype(np.int64)
        else:
            records[name] = numbers_of(name, values, n)
    records["priority"] = np.nan_to_num(records["priority"], nan=0.0)
    validate(records, symbols)
    _set_extras(records)
    order = _order(records)
    if not np.array_equal(order, np.arange(n)):
        records = records[order]
    tables = {}
    for name in NAMES:
        tables[name] = set_names(records, order, name, columns.get(name))
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
