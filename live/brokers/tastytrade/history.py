"""What happened in the account: transactions as executions, and as activities where they were no trade.

Fills are told with their order, so that a trade placed by hand is seen as well. An exercise, an assignment
and an expiry are deliveries; the shares that come or go with one are two rows, the option's and the stock's,
of one moment. An expiry does not always say which side expired: then what was traded before says it. A split
takes the old shares away and brings the new ones; that is no trade. A row that reverses another undoes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from live.brokers.tastytrade.symbols import canonical, contract, underlying
from live.brokers.told import Activity, ActivityKind
from simulator.brokerage import Execution
from simulator.errors import FetchError

__all__ = ["activities_of", "executions_of", "needs_history"]

Booked = Literal["trade", "exercise", "assignment", "expiry"]

SHARES: Final = 100.0
_SETTLED: Final[Mapping[str, tuple[Booked, int]]] = {
    "Assignment": ("assignment", 1),
    "Cash Settled Assignment": ("assignment", 1),
    "Exercise": ("exercise", -1),
    "Cash Settled Exercise": ("exercise", -1),
    "Expiration": ("expiry", 0),
}
"""Kind, and the side on which the option goes: a short one comes back, a long one leaves; 0 for either."""

_CASH: Final[Mapping[str, ActivityKind]] = {
    "Dividend": "dividend", "Special Dividend": "dividend", "Credit Interest": "interest",
    "Debit Interest": "interest", "Short Borrow": "interest", "Fee": "fee", "Balance Adjustment": "fee",
}  # fmt: skip
_ACTIONS: Final = ("Buy to Open", "Sell to Open", "Buy to Close", "Sell to Close", "Buy", "Sell")


def executions_of(
    rows: Sequence[Any],
    order_id_of: Callable[[int], str],
    *,
    before: Mapping[str, float] | None = None,
) -> list[Execution]:
    """Return what changed positions, oldest first.

    Parameters
    ----------
    rows
        Transactions.
    order_id_of
        Our number of an order that they name.
    before
        Positions before the first row, for expiries that do not say which side they ended.

    Raises
    ------
    FetchError
        LIVE_TRANSACTION for an expiry without a side, where `before` does not help.
    """
    rows = _standing(rows)
    events = _events(rows)
    held = dict(before or {})
    found = []
    for row in rows:
        kind = _kind(row, events)
        if kind is None or row.quantity is None or not row.symbol:
            continue
        symbol = canonical(row.symbol)
        side = _side(row, held.get(symbol, 0.0))
        quantity = abs(float(row.quantity))
        held[symbol] = held.get(symbol, 0.0) + side * quantity
        option = contract(symbol) is not None
        found.append(
            Execution(
                execution_id=str(row.id),
                order_id="" if row.order_id is None else order_id_of(row.order_id),
                time=row.executed_at,
                symbol=symbol,
                side=side,
                quantity=quantity,
                price=_price(row, kind, quantity, option=option),
                multiplier=SHARES if option else 1.0,
                fees=_fees(row),
                kind=kind,
                effect=_effect(row, kind, option=option),
            )
        )
    return found


def activities_of(rows: Sequence[Any], *, before: Mapping[str, float] | None = None) -> list[Activity]:
    """Return what was no trade, oldest first."""
    rows = _standing(rows)
    events = _events(rows)
    held = dict(before or {})
    found = []
    for row in rows:
        symbol = canonical(row.symbol) if row.symbol else ""
        kind: ActivityKind | None = None
        quantity = 0.0
        if row.transaction_type == "Receive Deliver" and symbol:
            booked = _kind(row, events)
            kind = booked if booked not in (None, "trade") else _delivered(row)  # type: ignore[assignment]
            if row.quantity is not None and (row.action is not None or booked):
                quantity = _side(row, held.get(symbol, 0.0)) * abs(float(row.quantity))
        elif row.transaction_type == "Money Movement":
            kind = _CASH.get(row.transaction_sub_type, "transfer")
        elif row.transaction_type == "Trade" and row.quantity is not None:
            quantity = _side(row, 0.0) * abs(float(row.quantity))
        held[symbol] = held.get(symbol, 0.0) + quantity
        if kind is not None:
            found.append(
                Activity(
                    activity_id=str(row.id), kind=kind, time=row.executed_at, symbol=symbol,
                    quantity=quantity, price=float(row.price or 0.0), amount=float(row.net_value),
                    text=row.description,
                )
            )  # fmt: skip
    return found


def needs_history(rows: Sequence[Any]) -> set[str]:
    """Return the symbols, as tastytrade writes them, of expiries that do not say their side."""
    return {
        row.symbol
        for row in rows
        if row.transaction_sub_type == "Expiration" and row.action is None and row.symbol
    }


def _standing(rows: Sequence[Any]) -> list[Any]:
    """Return rows in their order, without those that were reversed and those that reverse them."""
    gone = {row.reverses_id for row in rows if row.reverses_id} | {row.id for row in rows if row.reverses_id}
    unique = {row.id: row for row in rows if row.id not in gone}
    return sorted(unique.values(), key=lambda row: (row.executed_at, row.id))


def _events(rows: Sequence[Any]) -> dict[tuple[str, datetime], Booked]:
    """Return exercises and assignments by underlying and time."""
    return {
        (underlying(canonical(row.symbol)), row.executed_at): _SETTLED[row.transaction_sub_type][0]
        for row in rows
        if row.transaction_sub_type in _SETTLED and row.symbol
    }


def _kind(row: Any, events: Mapping[tuple[str, datetime], Booked]) -> Booked | None:
    """Return what changed a position, None for what is no execution."""
    if row.transaction_type == "Trade":
        return "trade" if row.action is not None else None
    if row.transaction_type != "Receive Deliver":
        return None
    if row.transaction_sub_type in _SETTLED:
        return _SETTLED[row.transaction_sub_type][0]
    if row.transaction_sub_type in _ACTIONS and row.symbol:
        # shares that an option brought or took stand beside it, at the same moment
        found = events.get((canonical(row.symbol), row.executed_at))
        return found if found in ("assignment", "exercise") else None
    return None


def _delivered(row: Any) -> ActivityKind:
    return "split" if "Split" in row.transaction_sub_type else "transfer"


def _side(row: Any, held: float) -> int:
    if row.action is not None:
        return int(row.action.multiplier)
    side = _SETTLED.get(row.transaction_sub_type, ("", 0))[1]
    if row.transaction_sub_type in _ACTIONS:
        side = -1 if "Sell" in row.transaction_sub_type else 1
    side = side or (-1 if held > 0 else 1 if held < 0 else 0)
    if side == 0:
        raise FetchError(
            f"transaction {row.id}: {row.symbol} expired, and nothing says whether it was long or short; the "
            "trades that opened it are not among the transactions",
            code="LIVE_TRANSACTION",
        )
    return side


def _effect(row: Any, kind: Booked, *, option: bool) -> Literal["open", "close", ""]:
    words = row.action.value if row.action is not None else row.transaction_sub_type
    if "Open" in words:
        return "open"
    if "Close" in words or (option and kind != "trade"):
        return "close"
    return ""


def _price(row: Any, kind: Booked, quantity: float, *, option: bool) -> float:
    """Return the price: an option that is delivered leaves for nothing, one settled in cash for its worth."""
    if not option or kind == "trade":
        return float(row.price or 0.0)
    settled = row.transaction_sub_type.startswith("Cash Settled")
    return abs(float(row.value)) / quantity / SHARES if settled else 0.0


def _fees(row: Any) -> float:
    parts = (row.regulatory_fees, row.clearing_fees, row.commission, row.proprietary_index_option_fees)
    # the library has given what is paid a minus; 0.0 - x also has no negative zero
    return 0.0 - float(sum(part for part in parts if part is not None))
