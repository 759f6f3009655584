"""What an event of the file does, by name: the same for one that just came and one that is replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from live.venue import intake, market, settlement
from live.venue.checks import refuse
from live.venue.state import State
from live.venue.types import VenueLeg, VenueRequest

__all__ = ["carry_out"]


def carry_out(state: State, event: dict[str, Any]) -> int:
    """Do what an event says; returns the number of the order that it made, -1 for none."""
    return _EVENTS[event["do"]](state, event)


def _submit(state: State, event: dict[str, Any]) -> int:
    body = dict(event["order"])
    if "legs" in body:
        body["legs"] = tuple(
            VenueLeg(symbol=a, side=b, ratio_qty=c, position_intent=d) for a, b, c, d in body["legs"]
        )
    return intake.submit(state, VenueRequest(**body)).number


def _replace(state: State, event: dict[str, Any]) -> int:
    return intake.replace(state, state.orders.get(event["n"]), event["changes"]).number


def _cancel(state: State, event: dict[str, Any]) -> int:
    intake.cancel(state, state.orders.get(event["n"]))
    return -1


def _cancel_all(state: State, _event: dict[str, Any]) -> int:
    for order in list(state.orders.working.values()):
        intake.cancel(state, order)
    return -1


def _tick(state: State, event: dict[str, Any]) -> int:
    prices = {
        symbol: one if isinstance(one, float) else (one[0], one[1]) for symbol, one in event["p"].items()
    }
    market.tick(state, prices, event.get("v", {}))
    return -1


def _bar(state: State, event: dict[str, Any]) -> int:
    market.bar(state, event["p"])
    return -1


def _day(state: State, event: dict[str, Any]) -> int:
    market.expire_day(state, event["session"])
    return -1


def _cash(state: State, event: dict[str, Any]) -> int:
    amount = event["amount"]
    state.ledger.cash += amount
    state.ledger.note(state.now, kind="CSD" if amount >= 0.0 else "CSW", net_amount=amount)
    return -1


def _exercise(state: State, event: dict[str, Any]) -> int:
    symbol, quantity = event["symbol"], event["qty"]
    book = state.books[symbol]
    free = state.to_close(symbol, -1)
    if book.contract is None or not 0.0 < quantity <= free or quantity != int(quantity):
        raise refuse(f"{symbol}: {quantity:g} to exercise, {free:g} contracts free", code="VENUE_ACTION")
    settlement.exercise(state, symbol, book.contract, quantity)
    return -1


def _action(state: State, event: dict[str, Any]) -> int:
    kind, symbol, value = event["kind"], event["symbol"], event["value"]
    if kind == "split" and value > 0.0:
        settlement.split(state, symbol, value)
    elif kind == "dividend" and value > 0.0:
        settlement.pay_dividend(state, symbol, value)
    elif kind == "delist" and value >= 0.0:
        settlement.delist(state, symbol, value)
    else:
        raise refuse(f"{symbol}: action {kind!r} of {value!r}", code="VENUE_ACTION")
    return -1


_EVENTS: Final[dict[str, Callable[[State, dict[str, Any]], int]]] = {
    "submit": _submit,
    "replace": _replace,
    "cancel": _cancel,
    "cancel_all": _cancel_all,
    "tick": _tick,
    "bar": _bar,
    "day": _day,
    "cash": _cash,
    "exercise": _exercise,
    "action": _action,
}
