"""What happened in an account at tastytrade: fills, deliveries, splits, dividends, rows that undo others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from journal.position_tracker import PositionTracker
from live.brokers.interface import Leg, OrderRequest
from live.brokers.tastytrade import TastytradeBroker
from simulator.errors import FetchError
from tests.fakes.tastytrade.books import Row
from tests.fakes.tastytrade.server import TastytradeServer
from tests.live.brokers.tastytrade_rig import at_tastytrade, broker_at

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
PUT = "SPY261218P00500000"


def fill(broker: TastytradeBroker, identity: str, symbol: str, quantity: float, **fields: Any) -> None:
    broker.submit_order(OrderRequest(client_order_id=identity, legs=(Leg(symbol, quantity),), **fields))


def held(broker: TastytradeBroker) -> dict[str, float]:
    """Return what executions add up to."""
    total: dict[str, float] = {}
    for one in broker.executions():
        total[one.symbol] = total.get(one.symbol, 0.0) + one.side * one.quantity
    return {symbol: quantity for symbol, quantity in total.items() if quantity}


def assign(server: TastytradeServer, contracts: float, *, action: str | None = "Buy to Open") -> None:
    with server.lock:
        server.books.deliver(PUT, contracts, 0.0, "Assignment", action=None)
        server.books.deliver("SPY", 100.0 * contracts, 500.0, "Buy to Open", action=action)


@pytest.mark.parametrize("action", ["Buy to Open", None])
def test_an_assignment_is_told_for_the_option_and_for_its_shares(action: str | None) -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", PUT, -2)
        server.move({}, minutes=60)
        assign(server, 2.0, action=action)
        _, option, shares = broker.executions()
        assert (option.symbol, option.kind, option.side, option.price) == (PUT, "assignment", 1, 0.0)
        assert (shares.symbol, shares.kind, shares.side) == ("SPY", "assignment", 1)
        assert (shares.quantity, shares.price) == (200.0, 500.0)
        assert held(broker) == {"SPY": 200.0} == {one.symbol: one.quantity for one in broker.get_positions()}
        assert [(one.kind, one.symbol, one.quantity) for one in broker.activities()] == [
            ("assignment", PUT, 2.0), ("assignment", "SPY", 200.0),
        ]  # fmt: skip


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("all_of_it", [True, False])
def test_an_expiry_that_does_not_say_its_side_ends_what_was_held(side: float, all_of_it: bool) -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", PUT, 3 * side)
        server.move({}, minutes=60 * 24 * 5)
        since = server.books.now
        server.books.deliver(PUT, -3 * side, 0.0, "Expiration", action=None)
        found = broker.executions(None if all_of_it else since)
        # also where the trade that opened it is older than what was asked for
        assert len(found) == (2 if all_of_it else 1)
        assert (found[-1].kind, found[-1].side, found[-1].effect) == ("expiry", -side, "close")
        assert held(broker) == {}


def test_an_expiry_of_which_nothing_says_the_side_is_an_error_and_no_guess() -> None:
    with at_tastytrade() as (server, broker):
        server.books.deliver(PUT, 1.0, 0.0, "Expiration", action=None)
        with pytest.raises(FetchError) as caught:
            broker.executions()
        assert caught.value.code == "LIVE_TRANSACTION"


def test_an_option_that_is_settled_in_cash_leaves_for_its_worth() -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", PUT, -1)
        row = server.books.deliver(PUT, 1.0, 0.0, "Cash Settled Assignment", action=None)
        row.value = -364.0
        assert broker.executions()[-1].price == pytest.approx(3.64)
        assert broker.executions()[-1].kind == "assignment"


def test_an_exercise_takes_a_long_option_away() -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", PUT, 1)
        server.books.deliver(PUT, -1.0, 0.0, "Exercise", action=None)
        server.books.deliver("SPY", -100.0, 500.0, "Sell to Open", action="Sell to Open")
        assert [(one.kind, one.side) for one in broker.executions()[1:]] == [("exercise", -1)] * 2
        assert held(broker) == {"SPY": -100.0}


def test_a_split_is_no_trade_and_is_told_as_a_split() -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", "AAPL", 10)
        server.move({}, minutes=60)
        server.books.split("AAPL", 10.0)
        assert len(broker.executions()) == 1
        assert [(one.kind, one.quantity) for one in broker.activities()] == [
            ("split", -10.0),
            ("split", 100.0),
        ]
        (position,) = broker.get_positions()
        assert (position.quantity, position.average_price) == (100.0, 10.0)


def test_dividends_and_fees_are_activities_with_their_sign() -> None:
    with at_tastytrade() as (server, broker):
        server.books.pay("Dividend", "AAPL", 12.5)
        server.books.pay("Fee", "", -1.0)
        server.books.pay("Deposit", "", 500.0)
        found = [(one.kind, one.symbol, one.amount) for one in broker.activities()]
        assert found == [("dividend", "AAPL", 12.5), ("fee", "", -1.0), ("transfer", "", 500.0)]
        assert broker.executions() == []


def test_a_row_that_reverses_another_undoes_it() -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", "AAPL", 10)
        fill(broker, "b", "AAPL", 5)
        first = server.books.rows[0]
        server.books.rows.append(
            Row(9_999_999, "Trade", "Sell to Close", "AAPL", "Sell to Close", 10.0, 100.0, 1000.0, 0.0,
                server.books.now, first.order, reverses=first.number)
        )  # fmt: skip
        assert [one.quantity for one in broker.executions()] == [5.0]


def test_more_transactions_than_a_page_are_all_read() -> None:
    with at_tastytrade() as (server, broker):
        with server.lock:
            for _ in range(600):
                server.books.trade("AAPL", 1.0, 100.0)
        assert len(broker.executions()) == 600
        assert held(broker) == {"AAPL": 600.0}


def test_a_row_that_is_told_twice_is_one_execution() -> None:
    with at_tastytrade() as (server, broker):
        server.repeat = True
        fill(broker, "a", "AAPL", 10)
        assert held(broker) == {"AAPL": 10.0}


def test_what_was_asked_for_since_is_not_older() -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", "AAPL", 1)
        server.move({}, minutes=90)
        since = server.books.now
        fill(broker, "b", "AAPL", 2)
        assert [one.quantity for one in broker.executions(since)] == [2.0]
        assert broker.executions(since + timedelta(seconds=1)) == []


def test_fees_are_positive_where_they_are_paid() -> None:
    with at_tastytrade() as (_, broker):
        fill(broker, "a", "AAPL", 1)
        assert broker.executions()[0].fees == pytest.approx(0.35)


def test_the_tracker_of_positions_follows_the_account_without_any_help(tmp_path: Path) -> None:
    with at_tastytrade() as (server, broker):
        tracker = PositionTracker(tmp_path / "journal.db", broker, clock=lambda: server.books.now)
        with tracker:
            fill(broker, "a", "AAPL", 10)
            fill(broker, "b", PUT, -2)
            first = tracker.sync()
            assert (first.status, len(first.entries)) == ("ok", 2)
            server.move({}, minutes=60)
            fill(broker, "c", "AAPL", -4, purpose="exit")
            assert len(tracker.sync().partial_closes) == 1
            server.move({}, minutes=60)
            assign(server, 2.0)
            with server.lock:
                server.books.trade("AAPL", -6.0, 101.0)  # by hand
            report = tracker.sync()
            assert report.status == "ok"
            assert len(report.exits) >= 1
            assert len(report.assignments) == 1
            assert {one.symbol: one.quantity for one in broker.get_positions()} == {"SPY": 200.0}
            server.every("positions", "cut")
            assert tracker.sync().status == "unknown"


def test_a_broker_of_another_process_names_the_orders_the_same() -> None:
    with at_tastytrade() as (server, broker):
        fill(broker, "a", "AAPL", 10, kind="limit", limit_price=90.0)
        (order,) = broker.get_orders()
        broker.replace_order(order.order_id, limit_price=95.0)
        server.move({"AAPL": 94.0})
        other = broker_at(server)
        assert [one.order_id for one in other.executions()] == [order.order_id]
        other.close()
