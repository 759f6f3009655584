"""The fourteen points of the dashboard's security, those that no attack in `test_security.py` stands for.

1 where it listens, 2 hosts, 3 token and link, 4 requests from elsewhere, 5 streams and websockets, 6 no CORS,
7 reading apart from doing, 8 limits of rate, size and time, 9 headers, 10 escaping, 11 secrets, 12 questions
to the journal, 13 mode and halt on every page, 14 the attacks themselves, in the other file.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from live.kill_switch import KillSwitch, switch_folder
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard
from twinstep.dashboard.door import guard, patience
from twinstep.dashboard.drawn import PAGES

UPGRADE = {
    "connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


def halted(dashboard: Dashboard) -> bool:
    return KillSwitch(dashboard.reader.folder, arm_fresh=False).state != "ACTIVE"


# 1


def test_it_listens_on_this_machine_alone(dashboard: Dashboard) -> None:
    assert dashboard.host == "127.0.0.1"
    other = next((str(one[4][0]) for one in socket.getaddrinfo(socket.gethostname(), 0, socket.AF_INET)), "")
    if not other or other.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection((other, dashboard.port), timeout=2)


def test_the_sixth_version_of_this_machine_is_this_machine(journal: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        served = Dashboard(journal, host="::1").start()
    except Exception as error:
        pytest.skip(f"no ::1 here: {error}")
    try:
        asked = (
            f"GET /login HTTP/1.1\r\nhost: [::1]:{served.port}\r\nconnection: close\r\n\r\n",
            f"GET /login HTTP/1.1\r\nhost: [::2]:{served.port}\r\nconnection: close\r\n\r\n",
        )
        for request, status in zip(asked, (b" 200 ", b" 403 "), strict=True):
            with socket.create_connection(("::1", served.port), timeout=20) as opened:
                opened.sendall(request.encode())
                assert status in opened.recv(4096).partition(b"\r\n")[0]
    finally:
        served.stop()


# 2 and 4


def test_a_name_that_is_allowed_is_served_behind_tls_and_no_other(journal: Path) -> None:
    with Dashboard(journal, allow_hosts=["desk.example"]) as served:
        client = Client(served).log_in()
        assert client.ask("/state", host="desk.example").status == 200
        assert client.ask("/state", host="evil.example").status == 403
        form = json.dumps({"key": "key-of-nothing"})
        for origin, status in (
            ("https://desk.example", 404), ("https://evil.example", 403), ("https://desk.example.evil", 403),
        ):  # fmt: skip
            answer = client.ask("/do/nothing", "POST", form, host="desk.example", origin=origin)
            assert answer.status == status, origin
        # encryption is in front of the other name, and never of this machine's own
        assert client.ask("/do/nothing", "POST", form, origin=f"https://{client.host}").status == 403


# 5


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_websocket_of_another_page_gets_nothing_with_our_cookie(
    client: Client, dashboard: Dashboard, origin: str
) -> None:
    for path in ("/events", "/", "/do/kill"):
        answer = client.ask(path, **UPGRADE, origin=origin)
        assert answer.status == 403, path
        assert "sec-websocket-accept" not in answer.headers, path
        assert not any(name.startswith("access-control") for name in answer.headers), path
        assert not halted(dashboard), path


def test_a_stream_wants_host_and_session_before_it_begins(client: Client, stranger: Client) -> None:
    assert stranger.ask("/events").status == 401
    assert client.ask("/events", host="evil.example").status == 403


# 6


def test_no_answer_is_shared_with_another_origin(client: Client) -> None:
    for path in ("/", "/state", "/openapi.json", "/static/dashboard.js", "/login"):
        headers = client.ask(path, origin="https://evil.example").headers
        assert not any(name.startswith("access-control") for name in headers), path
        assert headers["cross-origin-resource-policy"] == "same-origin", path


# 7


def test_what_opens_risk_is_typed_and_what_ends_it_is_not(client: Client, journal: Path) -> None:
    described = client.ask("/openapi.json").json["components"]["schemas"]
    typed = {name for name, one in described.items() if "typed" in one.get("required", ())}
    assert {"Arm", "Approve", "Close", "ApproveSet", "RollBack"} <= typed
    assert not {"Kill", "Reject", "RejectSet"} & typed
    keyed = {name for name, one in described.items() if "key" in one.get("required", ())}
    assert typed | {"Kill", "Reject", "RejectSet"} <= keyed


# 8


def test_a_header_that_does_not_end_is_hung_up_on(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEADER_SECONDS", 0.5)
    silent = socket.create_connection(("127.0.0.1", dashboard.port), timeout=20)
    slow = socket.create_connection(("127.0.0.1", dashboard.port), timeout=20)
    slow.sendall(f"GET /login HTTP/1.1\r\nhost: 127.0.0.1:{dashboard.port}\r\n".encode())
    begun = time.monotonic()
    gone = False
    while not gone and time.monotonic() - begun < 15.0:
        try:
            slow.sendall(b"x-more: a\r\n")
            time.sleep(0.1)
        except OSError:
            gone = True
    assert gone
    try:
        assert silent.recv(10) == b""
    except ConnectionResetError:
        pass
    silent.close()
    slow.close()


def test_a_whole_request_is_not_hurried_and_the_next_one_on_its_connection_is_timed(
    client: Client, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEADER_SECONDS", 1.5)
    ask = f"GET /health HTTP/1.1\r\nhost: {client.host}\r\ncookie: {client.cookie}\r\n"
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=20) as opened:
        for _ in range(2):
            opened.sendall(f"{ask}\r\n".encode())
            answer = b""
            while b'{"ok":true}' not in answer:
                more = opened.recv(65536)
                assert more, "hung up on"
                answer += more
            assert b" 200 " in answer.partition(b"\r\n")[0]
            time.sleep(1.7)  # longer than a header may take: nothing is being said
        opened.sendall(ask.encode())
        assert opened.recv(65536) == b""


def test_a_body_that_does_not_come_is_not_waited_for(
    client: Client, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)
    head = (
        f"POST /do/kill HTTP/1.1\r\nhost: {client.host}\r\ncookie: {client.cookie}\r\n"
        f"origin: http://{client.host}\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=20) as opened:
        opened.sendall(head.encode() + b'{"key":')
        assert b" 408 " in opened.recv(4096).partition(b"\r\n")[0]
    assert not halted(dashboard)


def test_a_header_that_is_too_long_is_refused(client: Client) -> None:
    try:
        status = client.ask("/state", x_long="x" * 200_000).status
    except OSError:
        return  # hung up on while it was still sending
    assert status in (400, 431)


# 11


def test_no_token_or_cookie_stands_in_a_page_a_log_or_an_error(
    client: Client, dashboard: Dashboard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = json.loads(dashboard.token_file.read_text())["token"]
    secret = client.cookie.partition("=")[2]
    used = dashboard.link()
    link = used.partition("token=")[2]
    Client(dashboard).ask(f"/login?token={link}")
    pages = [client.ask(path).body for path, _ in PAGES]
    pages += [
        client.ask(f"/login?token={link}").body,
        client.ask(f"/nothing?token={link}", accept="text/html").body,
        client.ask("/openapi.json").body, client.ask("/state", authorization=f"Bearer {token}x").body,
        client.ask("/do/kill", "POST", json.dumps({"key": token})).body, repr(dashboard),
    ]  # fmt: skip
    for hidden in (token, secret, link):
        assert not [page for page in pages if hidden in page and '"key"' not in page]
        assert hidden not in caplog.text
    KillSwitch(dashboard.reader.folder, arm_fresh=False).arm("ada", "the test is over")


# 12


def test_what_a_search_says_is_no_question_to_the_journal(client: Client) -> None:
    for word in ("'", "%' OR 1=1 --", "\\", '"; DROP TABLE trades; --', "%", "_"):
        from urllib.parse import quote

        for name in ("q", "symbol", "strategy", "tag"):
            assert client.ask(f"/journal?{name}={quote(word)}").status == 200
    assert client.ask("/journal").status == 200


# 13


def test_mode_and_halt_stand_on_every_page(client: Client, journal: Path) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    paths = [*(one for one, _ in PAGES), "/trades/1", "/nothing"]
    for path in paths:
        text = client.ask(path, accept="text/html").body
        assert '<span class="chip mode-paper">PAPER</span>' in text, path
        assert '<span class="chip switch-active">ACTIVE</span>' in text, path
    switch.engage("a test", "ada")
    try:
        for path in paths:
            assert 'switch-halted">HALTED' in client.ask(path, accept="text/html").body, path
    finally:
        switch.arm("ada", "the test is over")


def test_real_money_is_told_from_paper(tmp_path: Path) -> None:
    journal = tmp_path / "desk.db"
    KillSwitch(switch_folder(journal), scope="live").arm("ada", "a test")
    with Dashboard(journal) as served:
        found: Any = Client(served).log_in().ask("/")
        assert '<span class="chip mode-live">LIVE</span>' in found.body
