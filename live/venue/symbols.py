"""What a symbol says about its instrument: a ticker is a stock, an OCC symbol an option on its root."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import date
from typing import Final

__all__ = ["CASH_SETTLED", "CONTRACT_SIZE", "Contract", "contract_of", "occ_symbol"]

CONTRACT_SIZE: Final = 100.0
"""Units of the underlying per contract."""

CASH_SETTLED: Final = frozenset({"SPX", "SPXW", "XSP", "VIX", "VIXW", "NDX", "NDXP", "RUT", "RUTW", "DJX"})
"""Roots of index options, which deliver money."""

_OCC: Final = re.compile(r"([A-Z][A-Z0-9.]{0,5})(\d{2})(\d{2})(\d{2})([CP])(\d{8})")


@dataclass(frozen=True, slots=True)
class Contract:
    """Terms of an option: underlying, expiry as days since 0001 (`date.toordinal`), +1 call or -1 put."""

    root: str
    expiry: int
    right: int
    strike: float

    def intrinsic(self, spot: float) -> float:
        """Return what it is worth when it is exercised at `spot`, per unit of the underlying."""
        return max(0.0, self.right * (spot - self.strike))


@functools.lru_cache(maxsize=65_536)
def contract_of(symbol: str) -> Contract | None:
    """Return the terms of an option, None for anything else."""
    match = _OCC.fullmatch(symbol)
    if match is None:
        return None
    root, year, month, day, right, strike = match.groups()
    try:
        expiry = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return None
    return Contract(root, expiry.toordinal(), 1 if right == "C" else -1, int(strike) / 1000.0)


def occ_symbol(contract: Contract) -> str:
    """Return the OCC symbol of a contract, without padding."""
    day = date.fromordinal(contract.expiry)
    right = "C" if contract.right > 0 else "P"
    return f"{contract.root}{day:%y%m%d}{right}{round(contract.strike * 1000):08d}"
