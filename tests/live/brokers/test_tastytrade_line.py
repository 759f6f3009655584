"""The line to tastytrade: timeouts, refusals, limits, unreadable answers, secrets, and the stream."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from live.brokers import BrokerUpdate
from live.brokers.errors import AccessRefused, RateLimited
from live.brokers.interface import Leg, OrderRequest, Outcome
from live.brokers.tastytrade import TastytradeBroker, TastytradeDown
from live.brokers.timeouts import CallTimeout
from simulator.errors import ConfigError, TwinstepError
from tests.fakes.tastytrade.server import REFRESH, SECRET, Answer, TastytradeServer
from tests.fakes.tastytrade.serving import served
from tests.live.brokers.tastytrade_rig import KEYS, at_tastytrade, broker_at

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


def ask(number: int = 1, quantity: float = 10.0, **fields: Any) -> OrderRequest:
    return OrderRequest(client_order_id=f"t{number}", legs=(Leg("AAPL", quantity),), **fields)


def wait_for(what: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5.0
    while not what() and time.monotonic() < ends:
        time.sleep(0.005)
    assert what()


@pytest.mark.parametrize("kind", ["positions", "live", "history", "transactions", "balances"])
@pytest.mark.parametrize("fault", ["before", "after", "cut", Answer(502, text="<html>Bad Gateway</html>")])
def test_an_empty_answer_is_never_made_of_a_lost_one(kind: str, fault: Any) -> None:
    calls = {
        "positions": "get_positions", "live": "get_orders", "history": "get_orders",
        "transactions": "executions", "balances": "get_account",
    }  # fmt: skip
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1))
        server.at(kind, 1, fault)
        with pytest.raises(TastytradeDown):
            getattr(broker, calls[kind])()
        assert getattr(broker, calls[kind])() is not None


@pytest.mark.parametrize("data", [None, {}, {"items": None}, {"positions": []}])
def test_positions_without_a_list_are_unknown_and_not_flat(data: Any) -> None:
    with at_tastytrade() as (server, broker):
        broker.submit_order(ask(1))
        original = server._carried_out

        def odd(kind: str, path: str, query: Any, body: Any) -> tuple[int, Any]:
            return (200, {"data": data}) if kind == "positions" else original(kind, path, query, body)

        server._carried_out = odd  # type: ignore[method-assign,assignment]
        with pytest.raises(TastytradeDown):
            broker.get_positions()


@pytest.mark.parametrize("kind", ["positions", "submit"])
def test_nothing_is_waited_for_longer_than_the_timeout(kind: str) -> None:
    with at_tastytrade(timeout=0.3) as (server, broker):
        broker.get_account()
        server.every(kind, "mute")
        began = time.monotonic()
        if kind == "positions":
            with pytest.raises(CallTimeout):
                broker.get_positions()
        else:
            assert broker.submit_order(ask(1)).outcome is Outcome.UNRESOLVED
        assert time.monotonic() - began < 2.0


def test_too_many_requests_say_how_long_to_wait_and_nothing_was_sent() -> None:
    with at_tastytrade() as (server, broker):
        refused = Answer(429, "too_many_requests", "Slow down", headers={"retry-after": "7"})
        server.every("submit", refused)
        with pytest.raises(RateLimited) as caught:
            broker.submit_order(ask(1))
        assert caught.value.retry_after == 7.0
        server.clear()
        assert broker.submit_order(ask(1)).outcome is Outcome.CONFIRMED
        assert server.received == ["t1"]


def test_the_budget_keeps_a_reserve_for_cancels() -> None:
    with at_tastytrade(per_minute=20.0, timeout=0.5) as (server, broker):
        order = broker.submit_order(ask(1, kind="limit", limit_price=90.0)).order
        assert order is not None

        def use_it_up() -> None:
            for _ in range(40):
                broker.get_account()

        with pytest.raises(RateLimited):
            use_it_up()
        before = len(server.requests)
        assert not broker.cancel_order(order.order_id).is_open
        assert len(server.requests) - before == 3


def test_a_token_that_ends_early_is_renewed_and_what_was_asked_is_asked_again_once() -> None:
    with at_tastytrade() as (server, broker):
        broker.get_account()
        server.tokens += 1  # whatever token there was is not taken any more
        assert broker.submit_order(ask(1)).outcome is Outcome.CONFIRMED
        assert server.received == ["t1"]
        server.every("balances", Answer(401, "token_invalid", "expired"))
        before = server.requests.count("balances")
        with pytest.raises(AccessRefused):
            broker.get_account()
        assert server.requests.count("balances") == before + 2


def test_a_refused_login_is_not_tried_again_for_a_while() -> None:
    now = [0.0]
    with at_tastytrade(seconds=lambda: now[0]) as (server, _):
        keys = {**KEYS, "refresh": "another-refresh-token"}
        broker = TastytradeBroker(keys, transport=server.transport(), seconds=lambda: now[0])
        for _ in range(5):
            with pytest.raises(AccessRefused) as caught:
                broker.get_positions()
            assert "another-refresh-token" not in str(caught.value)
        assert server.requests.count("token") == 1
        now[0] += 61.0
        for _ in range(2):
            with pytest.raises(AccessRefused):
                broker.get_positions()
        now[0] += 61.0  # the second pause is twice as long
        with pytest.raises(AccessRefused):
            broker.get_positions()
        assert server.requests.count("token") == 2
        broker.close()


def test_secrets_are_in_no_error_log_repr_or_address(caplog: pytest.LogCaptureFixture) -> None:
    secrets = (SECRET, REFRESH, "canary-token-")
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG), at_tastytrade(timeout=0.3) as (server, broker):
        heard: list[BrokerUpdate] = []
        end = broker.on_update(heard.append)
        wait_for(lambda: any(one.kind == "connected" for one in heard))
        for kind in ("token", "balances"):
            for fault in (
                "before", "after", "cut", "mute", Answer(401), Answer(403), Answer(429),
                Answer(500, text=SECRET),
                Answer(422, "bad", f"Bearer canary-token-{server.tokens} {REFRESH}"),
            ):  # fmt: skip
                other = TastytradeBroker(KEYS, transport=server.transport(), timeout=0.3)
                server.every(kind, fault)
                with pytest.raises(TwinstepError) as caught:
                    other.get_account()
                texts += [str(caught.value), repr(caught.value), repr(other), str(vars(other))]
                texts += traceback.format_exception(caught.value)
                server.clear()
                other.close()
        end()
        texts += [record.getMessage() for record in caplog.records] + [str(one) for one in heard]
        assert not any("?" in one and "token" in one for one in server.requests)
    shown = [secret for secret in secrets for text in texts if secret in text]
    assert shown == []


def test_the_debug_lines_of_the_library_which_hold_tokens_are_not_written() -> None:
    with at_tastytrade() as (_, broker):
        broker.get_account()
        for name in ("tastytrade", "httpx2"):
            assert logging.getLogger(name).getEffectiveLevel() >= logging.WARNING


def test_every_request_names_its_program_as_tastytrade_demands() -> None:
    with at_tastytrade() as (server, broker):
        broker.get_account()
        assert all("/" in agent for agent in server.agents)


@pytest.mark.parametrize(
    "url", ["http://example.org", "https://10.0.0.1:8000", "ftp://127.0.0.1", "127.0.0.1"]
)
def test_credentials_go_to_no_other_address_than_this_machine(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TastytradeBroker(KEYS, url=url)
    assert caught.value.code == "LIVE_BROKER_CONFIG"


def test_without_credentials_it_is_said_which() -> None:
    with pytest.raises(ConfigError) as caught:
        TastytradeBroker({"secret": "something-long"})
    assert (caught.value.code, "refresh" in str(caught.value)) == ("LIVE_CREDENTIALS", True)


def test_a_login_with_several_accounts_must_be_told_which() -> None:
    with at_tastytrade() as (server, _):
        original = server._carried_out

        def two(kind: str, path: str, query: Any, body: Any) -> tuple[int, Any]:
            status, found = original(kind, path, query, body)
            if kind == "account" and path.endswith("accounts"):
                found["data"]["items"] *= 2
            return status, found

        server._carried_out = two  # type: ignore[method-assign,assignment]
        broker = TastytradeBroker(KEYS, transport=server.transport())
        with pytest.raises(ConfigError, match="5WT00001") as caught:
            broker.get_positions()
        assert caught.value.code == "LIVE_BROKER_CONFIG"
        broker.close()


def test_a_server_on_this_machine_is_reached_by_its_address() -> None:
    server = TastytradeServer()
    server.move({"AAPL": 100.0})
    heard: list[BrokerUpdate] = []
    with served(server) as url:
        broker = TastytradeBroker(KEYS, url=url, clock=lambda: server.books.now)
        end = broker.on_update(heard.append)
        wait_for(lambda: bool(server.subscribed))
        assert broker.submit_order(ask(1)).outcome is Outcome.CONFIRMED
        assert [one.quantity for one in broker.get_positions()] == [10.0]
        wait_for(lambda: any(one.kind == "fill" for one in heard))
        end()
        broker.close()


# The stream


def test_orders_fills_and_positions_are_told_without_being_asked() -> None:
    with at_tastytrade() as (server, broker):
        heard: list[BrokerUpdate] = []
        end = broker.on_update(heard.append)
        wait_for(lambda: bool(server.subscribed))
        broker.submit_order(ask(1))
        wait_for(lambda: {"connected", "fill", "position"} <= {one.kind for one in heard})
        (fill, *_) = [one for one in heard if one.kind == "fill"]
        assert (fill.symbol, fill.client_order_id) == ("AAPL", "t1")
        end()
        count = len(heard)
        broker.submit_order(ask(2))
        time.sleep(0.05)
        assert len(heard) == count


def test_a_stream_that_ends_is_opened_again_and_both_are_told() -> None:
    with at_tastytrade() as (server, broker):
        heard: list[BrokerUpdate] = []
        end = broker.on_update(heard.append)
        wait_for(lambda: len(server.subscribed) == 1)
        server.drop_streams()
        wait_for(lambda: len(server.subscribed) == 2)
        broker.submit_order(ask(1))
        wait_for(lambda: any(one.kind == "fill" for one in heard))
        assert [one.kind for one in heard][:3] == ["connected", "lost", "connected"]
        end()


def test_events_that_a_stream_has_missed_are_in_the_answers() -> None:
    with at_tastytrade() as (server, broker):
        heard: list[BrokerUpdate] = []
        end = broker.on_update(heard.append)
        wait_for(lambda: bool(server.subscribed))
        server.mute_stream = True
        broker.submit_order(ask(1))
        assert [one.quantity for one in broker.get_positions()] == [10.0]
        assert [one.kind for one in heard] == ["connected"]
        end()


def test_a_listener_that_fails_or_asks_the_broker_does_not_end_the_line() -> None:
    with at_tastytrade() as (server, broker):
        caught: list[Exception] = []

        def bad(_: BrokerUpdate) -> None:
            try:
                broker.get_positions()
            except Exception as error:
                caught.append(error)
                raise

        end = broker.on_update(bad)
        wait_for(lambda: bool(server.subscribed))
        broker.submit_order(ask(1))
        wait_for(lambda: len(caught) >= 2)
        assert {getattr(one, "code", "") for one in caught} == {"LIVE_INSIDE_UPDATE"}
        assert broker.get_account().cash < 100_000.0
        end()


def test_a_broker_that_was_closed_says_so() -> None:
    server = TastytradeServer()
    broker = broker_at(server)
    broker.get_account()
    broker.close()
    broker.close()
    with pytest.raises(TastytradeDown, match="closed"):
        broker.get_account()
