"""Trailing stops, which tastytrade has not: where a stop that rests at the broker has to be now.

What is needed is in the order: how far it trails is in its name, and its best price so far follows from where
it stands. So nothing has to be remembered. A stop is moved towards the price and never back; a price that
cannot be used, because it is missing, crossed or not above 0, moves nothing.
"""

from __future__ import annotations

from typing import Final

from live.brokers.interface import OrderRequest
from live.brokers.tastytrade.readings import Story
from live.brokers.told import Quote
from simulator.errors import FetchError

__all__ = ["first_stop", "moved"]

CENT: Final = 0.01


def first_stop(request: OrderRequest, quote: Quote) -> float:
    """Return where a trailing stop begins.

    Raises
    ------
    FetchError
        LIVE_NO_PRICE without a price to trail.
    """
    side = 1.0 if request.legs[0].quantity > 0 else -1.0
    price = quote.price
    if not price > 0.0:
        raise FetchError(
            f"{request.symbol}: tastytrade gives no price now, and an emulated trailing stop begins at one",
            code="LIVE_NO_PRICE",
        )
    if request.trail_percent is not None:
        return _cents(price * (1.0 + side * request.trail_percent / 100.0))
    return _cents(price + side * (request.trail_amount or 0.0))


def moved(story: Story, quote: Quote) -> float | None:
    """Return where the stop has to be; None where it is."""
    order, name = story.order(), story.name
    price, stop = quote.price, order.stop_price
    if not price > 0.0 or stop is None:
        return None
    side = 1.0 if order.legs[0].quantity > 0 else -1.0
    wanted = price * (1.0 + side * name.trail / 100.0) if name.unit == "p" else price + side * name.trail
    wanted = _cents(wanted)
    # a stop that sells is below the price, and gains by rising
    better = (stop - wanted) * side
    return wanted if better > CENT / 2.0 and wanted > 0.0 else None


def _cents(price: float) -> float:
    return round(price, 2)
