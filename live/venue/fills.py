"""Fills: what the kernel proposes, carried out one after the other, and what each does to orders around it.

A fill changes the position and the cash first, then the order, then its group: an entry arms its children for
what it has filled, a child that fills ends the other, and any child ends what is left of the entry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from live.venue.book import Book, Proposal
from live.venue.ledger import clean
from live.venue.orders import Group, Order
from live.venue.state import OPTION, STOCK, State
from live.venue.types import Status, UpdateEvent
from simulator.kernel.resting import (
    LIVE_SINCE_OPEN,
    PART_AFTER_LIMIT,
    PART_AFTER_STOP,
    PART_INSIDE,
    PART_OPEN,
    PART_TICK,
    fill_terms,
)

__all__ = ["carry_out", "end", "end_group", "match", "pair", "wake_all"]

_DUST: Final = 1e-9  # what rounding leaves of a quantity
_EVENTS: Final[dict[Status, UpdateEvent]] = {
    "filled": "fill",
    "canceled": "canceled",
    "expired": "expired",
    "replaced": "replaced",
    "rejected": "rejected",
}


def match(state: State, book: Book, part: int, order: Order | None = None) -> None:
    """Match the orders of a book, or one of them, with a part of its bar, and carry out what fills."""
    for proposal in book.propose(state.params, part, order):
        carry_out(state, book, proposal, part)


def carry_out(state: State, book: Book, proposal: Proposal, part: int) -> None:
    """Carry a proposed fill out as far as volume, cash and position allow."""
    order, raw, slips = proposal
    if not order.working or order.row < 0:
        return
    by_limit = book.by_limit(order)
    _fill(state, book, order, raw, slips=slips, inside=part == PART_INSIDE)
    while state.armed:
        child = state.armed.pop(0)
        if not child.working or child.row < 0:
            continue
        if part == PART_TICK:
            match(state, book, PART_TICK, child)
        elif child.created > state.began:
            book.wake(child, 0)  # until the close
        elif state.children_wait:
            book.wake(child, 0)
            book.asleep.append(child)
        elif part == PART_OPEN:
            book.wake(child, LIVE_SINCE_OPEN)
            book.asleep.append(child)
        elif part == PART_INSIDE:
            after = PART_AFTER_LIMIT if by_limit else PART_AFTER_STOP
            met = (order.limit if by_limit else order.stop) or 0.0
            for found in book.propose(state.params, after, child, met * order.side):
                carry_out(state, book, found, after)


def _fill(state: State, book: Book, order: Order, raw: float, *, slips: bool, inside: bool) -> None:
    price, wanted, granted, quantity, fee = _terms(state, book, order, raw, slips=slips)
    if not wanted > 0.0:
        end_group(state, order, "canceled", "nothing is left to close")
        return
    if book.contract is not None and quantity > 0.0:
        change = order.side * quantity
        need = state.option_need({order.symbol: change}, change * price * book.multiplier + fee)
        if need > 0.0 and not state.affords(need, state.buying_power(without=order)):
            granted = quantity = 0.0
    if order.tif == "fok" and quantity < wanted - _DUST:
        end_group(state, order, "canceled", "could not be filled as a whole")
        return
    if quantity > 0.0:
        before = state.buying_power() if inside else 0.0
        _book_fill(state, book, order, quantity, price, fee, short=granted < wanted - _DUST)
        if inside:
            state.freed += max(0.0, state.buying_power() - before)
    elif granted <= 0.0:
        end_group(state, order, "canceled", "buying power does not cover the fill")
    elif order.kind in ("stop", "trailing_stop"):
        _go_on_at_market(state, book, order)


def _terms(
    state: State, book: Book, order: Order, raw: float, *, slips: bool
) -> tuple[float, float, float, float, float]:
    # Price, quantity wanted, what cash grants of it, what volume leaves of that, and the fee.
    out = np.zeros(4)
    held = state.ledger.quantity(order.symbol)
    closable = abs(held) if held * order.side < 0.0 else 0.0
    whole = order.qty is not None and order.left == int(order.left)
    params = state.whole_params if whole else state.params
    option = book.contract is not None
    available = math.inf if option else max(0.0, state.buying_power(without=order) - state.freed)

    def ask(wanted: float) -> None:
        closing = min(wanted, closable)
        opening = wanted - closing
        fill_terms(
            params, state.instruments, OPTION if option else STOCK, float(order.side), raw, int(slips),
            book.spread, book.span, closing, opening, available, book.volume, book.used, out,
        )  # fmt: skip

    if order.notional is not None:
        ask(0.0)
        wanted = math.floor(order.notional / out[0] * 1e9) / 1e9
    else:
        wanted = order.left
    if order.group is not None and order in order.group.children:
        wanted = min(wanted, closable)  # a child leaves its position and opens none
    if wanted > 0.0:
        ask(wanted)
    return float(out[0]), wanted, clean(out[1]), clean(out[2]), float(out[3])


def _book_fill(
    state: State, book: Book, order: Order, quantity: float, price: float, fee: float, *, short: bool
) -> None:
    before = state.ledger.quantity(order.symbol)
    state.ledger.trade(order.symbol, order.side * quantity, price, book.multiplier, fee)
    book.used += quantity
    order.filled = clean(order.filled + quantity)
    order.value += quantity * price
    order.updated = state.now
    left = 0.0 if order.notional is not None else clean(order.left)
    done = left <= 0.0
    execution = state.ledger.note(
        state.now, kind="FILL", symbol=order.symbol,
        side="buy" if order.side > 0 else "sell_short" if before <= 0.0 else "sell",
        qty=quantity, price=price, multiplier=book.multiplier,
        net_amount=-order.side * quantity * price * book.multiplier - fee, fees=fee,
        order_id=state.orders.id_of(order.number), cum_qty=order.filled, leaves_qty=left, partial=not done,
    )  # fmt: skip
    group = order.group
    child = group is not None and order in group.children
    if done:
        end(state, order, "filled", execution=execution, price=price, qty=quantity)
    else:
        order.status = "partially_filled"
        state.reserve(order, order.unit * order.left)
        state.tell("partial_fill", order, execution=execution, price=price, qty=quantity)
        if order.kind in ("stop", "trailing_stop"):
            _go_on_at_market(state, book, order)
        if short:
            end(state, order, "canceled", "buying power does not cover the rest")
    if group is not None:
        if child:
            group.left = clean(group.left + quantity)
            _after_child(state, group, order)
        else:
            group.entered = clean(group.entered + quantity)
            _arm(state, group)


def _arm(state: State, group: Group) -> None:
    """Let the children of an entry work for what it has filled."""
    fresh = [child for child in group.children if child.status == "held"]
    for child in group.children:
        _resize(state, group, child)
    for child in fresh:
        child.status = "new"
        child.closes = True
        child.updated = state.now
        book = state.books[child.symbol]
        book.add(child)
        state.armed.append(child)
        state.tell("new", child)
    if fresh:
        pair(state, group)


def pair(state: State, group: Group) -> None:
    """Tell the kernel that a group's two children close the same position."""
    if len(group.children) == 2 and all(child.row >= 0 for child in group.children):
        state.books[group.children[0].symbol].pair(*group.children)


