"""What the parts of a follower share: the record of what was decided, and the way to send and to cancel.

Every order is on record before it is sent, under an id that follows from the decision; every answer that is
no confirmation is kept in words, and one that leaves no other trace is written down as an event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import select

from journal import schema
from live.brokers.interface import BrokerOrder, Outcome, Submitted
from live.following.cases import Case, Order
from live.following.decisions import Decision, Namer
from live.following.record import Followed, Parted, PartedKind, as_note, of_notes
from live.sessions.recording import unpack
from live.sessions.store import SessionStore
from simulator.errors import JournalError
from simulator.types import ExitReason

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager
    from live.kill_switch import KillSwitch
    from live.opening import Desk
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

    def send(self, decision: Decision) -> bool:
        """Put an order on record, then send it; returns whether the broker may have it now."""
        record, request = decision.record, decision.request
        if self._known.get(record.client_order_id) != record:
            self.session.note(as_note(record))
            self._remember(record)
        bar = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record.decided_ts // 1_000)
        answer = self.manager.submit_order(
            request, price=decision.expected, bar_time=bar, expected=decision.expected
        )
        about = f"{record.role} {record.order}"
        if not isinstance(answer, Submitted) or answer.outcome is Outcome.CONFIRMED:
            self.problems.pop(about, None)
            return isinstance(answer, Submitted)
        self.problems[about] = f"{record.symbol}: {record.role} {answer.outcome.value}: {answer.message}"
        if answer.outcome is Outcome.REJECTED:
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

    def decide(self, record: Followed) -> None:
        """Put on record what cannot be sent yet."""
        if self._known.get(record.client_order_id) != record:
            self.session.note(as_note(record))
            self._remember(record)

    def cancel(self, case: Case, orders: Iterable[BrokerOrder]) -> bool:
        """Cancel orders and wait until they have ended; returns whether there were any."""
        waiting = {order.order_id for order in orders}
        if not waiting:
            return False
        about = f"cancel {case.number}"
        self.problems.pop(about, None)
        for order_id in sorted(waiting):
            try:
                self.manager.cancel_order(self.broker, order_id)
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

    def may_retry(self, one: Order) -> bool:
        """Whether what was refused may be tried again: on another bar, or after a while.

        What has never arrived may at once.
        """
        if one.sent is None or one.sent.submitted.code == "LIVE_NOT_SENT" or one.record.decided_ts < self.ts:
            return True
        return self.manager.clock() - (one.sent.updated or one.sent.at) >= RETRY

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
