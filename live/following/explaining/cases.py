"""Which order and which fill belongs to which trade of the plan.

What was decided names the plan's position, or the order that was to open it. Fills follow their orders. A
fill that no order of the session explains belongs to a trade as far as it left what that trade held at the
broker, the oldest first; what is more than that is nobody's, and is shown beside the trades.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import copysign, fsum, inf
from typing import Final

from live.brokers.interface import is_option
from live.following.explaining.fact import Fact, Fill
from live.following.explaining.plan import Plan, Timeline
from live.following.explaining.values import DUST, MARK, NOT_ENTERED, Case, Course, Piece, Sent
from live.following.record import Followed, Parted

__all__ = ["joined"]

_DAY: Final = 86_400_000_000_000
_STORED: Final = 8 * _DAY
"""How long after its bar an order is sent at most, holidays included, where bars come as they happen."""


@dataclass(slots=True)
class _Held:
    """A case with its fills so far, and what is held of each symbol, signed."""

    case: Case
    fills: list[tuple[Fill, float]] = field(default_factory=list)
    held: dict[str, float] = field(default_factory=dict)

    def take(self, fill: Fill, quantity: float) -> None:
        """Take in so much of a fill."""
        symbol = fill.execution.symbol
        self.fills.append((fill, quantity))
        self.held[symbol] = self.held.get(symbol, 0.0) + fill.execution.side * quantity

    def leaves(self, fill: Fill) -> float:
        """Return how much of a fill would leave what is held."""
        held = self.held.get(fill.execution.symbol, 0.0)
        return min(abs(held), fill.quantity) if held * fill.execution.side < 0 else 0.0


def joined(plan: Plan, fact: Fact, parted: Sequence[Parted]) -> tuple[list[Case], list[Fill]]:
    """Return the cases in the order in which they began, and the fills that are nobody's."""
    register = _Register(plan, fact)
    for one in fact.orders.values():
        register.case_of(one).case.orders.append(one)
    for note in parted:
        register.note(note)
    nobody = register.fill(fact.fills)
    found = []
    for held in register.all():
        case = held.case
        case.fact_split = held.fills[0][0].factor if held.fills else 1.0
        case.fact = _course(case, held.fills, plan.bars)
        case.plan = _named(case)
        if case.plan is not None or case.fact is not None:
            found.append(case)
    return sorted(found, key=lambda one: (one.begins, one.order, one.trade)), nobody


def _named(case: Case) -> Course | None:
    """Return the plan's side; where it was closed since nothing was entered, its end says so."""
    course = case.plan
    told = any(one.kind == "not_entered" for one in case.parted)
    if course is None or not told or not course.exits or course.exits[-1].what != "manual":
        return course
    last = replace(course.exits[-1], what=NOT_ENTERED)
    return replace(course, exits=(*course.exits[:-1], last))


