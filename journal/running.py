"""Running figures after each closed trade, kept as a time series.

`performance_metrics` holds one row per scope ("all", "strategy:...", "symbol:...") after each close, so the
win rate of any day is one look-up and the next row follows from the last one alone. Within a source and scope
the rows stand in the order of (exit time, trade id). An exit that is logged late, with an earlier time than
the last row, has the rows behind it written anew; the common case appends.

A profit of exactly 0 is a scratch: it counts as a trade, is neither win nor loss, and ends no streak.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from journal.schema import performance_metrics, trades

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from journal.records import Trade

__all__ = ["Running", "rebuild", "scopes_of", "update"]

_ROWS_PER_INSERT = 5_000


@dataclass(slots=True)
class Running:
    """Figures of a scope after its last closed trade; amounts in currency."""

    trades: int = 0
    wins: int = 0
    losses: int = 0
    gross_profit: float = 0.0
    gross_loss: float = 0.0
    total_pnl: float = 0.0
    total_fees: float = 0.0
    sum_squares: float = 0.0
    r_count: int = 0
    sum_r: float = 0.0
    sum_r_squares: float = 0.0
    streak: int = 0
    longest_win_streak: int = 0
    longest_loss_streak: int = 0
    peak_pnl: float = 0.0
    max_drawdown: float = 0.0

    def add(self, pnl: float, fees: float, r_multiple: float | None) -> None:
        """Take in the next closed trade."""
        self.trades += 1
        if pnl > 0:
            self.wins += 1
            self.gross_profit += pnl
            self.streak = max(self.streak, 0) + 1
            self.longest_win_streak = max(self.longest_win_streak, self.streak)
        elif pnl < 0:
            self.losses += 1
            self.gross_loss += pnl
            self.streak = min(self.streak, 0) - 1
            self.longest_loss_streak = max(self.longest_loss_streak, -self.streak)
        self.total_pnl += pnl
        self.total_fees += fees
        self.sum_squares += pnl * pnl
        if r_multiple is not None:
            self.r_count += 1
            self.sum_r += r_multiple
            self.sum_r_squares += r_multiple * r_multiple
        self.peak_pnl = max(self.peak_pnl, self.total_pnl)
        self.max_drawdown = min(self.max_drawdown, self.total_pnl - self.peak_pnl)

    def row(self) -> dict[str, Any]:
        """Return the columns of `performance_metrics` that follow from the sums."""
        return {
            **{name: getattr(self, name) for name in _SUMS},
            "win_rate": 100.0 * self.wins / self.trades if self.trades else None,
            "profit_factor": _finite(self.gross_profit / -self.gross_loss) if self.gross_loss else None,
            "expectancy": self.total_pnl / self.trades if self.trades else None,
            "average_win": self.gross_profit / self.wins if self.wins else None,
            "average_loss": self.gross_loss / self.losses if self.losses else None,
            "average_r": self.sum_r / self.r_count if self.r_count else None,
        }


_SUMS = tuple(Running.__dataclass_fields__)


def scopes_of(symbol: str, strategy: str) -> tuple[str, str, str]:
    """Return the scopes that a trade counts in."""
    return "all", f"strategy:{strategy}", f"symbol:{symbol}"


def update(connection: Connection, trade: Trade) -> None:
    """Append the figures after a trade that has just closed, in every scope it counts in.

    A trade that is already in the series (its row was corrected) replaces what it was. Costs one look-up and
    one insert per scope where exits arrive in order.
    """
    if trade.status != "closed" or trade.exit_ts is None:
        return
    fresh: list[dict[str, Any]] = []
    for scope in scopes_of(trade.symbol, trade.strategy):
        state, later = _cut(connection, trade, scope)
        closes = [_Close(trade.exit_ts, trade.id, trade.pnl, trade.fees, trade.r_multiple), *later]
        fresh.extend(_rows(state, trade.source, scope, closes))
    connection.execute(insert(performance_metrics), fresh)


def rebuild(connection: Connection, source: str) -> int:
    """Write the whole series of a source anew from its closed trades; returns the number of trades.

    For imports and for corrections of trades that closed long ago.
    """
    connection.execute(delete(performance_metrics).where(performance_metrics.c.source == source))
    closed = connection.execute(
        select(
            trades.c.exit_ts,
            trades.c.id,
            trades.c.pnl,
            trades.c.fees,
            trades.c.r_multiple,
            trades.c.symbol,
            trades.c.strategy,
        )
        .where(trades.c.source == source, trades.c.status == "closed")
        .order_by(trades.c.exit_ts, trades.c.id)
    ).all()
    states: dict[str, Running] = {}
    batch: list[dict[str, Any]] = []
    for exit_ts, trade_id, pnl, fees, r_multiple, symbol, strategy in closed:
        close = [_Close(exit_ts, trade_id, pnl, fees, r_multiple)]
        for scope in scopes_of(symbol, strategy):
            batch.extend(_rows(states.setdefault(scope, Running()), source, scope, close))
        if len(batch) >= _ROWS_PER_INSERT:
            connection.execute(insert(performance_metrics), batch)
            batch = []
    if batch:
        connection.execute(insert(performance_metrics), batch)
    return len(closed)


@dataclass(frozen=True, slots=True, order=True)
class _Close:
    exit_ts: int
    trade_id: int
    pnl: float = field(compare=False)
    fees: float = field(compare=False)
    r_multiple: float | None = field(compare=False)


def _cut(connection: Connection, trade: Trade, scope: str) -> tuple[Running, list[_Close]]:
    """Return the state before `trade` in a scope, and the closes behind it, whose rows are removed."""
    table = performance_metrics
    at = (trade.exit_ts, trade.id)
    later: list[int] = []
    found: Any = None
    size, before = 1, None
    while True:
        query = select(table).where(table.c.source == trade.source, table.c.scope == scope)
        if before is not None:
            query = query.where(table.c.id < before)
        rows = connection.execute(query.order_by(table.c.id.desc()).limit(size)).all()
        for row in rows:
            if (row.ts, row.trade_id) < at:
                found = row
                break
            later.append(row.trade_id)
            before = row.id
        if found is not None or len(rows) < size:
            break
        size = min(4 * size, 1_000)
    state = Running(**{name: getattr(found, name) for name in _SUMS}) if found is not None else Running()
    if before is None:
        return state, []
    connection.execute(
        delete(table).where(table.c.source == trade.source, table.c.scope == scope, table.c.id >= before)
    )
    return state, sorted(_closes(connection, [number for number in later if number != trade.id]))


def _closes(connection: Connection, numbers: list[int]) -> Iterator[_Close]:
    for start in range(0, len(numbers), 500):
        rows = connection.execute(
            select(trades.c.exit_ts, trades.c.id, trades.c.pnl, trades.c.fees, trades.c.r_multiple).where(
                trades.c.id.in_(numbers[start : start + 500])
            )
        )
        for row in rows:
            yield _Close(*row)


def _rows(state: Running, source: str, scope: str, closes: Iterable[_Close]) -> Iterator[dict[str, Any]]:
    for close in closes:
        state.add(close.pnl, close.fees, close.r_multiple)
        yield {
            "source": source,
            "scope": scope,
            "ts": close.exit_ts,
            "trade_id": close.trade_id,
            **state.row(),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) and value <= 1e300 else None
