"""The contract of brokers, on the broker of the tests: it can be kept, and whoever breaks it is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from live.brokers.contract import BrokerContract
from live.brokers.interface import BrokerInterface, OrderRequest, Submitted
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
