"""A paced broker: a budget with a reserve, back-off as the broker asks for it, and no knocking."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from live.brokers.contract import BrokerContract
from live.brokers.errors import AccessRefused, BrokerError, RateLimited
from live.brokers.interface import BrokerInterface, Outcome
from live.brokers.manager import BrokerManager
from live.brokers.pacing import PacedBroker
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from simulator.errors import ConfigError
from tests.live.desks import order
from tests.live.faulty_broker import FaultyBroker, Forbidden, Limited, Raises, Unauthorized
from tests.live.memory_broker import MemoryBroker


class Seconds:
    """A monotonic clock whose time passes by waiting."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def faulty() -> FaultyBroker:
    memory = MemoryBroker()
    memory.move({"AAPL": 100.0})
    return FaultyBroker(memory)


def paced(
    faulty: BrokerInterface, seconds: Seconds, per_minute: float = 200.0, reserve: float = 0.25
) -> PacedBroker:
    return PacedBroker(
        faulty, per_minute=per_minute, reserve=reserve, clock=seconds, sleep=seconds.sleep,
        chance=lambda: 0.5,
    )  # fmt: skip


class TestPacedBroker(BrokerContract):
    def make_broker(self) -> BrokerInterface:
        return PacedBroker(MemoryBroker())

    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        assert isinstance(broker, PacedBroker)
        assert isinstance(broker.inner, MemoryBroker)
        broker.inner.move(prices)


def test_it_waits_as_long_as_the_broker_asks_and_a_bit(faulty: FaultyBroker, seconds: Seconds) -> None:
    faulty.at("get_positions", 1, Limited(7.0))
    assert list(paced(faulty, seconds).get_positions()) == []
    assert seconds.waits == [pytest.approx(7.0 * 1.125)]
    assert faulty.calls.count("get_positions") == 2


def test_without_a_word_it_waits_longer_each_time(faulty: FaultyBroker, seconds: Seconds) -> None:
    faulty.every("cancel_order", Limited())
    with pytest.raises(RateLimited):
        paced(faulty, seconds).cancel_order("B1")
    assert seconds.waits == [pytest.approx(pause * 1.125) for pause in (0.5, 1.0, 2.0)]
    assert faulty.calls.count("cancel_order") == 4


def test_too_long_a_wait_is_an_error_and_not_a_sleep(faulty: FaultyBroker, seconds: Seconds) -> None:
    faulty.every("get_orders", Limited(3_600.0))
    broker = paced(faulty, seconds)
    for _ in range(3):
        with pytest.raises(RateLimited):
            broker.get_orders()
    assert (seconds.waits, faulty.calls) == ([], ["get_orders"])  # asked once in that hour


def test_chance_is_in_the_pauses(faulty: FaultyBroker, seconds: Seconds) -> None:
    chances = iter((0.0, 1.0))
    broker = PacedBroker(faulty, clock=seconds, sleep=seconds.sleep, chance=lambda: next(chances))
    for _ in range(2):
        faulty.at("get_positions", 1, Limited(4.0))
        broker.get_positions()
    assert seconds.waits == [4.0, 5.0]


def test_a_submit_is_sent_once_or_not_at_all(faulty: FaultyBroker, seconds: Seconds) -> None:
    broker = paced(faulty, seconds)
    faulty.at("submit_order", 1, Limited(5.0))
    with pytest.raises(RateLimited):
        broker.submit_order(order(1))
    assert faulty.calls.count("submit_order") == 1
    answer = broker.submit_order(order(2))  # while the broker wants to be left alone
    assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_RATE_LIMITED")
    assert faulty.calls.count("submit_order") == 1
    seconds.sleep(5.0)
    assert broker.submit_order(order(2)).outcome is Outcome.CONFIRMED


def test_cancels_and_risk_questions_have_a_budget_of_their_own(
    faulty: FaultyBroker, seconds: Seconds
) -> None:
    broker = paced(faulty, seconds, per_minute=20.0, reserve=0.25)
    sent = [broker.submit_order(order(number)).outcome for number in range(1, 21)]
    assert sent == [Outcome.CONFIRMED] * 15 + [Outcome.DENIED] * 5
    assert broker.submit_order(order(30, -1.0, purpose="protect")).outcome is Outcome.CONFIRMED
    broker.get_positions()
    broker.get_orders()
    broker.cancel_order("B1")
    assert seconds.waits == []
    broker.executions()  # has to wait until there is more than the reserve again
    assert seconds.waits
    assert sum(seconds.waits) > 10.0