def _resize(state: State, group: Group, child: Order) -> None:
    """Let a child have to fill what has entered and has not left yet."""
    qty = clean(child.filled + group.entered - group.left)
    if qty != child.qty:
        child.qty = qty
        child.updated = state.now
        if child.status != "held":
            state.tell("restated", child)


def _go_on_at_market(state: State, book: Book, order: Order) -> None:
    # A stop that was reached works at the market for what volume did not give it, so that the target of its
    # group has nothing left to wait for.
    book.note_trail(order)
    book.work_at_market(order)
    if order.group is not None and order in order.group.children:
        _end_others(state, order.group, order)


def _end_others(state: State, group: Group, child: Order) -> None:
    for other in [one for one in group.children if one is not child]:
        end(state, other, "canceled", "the other order of its group has filled, or was triggered")


def _after_child(state: State, group: Group, child: Order) -> None:
    for entry in list(group.entries):
        end(state, entry, "canceled", "its position is being left")
    if not child.working:
        _end_others(state, group, child)
    for other in group.children:
        if other is not child:
            _resize(state, group, other)


def end(
    state: State,
    order: Order,
    status: Status,
    reason: str = "",
    *,
    execution: str = "",
    price: float | None = None,
    qty: float | None = None,
) -> None:
    """Make an order final: take it from its book and its group, give back what it held, and tell."""
    book = state.books.get(order.symbol)
    if book is not None:
        book.remove(order)
    order.status = status
    order.reason = reason
    order.updated = state.now
    if status == "filled":
        order.filled_at = state.now
    elif status == "canceled":
        order.canceled_at = state.now
    elif status == "expired":
        order.expired_at = state.now
    elif status == "replaced":
        order.replaced_at = state.now
    for part in order.parts:
        part.status, part.updated = status, state.now
        part.filled_at, part.canceled_at, part.expired_at, part.replaced_at = (
            order.filled_at, order.canceled_at, order.expired_at, order.replaced_at,
        )  # fmt: skip
        state.orders.close(part)
    state.packages.pop(order.number, None)
    group = order.group
    if group is not None:
        for members in (group.entries, group.children):
            if order in members:
                members.remove(order)
    state.tell(_EVENTS[status], order, execution=execution, price=price, qty=qty)
    state.orders.close(order)
    state.reserve(order, 0.0)


def end_group(state: State, order: Order, status: Status, reason: str = "") -> None:
    """Make an order final, and what cannot be without it: its pair, or the children of an entry."""
    group = order.group
    if group is None:
        end(state, order, status, reason)
        return
    child = order in group.children
    end(state, order, status, reason)
    if child or (not group.entries and group.entered <= 0.0):
        for other in [*group.children, *(group.entries if child else ())]:
            end(state, other, status, reason)


def wake_all(books: Iterable[Book]) -> None:
    """Let the children of the bar before take part again."""
    for book in books:
        for child in book.asleep:
            if child.working and child.row >= 0:
                book.wake(child)
        book.asleep.clear()
