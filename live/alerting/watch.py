"""What is worth an alert: read off what a session has done, and off what stands around it.

`watch` hooks on to a session and is told after each transaction, when it is on the disk; it never changes
anything. Each condition is told once: a position at half its profit once per position, a daily loss once per
day and step, a request or a difference once. What was so already when the watch began is not told, apart from
a kill switch that is engaged and requests that wait: those still want somebody.

| kind | when |
|---|---|
| `profit_half` | a position has made half of its profit, see below |
| `stop_hit` | a stop, a trailing stop or a package's stop loss was filled |
| `kill_switch` | the switch, or the account's own state, has changed |
| `daily_loss_half`, `daily_loss_full` | half of the daily loss limit is lost, or all of it |
| `approval_waiting` | an order waits in the review queue |
| `feed_stale` | the feed has gone stale, or has data again |
| `reconcile_difference` | a broker and the books differ |

The profit of a position is the way to its next target; of an option package its credit or debit; without
either, what it cost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from live.alerts import AlertKind, Alerts
from simulator.bars.arrays import stamp
from simulator.kernel import codes
from simulator.types import ExitReason

if TYPE_CHECKING:
    from live.feeds import FeedEvent
    from live.kill_switch import KillSwitch
    from live.reconcile import ReconcileReport
    from live.review_queue import ReviewQueue
    from live.session import Session
    from live.sessions.outcome import StepOutcome

__all__ = ["PROFIT_SHARE", "Watch", "watch"]

PROFIT_SHARE: Final = 0.5
WATCH_SECONDS: Final = 2.0
_STATES: Final = {0: "ACTIVE", 1: "REDUCING", 2: "HALTED"}


class HasEvents(Protocol):
    """A feed that tells what happens to it."""

    def on_event(self, callback: Callable[[FeedEvent], object]) -> None:
        """Have a callback told of every event."""
        ...


def watch(
    session: Session,
    alerts: Alerts,
    *,
    feed: HasEvents | None = None,
    kill_switch: KillSwitch | None = None,
    review_queue: ReviewQueue | None = None,
    every: float = WATCH_SECONDS,
) -> Watch:
    """Begin to send alerts about a session; `close` of what is returned ends it.

    Parameters
    ----------
    session
        Whose outcomes are looked at.
    feed
        Whose staleness is told; the session's own where it tells of events.
    kill_switch, review_queue
        Looked at in a thread, because they change without a bar; the switch is the session's by default.
    every
        Seconds between looks.
    """
    made = Watch(session, alerts, kill_switch=kill_switch or session.kill_switch, review_queue=review_queue)
    source = feed if feed is not None else session.feed
    if source is not None and hasattr(source, "on_event"):
        source.on_event(made.event)
    made.start(every)
    return made


class Watch:
    """What was told already, and what is told next."""

    def __init__(
        self,
        session: Session,
        alerts: Alerts,
        *,
        kill_switch: KillSwitch | None = None,
        review_queue: ReviewQueue | None = None,
    ) -> None:
        self.alerts, self.kill_switch, self.review_queue = alerts, kill_switch, review_queue
        self.name = session.name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._switch = "ACTIVE"
        self._requests: set[str] = set()
        self._differences: set[str] = set()
        held, shares = _profits(session)
        self._profits = set(held["id"][shares >= PROFIT_SHARE].tolist())
        self._day, self._steps = _losses(session)
        self._state = int(session.state.account["state"][0])
        self._end = session.on_outcome(self.outcome)
        self.failures = 0

    def start(self, every: float) -> None:
        """Begin to look at what changes without a bar."""
        if self._thread is None and (self.kill_switch is not None or self.review_queue is not None):
            self._thread = threading.Thread(target=self._run, args=(every,), name="alert-watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Look no more; alerts that were sent are still delivered."""
        self._end()
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    # What a transaction has done

    def outcome(self, session: Session, outcome: StepOutcome) -> None:
        """Send what follows from an outcome; called after each transaction."""
        self._stops_hit(session, outcome)
        self._profits_made(session)
        self._daily_loss(session)
        self._account_state(session)
        self.look()

    def _stops_hit(self, session: Session, outcome: StepOutcome) -> None:
        fills = outcome.logs["fills"]
        for fill in fills[(fills["kind"] == codes.KIND_STOP) | (fills["kind"] == codes.KIND_TRAIL)]:
            symbol = session.symbols[int(fill["sym"])]
            self._send(
                "stop_hit",
                f"{symbol}: {'trailing stop' if fill['kind'] == codes.KIND_TRAIL else 'stop'} hit",
                f"{abs(float(fill['qty'])):g} at {float(fill['price']):g} on {stamp(int(fill['ts']))}, "
                f"{_reason(int(fill['reason']))}. Equity {session.equity:,.2f}",
            )

    def _profits_made(self, session: Session) -> None:
        held, shares = _profits(session)
        if not len(held):
            self._profits.clear()
            return
        for place in np.flatnonzero(shares >= PROFIT_SHARE):
            one, share = held[place], float(shares[place])
            if int(one["id"]) in self._profits:
                continue
            self._profits.add(int(one["id"]))
            self._send(
                "profit_half",
                f"{session.symbols[int(one['sym'])]}: half of its profit is made",
                f"{share:.0%} of its profit, mark {float(one['mark']):g}, entered at "
                f"{float(one['entry_price']):g}",
            )
        self._profits.intersection_update(held["id"].tolist())

    def _daily_loss(self, session: Session) -> None:
        day, steps = _losses(session)
        if day != self._day:
            self._day, self._steps = day, frozenset()
        account, risk = session.state.account, session.rules.risk
        for kind in sorted(steps - self._steps):
            base, equity = float(account["baseline"][0]), float(account["equity"][0])
            limit = 0.0 if risk is None else risk.daily_loss_limit
            how = "all" if kind == "daily_loss_full" else "half"
            self._send(
                kind,
                f"{how} of the daily loss limit is lost",
                f"{100 * (1 - equity / base):.2f} % of {base:,.2f}; the limit is {limit:g} %",
            )
        self._steps |= steps

    def _account_state(self, session: Session) -> None:
        state = int(session.state.account["state"][0])
        if state != self._state:
            account = session.state.account
            why = [name for name in ("killed", "reducing", "daily_halt", "drawdown_halt") if account[name][0]]
            self._send(
                "kill_switch",
                f"the account is {_STATES[state]}",
                f"it was {_STATES[self._state]}; {', '.join(why).replace('_', ' ') or 'entries are let in'}",
            )
            self._state = state

    # What changes without a bar

    def look(self) -> None:
        """Look at the switch and the queue; send what is new."""
        if self.kill_switch is not None:
            state = self.kill_switch.state
            before, self._switch = self._switch, state
            if state != before:
                why = self.kill_switch.status["why"]
                self._send(
                    "kill_switch", f"the kill switch is {state}", f"it was {before}. {why or ''}".strip()
                )
        if self.review_queue is not None:
            waiting = self.review_queue.pending()
            for request in waiting:
                if request.request_id not in self._requests:
                    self._send(
                        "approval_waiting",
                        f"{_ordered(request.order)} waits for approval",
                        f"until {request.expires_at:%H:%M:%S %Z}: twinstep approve {request.request_id}",
                    )
            self._requests = {request.request_id for request in waiting}

    def event(self, event: FeedEvent) -> None:
        """Send what a feed says about its staleness."""
        if event.kind in ("stale", "fresh"):
            title = "the feed is stale" if event.kind == "stale" else "the feed has data again"
            self._send("feed_stale", title, str(event))

    def reconciled(self, report: ReconcileReport) -> None:
        """Send what a run of the reconciler has found new; give it every report."""
        for one in report.opened:
            if one.item_id not in self._differences:
                self._differences.add(one.item_id)
                symbols = ", ".join(one.found.symbols) or "the account"
                self._send("reconcile_difference", f"{symbols}: {one.found.cause}", one.message)
        self._differences &= {one.item_id for one in report.differences}

    def _run(self, every: float) -> None:
        while True:
            try:
                self.look()
            except Exception:
                # a queue that cannot be read now is read at the next look; the gate has said so already
                self.failures += 1
            if self._stop.wait(every):
                return

    def _send(self, kind: AlertKind, title: str, body: str) -> None:
        self.alerts.send(kind, f"[{self.name}] {title}", body)


