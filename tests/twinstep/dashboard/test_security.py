"""Nobody but who has the link gets an answer, and no page but ours can make a browser do anything.

One test per attack, on every path of a running server; each sends what a browser, or something worse, would.
"""

from __future__ import annotations

import json
import re
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from live.kill_switch import KillSwitch, switch_folder
from simulator.errors import ConfigError
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard
from twinstep.dashboard.door.guard import BODY_LIMIT
from twinstep.dashboard.door.login import MOST_FAILURES, Doorman

READS = (
    "/", "/now", "/state", "/queue", "/queue/live", "/events", "/health", "/openapi.json", "/nothing",
    "/performance", "/learning", "/learning/parameters", "/system", "/system/live",
    "/journal", "/trades/1", "/trades/1/live",
    "/runs", "/runs/compare", "/runs/0123456789abcdef", "/runs/0123456789abcdef/report",
)  # fmt: skip
WRITES = (
    "/do/kill", "/do/arm", "/do/close", "/do/link", "/do/requests/R-0123456789abcdef/approve",
    "/do/requests/R-0123456789abcdef/reject",
    "/do/parameters/roll-back", "/do/parameters/1/approve", "/do/parameters/1/reject",
    "/do/trades/1/lesson", "/do/trades/1/note", "/do/trades/1/tag", "/do/trades/1/mistake",
)  # fmt: skip


def state(dashboard: Dashboard) -> str:
    return KillSwitch(dashboard.reader.folder, arm_fresh=False).state


# Who


def test_a_stranger_reads_nothing(stranger: Client) -> None:
    for path in READS:
        answer = stranger.ask(path)
        assert answer.status == 401, path
        assert "paper" not in answer.body.lower().replace("twinstep", ""), path


def test_a_stranger_does_nothing(stranger: Client, dashboard: Dashboard) -> None:
    for path in WRITES:
        assert stranger.do(path.removeprefix("/do/")).status == 401, path
        assert state(dashboard) == "ACTIVE", path


def test_a_page_sends_strangers_to_the_login(stranger: Client) -> None:
    answer = stranger.ask("/", accept="text/html")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert stranger.ask("/login", accept="text/html").status == 200


def test_a_link_opens_once(dashboard: Dashboard, stranger: Client) -> None:
    path = dashboard.link().removeprefix(dashboard.url)
    first = stranger.ask(path)
    assert first.status == 303
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=strict" in first.headers["set-cookie"]
    assert str(dashboard.port) in first.headers["set-cookie"].partition("=")[0]
    assert stranger.ask(path).status == 401


def test_guessing_is_locked_out_for_links_and_tokens_alike(dashboard: Dashboard, stranger: Client) -> None:
    good = dashboard.link().removeprefix(dashboard.url)
    # the last of them is a link: a wrong token that locks is told so at once
    for number in range(MOST_FAILURES):
        if number % 2 == 0:
            assert stranger.ask(f"/login?token=guess{number}").status == 401
        else:
            assert stranger.ask("/state", authorization=f"Bearer guess{number}").status == 401
    assert stranger.ask(good).status == 401
    assert stranger.ask("/state", authorization="Bearer guess").status == 429
    token = json.loads(dashboard.token_file.read_text())["token"]
    assert stranger.ask("/state", authorization=f"Bearer {token}").status == 429


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_cannot_lock_the_owner_out(dashboard: Dashboard, stranger: Client, site: str) -> None:
    for number in range(MOST_FAILURES + 1):
        assert stranger.ask(f"/login?token=guess{number}", sec_fetch_site=site).status == 403
    assert dashboard.doorman.locked == 0.0
    good = dashboard.link().removeprefix(dashboard.url)
    assert stranger.ask(good, sec_fetch_site=site).status == 403
    assert stranger.ask(good, sec_fetch_site="none").status == 303


def test_a_lock_ends_and_wrong_tokens_far_apart_are_none() -> None:
    now = [0.0]
    doorman = Doorman(lambda: now[0])
    for _ in range(MOST_FAILURES - 1):
        assert doorman.open("wrong") is None
    now[0] = 61.0
    assert doorman.open("wrong") is None
    assert doorman.locked == 0.0
    for _ in range(MOST_FAILURES):
        doorman.open("wrong")
    assert doorman.locked > 0.0
    link = doorman.link()
    assert doorman.open(link) is None
    now[0] += 61.0
    secret = doorman.open(link)
    assert secret is not None
    assert doorman.knows(secret)
    now[0] += 13 * 3600.0
    assert not doorman.knows(secret)


