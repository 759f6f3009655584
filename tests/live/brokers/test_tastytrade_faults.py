"""Faults 18 to 27 at tastytrade, on a server that speaks the open API to the unmodified library."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

import pytest

from live.brokers.interface import Outcome
from simulator.types import OrderState
from tests.fakes.tastytrade.server import Answer
from tests.live.brokers.faults import BrokerFaults, BrokerRig, RigDesk, lost_somewhere
from tests.live.brokers.tastytrade_rig import TastytradeRig
from tests.live.desks import bracket, order

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


class TestTastytradeFaults(BrokerFaults):
    without: ClassVar[dict[str, str]] = {
        "partial_bracket": "tastytrade releases the children of a complex order only when its entry has "
        "filled completely; a part that stands without a stop is reported, which is tested below",
        "split": "tastytrade changes no quantity within a complex order; that a person is told after a "
        "split is tested below",
    }

    def make_rig(self) -> BrokerRig:
        return TastytradeRig()


KINDS = ("submit", "cancel", "order", "positions", "live", "history", "transactions")


def lost(folder: Path, kind: str, n: int, fault: str) -> bool:
    """Let the n-th request of a kind go wrong in a day of trading; returns whether there was one."""
    folder.mkdir(exist_ok=True)
    # what is not answered costs a whole timeout; what is cut off is noticed at once
    rig = TastytradeRig(timeout=0.3 if fault in ("hang", "mute") else 3.0)

    def inject(_: BrokerRig) -> None:
        rig.server.at(kind, n, fault)

    lost_somewhere(folder, rig, inject)
    rig.close()
    return not rig.left


@pytest.mark.parametrize(
    ("kind", "n", "fault"),
    [
        ("submit", 1, "after"), ("submit", 2, "cut"), ("submit", 3, "before"), ("submit", 4, "hang"),
        ("cancel", 1, "after"), ("order", 1, "cut"), ("positions", 4, "cut"), ("live", 5, "before"),
        ("history", 6, "cut"), ("transactions", 4, "before"),
    ],
)  # fmt: skip
def test_whichever_request_is_lost_the_books_agree_or_a_person_is_told(
    tmp_path: Path, kind: str, n: int, fault: str
) -> None:
    assert lost(tmp_path, kind, n, fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["before", "after", "cut", "mute", "hang"])
def test_at_every_single_request(tmp_path: Path, fault: str) -> None:
    points = 0
    for kind in KINDS:
        for n in itertools.count(1):
            if not lost(tmp_path / f"{kind}-{n}", kind, n, fault):
                break
            points += 1
    print(f"{points} points of failure")  # shown by pytest -s
    assert points > 30


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_18_a_server_error_after_the_order_arrived_is_no_rejection(tmp_path: Path, status: int) -> None:
    rig = TastytradeRig()
    desk = RigDesk(tmp_path, rig)
    desk.reconciler.start()
    # a page of a gateway, and no JSON: the library would call that an error like any other
    rig.server.at("submit", 1, Answer(status, text="<html>Bad Gateway</html>", done=True))
    assert desk.submit(bracket(1)).outcome is Outcome.UNRESOLVED
    desk.run()
    assert desk.submit(bracket(1)).outcome is Outcome.CONFIRMED
    assert rig.received() == ["o1"]
    assert desk.settled().clean
    desk.database.close()
    rig.close()


def test_22_a_bracket_that_has_filled_in_part_stands_without_a_stop_and_that_is_said(tmp_path: Path) -> None:
    rig = TastytradeRig()
    desk = RigDesk(tmp_path, rig)
    assert desk.reconciler.start().clean
    desk.move({"AAPL": 101.0})
    desk.submit(bracket(1))
    rig.part("o1", 4.0, 100.0)
    assert rig.working() == {"o1": ("limit", 6.0)}  # the children wait for all of it
    (entry,) = [one for one in desk.faulty.get_orders() if one.client_order_id == "o1"]
    desk.manager.cancel_order("main", entry.order_id)
    desk.settled()
    assert (desk.state("o1"), desk.causes()) == ((OrderState.CANCELLED, 4.0), ["unprotected"])
    assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
    stop = order(3, -4.0, kind="stop", stop_price=95.0, purpose="protect")
    assert desk.submit(stop).outcome is Outcome.CONFIRMED
    assert desk.settled().clean
    desk.database.close()
    rig.close()


def test_27_after_a_split_a_person_is_told_of_prices_that_were_not_brought_in_line(tmp_path: Path) -> None:
    rig = TastytradeRig()
    desk = RigDesk(tmp_path, rig)
    assert desk.reconciler.start().clean
    desk.submit(bracket(1))
    desk.settled()
    before = rig.server.books.held["AAPL"]
    rig.split("AAPL", 10.0)
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.data["ratio"]) == ("split", [10, 1])
    assert len(one.data["orders"]) == 2  # stop and target still have the prices of before
    assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
    desk.accept_all()
    desk.run()
    assert rig.held() == {"AAPL": 10.0 * before}  # nothing was sold by a stop at a price of before
    assert "split_order" in desk.causes()
    desk.database.close()
    rig.close()


def test_24_a_kill_ends_what_enters_and_leaves_the_stops(tmp_path: Path) -> None:
    rig = TastytradeRig()
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


def test_25_after_a_night_the_token_is_new_and_trading_goes_on(tmp_path: Path) -> None:
    rig = TastytradeRig()
    desk = RigDesk(tmp_path, rig)
    assert desk.reconciler.start().clean
    desk.submit(bracket(1))
    desk.submit(order(2, kind="limit", limit_price=80.0, tif="gtc"))
    assert desk.settled().clean
    rig.move({}, minutes=60 * 24)
    rig.server.tokens += 1  # the token of yesterday is not taken any more
    desk.clock.set(rig.now)
    assert desk.settled().clean
    assert desk.restart().clean
    desk.move({"AAPL": 94.0})
    assert desk.settled().clean
    assert desk.books() == rig.held() == {}
    desk.database.close()
    rig.close()
