"""What a client sends: the JSON of an order or of its change, read into the venue's values.

Alpaca takes numbers as numbers and as strings, and answers a body that it cannot read with 40010000, a field
that is missing or impossible with 40010001. What only the venue can know (is there such an asset, is there
enough money) it decides itself. The limit price of a package turns its sign here: a client pays with a
positive one.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any, Final, cast, get_args

from live.exchange.errors import bad_field, malformed, unprocessable
from live.venue.types import Intent, Kind, OrderClass, Side, Tif, VenueLeg, VenueRequest

__all__ = ["changes_of", "flag_of", "json_of", "number_of", "request_of", "time_of", "words_of"]

LONGEST_CLIENT_ID: Final = 128
MOST_LEGS: Final = 4

_KINDS: Final = get_args(Kind)
_CLASSES: Final = get_args(OrderClass)
_TIFS: Final = ("day", "gtc", "opg", "cls", "ioc", "fok")
_INTENTS: Final = get_args(Intent)
_SIDES: Final = get_args(Side)
_CHANGES: Final = frozenset({"qty", "time_in_force", "limit_price", "stop_price", "trail", "client_order_id"})


def json_of(body: bytes) -> dict[str, Any]:
    """Return a body as an object; `Refusal` 40010000 where it is none."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise malformed() from None
    if not isinstance(read, dict):
        raise malformed()
    return read


def request_of(body: dict[str, Any]) -> VenueRequest:
    """Return the order that a client asks for; raises `Refusal` with the field and what is wrong with it."""
    order_class = _word(body, "order_class", _CLASSES) or "simple"
    kind = _word(body, "type", _KINDS)
    if kind is None:
        raise bad_field("type is required")
    tif = _word(body, "time_in_force", _TIFS)
    if tif is None:
        raise bad_field("time_in_force is required")
    package = order_class == "mleg"
    qty, notional = _positive(body, "qty"), _positive(body, "notional")
    if (qty is None) == (notional is None):
        raise bad_field(
            "qty or notional is required" if qty is None else "only one of qty or notional is accepted"
        )
    symbol, side = "", "buy"
    legs: tuple[VenueLeg, ...] = ()
    if package:
        if notional is not None:
            raise bad_field("qty is required for mleg orders")
        legs = _legs(body)
    else:
        symbol = _symbol(body)
        side = _side(body)
    prices: dict[str, Any] = _prices(body, kind, order_class)
    return VenueRequest(
        symbol=symbol,
        side=cast(Side, side),
        qty=qty,
        notional=notional,
        kind=cast(Kind, kind),
        order_class=cast(OrderClass, order_class),
        tif=cast(Tif, tif),
        client_order_id=_client_id(body),
        extended_hours=_flag(body, "extended_hours"),
        position_intent=cast("Intent | None", _word(body, "position_intent", _INTENTS)),
        legs=legs,
        **prices,
    )


def changes_of(body: dict[str, Any], *, package: bool, kind: str) -> dict[str, Any]:
    """Return what a client wants to change of an order, under the names of `Venue.replace`.

    `trail` is whichever of amount and percent the order has: "trail" is kept for the caller to name.
    """
    unknown = sorted(set(body) - _CHANGES)
    if unknown:
        raise bad_field(f"{unknown[0]} cannot be replaced")
    changes: dict[str, Any] = {}
    for name in ("qty", "stop_price", "trail"):
        if (value := _positive(body, name)) is not None:
            changes[name] = value
    if (limit := _number(body, "limit_price")) is not None:
        if not package and limit <= 0:
            raise bad_field("limit_price must be > 0")
        changes["limit_price"] = -limit if package else limit
    if (tif := _word(body, "time_in_force", _TIFS)) is not None:
        changes["tif"] = tif
    if client_id := _client_id(body):
        changes["client_order_id"] = client_id
    if "trail" in changes and kind != "trailing_stop":
        raise unprocessable("trail can be replaced of trailing_stop orders only")
    return changes


def number_of(text: str | None, name: str) -> float | None:
    """Return a query parameter as a number above 0, None where it is absent."""
    return _positive({name: text}, name)


def flag_of(text: str | None) -> bool:
    """Return a query parameter as a yes or no, as clients of several languages write it."""
    return (text or "").strip().lower() in ("true", "1", "yes", "t")


def words_of(text: str | None) -> list[str]:
    """Return a query parameter as a list of words, separated by commas."""
    return [word for word in (part.strip() for part in (text or "").split(",")) if word]


def time_of(text: str | None, name: str) -> datetime | None:
    """Return a query parameter as a time; a date is its first moment in UTC, and no zone is UTC."""
    if not text:
        return None
    try:
        # a plus sign that was not encoded arrives as a space
        time = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
    except ValueError:
        raise bad_field(f"{name} is not a time: {text[:40]}") from None
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)


