"""What there is to trade: the symbols of the bars as assets, and the option contracts on them.

An asset's id follows from its symbol, so a client may keep it. The exchange on which an asset is listed is
unknown here, and said so by an empty name.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from live.exchange.contracts import Contract
from live.exchange.errors import bad_field
from live.exchange.intake import number_of, words_of
from live.exchange.wire import asset_id, decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from live.exchange.market import Market

__all__ = ["asset", "assets", "contract", "contracts", "known_symbol"]

PAGE: Final = 100
MOST_OF_PAGE: Final = 10_000
_INDEX: Final = 2


def assets(market: Market, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the assets that fit the filters status, asset_class and exchange."""
    if query.get("status", "active") != "active" or query.get("asset_class", "us_equity") != "us_equity":
        return []
    if query.get("exchange"):
        return []
    return [asset(market, symbol) for symbol in market.like.symbols]


def asset(market: Market, symbol: str) -> dict[str, Any]:
    """Return one asset, which the market knows."""
    like = market.like
    terms = like.instruments[like.column(symbol)]
    tick = float(terms["tick"])
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": "",
        "symbol": symbol,
        "name": symbol,
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "fractionable": int(terms["kind"]) != _INDEX,
        "price_increment": decimal(tick) if tick > 0.0 else None,
        "maintenance_margin_requirement": None,
        "attributes": ["has_options"] if like.options is not None else [],
    }


def known_symbol(market: Market, text: str, further: set[str]) -> str:
    """Return the symbol that a symbol or an asset id names; any other text as it is."""
    for symbol in (*market.like.symbols, *further):
        if text in (symbol, asset_id(symbol)):
            return symbol
    return text


def contracts(market: Market, query: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the option contracts that fit the filters, in order of symbol."""
    found = [each for each in sorted(market.contracts(), key=lambda each: each.symbol) if _fits(each, query)]
    size = int(min(number_of(query.get("limit"), "limit") or PAGE, MOST_OF_PAGE))
    token = query.get("page_token", "")
    rest = [each for each in found if each.symbol > token]
    page = rest[:size]
    return {
        "option_contracts": [contract(market, each) for each in page],
        "next_page_token": page[-1].symbol if len(rest) > size else None,
    }


def contract(market: Market, each: Contract) -> dict[str, Any]:
    """Return one option contract."""
    like = market.like
    index = each.root in like.symbols and int(like.instruments["kind"][like.column(each.root)]) == _INDEX
    kind = "call" if each.right > 0 else "put"
    price = market.prices.get(each.symbol)
    return {
        "id": asset_id(each.symbol),
        "symbol": each.symbol,
        "name": f"{each.root} {each.expiry:%b %d %Y} {decimal(each.strike)} {kind.capitalize()}",
        "status": "active",
        "tradable": True,
        "expiration_date": each.expiry.isoformat(),
        "root_symbol": each.root,
        "underlying_symbol": each.root,
        "underlying_asset_id": asset_id(each.root),
        "type": kind,
        "style": "european" if index else "american",
        "strike_price": decimal(each.strike),
        "multiplier": "100",
        "size": "100",
        "open_interest": None,
        "open_interest_date": None,
        "close_price": decimal(price),
        "close_price_date": None if price is None or market.last is None else market.last.date().isoformat(),
        "ppind": True,
    }


def _fits(each: Contract, query: Mapping[str, str]) -> bool:
    roots = words_of(query.get("underlying_symbols")) or words_of(query.get("root_symbol"))
    if roots and each.root not in roots:
        return False
    kind = query.get("type")
    if kind and kind != ("call" if each.right > 0 else "put"):
        return False
    day, first, last = (
        _date(query.get(name), name)
        for name in ("expiration_date", "expiration_date_gte", "expiration_date_lte")
    )
    low = number_of(query.get("strike_price_gte"), "strike_price_gte")
    high = number_of(query.get("strike_price_lte"), "strike_price_lte")
    return (
        (day is None or each.expiry == day)
        and (first is None or each.expiry >= first)
        and (last is None or each.expiry <= last)
        and (low is None or each.strike >= low)
        and (high is None or each.strike <= high)
    )


def _date(text: str | None, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise bad_field(f"{name} is not a date: {text[:40]}") from None
