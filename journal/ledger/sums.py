"""Fills are written here and nowhere else in this package, and the sums beside them are worked out from them.

A fill that was typed in gets a key of our own, `own:<trade>:<n>`; one that a broker reported brings its own.
Keys are unique: the same execution is stored once, whoever reports it how often.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, CursorResult, bindparam, func, insert, select, update

from journal import schema
from journal.accounting import Cash, Sums, summarise
from journal.records import Trade
from journal.values import amount, number, text
from simulator.errors import DataError

__all__ = ["Owner", "add_fill", "cash_of", "inserted", "owner_of", "sums_of", "write_trade"]

_INSERT: Final = insert(schema.fills)
_COUNT: Final = (
    select(func.count()).select_from(schema.fills).where(schema.fills.c.trade_id == bindparam("key"))
)
_KEY: Final = select(schema.fills.c.trade_id).where(schema.fills.c.execution_key == bindparam("key"))
_CASH: Final = select(
    *(schema.fills.c[name] for name in Cash._fields)
).where(schema.fills.c.trade_id == bindparam("key"))  # fmt: skip


class Owner(NamedTuple):
    """What a fill takes over from its trade."""

    trade_id: int
    source: str
    account: str | None
    symbol: str
    multiplier: float


def owner_of(trade: Trade) -> Owner:
    """Return what fills of a trade take over from it."""
    return Owner(trade.id, trade.source, trade.account, trade.symbol, trade.multiplier)


def add_fill(
    connection: Connection,
    owner: Owner,
    *,
    ts: int,
    effect: str,
    side: int,
    quantity: float,
    price: float,
    fees: float = 0.0,
    kind: str = "trade",
    leg: int | None = None,
    symbol: str | None = None,
    multiplier: float | None = None,
    mid_price: float | None = None,
    execution_key: str | None = None,
    broker: str = "",
    order_id: str = "",
) -> None:
    """Store one execution of a trade.

    Raises
    ------
    DataError
        JOURNAL_DUPLICATE where an execution of that key is stored already, JOURNAL_VALUE for an amount that
        no sum could hold.
    """
    units = owner.multiplier if multiplier is None else multiplier
    cash_of(price, quantity, units)
    if execution_key is None:
        count = connection.execute(_COUNT, {"key": owner.trade_id}).scalar_one()
        execution_key = f"own:{owner.trade_id}:{count + 1}"
    else:
        known = connection.execute(_KEY, {"key": text("execution_key", execution_key)}).one_or_none()
        if known is not None:
            raise DataError(
                f"execution {execution_key!r} is stored already, with trade {known[0]}; nothing was added",
                code="JOURNAL_DUPLICATE",
            )
    connection.execute(
        _INSERT,
        {
            "execution_key": execution_key,
            "trade_id": owner.trade_id,
            "source": owner.source,
            "broker": text("broker", broker),
            "account": owner.account or "",
            "order_id": text("order_id", order_id),
            "ts": ts,
            "kind": kind,
            "effect": effect,
            "symbol": owner.symbol if symbol is None else symbol,
            "underlying": owner.symbol,
            "side": side,
            "quantity": amount("quantity", quantity),
            "price": price,
            "multiplier": units,
            "fees": fees,
            "leg": leg,
            "mid_price": mid_price,
        },
    )


def cash_of(price: float, quantity: float, multiplier: float) -> float:
    """Return the cash of a fill.

    Raises
    ------
    DataError
        JOURNAL_VALUE where it is beyond every number that a column can hold: all sums of the trade would be.
    """
    return number("price x quantity x multiplier", price * quantity * multiplier)


def inserted(result: CursorResult[Any]) -> int:
    """Return the number that a new row was given."""
    key: Any = result.inserted_primary_key
    return int(key[0])


def sums_of(
    connection: Connection, trade: Trade, open_quantity: float, quantity: float | None = None
) -> Sums:
    """Return the sums of a trade from all its fills.

    A statement opens a package leg by leg, and shares may have been split since: how many packages were
    entered is what the trade says, or `quantity` where that is about to change, never the sum of the fills.
    """
    fills = [Cash._make(row) for row in connection.execute(_CASH, {"key": trade.id})]
    entered = trade.quantity if quantity is None else quantity
    return summarise(trade.side, trade.multiplier, fills, open_quantity=open_quantity, quantity=entered)


def write_trade(connection: Connection, trade_id: int, values: dict[str, Any]) -> None:
    """Change columns of a trade."""
    connection.execute(update(schema.trades).where(schema.trades.c.id == trade_id).values(**values))
