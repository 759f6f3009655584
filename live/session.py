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

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from journal.database import Database
from journal.inbox import Command as Queued
from journal.inbox import Inbox, Outcome
from live.account import Account, Rules
from live.clock import Clock, system_clock
from live.core import Core, Setup, pack_memory
from live.intake import Intake
from live.outcome import StepOutcome, merged
from live.recording import (
    decode_frame,
    encode_frame,
    pack,
)
from live.session_commands import plain_command
from live.store import SessionStore, Snapshot, StoredSession
from live.trades import Book, Names
from simulator.bars.arrays import stamp
from simulator.commands import Command
from simulator.engine import DEFAULT_RISK
from simulator.errors import ConfigError, DataError, EngineError, StrategyError
from simulator.kernel._jit import ENGINE_HASH
from simulator.kernel.state import from_bytes, to_bytes
from simulator.signals import Signals

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.feeds import Feed
    from live.kill_switch import KillSwitch
    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.kernel.state import State
    from simulator.portfolio_risk_manager import PortfolioRisk, PositionRisk
    from simulator.risk_limits import RiskLimits

__all__ = ["HasDatabase", "Session"]

HISTORY_ROWS: Final = 1_000
"""Bars kept for ATRs where no strategy needs more."""


class HasDatabase(Protocol):
    """A journal: `TradeJournal`, or anything else with an open database."""

    @property
    def database(self) -> Database:
        """The database."""
        ...


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
        arming after it "arm", so that a replay does the same.
    history
        Bars that strategies see, the newest included; None is all of them, or 1,000 where there is no
        strategy. A strategy whose values fade slowly (an exponential mean) answers a little differently with
        few of them than a backtest over all; what was traded is recorded, so parity holds either way.
    group
        Bars per transaction, for replays in a hurry: what a crash undoes is then so many bars.
    accept_change
        Why the session may go on although engine, limits, costs, conventions or strategies are not those it
        was left with; recorded. Without it that is refused.

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
    ) -> None:
        self.name = name
        self.feed = feed
        self.kill_switch = kill_switch
        self.strategies = _listed(strategies)
        self.rules = Rules(cash=cash, risk=risk, costs=costs, conventions=conventions, capacity=capacity)
        self.group = group
        if not _is_whole(group, 1):
            raise ConfigError(f"group is {group!r}; it is a whole number of bars", code="LIVE_GROUP")
        if self.group > 1 and feed is not None and feed.live:
            raise ConfigError(
                f"group is {group}; of a feed that is live every bar is a transaction of its own, so that "
                "nothing that was decided can be lost",
                code="LIVE_GROUP",
            )
        self._history_rows = _rows_to_keep(history, self.strategies)
        self._stop = threading.Event()
        self._owned = not isinstance(where, Database) and not hasattr(where, "database")
        self.database = _opened(where, clock or system_clock)
        try:
            self.database.lock()
            self._inbox = None if self.database.path is None else Inbox(self.database.path)
            self._store = SessionStore(self.database, name)
            self._open(like if like is not None else None if feed is None else feed.like, accept_change)
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
    def bars(self) -> int:
        """Bars stepped so far, those before a restart included."""
        return self._core.bars

    @property
    def last_ts(self) -> int | None:
        """Label of the last bar, UTC nanoseconds; None before any."""
        return self._core.intake.ts if self._core.bars else None

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
        self, bars: Bars, signals: Signals | None = None, commands: Sequence[Command] = ()
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

        Returns
        -------
        StepOutcome

        Raises
        ------
        DataError
            LIVE_FRAME for bars of another kind.
        SignalError, StrategyError
            As in `backtest`; nothing of the transaction is stored, its commands included, and the session can
            go on.
        JournalError
            Nothing of the transaction is stored. The session goes back to the last bar that is, and can go
            on when there is room again.
        """
        self._usable()
        self._core.intake.check(bars)
        if signals is not None and not np.isin(signals.records["ts"], bars.ts).all():
            signals.aligned(bars)  # which says what is wrong
        for command in commands:
            if command.symbol is not None:
                self._core.like.column(command.symbol)
        given = [plain_command(command) for command in commands]
        self._core.pending += given
        outcomes = []
        try:
            for first in range(0, max(1, len(bars)), self.group):
                part = bars if len(bars) <= self.group else bars[first : first + self.group]
                self._take_commands()
                outcomes.append(self._core.transact(part, signals))
        except BaseException:
            # who pushes again gives them again
            mine = {id(one) for one in given}
            self._core.pending = [one for one in self._core.pending if id(one) not in mine]
            raise
        return merged(outcomes) if len(outcomes) > 1 else outcomes[0]

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
        with self._heeding(signals):
            for bars in self.feed.bars(after=self.last_ts, rows=self.group, stopped=self._stop.is_set):
                if self._stop.is_set():
                    break
                if until is not None:
                    bars = bars[: until - (self._core.bars - first)]
                outcome = self.push(bars)
                if tell is not None:
                    tell(self, outcome)
                if self._stop.is_set() or (until is not None and self._core.bars - first >= until):
                    break
        return self._core.bars - first

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

    # Starting

    def _open(self, like: Bars | None, accept_change: str | None) -> None:
        with self.database.write() as connection:
            found = self._store.find(connection)
            if found is None:
                if like is None:
                    raise ConfigError(
                        f"session {self.name!r} is new; say what its bars are like: like=bars, or a feed",
                        code="LIVE_LIKE",
                    )
                found = self._begin(connection, like)
            else:
                self._compare(connection, found, like, accept_change)
        self._session = found
        self._core = Core(
            self._store,
            found,
            Setup(self.rules, self.strategies, self._history_rows, self.group, self.kill_switch),
        )

    def _begin(self, connection: Connection, like: Bars) -> StoredSession:
        frame = encode_frame(like)
        first = Snapshot(
            bars=0,
            state=to_bytes(Account(decode_frame(frame), self.rules).state),
            memory=pack_memory(
                Book(), names=Names(), pending=(), switch="ACTIVE", spacing=_spacing(like), announced=set()
            ),
            closes=pack({}),
            closes_bars=0,
        )
        return self._store.create(
            connection, engine=ENGINE_HASH, configuration=self._configuration(), frame=frame, first=first
        )

    def _compare(
        self, connection: Connection, found: StoredSession, like: Bars | None, accept_change: str | None
    ) -> None:
        if like is not None and encode_frame(like) != found.frame:
            self._frame_changed(like, decode_frame(found.frame))
        last = found.changes[-1] if found.changes else None
        engine = found.engine if last is None else last["engine"]
        before = found.configuration if last is None else last["configuration"]
        now = json.loads(json.dumps(self._configuration()))
        changed = [] if engine == ENGINE_HASH else [f"the engine was {engine[:12]} and is {ENGINE_HASH[:12]}"]
        changed += list(_changes(before, now))
        if not changed:
            return
        if not accept_change:
            raise EngineError(
                f"session {self.name!r} cannot go on as it was: {'; '.join(changed[:5])}. Start it as it "
                "was, open a session under another name, or say accept_change='why', which is recorded",
                code="LIVE_CHANGED",
            )
        snapshot = self._store.snapshot(connection, found.id)
        entry = {
            "bar": snapshot.bars, "reason": accept_change, "changed": changed, "engine": ENGINE_HASH,
            "configuration": now, "ts": self.database.now(),
        }  # fmt: skip
        self._store.change(connection, found, entry, int(from_bytes(snapshot.state).account["ts"][0]))

    def _frame_changed(self, like: Bars, stored: Bars) -> None:
        Intake(stored).check(like[0:0])
        raise DataError(
            f"session {self.name!r} was opened for other bars: the name, origin or sectors of {like.name} "
            f"differ from those of {stored.name}",
            code="LIVE_FRAME",
        )

    def _configuration(self) -> dict[str, Any]:
        return {**self.rules.plain(), "strategies": [_described(one) for one in self.strategies]}

    def _usable(self) -> None:
        if self._core.broken:
            raise EngineError(
                f"session {self.name!r} is closed, or lost its journal; open it again, which goes on with "
                "the bar after the last one stored",
                code="LIVE_STOPPED",
            )

    # Commands

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
        entry = self._entry(kind, symbol, value)
        with self.database.write() as connection:
            self._keep(connection, entry)

    def _take_commands(self) -> list[Outcome]:
        """Take what other processes have left in the journal's inbox."""
        return [] if self._inbox is None else self._inbox.drain(self.database, self._obey)

    def _obey(self, connection: Connection, queued: Queued) -> None:
        kind = queued.name.removeprefix("session_")
        if kind == queued.name:
            from journal.trade_journal import TradeJournal

            TradeJournal(self.database, source="paper").apply(queued.name, queued.arguments)
            return
        given = dict(queued.arguments)
        session = given.pop("session", self.name)
        if session != self.name:
            raise DataError(f"this is session {self.name!r}, not {session!r}", code="LIVE_SESSION")
        self._keep(connection, self._entry(kind, given.get("symbol"), given.get("value")))

    def _entry(self, kind: str, symbol: str | None, value: float | None) -> dict[str, Any]:
        entry = plain_command(Command(stamp(0), kind, symbol, value))
        if symbol is not None:
            self._core.like.column(symbol)
        return entry

    def _keep(self, connection: Connection, entry: dict[str, Any]) -> None:
        self._core.pending.append(entry)
        try:
            self._store.remember(connection, self._session.id, self._core.memory())
        except BaseException:
            self._core.pending.pop()
            raise

    @contextmanager
    def _heeding(self, signals: bool) -> Iterator[None]:
        """Let SIGTERM and Ctrl-C end the run after the bar; a second Ctrl-C interrupts as usual."""
        if not signals or threading.current_thread() is not threading.main_thread():
            yield
            return

        def heed(number: int, frame: FrameType | None) -> None:
            if self._stop.is_set() and number == signal.SIGINT:
                signal.default_int_handler(number, frame)
            self._stop.set()

        before = {number: signal.signal(number, heed) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listed(strategies: Any) -> list[Any]:
    given = list(strategies) if isinstance(strategies, (list, tuple)) else [strategies]
    for one in given:
        if hasattr(one, "on_bar") and not hasattr(one, "signals"):
            raise StrategyError(
                f"{getattr(one, 'name', one)!r} is called bar by bar (on_bar); a session takes strategies "
                "with signals(bars)",
                code="LIVE_ON_BAR",
            )
    return given


def _described(strategy: Any) -> str:
    if isinstance(strategy, Signals):
        return f"Signals {hashlib.sha256(strategy.records.tobytes()).hexdigest()[:16]}"
    text = repr(strategy)
    if " at 0x" not in text:
        return text
    kind = strategy if hasattr(strategy, "__qualname__") else type(strategy)
    return f"{kind.__module__}.{kind.__qualname__}"


def _rows_to_keep(history: int | None, strategies: Sequence[Any]) -> int | None:
    asking = [one for one in strategies if not isinstance(one, Signals)]
    if history is None:
        return None if asking else HISTORY_ROWS
    least = max([2, *(int(getattr(one, "warmup", 0)) + 1 for one in asking)])
    if not _is_whole(history, least):
        raise ConfigError(
            f"history is {history!r}; the strategies need a whole number of bars, at least {least}",
            code="LIVE_HISTORY",
        )
    return history


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _opened(where: str | os.PathLike[str] | Database | HasDatabase, clock: Clock) -> Database:
    if isinstance(where, Database):
        return where
    if isinstance(where, (str, os.PathLike)):
        return Database(where, clock=clock)
    return where.database


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            for key in sorted({*old, *new}):
                if old.get(key) != new.get(key):
                    yield f"{name}.{key} was {old.get(key)!r} and is {new.get(key)!r}"
        elif old != new:
            yield f"{name} was {old!r} and is {new!r}"


def _spacing(like: Bars) -> float:
    return float(np.median(np.diff(like.session))) if len(like) > 2 else 1.0
