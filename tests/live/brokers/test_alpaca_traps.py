"""Traps of Alpaca with orders, each by its name, against the adapter at a paper exchange on a socket."""

from __future__ import annotations

import time
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetOrdersRequest, MarketOrderRequest

from live.brokers.alpaca import NoAnswer, listing
from live.brokers.alpaca.orders import priced, steps_of
from live.brokers.alpaca.readings import order_of
from live.brokers.errors import AccessRefused, DuplicateOrder, RateLimited
from live.brokers.interface import BrokerInterface, BrokerOrder, Leg, OrderRequest, Outcome
from simulator.errors import ConfigError, TwinstepError
from simulator.types import OrderState
from tests.fakes.alpaca.script import Refuse
from tests.fakes.alpaca.server import KEY, SECRET, AlpacaServer
from tests.live.brokers.alpaca_desk import at_alpaca, broker_at
from tests.live.desks import PRICES, bracket, order

PUTS = ("SPY261218P00500000", "SPY261218P00490000")
TOO_MANY = Refuse(429, {"code": 42910000, "message": "rate limit exceeded"}, (("retry-after", "7"),))


def client_of(server: AlpacaServer) -> TradingClient:
    """The library as it comes."""
    return TradingClient(KEY, SECRET, raw_data=True, url_override=server.url)


def sent(broker: BrokerInterface, request: OrderRequest) -> BrokerOrder:
    answer = broker.submit_order(request)
    assert answer.outcome is Outcome.CONFIRMED, answer
    assert answer.order is not None
    return answer.order


def kinds(broker: BrokerInterface) -> dict[str, BrokerOrder]:
    return {one.kind: one for one in broker.get_orders()}


def count(server: AlpacaServer, kind: str) -> int:
    return sum(one == kind for one, _, _ in server.script.requests)


# Sent once, and never twice


def test_a_duplicate_client_id_is_the_order_that_arrived_first() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        first = sent(broker, order(1))
        assert sent(broker, order(1)).order_id == first.order_id
        assert server.held() == {"AAPL": 10.0}
        assert broker.submit_order(order(1, -10.0)).code == "LIVE_ORDER_ID"  # another order under our id


def test_a_duplicate_client_id_that_cannot_be_looked_up_is_no_rejection() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        sent(broker, order(1))
        server.script.at("find", 1, "cut")
        with pytest.raises(DuplicateOrder):
            broker.submit_order(order(1))


@pytest.mark.parametrize("fault", ["504_after", "cut_after", "hang_after", "half", "empty", "html"])
def test_504_after_accept_is_unresolved_and_found_by_its_id(fault: Any) -> None:
    with at_alpaca(timeout=1.0) as (server, broker):
        server.move(PRICES)
        server.script.at("submit", 1, fault)
        assert broker.submit_order(order(1)).outcome is Outcome.UNRESOLVED
        assert count(server, "submit") == 1
        server.script.clear()
        found = broker.find_order("o1")
        assert found is not None
        assert found.state == OrderState.FILLED


@pytest.mark.parametrize("fault", ["504", "cut", "hang"])
def test_what_never_arrived_is_unresolved_too_and_is_not_found(fault: Any) -> None:
    with at_alpaca(timeout=1.0) as (server, broker):
        server.move(PRICES)
        server.script.at("submit", 1, fault)
        assert broker.submit_order(order(1)).outcome is Outcome.UNRESOLVED
        server.script.clear()
        assert broker.find_order("o1") is None


def test_no_retry_on_post_where_the_library_alone_sends_again() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        client = client_of(server)
        client._retry_wait = 0
        server.script.every("submit", "504")
        with pytest.raises(APIError):
            client.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day"))
        assert count(server, "submit") > 1  # the trap
        before = count(server, "submit")
        assert broker.submit_order(order(1)).outcome is Outcome.UNRESOLVED
        assert count(server, "submit") == before + 1
        server.script.every("submit", TOO_MANY)
        with pytest.raises(RateLimited) as caught:
            broker.submit_order(order(2))
        assert caught.value.retry_after == 7.0
        assert count(server, "submit") == before + 2


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_alpaca_py_hangs_for_ever_without_a_timeout_and_here_never(fault: Any) -> None:
    with at_alpaca(timeout=0.8) as (server, broker):
        server.script.every("positions", fault)
        begun = time.monotonic()
        with pytest.raises(NoAnswer):
            broker.get_positions()
        assert time.monotonic() - begun < 5.0
        server.script.clear()
        assert broker.get_positions() == []


