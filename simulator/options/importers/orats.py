"""ORATS: the strikes file and the answer of its data service, call and put of a strike side by side.

Odd: the same numbers have two sets of names (`cBidPx` in files, `callBidPrice` from the service); there is
one delta, the call's, and the put's is that less one; dates are month/day/year in files, ISO from the
service. Only the option symbols (`cOpra`) tell SPX from SPXW; without them both share one root, and a third
Friday has duplicates. The quotes are taken about a quarter of an hour before the close.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from simulator.bars.arrays import MINUTE, Floats
from simulator.options.chain_columns import Draft
from simulator.options.importers.parse import (
    Layout,
    Table,
    at_close,
    no_quote,
    positive,
    sides,
    terms_by_root,
    terms_by_symbol,
    ticker,
    whole_sessions,
)

__all__ = ["LAYOUT", "SERVICE", "read", "read_service"]

_BEFORE_CLOSE: Final = 15 * MINUTE
_OCC_TAIL: Final = 15  # date, kind and strike at the end of an option symbol
_FILE: Final = {
    "date": "trade_date", "expiry": "expirdate", "spot": "spot_px", "underlying": "stkpx",
    "bid": "{}bidpx", "ask": "{}askpx", "volume": "{}volu", "open_interest": "{}oi", "iv": "{}midiv",
    "bid_size": "{}bidsize", "ask_size": "{}asksize", "call": "c", "put": "p",
}  # fmt: skip
_SERVICE: Final = {
    "date": "tradedate", "expiry": "expirdate", "spot": "spotprice", "underlying": "stockprice",
    "bid": "{}bidprice", "ask": "{}askprice", "volume": "{}volume", "open_interest": "{}openinterest",
    "iv": "{}midiv", "bid_size": "{}bidsize", "ask_size": "{}asksize", "call": "call", "put": "put",
}  # fmt: skip


def read(table: Table) -> list[Draft]:
    """Return the drafts of a strikes file."""
    return _read(table, _FILE)


def read_service(table: Table) -> list[Draft]:
    """Return the drafts of what the data service answers."""
    return _read(table, _SERVICE)


def _read(table: Table, names: dict[str, str]) -> list[Draft]:
    calendar = table.source.calendar
    delta = table.numbers("delta")
    columns = sides(
        _side(table, names, "call", delta),
        _side(table, names, "put", delta - 1),
        ts=at_close(calendar, table.days(names["date"], "%m/%d/%Y")) - _BEFORE_CLOSE,
        expiry=whole_sessions(calendar, table.days(names["expiry"], "%m/%d/%Y")),
        strike=table.numbers("strike"),
        underlying=_underlying(table, names),
    )
    owner = table.coded("ticker", ticker)
    root = table.coded("copra", lambda text: text[:-_OCC_TAIL].strip()) if "copra" in table else None
    terms = terms_by_symbol(owner[0]) if root is None else terms_by_root(root[0])
    codes = np.tile((owner if root is None else root)[1], 2)
    columns |= {"style": terms[0][codes], "settlement": terms[1][codes]}
    return table.by_symbol(owner, root=root, twice=True, **columns)


def _side(table: Table, names: dict[str, str], kind: str, delta: Floats) -> dict[str, Any]:
    def numbers(name: str) -> Floats:
        return table.numbers(names[name].format(names[kind]))

    bid, ask = no_quote(numbers("bid"), numbers("ask"))
    others = {name: numbers(name) for name in ("bid_size", "ask_size", "volume", "open_interest")}
    return {"bid": bid, "ask": ask, "iv": positive(numbers("iv")), "delta": delta, **others}


def _underlying(table: Table, names: dict[str, str]) -> Floats:
    # For indices the "stock price" is a forward implied from the options; the spot is beside it.
    spot = positive(table.numbers(names["spot"]))
    return np.where(np.isnan(spot), positive(table.numbers(names["underlying"])), spot)


LAYOUT: Final = Layout(
    "orats",
    "ORATS strikes file",
    frozenset({"ticker", "trade_date", "expirdate", "strike", "cbidpx", "caskpx", "pbidpx", "paskpx"}),
    read,
)
SERVICE: Final = Layout(
    "orats_service",
    "ORATS data service",
    frozenset({"ticker", "tradedate", "expirdate", "strike", "callbidprice", "callaskprice", "putbidprice"}),
    read_service,
)
