"""Traps of Interactive Brokers: names, numbers, and what values mean."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from live.brokers.errors import DuplicateOrder
from live.brokers.interactive_brokers import InteractiveBrokersBroker
from live.brokers.interface import Leg, Outcome
from simulator.types import OrderState
from tests.fakes.tws import wire
from tests.fakes.tws.market import TwsOrder
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import PRICES, PUTS, broker_at, held, placed, restart, sent
from tests.live.desks import order


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


# Numbers and names


def test_after_a_gateway_restart_that_rolls_its_ids_back_no_id_is_used_twice(tws: TwsServer) -> None:
    first = broker_at(tws)
    for number in range(3):
        sent(first, order(number))
    restart(tws, first, 1)
    sent(first, order(3))
    restart(tws, first, 1)
    first.close()
    second = broker_at(tws)  # a new process has no memory of its own
    sent(second, order(4))
    second.close()
    numbers = [number for _, number, _ in tws.placed]
    assert len(tws.placed) == 5
    assert numbers == sorted(set(numbers))


def test_an_id_that_was_issued_again_does_not_mix_two_orders(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    mine = sent(broker, order(1, kind="limit", limit_price=90.0))

    def another() -> None:
        old = tws.market.by_ref("o1")
        legs = ((tws.market.instrument_of("MSFT"), 1, "BUY"),)
        twin = TwsOrder(
            old.order_id, old.client_id, tws.market.new_perm_id(), legs, False, "SELL", 7.0, "LMT", 210.0,
            None, None, "DAY", "other",
        )  # fmt: skip
        tws.market.accept(twin)

    tws.do(another)
    orders = {one.client_order_id: one for one in broker.get_orders()}
    assert orders["o1"].order_id == mine.order_id != orders["other"].order_id
    assert (orders["o1"].legs, orders["o1"].limit_price) == ((Leg("AAPL", 10.0),), 90.0)
    assert (orders["other"].legs, orders["other"].limit_price) == ((Leg("MSFT", -7.0),), 210.0)
    tws.move({"AAPL": 89.0})
    found = broker.find_order("o1")
    assert found is not None
    assert (found.order_id, found.state) == (mine.order_id, OrderState.FILLED)
    (done,) = broker.executions()
    assert (done.order_id, done.symbol) == (mine.order_id, "AAPL")


def test_the_identity_of_an_order_is_its_reference_and_its_permid(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    mine = sent(broker, order(1, kind="limit", limit_price=90.0))
    raw = placed(tws, "o1")
    assert mine.order_id == str(raw.perm_id) != str(raw.order_id)
    restart(tws, broker, 1)
    found = broker.find_order("o1")
    assert found is not None
    assert found.order_id == mine.order_id
    assert broker.cancel_order(mine.order_id).state == OrderState.CANCELLED


def test_the_same_reference_is_asked_for_and_not_sent_twice_by_another_process(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    first = sent(broker, order(1))
    broker.close()
    other = broker_at(tws, client_id=18)
    assert sent(other, order(1)).order_id == first.order_id
    other.close()
    assert [ref for _, _, ref in tws.placed] == ["o1"]


def test_an_order_that_nobody_has_shown_yet_is_not_sent_again(tws: TwsServer) -> None:
    broker = broker_at(tws, timeout=0.4)
    tws.at("place", 1, "ignore")
    assert broker.submit_order(order(1)).outcome is Outcome.UNRESOLVED
    assert broker.submit_order(order(1)).outcome is Outcome.UNRESOLVED
    assert tws.received.count("place") == 1
    broker.close()


def test_error_103_is_no_rejection(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.every("place", (103, "Duplicate order id"))
    with pytest.raises(DuplicateOrder):
        broker.submit_order(order(1))


# Values


def test_the_cost_of_an_option_is_without_its_multiplier(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    tws.market.fee = 0.0
    sent(broker, order(1, -2.0, PUTS[0]))
    (raw,) = tws.do(tws.market.positions)
    assert raw[2] == 400.0  # as the broker writes it
    (one,) = broker.get_positions()
    assert (one.symbol, one.quantity, one.multiplier, one.average_price) == (PUTS[0], -2.0, 100.0, 4.0)


def test_padded_symbols_of_options_are_canonical(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.move({"BRK.B": 400.0, "SPXW261218P05000000": 30.0})
    sent(broker, order(1, 1.0, "BRK.B"))
    sent(broker, order(2, 1.0, "SPXW261218P05000000"))
    assert held(broker) == {"BRK.B": 1.0, "SPXW261218P05000000": 1.0}
    assert {one.symbol for one in broker.executions()} == {"BRK.B", "SPXW261218P05000000"}
    assert tws.market.instrument_of("SPXW261218P05000000").local == "SPXW  261218P05000000"


def test_numbers_that_were_not_set_are_none(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    sent(broker, order(1, kind="limit", limit_price=90.0))
    sent(broker, order(2, -5.0, "MSFT", kind="trailing", trail_percent=5.0))
    orders = {one.client_order_id: one for one in broker.get_orders()}
    assert (orders["o1"].stop_price, orders["o1"].average_price) == (None, None)
    assert orders["o2"].limit_price is None
    assert orders["o2"].stop_price == pytest.approx(190.0)
    tws.slow_fees = True
    sent(broker, order(3))
    assert [one.fees for one in broker.executions()] == [0.0]
    done = tws.market.done[-1]
    tws.do(lambda: tws._sessions[0].send(wire.commission(done, wire.UNSET)))
    assert all(math.isfinite(one.fees) and one.fees < 100.0 for one in broker.executions())


def test_fees_come_in_messages_of_their_own(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    sent(broker, order(1))
    assert [one.fees for one in broker.executions()] == [0.35]
    assert [one.fees for one in broker.executions()] == [0.35]


def test_a_corrected_execution_is_the_same_execution(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    from dataclasses import replace

    sent(broker, order(1))
    (before,) = broker.executions()

    def correct() -> None:
        old = tws.market.done[-1]
        tws.market.done.append(replace(old, exec_id=old.exec_id[:-2] + "02", price=100.5))

    tws.do(correct)
    (after,) = broker.executions()
    assert (after.execution_id, after.quantity, after.price) == (before.execution_id, 10.0, 100.5)
    found = broker.find_order("o1")
    assert found is not None
    assert found.filled == 10.0


def test_times_of_new_york_are_utc_here_on_both_sides_of_a_clock_change(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, order(1))
    tws.market.now = datetime(2026, 3, 9, 14, 30, tzinfo=UTC)  # the clocks changed on the day before
    tws.do(lambda: tws.market.book("AAPL", 1.0, 100.0))
    times = [one.time for one in broker.executions()]
    assert times == [datetime(2026, 3, 2, 15, 1, tzinfo=UTC), datetime(2026, 3, 9, 14, 30, tzinfo=UTC)]
    assert len(broker.executions(times[1])) == 1
    assert len(broker.executions(times[1] + timedelta(seconds=1))) == 0


def test_a_trade_by_hand_has_no_order_of_ours(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.do(lambda: tws.market.book("AAPL", 3.0, 100.0))
    (done,) = broker.executions()
    assert (done.order_id, done.quantity) == ("", 3.0)
    assert list(broker.get_orders(open_only=False)) == []


def test_the_size_of_a_completed_order_is_known_although_the_broker_forgets_it(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    one = sent(broker, order(1, kind="limit", limit_price=90.0))
    assert broker.cancel_order(one.order_id).quantity == 10.0
    sent(broker, order(2))
    broker.close()
    again = broker_at(tws)
    orders = {one.client_order_id: one for one in again.get_orders(open_only=False)}
    assert (orders["o2"].quantity, orders["o2"].state) == (10.0, OrderState.FILLED)
    # nobody says any more how much it was; it must not look as if it had all been filled
    assert orders["o1"].state == OrderState.CANCELLED
    assert orders["o1"].quantity > orders["o1"].filled == 0.0
    again.close()
