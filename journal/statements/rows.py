"""What every statement row becomes, and the reading of its cells.

Three brokers, one row: canonical symbols, UTC nanoseconds, prices per unit of the underlying, quantities and
prices never negative with the direction in `side`, fees positive where paid. What a statement does not say is
left open here (`side` 0, `effect` "") and decided by the position when all rows are known, so that the order
in which statements arrive cannot matter.

A bad cell is a `DataError` that names file, line, column and value; the importer then stores nothing at all.

>>> contract("SPY   261218P00500000").symbol
'SPY261218P00500000'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from journal.values import nanoseconds
from simulator.errors import DataError

__all__ = ["NEW_YORK", "Cells", "Contract", "StatementRow", "after_close", "contract", "local_time"]

NEW_YORK = ZoneInfo("America/New_York")
"""Zone of the exchanges, in which brokers write dates and, some of them, times."""

SHARES_PER_CONTRACT = 100.0
"""Multiplier of a listed equity option where the statement does not state one."""

_SETTLEMENT_TIME = time(16, 20)  # when Interactive Brokers books exercises; the others give a date alone
_OCC = re.compile(r"([A-Z][A-Z0-9./]{0,5}?)\s*(\d{6})([CP])(\d{8})")
_INDEX_ROOTS = {"SPXW": "SPX", "NDXP": "NDX", "RUTW": "RUT", "VIXW": "VIX", "XSPW": "XSP", "DJXW": "DJX"}


@dataclass(frozen=True, slots=True)
class Contract:
    """A listed option by its canonical symbol.

    Attributes
    ----------
    symbol
        Root, expiry, kind and strike without padding: "SPY261218P00500000".
    root
        "SPY"; adjusted contracts carry a digit.
    expiry
        Last day of trading.
    kind
        "call" or "put".
    strike
        Currency per share.
    """

    symbol: str
    root: str
    expiry: date
    kind: str
    strike: float

    @property
    def underlying(self) -> str:
        """Ticker of the underlying, as far as the root tells; weekly index roots and adjusted ones do."""
        plain = self.root.rstrip("0123456789") or self.root
        return _INDEX_ROOTS.get(plain, plain)


@lru_cache(maxsize=65_536)
def contract(symbol: str) -> Contract | None:
    """Return the option that a symbol names, padded or not; None where it names none."""
    found = _OCC.fullmatch(symbol.strip().upper())
    if found is None:
        return None
    root, day, kind, strike = found.groups()
    try:
        expiry = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
    return Contract(
        f"{root}{day}{kind}{strike}", root, expiry, "call" if kind == "C" else "put", int(strike) / 1000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One row of a statement, normalised.

    Attributes
    ----------
    key
        The broker's own id of the execution; "" where the statement has none, and then `identity` counts.
    identity
        Everything that tells this row from another one, for statements without ids.
    ts
        UTC nanoseconds.
    kind
        As in `journal.schema.fills`.
    effect
        "open", "close", "none", or "" where the position decides.
    symbol, underlying
        Canonical contract or ticker, and the ticker; both "" for cash.
    side
        +1 bought or paid, -1 sold or received, 0 where the position decides.
    quantity, price, multiplier
        Contracts, shares or 1 for cash; per unit of the underlying, or the amount of cash.
    fees
        Currency; paid is positive, a rebate negative.
    order_id
        The broker's order, "" if unknown.
    delivered
        Shares that an exercise or assignment moved.
    linked_by_time
        The broker gives each leg its own order id; option fills of one second then belong together.
    cancels
        Id of the trade that this row takes back.
    trade_ref
        Id by which a later cancellation would name this row.
    tradable
        False for what is kept but not grouped, such as futures.
    line
        Line of the statement.
    raw
        The cells as they were.
    """

    key: str
    identity: str
    ts: int
    kind: str
    effect: str
    symbol: str
    underlying: str
    side: int
    quantity: float
    price: float
    multiplier: float = 1.0
    fees: float = 0.0
    order_id: str = ""
    delivered: bool = False
    linked_by_time: bool = False
    cancels: str = ""
    trade_ref: str = ""
    tradable: bool = True
    line: int = 0
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one row, with the place they came from for the message when one is bad."""

    file: str
    line: int
    values: Mapping[str, Any]

    def fail(self, column: str, must: str) -> DataError:
        """Return the error that names this row, a column, its value and what it must be."""
        shown = self.values.get(column)
        return DataError(
            f"{self.file}, line {self.line}, column {column!r}: {shown!r}; it must be {must}",
            code="JOURNAL_STATEMENT_ROW",
        )

    def text(self, column: str) -> str:
        """Return a cell as stripped text, "" where it is missing."""
        value = self.values.get(column)
        return "" if value is None else str(value).strip()

    def decimal(self, column: str, *, default: str | None = None) -> Decimal:
        """Return a cell as a number; thousands separators, a dollar sign and "--" for 0 are understood."""
        text = self.text(column).replace(",", "").replace("$", "")
        if text in ("", "--", "-"):
            if default is None:
                raise self.fail(column, "a number")
            return Decimal(default)
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise self.fail(column, "a number") from None
        if not value.is_finite() or abs(value) > Decimal("1e15"):
            raise self.fail(column, "a finite number of at most 1e15")
        return value

    def positive(self, column: str) -> Decimal:
        """Return a cell as a number that is not 0; its sign is dropped."""
        value = abs(self.decimal(column))
        if value == 0:
            raise self.fail(column, "other than 0")
        return value

    def instant(self, column: str) -> int:
        """Return a cell that holds an ISO time with its offset."""
        try:
            when = datetime.fromisoformat(self.text(column))
        except ValueError:
            raise self.fail(column, "an ISO time with its offset") from None
        if when.tzinfo is None:
            raise self.fail(column, "a time with its offset from UTC, such as 2026-04-01T09:16:26-0400")
        return nanoseconds(when.astimezone(UTC))

    def day(self, column: str) -> date:
        """Return a cell that holds a date: 2026-07-24, 20260724, 7/24/26 or 07/24/2026."""
        text = self.text(column)[:10]
        for form in ("%Y-%m-%d", "%Y%m%d", "%m/%d/%y", "%m/%d/%Y"):
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC).date()
            except ValueError:
                continue
        raise self.fail(column, "a date")


def after_close(day: date) -> int:
    """Return the time at which a row that has only a date is placed: 16:20 in New York.

    That is after the close, so that an expiry comes after the last trade of its day.
    """
    return nanoseconds(datetime.combine(day, _SETTLEMENT_TIME, NEW_YORK))


def local_time(cells: Cells, column: str, zone: ZoneInfo) -> int:
    """Return a cell that holds a wall-clock time of `zone`, in the spellings of Flex queries."""
    text = (
        re.sub(r"\s+[A-Z]{3,4}$", "", cells.text(column))
        .replace(";", " ")
        .replace(",", " ")
        .replace("T", " ")
    )
    for form in (
        "%Y%m%d %H%M%S",
        "%Y-%m-%d %H:%M:%S",
        "%Y%m%d %H:%M:%S",
        "%Y-%m-%d %H%M%S",
        "%m/%d/%Y %H:%M:%S",
    ):
        try:
            return nanoseconds(datetime.strptime(text, form).replace(tzinfo=zone))
        except ValueError:
            continue
    try:
        return after_close(cells.day(column))
    except DataError:
        raise cells.fail(column, "a time such as 20260717;120440") from None
