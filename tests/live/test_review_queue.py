"""The review queue: durable before it is shown, judged again at approval, ended once."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted
from live.clock import FakeClock
from live.kill_switch import KillSwitch
from live.review.files import RequestFiles
from live.review_queue import ReviewQueue
from simulator.errors import ConfigError, JournalError, TwinstepWarning, UnknownNameError
from tests.live.memory_broker import START


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def switch(tmp_path: Path, clock: FakeClock) -> KillSwitch:
    return KillSwitch(tmp_path / "switch", clock=clock)


Make = Callable[..., ReviewQueue]


@pytest.fixture
def make(tmp_path: Path, switch: KillSwitch, clock: FakeClock) -> Make:
    def queue(**options: Any) -> ReviewQueue:
        return ReviewQueue(tmp_path / "reviews", switch, clock=clock, **options)

    return queue


def order(number: int = 1, **fields: Any) -> OrderRequest:
    return OrderRequest(client_order_id=f"o{number}", legs=(Leg("AAPL", 10.0),), **fields)


def spread() -> OrderRequest:
    legs = (Leg("SPY261218P00500000", -2.0), Leg("SPY261218P00490000", 2.0))
    return OrderRequest(
        client_order_id="s1", legs=legs, kind="limit", limit_price=1.5, order_class="multi_leg"
    )


def test_a_request_is_stored_before_it_is_shown_and_outlives_a_restart(make: Make) -> None:
    request = make().add(spread(), broker="paper", price=1.5)
    (again,) = make().pending()
    assert again == request
    assert again.order == spread()
    assert again.expires_at - again.created_at == timedelta(minutes=15)


def test_the_same_order_again_is_the_same_request(make: Make) -> None:
    queue = make()
    first = queue.add(order(), broker="paper", price=100.0)
    assert queue.add(order(), broker="paper", price=101.0) == first
    assert len(queue.pending()) == 1


def test_requests_wait_in_the_order_in_which_they_came(make: Make, clock: FakeClock) -> None:
    queue = make()
    for number in (3, 1, 2):
        queue.add(order(number), broker="paper")
        clock.advance(timedelta(seconds=1))
    assert [request.order.client_order_id for request in queue.pending()] == ["o3", "o1", "o2"]


def test_an_approval_holds_once_and_the_second_is_told_how_it_stands(make: Make) -> None:
    queue = make()
    name = queue.add(order(), broker="paper").request_id
    first = queue.approve(name, "ada")
    assert (first.accepted, first.request.state, first.request.decided_by) == (True, "approved", "ada")
    second = make().approve(name, "bob")
    assert (second.accepted, second.code) == (False, "LIVE_REVIEW_DECIDED")
    assert "approved by ada" in second.message
    assert "being sent" in second.message
    queue.finish(name, Submitted(outcome=Outcome.CONFIRMED, client_order_id="o1"))
    assert "confirmed" in queue.approve(name, "bob").message


def test_of_many_approving_at_once_one_does(make: Make) -> None:
    name = make().add(order(), broker="paper").request_id
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(make().approve(name, "ada").accepted))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]


def test_nobody_approves_after_the_expiry(make: Make, clock: FakeClock) -> None:
    queue = make(lifetime=timedelta(minutes=1))
    name = queue.add(order(), broker="paper").request_id
    clock.advance(timedelta(seconds=60))
    answer = queue.approve(name, "ada")
    assert (answer.accepted, answer.code, answer.request.state) == (False, "LIVE_REVIEW_EXPIRED", "expired")
    clock.advance(timedelta(seconds=-60))  # a clock that goes back brings nothing back
    assert queue.approve(name, "ada").code == "LIVE_REVIEW_EXPIRED"
    assert queue.pending() == []


def test_looking_ends_what_has_expired(make: Make, clock: FakeClock) -> None:
    queue = make()
    name = queue.add(order(), broker="paper").request_id
    clock.advance(timedelta(minutes=15))
    assert queue.pending() == []
    assert queue.get(name).state == "expired"


def test_nobody_approves_after_a_kill(make: Make, switch: KillSwitch) -> None:
    queue = make()
    name = queue.add(order(), broker="paper").request_id
    switch.engage("crash", "ada")
    answer = queue.approve(name, "bob")
    assert (answer.accepted, answer.code) == (False, "LIVE_REVIEW_KILLED")
    assert "crash" in answer.message
    switch.arm("ada", "over")
    assert queue.approve(name, "bob").code == "LIVE_REVIEW_KILLED"


def test_a_kill_that_was_armed_again_voids_what_was_asked_before(make: Make, switch: KillSwitch) -> None:
    queue = make()
    before = queue.add(order(1), broker="paper").request_id
    switch.engage("crash", "ada")
    switch.arm("ada", "over")
    after = queue.add(order(2), broker="paper").request_id
    assert queue.approve(before, "bob").code == "LIVE_REVIEW_KILLED"
    assert queue.approve(after, "bob").accepted


def test_an_exit_is_approved_while_reducing(make: Make, switch: KillSwitch) -> None:
    queue = make(price=lambda _: 1_000.0)
    entry = queue.add(order(1), broker="paper", price=100.0).request_id
    leave = queue.add(order(2, purpose="exit"), broker="paper", price=100.0).request_id
    switch.reduce("x", "ada")
    assert queue.approve(leave, "ada").accepted  # far from its price, and it leaves all the same
    assert queue.approve(entry, "ada").code == "LIVE_REVIEW_KILLED"


@pytest.mark.parametrize(("now", "code"), [(101.0, ""), (99.0, ""), (101.01, "LIVE_REVIEW_DRIFT"),
                                           (98.9, "LIVE_REVIEW_DRIFT")])  # fmt: skip
def test_an_entry_is_approved_near_the_price_it_was_asked_at(make: Make, now: float, code: str) -> None:
    queue = make(price=lambda _: now)
    name = queue.add(order(), broker="paper", price=100.0).request_id
    answer = queue.approve(name, "ada")
    assert (answer.code, answer.accepted) == (code, not code)
    assert answer.request.state == ("refused" if code else "approved")
    if code:
        assert queue.approve(name, "ada").code == "LIVE_REVIEW_DECIDED"


@pytest.mark.parametrize("now", [None, float("nan"), "boom"])
def test_an_unknown_price_approves_nothing_and_ends_nothing(make: Make, now: Any) -> None:
    def price(_: OrderRequest) -> float | None:
        if now == "boom":
            raise TimeoutError("no quote")
        return now  # type: ignore[no-any-return]

    name = make().add(order(), broker="paper", price=100.0).request_id
    assert make(price=price).approve(name, "ada").code == "LIVE_REVIEW_PRICE"
    assert make(price=lambda _: 100.0).approve(name, "ada").accepted


def test_the_drift_of_a_package_is_that_of_its_net_price(make: Make) -> None:
    queue = make(price=lambda _: -1.6)
    legs = spread()
    name = queue.add(legs, broker="paper", price=-1.5).request_id
    answer = queue.approve(name, "ada")
    assert answer.code == "LIVE_REVIEW_DRIFT"
    assert "6.67 %" in answer.message


def test_the_risk_manager_is_asked_again(make: Make) -> None:
    verdicts = {"o1": "heat 7 % over 6 %", "o2": None}
    queue = make(judge=lambda request: verdicts[request.client_order_id])
    first, second = (queue.add(order(n), broker="paper").request_id for n in (1, 2))
    refused = queue.approve(first, "ada")
    assert (refused.code, refused.request.state) == ("LIVE_REVIEW_RISK", "refused")
    assert "heat 7 %" in refused.message
    assert queue.approve(second, "ada").accepted


def test_a_risk_manager_that_cannot_be_asked_admits_nothing(make: Make) -> None:
    def judge(_: OrderRequest) -> None:
        raise OSError("the journal is gone")

    queue = make(judge=judge)
    answer = queue.approve(queue.add(order(), broker="paper").request_id, "ada")
    assert (answer.accepted, answer.code) == (False, "LIVE_REVIEW_RISK")
    assert "the journal is gone" in answer.message


def test_a_rejection_ends_it(make: Make) -> None:
    queue = make()
    name = queue.add(order(), broker="paper").request_id
    answer = queue.reject(name, "high volatility")
    assert (answer.accepted, answer.request.state, answer.request.note) == (
        True,
        "rejected",
        "high volatility",
    )
    for again in (queue.reject(name, "still"), queue.approve(name, "ada")):
        assert (again.accepted, again.code) == (False, "LIVE_REVIEW_DECIDED")
        assert "high volatility" in again.message


def test_all_that_waits_can_be_made_void(make: Make) -> None:
    queue = make()
    names = [queue.add(order(n), broker="paper").request_id for n in (1, 2, 3)]
    queue.reject(names[0], "no")
    assert queue.void_all("killed") == 2
    assert [queue.get(name).state for name in names] == ["rejected", "void", "void"]


def test_what_a_crash_left_between_approval_and_sending_is_listed(make: Make) -> None:
    queue = make()
    names = [queue.add(order(n), broker="paper").request_id for n in (1, 2)]
    for name in names:
        queue.approve(name, "ada")
    queue.finish(names[0], Submitted(outcome=Outcome.REJECTED, client_order_id="o1", code="X"))
    assert [request.request_id for request in make().unfinished()] == names[1:]
    assert queue.get(names[0]).outcome == "rejected"


def test_an_approval_that_cannot_be_stored_is_none(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make()
    name = queue.add(order(), broker="paper").request_id

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(JournalError, match="No space left") as caught:
            queue.approve(name, "ada")
        assert caught.value.code == "LIVE_REVIEW_STORE"
        with pytest.raises(JournalError):
            queue.add(order(2), broker="paper")
    assert queue.get(name).state == "pending"
    assert [request.order.client_order_id for request in make().pending()] == ["o1"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"request_id": "x"}', b"\xff"])
def test_a_damaged_request_is_named_and_not_approved(make: Make, tmp_path: Path, content: bytes) -> None:
    queue = make()
    name = queue.add(order(), broker="paper").request_id
    (tmp_path / "reviews" / f"{name}.json").write_bytes(content)
    with pytest.raises(JournalError, match=name) as caught:
        queue.approve(name, "ada")
    assert caught.value.code == "LIVE_REVIEW_STORE"


@pytest.mark.parametrize("name", ["R-0000000000000000", "", "../../etc/passwd", "R-1"])
def test_what_nobody_asked_for_is_unknown(make: Make, name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        make().approve(name, "ada")
    assert caught.value.code == "NAME_REQUEST"


@pytest.mark.parametrize("nobody", ["  ", "system", "Automation"])
def test_an_approval_needs_the_name_of_a_person(make: Make, nobody: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make().approve("R-0000000000000000", nobody)
    assert caught.value.code == "LIVE_REVIEW_NAME"


def test_a_rejection_needs_a_reason(make: Make) -> None:
    with pytest.raises(ConfigError) as caught:
        make().reject("R-0000000000000000", " ")
    assert caught.value.code == "LIVE_REVIEW_REASON"


@pytest.mark.parametrize("options", [{"lifetime": timedelta(0)}, {"max_drift_pct": 0.0},
                                     {"max_drift_pct": float("nan")}])  # fmt: skip
def test_the_limits_are_checked(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert caught.value.code == "LIVE_REVIEW_CONFIG"


NAIVE = START.replace(tzinfo=None).isoformat()


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: json.dumps(fields)[:50],
        lambda fields: "[" * 100_000,
        lambda fields: json.dumps({**fields, "created_at": NAIVE}),
        lambda fields: json.dumps({**fields, "state": "perhaps"}),
        lambda fields: json.dumps({**fields, "request_id": "R-0000000000000000"}),
        lambda fields: json.dumps({**fields, "price": "100"}),
        lambda fields: json.dumps({**fields, "order": {**fields["order"], "legs": []}}),
    ],
)
def test_a_damaged_request_is_passed_over_named_once_and_kept(
    make: Make, tmp_path: Path, damage: Callable[[dict[str, Any]], str]
) -> None:
    queue = make()
    names = [queue.add(order(n), broker="paper", price=100.0).request_id for n in (1, 2, 3)]
    file = tmp_path / "reviews" / f"{names[1]}.json"
    whole = file.read_text("ascii")
    broken = damage(json.loads(whole))
    file.write_text(broken, "ascii")
    with pytest.warns(TwinstepWarning, match=rf"LIVE_REVIEW_DAMAGED.*{names[1]}") as told:
        assert [one.request_id for one in queue.pending()] == [names[0], names[2]]
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert queue.look(names[1]) is None
        assert queue.unfinished() == []
        assert queue.void_all("killed") == 2
    assert [*queue.damaged] == [names[1]]
    assert file.read_text("ascii") == broken
    file.write_text(whole, "ascii")
    assert queue.pending()[0].request_id == names[1]
    assert queue.damaged == {}


def test_what_cannot_be_made_void_keeps_nothing_else_open(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make()
    names = [queue.add(order(n), broker="paper").request_id for n in (1, 2, 3)]
    write = RequestFiles.write

    def full(self: RequestFiles, name: str, fields: dict[str, Any]) -> None:
        if name == names[0]:
            raise JournalError("no room", code="LIVE_REVIEW_STORE")
        write(self, name, fields)

    with monkeypatch.context() as patched:
        patched.setattr(RequestFiles, "write", full)
        with pytest.raises(JournalError, match="no room"):
            queue.void_all("killed")
    assert [queue.get(name).state for name in names] == ["pending", "void", "void"]