def _profits(session: Session) -> tuple[npt.NDArray[np.void], npt.NDArray[np.float64]]:
    """Return the open positions, and the share of its profit that each has made; 0 where that is unknown."""
    positions = session.state.positions
    held = positions[positions["live"] != 0]
    if not len(held):
        return held, np.zeros(0)
    side, entry = held["side"].astype(np.float64), held["entry_price"]
    # the next target is kept times the side, so that up is good for shorts too; infinite where there is none
    way = np.where(np.isfinite(held["next_target"]), held["next_target"] - entry * side, abs(entry))
    whole = np.where(held["package"] != 0, abs(held["premium"]), way)
    gain = (held["mark"] - entry) * side
    known = (whole > 0) & np.isfinite(gain)
    return held, np.divide(gain, whole, out=np.zeros(len(held)), where=known)


def _losses(session: Session) -> tuple[int, frozenset[AlertKind]]:
    """Return the session's date, and which steps of the daily loss limit are reached."""
    account, risk = session.state.account, session.rules.risk
    day, base = int(account["session"][0]), float(account["baseline"][0])
    if risk is None or base <= 0 or not session.bars:
        return day, frozenset()
    lost = 100.0 * (1.0 - float(account["equity"][0]) / base)
    reached: list[AlertKind] = []
    if lost >= risk.daily_loss_limit / 2:
        reached.append("daily_loss_half")
    if lost >= risk.daily_loss_limit or account["daily_halt"][0]:
        reached.append("daily_loss_full")
    return day, frozenset(reached)


def _reason(code: int) -> str:
    return ExitReason(code).label


def _ordered(order: Any) -> str:
    return ", ".join(
        f"{'buy' if leg.quantity > 0 else 'sell'} {abs(leg.quantity):g} {leg.symbol}" for leg in order.legs
    )
