"""What an accepted difference changes: the books follow the broker, on record and in a person's name.

Each item is carried out once, however often a start or a crash repeats the attempt: the event that says so is
stored in one transaction with the adjustment. After a split those working orders of the stock that are still
of before get new quantities and prices together; where the broker refuses, an order at an old price is
cancelled, because a stop there would sell at the next one, and an item says so. Entries are cancelled.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from fractions import Fraction
from typing import Any

from live.brokers.interface import BrokerOrder
from live.brokers.manager import BrokerManager
from live.brokers.shrinking import keeper
from live.reconciling.differences import Difference, Differences, Found
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


def carry_out(
    manager: BrokerManager, name: str, ledger: FillLedger, differences: Differences
) -> list[Difference]:
    """Carry out what was accepted at a broker and is not yet; returns what a person has to know of it.

    Raises `JournalError` where it cannot.
    """
    opened: list[Difference] = []
    for one in differences.all():
        if one.state == "accepted" and one.found.broker == name:
            opened += _carry_out(manager, name, ledger, one, differences)
    return opened


def accepted_orders(manager: BrokerManager, name: str) -> set[str]:
    """Return the foreign orders at a broker that a person has accepted."""
    return {
        event.data["subject"]
        for event in manager.intents.events("accepted")
        if event.data["cause"] == "foreign_order" and event.data["broker"] == name
    }


def _carry_out(
    manager: BrokerManager, name: str, ledger: FillLedger, one: Difference, differences: Differences
) -> list[Difference]:
    log, found, key = manager.intents, one.found, f"accepted:{one.item_id}"
    opened: list[Difference] = []
    if log.has(key):
        return opened
    if found.cause == "split":
        # before it counts as done: what a crash cuts off is repeated, towards the same quantities and prices
        done = _rescaled(manager, name, one, differences)
        if done is None:
            return opened
        opened = done
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
            split: dict[str, Any] = {}
            if found.cause == "split":
                ratio = float(Fraction(*found.data["ratio"]))
                adjustment = replace(adjustment, ratio=ratio, split_at=one.opened_at)
                split = {"ratio": ratio, "split_at": one.opened_at.astimezone(UTC).isoformat()}
            log.note(
                "adjusted", at, symbol=found.symbols[0], broker=name, quantity=quantity, by=one.decided_by,
                item=one.item_id, **split,
            )  # fmt: skip
    if adjustment is not None:
        ledger.adjust(adjustment)
    if found.cause == "missing_order" and (sent := manager.book.get(found.subject)) is not None:
        manager.diary.wrote(replace(sent, final=True), "given_up", by=one.decided_by)
        manager.book.set(replace(sent, final=True))
    return opened


def _rescaled(
    manager: BrokerManager, name: str, one: Difference, differences: Differences
) -> list[Difference] | None:
    """Bring the working orders in line; returns what is new to a person, None where the broker is silent."""
    broker = manager.brokers[name]
    try:
        working = {order.order_id: order for order in broker.get_orders()}
        leaves = keeper(broker, manager.book.purposes())
    except Exception:  # whatever the adapter's library raises: the next run tries again
        return None
    opened: list[Difference] = []
    for change in one.found.data["orders"]:
        order = working.get(change["order"])
        if order is None or change.get("before") not in (None, _as_it_is(order)):
            continue  # it has ended, or was brought in line by somebody else
        if not leaves(order):
            _cancelled(manager, name, order)
        elif (problem := _changed(manager, name, order, change)) is not None:
            # on record before it is cancelled: after a crash nobody would know of it
            opened += differences.settle(
                name, [_found(name, one, order, change, problem)], keep=lambda _: True
            )
            if _prices(change):
                _cancelled(manager, name, order)
    return opened


def _as_it_is(order: BrokerOrder) -> list[float | None]:
    return [order.quantity, order.limit_price, order.stop_price]


def _prices(change: dict[str, Any]) -> dict[str, float]:
    """Return the prices that change: none where those of the order are new already."""
    return {key: float(change[key]) for key in ("limit_price", "stop_price") if key in change}


def _changed(manager: BrokerManager, name: str, order: BrokerOrder, change: dict[str, Any]) -> str | None:
    """Change a protective order; returns in words why that failed."""
    try:
        manager.rescale_order(name, order, float(change["quantity"]), **_prices(change))
    except Exception as error:  # of the adapter's library
        problem = f"{type(error).__name__}: {error}"
        manager.diary.note("rescale", order=order.order_id, problem=problem)
        return problem
    return None


def _found(name: str, one: Difference, order: BrokerOrder, change: dict[str, Any], problem: str) -> Found:
    symbol = one.found.symbols[0]
    what = "is cancelled, since its price is old" if _prices(change) else "keeps its old quantity"
    words = (
        f"{symbol}: the {order.kind} order {order.order_id} over {order.quantity:g} could not be changed "
        f"after the split ({problem}) and {what}; look whether a stop guards what is held"
    )
    return Found(
        cause="split_order", broker=name, symbols=(symbol,), message=words, subject=order.order_id,
        data={"order": order.order_id, "quantity": order.quantity, "wanted": change["quantity"]},
    )  # fmt: skip


def _cancelled(manager: BrokerManager, name: str, order: BrokerOrder) -> None:
    try:
        manager.cancel_order(name, order.order_id)
    except Exception as error:  # of the adapter's library
        manager.tell(
            "reconcile_difference", "An order after a split",
            f"{order.order_id} could be neither changed nor cancelled: {error}",
        )  # fmt: skip
