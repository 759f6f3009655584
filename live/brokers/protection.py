"""Keeps a stop at the broker behind every stock position, and a record of when there was none.

Exits that this program works itself (trails, targets, time exits) end with it. So every stock position gets a
stop that rests at the broker, wider than the program's own, which it never reaches while all is well. What is
guarded already `live.brokers.guarded` reads off the orders. The part of an entry that has filled while its
bracket's stop still waits is seen to by `PartialEntries`. Options get no stop.

A gap begins when it is first seen and is on record, so that how long a position stood naked outlives the
process; the id of a protective stop follows from the beginning of its gap and a counter, which goes on only
when the stop before is known to be refused, absent, ended or at work, so that no share gets two at once.

Some brokers refuse a stop while an order that enters works in its symbol, as a trade with oneself. A position
that no stop may stand behind is not added to: where that lasts for the patience, our own entries in the
symbol are cancelled, as the rest of a bracket is, and the stop is tried anew. Entries by another hand are
left alone, and waited for. A target of ours whose stop has ended alone makes room for a stop, too.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from live.brokers.guarded import (
    DUST,
    Protection,
    entering,
    is_at_work,
    leaving,
    lonely_targets,
    protections,
    rest,
    whole_first,
)
from live.brokers.interface import (
    BrokerOrder,
    Leg,
    OrderRequest,
    Outcome,
    Submitted,
    client_order_id,
    is_option,
)
from live.brokers.manager import BrokerManager
from live.brokers.partial_entries import PATIENCE, PartialEntries, family_of, is_stop
from live.intents import IntentLog, Sent
from live.review_queue import ReviewRequest
from simulator.brokerage import Holding
from simulator.errors import ConfigError
from simulator.types import OrderState

__all__ = ["Gap", "Protector"]

WIDER_PCT: Final = 5.0
"""How far beyond the program's own stop, or from the price where it has none, a protective stop rests."""

RELEASE_SECONDS: Final = 5.0
"""How long a cancelled stop may take to end before an exit is given up."""

RETRY_AFTER: Final = timedelta(seconds=2)
"""How long after a refusal a stop is tried anew where nothing is in its way; each pause is twice the last."""

