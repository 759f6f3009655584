"""Orders that Alpaca refuses are refused here, with its code and its words."""

from __future__ import annotations

from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import LimitOrderRequest, ReplaceOrderRequest
from hypothesis import given
from hypothesis import strategies as st

from live.exchange.errors import Refusal
from live.exchange.rules import check_prices, check_request
from live.venue.types import VenueLeg, VenueRequest
from tests.budget import cases

OPTION = "AAPL240119C00100000"
LEGS = (VenueLeg(symbol=OPTION, side="sell"), VenueLeg(symbol="AAPL240119C00105000", side="buy"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "limit", "limit_price": 100.005}, "limit_price 100.005. sub-penny"),
        ({"kind": "stop", "stop_price": 0.00015}, "stop_price 0.00015. sub-penny"),
        ({"order_class": "bracket", "take_profit": 110.001, "stop_loss": 90.0}, "take_profit.limit_price"),
        ({"order_class": "bracket", "take_profit": 100.0, "stop_loss": 90.0}, ">= base_price + 0.01"),
        ({"order_class": "bracket", "take_profit": 110.0, "stop_loss": 100.0}, "<= base_price - 0.01"),
        ({"order_class": "bracket", "side": "sell", "take_profit": 110.0, "stop_loss": 120.0}, "<= base"),
        ({"order_class": "oto", "stop_loss": 101.0}, "stop_loss.stop_price must be"),
        ({"kind": "limit", "limit_price": 89.0, "order_class": "oto", "stop_loss": 90.0}, "stop_loss"),
        ({"qty": 1.5, "tif": "gtc"}, "fractional orders must be DAY"),
        ({"qty": None, "notional": 10.0, "tif": "gtc"}, "fractional orders must be DAY"),
        ({"qty": 1.5, "order_class": "oto", "stop_loss": 90.0}, "fractional orders must be simple"),
        ({"extended_hours": True}, "extended hours"),
        ({"symbol": OPTION, "tif": "gtc"}, "options trading"),
        ({"symbol": OPTION, "kind": "trailing_stop", "trail_percent": 5.0}, "options trading"),
        ({"symbol": "", "order_class": "mleg", "legs": LEGS, "tif": "gtc"}, "options trading"),
        ({"kind": "trailing_stop", "trail_price": 1.0, "order_class": "oto", "stop_loss": 90.0}, "simple"),
        ({"order_class": "oto", "stop_loss": 90.0, "tif": "ioc"}, "DAY or GTC"),
    ],
)
def test_what_alpaca_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_request(VenueRequest(**{"symbol": "AAPL", "qty": 1.0, **changes}), 100.0)
    assert (caught.value.status, caught.value.code) == (422, 42210000)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"qty": 1.5},
        {"kind": "limit", "limit_price": 0.1234},
        {"order_class": "bracket", "take_profit": 100.01, "stop_loss": 99.99},
        {"order_class": "bracket", "side": "sell", "take_profit": 99.99, "stop_loss": 100.01},
        {
            "kind": "limit",
            "limit_price": 120.0,
            "order_class": "bracket",
            "take_profit": 121.0,
            "stop_loss": 119.0,
        },
        {"kind": "limit", "limit_price": 99.0, "extended_hours": True},
        {"symbol": OPTION, "kind": "limit", "limit_price": 1.25},
        {"symbol": "", "order_class": "mleg", "legs": LEGS, "kind": "limit", "limit_price": -0.333},
    ],
)
def test_what_alpaca_takes(changes: dict[str, Any]) -> None:
    check_request(VenueRequest(**{"symbol": "AAPL", "qty": 1.0, **changes}), 100.0)


def test_without_a_price_children_cannot_be_judged() -> None:
    check_request(
        VenueRequest(symbol="AAPL", qty=1.0, order_class="bracket", take_profit=1.0, stop_loss=2.0), None
    )


@cases(many=300, few=60)
@given(st.integers(min_value=100, max_value=10**9), st.integers(min_value=1, max_value=9))
def test_every_price_on_the_penny_passes_and_every_one_between_does_not(cents: int, tenths: int) -> None:
    check_prices(limit_price=cents / 100)
    if cents < 10**7:
        with pytest.raises(Refusal):
            check_prices(limit_price=(cents * 10 + tenths) / 1000)


def test_a_change_is_held_to_the_penny_too(client: TradingClient) -> None:
    order: Any = client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=1, side="buy", limit_price=90, time_in_force="gtc")
    )
    with pytest.raises(APIError, match="sub-penny") as caught:
        client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=90.005))
    assert caught.value.code == 42210000


def test_refusals_tell_what_there_is(client: TradingClient) -> None:
    with pytest.raises(APIError) as caught:
        client.submit_order(
            LimitOrderRequest(symbol="AAPL", qty=100_000, side="buy", limit_price=90, time_in_force="gtc")
        )
    assert caught.value.response.json()["buying_power"] == "100000"
    client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=10, side="buy", limit_price=101, time_in_force="day")
    )
    client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=4, side="sell", limit_price=120, time_in_force="gtc")
    )
    with pytest.raises(APIError, match="insufficient qty available") as caught:
        client.submit_order(
            LimitOrderRequest(symbol="AAPL", qty=7, side="sell", limit_price=120, time_in_force="gtc")
        )
    told = caught.value.response.json()
    assert {name: told[name] for name in ("symbol", "existing_qty", "available", "held_for_orders")} == {
        "symbol": "AAPL",
        "existing_qty": "10",
        "available": "6",
        "held_for_orders": "4",
    }
