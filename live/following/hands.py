"""What the parts of a follower share: the record of what was decided, and the way to send and to cancel.

Every order is on record before it is sent, under an id that follows from the decision; every answer that is
no confirmation is kept in words, and one that leaves no other trace is written down as an event. What
protects does not wait for a journal that cannot be written: it goes, and is written down when it can be.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import select

from journal import schema
from live.brokers.guarded import protections
from live.brokers.interface import BrokerOrder, Outcome, Submitted
from live.brokers.protection import Protector
from live.exchange.calendar import nanoseconds
from live.following.cases import Case, Facts, Order
from live.following.decisions import Decision, Namer, goes_again, said_of
from live.following.record import Followed, Parted, PartedKind, as_note, of_notes
from live.sessions.recording import unpack
from live.sessions.store import SessionStore
from simulator.errors import JournalError, TwinstepError
from simulator.types import ExitReason

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager
    from live.kill_switch import KillSwitch
    from live.opening import Desk
    from live.review_queue import ReviewRequest
    from live.session import Session

__all__ = ["Hands"]

RETRY: Final = timedelta(seconds=60)
"""How long after a refusal what leaves or protects is tried again."""

RELEASE_SECONDS: Final = 5.0
"""How long a cancelled order may take to end before the next look goes on."""

_STEP_SECONDS: Final = 0.1


class Hands:
    """Record, send and cancel, for one session at one broker.

    Parameters
    ----------
    session, desk, broker, sleep
        As for `Follower`.

    Attributes
    ----------
    problems
        What is wrong now, in words, by what it is about.
    records
        What was decided, by the plan's order.
    parted
        Where plan and fact parted, oldest first.
    trades, ends
        Number of the plan's position by its order, and why a position of the plan has ended.
    answers
        What the broker has said to each cancel, by its id of the order.
    """

    def __init__(
        self, session: Session, desk: Desk, broker: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.session = session
        self.desk = desk
        self.broker = broker
        self.problems: dict[str, str] = {}
        self.namer = Namer(f"{session.name} {desk.manager.known(broker).account}")
        self._sleep = sleep
        records, parted = of_notes(session.notes())
        self.parted = list(parted)
        self.records: dict[int, list[Followed]] = {}
        self._known: dict[str, Followed] = {}
        for one in records:
            self._remember(one)
        self.trades: dict[int, int] = {}
        self.ends: dict[int, ExitReason] = {}
        self.answers: dict[str, BrokerOrder] = {}
        self._unwritten: list[Followed | Parted] = []
        self._tries: dict[str, tuple[int, datetime]] = {}
        self._splits: dict[tuple[str, datetime], int] = {}
        self._split: set[str] = set()
        self._split_as_of: Facts | None = None
        self._bare: dict[str, datetime] = {}
        self._gaps: set[str] | None = None
        self._learned_from = self.ts + 1  # bars from here on are told to `learn`

    @property
    def manager(self) -> BrokerManager:
        """What orders go through."""
        return self.desk.manager

    @property
    def switch(self) -> KillSwitch:
        """The switch of plan and orders."""
        return self.desk.kill_switch

    @property
    def ts(self) -> int:
        """Label of the plan's last bar."""
        return self.session.last_ts or 0

    # The plan's own history

    def learn(self, logs: dict[str, Any]) -> None:
        """Take in what a bar did in the plan."""
        fills = logs.get("fills", np.zeros(0))
        for one in fills:
            self.trades[int(one["order"])] = int(one["position"])
        for one in logs.get("trades", np.zeros(0)):
            self.ends[int(one["id"])] = ExitReason(int(one["exit_reason"]))

    def trade_of(self, order: int) -> int:
        """Return the number of the position that an order of the plan has opened, -1 for none."""
        mine = self.records.get(order, ())
        if order not in self.trades and mine and mine[0].decided_ts < self._learned_from:
            self._recall(mine[0].decided_ts)
        return self.trades.get(order, -1)

    def _recall(self, since: int) -> None:
        """Read what the plan did before this process."""
        store, table = SessionStore(self.session.database, self.session.name), schema.steps
        with self.session.database.read() as connection:
            mine = table.c.session_id == store.get(connection).id
            query = select(table.c.logs).where(mine, table.c.ts >= since).order_by(table.c.bar)
            logs = [row.logs for row in connection.execute(query)]
        for data in logs:
            self.learn(unpack(data)[0])
        self._learned_from = since

    # Sending

    def send(self, decision: Decision, *, again: bool = False) -> bool:
        """Put an order on record, then send it; returns whether the broker may have it now.

        Parameters
        ----------
        again
            Whether it got lost, and may go once more.
        """
        record, request = decision.record, decision.request
        try:
            self.decide(record, anyway=request.purpose == "protect")
        except (TwinstepError, OSError) as error:
            self.problems["journal"] = f"{record.symbol}: {record.role} is not sent: {error}"
            return False
        bar = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record.decided_ts // 1_000)
        self._tries[record.client_order_id] = self.ts, self.manager.clock()
        answer = self.manager.submit_order(
            request, price=decision.expected, bar_time=bar, expected=decision.expected, again=again
        )
        about = f"{record.role} {record.order}"
        if not isinstance(answer, Submitted):
            self.problems.pop(about, None)
            if answer.state != "pending":
                self.problems[about] = said_of(record, answer)
            return False
        if answer.outcome is Outcome.CONFIRMED:
            self.problems.pop(about, None)
            return True
        self.problems[about] = f"{record.symbol}: {record.role} {answer.outcome.value}: {answer.message}"
        if answer.outcome is Outcome.REJECTED:
            with contextlib.suppress(TwinstepError, OSError):  # said in `problems`, and by the intents
                self.part("refused", record.symbol, record.order, f"{record.role}: {answer.message}")
        elif answer.outcome is Outcome.DENIED:
            self._note_denied(record, answer)
        return answer.outcome is Outcome.UNRESOLVED

    def _note_denied(self, record: Followed, answer: Submitted) -> None:
        try:
            self.manager.intents.note(
                "denied", self.manager.clock(), key=f"denied:{record.client_order_id}:{answer.code}",
                order=record.client_order_id, symbol=record.symbol, code=answer.code, message=answer.message,
            )  # fmt: skip
        except JournalError as error:
            self.problems["journal"] = str(error)

    def part(
        self, kind: PartedKind, symbol: str, order: int, message: str, *, quantity: float = 0.0,
        price: float | None = None,
    ) -> None:  # fmt: skip
        """Put on record that plan and fact have parted."""
        parted = Parted(
            kind=kind, ts=self.ts, symbol=symbol, trade=self.trades.get(order, -1), order=order,
            quantity=quantity, price=price, message=message,
        )  # fmt: skip
        self.session.note(as_note(parted))
        self.parted.append(parted)

    def has_parted(self, order: int, *kinds: str) -> bool:
        """Whether that is on record already."""
        return any(one.order == order and one.kind in kinds for one in self.parted)

    def record_of(self, identity: str) -> Followed | None:
        """Return what was decided under an id."""
        return self._known.get(identity)

    def decide(self, record: Followed, *, anyway: bool = False) -> None:
        """Put on record what is to be sent.

        Parameters
        ----------
        anyway
            Whether it goes where it cannot be written: it is written with the next that can be.
        """
        if self._known.get(record.client_order_id) == record:
            return
        try:
            self.flush()
            self.session.note(as_note(record))
        except (TwinstepError, OSError) as error:
            if not anyway:
                raise
            self.problems["note"] = f"{record.symbol}: {record.role} goes without its note: {error}"
            self._unwritten.append(record)
        self._remember(record)

    def flush(self) -> None:
        """Write down what has gone without its note; raises where that is still not possible."""
        while self._unwritten:
            self.session.note(as_note(self._unwritten[0]))
            self._unwritten.pop(0)
        self.problems.pop("note", None)

    def ended_review(self, one: Order) -> ReviewRequest | None:
        """Return the request of an order that was never sent, where a person or the time has ended it."""
        queue = self.manager.review_queue
        if queue is None or one.standing != "unsent":
            return None
        mine = (it for it in queue.all() if it.order.client_order_id == one.record.client_order_id)
        return next((it for it in mine if it.state != "pending"), None)

    def in_split(self, symbol: str, facts: Facts) -> bool:
        """Whether a split has happened at the broker, and no bar of the plan has carried it since."""
        if facts is not self._split_as_of:
            kept = self.manager.differences
            try:
                open_ = [] if kept is None else kept.open()
            except JournalError:
                open_ = []  # then nobody can say, and the levels of the plan are what there is
            split = (one.found.symbols for one in open_ if one.found.cause == "split")
            self._split_as_of, self._split = facts, {name for names in split for name in names}
        if symbol in self._split:
            return True
        seen = self.session.seen()
        closed = int(seen.close_ts[-1]) if len(seen) else 0
        new = [
            one for one in facts.ledger.adjustments
            if one.symbol == symbol and one.split_at is not None and nanoseconds(one.split_at) > closed
        ]  # fmt: skip
        # by the bar at which it was first seen, too: bars of a replay have other times than the clock
        at = [self._splits.setdefault((symbol, one.split_at), self.ts) for one in new if one.split_at]
        return any(ts == self.ts for ts in at)

    def write_gaps(self, facts: Facts) -> None:
        """Write down where something has been held bare for longer than from one poll to the next."""
        now, log = self.manager.clock(), self.manager.intents
        try:
            if self._gaps is None:
                gaps = Protector(self.manager, self.broker).gaps()
                self._gaps = {gap.symbol for gap in gaps if gap.end is None}
            found = protections(list(facts.positions.values()), facts.orders)
            naked = {one.symbol for one in found if not one.is_guarded}
            for symbol in sorted(naked & set(self._bare) - self._gaps):
                log.note("naked", self._bare[symbol], symbol=symbol, broker=self.broker)
                self._gaps.add(symbol)
            for symbol in sorted(self._gaps - naked):
                log.note("guarded", now, symbol=symbol, broker=self.broker)
                self._gaps.discard(symbol)
        except JournalError as error:
            self.problems["journal"] = str(error)
            return
        self._bare = {symbol: self._bare.get(symbol, now) for symbol in naked}

    def cancel(self, case: Case, orders: Iterable[BrokerOrder]) -> bool:
        """Cancel orders and wait until they have ended; returns whether there were any."""
        waiting = {order.order_id for order in orders}
        if not waiting:
            return False
        about = f"cancel {case.number}"
        self.problems.pop(about, None)
        for order_id in sorted(waiting):
            try:
                self.answers[order_id] = self.manager.cancel_order(self.broker, order_id)
            except Exception as error:  # of whatever the adapter's library raises; the next look says
                self.problems[about] = f"{case.symbol}: {order_id} is not cancelled: {error}"
        broker = self.manager.known(self.broker)
        for _ in range(int(RELEASE_SECONDS / _STEP_SECONDS)):
            try:
                left = {order.order_id for order in broker.get_orders() if order.is_open}
            except Exception:  # not answered: the next look asks again
                return True
            if not left & waiting:
                return True
            self._sleep(_STEP_SECONDS)
        return True

    def was_kept_back(self, one: Order) -> bool:
        """Whether an order was tried on this bar, a moment ago, and kept back; each try costs the stop."""
        if one.standing != "unsent" and not goes_again(one):
            return False
        ts, at = self._tries.get(one.record.client_order_id, (-1, self.manager.clock()))
        return ts == self.ts and self.manager.clock() - at < RETRY

    def may_retry(self, one: Order) -> bool:
        """Whether what was refused may be tried again: on another bar, or after a while.

        Of what got lost `may_arrive` says when.
        """
        if one.sent is None or goes_again(one) or one.record.decided_ts < self.ts:
            return True
        return self.manager.clock() - (one.sent.updated or one.sent.at) >= RETRY

    def may_arrive(self, one: Order) -> bool:
        """Whether an order that got lost may still arrive, so that nothing goes in its place; says so."""
        if not goes_again(one):
            return False
        record = one.record
        why = self.manager.why_not_again(record.client_order_id)
        if why:
            words = f"{record.symbol}: {record.role} got lost on its way, and does not go again yet: {why}"
            self.problems[f"{record.role} {record.order}"] = words
        return bool(why)

    def forget_problems(self, numbers: Iterable[int]) -> None:
        """Drop what was wrong about orders of the plan that are over."""
        gone = {str(number) for number in numbers}
        for about in [one for one in self.problems if one.rpartition(" ")[2] in gone]:
            del self.problems[about]

    def _remember(self, record: Followed) -> None:
        mine = self.records.setdefault(record.order, [])
        if record.client_order_id in self._known:
            mine[:] = [one for one in mine if one.client_order_id != record.client_order_id]
        mine.append(record)
        self._known[record.client_order_id] = record
