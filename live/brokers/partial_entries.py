"""Entries of brackets that have filled in part, at brokers that hold stop and target back until all has.

No stop of ours may stand beside such an entry. What fills next brings its own stop to life, and then two
would sell the same shares; and some brokers refuse an order to sell while one to buy works in the symbol. So
the part that has filled stays bare for a short `PATIENCE`, in which most entries fill as a whole, and not at
all where the price has come to the stop. Then the rest of the entry is cancelled. Once the broker says that
it has ended, what has filled gets the stop and the target of its bracket as two of which one cancels the
other; where the price is beyond the stop already, it is closed at the market, as a stop would be that a price
jumps over.

An entry that does not end, or of which nobody knows, is left alone until the next call: bare is said, and two
stops could sell twice. Children that live with every fill, as at Interactive Brokers, are left alone too.

>>> PartialEntries(manager, "alpaca").settle(now)                 # doctest: +SKIP
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from live.brokers.book import Sent
from live.brokers.interface import (
    BrokerOrder,
    Leg,
    OrderRequest,
    Outcome,
    Submitted,
    client_order_id,
)
from live.brokers.manager import BrokerManager
from live.review_queue import ReviewRequest
from simulator.brokerage import Holding
from simulator.types import OrderState

__all__ = ["PATIENCE", "PartialEntries", "family_of", "is_stop", "live_stop"]

PATIENCE: Final = timedelta(seconds=2)
"""How long an entry may stand filled in part before its rest is cancelled."""

END_SECONDS: Final = 5.0
"""How long a cancelled entry is waited for; after that it is looked at by the next call."""

_STEP_SECONDS: Final = 0.1
_STOPS: Final = frozenset({"stop", "stop_limit", "trailing"})
_TRIES: Final = 20
_DUST: Final = 1e-9


class PartialEntries:
    """What keeps the bare time of such entries short, at one broker.

    Parameters
    ----------
    manager, name
        Through which orders go, and the broker's name there.
    strategy
        Of the orders that are sent, for the record.
    patience
        See `PATIENCE`; none at all for 0.
    sleep
        Injected for tests.
    """

    def __init__(
        self,
        manager: BrokerManager,
        name: str,
        *,
        strategy: str = "protective stop",
        patience: timedelta = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.manager = manager
        self.name = name
        self._strategy = strategy
        self._patience = patience
        self._sleep = sleep
        self._since: dict[str, datetime] = {}

    def waiting(self, orders: Sequence[BrokerOrder]) -> set[str]:
        """Return the symbols in which a part has filled, and its stop waits for the rest."""
        return {entry.legs[0].symbol for entry in self._waiting(orders)}

    def settle(self, now: datetime) -> list[Submitted | ReviewRequest]:
        """End what has stood filled in part for too long, and guard what has filled of what has ended.

        To be called after a poll, and as soon as a broker tells of a fill in part. Raises what questions to
        the broker raise; then nothing is concluded.

        Parameters
        ----------
        now
            Aware.
        """
        broker = self.manager.known(self.name)
        orders = list(broker.get_orders())
        waiting = self._waiting(orders)
        self._since = {one.order_id: self._since.get(one.order_id, now) for one in waiting}
        if waiting:
            held = {one.symbol: one for one in broker.get_positions()}
            for entry in waiting:
                leg = entry.legs[0]
                late = now - self._since[entry.order_id] >= self._patience
                if late or _crossed(self._price(held.get(leg.symbol)), self._stop_of(entry), leg.quantity):
                    self.end(entry)
            orders = list(broker.get_orders())
        bare = self._bare(broker.get_positions(), orders)
        return [answer for one in bare for answer in self._guarded(one, orders)]

    def end(self, entry: BrokerOrder) -> None:
        """Cancel the rest of an entry, and wait until the broker lists it no more."""
        broker = self.manager.known(self.name)
        if not self.manager.cancel_order(self.name, entry.order_id).is_open:
            return
        for _ in range(int(END_SECONDS / _STEP_SECONDS)):
            if entry.order_id not in {order.order_id for order in broker.get_orders()}:
                return
            self._sleep(_STEP_SECONDS)

    def _waiting(self, orders: Sequence[BrokerOrder]) -> list[BrokerOrder]:
        """Return the entries of brackets that have filled in part, and whose stop waits for the rest."""
        found = []
        for one in orders:
            if not one.is_open or not _DUST < one.filled < one.quantity - _DUST:
                continue
            stops = [stop for stop in orders if stop.parent_id == one.order_id and is_stop(stop)]
            sent = self.manager.book.get(one.client_order_id) if one.client_order_id else None
            bracket = sent is not None and sent.request.order_class == "bracket"
            # some brokers do not list what waits
            if (stops or bracket) and not any(live_stop(stop, orders) for stop in stops):
                found.append(one)
        return found

    def _stop_of(self, entry: BrokerOrder) -> float | None:
        sent = self.manager.book.get(entry.client_order_id) if entry.client_order_id else None
        return None if sent is None else sent.request.stop_loss

    def _bare(self, positions: Sequence[Holding], orders: Sequence[BrokerOrder]) -> list[_Bare]:
        """Return the positions, or parts of them, that came by an entry that ended filled in part."""
        left_alone = self.waiting(orders) | self._doubtful()
        found = []
        for held in positions:
            naked = abs(held.quantity) - _covered(held, orders)
            if naked <= _DUST or held.symbol in left_alone:
                continue
            for sent in reversed(self._brackets(held)):
                order = self.manager.known(self.name).find_order(sent.identity)
                if order is None or order.is_open:
                    break  # nobody can say what of it still comes
                if _DUST < order.filled < order.quantity - _DUST:
                    found.append(_Bare(held, min(naked, order.filled), sent))
                    break
        return found

    def _doubtful(self) -> set[str]:
        """Return the symbols in which an order is unresolved, or the position is not what we make it."""
        found = {leg.symbol for sent in self.manager.book.unresolved() for leg in sent.request.legs}
        for one in self.manager.get_differences():
            if one.found.cause != "unprotected":
                found |= set(one.found.symbols)
        return found

    def _brackets(self, held: Holding) -> list[Sent]:
        """Return our brackets that entered on the side that is held, since its last split, oldest first."""
        splits = [
            event.time
            for event in self.manager.intents.events("adjusted")
            if event.symbol == held.symbol and event.data.get("split_at") is not None
        ]
        return [
            sent
            for sent in self.manager.intents.orders(broker=self.name, symbols={held.symbol})
            if sent.request.order_class == "bracket"
            and sent.submitted.outcome is Outcome.CONFIRMED
            and sent.request.legs[0].quantity * held.quantity > 0.0
            and all(sent.at > split for split in splits)  # its prices are those of before
        ]

    def _guarded(self, bare: _Bare, orders: Sequence[BrokerOrder]) -> list[Submitted | ReviewRequest]:
        """Send what guards a bare part: once, and under an id that follows from its entry."""
        refused = 0
        for sequence in range(_TRIES):
            identity = client_order_id(
                self.manager.intents.account, f"rest of {bare.sent.identity}", bare.held.symbol,
                bare.sent.at, sequence,
            )  # fmt: skip
            before = self.manager.book.get(identity)
            if before is None or before.was_never_sent:
                request = self._request(bare, identity, refused)
                return [] if request is None else [self.manager.submit_order(request)]
            outcome = before.submitted.outcome
            if outcome is Outcome.UNRESOLVED:
                return []
            if outcome is Outcome.CONFIRMED:
                there = self.manager.known(self.name).find_order(identity)
                listed = {family_of(order) for order in orders}
                if there is None or (there.is_open and identity not in listed):
                    return []  # it is there, and the list does not show it yet
            else:
                refused += 1
        return []

    def quoted(self, symbol: str) -> float | None:
        """Return what a symbol trades at by the broker's quotes; None where nobody says."""
        ask = getattr(self.manager.known(self.name), "quotes", None)
        if ask is None:
            return None
        try:
            quote = ask([symbol])[symbol]
        except Exception:  # adapters raise whatever their libraries raise, and prices are no condition
            return None
        return (quote.bid + quote.ask) / 2.0 if quote.is_usable else None

    def _price(self, held: Holding | None) -> float | None:
        """Return what a position trades at, by the broker's list or its quotes; None where nobody says."""
        if held is None or held.mark is not None:
            return None if held is None else held.mark
        return self.quoted(held.symbol)

    def _request(self, bare: _Bare, identity: str, refused: int) -> OrderRequest | None:
        """Return the order that guards: both children, the stop alone if they were refused, or the market."""
        entry, symbol = bare.sent.request, bare.held.symbol
        way = -math.copysign(1.0, bare.held.quantity)
        given: dict[str, Any] = {
            "client_order_id": identity, "legs": (Leg(symbol, way * bare.quantity),), "purpose": "protect",
            "strategy": self._strategy, "reason": f"entry {entry.client_order_id} filled in part",
        }  # fmt: skip
        if _crossed(self._price(bare.held), entry.stop_loss, entry.legs[0].quantity):
            return OrderRequest(**given)
        if refused == 0 and entry.take_profit is not None:
            return OrderRequest(
                **given, kind="limit", order_class="oco", limit_price=entry.take_profit,
                stop_loss=entry.stop_loss, tif="gtc",
            )  # fmt: skip
        if refused <= 1:
            return OrderRequest(**given, kind="stop", stop_price=entry.stop_loss, tif="gtc")
        return None


