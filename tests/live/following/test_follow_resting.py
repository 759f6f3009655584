"""What rests and what leaves when brokers are slow, refuse, split, or a person does not decide."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live.automation.config import ExecutionMode
from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted, denied
from live.following import BrokerSession, followed
from simulator import Bars
from simulator.errors import JournalError
from simulator.kernel.dtypes import QUOTE
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from simulator.signals import Signals
from tests.live.following.rig import Rig, made_bars, signal
from tests.live.memory_broker import MemoryBroker, Resting
from tests.simulator.kernel.test_packages import AT_MID, STRIKES

FLAT = [100.0] * 14


def rig(
    folder: Path, closes: list[float] | None = None, memory: MemoryBroker | None = None, **columns: Any
) -> Rig:
    bars = made_bars(FLAT if closes is None else closes, wide=0.5)
    told = {"qty": 10.0, "stop": 95.0, **columns}
    mine = signal(bars, 1, **{name: value for name, value in told.items() if value is not None})
    return Rig(folder, bars, mine, memory=MemoryBroker() if memory is None else memory)


def later(r: Rig, seconds: float) -> None:
    """Look again after a while in which no price moves."""
    r.memory.now += timedelta(seconds=seconds)
    r.clock.set(r.memory.now)
    r.session.poll()


def refused(request: OrderRequest, why: str) -> Submitted:
    return Submitted(
        outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code="LIVE_BROKER_REJECTED",
        message=why,
    )  # fmt: skip


class Slow(MemoryBroker):
    """The first order of a kind that leaves is lost on its way, until the test lets it arrive."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.lost: list[OrderRequest] = []

    def submit_order(self, request: OrderRequest) -> Submitted:
        if request.kind == self.kind and request.purpose != "entry" and not self.lost:
            self.lost.append(request)
            raise TimeoutError("no answer")
        return super().submit_order(request)

    def arrives(self) -> None:
        super().submit_order(self.lost[0])


def test_an_exit_that_was_given_up_keeps_its_id(tmp_path: Path) -> None:
    memory = Slow("market")
    r = rig(tmp_path, memory=memory, max_bars=3)
    row = 0
    while not memory.lost:
        r.bar(row)
        row += 1
    for _ in range(3):
        later(r, 4.0)
    memory.arrives()
    for _ in range(3):
        r.session.poll()
        r.move({"AAA": 100.0})
    assert r.held() == 0.0
    assert len({one.client_order_id for one in r.records("close")}) == 1
    assert r.working() == []


def test_a_stop_that_was_given_up_keeps_its_id(tmp_path: Path) -> None:
    memory = Slow("stop")
    r = rig(tmp_path, memory=memory)
    r.play(0, 3)
    (stop,) = r.working("stop")
    memory.cancel_order(stop.order_id)
    for _ in range(6):
        later(r, 70.0)
    assert memory.lost
    memory.arrives()
    r.session.poll()
    r.move({"AAA": 94.0})
    assert r.held() == 0.0
    assert len({one.client_order_id for one in r.records("stop")}) == 1


def test_a_split_moves_nothing_until_the_plan_has_it(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 5)
    (stop,) = r.memory.get_orders()
    r.memory.split("AAA", 2.0)
    resting = r.memory._resting[stop.order_id]
    resting.order = r.memory._orders[stop.order_id] = replace(
        resting.order, quantity=20.0, legs=(Leg("AAA", -20.0),), stop_price=47.5
    )
    later(r, 43_200.0)
    for _ in range(2):
        r.move({"AAA": 50.0})
        r.session.poll()
    assert r.held() == 20.0
    assert [(one.quantity, one.stop_price) for one in r.working()] == [(20.0, 47.5)]


def test_an_accepted_split_sells_nothing_until_the_plan_has_it(tmp_path: Path) -> None:
    r = rig(tmp_path, stop=None)
    r.play(0, 5)
    r.memory.split("AAA", 2.0)
    later(r, 43_200.0)
    kept = r.session.desk.manager.differences
    assert kept is not None
    for one in kept.open():
        kept.accept(one.item_id, "ada", "a split")
    for _ in range(2):
        r.move({"AAA": 50.0})
        r.session.poll()
    assert r.held() == 20.0
    assert r.records("close") == []


class Strict(MemoryBroker):
    """Refuses a stop that would sell at once."""

    drop: float | None = None
    refusals = 0

    def submit_order(self, request: OrderRequest) -> Submitted:
        beyond = request.stop_price is not None and self.prices["AAA"] <= request.stop_price
        if request.kind == "stop" and beyond:
            self.refusals += 1
            return refused(request, "the stop is above the market")
        answer = super().submit_order(request)
        if request.kind == "market" and request.purpose == "protect" and self.drop is not None:
            self.prices["AAA"] = self.drop
        return answer


