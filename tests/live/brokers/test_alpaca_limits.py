"""What Alpaca does not do, or does not allow: refused by name, worked around, and never half done."""

from __future__ import annotations

from typing import Any

import pytest

from live.brokers.alpaca import AlpacaBroker, NoAnswer
from live.brokers.interface import Leg, OrderRequest, Outcome
from live.brokers.told import BrokerUpdate
from simulator.errors import ConfigError
from tests.live.brokers.alpaca_desk import at_alpaca, until
from tests.live.desks import PRICES, bracket, order

PUTS = ("SPY261218P00500000", "SPY261218P00490000")
SPREAD = (Leg(PUTS[0], -1.0), Leg(PUTS[1], 1.0))


def test_a_bracket_has_no_trailing_leg_so_its_stop_is_moved_by_replacing_it() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        trailing = order(1, kind="trailing", trail_percent=5.0, order_class="bracket", stop_loss=95.0)
        answer = broker.submit_order(trailing)
        assert answer.outcome in (Outcome.REJECTED, Outcome.DENIED)
        assert server.held() == {}
        assert broker.submit_order(bracket(2)).outcome is Outcome.CONFIRMED
        for stop in (96.0, 97.5):
            (child,) = [one for one in broker.get_orders() if one.kind == "stop"]
            assert broker.replace_order(child.order_id, stop_price=stop).stop_price == stop
        server.move({"AAPL": 97.0})
        assert server.held() == {}


def test_packages_are_for_the_day_at_the_market_or_a_limit_and_of_two_to_four_different_legs() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, PUTS[0]: 4.0, PUTS[1]: 2.5})
        longer = OrderRequest(
            client_order_id="c1", legs=SPREAD, kind="limit", limit_price=1.0, order_class="multi_leg",
            tif="gtc",
        )  # fmt: skip
        assert broker.submit_order(longer).outcome is Outcome.REJECTED
        assert broker.get_orders() == []
    for legs in (SPREAD[:1], (SPREAD[0], SPREAD[0]), SPREAD * 3):
        with pytest.raises(ConfigError) as caught:
            OrderRequest(client_order_id="c2", legs=legs, order_class="multi_leg")
        assert caught.value.code == "LIVE_ORDER"
    with pytest.raises(ConfigError):
        OrderRequest(client_order_id="c3", legs=SPREAD, order_class="multi_leg", kind="stop", stop_price=1.0)


def test_nothing_is_for_extended_hours_in_which_stops_sleep() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, PUTS[0]: 4.0, PUTS[1]: 2.5})
        broker.submit_order(bracket(1))
        broker.submit_order(order(2, kind="limit", limit_price=90.0, tif="gtc"))
        broker.submit_order(OrderRequest(client_order_id="c1", legs=SPREAD, order_class="multi_leg"))
        assert len(server.script.bodies) == 3
        assert not any(body.get("extended_hours") for body in server.script.bodies)


def test_a_possible_wash_trade_is_a_refusal_and_no_locked_account() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        broker.submit_order(order(1))
        broker.submit_order(order(2, kind="limit", limit_price=90.0))
        stop = order(3, -10.0, kind="stop", stop_price=95.0, purpose="protect")
        answer = broker.submit_order(stop)
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "LIVE_BROKER_REJECTED")
        assert "wash trade" in answer.message
        found = broker.find_order("o2")
        assert found is not None
        broker.cancel_order(found.order_id)
        again = order(4, -10.0, kind="stop", stop_price=95.0, purpose="protect")
        assert broker.submit_order(again).outcome is Outcome.CONFIRMED


def test_where_another_program_has_the_only_stream_asking_tells_all() -> None:
    with at_alpaca(every=0.05) as (server, broker):
        server.move(PRICES)
        server.script.every("stream", "cut")
        told: list[BrokerUpdate] = []
        assert isinstance(broker, AlpacaBroker)
        end = broker.on_update(told.append)
        until(lambda: "stream" in [kind for kind, _, _ in server.script.requests])
        until(lambda: broker.watch._held is not None)
        broker.submit_order(order(1, kind="limit", limit_price=90.0))
        server.move({"AAPL": 89.0})
        until(lambda: ("position", "AAPL") in [(one.kind, one.symbol) for one in told])
        assert broker.watch.heard == 0
        end()


@pytest.mark.parametrize("fault", ["empty", "html", "half"])
def test_no_answer_about_an_order_is_not_taken_for_no_order(fault: Any) -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        broker.submit_order(order(1))
        server.script.at("find", 1, fault)
        with pytest.raises(NoAnswer):
            broker.find_order("o1")
        assert broker.find_order("o1") is not None
        assert broker.find_order("o2") is None
