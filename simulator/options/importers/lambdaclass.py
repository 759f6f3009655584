"""The table of lambdaclass's backtester (`optionroot`, `quotedate`), as its samples and others use it.

Odd: one column name starts with a blank; the `optionroot` is the whole option symbol, whose class ends where
its date begins; an underlying such as SPX names all its classes, so only the symbol tells the settlement.
"""

from __future__ import annotations

import re
from typing import Final

from simulator.options.chain_columns import Draft
from simulator.options.importers.parse import (
    Layout,
    Table,
    at_close,
    no_quote,
    positive,
    terms_by_root,
    ticker,
    whole_sessions,
)

__all__ = ["LAYOUT", "read"]

_CLASS: Final = re.compile(r"\^?([A-Z.]+)")


def read(table: Table) -> list[Draft]:
    """Return the drafts of a table in this layout."""
    calendar = table.source.calendar
    bid, ask = no_quote(table.numbers("bid"), table.numbers("ask"))
    roots = table.coded("optionroot", _class)
    style, settlement = (codes[roots[1]] for codes in terms_by_root(roots[0]))
    return table.by_symbol(
        table.coded("underlying", ticker),
        root=roots,
        ts=at_close(calendar, table.days("quotedate", "%m/%d/%Y")),
        expiry=whole_sessions(calendar, table.days("expiration", "%m/%d/%Y")),
        kind=table.kinds("type"),
        strike=table.numbers("strike"),
        bid=bid,
        ask=ask,
        volume=table.numbers("volume"),
        open_interest=table.numbers("openinterest"),
        iv=positive(table.numbers("impliedvol")),
        delta=table.numbers("delta"),
        underlying=table.numbers("underlying_last"),
        style=style,
        settlement=settlement,
    )


def _class(text: str) -> str:
    found = _CLASS.match(text.strip().upper())
    return found[1] if found else ""


LAYOUT: Final = Layout(
    "lambdaclass",
    "lambdaclass backtester",
    frozenset({"underlying", "underlying_last", "optionroot", "type", "expiration", "quotedate", "strike"}),
    read,
)
