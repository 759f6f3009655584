"""The strips printed in the CBOE VIX white paper: expiry, days to it, strike, and four quotes.

Odd: neither underlying nor quote date is named. The date is the expiry less the days; the quotes stand at the
minute of the opening settlement, so that the paper's times of exactly 9 and 37 days come out. Expiries are
printed as Saturdays and left so, because the days count to them. The underlying is SPX, its price unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from simulator.bars.clock import session_times
from simulator.options.chain_columns import SETTLEMENTS, STYLES, Draft
from simulator.options.importers.parse import Layout, Table, sides

__all__ = ["LAYOUT", "read"]


def read(table: Table) -> list[Draft]:
    """Return the draft of a table in this layout."""
    expiry = table.days("expiration", "%Y%m%d")
    opens, _ = session_times(table.source.calendar, expiry - table.numbers("days").astype(np.int64))
    size = 2 * len(table)
    columns = sides(
        {"bid": table.numbers("call bid"), "ask": table.numbers("call ask")},
        {"bid": table.numbers("put bid"), "ask": table.numbers("put ask")},
        ts=opens,
        expiry=expiry,
        strike=table.numbers("strike"),
    )
    columns["style"] = np.full(size, STYLES.index("european"))
    columns["settlement"] = np.full(size, SETTLEMENTS.index("am"))
    named = replace(table.source, symbol=table.source.symbol or "SPX")
    return Table(table.frame, named).by_symbol(None, twice=True, **columns)


LAYOUT: Final = Layout(
    "cboe_whitepaper",
    "CBOE VIX white paper",
    frozenset({"expiration", "days", "strike", "call bid", "call ask", "put bid", "put ask"}),
    read,
)
