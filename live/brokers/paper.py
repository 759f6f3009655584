"""`PaperBroker`: a paper account behind the interface of brokers, with the kernel's matching.

The account is a `Venue`; whoever feeds it prices (`venue.tick`, `venue.quote`, `venue.bar`) makes it trade.
Two words differ from the venue's own. Children of a bracket stay until they are cancelled, whatever the time
in force of their entry: they protect a position. And a replaced order keeps its client order id, so that
whoever looks for it finds the one that works.

>>> from datetime import datetime, UTC
>>> broker = PaperBroker()
>>> broker.venue.tick(datetime(2026, 3, 2, 15, tzinfo=UTC), {"AAPL": 100.0})
>>> broker.submit_order(OrderRequest(client_order_id="a-1", legs=(Leg("AAPL", 10),))).outcome
<Outcome.CONFIRMED: 'confirmed'>
>>> broker.get_positions()[0].quantity
10.0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from live.brokers.interface import (
    Account,
    BrokerInterface,
    BrokerOrder,
    Leg,
    OrderKind,
    OrderRequest,
    Outcome,
    Submitted,
)
from live.venue.types import (
    OrderClass,
    Side,
    VenueActivity,
    VenueLeg,
    VenueOrder,
    VenueRejected,
    VenueRequest,
)
from live.venue.venue import Venue
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError, UnknownNameError
from simulator.types import OrderState

__all__ = ["PaperBroker"]

_STATES: Final = {
    "new": OrderState.SUBMITTED,
    "held": OrderState.SUBMITTED,
    "partially_filled": OrderState.PARTIALLY_FILLED,
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "replaced": OrderState.CANCELLED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
}
_KINDS: Final[dict[str, Literal["trade", "exercise", "assignment", "expiry"]]] = {
    "FILL": "trade",
    "OPEXC": "exercise",
    "OPASN": "assignment",
    "OPEXP": "expiry",
    "OPTRD": "exercise",
}


class PaperBroker(BrokerInterface):
    """One paper account.

    Parameters
    ----------
    venue
        What matches; None opens an account of 100,000 in memory.
    account
        Name of the account.
    """

    def __init__(self, venue: Venue | None = None, *, account: str = "paper") -> None:
        self._venue = Venue() if venue is None else venue
        self._account = account

    @property
    def venue(self) -> Venue:
        """What matches, to be fed with prices."""
        return self._venue

    @property
    def broker(self) -> str:
        """Return "paper"."""
        return "paper"

    @property
    def account(self) -> str:
        """Name of the account."""
        return self._account

    @property
    def is_paper(self) -> bool:
        """Return True."""
        return True

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Take an order in; the same id again is the same order. Refusals have the venue's codes."""
        key = request.client_order_id
        there = self.find_order(key)
        if there is not None:
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=there)
        try:
            order = self._venue.submit(_request(request))
        except VenueRejected as error:
            return Submitted(
                outcome=Outcome.REJECTED, client_order_id=key, code=error.code, message=str(error.args[0])
            )
        return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=self._order(order))

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Put a new order into the place of a working one; `quantity` counts what has filled already.

        Raises `UnknownNameError` NAME_ORDER, `ConfigError` LIVE_ORDER_FINAL, `VenueRejected` where the
        change is refused.
        """
        old = self._venue.order(order_id)
        if quantity is not None and old.order_class == "mleg":
            quantity /= old.legs[0].ratio_qty or 1
        try:
            new = self._venue.replace(order_id, qty=quantity, limit_price=limit_price, stop_price=stop_price)
        except VenueRejected as error:
            if error.code != "VENUE_FINAL":
                raise
            raise ConfigError(f"order {order_id}: {error.args[0]}", code="LIVE_ORDER_FINAL") from error
        return self._order(new)

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Cancel an order and return it; what is final stays so. Raises `UnknownNameError` NAME_ORDER."""
        return self._order(self._venue.cancel(order_id))

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id, or what replaced it."""
        try:
            order = self._venue.order_by_client_id(client_order_id)
        except UnknownNameError:
            return None
        while order.replaced_by:
            order = self._venue.order(order.replaced_by)
        return self._order(order)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders, oldest first; children stand beside their parents."""
        orders = self._venue.orders("open" if open_only else "all", direction="asc")
        return [self._order(order) for order in orders]

    def get_positions(self) -> Sequence[Holding]:
        """Return what is held."""
        return [
            Holding(
                symbol=held.symbol,
                quantity=held.qty,
                average_price=held.avg_entry_price,
                multiplier=held.multiplier,
                mark=held.current_price,
            )
            for held in self._venue.positions()
        ]

    def get_account(self) -> Account:
        """Return what the account is worth."""
        worth = self._venue.account()
        return Account(cash=worth.cash, equity=worth.equity, buying_power=worth.buying_power)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return fills, exercises, assignments and expiries at or after `since`, oldest first."""
        after = None if since is None else since - timedelta(microseconds=1)
        found = self._venue.activities(_KINDS, after=after, direction="asc")
        return [self._execution(activity) for activity in found]

    def _execution(self, activity: VenueActivity) -> Execution:
        order = self._venue.order(activity.order_id) if activity.order_id else None
        number = "" if order is None else order.id
        if order is not None and order.order_class == "mleg":
            number = order.parent_id
        kind = _KINDS[activity.kind]
        if activity.kind == "OPTRD" and activity.description.startswith("assignment"):
            kind = "assignment"
        side = 1 if activity.qty > 0.0 else -1
        if activity.kind == "FILL":
            side = 1 if activity.side == "buy" else -1
        return Execution(
            execution_id=activity.execution_id,
            order_id=number,
            time=activity.time,
            symbol=activity.symbol,
            side=side,
            quantity=abs(activity.qty),
            price=activity.price,
            multiplier=activity.multiplier,
            fees=activity.fees,
            kind=kind,
        )

    def _order(self, order: VenueOrder) -> BrokerOrder:
        package = order.order_class == "mleg"
        if package and order.parent_id:
            return self._order(self._venue.order(order.parent_id))
        first = order.legs[0].ratio_qty or 1 if package else 1
        quantity = order.qty if order.qty is not None else order.filled_qty
        sides = {"buy": 1.0, "sell": -1.0}
        if package:
            legs = tuple(Leg(leg.symbol, sides[leg.side] * (leg.qty or 0.0)) for leg in order.legs)
        else:
            # an order by amount has no quantity until it fills
            legs = (Leg(order.symbol, sides[order.side] * (quantity or math.nan)),)
        kind: OrderKind = "trailing" if order.kind == "trailing_stop" else order.kind
        return BrokerOrder(
            order_id=order.id,
            client_order_id=self._client_id(order),
            legs=legs,
            kind=kind,
            state=_STATES[order.status],
            quantity=quantity * first,
            filled=order.filled_qty * first,
            average_price=order.filled_avg_price,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            parent_id=order.parent_id,
        )

    def _client_id(self, order: VenueOrder) -> str:
        while order.replaces:
            order = self._venue.order(order.replaces)
        return order.client_order_id


def _request(request: OrderRequest) -> VenueRequest:
    fields: dict[str, Any] = {
        "kind": "trailing_stop" if request.kind == "trailing" else request.kind,
        "limit_price": request.limit_price,
        "stop_price": request.stop_price,
        "trail_price": request.trail_amount,
        "trail_percent": request.trail_percent,
        "tif": request.tif,
        "client_order_id": request.client_order_id,
    }
    if request.order_class == "multi_leg":
        quantity = math.gcd(*(abs(int(leg.quantity)) for leg in request.legs))
        legs = tuple(
            VenueLeg(symbol=leg.symbol, side=_side(leg), ratio_qty=abs(int(leg.quantity)) // quantity)
            for leg in request.legs
        )
        return VenueRequest(order_class="mleg", qty=float(quantity), legs=legs, **fields)
    (leg,) = request.legs
    order_class: OrderClass = "simple"
    if request.order_class == "oco":
        order_class = "oco"
    elif request.order_class == "bracket":
        order_class = "bracket" if request.take_profit is not None else "oto"
    return VenueRequest(
        symbol=leg.symbol,
        side=_side(leg),
        qty=abs(leg.quantity),
        order_class=order_class,
        take_profit=request.take_profit,
        stop_loss=request.stop_loss,
        children_tif="gtc" if order_class in ("bracket", "oto") else None,
        **fields,
    )


def _side(leg: Leg) -> Side:
    return "buy" if leg.quantity > 0 else "sell"