def test_what_is_bare_beyond_its_stop_leaves_at_the_market(tmp_path: Path) -> None:
    memory = Strict()
    closes = [100.0, 100.0, 103.0, *[106.0] * 7]
    r = rig(tmp_path, closes, memory, scale_out_r=1.0, scale_out_fraction=0.5, breakeven_r=1.0)
    r.play(0, 3)
    memory.drop = 99.0
    r.bar(3)
    memory.drop = None
    for price in (98.5, 98.0):
        r.move({"AAA": price})
        r.session.poll()
    assert r.held() == 0.0
    assert r.working() == []
    assert r.records("close")[-1].reason == "stop passed"


def test_what_is_bare_beyond_its_stop_leaves_before_the_plan_has_entered(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 2)
    (stop,) = r.working("stop")
    assert (r.planned(), r.held()) == (0.0, 10.0)
    r.memory.cancel_order(stop.order_id)  # as both legs of a pair end where one is cancelled
    r.move({"AAA": 94.0})
    r.session.poll()
    r.move({"AAA": 94.0})
    r.session.poll()
    assert r.held() == 0.0
    assert r.working() == []
    assert [one.reason for one in r.records("close")] == ["stop passed"]


class Refusing(MemoryBroker):
    """Takes nothing at the market, where told."""

    no = False

    def submit_order(self, request: OrderRequest) -> Submitted:
        if self.no and request.kind == "market":
            return refused(request, "the stock is halted")
        return super().submit_order(request)


@pytest.mark.parametrize("restarted", [False, True])
def test_the_stop_is_put_back_where_the_exit_is_refused(tmp_path: Path, restarted: bool) -> None:
    memory = Refusing()
    r = rig(tmp_path, memory=memory, max_bars=3)
    r.play(0, 3)
    memory.no = True
    r.play(3, 6)
    if restarted:
        r.restart()
    r.play(6, 8)
    assert r.planned() == 0.0
    assert r.held() == 10.0
    assert [(one.quantity, one.stop_price) for one in r.working("stop")] == [(10.0, 95.0)]
    memory.no = False
    r.bar(8)
    assert r.held() == 0.0
    assert r.working() == []


def test_an_exit_that_is_kept_back_here_takes_the_stop_back_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = rig(tmp_path, max_bars=3)
    r.play(0, 3)
    manager, real, tries = r.session.desk.manager, r.session.desk.manager.submit_order, []

    def keeping(request: OrderRequest, **how: Any) -> Any:
        if request.kind != "market":
            return real(request, **how)
        tries.append(request.client_order_id)
        return denied(request, code="LIVE_POSITION_UNKNOWN", message="nobody can say what is held")

    monkeypatch.setattr(manager, "submit_order", keeping)
    r.play(3, 6)
    assert (r.planned(), r.held()) == (0.0, 10.0)
    before = len(tries)
    for _ in range(6):
        later(r, 5.0)
        assert [one.quantity for one in r.working("stop")] == [10.0]
    assert len(tries) == before, "the stop is taken back with every look"
    later(r, 60.0)
    assert len(tries) == before + 1
    assert len(set(tries)) == 1
    monkeypatch.undo()
    r.bar(6)
    assert r.held() == 0.0
    assert r.working() == []


class Sleepy(MemoryBroker):
    """Children of a bracket sleep until all of it has filled."""

    def _guard(self, resting: Resting) -> None:
        if resting.order.filled >= resting.order.quantity:
            super()._guard(resting)


def test_an_entry_that_fills_slowly_is_cut_short_in_time(tmp_path: Path) -> None:
    r = rig(tmp_path, memory=Sleepy(), entry="limit", entry_price=99.0, qty=50.0)
    r.play(0, 2)
    (entry,) = r.working("limit")
    polls = 0
    while entry.order_id in r.memory._resting and polls < 20:
        r.memory.part(entry.order_id, 1.0, 99.0)
        later(r, 1.0)
        polls += 1
    assert polls <= 4
    assert r.held() == sum(one.quantity for one in r.working("stop")) == polls


def test_the_while_is_counted_where_the_clock_goes_back(tmp_path: Path) -> None:
    r = rig(tmp_path, memory=Sleepy(), entry="limit", entry_price=99.0, qty=50.0)
    r.play(0, 2)
    (entry,) = r.working("limit")
    r.memory.part(entry.order_id, 5.0, 99.0)
    later(r, 1.0)
    later(r, -3_600.0)
    later(r, 3.0)
    assert r.held() == sum(one.quantity for one in r.working("stop")) == 5.0


def test_a_gap_is_on_record(tmp_path: Path) -> None:
    r = rig(tmp_path, stop=None)
    r.play(0, 4)
    later(r, 30.0)
    (held,) = r.session.status().positions
    assert held.naked_since is not None
    assert held.naked_seconds >= 30.0


