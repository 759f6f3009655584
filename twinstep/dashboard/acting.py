"""What a person does from a page, laid before whoever can judge it.

The kill switch is engaged at once, by this process: it is a file that every order looks at. An approval, a
close and an arming are confirmed by typing what they concern. An approval is left for the session, which
judges the order anew at the price of now; a close goes into the journal's inbox; a rejection ends the request
where it lies. A form's key is remembered, so that what is sent twice happens once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from journal.storage.lock import holder
from live.decisions import leave_decision
from live.desk import ask
from live.kill_switch import KillSwitch
from live.review_queue import ReviewQueue, ReviewRequest
from live.submit_gate import may_pass
from simulator.errors import ConfigError, TwinstepError
from twinstep import switches
from twinstep.dashboard.reading import Reader

__all__ = ["Acting"]

REMEMBERED: Final = 500


class Acting:
    """Does what a person asked, once per key.

    Parameters
    ----------
    reader
        Whose journal and folder.
    by
        Name of the person, unless a form says another.
    """

    def __init__(self, reader: Reader, by: str | None = None) -> None:
        self._reader = reader
        self.by = by or switches.user()
        self._done: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def once(self, key: str, act: Callable[[], str]) -> dict[str, Any]:
        """Do something unless its key was seen before, and return what to tell the person.

        Whatever the project's own errors say is told, and counts as done: a form that is sent again gets the
        same answer. Anything else is raised.
        """
        if key in self._done:
            return self._done[key]
        try:
            answer = {"done": True, "says": act()}
        except TwinstepError as error:
            answer = {"done": False, "says": str(error.args[0]), "code": error.code}
        self._done[key] = answer
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        return answer

    def kill(self, reason: str, by: str) -> str:
        """Halt."""
        switch = self._switch()
        switch.engage(reason or "from the dashboard", by or self.by)
        if holder(self._reader.journal) is None:
            return (
                "Halted. No session runs on this journal, so nobody cancels what works at a broker: look "
                "there, or start the session, which cancels it."
            )
        return "Halted. Nothing is entered any more; orders that enter are being cancelled by the session."

    def arm(self, reason: str, by: str, typed: str) -> str:
        """End a halt, for the scope that the folder was begun for."""
        scope = switches.scope_of(self._reader.folder)
        word = "LIVE" if scope == "live" else "PAPER"
        _check(typed, word)
        switches.arm(self._reader.folder, by or self.by, reason, scope=scope)
        return f"Armed for {scope}."

    def approve(self, request_id: str, by: str, typed: str) -> str:
        """Leave a yes for the session."""
        queue = self._queue()
        request = queue.get(request_id)
        _check(typed, request.order.symbol)
        if request.state != "pending":
            return _ended(request)
        if not may_pass(queue.switch.state, request.order.purpose):
            raise ConfigError(
                f"not approved: the kill switch is {queue.switch.state}: {queue.switch.status['why']}",
                code=f"LIVE_{queue.switch.state}",
            )
        leave_decision(self._reader.reviews, request_id, by or self.by)
        return "Approved; the session judges it at the price of now and sends it at its next look."

    def reject(self, request_id: str, reason: str, by: str) -> str:
        """Say no."""
        answer = self._queue().reject(request_id, reason, rejected_by=by or self.by)
        return "Rejected." if answer.accepted else _ended(answer.request)

    def close(self, session: str, symbol: str, typed: str) -> str:
        """Have a session close a position before its next bar."""
        _check(typed, symbol)
        asked = ask(self._reader.journal, session, "close", symbol)
        if asked.where == "rejected":
            raise ConfigError(asked.reason, code="LIVE_COMMAND_REJECTED")
        return f"{symbol} is closed at the next bar of session {session}."

    def _switch(self) -> KillSwitch:
        return KillSwitch(self._reader.folder, scope=switches.scope_of(self._reader.folder), arm_fresh=False)

    def _queue(self) -> ReviewQueue:
        return ReviewQueue(self._reader.reviews, self._switch())


def _check(typed: str, wanted: str) -> None:
    if typed.strip().upper() != wanted.upper():
        raise ConfigError(
            f"type {wanted} to confirm; {typed.strip()[:40]!r} was typed, and nothing was done",
            code="CLI_CONFIRM",
        )


def _ended(request: ReviewRequest) -> str:
    return f"It had ended before: {request.state}."
