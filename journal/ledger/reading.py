"""The reading half of `TradeJournal`: trades, recommendations, fills, insights, campaigns, past performance.

Every call sees one snapshot. Views take one source by default, that of the journal: what was traded live is
never mixed with what a backtest made of it unless the call says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from journal import schema
from journal.database import Database
from journal.ledger import lookup
from journal.records import Campaign, Fill, Recommendation, StoredInsight, Trade
from journal.values import amount, integer, nanoseconds, symbol_of, text
from simulator.errors import DataError
from simulator.opportunity import TrackRecord

__all__ = ["JournalReader", "Sources", "TradeId"]

TradeId = int | str
Sources = str | Sequence[str] | None

_LATEST: Final = 2**63 - 1

_RECORD: Final = select(
    func.count(), func.sum(case((schema.trades.c.pnl > 0, 1), else_=0)), func.avg(schema.trades.c.pnl)
).where(schema.trades.c.status == "closed")


class JournalReader:
    """What can be asked of a journal; `TradeJournal` adds what can be logged."""

    def __init__(
        self,
        where: str | os.PathLike[str] | Database = "trade_journal.db",
        *,
        source: str = "live",
        clock: Callable[[], datetime] | None = None,
        read_only: bool = False,
        days_valid: float = 5.0,
    ) -> None:
        self.source = lookup.chosen("source", source, schema.SOURCES)
        self.days_valid = amount("days_valid", days_valid, above=True)
        self._clock = _utc_now if clock is None else clock
        self._shared = isinstance(where, Database)
        if isinstance(where, Database):
            self.database = where
        else:
            self.database = Database(where, read_only=read_only, clock=self._clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.database.name!r}, source={self.source!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, unless it was given open; what was logged is stored already."""
        if not self._shared:
            self.database.close()

    def now(self) -> int:
        """Return the time of the journal's clock in UTC nanoseconds."""
        return nanoseconds(self._clock(), "clock")

    # Reading

    def trade(self, trade_id: TradeId) -> Trade:
        """Return a trade with its legs."""
        with self.database.read() as connection:
            return lookup.get_trade(connection, trade_id)

    def trades(
        self,
        status: str | None = None,
        *,
        source: Sources = None,
        symbol: str | None = None,
        strategy: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
        limit: int | None = None,
    ) -> list[Trade]:
        """Return trades in the order of their entries; with a limit, the last ones.

        `since` and `until` bound the exit of closed trades and the entry of open ones, both inclusive.
        `source` is one of "live", "paper" and "backtest", several of them, or "all"; the journal's own by
        default.
        """
        table = schema.trades.c
        conditions = self._conditions(source, symbol)
        if status is not None:
            conditions.append(table.status == lookup.chosen("status", status, schema.TRADE_STATES))
        if strategy is not None:
            conditions.append(table.strategy == strategy)
        if since is not None or until is not None:
            first = -_LATEST if since is None else nanoseconds(since, "since")
            last = _LATEST if until is None else nanoseconds(until, "until")
            conditions.append(
                or_(
                    and_(table.status == "closed", table.exit_ts.between(first, last)),
                    and_(table.status == "open", table.entry_ts.between(first, last)),
                )
            )
        if tag is not None:
            conditions.append(table.id.in_(select(schema.tags.c.trade_id).where(schema.tags.c.tag == tag)))
        with self.database.read() as connection:
            return lookup.trades_where(connection, conditions, _limit(limit))

    def search(self, words: str, *, source: Sources = None, limit: int | None = 100) -> list[Trade]:
        """Return trades whose name, symbol, strategy, notes, reason or tags contain a text, in any case."""
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", text("words", words).lower()) + "%"
        table = schema.trades.c
        columns = (
            table.name, table.symbol, table.strategy, table.entry_notes, table.exit_notes, table.close_reason
        )  # fmt: skip
        tagged = select(schema.tags.c.trade_id).where(
            func.lower(schema.tags.c.tag).like(pattern, escape="\\")
        )
        found = or_(
            *(func.lower(column).like(pattern, escape="\\") for column in columns), table.id.in_(tagged)
        )
        with self.database.read() as connection:
            return lookup.trades_where(connection, [*self._conditions(source, None), found], _limit(limit))

    def fills(self, trade_id: TradeId) -> list[Fill]:
        """Return the executions of a trade."""
        with self.database.read() as connection:
            return lookup.fills_of(connection, lookup.resolve(connection, trade_id))

    def insights(self, trade_id: TradeId | None = None) -> list[StoredInsight]:
        """Return what was learned of a trade, or of all trades."""
        with self.database.read() as connection:
            number = None if trade_id is None else lookup.resolve(connection, trade_id)
            return lookup.insights_of(connection, number)

    def campaign(self, trade_id: TradeId) -> Campaign:
        """Return a trade with its rolls and the shares that came of it; its `pnl` is that of all of them."""
        with self.database.read() as connection:
            return lookup.campaign_of(connection, lookup.resolve(connection, trade_id))

    def recommendation(self, rec_id: int | str) -> Recommendation:
        """Return a recommendation as it stands now."""
        with self.database.read() as connection:
            return lookup.get_recommendation(connection, rec_id, self.now())

    def recommendations(
        self,
        status: str | None = None,
        *,
        symbol: str | None = None,
        source: Sources = None,
        limit: int | None = None,
    ) -> list[Recommendation]:
        """Return recommendations in the order in which they were logged; with a limit, the last ones."""
        with self.database.read() as connection:
            return lookup.recommendations_where(
                connection,
                now=self.now(),
                status=status,
                symbol=symbol,
                source=self.sources(source),
                limit=_limit(limit),
            )

    def tags(self, trade_id: TradeId | None = None) -> list[str]:
        """Return the tags of a trade, or all tags in use, in alphabetical order."""
        query = select(schema.tags.c.tag).distinct().order_by(schema.tags.c.tag)
        with self.database.read() as connection:
            if trade_id is not None:
                query = query.where(schema.tags.c.trade_id == lookup.resolve(connection, trade_id))
            return [str(tag) for tag in connection.execute(query).scalars()]

    # What scanner and signal generator ask

    def past_performance(self, symbol: str) -> TrackRecord | None:
        """Return how closed trades in a symbol went, of the journal's source; None where there are none."""
        table = schema.trades.c
        query = _RECORD.where(table.symbol == symbol_of("symbol", symbol), table.source == self.source)
        with self.database.read() as connection:
            count, wins, average = connection.execute(query).one()
        return TrackRecord(int(count), 100.0 * int(wins) / int(count), float(average)) if count else None

    # Sources

    def sources(self, source: Sources) -> tuple[str, ...]:
        """Return the sources that a view takes: the journal's own for None, all for "all"."""
        if source is None:
            return (self.source,)
        if source == "all":
            return schema.SOURCES
        several = (source,) if isinstance(source, str) else tuple(source)
        if not several:
            raise DataError("source is an empty list; a view needs one at least", code="JOURNAL_CHOICE")
        return tuple(lookup.chosen("source", one, schema.SOURCES) for one in several)

    def _one_source(self, source: str | None) -> str:
        return self.source if source is None else lookup.chosen("source", source, schema.SOURCES)

    def _conditions(self, source: Sources, symbol: str | None) -> list[ColumnElement[bool]]:
        table = schema.trades.c
        conditions: list[ColumnElement[bool]] = [table.source.in_(self.sources(source))]
        if symbol is not None:
            conditions.append(table.symbol == symbol_of("symbol", symbol))
        return conditions


def _limit(limit: int | None) -> int | None:
    return None if limit is None else int(amount("limit", integer("limit", limit)))


def _utc_now() -> datetime:
    return datetime.now(UTC)
