"""Brackets that fill in part at a broker that holds stop and target back: what is done, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from live.brokers.interface import BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from live.brokers.partial_entries import PartialEntries, live_stop
from live.brokers.protection import Protector
from live.opening import Desk, open_desk
from simulator.types import OrderState
from tests.live.desks import order
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
