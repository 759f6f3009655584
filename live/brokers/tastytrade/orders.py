"""What is sent: orders in the library's words.

Whether a leg opens or closes follows from what the order is for, and never from what is held: the ledger of
positions at tastytrade lags behind its fills, and whoever derives it sells to open what should be sold to
close. What closes also asks for strict validation, since tastytrade otherwise turns a closing order without a
position into an opening one.

Prices have the broker's sign: received is positive, so a single order to buy has a negative limit. The field
`behavior` is meant for a paper service of somebody else, has a default, and would be sent with every real
order; it is taken out.

A client order id travels as `external-identifier`, which tastytrade repeats and does not check. Behind it may
stand what a restart has to know: "-trail-p5" for a stop that trails by 5 percent, "-again-1" for an order
that took the place of one whose quantity was changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import Any, Final, Literal, NamedTuple

from live.brokers.interface import Leg, OrderRequest, is_option
from live.brokers.tastytrade.symbols import wire
from live.brokers.ticks import net_priced, priced, steps_of
from simulator.errors import ConfigError

__all__ = ["Name", "Preview", "built", "changed", "preview_of", "price_of", "read_name", "resized"]

_PLACES: Final = Decimal("0.0001")
_NAME: Final = re.compile(r"(.*?)(?:-trail-([ap])(\d+(?:\.\d+)?))?(?:-again-(\d+))?")
_CLOSES: Final = ("exit", "protect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What tastytrade says an order would do; it was not placed.

    Attributes
    ----------
    buying_power_change
        Currency; less is negative.
    fees
        Currency; paid is positive.
    warnings
        The broker's words.
    """

    buying_power_change: float
    fees: float
    warnings: tuple[str, ...] = ()


class Name(NamedTuple):
    """An external identifier in its parts.

    Attributes
    ----------
    identity
        The client order id.
    unit, trail
        "a" for an amount or "p" for percent, and how much; "" and 0.0 for what does not trail.
    again
        How often it was placed anew.
    """

    identity: str
    unit: str = ""
    trail: float = 0.0
    again: int = 0

    def __str__(self) -> str:
        """Return it as it is sent."""
        trail = f"-trail-{self.unit}{_plain(self.trail)}" if self.unit else ""
        return self.identity + trail + (f"-again-{self.again}" if self.again else "")


def read_name(external: str | None) -> Name:
    """Return an external identifier in its parts.

    >>> read_name("tw-1-trail-p2.5-again-2")
    Name(identity='tw-1', unit='p', trail=2.5, again=2)
    """
    found = _NAME.fullmatch(external or "")
    if found is None:
        return Name(external or "")
    identity, unit, trail, again = found.groups()
    return Name(identity, unit or "", float(trail or 0.0), int(again or 0))


def built(request: OrderRequest, *, stop: float | None = None) -> Any:
    """Return the library's order for a request: a simple one, or a complex one.

    Parameters
    ----------
    stop
        Where a trailing stop begins.

    Raises
    ------
    ConfigError
        LIVE_ORDER for a net price of 0, which the library sends without its sign.
    """
    order = import_module("tastytrade.order")
    if request.order_class in ("simple", "multi_leg"):
        return _entry(request, stop)
    (leg,) = request.legs
    if request.order_class == "oco":
        return order.OCOOrder(
            take_profit=_limit(leg, request.limit_price or 0.0, request.client_order_id, request.tif),
            stop_loss=_stop(leg, request.stop_loss or 0.0, f"{request.client_order_id}-stop", request.tif),
        )
    back = Leg(leg.symbol, -leg.quantity)
    # children protect a position, which may outlive the day of its entry
    stop_loss = _stop(back, request.stop_loss or 0.0, f"{request.client_order_id}-stop", "gtc")
    if request.take_profit is None:
        return order.OTOOrder(trigger_order=_entry(request, None), orders=[stop_loss])
    target = _limit(back, request.take_profit, f"{request.client_order_id}-target", "gtc")
    return order.OTOCOOrder(trigger_order=_entry(request, None), take_profit=target, stop_loss=stop_loss)


def changed(placed: Any, *, limit_price: float | None = None, stop_price: float | None = None) -> Any:
    """Return the order that takes the place of a placed one, with other prices and the same legs."""
    order = import_module("tastytrade.order")
    fields = _kept(placed)
    if limit_price is not None and "price" in fields:
        fields["price"] = price_of(_limited(limit_price, [leg.action.multiplier for leg in placed.legs]))
    if stop_price is not None and "stop_trigger" in fields:
        fields["stop_trigger"] = price_of(steps_of(stop_price))
    kinds = {
        "Limit": order.LimitOrder,
        "Market": order.MarketOrder,
        "Stop": order.StopOrder,
        "Stop Limit": order.StopLimitOrder,
    }
    return _clean(kinds[placed.order_type.value](**fields))


def resized(new: Any, quantities: Sequence[float], name: Name) -> Any:
    """Return an order with other quantities and another name."""
    legs = [
        leg.model_copy(update={"quantity": _quantity(quantity), "remaining_quantity": None, "fills": None})
        for leg, quantity in zip(new.legs, quantities, strict=True)
    ]
    return new.model_copy(update={"legs": legs, "external_identifier": str(name)})


def price_of(value: float) -> Decimal:
    """Return a price without the dust of binary fractions."""
    return Decimal(repr(float(value))).quantize(_PLACES).normalize() + Decimal(0)


