"""What a quote or a bar of the real market means for the orders of a shadow book.

The venue decides what fills; here is said what it is shown, and that is never better than what was there:

    quote   buyers trade at the ask, sellers at the bid, options and packages too. A limit that has rested is
            met by the other side, and fills at its own price, however far the quote went between two looks.
    size    where the quote says how much is there, no more fills at once; a quote that has not changed gives
            no more. Where orders of both sides rest in a symbol, and for packages, sizes are not looked at.
    bar     it shows what the quotes between two looks did not. A limit is met where the bar traded through
            it, by a cent, not where it touched it; a stop where it was touched. What came into the book, or
            was armed, while the bar was on its way is not shown the bar, and with it the whole symbol. Of a
            bar's volume a tenth may be taken.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from live.brokers.told import Quote
from live.venue.market import Price, Row
from live.venue.types import VenueOrder
from simulator.conventions import Conventions
from simulator.costs import Costs

__all__ = [
    "CONVENTIONS", "Resting", "Seen", "Shown", "bar_for", "head_start", "may_act", "resting_of", "seen_of",
    "shown_to", "terms_of",
]  # fmt: skip

CONVENTIONS: Final = Conventions(collision="stop_first", volume_cap=1.0, name="shadow")

VOLUME_SHARE: Final = 0.1
"""Of a bar's volume, what may be taken."""

HEAD_START: Final = timedelta(seconds=60)
"""Longest time after the opening of a bar within which an order counts as one that was there: it answers the
bar before, and takes as long as data and decision take. At most a tenth of the bar."""

_CROSSED: Final = 0.5  # share of the spread that an option gives away: all the way to the other side

Shown = tuple[Price, float]
"""A price or (bid, ask), and the size that goes with it (NaN: not known)."""


@dataclass(frozen=True, slots=True)
class Resting:
    """An order that works in the shadow book, or the leg of a package.

    Attributes
    ----------
    kind
        As the venue's; "package" for a leg.
    side
        +1 or -1.
    since
        When it came, or was armed by its entry.
    begun
        Whether some of it has filled.
    """

    symbol: str
    kind: str
    side: int
    limit: float | None
    stop: float | None
    since: datetime
    begun: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A quote as it is shown to the book: 0 for a side that is not there, NaN for an unknown size."""

    bid: float
    ask: float
    bid_size: float = math.nan
    ask_size: float = math.nan

    @property
    def is_good(self) -> bool:
        """Whether one can trade at it."""
        return 0.0 < self.bid <= self.ask


def seen_of(quote: Quote, *, late_too: bool) -> Seen | None:
    """Return what of an adapter's quote may be traded at; None for one that is late, or lacks a side."""
    found = Seen(float(quote.bid), float(quote.ask), _size(quote.bid_size), _size(quote.ask_size))
    return found if found.is_good and (late_too or not quote.is_delayed) else None


def terms_of(costs: Costs | str | None, *, quotes: bool) -> Costs:
    """Return a book's costs: fees as given, options at the far side, no slippage where there are quotes."""
    crossed: dict[str, Any] = {
        name: _CROSSED
        for name in (
            "spread_share_1_leg",
            "spread_share_2_legs",
            "spread_share_3_legs",
            "spread_share_4_legs",
        )
    }
    if quotes:
        names = ("slippage_bps", "slippage_ticks", "slippage_range", "slippage_spread")
        crossed |= dict.fromkeys(names, 0.0)
    return dataclasses.replace(Costs.of(costs), **crossed)


def resting_of(orders: Iterable[VenueOrder]) -> list[Resting]:
    """Return what works, of orders that are not nested; children that wait for their entry do not."""
    return [one for order in orders if order.status != "held" for one in _parts(order)]


def may_act(order: Resting, low: float, high: float) -> bool:
    """Whether prices between `low` and `high` could do anything to an order; True where that is unsure.

    What can do nothing is not written into the file of the book, which else would grow with every quote.
    """
    if order.begun or order.kind not in ("limit", "stop", "stop_limit"):
        return True
    buys = order.side > 0
    met = order.limit is not None and (low <= order.limit if buys else high >= order.limit)
    reached = order.stop is not None and (high >= order.stop if buys else low <= order.stop)
    return met or reached


def shown_to(seen: Seen, orders: Sequence[Resting], coming: Sequence[int] = ()) -> list[Shown]:
    """Return what a quote shows to a symbol's orders, one after the other; the last is the quote itself.

    `coming` are the sides of an order that is on its way in, 0 for a leg of a package.
    """
    sides = {order.side for order in orders} | set(coming)
    whole = 0 in coming or any(order.kind == "package" for order in orders)
    # a limit that has rested is shown its own price first, which is no price for what waits for any
    hurries = any(order.kind == "market" or (order.begun and order.kind != "limit") for order in orders)
    limits = (
        []
        if hurries
        else [
            (order.side, order.limit) for order in orders if order.kind == "limit" and order.limit is not None
        ]
    )
    bids = sorted({limit for side, limit in limits if side > 0 and limit > seen.ask}, reverse=True)
    asks = sorted({limit for side, limit in limits if side < 0 and limit < seen.bid})
    size = seen.ask_size if 1 in sides else seen.bid_size
    if len(sides) == 1 and not whole and not math.isnan(size):
        # a trade has a size and a quote has none; with orders on one side alone they come to the same
        return [(price, size) for price in (*bids, *asks, seen.ask if 1 in sides else seen.bid)]
    pairs = [*((seen.bid, limit) for limit in bids), *((limit, seen.ask) for limit in asks)]
    return [(pair, math.nan) for pair in (*pairs, (seen.bid, seen.ask))]


def head_start(began: datetime, ended: datetime) -> datetime:
    """Return until when an order counts as one that was there when a bar began."""
    return began + min(HEAD_START, (ended - began) / 10)


def bar_for(row: Row, orders: Sequence[Resting], since: datetime) -> Row | None:
    """Return a bar as the orders of its symbol are shown it, None where they are not."""
    open_, high, low, close, volume = row
    if not orders or any(order.since > since for order in orders):
        return None
    if not any(may_act(order, low, high) for order in orders):
        return None
    step = 0.01 if low >= 1.0 else 0.0001
    # the extremes are drawn in by a cent, but not past a stop that they touch
    below = [
        order.stop for order in orders if order.side < 0 and order.stop is not None and order.stop >= low
    ]
    above = [
        order.stop for order in orders if order.side > 0 and order.stop is not None and order.stop <= high
    ]
    low = min(low + step, open_, close, *below)
    high = max(high - step, open_, close, *above)
    return open_, high, low, close, volume * VOLUME_SHARE


def _parts(order: VenueOrder) -> Iterator[Resting]:
    if order.order_class == "mleg":
        for leg in order.legs:
            side = 1 if leg.side == "buy" else -1
            yield Resting(leg.symbol, "package", side, None, None, order.created_at, False)
        return
    yield Resting(
        order.symbol, order.kind, 1 if order.side == "buy" else -1, order.limit_price, order.stop_price,
        # a child came with its entry and works since that has filled, which is when it was changed
        order.updated_at if order.parent_id else order.created_at, order.filled_qty > 0.0,
    )  # fmt: skip


def _size(told: float) -> float:
    return float(told) if told > 0.0 else math.nan
