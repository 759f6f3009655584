"""The contract of brokers, on the paper broker: all of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from live.brokers.contract import BrokerContract
from live.brokers.interface import BrokerInterface
from live.brokers.paper import PaperBroker
from live.venue import Venue

START = datetime(2026, 3, 2, 15, tzinfo=UTC)


class Contract(BrokerContract, unfinished=True):
    def make_broker(self) -> BrokerInterface:
        self.now_ = START
        return PaperBroker(Venue())

    def step(self) -> datetime:
        self.now_ += timedelta(minutes=1)
        return self.now_


class TestOnTrades(Contract):
    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        assert isinstance(broker, PaperBroker)
        broker.venue.tick(self.step(), dict(prices))


class TestOnQuotes(Contract):
    """A cent between bid and ask, as the market has it."""

    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        assert isinstance(broker, PaperBroker)
        broker.venue.quote(self.step(), {symbol: (price, price + 0.01) for symbol, price in prices.items()})


def test_nothing_of_the_contract_is_left_out() -> None:
    assert not TestOnTrades.without
    assert not TestOnQuotes.without
