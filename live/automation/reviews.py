"""The requests behind an automation's signals: decisions taken up, ends given to signals, and all withdrawn.

This runs after every price, whose step is in the journal by then. So nothing here may raise because a file
is damaged, a folder locked or a disk full: what goes wrong is in `problems`, a warning names it once, and the
next look tries again. A signal whose request cannot be read waits until the request would have expired.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from live.automation.ideas import Idea, plain_review
from live.brokers.manager import BrokerManager
from live.decisions import take_decisions
from live.review_queue import ReviewQueue
from simulator.errors import JournalError, warn

if TYPE_CHECKING:
    from pathlib import Path

    from live.trading_automation import TradingAutomation

__all__ = ["Reviews"]


class Reviews:
    """The requests of one automation.

    Parameters
    ----------
    automation
        Whose signals wait.
    manager, queue
        In front of the account's broker.
    folder
        Of the queue.
    """

    def __init__(
        self, automation: TradingAutomation, manager: BrokerManager, queue: ReviewQueue, folder: Path
    ) -> None:
        self._automation = automation
        self._manager = manager
        self._queue = queue
        self._folder = folder
        self._found: dict[str, str] = {}  # what went wrong at the last look, by what it is about

    @property
    def problems(self) -> list[str]:
        """What went wrong at the last look, and the damaged files that it passed over, in words."""
        return [*self._found.values(), *self._queue.damaged.values()]

    def settle(self) -> None:
        """Take up what people have decided, and give up signals whose request ended without an order."""
        found: dict[str, str] = {}
        try:
            for taken in take_decisions(self._folder, self._manager.approve_request):
                if taken.problem:
                    whose = f" by {taken.by}" if taken.by else ""
                    end = "; it is taken again at the next look" if taken.waits else ""
                    words = f"the approval of {taken.request_id}{whose} was not carried out: {taken.problem}"
                    found[taken.request_id] = words + end
            self._manager.resolve()
        except Exception as error:  # whatever it is, the price that came before it has been stepped
            found["decisions"] = f"the decisions could not be taken up: {_said(error)}"
        self._end_signals(found)
        self._tell(found)

    def withdraw_all(self, reason: str) -> JournalError | None:
        """End all requests that wait for a person, and give up every signal; a person wants it so.

        Decisions that wait in files are not asked. Returns the first error of a signal that could not be
        given up; all the others were.
        """
        found: dict[str, str] = {}
        failed: list[JournalError] = []
        self._end_signals(found)
        try:
            self._queue.void_all(reason)
        except Exception as error:  # without its signal a request carries nothing out
            found["void"] = f"not all requests could be made void: {_said(error)}"
        for idea in self._automation.desk.waiting:
            request = None if idea.request_id is None else self._looked_up(idea, found)
            if request is not None:
                idea.review = request
            try:
                self._automation.desk.give_up(idea, reason, "person")
            except JournalError as error:
                failed.append(error)
        self._tell(found)
        return failed[0] if failed else None

    def _end_signals(self, found: dict[str, str]) -> None:
        """Give up the signals whose requests have ended without an order."""
        for idea in self._automation.desk.waiting:
            if idea.request_id is None:
                continue
            try:
                self._follow(idea, idea.request_id)
            except Exception as error:  # as above; the next look tries again
                signal = idea.signal.signal_id
                found[signal] = f"the end of request {idea.request_id} could not be stored: {_said(error)}"

    def _follow(self, idea: Idea, request_id: str) -> None:
        desk, now = self._automation.desk, self._automation.clock()
        request = self._queue.look(request_id)
        if request is None:
            # whoever has moved the file away may bring it back, repaired
            known = idea.review or {}
            if now >= datetime.fromisoformat(known["expires_at"]):
                idea.review = {**known, "state": "expired"}
                desk.give_up(idea, "its review request could not be read until it expired", "review")
            return
        state = request.state
        if state == "pending" and now >= request.expires_at:
            state = "expired"
        failed = state == "approved" and request.outcome in ("rejected", "denied")
        if state in ("pending", "approved") and not failed:
            return
        idea.review = {**plain_review(request), "state": state}
        who = f" by {request.decided_by}" if request.decided_by else ""
        if state == "refused":
            who = f" when {request.decided_by} approved it"
        why = request.note or request.outcome_code or "too late"
        desk.give_up(idea, f"its review request was {state}{who}: {why}", "review")

    def _looked_up(self, idea: Idea, found: dict[str, str]) -> dict[str, object] | None:
        try:
            request = self._queue.look(str(idea.request_id))
        except Exception as error:  # what is known of it must do
            found[idea.signal.signal_id] = f"request {idea.request_id} could not be read: {_said(error)}"
            return None
        return None if request is None else plain_review(request)

    def _tell(self, found: dict[str, str]) -> None:
        """Keep what was found, and name what is new; last, because warnings may have been made errors."""
        new = [words for key, words in found.items() if key not in self._found]
        self._found = found
        for words in new:
            warn(words, code="LIVE_REVIEW_TROUBLE")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
