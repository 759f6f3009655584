"""What a session that trades at a broker has decided to send, kept so that it outlives the process.

A `Followed` is written before its order is sent, so whatever stands at the broker under one of our ids is
explained here: for which trade of the plan it was, at which price the plan expected it, and at which bar that
was decided. It may be here and not at the broker (the process ended in between, or nobody let it pass); never
the other way round. `Parted` is what is on record where the plan and the account at the broker went different
ways. Both are notes of the session, beside the bar that they belong to, and no input of any step: parity does
not know them.

>>> for one in followed("trade_journal.db", "paper"):             # doctest: +SKIP
...     print(one.role, one.symbol, one.quantity, one.expected_price)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, Literal

from journal.database import Database
from live.brokers.interface import Leg, is_option
from live.sessions.store import Note, SessionStore

__all__ = [
    "Followed", "Parted", "PartedKind", "Role", "as_note", "followed", "of_notes", "parted",
]  # fmt: skip

Role = Literal["entry", "stop", "target", "close"]
PartedKind = Literal[
    "ended",
    "not_entered",
    "not_added",
    "filled_after_cancel",
    "left_at_broker",
    "closed_elsewhere",
    "settled",
    "unfollowed",
    "refused",
]

_FOLLOWED: Final = "followed"
_PARTED: Final = "parted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An order that was decided, in the order in which it was.

    Attributes
    ----------
    client_order_id
        Under which it is at the broker, or was to be. Children of a bracket have it with an ending.
    role
        "entry"; "stop" and "target": what rests behind a position on its own, where no bracket does; "close":
        what leaves it, or a part of it, at the market.
    symbol
        Canonical; of a package its underlying.
    legs
        As sent: signed shares or contracts.
    quantity
        Shares, or packages; not signed.
    expected_price
        Where the plan expects it: the entry's reference price or its limit, the level of a stop or target,
        the last close for what goes at the market. Of a package what its legs cost together per unit of the
        underlying, above 0 as the plan counts. None where nothing is known.
    decided_ts
        Label of the bar that decided it, UTC nanoseconds.
    trade
        Number of the plan's position (`id` of the kernel's position and trade), -1 where it has none (yet):
        an entry is decided before the plan's own has filled.
    signal
        Number of the signal, as the kernel's logs have it.
    order
        Number of the plan's entry order, which trade and fills of the plan name too; so entries are joined to
        trades by it.
    reason
        Why, in a word or two: "entry", "add", "stop", "time", "signal", "excess", ...
    """

    client_order_id: str
    role: Role
    symbol: str
    legs: tuple[Leg, ...]
    quantity: float
    expected_price: float | None
    decided_ts: int
    trade: int = -1
    signal: int = -1
    order: int = -1
    reason: str = ""

    @property
    def expiries(self) -> tuple[int, ...]:
        """Sessions in which its contracts end, days since 1970."""
        return tuple(_expiry(leg.symbol) for leg in self.legs if is_option(leg.symbol))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """Where plan and fact went different ways, and what was made of it.

    Attributes
    ----------
    kind
        "ended": the position was first seen to be over at the broker, while the plan has had no bar for it
        yet: no difference so far; "not_entered": the plan has entered and nothing was, or could be, at the
        broker: the plan closes; "not_added": the plan has added `quantity`, and nothing was sent for it on
        that bar: it is given up, and the position followed with what there is;
        "filled_after_cancel": the plan has cancelled an entry that had filled at the broker: it is closed
        there; "left_at_broker": the position ended at the broker first, by an order of ours: the plan closes
        at `price`; "closed_elsewhere": the same by a trade that is not ours, a person's say; "settled":
        its contracts have ended, and the broker has settled them; "unfollowed": the plan could not be told,
        see `message`; "refused": the broker refused an order.
    ts
        Label of the plan's bar at which it was seen, UTC nanoseconds.
    trade, order
        As in `Followed`.
    quantity
        Signed, as it was at the broker; 0 for nothing.
    price
        Actual price of the fills, on average; None where there is none.
    """

    kind: PartedKind
    ts: int
    symbol: str
    trade: int = -1
    order: int = -1
    quantity: float = 0.0
    price: float | None = None
    message: str = ""


def followed(where: str | os.PathLike[str] | Database, session: str) -> tuple[Followed, ...]:
    """Return what a session has decided to send, oldest first; nothing for one that followed no broker.

    Raises
    ------
    UnknownNameError
        LIVE_SESSION where the journal has no such session.
    JournalError
        What opening and reading a journal may raise.
    """
    return of_notes(_notes(where, session))[0]


def parted(where: str | os.PathLike[str] | Database, session: str) -> tuple[Parted, ...]:
    """Return where a session's plan and fact parted, oldest first; raises as `followed` does."""
    return of_notes(_notes(where, session))[1]


def as_note(one: Followed | Parted) -> dict[str, Any]:
    """Return an entry as `Session.note` stores it."""
    return {_FOLLOWED if isinstance(one, Followed) else _PARTED: asdict(one)}


def of_notes(notes: list[Note]) -> tuple[tuple[Followed, ...], tuple[Parted, ...]]:
    """Return what notes of a session say; those of others are left alone."""
    orders = tuple(
        Followed(**{**fields, "legs": tuple(Leg(**leg) for leg in fields["legs"])})
        for fields in _entries(notes, _FOLLOWED)
    )
    return orders, tuple(Parted(**fields) for fields in _entries(notes, _PARTED))


def _expiry(symbol: str) -> int:
    day = date(2000 + int(symbol[-15:-13]), int(symbol[-13:-11]), int(symbol[-11:-9]))
    return (day - date(1970, 1, 1)).days


def _entries(notes: list[Note], name: str) -> Iterator[dict[str, Any]]:
    for note in notes:
        if isinstance(note.value, dict) and set(note.value) == {name}:
            yield note.value[name]


def _notes(where: str | os.PathLike[str] | Database, session: str) -> list[Note]:
    with ExitStack() as ending:
        if isinstance(where, Database):
            database = where
        else:
            database = ending.enter_context(Database(where, read_only=True))
        store = SessionStore(database, session)
        with database.read() as connection:
            return store.kept_notes(connection, store.get(connection).id, -2)
