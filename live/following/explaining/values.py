"""The values of an explanation: what was traded on each side, in pieces, and what differs between the sides.

A side of a trade (`Course`) is a list of pieces that went in and a list of pieces that went out. What is
still open is one more piece out, at its mark, so that both sides of an open position are worth something and
can be compared. Prices are currency per share; of an option package what its legs cost together per unit of
the underlying, above 0 for debits and credits alike, as the kernel counts: so one formula values all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import fsum
from typing import Any, Final

from live.brokers.interface import OrderRequest
from live.following.record import Followed, Parted

__all__ = [
    "CAUSES",
    "DUST",
    "MARK",
    "NOT_ENTERED",
    "UNEXPLAINED",
    "Case",
    "Course",
    "Difference",
    "Explained",
    "Piece",
    "Sent",
    "Written",
]

DUST: Final = 1e-9
"""Shares or packages below which two quantities are the same."""

MARK: Final = "mark"
NOT_ENTERED: Final = "not entered"
"""How a trade of the plan ends whose entry the broker does not have."""
UNEXPLAINED: Final = "unexplained"

CAUSES: Final = {
    "slippage": "filled in the plan's bar at a worse price",
    "improvement": "filled in the plan's bar at a better price",
    "filled late": "filled at a later bar than in the plan",
    "filled early": "filled at an earlier bar than in the plan, by trades that bars show later or not at all",
    "stored bars": "the plan went by stored bars, and the broker filled at the prices of its own time",
    "inside the bar": "a stop or target at the broker goes by trades, the plan by bars",
    "a bar later": "worked by the plan: such an order goes out when the bar that decided it is complete",
    "partial fill": "one side's order filled in part only",
    "rounding": "a quantity was cut to whole lots, or a price to whole ticks",
    "shrunk": "an order was made smaller before it was sent, or before the plan filled it",
    "overfill": "the broker filled more than was asked for",
    "not filled": "the plan's order filled, the broker's did not, or not yet",
    "cancelled in the plan": "the plan had cancelled what filled at the broker",
    "not yet in the plan": "it filled at the broker, and the plan has not come to it",
    "closed early": "the account was closed before the plan, for the reason given",
    "kill switch": "the kill switch let nothing in",
    "gate": "the submit gate refused: doubt, a difference, or a record that could not be written",
    "review": "a person had not approved, or has refused",
    "rejected": "the broker refused, in the words given",
    "unresolved": "nobody knows whether the broker has the order",
    "not sent": "decided, and never sent or never arrived",
    "not followed": "nothing could be done at the broker about it, for the reason given",
    "foreign fill": "a fill at the broker that is not of this program",
    "protective stop": "the wide stop that guards the account without this program has filled",
    "double exit": "more left the position than was in it",
    "split": "one side has a stock split that the other has not",
    "settlement": "options expired, were assigned or exercised otherwise than in the plan",
    "dividends": "the plan has booked dividends, and the broker's are not among its fills",
    "fees": "the broker charged otherwise than the plan's costs",
    UNEXPLAINED: "nothing on record explains it",
}
"""Causes and what they mean; all but the last are known ones."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A quantity that went in or out at one price.

    Attributes
    ----------
    quantity
        Above 0: shares or packages.
    ts, row
        When, UTC nanoseconds (in the plan the label of the bar), and in which bar of the session; a bar that
        is not complete yet counts as the next.
    what
        In the plan "entry", "add", the reason of an exit, or "not entered" where the plan was closed since
        nothing was entered at the broker; at the broker "entry", "stop", "target",
        "close", "foreign", "protective stop", "expiry", "assignment", "exercise"; on both sides "mark" for
        what is open.
    order
        Client order id, "" for none.
    at_close
        Whether the plan filled it at the close of its bar.
    stored
        Whether the broker filled it long after the bar that decided it: the plan went by stored bars.
    """

    quantity: float
    price: float
    ts: int
    row: int
    what: str
    fee: float = 0.0
    order: str = ""
    at_close: bool = False
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """One side of a trade.

    Attributes
    ----------
    side
        +1 long (or a package paid for), -1 short (or one sold for a credit).
    multiplier
        Units of the underlying per share or package.
    exits
        What is still open included, as the last piece, at its mark.
    dividends, other
        Currency that belongs to no fill.
    """

    side: int
    multiplier: float
    entries: tuple[Piece, ...]
    exits: tuple[Piece, ...]
    dividends: float = 0.0
    other: float = 0.0

    @property
    def quantity(self) -> float:
        """What went in."""
        return fsum(piece.quantity for piece in self.entries)

    @property
    def open(self) -> float:
        """What is still there."""
        return fsum(piece.quantity for piece in self.exits if piece.what == MARK)

    @property
    def fees(self) -> float:
        """Currency; paid is positive."""
        return fsum(piece.fee for piece in (*self.entries, *self.exits))

    @property
    def gross(self) -> float:
        """Profit before fees and dividends, what is open at its mark."""
        return self.side * self.multiplier * (value(self.exits) - value(self.entries))

    @property
    def profit(self) -> float:
        """Profit after fees, with dividends."""
        return fsum((self.gross, -self.fees, self.dividends, self.other))

    @property
    def reason(self) -> str:
        """How it ended: what the last piece out was, "open" while something is left."""
        return "" if not self.exits else "open" if self.exits[-1].what == MARK else self.exits[-1].what

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON can hold, times in ISO 8601."""
        return {
            "quantity": self.quantity, "open": self.open, "entry_price": average(self.entries),
            "exit_price": average(self.exits), "entry_ts": _iso(self.entries[0].ts) if self.entries else None,
            "exit_ts": _iso(self.exits[-1].ts) if self.exits else None, "reason": self.reason,
            "fees": self.fees, "dividends": self.dividends, "profit": self.profit,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same on both sides, and its one cause.

    Attributes
    ----------
    field
        "entry", "entry price", "entry bar", "quantity", "exit", "exit price", "exit bar", "fees",
        "dividends", "position" or "profit".
    cause
        One of `CAUSES`.
    amount
        What it makes of the profit, currency: above 0 where the account did better than the plan.
    detail
        In words, with figures.
    order
        Client order id at the broker, "" for none.
    """

    field: str
    cause: str
    amount: float
    detail: str
    order: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Explained:
    """A trade or an open position, on both sides.

    Attributes
    ----------
    trade, order, signal
        The plan's numbers; -1 where it has none.
    begins
        When it was entered, in the plan where it is there, else decided; UTC nanoseconds.
    plan, fact
        What was traded on each side; None where nothing was.
    differences
        Empty where the two are the same.
    """

    symbol: str
    side: int
    strategy: str
    trade: int
    order: int
    signal: int
    begins: int
    plan: Course | None
    fact: Course | None
    differences: tuple[Difference, ...] = ()

    @property
    def is_trade(self) -> bool:
        """Whether it is a trade of the session; else a fill at the broker that is nobody's."""
        return self.plan is not None or self.fact is not None

    @property
    def amount(self) -> float:
        """What the account made of it more than the plan, currency."""
        return fsum(
            (0.0 if self.fact is None else self.fact.profit, 0.0 if self.plan is None else -self.plan.profit)
        )

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON can hold, times in ISO 8601."""
        return {
            **{name: getattr(self, name) for name in self.__slots__[:6]},
            "begins": _iso(self.begins),
            "plan": None if self.plan is None else self.plan.plain(),
            "fact": None if self.fact is None else self.fact.plain(),
            "amount": self.amount,
            "differences": [one.plain() for one in self.differences],
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """An order that was decided, and what the record has of it.

    Attributes
    ----------
    request
        As it was sent; None where it never was.
    state
        "filled", "working", "ended" (cancelled or expired at the broker), "rejected", "denied", "unresolved",
        "review" or "absent", where nothing is on record.
    code, message
        Why it was denied, rejected or not approved.
    changed
        Whether its price or quantity was changed after it was sent.
    sent_ts
        When it was sent, UTC nanoseconds; 0 for never.
    """

    followed: Followed
    request: OrderRequest | None
    state: str
    code: str = ""
    message: str = ""
    filled: float = 0.0
    changed: bool = False
    sent_ts: int = 0

    @property
    def asked(self) -> float:
        """How much was asked for: shares or packages, not signed."""
        first = self.followed.legs[0].quantity if self.followed.legs else 0.0
        if self.request is None or not first:
            return self.followed.quantity
        return self.followed.quantity * abs(self.request.legs[0].quantity / first)


@dataclass(frozen=True, slots=True)
class Written:
    """How an entry order of the plan stands: working, filled, cancelled, expired, rejected; and why."""

    state: str
    reason: str = ""
    row: int = -1
    asked: float = 0.0
    shrunk: str = ""


@dataclass(slots=True)
class Case:
    """What belongs to one trade of the plan, or to one order that the plan did not fill."""

    symbol: str
    side: int
    strategy: str
    multiplier: float
    package: bool = False
    trade: int = -1
    order: int = -1
    signal: int = -1
    begins: int = 0
    plan: Course | None = None
    fact: Course | None = None
    written: Written | None = None
    splits: list[tuple[int, int, float]] = field(default_factory=list)
    """Of the plan: time, bar, ratio."""
    fact_split: float = 1.0
    """Ratio by which the books at the broker were split since the first fill."""
    orders: list[Sent] = field(default_factory=list)
    parted: list[Parted] = field(default_factory=list)
    mark: float | None = None
    """Price at which what is open is worth something; None where none is known."""


def _iso(ts: int) -> str:
    """Return UTC nanoseconds as ISO 8601; what is finer than microseconds is dropped."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts // 1_000)).isoformat()


def value(pieces: tuple[Piece, ...] | list[Piece]) -> float:
    """Return the sum of quantity times price."""
    return fsum(piece.quantity * piece.price for piece in pieces)


def average(pieces: tuple[Piece, ...] | list[Piece]) -> float | None:
    """Return the mean price by quantity; None for nothing."""
    quantity = fsum(piece.quantity for piece in pieces)
    return value(pieces) / quantity if quantity > DUST else None