def test_where_nobody_listens_nothing_was_sent() -> None:
    server = AlpacaServer().start()
    broker = broker_at(server)
    server.stop(wait=True)
    answer = broker.submit_order(order(1))
    assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_NO_ANSWER")
    with pytest.raises(NoAnswer) as caught:
        broker.get_positions()
    assert not caught.value.sent


# Brackets


def test_a_held_stop_leg_is_missing_from_the_open_orders_and_is_listed_here() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, "AAPL": 101.0})
        parent = sent(broker, bracket(1))
        assert {one.kind: one.state for one in broker.get_orders() if one.parent_id} == {
            "stop": OrderState.PENDING, "limit": OrderState.PENDING,
        }  # fmt: skip
        server.move({"AAPL": 100.0})
        client = client_of(server)
        nested: Any = client.get_orders(GetOrdersRequest(nested=True))
        flat: Any = client.get_orders(GetOrdersRequest())
        assert (nested, [one["type"] for one in flat]) == ([], ["limit"])  # the trap
        for other in (broker, broker_at(server)):  # a new process knows nothing of before
            found = kinds(other)
            assert (found["stop"].state, found["stop"].stop_price) == (OrderState.SUBMITTED, 95.0)
            assert {one.parent_id for one in found.values()} == {parent.order_id}
            assert {one.client_order_id for one in found.values()} == {"o1-stop", "o1-target"}


def test_a_bracket_without_a_target_is_refused_so_it_goes_out_as_oto() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        sent(broker, order(1, order_class="bracket", stop_loss=95.0))
        assert server.script.bodies[-1]["order_class"] == "oto"
        assert [(one.kind, one.stop_price) for one in broker.get_orders()] == [("stop", 95.0)]


def test_children_inherit_the_time_in_force_so_the_stop_of_a_day_entry_outlives_the_day() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        sent(broker, bracket(1))
        waiting = sent(
            broker, order(2, kind="limit", limit_price=90.0, order_class="bracket", stop_loss=85.0)
        )
        assert {body["time_in_force"] for body in server.script.bodies} == {"gtc"}
        assert broker.end_day_entries() == []  # the session goes on
        server.move(minutes=8 * 60)
        server.venue.expire_day(server.now)
        assert [one.order_id for one in broker.end_day_entries()] == [waiting.order_id]
        assert {one.client_order_id for one in broker.get_orders()} == {"o1-stop", "o1-target"}
        assert broker.end_day_entries() == []


def test_an_entry_for_the_day_that_is_sent_while_the_market_is_closed_is_for_the_next_session() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        server.move(minutes=6 * 60)  # the evening before
        server.venue.expire_day(server.now)
        waiting = sent(
            broker, order(1, kind="limit", limit_price=90.0, order_class="bracket", stop_loss=85.0)
        )
        assert broker.end_day_entries() == []
        server.move(minutes=12 * 60)  # long before the bell
        assert broker.end_day_entries() == []
        server.move(minutes=8 * 60)  # within its session
        assert broker.end_day_entries() == []
        server.move(minutes=5 * 60)  # after the close
        assert [one.order_id for one in broker.end_day_entries()] == [waiting.order_id]
        assert broker.end_day_entries() == []


def test_an_entry_for_the_day_ends_in_the_next_session_where_nobody_looked_in_between() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        before = sent(broker, order(1, kind="limit", limit_price=90.0, order_class="bracket", stop_loss=85.0))
        changed = broker.replace_order(before.order_id, limit_price=91.0)
        server.move(minutes=24 * 60)  # open again
        today = sent(broker, order(2, kind="limit", limit_price=90.0, order_class="bracket", stop_loss=85.0))
        assert [one.order_id for one in broker.end_day_entries()] == [changed.order_id]
        assert broker.order(today.order_id).is_open


def test_a_quantity_has_nine_decimal_places_at_most() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        sent(broker, order(1, 0.1 + 0.2))
        assert server.script.bodies[-1]["qty"] == 0.3
        assert server.held() == {"AAPL": 0.3}


def test_what_has_filled_of_a_bracket_is_bare_until_all_of_it_has() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, "AAPL": 101.0})
        parent = sent(broker, bracket(1))
        server.part("o1", 4.0, 100.0)
        assert (broker.order(parent.order_id).filled, server.held()) == (4.0, {"AAPL": 4.0})
        assert kinds(broker)["stop"].state == OrderState.PENDING  # and counts as no guard
        broker.cancel_order(parent.order_id)
        assert (broker.get_orders(), server.held()) == ([], {"AAPL": 4.0})
        guard = order(2, -4.0, kind="stop", stop_price=95.0, purpose="protect", tif="gtc")
        assert sent(broker, guard).is_open


