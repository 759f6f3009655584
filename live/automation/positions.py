"""What an automation does with the positions it holds: prices pushed, positions closed, everything closed.

A price that was stepped is in the journal, whatever comes after it. After a price, decisions that people have
left are taken up, with one exception: closing everything withdraws what waits in place of carrying it out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from journal.records import Trade
from live.automation.account import Asked
from simulator.errors import EngineError, SignalError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from live.trading_automation import TradingAutomation

__all__ = ["Positions"]


class Positions:
    """The positions of one automation."""

    def __init__(self, automation: TradingAutomation) -> None:
        self._automation = automation

    def held(self) -> dict[str, tuple[int, float]]:
        """Return number and last price by symbol; the limits allow one position per symbol."""
        account = self._automation.account
        state = account.state
        slots = state.open_slots["slot"][: int(state.account[0]["n_positions"])]
        return {
            account.symbols[int(record["sym"])]: (int(record["id"]), float(record["mark"]))
            for record in state.positions[slots]
        }

    def update(self, prices: Mapping[str, float]) -> list[Trade]:
        """Push prices; see `TradingAutomation.update_positions`."""
        if not isinstance(prices, Mapping) or not prices:
            raise SignalError(
                f"prices are {prices!r}; give a mapping of symbol to price with at least one",
                code="LIVE_PRICE",
            )
        trades = self._push({str(symbol): _price(str(symbol), value) for symbol, value in prices.items()})
        self._automation.safety.settle()
        return trades

    def close(
        self, ticker: str, exit_price: float | None, reason: str, note: Mapping[str, Any] | None = None
    ) -> Trade:
        """Close one position; see `TradingAutomation.close_position`."""
        held = self.held()
        if ticker not in held:
            hint = did_you_mean(str(ticker), held)
            raise UnknownNameError(f"no position in {ticker!r} is open.{hint}", code="LIVE_NO_POSITION")
        position, mark = held[ticker]
        price = mark if exit_price is None else _price(ticker, exit_price)
        (trade,) = self._close({ticker: price}, {position: reason}, note)
        self._automation.safety.settle()
        return trade

    def close_all(self, reason: str) -> int:
        """Close everything and withdraw what waits; see `TradingAutomation.emergency_close_all`."""
        closed: list[Trade] = []
        held = self.held()
        try:
            if held:
                marks = {symbol: mark for symbol, (_, mark) in held.items()}
                closed = self._close(marks, {position: reason for position, _ in held.values()})
        finally:
            # an entry may not be let in either where the positions could not be closed
            failed = self._automation.safety.withdraw_all(reason)
        left = self.held()
        if left:
            raise EngineError(
                f"{', '.join(sorted(left))} {'is' if len(left) == 1 else 'are'} open after everything was "
                f"closed ({len(closed)} of {len(held)}); something was entered meanwhile. Engage the kill "
                "switch and close again",
                code="LIVE_NOT_FLAT",
            )
        if failed is not None:
            raise failed
        return len(closed)

    def _close(
        self, prices: Mapping[str, float], reasons: Mapping[int, str], note: Mapping[str, Any] | None = None
    ) -> list[Trade]:
        commands: list[Asked] = [("close", symbol, price) for symbol, price in prices.items()]
        given = {**(note or {}), "reasons": {str(position): text for position, text in reasons.items()}}
        return self._push(prices, commands, given)

    def _push(
        self,
        prices: Mapping[str, float],
        commands: Sequence[Asked] = (),
        note: Mapping[str, Any] | None = None,
    ) -> list[Trade]:
        outcome = self._automation.desk.push(prices, commands=commands, note=note)
        self._automation.safety.watch()
        return [self._automation.journal.trade(number) for number in outcome.trades]


def _price(symbol: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < math.inf:
        raise SignalError(
            f"the price of {symbol} is {value!r}; it must be a finite number above 0", code="LIVE_PRICE"
        )
    return float(value)
