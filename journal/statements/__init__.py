"""Broker statements: read, stored once, and made into trades.

`import_statement` reads the CSV of tastytrade, the account activities of Alpaca and the Flex queries of
Interactive Brokers, stores every execution exactly once and keeps the trades that follow from them. Importing
a statement again changes nothing, overlapping statements merge, and their order does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from journal.statements.importing import ImportResult, import_statement
    from journal.statements.rows import Contract, StatementRow, contract

_HOMES = {
    "Contract": "rows",
    "ImportResult": "importing",
    "StatementRow": "rows",
    "contract": "rows",
    "import_statement": "importing",
}

__all__ = ["Contract", "ImportResult", "StatementRow", "contract", "import_statement"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
