"""The contract of brokers, kept by a shadow of each of the three: nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from live.brokers.contract import BrokerContract
from live.brokers.interface import BrokerInterface
from live.brokers.shadow import ShadowBroker
from tests.live.brokers.shadows import Shadowed

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


class Contract(BrokerContract, unfinished=True):
    of: ClassVar[str]

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        self.shadowed = Shadowed(self.of)
        yield
        try:
            # whatever the contract asked for, the real broker was told nothing
            assert self.shadowed.writes() == []
            assert self.shadowed.orders() == 0
        finally:
            self.shadowed.close()

    def make_broker(self) -> BrokerInterface:
        return self.shadowed.shadow()

    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        assert isinstance(broker, ShadowBroker)
        self.shadowed.move(prices)
        broker.look()


class TestShadowOfAlpaca(Contract):
    of = "alpaca"


class TestShadowOfInteractiveBrokers(Contract):
    of = "interactive_brokers"


class TestShadowOfTastytrade(Contract):
    of = "tastytrade"


def test_nothing_of_the_contract_is_left_out() -> None:
    assert not any(one.without for one in (TestShadowOfAlpaca, TestShadowOfInteractiveBrokers))
    assert not TestShadowOfTastytrade.without
