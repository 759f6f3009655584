"""The manager in front of the brokers: routes orders, and lets none pass that may not.

An order goes: mode (does it wait for a person?), the same id before (then nothing is sent again), doubt (an
unresolved order in its symbol keeps entries out), kill switch and record at the submit gate, broker. What
the broker does not answer is UNRESOLVED, and `resolve` asks for it by its id until the broker has it, or has
said twice, some time apart, that it has not.

    PAPER_ONLY      paper brokers only
    MANUAL_REVIEW   entries and exits wait in the review queue; what protects a position does not
    LIVE            orders go straight to the broker

Real money, in either of the last two, needs three things: the key of the configuration, the flag of the
command line, and a kill switch of scope "live" that a person has armed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from live.automation_config import ExecutionMode
from live.brokers.book import OrderBook, Sent
from live.brokers.interface import (
    BrokerInterface,
    BrokerOrder,
    OrderRequest,
    Outcome,
    Submitted,
    denied,
    unresolved,
)
from live.brokers.shrinking import keeper, shrinks
from live.brokers.stopping import CancelReport, KillReport, cancel_working
from live.kill_switch import KillSwitch, KillSwitchError
from live.review_queue import ReviewAnswer, ReviewQueue, ReviewRequest
from live.submit_gate import GateEntry, Purpose, SubmitGate, may_pass
from simulator.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["BrokerManager", "KillReport"]

RESOLVE_AFTER: Final = timedelta(seconds=5)
"""How long an order that the broker does not know stays in doubt."""


class BrokerManager:
    """Brokers by name, with one way in.

    Parameters
    ----------
    brokers
        By name.
    kill_switch
        Decides at the submit gate.
    review_queue
        Needed for MANUAL_REVIEW.
    mode
        See the module's docstring; may be changed later.
    routes
        Name of the broker by symbol, or by asset class: "stock", "option". Symbols come first. Not needed for
        one broker.
    live_key, live_flag
        Whether configuration and command line both say that real money may be traded.
    record
        Is given every intent, before anything is sent, and every outcome. While it fails, entries and exits
        are not sent.
    clock, sleep
        Injected for tests; the clock is aware.

    Raises
    ------
    ConfigError
        LIVE_PAPER_ONLY, LIVE_NOT_ENABLED, LIVE_SCOPE, LIVE_NO_QUEUE where the mode may not be; LIVE_NO_BROKER
        without a broker.
    UnknownNameError
        NAME_BROKER for a route to nobody.
    """

    def __init__(
        self,
        brokers: Mapping[str, BrokerInterface],
        kill_switch: KillSwitch,
        review_queue: ReviewQueue | None = None,
        *,
        mode: ExecutionMode = ExecutionMode.PAPER_ONLY,
        routes: Mapping[str, str] | None = None,
        live_key: bool = False,
        live_flag: bool = False,
        record: Callable[[dict[str, Any]], None] | None = None,
        clock: Callable[[], datetime] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not brokers:
            raise ConfigError("a broker manager needs at least one broker", code="LIVE_NO_BROKER")
        self.brokers = dict(brokers)
        self.kill_switch = kill_switch
        self.review_queue = review_queue
        self.gate = SubmitGate(kill_switch, clock=clock, record=self._record_gate if record else None)
        self._routes = dict(routes or {})
        self._enabled = live_key and live_flag
        self._record = record
        self._clock = clock or _now
        self._sleep = sleep
        self.unrecorded: list[dict[str, Any]] = []
        """What could not be recorded after the fact."""
        self._book = OrderBook()
        self._exits = threading.Lock()
        for name in self._routes.values():
            self._known(name)
        self.mode = mode

    @property
    def mode(self) -> ExecutionMode:
        """Where orders go."""
        return self._mode

    @mode.setter
    def mode(self, mode: ExecutionMode) -> None:
        real = [name for name, broker in self.brokers.items() if not broker.is_paper]
        if mode is ExecutionMode.PAPER_ONLY and real:
            raise ConfigError(f"PAPER_ONLY, and {real[0]} trades real money", code="LIVE_PAPER_ONLY")
        if (real or mode is ExecutionMode.LIVE) and not self._enabled:
            raise ConfigError(
                f"{mode.name} reaches {real[0] if real else 'brokers'} and needs both the key of the "
                "configuration and the flag of the command line; one of them is missing",
                code="LIVE_NOT_ENABLED",
            )
        if (real or mode is ExecutionMode.LIVE) and self.kill_switch.scope != "live":
            raise ConfigError(
                f"{mode.name} needs a kill switch of scope live, and this one's is {self.kill_switch.scope}",
                code="LIVE_SCOPE",
            )
        if mode is ExecutionMode.MANUAL_REVIEW and self.review_queue is None:
            raise ConfigError("MANUAL_REVIEW needs a review queue", code="LIVE_NO_QUEUE")
        self._mode = mode

    def route(self, request: OrderRequest) -> str:
        """Return the name of the broker that an order goes to.

        Raises
        ------
        ConfigError
            LIVE_ROUTE where no route is given, or the legs of a package lead to different brokers.
        """
        names = {
            self._routes.get(leg.symbol) or self._routes.get(request.asset_class) for leg in request.legs
        }
        name = next(iter(names))
        if len(names) == 1 and name is not None:
            return name
        if names == {None} and len(self.brokers) == 1:
            return next(iter(self.brokers))
        raise ConfigError(
            f"order {request.client_order_id} in {request.symbol} leads to {sorted(map(str, names))}; routes "
            "name one broker by symbol, or for 'stock' and 'option'",
            code="LIVE_ROUTE",
        )

    def submit_order(self, request: OrderRequest, *, price: float | None = None) -> Submitted | ReviewRequest:
        """Send an order, or lay it before a person.

        Parameters
        ----------
        price
            Now, for the drift limit of the review queue.
        """
        name = self.route(request)
        if self._mode is not ExecutionMode.MANUAL_REVIEW or request.purpose == "protect":
            return self._send(name, request)
        state = self.kill_switch.state
        if not may_pass(state, request.purpose):
            return denied(request, code=f"LIVE_{state}", message=self.kill_switch.status["why"])
        return self._queue().add(request, broker=name, price=price)

    def replace_order(
        self,
        name: str,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order at the broker `name`; one that enters counts as an entry at the gate.

        Raises
        ------
        KillSwitchError
            LIVE_DENIED where the gate does not let it pass.
        """
        broker = self._known(name)
        there = next((order for order in broker.get_orders() if order.order_id == order_id), None)
        smaller = quantity is None or (there is not None and quantity <= there.quantity)
        leaves = there is not None and keeper(broker, self._book.purposes())(there)
        purpose: Purpose = "protect" if smaller and leaves else "entry"
        passed = self.gate.submit(
            order_id,
            purpose,
            lambda: broker.replace_order(
                order_id, quantity=quantity, limit_price=limit_price, stop_price=stop_price
            ),
            shrinks=lambda: True,  # it is working, leaves a position, and does not grow
        )
        if passed.answer is None:
            raise KillSwitchError(
                f"{order_id} is not changed ({passed.entry.code}): {self.kill_switch.status['why']}",
                code="LIVE_DENIED",
            )
        return passed.answer

    def cancel_order(self, name: str, order_id: str) -> BrokerOrder:
        """Ask the broker `name` to cancel; passes in every state."""
        broker = self._known(name)
        passed = self.gate.submit(order_id, "cancel", lambda: broker.cancel_order(order_id))
        assert passed.answer is not None  # noqa: S101 - a cancel always passes
        return passed.answer

    def resolve(self) -> list[Submitted]:
        """Ask for every unresolved order by its id; returns those that are resolved now."""
        done = []
        for sent in self._book.unresolved():
            answer = self._looked_up(sent)
            if answer is not None:
                self._finish(sent, answer)
                done.append(answer)
        return done

    def recover(self) -> list[Submitted]:
        """After a start: take up approved requests whose outcome a crash has hidden; none is sent again."""
        for request in [] if self.review_queue is None else self.review_queue.unfinished():
            at = request.decided_at or request.created_at
            if self._book.begin(request.order, request.broker, at, review=request.request_id):
                lost = unresolved(
                    request.order, code="LIVE_NO_ANSWER", message="the session ended while it was sent"
                )
                self._book.finish(request.order.client_order_id, lost)
        return self.resolve()

    def engage_kill_switch(self, reason: str, engaged_by: str) -> KillReport:
        """Halt, void what waits for review, cancel what enters; never raises, and halts first.

        Orders that only shrink a position are left working.
        """
        halt = self.kill_switch.engage(reason, engaged_by)
        problems = list(halt.problems)
        voided: int | None = 0
        why = self.kill_switch.status["why"]
        if self.review_queue is not None:
            try:
                voided = self.review_queue.void_all(why)
            except Exception as error:
                voided = None
                problems.append(f"the review queue: {type(error).__name__}: {error}")
        cancels = self.cancel_all()
        problems += [f"{name}: {text}" for name, stop in cancels.brokers.items() for text in stop.problems]
        unresolved = tuple(sent.request.client_order_id for sent in self._book.unresolved(in_flight=True))
        report = KillReport(halt, cancels, voided, unresolved, tuple(problems))
        self._noted({"event": "kill", "why": why, "report": str(report)})
        return report

    def cancel_all(self, *, protective: bool = False) -> CancelReport:
        """Cancel what works, and with `protective` also what only shrinks a position; never raises."""
        purposes = self._book.purposes()

        def keep(name: str, broker: BrokerInterface) -> Callable[[BrokerOrder], bool]:
            return (lambda order: False) if protective else keeper(broker, purposes)

        return cancel_working(self.brokers, keep, sleep=self._sleep)

    def get_pending_requests(self) -> list[ReviewRequest]:
        """Return what waits for a person, oldest first."""
        return [] if self.review_queue is None else self.review_queue.pending()

    def approve_request(self, request_id: str, approved_by: str) -> ReviewAnswer:
        """Approve, judge anew, and send; whatever speaks against it is in the answer, and nothing is sent."""
        queue = self._queue()
        answer = queue.approve(request_id, approved_by)
        if not answer.accepted:
            return answer
        request = answer.request
        submitted = self._send(request.broker, request.order, review=request_id)
        return ReviewAnswer(accepted=True, request=queue.get(request_id), submitted=submitted)

    def reject_request(self, request_id: str, reason: str) -> ReviewAnswer:
        """Say no."""
        return self._queue().reject(request_id, reason)

    def _queue(self) -> ReviewQueue:
        if self.review_queue is None:
            raise ConfigError("this manager has no review queue", code="LIVE_NO_QUEUE")
        return self.review_queue

    def _known(self, name: str) -> BrokerInterface:
        if name not in self.brokers:
            raise UnknownNameError(
                f"no broker {name!r}.{did_you_mean(name, self.brokers)}", code="NAME_BROKER"
            )
        return self.brokers[name]

    def _send(self, name: str, request: OrderRequest, review: str = "") -> Submitted:
        broker = self._known(name)
        identity = request.client_order_id
        doubtful = self._book.doubtful(request)
        if request.purpose == "entry" and doubtful:
            message = f"order {doubtful} in the same symbol is unresolved"
            return self._closed(review, denied(request, code="LIVE_UNRESOLVED", message=message))
        sent = self._book.begin(request, name, self._clock(), review=review)
        if sent is None:
            return self._closed(review, self._book.again(request))
        submitted, overtaken = self._passed(broker, request)
        self._finish(sent, submitted)
        if overtaken and submitted.outcome in (Outcome.CONFIRMED, Outcome.UNRESOLVED):
            self._follow(sent, submitted)
        now = self._book.get(identity)
        return submitted if now is None else now.submitted

    def _passed(self, broker: BrokerInterface, request: OrderRequest) -> tuple[Submitted, bool]:
        # one at a time, so that two exits do not both count on the same position
        held = request.purpose != "entry" and self._exits.acquire(timeout=RESOLVE_AFTER.total_seconds())
        sending: list[bool] = []

        def send() -> Submitted:
            sending.append(True)
            return broker.submit_order(request)

        try:
            passed = self.gate.submit(
                request.client_order_id,
                request.purpose,
                send,
                shrinks=lambda: shrinks(broker, request, self._book.unresolved()),
            )
        except Exception as error:
            if not sending:
                return denied(request, code="LIVE_GATE", message=f"{type(error).__name__}: {error}"), False
            message = f"{type(error).__name__}: {error}"
            lost = unresolved(request, code="LIVE_NO_ANSWER", message=message)
            return lost, not may_pass(self.kill_switch.state, request.purpose)
        finally:
            if held:
                self._exits.release()
        if not passed.entry.allowed:
            return denied(request, code=passed.entry.code, message=self.kill_switch.status["why"]), False
        answer = passed.answer
        if not isinstance(answer, Submitted) or answer.client_order_id != request.client_order_id:
            answer = unresolved(
                request, code="LIVE_NO_ANSWER", message=f"the broker's answer cannot be: {answer!r}"
            )
        return answer, passed.overtaken

    def _finish(self, sent: Sent, submitted: Submitted) -> None:
        self._book.finish(sent.request.client_order_id, submitted)
        self._closed(sent.review, submitted)
        self._noted(
            {
                "event": "outcome",
                "order": submitted.client_order_id,
                "outcome": submitted.outcome.value,
                "code": submitted.code,
                "message": submitted.message,
                "broker_order": "" if submitted.order is None else submitted.order.order_id,
            }
        )

    def _closed(self, review: str, submitted: Submitted) -> Submitted:
        if review and self.review_queue is not None:
            try:
                self.review_queue.finish(review, submitted)
            except Exception as error:
                # the order is sent; `recover` finds the outcome by asking the broker
                self._noted({"event": "review", "request": review, "problem": str(error)})
        return submitted

    def _follow(self, sent: Sent, submitted: Submitted) -> None:
        """End an order that a kill overtook on its way: find it if need be, then cancel it."""
        identity = submitted.client_order_id
        if submitted.outcome is Outcome.UNRESOLVED:
            found = self._looked_up(sent)
            if found is None:
                return  # it stays unresolved, and every kill report counts it
            self._finish(sent, found)
        cancel_working(
            {sent.broker: self._known(sent.broker)},
            lambda _, __: lambda order: order.client_order_id != identity,
            sleep=self._sleep,
        )

    def _looked_up(self, sent: Sent) -> Submitted | None:
        """Ask the broker for an order; None while it is still in doubt."""
        request = sent.request
        try:
            order = self._known(sent.broker).find_order(request.client_order_id)
        except Exception:
            return None
        if order is not None:
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=request.client_order_id, order=order)
        absent = self._book.absent(request.client_order_id)
        if absent < 2 or self._clock() - sent.at < RESOLVE_AFTER:
            return None
        return denied(
            request, code="LIVE_NOT_SENT", message="the broker has said twice that it does not have it"
        )

    def _record_gate(self, entry: GateEntry) -> None:
        assert self._record is not None  # noqa: S101 - the gate is given this only with a record
        sent = self._book.get(entry.order)
        fields = {} if sent is None else {"request": asdict(sent.request), "broker": sent.broker}
        self._record({"event": "intent", **asdict(entry), "time": entry.time.isoformat(), **fields})

    def _noted(self, event: dict[str, Any]) -> None:
        if self._record is not None:
            try:
                self._record(event)
            except Exception:
                # what is sent is sent; the gate keeps the next one back
                self.unrecorded.append(event)


def _now() -> datetime:
    return datetime.now(UTC)