def test_who_is_in_stays_in_while_others_guess(client: Client, dashboard: Dashboard) -> None:
    for number in range(MOST_FAILURES + 1):
        Client(dashboard).ask(f"/login?token=guess{number}")
    assert client.ask("/state").status == 200


def test_the_token_for_programs_is_ours_alone_and_ends_with_the_server(journal: Path) -> None:
    with Dashboard(journal) as served:
        assert stat.S_IMODE(served.token_file.stat().st_mode) == 0o600
        token = json.loads(served.token_file.read_text())["token"]
        program = Client(served)
        assert program.ask("/state", authorization=f"Bearer {token}").status == 200
        # a browser adds cookies by itself: with one, the token is no excuse for a missing origin
        answer = program.ask(
            "/do/kill", "POST", "{}", authorization=f"Bearer {token}", cookie="a=b", origin=None
        )
        assert answer.status == 403
    assert not served.token_file.exists()


def test_a_program_gets_links_and_a_browser_does_not(client: Client, dashboard: Dashboard) -> None:
    token = json.loads(dashboard.token_file.read_text())["token"]
    program = Client(dashboard)
    found = program.ask("/do/link", "POST", "{}", authorization=f"Bearer {token}", origin=None).json["link"]
    assert program.ask(found.removeprefix(dashboard.url)).status == 303
    assert client.do("link").status == 403


# From where


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", ""])
def test_a_foreign_host_is_refused_on_every_path(client: Client, dashboard: Dashboard, host: str) -> None:
    named = host.format(port=dashboard.port)
    for path in (*READS, *WRITES, "/login", "/static/dashboard.css"):
        method = "POST" if path in WRITES else "GET"
        answer = client.ask(path, method, "{}" if method == "POST" else "", host=named)
        assert answer.status == 403, path


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("another site", {"sec_fetch_site": "cross-site", "origin": "https://evil.example"}),
        ("a sibling", {"sec_fetch_site": "same-site"}),
        ("only its origin", {"origin": "https://evil.example"}),
        ("another port", {"origin": "http://127.0.0.1:1"}),
        ("another scheme", {"origin": "https://{host}"}),
        ("a sandboxed frame", {"origin": "null"}),
        ("nowhere", {"origin": None}),
        (
            "here, it says, with another origin",
            {"sec_fetch_site": "same-origin", "origin": "https://evil.example"},
        ),
    ],
)
def test_a_write_from_elsewhere_is_refused(
    client: Client, dashboard: Dashboard, name: str, headers: dict[str, str | None]
) -> None:
    given = {key: value and value.format(host=client.host) for key, value in headers.items()}
    form = json.dumps({"key": "key-elsewhere"})
    assert client.ask("/do/kill", "POST", form, **given).status == 403, name
    assert state(dashboard) == "ACTIVE"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_of_another_page_could_send_is_no_json(
    client: Client, dashboard: Dashboard, kind: str
) -> None:
    form = json.dumps({"key": "key-as-text"})
    assert client.ask("/do/kill", "POST", form, content_type=kind or None).status == 415
    assert state(dashboard) == "ACTIVE"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_a_write_does_nothing(client: Client, method: str) -> None:
    for path in WRITES:
        assert client.ask(path, method).status == 405, path


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_none(client: Client, method: str) -> None:
    assert client.ask("/", method, "{}").status in (400, 405)


