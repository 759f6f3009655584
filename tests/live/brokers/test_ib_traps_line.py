"""Traps of Interactive Brokers: the line to the gateway, its silence, its errors and its stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from live.brokers import BrokerUpdate
from live.brokers.errors import AccessRefused, BrokerError, RateLimited
from live.brokers.interactive_brokers import GatewayDown, InteractiveBrokersBroker
from live.brokers.interactive_brokers.pace import Pace
from live.brokers.interactive_brokers.working import Sending
from live.brokers.interface import Outcome
from simulator.errors import ConfigError, TwinstepError
from simulator.types import OrderState
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import PRICES, broker_at, held, placed, restart, sent
from tests.live.desks import bracket, order


@pytest.fixture
def tws() -> Iterator[TwsServer]:
    with TwsServer() as tws:
        tws.move(PRICES)
        yield tws


@pytest.fixture
def broker(tws: TwsServer) -> Iterator[InteractiveBrokersBroker]:
    broker = broker_at(tws)
    yield broker
    broker.close()


# Connections


def test_a_client_id_that_is_taken_is_named_and_nobody_is_thrown_out(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    broker.get_positions()
    other = broker_at(tws)
    began = time.monotonic()
    with pytest.raises(GatewayDown) as caught:
        other.get_positions()
    assert caught.value.code == "LIVE_CLIENT_ID"
    assert time.monotonic() - began < 2.0  # it does not wait for what will never come
    answer = other.submit_order(order(1))
    assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_CLIENT_ID")
    assert tws.placed == []
    assert held(broker) == {}
    other.close()


def test_a_gateway_that_is_not_there_sends_nothing_and_is_not_hammered() -> None:
    with TwsServer() as tws:
        port = tws.port
    broker = InteractiveBrokersBroker(port=port, timeout=1.0, reconnect_pause=30.0)
    with pytest.raises(GatewayDown):
        broker.get_positions()
    began = time.monotonic()
    answer = broker.submit_order(order(1))
    assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_GATEWAY")
    assert "tried again in" in answer.message
    assert time.monotonic() - began < 0.5
    assert "no gateway" in broker.problem
    broker.close()


@pytest.mark.parametrize("fault", ["cut", "ignore", "half"])
def test_positions_that_a_socket_error_made_empty_are_unknown_and_not_flat(
    tws: TwsServer, fault: str
) -> None:
    broker = broker_at(tws, timeout=0.3)
    sent(broker, order(1))
    sent(broker, order(2, 5.0, "MSFT"))
    if fault == "half":
        tws.half.add("positions")
    else:
        tws.every("positions", fault)
    for _ in range(2):
        with pytest.raises((ConnectionError, TimeoutError)):
            broker.get_positions()
        with pytest.raises((ConnectionError, TimeoutError)):
            broker.holdings()
    tws.clear()
    assert held(broker) == {"AAPL": 10.0, "MSFT": 5.0}
    broker.close()


def test_an_error_to_a_question_is_not_an_empty_answer(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, order(1))
    tws.every("executions", (322, "Error processing request"))
    with pytest.raises(BrokerError):
        broker.executions()
    with pytest.raises(BrokerError):
        broker.find_order("o1")
    tws.clear()
    assert len(broker.executions()) == 1


def test_a_late_answer_is_not_taken_for_that_of_the_next_question(tws: TwsServer) -> None:
    broker = broker_at(tws, timeout=0.4)
    sent(broker, order(1))
    tws.at("positions", 1, "late")
    with pytest.raises(TimeoutError):
        broker.get_positions()
    tws.do(lambda: tws.market.book("AAPL", -4.0, 100.0))
    assert held(broker) == {"AAPL": 6.0}
    broker.close()


def test_fills_of_a_time_without_connection_are_known_after_it(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, order(1, kind="limit", limit_price=95.0))
    sent(broker, bracket(2, 5.0))
    tws.refuse = True
    tws.restart(next_id=1)
    tws.move({"AAPL": 94.0})
    with pytest.raises(ConnectionError):
        broker.executions()
    tws.clear()
    done = broker.executions()
    assert sorted((one.side, one.quantity) for one in done) == [(-1, 5.0), (1, 5.0), (1, 10.0)]
    assert held(broker) == {"AAPL": 10.0}


def test_what_was_read_before_the_gateway_forgot_its_session_is_kept(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, order(1))
    (before,) = broker.executions()
    tws.do(tws.market.next_session)
    restart(tws, broker)
    assert list(broker.executions()) == [before]


def test_answers_of_a_gateway_that_has_lost_its_servers_are_not_taken(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, order(1))
    tws.link(False)
    with pytest.raises(GatewayDown, match="lost its servers"):
        broker.get_positions()
    answer = broker.submit_order(order(2))
    assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_GATEWAY")
    tws.link(True, lost=True)
    time.sleep(0.05)
    assert held(broker) == {"AAPL": 10.0}
    assert [ref for _, _, ref in tws.placed] == ["o1"]


def test_an_account_of_real_money_is_refused_where_paper_was_asked_for() -> None:
    with TwsServer("U7654321") as tws:
        broker = broker_at(tws)
        with pytest.raises(ConfigError) as caught:
            broker.get_positions()
        assert caught.value.code == "LIVE_NOT_PAPER"
        assert broker.submit_order(order(1)).code == "LIVE_NOT_PAPER"
        assert tws.placed == []
        broker.close()
        real = broker_at(tws, paper=False)
        assert (real.is_paper, real.account) == (False, "U7654321")
        real.close()


@pytest.mark.parametrize(
    ("number", "paper"), [("DU1234567", False), ("DF7654321", False), ("U7654321", True), ("F1234567", True)]
)
def test_the_other_kind_of_account_is_refused_and_both_are_named(number: str, paper: bool) -> None:
    with TwsServer(number) as tws:
        broker = broker_at(tws, paper=paper)
        with pytest.raises(ConfigError) as caught:
            broker.get_account()
        assert caught.value.code == "LIVE_NOT_PAPER"
        words = str(caught.value)
        assert all(one in words for one in (number, f"paper={paper}", "(DU..., DF...)", "(U..., F...)"))
        assert broker.submit_order(order(1)).code == "LIVE_NOT_PAPER"
        assert tws.placed == []
        broker.close()


@pytest.mark.parametrize(("number", "paper"), [("DF7654321", True), ("F1234567", False)])
def test_accounts_of_advisors_are_of_their_kind(number: str, paper: bool) -> None:
    with TwsServer(number) as tws:
        broker = broker_at(tws, paper=paper)
        assert (broker.account, broker.is_paper) == (number, paper)
        broker.close()


def test_of_several_accounts_one_must_be_named(tws: TwsServer) -> None:
    tws.accounts = ["DU1234567", "DU7654321"]
    broker = broker_at(tws)
    with pytest.raises(ConfigError) as caught:
        _ = broker.account
    assert caught.value.code == "LIVE_ACCOUNT"
    broker.close()
    named = broker_at(tws, account="DU1234567")
    sent(named, order(1))
    assert placed(tws, "o1").account == "DU1234567"
    named.close()


def test_a_gateway_that_may_only_be_read_is_a_refused_access(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    tws.every("place", (321, "Error validating request. The API interface is currently in Read-Only mode."))
    with pytest.raises(AccessRefused):
        broker.submit_order(order(1))


def test_too_many_messages_are_said_at_once_and_not_waited_for(tws: TwsServer) -> None:
    broker = broker_at(tws, timeout=5.0)
    broker.get_positions()
    tws.every("positions", (100, "Max rate of messages per second has been exceeded."))
    began = time.monotonic()
    with pytest.raises(RateLimited):
        broker.get_positions()
    assert time.monotonic() - began < 2.0
    broker.close()


def test_what_is_urgent_does_not_wait_for_the_budget() -> None:
    now = [100.0]
    pace = Pace(45, clock=lambda: now[0])
    waits = [pace.take(urgent=False) for _ in range(12)]
    assert waits[:9] == [0.0] * 9  # 36 of 45 messages
    assert all(wait > 0.0 for wait in waits[9:])
    assert pace.take(urgent=True) == 0.0
    now[0] += 3.0
    assert pace.take(urgent=False) == 0.0
    assert Pace(0).take(urgent=False) == 0.0


# The stream, and the log


def test_updates_are_told_and_a_listener_cannot_break_the_line(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    told: list[BrokerUpdate] = []

    def listen(update: BrokerUpdate) -> None:
        told.append(update)
        raise RuntimeError("boom")

    end = broker.on_update(listen)
    sent(broker, order(1))
    broker.get_positions()
    restart(tws, broker)
    kinds = {one.kind for one in told}
    assert {"connected", "order", "fill", "position", "lost"} <= kinds
    fill = next(one for one in told if one.kind == "fill")
    assert (fill.symbol, fill.client_order_id) == ("AAPL", "o1")
    end()
    count = len(told)
    sent(broker, order(2))
    assert len(told) == count


def test_a_broker_is_not_asked_from_inside_an_update(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    caught: list[str] = []

    def listen(update: BrokerUpdate) -> None:
        try:
            broker.get_positions()
        except TwinstepError as error:
            caught.append(error.code)

    broker.on_update(listen)
    sent(broker, order(1))
    assert set(caught) == {"LIVE_INSIDE_UPDATE"}


def test_a_lost_message_of_the_stream_changes_no_answer(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, order(1, kind="limit", limit_price=95.0))

    def unheard() -> None:
        listeners, tws.market.listeners = tws.market.listeners, []
        tws.market.move({"AAPL": 94.0})
        tws.market.listeners = listeners

    tws.do(unheard)
    found = broker.find_order("o1")
    assert found is not None
    assert found.state == OrderState.FILLED
    assert held(broker) == {"AAPL": 10.0}


def test_the_gateway_tells_its_time(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    assert broker.server_time() == tws.market.now


def test_every_call_has_an_end(tws: TwsServer) -> None:
    broker = broker_at(tws, timeout=0.3)
    one = sent(broker, order(1, kind="limit", limit_price=90.0))
    calls: list[tuple[str, Any]] = [
        ("positions", broker.get_positions), ("all_open_orders", broker.get_orders),
        ("completed", lambda: broker.get_orders(open_only=False)), ("executions", broker.executions),
        ("account", broker.get_account), ("completed", lambda: broker.find_order("o1")),
        ("cancel", lambda: broker.cancel_order(one.order_id)),
        ("place", lambda: broker.replace_order(one.order_id, limit_price=91.0)),
    ]  # fmt: skip
    for message, call in calls:
        tws.every(message, "ignore")
        began = time.monotonic()
        if message == "cancel":  # it is asked for, and the order is told as it stands: still working
            assert call().is_open
        else:
            with pytest.raises(TimeoutError):
                call()
        assert time.monotonic() - began < 3.0, message
        tws.clear()
    broker.close()


def test_what_is_given_up_is_not_sent_and_what_is_sent_is_not_given_up() -> None:
    first, second = Sending(), Sending()
    assert (first.give_up(), first.begin(), first.give_up()) == (True, False, True)
    assert (second.begin(), second.give_up()) == (True, False)


def test_logs_name_no_token(tws: TwsServer, caplog: pytest.LogCaptureFixture) -> None:
    canary = "canary-5c1f0e"
    with caplog.at_level(logging.DEBUG):
        broker = broker_at(tws, credentials={"flex_token": canary, "flex_query": "1"})
        sent(broker, order(1))
        broker.close()
    assert canary not in caplog.text
    assert canary not in repr(vars(broker))