class _Register:
    """Cases by the numbers that lead to them."""

    def __init__(self, plan: Plan, fact: Fact) -> None:
        self._plan = plan
        self._trades: dict[int, _Held] = {}
        self._orders: dict[int, _Held] = {}
        self._identities: dict[str, _Held] = {}
        self._since = min((one.followed.decided_ts for one in fact.orders.values()), default=0)
        for case in plan.cases:
            held = self._trades[case.trade] = _Held(case)
            # shares that options became have the order of the options
            self._orders.setdefault(case.order, held)

    def all(self) -> list[_Held]:
        """Return every case once."""
        found = {id(one): one for one in (*self._trades.values(), *self._orders.values())}
        return list((found | {id(one): one for one in self._identities.values()}).values())

    def case_of(self, sent: Sent) -> _Held:
        """Return the case of an order that was decided; a new one where the plan filled nothing."""
        one = sent.followed
        held = self._trades.get(one.trade) or self._orders.get(one.order)
        if held is None:
            held = _Held(self._new(sent))
            if one.order >= 0:
                self._orders[one.order] = held
        self._identities[one.client_order_id] = held
        return held

    def note(self, parted: Parted) -> None:
        """Add what is on record about a case."""
        held = self._trades.get(parted.trade) or self._orders.get(parted.order)
        if held is not None:
            held.case.parted.append(parted)

    def fill(self, fills: Iterable[Fill]) -> list[Fill]:
        """Give every fill, in their order, to its case; returns those that are nobody's."""
        nobody = []
        for fill in fills:
            if fill.own:
                self._identities[fill.owner].take(fill, fill.quantity)
            elif (rest := self._given_away(fill)) is not None:
                nobody.append(rest)
        return nobody

    def _given_away(self, fill: Fill) -> Fill | None:
        """Give a foreign fill to what it left; returns it where something of it is nobody's business."""
        left = fill.quantity
        symbols = {one.case.symbol for one in self.all()}
        for held in sorted(self.all(), key=lambda one: one.case.begins):
            part = min(left, held.leaves(fill))
            if part > DUST:
                held.take(fill, part)
                left -= part
        if left <= DUST or fill.protective or fill.ts < self._since or fill.execution.symbol not in symbols:
            return None
        if fill.execution.kind == "trade":
            return replace(fill, execution=replace(fill.execution, quantity=left / fill.factor))
        if not is_option(fill.execution.symbol):
            self._delivered(fill).take(fill, left)
        return None

    def _delivered(self, fill: Fill) -> _Held:
        """Return the position in the shares that an option became: the plan's, else a new one."""
        for held in self._trades.values():
            course = held.case.plan
            if (
                held.case.symbol == fill.execution.symbol
                and held.case.side == fill.execution.side
                and course is not None
                and course.entries[0].what == "assignment"
                and not held.fills
            ):
                return held
        one = fill.execution
        case = Case(
            one.symbol, one.side, "", one.multiplier, begins=fill.ts, mark=self._plan.marks.get(one.symbol)
        )
        held = self._identities[one.execution_id] = _Held(case)
        return held

    def _new(self, sent: Sent) -> Case:
        plan, one, order = self._plan, sent.followed, sent.followed.order
        package = len(one.legs) > 1 or any(is_option(leg.symbol) for leg in one.legs)
        side = plan.sides.get(order, 0)
        if not side:
            # a package that brings something is a short position
            net = 0.0 if sent.request is None else sent.request.limit_price or 0.0
            sign = -net if len(one.legs) > 1 else one.legs[0].quantity
            side = int(copysign(1.0, sign if one.role == "entry" else -sign))
        return Case(
            one.symbol, side, plan.strategies.get(order, ""), 100.0 if package else 1.0, package,
            order=order, signal=one.signal, begins=one.decided_ts, written=plan.written.get(order),
            mark=None if package else plan.marks.get(one.symbol),
        )  # fmt: skip


def _course(case: Case, fills: list[tuple[Fill, float]], bars: Timeline) -> Course | None:
    if not fills:
        return None
    if case.package:
        multiplier = fills[0][0].execution.multiplier
        case.multiplier = case.multiplier if case.plan is not None else multiplier
        entries, exits = _packages(case, fills, bars)
    else:
        pieces = [(fill, _piece(case, fill, quantity, bars)) for fill, quantity in fills]
        entries = [piece for fill, piece in pieces if fill.execution.side == case.side]
        exits = [piece for fill, piece in pieces if fill.execution.side != case.side]
    if case.fact_split == 1.0:
        # the plan knows a split that the books at the broker do not have yet
        entries, exits = ([_split(case, one) for one in each] for each in (entries, exits))
    left = fsum(one.quantity for one in entries) - fsum(one.quantity for one in exits)
    if abs(left) > DUST:
        mark = case.mark if case.mark is not None else (exits or entries)[-1].price
        exits.append(Piece(left, mark, bars.ts[-1] if bars.ts else 0, len(bars.ts) - 1, MARK))
    return Course(case.side, case.multiplier, tuple(entries), tuple(exits))


def _split(case: Case, piece: Piece) -> Piece:
    ratio = 1.0
    for _, row, each in case.splits:
        ratio *= each if piece.row < row else 1.0
    return replace(piece, quantity=piece.quantity * ratio, price=piece.price / ratio)


def _piece(case: Case, fill: Fill, quantity: float, bars: Timeline) -> Piece:
    share = quantity / fill.quantity
    return Piece(
        quantity, fill.price, fill.ts, _row(case, fill, bars), _what(case, fill),
        fee=fill.execution.fees * share, order=fill.owner, stored=_is_stored(case, fill),
    )  # fmt: skip


def _row(case: Case, fill: Fill, bars: Timeline) -> int:
    """Return the bar of a fill: after the one that decided its order, whatever the broker's clock says.

    Packages are decided at a close, and one that fills at that instant fills in the plan's bar.
    """
    decided = _decided(case, fill)
    first = 0
    if decided is not None:
        first = bars.row_of_label(decided.decided_ts) + (0 if case.package else 1)
    if _is_stored(case, fill):
        return first
    return max(first, bars.row_of(fill.ts, fill.execution.symbol, fill.execution.price))


