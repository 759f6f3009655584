"""The account of an automation: one kernel account that is fed prices as they come.

A tick is a bar whose open, high, low and close are one price, at the clock's time, for the symbols whose
price came; all others have no bar. Times rise by at least a microsecond from tick to tick, whatever the clock
says. A symbol joins with its first price: the state grows by a column at the end, and what it holds is the
same, byte by byte, as if the account had known the symbol from the start. Everything that went in is kept, so
that `replay` can do it all again through the backtest driver.

A rehearsal is the same step on a copy: what a signal would get, with its levels, and nothing changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars import Bars
from simulator.bars.panel import UNKNOWN_SECTOR
from simulator.commands import Command
from simulator.engine import Run
from simulator.errors import ConfigError, EngineError
from simulator.kernel.dtypes import SYMBOL
from simulator.kernel.state import State
from simulator.portfolio_risk_manager import Verdict
from simulator.signals import Signals
from simulator.stepper import Stepper
from simulator.types import Reason, absent_inputs

__all__ = ["Logs", "Tick", "TickAccount", "to_time", "verdict_of"]

Records = npt.NDArray[np.void]
Logs = dict[str, Records]

MICROSECOND: Final = 1_000
CLOCK_SLACK_NS: Final = 60_000_000_000
"""How far a clock may fall behind the last tick, and be taken for a burst of ticks, in nanoseconds."""
_NEVER: Final = -(2**62)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tick:
    """What went into one step: time in UTC nanoseconds, prices, the signal's side and columns, commands."""

    ts: int
    prices: Mapping[str, float]
    signal: Mapping[str, Any] | None = None
    commands: tuple[Command, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the tick as values that JSON can hold."""
        return {
            "ts": self.ts,
            "prices": dict(self.prices),
            "signal": None if self.signal is None else dict(self.signal),
            "commands": [[command.kind, command.symbol, command.value] for command in self.commands],
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Tick:
        """Rebuild a tick from its plain form."""
        when = to_time(plain["ts"])
        commands = tuple(Command(when, kind, symbol, value) for kind, symbol, value in plain["commands"])
        return cls(plain["ts"], plain["prices"], plain["signal"], commands)


@dataclass(slots=True)
class _Closes:
    """Last price of each session by symbol: what the correlation gate looks back on."""

    sessions: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)


class TickAccount:
    """A kernel account without a feed.

    Parameters
    ----------
    rules
        Cash, risk, costs and conventions, as a `Stepper` takes them.
    clock
        Gives the time, aware.
    calendar
        Whose sessions count.
    sectors
        Sector by symbol; a symbol without one counts as unknown.
    symbols
        Known from the start, in this order; others join with their first price.
    """

    def __init__(
        self,
        rules: Mapping[str, Any],
        *,
        clock: Callable[[], datetime],
        calendar: str = "XNYS",
        sectors: Mapping[str, str] | None = None,
        symbols: Sequence[str] = (),
    ) -> None:
        self.rules = dict(rules)
        self.calendar = calendar
        self.sectors = dict(sectors or {})
        self.symbols: tuple[str, ...] = tuple(symbols)
        self.ticks: list[Tick] = []
        self._clock = clock
        self._closes = _Closes()
        self._session = _NEVER  # date of the last tick's session, and its number from 0
        self._session_no = -1
        self._stepper = self._fresh(self.symbols) if self.symbols else None

    @property
    def state(self) -> State:
        """The account's state; before the first symbol that of an account that has seen nothing."""
        return self._stepper.state if self._stepper is not None else self._fresh(("-",)).state

    @property
    def bars(self) -> Bars | None:
        """The last tick as a bar; None before the first."""
        return self._bars(self.symbols, [self.ticks[-1]]) if self.ticks else None

    def last_price(self, symbol: str, *, since: int = 0) -> float | None:
        """Return the last price of a symbol among the ticks from number `since` on; None for none."""
        for tick in reversed(self.ticks[since:]):
            if symbol in tick.prices:
                return tick.prices[symbol]
        return None

    def next_time(self) -> int:
        """Return the time of the next tick in UTC nanoseconds: now, or just after the last one.

        Raises
        ------
        EngineError
            LIVE_CLOCK for a clock without a time zone, or one that went back.
        """
        now = self._clock()
        if now.tzinfo is None:
            raise EngineError(
                f"the clock says {now}, without a time zone; give an aware one", code="LIVE_CLOCK"
            )
        ts = (now - _EPOCH) // timedelta(microseconds=1) * MICROSECOND
        last = self.ticks[-1].ts if self.ticks else None
        if last is not None and ts < last - CLOCK_SLACK_NS:
            raise EngineError(
                f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC, and the last price came at "
                f"{to_time(last):%Y-%m-%d %H:%M:%S}; time does not run backwards here",
                code="LIVE_CLOCK",
            )
        return ts if last is None else max(ts, last + MICROSECOND)

    def tick(
        self,
        prices: Mapping[str, float],
        signal: Mapping[str, Any] | None = None,
        commands: Sequence[Command] = (),
        before: Callable[[Tick], None] | None = None,
    ) -> Logs:
        """Step by one tick; return what was logged.

        Parameters
        ----------
        prices
            By symbol, in currency.
        signal
            "symbol", "side" and columns of a signal known at this tick's price.
        commands
            What a person asks for, at this tick's time.
        before
            Is given the tick first, to put it on the disk; where it raises, nothing is stepped.
        """
        tick = Tick(self.next_time(), dict(prices), signal, tuple(commands))
        if before is not None:
            before(tick)
        return self.step(tick)

    def step(self, tick: Tick) -> Logs:
        """Step by a tick that came before, as a restart does; return what was logged."""
        symbols = self._with(tick.prices)
        if self._stepper is None or symbols != self.symbols:
            self._stepper = self._grown(symbols)
            self.symbols = symbols
        logs, self._session, self._session_no = self._push(self._stepper, tick)
        self.ticks.append(tick)
        self._remember(tick)
        return logs

    def rehearse(
        self, prices: Mapping[str, float], signal: Mapping[str, Any] | None = None
    ) -> tuple[TickAccount, Logs]:
        """Do what `tick` would on a copy; return the copy and what it logged."""
        copy = TickAccount(self.rules, clock=self._clock, calendar=self.calendar, sectors=self.sectors)
        tick = Tick(self.next_time(), dict(prices), signal)
        copy.symbols = self._with(prices)
        copy._session, copy._session_no = self._session, self._session_no
        copy._stepper = self._grown(copy.symbols, copied=True)
        logs, *_ = copy._push(copy._stepper, tick)
        return copy, logs

    def inputs(self) -> tuple[Bars, Signals, list[Command]]:
        """Return everything that went in as one market, with its signals and commands.

        Raises
        ------
        ConfigError
            LIVE_NO_TICKS before the first price.
        """
        if not self.ticks:
            raise ConfigError("no price has come yet, so there is nothing to replay", code="LIVE_NO_TICKS")
        bars = self._bars(self.symbols, self.ticks)
        signals = [
            _signal(bars, row, tick.signal) for row, tick in enumerate(self.ticks) if tick.signal is not None
        ]
        commands = [command for tick in self.ticks for command in tick.commands]
        return bars, Signals.concat(signals) if signals else Signals.empty(bars), commands

    def replay(self) -> Run:
        """Do it all again in the compiled loop over history, as a backtest does."""
        bars, signals, commands = self.inputs()
        run = Run(bars, signals, commands=commands, **self.rules)
        run.advance()
        return run

    def save(self, where: str | os.PathLike[str], name: str) -> int:
        """Store everything that went in as a session of its own journal; return the ticks.

        Raises
        ------
        ConfigError
            LIVE_SESSION_EXISTS where the session has bars already, LIVE_NO_TICKS before the first price.
        """
        from live.session import Session

        bars, signals, commands = self.inputs()
        with Session(
            where, like=bars, name=name, clock=self._clock, group=len(bars), **self.rules
        ) as session:
            if session.bars:
                raise ConfigError(
                    f"session {name!r} in {where} has {session.bars} bars already; take another name or file",
                    code="LIVE_SESSION_EXISTS",
                )
            return session.push(bars, signals, commands).bars

    def _push(self, stepper: Stepper, tick: Tick) -> tuple[Logs, int, int]:
        # Logs, and the session of the tick with its number, which a bar alone cannot know.
        bars = self._bars(self.symbols, [tick])
        session = int(bars.session[0])
        number = self._session_no + int(session != self._session)
        bars.session_no = np.full(1, number, np.int64)
        signals = None if tick.signal is None else _signal(bars, 0, tick.signal)
        stepper.push(bars, signals, list(tick.commands))
        return stepper.drain(), session, number

    def _with(self, prices: Mapping[str, float]) -> tuple[str, ...]:
        return (*self.symbols, *(symbol for symbol in prices if symbol not in self.symbols))

    def _fresh(self, symbols: tuple[str, ...], state: State | None = None) -> Stepper:
        like = self._bars(symbols, [Tick(MICROSECOND, {})])
        return Stepper(like, state=state, history=self._history(symbols), **self.rules)

    def _grown(self, symbols: tuple[str, ...], *, copied: bool = False) -> Stepper:
        if self._stepper is None:
            return self._fresh(symbols)
        state = self._stepper.state
        more = np.zeros(len(symbols) - len(state.symbols), SYMBOL)
        state = state._replace(symbols=np.concatenate([state.symbols, more]))
        return self._fresh(symbols, State(*(array.copy() for array in state)) if copied else state)

    def _bars(self, symbols: tuple[str, ...], ticks: Sequence[Tick]) -> Bars:
        panel = np.full((len(ticks), len(symbols), 5), np.nan)
        columns = {symbol: column for column, symbol in enumerate(symbols)}
        for row, tick in enumerate(ticks):
            for symbol, price in tick.prices.items():
                if symbol in columns:
                    panel[row, columns[symbol], :4] = price
                    panel[row, columns[symbol], 4] = 0.0
        return Bars.from_arrays(
            symbols,
            np.array([tick.ts for tick in ticks], np.int64),
            panel,
            sectors=[self.sectors.get(symbol, UNKNOWN_SECTOR) for symbol in symbols],
            calendar=self.calendar,
            daily=False,
            name="ticks",
        )

    # What the correlation gate needs

    def _remember(self, tick: Tick) -> None:
        closes = self._closes
        if not closes.sessions or closes.sessions[-1] != self._session:
            closes.sessions.append(self._session)
            closes.stamps.append(tick.ts)
            closes.rows.append({})
        closes.rows[-1].update(tick.prices)
        limits = self.rules.get("risk")
        keep = 2 * (limits.correlation_window if limits is not None else 1) + 3
        for part in (closes.sessions, closes.stamps, closes.rows):
            del part[:-keep]

    def _history(self, symbols: tuple[str, ...]) -> Bars | None:
        closes = self._closes
        if not closes.rows:
            return None
        return self._bars(
            symbols, [Tick(ts, row) for ts, row in zip(closes.stamps, closes.rows, strict=True)]
        )


def verdict_of(row: np.void, symbols: tuple[str, ...]) -> Verdict:
    """Return a row of the kernel's verdicts as a value."""
    return Verdict(
        symbol=symbols[int(row["sym"])],
        side=int(row["side"]),
        reason=Reason(int(row["reason"])),
        rule=Reason(int(row["rule"])),
        value=float(row["value"]),
        limit=float(row["limit"]),
        asked=float(row["asked"]),
        granted=float(row["granted"]),
        absent=tuple(absent_inputs(int(row["absent"]))),
    )


def to_time(ns: int) -> datetime:
    """Return UTC nanoseconds as an aware time."""
    return _EPOCH + timedelta(microseconds=int(ns) // MICROSECOND)


def _signal(bars: Bars, row: int, signal: Mapping[str, Any]) -> Signals:
    columns = {name: value for name, value in signal.items() if name not in ("symbol", "side")}
    return Signals.from_arrays(bars, [row], signal["symbol"], signal["side"], **columns)
