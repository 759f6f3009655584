"""`PerformanceTracker`: what the closed trades of a journal came to, and what was learned from them.

A view on the journal, which also passes mistakes and lessons on to it. It begins no journal: a path where
nothing is stored is refused, since it is usually misspelt. Trades are named as in the
journal (1 and "TRADE_001" are the same). Views take one source of trades, that of the journal unless another
is named; `source="all"` mixes backtest, paper and live, and what comes back says so.

>>> tracker = PerformanceTracker("trade_journal.db")   # doctest: +SKIP
>>> print(tracker.generate_report(days=30))   # doctest: +SKIP
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, select

from journal.accounting import DAY
from journal.database import Database
from journal.ledger import lookup
from journal.ledger.reading import Sources, TradeId
from journal.performance.closed import Scope
from journal.performance.excursions import ExcursionMetrics
from journal.performance.metrics import PerformanceMetrics
from journal.performance.mistakes import MistakeCategory
from journal.performance.readable import plain
from journal.performance.report import MistakeCost, PerformanceReport, read_report
from journal.records import Trade, trade_of
from journal.schema import SOURCES, insights, lessons, mistakes, performance_metrics, tags, trades
from journal.storage.files import write_whole
from journal.trade_journal import TradeJournal
from journal.values import amount, from_nanoseconds, symbol_of
from simulator.errors import DataError

__all__ = [
    "ExcursionMetrics",
    "MistakeCategory",
    "MistakeCost",
    "PerformanceMetrics",
    "PerformanceReport",
    "PerformanceTracker",
    "TradeRecord",
]

EXPORT_VERSION: Final = 1
"""Layout of the JSON file."""

_FOREVER: Final = 100_000.0
"""Days beyond any trade; more would leave the range of stored times."""


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """A trade with what was learned from it.

    Attributes
    ----------
    trade
        The trade, with its figures.
    mistakes
        (category, description) pairs in the order in which they were stored.
    automatic
        Categories that the record showed by itself.
    lessons, insights, tags
        Texts.
    """

    trade: Trade
    mistakes: tuple[tuple[str, str], ...] = ()
    automatic: frozenset[str] = field(default=frozenset())
    lessons: tuple[str, ...] = ()
    insights: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def trade_id(self) -> int:
        """Number of the trade."""
        return self.trade.id

    @property
    def pnl(self) -> float:
        """Profit after fees in currency, of what is closed."""
        return self.trade.pnl

    @property
    def r_multiple(self) -> float | None:
        """Profit over initial risk; None where the risk is unknown."""
        return self.trade.r_multiple

    @property
    def outcome(self) -> str:
        """Say "win", "loss", "scratch" (a profit of exactly 0) or "open"."""
        if self.trade.status == "open":
            return "open"
        return "win" if self.pnl > 0 else "loss" if self.pnl < 0 else "scratch"

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; times as UTC text beside the stored nanoseconds."""
        trade = {name: getattr(self.trade, name) for name in trades.columns.keys()}
        return {
            **trade,
            "entry_time": self.trade.entry_time.isoformat(),
            "exit_time": self.trade.exit_time.isoformat() if self.trade.exit_time else None,
            "outcome": self.outcome,
            "mistakes": [
                {"category": category, "description": words, "automatic": category in self.automatic}
                for category, words in self.mistakes
            ],
            "lessons": list(self.lessons),
            "insights": list(self.insights),
            "tags": list(self.tags),
        }


