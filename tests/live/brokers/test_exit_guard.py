"""An exit never opens or turns a position: asked of the broker, before it is sent, in every state."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.automation.config import ExecutionMode
from live.brokers import sending
from live.brokers.errors import AccessRefused
from live.brokers.interface import BrokerOrder, Leg, OrderPurpose, OrderRequest, Outcome, Submitted
from live.brokers.manager import BrokerManager
from live.brokers.paper import PaperBroker
from live.brokers.shrinking import excess
from live.intents import IntentLog
from live.kill_switch import KillSwitch, KillSwitchError
from live.reconcile import Reconciler
from live.reconciling.differences import Differences
from live.review_queue import ReviewRequest
from live.venue import Venue
from simulator.types import OrderState
from tests.budget import cases
from tests.live.brokers.alpaca_rig import AlpacaRig
from tests.live.brokers.ib_rig import TwsRig
from tests.live.brokers.rig import BrokerRig, RigDesk
from tests.live.brokers.tastytrade_rig import TastytradeRig
from tests.live.desks import Desk, bracket, order
from tests.live.faulty_broker import Fault, Forbidden, Hangs, LostAfter, LostBefore, Raises
from tests.live.memory_broker import MemoryBroker

SHORT, LONG = "SPY261218P00500000", "SPY261218P00490000"
RIGS: dict[str, Callable[[], BrokerRig]] = {
    "alpaca": AlpacaRig, "interactive brokers": TwsRig, "tastytrade": TastytradeRig,
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    there = Desk(tmp_path)
    assert there.reconciler.start().clean
    yield there
    there.database.close()


@pytest.fixture(params=RIGS)
def at_fake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RigDesk]:
    rig = RIGS[request.param]()
    there = RigDesk(tmp_path, rig)
    assert there.reconciler.start().clean
    yield there
    there.database.close()
    rig.close()


def leave(
    number: int,
    quantity: float = -10.0,
    symbol: str = "AAPL",
    limit: float | None = None,
    purpose: OrderPurpose = "exit",
) -> OrderRequest:
    kind: Literal["market", "limit"] = "market" if limit is None else "limit"
    return order(number, quantity, symbol, kind=kind, limit_price=limit, purpose=purpose)


def spread(number: int, quantity: float, purpose: OrderPurpose) -> OrderRequest:
    return OrderRequest(
        client_order_id=f"o{number}", legs=(Leg(SHORT, -quantity), Leg(LONG, quantity)),
        order_class="multi_leg", purpose=purpose,
    )  # fmt: skip


# At the three brokers' fakes


def test_an_exit_of_what_is_not_held_is_not_sent(at_fake: RigDesk) -> None:
    for quantity in (-10.0, 10.0):
        answer = at_fake.submit(leave(1, quantity))
        assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_EXIT_EXCESS")
    assert at_fake.rig.received() == []
    assert at_fake.settled().clean
    assert (at_fake.books(), at_fake.rig.held()) == ({}, {})


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_exit_of_more_than_is_held_is_not_sent_and_what_is_held_may_leave(
    at_fake: RigDesk, side: float
) -> None:
    at_fake.submit(order(1, 4.0 * side))
    at_fake.settled()
    answer = at_fake.submit(leave(2, -10.0 * side))
    assert answer.code == "LIVE_EXIT_EXCESS"
    for part in (f"held {4.0 * side:+g}", f"asked {-10.0 * side:+g}", "exit 4 at most"):
        assert part in answer.message
    assert at_fake.submit(leave(3, -3.0 * side)).outcome is Outcome.CONFIRMED
    assert at_fake.submit(leave(2, -2.0 * side)).code == "LIVE_EXIT_EXCESS"
    # what was denied may be tried again, under its id
    assert at_fake.submit(leave(2, -1.0 * side)).outcome is Outcome.CONFIRMED
    assert at_fake.settled().clean
    assert (at_fake.books(), at_fake.rig.held()) == ({}, {})


def test_an_exit_that_rests_takes_its_share_and_a_stop_takes_none(at_fake: RigDesk) -> None:
    at_fake.submit(order(1))
    at_fake.settled()
    assert at_fake.submit(leave(2, -6.0, limit=120.0)).outcome is Outcome.CONFIRMED
    answer = at_fake.submit(leave(3, -5.0))
    assert answer.code == "LIVE_EXIT_EXCESS"
    assert "6 working to close it by o2" in answer.message
    assert "exit 4 at most, or cancel what works first" in answer.message
    at_fake.rig.part("o2", 2.0, 120.0)
    at_fake.run()
    assert at_fake.submit(leave(3, -5.0)).code == "LIVE_EXIT_EXCESS"
    assert at_fake.submit(leave(3, -3.0)).outcome is Outcome.CONFIRMED
    found = at_fake.faulty.find_order("o2")
    assert found is not None
    at_fake.manager.cancel_order("main", found.order_id)
    at_fake.settled()
    stop = order(4, -2.0, kind="stop", stop_price=90.0, purpose="protect")
    assert at_fake.submit(stop).outcome is Outcome.CONFIRMED
    assert at_fake.submit(leave(5, -3.0)).outcome is Outcome.CONFIRMED
    assert at_fake.settled().clean
    assert at_fake.books() == at_fake.rig.held() == {"AAPL": 2.0}


@pytest.mark.parametrize("done", [True, False])
def test_an_exit_in_doubt_counts_until_it_is_resolved(at_fake: RigDesk, done: bool) -> None:
    at_fake.submit(order(1))
    at_fake.settled()
    at_fake.rig.lose("submit", done=done)
    first = at_fake.submit(leave(2, -10.0))
    second = at_fake.submit(leave(3, -10.0))
    if first.outcome is Outcome.UNRESOLVED:
        assert second.code == "LIVE_EXIT_EXCESS"
    for _ in range(3):
        at_fake.settled()
        assert at_fake.rig.held().get("AAPL", 0.0) >= 0.0
        at_fake.submit(leave(3, -10.0))
    assert at_fake.settled().clean
    assert (at_fake.books(), at_fake.rig.held()) == ({}, {})


# What counts, and what does not


def test_a_stop_and_a_target_of_a_bracket_do_not_keep_an_exit_back(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.run()
    assert len(desk.memory.get_orders()) == 2
    assert desk.submit(leave(2)).outcome is Outcome.CONFIRMED
    assert desk.memory.get_positions() == []


@pytest.mark.parametrize("purpose", ["exit", "protect"])
def test_of_an_oco_one_half_counts_and_none_where_it_protects(desk: Desk, purpose: OrderPurpose) -> None:
    desk.submit(order(1))
    oco = order(
        2,
        -10.0,
        kind="limit",
        limit_price=110.0,
        stop_loss=95.0,
        order_class="oco",
        tif="gtc",
        purpose=purpose,
    )
    assert desk.submit(oco).outcome is Outcome.CONFIRMED
    assert len(desk.memory.get_orders()) == 2
    desk.run()
    answer = desk.submit(leave(3))
    assert answer.code == ("LIVE_EXIT_EXCESS" if purpose == "exit" else "")
    if purpose == "exit":
        assert "10 working to close it by o2," in answer.message


def listed(number: str, quantity: float, **fields: object) -> BrokerOrder:
    plain: dict[str, object] = {
        "order_id": number, "client_order_id": "", "legs": (Leg("AAPL", quantity),), "kind": "limit",
        "state": OrderState.SUBMITTED, "quantity": abs(quantity),
    }  # fmt: skip
    return BrokerOrder(**{**plain, **fields})  # type: ignore[arg-type]


TARGET = listed("t", -10.0)


@pytest.mark.parametrize(
    ("works", "counts"),
    [
        ([listed("a", -10.0)], True),  # a limit by another hand
        ([listed("a", -10.0, kind="market")], True),
        ([listed("a", -10.0, kind="stop")], False),
        ([listed("a", -10.0, kind="trailing")], False),
        ([TARGET, listed("s", -10.0, kind="stop", parent_id="t")], False),  # an oco by another hand
        ([listed("a", -10.0, parent_id="gone")], False),  # the child of a bracket
        ([listed("a", -10.0, client_order_id="ours")], True),
        ([listed("a", -10.0, client_order_id="guard")], False),
        ([listed("a", -10.0, client_order_id="enter")], False),  # it rests, and what it opens is meant
        ([listed("a", -10.0, client_order_id="enter-target")], False),
        ([listed("a", -10.0, client_order_id="guard", kind="market")], True),  # it does not rest
        ([listed("a", 10.0)], False),
        ([listed("a", -10.0, state=OrderState.CANCELLED)], False),
        ([listed("a", -10.0, filled=10.0)], False),
        ([listed("a", 10.0, kind="market"), listed("b", -10.0, kind="market")], True),  # the first may fail
        ([listed("a", float("nan"))], True),  # by an amount of money
    ],
)
def test_what_works_to_close_counts_and_what_guards_does_not(
    works: list[BrokerOrder], counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = MemoryBroker()
    broker.hold("AAPL", 10.0)
    monkeypatch.setattr(broker, "get_orders", lambda: works)
    purposes: dict[str, OrderPurpose] = {"ours": "exit", "guard": "protect", "enter": "entry"}
    found = excess(broker, leave(1), purposes, [])
    assert (found.code, found.shrinks) == (("LIVE_EXIT_EXCESS", False) if counts else ("", True))


def test_a_fill_between_the_two_questions_is_not_overlooked(desk: Desk) -> None:
    desk.submit(order(1))
    desk.submit(leave(2, -10.0, limit=120.0))

    def filled_after(do: Callable[[], object]) -> object:
        found = do()
        desk.memory.faults.clear()
        desk.memory.part("B2", 10.0, 120.0)
        return found

    # after the first answer, whichever it is
    desk.memory.faults.update(get_orders=filled_after, get_positions=filled_after)
    assert desk.submit(leave(3)).code == "LIVE_EXIT_EXCESS"
    assert desk.memory.get_positions() == []


@pytest.mark.parametrize(("short", "long"), [(2.0, 1.0), (1.0, 2.0), (2.0, 0.0), (0.0, 2.0), (-2.0, 2.0)])
def test_of_a_package_every_leg_is_measured(desk: Desk, short: float, long: float) -> None:
    desk.move({SHORT: 4.0, LONG: 2.5})
    desk.memory.hold(SHORT, -short)
    desk.memory.hold(LONG, long)
    answer = desk.submit(spread(1, -2.0, "exit"))
    assert answer.code == "LIVE_EXIT_EXCESS"
    desk.memory.hold(SHORT, -2.0)
    desk.memory.hold(LONG, 3.0)
    assert desk.submit(spread(2, -2.0, "exit")).outcome is Outcome.CONFIRMED
    held = {one.symbol: one.quantity for one in desk.memory.get_positions()}
    assert held == {LONG: 1.0}


# What it costs, in which state, and on record


@pytest.mark.parametrize("state", ["ACTIVE", "REDUCING"])
def test_an_exit_asks_twice_at_most_and_an_entry_never(desk: Desk, state: str) -> None:
    desk.submit(order(1))
    desk.faulty.calls.clear()
    if state == "REDUCING":
        desk.switch.reduce("x", "ada")
    else:
        desk.submit(order(2))
        assert [desk.faulty.calls.count(call) for call in ("get_positions", "get_orders")] == [0, 0]
    desk.faulty.calls.clear()
    assert desk.submit(leave(3)).outcome is Outcome.CONFIRMED
    assert [desk.faulty.calls.count(call) for call in ("get_positions", "get_orders")] == [1, 1]


def test_outside_active_the_code_is_that_of_the_gate_and_the_message_says_how_much(desk: Desk) -> None:
    desk.submit(order(1, 4.0))
    desk.switch.reduce("x", "ada")
    answer = desk.submit(leave(2))
    assert answer.code == "LIVE_NOT_REDUCING"
    assert "exit 4 at most" in answer.message
    desk.switch.engage("x", "ada")
    desk.faulty.calls.clear()
    assert desk.submit(leave(2)).code == "LIVE_HALTED"
    assert "get_positions" not in desk.faulty.calls


def test_a_denied_exit_is_on_record_once(desk: Desk) -> None:
    for _ in range(3):
        desk.submit(leave(1))
    (event,) = desk.log.events("denied")
    assert (event.order, event.data["code"]) == ("o1", "LIVE_EXIT_EXCESS")
    assert "held +0" in event.data["message"]
    assert desk.log.find("o1") is None
    assert desk.manager.book.live() == []


def test_an_exit_that_waited_for_a_person_is_measured_when_it_is_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path, mode=ExecutionMode.MANUAL_REVIEW)
    desk.memory.hold("AAPL", 10.0)
    waits = desk.manager.submit_order(leave(1))
    assert isinstance(waits, ReviewRequest)
    assert "get_positions" not in desk.faulty.calls
    desk.memory.hold("AAPL", 4.0)
    answer = desk.manager.approve_request(waits.request_id, "ada")
    assert isinstance(answer.submitted, Submitted)
    assert answer.submitted.code == "LIVE_EXIT_EXCESS"
    assert desk.faulty.received == []
    assert desk.queue.get(waits.request_id).outcome == "denied"
    desk.database.close()


def test_two_exits_at_once_do_not_count_on_the_same_position(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "RESOLVE_AFTER", timedelta(milliseconds=50))
    desk.submit(order(1))
    desk.faulty.at("submit_order", 1, Hangs())
    first = threading.Thread(target=desk.submit, args=(leave(2),))
    first.start()
    while desk.faulty.calls.count("submit_order") < 2:
        time.sleep(0.001)
    assert desk.submit(leave(3)).code == "LIVE_EXIT_EXCESS"  # the one that hangs may have arrived
    desk.faulty.release()
    first.join(5.0)
    assert not first.is_alive()
    assert desk.memory.get_positions() == []


# Questions without an answer


@pytest.mark.parametrize("call", ["get_positions", "get_orders"])
def test_without_an_answer_an_exit_passes_on_our_own_record_and_on_nothing_else(
    desk: Desk, call: str
) -> None:
    desk.submit(order(1))
    desk.settled()
    desk.faulty.every(call, Raises(RuntimeError("bad gateway")))
    answer = desk.submit(leave(2, -11.0))
    assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_POSITION_UNKNOWN")
    assert "bad gateway" in answer.message
    assert desk.submit(leave(3, -4.0)).outcome is Outcome.CONFIRMED
    # nobody has read what that one has filled
    assert desk.submit(leave(2, -1.0)).code == "LIVE_POSITION_UNKNOWN"
    desk.faulty.clear()
    assert desk.submit(leave(2, -6.0)).outcome is Outcome.CONFIRMED
    assert desk.settled().clean
    assert desk.memory.get_positions() == []


@pytest.mark.parametrize("guard", ["stop", "bracket"])
def test_behind_a_stop_an_exit_waits_for_the_answer(desk: Desk, guard: str) -> None:
    desk.submit(bracket(1) if guard == "bracket" else order(1))
    if guard == "stop":
        desk.submit(order(2, -10.0, kind="stop", stop_price=95.0, purpose="protect"))
    desk.settled()
    desk.move({"AAPL": 94.0})  # it has sold, and nobody has read it
    desk.faulty.every("get_positions", Raises())
    assert desk.submit(leave(3)).code == "LIVE_POSITION_UNKNOWN"
    desk.faulty.clear()
    assert desk.submit(leave(3)).code == "LIVE_EXIT_EXCESS"
    assert desk.memory.get_positions() == []


def test_a_refused_access_halts_as_it_does_when_an_order_meets_it(desk: Desk) -> None:
    desk.submit(order(1))
    desk.settled()
    desk.faulty.every("get_orders", Forbidden())
    answer = desk.submit(leave(2))
    assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_POSITION_UNKNOWN")
    assert AccessRefused.__name__ in answer.message
    assert desk.switch.state == "HALTED"


# The paper broker


def test_at_the_paper_broker_too(tmp_path: Path) -> None:
    now = datetime(2026, 3, 2, 15, tzinfo=UTC)
    broker = PaperBroker(Venue(cash=50_000.0))
    broker.venue.tick(now, {"AAPL": 100.0})
    desk = Desk(tmp_path, broker)
    assert desk.reconciler.start().clean
    assert desk.submit(leave(1)).code == "LIVE_EXIT_EXCESS"
    desk.submit(order(2, 4.0))
    broker.venue.tick(now + timedelta(minutes=1), {"AAPL": 100.0})
    assert desk.submit(leave(1)).code == "LIVE_EXIT_EXCESS"
    assert desk.submit(leave(3, -3.0)).outcome is Outcome.CONFIRMED
    assert desk.submit(leave(4, -1.0, limit=120.0)).outcome is Outcome.CONFIRMED
    assert desk.submit(leave(5, -1.0)).code == "LIVE_EXIT_EXCESS"
    broker.venue.tick(now + timedelta(minutes=2), {"AAPL": 121.0})
    assert broker.get_positions() == []
    desk.database.close()


# Whatever happens


class Quick(Desk):
    """A desk whose log is in memory."""

    def _open(self) -> None:
        self.switch = KillSwitch(self.folder / "switch", clock=self.clock)
        self.log = IntentLog.in_memory("desk")
        self.differences = Differences(self.folder / "reviews", clock=self.clock)
        self.manager = BrokerManager(
            {"main": self.faulty}, self.switch, intents=self.log, differences=self.differences,
            clock=self.clock, sleep=lambda _: None,
        )  # fmt: skip
        self.reconciler = Reconciler(self.manager)


QUANTITY = st.integers(1, 12).map(float)
FAULTS: dict[str, Fault] = {"before": LostBefore(), "after": LostAfter(), "broken": Raises()}
STEP = st.one_of(
    st.tuples(st.just("market"), QUANTITY),
    st.tuples(st.just("limit"), QUANTITY),
    st.tuples(st.just("oco"), QUANTITY),
    st.tuples(st.just("stop"), QUANTITY),
    st.tuples(st.just("fill"), QUANTITY),
    st.tuples(st.just("cancel"), st.just(0.0)),
    st.tuples(st.just("run"), st.just(0.0)),
    st.tuples(st.sampled_from(["submit_order", "get_positions", "get_orders", "find_order", "executions"]),
              st.sampled_from(sorted(FAULTS))),
)  # fmt: skip


@cases(many=250, few=50)
@given(side=st.sampled_from([1.0, -1.0]), steps=st.lists(STEP, min_size=3, max_size=14))
def test_no_position_changes_sign_through_exits(
    side: float, steps: list[tuple[str, float] | tuple[str, str]]
) -> None:
    """Exits at the market and at limits, fills in part, lost answers; in the end all that works fills."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Quick(Path(folder))
        memory = desk.memory
        desk.submit(order(0, 10.0 * side))
        desk.settled()

        def check() -> None:
            (held,) = [one.quantity for one in memory.get_positions()] or [0.0]
            assert held * side >= 0.0

        target = 120.0 if side > 0 else 80.0
        for number, (what, how) in enumerate(steps, 1):
            works = [one for one in memory.get_orders() if one.is_open]
            if isinstance(how, str):
                desk.faulty.at(what, 1, FAULTS[how])
            elif what in ("market", "limit"):
                desk.submit(leave(number, -how * side, limit=target if what == "limit" else None))
            elif what == "oco":
                oco = order(
                    number, -how * side, kind="limit", limit_price=target, stop_loss=200.0 - target,
                    order_class="oco", purpose="exit",
                )  # fmt: skip
                desk.submit(oco)
            elif what == "stop":
                stop = order(number, -how * side, kind="stop", stop_price=200.0 - target, purpose="exit")
                desk.submit(stop)
            elif what == "fill" and works:
                memory.part(works[0].order_id, min(how, works[0].quantity - works[0].filled), 100.0)
            elif what == "cancel" and works:
                memory.cancel_order(works[0].order_id)
            elif what == "run":
                desk.settled()
            check()
        for one in memory.get_orders():
            still = {there.order_id for there in memory.get_orders()}
            if one.order_id in still:
                memory.part(one.order_id, one.quantity - one.filled, target)
            check()