def test_the_budget_comes_back_with_time(faulty: FaultyBroker, seconds: Seconds) -> None:
    broker = paced(faulty, seconds, per_minute=60.0, reserve=0.0)
    for _ in range(60):
        broker.get_positions()
    assert seconds.waits == []
    broker.get_positions()
    assert seconds.waits == [pytest.approx(1.0)]
    seconds.sleep(3_600.0)
    for _ in range(60):
        broker.get_positions()
    assert len(seconds.waits) == 2  # the hour and the one before: no more than a minute's budget is kept


def test_other_errors_go_through_at_once(faulty: FaultyBroker, seconds: Seconds) -> None:
    faulty.every("get_positions", Raises(ValueError("unreadable")))
    with pytest.raises(ValueError, match="unreadable"):
        paced(faulty, seconds).get_positions()
    assert faulty.calls == ["get_positions"]


@pytest.mark.parametrize("fault", [Unauthorized(), Forbidden()])
def test_a_closed_door_is_not_knocked_on(
    faulty: FaultyBroker, seconds: Seconds, fault: Unauthorized | Forbidden
) -> None:
    broker = paced(faulty, seconds)
    faulty.every("get_positions", fault)
    for _ in range(100):
        with pytest.raises(AccessRefused):
            broker.get_positions()
        with pytest.raises(AccessRefused):
            broker.submit_order(order(1))
    assert faulty.calls == ["get_positions"]
    seconds.sleep(61.0)
    with pytest.raises(AccessRefused):
        broker.get_positions()
    seconds.sleep(61.0)  # twice as long now
    with pytest.raises(AccessRefused):
        broker.get_positions()
    assert faulty.calls == ["get_positions"] * 2
    faulty.clear()
    seconds.sleep(61.0)
    broker.get_positions()
    faulty.every("get_positions", fault)
    with pytest.raises(AccessRefused):
        broker.get_positions()
    seconds.sleep(61.0)  # and from the beginning after an answer
    with pytest.raises(AccessRefused):
        broker.get_positions()
    assert faulty.calls == ["get_positions"] * 5


def test_a_manager_halts_once_and_tells_once_where_access_is_refused(
    faulty: FaultyBroker, seconds: Seconds, tmp_path: Path
) -> None:
    told: list[str] = []
    switch = KillSwitch(tmp_path)
    manager = BrokerManager(
        {"main": paced(faulty, seconds)}, switch, intents=IntentLog.in_memory(),
        notify=lambda kind, title, text: told.append(text), sleep=seconds.sleep,
    )  # fmt: skip
    faulty.every("submit_order", Unauthorized())
    answer = manager.submit_order(order(1))
    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "LIVE_ACCESS")  # type: ignore[union-attr]  # not for review
    assert switch.state == "HALTED"
    for number in range(2, 10):
        manager.submit_order(order(number))
        manager.submit_order(order(100 + number, -1.0, purpose="protect"))
        manager.resolve()
    assert len(told) == 1
    assert "401" in told[0]
    assert faulty.received == []
    assert faulty.calls.count("submit_order") == 1


def test_a_submit_that_a_limit_refuses_is_over_and_not_in_doubt(
    faulty: FaultyBroker, seconds: Seconds, tmp_path: Path
) -> None:
    manager = BrokerManager(
        {"main": paced(faulty, seconds)}, KillSwitch(tmp_path), intents=IntentLog.in_memory()
    )
    faulty.at("submit_order", 1, Limited(2.0))
    first = manager.submit_order(order(1))
    assert (first.outcome, first.code) == (Outcome.REJECTED, "LIVE_RATE_LIMITED")  # type: ignore[union-attr]  # not for review
    assert manager.submit_order(order(1)) == first  # its id is used up
    assert manager.submit_order(order(2)).code == "LIVE_RATE_LIMITED"  # type: ignore[union-attr]  # as above
    seconds.sleep(2.0)
    assert manager.submit_order(order(2)).outcome is Outcome.CONFIRMED
    assert manager.book.unresolved() == []


@pytest.mark.parametrize(("per_minute", "reserve"), [(0.5, 0.1), (float("nan"), 0.1), (60.0, 1.0)])
def test_the_budget_is_checked(faulty: FaultyBroker, per_minute: float, reserve: float) -> None:
    with pytest.raises(ConfigError) as caught:
        PacedBroker(faulty, per_minute=per_minute, reserve=reserve)
    assert caught.value.code == "LIVE_PACE"


@pytest.mark.parametrize("error", [RateLimited("x", retry_after=2.0), AccessRefused("y")])
def test_what_brokers_say_survives_a_process(error: BrokerError) -> None:
    import pickle

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), again.code, again.args) == (type(error), error.code, error.args)
    assert getattr(again, "retry_after", None) == getattr(error, "retry_after", None)
