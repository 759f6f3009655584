"""Journal against broker, over the union of what either holds.

Compared is the net quantity of each contract and stock: open legs of the journal's trades in the account,
and the broker's holdings. A trade that names no account counts if the journal knows no other account of its
source. What does not agree is described with its likely cause; nothing is changed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

from sqlalchemy import Connection, func, select

from journal import schema
from journal.ledger.lookup import trades_where
from journal.records import Trade
from journal.statements.rows import NEW_YORK, contract
from journal.tracking.report import Difference
from journal.tracking.rows import canonical
from journal.values import from_nanoseconds

__all__ = ["compare"]

_SMALL = 1e-9
_LARGEST_SPLIT = 50
_IMPORT = "Import a statement that shows it, or log it by hand."


@dataclass(slots=True)
class _Line:
    """What the journal holds of one symbol."""

    quantity: float = 0.0
    trades: list[Trade] = field(default_factory=list)


def compare(
    connection: Connection, *, source: str, broker: str, account: str, held: dict[str, float], now: int
) -> tuple[list[Difference], int]:
    """Return the differences by symbol, and how many open trades name no account and were left out."""
    trades, unnamed = _open_trades(connection, source, broker, account)
    lines: dict[str, _Line] = defaultdict(_Line)
    legless: dict[str, list[Trade]] = defaultdict(list)
    for trade in trades:
        if trade.kind == "option" and not trade.legs:
            legless[trade.symbol].append(trade)
            continue
        for symbol, quantity in _positions(trade).items():
            lines[symbol].quantity += quantity
            lines[symbol].trades.append(trade)
    found = []
    for symbol in sorted(set(lines) | set(held)):
        line, there = lines[symbol], held.get(symbol, 0.0)
        if abs(line.quantity - there) <= _SMALL * max(1.0, abs(there)):
            continue
        cause, remedy = _explain(connection, source, broker, account, symbol, line, there, legless, now)
        found.append(
            _difference(
                source, broker, account, symbol, line.quantity, there,
                _since(connection, source, broker, account, symbol, line.trades), cause, remedy, line.trades,
            )
        )  # fmt: skip
    for symbol, some in sorted(legless.items()):
        if any(_root(one) == symbol and one != symbol for one in held):
            continue  # its contracts are reported above, each with what the broker holds
        quantity = sum(one.side * one.open_quantity for one in some)
        cause = f"{_names(some)} logged without legs, and the broker holds no option on {symbol}."
        remedy = "If it was closed, log the exit; else log it with its legs."
        since = _since(connection, source, broker, account, symbol, some)
        found.append(_difference(source, broker, account, symbol, quantity, 0.0, since, cause, remedy, some))
    return found, unnamed


def _difference(
    source: str,
    broker: str,
    account: str,
    symbol: str,
    journal: float,
    there: float,
    since: int | None,
    cause: str,
    remedy: str,
    trades: list[Trade],
) -> Difference:
    name = "|".join([source, broker, account, symbol, f"{journal:.9g}", f"{there:.9g}"])
    return Difference(
        id=hashlib.sha256(name.encode()).hexdigest()[:12],
        symbol=symbol,
        journal=journal,
        broker=there,
        since=None if since is None else from_nanoseconds(since),
        cause=cause,
        remedy=remedy,
        trades=tuple(sorted({trade.id for trade in trades})),
    )


def _open_trades(connection: Connection, source: str, broker: str, account: str) -> tuple[list[Trade], int]:
    table, fills = schema.trades.c, schema.fills.c
    trades = trades_where(connection, [table.source == source, table.status == "open"], None)
    brokers: dict[int, set[str]] = defaultdict(set)
    query = (
        select(fills.trade_id, fills.broker)
        .join(schema.trades, table.id == fills.trade_id)
        .where(table.status == "open", table.source == source, fills.broker != "")
        .distinct()
    )
    for number, name in connection.execute(query):
        brokers[number].add(name)
    others = select(table.id).where(
        table.source == source, table.account.is_not(None), table.account != account
    )
    nameless = any(trade.account is None for trade in trades)  # looked up where it matters
    alone = nameless and connection.execute(others.limit(1)).first() is None
    mine, unnamed = [], 0
    for trade in trades:
        if brokers[trade.id] and broker not in brokers[trade.id]:
            continue
        if (trade.account or "") == account or (trade.account is None and alone):
            mine.append(trade)
        elif trade.account is None:
            unnamed += 1
    return mine, unnamed


def _positions(trade: Trade) -> dict[str, float]:
    if trade.kind == "stock":
        return {trade.symbol: trade.side * trade.open_quantity}
    held: dict[str, float] = defaultdict(float)
    for leg in trade.legs:
        # shares of a package count in lots of its multiplier
        unit = 1.0 if contract(leg.symbol) else trade.multiplier
        held[canonical(leg.symbol)] += leg.side * (leg.open_quantity or 0.0) * unit
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def _explain(
    connection: Connection,
    source: str,
    broker: str,
    account: str,
    symbol: str,
    line: _Line,
    there: float,
    legless: dict[str, list[Trade]],
    now: int,
) -> tuple[str, str]:
    fills = schema.fills.c
    loose = connection.execute(
        select(func.count()).where(
            fills.source == source, fills.broker == broker, fills.account == account,
            fills.symbol == symbol, fills.trade_id.is_(None), fills.kind.in_(("trade", *_SETTLED)),
        )
    ).scalar_one()  # fmt: skip
    option = contract(symbol)
    here = line.quantity
    if loose:
        return (
            f"{loose} executions close what no entry opened, so an entry is missing.",
            "Import the statement that shows it, or log the entry by hand with the time that it had.",
        )
    if option is not None and here and not there and option.expiry < _today(now):
        return (
            f"It expired on {option.expiry}, and the broker has not reported how.",
            "Sync again when it has; or log the expiry or the assignment.",
        )
    ratio = _split(here, there) if option is None else None
    if ratio is not None:
        return (
            f"Probably a split of {ratio}.",
            "Import the statement that shows it; past trades are adjusted.",
        )
    if some := legless.get(_root(symbol)):
        return f"{_names(some)} logged without legs and may be this.", "Log it with its legs."
    if not here:
        return (
            "Opened or transferred before the executions that the broker shows, or not reported yet.", _IMPORT
        )  # fmt: skip
    typed = [trade for trade in line.trades if not _confirmed(connection, trade.id, broker)]
    if typed:
        return (
            f"{_names(typed)} logged by hand, and no execution confirms it.",
            "If it was never filled, or in another account, correct the entry; else sync again.",
        )
    if not there:
        return "Closed or transferred, and no execution shows it.", _IMPORT
    return "Changed at the broker, and no execution shows it.", _IMPORT


_SETTLED = ("exercise", "assignment", "expiry")


def _confirmed(connection: Connection, trade: int, broker: str) -> bool:
    fills = schema.fills.c
    query = select(fills.id).where(fills.trade_id == trade, fills.broker == broker).limit(1)
    return connection.execute(query).first() is not None


def _since(
    connection: Connection, source: str, broker: str, account: str, symbol: str, trades: list[Trade]
) -> int | None:
    fills = schema.fills.c
    told = [fills.broker == broker, fills.account == account, fills.symbol == symbol, fills.source == source]
    last: list[int | None] = [connection.execute(select(func.max(fills.ts)).where(*told)).scalar()]
    last += [
        connection.execute(select(func.max(fills.ts)).where(fills.trade_id == trade.id)).scalar()
        for trade in trades
    ]
    return max((ts for ts in last if ts is not None), default=None)


def _split(here: float, there: float) -> str | None:
    if here * there <= 0:
        return None
    ratio = Fraction(there / here).limit_denominator(_LARGEST_SPLIT)
    usual = 1 in (ratio.numerator, ratio.denominator) or ratio in (Fraction(3, 2), Fraction(4, 3))
    exact = abs(float(ratio) * here - there) <= _SMALL * abs(there)
    return f"{ratio.numerator}:{ratio.denominator}" if usual and exact else None


def _today(now: int) -> date:
    return from_nanoseconds(now).astimezone(NEW_YORK).date()


def _root(symbol: str) -> str:
    option = contract(symbol)
    return symbol if option is None else option.underlying


def _names(trades: list[Trade]) -> str:
    numbers = ", ".join(str(trade.id) for trade in trades)
    return f"Trade {numbers} was" if len(trades) == 1 else f"Trades {numbers} were"
