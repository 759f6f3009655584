"""Faults 18 to 27 for any broker: an adapter at a fake, a whole desk in front of it, and the invariants.

A broker is tested by a `BrokerRig`, which opens its adapter at its fake and knows how to let things go wrong
there, and by a class derived from `BrokerFaults` that makes the rig:

    class TestMine(BrokerFaults):
        without = {"overfill": "this broker cuts off what is too much"}
        def make_rig(self) -> BrokerRig:
            return MyRig()

Faults are made at the fake and not around the adapter, so that what is tested is what the adapter makes of
them. After every test the invariants hold: books and broker agree or a person is told, no order arrived
twice, the journal is sound, and what is unknown was never taken for flat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from live.brokers.interface import BrokerInterface, Leg, OrderRequest, Outcome
from live.reconcile import ReconcileReport
from simulator.errors import TwinstepError
from simulator.types import OrderState
from tests.live.desks import PRICES, Desk, bracket, order
from tests.live.faulty_broker import FaultyBroker

Call = Literal["submit", "replace", "cancel", "positions", "orders", "executions"]
PUT = "SPY261218P00500000"


class BrokerRig(ABC):
    """An account at a fake, and the adapter that is tested.

    Times, quantities and prices are the fake's truth; the adapter is asked for nothing here.
    """

    broker: BrokerInterface
    """The adapter."""

    @abstractmethod
    def open(self) -> BrokerInterface:
        """Return another adapter at the same account, as a new process has it."""

    @abstractmethod
    def close(self) -> None:
        """End everything."""

    @property
    @abstractmethod
    def now(self) -> datetime:
        """Time at the broker."""

    @abstractmethod
    def move(self, prices: Mapping[str, float], *, minutes: float = 1.0) -> None:
        """Let time pass, and the market trade."""

    @abstractmethod
    def lose(self, call: Call, *, done: bool) -> None:
        """Let the next call of a kind go unanswered; `done` says whether the broker does it."""

    @abstractmethod
    def fail(self, call: Call) -> None:
        """Let all calls of a kind break off in the middle of their answer, until `clear`."""

    @abstractmethod
    def down(self) -> None:
        """Be out of reach, until `clear`."""

    @abstractmethod
    def limit(self) -> None:
        """Refuse questions as too many, until `clear`."""

    @abstractmethod
    def lock(self) -> None:
        """Refuse access, until `clear`."""

    @abstractmethod
    def clear(self) -> None:
        """End all faults."""

    @abstractmethod
    def repeat_fills(self) -> None:
        """Tell every fill twice, until `clear`."""

    @abstractmethod
    def part(self, identity: str, quantity: float, price: float) -> None:
        """Fill a part of an order, whatever its status; `identity` may be a child's."""

    @abstractmethod
    def trade(self, symbol: str, quantity: float, price: float) -> None:
        """Trade by hand."""

    @abstractmethod
    def hide_position(self, symbol: str) -> None:
        """Leave a position out of the list, until `clear`."""

    @abstractmethod
    def split(self, symbol: str, ratio: float) -> None:
        """Split a stock; working orders stay as they are."""

    @abstractmethod
    def assign(self, symbol: str, quantity: float) -> None:
        """Assign so many contracts of a put that is held short; shares come at its strike."""

    @abstractmethod
    def held(self) -> dict[str, float]:
        """Return what is held."""

    @abstractmethod
    def working(self) -> dict[str, tuple[str, float]]:
        """Return kind and remaining quantity of what works, by client order id; children by their own."""

    @abstractmethod
    def received(self) -> list[str]:
        """Return the client order ids of all orders that arrived, without children, in their order."""


class RigDesk(Desk):
    """A desk in front of a rig; a restart is a new process with a new adapter."""

    def __init__(self, folder: Path, rig: BrokerRig) -> None:
        self.rig = rig
        super().__init__(folder, rig.broker)
        rig.move({**PRICES, PUT: 4.0})
        self.clock.set(rig.now)

    def move(self, prices: Mapping[str, float] = {}, *, minutes: float = 1.0) -> None:
        self.rig.move(prices, minutes=minutes)
        self.clock.set(self.rig.now)

    def wait(self, seconds: float = 30.0) -> None:
        self.move({}, minutes=seconds / 60.0)

    def restart(self) -> ReconcileReport:
        self.faulty = FaultyBroker(self.rig.open())
        return super().restart()

    def books(self) -> dict[str, float]:
        """Return what the books hold."""
        return self.reconciler.ledger("main").positions()

    def state(self, identity: str) -> tuple[OrderState, float]:
        """Return how an order stands in the books."""
        sent = self.manager.book.get(identity)
        assert sent is not None
        assert sent.order is not None
        return sent.order.state, sent.order.filled


