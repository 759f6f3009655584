"""The page "system" shows each part as its owner keeps it, and goes on where one of them cannot be read."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest

from journal.database import Database
from journal.inbox import Inbox
from live.kill_switch import switch_folder
from live.reconciling.differences import Differences
from tests.twinstep.dashboard.conftest import Client
from tests.twinstep.dashboard.figures_journal import HOSTILE, fill_journal
from twinstep.account_lines import stored_lines
from twinstep.checks import examine
from twinstep.dashboard import Dashboard
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.system import MOST_WORDS, read_system
from twinstep.dashboard.words import money, stamp


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    return fill_journal(tmp_path / "desk.db", trades=10)


@pytest.fixture
def filled_client(filled: Path) -> Iterator[Client]:
    with Dashboard(filled) as served:
        yield Client(served).log_in()


def plain(body: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_a_session_is_shown_with_its_last_bar_and_state(client: Client, journal: Path) -> None:
    text = plain(client.ask("/system").body)
    account = stored_lines(journal, "paper")
    assert account is not None
    assert f"paper {account.halt} {stamp(account.ts)} {account.bars} {money(account.equity)}" in text
    assert "Nothing was sent to a broker yet" in text
    assert plain(client.ask("/system/live").body) in text


def test_what_happened_and_what_waits_is_shown(filled_client: Client, filled: Path) -> None:
    body = filled_client.ask("/system").body
    text = plain(body)
    assert "2026-01-05 15:00:00 UTC arm grace the news are over paper" in text
    assert "2026-01-05 15:00:00 UTC intent desk SPY tw-1, quantity 2, legs [1, 2]" in text
    (difference,) = Differences(switch_folder(filled) / "reviews").open()
    assert f"{difference.item_id} position alpaca SPY 2 here, 3 there" in text
    assert "add lesson waits" in text
    assert "No session yet" in text
    # the newest first
    assert text.index("arm grace") < text.index("kill ada")
    assert HOSTILE not in body
    assert body.count("&lt;script&gt;alert(1)") == 3


def test_a_command_that_was_taken_is_shown_with_its_outcome(filled_client: Client, filled: Path) -> None:
    from journal.trade_journal import TradeJournal

    Inbox(filled).drop("add_lesson", {"trade_id": 999, "lesson": "no such trade"})
    with TradeJournal(filled) as journal:
        journal.drain()
    text = plain(filled_client.ask("/system").body)
    assert "add lesson applied" in text
    assert "add lesson rejected" in text
    assert "999" in text
    assert "waits" not in text.partition("Inbox of the journal")[2].partition("Log of")[0]


def test_versions_are_those_of_the_doctor(client: Client) -> None:
    text = plain(client.ask("/system").body)
    for one in examine(None, start_engine=False):
        if one.name != "disk":  # it changes meanwhile
            assert f"{one.state} {one.name} {' '.join(one.detail.split())}" in text


def test_addresses_of_alerts_are_counted_and_never_shown(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINSTEP_ALERTS", "tgram://secret-canary/chat json://host")
    body = client.ask("/system").body
    assert "2 addresses are told of everything" in plain(body)
    assert "canary" not in body


def test_a_part_that_cannot_be_read_leaves_the_others(filled_client: Client, filled: Path) -> None:
    folder = switch_folder(filled)
    (one,) = (folder / "reviews").glob("D-*.json")
    one.write_text("no json")
    (folder / "switch.jsonl").write_bytes(b'\xff\xfe\n{"event": "kill", "at": 7, "by": ["x"]}\n[1]\n')
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("DROP TABLE events")
    waiting = Inbox(filled).waiting()[0]
    waiting.unlink()
    os.mkfifo(waiting)
    text = plain(filled_client.ask("/system").body)
    assert "Differences cannot be read: " in text
    assert "The log of desk.db cannot be read: OperationalError: no such table: events" in text
    assert '– kill ["x"]' in text
    assert "unreadable waits" in text
    assert "ok twinstep" in text


def test_an_event_without_end_is_cut(filled: Path) -> None:
    with Database(filled) as database, database.write() as connection:
        for data in (json.dumps({"words": "x" * 5000}), "[" * 1999):
            connection.exec_driver_sql(
                "INSERT INTO events (account, ts, kind, data) VALUES ('desk', 1, 'note', ?)", (data,)
            )
    events = read_system(Reader(filled)).events
    assert events is not None
    assert all(len(one.about) <= MOST_WORDS for one in events)


def test_without_a_journal_the_machine_is_shown(tmp_path: Path) -> None:
    with Dashboard(tmp_path / "none.db") as served:
        answer = Client(served).log_in().ask("/system")
    text = plain(answer.body)
    assert answer.status == 200
    assert "The journal none.db cannot be read: it is not there yet" in text
    assert "None waits." in text
    assert "ok python" in text
    assert not (tmp_path / "none.db").exists()
