"""What every class of shared faults stands on: a rig, a desk before it, and the invariants at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from tests.live.brokers.rig import BrokerRig, RigDesk, check


class Faulted:
    """A subclass says by `make_rig` what is tested."""

    without: ClassVar[Mapping[str, str]] = {}
    """What cannot happen at this broker, with the reason: "overfill", "assignment", "split", "lock", ..."""

    def make_rig(self) -> BrokerRig:
        """Open an empty account."""
        raise NotImplementedError

    def need(self, what: str) -> None:
        """Skip what cannot happen."""
        if what in self.without:
            pytest.skip(self.without[what])

    @pytest.fixture
    def rig(self) -> Iterator[BrokerRig]:
        rig = self.make_rig()
        yield rig
        rig.close()

    @pytest.fixture
    def desk(self, tmp_path: Path, rig: BrokerRig) -> Iterator[RigDesk]:
        desk = RigDesk(tmp_path, rig)
        assert desk.reconciler.start().clean
        yield desk
        rig.clear()
        for _ in range(2):
            report = desk.settled()
        check(desk, report)
        desk.database.close()
