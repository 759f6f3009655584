"""Faults 18 to 24 for any broker: answers that get lost, fills, brackets, cancels; see `faults.py`."""

from __future__ import annotations

import pytest

from live.brokers.interface import OrderRequest, Outcome, Submitted
from simulator.types import OrderState
from tests.live.brokers.faulted import Faulted
from tests.live.brokers.rig import RigDesk
from tests.live.desks import bracket, order


class OrderFaults(Faulted):
    """What may go wrong with one order."""

    # 18, 19: a submit without an answer

    @pytest.mark.parametrize("kind", ["market", "bracket"])
    def test_18_a_lost_answer_is_no_rejection_and_the_order_is_adopted(
        self, desk: RigDesk, kind: str
    ) -> None:
        request = order(1) if kind == "market" else bracket(1)
        desk.rig.lose("submit", done=True)
        assert desk.submit(request).outcome is Outcome.UNRESOLVED
        assert desk.submit(request).outcome is Outcome.UNRESOLVED
        denied = desk.submit(order(2))
        assert (denied.outcome, denied.code) == (Outcome.DENIED, "LIVE_UNRESOLVED")
        desk.run()
        assert desk.submit(request).outcome is Outcome.CONFIRMED
        assert desk.rig.received() == ["o1"]
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {"AAPL": 10.0}

    def test_18_a_process_that_dies_before_the_answer_finds_its_order(self, desk: RigDesk) -> None:
        desk.rig.lose("submit", done=True)
        desk.submit(bracket(1))
        desk.restart()
        assert desk.submit(bracket(1)).outcome is Outcome.CONFIRMED
        assert desk.settled().clean
        assert desk.rig.received() == ["o1"]
        assert desk.books() == {"AAPL": 10.0}

    def test_19_an_order_that_never_arrived_is_given_up_and_not_sent_again(self, desk: RigDesk) -> None:
        desk.rig.lose("submit", done=False)
        assert desk.submit(order(1)).outcome is Outcome.UNRESOLVED
        desk.run()
        assert desk.submit(order(1)).outcome is Outcome.UNRESOLVED  # one answer is not enough
        desk.wait(6)
        desk.run()
        given_up = desk.manager.book.get("o1")
        assert given_up is not None
        assert given_up.submitted.code == "LIVE_NOT_SENT"
        assert desk.rig.received() == []
        assert desk.submit(order(2)).outcome is Outcome.CONFIRMED

    def test_19_an_exit_that_never_arrived_goes_once_more_when_that_is_proven(self, desk: RigDesk) -> None:
        leaves = self.exit_that_got_lost(desk)
        assert self.once_more(desk, leaves) is Outcome.DENIED  # it may still be on its way
        desk.wait(61)
        desk.run()
        for _ in range(2):
            assert self.once_more(desk, leaves) is Outcome.CONFIRMED
        assert desk.settled().clean
        assert desk.rig.received() == ["o1", "o2"]
        assert desk.books() == desk.rig.held() == {}

    def test_19_an_exit_that_arrives_late_is_not_sent_a_second_time(self, desk: RigDesk) -> None:
        leaves = self.exit_that_got_lost(desk)
        # what was under way for long arrives past what this adapter remembers
        desk.faulty.inner = desk.rig.open()
        assert desk.faulty.inner.submit_order(leaves).outcome is Outcome.CONFIRMED
        desk.wait(61)
        desk.run()
        self.once_more(desk, leaves)
        desk.settled()
        assert desk.rig.received() == ["o1", "o2"]
        assert desk.books() == desk.rig.held() == {}

    def exit_that_got_lost(self, desk: RigDesk) -> OrderRequest:
        desk.submit(order(1))
        assert desk.settled().clean
        leaves = order(2, -10.0, purpose="exit")
        desk.rig.lose("submit", done=False)
        assert desk.submit(leaves).outcome is Outcome.UNRESOLVED
        for _ in range(2):
            desk.run()
            desk.wait(6)
        given_up = desk.manager.book.get("o2")
        assert given_up is not None
        assert given_up.submitted.code == "LIVE_NOT_SENT"
        return leaves

    def once_more(self, desk: RigDesk, request: OrderRequest) -> Outcome:
        answer = desk.manager.submit_order(request, again=True)
        assert isinstance(answer, Submitted)
        return answer.outcome

    # 20: the id is taken

    def test_20_an_id_that_is_taken_is_evidence_that_the_order_arrived(self, desk: RigDesk) -> None:
        # a process that died has sent it, and its journal is not ours
        assert desk.rig.broker.submit_order(order(1)).outcome is Outcome.CONFIRMED
        desk.faulty.inner = desk.rig.open()
        answer = desk.submit(order(1))
        desk.run()
        assert answer.outcome is not Outcome.REJECTED
        sent = desk.manager.book.get("o1")
        assert sent is not None
        assert sent.submitted.outcome is Outcome.CONFIRMED
        assert desk.rig.received() == ["o1"]
        assert desk.settled().clean
        assert desk.books() == {"AAPL": 10.0}

    # 21: fills twice, before the answer, too many

    def test_21_fills_that_are_told_twice_count_once(self, desk: RigDesk) -> None:
        desk.rig.repeat_fills()
        for number in range(1, 4):
            desk.submit(order(number, 1.0 + number))
            desk.run()
        desk.submit(order(4, -3.0, purpose="exit"))
        desk.run()
        assert desk.settled().clean
        assert desk.books() == {"AAPL": 6.0}

    def test_21_a_fill_that_comes_before_the_answer_is_ours(self, desk: RigDesk) -> None:
        desk.rig.lose("submit", done=True)
        desk.submit(order(1))
        assert desk.run().differences == ()
        assert desk.books() == {"AAPL": 10.0}

    def test_21_two_fills_of_one_time_price_and_quantity_are_two(self, desk: RigDesk) -> None:
        desk.move({"AAPL": 101.0})
        desk.submit(order(1, kind="limit", limit_price=100.0))
        for _ in range(2):
            desk.rig.part("o1", 3.0, 100.0)
        desk.run()
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {"AAPL": 6.0}
        assert len({one.execution_id for one in desk.faulty.executions()}) == 2

    def test_21_more_than_was_asked_for_is_for_a_person(self, desk: RigDesk) -> None:
        self.need("overfill")
        desk.submit(order(1))
        desk.settled()
        desk.rig.part("o1", 3.0, 100.0)
        desk.settled()
        assert desk.causes() == ["overfill"]
        assert desk.books() == desk.rig.held() == {"AAPL": 13.0}
        assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"

    # 23: stop and target both fill

    def test_23_where_stop_and_target_both_fill_the_position_is_what_the_fills_say(
        self, desk: RigDesk
    ) -> None:
        self.need("double_exit")
        desk.submit(bracket(1))
        desk.settled()
        stop = next(name for name, (kind, _) in desk.rig.working().items() if kind == "stop")
        desk.move({"AAPL": 111.0})  # the target fills, and the stop is cancelled, too late
        desk.rig.part(stop, 10.0, 95.0)
        before = len(desk.rig.received())
        desk.settled()
        assert desk.books() == desk.rig.held() == {"AAPL": -10.0}
        assert desk.causes() == ["double_exit"]
        assert len(desk.rig.received()) == before  # nothing is flattened by itself
        assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
        assert desk.submit(order(3, 10.0, purpose="protect")).outcome is Outcome.CONFIRMED
        desk.settled()
        assert desk.books() == {}

    def test_23_a_sibling_that_has_filled_already_is_told_as_filled(self, desk: RigDesk) -> None:
        self.need("bracket")
        desk.submit(bracket(1))
        desk.settled()
        target = next(one for one in desk.faulty.get_orders() if one.kind == "limit")
        desk.move({"AAPL": 111.0})
        assert desk.manager.cancel_order("main", target.order_id).state == OrderState.FILLED
        assert desk.settled().clean

    # 24: filled after it was cancelled

    @pytest.mark.parametrize("when", ["at once", "before the second look", "much later"])
    def test_24_a_fill_after_a_cancel_wins(self, desk: RigDesk, when: str) -> None:
        self.need("fill_after_cancel")
        answer = desk.submit(order(1, kind="limit", limit_price=90.0))
        assert answer.order is not None
        desk.manager.cancel_order("main", answer.order.order_id)
        if when != "at once":
            desk.run()
            assert desk.state("o1") == (OrderState.CANCELLED, 0.0)
        if when == "much later":
            desk.settled()
            desk.settled()
        desk.rig.part("o1", 10.0, 90.0)
        desk.run()
        assert desk.state("o1") == (OrderState.FILLED, 10.0)
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {"AAPL": 10.0}

    def test_24_a_kill_ends_what_enters_and_leaves_the_stops(self, desk: RigDesk) -> None:
        self.need("bracket")
        desk.submit(bracket(1))
        desk.submit(order(2, kind="limit", limit_price=80.0))
        desk.settled()
        report = desk.manager.engage_kill_switch("test", "ada")
        assert report.not_confirmed == 0
        assert sorted(desk.rig.working()) == ["o1-stop", "o1-target"]
        assert desk.submit(order(3)).outcome is Outcome.DENIED
