"""What stands between an automation's signals and its account: broker manager, kill switch, review queue.

The daily loss limit is the kernel's: it halts entries for the rest of the session. Where the settings say so
the kill switch is engaged with it, once per session, and then holds until a person arms it. Decisions that
another process leaves (`twinstep approve`) are taken up whenever the automation is used.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from live.automation.config import AutomationConfig, ExecutionMode
from live.automation.ideas import EndedBy, Idea, plain_review
from live.automation.journal import BROKER
from live.automation.reviews import Reviews
from live.brokers.interface import OrderRequest, Outcome
from live.brokers.manager import BrokerManager
from live.intents import IntentLog
from live.kill_files import read_record
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue, ReviewRequest
from live.sessions.noting import note_changed
from simulator.bars.clock import session_of
from simulator.errors import ConfigError, JournalError
from simulator.order_manager import BracketOrder

if TYPE_CHECKING:
    from journal.database import Database
    from live.trading_automation import TradingAutomation

__all__ = ["Safety", "folder_of", "refuse_live"]

RISK_MANAGER: Final = "risk manager"
"""Who engages the kill switch at the daily loss limit."""


class Safety:
    """The safety of one automation.

    Parameters
    ----------
    automation
        Whose account it guards.
    manager, queue
        In front of the account's broker.
    folder
        Of the kill switch and the review queue.
    """

    def __init__(
        self,
        automation: TradingAutomation,
        manager: BrokerManager,
        queue: ReviewQueue,
        folder: Path,
    ) -> None:
        self.manager = manager
        self.folder = folder
        self._automation = automation
        self._queue = queue
        self._reviews = Reviews(automation, manager, queue, reviews_of(folder))
        self._engaged: int | None = None  # session of the last daily loss
        self._modes: dict[str, str] = {}

    @classmethod
    def open(cls, automation: TradingAutomation, folder: str | os.PathLike[str] | None) -> Self:
        """Open kill switch, review queue and manager; a fresh folder is armed once, on record."""
        journal = automation.journal.database
        where = folder_of(journal, folder)
        if where is None:
            raise ConfigError(
                f"the journal {journal.name} has no folder beside it for the kill switch; name one: "
                "state_folder=...",
                code="LIVE_STATE_FOLDER",
            )
        switch = KillSwitch(where, clock=automation.clock)

        def price(request: OrderRequest) -> float | None:
            idea = automation.broker.idea_of(request)
            return None if idea is None else automation.desk.price_for(idea)

        def judge(request: OrderRequest) -> str | None:
            idea = automation.broker.idea_of(request)
            return "its signal does not wait any more" if idea is None else automation.desk.rejudge(idea)

        queue = ReviewQueue(reviews_of(where), switch, clock=automation.clock, price=price, judge=judge)
        # The account records itself: what was sent is in the journal with its fill, or has not happened. So
        # nothing is in doubt after a crash, and an order that did not get there may be sent again.
        manager = BrokerManager(
            {BROKER: automation.broker}, switch, queue, intents=IntentLog.in_memory(), clock=automation.clock
        )
        return cls(automation, manager, queue, where)

    def blocked(self) -> str | None:
        """Say why no entry is let through now; None where it is."""
        switch = self.manager.kill_switch
        if switch.state == "ACTIVE":
            return None
        return f"the kill switch is {switch.state}: {switch.status['why']}"

    def submit(self, idea: Idea) -> BracketOrder | None:
        """Send a waiting signal, or lay it before a person; None where it is refused."""
        desk, signal_id = self._automation.desk, idea.signal.signal_id
        self.manager.mode = self._automation.config.execution_mode
        self.note_modes()
        request = self._automation.broker.request_for(idea)
        answer = self.manager.submit_order(request, price=desk.price_for(idea))
        if isinstance(answer, ReviewRequest):
            return desk.reviewed(idea, plain_review(answer))
        if answer.outcome is Outcome.CONFIRMED:
            return desk.bracket(signal_id)
        now = desk.find(signal_id)
        if now is not None and now.waits:
            by: EndedBy = "halt" if answer.code in ("LIVE_HALTED", "LIVE_REDUCING") else "broker"
            desk.give_up(now, f"{answer.code}: {answer.message}", by)
        return None

    def note_modes(self) -> None:
        """Have the journal say which modes are in force, where they are others than it says."""
        config = self._automation.config
        modes = {
            "automation_mode": config.automation_mode.name, "execution_mode": config.execution_mode.name,
        }  # fmt: skip
        if modes != self._modes:
            note_changed(self._automation.account.session, modes)
            self._modes = modes

    def review_of(self, idea: Idea) -> dict[str, object] | None:
        """Return how the request of a signal stands."""
        return None if idea.review is None else plain_review(self._queue.get(idea.review["request_id"]))

    @property
    def problems(self) -> list[str]:
        """What is wrong with the requests and decisions of people, in words; each was named in a warning."""
        return self._reviews.problems

    def settle(self) -> None:
        """Take up what people have decided, and give up signals whose request ended without an order.

        Raises nothing for what is damaged, locked or full: `problems` has it.
        """
        self._reviews.settle()

    def withdraw_all(self, reason: str) -> JournalError | None:
        """End all requests that wait for a person, and give up every signal that waits.

        Returns the error of a signal that could not be given up.
        """
        return self._reviews.withdraw_all(reason)

    def recovered(self) -> None:
        """After a start: ask what became of orders on their way, and engage what a crash kept from it."""
        self.manager.recover()
        account = self._automation.account.state.account[0]
        session = int(account["session"])
        if int(account["daily_halt"]) == 1 and session in self._told():
            # the switch holds, or a person has armed it since
            self._engaged = session
        self.watch()

    def watch(self) -> None:
        """Engage the kill switch where the account has been halted by its daily loss."""
        automation = self._automation
        account = automation.account.state.account[0]
        session = int(account["session"])
        if int(account["daily_halt"]) == 0 or not automation.config.kill_switch_enabled:
            return
        if self._engaged != session:
            # once per session: a person who arms the switch again is not overruled
            self._engaged = session
            lost = 100.0 * (1.0 - float(account["equity"]) / float(account["baseline"]))
            limit = automation.config.daily_loss_limit
            self.manager.engage_kill_switch(
                reason=f"daily loss limit: {lost:.2f} % lost, {limit:g} % allowed", engaged_by=RISK_MANAGER
            )

    def _told(self) -> set[int]:
        """Return the sessions whose daily loss has engaged the switch, by its record."""
        times = [
            np.datetime64(datetime.fromisoformat(entry["at"]).astimezone(UTC).replace(tzinfo=None), "ns")
            for entry in read_record(self.folder)
            if entry.get("event") == "kill" and entry.get("by") == RISK_MANAGER
        ]
        stamps = np.array(times, "datetime64[ns]").astype(np.int64)
        return {int(day) for day in session_of(self._automation.config.calendar, stamps)}


def reviews_of(folder: Path) -> Path:
    """Return where the review queue lies."""
    return folder / "reviews"


def folder_of(journal: Database, state_folder: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder of kill switch and review queue; None where there is none beside a journal."""
    if state_folder is not None:
        return Path(state_folder)
    return None if journal.path is None else switch_folder(journal.path)


