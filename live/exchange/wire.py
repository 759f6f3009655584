"""What a client gets: orders, positions, the account and its activities as Alpaca writes them.

Numbers travel as decimal strings, times as RFC 3339 in UTC, ids as UUIDs. Alpaca gives the net price of a
package a sign of its own: paid is positive. Inside received is positive, so the price of a package turns its
sign here and in `intake`, and nowhere else.

>>> decimal(100.0), decimal(0.1 + 0.2), decimal(None)
('100', '0.3', None)
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

if TYPE_CHECKING:
    from live.venue.types import (
        VenueAccount,
        VenueActivity,
        VenueOrder,
        VenuePosition,
        VenueUpdate,
    )

__all__ = [
    "account",
    "activity",
    "as_uuid",
    "asset_id",
    "decimal",
    "order",
    "position",
    "timestamp",
    "update",
]

PLACES: Final = 9
"""Decimal places of a quantity; a price has fewer."""

_FILL: Final = "FILL"


def decimal(value: float | None) -> str | None:
    """Return a number as a decimal string of at most nine places, None for what is no finite number."""
    if value is None or not math.isfinite(value):
        return None
    text = repr(round(value, PLACES) + 0.0)  # + 0.0: minus nothing is nothing
    if "e" in text:
        text = f"{value:.{PLACES}f}".rstrip("0").rstrip(".")
    return text[:-2] if text.endswith(".0") else text


def timestamp(time: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC with microseconds."""
    if time is None:
        return None
    return time.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@lru_cache(maxsize=65_536)
def asset_id(symbol: str) -> str:
    """Return the id of an asset, which follows from its symbol: the same in every exchange and start."""
    return str(uuid5(NAMESPACE_URL, f"twinstep:asset:{symbol}"))


@lru_cache(maxsize=1024)
def as_uuid(name: str) -> str:
    """Return a UUID as it is, and for any other name the one that follows from it."""
    try:
        return str(UUID(name))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"twinstep:{name}"))


def order(held: VenueOrder, *, nested: bool = True) -> dict[str, Any]:
    """Return an order; its legs are None where they are not asked for or there are none."""
    package = held.order_class == "mleg" and not held.parent_id
    leg_of_package = held.ratio_qty is not None
    kind = None if leg_of_package else held.kind
    return {
        "id": held.id,
        "client_order_id": held.client_order_id,
        "created_at": timestamp(held.created_at),
        "updated_at": timestamp(held.updated_at),
        "submitted_at": timestamp(held.submitted_at),
        "filled_at": timestamp(held.filled_at),
        "expired_at": timestamp(held.expired_at),
        "canceled_at": timestamp(held.canceled_at),
        "failed_at": timestamp(held.updated_at) if held.status == "rejected" else None,
        "replaced_at": timestamp(held.replaced_at),
        "replaced_by": held.replaced_by or None,
        "replaces": held.replaces or None,
        "asset_id": "" if package else asset_id(held.symbol),
        "symbol": "" if package else held.symbol,
        "asset_class": "" if package else held.asset_class,
        "notional": decimal(held.notional),
        # one of the two is null, as it was asked for
        "qty": None if held.notional is not None else decimal(held.qty),
        "filled_qty": decimal(held.filled_qty),
        "filled_avg_price": _net(held.filled_avg_price, package=package),
        "order_class": held.order_class,
        "order_type": kind,
        "type": kind,
        "side": "" if package else held.side,
        "time_in_force": held.tif,
        "limit_price": _net(held.limit_price, package=package),
        "stop_price": decimal(_stop(held)),
        "status": held.status,
        "extended_hours": held.extended_hours,
        # the legs of a package stand nowhere else
        "legs": [order(leg) for leg in held.legs] if held.legs and (nested or package) else None,
        "trail_percent": decimal(held.trail_percent),
        "trail_price": decimal(held.trail_price),
        "hwm": decimal(held.hwm),
        "position_intent": held.position_intent,
        "ratio_qty": decimal(held.ratio_qty),
        "reject_reason": held.reject_reason or None,
        "subtag": None,
        "source": None,
    }


