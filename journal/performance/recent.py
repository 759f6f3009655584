"""What closed just before in the same symbol, at a cost that does not grow with the journal.

The series of `performance_metrics` per symbol is in the order of exits and has an index on its end, so the
last few closed trades of a symbol are a handful of rows, however many trades the journal holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, select

from journal.performance.thresholds import RECENT_TRADES
from journal.schema import performance_metrics, recommendations, trades

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from journal.records import Trade

__all__ = ["Background", "Planned", "Recent", "background", "planned", "recent"]


class Recent(NamedTuple):
    """A trade that closed before; amounts in currency."""

    exit_ts: int
    pnl: float
    size: float  # value at entry: price times quantity times multiplier
    initial_risk: float | None
    id: int = 0
    campaign_id: int | None = None

    def continued_by(self, trade: Trade) -> bool:
        """Tell whether a later trade is of the same campaign: a roll, or shares that came of this one."""
        if trade.rolled_from_id is not None and trade.rolled_from_id == self.id:
            return True
        return trade.campaign_id is not None and trade.campaign_id in (self.campaign_id, self.id)


class Planned(NamedTuple):
    """What was recommended, per package or share."""

    entry_price: float
    stop_price: float | None


class Background(NamedTuple):
    """What insights and mistakes compare a trade with."""

    plan: Planned | None
    before: list[Recent]


def background(connection: Connection, trade: Trade) -> Background:
    """Return what a trade is compared with, read once for all rules."""
    return Background(planned(connection, trade), recent(connection, trade))


def recent(connection: Connection, trade: Trade) -> list[Recent]:
    """Return the last closed trades of the symbol and source before this one's entry, newest first."""
    keys = {"in_source": trade.source, "in_scope": f"symbol:{trade.symbol}", "but": trade.id}
    rows = connection.execute(_RECENT, keys)
    return [Recent._make(row) for row in rows if row[0] <= trade.entry_ts]


def planned(connection: Connection, trade: Trade) -> Planned | None:
    """Return the prices of the recommendation that the trade came from, None without one."""
    if trade.recommendation_id is None:
        return None
    row = connection.execute(_PLANNED, {"key": trade.recommendation_id}).first()
    if row is None or row.side != trade.side:
        return None
    return Planned(row.entry_price, row.stop_price)


_RECENT: Final = (
    select(
        trades.c.exit_ts,
        trades.c.pnl,
        trades.c.entry_price * trades.c.quantity * trades.c.multiplier,
        trades.c.initial_risk,
        trades.c.id,
        trades.c.campaign_id,
    )
    .select_from(performance_metrics.join(trades, trades.c.id == performance_metrics.c.trade_id))
    .where(
        performance_metrics.c.source == bindparam("in_source"),
        performance_metrics.c.scope == bindparam("in_scope"),
        performance_metrics.c.trade_id != bindparam("but"),
    )
    .order_by(performance_metrics.c.id.desc())
    .limit(RECENT_TRADES)
)
_PLANNED: Final = select(
    recommendations.c.entry_price, recommendations.c.stop_price, recommendations.c.side
).where(recommendations.c.id == bindparam("key"))
