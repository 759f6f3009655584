"""Faults 18 to 27 at Alpaca, on a paper exchange that the real library speaks to over a socket."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

import pytest

from tests.fakes.alpaca.script import Fault
from tests.live.brokers.alpaca_rig import AlpacaRig
from tests.live.brokers.faults import BrokerFaults, BrokerRig, lost_somewhere


class TestAlpacaFaults(BrokerFaults):
    without: ClassVar[dict[str, str]] = {
        "partial_bracket": (
            "Alpaca holds stop and target back until the whole entry has filled; see "
            "test_what_has_filled_of_a_bracket_is_bare_until_all_of_it_has in test_alpaca_traps.py"
        ),
    }

    def make_rig(self) -> BrokerRig:
        return AlpacaRig()


def sweep(folder: Path, fault: Fault, stride: int) -> int:
    """Let the n-th request of each kind go wrong, n = 1, 2, 3, ..., until there is none; returns how many."""
    points = 0
    for kind in ("submit", "cancel", "positions", "orders", "find", "order", "executions"):
        for n in itertools.count(1, stride):
            where = folder / f"{kind}-{n}"
            where.mkdir()
            # the number is given, so that nobody has to ask for it
            rig = AlpacaRig(timeout=0.5 if str(fault).startswith("hang") else 5.0, account="TW-OURS")

            def inject(rig: BrokerRig, kind: str = kind, n: int = n) -> None:
                assert isinstance(rig, AlpacaRig)
                rig.alpaca.script.at(kind, n, fault)

            left: set[tuple[str, int]] = set()
            rig.left = left
            try:
                lost_somewhere(where, rig, inject)
            finally:
                rig.close()
            if left:
                break
            points += 1
    return points


@pytest.mark.parametrize("fault", ["cut", "504_after"])
def test_whichever_request_is_lost_the_books_agree_or_a_person_is_told(tmp_path: Path, fault: Fault) -> None:
    assert sweep(tmp_path, fault, 9) > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["cut", "cut_after", "504", "504_after", "half", "hang", "hang_after", "empty"]
)
def test_at_every_single_request(tmp_path: Path, fault: Fault) -> None:
    points = sweep(tmp_path, fault, 1)
    print(f"{points} points of failure")  # shown by pytest -s
    assert points > 15
