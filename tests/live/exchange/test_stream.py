"""Trade updates: the official client gets every change in order; strangers get nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.models import TradeUpdate
from alpaca.trading.requests import (
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
)
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from live.exchange import Exchange, stream

WAIT = 60.0


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def listening(exchange: Exchange) -> Iterator[list[TradeUpdate]]:
    """Run the official stream client in a thread; gives the updates that it has got so far."""
    got: list[TradeUpdate] = []

    async def keep(update: Any) -> None:
        got.append(update)

    client = TradingStream(exchange.keys.key_id, exchange.keys.secret, url_override=exchange.stream_url)
    client.subscribe_trade_updates(keep)
    thread = threading.Thread(target=client.run, daemon=True)
    thread.start()
    until(lambda: exchange.hub.listening > 0)
    try:
        yield got
    finally:
        loop = client._loop
        assert loop is not None
        asyncio.run_coroutine_threadsafe(client.stop_ws(), loop).result()
        exchange.market.tick({"AAPL": 100.0})
        # the client looks whether it should stop only when something comes
        trading = TradingClient(exchange.keys.key_id, exchange.keys.secret, url_override=exchange.url)
        trading.submit_order(MarketOrderRequest(symbol="MSFT", qty=1, side="buy", time_in_force="day"))
        thread.join(WAIT)
        assert not thread.is_alive()


def raw(exchange: Exchange, *messages: Any, **options: Any) -> ClientConnection:
    socket: ClientConnection = connect(exchange.stream_url, **options).__enter__()
    for message in messages:
        socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))
    return socket


def heard(socket: ClientConnection) -> Any:
    frame = socket.recv(timeout=WAIT)
    assert isinstance(frame, bytes), "the real server sends binary frames"
    return json.loads(frame)


def login(exchange: Exchange) -> dict[str, Any]:
    data = {"key_id": exchange.keys.key_id, "secret_key": exchange.keys.secret}
    return {"action": "authenticate", "data": data}


LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}


def test_the_official_client_gets_every_change_in_order(exchange: Exchange, client: TradingClient) -> None:
    with listening(exchange) as got:
        bought: Any = client.submit_order(
            MarketOrderRequest(symbol="AAPL", qty=10, side="buy", time_in_force="day")
        )
        waiting: Any = client.submit_order(
            LimitOrderRequest(symbol="AAPL", qty=1, side="buy", limit_price=90, time_in_force="gtc")
        )
        new: Any = client.replace_order_by_id(waiting.id, ReplaceOrderRequest(limit_price=91))
        client.cancel_order_by_id(new.id)
        until(lambda: len(got) >= 9)
        assert [(update.event, update.order.id) for update in got] == [
            ("pending_new", bought.id),
            ("new", bought.id),
            ("fill", bought.id),
            ("pending_new", waiting.id),
            ("new", waiting.id),
            ("pending_replace", waiting.id),
            ("replaced", waiting.id),
            ("new", new.id),
            ("pending_cancel", new.id),
        ] + [("canceled", new.id)] * (len(got) - 9)
        until(lambda: len(got) == 10)
        fill = got[2]
        assert (fill.price, fill.qty, fill.position_qty) == (100.0, 10.0, 10.0)
        assert fill.execution_id is not None
        assert fill.order.status.value == "filled"
        assert [update.order.status.value for update in got[5:7]] == ["pending_replace", "replaced"]
        assert [update.timestamp for update in got] == sorted(update.timestamp for update in got)
        assert exchange.hub.published == 10


def test_a_brackets_story_is_told_to_its_end(exchange: Exchange, client: TradingClient) -> None:
    with listening(exchange) as got:
        order: Any = client.submit_order(
            MarketOrderRequest(
                symbol="AAPL", qty=10, side="buy", time_in_force="gtc", order_class="bracket",
                take_profit=TakeProfitRequest(limit_price=110), stop_loss=StopLossRequest(stop_price=95),
            )
        )  # fmt: skip
        exchange.market.tick({"AAPL": 111.0})
        until(lambda: sum(update.event in ("canceled", "fill") for update in got) == 3)
        kinds = {leg.id: leg.type.value for leg in order.legs}
        told = [(kinds.get(update.order.id, "entry"), update.event) for update in got]
        assert told[:3] == [("entry", "pending_new"), ("entry", "new"), ("entry", "fill")]
        assert ("limit", "fill") in told
        assert ("stop", "canceled") in told
        assert told.index(("limit", "new")) < told.index(("limit", "fill"))


def test_partial_fills_expiries_and_bars_are_told(exchange: Exchange, client: TradingClient) -> None:
    with listening(exchange) as got:
        client.submit_order(
            LimitOrderRequest(symbol="AAPL", qty=1, side="buy", limit_price=80, time_in_force="day")
        )
        exchange.market.step()
        until(lambda: len(got) == 3)
        assert [update.event for update in got] == ["pending_new", "new", "expired"]


def test_both_ways_to_authenticate_are_understood(shared: Exchange) -> None:
    short = {"action": "auth", "key": shared.keys.key_id, "secret": shared.keys.secret}
    for message, action in ((login(shared), "authenticate"), (short, "auth")):
        with raw(shared, message, LISTEN) as socket:
            assert heard(socket) == {
                "stream": "authorization",
                "data": {"status": "authorized", "action": action},
            }
            assert heard(socket) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}


def test_a_stranger_is_told_so_and_sent_away(exchange: Exchange) -> None:
    wrong = {"action": "auth", "key": exchange.keys.key_id, "secret": "no"}
    with raw(exchange, LISTEN, wrong) as socket:
        assert heard(socket)["data"] == {"status": "unauthorized", "action": "listen"}
        assert heard(socket)["data"] == {"status": "unauthorized", "action": "auth"}
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=WAIT)
    assert exchange.hub.listening == 0


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_from_elsewhere_does_not_get_a_connection(shared: Exchange, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as caught:
        raw(shared, additional_headers=headers)
    assert caught.value.response.status_code == 403


def test_who_says_nothing_is_sent_away(shared: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOGIN_SECONDS", 0.05)
    with raw(shared) as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=WAIT)


@pytest.mark.parametrize(
    "nonsense", ["", "{", "[]", "7", '{"action": 5}', b"\xff", "[" * 20_000, '{"action": "listen"}']
)
def test_nonsense_is_answered_and_not_fatal(shared: Exchange, nonsense: str | bytes) -> None:
    with raw(shared, nonsense, login(shared), nonsense, LISTEN) as socket:
        assert heard(socket)["data"]["status"] == "unauthorized"
        assert heard(socket)["data"]["status"] == "authorized"
        assert heard(socket) == {"stream": "error", "data": {"error": "invalid message"}}
        assert heard(socket)["stream"] == "listening"


def test_updates_go_to_all_who_listen_and_only_to_them(exchange: Exchange, client: TradingClient) -> None:
    first, second = (raw(exchange, login(exchange), LISTEN) for _ in range(2))
    silent = raw(exchange, login(exchange))
    for socket in (first, second, silent):
        assert heard(socket)["stream"] == "authorization"
    for socket in (first, second):
        assert heard(socket)["stream"] == "listening"
    assert exchange.hub.listening == 2
    client.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day"))
    assert [heard(first) for _ in range(3)] == [heard(second) for _ in range(3)]
    with pytest.raises(TimeoutError):
        silent.recv(timeout=0.05)
    for socket in (first, second, silent):
        socket.close()
    until(lambda: exchange.hub.listening == 0)


def test_connections_are_counted(exchange: Exchange) -> None:
    sockets = [raw(exchange, login(exchange)) for _ in range(stream.MOST_CONNECTIONS)]
    for socket in sockets:
        assert heard(socket)["data"]["status"] == "authorized"
    with raw(exchange) as another, pytest.raises(ConnectionClosed):
        another.recv(timeout=WAIT)
    for socket in sockets:
        socket.close()


def test_who_does_not_read_is_sent_away_rather_than_left_with_gaps(
    exchange: Exchange, client: TradingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_WAITING", 3)
    # packed, all of it would fit into what lies between the two ends
    with raw(exchange, login(exchange), LISTEN, compression=None) as socket:
        heard(socket)
        heard(socket)
        for number in range(50):
            exchange.hub.publish(lambda: {"padding": "x" * 1_000_000, "number": number})  # noqa: B023
        numbers: list[int] = []

        def read_on() -> None:
            while True:
                numbers.append(heard(socket)["data"]["number"])

        with pytest.raises(ConnectionClosed):
            read_on()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < 50


def test_nothing_is_made_where_nobody_listens(exchange: Exchange) -> None:
    def make() -> dict[str, Any]:
        raise AssertionError("nobody asked")

    before = exchange.hub.published
    exchange.hub.publish(make)
    assert exchange.hub.published == before + 1