def _prices(body: dict[str, Any], kind: str, order_class: str) -> dict[str, float | None]:
    package = order_class == "mleg"
    limit = _number(body, "limit_price")
    if limit is not None and not package and limit <= 0:
        raise bad_field("limit_price must be > 0")
    stop = _positive(body, "stop_price")
    trail_price, trail_percent = _positive(body, "trail_price"), _positive(body, "trail_percent")
    take_profit = _part(body, "take_profit", ("limit_price",))
    stop_loss = _part(body, "stop_loss", ("stop_price", "limit_price"))
    _require(kind, order_class, limit, stop, trail_price, trail_percent)
    if order_class == "oco" and kind != "limit":
        raise bad_field("oco orders must be limit orders")
    if order_class in ("bracket", "oco") and "limit_price" not in take_profit:
        raise bad_field(f"{order_class} orders require take_profit.limit_price")
    if order_class in ("bracket", "oco") and "stop_price" not in stop_loss:
        raise bad_field(f"{order_class} orders require stop_loss.stop_price")
    if order_class == "oto" and bool(take_profit) == bool(stop_loss):
        raise bad_field("oto orders require take_profit or stop_loss")
    if stop_loss and "stop_price" not in stop_loss:
        raise bad_field("stop_loss.stop_price is required")
    if order_class in ("simple", "mleg") and (take_profit or stop_loss):
        raise bad_field(f"{order_class} orders do not accept take_profit or stop_loss")
    if order_class == "oco":
        # the order is the take-profit itself, its stop-loss the other side
        limit, take_profit = take_profit["limit_price"], {}
    return {
        "limit_price": -limit if package and limit is not None else limit,
        "stop_price": stop,
        "trail_price": trail_price,
        "trail_percent": trail_percent,
        "take_profit": take_profit.get("limit_price"),
        "stop_loss": stop_loss.get("stop_price"),
        "stop_loss_limit": stop_loss.get("limit_price"),
    }


def _require(
    kind: str,
    order_class: str,
    limit: float | None,
    stop: float | None,
    trail_price: float | None,
    trail_percent: float | None,
) -> None:
    takes_limit, takes_stop = kind in ("limit", "stop_limit"), kind in ("stop", "stop_limit")
    if takes_limit and limit is None and order_class != "oco":
        raise bad_field(f"{kind} orders require limit_price")
    if takes_stop and stop is None:
        raise bad_field(f"{kind} orders require stop_price")
    if not takes_limit and limit is not None:
        raise bad_field(f"{kind} orders must not have limit_price")
    if not takes_stop and stop is not None:
        raise bad_field(f"{kind} orders must not have stop_price")
    trails = (trail_price is not None) + (trail_percent is not None)
    if kind == "trailing_stop" and trails != 1:
        raise bad_field("trailing_stop orders require exactly one of trail_price and trail_percent")
    if kind != "trailing_stop" and trails:
        raise bad_field(f"{kind} orders must not have trail_price or trail_percent")


def _part(body: dict[str, Any], name: str, fields: tuple[str, ...]) -> dict[str, float]:
    part = body.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise bad_field(f"{name} must be an object")
    found = {field: _positive(part, field, f"{name}.{field}") for field in fields}
    return {field: value for field, value in found.items() if value is not None}


def _legs(body: dict[str, Any]) -> tuple[VenueLeg, ...]:
    legs = body.get("legs")
    if not isinstance(legs, list) or not all(isinstance(leg, dict) for leg in legs):
        raise bad_field("legs are required for mleg orders")
    if not 2 <= len(legs) <= MOST_LEGS:
        raise bad_field(f"mleg orders have 2 to {MOST_LEGS} legs, not {len(legs)}")
    found = []
    for leg in legs:
        ratio = _positive(leg, "ratio_qty", "legs.ratio_qty")
        if ratio is None or ratio != int(ratio):
            raise bad_field("legs.ratio_qty must be a whole number")
        intent = _word(leg, "position_intent", _INTENTS)
        found.append(
            VenueLeg(
                symbol=_symbol(leg),
                side=cast(Side, _side(leg)),
                ratio_qty=int(ratio),
                position_intent=cast("Intent | None", intent),
            )
        )
    if len({leg.symbol for leg in found}) < len(found):
        raise bad_field("legs must have unique symbols")
    return tuple(found)


def _symbol(body: dict[str, Any]) -> str:
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol.strip():
        raise bad_field("symbol is required")
    return symbol.strip()


def _side(body: dict[str, Any]) -> str:
    side = _word(body, "side", _SIDES)
    intent = _word(body, "position_intent", _INTENTS)
    if side is None and intent is None:
        raise bad_field("side is required")
    if side is not None and intent is not None and not intent.startswith(side):
        raise bad_field(f"position_intent {intent} does not match side {side}")
    return side or str(intent).partition("_")[0]


def _client_id(body: dict[str, Any]) -> str:
    given = body.get("client_order_id")
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > LONGEST_CLIENT_ID:
        raise bad_field(f"client_order_id must be a text of at most {LONGEST_CLIENT_ID} characters")
    return given


def _word(body: dict[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    given = body.get(name)
    if given is None or given == "":
        return None
    if not isinstance(given, str) or given not in known:
        raise bad_field(f"invalid {name}: {str(given)[:40]}")
    return given


def _flag(body: dict[str, Any], name: str) -> bool:
    given = body.get(name)
    if given is not None and not isinstance(given, bool):
        raise bad_field(f"{name} must be true or false")
    return bool(given)


def _positive(body: dict[str, Any], name: str, shown: str = "") -> float | None:
    value = _number(body, name, shown)
    if value is not None and value <= 0:
        raise bad_field(f"{shown or name} must be > 0")
    return value


def _number(body: dict[str, Any], name: str, shown: str = "") -> float | None:
    given = body.get(name)
    if given is None or given == "":
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise bad_field(f"{shown or name} must be a number")
    if isinstance(given, str) and "_" in given:
        raise bad_field(f"{shown or name} must be a number")  # Python would read 1_000
    try:
        value = float(given)
    except (ValueError, OverflowError):
        raise bad_field(f"{shown or name} must be a number") from None
    if not math.isfinite(value):
        raise bad_field(f"{shown or name} must be a finite number")
    return value
