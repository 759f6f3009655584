"""Exits: all or a part of a trade is closed, and what it taught is stored with it.

Sums are worked out from all fills each time, so the order of partial exits does not matter. When nothing is
open any more, the trade is analysed in the same transaction: insights, automatic mistakes, running figures.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, update

from journal import schema
from journal.accounting import capture_percent, close_code, days_between, tidy, was_all
from journal.ledger.entering import stamp_of, whole, write_legs
from journal.ledger.lookup import get_trade
from journal.ledger.sums import add_fill, owner_of, sums_of
from journal.performance import insights, mistakes, running
from journal.performance.recent import background
from journal.records import Leg, Trade, TradeOutcome
from journal.values import amount, from_nanoseconds, number, text
from simulator.errors import DataError

__all__ = ["exit_price_of", "leave", "settle"]

_SETTLED: Final = (
    "entry_price", "exit_price", "fees", "gross_pnl", "pnl", "open_quantity", "exit_ts", "close_reason",
    "close_code", "exit_notes", "mae", "mfe", "status", "r_multiple", "capture_percent", "days",
)  # fmt: skip
_SETTLE: Final = (
    update(schema.trades)
    .where(schema.trades.c.id == bindparam("key"))
    .values({name: bindparam(f"new_{name}") for name in _SETTLED})
)
"""Written once for all exits: making a statement costs more than running it."""


def leave(
    connection: Connection,
    trade_id: int | str,
    *,
    exit_debit: float | None,
    exit_price: float | None,
    quantity: float | None,
    close_reason: str,
    notes: str,
    when: datetime | int | None,
    fees: float,
    mae: float | None,
    mfe: float | None,
    now: int,
    code: str | None = None,
    kind: str = "trade",
    mid_price: float | None = None,
    execution_key: str | None = None,
    broker: str = "",
    order_id: str = "",
) -> TradeOutcome:
    """Close a trade or a part of it."""
    trade = get_trade(connection, trade_id)
    ts = check_exit(trade, when, now)
    price = exit_price_of(trade, exit_price, exit_debit)
    closing = closing_quantity(trade, quantity)
    add_fill(
        connection, owner_of(trade), ts=ts, effect="close", side=-trade.side, quantity=closing, price=price,
        fees=number("fees", fees), kind=kind, mid_price=mid_price, execution_key=execution_key, broker=broker,
        order_id=order_id,
    )  # fmt: skip
    left = 0.0 if was_all(closing, trade.open_quantity, trade.quantity) else trade.open_quantity - closing
    if trade.legs:
        _check_parts(trade, left)
        share = left / trade.open_quantity
        write_legs(connection, {leg.id: (leg.open_quantity or 0.0) * share for leg in trade.legs})
    return settle(
        connection, trade, left, ts=ts, close_reason=close_reason, notes=notes, mae=mae, mfe=mfe, code=code
    )


def settle(
    connection: Connection,
    trade: Trade,
    left: float,
    *,
    ts: int,
    close_reason: str,
    notes: str,
    mae: float | None = None,
    mfe: float | None = None,
    code: str | None = None,
) -> TradeOutcome:
    """Write what the fills come to with `left` packages open, and analyse the trade if none is."""
    sums = sums_of(connection, trade, left)
    closed = left == 0
    reason = text("close_reason", close_reason)
    values: dict[str, Any] = {
        **sums._asdict(),
        "open_quantity": left,
        "exit_ts": max(ts, trade.exit_ts or ts),
    }
    if reason or closed:
        values["close_reason"] = reason or trade.close_reason or ""
        values["close_code"] = code or close_code(values["close_reason"])
    if notes:
        values["exit_notes"] = "\n".join(filter(None, (trade.exit_notes, text("notes", notes))))
    values |= _excursions(trade, mae, mfe)
    r_multiple = None
    if closed:
        entry_value = sums.entry_price * trade.quantity * trade.multiplier
        r_multiple = sums.pnl / trade.initial_risk if trade.initial_risk else None
        values |= {
            "status": "closed",
            "r_multiple": r_multiple,
            "capture_percent": capture_percent(
                trade.kind, trade.side, sums.gross_pnl, entry_value, trade.max_profit
            ),
            "days": days_between(trade.entry_ts, values["exit_ts"]),
        }
    after = replace(trade, **values)
    connection.execute(
        _SETTLE, {"key": trade.id} | {f"new_{name}": getattr(after, name) for name in _SETTLED}
    )
    realised = tidy(sums.gross_pnl - trade.gross_pnl, sums.gross_pnl, trade.gross_pnl)
    found: tuple[str, ...] = ()
    if closed:
        legs = tuple(replace(leg, open_quantity=0.0) for leg in trade.legs)
        found = analyse(connection, replace(after, legs=legs))
    return TradeOutcome(trade.id, sums.pnl, r_multiple, closed, found, realised)


def analyse(connection: Connection, trade: Trade) -> tuple[str, ...]:
    """Store what a closed trade teaches and return it in words."""
    known = background(connection, trade)
    found = insights.analyse(connection, trade, known)
    mistakes.detect(connection, trade, known)
    running.update(connection, trade)
    return tuple(one.text for one in found)


def check_exit(trade: Trade, when: datetime | int | None, now: int) -> int:
    """Return the time of an exit.

    Raises
    ------
    DataError
        JOURNAL_STATUS of a closed trade, JOURNAL_ORDER for an exit before the entry.
    """
    if trade.status != "open":
        raise DataError(
            f"trade {trade.id} is closed since {trade.exit_time:%Y-%m-%d %H:%M} UTC, P&L {trade.pnl:,.2f}",
            code="JOURNAL_STATUS",
        )
    ts = stamp_of(when, now)
    if ts < trade.entry_ts:
        raise DataError(
            f"trade {trade.id} was entered on {trade.entry_time:%Y-%m-%d %H:%M:%S} UTC; an exit at "
            f"{from_nanoseconds(ts):%Y-%m-%d %H:%M:%S} is before it",
            code="JOURNAL_ORDER",
        )
    return ts


def closing_quantity(trade: Trade, quantity: float | None) -> float:
    """Return how much an exit closes: all that is open where nothing is said.

    Raises
    ------
    DataError
        JOURNAL_QUANTITY for more than is open.
    """
    if quantity is None:
        return trade.open_quantity
    if trade.kind == "option":
        closing = whole("quantity", quantity)
    else:
        closing = amount("quantity", quantity, above=True)
    if closing > trade.open_quantity and not was_all(closing, trade.open_quantity, trade.quantity):
        raise DataError(
            f"quantity is {closing:g}, but trade {trade.id} has {trade.open_quantity:g} of "
            f"{trade.quantity:g} open",
            code="JOURNAL_QUANTITY",
        )
    return min(closing, trade.open_quantity)


def exit_price_of(trade: Trade, exit_price: float | None, exit_debit: float | None) -> float:
    """Return the price of an exit: a debit is paid for what was sold, and is negative for what was bought.

    Only a package of which legs are gone already may close the other way round: the long put that is left of
    a sold spread is sold at a credit.

    Raises
    ------
    DataError
        JOURNAL_PRICE.
    """
    if (exit_price is None) == (exit_debit is None):
        said = "neither is given" if exit_price is None else "both are given"
        raise DataError(f"the price of an exit is exit_price or exit_debit; {said}", code="JOURNAL_PRICE")
    if exit_price is not None:
        name, price = "exit_price", number("exit_price", exit_price)
    else:
        name, price = "exit_debit", -trade.side * number("exit_debit", exit_debit) + 0.0
    if price < 0 and not legs_gone(trade):
        if name == "exit_price":
            why = "a price is not negative"
        elif trade.side < 0:
            why = "what was sold is closed at a debit, which is positive"
        else:
            why = "what was bought is closed at a credit: a negative exit_debit, or exit_price"
        raise DataError(
            f"{name} of trade {trade.id} is {exit_price or exit_debit:g}; {why}", code="JOURNAL_PRICE"
        )
    return price


def legs_gone(trade: Trade) -> bool:
    """Tell whether legs of the package were closed or assigned without the others."""
    return any(not _regular(leg, trade) for leg in trade.legs)


def _regular(leg: Leg, trade: Trade) -> bool:
    return was_all(leg.open_quantity or 0.0, leg.ratio * trade.open_quantity, leg.ratio * trade.quantity)


def _check_parts(trade: Trade, left: float) -> None:
    if left and any(leg.open_quantity and not _regular(leg, trade) for leg in trade.legs):
        has = ", ".join(f"{leg.open_quantity:g} of {leg}" for leg in trade.legs)
        raise DataError(
            f"trade {trade.id} has {has} open, which are no whole packages; close all of it, or single "
            "contracts by log_leg_exit",
            code="JOURNAL_LEGS",
        )


def _excursions(trade: Trade, mae: float | None, mfe: float | None) -> dict[str, float]:
    found: dict[str, float] = {}
    if mae is not None:
        worst = number("mae", mae)
        if worst > 0:
            raise DataError(f"mae is {worst:g}; the worst excursion is 0 or negative", code="JOURNAL_RANGE")
        found["mae"] = worst if trade.mae is None else min(worst, trade.mae)
    if mfe is not None:
        best = amount("mfe", mfe)
        found["mfe"] = best if trade.mfe is None else max(best, trade.mfe)
    return found