def resize(desk: Desk, identity: str, quantity: float) -> float:
    found = desk.memory.find_order(identity)
    assert found is not None
    return desk.manager.replace_order("main", found.order_id, quantity=quantity).quantity


def test_an_exit_that_is_made_larger_is_measured_like_a_new_one(desk: Desk) -> None:
    desk.submit(order(1))
    assert desk.settled().clean
    assert desk.submit(leave(2, -5.0, limit=120.0)).outcome is Outcome.CONFIRMED
    with pytest.raises(KillSwitchError, match="LIVE_EXIT_EXCESS") as error:
        resize(desk, "o2", 11.0)
    assert error.value.code == "LIVE_DENIED"
    assert desk.submit(leave(3, -3.0, limit=121.0)).outcome is Outcome.CONFIRMED
    with pytest.raises(KillSwitchError, match="o3"):
        resize(desk, "o2", 8.0)
    assert desk.faulty.calls.count("replace_order") == 0
    assert resize(desk, "o2", 7.0) == 7.0  # its own five do not count beside it
    desk.move({"AAPL": 130.0})
    assert desk.settled().clean
    assert desk.memory.get_positions() == []


def test_a_part_that_has_filled_has_left_already(desk: Desk) -> None:
    desk.submit(order(1))
    desk.submit(leave(2, -5.0, limit=120.0))
    there = desk.memory.find_order("o2")
    assert there is not None
    desk.memory.part(there.order_id, 2.0, 120.0)
    desk.run()
    with pytest.raises(KillSwitchError, match="LIVE_EXIT_EXCESS"):
        resize(desk, "o2", 11.0)  # two are gone, and of the eight that are left nine would go
    assert resize(desk, "o2", 10.0) == 10.0


