"""Cases of the counterfactual ledger as rows of the journal, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from journal import schema
from simulator.results.counterfactuals import Case

__all__ = ["FINAL", "Entry", "Stored", "final_keys", "read_entries", "store_entries"]

FINAL: Final = ("never_filled", "closed")
"""States that more bars do not change."""
_KEYS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """A case and where it comes from.

    Attributes
    ----------
    key
        Says which signal it is; storing it again brings the row forward.
    source
        "backtest", "paper" or "live".
    origin
        "rule" or "decision"; the case's `rule` is the name of either.
    session, recommendation, decided_by
        Where it comes from, "" and None where it does not.
    """

    key: str
    source: str
    origin: str
    case: Case
    session: str = ""
    recommendation: int | None = None
    decided_by: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing entries came to; `unchanged` were final, or as they had been."""

    new: int
    forward: int
    unchanged: int


def store_entries(connection: Connection, entries: Iterable[Entry], now: int) -> Stored:
    """Store cases: new ones are added, open ones brought forward, final ones left as they are."""
    table = schema.counterfactuals
    kept = list(entries)
    there = _there(connection, [entry.key for entry in kept])
    added, forward, same = [], 0, 0
    for entry in kept:
        row = _row_of(entry)
        before = there.get(entry.key)
        if before is None:
            added.append({**row, "updated_ts": now})
            continue
        now_is = (row["state"], row["exit_ts"], row["exit_price"], row["pnl"])
        if before.state in FINAL or tuple(before)[1:] == now_is:
            same += 1
            continue
        connection.execute(
            update(table).where(table.c.case_key == entry.key).values({**row, "updated_ts": now})
        )
        forward += 1
    if added:
        connection.execute(insert(table), added)
    return Stored(len(added), forward, same)


def _there(connection: Connection, keys: Sequence[str]) -> dict[str, Any]:
    table = schema.counterfactuals.c
    columns = select(table.case_key, table.state, table.exit_ts, table.exit_price, table.pnl)
    found = {}
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[first : first + _KEYS_AT_ONCE]
        for row in connection.execute(columns.where(table.case_key.in_(part))):
            found[row.case_key] = row
    return found


def final_keys(connection: Connection) -> frozenset[str]:
    """Return the keys of the cases that nothing changes any more."""
    table = schema.counterfactuals.c
    return frozenset(connection.execute(select(table.case_key).where(table.state.in_(FINAL))).scalars())


def read_entries(connection: Connection, **equal: Any) -> list[Entry]:
    """Return stored cases in the order of their signals; None leaves a column open."""
    table = schema.counterfactuals
    query = select(table).order_by(table.c.ts, table.c.id)
    for name, value in equal.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    return [_entry_of(row._asdict()) for row in connection.execute(query)]


_PAIRS: Final = (
    ("ts", "ts"), ("symbol", "symbol"), ("side", "side"), ("rule", "name"), ("outcome", "outcome"),
    ("strategy", "strategy"), ("tag", "tag"), ("asked", "asked"), ("granted", "granted"), ("value", "value"),
    ("limit", "threshold"), ("state", "state"), ("qty", "quantity"), ("weight", "weight"),
    ("entry_ts", "entry_ts"), ("entry_price", "entry_price"), ("exit_ts", "exit_ts"),
    ("exit_price", "exit_price"), ("exit_reason", "exit_reason"), ("r", "r_multiple"), ("pnl", "pnl"),
    ("fees", "fees"), ("mae", "mae_fraction"), ("mfe", "mfe_fraction"), ("why", "why"),
)  # fmt: skip
_UNSET: Final = ("entry_ts", "exit_ts")  # 0 is none


def _row_of(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case_key": entry.key, "source": entry.source, "origin": entry.origin, "session": entry.session,
        "recommendation_id": entry.recommendation, "decided_by": entry.decided_by,
    }  # fmt: skip
    for field, column in _PAIRS:
        value = getattr(entry.case, field)
        if isinstance(value, float):
            value = value if math.isfinite(value) else None
        row[column] = None if field in _UNSET and not value else value
    return row


def _entry_of(row: Mapping[str, Any]) -> Entry:
    values: dict[str, Any] = {}
    for field, column in _PAIRS:
        value = row[column]
        if value is None:
            value = 0 if field in _UNSET else math.nan
        values[field] = value
    return Entry(
        row["case_key"], row["source"], row["origin"], Case(**values), row["session"],
        row["recommendation_id"], row["decided_by"],
    )  # fmt: skip
