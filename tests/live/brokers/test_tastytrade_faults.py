"""Faults 18 to 30 at tastytrade, on a server that speaks the open API to the unmodified library."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from live.brokers.interface import Outcome
from tests.fakes.tastytrade.server import Answer
from tests.live.brokers.faults import BrokerFaults, BrokerRig, RigDesk
from tests.live.brokers.sweeps import met, sweep
from tests.live.brokers.tastytrade_rig import TastytradeRig
from tests.live.desks import bracket, order

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


class TestTastytradeFaults(BrokerFaults):
    without: ClassVar[dict[str, str]] = {
        "partial_bracket": (
            "tastytrade releases the children of a complex order only when its entry has filled completely; "
            "how short the time is in which a part has none is tested by the others"
        ),
        "split": (
            "tastytrade changes no quantity within a complex order; that a person is told after a split is "
            "tested below"
        ),
    }

    def make_rig(self) -> BrokerRig:
        return TastytradeRig()

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_18_a_server_error_after_the_order_arrived_is_no_rejection(
        self, desk: RigDesk, rig: TastytradeRig, status: int
    ) -> None:
        # a page of a gateway, and no JSON: the library would call that an error like any other
        rig.server.at("submit", 1, Answer(status, text="<html>Bad Gateway</html>", done=True))
        assert desk.submit(bracket(1)).outcome is Outcome.UNRESOLVED
        desk.run()
        assert desk.submit(bracket(1)).outcome is Outcome.CONFIRMED
        assert rig.received() == ["o1"]
        assert desk.settled().clean

    def test_27_after_a_split_a_person_is_told_of_prices_that_were_not_brought_in_line(
        self, desk: RigDesk, rig: TastytradeRig
    ) -> None:
        desk.submit(bracket(1))
        desk.settled()
        before = rig.held()["AAPL"]
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


KINDS = ("submit", "cancel", "order", "positions", "live", "history", "transactions")


def rig_for(fault: str) -> TastytradeRig:
    # what is not answered costs a whole timeout; what is cut off is noticed at once
    return TastytradeRig(timeout=0.3 if fault in ("hang", "mute") else 3.0)


def arm(rig: BrokerRig, kind: str, n: int, fault: str) -> None:
    assert isinstance(rig, TastytradeRig)
    rig.server.at(kind, n, fault)


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
    assert met(tmp_path / "day", rig_for(fault), kind, n, lambda rig, kind, n: arm(rig, kind, n, fault))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["before", "after", "cut", "mute", "hang"])
def test_at_every_single_request(tmp_path: Path, fault: str) -> None:
    points = sweep(tmp_path, lambda: rig_for(fault), KINDS, lambda rig, kind, n: arm(rig, kind, n, fault))
    print(f"{points} points of failure")  # shown by pytest -s
    assert points > 30