def test_a_stop_that_is_made_larger_never_guards_more_than_is_held(desk: Desk) -> None:
    desk.submit(order(1))
    assert desk.settled().clean
    stop = leave(2, -4.0, purpose="protect")
    desk.submit(replace(stop, kind="stop", stop_price=90.0))
    with pytest.raises(KillSwitchError, match="LIVE_EXIT_EXCESS"):
        resize(desk, "o2", 12.0)
    assert resize(desk, "o2", 10.0) == 10.0
    assert resize(desk, "o2", 6.0) == 6.0


def test_what_nobody_can_measure_is_not_made_larger(desk: Desk) -> None:
    desk.submit(order(1))
    desk.submit(leave(2, -5.0, limit=120.0))
    desk.run()
    there = desk.memory.find_order("o2")
    assert there is not None
    desk.faulty.every("get_positions", LostBefore())
    with pytest.raises(KillSwitchError, match="LIVE_POSITION_UNKNOWN"):
        desk.manager.replace_order("main", there.order_id, quantity=6.0)
    assert desk.faulty.calls.count("replace_order") == 0


def test_an_entry_that_is_made_larger_is_not_measured_by_what_is_held(desk: Desk) -> None:
    desk.submit(order(1, 5.0, kind="limit", limit_price=90.0))
    assert resize(desk, "o1", 50.0) == 50.0
