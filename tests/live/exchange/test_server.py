"""The server as a whole: start, stop, names, ports, limits, what a market may do, and who is let in."""

from __future__ import annotations

import http.client
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from live.exchange import Exchange, Keys
from live.feeds import ReplayFeed
from simulator.errors import ConfigError, EngineError, MissingExtraError

SOURCE = "synthetic:2x30?seed=1"


def ask(
    exchange: Exchange, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", exchange.port, timeout=10)
    sent = {
        "APCA-API-KEY-ID": exchange.keys.key_id,
        "APCA-API-SECRET-KEY": exchange.keys.secret,
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    connection.request(method, path, None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None, {k.lower(): v for k, v in answer.getheaders()}


def test_it_listens_on_this_machine_alone_and_says_where() -> None:
    with Exchange.open(ReplayFeed(SOURCE), manual=True) as exchange:
        assert exchange.url == f"http://127.0.0.1:{exchange.port}"
        assert exchange.stream_url == f"ws://127.0.0.1:{exchange.port}/stream"
        assert exchange.serving
        assert exchange.keys.secret not in repr(exchange)
        assert ask(exchange, "GET", "/v2/account")[0] == 200
    assert not exchange.serving
    with pytest.raises(ConnectionRefusedError):
        ask(exchange, "GET", "/v2/account")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "desk.example"])  # noqa: S104
def test_other_addresses_need_to_be_meant(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Exchange.open(ReplayFeed(SOURCE), manual=True, host=host)
    assert caught.value.code == "EXCHANGE_HOST"


def test_a_name_that_is_allowed_is_served_and_no_other() -> None:
    with Exchange.open(ReplayFeed(SOURCE), manual=True, allow_hosts=["desk.example"]) as exchange:
        for host, status in (
            ("desk.example", 200),
            (f"desk.example:{exchange.port}", 200),
            ("evil.example", 403),
        ):
            assert ask(exchange, "GET", "/v2/account", Host=host)[0] == status


def test_a_port_that_is_taken_is_an_error() -> None:
    with Exchange.open(ReplayFeed(SOURCE), manual=True) as exchange:
        second = Exchange.open(ReplayFeed(SOURCE), manual=True, port=exchange.port)
        with pytest.raises(ConfigError) as caught, second:
            pass
        assert caught.value.code == "EXCHANGE_PORT"
        assert not second.serving
        with pytest.raises(EngineError) as started:
            exchange.start()
        assert started.value.code == "EXCHANGE_STARTED"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"uvicorn.*twinstep\[exchange\]") as caught:
        Exchange.open(ReplayFeed(SOURCE), manual=True)
    assert caught.value.code == "EXCHANGE_EXTRA"


def test_no_server_names_itself_and_no_origin_is_allowed(shared: Exchange) -> None:
    _, _, headers = ask(shared, "GET", "/v2/account")
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control")]
    assert headers["content-type"].startswith("application/json")


WRITES = [("POST", "/v2/orders"), ("POST", "/twinstep/step"), ("POST", "/twinstep/tick")]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_nothing_is_written_by_a_form_or_a_get(shared: Exchange, method: str, path: str) -> None:
    assert ask(shared, method, path, {}, Content_Type="text/plain")[0] == 415
    assert ask(shared, method, path, "x" * 70_000)[0] == 413
    if path.startswith("/twinstep"):
        assert ask(shared, "GET", path)[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/v2/orders",
        "/v2/account",
        "/v2/positions",
        "/twinstep/market",
        "/nothing",
        "/",
        "/v2/clock",
        "/health",
    ],
)
def test_every_path_needs_keys_and_a_name(shared: Exchange, path: str) -> None:
    assert ask(shared, "GET", path, APCA_API_KEY_ID="wrong")[0] == 401
    assert ask(shared, "GET", path, Host="evil.example")[0] == 403
    assert ask(shared, "GET", path, Origin="http://evil.example")[0] == 403


def test_beyond_the_limit_of_requests_is_429_with_a_time_to_wait() -> None:
    with Exchange.open(ReplayFeed(SOURCE), manual=True, requests_per_minute=3) as exchange:
        assert [ask(exchange, "GET", "/v2/clock")[0] for _ in range(3)] == [200, 200, 200]
        status, answer, headers = ask(exchange, "GET", "/v2/clock")
        assert (status, answer["code"]) == (429, 42910000)
        assert 1 <= int(headers["retry-after"]) <= 60


