"""Fault 22 for any broker: a bracket that fills in part; see `faults.py`.

At some brokers stop and target live with every fill of their entry, at others they wait until all of it has
filled. Of the first kind every filled share has its stop at every moment; of the second, `PartialEntries`
keeps the time short in which it has none, and there are never two stops that could sell one share.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from live.brokers.guarded import protections
from live.brokers.interface import BrokerOrder, Outcome
from live.brokers.protection import Protector
from simulator.types import OrderState
from tests.live.brokers.faulted import Faulted
from tests.live.brokers.rig import RigDesk
from tests.live.desks import bracket, order

SECOND = timedelta(seconds=1)


def guarded(desk: RigDesk) -> float:
    """Return the quantity for which stops work at the broker."""
    return sum(quantity for kind, quantity in desk.rig.working().values() if kind == "stop")


def entry_of(desk: RigDesk, identity: str = "o1") -> BrokerOrder:
    found = desk.faulty.find_order(identity)
    assert found is not None
    return found


def half_filled(desk: RigDesk, *quantities: float) -> None:
    """Send a bracket of 10 at 100, and let parts of it fill."""
    desk.move({"AAPL": 101.0})
    assert desk.submit(bracket(1)).outcome is Outcome.CONFIRMED
    for quantity in quantities:
        desk.rig.part("o1", quantity, 100.0)


class PartFaults(Faulted):
    """What may go wrong with a bracket that fills in part."""

    def protector(self, desk: RigDesk, patience: timedelta = timedelta(0)) -> Protector:
        """Return what protects, and waits for nothing."""
        return Protector(desk.manager, "main", patience=patience, sleep=lambda _: None)

    def test_22_every_filled_share_of_a_bracket_has_its_stop(self, desk: RigDesk) -> None:
        self.need("partial_bracket")
        desk.move({"AAPL": 101.0})
        desk.submit(bracket(1))
        for quantity in (3.0, 2.0):
            desk.rig.part("o1", quantity, 100.0)
            assert guarded(desk) == desk.rig.held()["AAPL"]
            assert desk.run().differences == ()
        desk.wait()
        assert desk.run().clean
        entry = entry_of(desk)
        assert (entry.filled, entry.state) == (5.0, OrderState.PARTIALLY_FILLED)
        assert self.protector(desk).keep(desk.clock()) == []  # nothing to do, and the entry goes on
        assert entry_of(desk).is_open
        desk.manager.cancel_order("main", entry.order_id)
        assert desk.settled().clean
        assert desk.state("o1") == (OrderState.CANCELLED, 5.0)
        assert guarded(desk) == desk.books()["AAPL"] == 5.0
        desk.move({"AAPL": 94.0})
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {}

    def test_22_a_part_that_stands_is_bare_for_no_longer_than_the_patience(self, desk: RigDesk) -> None:
        half_filled(desk, 4.0)
        protector = self.protector(desk, 2 * SECOND)
        protector.keep(desk.clock())
        if "partial_bracket" in self.without:
            assert guarded(desk) == 0.0
            assert entry_of(desk).is_open  # most entries fill as a whole within a moment
        desk.wait(2.5)
        protector.keep(desk.clock())
        assert guarded(desk) == desk.rig.held()["AAPL"] == 4.0
        assert protector.keep(desk.clock()) == []  # once
        (shown,) = protections(desk.faulty.get_positions(), desk.faulty.get_orders())
        assert (shown.guarded, shown.naked) == (4.0, 0.0)
        assert desk.settled().clean
        prices = {one.kind: one.stop_price or one.limit_price for one in desk.faulty.get_orders() if
                  one.legs[0].quantity < 0.0}  # fmt: skip
        assert prices == {"stop": 95.0, "limit": 110.0}  # those of its bracket
        desk.move({"AAPL": 94.0})
        desk.settled()
        assert desk.rig.held().get("AAPL", 0.0) == 0.0  # and not short
        assert desk.rig.working() == {} or entry_of(desk).is_open

    @pytest.mark.parametrize("price", [94.0, 111.0])
    def test_22_of_what_guards_a_part_one_fills_and_the_other_ends(self, desk: RigDesk, price: float) -> None:
        half_filled(desk, 4.0)
        desk.rig.lose_children()
        desk.manager.cancel_order("main", entry_of(desk).order_id)
        self.protector(desk).keep(desk.clock())
        assert desk.settled().clean
        desk.move({"AAPL": price})
        assert desk.settled().clean
        assert (desk.books(), desk.rig.held(), desk.rig.working()) == ({}, {}, {})

    def test_22_a_part_without_a_stop_is_said_by_the_reconciler(self, desk: RigDesk) -> None:
        half_filled(desk, 4.0)
        if "partial_bracket" in self.without:
            desk.settled()
            assert desk.causes() == ["unprotected"]  # while the rest of the entry works, too
        desk.rig.lose_children()
        desk.manager.cancel_order("main", entry_of(desk).order_id)
        desk.settled()
        assert (desk.state("o1"), desk.causes()) == ((OrderState.CANCELLED, 4.0), ["unprotected"])
        assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
        stop = order(3, -4.0, kind="stop", stop_price=95.0, purpose="protect")
        assert desk.submit(stop).outcome is Outcome.CONFIRMED
        assert desk.settled().clean

    def test_22_an_entry_that_fills_while_its_rest_is_cancelled_has_its_own_children(
        self, desk: RigDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        half_filled(desk, 4.0)
        cancel: Callable[[str], BrokerOrder] = desk.faulty.inner.cancel_order

        def late(order_id: str) -> BrokerOrder:
            desk.rig.part("o1", 6.0, 100.0)
            return cancel(order_id)

        if "partial_bracket" in self.without:
            monkeypatch.setattr(desk.faulty.inner, "cancel_order", late)
        else:
            desk.rig.part("o1", 6.0, 100.0)
        self.protector(desk).keep(desk.clock())
        assert guarded(desk) == desk.rig.held()["AAPL"] == 10.0
        assert desk.settled().clean
        assert sorted(desk.rig.working()) == ["o1-stop", "o1-target"]
        desk.move({"AAPL": 94.0})
        assert desk.settled().clean
        assert desk.rig.held() == {}

    def test_22_what_fills_after_the_cancel_gets_its_stop_too(self, desk: RigDesk) -> None:
        self.need("fill_after_cancel")
        half_filled(desk, 4.0)
        desk.rig.lose_children()
        desk.manager.cancel_order("main", entry_of(desk).order_id)
        protector = self.protector(desk)
        protector.keep(desk.clock())
        desk.rig.part("o1", 2.0, 100.0)
        desk.run()
        protector.keep(desk.clock())
        assert guarded(desk) == desk.rig.held()["AAPL"] == 6.0
        desk.move({"AAPL": 80.0})
        desk.settled()
        assert desk.rig.held().get("AAPL", 0.0) == 0.0

    def test_22_beyond_the_stop_a_bare_part_is_closed_at_the_market(self, desk: RigDesk) -> None:
        half_filled(desk, 4.0)
        desk.rig.lose_children()
        desk.manager.cancel_order("main", entry_of(desk).order_id)
        desk.move({"AAPL": 94.0})  # nobody was there, as over a weekend
        self.protector(desk).keep(desk.clock())
        assert desk.settled().clean
        assert (desk.books(), desk.rig.held(), desk.rig.working()) == ({}, {}, {})

    @pytest.mark.parametrize("call", ["cancel", "submit"])
    @pytest.mark.parametrize("done", [True, False])
    def test_22_a_lost_answer_makes_no_second_stop(self, desk: RigDesk, call: Any, done: bool) -> None:
        half_filled(desk, 4.0)
        if call == "submit":
            desk.rig.lose_children()
            desk.manager.cancel_order("main", entry_of(desk).order_id)
        desk.rig.lose(call, done=done)
        protector = self.protector(desk)
        for _ in range(4):
            try:
                protector.keep(desk.clock())
            except (OSError, RuntimeError):
                assert call == "cancel"
            assert guarded(desk) <= desk.rig.held()["AAPL"] == 4.0
            desk.wait(6)
            desk.run()
        protector.keep(desk.clock())
        assert guarded(desk) == 4.0
        desk.rig.clear()
        desk.settled()
        received = desk.rig.received()
        assert len(received) == len(set(received))

    def test_22_a_bracket_whose_stop_alone_has_ended_gets_another_in_place_of_its_target(
        self, desk: RigDesk
    ) -> None:
        desk.submit(bracket(1))
        desk.move({"AAPL": 100.0})
        desk.settled()
        (stop,) = [one for one in desk.faulty.get_orders() if one.kind == "stop"]
        desk.manager.cancel_order("main", stop.order_id)
        protector = self.protector(desk, 2 * SECOND)
        for _ in range(2):
            protector.keep(desk.clock())
            desk.wait(2.5)
            desk.run()
        assert guarded(desk) == desk.rig.held()["AAPL"] == 10.0
        assert sum(quantity for _, quantity in desk.rig.working().values()) == 10.0  # nothing sells twice
        assert desk.settled().clean
        desk.move({"AAPL": 90.0})
        assert desk.settled().clean
        assert (desk.books(), desk.rig.held(), desk.rig.working()) == ({}, {}, {})

    @pytest.mark.parametrize("left", [0.0, 3.0])
    def test_23_children_of_a_bracket_never_sell_what_an_exit_beside_them_has_left(
        self, desk: RigDesk, left: float
    ) -> None:
        desk.submit(bracket(1))
        desk.move({"AAPL": 100.0})
        desk.settled()
        if desk.submit(order(2, left - 10.0, purpose="exit")).outcome is Outcome.REJECTED:
            assert desk.rig.held() == {"AAPL": 10.0}  # some brokers keep the shares for the children
            return
        protector = self.protector(desk)
        protector.keep(desk.clock())  # before anybody has told of the fill
        assert guarded(desk) == 10.0
        desk.settled()
        for _ in range(2):
            protector.keep(desk.clock())
            desk.settled()
        assert guarded(desk) == desk.rig.held().get("AAPL", 0.0) == left
        desk.move({"AAPL": 80.0})
        assert desk.settled().clean
        desk.move({"AAPL": 130.0})
        assert desk.settled().clean
        assert (desk.books(), desk.rig.held(), desk.rig.working()) == ({}, {}, {})

    def test_23_children_of_two_brackets_never_sell_more_than_an_exit_beside_them_has_left(
        self, desk: RigDesk
    ) -> None:
        for number in (1, 2):
            desk.submit(bracket(number))
        desk.move({"AAPL": 100.0})
        desk.settled()
        if desk.submit(order(3, -14.0, purpose="exit")).outcome is Outcome.REJECTED:
            assert desk.rig.held() == {"AAPL": 20.0}  # some brokers keep the shares for the children
            return
        desk.settled()
        protector = self.protector(desk)
        for _ in range(3):
            protector.keep(desk.clock())
            desk.settled()
        assert guarded(desk) == desk.rig.held()["AAPL"] == 6.0
        desk.move({"AAPL": 80.0})
        assert desk.settled().clean
        assert (desk.books(), desk.rig.held(), desk.rig.working()) == ({}, {}, {})
