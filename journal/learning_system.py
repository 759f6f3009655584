"""`TradeLearningSystem`: what works, by the closed trades of a journal, and what to change.

`analyze_what_works()` prints and returns the analysis, `generate_weekly_report()` the week. Both say how far
each figure can be trusted: win rates and means carry intervals, and advice is called significant only where
the evidence is, at the 5 % level over all questions and over every time that somebody looks (see
`journal.learning.evidence`). One source of trades is looked at, that of the journal, unless asked otherwise.

>>> learner = TradeLearningSystem("trade_journal.db")   # doctest: +SKIP
>>> analysis = learner.analyze_what_works()   # doctest: +SKIP
>>> learner.propose()   # doctest: +SKIP

On the command line: `python -m journal.learning_system trade_journal.db --source paper --weekly --json`, all
of it optional.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from journal.database import Database
from journal.learning.analysis import Estimate, Examination, estimates, examine
from journal.learning.data import latest_run, read_closed, sources_of
from journal.learning.rules import DEFAULTS, Recommendation, recommend
from journal.learning.text import analysis_text
from journal.parameters import ParameterSet, ParameterStore, in_force
from journal.values import from_nanoseconds, nanoseconds
from simulator.errors import ConfigError, TwinstepError

if TYPE_CHECKING:
    from journal.trade_journal import TradeJournal
    from journal.weekly_report import WeeklyReport

__all__ = ["LearningAnalysis", "TradeLearningSystem", "analyse", "main"]


@dataclass(frozen=True, slots=True)
class LearningAnalysis:
    """What closed trades teach.

    Attributes
    ----------
    sources
        Where the trades come from.
    as_of_ts
        Trades closed until then count (UTC nanoseconds).
    examination
        Records, comparisons, groups, and the evidence of each.
    estimates
        Win rate and average profit over all trades, with intervals.
    recommendations
        What to change, or to keep.
    settings
        What each component uses now: defaults, and above them the set in force.
    learned
        The set in force by component; empty where there is none.
    notes
        What a reader must know first, such as that sources are mixed.
    """

    sources: tuple[str, ...]
    as_of_ts: int
    examination: Examination
    estimates: tuple[Estimate, ...]
    recommendations: tuple[Recommendation, ...]
    settings: Mapping[str, Mapping[str, Any]]
    learned: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]

    @property
    def significant(self) -> tuple[Recommendation, ...]:
        """Advice that is significant."""
        return tuple(one for one in self.recommendations if one.significant)

    def proposals(self, *, significant_only: bool = True) -> dict[str, dict[str, Any]]:
        """Return complete sets of learned settings by component; components that stay are left out."""
        found: dict[str, dict[str, Any]] = {}
        for one in self.recommendations:
            if one.component is None or one.setting is None or not one.changes:
                continue
            if significant_only and not one.significant:
                continue
            settings = found.setdefault(one.component, dict(self.learned[one.component]))
            if one.setting in ("blacklist", "favourites"):
                listed = settings.get(one.setting, ())
                settings[one.setting] = sorted({*listed, one.proposed})
                # what is ahead now may have lost before, and the other way round
                other = "favourites" if one.setting == "blacklist" else "blacklist"
                if one.proposed in settings.get(other, ()):
                    settings[other] = [name for name in settings[other] if name != one.proposed]
            else:
                settings[one.setting] = one.proposed
        return {name: values for name, values in found.items() if values != dict(self.learned[name])}

    def text(self) -> str:
        """Return the report for the terminal."""
        return analysis_text(self)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        advice = [{**asdict(one), "changes": one.changes, "mark": one.mark} for one in self.recommendations]
        return {
            "sources": list(self.sources),
            "as_of": from_nanoseconds(self.as_of_ts).isoformat(),
            "notes": list(self.notes),
            "estimates": [asdict(one) for one in self.estimates],
            **asdict(self.examination),
            "recommendations": advice,
            "settings": {name: dict(values) for name, values in self.settings.items()},
        }


class TradeLearningSystem:
    """Learns from the closed trades of a journal.

    Parameters
    ----------
    journal_or_path
        A `TradeJournal`, a `Database`, or where to find one; `trade_journal.db` in the working folder by
        default. What is opened here is opened for reading only.
    source
        "live", "paper", "backtest", several of them, or "all"; that of the journal, else "live".
    run
        Which stored backtest, where the source is "backtest"; the one stored last by default.
    out
        Takes the text that is printed.

    Raises
    ------
    JournalError
        JOURNAL_MISSING for a path where nothing is, and whatever else is wrong with a database.
    """

    def __init__(
        self,
        journal_or_path: TradeJournal | Database | str | os.PathLike[str] | None = None,
        *,
        source: str | Sequence[str] | None = None,
        run: int | None = None,
        out: Callable[[str], object] = print,
    ) -> None:
        where = "trade_journal.db" if journal_or_path is None else journal_or_path
        self._where = where
        self._clock: Callable[[], int] = lambda: nanoseconds(datetime.now(UTC))
        if isinstance(where, Database):
            self.database = where
            self._clock = where.now
        elif isinstance(where, (str, os.PathLike)):
            self.database = Database(where, read_only=True)
        else:
            self.database, self._clock = where.database, where.now
            source = where.source if source is None else source
        self.sources = sources_of("live" if source is None else source)
        self.run = run
        self._out = out

    def analysis(self, *, as_of: datetime | int | None = None) -> LearningAnalysis:
        """Return the analysis without printing it.

        Parameters
        ----------
        as_of
            Trades closed until this aware time; all by default.
        """
        stamp = self._clock() if as_of is None else nanoseconds(as_of, "as_of")
        with self.database.read() as connection:
            return analyse(
                connection, self.sources, as_of=stamp, until=None if as_of is None else stamp, run=self.run
            )

    def analyze_what_works(self, *, as_of: datetime | int | None = None) -> LearningAnalysis:
        """Print what winners and losers have in common and what to change, and return it."""
        found = self.analysis(as_of=as_of)
        self._say(found.text())
        return found

    def weekly_report(self, week: date | datetime | None = None) -> WeeklyReport:
        """Return the report of a week without printing it."""
        from journal.weekly_report import build

        with self.database.read() as connection:
            return build(connection, self.sources, now=self._clock(), week=week, run=self.run)

    def generate_weekly_report(self, week: date | datetime | None = None) -> WeeklyReport:
        """Print the report of a week and return it.

        Parameters
        ----------
        week
            A day of the week to report, Monday to Sunday in UTC; the current week by default.
        """
        report = self.weekly_report(week)
        self._say(report.text())
        return report

    def propose(
        self, store: ParameterStore | None = None, *, significant_only: bool = True
    ) -> list[ParameterSet]:
        """Store recommended settings as proposed parameter sets, which a person then approves or rejects.

        Parameters
        ----------
        store
            Where to; the journal that is learned from by default.
        significant_only
            Leave out what is not significant.

        Returns
        -------
        One set per component that would change; empty where nothing does.

        Raises
        ------
        ConfigError
            JOURNAL_MIXED_SOURCES where several sources were looked at: a set belongs to one.
        """
        if len(self.sources) > 1:
            raise ConfigError(
                f"learned from {', '.join(self.sources)} together; a parameter set belongs to one source, so "
                "look at one",
                code="JOURNAL_MIXED_SOURCES",
            )
        found = self.analysis()
        proposals = found.proposals(significant_only=significant_only)
        if not proposals:
            return []
        if store is not None:
            return _propose(store, self.sources[0], found, proposals)
        if not self.database.read_only:
            store = ParameterStore(self.database, source=self.sources[0])
            return _propose(store, self.sources[0], found, proposals)
        assert isinstance(self._where, (str, os.PathLike))  # noqa: S101 - only these are opened read-only here
        with Database(self._where) as database:
            return _propose(ParameterStore(database), self.sources[0], found, proposals)

    def _say(self, text: str) -> None:
        try:
            self._out(text)
        except UnicodeEncodeError:  # a terminal that knows no such signs
            self._out(text.encode("ascii", "replace").decode("ascii"))


def analyse(
    connection: Connection,
    sources: Sequence[str],
    *,
    as_of: int,
    until: int | None = None,
    run: int | None = None,
) -> LearningAnalysis:
    """Analyse the closed trades of sources; see `TradeLearningSystem`."""
    notes = []
    if len(sources) > 1:
        notes.append(f"⚠ Mixes trades of several sources: {', '.join(sources)}")
    if "backtest" in sources:
        latest, many = latest_run(connection)
        if run is None and latest is not None:
            run = latest
            if many > 1:
                notes.append(f"Backtest {latest}, the last of {many} that are stored")
    closed = read_closed(connection, sources, until=until, run=run)
    found = examine(closed)
    learned = {component: _learned(connection, component, sources) for component in DEFAULTS}
    settings = {component: {**values, **learned[component]} for component, values in DEFAULTS.items()}
    return LearningAnalysis(
        sources=tuple(sources),
        as_of_ts=as_of,
        examination=found,
        estimates=estimates(closed.pnl),
        recommendations=recommend(found, closed, settings),
        settings=settings,
        learned=learned,
        notes=tuple(notes),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m journal.learning_system", description="What closed trades of a journal teach."
    )
    parser.add_argument("journal", nargs="?", default="trade_journal.db", help="file or address")
    parser.add_argument("--source", default="live", help="live, paper, backtest or all (live)")
    parser.add_argument("--weekly", action="store_true", help="only the report of this week")
    parser.add_argument("--json", action="store_true", help="JSON in place of text")
    given = parser.parse_args(arguments)
    try:
        learner = TradeLearningSystem(given.journal, source=given.source)
        if given.json:
            found = learner.weekly_report() if given.weekly else learner.analysis()
            print(json.dumps(found.as_dict(), indent=2))
            return 0
        if not given.weekly:
            learner.analyze_what_works()
        learner.generate_weekly_report()
    except TwinstepError as error:
        print(f"error {error}", file=sys.stderr)
        return 2
    return 0


def _learned(connection: Connection, component: str, sources: Sequence[str]) -> Mapping[str, Any]:
    found = in_force(connection, component, source=sources[0] if len(sources) == 1 else None)
    return {} if found is None else found.settings


def _propose(
    store: ParameterStore, source: str, found: LearningAnalysis, proposals: Mapping[str, Mapping[str, Any]]
) -> list[ParameterSet]:
    evidence = found.as_dict()
    stored = []
    waiting = [one for one in store.history() if one.status == "proposed" and one.source == source]
    for component, settings in proposals.items():
        same = [one for one in waiting if one.component == component and one.settings == settings]
        if same:  # proposed last week, and nobody has decided yet
            stored.append(same[-1])
            continue
        advice = [one for one in evidence["recommendations"] if one["component"] == component]
        texts = [one.text for one in found.recommendations if one.component == component and one.changes]
        stored.append(
            store.propose(
                component,
                settings,
                evidence={"trades": found.examination.records["all"].trades, "recommendations": advice},
                source=source,
                reason="; ".join(texts),
            )
        )
    return stored


if __name__ == "__main__":
    sys.exit(main())
