"""Which opening fill a closing fill uses up: lots, by FIFO, LIFO, HIFO or choice.

`match` is pure: executions in, slices of lots out. Costs include fees, proceeds are less fees. Exercises and
assignments make no profit of their own; the premium moves into the shares (IRS Publication 550, table 4-3):

- put written and assigned: the premium reduces the cost of the shares bought;
- call written and assigned: it adds to the proceeds of the shares sold;
- call bought and exercised: its cost adds to that of the shares bought;
- put bought and exercised: its cost reduces the proceeds of the shares sold.

Where no fill moves shares (settlement in cash), the option is closed at the price of the settlement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from journal.statements.rows import NEW_YORK, contract
from journal.tax.wash_sales import Acquired, Slice
from journal.values import from_nanoseconds

__all__ = ["METHODS", "Execution", "Matched", "Method", "match"]

Method = Literal["fifo", "lifo", "hifo", "specific"]
METHODS: tuple[Method, ...] = ("fifo", "lifo", "hifo", "specific")
"""Names for `method`; "specific" takes the chosen lots first and the rest by FIFO."""

_DAY = 86_400 * 1_000_000_000
_SMALL = 1e-9
_SETTLEMENTS = ("exercise", "assignment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A fill as the tax rules see it; units as in `journal.schema.fills`."""

    key: str
    ts: int
    account: str
    symbol: str
    underlying: str
    side: int
    quantity: float
    price: float
    multiplier: float
    fees: float = 0.0
    kind: str = "trade"
    effect: str = ""
    order_id: str = ""

    @property
    def day(self) -> date:
        """Trade date in New York."""
        return from_nanoseconds(self.ts).astimezone(NEW_YORK).date()


