"""The paths of the exchange.

`/v2/...` is the trading API, `/stream` the trade updates, both as Alpaca's. `/twinstep/...` is ours: where
the market stands, and its next bar or price where it moves by hand. There is nothing else, and no path
changes anything by GET.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from live.exchange import assets
from live.exchange.contracts import Contract
from live.exchange.desk import answer
from live.exchange.errors import Refusal, bad_field, internal, not_found
from live.exchange.holdings import AccountPaths
from live.exchange.intake import json_of, number_of, time_of
from live.exchange.orders import OrderPaths
from simulator.errors import EngineError

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from live.exchange.desk import Desk

__all__ = ["make_app"]

MOST_STEPS: Final = 10_000
"""Bars that one request may play."""
_MOST_YEARS: Final = 60

_log = logging.getLogger("twinstep.exchange")


def make_app(desk: Desk) -> Starlette:
    """Return the application; it trusts its caller, `Guard` has to stand before it."""
    paths = _MarketPaths(desk)

    async def stream(socket: WebSocket) -> None:
        await desk.hub.serve(socket)

    return Starlette(
        routes=[
            *OrderPaths(desk).routes(),
            *AccountPaths(desk).routes(),
            *paths.routes(),
            WebSocketRoute("/stream", stream),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _no_path, Exception: _broken},
    )


class _MarketPaths:
    """What there is to trade and when, and the market's own controls."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.market = desk.market

    def routes(self) -> list[Route]:
        return [
            Route("/v2/clock", self.clock, methods=["GET"]),
            Route("/v2/calendar", self.calendar, methods=["GET"]),
            Route("/v2/assets", self.assets, methods=["GET"]),
            Route("/v2/assets/{symbol}", self.asset, methods=["GET"]),
            Route("/v2/options/contracts", self.contracts, methods=["GET"]),
            Route("/v2/options/contracts/{symbol}", self.contract, methods=["GET"]),
            Route("/twinstep/market", self.status, methods=["GET"]),
            Route("/twinstep/step", self.step, methods=["POST"]),
            Route("/twinstep/tick", self.tick, methods=["POST"]),
        ]

    async def clock(self, request: Request) -> Response:
        return answer(self.market.sessions.clock(self.market.now))

    async def calendar(self, request: Request) -> Response:
        query = request.query_params
        like = self.market.like
        begin, end = time_of(query.get("start"), "start"), time_of(query.get("end"), "end")
        if begin is not None:
            first = begin.date()
        elif len(like):
            first = date(1970, 1, 1) + timedelta(days=int(like.session[0]))
        else:
            first = self.market.now.date() - timedelta(days=366)
        last = self.market.now.date() + timedelta(days=366) if end is None else end.date()
        if (last - first).days > 366 * _MOST_YEARS:
            raise bad_field(f"start and end may be {_MOST_YEARS} years apart")
        return answer(self.market.sessions.days(first, last) if first <= last else [])

    async def assets(self, request: Request) -> Response:
        return answer(assets.assets(self.market, request.query_params))

    async def asset(self, request: Request) -> Response:
        text = request.path_params["symbol"]
        symbol = self.desk.symbol(text)
        if symbol not in self.market.like.symbols:
            raise not_found(f"asset not found for {text[:64]}")
        return answer(assets.asset(self.market, symbol))

    async def contracts(self, request: Request) -> Response:
        return answer(assets.contracts(self.market, request.query_params))

    async def contract(self, request: Request) -> Response:
        text = request.path_params["symbol"]
        found = Contract.parse(self._contract_symbol(text))
        if found is not None:
            self.market.quote_contracts([found.symbol])
        if found is None or found.symbol not in self.market.prices:
            raise not_found(f"option contract not found for {text[:64]}")
        return answer(assets.contract(self.market, found))

    async def status(self, request: Request) -> Response:
        hub = self.desk.hub
        return answer(
            {
                **self.market.status(),
                "updates": hub.published,
                "messages_sent": hub.sent,
                "listeners": hub.listening,
            }
        )

    async def step(self, request: Request) -> Response:
        body = json_of(await request.body() or b"{}")
        bars = number_of(str(body.get("bars", 1)), "bars") or 1.0
        if bars > MOST_STEPS:
            raise bad_field(f"bars must be at most {MOST_STEPS}")
        with _by_hand():
            played = self.market.step(int(bars))
        return answer({"played": played, **self.market.status()})

    async def tick(self, request: Request) -> Response:
        prices = json_of(await request.body()).get("prices")
        if not isinstance(prices, dict) or not prices:
            raise bad_field('prices is required, as {"AAPL": 187.5} or {"AAPL": [187.4, 187.6]}')
        with _by_hand():
            self.market.tick({str(symbol): _price(price) for symbol, price in prices.items()})
        return answer(self.market.status())

    def _contract_symbol(self, text: str) -> str:
        if Contract.parse(text) is not None:
            return text
        from live.exchange.wire import asset_id

        return next((each.symbol for each in self.market.contracts() if asset_id(each.symbol) == text), text)


class _by_hand:
    """Turns the refusal of a market that runs by itself into an answer."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, EngineError) and error.code == "EXCHANGE_RUNNING":
            raise Refusal(409, 40910000, str(error.args[0])) from None


def _price(given: Any) -> float | tuple[float, float]:
    pair = given if isinstance(given, list) else [given]
    values = [number_of(str(value), "prices") or 0.0 for value in pair]
    if len(values) not in (1, 2):
        raise bad_field("a price is a number, or a bid and an ask")
    return values[0] if len(values) == 1 else (values[0], values[1])


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return answer(error.body(), error.status)


async def _no_path(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 405:
        return answer({"code": 40510000, "message": "method not allowed"}, 405)
    refusal = not_found("endpoint not found")
    return answer(refusal.body(), refusal.status)


async def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    refusal = internal()
    return answer(refusal.body(), refusal.status)
