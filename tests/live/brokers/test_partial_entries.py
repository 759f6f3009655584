"""Entries that fill in part at a broker that holds stops back, or refuses them: what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from live.brokers.interface import BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from live.brokers.partial_entries import PartialEntries, live_stop
from live.brokers.protection import Protector
from live.opening import Desk, open_desk
from simulator.types import OrderState
from tests.live.brokers.alpaca_rig import AlpacaRig
from tests.live.brokers.ib_rig import TwsRig
from tests.live.brokers.rig import BrokerRig, RigDesk
from tests.live.brokers.tastytrade_rig import TastytradeRig
from tests.live.desks import Desk as DeskOfTests
from tests.live.desks import order
from tests.live.faulty_broker import Fault, LostAfter, LostBefore
from tests.live.memory_broker import MemoryBroker, Resting

NOW = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Waiting(MemoryBroker):
    """A broker whose children wait until their whole entry has filled; it does not even list them."""

    def __init__(self) -> None:
        super().__init__()
        self.no_oco = False

    def submit_order(self, request: OrderRequest) -> Submitted:
        if self.no_oco and request.order_class == "oco":
            return Submitted(
                outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code="LIVE_BROKER_REJECTED"
            )
        return super().submit_order(request)

    def _guard(self, resting: Resting) -> None:
        if resting.order.filled >= resting.order.quantity:
            super()._guard(resting)


@pytest.fixture
def broker() -> Waiting:
    there = Waiting()
    there.move({"AAPL": 101.0, "MSFT": 50.0})
    return there


@pytest.fixture
def desk(tmp_path: Path, broker: Waiting) -> Iterator[Desk]:
    with open_desk(tmp_path / "journal.db", {"memory": broker}, window=timedelta(0)) as there:
        yield there


def half_filled(desk: Desk, broker: Waiting, quantity: float = 10.0, filled: float = 4.0) -> BrokerOrder:
    """Send a bracket at 100, and let a part of it fill."""
    long = quantity > 0.0
    request = order(
        1, quantity, kind="limit", limit_price=100.0 if long else 102.0, order_class="bracket",
        stop_loss=95.0 if long else 107.0, take_profit=110.0 if long else 92.0,
    )  # fmt: skip
    answer = desk.manager.submit_order(request)
    assert isinstance(answer, Submitted)
    assert answer.order is not None
    broker.part(answer.order.order_id, filled, request.limit_price)
    desk.poll()
    return answer.order


def parts(desk: Desk, patience: float = 0.0) -> PartialEntries:
    return PartialEntries(desk.manager, "memory", patience=patience * SECOND, sleep=lambda _: None)


def resting(broker: Waiting) -> list[tuple[str, float, float | None]]:
    """Return kind, signed quantity and price of what works."""
    return sorted(
        (one.kind, one.legs[0].quantity, one.stop_price or one.limit_price) for one in broker.get_orders()
    )


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_rest_is_cancelled_and_what_has_filled_gets_both_children(
    desk: Desk, broker: Waiting, side: float
) -> None:
    half_filled(desk, broker, 10.0 * side)
    (answer,) = parts(desk).settle(NOW)
    assert isinstance(answer, Submitted)
    assert answer.outcome is Outcome.CONFIRMED
    prices = (110.0, 95.0) if side > 0 else (92.0, 107.0)
    assert resting(broker) == [("limit", -4.0 * side, prices[0]), ("stop", -4.0 * side, prices[1])]
    desk.poll()
    assert parts(desk).settle(NOW) == []  # once, and known after a restart


def test_within_the_patience_nothing_happens_but_that_it_is_bare(desk: Desk, broker: Waiting) -> None:
    entry = half_filled(desk, broker)
    mine = parts(desk, patience=5.0)
    for seconds in (0, 2, 4):
        assert mine.settle(NOW + seconds * SECOND) == []
        assert mine.waiting(broker.get_orders()) == {"AAPL"}
    broker.part(entry.order_id, 6.0)  # all of it has filled, and its children live
    assert mine.settle(NOW + 9 * SECOND) == []
    assert [kind for kind, _, _ in resting(broker)] == ["limit", "stop"]


def test_at_the_stop_nobody_is_patient(desk: Desk, broker: Waiting) -> None:
    half_filled(desk, broker)
    broker.prices["AAPL"] = 94.0
    (answer,) = parts(desk, patience=60.0).settle(NOW)
    assert isinstance(answer, Submitted)
    assert answer.order is not None
    assert (answer.order.kind, answer.order.filled) == ("market", 4.0)
    assert (resting(broker), broker.get_positions()) == ([], [])


def test_where_an_oco_is_refused_the_stop_goes_alone_and_nothing_is_repeated(
    desk: Desk, broker: Waiting
) -> None:
    half_filled(desk, broker)
    broker.no_oco = True
    for _ in range(4):
        parts(desk).settle(NOW)
        desk.poll()
    assert resting(broker) == [("stop", -4.0, 95.0)]
    assert broker.calls.count("submit_order") == 2  # the bracket and the stop; the oco was refused before


def test_an_entry_that_does_not_end_gets_nothing_beside_it(
    desk: Desk, broker: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = half_filled(desk, broker)
    monkeypatch.setattr(broker, "cancel_order", lambda _: entry)
    protector = Protector(desk.manager, "memory", patience=timedelta(0), sleep=lambda _: None)
    assert protector.keep(NOW) == []
    assert [kind for kind, _, _ in resting(broker)] == ["limit"]


def test_where_the_position_is_disputed_a_person_decides(desk: Desk, broker: Waiting) -> None:
    entry = half_filled(desk, broker)
    broker.cancel_order(entry.order_id)
    broker.hold("AAPL", 44.0)  # a split, or another hand
    for _ in range(3):
        desk.poll()
    assert parts(desk).settle(NOW) == []


def test_a_stop_of_more_than_has_filled_waits_and_one_of_an_oco_does_not() -> None:
    entry = BrokerOrder(
        order_id="e", client_order_id="o1", legs=(Leg("AAPL", 10.0),), kind="limit",
        state=OrderState.PARTIALLY_FILLED, quantity=10.0, filled=4.0,
    )  # fmt: skip
    stop = replace(entry, order_id="s", legs=(Leg("AAPL", -10.0),), kind="stop", parent_id="e", filled=0.0,
                   state=OrderState.SUBMITTED)  # fmt: skip
    assert not live_stop(stop, [entry, stop])
    resized = replace(stop, quantity=4.0, legs=(Leg("AAPL", -4.0),))
    assert live_stop(resized, [entry, resized])
    assert live_stop(stop, [stop])  # its entry has ended
    assert not live_stop(replace(stop, state=OrderState.PENDING), [stop])
    target = replace(stop, order_id="e", kind="limit", parent_id="")
    assert live_stop(stop, [target, stop])


def test_what_entered_without_a_bracket_is_left_to_the_protector(desk: Desk, broker: Waiting) -> None:
    answer = desk.manager.submit_order(order(1, kind="limit", limit_price=100.0))
    assert isinstance(answer, Submitted)
    assert answer.order is not None
    broker.part(answer.order.order_id, 4.0, 100.0)
    desk.poll()
    assert parts(desk).settle(NOW) == []
    Protector(desk.manager, "memory").keep(NOW)
    assert [one[:2] for one in resting(broker)] == [("limit", 10.0), ("stop", -4.0)]


# Plain entries, at a broker that refuses a stop beside an order that enters


class Washing(Waiting):
    """It takes no order that could trade with another one of the account, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False  # for another reason

    def submit_order(self, request: OrderRequest) -> Submitted:
        (leg,) = request.legs
        against = [one for one in self.get_orders() if one.legs[0].quantity * leg.quantity < 0.0]
        if request.kind == "stop" and (against or self.refuses):
            return Submitted(
                outcome=Outcome.REJECTED, client_order_id=request.client_order_id,
                code="LIVE_BROKER_REJECTED", message="potential wash trade detected",
            )  # fmt: skip
        return super().submit_order(request)


