"""What an accepted difference changes: the books follow the broker, on record and in a person's name.

Each item is carried out once, however often a start or a crash repeats the attempt: the event that says so is
stored in one transaction with the adjustment. After a split the working orders of the stock get new
quantities and prices together; where the broker refuses, the order is cancelled, because a stop at the old
price would sell at the next one. Orders that enter are cancelled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from live.brokers.interface import BrokerOrder
from live.brokers.manager import BrokerManager
from live.brokers.shrinking import keeper
from live.reconciling.differences import Difference, Differences
from live.reconciling.fill_ledger import Adjustment, FillLedger

__all__ = ["carry_out"]

_BY_QUANTITY = frozenset(
    {
        "foreign_position",
        "missing_position",
        "position",
        "foreign_trade",
        "assignment",
        "split",
        "fills_missing",
    }
)


def carry_out(manager: BrokerManager, name: str, ledger: FillLedger, differences: Differences) -> None:
    """Carry out what was accepted at a broker and is not yet; raises `JournalError` where it cannot."""
    for one in differences.all():
        if one.state == "accepted" and one.found.broker == name:
            _carry_out(manager, name, ledger, one)


def accepted_orders(manager: BrokerManager, name: str) -> set[str]:
    """Return the foreign orders at a broker that a person has accepted."""
    return {
        event.data["subject"]
        for event in manager.intents.events("accepted")
        if event.data["cause"] == "foreign_order" and event.data["broker"] == name
    }


def _carry_out(manager: BrokerManager, name: str, ledger: FillLedger, one: Difference) -> None:
    log, found, key = manager.intents, one.found, f"accepted:{one.item_id}"
    if log.has(key):
        return
    if found.cause == "split":
        # before it counts as done: what a crash cuts off is repeated, towards the same quantities and prices
        if not _rescaled(manager, name, found.data["orders"]):
            return
    at = one.decided_at or one.seen_at
    adjustment = None
    with log.together():
        log.note(
            "accepted", at, key=key, symbol=found.symbols[0], by=one.decided_by, note=one.note,
            cause=found.cause, broker=name, subject=found.subject, data=found.data,
        )  # fmt: skip
        if found.cause in _BY_QUANTITY:
            quantity = float(found.data["broker"]) - float(found.data["books"])
            adjustment = Adjustment(at, found.symbols[0], quantity)
            log.note(
                "adjusted", at, symbol=found.symbols[0], broker=name, quantity=quantity, by=one.decided_by,
                item=one.item_id,
            )  # fmt: skip
    if adjustment is not None:
        ledger.adjust(adjustment)
    if found.cause == "missing_order" and (sent := manager.book.get(found.subject)) is not None:
        manager.diary.wrote(replace(sent, final=True), "given_up", by=one.decided_by)
        manager.book.set(replace(sent, final=True))


def _rescaled(manager: BrokerManager, name: str, changes: list[dict[str, Any]]) -> bool:
    """Bring the working orders in line; False where the broker does not say which there are."""
    broker = manager.brokers[name]
    try:
        working = {order.order_id: order for order in broker.get_orders()}
        leaves = keeper(broker, manager.book.purposes())
    except Exception:  # whatever the adapter's library raises: the next run tries again
        return False
    for change in changes:
        order = working.get(change["order"])
        if order is not None:
            _rescale_one(manager, name, order, change, leaves(order))
    return True


def _rescale_one(
    manager: BrokerManager, name: str, order: BrokerOrder, change: dict[str, Any], leaves: bool
) -> None:
    prices = {key: float(change[key]) for key in ("limit_price", "stop_price") if key in change}
    try:
        if leaves:
            manager.rescale_order(name, order, float(change["quantity"]), **prices)
            return
    except Exception as error:  # of the adapter's library: the order keeps a price that means nothing now
        manager.diary.note("rescale", order=order.order_id, problem=f"{type(error).__name__}: {error}")
    try:
        manager.cancel_order(name, order.order_id)
    except Exception as error:  # as above
        manager.tell(
            "reconcile_difference", "An order after a split",
            f"{order.order_id} could be neither changed nor cancelled: {error}",
        )  # fmt: skip
