"""Intents in the journal: every order is written down under its own id before it is sent.

One transaction stores the order and its "intent" event; only then does the call to the broker begin, and its
answer updates the row. So whatever kills the process leaves one of three things: no row, and nothing was
sent; a row that says "sending", and the broker is asked by the id; or the answer. A row is never deleted, and
its id is not sent a second time, unless what leaves a position has provably got lost (`live.brokers.lost`).

`orders` holds how things stand, `events` how they came about: only ever added to, and what may be told twice
(a fill, by its execution id) is stored once. Times are the caller's, aware.

>>> log = IntentLog(journal.database, account="desk")             # doctest: +SKIP
>>> log.begin(sent)                                               # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from live.brokers.interface import BrokerOrder, Leg, OrderPurpose, OrderRequest, Outcome, Submitted
from live.brokers.secrets import scrub, scrubbed
from live.intent_store import JournalRows, MemoryRows, Row, Rows
from simulator.types import OrderState

if TYPE_CHECKING:
    from journal.database import Database

__all__ = ["IntentLog", "LoggedEvent", "Sent", "order_of"]

_SENDING = "sending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An order on its way or arrived.

    Attributes
    ----------
    at
        When it was written down, right before it was sent; aware.
    submitted
        How it stands; its `order` is the newest that is known of it.
    in_flight
        Whether the call that sends it has not returned.
    review
        Id of the review request it came from, "" for none.
    absent
        How often the broker has said that it does not have it.
    absent_since
        When it said so first; None for never, and after a restart, which begins to count anew.
    bar_time
        Bar that it was decided on, None where nobody said.
    updated
        When something about it changed last; None for never.
    final
        Nothing more can come of it, and a second look has confirmed it.
    """

    request: OrderRequest
    broker: str
    at: datetime
    submitted: Submitted
    in_flight: bool = True
    review: str = ""
    absent: int = 0
    absent_since: datetime | None = None
    bar_time: datetime | None = None
    updated: datetime | None = None
    final: bool = False

    @property
    def identity(self) -> str:
        """Client order id."""
        return self.request.client_order_id

    @property
    def order(self) -> BrokerOrder | None:
        """As the broker has it, None where that is unknown."""
        return self.submitted.order

    @property
    def was_never_sent(self) -> bool:
        """Whether it was kept back here, so that its id is free; what got lost on its way keeps its id."""
        return self.submitted.outcome is Outcome.DENIED and not self.got_lost

    @property
    def got_lost(self) -> bool:
        """Whether it was given up on its way: the broker has said twice that it does not have it."""
        return self.submitted.outcome is Outcome.DENIED and self.submitted.code == "LIVE_NOT_SENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """One event; `number` rises in the order in which events were stored."""

    number: int
    time: datetime
    kind: str
    key: str | None
    order: str
    symbol: str
    data: dict[str, Any]


class IntentLog:
    """The orders and events of one account.

    Parameters
    ----------
    database
        Of the journal; opened for writing.
    account
        Whose intents these are: client order ids are unique within it.

    Every method that writes raises `JournalError` where it cannot; nothing of what it was to write is stored
    then.

    Raises
    ------
    JournalError
        JOURNAL_LOCKED where another process writes to the journal, JOURNAL_READ_ONLY.
    """

    def __init__(self, database: Database, account: str = "desk") -> None:
        database.lock()
        self.account = account
        self._rows: Rows = JournalRows(database, account)

    @classmethod
    def in_memory(cls, account: str = "memory") -> IntentLog:
        """Keep everything in this process alone: for tests, and for accounts that record themselves."""
        log = cls.__new__(cls)
        log.account = account
        log._rows = MemoryRows()
        return log

    @property
    def waits(self) -> bool:
        """Whether a write may have to wait for another writer, as it does outside a write of this thread."""
        return self._rows.waits

    def together(self) -> AbstractContextManager[None]:
        """Make the writes inside the block one transaction."""
        return self._rows.together()

    def begin(self, sent: Sent, **gate: Any) -> None:
        """Store an order that is about to be sent, with what the submit gate said of it."""
        with self.together():
            self._rows.put(_row(sent))
            self.note(
                "intent", sent.at, order=sent.identity, symbol=sent.request.symbol,
                request=asdict(sent.request), broker=sent.broker, **gate,
            )  # fmt: skip

    def store(self, sent: Sent, kind: str, at: datetime, **data: Any) -> None:
        """Store how an order stands now, and the event that brought it about."""
        with self.together():
            self._rows.put(_row(sent))
            self.note(kind, at, order=sent.identity, symbol=sent.request.symbol, **data)

    def note(
        self,
        kind: str,
        at: datetime,
        *,
        key: str | None = None,
        order: str = "",
        symbol: str = "",
        **data: Any,
    ) -> bool:
        """Add an event; returns False, and adds nothing, where one with the same `key` is there."""
        return self._rows.add(
            {"ts": at, "kind": kind, "key": key, "client_order_id": order, "symbol": symbol,
             # what brokers say may quote what they were sent, keys included
             "data": scrubbed(data)}
        )  # fmt: skip

    def has(self, key: str) -> bool:
        """Whether an event with this key is there."""
        return self._rows.has(key)

    def find(self, identity: str) -> Sent | None:
        """Return an order by its client order id."""
        row = self._rows.get(identity)
        return None if row is None else _sent(row)

    def open(self) -> list[Sent]:
        """Return the orders of which something may still come, oldest first."""
        return [_sent(row) for row in self._rows.open()]

    def orders(self, *, broker: str, symbols: set[str] | None = None) -> list[Sent]:
        """Return the orders at a broker, oldest first; those whose first leg is one of `symbols`."""
        return [_sent(row) for row in self._rows.at(broker, symbols)]

    def identities(self, broker: str) -> dict[str, tuple[str, OrderPurpose]]:
        """Return client order ids and purposes by the broker's order ids."""
        return self._rows.identities(broker)

    def filled(self, broker: str) -> dict[str, tuple[str, float]]:
        """Return by client order id the symbol of the first leg and how much of it was filled when stored."""
        return self._rows.filled(broker)

    def owner(self, broker: str, order_id: str) -> str:
        """Return the client order id of the order that has this id at a broker, "" for none."""
        return self._rows.owner(broker, order_id)

    def events(self, *kinds: str, after: int = 0) -> Iterator[LoggedEvent]:
        """Return events in the order in which they were stored, of some kinds or of all."""
        for row in self._rows.events(kinds, after):
            yield LoggedEvent(
                number=row["id"], time=row["ts"], kind=row["kind"], key=row["key"],
                order=row["client_order_id"], symbol=row["symbol"], data=row["data"],
            )  # fmt: skip

    def copy_review(self, **row: Any) -> None:
        """Store a copy of a request or difference, in place of the one that there is."""
        self._rows.put_review(row)

    def reviews(self, kind: str) -> list[Row]:
        """Return the copies: "request" or "difference", oldest first."""
        return self._rows.reviews(kind)