@pytest.mark.parametrize("how", ["expired", "rejected", "void"])
def test_an_exit_is_laid_anew_where_its_review_has_ended(tmp_path: Path, how: str) -> None:
    bars = made_bars(FLAT, wide=0.5)
    r = Rig(tmp_path, bars, Signals.concat([signal(bars, 1, qty=10.0, stop=95.0), signal(bars, 4, 0)]))
    r.play(0, 4)
    manager = r.session.desk.manager
    manager.mode = ExecutionMode.MANUAL_REVIEW
    r.bar(4)
    (request,) = manager.get_pending_requests()
    if how == "expired":
        later(r, 3 * 86_400.0)
    elif how == "rejected":
        manager.reject_request(request.request_id, "not now")
        r.session.poll()
        assert any("rejected" in words for words in r.session.status().problems)
        assert manager.get_pending_requests() == []
    else:
        manager.engage_kill_switch("a test", "ada")
        r.session.poll()
        r.session.kill_switch.arm("ada", "looked at it")
    r.play(5, 7)
    (anew,) = manager.get_pending_requests()
    assert anew.order.client_order_id != request.order.client_order_id
    assert len(r.working("stop")) == 1
    manager.approve_request(anew.request_id, "ada")
    r.session.poll()
    assert r.held() == 0.0
    assert r.working() == []


def test_no_stop_stays_over_nothing_while_an_add_waits(tmp_path: Path) -> None:
    r = rig(tmp_path, [100.0, 100.0, 103.0, 106.0, *[107.0] * 7], add_r=1.0, add_fraction=0.5)
    r.play(0, 3)
    r.session.desk.manager.mode = ExecutionMode.MANUAL_REVIEW
    r.bar(3)
    r.memory.book("AAA", -10.0, 107.0)  # by hand
    for _ in range(3):
        r.session.poll()
    r.move({"AAA": 107.0})
    r.session.poll()
    assert r.working("stop") == []
    r.move({"AAA": 94.0})
    assert r.held() == 0.0


def test_a_stop_stays_where_a_position_is_only_missing_from_the_answer(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    r.faulty.hide_position = {"AAA"}
    for _ in range(3):
        later(r, 60.0)
    assert len(r.working("stop")) == 1


def test_what_protects_goes_without_its_note_and_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = rig(tmp_path, max_bars=3)
    r.play(0, 3)
    plan, full = r.session.session, [True]
    write = plan.note

    def note(value: Any) -> None:
        if full[0]:
            raise JournalError("no space left", code="JOURNAL_WRITE")
        write(value)

    monkeypatch.setattr(plan, "note", note)
    for row in (3, 4, 5):
        r.market(row, poll=False)
        r.push(row)
    assert r.held() == 0.0
    assert any("without its note" in words for words in r.session.status().problems)
    full[0] = False
    r.play(6, 8)
    assert len(r.records("close")) == 1
    assert r.planned() == 0.0


def last_day() -> tuple[Bars, Any, int]:
    """Minutes of two days in which the spot falls on the second one, and contracts that end on it."""
    minute = 60_000_000_000
    begins = [np.datetime64(f"2026-03-0{day}T15:00", "ns").astype(np.int64) for day in (2, 3)]
    ts = np.concatenate([begins[0] + np.arange(5) * minute, begins[1] + np.arange(8) * minute])
    spot = np.array([100.0] * 7 + [91.0] * 6)
    panel = np.stack([spot] * 4 + [np.full(len(ts), 1e6)], axis=-1)[:, None, :]
    bars = Bars.from_arrays(("A",), ts, panel, daily=False)
    ends = int(bars.session[-1])
    quotes = []
    for row, price in enumerate(spot):
        for right in (-1, 1):
            for strike in STRIKES:
                mid = max(0.0, right * (price - strike)) + 1.0 + (0.5 if strike == 95.0 else 0.0)
                quotes.append((row, 0, ends, right, strike, mid - 0.05, mid + 0.05, 0.2, right * 0.3))
    return bars, np.array(quotes, QUOTE), ends


def test_a_package_leaves_on_the_last_day_of_its_contracts(tmp_path: Path) -> None:
    bars, quotes, ends = last_day()
    bars = bars.replaced(options=OptionMarket.from_quotes(quotes, np.zeros(len(bars))))
    legs = make_legs([[(-1, "put", 95.0), (1, "put", 90.0)]], expiry=ends)
    signals = package_signals(bars, [1], 0, -1, legs, make_rules(1, stop_loss=1.0), qty=1.0)
    with BrokerSession(
        tmp_path / "journal.db", like=bars, costs=AT_MID, risk=None, sleep=lambda _: None
    ) as session:
        for row in range(len(bars)):
            mine = signals.records[signals.records["ts"] == int(bars.ts[row])]
            part = Signals(
                mine, signals.symbols, strategies=signals.strategies, tags=signals.tags,
                packages=signals.packages, legs=signals.legs,
            )  # fmt: skip
            session.push(bars[row : row + 1], part)
        entry, *closes = followed(session.session.database, "live")
        assert [one.legs for one in closes] == [tuple(Leg(x.symbol, -x.quantity) for x in entry.legs)]
