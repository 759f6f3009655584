"""The broker manager: routing, modes, four outcomes, one order per id, review, and the gate in front."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from live.automation.config import ExecutionMode
from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted, client_order_id
from live.brokers.manager import BrokerManager
from live.clock import FakeClock
from live.intents import IntentLog
from live.kill_switch import KillSwitch, KillSwitchError
from live.review_queue import ReviewQueue, ReviewRequest
from simulator.errors import ConfigError, JournalError, TwinstepError
from tests.live.memory_broker import START, MemoryBroker

PUT = "SPY261218P00500000"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def switch(tmp_path: Path, clock: FakeClock) -> KillSwitch:
    return KillSwitch(tmp_path / "switch", clock=clock)


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.move({"AAPL": 100.0, "MSFT": 200.0, PUT: 4.0})
    return broker


Make = Callable[..., BrokerManager]


@pytest.fixture
def make(broker: MemoryBroker, switch: KillSwitch, clock: FakeClock, tmp_path: Path) -> Make:
    def manager(**options: Any) -> BrokerManager:
        queue = ReviewQueue(tmp_path / "reviews", switch, clock=clock)
        options = {
            "brokers": {"memory": broker}, "kill_switch": switch, "review_queue": queue,
            "intents": IntentLog.in_memory(), **options,
        }  # fmt: skip
        return BrokerManager(clock=clock, sleep=lambda _: None, **options)

    return manager


def order(number: int = 1, quantity: float = 10.0, symbol: str = "AAPL", **fields: Any) -> OrderRequest:
    return OrderRequest(client_order_id=f"o{number}", legs=(Leg(symbol, quantity),), **fields)


def submit(manager: BrokerManager, request: OrderRequest) -> Submitted:
    answer = manager.submit_order(request)
    assert isinstance(answer, Submitted)
    return answer


def held(broker: MemoryBroker) -> dict[str, float]:
    return {one.symbol: one.quantity for one in broker.get_positions()}


# Values


@pytest.mark.parametrize(
    "fields",
    [
        {"client_order_id": ""},
        {"legs": ()},
        {"legs": (Leg("AAPL", 0.0),)},
        {"legs": (Leg("AAPL", float("nan")),)},
        {"legs": (Leg("", 1.0),)},
        {"legs": (Leg("SPY   261218P00500000", 1.0),)},
        {"legs": (Leg(PUT, 1.5),)},
        {"legs": (Leg("AAPL", 1.0), Leg("MSFT", 1.0))},
        {"legs": (Leg("AAPL", 1.0), Leg("AAPL", 1.0)), "order_class": "multi_leg"},
        {"legs": tuple(Leg(f"A{n}", 1.0) for n in range(5)), "order_class": "multi_leg"},
        {"order_class": "multi_leg"},
        {"kind": "limit"},
        {"kind": "market", "limit_price": 1.0},
        {"kind": "iceberg"},
        {"kind": "limit", "limit_price": float("inf")},
        {"kind": "limit", "limit_price": -1.0},
        {"kind": "trailing"},
        {"kind": "trailing", "trail_amount": 1.0, "trail_percent": 1.0},
        {"order_class": "bracket"},
        {"order_class": "bracket", "stop_loss": 95.0, "take_profit": 90.0},
        {"order_class": "bracket", "stop_loss": 95.0, "purpose": "exit"},
        {"order_class": "ladder", "stop_loss": 95.0},
        {"stop_loss": 95.0},
        {"order_class": "oco", "stop_loss": 95.0, "purpose": "exit"},
        {"order_class": "oco", "kind": "limit", "limit_price": 110.0, "stop_loss": 95.0},
        {"order_class": "oco", "kind": "limit", "limit_price": 110.0, "stop_loss": 95.0, "purpose": "exit"},
    ],
)
def test_an_order_that_cannot_be_is_refused_where_it_is_made(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        OrderRequest(**{"client_order_id": "o1", "legs": (Leg("AAPL", 10.0),), **fields})
    assert caught.value.code == "LIVE_ORDER"


def test_the_id_of_an_order_follows_from_what_it_is() -> None:
    ns = int(START.timestamp()) * 1_000_000_000
    first = client_order_id("run", "s", "AAPL", START, 0)
    assert first == client_order_id("run", "s", "AAPL", ns, 0)
    assert len(first) <= 32
    others = {
        client_order_id("run", "s", "AAPL", ns, 1),
        client_order_id("run", "s", "AAPL", ns + 1, 0),
        client_order_id("run", "s", "MSFT", ns, 0),
        client_order_id("run", "t", "AAPL", ns, 0),
        client_order_id("runs", "", "AAPL", ns, 0),
    }
    assert len(others | {first}) == 6
    with pytest.raises(ConfigError) as caught:
        client_order_id("run", "s", "AAPL", START.replace(tzinfo=None), 0)
    assert caught.value.code == "CONFIG_NAIVE_TIME"


# Routing and modes


def test_orders_go_where_their_symbol_or_kind_leads(switch: KillSwitch, clock: FakeClock) -> None:
    brokers = {name: MemoryBroker(name) for name in ("stocks", "options", "special")}
    routes = {"stock": "stocks", "option": "options", "MSFT": "special"}
    manager = BrokerManager(brokers, switch, routes=routes, clock=clock, intents=IntentLog.in_memory())
    spread = OrderRequest(
        client_order_id="s", legs=(Leg(PUT, -1.0), Leg("SPY261218P00490000", 1.0)), order_class="multi_leg"
    )
    assert [manager.route(one) for one in (order(), order(symbol=PUT), order(symbol="MSFT"), spread)] == [
        "stocks", "options", "special", "options",
    ]  # fmt: skip


def test_an_order_without_a_way_is_refused(switch: KillSwitch) -> None:
    brokers = {"a": MemoryBroker(), "b": MemoryBroker()}
    with pytest.raises(ConfigError) as caught:
        BrokerManager(brokers, switch, intents=IntentLog.in_memory()).submit_order(order())
    assert caught.value.code == "LIVE_ROUTE"
    manager = BrokerManager(brokers, switch, routes={"AAPL": "a", "MSFT": "b"}, intents=IntentLog.in_memory())
    package = OrderRequest(
        client_order_id="s", legs=(Leg("AAPL", 1.0), Leg("MSFT", 1.0)), order_class="multi_leg"
    )
    with pytest.raises(ConfigError):
        manager.submit_order(package)
    with pytest.raises(TwinstepError) as unknown:
        BrokerManager(brokers, switch, routes={"AAPL": "c"}, intents=IntentLog.in_memory())
    assert unknown.value.code == "NAME_BROKER"


def test_real_money_needs_key_flag_and_a_switch_of_its_own(tmp_path: Path, switch: KillSwitch) -> None:
    real = {"real": MemoryBroker(paper=False)}
    live = KillSwitch(tmp_path / "live", scope="live")
    log: dict[str, Any] = {"intents": IntentLog.in_memory()}
    both: dict[str, Any] = {"live_key": True, "live_flag": True}
    cases: list[tuple[dict[str, Any], KillSwitch, ExecutionMode, str]] = [
        (both, live, ExecutionMode.PAPER_ONLY, "LIVE_PAPER_ONLY"),
        ({"live_key": True}, live, ExecutionMode.LIVE, "LIVE_NOT_ENABLED"),
        ({"live_flag": True}, live, ExecutionMode.LIVE, "LIVE_NOT_ENABLED"),
        ({}, live, ExecutionMode.MANUAL_REVIEW, "LIVE_NOT_ENABLED"),
        (both, switch, ExecutionMode.LIVE, "LIVE_SCOPE"),
        (both, live, ExecutionMode.MANUAL_REVIEW, "LIVE_NO_QUEUE"),
    ]
    for options, which, mode, code in cases:
        with pytest.raises(ConfigError) as caught:
            BrokerManager(real, which, mode=mode, **log, **options)
        assert caught.value.code == code
    real["real"].move({"AAPL": 100.0})
    manager = BrokerManager(real, live, mode=ExecutionMode.LIVE, **log, **both)
    assert submit(manager, order()).code == "LIVE_HALTED"  # nobody has armed it
    live.arm("ada", "the first day")
    assert submit(manager, order()).outcome is Outcome.CONFIRMED


def test_a_mode_is_checked_when_it_is_changed(make: Make) -> None:
    manager = make(review_queue=None)
    with pytest.raises(ConfigError) as caught:
        manager.mode = ExecutionMode.MANUAL_REVIEW
    assert caught.value.code == "LIVE_NO_QUEUE"
    assert manager.mode is ExecutionMode.PAPER_ONLY
    with pytest.raises(ConfigError):
        BrokerManager({}, manager.kill_switch, intents=IntentLog.in_memory())


# Outcomes


def test_an_order_is_confirmed_once_however_often_it_is_sent(make: Make, broker: MemoryBroker) -> None:
    manager = make()
    first, second = submit(manager, order()), submit(manager, order())
    assert first.outcome is Outcome.CONFIRMED
    assert second == first
    assert held(broker) == {"AAPL": 10}
    assert broker.calls.count("submit_order") == 1
    assert submit(manager, order(quantity=11)).code == "LIVE_ORDER_ID"


def test_of_many_threads_with_one_order_one_sends(make: Make, broker: MemoryBroker) -> None:
    manager = make()
    threads = [threading.Thread(target=submit, args=(manager, order())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broker.calls.count("submit_order") == 1


def test_what_the_broker_rejects_is_rejected_and_not_sent_again(make: Make, broker: MemoryBroker) -> None:
    manager = make()
    assert submit(manager, order(symbol="NONE")).outcome is Outcome.REJECTED
    assert submit(manager, order(symbol="NONE")).outcome is Outcome.REJECTED
    assert broker.calls.count("submit_order") == 1


def lost_after(do: Callable[[], object]) -> object:
    do()
    raise TimeoutError("no answer")


def test_a_timeout_is_no_rejection_and_the_order_is_adopted(make: Make, broker: MemoryBroker) -> None:
    manager = make()
    broker.faults["submit_order"] = lost_after
    first = submit(manager, order())
    assert (first.outcome, first.code) == (Outcome.UNRESOLVED, "LIVE_NO_ANSWER")
    assert submit(manager, order()) == first
    other = submit(manager, order(2))
    assert (other.outcome, other.code) == (Outcome.DENIED, "LIVE_UNRESOLVED")
    assert "o1" in other.message
    broker.faults.clear()
    assert submit(manager, order(3, symbol="MSFT")).outcome is Outcome.CONFIRMED
    (found,) = manager.resolve()
    assert (found.outcome, found.client_order_id) == (Outcome.CONFIRMED, "o1")
    assert submit(manager, order()).outcome is Outcome.CONFIRMED
    assert submit(manager, order(2)).outcome is Outcome.CONFIRMED
    assert broker.calls.count("submit_order") == 3
    assert held(broker)["AAPL"] == 20


def test_an_order_that_never_arrived_is_given_up_after_two_answers_and_a_while(
    make: Make, broker: MemoryBroker, clock: FakeClock
) -> None:
    manager = make()
    broker.faults["submit_order"] = ConnectionError
    submit(manager, order())
    broker.faults = {"find_order": ConnectionError}
    clock.advance(timedelta(seconds=10))
    assert manager.resolve() == []  # a failed question is no answer
    broker.faults.clear()
    assert manager.resolve() == []  # once is not enough
    clock.advance(timedelta(seconds=5))
    (gone,) = manager.resolve()
    assert (gone.outcome, gone.code) == (Outcome.DENIED, "LIVE_NOT_SENT")
    assert held(broker) == {}
    assert submit(manager, order(2)).outcome is Outcome.CONFIRMED


def test_two_answers_in_a_moment_are_not_enough(make: Make, broker: MemoryBroker, clock: FakeClock) -> None:
    manager = make()
    broker.faults["submit_order"] = ConnectionError
    submit(manager, order())
    assert [manager.resolve() for _ in range(5)] == [[]] * 5
    clock.advance(timedelta(seconds=5))
    assert len(manager.resolve()) == 1


def test_the_time_that_a_timeout_took_is_no_time_between_two_answers(
    make: Make, broker: MemoryBroker, clock: FakeClock
) -> None:
    def slow(send: Callable[[], object]) -> object:
        send()
        clock.advance(timedelta(seconds=10))
        raise TimeoutError

    manager = make()
    broker.faults = {"submit_order": slow, "find_order": lambda _: None}  # there, and not listed yet
    submit(manager, order())
    broker.faults.pop("submit_order")
    for _ in range(3):
        clock.advance(timedelta(milliseconds=1))
        assert manager.resolve() == []
    assert submit(manager, order(2)).code == "LIVE_UNRESOLVED"
    broker.faults.clear()
    clock.advance(timedelta(seconds=2))
    assert [one.outcome for one in manager.resolve()] == [Outcome.CONFIRMED]
    assert held(broker) == {"AAPL": 10}


def test_after_a_restart_the_time_between_two_answers_begins_anew(
    make: Make, broker: MemoryBroker, clock: FakeClock
) -> None:
    log = IntentLog.in_memory()
    broker.faults["submit_order"] = ConnectionError
    submit(make(intents=log), order())
    clock.advance(timedelta(hours=1))
    restarted = make(intents=log)
    assert [restarted.resolve() for _ in range(3)] == [[]] * 3
    clock.advance(timedelta(seconds=5))
    assert [one.code for one in restarted.resolve()] == ["LIVE_NOT_SENT"]


@pytest.mark.parametrize("answer", [None, "ok", Submitted(outcome=Outcome.CONFIRMED, client_order_id="x")])
def test_an_answer_that_cannot_be_is_unresolved(make: Make, broker: MemoryBroker, answer: object) -> None:
    broker.faults["submit_order"] = lambda _: answer
    assert submit(make(), order()).outcome is Outcome.UNRESOLVED


# Recording


def test_the_intent_is_recorded_before_and_the_outcome_after(make: Make, broker: MemoryBroker) -> None:
    log = IntentLog.in_memory()
    known_then: list[str] = []

    def looks(do: Callable[[], object]) -> object:
        sent = log.find("o1")
        assert sent is not None
        known_then.extend(event.kind for event in log.events())
        assert sent.request == order()
        return do()

    broker.faults["submit_order"] = looks
    submit(make(intents=log), order())
    assert known_then == ["intent"]
    intent, outcome = log.events()
    assert (intent.order, intent.data["state"], intent.data["broker"]) == ("o1", "ACTIVE", "memory")
    assert intent.data["request"]["legs"] == [{"symbol": "AAPL", "quantity": 10.0}]
    assert (outcome.kind, outcome.data["outcome"], outcome.data["broker_order"]) == (
        "outcome", "confirmed", "B1",
    )  # fmt: skip


def test_what_cannot_be_recorded_is_not_sent_and_halts(
    make: Make, broker: MemoryBroker, switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise JournalError("the disk is full", code="JOURNAL_FULL")

    told: list[str] = []
    log = IntentLog.in_memory()
    manager = make(intents=log, notify=lambda kind, title, text: told.append(kind))
    with monkeypatch.context() as patched:
        for name in ("begin", "store", "note"):
            patched.setattr(log, name, full)
        denied = submit(manager, order())
        assert (denied.outcome, denied.code) == (Outcome.DENIED, "LIVE_NOT_RECORDED")
        assert "submit_order" not in broker.calls
        assert (switch.state, told) == ("HALTED", ["kill_switch"])
        assert "could not be recorded" in switch.status["reason"]
        broker.hold("AAPL", 10)
        guard = order(2, -10.0, kind="stop", stop_price=90.0, purpose="protect")
        assert submit(manager, guard).outcome is Outcome.CONFIRMED
        assert manager.engage_kill_switch("still", "ada").halt.state == "HALTED"
        assert submit(manager, order(3)).code == "LIVE_HALTED"
        assert [entry.kind for entry in manager.diary.unwritten] == ["outcome", "kill", "cancel"]
    assert submit(manager, order(4)).code == "LIVE_HALTED"  # there is room again, and nobody has armed
    switch.arm("ada", "there is room again")
    assert submit(manager, order(5)).outcome is Outcome.CONFIRMED
    assert manager.diary.unwritten == []
    assert [event.kind for event in log.events()] == [
        "outcome",
        "kill",
        "cancel",
        "denied",
        "intent",
        "outcome",
    ]
    sent = log.find("o2")
    assert sent is not None
    assert sent.order is not None


# The gate


def test_while_halted_only_what_protects_a_position_is_sent(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    manager = make()
    submit(manager, order())
    switch.engage("crash", "ada")
    assert submit(manager, order(2)).code == "LIVE_HALTED"
    assert "crash" in submit(manager, order(2)).message
    assert submit(manager, order(3, -10.0, purpose="exit")).code == "LIVE_HALTED"
    assert submit(manager, order(4, -11.0, purpose="protect")).code == "LIVE_NOT_REDUCING"
    assert submit(manager, order(5, 10.0, purpose="protect")).code == "LIVE_NOT_REDUCING"
    assert submit(manager, order(6, -4.0, purpose="protect")).outcome is Outcome.CONFIRMED
    assert submit(manager, order(7, -7.0, purpose="protect")).code == "LIVE_NOT_REDUCING"
    assert held(broker) == {"AAPL": 6}
    switch.arm("ada", "over")
    assert submit(manager, order(2)).outcome is Outcome.CONFIRMED  # denied is not sent, so it may be now


def test_unknown_holdings_let_nothing_out(make: Make, broker: MemoryBroker, switch: KillSwitch) -> None:
    broker.hold("AAPL", 10)
    switch.reduce("x", "ada")
    broker.faults["get_positions"] = ConnectionError
    assert submit(make(), order(1, -10.0, purpose="protect")).code == "LIVE_POSITION_UNKNOWN"


def test_two_exits_do_not_count_on_the_same_shares(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    broker.hold("AAPL", 10)
    switch.engage("x", "ada")
    broker.faults["submit_order"] = lost_after
    manager = make()
    broker.prices.pop("AAPL")  # the first is lost on its way and rejected there: nobody here knows
    assert submit(manager, order(1, -10.0, purpose="protect")).outcome is Outcome.UNRESOLVED
    broker.prices["AAPL"] = 100.0
    assert submit(manager, order(2, -10.0, purpose="protect")).code == "LIVE_NOT_REDUCING"


def test_an_exit_may_stand_beside_the_stop_that_guards_the_same_shares(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    manager = make()
    submit(manager, order())
    submit(manager, order(2, -10.0, kind="stop", stop_price=90.0, purpose="protect"))
    switch.engage("x", "ada")
    assert submit(manager, order(3, -10.0, purpose="protect")).outcome is Outcome.CONFIRMED
    assert held(broker) == {}


def test_a_kill_while_an_order_is_on_its_way_cancels_it(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    def killed_meanwhile(do: Callable[[], object]) -> object:
        switch.engage("crash", "ada")
        return do()

    broker.faults["submit_order"] = killed_meanwhile
    answer = submit(make(), order(kind="limit", limit_price=95.0))
    assert answer.outcome is Outcome.CONFIRMED
    assert list(broker.get_orders()) == []
    assert [one.state.label for one in broker.get_orders(open_only=False)] == ["cancelled"]


def test_a_kill_while_an_order_gets_lost_finds_and_cancels_it(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    def lost_and_killed(do: Callable[[], object]) -> object:
        do()
        switch.engage("crash", "ada")
        raise TimeoutError("no answer")

    broker.faults["submit_order"] = lost_and_killed
    assert submit(make(), order(kind="limit", limit_price=95.0)).outcome is Outcome.CONFIRMED
    assert list(broker.get_orders()) == []


def test_orders_are_replaced_and_cancelled_through_the_gate(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    manager = make()
    submit(manager, order())
    entry = submit(manager, order(2, kind="limit", limit_price=90.0)).order
    stop = submit(manager, order(3, -10.0, kind="stop", stop_price=90.0, purpose="protect")).order
    assert entry is not None
    assert stop is not None
    assert manager.replace_order("memory", entry.order_id, limit_price=91.0).limit_price == 91.0
    switch.engage("crash", "ada")
    assert manager.replace_order("memory", stop.order_id, stop_price=95.0).stop_price == 95.0
    for which, change in ((entry, {"limit_price": 99.0}), (stop, {"quantity": 11.0})):
        with pytest.raises(KillSwitchError) as caught:
            manager.replace_order("memory", which.order_id, **change)
        assert caught.value.code == "LIVE_DENIED"
    assert not manager.cancel_order("memory", entry.order_id).is_open


def test_a_change_is_on_record_before_it_is_sent(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    log = IntentLog.in_memory()
    manager = make(intents=log)
    submit(manager, order(kind="limit", limit_price=90.0))
    seen: list[str] = []

    def sent(send: Callable[[], object]) -> object:
        seen.extend(event.kind for event in log.events())
        return send()

    broker.faults["replace_order"] = sent
    manager.replace_order("memory", "B1", quantity=20.0, limit_price=91.0)
    assert seen == ["intent", "outcome", "change"]
    (change,) = log.events("change")
    assert (change.order, change.data["broker_order"]) == ("o1", "B1")
    assert change.data["wanted"] == {"quantity": 20.0, "limit_price": 91.0}


def test_a_change_that_cannot_be_recorded_is_not_sent_unless_it_protects(
    make: Make, broker: MemoryBroker, switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise JournalError("the disk is full", code="JOURNAL_FULL")

    log = IntentLog.in_memory()
    manager = make(intents=log)
    submit(manager, order())
    submit(manager, order(2, kind="limit", limit_price=90.0))
    submit(manager, order(3, -10.0, kind="stop", stop_price=90.0, purpose="protect"))
    for name in ("begin", "store", "note"):
        monkeypatch.setattr(log, name, full)
    assert manager.replace_order("memory", "B3", stop_price=95.0).stop_price == 95.0
    with pytest.raises(KillSwitchError, match="LIVE_NOT_RECORDED"):
        manager.replace_order("memory", "B2", limit_price=91.0)
    assert switch.state == "HALTED"
    assert broker.calls.count("replace_order") == 1


def test_an_entry_is_not_changed_while_its_symbol_is_in_doubt(make: Make, broker: MemoryBroker) -> None:
    manager = make()
    submit(manager, order(kind="limit", limit_price=90.0))
    manager.unreconciled["memory"] = "it was not asked yet"
    with pytest.raises(KillSwitchError, match="LIVE_UNRECONCILED"):
        manager.replace_order("memory", "B1", quantity=20.0)
    manager.unreconciled.clear()
    broker.faults["submit_order"] = TimeoutError
    assert submit(manager, order(2)).outcome is Outcome.UNRESOLVED
    with pytest.raises(KillSwitchError, match="LIVE_UNRESOLVED"):
        manager.replace_order("memory", "B1", quantity=20.0)
    assert "replace_order" not in broker.calls


@pytest.mark.parametrize("lost", [False, True])
def test_a_kill_while_an_order_is_changed_cancels_it(
    make: Make, broker: MemoryBroker, switch: KillSwitch, lost: bool
) -> None:
    manager = make()
    submit(manager, order(kind="limit", limit_price=90.0))

    def killed(send: Callable[[], object]) -> object:
        switch.engage("crash", "ada")  # in another process: nobody here cancels anything for it
        answer = send()
        if lost:
            raise TimeoutError
        return answer

    broker.faults["replace_order"] = killed
    if lost:
        with pytest.raises(TimeoutError):
            manager.replace_order("memory", "B1", quantity=20.0)
    else:
        manager.replace_order("memory", "B1", quantity=20.0)
    assert list(broker.get_orders()) == []


def test_a_kill_while_a_stop_is_changed_leaves_it(
    make: Make, broker: MemoryBroker, switch: KillSwitch
) -> None:
    manager = make()
    submit(manager, order())
    submit(manager, order(2, -5.0, kind="stop", stop_price=90.0, purpose="protect"))

    def killed(send: Callable[[], object]) -> object:
        switch.engage("crash", "ada")
        return send()

    broker.faults["replace_order"] = killed
    manager.replace_order("memory", "B2", quantity=10.0)
    assert [one.quantity for one in broker.get_orders()] == [10.0]


def test_what_is_only_repeated_while_the_disk_is_full_is_kept_once(
    make: Make, broker: MemoryBroker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise JournalError("the disk is full", code="JOURNAL_FULL")

    log = IntentLog.in_memory()
    manager = make(intents=log)
    broker.faults["submit_order"] = ConnectionError
    submit(manager, order())
    broker.faults = {"get_orders": ConnectionError}  # so that the kill is never done
    with monkeypatch.context() as patched:
        for name in ("begin", "store", "note"):
            patched.setattr(log, name, full)
        manager.engage_kill_switch("still", "ada")
        for _ in range(50):
            clock.advance(timedelta(minutes=2))
            manager.follow_kill()
            manager.engage_kill_switch("still", "ada")
            broker.faults["find_order"] = ConnectionError
        assert [entry.kind for entry in manager.diary.unwritten] == ["kill", "cancel"]
    manager.diary.flush()
    assert [event.kind for event in log.events()] == ["intent", "outcome", "kill", "cancel"]


# Review


def test_in_review_orders_wait_and_are_sent_when_approved(make: Make, broker: MemoryBroker) -> None:
    manager = make(mode=ExecutionMode.MANUAL_REVIEW)
    request = manager.submit_order(order(), price=100.0)
    assert isinstance(request, ReviewRequest)
    assert held(broker) == {}
    assert manager.get_pending_requests() == [request]
    answer = manager.approve_request(request.request_id, approved_by="user")
    assert answer.accepted
    assert answer.submitted is not None
    assert answer.submitted.outcome is Outcome.CONFIRMED
    assert (answer.request.outcome, answer.request.broker_order) == ("confirmed", "B1")
    assert held(broker) == {"AAPL": 10}
    again = manager.approve_request(request.request_id, approved_by="user")
    assert (again.accepted, again.code) == (False, "LIVE_REVIEW_DECIDED")
    assert broker.calls.count("submit_order") == 1
    assert manager.get_pending_requests() == []


def test_in_review_what_is_rejected_expired_or_killed_is_never_sent(
    make: Make, broker: MemoryBroker, clock: FakeClock
) -> None:
    manager = make(mode=ExecutionMode.MANUAL_REVIEW)
    first, second = (manager.submit_order(order(n)) for n in (1, 2))
    assert isinstance(first, ReviewRequest)
    assert isinstance(second, ReviewRequest)
    assert manager.reject_request(first.request_id, reason="High volatility").accepted
    clock.advance(timedelta(hours=1))
    assert manager.approve_request(second.request_id, approved_by="ada").code == "LIVE_REVIEW_EXPIRED"
    third = manager.submit_order(order(3))
    assert isinstance(third, ReviewRequest)
    assert manager.engage_kill_switch("crash", "ada").voided == 1
    assert manager.approve_request(third.request_id, approved_by="ada").code == "LIVE_REVIEW_KILLED"
    assert submit(manager, order(4)).code == "LIVE_HALTED"  # nothing new waits either
    assert "submit_order" not in broker.calls


def test_in_review_what_protects_a_position_does_not_wait(make: Make, broker: MemoryBroker) -> None:
    broker.hold("AAPL", 10)
    manager = make(mode=ExecutionMode.MANUAL_REVIEW)
    stop = order(1, -10.0, kind="stop", stop_price=90.0, purpose="protect")
    assert submit(manager, stop).outcome is Outcome.CONFIRMED
    assert isinstance(manager.submit_order(order(2, -10.0, purpose="exit")), ReviewRequest)


@pytest.mark.parametrize("known", [True, False])
def test_in_review_what_only_says_that_it_protects_waits(
    make: Make, broker: MemoryBroker, known: bool
) -> None:
    manager = make(mode=ExecutionMode.MANUAL_REVIEW)
    if not known:
        broker.hold("AAPL", 10)
        broker.faults["get_positions"] = ConnectionError
    stop = order(1, -10.0, kind="stop", stop_price=90.0, purpose="protect")
    assert isinstance(manager.submit_order(stop), ReviewRequest)
    assert isinstance(manager.submit_order(order(2, 10.0, purpose="protect")), ReviewRequest)
    assert "submit_order" not in broker.calls


def test_in_review_a_stop_that_was_sent_is_told_how_it_stands(make: Make, broker: MemoryBroker) -> None:
    broker.hold("AAPL", 10)
    manager = make(mode=ExecutionMode.MANUAL_REVIEW)
    stop = order(1, -10.0, kind="stop", stop_price=90.0, purpose="protect")
    submit(manager, stop)
    broker.hold("AAPL", 0)
    assert submit(manager, stop).outcome is Outcome.CONFIRMED
    assert manager.get_pending_requests() == []


def test_in_review_an_approved_order_is_not_changed_without_a_person(
    make: Make, broker: MemoryBroker
) -> None:
    broker.hold("AAPL", 20)
    manager = make(mode=ExecutionMode.MANUAL_REVIEW)
    for request in (
        order(1, 1.0, kind="limit", limit_price=90.0),
        order(2, -5.0, kind="limit", limit_price=120.0, purpose="exit"),
    ):
        waits = manager.submit_order(request)
        assert isinstance(waits, ReviewRequest)
        assert manager.approve_request(waits.request_id, "ada").accepted
    submit(manager, order(3, -10.0, kind="stop", stop_price=80.0, purpose="protect"))
    for name, change in (
        ("B1", {"quantity": 900.0, "limit_price": 101.0}), ("B1", {"limit_price": 101.0}),
        ("B2", {"limit_price": 10.0}), ("B3", {"quantity": 11.0}),
    ):  # fmt: skip
        with pytest.raises(KillSwitchError, match="MANUAL_REVIEW"):
            manager.replace_order("memory", name, **change)
    assert "replace_order" not in broker.calls
    assert manager.replace_order("memory", "B3", stop_price=85.0).stop_price == 85.0


def test_an_approved_order_whose_session_died_is_looked_up_and_not_resent(
    make: Make, broker: MemoryBroker, clock: FakeClock
) -> None:
    manager = make(mode=ExecutionMode.MANUAL_REVIEW)
    arrived, lost = (manager.submit_order(order(n)) for n in (1, 2))
    assert isinstance(arrived, ReviewRequest)
    assert isinstance(lost, ReviewRequest)
    queue = manager.review_queue
    assert queue is not None
    for request in (arrived, lost):
        queue.approve(request.request_id, "ada")
    broker.submit_order(order(1))  # and then the process ended
    restarted = make(mode=ExecutionMode.MANUAL_REVIEW)
    assert [one.client_order_id for one in restarted.recover()] == ["o1"]
    assert queue.get(arrived.request_id).outcome == "confirmed"
    clock.advance(timedelta(seconds=6))
    (gone,) = restarted.recover()
    assert (gone.client_order_id, gone.code) == ("o2", "LIVE_NOT_SENT")
    assert queue.get(lost.request_id).outcome == "denied"
    assert queue.unfinished() == []
    assert broker.calls.count("submit_order") == 1


def test_without_a_queue_nothing_waits(make: Make) -> None:
    manager = make(review_queue=None)
    assert manager.get_pending_requests() == []
    with pytest.raises(ConfigError) as caught:
        manager.approve_request("R-1", approved_by="ada")
    assert caught.value.code == "LIVE_NO_QUEUE"