class PerformanceTracker:
    """Measures and reports what a journal's trades came to.

    Parameters
    ----------
    journal
        A `TradeJournal`, an open `Database`, a path or URL, or nothing for `trade_journal.db` in the working
        folder.
    source
        Source of trades where a call names none; that of the journal by default.

    Raises
    ------
    JournalError
        JOURNAL_MISSING for a path where no journal is; `TradeJournal` begins one.
    """

    def __init__(
        self,
        journal: TradeJournal | Database | str | os.PathLike[str] | None = None,
        *,
        source: str | None = None,
    ) -> None:
        if isinstance(journal, TradeJournal):
            self.journal, self._owned = journal, False
        elif isinstance(journal, Database):
            self.journal, self._owned = TradeJournal(journal), False
        else:
            self.journal, self._owned = _opened("trade_journal.db" if journal is None else journal), True
        self.source: tuple[str, ...] = self.journal.sources(source)

    def __repr__(self) -> str:
        return f"PerformanceTracker({self.journal!r}, source={', '.join(self.source)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal if it was opened here."""
        if self._owned:
            self.journal.close()

    # Mistakes and lessons

    def add_mistake(
        self, trade_id: TradeId, mistake_category: MistakeCategory | str, description: str = ""
    ) -> int:
        """Store a mistake that was made in a trade, as `TradeJournal.add_mistake`, and return its number."""
        return self.journal.add_mistake(trade_id, mistake_category, description)

    def remove_mistake(self, trade_id: TradeId, mistake_category: MistakeCategory | str) -> int:
        """Take a category off a trade, also where it was found automatically; returns how many went."""
        return self.journal.remove_mistake(trade_id, mistake_category)

    def add_lesson(self, trade_id: TradeId, lesson: str) -> int:
        """Store what was learned from a trade, as `TradeJournal.add_lesson`, and return its number."""
        return self.journal.add_lesson(trade_id, lesson)

    # Records

    def record(self, trade_id: TradeId) -> TradeRecord:
        """Return one trade with what was learned from it."""
        with self.journal.database.read() as connection:
            return _records(connection, [lookup.get_trade(connection, trade_id)])[0]

    def records(self, source: Sources = None, **wanted: Any) -> list[TradeRecord]:
        """Return closed trades with what was learned from them, in the order of their exits.

        Parameters
        ----------
        source
            See the class.
        wanted
            `since`, `until` (exit times, aware, both inclusive), `symbol`, `strategy`, `kind`, `account`,
            `tag`.
        """
        with self.journal.database.read() as connection:
            return _records_of(connection, self._scope(source, wanted))

    # Figures

    def metrics(self, source: Sources = None, **wanted: Any) -> PerformanceMetrics:
        """Return the figures of closed trades; arguments as in `records`."""
        return self._report(self._scope(source, wanted)).metrics

    def excursions(self, source: Sources = None, **wanted: Any) -> ExcursionMetrics:
        """Return MAE and MFE of closed trades; arguments as in `records`."""
        return self._report(self._scope(source, wanted)).excursions

    def breakdown(self, by: str, source: Sources = None, **wanted: Any) -> Mapping[str, PerformanceMetrics]:
        """Return the figures by symbol, strategy, ...; see `journal.performance.breakdowns.BREAKDOWNS`."""
        return self._report(self._scope(source, wanted)).by(by)

    def history(self, scope: str = "all", source: str | None = None) -> list[dict[str, Any]]:
        """Return the running figures after each closed trade, oldest first.

        Parameters
        ----------
        scope
            "all", "strategy:<name>" or "symbol:<symbol>", the symbol in any case.
        source
            One source; the series of several sources cannot be mixed.
        """
        sources = self.source if source is None else (source,)
        table = performance_metrics
        if len(sources) != 1:
            raise DataError(
                f"running figures are kept for each source, not for {', '.join(sources)} together; name one",
                code="JOURNAL_CHOICE",
            )
        name = lookup.chosen("source", sources[0], SOURCES)
        kind, _, symbol = scope.partition(":")
        scope = f"symbol:{symbol_of('scope', symbol)}" if kind == "symbol" else scope
        query = select(table).where(table.c.source == name, table.c.scope == scope).order_by(table.c.id)
        with self.journal.database.read() as connection:
            return [
                {**row._mapping, "time": from_nanoseconds(row.ts)} for row in connection.execute(query).all()
            ]

    def generate_report(
        self, days: float | None = None, *, source: Sources = None, **wanted: Any
    ) -> PerformanceReport:
        """Return the report of the last `days` (all trades without), by exit time.

        Parameters
        ----------
        days
            Calendar days back from now; None takes `since` or everything.
        source, wanted
            As in `records`.

        Returns
        -------
        PerformanceReport, which also reads as a mapping: `report["recommendations"]`,
        `report["common_mistakes"].items()`; `print(report)` shows it.
        """
        return self._report(self._scope(source, self._since(days, wanted)))

    def export_json(
        self,
        path: str | os.PathLike[str],
        days: float | None = None,
        *,
        source: Sources = None,
        **wanted: Any,
    ) -> Path:
        """Write the report and its trades as one JSON file and return its path; what exists is replaced.

        Unknown values are null, times UTC text in ISO form. Arguments as in `generate_report`.

        Raises
        ------
        DataError
            JOURNAL_EXPORT where the file cannot be written.
        """
        scope = self._scope(source, self._since(days, wanted))
        with self.journal.database.read() as connection:
            report = read_report(connection, scope, self.journal.now())
            records = _records_of(connection, scope)
        content = {
            "version": EXPORT_VERSION,
            "report": plain(report),
            "trades": [plain(record.plain()) for record in records],
        }
        target = Path(path)
        try:
            write_whole(target, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False).encode())
        except OSError as error:
            raise DataError(f"{target} cannot be written: {error.strerror}", code="JOURNAL_EXPORT") from error
        return target

    def _since(self, days: float | None, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        if days is None:
            return wanted
        back = min(amount("days", days, above=True), _FOREVER)
        return {"since": self.journal.now() - round(back * DAY), **wanted}

    def _scope(self, source: Sources, wanted: Mapping[str, Any]) -> Scope:
        return Scope.of(self.source if source is None else self.journal.sources(source), **wanted)

    def _report(self, scope: Scope) -> PerformanceReport:
        with self.journal.database.read() as connection:
            return read_report(connection, scope, self.journal.now())


def _opened(where: str | os.PathLike[str]) -> TradeJournal:
    # A reader begins nothing and says what is missing: a look as one, before the writer is opened.
    Database(where, read_only=True).close()
    return TradeJournal(where)


def _records_of(connection: Connection, scope: Scope) -> list[TradeRecord]:
    query = select(trades).where(*scope.conditions()).order_by(trades.c.exit_ts, trades.c.id)
    return _records(connection, [trade_of(row) for row in connection.execute(query)])


def _records(connection: Connection, found: list[Trade]) -> list[TradeRecord]:
    numbers = [trade.id for trade in found]
    wrong = _notes(connection, mistakes, numbers, ("category", "description", "automatic"))
    learned = _notes(connection, lessons, numbers, ("lesson",))
    seen = _notes(connection, insights, numbers, ("text",))
    marks = _notes(connection, tags, numbers, ("tag",))
    return [
        TradeRecord(
            trade=trade,
            mistakes=tuple((row[0], row[1]) for row in wrong.get(trade.id, ())),
            automatic=frozenset(row[0] for row in wrong.get(trade.id, ()) if row[2]),
            lessons=tuple(row[0] for row in learned.get(trade.id, ())),
            insights=tuple(row[0] for row in seen.get(trade.id, ())),
            tags=tuple(row[0] for row in marks.get(trade.id, ())),
        )
        for trade in found
    ]


def _notes(
    connection: Connection, table: Any, numbers: list[int], columns: tuple[str, ...]
) -> dict[int, list[tuple[Any, ...]]]:
    """Return rows of a table by trade; ids are asked for in portions, which every database takes."""
    order = table.c.id if "id" in table.c else table.c.tag
    found: dict[int, list[tuple[Any, ...]]] = {}
    for start in range(0, len(numbers), 500):
        query = (
            select(table.c.trade_id, *[table.c[name] for name in columns])
            .where(table.c.trade_id.in_(numbers[start : start + 500]))
            .order_by(order)
        )
        for row in connection.execute(query):
            found.setdefault(row[0], []).append(tuple(row[1:]))
    return found
