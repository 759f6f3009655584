"""The contract of brokers, kept by the adapter of tastytrade at a server that speaks its open API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from live.brokers.contract import BrokerContract
from live.brokers.interface import BrokerInterface
from live.brokers.tastytrade import TastytradeBroker
from tests.fakes.tastytrade.server import TastytradeServer
from tests.live.brokers.tastytrade_rig import broker_at

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


class TestTastytrade(BrokerContract):
    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        self.tasty = TastytradeServer()
        self.opened: list[TastytradeBroker] = []
        yield
        for broker in self.opened:
            broker.close()

    def make_broker(self) -> BrokerInterface:
        self.opened.append(broker_at(self.tasty))
        return self.opened[-1]

    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        self.tasty.move(prices)
        # the broker has no trailing stop: whoever sees a price has the adapter move its stops
        assert isinstance(broker, TastytradeBroker)
        broker.work_trails()
