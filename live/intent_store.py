"""Where intents lie: in the journal's tables, or in the memory of one process.

Both hold the same rows by the same rules: one order per client order id, one event per key, events only
added. Times cross this boundary as aware times.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from journal.values import as_json, from_nanoseconds, nanoseconds

if TYPE_CHECKING:
    from sqlalchemy import Table

    from journal.database import Database
    from live.brokers.interface import OrderPurpose

__all__ = ["JournalRows", "MemoryRows", "Row", "Rows"]

Row = dict[str, Any]

_TIMES: Final = ("ts", "bar_ts", "sent_ts", "updated_ts", "created_ts", "expires_ts", "decided_ts")


class Rows(Protocol):
    """What a log of intents asks of its store."""

    @property
    def waits(self) -> bool:
        """Whether a write may have to wait."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Make writes one transaction."""
        ...

    def put(self, row: Row) -> None:
        """Store an order in place of the one with its client order id."""
        ...

    def add(self, row: Row) -> bool:
        """Add an event; False where its key is there."""
        ...

    def has(self, key: str) -> bool:
        """Whether an event has this key."""
        ...

    def get(self, identity: str) -> Row | None:
        """Return an order."""
        ...

    def open(self) -> list[Row]:
        """Return the orders that are not final."""
        ...

    def at(self, broker: str, symbols: set[str] | None) -> list[Row]:
        """Return the orders at a broker."""
        ...

    def identities(self, broker: str) -> dict[str, tuple[str, OrderPurpose]]:
        """Return client order ids and purposes by the broker's ids."""
        ...

    def filled(self, broker: str) -> dict[str, tuple[str, float]]:
        """Return symbols and stored fills by client order id."""
        ...

    def owner(self, broker: str, order_id: str) -> str:
        """Return the client order id to the broker's, "" for none."""
        ...

    def events(self, kinds: Sequence[str], after: int) -> Iterator[Row]:
        """Return events in their order."""
        ...

    def put_review(self, row: Row) -> None:
        """Store a copy of a review in place of the one that there is."""
        ...

    def reviews(self, kind: str) -> list[Row]:
        """Return the copies of one kind."""
        ...


class MemoryRows:
    """Rows in dictionaries; safe between threads, gone with the process."""

    def __init__(self) -> None:
        self._orders: dict[str, Row] = {}
        self._owners: dict[tuple[str, str], str] = {}
        self._events: list[Row] = []
        self._keys: set[str] = set()
        self._reviews: dict[str, Row] = {}
        self._lock = threading.RLock()

    @property
    def waits(self) -> bool:
        """Return False."""
        return False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep other threads out; nothing here can fail half-way."""
        with self._lock:
            yield

    def put(self, row: Row) -> None:
        """Store an order."""
        with self._lock:
            self._orders[row["client_order_id"]] = dict(row)
            if row["broker_order"]:
                self._owners.setdefault((row["broker"], row["broker_order"]), row["client_order_id"])

    def add(self, row: Row) -> bool:
        """Add an event."""
        with self._lock:
            if row["key"] is not None:
                if row["key"] in self._keys:
                    return False
                self._keys.add(row["key"])
            # as it would come back from a journal, so that the two cannot differ
            data = json.loads(as_json("event", row["data"]))
            self._events.append({**row, "id": len(self._events) + 1, "data": data})
            return True

    def has(self, key: str) -> bool:
        """Whether an event has this key."""
        with self._lock:
            return key in self._keys

    def get(self, identity: str) -> Row | None:
        """Return an order."""
        with self._lock:
            return self._orders.get(identity)

    def open(self) -> list[Row]:
        """Return the orders that are not final."""
        with self._lock:
            return [row for row in self._orders.values() if not row["final"]]

    def at(self, broker: str, symbols: set[str] | None) -> list[Row]:
        """Return the orders at a broker."""
        with self._lock:
            return [
                row
                for row in self._orders.values()
                if row["broker"] == broker and (symbols is None or row["symbol"] in symbols)
            ]

    def identities(self, broker: str) -> dict[str, tuple[str, OrderPurpose]]:
        """Return client order ids and purposes by the broker's ids."""
        return {
            row["broker_order"]: (row["client_order_id"], row["purpose"])
            for row in self.at(broker, None)
            if row["broker_order"]
        }

    def filled(self, broker: str) -> dict[str, tuple[str, float]]:
        """Return symbols and stored fills by client order id."""
        return {row["client_order_id"]: (row["symbol"], row["filled"]) for row in self.at(broker, None)}

    def owner(self, broker: str, order_id: str) -> str:
        """Return the client order id to the broker's, "" for none."""
        with self._lock:
            return self._owners.get((broker, order_id), "")

    def events(self, kinds: Sequence[str], after: int) -> Iterator[Row]:
        """Return events in their order."""
        with self._lock:
            found = [row for row in self._events[after:] if not kinds or row["kind"] in kinds]
        return iter(copy.deepcopy(found))

    def put_review(self, row: Row) -> None:
        """Store a copy of a review."""
        with self._lock:
            self._reviews[row["review"]] = dict(row)

    def reviews(self, kind: str) -> list[Row]:
        """Return the copies of one kind."""
        with self._lock:
            found = [row for row in self._reviews.values() if row["kind"] == kind]
        return sorted(found, key=lambda row: (row["created_ts"], row["review"]))


