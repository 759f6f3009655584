"""What a manager has sent, by client order id: the memory that keeps an order from being sent twice.

An id is taken before anything is sent and given back only where nothing was. Between the two the order is in
flight; a second submit of the same id is told how the first one stands.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime

from live.brokers.interface import OrderPurpose, OrderRequest, Outcome, Submitted

__all__ = ["OrderBook", "Sent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An order on its way or arrived.

    Attributes
    ----------
    in_flight
        Whether the call that sends it has not returned.
    review
        Id of the review request it came from, "" for none.
    absent
        How often the broker has said that it does not have it.
    """

    request: OrderRequest
    broker: str
    at: datetime
    submitted: Submitted
    in_flight: bool = True
    review: str = ""
    absent: int = 0


class OrderBook:
    """Orders by client order id, for any number of threads."""

    def __init__(self) -> None:
        self._sent: dict[str, Sent] = {}
        self._lock = threading.Lock()

    def begin(self, request: OrderRequest, broker: str, at: datetime, *, review: str = "") -> Sent | None:
        """Take the id of an order; None where it is taken."""
        identity = request.client_order_id
        unknown = Submitted(
            outcome=Outcome.UNRESOLVED, client_order_id=identity, code="LIVE_IN_FLIGHT", message="being sent"
        )
        sent = Sent(request=request, broker=broker, at=at, submitted=unknown, review=review)
        with self._lock:
            if identity in self._sent:
                return None
            self._sent[identity] = sent
        return sent

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
            return self._sent.get(identity)

    def finish(self, identity: str, submitted: Submitted) -> None:
        """Store what became of an order; one that was never sent gives its id back."""
        with self._lock:
            sent = self._sent[identity]
            if submitted.outcome is Outcome.DENIED:
                del self._sent[identity]
            else:
                self._sent[identity] = replace(sent, submitted=submitted, in_flight=False)

    def absent(self, identity: str) -> int:
        """Count that the broker does not have an order; returns how often it has said so."""
        with self._lock:
            sent = self._sent[identity]
            self._sent[identity] = replace(sent, absent=sent.absent + 1)
            return sent.absent + 1

    def unresolved(self, *, in_flight: bool = False) -> list[Sent]:
        """Return the orders of which nobody knows whether the broker has them.

        Parameters
        ----------
        in_flight
            Whether those count too whose call has not returned.
        """
        with self._lock:
            return [
                sent
                for sent in self._sent.values()
                if sent.submitted.outcome is Outcome.UNRESOLVED and (in_flight or not sent.in_flight)
            ]

    def doubtful(self, request: OrderRequest) -> str:
        """Return the id of an unresolved order in one of the symbols of another one; "" for none."""
        symbols = {leg.symbol for leg in request.legs}
        for sent in self.unresolved():
            other = sent.request
            if other.client_order_id != request.client_order_id and symbols & {
                leg.symbol for leg in other.legs
            }:
                return other.client_order_id
        return ""

    def purposes(self) -> dict[str, OrderPurpose]:
        """Return what each order is for."""
        with self._lock:
            return {identity: sent.request.purpose for identity, sent in self._sent.items()}
