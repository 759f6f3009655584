"""Orders as they go to the broker, and their ids.

An id follows from what was decided: session and account, strategy, symbol, the bar, the plan's order, and
what the order is for. So the same decision, taken again after a crash, has the same id, and the broker and
the intent log refuse to have it twice.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from live.brokers.interface import Leg, OrderRequest, client_order_id
from live.following.record import Followed, Role
from simulator.types import ExitReason

if TYPE_CHECKING:
    from live.following.cases import Case, Order
    from live.following.wanted import Wanted
    from live.review_queue import ReviewRequest

__all__ = [
    "Decision",
    "Namer",
    "Purpose",
    "add_of",
    "close_of",
    "entry_of",
    "goes_again",
    "package_entry_of",
    "purpose_of",
    "rest_of",
    "said_of",
]

_PER_ORDER: Final = 1_000
"""Numbers that one order of the plan has for what follows from it."""

Purpose = Literal["entry", "exit", "protect"]


@dataclass(frozen=True, slots=True)
class Decision:
    """An order to send, and its record.

    Attributes
    ----------
    expected
        Price that its fill is measured by: of a package net, received is positive.
    """

    request: OrderRequest
    record: Followed
    expected: float | None


@dataclass(frozen=True, slots=True)
class Namer:
    """Gives ids.

    Attributes
    ----------
    run
        Session and account.
    """

    run: str

    def entry(self, want: Wanted, ts: int) -> str:
        """Return the id of an entry."""
        return client_order_id(self.run, want.strategy, want.symbol, ts, want.order)

    def other(self, case: Case, role: str, ts: int, number: int) -> str:
        """Return the id of what follows an entry; `number` counts those of one case and role."""
        sequence = case.number * _PER_ORDER + number
        return client_order_id(self.run, f"{case.strategy} {role}", case.symbol, ts, sequence)


def entry_of(want: Wanted, identity: str, ts: int) -> Decision:
    """Return the entry that the plan has working, or has just made at a close."""
    entry, holding = want.entry, want.holding
    if entry is not None:
        quantity, expected, kind, tif = entry.quantity, entry.expected, entry.kind, entry.tif
        limit, trigger = entry.limit_price, entry.stop_price
        stop, target = entry.stop_loss, entry.take_profit
    else:
        assert holding is not None  # noqa: S101 - an entry is one or the other
        quantity, expected, kind, tif = holding.quantity, holding.mark, "market", "day"
        limit = trigger = None
        stop, target = holding.stop, holding.target
    legs = (Leg(want.symbol, want.side * quantity),)
    if stop is None or not stop > 0.0:
        stop = target = None
    elif target is not None and (target - stop) * want.side <= 0.0:
        target = None
    request = OrderRequest(
        client_order_id=identity, legs=legs, kind=kind, limit_price=limit, stop_price=trigger, tif=tif,
        order_class="simple" if stop is None else "bracket", stop_loss=stop, take_profit=target,
        purpose="entry", strategy=want.strategy, reason="entry",
    )  # fmt: skip
    record = Followed(
        client_order_id=identity, role="entry", symbol=want.symbol, legs=legs, quantity=quantity,
        expected_price=expected, decided_ts=ts, trade=-1 if holding is None else holding.trade,
        signal=want.signal, order=want.order, reason="entry",
    )  # fmt: skip
    return Decision(request, record, expected)


def package_entry_of(want: Wanted, identity: str, ts: int) -> Decision:
    """Return the package that the plan has just opened, at its net price."""
    holding = want.holding
    assert holding is not None  # noqa: S101 - packages trade at closes, so the plan has it
    assert holding.package is not None  # noqa: S101 - as the caller has seen
    package = holding.package
    legs = tuple(Leg(leg.symbol, leg.quantity * holding.quantity) for leg in package.legs)
    net = _cents(package.net)
    request = OrderRequest(
        client_order_id=identity, legs=legs, kind="limit", limit_price=net, tif="day",
        order_class="multi_leg" if len(legs) > 1 else "simple", purpose="entry", strategy=want.strategy,
        reason="entry",
    )  # fmt: skip
    if len(legs) == 1:
        request = _single(request, net)
    record = Followed(
        client_order_id=identity, role="entry", symbol=want.symbol, legs=legs, quantity=holding.quantity,
        expected_price=holding.entry_price, decided_ts=ts, trade=holding.trade, signal=want.signal,
        order=want.order, reason="entry",
    )  # fmt: skip
    return Decision(request, record, net)


def add_of(case: Case, identity: str, ts: int, quantity: float) -> Decision:
    """Return the shares that the plan has added, with the stop in force behind them."""
    want = case.wanted
    assert want is not None  # noqa: S101 - adds are of a position that the plan holds
    holding = want.holding
    assert holding is not None  # noqa: S101 - as above
    legs = (Leg(case.symbol, case.side * quantity),)
    stop = holding.stop
    target = holding.target if stop is not None else None
    request = OrderRequest(
        client_order_id=identity, legs=legs, order_class="simple" if stop is None else "bracket",
        stop_loss=stop, take_profit=target, purpose="entry", strategy=want.strategy, reason="add",
    )  # fmt: skip
    record = _record(case, request, "entry", quantity, holding.mark, ts, "add")
    return Decision(request, record, holding.mark)


def rest_of(case: Case, identity: str, ts: int, quantity: float, price: float, role: Role) -> Decision:
    """Return a stop or a target of its own behind what is held."""
    kind: Literal["stop", "limit"] = "stop" if role == "stop" else "limit"
    request = OrderRequest(
        client_order_id=identity, legs=(Leg(case.symbol, -case.side * quantity),), kind=kind,
        stop_price=price if kind == "stop" else None, limit_price=price if kind == "limit" else None,
        tif="gtc", purpose="protect", strategy=case.strategy, reason=role,
    )  # fmt: skip
    return Decision(request, _record(case, request, role, quantity, price, ts, role), price)


def close_of(
    case: Case,
    identity: str,
    ts: int,
    quantity: float,
    expected: float | None,
    reason: str,
    purpose: Purpose,
    *,
    ended: Set[str] = frozenset(),
) -> Decision:
    """Return what takes a part or all of a position out at the market; a package at its net price.

    Contracts that have `ended` are left to the broker; what remains of a package has no price of the plan.
    """
    entry = next(one.record for one in case.orders if one.record.role == "entry")
    if not case.packaged:
        legs: tuple[Leg, ...] = (Leg(case.symbol, -case.side * quantity),)
        request = OrderRequest(
            client_order_id=identity, legs=legs, purpose=purpose, strategy=case.strategy, reason=reason
        )
        record = _record(case, request, "close", quantity, expected, ts, reason)
        return Decision(request, record, expected)
    alive = [leg for leg in entry.legs if leg.symbol not in ended]
    legs = tuple(Leg(leg.symbol, -leg.quantity / entry.quantity * quantity) for leg in alive)
    net = None if expected is None or len(alive) < len(entry.legs) else _cents(expected)
    request = OrderRequest(
        client_order_id=identity, legs=legs, kind="market" if net is None else "limit", limit_price=net,
        order_class="multi_leg" if len(legs) > 1 else "simple", purpose=purpose, strategy=case.strategy,
        reason=reason,
    )  # fmt: skip
    if len(legs) == 1 and net is not None:
        request = _single(request, net)
    paid = None if net is None else abs(net)
    return Decision(request, _record(case, request, "close", quantity, paid, ts, reason), net)


def goes_again(one: Order) -> bool:
    """Whether an order that leaves or rests got lost, and goes once more under its own id.

    The broker has said, more than once, that it does not have it. It may arrive all the same, and under one
    id it is one order to a broker that looks at ids; for those that do not, see `live.brokers.lost`.
    """
    return one.sent is not None and one.sent.got_lost


def said_of(record: Followed, request: ReviewRequest) -> str:
    """Say that a person's review of an order has ended, and how."""
    by = f" by {request.decided_by}" if request.decided_by else ""
    note = f": {request.note}" if request.note else ""
    return f"{record.symbol}: {record.role} was {request.state}{by} in review{note}"


def purpose_of(reason: ExitReason | None) -> Purpose:
    """Return what a close is for: a strategy's wish, or an end that no halt may keep back."""
    return "exit" if reason is ExitReason.SIGNAL else "protect"


def _record(
    case: Case, request: OrderRequest, role: Role, quantity: float, expected: float | None, ts: int, why: str
) -> Followed:
    return Followed(
        client_order_id=request.client_order_id, role=role, symbol=case.symbol, legs=request.legs,
        quantity=quantity, expected_price=expected, decided_ts=ts, trade=case.trade, signal=case.signal,
        order=case.number, reason=why,
    )  # fmt: skip


def _single(request: OrderRequest, net: float) -> OrderRequest:
    """Return an order for one contract: its price is a price, not what is received."""
    from dataclasses import replace

    return replace(request, limit_price=max(0.01, abs(net)))


def _cents(net: float) -> float:
    return round(net, 2)
