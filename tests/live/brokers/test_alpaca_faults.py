"""Faults 18 to 30 at Alpaca, on a paper exchange that the real library speaks to over a socket."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from live.brokers.alpaca import AlpacaBroker
from tests.fakes.alpaca.script import Fault
from tests.live.brokers.alpaca_rig import AlpacaRig
from tests.live.brokers.faults import BrokerFaults, BrokerRig, RigDesk
from tests.live.brokers.sweeps import met, sweep
from tests.live.desks import bracket, order


class TestAlpacaFaults(BrokerFaults):
    without: ClassVar[dict[str, str]] = {
        "partial_bracket": (
            "Alpaca holds stop and target back until the whole entry has filled; how short the time is in "
            "which a part has none is tested by the others"
        ),
    }

    def make_rig(self) -> BrokerRig:
        return AlpacaRig()

    def test_29_on_a_half_day_an_entry_for_the_day_ends_at_one_and_no_stop_with_it(
        self, desk: RigDesk, rig: AlpacaRig
    ) -> None:
        morning = datetime(2026, 11, 27, 15, tzinfo=UTC)
        desk.move({"AAPL": 100.0}, minutes=(morning - rig.now).total_seconds() / 60.0)
        desk.submit(bracket(1))
        waiting = order(2, kind="limit", limit_price=90.0, order_class="bracket", stop_loss=85.0)
        desk.submit(waiting)
        broker = desk.faulty.inner
        assert isinstance(broker, AlpacaBroker)
        assert broker.end_day_entries() == []
        desk.move({}, minutes=190)  # ten past one in New York
        assert [one.client_order_id for one in broker.end_day_entries()] == ["o2"]
        assert desk.settled().clean
        assert sorted(rig.working()) == ["o1-stop", "o1-target"]
        assert {one.kind for one in desk.faulty.get_orders()} == {"limit", "stop"}


KINDS = ("submit", "cancel", "positions", "orders", "find", "order", "executions")


def rig_for(fault: Fault) -> AlpacaRig:
    # what is not answered costs a whole timeout; the number is given, so that nobody has to ask for it
    return AlpacaRig(timeout=0.5 if str(fault).startswith("hang") else 5.0, account="TW-OURS")


def arm(rig: BrokerRig, kind: str, n: int, fault: Fault) -> None:
    assert isinstance(rig, AlpacaRig)
    rig.alpaca.script.at(kind, n, fault)


@pytest.mark.parametrize(
    ("kind", "n", "fault"),
    [
        ("submit", 1, "cut"), ("submit", 3, "504_after"), ("submit", 5, "hang_after"), ("cancel", 1, "cut"),
        ("positions", 5, "half"), ("orders", 9, "cut"), ("order", 2, "empty"), ("executions", 4, "504"),
    ],
)  # fmt: skip
def test_whichever_request_is_lost_the_books_agree_or_a_person_is_told(
    tmp_path: Path, kind: str, n: int, fault: Fault
) -> None:
    assert met(tmp_path / "day", rig_for(fault), kind, n, lambda rig, kind, n: arm(rig, kind, n, fault))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["cut", "cut_after", "504", "504_after", "half", "hang", "hang_after", "empty"]
)
def test_at_every_single_request(tmp_path: Path, fault: Fault) -> None:
    points = sweep(tmp_path, lambda: rig_for(fault), KINDS, lambda rig, kind, n: arm(rig, kind, n, fault))
    print(f"{points} points of failure")  # shown by pytest -s
    assert points > 15
