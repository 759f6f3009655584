"""Whether a request is an order at all: parts missing, contradicting each other, or not numbers.

What depends on the account (symbols, ids, buying power, what is held) is asked later, by the engine.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any, Final, get_args

from live.venue.symbols import contract_of
from live.venue.types import Kind, OrderClass, Tif, VenueLeg, VenueRejected, VenueRequest

__all__ = ["check_request", "plain_number", "plain_request", "plain_word", "refuse"]

MAX_LEGS: Final = 4

_KINDS: Final = get_args(Kind)
_CLASSES: Final = get_args(OrderClass)
_TIFS: Final = get_args(Tif)
_PRICES: Final = (
    "limit_price",
    "stop_price",
    "trail_price",
    "trail_percent",
    "take_profit",
    "stop_loss",
    "stop_loss_limit",
)
_NUMBERS: Final = ("qty", "notional", *_PRICES)
_NEEDS: Final[dict[str, frozenset[str]]] = {
    "market": frozenset(),
    "limit": frozenset({"limit_price"}),
    "stop": frozenset({"stop_price"}),
    "stop_limit": frozenset({"stop_price", "limit_price"}),
    "trailing_stop": frozenset({"trail"}),
}


def refuse(message: str, *, code: str = "VENUE_ORDER") -> VenueRejected:
    """Return the refusal of an order."""
    return VenueRejected(message, code=code)


def plain_number(name: str, value: object, *, code: str = "VENUE_ORDER") -> float:
    """Return what is a finite number as a float, NumPy's too; else `VenueRejected`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise refuse(f"{name} is {value!r}; it is a finite number", code=code)
    return float(value)


def plain_word(name: str, value: object) -> str:
    """Return what is a string; else `VenueRejected` VENUE_ORDER."""
    if not isinstance(value, str):
        raise refuse(f"{name} is {value!r}; it is a string")
    return value


def plain_request(request: VenueRequest) -> dict[str, Any]:
    """Return what a request says beyond the defaults, as plain values: what the event file keeps.

    Raises `VenueRejected` VENUE_ORDER where a value has a type that no order can have.
    """
    body: dict[str, Any] = {}
    for field in dataclasses.fields(request):
        name, value = field.name, getattr(request, field.name)
        if value is field.default or value == field.default:
            continue
        if name in _NUMBERS:
            body[name] = plain_number(name, value)
        elif name == "legs":
            body[name] = [_plain_leg(leg) for leg in value]
        elif name == "extended_hours":
            body[name] = bool(value)
        else:
            body[name] = plain_word(name, value)
    return body


def _plain_leg(leg: object) -> tuple[str, str, float, str | None]:
    if not isinstance(leg, VenueLeg):
        raise refuse(f"legs are VenueLeg, not {leg!r}")
    intent = None if leg.position_intent is None else plain_word("position_intent", leg.position_intent)
    ratio = plain_number("ratio_qty", leg.ratio_qty)
    return plain_word("symbol", leg.symbol), plain_word("side", leg.side), ratio, intent


def check_request(request: VenueRequest) -> VenueRequest:
    """Return a request as it is meant; `VenueRejected` VENUE_ORDER where its parts make no order."""
    if request.order_class == "oco" and request.limit_price is None and request.take_profit is not None:
        request = dataclasses.replace(request, limit_price=request.take_profit, take_profit=None)
    problem = (
        _words(request)
        or _numbers(request)
        or _quantity(request)
        or _prices(request)
        or _class(request)
        or _time_in_force(request)
    )
    if problem:
        name = request.symbol or "package"
        raise refuse(f"{name}: {problem}", code="VENUE_ORDER")
    return request


def _words(request: VenueRequest) -> str:
    for value, known, what in (
        (request.kind, _KINDS, "type"),
        (request.order_class, _CLASSES, "order class"),
        (request.tif, _TIFS, "time in force"),
        (request.side, ("buy", "sell"), "side"),
    ):
        if value not in known:
            return f"{what} {value!r} is none of {', '.join(known)}"
    if (request.order_class == "mleg") != (not request.symbol):
        return "a package names the symbols of its legs, every other order its own"
    return ""


def _numbers(request: VenueRequest) -> str:
    for name in _PRICES:
        value = getattr(request, name)
        net = name == "limit_price" and request.order_class == "mleg"
        if value is not None and not (math.isfinite(value) and (net or value > 0.0)):
            return f"{name} is {value!r}; it is finite{'' if net else ' and above 0'}"
    return ""