def test_stop_and_target_are_changed_one_by_one_and_keep_their_names() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        sent(broker, bracket(1))
        old = kinds(broker)
        new = broker.replace_order(old["stop"].order_id, stop_price=97.0, quantity=10.0)
        assert new.order_id != old["stop"].order_id
        assert (new.client_order_id, new.stop_price) == ("o1-stop", 97.0)
        assert new.parent_id == old["stop"].parent_id
        for other in (broker, broker_at(server)):
            found = kinds(other)
            assert (found["stop"].stop_price, found["limit"].limit_price) == (97.0, 110.0)
            assert found["stop"].client_order_id == "o1-stop"
        server.move({"AAPL": 96.5})
        assert server.held() == {}


def test_after_a_split_quantities_are_adjusted_and_bracket_prices_are_not() -> None:
    nvda = order(1, 10.0, "NVDA", kind="limit", limit_price=1200.0, order_class="bracket", stop_loss=1100.0,
                 take_profit=1400.0)  # fmt: skip
    for repaired in (False, True):
        with at_alpaca() as (server, broker):
            server.move({**PRICES, "NVDA": 1200.0})
            sent(broker, nvda)
            server.split("NVDA", 10.0)
            (holding,) = broker.get_positions()
            assert (holding.quantity, holding.average_price) == (100.0, 120.0)
            found = kinds(broker)
            assert (found["stop"].stop_price, found["stop"].quantity) == (1100.0, 100.0)
            if repaired:
                broker.replace_order(found["limit"].order_id, limit_price=140.0, quantity=100.0)
                broker.replace_order(found["stop"].order_id, stop_price=110.0, quantity=100.0)
            server.move({"NVDA": 121.0})
            assert server.held() == ({"NVDA": 100.0} if repaired else {})  # the stop fires at once
            if repaired:
                server.move({"NVDA": 109.0})
                assert server.held() == {}


# Changing and cancelling


def test_a_changed_order_has_another_id_and_is_the_same_order() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        first = sent(broker, order(1, kind="limit", limit_price=90.0))
        second = broker.replace_order(first.order_id, limit_price=91.0)
        third = broker.replace_order(second.order_id, limit_price=92.0, quantity=7.0)
        assert len({first.order_id, second.order_id, third.order_id}) == 3
        assert {one.client_order_id for one in (first, second, third)} == {"o1"}
        for other in (broker, broker_at(server)):
            found = other.find_order("o1")
            assert found is not None
            assert (found.order_id, found.limit_price, found.quantity) == (third.order_id, 92.0, 7.0)
            assert [one.order_id for one in other.get_orders()] == [third.order_id]
        with pytest.raises(ConfigError) as caught:
            broker.replace_order(first.order_id, limit_price=95.0)
        assert caught.value.code == "LIVE_ORDER_FINAL"
        assert broker.cancel_order(first.order_id).order_id == third.order_id
        assert broker.get_orders() == []


def test_a_change_whose_answer_was_lost_is_not_made_twice() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        first = sent(broker, order(1, kind="limit", limit_price=90.0))
        server.script.at("replace", 1, "504_after")
        with pytest.raises(NoAnswer):
            broker.replace_order(first.order_id, limit_price=91.0)
        again = broker.replace_order(first.order_id, limit_price=91.0)
        assert (again.limit_price, again.is_open, count(server, "replace")) == (91.0, True, 1)
        assert broker.replace_order(again.order_id, limit_price=91.0) == again  # nothing changes
        assert count(server, "replace") == 1


def test_a_change_that_is_refused_leaves_the_order_working() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        first = sent(broker, order(1, kind="limit", limit_price=90.0))
        server.script.at("replace", 1, Refuse(422, {"code": 42210000, "message": "too close"}))
        with pytest.raises(TwinstepError) as caught:
            broker.replace_order(first.order_id, limit_price=91.0)
        assert caught.value.code == "LIVE_BROKER_REJECTED"
        assert broker.order(first.order_id).is_open


def test_a_fill_after_cancel_wins() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        first = sent(broker, order(1, kind="limit", limit_price=90.0))
        assert broker.cancel_order(first.order_id).state == OrderState.CANCELLED
        server.part("o1", 10.0, 90.0)
        after = broker.order(first.order_id)
        assert (after.state, after.filled) == (OrderState.FILLED, 10.0)
        assert [one.quantity for one in broker.executions()] == [10.0]


def test_a_trailing_stop_is_an_order_of_its_own_and_is_changed_by_its_trail() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        sent(broker, order(1))
        trail = sent(broker, order(2, -10.0, kind="trailing", trail_percent=5.0, purpose="protect"))
        assert (trail.kind, trail.stop_price) == ("trailing", 95.0)
        assert broker.replace_trail(trail.order_id, 2.0).stop_price == 98.0
        with pytest.raises(TwinstepError):
            broker.replace_order(trail.order_id, limit_price=50.0)


