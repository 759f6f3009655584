"""What was refused, as rows for tuning: outcomes of the counterfactual ledger with their entry snapshots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Row, func, select

from journal import schema
from optimize.tuning.outcomes import days_held, margin_of_shares
from optimize.tuning.trade_rows import Leg, dte_of, known, legs_of, of_package, sold_deltas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select

__all__ = ["refused_rows"]

_SNAPSHOT: Final = (
    "kind", "multiplier", "max_profit", "max_loss", "buying_power", "risk", "spot", "expiry", "dte",
    "iv_rank", "delta", "score", "probability", "entry_price",
)  # fmt: skip
_CASE: Final = (
    "recommendation_id", "symbol", "side", "entry_ts", "entry_price", "exit_ts", "quantity", "pnl", "fees",
    "r_multiple", "mfe_fraction",
)  # fmt: skip


def refused_rows(
    connection: Connection, source: str, kind: str, until: int | None, counts: dict[str, int]
) -> list[dict[str, Any]]:
    """Return a row per refusal whose outcome is known and whose recommendation was not traded after all."""
    table, snapshot, trades = schema.counterfactuals, schema.recommendations, schema.trades
    ended = [table.c.source == source, table.c.state == "closed"]
    if until is not None:
        ended.append(table.c.exit_ts <= until)
    counts["unsnapped"] = int(
        connection.execute(
            select(func.count()).select_from(table).where(*ended, table.c.recommendation_id.is_(None))
        ).scalar_one()
    )
    traded = select(trades.c.id).where(trades.c.recommendation_id == snapshot.c.id).exists()
    query: Select[Any] = (
        select(
            *(table.c[name] for name in _CASE), *(snapshot.c[name].label(f"at_{name}") for name in _SNAPSHOT)
        )
        .join(snapshot, table.c.recommendation_id == snapshot.c.id)
        .where(*ended, snapshot.c.kind == kind, ~traded)
        .order_by(table.c.entry_ts, table.c.id)
    )
    rows = [row for row in connection.execute(query) if row.entry_ts and row.exit_ts]
    sold = sold_deltas(connection, "recommendation_id", [row.recommendation_id for row in rows])
    naked = [row.recommendation_id for row in rows if not row.at_max_loss and not row.at_buying_power]
    legs = legs_of(connection, "recommendation_id", naked if kind == "option" else [])
    counts["refused"] = len(rows)
    return [
        _of_refusal(row, kind, sold.get(row.recommendation_id), legs.get(row.recommendation_id, []))
        for row in rows
    ]


def _of_refusal(row: Row[Any], kind: str, sold_delta: float | None, legs: Sequence[Leg]) -> dict[str, Any]:
    common = {
        "symbol": row.symbol, "entry_ts": row.entry_ts, "exit_ts": row.exit_ts, "taken": False,
        "r": known(row.r_multiple), "days": days_held(row.entry_ts, row.exit_ts),
    }  # fmt: skip
    size = row.quantity * row.at_multiplier
    if kind == "stock":
        margin = margin_of_shares(buying_power=None, cost=row.entry_price * size)
        least = -1.0 if row.side > 0 else math.nan
        bounds = {"least": least, "most": math.nan, "mfe_fraction": math.nan, "fees": row.fees / margin}
        return common | bounds | {"r_margin": row.pnl / margin, "pattern_score": known(row.at_score)}

    def whole(each: float | None) -> float | None:
        return None if each is None else each * row.quantity

    run = row.mfe_fraction  # of the entry price
    return common | of_package(
        size=size, side=row.side, entry_price=row.entry_price, spot=row.at_spot, legs=legs,
        max_profit=whole(row.at_max_profit), max_loss=whole(row.at_max_loss),
        buying_power=whole(row.at_buying_power), initial_risk=whole(row.at_risk), pnl=row.pnl, fees=row.fees,
        mfe=None if run is None else run * row.entry_price * size, sold_delta=sold_delta, delta=row.at_delta,
        iv_rank=row.at_iv_rank, dte=dte_of(row.at_dte, row.at_expiry, row.entry_ts),
        probability=row.at_probability, score=row.at_score,
    )  # fmt: skip