def position(held: VenuePosition) -> dict[str, Any]:
    """Return a position; quantities of shorts are negative, fractions are not percent."""
    basis = abs(held.cost_basis)
    day_value = held.market_value - held.unrealized_intraday_pl
    change = None if not held.lastday_price else held.current_price / held.lastday_price - 1.0
    stock = held.asset_class == "us_equity"
    return {
        "asset_id": asset_id(held.symbol),
        "symbol": held.symbol,
        "exchange": "",
        "asset_class": held.asset_class,
        "asset_marginable": stock,
        "qty": decimal(held.qty),
        "qty_available": decimal(held.qty_available if held.qty > 0 else -held.qty_available),
        "avg_entry_price": decimal(held.avg_entry_price),
        "side": "long" if held.qty > 0 else "short",
        "market_value": decimal(held.market_value),
        "cost_basis": decimal(held.cost_basis),
        "unrealized_pl": decimal(held.unrealized_pl),
        "unrealized_plpc": decimal(held.unrealized_pl / basis if basis else 0.0),
        "unrealized_intraday_pl": decimal(held.unrealized_intraday_pl),
        "unrealized_intraday_plpc": decimal(
            held.unrealized_intraday_pl / abs(day_value) if day_value else 0.0
        ),
        "current_price": decimal(held.current_price),
        "lastday_price": decimal(held.lastday_price),
        "change_today": decimal(change),
    }


def account(held: VenueAccount) -> dict[str, Any]:
    """Return the account."""
    name = as_uuid(held.id)
    cash, equity = decimal(held.cash), decimal(held.equity)
    power = max(0.0, held.buying_power)
    free = decimal(max(0.0, min(held.cash, power)))
    return {
        "id": name,
        "account_number": "TW" + name.replace("-", "")[:10].upper(),
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": held.currency,
        "cash": cash,
        "equity": equity,
        "last_equity": decimal(held.last_equity),
        "portfolio_value": equity,
        "buying_power": decimal(power),
        "regt_buying_power": decimal(power),
        "daytrading_buying_power": decimal(power),
        "non_marginable_buying_power": free,
        "options_buying_power": free,
        "multiplier": decimal(held.multiplier),
        "long_market_value": decimal(held.long_market_value),
        "short_market_value": decimal(held.short_market_value),
        "initial_margin": decimal(held.initial_margin),
        "maintenance_margin": decimal(held.initial_margin),
        "last_maintenance_margin": "0",
        "sma": "0",
        "accrued_fees": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "daytrade_count": 0,
        "pattern_day_trader": False,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": True,
        "options_approved_level": 3,
        "options_trading_level": 3,
        "created_at": timestamp(held.created_at),
    }


def activity(done: VenueActivity, account_id: str) -> dict[str, Any]:
    """Return a fill, or another thing that changed cash or positions."""
    common = {"id": done.id, "account_id": as_uuid(account_id), "activity_type": done.kind}
    if done.kind == _FILL:
        return {
            **common,
            "transaction_time": timestamp(done.time),
            "type": "partial_fill" if done.partial else "fill",
            "price": decimal(done.price),
            "qty": decimal(done.qty),
            "side": done.side,
            "symbol": done.symbol,
            "leaves_qty": decimal(done.leaves_qty),
            "order_id": done.order_id,
            "cum_qty": decimal(done.cum_qty),
            "order_status": "partially_filled" if done.partial else "filled",
        }
    return {
        **common,
        "date": done.time.astimezone(UTC).date().isoformat(),
        "net_amount": decimal(done.net_amount),
        "description": done.description,
        "status": "executed",
        "symbol": done.symbol or None,
        "qty": decimal(done.qty) if done.qty else None,
        "price": decimal(done.price) if done.price else None,
        "per_share_amount": decimal(done.price) if done.kind == "DIV" else None,
    }


def update(told: VenueUpdate) -> dict[str, Any]:
    """Return a trade update, the `data` of a message on the stream."""
    package = told.order.order_class == "mleg" and not told.order.parent_id
    message: dict[str, Any] = {
        "event": told.event,
        "timestamp": timestamp(told.time),
        "order": order(told.order),
    }
    if told.execution_id:
        message["execution_id"] = as_uuid(told.execution_id)
    if told.qty is not None:
        message["price"] = _net(told.price, package=package)
        message["qty"] = decimal(told.qty)
    if told.position_qty is not None:
        message["position_qty"] = decimal(told.position_qty)
    return message


def _stop(held: VenueOrder) -> float | None:
    """Return an order's stop; that of a trailing stop is where it has followed the price to."""
    if held.kind != "trailing_stop" or held.hwm is None:
        return held.stop_price
    if held.trail_percent is not None:
        away = held.hwm * held.trail_percent / 100.0
    else:
        away = held.trail_price or 0.0
    return held.hwm - away if held.side == "sell" else held.hwm + away


def _net(price: float | None, *, package: bool) -> str | None:
    """Return a price; that of a package with Alpaca's sign."""
    return decimal(-price if package and price is not None else price)
