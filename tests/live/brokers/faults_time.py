"""Faults 28 to 30 for any broker: bars decided again, wrong clocks, wrong prices; see `faults.py`.

What a feed makes of such bars is tested where the feed is (`test_*_feed*.py`, `tests/live/test_feed_*.py`).
Here it is what reaches an account: a bar that comes again sends nothing again, no clock makes an order two or
a position unknown, and a price that cannot be is told as such and keeps nobody from leaving.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted, client_order_id
from tests.live.brokers.faulted import Faulted
from tests.live.brokers.rig import PUT, RigDesk
from tests.live.desks import bracket, order

BAR = datetime(2026, 3, 2, 15, tzinfo=UTC)
CHANGES = ("2026-03-06", "2026-03-09", "2026-03-30", "2026-10-26", "2026-11-02")
"""Before and after New York changes its clocks, and in the weeks in which Europe has not, or has, alone."""
LOWER = "SPY261218P00490000"


def decided(bar: datetime, limit: float = 99.0) -> OrderRequest:
    """Return the entry that is decided on a bar: its id follows from the bar."""
    identity = client_order_id("paper", "breakout", "AAPL", bar, 0)
    return OrderRequest(client_order_id=identity, legs=(Leg("AAPL", 10.0),), kind="limit", limit_price=limit)


class TimeFaults(Faulted):
    """What may go wrong with time and prices."""

    # 28: bars twice, late, revised

    def test_28_a_bar_that_comes_again_sends_nothing_again(self, desk: RigDesk) -> None:
        first = decided(BAR)
        assert desk.submit(first).outcome is Outcome.CONFIRMED
        assert desk.submit(decided(BAR)).outcome is Outcome.CONFIRMED  # the same bar, twice
        desk.submit(decided(BAR + timedelta(minutes=1)))
        assert desk.submit(decided(BAR)).outcome is Outcome.CONFIRMED  # and late, out of order
        revised = desk.submit(decided(BAR, limit=98.0))
        assert (revised.outcome, revised.code) == (Outcome.DENIED, "LIVE_ORDER_ID")  # decided once
        assert desk.restart().clean
        assert desk.submit(decided(BAR)).outcome is Outcome.CONFIRMED
        received = desk.rig.received()
        assert len(received) == len(set(received)) == 2
        assert received[0] == first.client_order_id

    def test_28_a_gap_of_bars_changes_nothing_about_what_works(self, desk: RigDesk) -> None:
        desk.submit(bracket(1))
        desk.settled()
        desk.move({"AAPL": 94.0}, minutes=30)  # the bar of the stop never came
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {}

    # 29: clocks

    @pytest.mark.parametrize("hours", [-1.0, 1.0, 16.0])
    def test_29_a_clock_that_is_moved_sends_nothing_twice_and_forgets_nothing(
        self, desk: RigDesk, hours: float
    ) -> None:
        desk.submit(bracket(1))
        desk.settled()
        desk.rig.lose("submit", done=True)
        assert desk.submit(order(2, 5.0, "MSFT")).outcome is Outcome.UNRESOLVED
        desk.clock.advance(timedelta(hours=hours))
        for _ in range(3):
            assert desk.run().complete
            desk.clock.advance(timedelta(seconds=30))
        assert desk.submit(order(2, 5.0, "MSFT")).outcome is Outcome.CONFIRMED
        assert desk.books() == desk.rig.held() == {"AAPL": 10.0, "MSFT": 5.0}
        assert desk.rig.received() == ["o1", "o2"]

    def test_29_behind_the_brokers_clock_a_difference_is_found_as_soon_as_it_rests(
        self, desk: RigDesk
    ) -> None:
        desk.submit(order(1))
        desk.settled()
        desk.clock.advance(timedelta(hours=-1))
        desk.submit(order(2, 5.0, "MSFT"))
        desk.rig.trade("AAPL", -3.0, 100.0)
        for _ in range(4):
            desk.run()
            desk.clock.advance(timedelta(seconds=15))
        assert [(one.cause, one.symbols) for one in desk.found()] == [("foreign_trade", ("AAPL",))]
        assert desk.submit(order(3)).code == "LIVE_SYMBOL_REDUCING"
        desk.accept_all()
        assert desk.run().clean
        assert desk.books() == desk.rig.held() == {"AAPL": 7.0, "MSFT": 5.0}

    def test_29_a_clock_that_steps_back_gives_up_no_order_before_its_time(self, desk: RigDesk) -> None:
        desk.rig.lose("submit", done=False)
        desk.submit(order(1))
        desk.run()
        desk.clock.advance(timedelta(hours=-1))
        desk.run()
        assert desk.submit(order(1)).outcome is Outcome.UNRESOLVED
        desk.wait(6)
        desk.run()
        given_up = desk.manager.book.get("o1")
        assert given_up is not None
        assert given_up.submitted.code == "LIVE_NOT_SENT"
        assert desk.rig.received() == []

    def test_29_timeouts_do_not_hang_on_the_wall_clock(
        self, desk: RigDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, hours = time.time, itertools.cycle([0.0, -3600.0, 3600.0])
        monkeypatch.setattr(time, "time", lambda: real() + next(hours))
        begun = time.monotonic()
        desk.submit(bracket(1))
        assert desk.settled().clean
        assert time.monotonic() - begun < 20.0
        assert desk.books() == desk.rig.held() == {"AAPL": 10.0}

    def test_29_a_suspended_machine_finds_what_happened_meanwhile(self, desk: RigDesk) -> None:
        desk.submit(bracket(1))
        desk.settled()
        desk.rig.down()  # the connections do not survive the lid
        desk.move({"AAPL": 111.0}, minutes=16 * 60)
        desk.rig.clear()
        desk.run()
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {}
        assert desk.rig.received() == ["o1"]

    def test_29_fills_have_the_same_time_on_both_sides_of_a_clock_change(self, desk: RigDesk) -> None:
        for number, day in enumerate(CHANGES, 1):
            then = datetime.fromisoformat(f"{day}T15:00+00:00")
            desk.move({"SPY": 500.0}, minutes=(then - desk.rig.now).total_seconds() / 60.0)
            assert desk.submit(order(number, 1.0, "SPY")).outcome is Outcome.CONFIRMED
            newest = max(one.time for one in desk.faulty.executions(then - timedelta(days=1)))
            assert abs(newest - then) < timedelta(minutes=1), day
            assert desk.settled().clean

    # 30: prices

    @pytest.mark.parametrize("sides", [(100.5, 100.4), (0.0, 100.1), (99.9, 0.0), (0.0, 0.0)])
    def test_30_a_quote_that_is_crossed_or_lacks_a_side_is_not_usable(
        self, desk: RigDesk, sides: tuple[float, float]
    ) -> None:
        broker: Any = desk.faulty.inner
        desk.rig.quote("AAPL", *sides)
        assert not broker.quotes(["AAPL"])["AAPL"].is_usable
        desk.rig.quote("AAPL", 99.9, 100.1)
        found = broker.quotes(["AAPL"])["AAPL"]
        assert (found.bid, found.ask) == (99.9, 100.1)
        assert found.is_usable or found.is_delayed  # those of a sandbox are never of now

    def test_30_without_prices_everybody_may_leave(self, desk: RigDesk) -> None:
        desk.submit(order(1))
        desk.settled()
        desk.rig.no_quotes()
        stop = order(2, -4.0, kind="stop", stop_price=95.0, purpose="protect")
        assert desk.submit(stop).outcome is Outcome.CONFIRMED
        assert desk.submit(order(3, -6.0, purpose="exit")).outcome is Outcome.CONFIRMED
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {"AAPL": 4.0}

    def test_30_a_price_ten_times_as_high_moves_no_order_but_those_it_reaches(self, desk: RigDesk) -> None:
        desk.submit(order(1, kind="limit", limit_price=90.0))
        desk.submit(order(2, 5.0, "MSFT"))
        desk.settled()
        desk.move({"AAPL": 1000.0})
        assert desk.settled().clean
        assert desk.rig.working() == {"o1": ("limit", 10.0)}
        assert desk.books() == {"MSFT": 5.0}

    @pytest.mark.parametrize("price", [0.1234, 0.5, 1.37])
    def test_30_prices_of_pennies_are_never_worse_than_asked_and_never_zero(
        self, desk: RigDesk, price: float
    ) -> None:
        desk.move({"SPY": 500.0})
        answer = desk.submit(order(1, 10.0, "SPY", kind="limit", limit_price=price))
        assert answer.order is not None
        assert answer.order.limit_price is not None
        assert 0.0 < answer.order.limit_price <= price + 1e-9
        for wrong in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="limit_price"):
                order(2, 10.0, "SPY", kind="limit", limit_price=wrong)
        assert desk.rig.received() == ["o1"]

    def test_30_prices_between_two_ticks_are_never_worse_than_asked(self, desk: RigDesk) -> None:
        desk.move({"MSFT": 200.0, PUT: 4.0, LOWER: 2.5})

        def limit_of(answer: Submitted) -> float | None:
            assert answer.outcome is Outcome.CONFIRMED, answer.message
            assert answer.order is not None
            return answer.order.limit_price

        assert limit_of(desk.submit(order(1, 10.0, kind="limit", limit_price=99.126))) == 99.12
        between = bracket(2, 10.0)
        entry = replace(between, limit_price=100.0049, stop_loss=95.1251, take_profit=110.121)
        desk.submit(entry)
        desk.move({"AAPL": 99.5})
        children = [one for one in desk.faulty.get_orders() if one.parent_id]
        assert {one.kind: one.stop_price or one.limit_price for one in children} == {
            "stop": 95.13, "limit": 110.13,
        }  # fmt: skip
        spread = (Leg(PUT, -1.0), Leg(LOWER, 1.0))
        package: dict[str, Any] = {"kind": "limit", "order_class": "multi_leg"}
        credit = OrderRequest(client_order_id="o3", legs=spread, limit_price=1.505, **package)
        assert limit_of(desk.submit(credit)) == 1.51
        (working,) = [one for one in desk.faulty.get_orders() if one.client_order_id == "o1"]
        changed = desk.manager.replace_order("main", working.order_id, limit_price=98.123)
        assert changed.limit_price == 98.12
