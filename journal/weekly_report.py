"""The week: what closed, what it taught, what was refused, what is open, and what to change.

One value, four renderings: `text()` for the terminal, `html()` as one file that needs no network, the same
as PDF (`write("week.pdf")`), `as_dict()` for JSON. Weeks run from Monday to Sunday in UTC. Amounts are
currency after fees, win rates percent. Open positions are listed as they stand when the report is made, also
in the report of an earlier week, and so are parameter sets; advice rests on all trades closed until the end
of the week.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from journal.learning.data import WEEK, latest_run
from journal.learning.weekly_parts import (
    LearnedSet,
    Lesson,
    Refusals,
    learned_sets,
    lessons_of,
    next_steps,
    refusals_of,
)
from journal.learning_system import LearningAnalysis, analyse
from journal.performance.statistics import Interval, wilson
from journal.schema import insights, mistakes, trades
from journal.values import from_nanoseconds, nanoseconds
from simulator.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sqlalchemy import Row

    from simulator.results.pdf import Paper

__all__ = [
    "ClosedTrade",
    "Finding",
    "LearnedSet",
    "Lesson",
    "MistakeCount",
    "OpenPosition",
    "Refusals",
    "WeekTotal",
    "WeeklyReport",
    "build",
]

_WEEKS_SHOWN: Final = 12
_MOST_FINDINGS: Final = 10
_EXTREMES: Final = 3


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A trade closed in the week; None is unknown."""

    id: int
    symbol: str
    strategy: str
    entry: date
    exit: date
    quantity: float
    pnl: float
    r_multiple: float | None
    days: float | None
    iv_rank: float | None
    close_reason: str


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """A trade that is open; `days_left` to its expiry, `pnl` of the part that was closed."""

    id: int
    symbol: str
    strategy: str
    entry: date
    side: int
    quantity: float
    entry_price: float
    max_loss: float | None
    expiry: str | None
    days_left: int | None
    pnl: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What trades of the week taught alike: the newest sentence of a rule, and how often it applied."""

    code: str
    direction: int
    count: int
    symbols: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class MistakeCount:
    """How often a mistake was made in trades closed in the week, and what those trades made."""

    category: str
    count: int
    trades: int
    pnl: float


@dataclass(frozen=True, slots=True)
class WeekTotal:
    """A week before, or this one."""

    monday: date
    trades: int
    pnl: float


@dataclass(frozen=True, slots=True)
class WeeklyReport:
    """The report of one week.

    Attributes
    ----------
    monday, sunday
        First and last day.
    sources
        Where the trades come from.
    made_ts
        When it was made (UTC nanoseconds).
    closed
        Trades closed in the week, oldest first.
    wins, losses, total_pnl, fees
        Of them.
    win_rate, interval
        Percent, with Wilson's 95 % interval; None without trades.
    insights, mistakes
        What the journal found in them, most frequent first.
    lessons
        Written in the week, oldest first.
    refusals
        Rules and people that refused signals of the week, and what that has been worth.
    learned
        Parameter sets in force, then those that wait for a decision.
    open_positions
        What is open now, oldest first.
    weeks
        Totals of the last twelve weeks, this one last.
    analysis
        What all closed trades teach, with the recommendations.
    """

    monday: date
    sunday: date
    sources: tuple[str, ...]
    made_ts: int
    closed: tuple[ClosedTrade, ...]
    wins: int
    losses: int
    total_pnl: float
    fees: float
    win_rate: float | None
    interval: Interval | None
    insights: tuple[Finding, ...]
    mistakes: tuple[MistakeCount, ...]
    lessons: tuple[Lesson, ...]
    refusals: tuple[Refusals, ...]
    learned: tuple[LearnedSet, ...]
    open_positions: tuple[OpenPosition, ...]
    weeks: tuple[WeekTotal, ...]
    analysis: LearningAnalysis

    @property
    def best(self) -> tuple[ClosedTrade, ...]:
        """The trades that made most, at most three, the best first."""
        won = [one for one in self.closed if one.pnl > 0]
        return tuple(sorted(won, key=lambda one: (-one.pnl, one.id))[:_EXTREMES])

    @property
    def worst(self) -> tuple[ClosedTrade, ...]:
        """The trades that lost most, at most three, the worst first."""
        lost = [one for one in self.closed if one.pnl < 0]
        return tuple(sorted(lost, key=lambda one: (one.pnl, one.id))[:_EXTREMES])

    @property
    def r_multiples(self) -> tuple[float, ...]:
        """Those that are known, in the order of closing."""
        return tuple(one.r_multiple for one in self.closed if one.r_multiple is not None)

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What the week asks for, the most pressing first."""
        return next_steps(self)

    def text(self, *, width: int | None = None) -> str:
        """Return the report for the terminal; lines are as long as they are, or at most `width` columns."""
        from journal.learning.weekly_text import weekly_text
        from simulator.results.terminal import fitted

        text = weekly_text(self)
        return text if width is None else fitted(text, width)

    def html(self) -> str:
        """Return the report as one HTML file, light or dark as the reader prefers."""
        from journal.learning.weekly_html import weekly_html

        return weekly_html(self)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        advice = self.analysis.as_dict()
        interval = self.interval
        return {
            "monday": self.monday.isoformat(),
            "sunday": self.sunday.isoformat(),
            "sources": list(self.sources),
            "notes": list(self.analysis.notes),
            "made": from_nanoseconds(self.made_ts).isoformat(),
            "trades_closed": len(self.closed),
            "wins": self.wins,
            "losses": self.losses,
            "total_pnl": self.total_pnl,
            "fees": self.fees,
            "win_rate": self.win_rate,
            "win_rate_interval": None if interval is None else [interval.low, interval.high],
            "closed": [_dated(asdict(one)) for one in self.closed],
            "insights": [asdict(one) for one in self.insights],
            "mistakes": [asdict(one) for one in self.mistakes],
            "lessons": [asdict(one) for one in self.lessons],
            "refusals": [asdict(one) for one in self.refusals],
            "parameters": [asdict(one) for one in self.learned],
            "open_positions": [_dated(asdict(one)) for one in self.open_positions],
            "weeks": [_dated(asdict(one)) for one in self.weeks],
            "recommendations": advice["recommendations"],
            "next_steps": list(self.next_steps),
        }

    def write(self, path: str | os.PathLike[str], *, paper: Paper = "a4") -> Path:
        """Write one file, HTML or PDF by its ending, making its folder, and return the path.

        Raises
        ------
        DataError
            JOURNAL_EXPORT where the file cannot be written.
        ConfigError
            CONFIG_NO_CHROMIUM, CONFIG_PDF where a PDF cannot be printed.
        """
        from simulator.results.onepage import write_page

        target = Path(path)
        try:
            return write_page(self.html(), target, paper=paper)
        except ConfigError as error:
            if error.code != "CONFIG_OUTPUT":
                raise
            raise DataError(f"the weekly report: {error}", code="JOURNAL_EXPORT") from error


