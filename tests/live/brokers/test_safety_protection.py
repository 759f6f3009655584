"""What would be lost if the process died now, for how long, and the stops that keep it small."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from live.brokers.guarded import Protection, protections
from live.brokers.interface import BrokerOrder, Leg, OrderKind, OrderRequest, Outcome, Submitted
from live.brokers.protection import Protector
from live.opening import Desk, open_desk
from simulator.brokerage import Holding
from simulator.errors import ConfigError
from simulator.types import OrderState
from tests.live.memory_broker import MemoryBroker

AT = datetime(2024, 5, 6, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def held(quantity: float, *, symbol: str = "AAPL", mark: float | None = 100.0, unit: float = 1.0) -> Holding:
    return Holding(symbol=symbol, quantity=quantity, average_price=90.0, mark=mark, multiplier=unit)


def stop(
    quantity: float,
    price: float | None,
    *,
    kind: OrderKind = "stop",
    state: OrderState = OrderState.SUBMITTED,
    parent: str = "",
    symbol: str = "AAPL",
    filled: float = 0.0,
) -> BrokerOrder:
    return BrokerOrder(
        order_id=f"o{quantity}{price}{kind}", client_order_id="", legs=(Leg(symbol, quantity),), kind=kind,
        state=state, quantity=abs(quantity), filled=filled, stop_price=price, parent_id=parent,
    )  # fmt: skip


def only(position: Holding, *orders: BrokerOrder) -> Protection:
    (found,) = protections([position], orders)
    return found


def test_a_position_without_a_stop_can_lose_everything() -> None:
    long, short = only(held(10.0)), only(held(-10.0))
    assert (long.naked, long.open_loss, long.loss_at_stops) == (10.0, 1000.0, 0.0)
    assert (short.naked, short.open_loss) == (10.0, math.inf)
    assert only(held(2.0, unit=100.0, mark=3.0)).open_loss == 600.0
    assert only(Holding(symbol="X", quantity=1.0)).open_loss is None


def test_a_stop_guards_its_quantity_and_no_more() -> None:
    found = only(held(10.0), stop(-6.0, 95.0))
    assert (found.guarded, found.naked, found.loss_at_stops, found.open_loss) == (6.0, 4.0, 30.0, 400.0)
    full = only(held(10.0), stop(-6.0, 95.0), stop(-6.0, 80.0))
    assert full.is_guarded
    assert full.loss_at_stops == 6 * 5.0 + 4 * 20.0
    assert only(held(-10.0), stop(10.0, 108.0)).loss_at_stops == 80.0
    assert only(held(10.0), stop(-10.0, 95.0, filled=4.0)).naked == 4.0


@pytest.mark.parametrize(
    "order",
    [
        stop(-10.0, 110.0, kind="limit"),  # a target
        stop(10.0, 95.0),  # the wrong side
        stop(-10.0, 95.0, symbol="MSFT"),
        stop(-10.0, 95.0, state=OrderState.CANCELLED),
        stop(-10.0, None, kind="market"),
    ],
)
def test_what_is_no_working_stop_guards_nothing(order: BrokerOrder) -> None:
    assert only(held(10.0), order).guarded == 0.0


def test_a_held_stop_leg_guards_nothing_until_its_entry_has_filled() -> None:
    child = stop(-10.0, 95.0, parent="entry")
    entry = BrokerOrder(
        order_id="entry", client_order_id="", legs=(Leg("AAPL", 10.0),), kind="limit",
        state=OrderState.PARTIALLY_FILLED, quantity=10.0, filled=4.0,
    )  # fmt: skip
    assert only(held(4.0), entry, child).naked == 4.0
    assert only(held(10.0), child).is_guarded


def test_a_trail_whose_level_nobody_tells_guards_at_an_unknown_price() -> None:
    found = only(held(10.0), stop(-10.0, None, kind="trailing"))
    assert found.is_guarded
    assert found.loss_at_stops is None


@pytest.fixture
def broker() -> MemoryBroker:
    there = MemoryBroker()
    there.move({"AAPL": 100.0, "MSFT": 50.0})
    return there


@pytest.fixture
def desk(tmp_path: Path, broker: MemoryBroker) -> Iterator[Desk]:
    with open_desk(tmp_path / "journal.db", {"memory": broker}) as there:
        yield there


def buy(desk: Desk, quantity: float = 10.0, number: int = 1) -> None:
    order = OrderRequest(client_order_id=f"tw-{number}", legs=(Leg("AAPL", quantity),))
    answer = desk.manager.submit_order(order)
    assert isinstance(answer, Submitted)
    assert answer.outcome is Outcome.CONFIRMED
    desk.poll()


def stops_at(broker: MemoryBroker) -> list[tuple[float, float | None]]:
    return [(one.legs[0].quantity, one.stop_price) for one in broker.get_orders() if one.kind == "stop"]


def test_every_position_gets_one_stop_wider_than_our_own(desk: Desk, broker: MemoryBroker) -> None:
    buy(desk)
    protector = Protector(desk.manager, "memory", wider_pct=5.0)
    assert [one.naked for one in protector.look(AT)] == [10.0]
    protector.keep(AT + MINUTE, {"AAPL": 96.03})
    assert stops_at(broker) == [(-10.0, 91.22)]  # 96.03 less 5 %, to the cent away from the price
    for number in range(3):
        assert protector.keep(AT + (2 + number) * MINUTE, {"AAPL": 96.03}) == []
    assert len(stops_at(broker)) == 1
    (gap,) = protector.gaps()
    assert (gap.begin, gap.end, gap.length(AT)) == (AT, AT + 2 * MINUTE, 2 * MINUTE)


def test_without_our_own_stop_it_rests_below_the_price(desk: Desk, broker: MemoryBroker) -> None:
    buy(desk, -10.0)
    Protector(desk.manager, "memory", wider_pct=10.0).keep(AT)
    assert stops_at(broker) == [(10.0, 110.0)]


def test_how_long_it_stood_naked_outlives_the_process(tmp_path: Path, broker: MemoryBroker) -> None:
    with open_desk(tmp_path / "journal.db", {"memory": broker}) as first:
        buy(first)
        Protector(first.manager, "memory").look(AT)
    with open_desk(tmp_path / "journal.db", {"memory": broker}) as second:
        again = Protector(second.manager, "memory")
        again.look(AT + 30 * MINUTE)
        (gap,) = again.gaps()
        assert gap.end is None
        assert gap.length(AT + 30 * MINUTE) == 30 * MINUTE


def test_a_stop_that_somebody_cancels_is_a_new_gap_and_gets_a_new_order(
    desk: Desk, broker: MemoryBroker
) -> None:
    buy(desk)
    protector = Protector(desk.manager, "memory")
    protector.keep(AT)
    protector.look(AT + MINUTE)
    (one,) = [order for order in broker.get_orders() if order.kind == "stop"]
    broker.cancel_order(one.order_id)
    protector.keep(AT + 2 * MINUTE)
    assert len(stops_at(broker)) == 1
    assert len(protector.gaps()) == 2


def test_what_guards_nothing_any_more_is_cancelled(desk: Desk, broker: MemoryBroker) -> None:
    buy(desk)
    protector = Protector(desk.manager, "memory")
    protector.keep(AT)
    foreign = OrderRequest(
        client_order_id="by-hand", legs=(Leg("MSFT", -1.0),), kind="stop", stop_price=40.0, purpose="protect"
    )
    broker.submit_order(foreign)
    out = OrderRequest(client_order_id="tw-2", legs=(Leg("AAPL", -10.0),), purpose="exit")
    desk.manager.submit_order(out)
    desk.poll()
    protector.keep(AT + MINUTE)
    assert [order.client_order_id for order in broker.get_orders()] == ["by-hand"]


def test_a_stop_for_more_than_is_left_is_replaced(desk: Desk, broker: MemoryBroker) -> None:
    buy(desk)
    protector = Protector(desk.manager, "memory")
    protector.keep(AT)
    desk.manager.submit_order(OrderRequest(client_order_id="tw-2", legs=(Leg("AAPL", -4.0),), purpose="exit"))
    desk.poll()
    protector.keep(AT + MINUTE)
    assert [quantity for quantity, _ in stops_at(broker)] == [-6.0]


def test_a_stop_is_released_for_an_exit_and_comes_back_behind_the_rest(
    desk: Desk, broker: MemoryBroker
) -> None:
    buy(desk)
    protector = Protector(desk.manager, "memory")
    protector.keep(AT)
    assert protector.has_stop("AAPL")
    assert not protector.has_stop("MSFT")
    assert protector.release("AAPL")
    assert stops_at(broker) == []
    desk.poll()
    protector.keep(AT + MINUTE)
    assert [quantity for quantity, _ in stops_at(broker)] == [-10.0]


def test_a_stop_that_does_not_end_is_not_released(
    desk: Desk, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(desk)
    slept: list[float] = []
    protector = Protector(desk.manager, "memory", sleep=slept.append)
    protector.keep(AT)
    (stuck,) = [order for order in broker.get_orders() if order.kind == "stop"]
    monkeypatch.setattr(broker, "cancel_order", lambda _: stuck)
    assert not protector.release("AAPL")
    assert sum(slept) == pytest.approx(5.0)


def test_what_leaves_already_is_not_sold_a_second_time(desk: Desk, broker: MemoryBroker) -> None:
    buy(desk)
    target = OrderRequest(
        client_order_id="tw-2", legs=(Leg("AAPL", -4.0),), kind="limit", limit_price=120.0, purpose="exit"
    )
    desk.manager.submit_order(target)
    desk.poll()
    protector = Protector(desk.manager, "memory")
    protector.keep(AT)
    assert [quantity for quantity, _ in stops_at(broker)] == [-6.0]
    (found,) = protector.look(AT + MINUTE)
    assert found.naked == 4.0


def test_a_symbol_in_doubt_gets_no_stop(
    desk: Desk, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(desk)

    def lost(request: OrderRequest) -> Submitted:
        raise TimeoutError("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(broker, "submit_order", lost)
        answer = desk.manager.submit_order(
            OrderRequest(client_order_id="tw-2", legs=(Leg("AAPL", -10.0),), purpose="exit")
        )
    assert isinstance(answer, Submitted)
    assert answer.outcome is Outcome.UNRESOLVED
    assert Protector(desk.manager, "memory").keep(AT) == []
    assert stops_at(broker) == []


def test_a_halt_does_not_keep_a_stop_away(desk: Desk, broker: MemoryBroker) -> None:
    buy(desk)
    desk.kill_switch.engage("crash", "ada")
    Protector(desk.manager, "memory").keep(AT)
    assert len(stops_at(broker)) == 1


def test_options_are_shown_and_get_no_stop(desk: Desk, broker: MemoryBroker) -> None:
    broker.move({"SPY261218P00500000": 3.0})
    broker.hold("SPY261218P00500000", -1.0)
    protector = Protector(desk.manager, "memory")
    assert protector.keep(AT) == []
    (found,) = protector.look(AT)
    assert found.open_loss == math.inf


def test_unknown_is_not_guarded_and_not_flat(desk: Desk, broker: MemoryBroker) -> None:
    buy(desk)
    protector = Protector(desk.manager, "memory")

    def fail() -> list[Holding]:
        raise ConnectionError("no line")

    broker.get_positions = fail  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        protector.keep(AT)
    assert protector.gaps() == []
    assert stops_at(broker) == []


@pytest.mark.parametrize("wider", [0.0, 100.0, -1.0, math.nan])
def test_a_distance_that_cannot_be_is_refused(desk: Desk, wider: float) -> None:
    with pytest.raises(ConfigError) as caught:
        Protector(desk.manager, "memory", wider_pct=wider)
    assert caught.value.code == "LIVE_PROTECT"
