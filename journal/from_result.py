"""A simulated run in the journal: `result.to_journal(journal, source="backtest")`.

The run, its trades with snapshot, legs and fills, its verdicts, and its equity at the end of each session are
stored in one transaction: what learns from the journal learns from simulation too. The run's fingerprint is
its identity: storing the same result twice adds nothing. Positions that were open when the data ended are
stored as closed at their mark, by the reason "end_of_data", as the result counts them.

Excursions are fractions of the entry price in a result and currency here. The rows of a run's trades keep the
result's own profit, fees and risk, so that sums agree with it to the cent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, insert, select

from journal import schema
from journal.ledger.lookup import trades_where
from journal.performance import insights, mistakes, running
from journal.performance.recent import Recent
from journal.performance.thresholds import RECENT_TRADES
from journal.result_rows import Reading
from journal.values import as_json, text

if TYPE_CHECKING:
    from simulator.results import Result

__all__ = ["StoredRun", "store"]


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What storing a result came to; `new` is False where it was stored before."""

    run_id: int
    trades: int
    verdicts: int
    new: bool


def store(connection: Connection, result: Result, *, source: str, label: str, now: int) -> StoredRun:
    """Store a result in the caller's transaction."""
    table = schema.runs
    known = connection.execute(
        select(table.c.id).where(table.c.source == source, table.c.fingerprint == result.fingerprint)
    ).scalar()
    if known is not None:
        return StoredRun(int(known), 0, 0, new=False)
    values = {
        "created_ts": now,
        "source": source,
        "fingerprint": result.fingerprint,
        "label": text("label", label) or result.raw.bars.name,
        "config": as_json("config", _configuration(result)),
    }
    run_id = int(_rows_in(connection, table, [values])[0])
    reading = Reading(result)
    rows = list(reading.trades(run_id, source))
    ids = _rows_in(connection, schema.trades, rows)
    by_position = dict(zip(reading.positions, ids, strict=True))
    _insert(connection, schema.legs, reading.legs(by_position))
    _insert(connection, schema.fills, reading.fills(by_position, run_id, source))
    _insert(connection, schema.tags, reading.tags(by_position))
    verdicts = list(reading.verdicts(run_id, source))
    _insert(connection, schema.verdicts, verdicts)
    _insert(connection, schema.equity, reading.equity(run_id))
    _learn(connection, run_id, source)
    return StoredRun(run_id, len(rows), len(verdicts), new=True)


def _learn(connection: Connection, run_id: int, source: str) -> None:
    """Store insights, automatic mistakes and running figures of a run's trades, as if each had just closed.

    What closed just before is looked for in the run itself: trades of other runs of the same market are other
    histories.
    """
    found: list[dict[str, Any]] = []
    tagged: list[dict[str, Any]] = []
    before: dict[str, list[Recent]] = defaultdict(list)
    members = trades_where(connection, [schema.trades.c.run_id == run_id], None)
    for trade in sorted(members, key=lambda trade: (trade.exit_ts or 0, trade.id)):
        exit_ts = trade.exit_ts or 0
        recent = [one for one in before[trade.symbol][::-1] if one.exit_ts <= trade.entry_ts]
        found.extend(
            {
                "trade_id": trade.id,
                "ts": exit_ts,
                "code": one.code,
                "direction": one.direction,
                "value": one.value,
                "text": one.text,
            }
            for one in insights.find(trade, None, recent)
        )
        tagged.extend(
            {
                "trade_id": trade.id,
                "ts": exit_ts,
                "category": mistake.category.value,
                "description": mistake.description,
                "automatic": 1,
            }
            for mistake in mistakes.find(trade)
        )
        size = trade.entry_price * trade.quantity * trade.multiplier
        past = before[trade.symbol]
        past.append(Recent(exit_ts, trade.pnl, size, trade.initial_risk, trade.id, trade.campaign_id))
        del past[:-RECENT_TRADES]
    _insert(connection, schema.insights, found)
    _insert(connection, schema.mistakes, tagged)
    running.extend(connection, source, members)


def _configuration(result: Result) -> dict[str, Any]:
    raw = result.raw
    return {
        "bars": raw.bars.name,
        "symbols": list(raw.bars.symbols),
        "data": result.data_label,
        "cash": float(raw.cash),
        "engine": raw.engine_hash,
        "strategies": [name for name in raw.strategies if name],
        "costs": str(raw.costs),
        "conventions": str(raw.conventions),
        "risk": str(raw.risk),
        "metrics": {name: value for name, value in result.metrics.items() if abs(value) < 1e300},
    }


def _rows_in(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> list[int]:
    """Insert rows and return their numbers in the same order."""
    if not rows:
        return []
    statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    return [int(number) for number in connection.execute(statement, rows).scalars()]


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    if several := list(rows):
        connection.execute(insert(table), several)