def build(
    connection: Connection,
    sources: Sequence[str],
    *,
    now: int,
    week: date | datetime | None = None,
    run: int | None = None,
) -> WeeklyReport:
    """Make the report of a week.

    Parameters
    ----------
    now
        The time, UTC nanoseconds.
    week
        A day of the week; an aware time counts in UTC. None is the week of `now`.
    run
        Which stored backtest, where `sources` has backtests; the last one by default.
    """
    day = _day(now, week)
    monday = day - timedelta(days=day.weekday())
    start = nanoseconds(datetime(monday.year, monday.month, monday.day, tzinfo=UTC), "week")
    end = start + WEEK
    if run is None and "backtest" in sources:
        run = latest_run(connection)[0]
    ours = _ours(sources, run)
    within = and_(ours, trades.c.status == "closed", trades.c.exit_ts >= start, trades.c.exit_ts < end)
    rows = connection.execute(select(trades).where(within).order_by(trades.c.exit_ts, trades.c.id)).all()
    wins = sum(row.pnl > 0 for row in rows)
    interval = wilson(wins, len(rows))
    until = end - 1 if now >= end else None
    return WeeklyReport(
        monday=monday,
        sunday=monday + timedelta(days=6),
        sources=tuple(sources),
        made_ts=now,
        closed=tuple(_closed(row) for row in rows),
        wins=wins,
        losses=sum(row.pnl < 0 for row in rows),
        total_pnl=math.fsum(row.pnl for row in rows),
        fees=math.fsum(row.fees for row in rows),
        win_rate=100.0 * wins / len(rows) if rows else None,
        interval=interval.scaled(100.0) if interval else None,
        insights=_findings(connection, within),
        mistakes=_mistakes(connection, within),
        lessons=lessons_of(connection, ours, start, end),
        refusals=refusals_of(connection, sources, run, start, end),
        learned=learned_sets(connection, sources),
        open_positions=_open(connection, ours, now),
        weeks=_weeks(connection, ours, monday, end),
        analysis=analyse(connection, sources, as_of=now if until is None else until, until=until, run=run),
    )


