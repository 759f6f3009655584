"""OptionsDX: end-of-day and intraday chains, call and put of a strike side by side.

Odd: names in square brackets with blanks after the commas, empty cells for missing IV and Greeks, sizes as
one text "bid x ask", neither underlying (only in the file's name, so `symbol` is needed) nor trading class:
whether an SPX option of a third Friday settles in the morning cannot be told. Times are true Unix seconds.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from simulator.bars.arrays import SECOND, Floats
from simulator.options.chain_columns import Draft
from simulator.options.importers.parse import Layout, Table, sides, terms_by_symbol, ticker, whole_sessions

__all__ = ["LAYOUT", "read"]

_SIZE: Final = re.compile(r"\s*(\d+)\s*x\s*(\d+)\s*", re.IGNORECASE)


def read(table: Table) -> list[Draft]:
    """Return the draft of a table in this layout."""
    columns = sides(
        _side(table, "c"),
        _side(table, "p"),
        ts=np.rint(table.numbers("quote_unixtime")).astype(np.int64) * SECOND,
        expiry=whole_sessions(table.source.calendar, table.days("expire_date")),
        strike=table.numbers("strike"),
        underlying=table.numbers("underlying_last"),
    )
    style, settlement = terms_by_symbol([ticker(table.source.symbol or "")])
    size = columns["strike"].size
    columns |= {"style": np.full(size, style[0]), "settlement": np.full(size, settlement[0])}
    return table.by_symbol(None, twice=True, **columns)


def _side(table: Table, letter: str) -> dict[str, Any]:
    bid_size, ask_size = _sizes(table, f"{letter}_size")
    return {
        "bid": table.numbers(f"{letter}_bid"),
        "ask": table.numbers(f"{letter}_ask"),
        "bid_size": bid_size,
        "ask_size": ask_size,
        "volume": table.numbers(f"{letter}_volume"),
        "iv": table.numbers(f"{letter}_iv"),
        "delta": table.numbers(f"{letter}_delta"),
    }


def _sizes(table: Table, name: str) -> tuple[Floats, Floats]:
    if name not in table:
        nothing = np.full(len(table), np.nan)
        return nothing, nothing
    texts = table.series(name).fillna("").astype("str")

    def part(number: int) -> Floats:
        found = {text: _SIZE.fullmatch(text) for text in texts.unique()}
        values = {text: float(match[number]) if match else np.nan for text, match in found.items()}
        return texts.map(values).to_numpy(np.float64)

    return part(1), part(2)


LAYOUT: Final = Layout(
    "optionsdx",
    "OptionsDX",
    frozenset(
        {"quote_unixtime", "underlying_last", "expire_date", "strike", "c_bid", "c_ask", "p_bid", "p_ask"}
    ),
    read,
)
