"""iVolatility: end-of-day chains with IV and Greeks, one row per option.

Odd: an IV of -1 says that there is none; bid and ask of 0 together say that there was no quote; the expiry is
the last session, while the option symbol may carry the Saturday after it; its first six characters are the
trading class (SPX settles in the morning, SPXW and SPXPM at the close). Dates are month/day/year.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from simulator.options.chain_columns import STYLES, Draft
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

_ROOT_LENGTH: Final = 6


def read(table: Table) -> list[Draft]:
    """Return the drafts of a table in this layout."""
    calendar = table.source.calendar
    bid, ask = no_quote(table.numbers("bid"), table.numbers("ask"))
    roots = table.coded("option_symbol", lambda text: text[:_ROOT_LENGTH].strip())
    style, settlement = (codes[roots[1]] for codes in terms_by_root(roots[0]))
    if "style" in table:
        style = table.mapped("style", _style, np.int8)
    return table.by_symbol(
        table.coded("symbol", ticker),
        root=roots,
        ts=at_close(calendar, table.days("date", "%m/%d/%Y")),
        expiry=whole_sessions(calendar, table.days("option_expiration", "%m/%d/%Y")),
        kind=table.kinds("call/put"),
        strike=table.numbers("strike"),
        bid=bid,
        ask=ask,
        volume=table.numbers("volume"),
        open_interest=table.numbers("open_interest"),
        iv=positive(table.numbers("iv")),
        delta=table.numbers("delta"),
        underlying=table.numbers("stock_price_close"),
        style=style,
        settlement=settlement,
    )


def _style(value: Any) -> int:
    return STYLES.index({"E": "european", "A": "american"}.get(str(value).strip().upper(), "unknown"))


LAYOUT: Final = Layout(
    "ivolatility",
    "iVolatility",
    frozenset({"symbol", "date", "option_symbol", "option_expiration", "strike", "call/put", "bid", "ask"}),
    read,
)
