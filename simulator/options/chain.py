"""`Chain`: option quotes of one underlying, over one or many quote times, as columns.

Nothing in a chain changes once it is made; selecting returns another chain. Times are UTC nanoseconds, an
expiry is a session date (days since 1970-01-01), and the instant of expiry follows from it: the opening of
that session for morning-settled options, its close for all others. Quotes are in currency per unit of the
underlying, IV is a fraction, NaN means unknown, also for a bid or an ask.

A chain is either "real" or "modelled", and everything derived from it carries that word (`origin`); joined
with modelled quotes, real ones become modelled. Trap: two contracts may share expiry, kind and strike (SPX
in the morning, SPXW at the close of a third Friday); `root` and `settlement` tell them apart.

>>> chain = Chain.from_arrays(
...     "XYZ", {"ts": [1577998800000000000] * 2, "expiry": [18278] * 2, "kind": [CALL, PUT],
...             "strike": [100.0, 100.0], "bid": [2.0, 1.9], "ask": [2.2, 2.1]}, origin="modelled")
>>> chain
Chain XYZ: 2 modelled quotes, 1 time, 2020-01-02, 1 expiry
>>> int(chain.dte[0]), float(chain.select(kind="put").mid[0])
(15, 2.0)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import DAY, Bools, Floats, Ints, stamp
from simulator.bars.clock import session_of
from simulator.errors import DataError, UnknownNameError, did_you_mean
from simulator.options.chain_columns import (
    CALL,
    COLUMNS,
    KIND_NAMES,
    KINDS,
    PUT,
    Draft,
    Origin,
    check_origin,
    complete,
    expiry_times,
    joined,
    repeated,
    sorted_draft,
)
from simulator.options.chain_time import Instant, given_time, instant_of, session_number

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars.panel import GuardPolicy

__all__ = ["CALL", "PUT", "YEAR", "Chain", "load_chain"]

YEAR: Final = 365 * DAY
"""Nanoseconds in the year that option maturities are counted in."""

Small = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Chain:
    """Quotes as columns of equal length (N,), sorted by time, expiry, root, kind (calls first), strike.

    Attributes
    ----------
    symbol
        The underlying.
    ts, expiry
        Quote time (UTC ns) and expiry session (days since 1970-01-01).
    root, roots
        Position in `roots`, the trading classes ("SPX", "SPXW"); "" where the source names none.
    kind
        1 call, -1 put.
    strike, bid, ask, underlying
        Currency per unit of the underlying; NaN is unknown.
    bid_size, ask_size, volume, open_interest
        Contracts; NaN is unknown.
    iv, delta
        As the vendor gives them (fraction; signed), NaN is unknown. Nothing here computes them.
    style, settlement
        0 unknown, 1 european, 2 american; 0 unknown, 1 am, 2 pm.
    multiplier
        Units of the underlying per contract.
    origin
        "real" or "modelled".
    notes
        What the guard found, one line each.
    """

    symbol: str
    ts: Ints
    expiry: Ints
    root: npt.NDArray[np.int16]
    kind: Small
    style: Small
    settlement: Small
    strike: Floats
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    volume: Floats
    open_interest: Floats
    iv: Floats
    delta: Floats
    underlying: Floats
    multiplier: Floats
    roots: tuple[str, ...]
    origin: Origin
    calendar: str = "XNYS"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in COLUMNS:
            getattr(self, name).flags.writeable = False

    @classmethod
    def from_arrays(
        cls,
        symbol: str,
        columns: Mapping[str, Any],
        *,
        origin: str,
        roots: Sequence[str] = ("",),
        calendar: str = "XNYS",
    ) -> Chain:
        """Build a chain from columns by their canonical names; they are copied and sorted, not guarded.

        Needed are ts, expiry, kind (1, -1), strike, bid and ask; the others default to unknown, and the
        multiplier to 100. Raises `DataError` DATA_COLUMNS, DATA_SHAPE, DATA_TYPE, DATA_GRADE, or
        DATA_DUPLICATE where a contract is quoted twice at one time.
        """
        made = {name: column.copy() for name, column in complete(columns, what=symbol).items()}
        rows = np.arange(1, made["ts"].size + 1)
        draft = Draft(symbol, made, tuple(roots), ("",), np.zeros_like(rows), rows, check_origin(origin))
        return cls.from_draft(draft, calendar=calendar)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        symbol: str | None = None,
        origin: str | None = None,
        calendar: str = "XNYS",
        guard: GuardPolicy = "drop",
    ) -> Chain:
        """Build a chain from a table with the columns that `to_frame` writes.

        Parameters
        ----------
        frame
            Columns time (aware, or dates: then the session's close), expiry, kind, strike, bid, ask; optional
            the others. An origin in the table holds, and is never weakened by the argument.
        symbol
            The underlying; needed where the table has no column symbol, or several of them.
        origin
            "real" or "modelled", where the table does not say; "real" by default.
        calendar
            Exchange calendar of sessions and expiries.
        guard
            What happens to impossible quotes: see `simulator.options.chain_guard`.

        Raises
        ------
        DataError
            DATA_COLUMNS, DATA_TIME, DATA_NAIVE, DATA_TYPE, DATA_UNDERLYING, and the codes of the guard.
        """
        from simulator.options.importers import chain_of, read_frame

        drafts = read_frame(frame, symbol=symbol, origin=origin, calendar=calendar, layout="canonical")
        return chain_of(drafts, calendar=calendar, guard=guard)

    @classmethod
    def from_draft(cls, draft: Draft, *, calendar: str = "XNYS", notes: Sequence[str] = ()) -> Chain:
        """Build a chain from an importer's draft; `DataError` DATA_DUPLICATE for a contract quoted twice."""
        draft = sorted_draft(draft)
        again = repeated(draft.columns)
        if again.any():
            at = int(np.argmax(again))
            raise DataError(
                f"{draft.symbol} {stamp(int(draft.columns['ts'][at]))}: row {draft.row[at]} quotes a "
                f"contract twice, and {int(again.sum()) - 1} more do",
                code="DATA_DUPLICATE",
            )
        return cls(
            symbol=draft.symbol, roots=draft.roots, origin=draft.origin, calendar=calendar,
            notes=tuple(notes), **draft.columns,
        )  # fmt: skip

    @staticmethod
    def join(chains: Sequence[Chain]) -> Chain:
        """Return chains of one underlying as one; any modelled part makes the whole modelled.

        Raises `DataError` DATA_EMPTY for none, DATA_UNDERLYING for several underlyings or calendars,
        DATA_DUPLICATE where two hold the same quote.
        """
        if not chains:
            raise DataError("there is no chain to join", code="DATA_EMPTY")
        other = next(
            (c for c in chains if (c.symbol, c.calendar) != (chains[0].symbol, chains[0].calendar)), None
        )
        if other is not None:
            raise DataError(
                f"chains of {chains[0].symbol} ({chains[0].calendar}) and {other.symbol} ({other.calendar}) "
                f"cannot be joined",
                code="DATA_UNDERLYING",
            )
        draft = joined([chain.to_draft() for chain in chains])
        notes = [note for chain in chains for note in chain.notes]
        return Chain.from_draft(draft, calendar=chains[0].calendar, notes=notes)

    def __len__(self) -> int:
        return int(self.ts.size)

    def __repr__(self) -> str:
        days = [str(np.datetime64(int(day), "D")) for day in self._days[[0, -1]]] if len(self) else ["no day"]
        span = days[0] if days[0] == days[-1] else " to ".join(days)
        times, expiries = self.times.size, self.expiries.size
        plural = f"{times} time{'s' * (times != 1)}"
        return (
            f"Chain {self.symbol}: {len(self)} {self.origin} quotes, {plural}, {span}, "
            f"{expiries} expir{'y' if expiries == 1 else 'ies'}"
        )

    @cached_property
    def offsets(self) -> Ints:
        """Row at which each quote time starts, and N at the end: shape (T + 1,)."""
        if not len(self):
            return np.zeros(1, np.int64)
        changes = np.flatnonzero(self.ts[1:] != self.ts[:-1]) + 1
        return np.concatenate(([0], changes, [len(self)])).astype(np.int64)

    @cached_property
    def times(self) -> Ints:
        """Quote times (UTC ns), ascending, shape (T,)."""
        return self.ts[self.offsets[:-1]]

    @cached_property
    def expiries(self) -> Ints:
        """Expiry sessions (days since 1970-01-01), ascending and without repetition."""
        return np.unique(self.expiry)

    @cached_property
    def session(self) -> Ints:
        """Session of each quote (days since 1970-01-01), shape (N,)."""
        return np.repeat(self._days, np.diff(self.offsets))

    @cached_property
    def dte(self) -> Ints:
        """Calendar days from the quote's session to expiry, shape (N,)."""
        return self.expiry - self.session

    @cached_property
    def expiry_ts(self) -> Ints:
        """Instant of expiry (UTC ns) of each quote: see the module's first paragraph."""
        return expiry_times(self.calendar, self.expiry, self.settlement)

    @cached_property
    def years(self) -> Floats:
        """Time to expiry in years of 365 days, shape (N,); not positive once an option has expired."""
        return (self.expiry_ts - self.ts) / YEAR

    @cached_property
    def mid(self) -> Floats:
        """Midpoint of bid and ask; NaN where either is unknown."""
        return (self.bid + self.ask) / 2

    @cached_property
    def tradeable(self) -> Bools:
        """Quotes that may fill: a bid above zero and an ask above the bid, both known."""
        with np.errstate(invalid="ignore"):
            return (self.bid > 0) & (self.ask > self.bid) & np.isfinite(self.ask)

    @cached_property
    def _days(self) -> Ints:
        return session_of(self.calendar, self.times)

    def at(self, time: Instant) -> Chain:
        """Return the snapshot in force at a time: the last one of the same session, at or before it.

        `time` is UTC nanoseconds, an aware datetime, or a date (2020-01-02): then the last snapshot of that
        session. Quotes of an earlier session are never handed on as today's. Raises `DataError` DATA_QUOTES
        where there is none, DATA_NAIVE for a naive time, DATA_TIME for a text that is none.
        """
        instant = instant_of(time)
        day = (
            session_number(time)
            if instant is None
            else int(session_of(self.calendar, np.array([instant]))[0])
        )
        known = self._days == day
        if instant is not None:
            known &= self.times <= instant
        if not known.any():
            when = str(np.datetime64(day, "D")) if instant is None else stamp(instant)
            raise DataError(f"{self!r} has no quotes for {when} of that session", code="DATA_QUOTES")
        last = int(np.flatnonzero(known)[-1])
        return self.rows(slice(int(self.offsets[last]), int(self.offsets[last + 1])))

    def strip(self, expiry: Instant, *, root: str | None = None) -> Chain:
        """Return all quotes of one expiry session, and of one root where there are several.

        Raises `DataError` DATA_QUOTES where there is no such expiry, or several roots and none was named.
        """
        day = session_number(expiry)
        part = self.select(expiry=day, root=root)
        if not len(part):
            near = [
                str(np.datetime64(int(d), "D"))
                for d in self.expiries[np.argsort(abs(self.expiries - day))[:3]]
            ]
            raise DataError(
                f"{self.symbol} has no expiry {np.datetime64(day, 'D')}; the nearest are {', '.join(near)}",
                code="DATA_QUOTES",
            )
        found = sorted({self.roots[code] for code in np.unique(part.root)})
        if len(found) > 1:
            raise DataError(
                f"{self.symbol} {np.datetime64(day, 'D')} is quoted under {', '.join(found)}: name a root",
                code="DATA_QUOTES",
            )
        return part

    def select(
        self,
        *,
        start: Instant | None = None,
        end: Instant | None = None,
        expiry: Instant | Sequence[int] | Ints | None = None,
        dte: tuple[float, float] | None = None,
        kind: str | None = None,
        strike: tuple[float, float] | None = None,
        delta: tuple[float, float] | None = None,
        root: str | None = None,
        tradeable: bool | None = None,
    ) -> Chain:
        """Return the quotes that meet every condition; all bounds are inclusive.

        Parameters
        ----------
        start, end
            Quote times, or dates: then whole sessions.
        expiry
            One expiry session, or several as days since 1970-01-01.
        dte
            Least and most calendar days to expiry.
        kind
            "call" or "put".
        strike
            Lowest and highest strike.
        delta
            Least and greatest absolute value of the vendor's delta; quotes without delta are left out.
        root
            A trading class.
        tradeable
            True for quotes that may fill, False for the others.

        Raises
        ------
        UnknownNameError
            NAME_KIND for an unknown kind, NAME_ROOT for an unknown root.
        """
        keep = np.ones(len(self), np.bool_)
        for bound, sign in ((start, 1), (end, -1)):
            if bound is not None:
                instant = instant_of(bound)
                column, value = (
                    (self.session, session_number(bound)) if instant is None else (self.ts, instant)
                )
                keep &= sign * column >= sign * value
        if isinstance(expiry, (int, np.integer, str, dt.date)):
            keep &= self.expiry == session_number(expiry)
        elif expiry is not None:
            keep &= np.isin(self.expiry, np.asarray(expiry, np.int64))
        if kind is not None:
            if kind not in KINDS:
                raise UnknownNameError(
                    f"kind {kind!r} is unknown.{did_you_mean(kind, KIND_NAMES.values())}", code="NAME_KIND"
                )
            keep &= self.kind == KINDS[kind]
        if root is not None:
            if root not in self.roots:
                raise UnknownNameError(
                    f"{self.symbol} has no root {root!r}.{did_you_mean(root, self.roots)}", code="NAME_ROOT"
                )
            keep &= self.root == self.roots.index(root)
        if dte is not None:
            keep &= _within(self.dte, dte)
        if strike is not None:
            keep &= _within(self.strike, strike)
        if delta is not None:
            keep &= _within(abs(self.delta), delta)
        if tradeable is not None:
            keep &= self.tradeable == tradeable
        return self.rows(keep)

    def to_draft(self) -> Draft:
        """Return the columns as a draft without sources, as joining and storing need them."""
        size = len(self)
        columns = {name: getattr(self, name) for name in COLUMNS}
        zeros, rows = np.zeros(size, np.int64), np.arange(1, size + 1)
        return Draft(self.symbol, columns, self.roots, ("",), zeros, rows, self.origin)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with every column in words: time (UTC), symbol, root, expiry, kind, ..., origin."""
        from simulator.options.importers.canonical import to_frame

        return to_frame(self)

    def to_parquet(self, path: str | Path) -> Path:
        """Write the canonical Parquet file, from which `load_chain` reads millions of quotes per second.

        Raises `DataError` DATA_FILE where it cannot be written.
        """
        from simulator.options.importers.canonical import write

        return write(self, Path(path))

    def rows(self, index: slice | Bools) -> Chain:
        """Return the quotes of a slice or a mask of shape (N,)."""
        columns = {name: getattr(self, name)[index] for name in COLUMNS}
        others = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in COLUMNS}
        return Chain(**columns, **others)


def load_chain(
    source: Any,
    *,
    layout: str | None = None,
    symbol: str | None = None,
    time: Instant | None = None,
    underlying: float | None = None,
    calendar: str = "XNYS",
    guard: GuardPolicy = "drop",
) -> Chain:
    """Load a chain from a file, a folder of files, a table, or what yfinance's `option_chain` returns.

    Parameters
    ----------
    source
        Path of a CSV or Parquet file or of a folder of them, a DataFrame, or an object with `calls` and
        `puts`.
    layout
        Name of the vendor's layout (`simulator.options.importers.LAYOUTS`); recognised by its columns where
        None.
    symbol
        The underlying to take; needed where a source has several, or none.
    time, underlying
        Quote time and price of the underlying for layouts that hold neither (yfinance).
    calendar
        Exchange calendar of sessions and expiries; quotes with a date only count as of the session's close.
    guard
        "drop" (default) leaves impossible quotes out, "note" keeps them, "raise" stops at the first; all are
        listed in `Chain.notes`. Unlike bars, vendor files nearly always hold a few, and a quote that is left
        out only cannot be traded.

    Raises
    ------
    DataError
        DATA_FILE, DATA_EMPTY, DATA_LAYOUT, DATA_COLUMNS, DATA_TYPE, DATA_TIME, DATA_NAIVE, DATA_UNDERLYING,
        and the codes of the guard.
    UnknownNameError
        NAME_LAYOUT, NAME_SYMBOL.
    """
    from simulator.options.importers import chain_of, read

    at = None if time is None else given_time(time, calendar)
    drafts = read(source, layout=layout, symbol=symbol, calendar=calendar, time=at, underlying=underlying)
    return chain_of(drafts, calendar=calendar, guard=guard)


def _within(values: Floats | Ints, bounds: tuple[float, float]) -> Bools:
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= bounds[0]) & (values <= bounds[1]))
