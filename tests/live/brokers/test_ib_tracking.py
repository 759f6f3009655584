"""The position tracker at Interactive Brokers."""

from __future__ import annotations

from tests.live.brokers.ib_rig import TwsRig
from tests.live.brokers.rig import BrokerRig
from tests.live.brokers.tracking import BrokerTracking


class TestInteractiveBrokersTracking(BrokerTracking):
    def make_rig(self) -> BrokerRig:
        return TwsRig()
