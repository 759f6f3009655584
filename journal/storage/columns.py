"""Types of the journal's columns: the last check of a value before the driver gets it.

SQLite would take NaN for NULL, a NumPy integer for eight raw bytes, and a number in a text column for its
digits. These types let through what the column means, turn NumPy scalars into numbers, and refuse the rest
with a `DataError`, on both databases alike. A plain Python value of the right type is passed on at once.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Double, Integer, Text
from sqlalchemy.dialects.sqlite import REAL as SQLITE_REAL
from sqlalchemy.types import TypeDecorator, TypeEngine

from journal.values import LARGEST, integer, number, text

__all__ = ["Big", "Real", "Words"]

_PLAIN: Final = (int, float, str, bytes, bool, type(None))
_LARGEST_INTEGER: Final = 2**63 - 1


class _Checked(TypeDecorator[Any]):
    """A column type that checks what is bound to it; `name` is the column's, for the message."""

    impl: Any = Text
    cache_ok = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Compare with plain values as SQL does; what is not plain is converted first."""
        return self.impl_instance.coerce_compared_value(op, value) if type(value) in _PLAIN else self


class Big(_Checked):
    """Whole numbers of 64 bits."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return INTEGER for SQLite, whose row ids need that word."""
        return Integer() if dialect.name == "sqlite" else BigInteger()

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        """Return an int of at most 64 bits; a flag may be True or False."""
        if value is None or (type(value) is int and -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER):
            return value
        return int(value) if isinstance(value, bool) else integer(self.name, value)


class Real(_Checked):
    """Finite floats."""

    impl = Double
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return REAL for SQLite, whose strict tables know no other word."""
        return SQLITE_REAL() if dialect.name == "sqlite" else Double()

    def process_bind_param(self, value: Any, dialect: Dialect) -> float | None:
        """Return a finite float."""
        if value is None or (type(value) is float and -LARGEST <= value <= LARGEST):
            return value
        return number(self.name, value)


class Words(_Checked):
    """Text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return text that both databases can hold."""
        return None if value is None else text(self.name, value)
