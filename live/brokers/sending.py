"""Sending one order, and finding out what became of it.

An id is taken, the price of the moment looked up, an exit measured by what is held, the gate asked, the
intent written, the call made, and the answer understood: these steps are the whole way of an order, and
nothing else sends. What is not answered stays UNRESOLVED until the broker has the order, or has said twice,
some time apart, that it has not. Then it is given up, and goes again only by `live.brokers.lost`.

An exit that would open or turn a position is not sent in any state (`live.brokers.shrinking.excess`). What is
on its way counts as leaving until its outcome is in the book, so two exits never count on the same position.
Where the broker does not say what is held, an exit passes in ACTIVE only on our own record: it shows enough,
and nothing of ours that closes the same can have filled unseen. Else it waits, behind the stop that rests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from live.brokers.book import Sent
from live.brokers.errors import AccessRefused, BrokerError, DuplicateOrder
from live.brokers.interface import (
    BrokerOrder,
    Leg,
    OrderRequest,
    Outcome,
    Submitted,
    denied,
    unresolved,
)
from live.brokers.lost import LostOrders
from live.brokers.shrinking import Excess, excess, shrinks
from live.kill_switch import KillSwitchError
from live.submit_gate import Purpose, may_pass
from simulator.errors import JournalError

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager
    from live.slippage.expecting import Expectation

__all__ = ["Doubt", "Sender"]

T = TypeVar("T")

RESOLVE_AFTER: Final = timedelta(seconds=5)
"""How long after a broker has first said that it does not know an order it must say so again."""


class Doubt(NamedTuple):
    """Why nothing may be entered now, by code and in words; both "" where it may."""

    code: str = ""
    why: str = ""


class Sender:
    """What a manager sends by."""

    def __init__(self, manager: BrokerManager) -> None:
        self._manager = manager
        self._exits = threading.Lock()
        self._lost = LostOrders(manager)
        self._under_way: dict[str, tuple[str, OrderRequest]] = {}
        self._noted: set[str] = set()

    def send(
        self,
        name: str,
        request: OrderRequest,
        review: str = "",
        bar_time: datetime | None = None,
        expected: float | None = None,
        *,
        again: bool = False,
    ) -> Submitted:
        """Send an order to the broker `name`, once; returns what became of it, and never raises for it.

        `again` is the word of the caller that what has got lost may go once more; proof is asked for here.
        """
        lost = self._proven(name, request) if again else None
        try:
            sent = self._manager.book.begin(
                request, name, self._manager.clock(), review=review, bar_time=bar_time, again=lost is not None
            )
            if sent is None:
                return self._closed(review, self._manager.book.again(request))
        except JournalError as error:
            state = self._manager.kill_switch.state
            code = "LIVE_NOT_RECORDED" if may_pass(state, request.purpose) else f"LIVE_{state}"
            return self._closed(review, self._kept_back(request, code, str(error)))
        symbols = [leg.symbol for leg in request.legs]
        code, why = self.doubt(name, request.client_order_id, request.purpose, symbols)
        if code:
            self._manager.book.give_back(request.client_order_id)
            return self._closed(review, denied(request, code=code, message=why))
        expectation = self._manager.expectations.of(
            name, self._manager.known(name), request, state=self._manager.kill_switch.state, price=expected
        )
        try:
            submitted, overtaken = self._passed(name, request, expectation, again=lost is not None)
            self._finish(sent, submitted, lost)
        finally:
            self._under_way.pop(request.client_order_id, None)
        if submitted.code == "LIVE_DUPLICATE_ID" and (found := self._looked_up(sent)) is not None:
            self._finish(sent, found)
        if overtaken and submitted.outcome in (Outcome.CONFIRMED, Outcome.UNRESOLVED):
            self._follow(sent, submitted)
        now = self._manager.book.peek(request.client_order_id)
        return submitted if now is None else now.submitted

    def doubt(self, name: str, identity: str, purpose: Purpose, symbols: Sequence[str]) -> Doubt:
        """Say by code and in words why nothing may be entered now; "" where it may, and for what leaves."""
        if purpose != "entry":
            return Doubt()
        other = self._manager.book.doubtful(identity, set(symbols))
        if other:
            return Doubt(code="LIVE_UNRESOLVED", why=f"order {other} in the same symbol is unresolved")
        why = self._manager.unreconciled.get(name)
        if why is not None:
            return Doubt(code="LIVE_UNRECONCILED", why=f"{name} is not reconciled: {why}")
        return Doubt()

    def why_not_again(self, identity: str) -> str:
        """Return in words why an order may not be sent once more; "" where it may."""
        try:
            sent = self._manager.book.get(identity)
        except JournalError as error:
            return f"the journal does not say how it stands: {error}"
        return "it was not given up" if sent is None else self._lost.why_not(sent)

    def _proven(self, name: str, request: OrderRequest) -> Sent | None:
        """Return what is on record of an order that may go once more; None where it may not.

        It may be larger or smaller than it was, and at other prices, but takes the same way.
        """
        if request.purpose == "entry" or self.why_not_again(request.client_order_id):
            return None
        try:
            before = self._manager.book.get(request.client_order_id)
        except JournalError:
            return None
        if before is None or before.broker != name:
            return None
        ways = [{leg.symbol: leg.quantity > 0.0 for leg in one.legs} for one in (before.request, request)]
        return before if ways[0] == ways[1] else None

    def _passed(
        self, name: str, request: OrderRequest, expectation: Expectation | None, *, again: bool
    ) -> tuple[Submitted, bool]:
        broker = self._manager.known(name)
        # one at a time, so that two exits do not both count on the same position
        held = request.purpose != "entry" and self._exits.acquire(timeout=RESOLVE_AFTER.total_seconds())
        self._under_way[request.client_order_id] = (name, request)
        sending: list[bool] = []
        asked = cache(lambda: self._excess(name, request))
        barred = cache(lambda: self._barred(name, request, asked()))

        def smaller() -> bool | None:
            if request.purpose == "exit":
                return asked().shrinks
            return shrinks(broker, request, self._manager.book.unresolved())

        def send() -> Submitted:
            # the gate has asked where it is not ACTIVE; somebody may have armed since
            if request.purpose == "exit" and barred().code:
                return denied(request, code=barred().code, message=barred().why)
            if again:
                if smaller() is not True:
                    why = "it got lost, and goes again only where it is known to shrink what is held"
                    return denied(request, code="LIVE_NOT_REDUCING", message=why)
                broker.never_arrived(request.client_order_id)
            sending.append(True)
            return broker.submit_order(request)

        try:
            if request.purpose == "exit" and self._is_free(request) and barred().code:
                return self._held_back(request, barred()), False
            passed = self._manager.gate.submit(
                request.client_order_id,
                request.purpose,
                send,
                shrinks=smaller,
                symbols=[leg.symbol for leg in request.legs],
                record=lambda entry: self._manager.diary.record(entry, expectation),
            )
        except Exception as error:  # adapters raise whatever their libraries raise
            if not sending:
                return denied(request, code="LIVE_GATE", message=f"{type(error).__name__}: {error}"), False
            return self._failed(name, request, error)
        finally:
            if held:
                self._exits.release()
        if not passed.entry.allowed:
            code = passed.entry.code
            measured = request.purpose == "exit" and code in ("LIVE_NOT_REDUCING", "LIVE_POSITION_UNKNOWN")
            return self._kept_back(request, code, asked().why if measured else ""), False
        answer = passed.answer
        if not isinstance(answer, Submitted) or answer.client_order_id != request.client_order_id:
            answer = unresolved(
                request, code="LIVE_NO_ANSWER", message=f"the broker's answer cannot be: {answer!r}"
            )
        elif answer.code == "LIVE_DUPLICATE_ID":
            answer = unresolved(request, code=answer.code, message=answer.message)
        return answer, passed.overtaken

    def _failed(self, name: str, request: OrderRequest, error: Exception) -> tuple[Submitted, bool]:
        """Return what an error while sending means: refused where the broker said so, else nobody knows."""
        if isinstance(error, AccessRefused):
            self._manager.access_refused(name, error)
        overtaken = not may_pass(self._manager.kill_switch.state, request.purpose)
        if isinstance(error, BrokerError) and not isinstance(error, DuplicateOrder):
            answer = Submitted(
                outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code=error.code,
                message=str(error.args[0]),
            )  # fmt: skip
            return answer, overtaken
        code = error.code if isinstance(error, DuplicateOrder) else "LIVE_NO_ANSWER"
        return unresolved(request, code=code, message=f"{type(error).__name__}: {error}"), overtaken

    def _kept_back(self, request: OrderRequest, code: str, error: str = "") -> Submitted:
        if code == "LIVE_NOT_RECORDED":
            message = f"the intent of {request.client_order_id} could not be recorded. {error}"
            self._manager.halt(message.strip(), "twinstep")
            return denied(request, code=code, message=message.strip())
        why = self._manager.kill_switch.status["why"]
        if (
            code in ("LIVE_SYMBOL_REDUCING", "LIVE_NOT_REDUCING")
            and self._manager.kill_switch.state == "ACTIVE"
        ):
            why = f"books and broker differ in {request.symbol}: get_differences() says how"
        return denied(request, code=code, message="; ".join(part for part in (why, error) if part))

    def _is_free(self, request: OrderRequest) -> bool:
        """Whether the gate would ask nothing of an exit; else it asks, and denies by a code of its own."""
        differences = self._manager.differences
        reduced = differences is not None and differences.reduces([leg.symbol for leg in request.legs])
        return self._manager.kill_switch.state == "ACTIVE" and not reduced

    def grown(self, name: str, order: BrokerOrder, quantity: float, send: Callable[[], T]) -> T:
        """Let `send` make a working order that leaves larger, measured as an exit of that size is.

        Raises `KillSwitchError` LIVE_DENIED where it would open or turn a position, or nobody can say.
        """
        if not order.quantity > 0.0:
            words = f"{order.order_id} is not changed: nobody says how large it is"
            raise KillSwitchError(words, code="LIVE_DENIED")
        share = (quantity - order.filled) / order.quantity
        larger = OrderRequest(
            client_order_id=order.client_order_id or order.order_id,
            legs=tuple(Leg(leg.symbol, leg.quantity * share) for leg in order.legs),
            order_class="multi_leg" if len(order.legs) > 1 else "simple", purpose="exit",
        )  # fmt: skip
        # one at a time with the exits that are sent; a change has no stop behind it to wait for
        held = self._exits.acquire(timeout=RESOLVE_AFTER.total_seconds())
        try:
            found = self._excess(name, larger, instead_of=order.order_id)
            if found.code:
                words = f"{order.order_id} is not changed ({found.code}): {found.why}"
                raise KillSwitchError(words, code="LIVE_DENIED")
            return send()
        finally:
            if held:
                self._exits.release()

    def _excess(self, name: str, request: OrderRequest, *, instead_of: str = "") -> Excess:
        """Ask the broker whether an exit would open or turn a position."""
        book = self._manager.book
        ahead = {one.identity: one.request for one in book.unresolved() if one.broker == name}
        for there, other in list(self._under_way.values()):
            if other is request:
                break  # what has begun after it counts it
            if there == name:
                ahead[other.client_order_id] = other
        found = excess(
            self._manager.known(name), request, book.purposes(), list(ahead.values()), instead_of=instead_of
        )
        if isinstance(found.error, AccessRefused):
            self._manager.access_refused(name, found.error)
        return found

    def _barred(self, name: str, request: OrderRequest, found: Excess) -> Excess:
        """Return why an exit may not be sent in ACTIVE: leaving is possible on our own record, too."""
        if found.error is None or isinstance(found.error, AccessRefused):
            return found
        return Excess() if self._is_on_record(name, request) else found

    def _is_on_record(self, name: str, request: OrderRequest) -> bool:
        """Whether our fills show enough to leave, and no other order of ours can have left it unseen."""
        from live.reconciling.fill_ledger import DUST, FillLedger  # which imports this package

        manager = self._manager
        ways = {leg.symbol: leg.quantity for leg in request.legs}
        try:
            held = FillLedger(manager.intents, name, manager.known(name).account).positions()
            before = manager.intents.orders(broker=name, symbols=set(ways))
        except Exception:  # an adapter's or a database's; then the record says nothing
            return False
        for symbol, quantity in ways.items():
            there = held.get(symbol, 0.0)
            if quantity * there >= 0.0 or abs(quantity) > abs(there) + DUST:
                return False
        if any(one.request.order_class == "bracket" and not one.was_never_sent for one in before):
            return False  # its children may have filled
        return not any(
            leg.quantity * ways.get(leg.symbol, 0.0) > 0.0
            for other in manager.book.live()
            if other.broker == name and other.identity != request.client_order_id
            for leg in other.request.legs
        )

    def _held_back(self, request: OrderRequest, found: Excess) -> Submitted:
        """Return the answer to an exit that is not sent, on record once, however often it is tried."""
        identity = request.client_order_id
        key = f"denied:{identity}:{found.code}"
        if key not in self._noted:
            self._noted.add(key)
            self._manager.diary.note(
                "denied", key=key, order=identity, symbol=request.symbol, purpose=request.purpose,
                state="ACTIVE", allowed=False, code=found.code, message=found.why,
            )  # fmt: skip
        return denied(request, code=found.code, message=found.why)

    def resolve(self) -> list[Submitted]:
        """Ask for every unresolved order by its id; returns those that are resolved now."""
        done = []
        for sent in self._manager.book.unresolved():
            answer = self._looked_up(sent)
            if answer is not None:
                self._finish(sent, answer)
                done.append(answer)
        return done

    def recover(self) -> list[Submitted]:
        """After a start: ask for every order whose outcome a crash has hidden; none is sent again.

        The book knows from the log what was being sent. An approved request that has no intent there was
        never sent, unless the log is not the one of then: it is looked up all the same.
        """
        for request in [] if self._manager.review_queue is None else self._manager.review_queue.unfinished():
            at = request.decided_at or request.created_at
            identity = request.order.client_order_id
            lost = unresolved(
                request.order, code="LIVE_NO_ANSWER", message="the session ended while it was sent"
            )
            if sent := self._manager.book.begin(request.order, request.broker, at, review=request.request_id):
                self._manager.diary.wrote(
                    sent, "intent", request=asdict(request.order), broker=request.broker
                )
                self._manager.diary.wrote(
                    self._manager.book.finish(identity, lost, self._manager.clock()), "recovered"
                )
            elif (
                there := self._manager.book.get(identity)
            ) and there.submitted.outcome is not Outcome.UNRESOLVED:
                self._closed(request.request_id, there.submitted)
        return self.resolve()

    def _finish(self, sent: Sent, submitted: Submitted, lost: Sent | None = None) -> None:
        """Take in what became of an order; of one that got lost and was kept back now, that it got lost."""
        now = self._manager.clock()
        submitted = self._plausible(sent, submitted)
        if lost is not None and submitted.outcome is Outcome.DENIED:
            if self._manager.diary.has_begun(sent.identity):
                self._manager.diary.wrote(
                    lost, "outcome", outcome=submitted.outcome.value, code=submitted.code,
                    message=submitted.message, broker_order="",
                )  # fmt: skip
            self._manager.book.give_back(sent.identity)
            return
        sent = self._manager.book.finish(sent.identity, submitted, now)
        ended = submitted.outcome in (Outcome.REJECTED, Outcome.DENIED)
        if ended:
            sent = replace(sent, final=True)
        if sent.was_never_sent and not self._manager.diary.has_begun(sent.identity):
            self._manager.book.give_back(sent.identity)
            self._closed(sent.review, submitted)
            return
        recorded = self._manager.diary.wrote(
            sent, "outcome", outcome=submitted.outcome.value, code=submitted.code, message=submitted.message,
            broker_order="" if submitted.order is None else submitted.order.order_id,
        )  # fmt: skip
        if sent.was_never_sent:
            self._manager.book.give_back(sent.identity)
        elif ended and recorded:
            self._manager.book.set(sent)
        self._closed(sent.review, submitted)

    def _plausible(self, sent: Sent, submitted: Submitted) -> Submitted:
        """Doubt a broker's id that another order of ours has: its counter went back."""
        order = submitted.order
        if submitted.outcome is not Outcome.CONFIRMED or order is None:
            return submitted
        try:
            other = self._manager.intents.owner(sent.broker, order.order_id)
        except JournalError:
            other = ""  # nobody can say; the reconciler looks again
        if other in ("", sent.identity):
            return submitted
        return unresolved(
            sent.request,
            code="LIVE_BROKER_ID",
            message=f"the broker gave it the id {order.order_id}, which belongs to order {other}",
        )

    def _closed(self, review: str, submitted: Submitted) -> Submitted:
        if review and self._manager.review_queue is not None:
            try:
                self._manager.review_queue.finish(review, submitted)
            except JournalError as error:
                # the order is sent; `recover` finds the outcome in the log, or by asking the broker
                self._manager.diary.note("review", request=review, problem=str(error))
        return submitted

    def _follow(self, sent: Sent, submitted: Submitted) -> None:
        """End an order that a kill overtook on its way: find it if need be, then cancel it."""
        if submitted.outcome is Outcome.UNRESOLVED:
            found = self._looked_up(sent)
            if found is None:
                return  # it stays unresolved, and every kill report counts it
            self._finish(sent, found)
        self._manager.end(sent.broker, sent.identity)

    def _looked_up(self, sent: Sent) -> Submitted | None:
        """Ask the broker for an order; None while it is still in doubt."""
        request = sent.request
        try:
            order = self._manager.known(sent.broker).find_order(request.client_order_id)
        except Exception as error:  # whatever the adapter's library raises, the question was not answered
            if isinstance(error, AccessRefused):
                self._manager.access_refused(sent.broker, error)
            return None
        if order is not None:
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=request.client_order_id, order=order)
        now = self._manager.clock()
        absent = self._manager.book.absent(request.client_order_id, now)
        self._manager.diary.wrote(absent, "absent", times=absent.absent)
        # asked for after its call has returned: what a timeout has cost is no time for the broker to list it
        if absent.absent < 2 or now - (absent.absent_since or now) < RESOLVE_AFTER:
            return None
        return denied(
            request, code="LIVE_NOT_SENT", message="the broker has said twice that it does not have it"
        )
