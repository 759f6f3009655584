"""Everything that one moment at the venue hands to the next, and the questions that several parts ask of it.

Buying power is the kernel's: leverage times equity less gross exposure, which without leverage and shorts is
the cash; less what sold options tie up, less what working orders would take.
"""

from __future__ import annotations

import hashlib
import marshal
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from live.venue.book import Book
from live.venue.ledger import Ledger, Position, clean
from live.venue.margin import collateral
from live.venue.orders import PLAIN, Order, Orders, time_of
from live.venue.symbols import CONTRACT_SIZE, contract_of
from live.venue.types import UpdateEvent, VenueUpdate
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.kernel import codes
from simulator.kernel.dtypes import INSTRUMENT
from simulator.setup import params_of

__all__ = ["NEVER", "OPTION", "STOCK", "State"]

NEVER: Final = 1 << 63
"""Microseconds since 1970 that no order is younger than."""

STOCK: Final = 0
OPTION: Final = 1
"""Rows of `State.instruments`."""

_TICK: Final = 0.01
_SLACK: Final = 1e-6  # currency that rounding may cost


class State:
    """One account at the venue.

    Attributes
    ----------
    params, whole_params
        What the kernel reads; the second cuts quantities to whole lots.
    packages
        Working orders of several legs, by number.
    instant
        Orders that are cancelled if the next match leaves something of them.
    armed
        Children that have begun to work and were not matched yet.
    began
        When the bar began that is walked through, where orders may have come since; else never.
    ended
        The last session that has ended, as `date.toordinal`.
    reserved
        Buying power that working orders would take.
    freed
        Buying power that the inside of a bar has freed, which serves later phases only.
    updates
        What happened and was not yet told.
    """

    def __init__(
        self,
        *,
        cash: float,
        costs: Costs,
        conventions: Conventions,
        leverage: float,
        symbols: Iterable[str],
        salt: str,
    ) -> None:
        self.params = params_of(cash, None, costs, conventions, raw=True)
        self.whole_params = self.params.copy()
        self.whole_params["risk_on"] = 1
        self.costs = costs
        self.leverage = leverage
        self.children_wait = conventions.entry_bar == "not_allowed"
        self.instruments = _instruments()
        self.orders = Orders(f"{salt}-8000")
        self.ledger = Ledger(cash, f"{salt}-9000")
        self.books = {symbol: Book(symbol) for symbol in symbols}
        self.packages: dict[int, Order] = {}
        self.instant: list[Order] = []
        self.armed: list[Order] = []
        self.now = 0
        self.created = 0
        self.market_time = 0
        self.began = NEVER
        self.ended = 0
        self.reserved = 0.0
        self.freed = 0.0
        self.last_equity = cash
        self.listening = False
        self.updates: list[VenueUpdate] = []
        self.told = 0

    def book(self, symbol: str) -> Book:
        """Return the book of a symbol, a new one where there is none."""
        book = self.books.get(symbol)
        if book is None:
            book = self.books[symbol] = Book(symbol)
        return book

    def tell(
        self,
        event: UpdateEvent,
        order: Order,
        *,
        execution: str = "",
        price: float | None = None,
        qty: float | None = None,
    ) -> None:
        """Note an update for those who listen."""
        self.told += 1
        if self.listening:
            held = self.ledger.quantity(order.symbol) if execution and order.symbol else None
            update = VenueUpdate(
                event=event, order=self.orders.view(order), time=time_of(self.now), sequence=self.told,
                execution_id=execution, price=price, qty=qty, position_qty=held,
            )  # fmt: skip
            self.updates.append(update)

    def values(self) -> tuple[float, float, float, float]:
        """Return what long and short shares, and long and short options, are worth; all above 0."""
        stocks, options = [0.0, 0.0], [0.0, 0.0]
        for symbol, held in self.ledger.positions.items():
            value = held.qty * self.mark(symbol) * held.multiplier
            kind = options if self.books[symbol].contract else stocks
            kind[0 if held.qty > 0.0 else 1] += abs(value)
        return stocks[0], stocks[1], options[0], options[1]

    def mark(self, symbol: str) -> float:
        """Return the last price of a symbol, what is held of it at its average where there was none."""
        last = self.books[symbol].last
        return self.ledger.positions[symbol].average if math.isnan(last) else last

    def equity(self) -> float:
        """Return what the account is worth."""
        long, short, long_options, short_options = self.values()
        return self.ledger.cash + long - short + long_options - short_options

    def buying_power(self, *, without: Order | None = None) -> float:
        """Return what new orders may use, or an order that works and holds some of it."""
        long, short, _, _ = self.values()
        cash = self.ledger.cash
        extra = (self.leverage - 1.0) * (cash + long - short)
        reserved = self.reserved - (without.reserve if without is not None else 0.0)
        return extra + cash - 2.0 * short - self.tied_up({}) - reserved

    def tied_up(
        self, changes: Mapping[str, float], *, free: bool = False, without: Order | None = None
    ) -> float:
        """Return what sold options tie up once positions have changed by so much.

        `free` lets only those shares cover that no order will sell, other than `without`.
        """
        if not any(map(contract_of, self.ledger.positions)) and not any(map(contract_of, changes)):
            return 0.0
        quantities = {
            symbol: self.to_close(symbol, -1, without=without) if free and _shares(held) else held.qty
            for symbol, held in self.ledger.positions.items()
        }
        for symbol, change in changes.items():
            quantities[symbol] = quantities.get(symbol, 0.0) + change
        held = []
        spots = {}
        for symbol, quantity in quantities.items():
            contract = contract_of(symbol)
            if contract is not None and quantity:
                last = self.book(symbol).last
                held.append((contract, quantity * CONTRACT_SIZE, 0.0 if math.isnan(last) else last))
                if contract.root in self.books:
                    spots[contract.root] = self.books[contract.root].last
        return collateral(held, quantities, spots, naked=self.leverage > 1.0)

    def more_tied(self, changes: Mapping[str, float], *, without: Order | None = None) -> float:
        """Return how much more sold options tie up once positions have changed by so much.

        Shares that an order other than `without` will sell cover nothing: nobody asks again when they go.
        """
        before = self.tied_up({}, free=True, without=without)
        after = self.tied_up(changes, free=True, without=without)
        return after - before if after != before else 0.0  # both may be infinite

    def option_need(
        self, changes: Mapping[str, float], paid: float, *, without: Order | None = None
    ) -> float:
        """Return the buying power that a trade in options takes: what it costs and what it ties up.

        0 for a trade that only closes and ties up no more than before.
        """
        more = self.more_tied(changes, without=without)
        closes = all(self.ledger.quantity(symbol) * change < 0.0 for symbol, change in changes.items())
        if closes and more <= 0.0:
            return 0.0
        return paid + more

    def affords(self, need: float, available: float) -> bool:
        """Whether buying power covers a need, rounding aside."""
        return need <= max(available, 0.0) + _SLACK

    def reserve(self, order: Order, amount: float) -> None:
        """Let a working order hold so much of the buying power."""
        self.reserved += amount - order.reserve
        order.reserve = amount
        if not self.orders.working:
            self.reserved = 0.0

    def to_close(self, symbol: str, side: int, *, without: Order | None = None) -> float:
        """Return how much of a position an order on this side may still close: what no other one will."""
        held = self.ledger.quantity(symbol)
        if held * side >= 0.0:
            return 0.0
        taken = 0.0
        groups: dict[int, float] = {}
        for order in self.books[symbol].rows:
            if order is None or order.side != side or not order.closes or order is without:
                continue
            if order.group is None or order not in order.group.children:
                taken += order.left if order.notional is None else self._units(order)
            elif without is None or order.group is not without.group:
                groups[id(order.group)] = max(groups.get(id(order.group), 0.0), order.left)
        for package in self.packages.values():
            for part in package.parts:
                if part.symbol == symbol and part.side == side and part.closes and package is not without:
                    taken += part.left
        return max(0.0, clean(abs(held) - taken - sum(groups.values())))

    def _units(self, order: Order) -> float:
        # Most that an order by amount of money will sell; it ends with its first fill.
        price = self.books[order.symbol].last if order.limit is None else order.limit
        return 0.0 if math.isnan(price) else (order.notional or 0.0) / price

    def note_trails(self) -> None:
        """Let orders that trail know what the kernel knows of them."""
        for order in self.orders.working.values():
            if order.kind == "trailing_stop" and order.row >= 0:
                self.books[order.symbol].note_trail(order)

    def fingerprint(self) -> str:
        """Return a SHA-256 over all that matters of it."""
        self.note_trails()
        working = [
            (number, order.pack(), order.reserve) for number, order in sorted(self.orders.working.items())
        ]
        plain: Any = (
            working,
            sorted(self.orders.packed.items()),
            self.ledger.state(),
            [self.books[symbol].state() for symbol in sorted(self.books)],
            (self.now, self.ended, self.reserved, self.last_equity, self.told),
        )
        return hashlib.sha256(marshal.dumps(plain, PLAIN)).hexdigest()


def _shares(held: Position) -> bool:
    return held.multiplier == 1.0 and held.qty > 0.0


def _instruments() -> npt.NDArray[np.void]:
    table = np.zeros(2, INSTRUMENT)
    table["kind"] = (codes.INSTRUMENT_STOCK, codes.INSTRUMENT_OPTION)
    table["tick"], table["lot"], table["spread"] = _TICK, 1.0, np.nan
    table["multiplier"] = (1.0, CONTRACT_SIZE)
    return table
