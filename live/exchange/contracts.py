"""Option contracts of the bar that the market stands at: what they cost, and which are listed.

Bars that know options (`Bars.with_options`) hold stored quotes, and then a contract without one has no price,
or a modelled surface, which answers for every contract that has not expired. Prices and widths are those of a
backtest: the same compiled functions, years as calendar days over 365, indices European and shares American.

Contracts trade until the session of their expiry closes, as at an exchange: within that day a stored quote
counts, the surface prices the hours that are left, and only what has neither is worth what it would pay now.

>>> Contract.parse("SPY261218P00500000")
Contract(symbol='SPY261218P00500000', root='SPY', expiry=datetime.date(2026, 12, 18), right=-1, strike=500.0)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.arrays import DAY, Floats
from simulator.bars.clock import session_times

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Contract", "Contracts"]

MOST_DAYS: Final = 70
"""Calendar days to the last expiry that is listed of a modelled surface."""
REACH: Final = 0.25
"""Share of the price that listed strikes of a modelled surface lie above and below it."""

_OPTION: Final = re.compile(r"([A-Z][A-Z0-9.]{0,5})(\d{2})(\d{2})(\d{2})([CP])(\d{8})")
_EPOCH: Final = date(1970, 1, 1)
_INDEX: Final = 2  # the kind of an index among instruments
_DAYS_PER_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True)
class Contract:
    """What an OCC symbol says; `right` is +1 for a call, -1 for a put."""

    symbol: str
    root: str
    expiry: date
    right: int
    strike: float

    @classmethod
    def parse(cls, symbol: str) -> Contract | None:
        """Return the contract of an OCC symbol without padding, None for any other text."""
        found = _OPTION.fullmatch(symbol)
        if found is None:
            return None
        root, year, month, day, right, strike = found.groups()
        try:
            expiry = date(2000 + int(year), int(month), int(day))
        except ValueError:
            return None
        return cls(symbol, root, expiry, 1 if right == "C" else -1, int(strike) / 1000.0)

    @classmethod
    def of(cls, root: str, expiry: date, right: int, strike: float) -> Contract:
        """Return the contract with these terms."""
        kind = "C" if right > 0 else "P"
        symbol = f"{root}{expiry:%y%m%d}{kind}{round(strike * 1000):08d}"
        return cls(symbol, root, expiry, right, strike)


class Contracts:
    """Contracts on the symbols of one bar.

    Parameters
    ----------
    bar
        Bars of one row; without options there are no contracts.
    """

    def __init__(self, bar: Bars) -> None:
        self.bar = bar
        self.session = int(bar.session[-1])
        self._left = _left_of(bar)

    def quote(self, symbol: str) -> tuple[float, float] | None:
        """Return bid and ask of a contract at the close, None where it has no price."""
        contract, market = Contract.parse(symbol), self.bar.options
        if contract is None or market is None or contract.root not in self.bar.symbols:
            return None
        column = self.bar.column(contract.root)
        days = (contract.expiry - _EPOCH).days - self.session
        found = None
        if days > 0 or (days == 0 and self._left > 0.0):
            quoted = market.grade == "quoted"
            found = self._stored(contract, column) if quoted else self._modelled(contract, column)
        return self._payoff(contract, column) if found is None and days <= 0 else found

    def listed(self) -> list[Contract]:
        """Return the contracts that are quoted, or that one would expect of a modelled surface."""
        market = self.bar.options
        if market is None:
            return []
        if market.grade == "quoted":
            return [
                Contract.of(
                    self.bar.symbols[int(quote["sym"])],
                    _EPOCH + timedelta(days=int(quote["expiry"])),
                    int(quote["right"]),
                    float(quote["strike"]),
                )
                for quote in market.quotes
                if quote["expiry"] > self.session - (self._left > 0.0)
            ]
        return [contract for column in range(len(self.bar.symbols)) for contract in self._imagined(column)]

    def _payoff(self, contract: Contract, column: int) -> tuple[float, float] | None:
        spot = float(self.bar.close[-1, column])
        worth = max(0.0, contract.right * (spot - contract.strike))
        return (worth, worth) if np.isfinite(spot) else None

    def _stored(self, contract: Contract, column: int) -> tuple[float, float] | None:
        if self.bar.options is None:
            return None
        quotes = self.bar.options.quotes
        fits = (
            (quotes["sym"] == column)
            & (quotes["expiry"] == (contract.expiry - _EPOCH).days)
            & (quotes["right"] == contract.right)
            & (quotes["strike"] == contract.strike)
        )
        for quote in quotes[fits][:1]:
            bid, ask = float(quote["bid"]), float(quote["ask"])
            if 0.0 <= bid <= ask and ask > 0.0:
                return bid, ask
        return None

    def _modelled(self, contract: Contract, column: int) -> tuple[float, float] | None:
        from simulator.options.pricing import price
        from simulator.options.surface import run

        terms = self._terms(column)
        if terms is None:
            return None
        record, spot, index, carry = terms
        days = (contract.expiry - _EPOCH).days - self.session
        years = (days or self._left) / _DAYS_PER_YEAR
        volatility = run(
            "volatilities_over",
            record,
            index,
            spot,
            carry["rate"],
            carry["dividend_yield"],
            contract.strike,
            years,
        )
        european = int(self.bar.instruments["kind"][column]) == _INDEX
        worth = float(
            price(
                "call" if contract.right > 0 else "put", spot, contract.strike, years,
                volatility=float(volatility), style="european" if european else "american", **carry,
            )
        )  # fmt: skip
        return _around(record, worth) if worth >= 0.0 else None

    def _imagined(self, column: int) -> list[Contract]:
        from simulator.options.modelled import listed_expiries, strike_step

        terms = self._terms(column)
        if terms is None:
            return []
        spot = terms[1]
        step = float(strike_step(spot))
        first, last = int(np.ceil(spot * (1 - REACH) / step)), int(np.floor(spot * (1 + REACH) / step))
        first_day = self.session + (self._left == 0.0)
        expiries = listed_expiries(first_day, self.session + MOST_DAYS, calendar=self.bar.calendar)
        return [
            Contract.of(self.bar.symbols[column], _EPOCH + timedelta(days=int(day)), right, number * step)
            for day in expiries
            for right in (-1, 1)
            for number in range(max(first, 1), last + 1)
        ]

    def _terms(self, column: int) -> tuple[Floats, float, float, dict[str, float]] | None:
        """Return surface, price, volatility index and carry of an underlying, None where one is unknown."""
        market = self.bar.options
        if market is None or not market.surfaces.size or not market.volatility.size:
            return None
        spot, index = float(self.bar.close[-1, column]), float(market.volatility[-1, column])
        if not (spot > 0.0 and index > 0.0):
            return None
        carry = {
            "rate": float(market.rates[-1]),
            "dividend_yield": float(market.yields[column]) if market.yields.size else 0.0,
        }
        return market.surfaces[column], spot, index, carry


def _left_of(bar: Bars) -> float:
    """Return what is left of the bar's session when it closes, in days; 0 for daily bars."""
    if bar.daily:
        return 0.0
    _, closes = session_times(bar.calendar, bar.session[-1:])
    return max(0.0, float(closes[0] - bar.close_ts[-1]) / DAY)


def _around(record: Floats, worth: float) -> tuple[float, float]:
    """Return the surface's bid and ask around a price."""
    from simulator.kernel import surface as kernel
    from simulator.kernel._jit import kernel_jit, self_healing

    bid, ask = np.empty(1), np.empty(1)
    value: Any = np.array([worth])
    self_healing(kernel_jit, lambda: kernel.spreads_over(record, value, bid, ask))
    return float(bid[0]), float(ask[0])
