"""Our orders against those of a broker: who owns what, how each stands, and what should not have happened.

An order's state follows from its fills first and from the broker's word second: what filled after it was
cancelled is filled. "Cancelled", like every other end, is final only when a second look, some time later,
still says so. An order that is not listed is asked for by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from live.brokers.book import Sent
from live.brokers.errors import AccessRefused
from live.brokers.interface import BrokerOrder, Outcome, Submitted
from live.brokers.manager import BrokerManager
from live.brokers.partial_entries import is_stop, live_stop
from live.reconciling.acceptance import accepted_orders
from live.reconciling.differences import Found
from live.reconciling.fill_ledger import DUST, FillLedger
from live.reconciling.splits import Asked
from simulator.brokerage import Execution, Holding
from simulator.types import OrderState

__all__ = ["OrderRounds"]

_NEVER_THERE = (Outcome.DENIED, Outcome.REJECTED)


class OrderRounds:
    """The orders of a manager at one broker, from one run to the next.

    Parameters
    ----------
    manager
        Whose book is brought up to date.
    name
        Of the broker.
    ledger
        Its fills.
    window
        How long an order stays in motion after something has changed about it.
    """

    def __init__(self, manager: BrokerManager, name: str, ledger: FillLedger, window: timedelta) -> None:
        self._manager = manager
        self._name = name
        self._ledger = ledger
        self._window = window
        self._foreign: set[str] = set()  # orders that are not ours, and have ended
        self._claims: dict[str, tuple[datetime, float]] = {}  # since when an order claims more than it shows
        self._brackets: dict[str, Sent] = {}
        self._loaded = False  # whether those from before this process are among them
        self._looked_at: set[str] = set()  # symbols whose exits were checked
        self._first = True

    def adopt(self, listed: Sequence[BrokerOrder], now: datetime) -> None:
        """Learn which of the listed orders are ours; raises `JournalError` where that cannot be stored."""
        children = []
        known = {sent.order.order_id: sent for sent in self._manager.book.live()
                 if sent.broker == self._name and sent.order is not None}  # fmt: skip
        for order in listed:
            if self._ledger.owner(order.order_id) or order.order_id in self._foreign:
                continue
            sent = self._mine(order, known)
            if sent is not None:
                self._ledger.own(order.order_id, sent.identity, sent.request.purpose)
            else:
                children.append(order)
        for order in children:
            family = self._family(order)
            if family:
                self._ledger.adopt_child(order, family, now)
            elif not order.is_open:
                self._foreign.add(order.order_id)

    def update(self, listed: Sequence[BrokerOrder], new: Iterable[Execution], now: datetime) -> list[Found]:
        """Bring the book up to date with what is listed and filled; returns what differs about orders."""
        # of what was replaced the one that works stands for both
        by_client = {
            order.client_order_id: order
            for order in sorted(listed, key=lambda order: order.is_open)
            if order.client_order_id
        }
        by_id = {order.order_id: order for order in listed}
        touched = {self._ledger.owner(one.order_id) for one in new} - {""}
        if self._first:
            self._first = False
            touched |= self._left_over()
        sents = {one.identity: one for one in self._manager.book.live() if one.broker == self._name}
        # before one of them is called final, and leaves the book: its shares need their stop all the same
        self._collect(sents.values())
        for identity in sorted(touched - set(sents)):
            if (before := self._manager.book.get(identity)) is not None:
                sents[identity] = before
        found = []
        for sent in sents.values():
            order = by_client.get(sent.identity) or by_id.get(sent.order.order_id if sent.order else "")
            if order is not None:
                found += self._seen(sent, order, now)
            elif not sent.in_flight and sent.submitted.outcome is Outcome.CONFIRMED:
                found += self._not_listed(sent, now)
        accepted: set[str] | None = None
        for order in listed:
            found += self._returned(order, by_client, sents, now)
            if order.is_open and not self._ledger.owner(order.order_id):
                accepted = accepted_orders(self._manager, self._name) if accepted is None else accepted
                if order.order_id not in accepted and self._manager.book.get(order.client_order_id) is None:
                    found.append(self._foreign_order(order))
        return found

    def moving(self, now: datetime) -> set[str]:
        """Return the symbols in which an order or a fill is too fresh to compare."""
        symbols: set[str] = set()
        for sent in self._manager.book.live():
            if sent.broker != self._name:
                continue
            doubt = sent.submitted.outcome is Outcome.UNRESOLVED
            if sent.in_flight or doubt or self._is_young(sent.updated or sent.at, now):
                symbols |= {leg.symbol for leg in sent.request.legs}
        for one in self._ledger.fills.values():
            # by the broker's clock; where ours is behind it, by when it was told
            if self._is_young(one.time if one.time <= now else self._ledger.taken[one.execution_id], now):
                symbols.add(one.symbol)
        for identity, (since, _) in self._claims.items():
            claimant = self._manager.book.get(identity)
            if claimant is not None and self._is_young(since, now):
                symbols |= {leg.symbol for leg in claimant.request.legs}
        return symbols

    def _is_young(self, then: datetime, now: datetime) -> bool:
        """Whether something happened a moment ago; what lies ahead did not, since a clock was put back."""
        return timedelta(0) <= now - then < self._window

    def claimed(self) -> dict[str, float]:
        """Return by symbol, signed, what orders say is filled and executions do not show."""
        claimed: dict[str, float] = {}
        for identity, (_, quantity) in self._claims.items():
            sent = self._manager.book.get(identity)
            for leg in [] if sent is None else sent.request.legs:
                first = abs(sent.request.legs[0].quantity) if sent is not None else 1.0
                claimed[leg.symbol] = claimed.get(leg.symbol, 0.0) + quantity * leg.quantity / first
        return claimed

    def asked(self, order: BrokerOrder) -> Asked | None:
        """Return what was asked for when an order of ours, or the parent of a child, was sent.

        In shares of now: splits that were accepted since are taken into account.
        """
        identity = self._ledger.owner(order.order_id)
        sent = self._manager.book.get(identity) if identity else None
        if sent is None or len(order.legs) != 1:
            return None
        request = sent.request
        factor = self._ledger.factor(request.symbol, sent.at)
        child = order.parent_id != "" or order.client_order_id != identity
        stop = request.stop_loss if child else request.stop_price
        limit = request.take_profit if child else request.limit_price
        return Asked(
            quantity=abs(request.legs[0].quantity) * factor,
            limit_price=None if limit is None else limit / factor,
            stop_price=None if stop is None else stop / factor,
        )

    def overdone(self, moving: set[str], fresh: set[str]) -> list[Found]:
        """Return orders that filled more than was asked for, and exits that left more than there was."""
        found = []
        symbols = {one.symbol for one in self._ledger.fills.values()}
        for symbol in sorted(symbols - moving):
            if symbol in self._looked_at and symbol not in fresh:
                continue
            self._looked_at.add(symbol)
            for excess in self._ledger.excesses(symbol):
                one = excess.execution
                owner = self._ledger.owner(one.order_id)
                words = (
                    f"{symbol}: execution {one.execution_id} of order {owner} left "
                    f"{excess.quantity:g} more than there was; stop and target may both have filled"
                )
                data = {"execution": one.execution_id, "quantity": excess.quantity}
                found.append(
                    Found(
                        cause="double_exit", broker=self._name, symbols=(symbol,), message=words,
                        subject=one.execution_id, data=data,
                    )
                )  # fmt: skip
        self._looked_at -= moving & fresh
        return found

    def unprotected(
        self, positions: Sequence[Holding], orders: Sequence[BrokerOrder], moving: set[str]
    ) -> list[Found]:
        """Return symbols in which shares of a bracket are held and no stop guards them."""
        held = {one.symbol: one.quantity for one in positions}
        need: dict[str, float] = {}
        for identity, sent in list(self._guarded(set(held)).items()):
            leg = sent.request.legs[0]
            rest = self._ledger.rest(identity, leg.symbol)
            if rest > DUST and held.get(leg.symbol, 0.0) * leg.quantity > 0:
                need[leg.symbol] = need.get(leg.symbol, 0.0) + rest
        found = []
        for symbol, wanted in sorted(need.items()):
            wanted = min(wanted, abs(held[symbol]))
            guarded = sum(
                order.quantity - order.filled
                for order in orders
                if order.is_open
                # what leaves at the market, if only at the next open, needs no stop beside it
                and (order.kind == "market" or (is_stop(order) and live_stop(order, orders)))
                and [leg.symbol for leg in order.legs] == [symbol]
                and order.legs[0].quantity * held[symbol] < 0
            )
            if guarded < wanted - DUST and symbol not in moving:
                words = f"{symbol}: {wanted:g} of what is held came by brackets, and stops guard {guarded:g}"
                found.append(
                    Found(
                        cause="unprotected", broker=self._name, symbols=(symbol,), message=words,
                        data={"held": held[symbol], "needed": wanted, "guarded": guarded},
                    )
                )  # fmt: skip
        return found

    def _left_over(self) -> set[str]:
        """Return the orders whose fills a crash has kept from them: stored, and not counted there yet."""
        return {
            identity
            for identity, (symbol, filled) in self._manager.intents.filled(self._name).items()
            if self._ledger.filled(identity, symbol)[0] > filled + DUST
        }

    def _guarded(self, held: set[str]) -> dict[str, Sent]:
        """Return the brackets that may have shares left, by client order id."""
        if not self._loaded:
            symbols = held | set(self._ledger.positions())
            before = self._manager.intents.orders(broker=self._name, symbols=symbols)
            self._collect(sent for sent in before if sent.submitted.outcome is Outcome.CONFIRMED)
            self._loaded = True
        self._collect(sent for sent in self._manager.book.live() if sent.broker == self._name)
        return self._brackets

    def _collect(self, sents: Iterable[Sent]) -> None:
        for sent in sents:
            if sent.request.order_class == "bracket":
                self._brackets[sent.identity] = sent

    def _mine(self, order: BrokerOrder, replaced: Mapping[str, Sent]) -> Sent | None:
        if order.order_id in replaced:
            return replaced[order.order_id]
        sent = self._manager.book.get(order.client_order_id) if order.client_order_id else None
        return sent if sent is not None and sent.broker == self._name else None

    def _is_another(self, order: BrokerOrder, sent: Sent) -> bool:
        """Whether the broker says of this id that it belongs to another order of ours."""
        theirs = order.client_order_id
        return theirs not in ("", sent.identity) and self._manager.book.get(theirs) is not None

    def _family(self, order: BrokerOrder) -> str:
        """Return the client order id of the order that this one is a child of, "" for none."""
        if order.parent_id and (owner := self._ledger.owner(order.parent_id)):
            return owner
        parent = order.client_order_id.rpartition("-")[0]
        sent = self._manager.book.get(parent) if parent else None
        return parent if sent is not None and sent.request.order_class in ("bracket", "oco") else ""

    def _seen(self, sent: Sent, order: BrokerOrder, now: datetime) -> list[Found]:
        """Take in how a listed order stands."""
        owner = self._ledger.owner(order.order_id)
        if owner != sent.identity or self._is_another(order, sent):
            return [self._reused(order, owner if owner != sent.identity else sent.identity)]
        first = sent.request.legs[0]
        filled, price = self._ledger.filled(sent.identity, first.symbol)
        state, total = order.state, max(filled, order.filled)
        if filled >= order.quantity - DUST and not order.is_open:
            state = OrderState.FILLED  # whatever it was called before: a fill after a cancel wins
        elif filled > DUST and order.is_open:
            state = OrderState.PARTIALLY_FILLED
        if price is None or len(sent.request.legs) > 1:
            price = order.average_price
        self._claim(sent.identity, order.filled - filled, now)
        newest = replace(order, state=state, filled=total, average_price=price)
        known = sent.order
        changed = known is None or (known.order_id, known.state, known.filled, known.quantity) != (
            newest.order_id, newest.state, newest.filled, newest.quantity,
        )  # fmt: skip
        if changed or sent.submitted.outcome is not Outcome.CONFIRMED:
            late = known is not None and not known.is_open and newest.filled > known.filled + DUST
            sent = self._set(sent, newest, now, "late_fill" if late else "order")
        elif not newest.is_open and filled >= order.filled - DUST:
            self._finish(sent, now)
        return self._overfilled(sent, newest)

    def _set(self, sent: Sent, order: BrokerOrder, now: datetime, kind: str) -> Sent:
        submitted = Submitted(outcome=Outcome.CONFIRMED, client_order_id=sent.identity, order=order)
        newest = replace(
            sent, submitted=submitted, in_flight=False, absent=0, absent_since=None, updated=now, final=False
        )
        self._manager.book.set(newest)
        self._manager.diary.wrote(
            newest, kind, state=order.state.label, filled=order.filled, price=order.average_price,
            broker_order=order.order_id,
        )  # fmt: skip
        return newest

    def _finish(self, sent: Sent, now: datetime) -> None:
        """Call an ended order final, where it has looked the same for a while."""
        if sent.final or now - (sent.updated or sent.at) < self._window:
            return
        ended = replace(sent, final=True)
        if self._manager.diary.wrote(ended, "final"):
            self._manager.book.set(ended)

    def _claim(self, identity: str, missing: float, now: datetime) -> None:
        if missing > DUST:
            self._claims[identity] = (self._claims.get(identity, (now, 0.0))[0], missing)
        else:
            self._claims.pop(identity, None)

    def _not_listed(self, sent: Sent, now: datetime) -> list[Found]:
        """Ask for an order that is not in the list, and say so where the broker does not know it."""
        if sent.order is not None and not sent.order.is_open:
            filled = self._ledger.filled(sent.identity, sent.request.symbol)[0]
            if filled >= sent.order.filled - DUST:
                self._finish(sent, now)
            return []
        try:
            order = self._manager.brokers[self._name].find_order(sent.identity)
        except Exception as error:  # whatever an adapter's library raises: it is unknown, not gone
            if isinstance(error, AccessRefused):
                self._manager.access_refused(self._name, error)
            return []
        if order is not None:
            if not self._ledger.owner(order.order_id):
                self._ledger.own(order.order_id, sent.identity, sent.request.purpose)
            return self._seen(sent, order, now)
        if sent.absent < 2:
            sent = self._manager.book.absent(sent.identity, now)
            self._manager.diary.wrote(sent, "absent", times=sent.absent)
        # what was counted before a restart has no time any more, and is enough to tell a person
        if sent.absent < 2 or (sent.absent_since is not None and now - sent.absent_since < self._window):
            return []
        words = f"{sent.request.symbol}: order {sent.identity} was confirmed, and {self._name} has it no more"
        return [
            Found(
                cause="missing_order", broker=self._name, message=words, subject=sent.identity,
                symbols=tuple(leg.symbol for leg in sent.request.legs),
            )
        ]  # fmt: skip

    def _returned(
        self, order: BrokerOrder, by_client: dict[str, BrokerOrder], sents: dict[str, Sent], now: datetime
    ) -> list[Found]:
        """Adopt an order that was given up as never sent, and is there nevertheless."""
        identity = self._ledger.owner(order.order_id)
        if not identity or identity in sents or by_client.get(identity) is not order:
            return []
        sent = self._manager.book.get(identity)
        if sent is None or sent.submitted.outcome not in _NEVER_THERE:
            return []
        self._set(sent, order, now, "late_order")
        words = f"{sent.request.symbol}: order {identity} was given up, and {self._name} has it"
        return [
            Found(
                cause="late_order", broker=self._name, message=words, subject=identity,
                symbols=tuple(leg.symbol for leg in sent.request.legs),
            )
        ]  # fmt: skip

    def _overfilled(self, sent: Sent, order: BrokerOrder) -> list[Found]:
        scale = max(1.0, order.quantity / abs(sent.request.legs[0].quantity))
        found = []
        for leg in sent.request.legs:
            filled = self._ledger.filled(sent.identity, leg.symbol)[0]
            wanted = abs(leg.quantity) * scale
            if filled > wanted + DUST:
                words = f"{leg.symbol}: order {sent.identity} asked for {wanted:g} and filled {filled:g}"
                found.append(
                    Found(
                        cause="overfill", broker=self._name, symbols=(leg.symbol,), message=words,
                        subject=sent.identity, data={"asked": wanted, "filled": filled},
                    )
                )  # fmt: skip
        return found

    def _foreign_order(self, order: BrokerOrder) -> Found:
        symbols = tuple(leg.symbol for leg in order.legs)
        words = f"{', '.join(symbols)}: order {order.order_id} works at {self._name} and is not ours"
        return Found(
            cause="foreign_order", broker=self._name, symbols=symbols, message=words, subject=order.order_id
        )

    def _reused(self, order: BrokerOrder, owner: str) -> Found:
        sent = self._manager.book.get(owner)
        symbols = {leg.symbol for leg in (*(sent.request.legs if sent else ()), *order.legs)}
        words = (
            f"{', '.join(sorted(symbols))}: {self._name} calls order {order.client_order_id} "
            f"{order.order_id}, which is the id of {owner}"
        )
        return Found(
            cause="order_id_reused", broker=self._name, symbols=tuple(sorted(symbols)), message=words,
            subject=order.order_id,
        )  # fmt: skip
