"""What a broker answers, checked, and made into the rows that statements become.

An execution takes the path of a statement's row, under the same key: broker, account and execution id. So a
statement that is imported later finds it stored. Some statements have no execution ids; `covered` finds rows
that are one another's under two kinds of key.

An answer that cannot be true (no id, an infinite quantity, a time without zone) is a failed query: it is
refused as a whole, and nothing is concluded from the rest of it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection, select

from journal import schema
from journal.statements.rows import StatementRow, contract
from journal.values import nanoseconds, symbol_of
from simulator.brokerage import Execution, Holding
from simulator.errors import DataError

__all__ = ["canonical", "covered", "held_quantities", "rows_of"]

_KINDS = ("trade", "exercise", "assignment", "expiry")
_ALPACA = {"trade": "FILL", "exercise": "OPEXC", "assignment": "OPASN", "expiry": "OPEXP"}
_SECOND = 1_000_000_000
_HALF_CENT = 0.005  # statements give amounts in cents, from which prices are worked out
_SMALL = 1e-9


def canonical(symbol: str) -> str:
    """Return the name by which a contract or stock is compared."""
    option = contract(symbol)
    return symbol_of("symbol", symbol) if option is None else option.symbol


def held_quantities(holdings: Iterable[Holding]) -> dict[str, float]:
    """Return signed quantities by canonical symbol; lines of one symbol are added.

    Raises
    ------
    DataError
        JOURNAL_BROKER_ANSWER for a holding that cannot be.
    """
    held: dict[str, float] = defaultdict(float)
    for one in holdings:
        if not isinstance(one.symbol, str) or not one.symbol.strip():
            _refuse(f"a holding of {one.quantity!r} without a symbol")
        if not _finite(one.quantity):
            _refuse(f"holding {one.symbol} has quantity {one.quantity!r}")
        held[canonical(one.symbol)] += float(one.quantity)
    return {symbol: quantity for symbol, quantity in held.items() if abs(quantity) > _SMALL}


def rows_of(executions: Iterable[Execution], broker: str, account: str) -> list[StatementRow]:
    """Return executions as rows with their keys, oldest first, each once.

    Raises
    ------
    DataError
        JOURNAL_BROKER_ANSWER for an execution that cannot be, or two different ones with one id.
    """
    rows: dict[str, StatementRow] = {}
    for one in executions:
        row = _row(one, broker, account)
        if rows.setdefault(row.key, row) != row:
            _refuse(f"two executions with the id {one.execution_id!r} that differ")
    return sorted(rows.values(), key=lambda row: (row.ts, row.key))


def covered(connection: Connection, broker: str, rows: Sequence[tuple[str, StatementRow]]) -> set[str]:
    """Return the keys of rows that are stored already under a key of the other kind.

    One kind of key is the broker's execution id, the other a digest with the how-manieth of its kind. A row
    of one kind is covered by a stored one of the other if they agree in contract, side, quantity, kind, price
    to half a cent and time to a second; each stored one covers one row.

    Parameters
    ----------
    rows
        Account and row, none of them stored under its own key.
    """
    fills = schema.fills.c
    found: set[str] = set()
    by_symbol: dict[tuple[str, str], list[StatementRow]] = defaultdict(list)
    for account, row in rows:
        by_symbol[account, row.symbol].append(row)
    for (account, symbol), some in by_symbol.items():
        query = select(fills.execution_key, fills.raw, fills.ts).where(
            fills.underlying == some[0].underlying, fills.broker == broker, fills.account == account,
            fills.ts >= min(row.ts for row in some) - _SECOND,
            fills.ts <= max(row.ts for row in some) + _SECOND,
        )  # fmt: skip
        stored = [
            (key, told)
            for key, raw, _ in connection.execute(query.order_by(fills.execution_key))
            if "~" not in key and (told := _told(raw)).get("symbol") == symbol
        ]
        for row in some:
            match = next((pair for pair in stored if _same(row, *pair)), None)
            if match is not None:
                stored.remove(match)
                found.add(row.key)
    return found


def _row(one: Execution, broker: str, account: str) -> StatementRow:
    name = one.execution_id
    if not isinstance(name, str) or not name.strip():
        _refuse(f"an execution in {one.symbol!r} without an id")
    if not isinstance(one.symbol, str) or not one.symbol.strip():
        _refuse(f"execution {name} without a symbol")
    if one.kind not in _KINDS or one.side not in (-1, 1) or one.effect not in ("open", "close", ""):
        _refuse(f"execution {name} of kind {one.kind!r}, side {one.side!r}, effect {one.effect!r}")
    if not _finite(one.quantity) or one.quantity <= 0 or not _finite(one.price) or one.price < 0:
        _refuse(f"execution {name} of {one.quantity!r} at {one.price!r}")
    if not _finite(one.multiplier) or one.multiplier <= 0 or not _finite(one.fees):
        _refuse(f"execution {name} with multiplier {one.multiplier!r} and fees {one.fees!r}")
    if not isinstance(one.time, datetime) or one.time.tzinfo is None:
        _refuse(f"execution {name} at {one.time!r}, which has no zone")
    option = contract(one.symbol)
    settled = one.kind != "trade"
    raw = {item.name: getattr(one, item.name) for item in fields(one)} | {"time": one.time.isoformat()}
    return StatementRow(
        key=f"{broker}:{account}:{_spelled(one, broker)}",
        identity="",
        ts=nanoseconds(one.time),
        kind=one.kind,
        effect="close" if settled and option else one.effect,
        symbol=canonical(one.symbol),
        underlying=option.underlying if option else symbol_of("symbol", one.symbol),
        side=one.side,
        quantity=float(one.quantity),
        price=float(one.price),
        multiplier=float(one.multiplier),
        fees=float(one.fees),
        order_id=one.order_id,
        delivered=settled and option is None,
        raw=raw,
    )


def _spelled(one: Execution, broker: str) -> str:
    """Return an execution's id as statements spell it: those of Alpaca add the activity."""
    name = one.execution_id.strip().replace("~", "%7E")
    if broker != "alpaca":
        return name
    activity = _ALPACA[one.kind] if one.kind == "trade" or contract(one.symbol) else "OPTRD"
    return name if name.endswith(f":{activity}") else f"{name}:{activity}"


def _told(raw: str | None) -> Mapping[str, Any]:
    import json

    found = json.loads(raw) if raw else {}
    declared: Mapping[str, Any] = found.get("declared", {})
    return declared


def _same(row: StatementRow, key: str, told: Mapping[str, Any]) -> bool:
    # a digest's key ends in "#<digest>:<n>"
    return (
        (":#" in row.key) != (":#" in key)
        and abs(row.ts - told["ts"]) <= _SECOND
        and row.kind == told["kind"]
        and (row.side == told["side"] or 0 in (row.side, told["side"]))
        and abs(row.quantity - told["quantity"]) <= _SMALL * row.quantity
        and abs(row.price - told["price"]) <= _HALF_CENT
    )


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse(what: str) -> NoReturn:
    raise DataError(f"the broker's answer has {what}; nothing of it was used", code="JOURNAL_BROKER_ANSWER")
