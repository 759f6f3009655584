"""What a manager has sent, by client order id: the memory that keeps an order from being sent twice.

A cache of the intent log. It begins with every order of which something may still come, and asks the log for
ids that it does not have, so an id that was sent before a restart is as taken as one sent a moment ago. An id
is taken before anything is sent and given back only where nothing was. Between the two the order is in
flight; a second submit of the same id is told how the first one stands. One exception: what leaves or
protects goes again under its id where it is proven that it never arrived (`live.brokers.lost`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Set
from dataclasses import replace
from datetime import datetime

from live.brokers.interface import OrderPurpose, OrderRequest, Outcome, Submitted
from live.intents import IntentLog, Sent
from simulator.errors import JournalError

__all__ = ["OrderBook", "Sent"]


class OrderBook:
    """Orders by client order id, for any number of threads.

    Parameters
    ----------
    log
        What outlives the process. Only `store` writes to it; the lock of the book is not held meanwhile,
        since a kill must not wait for a database.
    """

    def __init__(self, log: IntentLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._sent: dict[str, Sent] = {sent.identity: sent for sent in log.open()}

    def begin(
        self,
        request: OrderRequest,
        broker: str,
        at: datetime,
        *,
        review: str = "",
        bar_time: datetime | None = None,
        again: bool = False,
    ) -> Sent | None:
        """Take the id of an order; None where it is taken.

        Parameters
        ----------
        again
            Whether the id of an order that got lost is free too; the caller has proof that it never arrived.

        Raises
        ------
        JournalError
            Where the log does not say whether it is; what protects a position is then begun all the same.
        """
        identity = request.client_order_id
        unknown = Submitted(
            outcome=Outcome.UNRESOLVED, client_order_id=identity, code="LIVE_IN_FLIGHT", message="being sent"
        )
        sent = Sent(
            request=request, broker=broker, at=at, submitted=unknown, review=review, bar_time=bar_time
        )
        with self._lock:
            there = self._sent.get(identity)
            if there is not None and not (again and there.got_lost):
                return None
            self._sent[identity] = sent
        before = self._found(request)
        if before is None or before.was_never_sent or (again and before.got_lost):
            return sent
        self.set(before)
        return None

    def again(self, request: OrderRequest) -> Submitted:
        """Return how the order stands whose id is used again; DENIED where it was another order's."""
        sent = self.get(request.client_order_id)
        if sent is not None and sent.request == request:
            return sent.submitted
        return Submitted(
            outcome=Outcome.DENIED,
            client_order_id=request.client_order_id,
            code="LIVE_ORDER_ID",
            message="the id belongs to another order",
        )

    def get(self, identity: str) -> Sent | None:
        """Return an order, None where none has the id."""
        with self._lock:
            sent = self._sent.get(identity)
        return sent if sent is not None else self._log.find(identity)

    def peek(self, identity: str) -> Sent | None:
        """Return an order without asking the log; None for one that is final, or never was."""
        with self._lock:
            return self._sent.get(identity)

    def give_back(self, identity: str) -> None:
        """Forget an order that was never sent; its id is free again."""
        with self._lock:
            self._sent.pop(identity, None)

    def set(self, sent: Sent) -> None:
        """Take in how an order stands; one that is final is left to the log."""
        with self._lock:
            if sent.final:
                self._sent.pop(sent.identity, None)
            else:
                self._sent[sent.identity] = sent

    def change(self, identity: str, how: Callable[[Sent], Sent]) -> Sent:
        """Change an order, and return it as it is then."""
        before = self.get(identity)
        with self._lock:
            before = self._sent.get(identity, before)
            assert before is not None  # noqa: S101 - only what was begun is changed
            sent = self._sent[identity] = how(before)
        return sent

    def finish(self, identity: str, submitted: Submitted, at: datetime) -> Sent:
        """Take in what became of an order, and return it."""
        there = submitted.outcome is Outcome.CONFIRMED

        def finished(sent: Sent) -> Sent:
            sent = replace(sent, submitted=submitted, in_flight=False, updated=at)
            return replace(sent, absent=0, absent_since=None) if there else sent

        return self.change(identity, finished)

    def absent(self, identity: str, at: datetime) -> Sent:
        """Count that the broker does not have an order, and return it."""
        return self.change(
            identity,
            lambda sent: replace(sent, absent=sent.absent + 1, absent_since=sent.absent_since or at),
        )

    def live(self) -> list[Sent]:
        """Return the orders of which something may still come."""
        with self._lock:
            return list(self._sent.values())

    def unresolved(self, *, in_flight: bool = False) -> list[Sent]:
        """Return the orders of which nobody knows whether the broker has them.

        Parameters
        ----------
        in_flight
            Whether those count too whose call has not returned.
        """
        return [
            sent
            for sent in self.live()
            if sent.submitted.outcome is Outcome.UNRESOLVED and (in_flight or not sent.in_flight)
        ]

    def doubtful(self, identity: str, symbols: Set[str]) -> str:
        """Return the id of an unresolved order in one of the symbols of the order `identity`; "" for none."""
        for sent in self.unresolved():
            if sent.identity != identity and symbols & {leg.symbol for leg in sent.request.legs}:
                return sent.identity
        return ""

    def purposes(self) -> dict[str, OrderPurpose]:
        """Return what each order is for."""
        return {sent.identity: sent.request.purpose for sent in self.live()}

    def _found(self, request: OrderRequest) -> Sent | None:
        try:
            return self._log.find(request.client_order_id)
        except JournalError:
            if request.purpose == "protect":
                return None  # a stop must not wait for a database; the broker refuses an id that it has
            self.give_back(request.client_order_id)
            raise
