"""Faults 18 to 30 for any broker: an adapter at a fake, a whole desk in front of it, and the invariants.

A broker is tested by a `BrokerRig` (`rig.py`), which opens its adapter at its fake and knows how to let
things go wrong there, and by a class derived from `BrokerFaults` that makes the rig:

    class TestMine(BrokerFaults):
        without = {"overfill": "this broker cuts off what is too much"}
        def make_rig(self) -> BrokerRig:
            return MyRig()

The tests lie in `faults_orders.py` (18 to 21, 23, 24), `faults_parts.py` (22), `faults_line.py` (25 to 27)
and `faults_time.py` (28 to 30); `sweeps.py` lets the n-th call go wrong, n = 1, 2, 3, ..., until a day of
trading has met it no more.
"""

from __future__ import annotations

from tests.live.brokers.faults_line import LineFaults
from tests.live.brokers.faults_orders import OrderFaults
from tests.live.brokers.faults_parts import PartFaults
from tests.live.brokers.faults_time import TimeFaults
from tests.live.brokers.rig import BrokerRig, Call, RigDesk

__all__ = ["BrokerFaults", "BrokerRig", "Call", "RigDesk"]


class BrokerFaults(OrderFaults, PartFaults, LineFaults, TimeFaults):
    """All of them."""
