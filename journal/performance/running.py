"""Running figures after each closed trade, kept as a time series.

`performance_metrics` holds one row per scope ("all", "strategy:...", "symbol:...") after each close, so the
win rate of any day is one look-up and the next row follows from the last one alone. Within a source and scope
the rows stand in the order of (exit time, trade id). An exit that is logged late, with an earlier time than
the last row, has the rows behind it written anew; the common case appends. One close is added step by step,
many are added as columns; both do the same operations in the same order, so the figures are equal to the bit.

A profit of exactly 0 is a scratch: it counts as a trade, is neither win nor loss, and ends no streak.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, union_all

from journal.schema import performance_metrics, trades
from journal.values import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection, CursorResult

    from journal.records import Trade

__all__ = ["Running", "extend", "rebuild", "scopes_of", "update"]

_ROWS_PER_INSERT: Final = 20_000


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


_SUMS: Final = tuple(Running.__dataclass_fields__)
_COLUMNS: Final = (
    "ts", "trade_id", *_SUMS,
    "win_rate", "profit_factor", "expectancy", "average_win", "average_loss", "average_r",
)  # fmt: skip


def scopes_of(symbol: str, strategy: str) -> tuple[str, str, str]:
    """Return the scopes that a trade counts in."""
    return "all", f"strategy:{strategy}", f"symbol:{symbol}"


def update(connection: Connection, trade: Trade) -> None:
    """Append the figures after a trade that has just closed, in every scope it counts in.

    A trade that is already in the series (its row was corrected) replaces what it was. Costs one look-up and
    one insert where exits arrive in order.
    """
    if trade.status != "closed" or trade.exit_ts is None:
        return
    scopes = scopes_of(trade.symbol, trade.strategy)
    names = dict(zip(("all", "strategy", "symbol"), scopes, strict=True))
    last = {row[0]: row for row in connection.execute(_LAST, {"in_source": trade.source, **names})}
    if any((row[1], row[2]) >= (trade.exit_ts, trade.id) for row in last.values()):
        extend(connection, trade.source, [trade])
        return
    fresh: list[dict[str, Any]] = []
    for scope in scopes:
        before = last.get(scope)
        state = Running() if before is None else Running(*before[3:])
        state.add(trade.pnl, trade.fees, trade.r_multiple)
        fresh.append(
            {
                "source": trade.source,
                "scope": scope,
                "ts": trade.exit_ts,
                "trade_id": trade.id,
                **state.row(),
            }
        )
    connection.execute(_INSERT, fresh)


def extend(connection: Connection, source: str, members: Iterable[Trade]) -> None:
    """Add the figures after many trades that have closed; their rows in `trades` must be stored.

    In every scope that one of them counts in, the rows before the first of them stay as they are. Behind it
    the series is written anew, with the trades that were in it already.
    """
    first: dict[str, tuple[int, int]] = {}
    meant = set()
    for trade in members:
        if trade.status != "closed" or trade.exit_ts is None:
            continue
        meant.add(trade.id)
        at = (trade.exit_ts, trade.id)
        for scope in scopes_of(trade.symbol, trade.strategy):
            if scope not in first or at < first[scope]:
                first[scope] = at
    if not meant:
        return
    states: dict[str, Running] = {}
    cut: list[dict[str, Any]] = []
    for scope, (ts, number) in first.items():
        keys = {"in_source": source, "in_scope": scope, "at_ts": ts, "at_trade": number}
        row = connection.execute(_BEFORE, keys).one_or_none()
        states[scope] = Running() if row is None else Running(*row[1:])
        cut.append({"in_source": source, "in_scope": scope, "after": 0 if row is None else row[0]})
    everything = next(one for one in cut if one["in_scope"] == "all")
    meant.update(connection.execute(_BEHIND, everything).scalars())
    connection.execute(_CUT, cut)
    begin = first["all"][0]
    closes = connection.execute(_CLOSES.where(trades.c.exit_ts >= begin), {"in_source": source})
    wanted = (row for row in _tuples(closes) if row[1] in meant)
    _write(connection, source, states, _by_scope(wanted, first))


def rebuild(connection: Connection, source: str) -> int:
    """Write the whole series of a source anew from its closed trades; returns the number of trades.

    For imports and for corrections of trades that closed long ago.
    """
    connection.execute(delete(performance_metrics).where(performance_metrics.c.source == source))
    found = _by_scope(_tuples(connection.execute(_CLOSES, {"in_source": source})), None)
    _write(connection, source, {}, found)
    return len(found.get("all", ()))


_TABLE: Final = performance_metrics.c
_STATE: Final = tuple(_TABLE[name] for name in _SUMS)
_SERIES: Final = (_TABLE.source == bindparam("in_source"), _TABLE.scope == bindparam("in_scope"))

_LAST: Final = select(_TABLE.scope, _TABLE.ts, _TABLE.trade_id, *_STATE).where(
    _TABLE.id.in_(
        union_all(
            *(
                select(func.max(_TABLE.id)).where(
                    _TABLE.source == bindparam("in_source"), _TABLE.scope == bindparam(name)
                )
                for name in ("all", "strategy", "symbol")
            )
        )
    )
)
_BEFORE: Final = (
    select(_TABLE.id, *_STATE)
    .where(
        *_SERIES,
        or_(
            _TABLE.ts < bindparam("at_ts"),
            and_(_TABLE.ts == bindparam("at_ts"), _TABLE.trade_id < bindparam("at_trade")),
        ),
    )
    .order_by(_TABLE.id.desc())
    .limit(1)
)
_BEHIND: Final = select(_TABLE.trade_id).where(*_SERIES, _TABLE.id > bindparam("after"))
_CUT: Final = delete(performance_metrics).where(*_SERIES, _TABLE.id > bindparam("after"))
_INSERT: Final = insert(performance_metrics)
_CLOSES: Final = (
    select(
        trades.c.exit_ts,
        trades.c.id,
        trades.c.pnl,
        trades.c.fees,
        trades.c.r_multiple,
        trades.c.symbol,
        trades.c.strategy,
    )
    .where(trades.c.source == bindparam("in_source"), trades.c.status == "closed")
    .order_by(trades.c.exit_ts, trades.c.id)
)
"""Written once for all closes: making a statement costs more than running it."""


def _tuples(result: CursorResult[Any]) -> Any:
    """Return the driver's own rows: those of the result object cost as much again."""
    return result.cursor


