"""What is sent to Alpaca: an order of ours as alpaca-py has it.

Six rules of the broker's shape it. A bracket has both children or is refused, so one with a stop alone goes
out as "one triggers other". Children inherit the time in force of their entry, so every bracket goes out as
good till cancelled: for the day its stop would end with the day and leave the position bare. Fractions of
shares are for the day only, so what protects one is sent for the day. The net price of a package has the
other sign: paid is positive. Prices lie on the penny, below a dollar on a hundredth of it. And an option says
whether it opens or closes, so that an exit never opens a position on the other side.

>>> priced(100.128, side=1), priced(100.122, side=-1), priced(0.12345, side=1)
(100.12, 100.13, 0.1234)
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

from live.brokers.interface import Leg, OrderRequest, is_option
from live.brokers.ticks import net_priced, priced, steps_of

__all__ = ["changed_id", "numbered", "priced", "request_for", "steps_of"]

_KINDS: Final = {
    "market": "MarketOrderRequest",
    "limit": "LimitOrderRequest",
    "stop": "StopOrderRequest",
    "stop_limit": "StopLimitOrderRequest",
    "trailing": "TrailingStopOrderRequest",
}


def request_for(request: OrderRequest) -> Any:
    """Return the library's request; raises its `ValueError` for what it does not take."""
    import alpaca.trading.requests as library

    fields: dict[str, Any] = {
        "client_order_id": request.client_order_id,
        "time_in_force": _tif(request),
        **_prices(request),
    }
    if request.order_class == "multi_leg":
        quantity = math.gcd(*(abs(int(leg.quantity)) for leg in request.legs))
        fields |= {
            "order_class": "mleg",
            "qty": quantity,
            "legs": [
                library.OptionLegRequest(
                    symbol=leg.symbol, ratio_qty=abs(int(leg.quantity)) // quantity, **_way(request, leg)
                )
                for leg in request.legs
            ],
        }
    else:
        (leg,) = request.legs
        way = _way(request, leg)
        if not is_option(leg.symbol):
            del way["position_intent"]
        fields |= {"symbol": leg.symbol, "qty": _shares(leg), **way, **_children(request, leg)}
    return getattr(library, _KINDS[request.kind])(**fields)


def numbered(value: float) -> str:
    """Return a number as a decimal string of at most nine places, as the broker writes them."""
    return f"{Decimal(repr(round(value, 9))).normalize():f}"


def changed_id(identity: str, before: str) -> str:
    """Return the client order id of what replaces an order: ours, and how often it was changed.

    The same change sent again has the same id, and is refused by the broker as a duplicate.
    """
    _, mark, count = before.rpartition(CHANGED)
    return f"{identity}{CHANGED}{int(count) + 1 if mark and count.isdigit() else 1}"


CHANGED: Final = "~r"
"""Between our client order id and the number of the change."""


def _shares(leg: Leg) -> float:
    """Return a quantity without the dust of binary fractions: more than nine places are refused."""
    return float(numbered(abs(leg.quantity)))


def _tif(request: OrderRequest) -> str:
    if request.order_class == "bracket":
        return "gtc"
    leg = request.legs[0]
    fraction = not is_option(leg.symbol) and _shares(leg) % 1.0 != 0.0
    # a stop for the day is better than none, and is sent anew the next day
    return "day" if fraction and request.purpose == "protect" else request.tif


def _prices(request: OrderRequest) -> dict[str, Any]:
    if request.order_class == "multi_leg":
        # ours is what is received and at least that, theirs what is paid and at most that
        return {} if request.limit_price is None else {"limit_price": 0.0 - net_priced(request.limit_price)}
    side = 1 if request.legs[0].quantity > 0 else -1
    found: dict[str, Any] = {}
    if request.limit_price is not None:
        found["limit_price"] = priced(request.limit_price, side=side)
    if request.stop_price is not None:
        found["stop_price"] = steps_of(request.stop_price)
    if request.trail_amount is not None:
        found["trail_price"] = steps_of(request.trail_amount)
    if request.trail_percent is not None:
        found["trail_percent"] = request.trail_percent
    return found


def _children(request: OrderRequest, leg: Leg) -> dict[str, Any]:
    side = -1 if leg.quantity > 0 else 1  # of what leaves
    if request.order_class == "bracket":
        found: dict[str, Any] = {"stop_loss": {"stop_price": steps_of(request.stop_loss or 0.0)}}
        if request.take_profit is None:
            return {"order_class": "oto", **found}
        target = {"limit_price": priced(request.take_profit, side=side)}
        return {"order_class": "bracket", "take_profit": target, **found}
    if request.order_class == "oco":
        return {
            "order_class": "oco",
            "take_profit": {"limit_price": priced(request.limit_price or 0.0, side=-side)},
            "stop_loss": {"stop_price": steps_of(request.stop_loss or 0.0)},
        }
    return {}


def _way(request: OrderRequest, leg: Leg) -> dict[str, Any]:
    side = "buy" if leg.quantity > 0 else "sell"
    return {
        "side": side,
        "position_intent": f"{side}_to_{'open' if request.purpose == 'entry' else 'close'}",
    }
