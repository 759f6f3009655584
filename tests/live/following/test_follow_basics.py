"""The rules of following, one by one, at a broker in memory: what rests where, and what is sent when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from live.parity import verify_parity
from simulator.types import OrderState
from tests.live.following.rig import Rig, made_bars, signal
from tests.live.memory_broker import MemoryBroker


def rig(folder: Path, closes: list[float], row: int = 1, *, opens: list[float] | None = None,
        wide: float = 0.5, options: dict[str, Any] | None = None, **columns: Any) -> Rig:  # fmt: skip
    bars = made_bars(closes, opens=opens, wide=wide)
    given = {"qty": 10.0, "stop": 95.0, **columns}
    given = {name: value for name, value in given.items() if value is not None}
    return Rig(folder, bars, signal(bars, row, **given), options=options or {})


FLAT = [100.0] * 12


def test_an_entry_goes_out_as_a_bracket_after_its_bar(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT, target=110.0)
    r.play(0, 1)
    assert r.working() == []
    r.bar(1)
    (entry,) = r.records()
    assert (entry.role, entry.quantity, entry.expected_price, entry.order) == ("entry", 10.0, 100.0, 0)
    assert r.held() == 10.0
    assert sorted((one.kind, one.stop_price, one.limit_price) for one in r.working()) == [
        ("limit", None, 110.0), ("stop", 95.0, None),
    ]  # fmt: skip
    r.play(2, 5)
    assert len(r.records()) == 1
    assert r.planned() == r.held() == 10.0
    r.close()
    assert verify_parity(r.path, "desk").ok


def test_a_limit_waits_at_its_price_and_goes_when_the_plan_cancels_it(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT, entry="limit", entry_price=98.0, stop=95.0, valid_bars=3, wide=0.5)
    r.play(0, 3)
    (order,) = r.working("limit")
    assert (order.limit_price, order.quantity) == (98.0, 10.0)
    r.play(3, 6)
    assert r.working() == []
    assert r.held() == 0.0
    assert len(r.records()) == 1


def test_a_stop_moves_with_the_trail(tmp_path: Path) -> None:
    closes = [100.0, 100.0, 102.0, 104.0, 106.0, 108.0, 110.0]
    r = rig(tmp_path, closes, stop=None, trail_amount=4.0)
    r.play(0, len(closes))
    (stop,) = r.working("stop")
    plan = r.session.session.state.positions
    level = float(plan["stop_now"][plan["live"] == 1][0])
    assert level > 104.0
    assert stop.stop_price == pytest.approx(level)
    assert [one.role for one in r.records()] == ["entry"]


def test_break_even_moves_it_too(tmp_path: Path) -> None:
    r = rig(tmp_path, [100.0, 100.0, 103.0, 106.0, 106.0], breakeven_r=1.0)
    r.play(0, 5)
    (stop,) = r.working("stop")
    assert stop.stop_price == pytest.approx(100.0)


def test_part_of_it_leaves_when_the_plan_takes_a_part(tmp_path: Path) -> None:
    r = rig(tmp_path, [100.0, 100.0, 103.0, 106.0, 106.0, 106.0], scale_out_r=1.0, scale_out_fraction=0.5)
    r.play(0, 5)
    assert r.planned() == 5.0
    assert r.held() == 5.0
    (stop,) = r.working()
    assert (stop.kind, stop.quantity - stop.filled) == ("stop", 5.0)
    assert [(one.role, one.quantity) for one in r.records()] == [
        ("entry", 10.0),
        ("close", 5.0),
        ("stop", 5.0),
    ]


def test_several_targets_are_worked_by_the_plan(tmp_path: Path) -> None:
    r = rig(
        tmp_path, [100.0, 100.0, 103.0, 106.0, 112.0, 112.0], stop=97.0, target=105.0, target_fraction=0.5,
        target2=110.0, target2_fraction=0.5,
    )  # fmt: skip
    r.play(0, 4)
    assert r.planned() == r.held() == 5.0
    r.play(4, 6)
    assert r.planned() == r.held() == 0.0
    assert r.working() == []


def test_adds_come_with_a_stop_of_their_own(tmp_path: Path) -> None:
    r = rig(tmp_path, [100.0, 100.0, 103.0, 106.0, 107.0, 107.0], add_r=1.0, add_fraction=0.5)
    r.play(0, 5)
    assert r.planned() == r.held() == 15.0
    assert sum(one.quantity for one in r.working("stop")) == 15.0
    assert [one.reason for one in r.records("entry")] == ["entry", "add"]


@pytest.mark.parametrize("columns", [{"max_bars": 2}, {"max_bars": 2, "exit": "close"}])
def test_a_time_exit_leaves_at_the_market(tmp_path: Path, columns: dict[str, Any]) -> None:
    r = rig(tmp_path, FLAT, **columns)
    r.play(0, 7)
    assert r.planned() == r.held() == 0.0
    (close,) = r.records("close")
    assert close.reason == "time"
    assert r.working() == []


def test_a_signal_closes(tmp_path: Path) -> None:
    from simulator.signals import Signals

    bars = made_bars(FLAT, wide=0.5)
    both = Signals.concat([signal(bars, 1, qty=10.0, stop=95.0), signal(bars, 4, 0)])
    r = Rig(tmp_path, bars, both)
    r.play(0, 5)
    assert r.held() == 0.0  # at the market as soon as the plan has decided it
    r.play(5, 7)
    assert r.planned() == 0.0
    (close,) = r.records("close")
    assert close.reason == "signal"


def test_entries_at_the_close_are_sent_when_the_plan_has_them(tmp_path: Path) -> None:
    for number, kind in enumerate(("close", "moc")):
        folder = tmp_path / kind
        folder.mkdir()
        r = rig(folder, FLAT, entry=kind)
        r.play(0, 2 + number)
        assert r.planned() == r.held() == 10.0
        assert r.working("stop")[0].stop_price == 95.0
        r.close()


def test_what_only_the_plans_bar_has_met_is_closed(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT, target=110.0)
    r.play(0, 3)
    # a high that nobody at the broker has traded at
    r.move({"AAA": 100.0})
    r.moved = 4
    r.bars.panel.flags.writeable = True
    r.bars.panel[3, 0, 1] = 111.0
    r.push(3)
    assert r.planned() == r.held() == 0.0
    (close,) = r.records("close")
    assert close.reason == "target"
    assert r.working() == []


def test_flat_at_the_broker_first_closes_the_plan_at_its_price(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT)
    r.play(0, 3)
    r.move({"AAA": 94.0})  # the stop fills where the plan's bars have never been
    r.move({"AAA": 100.0})
    r.bar(3)
    assert r.held() == 0.0
    assert r.planned() == 10.0  # it was told, and does it on its next bar
    (told,) = r.parted()
    assert (told.kind, told.price, told.quantity) == ("left_at_broker", 94.0, 10.0)
    r.bar(4)
    assert r.planned() == 0.0
    r.play(5, 7)
    assert len(r.parted()) == 1
    assert len(r.records()) == 1
    r.close()
    assert verify_parity(r.path, "desk").ok


def test_the_plans_own_stop_needs_no_telling(tmp_path: Path) -> None:
    r = rig(tmp_path, [100.0, 100.0, 100.0, 93.0, 93.0, 93.0])
    r.play(0, 6)
    assert r.planned() == r.held() == 0.0
    assert r.parted() == []
    assert [one.role for one in r.records()] == ["entry"]


def test_a_person_closing_by_hand_closes_the_plan(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT)
    r.play(0, 3)
    r.memory.book("AAA", -10.0, 99.0)
    r.session.poll()
    assert r.working() == []  # a stop that is left over would open a short
    r.play(3, 5)
    (told,) = r.parted()
    assert (told.kind, told.price) == ("closed_elsewhere", 99.0)
    assert r.planned() == r.held() == 0.0


def test_a_missing_position_without_a_trade_is_not_flat(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT)
    r.play(0, 3)
    r.faulty.hide_position = {"AAA"}
    r.play(3, 6)
    assert r.parted() == []
    assert r.planned() == r.held() == 10.0
    r.faulty.clear()
    r.play(6, 8)
    assert r.working("stop")[0].quantity == 10.0


def test_never_entered_closes_the_plan(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT)
    r.bar(0)
    del r.memory.prices["AAA"]  # which this broker calls an unknown symbol
    r.push(1)
    (refused,) = r.parted()
    assert refused.kind == "refused"
    r.play(2, 4)
    assert [one.kind for one in r.parted()] == ["refused", "not_entered"]
    assert r.planned() == r.held() == 0.0
    assert r.faulty.received == [r.records()[0].client_order_id]


def test_filled_after_the_plan_has_cancelled_it_is_closed(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT, entry="limit", entry_price=98.0, valid_bars=2)
    r.play(0, 3)
    r.move({"AAA": 97.5})  # only the broker has seen this price
    r.move({"AAA": 100.0})
    assert r.held() == 10.0
    r.play(3, 6)
    assert r.planned() == r.held() == 0.0
    assert r.working() == []
    (told,) = r.parted()
    assert (told.kind, told.quantity) == ("filled_after_cancel", 10.0)


def test_a_broker_that_does_not_answer_is_not_flat(tmp_path: Path) -> None:
    from tests.live.faulty_broker import LostBefore

    for call in ("get_positions", "get_orders", "executions"):
        folder = tmp_path / call
        folder.mkdir()
        r = rig(folder, FLAT, target=110.0)
        r.play(0, 3)
        before = list(r.faulty.received)
        r.faulty.every(call, LostBefore())
        r.play(3, 6)
        assert r.faulty.received == before
        assert r.planned() == r.held() == 10.0
        assert "did not answer" in r.session.status().problems[0]
        r.faulty.clear()
        r.play(6, 8)
        assert r.parted() == []
        assert r.session.status().problems == ()
        r.close()


def test_a_lost_answer_is_looked_up_and_not_sent_again(tmp_path: Path) -> None:
    from tests.live.faulty_broker import LostAfter

    r = rig(tmp_path, FLAT)
    r.bar(0)
    r.faulty.at("submit_order", 1, LostAfter())
    r.play(1, 4)
    assert r.held() == r.planned() == 10.0
    assert len(r.faulty.received) == 1
    assert len(r.working("stop")) == 1


def test_an_entry_that_never_arrived_is_never_sent_again(tmp_path: Path) -> None:
    from tests.live.faulty_broker import LostBefore

    r = rig(tmp_path, FLAT)
    r.bar(0)
    r.faulty.at("submit_order", 1, LostBefore())
    r.play(1, 6)
    assert r.held() == r.planned() == 0.0
    assert [one.kind for one in r.parted()] == ["not_entered"]
    assert len(r.records("entry")) == 1


def test_a_part_fill_is_guarded_and_the_rest_waits(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT, entry="limit", entry_price=99.0, wide=0.5)
    r.play(0, 2)
    (entry,) = r.working("limit")
    r.memory.part(entry.order_id, 4.0, 99.0)
    r.session.poll()
    assert sum(one.quantity - one.filled for one in r.working("stop")) == 4.0
    r.memory.part(entry.order_id, 6.0, 99.0)
    r.session.poll()
    assert sum(one.quantity - one.filled for one in r.working("stop")) == 10.0


def test_a_short_is_the_same_the_other_way(tmp_path: Path) -> None:
    bars = made_bars([100.0, 100.0, 98.0, 96.0, 94.0, 94.0], wide=0.5)
    r = Rig(tmp_path, bars, signal(bars, 1, -1, qty=10.0, stop=102.0, target=95.0))
    r.play(0, 3)
    assert r.held() == r.planned() == -10.0
    assert [one.stop_price for one in r.working("stop")] == [102.0]
    r.play(3, 6)
    assert r.held() == r.planned() == 0.0
    assert r.working() == []


def test_a_turn_waits_for_the_other_side(tmp_path: Path) -> None:
    from simulator.conventions import Conventions
    from simulator.signals import Signals

    bars = made_bars(FLAT, wide=0.5)
    both = Signals.concat([signal(bars, 1, qty=10.0, stop=95.0), signal(bars, 4, -1, qty=10.0, stop=105.0)])
    turning = replace(Conventions.of("realistic"), opposite_side="reverse")
    r = Rig(tmp_path, bars, both, options={"conventions": turning})
    r.play(0, 8)
    assert r.planned() == r.held() == -10.0
    assert [one.stop_price for one in r.working("stop")] == [105.0]


def test_no_stop_at_all_is_followed_simply(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT, stop=None, target=110.0)
    r.play(0, 3)
    assert r.held() == 10.0
    assert [(one.kind, one.limit_price) for one in r.working()] == [("limit", 110.0)]
    (_, target) = r.records()
    assert target.role == "target"


def test_a_stop_that_somebody_cancels_comes_back(tmp_path: Path) -> None:
    r = rig(tmp_path, FLAT)
    r.play(0, 3)
    (stop,) = r.working("stop")
    r.memory.cancel_order(stop.order_id)
    r.session.poll()
    (again,) = r.working("stop")
    assert again.order_id != stop.order_id
    assert (again.stop_price, again.quantity) == (95.0, 10.0)
    assert r.memory.get_orders(open_only=False)[1].state is OrderState.CANCELLED


def test_the_memory_broker_says_no_twice(tmp_path: Path) -> None:
    """A refused stop is tried again with the next bar, under another id."""

    class Refusing(MemoryBroker):
        refuse = 1

        def _place(self, request: Any, **more: Any) -> Any:
            if request.purpose == "protect" and not more and self.refuse:
                self.refuse -= 1
                from live.brokers.errors import BrokerError

                raise BrokerError("not now", code="LIVE_BROKER_REJECTED")
            return super()._place(request, **more)

    bars = made_bars(FLAT, wide=0.5)
    r = Rig(tmp_path, bars, signal(bars, 1, qty=10.0, stop=95.0), memory=Refusing())
    r.play(0, 3)
    (stop,) = r.working("stop")
    r.memory.cancel_order(stop.order_id)
    r.session.poll()
    assert r.working("stop") == []
    r.bar(3)
    assert [one.quantity for one in r.working("stop")] == [10.0]
    ids = [one.client_order_id for one in r.records("stop")]
    assert len(set(ids)) == 2
