"""Prices of tastytrade: quotes, implied volatility and its rank, and the chain of options.

Quotes are asked for by the hundred. Those of the sandbox are 15 minutes late, so they are never usable to
decide by. Ranks and percentiles come as fractions in texts, and are 0 to 100 here. What tastytrade gives over
REST has no Greeks and no volatility of single contracts: those of a chain come from the stream of prices,
which is opened for them. What does not come in time is unknown, NaN, and never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from live.brokers.interface import is_option
from live.brokers.tastytrade.dxlink import GREEKS_SECONDS, Greeks, greeks_of, number
from live.brokers.tastytrade.symbols import canonical, contract, wire
from live.brokers.told import Quote
from simulator.errors import FetchError, UnknownNameError

if TYPE_CHECKING:
    from simulator.options.chain import Chain

__all__ = ["Metrics", "chain_of", "metrics_of", "quotes_of"]

AT_ONCE: Final = 100
"""Symbols that tastytrade answers for at once."""

_SETTLEMENTS: Final = {"AM": 1, "PM": 2}


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
    """Return quotes by symbol; one of a symbol whose trading is halted is as good as late.

    Raises
    ------
    UnknownNameError
        NAME_CONTRACT for symbols that tastytrade has no quote of.
    """
    rows = await _rows(session, symbols)
    lacking = [one for one in symbols if one not in rows]
    if lacking:
        raise UnknownNameError(f"tastytrade has no quote of {', '.join(lacking)}", code="NAME_CONTRACT")
    return {symbol: _quote(symbol, rows[symbol], late=late) for symbol in symbols}


async def metrics_of(session: Any, symbols: Sequence[str]) -> dict[str, Metrics]:
    """Return volatilities by symbol."""
    data = await session._get("/market-metrics", params={"symbols": ",".join(wire(one) for one in symbols)})
    found = {}
    for row in data["items"]:
        symbol = canonical(row["symbol"])
        expiries = row.get("option-expiration-implied-volatilities") or ()
        found[symbol] = Metrics(
            symbol=symbol, iv=_price(row.get("implied-volatility-index")),
            iv_rank=100.0 * _price(row.get("implied-volatility-index-rank")),
            iv_percentile=100.0 * _price(row.get("implied-volatility-percentile")),
            iv_by_expiry=tuple(
                (date.fromisoformat(one["expiration-date"]), iv)
                for one in expiries
                if not math.isnan(iv := _price(one.get("implied-volatility")))
            ),
        )  # fmt: skip
    lacking = [one for one in symbols if one not in found]
    if lacking:
        raise UnknownNameError(f"tastytrade has no metrics of {', '.join(lacking)}", code="NAME_CONTRACT")
    return found


async def chain_of(
    session: Any,
    underlying: str,
    *,
    days: tuple[int, int],
    width: float,
    greeks_seconds: float = GREEKS_SECONDS,
) -> Chain:
    """Return a chain, with IV (a fraction) and delta as far as the stream tells them in `greeks_seconds`.

    Contracts that are listed and not quoted are part of it, with NaN for their prices.

    Raises
    ------
    FetchError
        LIVE_CHAIN without a price of the underlying, or without a contract.
    """
    from simulator.options.chain import Chain

    stock = (await quotes_of(session, [underlying], late=False))[underlying]
    spot = stock.price
    if not spot > 0.0:
        raise FetchError(f"{underlying}: the broker gives no price of it", code="LIVE_CHAIN")
    listed = await _listed(session, underlying, days=days, around=(spot, width))
    if not listed:
        raise FetchError(
            f"{underlying}: no option within {width:.0%} of {spot:g} that expires in {days[0]} to {days[1]} "
            "days",
            code="LIVE_CHAIN",
        )
    symbols = [one.symbol for one in listed]
    rows = await _rows(session, symbols)
    quotes = [_quote(one, rows.get(one, {}), late=False) for one in symbols]
    known = await greeks_of(session, symbols, seconds=greeks_seconds)
    told = [known.get(one, Greeks()) for one in symbols]
    newest = max(stock.time, *(quote.time for quote in quotes))
    roots = tuple(sorted({one.root for one in listed}))
    columns: dict[str, list[Any]] = {
        "ts": [int(newest.timestamp()) * 1_000_000_000] * len(listed),
        "expiry": [(one.expiry - date(1970, 1, 1)).days for one in listed],
        "root": [roots.index(one.root) for one in listed],
        "kind": [one.kind for one in listed],
        "settlement": [one.settlement for one in listed],
        "strike": [one.strike for one in listed],
        "multiplier": [one.multiplier for one in listed],
        "underlying": [spot] * len(listed),
        "bid": [quote.bid for quote in quotes],
        "ask": [quote.ask for quote in quotes],
        "bid_size": [quote.bid_size for quote in quotes],
        "ask_size": [quote.ask_size for quote in quotes],
        "iv": [one.iv for one in told],
        "delta": [one.delta for one in told],
    }
    for name in ("volume", "open-interest"):
        columns[name.replace("-", "_")] = [_price(rows.get(one, {}).get(name)) for one in symbols]
    return Chain.from_arrays(underlying, columns, origin="real", roots=roots)


class _Listed(NamedTuple):
    """A contract of a chain."""

    symbol: str
    root: str
    expiry: date
    settlement: int
    kind: int
    strike: float
    multiplier: float


async def _listed(
    session: Any, underlying: str, *, days: tuple[int, int], around: tuple[float, float]
) -> list[_Listed]:
    """Return what is listed within days to expiry and a share of a price around it."""
    from simulator.options.chain import CALL, PUT

    spot, width = around
    instruments = import_module("tastytrade.instruments")
    found = []
    for nested in await instruments.NestedOptionChain.get(session, wire(underlying)):
        for expiry in nested.expirations:
            if not days[0] <= expiry.days_to_expiration <= days[1]:
                continue
            settlement = _SETTLEMENTS.get(expiry.settlement_type.upper(), 0)
            for strike in expiry.strikes:
                price = float(strike.strike_price)
                if abs(price / spot - 1.0) > width:
                    continue
                for symbol, kind in ((canonical(strike.call), CALL), (canonical(strike.put), PUT)):
                    terms = contract(symbol)
                    found.append(
                        _Listed(
                            symbol, nested.root_symbol if terms is None else terms.root,
                            expiry.expiration_date, settlement, kind, price,
                            float(nested.shares_per_contract),
                        )
                    )  # fmt: skip
    return found


async def _rows(session: Any, symbols: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return what tastytrade tells of symbols, by canonical symbol; what it leaves out is left out.

    The library reads rows with models that refuse a whole answer for one field of one row that is no number.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(symbols), AT_ONCE):
        part = symbols[start : start + AT_ONCE]
        query = {
            "equity": [wire(one) for one in part if not is_option(one)],
            "equity-option": [wire(one) for one in part if is_option(one)],
        }
        params = {name: values for name, values in query.items() if values}
        data = await session._get("/market-data/by-type", params=params)
        found |= {canonical(row["symbol"]): row for row in data["items"]}
    return found


def _quote(symbol: str, row: Mapping[str, Any], *, late: bool) -> Quote:
    return Quote(
        symbol=symbol, time=_time(row.get("updated-at")), bid=_price(row.get("bid")),
        ask=_price(row.get("ask")), last=_price(row.get("last")), mark=_price(row.get("mark")),
        bid_size=_size(row.get("bid-size")), ask_size=_size(row.get("ask-size")),
        is_delayed=late or bool(row.get("trading-halted")),
    )  # fmt: skip


def _time(text: Any) -> datetime:
    """Return a time; where none is told, one that is long ago."""
    found = datetime.fromtimestamp(0, UTC) if not text else datetime.fromisoformat(str(text))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _price(value: Any) -> float:
    found = number(value)
    return found if found >= 0.0 else math.nan


def _size(value: Any) -> float:
    found = number(value)
    return found if found > 0.0 else math.nan