def test_a_fault_of_ours_is_answered_and_logged_without_secrets(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("the account is on fire")

    monkeypatch.setattr(exchange.venue, "account", broken)
    with caplog.at_level(logging.DEBUG):
        status, answer, _ = ask(exchange, "GET", "/v2/account")
    assert (status, answer) == (500, {"code": 50010000, "message": "internal server error occurred"})
    assert "the account is on fire" in caplog.text
    assert exchange.keys.secret not in caplog.text
    assert ask(exchange, "GET", "/v2/clock")[0] == 200


def test_bars_and_prices_by_hand(exchange: Exchange) -> None:
    status, answer, _ = ask(exchange, "POST", "/twinstep/step", {"bars": 2})
    assert (status, answer["played"], answer["bars_played"]) == (200, 2, 3)
    status, answer, _ = ask(
        exchange, "POST", "/twinstep/tick", {"prices": {"AAPL": 120.5, "MSFT": [49.9, 50.1]}}
    )
    assert (status, answer["prices"]["AAPL"], answer["prices"]["MSFT"]) == (200, 120.5, 50.0)
    for path, body in (
        ("/twinstep/step", {"bars": 0}),
        ("/twinstep/step", {"bars": 1_000_000}),
        ("/twinstep/tick", {}),
        ("/twinstep/tick", {"prices": {"AAPL": -1}}),
        ("/twinstep/tick", {"prices": {"AAPL": [1, 2, 3]}}),
    ):
        assert ask(exchange, "POST", path, body)[0] == 422
    assert ask(exchange, "POST", "/twinstep/step", {"bars": 100})[1]["played"] == 9
    assert ask(exchange, "GET", "/twinstep/market")[1]["ended"] is True


def test_a_market_that_runs_is_not_moved_by_hand() -> None:
    with Exchange.open(ReplayFeed(SOURCE, speed=200)) as exchange:
        assert exchange.market.played >= 1
        for path, body in (("/twinstep/step", {}), ("/twinstep/tick", {"prices": {"TEC1": 1}})):
            assert ask(exchange, "POST", path, body)[0] == 409
        end = time.monotonic() + 20
        while not exchange.market.ended and time.monotonic() < end:
            time.sleep(0.02)
        assert exchange.market.played == 30
        assert ask(exchange, "GET", "/v2/account")[0] == 200


def test_the_same_replay_gives_the_same_bytes() -> None:
    def run() -> tuple[Any, Any]:
        with Exchange.open(ReplayFeed(SOURCE), manual=True, keys=Keys("k", "s" * 16)) as exchange:
            client = TradingClient("k", "s" * 16, url_override=exchange.url, raw_data=True)
            for number in range(10):
                exchange.market.step()
                side = "buy" if number % 3 else "sell"
                client.submit_order(
                    MarketOrderRequest(
                        symbol="TEC1" if number % 2 else "FIN1", qty=5, side=side, time_in_force="day",
                        client_order_id=f"n{number}",
                    )
                )  # fmt: skip
            exchange.market.step()
            return client.get("/orders", {"status": "all"}), client.get("/account")

    first, second = run(), run()
    ignored = {"id", "asset_id", "account_number"}

    def told(orders: Any) -> Any:
        return [{name: value for name, value in order.items() if name not in ignored} for order in orders]

    assert told(first[0]) == told(second[0])
    assert told([first[1]]) == told([second[1]])


def test_a_state_file_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "paper.events"
    with Exchange.open(ReplayFeed(SOURCE), manual=True, path=path) as exchange:
        client = TradingClient(exchange.keys.key_id, exchange.keys.secret, url_override=exchange.url)
        exchange.market.step(3)
        client.submit_order(MarketOrderRequest(symbol="TEC1", qty=7, side="buy", time_in_force="day"))
        waiting: Any = client.submit_order(
            LimitOrderRequest(symbol="TEC1", qty=2, side="buy", limit_price=1, time_in_force="gtc")
        )
        exchange.market.step(2)
        before = ask(exchange, "GET", "/v2/positions")[1], ask(exchange, "GET", "/v2/account")[1]
        last = exchange.market.last
    with Exchange.open(ReplayFeed(SOURCE), manual=True, path=path) as exchange:
        client = TradingClient(exchange.keys.key_id, exchange.keys.secret, url_override=exchange.url)
        assert (ask(exchange, "GET", "/v2/positions")[1], ask(exchange, "GET", "/v2/account")[1]) == before
        assert client.get_order_by_id(waiting.id).status.value == "new"  # type: ignore[union-attr]
        assert last is not None
        assert client.get_clock().timestamp.timestamp() >= last.timestamp()  # type: ignore[union-attr]
        exchange.market.step()
        assert exchange.market.last is not None
        assert exchange.market.last > last
        assert exchange.market.step(100) == 24


def test_importing_the_front_door_costs_no_server() -> None:
    code = (
        "import sys, twinstep.cli, live.exchange\n"
        "heavy = {'starlette', 'uvicorn', 'websockets', 'numba', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