def test_a_preflight_gets_no_permission(client: Client) -> None:
    answer = client.ask(
        "/do/kill", "OPTIONS", origin="https://evil.example", access_control_request_method="POST"
    )
    assert answer.status == 403
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_websocket_is_refused_whatever_its_origin(client: Client) -> None:
    asking = {
        "connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13",
        "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    # also to whoever is logged in, at an address that answers otherwise
    for origin in (f"http://{client.host}", "https://evil.example"):
        answer = client.ask("/state", origin=origin, **asking)
        assert (answer.status, answer.json["detail"]) == (403, "no websocket is served here")
        assert client.ask("/events", origin=origin, cookie=None, **asking).status == 403


# What


def test_bodies_that_are_too_large_are_refused(client: Client, dashboard: Dashboard) -> None:
    form = json.dumps({"key": "key-too-large", "reason": "x" * BODY_LIMIT})
    assert client.ask("/do/kill", "POST", form).status == 413
    assert client.ask("/do/kill", "POST", "{}", content_length=str(BODY_LIMIT + 1)).status == 413
    assert client.ask("/do/kill", "POST", "{}", content_length="-1").status in (400, 413)
    assert state(dashboard) == "ACTIVE"


def test_a_chunked_body_is_counted_too(client: Client, dashboard: Dashboard) -> None:
    head = (
        f"POST /do/kill HTTP/1.1\r\nhost: {client.host}\r\ncookie: {client.cookie}\r\n"
        f"origin: http://{client.host}\r\ncontent-type: application/json\r\n"
        "transfer-encoding: chunked\r\n\r\n"
    )
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=20) as opened:
        opened.sendall(head.encode())
        for _ in range(BODY_LIMIT // 0x1000 + 1):
            opened.sendall(chunk)
        assert b" 413 " in opened.recv(4096).partition(b"\r\n")[0]


def test_ten_writes_a_second_are_enough(
    client: Client, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(dashboard._served._app, "_monotonic", lambda: now[0])
    for _ in range(2):
        found = [client.ask("/do/nothing", "POST", "{}").status == 429 for _ in range(14)]
        assert found == [False] * 10 + [True] * 4
        now[0] += 1.0


def test_a_cookie_given_twice_counts_as_none(client: Client) -> None:
    name = client.cookie.partition("=")[0]
    assert client.ask("/state").status == 200
    for twice in (f"{client.cookie}; {name}=other", f"{name}=other; {client.cookie}"):
        assert client.ask("/state", cookie=twice).status == 401


def test_a_header_given_twice_counts_as_none(client: Client, dashboard: Dashboard) -> None:
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=20) as opened:
        opened.sendall(
            f"GET /state HTTP/1.1\r\nhost: {client.host}\r\ncookie: {client.cookie}\r\n"
            f"cookie: {client.cookie}\r\n\r\n".encode()
        )
        assert b" 401 " in opened.recv(4096).partition(b"\r\n")[0]


def test_every_answer_is_sealed(client: Client) -> None:
    for path in (*READS[:5], "/login", "/static/dashboard.js", "/nothing"):
        headers = client.ask(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert headers["cache-control"] == "no-store", path
        assert "server" not in headers, path


def test_pages_have_no_inline_script_or_style_and_nothing_from_elsewhere(client: Client) -> None:
    for path in ("/", "/queue", "/login", "/performance", "/learning", "/system", "/journal", "/trades/1"):
        text = client.ask(path).body
        assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", text), path
        assert not re.search(r"\son\w+=|<style|\sstyle=|javascript:", text), path
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text), path


def test_a_script_in_what_others_wrote_is_text(journal: Path, client: Client, dashboard: Dashboard) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    answer = client.do("kill", reason=hostile, by="ada", key="key-hostile")
    assert answer.json["done"]
    try:
        text = client.ask("/").body
        assert hostile not in text
        assert "&lt;script&gt;alert(1)" in text
    finally:
        KillSwitch(switch_folder(journal)).arm("ada", "the test is over")


def test_nothing_that_is_asked_opens_the_journal_for_writing(
    client: Client, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    opened: list[Any] = []
    real = sqlite3.connect

    def noting(*given: Any, **others: Any) -> Any:
        opened.append(given[0])
        return real(*given, **others)

    monkeypatch.setattr(sqlite3, "connect", noting)
    for path in ("/", "/now", "/queue", "/performance", "/learning", "/system", "/journal", "/trades/1"):
        assert client.ask(path).status == 200
    assert opened
    assert all("mode=ro" in str(one) for one in opened)


def test_a_question_to_the_journal_cannot_write(dashboard: Dashboard) -> None:
    import sqlite3

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        dashboard.reader.ask("DELETE FROM trades")


def test_another_address_has_to_be_meant(journal: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Dashboard(journal, host="0.0.0.0")  # noqa: S104 - refused
    assert caught.value.code == "DASHBOARD_HOST"


def test_the_token_of_a_link_is_in_no_log(
    dashboard: Dashboard, stranger: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    path = dashboard.link().removeprefix(dashboard.url)
    stranger.ask(path)
    stranger.ask(path)
    assert path.partition("token=")[2] not in caplog.text