_DOUBLED_AT_MOST: Final = 10
_STEP_SECONDS: Final = 0.1
STRATEGY: Final = "protective stop"
"""Of the orders that are sent here, those of `PartialEntries` included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """How long a position was without a stop, wholly or in part.

    Attributes
    ----------
    begin, end
        Aware; `end` is None while it lasts.
    """

    symbol: str
    begin: datetime
    end: datetime | None

    def length(self, now: datetime) -> timedelta:
        """Return how long it lasted, or has lasted."""
        return (self.end or now) - self.begin


class Protector:
    """Keeps a stop behind every stock position of a broker, and a record of the gaps.

    Parameters
    ----------
    manager
        Through which orders go, gate and record included.
    name
        Of the broker, as the manager has it.
    wider_pct
        See `WIDER_PCT`; percent.
    patience
        How long an entry may stand filled in part while the broker holds its stop back, see `PartialEntries`,
        or refuses a protective one beside it.
    sleep
        Injected for tests.

    Raises
    ------
    ConfigError
        LIVE_PROTECT for a distance outside 0 to below 100.
    """

    def __init__(
        self,
        manager: BrokerManager,
        name: str,
        *,
        wider_pct: float = WIDER_PCT,
        patience: timedelta = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0.0 < wider_pct < 100.0:
            raise ConfigError(
                f"a protective stop {wider_pct:g} % away; it is above 0 and below 100", code="LIVE_PROTECT"
            )
        self.manager = manager
        self.name = name
        self._wider = wider_pct / 100.0
        self._patience = patience
        self._sleep = sleep
        self._log: IntentLog = manager.intents
        self._parts = PartialEntries(manager, name, strategy=STRATEGY, patience=patience, sleep=sleep)

    def look(self, now: datetime) -> list[Protection]:
        """Return how things stand, and write down where a gap has begun or ended; sends nothing."""
        broker = self.manager.known(self.name)
        # orders first: a fill in between shows as a gap, and never hides one
        orders = broker.get_orders()
        found = protections(broker.get_positions(), orders)
        naked = {one.symbol for one in found if not one.is_guarded}
        standing = {gap.symbol for gap in self.gaps() if gap.end is None}
        for symbol in sorted(naked - standing):
            self._log.note("naked", now, symbol=symbol, broker=self.name)
        for symbol in sorted(standing - naked):
            self._log.note("guarded", now, symbol=symbol, broker=self.name)
        return found

    def gaps(self) -> list[Gap]:
        """Return every gap on record, oldest first."""
        open_: dict[str, datetime] = {}
        found: list[Gap] = []
        for event in self._log.events("naked", "guarded"):
            if event.data["broker"] != self.name:
                continue
            if event.kind == "naked":
                open_[event.symbol] = event.time
            elif event.symbol in open_:
                found.append(Gap(symbol=event.symbol, begin=open_.pop(event.symbol), end=event.time))
        found += [Gap(symbol=symbol, begin=begin, end=None) for symbol, begin in open_.items()]
        return sorted(found, key=lambda gap: gap.begin)

    def keep(
        self, now: datetime, stops: Mapping[str, float] | None = None
    ) -> list[Submitted | ReviewRequest]:
        """Send the stops that lack, and cancel ours that guard nothing any more; to be called after a poll.

        What has filled of a bracket whose stop the broker holds back comes first: see `PartialEntries`.
        A protective stop passes in every state of the kill switch. Before an exit is sent, `release` its
        symbol: both would sell the same shares, and some brokers refuse the exit for that.

        Parameters
        ----------
        now
            Aware.
        stops
            The program's own stops by symbol, beyond which the protective ones rest.
        """
        answers: list[Submitted | ReviewRequest] = []
        self._cancel_idle()
        answers += self._parts.settle(now)
        if self._made_way(self.look(now)):
            self.look(now)
        begun = self._begun()
        self._free(begun, now)
        doubtful = {leg.symbol for sent in self.manager.book.unresolved() for leg in sent.request.legs}
        # of one answer: a stop that is listed only now would be taken for one that is counted already
        broker = self.manager.known(self.name)
        working = broker.get_orders()
        waiting = self._parts.waiting(working)
        held = {one.symbol: one for one in broker.get_positions()}
        for one in protections(list(held.values()), working) if begun else []:
            # what leaves already, or may, is not sold a second time
            quantity = one.naked - leaving(one, working)
            if one.symbol not in begun or is_option(one.symbol):
                continue
            if one.symbol in doubtful or one.symbol in waiting or quantity <= DUST:
                continue
            identity = self._identity(one, begun[one.symbol], working)
            price = None if identity is None else self._price(one, held, (stops or {}).get(one.symbol))
            if identity is None or price is None:
                continue
            side = math.copysign(1.0, one.quantity)
            leg = Leg(one.symbol, -side * whole_first(quantity))
            request = OrderRequest(
                client_order_id=identity, legs=(leg,), kind="stop",
                stop_price=price, tif="gtc", purpose="protect", strategy=STRATEGY,
                reason="nothing guards it at the broker",
            )  # fmt: skip
            answers.append(self.manager.submit_order(request))
        return answers

    def has_stop(self, symbol: str) -> bool:
        """Whether a protective stop of ours may still work in a symbol, as far as the record knows."""
        return any(
            sent.request.symbol == symbol and sent.identity in self._ours() for sent in self._log.open()
        )

    def release(self, symbol: str) -> bool:
        """Cancel our protective stops in a symbol, so that an exit may be sent; call `keep` right after it.

        Returns False where one is not known to have ended within `RELEASE_SECONDS`: then it may still sell,
        and an exit besides would open a position.
        """
        broker = self.manager.known(self.name)
        ours = self._ours()
        waiting = [
            order
            for order in broker.get_orders()
            if family_of(order) in ours and order.legs[0].symbol == symbol
        ]
        for order in waiting:
            self.manager.cancel_order(self.name, order.order_id)
        names = {order.order_id for order in waiting}
        for _ in range(int(RELEASE_SECONDS / _STEP_SECONDS)):
            if not names & {order.order_id for order in broker.get_orders()}:
                return True
            self._sleep(_STEP_SECONDS)
        return not names

    def _ours(self) -> set[str]:
        return {
            sent.identity
            for sent in self._log.open()
            if sent.broker == self.name and sent.request.strategy == STRATEGY
        }

    def _begun(self) -> dict[str, datetime]:
        return {gap.symbol: gap.begin for gap in self.gaps() if gap.end is None}

    def _tries(self, symbol: str, begin: datetime) -> list[Sent]:
        """Return the stops that were sent for a gap, oldest first."""
        found: list[Sent] = []
        while (sent := self._log.find(self._name(symbol, begin, len(found)))) is not None:
            if sent.was_never_sent:
                break
            found.append(sent)
        return found

    def _name(self, symbol: str, begin: datetime, sequence: int) -> str:
        return client_order_id(self._log.account, STRATEGY, symbol, begin, sequence)

    def _identity(self, one: Protection, begin: datetime, working: Sequence[BrokerOrder]) -> str | None:
        """Return the id of the next stop for a gap, None where none may be sent now."""
        tries = self._tries(one.symbol, begin)
        broker = self.manager.known(self.name)
        refusals: list[datetime] = []
        for sent in tries:
            if sent.submitted.outcome is Outcome.UNRESOLVED:
                return None
            # the log is as old as the last poll; the broker may have forgotten what has ended
            order = broker.find_order(sent.identity) or sent.order
            if order is None and sent.submitted.outcome is Outcome.CONFIRMED:
                return None
            if order is None or _is_refused(sent, order):
                refusals.append(sent.at)  # or it never arrived
            elif order.is_open and not is_at_work(order, working):
                return None  # it is there, and the list does not show it yet
        if refusals and (entering(one, working) or self._is_early(refusals)):
            return None
        return self._name(one.symbol, begin, len(tries))

    def _is_early(self, refusals: Sequence[datetime]) -> bool:
        pause: timedelta = RETRY_AFTER * (1 << min(len(refusals) - 1, _DOUBLED_AT_MOST))
        return self.manager.clock() - refusals[-1] < pause

    def _made_way(self, found: Sequence[Protection]) -> bool:
        """Cancel our entries beside which a stop was refused; returns whether there were any to cancel."""
        begun = self._begun()
        naked = [one for one in found if one.symbol in begun and not one.is_guarded]
        if not naked:
            return False
        working = self.manager.known(self.name).get_orders()
        waiting = self._parts.waiting(working)
        purposes = self.manager.book.purposes()
        ended = False
        for one in naked:
            if one.symbol in waiting:
                continue
            ours = [
                order for order in entering(one, working) if purposes.get(order.client_order_id) == "entry"
            ]
            tries = self._tries(one.symbol, begun[one.symbol]) if ours else []
            if tries and _is_refused(tries[-1], tries[-1].order):
                if self.manager.clock() - tries[-1].at < self._patience:
                    continue
                for order in ours:
                    self._parts.end(order)
                    ended = True
        return ended

    def _free(self, begun: Mapping[str, datetime], now: datetime) -> None:
        """Cancel targets of ours beside which no stop works any more, so that one may rest in their place.

        Both would sell the same shares, and of the two the stop is what a position cannot be without.
        """
        late = {symbol for symbol, begin in begun.items() if now - begin >= self._patience}
        if not late:
            return
        broker = self.manager.known(self.name)
        working = broker.get_orders()
        waiting = self._parts.waiting(working)
        for one in protections(broker.get_positions(), working):
            if one.symbol in late - waiting and not one.is_guarded and not is_option(one.symbol):
                for order in lonely_targets(one, working):
                    sent = self.manager.book.get(family_of(order))
                    if sent is not None and sent.request.order_class in ("bracket", "oco"):
                        self._parts.end(order)

    def _price(self, one: Protection, held: Mapping[str, Holding], own: float | None) -> float | None:
        start = own if own is not None else held[one.symbol].mark
        if start is None:
            # what it once cost may be beyond the price of now, and a stop there would sell at once
            start = self._parts.quoted(one.symbol) or one.mark
        if start is None or not start > 0.0:
            return None
        side = math.copysign(1.0, one.quantity)
        # away from the price, to a whole tick: one cent, a hundredth of it below a dollar
        scale = 100.0 if start >= 1.0 else 10_000.0
        steps = start * (1.0 - side * self._wider) * scale
        price = (math.floor(steps + DUST) if side > 0 else math.ceil(steps - DUST)) / scale
        return price if price > 0.0 else None

    def _cancel_idle(self) -> None:
        """Cancel our protective stops that would sell more than is held, or open a position.

        So may the children of our brackets where an order beside them has left the position, or a part of it.
        """
        ours = self._ours()
        broker = self.manager.known(self.name)
        held = {one.symbol: one.quantity for one in broker.get_positions()}
        working = broker.get_orders()
        entries = {order.client_order_id for order in working}
        taken: dict[tuple[str, bool], float] = {}  # of what is held, by stops and by targets
        # a bracket's own children go before what was sent because they were not there
        for order in sorted(working, key=lambda order: family_of(order) in ours):
            leg, family = order.legs[0], family_of(order)
            there = held.get(leg.symbol, 0.0)
            key = (leg.symbol, is_stop(order))
            left = abs(there) if leg.quantity * there < 0.0 else 0.0
            left = max(0.0, left - taken.get(key, 0.0))
            if family in ours or (family != order.client_order_id and family not in entries):
                taken[key] = taken.get(key, 0.0) + min(rest(order), left)
            if rest(order) <= left + DUST:
                continue
            if family in ours:
                self.manager.cancel_order(self.name, order.order_id)
            elif self._outlived(order, working, there):
                self._shorten(order, left)

    def _outlived(self, order: BrokerOrder, working: Sequence[BrokerOrder], there: float) -> bool:
        """Whether a child of a bracket of ours stands for more than is left of its position.

        Positions that are missing from an answer, or come late, are not flat: our own fills have to say it,
        all those of the entry among them.
        """
        from live.reconciling.fill_ledger import FillLedger  # which imports this package

        family, leg = family_of(order), order.legs[0]
        sent = self.manager.book.get(family) if family and len(order.legs) == 1 else None
        if sent is None or sent.broker != self.name or sent.request.order_class != "bracket":
            return False
        if any(
            one.client_order_id == family and one.legs[0].quantity * leg.quantity < 0.0 for one in working
        ):
            return False  # its entry works
        if sent.request.legs[0].quantity * leg.quantity >= 0.0 or self.manager.book.doubtful(
            "", {leg.symbol}
        ):
            return False
        ledger = FillLedger(self._log, self.name, self.manager.known(self.name).account)
        if abs(ledger.positions().get(leg.symbol, 0.0) - there) > DUST:
            return False
        brought = ledger.brought(family, leg.symbol) / ledger.factor(leg.symbol, sent.at)
        entry = self.manager.known(self.name).find_order(family) if brought > DUST else None
        return entry is not None and not entry.is_open and brought >= entry.filled - DUST

    def _shorten(self, order: BrokerOrder, left: float) -> None:
        """Have a child stand for what is left; where the broker does not change it, a stop of ours comes."""
        if left > DUST:
            with contextlib.suppress(Exception):  # adapters raise whatever their libraries raise
                self.manager.replace_order(self.name, order.order_id, quantity=order.filled + left)
                return
        self.manager.cancel_order(self.name, order.order_id)


def _is_refused(sent: Sent, order: BrokerOrder | None) -> bool:
    """Whether a broker said no, at once or after a while."""
    if order is None:
        return sent.submitted.outcome is Outcome.REJECTED
    return order.state == OrderState.REJECTED and order.filled <= 0.0
