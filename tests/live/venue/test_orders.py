"""Orders one by one, on ticks: kinds, times in force, quantities, refusals, changes."""

from __future__ import annotations

from typing import Any

import pytest

from live.venue import VenueRejected
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import DataError, UnknownNameError
from tests.live.venue.desk import Desk


def desk(**options: Any) -> Desk:
    made = Desk(**options)
    made.tick(A=100.0)
    return made


def test_a_market_order_fills_at_once_and_says_so_in_order() -> None:
    d = desk()
    order = d.ask(10)
    assert (order.status, order.filled_qty, order.filled_avg_price) == ("filled", 10, 100.0)
    assert d.events() == ["new", "fill"]
    fill = d.updates[1]
    assert (fill.price, fill.qty, fill.position_qty) == (100.0, 10, 10)
    assert fill.order.status == "filled"
    (activity,) = d.venue.activities()
    assert (activity.kind, activity.side, activity.net_amount) == ("FILL", "buy", -1000.0)
    assert activity.execution_id == fill.execution_id
    assert activity.order_id == order.id


def test_a_limit_fills_at_a_better_price_and_never_at_a_worse_one() -> None:
    d = desk()
    order = d.ask(10, kind="limit", limit_price=95.0)
    d.tick(A=95.01)
    assert d.status(order) == "new"
    d.tick(A=94.0)
    assert d.now_is(order).filled_avg_price == 94.0


def test_a_marketable_limit_fills_when_it_comes_in() -> None:
    order = desk().ask(10, kind="limit", limit_price=101.0)
    assert (order.status, order.filled_avg_price) == ("filled", 100.0)


@pytest.mark.parametrize("qty", [10, -10])
def test_stops_and_stop_limits_wait_for_the_other_side(qty: int) -> None:
    d = desk()
    sign = 1 if qty > 0 else -1
    stop = d.ask(qty, kind="stop", stop_price=100.0 + 5 * sign)
    limited = d.ask(qty, kind="stop_limit", stop_price=100.0 + 5 * sign, limit_price=100.0 + 6 * sign)
    d.tick(A=100.0 + 4 * sign)
    assert (d.status(stop), d.status(limited)) == ("new", "new")
    d.tick(A=100.0 + 8 * sign)
    assert d.now_is(stop).filled_avg_price == 100.0 + 8 * sign
    assert d.status(limited) == "new"
    d.tick(A=100.0 + 5.5 * sign)
    assert d.now_is(limited).filled_avg_price == 100.0 + 5.5 * sign


@pytest.mark.parametrize(("fields", "stop"), [({"trail_price": 5.0}, 115.0), ({"trail_percent": 5.0}, 114.0)])
def test_a_trailing_stop_follows_its_high_water_mark(fields: dict[str, Any], stop: float) -> None:
    d = desk()
    d.ask(10)
    trail = d.ask(-10, kind="trailing_stop", **fields)
    assert trail.hwm == 100.0
    d.tick(A=120.0)
    d.tick(A=116.0)
    (now,) = d.venue.orders()
    assert now.hwm == 120.0
    assert now.stop_price == pytest.approx(stop)
    d.tick(A=stop - 0.5)
    assert d.now_is(trail).filled_avg_price == stop - 0.5
    assert d.now_is(trail).hwm == 120.0


def test_a_trailing_stop_of_a_short_mirrors_it() -> None:
    d = desk()
    d.ask(-10)
    trail = d.ask(10, kind="trailing_stop", trail_price=5.0)
    d.tick(A=80.0)
    d.tick(A=84.0)
    assert d.status(trail) == "new"
    d.tick(A=85.0)
    assert (d.status(trail), d.now_is(trail).hwm) == ("filled", 80.0)


def test_buyers_pay_the_ask_and_sellers_get_the_bid() -> None:
    d = Desk()
    d.tick(A=(99.0, 101.0))
    assert d.ask(10).filled_avg_price == 101.0
    assert d.ask(-10).filled_avg_price == 99.0
    limit = d.ask(10, kind="limit", limit_price=100.0)
    d.tick(A=(98.0, 100.5))
    assert d.status(limit) == "new"
    d.tick(A=(98.0, 99.5))
    assert d.now_is(limit).filled_avg_price == 99.5


@pytest.mark.parametrize("quote", [(0.0, 101.0), (102.0, 101.0), (100.0, 0.0)])
def test_nothing_trades_on_a_quote_that_cannot_be(quote: tuple[float, float]) -> None:
    d = Desk()
    d.tick(A=quote)
    assert d.ask(10).status == "new"
    d.tick(A=100.0)
    assert d.held() == {"A": 10}


def test_slippage_and_fees_are_those_of_the_kernel() -> None:
    d = desk(costs=Costs(slippage_bps=10.0, commission_per_share=0.01, commission_min=1.0))
    order = d.ask(10)
    assert order.filled_avg_price == pytest.approx(100.1)
    assert d.venue.account().fees == 1.0
    assert d.venue.account().cash == pytest.approx(100_000 - 1001.0 - 1.0)
    limit = d.ask(10, kind="limit", limit_price=100.0)
    assert limit.filled_avg_price == 100.0  # limits never slip


def test_immediate_or_cancel_and_fill_or_kill_never_rest() -> None:
    d = Desk(conventions=Conventions(volume_cap=0.1))
    d.tick({"A": 100.0}, A=100.0)
    part = d.ask(30, tif="ioc")
    assert (part.status, part.filled_qty) == ("canceled", 10)
    d.tick({"A": 100.0}, A=100.0)
    whole = d.ask(30, tif="fok")
    assert (whole.status, whole.filled_qty) == ("canceled", 0)
    d.tick({"A": 300.0}, A=100.0)
    assert d.ask(30, tif="fok").status == "filled"
    assert d.ask(5, tif="ioc", kind="limit", limit_price=90.0).status == "canceled"


def test_a_volume_cap_fills_in_parts_and_the_rest_works_on() -> None:
    d = Desk(conventions=Conventions(volume_cap=0.1))
    d.tick({"A": 100.0}, A=100.0)
    order = d.ask(25, tif="gtc")
    assert (order.status, order.filled_qty) == ("partially_filled", 10)
    d.tick({"A": 100.0}, A=102.0)
    d.tick({"A": 100.0}, A=104.0)
    done = d.now_is(order)
    assert done.status == "filled"
    assert done.filled_avg_price == pytest.approx((1000 + 1020 + 520) / 25)
    assert d.events() == ["new", "partial_fill", "partial_fill", "fill"]
    assert [a.cum_qty for a in d.venue.activities(direction="asc")] == [10, 20, 25]
    assert [a.leaves_qty for a in d.venue.activities(direction="asc")] == [15, 5, 0]


def test_fractions_and_amounts_of_money() -> None:
    d = desk()
    assert d.ask(0.25).filled_qty == 0.25
    order = d.ask(None, notional=333.0)
    assert (order.qty, order.notional, order.filled_qty) == (None, 333.0, 3.33)
    d.ask(-3.58)
    assert d.held() == {}


def test_a_day_order_expires_with_its_session_and_others_do_not() -> None:
    d = desk()
    day = d.ask(10, kind="limit", limit_price=90.0)
    gtc = d.ask(10, kind="limit", limit_price=90.0, tif="gtc")
    d.end_day()
    assert (d.status(day), d.status(gtc)) == ("expired", "new")
    assert d.now_is(day).expired_at == d.now


def test_after_the_close_an_order_waits_for_the_next_open() -> None:
    d = desk()
    d.end_day()
    order = d.ask(10)
    assert order.status == "new"
    d.tick(A=103.0)
    assert d.now_is(order).filled_avg_price == 103.0


def test_orders_for_the_open_take_the_first_price_of_a_session_or_none() -> None:
    d = desk()
    late = d.ask(10, tif="opg")
    d.tick(A=99.0)
    assert d.status(late) == "new"  # today's open is over
    d.end_day()
    limit = d.ask(10, tif="opg", kind="limit", limit_price=98.0)
    d.tick(A=101.0)
    assert d.now_is(late).filled_avg_price == 101.0
    assert d.status(limit) == "canceled"


def test_orders_for_the_close_take_the_last_price_of_the_session() -> None:
    d = desk()
    close = d.ask(10, tif="cls")
    limit = d.ask(10, tif="cls", kind="limit", limit_price=98.0)
    d.tick(A=97.0)
    d.tick(A=103.0)
    assert d.status(close) == "new"
    d.end_day()
    assert d.now_is(close).filled_avg_price == 103.0
    assert d.status(limit) == "canceled"


def test_a_client_order_id_is_used_once_for_ever() -> None:
    d = desk()
    d.ask(10, client_order_id="mine")
    for _ in range(2):
        with pytest.raises(VenueRejected) as caught:
            d.ask(10, client_order_id="mine")
        assert caught.value.code == "VENUE_CLIENT_ID"
    assert d.venue.order_by_client_id("mine").filled_qty == 10
    with pytest.raises(UnknownNameError):
        d.venue.order_by_client_id("other")


@pytest.mark.parametrize(
    "fields",
    [
        {"qty": 0},
        {"qty": float("nan")},
        {"qty": 10, "notional": 100.0},
        {"qty": None},
        {"kind": "limit"},
        {"kind": "limit", "limit_price": -1.0},
        {"kind": "market", "limit_price": 99.0},
        {"kind": "stop_limit", "stop_price": 99.0},
        {"kind": "trailing_stop"},
        {"kind": "trailing_stop", "trail_price": 1.0, "trail_percent": 1.0},
        {"kind": "trailing_stop", "trail_percent": 100.0},
        {"kind": "iceberg"},
        {"tif": "gtd"},
        {"tif": "opg", "kind": "stop", "stop_price": 101.0},
        {"take_profit": 110.0},
        {"order_class": "bracket", "take_profit": 110.0},
        {"order_class": "bracket", "take_profit": 90.0, "stop_loss": 95.0},
        {"order_class": "bracket", "take_profit": 110.0, "stop_loss": 95.0, "stop_loss_limit": 96.0},
        {"order_class": "oto"},
        {"order_class": "oco", "stop_loss": 95.0},
        {"order_class": "mleg"},
        {"position_intent": "buy_to_close"},
        {"notional": 100.0, "qty": None, "tif": "gtc"},
        {"notional": 100.0, "qty": None, "kind": "stop", "stop_price": 101.0},
    ],
)
def test_what_is_no_order_is_refused_and_changes_nothing(fields: dict[str, Any]) -> None:
    d = desk()
    before = d.venue.account()
    with pytest.raises(VenueRejected) as caught:
        d.ask(**{"qty": 10, **fields})
    assert caught.value.code == "VENUE_ORDER"
    assert (d.venue.account(), d.venue.orders("all"), d.updates) == (before, [], [])


def test_an_unknown_symbol_is_refused_and_a_given_one_waits_for_its_price() -> None:
    d = Desk(instruments=["B"])
    with pytest.raises(VenueRejected) as caught:
        d.ask(10, "A")
    assert caught.value.code == "VENUE_SYMBOL"
    order = d.ask(10, "B")
    assert order.status == "new"
    d.tick(B=50.0)
    assert d.status(order) == "filled"


def test_buying_power_counts_working_orders_and_comes_back() -> None:
    d = desk(cash=1_500.0)
    order = d.ask(10, kind="limit", limit_price=90.0)
    assert d.venue.account().buying_power == pytest.approx(600.0)
    with pytest.raises(VenueRejected) as caught:
        d.ask(7)
    assert caught.value.code == "VENUE_BUYING_POWER"
    d.venue.cancel(order.id)
    assert d.venue.account().buying_power == 1_500.0
    assert d.ask(7).status == "filled"


def test_leverage_and_shorts_use_buying_power_as_the_kernel_counts_it() -> None:
    d = desk(cash=1_000.0, leverage=2.0)
    d.ask(15)
    assert d.venue.account().buying_power == pytest.approx(500.0)
    short = desk(cash=1_000.0)
    short.ask(-6)
    assert short.venue.account().buying_power == pytest.approx(400.0)
    with pytest.raises(VenueRejected):
        short.ask(-5)


def test_a_fill_is_cut_to_what_the_cash_covers() -> None:
    d = desk(cash=1_000.0)
    d.end_day()
    order = d.ask(10)
    d.tick(A=125.0)  # it opens higher than the cash reaches
    now = d.now_is(order)
    assert (now.status, now.filled_qty) == ("canceled", 8)
    assert "buying power" in now.reject_reason


def test_an_order_closes_what_is_free_and_does_not_turn_a_position() -> None:
    d = desk()
    d.ask(10)
    d.ask(-6, kind="limit", limit_price=110.0)
    assert d.venue.position("A").qty_available == 4
    for quantity in (-5, -20):
        with pytest.raises(VenueRejected) as caught:
            d.ask(quantity)
        assert caught.value.code == "VENUE_HELD"
    assert d.ask(-4).status == "filled"


def test_a_replaced_order_is_a_new_one_for_the_rest() -> None:
    d = Desk(conventions=Conventions(volume_cap=0.1))
    d.tick({"A": 40.0}, A=100.0)
    old = d.ask(10, kind="limit", limit_price=100.0, tif="gtc", client_order_id="one")
    assert old.filled_qty == 4
    new = d.venue.replace(old.id, qty=12, limit_price=99.0, client_order_id="two")
    assert (new.qty, new.limit_price, new.replaces, new.status) == (8, 99.0, old.id, "new")
    gone = d.now_is(old)
    assert (gone.status, gone.replaced_by, gone.filled_qty) == ("replaced", new.id, 4)
    assert d.events()[-2:] == ["replaced", "new"]
    d.tick({"A": 1000.0}, A=98.0)
    assert d.held() == {"A": 12}
    with pytest.raises(VenueRejected) as caught:
        d.venue.replace(new.id, limit_price=97.0)
    assert caught.value.code == "VENUE_FINAL"


@pytest.mark.parametrize(
    "changes",
    [{"qty": 0.0}, {"stop_price": 90.0}, {"trail": 1.0}, {"limit_price": -1.0}, {"tif": "ioc"}, {"qty": 2e4}],
)
def test_a_replacement_that_is_refused_leaves_the_order(changes: dict[str, Any]) -> None:
    d = desk()
    order = d.ask(10, kind="limit", limit_price=90.0)
    before = d.venue.account()
    with pytest.raises(VenueRejected):
        d.venue.replace(order.id, **changes)
    assert d.now_is(order) == order
    assert d.venue.account() == before


def test_a_trail_is_replaced_and_keeps_its_mark() -> None:
    d = desk()
    d.ask(10)
    old = d.ask(-10, kind="trailing_stop", trail_price=5.0)
    d.tick(A=110.0)
    new = d.venue.replace(old.id, trail=2.0)
    assert (new.hwm, new.trail_price) == (110.0, 2.0)
    d.tick(A=107.9)
    assert d.status(new) == "filled"


def test_a_triggered_stop_limit_stays_triggered_when_it_is_replaced() -> None:
    d = desk()
    old = d.ask(10, kind="stop_limit", stop_price=105.0, limit_price=106.0)
    d.tick(A=107.0)
    new = d.venue.replace(old.id, limit_price=104.0)
    d.tick(A=103.0)
    assert d.now_is(new).filled_avg_price == 103.0


def test_cancelling_what_is_final_changes_nothing() -> None:
    d = desk()
    order = d.ask(10)
    count = len(d.updates)
    assert d.venue.cancel(order.id).status == "filled"
    assert len(d.updates) == count
    with pytest.raises(UnknownNameError):
        d.venue.cancel("nobody")


def test_positions_are_closed_in_part_and_all_together() -> None:
    d = Desk()
    d.tick(A=100.0, B=50.0)
    d.ask(10)
    d.ask(-10, "B")
    assert d.venue.close_position("A", pct=50.0).filled_qty == 5
    assert d.venue.close_position("A", qty=1).filled_qty == 1
    resting = d.ask(-4, kind="limit", limit_price=120.0)
    assert [order.symbol for order in d.venue.close_all_positions()] == ["B"]
    assert len(d.venue.close_all_positions(cancel_orders=True)) == 1
    assert (d.held(), d.status(resting)) == ({}, "canceled")
    with pytest.raises(UnknownNameError):
        d.venue.close_position("A")


def test_lists_of_orders_are_filtered_sorted_and_cut() -> None:
    d = Desk()
    d.tick(A=100.0, B=50.0)
    first = d.ask(1)
    d.tick(A=100.0)
    second = d.ask(1, "B", kind="limit", limit_price=40.0)
    d.tick(A=100.0)
    third = d.ask(-1)
    ids = [order.id for order in d.venue.orders("all")]
    assert ids == [third.id, second.id, first.id]
    assert [order.id for order in d.venue.orders("all", direction="asc", limit=2)] == [first.id, second.id]
    assert [order.id for order in d.venue.orders()] == [second.id]
    assert [order.id for order in d.venue.orders("closed", side="sell")] == [third.id]
    assert [order.id for order in d.venue.orders("all", symbols=["B"])] == [second.id]
    assert [order.id for order in d.venue.orders("all", after=first.created_at)] == [third.id, second.id]
    assert [order.id for order in d.venue.orders("all", until=first.created_at)] == [first.id]


def test_impossible_prices_and_times_are_refused() -> None:
    d = desk()
    before = d.venue.fingerprint()
    for price in (0.0, -1.0, float("nan"), float("inf"), (-1.0, 2.0)):
        with pytest.raises(DataError) as caught:
            d.venue.tick(d.now, {"A": price})
        assert caught.value.code == "VENUE_MARKET"
    for row in ((1.0, 2.0, 1.5, 1.2, 1.0), (1.0, 2.0, 0.5, 3.0, 1.0), (1.0, 1.0, 1.0, 1.0, -1.0)):
        with pytest.raises(DataError):
            d.venue.bar(d.now, {"A": row})
    for time in (d.now.replace(tzinfo=None), d.now.replace(year=2025)):
        with pytest.raises(DataError) as caught:
            d.venue.tick(time, {"A": 1.0})
        assert caught.value.code == "VENUE_TIME"
    assert d.venue.fingerprint() == before


def test_a_listener_that_fails_is_warned_about_and_harms_nobody() -> None:
    d = desk()

    def fail(_update: object) -> None:
        raise RuntimeError("no")

    d.venue.subscribe(fail)
    with pytest.warns(UserWarning, match="VENUE_LISTENER"):
        assert d.ask(10).status == "filled"
    assert d.events() == ["new", "fill"]


def test_a_listener_may_call_the_venue_and_everything_comes_in_order() -> None:
    d = desk()
    numbers: list[int] = []

    def guard(update: Any) -> None:
        numbers.append(update.sequence)
        if update.event == "fill" and update.order.side == "buy":
            d.ask(-10, kind="stop", stop_price=90.0)

    stop = d.venue.subscribe(guard)
    d.ask(10)
    assert [order.kind for order in d.venue.orders()] == ["stop"]
    assert numbers == sorted(numbers) == [1, 2, 3]
    stop()
    d.ask(1)
    assert len(numbers) == 3
