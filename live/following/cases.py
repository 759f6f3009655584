"""One entry order of the plan and all that came of it at the broker: held, working, under way.

Shares are counted by what our own orders and their children have filled, and never above what the broker says
is there (`live.following.counting`). So two trades in one symbol keep apart what the broker holds as one
position, and what was sold by hand is not sold once more. An order that has vanished, and of whose end nobody
has said anything, may have filled: until that is known its case is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from live.brokers.interface import Account, BrokerOrder, Outcome
from live.brokers.partial_entries import live_stop
from live.following.counting import Told, bound
from live.following.record import Followed, Parted, Role
from live.intents import Sent
from live.reconciling.fill_ledger import DUST, FillLedger
from live.review_queue import ReviewRequest
from simulator.brokerage import Execution
from simulator.brokerage import Holding as BrokerHolding

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager
    from live.following.wanted import Wanted

__all__ = ["STOPS", "Case", "Facts", "Missing", "Order", "Standing", "cases_of", "explained_exits"]

STOPS: Final = frozenset({"stop", "stop_limit", "trailing"})

Standing = Literal["unsent", "review", "rejected", "unresolved", "open", "ended"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the broker said in one round of questions, and what the books make of it.

    Attributes
    ----------
    orders, ended
        That work, and that it still lists or has told us of.
    account
        None where that was not answered.
    fresh
        Executions that the ledger does not have yet.
    missing
        Orders that are neither, by the plan's order.
    """

    at: datetime
    positions: Mapping[str, BrokerHolding]
    orders: Sequence[BrokerOrder]
    account: Account | None
    ledger: FillLedger
    reviews: Mapping[str, ReviewRequest]
    ended: Sequence[BrokerOrder] = ()
    fresh: Sequence[Execution] = ()
    missing: Mapping[int, Sequence[Missing]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """An order that was there, is not listed any more, and of whose end nobody has said anything.

    Attributes
    ----------
    role
        "child" of a bracket, or what it was decided for.
    since
        When it was missed first, aware.
    is_hidden
        Whether the broker says that it works, and does not list it.
    is_due
        Whether it was waited for long enough; see `Case.ended_unexplained`.
    """

    order_id: str
    role: Role | Literal["child"]
    since: datetime
    is_hidden: bool = False
    is_due: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One of our orders: what was decided, how it stands, what it has filled, and what may still come."""

    record: Followed
    standing: Standing
    filled: float
    rest: float
    sent: Sent | None


@dataclass(slots=True)
class Case:
    """All that belongs to one entry order of the plan.

    Attributes
    ----------
    wanted
        What the plan wants of it; None where it wants nothing (any more).
    orders
        Ours, in the order in which they were decided.
    opened
        Number of the position that the plan has opened with it, as far as this process has seen it; else -1.
    entered, counted, held
        Filled by its entries, what of that is left by our own orders, and what of that is there by the
        broker's word; not signed, in packages or in shares of now, after all splits that were accepted.
    entries
        Entry orders that work at the broker.
    stops, targets
        What works at the broker behind it: children of brackets that count, and orders of our own.
    asleep
        Children whose entry has not filled completely.
    missing
        What rested or left, is not listed any more, and has no known end.
    is_there
        Whether the broker's positions hold all that is counted.
    """

    number: int
    symbol: str
    side: int
    strategy: str
    wanted: Wanted | None
    orders: list[Order]
    opened: int = -1
    entered: float = 0.0
    counted: float = 0.0
    held: float = 0.0
    entries: list[BrokerOrder] = field(default_factory=list)
    stops: list[BrokerOrder] = field(default_factory=list)
    targets: list[BrokerOrder] = field(default_factory=list)
    asleep: list[BrokerOrder] = field(default_factory=list)
    missing: Sequence[Missing] = ()
    is_there: bool = True

    @property
    def trade(self) -> int:
        """Number of the plan's position, -1 where it has none."""
        if self.wanted is not None and self.wanted.holding is not None:
            return self.wanted.holding.trade
        return max((one.record.trade for one in self.orders), default=-1) if self.opened < 0 else self.opened

    @property
    def signal(self) -> int:
        """Number of the plan's signal."""
        return self.wanted.signal if self.wanted is not None else self.orders[0].record.signal

    @property
    def packaged(self) -> bool:
        """Whether it is a package of options."""
        holding = None if self.wanted is None else self.wanted.holding
        return (holding is not None and holding.package is not None) or any(
            len(one.record.legs) > 1 for one in self.orders
        )

    def of(self, *roles: str) -> list[Order]:
        """Return our orders with these roles."""
        return [one for one in self.orders if one.record.role in roles]

    @property
    def leaving(self) -> float:
        """Quantity that orders at the market are taking out, or may be."""
        return sum(one.rest for one in self.of("close") if one.standing in ("open", "unresolved"))

    @property
    def unguarded_by_exits(self) -> float:
        """What has to stay behind a stop: held, and not under way.

        What the broker holds less than is counted may be such an exit, filled since the executions were told.
        """
        under_way = max(0.0, self.leaving - (self.counted - self.held))
        return max(0.0, self.held - under_way)

    @property
    def taken(self) -> float:
        """What has left by a stop, by a target or by another hand, and not by our orders at the market."""
        closed = sum(one.filled for one in self.of("close"))
        return max(0.0, self.entered - self.counted - closed)

    @property
    def may_enter(self) -> bool:
        """Whether something may still come of an entry that was sent or laid before a person."""
        return any(one.standing in ("review", "unresolved", "open") for one in self.of("entry"))

    @property
    def is_doubtful(self) -> bool:
        """Whether nobody knows how one of its orders stands."""
        return any(one.standing == "unresolved" for one in self.orders)

    @property
    def ended_unexplained(self) -> bool:
        """Whether something behind it may have filled, and nobody says so.

        What was waited for in vain is taken for ended where the broker's positions still hold all of it.
        """
        return any(one.is_hidden or not one.is_due or not self.is_there for one in self.missing)

    @property
    def is_waiting(self) -> bool:
        """Whether nothing that leaves or rests may be sent or cancelled until the broker has said more."""
        return self.counted > DUST and self.ended_unexplained

    @property
    def is_done(self) -> bool:
        """Whether neither plan nor broker has anything of it."""
        working = self.entries or self.stops or self.targets or self.asleep
        return (
            self.wanted is None
            and self.held <= DUST
            and not working
            and not self.is_doubtful
            and not any(one.standing in ("open", "review") for one in self.orders)
        )


def cases_of(
    wants: Iterable[Wanted],
    records: Mapping[int, Sequence[Followed]],
    elsewhere: Iterable[Parted],
    facts: Facts,
    manager: BrokerManager,
) -> list[Case]:
    """Return a case for each order of the plan that is wanted or has a record, oldest first.

    Parameters
    ----------
    records
        What was decided, by the plan's order; those of cases that are done are left out.
    elsewhere
        What has left by no order of ours.
    """
    asked = {one.order: one for one in wants}
    names = [one.client_order_id for mine in records.values() for one in mine]
    sents = {name: manager.book.get(name) for name in names}
    told = Told(facts, _broker_ids(sents), sents.keys())
    found = []
    for number in sorted({*asked, *records}):
        mine, want = records.get(number, ()), asked.get(number)
        entry = next((one for one in mine if one.role == "entry"), None)
        if want is not None:
            symbol, side, strategy = want.symbol, want.side, want.strategy
        elif entry is not None:
            symbol, strategy = entry.symbol, ""
            side = 1 if entry.legs[0].quantity > 0.0 else -1
        else:
            continue
        orders = [_order(one, sents[one.client_order_id], facts, told) for one in mine]
        case = Case(number, symbol, side, strategy, want, orders, missing=facts.missing.get(number, ()))
        _count(case, facts, told)
        found.append(case)
    gone: dict[int, float] = {}
    for one in elsewhere:
        gone[one.order] = gone.get(one.order, 0.0) + abs(one.quantity)
    for case in found:
        case.counted = case.held = max(0.0, case.held - gone.get(case.number, 0.0))
    bound(found, facts)
    for case in found:
        case.is_there = case.held >= case.counted - DUST
    _sorted_out(found, facts, told)
    return found


def explained_exits(case: Case, facts: Facts) -> tuple[float, float | None, bool]:
    """Return how much has left at the broker as is known, at what average price, and whether all was ours.

    In shares of now, after all splits that were accepted, as the case itself counts.

    Beside our own executions those of others count that are later than the entry and on the other side, and
    what a person has accepted without one.
    """
    ours = {one.record.client_order_id for one in case.orders}
    entry = next((one.record for one in case.orders if one.record.role == "entry"), None)
    symbol = case.symbol if entry is None else entry.legs[0].symbol
    unit = 1.0 if entry is None else abs(entry.legs[0].quantity) / entry.quantity
    side = case.side if entry is None else (1 if entry.legs[0].quantity > 0.0 else -1)
    fills = [one for one in facts.ledger.fills.values() if one.symbol == symbol]
    mine = [one for one in fills if one.kind == "trade" and facts.ledger.owner(one.order_id) in ours]
    out = [one for one in mine if one.side == -side]
    begun = min((one.time for one in mine if one.side == side), default=None)
    left = _shares(out, facts)
    if begun is None or left >= case.entered * unit - DUST:
        return left / unit, _average(out, facts), True
    strange = [one for one in facts.ledger.foreign(symbol) if one.side == -side and one.time >= begun]
    alien = _shares(strange, facts)
    accepted = -side * sum(
        one.quantity * facts.ledger.factor(symbol, one.time) for one in facts.ledger.adjustments
        if one.symbol == symbol and one.time >= begun and one.split_at is None
    )  # fmt: skip
    settled = sum(one.quantity for one in fills if one.kind == "expiry" and one.side == -side)
    return (left + max(alien, accepted) + settled) / unit, _average([*out, *strange], facts), False


def _shares(executions: Sequence[Execution], facts: Facts) -> float:
    """Return how many shares of now they were."""
    return sum(one.quantity * facts.ledger.factor(one.symbol, one.time) for one in executions)


def _average(executions: Sequence[Execution], facts: Facts) -> float | None:
    quantity = _shares(executions, facts)
    if quantity <= DUST:
        return None
    return sum(one.quantity * one.price for one in executions) / quantity


def _broker_ids(sents: Mapping[str, Sent | None]) -> dict[str, str]:
    return {
        sent.order.order_id: identity
        for identity, sent in sents.items()
        if sent is not None and sent.order is not None
    }


def _order(record: Followed, sent: Sent | None, facts: Facts, told: Told) -> Order:
    identity = record.client_order_id
    if identity in facts.reviews:
        return Order(record, "review", 0.0, record.quantity, sent)
    listed = told.order(identity)
    if (sent is None or sent.was_never_sent) and listed is None:
        return Order(record, "unsent", 0.0, 0.0, sent)
    first = record.legs[0]
    unit = _unit(record)
    filled = facts.ledger.filled(identity, first.symbol)[0] + told.fresh(identity, first.symbol)
    # the list is asked after the book was written, and has what came late after it was given up
    newest = listed if listed is not None or sent is None else sent.order
    for one in (listed, None if sent is None else sent.order):
        filled = filled if one is None else max(filled, one.filled)
    filled /= unit
    outcome = None if sent is None else sent.submitted.outcome
    if outcome is Outcome.UNRESOLVED:
        return Order(record, "unresolved", filled, max(0.0, record.quantity - filled), sent)
    if newest is None or (listed is None and outcome is not Outcome.CONFIRMED):
        return Order(record, "rejected", filled, 0.0, sent)
    if not newest.is_open:
        refused = newest.state.label == "rejected" and filled <= DUST
        return Order(record, "rejected" if refused else "ended", filled, 0.0, sent)
    return Order(record, "open", filled, max(0.0, newest.quantity / unit - filled), sent)


def _unit(record: Followed) -> float:
    return abs(record.legs[0].quantity) / record.quantity if record.quantity else 1.0


def _count(case: Case, facts: Facts, told: Told) -> None:
    """Work out what its orders have brought and taken, in shares of now."""
    for one in case.orders:
        identity, symbol = one.record.client_order_id, one.record.legs[0].symbol
        unit = _unit(one.record)
        ahead = max(0.0, one.filled * unit - facts.ledger.filled(identity, symbol)[0])
        rest = (facts.ledger.rest(identity, symbol) + ahead) / unit
        if one.record.role == "entry":
            case.entered += (facts.ledger.brought(identity, symbol) + ahead) / unit
            # what a package lists as children are its legs
            gone = 0.0 if len(one.record.legs) > 1 else told.left_ahead(identity, symbol)
            case.held += rest - gone / unit
        else:
            case.held -= rest
    case.held = max(0.0, case.held)


def _sorted_out(cases: Sequence[Case], facts: Facts, told: Told) -> None:
    """Give each working order to its case."""
    by_id = {one.record.client_order_id: (case, one) for case in cases for one in case.orders}
    for order in facts.orders:
        identity, child = told.kin(order)
        if identity not in by_id:
            continue
        case, one = by_id[identity]
        if not child and one.record.role == "entry":
            case.entries.append(order)
        elif not live_stop(order, facts.orders):
            case.asleep.append(order)
        elif order.kind in STOPS:
            case.stops.append(order)
        elif child or one.record.role == "target":
            case.targets.append(order)
