"""What an automation writes into the journal: the idea, what became of it, and what it taught.

Every processed signal is a recommendation there, refused ones too, with the reason and the verdict. A fill
of the kernel is an entry, an add or an exit of its trade, with the kernel's price, time, fees and excursions;
the journal adds insights and automatic mistakes when a trade ends. All of it is of source "paper", and what
a step did is written in the transaction of that step: there is nothing to make good after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import Connection, bindparam, insert, select, update

from journal import TradeJournal, schema
from journal.entry import Entry
from journal.ledger.adding import add_to
from journal.ledger.entering import enter
from journal.ledger.exiting import leave
from journal.ledger.lookup import recommendations_where
from journal.ledger.recommending import decide
from journal.ledger.sums import write_trade
from journal.values import as_json
from live.automation.account import to_time, verdict_of
from live.automation.ideas import EndedBy, Idea, details_of
from live.automation.orders import KeptOrders
from live.sessions.trade_rows import verdict_row
from live.sessions.trades import StepRecord
from simulator.orders import BracketOrder
from simulator.portfolio_risk_manager import Verdict
from simulator.types import ExitReason, FillKind, OrderState, TradingSignal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live.session import Session

__all__ = ["BROKER", "SOURCE", "TradeBook", "sentence"]

Plan = Callable[[KeptOrders, TradingSignal, float], BracketOrder]

SOURCE: Final = "paper"
BROKER: Final = "paper"
_DETAILS: Final = (
    update(schema.recommendations)
    .where(schema.recommendations.c.id == bindparam("key"))
    .values(details=bindparam("new_details"))
)


class TradeBook:
    """Ideas and trades of one automation in its journal: the trade log of its session.

    Parameters
    ----------
    journal
        Where they are logged.
    session
        Name of the session.
    max_days
        Calendar days that a trade may last, noted with each.
    """

    def __init__(self, journal: TradeJournal, session: str, max_days: int | None) -> None:
        self.journal = journal
        self._ideas: dict[str, Idea] = {}
        self._name = session
        self._max_days = max_days
        self._open: dict[str, Idea] = {}  # what waits is among these, so that nobody asks all there ever were
        self._by_order: dict[str, Idea] = {}
        self._by_client: dict[str, Idea] = {}
        self._note: Mapping[str, Any] = {}
        self._stale = False
        self._orders: KeptOrders | None = None
        self._plan: Plan | None = None

    @property
    def ideas(self) -> dict[str, Idea]:
        """The ideas by signal, oldest first."""
        self._fresh()
        return self._ideas

    @property
    def waiting(self) -> list[Idea]:
        """The ideas that wait to be executed, oldest first."""
        self._fresh()
        self._open = {key: idea for key, idea in self._open.items() if idea.waits}
        return list(self._open.values())

    def of_order(self, order: str) -> Idea | None:
        """Return the idea whose entry order this is."""
        self._fresh()
        return self._by_order.get(order)

    def of_client_order(self, client_order_id: str) -> Idea | None:
        """Return the idea that was carried out under our id of an order."""
        self._fresh()
        return self._by_client.get(client_order_id)

    @property
    def orders(self) -> KeptOrders:
        """The orders of the account."""
        assert self._orders is not None  # noqa: S101 - `begin` is called before any price
        self._fresh()
        return self._orders

    def begin(self, session: Session, plan: Plan) -> None:
        """Take up what is stored of a session; `plan` makes the bracket of a signal and its shares."""
        self._orders, self._plan = KeptOrders(session), plan
        self.load()

    def load(self) -> None:
        """Read ideas and orders from the journal, whatever was in memory."""
        self._stale = True
        orders = self._orders
        assert orders is not None  # noqa: S101 - as above
        with self.journal.database.read() as connection:
            stored = recommendations_where(
                connection, now=self.journal.now(), status=None, symbol=None, source=[SOURCE], limit=None
            )
        self._ideas.clear()
        self._open.clear()
        self._by_order.clear()
        self._by_client.clear()
        orders.forget()
        for one in stored:
            details = details_of(one, self._name)
            if details is None:
                continue
            idea = Idea.of(details, one)
            self._ideas.pop(idea.signal.signal_id, None)
            self._ideas[idea.signal.signal_id] = idea
            if details["bracket"] is not None:
                orders.take_back(details["bracket"])
            self._open.pop(idea.signal.signal_id, None)
            if idea.order is not None:
                self._by_order[idea.order] = idea
                self._by_client[str(idea.client_order_id)] = idea
            if one.status == "recommended" and details["planned"] is not None and self._plan is not None:
                idea.bracket = replace(
                    self._plan(orders, idea.signal, details["planned"]), verdict=idea.verdict,
                    request_id=None if idea.review is None else idea.review["request_id"],
                )  # fmt: skip
                self._open[idea.signal.signal_id] = idea
            elif idea.order is None and idea.refusal is None:
                idea.ended_by = "time"
                idea.refusal = f"{idea.signal.ticker}: it was valid until {idea.expires:%Y-%m-%d %H:%M} UTC"
        orders.read_levels()
        self._stale = False

    def _fresh(self) -> None:
        """Read anew what a failed step may have left half changed."""
        if self._stale:
            self.load()

    @contextmanager
    def stepping(self, note: Mapping[str, Any] | None) -> Iterator[None]:
        """Write what the steps of the block do, under their note; go back to what is stored where they fail.

        Of the note, "signal" is the id of the signal that is carried out, "client_order_id" our id of its
        order, and "reasons" says by position why a person closes it.
        """
        self._fresh()
        self._note = note or {}
        try:
            yield
        except BaseException:
            # read anew when it is next needed: the error that led here says more than one of reading would
            self._stale = True
            raise
        finally:
            self._note = {}

    # Ideas

    def propose(self, idea: Idea, days_valid: float) -> None:
        """Store an idea; a refused one with its verdict, as not to be traded."""
        with self.journal.database.write() as connection:
            if not idea.recommendation:
                idea.recommendation = self.journal.log_recommendation(
                    idea.signal, reason=idea.signal.notes, expires=timedelta(days=days_valid), source=SOURCE
                )
            if not idea.waits:
                self._refused(connection, idea)
                connection.execute(insert(schema.verdicts), self._verdict_row(idea))
            self._write(connection, idea)
        self.ideas.pop(idea.signal.signal_id, None)
        self.ideas[idea.signal.signal_id] = idea
        self._open.pop(idea.signal.signal_id, None)
        if idea.waits:
            self._open[idea.signal.signal_id] = idea

    def end(self, idea: Idea, reason: str, ended_by: EndedBy) -> None:
        """Store that an idea will not be traded."""
        before = (idea.bracket, idea.refusal, idea.ended_by)
        idea.bracket, idea.ended_by = None, ended_by
        idea.refusal = f"{idea.signal.ticker}: {reason}"
        try:
            with self.journal.database.write() as connection:
                self._refused(connection, idea)
                self._write(connection, idea)
        except BaseException:
            idea.bracket, idea.refusal, idea.ended_by = before
            raise

    def keep(self, idea: Idea) -> None:
        """Store an idea as it is."""
        with self.journal.database.write() as connection:
            self._write(connection, idea)

    # Steps

    def write(self, connection: Connection, step: StepRecord) -> list[int]:
        """Write what a step did; returns the numbers of the trades that ended."""
        logs = step.logs
        self.orders.update(logs)
        idea = self.ideas.get(self._note.get("signal", ""))
        touched: dict[str, Idea] = {}
        if idea is not None:
            self._carried_out(connection, idea, step)
            touched[idea.signal.signal_id] = idea
        elif len(logs["verdicts"]):
            rows = [verdict_row(row, step, strategy="signals") for row in logs["verdicts"]]
            connection.execute(insert(schema.verdicts), rows)
        closed = self._fills(connection, step, touched)
        for one in touched.values():
            self._write(connection, one)
        return closed

    def _carried_out(self, connection: Connection, idea: Idea, step: StepRecord) -> None:
        record = step.logs["verdicts"][-1]
        idea.verdict = verdict_of(record, step.like.symbols)
        idea.client_order_id = self._note.get("client_order_id")
        idea.bracket = idea.refusal = None
        order = int(record["order"])
        entry = None if order < 0 else self.orders.get_order(str(order))
        if entry is not None:
            idea.order = entry.order_id
            self._by_order[entry.order_id] = idea
            self._by_client[str(idea.client_order_id)] = idea
        if not idea.verdict.admitted:
            idea.refusal, idea.ended_by = sentence(idea.verdict), "risk"
        elif entry is None or entry.state != OrderState.FILLED:
            why = "it was not placed" if entry is None else entry.reason.label
            idea.refusal = f"{idea.signal.ticker}: the order did not fill ({why})"
            idea.ended_by = "broker"
        connection.execute(
            insert(schema.verdicts),
            [
                verdict_row(row, step, strategy=idea.signal.signal_type)
                | {"recommendation_id": idea.recommendation}
                for row in step.logs["verdicts"]
            ],
        )
        if idea.refusal is not None:
            self._refused(connection, idea)

    def _fills(self, connection: Connection, step: StepRecord, touched: dict[str, Idea]) -> list[int]:
        reasons: Mapping[str, str] = self._note.get("reasons", {})
        logs, closed = step.logs, []
        ended = {int(trade["id"]): trade for trade in logs["trades"]}
        last = {int(fill["position"]): index for index, fill in enumerate(logs["fills"])}
        for index, fill in enumerate(logs["fills"]):
            position, idea = int(fill["position"]), self._by_order[str(int(fill["order"]))]
            key = f"run:{step.run_id}:{step.bar}:{index}"
            done = ended.get(position) if last[position] == index else None
            known = self._trade_of(connection, idea)
            kind = FillKind(int(fill["kind"]))
            if known is None:
                self._enter(connection, fill, key, idea, step.run_id)
            elif kind in (FillKind.ENTRY, FillKind.ADD):
                self._add(connection, fill, key, known)
            else:
                self._leave(connection, fill, key, known, done, reasons.get(str(position)))
                if done is not None:
                    closed.append(known)
            touched[idea.signal.signal_id] = idea
        return closed

    def _trade_of(self, connection: Connection, idea: Idea) -> int | None:
        table = schema.trades.c
        query = select(table.id).where(
            table.recommendation_id == idea.recommendation,
            table.status == "open",
            table.account == self._name,
        )
        return connection.execute(query).scalar()

    def _enter(self, connection: Connection, fill: np.void, key: str, idea: Idea, run_id: int) -> None:
        signal = idea.signal
        number = enter(
            connection,
            Entry(
                rec_id=idea.recommendation,
                quantity=float(fill["qty"]),
                entry_price=float(fill["price"]),
                when=to_time(int(fill["ts"])),
                fees=float(fill["fee"]),
                stop_price=signal.stop_loss,
                target_price=signal.target_price,
                granted_quantity=idea.verdict.granted,
                max_days=None if self._max_days is None else float(self._max_days),
                notes=signal.notes,
                execution_key=key,
                broker=BROKER,
                order_id=str(int(fill["order"])),
                account=self._name,
            ),
            source=SOURCE,
            now=self.journal.now(),
        )
        write_trade(connection, number, {"run_id": run_id})

    def _add(self, connection: Connection, fill: np.void, key: str, trade: int) -> None:
        add_to(
            connection, trade, quantity=float(fill["qty"]), entry_price=float(fill["price"]),
            entry_credit=None, when=to_time(int(fill["ts"])), fees=float(fill["fee"]), notes="",
            mid_price=None, execution_key=key, broker=BROKER, order_id=str(int(fill["order"])),
            now=self.journal.now(),
        )  # fmt: skip

    def _leave(
        self,
        connection: Connection,
        fill: np.void,
        key: str,
        trade: int,
        ended: np.void | None,
        reason: str | None,
    ) -> None:
        worst = best = None
        if ended is not None:
            # excursions are fractions of the entry in the kernel, and currency in the journal
            scale = float(ended["entry_price"]) * float(ended["qty"])
            worst, best = float(ended["mae"]) * scale, float(ended["mfe"]) * scale
        leave(
            connection, trade, exit_debit=None, exit_price=float(fill["price"]), quantity=float(fill["qty"]),
            close_reason=reason or ExitReason(int(fill["reason"])).label, notes="",
            when=to_time(int(fill["ts"])), fees=float(fill["fee"]), mae=worst, mfe=best, execution_key=key,
            broker=BROKER, order_id=str(int(fill["order"])), now=self.journal.now(),
        )  # fmt: skip

    def _refused(self, connection: Connection, idea: Idea) -> None:
        stored = self.journal.recommendation(idea.recommendation)
        if stored.status == "recommended":
            # without the symbol, which the row has
            reason = (idea.refusal or "").removeprefix(f"{idea.signal.ticker}: ")
            decide(connection, stored.id, "ignored", decision=reason, now=self.journal.now())

    def _write(self, connection: Connection, idea: Idea) -> None:
        bracket = None if idea.order is None else self.orders.plain(idea.order)
        plain = as_json("an idea", idea.plain(self._name, bracket))
        connection.execute(_DETAILS, {"key": idea.recommendation, "new_details": plain})

    def _verdict_row(self, idea: Idea) -> dict[str, Any]:
        verdict = idea.verdict
        return {
            "recommendation_id": idea.recommendation,
            "source": SOURCE,
            "ts": self.journal.now(),
            "symbol": verdict.symbol,
            "strategy": idea.signal.signal_type,
            "rule": verdict.reason.label,
            "value": _known(verdict.value),
            "threshold": _known(verdict.limit),
            "asked": _known(verdict.asked),
            "granted": 0.0,
        }


def sentence(verdict: Verdict) -> str:
    """Say why the risk manager refused."""
    figures = "" if np.isnan(verdict.value) else f" ({verdict.value:.4g} against {verdict.limit:.4g})"
    return f"{verdict.symbol}: refused by the rule {verdict.reason.label}{figures}"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
