"""What others see of a venue: account, positions, lists of orders and activities."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import islice
from typing import Any, Literal

from live.venue.orders import Order, time_of
from live.venue.state import State
from live.venue.types import VenueAccount, VenueActivity, VenueOrder, VenuePosition

__all__ = ["account_of", "activities_of", "orders_of", "position_of"]


def account_of(state: State) -> VenueAccount:
    """Return what the account is worth."""
    long, short, long_options, short_options = state.values()
    tied = state.tied_up({})
    return VenueAccount(
        id=f"{state.orders.salt}-{'f' * 12}",
        created_at=time_of(state.created),
        cash=state.ledger.cash,
        equity=state.equity(),
        last_equity=state.last_equity,
        buying_power=max(0.0, state.buying_power()),
        multiplier=state.leverage,
        long_market_value=long + long_options,
        short_market_value=-(short + short_options),
        initial_margin=(long + short) / state.leverage + long_options + (0.0 if math.isinf(tied) else tied),
        realized_pl=state.ledger.realized,
        fees=state.ledger.fees,
    )


def position_of(state: State, symbol: str) -> VenuePosition:
    """Return what is held of a symbol."""
    held = state.ledger.positions[symbol]
    book = state.books[symbol]
    price = state.mark(symbol)
    units = held.qty * held.multiplier
    return VenuePosition(
        symbol=symbol,
        asset_class="us_option" if book.contract else "us_equity",
        qty=held.qty,
        qty_available=state.to_close(symbol, -1 if held.qty > 0.0 else 1),
        multiplier=held.multiplier,
        avg_entry_price=held.average,
        current_price=price,
        lastday_price=None if math.isnan(book.lastday) else book.lastday,
        market_value=units * price,
        cost_basis=units * held.average,
        unrealized_pl=units * (price - held.average),
        unrealized_intraday_pl=units * (price - held.base),
    )


def orders_of(
    state: State,
    status: Literal["open", "closed", "all"],
    symbols: set[str] | None,
    side: str | None,
    after: int | None,
    until: int | None,
    limit: int | None,
    *,
    nested: bool,
    newest: bool,
) -> list[VenueOrder]:
    """Return orders; see `Venue.orders`."""

    def wanted(order: Order) -> bool:
        leg = order.parent >= 0 and (nested or order.order_class == "mleg")
        return (
            not leg
            and (status == "all" or order.working == (status == "open"))
            and (symbols is None or not symbols.isdisjoint(_symbols(state, order)))
            and (side is None or order.side == (1 if side == "buy" else -1))
            and (after is None or order.created > after)
            and (until is None or order.created <= until)
        )

    orders = state.orders
    numbers: Any = sorted(orders.working) if status == "open" else range(orders.count)
    if after is not None:
        # numbers rise with time, so what is too old need not be looked at
        numbers = numbers[bisect_right(numbers, after, key=lambda number: orders.get(number).created) :]
    ordered = reversed(numbers) if newest else numbers
    found = (order for number in ordered if wanted(order := orders.get(number)))
    state.note_trails()
    return [
        orders.view(order, nested=nested or order.order_class == "mleg") for order in islice(found, limit)
    ]


def _symbols(state: State, order: Order) -> set[str]:
    if order.symbol:
        return {order.symbol}
    return {state.orders.get(leg).symbol for leg in order.legs}


def activities_of(
    state: State,
    kinds: set[str] | None,
    after: int | None,
    until: int | None,
    limit: int | None,
    *,
    newest: bool,
    beyond: str = "",
) -> list[VenueActivity]:
    """Return activities; see `Venue.activities`."""
    every = state.ledger.between(after, until, newest=newest, beyond=beyond)
    return list(islice((one for one in every if kinds is None or one.kind in kinds), limit))
