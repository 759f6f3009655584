"""The paths of orders: place, list, read, replace, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live.exchange import wire
from live.exchange.contracts import Contract
from live.exchange.desk import answer
from live.exchange.errors import bad_field, forbidden, not_found, unprocessable
from live.exchange.intake import changes_of, flag_of, json_of, number_of, request_of, time_of, words_of
from live.exchange.rules import check_prices, check_request

if TYPE_CHECKING:
    from live.exchange.desk import Desk
    from live.venue.types import VenueOrder, VenueRequest

__all__ = ["OrderPaths"]

PAGE: Final = 50
MOST_OF_PAGE: Final = 500


class OrderPaths:
    """Orders of one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def routes(self) -> list[Route]:
        """Return the paths."""
        return [
            Route("/v2/orders", self.submit, methods=["POST"]),
            Route("/v2/orders", self.list, methods=["GET"]),
            Route("/v2/orders", self.cancel_all, methods=["DELETE"]),
            Route("/v2/orders:by_client_order_id", self.by_client_id, methods=["GET"]),
            Route("/v2/orders/{order_id}", self.read, methods=["GET"]),
            Route("/v2/orders/{order_id}", self.replace, methods=["PATCH"]),
            Route("/v2/orders/{order_id}", self.cancel, methods=["DELETE"]),
        ]

    async def submit(self, request: Request) -> Response:
        """Place an order."""
        wanted = request_of(json_of(await request.body()))
        desk = self.desk
        self._permit(wanted)
        symbols = [wanted.symbol, *(leg.symbol for leg in wanted.legs)]
        options = [symbol for symbol in symbols if Contract.parse(symbol) is not None]
        with desk.asking(symbol=wanted.symbol):
            if options:
                desk.market.quote_contracts(options)
            check_request(wanted, desk.market.prices.get(wanted.symbol))
            return answer(wire.order(desk.venue.submit(wanted)))

    async def list(self, request: Request) -> Response:
        """List orders, the newest first; open ones unless `status` says otherwise."""
        query = request.query_params
        status = query.get("status") or "open"
        if status not in ("open", "closed", "all"):
            raise bad_field(f"invalid status: {status[:40]}")
        direction = query.get("direction") or "desc"
        if direction not in ("asc", "desc"):
            raise bad_field(f"invalid direction: {direction[:40]}")
        side = query.get("side") or None
        if side not in (None, "buy", "sell"):
            raise bad_field(f"invalid side: {str(side)[:40]}")
        nested = flag_of(query.get("nested"))
        found = self.desk.venue.orders(
            cast(Literal["open", "closed", "all"], status),
            symbols=words_of(query.get("symbols")) or None,
            side=cast('Literal["buy", "sell"] | None', side),
            after=time_of(query.get("after"), "after"),
            until=time_of(query.get("until"), "until"),
            limit=int(min(number_of(query.get("limit"), "limit") or PAGE, MOST_OF_PAGE)),
            nested=nested,
            direction=cast(Literal["asc", "desc"], direction),
        )
        return answer([wire.order(order, nested=nested) for order in found])

    async def read(self, request: Request) -> Response:
        """Return one order."""
        order = self._order(request)
        return answer(wire.order(order, nested=flag_of(request.query_params.get("nested"))))

    async def by_client_id(self, request: Request) -> Response:
        """Return the order with a client's id."""
        client_id = request.query_params.get("client_order_id", "")
        with self.desk.asking(f"order not found for {client_id}"):
            return answer(wire.order(self.desk.venue.order_by_client_id(client_id)))

    async def replace(self, request: Request) -> Response:
        """Replace an order by one with other terms and another id."""
        body = json_of(await request.body() or b"{}")
        order = self._order(request)
        changes = changes_of(body, package=order.order_class == "mleg", kind=order.kind)
        if order.is_final:
            raise unprocessable(f'order is already in "{order.status}" state')
        if order.order_class != "mleg":
            check_prices(limit_price=changes.get("limit_price"), stop_price=changes.get("stop_price"))
        with self.desk.announced("pending_replace", order.id), self.desk.asking(symbol=order.symbol):
            return answer(wire.order(self.desk.venue.replace(order.id, **changes)))

    async def cancel(self, request: Request) -> Response:
        """Cancel an order."""
        order = self._order(request)
        if order.is_final:
            raise unprocessable(f'order is already in "{order.status}" state')
        with self.desk.announced("pending_cancel", order.id), self.desk.asking():
            self.desk.venue.cancel(order.id)
        return Response(status_code=204)

    async def cancel_all(self, request: Request) -> Response:
        """Cancel all orders, and say of each how that went."""
        venue = self.desk.venue
        working = [order.id for order in venue.orders("open")]
        with self.desk.announced("pending_cancel", *working), self.desk.asking():
            ended = venue.cancel_all()
        return answer([_cancelled(order) for order in ended], 207)

    def _order(self, request: Request) -> VenueOrder:
        order_id = request.path_params["order_id"]
        try:
            order_id = str(UUID(order_id))
        except ValueError:
            raise not_found(f"order not found for {order_id[:64]}") from None
        with self.desk.asking(f"order not found for {order_id}"):
            return self.desk.venue.order(order_id)

    def _permit(self, wanted: VenueRequest) -> None:
        """Refuse what the account's switches forbid."""
        switches = self.desk.configuration
        if switches["suspend_trade"]:
            raise forbidden("trading is suspended by the account's configuration")
        if switches["no_shorting"] and wanted.side == "sell" and wanted.symbol:
            held = {position.symbol: position.qty for position in self.desk.venue.positions()}
            if (wanted.qty or 0.0) > max(0.0, held.get(wanted.symbol, 0.0)):
                raise forbidden("account is not allowed to short")


def _cancelled(order: VenueOrder) -> dict[str, Any]:
    return {"id": order.id, "status": 200, "body": wire.order(order)}
