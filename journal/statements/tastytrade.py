"""Statements of tastytrade: the CSV that "History > Transactions" exports.

Twenty columns, or twenty-one with a Total: Date, Type, Sub Type, Action, Symbol, Instrument Type,
Description, Value, Quantity, Average Price, Commissions, Fees, Multiplier, Root Symbol, Underlying Symbol,
Expiration Date, Strike Price, Call or Put, Order #, Currency. What to know about it:

- Dates carry the offset of the browser that exported them, so the same fill may read 09:16-0700 and
  12:16-0400.
- There is no execution id. Identical rows are real (an order that fills in 26 single contracts) and are
  counted; the description and the Total column take no part, since they changed between versions.
- The average price of an option includes the multiplier, is signed in some versions and rounded; the value
  is exact, so prices are the value over quantity and multiplier.
- Assignments and exercises remove the option with an empty action, and move the shares in a row of their own.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from journal.statements.rows import Cells, StatementRow, contract
from simulator.errors import DataError

__all__ = ["HEADER", "parse_tastytrade"]

HEADER = ("Date", "Type", "Sub Type", "Action", "Symbol", "Instrument Type", "Value", "Quantity")
"""Columns by which the layout is recognised."""

_ACTIONS = {
    "BUY_TO_OPEN": (1, "open"),
    "SELL_TO_OPEN": (-1, "open"),
    "BUY_TO_CLOSE": (1, "close"),
    "SELL_TO_CLOSE": (-1, "close"),
    "BUY": (1, ""),
    "SELL": (-1, ""),
}
_SETTLEMENTS = {
    "Expiration": ("expiry", 0),
    "Assignment": ("assignment", 1),  # a short option comes back
    "Cash Settled Assignment": ("assignment", 1),
    "Exercise": ("exercise", -1),  # a long option goes
    "Cash Settled Exercise": ("exercise", -1),
}
_CASH = {
    "Dividend": "dividend",
    "Special Dividend": "dividend",
    "Fee": "fee",
    "Balance Adjustment": "fee",
    "Credit Interest": "interest",
    "Debit Interest": "interest",
    "Short Borrow": "interest",
}
_GROUPED = ("Equity", "Equity Option")


def parse_tastytrade(text: str, file: str) -> list[StatementRow]:
    """Return the rows of a statement.

    Raises
    ------
    DataError
        JOURNAL_STATEMENT_ROW for a cell that cannot be read, JOURNAL_STATEMENT_LAYOUT for missing columns.
    """
    reader = csv.DictReader(io.StringIO(text), strict=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in HEADER if name not in names]
    if missing:
        raise DataError(
            f"{file}, line 1: no column {missing[0]!r}; a tastytrade statement has {', '.join(HEADER)}, ...",
            code="JOURNAL_STATEMENT_LAYOUT",
        )
    reader.fieldnames = names
    rows = []
    try:
        for values in reader:
            if None in values or None in values.values():
                raise DataError(
                    f"{file}, line {reader.line_num}: the row has not the {len(names)} cells of the header; "
                    "the file may be cut off",
                    code="JOURNAL_STATEMENT_ROW",
                )
            if any(values.values()):
                rows.append(_row(Cells(file, reader.line_num, values)))
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}", code="JOURNAL_STATEMENT_ROW") from error
    return rows


def _row(cells: Cells) -> StatementRow:
    kind = cells.text("Type")
    if kind in ("Trade", "Receive Deliver") and cells.text("Symbol"):
        return _position(cells)
    if kind in ("Money Movement", "Receive Deliver"):
        return _cash(cells)
    raise cells.fail("Type", "Trade, Receive Deliver or Money Movement")


def _position(cells: Cells) -> StatementRow:
    sub = cells.text("Sub Type")
    action = cells.text("Action").upper().replace(" ", "_") or sub.upper().replace(" ", "_")
    option = contract(cells.text("Symbol"))
    kind, side, effect = "trade", 0, ""
    if sub in _SETTLEMENTS:
        kind, side = _SETTLEMENTS[sub]
        effect = "close"
    elif cells.text("Type") == "Receive Deliver":
        kind = (
            "split"
            if "Split" in sub
            else "transfer"
            if action not in _ACTIONS or "ACAT" in sub
            else "exercise"
        )
    if action in _ACTIONS:
        stated, opens = _ACTIONS[action]
        side, effect = stated, effect or opens
    elif sub not in _SETTLEMENTS:
        raise cells.fail("Action", "BUY_TO_OPEN, SELL_TO_OPEN, BUY_TO_CLOSE or SELL_TO_CLOSE")
    quantity = cells.positive("Quantity")
    unit = "100" if option else "1"
    multiplier = abs(cells.decimal("Multiplier", default=unit)) or Decimal(unit)
    value = cells.decimal("Value", default="0")
    symbol = option.symbol if option else cells.text("Symbol").upper()
    return StatementRow(
        key="",
        identity=_identity(cells, symbol),
        ts=cells.instant("Date"),
        kind=kind,
        effect=effect,
        symbol=symbol,
        underlying=cells.text("Underlying Symbol").upper() or (option.underlying if option else symbol),
        side=side,
        quantity=float(quantity),
        price=float(abs(value) / quantity / multiplier),
        multiplier=float(multiplier),
        fees=_fees(cells),
        order_id=cells.text("Order #"),
        delivered=kind == "exercise" and option is None,
        tradable=cells.text("Instrument Type") in _GROUPED,
        line=cells.line,
        raw=cells.values,
    )


def _cash(cells: Cells) -> StatementRow:
    value = cells.decimal("Value", default="0")
    symbol = cells.text("Symbol")
    return StatementRow(
        key="",
        identity=_identity(cells, symbol + "|" + cells.text("Description")),
        ts=cells.instant("Date"),
        kind=_CASH.get(cells.text("Sub Type"), "transfer"),
        effect="none",
        symbol=symbol.upper(),
        underlying=cells.text("Underlying Symbol").upper() or symbol.upper(),
        side=1 if value < 0 else -1,
        quantity=1.0,
        price=float(abs(value)),
        fees=_fees(cells),
        order_id=cells.text("Order #"),
        line=cells.line,
        raw=cells.values,
    )


def _fees(cells: Cells) -> float:
    # Charges are negative in the newer layout; nobody is paid to trade here, so the sign is dropped.
    return float(abs(cells.decimal("Commissions", default="0")) + abs(cells.decimal("Fees", default="0")))


def _identity(cells: Cells, symbol: str) -> str:
    numbers = [
        str((cells.decimal(column, default="0") + 0).normalize())
        for column in ("Value", "Quantity", "Commissions", "Fees")
    ]
    words = [cells.text(column) for column in ("Type", "Sub Type", "Action", "Order #")]
    return "|".join([str(cells.instant("Date")), *words, symbol, *numbers])
