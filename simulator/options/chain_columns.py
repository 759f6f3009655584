"""Columns of a chain: names, codes, order, and the draft that importers hand over.

A draft is what a file says, brought to canonical columns but not yet judged: it may be unsorted, hold
duplicates and impossible quotes, and remembers for every quote the file and the row it came from, so that
the guard (`simulator.options.chain_guard`) can name them. Rows are counted from 1 below the header.

The order of a chain is time, expiry, root, settlement, kind (calls first), strike: one strip is one
contiguous piece, and so is one snapshot. Root and settlement belong to the key because SPX options of the
third Friday exist twice, settled in the morning and at the close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Bools, Ints
from simulator.bars.clock import session_times
from simulator.errors import DataError, did_you_mean

__all__ = [
    "CALL",
    "COLUMNS",
    "KINDS",
    "KIND_NAMES",
    "NUMBERS",
    "ORIGINS",
    "PUT",
    "SETTLEMENTS",
    "STYLES",
    "Column",
    "Draft",
    "Origin",
    "check_origin",
    "complete",
    "contract_ids",
    "expiry_times",
    "joined",
    "repeated",
    "sorted_draft",
    "worst_origin",
]

Column = npt.NDArray[Any]
Origin = Literal["real", "modelled"]

ORIGINS: Final[tuple[Origin, ...]] = ("real", "modelled")
CALL: Final = 1
PUT: Final = -1
KIND_NAMES: Final = {CALL: "call", PUT: "put"}
KINDS: Final = {"call": CALL, "calls": CALL, "c": CALL, "put": PUT, "puts": PUT, "p": PUT}
STYLES: Final = ("unknown", "european", "american")
SETTLEMENTS: Final = ("unknown", "am", "pm")

NUMBERS: Final = (
    "strike",
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "volume",
    "open_interest",
    "iv",
    "delta",
    "underlying",
    "multiplier",
)
NEEDED: Final = ("ts", "expiry", "kind", "strike", "bid", "ask")
_KEY: Final = ("ts", "expiry", "root", "settlement", "kind", "strike")
_TYPES: Final[dict[str, type[np.generic]]] = {
    "ts": np.int64,
    "expiry": np.int64,
    "root": np.int16,
    "kind": np.int8,
    "style": np.int8,
    "settlement": np.int8,
    **dict.fromkeys(NUMBERS, np.float64),
}
COLUMNS: Final = tuple(_TYPES)
STANDARD_MULTIPLIER: Final = 100.0  # shares per contract of listed US options
_KEY_LIMIT: Final = 2**62
_MILLS: Final = 1000.0  # listed strikes are multiples of a tenth of a cent


@dataclass(frozen=True)
class Draft:
    """Canonical columns of one underlying before the guard; arrays of equal length (N,)."""

    symbol: str
    columns: Mapping[str, Column]
    roots: tuple[str, ...] = ("",)
    files: tuple[str, ...] = ("",)
    file: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    row: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    origin: Origin = "real"

    def __len__(self) -> int:
        return int(self.columns["ts"].size)

    def taken(self, index: Ints | Bools) -> Draft:
        """Return the quotes at `index` (positions or a mask), in that order."""
        columns = {name: column[index] for name, column in self.columns.items()}
        return Draft(
            self.symbol, columns, self.roots, self.files, self.file[index], self.row[index], self.origin
        )


def complete(columns: Mapping[str, Any], *, what: str = "chain") -> dict[str, Column]:
    """Return every column of a chain with its type; absent ones are NaN, unknown, or 100 for multiplier.

    Raises
    ------
    DataError
        DATA_COLUMNS where time, expiry, kind, strike, bid or ask is absent or a name is unknown; DATA_SHAPE
        where columns differ in length; DATA_TYPE where one cannot be converted.
    """
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise DataError(f"{what}: column {missing[0]} is missing", code="DATA_COLUMNS")
    unknown = [name for name in columns if name not in _TYPES]
    if unknown:
        raise DataError(
            f"{what}: no column is called {unknown[0]!r}.{did_you_mean(unknown[0], COLUMNS)}",
            code="DATA_COLUMNS",
        )
    size = np.shape(columns["ts"])
    made: dict[str, Column] = {}
    for name, kind in _TYPES.items():
        if name not in columns:
            empty = 0.0 if name not in NUMBERS else STANDARD_MULTIPLIER if name == "multiplier" else np.nan
            made[name] = np.full(size, empty, kind)
            continue
        try:
            made[name] = np.ascontiguousarray(columns[name], kind)
        except (TypeError, ValueError) as error:
            raise DataError(f"{what}: column {name} holds no numbers: {error}", code="DATA_TYPE") from error
        if made[name].shape != size or len(size) != 1:
            raise DataError(
                f"{what}: column {name} has shape {made[name].shape}, ts has {size}; all must be (N,)",
                code="DATA_SHAPE",
            )
    return made


def joined(drafts: Sequence[Draft]) -> Draft:
    """Return drafts of one underlying as one; roots and files are renumbered, the weakest origin holds."""
    if len(drafts) == 1:
        return drafts[0]
    roots = tuple(sorted({root for draft in drafts for root in draft.roots}))
    files = tuple(dict.fromkeys(name for draft in drafts for name in draft.files))
    columns = {name: np.concatenate([d.columns[name] for d in drafts]) for name in COLUMNS if name != "root"}
    columns["root"] = np.concatenate([_renumbered(d.columns["root"], d.roots, roots) for d in drafts])
    file = np.concatenate([_renumbered(d.file, d.files, files) for d in drafts]).astype(np.int64)
    row = np.concatenate([d.row for d in drafts])
    return Draft(drafts[0].symbol, columns, roots, files, file, row, worst_origin([d.origin for d in drafts]))


def sorted_draft(draft: Draft) -> Draft:
    """Return the draft in the order of a chain; rows with the same key keep the order of their files."""
    order = _order(draft.columns)
    return draft if order is None else draft.taken(order)


def repeated(columns: Mapping[str, Column]) -> Bools:
    """Return, for sorted columns, which rows have the same time and contract as the row before."""
    same = np.zeros(columns["ts"].size, np.bool_)
    if same.size > 1:
        same[1:] = True
        for name in _KEY:
            same[1:] &= columns[name][1:] == columns[name][:-1]
    return same


def contract_ids(columns: Mapping[str, Column]) -> Ints:
    """Return a number per row that is equal for equal contracts and rises within each snapshot of a chain."""
    keys = [-columns[name] if name == "kind" else columns[name] for name in _KEY[1:]]
    packed = _packed(keys)
    if packed is not None:
        return packed
    order = np.lexsort(keys[::-1])
    changes = np.zeros(order.size, np.bool_)
    for key in keys:
        changes[1:] |= key[order][1:] != key[order][:-1]
    ids = np.empty(order.size, np.int64)
    ids[order] = np.cumsum(changes)
    return ids


def expiry_times(calendar: str, expiry: Ints, settlement: Column) -> Ints:
    """Return the instants (UTC ns) at which options expire.

    Morning-settled options end at the opening of their expiry session, all others (also where the settlement
    is unknown) at its close, half days included.
    """
    days, at = np.unique(expiry, return_inverse=True)
    opens, closes = session_times(calendar, days.astype(np.int64))
    return np.where(settlement == SETTLEMENTS.index("am"), opens[at], closes[at])


def check_origin(origin: str) -> Origin:
    """Return a valid origin; `DataError` DATA_GRADE for anything but "real" or "modelled"."""
    for known in ORIGINS:
        if origin == known:
            return known
    raise DataError(f"origin {origin!r} is unknown: quotes are real or modelled", code="DATA_GRADE")


def worst_origin(origins: Sequence[Origin]) -> Origin:
    """Return "modelled" as soon as one part is modelled: a mixture must not pass as real."""
    return "modelled" if "modelled" in origins else "real"


def _order(columns: Mapping[str, Column]) -> Ints | None:
    """Return the stable sorting permutation, or None where the rows are in order already."""
    keys = [-columns[name] if name == "kind" else columns[name] for name in _KEY]
    if _in_order(keys):
        return None
    packed = _packed(keys)
    if packed is None:
        return np.lexsort(keys[::-1])
    return np.argsort(packed, kind="stable")


def _in_order(keys: Sequence[Column]) -> bool:
    tied = np.ones(max(keys[0].size - 1, 0), np.bool_)
    for key in keys:
        later, earlier = key[1:], key[:-1]
        if (tied & ~(later >= earlier)).any():
            return False
        tied &= later == earlier
    return True


def _packed(keys: Sequence[Column]) -> Ints | None:
    """Return all keys as one integer, which sorts several times faster; None where they do not fit."""
    total, packed = 1, np.zeros(keys[0].size, np.int64)
    for key in keys:
        if key.dtype == np.float64:
            with np.errstate(invalid="ignore"):
                mills = np.rint(key * _MILLS)
                if not (mills / _MILLS == key).all() or mills.max() - mills.min() > _KEY_LIMIT:
                    return None
            values = mills.astype(np.int64)
        elif key.dtype == np.int64 and int(key.max()) - int(key.min()) > 2**31:
            values = np.unique(key, return_inverse=True)[1].astype(np.int64)
        else:
            values = key.astype(np.int64)
        low = int(values.min())
        span = int(values.max()) - low + 1
        total *= span
        if total >= _KEY_LIMIT:
            return None
        packed = packed * span + (values - low)
    return packed


def _renumbered(codes: Column, names: Sequence[str], wanted: Sequence[str]) -> Column:
    table = np.array([wanted.index(name) for name in names], codes.dtype)
    return table[codes]
