"""Calls of the journal as JSON, so that another process can leave them in its inbox.

What JSON cannot hold is marked: `{"$time": "2020-01-02T15:00:00+00:00"}`, `{"$date": "2020-02-21"}`,
`{"$float": "inf"}`, and `{"$record": "Opportunity", ...}` for the few records that a call may take. Nothing
else is ever made from a file: a command names a method of a fixed list and plain values.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from simulator.errors import DataError
from simulator.opportunity import Opportunity, OptionLeg, Quality, Sizing, TrackRecord
from simulator.types import SignalStrength, TradingSignal

__all__ = ["COMMANDS", "PARAMETER_COMMANDS", "pack", "unpack"]

PARAMETER_COMMANDS: Final = {
    "approve_parameters": "approve", "reject_parameters": "reject", "roll_back_parameters": "roll_back",
}  # fmt: skip
"""Decisions about learned settings, and the methods of `ParameterStore` that they are."""

COMMANDS: Final = frozenset(
    {
        *PARAMETER_COMMANDS,
        "add_lesson", "add_mistake", "add_note", "add_tag", "expire_recommendations",
        "ignore_recommendation", "log_assignment", "log_cash", "log_expiry", "log_leg_exit",
        "log_recommendation", "log_roll", "log_trade_add", "log_trade_entry", "log_trade_exit",
        "move_stop", "remove_mistake", "remove_tag",
    }
)  # fmt: skip
"""Methods of `TradeJournal`, and decisions about learned settings, that may be queued."""

_RECORDS: Final = {
    kind.__name__: kind for kind in (Opportunity, OptionLeg, Quality, Sizing, TrackRecord, TradingSignal)
}
_TUPLES: Final = frozenset({"legs", "break_evens", "notes", "reasons"})


def pack(value: Any) -> Any:
    """Return a value as JSON can hold it.

    Raises
    ------
    DataError
        JOURNAL_COMMAND for a value that has no such form, JOURNAL_NAIVE_TIME for a time without a zone.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        plain = float(value)
        return plain if math.isfinite(plain) else {"$float": str(plain)}
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise DataError(f"{value.isoformat()} has no zone", code="JOURNAL_NAIVE_TIME")
        return {"$time": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    if type(value).__name__ in _RECORDS:
        fields = {item.name: pack(getattr(value, item.name)) for item in dataclasses.fields(value)}
        return {"$record": type(value).__name__, **fields}
    raise DataError(f"{type(value).__name__} {value!r} cannot be queued", code="JOURNAL_COMMAND")


def unpack(value: Any) -> Any:
    """Return what `pack` was given; lists that were tuples stay lists outside of records.

    Raises
    ------
    DataError
        JOURNAL_COMMAND for marks that mean nothing.
    """
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    try:
        match value:
            case {"$time": when}:
                return datetime.fromisoformat(when)
            case {"$date": day}:
                return date.fromisoformat(day)
            case {"$float": text}:
                return float(text)
            case {"$record": name, **given}:
                fields = {key: unpack(item) for key, item in given.items()}
                return _RECORDS[name](**{key: _as_field(key, item) for key, item in fields.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"a value of the command cannot be read: {error!r}", code="JOURNAL_COMMAND"
        ) from error
    return {key: unpack(item) for key, item in value.items()}


def _as_field(name: str, value: Any) -> Any:
    if name == "strength":
        return SignalStrength(value)
    return tuple(value) if name in _TUPLES and isinstance(value, list) else value
