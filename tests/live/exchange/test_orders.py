"""alpaca-py, unmodified, places every kind of order, changes and cancels them, and finds them again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    ContractType,
    OrderClass,
    OrderSide,
    OrderStatus,
    PositionIntent,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.models import Order
from alpaca.trading.requests import (
    GetOptionContractsRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)

from live.exchange import Exchange

AAPL: dict[str, Any] = {"symbol": "AAPL", "time_in_force": TimeInForce.GTC}


def buy(client: TradingClient, qty: float = 10, symbol: str = "AAPL") -> Order:
    return sent(client, MarketOrderRequest(symbol=symbol, qty=qty, side=OrderSide.BUY, time_in_force="day"))


def sent(client: TradingClient, request: Any) -> Order:
    order = client.submit_order(request)
    assert isinstance(order, Order)
    return order


def seen(client: TradingClient, order: Order, *, nested: bool = True) -> Order:
    found = client.get_order_by_id(order.id, GetOrderByIdRequest(nested=nested))
    assert isinstance(found, Order)
    return found


def held(client: TradingClient) -> dict[str, float]:
    return {position.symbol: float(position.qty) for position in client.get_all_positions()}  # type: ignore[union-attr]


def legs(order: Order) -> list[Order]:
    assert order.legs
    return order.legs


def test_a_market_order_fills_at_the_price(client: TradingClient) -> None:
    order = buy(client)
    assert (order.symbol, order.qty, order.side, order.order_class) == (
        "AAPL",
        "10",
        "buy",
        OrderClass.SIMPLE,
    )
    done = seen(client, order)
    assert (done.status, done.filled_qty, done.filled_avg_price) == (OrderStatus.FILLED, "10", "100")
    assert done.filled_at is not None
    assert done.client_order_id
    assert held(client) == {"AAPL": 10.0}


def test_a_market_order_after_a_bar_waits_for_the_next_one(exchange: Exchange, client: TradingClient) -> None:
    exchange.market.step()
    order = buy(client)
    assert order.status is OrderStatus.NEW
    assert held(client) == {}
    exchange.market.step()
    assert seen(client, order).status is OrderStatus.FILLED


def test_an_order_by_notional(client: TradingClient) -> None:
    order = sent(client, MarketOrderRequest(symbol="AAPL", notional=250, side="buy", time_in_force="day"))
    assert (order.notional, order.qty) == ("250", None)
    assert seen(client, order).filled_qty == "2.5"
    assert held(client) == {"AAPL": 2.5}


def test_a_limit_order_waits_for_its_price(exchange: Exchange, client: TradingClient) -> None:
    order = sent(client, LimitOrderRequest(qty=4, side=OrderSide.BUY, limit_price=98.5, **AAPL))
    assert (order.status, order.limit_price) == (OrderStatus.NEW, "98.5")
    exchange.market.tick({"AAPL": 99.0})
    assert seen(client, order).status is OrderStatus.NEW
    exchange.market.tick({"AAPL": 98.4})
    done = seen(client, order)
    assert done.status is OrderStatus.FILLED
    assert float(done.filled_avg_price or 0) <= 98.5


def test_stop_and_stop_limit_orders(exchange: Exchange, client: TradingClient) -> None:
    buy(client, 10)
    stop = sent(client, StopOrderRequest(qty=4, side=OrderSide.SELL, stop_price=95, **AAPL))
    both = sent(
        client, StopLimitOrderRequest(qty=6, side=OrderSide.SELL, stop_price=95, limit_price=94.5, **AAPL)
    )
    assert (stop.stop_price, both.stop_price, both.limit_price) == ("95", "95", "94.5")
    exchange.market.tick({"AAPL": 94.0})
    assert seen(client, stop).status is OrderStatus.FILLED
    assert seen(client, both).status is OrderStatus.NEW
    exchange.market.tick({"AAPL": 94.6})
    assert seen(client, both).status is OrderStatus.FILLED
    assert held(client) == {}


@pytest.mark.parametrize("trail", [{"trail_percent": 5.0}, {"trail_price": 5.0}])
def test_a_trailing_stop_follows_the_price(
    exchange: Exchange, client: TradingClient, trail: dict[str, float]
) -> None:
    buy(client, 10)
    order = sent(client, TrailingStopOrderRequest(qty=10, side=OrderSide.SELL, **AAPL, **trail))
    assert (order.hwm, order.stop_price) == ("100", "95")
    exchange.market.tick({"AAPL": 120.0})
    risen = seen(client, order)
    assert (risen.hwm, risen.stop_price) == ("120", "114" if "trail_percent" in trail else "115")
    exchange.market.tick({"AAPL": 115.5})
    assert seen(client, order).status is OrderStatus.NEW
    exchange.market.tick({"AAPL": 113.0})
    assert seen(client, order).status is OrderStatus.FILLED
    assert held(client) == {}


def bracket(client: TradingClient, **changes: Any) -> Order:
    terms: dict[str, Any] = {
        "qty": 10, "side": OrderSide.BUY, "order_class": OrderClass.BRACKET,
        "take_profit": TakeProfitRequest(limit_price=110), "stop_loss": StopLossRequest(stop_price=95),
    }  # fmt: skip
    return sent(client, MarketOrderRequest(**AAPL, **{**terms, **changes}))


def test_a_bracket_takes_its_profit_and_cancels_its_stop(exchange: Exchange, client: TradingClient) -> None:
    order = bracket(client)
    assert order.order_class is OrderClass.BRACKET
    by_type = {leg.type: leg for leg in legs(seen(client, order))}
    assert {kind.value: leg.status.value for kind, leg in by_type.items() if kind} == {
        "limit": "new",
        "stop": "new",
    }
    exchange.market.tick({"AAPL": 111.0})
    by_type = {leg.type: leg for leg in legs(seen(client, order))}
    assert [leg.status.value for kind, leg in sorted(by_type.items(), key=str)] == ["filled", "canceled"]
    assert held(client) == {}


def test_a_brackets_children_are_held_until_it_fills(exchange: Exchange, client: TradingClient) -> None:
    order = sent(
        client,
        LimitOrderRequest(
            qty=10, side=OrderSide.BUY, limit_price=97, order_class=OrderClass.BRACKET, **AAPL,
            take_profit=TakeProfitRequest(limit_price=110),
            stop_loss=StopLossRequest(stop_price=95, limit_price=94),
        ),
    )  # fmt: skip
    assert {leg.status for leg in legs(order)} == {OrderStatus.HELD}
    assert {leg.type.value for leg in legs(order) if leg.type} == {"limit", "stop_limit"}
    assert seen(client, order, nested=False).legs is None
    exchange.market.tick({"AAPL": 96.9})
    assert {leg.status for leg in legs(seen(client, order))} == {OrderStatus.NEW}
    exchange.market.tick({"AAPL": 94.9})
    assert held(client) == {}


def test_cancelling_a_brackets_entry_ends_its_children(client: TradingClient) -> None:
    order = sent(
        client,
        LimitOrderRequest(
            qty=10, side=OrderSide.BUY, limit_price=90, order_class=OrderClass.BRACKET, **AAPL,
            take_profit=TakeProfitRequest(limit_price=110), stop_loss=StopLossRequest(stop_price=85),
        ),
    )  # fmt: skip
    client.cancel_order_by_id(order.id)
    found = seen(client, order)
    assert {found.status, *(leg.status for leg in legs(found))} == {OrderStatus.CANCELED}


def test_an_oco_leaves_a_position_by_one_of_two_ways(exchange: Exchange, client: TradingClient) -> None:
    buy(client, 10)
    order = sent(
        client,
        LimitOrderRequest(
            qty=10, side=OrderSide.SELL, order_class=OrderClass.OCO, **AAPL,
            take_profit=TakeProfitRequest(limit_price=110), stop_loss=StopLossRequest(stop_price=95),
        ),
    )  # fmt: skip
    assert (order.limit_price, legs(order)[0].stop_price) == ("110", "95")
    exchange.market.tick({"AAPL": 94.0})
    found = seen(client, order)
    assert (found.status, legs(found)[0].status) == (OrderStatus.CANCELED, OrderStatus.FILLED)
    assert held(client) == {}


def test_an_oto_adds_a_stop_to_its_entry(exchange: Exchange, client: TradingClient) -> None:
    order = bracket(client, order_class=OrderClass.OTO, take_profit=None)
    (stop,) = legs(seen(client, order))
    assert (stop.status, stop.stop_price) == (OrderStatus.NEW, "95")
    exchange.market.tick({"AAPL": 94.0})
    assert held(client) == {}


def put_spread(client: TradingClient, limit: float | None, *, opening: bool = True, qty: int = 2) -> Any:
    found = client.get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=["AAPL"],
            type=ContractType.PUT,
            strike_price_gte="90",
            strike_price_lte="95",
            limit=100,
        )
    )
    contracts = found.option_contracts  # type: ignore[union-attr]
    assert contracts
    last = max(contract.expiration_date for contract in contracts)
    strikes = {
        contract.strike_price: contract.symbol for contract in contracts if contract.expiration_date == last
    }
    ends = ("open", "sell", "buy") if opening else ("close", "buy", "sell")
    parts = [
        OptionLegRequest(
            symbol=strikes[strike],
            ratio_qty=1,
            side=OrderSide(side),
            position_intent=PositionIntent(f"{side}_to_{ends[0]}"),
        )
        for strike, side in ((95.0, ends[1]), (90.0, ends[2]))
    ]
    common: dict[str, Any] = {
        "qty": qty, "order_class": OrderClass.MLEG, "time_in_force": TimeInForce.DAY, "legs": parts,
    }  # fmt: skip
    if limit is None:
        return MarketOrderRequest(**common)
    return LimitOrderRequest(limit_price=limit, **common)


def test_a_package_is_sold_for_a_credit_and_bought_back(exchange: Exchange, client: TradingClient) -> None:
    order = sent(client, put_spread(client, -0.05))
    assert (order.order_class, order.symbol, order.side, order.limit_price) == (
        OrderClass.MLEG,
        None,
        None,
        "-0.05",
    )
    assert [leg.ratio_qty for leg in legs(order)] == ["1", "1"]
    exchange.market.step()
    done = seen(client, order)
    assert done.status is OrderStatus.FILLED
    assert float(done.filled_avg_price or 0) <= -0.05
    sold, bought = (float(leg.filled_avg_price or 0) for leg in legs(done))
    assert float(done.filled_avg_price or 0) == pytest.approx(bought - sold)
    assert sorted(held(client).values()) == [-2.0, 2.0]
    assert {position.asset_class.value for position in client.get_all_positions()} == {"us_option"}  # type: ignore[union-attr]
    back = sent(client, put_spread(client, 4.9, opening=False))
    assert back.limit_price == "4.9"
    exchange.market.step()
    assert seen(client, back).status is OrderStatus.FILLED
    assert held(client) == {}


def test_a_package_that_asks_too_much_waits_and_is_replaced(
    exchange: Exchange, client: TradingClient
) -> None:
    order = sent(client, put_spread(client, -4.0))
    assert seen(client, order).status is OrderStatus.NEW
    new = client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=-0.05))
    assert new.limit_price == "-0.05"  # type: ignore[union-attr]
    assert seen(client, order).status is OrderStatus.REPLACED
    exchange.market.step()
    assert sorted(held(client).values()) == [-2.0, 2.0]


def test_a_package_at_the_market(exchange: Exchange, client: TradingClient) -> None:
    order = sent(client, put_spread(client, None, qty=1))
    exchange.market.step()
    assert seen(client, order).status is OrderStatus.FILLED


def test_replacing_makes_an_order_with_another_id(exchange: Exchange, client: TradingClient) -> None:
    order = sent(client, LimitOrderRequest(qty=4, side=OrderSide.BUY, limit_price=90, **AAPL))
    new = client.replace_order_by_id(
        order.id, ReplaceOrderRequest(qty=6, limit_price=91.5, client_order_id="second")
    )
    assert isinstance(new, Order)
    assert (new.qty, new.limit_price, new.replaces, new.client_order_id) == ("6", "91.5", order.id, "second")
    old = seen(client, order)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, new.id)
    with pytest.raises(APIError) as caught:
        client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=7))
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)
    exchange.market.tick({"AAPL": 91.0})
    assert held(client) == {"AAPL": 6.0}


def test_a_trail_is_replaced_by_its_own_kind(exchange: Exchange, client: TradingClient) -> None:
    buy(client, 10)
    order = sent(client, TrailingStopOrderRequest(qty=10, side=OrderSide.SELL, trail_percent=5, **AAPL))
    new = client.replace_order_by_id(order.id, ReplaceOrderRequest(trail=10))
    assert (new.trail_percent, new.stop_price) == ("10", "90")  # type: ignore[union-attr]


def test_children_are_replaced_one_by_one(exchange: Exchange, client: TradingClient) -> None:
    order = bracket(client)
    stop = next(leg for leg in legs(seen(client, order)) if leg.type and leg.type.value == "stop")
    client.replace_order_by_id(stop.id, ReplaceOrderRequest(stop_price=98))
    exchange.market.tick({"AAPL": 97.9})
    assert held(client) == {}
    assert not client.get_orders()


def test_cancelling(client: TradingClient) -> None:
    order = sent(client, LimitOrderRequest(qty=4, side=OrderSide.BUY, limit_price=90, **AAPL))
    client.cancel_order_by_id(order.id)
    found = seen(client, order)
    assert (found.status, found.canceled_at is not None) == (OrderStatus.CANCELED, True)
    with pytest.raises(APIError, match="canceled") as caught:
        client.cancel_order_by_id(order.id)
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)


def test_cancelling_all(client: TradingClient) -> None:
    orders = [
        sent(client, LimitOrderRequest(qty=1, side=OrderSide.BUY, limit_price=price, **AAPL))
        for price in (90, 91, 92)
    ]
    answers = client.cancel_orders()
    assert {answer.id for answer in answers} == {order.id for order in orders}  # type: ignore[union-attr]
    assert {answer.status for answer in answers} == {200}  # type: ignore[union-attr]
    assert client.get_orders() == []


def test_a_day_order_expires_with_its_session(exchange: Exchange, client: TradingClient) -> None:
    day = sent(
        client, LimitOrderRequest(symbol="AAPL", qty=1, side="buy", limit_price=80, time_in_force="day")
    )
    gtc = sent(client, LimitOrderRequest(qty=1, side=OrderSide.BUY, limit_price=80, **AAPL))
    exchange.market.step()
    assert (seen(client, day).status, seen(client, gtc).status) == (OrderStatus.EXPIRED, OrderStatus.NEW)
    assert seen(client, day).expired_at is not None


def test_orders_are_found_by_their_clients_id(client: TradingClient) -> None:
    request = LimitOrderRequest(qty=1, side=OrderSide.BUY, limit_price=90, client_order_id="a b/ü+1", **AAPL)
    order = sent(client, request)
    assert client.get_order_by_client_id("a b/ü+1").id == order.id  # type: ignore[union-attr]
    with pytest.raises(APIError) as caught:
        client.get_order_by_client_id("another")
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_lists_are_filtered_sorted_and_nested(exchange: Exchange, client: TradingClient) -> None:
    first = sent(client, LimitOrderRequest(qty=1, side=OrderSide.BUY, limit_price=90, **AAPL))
    second = sent(
        client, LimitOrderRequest(symbol="MSFT", qty=1, side="sell", limit_price=60, time_in_force="gtc")
    )
    third = bracket(client)

    def ids(**query: Any) -> list[Any]:
        return [order.id for order in client.get_orders(GetOrdersRequest(**query))]  # type: ignore[union-attr]

    assert ids(nested=True) == [third.id, second.id, first.id] or ids(nested=True) == [second.id, first.id]
    assert ids(status=QueryOrderStatus.CLOSED, nested=True) in ([third.id], [])
    assert set(ids(status=QueryOrderStatus.ALL, nested=True)) == {first.id, second.id, third.id}
    assert len(ids(status=QueryOrderStatus.ALL)) == 5
    assert ids(symbols=["MSFT"]) == [second.id]
    assert ids(side=OrderSide.BUY, symbols=["AAPL", "MSFT"], status=QueryOrderStatus.OPEN) == [first.id]
    oldest = ids(status=QueryOrderStatus.ALL, direction=Sort.ASC, limit=2)
    assert oldest == [first.id, second.id]
    assert first.submitted_at < second.submitted_at
    assert first.id not in ids(status=QueryOrderStatus.ALL, after=first.submitted_at)
    assert (
        ids(status=QueryOrderStatus.ALL, until=first.submitted_at + timedelta(microseconds=1))[-1] == first.id
    )


@pytest.mark.parametrize(
    ("request_of", "status", "code"),
    [
        (lambda: LimitOrderRequest(qty=100_000, side=OrderSide.BUY, limit_price=100, **AAPL), 403, 40310000),
        (lambda: MarketOrderRequest(symbol="NOPE", qty=1, side="buy", time_in_force="day"), 422, 42210000),
        (lambda: LimitOrderRequest(qty=1, side="buy", limit_price=-5, **AAPL), 422, 40010001),
        (lambda: MarketOrderRequest(notional=-5, side="buy", **AAPL), 422, 40010001),
    ],
)  # fmt: skip
def test_refusals_have_the_codes_of_alpaca(
    client: TradingClient, request_of: Any, status: int, code: int
) -> None:
    with pytest.raises(APIError) as caught:
        client.submit_order(request_of())
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.message
    assert client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL)) == []


def test_a_client_order_id_is_used_once(client: TradingClient) -> None:
    request = LimitOrderRequest(qty=1, side=OrderSide.BUY, limit_price=90, client_order_id="once", **AAPL)
    sent(client, request)
    with pytest.raises(APIError, match="unique") as caught:
        client.submit_order(request)
    assert (caught.value.status_code, caught.value.code) == (422, 40010001)


def test_an_order_that_nobody_has_sent_is_not_found(client: TradingClient) -> None:
    for ask in (
        lambda: client.get_order_by_id(uuid4()),
        lambda: client.cancel_order_by_id(uuid4()),
        lambda: client.replace_order_by_id(uuid4(), ReplaceOrderRequest(qty=1)),
    ):
        with pytest.raises(APIError) as caught:
            ask()
        assert (caught.value.status_code, caught.value.code) == (404, 40410000)
