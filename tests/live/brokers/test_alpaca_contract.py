"""The contract of brokers, kept by the adapter of Alpaca at a paper exchange on a local socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from live.brokers.alpaca import AlpacaBroker
from live.brokers.contract import BrokerContract
from live.brokers.interface import BrokerInterface
from tests.fakes.alpaca.server import AlpacaServer
from tests.live.brokers.alpaca_desk import broker_at


class TestAlpaca(BrokerContract):
    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        with AlpacaServer() as self.alpaca:
            self.opened: list[AlpacaBroker] = []
            yield
            for broker in self.opened:
                broker.close()

    def make_broker(self) -> BrokerInterface:
        self.opened.append(broker_at(self.alpaca))
        return self.opened[-1]

    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        self.alpaca.move(prices)
