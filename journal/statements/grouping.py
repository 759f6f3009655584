"""From rows to trades: which fills are one position group.

One trade is what was opened by one order. The legs of an order belong together, so that a spread is one win
or one loss; shares without options are one trade from flat to flat, additions included. Closing fills go to
the trade they were meant for: first to a trade that the same order is already closing, then to the one that
holds most of the contracts which the order closes and fewest others, then to the oldest. An order that
closes one trade and opens another is a roll. Exercises and assignments close the option, and the shares they
move are a trade of the same campaign, unless they close shares that were held.

`group` is a pure function of a set of rows: it sorts them itself, so the order of files and rows is nothing
to it. It takes the rows of one account and one underlying, with keys that tell them apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from journal.statements.rows import StatementRow, contract

__all__ = ["Group", "Grouping", "LegState", "Part", "Unmatched", "group"]

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_SMALL = 1e-9
_CASH_KINDS = ("dividend", "fee", "interest")
_SETTLEMENTS = ("exercise", "assignment")


@dataclass(slots=True)
class Part:
    """The share of a row that belongs to one trade."""

    row: StatementRow
    effect: str
    side: int
    kind: str
    quantity: float
    fees: float

    @property
    def cash(self) -> float:
        """What it added to the account before fees, in currency."""
        return -self.side * self.row.price * self.quantity * self.row.multiplier


@dataclass(slots=True)
class LegState:
    """Contracts or shares of one symbol within a trade, in units of today (after splits)."""

    symbol: str
    side: int
    multiplier: float
    opened: float = 0.0
    closed: float = 0.0

    @property
    def open(self) -> float:
        """What is still open."""
        left = self.opened - self.closed
        return left if left > _SMALL * max(self.opened, 1.0) else 0.0


@dataclass(slots=True, eq=False)
class Group:
    """One trade."""

    number: int
    parts: list[Part] = field(default_factory=list)
    legs: dict[str, LegState] = field(default_factory=dict)
    rolled_from: Group | None = None
    parent: Group | None = None  # the trade whose exercise or assignment brought the shares
    rolled: bool = False  # the order that closed it opened the next one

    @property
    def is_open(self) -> bool:
        """Whether anything is left."""
        return any(leg.open for leg in self.legs.values())

    @property
    def shares_only(self) -> bool:
        """Whether it holds no option."""
        return all(contract(symbol) is None for symbol in self.legs)

    def add(self, row: StatementRow, effect: str, side: int, kind: str, quantity: float) -> None:
        """Take a part of a row; its fees are the row's, by quantity."""
        fees = row.fees * (quantity / row.quantity) if quantity != row.quantity else row.fees
        self.parts.append(Part(row, effect, side, kind, quantity, fees))


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A row, or the rest of it, that belongs to no trade, and why."""

    row: StatementRow
    quantity: float
    reason: str


@dataclass(slots=True)
class Grouping:
    """All trades of one account and underlying, and what belongs to none."""

    groups: list[Group] = field(default_factory=list)
    loose: list[StatementRow] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)


@dataclass(slots=True)
class _Event:
    """Options that were exercised or assigned, waiting for the shares that they move."""

    row: StatementRow
    group: Group
    kind: str
    direction: int
    shares: float


def group(rows: Iterable[StatementRow], *, apart: Collection[str] = ()) -> Grouping:
    """Return the trades that rows of one account and one underlying make.

    Parameters
    ----------
    rows
        With unique keys, in any order.
    apart
        Keys of rows whose orders open trades of their own, also where such shares are held already.
    """
    book = _Book()
    kept, cancelled = _without_cancelled(sorted(rows, key=_order))
    book.tickets = _tickets(kept)
    book.apart = {book.tickets[row.key] for row in kept if row.key in apart and row.key in book.tickets}
    for row in kept:
        ticket = book.tickets.get(row.key)
        if ticket is not None and row.effect in ("close", ""):
            book.wanted.setdefault(ticket, set()).add(row.symbol)
        if ticket is not None and row.effect != "close" and contract(row.symbol) is not None:
            book.packages.add(ticket)
    splits: set[tuple[str, int]] = set()
    for row in kept:
        if row.kind == "split" and contract(row.symbol) is None:
            if (row.symbol, row.ts) not in splits:
                splits.add((row.symbol, row.ts))
                together = [
                    one
                    for one in kept
                    if one.kind == "split" and (one.symbol, one.ts) == (row.symbol, row.ts)
                ]
                book.split(row, together)
        else:
            book.take(row)
    book.finish()
    for row in cancelled:
        home = next((one for one in book.result.groups if _same_order(one, row)), None)
        if home is None:
            book.result.loose.append(row)
        else:
            home.add(row, "none", row.side, row.kind, row.quantity)
    return book.result


class _Book:
    def __init__(self) -> None:
        self.result = Grouping()
        self.tickets: dict[str, str] = {}
        self.apart: set[str] = set()  # tickets that never add to shares held
        self.wanted: dict[str, set[str]] = {}  # symbols that a ticket closes, or may close
        self.packages: set[str] = set()  # tickets that may open options, so that their shares belong to those
        self.opened_by: dict[str, Group] = {}
        self.touched: dict[str, list[Group]] = {}  # groups that a ticket closed something of
        self.events: list[_Event] = []
        self.holders: dict[str, list[Group]] = {}  # by symbol, those that may hold it still
        self.owners: dict[str, list[Group]] = {}  # by symbol, all that ever held it

    def take(self, row: StatementRow) -> None:
        if not row.tradable:
            self._miss(
                row, row.quantity, f"{row.symbol} is no share and no equity option; it is kept, not grouped"
            )
        elif row.kind in _CASH_KINDS or row.effect == "none" or not row.symbol:
            self._cash(row)
        elif row.delivered:
            self._deliver(row)
        elif row.effect == "open":
            self._open(row, row.quantity, row.kind, None)
        else:
            left = self._close(row, row.quantity, row.kind, None)
            if left and row.effect == "" and row.kind in ("trade", "transfer", "split") and row.side:
                self._open(row, left, row.kind, None)
            elif left:
                self._miss(row, left, "it closes what no known fill opened; import the earlier statement")

    def split(self, row: StatementRow, together: Sequence[StatementRow]) -> None:
        legs = [
            leg
            for one in self.result.groups
            for leg in one.legs.values()
            if leg.symbol == row.symbol and leg.open
        ]
        held = sum(leg.side * leg.open for leg in legs)
        after = held + sum(one.side * one.quantity for one in together)
        if held * after <= 0:
            self._miss(
                row, row.quantity, "a split of shares that no known fill opened; import the earlier statement"
            )
            return
        for leg in legs:
            leg.opened *= after / held
            leg.closed *= after / held
        self.result.loose.extend(together)

    def finish(self) -> None:
        for ticket, opened in self.opened_by.items():
            before = [
                one for one in self.touched.get(ticket, []) if one is not opened and not one.shares_only
            ]
            if before and not opened.shares_only:
                opened.rolled_from = min(before, key=lambda one: one.number)
                for one in before:
                    one.rolled = True
        for event in self.events:
            if event.shares > _SMALL and event.row.price == 0:
                self._miss(event.row, 0.0, "no row moves the shares of it; the statement may lack them")

    def _cash(self, row: StatementRow) -> None:
        if row.kind == "dividend" and row.symbol:
            held = self.owners.get(row.symbol)
            if held:
                best = next((one for one in held if one.legs[row.symbol].open), held[-1])
                best.add(row, "none", row.side, row.kind, row.quantity)
                return
        self.result.loose.append(row)

    def _deliver(self, row: StatementRow) -> None:
        event = self._event(row)
        if event is None:
            kind, home = row.kind, None
        else:
            kind, home = event.kind, event.group
            event.shares -= row.quantity
        left = self._close(row, row.quantity, kind, home)
        if left and row.effect == "close":
            self._miss(row, left, "it closes shares that no known fill opened; import the earlier statement")
        elif left:
            self._open(row, left, kind, home)

    def _event(self, row: StatementRow) -> _Event | None:
        fits = [
            one
            for one in self.events
            if one.direction == row.side and one.shares > _SMALL and 0 <= row.ts - one.row.ts <= _DAY
        ]
        found = [contract(one.row.symbol) for one in fits]
        exact = [
            one
            for one, option in zip(fits, found, strict=True)
            if option and abs(option.strike - row.price) < 0.01
        ]
        return next(iter(exact or fits), None)

    def _open(self, row: StatementRow, quantity: float, kind: str, parent: Group | None) -> None:
        ticket = self.tickets.get(row.key, row.key)
        is_option = contract(row.symbol) is not None
        home = self.opened_by.get(ticket)
        if home is not None and row.symbol in home.legs and home.legs[row.symbol].side != row.side:
            home = None
        if not is_option and ticket not in self.packages and ticket not in self.apart:
            home = self._held_shares(row) or (home if home is not None and home.is_open else None)
        if home is None:
            home = Group(len(self.result.groups), parent=parent)
            self.result.groups.append(home)
            self.opened_by.setdefault(ticket, home)
        if row.symbol not in home.legs:
            home.legs[row.symbol] = LegState(row.symbol, row.side, row.multiplier)
            self.owners.setdefault(row.symbol, []).append(home)
        holders = self.holders.setdefault(row.symbol, [])
        if home not in holders:
            holders.append(home)
        home.legs[row.symbol].opened += quantity
        home.add(row, "open", row.side, kind, quantity)

    def _held_shares(self, row: StatementRow) -> Group | None:
        for one in self.holders.get(row.symbol, ()):
            leg = one.legs[row.symbol]
            if one.shares_only and leg.open and leg.side == row.side:
                return one
        return None

    def _close(self, row: StatementRow, quantity: float, kind: str, home: Group | None) -> float:
        """Close what fits, and return what is left of the quantity."""
        left = quantity
        ticket = self.tickets.get(row.key, row.key)
        while left > _SMALL * max(quantity, 1.0):
            one = self._candidate(row, ticket, home)
            if one is None:
                return left
            leg = one.legs[row.symbol]
            taken = min(left, leg.open)
            if leg.open - taken <= _SMALL * max(leg.opened, 1.0):
                leg.closed = leg.opened
            else:
                leg.closed += taken
            if not leg.open:
                self.holders[row.symbol].remove(one)
            left -= taken
            one.add(row, "close", -leg.side, kind, quantity if taken == quantity else taken)
            self.touched.setdefault(ticket, []).append(one)
            option = contract(row.symbol)
            if option is not None and kind in _SETTLEMENTS:
                direction = -leg.side if option.kind == "put" else leg.side
                self.events.append(_Event(row, one, kind, direction, taken * leg.multiplier))
        return 0.0

    def _candidate(self, row: StatementRow, ticket: str, home: Group | None) -> Group | None:
        wanted = self.wanted.get(ticket, {row.symbol})
        touched = self.touched.get(ticket, ())
        best: tuple[tuple[bool, bool, int, int, int], Group] | None = None
        for one in self.holders.get(row.symbol, ()):
            leg = one.legs[row.symbol]
            if not leg.open or leg.side * row.side > 0:
                continue
            open_symbols = {symbol for symbol, each in one.legs.items() if each.open}
            rank = (
                one is not home,
                one not in touched,
                -len(open_symbols & wanted),
                len(open_symbols - wanted),
                one.number,
            )
            if best is None or rank < best[0]:
                best = rank, one
        return None if best is None else best[1]

    def _miss(self, row: StatementRow, quantity: float, reason: str) -> None:
        self.result.unmatched.append(Unmatched(row, quantity, reason))


def _order(row: StatementRow) -> tuple[int, int, str]:
    option = contract(row.symbol) is not None
    if row.kind == "split":
        rank = 0
    elif row.kind in _CASH_KINDS or row.effect == "none":
        rank = 7
    elif row.delivered:
        rank = 5
    elif row.kind in _SETTLEMENTS and option:
        rank = 4
    elif row.kind == "expiry":
        rank = 6
    else:
        rank = {"open": 1, "": 2}.get(row.effect, 3)
    return row.ts, rank, row.key


def _tickets(rows: Sequence[StatementRow]) -> dict[str, str]:
    """Return the order that each fill belongs to, by the key of the order's first fill."""
    first: dict[str, str] = {}

    def root(key: str) -> str:
        while first[key] != key:
            key = first[key]
        return key

    by_order: dict[str, str] = {}
    anchor: StatementRow | None = None
    for row in rows:
        if row.kind != "trade":
            continue
        first[row.key] = row.key
        if row.order_id:
            known = by_order.setdefault(row.order_id, row.key)
            first[root(row.key)] = root(known)
        if row.linked_by_time:
            if anchor is not None and row.ts - anchor.ts <= _SECOND:
                first[root(row.key)] = root(anchor.key)
            else:
                anchor = row
    return {key: root(key) for key in first}


def _without_cancelled(rows: Sequence[StatementRow]) -> tuple[list[StatementRow], list[StatementRow]]:
    """Split off executions that were taken back, and the rows that took them back."""
    gone: set[str] = set()
    for taker in rows:
        if not taker.cancels:
            continue
        gone.add(taker.key)
        for row in rows:
            same = (
                row.trade_ref == taker.cancels and row.quantity == taker.quantity and row.price == taker.price
            )
            if same and not row.cancels and row.key not in gone:
                gone.add(row.key)
                break
    return [row for row in rows if row.key not in gone], [row for row in rows if row.key in gone]


def _same_order(one: Group, row: StatementRow) -> bool:
    return bool(row.order_id) and any(part.row.order_id == row.order_id for part in one.parts)
