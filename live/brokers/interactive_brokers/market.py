"""Prices of Interactive Brokers: quotes, the chain of options, and the history of volatility.

Quotes are snapshots. -1 with a size of 0 means that there is no such price, a subscription that is lacking
gives an error (354, 10089) or delayed prices, and which of them came is said with the quote. A chain is asked
for in two steps: which expiries and strikes there are, of which not every pair is listed, and then the
contracts. Its Greeks are those of the broker's model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from live.brokers.interactive_brokers.contracts import Contracts, symbol_of
from live.brokers.interactive_brokers.door import library
from live.brokers.told import DataLevel, Quote
from simulator.errors import FetchError

if TYPE_CHECKING:
    from simulator.options.chain import Chain

__all__ = ["chain_of", "entitlement_of", "quotes_of", "volatilities_of"]

AT_ONCE: Final = 50
"""Snapshots that are open at the same time; the broker allows 100 lines."""

LIVE: Final = 1
DELAYED_IF_NEEDED: Final = 4
"""Kinds of prices: those of now; and where they are not subscribed those of some minutes ago, or the last."""

DELAYED: Final = frozenset({3, 4})
"""Kinds of prices that came: late ones, and the last of the late ones (2 are the last ones of now)."""

NOT_SUBSCRIBED: Final = frozenset({354, 10089, 10090, 10167, 10168, 10186, 10197})
"""Codes that say that prices of now are not to be had: no subscription, or used by another login (10197)."""

_NO_CONTRACT: Final = 200


async def quotes_of(ib: Any, contracts: Contracts, symbols: Sequence[str]) -> dict[str, Quote]:
    """Return quotes by symbol."""
    ib.reqMarketDataType(DELAYED_IF_NEEDED)
    found = await contracts.find(ib, symbols)
    return {symbol: quote for symbol, quote in await _snapshots(ib, found.items())}


async def chain_of(
    ib: Any, contracts: Contracts, underlying: str, *, days: tuple[int, int], width: float
) -> Chain:
    """Return a chain; parameters and errors are those of `InteractiveBrokersBroker.chain`."""
    from simulator.options.chain import CALL, PUT, Chain

    ib.reqMarketDataType(DELAYED_IF_NEEDED)
    stock = (await contracts.find(ib, [underlying]))[underlying]
    spot = await _spot(ib, underlying, stock)
    lists = await ib.reqSecDefOptParamsAsync(stock.symbol, "", "STK", stock.conId)
    today = datetime.now(UTC).date()
    wanted = sorted(
        {
            (one.tradingClass, expiry, float(strike))
            for one in lists
            if one.exchange == "SMART"
            for expiry in one.expirations
            if days[0] <= (_day(expiry) - today).days <= days[1]
            for strike in one.strikes
            if abs(strike / spot - 1.0) <= width
        }
    )
    listed = [one for part in await _listed(ib, stock, wanted) for one in part]
    for one in listed:
        contracts.learn(one)
    quotes = [
        (one, quote)
        for one, (_, quote) in zip(
            listed, await _snapshots(ib, [(symbol_of(one), one) for one in listed]), strict=True
        )
    ]
    if not quotes:
        raise FetchError(
            f"{underlying}: no option within {width:.0%} of {spot:g} that expires in {days[0]} to "
            f"{days[1]} days",
            code="LIVE_CHAIN",
        )
    stamp = int(max(quote.time for _, quote in quotes).timestamp()) * 1_000_000_000
    epoch = date(1970, 1, 1)
    columns: dict[str, list[Any]] = {
        "ts": [stamp] * len(quotes),
        "expiry": [(_day(one.lastTradeDateOrContractMonth) - epoch).days for one, _ in quotes],
        "kind": [CALL if one.right.startswith("C") else PUT for one, _ in quotes],
        "strike": [float(one.strike) for one, _ in quotes],
        "multiplier": [float(one.multiplier or 100.0) for one, _ in quotes],
        "underlying": [spot] * len(quotes),
    }
    for name in ("bid", "ask", "iv", "delta"):
        columns[name] = [getattr(quote, name) for _, quote in quotes]
    return Chain.from_arrays(underlying, columns, origin="real")


async def entitlement_of(
    ib: Any, heard: list[Callable[[int, int, str], None]], contracts: Contracts, symbol: str
) -> tuple[DataLevel, str]:
    """Return which prices of a symbol this login gets, and the gateway's words where they are late or none.

    Parameters
    ----------
    heard
        Where to listen to errors and notices, as `Gateway.heard`.
    """
    said: list[str] = []

    def hear(_: int, code: int, text: str) -> None:
        if code in NOT_SUBSCRIBED:
            said.append(f"{text} ({code})")

    ib.reqMarketDataType(DELAYED_IF_NEEDED)
    contract = (await contracts.find(ib, [symbol]))[symbol]
    heard.append(hear)
    try:
        (ticker,) = await ib.reqTickersAsync(contract)
    except library().RequestError as error:
        if error.code not in NOT_SUBSCRIBED:
            raise
        return "none", f"{error.message} ({error.code})"
    finally:
        heard.remove(hear)
    return "delayed" if ticker.marketDataType in DELAYED else "all", " ".join(said)


async def volatilities_of(ib: Any, contracts: Contracts, underlying: str) -> list[float]:
    """Return the implied volatility of an underlying at the close of each session of a year, oldest first."""
    stock = (await contracts.find(ib, [underlying]))[underlying]
    bars = await ib.reqHistoricalDataAsync(
        stock, "", "1 Y", "1 day", "OPTION_IMPLIED_VOLATILITY", True, formatDate=1, timeout=0
    )
    return [float(bar.close) for bar in bars]


async def _spot(ib: Any, underlying: str, stock: Any) -> float:
    ((_, quote),) = await _snapshots(ib, [(underlying, stock)])
    spot = (quote.bid + quote.ask) / 2.0 if quote.is_usable else quote.last
    if not spot > 0.0:
        raise FetchError(f"{underlying}: the broker gives no price of it", code="LIVE_CHAIN")
    return spot


async def _listed(ib: Any, stock: Any, wanted: Sequence[tuple[str, str, float]]) -> list[list[Any]]:
    """Return the contracts of each expiry; what is not listed is left out."""
    lib = library()
    strikes: dict[tuple[str, str], set[float]] = {}
    for root, expiry, strike in wanted:
        strikes.setdefault((root, expiry), set()).add(strike)
    found = []
    for (root, expiry), some in strikes.items():
        query = lib.Contract(
            secType="OPT", symbol=stock.symbol, tradingClass=root, lastTradeDateOrContractMonth=expiry,
            exchange="SMART", currency=stock.currency,
        )  # fmt: skip
        try:
            details = await ib.reqContractDetailsAsync(query)
        except lib.RequestError as error:
            if error.code != _NO_CONTRACT:
                raise
            continue
        found.append([one.contract for one in details if float(one.contract.strike) in some])
    return found


async def _snapshots(ib: Any, contracts: Iterable[tuple[str, Any]]) -> list[tuple[str, Quote]]:
    waiting = list(contracts)
    found = []
    for start in range(0, len(waiting), AT_ONCE):
        part = waiting[start : start + AT_ONCE]
        tickers = await asyncio.gather(*(ib.reqTickersAsync(contract) for _, contract in part))
        found += [
            (symbol, _quote(symbol, ticker)) for (symbol, _), (ticker,) in zip(part, tickers, strict=True)
        ]
    return found


def _quote(symbol: str, ticker: Any) -> Quote:
    greeks = ticker.modelGreeks
    values = {}
    if greeks is not None:
        values = {
            "iv": _known(greeks.impliedVol), "delta": _known(greeks.delta), "gamma": _known(greeks.gamma),
            "vega": _known(greeks.vega), "theta": _known(greeks.theta),
        }  # fmt: skip
    return Quote(
        symbol=symbol,
        time=datetime.now(UTC),
        bid=_price(ticker.bid),
        ask=_price(ticker.ask),
        bid_size=_size(ticker.bidSize),
        ask_size=_size(ticker.askSize),
        last=_price(ticker.last),
        is_delayed=ticker.marketDataType not in (0, LIVE),
        **values,
    )


def _price(value: Any) -> float:
    """Return a price, NaN where there is none: the broker writes -1, and 0 for an option nobody bids for."""
    found = _known(value)
    return found if found >= 0.0 else math.nan


def _size(value: Any) -> float:
    # what has no price has the size 0
    found = _known(value)
    return found if found > 0.0 else math.nan


def _known(value: Any) -> float:
    if value is None or not math.isfinite(value) or abs(value) > 1e300 or value == -2:
        return math.nan
    return float(value)


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