def refuse_live(config: AutomationConfig, *, live_flag: bool, folder: Path | None) -> None:
    """Raise where execution mode LIVE is asked for, and say what it lacks.

    Raises
    ------
    ConfigError
        LIVE_FULL_AUTO, LIVE_NOT_ENABLED, LIVE_SCOPE, LIVE_PAPER_ACCOUNT: the first thing that is missing,
        in this order; the last one always, because this automation trades its paper account.
    """
    if config.execution_mode != ExecutionMode.LIVE:
        return
    config.check_modes()
    needed = {
        "live_key=True in the configuration": config.live_key,
        "live_flag=True where it is started": live_flag,
    }
    missing = [name for name, given in needed.items() if not given]
    if missing:
        raise ConfigError(
            "execution_mode is LIVE, which trades real money and needs a key and a flag; "
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing",
            code="LIVE_NOT_ENABLED",
        )
    if folder is None or KillSwitch(folder, scope="live", arm_fresh=False).state != "ACTIVE":
        raise ConfigError(
            "execution_mode is LIVE and needs a kill switch of scope live that a person has armed; "
            f"{'there is none' if folder is None else f'the one in {folder} is not'}: "
            "twinstep arm --scope live",
            code="LIVE_SCOPE",
        )
    raise ConfigError(
        "execution_mode is LIVE, and this automation trades its paper account only; a session that trades at "
        "a broker is `twinstep live`, or live.following.BrokerSession from Python. Use PAPER_ONLY or "
        "MANUAL_REVIEW here",
        code="LIVE_PAPER_ACCOUNT",
    )
