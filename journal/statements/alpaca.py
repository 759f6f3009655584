"""Statements of Alpaca: the account activities, as JSON or as CSV with the same field names.

FILL rows are executions; everything else is a "non-trade activity" with a date instead of a time. What to
know about them:

- An exercise or assignment may share its id with the row that moves the shares (OPTRD), so a key is id and
  type.
- The `price` of OPTRD rows is not to be trusted (the broker's own example shows 90 for a strike of 150); the
  net amount over the quantity is.
- The sign of `qty` in a non-trade row is the change of the position: -1 removes a long contract, 1 a short
  one.
- Each leg of a multi-leg order has an order id of its own, so legs are joined by time.
- Neither rows nor orders say whether they open or close, except `sell_short` and `position_intent`.
- Regulatory fees are rows of their own, for a whole day; they are kept, and belong to no trade.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from journal.statements.rows import SHARES_PER_CONTRACT, Cells, Contract, StatementRow, after_close, contract
from simulator.errors import DataError

__all__ = ["parse_alpaca_csv", "parse_alpaca_json"]

_SETTLEMENTS = {"OPEXP": "expiry", "OPASN": "assignment", "OPEXC": "exercise", "OPXRC": "exercise"}
_SPLITS = ("SPLIT", "SSP")
_CASH = {"FEE": "fee", "CFEE": "fee", "PTC": "fee"}
_SIDES = {"buy": 1, "sell": -1, "sell_short": -1, "buy_to_cover": 1}
_EFFECTS = {"sell_short": "open", "buy_to_cover": "close"}
_INTENTS = {"buy_to_open": "open", "sell_to_open": "open", "buy_to_close": "close", "sell_to_close": "close"}


def parse_alpaca_json(text: str, file: str) -> list[StatementRow]:
    """Return the rows of a list of activities.

    Raises
    ------
    DataError
        JOURNAL_STATEMENT_LAYOUT for text that is no list of activities, JOURNAL_STATEMENT_ROW for a bad
        field.
    """
    return [_row(Cells(file, line, values)) for line, values in _activities(text, file)]


def parse_alpaca_csv(text: str, file: str) -> list[StatementRow]:
    """Return the rows of activities written as CSV with the field names of the JSON as its header."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    rows = []
    try:
        for values in reader:
            if None in values or None in values.values():
                raise DataError(
                    f"{file}, line {reader.line_num}: the row has not the cells of the header; "
                    "the file may be cut off",
                    code="JOURNAL_STATEMENT_ROW",
                )
            if any(values.values()):
                rows.append(_row(Cells(file, reader.line_num, values)))
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}", code="JOURNAL_STATEMENT_ROW") from error
    return rows


def _activities(text: str, file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    decoder = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)
    at = text.find("[") + 1
    if not at:
        raise DataError(f"{file}, line 1: no list of activities", code="JOURNAL_STATEMENT_LAYOUT")
    line = text.count("\n", 0, at) + 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            line += text[at] == "\n"
            at += 1
        if text[at : at + 1] == "]":
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{file}, line {error.lineno}, column {error.colno}: {error.msg}; the file may be cut off",
                code="JOURNAL_STATEMENT_LAYOUT",
            ) from error
        if not isinstance(value, dict):
            raise DataError(
                f"{file}, line {line}: {value!r} is no activity; a list of objects is expected",
                code="JOURNAL_STATEMENT_LAYOUT",
            )
        yield line, value
        line += text.count("\n", at, end)
        at = end


def _row(cells: Cells) -> StatementRow:
    activity = cells.text("activity_type").upper()
    if not activity:
        raise cells.fail("activity_type", "the type of an activity, such as FILL")
    if not cells.text("id"):
        raise cells.fail("id", "the id of the activity")
    option = contract(cells.text("symbol"))
    if activity == "FILL":
        return _fill(cells, option)
    if activity in _SETTLEMENTS or activity == "OPTRD" or activity in _SPLITS:
        return _moved(cells, activity, option)
    return _cash(cells, activity)


def _fill(cells: Cells, option: Contract | None) -> StatementRow:
    stated = cells.text("side").lower()
    if stated not in _SIDES:
        raise cells.fail("side", "buy, sell or sell_short")
    return StatementRow(
        **_common(cells, option),
        ts=cells.instant("transaction_time"),
        kind="trade",
        effect=_INTENTS.get(cells.text("position_intent").lower(), _EFFECTS.get(stated, "")),
        side=_SIDES[stated],
        quantity=float(cells.positive("qty")),
        price=float(abs(cells.decimal("price"))),
        order_id=cells.text("order_id"),
        linked_by_time=option is not None,
    )


def _moved(cells: Cells, activity: str, option: Contract | None) -> StatementRow:
    change = cells.decimal("qty")
    quantity = cells.positive("qty")
    common = _common(cells, option)
    amount = abs(cells.decimal("net_amount", default="0"))
    if activity == "OPTRD" and not amount:
        amount = abs(cells.decimal("price")) * quantity
    splits = activity in _SPLITS
    return StatementRow(
        **common,
        ts=after_close(cells.day("date")),
        kind="split" if splits else _SETTLEMENTS.get(activity, "exercise"),
        effect="close" if activity in _SETTLEMENTS else "",
        side=1 if change > 0 else -1,
        quantity=float(quantity),
        price=0.0 if splits else float(amount / quantity / Decimal(common["multiplier"])),
        delivered=activity == "OPTRD" and option is None,
    )


def _cash(cells: Cells, activity: str) -> StatementRow:
    amount = cells.decimal("net_amount", default="0")
    kind = _CASH.get(activity, "transfer")
    if activity.startswith("DIV") or activity == "CGD":
        kind = "dividend"
    elif activity.startswith("INT"):
        kind = "interest"
    stamp = "date" if cells.text("date") else "transaction_time"
    return StatementRow(
        **_common(cells, None),
        ts=cells.instant(stamp) if "T" in cells.text(stamp) else after_close(cells.day(stamp)),
        kind=kind,
        effect="none",
        side=1 if amount < 0 else -1,
        quantity=1.0,
        price=float(abs(amount)),
    )


def _common(cells: Cells, option: Contract | None) -> dict[str, Any]:
    symbol = option.symbol if option else cells.text("symbol").upper()
    return {
        "key": f"{cells.text('id')}:{cells.text('activity_type').upper()}",
        "identity": "",
        "symbol": symbol,
        "underlying": option.underlying if option else symbol,
        "multiplier": SHARES_PER_CONTRACT if option else 1.0,
        "line": cells.line,
        "raw": {name: _plain(value) for name, value in cells.values.items()},
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
