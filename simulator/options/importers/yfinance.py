"""yfinance: what `Ticker.option_chain(expiry)` returns, or its calls and puts saved as one table.

Odd: expiry and kind stand only in the option symbol (XYZ261218C00600000), and the quote time nowhere: it is
`underlying["regularMarketTime"]` of the answer, or must be given; `lastTradeDate` is the last trade, which
may be weeks old, and is not used. Outside trading hours bid and ask are 0 and IV is a placeholder near
0.00001: both are read as unknown.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from simulator.bars.arrays import SECOND
from simulator.errors import DataError
from simulator.options.chain_columns import KINDS, Draft
from simulator.options.importers.parse import Layout, Source, Table, no_quote, terms_by_root, ticker

__all__ = ["LAYOUT", "is_answer", "read", "read_answer"]

_SYMBOL: Final = re.compile(r"([A-Z0-9.]+?)(\d{6})([CP])(\d{8})")
_PLACEHOLDER_IV: Final = 1e-4


def is_answer(source: Any) -> bool:
    """Return whether this is what `option_chain` returns: an object with calls and puts."""
    return hasattr(source, "calls") and hasattr(source, "puts")


def read_answer(answer: Any, source: Source) -> list[Draft]:
    """Return the drafts of what `option_chain` returns; time and price of the underlying come with it."""
    import pandas as pd

    if answer.calls is None or answer.puts is None:
        raise DataError(f"{source.name}: yfinance answered without options", code="DATA_EMPTY")
    told = getattr(answer, "underlying", None) or {}
    time = source.time if source.time is not None else told.get("regularMarketTime")
    known = Source(
        source.name,
        source.symbol or told.get("symbol"),
        source.calendar,
        int(time) * SECOND if source.time is None and time is not None else source.time,
        told.get("regularMarketPrice") if source.underlying is None else source.underlying,
        source.origin,
    )
    return read(Table(pd.concat([answer.calls, answer.puts], ignore_index=True), known))


def read(table: Table) -> list[Draft]:
    """Return the draft of calls and puts in one table."""
    source, size = table.source, len(table)
    if source.time is None:
        raise DataError(f"{source.name} does not say when it was quoted; give time=...", code="DATA_TIME")

    def part(number: int) -> Any:
        def read_part(text: Any) -> str:
            found = _SYMBOL.fullmatch(str(text).strip())
            if found is None:
                raise DataError(f"{source.name}: {text!r} is no option symbol", code="DATA_TYPE")
            return str(found[number])

        return read_part

    bid, ask = no_quote(table.numbers("bid"), table.numbers("ask"))
    iv = table.numbers("impliedvolatility")
    roots = table.coded("contractsymbol", part(1))
    style, settlement = (codes[roots[1]] for codes in terms_by_root(roots[0]))
    expiry = table.mapped("contractsymbol", lambda text: _day(part(2)(text)), np.int64)
    kind = table.mapped("contractsymbol", lambda text: KINDS[part(3)(text).lower()], np.int8)
    underlying = np.nan if source.underlying is None else source.underlying
    owner = ((ticker(source.symbol),), np.zeros(size, np.int16)) if source.symbol else roots
    return table.by_symbol(
        owner,
        root=roots,
        ts=np.full(size, source.time),
        expiry=expiry,
        kind=kind,
        strike=table.numbers("strike"),
        bid=bid,
        ask=ask,
        volume=table.numbers("volume"),
        open_interest=table.numbers("openinterest"),
        iv=np.where(iv > _PLACEHOLDER_IV, iv, np.nan),
        underlying=np.full(size, underlying, np.float64),
        style=style,
        settlement=settlement,
    )


def _day(text: str) -> int:
    return int(np.datetime64(f"20{text[:2]}-{text[2:4]}-{text[4:]}", "D").astype(np.int64))


LAYOUT: Final = Layout(
    "yfinance",
    "yfinance option_chain",
    frozenset({"contractsymbol", "strike", "bid", "ask", "impliedvolatility"}),
    read,
)
