"""What is held, where the broker tells of one fill in several places, and not in all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from live.automation.config import ExecutionMode
from live.brokers.interface import BrokerOrder, OrderRequest, Submitted
from live.decisions import leave_decision
from live.following import BrokerSession, followed
from simulator.brokerage import Execution, Holding
from simulator.conventions import Conventions
from simulator.risk_limits import RiskLimits
from simulator.signals import Signals
from tests.live.faulty_broker import LostBefore
from tests.live.following.rig import Rig, made_bars, signal
from tests.live.following.test_follow_property import played
from tests.live.memory_broker import MemoryBroker
from tests.simulator.kernel.test_packages import AT_MID, market, opened

BARS = made_bars([100.0] * 14, wide=0.5)
TWO: dict[str, Any] = {
    "risk": RiskLimits(daily_loss_limit=99.0, max_positions_per_symbol=4),
    "conventions": Conventions(same_side="add"),
}


class Trap(MemoryBroker):
    """The price falls at the moment in which an order is to be cancelled."""

    trap = False

    def cancel_order(self, order_id: str) -> BrokerOrder:
        if self.trap:
            self.trap = False
            self.move({"AAA": 94.5})
        return super().cancel_order(order_id)


class Slow(MemoryBroker):
    """The first entry is lost on its way, and may arrive later."""

    def __init__(self) -> None:
        super().__init__()
        self.box: list[OrderRequest] = []

    def submit_order(self, request: OrderRequest) -> Submitted:
        if request.purpose == "entry" and not self.box:
            self.box.append(request)
            raise TimeoutError("no answer")
        return super().submit_order(request)


class Lagging(MemoryBroker):
    """Positions and executions stand still, orders do not; `forgets`: what has ended is not listed."""

    forgets = False

    def __init__(self) -> None:
        super().__init__()
        self.stale: tuple[Sequence[Holding], Sequence[Execution]] | None = None

    def stand_still(self) -> None:
        self.stale = (super().get_positions(), list(super().executions()))

    def get_positions(self) -> Sequence[Holding]:
        return super().get_positions() if self.stale is None else self.stale[0]

    def executions(self, since: Any = None) -> Sequence[Execution]:
        return super().executions(since) if self.stale is None else self.stale[1]

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        return super().get_orders(open_only=open_only or self.forgets)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        found = super().find_order(client_order_id)
        return None if found is not None and self.forgets and not found.is_open else found


def two(first: dict[str, Any] | None = None) -> Signals:
    """Two positions of ten; the first has a stop at 95, the second one at 80."""
    parts = [{"qty": 10.0, "stop": 95.0, **(first or {})}, {"qty": 10.0, "stop": 80.0}]
    return Signals.concat(
        [
            Signals.from_arrays(BARS, [1 + number], [0], [1], **{name: [one] for name, one in part.items()})
            for number, part in enumerate(parts)
        ]
    )


def looks(r: Rig, price: float, count: int = 3) -> None:
    for _ in range(count):
        r.move({"AAA": price})
        r.session.poll()


def reviewed(folder: Path, memory: MemoryBroker) -> Rig:
    """A position whose signal exit waits for a person, who has said yes."""
    both = Signals.concat([signal(BARS, 1, qty=10.0, stop=95.0), signal(BARS, 4, 0)])
    r = Rig(folder, BARS, both, memory=memory)
    r.play(0, 4)
    r.session.desk.manager.mode = ExecutionMode.MANUAL_REVIEW
    r.bar(4)
    (request,) = r.session.desk.manager.get_pending_requests()
    leave_decision(folder / "journal.db.switch" / "reviews", request.request_id, "ada")
    return r


def sold(r: Rig) -> float:
    """What left by orders at the market."""
    return sum(one.quantity for one in r.records("close"))


def test_an_approved_exit_is_not_sent_once_the_stop_has_filled(tmp_path: Path) -> None:
    r = reviewed(tmp_path, MemoryBroker())
    sent = len(r.faulty.received)
    r.move({"AAA": 94.0})
    looks(r, 94.0)
    assert r.held() == 0.0
    assert len(r.faulty.received) == sent
    r.close()


def test_an_approved_exit_is_measured_again_after_its_stop_was_taken_back(tmp_path: Path) -> None:
    memory = Trap()
    r = reviewed(tmp_path, memory)
    objections: list[str | None] = []
    judge = r.session.follower.objection

    def judged(order: OrderRequest) -> str | None:
        objections.append(judge(order))
        return objections[-1]

    r.session._opened.objection = judged
    sent = len(r.faulty.received)
    memory.trap = True  # the stop fills instead of being cancelled
    r.session.poll()
    assert objections == ["10 of AAA were to leave, and 0 is held of it"]
    assert len(r.faulty.received) == sent
    looks(r, 100.0)
    assert r.held() == 0.0
    r.close()


def test_an_approved_exit_leaves(tmp_path: Path) -> None:
    r = reviewed(tmp_path, MemoryBroker())
    looks(r, 100.0)
    assert r.held() == 0.0
    assert r.working() == []
    r.close()


def test_an_exit_is_refused_while_the_broker_does_not_say_what_is_held(tmp_path: Path) -> None:
    r = reviewed(tmp_path, MemoryBroker())
    (record,) = r.records("close")
    request = OrderRequest(client_order_id=record.client_order_id, legs=record.legs, purpose="exit")
    r.faulty.every("executions", LostBefore())
    assert "nobody can say what is held" in str(r.session.follower.objection(request))
    assert len(r.working("stop")) == 1  # the stop stays
    r.close()


def test_a_stop_that_filled_before_a_start_is_not_sold_from_another_position(tmp_path: Path) -> None:
    r = Rig(tmp_path, BARS, two(), options=TWO)
    r.play(0, 5)
    r.session.close()
    r.memory.move({"AAA": 94.0})
    assert r.held() == 10.0
    r.session = r.opened()
    looks(r, 94.0)
    assert r.held() == 10.0
    assert [one.stop_price for one in r.working("stop")] == [80.0]
    assert sold(r) == 0.0
    r.close()


def test_a_stop_that_filled_before_a_start_is_not_sold_from_shares_by_hand(tmp_path: Path) -> None:
    memory = MemoryBroker()
    memory.prices["AAA"] = 100.0
    memory.hold("AAA", 50.0)
    r = Rig(tmp_path, BARS, signal(BARS, 1, qty=10.0, stop=95.0), memory=memory)
    for one in r.session.desk.manager.get_differences():
        assert r.session.desk.manager.differences is not None
        r.session.desk.manager.differences.accept(one.item_id, "ada", "mine")
    r.session.poll()
    r.session.kill_switch.arm("ada", "looked")
    r.play(0, 5)
    assert r.held() == 60.0
    r.session.close()
    memory.move({"AAA": 94.0})
    r.session = r.opened()
    looks(r, 94.0)
    assert r.held() == 50.0
    r.close()


def test_a_stop_that_fills_while_it_is_cancelled_is_not_sold_from_another_position(tmp_path: Path) -> None:
    memory = Trap()
    r = Rig(tmp_path, BARS, two({"max_bars": 4}), memory=memory, options=TWO)
    for row in range(9):
        memory.trap = memory.trap or (r.planned() == 20.0 and row >= 5)
        r.bar(row)
    looks(r, 100.0)
    assert r.held() == 10.0
    assert [one.stop_price for one in r.working("stop")] == [80.0]
    assert sold(r) == 0.0
    r.close()


def test_a_fill_counts_by_its_orders_word_before_its_execution_is_told(tmp_path: Path) -> None:
    memory = Lagging()
    r = Rig(tmp_path, BARS, signal(BARS, 1, qty=10.0, stop=95.0), memory=memory)
    r.play(0, 4)
    memory.stand_still()
    looks(r, 94.0)
    (case,) = r.session.follower.cases
    assert (case.counted, case.held, case.is_waiting) == (0.0, 0.0, False)
    assert len(r.faulty.received) == 1
    memory.stale = None
    looks(r, 94.0)
    assert (r.held(), r.working()) == (0.0, [])
    r.close()


def test_nothing_is_sent_while_a_stop_has_vanished_without_a_word(tmp_path: Path) -> None:
    memory = Lagging()
    r = Rig(tmp_path, BARS, signal(BARS, 1, qty=10.0, stop=95.0), memory=memory)
    r.play(0, 4)
    memory.stand_still()
    memory.forgets = True
    r.move({"AAA": 94.0})
    for _ in range(5):
        memory.now += timedelta(seconds=5)
        r.clock.set(memory.now)
        r.session.poll()
        (case,) = r.session.follower.cases
        assert case.is_waiting
        assert len(r.faulty.received) == 1
    assert any("nobody has said how it ended" in one for one in r.session.status().problems)
    memory.stale = None
    looks(r, 94.0)
    assert (r.held(), r.working()) == (0.0, [])
    assert len(r.faulty.received) == 1
    r.close()


def test_a_stop_that_is_simply_gone_is_replaced_after_a_while(tmp_path: Path) -> None:
    memory = Lagging()
    r = Rig(tmp_path, BARS, signal(BARS, 1, qty=10.0, stop=95.0), memory=memory)
    r.play(0, 4)
    (stop,) = r.working("stop")
    memory.cancel_order(stop.order_id)
    memory.forgets = True
    r.session.poll()
    assert r.working("stop") == []
    looks(r, 100.0)
    (own,) = r.working("stop")
    assert (own.stop_price, own.quantity) == (95.0, 10.0)
    r.close()


def test_a_stop_that_was_cancelled_by_the_brokers_word_is_replaced_at_once(tmp_path: Path) -> None:
    r = Rig(tmp_path, BARS, signal(BARS, 1, qty=10.0, stop=95.0))
    r.play(0, 4)
    (stop,) = r.working("stop")
    r.memory.cancel_order(stop.order_id)
    r.session.poll()
    assert [one.stop_price for one in r.working("stop")] == [95.0]
    r.close()


def test_an_entry_that_was_given_up_and_arrives_later_does_not_stay(tmp_path: Path) -> None:
    memory = Slow()
    r = Rig(tmp_path, BARS, signal(BARS, 1, qty=10.0), memory=memory)
    r.play(0, 2)
    looks(r, 100.0)
    r.play(2, 6)
    assert [one.kind for one in r.parted()] == ["not_entered"]
    MemoryBroker.submit_order(memory, memory.box[0])
    assert r.held() == 10.0
    looks(r, 100.0)
    assert (r.held(), r.working()) == (0.0, [])
    assert sold(r) == 10.0
    looks(r, 100.0)
    assert r.session.follower.cases == []
    r.close()


def test_packages_that_share_a_contract_on_opposite_sides_keep_apart(tmp_path: Path) -> None:
    bars = market([92.0] * 2 + [88.0] * 10, last=11)
    upper, lower = [(-1, "put", 95.0), (1, "put", 90.0)], [(-1, "put", 90.0), (1, "put", 85.0)]
    signals = Signals.concat(
        [
            opened(bars, 11, legs, side=-1, row=row, qty=1.0, dte_exit=5)
            for row, legs in ((1, upper), (2, lower))
        ]
    )
    with BrokerSession(
        tmp_path / "journal.db", like=bars, name="desk", costs=AT_MID, risk=None, sleep=lambda _: None,
        conventions=Conventions(same_side="add"),
    ) as session:  # fmt: skip
        for row in range(11):
            mine = signals.records[signals.records["ts"] == int(bars.ts[row])]
            session.push(
                bars[row : row + 1],
                Signals(
                    mine, signals.symbols, strategies=signals.strategies, tags=signals.tags,
                    packages=signals.packages, legs=signals.legs,
                ),
            )  # fmt: skip
            if row == 3:
                assert [case.held for case in session.follower.cases] == [1.0, 1.0]
                there = {one.symbol[-9:]: one.quantity for one in session.broker.get_positions()}
                assert there == {"P00085000": 1.0, "P00095000": -1.0}
        assert session.broker.get_positions() == []
        closes = [one.order for one in followed(session.session.database, "desk") if one.role == "close"]
        assert closes == [0, 1]


def test_an_account_without_a_worth_is_still_followed(tmp_path: Path) -> None:
    r = Rig(tmp_path, BARS, signal(BARS, 1, qty=10.0, stop=95.0, max_bars=3))
    r.play(0, 3)
    r.faulty.every("get_account", LostBefore())
    (stop,) = r.working("stop")
    r.memory.cancel_order(stop.order_id)
    looks(r, 100.0)
    assert len(r.working("stop")) == 1
    status = r.session.status()
    assert (status.equity, status.cash) == (None, None)
    assert any("what the account is worth" in one for one in status.problems)
    r.play(3, 7)
    assert r.held() == 0.0
    r.faulty.clear()
    r.session.poll()
    assert r.session.status().equity is not None
    assert not any("worth" in one for one in r.session.status().problems)
    r.close()


def test_one_poll_goes_on_until_what_is_left_is_guarded_again() -> None:
    # an add that is withdrawn filled in part, a part that is sold, and both stops taken back in one poll
    played(9025, 0.2, restarts=True, count=30)