# Signs, symbols, prices


def test_the_sign_of_a_packages_price_is_turned_both_ways() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, PUTS[0]: 4.0, PUTS[1]: 2.5})
        legs = (Leg(PUTS[0], -2.0), Leg(PUTS[1], 2.0))
        credit = sent(
            broker,
            OrderRequest(
                client_order_id="c1", legs=legs, kind="limit", limit_price=1.7, order_class="multi_leg"
            ),
        )
        body = server.script.bodies[-1]
        assert (body["limit_price"], body["qty"], body["order_class"]) == (-1.7, 2, "mleg")
        assert [(leg["ratio_qty"], leg["position_intent"]) for leg in body["legs"]] == [
            (1, "sell_to_open"), (1, "buy_to_open"),
        ]  # fmt: skip
        assert (credit.limit_price, credit.legs) == (1.7, legs)
        changed = broker.replace_order(credit.order_id, limit_price=1.4)
        assert changed.limit_price == 1.4
        assert broker.order(changed.order_id).average_price == pytest.approx(1.5, abs=0.11)
        (first, *_) = broker.executions()
        assert {one.order_id for one in broker_at(server).executions()} == {first.order_id}
        assert all(one.multiplier == 100.0 for one in broker.executions())


def test_an_exit_says_that_it_closes_so_it_opens_nothing() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, PUTS[0]: 4.0})
        back = OrderRequest(client_order_id="x", legs=(Leg(PUTS[0], -1.0),), purpose="exit")
        broker.submit_order(back)
        assert server.script.bodies[-1]["position_intent"] == "sell_to_close"
        broker.submit_order(order(1))
        assert "position_intent" not in server.script.bodies[-1]


@pytest.mark.parametrize(
    ("price", "side", "wanted"),
    [
        (100.128, 1, 100.12),
        (100.122, -1, 100.13),
        (95.1, 1, 95.1),
        (0.1 + 0.2, 1, 0.3),
        (0.12345, -1, 0.1235),
    ],
)
def test_limits_lie_on_the_penny_and_are_never_worse_than_asked(
    price: float, side: int, wanted: float
) -> None:
    assert priced(price, side=side) == wanted
    assert steps_of(95.1234) == 95.12


def test_a_price_between_pennies_does_not_cost_the_stop() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        stop = sent(broker, order(2, 5.0, "MSFT", order_class="bracket", stop_loss=190.123456))
        assert next(one.stop_price for one in broker.get_orders() if one.parent_id == stop.order_id) == 190.12


def test_a_status_that_nobody_knows_is_working() -> None:
    raw = {"id": "1", "client_order_id": "a", "symbol": "AAPL", "qty": "5", "filled_qty": "0", "side": "buy",
           "type": "limit", "limit_price": "9", "status": "resting_in_peace", "order_class": ""}  # fmt: skip
    assert order_of(raw).is_open
    assert order_of({**raw, "status": "pending_cancel"}).is_open
    assert order_of({**raw, "status": "held"}).state == OrderState.SUBMITTED


# Refusals


def test_too_little_buying_power_is_a_refusal_and_no_locked_account() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        answer = broker.submit_order(order(1, 1e6))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "LIVE_BROKER_REJECTED")
        assert "buying power" in answer.message


@pytest.mark.parametrize(
    "refusal",
    [
        Refuse(401, {"code": 40110000, "message": "request is not authorized"}),
        Refuse(403, {"message": "forbidden."}),
        Refuse(403, {"code": 40310000, "message": "account is blocked from trading"}),
    ],
)
def test_a_refused_access_is_told_apart(refusal: Refuse) -> None:
    with at_alpaca() as (server, broker):
        server.script.every("submit", refusal)
        with pytest.raises(AccessRefused):
            broker.submit_order(order(1))


def test_what_the_library_does_not_take_is_never_sent() -> None:
    with at_alpaca() as (server, broker):
        long = OrderRequest(client_order_id="x" * 121, legs=(Leg("AAPL", 1.0),))
        answer = broker.submit_order(long)
        assert (answer.outcome, answer.code, count(server, "submit")) == (Outcome.DENIED, "LIVE_ORDER", 0)


# Lists


def test_lists_of_more_than_a_page_are_read_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)
    monkeypatch.setattr("live.brokers.alpaca.broker._ACTIVITY_PAGE", 3)
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        for number in range(1, 9):
            sent(broker, order(number, 1.0))
        sent(broker, bracket(9))
        assert len(broker.get_orders(open_only=False)) == 11
        assert len(broker.get_orders()) == 2
        assert len(broker.executions()) == 9
