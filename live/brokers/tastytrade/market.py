"""Prices of tastytrade: quotes, implied volatility and its rank, and the chain of options.

Quotes are asked for by the hundred. Those of the sandbox are 15 minutes late, so they are never usable to
decide by. Ranks and percentiles come as fractions in texts, and are 0 to 100 here. What tastytrade gives over
REST has no Greeks and no volatility of single contracts: those of a chain are unknown, and follow from its
quotes by `simulator.options`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from live.brokers.interface import is_option
from live.brokers.tastytrade.symbols import canonical, wire
from simulator.errors import FetchError, UnknownNameError

if TYPE_CHECKING:
    from simulator.options.chain import Chain

__all__ = ["Metrics", "Quote", "chain_of", "metrics_of", "quotes_of"]

AT_ONCE: Final = 100
"""Symbols that tastytrade answers for at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote as it was just now; NaN for what there is not.

    Attributes
    ----------
    is_delayed
        Whether it is older than it looks.
    """

    symbol: str
    time: datetime
    bid: float = math.nan
    ask: float = math.nan
    last: float = math.nan
    mark: float = math.nan
    is_delayed: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether there are two sides, above 0, and not crossed, and they are of now."""
        return 0.0 < self.bid <= self.ask and not self.is_delayed

    @property
    def price(self) -> float:
        """What it trades at: the last trade, the mark, or the middle; NaN without any."""
        middle = (self.bid + self.ask) / 2.0 if 0.0 < self.bid <= self.ask else math.nan
        return next((one for one in (self.last, self.mark, middle) if one > 0.0), math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Volatility of an underlying; NaN for what tastytrade does not give.

    Attributes
    ----------
    iv
        Implied volatility index, a fraction.
    iv_rank, iv_percentile
        0 to 100.
    iv_by_expiry
        Fractions.
    """

    symbol: str
    iv: float
    iv_rank: float
    iv_percentile: float
    iv_by_expiry: tuple[tuple[date, float], ...] = ()


async def quotes_of(session: Any, symbols: Sequence[str], *, late: bool) -> dict[str, Quote]:
    """Return quotes by symbol."""
    market = import_module("tastytrade.market_data")
    found: dict[str, Quote] = {}
    for start in range(0, len(symbols), AT_ONCE):
        part = symbols[start : start + AT_ONCE]
        rows = await market.get_market_data_by_type(
            session,
            equities=[wire(one) for one in part if not is_option(one)] or None,
            options=[wire(one) for one in part if is_option(one)] or None,
        )
        for row in rows:
            symbol = canonical(row.symbol)
            found[symbol] = Quote(
                symbol=symbol, time=row.updated_at.astimezone(UTC), bid=_price(row.bid), ask=_price(row.ask),
                last=_price(row.last), mark=_price(row.mark), is_delayed=late,
            )  # fmt: skip
    lacking = [one for one in symbols if one not in found]
    if lacking:
        raise UnknownNameError(f"tastytrade has no quote of {', '.join(lacking)}", code="NAME_CONTRACT")
    return {symbol: found[symbol] for symbol in symbols}


async def metrics_of(session: Any, symbols: Sequence[str]) -> dict[str, Metrics]:
    """Return volatilities by symbol."""
    metrics = import_module("tastytrade.metrics")
    rows = await metrics.get_market_metrics(session, [wire(one) for one in symbols])
    found = {}
    for row in rows:
        symbol = canonical(row.symbol)
        by_expiry = tuple(
            (one.expiration_date, float(one.implied_volatility))
            for one in row.option_expiration_implied_volatilities or ()
            if one.implied_volatility is not None
        )
        found[symbol] = Metrics(
            symbol=symbol, iv=_number(row.implied_volatility_index),
            iv_rank=100.0 * _number(row.implied_volatility_index_rank),
            iv_percentile=100.0 * _number(row.implied_volatility_percentile), iv_by_expiry=by_expiry,
        )  # fmt: skip
    lacking = [one for one in symbols if one not in found]
    if lacking:
        raise UnknownNameError(f"tastytrade has no metrics of {', '.join(lacking)}", code="NAME_CONTRACT")
    return found


async def chain_of(session: Any, underlying: str, *, days: tuple[int, int], width: float) -> Chain:
    """Return a chain.

    Raises
    ------
    FetchError
        LIVE_CHAIN without a price of the underlying, or without a contract.
    """
    from simulator.options.chain import CALL, PUT, Chain

    instruments = import_module("tastytrade.instruments")
    spot = (await quotes_of(session, [underlying], late=False))[underlying].price
    if not spot > 0.0:
        raise FetchError(f"{underlying}: the broker gives no price of it", code="LIVE_CHAIN")
    rows: list[tuple[str, date, int, float, float]] = []
    for nested in await instruments.NestedOptionChain.get(session, wire(underlying)):
        for expiry in nested.expirations:
            if not days[0] <= expiry.days_to_expiration <= days[1]:
                continue
            for strike in expiry.strikes:
                price = float(strike.strike_price)
                if abs(price / spot - 1.0) <= width:
                    for symbol, kind in ((strike.call, CALL), (strike.put, PUT)):
                        rows.append(
                            (canonical(symbol), expiry.expiration_date, kind, price,
                             float(nested.shares_per_contract))
                        )  # fmt: skip
    if not rows:
        raise FetchError(
            f"{underlying}: no option within {width:.0%} of {spot:g} that expires in {days[0]} to {days[1]} "
            "days",
            code="LIVE_CHAIN",
        )
    quotes = await quotes_of(session, [row[0] for row in rows], late=False)
    stamp = int(max(quote.time for quote in quotes.values()).timestamp()) * 1_000_000_000
    epoch = date(1970, 1, 1)
    columns = {
        "ts": [stamp] * len(rows),
        "expiry": [(row[1] - epoch).days for row in rows],
        "kind": [row[2] for row in rows],
        "strike": [row[3] for row in rows],
        "multiplier": [row[4] for row in rows],
        "underlying": [spot] * len(rows),
        "bid": [quotes[row[0]].bid for row in rows],
        "ask": [quotes[row[0]].ask for row in rows],
    }
    return Chain.from_arrays(underlying, columns, origin="real")


def _price(value: Any) -> float:
    found = _number(value)
    return found if found >= 0.0 else math.nan


def _number(value: Any) -> float:
    if value is None or value == "":
        return math.nan
    found = float(value)
    return found if math.isfinite(found) else math.nan
