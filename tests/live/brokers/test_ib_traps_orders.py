"""Traps of Interactive Brokers: whose an order is, when it has ended, and orders of several parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from live.brokers.errors import BrokerError
from live.brokers.interactive_brokers import InteractiveBrokersBroker
from live.brokers.interface import Leg, OrderRequest, Outcome
from simulator.errors import TwinstepError
from simulator.types import OrderState
from tests.fakes.tws.market import TwsOrder
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import PRICES, PUTS, broker_at, held, placed, sent, spread
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


# Orders of other programs


def test_orders_of_other_clients_are_listed_and_cannot_be_cancelled_from_here(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    other = broker_at(tws, client_id=99)
    theirs = sent(other, order(1, kind="limit", limit_price=90.0))
    assert [one.order_id for one in broker.get_orders()] == [theirs.order_id]
    for change in (broker.cancel_order, lambda name: broker.replace_order(name, limit_price=91.0)):
        with pytest.raises(TwinstepError) as caught:
            change(theirs.order_id)
        assert caught.value.code == "LIVE_OTHER_CLIENT"
    assert broker.get_orders()[0].limit_price == 90.0
    other.close()


def test_after_a_restart_an_open_bracket_is_found_changed_and_cancelled(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    parent = sent(broker, bracket(1))
    broker.close()
    tws.restart(next_id=1)
    again = broker_at(tws)
    children = {one.kind: one for one in again.get_orders()}
    assert {one.parent_id for one in children.values()} == {parent.order_id}
    changed = again.replace_order(children["stop"].order_id, stop_price=97.0)
    assert (changed.stop_price, changed.order_id) == (97.0, children["stop"].order_id)
    again.cancel_order(children["limit"].order_id)
    assert [one.kind for one in again.get_orders()] == ["stop"]
    again.close()


# What only looks like an end


def test_notice_10349_is_not_a_cancel(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.presets = True
    one = sent(broker, order(1, kind="limit", limit_price=95.0))
    assert one.state == OrderState.SUBMITTED
    assert broker.get_orders()[0].state == OrderState.SUBMITTED
    changed = broker.replace_order(one.order_id, limit_price=96.0)
    assert changed.is_open
    tws.move({"AAPL": 94.0})
    found = broker.find_order("o1")
    assert found is not None
    assert found.state == OrderState.FILLED
    assert held(broker) == {"AAPL": 10.0}


def test_a_remark_after_an_order_was_accepted_changes_nothing(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    one = sent(broker, order(1, kind="limit", limit_price=95.0))
    number = placed(tws, "o1").order_id
    for code in (399, 404, 10349, 2109, 10148):
        tws.say(code, "a remark", number)
    time.sleep(0.05)
    assert [this.state for this in broker.get_orders()] == [OrderState.SUBMITTED]
    assert broker.cancel_order(one.order_id).state == OrderState.CANCELLED


def test_a_fill_after_cancelled_wins(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    one = sent(broker, order(1, kind="limit", limit_price=95.0))
    assert broker.cancel_order(one.order_id).state == OrderState.CANCELLED
    tws.do(lambda: tws.market.part("o1", 4.0, 95.0))
    found = broker.find_order("o1")
    assert found is not None
    assert (found.state, found.filled, found.average_price) == (OrderState.CANCELLED, 4.0, 95.0)
    tws.do(lambda: tws.market.part("o1", 6.0, 94.0))
    found = broker.find_order("o1")
    assert found is not None
    assert (found.state, found.filled) == (OrderState.FILLED, 10.0)
    assert found.average_price == pytest.approx(94.4)
    assert held(broker) == {"AAPL": 10.0}


def test_a_cancel_that_comes_too_late_is_told_as_filled(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    one = sent(broker, order(1, kind="limit", limit_price=95.0))
    real = tws.market.cancel

    def too_late(raw: TwsOrder) -> None:
        tws.market.cancel = real  # type: ignore[method-assign]
        tws.market.part(raw.ref, 10.0, 95.0)

    tws.market.cancel = too_late  # type: ignore[method-assign,assignment]
    assert broker.cancel_order(one.order_id).state == OrderState.FILLED


def test_a_cancel_whose_answer_is_lost_raises_and_is_not_taken_as_done(tws: TwsServer) -> None:
    broker = broker_at(tws)
    one = sent(broker, order(1, kind="limit", limit_price=95.0))
    tws.at("cancel", 1, "cut")
    with pytest.raises(ConnectionError):
        broker.cancel_order(one.order_id)
    assert broker.get_orders()[0].state == OrderState.SUBMITTED
    broker.close()


def test_an_order_in_no_list_is_found_by_its_fills(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    one = sent(broker, order(1))
    tws.hidden_orders.add("o1")
    found = broker.find_order("o1")
    assert found is not None
    assert (found.order_id, found.state, found.filled) == (one.order_id, OrderState.FILLED, 10.0)
    broker.close()
    again = broker_at(tws)
    found = again.find_order("o1")
    assert found is not None
    assert (found.order_id, found.state, found.legs) == (
        one.order_id,
        OrderState.FILLED,
        (Leg("AAPL", 10.0),),
    )
    again.close()


# Packages


def test_buying_a_combination_at_a_negative_limit_is_a_credit(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    one = sent(broker, spread(1, 2.0, 1.7))
    raw = placed(tws, "s1")
    assert (raw.action, raw.limit, raw.quantity) == ("BUY", -1.7, 2.0)
    assert [(leg.symbol, ratio, action) for leg, ratio, action in raw.legs] == [
        (PUTS[0], 1, "SELL"), (PUTS[1], 1, "BUY"),
    ]  # fmt: skip
    assert (one.limit_price, one.quantity) == (1.7, 2.0)
    assert one.legs == (Leg(PUTS[0], -2.0), Leg(PUTS[1], 2.0))
    tws.move({PUTS[0]: 4.4, PUTS[1]: 2.6})
    found = broker.find_order("s1")
    assert found is not None
    assert found.state == OrderState.FILLED
    assert found.average_price == pytest.approx(1.8)


def test_what_a_part_of_a_credit_has_brought_is_positive(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, spread(1, 2.0, 1.9))
    tws.do(lambda: tws.market.part("s1", 1.0, -1.95))
    (one,) = broker.get_orders()
    assert (one.state, one.filled) == (OrderState.PARTIALLY_FILLED, 1.0)
    assert one.average_price == pytest.approx(1.95)


def test_a_debit_is_a_positive_limit(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    sent(broker, spread(1, -2.0, -1.6))
    assert (placed(tws, "s1").action, placed(tws, "s1").limit) == ("BUY", 1.6)
    found = broker.find_order("s1")
    assert found is not None
    assert found.state == OrderState.FILLED
    assert found.average_price == pytest.approx(-1.5)
    assert held(broker) == {PUTS[0]: 2.0, PUTS[1]: -2.0}


def test_a_combination_that_another_program_sells_has_its_legs_turned(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    def foreign() -> None:
        legs = tuple(
            (tws.market.instrument_of(name), 1, action)
            for name, action in zip(PUTS, ("BUY", "SELL"), strict=True)
        )
        number = tws.market.new_perm_id()
        order = TwsOrder(5, 0, number, legs, True, "SELL", 3.0, "LMT", 2.0, None, None, "DAY", "")
        tws.market.accept(order)

    tws.do(foreign)
    (one,) = broker.get_orders()
    assert (one.legs, one.limit_price) == ((Leg(PUTS[0], -3.0), Leg(PUTS[1], 3.0)), 2.0)


def test_the_whole_of_a_combination_is_no_execution_of_its_own(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    sent(broker, spread(1, 2.0))
    assert tws.do(lambda: len(tws.market.done)) == 3
    done = broker.executions()
    assert sorted((one.symbol, one.side, one.quantity) for one in done) == [
        (PUTS[1], 1, 2.0), (PUTS[0], -1, 2.0),
    ]  # fmt: skip
    assert broker.find_order("s1").filled == 2.0  # type: ignore[union-attr]


def test_ratios_of_a_package(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    legs = (Leg(PUTS[0], -2.0), Leg(PUTS[1], 4.0))
    sent(broker, OrderRequest(client_order_id="r1", legs=legs, order_class="multi_leg"))
    one = broker.find_order("r1")
    assert one is not None
    raw = placed(tws, "r1")
    assert ([ratio for _, ratio, _ in raw.legs], raw.quantity) == ([1, 2], 2.0)
    assert (one.legs, one.quantity, one.filled) == (legs, 2.0, 2.0)
    assert held(broker) == {PUTS[0]: -2.0, PUTS[1]: 4.0}


def test_a_package_may_cost_nothing(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.move({PUTS[1]: 4.5})
    one = sent(broker, spread(1, 1.0, 0.0))
    assert (one.limit_price, one.state) == (0.0, OrderState.SUBMITTED)
    assert str(placed(tws, "s1").limit) == "0.0"


def test_a_package_is_changed_in_its_own_units_and_sign(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    one = sent(broker, spread(1, 2.0, 1.9))
    changed = broker.replace_order(one.order_id, quantity=1.0, limit_price=1.8)
    assert (changed.quantity, changed.limit_price) == (1.0, 1.8)
    raw = placed(tws, "s1")
    assert (raw.quantity, raw.limit) == (1.0, -1.8)


# Brackets, groups, trailing stops


def test_a_bracket_is_a_parent_and_children_of_which_the_last_is_transmitted(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    seen: list[tuple[str, bool, int]] = []
    real = tws.market.accept

    def watched(raw: TwsOrder) -> None:
        seen.append((raw.ref, raw.transmit, raw.parent_id))
        real(raw)

    tws.market.accept = watched  # type: ignore[method-assign,assignment]
    tws.move({"AAPL": 105.0})
    sent(broker, bracket(1))
    number = placed(tws, "o1").order_id
    assert seen == [("o1", False, 0), ("o1-target", False, number), ("o1-stop", True, number)]
    assert [placed(tws, ref).tif for ref, _, _ in seen] == ["DAY", "GTC", "GTC"]
    assert [one.status for one in (placed(tws, "o1-target"), placed(tws, "o1-stop"))] == ["PreSubmitted"] * 2


def test_a_bracket_of_which_one_part_is_refused_leaves_no_entry_without_its_stop(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    tws.at("place", 3, (110, "The price does not conform to the minimum price variation for this contract."))
    answer = broker.submit_order(bracket(1))
    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "LIVE_BROKER_REJECTED")
    assert "110" in answer.message
    assert tws.do(lambda: [one for one in tws.market.orders if one.works]) == []
    tws.move({"AAPL": 90.0})
    assert held(broker) == {}


def test_a_bracket_that_breaks_off_before_its_last_part_never_works(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    tws.at("place", 3, "cut")
    assert broker.submit_order(bracket(1)).outcome is Outcome.UNRESOLVED
    assert broker.find_order("o1") is None
    assert held(broker) == {}


def test_children_that_die_with_a_parent_that_filled_in_part_are_missed(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    tws.market.children_die = True
    tws.move({"AAPL": 105.0})
    parent = sent(broker, bracket(1))
    tws.do(lambda: tws.market.part("o1", 4.0, 100.0))
    broker.cancel_order(parent.order_id)
    assert list(broker.get_orders()) == []  # so nothing guards the shares, and nothing claims to
    assert held(broker) == {"AAPL": 4.0}


def test_the_parts_of_an_oco_reduce_each_other(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    sent(broker, order(1))
    sent(
        broker,
        order(
            2, -10.0, kind="limit", limit_price=110.0, stop_loss=95.0, order_class="oco", purpose="protect"
        ),
    )
    target, stop = placed(tws, "o2"), placed(tws, "o2-stop")
    assert target.oca_group == stop.oca_group == "o2"
    assert target.oca_type == stop.oca_type == 2  # with 1 a part of the target would cancel the whole stop
    tws.do(lambda: tws.market.part("o2", 4.0, 110.0))
    assert stop.quantity == 6.0
    tws.move({"AAPL": 94.0})
    assert held(broker) == {}


def test_of_an_oco_the_stop_is_sent_first(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    sent(broker, order(1))
    tws.at("place", 2, "cut")
    answer = broker.submit_order(
        order(2, -10.0, kind="limit", limit_price=110.0, stop_loss=95.0, order_class="oco", purpose="protect")
    )
    assert answer.outcome is Outcome.UNRESOLVED
    assert [(one.client_order_id, one.kind) for one in broker.get_orders()] == [("o2-stop", "stop")]


@pytest.mark.parametrize(
    ("fields", "raw"), [({"trail_amount": 5.0}, (5.0, None)), ({"trail_percent": 4.0}, (None, 4.0))]
)
def test_a_trailing_stop_has_an_amount_or_a_percentage(
    tws: TwsServer, broker: InteractiveBrokersBroker, fields: dict[str, Any], raw: tuple[Any, Any]
) -> None:
    sent(broker, order(1))
    one = sent(broker, order(2, -10.0, kind="trailing", purpose="protect", **fields))
    there = placed(tws, "o2")
    assert (there.kind, there.aux, there.percent) == ("TRAIL", *raw)
    tws.move({"AAPL": 110.0})
    (now,) = broker.get_orders()
    assert now.kind == "trailing"
    assert now.stop_price == pytest.approx(105.0 if raw[0] else 105.6)
    tws.move({"AAPL": 105.0})
    assert held(broker) == {}
    assert broker.find_order("o2").order_id == one.order_id  # type: ignore[union-attr]


def test_a_change_that_is_refused_leaves_the_order_as_it_was(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    one = sent(broker, order(1, kind="limit", limit_price=90.0))
    tws.at("place", 1, (110, "The price does not conform to the minimum price variation for this contract."))
    with pytest.raises(BrokerError) as caught:
        broker.replace_order(one.order_id, limit_price=90.001)
    assert caught.value.code == "LIVE_BROKER_REJECTED"
    (still,) = broker.get_orders()
    assert (still.limit_price, still.state) == (90.0, OrderState.SUBMITTED)
    assert broker.replace_order(one.order_id, limit_price=91.0).limit_price == 91.0
