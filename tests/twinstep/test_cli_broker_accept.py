"""A halt by reconciliation ends from the shell: listed in words, accepted by a person, armed, and gone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from live.brokers import secrets
from live.exchange import Exchange
from live.opening import open_desk
from live.reconciling.differences import Differences, Found
from tests.live.exchange.conftest import exchange
from tests.live.memory_broker import MemoryBroker
from tests.twinstep.conftest import Answer, Cli

__all__ = ["exchange"]  # a fixture

PLACE = Path("trade_journal.db.switch")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("keyring.get_password", lambda service, name: None)
    yield
    secrets.forget()


@pytest.fixture
def configured(cli: Cli, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    monkeypatch.setenv("TWINSTEP_ALPACA_KEY", exchange.keys.key_id)
    monkeypatch.setenv("TWINSTEP_ALPACA_SECRET", exchange.keys.secret)
    text = f'[broker]\nname = "alpaca"\nurl = "{exchange.url}"\ndata_url = "{exchange.url}"\ntimeout = 5.0\n'
    Path("twinstep.toml").write_text(text, encoding="utf-8")
    return exchange


def halted(cli: Cli) -> tuple[Answer, list[str]]:
    """Buy with one journal, and look with another, which knows nothing of it."""
    bought = ("broker", "order", "AAPL", "10", "--yes", "--journal", "other.db")
    assert cli(*bought).code == 0
    answer = cli("broker", "status")
    return answer, [one.item_id for one in Differences(PLACE / "reviews").open()]


def opened(cause: str = "foreign_position", **data: float) -> str:
    (one,) = Differences(PLACE / "reviews").settle(
        "main",
        [
            Found(
                cause=cause,  # type: ignore[arg-type]
                broker="main", symbols=("TSLA",), message="TSLA: 7 are held, the books have 0",
                data=data or {"broker": 7.0, "books": 0.0},
            )
        ],
        keep=lambda _: True,
    )  # fmt: skip
    return one.item_id


def accepted(item: str, *more: str) -> tuple[str, ...]:
    return ("broker", "accept", item, "--by", "ada", "--reason", "bought by hand", *more)


def test_a_halt_names_the_command_that_ends_it_and_ends(cli: Cli, configured: Exchange) -> None:
    answer, items = halted(cli)
    assert "switch HALTED: killed by reconcile" in answer.out
    assert items
    assert f"twinstep broker accept {items[0]} --folder" in " ".join(answer.out.split())
    listed = cli("requests").out
    for item in items:
        assert f"twinstep broker accept {item} --by NAME --reason TEXT" in listed
        assert cli(*accepted(item, "--yes")).code == 0
    assert cli("requests").out.strip() == "nothing waits"
    # trading stays halted until a person arms
    assert cli("broker", "status", "--json").json["switch"] == "HALTED"
    assert cli("arm", "--by", "ada", "--reason", "looked at", "--confirm").code == 0
    for _ in range(2):
        found = cli("broker", "status", "--json").json
        assert found["switch"] == "ACTIVE"
    assert cli("broker", "order", "AAPL", "1", "--yes").code == 0


def test_it_is_listed_in_words_and_as_json(cli: Cli) -> None:
    item = opened()
    out = cli("requests").out
    assert f"{item}  TSLA: 7 are held" in out
    assert "the books take over the broker's 7 (they say 0)" in out
    (row,) = cli("requests", "--json").json
    assert (row["kind"], row["item_id"], row["cause"]) == ("difference", item, "foreign_position")
    assert row["what"].startswith("TSLA: 7")


def test_nobody_accepts_without_saying_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    item = opened()
    answer = cli(*accepted(item))
    assert (answer.code, "CLI_CONFIRM" in answer.err) == (2, True)
    assert "LIVE_REVIEW_NAME" in cli("broker", "accept", item, "--by", "bot", "--reason", "x", "--yes").err
    assert "LIVE_REVIEW_NAME" in cli("broker", "accept", item, "--by", "ada", "--reason", " ", "--yes").err
    assert [one.state for one in Differences(PLACE / "reviews").all()] == ["open"]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "tsla")
    assert cli(*accepted(item)).code == 0
    (one,) = Differences(PLACE / "reviews").all()
    assert (one.state, one.decided_by, one.note) == ("accepted", "ada", "bought by hand")


def test_what_has_ended_or_is_not_there_is_told(cli: Cli) -> None:
    item = opened()
    assert "NAME_REQUEST" in cli(*accepted("D-0000000000000000", "--yes")).err
    assert cli(*accepted(item, "--yes")).code == 0
    again = cli(*accepted(item, "--yes"))
    assert (again.code, "accepted before by ada" in again.out) == (3, True)


def test_a_missing_stop_is_not_accepted_away(cli: Cli) -> None:
    item = opened("unprotected", held=7.0, needed=7.0, guarded=0.0)
    assert "twinstep broker protect" in cli("requests").out
    answer = cli(*accepted(item, "--yes"))
    assert (answer.code, "twinstep broker protect" in answer.out) == (3, True)
    assert [one.state for one in Differences(PLACE / "reviews").all()] == ["open"]


def test_approve_and_reject_say_which_command_a_difference_needs(cli: Cli) -> None:
    item = opened()
    for words in (("approve", item, "--by", "ada"), ("reject", item, "--by", "ada", "--reason", "no")):
        answer = cli(*words)
        assert answer.code == 2
        assert f"twinstep broker accept {item}" in answer.err
        assert "Move it away" not in answer.err


def test_a_session_that_runs_carries_it_out(cli: Cli) -> None:
    broker = MemoryBroker()
    broker.hold("TSLA", 7.0)
    with open_desk("trade_journal.db", {"main": broker}) as desk:
        assert desk.kill_switch.state == "HALTED"
        (one,) = desk.report.differences
        done = threading.Event()

        def running() -> None:
            until = time.monotonic() + 20.0
            while not done.is_set() and time.monotonic() < until:
                desk.poll()
                time.sleep(0.05)

        session = threading.Thread(target=running)
        session.start()
        try:
            answer = cli(*accepted(one.item_id, "--yes", "--json", "--wait", "10"))
        finally:
            done.set()
            session.join()
        assert json.loads(answer.out)["carried_out"] is True
        assert desk.poll().clean
        assert desk.reconciler.ledger("main").positions() == {"TSLA": 7.0}