def _is_stored(case: Case, fill: Fill) -> bool:
    """Whether a fill is of a time that has nothing to do with that of the bars."""
    one = next((one for one in case.orders if one.followed.client_order_id == fill.owner), None)
    return (
        one is not None and one.sent_ts - one.followed.decided_ts > _STORED and fill.ts > one.sent_ts - _DAY
    )


def _what(case: Case, fill: Fill) -> str:
    """Return what a fill is: the role of its order, which child of a bracket it was, or its kind."""
    if fill.execution.kind != "trade":
        return fill.execution.kind
    if fill.protective:
        return "protective stop"
    decided = _decided(case, fill)
    if decided is None:
        return "foreign"
    request = next((one.request for one in case.orders if one.followed is decided), None)
    pair = request is not None and request.order_class == "oco"
    leaves = decided.role == "entry" and fill.execution.side != case.side and not case.package
    if not (fill.child or leaves or pair):
        return decided.role
    target = None if request is None else request.limit_price if pair else request.take_profit
    # a limit never fills at a worse price, and a stop lies on its other side
    return "target" if target is not None and case.side * (fill.price - target) >= -DUST else "stop"


def _decided(case: Case, fill: Fill) -> Followed | None:
    return next((one.followed for one in case.orders if one.followed.client_order_id == fill.owner), None)


def _packages(case: Case, fills: list[tuple[Fill, float]], bars: Timeline) -> tuple[list[Piece], list[Piece]]:
    """Return fills of legs as pieces of packages, those of one order in one bar together."""
    ratios = _ratios(case, fills)
    opening = {symbol: copysign(1.0, ratio) for symbol, ratio in ratios.items()}
    groups: dict[tuple[bool, str, int, str], list[tuple[Fill, float]]] = {}
    for fill, quantity in fills:
        entered = fill.execution.side == opening.get(fill.execution.symbol, 0.0)
        key = (entered, fill.owner, _row(case, fill, bars), _what(case, fill))
        groups.setdefault(key, []).append((fill, quantity))
    entries = [_package(case, key[2], key[3], each, ratios) for key, each in groups.items() if key[0]]
    exits = [_package(case, key[2], key[3], each, ratios) for key, each in groups.items() if not key[0]]
    gone = [(fill, quantity) for key, each in groups.items() if not key[0] for fill, quantity in each]
    if fsum(one.quantity for one in exits) > fsum(one.quantity for one in entries) + DUST:
        # its legs left one by one: only together they are a package
        last = max(exits, key=lambda one: one.row)
        exits = [_package(case, last.row, "settlement", gone, ratios)]
    return entries, exits


def _ratios(case: Case, fills: list[tuple[Fill, float]]) -> dict[str, float]:
    """Return the contracts of each leg in a package, signed as they were entered."""
    for one in case.orders:
        sign = 1.0 if one.followed.role == "entry" else -1.0
        if one.followed.quantity > DUST:
            return {leg.symbol: sign * leg.quantity / one.followed.quantity for leg in one.followed.legs}
    return {fill.execution.symbol: float(fill.execution.side) for fill, _ in reversed(fills)}


def _package(
    case: Case, row: int, what: str, fills: list[tuple[Fill, float]], ratios: dict[str, float]
) -> Piece:
    filled: dict[str, float] = {}
    for fill, quantity in fills:
        filled[fill.execution.symbol] = filled.get(fill.execution.symbol, 0.0) + quantity
    quantity = max(filled[symbol] / abs(ratios.get(symbol, inf)) for symbol in filled) or 1.0
    # shares that came of an assignment are worth less per unit than a contract is
    paid = fsum(
        fill.execution.side * part * fill.price * fill.execution.multiplier / case.multiplier
        for fill, part in fills
    )
    entering = fills[0][0].execution.side == copysign(1.0, ratios.get(fills[0][0].execution.symbol, 1.0))
    price = (case.side if entering else -case.side) * paid / quantity
    return Piece(
        quantity, price, max(fill.ts for fill, _ in fills), row, what,
        fee=fsum(fill.execution.fees * part / fill.quantity for fill, part in fills), order=fills[0][0].owner,
        stored=any(_is_stored(case, fill) for fill, _ in fills),
    )  # fmt: skip
