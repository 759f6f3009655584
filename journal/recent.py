"""What closed just before in the same symbol, at a cost that does not grow with the journal.

The series of `performance_metrics` per symbol is in the order of exits and has an index on its end, so the
last few closed trades of a symbol are a handful of rows, however many trades the journal holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from journal.schema import performance_metrics, recommendations, trades
from journal.thresholds import RECENT_TRADES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from journal.records import Trade

__all__ = ["Planned", "Recent", "planned", "recent"]


class Recent(NamedTuple):
    """A trade that closed before; amounts in currency."""

    exit_ts: int
    pnl: float
    size: float  # value at entry: price times quantity times multiplier
    initial_risk: float | None


class Planned(NamedTuple):
    """What was recommended, per package or share."""

    entry_price: float
    stop_price: float | None


def recent(connection: Connection, trade: Trade) -> list[Recent]:
    """Return the last closed trades of the symbol and source before this one's entry, newest first."""
    rows = connection.execute(
        select(
            trades.c.exit_ts,
            trades.c.pnl,
            trades.c.entry_price * trades.c.quantity * trades.c.multiplier,
            trades.c.initial_risk,
        )
        .select_from(performance_metrics.join(trades, trades.c.id == performance_metrics.c.trade_id))
        .where(
            performance_metrics.c.source == trade.source,
            performance_metrics.c.scope == f"symbol:{trade.symbol}",
            performance_metrics.c.trade_id != trade.id,
        )
        .order_by(performance_metrics.c.id.desc())
        .limit(RECENT_TRADES)
    ).all()
    return [Recent(*row) for row in rows if row[0] <= trade.entry_ts]


def planned(connection: Connection, trade: Trade) -> Planned | None:
    """Return the prices of the recommendation that the trade came from, None without one."""
    if trade.recommendation_id is None:
        return None
    row = connection.execute(
        select(recommendations.c.entry_price, recommendations.c.stop_price, recommendations.c.side).where(
            recommendations.c.id == trade.recommendation_id
        )
    ).first()
    if row is None or row.side != trade.side:
        return None
    return Planned(row.entry_price, row.stop_price)
