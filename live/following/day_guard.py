"""The fact's own guard: the plan's daily-loss limit, measured on the broker's equity.

The plan halts by its own equity, which knows nothing of fills that were worse, of fees, or of what else the
account has lost. So each session's first equity at the broker is put on record, and where it has fallen from
there by the limit the kill switch is engaged, until a person arms.

A worth that is no number, or none above zero, is no answer: it is told, and nothing is measured by it. Money
paid in or out neither hides a loss nor is one: the begin of the session moves with cash that has come or gone
by no fill, once a second look has confirmed it. Dividends, interest and fees that the broker's activities
name stay gains and losses.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final

from live.following.cash_moves import Books, booked, books_of, earned, transferred, unexplained
from live.following.opening import BROKER_NAME
from simulator.errors import JournalError

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager
    from live.following.cases import Facts
    from live.session import Session
    from simulator.risk_limits import RiskLimits

__all__ = ["DayGuard"]

_NOTE: Final = "broker_day"
_BY: Final = "daily-loss guard"

_NOTABLE: Final = 0.1
"""Share of the limit below which cash that no fill explains counts as gained or lost."""

_PATIENCE: Final = 3
"""Looks after which positions and fills that do not agree are taken as they are."""

_EXACT: Final = 0.01


class DayGuard:
    """Watches the equity at the broker from session to session.

    Parameters
    ----------
    session
        The plan, which says which session it is, and keeps the record.
    manager
        Engages the kill switch, and knows the broker.
    risk
        Whose `daily_loss_limit` (percent) counts; None, or no limit, watches nothing.
    problems
        Where what is wrong is told, in words; a dict of its own for None.

    Attributes
    ----------
    day, begun
        The session that is measured, days since 1970 (-1 none yet), and the equity that it began with, moved
        by what was paid in and out since.
    """

    def __init__(
        self,
        session: Session,
        manager: BrokerManager,
        risk: RiskLimits | None,
        *,
        problems: MutableMapping[str, str] | None = None,
    ) -> None:
        self._session = session
        self._manager = manager
        self.problems: MutableMapping[str, str] = {} if problems is None else problems
        limit = None if risk is None else risk.daily_loss_limit
        self._limit = None if limit is None or not limit < 100.0 else limit / 100.0
        self.day, self.begun, self._arming = -1, 0.0, ""
        self._newest: float | None = None
        self._books: Books | None = None
        self._waited = 0  # looks since the books were last explained
        self._known: set[str] = set()  # activities that were counted
        self._unwritten: dict[str, Any] | None = None
        for note in session.notes():
            if isinstance(note.value, dict) and set(note.value) == {_NOTE}:
                self._take(note.value[_NOTE])

    def look(self, facts: Facts | None, day: int) -> None:
        """Compare the equity of an answer with that of the session's begin; raises nothing.

        Parameters
        ----------
        day
            The session that it is, days since 1970.
        """
        if facts is None or facts.account is None:
            return
        equity = facts.account.equity
        if not (math.isfinite(equity) and equity > 0.0):
            words = f"{self._broker.broker} says that the account is worth {equity:,.2f}, which is no answer"
            watched = "" if self._limit is None else "; the day's loss is not measured meanwhile"
            self.problems["equity"] = words + watched
            return
        self.problems.pop("equity", None)
        if self._limit is None:
            return
        self._write()
        switch = self._manager.kill_switch
        arming = switch.arming
        if not self._session.bars or switch.state == "HALTED" or not arming:
            self._newest, self._books, self._waited = equity, books_of(facts), 0
            return
        if day == self.day and arming != self._arming:
            # a person has looked at it and armed: measured anew from here, as the plan does
            self._books, self._waited = books_of(facts), 0
            self._begin(day, equity, arming)
        waits = self._waits(facts, self._limit * max(self.begun, equity))
        if day != self.day:
            # what was last seen belongs to the session before, as the plan's own baseline does
            self._begin(day, equity if self._newest is None else self._newest, arming)
        if waits:
            return
        self._newest = equity
        lost = self.begun - equity
        if lost >= self._limit * self.begun > 0.0:
            self._manager.engage_kill_switch(
                f"the account has lost {lost:,.2f} since the session began with {self.begun:,.2f}; the limit "
                f"is {self._limit * 100.0:g} %",
                _BY,
            )

    @property
    def _broker(self) -> Any:
        return self._manager.known(BROKER_NAME)

    def _waits(self, facts: Facts, limit: float) -> bool:
        """Move the begin by what was paid in or out; returns whether the next look has to say whether it was.

        Not asked of a shadow: its cash is all that the real account is worth, and moves with every price.
        """
        before, now = self._books, books_of(facts)
        if now is None:
            return False
        if before is None or self._broker.broker.startswith("shadow:"):
            self._books = now
            return False
        moved = unexplained(before, now, facts)
        if moved is None:
            self._waited += 1
            if self._waited >= _PATIENCE:
                self._books, self._waited = now, 0
            return False
        if abs(moved) >= _NOTABLE * limit:
            told = booked(self._broker, before.at, self._known)
            paid = moved - earned(told)
            if abs(paid) >= _NOTABLE * limit:
                if not self._waited:
                    self._waited = 1
                    return True
                listed = abs(paid - transferred(told)) < _EXACT
                self._known |= {one.activity_id for one in told}
                self._books, self._waited = now, 0
                self._shift(paid, facts, listed=listed)
                return False
            self._known |= {one.activity_id for one in told}
        self._books, self._waited = now, 0
        return False

    def _shift(self, paid: float, facts: Facts, *, listed: bool) -> None:
        """Move the begin of the session by money that came or went, and tell it."""
        way = "come into" if paid > 0.0 else "left"
        words = f"{abs(paid):,.2f} {self._currency(facts)} have {way} the account"
        words += ", a transfer" if listed else ", and no fill explains them"
        if self._newest is not None:
            self._newest += paid
        if self.day >= 0:
            begun = self.begun + paid
            equity = 0.0 if facts.account is None else facts.account.equity
            self._begin(self.day, begun if begun > 0.0 else equity, self._arming, moved=paid, why=words)
        if not listed:
            self.problems["cash"] = f"{words}: taken for money paid in or out, and for no loss"
        self._manager.tell("account", "cash moved", words)

    @staticmethod
    def _currency(facts: Facts) -> str:
        return "USD" if facts.account is None else facts.account.currency

    def _begin(self, day: int, equity: float, arming: str, **more: Any) -> None:
        told: dict[str, Any] = {"session": day, "equity": equity, "arming": arming, **more}
        if self._books is not None:
            told["books"] = self._books.plain()
        if not more:
            self.problems.pop("cash", None)
        books = self._books
        self._take(told)
        self._books = books
        self._unwritten = told
        self._write()

    def _write(self) -> None:
        """Put on record what is not there yet; a disk that is full keeps nobody from guarding."""
        if self._unwritten is None:
            return
        try:
            self._session.note({_NOTE: self._unwritten})
        except JournalError as error:
            self.problems["day"] = f"the day's begin is not on record: {error}"
        else:
            self._unwritten = None
            self.problems.pop("day", None)

    def _take(self, told: dict[str, Any]) -> None:
        self.day, self.begun, self._arming = int(told["session"]), float(told["equity"]), str(told["arming"])
        self._books = Books.of_plain(told["books"]) if "books" in told else None
