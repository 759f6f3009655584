"""Nothing is answered without the right name, origin, keys, size and type, on any path."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from live.exchange.guard import BODY_LIMIT, Allowance, Guard, Keys
from simulator.errors import ConfigError

KEYS = Keys("TWKEY", "s" * 32)
HOST = "127.0.0.1:8787"
PATHS = ("/v2/account", "/v2/orders", "/stream", "/twinstep/market", "/health", "/")


class Inner:
    """The application behind the guard: answers 200 with the length of the body it was given."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(message["body"])).encode()})


def ask(
    headers: dict[str, str] | list[tuple[str, str]],
    *,
    path: str = "/v2/account",
    method: str = "GET",
    body: bytes = b"",
    kind: str = "http",
    chunks: int = 1,
    guard: Guard | None = None,
) -> tuple[int, Any]:
    """Return the status (or websocket event) and the JSON of an answer."""
    size = max(1, -(-len(body) // chunks))
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    events = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    if kind == "websocket":
        events = [{"type": "websocket.connect"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = headers.items() if isinstance(headers, dict) else headers
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
    }
    asyncio.run((guard or Guard(Inner(), keys=KEYS, hosts={HOST, "localhost:8787"}))(scope, receive, send))
    if kind == "websocket":
        return (200 if sent[0]["type"] == "websocket.accept" else int(sent[0]["code"])), None
    return int(sent[0]["status"]), json.loads(sent[1]["body"] or b"null")


def good(**changes: str) -> dict[str, str]:
    headers = {"Host": HOST, "APCA-API-KEY-ID": KEYS.key_id, "APCA-API-SECRET-KEY": KEYS.secret}
    return {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}


def test_the_right_request_passes() -> None:
    assert ask(good()) == (200, 0)
    assert ask(good(Host="LOCALHOST:8787"))[0] == 200
    assert ask(good(Origin=f"http://{HOST}"))[0] == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:80", "evil.example:8787", "", "127.0.0.1:8787.evil.example"],
)
def test_a_foreign_host_is_refused_on_every_path(path: str, host: str) -> None:
    assert ask(good(Host=host), path=path)[0] == 403
    assert ask(good(Host=host), path="/stream", kind="websocket")[0] == 1008


def test_a_missing_or_doubled_host_is_refused() -> None:
    without = {name: value for name, value in good().items() if name != "Host"}
    assert ask(without)[0] == 403
    assert ask([*good().items(), ("Host", HOST)])[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:8787", f"https://{HOST}x"]
)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    assert ask(good(Origin=origin))[0] == 403
    assert ask({"Host": HOST, "Origin": origin}, path="/stream", kind="websocket")[0] == 1008


def test_a_browser_that_says_cross_site_is_refused() -> None:
    assert ask(good(Sec_Fetch_Site="cross-site"))[0] == 403
    assert ask(good(Sec_Fetch_Site="same-site"))[0] == 403
    assert ask(good(Sec_Fetch_Site="none"))[0] == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "keys",
    [
        ("", ""),
        ("TWKEY", ""),
        ("", "s" * 32),
        ("TWKEY", "s" * 31),
        ("twkey", "s" * 32),
        ("TWKEY", "é" * 16),
    ],
)
def test_wrong_keys_are_refused_on_every_path(path: str, keys: tuple[str, str]) -> None:
    status, answer = ask(good(APCA_API_KEY_ID=keys[0], APCA_API_SECRET_KEY=keys[1]), path=path)
    assert (status, answer["code"]) == (401, 40110000)


def test_the_inner_application_never_sees_what_is_refused() -> None:
    inner = Inner()
    guard = Guard(inner, keys=KEYS, hosts={HOST})
    ask({"Host": HOST}, guard=guard)
    ask(good(Host="evil.example"), guard=guard)
    ask(good(Content_Type="text/plain"), method="POST", body=b"{}", guard=guard)
    assert (inner.calls, guard.requests, guard.refused) == (0, 3, 3)
    ask(good(), guard=guard)
    assert (inner.calls, guard.requests, guard.refused) == (1, 4, 3)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"]
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_what_writes_is_json(method: str, kind: str) -> None:
    assert ask(good(Content_Type=kind), method=method, body=b"{}")[0] == 415
    assert ask(good(Content_Type="application/json; charset=utf-8"), method=method, body=b"{}") == (200, 2)


def test_a_body_is_limited_whether_or_not_its_length_is_told() -> None:
    json_type = good(Content_Type="application/json")
    assert ask(json_type, method="POST", body=b"x" * BODY_LIMIT, chunks=7) == (200, BODY_LIMIT)
    assert ask(json_type, method="POST", body=b"x" * (BODY_LIMIT + 1), chunks=7)[0] == 413
    told = {**json_type, "Content-Length": str(BODY_LIMIT + 1)}
    assert ask(told, method="POST", body=b"x")[0] == 413
    assert ask({**json_type, "Content-Length": "-1"}, method="POST", body=b"x")[0] == 413


def test_no_answer_allows_another_origin() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "OPTIONS",
        "path": "/v2/orders",
        "headers": [(b"host", HOST.encode()), (b"origin", b"http://evil.example")],
    }
    asyncio.run(Guard(Inner(), keys=KEYS, hosts={HOST})(scope, receive, send))
    assert sent[0]["status"] == 403
    assert not [name for name, _ in sent[0]["headers"] if name.startswith(b"access-control")]


def test_an_allowance_ends_and_begins_again_with_the_minute() -> None:
    now = [0.0]
    guard = Guard(Inner(), keys=KEYS, hosts={HOST}, allowance=Allowance(2, lambda: now[0]))
    assert [ask(good(), guard=guard)[0] for _ in range(3)] == [200, 200, 429]
    assert ask(good(), guard=guard)[1]["code"] == 42910000
    now[0] = 60.0
    assert ask(good(), guard=guard)[0] == 200


def test_keys_are_new_at_each_start_and_not_shown() -> None:
    first, second = Keys.of_environment({}), Keys.of_environment({})
    assert first.secret != second.secret
    assert first.key_id != second.key_id
    assert len(first.secret) >= 43
    assert first.secret not in repr(first) + str(first)


def test_keys_of_the_environment_come_as_a_pair() -> None:
    given = {"TWINSTEP_EXCHANGE_KEY": "mine", "TWINSTEP_EXCHANGE_SECRET": "x" * 16}
    assert Keys.of_environment(given).match("mine", "x" * 16)
    for broken in (
        {"TWINSTEP_EXCHANGE_KEY": "mine"},
        {"TWINSTEP_EXCHANGE_SECRET": "x" * 16},
        {**given, "TWINSTEP_EXCHANGE_SECRET": "short"},
    ):
        with pytest.raises(ConfigError) as caught:
            Keys.of_environment(broken)
        assert caught.value.code == "EXCHANGE_KEYS"
        assert "short" not in str(caught.value)
