"""A session against a backtest over other bars: trade by trade, and why they differ.

A session over minutes, ticks, or a feed with holes does not trade what a backtest over daily bars of another
source trades. `compare_with_backtest` gives that backtest the session's own signals and commands (or asks
strategies anew), under the session's rules, and puts the trades side by side: each is matched by the signal
that opened it. A difference has a cause: the feed had a gap or a late bar there, its prices are others, the
signal was missing, the risk manager said something else, or the coarser bar does not know the path inside.

>>> found = compare_with_backtest("paper.db", load_bars("sample:stocks"))   # doctest: +SKIP
>>> print(found)   # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from journal.database import Database
from live.comparing.causes import Facts, TradeDifference, differences_of
from live.comparing.reading import Recorded, read_session, recorded_signals
from live.session import HasDatabase, Session
from live.sessions.store import SessionStore
from simulator.bars.arrays import stamp
from simulator.engine import Run, prepare, signals_of
from simulator.setup import check_bars
from simulator.signals import Signals

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Comparison", "Facts", "TradeDifference", "compare_with_backtest"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Trades of a session beside those of a backtest.

    Attributes
    ----------
    session, journal, source
        Which session of which journal, and the bars of the backtest.
    live_bars, bars
        Bars of the session, and of the backtest over the same time.
    live_trades, backtest_trades
        Trades on each side, open ones at their mark included.
    equal
        Trades that are the same: bar and price of entry and exit, quantity and reason.
    differences
        All others, in the order of their signals.
    live_pnl, backtest_pnl
        Sums over all trades, net of fees, in currency.
    notes
        What else has to be known.
    """

    session: str
    journal: str
    source: str
    live_bars: int
    bars: int
    live_trades: int
    backtest_trades: int
    equal: int
    differences: tuple[TradeDifference, ...]
    live_pnl: float
    backtest_pnl: float
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every trade is the same."""
        return not self.differences

    @property
    def causes(self) -> dict[str, int]:
        """Differences by cause, most frequent first."""
        return dict(Counter(one.cause for one in self.differences).most_common())

    def __str__(self) -> str:
        """Return the comparison as lines: a head, causes, then one line per difference."""
        lines = [
            f"session {self.session} against {self.source}: {self.equal} of "
            f"{max(self.live_trades, self.backtest_trades)} trades are the same",
            f"  bars            {self.live_bars:,} live, {self.bars:,} in the backtest",
            f"  trades          {self.live_trades:,} live, {self.backtest_trades:,} in the backtest",
            f"  profit          {self.live_pnl:,.2f} live, {self.backtest_pnl:,.2f} in the backtest",
        ]
        lines += [f"  {count:>5}  {cause}" for cause, count in self.causes.items()]
        lines += [f"  {difference}" for difference in self.differences]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def plain(self) -> dict[str, Any]:
        """Return the comparison as values that JSON can hold."""
        return {
            "ok": self.ok,
            **{name: getattr(self, name) for name in self.__slots__ if name not in ("differences", "notes")},
            "causes": self.causes,
            "differences": [one.plain() for one in self.differences],
            "notes": list(self.notes),
        }


def compare_with_backtest(
    where: str | os.PathLike[str] | Database | HasDatabase | Session,
    bars: Bars,
    session: str = "paper",
    *,
    strategies: Any = None,
) -> Comparison:
    """Put a session's trades beside those of a backtest over other bars.

    Parameters
    ----------
    where
        Path or URL of the journal, an open `Database`, a `TradeJournal`, or the session itself.
    bars
        The other market: as coarse as the session's bars or coarser, and reaching over its time. Symbols are
        matched by name.
    session
        The session's name.
    strategies
        Strategies to ask anew over `bars`; without any, the session's recorded signals are traded, each
        known at the close of the bar in which the session's bar closed.

    Raises
    ------
    UnknownNameError
        LIVE_SESSION.
    ConfigError, DataError
        LIVE_COMPARE for a session without bars, and bars that are finer or do not reach over it.
    SignalError, StrategyError
        As `backtest` raises them, for option packages on bars without options for instance.
    """
    check_bars(bars)
    if isinstance(where, Session):
        return _compare(where.database, where.name, bars, strategies)
    if isinstance(where, (str, os.PathLike)):
        with Database(where, read_only=True) as database:
            return _compare(database, session, bars, strategies)
    return _compare(where if isinstance(where, Database) else where.database, session, bars, strategies)


def _compare(database: Database, name: str, bars: Bars, strategies: Any) -> Comparison:
    with database.read() as connection:
        found = read_session(SessionStore(database, name), connection, bars)
    signals, placeless = recorded_signals(found)
    asked = list(strategies) if isinstance(strategies, (list, tuple)) else [strategies]
    if asked and strategies is not None:
        # one alone is asked without a list around it, as a session does it, which names several
        signals = _asked_anew(found, bars, asked if len(asked) > 1 else asked[0], signals)
    run = Run(found.bars, signals, commands=found.commands, **found.rules.arguments())
    run.advance()
    _, still_open = run.books.close()
    closed = run.books.log("trades")
    trades = np.concatenate([closed, still_open]) if len(still_open) else closed
    differences, equal = differences_of(found, trades, run.books.log("verdicts"), signals, set(placeless))
    return Comparison(
        session=name,
        journal=database.name,
        source=bars.name,
        live_bars=len(found.row),
        bars=len(found.bars),
        live_trades=len(found.trades),
        backtest_trades=len(trades),
        equal=equal,
        differences=tuple(differences),
        live_pnl=float(found.trades["pnl"].sum()),
        backtest_pnl=float(trades["pnl"].sum()),
        notes=tuple(_notes(found, placeless)),
    )


def _asked_anew(found: Recorded, bars: Bars, strategies: Any, recorded: Signals) -> Signals:
    """Return what strategies say over the bars, tagged by the recorded signal that each is."""
    fresh = signals_of(strategies, bars)
    records = prepare(fresh, bars, found.rules.risk)
    first = int(np.searchsorted(bars.ts, found.bars.ts[0]))
    inside = (records["row"] >= first) & (records["row"] < first + len(found.bars))
    records = records[inside].copy()
    records["row"] -= first
    numbers: dict[tuple[int, int, int, str], list[int]] = {}
    for record in recorded.records:
        key = (
            int(record["row"]), int(record["sym"]), int(record["side"]),
            recorded.strategies[record["strategy"]],
        )  # fmt: skip
        numbers.setdefault(key, []).append(int(record["tag"]))
    unknown = len(found.signals)
    for record in records:
        key = (
            int(record["row"]), int(record["sym"]), int(record["side"]), fresh.strategies[record["strategy"]]
        )  # fmt: skip
        same = numbers.get(key)
        unknown += not same
        record["tag"] = same.pop(0) if same else unknown
    return Signals(
        records, bars.symbols, tags=("", *map(str, range(unknown))), strategies=fresh.strategies,
        sectors=bars.sector_names, packages=fresh.packages, legs=fresh.legs,
    )  # fmt: skip


def _notes(found: Recorded, placeless: Ints) -> list[str]:
    notes = []
    empty = int((found.counts == 0).sum())
    if empty:
        notes.append(f"the feed had nothing in {empty} of {len(found.bars)} bars of {found.bars.name}")
    if len(placeless):
        notes.append(f"{len(placeless)} signals have no place in {found.bars.name}: symbol or time")
    beyond = int((found.signal_bar >= len(found.row)).sum())
    if beyond:
        notes.append(f"{found.bars.name} ends at {stamp(int(found.bars.ts[-1]))}, before the session does")
    if found.segments > 1:
        notes.append("rules or symbols changed on the way; the backtest has those at the end for all of it")
    return notes
