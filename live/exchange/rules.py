"""What Alpaca refuses although the venue would take it: a client that passes here should pass there.

Prices on the penny, fractions of shares in simple orders for the day only, options for the day only, extended
hours for limit orders only, children of a bracket on their side of its entry. Not here: the wash trade check,
which depends on all that rests on the other side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from live.exchange.contracts import Contract
from live.exchange.errors import Refusal, unprocessable
from live.exchange.wire import decimal

if TYPE_CHECKING:
    from live.venue.types import VenueRequest

__all__ = ["check_prices", "check_request"]

PENNY: Final = 0.01
SUB_PENNY: Final = 0.0001
"""Least step of a price below a dollar."""

_ROUNDING: Final = 1e-6  # of a step, by which the binary form of a decimal may be off


def check_request(wanted: VenueRequest, price: float | None) -> None:
    """Raise `Refusal` 42210000 for an order that Alpaca would not take; `price` is the last one, if known."""
    package = wanted.order_class == "mleg"
    if not package:
        check_prices(
            limit_price=wanted.limit_price,
            stop_price=wanted.stop_price,
            take_profit=wanted.take_profit,
            stop_loss=wanted.stop_loss,
            stop_loss_limit=wanted.stop_loss_limit,
        )
    option = package or Contract.parse(wanted.symbol) is not None
    if option and wanted.tif != "day":
        raise unprocessable("order_time_in_force provided not supported for options trading")
    if option and wanted.kind == "trailing_stop":
        raise unprocessable("invalid order type for options trading")
    fractional = wanted.notional is not None or (wanted.qty is not None and wanted.qty != int(wanted.qty))
    if fractional and wanted.tif != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if fractional and wanted.order_class != "simple":
        raise unprocessable("fractional orders must be simple orders")
    if wanted.extended_hours and (wanted.kind != "limit" or wanted.tif not in ("day", "gtc")):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    if wanted.kind == "trailing_stop" and wanted.order_class != "simple":
        raise unprocessable("trailing stop orders must be simple orders")
    if wanted.order_class in ("bracket", "oco", "oto") and wanted.tif not in ("day", "gtc"):
        raise unprocessable(f"{wanted.order_class} orders must be DAY or GTC orders")
    if wanted.order_class in ("bracket", "oto"):
        _check_children(wanted, price)


def check_prices(**prices: float | None) -> None:
    """Raise `Refusal` 42210000 for a price of shares that is not on the penny (a hundredth of it below 1)."""
    for name, price in prices.items():
        if price is None:
            continue
        steps = price / (PENNY if price >= 1.0 else SUB_PENNY)
        if abs(steps - round(steps)) > _ROUNDING + 1e-11 * steps:
            raise unprocessable(
                f"invalid {_FIELDS.get(name, name)} {decimal(price)}. "
                "sub-penny increment does not fulfill minimum pricing criteria"
            )


def _check_children(wanted: VenueRequest, price: float | None) -> None:
    base = wanted.limit_price if wanted.limit_price is not None else wanted.stop_price
    base = price if base is None else base
    if base is None:
        return
    long = wanted.side == "buy"
    for name, child, above in (
        ("take_profit.limit_price", wanted.take_profit, long),
        ("stop_loss.stop_price", wanted.stop_loss, not long),
    ):
        if child is None:
            continue
        least = PENNY * (1.0 - _ROUNDING)
        if (child - base if above else base - child) < least:
            relation = ">= base_price + 0.01" if above else "<= base_price - 0.01"
            raise Refusal(422, 42210000, f"{name} must be {relation}", base_price=decimal(base))


_FIELDS: Final = {
    "take_profit": "take_profit.limit_price",
    "stop_loss": "stop_loss.stop_price",
    "stop_loss_limit": "stop_loss.limit_price",
}
