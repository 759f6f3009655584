"""What stands between an automation's signals and its account: broker manager, kill switch, review queue.

The daily loss limit is the kernel's: it halts entries for the rest of the session. Where the settings say so
the kill switch is engaged with it, once per session, and then holds until a person arms it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from live.automation_broker import BROKER
from live.automation_desk import Waiting
from live.brokers.interface import OrderRequest, Outcome
from live.brokers.manager import BrokerManager
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue, ReviewRequest
from simulator.errors import ConfigError
from simulator.order_manager import BracketOrder

if TYPE_CHECKING:
    from live.trading_automation import TradingAutomation

__all__ = ["Safety"]


class Safety:
    """The safety of one automation.

    Parameters
    ----------
    automation
        Whose account it guards.
    manager, queue
        In front of the account's broker.
    folder
        Of the kill switch, the review queue and the tick file.
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
        self._attempts: dict[str, int] = {}
        self._engaged: int | None = None  # session of the last daily loss

    @classmethod
    def open(cls, automation: TradingAutomation, folder: str | os.PathLike[str] | None) -> Self:
        """Open kill switch, review queue and manager; a fresh folder is armed once, on record."""
        journal = automation.journal.database
        if folder is None and journal.path is None:
            raise ConfigError(
                f"the journal {journal.name} has no folder beside it for the kill switch; name one: "
                "state_folder=...",
                code="LIVE_STATE_FOLDER",
            )
        where = Path(folder) if folder is not None else switch_folder(journal.path or "")
        switch = KillSwitch(where, clock=automation.clock)

        def price(request: OrderRequest) -> float | None:
            signal_id = automation.broker.signal_of(request)
            return None if signal_id is None else automation.desk.price_for(signal_id)

        def judge(request: OrderRequest) -> str | None:
            signal_id = automation.broker.signal_of(request)
            if signal_id is None:
                return "its signal is not known to this automation"
            return automation.desk.rejudge(signal_id)

        queue = ReviewQueue(where / "reviews", switch, clock=automation.clock, price=price, judge=judge)
        manager = BrokerManager({BROKER: automation.broker}, switch, queue, clock=automation.clock)
        return cls(automation, manager, queue, where)

    def blocked(self) -> str | None:
        """Say why no entry is let through now; None where it is."""
        switch = self.manager.kill_switch
        if switch.state == "ACTIVE":
            return None
        return f"the kill switch is {switch.state}: {switch.status['why']}"

    def submit(self, waiting: Waiting) -> BracketOrder | None:
        """Send a waiting signal, or lay it before a person; None where it is refused."""
        desk, signal_id = self._automation.desk, waiting.signal.signal_id
        self.manager.mode = self._automation.config.execution_mode
        request = self._automation.broker.request_for(
            waiting.signal, waiting.bracket, self._attempts.get(signal_id, 0)
        )
        answer = self.manager.submit_order(request, price=desk.price_for(signal_id))
        if isinstance(answer, ReviewRequest):
            return desk.waits_for(signal_id, answer.request_id)
        if answer.outcome is Outcome.CONFIRMED:
            return desk.bracket(signal_id)
        self._attempts[signal_id] = self._attempts.get(signal_id, 0) + 1
        if signal_id in desk.waiting:
            desk.give_up(signal_id, f"{answer.code}: {answer.message}")
        return None

    def settle(self) -> None:
        """Give up signals whose request in the review queue has ended without an order."""
        desk = self._automation.desk
        for signal_id, waiting in list(desk.waiting.items()):
            if waiting.bracket.request_id is None:
                continue
            request = self._queue.get(waiting.bracket.request_id)
            state = request.state
            if state == "pending" and self._automation.clock() >= request.expires_at:
                state = "expired"
            if state not in ("pending", "approved"):
                self._attempts[signal_id] = self._attempts.get(signal_id, 0) + 1
                who = f" by {request.decided_by}" if request.decided_by else ""
                desk.give_up(signal_id, f"its review request was {state}{who}: {request.note or 'too late'}")

    def recovered(self) -> None:
        """Take a daily loss from before a restart as told: the switch holds, or a person has armed it."""
        account = self._automation.account.state.account[0]
        if int(account["daily_halt"]) == 1:
            self._engaged = int(account["session"])

    def withdraw_all(self, reason: str) -> None:
        """End all requests that wait for a person."""
        self._queue.void_all(reason)

    def watch(self) -> None:
        """Engage the kill switch where the account has just been halted by its daily loss."""
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
                reason=f"daily loss limit: {lost:.2f} % lost, {limit:g} % allowed", engaged_by="risk manager"
            )
