"""What fills in a shadow: never better than the market that it was shown, by quotes, sizes and bars."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.brokers.interface import Leg, Outcome
from simulator import Bars
from simulator.costs import Costs
from tests.budget import cases
from tests.live.brokers.quoted_broker import OPEN, Shade

PUTS: Final = ("SPY261218P00500000", "SPY261218P00490000")


def minute(number: int, *rows: tuple[float, float, float, float, float], symbol: str = "AAPL") -> Bars:
    """Return bars of a minute each; the first begins `number` minutes after the opening."""
    begin = np.datetime64(OPEN.replace(tzinfo=None), "ns") + np.timedelta64(number, "m")
    times = begin + np.arange(len(rows)) * np.timedelta64(1, "m")
    return Bars.from_arrays(
        [symbol], times, np.array(rows)[:, None, :], daily=False, close_ts=times + np.timedelta64(1, "m")
    )


def at(shade: Shade, number: float) -> None:
    """Set the time: so many minutes after the opening."""
    shade.now = OPEN + timedelta(minutes=number)


def test_buyers_pay_the_ask_and_sellers_get_the_bid() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    shade.send(10)
    shade.send(-10, purpose="exit")
    assert shade.fills() == [(1, 10, 101.0), (-1, 10, 99.0)]
    assert shade.shadow.get_account().equity == pytest.approx(100_000.0 - 20.0)


def test_an_option_gives_its_whole_spread_away_and_so_does_a_package() -> None:
    shade = Shade()
    shade.quote(PUTS[0], 3.9, 4.1)
    shade.quote(PUTS[1], 2.4, 2.6)
    shade.quote("SPY", 499.9, 500.1)
    shade.send(1, PUTS[0])
    shade.send(-1, PUTS[0], purpose="exit")
    spread = (Leg(PUTS[0], -1.0), Leg(PUTS[1], 1.0))
    waits = shade.send(0, "", *spread, kind="limit", limit_price=1.31, order_class="multi_leg")
    assert shade.state(waits) == "submitted"
    takes = shade.send(0, "", *spread, kind="limit", limit_price=1.30, order_class="multi_leg")
    assert shade.state(takes) == "filled"
    assert shade.fills()[:2] == [(1, 1, 4.1), (-1, 1, pytest.approx(3.9))]
    assert sorted(price for _, _, price in shade.fills()[2:]) == pytest.approx([2.6, 3.9])


def test_legs_of_a_package_are_seen_at_one_moment() -> None:
    shade = Shade()
    for symbol, price in ((PUTS[0], 4.0), (PUTS[1], 2.5), ("SPY", 500.0)):
        shade.quote(symbol, price, price)
    spread = (Leg(PUTS[0], -1.0), Leg(PUTS[1], 1.0))
    order = shade.send(0, "", *spread, kind="limit", limit_price=2.0, order_class="multi_leg")
    # both fall: with one leg of now and the other of before the credit would be there for an instant
    for symbol, price in ((PUTS[0], 3.0), (PUTS[1], 1.5)):
        shade.real.quoted[symbol] = replace(shade.real.quoted[symbol], bid=price, ask=price)
    shade.now += timedelta(minutes=1)
    shade.shadow.look()
    assert shade.state(order) == "submitted"


def test_a_leg_whose_quote_has_gone_keeps_its_package_waiting() -> None:
    shade = Shade()
    for symbol, price in ((PUTS[0], 4.0), (PUTS[1], 2.5), ("SPY", 500.0)):
        shade.quote(symbol, price, price)
    spread = (Leg(PUTS[0], -1.0), Leg(PUTS[1], 1.0))
    order = shade.send(0, "", *spread, kind="limit", limit_price=2.0, order_class="multi_leg")
    shade.quote(PUTS[0], 0.0, 4.0)
    shade.quote(PUTS[1], 1.5, 1.5)
    assert shade.state(order) == "submitted"
    shade.quote(PUTS[0], 3.6, 3.6)
    assert shade.state(order) == "filled"


def test_a_limit_that_is_met_at_once_gets_the_quote_and_one_that_has_rested_its_own_price() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    shade.send(10, kind="limit", limit_price=105.0)
    shade.send(10, kind="limit", limit_price=97.0)
    shade.send(10, kind="limit", limit_price=96.0)
    shade.quote("AAPL", 96.5, 97.5)
    assert shade.fills() == [(1, 10, 101.0)]
    shade.quote("AAPL", 89.0, 90.0)
    assert shade.fills()[1:] == [(1, 10, 97.0), (1, 10, 96.0)]
    shade.send(-30, kind="limit", limit_price=110.0, purpose="exit")
    shade.quote("AAPL", 110.0, 111.0)
    assert shade.fills()[3:] == [(-1, 30, 110.0)]


def test_stops_are_reached_by_the_side_that_they_trade_at() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    shade.send(10)
    stop = shade.send(-10, kind="stop", stop_price=95.0, purpose="protect")
    shade.quote("AAPL", 95.01, 95.02)
    assert shade.state(stop) == "submitted"
    shade.quote("AAPL", 93.0, 96.0)
    assert shade.fills()[1:] == [(-1, 10, 93.0)]
    entry = shade.send(10, kind="stop", stop_price=100.0)
    shade.quote("AAPL", 99.5, 99.9)
    assert shade.state(entry) == "submitted"
    shade.quote("AAPL", 99.5, 100.4)
    assert shade.fills()[2:] == [(1, 10, 100.4)]


def test_the_size_of_a_quote_caps_a_fill_and_is_there_once() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0, ask_size=30.0, bid_size=500.0)
    order = shade.send(100)
    assert shade.fills() == [(1, 30, 101.0)]
    shade.shadow.look()
    shade.now += timedelta(minutes=9)
    shade.shadow.look()
    assert shade.fills() == [(1, 30, 101.0)]
    shade.quote("AAPL", 99.0, 101.0, ask_size=40.0, bid_size=500.0)
    shade.quote("AAPL", 99.0, 102.0, ask_size=1000.0, bid_size=500.0)
    assert shade.fills() == [(1, 30, 101.0), (1, 40, 101.0), (1, 30, 102.0)]
    assert shade.state(order) == "filled"
    # the other side is sold to another size, at the bid
    shade.send(-100, purpose="exit")
    assert shade.fills()[3:] == [(-1, 100, 99.0)]


def test_quotes_that_say_that_they_are_late_match_nothing_unless_they_may() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0, is_delayed=True)
    order = shade.send(10)
    shade.quote("AAPL", 99.0, 100.0, is_delayed=True)
    assert (shade.state(order), shade.fills()) == ("submitted", [])
    status = shade.shadow.status()
    assert (status.late, status.unquoted) == (("AAPL",), ())
    assert "late quotes" in str(status)
    shade.quote("AAPL", 99.0, 102.0)
    assert shade.fills() == [(1, 10, 102.0)]
    assert shade.shadow.status().late == ()

    shade = Shade(late_quotes=True)
    shade.quote("AAPL", 99.0, 101.0, is_delayed=True)
    shade.send(10)
    assert shade.fills() == [(1, 10, 101.0)]


@pytest.mark.parametrize("sides", [(0.0, 101.0), (99.0, math.nan), (102.0, 101.0), (math.nan, math.nan)])
def test_half_a_quote_is_none(sides: tuple[float, float]) -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    shade.quote("AAPL", *sides)
    order = shade.send(10)
    assert shade.state(order) == "submitted"
    assert shade.shadow.status().unquoted == ("AAPL",)
    shade.quote("AAPL", 98.0, 99.0)
    assert shade.fills() == [(1, 10, 99.0)]


def test_a_quote_that_goes_away_takes_the_old_one_with_it() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    rests = shade.send(10, kind="limit", limit_price=98.0)
    shade.quote("AAPL", 0.0, 0.0)
    shade.send(10)
    assert shade.fills() == []
    del shade.real.quoted["AAPL"]
    shade.now += timedelta(minutes=1)
    shade.shadow.look()
    assert shade.shadow.status().unquoted == ("AAPL",)
    assert shade.state(rests) == "submitted"


def test_a_symbol_that_has_gone_is_not_asked_for_at_every_look() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    shade.quote("GONE", 9.0, 10.0)
    shade.send(5, "GONE")
    shade.send(5)
    del shade.real.quoted["GONE"]
    before = len(shade.real.asked)
    for _ in range(10):
        shade.quote("AAPL", 99.0, 101.0, minutes=0.1)
    asked = shade.real.asked[before:]
    assert asked.count(("GONE",)) == 1
    assert asked[-1] == ("AAPL",)
    shade.real.quoted["GONE"] = shade.real.quoted["AAPL"]
    shade.quote("AAPL", 99.0, 101.0, minutes=5.0)
    assert shade.shadow.status().unquoted == ()


def test_outside_of_a_session_nothing_trades_and_day_orders_end_with_theirs() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    today = shade.send(10, kind="limit", limit_price=90.0)
    stays = shade.send(10, kind="limit", limit_price=91.0, tif="gtc")
    shade.now = OPEN + timedelta(hours=6, minutes=31)  # after the close
    shade.quote("AAPL", 80.0, 81.0)
    assert shade.fills() == []
    shade.quote("AAPL", 80.0, 81.0, minutes=30.0)
    assert (shade.state(today), shade.state(stays)) == ("expired", "submitted")
    # sent in the evening, it is for the morning
    tomorrow = shade.send(10)
    shade.quote("AAPL", 80.0, 82.0, minutes=60.0)
    assert (shade.state(tomorrow), shade.fills()) == ("submitted", [])
    shade.now = OPEN + timedelta(days=1)
    shade.quote("AAPL", 85.0, 86.0)
    assert sorted(shade.fills()) == [(1, 10, 86.0), (1, 10, 86.0)]


def test_the_last_bar_of_a_session_may_come_after_its_close() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    order = shade.send(10, kind="limit", limit_price=98.0)
    shade.now = OPEN + timedelta(hours=6, minutes=30, seconds=20)
    shade.shadow.look()
    assert shade.state(order) == "submitted"
    shade.shadow.take_bars(minute(389, (99.0, 99.0, 97.0, 98.5, 1e4)))
    assert shade.fills() == [(1, 10, 98.0)]


def test_what_is_sent_just_after_the_close_does_not_end_with_the_session_before() -> None:
    shade = Shade()
    shade.quote("AAPL", 99.0, 101.0)
    before = shade.send(10, kind="limit", limit_price=90.0)
    shade.now = OPEN + timedelta(hours=6, minutes=30, seconds=1)
    order = shade.send(10, kind="limit", limit_price=90.0)
    shade.quote("AAPL", 99.0, 101.0, minutes=120.0)
    assert (shade.state(before), shade.state(order)) == ("expired", "submitted")
    shade.now = OPEN + timedelta(days=1, hours=8)
    shade.shadow.look()
    assert shade.state(order) == "expired"


@pytest.mark.parametrize("quotes", [True, False])
def test_an_order_that_comes_after_quiet_days_does_not_end_with_one_of_them(quotes: bool) -> None:
    shade = Shade(quotes=quotes)
    shade.now = OPEN + timedelta(hours=8)
    shade.quote("AAPL", 99.0, 101.0)
    first = shade.send(10)
    shade.shadow.cancel_order(first.order.order_id)
    for _ in range(4):
        shade.now += timedelta(days=1)
        shade.shadow.look()
    order = shade.send(10)  # in the evening of the fifth day
    shade.now += timedelta(hours=2)
    shade.shadow.look()
    assert shade.state(order) == "submitted"
    shade.now = OPEN + timedelta(days=7, hours=1)
    shade.shadow.look()
    assert shade.state(order) == "filled" if quotes else "expired"


def test_an_option_that_expires_is_settled_by_its_underlying() -> None:
    shade = Shade()
    symbol = "SPY260302C00490000"
    shade.quote(symbol, 9.9, 10.1)
    shade.quote("SPY", 500.0, 500.0)
    shade.send(1, symbol)
    shade.now = OPEN + timedelta(hours=6, minutes=29)
    shade.quote("SPY", 489.0, 489.0, minutes=0.25)
    # on its last day every price counts, and not one in some minutes
    shade.quote("SPY", 491.0, 491.0, minutes=0.25)
    shade.now += timedelta(hours=1)
    shade.shadow.look()
    assert shade.held() == {"SPY": 100.0}
    kinds = {(one.symbol, one.kind) for one in shade.shadow.executions()}
    assert (symbol, "exercise") in kinds
    worth = shade.shadow.get_account()
    assert worth.equity == pytest.approx(100_000.0 - 1010.0 + 100.0)


def test_a_bar_shows_what_the_quotes_did_not_and_a_touch_is_not_enough() -> None:
    shade = Shade()
    at(shade, 30)
    shade.quote("AAPL", 99.9, 100.1, minutes=0.0)
    buy = shade.send(10, kind="limit", limit_price=99.0)
    at(shade, 31)
    shade.shadow.take_bars(minute(30, (100.0, 100.2, 99.0, 100.0, 5000.0)))
    assert shade.state(buy) == "submitted"
    shade.shadow.take_bars(minute(31, (100.0, 100.2, 98.99, 100.0, 5000.0)))
    assert shade.fills() == [(1, 10, 99.0)]
    stop = shade.send(-10, kind="stop", stop_price=97.0, purpose="protect")
    shade.shadow.take_bars(minute(34, (98.0, 98.5, 97.0, 98.0, 5000.0)))
    assert (shade.state(stop), shade.fills()[1:]) == ("filled", [(-1, 10, 97.0)])


def test_bars_from_before_the_opening_match_nothing() -> None:
    shade = Shade(quotes=False)
    at(shade, -120)
    order = shade.send(10)
    shade.shadow.take_bars(minute(-60, (50.0, 51.0, 49.0, 50.0, 1e5)))
    assert shade.state(order) == "submitted"
    shade.shadow.take_bars(minute(0, (60.0, 61.0, 59.0, 60.0, 1e5)))
    assert shade.fills() == [(1, 10, 60.0)]


def test_stop_goes_first_where_a_bar_has_both() -> None:
    shade = Shade()
    at(shade, 30)
    shade.quote("AAPL", 99.9, 100.1, minutes=0.0)
    shade.send(10, order_class="bracket", stop_loss=95.0, take_profit=105.0)
    shade.shadow.take_bars(minute(31, (100.0, 106.0, 94.0, 100.0, 5000.0)))
    assert shade.fills()[1:] == [(-1, 10, 95.0)]


def test_what_came_while_the_bar_was_on_its_way_is_not_shown_it() -> None:
    shade = Shade()
    at(shade, 30.5)
    shade.quote("AAPL", 99.9, 100.1, minutes=0.0)
    order = shade.send(10, kind="limit", limit_price=99.0)
    shade.shadow.take_bars(minute(30, (100.0, 100.2, 90.0, 90.0, 5000.0)))
    assert shade.state(order) == "submitted"
    # a bar of long ago, as after a gap, is none of its bars either
    shade.shadow.take_bars(minute(10, (50.0, 51.0, 49.0, 50.0, 5000.0)))
    assert shade.state(order) == "submitted"
    # an answer to the bar before takes its seconds
    at(shade, 31.05)
    late = shade.send(10, kind="limit", limit_price=98.0)
    shade.shadow.take_bars(minute(31, (100.0, 100.2, 97.0, 100.0, 5000.0)))
    assert (shade.state(order), shade.state(late)) == ("filled", "filled")


def test_a_bracket_that_a_quote_has_entered_within_the_bar_is_not_stopped_by_its_past() -> None:
    shade = Shade()
    at(shade, 30)
    shade.quote("AAPL", 99.9, 100.1, minutes=0.0)
    shade.send(10, kind="stop", stop_price=102.0, order_class="bracket", stop_loss=98.0)
    at(shade, 31)
    shade.quote("AAPL", 101.9, 102.1, minutes=0.5)
    assert shade.held() == {"AAPL": 10.0}
    # its low was before the entry
    shade.shadow.take_bars(minute(31, (98.0, 102.2, 97.0, 102.0, 5000.0)))
    assert shade.held() == {"AAPL": 10.0}
    shade.shadow.take_bars(minute(32, (102.0, 102.2, 97.0, 98.5, 5000.0)))
    assert shade.held() == {}


def test_a_tenth_of_a_bars_volume_and_no_more() -> None:
    shade = Shade(quotes=False)
    at(shade, 30)
    order = shade.send(100)
    assert shade.state(order) == "submitted"
    shade.shadow.take_bars(minute(30, (100.0, 100.0, 100.0, 100.0, 300.0)))
    assert shade.fills() == [(1, 30, 100.0)]
    assert shade.real.asked == []


def test_after_a_bar_an_order_still_meets_the_quote() -> None:
    shade = Shade()
    at(shade, 30)
    shade.quote("AAPL", 99.9, 100.1, minutes=0.0)
    shade.send(10, kind="limit", limit_price=99.0)
    shade.shadow.take_bars(minute(31, (100.0, 100.2, 98.0, 100.0, 1e4)))
    shade.send(5)
    assert shade.fills() == [(1, 10, 99.0), (1, 5, 100.1)]


def test_bars_that_were_shown_are_passed() -> None:
    shade = Shade(quotes=False)
    at(shade, 30)
    shade.send(100)
    bar = minute(30, (100.0, 100.0, 100.0, 100.0, 300.0))
    for _ in range(3):
        shade.shadow.take_bars(bar)
    assert shade.fills() == [(1, 30, 100.0)]


def test_by_bars_alone_the_last_one_of_a_session_ends_it() -> None:
    shade = Shade(quotes=False)
    at(shade, 388)
    order = shade.send(10, kind="limit", limit_price=90.0)
    met = shade.send(10, kind="limit", limit_price=98.5)
    shade.shadow.take_bars(minute(388, (100.0, 100.0, 99.0, 99.0, 1e4), (99.0, 99.0, 98.0, 98.0, 1e4)))
    assert (shade.state(order), shade.state(met)) == ("expired", "filled")
    at(shade, 390.1)
    night = shade.send(10, kind="limit", limit_price=90.0)
    at(shade, 24 * 60)
    shade.shadow.take_bars(minute(24 * 60, (89.0, 89.5, 88.0, 89.0, 1e4)))
    assert shade.state(night) == "filled"
    assert shade.fills() == [(1, 10, 98.5), (1, 10, 89.0)]


@pytest.mark.parametrize("known", [False, True])
def test_what_is_sent_with_the_close_is_for_the_next_session(known: bool) -> None:
    shade = Shade(quotes=False)
    if known:
        at(shade, 380)
        shade.send(10)
        shade.shadow.take_bars(minute(389, (99.0, 99.0, 99.0, 99.0, 1e4)))
    at(shade, 390)
    order = shade.send(10)
    at(shade, 24 * 60 + 1)
    shade.shadow.take_bars(minute(24 * 60, (101.0, 102.0, 100.0, 101.0, 1e4)))
    assert shade.state(order) == "filled"
    assert shade.fills()[-1] == (1, 10, 101.0)


def test_a_split_reaches_what_is_held_and_what_rests() -> None:
    shade = Shade()
    at(shade, 30)
    shade.quote("AAPL", 99.9, 100.1, minutes=0.0)
    shade.send(10)
    stop = shade.send(-10, kind="stop", stop_price=90.0, purpose="protect", tif="gtc")
    day = np.datetime64(OPEN.replace(tzinfo=None), "ns") + np.timedelta64(1, "D")
    row = np.array([[[25.0, 25.2, 24.8, 25.0, 1e5]]])
    split = Bars.from_arrays(
        ["AAPL"], [day], row, daily=False, close_ts=[day + np.timedelta64(1, "m")], raw=True,
        actions=[("AAPL", "2026-03-03", "split", 4.0)],
    )  # fmt: skip
    shade.now = OPEN + timedelta(days=1, minutes=1)
    shade.shadow.take_bars(split)
    assert shade.held() == {"AAPL": 40.0}
    order = shade.shadow.find_order(stop.client_order_id)
    assert order is not None
    assert (order.stop_price, order.quantity, order.is_open) == (22.5, 40.0, True)


def test_fees_count_and_slippage_does_not_beside_quotes() -> None:
    costs = Costs(commission_per_share=0.01, slippage_bps=50.0)
    shade = Shade(costs=costs)
    shade.quote("AAPL", 99.0, 101.0)
    shade.send(10)
    (done,) = shade.shadow.executions()
    assert done.price == 101.0
    assert done.fees == pytest.approx(0.1)


def test_the_file_of_a_book_grows_with_what_happens_and_not_with_the_quotes(tmp_path: Path) -> None:
    shade = Shade(tmp_path / "book")
    shade.quote("AAPL", 99.0, 101.0)
    shade.send(10, order_class="bracket", stop_loss=90.0, take_profit=120.0)
    before = (tmp_path / "book").stat().st_size
    for number in range(600):
        shade.quote("AAPL", 100.0 + number % 7, 100.5 + number % 7, minutes=1 / 60)
    # ten minutes of quotes each second: what is held is marked twice or so
    assert (tmp_path / "book").stat().st_size - before < 500
    shade.quote("AAPL", 89.0, 89.5)
    assert shade.held() == {}


Quotes = st.lists(
    st.tuples(st.integers(9_000, 11_000), st.integers(1, 60)).map(
        lambda one: (one[0] / 100.0, (one[0] + one[1]) / 100.0)
    ),
    min_size=2,
    max_size=25,
)


@given(
    quotes=Quotes,
    kind=st.sampled_from(["market", "limit", "stop"]),
    side=st.sampled_from([1, -1]),
    level=st.integers(9_000, 11_000).map(lambda cents: cents / 100.0),
    sent=st.integers(0, 20),
)
@cases(many=150, few=30)
def test_one_order_against_a_matcher_that_is_written_down_here(
    quotes: list[tuple[float, float]], kind: str, side: int, level: float, sent: int
) -> None:
    first = min(sent, len(quotes) - 1)
    fields: dict[str, Any] = {} if kind == "market" else {f"{kind}_price": level}
    shade = Shade()
    answer: Any = None
    for number, quote in enumerate(quotes):
        shade.quote("AAPL", *quote, minutes=1.0)
        if number == first:
            answer = shade.send(10.0 * side, kind=kind, **fields)
            assert answer.outcome is Outcome.CONFIRMED
    assert shade.fills() == _expected(quotes[first:], kind, side, level)


def _expected(
    quotes: list[tuple[float, float]], kind: str, side: int, level: float
) -> list[tuple[int, float, float]]:
    """The rules in words: the far side of the quote; a limit that has rested its own price."""
    for number, (bid, ask) in enumerate(quotes):
        price = ask if side > 0 else bid
        if kind == "market":
            return [(side, 10.0, price)]
        if kind == "limit" and (level - price) * side >= 0:
            return [(side, 10.0, level if number else price)]
        if kind == "stop" and (price - level) * side >= 0:
            return [(side, 10.0, price)]
    return []


@given(
    quotes=Quotes,
    sizes=st.lists(st.integers(1, 20), min_size=25, max_size=25),
    quantity=st.integers(1, 60),
)
@cases(many=60, few=12)
def test_no_more_fills_than_was_shown(
    quotes: list[tuple[float, float]], sizes: list[int], quantity: int
) -> None:
    shade = Shade()
    shown: list[tuple[float, int]] = []
    for number, (bid, ask) in enumerate(quotes):
        shade.quote("AAPL", bid, ask, ask_size=float(sizes[number]), bid_size=1.0)
        if number == 0:
            shade.send(float(quantity))
        if not shown or shown[-1] != (ask, sizes[number]):
            shown.append((ask, sizes[number]))
    left, expected = float(quantity), []
    for price, size in shown:
        done = min(left, float(size))
        if done > 0.0:
            expected.append((1, done, price))
        left -= done
    assert shade.fills() == expected
    assert all(before.time <= after.time for before, after in pairwise(shade.shadow.executions()))


def test_the_calendar_of_the_tests_is_one_of_sessions() -> None:
    assert OPEN.date() == date(2026, 3, 2)