def _row(sent: Sent) -> Row:
    request, order = sent.request, sent.order
    outcome = _SENDING if sent.in_flight else sent.submitted.outcome.value
    return {
        "client_order_id": sent.identity,
        "broker": sent.broker,
        "symbol": request.symbol,
        "order_class": request.order_class,
        "purpose": request.purpose,
        "strategy": request.strategy,
        "bar_ts": sent.bar_time,
        "request": json.dumps(asdict(request), sort_keys=True),
        "review": sent.review,
        "outcome": outcome,
        "code": sent.submitted.code,
        "message": scrub(sent.submitted.message),
        "absent": sent.absent,
        "broker_order": "" if order is None else order.order_id,
        "state": None if order is None else order.state.label,
        "quantity": abs(request.legs[0].quantity) if order is None else order.quantity,
        "filled": 0.0 if order is None else order.filled,
        "average_price": None if order is None else order.average_price,
        "final": int(sent.final),
        "sent_ts": sent.at,
        "updated_ts": sent.updated or sent.at,
    }


def _sent(row: Row) -> Sent:
    request = order_of(json.loads(row["request"]))
    order = None
    if row["broker_order"]:
        order = BrokerOrder(
            order_id=row["broker_order"],
            client_order_id=request.client_order_id,
            legs=request.legs,
            kind=request.kind,
            state=OrderState[str(row["state"]).upper()],
            quantity=row["quantity"],
            filled=row["filled"],
            average_price=row["average_price"],
            limit_price=request.limit_price,
            stop_price=request.stop_price,
        )
    sending = row["outcome"] == _SENDING
    # what was being sent when the process ended is what nobody knows
    outcome = Outcome.UNRESOLVED if sending else Outcome(row["outcome"])
    return Sent(
        request=request,
        broker=row["broker"],
        at=row["sent_ts"],
        submitted=Submitted(
            outcome=outcome,
            client_order_id=request.client_order_id,
            order=order,
            code="LIVE_NO_ANSWER" if sending else row["code"],
            message="the process ended while it was sent" if sending else row["message"],
        ),
        in_flight=False,
        review=row["review"],
        absent=row["absent"],
        bar_time=row["bar_ts"],
        updated=row["updated_ts"],
        final=bool(row["final"]),
    )


def order_of(fields: dict[str, Any]) -> OrderRequest:
    """Return the order whose fields, as plain values, these are."""
    legs = tuple(Leg(**leg) for leg in fields["legs"])
    return OrderRequest(**{**fields, "legs": legs})
