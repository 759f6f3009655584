"""The contract of brokers, on the broker of the tests: it can be kept, and whoever breaks it is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from live.brokers.contract import BrokerContract
from live.brokers.interface import BrokerInterface, OrderRequest, Submitted
from simulator.errors import ConfigError
from tests.live.memory_broker import MemoryBroker


class TestMemoryBroker(BrokerContract):
    def make_broker(self) -> BrokerInterface:
        return MemoryBroker()

    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        assert isinstance(broker, MemoryBroker)
        broker.move(prices)


class SendsTwice(MemoryBroker):
    def _find(self, client_order_id: str) -> None:
        return None


class Forgets(MemoryBroker):
    def get_positions(self) -> list[Any]:
        return []


class Ignores(MemoryBroker):
    def submit_order(self, request: OrderRequest) -> Submitted:
        self.prices.setdefault("ZZZZZ", 1.0)
        return super().submit_order(request)


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (SendsTwice, "test_the_same_id_again_is_the_same_order"),
        (SendsTwice, "test_an_order_is_found_by_our_id_and_none_where_there_is_none"),
        (Forgets, "test_a_market_order_fills_and_is_held"),
        (Ignores, "test_what_the_broker_does_not_know_is_rejected_and_changes_nothing"),
    ],
)
def test_a_broker_that_breaks_the_contract_is_noticed(broken: type[MemoryBroker], check: str) -> None:
    class Contract(TestMemoryBroker):
        def make_broker(self) -> BrokerInterface:
            return broken()

    with pytest.raises(AssertionError):
        getattr(Contract(), check)()


def test_a_contract_that_does_not_say_how_a_broker_is_reached_is_refused_where_it_is_written() -> None:
    with pytest.raises(
        ConfigError, match="TestNothing is a BrokerContract without make_broker and move"
    ) as caught:

        class TestNothing(BrokerContract):
            pass

    assert caught.value.code == "LIVE_CONTRACT"
    with pytest.raises(ConfigError, match="without move: move"):

        class TestHalf(BrokerContract):
            def make_broker(self) -> BrokerInterface:
                return MemoryBroker()

    class Base(BrokerContract, unfinished=True):
        def make_broker(self) -> BrokerInterface:
            return MemoryBroker()

    class TestWhole(Base):
        def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
            assert isinstance(broker, MemoryBroker)
            broker.move(prices)

    TestWhole().test_an_empty_account_is_flat_and_says_so()