@dataclass(slots=True)
class Matched:
    """Slices of all lots, and what closes nothing that is known."""

    slices: list[Slice] = field(default_factory=list)
    unmatched: list[tuple[Execution, float]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Lot:
    source: Acquired
    quantity: float
    opened: float

    @property
    def unit(self) -> float:
        return self.opened / self.quantity


@dataclass(slots=True, eq=False)
class _Delivery:
    """A fill that moves shares for an exercise or assignment, and the premium it takes over."""

    shares: float
    credit: float = 0.0


def match(
    executions: Iterable[Execution],
    method: Method = "fifo",
    *,
    chosen: Mapping[str, Sequence[tuple[str, float]]] | None = None,
) -> Matched:
    """Match closing fills with lots.

    Parameters
    ----------
    executions
        With unique keys, in any order, of any accounts and underlyings.
    method
        "fifo": oldest first. "lifo": newest first. "hifo": the lot with the least profit first (highest cost
        of what was bought, lowest proceeds of what was sold short), before wash sales. "specific": as chosen.
    chosen
        Key of a closing fill: pairs of the key of an opening fill and a quantity.
    """
    books: dict[tuple[str, str], list[Execution]] = {}
    for one in executions:
        books.setdefault((one.account, one.underlying), []).append(one)
    result = Matched()
    for _, some in sorted(books.items(), key=lambda item: item[0]):
        _Book(sorted(some, key=_order), method, chosen or {}, result).run()
    return result


class _Book:
    """One account and underlying."""

    def __init__(
        self,
        executions: Sequence[Execution],
        method: Method,
        chosen: Mapping[str, Sequence[tuple[str, float]]],
        result: Matched,
    ) -> None:
        self.executions = executions
        self.method = method
        self.chosen = chosen
        self.result = result
        self.lots: dict[str, list[_Lot]] = {}
        self.deliveries = {
            one.key: _Delivery(one.quantity)
            for one in executions
            if one.kind in _SETTLEMENTS and contract(one.symbol) is None
        }

    def run(self) -> None:
        split: set[tuple[str, int]] = set()
        for one in self.executions:
            if one.kind == "split" and contract(one.symbol) is None:
                if (one.symbol, one.ts) not in split:
                    split.add((one.symbol, one.ts))
                    self._split(one)
            elif one.kind in _SETTLEMENTS and contract(one.symbol) is not None:
                self._settle(one)
            else:
                credit = self.deliveries[one.key].credit if one.key in self.deliveries else 0.0
                self._trade(one, credit)
        for lots in self.lots.values():
            self.result.slices.extend(Slice(lot.source, lot.quantity, lot.opened) for lot in lots)

    def _split(self, row: Execution) -> None:
        lots = self.lots.get(row.symbol, [])
        held = sum(lot.source.side * lot.quantity for lot in lots)
        together = [
            one
            for one in self.executions
            if one.kind == "split" and (one.symbol, one.ts) == (row.symbol, row.ts)
        ]
        after = held + sum(one.side * one.quantity for one in together)
        if held * after <= 0:
            self.result.unmatched.append((row, row.quantity))
            return
        for lot in lots:
            lot.quantity *= after / held

    def _settle(self, row: Execution) -> None:
        option = contract(row.symbol)
        lots = self.lots.get(row.symbol)
        if option is None or not lots:
            self.result.unmatched.append((row, row.quantity))
            return
        direction = lots[0].source.side * (1 if option.kind == "call" else -1)
        wanted = row.quantity * row.multiplier
        near = [
            one
            for one in self.executions
            if one.key in self.deliveries
            and one.side == direction
            and abs(one.ts - row.ts) <= _DAY
            and self.deliveries[one.key].shares > _SMALL
        ]
        near.sort(key=lambda one: (abs(one.price - option.strike) > 0.01, abs(one.ts - row.ts), one.key))
        if sum(self.deliveries[one.key].shares for one in near) < wanted - _SMALL:
            self._trade(row, 0.0)  # settled in cash, or the shares are not known
            return
        premium = self._take(row, row.quantity, transferred=True) - row.fees
        for one in near:
            moved = min(wanted, self.deliveries[one.key].shares)
            self.deliveries[one.key].shares -= moved
            self.deliveries[one.key].credit += premium * moved / (row.quantity * row.multiplier)
            wanted -= moved
            if wanted <= _SMALL:
                break

    def _trade(self, row: Execution, credit: float) -> None:
        gross = row.price * row.quantity * row.multiplier
        amount = gross + row.fees - credit if row.side > 0 else gross - row.fees + credit
        closes = sum(lot.quantity for lot in self.lots.get(row.symbol, ()) if lot.source.side != row.side)
        closing = min(row.quantity, closes)
        if row.quantity - closing <= _SMALL * row.quantity:
            closing = row.quantity
        if closing > 0:
            self._take(row, closing, amount=amount * (closing / row.quantity))
        rest = row.quantity - closing
        if rest <= 0:
            return
        if row.effect == "close" or row.kind == "expiry":
            self.result.unmatched.append((row, rest))
            return
        source = Acquired(
            row.key,
            row.order_id or row.key,
            row.account,
            row.symbol,
            row.underlying,
            row.side,
            row.day,
            row.ts,
            row.multiplier,
        )
        self.lots.setdefault(row.symbol, []).append(_Lot(source, rest, amount * (rest / row.quantity)))

    def _take(
        self, row: Execution, quantity: float, *, amount: float = 0.0, transferred: bool = False
    ) -> float:
        """Close `quantity` of a symbol; returns the premium that a transfer moves, a credit positive."""
        lots = self.lots[row.symbol]
        left, moved = quantity, 0.0
        wishes = list(self.chosen.get(row.key, ())) if self.method == "specific" else []
        while left > _SMALL * quantity and lots:
            lot, most = self._next(lots, wishes)
            taken = min(left, lot.quantity, most)
            if lot.quantity - taken <= _SMALL * lot.quantity:
                taken = lot.quantity
            opened = lot.opened * (taken / lot.quantity)
            closed = opened if transferred else amount * (min(taken, left) / quantity)
            self.result.slices.append(
                Slice(lot.source, taken, opened, row.key, row.day, row.ts, closed, transferred)
            )
            moved += -lot.source.side * opened
            lot.quantity -= taken
            lot.opened -= opened
            left -= taken
            if lot.quantity <= 0:
                lots.remove(lot)
        return moved

    def _next(self, lots: list[_Lot], wishes: list[tuple[str, float]]) -> tuple[_Lot, float]:
        while wishes:
            key, quantity = wishes.pop(0)
            for lot in lots:
                if lot.source.key == key:
                    return lot, quantity
        if self.method == "lifo":
            return lots[-1], lots[-1].quantity
        if self.method == "hifo":
            best = max(lots, key=lambda lot: lot.source.side * lot.unit)
            return best, best.quantity
        return lots[0], lots[0].quantity


def _order(one: Execution) -> tuple[int, int, str]:
    option = contract(one.symbol) is not None
    if one.kind == "split":
        rank = 0
    elif one.kind in _SETTLEMENTS:
        rank = 4 if option else 5
    elif one.kind == "expiry":
        rank = 6
    else:
        rank = {"open": 1, "": 2, "none": 2}.get(one.effect, 3)
    return one.ts, rank, one.key
