"""Faults 25 to 27 for any broker: out of reach, refused, and positions that differ; see `faults.py`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from live.brokers.interface import Leg, OrderRequest, Outcome
from tests.live.brokers.faulted import Faulted
from tests.live.brokers.rig import PUT, Call, RigDesk
from tests.live.desks import bracket, order


def rested(desk: RigDesk) -> None:
    """Reconcile until everything is at rest, while the market stands still."""
    for _ in range(3):
        desk.run()
        desk.clock.advance(timedelta(seconds=15))


class LineFaults(Faulted):
    """What may go wrong between us and a broker, and behind our back."""

    # 25: out of reach

    def test_25_after_ten_minutes_out_of_reach_what_filled_meanwhile_is_known(self, desk: RigDesk) -> None:
        desk.submit(bracket(1))
        desk.settled()
        desk.rig.down()
        for _ in range(3):
            assert not desk.run().complete
            desk.wait(200)
        assert desk.books() == {"AAPL": 10.0}
        denied = desk.submit(order(2))
        assert (denied.outcome, denied.code) == (Outcome.DENIED, "LIVE_UNRECONCILED")
        desk.move({"AAPL": 94.0})  # the stop rests at the broker, and works there
        desk.rig.clear()
        assert desk.run().complete
        assert desk.books() == {}
        assert desk.settled().clean
        assert desk.submit(order(2)).outcome is Outcome.CONFIRMED
        assert desk.rig.received() == ["o1", "o2"]

    def test_25_a_protective_order_that_cannot_be_sent_says_so(self, desk: RigDesk) -> None:
        desk.submit(order(1))
        desk.settled()
        desk.rig.down()
        answer = desk.submit(order(2, -10.0, kind="stop", stop_price=95.0, purpose="protect"))
        assert answer.outcome is not Outcome.CONFIRMED
        desk.rig.clear()
        for _ in range(3):
            desk.settled()
        assert (
            desk.submit(order(3, -10.0, kind="stop", stop_price=95.0, purpose="protect")).outcome
            is Outcome.CONFIRMED
        )
        assert len(desk.rig.working()) == 1

    def test_25_after_a_night_trading_goes_on_where_it_was(self, desk: RigDesk) -> None:
        desk.submit(bracket(1))
        desk.submit(order(2, kind="limit", limit_price=80.0, tif="gtc"))
        assert desk.settled().clean
        desk.rig.night()
        desk.clock.set(desk.rig.now)
        desk.run()
        assert desk.settled().clean
        assert desk.submit(order(3, 1.0, "MSFT")).outcome is Outcome.CONFIRMED
        assert desk.restart().clean
        desk.move({"AAPL": 94.0, "MSFT": 200.0})
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {"MSFT": 1.0}
        numbers = desk.rig.numbers()
        assert len(numbers) == len(set(numbers))

    @pytest.mark.parametrize("call", ["positions", "orders", "executions"])
    def test_25_an_answer_that_breaks_off_is_unknown_and_not_flat(self, desk: RigDesk, call: Call) -> None:
        desk.submit(order(1))
        desk.submit(order(2, 5.0, "MSFT"))
        desk.settled()
        desk.rig.fail(call)
        report = desk.run()
        assert (report.complete, report.differences) == (False, ())
        assert desk.books() == {"AAPL": 10.0, "MSFT": 5.0}
        assert desk.submit(order(3)).code == "LIVE_UNRECONCILED"
        desk.rig.clear()
        assert desk.settled().clean
        assert desk.rig.received() == ["o1", "o2"]

    # 26: too many requests, no access

    def test_26_too_many_requests_are_no_answer_and_nothing_is_sent_twice(self, desk: RigDesk) -> None:
        self.need("limit")
        desk.submit(order(1))
        desk.settled()
        desk.rig.limit()
        assert not desk.run().complete
        answer = desk.submit(order(2, purpose="exit", quantity=-10.0))
        assert answer.outcome is not Outcome.CONFIRMED
        desk.rig.clear()
        for _ in range(3):
            desk.settled()
        assert desk.books() == desk.rig.held() == {"AAPL": 10.0}

    def test_26_a_refused_access_halts_once(self, desk: RigDesk) -> None:
        self.need("lock")
        desk.rig.lock()
        answer = desk.submit(order(1))
        assert answer.outcome is Outcome.REJECTED
        assert desk.switch.state == "HALTED"
        told = [kind for kind, _ in desk.told]
        desk.submit(order(2, 1.0, "MSFT", purpose="protect"))
        assert [kind for kind, _ in desk.told] == told  # once
        assert desk.rig.received() == []

    # 27: positions that differ

    def test_27_a_trade_by_hand_is_found_and_not_taken_for_ours(self, desk: RigDesk) -> None:
        desk.submit(order(1))
        desk.settled()
        desk.rig.trade("AAPL", -4.0, 101.0)
        desk.rig.trade("MSFT", 5.0, 200.0)
        desk.settled()
        assert sorted((one.cause, one.symbols[0]) for one in desk.found()) == [
            ("foreign_trade", "AAPL"), ("foreign_trade", "MSFT"),
        ]  # fmt: skip
        assert desk.books() == {"AAPL": 10.0}
        desk.accept_all()
        assert desk.run().clean
        assert desk.books() == desk.rig.held() == {"AAPL": 6.0, "MSFT": 5.0}

    def test_27_a_position_that_is_missing_from_the_list_is_not_gone(self, desk: RigDesk) -> None:
        desk.submit(order(1))
        desk.submit(order(2, 5.0, "MSFT"))
        desk.settled()
        desk.rig.hide_position("AAPL")
        before = len(desk.rig.received())
        desk.run()
        assert [(one.cause, one.data) for one in desk.found()] == [
            ("missing_position", {"books": 10.0, "broker": 0.0})
        ]
        assert desk.submit(order(3)).code == "LIVE_SYMBOL_REDUCING"
        assert len(desk.rig.received()) == before
        desk.rig.clear()
        assert desk.run().clean

    def test_27_an_assignment_is_named_in_both_symbols(self, desk: RigDesk) -> None:
        self.need("assignment")
        desk.submit(OrderRequest(client_order_id="s1", legs=(Leg(PUT, -2.0),)))
        assert desk.settled().clean
        desk.rig.assign(PUT, 2.0)
        desk.settled()
        assert sorted((one.cause, one.symbols[0]) for one in desk.found()) == [
            ("assignment", "SPY"), ("assignment", PUT),
        ]  # fmt: skip
        desk.accept_all()
        assert desk.run().clean
        assert desk.books() == desk.rig.held() == {"SPY": 200.0}

    def test_27_a_split_is_named_and_all_prices_are_brought_in_line(self, desk: RigDesk) -> None:
        self.need("split")
        desk.submit(bracket(1))
        desk.settled()
        desk.rig.split("AAPL", 10.0)
        desk.run()
        (one,) = desk.found()
        assert (one.cause, one.data["ratio"]) == ("split", [10, 1])
        assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
        desk.accept_all()
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {"AAPL": 100.0}
        working = {one.kind: one for one in desk.faulty.get_orders()}
        assert (working["stop"].stop_price, working["stop"].quantity) == (9.5, 100.0)
        assert (working["limit"].limit_price, working["limit"].quantity) == (11.0, 100.0)

    def test_27_a_split_long_after_an_assignment_is_a_split(self, desk: RigDesk) -> None:
        self.need("assignment")
        desk.submit(OrderRequest(client_order_id="s1", legs=(Leg(PUT, -2.0),)))
        desk.settled()
        desk.rig.assign(PUT, 2.0)
        desk.settled()
        desk.accept_all()
        assert desk.settled().clean
        stop = order(2, -200.0, "SPY", kind="stop", stop_price=450.0, tif="gtc", purpose="protect")
        assert desk.submit(stop).outcome is Outcome.CONFIRMED
        desk.settled()
        desk.rig.split("SPY", 10.0)
        rested(desk)
        (one,) = desk.found()
        assert (one.cause, one.data.get("ratio")) == ("split", [10, 1])
        desk.accept_all()
        rested(desk)
        assert desk.found() == []
        (working,) = desk.faulty.get_orders()
        assert (working.stop_price, working.quantity) == (45.0, 2000.0)
        assert desk.books() == desk.rig.held() == {"SPY": 2000.0}

    def test_27_an_exit_that_finds_nothing_to_close_is_refused_or_named(self, desk: RigDesk) -> None:
        answer = desk.submit(order(1, -10.0, purpose="exit"))
        desk.settled()
        if answer.outcome is Outcome.CONFIRMED:
            assert desk.causes() == ["double_exit"]
            assert desk.submit(order(2, -1.0, purpose="exit")).outcome is Outcome.DENIED
        else:
            assert (desk.rig.held(), desk.causes()) == ({}, [])
        assert desk.books() == desk.rig.held()
        assert len(desk.rig.received()) <= 1  # and nothing is bought back by itself
