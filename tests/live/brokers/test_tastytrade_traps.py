"""The traps of tastytrade's orders: what its API and its library do that nobody expects."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from live.brokers.errors import BrokerError
from live.brokers.interface import Leg, OrderRequest, Outcome
from live.brokers.tastytrade.orders import Name, built, price_of, read_name
from simulator.errors import ConfigError, FetchError, TwinstepError
from simulator.types import OrderState
from tests.fakes.tastytrade.books import Part, Placed
from tests.fakes.tastytrade.server import Answer, TastytradeServer
from tests.live.brokers.tastytrade_rig import at_tastytrade, broker_at

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
PUTS = ("SPY261218P00500000", "SPY261218P00490000")


def ask(number: int = 1, quantity: float = 10.0, symbol: str = "AAPL", **fields: Any) -> OrderRequest:
    return OrderRequest(client_order_id=f"t{number}", legs=(Leg(symbol, quantity),), **fields)


def bracket(number: int = 1) -> OrderRequest:
    return ask(
        number, kind="limit", limit_price=99.0, order_class="bracket", stop_loss=95.0, take_profit=110.0
    )


def spread(number: int, first: float, limit: float, **fields: Any) -> OrderRequest:
    legs = (Leg(PUTS[0], first), Leg(PUTS[1], -first))
    return OrderRequest(
        client_order_id=f"t{number}", legs=legs, kind="limit", limit_price=limit, order_class="multi_leg",
        **fields,
    )  # fmt: skip


def sent(server: TastytradeServer, kind: str = "submit") -> list[Any]:
    return [body for one, body in server.bodies if one == kind]


def every_part(body: Any) -> list[Any]:
    """Return the orders of a body, those of a complex one too."""
    return [body, *filter(None, [body.get("trigger-order")]), *body.get("orders", ())]


# Dry runs


def test_dry_run_is_the_default_of_the_library_and_never_of_an_order() -> None:
    with at_tastytrade() as (server, broker):
        for request in (ask(1), bracket(2), spread(3, -1.0, 1.0)):
            assert broker.submit_order(request).outcome is Outcome.CONFIRMED
        assert server.received == ["t1", "t2", "t3"]
        assert "dry_run" not in server.requests


def test_a_preview_is_a_dry_run_and_leaves_nothing_behind() -> None:
    with at_tastytrade() as (server, broker):
        shown = broker.preview(ask(1))
        assert (shown.buying_power_change, shown.fees, shown.warnings) == (-125.0, 1.1, ())
        assert broker.preview(bracket(2)).fees == 1.1
        assert (server.received, server.books.orders, broker.find_order("t1")) == ([], [], None)
        with pytest.raises(BrokerError, match="ZZZZZ") as caught:
            broker.preview(ask(3, symbol="ZZZZZ"))
        assert caught.value.code == "LIVE_BROKER_REJECTED"


@pytest.mark.parametrize("number", [None, 0, -1])
def test_an_answer_without_a_number_is_not_taken_for_an_order(number: int | None) -> None:
    with at_tastytrade() as (server, broker):
        original = server._carried_out

        def as_dry_run(kind: str, path: str, query: Any, body: Any) -> tuple[int, Any]:
            status, found = original(kind, path, query, body)
            if kind == "submit":
                del found["data"]["order"]["id"]
                if number is not None:
                    found["data"]["order"]["id"] = number
            return status, found

        server._carried_out = as_dry_run  # type: ignore[method-assign,assignment]
        assert broker.submit_order(ask(1)).outcome is Outcome.UNRESOLVED


# What is serialised


def test_behavior_immediate_of_the_paper_service_is_in_no_order_that_is_sent() -> None:
    from tastytrade.order import MarketOrder

    plain = MarketOrder(legs=[]).model_dump_json(exclude_none=True, by_alias=True)
    assert '"behavior":"immediate"' in plain  # the trap is still there
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1))
        broker.submit_order(bracket(2))
        first = broker.submit_order(ask(3, kind="limit", limit_price=90.0)).order
        assert first is not None
        broker.replace_order(first.order_id, limit_price=91.0)
        broker.replace_order(first.order_id, quantity=5)
        bodies = [body for _, body in server.bodies]
        assert len(bodies) == 5
        found = [part for body in bodies for part in every_part(body)]
        assert not any(word in part for part in found for word in ("behavior", "delay", "schedule"))


def test_prices_have_an_effect_in_place_of_a_sign() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1, 10, kind="limit", limit_price=90.0))
        broker.submit_order(ask(2, -10, kind="limit", limit_price=120.0))
        broker.submit_order(spread(3, -1.0, 2.0))
        broker.submit_order(spread(4, 1.0, -1.0))
        effects = [(one["price"], one["price-effect"]) for one in sent(server)]
        assert effects == [("90", "Debit"), ("120", "Credit"), ("2", "Credit"), ("1", "Debit")]
        limits = {one.client_order_id: one.limit_price for one in broker.get_orders()}
        assert limits == {"t1": 90.0, "t2": 120.0, "t3": 2.0, "t4": -1.0}


def test_the_price_a_package_filled_at_is_positive_where_it_was_received() -> None:
    with at_tastytrade() as (_, broker):
        broker.submit_order(spread(1, -2.0, 1.0))
        credit = broker.find_order("t1")
        assert credit is not None
        # the library's own average has the opposite sign of its prices
        assert credit.average_price == pytest.approx(1.5)
        broker.submit_order(spread(2, 2.0, -2.0, purpose="exit"))
        debit = broker.find_order("t2")
        assert debit is not None
        assert debit.average_price == pytest.approx(-1.5)
        assert broker.get_positions() == []


def test_a_net_price_of_zero_would_lose_its_sign_and_is_not_sent() -> None:
    with at_tastytrade() as (server, broker):
        answer = broker.submit_order(spread(1, -1.0, 0.0))
        assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_ORDER")
        assert server.received == []


def test_options_are_padded_there_and_not_here() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1, -2.0, PUTS[0]))
        assert sent(server)[0]["legs"][0]["symbol"] == "SPY   261218P00500000"
        assert sent(server)[0]["legs"][0]["instrument-type"] == "Equity Option"
        assert [one.symbol for one in broker.get_positions()] == [PUTS[0]]
        assert [one.symbol for one in broker.executions()] == [PUTS[0]]
        assert broker.get_orders(open_only=False)[0].legs == (Leg(PUTS[0], -2.0),)


def test_a_class_of_shares_has_a_stroke_there_and_a_point_here() -> None:
    with at_tastytrade() as (server, broker):
        server.move({"BRK.B": 400.0})
        assert broker.submit_order(ask(1, 1, "BRK.B")).outcome is Outcome.CONFIRMED
        assert sent(server)[0]["legs"][0]["symbol"] == "BRK/B"
        assert [one.symbol for one in broker.get_positions()] == ["BRK.B"]


def test_quantities_are_positive_and_the_direction_says_the_rest() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1, -10))
        broker.submit_order(ask(2, 3, PUTS[0]))
        body = sent(server)[0]["legs"][0]
        assert (body["quantity"], body["action"]) == (10, "Sell to Open")
        held = {one.symbol: one for one in broker.get_positions()}
        assert (held["AAPL"].quantity, held[PUTS[0]].quantity) == (-10.0, 3.0)
        # the price of a unit: the multiplier is beside it, and not in it
        assert (held[PUTS[0]].average_price, held[PUTS[0]].multiplier) == (4.0, 100.0)


def test_a_position_of_zero_is_none_and_one_without_a_direction_is_unknown() -> None:
    with at_tastytrade() as (server, broker):
        server.books.held["AAPL"] = 0.0
        shown: dict[str, float] = {"AAPL": 0.0}
        server.books.shown = lambda: shown  # type: ignore[method-assign]
        assert broker.get_positions() == []
        original = server._carried_out

        def odd(kind: str, path: str, query: Any, body: Any) -> tuple[int, Any]:
            status, found = original(kind, path, query, body)
            if kind == "positions":
                found["data"]["items"][0]["quantity-direction"] = "Sideways"
            return status, found

        server._carried_out = odd  # type: ignore[method-assign,assignment]
        with pytest.raises(FetchError) as caught:
            broker.get_positions()
        assert caught.value.code == "LIVE_POSITION"


# One id, one order


def test_tastytrade_takes_an_id_twice_so_it_is_looked_up_before() -> None:
    with at_tastytrade() as (server, broker):
        assert broker.submit_order(ask(1)).outcome is Outcome.CONFIRMED
        other = broker_at(server)
        assert other.submit_order(ask(1)).outcome is Outcome.CONFIRMED
        other.close()
        assert server.received == ["t1"]


def test_what_was_sent_once_without_an_answer_is_never_sent_again() -> None:
    with at_tastytrade() as (server, broker):
        server.at("submit", 1, "before")
        assert [broker.submit_order(ask(1)).outcome for _ in range(3)] == [Outcome.UNRESOLVED] * 3
        assert server.requests.count("submit") == 1


def test_an_order_that_is_not_among_todays_is_found_in_the_history_on_any_page() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1, 1))
        with server.lock:
            for number in range(300):  # more than a page
                leg = Part("AAPL", "Buy to Open", 1.0)
                server.books.accept(
                    Placed(0, "Limit", [leg], -1.0, None, "Day", f"f{number}", strict=False, status="Expired")
                )
        server.books.now += timedelta(days=2)
        assert len(broker.get_orders(open_only=False)) == 301
        found = broker.find_order("t1")
        assert found is not None
        assert found.state is OrderState.FILLED
        assert broker.submit_order(ask(1, 1)).outcome is Outcome.CONFIRMED
        assert server.received == ["t1"]


def test_two_orders_under_one_name_are_seen_as_two() -> None:
    with at_tastytrade() as (server, broker):
        for _ in range(2):
            leg = Part("AAPL", "Buy to Open", 1.0)
            server.books.accept(Placed(0, "Limit", [leg], -50.0, None, "Day", "t1", strict=False))
        assert [one.client_order_id for one in broker.get_orders()] == ["t1", "t1"]


def test_a_rejection_after_the_order_was_taken_in_is_a_rejection() -> None:
    with at_tastytrade() as (server, broker):
        original = server.books.accept

        def rejected(order: Placed) -> Placed:
            done = original(order)
            done.status, done.why = "Rejected", "Exchange closed"
            return done

        server.books.accept = rejected  # type: ignore[method-assign]
        answer = broker.submit_order(ask(1, kind="limit", limit_price=50.0))
        assert (answer.outcome, answer.message) == (Outcome.REJECTED, "Exchange closed")


# Opening and closing


def test_the_purpose_says_whether_a_leg_opens_or_closes_and_not_what_is_held() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1, 10))
        broker.submit_order(ask(2, -10, purpose="exit"))
        broker.submit_order(ask(3, -10))
        actions = [one["legs"][0]["action"] for one in sent(server)]
        assert actions == ["Buy to Open", "Sell to Close", "Sell to Open"]


def test_an_exit_waits_for_a_ledger_that_lags_and_is_never_turned_into_an_opening() -> None:
    with at_tastytrade(ledger_wait=3.0) as (server, broker):
        broker.submit_order(ask(1, 10))
        server.books.lag = 3  # positions are shown as before the fill, three times
        answer = broker.submit_order(ask(2, -10, purpose="exit"))
        assert answer.outcome is Outcome.CONFIRMED
        assert sent(server)[-1]["legs"][0]["action"] == "Sell to Close"
        assert server.books.held == {}


def test_an_exit_whose_position_never_shows_is_refused_and_opens_nothing() -> None:
    with at_tastytrade(ledger_wait=0.2) as (server, broker):
        answer = broker.submit_order(ask(1, -10, purpose="exit"))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "LIVE_BROKER_REJECTED")
        assert "position_not_open" in answer.message
        assert server.books.held == {}


def test_without_strict_validation_a_closing_order_would_open_so_every_one_has_it() -> None:
    strict = {"strict-position-effect-validation": True}
    with at_tastytrade() as (server, broker):
        broker.submit_order(bracket(1))
        server.move({"AAPL": 98.0})
        broker.submit_order(ask(2, -1, kind="stop", stop_price=90.0, purpose="protect"))
        parts = [part for body in sent(server) for part in every_part(body) if "legs" in part]
        closing = [one for one in parts if "Close" in one["legs"][0]["action"]]
        assert len(closing) == 3
        assert all(one["advanced-instructions"] == strict for one in closing)
        # sold by hand meanwhile: the stop is discarded and does not open a short
        server.books.trade("AAPL", -10.0, 98.0)
        server.move({"AAPL": 80.0})
        assert server.books.held == {}
        # and that the fake would open without it
        leg = Part("AAPL", "Sell to Close", 5.0)
        server.books.accept(Placed(0, "Market", [leg], None, None, "Day", "", strict=False))
        assert server.books.held == {"AAPL": -5.0}


def test_an_exit_is_sent_although_positions_cannot_be_read() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1, 10))
        server.every("positions", "cut")
        assert broker.submit_order(ask(2, -10, purpose="exit")).outcome is Outcome.CONFIRMED
        assert server.books.held == {}


# Complex orders


def test_a_bracket_is_an_otoco_whose_children_outlive_the_day() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(bracket(1))
        (body,) = sent(server)
        assert body["type"] == "OTOCO"
        assert body["trigger-order"]["time-in-force"] == "Day"
        assert [one["time-in-force"] for one in body["orders"]] == ["GTC", "GTC"]
        assert [one["order-type"] for one in body["orders"]] == ["Limit", "Stop"]
        names = [one.client_order_id for one in broker.get_orders()]
        assert names == ["t1", "t1-target", "t1-stop"]


def test_a_stop_that_waits_for_its_entry_is_among_the_orders() -> None:
    with at_tastytrade() as (server, broker):
        parent = broker.submit_order(bracket(1)).order
        assert parent is not None
        stop = broker.find_order("t1-stop")
        assert stop is not None
        assert (stop.is_open, stop.kind, stop.parent_id) == (True, "stop", parent.order_id)
        assert [one.status for one in server.books.orders] == ["Live", "Contingent", "Contingent"]


def test_an_entry_that_has_begun_to_fill_is_cancelled_without_its_stop() -> None:
    with at_tastytrade() as (server, broker):
        parent = broker.submit_order(bracket(1)).order
        assert parent is not None
        server.move({"AAPL": 98.0})
        stop = next(one for one in broker.get_orders() if one.kind == "stop")
        target = next(one for one in broker.get_orders() if one.kind == "limit")
        assert broker.cancel_order(target.order_id).state is OrderState.CANCELLED
        assert [one.order_id for one in broker.get_orders()] == [stop.order_id]


def test_a_target_and_a_stop_alone_are_an_oco_of_a_limit_and_a_stop() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1))
        oco = ask(
            2, -10, kind="limit", limit_price=110.0, stop_loss=95.0, order_class="oco", purpose="protect"
        )
        answer = broker.submit_order(oco)
        assert answer.order is not None
        assert (answer.order.client_order_id, answer.order.kind) == ("t2", "limit")
        assert [one["order-type"] for one in sent(server)[1]["orders"]] == ["Limit", "Stop"]
        server.move({"AAPL": 111.0})
        assert (server.books.held, broker.get_orders()) == ({}, [])


# Replacing and cancelling


def test_a_replaced_order_has_another_number_there_and_the_same_here() -> None:
    with at_tastytrade() as (server, broker):
        first = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert first is not None
        for price in (91.0, 92.0):
            assert broker.replace_order(first.order_id, limit_price=price).order_id == first.order_id
        assert len(server.books.orders) == 3
        (now,) = broker.get_orders()
        assert (now.order_id, now.client_order_id, now.limit_price) == (first.order_id, "t1", 92.0)
        server.move({"AAPL": 91.5})
        assert {one.order_id for one in broker.executions()} == {first.order_id}


def test_what_had_filled_before_a_replacement_counts() -> None:
    with at_tastytrade() as (server, broker):
        first = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert first is not None
        server.books.part("t1", 4.0, 90.0)
        now = broker.replace_order(first.order_id, limit_price=91.0)
        assert (now.quantity, now.filled, now.state) == (10.0, 4.0, OrderState.PARTIALLY_FILLED)
        server.move({"AAPL": 90.5})
        done = broker.find_order("t1")
        assert done is not None
        assert (done.filled, done.state) == (10.0, OrderState.FILLED)
        assert done.average_price == pytest.approx((4 * 90.0 + 6 * 90.5) / 10)


def test_a_quantity_is_changed_by_another_order_once_the_first_has_ended() -> None:
    with at_tastytrade() as (server, broker):
        first = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert first is not None
        server.books.part("t1", 4.0, 90.0)
        now = broker.replace_order(first.order_id, quantity=6.0)
        assert (now.order_id, now.quantity, now.filled) == (first.order_id, 6.0, 4.0)
        assert [one.external for one in server.books.orders] == ["t1", "t1-again-1"]
        assert server.books.orders[1].legs[0].quantity == 2.0
        again = broker.replace_order(first.order_id, quantity=9.0)
        assert (again.quantity, again.filled) == (9.0, 4.0)
        assert [one.client_order_id for one in broker.get_orders()] == ["t1"]


def test_a_quantity_is_not_changed_while_the_first_order_may_still_fill() -> None:
    with at_tastytrade() as (server, broker):
        first = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert first is not None
        server.books.slow_cancel = True
        with pytest.raises(TwinstepError) as caught:
            broker.replace_order(first.order_id, quantity=5.0)
        assert caught.value.code == "LIVE_BROKER_DOWN"
        assert server.received == ["t1"]


def test_a_quantity_within_a_complex_order_is_refused_and_nothing_is_cancelled() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(bracket(1))
        stop = broker.find_order("t1-stop")
        assert stop is not None
        with pytest.raises(BrokerError):
            broker.replace_order(stop.order_id, quantity=5.0)
        assert all(one.works for one in server.books.orders)


def test_a_fill_that_overtakes_a_replacement_is_the_answer() -> None:
    with at_tastytrade() as (server, broker):
        first = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert first is not None
        server.books.late_fill = lambda order: server.books.fill(order, 10.0, 90.0)
        with pytest.raises(ConfigError) as caught:
            broker.replace_order(first.order_id, limit_price=91.0)
        assert caught.value.code == "LIVE_ORDER_FINAL"


def test_cancel_requested_is_not_cancelled_and_a_fill_after_it_wins() -> None:
    with at_tastytrade() as (server, broker):
        first = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert first is not None
        server.books.slow_cancel = True
        assert broker.cancel_order(first.order_id).state is OrderState.SUBMITTED
        server.books.part("t1", 10.0, 90.0)
        now = broker.find_order("t1")
        assert now is not None
        assert now.state is OrderState.FILLED


def test_a_cancel_that_is_refused_because_it_filled_tells_the_fill() -> None:
    with at_tastytrade() as (server, broker):
        first = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert first is not None
        server.books.late_fill = lambda order: server.books.fill(order, 10.0, 90.0)
        assert broker.cancel_order(first.order_id).state is OrderState.FILLED


# Trailing stops


def test_a_trailing_stop_is_a_stop_that_is_replaced_and_survives_a_restart() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1))
        trail = broker.submit_order(ask(2, -10, kind="trailing", trail_percent=5.0, purpose="protect")).order
        assert trail is not None
        assert (trail.kind, trail.stop_price, trail.client_order_id) == ("trailing", 95.0, "t2")
        assert sent(server)[1]["order-type"] == "Stop"
        server.move({"AAPL": 120.0})
        (moved,) = broker.work_trails()
        assert (moved.stop_price, moved.order_id) == (114.0, trail.order_id)
        server.move({"AAPL": 116.0})
        other = broker_at(server)  # another process, which was told nothing
        assert other.work_trails() == []
        server.move({"AAPL": 130.0})
        assert [one.stop_price for one in other.work_trails()] == [123.5]
        other.close()
        server.move({"AAPL": 123.0})
        assert server.books.held == {}


def test_a_trailing_stop_for_a_short_comes_down() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1, -10))
        broker.submit_order(ask(2, 10, kind="trailing", trail_amount=5.0, purpose="protect"))
        server.move({"AAPL": 90.0})
        assert [one.stop_price for one in broker.work_trails()] == [95.0]
        server.move({"AAPL": 93.0})
        assert broker.work_trails() == []


def test_a_trailing_stop_rests_where_it_was_while_nothing_can_be_asked() -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1))
        broker.submit_order(ask(2, -10, kind="trailing", trail_amount=5.0, purpose="protect"))
        server.move({"AAPL": 120.0})
        server.every("market", Answer(503, text="down"))
        with pytest.raises(ConnectionError):
            broker.work_trails()
        assert [one.stop for one in server.books.orders if one.works] == [95.0]
        server.clear()
        server.at("replace", 1, "after")
        with pytest.raises(ConnectionError):
            broker.work_trails()
        assert broker.work_trails() == []  # it was done, and is not done twice
        assert [one.stop for one in server.books.orders if one.works] == [115.0]


# Names


@pytest.mark.parametrize(
    "name",
    [
        Name("tw-1"),
        Name("tw-1-stop"),
        Name("a", "p", 2.5),
        Name("a", "a", 5.0, 3),
        Name("a-1", again=2),
        Name(""),
    ],
)
def test_names_survive_the_way_to_the_broker_and_back(name: Name) -> None:
    assert read_name(str(name)) == name


def test_prices_have_no_dust_of_binary_fractions() -> None:
    assert str(price_of(0.1 + 0.2)) == "0.3"
    assert f"{price_of(12345.25):f}" == "12345.25"
    body = built(ask(1, kind="limit", limit_price=100.0)).model_dump_json(exclude_none=True, by_alias=True)
    assert '"price":"100"' in body


@pytest.mark.parametrize(
    ("quantity", "sent_as"),
    [(0.12346, "0.12346"), (10.00004, "10.00004"), (0.1 + 0.2, "0.3"), (7.0, "7"), (1.1 + 2.2, "3.3")],
)
def test_never_more_is_sold_than_was_asked_for_to_the_last_decimal(quantity: float, sent_as: str) -> None:
    new = built(OrderRequest(client_order_id="q1", legs=(Leg("AAPL", -quantity),), purpose="exit"))
    assert str(new.legs[0].quantity) == sent_as
