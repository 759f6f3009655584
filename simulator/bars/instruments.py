"""What bars know of their symbols beside prices: sectors, the fields of instruments, corporate actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from simulator.bars.arrays import Ints, Records
from simulator.bars.incoming import unknown_symbol
from simulator.errors import DataError, did_you_mean
from simulator.kernel.dtypes import ACTION, INSTRUMENT

__all__ = ["UNKNOWN_SECTOR", "action_records", "fill_instrument", "instruments_of", "sectors_of"]

UNKNOWN_SECTOR: Final = "Unknown"
_KINDS: Final = {"stock": 0, "option": 1, "index": 2}


def sectors_of(
    given: Mapping[str, str] | Sequence[str] | None, symbols: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sector of each symbol, and the distinct names, "Unknown" first.

    Raises `DataError` DATA_SHAPE where there is not one for each symbol.
    """
    if given is None:
        found = [UNKNOWN_SECTOR] * len(symbols)
    elif isinstance(given, Mapping):
        found = [str(given.get(symbol) or UNKNOWN_SECTOR) for symbol in symbols]
    else:
        found = [str(sector or UNKNOWN_SECTOR) for sector in given]
        if len(found) != len(symbols):
            raise DataError(
                f"{len(found)} sectors for {len(symbols)} symbols; give one each or a mapping",
                code="DATA_SHAPE",
            )
    names = dict.fromkeys([UNKNOWN_SECTOR, *found])
    return tuple(found), tuple(names)


def instruments_of(
    given: Mapping[str, Mapping[str, Any]] | Records | None,
    symbols: tuple[str, ...],
    sectors: tuple[str, ...],
    sector_names: tuple[str, ...],
) -> Records:
    """Return the `INSTRUMENT` records of symbols, with defaults for what is not given.

    Raises `DataError` DATA_INSTRUMENT, `UnknownNameError` NAME_SYMBOL; `sector_names` number the sectors.
    """
    if isinstance(given, np.ndarray):
        if given.dtype != INSTRUMENT or given.shape != (len(symbols),):
            raise DataError(
                f"instruments must be {len(symbols)} records of dtype INSTRUMENT, not {given.shape} of "
                f"{given.dtype}",
                code="DATA_INSTRUMENT",
            )
        records = given.copy()
    else:
        records = np.zeros(len(symbols), INSTRUMENT)
        records["underlying"] = -1
        records["tick"], records["lot"], records["multiplier"], records["beta"] = 0.01, 1.0, 1.0, 1.0
        for field in ("spread", "borrow_rate", "strike"):
            records[field] = np.nan
        for symbol, fields in (given or {}).items():
            if symbol not in symbols:
                raise unknown_symbol(symbol, symbols, "instruments")
            fill_instrument(records[symbols.index(symbol)], symbol, fields, symbols)
    codes = {name: code for code, name in enumerate(sector_names)}
    records["sector"] = [codes[sector] for sector in sectors]
    return records


def fill_instrument(record: Any, symbol: str, fields: Mapping[str, Any], symbols: tuple[str, ...]) -> None:
    """Write the given fields of one instrument into its record, in place.

    Raises `DataError` DATA_INSTRUMENT for a field that there is not, or a value that cannot be.
    """
    allowed = tuple(field for field in INSTRUMENT.names or () if field not in ("sector", "calendar"))
    for field, value in fields.items():
        if field not in allowed:
            raise DataError(
                f"instrument {symbol}: unknown field {field!r}.{did_you_mean(str(field), allowed)}",
                code="DATA_INSTRUMENT",
            )
        number = value
        if field == "kind" and isinstance(value, str):
            number = _KINDS.get(value.lower(), -1)
        elif field == "underlying" and isinstance(value, str):
            number = symbols.index(value) if value in symbols else -2
        limit = {"tick": 0.0, "kind": 0, "underlying": -1}.get(field, -np.inf)
        positive = field in ("lot", "multiplier")
        try:
            wrong = float(number) < limit or (positive and not 0 < float(number) < np.inf)
            wrong = wrong or (field == "beta" and not np.isfinite(float(number)))
        except (TypeError, ValueError):
            wrong = True
        if wrong:
            raise DataError(
                f"instrument {symbol}: {field} {value!r} is not possible"
                f"{' (must be above 0)' if positive else ''}",
                code="DATA_INSTRUMENT",
            )
        record[field] = number


def action_records(actions: Any, symbols: tuple[str, ...], session: Ints) -> Records:
    """Return corporate actions as records, none for None; see `simulator.bars.actions`."""
    if actions is None:
        return np.zeros(0, ACTION)
    from simulator.bars.actions import make_actions

    return make_actions(actions, symbols=symbols, session=session)