def preview_of(response: Any) -> Preview:
    """Return what the answer to a dry run says."""
    effect, fees = response.buying_power_effect, response.fee_calculation
    return Preview(
        buying_power_change=float(effect.change_in_buying_power),
        fees=0.0 if fees is None else -float(fees.total_fees),
        warnings=tuple(str(one) for one in response.warnings or ()),
    )


def _entry(request: OrderRequest, stop: float | None) -> Any:
    order = import_module("tastytrade.order")
    name = Name(request.client_order_id)
    fields: dict[str, Any] = {
        "time_in_force": _tif(request.tif),
        "legs": [_leg(leg, closes=request.purpose in _CLOSES) for leg in request.legs],
    }
    if request.kind == "trailing":
        if stop is None:
            raise ConfigError(f"order {request.client_order_id}: no price to trail", code="LIVE_ORDER")
        unit, trail = ("p", request.trail_percent) if request.trail_percent else ("a", request.trail_amount)
        name = Name(request.client_order_id, unit, trail or 0.0)
        fields["stop_trigger"] = price_of(stop)
    if request.stop_price is not None:
        fields["stop_trigger"] = price_of(steps_of(request.stop_price))
    if request.limit_price is not None:
        received = _limited(request.limit_price, [leg.quantity for leg in request.legs])
        fields["price"] = _signed(received, request.client_order_id)
    kinds = {
        "market": order.MarketOrder, "limit": order.LimitOrder, "stop": order.StopOrder,
        "stop_limit": order.StopLimitOrder, "trailing": order.StopOrder,
    }  # fmt: skip
    return _clean(
        kinds[request.kind](external_identifier=str(name), **fields),
        closes=request.purpose in _CLOSES,
    )


def _limit(leg: Leg, price: float, identity: str, tif: Literal["day", "gtc"]) -> Any:
    order = import_module("tastytrade.order")
    new = order.LimitOrder(
        time_in_force=_tif(tif), legs=[_leg(leg, closes=True)],
        price=_signed(_limited(price, [leg.quantity]), identity), external_identifier=identity,
    )  # fmt: skip
    return _clean(new, closes=True)


def _stop(leg: Leg, price: float, identity: str, tif: Literal["day", "gtc"]) -> Any:
    order = import_module("tastytrade.order")
    new = order.StopOrder(
        time_in_force=_tif(tif), legs=[_leg(leg, closes=True)], stop_trigger=price_of(steps_of(price)),
        external_identifier=identity,
    )  # fmt: skip
    return _clean(new, closes=True)


def _clean(new: Any, *, closes: bool | None = None) -> Any:
    """Take out what only a paper service knows; where the order closes, ask that it never opens."""
    order = import_module("tastytrade.order")
    if closes is None:
        closes = all("Close" in leg.action.value for leg in new.legs)
    strict = order.AdvancedInstructions(strict_position_effect_validation=True) if closes else None
    update = {"behavior": None, "schedule": None, "delay": None, "advanced_instructions": strict}
    return new.model_copy(update=update)


def _kept(placed: Any) -> dict[str, Any]:
    """Return what stays of an order that is replaced."""
    order = import_module("tastytrade.order")
    legs = [
        order.Leg(
            instrument_type=leg.instrument_type, symbol=leg.symbol, action=leg.action, quantity=leg.quantity
        )
        for leg in placed.legs
    ]
    kept = {
        "time_in_force": placed.time_in_force, "gtc_date": placed.gtc_date, "legs": legs,
        "external_identifier": placed.external_identifier, "price": placed.price,
        "stop_trigger": placed.stop_trigger,
    }  # fmt: skip
    return {name: value for name, value in kept.items() if value is not None}


def _leg(leg: Leg, *, closes: bool) -> Any:
    order = import_module("tastytrade.order")
    kind = order.InstrumentType.EQUITY_OPTION if is_option(leg.symbol) else order.InstrumentType.EQUITY
    action = f"{'Buy' if leg.quantity > 0 else 'Sell'} to {'Close' if closes else 'Open'}"
    return order.Leg(
        instrument_type=kind, symbol=wire(leg.symbol), action=order.OrderAction(action),
        quantity=_quantity(abs(leg.quantity)),
    )  # fmt: skip


def _quantity(value: float) -> Decimal | int:
    """Return a quantity without the dust of binary fractions, and otherwise as it was asked for."""
    exact = Decimal(repr(round(float(value), 9))).normalize()
    return int(exact) if exact == exact.to_integral_value() else exact


def _signed(value: float, identity: str) -> Decimal:
    price = price_of(value)
    if price == 0:
        raise ConfigError(
            f"order {identity}: a limit of 0; the library sends no sign with it, and tastytrade cannot tell "
            "what is meant. Use 0.01",
            code="LIVE_ORDER",
        )
    return price


def _limited(price: float, quantities: Sequence[float]) -> float:
    """Return a limit with the broker's sign, received is positive, on the tick and never worse than asked."""
    if len(quantities) > 1:
        return net_priced(price)
    side = 1 if quantities[0] > 0 else -1
    return -side * priced(price, side=side)


def _tif(tif: str) -> Any:
    order = import_module("tastytrade.order")
    return order.OrderTimeInForce.DAY if tif == "day" else order.OrderTimeInForce.GTC


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