def _day(now: int, week: date | datetime | None) -> date:
    if isinstance(week, datetime):
        return from_nanoseconds(nanoseconds(week, "week")).date()
    if week is None:
        return from_nanoseconds(now).date()
    if not isinstance(week, date):
        raise DataError(
            f"week is {week!r}; it must be a day of the week, date(2026, 3, 2)", code="JOURNAL_VALUE"
        )
    return week


def _ours(sources: Sequence[str], run: int | None) -> ColumnElement[bool]:
    ours = trades.c.source.in_(sources)
    return ours if run is None else and_(ours, or_(trades.c.source != "backtest", trades.c.run_id == run))


def _findings(connection: Connection, within: ColumnElement[bool]) -> tuple[Finding, ...]:
    rows = connection.execute(
        select(insights.c.code, insights.c.direction, insights.c.text, trades.c.symbol)
        .select_from(insights.join(trades, trades.c.id == insights.c.trade_id))
        .where(within)
        .order_by(insights.c.ts.desc(), insights.c.id.desc())
    ).all()
    grouped: dict[tuple[str, int], list[Any]] = {}
    for row in rows:
        grouped.setdefault((row.code, row.direction), []).append(row)
    found = [
        Finding(code, direction, len(same), tuple(sorted({row.symbol for row in same})), same[0].text)
        for (code, direction), same in grouped.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.count)[:_MOST_FINDINGS])


def _mistakes(connection: Connection, within: ColumnElement[bool]) -> tuple[MistakeCount, ...]:
    # a trade may have a mistake noted twice, and its profit counts once
    once = (
        select(mistakes.c.category, mistakes.c.trade_id, trades.c.pnl, func.count().label("times"))
        .select_from(mistakes.join(trades, trades.c.id == mistakes.c.trade_id))
        .where(within)
        .group_by(mistakes.c.category, mistakes.c.trade_id, trades.c.pnl)
        .subquery()
    )
    rows = connection.execute(
        select(once.c.category, func.sum(once.c.times), func.count(), func.sum(once.c.pnl))
        .group_by(once.c.category)
        .order_by(func.sum(once.c.times).desc(), once.c.category)
    )
    return tuple(MistakeCount(name, int(times), int(count), float(pnl)) for name, times, count, pnl in rows)


def _open(connection: Connection, ours: ColumnElement[bool], now: int) -> tuple[OpenPosition, ...]:
    rows = connection.execute(
        select(trades).where(ours, trades.c.status == "open").order_by(trades.c.entry_ts, trades.c.id)
    )
    today = from_nanoseconds(now).date()
    return tuple(
        OpenPosition(
            row.id, row.symbol, row.strategy, from_nanoseconds(row.entry_ts).date(), row.side,
            row.open_quantity, row.entry_price, row.max_loss, row.expiry,
            None if row.expiry is None else (date.fromisoformat(row.expiry) - today).days, row.pnl,
        )
        for row in rows
    )  # fmt: skip


def _weeks(
    connection: Connection, ours: ColumnElement[bool], monday: date, end: int
) -> tuple[WeekTotal, ...]:
    start = end - _WEEKS_SHOWN * WEEK
    number = (trades.c.exit_ts - start) // WEEK
    rows = connection.execute(
        select(number, func.count(), func.sum(trades.c.pnl))
        .where(ours, trades.c.status == "closed", trades.c.exit_ts >= start, trades.c.exit_ts < end)
        .group_by(number)
    )
    found = {int(week): (int(count), float(pnl)) for week, count, pnl in rows}
    return tuple(
        WeekTotal(monday - timedelta(weeks=_WEEKS_SHOWN - 1 - week), *found.get(week, (0, 0.0)))
        for week in range(_WEEKS_SHOWN)
    )


def _closed(row: Row[Any]) -> ClosedTrade:
    return ClosedTrade(
        row.id, row.symbol, row.strategy, from_nanoseconds(row.entry_ts).date(),
        from_nanoseconds(row.exit_ts).date(), row.quantity, row.pnl, row.r_multiple, row.days, row.iv_rank,
        row.close_reason or "",
    )  # fmt: skip


def _dated(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}
