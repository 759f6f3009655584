"""What a TWS answers that has nothing to do with orders: the account, contracts, prices and their history."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.tws import wire
from tests.fakes.tws.market import Instrument, TwsMarket


@dataclass(eq=False)
class Session:
    """One client that is connected."""

    writer: asyncio.StreamWriter
    client_id: int = -1
    positions: bool = False
    muted: bool = False
    silent: bool = False  # until an order is transmitted
    keeping: bool = False
    kept: list[bytes] = field(default_factory=list)  # answers that come with the next one

    def send(self, message: bytes) -> None:
        """Send, or lose, a message."""
        if self.keeping:
            self.kept.append(message)
        elif not self.muted and not self.writer.is_closing():
            self.writer.write(message)


class DataAnswers:
    """The answers.

    Attributes
    ----------
    greeks
        By symbol: implied volatility, delta, gamma, vega, theta.
    volatility
        Implied volatilities of an underlying, one for each session.
    delayed
        Whether prices are those of some minutes ago, as without a subscription, which a notice (10167) says.
    values
        Of the account, in place of and beside the usual ones: {"DayTradesRemaining": "0"}.
    skew
        Seconds that its clock is ahead of the market's.
    """

    market: TwsMarket
    next_id: int

    def __init__(self) -> None:
        self.greeks: dict[str, tuple[float, float, float, float, float]] = {}
        self.volatility: list[float] = []
        self.delayed = False
        self.values: dict[str, str] = {}
        self.skew = 0.0

    async def _on_account_stream(self, session: Session, words: list[str]) -> None:
        name = self.market.account
        for tag, value in self._worth().items():
            session.send(wire.frame(6, 2, tag, value, "USD", name))
        for one, held, cost in self.market.positions():
            price = self.market.prices.get(one.symbol, cost / one.multiplier)
            session.send(wire.portfolio(name, one, held, cost, price))
        session.send(wire.frame(54, 1, name))

    async def _on_account(self, session: Session, words: list[str]) -> None:
        request = int(words[2])
        for tag, value in self._worth().items():
            session.send(wire.frame(73, 1, request, self.market.account, "", tag, value, "USD"))
        session.send(wire.frame(74, 1, request))

    def _worth(self) -> dict[str, str]:
        cash, equity = self.market.cash, self.market.equity()
        return {"AccountType": "INDIVIDUAL", "TotalCashValue": f"{cash:.2f}",
                "NetLiquidation": f"{equity:.2f}",
                "BuyingPower": f"{max(0.0, 4 * equity):.2f}", **self.values}  # fmt: skip

    async def _on_account_end(self, session: Session, words: list[str]) -> None: ...

    async def _on_quote_end(self, session: Session, words: list[str]) -> None: ...

    async def _on_data_type(self, session: Session, words: list[str]) -> None: ...

    async def _on_ids(self, session: Session, words: list[str]) -> None:
        session.send(wire.frame(9, 1, self.next_id))

    async def _on_time(self, session: Session, words: list[str]) -> None:
        session.send(wire.frame(49, 1, int(self.market.now.timestamp() + self.skew)))

    async def _on_contract(self, session: Session, words: list[str]) -> None:
        request = int(words[2])
        get = wire.Fields(words)
        get.skip(3)
        found = self._contracts(wire.read_contract(get))
        for one in found:
            session.send(wire.contract_details(request, one))
        if found:
            session.send(wire.frame(52, 1, request))
        else:
            session.send(wire.error(request, 200, "No security definition has been found for the request"))

    def _contracts(self, wanted: dict[str, Any]) -> list[Instrument]:
        """Return the contracts that a description fits; what is empty in it fits all."""

        def fits(one: Instrument) -> bool:
            if wanted["con_id"]:
                return bool(one.con_id == wanted["con_id"])
            return (
                wanted["kind"] in ("", one.kind)
                and wanted["symbol"] in ("", one.root)
                and wanted["local"] in ("", one.local)
                and wanted["expiry"] in ("", one.expiry)
                and wanted["right"] in ("", one.right)
                and float(wanted["strike"] or 0.0) in (0.0, one.strike)
            )

        return [one for one in self.market.instruments() if fits(one)]

    async def _on_quote(self, session: Session, words: list[str]) -> None:
        request = int(words[2])
        get = wire.Fields(words)
        get.skip(3)
        found = self._contracts(wire.read_contract(get))
        if not found:
            session.send(wire.error(request, 200, "No security definition has been found for the request"))
            return
        one = found[0]
        if self.delayed:
            text = "Requested market data is not subscribed. Displaying delayed market data."
            session.send(wire.error(request, 10167, text) + wire.frame(58, 1, request, 3))
        price = self.market.prices.get(one.symbol)
        bid, ask = self.market.quotes.get(one.symbol, (price, price))
        # what has no price is -1 with a size of 0
        bid_tick, ask_tick, last_tick = (66, 67, 68) if self.delayed else (1, 2, 4)
        for tick, value in ((bid_tick, bid), (ask_tick, ask), (last_tick, price)):
            size = 100 if value is not None else 0
            session.send(wire.frame(1, 6, request, tick, -1.0 if value is None else value, size, 0))
        if one.symbol in self.greeks:
            volatility, delta, gamma, vega, theta = self.greeks[one.symbol]
            under = self.market.prices.get(one.root, -1.0)
            session.send(
                wire.frame(21, request, 13, 0, volatility, delta, price, -1, gamma, vega, theta, under)
            )
        session.send(wire.frame(57, 1, request))

    async def _on_option_chain(self, session: Session, words: list[str]) -> None:
        request, root = int(words[1]), words[2]
        options = [one for one in self.market.instruments() if one.kind == "OPT" and one.root == root]
        days = sorted({one.expiry for one in options})
        strikes = sorted({one.strike for one in options})
        stock = self.market.listed(root)
        con_id = 0 if stock is None else stock.con_id
        for exchange in ("SMART", "CBOE"):
            session.send(
                wire.frame(75, request, exchange, con_id, root, 100, len(days), *days, len(strikes), *strikes)
            )
        session.send(wire.frame(76, request))

    async def _on_history(self, session: Session, words: list[str]) -> None:
        request = int(words[1])
        bars: list[object] = []
        for day, value in enumerate(self.volatility):
            date = f"2025{1 + day // 28 % 12:02d}{1 + day % 28:02d}"
            bars += [date, value, value, value, value, 0, value, 1]
        session.send(wire.frame(17, request, "", "", len(self.volatility), *bars))

    async def _on_summary(self, session: Session, words: list[str]) -> None:
        request = int(words[2])
        for tag, value in self._worth().items():
            session.send(wire.frame(63, 1, request, self.market.account, tag, value, "USD"))
        session.send(wire.frame(64, 1, request))