class BrokerFaults:
    """The tests; a subclass says by `make_rig` what is tested."""

    without: ClassVar[Mapping[str, str]] = {}
    """What cannot happen at this broker, with the reason: "overfill", "assignment", "split", "lock", ..."""

    def make_rig(self) -> BrokerRig:
        """Open an empty account."""
        raise NotImplementedError

    def need(self, what: str) -> None:
        """Skip what cannot happen."""
        if what in self.without:
            pytest.skip(self.without[what])

    @pytest.fixture
    def rig(self) -> Iterator[BrokerRig]:
        rig = self.make_rig()
        yield rig
        rig.close()

    @pytest.fixture
    def desk(self, tmp_path: Path, rig: BrokerRig) -> Iterator[RigDesk]:
        desk = RigDesk(tmp_path, rig)
        assert desk.reconciler.start().clean
        yield desk
        rig.clear()
        for _ in range(2):
            report = desk.settled()
        check(desk, report)
        desk.database.close()

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

    def test_21_more_than_was_asked_for_is_for_a_person(self, desk: RigDesk) -> None:
        self.need("overfill")
        desk.submit(order(1))
        desk.settled()
        desk.rig.part("o1", 3.0, 100.0)
        desk.settled()
        assert desk.causes() == ["overfill"]
        assert desk.books() == desk.rig.held() == {"AAPL": 13.0}
        assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"

    # 22: a bracket that fills in part

    def test_22_every_filled_share_of_a_bracket_has_its_stop(self, desk: RigDesk) -> None:
        self.need("partial_bracket")

        def guarded() -> float:
            return sum(quantity for kind, quantity in desk.rig.working().values() if kind == "stop")

        desk.move({"AAPL": 101.0})
        desk.submit(bracket(1))
        for quantity in (3.0, 2.0):
            desk.rig.part("o1", quantity, 100.0)
            assert guarded() == desk.rig.held()["AAPL"]
            assert desk.run().differences == ()
        desk.wait()
        assert desk.run().clean
        (entry,) = [one for one in desk.faulty.get_orders() if one.client_order_id == "o1"]
        assert (entry.filled, entry.state) == (5.0, OrderState.PARTIALLY_FILLED)
        desk.manager.cancel_order("main", entry.order_id)
        assert desk.settled().clean
        assert desk.state("o1") == (OrderState.CANCELLED, 5.0)
        assert guarded() == desk.books()["AAPL"] == 5.0
        desk.move({"AAPL": 94.0})
        assert desk.settled().clean
        assert desk.books() == desk.rig.held() == {}

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


def check(desk: RigDesk, report: ReconcileReport) -> None:
    """The invariants, after faults have ended."""
    rig = desk.rig
    assert report.complete
    assert desk.books() == rig.held() or report.differences
    received = rig.received()
    assert len(received) == len(set(received)), f"an order arrived twice: {received}"
    assert desk.manager.book.unresolved() == []
    known = {sent.identity for sent in desk.log.open()}
    families = {name.removesuffix("-stop").removesuffix("-target") for name in rig.working()}
    assert (
        all(name in known or desk.manager.book.get(name) is not None for name in families)
        or report.differences
    )
    desk.database.check()


def lost_somewhere(folder: Path, rig: BrokerRig, inject: Any) -> None:
    """Enter by a bracket and a limit, cancel one, restart, leave; `inject(rig)` makes one thing go wrong.

    For sweeps: whatever goes wrong, the invariants hold in the end.
    """
    desk = RigDesk(folder, rig)
    desk.reconciler.start()
    inject(rig)
    desk.submit(bracket(1))
    desk.run()
    desk.submit(order(2, 5.0, "MSFT", kind="limit", limit_price=150.0))
    desk.run()
    sent = desk.manager.book.get("o2")
    if sent is not None and sent.order is not None:
        try:
            desk.manager.cancel_order("main", sent.order.order_id)
        except (TwinstepError, OSError, RuntimeError):
            pass  # what goes wrong reaches whoever cancels
    desk.restart()
    desk.submit(order(3, 2.0, "SPY"))
    desk.run()
    desk.submit(order(4, -2.0, "SPY", purpose="exit"))
    desk.run()
    rig.clear()
    for _ in range(3):
        report = desk.settled()
    check(desk, report)
    desk.database.close()
