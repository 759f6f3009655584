"""Timeouts and budgets of requests: no call without an end, and always one left for a cancel."""

from __future__ import annotations

import pickle
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.brokers.errors import RateLimited
from live.brokers.rate_limit import CallKind, RateLimit
from live.brokers.timeouts import CallTimeout, limited, within
from simulator.errors import ConfigError
from tests.budget import cases


class Hands:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def limit_at(hands: Hands, per_minute: float, reserve: float = 0.1, burst: float | None = None) -> RateLimit:
    return RateLimit(per_minute, reserve, burst=burst, clock=hands.time, sleep=hands.sleep)


def test_a_call_that_returns_is_returned_and_one_that_raises_raises() -> None:
    assert within(5.0, lambda: "answer") == "answer"
    assert within(5.0, lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 / 0)


def test_a_call_that_hangs_is_given_up_and_its_outcome_called_unknown() -> None:
    free = threading.Event()
    began = time.monotonic()
    with pytest.raises(CallTimeout) as caught:
        within(0.05, free.wait, what="placing an order")
    free.set()
    assert time.monotonic() - began < 2.0
    assert caught.value.code == "LIVE_TIMEOUT"
    assert "placing an order" in str(caught.value)
    assert "not known" in str(caught.value)
    assert isinstance(caught.value, TimeoutError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_limit_that_is_none_is_refused_before_anything_is_called(seconds: float) -> None:
    called: list[bool] = []
    with pytest.raises(ConfigError) as caught:
        within(seconds, lambda: called.append(True))
    assert caught.value.code == "LIVE_TIMEOUT_RANGE"
    assert not called


def test_a_session_gets_a_limit_where_a_request_brings_none() -> None:
    class Session:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def request(self, method: str, url: str, timeout: float | None = None) -> None:
            self.seen.append(timeout)

    session = Session()
    assert limited(session, 7.0) is session
    session.request("GET", "/")
    session.request("GET", "/", timeout=None)
    session.request("GET", "/", timeout=2.0)
    assert session.seen == [7.0, 7.0, 2.0]


def test_questions_leave_the_reserve_to_cancels() -> None:
    hands = Hands()
    limit = limit_at(hands, 20, 0.1)
    for _ in range(18):
        limit.wait("read", 0.0)
    for kind in ("read", "submit"):
        with pytest.raises(RateLimited) as caught:
            limit.wait(kind, 0.0)
        assert caught.value.retry_after == pytest.approx(3.0)
        assert caught.value.code == "LIVE_RATE_LIMITED"
    limit.wait("cancel", 0.0)
    limit.wait("cancel", 0.0)
    with pytest.raises(RateLimited):
        limit.wait("cancel", 0.0)
    assert hands.slept == []


def test_who_can_wait_waits_exactly_as_long_as_needed() -> None:
    hands = Hands()
    limit = limit_at(hands, 60, 0.0, burst=1)
    limit.wait("read", 5.0)
    limit.wait("read", 5.0)
    assert hands.slept == [pytest.approx(1.0)]


def test_what_cannot_come_in_time_is_not_waited_for() -> None:
    hands = Hands()
    limit = limit_at(hands, 6, 0.0, burst=1)
    limit.wait("submit", 5.0)
    with pytest.raises(RateLimited):
        limit.wait("submit", 5.0)
    assert hands.slept == []


def test_a_broker_that_says_wait_is_left_alone_by_cancels_too() -> None:
    hands = Hands()
    limit = limit_at(hands, 200)
    limit.penalise(4.0)
    assert limit.left == 0.0
    with pytest.raises(RateLimited):
        limit.wait("cancel", 1.0)
    limit.wait("cancel", 5.0)
    assert hands.slept == [pytest.approx(4.0)]


@pytest.mark.parametrize(("per_minute", "reserve"), [(0.0, 0.1), (1.0, 0.1), (10.0, 1.0), (10.0, -0.1)])
def test_a_budget_without_room_is_refused(per_minute: float, reserve: float) -> None:
    with pytest.raises(ConfigError) as caught:
        RateLimit(per_minute, reserve)
    assert caught.value.code == "LIVE_PACE"


@cases(many=60, few=12)
@given(
    per_minute=st.integers(10, 300),
    reserve=st.sampled_from([0.1, 0.2, 0.5]),
    calls=st.lists(
        st.tuples(st.sampled_from(["read", "submit", "cancel"]), st.floats(0.0, 3.0)), max_size=80
    ),
)
def test_no_window_sees_more_than_burst_and_what_flows_in(
    per_minute: int, reserve: float, calls: list[tuple[CallKind, float]]
) -> None:
    hands = Hands()
    limit = limit_at(hands, per_minute, reserve)
    went: list[tuple[float, CallKind]] = []
    for kind, pause in calls:
        hands.now += pause
        try:
            limit.wait(kind, 1.0)
        except RateLimited:
            continue
        went.append((hands.now, kind))
    kept = max(1.0, per_minute * reserve)
    for first, (start, _) in enumerate(went):
        for last in range(first, len(went)):
            flowed = per_minute + (went[last][0] - start) * per_minute / 60.0
            among = went[first : last + 1]
            assert len(among) <= flowed + 1e-6
            if all(kind != "cancel" for _, kind in among):
                assert len(among) <= flowed - kept + 1e-6


def test_threads_share_one_budget() -> None:
    limit = RateLimit(100, 0.1, clock=lambda: 5.0)
    went: list[int] = []

    def take() -> None:
        for _ in range(40):
            try:
                limit.wait("read", 0.0)
            except RateLimited:
                continue
            went.append(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(went) == 90
