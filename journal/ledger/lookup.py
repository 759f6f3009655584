"""Finding what is meant: trades by number or name, recommendations, their legs, fills and insights.

A trade is named by its number (1, "1"), by the name its owner gave it, or by "TRADE_001", which is number 1
unless some trade bears that name. What is not found is answered with what is near.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select

from journal import schema
from journal.records import (
    Campaign,
    Fill,
    Leg,
    Recommendation,
    StoredInsight,
    Trade,
    fill_of,
    insight_of,
    leg_of,
    recommendation_of,
    trade_of,
)
from journal.values import integer, symbol_of, text
from simulator.errors import DataError, UnknownNameError, did_you_mean

__all__ = [
    "campaign_of",
    "chosen",
    "fills_of",
    "get_recommendation",
    "get_trade",
    "insights_of",
    "legs_of",
    "recommendation_number",
    "recommendations_where",
    "resolve",
    "trades_where",
]

TradeId = int | str

_NUMBERED: Final = re.compile(r"(?:TRADE_)?0*(\d{1,18})", re.IGNORECASE)
_REC_NUMBERED: Final = re.compile(r"(?:REC(?:OMMENDATION)?_)?0*(\d{1,18})", re.IGNORECASE)
_NEAR: Final = 500
"""Names looked at for near misses: the latest ones."""

_TRADE: Final = select(schema.trades).where(schema.trades.c.id == bindparam("key"))
_TRADE_EXISTS: Final = select(schema.trades.c.id).where(schema.trades.c.id == bindparam("key"))
_TRADE_NAMED: Final = select(schema.trades.c.id).where(schema.trades.c.name == bindparam("key"))
_RECOMMENDATION: Final = select(schema.recommendations).where(schema.recommendations.c.id == bindparam("key"))
_TRADE_LEGS: Final = (
    select(schema.legs).where(schema.legs.c.trade_id == bindparam("key")).order_by(schema.legs.c.position)
)
_RECOMMENDATION_LEGS: Final = (
    select(schema.legs)
    .where(schema.legs.c.recommendation_id == bindparam("key"))
    .order_by(schema.legs.c.position)
)
_FILLS: Final = (
    select(schema.fills)
    .where(schema.fills.c.trade_id == bindparam("key"))
    .order_by(schema.fills.c.ts, schema.fills.c.id)
)


def resolve(connection: Connection, trade_id: TradeId) -> int:
    """Return the number of a trade.

    Raises
    ------
    UnknownNameError
        JOURNAL_TRADE where no trade has that number or name.
    DataError
        JOURNAL_VALUE for what is neither a number nor a text.
    """
    if isinstance(trade_id, str):
        name = text("trade_id", trade_id).strip()
        named = connection.execute(_TRADE_NAMED, {"key": name}).scalar()
        if named is not None:
            return int(named)
        numbered = _NUMBERED.fullmatch(name)
        number = int(numbered.group(1)) if numbered else None
    else:
        number = integer("trade_id", trade_id)
    if number is not None and connection.execute(_TRADE_EXISTS, {"key": number}).scalar() is not None:
        return number
    raise UnknownNameError(
        f"no trade {trade_id!r} in this journal.{_near_trades(connection, trade_id)}", code="JOURNAL_TRADE"
    )


def get_trade(connection: Connection, trade_id: TradeId) -> Trade:
    """Return a trade with its legs."""
    row = None
    if type(trade_id) is int:  # the common case in one look
        row = connection.execute(_TRADE, {"key": trade_id}).one_or_none()
    if row is None:
        row = connection.execute(_TRADE, {"key": resolve(connection, trade_id)}).one()
    if row.kind == "stock":
        return trade_of(row)
    return trade_of(row, legs_of(connection, row.id))


def recommendation_number(rec_id: int | str) -> int:
    """Return the number of a recommendation: 1, "1" and "REC_001" are the same."""
    if isinstance(rec_id, str):
        numbered = _REC_NUMBERED.fullmatch(rec_id.strip())
        if numbered is None:
            raise DataError(
                f"rec_id is {rec_id!r}; a recommendation is named by its number", code="JOURNAL_VALUE"
            )
        return int(numbered.group(1))
    return integer("rec_id", rec_id)


def get_recommendation(connection: Connection, rec_id: int | str, now: int) -> Recommendation:
    """Return a recommendation with its legs, as it stands at `now`.

    Raises
    ------
    UnknownNameError
        JOURNAL_RECOMMENDATION where there is none of that number.
    """
    number = recommendation_number(rec_id)
    row = connection.execute(_RECOMMENDATION, {"key": number}).one_or_none()
    if row is None:
        last = connection.execute(select(func.max(schema.recommendations.c.id))).scalar()
        known = f"Numbers run from 1 to {last}." if last else "There is none yet."
        raise UnknownNameError(f"no recommendation {rec_id!r}. {known}", code="JOURNAL_RECOMMENDATION")
    legs = [leg_of(leg) for leg in connection.execute(_RECOMMENDATION_LEGS, {"key": number})]
    return recommendation_of(row, now, legs)


def legs_of(connection: Connection, trade_id: int) -> list[Leg]:
    """Return the legs of a trade in their order."""
    return [leg_of(row) for row in connection.execute(_TRADE_LEGS, {"key": trade_id})]


def fills_of(connection: Connection, trade_id: int) -> list[Fill]:
    """Return the fills of a trade in the order of their times."""
    return [fill_of(row) for row in connection.execute(_FILLS, {"key": trade_id})]


def insights_of(connection: Connection, trade_id: int | None) -> list[StoredInsight]:
    """Return what was learned of one trade, or of all."""
    query = select(schema.insights).order_by(schema.insights.c.id)
    if trade_id is not None:
        query = query.where(schema.insights.c.trade_id == trade_id)
    return [insight_of(row) for row in connection.execute(query)]


def campaign_of(connection: Connection, trade_id: int) -> Campaign:
    """Return all trades that belong together with this one, in the order of their entries."""
    trade = get_trade(connection, trade_id)
    first = trade.id if trade.campaign_id is None else trade.campaign_id
    table = schema.trades.c
    members = trades_where(connection, [or_(table.campaign_id == first, table.id == first)], None)
    return Campaign(first, tuple(members))


def trades_where(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int | None
) -> list[Trade]:
    """Return trades with their legs that fulfil all conditions, in the order of their entries.

    With a limit, the last ones.
    """
    table = schema.trades
    query = select(table).where(*conditions)
    query = query.order_by(table.c.entry_ts.desc(), table.c.id.desc()).limit(limit)
    rows = connection.execute(query).all()[::-1]
    legs = _legs_by_owner(connection, "trade_id", [row.id for row in rows])
    return [trade_of(row, legs[row.id]) for row in rows]


def recommendations_where(
    connection: Connection,
    *,
    now: int,
    status: str | None,
    symbol: str | None,
    source: Sequence[str] | None,
    limit: int | None,
) -> list[Recommendation]:
    """Return recommendations with their legs in the order in which they were logged."""
    table = schema.recommendations
    late = and_(table.c.status == "recommended", table.c.expires_ts < now)
    query = select(table)
    if status is not None:
        chosen("status", status, schema.RECOMMENDATION_STATES)
        if status == "expired":
            query = query.where(or_(table.c.status == "expired", late))
        elif status == "recommended":
            query = query.where(
                table.c.status == "recommended", or_(table.c.expires_ts.is_(None), table.c.expires_ts >= now)
            )
        else:
            query = query.where(table.c.status == status)
    if symbol is not None:
        query = query.where(table.c.symbol == symbol_of("symbol", symbol))
    if source is not None:
        query = query.where(table.c.source.in_(source))
    rows = connection.execute(query.order_by(table.c.id.desc()).limit(limit)).all()[::-1]
    legs = _legs_by_owner(connection, "recommendation_id", [row.id for row in rows])
    return [recommendation_of(row, now, legs[row.id]) for row in rows]


def chosen(name: str, value: str, choices: Iterable[str]) -> str:
    """Return `value` if it is one of the choices.

    Raises
    ------
    DataError
        JOURNAL_CHOICE, with the nearest choice.
    """
    options = tuple(choices)
    if value not in options:
        near = did_you_mean(value.lower(), options) if isinstance(value, str) else ""
        raise DataError(
            f"{name} is {value!r}; it must be one of {', '.join(options)}."
            + (near if near.startswith(" Did") else ""),
            code="JOURNAL_CHOICE",
        )
    return value


def _legs_by_owner(connection: Connection, owner: str, ids: Sequence[int]) -> dict[int, list[Leg]]:
    found: dict[int, list[Leg]] = defaultdict(list)
    column = cast("ColumnElement[Any]", schema.legs.c[owner])
    for start in range(0, len(ids), 500):  # SQLite limits the number of bound values
        query = select(schema.legs).where(column.in_(ids[start : start + 500]))
        for row in connection.execute(query.order_by(column, schema.legs.c.position)):
            found[row._mapping[owner]].append(leg_of(row))
    return found


def _near_trades(connection: Connection, given: TradeId) -> str:
    table = schema.trades.c
    last = connection.execute(select(func.max(table.id))).scalar()
    if last is None:
        return " It holds no trade yet."
    numbers = f" Numbers run from 1 to {last}."
    if isinstance(given, str):
        query = select(table.name).where(table.name.is_not(None)).order_by(table.id.desc()).limit(_NEAR)
        names = [str(name) for name in connection.execute(query).scalars()]
        near = did_you_mean(given, names)
        return near + numbers if near.startswith(" Did") else numbers
    return numbers
