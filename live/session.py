"""A paper session: bars in, one step each, everything in the journal before the next.

One account, fed bar by bar through the same step as a backtest. Each bar is one transaction: what came in
(bars, signals, commands), what the step answered, the state after it, and the trades that closed. So whatever
ends the process leaves whole bars behind, and starting is recovering: a session of the same name in the same
journal goes on with the next bar, and ends with the same bytes as if nothing had happened. `verify_parity`
replays what was recorded through the backtest driver and compares every byte.

Strategies are asked about the bars seen so far, and only signals of the newest bar count; by the prefix rule
that is what a backtest trades. Bars that come twice, late or revised are recorded and ignored, gaps noted.

>>> from simulator import Signals, load_bars
>>> bars = load_bars("synthetic:2x30?seed=1")
>>> with Session("paper.db", like=bars) as session:   # doctest: +SKIP
...     outcome = session.push(bars[0:1])
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from journal.database import Database
from live.clock import Clock, system_clock
from live.sessions.account import Rules
from live.sessions.bar_strategies import callers_among
from live.sessions.commands import plain_command
from live.sessions.core import Core, Setup
from live.sessions.inbox import Doorway
from live.sessions.opening import HasDatabase, check_group, database_of, open_stored, rows_to_keep
from live.sessions.outcome import Rehearsal, StepOutcome, merged
from live.sessions.stopping import heeding
from live.sessions.store import Note, SessionStore, note_data
from live.sessions.switching import check_known_switch
from simulator.engine import DEFAULT_RISK
from simulator.errors import ConfigError, EngineError, warn

if TYPE_CHECKING:
    from live.feeds import Feed, Hold
    from live.kill_switch import KillSwitch
    from live.sessions.trades import TradeLog
    from simulator.bars import Bars
    from simulator.commands import Command
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.kernel.state import State
    from simulator.portfolio_risk_manager import PortfolioRisk, PositionRisk
    from simulator.risk_limits import RiskLimits
    from simulator.signals import Signals

__all__ = ["HasDatabase", "Session"]


class Session:
    """A paper account that lives in a journal.

    Parameters
    ----------
    where
        Path or URL of the journal, an open `Database`, or a `TradeJournal`.
    like
        Bars whose symbols, instruments and rules all bars share; that of the feed, or of the stored session,
        by default.
    feed
        Where `run` takes bars from.
    strategies
        Strategies, functions from bars to signals, or signals; all trade the one account.
    cash, risk, costs, conventions, capacity
        As in `backtest`.
    name
        The session's name in the journal.
    clock
        Gives the time of what the journal stamps itself, aware.
    kill_switch
        Consulted before every bar: HALTED becomes a recorded command "kill", REDUCING "reduce", and an
        arming after it "arm", so that a replay does the same. A halt that was over before the bar counts too:
        it cancels what works. One whose folder armed itself beside a journal that has had another is engaged.
    history
        Bars that strategies see, the newest included; None is all of them, or 1,000 where there is no
        strategy. A strategy whose values fade slowly (an exponential mean) answers a little differently with
        few of them than a backtest over all; what was traded is recorded, so parity holds either way.
    group
        Bars per transaction, for replays in a hurry: what a crash undoes is then so many bars.
    accept_change
        Why the session may go on although engine, limits, costs, conventions or strategies are not those it
        was left with; recorded. Without it that is refused.
    trade_log
        Writes trades and verdicts, in the transaction of each bar, in place of the session's own way.

    Raises
    ------
    EngineError
        LIVE_CHANGED where engine or configuration are others; LIVE_STOPPED after `close`.
    ConfigError
        LIVE_LIKE where nothing says what the bars are like; LIVE_GROUP, LIVE_HISTORY.
    JournalError
        What opening and writing a journal may raise; JOURNAL_LOCKED where another process has it.
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | Database | HasDatabase,
        *,
        like: Bars | None = None,
        feed: Feed | None = None,
        strategies: Any = (),
        cash: float = 100_000.0,
        risk: RiskLimits | None = DEFAULT_RISK,
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
        capacity: int | None = None,
        name: str = "paper",
        clock: Clock | None = None,
        kill_switch: KillSwitch | None = None,
        history: int | None = None,
        group: int = 1,
        accept_change: str | None = None,
        trade_log: TradeLog | None = None,
    ) -> None:
        self.name = name
        self.feed = feed
        self.kill_switch = kill_switch
        self.strategies = list(strategies) if isinstance(strategies, (list, tuple)) else [strategies]
        self.rules = Rules(cash=cash, risk=risk, costs=costs, conventions=conventions, capacity=capacity)
        self.group = check_group(group, feed)
        setup = Setup(
            self.rules, self.strategies, rows_to_keep(history, self.strategies), self.group, kill_switch,
            trade_log, callers_among(self.strategies),
        )  # fmt: skip
        self._stop = threading.Event()
        self._callbacks: list[Callable[[Session, StepOutcome], object]] = []
        self.callback_failures = 0
        self.database, self._owned = database_of(where, clock or system_clock)
        try:
            self.database.lock()
            self._store = SessionStore(self.database, name)
            if like is None and feed is not None:
                like = feed.like
            self._session = open_stored(self._store, like, self.rules, self.strategies, accept_change)
            self._core = Core(self._store, self._session, setup)
            self._doorway = Doorway(
                self._store, self._core, self._session.id, has_switch=kill_switch is not None
            )
            if kill_switch is not None:
                check_known_switch(self._store, kill_switch)
        except BaseException:
            if self._owned:
                self.database.close()
            raise

    # Looking

    @property
    def state(self) -> State:
        """The account's state."""
        return self._core.account.state

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names by column."""
        return self._core.like.symbols

    @property
    def like(self) -> Bars:
        """What all bars share, as bars without a row."""
        return self._core.like

    @property
    def bars(self) -> int:
        """Bars stepped so far, those before a restart included."""
        return self._core.bars

    @property
    def last_ts(self) -> int | None:
        """Label of the last bar, UTC nanoseconds; None before any."""
        return self._core.intake.ts if self._core.bars else None

    @property
    def strategy_names(self) -> tuple[str, ...]:
        """Names of the strategies by the codes that the state has."""
        return tuple(self._core.memory.names.strategies)

    @property
    def arming(self) -> str | None:
        """Arming of the kill switch under which the last bar was stepped; None without a switch."""
        return self._core.memory.waiting.arming

    @property
    def equity(self) -> float:
        """Equity at the last mark, in currency."""
        return float(self.state.account["equity"][0])

    def seen(self) -> Bars:
        """Return the bars that are kept in memory."""
        return self._core.history.bars()

    def risk(self) -> PortfolioRisk:
        """Return what the account has at risk, Greeks included."""
        from simulator.portfolio_risk_manager import PortfolioRiskManager

        manager = PortfolioRiskManager(
            self.rules.risk, costs=self.rules.costs, conventions=self.rules.conventions
        )
        seen = self.seen()
        return manager.portfolio_risk(self, seen if len(seen) else None, row=len(seen) - 1)

    def positions(self) -> tuple[PositionRisk, ...]:
        """Return the open positions."""
        return self.risk().positions

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
        """Step the rows of `bars`; when this returns, they are on the disk.

        Parameters
        ----------
        bars
            One row or several, like those the session was opened for.
        signals
            Beside those of the strategies: known at the close of their bars.
        commands
            What a person did: carried out at the start of the first bar at or after their time. One that no
            bar of this push reaches waits for the next.
        note
            Bytes, or values of JSON, to find again: stored in the transaction of the last of these bars, see
            `notes`.
        holds
            Where no entry is let in, as a live feed says; what was dropped is noted.

        Returns
        -------
        StepOutcome

        Raises
        ------
        DataError
            LIVE_FRAME for bars of another kind, JOURNAL_VALUE for a note that cannot be stored.
        SignalError, StrategyError
            As in `backtest`; nothing of the transaction is stored, its commands included, and the session can
            go on.
        JournalError
            Nothing of the transaction is stored. The session goes back to the last bar that is, and can go
            on when there is room again.
        """
        self._usable()
        self._core.intake.check(bars)
        given = self._given(bars, signals, commands)
        said = None if note is None else note_data(note)
        self._core.memory.wait(given)
        outcomes: list[StepOutcome] = []
        try:
            for first in range(0, max(1, len(bars)), self.group):
                part = bars if len(bars) <= self.group else bars[first : first + self.group]
                self._doorway.take()
                last = first + self.group >= len(bars)
                outcomes.append(self._core.transact(part, signals, said if last else None, holds))
                self._tell(outcomes[-1])
        except BaseException:
            # who pushes again gives them again
            self._core.memory.forget(given)
            raise
        return merged(outcomes) if len(outcomes) > 1 else outcomes[0]

    def rehearse(
        self, bars: Bars, signals: Signals | None = None, commands: Sequence[Command] = ()
    ) -> Rehearsal:
        """Return what a push would come to, and do nothing: the same step, on a copy.

        Strategies are not asked; commands that wait, and the kill switch, count as they would.

        Parameters
        ----------
        bars, signals, commands
            As for `push`; the bars may have further symbols at their end, as if `grow` had been called.

        Raises
        ------
        DataError, SignalError
            As `push` does.
        """
        self._usable()
        return self._core.rehearse(bars, signals, self._given(bars, signals, commands))

    def grow(self, like: Bars) -> None:
        """Let symbols join: from the next bar on, bars have those of `like`.

        What is held and known stays as it is, and all is as if the account had known the new symbols from the
        start, without a bar. Recorded with the number of the next bar, so that a restart and a replay do the
        same.

        Parameters
        ----------
        like
            Bars, of which no row is read: the symbols so far in their order, with the instruments and sectors
            that they have, then the new ones. With the same symbols nothing happens.

        Raises
        ------
        DataError
            LIVE_FRAME for bars that are not those of the session with symbols at their end.
        JournalError
            Nothing is stored, and nothing has changed.
        """
        self._usable()
        self._core.grow(like)

    def command(self, kind: str, symbol: str | None = None, value: float | None = None) -> None:
        """Have a command carried out at the next bar; it is stored at once.

        Parameters
        ----------
        kind
            One of `COMMANDS`.
        symbol, value
            As in `Command`.
        """
        self._usable()
        self._doorway.command(kind, symbol, value)

    def note(self, value: Any) -> None:
        """Store a note without a bar: it belongs to the last one stepped."""
        self._usable()
        self._core.keep_note(note_data(value))

    def notes(self, after_bar: int = -2) -> list[Note]:
        """Return what was stored by `push(..., note=...)` and `note`, oldest first.

        Parameters
        ----------
        after_bar
            Only those of later bars; bars count from 0, and a note before the first bar has -1.
        """
        with self.database.read() as connection:
            return self._store.kept_notes(connection, self._session.id, after_bar)

    def on_outcome(self, callback: Callable[[Session, StepOutcome], object]) -> Callable[[], None]:
        """Have a function called after every transaction, when it is on the disk; returns what ends that.

        It is called in the thread that pushes, in the order of registration, and must not push itself. One
        that raises harms nobody: it is counted in `callback_failures`, and a `TwinstepWarning` says so.
        """
        self._callbacks.append(callback)

        def end() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return end

    def run(
        self,
        until: int | None = None,
        *,
        tell: Callable[[Session, StepOutcome], object] | None = None,
        signals: bool = True,
    ) -> int:
        """Take bars from the feed until it ends, or somebody says stop; returns the bars stepped.

        Parameters
        ----------
        until
            Bars to step at most.
        tell
            Called after every transaction.
        signals
            Whether SIGTERM and Ctrl-C end the run after the bar that is being stepped; in the main thread
            only.
        """
        self._usable()
        if self.feed is None:
            raise ConfigError(
                f"session {self.name!r} has no feed; give it one, or push bars yourself", code="LIVE_FEED"
            )
        first = self._core.bars
        self._stop.clear()
        with heeding(self._stop, signals=signals):
            for bars in self.feed.bars(after=self.last_ts, rows=self.group, stopped=self._stop.is_set):
                if self._stop.is_set():
                    break
                if until is not None:
                    bars = bars[: until - (self._core.bars - first)]
                outcome = self.push(bars, holds=self._holds(bars))
                if tell is not None:
                    tell(self, outcome)
                if self._stop.is_set() or (until is not None and self._core.bars - first >= until):
                    break
        return self._core.bars - first

    def _holds(self, bars: Bars) -> tuple[Hold, ...]:
        held: Callable[[Bars], tuple[Hold, ...]] | None = getattr(self.feed, "holds", None)
        return () if held is None else held(bars)

    def stop(self) -> None:
        """End `run` after the bar that is being stepped; may be called from any thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, or a signal came."""
        return self._stop.is_set()

    def close(self) -> None:
        """Give the journal back; what was stepped is stored already."""
        self._core.broken = True
        if self._owned:
            self.database.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Session({self.name!r} in {self.database.name}, {self._core.bars} bars)"

    def _given(
        self, bars: Bars, signals: Signals | None, commands: Sequence[Command]
    ) -> list[dict[str, Any]]:
        """Check what comes with bars; returns the commands as they wait."""
        if signals is not None and not np.isin(signals.records["ts"], bars.ts).all():
            signals.aligned(bars)  # which says what is wrong
        for command in commands:
            if command.symbol is not None:
                bars.column(command.symbol)
        return [plain_command(command) for command in commands]

    def _tell(self, outcome: StepOutcome) -> None:
        for callback in tuple(self._callbacks):
            try:
                callback(self, outcome)
            except Exception as error:
                # whoever watches must not be able to stop what he watches
                self.callback_failures += 1
                warn(
                    f"a watcher of session {self.name!r} failed, which changes nothing of the session: "
                    f"{type(error).__name__}: {error}",
                    code="LIVE_CALLBACK",
                )

    def _usable(self) -> None:
        if self._core.broken:
            raise EngineError(
                f"session {self.name!r} is closed, or lost its journal; open it again, which goes on with "
                "the bar after the last one stored",
                code="LIVE_STOPPED",
            )
