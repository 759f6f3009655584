"""What `twinstep live` shows while a session runs at a broker: a view that refreshes, or a line per event.

The plan is watched as in `twinstep paper`. What happens at the broker is read off the session's record, which
has every order, answer, fill and change whoever brought it about, so that a line is never about what was only
meant.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from simulator.errors import TwinstepError
from twinstep.console import emit
from twinstep.live_view import LiveView, standing_line
from twinstep.paper_watch import Watch

if TYPE_CHECKING:
    from live.following.session import BrokerSession
    from live.following.standing import Standing
    from live.intents import IntentLog, LoggedEvent
    from live.review_queue import ReviewRequest
    from live.session import Session
    from live.sessions.outcome import StepOutcome

__all__ = ["EventLines", "LiveWatch"]

SHOWN: Final = (
    "intent", "outcome", "fill", "late_fill", "change", "asked", "denied", "naked", "guarded", "kill",
    "difference", "accepted", "rescale", "slippage_drift",
)  # fmt: skip
"""Kinds of events that are read; "intent" only says what an order was."""

_COUNTED: Final = {"outcome": "orders", "fill": "executions", "denied": "denied"}


class LiveWatch(Watch):
    """What is shown of one session at a broker.

    Parameters
    ----------
    quiet, every, options
        As of `Watch`.
    since
        Events from before are passed over; aware. None: all that there are.
    look_seconds
        How often events are looked for while no bar comes; None: with bars only.
    stored
        Whether bars are stored ones: what the broker does is then said without the time of today, which has
        nothing to do with the bars between which it stands.
    place
        Options that name the kill switch's folder on the command line, "" for the usual one.
    now
        Aware.
    """

    def __init__(
        self,
        *,
        quiet: bool,
        every: int = 0,
        since: datetime | None = None,
        look_seconds: float | None = None,
        stored: bool = False,
        place: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        **options: Any,
    ) -> None:
        super().__init__(quiet=quiet, every=every, **options)
        self.counts: dict[str, int] = {"orders": 0, "executions": 0, "denied": 0}
        self._since = since
        self._look_seconds = look_seconds
        self._stored, self._place = stored, place
        self._now = now
        self._told: dict[str, str] = {}
        self._armed: tuple[str, str | None] | None = None
        self._session: BrokerSession | None = None
        self._fact: Standing | None = None
        self._events: EventLines | None = None
        self._reading = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> LiveWatch:
        super().__enter__()
        if self._look_seconds is not None:
            self._thread = threading.Thread(target=self._keep_looking, name="twinstep-watch", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *gone: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        super().__exit__(*gone)

    def begin_at(self, live: BrokerSession) -> None:
        """Show how the session stands before its first bar."""
        self.begin(live.session)
        self._session = live
        scope = " --scope live" if live.kind == "LIVE" else ""
        self._events = EventLines(
            live.desk.manager.intents, self._since, timed=not self._stored,
            remedy=f"twinstep arm{self._place}{scope} --by NAME --reason TEXT --confirm",
        )  # fmt: skip
        self._fact = live.status()
        self._armed = _arming(live)
        queue = live.desk.manager.review_queue
        if queue is not None:
            # what waits is told again, what is over is not
            self._told = {one.request_id: one.state for one in queue.all() if one.state != "pending"}

    def tell_at(self, live: BrokerSession, outcome: StepOutcome) -> None:
        """Take in what came of a bar, when the broker has followed it."""
        self.look()
        before = self._shown
        self.tell(live.session, outcome)
        if self._fact is not None and self._shown != before and self._live is None:
            emit(standing_line(self._fact, self._now(), brief=True))

    def trade_words(self, session: Session, trade: Any) -> str:
        """Return a closed trade of the plan; one that was never entered at the broker is none."""
        from live.following.record import of_notes

        words = super().trade_words(session, trade)
        number = int(trade["id"])
        decided, parted = of_notes(session.notes())
        apart = [one for one in parted if one.trade == number]
        why = next((one.message for one in apart if one.kind == "not_entered"), None)
        if why is None and self._session is not None:
            intents, signal = self._session.desk.manager.intents, int(trade["signal"])
            entries = [one for one in decided if one.role == "entry" and one.signal == signal]
            sent = [intents.find(one.client_order_id) for one in entries]
            unfilled = not any(one and one.order is not None and one.order.filled for one in sent)
            if entries and signal >= 0 and unfilled:
                why = "its entry was not filled there"
        if why is None:
            return words
        return f"{words.partition(':')[0]}: not entered at the broker ({why})"

    def view(self) -> LiveView:  # type: ignore[override]  # what is drawn holds the other view
        """Return what is drawn; asked by the thread that draws."""
        return LiveView(plan=replace(super().view(), mode=self._kind()), fact=self._fact, now=self._now())

    def _kind(self) -> str:
        return "PAPER" if self._fact is None else self._fact.kind

    def _keep_looking(self) -> None:
        while not self._over.wait(self._look_seconds):
            # a look that fails is made again; the session itself says what is wrong with its journal
            with contextlib.suppress(TwinstepError):
                self.look()

    def look(self) -> None:
        """Read how it stands, and say what is new."""
        live, events = self._session, self._events
        if live is None or events is None:
            return
        with self._reading:
            self._fact = live.status()
            said = []
            for kind, words in events.new():
                name = _COUNTED.get(kind)
                if name is not None:
                    self.counts[name] += 1
                said.append(words)
            said += self._requested(live)
            arming = _arming(live)
            if arming != self._armed and arming[0] == "ACTIVE":
                status = live.desk.kill_switch.status
                said.append(f"armed by {status['armed_by']}: {status['arm_reason']}")
            self._armed = arming
            if not self.quiet and self._live is None:
                for words in said:
                    emit(words)

    def _requested(self, live: BrokerSession) -> list[str]:
        """Return what is new of the requests that a person is to answer, in words."""
        queue = live.desk.manager.review_queue
        found = []
        for one in () if queue is None else queue.all():
            if self._told.get(one.request_id) != one.state:
                self._told[one.request_id] = one.state
                found.append(_review_words(one, self._place))
        return found


class EventLines:
    """New events of a record, in words.

    Parameters
    ----------
    log
        What is read.
    since
        Events from before are passed over; aware. None: all that there are.
    timed
        Whether the time of each is said.
    remedy
        The command that ends a halt, "" for none.
    """

    def __init__(
        self, log: IntentLog, since: datetime | None = None, *, timed: bool = True, remedy: str = ""
    ) -> None:
        self._log = log
        self._timed, self._remedy = timed, remedy
        self._at_broker: dict[str, str] = {}  # words of orders by the broker's id
        self._orders: dict[str, str] = {}
        self._last = 0
        for event in log.events():
            if since is None or event.time >= since:
                break
            self._learn(event)
            self._last = event.number

    def new(self) -> list[tuple[str, str]]:
        """Return kind and words of what was recorded since the last look, oldest first."""
        found = []
        for event in self._log.events(after=self._last):
            self._last = event.number
            self._learn(event)
            words = self._words(event) if event.kind in SHOWN else ""
            if words:
                when = f"{event.time:%Y-%m-%d %H:%M:%SZ} " if self._timed else "  "
                found.append((event.kind, f"{when}{words}"))
        return found

    def _learn(self, event: LoggedEvent) -> None:
        """Remember what an order is, under our name for it and under the broker's."""
        data = event.data
        if event.kind == "intent":
            self._orders[event.order] = _request_words(data["request"])
        elif event.kind == "outcome" and data.get("broker_order"):
            self._at_broker[data["broker_order"]] = self._orders.get(event.order, event.order)
        elif event.kind == "alias":
            words = self._orders.get(event.order, event.order)
            self._at_broker[data["broker_order"]] = f"what rests behind {words}"

    def _words(self, event: LoggedEvent) -> str:
        data = event.data
        if event.kind == "intent":
            return ""
        order = self._orders.get(event.order, event.order)
        if event.kind == "outcome":
            why = " ".join(part for part in (data.get("code"), data.get("message")) if part)
            return f"{data['outcome']}: {order}{f' ({why})' if why else ''}"
        if event.kind == "fill":
            words = _fill_words(data["execution"])
            if event.order:
                return words
            return f"not of this session: {words}, filled {data['execution']['time'][:19]}Z"
        if event.kind == "change":
            wanted = ", ".join(
                f"{name.replace('_', ' ')} {value:g}" for name, value in data["wanted"].items()
            )
            return f"changed: {event.symbol} {wanted}"
        if event.kind == "asked":
            there = str(data.get("broker_order", ""))
            return f"asked to cancel: {order or self._at_broker.get(there, there)}"
        if event.kind == "denied":
            return f"kept back: {order or data.get('purpose', '')} ({data.get('code', '')})"
        plain = {
            "naked": f"WITHOUT A STOP: {event.symbol}",
            "guarded": f"behind a stop again: {event.symbol}",
            "kill": f"KILLED: {data.get('why', '')}{self._advice(str(data.get('why', '')))}",
        }
        return plain.get(event.kind, f"{event.kind.replace('_', ' ')}: {event.symbol or order}")

    def _advice(self, why: str) -> str:
        """Return how to go on, where the reason itself does not name a command."""
        return f"; when the cause is gone: {self._remedy}" if self._remedy and "twinstep " not in why else ""


def _arming(live: BrokerSession) -> tuple[str, str | None]:
    """Return state and arming of the switch: what is new of it is told."""
    status = live.desk.kill_switch.status
    return status["state"], status["armed_at"]


def _review_words(one: ReviewRequest, place: str) -> str:
    order = _request_words(asdict(one.order))
    if one.state == "pending":
        return (
            f"waits for a person: {one.request_id} {order}, until {one.expires_at:%Y-%m-%d %H:%M:%SZ}: "
            f"twinstep approve {one.request_id}{place} --by NAME"
        )
    by = f" by {one.decided_by}" if one.decided_by else ""
    why = f" ({one.note})" if one.note else ""
    state = "withdrawn" if one.state == "void" else one.state
    return f"{state}{by}: {one.request_id} {order}{why}"


def _request_words(request: dict[str, Any]) -> str:
    legs = " ".join(f"{leg['quantity']:+g} {leg['symbol']}" for leg in request["legs"])
    if len(request["legs"]) == 1:
        leg = request["legs"][0]
        legs = f"{'buy' if leg['quantity'] > 0 else 'sell'} {abs(leg['quantity']):g} {leg['symbol']}"
    prices = [
        f"{word} {request[name]:g}"
        for name, word in (
            ("limit_price", "limit"), ("stop_price", "stop"), ("stop_loss", "with stop"),
            ("take_profit", "target"),
        )
        if request.get(name) is not None
    ]  # fmt: skip
    kind = "at the market" if request["kind"] == "market" else request["kind"].replace("_", " ")
    reason = f" for {request['reason']}" if request.get("reason") else ""
    return f"{request['purpose']} {legs} {kind}{' ' if prices else ''}{', '.join(prices)}{reason}"


def _fill_words(execution: dict[str, Any]) -> str:
    side = "bought" if execution["side"] > 0 else "sold"
    kind = "" if execution["kind"] == "trade" else f" ({execution['kind']})"
    return f"{side} {execution['quantity']:g} {execution['symbol']} at {execution['price']:.2f}{kind}"
