"""What a person does from a page, laid before whoever can judge it.

The kill switch is engaged at once, by this process: it is a file that every order looks at. An approval, a
close and an arming are confirmed by typing what they concern. An approval is left for the session, which
judges the order anew at the price of now; a close goes into the journal's inbox; a rejection ends the request
where it lies. A form's key is remembered, so that what is sent twice happens once. Not so of a kill: it is
carried out whenever it is asked for, since an answer from memory would be a lie where somebody has armed
meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from journal.storage.lock import holder
from live.decisions import leave_decision
from live.desk import ask
from live.kill_switch import KillSwitch
from live.review_queue import ReviewQueue, ReviewRequest
from live.submit_gate import may_pass
from simulator.errors import ConfigError, TwinstepError
from twinstep import switches
from twinstep.dashboard.doing.forms import Form, confirmed
from twinstep.dashboard.reading.files import approver
from twinstep.dashboard.reading.reader import Reader

__all__ = ["UNNAMED", "Acting"]

REMEMBERED: Final = 500
UNNAMED: Final = "somebody at the dashboard"
"""On record where no name was given: that of this machine's user says nothing of who sat there."""


@dataclass(slots=True)
class _Sent:
    """A form that was sent: what it said, and the answer as soon as there is one."""

    words: str
    answer: dict[str, Any] | None = None
    busy: threading.Lock = field(default_factory=threading.Lock)


class Acting:
    """Does what a person asked, once per key.

    Parameters
    ----------
    reader
        Whose journal and folder.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._sent: OrderedDict[str, _Sent] = OrderedDict()
        self._lock = threading.Lock()

    def once(self, form: Form, act: Callable[[], str], *about: object) -> dict[str, Any]:
        """Do something unless this form was sent before, and return what to tell the person.

        Whatever the project's own errors say is told, and counts as done: a form that is sent again gets the
        same answer, and one that is sent while it is being done waits for it. Anything else is raised.

        Parameters
        ----------
        form
            What was sent; its key is good for this form alone.
        act
            Does it.
        about
            What the form's address names.
        """
        words = f"{type(form).__name__} {about} {form.model_dump_json()}"
        with self._lock:
            sent = self._sent.setdefault(form.key, _Sent(words))
            while len(self._sent) > REMEMBERED:
                self._sent.popitem(last=False)
        if sent.words != words:
            return {
                "done": False,
                "says": "Nothing was done: this form's key was used for something else. Load the page anew.",
                "code": "DASHBOARD_KEY",
            }
        with sent.busy:
            if sent.answer is None:
                sent.answer = self.told(act)
        return sent.answer

    @staticmethod
    def told(act: Callable[[], str]) -> dict[str, Any]:
        """Do something, whatever was done before, and return what to tell the person."""
        try:
            return {"done": True, "says": act()}
        except TwinstepError as error:
            return {"done": False, "says": str(error.args[0]), "code": error.code}

    def kill(self, reason: str, by: str) -> str:
        """Halt; that waits for nobody's name."""
        switch = self._switch()
        switch.engage(reason or "from the dashboard", by.strip() or UNNAMED)
        named = "" if by.strip() else f" On record is {UNNAMED}: this browser knows no name yet."
        if holder(self._reader.journal) is None:
            return (
                "Halted. No session runs on this journal, so nobody cancels what works at a broker: look "
                f"there, or start the session, which cancels it.{named}"
            )
        return (
            "Halted. Nothing is entered any more; orders that enter are being cancelled by the session."
            f"{named}"
        )

    def arm(self, reason: str, by: str, typed: str) -> str:
        """End a halt, for the scope that the folder was begun for."""
        scope = switches.scope_of(self._reader.folder)
        word = "LIVE" if scope == "live" else "PAPER"
        confirmed(typed, word)
        switches.arm(self._reader.folder, by.strip(), reason, scope=scope)
        return f"Armed for {scope}."

    def approve(self, request_id: str, by: str, typed: str) -> str:
        """Leave a yes for the session."""
        queue = self._queue()
        request = queue.get(request_id)
        confirmed(typed, request.order.symbol)
        if request.state != "pending":
            return _ended(request)
        if not may_pass(queue.switch.state, request.order.purpose):
            raise ConfigError(
                f"not approved: the kill switch is {queue.switch.state}: {queue.switch.status['why']}",
                code=f"LIVE_{queue.switch.state}",
            )
        leave_decision(self._reader.reviews, request_id, by.strip())
        if holder(self._reader.journal) is None:
            return (
                "Approved, and left for the session: none runs on this journal now. The one that asked takes "
                "it up when it is started, if the request has not ended by then."
            )
        return "Approved; the session judges it at the price of now and sends it at its next look."

    def reject(self, request_id: str, reason: str, by: str) -> str:
        """Say no; a yes that no session has taken up stays on record beside it."""
        before = approver(self._reader.reviews, request_id) if reason.strip() else ""
        note = f"{reason} (before, {before} had approved it)" if before else reason
        answer = self._queue().reject(request_id, note, rejected_by=by.strip() or UNNAMED)
        if not answer.accepted:
            return _ended(answer.request)
        return "Taken back: the order is rejected." if before else "Rejected."

    def close(self, session: str, symbol: str, typed: str) -> str:
        """Have a session close a position before its next bar."""
        confirmed(typed, symbol)
        asked = ask(self._reader.journal, session, "close", symbol)
        if asked.where == "rejected":
            raise ConfigError(asked.reason, code="LIVE_COMMAND_REJECTED")
        return f"{symbol} is closed at the next bar of session {session}."

    def _switch(self) -> KillSwitch:
        return KillSwitch(self._reader.folder, scope=switches.scope_of(self._reader.folder), arm_fresh=False)

    def _queue(self) -> ReviewQueue:
        return ReviewQueue(self._reader.reviews, self._switch())


def _ended(request: ReviewRequest) -> str:
    return f"It had ended before: {request.state}."
