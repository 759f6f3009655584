"""Opening a session at a broker, in one order: journal, lock, switch, broker, plan, desk, reconciliation.

What fails before the reconciliation is raised, and nothing was sent. The broker is opened before the plan, so
that a login that does not work begins no session. The caller has the follower put back what protects, and
reconciles then: a crash between the end of a stop and the exit it made room for is no difference.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from journal.database import Database
from live.automation.config import ExecutionMode
from live.brokers.interface import BrokerInterface, OrderRequest
from live.brokers.manager import BrokerManager
from live.brokers.opening import open_broker
from live.brokers.paper import PaperBroker
from live.brokers.settings import BrokerSettings
from live.clock import Clock, system_clock
from live.following.driving import BarDriver
from live.intents import IntentLog
from live.kill_switch import KillSwitch, Scope, switch_folder
from live.opening import Desk
from live.reconcile import Reconciler, ReconcileReport
from live.reconciling.differences import Differences
from live.review_queue import ReviewQueue
from live.session import Session
from live.sessions.opening import HasDatabase, database_of
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["BROKER_NAME", "Opened", "open_all"]

BROKER_NAME: Final = "broker"
"""Name of the one broker of a session, as its manager and the record of its fills have it."""

_CENT: Final = 0.01
_NOTE: Final = "broker_account"


@dataclass(slots=True)
class Opened:
    """What a session at a broker is made of."""

    session: Session
    desk: Desk
    broker: BrokerInterface
    kind: Literal["PAPER", "LIVE", "SHADOW"]
    driver: BarDriver | None
    reviews: Path
    bar: Bars | None = None
    objection: Callable[[OrderRequest], str | None] | None = None

    def judged(self, request: OrderRequest) -> str | None:
        """Say why an order that a person approves is not wanted any more, None where it is."""
        return None if self.objection is None else self.objection(request)

    def take_bars(self, bars: Bars) -> None:
        """Let a broker that is moved by bars have them."""
        self.bar = bars if len(bars) else self.bar
        take = getattr(self.broker, "take_bars", None) if self.driver is None else self.driver.take_bars
        if take is not None:
            take(bars)

    def prepare(self, symbols: Iterable[str]) -> None:
        """Let a paper account know the quotes of contracts that it may not have been asked about."""
        if self.driver is not None and self.bar is not None:
            self.driver.quote(self.bar, symbols)


def open_all(
    ending: contextlib.ExitStack,
    where: str | os.PathLike[str] | Database | HasDatabase,
    broker: BrokerSettings | BrokerInterface | None,
    *,
    plan: Mapping[str, Any],
    name: str,
    mode: ExecutionMode,
    live_key: bool,
    live_flag: bool,
    armed: bool,
    shadow: bool,
    folder: str | os.PathLike[str] | None,
    login: Mapping[str, Any],
    notify: Callable[[str, str, str], object] | None,
    clock: Clock | None,
    drive: bool | None,
    window: timedelta,
    sleep: Callable[[float], None],
) -> Opened:
    """Open everything; what is opened here is closed with `ending`. See `BrokerSession`."""
    database, owned = database_of(where, clock or system_clock)
    if owned:
        ending.callback(database.close)
    database.lock()
    database.check()
    state = _folder(database, folder)
    real = live_flag and not shadow and not _is_paper(broker)
    scope: Scope = "live" if real else "paper"
    switch = KillSwitch(state, clock=clock, scope=scope)
    found, driver = _broker(
        ending, broker, plan=plan, state=state, name=name, shadow=shadow, live_flag=live_flag,
        live_key=live_key, armed=armed, switch=switch, login=login, clock=clock, drive=drive,
    )  # fmt: skip
    session = Session(database, **plan, name=name, clock=clock, kill_switch=switch)
    ending.callback(session.close)
    opened: list[Opened] = []
    queue = ReviewQueue(
        state / "reviews", switch, clock=clock, judge=lambda order: opened[0].judged(order)
    )  # fmt: skip
    manager = BrokerManager(
        {BROKER_NAME: found}, switch, queue, intents=IntentLog(database, name), mode=mode, live_key=live_key,
        live_flag=live_flag, notify=notify, clock=clock, sleep=sleep,
        differences=Differences(state / "reviews", clock=clock),
    )  # fmt: skip
    if not session.bars:
        _check_cash(found, float(plan["cash"]))
    _check_same(session, found, plan["accept_change"])
    reconciler = Reconciler(manager, window=window)
    manager.recover()
    nothing = ReconcileReport(at=manager.clock(), brokers={}, resolved=(), differences=(), opened=())
    desk = Desk(database, manager, reconciler, nothing)
    shadowed = shadow or _is_shadow(found.broker)
    kind: Literal["PAPER", "LIVE", "SHADOW"] = "SHADOW" if shadowed else "PAPER" if found.is_paper else "LIVE"
    opened.append(Opened(session, desk, found, kind, driver, state / "reviews"))
    return opened[0]


def _broker(
    ending: contextlib.ExitStack,
    broker: BrokerSettings | BrokerInterface | None,
    *,
    plan: Mapping[str, Any],
    state: Path,
    name: str,
    shadow: bool,
    live_flag: bool,
    live_key: bool,
    armed: bool,
    switch: KillSwitch,
    login: Mapping[str, Any],
    clock: Clock | None,
    drive: bool | None,
) -> tuple[BrokerInterface, BarDriver | None]:
    """Return the broker, and what moves it where the session does."""
    settings = BrokerSettings() if broker is None else broker
    if isinstance(settings, BrokerInterface):
        found, own = settings, False
        if shadow:
            from live.brokers.shadow import ShadowBroker

            found = ShadowBroker(found, path=_book(state, "shadow", name), costs=plan["costs"], clock=clock)
            ending.callback(found.close)
    elif shadow:
        from live.brokers.shadow import open_shadow

        found, own = open_shadow(
            settings, live=live_flag, path=_book(state, "shadow", name), costs=plan["costs"], clock=clock,
            **login,
        ), False  # fmt: skip
        ending.callback(found.close)
    elif settings.name == "paper":
        found, own = _paper(ending, settings, plan, _book(state, "paper", name)), True
        if live_flag:
            raise ConfigError(
                "--live asks for real money, and [broker] name is paper; name the broker",
                code="LIVE_NOT_ENABLED",
            )
    else:
        found, own = open_broker(
            settings, live=live_flag, live_key=live_key, switch=switch, armed=armed, **login
        ), False  # fmt: skip
        close = getattr(found, "close", None)
        if close is not None:
            ending.callback(close)
    moved = own if drive is None else drive
    return found, BarDriver(found.venue) if moved and isinstance(found, PaperBroker) else None


def _paper(
    ending: contextlib.ExitStack, settings: BrokerSettings, plan: Mapping[str, Any], path: Path
) -> PaperBroker:
    """Return a paper account that goes on where it was."""
    from live.venue import Venue

    like = plan["like"] if plan["like"] is not None else getattr(plan["feed"], "like", None)
    venue = Venue(
        cash=plan["cash"], costs=plan["costs"], conventions=plan["conventions"], path=path,
        instruments=None if like is None else like.symbols,
    )  # fmt: skip
    ending.callback(venue.close)
    return PaperBroker(venue, account=settings.account or "paper")


def _book(state: Path, kind: str, name: str) -> Path:
    """Return the file of an account that is matched here; its folder is made."""
    folder = state / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.events"


def _is_paper(broker: BrokerSettings | BrokerInterface | None) -> bool:
    if isinstance(broker, BrokerInterface):
        return broker.is_paper
    return broker is None or broker.name == "paper"


def _check_cash(broker: BrokerInterface, cash: float) -> None:
    """Refuse a plan that is richer than the account: its sizes could not be followed."""
    equity = broker.get_account().equity
    if not (math.isfinite(equity) and equity > 0.0):
        raise ConfigError(
            f"{broker.broker} says that the account {broker.account} is worth {equity:,.2f}, so nobody knows "
            f"whether the plan's {cash:,.2f} are there; look at the account, and start again",
            code="LIVE_FOLLOW_CASH",
        )
    if cash > equity + _CENT:
        raise ConfigError(
            f"the plan begins with {cash:,.2f} and the account {broker.account} at {broker.broker} is worth "
            f"{equity:,.2f}; give the plan less cash (account.cash), or the account more",
            code="LIVE_FOLLOW_CASH",
        )


def _check_same(session: Session, broker: BrokerInterface, accept_change: str | None) -> None:
    """Refuse another account than the one in which the session's orders are, and remember a new session's."""
    now = {"broker": broker.broker, "account": broker.account}
    told = [
        note.value[_NOTE] for note in session.notes() if isinstance(note.value, dict) and _NOTE in note.value
    ]
    if any(_is_shadow(one["broker"]) != _is_shadow(now["broker"]) for one in told):
        raise ConfigError(
            f"session {session.name!r} has its orders in account {told[-1]['account']} at "
            f"{told[-1]['broker']}, and was started with {now['account']} at {now['broker']}; what a shadow "
            "has filled was never bought, so a shadow and an account that trades never share a session: "
            "open one under another name",
            code="LIVE_FOLLOW_SHADOW",
        )
    if told and told[-1] == now:
        return
    if told and not accept_change:
        raise ConfigError(
            f"session {session.name!r} has its orders in account {told[-1]['account']} at "
            f"{told[-1]['broker']}, and was started with {now['account']} at {now['broker']}; start it "
            "there, open a session under another name, or say why with accept_change "
            "(--accept-change): nobody looks after what "
            "works at the old one then",
            code="LIVE_FOLLOW_OTHER",
        )
    session.note({_NOTE: now} if not told else {_NOTE: now, "reason": accept_change})


def _is_shadow(broker: str) -> bool:
    return broker.startswith("shadow:")


def _folder(database: Database, folder: str | os.PathLike[str] | None) -> Path:
    if folder is not None:
        return Path(folder)
    if database.path is None:
        raise ConfigError(
            f"the journal {database.name} has no folder beside it for the kill switch; name one: folder=...",
            code="LIVE_STATE_FOLDER",
        )
    return switch_folder(database.path)
