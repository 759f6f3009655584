"""The market moves: ticks and quotes match at once, bars as the kernel walks through them, and sessions end.

A bar is matched at its open, inside, and its trails follow it; an order that arrives after it waits for the
next one, because its close is past. What the inside of a bar frees serves later bars only.

Of a bar that orders have come during, each sees what was still to come: those that were there the whole bar,
the younger ones its close, after the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from live.venue.book import Book, first_come
from live.venue.fills import carry_out, end_group, match, wake_all
from live.venue.orders import Order
from live.venue.packages import match_packages
from live.venue.settlement import settle_expiries
from live.venue.state import NEVER, State
from simulator.errors import DataError
from simulator.kernel.resting import PART_INSIDE, PART_OPEN, PART_RAISE, PART_TICK

__all__ = ["Price", "Row", "bar", "check_prices", "check_rows", "expire_day", "tick"]

Price = float | tuple[float, float]
"""A trade, or bid and ask; a bid or ask of 0 is none."""

Row = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""


def check_prices(prices: Mapping[str, Price]) -> None:
    """Raise `DataError` VENUE_MARKET where a price cannot be one."""
    for symbol, price in prices.items():
        values = price if isinstance(price, tuple) else (price,)
        least = 0.0 if isinstance(price, tuple) else math.ulp(0.0)
        if len(values) not in (1, 2) or not all(math.isfinite(one) and one >= least for one in values):
            raise _bad(symbol, f"{price!r} is neither a price above 0 nor (bid, ask)")


def check_rows(rows: Mapping[str, Row]) -> None:
    """Raise `DataError` VENUE_MARKET where a bar cannot be one."""
    for symbol, row in rows.items():
        good = len(row) == 5 and all(math.isfinite(one) for one in row)
        if good:
            open_, high, low, close, volume = row
            good = 0.0 < low <= min(open_, close) and max(open_, close) <= high and volume >= 0.0
        if not good:
            raise _bad(symbol, f"{row!r} is no open, high, low, close and volume")


def _bad(symbol: object, what: str) -> DataError:
    return DataError(f"{symbol!s}: {what}", code="VENUE_MARKET")


def tick(state: State, prices: Mapping[str, Price], volumes: Mapping[str, float]) -> None:
    """Take in prices of one moment, and match what they meet."""
    touched: list[Book] = []
    for symbol, price in prices.items():
        book = state.book(symbol)
        if isinstance(price, tuple):
            book.quote_at(price[0], price[1], state.params)
        else:
            book.trade_at(price, volumes.get(symbol, math.nan))
        touched.append(book)
    for book in touched:
        waiting = _open(book)
        match(state, book, PART_TICK)
        _after_open(state, book, waiting=waiting)
    match_packages(state, set(prices))
    _end_instants(state, touched)


def bar(state: State, rows: Mapping[str, Row], began: int | None = None) -> None:
    """Walk through the bars of one moment; orders that came after `began` see their close alone."""
    if began is not None:
        state.began = began
    touched: list[Book] = []
    waiting: dict[str, bool] = {}
    for symbol, row in rows.items():
        book = state.book(symbol)
        book.bar_of(*row)
        for order in _young(state, book):
            book.wake(order, 0)
        waiting[symbol] = _open(book, state.began)
        touched.append(book)
    proposals = [(one, book) for book in touched for one in book.propose(state.params, PART_OPEN)]
    for proposal, book in sorted(proposals, key=lambda pair: first_come(pair[0])):
        carry_out(state, book, proposal, PART_OPEN)
    for book in touched:
        _after_open(state, book, waiting=waiting[book.symbol])
    _end_instants(state, touched)
    state.freed = 0.0
    for book in touched:
        match(state, book, PART_INSIDE)
    state.freed = 0.0
    for book in touched:
        book.propose(state.params, PART_RAISE)
        book.only_close()
    wake_all(touched)
    if began is not None:
        for book in touched:
            _at_close(state, book)
        state.began = NEVER
        _end_instants(state, touched)
    match_packages(state, set(rows))


def _young(state: State, book: Book) -> list[Order]:
    # Orders that came while the bar was on its way.
    return [order for order in book.rows if order is not None and order.created > state.began]


def _at_close(state: State, book: Book) -> None:
    for order in sorted(_young(state, book), key=lambda one: (not one.closes, one.number)):
        if order.working and order.row >= 0 and order.tif not in ("opg", "cls"):
            book.wake(order)
            match(state, book, PART_TICK, order)


def expire_day(state: State, session: int) -> None:
    """End a session: orders for the close, then for the day, then options (`session` as `date.toordinal`)."""
    for order in list(state.orders.working.values()):
        if order.tif == "cls" and order.working and order.row >= 0:
            book = state.books[order.symbol]
            book.wake(order)
            if book.opened:
                match(state, book, PART_TICK, order)
            if order.working:
                end_group(state, order, "canceled", "not filled at the close")
    state.instant.clear()
    for order in list(state.orders.working.values()):
        leg = order.parent >= 0 and order.order_class == "mleg"
        if order.working and not leg and order.tif in ("day", "ioc", "fok"):
            end_group(state, order, "expired")
    state.ended = max(state.ended, session)
    settle_expiries(state, session)
    state.last_equity = state.equity()
    for symbol, book in state.books.items():
        book.lastday = book.last
        book.opened = book.live = False
        held = state.ledger.positions.get(symbol)
        if held is not None:
            held.end_day(state.mark(symbol))


def _open(book: Book, began: int = NEVER) -> bool:
    # Whether this is the first price of the session, which orders on the open wait for.
    if book.opened:
        return False
    book.opened = True
    for order in book.rows:
        if order is not None and order.tif == "opg" and order.created <= began:
            book.wake(order)
    return True


def _after_open(state: State, book: Book, *, waiting: bool) -> None:
    if waiting:
        for order in list(book.rows):
            if order is not None and order.tif == "opg" and order.created <= state.began:
                end_group(state, order, "canceled", "not filled at the open")


def _end_instants(state: State, touched: list[Book]) -> None:
    if not state.instant:
        return
    seen = {book.symbol for book in touched}
    left = []
    for order in state.instant:
        if not order.working:
            continue
        if order.created > state.began:
            left.append(order)
        elif order.symbol in seen or any(part.symbol in seen for part in order.parts):
            end_group(state, order, "canceled", "could not be filled at once")
        else:
            left.append(order)
    state.instant = left
