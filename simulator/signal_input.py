"""Columns of signals as they are given, turned into records: words, names, numbers, indices and times.

One value serves all signals, or there is one each; a table of names gives each its code in the order of first
appearance. What cannot be read is a `SignalError` that names the column and the value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import SignalError, did_you_mean
from simulator.kernel import codes
from simulator.signal_columns import ENTRIES, TIFS
from simulator.types import SignalStrength

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "OWN_SECTOR", "NameTable", "factorise", "fitting", "indices_of", "numbers_of", "sector_code", "set_names",
    "set_words", "times_of",
]  # fmt: skip

Records = npt.NDArray[np.void]

OWN_SECTOR: Final = 1 << 48
"""Codes from here on are sectors that signals name and no instrument has; those below index names of bars."""


class NameTable:
    """Names by code, in order of first appearance."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}

    def add(self, name: str) -> int:
        """Return the code of a name, a new one where it has none."""
        if name not in self._codes:
            self._codes[name] = len(self.names)
            self.names.append(name)
        return self._codes[name]


def set_words(records: Records, name: str, values: Any) -> None:
    """Write a column of words (entry, tif, exit, strength) as codes; absent ones get the default.

    Modifies `records` in place. Raises `SignalError` SIGNAL_ENTRY, SIGNAL_TIF, SIGNAL_EXIT, SIGNAL_STRENGTH.
    """
    table: Mapping[str, int]
    if name == "entry":
        table, field, default = ENTRIES, "entry", codes.ENTRY_OPEN
    elif name == "tif":
        table, field, default = TIFS, "tif", codes.TIF_GTC
    elif name == "exit":
        table, field, default = {"open": 0, "close": 1}, "exit_close", 0
    else:
        table, field, default = {strength.name: int(strength) for strength in SignalStrength}, "strength", 0
    if not isinstance(values, (list, tuple, np.ndarray)):
        records[field] = _word(values, table, name, default)
        return
    records[field] = fitting(
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


def set_names(records: Records, order: npt.NDArray[np.intp], name: str, values: Any) -> tuple[str, ...]:
    """Write a column of names (tag, strategy, sector) as codes, and return the names that they stand for.

    Modifies `records`, which are sorted by `order`, in place; `values` are in the order in which they came.
    """
    first = () if name == "sector" else ("",)
    if values is None:
        return first
    if isinstance(values, str):
        names, _ = factorise([values], first)
        records[name] = len(names) - 1
        return tuple(names)
    fitting(name, np.zeros(len(values)), len(records), one_for_all=False)
    texts = [values[index] for index in order]
    given = np.array([text is not None and text == text for text in texts], bool)
    names, table = factorise([str(text) for text, ok in zip(texts, given, strict=True) if ok], first)
    records[name][given] = table
    return tuple(names)


def sector_code(name: str) -> int:
    """Return the code of a sector that no instrument has; made of its name, so that every driver has it."""
    return OWN_SECTOR + int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "little")


def factorise(values: Sequence[str], first: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the distinct names, `first` before all others, and the code of each value."""
    table = NameTable()
    for name in first:
        table.add(name)
    return table.names, np.array([table.add(value) for value in values], np.int64)


def numbers_of(name: str, values: Any, n: int) -> npt.NDArray[np.float64]:
    """Return a column as floats, one for all signals or one each; `SignalError` SIGNAL_NUMBER otherwise."""
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise SignalError(f"{name} is {values!r}, not a number: {error}", code="SIGNAL_NUMBER") from error
    return fitting(name, numbers, n)


def fitting(name: str, values: npt.NDArray[Any], n: int, *, one_for_all: bool = True) -> npt.NDArray[Any]:
    """Return values that are one for all or one each; raises `SignalError` SIGNAL_SHAPE for others."""
    if values.shape == (n,) or (one_for_all and values.shape in ((), (1,))):
        return values
    raise SignalError(
        f"{name} has shape {values.shape} for {n} signals; give one value each, or one for all",
        code="SIGNAL_SHAPE",
    )


def indices_of(values: Any, size: int, name: str, what: str) -> npt.NDArray[np.int64]:
    """Return whole numbers from 0 to size - 1; raises `SignalError`: a negative one would count from the end.

    `what` says in the message what they were to be in.
    """
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


def times_of(values: pd.Series[Any], name: str) -> npt.NDArray[np.int64]:
    """Return times as UTC ns; session dates may be naive.

    Raises `SignalError` SIGNAL_TIME for what is missing or no time, SIGNAL_NAIVE_TIME without a zone.
    """
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
