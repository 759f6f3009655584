"""The manager in front of the brokers: routes orders, and lets none pass that may not.

An order goes: mode (does it wait for a person?), the same id before (then nothing is sent again), doubt (an
unresolved order in its symbol, or a broker that was not reconciled since it was last out of reach, keep
entries out), kill switch and record at the submit gate, broker. The intent is in the log before anything is
sent; where it cannot be written nothing is sent, and trading is halted. What the broker does not answer is
UNRESOLVED, and `resolve` asks for it by its id until the broker has it, or has said twice, some time apart,
that it has not: then it is given up. An exit or a stop that was given up may go again under its id, once it
is proven that it never arrived (`live.brokers.lost`).

    PAPER_ONLY      paper brokers only
    MANUAL_REVIEW   entries and exits wait in the review queue; what shrinks and protects a position does not
    LIVE            orders go straight to the broker

Right before an order that enters or exits is sent, the quote of that moment is looked up and stored with its
intent (`live.slippage.expecting`): what fills cost is learned from it, and no order waits long for it, or
fails for it.

Real money, in either of the last two, needs three things: the key of the configuration, the flag of the
command line, and a kill switch of scope "live" that a person has armed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from live.automation.config import ExecutionMode
from live.brokers.book import OrderBook
from live.brokers.changing import Changer
from live.brokers.diary import Diary
from live.brokers.errors import AccessRefused
from live.brokers.interface import (
    BrokerInterface,
    BrokerOrder,
    OrderRequest,
    Submitted,
    denied,
)
from live.brokers.killing import KillPath
from live.brokers.routing import check_mode, route_of
from live.brokers.sending import Doubt, Sender
from live.brokers.shrinking import shrinks
from live.brokers.stopping import CancelReport, KillReport
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.reconciling.differences import Difference, Differences
from live.review_queue import ReviewAnswer, ReviewQueue, ReviewRequest
from live.slippage.expecting import AskQuotes, Expectations
from live.submit_gate import Purpose, SubmitGate, may_pass
from simulator.errors import ConfigError, JournalError, UnknownNameError, did_you_mean

__all__ = ["BrokerManager", "KillReport"]


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
    intents
        Where every intent is written before it is sent: `IntentLog(journal.database)`. What is
        `IntentLog.in_memory()` ends with the process: for tests, and accounts that record themselves.
    differences
        What a reconciler has found; their symbols may only be left.
    quotes
        Asked for the quotes of an order's symbols right before it is sent, in place of the broker; see
        `live.slippage.expecting`.
    notify
        Is told what a person should know, as (kind, title, text); whatever it raises is ignored.
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
        intents: IntentLog,
        mode: ExecutionMode = ExecutionMode.PAPER_ONLY,
        routes: Mapping[str, str] | None = None,
        live_key: bool = False,
        live_flag: bool = False,
        differences: Differences | None = None,
        quotes: AskQuotes | None = None,
        notify: Callable[[str, str, str], object] | None = None,
        clock: Callable[[], datetime] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not brokers:
            raise ConfigError("a broker manager needs at least one broker", code="LIVE_NO_BROKER")
        self.brokers = dict(brokers)
        self.kill_switch = kill_switch
        self.review_queue = review_queue
        self.intents = intents
        self.differences = differences
        self.unreconciled: dict[str, str] = {}
        """Brokers in which nothing is entered until a reconciliation is complete, and why."""
        self._routes = dict(routes or {})
        self._enabled = live_key and live_flag
        self.clock = clock or _now
        self._notify = notify
        self._refused: set[str] = set()
        self.book = OrderBook(intents)
        self.expectations = Expectations(quotes)
        self.diary = Diary(intents, self.book, kill_switch, self.clock)
        self.gate = SubmitGate(kill_switch, clock=clock, record=self.diary.record, reduced=self._reduced)
        self._kill = KillPath(self, sleep)
        self._sender = Sender(self)
        self._changer = Changer(self, self._sender)
        for name in self._routes.values():
            self.known(name)
        self.mode = mode

    @property
    def mode(self) -> ExecutionMode:
        """Where orders go."""
        return self._mode

    @mode.setter
    def mode(self, mode: ExecutionMode) -> None:
        check_mode(
            mode,
            self.brokers,
            enabled=self._enabled,
            scope=self.kill_switch.scope,
            has_queue=self.review_queue is not None,
        )
        self._mode = mode

    def route(self, request: OrderRequest) -> str:
        """Return the name of the broker that an order goes to.

        Raises
        ------
        ConfigError
            LIVE_ROUTE where no route is given, or the legs of a package lead to different brokers.
        """
        return route_of(request, self._routes, self.brokers)

    def submit_order(
        self,
        request: OrderRequest,
        *,
        price: float | None = None,
        bar_time: datetime | None = None,
        expected: float | None = None,
        again: bool = False,
    ) -> Submitted | ReviewRequest:
        """Send an order, or lay it before a person.

        Parameters
        ----------
        price
            Now, for the drift limit of the review queue.
        bar_time
            Bar that it was decided on, aware; for the record.
        expected
            What the caller expects it to fill at, before slippage: per share, net for a package (received is
            positive). Stored with the intent; after a person's review only the quotes of then count.
        again
            Whether it may go once more under its id where it has got lost, and does not enter: it does where
            `why_not_again` has nothing to say, and is told how it stands where it has.
        """
        name = self.route(request)
        if self._mode is not ExecutionMode.MANUAL_REVIEW or self._needs_nobody(name, request, again=again):
            return self._sender.send(name, request, bar_time=bar_time, expected=expected, again=again)
        state = self.kill_switch.state
        if not may_pass(state, request.purpose):
            return denied(request, code=f"LIVE_{state}", message=self.kill_switch.status["why"])
        return self._queue().add(request, broker=name, price=price)

    def why_not_again(self, identity: str) -> str:
        """Return in words why an order that was given up may not be sent once more; "" where it may.

        Asks the broker, once it has been given up for long enough; see `live.brokers.lost`.
        """
        return self._sender.why_not_again(identity)

    def replace_order(
        self,
        name: str,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order at the broker `name`; one that enters counts as an entry.

        Raises
        ------
        KillSwitchError
            LIVE_DENIED where the gate does not let it pass, an entry is in doubt, or a person has to decide:
            in MANUAL_REVIEW what waits for review is cancelled and submitted anew.
        """
        given = {"quantity": quantity, "limit_price": limit_price, "stop_price": stop_price}
        wanted = {part: value for part, value in given.items() if value is not None}
        return self._changer.replace(name, order_id, wanted)

    def rescale_order(self, name: str, order: BrokerOrder, quantity: float, **prices: float) -> BrokerOrder:
        """Change a protective order as a split has changed its stock, in every state; for the reconciler."""
        return self._changer.rescale(name, order, {"quantity": quantity, **prices})

    def cancel_order(self, name: str, order_id: str) -> BrokerOrder:
        """Ask the broker `name` to cancel; passes in every state."""
        broker = self.known(name)
        passed = self.gate.submit(order_id, "cancel", lambda: broker.cancel_order(order_id))
        assert passed.answer is not None  # noqa: S101 - a cancel always passes
        return passed.answer

    def resolve(self) -> list[Submitted]:
        """Ask for every unresolved order by its id; returns those that are resolved now."""
        return self._sender.resolve()

    def recover(self) -> list[Submitted]:
        """After a start: ask for every order whose outcome a crash has hidden; none is sent again.

        The book knows from the log what was being sent. An approved request that has no intent there was
        never sent, unless the log is not the one of then: it is looked up all the same.
        """
        return self._sender.recover()

    def engage_kill_switch(self, reason: str, engaged_by: str) -> KillReport:
        """Halt, void what waits for review, cancel what enters; never raises, and halts first.

        Orders that only shrink a position are left working.
        """
        return self._kill.engage(reason, engaged_by)

    @property
    def kill_report(self) -> KillReport | None:
        """What the last kill achieved, and what was achieved since; None while nobody has killed."""
        return self._kill.report

    def follow_kill(self) -> KillReport | None:
        """While halted, cancel what enters until every cancel is confirmed; None where nothing is left to do.

        To be called now and then: a kill may come from another process, and its cancels may fail. What fails
        is repeated with growing pauses.
        """
        return self._kill.follow()

    def cancel_all(self, *, protective: bool = False) -> CancelReport:
        """Cancel what works, and with `protective` also what only shrinks a position; never raises."""
        return self._kill.cancel_all(protective=protective)

    def end(self, name: str, identity: str, *order_ids: str) -> None:
        """Cancel an order that a kill overtook on its way, by our id and by the broker's."""
        self._kill.end(name, identity, order_ids)

    def doubt(self, name: str, identity: str, purpose: Purpose, symbols: Sequence[str]) -> Doubt:
        """Say by code and in words why nothing may be entered now; "" where it may."""
        return self._sender.doubt(name, identity, purpose, symbols)

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
        submitted = self._sender.send(request.broker, request.order, review=request_id)
        return ReviewAnswer(accepted=True, request=queue.get(request_id), submitted=submitted)

    def reject_request(self, request_id: str, reason: str) -> ReviewAnswer:
        """Say no."""
        return self._queue().reject(request_id, reason)

    def _needs_nobody(self, name: str, request: OrderRequest, *, again: bool) -> bool:
        """Whether an order protects, by what is held and not by its word, or was sent before."""
        if request.purpose != "protect":
            return False
        try:
            before = self.book.get(request.client_order_id)
        except JournalError:
            before = None  # nobody can say; what is held decides
        if before is not None and not before.was_never_sent and not (again and before.got_lost):
            return True
        return shrinks(self.known(name), request, self.book.unresolved()) is True

    def _queue(self) -> ReviewQueue:
        if self.review_queue is None:
            raise ConfigError("this manager has no review queue", code="LIVE_NO_QUEUE")
        return self.review_queue

    def known(self, name: str) -> BrokerInterface:
        """Return a broker; raises `UnknownNameError` NAME_BROKER."""
        if name not in self.brokers:
            raise UnknownNameError(
                f"no broker {name!r}.{did_you_mean(name, self.brokers)}", code="NAME_BROKER"
            )
        return self.brokers[name]

    def halt(self, reason: str, by: str) -> None:
        """Engage the kill switch where it is not; `follow_kill` cancels what enters."""
        if self.kill_switch.state != "HALTED":
            self.kill_switch.engage(reason, by)
            self.tell("kill_switch", "Trading is halted", reason)

    def access_refused(self, name: str, error: AccessRefused) -> None:
        """Halt, once, where a broker no longer lets us in: nobody could cancel there what is sent now."""
        if name not in self._refused:
            self._refused.add(name)
            self.halt(f"{name} refuses access: {error.args[0]}", "twinstep")

    def access_granted(self, name: str) -> None:
        """Take in that a broker has answered again; a person arms."""
        self._refused.discard(name)

    def get_differences(self) -> list[Difference]:
        """Return what differs between the books and the brokers, oldest first."""
        return [] if self.differences is None else self.differences.open()

    def _reduced(self, symbols: Sequence[str]) -> bool:
        return self.differences is not None and self.differences.reduces(symbols)

    def tell(self, kind: str, title: str, text: str) -> None:
        """Tell whoever listens; nothing comes of its errors."""
        if self._notify is not None:
            try:
                self._notify(kind, title, text)
            except Exception as error:  # whoever is told may not keep anybody from trading or halting
                self.diary.note("untold", title=title, problem=f"{type(error).__name__}: {error}")


def _now() -> datetime:
    return datetime.now(UTC)
