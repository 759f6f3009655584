"""What the commands of `twinstep broker` share: an order from its options, its sending, its looks.

An exit and a protective stop would sell the same shares, so the stop gives way first and comes back behind
what is left; whatever goes wrong in between, it comes back.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from simulator.errors import ConfigError

if TYPE_CHECKING:
    from live.brokers.interface import BrokerOrder, OrderRequest
    from live.opening import Desk

__all__ = [
    "ORDER_COLUMNS", "SENT", "money", "order_fields", "order_prices", "order_request", "order_row",
    "protection_rows", "send_order", "sent_words",
]  # fmt: skip


ORDER_COLUMNS: Final = ("order", "symbol", "quantity", "filled", "kind", "at", "state")
"""Of a table of `order_row`s."""

SENT: Final = {"confirmed": True, "rejected": True, "denied": False, "unresolved": None}
"""Whether an order reached the broker, by the outcome of its sending; None where nobody knows yet."""


def order_request(
    symbol: str,
    quantity: float,
    *,
    limit: float | None,
    stop: float | None,
    stop_loss: float | None,
    take_profit: float | None,
    tif: str,
    purpose: str,
    identity: str | None,
) -> OrderRequest:
    """Return the order that the options mean; raises `ConfigError` CLI_USAGE or LIVE_ORDER."""
    from live.brokers.interface import Leg, OrderRequest, client_order_id

    if tif not in ("day", "gtc") or purpose not in ("entry", "exit", "protect"):
        raise ConfigError(
            f"--tif is day or gtc and --purpose entry, exit or protect; given: {tif!r}, {purpose!r}",
            code="CLI_USAGE",
        )
    kind: Literal["market", "limit", "stop", "stop_limit"] = "market"
    if limit is not None:
        kind = "limit" if stop is None else "stop_limit"
    elif stop is not None:
        kind = "stop"
    # a line that is typed again is meant again, unless it has an id
    made = identity or client_order_id("cli", "by hand", symbol, time.time_ns(), 0)
    given: dict[str, Any] = {"tif": tif, "purpose": purpose}
    return OrderRequest(
        client_order_id=made, legs=(Leg(symbol, quantity),), kind=kind,
        order_class="simple" if stop_loss is None and take_profit is None else "bracket",
        limit_price=limit, stop_price=stop, stop_loss=stop_loss, take_profit=take_profit,
        strategy="by hand", reason="twinstep broker order", **given,
    )  # fmt: skip


def send_order(desk: Desk, name: str, request: OrderRequest) -> Any:
    """Send an order; a protective stop of ours gives way to an exit, and comes back behind what is left."""
    from live.brokers.interface import denied
    from live.brokers.protection import Protector
    from live.submit_gate import may_pass

    manager, symbol = desk.manager, request.symbol
    protector = Protector(manager, name)
    guarded = request.purpose != "entry" and may_pass(desk.kill_switch.state, request.purpose)
    if not guarded or not protector.has_stop(symbol):
        return manager.submit_order(request)
    try:
        if not protector.release(symbol):
            why = f"the protective stop in {symbol} has not ended, and both would sell the same; try again"
            return denied(request, code="LIVE_STOP_IN_THE_WAY", message=why)
        answer = manager.submit_order(request)
        desk.poll()
        return answer
    finally:
        protector.keep(datetime.now(UTC))


def protection_rows(desk: Desk, name: str) -> list[dict[str, Any]]:
    """Return what each position would be left with, and write down where a gap begins or ends."""
    from live.brokers.protection import Protector

    protector = Protector(desk.manager, name)
    found = protector.look(datetime.now(UTC))
    begun = {gap.symbol: gap.begin.isoformat(timespec="seconds") for gap in protector.gaps() if not gap.end}
    return [
        {
            "symbol": one.symbol,
            "quantity": one.quantity,
            "guarded": one.guarded,
            "naked": one.naked,
            "loss_at_stops": one.loss_at_stops,
            "open_loss": one.open_loss,
            "naked_since": begun.get(one.symbol),
        }
        for one in found
    ]


def order_fields(one: BrokerOrder) -> dict[str, Any]:
    """Return an order for JSON."""
    return {
        "id": one.client_order_id,
        "order": one.order_id,
        "legs": [{"symbol": leg.symbol, "quantity": leg.quantity} for leg in one.legs],
        "kind": one.kind,
        "state": one.state.label,
        "quantity": one.quantity,
        "filled": one.filled,
        "average_price": one.average_price,
        "limit_price": one.limit_price,
        "stop_price": one.stop_price,
    }


def order_row(one: BrokerOrder) -> list[str]:
    """Return an order for a table: side and prices in words."""
    side = "buy" if one.legs[0].quantity > 0 else "sell"
    return [
        one.client_order_id or one.order_id, "/".join(leg.symbol for leg in one.legs),
        f"{side} {one.quantity:g}", f"{one.filled:g}", one.kind, order_prices(one), one.state.label,
    ]  # fmt: skip


def order_prices(one: BrokerOrder) -> str:
    """Return the prices of an order in words, as "stop 12.82"; "" for one at the market."""
    named = (("stop", one.stop_price), ("limit", one.limit_price))
    return ", ".join(f"{name} {_price(value)}" for name, value in named if value is not None)


def sent_words(outcome: str, code: str, message: str, broker: str) -> str:
    """Return whether an order was sent, and what to do where that is not the end of it.

    Parameters
    ----------
    outcome
        Of its sending.
    broker
        Its name in section [broker].
    """
    from live.brokers.examining import words_of

    if outcome == "unresolved":
        return (
            "it may have been sent, and is asked for by its id: twinstep broker status; do not type it again"
        )
    if outcome != "denied":
        return ""
    if code == "LIVE_UNRECONCILED":
        advice = words_of(broker, message)
        return (
            f"nothing was sent{f'; {advice}. twinstep doctor --broker {broker} says more' if advice else ''}"
        )
    if code in ("LIVE_HALTED", "LIVE_REDUCING"):
        return "nothing was sent; twinstep requests shows what waits, and a person arms: twinstep arm"
    if code == "LIVE_SYMBOL_REDUCING":
        return "nothing was sent; twinstep requests shows what differs"
    return "nothing was sent"


def _price(value: float) -> str:
    # a cent where that says it, more for prices below a dollar and options' fractions
    short = f"{value:.2f}"
    return short if math.isclose(float(short), value, rel_tol=0.0, abs_tol=1e-9) else f"{value:g}"


def money(value: float | None) -> str:
    """Return an amount in words: None is unknown, infinite has no limit."""
    if value is None:
        return "unknown"
    return "no limit" if math.isinf(value) else f"{value:,.2f}"
