"""Copies of review requests and differences in the journal's table `reviews`.

The files are what decisions lie in; the copies are for questions: how long somebody took to decide
(`decided_ts - created_ts`), which share expired, which was rejected. They are brought up to date after every
run of the reconciler, and what a crash left out is copied by the next.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from live.intents import IntentLog
from live.reconciling.differences import Difference, Differences
from live.review_queue import ReviewQueue, ReviewRequest

__all__ = ["ReviewCopies"]


class ReviewCopies:
    """Keeps the copies of one desk up to date.

    Parameters
    ----------
    queue
        None where there is none.
    """

    def __init__(self, log: IntentLog, differences: Differences, queue: ReviewQueue | None) -> None:
        self._log = log
        self._differences = differences
        self._queue = queue
        self._copied: dict[str, object] = {}

    def update(self) -> None:
        """Copy what has changed; raises `JournalError` where files or journal cannot be used."""
        rows: dict[str, tuple[object, dict[str, Any]]] = {
            one.item_id: (one, _of_difference(one)) for one in self._differences.all()
        }
        if self._queue is not None:
            rows |= {one.request_id: (one, _of_request(one)) for one in self._queue.all()}
        changed = {name: row for name, (one, row) in rows.items() if self._copied.get(name) != one}
        if not changed:
            return
        with self._log.together():
            for name, row in changed.items():
                self._log.copy_review(review=name, **row)
        self._copied |= {name: rows[name][0] for name in changed}


def _of_request(one: ReviewRequest) -> dict[str, Any]:
    return {
        "kind": "request", "state": one.state, "broker": one.broker, "symbol": one.order.symbol,
        "purpose": one.order.purpose, "strategy": one.order.strategy,
        "client_order_id": one.order.client_order_id, "created_ts": one.created_at,
        "expires_ts": one.expires_at, "decided_ts": one.decided_at, "decided_by": one.decided_by,
        "note": one.note, "price": one.price, "outcome": one.outcome, "data": _plain(asdict(one)),
    }  # fmt: skip


def _of_difference(one: Difference) -> dict[str, Any]:
    return {
        "kind": "difference", "state": one.state, "cause": one.found.cause, "broker": one.found.broker,
        "symbol": one.found.symbols[0], "created_ts": one.opened_at, "decided_ts": one.decided_at,
        "decided_by": one.decided_by, "note": one.note or one.message, "data": _plain(asdict(one)),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
