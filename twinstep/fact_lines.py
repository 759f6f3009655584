"""What a session has at its broker, off its record: nobody is asked, and nothing is loaded for it.

Positions are the sums of the session's own fills, beside what splits and the like have changed; a stop is
known where one of the session's orders rests as one. An account's plan is read in `twinstep.account_lines`.

Quantities are signed, prices in the currency of the prices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from twinstep.stored import open_stored

__all__ = ["FactLine", "FactLines", "stored_fact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLine:
    """One position at a broker, as the record has it.

    Attributes
    ----------
    quantity
        Signed: what the session's own orders have filled.
    stop
        Where a stop of the session rests, None: not known here.
    bare
        Whether some of it was without a stop when it was last looked at.
    """

    symbol: str
    quantity: float
    stop: float | None
    bare: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLines:
    """What a session has at its broker, as last recorded: nobody was asked.

    Attributes
    ----------
    at
        Time of the last record, aware; None where there is none yet.
    """

    broker: str
    account: str
    at: datetime | None
    positions: tuple[FactLine, ...]

    def held(self, symbol: str) -> float:
        """Return how much is held of a symbol, signed."""
        return sum(one.quantity for one in self.positions if one.symbol == symbol)

    def stop(self, symbol: str) -> float | None:
        """Return where a stop rests, None: not known here."""
        return next((one.stop for one in self.positions if one.symbol == symbol), None)


def stored_fact(journal: str | Path, session: str) -> FactLines | None:
    """Read what a session has at its broker off its record; None for one whose orders go to none.

    Raises
    ------
    sqlite3.Error, OSError
        Where it cannot be read.
    """
    with closing(open_stored(journal)) as connection:
        connection.execute("BEGIN")
        told = connection.execute(_BROKER, (session,)).fetchone()
        if told is None:
            return None
        rows = connection.execute(_EVENTS, (session,)).fetchall()
    where = json.loads(bytes(told[0])[1:])["broker_account"]
    record = _Record(where["account"])
    for _, kind, order, symbol, data in rows:
        record.take(kind, order, symbol, json.loads(data))
    last = max((row[0] for row in rows), default=None)
    return FactLines(
        broker=where["broker"],
        account=where["account"],
        at=None if last is None else datetime.fromtimestamp(last / 1e9, UTC),
        positions=record.positions(),
    )


class _Record:
    """What events say of positions and of the stops behind them."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._held: dict[str, float] = {}
        self._stops: dict[str, float | None] = {}
        self._asked: dict[str, tuple[str, float]] = {}  # by client order id: symbol and price of its stop
        self._symbols: dict[str, str] = {}  # by the broker's order id, of stops and of a bracket's children
        self._bare: set[str] = set()

    def take(self, kind: str, order: str, symbol: str, data: Mapping[str, Any]) -> None:
        if kind == "fill" and data["account"] == self._account:
            one = data["execution"]
            if order or one["kind"] != "trade":
                self._add(one["symbol"], one["side"] * one["quantity"])
        elif kind == "adjusted":
            self._add(symbol, float(data.get("quantity") or 0.0))
        elif kind == "intent":
            request = data["request"]
            price = request["stop_loss"] if request["purpose"] == "entry" else request["stop_price"]
            if price is not None and len(request["legs"]) == 1:
                self._asked[order] = (symbol, price)
        elif kind == "outcome" and data["outcome"] == "confirmed" and order in self._asked:
            place, price = self._asked[order]
            self._stops[place] = price
            self._symbols[data.get("broker_order") or order] = place
        elif kind == "alias" and order in self._asked:
            self._symbols[data["broker_order"]] = self._asked[order][0]
        elif kind == "changed" and data.get("stop_price") is not None:
            self._stops[symbol] = data["stop_price"]
        elif kind == "asked" and (data.get("broker_order") or order) in self._symbols:
            # which of its orders was taken back is not told here
            self._stops[self._symbols[data.get("broker_order") or order]] = None
        elif kind == "naked":
            self._bare.add(symbol)
        elif kind == "guarded":
            self._bare.discard(symbol)

    def positions(self) -> tuple[FactLine, ...]:
        return tuple(
            FactLine(symbol=symbol, quantity=held, stop=self._stops.get(symbol), bare=symbol in self._bare)
            for symbol, held in sorted(self._held.items())
            if abs(held) > _DUST
        )

    def _add(self, symbol: str, quantity: float) -> None:
        before = self._held.get(symbol, 0.0)
        self._held[symbol] = before + quantity
        if abs(before + quantity) <= _DUST:
            self._stops.pop(symbol, None)


_DUST: Final = 1e-9
# "kind <> 'bar'" is what an index of the few inputs that are none holds: without it every bar is looked at
_BROKER: Final = (
    "SELECT i.data FROM inputs i JOIN sessions s ON s.id = i.session_id WHERE s.name = ? AND i.kind = 'note' "
    "AND i.kind <> 'bar' AND instr(i.data, CAST('\"broker_account\"' AS BLOB)) > 0 ORDER BY i.id DESC LIMIT 1"
)
_EVENTS: Final = (
    "SELECT ts, kind, client_order_id, symbol, data FROM events WHERE account = ? AND kind IN ('fill', "
    "'adjusted', 'intent', 'outcome', 'alias', 'changed', 'asked', 'naked', 'guarded') ORDER BY id"
)
