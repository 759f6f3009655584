"""Faults 18 to 30 at Interactive Brokers, on a TWS that speaks the real protocol to the real library."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from tests.live.brokers.faults import BrokerFaults, BrokerRig
from tests.live.brokers.ib_rig import TwsRig
from tests.live.brokers.sweeps import met, sweep


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