def _quantity(request: VenueRequest) -> str:
    if (request.qty is None) == (request.notional is None):
        return "an order has either qty or notional"
    amount = request.qty if request.qty is not None else request.notional
    if amount is None or not (math.isfinite(amount) and amount > 0.0):
        return f"the quantity is {amount!r}; it is finite and above 0"
    option = contract_of(request.symbol) is not None
    if request.notional is not None:
        if option or request.order_class != "simple" or request.kind not in ("market", "limit"):
            return "orders by notional are simple market or limit orders in stocks"
        if request.tif != "day":
            return "orders by notional are for the day"
    elif (option or request.order_class == "mleg") and amount != int(amount):
        return f"{amount:g} contracts; contracts are whole"
    return ""


def _prices(request: VenueRequest) -> str:
    given = {name for name in ("limit_price", "stop_price") if getattr(request, name) is not None}
    if request.trail_price is not None and request.trail_percent is not None:
        return "a trailing stop has either trail_price or trail_percent"
    if request.trail_price is not None or request.trail_percent is not None:
        given.add("trail")
    needed = _NEEDS[request.kind]
    if given != needed:
        return f"a {request.kind} order needs {sorted(needed)} and has {sorted(given)}"
    if request.trail_percent is not None and request.trail_percent >= 100.0:
        return f"trail_percent is {request.trail_percent:g}; it is below 100"
    return ""


def _class(request: VenueRequest) -> str:
    exits = [name for name in ("take_profit", "stop_loss") if getattr(request, name) is not None]
    if request.stop_loss_limit is not None and request.stop_loss is None:
        return "stop_loss_limit without stop_loss"
    if request.order_class != "mleg" and request.legs:
        return "legs belong to order class mleg"
    if request.order_class == "mleg":
        return _package(request, exits)
    if request.order_class == "simple":
        return f"a simple order has {exits[0]}; name the order class" if exits else ""
    if request.order_class == "oto":
        return "" if len(exits) == 1 else f"oto has one of take_profit and stop_loss, not {len(exits)}"
    if request.order_class == "oco":
        if request.kind != "limit" or exits != ["stop_loss"]:
            return "oco is a limit order with stop_loss"
        return _sides(request, request.limit_price, request.stop_loss, leaving=True)
    if len(exits) < 2:
        return "a bracket has take_profit and stop_loss; with one of them it is oto"
    return _sides(request, request.take_profit, request.stop_loss, leaving=False)


def _sides(request: VenueRequest, target: float | None, stop: float | None, *, leaving: bool) -> str:
    # A target lies beyond the stop, seen from whoever holds the position.
    held = 1.0 if (request.side == "buy") != leaving else -1.0
    if target is None or stop is None or (target - stop) * held <= 0.0:
        return f"take profit {target} is on the wrong side of stop loss {stop}"
    limit = request.stop_loss_limit
    if limit is not None and (stop - limit) * held < 0.0:
        return f"stop loss limit {limit:g} is on the wrong side of stop loss {stop:g}"
    return ""


def _package(request: VenueRequest, exits: list[str]) -> str:
    if not 2 <= len(request.legs) <= MAX_LEGS:
        return f"{len(request.legs)} legs; a package has 2 to {MAX_LEGS}"
    if request.kind not in ("market", "limit") or exits:
        return "a package is a market or limit order without take_profit and stop_loss"
    if len({leg.symbol for leg in request.legs}) < len(request.legs):
        return "two legs are in one symbol"
    if all(contract_of(leg.symbol) is None for leg in request.legs):
        return "no leg is an option"
    for leg in request.legs:
        if leg.side not in ("buy", "sell") or leg.ratio_qty != int(leg.ratio_qty) or leg.ratio_qty < 1:
            return f"leg {leg.symbol} has side {leg.side!r} and ratio {leg.ratio_qty!r}"
    return ""


def _time_in_force(request: VenueRequest) -> str:
    if request.tif in ("opg", "cls") and request.kind not in ("market", "limit"):
        return f"{request.tif} takes market and limit orders"
    if request.tif in ("opg", "cls", "ioc", "fok") and request.order_class not in ("simple", "mleg"):
        return f"{request.tif} takes simple orders"
    if request.children_tif not in (None, "day", "gtc"):
        return f"children_tif is {request.children_tif!r}, not day or gtc"
    if request.order_class == "mleg" and request.tif in ("opg", "cls"):
        return "a package is for the day, good till cancelled, ioc or fok"
    return ""
