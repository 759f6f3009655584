"""The one way to start a desk that trades at brokers: starting is recovering.

In this order, and there is no other: lock the journal, open it, check it, bring it up to date, load what was
sent and what differs, reconcile, run. What fails before the reconciliation is raised, and nothing was sent.
What the reconciliation finds halts trading until a person has looked at it and armed; a broker that does not
answer keeps its entries out until it does. A crash at any point leaves the next start the same work.

>>> with open_desk("trade_journal.db", {"paper": broker}) as desk:    # doctest: +SKIP
...     desk.manager.submit_order(order)
...     desk.poll()
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from journal.database import Database
from live.automation.config import ExecutionMode
from live.brokers.interface import BrokerInterface, OrderRequest
from live.brokers.manager import BrokerManager
from live.clock import Clock
from live.intents import IntentLog
from live.kill_switch import KillSwitch, Scope, switch_folder
from live.reconcile import WINDOW, Reconciler, ReconcileReport
from live.reconciling.differences import Differences
from live.review_queue import LIFETIME, MAX_DRIFT_PCT, ReviewQueue
from simulator.errors import ConfigError

__all__ = ["Desk", "open_desk"]


@dataclass(slots=True)
class Desk:
    """A desk that is open.

    Attributes
    ----------
    report
        What the newest reconciliation found.
    """

    database: Database
    manager: BrokerManager
    reconciler: Reconciler
    report: ReconcileReport

    @property
    def kill_switch(self) -> KillSwitch:
        """The switch in front of every order."""
        return self.manager.kill_switch

    def poll(self) -> ReconcileReport:
        """Reconcile; to be called every few seconds, and after a broker was out of reach."""
        self.report = self.reconciler.run()
        return self.report

    def close(self) -> None:
        """Give the journal back. Orders that work stay working; the next start finds them."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_desk(
    journal: str | os.PathLike[str],
    brokers: Mapping[str, BrokerInterface],
    *,
    account: str = "desk",
    folder: str | os.PathLike[str] | None = None,
    scope: Scope = "paper",
    mode: ExecutionMode = ExecutionMode.PAPER_ONLY,
    routes: Mapping[str, str] | None = None,
    live_key: bool = False,
    live_flag: bool = False,
    price: Callable[[OrderRequest], float | None] | None = None,
    judge: Callable[[OrderRequest], str | None] | None = None,
    lifetime: timedelta = LIFETIME,
    max_drift_pct: float | None = MAX_DRIFT_PCT,
    window: timedelta = WINDOW,
    notify: Callable[[str, str, str], object] | None = None,
    clock: Clock | None = None,
) -> Desk:
    """Start a desk, or take up the one that a crash has left.

    Parameters
    ----------
    journal
        Path or address of the journal.
    account
        Whose intents; one desk of several in the same journal.
    folder
        Of the kill switch and the reviews; beside the journal by default.
    price, judge, lifetime, max_drift_pct
        Of the review queue.
    scope, mode, routes, live_key, live_flag, notify, window
        Of the kill switch, the manager and the reconciler.

    Raises
    ------
    JournalError
        JOURNAL_LOCKED where another process trades with this journal, JOURNAL_DAMAGED, JOURNAL_NEWER, and
        what else `Database` raises; LIVE_REVIEW_STORE where requests cannot be read.
    ConfigError
        What `BrokerManager` raises; LIVE_STATE_FOLDER for a journal on a server without `folder`.
    """
    with contextlib.ExitStack() as undo:
        # opening only reads; where the journal has to be begun or migrated it takes the lock for that itself
        database = undo.enter_context(Database(journal, clock=clock))
        database.lock()
        database.check()
        where = _folder(database, folder)
        switch = KillSwitch(where, clock=clock, scope=scope)
        queue = ReviewQueue(
            where / "reviews", switch, clock=clock, lifetime=lifetime, max_drift_pct=max_drift_pct,
            price=price, judge=judge,
        )  # fmt: skip
        manager = BrokerManager(
            brokers, switch, queue, intents=IntentLog(database, account), mode=mode, routes=routes,
            live_key=live_key, live_flag=live_flag, notify=notify, clock=clock,
            differences=Differences(where / "reviews", clock=clock),
        )  # fmt: skip
        reconciler = Reconciler(manager, window=window)
        report = reconciler.start()
        undo.pop_all()
    return Desk(database, manager, reconciler, report)


def _folder(database: Database, folder: str | os.PathLike[str] | None) -> Path:
    if folder is not None:
        return Path(folder)
    if database.path is None:
        raise ConfigError(
            f"the journal {database.name} has no folder beside it for the kill switch; name one: folder=...",
            code="LIVE_STATE_FOLDER",
        )
    return switch_folder(database.path)
