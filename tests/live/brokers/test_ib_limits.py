"""What Interactive Brokers allows so many times only, and what it calls by several names."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
from live.brokers.interactive_brokers import InteractiveBrokersBroker
from live.brokers.interface import Outcome
from tests.fakes.tws import wire
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import broker_at
from tests.live.desks import PRICES, order


@pytest.fixture
def tws() -> Iterator[TwsServer]:
    with TwsServer() as server:
        server.move(PRICES)
        yield server


@pytest.fixture
def broker(tws: TwsServer) -> Iterator[InteractiveBrokersBroker]:
    broker = broker_at(tws)
    yield broker
    broker.close()


def test_questions_and_orders_share_one_counter_and_no_order_gets_a_number_twice(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    for number in range(1, 6):
        assert broker.submit_order(order(number, 1.0)).outcome is Outcome.CONFIRMED
        broker.executions()
        broker.quotes(["AAPL", "MSFT"])  # each of them takes numbers of the same counter
    numbers = [number for _, number, _ in tws.placed]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] > 4
    assert {one.client_order_id for one in broker.get_orders(open_only=False)} == {
        f"o{number}" for number in range(1, 6)
    }


def test_a_position_filled_at_another_venue_is_the_same_position(
    tws: TwsServer, broker: InteractiveBrokersBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract: Any = wire._contract

    def elsewhere(*given: Any, **more: Any) -> list[object]:
        return ["ISLAND" if word == "SMART" else word for word in contract(*given, **more)]

    monkeypatch.setattr(wire, "_contract", elsewhere)
    broker.submit_order(order(1))
    (held,) = broker.get_positions()
    (done,) = broker.executions()
    found = broker.find_order("o1")
    assert found is not None
    assert (held.symbol, done.symbol, found.legs[0].symbol) == ("AAPL", "AAPL", "AAPL")
    assert done.order_id == found.order_id


def test_more_orders_in_a_contract_than_the_broker_allows_are_rejected_and_said(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    words = "Order rejected - reason: maximum of 20 orders working on either the buy or sell side"
    tws.at("place", 1, (201, words))
    answer = broker.submit_order(order(1, kind="limit", limit_price=90.0))
    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "LIVE_BROKER_REJECTED")
    assert "20 orders" in answer.message
    assert [one for one in broker.get_orders() if one.is_open] == []


def test_30_a_volatility_history_that_is_refused_is_an_error_and_none_is_nan(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    assert math.isnan(broker.iv_rank("SPY"))  # nothing there: no rank, and nothing is entered by it
    tws.every("history", (162, "Historical Market Data Service error message: pacing violation"))
    with pytest.raises(ConnectionError, match="pacing violation"):
        broker.iv_rank("SPY")
    tws.clear()
    assert broker.submit_order(order(1)).outcome is Outcome.CONFIRMED  # and keeps nobody from trading


def test_no_library_that_nobody_maintains_is_used() -> None:
    folder = Path(live.__file__).parent
    used = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                used.add(node.module.partition(".")[0])
    assert not used & {"ib_insync", "ibapi", "alpaca_trade_api"}
