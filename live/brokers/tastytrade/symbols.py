"""Symbols: canonical here, as tastytrade writes them there.

An option is "SPY261218P00500000" here and "SPY   261218P00500000" there, its root padded to six characters;
a class of shares is "BRK.B" here and "BRK/B" there; and the stream of prices calls an option
".SPY261218P500".

>>> wire("SPY261218P00500000")
'SPY   261218P00500000'
>>> canonical("BRK/B")
'BRK.B'
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final, NamedTuple

from live.brokers.interface import is_option

__all__ = ["Contract", "canonical", "contract", "streamer", "underlying", "wire"]

_OCC: Final = re.compile(r"([A-Z][A-Z0-9.]{0,5})(\d{6})([CP])(\d{8})")
_PADDED: Final = re.compile(r"([A-Z][A-Z0-9./]{0,5}) *(\d{6}[CP]\d{8})")


class Contract(NamedTuple):
    """What an option is."""

    root: str
    expiry: date
    right: str
    strike: float


def wire(symbol: str) -> str:
    """Return a canonical symbol as tastytrade writes it."""
    found = _OCC.fullmatch(symbol)
    if found and is_option(symbol):
        root, rest = symbol[: found.end(1)], symbol[found.end(1) :]
        return f"{root:<6}{rest}"
    return symbol.replace(".", "/")


def canonical(symbol: str) -> str:
    """Return a symbol of tastytrade as it is written here."""
    found = _PADDED.fullmatch(symbol.strip())
    if found:
        return found[1] + found[2]
    # a future keeps its stroke at the front, which is no class of shares
    return symbol if symbol.startswith(("/", "./")) else symbol.strip().replace("/", ".")


def contract(symbol: str) -> Contract | None:
    """Return what a canonical symbol of an option says, None for what is none.

    >>> contract("SPY261218P00500000").strike
    500.0
    """
    found = _OCC.fullmatch(symbol)
    if found is None:
        return None
    day = found[2]
    expiry = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    return Contract(found[1], expiry, found[3], int(found[4]) / 1000.0)


def underlying(symbol: str) -> str:
    """Return the root of an option, or the symbol itself."""
    found = contract(symbol)
    return symbol if found is None else found.root


def streamer(symbol: str) -> str:
    """Return a canonical symbol as the stream of prices has it.

    >>> streamer("SPY261218P00022500")
    '.SPY261218P22.5'
    """
    found = contract(symbol)
    if found is None:
        return symbol.replace(".", "/")
    strike = f"{found.strike:.3f}".rstrip("0").rstrip(".")
    return f".{found.root}{found.expiry:%y%m%d}{found.right}{strike}"