def _by_scope(closes: Iterable[Any], first: Mapping[str, tuple[int, int]] | None) -> dict[str, list[Any]]:
    """Sort closes into their scopes, in each from its first one on."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in closes:
        for scope in scopes_of(row[5], row[6]):
            if first is None or (scope in first and (row[0], row[1]) >= first[scope]):
                found[scope].append(row)
    return found


def _write(
    connection: Connection,
    source: str,
    states: Mapping[str, Running],
    closes: Mapping[str, list[Any]],
) -> None:
    """Store the rows of many closes; the driver takes the values as they are, the table checks them."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    names = ("source", "scope", *_COLUMNS)
    marks = ", ".join([mark] * len(names))
    statement = f"INSERT INTO {performance_metrics.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
    for scope, rows in closes.items():
        columns = _columns(states.get(scope, Running()), rows)
        for start in range(0, len(rows), _ROWS_PER_INSERT):
            portion = slice(start, start + _ROWS_PER_INSERT)
            parts = [_plain(columns[name][portion]) for name in _COLUMNS]
            fresh = list(zip(repeat(source), repeat(scope), *parts, strict=False))
            connection.exec_driver_sql(statement, fresh)


def _columns(state: Running, rows: list[Any]) -> dict[str, NDArray[Any]]:
    """Return the columns of the series after each of some closes; what is unknown is NaN."""
    import numpy as np

    ts, number, pnl, fees, known = (np.array([row[place] for row in rows]) for place in range(5))
    r_multiple = known.astype(np.float64)  # None is NaN
    has_r = ~np.isnan(r_multiple)
    signs = np.sign(pnl).astype(np.int64)

    def total(start: float, values: NDArray[Any]) -> NDArray[Any]:
        return np.cumsum(np.concatenate(([start], values)))[1:]

    def extreme(of: Any, start: float, values: NDArray[Any]) -> NDArray[Any]:
        return of.accumulate(np.concatenate(([start], values)))[1:]  # type: ignore[no-any-return]

    found: dict[str, NDArray[Any]] = {
        "ts": ts,
        "trade_id": number,
        "trades": state.trades + np.arange(1, len(rows) + 1),
        "wins": total(state.wins, signs > 0),
        "losses": total(state.losses, signs < 0),
        "gross_profit": total(state.gross_profit, np.where(signs > 0, pnl, 0.0)),
        "gross_loss": total(state.gross_loss, np.where(signs < 0, pnl, 0.0)),
        "total_pnl": total(state.total_pnl, pnl),
        "total_fees": total(state.total_fees, fees),
        "sum_squares": total(state.sum_squares, pnl * pnl),
        "r_count": total(state.r_count, has_r),
        "sum_r": total(state.sum_r, np.where(has_r, r_multiple, 0.0)),
        "sum_r_squares": total(state.sum_r_squares, np.where(has_r, r_multiple * r_multiple, 0.0)),
        "streak": np.array(list(accumulate(signs.tolist(), _next_streak, initial=state.streak))[1:]),
    }
    found["longest_win_streak"] = extreme(np.maximum, state.longest_win_streak, found["streak"])
    found["longest_loss_streak"] = extreme(np.maximum, state.longest_loss_streak, -found["streak"])
    found["peak_pnl"] = extreme(np.maximum, state.peak_pnl, found["total_pnl"])
    found["max_drawdown"] = extreme(np.minimum, state.max_drawdown, found["total_pnl"] - found["peak_pnl"])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found["win_rate"] = 100.0 * found["wins"] / found["trades"]
        factor = found["gross_profit"] / -found["gross_loss"]
        found["profit_factor"] = np.where(np.abs(factor) <= LARGEST, factor, np.nan)
        found["expectancy"] = found["total_pnl"] / found["trades"]
        found["average_win"] = found["gross_profit"] / found["wins"]
        found["average_loss"] = found["gross_loss"] / found["losses"]
        found["average_r"] = found["sum_r"] / found["r_count"]
    return found


def _next_streak(streak: int, sign: int) -> int:
    if sign == 0:
        return streak
    return streak + sign if streak * sign > 0 else sign


def _plain(values: NDArray[Any]) -> list[Any]:
    """Return values as the driver takes them: Python's numbers, and None for NaN."""
    plain: list[Any] = values.tolist()
    if values.dtype.kind == "f":
        return [None if value != value else value for value in plain]
    return plain


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) and value <= LARGEST else None
