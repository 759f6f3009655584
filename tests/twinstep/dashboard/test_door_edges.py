"""The door, and the head of every page: who may hold a stream, that a lock is logged, whose account it is."""

from __future__ import annotations

import html
import http.client
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from live.brokers.interface import Leg, OrderRequest
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue
from live.session import Session
from strategies import strategy_class
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard
from twinstep.dashboard.door.login import MOST_FAILURES
from twinstep.dashboard.drawn import PAGES

TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Signs that turn the direction of all that follows them on a line."""
FOREIGN = (
    {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
)  # fmt: skip


def stream(client: Client, headers: dict[str, str]) -> tuple[int, bytes]:
    """Ask for the news; returns the status and the first line, and hangs up on a stream."""
    connection = http.client.HTTPConnection("127.0.0.1", client.dashboard.port, timeout=20)
    try:
        connection.request("GET", "/events", headers={"cookie": client.cookie, **headers})
        answer = connection.getresponse()
        return answer.status, answer.readline()
    finally:
        connection.close()


@pytest.mark.parametrize("headers", FOREIGN)
def test_no_other_page_holds_a_stream_with_our_cookie(client: Client, headers: dict[str, str]) -> None:
    assert stream(client, headers)[0] == 403


def test_our_own_page_is_told_the_news(dashboard: Dashboard, client: Client) -> None:
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": dashboard.url}, {}):
        assert stream(client, headers) == (200, b"retry: 2000\n"), headers


def test_a_lock_is_logged_once_and_without_the_tokens(
    stranger: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="twinstep.dashboard"):
        for number in range(MOST_FAILURES - 1):
            stranger.ask(f"/login?token=guess{number}")
        assert caplog.records == []
        for number in range(3):
            stranger.ask(f"/login?token=guess{number}")
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert "guess" not in caplog.text


@pytest.fixture
def at_broker(tmp_path: Path, journal: Path) -> Iterator[Client]:
    """Return a client of a copy of the journal whose session has noted its broker's account."""
    copy = shutil.copytree(journal.parent, tmp_path / "desk") / journal.name
    with Session(copy, strategies=[strategy_class("donchian-breakout")()]) as session:
        session.note({"broker_account": {"broker": "alpaca", "account": "PA<3>", "kind": "paper"}})
    with Dashboard(copy) as served:
        yield Client(served).log_in()


def test_the_account_stands_on_every_page(at_broker: Client, client: Client) -> None:
    for path in (*(one for one, _ in PAGES), "/trades/1", "/nothing", "/runs/0123456789abcdef"):
        for who, words in ((at_broker, "alpaca PA<3>"), (client, "no broker")):
            head = re.search(r"<header.*?</header>", who.ask(path, accept="text/html").body, re.DOTALL)
            assert head is not None, path
            assert f"<small>{html.escape(words)}</small>" in head[0], path


def test_what_others_wrote_turns_no_figure_around(client: Client, journal: Path) -> None:
    folder = switch_folder(journal)
    queue = ReviewQueue(folder / "reviews", KillSwitch(folder))
    order = OrderRequest(
        client_order_id="tw-turned", legs=(Leg("AAPL", 10.0),), strategy=f"{TURNING}שלום", kind="limit",
        limit_price=123.45,
    )  # fmt: skip
    number = queue.add(order, broker="paper", price=123.45).request_id
    try:
        for path in ("/queue", "/queue/live"):
            shown = client.ask(path).body
            assert number in shown
            assert "שלום" in shown
            assert not set(TURNING) & set(shown), path
    finally:
        queue.reject(number, "the test is over", rejected_by="ada")
