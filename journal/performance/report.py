"""A performance report: one consistent look at the closed trades of a period.

Everything is computed from columns that were read in one go, so the figures agree with each other even while
trades go on being logged. A report reads by attribute and as a mapping; a breakdown or an interval is
computed when it is read, so a report over many trades costs what one looks at. The sources are named in it,
and if several are mixed it says so.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from sqlalchemy import select

from journal.performance.advice import Advice, advise
from journal.performance.breakdowns import BREAKDOWNS, UNKNOWN, breakdown
from journal.performance.closed import Closed, Scope, pull
from journal.performance.excursions import ExcursionMetrics, excursions
from journal.performance.metrics import PerformanceMetrics, measure
from journal.performance.readable import Readable, counted
from journal.performance.statistics import Interval
from journal.schema import lessons, mistakes
from journal.values import from_nanoseconds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

__all__ = ["LATEST_LESSONS", "MistakeCost", "PerformanceReport", "costs_of", "read_report"]

LATEST_LESSONS: Final = 20
"""Lessons that a report shows."""


class MistakeCost(NamedTuple):
    """What the closed trades with a mistake came to; amounts in currency.

    Attributes
    ----------
    trades
        Trades with the mistake; one that was tagged twice counts once.
    total_pnl, average_pnl
        Their profit after fees.
    average_without
        Mean profit of the trades without any mistake; None where there are none.
    """

    trades: int
    total_pnl: float
    average_pnl: float
    average_without: float | None


class Tagged(NamedTuple):
    """Mistakes: the number of the trade and the position of its category, one of each per mistake."""

    trade_ids: NDArray[np.int64]
    codes: NDArray[np.int64]
    categories: list[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class PerformanceReport(Readable):
    """Figures, breakdowns, mistakes, lessons and recommendations of a period.

    Attributes
    ----------
    generated
        When it was made, UTC.
    source
        The sources of its trades; says "mixed" where there are several.
    since, until
        Range of exit times, UTC; None is unbounded.
    closed, tagged
        What the figures are computed from.
    lessons
        Texts of the lessons of these trades that were stored last, newest first.
    """

    names: ClassVar[tuple[str, ...]]

    generated: datetime
    source: str
    since: datetime | None
    until: datetime | None
    closed: Closed = field(repr=False)
    tagged: Tagged = field(repr=False)
    lessons: tuple[str, ...] = ()

    @functools.cached_property
    def metrics(self) -> PerformanceMetrics:
        """Figures of all trades of the report."""
        return measure(self.closed)

    @functools.cached_property
    def excursions(self) -> ExcursionMetrics:
        """MAE and MFE."""
        return excursions(self.closed)

    @functools.cached_property
    def mistake_costs(self) -> Mapping[str, MistakeCost]:
        """What the trades with each mistake came to, the most frequent first."""
        return costs_of(self.closed, self.tagged)

    @functools.cached_property
    def common_mistakes(self) -> Mapping[str, int]:
        """Mistake category -> number of closed trades that have it, the most frequent first."""
        return {category: cost.trades for category, cost in self.mistake_costs.items()}

    @functools.cached_property
    def recommendations(self) -> tuple[Advice, ...]:
        """Recommendations with their sample sizes; each prints as its text."""
        return advise(self.closed, self.metrics, self.excursions, self.mistake_costs)

    def by(self, what: str) -> Mapping[str, PerformanceMetrics]:
        """Return the figures of each group; `what` is one of `BREAKDOWNS`."""
        if what not in self._breakdowns:
            self._breakdowns[what] = breakdown(self.closed, what)
        return self._breakdowns[what]

    @functools.cached_property
    def _breakdowns(self) -> dict[str, Mapping[str, PerformanceMetrics]]:
        return {}

    def __getattr__(self, name: str) -> Any:
        # by_symbol, by_strategy, ...: one per breakdown
        if name.startswith("by_") and name[3:] in BREAKDOWNS:
            return self.by(name[3:])
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __str__(self) -> str:
        return "\n".join(_lines(self))


PerformanceReport.names = (
    "generated",
    "source",
    "since",
    "until",
    "metrics",
    "excursions",
    *(f"by_{what}" for what in BREAKDOWNS),
    "common_mistakes",
    "mistake_costs",
    "lessons",
    "recommendations",
)


def read_report(connection: Connection, scope: Scope, now: int) -> PerformanceReport:
    """Read what a report needs in one look; `now` is UTC nanoseconds."""
    closed = pull(connection, scope)
    return PerformanceReport(
        generated=from_nanoseconds(now),
        source=scope.label,
        since=None if scope.since_ts is None else from_nanoseconds(scope.since_ts),
        until=None if scope.until_ts is None else from_nanoseconds(scope.until_ts),
        closed=closed,
        tagged=_tagged(connection, closed),
        lessons=_latest_lessons(connection, closed),
    )


def costs_of(closed: Closed, tagged: Tagged) -> Mapping[str, MistakeCost]:
    """Return what the trades with each mistake came to; mistakes of other trades are left out."""
    import numpy as np

    pnl = closed.numbers["pnl"]
    by_number = np.argsort(closed.id)
    numbers = closed.id[by_number]
    place = np.minimum(np.searchsorted(numbers, tagged.trade_ids), max(len(numbers) - 1, 0))
    meant = numbers[place] == tagged.trade_ids if len(numbers) else np.zeros(0, dtype=bool)
    if not meant.any():
        return {}
    # one entry per trade and category: a trade that was tagged twice counts once
    many = len(tagged.categories)
    pairs = np.unique(by_number[place[meant]] * many + tagged.codes[meant])
    rows, codes = pairs // many, pairs % many
    clean = np.ones(len(pnl), dtype=bool)
    clean[rows] = False
    without = float(np.mean(pnl[clean])) if clean.any() else None
    counts = np.bincount(codes, minlength=many)
    totals = np.bincount(codes, weights=pnl[rows], minlength=many)
    costs = {
        category: MistakeCost(int(count), float(total), float(total / count), without)
        for category, count, total in zip(tagged.categories, counts, totals, strict=True)
        if count
    }
    return dict(sorted(costs.items(), key=lambda item: (-item[1].trades, item[1].total_pnl, item[0])))


def _tagged(connection: Connection, closed: Closed) -> Tagged:
    import numpy as np

    query = select(mistakes.c.trade_id, mistakes.c.category)
    if len(closed):
        query = query.where(mistakes.c.trade_id.between(int(closed.id.min()), int(closed.id.max())))
    cursor: Any = connection.execute(query if len(closed) else query.limit(0)).cursor
    places: dict[str, int] = {}
    kind = np.dtype([("trade_id", "i8"), ("code", "i8")])
    rows = np.fromiter(((trade, places.setdefault(name, len(places))) for trade, name in cursor), dtype=kind)
    return Tagged(rows["trade_id"], rows["code"], list(places))


def _latest_lessons(connection: Connection, closed: Closed) -> tuple[str, ...]:
    """Return the lessons of the trades that were stored last, read from the end until there are enough."""
    meant = set(closed.id.tolist()) if len(closed) else set()
    found: list[str] = []
    before: int | None = None
    while meant and len(found) < LATEST_LESSONS:
        query = select(lessons.c.id, lessons.c.trade_id, lessons.c.lesson)
        if before is not None:
            query = query.where(lessons.c.id < before)
        rows = connection.execute(query.order_by(lessons.c.id.desc()).limit(_PORTION)).all()
        found += [row.lesson for row in rows if row.trade_id in meant]
        if len(rows) < _PORTION:
            break
        before = rows[-1].id
    return tuple(found[:LATEST_LESSONS])


def _lines(report: PerformanceReport) -> list[str]:
    figures = report.metrics
    head = ["PERFORMANCE REPORT", _RULE]
    if not figures.trades:
        return [*head, f"No closed trades of source {report.source}, {_period(report)}: nothing to report."]
    lines = [
        *head,
        f"Source: {report.source}   Closed trades: {figures.trades}   {_period(report)}",
        "",
        f"Win rate        {_percent(figures.win_rate)}{_within(figures.win_rate_interval, '{:.1f}%')}   "
        f"{figures.wins} won, {figures.losses} lost, {figures.scratches} scratched",
        f"Total P&L       {_money(figures.total_pnl)}   fees {_money(figures.total_fees)}",
        f"Expectancy      {_money(figures.expectancy)}{_within(figures.expectancy_interval, '${:z,.2f}')}",
        f"Profit factor   {_plain(figures.profit_factor)}{_within(figures.profit_factor_interval, '{:.2f}')}",
        f"Average win     {_money(figures.average_win)}   largest {_money(figures.largest_win)}",
        f"Average loss    {_money(figures.average_loss)}   largest {_money(figures.largest_loss)}",
        f"R-multiple      {_plain(figures.mean_r)}{_within(figures.mean_r_interval, '{:z.2f}')}   "
        f"sum {figures.sum_r:.2f}, {figures.r_count} known, SQN {_plain(figures.sqn)}",
        f"Streaks         now {figures.streak:+d}, longest "
        f"{_many(figures.longest_win_streak, 'win', 'wins')}, "
        f"{_many(figures.longest_loss_streak, 'loss', 'losses')}",
        f"Max drawdown    {_money(figures.max_drawdown)} of the realised curve",
        f"Average days    {_plain(figures.average_days)}   captured {_percent(figures.average_capture)}   "
        f"slippage {_money(figures.total_slippage)} in {counted(figures.slippage_count)}",
        f"Buying power    {_percent(figures.profit_per_buying_power_day_pct, 4)} profit per day",
    ]
    if report.excursions.targets_count:
        lines += ["", "Targets in hindsight"]
        lines += [
            f"  {one.target:>4g}R reached by {one.reached:5.1f}%{_within(one.reached_interval, '{:.1f}%')}, "
            f"expected {one.expected_r:+.2f}R"
            for one in report.excursions.targets
        ]
    for what, words in _SHOWN_BY.items():
        lines += ["", f"By {words}", *_groups(report.by(what), last=what == "month")]
    if report.common_mistakes:
        lines += ["", "Common mistakes"]
        lines += [
            f"  {category}: in {counted(cost.trades)}, {_money(cost.total_pnl)} together"
            for category, cost in report.mistake_costs.items()
        ]
    if report.lessons:
        lines += ["", "Lessons", *(f"  {lesson}" for lesson in report.lessons)]
    return [*lines, "", "Recommendations", *(f"  * {one}" for one in report.recommendations)]


def _period(report: PerformanceReport) -> str:
    start = f"from {report.since:%Y-%m-%d}" if report.since else "from the beginning"
    return f"{start} to {report.until or report.generated:%Y-%m-%d}"


def _groups(found: Mapping[str, PerformanceMetrics], *, last: bool) -> list[str]:
    """Return a line per group, the first ones or the last ones of many, and how many are left out."""
    if list(found) == [UNKNOWN]:
        return [f"  unknown for {'the only trade' if found[UNKNOWN].trades == 1 else 'all trades'}"]
    every = [_group(label, each) for label, each in found.items()]
    if len(every) <= _SHOWN + 1:  # a line that says "1 more" could as well show it
        return every
    more = f"  ... and {len(every) - _SHOWN:,} {'earlier' if last else 'more'}"
    return [more, *every[-_SHOWN:]] if last else [*every[:_SHOWN], more]


def _group(label: str, figures: PerformanceMetrics) -> str:
    return (
        f"  {label[:24]:<24} {counted(figures.trades):>12}, win rate {_percent(figures.win_rate)}"
        f"{_within(figures.win_rate_interval, '{:.0f}%')}, average {_money(figures.expectancy)}"
    )


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _money(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{'-' if round(value, 2) < 0 else ''}${abs(value):,.2f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}%"


def _plain(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _within(interval: Interval | None, form: str) -> str:
    if interval is None:
        return ""
    low, high = (form.format(end).replace("$-", "-$") for end in (interval.low, interval.high))
    return f" ({low} to {high})"


_RULE: Final = "=" * 80
_SHOWN: Final = 10
"""Lines of a breakdown."""

_SHOWN_BY: Final = {
    "strategy": "strategy",
    "symbol": "symbol",
    "signal_type": "signal type",
    "sector": "sector",
    "iv_rank": "IV rank at entry",
    "dte": "DTE at entry",
    "weekday": "weekday of entry (UTC)",
    "month": "month of exit (UTC)",
    "close_reason": "close reason",
}
_PORTION: Final = 500
