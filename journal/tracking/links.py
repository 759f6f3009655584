"""Which recommendation an order executes, and what trades are called that nobody recommended.

An order executes a recommendation of the same source that has its symbol, legs and side, was made at most
`WINDOW` before the fill, had not expired at the fill, and was not ignored. The quantity may differ, and the
price by a share that still is the same idea. Of several the one with the nearest price counts, then the
latest.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta

from sqlalchemy import Connection, or_, select, update

from journal import schema
from journal.ledger.lookup import get_recommendation
from journal.records import Recommendation
from journal.statements.grouping import Group
from journal.statements.rows import contract
from journal.statements.shape import package_of
from journal.tracking.plan import follow

__all__ = ["EXTERNAL", "WINDOW", "inherit", "link", "recommended"]

EXTERNAL = "external"
"""Strategy of what somebody traded without a recommendation or an entry in the journal."""

WINDOW = timedelta(days=10)
"""How long before a fill its recommendation may have been made."""

OPTION_PRICE_SHARE = 0.5
STOCK_PRICE_SHARE = 0.1
"""Share of the recommended price by which a fill may differ from it and still execute it."""

_WINDOW = round(WINDOW.total_seconds()) * 1_000_000_000


def recommended(
    connection: Connection, one: Group, underlying: str, source: str, used: Collection[int]
) -> int | None:
    """Return the recommendation that a group of fills executes, None where there is none.

    Parameters
    ----------
    used
        Recommendations that other groups of this sync execute.
    """
    opening = [part for part in one.parts if part.effect == "open"]
    if any(part.kind != "trade" for part in opening):
        return None
    held = package_of(one)
    entered = math.fsum(part.cash for part in opening)
    side = -1 if entered > 0 else 1
    if held.kind == "stock":
        side = next(iter(one.legs.values())).side
    price = abs(entered) / (held.quantity * held.multiplier)
    ts = min(part.row.ts for part in opening)
    table = schema.recommendations.c
    query = select(table.id, table.entry_price, table.created_ts).where(
        table.symbol == underlying, table.source == source, table.side == side, table.kind == held.kind,
        table.status.in_(("recommended", "expired")), table.created_ts <= ts,
        table.created_ts >= ts - _WINDOW, or_(table.expires_ts.is_(None), table.expires_ts >= ts),
    )  # fmt: skip
    share = STOCK_PRICE_SHARE if held.kind == "stock" else OPTION_PRICE_SHARE
    legs = {
        _named(symbol, leg.side, held.ratios[symbol])
        for symbol, leg in one.legs.items()
        if held.kind == "option"
    }
    best: tuple[float, int, int] | None = None
    for number, wanted, created in connection.execute(query):
        distance = abs(price - wanted)
        if number in used or distance > share * max(wanted, price):
            continue
        recommendation = get_recommendation(connection, number, ts)
        if _legs(recommendation) == legs:
            rank = distance, -created, number
            best = rank if best is None else min(best, rank)
    return None if best is None else best[2]


def link(connection: Connection, found: Mapping[str, int], now: int) -> set[int]:
    """Make trades the executions of recommendations; returns the trades.

    Parameters
    ----------
    found
        Recommendations by the key of a row that opens the trade.
    """
    fills, trades = schema.fills.c, schema.trades
    linked = set()
    for key, number in found.items():
        trade = connection.execute(select(fills.trade_id).where(fills.execution_key == key)).scalar_one()
        row = dict(connection.execute(select(trades).where(trades.c.id == trade)).one()._mapping)
        if row["recommendation_id"] is None:
            follow(connection, row, get_recommendation(connection, number, now), now=now)
            linked.add(int(trade))
    return linked


def inherit(connection: Connection, opened: Iterable[int], account: str) -> set[int]:
    """Name trades that execute no recommendation: as what they continue, else external; returns the latter.

    A roll, and shares of an assignment, bear the strategy of the trade that they come from.
    """
    trades = schema.trades
    columns = (trades.c.id, trades.c.strategy, trades.c.rolled_from_id, trades.c.campaign_id)
    fresh = set(opened)
    late = trades.c.strategy == EXTERNAL, trades.c.account == (account or None), trades.c.status == "open"
    continued = or_(trades.c.rolled_from_id.is_not(None), trades.c.campaign_id.is_not(None))
    numbers = fresh | set(connection.execute(select(trades.c.id).where(*late, continued)).scalars())
    external = set()
    for number in sorted(numbers):
        row = connection.execute(select(*columns).where(trades.c.id == number)).one()
        origin = row.rolled_from_id if row.rolled_from_id is not None else row.campaign_id
        name = EXTERNAL
        if origin is not None and origin != number:
            name = connection.execute(select(trades.c.strategy).where(trades.c.id == origin)).scalar_one()
        elif number in fresh:
            external.add(number)
        if name != row.strategy:
            connection.execute(update(trades).where(trades.c.id == number).values(strategy=name))
    return external


def _legs(recommendation: Recommendation) -> set[tuple[str, float, str, int, float]]:
    return {_named(leg.symbol, leg.side, leg.ratio) for leg in recommendation.legs}


def _named(symbol: str, side: int, ratio: float) -> tuple[str, float, str, int, float]:
    """Return what a leg is, apart from its root: a broker says SPXW where a scan says SPX."""
    option = contract(symbol)
    if option is None:
        return "shares", 0.0, "", side, ratio
    return option.kind, option.strike, option.expiry.isoformat(), side, ratio
