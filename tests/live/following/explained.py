"""Trades of two sides, written down by hand: what the tests of the explanation start from."""

from __future__ import annotations

from typing import Any

from live.brokers.interface import Leg, OrderRequest
from live.following.explaining.differences import explained
from live.following.explaining.plan import Timeline
from live.following.explaining.values import MARK, Case, Course, Explained, Piece, Sent, Written
from live.following.record import Followed, Role

__all__ = ["DAY", "bars", "case", "course", "explained_case", "piece", "sent"]

DAY = 86_400_000_000_000
FIRST = 19_786 * DAY  # 2024-03-04


def bars(count: int = 10) -> Timeline:
    """Days of which each knows prices from 90 to 110, and that end at 21:00."""
    ts = [FIRST + day * DAY for day in range(count)]
    ranges = {("AAA", row): (90.0, 110.0) for row in range(count)}
    return Timeline(ts, [one + 21 * DAY // 24 for one in ts], ranges)


def piece(row: int, quantity: float, price: float, what: str = "entry", **more: Any) -> Piece:
    """A piece in a bar."""
    return Piece(quantity, price, FIRST + row * DAY + DAY // 2, row, what, **more)


def course(*pieces: Piece, side: int = 1, multiplier: float = 1.0, **more: Any) -> Course:
    """A side of a trade: what is an entry or an add goes in, all else goes out."""
    ins = tuple(one for one in pieces if one.what in ("entry", "add"))
    outs = tuple(one for one in pieces if one.what not in ("entry", "add"))
    return Course(side, multiplier, ins, outs, **more)


def sent(
    identity: str = "tw-1", role: Role = "entry", quantity: float = 100.0, state: str = "filled",
    row: int = 1, reason: str = "", code: str = "", message: str = "", **request: Any,
) -> Sent:  # fmt: skip
    """An order, with what the record has of it; without a request where it was never sent."""
    signed = quantity if role == "entry" else -quantity
    legs = (Leg("AAA", signed),)
    followed = Followed(
        client_order_id=identity, role=role, symbol="AAA", legs=legs, quantity=quantity, expected_price=100.0,
        decided_ts=FIRST + row * DAY, trade=-1 if role == "entry" else 1, signal=0, order=1, reason=reason,
    )  # fmt: skip
    never = state in ("denied", "review", "absent")
    asked = None if never else OrderRequest(client_order_id=identity, legs=legs, **request)
    return Sent(followed, asked, state, code, message)


def case(
    plan: Course | None, fact: Course | None, *orders: Sent, written: Written | None = None, **more: Any
) -> Case:
    """A trade in AAA."""
    both = plan or fact
    side, multiplier = (both.side, both.multiplier) if both is not None else (1, 1.0)
    return Case(
        "AAA", side, "rule", multiplier, trade=1, order=1, signal=0, begins=FIRST, plan=plan, fact=fact,
        written=written or Written("filled", asked=100.0), orders=list(orders), **more,
    )  # fmt: skip


def explained_case(one: Case, count: int = 10) -> Explained:
    """What is said of it."""
    return explained(one, bars(count))


def marked(quantity: float, price: float, row: int = 9) -> Piece:
    """What is open at the end."""
    return piece(row, quantity, price, MARK)
