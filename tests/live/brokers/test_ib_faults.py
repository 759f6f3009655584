"""Faults 18 to 27 at Interactive Brokers, on a TWS that speaks the real protocol to the real library."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

import pytest

from live.brokers.interface import Outcome
from tests.live.brokers.faults import BrokerFaults, BrokerRig, RigDesk, lost_somewhere
from tests.live.brokers.ib_rig import TwsRig
from tests.live.desks import bracket, order


class TestInteractiveBrokersFaults(BrokerFaults):
    without: ClassVar[dict[str, str]] = {}

    def make_rig(self) -> BrokerRig:
        return TwsRig()


MESSAGES = ("place", "cancel", "positions", "all_open_orders", "completed", "executions", "contract")


def lost(folder: Path, message: str, n: int, fault: str) -> bool:
    """Let the n-th message of a kind go wrong in a day of trading; returns whether there was one."""
    folder.mkdir(exist_ok=True)
    # what is not answered costs a whole timeout; what is cut off is noticed at once
    rig = TwsRig(timeout=1.0 if fault in ("ignore", "mute") else 5.0)

    def inject(_: BrokerRig) -> None:
        rig.tws.at(message, n, fault)

    lost_somewhere(folder, rig, inject)
    rig.close()
    return not rig.left


@pytest.mark.parametrize(
    ("message", "n", "fault"),
    [
        ("place", 1, "cut"), ("place", 3, "cut_after"), ("place", 4, "cut_after"), ("cancel", 1, "cut_after"),
        ("positions", 4, "cut"), ("completed", 5, "cut"), ("executions", 6, "cut_after"),
    ],
)  # fmt: skip
def test_whichever_message_is_lost_the_books_agree_or_a_person_is_told(
    tmp_path: Path, message: str, n: int, fault: str
) -> None:
    assert lost(tmp_path, message, n, fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["ignore", "mute", "cut", "cut_after"])
def test_at_every_single_message(tmp_path: Path, fault: str) -> None:
    points = 0
    for message in MESSAGES:
        for n in itertools.count(1):
            if not lost(tmp_path / f"{message}-{n}", message, n, fault):
                break
            points += 1
    print(f"{points} points of failure")  # shown by pytest -s
    assert points > 30


def test_25_after_a_night_in_which_ids_went_back_trading_goes_on_where_it_was(tmp_path: Path) -> None:
    rig = TwsRig()
    desk = RigDesk(tmp_path, rig)
    assert desk.reconciler.start().clean
    desk.submit(bracket(1))
    desk.submit(order(2, kind="limit", limit_price=80.0, tif="gtc"))
    assert desk.settled().clean
    rig.tws.do(rig.tws.market.next_session)
    rig.tws.restart(next_id=1)
    desk.run()
    assert desk.settled().clean
    assert desk.submit(order(3, 1.0, "MSFT")).outcome is Outcome.CONFIRMED
    assert desk.restart().clean
    desk.move({"AAPL": 94.0})
    assert desk.settled().clean
    assert desk.books() == rig.held() == {"MSFT": 1.0}
    numbers = [number for _, number, _ in rig.tws.placed]
    assert len(numbers) == len(set(numbers))
    desk.database.close()
    rig.close()


def test_22_children_that_die_with_their_parent_are_missed_by_the_reconciler(tmp_path: Path) -> None:
    rig = TwsRig()
    rig.tws.market.children_die = True
    desk = RigDesk(tmp_path, rig)
    assert desk.reconciler.start().clean
    desk.move({"AAPL": 101.0})
    desk.submit(bracket(1))
    rig.part("o1", 4.0, 100.0)
    assert desk.settled().clean
    (entry,) = [one for one in desk.faulty.get_orders() if one.client_order_id == "o1"]
    desk.manager.cancel_order("main", entry.order_id)
    desk.settled()
    assert desk.causes() == ["unprotected"]
    assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
    stop = order(3, -4.0, kind="stop", stop_price=95.0, purpose="protect")
    assert desk.submit(stop).outcome is Outcome.CONFIRMED
    assert desk.settled().clean
    desk.database.close()
    rig.close()


def test_24_a_kill_ends_what_enters_and_leaves_the_stops(tmp_path: Path) -> None:
    rig = TwsRig()
    desk = RigDesk(tmp_path, rig)
    desk.reconciler.start()
    desk.submit(bracket(1))
    desk.submit(order(2, kind="limit", limit_price=80.0))
    desk.settled()
    report = desk.manager.engage_kill_switch("test", "ada")
    assert report.not_confirmed == 0
    assert sorted(rig.working()) == ["o1-stop", "o1-target"]
    assert desk.submit(order(3)).outcome is Outcome.DENIED
    desk.database.close()
    rig.close()
