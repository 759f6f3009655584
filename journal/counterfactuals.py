"""The counterfactual ledger in the journal: what rules and people refused, and what it would have come to.

Every veto of the risk manager and every no of a person is kept with the outcome of its shadow run
(`simulator.shadow`): per rule and per decision, R saved or lost with an interval. Storing is idempotent: a
case has a key, one that is still open is brought forward by later bars, one that has ended stays as it is.

This module reads human decisions from the journal itself (recommendations and reviews). Vetoes of a session
need its recorded bars: `live.counterfactuals.SessionLedger` adds them.

>>> ledger = CounterfactualLedger(journal)   # doctest: +SKIP
>>> ledger.update_decisions(bars)            # doctest: +SKIP
>>> print(ledger.report())                   # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from journal.counterfactual.rows import Entry, Stored, final_keys, read_entries, store_entries
from simulator.evidence import METHOD
from simulator.results.counterfactuals import ALONE, Line, lines_of, lines_table, print_lines
from simulator.results.terminal import Canvas

if TYPE_CHECKING:
    import pandas as pd

    from journal.trade_journal import TradeJournal
    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.results import Result

__all__ = ["MAX_DAYS", "CounterfactualLedger", "Found"]

MAX_DAYS: Final = 30
"""Calendar days after which a trade ends where nothing else says so: the default of `RiskLimits`."""


@dataclass(frozen=True, slots=True)
class Found:
    """Entries that a look has found, and what it could not run, in words; `stored` once they are stored."""

    entries: Sequence[Entry]
    notes: Sequence[str] = ()
    stored: Stored | None = None


class CounterfactualLedger:
    """The counterfactual ledger of a journal.

    Parameters
    ----------
    journal
        A `TradeJournal`; read-only is enough for looking.
    source
        Whose signals: "paper", "live" or "backtest"; that of the journal by default.
    """

    def __init__(self, journal: TradeJournal, *, source: str | None = None) -> None:
        self.journal = journal
        self.source = journal.source if source is None else source
        self._unstored: dict[str, Entry] = {}

    # Filling

    def update_decisions(
        self,
        bars: Bars,
        *,
        session: str = "",
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
        max_days: int | None = MAX_DAYS,
        package_rules: Mapping[str, float] | None = None,
        store: bool = True,
    ) -> Found:
        """Run what people decided against on bars, and store what it came to.

        Parameters
        ----------
        bars
            Of the symbols that were recommended; with options for packages.
        session
            Named in the rows.
        costs, conventions
            As in `backtest`.
        max_days
            Calendar days in a trade at most; packages end by their rules.
        package_rules
            How packages are managed (`simulator.options.make_rules`); `PACKAGE_RULES` by default.
        store
            False only looks: what was found counts in this ledger, and the journal stays as it is.
        """
        from journal.counterfactual.decisions import PACKAGE_RULES, decided_entries, decisions_of

        with self.journal.database.read() as connection:
            decisions = decisions_of(connection, source=self.source, now=self.journal.now())
            done = final_keys(connection)
        entries, notes = decided_entries(
            [one for one in decisions if one.key not in done],
            bars,
            session=session,
            costs=costs,
            conventions=conventions,
            max_days=max_days,
            package_rules=PACKAGE_RULES if package_rules is None else package_rules,
        )
        return self.record(entries, notes=notes, store=store)

    def add_result(self, result: Result) -> Found:
        """Store the vetoes of a backtest; the same result a second time adds nothing."""
        cases = result.counterfactuals().cases
        name = result.fingerprint[:16]
        return self.record(
            [Entry(f"backtest:{name}:{k}", "backtest", "rule", case, name) for k, case in enumerate(cases)]
        )

    def record(self, entries: Iterable[Entry], *, notes: Sequence[str] = (), store: bool = True) -> Found:
        """Store entries in one transaction: new ones are added, open ones brought forward."""
        kept = list(entries)
        if not store:
            self._unstored |= {entry.key: entry for entry in kept}
            return Found(kept, notes)
        with self.journal.database.write() as connection:
            stored = store_entries(connection, kept, self.journal.now())
        return Found(kept, notes, stored)

    # Looking

    def entries(self, *, origin: str | None = None, session: str | None = None) -> list[Entry]:
        """Return the cases of this source, in the order of their signals."""
        with self.journal.database.read() as connection:
            found = {
                one.key: one
                for one in read_entries(connection, source=self.source, origin=origin, session=session)
            }
        found |= {
            key: entry
            for key, entry in self._unstored.items()
            if entry.source == self.source
            and origin in (None, entry.origin)
            and session in (None, entry.session)
        }
        return sorted(found.values(), key=lambda entry: entry.case.ts)

    def lines(self, origin: str, *, session: str | None = None) -> list[Line]:
        """Return one line per rule (`origin="rule"`) or per decision ("decision"), most cases first."""
        return lines_of(entry.case for entry in self.entries(origin=origin, session=session))

    def by_rule(self, *, session: str | None = None) -> pd.DataFrame:
        """Return one row per rule of the risk manager, columns as in `result.counterfactuals().by_rule()`."""
        return lines_table(self.lines("rule", session=session))

    def by_decision(self, *, session: str | None = None) -> pd.DataFrame:
        """Return one row per human decision; the columns are those of `by_rule`."""
        return lines_table(self.lines("decision", session=session), verb=REFUSED, index="decision")

    def plain(self, *, session: str | None = None) -> dict[str, Any]:
        """Return both tables as values that JSON can hold."""
        return {
            "source": self.source,
            "method": METHOD,
            "rules": [line.plain() for line in self.lines("rule", session=session)],
            "decisions": [line.plain(REFUSED) for line in self.lines("decision", session=session)],
            "notes": [ALONE],
        }

    def report(
        self, *, session: str | None = None, width: int | None = None, color: bool | None = None
    ) -> str:
        """Return both tables with a sentence per line."""
        canvas = Canvas(width=width, color=color)
        rules, decisions = (self.lines(origin, session=session) for origin in ("rule", "decision"))
        if not rules and not decisions:
            canvas.print(
                f"The ledger has no case of source {self.source}: no signal was refused, or none was run yet."
            )
            return canvas.text()
        count = sum(line.n for line in rules)
        print_lines(canvas, rules, title=f"Refused by rules: {count:,} signals", verb="vetoed")
        count = sum(line.n for line in decisions)
        print_lines(
            canvas, decisions, title=f"Refused by people: {count:,} signals", verb=REFUSED, what="Decision"
        )
        for note in (f"Intervals: {METHOD}.", ALONE):
            canvas.print(note, style="dim")
        return canvas.text()


REFUSED: Final = "kept out"
"""What decisions did to signals, for the sentences."""