class JournalRows:
    """Rows in the tables `orders`, `events` and `reviews` of a journal.

    Parameters
    ----------
    account
        Whose rows; those of other accounts are not seen.
    """

    def __init__(self, database: Database, account: str) -> None:
        self._database = database
        self._account = account

    @property
    def waits(self) -> bool:
        """Whether this thread is outside a write of its own."""
        return not self._database.writing

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make writes one transaction."""
        with self._database.write():
            yield

    def put(self, row: Row) -> None:
        """Store an order in place of the one with its client order id."""
        from journal.schema import orders

        self._replace(orders, {"client_order_id": row["client_order_id"]}, row)

    def add(self, row: Row) -> bool:
        """Add an event; False where its key is there."""
        from sqlalchemy import insert

        from journal.schema import events

        with self._database.write() as connection:
            if row["key"] is not None and self.has(row["key"]):
                return False
            values = {**_stored(row), "account": self._account, "data": as_json("event", row["data"])}
            connection.execute(insert(events).values(**values))
            return True

    def has(self, key: str) -> bool:
        """Whether an event has this key."""
        from sqlalchemy import select

        from journal.schema import events

        asked = select(events.c.id).where(events.c.account == self._account, events.c.key == key)
        with self._database.read() as connection:
            return connection.execute(asked).first() is not None

    def get(self, identity: str) -> Row | None:
        """Return an order."""
        from journal.schema import orders

        found = self._rows(orders, orders.c.client_order_id == identity)
        return found[0] if found else None

    def open(self) -> list[Row]:
        """Return the orders that are not final."""
        from journal.schema import orders

        return self._rows(orders, orders.c.final == 0)

    def at(self, broker: str, symbols: set[str] | None) -> list[Row]:
        """Return the orders at a broker."""
        from journal.schema import orders

        where = [orders.c.broker == broker]
        if symbols is not None:
            where.append(orders.c.symbol.in_(sorted(symbols)))
        return self._rows(orders, *where)

    def identities(self, broker: str) -> dict[str, tuple[str, OrderPurpose]]:
        """Return client order ids and purposes by the broker's ids."""
        from sqlalchemy import select

        from journal.schema import orders

        asked = select(orders.c.broker_order, orders.c.client_order_id, orders.c.purpose).where(
            orders.c.account == self._account, orders.c.broker == broker, orders.c.broker_order != ""
        )
        with self._database.read() as connection:
            return {theirs: (ours, purpose) for theirs, ours, purpose in connection.execute(asked)}

    def filled(self, broker: str) -> dict[str, tuple[str, float]]:
        """Return symbols and stored fills by client order id."""
        from sqlalchemy import select

        from journal.schema import orders

        asked = select(orders.c.client_order_id, orders.c.symbol, orders.c.filled).where(
            orders.c.account == self._account, orders.c.broker == broker
        )
        with self._database.read() as connection:
            return {identity: (symbol, filled) for identity, symbol, filled in connection.execute(asked)}

    def owner(self, broker: str, order_id: str) -> str:
        """Return the client order id to the broker's, "" for none."""
        from journal.schema import orders

        found = self._rows(orders, orders.c.broker == broker, orders.c.broker_order == order_id)
        return str(found[0]["client_order_id"]) if found else ""

    def events(self, kinds: Sequence[str], after: int) -> Iterator[Row]:
        """Return events in their order."""
        from journal.schema import events

        where = [events.c.id > after]
        if kinds:
            where.append(events.c.kind.in_(kinds))
        for row in self._rows(events, *where):
            yield {**row, "data": json.loads(row["data"])}

    def put_review(self, row: Row) -> None:
        """Store a copy of a review in place of the one that there is."""
        from journal.schema import reviews

        self._replace(reviews, {"review": row["review"]}, {**row, "data": as_json("review", row["data"])})

    def reviews(self, kind: str) -> list[Row]:
        """Return the copies of one kind."""
        from journal.schema import reviews

        found = self._rows(reviews, reviews.c.kind == kind)
        found.sort(key=lambda row: (row["created_ts"], row["review"]))
        return [{**row, "data": json.loads(row["data"])} for row in found]

    def _replace(self, table: Table, key: Row, row: Row) -> None:
        from sqlalchemy import and_, insert, update

        (name, value), values = next(iter(key.items())), _stored(row)
        mine = and_(table.c.account == self._account, table.c[name] == value)
        with self._database.write() as connection:
            if not connection.execute(update(table).where(mine).values(**values)).rowcount:
                connection.execute(insert(table).values(account=self._account, **values))

    def _rows(self, table: Table, *where: Any) -> list[Row]:
        from sqlalchemy import select

        asked = select(table).where(table.c.account == self._account, *where).order_by(table.c.id)
        with self._database.read() as connection:
            return [_loaded(row._asdict()) for row in connection.execute(asked)]


def _stored(row: Row) -> Row:
    return {
        name: nanoseconds(value, name) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _loaded(row: Row) -> Row:
    return {
        name: from_nanoseconds(value) if name in _TIMES and value is not None else value
        for name, value in row.items()
    }
