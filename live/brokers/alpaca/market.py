"""Prices of Alpaca: quotes, and chains of options with their Greeks.

Without a subscription shares are quoted from one exchange (IEX, a few percent of the volume) and options as
"indicative", which is not what one trades at; `feed` and `option_feed` name the others ("sip", "opra"), which
the service refuses without a subscription. A side of 0 means that nobody is there. Greeks and implied
volatility are the service's own, and are missing for contracts that hardly trade. There is no IV rank here:
`simulator.options` works it out from what is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from live.brokers.alpaca.line import Line, NoAnswer
from live.brokers.alpaca.readings import moment, number
from live.brokers.interface import is_option
from live.brokers.told import Quote
from simulator.errors import FetchError, UnknownNameError

if TYPE_CHECKING:
    from simulator.options.chain import Chain

__all__ = ["chain_of", "quotes_of"]

AT_ONCE: Final = 100
"""Symbols of one request."""

_OCC: Final = re.compile(r"(.+)(\d{2})(\d{2})(\d{2})([CP])(\d{8})")
_EPOCH: Final = date(1970, 1, 1)
_SECOND: Final = 1_000_000_000


def quotes_of(line: Line, symbols: Sequence[str], *, feed: str, option_feed: str) -> dict[str, Quote]:
    """Return quotes by symbol; raises `UnknownNameError` NAME_CONTRACT for a symbol without one."""
    from alpaca.data.requests import OptionSnapshotRequest, StockSnapshotRequest

    found: dict[str, Quote] = {}
    shares = [symbol for symbol in symbols if not is_option(symbol)]
    options = [symbol for symbol in symbols if is_option(symbol)]
    for part in _parts(shares):
        stock_query = StockSnapshotRequest(symbol_or_symbols=part, feed=feed)  # type: ignore[arg-type]
        answer = line.ask(lambda: line.data("stock").get_stock_snapshot(stock_query), "quotes")  # noqa: B023
        found |= _quotes(answer, delayed=False)
    for part in _parts(options):
        query = OptionSnapshotRequest(symbol_or_symbols=part, feed=option_feed)  # type: ignore[arg-type]
        answer = line.ask(lambda: line.data("option").get_option_snapshot(query), "quotes")  # noqa: B023
        found |= _quotes(answer, delayed=option_feed != "opra")
    lacking = [symbol for symbol in symbols if symbol not in found]
    if lacking:
        raise UnknownNameError(f"Alpaca has no quote of {', '.join(lacking)}", code="NAME_CONTRACT")
    return {symbol: found[symbol] for symbol in symbols}


def chain_of(
    line: Line, underlying: str, *, days: tuple[int, int], width: float, feed: str, option_feed: str
) -> Chain:
    """Return a chain.

    Parameters
    ----------
    days
        Fewest and most days to expiry, from the day of the underlying's quote.
    width
        Farthest strike, as a share of the price of the underlying.

    Raises
    ------
    FetchError
        LIVE_CHAIN without a price of the underlying, or without a contract.
    """
    from alpaca.data.requests import OptionChainRequest

    from simulator.options.chain import CALL, PUT, Chain

    quote = quotes_of(line, [underlying], feed=feed, option_feed=option_feed)[underlying]
    spot = (quote.bid + quote.ask) / 2.0 if quote.is_usable else quote.last
    if not spot > 0.0:
        raise FetchError(f"{underlying}: the broker gives no price of it", code="LIVE_CHAIN")
    today = quote.time.date()
    query = OptionChainRequest(
        underlying_symbol=underlying,
        feed=option_feed,  # type: ignore[arg-type]
        expiration_date_gte=today + timedelta(days=days[0]),
        expiration_date_lte=today + timedelta(days=days[1]),
        strike_price_gte=round(spot * (1.0 - width), 2),
        strike_price_lte=round(spot * (1.0 + width), 2),
    )
    answer = line.ask(lambda: line.data("option").get_option_chain(query), f"chain of {underlying}")
    rows = [(found, one) for one in _quotes(answer, delayed=False).values() if (found := _terms(one.symbol))]
    if not rows:
        raise FetchError(
            f"{underlying}: no option within {width:.0%} of {spot:g} that expires in {days[0]} to "
            f"{days[1]} days",
            code="LIVE_CHAIN",
        )
    stamp = max(int(one.time.timestamp()) for _, one in rows) * _SECOND
    roots = tuple(sorted({terms[0] for terms, _ in rows}))
    columns: dict[str, list[Any]] = {
        "ts": [stamp] * len(rows),
        "expiry": [terms[1] for terms, _ in rows],
        "kind": [CALL if terms[2] == "C" else PUT for terms, _ in rows],
        "strike": [terms[3] for terms, _ in rows],
        "root": [roots.index(terms[0]) for terms, _ in rows],
        "multiplier": [100.0] * len(rows),
        "underlying": [spot] * len(rows),
    }
    for name in ("bid", "ask", "iv", "delta"):
        columns[name] = [getattr(one, name) for _, one in rows]
    return Chain.from_arrays(underlying, columns, origin="real", roots=roots)


def _parts(symbols: Sequence[str]) -> list[list[str]]:
    return [list(symbols[start : start + AT_ONCE]) for start in range(0, len(symbols), AT_ONCE)]


def _quotes(answer: Any, *, delayed: bool) -> dict[str, Quote]:
    if not isinstance(answer, Mapping):
        raise NoAnswer(f"quotes: the answer is no object but {type(answer).__name__}")
    found = {}
    for symbol, raw in answer.items():
        quote = raw.get("latestQuote") if isinstance(raw, Mapping) else None
        if not isinstance(quote, Mapping):
            continue
        greeks = raw.get("greeks") or {}
        found[str(symbol)] = Quote(
            symbol=str(symbol),
            time=moment(quote["t"]) if quote.get("t") else datetime.now(UTC),
            bid=_price(quote.get("bp")),
            ask=_price(quote.get("ap")),
            # of shares nobody says whether they are counted in lots
            bid_size=_price(quote.get("bs")) if is_option(str(symbol)) else math.nan,
            ask_size=_price(quote.get("as")) if is_option(str(symbol)) else math.nan,
            last=_price((raw.get("latestTrade") or {}).get("p")),
            is_delayed=delayed,
            iv=_price(raw.get("impliedVolatility")),
            **{name: _known(greeks.get(name)) for name in ("delta", "gamma", "vega", "theta")},
        )
    return found


def _price(value: Any) -> float:
    """Return a price, NaN where there is none: the service writes 0."""
    found = _known(value)
    return found if found > 0.0 else math.nan


def _known(value: Any) -> float:
    found = number(value)
    return math.nan if found is None else found


def _terms(symbol: str) -> tuple[str, int, str, float] | None:
    """Return root, expiry (days since 1970), right and strike of an OCC symbol."""
    found = _OCC.fullmatch(symbol)
    if found is None:
        return None
    root, year, month, day, right, strike = found.groups()
    expiry = date(2000 + int(year), int(month), int(day))
    return root, (expiry - _EPOCH).days, right, int(strike) / 1000.0
