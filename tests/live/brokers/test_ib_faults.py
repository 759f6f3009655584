"""Faults 18 to 30 at Interactive Brokers, on a TWS that speaks the real protocol to the real library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from live.brokers.interface import Outcome
from live.brokers.protection import Protector
from tests.live.brokers.faults import BrokerFaults, BrokerRig, RigDesk
from tests.live.brokers.ib_rig import TwsRig
from tests.live.brokers.sweeps import met, sweep
from tests.live.desks import bracket, order


class TestInteractiveBrokersFaults(BrokerFaults):
    without: ClassVar[dict[str, str]] = {}

    def make_rig(self) -> BrokerRig:
        return TwsRig()


KINDS = ("place", "cancel", "positions", "all_open_orders", "completed", "executions", "contract")


def rig_for(fault: str) -> TwsRig:
    # what is not answered costs a whole timeout; what is cut off is noticed at once
    return TwsRig(timeout=1.0 if fault in ("ignore", "mute") else 5.0)


def arm(rig: BrokerRig, kind: str, n: int, fault: str) -> None:
    assert isinstance(rig, TwsRig)
    rig.tws.at(kind, n, fault)


@pytest.mark.parametrize(
    ("kind", "n", "fault"),
    [
        ("place", 1, "cut"), ("place", 3, "cut_after"), ("place", 4, "cut_after"), ("cancel", 1, "cut_after"),
        ("positions", 4, "cut"), ("completed", 5, "cut"), ("executions", 6, "cut_after"),
    ],
)  # fmt: skip
def test_whichever_message_is_lost_the_books_agree_or_a_person_is_told(
    tmp_path: Path, kind: str, n: int, fault: str
) -> None:
    assert met(tmp_path / "day", rig_for(fault), kind, n, lambda rig, kind, n: arm(rig, kind, n, fault))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["ignore", "mute", "cut", "cut_after"])
def test_at_every_single_message(tmp_path: Path, fault: str) -> None:
    points = sweep(tmp_path, lambda: rig_for(fault), KINDS, lambda rig, kind, n: arm(rig, kind, n, fault))
    print(f"{points} points of failure")  # shown by pytest -s
    assert points > 30


def test_27_after_a_reverse_split_the_fraction_that_was_paid_in_cash_is_no_other_ratio(
    tmp_path: Path,
) -> None:
    rig = TwsRig()
    desk = RigDesk(tmp_path, rig)
    desk.reconciler.start()
    desk.move({"AAPL": 10.0})
    desk.submit(order(1, 100.0))
    stop = order(2, -100.0, kind="stop", stop_price=9.0, tif="gtc", purpose="protect")
    assert desk.submit(stop).outcome is Outcome.CONFIRMED
    desk.settled()
    rig.split("AAPL", 1.0 / 30.0)  # 3 shares, and the price of a third of one
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.data["ratio"]) == ("split", [1, 30])
    desk.accept_all()
    desk.move({"AAPL": 295.0})
    assert desk.settled().clean
    (working,) = desk.faulty.get_orders()
    assert (working.stop_price, working.quantity) == (270.0, 3.0)
    assert desk.books() == rig.held() == {"AAPL": 3.0}
    desk.move({"AAPL": 260.0})
    assert desk.settled().clean
    assert desk.books() == rig.held() == {}
    rig.close()
    desk.database.close()


def test_21_fills_of_one_second_are_no_double_exit_in_whatever_order_their_ids_are(tmp_path: Path) -> None:
    rig = TwsRig()
    desk = RigDesk(tmp_path, rig)
    desk.reconciler.start()
    desk.move({"AAPL": 101.0})
    desk.submit(bracket(1))

    def within_a_second() -> None:
        market = rig.tws.market
        market.part("o1", 10.0, 100.0)
        market.part("o1-target", 10.0, 110.0)
        # of two exchanges, whose ids do not rise together
        first = {"o1": "0000ffff", "o1-target": "0000aaaa"}
        market.done[:] = [
            replace(one, exec_id=first[one.order.ref] + one.exec_id[8:]) for one in market.done if one.order
        ]

    rig.tws.do(within_a_second)
    assert desk.settled().clean
    assert desk.books() == rig.held() == {}
    rig.close()
    desk.database.close()


def test_a_stop_for_a_position_whose_mark_is_not_told_is_placed_by_its_quote(tmp_path: Path) -> None:
    rig = TwsRig()
    desk = RigDesk(tmp_path, rig)
    desk.reconciler.start()
    desk.submit(order(1))
    desk.settled()
    desk.move({"AAPL": 85.0})
    rig.quote("AAPL", 84.9, 85.1)
    (held,) = desk.faulty.get_positions()
    assert held.mark is None
    Protector(desk.manager, "main", sleep=lambda _: None).keep(desk.clock())
    assert [(one.kind, one.stop_price) for one in desk.faulty.get_orders()] == [("stop", 80.75)]
    assert rig.held() == {"AAPL": 10.0}  # and nothing was sold for what it once cost
    rig.close()
    desk.database.close()
