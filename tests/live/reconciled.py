"""A desk that has reconciled once, and what tests of reconciliation ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.live.desks import Desk


def started(folder: Path) -> Iterator[Desk]:
    """Yield a desk whose start was clean; its journal is whole in the end."""
    desk = Desk(folder)
    report = desk.reconciler.start()
    assert report.clean
    yield desk
    desk.database.check(full=True)
    desk.database.close()


def state_of(desk: Desk, identity: str) -> tuple[str, float]:
    """Return how an order stands in the log."""
    sent = desk.log.find(identity)
    assert sent is not None
    assert sent.order is not None
    return sent.order.state.label, sent.order.filled


def books(desk: Desk) -> dict[str, float]:
    """Return what the books hold."""
    return desk.reconciler.ledger("main").positions()


def writes(desk: Desk) -> int:
    """Return how often the desk has asked a broker to change something."""
    return sum(call in ("submit_order", "replace_order", "cancel_order") for call in desk.faulty.calls)


def resting(desk: Desk) -> dict[str, tuple[float, float | None, float | None]]:
    """Return quantity, stop and limit of what works."""
    return {one.order_id: (one.quantity, one.stop_price, one.limit_price) for one in desk.memory.get_orders()}
