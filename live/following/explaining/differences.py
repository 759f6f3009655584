"""What differs between the two sides of a trade, piece by piece, and how much each difference is worth.

The way from the plan's profit to the account's goes in steps, each priced with what the steps before it have
left: first the quantity (all of the plan's prices, the account's quantity), then the entries, piece beside
piece in their order, then the exits, then fees and dividends. So the parts add up to the whole, whatever the
trade looks like; what no step accounts for is itself a difference, without an excuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import fsum

from live.following.explaining.plan import Timeline
from live.following.explaining.reasons import Reasons, Told
from live.following.explaining.values import (
    DUST,
    MARK,
    UNEXPLAINED,
    Case,
    Course,
    Difference,
    Explained,
    Piece,
    average,
    value,
)

__all__ = ["explained"]

_CLOSE = 1e-9
"""Prices that differ by less, relatively, are equal; sums of money too, beside what the position is worth."""


def explained(case: Case, bars: Timeline) -> Explained:
    """Return a trade on both sides, with what differs and why."""
    return Explained(
        case.symbol, case.side, case.strategy, case.trade, case.order, case.signal, case.begins, case.plan,
        case.fact, tuple(_differences(case, bars)),
    )  # fmt: skip


def _differences(case: Case, bars: Timeline) -> Iterator[Difference]:
    found = list(_steps(case, Reasons(case, bars)))
    yield from found
    plan, fact = case.plan, case.fact
    whole = fsum((0.0 if fact is None else fact.profit, 0.0 if plan is None else -plan.profit))
    rest = fsum((whole, *(-one.amount for one in found)))
    if abs(rest) > _CLOSE * _worth(case):
        settled = plan is not None and plan.other != 0.0
        yield Difference(
            "profit", "settlement" if settled else UNEXPLAINED, rest,
            "options became shares, which belong to no fill" if settled else "belongs to no fill and no fee",
        )  # fmt: skip


def _steps(case: Case, reasons: Reasons) -> Iterator[Difference]:
    plan, fact = case.plan, case.fact
    if plan is None or fact is None or fact.quantity <= DUST:
        whole = fsum((0.0 if fact is None else fact.profit, 0.0 if plan is None else -plan.profit))
        told = reasons.not_entered() if plan is not None else reasons.not_planned()
        yield Difference("entry", told.cause, whole, told.detail, told.order)
        return
    split = reasons.split()
    if split is not None:
        yield Difference(
            "quantity", split.cause, fact.gross - plan.gross if split.whole else 0.0, split.detail
        )
    if split is None or not split.whole:
        yield from _priced(case, plan, fact, reasons)
    apart = fact.fees - plan.fees
    if abs(apart) > _CLOSE * _worth(case):
        detail = f"{fact.fees:,.2f} at the broker, {plan.fees:,.2f} in the plan"
        yield Difference("fees", "fees", -apart, detail)
    if abs(plan.dividends) > _CLOSE * _worth(case):
        detail = f"{plan.dividends:,.2f} in the plan"
        yield Difference("dividends", "dividends", -plan.dividends, detail)


def _priced(case: Case, plan: Course, fact: Course, reasons: Reasons) -> Iterator[Difference]:
    """Yield what quantity and prices make of the gross profit."""
    unit = case.side * case.multiplier
    ratio = fact.quantity / plan.quantity
    same = abs(ratio - 1.0) <= _CLOSE
    # all prices of the plan, the quantity of the account
    entries = _first(plan.entries, fact.quantity) if ratio < 1.0 else _scaled(plan.entries, ratio)
    exits = _scaled(plan.exits, ratio)
    if same:
        entries, exits = list(plan.entries), list(plan.exits)
    else:
        told = reasons.quantity()
        amount = unit * fsum((value(exits), -value(entries), -value(plan.exits), value(plan.entries)))
        yield Difference("quantity", told.cause, amount, told.detail, told.order)
    yield from _grouped("entry", entries, fact.entries, -unit, reasons.entry, reasons)
    out = _first(fact.exits, fact.quantity)
    yield from _grouped("exit", exits, out, unit, reasons.exit, reasons)
    over = fact.exits[-1] if fact.exits[-1].quantity < 0 else None
    if over is not None:
        # what went in the other direction is worth its mark
        beyond = value(_positive(fact.exits)) - value(out) + value([over])
        detail = f"{-over.quantity:g} more left than there was: stop and target may both have filled"
        yield Difference("exit", "double exit", unit * beyond, detail)


@dataclass(slots=True)
class _Group:
    told: Told
    pairs: list[tuple[float, Piece, Piece]]


def _grouped(
    name: str,
    planned: Sequence[Piece],
    real: Sequence[Piece],
    unit: float,
    cause: Callable[[Piece, Piece], Told | None],
    reasons: Reasons,
) -> Iterator[Difference]:
    """Yield the differences of pieces beside each other, those of one cause and order together."""
    groups: dict[tuple[str, str, str, str, int, int], _Group] = {}
    for quantity, ours, theirs in _beside(planned, real):
        alike = abs(theirs.price - ours.price) <= _CLOSE * abs(ours.price)
        left = (theirs.what == MARK) == (ours.what == MARK)
        if alike and left and (theirs.row == ours.row or ours.what == MARK):
            continue
        told = cause(ours, theirs)
        if told is None:
            continue
        key = (told.cause, theirs.order, ours.what, theirs.what, ours.row, theirs.row)
        groups.setdefault(key, _Group(told, [])).pairs.append((quantity, ours, theirs))
    for group in groups.values():
        planned_price, real_price = (_mean(group.pairs, side) for side in (1, 2))
        amount = unit * fsum(quantity * (theirs.price - ours.price) for quantity, ours, theirs in group.pairs)
        alike = abs(real_price - planned_price) <= _CLOSE * abs(planned_price)
        _, ours, theirs = group.pairs[0]
        quantity = fsum(quantity for quantity, _, _ in group.pairs)
        detail = group.told.detail or reasons.compared(
            replace(ours, price=planned_price), replace(theirs, price=real_price), quantity, unit
        )
        yield Difference(
            f"{name} {'bar' if alike else 'price'}", group.told.cause, amount, detail, theirs.order
        )


def _mean(pairs: list[tuple[float, Piece, Piece]], side: int) -> float:
    total = fsum(quantity for quantity, _, _ in pairs)
    return fsum(pair[0] * (pair[1] if side == 1 else pair[2]).price for pair in pairs) / total


def _beside(planned: Sequence[Piece], real: Sequence[Piece]) -> Iterator[tuple[float, Piece, Piece]]:
    """Yield quantities that have the same place in both orders, with the two pieces that they are of."""
    ours, theirs = iter(planned), iter(real)
    one, other = next(ours, None), next(theirs, None)
    left = one.quantity if one is not None else 0.0
    right = other.quantity if other is not None else 0.0
    while one is not None and other is not None:
        part = min(left, right)
        if part > 0.0:
            yield part, one, other
        left, right = left - part, right - part
        # what is left of rounding has no place on the other side
        if left <= DUST and (one := next(ours, None)) is not None:
            left += one.quantity
        if right <= DUST and (other := next(theirs, None)) is not None:
            right += other.quantity


def _first(pieces: Sequence[Piece], quantity: float) -> list[Piece]:
    """Return the first of the pieces, so many shares of them."""
    found: list[Piece] = []
    for piece in pieces:
        part = min(piece.quantity, quantity)
        if part > 0.0:
            found.append(replace(piece, quantity=part))
            quantity -= part
    return found


def _scaled(pieces: Sequence[Piece], ratio: float) -> list[Piece]:
    return [replace(piece, quantity=piece.quantity * ratio) for piece in pieces]


def _positive(pieces: Sequence[Piece]) -> list[Piece]:
    return [piece for piece in pieces if piece.quantity > 0.0]


def _worth(case: Case) -> float:
    """Return what the position was worth, at least one unit of currency: the scale of its rounding."""
    courses = [course for course in (case.plan, case.fact) if course is not None]
    prices = [abs(average(course.entries) or 0.0) * course.quantity for course in courses]
    return max(1.0, case.multiplier * max(prices, default=0.0))
