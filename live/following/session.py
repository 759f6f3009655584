"""A session that trades at a broker: the plan and the account that follows it, opened and closed as one.

The plan is a `Session`, the desk a `BrokerManager` with its reconciler, kill switch and review queue; they
share one journal, one lock and one switch. Every bar goes: ask the broker, step the plan, have the follower
send what is missing. Between bars `poll` does the same without a bar, since fills, refusals and lost answers
do not wait for one.

Starting is recovering: the plan goes on with the bar after the last one stored, the desk finds out what
became of every order, and the first look, before this returns, sends what is missing. A kill at any point
leaves the next start that work.

>>> from simulator import load_bars
>>> bars = load_bars("synthetic:2x30?seed=1")
>>> with BrokerSession("paper.db", like=bars, strategies=rule) as session:   # doctest: +SKIP
...     session.push(bars[0:1])
...     print(session.status())
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np

from live.automation.config import ExecutionMode
from live.brokers.interface import BrokerInterface
from live.brokers.settings import BrokerSettings
from live.clock import Clock, system_clock
from live.decisions import take_decisions
from live.exchange.calendar import nanoseconds
from live.following.day_guard import DayGuard
from live.following.follower import Follower
from live.following.lateness import is_over
from live.following.opening import BROKER_NAME, Opened, open_all
from live.following.standing import Standing
from live.following.viewing import standing_of
from live.reconcile import WINDOW
from live.sessions.opening import HasDatabase
from live.sessions.stopping import heeding
from live.slippage import watch_slippage
from simulator.bars.clock import session_of
from simulator.engine import DEFAULT_RISK
from simulator.errors import ConfigError, TwinstepError

if TYPE_CHECKING:
    from journal.database import Database
    from live.alerts import Alerts
    from live.brokers.credentials import Credentials
    from live.feeds import Feed, Hold
    from live.kill_switch import KillSwitch
    from live.opening import Desk
    from live.session import Session
    from live.sessions.outcome import StepOutcome
    from live.slippage import Calibration
    from simulator.bars import Bars
    from simulator.commands import Command
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.risk_limits import RiskLimits
    from simulator.signals import Signals

__all__ = ["BROKER_NAME", "BrokerSession"]

POLL_SECONDS: Final = 5.0

_MODE: Final = "execution_mode"
"""Key of the notes that say where orders go, for who reads the journal."""


class BrokerSession:
    """A plan, and an account at a broker that follows it.

    Parameters
    ----------
    where
        Path or address of the journal, an open `Database`, or a `TradeJournal`.
    broker
        `BrokerSettings`, which are opened and closed with the session, or a broker, which is used as it is;
        None is a paper account.
    like, feed, strategies, cash, risk, costs, conventions, capacity, history, accept_change
        Of the plan, as for `Session`; bars are stepped one by one.
    name
        The session's name in the journal, and whose intents its orders are.
    mode
        Where orders go, see `BrokerManager`.
    live_key, live_flag, armed
        The key of the configuration and the flag of the command line, without which no real money is traded;
        with both a halt after a day's loss ends with a new arming of the kill switch, and not by itself,
        whatever `halt_release` says. `armed=False` opens a real account during a halt, to look, cancel and
        protect.
    shadow
        Read the broker, and send nothing: orders are matched here (`live.brokers.shadow`).
    folder
        Of the kill switch, reviews, and a paper account's own file; beside the journal by default.
    config, credentials
        Of the broker's login, as for `open_broker`.
    notify
        Is told what a person should know, as (kind, title, text).
    calibration, alerts
        What fills usually cost here, and who is told when they have become worse: see `watch_slippage`. A
        demotion has orders wait for a person from then on.
    clock
        Aware.
    drive
        Whether the session moves a paper account by its bars; None: where the account was opened here. A
        broker with a method `take_bars` is given every bar either way.
    poll_seconds
        How often `run` looks between the bars of a live feed.
    window
        As for `Reconciler`.
    sleep
        Injected for tests.

    Attributes
    ----------
    session
        The plan.
    desk
        What is at the broker: manager, reconciler, and the newest report.
    follower
        What keeps both together.
    slippage
        Watches what fills cost.

    Raises
    ------
    ConfigError
        LIVE_FOLLOW_CASH where the plan has more cash than the account has equity; LIVE_FOLLOW_OTHER for a
        session whose orders went to another broker or account; LIVE_FOLLOW_POLL; those of
        `open_broker` and `BrokerManager`.
    EngineError, JournalError
        Those of `Session` and `open_desk`.
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | Database | HasDatabase,
        broker: BrokerSettings | BrokerInterface | None = None,
        *,
        like: Bars | None = None,
        feed: Feed | None = None,
        strategies: Any = (),
        cash: float = 100_000.0,
        risk: RiskLimits | None = DEFAULT_RISK,
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
        capacity: int | None = None,
        name: str = "live",
        mode: ExecutionMode = ExecutionMode.PAPER_ONLY,
        live_key: bool = False,
        live_flag: bool = False,
        armed: bool = True,
        shadow: bool = False,
        folder: str | os.PathLike[str] | None = None,
        config: str | os.PathLike[str] | None = None,
        credentials: Credentials | None = None,
        environment: Mapping[str, str] | None = None,
        history: int | None = None,
        accept_change: str | None = None,
        notify: Callable[[str, str, str], object] | None = None,
        calibration: Calibration | str | os.PathLike[str] | None = None,
        alerts: Alerts | None = None,
        clock: Clock | None = None,
        drive: bool | None = None,
        poll_seconds: float = POLL_SECONDS,
        window: timedelta = WINDOW,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not poll_seconds > 0.0:
            raise ConfigError(
                f"poll_seconds is {poll_seconds!r}; it is a time above 0", code="LIVE_FOLLOW_POLL"
            )
        self.feed = feed
        self.name = name
        self.poll_seconds = poll_seconds
        self._clock = clock or system_clock
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._ending = contextlib.ExitStack()
        if risk is not None and live_key and live_flag:
            risk = risk.replace(halt_release="manual")  # a person ends a halt of real money
        plan = {
            "like": like, "feed": feed, "strategies": strategies, "cash": cash, "risk": risk, "costs": costs,
            "conventions": conventions, "capacity": capacity, "history": history,
            "accept_change": accept_change,
        }  # fmt: skip
        login = {"config": config, "credentials": credentials, "environment": environment}
        try:
            self._opened: Opened = open_all(
                self._ending, where, broker, plan=plan, name=name, mode=mode, live_key=live_key,
                live_flag=live_flag, armed=armed, shadow=shadow, folder=folder, login=login, notify=notify,
                clock=clock, drive=drive, window=window, sleep=sleep,
            )  # fmt: skip
            self.session: Session = self._opened.session
            self.desk: Desk = self._opened.desk
            self.follower = Follower(
                self.session, self.desk, BROKER_NAME, prepare=self._opened.prepare, sleep=sleep
            )
            self._opened.objection = self.follower.objection
            self._guard = DayGuard(self.session, self.desk.manager, risk, problems=self.follower.problems)
            self.follower.protect()
            self.desk.report = self.desk.reconciler.start()
            self.slippage = watch_slippage(self.desk, calibration, alerts, demote=self.desk.manager)
            told = [note.value for note in self.session.notes() if isinstance(note.value, dict)]
            self._noted: str | None = next((one[_MODE] for one in reversed(told) if _MODE in one), None)
            self.poll()
        except BaseException:
            self._ending.close()
            raise

    # Looking

    @property
    def broker(self) -> BrokerInterface:
        """The broker that is followed at."""
        return self._opened.broker

    @property
    def kind(self) -> Literal["PAPER", "LIVE", "SHADOW"]:
        """What stands behind the orders."""
        return self._opened.kind

    @property
    def kill_switch(self) -> KillSwitch:
        """The one switch of plan and orders."""
        return self.desk.kill_switch

    @property
    def bars(self) -> int:
        """Bars of the plan so far."""
        return self.session.bars

    def status(self) -> Standing:
        """Return how it stands as of the last look; asks nobody."""
        with self._lock:
            return standing_of(self)

    # Driving

    def push(
        self,
        bars: Bars,
        signals: Signals | None = None,
        commands: Sequence[Command] = (),
        *,
        note: Any = None,
        holds: Sequence[Hold] = (),
    ) -> StepOutcome:
        """Step the rows of `bars` one by one, and have the broker follow each; see `Session.push`.

        Raises
        ------
        DataError, SignalError, StrategyError, JournalError
            As `Session.push`. What the broker does or does not answer is never raised: see `status`.
        """
        from live.sessions.outcome import merged

        outcomes = []
        for row in range(max(1, len(bars))):
            last = row >= len(bars) - 1
            part = bars[row : row + 1]
            with self._lock:
                if self._decided():
                    # of before this bar, which an account that is moved by bars fills them in
                    self.follower.again(enter=False)
                self._opened.take_bars(part)
                # by now the bar is over for whose price entries were decided
                self._look(enter=False, guard=False)
                outcome = self.session.push(
                    part, _at(signals, part), commands if row == 0 else (), note=note if last else None,
                    holds=holds,
                )  # fmt: skip
                if outcome.bars:
                    self._guard.look(self.follower.facts, self._day())
                    self.follower.follow(outcome, enter=not self._is_late())
                    self._watch()
            outcomes.append(outcome)
        return merged(outcomes) if len(outcomes) > 1 else outcomes[0]

    def poll(self) -> None:
        """Ask the broker, and send what is missing; to be called every few seconds between bars."""
        with self._lock:
            self._look(enter=not self._is_late())

    def run(
        self,
        until: int | None = None,
        *,
        tell: Callable[[BrokerSession, StepOutcome], object] | None = None,
        signals: bool = True,
    ) -> int:
        """Take bars from the feed until it ends, or somebody says stop; returns the bars stepped.

        Between the bars of a live feed the broker is asked every `poll_seconds`, in a thread of its own.

        Parameters
        ----------
        until
            Bars to step at most.
        tell
            Called after every bar, when the broker has followed it.
        signals
            Whether SIGTERM and Ctrl-C end the run after the bar that is being stepped.
        """
        if self.feed is None:
            raise ConfigError(
                f"session {self.name!r} has no feed; give it one, or push bars yourself", code="LIVE_FEED"
            )
        first, feed = self.bars, self.feed
        holds_of: Callable[[Bars], tuple[Hold, ...]] = getattr(feed, "holds", lambda bars: ())
        self._stop.clear()
        with heeding(self._stop, signals=signals), self._polling():
            for bars in feed.bars(after=self.session.last_ts, rows=1, stopped=self._stop.is_set):
                if self._stop.is_set():
                    break
                outcome = self.push(bars, holds=holds_of(bars))
                if tell is not None:
                    tell(self, outcome)
                if self._stop.is_set() or (until is not None and self.bars - first >= until):
                    break
        return self.bars - first

    def stop(self) -> None:
        """End `run` after the bar that is being stepped; may be called from any thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, or a signal came."""
        return self._stop.is_set()

    def close(self) -> None:
        """Give everything back. Orders that work stay working; the next start finds them."""
        with self._lock:
            self._ending.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"BrokerSession({self.name!r} at {self.broker.broker}, {self.bars} bars)"

    def _look(self, *, enter: bool, guard: bool = True) -> None:
        """Ask the broker, send what is missing, and take up what people have decided.

        Decisions come after the question: what was to leave may have left by its stop meanwhile.
        """
        look = getattr(self.broker, "look", None)
        if look is not None:
            # an account that is matched here looks at the real quotes; its next answer says what is wrong
            with contextlib.suppress(Exception):
                look()
        self.follower.poll(enter=enter)
        if self._decided():
            self.follower.again(enter=enter)
        if guard:
            self._guard.look(self.follower.facts, self._day())
        self._watch()

    def _watch(self) -> None:
        """Look at what fills have cost, and note where orders go: drift lays them before a person."""
        self.slippage.look()
        mode = self.desk.manager.mode.value
        if mode != self._noted:
            with contextlib.suppress(TwinstepError, OSError):  # with the next look
                self.session.note({_MODE: mode})
                self._noted = mode

    def _decided(self) -> bool:
        """Take up decisions; returns whether there were any that were judged."""
        judged = False
        for taken in take_decisions(self._opened.reviews, self.desk.manager.approve_request):
            about = f"approval {taken.request_id}"
            self.follower.problems.pop(about, None)
            if taken.problem:
                self.follower.problems[about] = f"{taken.request_id} by {taken.by}: {taken.problem}"
            judged = judged or taken.answer is not None
        return judged

    def _day(self) -> int:
        """Return which session it is: by the clock where bars happen now, else by the plan's last bar."""
        if self.feed is not None and self.feed.live:
            now = np.array([nanoseconds(self._clock())], np.int64)
            return int(session_of(self.session.like.calendar, now)[0])
        return int(self.session.state.account["session"][0])

    def _is_late(self) -> bool:
        """Whether the price is past for which the last bar's entries were decided."""
        if self.feed is None or not self.feed.live:
            return False
        return is_over(self.session.seen()[-1:], self._clock())

    @contextlib.contextmanager
    def _polling(self) -> Iterator[None]:
        """Look between the bars of a live feed."""
        if self.feed is None or not self.feed.live:
            yield
            return
        over = threading.Event()

        def look() -> None:
            while not over.wait(self.poll_seconds):
                try:
                    self.poll()
                except Exception as error:  # the next bar raises it where it can be heeded
                    self.follower.problems["poll"] = f"{type(error).__name__}: {error}"
                else:
                    self.follower.problems.pop("poll", None)

        thread = threading.Thread(target=look, name=f"twinstep-follow-{self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=self.poll_seconds + 30.0)


def _at(signals: Signals | None, bars: Bars) -> Signals | None:
    """Return the signals of a bar."""
    if signals is None or not len(bars):
        return signals
    from simulator.signals import Signals

    mine = np.isin(signals.records["ts"], bars.ts)
    if mine.all():
        return signals
    return Signals(
        signals.records[mine], signals.symbols, tags=signals.tags, strategies=signals.strategies,
        sectors=signals.sectors, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip
