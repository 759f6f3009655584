"""Bars and sessions, splits, dividends and delistings; and many threads at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from live.venue import Venue, VenueRejected, VenueRequest
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import ConfigError, DataError, UnknownNameError
from tests.live.venue.desk import START, Desk


def on_bars(**options: Any) -> Desk:
    d = Desk(**options)
    d.bar(100.0, 101.0, 99.0, 100.0)
    return d


def test_after_a_bar_an_order_waits_for_the_next_one() -> None:
    d = on_bars()
    market, instant, whole = d.ask(10), d.ask(5, tif="ioc"), d.ask(5, tif="fok", kind="limit", limit_price=90)
    assert [d.status(order) for order in (market, instant, whole)] == ["new", "new", "new"]
    d.bar(102.0, 103.0, 89.0, 95.0)
    assert d.now_is(market).filled_avg_price == 102.0
    assert d.status(instant) == "filled"
    assert d.status(whole) == "canceled"  # at the open it was not to be had


def test_gaps_fill_at_the_open_and_prices_inside_as_asked() -> None:
    d = on_bars()
    gapped = d.ask(10, kind="limit", limit_price=99.0)
    inside = d.ask(10, kind="limit", limit_price=95.0)
    stop = d.ask(-1, "B", kind="stop", stop_price=1.0) if "B" in d.venue.symbols else None
    d.bar(97.0, 98.0, 94.0, 96.0)
    assert (d.now_is(gapped).filled_avg_price, d.now_is(inside).filled_avg_price) == (97.0, 95.0)
    assert stop is None


def test_what_the_inside_of_a_bar_frees_serves_later_bars_only() -> None:
    d = Desk(cash=2_040.0, costs=Costs(slippage_bps=500.0))
    d.tick(A=100.0, B=100.0)
    d.ask(10, kind="limit", limit_price=100.0)
    sell = d.ask(-10, kind="limit", limit_price=105.0)
    buy = d.ask(10, "B", kind="stop", stop_price=104.0)  # at 109.20, with what it slips
    d.now += timedelta(minutes=1)
    d.venue.bar(d.now, {"A": (100.0, 106.0, 100.0, 106.0, 1e6), "B": (100.0, 105.0, 100.0, 105.0, 1e6)})
    assert d.status(sell) == "filled"
    assert (d.now_is(buy).filled_qty, d.status(buy)) == (9, "canceled")  # 1,040 was there before


def test_a_stop_and_a_target_in_one_bar_are_decided_by_the_convention() -> None:
    prices = {}
    for collision in ("stop_first", "target_first"):
        d = on_bars(conventions=Conventions(collision=collision))
        d.ask(10, order_class="bracket", take_profit=105.0, stop_loss=95.0, tif="gtc")
        d.bar(100.0, 100.0, 100.0, 100.0)
        d.bar(100.0, 106.0, 94.0, 100.0)
        assert d.held() == {}
        prices[collision] = d.venue.activities()[0].price
    assert prices == {"stop_first": 95.0, "target_first": 105.0}


def test_the_session_before_is_what_today_is_measured_by() -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(10)
    d.end_day()
    d.tick(A=103.0)
    held, account = d.venue.position("A"), d.venue.account()
    assert (held.lastday_price, held.unrealized_intraday_pl, held.unrealized_pl) == (100.0, 30.0, 30.0)
    assert (account.last_equity, account.equity) == (100_000.0, 100_030.0)
    d.end_day()
    d.ask(10)
    d.tick(A=104.0)
    d.tick(A=105.0)
    # ten from yesterday's 103, ten from their own 104
    assert d.venue.position("A").unrealized_intraday_pl == pytest.approx(20.0 + 10.0)


def test_a_split_changes_quantities_and_all_resting_prices_together() -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = d.ask(10, order_class="bracket", take_profit=120.0, stop_loss=90.0, tif="gtc")
    limit = d.ask(6, kind="limit", limit_price=80.0, tif="gtc")
    d.ask(3, kind="market")
    trail = d.ask(-3, kind="trailing_stop", trail_price=10.0, tif="gtc")
    before = d.venue.account()
    d.venue.action(d.now, "split", "A", 4.0)
    assert d.held() == {"A": 52}
    assert d.venue.position("A").avg_entry_price == 25.0
    assert d.venue.account() == before
    now = {name: d.now_is(order) for name, order in (("limit", limit), ("trail", trail))}
    assert (now["limit"].qty, now["limit"].limit_price) == (24, 20.0)
    assert (now["trail"].qty, now["trail"].trail_price, now["trail"].hwm) == (12, 2.5, 25.0)
    assert [(leg.qty, leg.limit_price, leg.stop_price) for leg in d.now_is(entry).legs] == [
        (40, 30.0, None),
        (40, None, 22.5),
    ]
    assert "restated" in d.events()
    d.tick(A=22.4)
    assert d.held() == {}
    d.tick(A=19.0)
    assert d.held() == {"A": 24}


def test_a_split_adjusts_options_whose_terms_stay_whole() -> None:
    call = "A261218C00550000"
    d = Desk()
    d.tick(A=500.0, **{call: (4.0, 4.0)})
    d.ask(1, call)
    resting = d.ask(1, call, kind="limit", limit_price=1.0, tif="gtc")
    before = d.venue.account().equity
    with pytest.raises(VenueRejected) as caught:
        d.venue.action(d.now, "split", "A", 1.5)
    assert caught.value.code == "VENUE_ACTION"
    d.venue.action(d.now, "split", "A", 2.0)
    assert d.held() == {"A261218C00275000": 2}
    assert d.status(resting) == "canceled"
    assert d.venue.account().equity == before


def test_dividends_are_paid_and_lower_buy_limits_and_sell_stops() -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(10)
    stop = d.ask(-5, kind="stop", stop_price=90.0)
    trail = d.ask(-2, kind="trailing_stop", trail_price=5.0)
    target = d.ask(-3, kind="limit", limit_price=110.0)
    buy = d.ask(5, kind="limit", limit_price=95.0)
    d.venue.action(d.now, "dividend", "A", 1.0)
    assert d.venue.account().cash == 100_000 - 1_000 + 10
    assert d.now_is(stop).stop_price == 89.0
    assert (d.now_is(trail).hwm, d.now_is(trail).stop_price) == (99.0, 94.0)
    assert d.now_is(target).limit_price == 110.0
    assert d.now_is(buy).limit_price == 94.0
    (paid,) = d.venue.activities(["DIV"])
    assert (paid.qty, paid.price, paid.net_amount) == (10, 1.0, 10.0)


def test_a_dividend_lowers_a_sell_stop_limit_as_a_whole_and_no_buy_stop() -> None:
    d = Desk()
    d.tick(A=100.0)
    entry = d.ask(10, order_class="oto", stop_loss=95.0, stop_loss_limit=94.5, tif="gtc")
    buy = d.ask(1, kind="stop_limit", stop_price=105.0, limit_price=105.5, tif="gtc")
    d.venue.action(d.now, "dividend", "A", 2.0)
    child = d.child(entry, "stop_limit")
    assert (child.stop_price, child.limit_price) == (93.0, 92.5)
    assert (d.now_is(buy).stop_price, d.now_is(buy).limit_price) == (105.0, 105.5)
    d.tick(A=92.8)
    assert d.now_is(child).filled_avg_price == 92.8


def test_a_stop_limit_whose_stop_was_reached_is_a_limit_to_a_dividend() -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(10)
    sell = d.ask(-10, kind="stop_limit", stop_price=95.0, limit_price=94.0, tif="gtc")
    buy = d.ask(1, kind="stop_limit", stop_price=105.0, limit_price=105.5, tif="gtc")
    d.tick(A=93.0)
    d.venue.action(d.now, "dividend", "A", 2.0)
    assert d.now_is(sell).limit_price == 94.0
    assert d.now_is(buy).limit_price == 105.5
    d.tick(A=106.0)
    d.venue.action(d.now, "dividend", "A", 2.0)
    assert (d.status(sell), d.now_is(buy).limit_price) == ("filled", 103.5)


def test_a_short_pays_the_dividend() -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(-10)
    d.venue.action(d.now, "dividend", "A", 1.0)
    assert d.venue.account().cash == 100_000 + 1_000 - 10


def test_a_delisted_symbol_is_gone() -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(10)
    order = d.ask(-10, kind="limit", limit_price=120.0)
    d.venue.action(d.now, "delist", "A", 40.0)
    assert (d.held(), d.status(order), d.venue.account().cash) == ({}, "canceled", 99_400.0)
    with pytest.raises(VenueRejected):
        d.ask(1)
    with pytest.raises(UnknownNameError):
        d.venue.action(d.now, "delist", "A", 40.0)


@pytest.mark.parametrize(("value", "cash"), [(0.0, 99_000.0), (None, 100_000.0)])
def test_a_delisting_without_value_is_not_one_at_the_last_price(value: float | None, cash: float) -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(10)
    d.venue.action(d.now, "delist", "A", value)
    assert (d.held(), d.venue.account().cash) == ({}, cash)


def test_a_bar_is_taken_in_with_its_actions_or_not_at_all() -> None:
    d = Desk()
    d.tick(A=100.0)
    d.ask(10)
    before, market = d.venue.account(), d.venue.market_time
    begin, end = d.now + timedelta(minutes=1), d.now + timedelta(minutes=2)
    row = (50.0, 51.0, 49.0, 50.0, 1e6)
    with pytest.raises(VenueRejected):
        d.venue.bar(end, {"A": row}, actions=[("split", "A", 2.0), ("dividend", "A", -1.0)], began=begin)
    with pytest.raises(DataError):
        d.venue.bar(begin, {"A": row}, actions=[("split", "A", 2.0)], began=end)
    assert (d.venue.account(), d.venue.market_time, d.held()) == (before, market, {"A": 10})
    begin, end = begin + timedelta(minutes=2), end + timedelta(minutes=2)
    d.venue.bar(end, {"A": row}, actions=[("split", "A", 2.0), ("dividend", "A", 1.0)], began=begin)
    assert (d.held(), d.venue.account().cash) == ({"A": 20}, before.cash + 20.0)
    assert {one.time for one in d.venue.activities(["SPLIT", "DIV"])} == {begin}


@pytest.mark.parametrize(
    "action", [("split", 0.0), ("split", None), ("dividend", -1.0), ("delist", -1.0), ("merger", 1.0)]
)
def test_actions_that_are_none_are_refused(action: tuple[Any, float | None]) -> None:
    d = Desk()
    d.tick(A=100.0)
    with pytest.raises(VenueRejected) as caught:
        d.venue.action(d.now, action[0], "A", action[1])
    assert caught.value.code == "VENUE_ACTION"


def test_money_is_paid_in_and_out() -> None:
    d = Desk(cash=100.0)
    d.venue.deposit(50.0)
    d.venue.deposit(-20.0)
    assert d.venue.account().cash == 130.0
    assert [one.kind for one in d.venue.activities()] == ["CSW", "CSD"]


def test_leverage_is_one_of_three() -> None:
    with pytest.raises(ConfigError) as caught:
        Venue(leverage=3.0)
    assert caught.value.code == "VENUE_LEVERAGE"


def test_many_threads_trade_without_losing_an_order() -> None:
    venue = Venue(cash=1e9)
    venue.tick(START, {"A": 100.0})
    told: list[int] = []
    venue.subscribe(lambda update: told.append(update.sequence))

    def trade(name: int) -> None:
        for number in range(100):
            order = venue.submit(VenueRequest(symbol="A", qty=1, client_order_id=f"{name}-{number}"))
            assert order.status == "filled"

    threads = [threading.Thread(target=trade, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert venue.position("A").qty == 400
    assert told == list(range(1, 801))
