"""What new executions are, before any of them is stored: recommended, logged by hand, or neither.

The rows are grouped once on trial, every order for shares as a trade of its own, so that two recommendations
of one stock stay two trades. Each group that new rows open is compared with trades that were logged by hand,
then with recommendations. Rows that close what no execution opened may close a trade logged by hand whose
opening the broker no longer shows; they are then exits of it, oldest first, and not rows of the broker's own
trades.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from journal import schema
from journal.ledger.entering import join_campaign
from journal.ledger.lookup import get_trade
from journal.ledger.sums import write_trade
from journal.records import Trade
from journal.statements.grouping import Group, group
from journal.statements.linking import Linker
from journal.statements.rows import StatementRow, contract
from journal.statements.shape import package_of
from journal.statements.storing import declared
from journal.tracking.links import recommended
from journal.tracking.rows import canonical

__all__ = ["Match", "match"]

_DAY = 86_400 * 1_000_000_000
_SMALL = 1e-9
_SETTLEMENTS = ("assignment", "exercise")


@dataclass(slots=True)
class Match:
    """How new rows of one underlying are to be stored.

    Attributes
    ----------
    rows
        To be stored as rows of the broker.
    by_hand
        Trades logged by hand, by the keys of the rows that opened them.
    recommended
        Recommendations, by the keys of the rows that execute them.
    by_hand_closes
        Rows that close trades which were logged by hand and whose opening no execution shows: the trades and
        quantities.
    """

    rows: list[StatementRow]
    by_hand: dict[str, int] = field(default_factory=dict)
    recommended: dict[str, int] = field(default_factory=dict)
    by_hand_closes: list[tuple[StatementRow, list[tuple[int, float]]]] = field(default_factory=list)

    @property
    def apart(self) -> set[str]:
        """Keys of rows that open trades of their own."""
        return set(self.by_hand) | set(self.recommended)

    def adopt_shares(self, connection: Connection, opened: Iterable[int], by_hand: Iterable[int]) -> None:
        """Put shares that an assignment of a hand-logged option brought into its campaign."""
        settled = [
            (row, trades[0][0])
            for row, trades in self.by_hand_closes
            if row.kind in _SETTLEMENTS and contract(row.symbol) is not None and trades[0][0] in set(by_hand)
        ]
        fills = schema.fills.c
        for number in sorted(opened) if settled else ():
            trade = get_trade(connection, number)
            first = connection.execute(
                select(fills.kind).where(fills.trade_id == number, fills.effect == "open").limit(1)
            ).scalar()
            if trade.kind != "stock" or trade.campaign_id is not None or first not in _SETTLEMENTS:
                continue
            for row, parent in settled:
                if row.underlying == trade.symbol and 0 <= trade.entry_ts - row.ts <= _DAY:
                    campaign = join_campaign(connection, parent)
                    write_trade(connection, number, {"campaign_id": campaign})
                    break


def match(
    connection: Connection, source: str, broker: str, account: str, fresh: Sequence[StatementRow]
) -> Match:
    """Return what new rows of one underlying are."""
    underlying = fresh[0].underlying
    fills = schema.fills
    stored = connection.execute(
        select(fills).where(
            fills.c.underlying == underlying, fills.c.source == source, fills.c.broker == broker,
            fills.c.account == account, fills.c.statement_id.is_not(None),
        )
    ).all()  # fmt: skip
    linker = Linker(connection, source, account, underlying)
    trial = _Trial(linker, stored)
    by_hand = trial.by_hand(fresh)
    held = _held_by_hand(connection, linker, set(by_hand.values()))
    closes = trial.closes(fresh, held)
    taken = {row.key for row, _ in closes}
    rest = [row for row in fresh if row.key not in taken]
    result = Match(rows=rest, by_hand=by_hand, by_hand_closes=closes)
    used: set[int] = set()
    for one in trial.opened(rest):
        if one.parts[0].row.key in by_hand:
            continue
        found = recommended(connection, one, underlying, source, used)
        if found is not None:
            used.add(found)
            result.recommended[one.parts[0].row.key] = found
    return result


class _Trial:
    """Grouping of stored rows together with new ones, every new order for shares on its own."""

    def __init__(self, linker: Linker, stored: Sequence[Row[Any]]) -> None:
        self.linker = linker
        self.before = [declared(fill.raw) for fill in stored if "~" not in fill.execution_key]
        self.apart = linker.apart(stored)
        self.trades = {
            fill.execution_key.partition("~")[0]: fill.trade_id
            for fill in stored
            if fill.effect == "open" and fill.trade_id is not None
        }

    def opened(self, fresh: Sequence[StatementRow]) -> list[Group]:
        """Return groups that new rows open, and those opened before that nobody recommended."""
        keys = {row.key for row in fresh}
        found = group([*self.before, *fresh], apart=self.apart | keys)
        return [
            one
            for one in found.groups
            if any(part.row.key in keys and part.effect == "open" for part in one.parts)
            and all(self._unplanned(part.row.key) for part in one.parts if part.effect == "open")
            and one.parent is None
        ]

    def by_hand(self, fresh: Sequence[StatementRow]) -> dict[str, int]:
        """Return trades that were logged by hand, by the key of the row that opened each."""
        result: dict[str, int] = {}
        for one in self.opened(fresh):
            if any(part.row.key in self.trades for part in one.parts):
                continue
            taken = set(result.values())
            found = self.linker.match(one, package_of(one), taken)
            if found is None:
                found = self.linker.match(one, package_of(one), taken, partly=True)
            if found is not None:
                result[one.parts[0].row.key] = found
        return result

    def closes(
        self, fresh: Sequence[StatementRow], held: list[Trade]
    ) -> list[tuple[StatementRow, list[tuple[int, float]]]]:
        """Return new rows that close what was logged by hand, with trades and quantities."""
        if not held:
            return []
        keys = {row.key for row in fresh}
        found = group([*self.before, *fresh], apart=self.apart | keys)
        lacking = {miss.row.key: miss.quantity for miss in found.unmatched if miss.row.key in keys}
        for one in found.groups:
            for part in one.parts:
                if part.effect == "open" and part.row.effect == "" and part.row.key in keys:
                    lacking[part.row.key] = lacking.get(part.row.key, 0.0) + part.quantity
        open_now = {trade.id: _open(trade) for trade in held}
        together: dict[str, set[str]] = {}
        for row in fresh:
            together.setdefault(row.order_id or row.key, set()).add(row.symbol)
        result = []
        for row in sorted(fresh, key=lambda one: (one.ts, one.key)):
            # what a broker's own trade takes a part of stays whole: it is for review
            if abs(lacking.get(row.key, 0.0) - row.quantity) > _SMALL * row.quantity:
                continue
            wanted = together[row.order_id or row.key]
            takers = _take(row, held, open_now, wanted)
            if takers:
                result.append((row, takers))
        return result

    def _unplanned(self, key: str) -> bool:
        number = self.trades.get(key)
        if number is None or number not in self.linker.rows:
            return number is None
        return number not in self.linker.by_hand and self.linker.rows[number]["recommendation_id"] is None


def _take(
    row: StatementRow, held: list[Trade], open_now: dict[int, dict[str, float]], wanted: set[str]
) -> list[tuple[int, float]]:
    """Take a row's quantity from trades; modifies `open_now` in place."""
    fits = [
        trade
        for trade in held
        if open_now[trade.id].get(row.symbol, 0.0) * row.side < 0 and trade.entry_ts <= row.ts
    ]
    fits.sort(key=lambda one: (-len(wanted & set(open_now[one.id])), one.entry_ts, one.id))
    left, takers = row.quantity, []
    for trade in fits:
        quantity = min(left, abs(open_now[trade.id][row.symbol]))
        if quantity <= _SMALL:
            continue
        open_now[trade.id][row.symbol] += row.side * quantity
        takers.append((trade.id, quantity))
        left -= quantity
        if left <= _SMALL:
            break
    return takers


def _held_by_hand(connection: Connection, linker: Linker, linked: set[int]) -> list[Trade]:
    """Return open trades that were logged by hand and that no execution of the broker opened."""
    table = schema.fills.c
    numbers = [
        number
        for number in sorted(linker.by_hand - linked)
        if linker.rows[number]["status"] == "open"
        and connection.execute(
            select(table.id)
            .where(table.trade_id == number, table.effect == "open", table.statement_id.is_not(None))
            .limit(1)
        ).first()
        is None
    ]
    return [get_trade(connection, number) for number in numbers]


def _open(trade: Trade) -> dict[str, float]:
    if trade.kind == "stock":
        return {trade.symbol: trade.side * trade.open_quantity}
    return {canonical(leg.symbol): leg.side * (leg.open_quantity or 0.0) for leg in trade.legs}
