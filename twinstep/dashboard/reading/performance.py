"""What the page "performance" shows: the report of the journal's own tracker, and its trades as a curve.

Nothing is measured here: figures, intervals and breakdowns are those of `PerformanceTracker`, over one look
at the journal. The curve adds up its profits in the order of the exits, as its running series does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twinstep.dashboard.reading.parts import SOURCES, first_source, opened, part
from twinstep.dashboard.reading.reader import Reader

if TYPE_CHECKING:
    from journal.performance.metrics import PerformanceMetrics
    from journal.performance.report import PerformanceReport

__all__ = ["BREAKDOWNS", "MOST_GROUPS", "PERIODS", "Breakdown", "Performance", "read_performance"]

PERIODS: Final = ((None, "all"), (365, "a year"), (90, "90 days"), (30, "30 days"))
"""Days back from now, and what they are called."""
BREAKDOWNS: Final = (
    ("symbol", "Symbol"), ("sector", "Sector"), ("strategy", "Strategy"), ("iv_rank", "IV rank"),
    ("dte", "Days to expiry"),
)  # fmt: skip
MOST_GROUPS: Final = 12
"""Groups of a breakdown that are shown where nobody asks for all."""

# each source for itself: then it is a range of one index, and no look at every trade
_COUNTS: Final = " UNION ALL ".join(
    f"SELECT '{name}' AS source, count(*) AS n FROM trades WHERE source = '{name}' AND status = 'closed'"  # noqa: S608
    for name in SOURCES
)


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The figures of groups, the first of them; `more` are left out."""

    name: str
    title: str
    groups: tuple[tuple[str, PerformanceMetrics], ...]
    more: int

    @property
    def unknown(self) -> bool:
        """Whether nothing is known but that nothing is."""
        return [label for label, _ in self.groups] == ["unknown"]

    @property
    def ends(self) -> tuple[float, float]:
        """Range of R that the intervals of all groups share, with 0 inside."""
        found = [0.0]
        for _, one in self.groups:
            if one.mean_r_interval is not None:
                found += [one.mean_r_interval.low, one.mean_r_interval.high]
            elif one.mean_r is not None:
                found.append(one.mean_r)
        return min(found), max(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """The page.

    Attributes
    ----------
    counts
        Closed trades by source.
    report
        None where the journal cannot be read.
    problems
        What could not be read, in words.
    """

    source: str
    counts: Mapping[str, int]
    days: int | None
    report: PerformanceReport | None
    breakdowns: tuple[Breakdown, ...] = ()
    problems: tuple[str, ...] = ()


def read_performance(
    reader: Reader,
    *,
    real: bool,
    source: str | None = None,
    days: int | None = None,
    whole: str | None = None,
) -> Performance:
    """Return the page.

    Parameters
    ----------
    real
        Whether real money is behind the journal's switch.
    source
        "live", "paper" or "backtest"; None: the first that has closed trades.
    days
        Only what closed in so many days until now; None: everything.
    whole
        The breakdown that is shown with all of its groups.
    """
    problems: list[str] = []
    name = f"The journal {reader.journal.name}"
    if not reader.journal.exists():
        problems.append(f"{name} cannot be read: it is not there yet")
        return Performance(
            source=source or first_source({}, real=real), counts={}, days=days, report=None,
            problems=tuple(problems),
        )  # fmt: skip
    rows = part(problems, name, lambda: reader.ask(_COUNTS)) or []
    counts = {str(row["source"]): int(row["n"]) for row in rows}
    chosen = source or first_source(counts, real=real)
    report = None if problems else part(problems, name, lambda: _report(reader, chosen, days))
    found: tuple[Breakdown, ...] = ()
    if report is not None and len(report.closed):
        found = tuple(_breakdown(report, by, title, whole) for by, title in BREAKDOWNS)
    return Performance(
        source=chosen, counts=counts, days=days, report=report, breakdowns=found, problems=tuple(problems)
    )


def _report(reader: Reader, source: str, days: int | None) -> PerformanceReport:
    from journal.performance_tracker import PerformanceTracker

    with opened(reader) as database:
        return PerformanceTracker(database, source=source).generate_report(days)


def _breakdown(report: PerformanceReport, by: str, title: str, whole: str | None) -> Breakdown:
    every = list(report.by(by).items())
    # a line that says "1 more" could as well show it
    shown = every if whole == by or len(every) <= MOST_GROUPS + 1 else every[:MOST_GROUPS]
    return Breakdown(by, title, tuple(shown), len(every) - len(shown))
