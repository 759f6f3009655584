"""Executions that close trades which were logged by hand and whose opening the broker no longer shows.

They are exits like those that somebody types, under the broker's execution id, and go through the same code.
An execution that closes more than one such trade is split; the parts' keys end in "+2", "+3", ..., and what
is left of it stays a row of the broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, update

from journal import schema
from journal.ledger.carrying import leave_leg
from journal.ledger.exiting import analyse, leave
from journal.ledger.lookup import get_trade
from journal.ledger.sums import write_trade
from journal.records import Trade, TradeOutcome
from journal.statements.rows import StatementRow
from journal.statements.storing import stored_row
from journal.tracking.plan import plan_kept
from journal.tracking.rows import canonical

__all__ = ["close_by_hand_logged"]

_CODES = {"expiry": "expiry", "assignment": "assignment", "exercise": "assignment"}
_SMALL = 1e-9


def close_by_hand_logged(
    connection: Connection,
    row: StatementRow,
    trades: Sequence[tuple[int, float]],
    *,
    broker: str,
    account: str,
    now: int,
    closed: dict[int, bool],
) -> StatementRow | None:
    """Close quantities of trades by one execution; returns what is left of it, None where nothing is.

    Modifies the journal, and `closed`: by trade, whether nothing of it is open any more.
    """
    left = row.quantity - sum(quantity for _, quantity in trades)
    whole = left <= _SMALL * row.quantity
    for index, (number, quantity) in enumerate(trades):
        trade = get_trade(connection, number)
        if trade.account is None and account:
            write_trade(connection, number, {"account": account})
            trade = get_trade(connection, number)
        key = row.key if whole and index == 0 else f"{row.key}+{index + 2 - whole}"
        outcome = _close(connection, trade, row, quantity, key, broker, now)
        closed[number] = outcome.closed
        if outcome.closed:
            _explain(connection, number)
        if key == row.key:
            raw = stored_row(row, broker=broker, account=account, source=trade.source, statement=None)["raw"]
            table = schema.fills
            connection.execute(update(table).where(table.c.execution_key == key).values(raw=raw))
    if whole:
        return None
    return replace(row, quantity=left, fees=row.fees * (left / row.quantity))


def _close(
    connection: Connection, trade: Trade, row: StatementRow, quantity: float, key: str, broker: str, now: int
) -> TradeOutcome:
    code = _CODES.get(row.kind)
    reason = code or "closed at broker"
    fees = row.fees * (quantity / row.quantity)
    if trade.kind == "stock":
        return leave(
            connection, trade.id, exit_debit=None, exit_price=row.price, quantity=quantity,
            close_reason=reason, notes="", when=row.ts, fees=fees, mae=None, mfe=None, now=max(now, row.ts),
            code=code, kind=row.kind, execution_key=key, broker=broker, order_id=row.order_id,
        )  # fmt: skip
    leg = next(leg for leg in trade.legs if canonical(leg.symbol) == row.symbol)
    return leave_leg(
        connection, trade.id, leg.position, price=row.price, quantity=quantity, close_reason=reason, notes="",
        when=row.ts, fees=fees, now=max(now, row.ts), kind=row.kind, code=code, execution_key=key,
        broker=broker, order_id=row.order_id,
    )  # fmt: skip


def _explain(connection: Connection, number: int) -> None:
    """Say why the trade was closed where its plan and its price tell, and look at it again with that."""
    trade = get_trade(connection, number)
    if trade.close_code != "other":
        return
    row = {name: getattr(trade, name) for name in schema.trades.c.keys()}
    found = plan_kept(row)
    if found is not None:
        write_trade(connection, number, {"close_code": found[0], "close_reason": found[1]})
        analyse(connection, get_trade(connection, number))
