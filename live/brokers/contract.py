# ruff: noqa: S101, D102 - a test class asserts, and its names say what it checks
"""`BrokerContract`: what every broker must do, whoever stands behind it.

A test class for pytest. Derive from it, say how a broker is opened and how its prices are moved, and every
check runs on your adapter; what a broker has not is skipped with the reason that `without` gives.

>>> class TestMine(BrokerContract):   # doctest: +SKIP
...     without = {"trailing": "this broker has none"}
...     def make_broker(self):
...         return MyBroker()
...     def move(self, broker, prices):
...         broker.exchange.set(prices)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import pytest

from live.brokers.interface import BrokerInterface, BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from simulator.brokerage import BrokerPositions
from simulator.errors import ConfigError, TwinstepError
from simulator.types import OrderState

__all__ = ["BrokerContract"]

STOCK = "AAPL"
PUTS = ("SPY261218P00500000", "SPY261218P00490000")
PRICES = {STOCK: 100.0, PUTS[0]: 4.0, PUTS[1]: 2.5}

_HOOKS: Final = {
    "make_broker": "make_broker(self) opens an empty account and returns its broker",
    "move": "move(self, broker, prices) lets the market trade at prices",
}


class BrokerContract:
    """Checks of a `BrokerInterface`; a subclass says by `make_broker` and `move` how to reach it.

    Every order of the checks is far from the limits of an account of 100,000.
    """

    without: ClassVar[Mapping[str, str]] = {}
    """What the broker has not, with the reason: "trailing", "bracket", "oco", "multi_leg", "replace"."""

    _number = 0

    def __init_subclass__(cls, *, unfinished: bool = False, **named: Any) -> None:
        """Refuse a subclass that does not say how a broker is reached.

        With an abstract base class pytest would pass over it without a word, and nothing would be checked.

        Parameters
        ----------
        unfinished
            Whether it is a base of others, which say it.

        Raises
        ------
        ConfigError
            LIVE_CONTRACT, with what is missing.
        """
        super().__init_subclass__(**named)
        lacking = [name for name in _HOOKS if getattr(getattr(cls, name), "__isabstractmethod__", False)]
        if lacking and not unfinished:
            raise ConfigError(
                f"{cls.__name__} is a BrokerContract without {' and '.join(lacking)}: "
                f"{'; '.join(_HOOKS[name] for name in lacking)}",
                code="LIVE_CONTRACT",
            )

    @abstractmethod
    def make_broker(self) -> BrokerInterface:
        """Open an empty account."""

    @abstractmethod
    def move(self, broker: BrokerInterface, prices: Mapping[str, float]) -> None:
        """Let the market trade at these prices, and return when the broker has seen it."""

    def open(self) -> BrokerInterface:
        """Return an empty account with prices."""
        broker = self.make_broker()
        self.move(broker, PRICES)
        return broker

    def ask(self, quantity: float, *legs: Leg, **fields: Any) -> OrderRequest:
        """Return an order in the stock, or in `legs`, under an id of its own."""
        self._number += 1
        return OrderRequest(
            client_order_id=f"contract-{type(self).__name__}-{self._number}",
            legs=legs or (Leg(STOCK, quantity),),
            **fields,
        )

    def sent(self, broker: BrokerInterface, request: OrderRequest) -> BrokerOrder:
        """Submit, and return the order that the broker confirms."""
        answer = broker.submit_order(request)
        assert isinstance(answer, Submitted)
        assert (answer.outcome, answer.client_order_id) == (Outcome.CONFIRMED, request.client_order_id)
        assert answer.order is not None
        return answer.order

    def now(self, broker: BrokerInterface, order: BrokerOrder) -> BrokerOrder:
        """Return how an order stands."""
        return next(one for one in broker.get_orders(open_only=False) if one.order_id == order.order_id)

    def held(self, broker: BrokerInterface) -> dict[str, float]:
        """Return quantities by symbol."""
        return {holding.symbol: holding.quantity for holding in broker.get_positions()}

    def need(self, what: str) -> None:
        """Skip where the broker has not what is checked."""
        if what in self.without:
            pytest.skip(self.without[what])

    def test_an_empty_account_is_flat_and_says_so(self) -> None:
        broker = self.open()
        assert isinstance(broker, BrokerPositions)
        assert (list(broker.get_positions()), list(broker.get_orders())) == ([], [])
        assert (list(broker.executions()), list(broker.holdings())) == ([], [])
        assert broker.broker
        assert broker.account
        worth = broker.get_account()
        assert worth.cash == worth.equity > 0

    def test_a_market_order_fills_and_is_held(self) -> None:
        broker = self.open()
        before = broker.get_account().cash
        order = self.now(broker, self.sent(broker, self.ask(10)))
        assert (order.state, order.filled, order.is_open) == (OrderState.FILLED, 10, False)
        assert order.average_price == pytest.approx(100.0, rel=0.01)
        assert self.held(broker) == {STOCK: 10}
        assert broker.get_account().cash == pytest.approx(before - 1000.0, abs=20)
        (done,) = broker.executions()
        assert (done.order_id, done.symbol, done.side, done.quantity) == (order.order_id, STOCK, 1, 10)
        assert done.time.tzinfo is not None
        assert list(broker.executions(done.time)) == [done]

    def test_what_is_sold_short_is_negative(self) -> None:
        broker = self.open()
        self.sent(broker, self.ask(-10))
        assert self.held(broker) == {STOCK: -10}
        self.sent(broker, self.ask(10, purpose="exit"))
        assert self.held(broker) == {}
        assert len({done.execution_id for done in broker.executions()}) == 2

    def test_the_same_id_again_is_the_same_order(self) -> None:
        broker = self.open()
        request = self.ask(10)
        first, second = self.sent(broker, request), self.sent(broker, request)
        assert first.order_id == second.order_id
        assert self.held(broker) == {STOCK: 10}

    def test_an_order_is_found_by_our_id_and_none_where_there_is_none(self) -> None:
        broker = self.open()
        order = self.sent(broker, self.ask(10))
        found = broker.find_order(order.client_order_id)
        assert found is not None
        assert found.order_id == order.order_id
        assert broker.find_order("contract-nobody") is None

    def test_what_the_broker_does_not_know_is_rejected_and_changes_nothing(self) -> None:
        broker = self.open()
        answer = broker.submit_order(self.ask(1, Leg("ZZZZZ", 1.0)))
        assert answer.outcome is Outcome.REJECTED
        assert answer.code
        assert answer.message
        assert self.held(broker) == {}

    def test_a_limit_waits_for_its_price(self) -> None:
        broker = self.open()
        order = self.sent(broker, self.ask(10, kind="limit", limit_price=95.0))
        assert [one.order_id for one in broker.get_orders()] == [order.order_id]
        assert self.now(broker, order).state == OrderState.SUBMITTED
        self.move(broker, {STOCK: 94.0})
        filled = self.now(broker, order)
        assert filled.state == OrderState.FILLED
        assert filled.average_price is not None
        assert filled.average_price <= 95.0

    def test_a_stop_waits_for_the_other_side(self) -> None:
        broker = self.open()
        self.sent(broker, self.ask(10))
        stop = self.sent(broker, self.ask(-10, kind="stop", stop_price=90.0, purpose="protect"))
        self.move(broker, {STOCK: 91.0})
        assert self.now(broker, stop).is_open
        self.move(broker, {STOCK: 89.0})
        assert self.now(broker, stop).state == OrderState.FILLED
        assert self.held(broker) == {}

    def test_a_stop_limit_fills_only_within_its_limit(self) -> None:
        broker = self.open()
        order = self.sent(broker, self.ask(10, kind="stop_limit", stop_price=105.0, limit_price=106.0))
        self.move(broker, {STOCK: 108.0})
        assert self.now(broker, order).is_open
        self.move(broker, {STOCK: 105.5})
        assert self.now(broker, order).state == OrderState.FILLED

    def test_a_cancelled_order_is_final_and_cancelling_it_again_is_nothing(self) -> None:
        broker = self.open()
        order = self.sent(broker, self.ask(10, kind="limit", limit_price=95.0))
        broker.cancel_order(order.order_id)
        assert self.now(broker, order).state == OrderState.CANCELLED
        assert broker.cancel_order(order.order_id).state == OrderState.CANCELLED
        self.move(broker, {STOCK: 90.0})
        assert self.held(broker) == {}

    def test_what_has_filled_stays_filled_when_it_is_cancelled(self) -> None:
        broker = self.open()
        order = self.sent(broker, self.ask(10))
        assert broker.cancel_order(order.order_id).state == OrderState.FILLED
        assert self.held(broker) == {STOCK: 10}

    def test_orders_that_do_not_exist_are_named(self) -> None:
        broker = self.open()
        with pytest.raises(TwinstepError) as caught:
            broker.cancel_order("contract-nobody")
        assert caught.value.code == "NAME_ORDER"

    def test_a_working_order_is_replaced_and_a_final_one_is_not(self) -> None:
        self.need("replace")
        broker = self.open()
        order = self.sent(broker, self.ask(10, kind="limit", limit_price=90.0))
        new = broker.replace_order(order.order_id, limit_price=95.0, quantity=5)
        assert (new.limit_price, new.quantity) == (95.0, 5)
        self.move(broker, {STOCK: 94.0})
        assert self.held(broker) == {STOCK: 5}
        with pytest.raises(TwinstepError) as caught:
            broker.replace_order(new.order_id, limit_price=96.0)
        assert caught.value.code == "LIVE_ORDER_FINAL"

    @pytest.mark.parametrize("fields", [{"trail_amount": 5.0}, {"trail_percent": 5.0}])
    def test_a_trailing_stop_follows_and_never_goes_back(self, fields: dict[str, float]) -> None:
        self.need("trailing")
        broker = self.open()
        self.sent(broker, self.ask(10))
        trail = self.sent(broker, self.ask(-10, kind="trailing", purpose="protect", **fields))
        for price in (110.0, 120.0, 116.0):
            self.move(broker, {STOCK: price})
            assert self.now(broker, trail).is_open
        self.move(broker, {STOCK: 113.0})
        assert self.now(broker, trail).state == OrderState.FILLED
        assert self.held(broker) == {}

    @pytest.mark.parametrize(("price", "other"), [(111.0, "stop"), (94.0, "limit")])
    def test_a_bracket_guards_its_fill_and_one_child_ends_the_other(self, price: float, other: str) -> None:
        self.need("bracket")
        broker = self.open()
        parent = self.sent(
            broker,
            self.ask(10, kind="limit", limit_price=99.0, order_class="bracket", stop_loss=95.0,
                     take_profit=110.0),
        )  # fmt: skip
        self.move(broker, {STOCK: 96.0})
        assert self.now(broker, parent).state == OrderState.FILLED
        children = [one for one in broker.get_orders() if one.parent_id == parent.order_id]
        assert sorted(one.kind for one in children) == ["limit", "stop"]
        assert all(one.client_order_id.startswith(parent.client_order_id) for one in children)
        self.move(broker, {STOCK: price})
        assert self.held(broker) == {}
        states: dict[str, OrderState] = {one.kind: self.now(broker, one).state for one in children}
        assert states.pop(other) == OrderState.CANCELLED
        assert list(states.values()) == [OrderState.FILLED]

    def test_a_bracket_that_is_cancelled_before_it_fills_leaves_nothing(self) -> None:
        self.need("bracket")
        broker = self.open()
        parent = self.sent(
            broker, self.ask(10, kind="limit", limit_price=95.0, order_class="bracket", stop_loss=90.0)
        )
        broker.cancel_order(parent.order_id)
        self.move(broker, {STOCK: 80.0})
        assert (list(broker.get_orders()), self.held(broker)) == ([], {})

    def test_of_an_oco_one_cancels_the_other(self) -> None:
        self.need("oco")
        broker = self.open()
        self.sent(broker, self.ask(10))
        self.sent(
            broker,
            self.ask(-10, kind="limit", limit_price=110.0, stop_loss=95.0, order_class="oco",
                     purpose="protect"),
        )  # fmt: skip
        assert len(broker.get_orders()) == 2
        self.move(broker, {STOCK: 94.0})
        assert (list(broker.get_orders()), self.held(broker)) == ([], {})

    def test_a_package_fills_as_a_whole_at_the_credit_it_asks_for(self) -> None:
        self.need("multi_leg")
        broker = self.open()
        before = broker.get_account().cash
        spread = (Leg(PUTS[0], -2.0), Leg(PUTS[1], 2.0))
        order = self.sent(
            broker, self.ask(0, *spread, kind="limit", limit_price=1.7, order_class="multi_leg")
        )
        assert self.now(broker, order).is_open
        assert self.held(broker) == {}
        self.move(broker, {PUTS[0]: 4.4, PUTS[1]: 2.6})
        filled = self.now(broker, order)
        assert filled.state == OrderState.FILLED
        assert filled.average_price == pytest.approx(1.8, abs=0.11)
        assert self.held(broker) == {PUTS[0]: -2, PUTS[1]: 2}
        assert broker.get_account().cash == pytest.approx(before + 360.0, abs=25)
        assert {done.order_id for done in broker.executions()} == {order.order_id}

    def test_a_package_is_closed_for_a_debit(self) -> None:
        self.need("multi_leg")
        broker = self.open()
        self.sent(broker, self.ask(0, Leg(PUTS[0], -1.0), Leg(PUTS[1], 1.0), order_class="multi_leg"))
        back = (Leg(PUTS[0], 1.0), Leg(PUTS[1], -1.0))
        order = self.sent(
            broker,
            self.ask(0, *back, kind="limit", limit_price=-1.0, order_class="multi_leg", purpose="exit"),
        )
        assert self.now(broker, order).is_open
        self.move(broker, {PUTS[0]: 1.2, PUTS[1]: 0.5})
        assert self.now(broker, order).state == OrderState.FILLED
        assert self.held(broker) == {}
