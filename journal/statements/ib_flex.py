"""Statements of Interactive Brokers: Flex queries as XML, activity statements and trade confirmations.

Read are the sections Trades, TradeConfirms, OptionEAE, CashTransactions, CorporateActions (splits) and
Transfers. Which attributes a query writes is up to its owner; what is missing and needed is an error. What to
know about it:

- Exercises, assignments and expiries stand twice: as book trades (codes Ex, A, Ep) and as OptionEAE rows.
  Both carry one trade id, which is their key.
- A correction takes the trade back by a TradeCancel row and repeats it under the *same* trade id with a new
  execution id. Executions are therefore keyed on the execution id.
- The legs of a combination have an order id each; they share the second of execution.
- Times are wall-clock times of the account's zone, New York unless the owner changed it.
- A query may list orders, closed lots and summaries beside executions; those repeat what executions say.
- Entities and document types are refused: a statement has none, and they are how XML attacks its reader.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from xml.parsers import expat
from zoneinfo import ZoneInfo

from journal.statements.rows import (
    NEW_YORK,
    SHARES_PER_CONTRACT,
    Cells,
    Contract,
    StatementRow,
    after_close,
    contract,
    local_time,
)
from simulator.errors import DataError

__all__ = ["parse_ib_flex"]

_CODES = {"A": "assignment", "Ex": "exercise", "Ep": "expiry", "GEA": "exercise", "AEx": "exercise"}
_EVENTS = {"Assignment": "assignment", "Exercise": "exercise", "Expiration": "expiry"}
_SETTLED = ("Buy", "Sell")  # OptionEAE rows that move shares
_GROUPED = ("STK", "OPT", "ETF", "FUND", "")
_SPLITS = ("FS", "RS")
_NAMES = {  # trade confirmations name the same things otherwise
    "tradePrice": ("tradePrice", "price"),
    "ibCommission": ("ibCommission", "commission"),
    "ibExecID": ("ibExecID", "execID"),
    "ibOrderID": ("ibOrderID", "orderID"),
    "notes": ("notes", "code"),
}


def parse_ib_flex(text: str, file: str, *, zone: ZoneInfo = NEW_YORK) -> list[tuple[str, StatementRow]]:
    """Return pairs of account and row.

    Raises
    ------
    DataError
        JOURNAL_STATEMENT_LAYOUT for what is no well-formed Flex statement, JOURNAL_STATEMENT_ROW for a bad
        cell.
    """
    rows: list[tuple[str, StatementRow]] = []
    for name, cells in _elements(text, file):
        row = _READERS[name](cells, zone)
        if row is not None:
            rows.append((cells.text("accountId"), row))
    return rows


def _elements(text: str, file: str) -> list[tuple[str, Cells]]:
    found: list[tuple[str, Cells]] = []
    root: list[str] = []
    account = [""]
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        if not root:
            root.append(name)
        if name == "FlexStatement":
            account[0] = attributes.get("accountId", "")
        elif name in _READERS and attributes:
            values = {"accountId": account[0], **attributes}
            found.append((name, Cells(file, parser.CurrentLineNumber, values)))

    def refuse(*_: Any) -> None:
        raise DataError(
            f"{file}, line {parser.CurrentLineNumber}: a document type, which no Flex statement has; "
            "the file was not written by the broker",
            code="JOURNAL_STATEMENT_LAYOUT",
        )

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise DataError(
            f"{file}, line {error.lineno}, column {error.offset}: not well-formed XML; is the file cut off?",
            code="JOURNAL_STATEMENT_LAYOUT",
        ) from error
    if root != ["FlexQueryResponse"]:
        raise DataError(
            f"{file}: its root is {root[0]!r}, not FlexQueryResponse; download the statement itself, not the "
            "answer to the request for it",
            code="JOURNAL_STATEMENT_LAYOUT",
        )
    # Of two rows with one key the first is kept, and book trades say more than OptionEAE rows.
    return sorted(found, key=lambda item: item[0] == "OptionEAE")


def _first(cells: Cells, name: str) -> str:
    return next((column for column in _NAMES[name] if cells.text(column)), _NAMES[name][0])


def _option(cells: Cells) -> Contract | None:
    found = contract(cells.text("symbol"))
    if found is not None or cells.text("assetCategory") != "OPT" or not cells.text("strike"):
        return found
    root = cells.text("underlyingSymbol") or cells.text("symbol").split()[0]
    strike = int(cells.decimal("strike") * 1000)
    return contract(f"{root}{cells.day('expiry'):%y%m%d}{cells.text('putCall')[:1].upper()}{strike:08d}")


def _names(cells: Cells, option: Contract | None) -> dict[str, Any]:
    if cells.text("assetCategory") == "OPT" and option is None:
        raise cells.fail("symbol", "an option symbol, or stand beside strike, expiry and putCall")
    symbol = option.symbol if option else cells.text("symbol").upper()
    stated = cells.text("underlyingSymbol").strip()
    unit = str(SHARES_PER_CONTRACT if option else 1)
    return {
        "identity": "",
        "symbol": symbol,
        "underlying": (stated or option.underlying) if option else symbol,
        "multiplier": float(abs(cells.decimal("multiplier", default=unit)) or Decimal(unit)),
        "tradable": cells.text("assetCategory") in _GROUPED,
        "line": cells.line,
        "raw": dict(cells.values),
    }


def _trade(cells: Cells, zone: ZoneInfo) -> StatementRow | None:
    if cells.text("levelOfDetail") not in ("", "EXECUTION"):
        return None
    signed = cells.decimal("quantity")
    quantity = cells.positive("quantity")
    stated = cells.text("buySell").upper()
    if stated and not stated.startswith(("BUY", "SELL")):
        raise cells.fail("buySell", "BUY or SELL")
    bought = stated.startswith("BUY") if stated else signed > 0
    option = _option(cells)
    codes = [code.strip() for code in cells.text(_first(cells, "notes")).split(";")]
    kind = next((_CODES[code] for code in codes if code in _CODES), "trade")
    opens = cells.text("openCloseIndicator").upper().replace(" ", "") or ";".join(
        code for code in codes if code in ("O", "C")
    )
    cancelled = cells.text("transactionType") == "TradeCancel" or "Ca" in codes
    booked = kind != "trade"
    ids = ["tradeID", "transactionID"] if booked else [_first(cells, "ibExecID"), "transactionID", "tradeID"]
    column = next((name for name in ids if cells.text(name)), "")
    if not column:
        raise cells.fail(
            "tradeID", "there: add Trade ID or Execution ID to the Flex query, else nothing tells fills apart"
        )
    price = cells.decimal(_first(cells, "tradePrice"))
    delivered = booked and option is None
    return StatementRow(
        **_names(cells, option),
        key=f"{'cancel:' if cancelled else ''}{cells.text(column)}",
        ts=local_time(cells, "dateTime" if cells.text("dateTime") else "tradeDate", zone),
        kind=("exercise" if delivered else kind) if booked else "trade",
        effect={"O": "open", "C": "close"}.get(opens, ""),
        side=1 if bought else -1,
        quantity=float(quantity),
        price=float(abs(price)),
        fees=float(
            -cells.decimal(_first(cells, "ibCommission"), default="0") - cells.decimal("taxes", default="0")
        ),
        order_id="" if booked else cells.text(_first(cells, "ibOrderID")),
        delivered=delivered,
        linked_by_time=option is not None and not booked,
        cancels=cells.text("origTradeID") if cancelled else "",
        trade_ref=cells.text("tradeID"),
    )


def _event(cells: Cells, zone: ZoneInfo) -> StatementRow | None:
    del zone  # these rows have dates
    what = cells.text("transactionType")
    if what not in _EVENTS and what not in _SETTLED:
        raise cells.fail("transactionType", "Assignment, Exercise, Expiration, Buy or Sell")
    if not cells.text("tradeID"):
        raise cells.fail("tradeID", "there: add Trade ID to the section of the Flex query")
    signed = cells.decimal("quantity")
    option = _option(cells)
    return StatementRow(
        **_names(cells, option),
        key=cells.text("tradeID"),
        ts=after_close(cells.day("date")),
        kind=_EVENTS.get(what, "exercise"),
        effect="close" if what in _EVENTS else "",
        side=(1 if what == "Buy" else -1) if what in _SETTLED else (1 if signed > 0 else -1),
        quantity=float(cells.positive("quantity")),
        price=float(abs(cells.decimal("tradePrice", default="0"))),
        fees=float(-cells.decimal("commisionsAndTax", default="0")),
        delivered=what in _SETTLED,
        trade_ref=cells.text("tradeID"),
    )


def _cash(cells: Cells, zone: ZoneInfo) -> StatementRow | None:
    if cells.text("levelOfDetail") == "SUMMARY":
        return None
    what = cells.text("type")
    amount = cells.decimal("amount")
    kind = "transfer"
    if "Dividend" in what or "Withholding" in what or "Payment In Lieu" in what.title():
        kind = "dividend"
    elif "Interest" in what:
        kind = "interest"
    elif "Fee" in what:
        kind = "fee"
    if not cells.text("transactionID"):
        raise cells.fail("transactionID", "there: add Transaction ID to the section of the Flex query")
    return StatementRow(
        key=f"cash:{cells.text('transactionID')}",
        identity="",
        ts=local_time(cells, "dateTime" if cells.text("dateTime") else "reportDate", zone),
        kind=kind,
        effect="none",
        symbol=cells.text("symbol").upper(),
        underlying=(cells.text("underlyingSymbol") or cells.text("symbol")).upper(),
        side=1 if amount < 0 else -1,
        quantity=1.0,
        price=float(abs(amount)),
        line=cells.line,
        raw=dict(cells.values),
    )


def _action(cells: Cells, zone: ZoneInfo) -> StatementRow | None:
    signed = cells.decimal("quantity", default="0")
    if cells.text("type") not in _SPLITS or signed == 0:
        return None
    option = _option(cells)
    return StatementRow(
        **_names(cells, option),
        key=f"action:{cells.text('transactionID')}",
        ts=local_time(cells, "dateTime" if cells.text("dateTime") else "reportDate", zone),
        kind="split",
        effect="",
        side=1 if signed > 0 else -1,
        quantity=float(abs(signed)),
        price=0.0,
    )


def _transfer(cells: Cells, zone: ZoneInfo) -> StatementRow | None:
    quantity = cells.decimal("quantity", default="0")
    if not quantity or not cells.text("symbol"):
        return None
    came = cells.text("direction").upper() == "IN"
    option = _option(cells)
    return StatementRow(
        **_names(cells, option),
        key=f"transfer:{cells.text('transactionID')}",
        ts=local_time(cells, "dateTime" if cells.text("dateTime") else "date", zone),
        kind="transfer",
        effect="",
        side=1 if came else -1,
        quantity=float(abs(quantity)),
        price=float(abs(cells.decimal("transferPrice", default="0"))),
    )


_READERS = {
    "Trade": _trade,
    "TradeConfirm": _trade,
    "OptionEAE": _event,
    "CashTransaction": _cash,
    "CorporateAction": _action,
    "Transfer": _transfer,
}
