"""Stored fills, and the trades that are kept beside them.

Every statement row is one row in `fills`, with what the statement declared as JSON; where a row belongs to
two trades (it closed one and opened the next, or closed two), the further parts are rows whose key ends in
"~2", "~3", .... After an import, the trades of each touched account and underlying are worked out anew from
all declared rows and laid over the stored ones: a trade keeps its number, notes, tags and lessons as long as
one of its opening fills is in it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import Connection, CursorResult, bindparam, delete, insert, select, update

from journal import schema
from journal.ledger.lookup import get_trade
from journal.performance import insights, mistakes, running
from journal.statements.grouping import Group, Grouping, Part, group
from journal.statements.linking import Linker
from journal.statements.rows import StatementRow, contract
from journal.statements.shape import Package, close_code_of, package_of, strategy_of, trade_values
from journal.tracking.plan import plan_kept, recommended_bounds
from journal.values import as_json, from_nanoseconds

__all__ = ["Outcome", "declared", "inserted_number", "regroup", "stored_row"]

_DECLARED = tuple(one.name for one in fields(StatementRow) if one.name not in ("raw", "line"))
_FEW = 20
"""Closed trades up to which the running figures are appended to."""

_CHILDREN = (
    schema.insights,
    schema.mistakes,
    schema.lessons,
    schema.performance_metrics,
)


@dataclass(slots=True)
class Outcome:
    """What an import did to trades, and what is left to do when all of them are written."""

    opened: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    linked: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    unmatched: list[str] = field(default_factory=list)

    def finish(self, connection: Connection, source: str) -> None:
        """Write what follows from closed trades: insights, mistakes, and the running figures."""
        again = sorted(self.closed | self.changed)
        closed = [trade for number in again if (trade := get_trade(connection, number)).status == "closed"]
        few = not self.changed and len(closed) <= _FEW  # appended; what changed has the series written anew
        for trade in sorted(closed, key=lambda one: (one.exit_ts or 0, one.id)):
            insights.analyse(connection, trade)
            mistakes.detect(connection, trade)
            if few:
                running.update(connection, trade)
        if again and not few:
            running.rebuild(connection, source)
        for number in set(again) - {trade.id for trade in closed}:  # open again: a late fill belonged to it
            found, said = schema.insights.c, schema.mistakes.c
            connection.execute(delete(schema.insights).where(found.trade_id == number))
            automatic = said.trade_id == number, said.automatic == 1
            connection.execute(delete(schema.mistakes).where(*automatic))


def stored_row(
    row: StatementRow, *, broker: str, account: str, source: str, statement: int | None
) -> dict[str, Any]:
    """Return the columns of `fills` for a row that belongs to no trade yet."""
    declared = {name: getattr(row, name) for name in _DECLARED}
    return {
        "execution_key": row.key,
        "statement_id": statement,
        "source": source,
        "broker": broker,
        "account": account,
        "order_id": row.order_id,
        "ts": row.ts,
        "kind": row.kind,
        "effect": row.effect or "none",
        "symbol": row.symbol,
        "underlying": row.underlying,
        "side": row.side or 1,
        "quantity": row.quantity,
        "price": row.price,
        "multiplier": row.multiplier,
        "fees": row.fees,
        "raw": as_json("raw", {"declared": declared, "row": row.raw}),
    }


def regroup(
    connection: Connection,
    source: str,
    broker: str,
    account: str,
    underlying: str,
    outcome: Outcome,
    *,
    apart: Collection[str] = (),
) -> None:
    """Bring trades of one account and underlying in line with all its statement rows.

    Orders whose trades were logged by hand or recommended stay apart, and so do those of the keys in `apart`.
    Modifies the journal and `outcome` in place.
    """
    fills = schema.fills
    stored = connection.execute(
        select(fills).where(
            fills.c.underlying == underlying,
            fills.c.source == source,
            fills.c.broker == broker,
            fills.c.account == account,
            fills.c.statement_id.is_not(None),
        )
    ).all()
    writer = _Writer(connection, source, account, underlying, stored, outcome)
    keys = writer.linker.apart(stored) | set(apart)
    found = group((declared(row.raw) for row in stored if "~" not in row.execution_key), apart=keys)
    writer.write(found)
    for miss in found.unmatched:
        outcome.unmatched.append(
            f"{from_nanoseconds(miss.row.ts):%Y-%m-%d %H:%M} {miss.row.kind} {miss.quantity:g} "
            f"{miss.row.symbol}: {miss.reason}"
        )


def declared(raw: str) -> StatementRow:
    """Return the row that a base fill was declared as."""
    return StatementRow(**json.loads(raw)["declared"])


def inserted_number(made: CursorResult[Any]) -> int:
    """Return the key of the one row that was inserted."""
    key: Any = made.inserted_primary_key
    return int(key[0])


def _origin(strategy: str) -> str:
    return as_json("details", {"origin": "statement", "strategy": strategy})


class _Writer:
    def __init__(
        self,
        connection: Connection,
        source: str,
        account: str,
        underlying: str,
        stored: Sequence[Any],
        outcome: Outcome,
    ) -> None:
        self.connection = connection
        self.source = source
        self.account = account
        self.underlying = underlying
        self.stored = {row.execution_key: row._mapping for row in stored}
        self.outcome = outcome
        self.linker = Linker(connection, source, account, underlying)
        self.trades: dict[int, dict[str, Any]] = {
            number: dict(row) for number, row in self.linker.rows.items()
        }
        self.legs: dict[int, list[Any]] = {}
        self.new_legs: list[dict[str, Any]] = []
        table = schema.legs
        mine = select(schema.trades.c.id).where(
            schema.trades.c.symbol == underlying, schema.trades.c.source == source
        )
        for leg in connection.execute(select(table).where(table.c.trade_id.in_(mine))):
            self.legs.setdefault(leg.trade_id, []).append(leg)

    def write(self, found: Grouping) -> None:
        numbers = self._numbers(found.groups)
        legs: dict[int, dict[str, int]] = {}
        for one in found.groups:
            number = numbers[one.number]
            legs[number] = self._trade(one, number)
        if self.new_legs:
            self.connection.execute(insert(schema.legs), self.new_legs)
        for one in found.groups:
            self._links(one, numbers)
        self._fills(found, numbers, legs)
        self._orphans(set(numbers.values()))

    def _numbers(self, groups: Sequence[Group]) -> dict[int, int]:
        """Return the trade of each group: that of its opening fills, one logged by hand, or a new one."""
        before: dict[str, list[int]] = {}
        for key, row in self.stored.items():
            if row["trade_id"] is not None and row["effect"] == "open":
                before.setdefault(key.partition("~")[0], []).append(row["trade_id"])
        taken: set[int] = set()
        numbers: dict[int, int] = {}
        for one in groups:
            wishes = [
                number
                for part in one.parts
                if part.effect == "open"
                for number in before.get(part.row.key, ())
            ]
            mine = sorted({number for number in wishes if number not in taken}, key=wishes.index)
            if mine:
                numbers[one.number] = min(mine, key=lambda number: number not in self.linker.by_hand)
                taken.add(numbers[one.number])
        fresh = []
        for one in groups:
            if one.number not in numbers:
                match = self.linker.match(one, package_of(one), taken)
                numbers[one.number] = self._new(one) if match is None else match
                taken.add(numbers[one.number])
                if match is None:
                    fresh.append(one)
                (self.outcome.opened if match is None else self.outcome.linked).add(numbers[one.number])
        for one in fresh:
            for number in self.linker.near(one, package_of(one), taken):
                self.outcome.unmatched.append(
                    f"trade {number}, logged by hand, may be trade {numbers[one.number]} of the statement: "
                    "quantity or legs differ, so they were not linked"
                )
        return numbers

    def _new(self, one: Group) -> int:
        held = package_of(one)
        made = self.connection.execute(
            insert(schema.trades).values(
                source=self.source,
                account=self.account or None,
                symbol=self.underlying,
                strategy=strategy_of(one),
                details=_origin(strategy_of(one)),
                **{
                    **trade_values(one, held, one.parts),
                    "status": "open",
                    "open_quantity": held.quantity,
                    "exit_ts": None,
                },
            )
        )
        return inserted_number(made)

    def _trade(self, one: Group, number: int) -> dict[str, int]:
        """Write a trade and its legs; returns the positions of its legs."""
        table = schema.trades
        rest = self.linker.take_over(one, number)
        before = self._row(number)
        if number in self.linker.rows:
            before["details"] = self.linker.rows[number]["details"]
        held = package_of(one)
        values = trade_values(one, held, [*one.parts, *rest])
        values.update(self._kept(before, one, values))
        changed = {name: value for name, value in values.items() if before[name] != value}
        positions = self._legs(one, held, number)
        if changed:
            self.connection.execute(update(table).where(table.c.id == number).values(**changed))
            self.trades[number] = {**before, **changed}
            if values["status"] == "closed":
                (self.outcome.changed if before["status"] == "closed" else self.outcome.closed).add(number)
            elif before["status"] == "closed":
                self.outcome.changed.add(number)
        return positions

    def _row(self, number: int) -> dict[str, Any]:
        """Return a trade as it is stored."""
        if number not in self.trades:
            table = schema.trades
            row = self.connection.execute(select(table).where(table.c.id == number)).one()
            self.trades[number] = dict(row._mapping)
        return self.trades[number]

    def _kept(self, before: Mapping[str, Any], one: Group, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns in which what somebody said goes before what a statement can show."""
        kept = {}
        if before["id"] in self.linker.by_hand:
            said = ("stop_price", "width", "max_profit", "max_loss", "initial_risk", "expiry", "dte")
            kept = {name: before[name] for name in said if before[name] is not None and name in values}
            risk = kept.get("initial_risk") or values["initial_risk"]
            kept["r_multiple"] = values["pnl"] / risk if risk and values["exit_ts"] is not None else None
            kept["account"] = before["account"] or self.account or None
        elif before["recommendation_id"] is None and before["details"] == _origin(before["strategy"]):
            # nobody renamed it
            kept["strategy"] = strategy_of(one)
            kept["details"] = _origin(kept["strategy"])
        if before["recommendation_id"] is not None and before["id"] not in self.linker.by_hand:
            kept |= recommended_bounds(self.connection, {**before, **values})
        if values["status"] == "closed":
            typed = before["close_reason"] if self.linker.said(before["id"]) else None
            code = close_code_of(one) if any(part.effect == "close" for part in one.parts) else "other"
            reason = "closed at broker" if code == "other" else code
            if code == "other" and not typed:
                code, reason = plan_kept({**before, **values, **kept}) or (code, reason)
            kept["close_code"] = before["close_code"] if typed else code
            kept["close_reason"] = typed or reason
        elif not self.linker.said(before["id"]):
            kept["close_code"] = kept["close_reason"] = None
        return kept

    def _legs(self, one: Group, held: Package, number: int) -> dict[str, int]:
        table = schema.legs
        if held.kind == "stock":
            return {}
        before = {
            option.symbol if (option := contract(row.symbol)) else row.symbol: row
            for row in self.legs.get(number, ())
        }
        mine = number not in self.linker.by_hand
        free = 0 if mine else max((row.position for row in before.values()), default=-1) + 1
        positions = {}
        for symbol, leg in one.legs.items():
            option = contract(symbol)
            unit = 1.0 if option else held.multiplier
            values: dict[str, float] = {"ratio": held.ratios[symbol], "open_quantity": leg.open / unit}
            known = before.pop(symbol, None)
            if known is not None:
                positions[symbol] = values["position"] = free if mine else known.position
                free += mine
                if any(known._mapping[name] != value for name, value in values.items()):
                    self.connection.execute(update(table).where(table.c.id == known.id).values(**values))
                continue
            positions[symbol] = free
            self.new_legs.append(
                {
                    "trade_id": number,
                    "position": free,
                    "side": leg.side,
                    "kind": option.kind if option else "shares",
                    "symbol": symbol,
                    "strike": option.strike if option else None,
                    "expiry": option.expiry.isoformat() if option else None,
                    **values,
                }
            )
            free += 1
        if mine:
            for gone in before.values():
                self.connection.execute(delete(table).where(table.c.id == gone.id))
        return positions

    def _links(self, one: Group, numbers: Mapping[int, int]) -> None:
        root = one
        while (root.rolled_from or root.parent) is not None:
            root = root.rolled_from or root.parent or root
        values: dict[str, int | None] = {
            "campaign_id": numbers[root.number] if root is not one else None,
            "rolled_from_id": numbers[one.rolled_from.number] if one.rolled_from is not None else None,
        }
        if numbers[one.number] in self.linker.by_hand:  # a link that somebody made stays
            values = {name: value for name, value in values.items() if value is not None}
        table = schema.trades
        before = self._row(numbers[one.number])
        if root is one and before["campaign_id"] in self.linker.by_hand:
            values["campaign_id"] = before["campaign_id"]  # shares of an option that was logged by hand
        if any(before[name] != value for name, value in values.items()):
            self.connection.execute(update(table).where(table.c.id == before["id"]).values(**values))

    def _fills(
        self, found: Grouping, numbers: Mapping[int, int], legs: Mapping[int, Mapping[str, int]]
    ) -> None:
        wanted: dict[str, dict[str, Any]] = {}
        counts: dict[str, int] = {}
        for one in found.groups:
            for part in one.parts:
                number = numbers[one.number]
                self._want(wanted, counts, part, number, legs[number].get(part.row.symbol))
        for miss in found.unmatched:
            if miss.quantity or miss.row.key not in counts:
                row = miss.row
                fees = row.fees * (miss.quantity / row.quantity)
                effect = row.effect or "none"
                self._want(
                    wanted,
                    counts,
                    Part(row, effect, row.side or 1, row.kind, miss.quantity, fees),
                    None,
                    None,
                )
        for row in found.loose:
            self._want(
                wanted, counts, Part(row, "none", row.side or 1, row.kind, row.quantity, row.fees), None, None
            )
        table = schema.fills
        changes: list[dict[str, Any]] = []
        for key, values in wanted.items():
            known = self.stored.get(key)
            if known is None:
                base = dict(self.stored[key.partition("~")[0]])
                del base["id"]
                base.update(values, execution_key=key, raw=as_json("raw", {"part_of": key.partition("~")[0]}))
                self.connection.execute(insert(table).values(**base))
            elif any(known[name] != value for name, value in values.items()):
                changes.append(
                    {"row": known["id"], **{f"new_{name}": value for name, value in values.items()}}
                )
        if changes:
            new: dict[str, Any] = {name[4:]: bindparam(name) for name in changes[0] if name != "row"}
            self.connection.execute(
                update(table).where(table.c.id == bindparam("row")).values(**new), changes
            )
        for key, known in self.stored.items():
            if key not in wanted and "~" in key:
                self._drop(known["id"], self.stored[key.partition("~")[0]]["id"])

    def _want(
        self,
        wanted: dict[str, dict[str, Any]],
        counts: dict[str, int],
        part: Part,
        trade: int | None,
        leg: int | None,
    ) -> None:
        key = part.row.key
        counts[key] = counts.get(key, 0) + 1
        wanted[key if counts[key] == 1 else f"{key}~{counts[key]}"] = {
            "trade_id": trade,
            "effect": part.effect,
            "side": part.side,
            "kind": part.kind,
            "quantity": part.quantity,
            "fees": part.fees,
            "leg": leg,
        }

    def _drop(self, fill: int, base: int) -> None:
        """Delete a part; what was chosen for it by hand is chosen for the whole row then."""
        lots = schema.lots
        for name, other in (("close_fill_id", "open_fill_id"), ("open_fill_id", "close_fill_id")):
            for row in self.connection.execute(select(lots).where(lots.c[name] == fill)).all():
                pair = {name: base, other: row._mapping[other]}
                same = select(lots).where(*(lots.c[column] == value for column, value in pair.items()))
                known = self.connection.execute(same).one_or_none()
                if known is None:
                    change = update(lots).where(lots.c.id == row.id).values(**pair)
                    self.connection.execute(change)
                else:
                    more = (
                        update(lots)
                        .where(lots.c.id == known.id)
                        .values(quantity=known.quantity + row.quantity)
                    )
                    self.connection.execute(more)
                    self.connection.execute(delete(lots).where(lots.c.id == row.id))
        self.connection.execute(delete(schema.fills).where(schema.fills.c.id == fill))

    def _orphans(self, used: set[int]) -> None:
        """Merge trades whose fills have all gone to another trade into that one."""
        lost = {row["trade_id"] for row in self.stored.values() if row["trade_id"] is not None} - used
        for number in sorted(lost):
            key = next(key for key, row in self.stored.items() if row["trade_id"] == number).partition("~")[0]
            table = schema.fills
            heir = self.connection.execute(
                select(table.c.trade_id).where(table.c.execution_key == key)
            ).scalar_one()
            if number in self.linker.by_hand:
                self.outcome.unmatched.append(
                    f"trade {number}, logged by hand, has no fills of its own any more: the statements "
                    f"show them as part of trade {heir}; delete it if that is right"
                )
                continue
            heir = heir if heir is not None else min(used, default=None)
            self._inherit(number, heir)

    def _inherit(self, number: int, heir: int | None) -> None:
        moves: dict[str, Any] = {"old": number, "new": heir}
        for table in _CHILDREN:
            column = table.c.trade_id
            if heir is None or table is schema.performance_metrics:
                self.connection.execute(delete(table).where(column == number))
            else:
                self.connection.execute(
                    update(table).where(column == bindparam("old")).values(trade_id=bindparam("new")), moves
                )
        tags = schema.tags
        mine = set(self.connection.execute(select(tags.c.tag).where(tags.c.trade_id == number)).scalars())
        kept = set(self.connection.execute(select(tags.c.tag).where(tags.c.trade_id == heir)).scalars())
        self.connection.execute(delete(tags).where(tags.c.trade_id == number))
        if heir is not None and mine - kept:
            self.connection.execute(
                insert(tags), [{"trade_id": heir, "tag": tag} for tag in sorted(mine - kept)]
            )
        trades = schema.trades
        for name in ("rolled_from_id", "campaign_id"):
            self.connection.execute(update(trades).where(trades.c[name] == number).values({name: None}))
        self.connection.execute(
            update(schema.fills).where(schema.fills.c.trade_id == number).values(trade_id=heir)
        )
        self.connection.execute(delete(schema.legs).where(schema.legs.c.trade_id == number))
        self.connection.execute(delete(trades).where(trades.c.id == number))
        self.outcome.opened.discard(number)
        if heir is not None:
            self.outcome.changed.add(heir)
