"""Trades that were logged by hand and stand in a statement too.

A statement's group is the same trade as a hand-logged one of the same underlying, legs, side and quantity
that was entered within two days of it. The broker's fills then take the place of the typed ones, which are
kept in the trade's `details`; text, tags, plan and reasons stay as they were written. Exits that were typed
and are not yet on a statement stay until one shows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from journal import schema
from journal.statements.grouping import Group, Part
from journal.statements.rows import StatementRow, contract
from journal.statements.shape import Package
from journal.values import as_json

__all__ = ["Linker"]

_CLOSE_IN_TIME = 2 * 86_400 * 1_000_000_000
_SMALL = 1e-9
_RESTORED = (
    "symbol",
    "underlying",
    "side",
    "quantity",
    "price",
    "multiplier",
    "fees",
    "order_id",
    "ts",
    "kind",
)


class Linker:
    """Finds and takes over trades and fills of one underlying that were logged by hand.

    Attributes
    ----------
    by_hand
        Numbers of the trades that were logged by hand.
    """

    def __init__(self, connection: Connection, source: str, account: str, underlying: str) -> None:
        self.connection = connection
        trades = schema.trades
        rows = connection.execute(
            select(trades).where(trades.c.symbol == underlying, trades.c.source == source)
        ).all()
        self.rows: dict[int, Mapping[str, Any]] = {
            row.id: dict(row._mapping) for row in rows if (row.account or account) == account or not account
        }
        self.typed: dict[int, list[dict[str, Any]]] = {}
        fills = schema.fills
        mine = (fills.c.underlying == underlying, fills.c.statement_id.is_(None), fills.c.source == source)
        for fill in connection.execute(select(fills).where(*mine).order_by(fills.c.ts)):
            self.typed.setdefault(fill.trade_id, []).append(dict(fill._mapping))
        self.by_hand = {number for number, row in self.rows.items() if not _from_statement(row["details"])}

    def match(self, one: Group, held: Package, taken: set[int], *, partly: bool = False) -> int | None:
        """Return the hand-logged trade that a group is, None where there is none.

        With `partly`, a group that is smaller counts too: an order of which not all is filled yet.
        """
        entered = min(part.row.ts for part in one.parts if part.effect == "open")
        best: tuple[int, int] | None = None
        for number in sorted(self.by_hand - taken):
            row = self.rows[number]
            distance = abs(row["entry_ts"] - entered)
            same = row["kind"] == held.kind and abs(row["quantity"] - held.quantity) <= _SMALL * held.quantity
            if partly:
                same = row["kind"] == held.kind and row["quantity"] > held.quantity
            if not same or distance > _CLOSE_IN_TIME or _logged(row["details"]) is not None:
                continue
            if self._same_legs(number, row, one, held) and (best is None or distance < best[0]):
                best = distance, number
        return None if best is None else best[1]

    def apart(self, stored: Iterable[Any]) -> set[str]:
        """Return the keys of the fills that opened trades which were logged by hand or recommended.

        Each of them is a trade of its own: what somebody planned as two is not made one. Only its first
        order counts; shares that were added later stay additions.
        """
        first: dict[int, tuple[int, str]] = {}
        for fill in stored:
            number = fill.trade_id
            planned = number in self.by_hand or (
                number in self.rows and self.rows[number]["recommendation_id"] is not None
            )
            if planned and fill.effect == "open" and "~" not in fill.execution_key:
                mine = fill.ts, fill.execution_key
                first[number] = min(first.get(number, mine), mine)
        return {key for _, key in first.values()}

    def said(self, number: int) -> bool:
        """Tell whether somebody typed the trade, or an exit of it."""
        if number in self.by_hand or self.typed.get(number):
            return True
        return number in self.rows and _logged(self.rows[number]["details"]) is not None

    def near(self, one: Group, held: Package, taken: set[int]) -> list[int]:
        """Return hand-logged trades that might be the group, and are not, for their quantity or legs."""
        entered = min(part.row.ts for part in one.parts if part.effect == "open")
        return [
            number
            for number in sorted(self.by_hand - taken)
            if self.rows[number]["kind"] == held.kind
            and abs(self.rows[number]["entry_ts"] - entered) <= _CLOSE_IN_TIME
            and _logged(self.rows[number]["details"]) is None
        ]

    def take_over(self, one: Group, number: int) -> list[Part]:
        """Replace typed fills by those of the group; returns the typed exits that no statement shows yet.

        Modifies the legs of the group in place: what such exits closed is closed.
        """
        typed = self.typed.get(number, [])
        if number not in self.rows or (not typed and _logged(self.rows[number]["details"]) is None):
            return []
        fills, trades = schema.fills, schema.trades
        details = json.loads(self.rows[number]["details"] or "{}")
        logged: dict[str, dict[str, Any]] = {
            fill["execution_key"]: fill for fill in details.get("logged") or ()
        }
        known = set(logged)
        for fill in typed:
            logged.setdefault(fill["execution_key"], fill)
        if set(logged) != known:
            details["logged"] = list(logged.values())
            stored = as_json("details", details)
            self.connection.execute(update(trades).where(trades.c.id == number).values(details=stored))
            self.rows[number] = {**self.rows[number], "details": stored}
        rest = _uncovered(one, list(logged.values()))
        kept = {fill["execution_key"]: fill for fill, _ in rest}
        for fill in typed:
            if fill["execution_key"] not in kept:
                self.connection.execute(delete(fills).where(fills.c.id == fill["id"]))
        present = {fill["execution_key"]: fill for fill in typed}
        for key, fill in kept.items():
            if key not in present:
                self.connection.execute(insert(fills).values(**{k: v for k, v in fill.items() if k != "id"}))
            elif present[key]["quantity"] != fill["quantity"]:
                change = update(fills).where(fills.c.id == present[key]["id"])
                self.connection.execute(change.values(quantity=fill["quantity"], fees=fill["fees"]))
        return [part for _, part in rest]

    def _same_legs(self, number: int, row: Mapping[str, Any], one: Group, held: Package) -> bool:
        if held.kind == "stock":
            return bool(row["side"] == next(iter(one.legs.values())).side)
        legs = schema.legs
        stored = self.connection.execute(select(legs).where(legs.c.trade_id == number)).all()
        if not stored:  # typed in without legs: the direction is all there is to compare
            entered = sum(part.cash for part in one.parts if part.effect == "open")
            return bool(row["side"] == (-1 if entered > 0 else 1))
        mine = {
            (leg.side, option.kind if option else "shares", option.strike if option else 0.0,
             option.expiry.isoformat() if option else "", held.ratios[leg.symbol])
            for leg in one.legs.values()
            for option in [contract(leg.symbol)]
        }  # fmt: skip
        theirs = {
            (
                leg.side,
                leg.kind,
                leg.strike or 0.0,
                (leg.expiry or "") if leg.kind in ("call", "put") else "",
                leg.ratio,
            )
            for leg in stored
        }
        return mine == theirs


def _from_statement(details: str | None) -> bool:
    return bool(details) and json.loads(details or "{}").get("origin") == "statement"


def _logged(details: str | None) -> Any:
    return json.loads(details).get("logged") if details else None


def _uncovered(one: Group, logged: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, Any], Part]]:
    """Return what is left of typed exits when those on the statement are taken off, the earliest first."""
    options = [leg for leg in one.legs.values() if contract(leg.symbol)]
    base = min(leg.opened for leg in options or one.legs.values())
    shown = {leg.symbol: leg.closed for leg in one.legs.values()}  # closed by the statement, to be taken off
    result = []
    for fill in sorted(logged, key=lambda each: (each["ts"], each["execution_key"])):
        if fill["effect"] == "open":
            continue
        rest = fill["quantity"]
        if fill["effect"] == "close":
            option = contract(fill["symbol"])
            single = (
                one.legs.get(option.symbol if option else fill["symbol"]) if fill["leg"] is not None else None
            )
            legs = [single] if single else list(one.legs.values())
            units = [1.0 if single else leg.opened / base for leg in legs]
            covered = min(shown[leg.symbol] / unit for leg, unit in zip(legs, units, strict=True))
            left = min(leg.open / unit for leg, unit in zip(legs, units, strict=True))
            taken = min(covered, rest)
            rest = min(rest - taken, left)
            for leg, unit in zip(legs, units, strict=True):
                shown[leg.symbol] -= taken * unit
                leg.closed += max(rest, 0.0) * unit
        if rest <= _SMALL:
            continue
        kept = {**fill, "quantity": rest, "fees": fill["fees"] * (rest / fill["quantity"])}
        given = {name: kept[name] for name in _RESTORED}
        row = StatementRow(key=fill["execution_key"], identity="", effect=fill["effect"], **given)
        result.append((kept, Part(row, fill["effect"], fill["side"], fill["kind"], rest, kept["fees"])))
    return result
