"""The fact's own guard: the plan's daily-loss limit, measured on the broker's equity.

The plan halts by its own equity, which knows nothing of fills that were worse, of fees, or of what else the
account has lost. So each session's first equity at the broker is put on record, and where it has fallen from
there by the limit the kill switch is engaged, until a person arms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager
    from live.following.cases import Facts
    from live.session import Session
    from simulator.risk_limits import RiskLimits

__all__ = ["DayGuard"]

_NOTE: Final = "broker_day"
_BY: Final = "daily-loss guard"


class DayGuard:
    """Watches the equity at the broker from session to session.

    Parameters
    ----------
    session
        The plan, which says which session it is, and keeps the record.
    manager
        Engages the kill switch.
    risk
        Whose `daily_loss_limit` (percent) counts; None, or no limit, watches nothing.
    """

    def __init__(self, session: Session, manager: BrokerManager, risk: RiskLimits | None) -> None:
        self._session = session
        self._manager = manager
        limit = None if risk is None else risk.daily_loss_limit
        self._limit = None if limit is None or not limit < 100.0 else limit / 100.0
        self.day, self.begun, self._arming = -1, 0.0, ""
        self._newest: float | None = None
        for note in session.notes():
            if isinstance(note.value, dict) and set(note.value) == {_NOTE}:
                self._take(note.value[_NOTE])

    def look(self, facts: Facts | None, day: int) -> None:
        """Compare the equity of an answer with that of the session's begin.

        Parameters
        ----------
        day
            The session that it is, days since 1970.
        """
        if self._limit is None or facts is None or facts.account is None:
            return
        equity = facts.account.equity
        switch = self._manager.kill_switch
        arming = switch.arming
        if not self._session.bars or switch.state == "HALTED" or not arming:
            self._newest = equity
            return
        if day != self.day:
            # what was last seen belongs to the session before, as the plan's own baseline does
            self._begin(day, equity if self._newest is None else self._newest, arming)
        elif arming != self._arming:
            # a person has looked at it and armed: measured anew from here, as the plan does
            self._begin(day, equity, arming)
        self._newest = equity
        lost = self.begun - equity
        if lost >= self._limit * self.begun > 0.0:
            self._manager.engage_kill_switch(
                f"the account has lost {lost:,.2f} since the session began with {self.begun:,.2f}; the limit "
                f"is {self._limit * 100.0:g} %",
                _BY,
            )

    def _begin(self, day: int, equity: float, arming: str) -> None:
        told = {"session": day, "equity": equity, "arming": arming}
        self._session.note({_NOTE: told})
        self._take(told)

    def _take(self, told: dict[str, Any]) -> None:
        self.day, self.begun, self._arming = int(told["session"]), float(told["equity"]), str(told["arming"])
