"""CBOE DataShop: "Option EOD Summary", with or without calculations, one row per option.

Odd: two snapshots a day, 15:45 New York (with sizes, IV and Greeks) and the close; the one of 15:45 is read,
because quotes widen at the close and the calculations belong to it. On half days it is taken at 12:45 (from
2020-02-05 on by the vendor's word; earlier ones are treated alike). Indices carry a caret; their own bid and
ask are 0 without a licence, then the vendor's implied price stands in. Expiries before 2015 are Saturdays.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.bars.arrays import MINUTE, Floats
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

_BEFORE_CLOSE: Final = 15 * MINUTE


def read(table: Table) -> list[Draft]:
    """Return the drafts of a table in this layout."""
    calendar = table.source.calendar
    roots = table.coded("root", ticker)
    style, settlement = (codes[roots[1]] for codes in terms_by_root(roots[0]))
    bid, ask = no_quote(table.numbers("bid_1545"), table.numbers("ask_1545"))
    return table.by_symbol(
        table.coded("underlying_symbol", ticker),
        root=roots,
        ts=at_close(calendar, table.days("quote_date", "%m/%d/%Y")) - _BEFORE_CLOSE,
        expiry=whole_sessions(calendar, table.days("expiration", "%m/%d/%Y")),
        kind=table.kinds("option_type"),
        strike=table.numbers("strike"),
        bid=bid,
        ask=ask,
        bid_size=table.numbers("bid_size_1545"),
        ask_size=table.numbers("ask_size_1545"),
        volume=table.numbers("trade_volume"),
        open_interest=table.numbers("open_interest"),
        iv=positive(table.numbers("implied_volatility_1545")),
        delta=_with_iv(table),
        underlying=_underlying(table),
        style=style,
        settlement=settlement,
    )


def _underlying(table: Table) -> Floats:
    mid = positive((table.numbers("underlying_bid_1545") + table.numbers("underlying_ask_1545")) / 2)
    for name in ("active_underlying_price_1545", "implied_underlying_price_1545"):
        mid = np.where(np.isnan(mid), positive(table.numbers(name)), mid)
    return mid


def _with_iv(table: Table) -> Floats:
    # A delta of 0 beside an IV of 0 says that nothing was calculated.
    delta = table.numbers("delta_1545")
    return np.where(np.isnan(positive(table.numbers("implied_volatility_1545"))), np.nan, delta)


LAYOUT: Final = Layout(
    "cboe_datashop",
    "CBOE DataShop",
    frozenset(
        {"underlying_symbol", "quote_date", "root", "expiration", "option_type", "bid_1545", "ask_1545"}
    ),
    read,
)
