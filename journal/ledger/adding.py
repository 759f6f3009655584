"""Additions: an open trade grows, at the average of its entries.

Risk and bounds grow by what the new part risks and can bring at its own price. What is added to a package is
the whole package: one whose legs were closed singly takes no more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from journal.accounting import slippage, tidy
from journal.ledger.entering import one_price, stamp_of, whole, write_legs
from journal.ledger.lookup import get_trade
from journal.ledger.sums import add_fill, owner_of, sums_of, write_trade
from journal.records import Trade
from journal.values import amount, from_nanoseconds, number, text
from simulator.errors import DataError

__all__ = ["add_to"]


def add_to(
    connection: Connection,
    trade_id: int | str,
    *,
    quantity: float | None,
    entry_price: float | None,
    entry_credit: float | None,
    when: datetime | int | None,
    fees: float,
    notes: str,
    mid_price: float | None,
    execution_key: str | None,
    broker: str,
    order_id: str,
    now: int,
) -> Trade:
    """Add to an open trade; its entry price becomes the average, and risk and bounds grow by the new part."""
    trade = get_trade(connection, trade_id)
    if trade.status != "open":
        raise DataError(
            f"trade {trade.id} is closed since {trade.exit_time:%Y-%m-%d}; log a new entry",
            code="JOURNAL_STATUS",
        )
    if any(leg.open_quantity != leg.ratio * trade.open_quantity for leg in trade.legs):
        raise DataError(
            f"trade {trade.id} has legs that were closed singly; what is added must be a trade of its own",
            code="JOURNAL_LEGS",
        )
    if quantity is None:
        raise DataError(f"no quantity is given to add to trade {trade.id}", code="JOURNAL_QUANTITY")
    more = whole("quantity", quantity) if trade.kind == "option" else amount("quantity", quantity, above=True)
    price = one_price(entry_price, entry_credit, trade.side, "entry_price", "entry_credit")
    ts = stamp_of(when, now)
    if ts < trade.entry_ts:
        raise DataError(
            f"trade {trade.id} was entered on {trade.entry_time:%Y-%m-%d %H:%M} UTC; an addition at "
            f"{from_nanoseconds(ts):%Y-%m-%d %H:%M} is before it",
            code="JOURNAL_ORDER",
        )
    add_fill(
        connection, owner_of(trade), ts=ts, effect="open", side=trade.side, quantity=more, price=price,
        fees=number("fees", fees), mid_price=mid_price, execution_key=execution_key, broker=broker,
        order_id=order_id,
    )  # fmt: skip
    open_quantity = trade.open_quantity + more
    sums = sums_of(connection, trade, open_quantity, trade.quantity + more)
    size = more * trade.multiplier
    mid = None if mid_price is None else amount("mid_price", mid_price)
    lost = slippage(trade.side, price, mid, more, trade.multiplier)
    values: dict[str, Any] = {
        **sums._asdict(),
        "quantity": trade.quantity + more,
        "open_quantity": open_quantity,
        "slippage": None if lost is None or trade.slippage is None else trade.slippage + lost,
        **_grown(trade, more, price, size),
    }
    if notes:
        values["entry_notes"] = "\n".join(filter(None, (trade.entry_notes, text("notes", notes))))
    write_trade(connection, trade.id, values)
    write_legs(connection, {leg.id: leg.ratio * open_quantity for leg in trade.legs})
    return get_trade(connection, trade.id)


def _grown(trade: Trade, more: float, price: float, size: float) -> dict[str, float | None]:
    """Risk and bounds of a trade that grew: per package as before, moved by the difference of the prices."""
    per_gain = -trade.side * (price - trade.entry_price) * size
    share = more / trade.quantity
    best = None if trade.max_profit is None else tidy(trade.max_profit * (1 + share) + per_gain)
    worst = None if trade.max_loss is None else tidy(trade.max_loss * (1 + share) - per_gain)
    risk = trade.initial_risk
    if risk is not None:
        if trade.max_loss is not None and risk == trade.max_loss:
            risk = worst
        elif trade.kind == "stock" and trade.stop_price is not None:
            risk = tidy(risk + abs(price - trade.stop_price) * size)
        else:
            risk = tidy(risk * (1 + share))
    return {"max_profit": best, "max_loss": worst, "initial_risk": risk}
