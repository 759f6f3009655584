"""Closed trades of a journal as rows for tuning: outcome, margin, days and what was known at entry.

An assigned option and the shares that came of it are one row: the option alone keeps its whole credit, and
the loss is in the shares. While the shares are held there is no row, and none for a position that was only
marked when the data of a backtest ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from journal import schema
from optimize.tuning.cases import DAY
from optimize.tuning.outcomes import days_held, exchange_margin, margin_of_package, margin_of_shares

__all__ = ["closed_rows", "dte_of", "known", "legs_of", "of_package", "sold_deltas"]

Leg = tuple[int, str, float | None, float]
"""Side, kind, strike and ratio."""

_MARKED: Final = "end_of_data"
_ASSIGNED: Final = "assignment"
_AT_ONCE: Final = 500  # values that are bound to one question
_EPOCH: Final = date(1970, 1, 1)

_TRADE: Final = (
    "id", "run_id", "campaign_id", "kind", "symbol", "strategy", "side", "quantity", "multiplier", "entry_ts",
    "entry_price", "initial_risk", "max_profit", "max_loss", "buying_power", "spot", "expiry", "dte",
    "iv_rank", "delta", "score", "probability", "exit_ts", "exit_price", "close_code", "status", "pnl",
    "fees", "mfe",
)  # fmt: skip


def closed_rows(
    connection: Connection,
    source: str,
    kind: str,
    runs: tuple[int, ...] | None,
    until: int | None,
    counts: dict[str, int],
) -> list[dict[str, Any]]:
    """Return a row per closed trade, shares of an assignment added to their option."""
    table = schema.trades.c
    query = select(*(table[name] for name in _TRADE)).where(table.source == source)
    if runs is not None:
        query = query.where(table.run_id.in_(runs))
    everything = list(connection.execute(query.order_by(table.entry_ts, table.id)))
    delivered = _delivered(everything)
    shares = {row.id for held in delivered.values() for row in held}
    mine = [row for row in everything if row.kind == kind and row.status == "closed" and row.id not in shares]
    sold = sold_deltas(connection, "trade_id", [row.id for row in mine]) if kind == "option" else {}
    naked = [row.id for row in mine if row.kind == "option" and not row.max_loss and not row.buying_power]
    legs = legs_of(connection, "trade_id", naked)
    found: list[dict[str, Any]] = []
    seen: set[tuple[Any, ...]] = set()
    for row in mine:
        parts = delivered.get(row.id, [])
        if any(part.status != "closed" for part in parts):
            counts["held"] += 1
            continue
        if _MARKED in {row.close_code, *(part.close_code for part in parts)}:
            counts["marked"] += 1
            continue
        exit_ts = max([row.exit_ts, *(part.exit_ts for part in parts)])
        if until is not None and exit_ts > until:
            continue
        # runs over the same market that differ in what did not matter have the same trade
        same = (row.symbol, row.strategy, row.entry_ts, row.exit_ts, row.entry_price, row.exit_price, row.dte)
        if runs is not None and len(runs) > 1 and same in seen:
            counts["twice"] += 1
            continue
        seen.add(same)
        pnl = math.fsum([row.pnl, *(part.pnl for part in parts)])
        fees = math.fsum([row.fees, *(part.fees for part in parts)])
        found.append(_of_trade(row, pnl, fees, exit_ts, sold.get(row.id), legs.get(row.id, [])))
    counts["closed"] = len(found)
    return found


def _delivered(everything: Sequence[Row[Any]]) -> dict[int, list[Row[Any]]]:
    """Return the trades in shares that came of an assignment, by the option trade that was assigned.

    In a journal both are of one campaign. The run of a backtest has no campaigns: there both are of one
    symbol and strategy, and the shares begin at the moment at which the option ended.
    """
    assigned: dict[tuple[Any, ...], list[Row[Any]]] = {}
    for row in everything:
        if row.kind == "option" and row.close_code == _ASSIGNED:
            for key in _places(row, row.exit_ts):
                assigned.setdefault(key, []).append(row)
    found: dict[int, list[Row[Any]]] = {}
    for row in everything:
        if row.kind != "stock":
            continue
        options = [one for key in _places(row, row.entry_ts) for one in assigned.get(key, ())]
        # assigned in parts, it lives on for a while
        options = [one for one in options if one.entry_ts <= row.entry_ts <= one.exit_ts]
        if options:
            owner = max(options, key=lambda one: (one.entry_ts, one.id))
            found.setdefault(owner.id, []).append(row)
    return found


def _places(row: Row[Any], moment: int) -> list[tuple[Any, ...]]:
    """Return where an option and the shares that came of it meet."""
    places: list[tuple[Any, ...]] = []
    if row.campaign_id is not None:
        places.append(("campaign", row.campaign_id, row.symbol))
    if row.run_id is not None:
        places.append(("run", row.run_id, row.symbol, row.strategy, moment))
    return places


def _of_trade(
    row: Row[Any],
    pnl: float,
    fees: float,
    exit_ts: int,
    sold_delta: float | None,
    legs: Sequence[Leg],
) -> dict[str, Any]:
    size = row.quantity * row.multiplier
    risk = row.initial_risk if row.initial_risk else math.nan
    common = {
        "symbol": row.symbol, "entry_ts": row.entry_ts, "exit_ts": exit_ts, "taken": True, "r": pnl / risk,
        "days": days_held(row.entry_ts, exit_ts),
    }  # fmt: skip
    if row.kind == "stock":
        margin = margin_of_shares(buying_power=row.buying_power, cost=row.entry_price * size)
        # nothing bounds the loss of shares sold, or the profit of shares bought
        least = -1.0 if row.side > 0 and row.buying_power is None else math.nan
        bounds = {"least": least, "most": math.nan, "mfe_fraction": math.nan, "fees": fees / margin}
        return common | bounds | {"r_margin": pnl / margin, "pattern_score": known(row.score)}
    return common | of_package(
        size=size, side=row.side, entry_price=row.entry_price, spot=row.spot, legs=legs,
        max_profit=row.max_profit, max_loss=row.max_loss, buying_power=row.buying_power,
        initial_risk=row.initial_risk, pnl=pnl, fees=fees, mfe=row.mfe, sold_delta=sold_delta,
        delta=row.delta, iv_rank=row.iv_rank, dte=dte_of(row.dte, row.expiry, row.entry_ts),
        probability=row.probability, score=row.score,
    )  # fmt: skip


def of_package(
    *,
    size: float,
    side: int,
    entry_price: float,
    spot: float | None,
    legs: Sequence[Leg],
    max_profit: float | None,
    max_loss: float | None,
    buying_power: float | None,
    initial_risk: float | None,
    pnl: float,
    fees: float,
    mfe: float | None,
    sold_delta: float | None,
    delta: float | None,
    iv_rank: float | None,
    dte: float,
    probability: float | None,
    score: float | None,
) -> dict[str, Any]:
    """Return outcome and features of a package, taken or refused: one measure for both.

    Parameters
    ----------
    size
        Packages times multiplier.
    max_profit, max_loss, buying_power, initial_risk, pnl, fees, mfe
        Of the whole trade in currency; None is unknown. `mfe` is the largest profit that was open.
    sold_delta, delta
        The largest size among the options sold, and what was logged; the latter counts without the former,
        where it can be that of an option.
    """
    asked = exchange_margin(legs, spot=spot, worth=side * entry_price, size=size)
    margin = margin_of_package(
        buying_power=buying_power, max_loss=max_loss, exchange=asked, initial_risk=initial_risk
    )
    if sold_delta is None and delta is not None and abs(delta) <= 1:
        sold_delta = abs(delta)
    return {
        "r_margin": pnl / margin,
        "fees": fees / margin,
        "least": -(max_loss + fees) / margin if max_loss else math.nan,
        "most": max_profit / margin if max_profit else math.nan,
        "mfe_fraction": mfe / max_profit if mfe is not None and max_profit else math.nan,
        "iv_rank": known(iv_rank),
        "dte": dte,
        "delta": known(sold_delta),
        "probability": known(probability),
        "score": known(score),
    }


def sold_deltas(connection: Connection, owner: str, ids: Sequence[int]) -> dict[int, float]:
    """Return the largest size of delta among the options that each package sold, where it is on record."""
    table = schema.legs.c
    found: dict[int, float] = {}
    for part in _parts(ids):
        query = select(table[owner], func.max(func.abs(table.delta))).where(
            table[owner].in_(part), table.side == -1, table.delta.is_not(None), table.strike.is_not(None)
        )
        found |= {row[0]: float(row[1]) for row in connection.execute(query.group_by(table[owner]))}
    return found


def legs_of(connection: Connection, owner: str, ids: Sequence[int]) -> dict[int, list[Leg]]:
    """Return the legs of packages, in their order."""
    table = schema.legs.c
    found: dict[int, list[Leg]] = {}
    for part in _parts(ids):
        query = select(table[owner], table.side, table.kind, table.strike, table.ratio)
        for row in connection.execute(query.where(table[owner].in_(part)).order_by(table.position)):
            found.setdefault(row[0], []).append((row.side, row.kind, row.strike, row.ratio))
    return found


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[first : first + _AT_ONCE] for first in range(0, len(ids), _AT_ONCE)]


def known(value: float | None) -> float:
    """Return a number, NaN for what is unknown."""
    return math.nan if value is None else float(value)


def dte_of(stated: int | None, expiry: str | None, entry_ts: int) -> float:
    """Return calendar days to expiry at entry: as stated, else from the expiry (ISO date), else NaN."""
    if stated is not None:
        return float(stated)
    if expiry is None:
        return math.nan
    return float((date.fromisoformat(expiry) - _EPOCH).days - entry_ts // DAY)
