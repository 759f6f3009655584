"""The contract of brokers, kept by the adapter of Interactive Brokers at a TWS on a local socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from live.brokers.contract import BrokerContract
from live.brokers.interactive_brokers import InteractiveBrokersBroker
from live.brokers.interface import BrokerInterface
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import broker_at


class TestInteractiveBrokers(BrokerContract):
    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        with TwsServer() as self.tws:
            self.opened: list[InteractiveBrokersBroker] = []
            yield
            for broker in self.opened:
                broker.close()

    def make_broker(self) -> BrokerInterface:
        self.opened.append(broker_at(self.tws))
        return self.opened[-1]

    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        self.tws.move(prices)