def is_stop(order: BrokerOrder) -> bool:
    """Whether an order is a stop of any kind."""
    return order.kind in _STOPS


def live_stop(order: BrokerOrder, orders: Sequence[BrokerOrder]) -> bool:
    """Whether a stop works already: a child that is for more than has filled of its entry waits for it."""
    if order.state == OrderState.PENDING:
        return False
    parent = next((one for one in orders if one.order_id == order.parent_id and one.is_open), None)
    # the limit of an oco is the parent of its stop, and leaves as it does
    if parent is None or parent.legs[0].quantity * order.legs[0].quantity > 0.0:
        return True
    return order.quantity <= parent.filled + _DUST


def family_of(order: BrokerOrder) -> str:
    """Return our client order id of an order, of a child that of the whole."""
    return order.client_order_id.removesuffix("-stop").removesuffix("-target")


@dataclass(frozen=True, slots=True)
class _Bare:
    """What is held without a stop, how much of it came by a bracket that ended in part, and which."""

    held: Holding
    quantity: float
    sent: Sent


def _crossed(mark: float | None, stop: float | None, entered: float) -> bool:
    """Whether the price of a position that was entered by so much is at its stop, or beyond."""
    return mark is not None and stop is not None and (mark - stop) * entered <= 0.0


def _covered(held: Holding, orders: Sequence[BrokerOrder]) -> float:
    """Return how much of a position stops guard, or other orders close already; siblings count once."""
    most: dict[str, float] = {}
    for order in orders:
        leg = order.legs[0]
        if not order.is_open or leg.symbol != held.symbol or leg.quantity * held.quantity >= 0.0:
            continue
        if is_stop(order) and not live_stop(order, orders):
            continue
        key = family_of(order) or order.order_id
        most[key] = max(most.get(key, 0.0), order.quantity - order.filled)
    return math.fsum(most.values())
