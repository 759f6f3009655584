"""Quotes, chains and statements of Interactive Brokers."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from live.brokers.interactive_brokers import FlexStatements, InteractiveBrokersBroker
from live.brokers.interface import Leg, OrderRequest
from simulator.errors import ConfigError, FetchError, UnknownNameError
from simulator.types import OrderState
from tests.fakes.tws.flex import FlexServer
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import broker_at, restart
from tests.live.desks import order

PUT = "SPY261218P00500000"


@pytest.fixture
def tws() -> Iterator[TwsServer]:
    with TwsServer() as tws:
        tws.move({"AAPL": 100.0, "SPY": 500.0, PUT: 4.0})
        yield tws


@pytest.fixture
def flex(tws: TwsServer) -> Iterator[FlexServer]:
    server = FlexServer(tws.market)
    yield server
    server.stop()


@pytest.fixture
def broker(tws: TwsServer, flex: FlexServer) -> Iterator[InteractiveBrokersBroker]:
    broker = broker_at(tws, statements=FlexStatements("flex-token", "99", address=flex.address, lasts=0.0))
    yield broker
    broker.close()


# Quotes


def test_a_quote_has_two_sides_and_greeks(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.market.quotes[PUT] = (3.9, 4.1)
    tws.greeks[PUT] = (0.21, -0.35, 0.01, 0.5, -0.05)
    quotes = broker.quotes(["AAPL", PUT])
    assert (quotes["AAPL"].bid, quotes["AAPL"].ask, quotes["AAPL"].last) == (100.0, 100.0, 100.0)
    assert math.isnan(quotes["AAPL"].delta)
    one = quotes[PUT]
    assert (one.bid, one.ask, one.iv, one.delta, one.theta) == (3.9, 4.1, 0.21, -0.35, -0.05)
    assert one.is_usable


@pytest.mark.parametrize("sides", [(None, 4.1), (4.2, 4.1), (0.0, 0.1), (None, None)])
def test_30_a_quote_that_lacks_a_side_or_is_crossed_is_not_usable(
    tws: TwsServer, broker: InteractiveBrokersBroker, sides: tuple[float, float]
) -> None:
    tws.market.quotes[PUT] = sides
    quote = broker.quotes([PUT])[PUT]
    assert not quote.is_usable
    assert not quote.bid < 0.0  # the broker writes -1 for what there is not
    assert not quote.ask < 0.0


def test_30_a_quote_that_is_delayed_says_so(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.delayed = True
    quote = broker.quotes(["AAPL"])["AAPL"]
    assert (quote.bid, quote.ask, quote.is_delayed, quote.is_usable) == (100.0, 100.0, True, False)


def test_prices_that_do_not_come_keep_no_cancel_waiting(tws: TwsServer) -> None:
    broker = broker_at(tws)
    one = broker.submit_order(order(1, kind="limit", limit_price=90.0)).order
    assert one is not None
    tws.every("quote", "ignore")

    def ask() -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            broker.quotes(["AAPL"])

    threading.Thread(target=ask, daemon=True).start()
    while "quote" not in tws.received:
        time.sleep(0.002)
    began = time.monotonic()
    assert broker.cancel_order(one.order_id).state == OrderState.CANCELLED
    assert time.monotonic() - began < 2.0
    broker.close()


def test_a_quote_without_a_subscription_is_an_error_and_not_nothing(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    tws.every("quote", (354, "Requested market data is not subscribed."))
    with pytest.raises(ConnectionError, match="not subscribed"):
        broker.quotes(["AAPL"])
    with pytest.raises(UnknownNameError) as caught:
        broker.quotes(["ZZZZZ"])
    assert caught.value.code == "NAME_CONTRACT"


def test_a_chain_has_what_is_listed_with_greeks(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    today = datetime.now(UTC).date()
    near, far = (f"{today + timedelta(days=days):%y%m%d}" for days in (20, 200))
    for strike in (96, 100, 140):
        for day in (near, far):
            tws.move({f"AAPL{day}P{strike * 1000:08d}": strike / 20.0}, minutes=0.0)
    tws.move({f"AAPL{near}C00100000": 5.5})  # so that not every pair of expiry and strike has both kinds
    name = f"AAPL{near}P00100000"
    tws.market.quotes[name] = (4.9, 5.1)
    tws.greeks[name] = (0.2, -0.5, 0.01, 0.5, -0.05)
    chain = broker.chain("AAPL", days=(10, 60), width=0.1)
    assert (chain.symbol, chain.origin, len(chain)) == ("AAPL", "real", 3)
    puts = chain.select(kind="put")
    assert sorted(float(strike) for strike in puts.strike) == [96.0, 100.0]
    row = list(puts.strike).index(100.0)
    assert (puts.bid[row], puts.ask[row], puts.iv[row], puts.delta[row]) == (4.9, 5.1, 0.2, -0.5)
    assert puts.underlying[row] == 100.0
    with pytest.raises(FetchError) as caught:
        broker.chain("AAPL", days=(300, 400))
    assert caught.value.code == "LIVE_CHAIN"


def test_the_iv_rank_comes_from_a_year_of_the_brokers_volatilities(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    assert math.isnan(broker.iv_rank("SPY"))
    tws.volatility = [0.1 + 0.1 * (day % 10) / 10.0 for day in range(250)] + [0.2, 0.15]
    assert broker.iv_rank("SPY") == pytest.approx(50.0)
    tws.volatility = tws.volatility[:100]
    assert math.isnan(broker.iv_rank("SPY"))


# Statements


def test_fills_of_sessions_before_come_from_statements_and_count_once(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    broker.submit_order(order(1))
    (today,) = broker.executions()
    tws.do(tws.market.next_session)
    broker.submit_order(order(2, 5.0))
    both = broker.executions()
    assert [one.execution_id for one in both] == [today.execution_id, tws.market.done[-1].exec_id]
    broker.close()
    again = broker_at(
        tws, statements=broker._statements
    )  # a new process: the gateway has forgotten the first
    assert [(one.execution_id, one.quantity) for one in again.executions()] == [
        (one.execution_id, one.quantity) for one in both
    ]
    again.close()


def test_what_is_no_trade_is_told_by_statements_only(
    tws: TwsServer, flex: FlexServer, broker: InteractiveBrokersBroker
) -> None:
    broker.submit_order(OrderRequest(client_order_id="p", legs=(Leg(PUT, -2.0),)))
    tws.do(lambda: tws.market.book(PUT, 2.0, 0.0, kind="assignment"))
    tws.do(lambda: tws.market.book("SPY", 200.0, 500.0, kind="assignment"))
    flex.extra = (
        '<CashTransactions><CashTransaction symbol="SPY" type="Dividends" amount="351.5" assetCategory="STK" '
        'dateTime="20260303;202000" transactionID="71" /></CashTransactions>'
        '<CorporateActions><CorporateAction symbol="AAPL" type="FS" quantity="90" assetCategory="STK" '
        'dateTime="20260304;202500" transactionID="72" /></CorporateActions>'
    )
    found = [(one.kind, one.symbol, one.quantity, one.amount) for one in broker.activities()]
    assert sorted(found) == [
        ("assignment", PUT, 2.0, 0.0), ("dividend", "SPY", 0.0, 351.5), ("exercise", "SPY", 200.0, 0.0),
        ("split", "AAPL", 90.0, 0.0),
    ]  # fmt: skip
    since = datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert [one.kind for one in broker.activities(since)] == ["split"]
    assert {one.kind for one in broker.executions()} == {"trade", "assignment", "exercise"}


def test_without_statements_nobody_says_that_nothing_happened(tws: TwsServer) -> None:
    broker = broker_at(tws)
    with pytest.raises(ConfigError) as caught:
        broker.activities()
    assert caught.value.code == "LIVE_NO_STATEMENTS"
    broker.close()


def test_a_statement_in_progress_is_waited_for_and_then_lasts(flex: FlexServer) -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    statements = FlexStatements(
        "flex-token", "99", address=flex.address, lasts=100.0, clock=lambda: now[0], sleep=sleep
    )
    flex.busy = 3
    assert statements.rows() == []
    assert slept == [1.0, 2.0, 4.0]
    asked = flex.asked
    statements.rows()
    assert flex.asked == asked
    now[0] += 101.0
    flex.broken = 503
    assert statements.rows() == []  # it says what it said
    flex.broken = 0
    flex.busy = 1000
    impatient = FlexStatements(
        "flex-token", "99", address=flex.address, timeout=20.0, clock=lambda: now[0], sleep=sleep
    )
    with pytest.raises(FetchError, match="in progress"):
        impatient.rows()


@pytest.mark.parametrize("trouble", ["token", "query", "status", "redirect", "nobody"])
def test_a_service_that_refuses_is_named_and_its_token_is_not(flex: FlexServer, trouble: str) -> None:
    canary = "canary-7d1a"
    address = "http://127.0.0.1:9/" if trouble == "nobody" else flex.address
    flex.token = "another" if trouble == "token" else canary
    flex.broken = {"status": 500, "redirect": 302}.get(trouble, 0)
    statements = FlexStatements(canary, "1" if trouble == "query" else "99", address=address, timeout=5.0)
    with pytest.raises(FetchError) as caught:
        statements.rows()
    error: BaseException | None = caught.value
    assert caught.value.code == "LIVE_FLEX"
    while error is not None:
        assert canary not in str(error)
        assert canary not in repr(error)
        error = error.__cause__ or error.__context__
    assert canary not in repr(statements)
    assert not any("elsewhere" in path for path in flex.paths)  # the token would go along
    asked = flex.asked
    with pytest.raises(FetchError):
        statements.rows()
    assert flex.asked == asked  # no hammering


def test_a_token_goes_over_https_only() -> None:
    with pytest.raises(ConfigError) as caught:
        FlexStatements("t", "1", address="http://example.com/")
    assert caught.value.code == "LIVE_BROKER_CONFIG"


def test_orders_of_a_new_session_are_still_ours(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    broker.submit_order(order(1, kind="limit", limit_price=90.0, tif="gtc"))
    tws.do(tws.market.next_session)
    restart(tws, broker, 1)
    assert [one.client_order_id for one in broker.get_orders()] == ["o1"]
    tws.move({"AAPL": 89.0})
    (done,) = broker.executions()
    assert done.order_id == broker.find_order("o1").order_id  # type: ignore[union-attr]
