"""What is on record of a session's orders at the broker: answers, fills by client order id, what is foreign.

Everything comes from the journal, and nothing is asked or written: it can be read while the session trades.
A fill belongs to the order whose id at the broker it names; children of a bracket belong to their parent.
What names no order of ours is foreign, and counts for a trade only as far as it left what that trade held.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from live.following.explaining.values import DUST, Sent
from live.following.record import Followed
from live.intent_store import JournalRows
from live.intents import IntentLog, LoggedEvent, order_of
from live.reconciling.fill_ledger import FillLedger
from simulator.brokerage import Execution

if TYPE_CHECKING:
    from journal.database import Database

__all__ = ["Fact", "Fill", "nanoseconds_of", "read_fact"]

_AT_ONCE: Final = 500
_DONE: Final = {"cancelled": "ended", "expired": "ended", "filled": "filled", "rejected": "rejected"}
_OTHERS: Final = "protective stop"  # strategy of the orders of `live.brokers.protection`


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill, in shares of now.

    Attributes
    ----------
    owner
        Client order id of the order, or of a child's parent; "" for a foreign one.
    child
        Whether it is of a child of a bracket.
    own
        Whether it is of an order that the session decided.
    protective
        Whether it is of a stop that guards the account without this program.
    factor
        Ratio by which quantity and price were brought to shares of now.
    """

    execution: Execution
    owner: str
    child: bool
    own: bool
    protective: bool
    factor: float

    @property
    def quantity(self) -> float:
        """Above 0."""
        return self.execution.quantity * self.factor

    @property
    def price(self) -> float:
        """Currency per share."""
        return self.execution.price / self.factor

    @property
    def ts(self) -> int:
        """When, UTC nanoseconds."""
        return nanoseconds_of(self.execution.time)


@dataclass(slots=True)
class Fact:
    """What is on record of a session at its broker.

    Attributes
    ----------
    accounts
        In which something was filled, by the brokers' names for them.
    orders
        By client order id, of all that were decided.
    fills
        Oldest first; those of orders that are neither the session's nor foreign are left out.
    """

    accounts: tuple[str, ...] = ()
    orders: dict[str, Sent] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)


def read_fact(database: Database, decided: Sequence[Followed]) -> Fact:
    """Read what became of the orders that were decided; newer entries of the same id count.

    Raises
    ------
    JournalError
        What reading a journal may raise.
    """
    newest = {one.client_order_id: one for one in decided}
    fact = Fact(orders={identity: Sent(one, None, "absent") for identity, one in newest.items()})
    accounts: set[str] = set()
    for account in _accounts(database, list(newest)):
        log = _Reader(database, account)
        events = _by_kind(log.events("denied", "change", "fill", "alias"))
        rows = {row["client_order_id"]: row for row in _orders(database, account)}
        reviews = {row["client_order_id"]: row for row in log.reviews("request")}
        changed = {event.order for event in events["change"] if event.data.get("allowed", True)}
        for identity, one in newest.items():
            found = _standing(one, rows.get(identity), reviews.get(identity), events["denied"])
            if found.state != "absent":
                fact.orders[identity] = replace(found, changed=identity in changed)
        names = {row["broker"] for identity, row in rows.items() if identity in newest}
        for broker, theirs in sorted({(e.data["broker"], e.data["account"]) for e in events["fill"]}):
            if broker in names:
                ledger = FillLedger(log, broker, theirs)
                fact.fills += _fills(ledger, newest, rows, events["alias"])
                accounts.add(theirs)
    fact.accounts = tuple(sorted(accounts))
    fact.fills.sort(key=lambda one: (one.execution.time, one.execution.execution_id))
    return fact


def nanoseconds_of(time: datetime) -> int:
    """Return a time as UTC nanoseconds, to its microseconds."""
    since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


class _Reader(IntentLog):
    """The log of an account, for reading: takes no lock, so a session may trade meanwhile."""

    def __init__(self, database: Database, account: str) -> None:
        self.account = account
        self._rows = JournalRows(database, account)


def _accounts(database: Database, identities: list[str]) -> list[str]:
    """Return the accounts under which these orders are on record."""
    from sqlalchemy import select

    from journal.schema import events, orders, reviews

    found: set[str] = set()
    with database.read() as connection:
        for table in (orders, events, reviews):
            for first in range(0, len(identities), _AT_ONCE):
                part = identities[first : first + _AT_ONCE]
                asked = select(table.c.account).distinct().where(table.c.client_order_id.in_(part))
                found |= set(connection.execute(asked).scalars())
    return sorted(found)


def _orders(database: Database, account: str) -> Iterator[dict[str, Any]]:
    from sqlalchemy import select

    from journal.schema import orders

    with database.read() as connection:
        asked = select(orders).where(orders.c.account == account)
        for row in connection.execute(asked):
            yield row._asdict()


def _by_kind(events: Iterable[LoggedEvent]) -> dict[str, list[LoggedEvent]]:
    found: dict[str, list[LoggedEvent]] = {"denied": [], "change": [], "fill": [], "alias": []}
    for event in events:
        found[event.kind].append(event)
    return found


def _standing(
    one: Followed, row: dict[str, Any] | None, review: dict[str, Any] | None, denials: list[LoggedEvent]
) -> Sent:
    """Return how an order stands by its row, else by its review, else by what was denied."""
    denied = next((event for event in reversed(denials) if event.order == one.client_order_id), None)
    if row is not None and row["outcome"] != "denied":
        request = order_of(json.loads(row["request"]))
        if row["outcome"] == "confirmed":
            state = _DONE.get(str(row["state"]), "working")
        else:
            # what was being sent when the record was read is as unknown as what was not answered
            state = "rejected" if row["outcome"] == "rejected" else "unresolved"
        return Sent(
            one, request, state, row["code"], row["message"], float(row["filled"]), sent_ts=row["sent_ts"]
        )
    if review is not None and review["state"] != "approved":
        who = f" by {review['decided_by']}" if review["decided_by"] else ""
        note = f": {review['note']}" if review["note"] else ""
        return Sent(one, None, "review", f"review {review['state']}", f"{review['state']}{who}{note}")
    if row is not None:
        return Sent(one, None, "denied", row["code"], row["message"])
    if denied is not None:
        message = str(denied.data.get("message", ""))
        return Sent(one, None, "denied", str(denied.data.get("code", "")), message)
    return Sent(one, None, "absent")


def _fills(
    ledger: FillLedger,
    decided: dict[str, Followed],
    rows: dict[str, dict[str, Any]],
    aliases: list[LoggedEvent],
) -> Iterator[Fill]:
    children = {event.data["broker_order"] for event in aliases if event.data["role"] == "child"}
    for one in ledger.fills.values():
        if one.quantity <= DUST:
            continue
        owner = ledger.owner(one.order_id)
        row = rows.get(owner)
        protective = row is not None and row["strategy"] == _OTHERS
        if owner and owner not in decided and not protective:
            continue  # of another session on the same desk
        yield Fill(
            one, owner, child=one.order_id in children, own=owner in decided, protective=protective,
            factor=ledger.factor(one.symbol, one.time),
        )  # fmt: skip
