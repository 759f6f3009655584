"""Orders that come during a bar see its close alone, and what was there before sees all of the bar."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from live.venue import VenueOrder
from simulator.conventions import Conventions
from tests.budget import cases
from tests.live.venue.desk import START, Desk

Bar = tuple[float, float, float, float]


class Watch(Desk):
    """A desk whose orders are stamped by the test's clock, and whose bars were on their way meanwhile."""

    def __init__(self, **options: Any) -> None:
        super().__init__(clock=lambda: self.now, **options)
        self.now = START
        self.began = START

    def watched(self, *bar: float, symbol: str = "A") -> None:
        """The bar that began with the last one's end, half a minute from now; the next one begins."""
        self.now += timedelta(seconds=30)
        row = (bar[0], bar[1], bar[2], bar[3], 1e6)
        self.venue.bar(self.now, {symbol: row}, began=self.began, watched=True)
        self.began = self.now
        self.now += timedelta(microseconds=1)

    def later(self) -> None:
        """Half a minute into the bar: what is asked from now on is young."""
        self.now += timedelta(seconds=30)


def holding(**options: Any) -> Watch:
    d = Watch(**options)
    d.watched(100.0, 100.0, 100.0, 100.0)
    d.later()
    d.ask(100, tif="gtc")
    d.watched(100.0, 100.0, 100.0, 100.0)
    assert d.held() == {"A": 100}
    d.now = d.began  # not after it, so not young
    return d


def test_a_stop_is_met_though_another_order_is_young() -> None:
    d = holding()
    stop = d.ask(-100, kind="stop", stop_price=97.0, tif="gtc")
    d.later()
    young = d.ask(1, kind="limit", limit_price=95.0, tif="gtc")
    d.watched(100.0, 100.5, 94.0, 99.8)
    assert d.now_is(stop).filled_avg_price == 97.0
    assert d.status(young) == "new"


def test_a_young_pair_takes_the_close_and_an_old_one_the_bar() -> None:
    d = holding()
    d.later()
    pair = d.ask(-100, order_class="oco", kind="limit", limit_price=105.0, stop_loss=97.0, tif="gtc")
    d.watched(100.0, 106.0, 94.0, 99.0)
    assert d.held() == {"A": 100}
    d.watched(99.0, 106.0, 99.0, 99.0)
    assert d.now_is(pair).filled_avg_price == 105.0
    assert d.held() == {}


def test_a_child_that_was_replaced_during_the_bar_waits_for_its_close() -> None:
    d = Watch()
    d.watched(100.0, 100.0, 100.0, 100.0)
    d.now = d.began
    entry = d.ask(10, order_class="oto", kind="limit", limit_price=99.0, stop_loss=90.0, tif="gtc")
    d.later()
    stop = d.venue.replace(d.child(entry, "stop").id, stop_price=98.0)
    d.watched(100.0, 100.0, 95.0, 98.5)
    assert d.status(entry) == "filled"
    assert d.status(stop) == "new"
    d.watched(98.5, 98.5, 97.5, 98.0)
    assert d.now_is(stop).filled_avg_price == 98.0


def test_an_instant_that_is_young_has_the_close_and_no_more() -> None:
    d = holding()
    d.later()
    good, late = (d.ask(1, kind="limit", limit_price=price, tif="ioc") for price in (99.0, 98.0))
    d.watched(100.0, 100.5, 94.0, 98.5)
    assert d.now_is(good).filled_avg_price == 98.5
    assert d.status(late) == "canceled"


def test_what_came_after_the_open_waits_for_the_next_one() -> None:
    d = holding()
    d.end_day()
    d.began = d.now
    d.later()
    order = d.ask(1, tif="opg")
    d.watched(100.0, 101.0, 99.0, 100.0)
    d.watched(100.0, 101.0, 99.0, 100.0)
    assert d.status(order) == "new"
    d.end_day()
    d.watched(103.0, 104.0, 102.0, 103.0)
    assert d.now_is(order).filled_avg_price == 103.0


def _order(d: Desk, draw: random.Random) -> VenueOrder:
    near = round(100.0 * draw.uniform(0.97, 1.03), 2)
    fields: dict[str, Any] = draw.choice(
        [
            {"kind": "market"},
            {"kind": "limit", "limit_price": near},
            {"kind": "stop", "stop_price": near},
            {"kind": "stop_limit", "stop_price": near, "limit_price": near + 1.0},
            {"kind": "trailing_stop", "trail_price": 1.5},
            {"order_class": "bracket", "take_profit": near + 2.0, "stop_loss": near - 2.0},
        ]
    )
    return d.ask(10, tif="gtc", **fields)


def _fate(d: Desk, order: VenueOrder) -> Any:
    now = d.now_is(order)
    return [(one.status, one.filled_avg_price, one.stop_price, one.hwm) for one in (now, *now.legs)]


@given(st.integers(0, 10**9))
@cases(many=60, few=12)
def test_young_and_old_orders_fare_as_they_would_alone(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - of a test
    rules = Conventions.profile(draw.choice(["realistic", "worst", "best", "freqtrade"]))
    low, high = draw.uniform(94.0, 99.0), draw.uniform(101.0, 106.0)
    bar = (100.0, high, low, draw.uniform(low, high))
    plans = [draw.randrange(10**9) for _ in range(6)]

    def play(old: list[int], young: list[int], row: Bar) -> list[Any]:
        d = Watch(cash=1e9, conventions=rules)
        d.watched(100.0, 100.0, 100.0, 100.0)
        d.now = d.began
        made = [_order(d, random.Random(plan)) for plan in old]  # noqa: S311 - of a test
        d.later()
        made += [_order(d, random.Random(plan)) for plan in young]  # noqa: S311 - of a test
        d.watched(*row)
        return [_fate(d, order) for order in made]

    both = play(plans[:3], plans[3:], bar)
    assert both[:3] == play(plans[:3], [], bar)
    # the other half as ticks have it, where the whole market is one price
    ticks = Watch(cash=1e9, conventions=rules)
    ticks.watched(100.0, 100.0, 100.0, 100.0)
    made = [_order(ticks, random.Random(plan)) for plan in plans[3:]]  # noqa: S311 - of a test
    ticks.tick(A=bar[3])
    assert both[3:] == [_fate(ticks, order) for order in made]
