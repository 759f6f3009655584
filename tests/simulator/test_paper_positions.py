from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DataError
from simulator.paper_positions import PaperPositions
from simulator.types import BrokerPositions, Execution, Holding

START = datetime(2026, 11, 2, 15, tzinfo=UTC)
SHORT, LONG = "SPY261218P00500000", "SPY261218P00490000"


def test_a_paper_account_is_a_broker() -> None:
    account = PaperPositions("A1", broker="desk")
    assert isinstance(account, BrokerPositions)
    assert (account.broker, account.account) == ("desk", "A1")
    assert list(account.holdings()) == []
    assert list(account.executions()) == []


def test_legs_of_an_order_share_its_id_and_its_fees() -> None:
    account = PaperPositions()
    order = account.trade([(SHORT, -2, 4.1), (LONG, 2, 2.2)], time=START, multiplier=100, fees=4.0)
    short, long = account.executions()
    assert short == Execution(
        execution_id=f"{order}-0", order_id=order, time=START, symbol=SHORT, side=-1, quantity=2.0,
        price=4.1, multiplier=100, fees=2.0,
    )  # fmt: skip
    assert (long.order_id, long.side, long.fees) == (order, 1, 2.0)
    assert list(account.holdings()) == [
        Holding(symbol=LONG, quantity=2.0, multiplier=100),
        Holding(symbol=SHORT, quantity=-2.0, multiplier=100),
    ]


def test_what_is_closed_is_held_no_more() -> None:
    account = PaperPositions()
    account.trade([("AAPL", 10, 50.0)], time=START)
    account.trade([("AAPL", -10, 51.0)], time=START)
    assert list(account.holdings()) == []


def test_an_assignment_moves_shares() -> None:
    account = PaperPositions()
    account.trade([(SHORT, -1, 4.1)], time=START, multiplier=100)
    account.settle("assignment", SHORT, 1, time=START, shares=("SPY", 100, 500.0))
    assert [(held.symbol, held.quantity, held.multiplier) for held in account.holdings()] == [
        ("SPY", 100.0, 1.0)
    ]
    assert [done.kind for done in account.executions()] == ["trade", "assignment", "assignment"]


def test_marks_are_shown_with_what_is_held() -> None:
    account = PaperPositions()
    account.trade([("AAPL", 10, 50.0)], time=START)
    account.mark({"AAPL": 52.5, "MSFT": 1.0})
    assert [held.mark for held in account.holdings()] == [52.5]


def test_executions_since_are_those_at_or_after_in_order() -> None:
    account = PaperPositions()
    later = START + timedelta(hours=1)
    account.trade([("AAPL", 1, 50.0)], time=later)
    account.trade([("MSFT", 1, 50.0)], time=START)
    assert [done.symbol for done in account.executions()] == ["MSFT", "AAPL"]
    assert [done.symbol for done in account.executions(later)] == ["AAPL"]


@pytest.mark.parametrize(
    ("quantity", "price"), [(0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1, math.nan), (1, -0.5)]
)
def test_what_is_no_fill_is_refused(quantity: float, price: float) -> None:
    account = PaperPositions()
    for legs in ([("MSFT", 1.0, 2.0), ("AAPL", quantity, price)], [("AAPL", quantity, price)]):
        with pytest.raises(DataError) as caught:
            account.trade(legs, time=START)
        assert caught.value.code == "PAPER_FILL"
    assert list(account.executions()) == []  # nor is the other leg stored


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        PaperPositions().trade([("AAPL", 1, 2.0)], time=datetime(2026, 1, 2))  # noqa: DTZ001
    assert caught.value.code == "PAPER_NAIVE_TIME"


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-5, 5).filter(bool)), max_size=30))
def test_holdings_are_the_sum_of_executions(orders: list[tuple[str, int]]) -> None:
    account = PaperPositions()
    for symbol, quantity in orders:
        account.trade([(symbol, quantity, 1.0)], time=START)
    wanted = {name: sum(count for symbol, count in orders if symbol == name) for name in "ABC"}
    held = {one.symbol: one.quantity for one in account.holdings()}
    assert held == {name: count for name, count in wanted.items() if count}
    assert len({done.execution_id for done in account.executions()}) == len(orders)
