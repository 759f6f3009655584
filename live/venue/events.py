"""What an event of the file does, by name: the same for one that just came and one that is replayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from live.venue import intake, market, settlement
from live.venue.checks import refuse
from live.venue.state import State
from live.venue.types import VenueLeg, VenueRequest

__all__ = ["Action", "carry_out"]

Action = tuple[str, str, float | None]
"""Kind, symbol, value of a corporate action."""


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
    actions = event.get("a")
    if actions is not None:
        _check_actions(state, actions["do"])
        now, state.now = state.now, actions["t"]
        for kind, symbol, value in actions["do"]:
            _act(state, kind, symbol, value)
        state.now = now
    market.bar(state, event["p"], event.get("b"))
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
    if book.contract is None:
        raise refuse(f"{symbol} is no option", code="VENUE_ACTION")
    settlement.check_exercise(state, symbol, book.contract, quantity)
    settlement.exercise(state, symbol, book.contract, quantity)
    return -1


def _action(state: State, event: dict[str, Any]) -> int:
    kind, symbol, value = event["kind"], event["symbol"], event["value"]
    _check_actions(state, [(kind, symbol, value)])
    _act(state, kind, symbol, value)
    return -1


def _check_actions(state: State, actions: Sequence[Action]) -> None:
    # All before the first is carried out, so that a bar is taken in with its actions or not at all.
    ratios: dict[str, float] = {}
    gone: set[str] = set()
    for kind, symbol, value in actions:
        least = 0.0 if kind == "delist" else math.ulp(0.0)
        good = value >= least if value is not None else kind == "delist"
        if kind not in ("split", "dividend", "delist") or not good or symbol in gone:
            raise refuse(f"{symbol}: action {kind!r} of {value!r}", code="VENUE_ACTION")
        if kind == "split":
            ratios[symbol] = ratios.get(symbol, 1.0) * (value or 1.0)
            settlement.check_split(state, symbol, ratios[symbol])
        elif kind == "delist":
            gone.add(symbol)


def _act(state: State, kind: str, symbol: str, value: float | None) -> None:
    if kind == "delist":
        settlement.delist(state, symbol, value)
    elif value is not None:
        (settlement.split if kind == "split" else settlement.pay_dividend)(state, symbol, value)


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