class Plain:
    """A desk before such a broker, an entry of 10 at 100 there, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.broker = Washing()
        self.desk = DeskOfTests(folder, self.broker)
        self.broker.move({"AAPL": 101.0})
        self.desk.reconciler.start()

    def enter(self, filled: float = 4.0) -> BrokerOrder:
        request = order(1, kind="limit", limit_price=100.0, tif="gtc")
        answer = self.desk.submit(request)
        assert answer.order is not None
        if filled:
            self.broker.part(answer.order.order_id, filled, 100.0)
        self.desk.run()
        return answer.order

    def keep(self, seconds: float = 0.0) -> list[Outcome]:
        """Let time pass, and keep; a new process each time, as from the command line."""
        self.desk.clock.advance(seconds * SECOND)
        self.desk.run()
        answers = Protector(self.desk.manager, "main", sleep=lambda _: None).keep(self.desk.clock())
        self.desk.run()
        return [one.outcome for one in answers if isinstance(one, Submitted)]

    @property
    def stops(self) -> list[float]:
        return [one.legs[0].quantity for one in self.broker.get_orders() if one.kind == "stop"]


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Plain]:
    there = Plain(tmp_path)
    yield there
    sent = there.desk.faulty.received
    assert len(sent) == len(set(sent))
    there.desk.database.close()


def test_beside_a_plain_entry_a_stop_is_refused_and_after_the_patience_its_rest_ends(plain: Plain) -> None:
    entry = plain.enter()
    assert plain.keep() == [Outcome.REJECTED]
    assert plain.keep(1.0) == []  # most entries fill as a whole within a moment
    assert [one.order_id for one in plain.broker.get_orders()] == [entry.order_id]
    assert plain.keep(1.5) == [Outcome.CONFIRMED]
    assert [(one.kind, one.legs[0].quantity) for one in plain.broker.get_orders()] == [("stop", -4.0)]
    assert plain.keep(60.0) == []
    assert plain.stops == [-4.0]


def test_where_the_entry_ends_by_itself_its_stop_is_tried_anew(plain: Plain) -> None:
    entry = plain.enter()
    assert plain.keep() == [Outcome.REJECTED]
    plain.broker.part(entry.order_id, 6.0, 100.0)
    assert plain.keep(2.5) == [Outcome.CONFIRMED]
    assert plain.stops == [-10.0]


def test_what_fills_while_the_rest_is_cancelled_is_behind_the_stop_too(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = plain.enter()
    plain.keep()
    cancel = plain.broker.cancel_order

    def late(order_id: str) -> BrokerOrder:
        if order_id == entry.order_id:
            plain.broker.part(order_id, 3.0, 100.0)
        return cancel(order_id)

    monkeypatch.setattr(plain.broker, "cancel_order", late)
    plain.keep(2.5)
    assert plain.stops == [-7.0]


def test_an_entry_that_does_not_end_gets_no_second_try(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = plain.enter()
    plain.keep()
    monkeypatch.setattr(plain.broker, "cancel_order", lambda _: entry)
    assert [plain.keep(10.0) for _ in range(3)] == [[], [], []]
    assert len(plain.desk.faulty.received) == 2
    monkeypatch.undo()
    assert plain.keep(10.0) == [Outcome.CONFIRMED]


def test_an_entry_by_another_hand_is_waited_for_and_never_cancelled(plain: Plain) -> None:
    plain.desk.submit(order(1, 4.0))
    plain.desk.settled()
    hand = plain.broker.submit_order(order(9, 5.0, kind="limit", limit_price=90.0)).order
    assert hand is not None
    assert plain.keep() == [Outcome.REJECTED]
    assert [plain.keep(10.0) for _ in range(3)] == [[], [], []]
    assert [one.order_id for one in plain.broker.get_orders()] == [hand.order_id]
    plain.broker.cancel_order(hand.order_id)
    assert plain.keep(1.0) == [Outcome.CONFIRMED]
    assert plain.stops == [-4.0]


def test_a_stop_refused_for_another_reason_is_tried_ever_more_rarely(plain: Plain) -> None:
    plain.desk.submit(order(1, 4.0))
    plain.broker.refuses = True
    tried = [second for second in range(65) if plain.keep(1.0)]
    assert tried == [0, 2, 6, 14, 30, 62]
    plain.broker.refuses = False
    assert plain.keep(64.0) == [Outcome.CONFIRMED]
    assert plain.stops == [-4.0]


@pytest.mark.parametrize("fault", [LostBefore(), LostAfter()])
def test_a_second_try_whose_answer_is_lost_makes_no_second_stop(plain: Plain, fault: Fault) -> None:
    plain.enter()
    plain.keep()
    plain.desk.faulty.at("submit_order", 1, fault)
    for _ in range(6):
        plain.keep(6.0)
        assert plain.stops in ([], [-4.0])
    assert plain.stops == [-4.0]


def test_of_an_entry_that_fills_in_parts_every_part_gets_its_stop(desk: Desk, broker: Waiting) -> None:
    answer = desk.manager.submit_order(order(1, kind="limit", limit_price=100.0))
    assert isinstance(answer, Submitted)
    assert answer.order is not None
    protector = Protector(desk.manager, "memory")
    for quantity in (4.0, 3.0, 3.0):
        broker.part(answer.order.order_id, quantity, 100.0)
        desk.poll()
        protector.keep(NOW)
    assert sorted(one[1] for one in resting(broker)) == [-4.0, -3.0, -3.0]
    broker.move({"AAPL": 80.0})
    assert broker.get_positions() == []


@pytest.mark.parametrize("make", [AlpacaRig, TwsRig, TastytradeRig])
def test_at_the_three_brokers_a_plain_entry_filled_in_part_has_its_stop_in_the_end(
    tmp_path: Path, make: Callable[[], BrokerRig]
) -> None:
    rig = make()
    there = RigDesk(tmp_path, rig)
    assert there.reconciler.start().clean
    there.move({"AAPL": 101.0})
    there.submit(order(1, kind="limit", limit_price=100.0, tif="gtc"))
    rig.part("o1", 4.0, 100.0)
    for _ in range(4):
        there.run()
        Protector(there.manager, "main", sleep=lambda _: None).keep(there.clock())
        there.wait(2.5)
    assert sum(quantity for kind, quantity in rig.working().values() if kind == "stop") == 4.0
    washes = make is AlpacaRig
    assert ("o1" in rig.working()) is not washes  # where a stop may stand beside it, the entry goes on
    assert there.settled().clean
    there.move({"AAPL": 90.0})
    there.settled()
    received = rig.received()
    assert len(received) == len(set(received))
    there.database.close()
    rig.close()
