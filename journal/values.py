"""The boundary between Python values and stored ones.

SQLite stores NaN as NULL and a NumPy integer as eight raw bytes, without a word. So every value that goes
into the journal passes here: NumPy scalars become Python numbers, times become UTC nanoseconds, and what has
no honest stored form is refused with its name. Unknown is None; a caller that holds NaN for "unknown" says so
by `unknown`.

>>> nanoseconds(datetime(2020, 1, 2, tzinfo=UTC))
1577923200000000000
>>> number("fees", "1.5")
Traceback (most recent call last):
...
simulator.errors.DataError: [JOURNAL_VALUE] fees is '1.5'; it must be a number
"""

from __future__ import annotations

import json
import math
import numbers
from datetime import UTC, date, datetime
from typing import Any

from simulator.errors import DataError

__all__ = [
    "amount", "as_json", "from_nanoseconds", "integer", "nanoseconds", "number", "symbol_of", "text",
    "unknown",
]  # fmt: skip

LARGEST = 1e300
"""Numbers beyond it are refused: no price, quantity or amount is that large."""

_LARGEST_INTEGER = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number(name: str, value: Any) -> float:
    """Return `value` as a finite float.

    Raises
    ------
    DataError
        JOURNAL_VALUE for anything that is not a finite real number (booleans and texts are not).
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise DataError(f"{name} is {value!r}; it must be a number", code="JOURNAL_VALUE")
    result = float(value)
    if not -LARGEST <= result <= LARGEST:
        raise DataError(
            f"{name} is {result!r}; it must be finite. An unknown value is None", code="JOURNAL_VALUE"
        )
    return result


def amount(name: str, value: Any, *, least: float = 0.0, above: bool = False) -> float:
    """Return `value` as a finite float of at least `least`, or above it."""
    result = number(name, value)
    if result < least or (above and result == least):
        word = "above" if above else "at least"
        raise DataError(f"{name} is {result:g}; it must be {word} {least:g}", code="JOURNAL_VALUE")
    return result


def unknown(name: str, value: Any) -> float | None:
    """Return None for None and NaN, which both mean unknown here; else as `number`."""
    if value is None or (isinstance(value, numbers.Real) and math.isnan(float(value))):
        return None
    return number(name, value)


def integer(name: str, value: Any) -> int:
    """Return `value` as an int of at most 64 bits; a float must be whole."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        whole = int(value)
    else:
        result = number(name, value)
        if result != math.floor(result):
            raise DataError(f"{name} is {result!r}; it must be a whole number", code="JOURNAL_VALUE")
        whole = int(result)
    if not -_LARGEST_INTEGER - 1 <= whole <= _LARGEST_INTEGER:
        raise DataError(f"{name} is {whole}; it must fit into 64 bits", code="JOURNAL_VALUE")
    return whole


def text(name: str, value: Any) -> str:
    """Return `value` as text without NUL characters."""
    if not isinstance(value, str):
        raise DataError(f"{name} is {value!r}; it must be text", code="JOURNAL_VALUE")
    if "\x00" in value:
        raise DataError(f"{name} holds a NUL character, which SQL text cannot store", code="JOURNAL_VALUE")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name} is {value!r}, which is no valid Unicode", code="JOURNAL_VALUE") from error
    return str(value)


def symbol_of(name: str, value: Any) -> str:
    """Return a symbol as it is stored and looked up: upper-case, without blanks around it.

    >>> symbol_of("symbol", " aapl ")
    'AAPL'
    """
    return text(name, value).strip().upper()


def nanoseconds(when: datetime | int, name: str = "time") -> int:
    """Return UTC nanoseconds since 1970 of an aware time (pandas timestamps keep their nanoseconds).

    Raises
    ------
    DataError
        JOURNAL_NAIVE_TIME for a time without a zone, JOURNAL_VALUE for one before 1678 or after 2261, which
        64 bits of nanoseconds cannot hold.
    """
    if isinstance(when, numbers.Integral) and not isinstance(when, bool):
        return integer(name, when)
    if not isinstance(when, datetime):
        raise DataError(f"{name} is {when!r}; it must be a time with its zone", code="JOURNAL_VALUE")
    if when.tzinfo is None or when.utcoffset() is None:
        raise DataError(
            f"{name} is {when.isoformat()} without a zone; write datetime(..., tzinfo=UTC)",
            code="JOURNAL_NAIVE_TIME",
        )
    if not 1678 <= when.year <= 2261:
        raise DataError(
            f"{name} is {when.isoformat()}; only times from 1678 to 2261 can be stored", code="JOURNAL_VALUE"
        )
    since = when.astimezone(UTC) - _EPOCH
    extra = int(getattr(when, "nanosecond", 0))
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000 + extra


def from_nanoseconds(stamp: int) -> datetime:
    """Return the aware UTC time of a stamp; below a microsecond it is cut off."""
    seconds, rest = divmod(stamp, 1_000_000_000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1_000)


def as_json(name: str, value: Any) -> str:
    """Return compact JSON with sorted keys; NumPy scalars become numbers, dates text, NaN is refused."""
    try:
        return json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be stored as JSON: {error}", code="JOURNAL_VALUE") from error


def _plain(value: Any) -> Any:
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r}")
