"""Orders as Interactive Brokers has them, made from ours.

The reference of an order (`orderRef`) is our client order id; children have it with "-stop" or "-target". A
bracket is a parent and children that name it by `parentId`, of which only the last is transmitted, so that
the gateway sends all or none. An oco is two orders of one group that reduce each other ("ocaType" 2): with
type 1 a part of the target would cancel the whole stop. A package is bought as a combination (BAG) whose legs
have their own sides, so that its limit is what it costs: a credit is a negative limit.
"""

from __future__ import annotations

import math
from typing import Any, Final

from live.brokers.interactive_brokers.door import library
from live.brokers.interface import OrderRequest
from live.brokers.ticks import net_priced, priced, steps_of

__all__ = ["OCA_REDUCE", "STOP", "TARGET", "contract_for", "orders_for", "orders_of"]

STOP: Final = "-stop"
TARGET: Final = "-target"
OCA_REDUCE: Final = 2

_TYPES: Final = {
    "market": "MKT", "limit": "LMT", "stop": "STP", "stop_limit": "STP LMT", "trailing": "TRAIL",
}  # fmt: skip


def contract_for(request: OrderRequest, contracts: dict[str, Any]) -> Any:
    """Return the contract that an order is in; of a package the combination of its legs."""
    if request.order_class != "multi_leg":
        return contracts[request.symbol]
    lib = library()
    units = combos(request)
    legs = [
        lib.ComboLeg(
            conId=contracts[leg.symbol].conId, ratio=round(abs(leg.quantity) / units),
            action=_action(leg.quantity), exchange="SMART",
        )
        for leg in request.legs
    ]  # fmt: skip
    first = contracts[request.symbol]
    return lib.Contract(
        secType="BAG", symbol=first.symbol, exchange="SMART", currency=first.currency or "USD", comboLegs=legs
    )


def orders_for(request: OrderRequest, account: str, ids: list[int]) -> list[Any]:
    """Return the orders to place, in the order in which they are placed, and numbered so.

    Parameters
    ----------
    account
        Number of the account.
    ids
        As many numbers as `orders_of` says.
    """
    lib = library()
    key = request.client_order_id
    package = request.order_class == "multi_leg"
    quantity = float(combos(request)) if package else abs(request.legs[0].quantity)
    main = lib.Order(
        orderId=ids[0],
        action="BUY" if package else _action(request.legs[0].quantity),
        totalQuantity=quantity,
        orderType=_TYPES[request.kind],
        tif=request.tif.upper(),
        orderRef=key,
        account=account,
    )
    if request.limit_price is not None:
        # 0.0 - x, since -0.0 would go out as such
        main.lmtPrice = (
            0.0 - net_priced(request.limit_price)
            if package
            else priced(request.limit_price, side=_side(main))
        )
    if request.stop_price is not None:
        main.auxPrice = steps_of(request.stop_price)
    if request.trail_amount is not None:
        main.auxPrice = steps_of(request.trail_amount)
    if request.trail_percent is not None:
        main.trailingPercent = request.trail_percent
    if request.order_class == "bracket":
        return _bracket(request, main, ids)
    if request.order_class == "oco":
        return _pair(request, main, ids)
    return [main]


def orders_of(request: OrderRequest) -> int:
    """Return of how many orders a request is made."""
    if request.order_class == "oco":
        return 2
    if request.order_class == "bracket":
        return 1 + (request.stop_loss is not None) + (request.take_profit is not None)
    return 1


def combos(request: OrderRequest) -> int:
    """Return how many units a package has: the greatest common divisor of its legs."""
    return math.gcd(*(abs(int(leg.quantity)) for leg in request.legs))


def _bracket(request: OrderRequest, main: Any, ids: list[int]) -> list[Any]:
    lib = library()
    back = "SELL" if main.action == "BUY" else "BUY"
    orders = [main]
    wanted = [(TARGET, "LMT", request.take_profit), (STOP, "STP", request.stop_loss)]
    for ending, kind, price in wanted:
        if price is None:
            continue
        child = lib.Order(
            orderId=ids[len(orders)], parentId=ids[0], action=back, totalQuantity=main.totalQuantity,
            orderType=kind, tif="GTC", orderRef=main.orderRef + ending, account=main.account,
        )  # fmt: skip
        if kind == "LMT":
            child.lmtPrice = priced(price, side=_side(child))
        else:
            child.auxPrice = steps_of(price)
        orders.append(child)
    for order in orders:
        order.transmit = order is orders[-1]
    return orders


def _pair(request: OrderRequest, main: Any, ids: list[int]) -> list[Any]:
    stop = library().Order(
        orderId=ids[0], action=main.action, totalQuantity=main.totalQuantity, orderType="STP",
        auxPrice=steps_of(request.stop_loss or 0.0), tif="GTC", orderRef=main.orderRef + STOP,
        account=main.account,
    )  # fmt: skip
    for order in (main, stop):
        order.ocaGroup, order.ocaType = main.orderRef, OCA_REDUCE
    # the stop first: if only one arrives, it is the one that protects; numbers rise as orders are placed
    main.orderId = ids[1]
    return [stop, main]


def _side(order: Any) -> int:
    return 1 if order.action == "BUY" else -1


def _action(quantity: float) -> str:
    return "BUY" if quantity > 0 else "SELL"
