"""Parts of the week beside its trades: lessons noted, signals refused, settings learned, and what to do next.

Lessons count by when they were written. Refusals are those of the week, and beside them what the same rule or
decision has been worth in all its cases until the end of the week (`journal.counterfactuals`): a week alone
has too few to say. Parameter sets stand as they are when the report is made.

What to do next follows from the rest by fixed rules; each step names its reason and, where there is one, the
command.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, select

from journal.counterfactual.rows import read_entries
from journal.performance.readable import counted
from journal.schema import lessons, parameters, runs, trades
from simulator.results.counterfactuals import lines_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from journal.weekly_report import WeeklyReport

__all__ = ["LearnedSet", "Lesson", "Refusals", "learned_sets", "lessons_of", "next_steps", "refusals_of"]

EXPIRES_SOON_DAYS: Final = 7
_MOST_LESSONS: Final = 100
_BIG_LOSS_R: Final = -1.1
"""A stop that holds loses 1 R and what slippage takes; beyond this it did not hold."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson that was written in the week."""

    trade_id: int
    symbol: str
    text: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """What one rule, or one kind of human decision, refused.

    Attributes
    ----------
    origin, name
        "rule" or "decision", and which.
    week, total
        Signals that it refused in the week, and in all until its end.
    measured
        How many of all have ended with a known R.
    saved_r, low, high
        R that refusing them saved, negative what it cost, with its interval; None where it is unknown.
    decided
        Whether the interval leaves out zero, over enough blocks of time.
    """

    origin: str
    name: str
    week: int
    total: int
    measured: int
    saved_r: float | None
    low: float | None
    high: float | None
    decided: bool


@dataclass(frozen=True, slots=True)
class LearnedSet:
    """A parameter set that is in force, or waits for a decision."""

    id: int
    component: str
    version: int
    status: str
    settings: dict[str, Any]
    decided_by: str | None

    @property
    def words(self) -> str:
        """The settings in one line."""
        parts = (f"{name}={value}" for name, value in sorted(self.settings.items()))
        return ", ".join(parts) or "defaults"


def lessons_of(connection: Connection, ours: ColumnElement[bool], start: int, end: int) -> tuple[Lesson, ...]:
    """Return lessons written between two times (UTC nanoseconds), oldest first."""
    rows = connection.execute(
        select(lessons.c.trade_id, trades.c.symbol, lessons.c.lesson)
        .select_from(lessons.join(trades, trades.c.id == lessons.c.trade_id))
        .where(ours, lessons.c.ts >= start, lessons.c.ts < end)
        .order_by(lessons.c.ts, lessons.c.id)
        .limit(_MOST_LESSONS)
    )
    return tuple(Lesson(*row) for row in rows)


def refusals_of(
    connection: Connection, sources: Sequence[str], run: int | None, start: int, end: int
) -> tuple[Refusals, ...]:
    """Return rules and decisions that refused something in the week, the most frequent first."""
    found = []
    for origin in ("rule", "decision"):
        cases = [
            entry.case
            for source in sources
            for entry in read_entries(
                connection, source=source, origin=origin, session=_session(connection, source, run)
            )
            if entry.case.ts < end
        ]
        week = Counter(case.rule for case in cases if case.ts >= start)
        for line in lines_of(case for case in cases if case.rule in week):
            values = line.plain()
            known = line.evidence.n > 0
            found.append(
                Refusals(
                    origin, line.name, week[line.name], line.n, line.evidence.n,
                    values["saved_r"] if known else None, values["saved_r_low"], values["saved_r_high"],
                    bool(line.evidence.decided),
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.origin != "rule", -one.week, one.name)))


def _session(connection: Connection, source: str, run: int | None) -> str | None:
    """Return the name under which the refusals of a stored backtest lie; None is all."""
    if source != "backtest" or run is None:
        return None
    fingerprint = connection.execute(select(runs.c.fingerprint).where(runs.c.id == run)).scalar()
    return (fingerprint or "")[:16] or None


def learned_sets(connection: Connection, sources: Sequence[str]) -> tuple[LearnedSet, ...]:
    """Return the sets in force, then those that wait for a decision."""
    columns = parameters.c
    rows = connection.execute(
        select(
            columns.id, columns.component, columns.version, columns.status, columns.settings,
            columns.decided_by,
        )
        .where(columns.source.in_(sources), columns.status.in_(("in_force", "proposed")))
        .order_by(columns.status, columns.component, columns.version)
    )  # fmt: skip
    return tuple(
        LearnedSet(row.id, row.component, row.version, row.status, json.loads(row.settings), row.decided_by)
        for row in rows
    )


def next_steps(report: WeeklyReport) -> tuple[str, ...]:
    """Return what the week asks for, the most pressing first; empty where it asks for nothing."""
    return tuple(_steps(report))


def _steps(report: WeeklyReport) -> Iterator[str]:
    for one in report.open_positions:
        if one.days_left is not None and one.days_left <= EXPIRES_SOON_DAYS:
            when = "has expired" if one.days_left < 0 else f"expires in {_days(one.days_left)}"
            yield f"Decide on {one.symbol} {one.strategy} (trade {one.id}): it {when}."
    for learned in report.learned:
        if learned.status == "proposed":
            yield (
                f"Approve or reject {learned.component} version {learned.version}, {learned.words}: "
                f"twinstep parameters approve {learned.id}, or reject {learned.id}."
            )
    waiting = {one.component for one in report.learned if one.status == "proposed"}
    for advice in report.analysis.significant:
        if advice.changes and advice.component not in waiting:
            yield f"{advice.text}: it is significant; twinstep learn --propose stores it for approval."
    for refused in report.refusals:
        saved = refused.saved_r
        if refused.origin == "rule" and refused.decided and saved is not None and saved < 0:
            yield (
                f"Look at the rule {refused.name}: the {refused.measured:,} signals it refused would have "
                f"made {-saved:.1f} R."
            )
    broken = [one for one in report.closed if one.r_multiple is not None and one.r_multiple < _BIG_LOSS_R]
    if broken:
        numbers = ", ".join(str(one.id) for one in broken[:10]) + (" …" if len(broken) > 10 else "")
        yield (
            f"See why {counted(len(broken))} lost more than {-_BIG_LOSS_R:g} R (trade {numbers}): "
            f"twinstep journal show {broken[0].id}."
        )
    if report.losses and not report.lessons:
        yield (
            f"No lesson was written this week, and {counted(report.losses)} lost: "
            'twinstep journal lesson TRADE "what to do otherwise".'
        )


def _days(count: int) -> str:
    return "0 days, today" if not count else f"{count} day{'' if count == 1 else 's'}"
