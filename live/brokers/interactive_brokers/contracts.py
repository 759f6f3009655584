"""Canonical symbols and the contracts of Interactive Brokers, in both directions.

A stock with a class is "BRK.B" here and "BRK B" there. An option is its OCC symbol without padding here;
there its `localSymbol` is padded to 21 characters, and its root may differ from its underlying (SPXW for
SPX), so it is looked up by `localSymbol` and not by its parts. A multiplier comes from the contract, never
from the kind: adjusted options have others than 100. What is found is kept, by symbol and by contract id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final

from live.brokers.interactive_brokers.door import library
from live.brokers.interface import is_option
from simulator.errors import UnknownNameError

__all__ = ["Contracts", "multiplier_of", "padded", "symbol_of"]

NO_CONTRACT: Final = 200
_OCC: Final = re.compile(r"([A-Z0-9.]{1,6}?) *(\d{6}[CP]\d{8})")
_ROOT: Final = re.compile(r"([A-Z][A-Z0-9.]{0,5}?)(\d{6}[CP]\d{8})")


class Contracts:
    """The contracts that were looked up."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, Any] = {}
        self._by_id: dict[int, str] = {}

    async def find(self, ib: Any, symbols: Iterable[str]) -> dict[str, Any]:
        """Return contracts by symbol.

        Raises
        ------
        UnknownNameError
            NAME_CONTRACT for a symbol that the broker does not know, or that several contracts have.
        """
        found = {}
        for symbol in symbols:
            if symbol not in self._by_symbol:
                self._by_symbol[symbol] = await self._asked(ib, symbol)
            found[symbol] = self._by_symbol[symbol]
        return found

    async def name(self, ib: Any, con_id: int) -> str:
        """Return the symbol of a contract id, as for the leg of a combination."""
        if con_id not in self._by_id:
            details = await ib.reqContractDetailsAsync(library().Contract(conId=con_id, exchange="SMART"))
            if not details:
                raise UnknownNameError(f"no contract has the id {con_id}", code="NAME_CONTRACT")
            self.learn(details[0].contract)
        return self._by_id[con_id]

    def learn(self, contract: Any) -> str:
        """Remember the id of a contract that the broker has sent; returns its symbol."""
        symbol = symbol_of(contract)
        if contract.conId and contract.secType != "BAG":
            self._by_id[contract.conId] = symbol
        return symbol

    async def _asked(self, ib: Any, symbol: str) -> Any:
        lib = library()
        if is_option(symbol):
            wanted = lib.Contract(secType="OPT", localSymbol=padded(symbol), exchange="SMART", currency="USD")
        else:
            wanted = lib.Contract(
                secType="STK", symbol=symbol.replace(".", " "), exchange="SMART", currency="USD"
            )
        try:
            details = await ib.reqContractDetailsAsync(wanted)
        except lib.RequestError as error:
            if error.code != NO_CONTRACT:
                raise
            details = []
        contracts = [one.contract for one in details if symbol_of(one.contract) == symbol]
        if len({one.conId for one in contracts}) != 1:
            many = f"{len(contracts)} contracts are called so" if contracts else "no contract is called so"
            raise UnknownNameError(f"{symbol}: {many} at Interactive Brokers", code="NAME_CONTRACT")
        contract = contracts[0]
        contract.exchange = "SMART"
        self.learn(contract)
        return contract


def symbol_of(contract: Any) -> str:
    """Return the canonical symbol of a contract; of a combination that of its underlying.

    What is neither stock nor option has its local name: it is held, and must not be passed over.
    """
    if contract.secType == "OPT":
        option = _OCC.fullmatch(contract.localSymbol.strip())
        if option:
            return option[1] + option[2]
        root = contract.tradingClass or contract.symbol
        strike = round(float(contract.strike) * 1000)
        return f"{root}{contract.lastTradeDateOrContractMonth[2:8]}{contract.right[:1]}{strike:08d}"
    if contract.secType in ("STK", "BAG", ""):
        return str(contract.symbol).replace(" ", ".")
    return str(contract.localSymbol or contract.symbol).replace(" ", "")


def padded(symbol: str) -> str:
    """Return the OCC symbol with its root padded to six characters.

    >>> padded("SPY261218P00500000")
    'SPY   261218P00500000'
    """
    match = _ROOT.fullmatch(symbol)
    return symbol if match is None else f"{match[1]:<6}{match[2]}"


def multiplier_of(contract: Any) -> float:
    """Return how many units of the underlying a contract is."""
    try:
        unit = float(contract.multiplier or 1.0)
    except ValueError:
        return 1.0
    return unit if math.isfinite(unit) and unit > 0.0 else 1.0
